//! The end of every stack: brings a try to the instance that was picked for it.
//!
//! What came of the try is counted further out, by [`Try`].

use crate::{
    MeshError, Request, Response,
    deadline::Deadline,
    edge::Tally,
    instance::{Host, UnderWay},
    remote::Timeouts,
    route::Routed,
    stack::{MeshService, Reply},
};
use base::Clock;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;
use tower::Service;

/// The instance a try goes to, where it is under way from now on: an extension set by the balancer.
/// What a fault of the instance holds counts too, or one that hangs would look idle.
#[derive(Clone, Debug)]
pub(crate) struct Picked(pub(crate) Arc<UnderWay>);

/// A try at an instance, for the figures of the instance: counted when it is over, also when a
/// fault of the instance answered in its place or a deadline cut it. A caller that went away before
/// that says nothing about the instance.
pub(crate) struct Try {
    pub(crate) host: Arc<Host>,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
    pub(crate) deadline: Option<Instant>,
}

impl Try {
    /// It ended by itself.
    pub(crate) fn end(mut self, outcome: &Result<Response, MeshError>) {
        self.deadline = None;
        self.count(outcome.as_ref().map_or(true, |answer| answer.status().is_server_error()));
    }

    fn count(&self, failed: bool) {
        self.host.count(failed, self.clock.now_us());
        if failed {
            self.tally.act();
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.count(true);
        }
    }
}

impl MeshService for Deliver {}

/// Delivers.
#[derive(Clone, Debug)]
pub(crate) struct Deliver {
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
        Deadline::tell(&mut request);
        let extensions = request.extensions_mut();
        // It stays with the request: the callee's side enforces the same snapshot.
        let routed = extensions.get::<Arc<Routed>>().cloned();
        let Some(Picked(under_way)) = extensions.remove() else {
            let destination = request.uri().to_string();
            let nobody = MeshError::NoHealthyUpstream { destination };
            return Box::pin(std::future::ready(Err(nobody)));
        };
        let traffic = routed.as_ref().and_then(|routed| routed.traffic());
        let timeouts = Timeouts::of(traffic.map(|traffic| &traffic.connection_pool));
        Box::pin(under_way.send(request, timeouts))
    }
}
