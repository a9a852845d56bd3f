//! A cascade: breakers that open because others below them are open, and what they are blamed on.

mod scripted;

use istio::policy::Share;
use mesh::{
    BreakerParams,
    fault::{FaultKind, FaultScope, FaultSpec},
};
use scripted::{SEED, World, transition};
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
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    let fault = FaultSpec {
        kind: FaultKind::Abort { status, grpc_status: None },
        scope: FaultScope { destination: Some("payments".into()), ..FaultScope::default() },
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    let id = world.mesh.faults().inject(fault).unwrap();
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
