//! The balancer as a tower layer: finds the members of the cluster under the policy of the request
//! and picks one of them for this try.

use crate::{
    MeshError, Request, Response,
    cluster::Cluster,
    edge::Tally,
    endpoint::Picked,
    instance::Host,
    journey::Journey,
    route::Routed,
    stack::{MeshService, Reply, take_ready},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Makes [`Balanced`] services.
#[derive(Clone, Debug)]
pub(crate) struct BalanceLayer {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) next: Arc<AtomicUsize>,
    pub(crate) tally: Arc<Tally>,
}

impl<S> Layer<S> for BalanceLayer {
    type Service = Balanced<S>;

    fn layer(&self, inner: S) -> Balanced<S> {
        Balanced { inner, shared: self.clone() }
    }
}

/// Picks an instance for each try.
#[derive(Clone, Debug)]
pub(crate) struct Balanced<S> {
    inner: S,
    shared: BalanceLayer,
}

impl BalanceLayer {
    fn pick(&self, routed: Option<&Routed>, journey: Option<&Journey>) -> Option<Arc<Host>> {
        let subset = routed.and_then(|routed| routed.subset_rule());
        let revision = routed.map_or(0, |routed| routed.snapshot.policy().revision);
        let members = self.cluster.members(revision, subset.map(|subset| &*subset.labels));
        let count = members.hosts.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut turn = (0..count).map(|step| &members.hosts[first.wrapping_add(step) % count]);
        let fresh = |host: &&Arc<Host>| journey.is_none_or(|journey| !journey.tried(host.id));
        turn.clone().find(fresh).or_else(|| turn.next()).cloned()
    }
}

impl<S: MeshService> Service<Request> for Balanced<S> {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Reply {
        let mut ready = take_ready(&mut self.inner);
        let shared = &self.shared;
        shared.tally.reach();
        let routed = request.extensions().get::<Arc<Routed>>().map(|routed| &**routed);
        let journey = Journey::of(&request);
        let Some(host) = shared.pick(routed, journey.map(|journey| &**journey)) else {
            shared.tally.act();
            let destination = shared.cluster.label();
            let nobody = MeshError::NoHealthyUpstream { destination };
            return Box::pin(std::future::ready(Err(nobody)));
        };
        if let Some(journey) = journey {
            journey.try_at(host.id, &host.name);
        }
        request.extensions_mut().insert(Picked(host));
        ready.call(request)
    }
}
