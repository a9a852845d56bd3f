//! The policy in force: one immutable snapshot, replaced whole. A request takes it once at its
//! start and keeps it to its end, so that no request ever sees half of two revisions.
//!
//! What must outlive a revision (the state of a split) is carried over here.

use crate::{RouteHits, route::RouteState, tracing_policy::Sampling};
use istio::policy::{Policy, Route};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What is in force, and since when.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The policy itself.
    pub policy: Arc<Policy>,
    /// The first request that it holds for; requests are counted from 1 since the start.
    pub since_request: u64,
    /// When it was put in force, microseconds since the epoch.
    pub at_us: i64,
}

/// A policy with what the data plane keeps about its routes.
#[derive(Debug)]
pub(crate) struct Snapshot {
    in_force: InForce,
    /// Higher than that of every snapshot before it.
    number: u64,
    /// The first request it holds for, known only once it is in force.
    since_request: AtomicU64,
    /// By address of the route, which the policy keeps where it is.
    states: HashMap<usize, Arc<RouteState>>,
    sampling: Sampling,
}

impl Snapshot {
    pub(crate) fn new(in_force: InForce, previous: Option<&Self>) -> Self {
        let carried: HashMap<_, _> = previous
            .into_iter()
            .flat_map(|snapshot| snapshot.states.values())
            .map(|state| (state.identity(), state))
            .collect();
        let hosts = in_force.policy.virtual_hosts.iter();
        let states = hosts.flat_map(|host| &host.routes).map(|route| {
            let state = RouteState::new(in_force.policy.revision, route, &carried);
            (Arc::as_ptr(route).addr(), Arc::new(state))
        });
        let states = states.collect();
        let since_request = AtomicU64::new(in_force.since_request);
        let sampling = Sampling::new(&in_force.policy, previous.map(|snapshot| &snapshot.sampling));
        let number = previous.map_or(0, |previous| previous.number + 1);
        Self { in_force, number, since_request, states, sampling }
    }

    /// How many snapshots there were before it: of two, the one with the higher number is newer.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Which traces are recorded.
    pub(crate) const fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// From this request on all follow it.
    pub(crate) fn since(&self, request: u64) {
        self.since_request.store(request, Ordering::SeqCst);
    }

    pub(crate) fn in_force(&self) -> InForce {
        let since_request = self.since_request.load(Ordering::SeqCst);
        InForce { since_request, ..self.in_force.clone() }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.in_force.policy
    }

    pub(crate) fn state(&self, route: &Arc<Route>) -> Option<&Arc<RouteState>> {
        self.states.get(&Arc::as_ptr(route).addr())
    }

    /// What was counted about each rule, in the order of the policy.
    pub(crate) fn hits(&self) -> Vec<RouteHits> {
        let routes = self.policy().virtual_hosts.iter().flat_map(|host| &host.routes);
        routes.filter_map(|route| self.state(route)).map(|state| state.hits()).collect()
    }
}
