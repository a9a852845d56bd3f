//! How calls to a service are balanced, read from the clusters and tables they go by.

use super::{ClusterKey, Mesh, is_known};
use crate::{
    balance::{InstanceBalance, Pool, PoolBalance, warm},
    cluster::{Cluster, Service},
    in_force::Snapshot,
    instance::Host,
};
use istio::policy::{Destination, LoadBalancer, Policy, TrafficPolicy};
use std::sync::Arc;

impl Mesh {
    /// How calls to a service are balanced now: to all its instances, to each of its subsets, and
    /// to those again where a rule is for some callers. None if there is no such service.
    ///
    /// A large table of consistent hashing takes its time the first time it is looked at.
    #[must_use]
    pub fn balance(&self, service: &str) -> Option<Vec<PoolBalance>> {
        let service = self.service(service)?;
        let snapshot = self.0.in_force.load_full();
        let pools = pools(snapshot.policy(), &service.name).into_iter();
        Some(pools.filter_map(|pool| self.pool_balance(&service, &pool, &snapshot)).collect())
    }

    fn pool_balance(
        &self,
        service: &Arc<Service>,
        pool: &ClusterKey,
        snapshot: &Snapshot,
    ) -> Option<PoolBalance> {
        let cluster = self.looked_at(service, pool)?;
        let (name, subset, callers) = pool.clone();
        let rule = snapshot.policy().destination(&name, callers.as_ref());
        let unwritten = TrafficPolicy::default();
        let traffic = rule.map_or(&unwritten, |rule| rule.traffic(subset.as_deref()));
        let labels = subset.as_deref().and_then(|subset| rule?.subset(subset));
        let labels = labels.map(|subset| &*subset.labels);
        let number = snapshot.number();
        let members = cluster.members(number, labels, &traffic.load_balancer);
        let healthy = cluster.healthy(number, &members, traffic.outlier.as_ref());
        let usable = |host: &Arc<Host>| {
            healthy.as_ref().is_none_or(|healthy| healthy.iter().any(|other| other.id == host.id))
        };
        // The others do not go by weights.
        let by_weight =
            matches!(traffic.load_balancer, LoadBalancer::RoundRobin | LoadBalancer::LeastRequest);
        let warmup = traffic.warmup.filter(|_| by_weight);
        let now_us = self.0.clock.now_us();
        let instance = |(at, host): (usize, &Arc<Host>)| InstanceBalance {
            instance: host.name.clone(),
            labels: host.labels.clone(),
            phase: host.phase(),
            ejected_until_us: ejected_until_us(&cluster, host, traffic),
            in_pool: usable(host),
            warm: warm(warmup.as_ref(), host.since_us(), now_us),
            configured: 0.0,
            picked: members.picks(at, now_us),
            active: host.active(),
            leaving: None,
        };
        let instances = members.hosts.iter().enumerate().map(instance).collect();
        let origin = rule.map(|rule| rule.origin.clone());
        let pool = Pool { service: name, subset, callers };
        Some(PoolBalance::new(pool, origin, warmup, members, instances, now_us))
    }

    /// The cluster of a pool, which is there from now on although nobody has called it yet. None
    /// if the service or the subset has gone meanwhile.
    fn looked_at(&self, service: &Arc<Service>, pool: &ClusterKey) -> Option<Arc<Cluster>> {
        // Whoever takes a service or a subset away has this lock, and takes its clusters along.
        let _paths = self.0.paths.read();
        let there = self.service(&service.name).is_some_and(|now| Arc::ptr_eq(&now, service));
        let known = there && is_known(self.0.in_force.load().policy(), pool);
        known.then(|| self.cluster(service.clone(), pool))
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

fn ejected_until_us(cluster: &Cluster, host: &Host, traffic: &TrafficPolicy) -> Option<i64> {
    // Under a policy without detection nothing is ejected.
    let outlier = traffic.outlier.as_ref()?;
    let (standing, until_us) = cluster.standing(host, Some(outlier))?;
    standing.ejected_since_us.and(until_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakerParams, Phase, Source, route::Routed};
    use axum::Router;
    use base::Clock;
    use istio::policy::{Origin, Subset};

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
    fn looking_at_a_subset_keeps_nothing_once_it_has_gone() {
        let mesh = mesh();
        mesh.apply(with_subset());
        let told = mesh.balance("b").unwrap();
        let subsets: Vec<_> = told.iter().map(|told| told.pool.subset.as_deref()).collect();
        assert_eq!(subsets, [None, Some("v1")]);
        assert_eq!(mesh.0.clusters.lock().len(), 2);
        mesh.apply(Arc::default());
        assert_eq!(mesh.balance("b").unwrap().len(), 1);
        assert_eq!(mesh.0.clusters.lock().len(), 1);
        mesh.deregister("b");
        assert!(mesh.balance("b").is_none() && mesh.0.clusters.lock().is_empty());
    }

    #[test]
    fn who_looks_and_who_calls_are_at_one_cluster() {
        let mesh = mesh();
        mesh.balance("b").unwrap();
        let routed = Routed::mirror(mesh.snapshot(), &Source::of("a"), "b".into(), None);
        mesh.path(&"a".into(), &routed).unwrap();
        assert_eq!(mesh.0.clusters.lock().len(), 1);
    }
}
