//! Local rate limits of calls that leave the mesh, on the caller's side: no proxy stands before
//! what is outside. Each service that calls has buckets of its own, as each proxy has with Envoy.
//!
//! It asks once per request and not per try: Envoy's filter stands before the router.

use super::{
    layer::{Entered, LimitCounts, Limiters, Refused, address, limit, peer},
    rate_limit::Peer,
};
use crate::{Request, journey::Journey, route::Routed};
use base::Clock;
use istio::policy::OutboundLimit;
use std::sync::Arc;

/// The buckets of one caller for one service outside of the mesh.
#[derive(Debug)]
pub(crate) struct Outbound {
    limiters: Limiters,
    counts: LimitCounts,
}

/// What one service was refused of its calls to another outside of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundStats {
    /// Who calls.
    pub caller: Arc<str>,
    /// Who is called.
    pub destination: Arc<str>,
    /// Refused by a local rate limit.
    pub rate_limited: u64,
    /// Over a limit, refused or not.
    pub over_limit: u64,
}

impl Outbound {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self { limiters: Limiters::new(clock, seed), counts: LimitCounts::default() }
    }

    /// Lets a request go out, or gives the answer in place of the service's.
    pub(crate) fn leave(
        &self,
        limits: &[OutboundLimit],
        routed: &Routed,
        request: &Request,
        journey: &Journey,
    ) -> Result<Entered, Refused> {
        let counted = limits.iter().filter(|limit| counts(limit, routed, journey));
        let mut rules = counted.map(|limit| &limit.limit).peekable();
        if rules.peek().is_none() {
            return Ok(Entered::default());
        }
        let all = limits.iter().map(|limit| &limit.limit);
        let limiters = self.limiters.of(rules, all, routed.snapshot.number());
        let peer: Peer = peer(journey, address(request, journey));
        limit(limiters, &peer, journey, &self.counts)
    }

    pub(crate) fn stats(&self, caller: Arc<str>, destination: Arc<str>) -> OutboundStats {
        let (rate_limited, over_limit) = self.counts.read();
        OutboundStats { caller, destination, rate_limited, over_limit }
    }
}

/// Whether a limit counts a request: where it is, whose it is, and by which rule it goes.
fn counts(limit: &OutboundLimit, routed: &Routed, journey: &Journey) -> bool {
    let labels = &journey.source.labels;
    limit.at_ingress.is_none_or(|at_ingress| at_ingress == journey.ingress)
        && limit.callers.iter().all(|label| labels.contains(label))
        && limit.limit.scope.as_ref().is_none_or(|scope| {
            let by = routed.route.as_ref();
            by.is_some_and(|route| route.origin == scope.origin && route.name == scope.route)
        })
}
