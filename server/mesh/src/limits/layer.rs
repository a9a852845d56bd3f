//! The limits as a tower layer: 503 at once when one is reached, a wait for a connection when that
//! is allowed.

use super::pool::{Entry, Limit, Pool};
use crate::{
    MeshError, Request, Response,
    cluster::Cluster,
    edge::Tally,
    route::Routed,
    stack::{MeshService, Reply, take_ready},
    tail::hold,
};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Makes [`Limited`] services.
#[derive(Clone, Debug)]
pub(crate) struct LimitsLayer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) tally: Arc<Tally>,
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, shared: self.clone() }
    }
}

/// Refuses what is over a limit.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    shared: LimitsLayer,
}

impl<S: MeshService> Service<Request> for Limited<S> {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        let mut ready = take_ready(&mut self.inner);
        let LimitsLayer { pool, cluster, tally } = &self.shared;
        tally.reach();
        let routed = request.extensions().get::<Arc<Routed>>();
        let traffic = routed.and_then(|routed| routed.traffic());
        let snapshot = routed.map_or(0, |routed| routed.snapshot.number());
        let entry = match pool.enter(snapshot, traffic.map(|traffic| &traffic.connection_pool)) {
            Ok(entry) => entry,
            Err(limit) => {
                tally.act();
                return Box::pin(std::future::ready(Err(overflow(cluster, limit))));
            }
        };
        match entry {
            Entry::Now(active) => {
                let reply = ready.call(request);
                Box::pin(async move { Ok(hold(reply.await?, active)) })
            }
            Entry::Later(waiting) => {
                let (cluster, tally) = (cluster.clone(), tally.clone());
                Box::pin(async move {
                    let active = waiting.wait().await.map_err(|limit| {
                        tally.act();
                        overflow(&cluster, limit)
                    })?;
                    Ok(hold(ready.call(request).await?, active))
                })
            }
        }
    }
}

fn overflow(cluster: &Cluster, limit: Limit) -> MeshError {
    MeshError::Overflow { destination: cluster.label(), limit }
}
