//! What is seen of the mesh from outside, and what is asked about its rules.

use super::{Mesh, Path, PathKey};
use crate::{
    BreakerStatus, Change, CountedHits, EdgeStatus, EndpointStatus, PoolStatus, RouteHits,
    breaker::Breakers,
    fault::Faults,
    inbound::{InboundStats, OutboundStats},
    mirror::Mirrors,
    recent::{
        DryRunOutcome, Explanation, HypotheticalRequest, RecentRequest, allows_origin, explain,
    },
    retry::RetryStats,
};
use istio::policy::Policy;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

impl Mesh {
    /// Every breaker, as it is now.
    #[must_use]
    pub fn breakers(&self) -> Vec<BreakerStatus> {
        self.0.breakers.all()
    }

    /// Its time, microseconds since the epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// To force, reset and change breakers.
    #[must_use]
    pub fn breaker_control(&self) -> &Breakers {
        &self.0.breakers
    }

    /// Faults: what is injected, and the commands that begin and end it.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Mirroring: its counters, and the answers that differ.
    #[must_use]
    pub fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    /// What the callee's side of every instance let in and refused.
    #[must_use]
    pub fn inbound_stats(&self) -> Vec<InboundStats> {
        self.0.inbounds.read().values().map(|inbound| inbound.stats()).collect()
    }

    /// What limits of calls that leave the mesh refused, by caller and destination.
    #[must_use]
    pub fn outbound_stats(&self) -> Vec<OutboundStats> {
        self.0.edges.read().values().filter_map(|edge| edge.outbound_stats()).collect()
    }

    /// Retries of every caller and cluster.
    #[must_use]
    pub fn retries(&self) -> Vec<RetryStats> {
        let paths = self.0.paths.read();
        let stats = |(key, path): (&PathKey, &Arc<Path>)| {
            let (caller, (destination, subset, _)) = key.clone();
            RetryStats { caller, destination, subset, ..path.retries.stats() }
        };
        paths.iter().map(stats).collect()
    }

    /// All changes from now on, breaker transitions among them.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.announcer.changes()
    }

    /// Counts up whenever calls that were refused may be taken now: a breaker closed, is not forced
    /// open any more or not as long, or a fault ended. Who waits to try again need not wait longer.
    #[must_use]
    pub fn healed(&self) -> watch::Receiver<u64> {
        self.0.healing.listen()
    }

    /// What each layer did on every edge, in stack order.
    #[must_use]
    pub fn edges(&self) -> Vec<EdgeStatus> {
        self.0.edges.read().values().map(|edge| edge.status()).collect()
    }

    /// Every instance of every service, as it is now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        let services: Vec<_> = self.0.services.read().values().cloned().collect();
        let clusters: Vec<_> = self.0.clusters.lock().values().cloned().collect();
        let in_force = self.0.in_force.load();
        let now_us = self.0.clock.now_us();
        let mut endpoints = Vec::new();
        for service in &services {
            let own = || clusters.iter().filter(|cluster| Arc::ptr_eq(&cluster.service, service));
            for cluster in own() {
                cluster.advance(in_force.number(), cluster.outlier(in_force.policy()));
            }
            for host in service.hosts().iter() {
                let mut endpoint = EndpointStatus::of(host, now_us);
                for cluster in own() {
                    endpoint.add(cluster.standing(host, cluster.outlier(in_force.policy())));
                }
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    /// Makes up for the sweeps of outlier detection that are due, so that endpoints return, and are
    /// told of, although nobody calls them; the same for faults and for forces of breakers whose
    /// time is over. To be called some times a second.
    pub fn sweep(&self) {
        let clusters: Vec<_> = self.0.clusters.lock().values().cloned().collect();
        let in_force = self.0.in_force.load();
        for cluster in clusters {
            cluster.advance(in_force.number(), cluster.outlier(in_force.policy()));
        }
        self.0.faults.expire();
        self.0.breakers.sweep();
    }

    /// The limits of every caller and cluster.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolStatus> {
        let paths = self.0.paths.read();
        let status = |(key, path): (&PathKey, &Arc<Path>)| {
            let (caller, (destination, subset, _)) = key.clone();
            PoolStatus { caller, destination, subset, ..path.pool.status() }
        };
        paths.iter().map(status).collect()
    }

    /// How often each rule was hit, by revision, the newest first.
    #[must_use]
    pub fn route_hits(&self) -> Vec<RouteHits> {
        self.count_hits(&[]).iter().flat_map(CountedHits::hits).collect()
    }

    /// The same as samples that can be kept: what did not move since `before` is not kept twice.
    #[must_use]
    pub fn count_hits(&self, before: &[CountedHits]) -> Vec<CountedHits> {
        let replaced = self.0.replaced.lock();
        let now = self.0.in_force.load();
        let now = (now.policy().revision, now.states().clone());
        let all = [now].into_iter().chain(replaced.iter().cloned()).collect::<Vec<_>>();
        drop(replaced);
        all.iter().map(|(revision, states)| CountedHits::now(*revision, states, before)).collect()
    }
}

// === impl Mesh: questions about rules ===

impl Mesh {
    /// The last requests, the newest first; those that only look are not among them.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<RecentRequest> {
        self.0.recent.outlines(most)
    }

    /// What the last requests would do under another policy.
    #[must_use]
    pub fn dry_run(&self, policy: &Policy) -> DryRunOutcome {
        self.0.recent.dry_run(self.0.in_force.load().policy(), policy)
    }

    /// Whether the rule in force that a request would hit allows its origin (`corsPolicy`).
    #[must_use]
    pub fn allows_origin(&self, probe: &HypotheticalRequest) -> bool {
        allows_origin(self.0.in_force.load().policy(), probe)
    }

    /// Which rule in force a request would hit.
    #[must_use]
    pub fn explain(&self, probe: &HypotheticalRequest) -> Explanation {
        explain(self.0.in_force.load().policy(), probe)
    }
}
