//! Telling what the mesh is like, from two places at once.

use super::*;
use crate::{
    control::Control,
    instances::{BASELINE, known},
    shop::Shop,
};
use base::{Clock, IdSource, Supervisor};
use istio::policy::Share;
use mesh::fault::{FaultKind, FaultScope, FaultSpec};
use std::{sync::mpsc, time::Duration};
use storage::Durability;
use telemetry::{SubsetRates, Telemetry, TelemetryConfig, VersionRates};

/// Far longer than looking at the mesh takes: who does not wait for its turn is through by then.
const ALL_THE_TIME: Duration = Duration::from_millis(250);

/// A shop whose configuration was changed so many times before this run.
async fn live_after(changes: usize) -> (Live, Supervisor, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(1);
    let shop = Shop::assemble(stores, &supervisor, clock.clone(), ids).await.unwrap();
    let (mesh, log) = (shop.mesh.clone(), shop.stores.revisions.clone());
    let known = known(&mesh);
    let open = || {
        let (mesh, clock, known, log) = (mesh.clone(), clock.clone(), known.clone(), log.clone());
        Control::open(mesh, clock, known, log, BASELINE, &supervisor)
    };
    let mut control = open().await.unwrap();
    if changes > 0 {
        for change in 0..changes {
            let text = TIMEOUT.replace("TIMEOUT", &format!("{}s", change + 1));
            control.apply(&text, "before", None).await.unwrap();
        }
        control = open().await.unwrap();
    }
    let (telemetry, _, _) = Telemetry::detached(TelemetryConfig::default()).unwrap();
    (Live::new(shop, telemetry, control, "run"), supervisor, folder)
}

async fn live() -> (Live, Supervisor, tempfile::TempDir) {
    live_after(0).await
}

/// A resource that is another with each time that is put into it.
const TIMEOUT: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: users-before
spec:
  hosts: [users]
  http:
  - timeout: TIMEOUT
    route:
    - destination: {host: users}
";

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_an_earlier_run_are_marked_where_they_took_force_then() {
    let (live, supervisor, _folder) = live_after(2).await;
    let kept = live.control.revisions(REVISION_MARKS_MAX);
    live.publish_mesh();
    let told = live.state.lock().in_mesh.mesh.marks.clone();
    let at = |marks: &[RevisionMark]| marks.iter().map(|m| (m.number, m.at_us)).collect::<Vec<_>>();
    let mut expected: Vec<_> = kept.iter().map(|kept| (kept.number, kept.at_us)).collect();
    expected.reverse();
    assert_eq!((at(&told), expected.len()), (expected, 3));
    // Told again they are not told twice.
    live.publish_mesh();
    assert_eq!(live.state.lock().in_mesh.mesh.marks, told);
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_about_the_mesh_looks_at_it_after_whoever_is_telling_already() {
    let (live, supervisor, _folder) = live().await;
    // Given somebody who is telling, and another who wants to,
    let telling = live.telling_mesh.lock();
    let (done, is_done) = mpsc::sync_channel(1);
    let other = live.clone();
    let teller = tokio::task::spawn_blocking(move || {
        other.publish_mesh();
        done.send(())
    });
    assert!(is_done.recv_timeout(ALL_THE_TIME).is_err(), "it does not wait for its turn");
    // when something changes meanwhile,
    let spec = FaultSpec {
        kind: FaultKind::Hang,
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".to_owned(),
    };
    let id = live.shop.mesh.faults().inject(spec).unwrap();
    drop(telling);
    teller.await.unwrap().unwrap();
    // then the other has not looked before that.
    let told = live.state.lock().in_mesh.faults.active.clone();
    assert_eq!(told.iter().map(|fault| fault.id.clone()).collect::<Vec<_>>(), [id.to_string()]);
    live.shop.mesh.faults().end_all();
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

/// What is sent to payments, and to the gateway, without naming a subset.
const WITHOUT_SUBSETS: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: fault-injection
spec:
  hosts: [payment-service]
  http:
  - fault:
      delay: {percentage: {value: 10.0}, fixedDelay: 2s}
      abort: {percentage: {value: 5.0}, httpStatus: 503}
    route:
    - destination: {host: payment-service}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: rate-limiting
spec:
  hosts: [api-gateway]
  gateways: [api-gateway, mesh]
  http:
  - match:
    - uri: {prefix: /api/v1}
    route:
    - destination: {host: api-gateway}
";

/// So many calls of a version (or of none) in the last minute.
fn taken(subset: &str, calls: u64, error_share: f64, p95_ms: f64) -> VersionRates {
    let rates = SubsetRates {
        subset: subset.into(),
        per_second: 2.5,
        error_share,
        p95_ms: Some(p95_ms),
        p50_p99_ms: [None; 2],
        calls,
    };
    VersionRates { service: "payments".into(), rates, spark: vec![1.0, 2.0] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_subsets_has_a_lane_for_each_version_with_its_share_of_the_instances() {
    let (live, supervisor, _folder) = live().await;
    live.control.apply(WITHOUT_SUBSETS, "test", None).await.unwrap();
    live.state.lock().versions =
        vec![taken("", 44, 0.05, 2_000.0), taken("v1", 30, 0.0, 8.0), taken("v2", 10, 0.5, 90.0)];
    live.publish_mesh();
    let told = live.state.lock().in_mesh.mesh.clone();
    let host = |name: &str| told.hosts.iter().find(|host| host.service == name).unwrap().clone();
    // Payments has four instances of the first version and three of the second.
    let payments = host("payments");
    assert!(payments.pooled);
    let numbers = |lane: &LaneView| {
        let share = (lane.configured * 7.0).round();
        (lane.subset.clone(), share, lane.observed, lane.calls, lane.instances, lane.p95_ms)
    };
    let lanes: Vec<_> = payments.lanes.iter().map(numbers).collect();
    let expected = [
        ("v1".to_owned(), 4.0, Some(0.75), 30, 4, Some(8.0)),
        ("v2".to_owned(), 3.0, Some(0.25), 10, 3, Some(90.0)),
    ];
    assert_eq!(lanes, expected);
    assert_eq!(payments.lanes[1].spark, [1.0, 2.0]);
    // So has a host all of whose rules have a condition, and nobody calls.
    let gateway = host("gateway");
    let shares: Vec<_> = gateway.lanes.iter().map(|lane| (lane.configured, lane.calls)).collect();
    assert_eq!((gateway.pooled, shares), (true, vec![(0.5, 0), (0.5, 0)]));
    // What names subsets is as it was.
    let catalog = host("catalog");
    let shares: Vec<_> = catalog.lanes.iter().map(|lane| lane.configured).collect();
    assert_eq!((catalog.pooled, shares), (false, vec![1.0, 0.0]));
    // The rule's only destination has no name: it has the numbers of all that went there.
    let whole = live.lanes("payments").into_iter().find(|lane| lane.subset.is_empty()).unwrap();
    assert_eq!((whole.error_share, whole.p95_ms, whole.ready), (0.05, Some(2_000.0), 7));
    let users = live.lanes("users");
    assert_eq!(users.iter().map(|lane| (lane.ready, lane.calls)).collect::<Vec<_>>(), [(2, 0)]);
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_rule_was_deleted_keeps_the_lanes_of_its_versions() {
    let (live, supervisor, _folder) = live().await;
    let caller = live.shop.mesh.caller("orders");
    for name in ["payments", "catalog"] {
        live.control.delete(istio::Kind::VirtualService, name, "test").await.unwrap();
    }
    assert!(caller.get("payments", "/livez").send().await.unwrap().status().is_success());
    live.publish_mesh();
    let told = live.state.lock().in_mesh.mesh.clone();
    for name in ["payments", "catalog"] {
        let host = told.hosts.iter().find(|host| host.service == name).unwrap();
        let shares: f64 = host.lanes.iter().map(|lane| lane.configured).sum();
        assert!(host.pooled && host.lanes.len() == 2 && (shares - 1.0).abs() < 1e-9, "{host:?}");
    }
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outside_is_a_node_of_the_map_whoever_brought_it_along() {
    let (live, supervisor, _folder) = live().await;
    live.shop.mesh.register("echo.internal", axum::Router::new());
    let (map, _) = live.map();
    let ready = |name: &str| {
        let mut nodes = map.nodes.iter().filter(|node| node.service == name);
        let first = nodes.next().map(|node| (node.ready, node.instances));
        assert!(nodes.next().is_none(), "{name} twice");
        first
    };
    assert_eq!((ready("stripe"), ready("echo.internal")), (Some((1, 1)), Some((1, 1))));
    assert_eq!((ready("payments"), ready("browser")), (Some((7, 7)), Some((0, 0))));
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}
