//! The limits as a tower layer: 503 at once when one is reached, a wait for a connection when that
//! is allowed.

use super::pool::{Entry, Limit, Pool};
use crate::{
    MeshError, Request,
    cluster::Cluster,
    edge::Tally,
    journey::Journey,
    route::Routed,
    stack::{MeshLayer, MeshService, Reply},
    tail::hold,
};
use std::sync::Arc;

/// Refuses what is over a limit.
#[derive(Debug)]
pub(crate) struct LimitsLayer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) tally: Arc<Tally>,
}

impl MeshLayer for LimitsLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply {
        if Journey::looks(&request) {
            return ready.finish(request);
        }
        let LimitsLayer { pool, cluster, tally } = &**self;
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
                let reply = ready.finish(request);
                Box::pin(async move { Ok(hold(reply.await?, active)) })
            }
            Entry::Later(waiting) => {
                let (cluster, tally) = (cluster.clone(), tally.clone());
                Box::pin(async move {
                    let active = waiting.wait().await.map_err(|limit| {
                        tally.act();
                        overflow(&cluster, limit)
                    })?;
                    Ok(hold(ready.finish(request).await?, active))
                })
            }
        }
    }
}

fn overflow(cluster: &Cluster, limit: Limit) -> MeshError {
    MeshError::Overflow { destination: cluster.label(), limit }
}
