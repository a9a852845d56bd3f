//! Mirroring through the whole stack, under paused time: which requests are copied, what a copy
//! looks like, what becomes of its answer, and that the live call never notices.

mod scripted;

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::{StreamExt, stream};
use istio::policy::{Mirror, RetryOn, Route, Share};
use mesh::{
    BreakerParams, Endpoint, Instance, MeshError,
    mirror::{COMPARED_MAX, Difference, DifferencePlace, MirrorStats, TARGETS_MAX, UNDER_WAY_MAX},
};
use parking_lot::Mutex;
use scripted::{Act, SEED, World, policy, retry, rule, text};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Two versions of `payments`; requests go to v1, and this share of them also to v2.
fn world(percent: u32) -> World {
    let world =
        World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")]);
    world.apply(policy(1, mirrored(percent)));
    world
}

fn mirrored(percent: u32) -> Route {
    let share = Share(percent * 10_000);
    let mirror = Mirror { service: "payments".into(), subset: Some("v2".into()), share };
    Route { mirrors: vec![mirror], ..rule(Some("v1")) }
}

/// Lets the copies end.
async fn settle() {
    tokio::time::sleep(60 * SECOND).await;
}

fn stats(world: &World) -> MirrorStats {
    world.mesh.mirrors().stats().remove(0)
}

#[tokio::test(start_paused = true)]
async fn twenty_percent_of_a_thousand_requests_is_two_hundred_copies() {
    let world = world(20);
    for _ in 0..1_000 {
        assert_eq!(world.status().await, Ok(200));
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!((world.calls("payments-0"), world.calls("payments-v2-0")), (1_000, 200));
    let stats = stats(&world);
    assert_eq!((stats.requests, stats.mirrored, stats.same), (1_000, 200, 200), "seed {SEED}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_the_request_with_shadow_appended_to_its_host() {
    for (host, shadow) in [
        (None, "payments-shadow"),
        (Some("payments.default"), "payments.default-shadow"),
        (Some("payments:8080"), "payments-shadow:8080"),
    ] {
        let world = world(100);
        let body = Bytes::from_static(b"{\"amount\":1}");
        let mut call = world.caller().post("payments", "/charge?x=1").header("x-user", "ada");
        if let Some(host) = host {
            call = call.header("host", host);
        }
        assert_eq!(call.body("application/json", body.clone()).send().await.unwrap().status(), 200);
        settle().await;
        let copy = world.seen("payments-v2-0").remove(0);
        assert_eq!(copy.header("host"), Some(shadow));
        assert_eq!((copy.path.as_str(), &copy.body), ("/charge?x=1", &body.to_vec()));
        assert_eq!(copy.header("x-user"), Some("ada"));
        assert_eq!(world.seen("payments-0")[0].header("host"), host, "the live one is untouched");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_differ_are_kept_field_by_field_and_equal_ones_only_counted() {
    let world = world(100);
    world.always("payments-0", Act::Json(r#"{"total":100,"currency":"EUR"}"#));
    world.script("payments-v2-0", |seen| match seen.number {
        1 => Act::Json(r#"{"currency":"EUR","total":100}"#),
        _ => Act::Json(r#"{"total":120,"currency":"EUR"}"#),
    });
    for _ in 0..2 {
        let answer = world.get().await.unwrap();
        assert_eq!(scripted::text(answer).await, r#"{"total":100,"currency":"EUR"}"#);
        settle().await;
    }
    let stats = stats(&world);
    assert_eq!((stats.same, stats.different, stats.failed), (1, 1, 0));
    let kept = world.mesh.mirrors().compared();
    let total = Difference {
        place: DifferencePlace::Field("/total".into()),
        live: Some("100".into()),
        mirrored: Some("120".into()),
    };
    assert_eq!((kept.len(), &kept[0].differences), (1, &vec![total]));
    assert_eq!((kept[0].live.status, kept[0].mirrored.status), (Some(200), Some(200)));
}

#[tokio::test(start_paused = true)]
async fn the_live_call_never_waits_for_its_mirror() {
    let world = world(100);
    world.always("payments-v2-0", Act::Hang);
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(world.status().await, Ok(200));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    settle().await;
    let stats = stats(&world);
    assert_eq!((stats.mirrored, stats.failed), (10, 10));
    let kept = world.mesh.mirrors().compared();
    assert!(kept[0].mirrored.error.as_deref().unwrap().contains("in time"));
}

#[tokio::test(start_paused = true)]
async fn each_of_two_mirrors_gets_the_whole_body_whichever_reads_it_first() {
    let world = World::new(&[("payments", "payments-0", "v1")]);
    let read: Arc<Mutex<Vec<(&str, usize)>>> = Arc::default();
    for (name, waits) in [("slow", 3 * SECOND), ("quick", SECOND)] {
        let read = read.clone();
        let router = Router::new().fallback(move |body: Body| async move {
            tokio::time::sleep(waits).await;
            let bytes = axum::body::to_bytes(body, usize::MAX).await.map_or(0, |body| body.len());
            read.lock().push((name, bytes));
        });
        let instance = Instance {
            service: name.into(),
            name: format!("{name}-0"),
            labels: Vec::new(),
            endpoint: Endpoint::Router(router),
        };
        world.mesh.add_instance(instance);
    }
    let mirror = |to: &str| Mirror { service: to.into(), subset: None, share: Share::ALL };
    world.apply(policy(1, Route { mirrors: ["slow", "quick"].map(mirror).into(), ..rule(None) }));
    // It comes in parts.
    let parts = ["{\"amount\":", "1}"].map(|part| Ok::<_, Infallible>(Bytes::from(part)));
    let mut request = scripted::request("/charge", &[]);
    *request.method_mut() = http::Method::POST;
    *request.body_mut() = Body::from_stream(stream::iter(parts));
    let call = world.caller().forward("payments", request);
    assert_eq!(call.send().await.unwrap().status(), 200);
    settle().await;
    assert_eq!(*read.lock(), [("quick", 12), ("slow", 12)]);
}

#[tokio::test(start_paused = true)]
async fn both_latencies_are_kept_with_a_difference() {
    let world = world(100);
    world.always("payments-0", Act::After(SECOND, 200));
    world.always("payments-v2-0", Act::After(3 * SECOND, 500));
    assert_eq!(world.status().await, Ok(200));
    settle().await;
    let kept = world.mesh.mirrors().compared().remove(0);
    assert_eq!((kept.live.took, kept.mirrored.took), (SECOND, 3 * SECOND));
    assert_eq!(kept.differences[0].place, DifferencePlace::Status);
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_without_end_a_copy_reads_as_much_as_is_compared() {
    let world = world(100);
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let router = Router::new().fallback(move || {
        let counted = counted.clone();
        let frames = stream::repeat_with(move || {
            counted.fetch_add(1_024, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1_024]))
        });
        // A million of them, lest the test has no end either.
        async move { Body::from_stream(frames.take(1_000_000)) }
    });
    world.mesh.add_instance(Instance {
        service: "payments".into(),
        name: "payments-v2-0".into(),
        labels: vec![("version".into(), "v2".into())],
        endpoint: Endpoint::Router(router),
    });
    world.always("payments-0", Act::Text("y"));
    assert_eq!(text(world.get().await.unwrap()).await, "y");
    settle().await;
    assert_eq!(stats(&world).different, 1);
    let read = read.load(Ordering::Relaxed);
    assert!((65_536..70_000).contains(&read), "{read} bytes");
}

#[tokio::test(start_paused = true)]
async fn copies_under_way_are_bounded_and_what_is_beyond_is_counted() {
    let world = world(100);
    world.always("payments-v2-0", Act::Hang);
    for _ in 0..UNDER_WAY_MAX + 6 {
        assert_eq!(world.status().await, Ok(200));
    }
    assert_eq!(stats(&world).dropped, 6);
    settle().await;
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(stats(&world).dropped, 6, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_long_to_copy_is_sent_once() {
    let world = world(100);
    let body = Bytes::from(vec![7; 256 * 1024 + 1]);
    let call = world.caller().post("payments", "/").body("application/octet-stream", body.clone());
    assert_eq!(call.send().await.unwrap().status(), 200);
    settle().await;
    assert_eq!(world.seen("payments-0")[0].body, body);
    assert_eq!((world.calls("payments-v2-0"), stats(&world).dropped), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_neither_copied_nor_repeated_and_no_breaker_sees_it() {
    let instances = [("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")];
    let world = World::with(&instances, BreakerParams::default(), SEED);
    let retry = retry(2, &[RetryOn::ServerError]);
    world.apply(policy(1, Route { retry, ..mirrored(100) }));
    world.always("payments-v2-0", Act::Status(500));
    for _ in 0..8 {
        assert_eq!(world.status().await, Ok(200));
    }
    settle().await;
    assert_eq!(world.calls("payments-v2-0"), 8);
    let breakers = world.mesh.breakers();
    let calls: Vec<_> = breakers.iter().map(|b| (b.subset.as_deref(), b.window.len())).collect();
    assert_eq!(calls, [(Some("v1"), 8)], "nobody asks one for v2");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_not_copied_and_a_repeated_one_is_copied_once() {
    let world = world(100);
    world.apply(policy(2, Route { retry: retry(2, &[RetryOn::ServerError]), ..mirrored(100) }));
    world.script("payments-0", |seen| Act::Status(if seen.number < 3 { 503 } else { 200 }));
    assert_eq!(world.status().await, Ok(200));
    settle().await;
    assert_eq!((world.calls("payments-0"), world.calls("payments-v2-0")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_mirror_nobody_answers_for_is_counted_and_nothing_else() {
    let world = world(100);
    let (share, subset) = (Share::ALL, None);
    let nowhere = Mirror { service: "nowhere".into(), subset, share };
    world.apply(policy(2, Route { mirrors: vec![nowhere], ..rule(Some("v1")) }));
    assert_eq!(world.status().await, Ok(200));
    settle().await;
    let stats = world.mesh.mirrors().stats();
    assert_eq!((stats[0].mirrored, stats[0].failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_live_call_that_fails_has_nothing_to_be_compared_with() {
    let world = world(100);
    world.mesh.kill("payments", "payments-0");
    assert!(matches!(world.status().await, Err(MeshError::Connect { .. })));
    settle().await;
    let kept = world.mesh.mirrors().compared().remove(0);
    assert_eq!((kept.live.status, kept.mirrored.status), (None, Some(200)));
    assert!(kept.differences.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_pairs_that_are_kept_are_the_newest_and_bounded() {
    let world = world(100);
    world.always("payments-v2-0", Act::Status(500));
    for _ in 0..COMPARED_MAX + 5 {
        assert_eq!(world.status().await, Ok(200));
        settle().await;
    }
    let kept = world.mesh.mirrors().compared();
    assert_eq!(kept.len(), COMPARED_MAX);
    assert!(kept[0].at_us > kept[1].at_us);
    world.mesh.mirrors().shutdown().await;
    assert_eq!(world.status().await, Ok(200), "the live call does not care");
}

#[tokio::test(start_paused = true)]
async fn mirroring_goes_on_however_often_its_share_was_changed() {
    let world = world(100);
    for number in 0..TARGETS_MAX + 5 {
        let share = Share(1_000_000 - u32::try_from(number).unwrap());
        let mirror = Mirror { service: "payments".into(), subset: Some("v2".into()), share };
        let route = Route { mirrors: vec![mirror], ..rule(Some("v1")) };
        world.apply(policy(u64::try_from(number).unwrap() + 2, route));
        assert_eq!(world.status().await, Ok(200));
    }
    world.apply(policy(1_000, mirrored(100)));
    let before = world.calls("payments-v2-0");
    assert_eq!(world.status().await, Ok(200));
    settle().await;
    assert!(world.calls("payments-v2-0") > before, "the newest share is copied");
    assert!(world.mesh.mirrors().stats().len() <= TARGETS_MAX);
}
