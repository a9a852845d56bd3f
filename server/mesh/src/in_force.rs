//! The policy in force: one immutable snapshot, replaced whole. A request takes it once at its
//! start and keeps it to its end, so that no request ever sees half of two revisions.
//!
//! What must outlive a revision (the state of a split, counters) is carried over, or kept apart
//! from the policy, which goes with the last request that follows it.

use crate::{
    RouteHits, inbound::authentication::Authenticator, route::RouteState, tracing_policy::Sampling,
};
use contract::service::GATEWAY;
use istio::policy::Policy;
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
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
    states: Arc<RouteStates>,
    sampling: Sampling,
    /// Of the gateway, for rules that look at claims; read when the first of them asks.
    at_gateway: OnceLock<Authenticator>,
}

impl Snapshot {
    pub(crate) fn new(in_force: InForce, previous: Option<&Self>) -> Self {
        let states = RouteStates::new(&in_force.policy, previous.map(|snapshot| &*snapshot.states));
        let since_request = AtomicU64::new(in_force.since_request);
        let sampling = Sampling::new(&in_force.policy, previous.map(|snapshot| &snapshot.sampling));
        let number = previous.map_or(0, |previous| previous.number + 1);
        let (states, at_gateway) = (Arc::new(states), OnceLock::new());
        Self { in_force, number, since_request, states, sampling, at_gateway }
    }

    /// Who checks the tokens of requests that come in, before they are routed by their claims.
    pub(crate) fn at_gateway(&self) -> &Authenticator {
        self.at_gateway.get_or_init(|| {
            let gateway = self.policy().workloads.get(GATEWAY);
            Authenticator::compile(gateway.map_or(&[][..], |gateway| &gateway.authentication))
        })
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

    /// What is kept about its rules, without the policy.
    pub(crate) const fn states(&self) -> &Arc<RouteStates> {
        &self.states
    }

    /// What is kept about a rule, by the place of its host in this policy and its own there.
    pub(crate) fn state(&self, host: usize, rule: usize) -> Option<&RouteState> {
        self.states.0.get(host)?.get(rule)
    }
}

/// What is kept about the rules of one policy, by host and place as they are there.
#[derive(Debug)]
pub(crate) struct RouteStates(Vec<Vec<RouteState>>);

impl RouteStates {
    fn new(policy: &Policy, previous: Option<&Self>) -> Self {
        let carried = previous.into_iter().flat_map(Self::all);
        let carried: HashMap<_, _> = carried.map(|state| (state.identity(), state)).collect();
        let hosts = policy.virtual_hosts.iter().map(|host| {
            let routes = host.routes.iter();
            routes.map(|route| RouteState::new(policy.revision, route, &carried)).collect()
        });
        Self(hosts.collect())
    }

    fn all(&self) -> impl Iterator<Item = &RouteState> {
        self.0.iter().flatten()
    }
}

/// What was counted about the rules of one policy at one moment. Numbers alone: samples of one
/// policy share what the numbers are of, and the numbers too while nothing moves.
#[derive(Clone, Debug)]
pub struct CountedHits {
    revision: u64,
    states: Arc<RouteStates>,
    counts: Arc<[u64]>,
}

impl CountedHits {
    /// The counters now; `before` are earlier ones.
    pub(crate) fn now(revision: u64, states: &Arc<RouteStates>, before: &[Self]) -> Self {
        let counts: Vec<u64> = states.all().flat_map(RouteState::counts).collect();
        let same = before.iter().find(|sample| Arc::ptr_eq(&sample.states, states));
        let same = same.filter(|sample| *sample.counts == *counts);
        let counts = same.map_or_else(|| counts.into(), |sample| sample.counts.clone());
        Self { revision, states: states.clone(), counts }
    }

    /// The revision whose rules they are.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether both are one piece of memory.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.counts, &other.counts)
    }

    /// Each rule with its counts, in the order of the policy.
    #[must_use]
    pub fn hits(&self) -> Vec<RouteHits> {
        let mut counts = self.counts.iter().copied();
        self.states.all().map(|state| state.as_counted(&mut counts)).collect()
    }
}
