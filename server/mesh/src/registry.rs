//! Who is reachable under which name, and the stack each caller uses to reach them.

use crate::{
    BreakerParams, BreakerStatus, BreakerTransition, Caller, MeshError, Request, Response,
    breaker::{Breaker, BreakerLayer},
    deadline::DeadlineLayer,
    span::SpanLayer,
    stack::{MeshService, Segment, Stack},
};
use axum::Router;
use base::Clock;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::broadcast;
use tower::Service;

/// Breaker transitions a slow listener may lag behind by before it loses the oldest.
const TRANSITIONS_MAX: usize = 256;

/// The mesh. Clones are the same mesh.
#[derive(Clone, Debug)]
pub struct Mesh(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    breaker: BreakerParams,
    endpoints: RwLock<BTreeMap<Arc<str>, Router>>,
    routes: RwLock<BTreeMap<Ends, Route>>,
    transitions: broadcast::Sender<BreakerTransition>,
}

/// Caller and destination.
type Ends = (Arc<str>, Arc<str>);

/// The stack from one caller to one destination, and the breaker in it.
#[derive(Clone, Debug)]
struct Route {
    stack: Stack,
    breaker: Arc<Breaker>,
}

impl Mesh {
    /// A mesh without services.
    #[must_use]
    pub fn new(clock: Clock, breaker: BreakerParams) -> Self {
        let (transitions, _) = broadcast::channel(TRANSITIONS_MAX);
        let (endpoints, routes) = (RwLock::default(), RwLock::default());
        Self(Arc::new(Inner { clock, breaker, endpoints, routes, transitions }))
    }

    /// Makes a service reachable under `name`, replacing what was there; calls in flight go on.
    pub fn register(&self, name: &'static str, router: Router) {
        self.0.endpoints.write().insert(name.into(), crate::serve(name, router));
    }

    /// Takes a service away: calls to it find [`MeshError::NoService`].
    pub fn deregister(&self, name: &str) {
        self.0.endpoints.write().remove(name);
    }

    /// Services that can be reached.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<str>> {
        self.0.endpoints.read().keys().cloned().collect()
    }

    /// What the service `name` makes its calls with.
    #[must_use]
    pub fn caller(&self, name: &'static str) -> Caller {
        Caller::new(self.clone(), name)
    }

    /// Every breaker, as it is now.
    #[must_use]
    pub fn breakers(&self) -> Vec<BreakerStatus> {
        self.0.routes.read().values().map(|route| route.breaker.status()).collect()
    }

    /// Breaker transitions from now on.
    #[must_use]
    pub fn transitions(&self) -> broadcast::Receiver<BreakerTransition> {
        self.0.transitions.subscribe()
    }

    /// Sends a request through the stack from `caller` to `destination`.
    pub(crate) async fn send(
        &self,
        caller: &str,
        destination: &str,
        request: Request,
    ) -> Result<Response, MeshError> {
        let mut stack = self.route(caller, destination)?.stack;
        std::future::poll_fn(|cx| stack.poll_ready(cx)).await?;
        stack.call(request).await
    }

    fn route(&self, caller: &str, destination: &str) -> Result<Route, MeshError> {
        let key: Ends = (caller.into(), destination.into());
        if let Some(route) = self.0.routes.read().get(&key) {
            return Ok(route.clone());
        }
        if !self.0.endpoints.read().contains_key(destination) {
            // Nothing is kept for names that were never registered: they may come from outside.
            return Err(MeshError::NoService { destination: destination.into() });
        }
        let mut routes = self.0.routes.write();
        Ok(routes.entry(key.clone()).or_insert_with(|| self.build(key)).clone())
    }

    fn build(&self, ends: Ends) -> Route {
        let (segment, breaker) = self.segment(ends);
        Route { stack: segment.erase(), breaker }
    }

    /// The layers in the order of [`crate::stack::LAYERS`], and the breaker among them.
    fn segment(&self, (caller, destination): Ends) -> (Segment<impl MeshService>, Arc<Breaker>) {
        let ends = (caller.clone(), destination.clone());
        let inner = &self.0;
        let transitions = inner.transitions.clone();
        let breaker = Arc::new(Breaker::new(ends, inner.breaker, inner.clock.clone(), transitions));
        let endpoint = Endpoint { mesh: self.clone(), destination: destination.clone() };
        let segment = Segment::new("endpoint", endpoint)
            .wrap("breaker", &BreakerLayer(breaker.clone()))
            .wrap("deadline", &DeadlineLayer { destination: destination.clone() })
            .wrap("span", &SpanLayer { caller, destination });
        (segment, breaker)
    }
}

/// Brings a call to the router that is registered now.
#[derive(Clone, Debug)]
struct Endpoint {
    mesh: Mesh,
    destination: Arc<str>,
}

impl Service<Request> for Endpoint {
    type Response = Response;
    type Error = MeshError;
    type Future = BoxFuture<'static, Result<Response, MeshError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let router = self.mesh.0.endpoints.read().get(&self.destination).cloned();
        let destination = self.destination.clone();
        Box::pin(async move {
            let Some(mut router) = router else {
                return Err(MeshError::NoService { destination: destination.as_ref().into() });
            };
            // A router is always ready.
            let answered: Result<Response, Infallible> = router.call(request).await;
            Ok(answered.unwrap_or_else(|never| match never {}))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::LAYERS;

    #[test]
    fn the_stack_is_the_list_of_layers() {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        let (segment, _) = mesh.segment(("a".into(), "b".into()));
        let listed: Vec<_> = LAYERS.iter().map(|layer| layer.name).collect();
        assert_eq!(segment.names(), listed);
    }
}
