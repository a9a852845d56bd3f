//! The breakers as a tower layer: asks one before a call, tells it the outcome after.

use super::{
    machine::{Breaker, Passed},
    window::{Answer, Cause},
};
use crate::{
    MeshError, Request, Response, baggage,
    deadline::Deadline,
    edge::Tally,
    journey::Journey,
    mirror::Mirrored,
    span::trace_id,
    stack::{MeshLayer, MeshService, Reply},
};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::Span;

/// One admitted call. Dropped without an outcome it tells a failure if the deadline had passed
/// (the deadline layer, further out, cut the call), and nothing if the caller went away.
struct Permit {
    breaker: Arc<Breaker>,
    passed: Passed,
    began: Instant,
    deadline: Option<Instant>,
    trace_id: Option<Arc<str>>,
    journey: Arc<Journey>,
    reported: bool,
}

impl Permit {
    /// What a call that ended so can be blamed on.
    fn cause(&self, failed: bool) -> Cause {
        // What the callee met further down is carried by the span around its work, which is this;
        // it carries nothing of what was met beside it.
        let carried = base::carried::of(&Span::current()).filter(|_| failed);
        for fault in carried.iter().flat_map(|line| baggage::ids(line)) {
            self.journey.met(fault);
        }
        Cause { trace_id: self.trace_id.clone(), faults: self.journey.faults() }
    }

    fn report(mut self, answer: Answer) {
        self.reported = true;
        let cause = self.cause(answer.is_failure());
        self.breaker.report(self.passed, answer, self.began.elapsed(), &cause);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let answer = Answer::Nothing(MeshError::TIMEOUT);
            self.breaker.report(self.passed, answer, self.began.elapsed(), &self.cause(true));
        } else {
            self.breaker.abandon(self.passed, || self.cause(false));
        }
    }
}

/// Refuses calls while the breaker is open.
#[derive(Debug)]
pub(crate) struct BreakerLayer {
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) tally: Arc<Tally>,
}

impl BreakerLayer {
    fn admit(&self, request: &Request, journey: &Arc<Journey>) -> Result<Permit, MeshError> {
        let trace_id: Option<Arc<str>> = trace_id(request.headers()).map(Into::into);
        let cause = Cause { trace_id: trace_id.clone(), faults: journey.faults() };
        let passed = self.breaker.admit(&cause).inspect_err(|_| {
            // Who is refused suffers from what opened the breaker, and so does who called it.
            self.breaker.causes().into_iter().for_each(|fault| journey.met(fault));
        })?;
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let (breaker, journey) = (self.breaker.clone(), journey.clone());
        let (began, reported) = (Instant::now(), false);
        Ok(Permit { breaker, passed, began, deadline, trace_id, journey, reported })
    }
}

impl MeshLayer for BreakerLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply {
        let journey = Journey::of(&request).filter(|journey| !journey.ingress).cloned();
        let copy = request.extensions().get::<Mirrored>().is_some();
        // A breaker belongs to the application that calls. That is out there, or it is nobody: the
        // application does not know of copies.
        let Some(journey) = journey.filter(|_| !copy) else { return ready.finish(request) };
        self.tally.reach();
        let permit = match self.admit(&request, &journey) {
            Ok(permit) => permit,
            Err(refused) => {
                self.tally.act();
                return Box::pin(std::future::ready(Err(refused)));
            }
        };
        let reply = ready.finish(request);
        Box::pin(async move {
            let outcome = reply.await;
            permit.report(answer(&outcome));
            outcome
        })
    }
}

fn answer(outcome: &Result<Response, MeshError>) -> Answer {
    match outcome {
        Ok(response) => Answer::Status(response.status().as_u16()),
        Err(error) => Answer::Nothing(error.kind()),
    }
}
