//! Thresholds tried on recorded calls: under paused time, with the thresholds in force, the record
//! gives back exactly what happened, whatever was called, cut, given up, forced and reset.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use base::IdSource;
use futures::future::poll_immediate;
use mesh::{
    BreakerParams,
    breaker::{BreakerEdge, BreakerState, Forced, HISTORY_MAX, HistoryChange, WhatIf},
};
use scripted::{Act, SEED, World};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// Histories tried: each is a random mix of calls and of what is done to the breaker meanwhile.
const RUNS: u64 = 60;

fn edge() -> BreakerEdge {
    BreakerEdge { caller: "orders".into(), destination: "payments".into(), subset: None }
}

fn millis(dice: &IdSource, below: u64) -> Duration {
    Duration::from_millis(dice.below(below))
}

/// One call that is answered at some time, or never; it may still be under way afterwards.
async fn call(world: &World, dice: &IdSource, under_way: &mut JoinSet<()>) -> Option<AbortHandle> {
    let status = if dice.below(5) < 3 { 503 } else { 200 };
    world.always(
        "payments-0",
        match dice.below(4) {
            0 => Act::After(millis(dice, 4_000), status),
            1 => Act::Hang,
            _ => Act::Status(status),
        },
    );
    let timeout = Duration::from_millis(100) + millis(dice, 3_000);
    let call = world.caller().get("payments", "/").timeout(timeout).send();
    let mut call = Box::pin(async move { drop(call.await) });
    if poll_immediate(&mut call).await.is_some() {
        return None;
    }
    Some(under_way.spawn(call))
}

fn meddle(world: &World, dice: &IdSource) {
    let control = world.mesh.breaker_control();
    let forces = [Forced::Open, Forced::Closed, Forced::Disabled];
    match dice.below(200) {
        0 => assert!(control.reset(&edge(), "somebody")),
        at @ 1..=3 => {
            let ttl = Duration::from_millis(500) + millis(dice, 2_000);
            let to = forces[usize::try_from(at).unwrap() - 1];
            assert_eq!(control.force(&edge(), to, ttl, "somebody"), Ok(true));
        }
        4 => drop(control.unforce(&edge(), "somebody")),
        _ => {}
    }
}

/// A world in which much happened, with its parameters. Nobody holds the breaker if not `by_hand`.
async fn eventful(seed: u64, calls: u64, by_hand: bool) -> (World, BreakerParams) {
    let dice = IdSource::seeded(seed);
    let params = BreakerParams {
        failure_threshold: u32::try_from(1 + dice.below(4)).unwrap(),
        open_for: Duration::from_millis(6_000) + millis(&dice, 4_000),
    };
    let world = World::with(&[("payments", "payments-0", "v1")], params, SEED);
    let (mut under_way, mut handles) = (JoinSet::new(), Vec::new());
    for number in 0..calls {
        handles.extend(call(&world, &dice, &mut under_way).await);
        if !handles.is_empty() && dice.below(6) == 0 {
            // Its caller goes away.
            let at = usize::try_from(dice.below(handles.len() as u64)).unwrap();
            handles.swap_remove(at).abort();
        }
        if by_hand && number > 0 {
            meddle(&world, &dice);
        }
        tokio::time::sleep(millis(&dice, 500)).await;
    }
    while under_way.join_next().await.is_some() {}
    (world, params)
}

type Seen = (i64, BreakerState, BreakerState);

/// What the state machine did since a moment, as the breaker's own history tells it.
fn happened(world: &World, since_us: i64) -> Vec<Seen> {
    let history = world.mesh.breakers().remove(0).history;
    assert!(history.len() < HISTORY_MAX || history[0].at_us < since_us, "too long to compare");
    let since = history.into_iter().filter(|entry| entry.at_us >= since_us);
    let turns = since.filter_map(|entry| match entry.change {
        HistoryChange::State { from, to } => Some((entry.at_us, from, to)),
        _ => None,
    });
    turns.collect()
}

fn tried(world: &World, params: &BreakerParams) -> WhatIf {
    world.mesh.breaker_control().what_if(&edge(), params).unwrap()
}

fn turns(outcome: &WhatIf) -> Vec<Seen> {
    outcome.turns.iter().map(|turn| (turn.at_us, turn.from, turn.to)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_thresholds_in_force_give_what_happened_also_from_the_middle_of_it() {
    let (mut compared, mut from_the_middle) = (0, 0);
    for seed in 0..RUNS {
        // Some of them last longer than a record.
        let (world, params) = eventful(seed, 60 + 8 * seed, true).await;
        let outcome = tried(&world, &params);
        let since_us = outcome.since_us.unwrap();
        assert_eq!(turns(&outcome), happened(&world, since_us), "seed {seed}");
        compared += outcome.turns.len();
        from_the_middle += usize::from(since_us > 0);
    }
    assert!(compared > 200, "{compared} changes of state were compared");
    assert!(from_the_middle > 20, "{from_the_middle} records began in the middle");
}

#[tokio::test(start_paused = true)]
async fn the_thresholds_in_force_refuse_what_was_refused() {
    let mut refused = 0;
    for seed in 0..RUNS {
        let (world, params) = eventful(seed, 100, false).await;
        let (outcome, status) = (tried(&world, &params), world.mesh.breakers().remove(0));
        assert_eq!((outcome.since_us, outcome.calls), (Some(0), 100), "seed {seed}");
        assert_eq!((outcome.refused, outcome.unknown), (status.refused, 0), "seed {seed}");
        assert_eq!(outcome.openings().count() as u64, status.opened, "seed {seed}");
        refused += outcome.refused;
    }
    assert!(refused > 300, "{refused} calls were refused");
}

#[tokio::test(start_paused = true)]
async fn looser_thresholds_say_of_how_many_calls_nobody_knows_the_outcome() {
    let params = BreakerParams { failure_threshold: 2, open_for: Duration::from_secs(20) };
    let world = World::with(&[("payments", "payments-0", "v1")], params, SEED);
    world.always("payments-0", Act::Status(500));
    for _ in 0..7 {
        let _ = world.get().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let in_force = tried(&world, &params);
    assert_eq!((in_force.calls, in_force.refused, in_force.unknown), (7, 5, 0));
    let looser = tried(&world, &BreakerParams { failure_threshold: 5, ..params });
    assert_eq!((looser.openings().count(), looser.refused, looser.unknown), (0, 0, 5));
    let tighter = tried(&world, &BreakerParams { failure_threshold: 1, ..params });
    let opened: Vec<_> = tighter.openings().map(|turn| turn.at_us).collect();
    assert_eq!((opened, tighter.refused, tighter.unknown), (vec![0], 6, 0));
    // What is gone from the record is nothing to try on.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(tried(&world, &params), WhatIf::default());
}
