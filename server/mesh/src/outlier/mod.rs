//! Outlier detection: an endpoint that fails too often in a row is left alone for a while.
//!
//! The rules are in the pure [`state`], after Envoy's `outlier.rst` as far as Istio exposes it
//! (success rate and failure percentage are not in Istio's API). There is no probe: an endpoint
//! returns by itself, on a sweep. `layer` observes what comes from the endpoint that was picked.

mod layer;
pub mod state;

pub(crate) use layer::OutlierLayer;
pub use state::{Detector, Ejection, Outcome};
