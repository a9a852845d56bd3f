//! The ways from callers to where their requests go: how each stack is laid, once, from its layers.

use super::{ClusterKey, Mesh, PathKey, WeakMesh, is_known, purpose_seed};
use crate::{
    MeshError, Request,
    balance::{BalanceLayer, Balancer},
    breaker::{Breaker, BreakerEdge, BreakerLayer},
    cluster::{Cluster, Service},
    deadline::DeadlineLayer,
    edge::Edge,
    endpoint::Deliver,
    fault::{FaultLayer, Position},
    inbound::{Entered, Outbound, Refused},
    journey::Journey,
    limits::{LimitsLayer, Pool},
    mirror::MirrorLayer,
    outlier::OutlierLayer,
    retry::{RetryCounts, RetryLayer},
    route::{Routed, Routing},
    span::SpanLayer,
    stack::{Layered, Segment, Stack},
};
use std::sync::Arc;

/// From one caller to one cluster: the stack below the route, and what is in it.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) stack: Stack,
    pub(crate) edge: Arc<Edge>,
    pub(super) retries: Arc<RetryCounts>,
    pub(super) pool: Arc<Pool>,
}

/// The layers above the decision where a call goes, which every call of a caller passes.
pub(crate) type Outer = Layered<SpanLayer, Routing>;

impl Mesh {
    /// The edge from a caller to a service.
    pub(crate) fn edge(&self, caller: &Arc<str>, destination: &Arc<str>) -> Arc<Edge> {
        let key = (caller.clone(), destination.clone());
        if let Some(edge) = self.0.edges.read().get(&key) {
            return edge.clone();
        }
        let edge = || Arc::new(Edge::new(caller.clone(), destination.clone()));
        self.0.edges.write().entry(key).or_insert_with(edge).clone()
    }

    /// Lets a request leave the mesh, or gives the answer of a limit that stands in its way.
    pub(crate) fn leave(
        &self,
        edge: &Edge,
        routed: &Routed,
        request: &Request,
        journey: &Journey,
    ) -> Result<Entered, Refused> {
        let limits = routed.snapshot.policy().outbound.get(&routed.destination);
        let Some(limits) = limits.filter(|_| !journey.look) else { return Ok(Entered::default()) };
        let fresh = || {
            let purpose = format!("outbound {} {}", edge.caller(), routed.destination);
            Outbound::new(self.0.clock.clone(), purpose_seed(self.0.seed, &purpose))
        };
        edge.outbound(fresh).leave(limits, routed, request, journey)
    }

    /// The stack of a caller for where its request goes.
    ///
    /// # Errors
    /// [`MeshError::NoService`]; nothing is kept for names that were never registered, for they
    /// may come from outside.
    pub(crate) fn path(&self, caller: &Arc<str>, routed: &Routed) -> Result<Arc<Path>, MeshError> {
        let Routed { destination, subset, callers, .. } = routed;
        let key = (caller.clone(), (destination.clone(), subset.clone(), callers.clone()));
        if let Some(path) = self.0.paths.read().get(&key) {
            return Ok(path.clone());
        }
        let lost = || MeshError::NoService { destination: routed.destination.to_string() };
        // Names from outside do not hold up others at the lock.
        self.service(&routed.destination).ok_or_else(lost)?;
        #[cfg(test)]
        self.0.laying.pass();
        let mut paths = self.0.paths.write();
        // Under the lock, so that a service that is taken away meanwhile takes its paths along.
        let service = self.service(&routed.destination).ok_or_else(lost)?;
        let in_force = self.0.in_force.load();
        let newest = routed.snapshot.number() == in_force.number();
        if !newest && !is_known(in_force.policy(), &key.1) {
            // Its subset has gone since it began. It goes its way to the end, which nobody keeps.
            return Ok(Arc::new(self.lay_for_one(&key, service)));
        }
        let path = paths.entry(key).or_insert_with_key(|(caller, to)| {
            Arc::new(self.lay(caller, self.cluster(service, to)))
        });
        Ok(path.clone())
    }

    fn lay_for_one(&self, (caller, to): &PathKey, service: Arc<Service>) -> Path {
        let (_, subset, callers) = to.clone();
        let (clock, announcer) = (self.0.clock.clone(), self.0.announcer.clone());
        let cluster = Arc::new(Cluster::new(service, subset, callers, clock, announcer));
        let breaker = self.0.breakers.unkept(BreakerEdge::between(caller, &cluster));
        self.lay_with(caller, cluster, breaker)
    }

    pub(super) fn cluster(&self, service: Arc<Service>, key: &ClusterKey) -> Arc<Cluster> {
        let mut clusters = self.0.clusters.lock();
        let cluster = clusters.entry(key.clone()).or_insert_with_key(|(_, subset, callers)| {
            let (clock, announcer) = (self.0.clock.clone(), self.0.announcer.clone());
            Arc::new(Cluster::new(service, subset.clone(), callers.clone(), clock, announcer))
        });
        cluster.clone()
    }

    fn lay(&self, caller: &Arc<str>, cluster: Arc<Cluster>) -> Path {
        let breaker = self.0.breakers.breaker(BreakerEdge::between(caller, &cluster));
        self.lay_with(caller, cluster, breaker)
    }

    fn lay_with(&self, caller: &Arc<str>, cluster: Arc<Cluster>, breaker: Arc<Breaker>) -> Path {
        let edge = self.edge(caller, &cluster.service.name);
        let (retries, pool) = (Arc::new(RetryCounts::default()), Arc::new(Pool::default()));
        let parts = Parts {
            edge: &edge,
            cluster: &cluster,
            breaker: &breaker,
            retries: &retries,
            pool: &pool,
        };
        let stack = self.inner(&parts).build();
        Path { stack, edge, retries, pool }
    }

    /// The layers above the decision where a call goes.
    pub(crate) fn outer(&self) -> Segment<Outer> {
        Segment::new("route", Routing(self.clone())).wrap("span", SpanLayer)
    }

    /// The layers below it, in the order of [`crate::stack::LAYERS`], a seam after at most six.
    fn inner(&self, parts: &Parts<'_>) -> Segment<Stack> {
        let Parts { edge, cluster, breaker, retries, pool } = *parts;
        let clock = self.0.clock.clone();
        let destination = cluster.service.name.clone();
        let balancer = format!("balance {} {}", edge.caller(), cluster.label());
        let deliver = Deliver { tally: edge.tally("endpoint") };
        let outlier = OutlierLayer {
            cluster: cluster.clone(),
            clock: clock.clone(),
            tally: edge.tally("outlier"),
            endpoint: edge.tally("endpoint"),
        };
        let at_instance = Layered::new(self.fault_layer(parts, Position::Instance), deliver);
        let tries = Segment::new("endpoint", at_instance)
            .wrap("outlier", outlier)
            .wrap(
                "balance",
                BalanceLayer {
                    cluster: cluster.clone(),
                    balancer: Arc::new(Balancer::new(self.dice(&balancer))),
                    clock: clock.clone(),
                    tally: edge.tally("balance"),
                },
            )
            .wrap(
                "limits",
                LimitsLayer {
                    pool: pool.clone(),
                    cluster: cluster.clone(),
                    tally: edge.tally("limits"),
                },
            )
            .wrap("fault", self.fault_layer(parts, Position::Try))
            .erase();
        let faults = self.0.faults.clone();
        tries
            .wrap(
                "retry",
                RetryLayer {
                    destination: destination.clone(),
                    pool: pool.clone(),
                    counts: retries.clone(),
                    dice: self.dice(&format!("retry {} {}", edge.caller(), cluster.label())),
                    faults: faults.clone(),
                    tally: edge.tally("retry"),
                },
            )
            .wrap(
                "mirror",
                MirrorLayer {
                    mirrors: self.0.mirrors.clone(),
                    mesh: WeakMesh::of(self),
                    tally: edge.tally("mirror"),
                },
            )
            .wrap(
                "breaker",
                BreakerLayer { breaker: breaker.clone(), tally: edge.tally("breaker") },
            )
            .wrap("deadline", DeadlineLayer { destination, faults, tally: edge.tally("deadline") })
            .erase()
    }

    fn fault_layer(&self, parts: &Parts<'_>, position: Position) -> FaultLayer {
        let (faults, label) = (self.0.faults.clone(), parts.cluster.label().into());
        FaultLayer { faults, position, label, tally: parts.edge.tally("fault") }
    }
}

/// What the stack from a caller to a cluster is made of.
#[derive(Clone, Copy)]
struct Parts<'a> {
    edge: &'a Arc<Edge>,
    cluster: &'a Arc<Cluster>,
    breaker: &'a Arc<Breaker>,
    retries: &'a Arc<RetryCounts>,
    pool: &'a Arc<Pool>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakerParams, Source, stack::LAYERS};
    use axum::Router;
    use base::Clock;
    use istio::policy::{Destination, Origin, Policy, Subset, TrafficPolicy};
    use parking_lot::RwLockUpgradableReadGuard;

    #[test]
    fn of_a_service_that_goes_while_a_way_to_it_is_laid_nothing_is_kept() {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        mesh.register("b", Router::new());
        let routed = Routed::mirror(mesh.snapshot(), &Source::of("a"), "b".into(), None);
        mesh.path(&"z".into(), &routed).unwrap();
        let laid_before = mesh.0.laying.times();
        // Nobody can lay a way, everybody can look.
        let paths = mesh.0.paths.upgradable_read();
        std::thread::scope(|scope| {
            let laying = scope.spawn(|| mesh.path(&"a".into(), &routed).map(drop));
            mesh.0.laying.wait(laid_before + 1);
            let mut paths = RwLockUpgradableReadGuard::upgrade(paths);
            mesh.forget("b", &mut paths);
            drop(paths);
            let laid = laying.join().unwrap();
            assert!(matches!(laid, Err(MeshError::NoService { .. })), "{laid:?}");
        });
        assert!(mesh.0.clusters.lock().is_empty());
        assert!((mesh.pools().len(), mesh.0.breakers.kept()) == (0, 0));
        assert!(mesh.edges().is_empty());
    }

    #[test]
    fn of_a_subset_that_went_while_a_request_was_on_its_way_nothing_is_laid_again() {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        mesh.register("b", Router::new());
        let subset = Subset {
            name: "v1".into(),
            labels: vec![("version".into(), "v1".into())],
            policy: TrafficPolicy::default(),
        };
        let rule = Destination {
            origin: Origin::default(),
            subsets: vec![subset],
            policy: TrafficPolicy::default(),
        };
        let destinations = [("b".into(), rule)].into();
        let with = Arc::new(Policy { destinations, ..Policy::default() });
        mesh.apply(with.clone());
        let source = Source::of("a");
        let began = Routed::mirror(mesh.snapshot(), &source, "b".into(), Some("v1".into()));
        mesh.apply(Arc::default());
        mesh.path(&"a".into(), &began).unwrap();
        assert!((mesh.pools().len(), mesh.0.breakers.kept()) == (0, 0));
        assert!(mesh.0.clusters.lock().is_empty());
        // Of one that is there again it is kept, whoever asks.
        mesh.apply(with);
        mesh.path(&"a".into(), &began).unwrap();
        assert_eq!((mesh.pools().len(), mesh.0.breakers.kept()), (1, 1));
    }

    #[test]
    fn the_stack_is_the_list_of_layers() {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        mesh.register("b", Router::new());
        let service = mesh.service("b").unwrap();
        let cluster = mesh.cluster(service, &("b".into(), None, None));
        let edge = mesh.edge(&"a".into(), &"b".into());
        let ends = BreakerEdge { caller: "a".into(), destination: "b".into(), subset: None };
        let breaker = mesh.0.breakers.breaker(ends);
        let (retries, pool) = (Arc::default(), Arc::default());
        let parts = Parts {
            edge: &edge,
            cluster: &cluster,
            breaker: &breaker,
            retries: &retries,
            pool: &pool,
        };
        let (outer, inner) = (mesh.outer(), mesh.inner(&parts));
        let listed: Vec<_> = LAYERS.iter().map(|layer| layer.name).collect();
        assert_eq!([outer.names(), inner.names()].concat(), listed);
    }
}
