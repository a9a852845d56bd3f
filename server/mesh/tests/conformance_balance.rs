//! Load balancing: `LoadBalancerSettings` of the Istio reference, each policy as it is documented.
//! Random choices are drawn from a seed, so that every run is the same.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use common::{World, read, traffic};
use istio::policy::{
    HashKey, HashTable, LoadBalancer, Policy, Retry, RetryOn, Route, Share, TrafficPolicy, Warmup,
};
use mesh::fault::{FaultKind, FaultScope, FaultSpec};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

fn balancer(load_balancer: LoadBalancer) -> Policy {
    traffic(1, TrafficPolicy { load_balancer, ..TrafficPolicy::default() })
}

fn hashed(key: HashKey, table: HashTable) -> Policy {
    balancer(LoadBalancer::ConsistentHash { key, table })
}

const RING: HashTable = HashTable::Ring { minimum_size: 1_024 };
const MAGLEV: HashTable = HashTable::Maglev { size: 65_537 };

async fn sequence(world: &World, requests: usize) -> Vec<String> {
    let mut sequence = Vec::new();
    for _ in 0..requests {
        sequence.push(world.instance().await);
    }
    sequence
}

fn counts(sequence: &[String]) -> BTreeMap<&str, usize> {
    sequence.iter().fold(BTreeMap::new(), |mut counts, instance| {
        *counts.entry(&**instance).or_insert(0) += 1;
        counts
    })
}

#[tokio::test(start_paused = true)]
async fn round_robin_is_one_after_the_other() {
    let world = World::payments(3);
    world.apply(balancer(LoadBalancer::RoundRobin));
    let turn = ["payments-0", "payments-1", "payments-2"];
    assert_eq!(sequence(&world, 9).await, [turn, turn, turn].concat());
}

/// A minute of warm-up from a tenth.
const WARMUP: Warmup =
    Warmup { duration: Duration::from_secs(60), minimum_percent: 10.0, aggression: 1.0 };

/// Each in turn, and what was answered with 5xx once more elsewhere.
fn in_turn_and_again(warmup: Option<Warmup>) -> Policy {
    let load_balancer = LoadBalancer::RoundRobin;
    let in_turn = TrafficPolicy { load_balancer, warmup, ..TrafficPolicy::default() };
    let on = vec![RetryOn::ServerError];
    let backoff = Duration::from_millis(2);
    let retry = Retry { attempts: 2, on, backoff, ..Retry::default() };
    let again = Route { retry, ..common::forward("again", "payments") };
    let destinations = traffic(1, in_turn).destinations;
    Policy { destinations, ..common::policy(1, vec![again]) }
}

#[tokio::test(start_paused = true)]
async fn who_is_next_to_one_that_fails_gets_as_much_as_the_others() {
    for warmup in [None, Some(WARMUP)] {
        for failing in 0..4 {
            let world = World::payments(4);
            world.apply(in_turn_and_again(warmup));
            let failing = format!("payments-{failing}");
            world.set(&failing, 503);
            let answered = sequence(&world, 60).await;
            let shares = counts(&answered);
            assert_eq!(shares.len(), 3, "{failing} answers nobody: {shares:?}");
            assert!(shares.values().all(|share| share.abs_diff(20) <= 1), "{failing}: {shares:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_a_fault_holds_is_busy_and_left_alone_by_least_request() {
    let world = World::payments(2);
    world.apply(balancer(LoadBalancer::LeastRequest));
    let scope = FaultScope { instance: Some("payments-1".into()), ..FaultScope::default() };
    let hang = FaultSpec {
        kind: FaultKind::Hang,
        scope,
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    world.mesh.faults().inject(hang).unwrap();
    let active = || {
        let endpoints = world.mesh.endpoints();
        let held = endpoints.iter().find(|endpoint| &*endpoint.instance == "payments-1");
        held.map(|held| held.active).unwrap()
    };
    let hanging = async {
        let calls = futures::future::join_all((0..100).map(|_| world.get("payments", "/")));
        let _ = tokio::time::timeout(Duration::from_millis(1), calls).await;
    };
    let seen = async {
        tokio::task::yield_now().await;
        active()
    };
    let ((), held) = tokio::join!(hanging, seen);
    // Two draws on the busy one, which is a quarter; an idle one would get the half.
    assert!((10..=35).contains(&held), "{held} of 100 wait at the instance that is held");
    assert_eq!(active(), 0, "who went away is not under way");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_or_goes_is_in_or_out_at_once() {
    let mut world = World::payments(1);
    world.apply(balancer(LoadBalancer::RoundRobin));
    assert_eq!(counts(&sequence(&world, 4).await), [("payments-0", 4)].into());
    world.add("payments", "payments-1", "v1");
    let both = [("payments-0", 2), ("payments-1", 2)].into();
    assert_eq!(counts(&sequence(&world, 4).await), both);
    assert!(world.mesh.remove_instance("payments", "payments-0"));
    assert_eq!(counts(&sequence(&world, 4).await), [("payments-1", 4)].into());
    assert!(!world.mesh.remove_instance("payments", "payments-0"));
}

#[tokio::test(start_paused = true)]
async fn random_gives_everyone_about_the_same_and_the_same_seed_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let world = World::payments(4);
        world.apply(balancer(LoadBalancer::Random));
        runs.push(sequence(&world, 400).await);
    }
    assert_eq!(runs[0], runs[1]);
    let counts = counts(&runs[0]);
    assert!(counts.values().all(|count| (60..140).contains(count)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_call_does_not_change_the_choices_of_a_caller() {
    let quiet = World::payments(4);
    quiet.apply(balancer(LoadBalancer::Random));
    let busy = World::payments(4);
    busy.apply(balancer(LoadBalancer::Random));
    let mut seen = Vec::new();
    for _ in 0..50 {
        busy.mesh.caller("gateway").get("payments", "/").send().await.unwrap();
        seen.push(busy.instance().await);
    }
    assert_eq!(seen, sequence(&quiet, 50).await);
}

#[tokio::test(start_paused = true)]
async fn least_request_leaves_the_busy_one_alone_more_often_than_not() {
    let world = World::payments(2);
    world.apply(balancer(LoadBalancer::LeastRequest));
    world.mesh.pause("payments", "payments-1");
    // Each call that goes to the one that hangs makes it busier.
    let calls = (0..100).map(|_| world.get("payments", "/"));
    let calls = futures::future::join_all(calls);
    let _ = tokio::time::timeout(Duration::from_millis(1), calls).await;
    world.mesh.restart("payments", "payments-1");
    // Both are idle now: each gets a part.
    let even = sequence(&world, 100).await;
    assert!(counts(&even).values().all(|count| *count > 25), "{:?}", counts(&even));
    world.mesh.pause("payments", "payments-1");
    let hanging = futures::future::join_all((0..20).map(|_| world.get("payments", "/")));
    let rest = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let caller = world.caller();
        let mut answered = 0;
        for _ in 0..100 {
            let call = caller.get("payments", "/").timeout(Duration::from_millis(1));
            answered += usize::from(call.send().await.is_ok());
        }
        answered
    };
    let (answered, _) = tokio::join!(rest, tokio::time::timeout(Duration::from_secs(1), hanging));
    assert!(answered >= 65, "only both draws on the busy one go there: {answered} of 100");
}

async fn by_header(world: &World, user: &str) -> String {
    let call = world.caller().get("payments", "/").header("x-user", user);
    read(call.send().await).await.unwrap().echo.unwrap().instance
}

#[tokio::test(start_paused = true)]
async fn a_consistent_hash_sends_a_key_always_to_the_same_and_few_keys_move() {
    for table in [RING, MAGLEV] {
        let world = World::payments(5);
        world.apply(hashed(HashKey::Header(common::name("x-user")), table));
        let mut before = BTreeMap::new();
        for user in 0..300 {
            let user = format!("user-{user}");
            let instance = by_header(&world, &user).await;
            assert_eq!(by_header(&world, &user).await, instance, "{table:?}");
            before.insert(user, instance);
        }
        world.mesh.remove_instance("payments", "payments-2");
        let mut moved = 0;
        for (user, instance) in &before {
            moved += usize::from(by_header(&world, user).await != *instance);
        }
        assert!((30..=90).contains(&moved), "{table:?}: a fifth of 300 is 60, {moved} moved");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_key_goes_anywhere() {
    let world = World::payments(3);
    world.apply(hashed(HashKey::Header(common::name("x-user")), RING));
    assert_eq!(counts(&sequence(&world, 60).await).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_with_a_time_to_live_is_made_and_holds_whoever_has_it() {
    let world = World::payments(4);
    let cookie = |ttl| HashKey::Cookie { name: "session".into(), path: Some("/shop".into()), ttl };
    world.apply(hashed(cookie(Some(Duration::from_secs(90))), RING));
    let mut instances = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let first = world.get("payments", "/").await.unwrap();
        let set = first.headers["set-cookie"].to_str().unwrap().to_owned();
        assert!(set.ends_with("; Max-Age=90; Path=/shop; HttpOnly"), "{set}");
        let pair = set.split(';').next().unwrap();
        let instance = first.echo.unwrap().instance;
        for _ in 0..5 {
            let call = world.caller().get("payments", "/").header("cookie", pair);
            let again = read(call.send().await).await.unwrap();
            assert!(!again.headers.contains_key("set-cookie"), "it has one");
            assert_eq!(again.echo.unwrap().instance, instance);
        }
        instances.insert(instance);
    }
    assert!(instances.len() > 1, "not everybody has the same cookie");
    world.apply(hashed(cookie(Some(Duration::ZERO)), RING));
    let session = world.get("payments", "/").await.unwrap();
    assert!(!session.headers["set-cookie"].to_str().unwrap().contains("Max-Age"));
    world.apply(hashed(cookie(None), RING));
    let none = world.get("payments", "/").await.unwrap();
    assert!(!none.headers.contains_key("set-cookie"), "none is made without a time to live");
}

#[tokio::test(start_paused = true)]
async fn the_source_address_and_a_query_parameter_are_keys_too() {
    let world = World::payments(4);
    world.apply(hashed(HashKey::SourceIp, MAGLEV));
    let mut places = BTreeMap::new();
    for round in 0..2 {
        for last in 0..20_u8 {
            let address = IpAddr::from([10, 0, 0, last]);
            let call = world.caller().get("payments", "/").remote(address);
            let instance = read(call.send().await).await.unwrap().echo.unwrap().instance;
            let known = places.entry(address).or_insert_with(|| instance.clone());
            assert_eq!(*known, instance, "round {round}");
        }
    }
    let different: std::collections::BTreeSet<_> = places.values().collect();
    assert!(different.len() > 1);
    let inside = sequence(&world, 10).await;
    assert_eq!(counts(&inside).len(), 1, "inside the mesh the caller is the source");
    world.apply(hashed(HashKey::Query("user".into()), RING));
    let mut places = std::collections::BTreeSet::new();
    for user in 0..20 {
        let path = format!("/?x=1&user={user}");
        let one = world.get("payments", &path).await.unwrap().echo.unwrap().instance;
        let two = world.get("payments", &path).await.unwrap().echo.unwrap().instance;
        assert_eq!(one, two);
        places.insert(one);
    }
    assert!(places.len() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_gets_its_share_slowly() {
    let mut world = World::payments(1);
    let warmup =
        Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
    let policy = TrafficPolicy {
        load_balancer: LoadBalancer::RoundRobin,
        warmup: Some(warmup),
        ..TrafficPolicy::default()
    };
    world.apply(traffic(1, policy));
    tokio::time::advance(Duration::from_secs(1_000)).await;
    world.add("payments", "new", "v1");
    // Its weight against the other's 1: a tenth, a half, all.
    for (seconds, expected) in [(0, 10), (50, 36), (50, 55)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let sequence = sequence(&world, 110).await;
        let got = counts(&sequence).get("new").copied().unwrap_or(0);
        assert!(got.abs_diff(expected) <= 1, "{got} of 110, not {expected}");
    }
    world.mesh.kill("payments", "new");
    world.mesh.restart("payments", "new");
    let sequence = sequence(&world, 110).await;
    assert!(counts(&sequence)["new"] <= 11, "who was started again is new again");
}

#[tokio::test(start_paused = true)]
async fn a_subset_is_balanced_for_itself_by_its_own_policy() {
    let instances: Vec<_> = ["a", "b"].iter().map(|name| ("payments", *name, "v2")).collect();
    let mut world = World::new(&instances);
    world.add("payments", "old", "v1");
    let mut policy = balancer(LoadBalancer::Random);
    policy.virtual_hosts = common::policy(
        1,
        vec![common::rule(
            "v2",
            istio::policy::Action::Forward(vec![common::to("payments", Some("v2"), 1)]),
        )],
    )
    .virtual_hosts;
    let rule = policy.destinations.get_mut("payments").unwrap();
    rule.subsets[1].policy.load_balancer = LoadBalancer::RoundRobin;
    world.apply(policy);
    assert_eq!(sequence(&world, 4).await, ["a", "b", "a", "b"]);
}
