//! A cascade: breakers that open because others below them are open, and what they are blamed on;
//! and what they are not blamed on, because it happened beside them. And what a request hands on
//! to the calls it causes.

mod scripted;

use istio::policy::{RetryOn, Route, Share};
use mesh::{
    BreakerParams,
    fault::{FaultKind, FaultScope, FaultSpec},
};
use scripted::{Act, SEED, World, policy, retry, rule, transition};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_breaker_further_up_names_the_fault_that_opened_the_one_below() {
    // Spans carry back up what was met further down.
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let twice = BreakerParams { failure_threshold: 2, ..BreakerParams::default() };
    let world = World::with(&[("payments", "payments-0", "v1")], twice, SEED);
    let mesh = world.mesh.clone();
    let relay = move |context: mesh::CallContext| async move {
        let call = mesh.caller("orders").get("payments", "/").context(&context);
        call.send().await.map_err(|_| http::StatusCode::SERVICE_UNAVAILABLE).map(|_| ())
    };
    world.mesh.register("orders", axum::Router::new().route("/", axum::routing::get(relay)));
    // Given a fault that opened orders' breaker for payments, and is over,
    let id = world.mesh.faults().inject(unavailable()).unwrap();
    for _ in 0..2 {
        let _ = world.get().await;
    }
    assert!(world.mesh.faults().remove(id));
    let mut changes = world.mesh.changes();
    // when that breaker's refusals open the gateway's for orders,
    for _ in 0..2 {
        let answer = world.mesh.caller("gateway").get("orders", "/").send().await;
        assert_eq!(answer.unwrap().status(), 503);
    }
    // then the fault is named as the cause of both.
    let opened = transition(&mut changes);
    assert_eq!((&*opened.caller, &*opened.destination), ("gateway", "orders"));
    assert_eq!(opened.faults, [id]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_blamed_on_a_fault_that_another_met_beside_it() {
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let once = BreakerParams { failure_threshold: 1, ..BreakerParams::default() };
    let world = World::with(&[("payments", "payments-0", "v1")], once, SEED);
    // Given a service that fails by itself, later than a fault hits the call beside it,
    let below = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let carried = base::carried::of(&tracing::Span::current()).unwrap_or_default();
        (http::StatusCode::SERVICE_UNAVAILABLE, [("x-carried", carried)])
    };
    let below = axum::Router::new().route("/", axum::routing::get(below));
    world.mesh.register("users", below);
    let mesh = world.mesh.clone();
    let both = move |context: mesh::CallContext| async move {
        let caller = mesh.caller("orders");
        let hit = caller.get("payments", "/").context(&context).send();
        let beside = caller.get("users", "/").context(&context).send();
        let (hit, beside) = futures::join!(hit, beside);
        assert_eq!(hit.unwrap().status(), 503);
        let later = base::carried::of(&tracing::Span::current()).unwrap_or_default();
        let carried = beside.unwrap().headers()["x-carried"].to_str().unwrap().to_owned();
        [("x-beside", carried), ("x-later", later)]
    };
    let both = axum::Router::new().route("/", axum::routing::get(both));
    world.mesh.register("orders", both);
    let id = world.mesh.faults().inject(unavailable()).unwrap();
    let mut changes = world.mesh.changes();
    // when both are called at once,
    let answer = world.mesh.caller("gateway").get("orders", "/").send().await.unwrap();
    // then only the breaker of the one that was hit names the fault,
    let opened = [transition(&mut changes), transition(&mut changes)];
    let causes = opened.map(|opened| (opened.destination.to_string(), opened.faults.clone()));
    assert_eq!(causes, [("payments".to_owned(), vec![id]), ("users".to_owned(), Vec::new())]);
    // nothing of it reaches what works beside it, and who called both knows of it from then on.
    assert_eq!(answer.headers()["x-beside"], "");
    assert_eq!(answer.headers()["x-later"], format!("vitrine.fault.id={id}").as_str());
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_was_met_before_a_call_is_carried_on_by_it_and_not_blamed_for_its_failure() {
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let once = BreakerParams { failure_threshold: 1, ..BreakerParams::default() };
    let services = [("payments", "payments-0", "v1"), ("users", "users-0", "v1")];
    let world = World::with(&services, once, SEED);
    world.always("users-0", Act::Status(503));
    let mesh = world.mesh.clone();
    let then = move |context: mesh::CallContext| async move {
        let caller = mesh.caller("orders");
        for service in ["payments", "users"] {
            let _ = caller.get(service, "/").context(&context).send().await;
        }
    };
    let then = axum::Router::new().route("/", axum::routing::get(then));
    world.mesh.register("orders", then);
    let id = world.mesh.faults().inject(unavailable()).unwrap();
    let mut changes = world.mesh.changes();
    world.mesh.caller("gateway").get("orders", "/").send().await.unwrap();
    let opened = [transition(&mut changes), transition(&mut changes)];
    assert_eq!(opened.map(|opened| opened.faults.clone()), [vec![id], vec![]]);
    let seen = world.seen("users-0").remove(0);
    assert_eq!(seen.header("baggage"), Some(format!("vitrine.fault.id={id}").as_str()));
}

#[tokio::test(start_paused = true)]
async fn of_a_call_that_carries_one_fault_and_fails_by_another_that_one_is_the_cause() {
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let once = BreakerParams { failure_threshold: 1, ..BreakerParams::default() };
    let services = [("payments", "payments-0", "v1"), ("users", "users-0", "v1")];
    let world = World::with(&services, once, SEED);
    let mesh = world.mesh.clone();
    let both = move |context: mesh::CallContext| async move {
        let caller = mesh.caller("orders");
        let mut failed = false;
        for service in ["users", "payments"] {
            let answer = caller.get(service, "/").context(&context).send().await;
            failed |= answer.is_ok_and(|answer| answer.status().is_server_error());
        }
        if failed { http::StatusCode::SERVICE_UNAVAILABLE } else { http::StatusCode::OK }
    };
    let both = axum::Router::new().route("/", axum::routing::get(both));
    world.mesh.register("orders", both);
    // Given one fault that only holds calls up, at two services,
    let held = FaultKind::Delay(Duration::from_millis(100));
    let to = |service: &str| FaultScope { destination: Some(service.into()), ..Default::default() };
    let slow = FaultSpec { kind: held, scope: to("users"), ..unavailable() };
    let slow = world.mesh.faults().inject(slow).unwrap();
    let fails = world.mesh.faults().inject(unavailable()).unwrap();
    let mut changes = world.mesh.changes();
    // when a request that has met it before meets another,
    let before = world.mesh.caller("gateway").get("users", "/").send().await.unwrap();
    assert_eq!(before.status(), 200);
    let carried = format!("vitrine.fault.id={slow}");
    let call = world.mesh.caller("gateway").get("payments", "/").header("baggage", &carried);
    assert_eq!(call.send().await.unwrap().status(), 503);
    // then that one alone is to blame, and both are carried on.
    assert_eq!(transition(&mut changes).faults, [fails]);
    // Further up nobody can tell which of the two it was: both were met below.
    let answer = world.mesh.caller("gateway").get("orders", "/").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(transition(&mut changes).faults, [fails]);
    assert_eq!(transition(&mut changes).faults, [slow, fails]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_a_fallback_made_good_for_is_no_cause_of_what_fails_further_up() {
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let once = BreakerParams { failure_threshold: 1, ..BreakerParams::default() };
    let world = World::with(&[("payments", "payments-0", "v1")], once, SEED);
    // Given a service that does without what a fault takes from it,
    let mesh = world.mesh.clone();
    let falls_back = move |context: mesh::CallContext| async move {
        let call = mesh.caller("users").get("payments", "/").context(&context);
        assert_eq!(call.send().await.unwrap().status(), 503);
    };
    let falls_back = axum::Router::new().route("/", axum::routing::get(falls_back));
    world.mesh.register("users", falls_back);
    let mesh = world.mesh.clone();
    let fails = move |context: mesh::CallContext| async move {
        let call = mesh.caller("orders").get("users", "/").context(&context);
        assert_eq!(call.send().await.unwrap().status(), 200);
        http::StatusCode::SERVICE_UNAVAILABLE
    };
    let fails = axum::Router::new().route("/", axum::routing::get(fails));
    world.mesh.register("orders", fails);
    let id = world.mesh.faults().inject(unavailable()).unwrap();
    let mut changes = world.mesh.changes();
    // when who called it fails later, by itself,
    let answer = world.mesh.caller("gateway").get("orders", "/").send().await;
    assert_eq!(answer.unwrap().status(), 503);
    // then the fault is to blame for the call that it hit, and for nothing else.
    let opened = [transition(&mut changes), transition(&mut changes)];
    let causes = opened.map(|opened| (opened.destination.to_string(), opened.faults.clone()));
    assert_eq!(causes, [("payments".to_owned(), vec![id]), ("orders".to_owned(), Vec::new())]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_another_try_made_good_for_is_no_cause_of_what_fails_further_up() {
    let _spans = tracing::subscriber::set_default(tracing_subscriber::registry());
    let once = BreakerParams { failure_threshold: 1, ..BreakerParams::default() };
    let world = World::with(&[("payments", "payments-0", "v1")], once, SEED);
    let retry = retry(2, &[RetryOn::ServerError]);
    world.apply(policy(1, Route { retry, ..rule(None) }));
    let mesh = world.mesh.clone();
    let fails = move |context: mesh::CallContext| async move {
        let call = mesh.caller("orders").get("payments", "/").context(&context);
        assert_eq!(call.send().await.unwrap().status(), 200, "the second try");
        http::StatusCode::SERVICE_UNAVAILABLE
    };
    let fails = axum::Router::new().route("/", axum::routing::get(fails));
    world.mesh.register("orders", fails);
    let fault = FaultSpec { limit: Some(1), ..unavailable() };
    let id = world.mesh.faults().inject(fault).unwrap();
    let mut changes = world.mesh.changes();
    let answer = world.mesh.caller("gateway").get("orders", "/").send().await;
    assert_eq!(answer.unwrap().status(), 503);
    assert_eq!(world.mesh.faults().get(id).unwrap().injected, 1);
    let opened = transition(&mut changes);
    assert_eq!((&*opened.destination, opened.faults.clone()), ("orders", Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn some_headers_of_a_request_arrive_two_hops_further_and_others_do_not() {
    let world = World::payments();
    let mesh = world.mesh.clone();
    let relay = move |context: mesh::CallContext| async move {
        let call = mesh.caller("orders").get("payments", "/").context(&context);
        call.send().await.map_err(|_| http::StatusCode::SERVICE_UNAVAILABLE).map(|_| ())
    };
    let relay = axum::Router::new().route("/", axum::routing::get(relay));
    world.mesh.register("orders", relay);
    let mesh = world.mesh.clone();
    let first = move |context: mesh::CallContext| async move {
        // What a service says itself is not overruled.
        let call = mesh.caller("gateway").get("orders", "/").header("x-user-id", "its own");
        call.context(&context).send().await.map_err(|_| http::StatusCode::BAD_GATEWAY).map(|_| ())
    };
    let first = axum::Router::new().route("/", axum::routing::get(first));
    world.mesh.register("gateway", first);
    let long = "x".repeat(300);
    let headers =
        [("x-canary", "true"), ("end-user", long.as_str()), ("x-user-id", "c-1"), ("x-other", "1")];
    let request = scripted::request("/", &headers);
    let answer = world.mesh.caller("browser").forward("gateway", request).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let seen = world.seen("payments-0").remove(0);
    assert_eq!(seen.header("x-canary"), Some("true"));
    assert_eq!(seen.header("x-user-id"), Some("its own"));
    assert_eq!((seen.header("end-user"), seen.header("x-other")), (None, None));
}

/// Every call to payments is answered 503.
fn unavailable() -> FaultSpec {
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    FaultSpec {
        kind: FaultKind::Abort { status, grpc_status: None },
        scope: FaultScope { destination: Some("payments".into()), ..FaultScope::default() },
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    }
}
