//! The page of an order while real faults act on its two-phase commit, read as somebody without
//! JavaScript reads it.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Answer, Client, Launch, Program, client::send, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to be drawn as late.
const DELAY_MS: u32 = 300;

async fn world() -> (Program, Client) {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    Launch::new(PROGRAM).args(&throwaway).start().await
}

async fn inject(client: &Client, fault: Value) -> String {
    let begun = client.post("/control/faults", &fault).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    begun.field("id")
}

fn kill(service: &str, instance: &str) -> Value {
    json!({ "kind": "kill_instance", "to": service, "instance": instance, "ttl_s": 300 })
}

async fn end(client: &Client, fault: &str) {
    let path = format!("/control/faults/{fault}");
    let ended = send(client.request(Method::DELETE, &path)).await.expect("an answer");
    assert!(ended.status < 300, "{}", ended.text());
}

async fn place(client: &Client) -> Answer {
    let items = json!([{ "product_id": "p-moka", "quantity": 1 }]);
    let order = json!({ "user_id": "c-1001", "items": items });
    let placed = client.post("/api/v1/orders", &order).await;
    assert_eq!(placed.status, 202, "{}", placed.text());
    placed
}

/// The words of a page, without its tags.
async fn read(client: &Client, path: &str) -> String {
    let html = client.get(path).await.text();
    let mut text = String::new();
    for part in html.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |part| part.1));
    }
    text
}

/// Waits until a page says all of it.
async fn until(client: &Client, path: &str, what: &str, sentences: &[&str]) -> String {
    eventually(PATIENCE, what, async || {
        let text = read(client, path).await;
        sentences.iter().all(|sentence| text.contains(sentence)).then_some(text)
    })
    .await
}

#[tokio::test]
async fn a_delay_a_crash_after_the_vote_and_the_recovery_are_drawn_as_they_happened() {
    let (program, client) = world().await;
    let delay = json!({
        "kind": "delay", "from": "payments", "to": "bank-customer", "percent": 100.0,
        "delay_ms": DELAY_MS, "ttl_s": 300, "limit": 1,
    });
    let delay = inject(&client, delay).await;
    // What was decided does not reach the other bank until it is killed, however long that takes:
    // it is not told, and what it asks for is not heard.
    let finish =
        json!({ "on": "uri", "name": "", "op": "regex", "value": "/transactions/.*/finish" });
    let hang = json!({
        "kind": "hang", "from": "payments", "to": "bank-merchant", "percent": 100.0,
        "terms": [finish], "ttl_s": 300,
    });
    let hang = inject(&client, hang).await;
    let unheard = json!({
        "kind": "abort", "from": "bank-merchant", "to": "payments", "percent": 100.0,
        "status": 503, "ttl_s": 300,
    });
    let unheard = inject(&client, unheard).await;
    let placed = place(&client).await;
    let page = format!("/orders/{}", placed.field("order_id"));
    let voted = ["bank-merchant to coordinator: votes yes", "log commit"];
    until(&client, &page, "it has voted, and it is decided", &voted).await;
    let crash = inject(&client, kill("bank-merchant", "bank-merchant-v1-1")).await;
    end(&client, &hang).await;
    end(&client, &unheard).await;
    let down = [
        "Committing",
        "lock stays",
        "bank-merchant in doubt for",
        ", lock held",
        "no answer",
        "committed",
    ];
    let text = until(&client, &page, "it is down with its promise", &down).await;
    assert!(text.contains(&format!("{delay}: delayed ")), "{text}");
    assert!(text.contains(&format!("crash, {crash}")), "{text}");
    assert!(!text.contains("log replayed"), "{text}");

    // Whoever speaks first ends the doubt, and the coordinator tries again and again: nothing of
    // that arrives, so that the bank has to ask.
    let silence = json!({
        "kind": "abort", "from": "payments", "to": "bank-merchant", "percent": 100.0,
        "status": 503, "ttl_s": 300,
    });
    inject(&client, silence).await;
    end(&client, &crash).await;
    let over = [
        "in doubt, log replayed",
        "lock released",
        "Recovery of the in-doubt participant",
        "coordinator to bank-merchant: the outcome is commit",
    ];
    let text = until(&client, &page, "it finds its promise in its log and asks", &over).await;
    for sentence in [
        format!("bank-merchant is killed by {crash}"),
        "bank-merchant is started again".to_owned(),
        format!("coordinator to bank-customer: prepare, {delay}: delayed "),
    ] {
        assert!(text.contains(&sentence), "{sentence} is not in {text}");
    }
    assert!(!text.contains("in doubt for 0 ms"), "{text}");
    program.stop().await;
}

#[tokio::test]
async fn while_payments_is_down_its_panel_says_so_and_the_others_are_told() {
    let (program, client) = world().await;
    let placed = place(&client).await;
    let page = format!("/orders/{}", placed.field("order_id"));
    until(&client, &page, "it is confirmed", &["Confirmed", "log commit"]).await;
    let v1 = (1..=4).map(|number| format!("payments-v1-{number}"));
    let instances: Vec<String> =
        v1.chain((1..=3).map(|number| format!("payments-v2-{number}"))).collect();
    for instance in &instances {
        inject(&client, kill("payments", instance)).await;
    }
    let told = ["Payments cannot be asked.", "503 Service Unavailable", "Retry", "OrderConfirmed"];
    let text = until(&client, &page, "its panel says so", &told).await;
    assert!(!text.contains("None was begun"), "nobody knows that: {text}");
    let ended = send(client.request(Method::DELETE, "/control/faults")).await.expect("an answer");
    assert_eq!(ended.status, 200);
    until(&client, &page, "it is told again", &["log commit"]).await;
    program.stop().await;
}

#[tokio::test]
async fn a_cancellation_later_is_a_trace_of_its_own_and_both_are_listed() {
    let (program, client) = world().await;
    let placed = place(&client).await;
    let id = placed.field("order_id");
    let page = format!("/orders/{id}");
    until(&client, &page, "it is confirmed", &["Confirmed", "log commit"]).await;
    let cancelled = client.post(&format!("/api/v1/orders/{id}/cancel"), &Value::Null).await;
    assert!(cancelled.status < 300, "{}", cancelled.text());
    let listed = ["All traces of this order", "/cancel", "PaymentRefunded", "refund"];
    until(&client, &page, "both traces are listed", &listed).await;
    let html = client.get(&page).await.text();
    let list = html.split_once("order-traces").map_or("", |part| part.1);
    let list = list.split_once("</ol>").map_or("", |part| part.0);
    let links: Vec<&str> =
        list.split("href=\"").skip(1).filter_map(|l| l.split('"').next()).collect();
    assert_eq!(links.len(), 2, "{list}");
    for link in links {
        assert_eq!(client.get(link).await.status, 200, "{link}");
    }
    program.stop().await;
}
