//! An instance that is killed while the body of its answer is on the way: the connection is reset,
//! and everybody who has to do with it takes notice.

mod scripted;

use axum::body::Body;
use futures::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use istio::policy::{Outlier, TrafficPolicy};
use mesh::{Endpoint, EndpointStatus, Instance, MeshError};
use scripted::{Act, World, policy_with, rule};
use std::convert::Infallible;
use tokio::task::JoinSet;

fn reset() -> String {
    MeshError::Reset { endpoint: "payments-0".into() }.to_string()
}

fn status(world: &World) -> EndpointStatus {
    world.mesh.endpoints().remove(0)
}

/// A first error ejects, whoever is ejected already.
fn outlier() -> Outlier {
    Outlier {
        consecutive_5xx: 1,
        consecutive_local_origin: 5,
        max_ejection_percent: 100,
        ..Outlier::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_cuts_a_body_whose_reader_waits_for_it_in_the_same_turn() {
    let world = World::payments();
    world.always("payments-0", Act::Stall("abc"));
    let mut body = world.get().await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    let mut next = std::pin::pin!(body.frame());
    assert!(next.as_mut().now_or_never().is_none(), "it has no more to say");
    assert_eq!(status(&world).active, 1);
    assert!(world.mesh.kill("payments", "payments-0"));
    let cut = next.now_or_never().expect("the reader is told at once");
    assert_eq!(cut.unwrap().unwrap_err().to_string(), reset());
    assert_eq!(status(&world).active, 0, "it is not under way any more");
    assert!(body.frame().await.is_none(), "and that was the end of it");
}

#[tokio::test(start_paused = true)]
async fn a_kill_wakes_a_reader_and_a_start_afterwards_brings_no_cut_body_back() {
    let world = World::payments();
    world.always("payments-0", Act::Stall("abc"));
    let body = world.get().await.unwrap().into_body();
    let mut readers = JoinSet::new();
    readers.spawn(body.collect());
    tokio::task::yield_now().await;
    assert!(world.mesh.kill("payments", "payments-0"));
    assert!(world.mesh.restart("payments", "payments-0"));
    let read = readers.join_next().await.unwrap().unwrap();
    assert_eq!(read.unwrap_err().to_string(), reset());
    world.always("payments-0", Act::Status(200));
    assert_eq!(world.status().await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn a_kill_cuts_a_body_that_always_has_more_and_leaves_one_that_is_there_alone() {
    let mut world = World::new(&[]);
    let endless = || Body::from_stream(stream::repeat("abc").map(Ok::<_, Infallible>));
    world.mesh.add_instance(Instance {
        service: "payments".into(),
        name: "payments-0".into(),
        labels: Vec::new(),
        endpoint: Endpoint::Router(axum::Router::new().fallback(move || async move { endless() })),
    });
    let mut body = world.get().await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(world.mesh.kill("payments", "payments-0"));
    assert!(body.frame().await.unwrap().is_err());
    world.add("users", "users-0", "v1");
    world.always("users-0", Act::Text("abc"));
    let body = world.caller().get("users", "/").send().await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_is_an_error_of_its_endpoint_for_outlier_detection() {
    let world = World::payments();
    let traffic = TrafficPolicy { outlier: Some(outlier()), ..TrafficPolicy::default() };
    world.apply(policy_with(1, rule(None), traffic));
    world.always("payments-0", Act::Stall("abc"));
    let mut body = world.get().await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(status(&world).ejections, 0, "a head is a good answer");
    assert!(world.mesh.kill("payments", "payments-0"));
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(status(&world).ejections, 1, "and a reset afterwards an error (Envoy's router)");
}
