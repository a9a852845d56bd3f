//! Outlier detection as a tower layer: tells the cluster and the endpoint what came of each try.

use super::state::{Outcome, http_of_grpc};
use crate::{
    MeshError, Request, Response,
    cluster::Cluster,
    deadline::Deadline,
    edge::Tally,
    endpoint::{Picked, Try},
    instance::Host,
    journey::Journey,
    retry::grpc_status,
    route::Routed,
    stack::{MeshLayer, MeshService, Reply},
    tail::{self, Tail},
};
use base::Clock;
use std::sync::Arc;
use tokio::time::Instant;

/// Watches the outcome of tries.
#[derive(Debug)]
pub(crate) struct OutlierLayer {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
    /// Of the endpoint, for what failed there.
    pub(crate) endpoint: Arc<Tally>,
}

impl MeshLayer for OutlierLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply {
        if Journey::looks(&request) {
            return ready.finish(request);
        }
        self.tally.reach();
        let extensions = request.extensions();
        let Some(Picked(at)) = extensions.get() else { return ready.finish(request) };
        // Of this try, which may be sooner than that of the whole call.
        let (host, deadline) = (at.host().clone(), Deadline::of(&request));
        let routed = extensions.get::<Arc<Routed>>();
        let watched = routed.filter(|r| r.traffic().is_some_and(|t| t.outlier.is_some()));
        let watch = watched.map(|routed| Watch {
            shared: self.clone(),
            routed: routed.clone(),
            host: host.clone(),
            deadline,
            told: false,
        });
        let (clock, tally) = (self.clock.clone(), self.endpoint.clone());
        let at_host = Try { host, clock, tally, deadline };
        let reply = ready.finish(request);
        Box::pin(async move {
            let outcome = reply.await;
            at_host.end(&outcome);
            let Some(mut watch) = watch else { return outcome };
            watch.tell(outcome_of(&outcome));
            outcome.map(|answer| tail::follow(answer, watch))
        })
    }
}

/// One try. Dropped without an outcome it was a timeout if its deadline had passed (a layer further
/// out cut it), and tells nothing if the caller went away.
struct Watch {
    shared: Arc<OutlierLayer>,
    routed: Arc<Routed>,
    host: Arc<Host>,
    deadline: Option<Instant>,
    told: bool,
}

/// A body that breaks off is an error of its endpoint, although its head was an answer: Envoy's
/// router counts a reset of the stream so whenever it comes (`Filter::onUpstreamReset`).
impl Tail for Watch {
    fn end(mut self, broken: Option<&axum::Error>) {
        if broken.is_some() {
            self.tell(Outcome::ConnectionLost);
        }
    }
}

impl Watch {
    fn tell(&mut self, outcome: Outcome) {
        self.told = true;
        let Some(params) = self.routed.traffic().and_then(|traffic| traffic.outlier.as_ref())
        else {
            return;
        };
        let snapshot = self.routed.snapshot.number();
        if self.shared.cluster.observe(snapshot, params, &self.host, outcome) {
            self.shared.tally.act();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.told && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.tell(Outcome::Timeout);
        }
    }
}

fn outcome_of(outcome: &Result<Response, MeshError>) -> Outcome {
    match outcome {
        Ok(response) => {
            let grpc = grpc_status(response.headers()).map(http_of_grpc);
            Outcome::Status(grpc.unwrap_or(response.status().as_u16()))
        }
        Err(MeshError::Deadline { .. }) => Outcome::Timeout,
        Err(_) => Outcome::ConnectionLost,
    }
}
