//! The fault layer: holds, answers or breaks the calls that were drawn.
//!
//! It lies inside the retries and under the deadline, so that faults compose with both: an injected
//! 503 is repeated, an injected delay is cut. Faults for an instance sit behind the balancer.

use super::{
    registry::{Active, Faults, Held},
    spec::{FaultId, FaultKind, Reset},
};
use crate::{
    MeshError, Request, Response, baggage, chosen::Chosen, partial::Partial, span::read_context,
};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use istio::policy::Match;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};
use tracing::Span;

/// Faults remembered for one call: as many as its baggage carries.
const TRAIL_MAX: usize = 8;

/// The instance a call goes to; an extension set by the balancer.
#[derive(Clone, Debug)]
pub(crate) struct InstanceName(pub(crate) Arc<str>);

/// The faults one call has met, shared by its layers: also a call that is cut leaves them behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultTrail(Arc<Mutex<Vec<FaultId>>>);

impl FaultTrail {
    /// The trail of a request, begun with the faults its baggage carries.
    pub(crate) fn of(request: &mut Request) -> Self {
        if let Some(trail) = request.extensions().get::<Self>() {
            return trail.clone();
        }
        let trail = Self(Arc::new(Mutex::new(baggage::fault_ids(request.headers()))));
        request.extensions_mut().insert(trail.clone());
        trail
    }

    /// The ids, nearest to the cause first.
    pub(crate) fn ids(&self) -> Vec<FaultId> {
        self.0.lock().clone()
    }

    /// Adds an id; gives the whole trail as text.
    fn add(&self, id: FaultId) -> String {
        let mut ids = self.0.lock();
        if ids.len() < TRAIL_MAX && !ids.contains(&id) {
            ids.push(id);
        }
        text(&ids)
    }
}

/// Ids as a span attribute.
pub(crate) fn text(ids: &[FaultId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Where a fault layer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// In the caller's proxy, once per try.
    Try,
    /// At the instance.
    Instance,
}

/// Makes [`Faulty`] services.
#[derive(Clone, Debug)]
pub(crate) struct FaultLayer {
    pub(crate) faults: Faults,
    pub(crate) caller: Arc<str>,
    pub(crate) position: Position,
    /// Whether a request matches a condition: the router's own reading of it.
    pub(crate) holds: fn(&Match, &Request) -> bool,
}

impl FaultLayer {
    fn concerns(&self, fault: &Active, request: &Request) -> bool {
        let scope = &fault.spec.scope;
        let is = |wanted: Option<&Arc<str>>, actual: Option<&Arc<str>>| {
            wanted.is_none_or(|wanted| actual == Some(wanted))
        };
        let extensions = request.extensions();
        let instance = extensions.get::<InstanceName>().map(|name| &name.0);
        match self.position {
            Position::Try if scope.instance.is_some() => return false,
            Position::Instance if scope.instance.is_none() => return false,
            Position::Try | Position::Instance => {}
        }
        let chosen = extensions.get::<Chosen>();
        let route = chosen.and_then(|chosen| chosen.route.as_ref());
        let on_route = scope.route.as_ref().is_none_or(|(origin, name)| {
            route.is_some_and(|route| route.origin == *origin && route.name == *name)
        });
        on_route
            && is(scope.caller.as_ref(), Some(&self.caller))
            && is(scope.destination.as_ref(), chosen.map(|chosen| &chosen.service))
            && is(scope.subset.as_ref(), chosen.and_then(|chosen| chosen.subset.as_ref()))
            && is(scope.instance.as_ref(), instance)
            && (scope.matches.is_empty() || scope.matches.iter().any(|m| (self.holds)(m, request)))
    }

    fn drawn(&self, request: &Request) -> Vec<Held> {
        let active = self.faults.snapshot();
        if active.is_empty() || crate::span::only_looks(request.headers()) {
            return Vec::new();
        }
        let context = read_context(request.headers());
        let here = active.iter().filter(|fault| self.concerns(fault, request));
        here.filter_map(|fault| self.faults.draw(fault, context.trace_id())).collect()
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { inner, settings: self.clone() }
    }
}

/// Injects faults.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<S> {
    inner: S,
    settings: FaultLayer,
}

impl<S> Service<Request> for Faulty<S>
where
    S: Service<Request, Response = Response, Error = MeshError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = MeshError;
    type Future = BoxFuture<'static, Result<Response, MeshError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let drawn = self.settings.drawn(&request);
        if drawn.is_empty() {
            return Box::pin(ready.call(request));
        }
        let trail = FaultTrail::of(&mut request);
        for held in &drawn {
            mark(&held.fault, &trail, &mut request);
        }
        let faults = self.settings.faults.clone();
        Box::pin(async move {
            for held in &drawn {
                wait(&faults, &held.fault).await;
            }
            let destination = request.extensions().get::<Chosen>().map(|c| c.service.clone());
            let destination = destination.as_deref().unwrap_or_default().to_owned();
            for held in &drawn {
                if let Some(instead) = instead(&held.fault, &destination) {
                    return instead;
                }
            }
            let answer = ready.call(request).await;
            drawn.iter().fold(answer, |answer, held| spoil(&held.fault, answer, &destination))
        })
    }
}

/// Puts the fault's id on the span, on a line of its log, and into the baggage of what the call
/// causes.
fn mark(fault: &Active, trail: &FaultTrail, request: &mut Request) {
    let ids = trail.add(fault.id);
    baggage::append(request.headers_mut(), fault.id);
    Span::current().record("vitrine.fault.id", ids);
    tracing::warn!(
        vitrine.fault.id = %fault.id,
        "{} injected: {}", fault.id, fault.spec.kind,
    );
}

/// Holds the call as long as the fault says, but no longer than the fault itself is active.
async fn wait(faults: &Faults, fault: &Active) {
    let left = faults.left(fault).unwrap_or_default();
    let hold = match fault.spec.kind {
        FaultKind::Delay(delay) => delay.min(left),
        FaultKind::Jitter { min, max } => {
            let range = u64::try_from((max - min).as_micros()).unwrap_or(u64::MAX);
            (min + Duration::from_micros(fault.ids.below(range))).min(left)
        }
        FaultKind::Hang => left,
        FaultKind::Abort { .. } | FaultKind::PartialBody { .. } | FaultKind::Reset(_) => return,
    };
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        () = fault.over.cancelled() => {}
    }
}

/// What comes in place of calling the destination. A fault that ended meanwhile does nothing.
fn instead(fault: &Active, destination: &str) -> Option<Result<Response, MeshError>> {
    match fault.spec.kind {
        _ if fault.over.is_cancelled() => None,
        FaultKind::Abort { status, grpc_status } => Some(Ok(abort(status, grpc_status))),
        FaultKind::Reset(Reset::BeforeRequest) => {
            Some(Err(MeshError::Reset { destination: destination.to_owned(), sent: false }))
        }
        _ => None,
    }
}

/// What becomes of the destination's answer.
fn spoil(
    fault: &Active,
    answer: Result<Response, MeshError>,
    destination: &str,
) -> Result<Response, MeshError> {
    match fault.spec.kind {
        _ if fault.over.is_cancelled() => answer,
        FaultKind::Reset(Reset::BeforeAnswer) => {
            Err(MeshError::Reset { destination: destination.to_owned(), sent: true })
        }
        FaultKind::PartialBody { after_bytes } => {
            answer.map(|answer| answer.map(|body| Body::new(Partial::new(body, after_bytes))))
        }
        _ => answer,
    }
}

/// The answer of Envoy's fault filter; with a gRPC status as a trailers-only answer.
fn abort(status: StatusCode, grpc_status: Option<u8>) -> Response {
    let mut response = Response::new(Body::from("fault filter abort"));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    if let Some(code) = grpc_status {
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
        headers.insert("grpc-message", HeaderValue::from_static("fault filter abort"));
    }
    response
}
