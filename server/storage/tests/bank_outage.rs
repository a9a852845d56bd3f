//! A bank that hangs while more orders are placed than payments has room for: over the real
//! databases, relays, bus and breakers, every order is given up while the bank is still away.

#![expect(clippy::unwrap_used, reason = "without its world a test can only stop")]

use axum::Router;
use base::{Clock, IdSource, Supervisor, TraceContext};
use contract::{
    Money,
    order::{OrderStatus, Origin},
    service::{BANK_CUSTOMER, BANK_MERCHANT, BUS, INVENTORY, ORDERS, PAYMENTS},
};
use http::StatusCode;
use mesh::{BreakerParams, Mesh, breaker::BreakerState};
use messaging::{EmbeddedBus, Relay, RelayStatus};
use shop::{
    bank, bus,
    bus::MeshDelivery,
    inventory,
    orders::{
        self, Attempt, NewOrder, OrderEvent, Orders, RowQuery,
        decide::{self, Input, OrderRecord},
    },
    payments::{self, Payments},
};
use std::{sync::Arc, time::Duration};
use storage::{Durability, Stores};
use testkit::eventually;

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(40);
/// Two-phase commits that payments has room for.
const RUNS: usize = 2;
/// Messages that a relay has under way in one lane.
const LANE: usize = 256;
/// More than run and wait in the lane.
const ORDER_COUNT: usize = LANE + 24;

struct World {
    stores: Stores,
    supervisor: Supervisor,
    mesh: Mesh,
    clock: Clock,
    orders: Orders,
    payments: Payments,
    /// Of the relays of orders, inventory and payments.
    relays: [RelayStatus; 3],
    _folder: tempfile::TempDir,
}

/// A shop whose customers' bank hangs. Nothing runs yet.
async fn world() -> World {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let (ids, caller) = (IdSource::seeded(1), mesh.caller(ORDERS));
    let orders = Orders::new(stores.orders.clone(), caller, supervisor.clone(), ids, clock.clone());
    let caller = mesh.caller(PAYMENTS);
    let payments =
        Payments::new(stores.payments.clone(), caller, supervisor.clone(), clock.clone())
            .with_runs(RUNS);
    mesh.register(ORDERS, orders::router(orders.clone()));
    mesh.register(PAYMENTS, payments::router(payments.clone()));
    mesh.register(INVENTORY, inventory::router(stores.inventory.clone()));
    mesh.register(BANK_CUSTOMER, Router::new().fallback(std::future::pending::<StatusCode>));
    mesh.register(BANK_MERCHANT, bank::router(stores.bank_merchant.clone()));
    let relays = Default::default();
    World { stores, supervisor, mesh, clock, orders, payments, relays, _folder: folder }
}

impl World {
    /// An order whose stock is reserved: its payment is asked for.
    async fn place(&self, number: usize) {
        self.stores.orders.place(new_order(&order_id(number))).await.unwrap();
        let event = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
        self.change(number, Input::Done(decide::RESERVE, event)).await;
    }

    async fn change(&self, number: usize, input: Input) {
        let attempt = Attempt {
            order_id: order_id(number),
            message_id: None,
            expected: None,
            correlation_id: None,
            trace: TraceContext::default(),
            decide: Box::new(|record| decide::decide(record, input)),
        };
        self.stores.orders.change(attempt).await.unwrap();
    }

    /// What the program keeps going.
    fn go(&self) {
        let stop = || self.supervisor.stopping();
        let delivery = Arc::new(MeshDelivery::new(self.mesh.clone(), self.clock.clone()));
        let bus = Arc::new(EmbeddedBus::new(shop::BINDINGS, delivery));
        let stores = &self.stores;
        let outboxes =
            [stores.orders.outbox(), stores.inventory.outbox(), stores.payments.outbox()];
        for (outbox, status) in outboxes.into_iter().zip(self.relays.clone()) {
            let relay = Relay { outbox, bus: bus.clone(), healed: self.mesh.healed(), status };
            self.supervisor.spawn("relay", relay.run(stop()));
        }
        self.supervisor.spawn("projection", self.orders.clone().keep_projection(stop()));
    }

    async fn count(&self, status: OrderStatus) -> usize {
        let query =
            RowQuery { status: Some(status), limit: 2 * ORDER_COUNT, ..RowQuery::default() };
        self.stores.orders.rows(query).await.unwrap().len()
    }
}

#[tokio::test]
async fn every_order_ends_while_a_bank_hangs_and_there_is_no_room_for_their_payments() {
    let world = world().await;
    for number in 0..ORDER_COUNT {
        world.place(number).await;
    }
    // What reserves their stock is not asked for it: the orders have it.
    let outbox = world.stores.orders.outbox();
    for row in outbox.after(0, &[bus::PAYMENT_AUTHORIZE], ORDER_COUNT).await.unwrap() {
        outbox.forget(row.sequence).await.unwrap();
    }
    world.go();
    eventually(PATIENCE, "payments has no room and says so", async || {
        let (running, [relay, ..]) = (world.payments.under_way(), &world.relays);
        (running == RUNS && relay.redelivered() as usize > LANE).then_some(())
    })
    .await;
    assert_eq!(world.count(OrderStatus::Cancelled).await, 0);
    // The patience with each of them is over.
    for number in 0..ORDER_COUNT {
        world.change(number, Input::PaymentTimedOut).await;
    }
    eventually(PATIENCE, "every order is given up", async || {
        (world.count(OrderStatus::Cancelled).await == ORDER_COUNT).then_some(())
    })
    .await;
    assert_eq!(world.payments.under_way(), RUNS, "the bank is still awaited");
    let of_bus = world.mesh.breakers().into_iter().filter(|breaker| *breaker.caller == *BUS);
    for breaker in of_bus {
        let closed = matches!(breaker.state, BreakerState::Closed { .. });
        assert!(closed && breaker.opened == 0, "to {}: {:?}", breaker.destination, breaker.state);
    }
    assert!(world.supervisor.shutdown(PATIENCE).await);
}

fn order_id(number: usize) -> String {
    format!("ord-{number}")
}

fn new_order(order_id: &str) -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let payment_method = contract::shop::PaymentMethod::default();
    let (lines, origin) = (vec![], Origin::Api);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let record = OrderRecord { order_id: order_id.into(), ..OrderRecord::default() };
    NewOrder {
        order_id: order_id.into(),
        correlation_id: format!("cor-{order_id}"),
        trace: TraceContext::default(),
        key: None,
        change: decide::decide(&record, Input::Place(placed)).unwrap(),
    }
}
