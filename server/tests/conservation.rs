//! Money and stock are conserved: a thousand orders at full speed, paid from wallets and by card,
//! cancelled and shipped at random, and then every ledger and every shelf is summed.
//!
//! Nothing is configured, so that orders go to both versions of the services at once. In one
//! process with real databases, through the gateway as a program would come.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::{Clock, IdSource, Supervisor};
use contract::{
    order::OrderStatus,
    service::{BANK_CUSTOMER, BROWSER, GATEWAY, PAYMENTS},
    shop::PaymentMethod,
};
use serde_json::{Value, json};
use server::shop::Shop;
use std::{collections::BTreeSet, time::Duration};
use storage::Durability;
use testkit::{Books, eventually};
use tokio::{sync::Semaphore, task::JoinSet};

const ORDERS: usize = 1_000;
/// Customers who order at the same time.
const AT_ONCE: usize = 64;
/// One customer may wait for so many others.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Far more than everything takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Paid into the wallets, so that most orders can be paid, minor units.
const PAID_IN: i64 = 4_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn money_and_stock_are_conserved_after_a_thousand_orders_at_full_speed() {
    let seed = testkit::seed();
    println!("VITRINE_TEST_SEED={seed} repeats this run");
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Synced, &clock).await.expect("a shop");
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(seed);
    let shop = Shop::assemble(stores, &supervisor, clock, ids.clone()).await.expect("it starts");
    shop.go(&supervisor).await.expect("it goes");
    for customer in ["c-1001", "c-1007", "c-1013"] {
        pay_in(&shop, customer).await;
    }

    let placed = rush(&shop, &ids).await;

    let accepted = placed.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(accepted, ORDERS, "two orders have one id");
    let rest = eventually(PATIENCE, "the end of every order", async || {
        let books = Books::read(&shop.stores).await;
        (books.unrest.is_empty() && books.orders.len() == ORDERS).then_some(books)
    });
    let books = rest.await;
    books.assert_in_order();
    let kept = books.orders.iter().filter(|order| placed.contains(&order.row.order_id));
    assert_eq!(kept.count(), ORDERS, "an accepted order is gone");
    // A run in which nothing of it happens would show nothing.
    for status in [OrderStatus::Confirmed, OrderStatus::Shipped] {
        assert!(books.count(status) > 0, "no order is {status}");
    }
    for reason in ["requested", "payment_declined", "out_of_stock"] {
        assert!(books.cancelled_for(reason) > 0, "no order was cancelled for {reason}");
    }
    assert!(books.provider.clearing > 0, "no order was paid by card");
    for version in ["payments-v1-", "payments-v2-"] {
        let endpoints = shop.mesh.endpoints().into_iter();
        let requests: u64 = endpoints
            .filter(|e| &*e.service == PAYMENTS && e.instance.starts_with(version))
            .map(|endpoint| endpoint.requests)
            .sum();
        assert!(requests > 0, "nothing went to {version}");
    }
    assert!(supervisor.shutdown(PATIENCE).await, "something did not end");
}

/// Every customer at once: the ids of the orders that were accepted.
async fn rush(shop: &Shop, ids: &IdSource) -> Vec<String> {
    let turns = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    let mut customers = JoinSet::new();
    for _ in 0..ORDERS {
        let (shop, turns) = (shop.clone(), turns.clone());
        // Dice are thrown here, one after the other, so that the seed decides.
        let (order, whim) = (order(ids), ids.below(100));
        customers.spawn(async move {
            let _turn = turns.acquire().await.expect("a turn");
            visit(&shop, &order, whim).await
        });
    }
    customers.join_all().await
}

/// One customer: orders, and then changes their mind or not, at once or later.
async fn visit(shop: &Shop, order: &Value, whim: u64) -> String {
    let wait = (whim >= 60).then_some("wait=30");
    let (status, placed) = call(shop, "/api/v1/orders", order, wait).await;
    assert!(matches!(status, 200 | 202), "{status} {placed}");
    let id = placed["order_id"].as_str().expect("an id").to_owned();
    let (cancel, ship) =
        (format!("/api/v1/orders/{id}/cancel"), format!("/api/v1/orders/{id}/ship"));
    let none = Value::Null;
    let told = match whim {
        0..40 => vec![],
        // While it is being reserved and paid, and after; a shipment may cross a cancellation.
        40..75 => vec![call(shop, &cancel, &none, None).await],
        75..90 => vec![call(shop, &ship, &none, None).await],
        _ => {
            let both =
                tokio::join!(call(shop, &cancel, &none, None), call(shop, &ship, &none, None));
            vec![both.0, both.1]
        }
    };
    for (status, answer) in told {
        assert!(matches!(status, 202 | 409), "{id}: {status} {answer}");
    }
    id
}

async fn call(shop: &Shop, path: &str, body: &Value, prefer: Option<&str>) -> (u16, Value) {
    let mut call = shop.mesh.caller(BROWSER).post(GATEWAY, path).timeout(CALL_TIMEOUT).json(body);
    if let Some(prefer) = prefer {
        call = call.header("prefer", prefer);
    }
    let answer = call.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("its body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

async fn pay_in(shop: &Shop, customer: &str) {
    let path = format!("/accounts/{customer}/deposits");
    let call = shop.mesh.caller(BROWSER).post(BANK_CUSTOMER, path);
    let paid = call.json(&json!({ "minor": PAID_IN })).send().await.expect("an answer");
    assert_eq!(paid.status().as_u16(), 204);
}

/// What one customer orders: mostly a little, sometimes more than there is.
fn order(ids: &IdSource) -> Value {
    let users = shop::seed::users();
    let products = shop::seed::products();
    let pick = |length: usize| usize::try_from(ids.below(length as u64)).expect("an index");
    let user_id = &users[pick(users.len())].0.user_id;
    let mut chosen = BTreeSet::new();
    for _ in 0..1 + ids.below(3) {
        chosen.insert(products[pick(products.len())].0.product_id.clone());
    }
    let much = ids.below(50) == 0;
    let quantity = || if much { 100 } else { 1 + ids.below(3) };
    let line = |product_id| json!({ "product_id": product_id, "quantity": quantity() });
    let items: Vec<Value> = chosen.into_iter().map(line).collect();
    let method = if ids.below(3) == 0 { PaymentMethod::Card } else { PaymentMethod::Wallet };
    json!({ "user_id": user_id, "items": items, "payment_method": method })
}
