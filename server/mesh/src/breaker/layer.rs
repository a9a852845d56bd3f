//! The breaker as a tower layer: asks the state machine before a call, tells it the outcome after.

use super::state::{Admission, BreakerEvent, BreakerParams, BreakerState};
use crate::{MeshError, Request, Response, call::Ingress, deadline::Deadline};
use base::Clock;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};
use tower::{Layer, Service};

/// A breaker changed state.
#[derive(Clone, Debug)]
pub struct BreakerTransition {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The state it left.
    pub from: BreakerState,
    /// The state it is in now.
    pub to: BreakerState,
}

/// A breaker as it is now.
#[derive(Clone, Debug)]
pub struct BreakerStatus {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// Its state.
    pub state: BreakerState,
}

/// One breaker, shared by all calls from one caller to one destination.
#[derive(Debug)]
pub(crate) struct Breaker {
    caller: Arc<str>,
    destination: Arc<str>,
    params: BreakerParams,
    clock: Clock,
    state: Mutex<BreakerState>,
    transitions: broadcast::Sender<BreakerTransition>,
}

impl Breaker {
    pub(crate) fn new(
        (caller, destination): (Arc<str>, Arc<str>),
        params: BreakerParams,
        clock: Clock,
        transitions: broadcast::Sender<BreakerTransition>,
    ) -> Self {
        let state = Mutex::new(BreakerState::Closed { failures: 0 });
        Self { caller, destination, params, clock, state, transitions }
    }

    pub(crate) fn status(&self) -> BreakerStatus {
        BreakerStatus {
            caller: self.caller.clone(),
            destination: self.destination.clone(),
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
            let (caller, destination) = (self.caller.clone(), self.destination.clone());
            // Nobody listening is fine: the state itself can always be asked for.
            let _ =
                self.transitions.send(BreakerTransition { caller, destination, at_us, from, to });
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
pub(crate) struct BreakerLayer(pub(crate) Arc<Breaker>);

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, breaker: self.0.clone() }
    }
}

/// Refuses calls while the breaker is open.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    breaker: Arc<Breaker>,
}

impl<S> Service<Request> for Guarded<S>
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

    fn call(&mut self, request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        if request.extensions().get::<Ingress>().is_some() {
            return Box::pin(ready.call(request));
        }
        let deadline = request.extensions().get::<Deadline>().map(|d| d.0);
        let permit = match self.breaker.admit(deadline) {
            Ok(permit) => permit,
            Err(refused) => return Box::pin(std::future::ready(Err(refused))),
        };
        Box::pin(async move {
            let outcome = ready.call(request).await;
            permit.report(is_failure(&outcome));
            outcome
        })
    }
}

/// A 5xx or no answer is a failure; every other answer, 4xx too, is a result.
fn is_failure(outcome: &Result<Response, MeshError>) -> bool {
    outcome.as_ref().map_or(true, |response| response.status().is_server_error())
}
