//! The breakers as a tower layer: asks one before a call, tells it the outcome after. A call is
//! over with the body of its answer: to who called, one that broke off or was cut has failed.

use super::{
    machine::{Breaker, Passed},
    window::{Answer, Cause},
};
use crate::{
    MeshError, Request, Response, baggage,
    call::by_mesh,
    deadline::Deadline,
    edge::Tally,
    journey::Journey,
    mirror::Mirrored,
    span::trace_id,
    stack::{MeshLayer, MeshService, Reply},
    tail::{self, Tail},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::Span;

/// One admitted call. Dropped before its end it tells a failure if the deadline had passed (the
/// deadline layer, further out, cut the call or the body of its answer); otherwise the caller went
/// away: it tells the head of the answer when that had come, and nothing when not.
struct Permit {
    breaker: Arc<Breaker>,
    passed: Passed,
    began: Instant,
    deadline: Option<Instant>,
    trace_id: Option<Arc<str>>,
    journey: Arc<Journey>,
    /// The head of the answer, which is all right.
    head: Option<Head>,
    reported: bool,
}

/// What is known of a call when the head of its answer has come.
struct Head {
    answer: Answer,
    /// How long an answer takes is said of its head, however slowly the rest is read.
    took: Duration,
    /// The faults that were met below the call; its body is read in another span.
    met: Option<String>,
}

impl Tail for Permit {
    fn end(mut self, broken: Option<&axum::Error>) {
        if let Some(error) = broken {
            let kind = by_mesh(error).map_or(MeshError::LOST, |error| error.kind());
            self.report(Answer::Nothing(kind), self.began.elapsed());
        } else if let Some(Head { answer, took, .. }) = self.head {
            self.report(answer, took);
        }
    }
}

impl Permit {
    /// The head of the answer has come, or none will. With a body that is still to come the call
    /// goes on.
    fn follow(mut self, outcome: Result<Response, MeshError>) -> Result<Response, MeshError> {
        let answer = answer(&outcome);
        let took = self.began.elapsed();
        match outcome {
            Ok(response) if !answer.is_failure() => {
                let met = base::carried::met(&Span::current());
                self.head = Some(Head { answer, took, met });
                Ok(tail::follow(response, self))
            }
            outcome => {
                self.report(answer, took);
                outcome
            }
        }
    }

    /// What a call that ended so can be blamed on.
    fn cause(&self, failed: bool) -> Cause {
        // What the callee met further down is known to the span around its work, which is this.
        // What the request carried here from before, or was met beside it, is not to blame.
        let met = match &self.head {
            Some(head) => head.met.clone(),
            None => base::carried::met(&Span::current()),
        };
        for fault in met.iter().filter(|_| failed).flat_map(|line| baggage::ids(line)) {
            self.journey.met(fault);
        }
        Cause { trace_id: self.trace_id.clone(), faults: self.journey.causes() }
    }

    fn report(&mut self, answer: Answer, took: Duration) {
        self.reported = true;
        let cause = self.cause(answer.is_failure());
        self.breaker.report(self.passed, answer, took, &cause);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.report(Answer::Nothing(MeshError::TIMEOUT), self.began.elapsed());
        } else if let Some(Head { answer, took, .. }) = self.head {
            self.report(answer, took);
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
        let cause = Cause { trace_id: trace_id.clone(), faults: journey.causes() };
        let passed = self.breaker.admit(&cause).inspect_err(|_| {
            // Who is refused suffers from what opened the breaker, and so does who called it.
            self.breaker.causes().into_iter().for_each(|fault| journey.met(fault));
        })?;
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let (breaker, journey) = (self.breaker.clone(), journey.clone());
        let (began, head, reported) = (Instant::now(), None, false);
        Ok(Permit { breaker, passed, began, deadline, trace_id, journey, head, reported })
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
        Box::pin(async move { permit.follow(reply.await) })
    }
}

fn answer(outcome: &Result<Response, MeshError>) -> Answer {
    match outcome {
        Ok(response) => Answer::Status(response.status().as_u16()),
        Err(error) => Answer::Nothing(error.kind()),
    }
}
