//! The body of an answer belongs to the call: the deadline covers it, and what the call holds is
//! held until it has ended.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

#[path = "scripted/address.rs"]
mod address;

use address::{at_address, head, write};
use axum::Router;
use futures::future::poll_immediate;
use http_body_util::BodyExt;
use istio::policy::{ConnectionPool, TrafficPolicy};
use mesh::{CallError, MeshError, Response};
use scripted::{Act, World, mesh_error, policy, policy_with, retry, rule, text};
use std::{error::Error, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);

fn deadline() -> MeshError {
    MeshError::Deadline { destination: "payments".into() }
}

/// Requests that have a connection, those that wait for one, and those at the instance.
fn under_way(world: &World) -> (u32, u32, u32) {
    let pool = world.mesh.pools().remove(0);
    (pool.active, pool.pending, world.mesh.endpoints()[0].active)
}

async fn receive(world: &World, timeout: Duration) -> Result<serde_json::Value, CallError> {
    world.caller().get("payments", "/").timeout(timeout).receive().await
}

/// The mesh's own error in the error of a body.
fn cause(error: &(dyn Error + 'static)) -> Option<MeshError> {
    error.downcast_ref().cloned().or_else(|| cause(error.source()?))
}

/// How reading an answer ends, and after which time.
async fn end(answer: Response) -> (Option<MeshError>, Duration) {
    let began = Instant::now();
    let error = answer.into_body().collect().await.unwrap_err();
    (cause(&error), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_after_its_head_ends_at_the_deadline_and_holds_nothing_more() {
    let world = World::payments();
    for act in [Act::Stall(""), Act::Stall("{\"half\":")] {
        world.always("payments-0", act);
        let began = Instant::now();
        let call = receive(&world, 3 * SECOND);
        tokio::pin!(call);
        assert!(poll_immediate(&mut call).await.is_none());
        assert_eq!(under_way(&world), (1, 0, 1));
        assert_eq!(mesh_error(call.await.unwrap_err()), deadline());
        assert_eq!(began.elapsed(), 3 * SECOND);
        assert_eq!(under_way(&world), (0, 0, 0));
    }
    let deadlines = &world.mesh.edges()[0].layers[2];
    assert_eq!((deadlines.layer, deadlines.acted), ("deadline", 2));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_route_covers_the_whole_answer_and_that_of_a_try_its_head_alone() {
    let world = World::payments();
    let mut route = rule(None);
    route.timeout = Some(2 * SECOND);
    route.retry = retry(1, &[istio::policy::RetryOn::ServerError]);
    route.retry.per_try_timeout = Some(SECOND);
    world.apply(policy(1, route));
    world.always("payments-0", Act::Stall("abc"));
    let answer = world.get().await.unwrap();
    assert_eq!(end(answer).await, (Some(deadline()), 2 * SECOND));
    assert_eq!(world.calls("payments-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_holds_is_free_when_it_was_read_or_is_dropped() {
    let world = World::payments();
    world.always("payments-0", Act::Text("abc"));
    let answer = world.get().await.unwrap();
    assert_eq!(under_way(&world), (1, 0, 1));
    assert_eq!(text(answer).await, "abc");
    assert_eq!(under_way(&world), (0, 0, 0));
    drop(world.get().await.unwrap());
    assert_eq!(under_way(&world), (0, 0, 0));
    world.always("payments-0", Act::Status(204));
    let _bodiless = world.get().await.unwrap();
    assert_eq!(under_way(&world), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_repeated_holds_nothing_during_the_back_off() {
    let world = World::payments();
    let mut route = rule(None);
    route.retry = retry(1, &[istio::policy::RetryOn::ServerError]);
    route.retry.backoff = SECOND;
    world.apply(policy(1, route));
    let refuses = async || (http::StatusCode::INTERNAL_SERVER_ERROR, "abc");
    world.mesh.register("payments", Router::new().fallback(refuses));
    let call = world.get();
    tokio::pin!(call);
    assert!(poll_immediate(&mut call).await.is_none());
    assert_eq!(under_way(&world), (0, 0, 0));
    assert_eq!(text(call.await.unwrap()).await, "abc");
}

/// Takes a request; the head of an answer and half of the body go out, and the connection stays.
async fn stall(listener: &TcpListener) -> TcpStream {
    let (connection, _) = listener.accept().await.unwrap();
    assert!(head(&connection).await.is_some());
    write(&connection, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    connection
}

#[tokio::test]
async fn with_one_connection_there_is_one_until_its_answer_has_been_read() {
    let (world, listener) = at_address().await;
    let connection_pool = ConnectionPool { max_connections: Some(1), ..Default::default() };
    let traffic = TrafficPolicy { connection_pool, ..TrafficPolicy::default() };
    world.apply(policy_with(1, rule(None), traffic));
    let (answer, connection) = tokio::join!(world.get(), stall(&listener));
    let second = world.get();
    tokio::pin!(second);
    assert!(poll_immediate(&mut second).await.is_none());
    assert_eq!(under_way(&world), (1, 1, 1));
    write(&connection, "half").await;
    assert_eq!(text(answer.unwrap()).await, "halfhalf");
    let next = async {
        assert!(head(&connection).await.is_some(), "it is used again");
        write(&connection, "HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let (answer, ()) = tokio::join!(second, next);
    assert_eq!(answer.unwrap().status(), 204);
    assert_eq!(under_way(&world), (0, 0, 0));
}

#[tokio::test]
async fn an_address_that_stalls_after_the_head_is_given_up_at_the_deadline() {
    let (world, listener) = at_address().await;
    // Whether the head comes before or after it: in real time nothing waits longer than this.
    let call = receive(&world, Duration::from_millis(300));
    let (answer, connection) = tokio::join!(call, stall(&listener));
    assert_eq!(mesh_error(answer.unwrap_err()), deadline());
    assert_eq!(under_way(&world), (0, 0, 0));
    assert!(head(&connection).await.is_none(), "the connection is closed");
}
