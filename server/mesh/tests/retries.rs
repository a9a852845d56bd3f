//! Retries through the whole stack, a test per sentence of Envoy's router documentation, under
//! paused time.

mod scripted;

use bytes::Bytes;
use istio::policy::{
    ConnectionPool, HashKey, HashTable, LoadBalancer, Retry, RetryBudget, RetryOn, Route, Share,
    TrafficPolicy,
};
use mesh::MeshError;
use scripted::{Act, SEED, World, policy, policy_with, retry, rule};
use std::time::Duration;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

fn with(retry: Retry) -> Route {
    Route { retry, ..rule(None) }
}

fn late() -> MeshError {
    MeshError::Deadline { destination: "payments".into() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_repeated_as_often_as_attempts_says_and_each_carries_its_number() {
    let world = World::payments();
    world.apply(policy(1, with(retry(3, &[RetryOn::ServerError]))));
    world.always("payments-0", Act::Status(503));
    assert_eq!(world.status().await, Ok(503));
    let numbers: Vec<_> = world
        .seen("payments-0")
        .iter()
        .map(|seen| seen.header("x-envoy-attempt-count").unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["1", "2", "3", "4"]);
    let stats = &world.mesh.retries()[0];
    assert_eq!((stats.retries, stats.successes, stats.exhausted), (3, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_ends_the_tries() {
    let world = World::payments();
    world.apply(policy(1, with(retry(3, &[RetryOn::GatewayError]))));
    world.script("payments-0", |seen| Act::Status(if seen.number < 3 { 502 } else { 200 }));
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.calls("payments-0"), 3);
    let stats = &world.mesh.retries()[0];
    assert_eq!((stats.retries, stats.successes, stats.exhausted), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_route_istio_repeats_lost_connections_twice_and_no_503() {
    let world = World::payments();
    world.always("payments-0", Act::Status(503));
    assert_eq!(world.status().await, Ok(503));
    assert_eq!(world.calls("payments-0"), 1);
    world.mesh.kill("payments", "payments-0");
    let lost = MeshError::Connect { endpoint: "payments-0".into() };
    assert_eq!(world.status().await, Err(lost));
    assert_eq!(world.mesh.retries()[0].retries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_another_host_while_there_is_one_unless_told_otherwise() {
    let instances = ["payments-0", "payments-1", "payments-2"].map(|name| ("payments", name, "v1"));
    for (ignore_previous_hosts, all_good) in
        [(None, true), (Some(true), true), (Some(false), false)]
    {
        let world = World::new(&instances);
        let retry = Retry { ignore_previous_hosts, ..retry(2, &[RetryOn::ServerError]) };
        world.apply(policy(1, with(retry)));
        world.always("payments-0", Act::Status(503));
        world.always("payments-1", Act::Status(503));
        let mut good = 0;
        for _ in 0..100 {
            good += usize::from(world.status().await == Ok(200));
        }
        assert_eq!(good == 100, all_good, "{good} of 100 found the third, seed {SEED}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_consistent_hash_stays_with_the_host_of_its_key_unless_told_otherwise() {
    let instances = ["payments-0", "payments-1", "payments-2"].map(|name| ("payments", name, "v1"));
    let (key, table) =
        (HashKey::Header("x-user".parse().unwrap()), HashTable::Maglev { size: 101 });
    let load_balancer = LoadBalancer::ConsistentHash { key, table };
    let traffic = TrafficPolicy { load_balancer, ..TrafficPolicy::default() };
    for (ignore_previous_hosts, hosts) in [(None, 1), (Some(false), 1), (Some(true), 3)] {
        let world = World::new(&instances);
        let retry = Retry { ignore_previous_hosts, ..retry(2, &[RetryOn::ServerError]) };
        world.apply(policy_with(1, with(retry), traffic.clone()));
        instances.iter().for_each(|(_, name, _)| world.always(name, Act::Status(503)));
        let call = world.caller().get("payments", "/").header("x-user", "ada");
        assert_eq!(call.send().await.unwrap().status(), 503);
        let tried: Vec<_> = instances.iter().map(|(_, name, _)| world.calls(name)).collect();
        assert_eq!(tried.iter().sum::<usize>(), 3);
        let asked = tried.iter().filter(|calls| **calls > 0).count();
        assert_eq!(asked, hosts, "{ignore_previous_hosts:?}: {tried:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_route_timeout_covers_all_tries_and_their_back_offs() {
    let world = World::payments();
    let timeout = Some(Duration::from_secs(3));
    let route = Route { timeout, ..with(retry(5, &[RetryOn::ServerError])) };
    world.apply(policy(1, route));
    world.script("payments-0", |seen| match seen.number {
        1 => Act::After(Duration::from_millis(2700), 503),
        _ => Act::Hang,
    });
    let began = Instant::now();
    assert_eq!(world.status().await, Err(late()));
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(world.calls("payments-0"), 2, "the second had the 0.3 s that were left");
    let left: u64 = world.seen("payments-0")[1]
        .header("x-envoy-expected-rq-timeout-ms")
        .and_then(|left| left.parse().ok())
        .unwrap();
    assert!((270..=300).contains(&left), "{left} ms, seed {SEED}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_during_the_back_off_ends_the_call_with_504_and_no_retry() {
    let world = World::payments();
    let backoff = Duration::from_secs(3600);
    let retry = Retry { backoff, ..retry(5, &[RetryOn::ServerError]) };
    world.apply(policy(1, Route { timeout: Some(10 * MS), ..with(retry) }));
    world.always("payments-0", Act::Status(503));
    let began = Instant::now();
    // An hour's back-off within ten milliseconds: Envoy has let the answer go by then.
    let late = world.status().await.unwrap_err();
    assert_eq!(late.to_response().status(), 504, "seed {SEED}");
    assert_eq!((began.elapsed(), world.calls("payments-0")), (10 * MS, 1));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_is_repeated_under_5xx_gateway_error_and_reset() {
    for token in [RetryOn::ServerError, RetryOn::GatewayError, RetryOn::Reset] {
        let world = World::payments();
        let per_try_timeout = Some(Duration::from_secs(1));
        world.apply(policy(1, with(Retry { per_try_timeout, ..retry(2, &[token]) })));
        world.script("payments-0", |seen| match seen.number {
            1 | 2 => Act::Hang,
            _ => Act::Status(200),
        });
        let began = Instant::now();
        assert_eq!(world.status().await, Ok(200), "{token:?}");
        // Two tries of a second, and back-offs of less than 25 and 75 ms.
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(2) && took < 2100 * MS, "{took:?}, seed {SEED}");
        let told = world.seen("payments-0")[0]
            .header("x-envoy-expected-rq-timeout-ms")
            .unwrap()
            .to_owned();
        assert_eq!(told, "1000", "the callee is told what its try has left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_try_is_not_repeated_for_tokens_that_need_an_answer() {
    let world = World::payments();
    let per_try_timeout = Some(Duration::from_secs(1));
    let on = [RetryOn::ConnectFailure, RetryOn::RetriableFourXx, RetryOn::Status(503)];
    world.apply(policy(1, with(Retry { per_try_timeout, ..retry(2, &on) })));
    world.always("payments-0", Act::Hang);
    assert_eq!(world.status().await, Err(late()));
    assert_eq!(world.calls("payments-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_per_try_timeout_that_is_not_shorter_than_the_route_timeout_is_ignored() {
    let world = World::payments();
    let per_try_timeout = Some(Duration::from_secs(2));
    let retry = Retry { per_try_timeout, ..retry(2, &[RetryOn::ServerError]) };
    world.apply(policy(1, Route { timeout: Some(Duration::from_secs(2)), ..with(retry) }));
    world.always("payments-0", Act::Hang);
    let began = Instant::now();
    assert_eq!(world.status().await, Err(late()));
    assert_eq!((began.elapsed(), world.calls("payments-0")), (Duration::from_secs(2), 1));
}

#[tokio::test(start_paused = true)]
async fn the_body_is_sent_again_with_every_try_unless_it_is_too_long_to_keep() {
    let world = World::payments();
    world.apply(policy(1, with(retry(2, &[RetryOn::ServerError]))));
    world.always("payments-0", Act::Status(500));
    for (bytes, tries) in [(10, 3), (1024 * 1024, 3), (1024 * 1024 + 1, 1)] {
        let before = world.calls("payments-0");
        let body = Bytes::from(vec![7; bytes]);
        let call = world.caller().post("payments", "/").body("application/octet-stream", body);
        assert_eq!(call.send().await.unwrap().status(), 500);
        let seen = world.seen("payments-0").split_off(before);
        assert_eq!(seen.len(), tries, "{bytes} bytes");
        assert!(seen.iter().all(|seen| seen.body == vec![7; bytes]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_to_be_sent_again_is_no_overflow_of_the_retries() {
    let world = World::payments();
    let pool = ConnectionPool { max_retries: Some(1), ..ConnectionPool::default() };
    let traffic = TrafficPolicy { connection_pool: pool, ..TrafficPolicy::default() };
    world.apply(policy_with(1, with(retry(1, &[RetryOn::ServerError])), traffic));
    world.always("payments-0", Act::Status(500));
    let call = async |bytes: usize| {
        let body = Bytes::from(vec![7; bytes]);
        world.caller().post("payments", "/").body("application/octet-stream", body).send().await
    };
    // The one retry that may be under way is that of the short body.
    let sent = tokio::join!(call(10), call(1024 * 1024 + 1));
    assert!(sent.0.unwrap().status() == 500 && sent.1.unwrap().status() == 500);
    assert_eq!(world.calls("payments-0"), 3);
    assert_eq!(world.mesh.pools().iter().map(|pool| pool.retry_overflows).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn max_retries_bounds_the_retries_under_way_and_what_is_over_is_counted() {
    let world = World::payments();
    let pool = ConnectionPool { max_retries: Some(3), ..ConnectionPool::default() };
    let traffic = TrafficPolicy { connection_pool: pool, ..TrafficPolicy::default() };
    world.apply(policy_with(1, with(retry(1, &[RetryOn::ServerError])), traffic));
    world.always("payments-0", Act::Status(503));
    let calls = (0..10).map(|_| world.status());
    let statuses = futures::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == Ok(503)));
    assert_eq!(world.calls("payments-0"), 13, "ten tries and three retries");
    let overflows: u64 = world.mesh.pools().iter().map(|pool| pool.retry_overflows).sum();
    assert_eq!(overflows, 7);
}

#[tokio::test(start_paused = true)]
async fn who_answered_before_the_request_was_whole_reads_it_to_its_end_where_there_is_no_retry() {
    let world = World::new(&[]);
    let (reads, mut read) = tokio::sync::mpsc::channel::<axum::body::Body>(1);
    // It answers at once, and reads what comes afterwards.
    let early = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let reads = reads.clone();
        async move {
            reads.send(request.into_body()).await.unwrap();
            http::StatusCode::SERVICE_UNAVAILABLE
        }
    });
    world.mesh.register("payments", early);
    let pool = ConnectionPool { max_retries: Some(0), ..ConnectionPool::default() };
    let traffic = TrafficPolicy { connection_pool: pool, ..TrafficPolicy::default() };
    world.apply(policy_with(1, with(retry(1, &[RetryOn::ServerError])), traffic));
    let (parts, coming) = futures::channel::mpsc::unbounded::<Result<Bytes, MeshError>>();
    parts.unbounded_send(Ok("begun ".into())).unwrap();
    let request = scripted::request("/", &[]).map(|_| axum::body::Body::from_stream(coming));
    let answer = world.mesh.caller("browser").forward("payments", request).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    parts.unbounded_send(Ok("and ended".into())).unwrap();
    drop(parts);
    let whole = axum::body::to_bytes(read.recv().await.unwrap(), usize::MAX).await.unwrap();
    assert_eq!(whole, "begun and ended");
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_a_share_of_what_is_under_way_and_overrides_max_retries() {
    // 100 requests under way and 25 % allow 25 retries; 4 requests still allow the least, 3.
    for (under_way, share, least, allowed) in
        [(100, 250_000, 3, 25), (4, 200_000, 3, 3), (100, 200_000, 30, 30)]
    {
        let world = World::payments();
        let pool = ConnectionPool { max_retries: Some(1), ..ConnectionPool::default() };
        let budget = RetryBudget { share: Share(share), min_concurrency: least };
        let traffic = TrafficPolicy {
            connection_pool: pool,
            retry_budget: Some(budget),
            ..TrafficPolicy::default()
        };
        world.apply(policy_with(1, with(retry(1, &[RetryOn::ServerError])), traffic));
        world.script("payments-0", |seen| {
            match (seen.path.as_str(), seen.header("x-envoy-attempt-count")) {
                ("/held", _) => Act::Hang,
                (_, Some("1")) => Act::Status(503),
                // Retries stay under way, so that they are counted against each other.
                _ => Act::After(Duration::from_secs(1), 200),
            }
        });
        let caller = world.caller();
        let held = (0..under_way).map(|_| caller.get("payments", "/held").send());
        let failing = (0..under_way).map(|_| async {
            // All of them fail while the others are under way.
            tokio::time::sleep(MS).await;
            world.status().await
        });
        let _ = futures::join!(
            tokio::time::timeout(Duration::from_secs(2), futures::future::join_all(held)),
            futures::future::join_all(failing),
        );
        let made = world.mesh.retries()[0].retries;
        // The retries themselves are under way, too, and raise the sum while they last.
        let most = allowed + allowed * u64::from(share) / 1_000_000 + 1;
        assert!((allowed..=most).contains(&made), "{made} of {allowed}, seed {SEED}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_rate_limiter_refused_is_repeated_for_its_own_token_alone() {
    for (token, tries) in [(RetryOn::ServerError, 1), (RetryOn::EnvoyRateLimited, 2)] {
        let world = World::payments();
        world.apply(policy(1, with(retry(1, &[token]))));
        world.always("payments-0", Act::With(503, vec![("x-envoy-ratelimited", "true")]));
        assert_eq!(world.status().await, Ok(503));
        assert_eq!(world.calls("payments-0"), tries, "{token:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_statuses_are_read_from_the_headers_of_the_answer() {
    let world = World::payments();
    world.apply(policy(1, with(retry(2, &[RetryOn::GrpcUnavailable]))));
    world.script("payments-0", |seen| match seen.number {
        1 => Act::With(200, vec![("grpc-status", "14")]),
        _ => Act::With(200, vec![("grpc-status", "0")]),
    });
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.calls("payments-0"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_caller_goes_away_is_not_sent() {
    let world = World::payments();
    let retry = Retry { backoff: Duration::from_secs(3600), ..retry(2, &[RetryOn::ServerError]) };
    world.apply(policy(1, with(retry)));
    world.always("payments-0", Act::Status(503));
    let call = world.caller().get("payments", "/").timeout(Duration::from_secs(100_000)).send();
    assert!(tokio::time::timeout(MS, call).await.is_err(), "seed {SEED}");
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    assert_eq!(world.calls("payments-0"), 1);
    assert_eq!(world.mesh.pools()[0].retries, 0, "its place is free again");
}
