//! Counters of what the mesh refused or took out of turn, for `/metrics`, under the names that
//! Envoy's statistics have there. Reads what the mesh counts and counts nothing itself.
//!
//! Labels are services, subsets and instances of the policy in force: nothing of a request.

use mesh::{
    EndpointStatus, Mesh, PoolStatus,
    inbound::{InboundStats, OutboundStats},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::hash::Hash;

/// From one caller to one cluster.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PoolLabels {
    caller: String,
    destination: String,
    /// Empty is the whole service.
    subset: String,
}

/// One instance; empty is the service as the one that calls.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InstanceLabels {
    service: String,
    instance: String,
}

/// Registers all of them.
pub(super) fn register(registry: &mut Registry, mesh: &Mesh) {
    of_pools(registry, &mesh.pools());
    of_endpoints(registry, &mesh.endpoints());
    of_inbound(registry, &mesh.inbound_stats(), &mesh.outbound_stats());
}

/// One counter of everything counted. What has the same labels is one: several pools may have one
/// name, for rules of a destination that are for some callers only.
fn family<L>(counted: impl Iterator<Item = (L, u64)>) -> Family<L, Counter>
where
    L: Clone + Hash + Eq,
{
    let family: Family<L, Counter> = Family::default();
    for (labels, count) in counted {
        family.get_or_create(&labels).inc_by(count);
    }
    family
}

fn of_pools(registry: &mut Registry, pools: &[PoolStatus]) {
    let labels = |pool: &PoolStatus| PoolLabels {
        caller: pool.caller.to_string(),
        destination: pool.destination.to_string(),
        subset: pool.subset.as_deref().unwrap_or_default().to_owned(),
    };
    let of = |count: fn(&PoolStatus) -> u64| {
        family(pools.iter().map(move |pool| (labels(pool), count(pool))))
    };
    registry.register(
        "envoy_cluster_upstream_cx_overflow",
        "Requests that found all connections of their pool in use",
        of(|pool| pool.connection_overflows),
    );
    registry.register(
        "envoy_cluster_upstream_rq_pending_overflow",
        "Requests refused because as many wait or are under way as may",
        of(|pool| pool.pending_overflows),
    );
    registry.register(
        "envoy_cluster_upstream_rq_retry_overflow",
        "Retries not made because as many are under way as may be",
        of(|pool| pool.retry_overflows),
    );
}

fn of_endpoints(registry: &mut Registry, endpoints: &[EndpointStatus]) {
    let ejections = endpoints
        .iter()
        .map(|endpoint| (instance(&endpoint.service, &endpoint.instance), endpoint.ejections));
    registry.register(
        "envoy_cluster_outlier_detection_ejections_enforced",
        "Times that outlier detection ejected an instance",
        family(ejections),
    );
}

fn instance(service: &str, instance: &str) -> InstanceLabels {
    InstanceLabels { service: service.to_owned(), instance: instance.to_owned() }
}

/// In Envoy a proxy counts what comes to its workload and what leaves it alike. What leaves is of
/// no instance here: those of a service call as one.
fn of_inbound(registry: &mut Registry, inbound: &[InboundStats], outbound: &[OutboundStats]) {
    let came = |count: fn(&InboundStats) -> u64| {
        inbound.iter().map(move |one| (instance(&one.service, &one.instance), count(one)))
    };
    let left = |count: fn(&OutboundStats) -> u64| {
        outbound.iter().map(move |one| (instance(&one.caller, ""), count(one)))
    };
    registry.register(
        "envoy_http_jwt_authn_denied",
        "Requests refused by a RequestAuthentication",
        family(came(|one| one.bad_token)),
    );
    registry.register(
        "envoy_http_rbac_denied",
        "Requests refused by an AuthorizationPolicy",
        family(came(|one| one.denied)),
    );
    registry.register(
        "envoy_http_local_rate_limit_rate_limited",
        "Requests over a local rate limit, refused or not",
        family(came(|one| one.over_limit).chain(left(|one| one.over_limit))),
    );
    registry.register(
        "envoy_http_local_rate_limit_enforced",
        "Requests refused by a local rate limit",
        family(came(|one| one.rate_limited).chain(left(|one| one.rate_limited))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use base::Clock;
    use istio::policy::{ConnectionPool, Destination, Outlier, Policy, TrafficPolicy};
    use std::sync::Arc;

    fn text(mesh: &Mesh) -> String {
        let mut registry = Registry::default();
        register(&mut registry, mesh);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        testkit::openmetrics::check(&text).unwrap();
        text
    }

    #[tokio::test(start_paused = true)]
    async fn overflows_and_ejections_of_the_mesh_are_counted_under_the_names_of_envoy() {
        let mesh = Mesh::new(Clock::tokio(0), mesh::BreakerParams::default());
        let busy = Router::new().fallback(async || {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            http::StatusCode::INTERNAL_SERVER_ERROR
        });
        mesh.register("payments", busy);
        let outlier = Outlier { consecutive_5xx: 1, ..Outlier::default() };
        let pool = ConnectionPool { max_requests: Some(1), ..ConnectionPool::default() };
        let policy = TrafficPolicy {
            outlier: Some(outlier),
            connection_pool: pool,
            ..TrafficPolicy::default()
        };
        let rule = Destination { policy, ..Destination::default() };
        let destinations = [("payments".into(), rule)].into();
        mesh.apply(Arc::new(Policy { destinations, ..Policy::default() }));
        let call = || mesh.caller("orders").get("payments", "/").send();
        let (first, second) = tokio::join!(call(), call());
        assert_eq!(first.unwrap().status(), 500);
        assert!(second.is_err(), "there is room for one");
        let text = text(&mesh);
        for line in [
            "envoy_cluster_upstream_rq_pending_overflow_total\
             {caller=\"orders\",destination=\"payments\",subset=\"\"} 1",
            "envoy_cluster_upstream_rq_retry_overflow_total\
             {caller=\"orders\",destination=\"payments\",subset=\"\"} 0",
            "envoy_cluster_outlier_detection_ejections_enforced_total\
             {service=\"payments\",instance=\"payments-0\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\nis not in\n{text}");
        }
    }
}
