//! Local rate limits of the callee's side through the whole stack under paused time.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::policy::{
    LimitScope, LocalRateLimit, Match, Origin, Policy, Route, Share, StringMatch, Workload,
};
use mesh::Response;
use scripted::{SEED, World, inbound, origin, outside, policy, request, rule};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// 100 a minute for each address, as the seed has it.
fn hundred_a_minute() -> LocalRateLimit {
    LocalRateLimit {
        origin: origin("VirtualService", "rate-limiting"),
        max_tokens: 100,
        tokens_per_fill: 100,
        fill_interval: Duration::from_secs(60),
        per_remote_address: true,
        enabled: Share::ALL,
        enforced: Share::ALL,
        status: http::StatusCode::TOO_MANY_REQUESTS,
        twin: 0,
        scope: None,
    }
}

fn limited(limit: LocalRateLimit) -> Workload {
    Workload { rate_limits: vec![limit], ..Workload::default() }
}

async fn from_address(world: &World, address: &str) -> Response {
    let call = world.mesh.caller("browser").forward("payments", request("/", &[]));
    call.remote(address.parse().unwrap()).send().await.unwrap()
}

/// How many of so many requests pass.
async fn passed(world: &World, address: &str, requests: usize) -> usize {
    let mut passed = 0;
    for _ in 0..requests {
        passed += usize::from(from_address(world, address).await.status() == 200);
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn an_address_has_a_hundred_requests_a_minute_and_another_has_its_own() {
    let world = World::guarded(limited(hundred_a_minute()));
    assert_eq!(passed(&world, "203.0.113.7", 130).await, 100);
    assert_eq!(passed(&world, "203.0.113.8", 130).await, 100);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(passed(&world, "203.0.113.7", 130).await, 50, "tokens come back evenly");
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(
        passed(&world, "203.0.113.7", 130).await,
        100,
        "and never more than the bucket holds"
    );
    assert_eq!(world.mesh.inbound_stats()[0].rate_limited, 30 + 30 + 80 + 30);
}

#[tokio::test(start_paused = true)]
async fn answers_say_what_the_limit_is_and_what_is_left_of_it() {
    let world = World::guarded(limited(hundred_a_minute()));
    let first = from_address(&world, "203.0.113.7").await;
    assert_eq!(first.headers()["ratelimit-policy"], "\"rate-limiting\";q=100;w=60");
    assert_eq!(first.headers()["ratelimit"], "\"rate-limiting\";r=99;t=1");
    assert_eq!(passed(&world, "203.0.113.7", 99).await, 99);
    let refused = from_address(&world, "203.0.113.7").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit"], "\"rate-limiting\";r=0;t=1");
    assert_eq!(refused.headers()["x-envoy-ratelimited"], "true");
    assert_eq!(world.calls("payments-0"), 100);
}

#[tokio::test(start_paused = true)]
async fn one_bucket_for_all_is_shared_and_callers_of_the_mesh_are_counted_by_name() {
    let world =
        World::guarded(limited(LocalRateLimit { per_remote_address: false, ..hundred_a_minute() }));
    assert_eq!(passed(&world, "203.0.113.7", 60).await, 60);
    assert_eq!(passed(&world, "203.0.113.8", 60).await, 40);
    world.apply(inbound(2, limited(hundred_a_minute())));
    for (caller, expected) in [("orders", 100), ("gateway", 100)] {
        let mut passed = 0;
        for _ in 0..120 {
            let answer = world.mesh.caller(caller).get("payments", "/").send().await.unwrap();
            passed += usize::from(answer.status() == 200);
        }
        assert_eq!(passed, expected, "{caller}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_back_one_at_a_time_do_and_status_and_window_follow_the_rule() {
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    let fill_interval = Duration::from_secs(10);
    let limit = LocalRateLimit {
        max_tokens: 5,
        tokens_per_fill: 1,
        fill_interval,
        status,
        ..hundred_a_minute()
    };
    let world = World::guarded(limited(limit));
    assert_eq!(passed(&world, "203.0.113.7", 9).await, 5);
    let refused = from_address(&world, "203.0.113.7").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["ratelimit-policy"], "\"rate-limiting\";q=5;w=50");
    assert_eq!(refused.headers()["retry-after"], "10");
    tokio::time::advance(fill_interval).await;
    assert_eq!(passed(&world, "203.0.113.7", 3).await, 1);
}

#[tokio::test(start_paused = true)]
async fn enabled_is_the_share_that_is_counted_and_enforced_the_share_that_is_refused() {
    let half = Share(500_000);
    let none = LocalRateLimit { max_tokens: 1, tokens_per_fill: 1, ..hundred_a_minute() };
    // Of 200 requests within one token: half is counted, of which all but one is over.
    let world_of = |limit| World::guarded(limited(limit));
    let enabled = world_of(LocalRateLimit { enabled: half, ..none.clone() });
    assert_eq!(passed(&enabled, "203.0.113.7", 200).await, 101, "seed {SEED}");
    let enforced = world_of(LocalRateLimit { enforced: half, ..none.clone() });
    let refused = 200 - passed(&enforced, "203.0.113.7", 200).await;
    assert!((99..=100).contains(&refused), "{refused} of 199, seed {SEED}");
    let stats = enforced.mesh.inbound_stats().remove(0);
    assert_eq!(stats.over_limit, 199);
    let off = world_of(LocalRateLimit { enforced: Share::NONE, ..none });
    assert_eq!(passed(&off, "203.0.113.7", 200).await, 200);
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_leaves_the_limit_alone_does_not_give_anybody_new_tokens() {
    let world = World::guarded(limited(hundred_a_minute()));
    assert_eq!(passed(&world, "203.0.113.7", 100).await, 100);
    world.apply(inbound(2, limited(hundred_a_minute())));
    assert_eq!(passed(&world, "203.0.113.7", 10).await, 0);
    world.apply(inbound(3, limited(LocalRateLimit { max_tokens: 101, ..hundred_a_minute() })));
    assert_eq!(passed(&world, "203.0.113.7", 10).await, 10, "another limit, another bucket");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_rule_counts_what_its_rule_took_and_what_looks_like_it_by_other_ways() {
    let world = World::payments();
    let api = Match { uri: Some(StringMatch::Prefix("/api".into())), ..Match::default() };
    let scope = LimitScope {
        origin: origin("VirtualService", "rate-limiting"),
        route: "all".into(),
        matches: vec![api],
    };
    let limit = LocalRateLimit { scope: Some(scope), ..hundred_a_minute() };
    let with_routes = |revision, origin: Origin| {
        let route = Route { origin, ..rule(None) };
        let workloads = BTreeMap::from([("payments".into(), limited(limit.clone()))]);
        Policy { workloads, ..policy(revision, route) }
    };
    let get = async |path: &str| outside(&world.mesh, path, &[]).await.status().as_u16();
    // Another resource routes: what looks like the rule's requests is counted, nothing else is.
    world.mesh.apply(Arc::new(with_routes(1, origin("VirtualService", "canary"))));
    for _ in 0..100 {
        assert_eq!((get("/api/v1").await, get("/livez").await), (200, 200));
    }
    assert_eq!((get("/api/v1").await, get("/livez").await), (429, 200));
    // The rule's own resource routes, and this rule took it: counted, whatever it looks like now.
    world.mesh.apply(Arc::new(with_routes(2, hundred_a_minute().origin)));
    assert_eq!(get("/livez").await, 429);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_for_all_instances_of_a_service_together() {
    let mut world = World::guarded(limited(hundred_a_minute()));
    for name in ["payments-1", "payments-2"] {
        world.add("payments", name, "v1");
    }
    assert_eq!(passed(&world, "203.0.113.7", 130).await, 100);
    assert!(world.calls("payments-1") > 0 && world.calls("payments-2") > 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_outside_can_say_where_they_come_from() {
    let world = World::guarded(limited(hundred_a_minute()));
    let mut passed = 0;
    for number in 0..200 {
        let address = format!("198.51.100.{number}");
        let forged = [("x-envoy-external-address", address.as_str())];
        passed += usize::from(outside(&world.mesh, "/", &forged).await.status() == 200);
    }
    assert_eq!(passed, 100, "all of them are one unknown caller");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_would_take_centuries_to_fill_lets_its_tokens_out_and_panics_never() {
    let minute = Duration::from_secs(60);
    let day = Duration::from_secs(86_400);
    let year = 365 * day;
    for (max_tokens, tokens_per_fill, fill_interval) in [
        (u32::MAX, 1, minute),
        (1_000_000, 1, day),
        (u32::MAX, 1, year),
        (u32::MAX, u32::MAX, Duration::from_secs(1)),
        (1, u32::MAX, Duration::from_nanos(1)),
        (2, 1, Duration::ZERO),
    ] {
        for per_remote_address in [false, true] {
            let rule = LocalRateLimit {
                max_tokens,
                tokens_per_fill,
                fill_interval,
                per_remote_address,
                ..hundred_a_minute()
            };
            let what = format!("{max_tokens} {tokens_per_fill} {fill_interval:?}");
            let world = World::guarded(limited(rule));
            let answer = from_address(&world, "203.0.113.7").await;
            assert_eq!(answer.status(), 200, "{what}");
            assert!(answer.headers().contains_key("ratelimit"), "{what}");
        }
    }
}

/// So many limits on `payments`, each of an `EnvoyFilter` of its own, the last the tightest.
fn many(revision: u64, count: u32) -> Policy {
    let limit = |number: u32| LocalRateLimit {
        origin: origin("EnvoyFilter", &format!("limit-{number}")),
        max_tokens: if number == count { 3 } else { 1_000 + number },
        ..hundred_a_minute()
    };
    let rate_limits = (1..=count).map(limit).collect();
    inbound(revision, Workload { rate_limits, ..Workload::default() })
}

#[tokio::test(start_paused = true)]
async fn of_more_limits_than_anybody_writes_each_keeps_its_bucket() {
    for count in [16, 17, 500] {
        let world = World::payments();
        world.apply(many(1, count));
        assert_eq!(passed(&world, "203.0.113.7", 10).await, 3, "{count} limits");
        // They stay while the rules do, and while a revision without them is tried out.
        world.apply(many(2, count));
        assert_eq!(passed(&world, "203.0.113.7", 10).await, 0, "{count} limits, applied again");
        world.apply(inbound(3, limited(hundred_a_minute())));
        assert_eq!(passed(&world, "203.0.113.7", 1).await, 1);
        world.apply(many(4, count));
        assert_eq!(passed(&world, "203.0.113.7", 10).await, 0, "{count} limits, restored");
    }
}

/// The local rate limits of one `EnvoyFilter` for payments, so many tokens a minute each.
fn filter(buckets: &[u32]) -> Workload {
    let patches: String = buckets.iter().map(|tokens| patch(*tokens)).collect();
    let text = format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: slow}}\n\
         spec:\n  workloadSelector: {{labels: {{app: payments}}}}\n  configPatches:\n{patches}"
    );
    let payments = istio::KnownService { name: "payments".into(), ..Default::default() };
    let known = istio::Known { services: vec![payments], ..istio::Known::default() };
    let applied = istio::Configuration::default().apply(&text, &known).unwrap();
    let mut policy = applied.configuration.compile(&known, 1);
    policy.workloads.remove("payments").unwrap()
}

fn patch(tokens: u32) -> String {
    let all = "{default_value: {numerator: 100, denominator: HUNDRED}}";
    let kind =
        "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    format!(
        "  - applyTo: HTTP_FILTER\n    patch:\n      operation: INSERT_BEFORE\n      \
         value:\n        \
         name: envoy.filters.http.local_ratelimit\n        typed_config:\n          \
         '@type': {kind}\n          \
         token_bucket: {{max_tokens: {tokens}, tokens_per_fill: {tokens}, \
         fill_interval: 60s}}\n          \
         filter_enabled: {all}\n          filter_enforced: {all}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn two_rules_of_one_resource_that_say_the_same_have_a_bucket_each() {
    let world = World::guarded(filter(&[10, 10]));
    assert_eq!(passed(&world, "203.0.113.7", 20).await, 10, "each takes a token of its own");
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(passed(&world, "203.0.113.7", 4).await, 4);
    // A rule more, before or after them, is none of their business.
    world.apply(inbound(2, filter(&[50, 10, 10])));
    assert_eq!(passed(&world, "203.0.113.7", 4).await, 4);
    world.apply(inbound(3, filter(&[10, 10, 50])));
    assert_eq!(passed(&world, "203.0.113.7", 4).await, 2, "their buckets went on");
}

#[tokio::test(start_paused = true)]
async fn what_authorization_refuses_is_limited_all_the_same() {
    let nobody = istio::policy::AuthorizationPolicy {
        origin: origin("AuthorizationPolicy", "nobody"),
        action: istio::policy::AuthorizationAction::Allow,
        dry_run: false,
        rules: Vec::new(),
    };
    let limit = LocalRateLimit { max_tokens: 2, tokens_per_fill: 2, ..hundred_a_minute() };
    let world = World::guarded(Workload { authorization: vec![nobody], ..limited(limit) });
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = from_address(&world, "203.0.113.7").await;
        assert!(answer.headers().contains_key("ratelimit"), "{}", answer.status());
        answers.push(answer.status().as_u16());
    }
    assert_eq!(answers, [403, 403, 429, 429]);
    let stats = world.mesh.inbound_stats().remove(0);
    assert_eq!((stats.denied, stats.rate_limited, stats.passed), (2, 2, 0));
}
