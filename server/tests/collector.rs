//! The whole shop and a real OTLP collector: an order is one trace over all services, and a
//! collector that goes away costs nobody anything but spans, which are counted.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

#[path = "../telemetry/tests/rotel/mod.rs"]
mod rotel;

use rotel::{Ports, Received, Rotel, until};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use testkit::{Answer, Client, Launch, Program, client::send, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);

async fn shop(ports: Ports, queue: &str) -> (Program, Client) {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    Launch::new(PROGRAM)
        .args(&throwaway)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{}", ports.http))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", queue)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
        .start()
        .await
}

async fn confirmed(client: &Client) -> Answer {
    let items = json!([{ "product_id": "p-moka", "quantity": 1 }]);
    let post = client.json("/api/v1/orders", &json!({ "user_id": "c-1001", "items": items }));
    let answer = send(post.header("prefer", "wait=20")).await.expect("an answer");
    assert_eq!(answer.field("status"), "confirmed", "{}", answer.text());
    answer
}

/// The value of a counter of `/metrics`.
async fn counter(client: &Client, name: &str) -> u64 {
    let text = client.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test]
async fn an_order_is_one_trace_of_all_services_down_to_both_banks_at_the_collector() {
    let ports = Ports::free();
    let rotel = Rotel::start(ports).await;
    let (program, client) = shop(ports, "8192").await;
    let answer = confirmed(&client).await;
    let id = answer.header("traceresponse").split('-').nth(1).expect("a trace id").to_owned();
    let of_trace = || -> Vec<Received> {
        rotel.received().into_iter().filter(|span| span.trace == id).collect()
    };
    let services = |spans: &[Received]| -> BTreeSet<String> {
        spans.iter().filter_map(|span| span.resource.get("service.name").cloned()).collect()
    };
    let wanted = [
        "bank-customer",
        "bank-merchant",
        "bus",
        "catalog",
        "gateway",
        "inventory",
        "orders",
        "payments",
        "recommendations",
        "users",
    ];
    // Every parent is a span of this trace; the client has none here.
    let lost = |spans: &[Received]| -> Vec<String> {
        let known: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
        let child = |span: &&Received| !span.parent.is_empty();
        let lost = spans.iter().filter(child).filter(|s| !known.contains(s.parent.as_str()));
        lost.map(|span| format!("{} of {:?}", span.name, span.resource)).collect()
    };
    // A parent ends after its children, so it comes after them: it is waited for.
    let spans = until("the whole trace is at the collector", || {
        let spans = of_trace();
        let found = services(&spans);
        let whole = wanted.iter().all(|service| found.contains(*service));
        (whole && lost(&spans).is_empty()).then_some(spans)
    })
    .await;

    // What was handled because of a message is linked to the span that sent it.
    let taken: Vec<&Received> =
        spans.iter().filter(|span| span.name.starts_with("process ")).collect();
    assert!(taken.len() >= 4, "{taken:?}");
    let sent =
        |id: &String| spans.iter().any(|span| span.id == *id && span.name.starts_with("send "));
    for message in taken {
        assert!(message.links.iter().any(sent), "{message:#?}");
    }
    // Numbers are numbers; the reason of a failure may be a status and is a text all the same.
    for (key, value) in spans.iter().flat_map(|span| &span.attributes) {
        let text = value.strip_prefix("Str(").and_then(|value| value.strip_suffix(')'));
        let number = text.is_some_and(|text| text.parse::<i64>().is_ok());
        assert!(!number || key == "error.type", "{key}: {value}");
    }
    let statuses = spans.iter().filter_map(|s| s.attributes.get("http.response.status_code"));
    assert!(statuses.clone().count() > 10 && statuses.clone().all(|s| s.starts_with("Int(")));
    // And what a scraper reads meanwhile is OpenMetrics to the letter.
    let metrics = client.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert_eq!(testkit::openmetrics::check(&metrics.text()), Ok(()));
    program.stop().await;
}

#[tokio::test]
async fn orders_confirm_while_the_collector_is_away_and_what_was_dropped_is_counted() {
    let ports = Ports::free();
    let rotel = Rotel::start(ports).await;
    let (program, client) = shop(ports, "200").await;
    confirmed(&client).await;
    let sent =
        async || (counter(&client, "vitrine_telemetry_exported_total").await > 0).then_some(());
    eventually(PATIENCE, "spans are exported", sent).await;

    drop(rotel);
    let dropped = async || {
        confirmed(&client).await;
        let name = "vitrine_telemetry_dropped_total{reason=\"export\"}";
        (counter(&client, name).await > 0).then_some(())
    };
    eventually(PATIENCE, "spans are dropped and counted", dropped).await;
    let before = counter(&client, "vitrine_telemetry_exported_total").await;

    let back = Rotel::start(ports).await;
    let again = async || {
        confirmed(&client).await;
        (counter(&client, "vitrine_telemetry_exported_total").await > before).then_some(())
    };
    eventually(PATIENCE, "the export goes on", again).await;
    assert!(!back.received().is_empty());
    program.stop().await;
}
