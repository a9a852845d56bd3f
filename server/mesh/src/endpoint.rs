//! The end of every stack: brings a try to the instance that was picked for it.

use crate::{
    MeshError, Request, Response, edge::Tally, instance::Host, remote::Timeouts, route::Routed,
    stack::Reply,
};
use base::Clock;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;

/// The instance a try goes to: an extension set by the balancer.
#[derive(Clone, Debug)]
pub(crate) struct Picked(pub(crate) Arc<Host>);

/// Delivers.
#[derive(Clone, Debug)]
pub(crate) struct Deliver {
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

impl Service<Request> for Deliver {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        // An instance that cannot take the request says so in its answer.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Reply {
        self.tally.reach();
        let extensions = request.extensions_mut();
        // It stays with the request: the callee's side enforces the same snapshot.
        let routed = extensions.get::<Arc<Routed>>().cloned();
        let Some(Picked(host)) = extensions.remove() else {
            let destination = request.uri().to_string();
            let nobody = MeshError::NoHealthyUpstream { destination };
            return Box::pin(std::future::ready(Err(nobody)));
        };
        let traffic = routed.as_ref().and_then(|routed| routed.traffic());
        let timeouts = Timeouts::of(traffic.map(|traffic| &traffic.connection_pool));
        let Self { clock, tally } = self.clone();
        Box::pin(async move {
            let outcome = host.clone().send(request, timeouts).await;
            let failed = outcome.as_ref().map_or(true, |r| r.status().is_server_error());
            host.count(failed, clock.now_us());
            if failed {
                tally.act();
            }
            outcome
        })
    }
}
