//! Outlier detection: the rows of `vectors/outlier.json` under paused time against the pure
//! machine, and what callers see of it through the whole stack.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use base::Clock;
use common::{World, destination, forward, rule, to, traffic};
use istio::policy::{
    Action, ConnectionPool, Fault, FaultDelay, LoadBalancer, Outlier, Policy, Retry, RetryOn,
    Route, Share, TrafficPolicy,
};
use mesh::{
    Change, Flag,
    outlier::{Detector, Outcome, state::http_of_grpc},
};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Istio's defaults, with `consecutive5xxErrors: 5` and ejection allowed for all.
fn params() -> Outlier {
    Outlier { consecutive_local_origin: 5, max_ejection_percent: 100, ..Outlier::default() }
}

/// What a row changes of the parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Changes {
    consecutive_5xx: Option<u32>,
    consecutive_gateway: Option<u32>,
    split_local_origin: Option<bool>,
    consecutive_local_origin: Option<u32>,
    interval_s: Option<u64>,
    base_ejection_s: Option<u64>,
    max_ejection_s: Option<u64>,
    max_ejection_percent: Option<u32>,
    http_error_codes: Option<Vec<u16>>,
}

impl Changes {
    fn apply(self) -> Outlier {
        let p = params();
        let seconds = |value: Option<u64>, default| value.map_or(default, Duration::from_secs);
        Outlier {
            consecutive_5xx: self.consecutive_5xx.unwrap_or(p.consecutive_5xx),
            consecutive_gateway: self.consecutive_gateway.unwrap_or(p.consecutive_gateway),
            split_local_origin: self.split_local_origin.unwrap_or(p.split_local_origin),
            consecutive_local_origin: self
                .consecutive_local_origin
                .unwrap_or(p.consecutive_local_origin),
            interval: seconds(self.interval_s, p.interval),
            base_ejection: seconds(self.base_ejection_s, p.base_ejection),
            max_ejection: seconds(self.max_ejection_s, p.max_ejection),
            max_ejection_percent: self.max_ejection_percent.unwrap_or(p.max_ejection_percent),
            http_error_codes: self.http_error_codes.unwrap_or_default(),
            min_health_percent: 0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    case: String,
    hosts: u64,
    #[serde(default)]
    params: Changes,
    /// `[seconds, host, outcome, times]`; the outcome is a status, `timeout` or `lost`.
    events: Vec<(f64, u64, String, u32)>,
    /// The end of the row, seconds.
    until_s: f64,
    /// `[seconds, host, "ejected" or "returned"]`, all there are, in order.
    expect: Vec<(f64, u64, String)>,
}

fn outcome(text: &str) -> Outcome {
    match text {
        "timeout" => Outcome::Timeout,
        "lost" => Outcome::ConnectionLost,
        status => Outcome::Status(status.parse().unwrap()),
    }
}

async fn run(row: Row) {
    let clock = Clock::tokio(0);
    let began = tokio::time::Instant::now();
    let params = row.params.apply();
    let hosts: Vec<u64> = (0..row.hosts).collect();
    let mut detector = Detector::default();
    detector.keep(&hosts);
    assert!(detector.advance(&params, clock.now_us()).is_empty());
    let mut seen = Vec::new();
    let end = (row.until_s, 0, "200".to_owned(), 0);
    for (at, host, what, times) in row.events.into_iter().chain([end]) {
        let moment = began + Duration::from_secs_f64(at);
        tokio::time::advance(moment - tokio::time::Instant::now()).await;
        seen.extend(detector.advance(&params, clock.now_us()));
        for _ in 0..times {
            seen.extend(detector.observe(&params, host, outcome(&what), clock.now_us()));
        }
    }
    let word = |until: Option<i64>| if until.is_some() { "ejected" } else { "returned" };
    let seen: Vec<_> =
        seen.iter().map(|e| (e.at_us as f64 / 1e6, e.host, word(e.until_us).to_owned())).collect();
    assert_eq!(seen, row.expect, "{}: {}", row.id, row.case);
}

#[tokio::test(start_paused = true)]
async fn every_row_of_the_vectors_holds() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("vectors/outlier.json")).unwrap();
    assert!(rows.len() >= 20);
    for row in rows {
        run(row).await;
    }
}

#[test]
fn an_ejection_says_which_sweep_ends_it() {
    let params = params();
    let mut detector = Detector::default();
    detector.keep(&[1, 2]);
    detector.advance(&params, 0);
    let ejections = (0..5).map(|_| detector.observe(&params, 1, Outcome::Status(500), 1_000_000));
    let ejection = ejections.last().flatten().unwrap();
    assert_eq!(ejection.cause, "consecutive-5xx");
    // Over at 31 s, and the next sweep is at 40 s.
    assert_eq!(ejection.until_us, Some(40_000_000));
    assert_eq!(detector.until_us(&params, 1), Some(40_000_000));
    assert!(detector.advance(&params, 39_999_999).is_empty());
    assert_eq!(detector.advance(&params, 40_000_000).len(), 1);
}

#[test]
fn a_detector_that_nobody_asked_for_a_year_is_where_sweeps_would_have_brought_it() {
    let params = Outlier { interval: Duration::from_millis(1), ..params() };
    let mut detector = Detector::default();
    detector.keep(&[1]);
    detector.advance(&params, 0);
    for _ in 0..5 {
        detector.observe(&params, 1, Outcome::Status(500), 500);
    }
    let year_us = 365 * 24 * 3_600 * 1_000_000;
    let returned = detector.advance(&params, year_us);
    assert_eq!(returned[0].at_us, 30_001_000);
    assert_eq!(detector.standing(1).unwrap().multiplier, 0);
}

#[test]
fn o16_grpc_statuses_are_mapped_first() {
    for (grpc, http) in [(0, 200), (14, 503), (4, 504), (13, 500), (7, 403), (16, 401), (99, 500)] {
        assert_eq!(http_of_grpc(grpc), http);
    }
}

// === through the stack ===

fn policy(params: Outlier) -> istio::policy::Policy {
    traffic(
        1,
        TrafficPolicy {
            load_balancer: LoadBalancer::RoundRobin,
            outlier: Some(params),
            ..TrafficPolicy::default()
        },
    )
}

async fn instances(world: &World, requests: usize) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for _ in 0..requests {
        *all.entry(world.instance().await).or_insert(0) += 1;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn o2_o9_the_fifth_5xx_ejects_at_once_and_a_sweep_takes_back() {
    let world = World::payments(2);
    world.apply(policy(params()));
    let mut changes = world.mesh.changes();
    world.set("payments-1", 500);
    let first = instances(&world, 20).await;
    assert_eq!(first["payments-1"], 5, "and no more");
    let Ok(Change::Ejection(ejection)) = changes.try_recv() else { panic!("it is told") };
    assert_eq!((&*ejection.instance, ejection.cause), ("payments-1", "consecutive-5xx"));
    assert_eq!(ejection.until_us, Some(30_000_000));
    let status = &world.mesh.endpoints()[1];
    assert_eq!((status.ejected_until_us, status.ejections), (Some(30_000_000), 1));
    assert_eq!((status.requests, status.failures), (5, 5));
    world.set("payments-1", 200);
    tokio::time::advance(Duration::from_millis(29_999)).await;
    assert_eq!(instances(&world, 4).await.get("payments-1"), None);
    tokio::time::advance(Duration::from_millis(1)).await;
    world.mesh.sweep();
    let Ok(Change::Ejection(back)) = changes.try_recv() else { panic!("it is told") };
    assert_eq!((&*back.instance, back.until_us), ("payments-1", None));
    assert_eq!(instances(&world, 4).await["payments-1"], 2, "with its full share, without a probe");
    let edge = &world.mesh.edges()[0];
    let acted = edge.layers.iter().find(|layer| layer.layer == "outlier").unwrap().acted;
    assert_eq!(acted, 1);
}

#[tokio::test(start_paused = true)]
async fn o4_a_deadline_that_cuts_the_call_counts_and_a_caller_that_goes_away_does_not() {
    let world = World::payments(1);
    world.apply(policy(params()));
    world.mesh.pause("payments", "payments-0");
    for _ in 0..9 {
        let call = world.caller().get("payments", "/").send();
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    }
    assert_eq!(world.mesh.endpoints()[0].consecutive_errors, 0);
    for errors in 1..=4 {
        let call = world.caller().get("payments", "/").timeout(Duration::from_millis(5));
        call.send().await.unwrap_err();
        assert_eq!(world.mesh.endpoints()[0].consecutive_errors, errors);
    }
    world.mesh.kill("payments", "payments-0");
    world.get("payments", "/").await.unwrap_err();
    assert_eq!(world.mesh.endpoints()[0].ejections, 1, "four timeouts and a lost connection");
}

#[tokio::test(start_paused = true)]
async fn o4_a_try_that_was_delayed_before_it_went_out_is_a_timeout_at_its_own_end() {
    let delay = Some(FaultDelay { share: Share::ALL, delay: SECOND / 2 });
    let delayed =
        || Route { fault: Some(Fault { delay, abort: None }), ..forward("all", "payments") };
    let retry = Retry { per_try_timeout: Some(SECOND), ..delayed().retry };
    let whole = Route { timeout: Some(SECOND), ..delayed() };
    let each = Route { retry, ..delayed() };
    for route in [whole, each] {
        let world = World::payments(1);
        let mut policy = policy(params());
        policy.virtual_hosts = common::policy(1, vec![route]).virtual_hosts;
        world.apply(policy);
        let echo = world.get("payments", "/").await.unwrap().echo.unwrap();
        let told = echo.header("x-envoy-expected-rq-timeout-ms").map(str::to_owned);
        assert_eq!(told.as_deref(), Some("500"), "what is left for the callee");
        world.mesh.pause("payments", "payments-0");
        for errors in 1..=4 {
            let began = tokio::time::Instant::now();
            world.get("payments", "/").await.unwrap_err();
            assert_eq!(began.elapsed(), SECOND);
            let endpoint = world.mesh.endpoints().remove(0);
            assert_eq!((endpoint.consecutive_errors, endpoint.failures), (errors, errors.into()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn o4_a_try_that_waited_for_a_connection_is_a_timeout_at_its_own_end() {
    let world = World::payments(1);
    let mut policy = policy(params());
    let rule = policy.destinations.get_mut("payments").unwrap();
    rule.policy.connection_pool = ConnectionPool { max_connections: Some(1), ..Default::default() };
    world.apply(policy);
    world.mesh.pause("payments", "payments-0");
    let call = |timeout| world.caller().get("payments", "/").timeout(timeout).send();
    let (first, waited) = tokio::join!(call(SECOND / 2), call(SECOND));
    assert!(first.is_err() && waited.is_err());
    let endpoint = world.mesh.endpoints().remove(0);
    assert_eq!((endpoint.consecutive_errors, endpoint.failures), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn looking_is_neither_watched_nor_counted_nor_limited() {
    let world = World::payments(1);
    let mut policy = policy(params());
    let rule = policy.destinations.get_mut("payments").unwrap();
    rule.policy.connection_pool =
        ConnectionPool { max_connections: Some(1), max_pending: Some(0), ..Default::default() };
    world.apply(policy);
    let look = || world.caller().look("payments", "/").send();
    let endpoint = || world.mesh.endpoints().remove(0);
    world.mesh.kill("payments", "payments-0");
    for _ in 0..9 {
        assert!(look().await.is_err());
    }
    assert_eq!((endpoint().consecutive_errors, endpoint().ejections), (0, 0));
    assert_eq!((endpoint().requests, endpoint().failures), (0, 0));
    world.mesh.restart("payments", "payments-0");
    // The only connection is in use until the answer is read.
    let held = world.caller().get("payments", "/").send().await.unwrap();
    assert_eq!(look().await.unwrap().status(), 200);
    assert!(world.get("payments", "/").await.is_err());
    drop(held);
    // Nor does it end a row of errors.
    world.set("payments-0", 500);
    for _ in 0..4 {
        world.get("payments", "/").await.unwrap();
    }
    world.set("payments-0", 200);
    assert_eq!(look().await.unwrap().status(), 200);
    world.set("payments-0", 500);
    world.get("payments", "/").await.unwrap();
    assert_eq!((endpoint().ejections, endpoint().requests), (1, 6));
    let edges = world.mesh.edges();
    let edge = edges.iter().find(|edge| *edge.caller == *"orders").unwrap();
    let reached = edge.layers.iter().find(|layer| layer.layer == "outlier").unwrap().reached;
    assert_eq!(reached, 6);
}

#[tokio::test(start_paused = true)]
async fn when_all_are_ejected_there_is_no_healthy_upstream() {
    let world = World::payments(1);
    world.apply(policy(params()));
    world.set("payments-0", 503);
    instances(&world, 5).await;
    let lost = world.get("payments", "/").await.unwrap_err();
    assert_eq!(lost.flag(), Some(Flag::NoHealthyUpstream));
}

#[tokio::test(start_paused = true)]
async fn o14_below_the_minimum_health_the_ejected_are_used_again() {
    let world = World::payments(4);
    world.apply(policy(Outlier { min_health_percent: 60, ..params() }));
    world.set("payments-3", 500);
    instances(&world, 40).await;
    assert_eq!(instances(&world, 12).await.get("payments-3"), None, "75 % are healthy");
    world.set("payments-2", 500);
    instances(&world, 40).await;
    let panic = instances(&world, 12).await;
    assert_eq!(panic.len(), 4, "50 % are healthy: all are used, {panic:?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_without_detection_takes_everybody_back() {
    let world = World::payments(2);
    world.apply(policy(params()));
    world.set("payments-1", 500);
    instances(&world, 20).await;
    assert!(world.mesh.endpoints()[1].ejected_until_us.is_some());
    world.apply(traffic(
        2,
        TrafficPolicy { load_balancer: LoadBalancer::RoundRobin, ..TrafficPolicy::default() },
    ));
    assert_eq!(instances(&world, 4).await["payments-1"], 2);
    assert!(world.mesh.endpoints()[1].ejected_until_us.is_none());
}

/// A call that has failed once and waits to be repeated under the policy it began with.
async fn waiting(world: &World) -> impl Future<Output = Result<mesh::Response, mesh::MeshError>> {
    let mut call = Box::pin(world.caller().get("payments", "/").timeout(MINUTE).send());
    assert!(futures::future::poll_immediate(&mut call).await.is_none());
    call
}

/// To this subset, repeated once after a while.
fn repeated(subset: Option<&str>) -> Route {
    let mut route = rule("all", Action::Forward(vec![to("payments", subset, 1)]));
    route.retry =
        Retry { attempts: 1, on: vec![RetryOn::ServerError], backoff: MINUTE / 12, ..route.retry };
    route
}

#[tokio::test(start_paused = true)]
async fn who_still_follows_a_policy_without_detection_takes_nobody_back() {
    let world = World::payments(2);
    let mut old = common::policy(1, vec![repeated(None)]);
    old.destinations.insert("payments".into(), destination(TrafficPolicy::default()));
    world.apply(old);
    ["payments-0", "payments-1"].iter().for_each(|instance| world.set(instance, 500));
    let call = waiting(&world).await;
    world.apply(Policy { revision: 2, ..policy(params()) });
    world.set("payments-0", 200);
    instances(&world, 20).await;
    let ejected = world.mesh.endpoints()[1].ejected_until_us;
    assert!(ejected.is_some());
    let mut changes = world.mesh.changes();
    call.await.unwrap();
    assert!(changes.try_recv().is_err(), "nothing changed");
    assert_eq!(world.mesh.endpoints()[1].ejected_until_us, ejected);
    assert_eq!(instances(&world, 4).await.get("payments-1"), None);
}

#[tokio::test(start_paused = true)]
async fn who_still_follows_other_labels_of_a_subset_wipes_nothing_of_its_endpoints() {
    let world =
        World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")]);
    let both = |revision: u64, everybody: bool| {
        let traffic = TrafficPolicy {
            load_balancer: LoadBalancer::RoundRobin,
            outlier: Some(params()),
            ..TrafficPolicy::default()
        };
        let mut rule = destination(traffic);
        if everybody {
            rule.subsets[0].labels.clear();
        }
        let mut policy = common::policy(revision, vec![repeated(Some("v1"))]);
        policy.destinations.insert("payments".into(), rule);
        policy
    };
    world.apply(both(1, false));
    world.set("payments-0", 500);
    let call = waiting(&world).await;
    world.set("payments-0", 200);
    world.apply(both(2, true));
    world.set("payments-v2-0", 500);
    for _ in 0..20 {
        let _ = world.get("payments", "/").await;
    }
    let endpoint = || world.mesh.endpoints().remove(1);
    assert_eq!((&*endpoint().instance, endpoint().ejections), ("payments-v2-0", 1));
    assert_eq!(call.await.unwrap().status(), 200);
    assert!(endpoint().ejected_until_us.is_some(), "it stays out");
    assert_eq!(endpoint().ejections, 1);
}
