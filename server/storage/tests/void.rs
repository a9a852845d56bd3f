//! A payment nobody answered, over the real databases: when the saga gives up, and what a void
//! finds and leaves wherever the payment is.

#![expect(clippy::unwrap_used, reason = "without its world a test can only stop")]

use axum::{Router, body::Body};
use base::{Clock, IdSource, Supervisor, TraceContext};
use contract::{
    Money,
    order::Origin,
    service::{BANK_CUSTOMER, BANK_MERCHANT, ORDERS, PAYMENTS},
};
use http::{Request, StatusCode};
use mesh::{BreakerParams, Mesh};
use serde_json::{Value, json};
use shop::{
    bank::{self, CLEARING},
    bus,
    orders::{
        Attempt, MovePayment, NewOrder, OrderEvent, Orders, PAYMENT_PATIENCE, VoidPayment,
        decide::{self, Input, OrderRecord},
    },
    payments::{self, Payments, VOIDED},
};
use std::time::Duration;
use storage::{Durability, Stores};
use testkit::eventually;
use tower::ServiceExt;
use two_phase_commit::{Decision, Phase};

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const ORDER: &str = "ord-1";
const AUTHORIZE: &str = "payment.authorize:ord-1:2";
const PRICE: i64 = 1_850;

struct World {
    stores: Stores,
    supervisor: Supervisor,
    payments: Router,
    engine: Payments,
    folder: tempfile::TempDir,
}

/// What the customers' bank is.
enum Bank {
    Answers,
    Hangs,
}

async fn world(bank: Bank, runs: usize) -> World {
    world_in(tempfile::tempdir().unwrap(), Clock::system(), bank, runs).await
}

async fn world_in(folder: tempfile::TempDir, clock: Clock, bank: Bank, runs: usize) -> World {
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let customer = match bank {
        Bank::Answers => bank::router(stores.bank_customer.clone()),
        Bank::Hangs => Router::new().fallback(std::future::pending::<StatusCode>),
    };
    mesh.register(BANK_CUSTOMER, customer);
    mesh.register(BANK_MERCHANT, bank::router(stores.bank_merchant.clone()));
    let engine =
        Payments::new(stores.payments.clone(), mesh.caller(PAYMENTS), supervisor.clone(), clock)
            .with_runs(runs);
    let payments = payments::router(engine.clone());
    World { stores, supervisor, payments, engine, folder }
}

fn payment() -> MovePayment {
    let (user_id, amount) = ("c-1001".into(), Money::eur(PRICE));
    MovePayment { user_id, amount, method: contract::shop::PaymentMethod::Wallet, paid_by: None }
}

impl World {
    async fn message(&self, topic: &str, id: &str, body: Value) -> StatusCode {
        let delivery = Request::post("/messages")
            .header("ce-id", id)
            .header("ce-type", topic)
            .header("ce-source", ORDERS)
            .header("ce-subject", ORDER)
            .header("ce-vitrinerecordedus", "0")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.payments.clone().oneshot(delivery).await.unwrap().status()
    }

    /// Everything ends; the data stays.
    async fn stop(self) -> tempfile::TempDir {
        assert!(self.supervisor.shutdown(PATIENCE).await);
        self.stores.close().await;
        self.folder
    }

    async fn authorize(&self) -> StatusCode {
        self.message(bus::PAYMENT_AUTHORIZE, AUTHORIZE, json!(payment())).await
    }

    async fn void(&self, cause: u32) -> StatusCode {
        let body = VoidPayment { command: AUTHORIZE.into(), payment: payment() };
        self.message(bus::PAYMENT_VOID, &format!("payment.void:ord-1:{cause}"), json!(body)).await
    }

    /// Transactions of the order, each with its purpose and where it is.
    async fn transactions(&self) -> Vec<(String, Phase)> {
        let records = self.stores.payments.of_order(ORDER).await.unwrap();
        records.iter().map(|r| (r.transaction.purpose.clone(), r.phase().unwrap())).collect()
    }

    async fn settled(&self, wanted: &[(&str, Phase)]) {
        eventually(PATIENCE, "the transactions end", async || {
            let now = self.transactions().await;
            let now: Vec<_> =
                now.iter().map(|(purpose, phase)| (purpose.as_str(), *phase)).collect();
            (now == wanted).then_some(())
        })
        .await;
    }

    /// Topics that wait for orders, oldest first.
    async fn answers(&self) -> Vec<String> {
        let rows = self.stores.payments.outbox().after(0, &[], 100).await.unwrap();
        rows.into_iter().map(|row| row.message.topic).collect()
    }

    async fn moved(&self) -> i64 {
        let accounts = self.stores.bank_customer.accounts().await.unwrap();
        accounts.iter().find(|account| account.account_id == CLEARING).unwrap().balance
    }
}

#[tokio::test]
async fn a_payment_voided_before_it_was_asked_for_is_refused_when_it_is_asked_for_late() {
    let world = world(Bank::Answers, 8).await;
    assert_eq!(world.void(3).await, StatusCode::NO_CONTENT);
    assert_eq!(world.authorize().await, StatusCode::NO_CONTENT);
    assert_eq!(world.void(3).await, StatusCode::NO_CONTENT);
    world.supervisor.shutdown(PATIENCE).await;
    assert_eq!(world.transactions().await, [("payment".to_owned(), Phase::Aborted)]);
    assert_eq!(world.answers().await, [bus::PAYMENT_VOIDED]);
    assert_eq!((world.moved().await, world.stores.bank_customer.held().await.unwrap()), (0, 0));
}

#[tokio::test]
async fn a_payment_that_committed_is_refunded_by_its_void_once() {
    let world = world(Bank::Answers, 8).await;
    assert_eq!(world.authorize().await, StatusCode::NO_CONTENT);
    world.settled(&[("payment", Phase::Committed)]).await;
    assert_eq!(world.moved().await, PRICE);
    // A second void, as somebody who redrives it sends, finds the money on its way back.
    for cause in [3, 3, 5] {
        assert_eq!(world.void(cause).await, StatusCode::NO_CONTENT);
    }
    world.settled(&[("payment", Phase::Committed), ("refund", Phase::Committed)]).await;
    assert_eq!(world.answers().await, [bus::PAYMENT_AUTHORIZED, bus::PAYMENT_REFUNDED]);
    assert_eq!(world.moved().await, 0);
}

#[tokio::test]
async fn a_payment_that_is_under_way_is_aborted_by_its_void_and_the_run_obeys() {
    let world = world(Bank::Hangs, 8).await;
    assert_eq!(world.authorize().await, StatusCode::NO_CONTENT);
    world.settled(&[("payment", Phase::Preparing)]).await;
    assert_eq!(world.void(3).await, StatusCode::NO_CONTENT);
    assert_eq!(world.answers().await, [bus::PAYMENT_VOIDED]);
    // The run finds out when it has heard enough, and tells the bank that answers.
    eventually(PATIENCE, "the merchant's bank lets go", async || {
        let voted = world.stores.bank_merchant.held().await.unwrap() == 0;
        let log = world.stores.payments.of_order(ORDER).await.unwrap().pop()?.log;
        let heard = log.iter().any(|line| line.kind == two_phase_commit::EntryKind::VoteYes);
        (voted && heard).then_some(())
    })
    .await;
    let record = world.stores.payments.of_order(ORDER).await.unwrap().pop().unwrap();
    assert_eq!(record.phase(), Ok(Phase::Aborting), "the log tells nonsense: {:?}", record.log);
    let abort = Decision::Abort { voter: None, reason: VOIDED.to_owned(), grounds: None };
    assert_eq!((record.decision, world.answers().await.len()), (Some(abort), 1));
}

#[tokio::test]
async fn while_a_bank_hangs_no_more_payments_are_taken_than_there_is_room_for() {
    let world = world(Bank::Hangs, 2).await;
    let take = async |order: u32| {
        let id = format!("payment.authorize:ord-{order}:2");
        world.message(bus::PAYMENT_AUTHORIZE, &id, json!(payment())).await
    };
    // One order's payment has one id: the same again is no further run.
    assert_eq!((take(1).await, world.engine.under_way()), (StatusCode::NO_CONTENT, 1));
    assert_eq!((take(1).await, world.engine.under_way()), (StatusCode::NO_CONTENT, 1));
    let other = async |cause: u32| {
        let id = format!("payment.refund:ord-1:{cause}");
        world.message(bus::PAYMENT_REFUND, &id, json!(payment())).await
    };
    assert_eq!((other(7).await, world.engine.under_way()), (StatusCode::NO_CONTENT, 2));
    assert_eq!(other(8).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.transactions().await.len(), 2, "what was refused was begun all the same");
    // What was taken before needs none.
    assert_eq!((take(1).await, other(7).await), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    // A void needs room only for a refund, and what it voided before it came needs none.
    assert_eq!(world.void(3).await, StatusCode::NO_CONTENT);
    let unheard = VoidPayment { command: "payment.authorize:ord-1:9".into(), payment: payment() };
    let voided = world.message(bus::PAYMENT_VOID, "payment.void:ord-1:10", json!(unheard)).await;
    assert_eq!(voided, StatusCode::NO_CONTENT);
    let late = "payment.authorize:ord-1:9";
    let late = world.message(bus::PAYMENT_AUTHORIZE, late, json!(payment())).await;
    assert_eq!((late, world.engine.under_way()), (StatusCode::NO_CONTENT, 2));
    assert!(world.supervisor.shutdown(PATIENCE).await);
    assert_eq!(world.engine.under_way(), 0);
}

#[tokio::test]
async fn recovery_takes_up_all_that_is_unfinished_through_the_same_gate() {
    let world = world(Bank::Hangs, 200).await;
    for cause in 0..150 {
        let id = format!("payment.refund:ord-1:{cause}");
        let taken = world.message(bus::PAYMENT_REFUND, &id, json!(payment())).await;
        assert_eq!(taken, StatusCode::NO_CONTENT);
    }
    world.supervisor.shutdown(PATIENCE).await;

    let (supervisor, _ends) = Supervisor::new();
    let clock = Clock::system();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    mesh.register(BANK_CUSTOMER, bank::router(world.stores.bank_customer.clone()));
    mesh.register(BANK_MERCHANT, bank::router(world.stores.bank_merchant.clone()));
    let caller = mesh.caller(PAYMENTS);
    let again = Payments::new(world.stores.payments.clone(), caller, supervisor.clone(), clock);
    let again = again.with_runs(3);
    assert_eq!(again.recover().await.unwrap(), 150);
    eventually(PATIENCE, "all of them end", async || {
        assert!(again.under_way() <= 3);
        (world.stores.payments.unfinished_count().await.unwrap() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn recovery_takes_up_what_began_before_the_clock_was_set_back() {
    let began = Clock::tokio(1_700_000_000_000_000);
    let hour_us = 3_600_000_000;
    let set_back = Clock::tokio(began.now_us() - hour_us);
    let world = world_in(tempfile::tempdir().unwrap(), began, Bank::Hangs, 8).await;
    let refund = async |world: &World, cause: u32| {
        let id = format!("payment.refund:ord-1:{cause}");
        world.message(bus::PAYMENT_REFUND, &id, json!(payment())).await
    };
    assert_eq!(refund(&world, 7).await, StatusCode::NO_CONTENT);
    let folder = world.stop().await;

    let world = world_in(folder, set_back, Bank::Answers, 8).await;
    assert_eq!(world.engine.recover().await.unwrap(), 1);
    eventually(PATIENCE, "the refund ends", async || {
        (world.stores.payments.unfinished_count().await.unwrap() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn recovery_leaves_what_begins_meanwhile_to_who_began_it() {
    let world = world(Bank::Hangs, 8).await;
    let last = world.stores.payments.last_line().await.unwrap();
    assert_eq!(world.authorize().await, StatusCode::NO_CONTENT);
    let first = (i64::MIN, String::new());
    let of_before = world.stores.payments.unfinished(&first, last, 8).await.unwrap();
    assert!(of_before.is_empty(), "{of_before:?}");
    let last = world.stores.payments.last_line().await.unwrap();
    assert_eq!(world.stores.payments.unfinished(&first, last, 8).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_saga_gives_up_on_payments_when_its_patience_is_over_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::tokio(1_700_000_000_000_000);
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let ids = IdSource::seeded(1);
    let orders =
        Orders::new(stores.orders.clone(), mesh.caller(ORDERS), supervisor.clone(), ids, clock);
    stores.orders.place(new_order()).await.unwrap();
    let event = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
    let reserved = Attempt {
        order_id: ORDER.into(),
        message_id: None,
        expected: None,
        correlation_id: None,
        trace: TraceContext::default(),
        decide: Box::new(|record| decide::decide(record, Input::Done(decide::RESERVE, event))),
    };
    stores.orders.change(reserved).await.unwrap();
    supervisor.spawn("patience", orders.keep_patience(supervisor.stopping()));
    let advance = async |by: Duration| {
        tokio::time::pause();
        tokio::time::advance(by).await;
        tokio::time::resume();
    };
    let last = async || {
        let story = stores.orders.story(ORDER).await.unwrap().unwrap();
        event_sourcing::DomainEvent::name(&story.events.last().unwrap().event)
    };
    advance(PAYMENT_PATIENCE / 2).await;
    assert_eq!(
        (last().await, stores.orders.awaited(10).await.unwrap().len()),
        ("PaymentRequested", 1)
    );
    advance(PAYMENT_PATIENCE / 2).await;
    eventually(PATIENCE, "the timeout", async || {
        (last().await == "CompensationStarted").then_some(())
    })
    .await;
    assert_eq!(stores.orders.awaited(10).await.unwrap(), []);
    let outbox = stores.orders.outbox().after(0, &[], 10).await.unwrap();
    let void = &outbox.last().unwrap().message;
    assert_eq!(
        (void.topic.as_str(), void.correlation_id.as_deref()),
        (bus::PAYMENT_VOID, Some("cor-1"))
    );
    assert_eq!(void.read::<VoidPayment>().unwrap().command, AUTHORIZE);
    assert!(supervisor.shutdown(PATIENCE).await);
}

fn new_order() -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(PRICE));
    let payment_method = contract::shop::PaymentMethod::default();
    let (lines, origin) = (vec![], Origin::Api);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let record = OrderRecord { order_id: ORDER.into(), ..OrderRecord::default() };
    NewOrder {
        order_id: ORDER.into(),
        correlation_id: "cor-1".into(),
        trace: TraceContext::default(),
        key: None,
        change: decide::decide(&record, Input::Place(placed)).unwrap(),
    }
}
