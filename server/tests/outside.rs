//! What a `Gateway` sends on to a service outside the mesh, against the built program: it is told
//! of as every other call is, although nobody out there makes a span.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use testkit::{Client, Launch, client::send, eventually};
use tokio::{net::TcpListener, task::JoinSet};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A service of this machine that answers with the trace context it was sent.
async fn outside(strangers: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let told = async |headers: HeaderMap| {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        Json(json!({ "traceparent": parent }))
    };
    let app = Router::new().fallback(told);
    strangers.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
    address
}

fn resources(port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: echo
spec:
  hosts: [echo.internal]
  location: MESH_EXTERNAL
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  resolution: STATIC
  endpoints:
  - address: 127.0.0.1
    ports: {{http: {port}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ['*.example.com']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: echo
spec:
  hosts: [echo.example.com]
  gateways: [edge]
  http:
  - name: all
    route:
    - destination: {{host: echo.internal}}
    retries: {{attempts: 2, backoff: 2ms, retryOn: 5xx}}
"
    )
}

struct Spans(Vec<Value>);

impl Spans {
    async fn of(client: &Client, trace: &str) -> Self {
        let file = client.get(&format!("/traces/{trace}/jaeger.json")).await;
        let spans = match file.status {
            200 => file.json()["data"][0]["spans"].as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        Self(spans)
    }

    fn find(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|span| tag(span, "span.kind") == kind)
    }
}

fn tag(span: &Value, key: &str) -> Value {
    let tags = span["tags"].as_array().expect("tags");
    tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_gateway_sends_outside_is_traced_and_takes_its_context_along() {
    let data = tempfile::tempdir().expect("a folder");
    let mut strangers = JoinSet::new();
    let address = outside(&mut strangers).await;
    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    let apply = client.request(Method::POST, "/control/istio").body(resources(address.port()));
    let applied = send(apply).await.expect("an answer");
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    let edge = client.url().trim_start_matches("http://").parse().expect("an address");
    let ask = async || {
        let ask = b"GET /a?b=c HTTP/1.1\r\nHost: echo.example.com\r\nConnection: close\r\n\r\n";
        testkit::raw(edge, ask).await
    };

    let answer = ask().await;
    let sent = answer.field("traceparent");
    let parts: Vec<&str> = sent.split('-').collect();
    let [_, trace, parent, _] = parts[..] else { panic!("no context was sent: {sent}") };
    assert_eq!(answer.header("traceresponse").split('-').nth(1), Some(trace));
    let told = async || {
        let spans = Spans::of(&client, trace).await;
        (spans.0.len() == 2).then_some(spans)
    };
    let spans = eventually(PATIENCE, "both spans of the gateway", told).await;
    let (served, called) = (spans.find("server"), spans.find("client"));
    let (served, called) = (served.expect("the server's"), called.expect("the client's"));
    assert_eq!(called["spanID"], parent, "what went along is of the client's span");
    assert_eq!(called["references"][0]["spanID"], served["spanID"]);
    for (key, value) in [
        ("http.response.status_code", json!(200)),
        ("mesh.route", json!("echo/all")),
        ("mesh.instance", json!("echo.internal-1")),
        ("mesh.tries", json!(1)),
        ("server.address", json!("echo.example.com")),
        ("peer.service", json!("echo.internal")),
        ("url.full", json!("http://echo.example.com/a")),
        ("network.peer.address", json!("127.0.0.1")),
        ("network.peer.port", json!(address.port())),
    ] {
        assert_eq!(tag(called, key), value, "{key} of {called}");
    }
    let on_map = async || {
        let map = client.get("/map.json").await.json();
        let edges = map["edges"].as_array().cloned().unwrap_or_default();
        edges.into_iter().find(|e| e["from"] == "gateway" && e["to"] == "echo.internal")
    };
    eventually(PATIENCE, "it is an edge of the map", on_map).await;

    let fault = json!({
        "kind": "abort", "to": "echo.internal", "percent": 100, "status": 503, "ttl_s": 60,
    });
    let id = client.post("/control/faults", &fault).await.field("id");
    let aborted = ask().await;
    assert_eq!(aborted.status, StatusCode::SERVICE_UNAVAILABLE);
    let trace = aborted.header("traceresponse").split('-').nth(1).expect("a trace").to_owned();
    let told = async || Spans::of(&client, &trace).await.find("client").cloned();
    let called = eventually(PATIENCE, "the call that the fault hit", told).await;
    assert_eq!(tag(&called, "mesh.fault.id"), json!(id), "{called}");
    assert_eq!(tag(&called, "mesh.tries"), json!(3), "{called}");
    program.stop().await;
}
