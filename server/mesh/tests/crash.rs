//! A process that ends by a request: at which moment of it, and that it then is down.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::policy::Share;
use mesh::{
    MeshError,
    fault::{CrashAt, FaultEvent, FaultId, FaultKind, FaultScope, FaultSpec},
};
use scripted::{Act, World};
use std::time::Duration;

const PREPARE: &str = "/transactions/tx-1/prepare";

fn arm(world: &World, at: CrashAt) -> FaultId {
    let (destination, instance) = (Some("payments".into()), Some("payments-0".into()));
    let spec = FaultSpec {
        kind: FaultKind::Crash { request: "prepare", at },
        scope: FaultScope { destination, instance, ..FaultScope::default() },
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    world.mesh.faults().inject(spec).unwrap()
}

async fn get(world: &World, path: &str) -> Result<u16, MeshError> {
    let answer = world.caller().get("payments", path).send().await;
    answer.map(|answer| answer.status().as_u16())
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_at_the_chosen_moment_of_the_request_and_is_down_until_the_fault_ends() {
    for (at, reached, answered) in
        [(CrashAt::Request, 0, false), (CrashAt::Handled, 1, false), (CrashAt::Answered, 1, true)]
    {
        let world = World::payments();
        let mut events = world.mesh.faults().events();
        let id = arm(&world, at);
        assert!(matches!(events.try_recv(), Ok(FaultEvent::Began(_))));
        assert_eq!(get(&world, "/accounts").await, Ok(200), "another request ends nothing");
        assert_eq!(world.mesh.faults().get(id).unwrap().crashed_us, None);
        let prepared = get(&world, PREPARE).await;
        assert_eq!(prepared.is_ok(), answered, "{at:?}: {prepared:?}");
        assert_eq!(world.calls("payments-0"), 1 + reached, "{at:?}");
        assert!(matches!(events.try_recv(), Ok(FaultEvent::Crashed(status)) if status.id == id));
        for path in ["/accounts", PREPARE] {
            let error = get(&world, path).await.unwrap_err();
            assert!(matches!(error, MeshError::Connect { .. }), "{at:?} {path}: {error}");
        }
        assert_eq!(world.calls("payments-0"), 1 + reached, "{at:?}");
        assert!(events.try_recv().is_err(), "it ends once");
        assert!(world.mesh.faults().remove(id));
        assert_eq!(get(&world, PREPARE).await, Ok(200), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_done_ends_no_process() {
    let world = World::payments();
    world.always("payments-0", Act::Status(409));
    let id = arm(&world, CrashAt::Handled);
    assert_eq!(get(&world, PREPARE).await, Ok(409));
    assert_eq!(world.mesh.faults().get(id).unwrap().crashed_us, None);
}

#[tokio::test(start_paused = true)]
async fn only_one_of_many_answers_gets_out_of_a_process_that_ends_after_an_answer() {
    let world = World::payments();
    arm(&world, CrashAt::Answered);
    let asked = (0..4).map(|_| get(&world, PREPARE));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn all_of_the_answer_is_out_before_the_process_ends_that_ends_after_it() {
    let world = World::payments();
    let mut events = world.mesh.faults().events();
    let id = arm(&world, CrashAt::Answered);
    world.always("payments-0", Act::Text("yes"));
    let answer = world.caller().get("payments", PREPARE).send().await.unwrap();
    // Who follows the faults ends the instance before the answer is read.
    assert!(matches!(events.try_recv(), Ok(FaultEvent::Began(_))));
    assert!(matches!(events.try_recv(), Ok(FaultEvent::Crashed(status)) if status.id == id));
    assert!(world.mesh.kill("payments", "payments-0"));
    let body = axum::body::to_bytes(answer.into_body(), 1_024).await;
    assert_eq!(body.unwrap(), "yes");
}
