//! The registry and what is in force in a new shop: each fits the other.

use super::*;
use base::Clock;
use contract::istio::Severity;
use istio::Configuration;
use mesh::BreakerParams;
use std::time::Duration;
use storage::Durability;

async fn shop() -> (crate::shop::Shop, Supervisor, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(1);
    let shop = crate::shop::Shop::assemble(stores, &supervisor, clock, ids).await.unwrap();
    shop.go(&supervisor).await.unwrap();
    (shop, supervisor, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_what_is_registered() {
    let (shop, supervisor, _folder) = shop().await;
    let known = known(&shop.mesh);
    let count = |name: &str, version: &str| {
        let service = known.services.iter().find(|service| service.name == name).unwrap();
        let of_version = |labels: &&BTreeMap<String, String>| labels["version"] == version;
        service.instances.iter().filter(of_version).count()
    };
    assert_eq!((count("payments", "v1"), count("payments", "v2")), (4, 3));
    // Of these, both versions are several: one that is killed leaves another of its version.
    assert_eq!((count("catalog", "v1"), count("catalog", "v2")), (2, 2));
    assert_eq!((count("recommendations", "v1"), count("recommendations", "v2")), (2, 2));
    assert_eq!((count("users", "v1"), count("users", "v2")), (2, 0));
    let names: Vec<String> =
        known.services.iter().flat_map(istio::KnownService::all_names).collect();
    for name in [
        "web-app",
        "api-gateway.default.svc.cluster.local",
        "product-service",
        "order-service.default",
        "payment-service",
        "user-service",
        "inventory-service",
        "recommendation-service",
        "api.stripe.com",
        "external-service",
    ] {
        assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name}");
    }
    let moving: Vec<_> =
        known.services.iter().filter(|s| s.moves_money).map(|s| s.name.as_str()).collect();
    assert_eq!(moving, ["bank-customer", "bank-merchant", "payments", "stripe"]);
    assert!(supervisor.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_baseline_applies_without_a_complaint_and_sends_everything_to_version_1() {
    let (shop, supervisor, _folder) = shop().await;
    let known = known(&shop.mesh);
    let applied = Configuration::default().apply(BASELINE, &known).unwrap();
    let complaints = applied.report.findings.iter().filter(|f| f.severity != Severity::Info);
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<&contract::istio::Finding>::new());
    shop.mesh.apply(applied.configuration.compile(&known, 1).into());
    let caller = shop.mesh.caller(service::ORDERS);
    for _ in 0..20 {
        for (service, path) in [
            (service::CATALOG, "/products"),
            (service::PAYMENTS, "/payments?user_id=c-1001"),
            (service::RECOMMENDATIONS, "/recommendations/p-moka"),
            (service::GATEWAY, "/livez"),
        ] {
            let answer = caller.get(service, path).send().await.unwrap();
            assert_eq!(answer.headers()["x-app-version"], "v1", "{service}");
        }
    }
    assert!(supervisor.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_lives_and_says_its_version() {
    let (shop, supervisor, _folder) = shop().await;
    let caller = shop.mesh.caller(service::BROWSER);
    let provider = replicas(service::STRIPE, Version::V1, 1, |_, _| Router::new());
    for replicas in REPLICAS.iter().chain([&provider]) {
        let answer = caller.get(replicas.service, "/livez").send().await.unwrap();
        assert!(answer.status().is_success(), "{}: {}", replicas.service, answer.status());
        let said = answer.headers()["x-app-version"].to_str().unwrap();
        assert!(["v1", "v2"].contains(&said), "{said}");
    }
    assert!(supervisor.shutdown(Duration::from_secs(20)).await);
}

#[test]
fn a_mesh_without_services_knows_none() {
    let mesh = Mesh::new(Clock::system(), BreakerParams::default());
    assert!(known(&mesh).services.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_messages_and_who_takes_them_is_as_the_bus_has_it() {
    let taking: std::collections::BTreeSet<_> =
        shop::bus::BINDINGS.iter().map(|binding| binding.subscriber).collect();
    assert_eq!(taking, service::CONSUMERS.into());
    let (shop, supervisor, _folder) = shop().await;
    assert_eq!(shop.outboxes().len(), service::PRODUCERS.len(), "who has an outbox sends");
    assert!(supervisor.shutdown(Duration::from_secs(20)).await);
}
