//! The breakers as a tower layer: asks one before a call, tells it the outcome after.

use super::{
    machine::{BadForce, Breaker, BreakerStatus, BreakerTransition, Edge, Forced, Passage},
    state::BreakerParams,
    window::Cause,
};
use crate::{
    MeshError, Request, Response, call::Ingress, chosen::Chosen, deadline::Deadline,
    fault::FaultTrail, span::read_context,
};
use base::Clock;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};
use tower::{Layer, Service};

/// Breaker transitions a slow listener may lag behind by before it loses the oldest.
const TRANSITIONS_MAX: usize = 256;
/// Breakers kept. Callers, services and subsets come from the program and from resources; what is
/// beyond passes unwatched, and is counted.
const BREAKERS_MAX: usize = 1024;

/// All breakers. Clones are the same.
#[derive(Clone, Debug)]
pub struct Breakers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    params: BreakerParams,
    edges: RwLock<BTreeMap<Edge, Arc<Breaker>>>,
    transitions: broadcast::Sender<BreakerTransition>,
}

impl Breakers {
    /// No breakers yet; each begins with these parameters at the first call over its edge.
    #[must_use]
    pub fn new(clock: Clock, params: BreakerParams) -> Self {
        let (transitions, _) = broadcast::channel(TRANSITIONS_MAX);
        Self(Arc::new(Inner { clock, params, edges: RwLock::default(), transitions }))
    }

    /// Every breaker, as it is now.
    #[must_use]
    pub fn all(&self) -> Vec<BreakerStatus> {
        self.0.edges.read().values().map(|breaker| breaker.status()).collect()
    }

    /// Transitions from now on.
    #[must_use]
    pub fn transitions(&self) -> broadcast::Receiver<BreakerTransition> {
        self.0.transitions.subscribe()
    }

    /// Overrules a breaker for `ttl`; afterwards it goes on where it was.
    ///
    /// # Errors
    /// When `ttl` is 0 or longer than [`super::FORCE_MAX`].
    pub fn force(&self, edge: &Edge, to: Forced, ttl: Duration, by: &str) -> Result<(), BadForce> {
        // Also before its first call: who forces it open means that call, too.
        self.breaker(edge.clone()).map_or(Ok(()), |breaker| breaker.force(to, ttl, by))
    }

    /// Lifts a force before its time. False when there was none.
    pub fn unforce(&self, edge: &Edge, by: &str) -> bool {
        self.known(edge).is_some_and(|breaker| breaker.unforce(by))
    }

    /// Closes a breaker and forgets its failures. False when there is no such breaker.
    pub fn reset(&self, edge: &Edge, by: &str) -> bool {
        self.known(edge).map(|breaker| breaker.reset(by)).is_some()
    }

    /// Sets the parameters of one breaker. False when there is no such breaker.
    pub fn set_params(&self, edge: &Edge, params: BreakerParams, by: &str) -> bool {
        self.known(edge).map(|breaker| breaker.set_params(params, by)).is_some()
    }

    fn known(&self, edge: &Edge) -> Option<Arc<Breaker>> {
        self.0.edges.read().get(edge).cloned()
    }

    pub(crate) fn breaker(&self, edge: Edge) -> Option<Arc<Breaker>> {
        if let Some(breaker) = self.known(&edge) {
            return Some(breaker);
        }
        let mut edges = self.0.edges.write();
        if edges.len() >= BREAKERS_MAX && !edges.contains_key(&edge) {
            return None;
        }
        let new = || {
            let (clock, transitions) = (self.0.clock.clone(), self.0.transitions.clone());
            Arc::new(Breaker::new(edge.clone(), self.0.params, clock, transitions))
        };
        Some(edges.entry(edge.clone()).or_insert_with(new).clone())
    }
}

/// One admitted call. Dropped without an outcome it tells a failure if the deadline had passed
/// (the deadline layer, further out, cut the call), and nothing if the caller went away.
struct Permit {
    breaker: Arc<Breaker>,
    passage: Passage,
    began: Instant,
    deadline: Option<Instant>,
    trace_id: Option<String>,
    trail: FaultTrail,
    reported: bool,
}

impl Permit {
    fn cause(&self) -> Cause {
        Cause { trace_id: self.trace_id.clone(), faults: self.trail.ids() }
    }

    fn report(mut self, failed: bool) {
        self.reported = true;
        self.breaker.report(self.passage, failed, self.began.elapsed(), &self.cause());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.breaker.report(self.passage, true, self.began.elapsed(), &self.cause());
        } else if self.passage == Passage::Probe {
            self.breaker.abandon_probe(&self.cause());
        }
    }
}

/// Makes [`Guarded`] services for the calls of one caller.
#[derive(Clone, Debug)]
pub(crate) struct BreakerLayer {
    pub(crate) breakers: Breakers,
    pub(crate) caller: Arc<str>,
    /// Who was called, when no route says otherwise.
    pub(crate) destination: Arc<str>,
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, settings: self.clone() }
    }
}

impl BreakerLayer {
    fn admit(&self, request: &mut Request) -> Result<Option<Permit>, MeshError> {
        let trail = FaultTrail::of(request);
        let chosen = request.extensions().get::<Chosen>();
        let edge = Edge {
            caller: self.caller.clone(),
            destination: chosen.map_or(&self.destination, |chosen| &chosen.service).clone(),
            subset: chosen.and_then(|chosen| chosen.subset.clone()),
        };
        let Some(breaker) = self.breakers.breaker(edge) else { return Ok(None) };
        let trace_id = read_context(request.headers()).trace_id().map(str::to_owned);
        let cause = Cause { trace_id: trace_id.clone(), faults: trail.ids() };
        let passage = breaker.admit(&cause)?;
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let began = Instant::now();
        Ok(Some(Permit { breaker, passage, began, deadline, trace_id, trail, reported: false }))
    }
}

/// Refuses calls while the breaker is open.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    settings: BreakerLayer,
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        if request.extensions().get::<Ingress>().is_some() {
            return Box::pin(ready.call(request));
        }
        let permit = match self.settings.admit(&mut request) {
            Ok(permit) => permit,
            Err(refused) => return Box::pin(std::future::ready(Err(refused))),
        };
        Box::pin(async move {
            let outcome = ready.call(request).await;
            if let Some(permit) = permit {
                permit.report(is_failure(&outcome));
            }
            outcome
        })
    }
}

/// A 5xx or no answer is a failure; every other answer, 4xx too, is a result.
fn is_failure(outcome: &Result<Response, MeshError>) -> bool {
    outcome.as_ref().map_or(true, |response| response.status().is_server_error())
}
