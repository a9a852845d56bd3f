//! Faults and breakers against the built program: what is injected is listed and counted, the kill
//! switch ends all of it, and the shop goes on as if nothing had been.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::{Clock, TraceContext};
use contract::{Money, order::Origin, shop::PaymentMethod};
use http::Method;
use messaging::NewMessage;
use serde_json::{Value, json};
use shop::{
    bus,
    orders::{
        NewOrder, OrderEvent,
        decide::{Input, OrderRecord, decide},
    },
};
use std::time::Duration;
use storage::Durability;
use testkit::{Answer, Books, Client, Launch, Program, client::send, eventually};
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);
/// Draws follow the seed, so that every run injects into the same calls.
const SEED: &str = "20261124";

struct World {
    program: Program,
    client: Client,
}

async fn world() -> World {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0", "--seed", SEED];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    World { program, client }
}

/// A command as a program sends it; what its kind does not have is left empty.
fn fault(kind: &str, to: &str, percent: f64, ttl_s: u32) -> Value {
    let delay_ms = if ["delay", "message_delay"].contains(&kind) { 1_000 } else { 0 };
    let status = if kind == "abort" { 503 } else { 0 };
    json!({
        "kind": kind, "from": "", "to": to, "subset": "", "instance": "", "terms": [],
        "percent": percent, "delay_ms": delay_ms, "jitter_ms": 0, "status": status,
        "ttl_s": ttl_s,
        "like_istio": false,
    })
}

async fn inject(client: &Client, fault: &Value) -> String {
    let begun = client.post("/control/faults", fault).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    begun.field("id")
}

async fn delete(client: &Client, path: &str) -> Answer {
    send(client.request(Method::DELETE, path)).await.expect("an answer")
}

async fn order(client: &Client, wait: bool) -> Answer {
    let items = json!([{ "product_id": "p-moka", "quantity": 1 }]);
    let post = client.json("/api/v1/orders", &json!({ "user_id": "c-1001", "items": items }));
    let post = if wait { post.header("prefer", "wait=20") } else { post };
    send(post).await.expect("an answer")
}

/// The counters of an active fault: calls it is for, calls it hit.
async fn counts(client: &Client, id: &str) -> Option<(u64, u64)> {
    let all = client.get("/control/faults").await.json();
    let active = all["active"].as_array()?.iter().find(|fault| fault["id"] == *id)?.clone();
    let (matched, injected) = (active["matched"].as_u64()?, active["injected"].as_u64()?);
    assert_eq!(active["spared"], json!(matched - injected), "{active}");
    Some((matched, injected))
}

/// Closes what the faults have opened.
async fn reset_breakers(client: &Client) {
    let all = client.get("/control/breakers").await.json();
    for breaker in all.as_array().expect("breakers") {
        let id = breaker["line"]["id"].as_str().expect("an id").replace('~', "%7E");
        let reset = client.post(&format!("/control/breakers/{id}"), &json!("reset")).await;
        assert_eq!((reset.status, reset.field("state")), (200, "closed".into()), "{id}");
    }
}

#[tokio::test]
async fn half_of_the_calls_to_payments_fail_until_the_kill_switch_and_then_orders_confirm() {
    let World { program, client } = world().await;
    let id = inject(&client, &fault("abort", "payments", 50.0, 300)).await;
    let (matched, injected) = eventually(PATIENCE, "calls are hit and spared", async || {
        assert_eq!(order(&client, false).await.status, 202);
        counts(&client, &id).await.filter(|(matched, hit)| *hit > 0 && hit < matched)
    })
    .await;
    // Exactly half of each hundred, at random places.
    assert!(injected <= 50 || matched > 100, "{injected} of {matched}, seed {SEED}");

    let ended = delete(&client, "/control/faults").await.json();
    assert_eq!(ended["active"], json!([]));
    assert!(ended["held_us"].is_i64(), "{ended}");
    assert_eq!((&ended["ended"][0]["id"], &ended["ended_count"]), (&json!(id), &json!(1)));
    let refused = client.post("/control/faults", &fault("abort", "payments", 50.0, 300)).await;
    assert_eq!((refused.status, refused.header("content-type")), (409, "application/problem+json"));
    reset_breakers(&client).await;
    let confirmed = order(&client, true).await;
    assert_eq!((confirmed.status, confirmed.field("status")), (200, "confirmed".into()));

    let released = client.post("/control/faults/release", &Value::Null).await.json();
    assert_eq!(released["held_us"], Value::Null);
    inject(&client, &fault("delay", "payments", 1.0, 1)).await;
    program.stop().await;
}

#[tokio::test]
async fn payments_that_never_answer_are_voided_and_the_healed_shop_ends_cancelled_and_balanced() {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, client) = Launch::shop(PROGRAM, folder.path(), "0").start().await;
    inject(&client, &fault("abort", "payments", 100.0, 300)).await;
    let location = order(&client, false).await.header("location").to_owned();
    let page = location.replace("/api/v1", "");
    // The saga's patience is ten seconds of real time.
    eventually(2 * PATIENCE, "the saga gives up", async || {
        client.get(&page).await.text().contains("Void payment").then_some(())
    })
    .await;
    assert!(client.get(&page).await.text().contains("Whether money moved is unknown"));
    assert_eq!(client.get(&location).await.field("status"), "processing", "it was concluded");
    let breakers = client.get("/control/breakers").await.json();
    // One for each subset that was called.
    let opened = |breaker: &Value| {
        let id = breaker["line"]["id"].as_str().expect("an id");
        id.starts_with("bus~payments") && breaker["line"]["state"] == "open"
    };
    assert!(breakers.as_array().expect("breakers").iter().any(opened), "{breakers}");

    assert_eq!(delete(&client, "/control/faults").await.status, 200);
    reset_breakers(&client).await;
    eventually(4 * PATIENCE, "the order ends", async || {
        (client.get(&location).await.field("status") == "cancelled").then_some(())
    })
    .await;
    assert_eq!(client.get(&location).await.field("reason"), "payment_timed_out");
    let told = client.get(&page).await.text();
    assert!(told.contains("Payment timed out: payments did not answer within 10 s."), "{told}");
    program.stop().await;
    Books::at_rest(PROGRAM, folder.path()).await.assert_in_order();
}

#[tokio::test]
async fn a_message_nobody_can_read_is_a_dead_letter_until_it_is_retried() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = storage::open(folder.path(), Durability::Process, &Clock::system()).await;
    let stores = stores.expect("a shop");
    let lost = "payment.void:ord-LOST0001:3";
    stores.orders.place(with_message(lost)).await.expect("it is placed");
    stores.close().await;
    drop(stores);
    let (program, client) = Launch::shop(PROGRAM, folder.path(), "0").start().await;
    let listed = async || client.get("/control/dead-letters").await.json();
    let dead = async || {
        let listed = listed().await;
        let letter = listed["dead_letters"].get(0)?.clone();
        assert_eq!(listed["count"], 1, "{listed}");
        Some(letter)
    };
    let letter = eventually(PATIENCE, "it is given up", dead).await;
    assert_eq!(letter["message"]["id"], lost, "{letter}");
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("\nvitrine_dead_letters 1\n"), "{metrics}");
    assert_eq!(client.post("/control/dead-letters/nothing/retry", &Value::Null).await.status, 404);
    let retry = format!("/control/dead-letters/{lost}/retry");
    assert_eq!(client.post(&retry, &Value::Null).await.status, 202);
    let again = eventually(PATIENCE, "it is given up again", async || {
        dead().await.filter(|again| again["buried_us"] != letter["buried_us"])
    });
    assert_eq!(again.await["message"]["id"], lost);
    program.stop().await;
}

/// An order that is placed with a message that payments cannot read.
fn with_message(id: &str) -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let (lines, origin, payment_method) = (vec![], Origin::Api, PaymentMethod::Wallet);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let order_id = "ord-LOST0001".to_owned();
    let record = OrderRecord { order_id: order_id.clone(), ..OrderRecord::default() };
    let mut change = decide(&record, Input::Place(placed)).expect("it is placed");
    let (topic, key, body) = (bus::PAYMENT_VOID, order_id.clone(), json!({ "not": "a void" }));
    change.messages = vec![NewMessage { id: id.to_owned(), topic, key, body }];
    let (correlation_id, trace) = ("cor-1".into(), TraceContext::default());
    NewOrder { order_id, correlation_id, trace, key: None, change }
}

/// How many deliveries a trace says that a fault lost, and whether the one that arrived has it too.
fn lost_and_found(spans: &Value, fault: &str) -> (usize, bool) {
    let spans = spans.as_array().map_or(&[][..], Vec::as_slice);
    let tag = |span: &Value, key: &str| {
        let tags = span["tags"].as_array().expect("tags");
        let found = tags.iter().find(|tag| tag["key"] == key);
        found.map(|tag| tag["value"].clone()).unwrap_or_default()
    };
    let lost = spans.iter().filter(|span| {
        span["operationName"] == "send payment.authorize"
            && tag(span, "mesh.fault.id") == fault
            && tag(span, "error.type") == "message_lost"
            && tag(span, "span.kind") == "producer"
    });
    let arrived = spans.iter().any(|span| {
        span["operationName"] == "process payment.authorize"
            && tag(span, "vitrine.fault.id") == fault
    });
    (lost.count(), arrived)
}

#[tokio::test]
async fn a_message_that_is_lost_is_sent_again_and_no_breaker_counts_it() {
    let World { program, client } = world().await;
    let id = inject(&client, &fault("message_loss", "payments", 100.0, 300)).await;
    let placed = order(&client, false).await;
    let location = placed.header("location").to_owned();
    let often = async || counts(&client, &id).await.filter(|(_, lost)| *lost > 6);
    eventually(PATIENCE, "it is sent again and again", often).await;
    assert_eq!(client.get(&location).await.field("status"), "processing");
    let breakers = client.get("/control/breakers").await.json();
    let closed = |breaker: &Value| breaker["line"]["state"] == "closed";
    assert!(breakers.as_array().expect("breakers").iter().all(closed), "{breakers}");
    assert_eq!(delete(&client, &format!("/control/faults/{id}")).await.status, 200);
    let confirmed =
        async || (client.get(&location).await.field("status") == "confirmed").then_some(());
    eventually(PATIENCE, "it arrives at last", confirmed).await;
    let trace = placed.header("traceresponse").split('-').nth(1).expect("a trace").to_owned();
    let told = async || {
        let file = client.get(&format!("/traces/{trace}/jaeger.json")).await.json();
        let told = lost_and_found(&file["data"][0]["spans"], &id);
        (told.0 > 6 && told.1).then_some(file)
    };
    eventually(PATIENCE, "its trace blames the fault", told).await;
    let page = client.get(&location.replace("/api/v1", "")).await.text();
    assert!(page.contains(&id), "the page of the order does not name {id}");
    program.stop().await;
}

#[tokio::test]
async fn messages_that_all_arrive_twice_are_taken_once() {
    let World { program, client } = world().await;
    let id = inject(&client, &fault("message_duplication", "", 100.0, 300)).await;
    for _ in 0..3 {
        assert_eq!(order(&client, true).await.field("status"), "confirmed");
    }
    // A delivery is counted as matched before it is as injected.
    let all = async || counts(&client, &id).await.filter(|(of, hit)| of == hit && *hit >= 12);
    eventually(PATIENCE, "all of them are doubled", all).await;
    program.stop().await;
}

#[tokio::test]
async fn the_kill_switch_lets_go_what_hangs() {
    let World { program, client } = world().await;
    let id = inject(&client, &fault("delay", "catalog", 100.0, 300)).await;
    let hang = inject(&client, &fault("hang", "catalog", 100.0, 300)).await;
    let asking = client.clone();
    let hanging = async { (asking.get("/api/v1/products").await.status, Instant::now()) };
    let switch = async {
        let held = async || counts(&client, &hang).await.filter(|(_, hit)| *hit > 0);
        eventually(PATIENCE, "the call hangs", held).await;
        let at = Instant::now();
        assert_eq!(delete(&client, "/control/faults").await.status, 200);
        at
    };
    let ((status, answered), switched) = tokio::join!(hanging, switch);
    assert_eq!(status, 200, "{id} and {hang} left nothing behind");
    // A call between services may take 2 s; that is what would end it otherwise.
    assert!(answered - switched < Duration::from_secs(2), "{:?}", answered - switched);
    program.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_field() {
    let World { program, client } = world().await;
    let refused = async |fault: Value| {
        let answer = client.post("/control/faults", &fault).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        answer.json()["errors"][0]["field"].clone()
    };
    assert_eq!(refused(fault("abort", "paymnts", 50.0, 60)).await, "to");
    assert_eq!(refused(fault("abort", "payments", 0.0, 60)).await, "percent");
    assert_eq!(refused(fault("abort", "payments", 50.0, 0)).await, "ttl_s");
    assert_eq!(refused(fault("kill_instance", "payments", 50.0, 60)).await, "instance");
    let mut wish = fault("message_loss", "payments", 50.0, 60);
    wish["like_istio"] = json!(true);
    assert_eq!(refused(wish).await, "like_istio", "no route is on its way");
    assert_eq!(delete(&client, "/control/faults/F-99").await.status, 404);
    program.stop().await;
}

#[tokio::test]
async fn forms_do_without_scripts_what_the_panel_does() {
    let World { program, client } = world().await;
    let form = async |path: &str, body: &str| {
        let kind = "application/x-www-form-urlencoded";
        let post = client.request(Method::POST, path).header("content-type", kind);
        let answer = send(post.body(body.to_owned())).await.expect("an answer");
        assert_eq!(answer.status, 303, "{path}");
        answer.header("location").to_owned()
    };
    let there =
        form("/resilience/inject", "kind=delay&to=payments&percent=25&delay_s=1.5&ttl_s=60");
    assert_eq!(there.await, "/resilience");
    let listed = client.get("/control/faults").await.json();
    assert_eq!(listed["active"][0]["what"], "Delay 1.5 s on 25%");
    assert_eq!(form("/resilience/remove", "id=F-1").await, "/resilience");
    assert_eq!(client.get("/control/faults").await.json()["active"], json!([]));
    let again = form("/resilience/inject", "kind=delay&percent=30").await;
    assert!(again.starts_with("/resilience?kind=delay&percent=30&error=To"), "{again}");
    let most = "kind=abort&to=users&percent=80&ttl_s=60";
    let asked = form("/resilience/inject", most).await;
    assert!(asked.contains("percent=80") && asked.contains("error=This%20touches%2080"), "{asked}");
    assert_eq!(client.get("/control/faults").await.json()["active"], json!([]), "it asks first");
    assert_eq!(form("/resilience/inject", &format!("{most}&sure=yes")).await, "/resilience");
    assert_eq!(form("/resilience/remove", "id=F-2").await, "/resilience");
    assert_eq!(order(&client, true).await.field("status"), "confirmed");
    let thresholds = async |failures: &str| {
        let body = format!("id=gateway~orders&failures_in_a_row={failures}&wait_s=20");
        form("/resilience/thresholds", &body).await
    };
    assert_eq!(thresholds("3").await, "/resilience?thresholds=gateway%7Eorders");
    for wrong in ["0", "101", "many"] {
        let refused = thresholds(wrong).await;
        let kept = format!("thresholds=gateway%7Eorders&failures_in_a_row={wrong}&wait_s=20&error");
        assert!(refused.contains(&kept), "{refused}");
    }
    let breakers = client.get("/control/breakers").await.json();
    let ours = |breaker: &&Value| breaker["line"]["id"] == "gateway~orders";
    let ours = breakers.as_array().expect("breakers").iter().find(ours).expect("the breaker");
    assert_eq!(ours["settings"]["failures_in_a_row"], 3, "{ours}");
    assert_eq!(
        ours["history"][0]["why"],
        "thresholds: 5 in a row, 60 s → 3 in a row, 20 s, by page"
    );
    program.stop().await;
}

#[tokio::test]
async fn what_is_refused_before_the_gateway_has_an_id_too_and_the_process_lives_all_the_while() {
    let data = tempfile::tempdir().expect("a folder");
    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    inject(&client, &fault("abort", "gateway", 100.0, 60)).await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let method = if headers.len() > 1 { Method::POST } else { Method::GET };
        let request = client.request(method, path);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        send(request).await.expect("an answer")
    };
    let own = ("x-correlation-id", "my-own-7");
    for (path, headers, status) in [
        ("/api/v1/products", &[own][..], 503),
        ("/readyz", &[own], 503),
        ("/api/v1/orders", &[own, ("origin", "http://evil.example")], 403),
        ("/livez", &[own], 200),
    ] {
        let answer = ask(path, headers).await;
        assert_eq!((answer.status, answer.header(own.0)), (status, own.1), "{path}");
    }
    assert_eq!(ask("/api/v1/products", &[]).await.header(own.0).len(), 36, "one is made");
    assert_eq!(ask("/openapi.json", &[]).await.status, 200);
    program.stop().await;
}

#[tokio::test]
async fn what_a_fault_answers_in_place_of_the_gateway_is_traffic_with_a_trace_that_opens() {
    let World { program, client } = world().await;
    let id = inject(&client, &fault("abort", "gateway", 100.0, 60)).await;
    let answer = client.get("/api/v1/products").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let trace = answer.header("traceresponse").split('-').nth(1).expect("a trace").to_owned();
    let faults = client.get("/control/faults").await.json();
    let active = faults["active"].as_array().expect("faults");
    let own = active.iter().find(|fault| fault["id"] == *id).expect("it is active");
    assert_eq!(own["trace_id"], *trace, "{own}");
    let path = format!("/traces/{trace}/jaeger.json");
    let opened = eventually(PATIENCE, "the trace is kept", async || {
        let answer = client.get(&path).await;
        (answer.status == 200).then(|| answer.text())
    })
    .await;
    assert!(opened.contains(&id), "{opened}");
    let metrics = client.get("/metrics").await.text();
    let counted = metrics.lines().any(|line| {
        line.starts_with("istio_requests_total{")
            && line.contains("destination_workload=\"gateway\"")
            && line.contains("response_code=\"503\"")
    });
    assert!(counted, "{metrics}");
    program.stop().await;
}

#[tokio::test]
async fn of_a_body_that_breaks_off_at_the_gateway_so_many_bytes_arrive() {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0", "--seed", SEED];
    let mut program = Launch::new(PROGRAM).args(&throwaway).spawn();
    let address = program.address().await;
    let client = Client::new(address);
    for bytes in [0_usize, 10, 1_500] {
        let mut partial = fault("partial_body", "gateway", 100.0, 60);
        partial["after_bytes"] = json!(bytes);
        let id = inject(&client, &partial).await;
        let request =
            b"GET /api/v1/products HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = testkit::raw(address, request).await;
        assert_eq!(answer.status, 200, "{bytes}");
        let whole: usize = answer.header("content-length").parse().expect("a length");
        assert!(whole > 1_500, "{whole}");
        assert_eq!(answer.body.len(), bytes);
        assert_eq!(delete(&client, &format!("/control/faults/{id}")).await.status, 200);
    }
    program.stop().await;
}
