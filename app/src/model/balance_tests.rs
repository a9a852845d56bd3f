//! What is said of load balancing, and the geometry of the ring.

use super::*;
use contract::balance::{PolicyView, WarmupView};

fn instance(name: &str, configured: f64) -> InstanceView {
    let instance = name.to_owned();
    InstanceView { instance, configured, in_pool: true, warm: 1.0, ..InstanceView::default() }
}

fn hash(field: &str, name: &str, table: &str) -> HashView {
    HashView {
        field: field.into(),
        name: name.into(),
        table: table.into(),
        size_field: if table == "MAGLEV" { "tableSize" } else { "minimumRingSize" }.into(),
        size: 1_024,
        positions: 1_536,
    }
}

fn pool(policy: PolicyView) -> PoolView {
    let instances = vec![instance("a-1", 0.25), instance("a-2", 0.75)];
    PoolView { label: "v1".into(), policy, instances, ..PoolView::default() }
}

fn hashed_pool() -> PoolView {
    let name = "consistentHash".to_owned();
    let hash = Some(hash("httpHeaderName", "x-user-id", "RING_HASH"));
    pool(PolicyView { name, hash, ..PolicyView::default() })
}

#[test]
fn a_policy_is_said_in_the_words_it_is_written_in() {
    let simple = |name: &str, default| {
        pool(PolicyView { name: name.into(), default, ..PolicyView::default() })
    };
    let default = simple("LEAST_REQUEST", true);
    assert_eq!(fields(&default), ["simple: LEAST_REQUEST"]);
    assert!(policy_text(&default).starts_with("No policy is written: this is Istio's default."));
    assert!(!policy_text(&simple("LEAST_REQUEST", false)).contains("default"));
    let turns = policy_text(&simple("ROUND_ROBIN", false));
    assert!(turns.starts_with("One instance after the other"), "{turns}");
    let ring = hashed_pool();
    let written = ["consistentHash.httpHeaderName: x-user-id", "ringHash.minimumRingSize: 1024"];
    assert_eq!(fields(&ring), written);
    let text = policy_text(&ring);
    assert!(text.contains("header x-user-id") && text.contains("1\u{202f}536 points"), "{text}");
    assert!(text.contains("without that header go to any instance"), "{text}");
    let source = hash("useSourceIp", "", "MAGLEV");
    assert_eq!(
        hash_fields(&source),
        ["consistentHash.useSourceIp: true", "maglev.tableSize: 1024"]
    );
    assert!(hash_text(&source).contains("slots"));
    assert!(!hash_text(&source).contains("not decoded"));
    let query = hash("httpQueryParameterName", "user", "MAGLEV");
    assert!(hash_text(&query).contains("It is hashed as it is sent, not decoded."));
}

#[test]
fn a_policy_says_what_it_does_while_an_instance_is_new_and_what_its_share_means() {
    let warmup = WarmupView { duration_ms: 90_000, minimum_percent: 10.0, aggression: 1.0 };
    let told = |name: &str, warmup| {
        policy_text(&pool(PolicyView { name: name.into(), warmup, ..PolicyView::default() }))
    };
    let busy = told("LEAST_REQUEST", None);
    assert!(busy.ends_with("what each gets while all are equally busy."), "{busy}");
    let busy = told("LEAST_REQUEST", Some(warmup.clone()));
    assert!(busy.contains("While an instance is new, one is drawn at random instead"), "{busy}");
    assert!(!told("ROUND_ROBIN", None).contains("new"));
    let turns = told("ROUND_ROBIN", Some(warmup));
    assert!(turns.contains("While an instance is new, turns are shared out by weight"), "{turns}");
}

#[test]
fn a_warm_up_is_said_with_its_curve_only_where_it_is_no_line() {
    let mut warmup = WarmupView { duration_ms: 90_000, minimum_percent: 10.0, aggression: 1.0 };
    let told = |warmup: &WarmupView| {
        let name = "ROUND_ROBIN".to_owned();
        let warmup = Some(warmup.clone());
        fields(&pool(PolicyView { name, warmup, ..PolicyView::default() })).pop()
    };
    let line = "warmup: duration 90 s, minimumPercent 10";
    assert_eq!(told(&warmup).as_deref(), Some(line));
    warmup.aggression = 2.0;
    assert_eq!(told(&warmup), Some(format!("{line}, aggression 2")));
}

#[test]
fn what_moves_is_said_with_whose_keys_they_are() {
    let to = vec![("a-1".to_owned(), 0.2), ("a-3".to_owned(), 0.134)];
    let own = LeavingView { moved: 0.334, own: 0.334, needless: 0.0, to };
    let text = "If a-2 left, 33.4% of keys would move, all of them its own. They would go to a-1 \
                (20%), a-3 (13.4%).";
    assert_eq!(leaving_text("a-2", &own), text);
    let some = LeavingView { moved: 0.344, needless: 0.01, ..own.clone() };
    let text = leaving_text("a-2", &some);
    assert!(text.contains("34.4% of keys would move: 33.4% its own, 1% of instances"), "{text}");
    let none = LeavingView::default();
    assert!(leaving_text("a-2", &none).contains("no key would move"));
}

#[test]
fn a_key_that_goes_elsewhere_than_it_is_due_says_why() {
    let mut pool = hashed_pool();
    let here = |instance: &str, due: &str| KeyView {
        instance: Some(instance.into()),
        due: Some(due.into()),
        ..KeyView::default()
    };
    assert_eq!(key_text(&here("a-1", "a-1"), &pool, None), "goes to a-1.");
    let passed = key_text(&here("a-1", "a-2"), &pool, None);
    assert_eq!(passed, "goes to a-1, in place of a-2, which is ejected.");
    pool.instances[0].phase = InstancePhase::Killed;
    let killed = key_text(&here("a-1", "a-1"), &pool, None);
    assert!(killed.contains("It is killed, so the request fails and nothing takes it out"));
    pool.outlier = true;
    let killed = key_text(&here("a-1", "a-1"), &pool, None);
    assert!(killed.contains("until outlier detection ejects it"), "{killed}");
    let nobody = key_text(&KeyView::default(), &pool, None);
    assert!(nobody.contains("no instance is in the pool"));
}

#[test]
fn a_key_says_where_it_goes_after_one_has_left() {
    let pool = hashed_pool();
    let mut key = KeyView {
        instance: Some("a-1".into()),
        due: Some("a-1".into()),
        after: Some("a-2".into()),
        ..KeyView::default()
    };
    let text = key_text(&key, &pool, Some("a-1"));
    assert_eq!(text, "goes to a-1. After a-1 has left it goes to a-2.");
    key.after = Some("a-1".into());
    assert!(key_text(&key, &pool, Some("a-2")).ends_with("After a-2 has left it stays there."));
    key.after = None;
    assert!(key_text(&key, &pool, Some("a-2")).ends_with("nobody is there."));
}

#[test]
fn who_is_killed_is_still_picked_until_it_is_ejected() {
    let mut one = instance("a-1", 0.5);
    assert_eq!(standing(&one), ("in the pool", false));
    one.warm = 0.4;
    assert_eq!(standing(&one), ("in the pool, warming up", false));
    one.phase = InstancePhase::Killed;
    assert_eq!(standing(&one), ("killed, still picked", true));
    (one.ejected_until_us, one.in_pool) = (Some(7), false);
    assert_eq!(standing(&one), ("killed, ejected", true));
    one.phase = InstancePhase::Ready;
    assert_eq!(standing(&one), ("ejected", true));
    one.in_pool = true;
    assert_eq!(standing(&one), ("ejected, used all the same", true));
}

#[test]
fn a_pool_with_nothing_to_balance_says_so() {
    let mut pool = hashed_pool();
    assert_eq!(remark(&pool), None);
    pool.panic = true;
    assert!(remark(&pool).unwrap().contains("minHealthPercent"));
    (pool.panic, pool.untold) = (false, Some(Untold::Leaving));
    assert!(remark(&pool).unwrap().contains("what moves when an instance leaves"));
    pool.untold = Some(Untold::Shares);
    assert!(remark(&pool).unwrap().contains("even ones"));
    pool.instances.iter_mut().for_each(|one| one.in_pool = false);
    assert!(remark(&pool).unwrap().starts_with("All instances are ejected"));
    pool.instances.pop();
    assert_eq!(remark(&pool).unwrap(), "Nothing to balance: a-1 is the only instance.");
    pool.instances.clear();
    assert!(remark(&pool).unwrap().contains("503"));
}

#[test]
fn picks_are_said_with_those_that_had_no_key() {
    let mut pool = hashed_pool();
    assert_eq!(picks_text(&pool), "No request in the last 60 s.");
    for (picked, unkeyed, text) in [
        (1, 0, "1 pick in the last 60 s."),
        (9, 4, "9 picks in the last 60 s, 4 of them without the key."),
        (9, 9, "9 picks in the last 60 s, all without the key."),
    ] {
        (pool.picked, pool.unkeyed) = (picked, unkeyed);
        assert_eq!(picks_text(&pool), text);
    }
}

#[test]
fn why_others_lose_keys_is_said_where_they_do() {
    let mut pool = hashed_pool();
    let leaving = LeavingView { needless: 0.01, ..LeavingView::default() };
    assert!(needless_text(&pool, &leaving).unwrap().contains("minimumRingSize"));
    assert_eq!(needless_text(&pool, &LeavingView::default()), None);
    pool.policy.hash = Some(hash("useSourceIp", "", "MAGLEV"));
    assert!(needless_text(&pool, &leaving).unwrap().starts_with("Maglev"));
}

#[test]
fn a_ring_is_one_path_for_each_instance_and_a_whole_circle_is_two_halves() {
    let arc = |from, to, owner| ArcView { from, to, owner };
    let arcs = [arc(0, 250_000, 0), arc(250_000, 500_000, 1), arc(500_000, 1_000_000, 0)];
    let paths = super::paths(&arcs, 3, RING);
    let sectors: Vec<_> = paths.iter().map(|path| path.matches('Z').count()).collect();
    assert_eq!(sectors, [2, 1, 0]);
    // From three o'clock to six.
    assert!(paths[1].starts_with("M212.0 120.0A92 92 0 0 1 120.0 212.0L120.0 186.0A66"));
    let whole = super::paths(&[arc(0, RING_LENGTH, 0)], 1, RING);
    assert_eq!(whole[0].matches('Z').count(), 2, "{whole:?}");
    let gone = super::paths(&[arc(0, RING_LENGTH, 9)], 1, RING);
    assert_eq!(gone, [""], "of an instance that is not there nothing is drawn");
    let numbers: Vec<_> = labels(&[arc(0, 20_000, 0), arc(20_000, 500_000, 1)]);
    assert_eq!(numbers.iter().map(|label| label.2).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_ring_is_also_said_in_words() {
    let mut pool = hashed_pool();
    pool.instances[0].in_pool = false;
    let text = "a-1 (out of the pool) has 25% of the keys, a-2 has 75% of the keys";
    assert_eq!(ring_text(&pool), text);
}
