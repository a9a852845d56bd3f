//! The retry layer: sends a request again while its outcome, the gate and the deadline allow it.

use super::{
    attempt::Attempt,
    backoff,
    decide::{Loss, TryOutcome, token_for, word},
    stats::{RetryCounts, count},
};
use crate::{
    Flag, MeshError, Request, Response,
    deadline::Deadline,
    edge::Tally,
    fault::{Faults, as_in_istio},
    journey::Journey,
    limits::{Pool, RetryUnderWay},
    mirror::Mirrored,
    replay::Replay,
    route::Routed,
    stack::{MeshLayer, MeshService, Reply},
};
use axum::body::Body;
use base::IdSource;
use http::{HeaderName, HeaderValue, request::Parts};
use http_body::Body as _;
use istio::policy::Retry;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::time::Instant;
use tracing::Instrument;

/// Which try this is, from 1.
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// Longest body that is kept to be sent again, bytes: Envoy's `per_connection_buffer_limit_bytes`.
const REPLAY_BYTES_MAX: usize = 1024 * 1024;

/// Repeats tries.
#[derive(Debug)]
pub(crate) struct RetryLayer {
    pub(crate) destination: Arc<str>,
    /// Says how many retries may be under way at once.
    pub(crate) pool: Arc<Pool>,
    pub(crate) counts: Arc<RetryCounts>,
    /// For the jitter.
    pub(crate) dice: IdSource,
    /// Says on which routes retries are off while they have a fault.
    pub(crate) faults: Faults,
    pub(crate) tally: Arc<Tally>,
}

impl MeshLayer for RetryLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply {
        self.tally.reach();
        if self.tries_once(&request) {
            return ready.finish(request);
        }
        Box::pin(Call::new(self.clone(), request).run(ready))
    }
}

impl RetryLayer {
    /// Whether a request is tried once, whatever happens.
    fn tries_once(&self, request: &Request) -> bool {
        let extensions = request.extensions();
        let routed = extensions.get::<Arc<Routed>>().map(|routed| &**routed);
        let policy = policy_of(routed);
        (policy.attempts == 0 && policy.per_try_timeout.is_none())
            || extensions.get::<Mirrored>().is_some()
            || as_in_istio(&self.faults, request)
    }
}

/// The policy of a route, or Istio's: it retries also where nobody wrote a route.
fn policy_of(routed: Option<&Routed>) -> &Retry {
    static DEFAULT: LazyLock<Retry> = LazyLock::new(Retry::default);
    let route = routed.and_then(|routed| routed.route.as_ref());
    route.map_or(&DEFAULT, |route| &route.retry)
}

/// One request and what its tries share.
struct Call {
    routed: Option<Arc<Routed>>,
    shared: Arc<RetryLayer>,
    parts: Parts,
    body: TryBody,
    deadline: Option<Instant>,
}

/// Where the body of the next try comes from.
enum TryBody {
    /// There is none.
    Empty,
    /// Recorded while the first try sends it.
    Recorded { first: Option<Body>, replay: Replay },
}

impl TryBody {
    fn new(body: Body) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let (replay, first) = Replay::new(body, REPLAY_BYTES_MAX);
        Self::Recorded { first: Some(first), replay }
    }

    /// Whether there is a body for another try, as far as it is known yet. It takes nothing.
    fn can_repeat(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Recorded { replay, .. } => replay.is_kept(),
        }
    }

    /// The body of the next try; [`None`] when it cannot be sent again.
    fn next(&mut self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::empty()),
            Self::Recorded { first, replay } => first.take().or_else(|| replay.again()),
        }
    }
}

/// What follows from the outcome of a try.
enum Verdict {
    Final,
    Again { token: String, body: Body, retry: RetryUnderWay, wait: Duration },
}

impl Call {
    fn new(shared: Arc<RetryLayer>, request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let deadline = parts.extensions.get::<Deadline>().map(|deadline| deadline.0);
        let routed = parts.extensions.get::<Arc<Routed>>().cloned();
        Self { routed, shared, parts, body: TryBody::new(body), deadline }
    }

    fn policy(&self) -> &Retry {
        policy_of(self.routed.as_deref())
    }

    /// The tries, one after the other. `service` is ready for the first.
    async fn run<S: MeshService>(mut self, mut service: S) -> Result<Response, MeshError> {
        // Held until the next verdict: a retry counts while it waits and while it is under way.
        let mut held: Option<RetryUnderWay> = None;
        let mut body = self.body.next().unwrap_or_default();
        let mut number = 1;
        loop {
            let until = self.try_deadline();
            let mut request = self.request(number, body, until);
            let (destination, retries) = (&self.shared.destination, self.policy().attempts);
            let attempt = Attempt::begin(destination, number, retries, &mut request);
            let scope = attempt.scope();
            let call = scope.in_scope(|| service.call(request));
            let (result, outcome) = try_once(call, until, destination).instrument(scope).await;
            let retried = held.take().is_some();
            let Verdict::Again { token, body: again, retry, wait } = self.verdict(number, outcome)
            else {
                attempt.end(&self.parts, &result, None);
                if retried && token_for(&self.policy().on, outcome).is_none() {
                    count(&self.shared.counts.successes);
                }
                return result;
            };
            attempt.end(&self.parts, &result, Some(&token));
            drop(result);
            self.tell(number, &token, wait);
            body = again;
            held = Some(retry);
            // As in Envoy, the answer that is to be repeated is let go at once: when the deadline
            // comes during the back-off, it ends the call with 504.
            tokio::time::sleep(wait).await;
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            number += 1;
        }
    }

    /// When a try is given up; [`None`] when the deadline of the whole call comes first, which is
    /// also how a per-try timeout that is not shorter than the route's is ignored.
    fn try_deadline(&self) -> Option<Instant> {
        let until = Instant::now() + self.policy().per_try_timeout?;
        self.deadline.is_none_or(|deadline| until < deadline).then_some(until)
    }

    fn request(&self, number: u32, body: Body, until: Option<Instant>) -> Request {
        let mut request = Request::from_parts(self.parts.clone(), body);
        let headers = request.headers_mut();
        headers.insert(ATTEMPT_COUNT, HeaderValue::from(number));
        if let Some(until) = until {
            request.extensions_mut().insert(Deadline(until));
        }
        request
    }

    fn verdict(&mut self, number: u32, outcome: TryOutcome) -> Verdict {
        let policy = policy_of(self.routed.as_deref());
        let Some(token) = token_for(&policy.on, outcome) else { return Verdict::Final };
        if number > policy.attempts {
            if policy.attempts > 0 {
                count(&self.shared.counts.exhausted);
                self.flag(Flag::RetryLimitExceeded);
            }
            return Verdict::Final;
        }
        if !self.body.can_repeat() {
            tracing::info!("not repeated: the body is too long to be kept");
            return Verdict::Final;
        }
        // Before the body is taken from the try that is over: if there is no retry, its answer is
        // the last one, and whoever gave it may read on.
        let traffic = self.routed.as_ref().and_then(|routed| routed.traffic());
        let Some(retry) = self.shared.pool.retry(traffic) else {
            let destination = &self.shared.destination;
            tracing::warn!("not repeated: retries to {destination} are at their limit");
            self.flag(Flag::RetryLimitExceeded);
            return Verdict::Final;
        };
        let wait = backoff::before(number, policy.backoff, &self.shared.dice);
        let Some(body) = self.body.next() else {
            tracing::info!("not repeated: the body is too long to be kept");
            return Verdict::Final;
        };
        Verdict::Again { token: word(token), body, retry, wait }
    }

    fn flag(&self, flag: Flag) {
        if let Some(journey) = self.parts.extensions.get::<Arc<Journey>>() {
            journey.add(flag);
        }
    }

    /// Puts the retry on the span of the call.
    fn tell(&self, number: u32, token: &str, wait: Duration) {
        self.shared.tally.act();
        count(&self.shared.counts.retries);
        let (destination, of) = (&self.shared.destination, self.policy().attempts);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let journey = self.parts.extensions.get::<Arc<Journey>>();
        let endpoint = journey.and_then(|journey| journey.instance());
        tracing::info!(
            mesh.retry.number = number,
            mesh.retry.reason = token,
            mesh.retry.backoff_ms = wait_ms,
            mesh.retry.failed_endpoint = endpoint.as_deref(),
            "retry {number} of {of} to {destination} in {wait_ms} ms after {token}",
        );
    }
}

/// The end of one try. A try that takes too long is a lost one, and a lost one may be repeated.
async fn try_once(
    call: Reply,
    until: Option<Instant>,
    destination: &str,
) -> (Result<Response, MeshError>, TryOutcome) {
    let result = match until {
        None => call.await,
        Some(until) => match tokio::time::timeout_at(until, call).await {
            Ok(result) => result,
            Err(_) => {
                let late = MeshError::Deadline { destination: destination.to_owned() };
                return (Err(late), TryOutcome::Lost(Loss::Reset));
            }
        },
    };
    let outcome = TryOutcome::of(&result);
    (result, outcome)
}
