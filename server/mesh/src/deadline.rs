//! The deadline layer: a call ends when its deadline does, and the callee is told what is left.
//!
//! The sooner of the caller's deadline and the route's timeout holds, and it covers all tries and
//! the body of the answer.
//! The time left travels as `x-envoy-expected-rq-timeout-ms`, so that nested calls inherit it; it
//! is written when a try goes out to an instance, for a try may have waited before.

use crate::{
    MeshError, Request,
    context::EXPECTED_TIMEOUT_MS,
    edge::Tally,
    fault::{Faults, as_in_istio},
    route::Routed,
    stack::{MeshLayer, MeshService, Reply},
    tail,
};
use contract::attributes;
use http::HeaderValue;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::Span;

/// When the call of this request must have ended; an extension set by the caller, and brought
/// forward by the route's timeout and for each try by what a try may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Deadline {
    /// The end of what this request is a part of: of the try, inside the retries.
    pub(crate) fn of(request: &Request) -> Option<Instant> {
        request.extensions().get::<Self>().map(|deadline| deadline.0)
    }

    /// Tells the callee how much time it has from now on.
    pub(crate) fn tell(request: &mut Request) {
        let Some(deadline) = Self::of(request) else { return };
        let left_ms = millis(deadline.saturating_duration_since(Instant::now()));
        request.headers_mut().insert(EXPECTED_TIMEOUT_MS, HeaderValue::from(left_ms));
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Ends calls at their deadline.
#[derive(Debug)]
pub(crate) struct DeadlineLayer {
    pub(crate) destination: Arc<str>,
    /// Says on which routes timeouts are off while they have a fault.
    pub(crate) faults: Faults,
    pub(crate) tally: Arc<Tally>,
}

impl MeshLayer for DeadlineLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, mut request: Request) -> Reply {
        self.tally.reach();
        let now = Instant::now();
        let faithful = as_in_istio(&self.faults, &request);
        let extensions = request.extensions();
        let asked = extensions.get::<Deadline>().map(|deadline| deadline.0);
        let route = extensions.get::<Arc<Routed>>().and_then(|routed| routed.route.as_ref());
        let route = route.filter(|_| !faithful);
        let routed = route.and_then(|route| route.timeout).map(|timeout| now + timeout);
        let Some(deadline) = asked.into_iter().chain(routed).min() else {
            return ready.finish(request);
        };
        if asked != Some(deadline) {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let left_ms = millis(deadline.saturating_duration_since(now));
        Span::current().record(attributes::MESH_TIMEOUT_MS, left_ms);
        let layer = self.clone();
        let reply = ready.finish(request);
        Box::pin(async move {
            let Ok(answer) = tokio::time::timeout_at(deadline, reply).await else {
                layer.tally.act();
                let destination = layer.destination.as_ref().into();
                return Err(MeshError::Deadline { destination });
            };
            answer.map(|answer| tail::cut_at(deadline, answer, &layer.destination, &layer.tally))
        })
    }
}
