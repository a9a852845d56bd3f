//! A message that a fault lost, over the real outbox: what lost it is told also when it arrives
//! after a restart, at which nothing but the database is left.

#![expect(clippy::unwrap_used, reason = "without its world a test can only stop")]

use axum::Router;
use base::{Clock, Supervisor, TraceContext};
use contract::{
    Money,
    order::Origin,
    service::{INVENTORY, ORDERS},
};
use http::{HeaderMap, StatusCode};
use mesh::{
    BreakerParams, Mesh, baggage,
    fault::{FaultId, FaultKind, FaultScope, FaultSpec, MessageFault},
};
use messaging::{EmbeddedBus, Relay, RelayStatus};
use shop::{
    bus::MeshDelivery,
    orders::{
        NewOrder, OrderEvent,
        decide::{self, Input, OrderRecord},
    },
};
use std::{path::Path, sync::Arc, time::Duration};
use storage::{Durability, Stores};
use testkit::eventually;
use tokio::sync::mpsc;

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program over a data folder: a relay of orders' messages, and an inventory that tells which
/// faults the messages that reach it have met.
struct Run {
    stores: Stores,
    mesh: Mesh,
    supervisor: Supervisor,
    status: RelayStatus,
    taken: mpsc::Receiver<Vec<FaultId>>,
}

async fn start(folder: &Path) -> Run {
    let clock = Clock::system();
    let stores = storage::open(folder, Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let (tell, taken) = mpsc::channel(1);
    let inventory = move |headers: HeaderMap| async move {
        tell.send(baggage::fault_ids(&headers)).await.unwrap();
        StatusCode::NO_CONTENT
    };
    mesh.register(INVENTORY, Router::new().fallback(inventory));
    let status = RelayStatus::default();
    Run { stores, mesh, supervisor, status, taken }
}

impl Run {
    fn relay(&self) {
        let delivery = Arc::new(MeshDelivery::new(self.mesh.clone(), Clock::system()));
        let bus = Arc::new(EmbeddedBus::new(shop::BINDINGS, delivery));
        let (outbox, status) = (self.stores.orders.outbox(), self.status.clone());
        let relay = Relay { outbox, bus, healed: self.mesh.healed(), status };
        self.supervisor.spawn("relay", relay.run(self.supervisor.stopping()));
    }

    fn lose_messages(&self) -> FaultId {
        let spec = FaultSpec {
            kind: FaultKind::Message(MessageFault::Loss),
            scope: FaultScope { caller: Some(ORDERS.into()), ..FaultScope::default() },
            share: istio::policy::Share::ALL,
            ttl: Duration::from_secs(600),
            limit: None,
            like_istio: false,
            by: "test".into(),
        };
        self.mesh.faults().inject(spec).unwrap()
    }

    async fn stop(self) {
        assert!(self.supervisor.shutdown(PATIENCE).await);
        self.stores.close().await;
    }
}

fn new_order() -> NewOrder {
    let event = OrderEvent::OrderPlaced {
        user_id: "c-1001".into(),
        lines: Vec::new(),
        total: Money::eur(100),
        origin: Origin::Api,
        payment_method: contract::shop::PaymentMethod::Wallet,
    };
    let nothing = OrderRecord { order_id: "ord-1".into(), ..OrderRecord::default() };
    NewOrder {
        order_id: "ord-1".into(),
        correlation_id: "c-1".into(),
        trace: TraceContext::default(),
        key: None,
        change: decide::decide(&nothing, Input::Place(event)).unwrap(),
    }
}

#[tokio::test]
async fn a_message_that_arrives_after_a_restart_still_tells_which_fault_lost_it() {
    let folder = tempfile::tempdir().unwrap();
    let before = start(folder.path()).await;
    let fault = before.lose_messages();
    before.stores.orders.place(new_order()).await.unwrap();
    before.relay();
    eventually(PATIENCE, "a message to be lost", async || {
        (before.status.redelivered() >= 2).then_some(())
    })
    .await;
    before.stop().await;

    let mut after = start(folder.path()).await;
    after.relay();
    let met = tokio::time::timeout(PATIENCE, after.taken.recv()).await.unwrap().unwrap();
    assert_eq!(met, [fault]);
    after.stop().await;
}
