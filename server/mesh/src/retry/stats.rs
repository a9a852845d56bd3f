//! What retries brought, counted for one caller and cluster.
//!
//! How many may be under way at once, and how many were refused, is counted by the limits.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Retries from one caller to one cluster since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryStats {
    /// Who calls.
    pub caller: Arc<str>,
    /// Who is called.
    pub destination: Arc<str>,
    /// Of which subset, if a route named one.
    pub subset: Option<Arc<str>>,
    /// Retries that were made (Envoy `upstream_rq_retry`).
    pub retries: u64,
    /// Requests that a retry saved (`upstream_rq_retry_success`).
    pub successes: u64,
    /// Requests that failed although all their retries were made
    /// (`upstream_rq_retry_limit_exceeded`).
    pub exhausted: u64,
}

/// See [`RetryStats`].
#[derive(Debug, Default)]
pub(crate) struct RetryCounts {
    pub(super) retries: AtomicU64,
    pub(super) successes: AtomicU64,
    pub(super) exhausted: AtomicU64,
}

impl RetryCounts {
    pub(crate) fn stats(&self) -> RetryStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RetryStats {
            retries: read(&self.retries),
            successes: read(&self.successes),
            exhausted: read(&self.exhausted),
            ..RetryStats::default()
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
