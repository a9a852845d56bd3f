//! The retry layer: sends a request again while its outcome, the gate and the deadline allow it.

use super::{
    backoff,
    decide::{Loss, TryOutcome, token_for, word},
    gate::{ActiveRetry, RetryGate, RetryGates},
};
use crate::{
    MeshError, Request, Response, chosen::Chosen, context::EXPECTED_TIMEOUT_MS,
    deadline::Deadline, replay::Replay,
};
use axum::body::Body;
use base::IdSource;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, request::Parts};
use http_body::Body as _;
use istio::policy::{Retry, RetryBudget};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::Span;

/// Which try this is, from 1.
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// Longest body that is kept to be sent again, bytes: Envoy's `per_connection_buffer_limit_bytes`.
const REPLAY_BYTES_MAX: usize = 1024 * 1024;
/// Endpoints remembered of one request: more are tried only with absurd settings.
const TRIED_MAX: usize = 16;

/// How a request may be repeated; an extension set by the layer that chose its route.
#[derive(Clone, Debug)]
pub(crate) struct RetryPlan {
    /// The route's policy.
    pub(crate) policy: Retry,
    /// The destination's budget; overrides the limit.
    pub(crate) budget: Option<RetryBudget>,
    /// The destination's `maxRetries`.
    pub(crate) max_retries: Option<u32>,
}

/// Which try of a request this is; an extension of every try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Tries at most.
    pub of: u32,
}

/// Endpoints a request was sent to, for the balancer: it notes its choice, and avoids the earlier
/// ones when the policy says so (`retryIgnorePreviousHosts`).
#[derive(Clone, Debug, Default)]
pub struct TriedEndpoints {
    endpoints: Arc<Mutex<Vec<Arc<str>>>>,
    avoid: bool,
}

impl TriedEndpoints {
    /// Notes the endpoint a try goes to.
    pub fn note(&self, endpoint: Arc<str>) {
        let mut endpoints = self.endpoints.lock();
        if endpoints.len() < TRIED_MAX {
            endpoints.push(endpoint);
        }
    }

    /// Endpoints a retry should rather not go to.
    #[must_use]
    pub fn to_avoid(&self) -> Vec<Arc<str>> {
        if self.avoid { self.endpoints.lock().clone() } else { Vec::new() }
    }

    fn last(&self) -> Option<Arc<str>> {
        self.endpoints.lock().last().cloned()
    }
}

/// Makes [`Retrying`] services.
#[derive(Clone, Debug)]
pub(crate) struct RetryLayer {
    pub(crate) gates: RetryGates,
    /// For the jitter.
    pub(crate) ids: IdSource,
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retrying<S>;

    fn layer(&self, inner: S) -> Retrying<S> {
        Retrying { inner, settings: self.clone() }
    }
}

/// Repeats tries.
#[derive(Clone, Debug)]
pub(crate) struct Retrying<S> {
    inner: S,
    settings: RetryLayer,
}

impl<S> Service<Request> for Retrying<S>
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
        let chosen = request.extensions().get::<Chosen>().cloned();
        let plan = request.extensions_mut().remove::<RetryPlan>();
        let (Some(plan), Some(chosen)) = (plan, chosen) else {
            return Box::pin(ready.call(request));
        };
        let gate = self.settings.gates.gate(&chosen.service, chosen.subset.as_ref());
        let ids = self.settings.ids.clone();
        let call = Call::new(plan, chosen.service, gate, ids, request);
        Box::pin(call.run(ready))
    }
}

/// One request and what its tries share.
struct Call {
    plan: RetryPlan,
    service: Arc<str>,
    gate: Arc<RetryGate>,
    ids: IdSource,
    parts: Parts,
    body: TryBody,
    deadline: Option<Instant>,
    tried: TriedEndpoints,
}

/// Where the body of the next try comes from.
enum TryBody {
    /// There is none.
    Empty,
    /// Not to be repeated, or not sent yet.
    Once(Option<Body>),
    /// Recorded while the first try sends it.
    Recorded { first: Option<Body>, replay: Replay },
}

impl TryBody {
    fn new(body: Body, retries: u32) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        if retries == 0 {
            return Self::Once(Some(body));
        }
        let (replay, first) = Replay::new(body, REPLAY_BYTES_MAX);
        Self::Recorded { first: Some(first), replay }
    }

    /// The body of the next try; [`None`] when it cannot be sent again.
    fn next(&mut self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::empty()),
            Self::Once(body) => body.take(),
            Self::Recorded { first, replay } => first.take().or_else(|| replay.again()),
        }
    }
}

/// Why the outcome of a try is final.
enum Verdict {
    Final,
    Again { token: String, retry: ActiveRetry, wait: Duration },
}

impl Call {
    fn new(
        plan: RetryPlan,
        service: Arc<str>,
        gate: Arc<RetryGate>,
        ids: IdSource,
        request: Request,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let body = TryBody::new(body, plan.policy.attempts);
        let deadline = parts.extensions.get::<Deadline>().map(|deadline| deadline.0);
        let avoid = plan.policy.ignore_previous_hosts;
        let tried = TriedEndpoints { avoid, ..TriedEndpoints::default() };
        parts.extensions.insert(tried.clone());
        Self { plan, service, gate, ids, parts, body, deadline, tried }
    }

    /// The tries, one after the other. `service` is ready for the first.
    async fn run<S>(mut self, mut service: S) -> Result<Response, MeshError>
    where
        S: Service<Request, Response = Response, Error = MeshError> + Send,
        S::Future: Send,
    {
        // Held until the next verdict: a retry counts while it waits and while it is under way.
        let mut held: Option<ActiveRetry> = None;
        let mut body = self.body.next();
        let mut number = 1;
        loop {
            let sent = body.take().unwrap_or_default();
            let until = self.try_deadline();
            let call = service.call(self.request(number, sent, until));
            let (result, outcome) = {
                let _active = self.gate.begin_try();
                try_once(call, until, self.service.clone()).await
            };
            let retried = held.take().is_some();
            let Verdict::Again { token, retry, wait } = self.verdict(number, outcome) else {
                if retried && result.as_ref().is_ok_and(|answer| !answer.status().is_server_error())
                {
                    self.gate.succeeded();
                }
                return result;
            };
            body = self.body.next();
            if body.is_none() {
                tracing::info!("not repeated: the body is too long to keep");
                return result;
            }
            self.tell(number, &token, wait);
            held = Some(retry);
            tokio::time::sleep(wait).await;
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            number += 1;
        }
    }

    /// When a try is given up; [`None`] when the deadline of the whole call comes first, which is
    /// also how a per-try timeout that is not shorter than the route's is ignored.
    fn try_deadline(&self) -> Option<Instant> {
        let until = Instant::now() + self.plan.policy.per_try_timeout?;
        self.deadline.is_none_or(|deadline| until < deadline).then_some(until)
    }

    fn request(&self, number: u32, body: Body, until: Option<Instant>) -> Request {
        let mut request = Request::from_parts(self.parts.clone(), body);
        let headers = request.headers_mut();
        headers.insert(ATTEMPT_COUNT, HeaderValue::from(number));
        if let Some(until) = until.or(self.deadline) {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            headers.insert(EXPECTED_TIMEOUT_MS, HeaderValue::from(left));
        }
        let of = self.plan.policy.attempts.saturating_add(1);
        request.extensions_mut().insert(Attempt { number, of });
        request
    }

    fn verdict(&self, number: u32, outcome: TryOutcome) -> Verdict {
        let policy = &self.plan.policy;
        let Some(token) = token_for(&policy.on, outcome) else { return Verdict::Final };
        if number > policy.attempts {
            if policy.attempts > 0 {
                self.gate.exhausted();
            }
            return Verdict::Final;
        }
        let wait = backoff::before(number, policy.backoff, &self.ids);
        // A retry that could only begin after the deadline would be work for nobody.
        if self.deadline.is_some_and(|deadline| Instant::now() + wait >= deadline) {
            return Verdict::Final;
        }
        match self.gate.admit(self.plan.budget, self.plan.max_retries) {
            Some(retry) => Verdict::Again { token: word(token), retry, wait },
            None => {
                tracing::warn!(
                    server.address = %self.service,
                    "not repeated: retries to {} are at their limit", self.service,
                );
                Verdict::Final
            }
        }
    }

    /// Puts the retry on the span of the call.
    fn tell(&self, number: u32, token: &str, wait: Duration) {
        let (service, of) = (&self.service, self.plan.policy.attempts);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let endpoint = self.tried.last();
        Span::current().record("http.request.resend_count", number);
        tracing::info!(
            mesh.retry.number = number,
            mesh.retry.reason = token,
            mesh.retry.backoff_ms = wait_ms,
            mesh.retry.failed_endpoint = endpoint.as_deref(),
            "retry {number} of {of} to {service} in {wait_ms} ms: the try before ended with {token}",
        );
    }
}

/// The end of one try. A try that takes too long is a lost one, and a lost one may be repeated.
async fn try_once(
    call: impl Future<Output = Result<Response, MeshError>>,
    until: Option<Instant>,
    destination: Arc<str>,
) -> (Result<Response, MeshError>, TryOutcome) {
    let result = match until {
        None => call.await,
        Some(until) => match tokio::time::timeout_at(until, call).await {
            Ok(result) => result,
            Err(_) => {
                let late = MeshError::Deadline { destination: destination.as_ref().into() };
                return (Err(late), TryOutcome::Lost(Loss::Reset));
            }
        },
    };
    let outcome = TryOutcome::of(&result);
    (result, outcome)
}
