//! What the mesh and its faults did to one request, as its trace tells it: tries, injected time,
//! the id of the fault wherever it led, what sampling leaves out.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Answer, Client, Launch, Program, client::send, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);
/// Draws follow the seed, so that every run injects into the same calls.
const SEED: &str = "20261124";
const OBSERVABILITY: &str = include_str!("../istio/tests/data/observability.yml");

async fn world() -> (Program, Client) {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0", "--seed", SEED];
    Launch::new(PROGRAM).args(&throwaway).start().await
}

async fn inject(client: &Client, kind: &str, from: &str, to: &str, delay_ms: u32) -> String {
    let status = if kind == "abort" { 503 } else { 0 };
    let fault = json!({
        "kind": kind, "from": from, "to": to, "subset": "", "instance": "", "terms": [],
        "percent": 100.0, "delay_ms": delay_ms, "jitter_ms": 0, "status": status, "ttl_s": 300,
        "like_istio": false,
    });
    let begun = client.post("/control/faults", &fault).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    begun.field("id")
}

async fn apply(client: &Client, yaml: &str) -> Answer {
    let post = client.request(Method::POST, "/control/istio").body(yaml.to_owned());
    let applied = send(post.header("content-type", "application/yaml")).await.expect("an answer");
    assert_eq!(applied.status, 200, "{}", applied.text());
    applied
}

/// The id of the trace that an answer belongs to.
fn trace_id(answer: &Answer) -> String {
    answer.header("traceresponse").split('-').nth(1).expect("a trace id").to_owned()
}

/// The spans of a trace as Jaeger would show them; none while there is no such trace.
async fn spans(client: &Client, trace_id: &str) -> Option<Vec<Value>> {
    let trace = client.get(&format!("/traces/{trace_id}/jaeger.json")).await;
    (trace.status == 200).then(|| trace.json()["data"][0]["spans"].as_array().cloned())?
}

fn tag<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    let tags = span["tags"].as_array()?;
    tags.iter().find(|tag| tag["key"] == key).map(|tag| &tag["value"])
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["operationName"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

#[tokio::test]
async fn failed_tries_and_injected_time_are_in_the_waterfall_of_their_trace() {
    let (program, client) = world().await;
    let retries = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: catalog
spec:
  hosts:
  - catalog
  http:
  - name: repeated
    retries:
      attempts: 2
      perTryTimeout: 2s
      retryOn: 5xx
    route:
    - destination:
        host: product-service
";
    apply(&client, retries).await;
    let delay = inject(&client, "delay", "gateway", "catalog", 120).await;
    let abort = inject(&client, "abort", "gateway", "catalog", 0).await;
    let failed = client.get("/api/v1/products").await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    let id = trace_id(&failed);
    let ended = async || spans(&client, &id).await.filter(|spans| spans.len() >= 5);
    let spans = eventually(PATIENCE, "the trace is whole", ended).await;

    let call = named(&spans, "GET /products");
    assert_eq!(tag(call, "mesh.tries"), Some(&json!(3)));
    assert_eq!(tag(call, "mesh.route"), Some(&json!("catalog/repeated")));
    assert_eq!(tag(call, "mesh.virtual_service"), Some(&json!("catalog")));
    assert_eq!(tag(call, "mesh.per_try_timeout_ms"), Some(&json!(2000)));
    assert_eq!(tag(call, "mesh.breaker.state"), Some(&json!("closed")));
    assert_eq!(tag(call, "mesh.response_flags"), Some(&json!("URX,FI,DI")));
    let tries = ["try 1, catalog", "retry 1 of 2, catalog", "retry 2 of 2, catalog"];
    for (before, name) in tries.into_iter().enumerate() {
        let span = named(&spans, name);
        assert_eq!(span["references"][0]["spanID"], call["spanID"], "{name}");
        let count = (before > 0).then(|| json!(before));
        assert_eq!(tag(span, "http.request.resend_count"), count.as_ref(), "{name}");
        assert_eq!(tag(span, "mesh.fault.id"), Some(&json!(format!("{delay},{abort}"))), "{name}");
        assert_eq!(tag(span, "http.response.status_code"), Some(&json!(503)), "{name}");
        let held = tag(span, "mesh.fault.delay_ms").and_then(Value::as_f64).expect("held");
        assert!(held >= 120.0, "{name} was held {held} ms");
        assert!(span["duration"].as_i64().expect("microseconds") >= 120_000, "{name}");
    }

    let page = client.get(&format!("/traces/{id}")).await.text();
    for shown in tries.iter().chain(&["injected", "failed tries", delay.as_str()]) {
        assert!(page.contains(shown), "{shown} is not on the page");
    }
    program.stop().await;
}

#[tokio::test]
async fn a_call_that_is_tried_once_has_no_span_for_its_try_and_tells_the_delay_itself() {
    let (program, client) = world().await;
    let id = inject(&client, "delay", "gateway", "catalog", 80).await;
    let answer = client.get("/api/v1/products").await;
    assert_eq!(answer.status, 200);
    let trace = trace_id(&answer);
    let ended = async || {
        let called = |spans: &Vec<Value>| {
            spans
                .iter()
                .any(|s| s["operationName"] == "GET /products" && tag(s, "mesh.tries").is_some())
        };
        spans(&client, &trace).await.filter(called)
    };
    let spans = eventually(PATIENCE, "the call has ended", ended).await;
    let is_try = |span: &&Value| tag(span, "mesh.try").is_some();
    assert_eq!(spans.iter().filter(is_try).count(), 0);
    let held = spans.iter().find(|span| tag(span, "mesh.fault.delay_ms").is_some());
    let held = held.expect("the call was held");
    assert_eq!(tag(held, "mesh.fault.id"), Some(&json!(id)));
    assert_eq!(tag(held, "mesh.tries"), Some(&json!(1)));
    let callee = spans.iter().find(|span| tag(span, "http.route") == Some(&json!("/products")));
    assert_eq!(tag(callee.expect("catalog"), "vitrine.fault.id"), Some(&json!(id)));
    program.stop().await;
}

#[tokio::test]
async fn the_id_of_a_fault_is_on_the_compensations_it_leads_to() {
    let (program, client) = world().await;
    let id = inject(&client, "abort", "payments", "bank-customer", 0).await;
    let items = json!([{ "product_id": "p-moka", "quantity": 1 }]);
    let order = client.json("/api/v1/orders", &json!({ "user_id": "c-1001", "items": items }));
    let order = send(order.header("prefer", "wait=20")).await.expect("an answer");
    assert_eq!(order.field("status"), "cancelled", "{}", order.text());
    let trace = trace_id(&order);
    let undone = ["append OrderCancelled", "append StockReleased", "process inventory.release"];
    let there = |spans: &Vec<Value>| {
        let starts = |start: &str| {
            spans.iter().any(|s| s["operationName"].as_str().is_some_and(|n| n.starts_with(start)))
        };
        undone.iter().all(|name| starts(name))
    };
    let whole = async || spans(&client, &trace).await.filter(there);
    let spans = eventually(PATIENCE, "the order is compensated", whole).await;
    for name in undone.iter().chain(&["append PaymentDeclined", "process payment.declined"]) {
        let of_name =
            |s: &&Value| s["operationName"].as_str().is_some_and(|own| own.starts_with(name));
        let span = spans.iter().find(of_name).unwrap_or_else(|| panic!("no {name}: {spans:#?}"));
        let ids = tag(span, "vitrine.fault.id").and_then(Value::as_str).unwrap_or_default();
        assert!(ids.split(',').any(|own| own == id), "{name} tells {ids:?} and not {id}");
    }
    // What happened before the fault did not follow from it.
    let placed = |s: &&Value| {
        s["operationName"].as_str().is_some_and(|own| own.starts_with("append OrderPlaced"))
    };
    let placed = spans.iter().find(placed).expect("the order was placed");
    assert_eq!(tag(placed, "vitrine.fault.id"), None);
    assert_eq!(tag(placed, "order.event.version"), Some(&json!(1)));
    // By these the store knows what to keep longest.
    assert_eq!(tag(placed, "order.origin"), Some(&json!("api")));
    let ended = |s: &&Value| {
        s["operationName"].as_str().is_some_and(|own| own.starts_with("append OrderCancelled"))
    };
    let ended = spans.iter().find(ended).expect("the order was cancelled");
    assert_eq!(tag(ended, "order.status"), Some(&json!("cancelled")));
    program.stop().await;
}

#[tokio::test]
async fn a_tenth_of_the_traces_is_recorded_with_custom_tags_and_all_of_them_are_counted() {
    let (program, client) = world().await;
    apply(&client, OBSERVABILITY).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        let request = client.request(Method::GET, "/api/v1/products");
        let answer = send(request.header("x-app-version", "2.1")).await.expect("an answer");
        assert_eq!(answer.status, 200);
        ids.push(trace_id(&answer));
    }
    // An answer is read before its spans have ended.
    let tenth = async || {
        let mut recorded = Vec::new();
        for id in &ids {
            recorded.extend(spans(&client, id).await);
        }
        (recorded.len() >= 10).then_some(recorded)
    };
    let recorded = eventually(PATIENCE, "a tenth is recorded", tenth).await;
    assert_eq!(recorded.len(), 10, "traces recorded of a hundred");
    let of_gateway = |spans: &Vec<Value>| {
        let span = spans.iter().find(|span| tag(span, "environment").is_some());
        span.is_some_and(|span| {
            tag(span, "environment") == Some(&json!("production"))
                && tag(span, "version") == Some(&json!("2.1"))
        })
    };
    assert!(recorded.iter().all(of_gateway), "{:#?}", recorded[0]);
    let metrics = client.get("/metrics").await.text();
    let counted = |line: &&str| {
        line.starts_with("http_client_request_duration_seconds_count{service_name=\"gateway\"")
            && line.contains("server_address=\"catalog\"")
            && line.ends_with(" 100")
    };
    assert!(metrics.lines().any(|line| counted(&line)), "{metrics}");
    // The resource adds a label to the count of calls that the gateway makes, and to nothing else.
    let changed: Vec<&str> =
        metrics.lines().filter(|line| line.contains("request_operation=")).collect();
    let expected = "istio_requests_total{reporter=\"source\",source_workload=\"gateway\",\
                    destination_workload=\"catalog\",request_protocol=\"http\",\
                    response_code=\"200\",request_operation=\"GET\"} 100";
    assert_eq!(changed, [expected], "{metrics}");
    program.stop().await;
}

#[tokio::test]
async fn no_statement_outlasts_the_request_that_waited_for_it() {
    let (program, client) = world().await;
    let mut statements = 0;
    // Enough that by chance alone none of them would be late.
    for _ in 0..40 {
        let id = trace_id(&client.get("/api/v1/products").await);
        let whole = async || spans(&client, &id).await.filter(|spans| spans.len() >= 4);
        let spans = eventually(PATIENCE, "the trace is whole", whole).await;
        let end = |span: &Value| span["startTime"].as_i64().zip(span["duration"].as_i64());
        let end = |span: &Value| end(span).map(|(start, took)| start + took);
        for span in spans.iter().filter(|span| tag(span, "db.system.name").is_some()) {
            let parent = &span["references"][0]["spanID"];
            let waited = spans.iter().find(|span| span["spanID"] == *parent).expect("a parent");
            assert!(end(span) <= end(waited), "{span:#} ended after {waited:#}");
            statements += 1;
        }
    }
    assert!(statements >= 40, "{statements}");
    program.stop().await;
}

#[tokio::test]
async fn calls_name_their_port_and_a_write_alone_is_no_batch() {
    let (program, client) = world().await;
    let order = json!({
        "user_id": "c-1001", "items": [{ "product_id": "p-moka", "quantity": 1 }],
    });
    let placed = send(client.json("/api/v1/orders", &order)).await.expect("an answer");
    assert_eq!(placed.status, 202, "{}", placed.text());
    let id = trace_id(&placed);
    let written = |spans: &[Value]| spans.iter().any(|s| s["operationName"] == "orders.place");
    let ended = async || spans(&client, &id).await.filter(|spans| written(spans));
    let spans = eventually(PATIENCE, "the order is written", ended).await;
    assert_eq!(tag(named(&spans, "POST /orders"), "server.port"), Some(&json!(80)));
    for span in &spans {
        let size = tag(span, "db.operation.batch.size");
        assert!(size.is_none_or(|size| size != 1), "{span}");
    }
    program.stop().await;
}
