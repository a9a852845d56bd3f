//! The circuit breaker: closed, open, half-open, one per caller and destination.
//!
//! It belongs to the calling application. (What Envoy calls circuit breaking is a set of
//! concurrency limits and has no states.) The rules are in the pure [`state`]; `layer` admits calls
//! and reports their outcome.

mod layer;
pub mod state;

pub(crate) use layer::{Breaker, BreakerLayer};
pub use layer::{BreakerStatus, BreakerTransition};
pub use state::{BreakerParams, BreakerState};
