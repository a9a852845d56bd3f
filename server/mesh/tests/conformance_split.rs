//! The weighted split: exact shares by smooth weighted round robin, drawn once per request, and not
//! lost when something else is applied.

mod common;

use axum::body::Body;
use common::{World, destination, exact, forward, matching, policy, rule, to};
use http::{Method, Request};
use istio::policy::{Action, Cors, Match, Policy, Route, TrafficPolicy};
use std::collections::BTreeMap;

fn world() -> World {
    World::new(&[("payments", "v1-0", "v1"), ("payments", "v2-0", "v2")])
}

fn split(v1: u32, v2: u32) -> Route {
    let parts = vec![to("payments", Some("v1"), v1), to("payments", Some("v2"), v2)];
    rule("split", Action::Forward(parts))
}

fn with_subsets(revision: u64, routes: Vec<Route>) -> Policy {
    let mut policy = policy(revision, routes);
    policy.destinations = [("payments".into(), destination(TrafficPolicy::default()))].into();
    policy
}

async fn shares(world: &World, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(world.instance().await).or_insert(0) += 1;
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn ninety_to_ten_over_two_hundred_is_180_to_20_and_every_ten_is_nine_to_one() {
    let world = world();
    world.apply(with_subsets(1, vec![split(90, 10)]));
    for _ in 0..20 {
        let expected = [("v1-0".to_owned(), 9), ("v2-0".to_owned(), 1)].into();
        assert_eq!(shares(&world, 10).await, expected);
    }
    let hits = &world.mesh.route_hits()[0];
    let observed: Vec<_> = hits.shares.iter().map(|share| share.requests).collect();
    assert_eq!((hits.hits, observed), (200, vec![180, 20]));
}

#[tokio::test(start_paused = true)]
async fn a_preflight_before_each_request_takes_no_place_of_the_split() {
    let world = world();
    let mut split = split(50, 50);
    split.cors = Some(Cors {
        origins: vec![exact("https://shop.example.com")],
        methods: vec![Method::POST],
        headers: vec![],
        expose: vec![],
        max_age: None,
        credentials: None,
    });
    world.apply(with_subsets(1, vec![split]));
    let mut seen = BTreeMap::new();
    for _ in 0..10 {
        let preflight = Request::builder()
            .method(Method::OPTIONS)
            .uri("/")
            .header("origin", "https://shop.example.com")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let answer = world.mesh.caller("browser").forward("payments", preflight).send().await;
        assert_eq!(answer.unwrap().status(), 200);
        *seen.entry(world.instance().await).or_insert(0) += 1;
    }
    assert_eq!(seen, [("v1-0".to_owned(), 5), ("v2-0".to_owned(), 5)].into());
    let hits = &world.mesh.route_hits()[0];
    let observed: Vec<_> = hits.shares.iter().map(|share| share.requests).collect();
    assert_eq!((hits.hits, observed), (20, vec![5, 5]), "the rule matched the preflights too");
}

#[tokio::test(start_paused = true)]
async fn weight_zero_gets_nothing_and_a_single_destination_all() {
    let world = world();
    world.apply(with_subsets(1, vec![split(0, 7)]));
    assert_eq!(shares(&world, 50).await, [("v2-0".to_owned(), 50)].into());
    let one = rule("one", Action::Forward(vec![to("payments", Some("v1"), 0)]));
    world.apply(with_subsets(2, vec![one]));
    assert_eq!(shares(&world, 50).await, [("v1-0".to_owned(), 50)].into());
}

#[tokio::test(start_paused = true)]
async fn a_split_goes_on_where_it_was_when_something_else_is_applied() {
    let world = world();
    world.apply(with_subsets(1, vec![split(90, 10)]));
    let mut all = BTreeMap::new();
    // A rule before it, another revision every three requests: still nine to one of every ten.
    for revision in 2..=41 {
        let health =
            matching("health", Match { uri: Some(exact("/h")), ..Match::default() }, "payments");
        let routes =
            if revision % 2 == 0 { vec![health, split(90, 10)] } else { vec![split(90, 10)] };
        world.apply(with_subsets(revision, routes));
        for (instance, count) in shares(&world, 3).await {
            *all.entry(instance).or_insert(0) += count;
        }
    }
    assert_eq!(all, [("v1-0".to_owned(), 108), ("v2-0".to_owned(), 12)].into());
}

#[tokio::test(start_paused = true)]
async fn other_weights_are_another_split_that_begins_anew() {
    let world = world();
    world.apply(with_subsets(1, vec![split(90, 10)]));
    let _ = shares(&world, 4).await;
    world.apply(with_subsets(2, vec![split(50, 50)]));
    let expected = [("v1-0".to_owned(), 10), ("v2-0".to_owned(), 10)].into();
    assert_eq!(shares(&world, 20).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_split_over_services_goes_to_each_by_its_weight() {
    let mut world = world();
    world.add("catalog", "catalog-0", "v1");
    let parts = vec![to("payments", Some("v1"), 3), to("catalog", None, 1)];
    world.apply(with_subsets(1, vec![rule("split", Action::Forward(parts))]));
    let expected = [("catalog-0".to_owned(), 10), ("v1-0".to_owned(), 30)].into();
    assert_eq!(shares(&world, 40).await, expected);
}

#[tokio::test(start_paused = true)]
async fn two_rules_with_the_same_weights_have_each_their_own_split() {
    let world = world();
    let a = Route {
        name: "a".into(),
        matches: vec![Match { uri: Some(exact("/a")), ..Match::default() }],
        ..split(50, 50)
    };
    world.apply(with_subsets(1, vec![a, split(50, 50), forward("never", "payments")]));
    let mut seen = Vec::new();
    for path in ["/a", "/b", "/a", "/b"] {
        let answer = world.get("payments", path).await.unwrap();
        seen.push(answer.echo.unwrap().instance);
    }
    assert_eq!(seen, ["v1-0", "v1-0", "v2-0", "v2-0"]);
    let hits: Vec<_> = world.mesh.route_hits().iter().map(|hit| hit.hits).collect();
    assert_eq!(hits, [2, 2, 0]);
}
