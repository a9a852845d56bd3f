//! What a service that is away does to the rest of the shop: nothing that does not need it.
//!
//! In one process with real databases, so that a service can be taken away.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::{Clock, IdSource, Supervisor};
use contract::service::{BROWSER, GATEWAY, RECOMMENDATIONS};
use futures::{StreamExt, stream};
use messaging::Outbox;
use serde_json::{Value, json};
use server::shop::Shop;
use std::{sync::Arc, time::Duration};
use storage::Durability;
use testkit::eventually;

/// More confirmed orders than messages may be on their way to one subscriber.
const ORDERS: usize = 300;
/// Customers who order at the same time.
const AT_ONCE: usize = 16;
/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn order(shop: &Shop) -> String {
    let body = json!({
        "user_id": "c-1001", "items": [{ "product_id": "p-notebook", "quantity": 1 }]
    });
    let post = shop.mesh.caller(BROWSER).post(GATEWAY, "/api/v1/orders").timeout(PATIENCE);
    let answer = post.header("prefer", "wait=20").json(&body).receive::<Value>().await;
    answer.expect("an order")["status"].as_str().expect("its status").to_owned()
}

async fn waiting(outbox: Arc<dyn Outbox>) -> usize {
    outbox.after(0, &[], 2 * ORDERS).await.expect("the outbox").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_confirmed_while_recommendations_are_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.expect("a shop");
    let (supervisor, _ends) = Supervisor::new();
    let shop = Shop::assemble(stores, &supervisor, clock, IdSource::seeded(1)).await;
    let shop = shop.expect("it starts");
    shop.go(&supervisor).await.expect("it goes");
    shop.mesh.deregister(RECOMMENDATIONS);

    let orders = stream::iter(0..ORDERS).map(|_| order(&shop)).buffer_unordered(AT_ONCE);
    let ended: Vec<String> = orders.collect().await;

    assert_eq!(ended.iter().filter(|status| *status == "confirmed").count(), ORDERS);
    eventually(PATIENCE, "an outbox with what nobody took", async || {
        (waiting(shop.stores.orders.outbox()).await == ORDERS).then_some(())
    })
    .await;
    assert_eq!(order(&shop).await, "confirmed", "the one after them");
    assert!(supervisor.shutdown(PATIENCE).await);
}
