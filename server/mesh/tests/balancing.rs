//! How calls are balanced, as it is told: against the calls themselves, over the real stack.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use common::{World, name, read, traffic};
use istio::policy::{HashKey, HashTable, LoadBalancer, Outlier, TrafficPolicy, Warmup};
use mesh::{LOOK_SLOTS_MAX, Phase, PoolBalance};
use std::{collections::BTreeMap, time::Duration};

const RING: HashTable = HashTable::Ring { minimum_size: 1_024 };
const MAGLEV: HashTable = HashTable::Maglev { size: 65_537 };

fn hashed(table: HashTable) -> TrafficPolicy {
    let key = HashKey::Header(name("x-user"));
    let load_balancer = LoadBalancer::ConsistentHash { key, table };
    TrafficPolicy { load_balancer, ..TrafficPolicy::default() }
}

fn simple(load_balancer: LoadBalancer) -> TrafficPolicy {
    TrafficPolicy { load_balancer, ..TrafficPolicy::default() }
}

/// The first error ejects, for ten minutes.
fn strict() -> Option<Outlier> {
    Some(Outlier {
        consecutive_5xx: 1,
        base_ejection: Duration::from_secs(600),
        max_ejection: Duration::from_secs(600),
        max_ejection_percent: 100,
        ..Outlier::default()
    })
}

fn seen(world: &World) -> PoolBalance {
    let pools = world.mesh.balance("payments").unwrap();
    pools.into_iter().find(|told| told.pool.subset.is_none()).unwrap()
}

fn whole(world: &World) -> PoolBalance {
    let mut told = seen(world);
    told.look(LOOK_SLOTS_MAX);
    told
}

fn configured(told: &PoolBalance) -> BTreeMap<String, f64> {
    let instances = told.instances.iter();
    instances.map(|one| (one.instance.to_string(), one.configured)).collect()
}

fn picked(told: &PoolBalance) -> Vec<u64> {
    told.instances.iter().map(|one| one.picked).collect()
}

async fn by_user(world: &World, user: &str) -> Option<String> {
    let call = world.caller().get("payments", "/").header("x-user", user);
    Some(read(call.send().await).await.ok()?.echo?.instance)
}

#[tokio::test(start_paused = true)]
async fn picks_are_counted_as_calls_are_made_and_forgotten_after_a_minute() {
    let world = World::payments(3);
    world.apply(traffic(1, simple(LoadBalancer::RoundRobin)));
    for _ in 0..9 {
        world.instance().await;
    }
    assert_eq!(picked(&whole(&world)), [3, 3, 3]);
    assert_eq!(configured(&whole(&world)).values().sum::<f64>(), 1.0);
    tokio::time::advance(Duration::from_secs(30)).await;
    world.instance().await;
    assert_eq!(picked(&whole(&world)).iter().sum::<u64>(), 10);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(picked(&whole(&world)).iter().sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn picks_go_on_through_a_change_of_instances_and_begin_anew_with_another_policy() {
    let mut world = World::payments(2);
    world.apply(traffic(1, simple(LoadBalancer::RoundRobin)));
    for _ in 0..4 {
        world.instance().await;
    }
    world.apply(traffic(2, simple(LoadBalancer::RoundRobin)));
    assert_eq!(picked(&whole(&world)), [2, 2], "the same policy");
    world.add("payments", "payments-2", "v1");
    assert_eq!(picked(&whole(&world)), [2, 2, 0]);
    world.mesh.remove_instance("payments", "payments-0");
    assert_eq!(picked(&whole(&world)), [2, 0]);
    world.apply(traffic(3, simple(LoadBalancer::Random)));
    assert_eq!(picked(&whole(&world)), [0, 0], "what was observed is not of this policy");
}

#[tokio::test(start_paused = true)]
async fn picks_of_requests_without_the_key_are_told_apart() {
    let world = World::payments(2);
    world.apply(traffic(1, hashed(RING)));
    for user in ["a", "b", "c"] {
        by_user(&world, user).await;
    }
    world.instance().await;
    let told = whole(&world);
    assert_eq!((picked(&told).iter().sum::<u64>(), told.unkeyed), (4, 1));
    world.apply(traffic(2, simple(LoadBalancer::Random)));
    world.instance().await;
    assert_eq!(whole(&world).unkeyed, 0, "under the new policy no key is asked for");
}

#[tokio::test(start_paused = true)]
async fn looking_at_the_shop_is_no_pick() {
    let world = World::payments(2);
    world.apply(traffic(1, simple(LoadBalancer::RoundRobin)));
    world.caller().look("payments", "/").send().await.unwrap();
    assert_eq!(picked(&whole(&world)), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn where_a_key_is_said_to_go_it_goes_now_while_one_is_ejected_and_after_one_has_left() {
    for table in [RING, MAGLEV] {
        let world = World::payments(4);
        world.apply(traffic(1, TrafficPolicy { outlier: strict(), ..hashed(table) }));
        let users: Vec<String> = (0..120).map(|user| format!("user-{user}")).collect();
        let told = whole(&world);
        let mut after = BTreeMap::new();
        for user in &users {
            let key = told.key(user, Some("payments-2")).unwrap();
            assert_eq!(by_user(&world, user).await.as_deref(), key.instance.as_deref(), "{user}");
            assert_eq!(key.instance, key.due);
            after.insert(user, key.after.unwrap());
        }
        // One error takes payments-1 out.
        world.set("payments-1", 500);
        for user in &users {
            by_user(&world, user).await;
        }
        let told = whole(&world);
        let out = told.instances.iter().find(|one| &*one.instance == "payments-1").unwrap();
        assert!(!out.in_pool && out.ejected_until_us.is_some() && out.configured == 0.0);
        for user in &users {
            let key = told.key(user, None).unwrap();
            assert_ne!(key.instance.as_deref(), Some("payments-1"));
            assert_eq!(by_user(&world, user).await.as_deref(), key.instance.as_deref(), "{user}");
        }
        world.set("payments-1", 200);
        tokio::time::advance(Duration::from_secs(700)).await;
        world.mesh.remove_instance("payments", "payments-2");
        for user in &users {
            let instance = by_user(&world, user).await.unwrap();
            assert_eq!(instance, *after[user], "{table:?} {user}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_shares_of_a_table_are_what_ten_thousand_keys_get_and_sum_to_one() {
    for table in [RING, HashTable::Maglev { size: 1_009 }] {
        let world = World::payments(3);
        world.apply(traffic(1, hashed(table)));
        let told = whole(&world);
        world.mesh.remove_instance("payments", "payments-0");
        let after = whole(&world);
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        let (mut moved, mut needless) = (0.0, 0.0);
        for user in 0..10_000 {
            let user = format!("user-{user}");
            let goes = |told: &PoolBalance| told.key(&user, None).unwrap().instance.unwrap();
            let (is, then) = (goes(&told), goes(&after));
            *counts.entry(is.to_string()).or_default() += 1e-4;
            if is != then {
                moved += 1e-4;
                needless += if &*is == "payments-0" { 0.0 } else { 1e-4 };
            }
        }
        let shares = configured(&told);
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9);
        for (name, share) in &shares {
            assert!((share - counts[name]).abs() < 0.02, "{table:?} {name}: {share}, {counts:?}");
        }
        let leaving = told.instances[0].leaving.as_ref().unwrap();
        assert!((leaving.moved - moved).abs() < 0.02, "{table:?}: {leaving:?}, counted {moved}");
        assert!((leaving.needless - needless).abs() < 0.005, "{leaving:?}, counted {needless}");
        assert_eq!(leaving.needless == 0.0, table == RING, "of a ring nothing moves needlessly");
        assert!((leaving.own - told.instances[0].configured).abs() < 1e-12);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_killed_is_told_as_picked_until_it_is_ejected() {
    let world = World::payments(2);
    world.apply(traffic(1, TrafficPolicy { outlier: strict(), ..hashed(RING) }));
    let user = (0..).map(|user| format!("user-{user}"));
    let user = user.into_iter().find(|user| {
        whole(&world).key(user, None).unwrap().instance.as_deref() == Some("payments-1")
    });
    let user = user.unwrap();
    world.mesh.kill("payments", "payments-1");
    let killed = &whole(&world).instances[1];
    assert_eq!((killed.phase, killed.in_pool), (Phase::Killed, true));
    // The first try finds no connection, which ejects it; the retry goes by the key again.
    assert_eq!(by_user(&world, &user).await.as_deref(), Some("payments-0"));
    assert_eq!(picked(&whole(&world)), [1, 1]);
    let told = whole(&world);
    let killed = &told.instances[1];
    assert_eq!((killed.phase, killed.in_pool), (Phase::Killed, false));
    assert_eq!(configured(&told)["payments-0"], 1.0);
    assert_eq!(told.key(&user, None).unwrap().instance.as_deref(), Some("payments-0"));
    assert_eq!(by_user(&world, &user).await.as_deref(), Some("payments-0"));
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_is_told_with_the_weight_it_is_picked_by() {
    let mut world = World::payments(1);
    let warmup =
        Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
    let policy = TrafficPolicy { warmup: Some(warmup), ..simple(LoadBalancer::RoundRobin) };
    world.apply(traffic(1, policy));
    tokio::time::advance(Duration::from_secs(1_000)).await;
    world.add("payments", "payments-1", "v1");
    for (seconds, weight) in [(0, 0.1), (50, 0.5), (50, 1.0)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let told = whole(&world);
        assert!((told.instances[1].warm - weight).abs() < 1e-9, "{:?}", told.instances[1]);
        let share = weight / (1.0 + weight);
        assert!((told.instances[1].configured - share).abs() < 1e-9, "{:?}", told.instances[1]);
    }
    // A consistent hash does not go by weights, and does not say so.
    world.add("payments", "payments-2", "v1");
    world.apply(traffic(2, TrafficPolicy { warmup: Some(warmup), ..hashed(RING) }));
    let told = whole(&world);
    assert!(told.warmup.is_none() && told.instances.iter().all(|one| one.warm == 1.0));
}

#[tokio::test(start_paused = true)]
async fn of_one_instance_nothing_is_worked_out_and_of_none_nothing_is_told() {
    let world = World::payments(1);
    world.apply(traffic(1, hashed(MAGLEV)));
    let told = whole(&world);
    assert_eq!((told.instances[0].configured, &told.instances[0].leaving), (1.0, &None));
    assert!(told.moves("payments-0").is_none());
    let key = told.key("anything", Some("payments-0")).unwrap();
    assert_eq!((key.instance.as_deref(), key.after), (Some("payments-0"), None));
    world.mesh.remove_instance("payments", "payments-0");
    let told = whole(&world);
    assert!(told.instances.is_empty() && told.arcs().is_empty());
    assert!(told.key("anything", None).is_none());
}

#[tokio::test(start_paused = true)]
async fn of_tables_that_are_too_large_only_as_much_is_told_as_was_worked_out() {
    let world = World::payments(3);
    world.apply(traffic(1, hashed(MAGLEV)));
    let (table, all) = (65_537, 65_537 * 4);
    for (slots_max, took) in [(table - 1, 0), (table, table), (all - 1, table), (all, all)] {
        let mut told = seen(&world);
        assert_eq!(told.look(slots_max), took);
        assert_eq!((told.shares_told(), told.leaving_told()), (took > 0, took == all));
        assert_eq!(told.positions(), Some(table));
        assert_eq!(told.arcs().is_empty(), took == 0);
        assert!((configured(&told).values().sum::<f64>() - 1.0).abs() < 1e-9);
        let leaving = told.instances.iter().map(|one| one.leaving.is_some());
        assert!(leaving.eq([took == all; 3]), "{slots_max}");
        assert_eq!(told.moves("payments-1").is_some(), took == all, "{slots_max}");
        let key = told.key("alice", Some("payments-1"));
        assert_eq!(key.is_some(), took > 0, "{slots_max}");
        assert_eq!(key.and_then(|key| key.after).is_some(), took == all, "{slots_max}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_panic_who_is_ejected_is_told_as_ejected_and_used_all_the_same() {
    let world = World::payments(2);
    let outlier = strict().map(|strict| Outlier { min_health_percent: 60, ..strict });
    world.apply(traffic(1, TrafficPolicy { outlier, ..simple(LoadBalancer::RoundRobin) }));
    assert!(whole(&world).outlier && !whole(&world).panic);
    world.set("payments-1", 500);
    for _ in 0..2 {
        world.instance().await;
    }
    let told = whole(&world);
    assert!(told.panic);
    let ejected = told.instances.iter().map(|one| one.ejected_until_us.is_some());
    assert!(ejected.eq([false, true]), "{told:?}");
    assert!(told.instances.iter().all(|one| one.in_pool && one.configured == 0.5));
    world.apply(traffic(2, simple(LoadBalancer::RoundRobin)));
    let told = whole(&world);
    assert!(!told.outlier && !told.panic, "without detection nobody is ejected");
    assert!(told.instances.iter().all(|one| one.ejected_until_us.is_none()));
}
