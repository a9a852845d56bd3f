//! What the versions of the services do differently, as their callers see it, and the paths under
//! which services answer without the gateway.
//!
//! In one process with real databases, each version reached by a policy made of Istio resources.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::{Clock, IdSource, Supervisor};
use contract::service::{BROWSER, CATALOG, GATEWAY, INVENTORY, ORDERS, RECOMMENDATIONS, USERS};
use http::{HeaderMap, Method};
use istio::Configuration;
use serde_json::{Value, json};
use server::{
    instances::{BASELINE, known},
    shop::Shop,
};
use std::time::Duration;
use storage::Durability;
use testkit::eventually;

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    shop: Shop,
    supervisor: Supervisor,
    _folder: tempfile::TempDir,
}

/// A shop whose services are all at one version.
async fn world(version: &str) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.expect("a shop");
    let (supervisor, _ends) = Supervisor::new();
    let shop = Shop::assemble(stores, &supervisor, clock, IdSource::seeded(1)).await;
    let shop = shop.expect("it starts");
    let text = match version {
        "v1" => BASELINE.to_owned(),
        // The weights the other way round.
        _ => BASELINE
            .replace("weight: 100", "weight: most")
            .replace("weight: 0", "weight: 100")
            .replace("weight: most", "weight: 0"),
    };
    let known = known(&shop.mesh);
    let applied = Configuration::default().apply(&text, &known).expect("it applies");
    shop.mesh.apply(applied.configuration.compile(&known, 1).into());
    shop.go(&supervisor).await.expect("it goes");
    World { shop, supervisor, _folder: folder }
}

impl World {
    async fn call(
        &self,
        method: Method,
        service: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, HeaderMap, Value) {
        let call = self.shop.mesh.caller(BROWSER).call(service, method, path);
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        let answer = call.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("its body");
        (status, headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, service: &'static str, path: &str) -> (HeaderMap, Value) {
        let (status, headers, body) = self.call(Method::GET, service, path, None).await;
        assert_eq!(status, 200, "{service} {path}: {body}");
        (headers, body)
    }

    /// Places an order and waits for its end.
    async fn order(&self, order: &Value) -> Value {
        let path = "/api/v1/orders";
        let (status, _, placed) = self.call(Method::POST, GATEWAY, path, Some(order)).await;
        assert_eq!(status, 202, "{placed}");
        let path = format!("/api/v1/orders/{}", placed["order_id"].as_str().expect("an id"));
        eventually(PATIENCE, "the end of an order", async || {
            let (_, order) = self.get(GATEWAY, &path).await;
            (order["status"] != "processing").then_some(order)
        })
        .await
    }

    async fn end(self) {
        assert!(self.supervisor.shutdown(PATIENCE).await, "something did not end");
    }
}

fn ids(list: &Value) -> Vec<&str> {
    let products = list["products"].as_array().expect("products").iter();
    products.map(|product| product["product_id"].as_str().expect("an id")).collect()
}

fn order(user: &str, product: &str, quantity: u32, method: &str) -> Value {
    json!({
        "user_id": user, "payment_method": method,
        "items": [{ "product_id": product, "quantity": quantity }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn catalog_lists_by_name_in_version_1_and_by_popularity_with_stock_in_version_2() {
    let v1 = world("v1").await;
    let (headers, list) = v1.get(CATALOG, "/products").await;
    assert_eq!(headers["x-app-version"], "v1");
    let names: Vec<_> = list["products"].as_array().expect("products").iter().collect();
    assert!(names.is_sorted_by_key(|product| product["name"].as_str()));
    assert!(names.iter().all(|p| p.get("stock").is_none() && p.get("updated_at").is_none()));
    v1.end().await;

    let v2 = world("v2").await;
    let confirmed = v2.order(&order("c-1001", "p-pen", 3, "wallet")).await;
    assert_eq!(confirmed["status"], "confirmed");
    let (headers, list) = v2.get(CATALOG, "/products").await;
    assert_eq!(headers["x-app-version"], "v2");
    assert_eq!(ids(&list)[0], "p-pen", "the only one that was sold comes first");
    let pen = &list["products"][0];
    assert_eq!(pen["stock"], "plenty");
    let updated = pen["updated_at"].as_str().expect("a time");
    assert!(updated.starts_with("20") && updated.ends_with('Z'), "{updated}");
    let (_, chair) = v2.get(GATEWAY, "/api/v1/products/p-chair").await;
    assert_eq!(chair["stock"], "low", "60 pieces of it are left");
    // Without inventory it lists by name, and says when, but not how much.
    v2.shop.mesh.deregister(INVENTORY);
    let (_, list) = v2.get(CATALOG, "/products").await;
    assert_ne!(ids(&list)[0], "p-pen");
    assert!(list["products"][0].get("stock").is_none());
    v2.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_know_nothing_new_in_version_1_and_fill_up_in_version_2() {
    let v1 = world("v1").await;
    let (_, beside) = v1.get(RECOMMENDATIONS, "/recommendations/p-moka").await;
    assert_eq!(beside, json!({ "product_ids": [] }));
    v1.end().await;
    let v2 = world("v2").await;
    let (headers, beside) = v2.get(RECOMMENDATIONS, "/recommendations/p-moka").await;
    assert_eq!(headers["x-app-version"], "v2");
    assert_eq!(beside["product_ids"], json!(["p-beans", "p-grinder", "p-kettle"]));
    assert_eq!(beside["reasons"][0], "same_category");
    let (_, product) = v2.get(GATEWAY, "/api/v1/products/p-moka").await;
    let shown = product["recommendations"].as_array().expect("a list").iter();
    let shown: Vec<_> = shown.map(|product| &product["product_id"]).collect();
    assert_eq!(shown, ["p-beans", "p-grinder", "p-kettle"], "in the order they are recommended");
    v2.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_tells_its_timing_and_payments_their_risk_in_version_2_only() {
    for version in ["v1", "v2"] {
        let world = world(version).await;
        let confirmed = world.order(&order("c-1001", "p-pen", 1, "wallet")).await;
        assert_eq!(confirmed["status"], "confirmed", "{version}");
        let (headers, user) = world.get(GATEWAY, "/api/v1/users/c-1001").await;
        assert_eq!(headers["x-app-version"], version);
        let timing = headers.get("server-timing").map(|value| value.to_str().expect("text"));
        let risk = &user["payments"][0]["risk_score"];
        if version == "v1" {
            assert_eq!((timing, risk), (None, &Value::Null));
        } else {
            let timing = timing.expect("its parts");
            for part in ["users;dur=", "orders;dur=", "payments;dur=", "total;dur="] {
                assert!(timing.contains(part), "{timing}");
            }
            assert_eq!(risk, 30, "of a first payment nothing is known");
        }
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_answer_under_the_public_paths_without_the_gateway() {
    let world = world("v1").await;
    let (_, users) = world.get(USERS, "/api/v1/users").await;
    assert_eq!(users["users"].as_array().map(Vec::len), Some(6));
    let (_, user) = world.get(USERS, "/api/v1/users/c-1001").await;
    assert_eq!(user["name"], "Ada Brandt");
    let (_, products) = world.get(CATALOG, "/api/v1/products").await;
    assert!(ids(&products).contains(&"p-moka"));
    assert_eq!(world.get(CATALOG, "/api/v1/products/p-moka").await.1["product_id"], "p-moka");

    let path = "/api/v1/orders";
    let wanted = order("c-1001", "p-pen", 1, "wallet");
    let (status, _, placed) = world.call(Method::POST, ORDERS, path, Some(&wanted)).await;
    assert_eq!(status, 202, "{placed}");
    let one = format!("{path}/{}", placed["order_id"].as_str().expect("an id"));
    assert_eq!(world.get(ORDERS, &one).await.1["user_id"], "c-1001");
    // The list follows the events.
    let listed = eventually(PATIENCE, "it is listed", async || {
        let orders = world.get(ORDERS, path).await.1["orders"].as_array()?.clone();
        (!orders.is_empty()).then_some(orders.len())
    });
    assert_eq!(listed.await, 1);
    let cancel = format!("{one}/cancel");
    let (status, _, cancelled) = world.call(Method::POST, ORDERS, &cancel, None).await;
    assert_eq!(status, 202, "{cancelled}");
    // What is checked at the gateway is checked here.
    let bad = json!({ "user_id": "c-1001", "items": [], "payment_method": "cash" });
    let (status, _, refused) = world.call(Method::POST, ORDERS, path, Some(&bad)).await;
    let fields: Vec<_> = refused["errors"].as_array().expect("errors").iter().collect();
    assert_eq!((status, fields.len()), (400, 2), "{refused}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_is_charged_at_the_provider_and_leaves_the_wallet_alone() {
    let world = world("v1").await;
    let wallet = async || {
        let accounts = world.shop.stores.bank_customer.accounts().await.expect("the accounts");
        accounts.into_iter().find(|a| a.account_id == "c-1042").map(|a| a.balance)
    };
    let before = wallet().await;
    // The customer with almost nothing in the wallet has a card like everybody.
    let confirmed = world.order(&order("c-1042", "p-lamp", 1, "card")).await;
    assert_eq!(
        (&confirmed["status"], &confirmed["payment_method"]),
        (&json!("confirmed"), &json!("card"))
    );
    assert_eq!(wallet().await, before);
    eventually(PATIENCE, "the capture", async || {
        let balances = world.shop.stores.provider.balances().await.expect("the ledger");
        (balances.clearing == 7_950).then_some(())
    })
    .await;
    let declined = world.order(&order("c-1001", "p-chair", 1, "card")).await;
    assert_eq!(declined["reason"], "payment_declined", "649.00 is over the card's limit");
    world.end().await;
}
