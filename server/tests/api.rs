//! What the public API promises to those who use it rightly. The mistakes are in `bad_input.rs`.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use axum::{Router, routing::get};
use base::{Clock, IdSource, Supervisor};
use contract::service::{BROWSER, CATALOG, GATEWAY, PAYMENTS, RECOMMENDATIONS, USERS};
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use server::shop::Shop;
use std::{collections::BTreeSet, time::Duration};
use storage::Durability;
use testkit::{Answer, Client, Launch, Program, client::send, eventually, openapi::Document};
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);
/// Pays for most things.
const RICH: &str = "c-1001";
/// Pays for nothing above 25 euro.
const POOR: &str = "c-1042";

/// A program without load on data of its own.
struct World {
    program: Program,
    client: Client,
    _data: tempfile::TempDir,
}

async fn world() -> World {
    let data = tempfile::tempdir().expect("a folder");
    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    World { program, client, _data: data }
}

fn order(user_id: &str, product_id: &str, quantity: u32) -> Value {
    json!({ "user_id": user_id, "items": [{ "product_id": product_id, "quantity": quantity }] })
}

/// Places an order and waits for its end.
async fn placed(client: &Client, order: &Value) -> Answer {
    let post = client.json("/api/v1/orders", order).header("prefer", "wait=20");
    send(post).await.expect("an answer")
}

async fn with(client: &Client, path: &str, header: (&str, &str), body: &Value) -> Answer {
    send(client.json(path, body).header(header.0, header.1)).await.expect("an answer")
}

#[tokio::test]
async fn an_accepted_order_says_where_it_is_and_what_it_is_called() {
    let World { program, client, _data } = world().await;
    let asked = order(RICH, "p-moka", 2);
    let accepted = with(&client, "/api/v1/orders", ("x-correlation-id", "my-own-1"), &asked).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    assert_eq!(accepted.header("x-correlation-id"), "my-own-1");
    let body = accepted.json();
    let keys: BTreeSet<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["correlation_id", "order_id", "status"]);
    assert_eq!(
        (&body["status"], &body["correlation_id"]),
        (&json!("processing"), &json!("my-own-1"))
    );
    let location = accepted.header("location").to_owned();
    assert_eq!(location, format!("/api/v1/orders/{}", accepted.field("order_id")));
    let found = client.get(&location).await;
    assert_eq!(found.status, 200);
    let found = found.json();
    assert_eq!((&found["correlation_id"], &found["user_id"]), (&json!("my-own-1"), &json!(RICH)));
    assert_eq!(found["total"], json!({ "minor": 6_900, "currency": "EUR" }));
    // Lists of orders say it too, wherever they are. The projection makes a row a moment later.
    let told = |list: Value| {
        let of = |row: &&Value| row["order_id"] == found["order_id"];
        Some(list["orders"].as_array()?.iter().find(of)?["correlation_id"].clone())
    };
    for path in ["/api/v1/orders".to_owned(), format!("/api/v1/users/{RICH}")] {
        let row = eventually(PATIENCE, "its row", async || told(client.get(&path).await.json()));
        assert_eq!(row.await, json!("my-own-1"), "{path}");
    }
    // One is made where none is sent.
    let other = client.post("/api/v1/orders", &asked).await;
    assert_eq!(other.header("x-correlation-id"), other.field("correlation_id"));
    assert!(other.field("correlation_id").len() >= 32);
    program.stop().await;
}

#[tokio::test]
async fn who_prefers_to_wait_gets_the_end_of_the_order() {
    let World { program, client, _data } = world().await;
    let paid = placed(&client, &order(RICH, "p-moka", 1)).await;
    assert_eq!((paid.status, paid.field("status")), (200, "confirmed".into()));
    assert_eq!(paid.header("preference-applied"), "wait=20");
    let declined = placed(&client, &order(POOR, "p-chair", 1)).await;
    assert_eq!((declined.status, declined.field("status")), (200, "cancelled".into()));
    assert_eq!(declined.field("reason"), "payment_declined");
    let told = client.get(declined.header("location")).await;
    assert_eq!(told.field("reason"), "payment_declined");
    let missing = placed(&client, &order(RICH, "p-chair", 100)).await;
    let told = client.get(missing.header("location")).await;
    assert_eq!(
        (missing.field("status"), told.field("reason")),
        ("cancelled".into(), "out_of_stock".into())
    );
    // A preference that is not understood is no mistake (RFC 7240, section 2).
    for strange in ["wait=soon", "wait=-1", "wait", ";;=,", "wait=99999999999999999999999"] {
        let asked = order(RICH, "p-beans", 1);
        let answer = with(&client, "/api/v1/orders", ("prefer", strange), &asked).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (202, ""), "{strange}");
    }
    program.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_means_one_order_for_ever() {
    let World { program, client, _data } = world().await;
    let asked = order(RICH, "p-moka", 1);
    let post = |key: &'static str, body: Value| {
        let client = client.clone();
        async move { with(&client, "/api/v1/orders", ("idempotency-key", key), &body).await }
    };
    let same = join_all((0..16).map(|_| post("a key", asked.clone()))).await;
    assert!(same.iter().all(|answer| answer.status == 202));
    let ids: BTreeSet<_> = same.iter().map(|answer| answer.field("order_id")).collect();
    assert_eq!(ids.len(), 1, "one key, {ids:?}");
    let other = post("a key", order(RICH, "p-moka", 2)).await;
    assert_eq!((other.status, other.header("content-type")), (422, "application/problem+json"));
    assert!(!ids.contains(&post("another key", asked.clone()).await.field("order_id")));
    // The order of the keys of an object and blanks are no other command.
    let written =
        r#"{ "items": [ {"quantity": 1, "product_id": "p-moka"} ], "user_id": "c-1001" }"#;
    let again = client.request(Method::POST, "/api/v1/orders").header("idempotency-key", "a key");
    let again = send(again.header("content-type", "application/json; charset=utf-8").body(written));
    assert!(ids.contains(&again.await.expect("an answer").field("order_id")));
    program.stop().await;
}

/// A POST through the mesh of a shop in this process, with a key.
async fn keyed(shop: &Shop, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let post = shop.mesh.caller(BROWSER).post(GATEWAY, path).header("idempotency-key", key);
    let answer = post.json(body).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("its body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_order_is_answered_again_as_it_was_whatever_has_become_of_it_and_the_shop() {
    let data = tempfile::tempdir().expect("a folder");
    let (shop, supervisor) = inside(&data).await;
    let asked = order(RICH, "p-moka", 1);
    let first = keyed(&shop, "/api/v1/orders", "a key", &asked).await;
    assert_eq!((first.0, &first.1["status"]), (202, &json!("processing")), "{}", first.1);
    let path = format!("/api/v1/orders/{}", first.1["order_id"].as_str().expect("an id"));
    eventually(PATIENCE, "its end", async || {
        (ask(&shop, &path).await.1["status"] == "confirmed").then_some(())
    })
    .await;
    shop.mesh.deregister(CATALOG);
    shop.mesh.deregister(USERS);
    assert_eq!(keyed(&shop, "/api/v1/orders", "a key", &asked).await, first);
    let other = keyed(&shop, "/api/v1/orders", "a key", &order(RICH, "p-moka", 2)).await;
    assert_eq!(other.0, 422, "{}", other.1);
    let new = keyed(&shop, "/api/v1/orders", "another key", &asked).await;
    assert_eq!(new.0, 503, "nobody knows the price now: {}", new.1);
    assert!(supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_key_is_answered_again_as_it_was_and_the_key_is_no_other_commands() {
    let data = tempfile::tempdir().expect("a folder");
    let (shop, supervisor) = inside(&data).await;
    let placed = keyed(&shop, "/api/v1/orders", "k-place", &order(RICH, "p-moka", 1)).await.1;
    let path = format!("/api/v1/orders/{}", placed["order_id"].as_str().expect("an id"));
    let version = eventually(PATIENCE, "its end", async || {
        let told = ask(&shop, &path).await.1;
        (told["status"] == "confirmed").then(|| told["version"].clone())
    })
    .await;
    let decided = |what: &str, key: &'static str, version: &Value| {
        let post = shop.mesh.caller(BROWSER).post(GATEWAY, format!("{path}/{what}"));
        let post = post.header("idempotency-key", key).json(&Value::Null);
        let post = post.header("if-match", &format!("\"{version}\""));
        async move {
            let answer = post.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
            let body = serde_json::from_slice::<Value>(&body.expect("its body"));
            (status, body.unwrap_or_default()["status"].clone())
        }
    };
    let cancelled = decided("cancel", "k-cancel", &version).await;
    assert_eq!(cancelled, (202, json!("processing")));
    eventually(PATIENCE, "the cancellation", async || {
        (ask(&shop, &path).await.1["status"] == "cancelled").then_some(())
    })
    .await;
    assert_eq!(decided("cancel", "k-cancel", &version).await, cancelled, "the first answer");
    assert_eq!(decided("cancel", "k-2", &version).await, (202, json!("cancelled")), "it is so");
    assert_eq!(decided("ship", "k-cancel", &version).await.0, 422, "the key of the cancellation");
    assert_eq!(decided("cancel", "k-place", &version).await.0, 422, "the key of the placing");
    assert_eq!(decided("ship", "k-ship", &version).await.0, 412, "the order has changed");
    let again = keyed(&shop, "/api/v1/orders", "k-cancel", &order(RICH, "p-moka", 1)).await;
    assert_eq!(again.0, 422, "{}", again.1);
    assert!(supervisor.shutdown(PATIENCE).await);
}

const RETRIES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: NAME
spec:
  hosts:
  - HOST
  gateways:
  - mesh
  - api-gateway
  http:
  - route:
    - destination:
        host: HOST
    retries:
      attempts: 10
      retryOn: 5xx,reset
";

#[tokio::test]
async fn an_order_whose_answers_are_lost_and_that_is_sent_again_is_placed_once() {
    const ORDERS: usize = 6;
    let World { program, client, _data } = world().await;
    // The gateway has a resource of this name from the beginning.
    for (host, destination) in [("gateway", "web-app"), ("orders", "orders")] {
        let retry = RETRIES.replace("NAME", host).replace("HOST", destination);
        let post = client.request(Method::POST, "/control/istio").body(retry);
        let applied = send(post).await.expect("an answer");
        assert_eq!(applied.status, 200, "{}", applied.text());
        let fault = json!({
            "kind": "connection_reset", "from": "", "to": host, "subset": "", "instance": "",
            "terms": [], "percent": 50.0, "delay_ms": 0, "jitter_ms": 0,
            "ttl_s": 300, "like_istio": false,
        });
        let injected = client.post("/control/faults", &fault).await;
        assert_eq!(injected.status, 201, "{}", injected.text());
    }
    // Nobody sends a key.
    let mut ids = BTreeSet::new();
    for _ in 0..ORDERS {
        let placed = client.post("/api/v1/orders", &order(RICH, "p-beans", 1)).await;
        assert_eq!(placed.status, 202, "{}", placed.text());
        ids.insert(placed.field("order_id"));
    }
    let faults = client.get("/control/faults").await.json();
    let lost: u64 = faults["active"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| fault["injected"].as_u64().expect("a number"))
        .sum();
    assert!(lost > 2, "hardly an answer was lost: {faults}");
    send(client.request(Method::DELETE, "/control/faults")).await.expect("an answer");
    // The list follows the events in their order: with the last of these it has what came before.
    let kept = eventually(PATIENCE, "all are listed", async || {
        let kept = client.get("/api/v1/orders?limit=200").await.json();
        let kept = kept["orders"].as_array().expect("orders").iter();
        let kept: BTreeSet<_> =
            kept.map(|order| order["order_id"].as_str().expect("an id").to_owned()).collect();
        kept.is_superset(&ids).then_some(kept)
    });
    let kept = kept.await;
    assert_eq!((ids.len(), &kept), (ORDERS, &ids), "one order for each that was asked for");
    program.stop().await;
}

#[tokio::test]
async fn a_decision_on_an_old_version_is_refused() {
    let World { program, client, _data } = world().await;
    let location = placed(&client, &order(RICH, "p-moka", 1)).await.header("location").to_owned();
    let etag = client.get(&location).await.header("etag").to_owned();
    let (cancel, ship) = (format!("{location}/cancel"), format!("{location}/ship"));
    let stale = with(&client, &ship, ("if-match", "\"1\""), &Value::Null).await;
    assert_eq!((stale.status, stale.header("content-type")), (412, "application/problem+json"));
    assert_eq!(client.get(&location).await.header("etag"), etag, "a refusal changed it");
    let shipped = with(&client, &ship, ("if-match", &etag), &Value::Null).await;
    assert_eq!((shipped.status, shipped.field("status")), (202, "shipped".into()));
    assert_ne!(client.get(&location).await.header("etag"), etag);
    // Asked again the answer is the same; what cannot be undone is not.
    assert_eq!(client.post(&ship, &Value::Null).await.status, 202);
    assert_eq!(client.post(&cancel, &Value::Null).await.status, 409);
    program.stop().await;
}

#[tokio::test]
async fn a_cancelled_order_is_cancelled_once_and_refunded() {
    let World { program, client, _data } = world().await;
    let location = placed(&client, &order(RICH, "p-moka", 1)).await.header("location").to_owned();
    let cancel = format!("{location}/cancel");
    let any = with(&client, &cancel, ("if-match", "*"), &Value::Null).await;
    assert_eq!(any.status, 202, "{}", any.text());
    eventually(PATIENCE, "the cancellation", async || {
        (client.get(&location).await.field("status") == "cancelled").then_some(())
    })
    .await;
    let end = client.get(&location).await;
    assert_eq!(end.field("reason"), "requested");
    assert_eq!(client.post(&cancel, &Value::Null).await.status, 202, "it is so already");
    assert_eq!(client.get(&location).await.header("etag"), end.header("etag"));
    for what in ["ship", "redrive"] {
        let refused = client.post(&format!("{location}/{what}"), &Value::Null).await;
        assert_eq!(refused.status, 409, "{what}: {}", refused.text());
    }
    let user = client.get(&format!("/api/v1/users/{RICH}")).await.json();
    let payments = user["payments"].as_array().expect("payments").iter();
    let purposes: BTreeSet<_> = payments.map(|p| p["purpose"].as_str().expect("a word")).collect();
    assert_eq!(purposes.into_iter().collect::<Vec<_>>(), ["payment", "refund"]);
    program.stop().await;
}

#[tokio::test]
async fn a_trace_that_comes_in_goes_through_every_service() {
    let World { program, client, _data } = world().await;
    for flags in ["01", "00", "02"] {
        let trace = format!("4bf92f3577b34da6a3ce929d0e0e47{flags}");
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let asked = order(RICH, "p-moka", 1);
        let post = client.json("/api/v1/orders", &asked).header("traceparent", &parent);
        let answer = send(post.header("prefer", "wait=20")).await.expect("an answer");
        assert_eq!(answer.field("status"), "confirmed");
        let traced: Vec<_> = answer.header("traceresponse").split('-').collect();
        assert_eq!((traced.len(), traced.get(1)), (4, Some(&&*trace)), "{traced:?}");
        let path = format!("/traces/{trace}/jaeger.json");
        eventually(PATIENCE, "the whole trace", async || {
            let told = client.get(&path).await.text();
            let all =
                ["gateway", "orders", "inventory", "payments", "bank-customer", "bank-merchant"];
            let is_in = |name: &&str| told.contains(&format!("\"serviceName\":\"{name}\""));
            all.iter().all(is_in).then_some(())
        })
        .await;
    }
    program.stop().await;
}

#[tokio::test]
async fn the_spans_of_a_two_phase_commit_say_who_voted_how_and_what_was_decided() {
    let World { program, client, _data } = world().await;
    for (who, product, vote, decision) in
        [(RICH, "p-moka", "yes", "commit"), (POOR, "p-chair", "no", "abort")]
    {
        let ended = placed(&client, &order(who, product, 1)).await;
        let trace = ended.header("traceresponse").split('-').nth(1).expect("a trace").to_owned();
        let path = format!("/traces/{trace}/jaeger.json");
        eventually(PATIENCE, "vote and decision", async || {
            let told = client.get(&path).await.json();
            let spans = told["data"][0]["spans"].as_array()?;
            let says = |name: &str, key: &str, value: &str| {
                let tag = |tag: &Value| tag["key"] == key && tag["value"] == value;
                let of = |span: &&Value| span["operationName"] == name;
                let mut named = spans.iter().filter(of);
                named.any(|span| span["tags"].as_array().is_some_and(|tags| tags.iter().any(tag)))
            };
            (says("POST /transactions/{id}/prepare", "transaction.vote", vote)
                && says("POST /transactions/{id}/finish", "transaction.decision", decision)
                && says("payments.decide", "transaction.decision", decision))
            .then_some(())
        })
        .await;
    }
    program.stop().await;
}

/// What only the mesh may say, as somebody outside would forge it.
const FORGED: [(&str, &str); 7] = [
    // A deadline of nothing: the request would end before it began.
    ("x-envoy-expected-rq-timeout-ms", "0"),
    ("x-vitrine-origin", "load"),
    ("x-vitrine-caller", "forged-caller"),
    ("ce-type", "forged.topic"),
    ("ce-id", "forged-id"),
    ("ce-source", "forged-source"),
    ("ce-vitrinelagus", "86400000000"),
];

#[tokio::test]
async fn nobody_outside_can_speak_for_the_mesh() {
    let World { program, client, _data } = world().await;
    let mut post = client.json("/api/v1/orders", &order(RICH, "p-moka", 1));
    for (name, value) in FORGED {
        post = post.header(name, value);
    }
    let placed = send(post.header("prefer", "wait=20")).await.expect("an answer");
    assert_eq!(placed.field("status"), "confirmed", "{}", placed.text());
    let orders = client.get("/api/v1/orders").await.json();
    assert_eq!(orders["orders"][0]["origin"], "api", "{orders}");

    let brew = Method::from_bytes(b"BREW").expect("a method by its form");
    for (method, status, name) in
        [(Method::GET, 200, "GET /api/v1/products"), (brew, 405, "HTTP /api/v1/products")]
    {
        let mut request = client.request(method, "/api/v1/products");
        for (name, value) in FORGED {
            request = request.header(name, value);
        }
        let answer = send(request).await.expect("an answer");
        assert_eq!(answer.status, status);
        let trace = answer.header("traceresponse").split('-').nth(1).expect("a trace").to_owned();
        let told = client.get(&format!("/traces/{trace}/jaeger.json")).await.text();
        assert!(told.contains(&format!("\"operationName\":\"{name}\"")), "{told}");
        assert!(!told.contains("forged") && !told.contains("consumer"), "{told}");
    }
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains(r#"http_request_method="_OTHER""#), "{metrics}");
    assert!(!metrics.contains("forged") && !metrics.contains("BREW"), "{metrics}");
    program.stop().await;
}

#[tokio::test]
async fn looking_at_the_shop_is_no_traffic() {
    let World { program, client, _data } = world().await;
    let page = client.get("/orders/new").await.text();
    assert!(page.contains("Moka pot") && page.contains("Ada Brandt"), "{page}");
    for path in ["/", "/orders", "/traces"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    assert_eq!(
        client.get("/traces/00000000000000000000000000000000/jaeger.json").await.status,
        404
    );
    let metrics = client.get("/metrics").await.text();
    let calls = metrics.lines().filter(|line| line.contains("_request_duration_seconds_count"));
    assert_eq!(calls.collect::<Vec<_>>(), [""; 0]);
    program.stop().await;
}

#[tokio::test]
async fn every_entry_of_a_list_is_on_exactly_one_page() {
    let World { program, client, _data } = world().await;
    for _ in 0..5 {
        placed(&client, &order(RICH, "p-beans", 1)).await;
    }
    placed(&client, &order(POOR, "p-chair", 1)).await;
    for (list, name, id, count) in [
        ("/api/v1/orders?limit=2", "orders", "order_id", 6),
        ("/api/v1/orders?limit=2&status=confirmed", "orders", "order_id", 5),
        ("/api/v1/orders?limit=2&user_id=c-1042", "orders", "order_id", 1),
        ("/api/v1/orders?limit=6", "orders", "order_id", 6),
        ("/api/v1/products?limit=5", "products", "product_id", shop::seed::products().len()),
        ("/api/v1/users?limit=1", "users", "user_id", shop::seed::users().len()),
    ] {
        let (mut seen, mut path) = (Vec::new(), list.to_owned());
        loop {
            let page = client.get(&path).await.json();
            let entries = page[name].as_array().expect("a named list");
            seen.extend(entries.iter().map(|entry| entry[id].as_str().expect("an id").to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("{list}&cursor={next}");
        }
        assert_eq!(seen.len(), count, "{list}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), count, "{list}: one came twice");
    }
    program.stop().await;
}

#[tokio::test]
async fn the_api_without_a_version_is_the_newest() {
    let World { program, client, _data } = world().await;
    for path in ["/products", "/products/p-moka", "/users", "/orders?limit=1", "/openapi.json"] {
        let newest = client.get(&format!("/api{path}")).await;
        let first = client.get(&format!("/api/v1{path}")).await;
        assert_eq!((newest.status, newest.json()), (200, first.json()), "{path}");
    }
    assert_eq!(client.get("/api/v2/products").await.status, 404);
    let described = client.get("/openapi.json").await.json();
    for path in ["/products", "/orders", "/orders/{id}/cancel", "/users/{id}", "/health"] {
        assert!(described["paths"][path].is_object(), "{path} is not described");
    }
    program.stop().await;
}

/// Requests of every operation, each with the status it comes to. `ORDER` is a confirmed order,
/// `GONE` one that was cancelled.
const ASKED: [(&str, &str, &str, u16); 26] = [
    ("GET /products", "/products?limit=3", "", 200),
    ("GET /products", "/products?limit=0", "", 400),
    ("GET /products/{id}", "/products/p-moka", "", 200),
    ("GET /products/{id}", "/products/p-nothing", "", 404),
    ("GET /users", "/users", "", 200),
    ("GET /users", "/users?cursor=nobody", "", 400),
    ("GET /users/{id}", "/users/c-1001", "", 200),
    ("GET /users/{id}", "/users/c-0000", "", 404),
    ("GET /orders", "/orders?limit=2", "", 200),
    ("GET /orders", "/orders?status=lost", "", 400),
    ("GET /orders/{id}", "/orders/ORDER", "", 200),
    ("GET /orders/{id}", "/orders/GONE", "", 200),
    ("GET /orders/{id}", "/orders/ord-NOBODY00", "", 404),
    ("POST /orders", "/orders", "an order", 202),
    ("POST /orders", "/orders", "{}", 400),
    ("POST /orders", "/orders", "huge", 413),
    ("POST /orders", "/orders", "no JSON", 415),
    ("POST /orders", "/orders", "another order of that key", 422),
    ("POST /orders/{id}/cancel", "/orders/GONE/cancel", "", 202),
    ("POST /orders/{id}/cancel", "/orders/ord-NOBODY00/cancel", "", 404),
    ("POST /orders/{id}/ship", "/orders/GONE/ship", "", 409),
    ("POST /orders/{id}/ship", "/orders/ORDER/ship", "old", 412),
    ("POST /orders/{id}/ship", "/orders/ORDER/ship", "odd", 400),
    ("POST /orders/{id}/ship", "/orders/ORDER/ship", "", 202),
    ("POST /orders/{id}/redrive", "/orders/ORDER/redrive", "", 409),
    ("GET /health", "/health", "", 200),
];

/// A request of [`ASKED`].
fn asked(client: &Client, method: &str, path: &str, how: &str) -> reqwest::RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = client.request(method, path);
    let json = |body: String| {
        request.try_clone().expect("it").header("content-type", "application/json").body(body)
    };
    let order = |quantity| order(RICH, "p-beans", quantity).to_string();
    match how {
        "" => request,
        "old" => request.header("if-match", "\"1\""),
        "odd" => request.header("if-match", "yesterday"),
        "no JSON" => request.header("content-type", "text/plain").body("an order"),
        "huge" => json(" ".repeat(70 * 1024)),
        "an order" => json(order(1)).header("idempotency-key", "described"),
        "another order of that key" => json(order(2)).header("idempotency-key", "described"),
        body => json(body.to_owned()),
    }
}

#[tokio::test]
async fn every_answer_is_what_the_document_says_and_every_operation_is_in_it() {
    let World { program, client, _data } = world().await;
    let document = Document::new(client.get("/openapi.json").await.json());
    let paid = placed(&client, &order(RICH, "p-moka", 1)).await;
    let declined = placed(&client, &order(POOR, "p-chair", 1)).await;
    assert_eq!(document.faults("POST", "/orders", &paid), [""; 0]);
    let mut seen = BTreeSet::new();
    let at_root = ["/livez", "/readyz", "/metrics", "/openapi.json"];
    let at_root = at_root.map(|path| (format!("GET {path}"), path.to_owned(), "", 200));
    let below = ASKED.map(|(operation, path, how, status)| {
        let path = path.replace("ORDER", &paid.field("order_id"));
        let path = format!("/api/v1{}", path.replace("GONE", &declined.field("order_id")));
        (operation.to_owned(), path, how, status)
    });
    for (operation, path, how, status) in below.into_iter().chain(at_root) {
        let (method, template) = operation.split_once(' ').expect("method and path");
        let answer = send(asked(&client, method, &path, how)).await.expect("an answer");
        assert_eq!(answer.status, status, "{operation} {path} {how}: {}", answer.text());
        let faults = document.faults(method, template, &answer);
        assert_eq!(faults, [""; 0], "{operation} {path} {how}: {}", answer.text());
        seen.insert((method.to_owned(), template.to_owned()));
    }
    assert_eq!(document.operations(), seen);
    // What is described as a number is taken up to its bounds and no further.
    let mut numbers = 0;
    for (method, template) in seen {
        for (number, within) in document.numbers(&method, &template) {
            let answer = client.get(&format!("/api/v1{template}?{number}")).await;
            let expected = if within { 200 } else { 400 };
            assert_eq!(answer.status, expected, "{template}?{number}: {}", answer.text());
            numbers += 1;
        }
    }
    assert_eq!(numbers, 12, "three lists have a limit");
    program.stop().await;
}

/// A shop in this process, for tests that take a service away.
async fn inside(data: &tempfile::TempDir) -> (Shop, Supervisor) {
    let clock = Clock::system();
    let stores = storage::open(data.path(), Durability::Process, &clock).await.expect("a shop");
    let (supervisor, _ends) = Supervisor::new();
    let shop = Shop::assemble(stores, &supervisor, clock, IdSource::seeded(1)).await;
    let shop = shop.expect("it starts");
    shop.go(&supervisor).await.expect("it goes");
    (shop, supervisor)
}

async fn ask(shop: &Shop, path: &str) -> (u16, Value) {
    let answer = shop.mesh.caller(BROWSER).get(GATEWAY, path).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("its body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_a_missing_service_and_whether_it_matters() {
    let data = tempfile::tempdir().expect("a folder");
    let (shop, supervisor) = inside(&data).await;
    let (status, health) = ask(&shop, "/api/v1/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("healthy")), "{health}");
    shop.mesh.deregister(RECOMMENDATIONS);
    let (status, health) = ask(&shop, "/health").await;
    assert_eq!((status, &health["status"]), (503, &json!("degraded")));
    assert_eq!(health["services"][RECOMMENDATIONS]["status"], "down");
    assert_eq!(ask(&shop, "/readyz").await.0, 200, "it works without");
    shop.mesh.deregister(CATALOG);
    let (status, health) = ask(&shop, "/health").await;
    assert_eq!((status, &health["status"]), (503, &json!("unhealthy")));
    assert!(health["services"][CATALOG]["reason"].is_string());
    assert_eq!(ask(&shop, "/readyz").await.0, 503);
    assert_eq!(ask(&shop, "/livez").await.0, 200, "the process lives");
    assert!(supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_shown_without_recommendations_that_do_not_come() {
    let data = tempfile::tempdir().expect("a folder");
    let (shop, supervisor) = inside(&data).await;
    let hanging = Router::new().fallback(get(std::future::pending::<()>));
    shop.mesh.deregister(RECOMMENDATIONS);
    shop.mesh.register(RECOMMENDATIONS, hanging);
    let began = Instant::now();
    let (status, product) = ask(&shop, "/api/v1/products/p-moka").await;
    let took = began.elapsed();
    assert_eq!((status, &product["product_id"]), (200, &json!("p-moka")));
    assert_eq!(product["recommendations"], json!([]));
    assert!(product["errors"]["recommendations"].is_string());
    // After a second, and what a busy machine takes besides.
    let patience = Duration::from_millis(900)..Duration::from_secs(15);
    assert!(patience.contains(&took), "given up after {took:?}");
    // What is not there is told at once. Of some times the shortest, for a machine may be busy.
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(ask(&shop, "/api/v1/products/none").await.0, 404);
        shortest = shortest.min(began.elapsed());
    }
    assert!(shortest < patience.start, "an unknown product is told after {shortest:?}");
    assert!(supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_shown_with_what_could_be_fetched_and_why_the_rest_could_not() {
    let data = tempfile::tempdir().expect("a folder");
    let (shop, supervisor) = inside(&data).await;
    shop.mesh.deregister(PAYMENTS);
    let (status, user) = ask(&shop, "/api/v1/users/c-1001").await;
    assert_eq!((status, &user["name"]), (200, &json!("Ada Brandt")));
    assert_eq!((&user["orders"], &user["payments"]), (&json!([]), &json!([])));
    assert!(user["errors"]["payments"].is_string() && user["errors"]["orders"].is_null());
    assert_eq!(ask(&shop, "/api/v1/users/c-0000").await.0, 404, "there is no such customer");
    shop.mesh.deregister(USERS);
    let (status, user) = ask(&shop, "/api/v1/users/c-1001").await;
    assert_eq!((status, &user["user_id"]), (200, &json!("c-1001")), "{user}");
    assert_eq!((&user["orders"], &user["name"]), (&json!([]), &Value::Null), "{user}");
    assert!(user["errors"]["users"].is_string(), "{user}");
    assert!(supervisor.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn a_form_that_is_refused_comes_back_filled_in() {
    let World { program, client, _data } = world().await;
    let form = "user_id=c-1042&product_id=p-pen&quantity=0&product_id=p-chair&quantity=2\
                &payment_method=card&key=k";
    let post = client.request(Method::POST, "/orders/new").body(form);
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    let refused = send(post).await.expect("an answer");
    assert_eq!(refused.status, 303);
    let page = client.get(refused.header("location")).await.text();
    assert!(page.contains("Quantity 1: Must be a whole number from 1 to 100."), "{page}");
    let chosen: Vec<&str> = page
        .split("<option ")
        .filter_map(|option| option.split_once('>'))
        .filter(|(attributes, _)| attributes.contains("selected"))
        .filter_map(|(attributes, _)| attributes.split('"').nth(1))
        .collect();
    // The load control on every page has its own.
    let of_form = chosen.iter().skip_while(|value| **value != "c-1042").take(3);
    assert_eq!(of_form.collect::<Vec<_>>(), [&"c-1042", &"p-pen", &"p-chair"], "{page}");
    program.stop().await;
}

#[tokio::test]
async fn orders_reads_no_more_than_the_gateway_where_a_route_leads_past_it() {
    let World { program, client, _data } = world().await;
    let past = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: past}\n\
                spec:\n  hosts: [api.example.com]\n  gateways: [api-gateway]\n  \
                http: [{route: [{destination: {host: orders}}]}]\n";
    let apply = client.request(Method::POST, "/control/istio").body(past);
    assert_eq!(send(apply).await.expect("an answer").status, 200);
    let order = r#"{"user_id":"c-1001","items":[{"product_id":"p-moka","quantity":1}]}"#;
    for (spaces, status) in [(0, 202), (64 * 1_024, 413)] {
        let post = client
            .request(Method::POST, "/api/v1/orders")
            .header("host", "api.example.com")
            .header("content-type", "application/json")
            .body(format!("{order}{}", " ".repeat(spaces)));
        let answer = send(post).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    program.stop().await;
}
