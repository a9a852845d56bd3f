//! Retries as Envoy's router does them: which outcomes may be repeated, when, and how many at once.
//!
//! The rules are pure: [`decide`] which outcome a token names, [`backoff`] how long to wait,
//! [`gate`] how many retries a destination bears. `layer` puts them around the rest of the stack.
//! Knows nothing of endpoints beyond the names it asks the balancer to avoid.

pub mod backoff;
pub mod decide;
pub mod gate;
mod layer;

pub use gate::{RetryGates, RetryStats};
pub(crate) use layer::{RetryLayer, RetryPlan};
pub use layer::{Attempt, TriedEndpoints};
