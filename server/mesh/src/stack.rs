//! The layers a call passes, outer to inner, written once: the list here is the stack.

use crate::{MeshError, Request, Response};
use tower::{Layer, Service, util::BoxCloneSyncService};

/// A whole stack, erased.
pub type Stack = BoxCloneSyncService<Request, Response, MeshError>;

/// One layer of the stack and why it stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Short name.
    pub name: &'static str,
    /// The reason of its position.
    pub reason: &'static str,
}

/// Outer to inner.
pub const LAYERS: [LayerInfo; 4] = [
    LayerInfo {
        name: "span",
        reason: "outermost, so that whatever happens to a call, refusals too, is on its span",
    },
    LayerInfo {
        name: "deadline",
        reason: "outside everything that may take time, so that one deadline covers all of it",
    },
    LayerInfo {
        name: "breaker",
        reason: "inside the deadline, so that a call cut by it counts as a failure",
    },
    LayerInfo { name: "endpoint", reason: "innermost: the service itself" },
];

/// What every layer of the stack is and wraps.
pub(crate) trait MeshService:
    Service<Request, Response = Response, Error = MeshError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> MeshService for S where
    S: Service<Request, Response = Response, Error = MeshError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
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

    pub(crate) fn wrap<L: Layer<S>>(
        mut self,
        name: &'static str,
        layer: &L,
    ) -> Segment<L::Service> {
        self.names.insert(0, name);
        Segment { service: layer.layer(self.service), names: self.names }
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }
}

impl<S: MeshService> Segment<S> {
    pub(crate) fn erase(self) -> Stack {
        BoxCloneSyncService::new(self.service)
    }
}
