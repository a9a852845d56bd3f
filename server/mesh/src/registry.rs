//! Who is reachable under which name, and the stack each caller uses to reach them.

use crate::{
    BreakerParams, BreakerStatus, BreakerTransition, Caller, MeshError, Request, Response,
    breaker::{BreakerLayer, Breakers},
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

/// The mesh. Clones are the same mesh.
#[derive(Clone, Debug)]
pub struct Mesh(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    breakers: Breakers,
    endpoints: RwLock<BTreeMap<Arc<str>, Router>>,
    routes: RwLock<BTreeMap<Ends, Stack>>,
}

/// Caller and destination.
type Ends = (Arc<str>, Arc<str>);

impl Mesh {
    /// A mesh without services.
    #[must_use]
    pub fn new(clock: Clock, breaker: BreakerParams) -> Self {
        let (endpoints, routes) = (RwLock::default(), RwLock::default());
        Self(Arc::new(Inner { breakers: Breakers::new(clock, breaker), endpoints, routes }))
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
        self.0.breakers.all()
    }

    /// Breaker transitions from now on.
    #[must_use]
    pub fn transitions(&self) -> broadcast::Receiver<BreakerTransition> {
        self.0.breakers.transitions()
    }

    /// Sends a request through the stack from `caller` to `destination`.
    pub(crate) async fn send(
        &self,
        caller: &str,
        destination: &str,
        request: Request,
    ) -> Result<Response, MeshError> {
        let mut stack = self.route(caller, destination)?;
        std::future::poll_fn(|cx| stack.poll_ready(cx)).await?;
        stack.call(request).await
    }

    fn route(&self, caller: &str, destination: &str) -> Result<Stack, MeshError> {
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

    fn build(&self, ends: Ends) -> Stack {
        self.segment(ends).erase()
    }

    /// The layers in the order of [`crate::stack::LAYERS`].
    fn segment(&self, (caller, destination): Ends) -> Segment<impl MeshService> {
        let breakers = self.0.breakers.clone();
        let breaker =
            BreakerLayer { breakers, caller: caller.clone(), destination: destination.clone() };
        let endpoint = Endpoint { mesh: self.clone(), destination: destination.clone() };
        Segment::new("endpoint", endpoint)
            .wrap("breaker", &breaker)
            .wrap("deadline", &DeadlineLayer { destination: destination.clone() })
            .wrap("span", &SpanLayer { caller, destination })
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
        let segment = mesh.segment(("a".into(), "b".into()));
        let listed: Vec<_> = LAYERS.iter().map(|layer| layer.name).collect();
        assert_eq!(segment.names(), listed);
    }
}
