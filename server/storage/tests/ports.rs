//! What the shop relies on when it uses its ports, shown on real databases.

#![expect(clippy::unwrap_used, reason = "without its world a test can only stop")]

use axum::body::Body;
use base::{Clock, IdSource, Supervisor, TraceContext};
use contract::{Money, order::Origin};
use futures::FutureExt;
use mesh::{BreakerParams, Mesh};
use messaging::Message;
use shop::bank::{self, BankWork, DoubtMark};
use shop::key::Commanded;
use shop::orders::{
    Attempt, Changed, NewOrder, OrderEvent, Orders,
    decide::{self, Input, OrderRecord},
};
use shop::payments::{self, Begun, Payments, answer};
use shop::provider::{Asked, Kind};
use shop::store::{Keep, Open};
use std::time::Duration;
use storage::{Durability, Stores};
use testkit::eventually;
use tower::ServiceExt;
use two_phase_commit::{Branch, Decision, Entry, EntryKind, Transaction, Vote};

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    stores: Stores,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    World { stores, _folder: folder }
}

fn new_order(order_id: &str) -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let payment_method = contract::shop::PaymentMethod::default();
    let (lines, origin) = (vec![], Origin::Api);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let record = OrderRecord { order_id: order_id.into(), ..OrderRecord::default() };
    NewOrder {
        order_id: order_id.into(),
        correlation_id: "cor-1".into(),
        trace: TraceContext::default(),
        key: None,
        change: decide::decide(&record, Input::Place(placed)).unwrap(),
    }
}

fn message(id: &str, topic: &str) -> Message {
    Message {
        id: id.into(),
        topic: topic.into(),
        source: "orders".into(),
        key: "ord-1".into(),
        correlation_id: Some("cor-1".into()),
        trace: TraceContext::default(),
        recorded_us: 0,
        body: serde_json::json!({ "user_id": "c-1001", "amount": Money::eur(1_850) }),
    }
}

#[tokio::test]
async fn a_payment_begun_by_a_delivery_that_was_given_up_is_run_all_the_same() {
    let World { stores, _folder } = world().await;
    let clock = Clock::system();
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let payments =
        Payments::new(stores.payments.clone(), mesh.caller("payments"), supervisor.clone(), clock);
    let command = message("payment.authorize:ord-1:1", "payment.authorize");
    let delivery = http::Request::post("/messages")
        .header("ce-id", &command.id)
        .header("ce-type", &command.topic)
        .header("ce-source", &command.source)
        .header("ce-subject", &command.key)
        .header("ce-vitrinerecordedus", "0")
        .body(Body::from(command.body.to_string()))
        .unwrap();
    // Given up as soon as the database was asked to begin.
    let answer = payments::router(payments).oneshot(delivery).now_or_never();
    assert!(answer.is_none(), "it was answered before it was durable");
    eventually(PATIENCE, "a decision", async || {
        stores.payments.of_order("ord-1").await.unwrap().pop()?.decision
    })
    .await;
    supervisor.shutdown(PATIENCE).await;
}

fn transaction(id: &str) -> Transaction {
    let work = serde_json::Value::Null;
    Transaction {
        id: id.into(),
        purpose: "payment".into(),
        key: "ord-1".into(),
        correlation_id: Some("cor-1".into()),
        trace: TraceContext::default(),
        branches: vec![Branch { participant: "bank-customer".into(), work }],
    }
}

#[tokio::test]
async fn the_first_decision_of_a_transaction_stands_and_every_run_is_told_so() {
    let World { stores, _folder } = world().await;
    let (payments, tx) = (&stores.payments, transaction("tx-1"));
    let command = message("payment.authorize:ord-1:1", "payment.authorize");
    let begun = payments.begin(&command, &tx, "c-1001", Money::eur(1_850), true).await.unwrap();
    assert_eq!(begun, Begun::Now);
    let line = |kind| [Entry { at_us: 1, kind, participant: None, detail: None }];
    let abort = Decision::Abort { voter: None, reason: "no vote".into(), grounds: None };
    for (decision, kind) in
        [(Decision::Commit, EntryKind::DecideCommit), (abort, EntryKind::DecideAbort)]
    {
        let answer = answer(&tx, &decision);
        let stands = payments.decide(&tx, &decision, &line(kind), answer).await.unwrap();
        assert_eq!(stands, Decision::Commit);
    }
    let known = payments.transaction("tx-1").await.unwrap().unwrap();
    assert_eq!(known.decision, Some(Decision::Commit));
    let kinds: Vec<_> = known.log.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [EntryKind::Begin, EntryKind::DecideCommit]);
    let answers = payments.outbox().after(0, &[], 10).await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].message.topic, "payment.authorized");
}

#[tokio::test]
async fn a_bank_in_doubt_that_is_told_the_outcome_is_a_recovery_once() {
    let World { stores, _folder } = world().await;
    let (supervisor, _ends) = Supervisor::new();
    let clock = Clock::system();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let engine =
        Payments::new(stores.payments.clone(), mesh.caller("payments"), supervisor.clone(), clock);
    let mut recoveries = engine.recoveries();
    // The bank asks whichever version takes its call.
    let routers = [engine.next_version(mesh.caller("payments")), engine].map(payments::router);
    let ask = async |at: usize| {
        let path = "/transactions/tx-1/outcome?participant=bank-merchant";
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        routers[at].clone().oneshot(request).await.unwrap().status()
    };
    let tx = transaction("tx-1");
    let command = message("payment.authorize:ord-1:1", "payment.authorize");
    stores.payments.begin(&command, &tx, "c-1001", Money::eur(1_850), true).await.unwrap();
    // Given a transaction that is not decided, asking is no recovery.
    assert_eq!(ask(0).await, http::StatusCode::OK);
    assert!(recoveries.try_recv().is_err());
    // When it is decided and the bank asks again and again,
    let abort = Decision::Abort { voter: None, reason: "no vote".into(), grounds: None };
    let line = [Entry { at_us: 1, kind: EntryKind::DecideAbort, participant: None, detail: None }];
    stores.payments.decide(&tx, &abort, &line, answer(&tx, &abort)).await.unwrap();
    for at in [0, 1, 0] {
        assert_eq!(ask(at).await, http::StatusCode::OK);
    }
    // then it is told once, with the bank, the order and the outcome.
    let told = recoveries.try_recv().unwrap();
    assert_eq!(
        (told.participant.as_str(), told.transaction_id.as_str()),
        ("bank-merchant", "tx-1")
    );
    assert_eq!((told.order_id.as_str(), told.committed), ("ord-1", false));
    assert!(recoveries.try_recv().is_err());
    supervisor.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_transaction_in_doubt_keeps_the_correlation_id_it_was_prepared_with() {
    let World { stores, _folder } = world().await;
    let bank = &stores.bank_customer;
    let work = BankWork { account_id: "c-1001".into(), takes: 5, order_id: "ord-1".into() };
    let vote = bank.prepare("tx-1", &work, Some("cor-1".into())).await.unwrap();
    assert_eq!(vote, Vote::Yes);
    let doubts = bank.in_doubt(i64::MAX, &DoubtMark::start()).await.unwrap();
    assert_eq!(doubts.len(), 1);
    assert_eq!(doubts[0].correlation_id.as_deref(), Some("cor-1"));
}

#[tokio::test]
async fn a_bank_asks_about_what_is_decided_behind_more_than_a_page_that_is_not() {
    let World { stores, _folder } = world().await;
    let bank = stores.bank_customer.clone();
    // Of all that are prepared only the last is known to have no effect.
    const UNDECIDED: usize = 150;
    for number in 0..=UNDECIDED {
        let work = BankWork { account_id: "c-1001".into(), takes: 1, order_id: "ord-1".into() };
        let id = format!("tx-{number:03}");
        assert_eq!(bank.prepare(&id, &work, None).await.unwrap(), Vote::Yes);
        if number < UNDECIDED {
            let command =
                message(&format!("payment.authorize:ord-1:{number}"), "payment.authorize");
            let (payments, price) = (&stores.payments, Money::eur(1));
            payments.begin(&command, &transaction(&id), "c-1001", price, true).await.unwrap();
        }
    }
    let clock = Clock::system();
    // All of them are in doubt by the bank's own clock, without waiting.
    let later = Clock::tokio(clock.now_us() + 60_000_000);
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let caller = mesh.caller("payments");
    let payments = Payments::new(stores.payments.clone(), caller, supervisor.clone(), clock);
    mesh.register("payments", payments::router(payments));
    assert_eq!(bank.doubts(later.now_us()).await.unwrap(), UNDECIDED as u64 + 1);
    let stop = supervisor.stopping();
    let resolving = bank::resolve_doubts("bank-customer", bank.clone(), mesh, later, stop);
    supervisor.spawn("doubts", resolving);
    eventually(PATIENCE, "the last is settled", async || {
        (bank.held().await.unwrap() == UNDECIDED as u64).then_some(())
    })
    .await;
    supervisor.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn what_was_prepared_before_the_clock_was_set_back_is_in_doubt_and_what_is_new_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let now_us = 1_700_000_000_000_000;
    let before = Clock::tokio(now_us + 3_600_000_000);
    let prepare = async |clock: &Clock, id: &str| {
        let stores = storage::open(folder.path(), Durability::Process, clock).await.unwrap();
        let bank = stores.bank_customer;
        let work = BankWork { account_id: "c-1001".into(), takes: 5, order_id: "ord-1".into() };
        assert_eq!(bank.prepare(id, &work, None).await.unwrap(), Vote::Yes);
        let doubts = bank.in_doubt(clock.now_us() - 60_000_000, &DoubtMark::start()).await.unwrap();
        assert_eq!(bank.doubts(clock.now_us() - 60_000_000).await.unwrap(), doubts.len() as u64);
        doubts.into_iter().map(|doubt| doubt.transaction_id).collect::<Vec<_>>()
    };
    assert!(prepare(&before, "tx-1").await.is_empty());
    assert_eq!(prepare(&Clock::tokio(now_us), "tx-2").await, ["tx-1"]);
}

#[tokio::test]
async fn a_deposit_or_delivery_that_is_repeated_under_its_key_is_made_once() {
    let World { stores, _folder } = world().await;
    let (bank, shelves) = (&stores.bank_customer, &stores.inventory);
    let key = || Some("key-1".to_owned());
    let wallet = async || {
        let accounts = bank.accounts().await.unwrap();
        accounts.iter().find(|account| account.account_id == "c-1001").unwrap().balance
    };
    let before = wallet().await;
    for (key, minor, came_to) in [
        (key(), 5, Commanded::Done),
        (key(), 5, Commanded::Done),
        (key(), 6, Commanded::KeyReused),
        (None, 5, Commanded::Done),
        (None, 5, Commanded::Done),
    ] {
        assert_eq!(bank.deposit("c-1001", minor, key).await.unwrap(), came_to);
    }
    assert_eq!(wallet().await - before, 15);
    assert_eq!(bank.deposit("nobody", 5, key()).await.unwrap(), Commanded::Unknown);
    assert_eq!(bank.ledger_sum().await.unwrap(), 0);

    let pieces = async || shelves.levels().await.unwrap()[0].clone();
    let (id, before) = (pieces().await.product_id, pieces().await.available);
    for (quantity, came_to) in
        [(3, Commanded::Done), (3, Commanded::Done), (4, Commanded::KeyReused)]
    {
        assert_eq!(shelves.deliver(&id, quantity, key()).await.unwrap(), came_to);
    }
    assert_eq!(pieces().await.available - before, 3);
    assert_eq!(shelves.deliver("nothing", 3, None).await.unwrap(), Commanded::Unknown);
}

#[tokio::test]
async fn a_message_for_an_unknown_order_is_refused_every_time_and_taken_when_it_is_known() {
    let World { stores, _folder } = world().await;
    let reserved = || Attempt {
        order_id: "ord-1".into(),
        message_id: Some("inventory.reserved:ord-1:reserve".into()),
        expected: None,
        correlation_id: None,
        trace: TraceContext::default(),
        decide: Box::new(|record| {
            let event = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
            decide::decide(record, Input::Done(decide::RESERVE, event))
        }),
    };
    for _ in 0..2 {
        assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::NoOrder);
    }
    stores.orders.place(new_order("ord-1")).await.unwrap();
    assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::Now(3));
    assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::Before);
}

#[tokio::test]
async fn a_later_command_is_told_by_its_own_request_and_trace() {
    let World { stores, _folder } = world().await;
    let trace = |digit: &str| TraceContext {
        traceparent: Some(format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16))),
        tracestate: None,
        baggage: None,
    };
    stores.orders.place(NewOrder { trace: trace("a"), ..new_order("ord-1") }).await.unwrap();
    let attempt = |input: Input, correlation_id: Option<&str>, digit: &str| Attempt {
        order_id: "ord-1".into(),
        message_id: None,
        expected: None,
        correlation_id: correlation_id.map(str::to_owned),
        trace: trace(digit),
        decide: Box::new(move |record| decide::decide(record, input)),
    };
    let cancel = attempt(Input::Cancel(Origin::Api), Some("cor-2"), "b");
    assert_eq!(stores.orders.change(cancel).await.unwrap(), Changed::Now(2));
    // The reservation's answer comes with the request that asked for it; what it makes due is
    // caused by it. Without a request it is the one that placed the order.
    let event = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
    let reserved = attempt(Input::Done(decide::RESERVE, event), None, "a");
    assert_eq!(stores.orders.change(reserved).await.unwrap(), Changed::Now(4));
    let release = stores.orders.outbox().after(0, &[], 10).await.unwrap().pop().unwrap().message;
    assert_eq!(release.topic, "inventory.release");
    assert_eq!(release.correlation_id.as_deref(), Some("cor-1"));
    let redriven = OrderEvent::StockReleased { units: 1 };
    let undone = attempt(Input::Undone(decide::RESERVE, redriven), Some("cor-3"), "c");
    assert_eq!(stores.orders.change(undone).await.unwrap(), Changed::Now(6));
    let story = stores.orders.story("ord-1").await.unwrap().unwrap();
    assert_eq!(story.traces, ["a", "b", "c"].map(|digit| digit.repeat(32)));
    let caused: Vec<_> = story.caused_by.iter().map(Option::as_deref).collect();
    let placed = Some("cor-1");
    assert_eq!(caused, [placed, Some("cor-2"), placed, placed, Some("cor-3"), Some("cor-3")]);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_whole_message_until_it_is_retried() {
    let World { stores, _folder } = world().await;
    let trace = TraceContext { baggage: Some("vitrine.fault=F-1".into()), ..Default::default() };
    stores.orders.place(NewOrder { trace, ..new_order("ord-1") }).await.unwrap();
    let outbox = stores.orders.outbox();
    let recorded = outbox.after(0, &[], 10).await.unwrap().pop().unwrap();
    outbox.bury(recorded.sequence, "unreadable").await.unwrap();
    assert_eq!(outbox.after(0, &[], 10).await.unwrap(), []);
    let letters = outbox.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), outbox.dead().await.unwrap()), (1, 1));
    assert_eq!(
        (&letters[0].message, letters[0].reason.as_str()),
        (&recorded.message, "unreadable")
    );
    let found = outbox.dead_letter(&recorded.message.id).await.unwrap();
    assert_eq!(found.as_ref(), letters.first());
    assert_eq!(outbox.dead_letter("nothing").await.unwrap(), None);
    assert!(!outbox.revive("nothing").await.unwrap());
    assert!(outbox.revive(&recorded.message.id).await.unwrap());
    let again = outbox.after(0, &[], 10).await.unwrap().pop().unwrap();
    assert_eq!((again.message, outbox.dead().await.unwrap()), (recorded.message, 0));
    assert!(again.sequence > recorded.sequence, "a sequence came again");
}

#[tokio::test]
async fn a_dead_letter_is_forgotten_with_what_its_subscriber_knew_of_it() {
    let World { stores, _folder } = world().await;
    stores.orders.place(new_order("ord-1")).await.unwrap();
    let outbox = stores.orders.outbox();
    let recorded = outbox.after(0, &[], 10).await.unwrap().pop().unwrap();
    outbox.bury(recorded.sequence, "unreadable").await.unwrap();
    let sweep = async |age: Duration| {
        let keep = Keep { orders: 100, age };
        for store in &stores.forgetful {
            let open = Open { orders: vec!["ord-1".to_owned()], ..Open::default() };
            while store.prune(keep, &open, 10).await.unwrap() > 0 {}
        }
        outbox.dead().await.unwrap()
    };
    assert_eq!(sweep(Duration::from_secs(3_600)).await, 1);
    assert_eq!(sweep(Duration::ZERO).await, 0);
    assert!(!outbox.revive(&recorded.message.id).await.unwrap());
}

#[tokio::test]
async fn a_participant_remembers_what_its_coordinator_may_tell_it_again() {
    let World { stores, _folder } = world().await;
    let (payments, bank, provider) = (&stores.payments, &stores.bank_merchant, &stores.provider);
    let amount = Money::eur(1_850);
    // Both participants have heard the decision of both; the coordinator is through with the
    // second alone.
    for id in ["tx-1", "tx-2"] {
        let command = message(&format!("payment.authorize:ord-1:{id}"), "payment.authorize");
        payments.begin(&command, &transaction(id), "c-1001", amount, true).await.unwrap();
        let work = BankWork { account_id: "merchant".into(), takes: -5, order_id: "ord-1".into() };
        assert_eq!(bank.prepare(id, &work, None).await.unwrap(), Vote::Yes);
        assert!(bank.finish(id, true).await.unwrap().is_ok());
        let (charge, target) = (Kind::Charge.id(id), "c-1001".into());
        let order_id = "ord-1".into();
        let asked = Asked { id: charge.clone(), kind: Kind::Charge, target, amount, order_id };
        provider.hold(asked).await.unwrap().unwrap();
        provider.settle(Kind::Charge, &charge, true).await.unwrap().unwrap();
    }
    let end = Entry { at_us: 1, kind: EntryKind::End, participant: None, detail: None };
    payments.note("tx-2", &[end]).await.unwrap();
    let open = Open { transactions: payments.unended(10).await.unwrap(), ..Open::default() };
    assert_eq!(open.transactions, ["tx-1"]);

    let keep = Keep { orders: 0, age: Duration::ZERO };
    for store in &stores.forgetful {
        while store.prune(keep, &open, 10).await.unwrap() > 0 {}
    }

    assert!(bank.finish("tx-1", true).await.unwrap().is_ok(), "a commit it cannot acknowledge");
    assert!(bank.finish("tx-2", true).await.unwrap().is_err(), "nothing was forgotten");
    let again = async |id: &str| provider.settle(Kind::Charge, &Kind::Charge.id(id), true).await;
    assert!(again("tx-1").await.unwrap().is_ok());
    assert!(again("tx-2").await.unwrap().is_err());
    assert_eq!(bank.ledger_sum().await.unwrap(), 0);
}

#[tokio::test]
async fn orders_that_a_read_model_behind_still_calls_confirmed_are_passed_over_and_shipped_once() {
    let World { stores, _folder } = world().await;
    let change = async |number: usize, input: Input| {
        let attempt = Attempt {
            order_id: format!("ord-{number}"),
            message_id: None,
            expected: None,
            correlation_id: None,
            trace: TraceContext::default(),
            decide: Box::new(|record| decide::decide(record, input)),
        };
        stores.orders.change(attempt).await.unwrap()
    };
    for number in 0..3 {
        stores.orders.place(new_order(&format!("ord-{number}"))).await.unwrap();
        let reserved = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
        change(number, Input::Done(decide::RESERVE, reserved)).await;
        let paid = OrderEvent::PaymentAuthorized { transaction_id: "tx-1".into() };
        change(number, Input::Done(decide::PAY, paid)).await;
    }
    while !stores.orders.project(100).await.unwrap().is_empty() {}
    let (supervisor, _ends) = Supervisor::new();
    let (clock, ids) = (Clock::system(), IdSource::seeded(1));
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let caller = mesh.caller("orders");
    let orders = Orders::new(stores.orders.clone(), caller, supervisor, ids, clock);
    // Nobody keeps the read model up: it goes on saying that they are confirmed.
    let keep = Keep { orders: 0, age: Duration::ZERO };
    let first = orders.ship_overdue(keep, None, 2).await.unwrap();
    assert_eq!(first.as_ref().map(|(_, order_id)| order_id.as_str()), Some("ord-1"));
    // The next sweep meets the same page, refuses all of it, and goes on to what is behind it.
    let again = orders.ship_overdue(keep, None, 2).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(orders.ship_overdue(keep, again, 2).await.unwrap(), None, "a short page");
    for number in 0..3 {
        let story = stores.orders.story(&format!("ord-{number}")).await.unwrap().unwrap();
        let shipped = story.events.iter().filter(|e| e.event == OrderEvent::OrderShipped).count();
        assert_eq!(shipped, 1, "ord-{number}");
    }
}
