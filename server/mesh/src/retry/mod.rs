//! Retries as Envoy's router does them: which outcomes may be repeated, and when.
//!
//! The rules are pure: [`decide`] which outcome a token names, [`backoff`] how long to wait.
//! `layer` puts them around the tries. How many retries a destination bears is a limit of its
//! connection pool; which endpoint a try goes to is the balancer's business.

mod attempt;
pub mod backoff;
pub mod decide;
mod layer;
mod stats;

pub(crate) use decide::grpc_status;
pub(crate) use layer::RetryLayer;
pub(crate) use stats::RetryCounts;
pub use stats::RetryStats;
