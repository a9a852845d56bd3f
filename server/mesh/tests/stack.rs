//! Calls through the whole stack, under paused time.

use axum::{Json, Router, extract::State, routing::get};
use base::Clock;
use http::StatusCode;
use mesh::{BreakerParams, CallContext, CallError, Mesh, MeshError, breaker::BreakerState};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

/// A service that fails or hangs when told to, and counts its calls.
#[derive(Clone, Default)]
struct Patient {
    ill: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
}

impl Patient {
    fn router(&self) -> Router {
        async fn answer(State(patient): State<Patient>) -> Result<Json<u32>, StatusCode> {
            patient.calls.fetch_add(1, Ordering::Relaxed);
            if patient.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if patient.ill.load(Ordering::Relaxed) {
                return Err(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Ok(Json(1))
        }
        async fn refuse() -> StatusCode {
            StatusCode::CONFLICT
        }
        async fn panic() {
            panic!("on purpose");
        }
        Router::new()
            .route("/", get(answer))
            .route("/refuse", get(refuse))
            .route("/panic", get(panic))
            .with_state(self.clone())
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

fn world() -> (Mesh, Patient) {
    let mesh = Mesh::new(Clock::tokio(0), BreakerParams::default());
    let patient = Patient::default();
    mesh.register("catalog", patient.router());
    (mesh, patient)
}

async fn call(mesh: &Mesh, path: &str) -> Result<u32, CallError> {
    mesh.caller("gateway").get("catalog", path).receive().await
}

fn state(mesh: &Mesh) -> BreakerState {
    mesh.breakers()[0].state
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_the_breaker_and_the_service_is_left_alone() {
    let (mesh, patient) = world();
    let mut transitions = mesh.transitions();
    patient.ill.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        assert!(matches!(call(&mesh, "/").await, Err(CallError::Refused { .. })));
    }
    let refused = call(&mesh, "/").await;
    let retry_after = Duration::from_secs(60);
    let open = MeshError::BreakerOpen { destination: "catalog".into(), retry_after };
    assert!(matches!(refused, Err(CallError::Mesh(error)) if error == open));
    assert_eq!(patient.calls(), 5);
    assert_eq!(transitions.try_recv().unwrap().to, BreakerState::Open { until_us: 60_000_000 });
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_one_probe_closes_the_breaker_or_opens_it_again() {
    let (mesh, patient) = world();
    patient.ill.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        let _ = call(&mesh, "/").await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let _ = call(&mesh, "/").await;
    assert_eq!(state(&mesh), BreakerState::Open { until_us: 120_000_000 });
    assert_eq!(patient.calls(), 6, "one probe");
    patient.ill.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(call(&mesh, "/").await.unwrap(), 1);
    assert_eq!(state(&mesh), BreakerState::Closed { failures: 0 });
}

#[tokio::test(start_paused = true)]
async fn while_the_probe_is_out_nobody_else_passes() {
    let (mesh, patient) = world();
    patient.ill.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        let _ = call(&mesh, "/").await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    patient.hangs.store(true, Ordering::Relaxed);
    let (probe, other) = tokio::join!(call(&mesh, "/"), call(&mesh, "/"));
    assert!(matches!(probe, Err(CallError::Mesh(MeshError::Deadline { .. }))));
    assert!(matches!(other, Err(CallError::Mesh(MeshError::BreakerOpen { .. }))));
    assert_eq!(patient.calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_goes_away_lets_the_next_call_probe() {
    let (mesh, patient) = world();
    patient.ill.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        let _ = call(&mesh, "/").await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    patient.hangs.store(true, Ordering::Relaxed);
    let gone = tokio::time::timeout(Duration::from_secs(1), call(&mesh, "/")).await;
    assert!(gone.is_err());
    patient.hangs.store(false, Ordering::Relaxed);
    patient.ill.store(false, Ordering::Relaxed);
    assert_eq!(call(&mesh, "/").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_counts_as_a_failure_and_a_refusal_does_not() {
    let (mesh, patient) = world();
    for _ in 0..10 {
        assert!(call(&mesh, "/refuse").await.is_err());
    }
    assert_eq!(state(&mesh), BreakerState::Closed { failures: 0 });
    patient.hangs.store(true, Ordering::Relaxed);
    assert!(call(&mesh, "/").await.is_err());
    assert_eq!(state(&mesh), BreakerState::Closed { failures: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_has_no_more_time_than_what_is_left() {
    let (mesh, patient) = world();
    patient.hangs.store(true, Ordering::Relaxed);
    let inner = mesh.clone();
    let relay = move |context: CallContext| async move {
        let began = tokio::time::Instant::now();
        let call = inner.caller("orders").get("catalog", "/").context(&context);
        let _ = call.timeout(Duration::from_secs(5)).send().await;
        Json(u64::try_from(began.elapsed().as_millis()).unwrap())
    };
    mesh.register("orders", Router::new().route("/", get(relay)));
    let outer = mesh.caller("gateway").get("orders", "/").timeout(Duration::from_secs(2));
    // The inner call gives up at the same moment as the outer: whoever is first, two seconds.
    let began = tokio::time::Instant::now();
    let _ = outer.send().await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let breakers = mesh.breakers();
    let inner = breakers.iter().find(|breaker| breaker.caller.as_ref() == "orders");
    assert_eq!(inner.map(|b| b.state), Some(BreakerState::Closed { failures: 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_request_from_outside_passes_no_breaker() {
    let (mesh, patient) = world();
    patient.ill.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let request = http::Request::new(axum::body::Body::empty());
        let answer = mesh.caller("browser").forward("catalog", request).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(patient.calls(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_an_answer_and_not_the_end() {
    let (mesh, _) = world();
    let answer = mesh.caller("gateway").get("catalog", "/panic").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn a_name_nobody_has_is_an_error_and_leaves_nothing_behind() {
    let (mesh, _) = world();
    let lost = mesh.caller("gateway").get("nowhere", "/").send().await;
    assert_eq!(lost.unwrap_err(), MeshError::NoService { destination: "nowhere".into() });
    assert!(mesh.breakers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_taken_away_and_registered_again_is_found_again() {
    let (mesh, patient) = world();
    assert!(call(&mesh, "/").await.is_ok());
    mesh.deregister("catalog");
    assert!(matches!(call(&mesh, "/").await, Err(CallError::Mesh(MeshError::NoService { .. }))));
    mesh.register("catalog", patient.router());
    assert!(call(&mesh, "/").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_an_error_that_says_why_and_nobody_is_called() {
    let (mesh, patient) = world();
    let gateway = mesh.caller("gateway");
    let unreadable = std::collections::BTreeMap::from([((1, 2), 3)]);
    for (call, why) in [
        (gateway.get("catalog", "/a b"), "its path is none"),
        (gateway.look("catalog", "/a b"), "its path is none"),
        (gateway.get("catalog", "/").header("x-a", "secret\n"), "the value of x-a"),
        (gateway.post("catalog", "/").json(&unreadable), "its body is no JSON"),
        (gateway.get("catalog", "/a b").header("x-a", "\n"), "its path is none"),
    ] {
        let error = call.send().await.unwrap_err();
        assert!(matches!(error, MeshError::Unsendable { .. }), "{error}");
        assert!(error.is_without_effect() && error.status() == 500, "{error}");
        let said = error.to_string();
        assert!(said.contains("catalog") && said.contains(why), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    assert_eq!(patient.calls(), 0);
}
