//! The circuit breaker through the whole stack under paused time: the shared vectors of its timing,
//! and what a breaker can be asked and told.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use futures::future::poll_immediate;
use istio::policy::{Share, TrafficPolicy};
use mesh::{
    BreakerParams, BreakerStatus, MeshError, Response,
    breaker::{
        Answer, BadForce, BreakerEdge, BreakerState, CallOutcome, FORCE_MAX, Forced, HISTORY_MAX,
        HistoryChange, PROBES_MAX, ProbeVerdict, SLOW_AFTER, WINDOW_CALLS,
    },
    fault::{FaultKind, FaultScope, FaultSpec},
};
use scripted::{Act, SEED, World, policy, policy_with, rule, transition};
use serde::Deserialize;
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default = "five")]
    failure_threshold: u32,
    #[serde(default = "a_minute")]
    open_for_ms: u64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    /// Milliseconds since the beginning.
    at: u64,
    call: Option<String>,
    /// Of a call that hangs, milliseconds.
    timeout: Option<u64>,
    /// Until the call is answered, milliseconds.
    #[serde(default)]
    takes: u64,
    /// The call goes on while the next steps happen.
    #[serde(default)]
    meanwhile: bool,
    force: Option<String>,
    #[serde(rename = "for")]
    ttl: Option<u64>,
    #[serde(default)]
    reset: bool,
    params: Option<Params>,
    state: String,
    failures: Option<u32>,
    until: Option<i64>,
}

#[derive(Deserialize)]
struct Params {
    failure_threshold: u32,
    open_for_ms: u64,
}

fn five() -> u32 {
    5
}

fn a_minute() -> u64 {
    60_000
}

fn params(failure_threshold: u32, open_for_ms: u64) -> BreakerParams {
    BreakerParams { failure_threshold, open_for: Duration::from_millis(open_for_ms) }
}

fn edge() -> BreakerEdge {
    BreakerEdge { caller: "orders".into(), destination: "payments".into(), subset: None }
}

fn world_with(params: BreakerParams) -> World {
    World::with(&[("payments", "payments-0", "v1")], params, SEED)
}

fn world() -> World {
    world_with(BreakerParams::default())
}

fn status(world: &World) -> BreakerStatus {
    world.mesh.breakers().remove(0)
}

async fn fail(world: &World, times: u32) {
    world.always("payments-0", Act::Status(500));
    for _ in 0..times {
        let _ = world.get().await;
    }
    world.always("payments-0", Act::Status(200));
}

#[tokio::test(start_paused = true)]
async fn every_vector_of_the_breaker_holds() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/breaker.json")).unwrap();
    assert!(vectors.cases.len() >= 10);
    for case in vectors.cases {
        let world = world_with(params(case.failure_threshold, case.open_for_ms));
        let began = Instant::now();
        let mut under_way = JoinSet::new();
        for (number, step) in (1..).zip(case.steps) {
            tokio::time::sleep_until(began + Duration::from_millis(step.at)).await;
            let place = format!("{}, step {number}", case.name);
            perform(&world, &step, &place, &mut under_way).await;
            let state = match step.state.as_str() {
                "closed" => BreakerState::Closed { failures: step.failures.unwrap() },
                "open" => BreakerState::Open { until_us: step.until.unwrap() * 1_000 },
                "half-open" => BreakerState::HalfOpen,
                other => panic!("{place}: {other} is no state a step can end in"),
            };
            assert_eq!(status(&world).state, state, "{place}");
        }
    }
}

/// Calls that go on while the steps after theirs happen.
type UnderWay = JoinSet<Result<Response, MeshError>>;

async fn call(world: &World, step: &Step, call: &str, place: &str, under_way: &mut UnderWay) {
    let answers = |status| match step.takes {
        0 => Act::Status(status),
        takes => Act::After(Duration::from_millis(takes), status),
    };
    world.always(
        "payments-0",
        match call {
            "ok" | "refused" => answers(200),
            "4xx" => answers(409),
            "fail" => answers(500),
            "hang" => Act::Hang,
            other => panic!("{place}: {other} is no call"),
        },
    );
    let timeout = Duration::from_millis(step.timeout.unwrap_or(5_000));
    let mut answer = Box::pin(world.caller().get("payments", "/").timeout(timeout).send());
    if step.meanwhile {
        assert!(poll_immediate(&mut answer).await.is_none(), "{place}: it is over");
        under_way.spawn(answer);
        return;
    }
    let answer = answer.await;
    let refused = matches!(answer, Err(MeshError::BreakerOpen { .. }));
    assert_eq!(refused, call == "refused", "{place}: {answer:?}");
}

async fn perform(world: &World, step: &Step, place: &str, under_way: &mut UnderWay) {
    let control = world.mesh.breaker_control();
    if let Some(what) = &step.call {
        call(world, step, what, place, under_way).await;
    }
    if let Some(force) = &step.force {
        let to = match force.as_str() {
            "open" => Forced::Open,
            "closed" => Forced::Closed,
            "disabled" => Forced::Disabled,
            other => panic!("{place}: {other} is no force"),
        };
        let ttl = Duration::from_millis(step.ttl.unwrap());
        assert_eq!(control.force(&edge(), to, ttl, "vector"), Ok(true), "{place}");
    }
    if step.reset {
        assert!(control.reset(&edge(), "vector"), "{place}");
    }
    if let Some(new) = &step.params {
        let new = params(new.failure_threshold, new.open_for_ms);
        assert!(control.set_params(&edge(), new, "vector"), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_shows_the_last_twenty_calls_and_those_before_it_opened() {
    let world = world();
    world.script("payments-0", |seen| match seen.number {
        1..=10 => Act::Status(200),
        11 => Act::After(SLOW_AFTER + Duration::from_millis(1), 200),
        _ => Act::Status(500),
    });
    for _ in 0..14 {
        let _ = world.get().await;
    }
    assert_eq!(status(&world).distance, Some(2));
    for _ in 0..2 {
        let _ = world.get().await;
    }
    let open = status(&world);
    assert_eq!(open.distance, None);
    let outcomes: Vec<_> = open.before_opening.iter().map(|call| call.outcome).collect();
    let mut expected = vec![CallOutcome::Ok; 10];
    expected.push(CallOutcome::Slow);
    expected.extend([CallOutcome::Failed; 5]);
    assert_eq!(outcomes, expected);
    assert_eq!(open.window[10].took, SLOW_AFTER + Duration::from_millis(1));
    world.mesh.breaker_control().reset(&edge(), "test");
    world.always("payments-0", Act::Status(200));
    for _ in 0..30 {
        let _ = world.get().await;
    }
    let closed = status(&world);
    assert_eq!((closed.window.len(), closed.before_opening.len()), (WINDOW_CALLS, 16));
}

#[tokio::test(start_paused = true)]
async fn the_probe_has_its_verdict_and_refused_calls_are_counted() {
    let world = world();
    fail(&world, 5).await;
    for _ in 0..3 {
        assert!(world.get().await.is_err());
    }
    assert_eq!((status(&world).refused, status(&world).refused_now), (3, 3));
    tokio::time::advance(MINUTE).await;
    fail(&world, 1).await;
    assert!(world.get().await.is_err());
    tokio::time::advance(MINUTE).await;
    world.always("payments-0", Act::Hang);
    let gone = tokio::time::timeout(Duration::from_secs(1), world.get()).await;
    assert!(gone.is_err());
    world.always("payments-0", Act::Status(200));
    assert_eq!(world.status().await, Ok(200));
    let status = status(&world);
    let verdicts: Vec<_> = status.probes.iter().map(|probe| probe.verdict).collect();
    use ProbeVerdict::{Abandoned, Failed, Passed};
    assert_eq!(verdicts, [Failed, Abandoned, Passed]);
    assert_eq!((status.refused, status.refused_now, status.opened), (4, 0, 3));
    let changes: Vec<_> = status
        .history
        .iter()
        .map(|entry| match entry.change {
            HistoryChange::State { from, to } => format!("{} {}", from.name(), to.name()),
            ref other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        changes,
        [
            "closed open",
            "open half-open",
            "half-open open",
            "open half-open",
            "half-open open",
            "open half-open",
            "half-open closed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_call_is_shown_and_the_verdict_of_the_probe_is_its_own() {
    let world = world_with(params(1, 1_000));
    world.always("payments-0", Act::Hang);
    let mut late = Box::pin(world.caller().get("payments", "/").timeout(3 * SECOND).send());
    assert!(poll_immediate(&mut late).await.is_none());
    fail(&world, 1).await;
    tokio::time::advance(SECOND).await;
    world.always("payments-0", Act::After(4 * SECOND, 200));
    let mut probe = Box::pin(world.get());
    assert!(poll_immediate(&mut probe).await.is_none());
    assert!(matches!(late.await, Err(MeshError::Deadline { .. })));
    let between = status(&world);
    assert_eq!(between.state, BreakerState::HalfOpen);
    assert_eq!(between.probes[0].verdict, ProbeVerdict::Pending);
    let shown: Vec<_> = between.window.iter().map(|call| call.outcome).collect();
    assert_eq!(shown, [CallOutcome::Failed; 2]);
    assert_eq!(probe.await.unwrap().status(), 200);
    let after = status(&world);
    assert_eq!(after.state, BreakerState::Closed { failures: 0 });
    assert_eq!(after.probes[0].verdict, ProbeVerdict::Passed);
    assert_eq!(after.opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_from_before_a_reset_that_is_given_up_lets_no_second_probe_out() {
    let world = world_with(params(1, 1_000));
    let mut probes = Vec::new();
    for _ in 0..2 {
        fail(&world, 1).await;
        tokio::time::advance(SECOND).await;
        world.always("payments-0", Act::Hang);
        let mut probe = Box::pin(world.get());
        assert!(poll_immediate(&mut probe).await.is_none());
        probes.push(probe);
        if probes.len() == 1 {
            world.mesh.breaker_control().reset(&edge(), "test");
        }
    }
    drop(probes.remove(0));
    assert_eq!(status(&world).state, BreakerState::HalfOpen);
    assert!(matches!(world.get().await, Err(MeshError::BreakerOpen { .. })));
    let verdicts: Vec<_> = status(&world).probes.iter().map(|probe| probe.verdict).collect();
    assert_eq!(verdicts, [ProbeVerdict::Abandoned, ProbeVerdict::Pending]);
    drop(probes);
    assert_eq!(status(&world).probes[1].verdict, ProbeVerdict::Abandoned);
}

#[tokio::test(start_paused = true)]
async fn a_force_needs_an_end_and_is_history_with_the_name_of_who_did_it() {
    let world = world();
    assert_eq!(world.status().await, Ok(200));
    let control = world.mesh.breaker_control();
    for ttl in [Duration::ZERO, FORCE_MAX + Duration::from_secs(1)] {
        assert_eq!(control.force(&edge(), Forced::Open, ttl, "ada"), Err(BadForce));
    }
    assert_eq!(control.force(&edge(), Forced::Open, MINUTE, "ada"), Ok(true));
    let refused = world.get().await.unwrap_err();
    let retry_after = MINUTE;
    assert_eq!(refused, MeshError::BreakerOpen { destination: "payments".into(), retry_after });
    assert!(control.unforce(&edge(), "ada"));
    assert!(!control.unforce(&edge(), "ada"), "there is nothing to lift");
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(control.force(&edge(), Forced::Closed, MINUTE, "bob"), Ok(true));
    tokio::time::advance(MINUTE).await;
    let history = status(&world).history;
    let by: Vec<_> = history.iter().map(|entry| entry.by.as_deref()).collect();
    assert_eq!(by, [Some("ada"), Some("ada"), Some("bob"), None]);
    assert_eq!(history[3].change, HistoryChange::Normal);
    assert_eq!(history[3].at_us, 120_000_000 - 60_000_000, "when the time was over");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_called_yet_has_no_breaker_to_be_told_anything() {
    let world = world();
    let control = world.mesh.breaker_control();
    assert_eq!(control.force(&edge(), Forced::Open, MINUTE, "ada"), Ok(false));
    assert!(!control.reset(&edge(), "ada"));
    assert!(!control.set_params(&edge(), BreakerParams::default(), "ada"));
    assert!(world.mesh.breakers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_way_on_which_nobody_asks_a_breaker_has_none_to_be_seen_or_forced() {
    let world = world();
    let control = world.mesh.breaker_control();
    let browser = BreakerEdge { caller: "browser".into(), ..edge() };
    assert!(scripted::outside(&world.mesh, "/", &[]).await.status().is_success());
    assert!(world.caller().look("payments", "/").send().await.is_ok());
    assert!(world.mesh.breakers().is_empty(), "{:?}", world.mesh.breakers());
    for edge in [edge(), browser] {
        assert_eq!(control.force(&edge, Forced::Open, MINUTE, "ada"), Ok(false), "{edge:?}");
        assert!(!control.reset(&edge, "ada"));
    }
    // The first call of the application itself asks one, which looks pass by from then on too.
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.mesh.breakers().len(), 1);
    assert_eq!(control.force(&edge(), Forced::Open, MINUTE, "ada"), Ok(true));
    assert!(world.get().await.is_err());
    assert!(world.caller().look("payments", "/").send().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_subset_has_a_breaker_of_its_own_that_goes_with_the_subset() {
    let world = World::with(
        &[("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")],
        BreakerParams::default(),
        SEED,
    );
    world.apply(policy(1, rule(Some("v1"))));
    assert_eq!(world.status().await, Ok(200));
    world.apply(policy(2, rule(Some("v2"))));
    world.always("payments-v2-0", Act::Status(500));
    for _ in 0..5 {
        let _ = world.get().await;
    }
    let states: Vec<_> = world
        .mesh
        .breakers()
        .iter()
        .map(|b| (b.subset.as_deref().unwrap().to_owned(), b.state.name()))
        .collect();
    assert_eq!(states, [("v1".to_owned(), "closed"), ("v2".to_owned(), "open")]);
    let mut without = policy_with(3, rule(None), TrafficPolicy::default());
    without.destinations.clear();
    world.apply(without);
    assert!(world.mesh.breakers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_breaker_remembers_is_bounded() {
    let world = world_with(params(1, 1));
    for _ in 0..HISTORY_MAX {
        fail(&world, 1).await;
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(world.status().await, Ok(200));
    }
    let status = status(&world);
    assert_eq!((status.history.len(), status.probes.len()), (HISTORY_MAX, PROBES_MAX));
    assert_eq!(status.opened, u64::try_from(HISTORY_MAX).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_transition_carries_the_trace_of_its_call() {
    let world = world_with(params(1, 1));
    let mut changes = world.mesh.changes();
    world.always("payments-0", Act::Status(500));
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    // Without telemetry the span layer leaves the header as it is.
    let call = world.caller().get("payments", "/").header("traceparent", parent);
    assert_eq!(call.send().await.unwrap().status(), 500);
    let opened = transition(&mut changes);
    assert_eq!(opened.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let window = &status(&world).window;
    assert_eq!(window[0].cause.trace_id, opened.trace_id);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_a_breaker_lets_calls_through_again_and_not_before() {
    let world = world_with(params(1, 1_000));
    let control = world.mesh.breaker_control();
    let mut healed = world.mesh.healed();
    let mut told = move || {
        let told = healed.has_changed().unwrap();
        healed.mark_unchanged();
        told
    };
    fail(&world, 1).await;
    assert!(!told(), "it opened");
    assert!(control.reset(&edge(), "ada"));
    assert!(told(), "it was reset");
    assert_eq!(control.force(&edge(), Forced::Open, MINUTE, "ada"), Ok(true));
    assert!(!told(), "it was forced open");
    assert!(control.unforce(&edge(), "ada"));
    assert!(told(), "the force was lifted");
    assert_eq!(control.force(&edge(), Forced::Closed, MINUTE, "ada"), Ok(true));
    assert!(told(), "it was forced closed");
    assert!(control.unforce(&edge(), "ada") && told());
    for (ttl, tells, what) in [
        (FORCE_MAX, false, "it was forced open for long"),
        (5 * SECOND, true, "the force got shorter"),
        (MINUTE, false, "the force got longer"),
        (5 * SECOND, true, "the force got shorter again"),
    ] {
        assert_eq!(control.force(&edge(), Forced::Open, ttl, "ada"), Ok(true));
        assert_eq!(told(), tells, "{what}");
    }
    tokio::time::advance(4 * SECOND).await;
    world.mesh.sweep();
    assert!(!told(), "the force goes on");
    tokio::time::advance(SECOND).await;
    world.mesh.sweep();
    assert!(told(), "the force ended by its time, although nobody called or looked");
    world.mesh.sweep();
    assert!(!told(), "it is over already");
    assert_eq!(control.force(&edge(), Forced::Disabled, SECOND, "ada"), Ok(true));
    assert!(told(), "it was disabled");
    tokio::time::advance(SECOND).await;
    world.mesh.sweep();
    assert!(!told(), "calls passed before");
    fail(&world, 1).await;
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert!(!told(), "it waits for a probe");
    assert_eq!(world.status().await, Ok(200));
    assert!(told(), "the probe passed");
    assert_eq!(world.status().await, Ok(200));
    assert!(!told(), "it was closed already");
}

/// Reads the body of an answer; whether all of it came.
async fn is_whole(answer: Response) -> bool {
    axum::body::to_bytes(answer.into_body(), 1_024).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn five_answers_whose_bodies_break_off_open_it() {
    let world = world();
    world.always("payments-0", Act::Json(r#"{"total":100}"#));
    let partial = FaultSpec {
        kind: FaultKind::PartialBody { after_bytes: 5 },
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: MINUTE,
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    let fault = world.mesh.faults().inject(partial).unwrap();
    for failures in 0..5 {
        let answer = world.get().await.unwrap();
        assert_eq!(answer.status(), 200);
        // Nothing is said of a call before it is over.
        assert_eq!(status(&world).state, BreakerState::Closed { failures });
        assert!(!is_whole(answer).await);
        let last = status(&world).window.pop().unwrap();
        assert_eq!(last.answer, Answer::Nothing("connection_reset"));
        assert_eq!((last.outcome, last.cause.faults), (CallOutcome::Failed, vec![fault]));
    }
    assert!(matches!(status(&world).state, BreakerState::Open { .. }));
    assert!(matches!(world.get().await, Err(MeshError::BreakerOpen { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_body_is_cut_at_the_deadline_opens_it_again() {
    let world = world();
    fail(&world, 5).await;
    tokio::time::advance(MINUTE).await;
    world.always("payments-0", Act::Stall("{"));
    let probe = || world.caller().get("payments", "/").timeout(SECOND).send();
    let cut = probe().await.unwrap();
    assert_eq!((cut.status().as_u16(), status(&world).state), (200, BreakerState::HalfOpen));
    assert!(!is_whole(cut).await);
    let open = status(&world);
    assert!(matches!(open.state, BreakerState::Open { .. }), "{:?}", open.state);
    assert_eq!(open.probes[0].verdict, ProbeVerdict::Failed);
    let last = open.window.last().unwrap();
    assert_eq!((last.answer, last.took), (Answer::Nothing(MeshError::TIMEOUT), SECOND));
    // Who has seen enough with the head says nothing against it.
    tokio::time::advance(MINUTE).await;
    let left = probe().await.unwrap();
    assert_eq!(status(&world).state, BreakerState::HalfOpen);
    drop(left);
    assert_eq!(status(&world).state, BreakerState::Closed { failures: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_body_that_came_to_its_end_ends_a_row_of_failures_however_late_it_is_read() {
    let world = world();
    fail(&world, 4).await;
    world.always("payments-0", Act::Json(r#"{"total":100}"#));
    let answer = world.caller().get("payments", "/").timeout(MINUTE).send().await.unwrap();
    tokio::time::advance(2 * SLOW_AFTER).await;
    assert!(is_whole(answer).await);
    let closed = status(&world);
    assert_eq!(closed.state, BreakerState::Closed { failures: 0 });
    let last = closed.window.last().unwrap();
    assert_eq!((last.outcome, last.took), (CallOutcome::Ok, Duration::ZERO));
}
