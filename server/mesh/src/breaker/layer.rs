//! The breaker as a tower layer: asks the state machine before a call, tells it the outcome after.

use super::state::{Admission, BreakerEvent, BreakerParams, BreakerState};
use crate::{
    Change, MeshError, Request, Response,
    changes::Announcer,
    deadline::Deadline,
    edge::Tally,
    journey::Journey,
    stack::{MeshService, Reply, take_ready},
};
use base::{Clock, TraceContext};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower::{Layer, Service};

/// A breaker changed state.
#[derive(Clone, Debug)]
pub struct BreakerTransition {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// Of which subset, if a route named one.
    pub subset: Option<Arc<str>>,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The state it left.
    pub from: BreakerState,
    /// The state it is in now.
    pub to: BreakerState,
    /// The trace of the call that caused it, 32 hex digits.
    pub trace_id: Option<Arc<str>>,
}

/// A breaker as it is now.
#[derive(Clone, Debug)]
pub struct BreakerStatus {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// Of which subset, if a route named one.
    pub subset: Option<Arc<str>>,
    /// Its state.
    pub state: BreakerState,
}

/// One breaker, shared by all calls from one caller to one destination and subset.
#[derive(Debug)]
pub(crate) struct Breaker {
    caller: Arc<str>,
    destination: Arc<str>,
    subset: Option<Arc<str>>,
    params: BreakerParams,
    clock: Clock,
    state: Mutex<BreakerState>,
    announcer: Announcer,
}

impl Breaker {
    pub(crate) fn new(
        (caller, destination, subset): (Arc<str>, Arc<str>, Option<Arc<str>>),
        params: BreakerParams,
        clock: Clock,
        announcer: Announcer,
    ) -> Self {
        let state = Mutex::new(BreakerState::Closed { failures: 0 });
        Self { caller, destination, subset, params, clock, state, announcer }
    }

    pub(crate) fn status(&self) -> BreakerStatus {
        BreakerStatus {
            caller: self.caller.clone(),
            destination: self.destination.clone(),
            subset: self.subset.clone(),
            state: *self.state.lock(),
        }
    }

    fn step(&self, event: BreakerEvent) -> (BreakerState, Admission) {
        let at_us = self.clock.now_us();
        let (from, to, admission) = {
            let mut state = self.state.lock();
            let from = *state;
            let (to, admission) = from.next(event, &self.params, at_us);
            *state = to;
            (from, to, admission)
        };
        if from.name() != to.name() {
            tracing::warn!(
                service.name = %self.caller,
                mesh.breaker.destination = %self.destination,
                mesh.breaker.from = from.name(),
                mesh.breaker.to = to.name(),
                "breaker for {} went from {} to {}", self.destination, from.name(), to.name(),
            );
            self.announcer.tell(Change::Breaker(BreakerTransition {
                caller: self.caller.clone(),
                destination: self.destination.clone(),
                subset: self.subset.clone(),
                at_us,
                from,
                to,
                trace_id: TraceContext::current().trace_id().map(Into::into),
            }));
        }
        (to, admission)
    }

    fn admit(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, MeshError> {
        let (state, admission) = self.step(BreakerEvent::Admit);
        let probe = match admission {
            Admission::Pass => false,
            Admission::Probe => true,
            Admission::Refuse => {
                let left_us = match state {
                    BreakerState::Open { until_us } => until_us - self.clock.now_us(),
                    _ => 0,
                };
                return Err(MeshError::BreakerOpen {
                    destination: self.destination.as_ref().into(),
                    retry_after: Duration::from_micros(u64::try_from(left_us).unwrap_or(0)),
                });
            }
        };
        Ok(Permit { breaker: self.clone(), probe, deadline, reported: false })
    }
}

/// One admitted call. Dropped without an outcome it tells a failure if the deadline had passed
/// (the deadline layer, further out, cut the call), and nothing if the caller went away.
struct Permit {
    breaker: Arc<Breaker>,
    probe: bool,
    deadline: Option<Instant>,
    reported: bool,
}

impl Permit {
    fn report(mut self, failed: bool) {
        self.reported = true;
        self.breaker.step(if failed { BreakerEvent::Failure } else { BreakerEvent::Success });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.breaker.step(BreakerEvent::Failure);
        } else if self.probe {
            self.breaker.step(BreakerEvent::ProbeAbandoned);
        }
    }
}

/// Makes [`Guarded`] services around one breaker.
#[derive(Clone, Debug)]
pub(crate) struct BreakerLayer {
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) tally: Arc<Tally>,
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, shared: self.clone() }
    }
}

/// Refuses calls while the breaker is open.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    shared: BreakerLayer,
}

impl<S: MeshService> Service<Request> for Guarded<S> {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        let mut ready = take_ready(&mut self.inner);
        let BreakerLayer { breaker, tally } = &self.shared;
        // A breaker belongs to the application that calls, and that is out there.
        if Journey::of(&request).is_some_and(|journey| journey.ingress) {
            return ready.call(request);
        }
        tally.reach();
        let deadline = request.extensions().get::<Deadline>().map(|d| d.0);
        let permit = match breaker.admit(deadline) {
            Ok(permit) => permit,
            Err(refused) => {
                tally.act();
                return Box::pin(std::future::ready(Err(refused)));
            }
        };
        let reply = ready.call(request);
        Box::pin(async move {
            let outcome = reply.await;
            permit.report(is_failure(&outcome));
            outcome
        })
    }
}

/// A 5xx or no answer is a failure; every other answer, 4xx too, is a result.
fn is_failure(outcome: &Result<Response, MeshError>) -> bool {
    outcome.as_ref().map_or(true, |response| response.status().is_server_error())
}
