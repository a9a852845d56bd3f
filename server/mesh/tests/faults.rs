//! Faults through the whole stack, under paused time: exact shares, scopes, ends, what they leave
//! behind, and how they compose with retries and timeouts.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::policy::{
    Fault, FaultAbort, FaultDelay, Match, Outlier, Retry, RetryOn, Route, Share, StringMatch,
    TrafficPolicy,
};
use mesh::{
    BreakerParams, CallError, MeshError,
    breaker::BreakerState,
    fault::{
        ACTIVE_MAX, AskedFault, ENDED_MAX, EXAMPLES_MAX, EndReason, FaultEvent, FaultId, FaultKind,
        FaultScope, FaultSpec, FaultStanding, InjectError, KeptFault, Reset, TTL_MAX, TTL_ROUTE,
    },
};
use scripted::{Act, SEED, World, origin, policy, policy_with, retry, rule, text, transition};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn percent(percent: u32) -> Share {
    Share(percent * 10_000)
}

/// A fault of every call, for a minute.
fn fault(kind: FaultKind) -> FaultSpec {
    FaultSpec {
        kind,
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: MINUTE,
        limit: None,
        like_istio: false,
        by: "test".into(),
    }
}

fn abort(status: u16) -> FaultKind {
    let status = http::StatusCode::from_u16(status).unwrap();
    FaultKind::Abort { status, grpc_status: None }
}

fn inject(world: &World, spec: FaultSpec) -> FaultId {
    world.mesh.faults().inject(spec).unwrap()
}

/// The fault of the seed's `VirtualService`: 10 % two seconds, 5 % a 503.
fn seed_fault() -> Fault {
    let delay = FaultDelay { share: percent(10), delay: 2 * SECOND };
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    let abort = FaultAbort { share: percent(5), status, grpc_status: None };
    Fault { delay: Some(delay), abort: Some(abort) }
}

fn faulty_route() -> Route {
    Route { fault: Some(seed_fault()), ..rule(None) }
}

/// What became of so many calls, one after the other: (delayed, aborted).
async fn pattern(world: &World, calls: usize) -> Vec<(bool, bool)> {
    let mut pattern = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        let status = world.status().await.unwrap();
        pattern.push((began.elapsed() == 2 * SECOND, status == 503));
    }
    pattern
}

// === exact shares ===

#[tokio::test(start_paused = true)]
async fn ten_percent_of_ten_thousand_calls_is_a_thousand_and_ten_of_each_hundred() {
    let world = World::payments();
    let ttl = TTL_MAX;
    let id = inject(&world, FaultSpec { share: percent(10), ttl, ..fault(abort(503)) });
    for hundred in 0..100 {
        let mut hit = 0;
        for _ in 0..100 {
            hit += u32::from(world.status().await == Ok(503));
        }
        assert_eq!(hit, 10, "of hundred {hundred}, seed {SEED}");
    }
    let status = world.mesh.faults().get(id).unwrap();
    assert_eq!((status.matched, status.injected, status.spared()), (10_000, 1_000, 9_000));
    assert_eq!(world.calls("payments-0"), 9_000);
}

#[tokio::test(start_paused = true)]
async fn delay_and_abort_of_a_route_are_exact_and_independent_of_each_other() {
    let world = World::payments();
    world.apply(policy(1, faulty_route()));
    // A tenth of them takes 2 s: that is less than the quarter of an hour after which it ends.
    let pattern = pattern(&world, 4_000).await;
    let of = |which: fn(&(bool, bool)) -> bool| pattern.iter().filter(|call| which(call)).count();
    assert_eq!(of(|call| call.0), 400, "delayed, seed {SEED}");
    assert_eq!(of(|call| call.1), 200, "aborted, seed {SEED}");
    // Of independent draws half a percent is both: 20 of 4,000, give or take four deviations.
    let both = of(|call| call.0 && call.1);
    assert!((2..=38).contains(&both), "{both} were delayed and aborted, seed {SEED}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_the_same_requests_bring_the_same_faults() {
    let mut patterns = Vec::new();
    for seed in [7, 7, 8] {
        let never = BreakerParams { failure_threshold: u32::MAX, ..BreakerParams::default() };
        let world = World::with(&[("payments", "payments-0", "v1")], never, seed);
        world.apply(policy(1, faulty_route()));
        patterns.push(pattern(&world, 300).await);
    }
    assert_eq!(patterns[0], patterns[1]);
    assert_ne!(patterns[0], patterns[2]);
}

// === every fault ends ===

#[tokio::test(start_paused = true)]
async fn a_fault_without_an_end_or_without_a_share_is_not_taken() {
    let world = World::payments();
    let try_to = |spec| world.mesh.faults().inject(spec);
    assert_eq!(
        try_to(FaultSpec { ttl: Duration::ZERO, ..fault(abort(503)) }),
        Err(InjectError::Ttl)
    );
    let forever = FaultSpec { ttl: TTL_MAX + SECOND, ..fault(abort(503)) };
    assert_eq!(try_to(forever), Err(InjectError::Ttl));
    let nobody = FaultSpec { share: Share::NONE, ..fault(abort(503)) };
    assert_eq!(try_to(nobody), Err(InjectError::Share));
    let empty = fault(FaultKind::Jitter { min: SECOND, max: SECOND });
    assert_eq!(try_to(empty), Err(InjectError::Range));
}

#[tokio::test(start_paused = true)]
async fn a_fault_expires_by_the_clock_and_is_remembered() {
    let world = World::payments();
    let id = inject(&world, fault(abort(503)));
    tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
    assert_eq!(world.status().await, Ok(503));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.status().await, Ok(200));
    let (ended, total) = world.mesh.faults().ended();
    assert_eq!((ended[0].id, total), (id, 1));
    assert_eq!(ended[0].ended, Some((60_000_000, EndReason::Expired)));
    assert!(world.mesh.faults().active().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_tells_of_an_expiry_although_nobody_calls() {
    let world = World::payments();
    let mut events = world.mesh.faults().events();
    inject(&world, fault(FaultKind::Hang));
    assert!(matches!(events.try_recv(), Ok(FaultEvent::Began(_))));
    tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
    world.mesh.sweep();
    assert!(events.try_recv().is_err());
    tokio::time::advance(Duration::from_millis(1)).await;
    world.mesh.sweep();
    assert!(matches!(events.try_recv(), Ok(FaultEvent::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn the_kill_switch_releases_held_calls_within_100_ms_and_refuses_new_faults() {
    for kind in [
        FaultKind::Hang,
        FaultKind::Delay(3600 * SECOND),
        FaultKind::Jitter { min: 3600 * SECOND, max: 7200 * SECOND },
    ] {
        let world = World::payments();
        let spec = FaultSpec { ttl: TTL_MAX, limit: Some(1), ..fault(kind) };
        inject(&world, spec);
        inject(&world, FaultSpec { ttl: TTL_MAX, ..fault(FaultKind::Hang) });
        let caller = world.caller();
        let call = caller.get("payments", "/").timeout(TTL_MAX).send();
        let kill = async {
            tokio::time::sleep(10 * SECOND).await;
            assert_eq!(world.mesh.faults().active().iter().map(|f| f.held).sum::<u64>(), 2);
            assert_eq!(world.mesh.faults().end_all(), 2);
            Instant::now()
        };
        let (answer, killed) = tokio::join!(
            async { (call.await.map(|answer| answer.status().as_u16()), Instant::now()) },
            kill
        );
        assert_eq!(answer.0, Ok(200), "a held call goes on");
        assert!(answer.1 - killed < Duration::from_millis(100), "{:?}", answer.1 - killed);
        assert_eq!(world.mesh.faults().inject(fault(abort(503))), Err(InjectError::Killed));
        let reasons: Vec<_> =
            world.mesh.faults().ended().0.iter().filter_map(|f| f.ended).map(|e| e.1).collect();
        assert_eq!(reasons, [EndReason::KillSwitch; 2]);
        world.mesh.faults().release();
        assert!(world.mesh.faults().inject(fault(abort(503))).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn removing_a_fault_releases_the_calls_it_holds_and_no_others() {
    let world = World::payments();
    let id = inject(&world, fault(FaultKind::Hang));
    let call = world.status();
    let remove = async {
        tokio::time::sleep(SECOND).await;
        assert!(world.mesh.faults().remove(id));
        assert!(!world.mesh.faults().remove(id), "it is gone");
    };
    let began = Instant::now();
    let (status, ()) = tokio::join!(call, remove);
    assert_eq!((status, began.elapsed()), (Ok(200), SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_fault_for_the_next_request_hits_one_of_many_and_ends() {
    let world = World::payments();
    let id = inject(&world, FaultSpec { limit: Some(1), ..fault(abort(503)) });
    let statuses = futures::future::join_all((0..10).map(|_| world.status())).await;
    assert_eq!(statuses.iter().filter(|status| **status == Ok(503)).count(), 1);
    let status = world.mesh.faults().get(id).unwrap();
    assert_eq!((status.injected, status.ended.map(|end| end.1)), (1, Some(EndReason::Spent)));
}

// === scopes ===

#[tokio::test(start_paused = true)]
async fn a_fault_hits_only_what_its_scope_says() {
    let world = World::new(&[
        ("payments", "payments-0", "v1"),
        ("payments", "payments-v2-0", "v2"),
        ("users", "users-0", "v1"),
    ]);
    let mut request = Match::default();
    request.headers.push(("x-user".parse().unwrap(), StringMatch::Exact("ada".into())));
    let matches = vec![request];
    let scope = FaultScope::default;
    // Scope, and which of these are hit: orders' and gateway's payments, users, subset v2, ada's.
    let table = [
        (scope(), [true, true, true, true, true]),
        (
            FaultScope { caller: Some("gateway".into()), ..scope() },
            [false, true, false, false, false],
        ),
        (
            FaultScope { destination: Some("payments".into()), ..scope() },
            [true, true, false, true, true],
        ),
        (FaultScope { subset: Some("v2".into()), ..scope() }, [false, false, false, true, false]),
        (FaultScope { matches, ..scope() }, [false, false, false, false, true]),
        (
            FaultScope { instance: Some("users-0".into()), ..scope() },
            [false, false, true, false, false],
        ),
    ];
    for (scope, expected) in table {
        world.mesh.apply(policy(1, rule(None)).into());
        let shown = format!("{scope:?}");
        let id = inject(&world, FaultSpec { scope, ..fault(abort(418)) });
        let mesh = &world.mesh;
        let hit = |answer: Result<mesh::Response, MeshError>| answer.unwrap().status() == 418;
        let orders = hit(mesh.caller("orders").get("payments", "/").send().await);
        let gateway = hit(mesh.caller("gateway").get("payments", "/").send().await);
        let users = hit(mesh.caller("orders").get("users", "/").send().await);
        let ada = mesh.caller("orders").get("payments", "/").header("x-user", "ada");
        let ada = hit(ada.send().await);
        world.mesh.apply(policy(2, rule(Some("v2"))).into());
        let v2 = hit(mesh.caller("orders").get("payments", "/").send().await);
        assert_eq!([orders, gateway, users, v2, ada], expected, "{shown}");
        world.mesh.faults().remove(id);
    }
}

#[tokio::test(start_paused = true)]
async fn outlier_detection_sees_a_fault_of_an_instance_and_not_one_of_the_callers_proxy() {
    let outlier = Outlier {
        consecutive_5xx: 2,
        consecutive_gateway: 0,
        split_local_origin: false,
        consecutive_local_origin: 0,
        interval: 10 * SECOND,
        base_ejection: 30 * SECOND,
        max_ejection: 300 * SECOND,
        max_ejection_percent: 100,
        min_health_percent: 0,
        http_error_codes: Vec::new(),
    };
    let traffic = TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() };
    let at_instance = FaultScope { instance: Some("payments-0".into()), ..FaultScope::default() };
    for (scope, ejections) in [(FaultScope::default(), 0), (at_instance, 1)] {
        let world =
            World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-1", "v1")]);
        world.apply(policy_with(1, rule(None), traffic.clone()));
        inject(&world, FaultSpec { scope, ..fault(abort(503)) });
        for _ in 0..10 {
            let _ = world.get().await;
        }
        let ejected: u64 = world.mesh.endpoints().iter().map(|endpoint| endpoint.ejections).sum();
        assert_eq!(ejected, ejections, "seed {SEED}");
        // And so do the figures of the instance: of what was injected there and before it.
        let failures: Vec<_> = world.mesh.endpoints().iter().map(|e| e.failures).collect();
        assert_eq!(failures, [2 * ejections, 0], "seed {SEED}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_looks_is_left_alone_and_uses_up_no_draw() {
    let world = World::payments();
    let id = inject(&world, fault(abort(503)));
    let look = world.caller().look("payments", "/").send().await.unwrap();
    assert_eq!(look.status(), 200);
    assert_eq!(world.mesh.faults().get(id).unwrap().matched, 0);
}

// === faults of resources ===

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_virtual_service_keeps_its_id_while_its_content_is_the_same() {
    let world = World::payments();
    let ids = || world.mesh.faults().active().iter().map(|f| f.id.0).collect::<Vec<_>>();
    world.apply(policy(1, faulty_route()));
    assert_eq!(ids(), [1, 2]);
    world.apply(policy(2, Route { timeout: Some(SECOND), ..faulty_route() }));
    assert_eq!(ids(), [1, 2], "another field has changed");
    let mut changed = faulty_route();
    changed.fault = Some(Fault { abort: None, ..seed_fault() });
    world.apply(policy(3, changed));
    assert_eq!(ids(), [1], "one is not asked for any more");
    world.apply(policy(4, faulty_route()));
    assert_eq!(ids(), [1, 3], "and is another when it comes back");
    world.apply(policy(5, rule(None)));
    assert!(ids().is_empty());
    let (ended, _) = world.mesh.faults().ended();
    assert!(ended.iter().all(|f| f.ended.unwrap().1 == EndReason::ResourceGone));
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_virtual_service_ends_after_its_default_time_and_stays_ended() {
    let world = World::payments();
    world.apply(policy(1, faulty_route()));
    let active = world.mesh.faults().active();
    assert_eq!(active[0].until_us, 15 * 60 * 1_000_000);
    tokio::time::advance(TTL_ROUTE).await;
    assert!(world.mesh.faults().active().is_empty());
    world.apply(policy(2, faulty_route()));
    assert!(world.mesh.faults().active().is_empty(), "the content is the same");
    world.mesh.faults().renew(&[origin("VirtualService", "other")], &policy(2, faulty_route()));
    assert!(world.mesh.faults().active().is_empty(), "another resource was applied");
    renew(&world);
    let again = world.mesh.faults().active();
    assert_eq!(again.iter().map(|f| f.id.0).collect::<Vec<_>>(), [3, 4], "applied on purpose");
    assert_eq!(again[0].until_us, 30 * 60 * 1_000_000);
    tokio::time::advance(MINUTE).await;
    renew(&world);
    assert_eq!(world.mesh.faults().active()[0].until_us, again[0].until_us, "it keeps its end");
}

/// The resource is applied again as it is.
fn renew(world: &World) {
    let origin = origin("VirtualService", "payments");
    world.mesh.faults().renew(&[origin], &policy(9, faulty_route()));
}

fn standings(world: &World) -> Vec<FaultStanding> {
    world.mesh.faults().asked().iter().map(|fault| fault.standing).collect()
}

#[tokio::test(start_paused = true)]
async fn the_kill_switch_ends_faults_of_resources_and_a_release_does_not_bring_them_back() {
    let world = World::payments();
    world.apply(policy(1, faulty_route()));
    assert_eq!(world.mesh.faults().end_all(), 2);
    world.apply(policy(2, faulty_route()));
    world.mesh.faults().release();
    world.apply(policy(3, faulty_route()));
    assert!(world.mesh.faults().active().is_empty());
    assert_eq!(standings(&world), [FaultStanding::Over, FaultStanding::Over]);
    renew(&world);
    assert_eq!(world.mesh.faults().active().len(), 2, "but applying again does");
}

#[tokio::test(start_paused = true)]
async fn a_fault_applied_while_the_kill_switch_is_on_begins_when_it_is_released() {
    let world = World::payments();
    world.apply(policy(1, faulty_route()));
    world.mesh.faults().end_all();
    renew(&world);
    assert_eq!(standings(&world), [FaultStanding::Waiting, FaultStanding::Waiting]);
    assert!(world.mesh.faults().active().is_empty(), "not before");
    tokio::time::advance(MINUTE).await;
    world.mesh.faults().release();
    let active = world.mesh.faults().active();
    assert_eq!(active.len(), 2);
    assert_eq!(active[0].until_us, 16 * 60 * 1_000_000, "its time runs from its beginning");
    assert!(matches!(standings(&world)[0], FaultStanding::Active { until_us, .. }
        if until_us == active[0].until_us));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_fault_of_a_resource_has_the_time_it_had_left() {
    let before = World::payments();
    before.apply(policy(1, faulty_route()));
    let abort = before.mesh.faults().active()[1].id;
    before.mesh.faults().remove(abort);
    let kept: Vec<_> = before.mesh.faults().asked().iter().map(AskedFault::kept).collect();
    let until_us: Vec<_> = kept.iter().map(|fault| fault.until_us).collect();
    assert_eq!(until_us, [Some(15 * 60 * 1_000_000), Some(0)]);

    // The clock of this world stands at 0 when it begins.
    let mut ten_minutes_later = kept.clone();
    ten_minutes_later[0].until_us = Some(5 * 60 * 1_000_000);
    let after = World::payments();
    after.mesh.faults().recall(ten_minutes_later);
    after.apply(policy(1, faulty_route()));
    let active = after.mesh.faults().active();
    assert_eq!(active.len(), 1, "the removed one stays ended");
    assert_eq!(active[0].until_us, 5 * 60 * 1_000_000);
    tokio::time::advance(5 * MINUTE).await;
    assert_eq!(standings(&after), [FaultStanding::Over, FaultStanding::Over]);

    let later = World::payments();
    later.mesh.faults().recall(vec![KeptFault { until_us: None, ..kept[0].clone() }]);
    later.apply(policy(1, faulty_route()));
    let active = later.mesh.faults().active();
    assert_eq!(active.len(), 2, "one that waited, and one nobody knows, begin");
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_found_no_place_says_so_and_begins_when_it_is_applied_again() {
    let world = World::payments();
    let other = inject(&world, fault(abort(500)));
    for _ in 1..ACTIVE_MAX {
        inject(&world, fault(abort(500)));
    }
    world.apply(policy(1, faulty_route()));
    assert_eq!(standings(&world), [FaultStanding::TooMany, FaultStanding::TooMany]);
    world.mesh.faults().remove(other);
    renew(&world);
    assert!(matches!(
        standings(&world)[..],
        [FaultStanding::Active { .. }, FaultStanding::TooMany]
    ));
}

// === composition ===

#[tokio::test(start_paused = true)]
async fn an_injected_503_is_repeated_like_a_real_one() {
    let world = World::payments();
    world.apply(policy(1, Route { retry: retry(2, &[RetryOn::ServerError]), ..rule(None) }));
    inject(&world, FaultSpec { limit: Some(2), ..fault(abort(503)) });
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.mesh.retries()[0].retries, 2);
    assert_eq!(world.calls("payments-0"), 1, "the destination saw the last try only");
}

#[tokio::test(start_paused = true)]
async fn an_injected_delay_is_cut_by_the_timeout_of_the_route() {
    let world = World::payments();
    world.apply(policy(1, Route { timeout: Some(SECOND), ..rule(None) }));
    inject(&world, fault(FaultKind::Delay(2 * SECOND)));
    let began = Instant::now();
    assert!(matches!(world.status().await, Err(MeshError::Deadline { .. })));
    assert_eq!((began.elapsed(), world.calls("payments-0")), (SECOND, 0));
}

#[tokio::test(start_paused = true)]
async fn the_istio_faithful_switch_turns_timeout_and_retries_off_while_the_route_has_a_fault() {
    let world = World::payments();
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    let delay = Some(FaultDelay { share: Share::ALL, delay: 2 * SECOND });
    let abort = Some(FaultAbort { share: Share::ALL, status, grpc_status: None });
    let route = |fault| Route {
        timeout: Some(SECOND),
        retry: Retry { ..retry(2, &[RetryOn::ServerError]) },
        fault,
        faithful: true,
        ..rule(None)
    };
    world.apply(policy(1, route(Some(Fault { delay, abort: None }))));
    let faults = world.mesh.faults();
    let began = Instant::now();
    assert_eq!((world.status().await, began.elapsed()), (Ok(200), 2 * SECOND));
    world.apply(policy(2, route(Some(Fault { delay: None, abort }))));
    assert_eq!(world.status().await, Ok(503));
    assert_eq!(world.mesh.retries()[0].retries, 0, "Istio does not repeat what its fault aborts");
    // With the fault over, the route has its timeout and its retries again.
    faults.end_all();
    world.script("payments-0", |_| Act::After(2 * SECOND, 200));
    assert!(matches!(world.status().await, Err(MeshError::Deadline { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_fault_as_in_istio_turns_timeout_and_retries_off_for_its_calls_alone() {
    let world = World::payments();
    let retry = retry(2, &[RetryOn::ServerError]);
    world.apply(policy(1, Route { timeout: Some(SECOND), retry, ..rule(None) }));
    let scope = FaultScope { caller: Some("gateway".into()), ..FaultScope::default() };
    let like_istio = true;
    let aborting = inject(
        &world,
        FaultSpec { scope: scope.clone(), limit: Some(1), like_istio, ..fault(abort(503)) },
    );
    let gateway = async || {
        let call = world.mesh.caller("gateway").get("payments", "/").send().await;
        call.map(|answer| answer.status().as_u16())
    };
    assert_eq!(gateway().await, Ok(503), "{aborting} is not repeated");
    let holding = FaultSpec { scope, like_istio, ..fault(FaultKind::Delay(2 * SECOND)) };
    inject(&world, holding);
    let began = Instant::now();
    assert_eq!((gateway().await, began.elapsed()), (Ok(200), 2 * SECOND), "no timeout");
    // Others have both.
    let calls = world.calls("payments-0");
    world.script("payments-0", move |seen| {
        Act::Status(if seen.number == calls + 1 { 503 } else { 200 })
    });
    assert_eq!((world.status().await, world.calls("payments-0")), (Ok(200), calls + 2));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_abort_is_an_answer_with_that_status_in_its_headers() {
    let world = World::payments();
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    inject(&world, fault(FaultKind::Abort { status, grpc_status: Some(14) }));
    let answer = world.get().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert_eq!(answer.headers()["content-type"], "application/grpc");
}

#[tokio::test(start_paused = true)]
async fn a_reset_before_the_request_leaves_the_destination_alone_and_one_after_it_does_not() {
    for (reset, seen, without_effect) in
        [(Reset::Connect, 0, true), (Reset::Stream, 0, true), (Reset::Answer, 1, false)]
    {
        let world = World::payments();
        world.apply(policy(1, rule(None)));
        inject(&world, fault(FaultKind::Reset(reset)));
        let error = world.status().await.unwrap_err();
        assert_eq!(world.calls("payments-0"), seen, "{reset:?}");
        assert_eq!(error.is_without_effect(), without_effect, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_body_breaks_off_after_so_many_bytes() {
    let world = World::payments();
    world.always("payments-0", Act::Json(r#"{"total":100}"#));
    inject(&world, fault(FaultKind::PartialBody { after_bytes: 5 }));
    let read: Result<serde_json::Value, _> = world.caller().get("payments", "/").receive().await;
    assert!(matches!(read, Err(CallError::Unreadable { .. })), "{read:?}");
    let answer = world.get().await.unwrap();
    assert!(axum::body::to_bytes(answer.into_body(), 1024).await.is_err());
    world.mesh.faults().end_all();
    assert_eq!(text(world.get().await.unwrap()).await, r#"{"total":100}"#);
}

#[tokio::test(start_paused = true)]
async fn a_jitter_holds_each_call_for_a_time_of_its_range() {
    let world = World::payments();
    let (min, max) = (SECOND, 3 * SECOND);
    inject(&world, FaultSpec { ttl: TTL_MAX, ..fault(FaultKind::Jitter { min, max }) });
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(world.status().await, Ok(200));
        times.push(began.elapsed());
    }
    assert!(times.iter().all(|time| (min..=max).contains(time)), "seed {SEED}");
    let early = times.iter().filter(|time| **time < 2 * SECOND).count();
    assert!((65..=135).contains(&early), "{early} of 200 in the first half, seed {SEED}");
}

// === what a fault leaves behind ===

#[tokio::test(start_paused = true)]
async fn the_id_travels_in_baggage_to_the_callee_and_to_the_calls_it_makes() {
    let world = World::new(&[("payments", "payments-0", "v1"), ("users", "users-0", "v1")]);
    let mesh = world.mesh.clone();
    let relay = move |context: mesh::CallContext| async move {
        let call = mesh.caller("orders").get("payments", "/").context(&context);
        call.send().await.map_err(|_| http::StatusCode::BAD_GATEWAY).map(|_| ())
    };
    world.mesh.register("orders", axum::Router::new().route("/", axum::routing::get(relay)));
    let destination = Some("orders".into());
    let scope = FaultScope { destination, ..FaultScope::default() };
    inject(&world, FaultSpec { scope, ..fault(FaultKind::Delay(SECOND)) });
    let call = world.mesh.caller("gateway").get("orders", "/").header("baggage", "user=ada");
    assert_eq!(call.send().await.unwrap().status(), 200);
    let baggage = world.seen("payments-0")[0].header("baggage").unwrap().to_owned();
    assert_eq!(baggage, "user=ada,vitrine.fault.id=F-1");
}

#[tokio::test(start_paused = true)]
async fn nobody_outside_can_blame_a_fault() {
    let world = World::payments();
    let request = scripted::request("/", &[("baggage", "a=b,vitrine.fault.id=F-9")]);
    world.mesh.caller("browser").forward("payments", request).send().await.unwrap();
    assert_eq!(world.seen("payments-0")[0].header("baggage"), Some("a=b"));
    // However much else is there.
    let long = format!("k={}", "x".repeat(8_200));
    let blames = format!("vitrine.fault.id=F-777,{long}");
    let request = scripted::request("/", &[("baggage", &blames)]);
    world.mesh.caller("browser").forward("payments", request).send().await.unwrap();
    let baggage = world.seen("payments-0")[1].header("baggage").map(str::to_owned);
    assert!(baggage.as_ref().is_none_or(|baggage| *baggage == long), "{baggage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_a_fault_opens_names_it_also_when_the_call_was_cut() {
    for kind in [abort(503), FaultKind::Delay(30 * SECOND)] {
        let instances = [("payments", "payments-0", "v1")];
        let world = World::with(&instances, BreakerParams::default(), SEED);
        let mut changes = world.mesh.changes();
        let id = inject(&world, fault(kind));
        for _ in 0..5 {
            let _ = world.get().await;
        }
        let opened = transition(&mut changes);
        assert!(matches!(opened.to, BreakerState::Open { .. }));
        assert_eq!(opened.faults, [id]);
        let status = &world.mesh.breakers()[0];
        assert!(status.before_opening.iter().all(|call| call.cause.faults == [id]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_counts_what_the_fault_layer_did_and_the_call_carries_its_flags() {
    let world = World::payments();
    inject(&world, FaultSpec { share: percent(50), ..fault(abort(503)) });
    for _ in 0..100 {
        let _ = world.get().await;
    }
    let edges = world.mesh.edges();
    let layer = edges[0].layers.iter().find(|layer| layer.layer == "fault").unwrap();
    assert_eq!((layer.reached, layer.acted), (100, 50));
}

#[tokio::test(start_paused = true)]
async fn the_newest_examples_and_the_last_ended_faults_are_kept_and_no_more() {
    let world = World::payments();
    let id = inject(&world, fault(abort(503)));
    for number in 1..=20_u32 {
        let parent = format!("00-{number:032x}-00000000000000aa-01");
        let request = scripted::request("/", &[("traceparent", &parent)]);
        let _ = world.mesh.caller("browser").forward("payments", request).send().await;
    }
    let examples = world.mesh.faults().get(id).unwrap().examples;
    assert_eq!(examples.len(), EXAMPLES_MAX);
    assert_eq!(examples[0], format!("{:032x}", 20));
    world.mesh.faults().remove(id);
    for _ in 0..ENDED_MAX + 10 {
        let id = inject(&world, fault(abort(503)));
        world.mesh.faults().remove(id);
    }
    let (ended, total) = world.mesh.faults().ended();
    assert_eq!((ended.len(), total), (ENDED_MAX, u64::try_from(ENDED_MAX).unwrap() + 11));
    for _ in 0..ACTIVE_MAX {
        inject(&world, fault(FaultKind::Hang));
    }
    assert_eq!(world.mesh.faults().inject(fault(abort(503))), Err(InjectError::TooMany));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_a_fault_ends() {
    let world = World::payments();
    let mut healed = world.mesh.healed();
    inject(&world, fault(abort(503)));
    assert!(!healed.has_changed().unwrap());
    world.mesh.faults().end_all();
    assert!(healed.has_changed().unwrap());
    healed.mark_unchanged();
    world.mesh.faults().release();
    let id = inject(&world, fault(abort(503)));
    assert!(!healed.has_changed().unwrap());
    world.mesh.faults().remove(id);
    assert!(healed.has_changed().unwrap());
}
