//! Faults of messages: drawn exactly, for their producer and consumer, and never for calls.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::policy::Share;
use mesh::fault::{EndReason, FaultId, FaultKind, FaultScope, FaultSpec, MessageFault};
use scripted::{SEED, World};
use std::time::Duration;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

fn inject(world: &World, fault: MessageFault, percent: u32, scope: FaultScope) -> FaultId {
    let kind = FaultKind::Message(fault);
    let (share, by) = (Share(percent * 10_000), "test".into());
    world
        .mesh
        .faults()
        .inject(FaultSpec { kind, scope, share, ttl: MINUTE, limit: None, like_istio: false, by })
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_percent_of_a_thousand_deliveries_is_a_hundred_and_calls_are_left_alone() {
    let world = World::payments();
    let id = inject(&world, MessageFault::Loss, 10, FaultScope::default());
    let deliveries =
        (0..1_000).map(|_| world.mesh.faults().on_delivery("orders", "payments", None));
    let lost = deliveries.filter(|delivery| delivery.lost() == Some(id)).count();
    assert_eq!(lost, 100, "seed {SEED}");
    for _ in 0..100 {
        assert_eq!(world.status().await, Ok(200));
    }
    let status = world.mesh.faults().get(id).unwrap();
    assert_eq!((status.matched, status.injected, status.held), (1_000, 100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_for_its_producer_and_its_consumer() {
    let world = World::payments();
    let scope = FaultScope {
        caller: Some("orders".into()),
        destination: Some("payments".into()),
        ..FaultScope::default()
    };
    let id = inject(&world, MessageFault::Duplication, 100, scope);
    let twice = |from, to| world.mesh.faults().on_delivery(from, to, Some("a trace")).twice();
    assert_eq!(twice("orders", "payments"), Some(id));
    assert_eq!(twice("inventory", "payments"), None);
    assert_eq!(twice("orders", "inventory"), None);
    let status = world.mesh.faults().get(id).unwrap();
    assert_eq!((status.matched, status.examples), (1, vec!["a trace".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_a_delivery_and_the_kill_switch_lets_it_go() {
    let world = World::payments();
    let delay = Duration::from_secs(5);
    let id = inject(&world, MessageFault::Delay(delay), 100, FaultScope::default());
    let began = Instant::now();
    let delivery = world.mesh.faults().on_delivery("orders", "payments", None);
    assert_eq!(delivery.ids(), [id]);
    delivery.hold().await;
    assert_eq!(began.elapsed(), delay);

    let again = world.mesh.faults().on_delivery("orders", "payments", None);
    let switch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.mesh.faults().end_all();
    };
    let began = Instant::now();
    tokio::join!(again.hold(), switch);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(world.mesh.faults().get(id).unwrap().ended.unwrap().1, EndReason::KillSwitch);
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_ended_while_a_delay_held_the_message_loses_nothing() {
    let world = World::payments();
    let loss = inject(&world, MessageFault::Loss, 100, FaultScope::default());
    let delivery = world.mesh.faults().on_delivery("orders", "payments", None);
    assert_eq!(delivery.lost(), Some(loss));
    world.mesh.faults().remove(loss);
    assert_eq!(delivery.lost(), None);
}
