//! The balancer as a tower layer: finds the members of the cluster under the policy of the request
//! and picks one of them for this try.

use super::{
    key::Key,
    pick::{Balancer, Choice},
};
use crate::{
    MeshError, Request,
    cluster::{Cluster, Selection},
    edge::Tally,
    endpoint::Picked,
    instance::{Host, UnderWay},
    journey::Journey,
    route::Routed,
    stack::{MeshLayer, MeshService, Reply},
};
use base::Clock;
use http::{HeaderValue, header::SET_COOKIE};
use istio::policy::{LoadBalancer, TrafficPolicy};
use std::sync::Arc;

/// Picks an instance for each try.
#[derive(Debug)]
pub(crate) struct BalanceLayer {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) balancer: Arc<Balancer>,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

impl BalanceLayer {
    /// The instance for this try, and the cookie to set on its answer.
    fn pick(&self, request: &Request) -> (Option<Arc<Host>>, Option<HeaderValue>) {
        let routed = request.extensions().get::<Arc<Routed>>().map(|routed| &**routed);
        let journey = Journey::of(request).map(|journey| &**journey);
        let unwritten = TrafficPolicy::default();
        let traffic = routed.and_then(Routed::traffic).unwrap_or(&unwritten);
        let labels = routed.and_then(Routed::subset_rule).map(|subset| &*subset.labels);
        let snapshot = routed.map_or(0, |routed| routed.snapshot.number());
        let service = &self.cluster.service.name;
        let selection = routed.map_or_else(Selection::default, |routed| {
            Selection::of(routed.snapshot.policy(), service, labels)
        });
        let members = self.cluster.members(snapshot, selection, &traffic.load_balancer);
        let healthy = self.cluster.healthy(snapshot, &members, traffic.outlier.as_ref());
        let healthy = healthy.as_deref().unwrap_or(&members.hosts);
        let hashed = matches!(traffic.load_balancer, LoadBalancer::ConsistentHash { .. });
        let fresh = journey.filter(|_| prefers_others(routed, hashed));
        let fresh = fresh.and_then(|journey| not_tried(journey, healthy));
        let key = match &traffic.load_balancer {
            LoadBalancer::ConsistentHash { key, .. } => {
                Key::of(key, request, journey, &self.balancer.dice)
            }
            _ => Key::default(),
        };
        let host = self.balancer.pick(&Choice {
            balancer: &traffic.load_balancer,
            warmup: traffic.warmup.as_ref(),
            hosts: fresh.as_deref().unwrap_or(healthy),
            healthy,
            members: &members.hosts,
            table: members.table.as_deref(),
            hash: key.hash,
            now_us: self.clock.now_us(),
        });
        if let Some(host) = host.as_ref().filter(|_| !journey.is_some_and(|j| j.look)) {
            members.picked(host.id, key.hash.is_some() || !hashed, self.clock.now_us());
        }
        (host, key.cookie)
    }
}

/// Whether a call prefers hosts that it has not tried. Istio's default policy does, but not for a
/// consistent hash, where the key says which host it is.
fn prefers_others(routed: Option<&Routed>, hashed: bool) -> bool {
    let rule = routed.and_then(|routed| routed.route.as_ref());
    rule.and_then(|route| route.retry.ignore_previous_hosts).unwrap_or(!hashed)
}

/// The hosts that this call has not tried yet, if there are any.
fn not_tried(journey: &Journey, hosts: &[Arc<Host>]) -> Option<Vec<Arc<Host>>> {
    if journey.tries() == 0 {
        return None;
    }
    let fresh = hosts.iter().filter(|host| !journey.tried(host.id));
    let fresh: Vec<_> = fresh.cloned().collect();
    (!fresh.is_empty()).then_some(fresh)
}

impl MeshLayer for BalanceLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, mut request: Request) -> Reply {
        self.tally.reach();
        let (host, cookie) = self.pick(&request);
        let Some(host) = host else {
            self.tally.act();
            let destination = self.cluster.label();
            let nobody = MeshError::NoHealthyUpstream { destination };
            return Box::pin(std::future::ready(Err(nobody)));
        };
        if let Some(journey) = Journey::of(&request) {
            journey.try_at(&host);
        }
        request.extensions_mut().insert(Picked(Arc::new(UnderWay::begin(host))));
        let reply = ready.finish(request);
        let Some(cookie) = cookie else { return reply };
        Box::pin(async move {
            let mut response = reply.await?;
            response.headers_mut().append(SET_COOKIE, cookie);
            Ok(response)
        })
    }
}
