//! The databases forget what is over: with tiny limits the books are still in order, old rows are
//! gone from every database, and what is under way is untouched.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::{Clock, IdSource, Supervisor, TraceContext};
use contract::{
    Money,
    order::{OrderStatus, Origin},
    service::{BROWSER, GATEWAY},
    shop::PaymentMethod,
};
use serde_json::{Value, json};
use server::{retention::Retention, shop::Shop};
use shop::{
    bank::{Account, BankStore},
    orders::{
        NewOrder, OrderEvent, RowQuery,
        decide::{self, Input, OrderRecord},
    },
    provider::{Asked, Kind, Progress, ProviderStore},
    store::Keep,
};
use std::time::Duration;
use storage::Durability;
use testkit::eventually;

/// Far more than everything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Tiny: two orders.
const KEEP: Keep = Keep { orders: 2, age: Duration::from_secs(3_600) };
/// An order whose saga waits for ever.
const RUNNING: &str = "ord-RUNNING1";

async fn call(shop: &Shop, path: &str, body: &Value) -> Value {
    let post = shop.mesh.caller(BROWSER).post(GATEWAY, path).header("prefer", "wait=30");
    post.timeout(CALL_TIMEOUT).json(body).receive().await.expect("an answer")
}

async fn place(shop: &Shop, card: bool) -> String {
    let items = json!([{ "product_id": "p-moka", "quantity": 1 }]);
    let mut order = json!({ "user_id": "c-1001", "items": items });
    if card {
        order["payment_method"] = json!("card");
    }
    let placed = call(shop, "/api/v1/orders", &order).await;
    assert_eq!(placed["status"], "confirmed", "{placed}");
    placed["order_id"].as_str().expect("an id").to_owned()
}

/// An order that nothing moves: its first command is not sent.
fn running() -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let (lines, origin, payment_method) = (vec![], Origin::Api, PaymentMethod::Wallet);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let record = OrderRecord { order_id: RUNNING.into(), ..OrderRecord::default() };
    let mut change = decide::decide(&record, Input::Place(placed)).expect("it is placed");
    change.messages.clear();
    let (correlation_id, trace) = ("cor-1".into(), TraceContext::default());
    NewOrder { order_id: RUNNING.into(), correlation_id, trace, key: None, change }
}

/// A charge of a card for an order, captured or cancelled.
async fn charged(provider: &dyn ProviderStore, order_id: &str, capture: bool) -> String {
    let (id, target) = (Kind::Charge.id(&format!("tx-{order_id}")), "c-1001".to_owned());
    let (order_id, amount) = (order_id.to_owned(), Money::eur(1_850));
    let asked = Asked { id: id.clone(), kind: Kind::Charge, target, amount, order_id };
    provider.hold(asked).await.expect("a write").expect("it is held");
    provider.settle(Kind::Charge, &id, capture).await.expect("a write").expect("it is decided");
    id
}

/// The charge of the order that waits, and the oldest of more than are kept of so many orders.
async fn charges(provider: &dyn ProviderStore) -> (String, String) {
    let kept = charged(provider, RUNNING, true).await;
    let first = charged(provider, "ord-GONE", false).await;
    for n in 1..8 {
        charged(provider, &format!("ord-GONE{n}"), false).await;
    }
    (kept, first)
}

async fn statuses(shop: &Shop) -> Vec<(String, OrderStatus)> {
    let query = RowQuery { limit: 1_000, ..RowQuery::default() };
    let rows = shop.stores.orders.rows(query).await.expect("rows");
    rows.into_iter().map(|listed| (listed.row.order_id, listed.row.status)).collect()
}

/// Every account of a bank, whose postings sum to nothing.
async fn accounts(bank: &dyn BankStore) -> Vec<Account> {
    assert_eq!(bank.ledger_sum().await.expect("a sum"), 0);
    assert_eq!(bank.held().await.expect("a count"), 0);
    bank.accounts().await.expect("accounts")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_forgotten_and_the_books_stay_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.expect("a shop");
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(testkit::seed());
    stores.orders.place(running()).await.expect("it is placed");
    let shop = Shop::assemble(stores, &supervisor, clock, ids).await.expect("it starts");
    shop.go(&supervisor).await.expect("it goes");
    let (charge, cancelled) = charges(&*shop.stores.provider).await;
    let mut placed = Vec::new();
    for n in 0..9 {
        placed.push(place(&shop, n == 1).await);
    }
    for id in &placed[..3] {
        call(&shop, &format!("/api/v1/orders/{id}/cancel"), &Value::Null).await;
    }
    call(&shop, &format!("/api/v1/orders/{}/ship", placed[3]), &Value::Null).await;
    let settled = async || {
        let statuses = statuses(&shop).await;
        let over = statuses.iter().all(|(_, s)| *s != OrderStatus::Processing);
        let running = statuses.iter().filter(|(_, s)| *s == OrderStatus::Processing).count();
        let unfinished = shop.stores.payments.unfinished_count().await.expect("a count");
        (!over && running == 1 && unfinished == 0).then_some(())
    };
    eventually(PATIENCE, "the end of every order but one", settled).await;
    let money = async || {
        let stores = &shop.stores;
        let customers = accounts(&*stores.bank_customer).await;
        let merchant = accounts(&*stores.bank_merchant).await;
        (customers, merchant, stores.provider.balances().await.expect("balances"))
    };
    let before = money().await;

    let retention = Retention::new(shop.stores.clone(), shop.orders.clone(), Clock::system(), KEEP);
    eventually(PATIENCE, "nothing is left to forget", async || {
        let gone = retention.sweep().await.expect("a sweep");
        let shelves = shop.stores.inventory.levels().await.expect("levels");
        let moka = shelves.iter().find(|level| level.product_id == "p-moka").expect("a shelf");
        assert_eq!(moka.available + moka.reserved + moka.sold, moka.delivered);
        let sold = (moka.reserved, moka.sold) == (2, 4);
        (gone == 0 && sold && statuses(&shop).await.len() == 3).then_some(())
    })
    .await;

    assert!(retention.deleted() > 50, "only {} rows", retention.deleted());
    assert_eq!(money().await, before, "a sum changed");
    let kept = statuses(&shop).await;
    assert_eq!(kept[2], (RUNNING.to_owned(), OrderStatus::Processing), "{kept:?}");
    assert!(
        kept[..2].iter().all(|(id, s)| placed[7..].contains(id) && *s == OrderStatus::Confirmed)
    );
    let story = shop.stores.orders.story(RUNNING).await.expect("a read").expect("it is there");
    assert_eq!((story.events.len(), story.saga.len()), (1, 1));
    let kept = shop.stores.provider.operation(&charge).await.expect("a read");
    assert_eq!(kept.map(|charge| charge.progress), Some(Progress::Done), "nothing to refund");
    let gone = shop.stores.provider.operation(&cancelled).await.expect("a read");
    assert_eq!(gone, None, "it is of no order that is not over");
    for id in &placed[..7] {
        assert_eq!(shop.stores.orders.story(id).await.expect("a read"), None);
    }
    // Refunds came last; of the payments the newest three are left.
    for id in &placed[3..6] {
        assert_eq!(shop.stores.payments.of_order(id).await.expect("a read"), []);
    }
    // What is kept can still be undone, and new orders come and go.
    let cancelled =
        call(&shop, &format!("/api/v1/orders/{}/cancel", placed[8]), &Value::Null).await;
    assert_eq!(cancelled["order_id"], placed[8].as_str());
    place(&shop, true).await;
    assert!(supervisor.shutdown(PATIENCE).await, "something did not end");
}
