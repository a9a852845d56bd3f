//! Concurrency limits, a test per row C1 to C3 of Envoy's `circuit_breaking.rst`, and what becomes
//! of instances that are killed or paused. The rows on retries are tested with the retries.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use axum::Router;
use common::{World, read, traffic};
use http::StatusCode;
use istio::policy::{ConnectionPool, TrafficPolicy};
use mesh::{Endpoint, EndpointStatus, Flag, Instance, Limit, MeshError, Phase, PoolStatus};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

fn limits(pool: ConnectionPool) -> istio::policy::Policy {
    traffic(1, TrafficPolicy { connection_pool: pool, ..TrafficPolicy::default() })
}

fn pool(world: &World) -> PoolStatus {
    world.mesh.pools().into_iter().find(|pool| pool.subset.is_none()).unwrap()
}

fn overflow(limit: Limit) -> MeshError {
    MeshError::Overflow { destination: "payments".into(), limit }
}

#[tokio::test(start_paused = true)]
async fn c1_a_limit_that_is_not_configured_refuses_nothing() {
    let world = World::payments(1);
    world.mesh.pause("payments", "payments-0");
    let calls = futures::future::join_all((0..2_000).map(|_| world.get("payments", "/")));
    let resume = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(pool(&world).active, 2_000);
        world.mesh.restart("payments", "payments-0");
    };
    let (answers, ()) = tokio::join!(calls, resume);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|a| a.status == 200)));
    assert_eq!(pool(&world).active, 0);
}

#[tokio::test(start_paused = true)]
async fn c2_c3_requests_over_the_limit_are_refused_at_once_with_uo_and_the_header() {
    let world = World::payments(1);
    world.apply(limits(ConnectionPool { max_requests: Some(2), ..Default::default() }));
    world.mesh.pause("payments", "payments-0");
    let held = async { tokio::join!(world.get("payments", "/"), world.get("payments", "/")) };
    let over = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let began = tokio::time::Instant::now();
        let refused = world.get("payments", "/").await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(refused, overflow(Limit::Requests));
        assert_eq!(refused.flag(), Some(Flag::Overflow));
        let response = refused.to_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["x-envoy-overloaded"], "true");
        let pool = pool(&world);
        assert_eq!((pool.pending_overflows, pool.connection_overflows), (1, 0));
        world.mesh.restart("payments", "payments-0");
    };
    let ((one, two), ()) = tokio::join!(held, over);
    assert!(one.is_ok() && two.is_ok());
    assert!(world.get("payments", "/").await.is_ok(), "it closes by itself when work drains");
}

#[tokio::test(start_paused = true)]
async fn c2_connections_over_the_limit_wait_and_who_finds_no_place_to_wait_is_refused() {
    let world = World::payments(1);
    world.apply(limits(ConnectionPool {
        max_connections: Some(1),
        max_pending: Some(2),
        ..Default::default()
    }));
    world.mesh.pause("payments", "payments-0");
    let calls = futures::future::join_all((0..5).map(|_| world.get("payments", "/")));
    let resume = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let pool = pool(&world);
        assert_eq!((pool.active, pool.pending), (1, 2));
        assert_eq!((pool.connection_overflows, pool.pending_overflows), (4, 2));
        world.mesh.restart("payments", "payments-0");
    };
    let (answers, ()) = tokio::join!(calls, resume);
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused, [&overflow(Limit::Pending), &overflow(Limit::Pending)]);
    assert!(answers[..3].iter().all(Result::is_ok), "who waited is served in turn");
    assert_eq!((pool(&world).active, pool(&world).pending), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_gives_up_waiting_leaves_its_place_and_loses_no_connection() {
    let world = World::payments(1);
    world.apply(limits(ConnectionPool {
        max_connections: Some(1),
        max_pending: Some(1),
        ..Default::default()
    }));
    world.mesh.pause("payments", "payments-0");
    let holds = world.get("payments", "/");
    let gives_up = async {
        let call = world.caller().get("payments", "/").timeout(Duration::from_millis(10));
        assert!(matches!(call.send().await, Err(MeshError::Deadline { .. })));
        assert_eq!(pool(&world).pending, 0);
        let waits = world.get("payments", "/");
        let resume = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            world.mesh.restart("payments", "payments-0");
        };
        tokio::join!(waits, resume).0
    };
    let (one, two) = tokio::join!(holds, gives_up);
    assert!(one.is_ok() && two.is_ok());
    assert!(world.get("payments", "/").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_caller_has_its_own_limits() {
    let world = World::payments(1);
    world.apply(limits(ConnectionPool { max_requests: Some(1), ..Default::default() }));
    world.mesh.pause("payments", "payments-0");
    let held = world.get("payments", "/");
    let other = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(world.get("payments", "/").await.unwrap_err(), overflow(Limit::Requests));
        let gateway = world.mesh.caller("gateway");
        let call = gateway.get("payments", "/").timeout(Duration::from_millis(5)).send();
        assert!(matches!(call.await, Err(MeshError::Deadline { .. })), "it came to the service");
        world.mesh.restart("payments", "payments-0");
    };
    assert!(tokio::join!(held, other).0.is_ok());
}

/// A service whose calls end when the test says so, which counts those under way.
fn gated(world: &World) -> (Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, under_way) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (pass, counted) = (gate.clone(), under_way.clone());
    let router = Router::new().fallback(move || {
        let (pass, counted) = (pass.clone(), counted.clone());
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            pass.acquire().await.unwrap().forget();
            counted.fetch_sub(1, Ordering::SeqCst);
        }
    });
    world.mesh.add_instance(Instance {
        service: "payments".into(),
        name: "payments-0".into(),
        labels: vec![("version".into(), "v1".into())],
        endpoint: Endpoint::Router(router),
    });
    (gate, under_way)
}

/// Lets everybody go on who can.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn connections(revision: u64, most: Option<u32>) -> istio::policy::Policy {
    let connection_pool = ConnectionPool { max_connections: most, ..Default::default() };
    traffic(revision, TrafficPolicy { connection_pool, ..TrafficPolicy::default() })
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_connections_takes_force_while_others_wait() {
    let world = World::new(&[]);
    let (gate, under_way) = gated(&world);
    world.apply(connections(1, Some(10)));
    let calls = futures::future::join_all((0..30).map(|_| world.get("payments", "/")));
    let lower = async {
        settle().await;
        assert_eq!(under_way.load(Ordering::SeqCst), 10);
        world.apply(connections(2, Some(2)));
        settle().await;
        assert_eq!(under_way.load(Ordering::SeqCst), 10, "what is under way goes on");
        for left in [9, 8, 7, 6, 5, 4, 3, 2, 2, 2] {
            gate.add_permits(1);
            settle().await;
            assert_eq!(under_way.load(Ordering::SeqCst), left);
            assert!(pool(&world).active <= 10);
        }
        gate.add_permits(100);
    };
    let (answers, ()) = tokio::join!(calls, lower);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|a| a.status == 200)));
    assert_eq!((pool(&world).active, pool(&world).pending), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_of_connections_lets_those_go_on_who_wait_before_who_comes_later() {
    for most in [Some(4), None] {
        let world = World::new(&[]);
        let (gate, under_way) = gated(&world);
        world.apply(connections(1, Some(1)));
        let early = futures::future::join_all((0..4).map(|_| world.get("payments", "/")));
        let raise = async {
            settle().await;
            assert_eq!((under_way.load(Ordering::SeqCst), pool(&world).pending), (1, 3));
            world.apply(connections(2, most));
            settle().await;
            assert_eq!((under_way.load(Ordering::SeqCst), pool(&world).pending), (4, 0));
            let late = world.caller().get("payments", "/").timeout(Duration::from_millis(5));
            let late = late.send().await.unwrap_err();
            assert!(matches!(late, MeshError::Deadline { .. }), "{late}");
            gate.add_permits(100);
        };
        let (answers, ()) = tokio::join!(early, raise);
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|a| a.status == 200)));
        assert_eq!((pool(&world).active, pool(&world).pending), (0, 0), "{most:?}");
    }
}

fn endpoint(world: &World) -> EndpointStatus {
    world.mesh.endpoints().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_killed_instance_has_no_connection_cuts_what_is_under_way_and_comes_back() {
    let world = World::payments(1);
    world.mesh.pause("payments", "payments-0");
    let under_way = world.get("payments", "/");
    let kill = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!((endpoint(&world).phase, endpoint(&world).active), (Phase::Paused, 1));
        assert!(world.mesh.kill("payments", "payments-0"));
    };
    let (cut, ()) = tokio::join!(under_way, kill);
    let cut = cut.unwrap_err();
    assert_eq!(cut, MeshError::Reset { endpoint: "payments-0".into() });
    assert_eq!(cut.flag(), Some(Flag::ConnectionTermination));
    let lost = world.get("payments", "/").await.unwrap_err();
    assert_eq!(lost, MeshError::Connect { endpoint: "payments-0".into() });
    assert_eq!(lost.flag(), Some(Flag::ConnectionFailure));
    // The lost one was tried three times: where no route says otherwise, Istio repeats it twice.
    assert_eq!((endpoint(&world).requests, endpoint(&world).failures), (4, 4));
    assert!(world.mesh.restart("payments", "payments-0"));
    assert!(world.get("payments", "/").await.is_ok());
    assert!(!world.mesh.kill("payments", "payments-9"), "there is no such instance");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_at_its_deadline_is_a_failure_of_the_instance_it_waited_for() {
    let world = World::payments(2);
    for instance in ["payments-0", "payments-1"] {
        world.mesh.pause("payments", instance);
    }
    for _ in 0..4 {
        let call = world.caller().get("payments", "/").timeout(Duration::from_millis(100));
        assert!(matches!(call.send().await, Err(MeshError::Deadline { .. })));
    }
    let sums = || {
        let sum = |(requests, failures), endpoint: EndpointStatus| {
            (requests + endpoint.requests, failures + endpoint.failures)
        };
        world.mesh.endpoints().into_iter().fold((0, 0), sum)
    };
    assert_eq!(sums(), (4, 4));
    // A caller that goes away says nothing about the instance.
    let call = world.caller().get("payments", "/").timeout(Duration::from_millis(100)).send();
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    assert_eq!(sums(), (4, 4));
}

#[tokio::test]
async fn an_instance_behind_an_address_is_called_over_a_real_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = common::echo("far-0", common::Status::new(parking_lot::Mutex::new(200)));
    let world = World::new(&[]);
    world.mesh.add_instance(Instance {
        service: "far".into(),
        name: "far-0".into(),
        labels: vec![("version".into(), "v1".into())],
        endpoint: Endpoint::Address(address),
    });
    let calls = async {
        let call = world.caller().post("far", "/a?b=c").json(&[1, 2]);
        let echo = read(call.send().await).await.unwrap().echo.unwrap();
        assert_eq!((&*echo.instance, &*echo.method, &*echo.uri), ("far-0", "POST", "/a?b=c"));
        assert_eq!(echo.header("x-vitrine-caller"), Some("orders"));
    };
    tokio::select! {
        () = calls => {}
        served = axum::serve(listener, router) => panic!("{served:?}"),
    }
    // Nobody listens any more.
    let lost = world.caller().get("far", "/").send().await.unwrap_err();
    let refused = matches!(lost, MeshError::Connect { .. } | MeshError::Reset { .. });
    assert!(refused, "{lost}");
}

/// Serves `far` and says when a connection ended.
#[expect(clippy::disallowed_methods, reason = "its tasks end with the test")]
async fn far_away(world: &World) -> tokio::sync::mpsc::Receiver<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.mesh.add_instance(Instance {
        service: "far".into(),
        name: "far-0".into(),
        labels: vec![("version".into(), "v1".into())],
        endpoint: Endpoint::Address(listener.local_addr().unwrap()),
    });
    let (closed, ends) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let closed = closed.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                loop {
                    stream.readable().await.unwrap();
                    match stream.try_read(&mut bytes) {
                        Ok(0) => break,
                        Ok(_) => {
                            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                            assert_eq!(stream.try_write(ok).unwrap(), ok.len());
                        }
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                    }
                }
                let _ = closed.try_send(());
            });
        }
    });
    ends
}

#[tokio::test]
async fn a_connection_that_is_idle_too_long_is_closed_and_with_no_limit_it_is_kept() {
    for (idle, closes) in [(Duration::from_millis(20), true), (Duration::ZERO, false)] {
        let world = World::new(&[]);
        let mut ends = far_away(&world).await;
        let connection_pool = ConnectionPool { idle_timeout: Some(idle), ..Default::default() };
        let mut policy = traffic(1, TrafficPolicy { connection_pool, ..Default::default() });
        let rule = policy.destinations.remove("payments").unwrap();
        policy.destinations.insert("far".into(), rule);
        world.apply(policy);
        assert_eq!(world.caller().get("far", "/").send().await.unwrap().status(), 200);
        if closes {
            let end = tokio::time::timeout(Duration::from_secs(20), ends.recv());
            assert_eq!(end.await, Ok(Some(())), "it stays open");
        } else {
            // The next call finds the connection that there is.
            assert_eq!(world.caller().get("far", "/").send().await.unwrap().status(), 200);
            assert!(ends.try_recv().is_err());
        }
    }
}
