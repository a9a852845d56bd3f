//! Routing: which rule holds for a request, and where it goes.
//!
//! [`matching`] and [`split`] are pure; `layer` takes the policy in force and carries the decision
//! out; `edit` and `answer` change requests and answers. What a route says about timeout, retries,
//! faults and mirrors is read by those layers from [`Routed`].

mod answer;
mod edit;
mod layer;
pub(crate) mod matching;
mod split;

pub use answer::DirectAnswer;
pub(crate) use answer::allowed_origin;
pub use edit::TakenAway;
pub(crate) use layer::{Routing, holds};
pub(crate) use split::Split;

use crate::{Source, in_force::Snapshot};
use istio::policy::{
    Action, Destination, Origin, Policy, Route, Selector, Subset, TrafficPolicy, Weighted,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What was decided about a request: an extension, as `Arc<Routed>`, from the route layer inwards.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The policy this request was given at its start.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The rule that matched; none when the service has no routes.
    pub(crate) route: Option<Arc<Route>>,
    /// The service it goes to.
    pub(crate) destination: Arc<str>,
    /// Instances of this subset only.
    pub(crate) subset: Option<Arc<str>>,
    /// The port the request was addressed to: see [`matching::port_of`].
    pub(crate) addressed_port: u16,
    /// Which of the rule's destinations was drawn.
    drawn: Option<usize>,
    /// The selector of the destination's rule, if one chooses the caller.
    pub(crate) callers: Option<Selector>,
}

impl Routed {
    /// Without a rule: to the whole service.
    pub(crate) fn plain(snapshot: Arc<Snapshot>, source: &Source, destination: Arc<str>) -> Self {
        let callers = snapshot.policy().chosen(&destination, &source.labels).cloned();
        let ports = snapshot.policy().ports.get(&destination);
        let addressed_port = ports.and_then(|ports| ports.first().copied());
        Self {
            addressed_port: addressed_port.unwrap_or(matching::PORT_DEFAULT),
            snapshot,
            route: None,
            destination,
            subset: None,
            drawn: None,
            callers,
        }
    }

    /// The same for a request that was addressed to this port.
    fn at(self, addressed_port: u16) -> Self {
        Self { addressed_port, ..self }
    }

    /// Of a copy: to where the mirror points, by no rule of its own.
    pub(crate) fn mirror(
        snapshot: Arc<Snapshot>,
        source: &Source,
        destination: Arc<str>,
        subset: Option<Arc<str>>,
    ) -> Self {
        Self { subset, ..Self::plain(snapshot, source, destination) }
    }

    /// By a rule, to the destination that was drawn.
    fn by(
        snapshot: Arc<Snapshot>,
        source: &Source,
        (route, drawn): (Arc<Route>, usize),
        called: Arc<str>,
    ) -> Self {
        let to = destinations(&route).get(drawn);
        let destination = to.map_or(called, |to| canonical(snapshot.policy(), &to.service));
        let subset = to.and_then(|to| to.subset.clone());
        let plain = Self::plain(snapshot, source, destination);
        Self { route: Some(route), subset, drawn: Some(drawn), ..plain }
    }

    /// The subset's rule, if it goes to a subset that the policy knows.
    pub(crate) fn subset_rule(&self) -> Option<&Subset> {
        self.rule()?.subset(self.subset.as_deref()?)
    }

    /// The rule of the destination that holds for the caller.
    fn rule(&self) -> Option<&Destination> {
        self.snapshot.policy().destination(&self.destination, self.callers.as_ref())
    }

    /// The destination of the rule that was drawn.
    pub(crate) fn weighted(&self) -> Option<&Weighted> {
        destinations(self.route.as_ref()?).get(self.drawn?)
    }

    /// The port at which its destination in the mesh is called, which is the only one it has: a
    /// rule that names another leads nowhere. Only a service outside of the mesh has several, and
    /// nothing stands before it that would ask.
    pub(crate) fn port(&self) -> u16 {
        let ports = self.snapshot.policy().ports.get(&self.destination);
        ports.and_then(|ports| ports.first().copied()).unwrap_or(self.addressed_port)
    }

    /// The policy of the destination or its subset, if somebody wrote one.
    pub(crate) fn traffic(&self) -> Option<&TrafficPolicy> {
        Some(self.rule()?.traffic(self.subset.as_deref()))
    }
}

/// The service behind a name; a name that the policy does not know may be a service's own.
pub(crate) fn canonical(policy: &Policy, name: &Arc<str>) -> Arc<str> {
    policy.service(name).unwrap_or(name).clone()
}

/// What is kept about one rule of one revision. Not the rule: counters are asked for long after
/// its matches and expressions are of no use.
#[derive(Debug)]
pub(crate) struct RouteState {
    revision: u64,
    origin: Origin,
    name: Arc<str>,
    line: u32,
    /// Goes on through revisions that leave rule and weights alone.
    split: Option<Arc<Split>>,
    hits: AtomicU64,
    shares: Vec<Share>,
}

/// A destination of a rule, and the requests that went there.
#[derive(Debug)]
struct Share {
    service: Arc<str>,
    subset: Option<Arc<str>>,
    weight: u32,
    requests: AtomicU64,
}

/// What makes a split the same split: its rule, and its destinations with their weights.
type SplitId<'a> = (&'a Origin, &'a str, Vec<(&'a str, Option<&'a str>, u32)>);

impl RouteState {
    /// Of a rule; `carried` are the states of the revision before.
    pub(crate) fn new(revision: u64, route: &Route, carried: &HashMap<SplitId<'_>, &Self>) -> Self {
        let destinations = destinations(route);
        let split = (destinations.len() > 1).then(|| {
            let kept = carried.get(&split_id(route)).and_then(|state| state.split.clone());
            kept.unwrap_or_else(|| {
                Arc::new(Split::new(destinations.iter().map(|to| to.weight).collect()))
            })
        });
        let share = |to: &Weighted| Share {
            service: to.service.clone(),
            subset: to.subset.clone(),
            weight: to.weight,
            requests: AtomicU64::new(0),
        };
        Self {
            revision,
            origin: route.origin.clone(),
            name: route.name.clone(),
            line: route.line,
            split,
            hits: AtomicU64::new(0),
            shares: destinations.iter().map(share).collect(),
        }
    }

    pub(crate) fn identity(&self) -> SplitId<'_> {
        let part = |to| {
            let Share { service, subset, weight, .. }: &Share = to;
            (&**service, subset.as_deref(), *weight)
        };
        (&self.origin, &*self.name, self.shares.iter().map(part).collect())
    }

    /// Counts a request that the rule matched.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Draws which destination a request goes to. Not for one that the rule answers itself: a
    /// browser's preflight before each request would else take every other place of the split.
    pub(crate) fn draw(&self) -> usize {
        let at = self.split.as_ref().map_or(0, |split| split.draw());
        if let Some(share) = self.shares.get(at) {
            share.requests.fetch_add(1, Ordering::Relaxed);
        }
        at
    }

    /// Its counters: the requests that it matched, then those of each destination.
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> {
        let shares = self.shares.iter().map(|share| &share.requests);
        std::iter::once(&self.hits).chain(shares).map(|count| count.load(Ordering::Relaxed))
    }

    /// What its counters said when they were read: as many are taken as it has.
    pub(crate) fn as_counted(&self, counts: &mut impl Iterator<Item = u64>) -> RouteHits {
        let mut next = || counts.next().unwrap_or_default();
        RouteHits {
            revision: self.revision,
            origin: self.origin.clone(),
            name: self.name.clone(),
            line: self.line,
            hits: next(),
            shares: self
                .shares
                .iter()
                .map(|to| DestinationShare {
                    service: to.service.clone(),
                    subset: to.subset.clone(),
                    weight: to.weight,
                    requests: next(),
                })
                .collect(),
        }
    }
}

/// Where a rule may send a request; empty when it answers itself.
pub(crate) fn destinations(route: &Route) -> &[Weighted] {
    match &route.action {
        Action::Forward(destinations) => destinations,
        Action::Redirect(_) | Action::Direct(_) => &[],
    }
}

fn split_id(route: &Route) -> SplitId<'_> {
    let parts = destinations(route).iter();
    let parts = parts.map(|to| (&*to.service, to.subset.as_deref(), to.weight)).collect();
    (&route.origin, &*route.name, parts)
}

/// How often one rule was hit while one revision was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteHits {
    /// The revision.
    pub revision: u64,
    /// The resource the rule is in.
    pub origin: Origin,
    /// The rule.
    pub name: Arc<str>,
    /// Its line in the resource.
    pub line: u32,
    /// Requests it matched.
    pub hits: u64,
    /// Where they went; empty when the rule answers itself.
    pub shares: Vec<DestinationShare>,
}

/// The configured and the observed share of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationShare {
    /// The service.
    pub service: Arc<str>,
    /// The subset, if one was named.
    pub subset: Option<Arc<str>>,
    /// As configured; the share is weight by sum of weights.
    pub weight: u32,
    /// Requests that went there.
    pub requests: u64,
}
