//! The layers a call passes, outer to inner, written once: the list here is the stack.

use crate::{MeshError, Request, Response};
use futures::future::BoxFuture;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;

/// What every layer answers with. One type for all, so that a layer without policy hands on the
/// future it was given and costs nothing.
pub type Reply = BoxFuture<'static, Result<Response, MeshError>>;

/// One layer of the stack and why it stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Short name.
    pub name: &'static str,
    /// The reason of its position.
    pub reason: &'static str,
}

const fn layer(name: &'static str, reason: &'static str) -> LayerInfo {
    LayerInfo { name, reason }
}

/// Outer to inner.
pub const LAYERS: [LayerInfo; 11] = [
    layer("span", "outermost, so that whatever happens to a call, refusals too, is on its span"),
    layer(
        "route",
        "before everything that depends on where the call goes: takes the policy once, and draws \
         the split once, so that retries stay in the subset",
    ),
    layer("deadline", "outside everything that may take time, so that one deadline covers all"),
    layer(
        "breaker",
        "the application's own: outside the retries, because the application sees one outcome per \
         call, and outside the faults, because it sees an injected abort; inside the deadline, so \
         that a call cut by it counts as a failure",
    ),
    layer(
        "mirror",
        "once per request and not per try, and inside the breaker: what is refused is not copied",
    ),
    layer("retry", "around all that one try passes, so that each try has its own luck"),
    layer(
        "fault",
        "per try, so that faults compose with retries and deadline; faults of one instance are \
         injected again behind the balancer",
    ),
    layer("limits", "per try, after an injected delay: a limit counts what goes to the service"),
    layer("balance", "per try, so that a retry may go to another endpoint of the same subset"),
    layer("outlier", "outside the endpoint that was chosen, so that it sees what came from there"),
    layer("endpoint", "innermost: the instance itself"),
];

/// What every layer of the stack wraps.
pub(crate) trait MeshService:
    Service<Request, Response = Response, Error = MeshError, Future = Reply>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Calls a service that was made ready and is not needed again, so that nothing has to be left
    /// in its place.
    fn finish(mut self, request: Request) -> Reply {
        self.call(request)
    }
}

/// A layer: its part in a call. The service around it is the same for all, [`Layered`], so that the
/// contract of readiness is kept in one place.
pub(crate) trait MeshLayer: Send + Sync + 'static {
    /// Brings a request to its answer, through what is inside or without it. `ready` was made ready
    /// for this request.
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply;
}

/// A service inside a layer. Clones share the layer.
#[derive(Debug)]
pub(crate) struct Layered<L, S> {
    layer: Arc<L>,
    inner: S,
}

impl<L, S> Layered<L, S> {
    pub(crate) fn new(layer: L, inner: S) -> Self {
        Self { layer: Arc::new(layer), inner }
    }
}

impl<L, S: Clone> Clone for Layered<L, S> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), inner: self.inner.clone() }
    }
}

impl<L: MeshLayer, S: MeshService> Service<Request> for Layered<L, S> {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        // The one that was made ready is called; what stays is a clone, which is not.
        let fresh = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, fresh);
        self.layer.pass(ready, request)
    }
}

impl<L: MeshLayer, S: MeshService> MeshService for Layered<L, S> {
    fn finish(self, request: Request) -> Reply {
        self.layer.pass(self.inner, request)
    }
}

/// A seam: a stack whose type ends here. Clones share a template, and only the one that is made
/// ready becomes a service of its own, for one call.
pub struct Stack {
    template: Arc<dyn Erased>,
    ready: Option<Box<dyn Erased>>,
}

impl Clone for Stack {
    fn clone(&self) -> Self {
        Self { template: self.template.clone(), ready: None }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("ready", &self.ready.is_some()).finish_non_exhaustive()
    }
}

/// What a seam needs of the service behind it.
trait Erased: Send + Sync {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>>;
    fn finish(self: Box<Self>, request: Request) -> Reply;
    fn boxed(&self) -> Box<dyn Erased>;
}

impl<S: MeshService> Erased for S {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        Service::poll_ready(self, cx)
    }

    fn finish(self: Box<Self>, request: Request) -> Reply {
        MeshService::finish(*self, request)
    }

    fn boxed(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
}

impl Service<Request> for Stack {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.ready.get_or_insert_with(|| self.template.boxed()).as_mut().poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        // Whoever calls without readiness breaks the contract, and gets what is behind to say so.
        self.ready.take().unwrap_or_else(|| self.template.boxed()).finish(request)
    }
}

impl MeshService for Stack {}

/// Brings a request through a service that is needed for it alone.
pub(crate) async fn through<S: MeshService>(
    mut service: S,
    request: Request,
) -> Result<Response, MeshError> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.finish(request).await
}

/// A stack under construction, inner to outer, that remembers the names of its layers.
pub(crate) struct Segment<S> {
    service: S,
    names: Vec<&'static str>,
}

impl<S> Segment<S> {
    pub(crate) fn new(name: &'static str, service: S) -> Self {
        Self { service, names: vec![name] }
    }

    pub(crate) fn wrap<L: MeshLayer>(
        mut self,
        name: &'static str,
        layer: L,
    ) -> Segment<Layered<L, S>> {
        self.names.insert(0, name);
        Segment { service: Layered::new(layer, self.service), names: self.names }
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }
}

impl<S: MeshService> Segment<S> {
    /// A seam: the type of what is inside ends here.
    pub(crate) fn erase(self) -> Segment<Stack> {
        let stack = Stack { template: Arc::new(self.service), ready: None };
        Segment { service: stack, names: self.names }
    }

    pub(crate) fn build(self) -> S {
        self.service
    }
}
