//! Instances behind an address, over real connections: what of a message crosses them, and what
//! the client does by itself, which is nothing.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

#[path = "scripted/address.rs"]
mod address;

use address::{at_address, head, write};
use istio::policy::{ConnectionPool, Destination, ForCallers, Origin, Selector, TrafficPolicy};
use mesh::{Endpoint, Instance, MeshError, Source};
use scripted::{World, policy, policy_with, request, rule, text};
use std::{io::ErrorKind, net::Ipv4Addr, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

/// Turns of the scheduler that let a connection come back into the pool: far more than it needs.
const TURNS: usize = 100;

async fn world() -> (World, TcpListener) {
    let (world, listener) = at_address().await;
    world.apply(policy(1, rule(None)));
    (world, listener)
}

/// Takes a request and answers it with a head that fits into any socket's buffer.
async fn answer(listener: &TcpListener, answer: &str) -> (TcpStream, String) {
    let (connection, _) = listener.accept().await.unwrap();
    let request = head(&connection).await.unwrap();
    write(&connection, answer).await;
    (connection, request)
}

#[tokio::test]
async fn what_is_about_one_connection_does_not_cross_the_mesh_either_way() {
    let (world, listener) = world().await;
    let asked = request(
        "/a",
        &[
            ("host", "shop.example"),
            ("connection", "keep-alive, x-listed"),
            ("x-listed", "1"),
            ("keep-alive", "timeout=9"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("x-end", "to end"),
        ],
    );
    let call = world.mesh.caller("browser").forward("payments", asked).send();
    let answers = "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\n\
        x-hop: 1\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\nx-end: to end\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (answered, (_connection, asked)) = tokio::join!(call, answer(&listener, answers));
    let names: Vec<_> = asked.lines().skip(1).filter_map(|line| line.split_once(':')).collect();
    let has = |name: &str| names.iter().any(|(known, _)| *known == name);
    assert!(has("host") && has("x-end"), "{asked}");
    for name in [
        "connection",
        "x-listed",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
    ] {
        assert!(!has(name), "{name}: {asked}");
    }
    let answered = answered.unwrap();
    let left: Vec<_> = answered.headers().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(left, ["x-end"]);
    assert_eq!(text(answered).await, "abc");
}

#[tokio::test]
async fn a_request_on_a_connection_that_was_just_closed_is_lost_and_not_sent_again() {
    let (world, listener) = world().await;
    let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (first, (connection, _)) = tokio::join!(world.get(), answer(&listener, empty));
    assert_eq!(text(first.unwrap()).await, "");
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    // The client learns of the end of the connection in the same turn in which it wants to use it.
    drop(connection);
    tokio::task::yield_now().await;
    let again = async {
        let _connection = answer(&listener, empty).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = world.get() => {
            let lost = MeshError::Reset { endpoint: "payments-0".into() };
            assert_eq!(outcome.map(|answer| answer.status()).unwrap_err(), lost);
        }
        () = again => {}
    }
}

/// What listens there has a queue for one connection, which somebody has: no more come about.
#[cfg(target_os = "linux")]
fn full() -> (TcpListener, std::net::TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let first = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, first)
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_is_given_up_after_the_time_of_the_policy() {
    // As Istio has it: 10 s unless said otherwise.
    for (connect_timeout, expected) in
        [(None, 10), (Some(Duration::from_secs(3)), 3), (Some(Duration::from_secs(12)), 12)]
    {
        let (listener, _first) = full();
        let world = World::new(&[]);
        world.mesh.add_instance(Instance {
            service: "payments".into(),
            name: "payments-0".into(),
            labels: Vec::new(),
            endpoint: Endpoint::Address(listener.local_addr().unwrap()),
        });
        let pool = ConnectionPool { connect_timeout, ..ConnectionPool::default() };
        let traffic = TrafficPolicy { connection_pool: pool, ..TrafficPolicy::default() };
        world.apply(policy_with(1, rule(None), traffic));
        let began = tokio::time::Instant::now();
        let call = world.caller().get("payments", "/").timeout(Duration::from_secs(60));
        let lost = MeshError::Connect { endpoint: "payments-0".into() };
        assert_eq!(call.send().await.map(|answer| answer.status()).unwrap_err(), lost);
        assert_eq!(began.elapsed().as_secs(), expected, "{connect_timeout:?}");
    }
}

#[tokio::test]
async fn callers_with_different_timeouts_do_not_close_each_others_connections() {
    let (world, listener) = world().await;
    let mut turns = policy(1, rule(None));
    let pool = |connect| ConnectionPool {
        connect_timeout: Some(Duration::from_secs(connect)),
        ..ConnectionPool::default()
    };
    let destination = |connect| Destination {
        origin: Origin::default(),
        subsets: Vec::new(),
        policy: TrafficPolicy { connection_pool: pool(connect), ..TrafficPolicy::default() },
    };
    let callers = Selector::from(Source::of("web").labels);
    turns.destinations.insert("payments".into(), destination(3));
    let own = ForCallers { callers, destination: destination(4) };
    turns.for_callers.insert("payments".into(), vec![own]);
    world.apply(turns);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        // So many connections are all that are made: a third would never be answered.
        let next = async || serve(listener.accept().await.unwrap().0).await;
        tokio::join!(next(), next())
    });
    for _ in 0..3 {
        for caller in ["orders", "web"] {
            let call = world.mesh.caller(caller).get("payments", "/");
            let answered = tokio::time::timeout(Duration::from_secs(20), call.send()).await;
            assert_eq!(text(answered.unwrap().unwrap()).await, "ok");
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        }
    }
    drop(world);
}

/// Answers each request of a connection until it is closed.
async fn serve(connection: TcpStream) {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    while connection.readable().await.is_ok() {
        let mut request = [0; 1_024];
        match connection.try_read(&mut request) {
            Ok(0) => return,
            Ok(_) => assert_eq!(connection.try_write(answer).unwrap(), answer.len()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}
