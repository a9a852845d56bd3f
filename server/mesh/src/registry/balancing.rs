//! How calls to a service are balanced, read from the clusters and tables they go by.

use super::{ClusterKey, Mesh};
use crate::{
    balance::{InstanceBalance, Pool, PoolBalance, Seen, warm},
    cluster::{Cluster, Ejections, Members, Selection, Service},
    in_force::Snapshot,
    instance::Host,
};
use istio::policy::{Destination, LoadBalancer, Policy, TrafficPolicy};
use std::sync::Arc;

impl Mesh {
    /// How calls to a service are balanced now: to all its instances, to each of its subsets, and
    /// to those again where a rule is for some callers. None if there is no such service.
    ///
    /// Where the keys of a consistent hash go is worked out by [`PoolBalance::look`].
    #[must_use]
    pub fn balance(&self, service: &str) -> Option<Vec<PoolBalance>> {
        let service = self.service(service)?;
        let snapshot = self.0.in_force.load_full();
        let pools = pools(snapshot.policy(), &service.name).into_iter();
        Some(pools.map(|pool| self.pool_balance(&service, &pool, &snapshot)).collect())
    }

    fn pool_balance(
        &self,
        service: &Arc<Service>,
        pool: &ClusterKey,
        snapshot: &Snapshot,
    ) -> PoolBalance {
        let (name, subset, callers) = pool.clone();
        let rule = snapshot.policy().destination(&name, callers.as_ref());
        let unwritten = TrafficPolicy::default();
        let traffic = rule.map_or(&unwritten, |rule| rule.traffic(subset.as_deref()));
        let labels = subset.as_deref().and_then(|subset| rule?.subset(subset));
        let labels = labels.map(|subset| &*subset.labels);
        let selection = Selection::of(snapshot.policy(), &name, labels);
        let (number, balancer) = (snapshot.number(), &traffic.load_balancer);
        let (members, ejections) = match self.called(service, pool) {
            Some(cluster) => {
                let members = cluster.members(number, selection, balancer);
                let ejections = cluster.ejections(number, &members, traffic.outlier.as_ref());
                (members, ejections)
            }
            None => {
                let subset = subset.as_deref();
                let members = Members::uncalled(service, subset, selection, balancer);
                (self.0.looked_at.or_kept(members), Ejections::default())
            }
        };
        // The others do not go by weights.
        let by_weight = matches!(balancer, LoadBalancer::RoundRobin | LoadBalancer::LeastRequest);
        let warmup = traffic.warmup.filter(|_| by_weight);
        let now_us = self.0.clock.now_us();
        let instance = |(at, host): (usize, &Arc<Host>)| InstanceBalance {
            instance: host.name.clone(),
            labels: host.labels.clone(),
            phase: host.phase(),
            ejected_until_us: ejections.until_us(at),
            in_pool: ejections.panic || ejections.until_us(at).is_none(),
            warm: warm(warmup.as_ref(), host.since_us(), now_us),
            configured: 0.0,
            picked: members.picks(at, now_us),
            active: host.active(),
            leaving: None,
        };
        let seen = Seen {
            pool: Pool { service: name, subset, callers },
            origin: rule.map(|rule| rule.origin.clone()),
            warmup,
            outlier: traffic.outlier.is_some(),
            panic: ejections.panic,
            instances: members.hosts.iter().enumerate().map(instance).collect(),
        };
        PoolBalance::new(seen, members, self.0.looked_at.clone(), now_us)
    }

    /// The cluster of a pool. None as long as nobody has called it: who only looks leaves nothing
    /// behind that each apply would build tables for.
    fn called(&self, service: &Arc<Service>, pool: &ClusterKey) -> Option<Arc<Cluster>> {
        let cluster = self.0.clusters.lock().get(pool).cloned();
        cluster.filter(|cluster| Arc::ptr_eq(&cluster.service, service))
    }
}

/// Where requests to a service may be sent.
fn pools(policy: &Policy, service: &Arc<str>) -> Vec<ClusterKey> {
    let of = |rule: Option<&Destination>, callers: Option<&istio::policy::Selector>| {
        let subsets = rule.into_iter().flat_map(|rule| &rule.subsets);
        let subsets = std::iter::once(None).chain(subsets.map(|subset| Some(subset.name.clone())));
        let pool = |subset| (service.clone(), subset, callers.cloned());
        subsets.map(pool).collect::<Vec<_>>()
    };
    let for_all = of(policy.destinations.get(service), None);
    let for_some = policy.for_callers.get(service).into_iter().flatten();
    let for_some = for_some.map(|rule| of(Some(&rule.destination), Some(&rule.callers)));
    for_all.into_iter().chain(for_some.flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakerParams, Endpoint, Instance, LOOK_SLOTS_MAX, Phase, Source, route::Routed};
    use axum::Router;
    use base::Clock;
    use istio::policy::{HashKey, HashTable, Origin, Subset};

    fn mesh() -> Mesh {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        mesh.register("b", Router::new());
        mesh
    }

    fn with_subset() -> Arc<Policy> {
        let subset = Subset {
            name: "v1".into(),
            labels: vec![("version".into(), "v1".into())],
            policy: TrafficPolicy::default(),
        };
        let origin = Origin { name: "b".into(), ..Origin::default() };
        let rule = Destination { origin, subsets: vec![subset], policy: TrafficPolicy::default() };
        let destinations = [("b".into(), rule)].into();
        Arc::new(Policy { destinations, ..Policy::default() })
    }

    #[test]
    fn a_service_without_a_rule_is_one_pool_and_an_unknown_one_is_none() {
        let mesh = mesh();
        let told = mesh.balance("b").unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].origin.is_none(), &told[0].policy), (true, &LoadBalancer::default()));
        let only = &told[0].instances[0];
        assert_eq!((only.phase, only.in_pool, only.configured), (Phase::Ready, true, 1.0));
        assert!(mesh.balance("nobody").is_none());
    }

    #[test]
    fn looking_keeps_no_cluster_that_each_apply_would_prepare() {
        let mesh = mesh();
        mesh.apply(with_subset());
        let told = mesh.balance("b").unwrap();
        let subsets: Vec<_> = told.iter().map(|told| told.pool.subset.as_deref()).collect();
        assert_eq!(subsets, [None, Some("v1")]);
        assert!(mesh.0.clusters.lock().is_empty());
        mesh.apply(Arc::default());
        assert_eq!(mesh.balance("b").unwrap().len(), 1);
        mesh.deregister("b");
        assert!(mesh.balance("b").is_none() && mesh.0.clusters.lock().is_empty());
    }

    #[test]
    fn who_looks_and_who_calls_are_at_one_cluster() {
        let mesh = mesh();
        let routed = Routed::mirror(mesh.snapshot(), &Source::of("a"), "b".into(), None);
        mesh.path(&"a".into(), &routed).unwrap();
        mesh.balance("b").unwrap();
        let clusters: Vec<_> = mesh.0.clusters.lock().values().cloned().collect();
        assert_eq!(clusters.len(), 1);
        let service = mesh.service("b").unwrap();
        let called = mesh.called(&service, &("b".into(), None, None)).unwrap();
        assert!(Arc::ptr_eq(&called, &clusters[0]));
    }

    #[test]
    fn the_keys_of_who_is_looked_at_again_are_not_worked_out_again() {
        let mesh = mesh();
        mesh.add_instance(Instance {
            service: "b".into(),
            name: "b-1".into(),
            labels: Vec::new(),
            endpoint: Endpoint::Router(Router::new()),
        });
        let table = HashTable::Maglev { size: 101 };
        let load_balancer = LoadBalancer::ConsistentHash { key: HashKey::SourceIp, table };
        let policy = TrafficPolicy { load_balancer, ..TrafficPolicy::default() };
        let rule = Destination { policy, ..Destination::default() };
        let destinations = [("b".into(), rule)].into();
        mesh.apply(Arc::new(Policy { destinations, ..Policy::default() }));
        let look = || {
            let mut told = mesh.balance("b").unwrap().remove(0);
            assert_eq!(told.look(LOOK_SLOTS_MAX), 101 * 3);
            told.keys().unwrap()
        };
        let once = look();
        assert!(Arc::ptr_eq(&once, &look()));
        mesh.register("b", Router::new());
        assert!(!Arc::ptr_eq(&once, &look()), "b-0 is another");
    }
}
