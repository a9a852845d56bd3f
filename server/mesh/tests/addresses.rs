//! Instances behind an address, over real connections: what of a message crosses them, and what
//! the client does by itself, which is nothing.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::policy::{ConnectionPool, Destination, ForCallers, Origin, Selector, TrafficPolicy};
use mesh::{Endpoint, Instance, MeshError, Source};
use scripted::{World, policy, request, rule, text};
use std::{io::ErrorKind, net::Ipv4Addr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Turns of the scheduler that let a connection come back into the pool: far more than it needs.
const TURNS: usize = 100;

async fn world() -> (World, TcpListener) {
    let world = World::new(&[]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    world.mesh.add_instance(Instance {
        service: "payments".into(),
        name: "payments-0".into(),
        labels: vec![("version".into(), "v1".into())],
        endpoint: Endpoint::Address(listener.local_addr().unwrap()),
    });
    world.apply(policy(1, rule(None)));
    (world, listener)
}

/// The head of a request without a body, in lower case.
async fn head(connection: &TcpStream) -> String {
    let mut request = Vec::new();
    let mut part = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        connection.readable().await.unwrap();
        match connection.try_read(&mut part) {
            Ok(read) => request.extend_from_slice(&part[..read]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    String::from_utf8(request).unwrap().to_lowercase()
}

/// Takes a request and answers it with a head that fits into any socket's buffer.
async fn answer(listener: &TcpListener, answer: &str) -> (TcpStream, String) {
    let (connection, _) = listener.accept().await.unwrap();
    let request = head(&connection).await;
    connection.writable().await.unwrap();
    assert_eq!(connection.try_write(answer.as_bytes()).unwrap(), answer.len());
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
