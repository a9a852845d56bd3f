//! Concurrency limits: what Envoy calls circuit breaking (`docs/root/intro/arch_overview/upstream/
//! circuit_breaking.rst`). They have no states: a limit refuses while it is reached and stops by
//! itself as requests end. The breaker with states is the caller's own, in [`crate::breaker`].
//!
//! Each caller has its own for each cluster, as each proxy has. A call in the process takes the
//! part of an HTTP/1.1 connection: one request at a time.

mod layer;
mod pool;

pub(crate) use layer::LimitsLayer;
pub use pool::{Limit, PoolStatus};
pub(crate) use pool::{Pool, RetryUnderWay};
