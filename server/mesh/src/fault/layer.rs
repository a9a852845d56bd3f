//! The fault layer: holds, answers or breaks the calls that were drawn.
//!
//! It lies inside the retries and under the deadline, so that faults compose with both: an injected
//! 503 is repeated, an injected delay is cut. Faults for an instance sit behind the balancer.

use super::{
    registry::{Active, Faults, Held},
    spec::{CrashAt, FaultId, FaultKind, FaultScope, MessageFault, Reset},
};
use crate::{
    Flag, MeshError, Request, Response, baggage,
    call::ANSWER_BYTES_MAX,
    edge::Tally,
    endpoint::Picked,
    journey::Journey,
    partial::Partial,
    route::{Routed, holds},
    span::trace_id,
    stack::{MeshLayer, MeshService, Reply},
};
use axum::body::Body;
use http::{HeaderValue, StatusCode, header};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

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

/// Injects faults.
#[derive(Debug)]
pub(crate) struct FaultLayer {
    pub(crate) faults: Faults,
    pub(crate) position: Position,
    /// For errors: the service, or `service/subset`.
    pub(crate) label: Arc<str>,
    pub(crate) tally: Arc<Tally>,
}

impl FaultLayer {
    fn concerns(&self, fault: &Active, request: &Request, journey: &Journey) -> bool {
        let scope = &fault.spec.scope;
        match self.position {
            Position::Try if scope.instance.is_some() => return false,
            Position::Instance if scope.instance.is_none() => return false,
            _ if matches!(fault.spec.kind, FaultKind::Message(_)) => return false,
            Position::Try | Position::Instance => {}
        }
        let FaultKind::Crash { request: wanted, .. } = fault.spec.kind else {
            return in_scope(scope, request, journey);
        };
        // A process that is down takes no request, whichever it ended by.
        let ends_it = request.uri().path().rsplit('/').next() == Some(wanted);
        (fault.crashed() || ends_it) && in_scope(scope, request, journey)
    }

    /// The faults that are injected into a call. Looking is no traffic of the shop: it would use up
    /// draws, and pages must stay readable while they show a fault.
    fn drawn(&self, request: &Request, journey: &Journey) -> Vec<Held> {
        let active = self.faults.snapshot();
        if active.is_empty() || journey.look {
            return Vec::new();
        }
        let trace_id = trace_id(request.headers());
        let here = active.iter().filter(|fault| self.concerns(fault, request, journey));
        here.filter_map(|fault| self.faults.draw(fault, trace_id)).collect()
    }

    /// What comes in place of calling the destination. A fault that ended meanwhile does nothing.
    fn instead(&self, fault: &Active) -> Option<Result<Response, MeshError>> {
        let endpoint = self.label.to_string();
        match fault.spec.kind {
            _ if fault.over.is_cancelled() => None,
            FaultKind::Abort { status, grpc_status } => Some(Ok(abort(status, grpc_status))),
            FaultKind::Crash { at: CrashAt::Request, .. } if self.faults.crash(fault) => {
                Some(Err(MeshError::Reset { endpoint }))
            }
            FaultKind::Crash { .. } if fault.crashed() => {
                Some(Err(MeshError::Connect { endpoint }))
            }
            FaultKind::Reset(Reset::Connect) => Some(Err(MeshError::Connect { endpoint })),
            FaultKind::Reset(Reset::Stream) => Some(Err(MeshError::RefusedStream { endpoint })),
            _ => None,
        }
    }

    /// What becomes of the destination's answer.
    fn spoil(
        &self,
        fault: &Active,
        answer: Result<Response, MeshError>,
    ) -> Result<Response, MeshError> {
        match fault.spec.kind {
            _ if fault.over.is_cancelled() => answer,
            FaultKind::Reset(Reset::Answer) => {
                Err(MeshError::Reset { endpoint: self.label.to_string() })
            }
            FaultKind::Crash { at, .. } => self.crash(fault, at, answer),
            FaultKind::PartialBody { after_bytes } => {
                answer.map(|answer| answer.map(|body| Body::new(Partial::new(body, after_bytes))))
            }
            _ => answer,
        }
    }
}

impl FaultLayer {
    /// The answer when all of it is out: the end of a process cuts what is still on its way.
    async fn let_out(&self, answer: Result<Response, MeshError>) -> Result<Response, MeshError> {
        let (head, body) = answer?.into_parts();
        match axum::body::to_bytes(body, ANSWER_BYTES_MAX).await {
            Ok(body) => Ok(Response::from_parts(head, Body::from(body))),
            Err(_) => Err(MeshError::Reset { endpoint: self.label.to_string() }),
        }
    }

    /// What becomes of the answer of a process that ends by it, or by another one meanwhile. A
    /// request that was not done ends nothing.
    fn crash(
        &self,
        fault: &Active,
        at: CrashAt,
        answer: Result<Response, MeshError>,
    ) -> Result<Response, MeshError> {
        let done = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
        let ends = done && self.faults.crash(fault);
        match at {
            CrashAt::Answered if ends => answer,
            _ if fault.crashed() => Err(MeshError::Reset { endpoint: self.label.to_string() }),
            _ => answer,
        }
    }
}

/// Whether a process is still to end, once an answer of it is out.
fn lets_out(fault: &Active) -> bool {
    let ends = matches!(fault.spec.kind, FaultKind::Crash { at: CrashAt::Answered, .. });
    ends && !fault.crashed() && !fault.over.is_cancelled()
}

/// Whether a call is one of those a fault is for.
fn in_scope(scope: &FaultScope, request: &Request, journey: &Journey) -> bool {
    let is = |wanted: Option<&Arc<str>>, actual: Option<&Arc<str>>| {
        wanted.is_none_or(|wanted| actual == Some(wanted))
    };
    let extensions = request.extensions();
    let routed = extensions.get::<Arc<Routed>>();
    let instance = extensions.get::<Picked>().map(|picked| &picked.0.host().name);
    let route = routed.and_then(|routed| routed.route.as_ref());
    let on_route = scope.route.as_ref().is_none_or(|(origin, name)| {
        route.is_some_and(|route| route.origin == *origin && route.name == *name)
    });
    let decided = routed.map(|routed| &**routed);
    on_route
        && is(scope.caller.as_ref(), Some(&journey.source.service))
        && is(scope.destination.as_ref(), routed.map(|routed| &routed.destination))
        && is(scope.subset.as_ref(), routed.and_then(|routed| routed.subset.as_ref()))
        && is(scope.instance.as_ref(), instance)
        && (scope.matches.is_empty()
            || scope.matches.iter().any(|condition| holds(condition, request, journey, decided)))
}

/// Whether timeout and retries of the route of a call are off, as Istio has it while a fault is set
/// on the route ("timeouts or retries will not be enabled when faults are enabled on the client
/// side"): the switch of the route is on and its own fault is active, or a fault that asks for it.
pub(crate) fn as_in_istio(faults: &Faults, request: &Request) -> bool {
    let active = faults.snapshot();
    let Some(journey) = Journey::of(request).filter(|_| !active.is_empty()) else { return false };
    let routed = request.extensions().get::<Arc<Routed>>();
    let route = routed.and_then(|routed| routed.route.as_ref()).filter(|route| route.faithful);
    let own = |fault: &Active| {
        let of = fault.spec.scope.route.as_ref().zip(route);
        of.is_some_and(|((origin, name), route)| *origin == route.origin && *name == route.name)
    };
    active.iter().any(|fault| {
        own(fault) || (fault.spec.like_istio && in_scope(&fault.spec.scope, request, journey))
    })
}

impl MeshLayer for FaultLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, mut request: Request) -> Reply {
        // The place behind the balancer is part of the same layer.
        if self.position == Position::Try {
            self.tally.reach();
        }
        let Some(journey) = Journey::of(&request).cloned() else { return ready.finish(request) };
        let drawn = self.drawn(&request, &journey);
        if drawn.is_empty() {
            return ready.finish(request);
        }
        self.tally.act();
        for held in &drawn {
            mark(&held.fault, &journey, &mut request);
        }
        let shared = self.clone();
        Box::pin(async move {
            for held in &drawn {
                let _measured = Measured { journey: &journey, began: Instant::now() };
                wait(&shared.faults, &held.fault).await;
            }
            // A service that makes several calls at once has begun all of them before this one
            // fails: those beside it do not follow from the fault.
            tokio::task::yield_now().await;
            if let Some(instead) = drawn.iter().find_map(|held| shared.instead(&held.fault)) {
                return instead;
            }
            let mut answer = ready.finish(request).await;
            if drawn.iter().any(|held| lets_out(&held.fault)) {
                answer = shared.let_out(answer).await;
            }
            drawn.iter().fold(answer, |answer, held| shared.spoil(&held.fault, answer))
        })
    }
}

/// Notes how long a call was held, also when a deadline cuts it short.
struct Measured<'a> {
    journey: &'a Journey,
    began: Instant,
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.journey.held(self.began.elapsed());
    }
}

/// Remembers the fault for the span and the breaker of the call, and puts it into the baggage of
/// what the call causes, and into the log.
fn mark(fault: &Active, journey: &Journey, request: &mut Request) {
    let flag = match fault.spec.kind {
        FaultKind::Delay(_) | FaultKind::Jitter { .. } | FaultKind::Hang => Flag::DelayInjected,
        FaultKind::Abort { .. }
        | FaultKind::PartialBody { .. }
        | FaultKind::Reset(_)
        | FaultKind::Crash { .. }
        | FaultKind::Message(_) => Flag::FaultInjected,
    };
    journey.hit(fault.id, flag);
    baggage::append(request.headers_mut(), fault.id);
    tracing::warn!(
        vitrine.fault.id = %fault.id,
        "{} injected: {}", fault.id, fault.spec.kind,
    );
}

/// Holds the call as long as the fault says, but no longer than the fault itself is active.
pub(super) async fn wait(faults: &Faults, fault: &Active) {
    let left = faults.left(fault).unwrap_or_default();
    let hold = match fault.spec.kind {
        FaultKind::Delay(delay) | FaultKind::Message(MessageFault::Delay(delay)) => delay.min(left),
        FaultKind::Jitter { min, max } => {
            let range = u64::try_from((max - min).as_micros()).unwrap_or(u64::MAX);
            (min + Duration::from_micros(fault.ids.below(range))).min(left)
        }
        FaultKind::Hang => left,
        FaultKind::Abort { .. }
        | FaultKind::PartialBody { .. }
        | FaultKind::Reset(_)
        | FaultKind::Crash { .. }
        | FaultKind::Message(_) => return,
    };
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        () = fault.over.cancelled() => {}
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
