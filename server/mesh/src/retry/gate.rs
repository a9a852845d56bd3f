//! How many retries a destination bears at once: `maxRetries`, or a retry budget in its place.
//!
//! One gate per caller, service and subset, as each Envoy keeps its own. Counts tries under way
//! itself; knows nothing of time.

use istio::policy::{RetryBudget, Share};
use parking_lot::{Mutex, RwLock};
use std::{collections::BTreeMap, sync::Arc};

/// Gates kept by one caller and destination. Services and subsets come from resources, so there
/// are few; what is beyond shares the last gate.
const GATES_MAX: usize = 256;

/// Service and subset.
type Cluster = (Arc<str>, Option<Arc<str>>);

/// The gates of the destinations of one caller. Clones are the same gates.
#[derive(Clone, Debug, Default)]
pub struct RetryGates(Arc<RwLock<BTreeMap<Cluster, Arc<RetryGate>>>>);

/// Retries to one destination, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryStats {
    /// The service.
    pub service: Arc<str>,
    /// Its subset, if one was chosen.
    pub subset: Option<Arc<str>>,
    /// Tries under way.
    pub active: u32,
    /// Retries under way, those that wait for their turn among them.
    pub retrying: u32,
    /// Retries that were made (Envoy `upstream_rq_retry`).
    pub retries: u64,
    /// Retries after which the answer was good (`upstream_rq_retry_success`).
    pub successes: u64,
    /// Retries that were refused by limit or budget (`upstream_rq_retry_overflow`).
    pub overflow: u64,
    /// Requests that used all their retries (`upstream_rq_retry_limit_exceeded`).
    pub exhausted: u64,
}

impl RetryGates {
    /// The gate of a service and subset.
    #[must_use]
    pub fn gate(&self, service: &Arc<str>, subset: Option<&Arc<str>>) -> Arc<RetryGate> {
        let key: Cluster = (service.clone(), subset.cloned());
        if let Some(gate) = self.0.read().get(&key) {
            return gate.clone();
        }
        let mut gates = self.0.write();
        if gates.len() >= GATES_MAX
            && !gates.contains_key(&key)
            && let Some(last) = gates.values().next_back()
        {
            return last.clone();
        }
        gates.entry(key).or_default().clone()
    }

    /// Every gate, as it is now.
    #[must_use]
    pub fn stats(&self) -> Vec<RetryStats> {
        let gates = self.0.read();
        gates.iter().map(|((service, subset), gate)| gate.stats(service, subset.as_ref())).collect()
    }
}

/// Admits retries to one destination.
#[derive(Debug, Default)]
pub struct RetryGate(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    active: u32,
    retrying: u32,
    retries: u64,
    successes: u64,
    overflow: u64,
    exhausted: u64,
}

/// A try that is under way, until it is dropped.
#[derive(Debug)]
pub struct ActiveTry(Arc<RetryGate>);

/// A retry that was admitted, until it is dropped.
#[derive(Debug)]
pub struct ActiveRetry(Arc<RetryGate>);

impl RetryGate {
    /// Counts a try.
    #[must_use]
    pub fn begin_try(self: &Arc<Self>) -> ActiveTry {
        self.0.lock().active += 1;
        ActiveTry(self.clone())
    }

    /// Admits a retry if the budget, or else the limit, has room for one more; a refusal is
    /// counted. Without either everything is admitted.
    #[must_use]
    pub fn admit(
        self: &Arc<Self>,
        budget: Option<RetryBudget>,
        max_retries: Option<u32>,
    ) -> Option<ActiveRetry> {
        let mut counts = self.0.lock();
        // A budget overrides the limit (Envoy `CircuitBreakers.Thresholds.retry_budget`).
        let allowed = match budget {
            Some(budget) => allowed_by(budget, counts.active),
            None => max_retries.unwrap_or(u32::MAX),
        };
        if counts.retrying >= allowed {
            counts.overflow += 1;
            return None;
        }
        counts.retrying += 1;
        counts.retries += 1;
        Some(ActiveRetry(self.clone()))
    }

    /// Notes that a retry brought a good answer.
    pub(crate) fn succeeded(&self) {
        self.0.lock().successes += 1;
    }

    /// Notes that a request has used all its retries.
    pub(crate) fn exhausted(&self) {
        self.0.lock().exhausted += 1;
    }

    fn stats(&self, service: &Arc<str>, subset: Option<&Arc<str>>) -> RetryStats {
        let counts = self.0.lock();
        RetryStats {
            service: service.clone(),
            subset: subset.cloned(),
            active: counts.active,
            retrying: counts.retrying,
            retries: counts.retries,
            successes: counts.successes,
            overflow: counts.overflow,
            exhausted: counts.exhausted,
        }
    }
}

/// `max(min_concurrency, share x (active + pending))`. Calls that wait for a connection are under
/// way here, so `active` is the sum.
fn allowed_by(budget: RetryBudget, active: u32) -> u32 {
    let share = u64::from(budget.share.0) * u64::from(active) / u64::from(Share::ALL.0);
    budget.min_concurrency.max(u32::try_from(share).unwrap_or(u32::MAX))
}

impl Drop for ActiveTry {
    fn drop(&mut self) {
        self.0.0.lock().active -= 1;
    }
}

impl Drop for ActiveRetry {
    fn drop(&mut self) {
        self.0.0.lock().retrying -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Arc<RetryGate> {
        Arc::default()
    }

    fn admitted(gate: &Arc<RetryGate>, budget: Option<RetryBudget>, max: Option<u32>) -> usize {
        let admitted: Vec<_> = (0..200).map_while(|_| gate.admit(budget, max)).collect();
        admitted.len()
    }

    #[test]
    fn a_hundred_active_requests_and_a_quarter_allow_twenty_five_retries() {
        let gate = gate();
        let _active: Vec<_> = (0..100).map(|_| gate.begin_try()).collect();
        let budget = RetryBudget { share: Share(250_000), min_concurrency: 3 };
        assert_eq!(admitted(&gate, Some(budget), None), 25);
    }

    #[test]
    fn few_requests_are_still_allowed_the_least_concurrency() {
        let gate = gate();
        let _active: Vec<_> = (0..4).map(|_| gate.begin_try()).collect();
        assert_eq!(admitted(&gate, Some(RetryBudget::default()), None), 3);
        let none = RetryBudget { share: Share(200_000), min_concurrency: 0 };
        assert_eq!(admitted(&gate, Some(none), None), 0);
    }

    #[test]
    fn a_budget_overrides_the_limit() {
        let gate = gate();
        assert_eq!(admitted(&gate, Some(RetryBudget::default()), Some(1)), 3);
        assert_eq!(admitted(&gate, None, Some(1)), 1);
        assert_eq!(admitted(&gate, None, None), 200, "nothing configured refuses nothing");
    }

    #[test]
    fn a_retry_that_ends_makes_room_and_a_refused_one_is_counted() {
        let gate = gate();
        let first = gate.admit(None, Some(1));
        assert!(first.is_some() && gate.admit(None, Some(1)).is_none());
        drop(first);
        assert!(gate.admit(None, Some(1)).is_some());
        let stats = gate.stats(&"payments".into(), None);
        assert_eq!((stats.overflow, stats.retries, stats.retrying), (1, 2, 0));
    }

    #[test]
    fn subsets_have_gates_of_their_own() {
        let gates = RetryGates::default();
        let (service, v1, v2) = (Arc::from("payments"), Arc::from("v1"), Arc::from("v2"));
        let _held = gates.gate(&service, Some(&v1)).admit(None, Some(1));
        assert!(gates.gate(&service, Some(&v1)).admit(None, Some(1)).is_none());
        assert!(gates.gate(&service, Some(&v2)).admit(None, Some(1)).is_some());
    }
}
