//! The three files a user brings along, applied unchanged over what is in force in a new shop, and
//! each behaviour they ask for observed from outside: canary, faults, limits, authorization, hosts.
//!
//! What is only seen inside (which resource routed a call, ejections, copies) is looked at in a
//! shop in this process.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

#[path = "../mesh/tests/scripted/token.rs"]
mod token;

use base::{Clock, IdSource, Supervisor};
use contract::service::{GATEWAY, ORDERS, PAYMENTS, RECOMMENDATIONS, STRIPE, STRIPE_HOST};
use futures::future::join_all;
use http::{Method, StatusCode};
use istio::{Configuration, policy::Share};
use mesh::fault::{FaultKind, FaultScope, FaultSpec};
use serde_json::{Value, json};
use server::{
    instances::{BASELINE, known},
    shop::Shop,
};
use std::{net::Ipv4Addr, time::Duration};
use storage::Durability;
use testkit::{Answer, Client, Launch, Program, client::send, eventually};
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PATIENCE: Duration = Duration::from_secs(60);
/// Draws follow the seed, so that every run injects into the same calls.
const SEED: &str = "20261124";
const ISTIO_CONFIG: &str = include_str!("../istio/tests/data/istio-config.yml");
const TRAFFIC: &str = include_str!("../istio/tests/data/traffic-management.yml");
const OBSERVABILITY: &str = include_str!("../istio/tests/data/observability.yml");
/// A token of the limit of 100 a minute comes back after this.
const TOKEN_IN: Duration = Duration::from_millis(600);

/// The built program with these texts applied over what is built in.
async fn program(texts: &[&str]) -> (Program, Client) {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0", "--seed", SEED];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    for text in texts {
        let post = client.request(Method::POST, "/control/istio").body((*text).to_owned());
        let applied = send(post).await.expect("an answer");
        assert_eq!(applied.status, 200, "{}", applied.text());
    }
    (program, client)
}

/// The version that answered.
async fn version(client: &Client, path: &str, headers: &[(&str, &str)]) -> String {
    let request = client.request(Method::GET, path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = send(request).await.expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.header("x-app-version").to_owned()
}

/// This machine has many addresses; each has a limit of its own.
fn from(client: &Client, number: u8) -> Client {
    client.from_address(Ipv4Addr::new(127, 0, 0, number).into())
}

#[tokio::test]
async fn the_canary_goes_by_browser_by_cookie_and_else_90_to_10_exactly() {
    let (program, client) = program(&[TRAFFIC, OBSERVABILITY]).await;
    let path = "/api/v1/products";
    // By the name of the file, by the service's own, and by one that nobody has.
    for host in ["web-app", "gateway", "localhost"] {
        let from = [("host", host), ("user-agent", "Mozilla/5.0 Chrome/130.0 Safari/537.36")];
        assert_eq!(version(&client, path, &from).await, "v2", "{host}");
        let cookie = [("host", host), ("cookie", "theme=dark; canary=true")];
        assert_eq!(version(&client, path, &cookie).await, "v2", "{host}");
    }
    let mut second = 0;
    for number in [2, 3, 4, 5] {
        let client = from(&client, number);
        for _ in 0..50 {
            second += u32::from(version(&client, path, &[]).await == "v2");
        }
    }
    assert!((19..=21).contains(&second), "{second} of 200 went to v2");
    program.stop().await;
}

#[tokio::test]
async fn each_address_has_100_requests_a_minute_whichever_version_answers() {
    let (program, client) = program(&[TRAFFIC, OBSERVABILITY]).await;
    for number in [1, 2] {
        let client = from(&client, number);
        let began = Instant::now();
        let mut passed = 0;
        let refused = loop {
            let answer = client.get("/api/v1/products").await;
            if answer.status != 200 {
                break answer;
            }
            passed += 1;
        };
        // The hundred, and what came back while they were made.
        let back = 1 + began.elapsed().as_millis() / TOKEN_IN.as_millis();
        assert!(passed >= 100 && passed - 100 <= back, "{passed} passed, {back} came back");
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(refused.header("ratelimit-policy"), "\"rate-limiting\";q=100;w=60");
        assert!(refused.header("ratelimit").starts_with("\"rate-limiting\";r=0;t="));
        // The rule is about the API alone.
        assert_eq!(client.get("/livez").await.status, 200);
    }
    program.stop().await;
}

/// The counters of the fault of that name: calls it was for, calls it hit.
async fn counts(client: &Client, what: &str) -> (u64, u64) {
    let all = client.get("/control/faults").await.json();
    let active = all["active"].as_array().expect("faults");
    let named = |fault: &&Value| fault["what"].as_str().is_some_and(|text| text.starts_with(what));
    let fault = active.iter().find(named).unwrap_or_else(|| panic!("no {what}: {all}"));
    let number = |name: &str| fault[name].as_u64().expect("a number");
    (number("matched"), number("injected"))
}

#[tokio::test]
async fn a_tenth_of_the_calls_to_payments_waits_and_a_twentieth_fails_exactly() {
    let (program, client) = program(&[TRAFFIC]).await;
    // A profile asks payments once.
    let profile = async |number: u8| {
        let answer = from(&client, number).get("/api/v1/users/c-1001").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    for round in 0..10 {
        join_all((0..10).map(|_| profile(2 + round % 2))).await;
    }
    assert_eq!(counts(&client, "Delay 2 s").await, (100, 10));
    assert_eq!(counts(&client, "Abort 503").await, (100, 5));
    program.stop().await;
}

const TOKENS: &str = "apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata:
  name: tokens
spec:
  selector:
    matchLabels:
      app: api-gateway
  jwtRules:
  - issuer: https://issuer.example
    jwks: '{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"rsa-1\",\"e\":\"AQAB\",\"n\":\"MODULUS\"}]}'
";

#[tokio::test]
async fn with_all_three_files_method_and_path_decide_and_a_token_opens_what_its_rule_says() {
    let tokens = TOKENS.replace("MODULUS", token::RSA_MODULUS);
    let (program, client) = program(&[ISTIO_CONFIG, TRAFFIC, OBSERVABILITY, &tokens]).await;
    let ask = async |method: Method, path: &str, token: Option<&str>| {
        let request = client.request(method, path);
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        send(request).await.expect("an answer").status
    };
    let ada = Some(token::RS256_TOKEN);
    let product = "/api/v1/products/p-moka";
    assert_eq!(ask(Method::GET, product, None).await, 403, "nobody");
    assert_eq!(ask(Method::GET, product, Some("not.a.token")).await, 401);
    assert_eq!(ask(Method::GET, product, ada).await, 200);
    assert_eq!(ask(Method::POST, product, ada).await, 403, "another method");
    assert_eq!(ask(Method::GET, "/api/v1/orders", ada).await, 403, "another path");
    // The canary and the limit hold beside it.
    let bearer = format!("Bearer {}", token::RS256_TOKEN);
    let chrome = [("authorization", &*bearer), ("user-agent", "Chrome")];
    assert_eq!(version(&client, product, &chrome).await, "v2");
    program.stop().await;
}

#[tokio::test]
async fn api_example_com_goes_to_the_services_by_path() {
    let (program, client) = program(&[ISTIO_CONFIG, TRAFFIC, OBSERVABILITY]).await;
    let host = [("host", "api.example.com")];
    let answered = async |path: &str| -> (String, Answer) {
        let request = client.request(Method::GET, path).header("host", "api.example.com");
        let answer = send(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        (answer.header("x-app-version").to_owned(), answer)
    };
    let (users, list) = answered("/api/v1/users").await;
    assert_eq!((users.as_str(), list.json()["users"].is_array()), ("v1", true));
    let (products, list) = answered("/api/v1/products").await;
    assert_eq!(products, "v2", "as the file says");
    assert!(list.json()["products"][0].get("stock").is_some(), "what version 2 of catalog adds");
    assert_eq!(version(&client, "/api/v1/orders", &host).await, "v1");
    let nothing = client.request(Method::GET, "/api/v1/nothing").header("host", "api.example.com");
    assert_eq!(send(nothing).await.expect("an answer").status, 404, "no rule takes it");
    let preflight = client
        .request(Method::OPTIONS, "/api/v1/orders")
        .header("host", "api.example.com")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "PUT");
    let allowed = send(preflight).await.expect("an answer");
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example");
    assert!(allowed.header("access-control-allow-methods").contains("PUT"));
    program.stop().await;
}

#[tokio::test]
async fn with_a_token_at_the_door_a_page_that_the_policy_allows_can_still_ask() {
    const TOKEN: &str = "0123456789abcdef";
    let open = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0", "--token", TOKEN];
    let (program, client) = Launch::new(PROGRAM).args(&open).start().await;
    for text in [ISTIO_CONFIG, TRAFFIC, OBSERVABILITY] {
        let post = client.request(Method::POST, "/control/istio").body(text);
        let post = post.header("authorization", format!("Bearer {TOKEN}"));
        assert_eq!(send(post).await.expect("an answer").status, 200);
    }
    let ask = async |method: Method| {
        let request = client
            .request(method, "/api/v1/orders")
            .header("host", "api.example.com")
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "PUT");
        send(request).await.expect("an answer")
    };
    let allowed = ask(Method::OPTIONS).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    assert!(allowed.header("access-control-allow-methods").contains("PUT"));
    let told = ask(Method::GET).await;
    assert_eq!(told.status, 401, "{}", told.text());
    assert_eq!(told.header("access-control-allow-origin"), "https://shop.example");
    program.stop().await;
}

/// A shop in this process with all three files over what is built in.
struct World {
    shop: Shop,
    supervisor: Supervisor,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        let stores = storage::open(folder.path(), Durability::Process, &clock).await;
        let (supervisor, _ends) = Supervisor::new();
        let (stores, ids) = (stores.expect("stores"), IdSource::seeded(1));
        let shop = Shop::assemble(stores, &supervisor, clock, ids).await.expect("it starts");
        let known = known(&shop.mesh);
        let texts = [BASELINE, ISTIO_CONFIG, TRAFFIC, OBSERVABILITY];
        let all = texts.iter().fold(Configuration::default(), |configuration, text| {
            configuration.apply(text, &known).expect("it applies").configuration
        });
        shop.mesh.apply(all.compile(&known, 1).into());
        shop.go(&supervisor).await.expect("it goes");
        Self { shop, supervisor, _folder: folder }
    }

    /// Requests that the rules of a `VirtualService` took.
    fn hits(&self, name: &str) -> u64 {
        let hits = self.shop.mesh.route_hits();
        hits.iter().filter(|hits| &*hits.origin.name == name).map(|hits| hits.hits).sum()
    }

    /// An order paid so, to its good end.
    async fn buy(&self, method: &str) {
        let mesh = &self.shop.mesh;
        let body = json!({
            "user_id": "c-1001", "payment_method": method,
            "items": [{ "product_id": "p-pen", "quantity": 1 }],
        });
        let call = mesh.caller(GATEWAY).post(ORDERS, "/api/v1/orders").json(&body);
        let placed: Value = call.receive().await.expect("an order");
        let path = format!("/orders/{}", placed["order_id"].as_str().expect("an id"));
        eventually(PATIENCE, "the order's end", async || {
            let call = mesh.caller(GATEWAY).get(ORDERS, &path).receive::<Value>().await;
            let order = call.expect("the order");
            assert_ne!(order["status"], "cancelled", "{order}");
            (order["status"] == "confirmed").then_some(())
        })
        .await;
    }

    async fn end(self) {
        assert!(self.supervisor.shutdown(PATIENCE).await, "something did not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_called_by_its_own_name_and_ejected_after_three_errors() {
    let world = World::new().await;
    let mesh = &world.shop.mesh;
    world.buy("card").await;
    assert!(world.hits("stripe-api") >= 2, "authorized and captured");
    assert_eq!(world.hits("circuit-breaker"), 0, "cards are not charged by that name");
    // Its policy is the destination's, whichever name was called.
    let broken = FaultSpec {
        kind: FaultKind::Abort { status: StatusCode::INTERNAL_SERVER_ERROR, grpc_status: None },
        scope: FaultScope { instance: Some("stripe-v1-1".into()), ..FaultScope::default() },
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    mesh.faults().inject(broken).expect("a fault");
    let ejected = || {
        let endpoints = mesh.endpoints();
        let ours = endpoints.iter().find(|endpoint| &*endpoint.service == STRIPE);
        ours.expect("the provider").ejected_until_us.is_some()
    };
    for number in 1..=3 {
        assert!(!ejected(), "before error {number}");
        let call = mesh.caller(PAYMENTS).get(STRIPE, "/livez").header("host", STRIPE_HOST);
        assert_eq!(call.send().await.expect("an answer").status(), 500);
    }
    assert!(ejected());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_debit_calls_external_service_whose_rule_tries_again_after_errors() {
    let world = World::new().await;
    let mesh = &world.shop.mesh;
    // One less than eject the provider, on a rule that has three retries.
    let broken = FaultSpec {
        kind: FaultKind::Abort { status: StatusCode::INTERNAL_SERVER_ERROR, grpc_status: None },
        scope: FaultScope { instance: Some("stripe-v1-1".into()), ..FaultScope::default() },
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: Some(2),
        like_istio: false,
        by: "test".into(),
    };
    let id = mesh.faults().inject(broken).expect("a fault");
    world.buy("debit").await;
    assert!(world.hits("circuit-breaker") >= 2, "authorized and captured");
    assert_eq!(world.hits("stripe-api"), 0, "by that name alone");
    assert_eq!(mesh.faults().get(id).expect("the fault").injected, 2);
    let retries = mesh.retries();
    let ours = retries.iter().find(|stats| &*stats.caller == PAYMENTS && stats.retries > 0);
    let ours = ours.expect("retries of payments");
    assert_eq!((&*ours.destination, ours.retries, ours.successes), (STRIPE, 2, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_of_the_calls_to_recommendations_is_copied_to_version_2() {
    let world = World::new().await;
    let caller = world.shop.mesh.caller(GATEWAY);
    for _ in 0..100 {
        let call = caller.get(RECOMMENDATIONS, "/recommendations/p-moka").send().await;
        assert_eq!(call.expect("an answer").headers()["x-app-version"], "v1");
    }
    // A copy is counted when it is over, which may be after the call.
    let stats = eventually(PATIENCE, "the copies are over", async || {
        let stats = world.shop.mesh.mirrors().stats();
        let stats = stats.into_iter().find(|stats| &*stats.origin.name == "mirroring")?;
        (stats.mirrored + stats.dropped >= 20).then_some(stats)
    });
    let stats = stats.await;
    assert_eq!((stats.requests, stats.mirrored + stats.dropped), (100, 20));
    assert_eq!(stats.subset.as_deref(), Some("v2"));
    world.end().await;
}

#[tokio::test]
async fn the_switch_of_a_route_is_part_of_its_resource_and_of_every_revision() {
    let (program, client) = program(&[TRAFFIC]).await;
    let path = "/control/istio/routes/fault-injection/%231/faithful";
    let switch = async |path: &str, on: Value| {
        let put = client.request(Method::PUT, path).header("content-type", "application/json");
        send(put.body(on.to_string())).await.expect("an answer")
    };
    assert_eq!(client.get(path).await.json(), json!({ "on": false }));
    let before = client.get("/control/istio/revisions").await.json()["revisions"][0].clone();
    assert_eq!(switch(path, json!({ "on": true })).await.status, 200);
    assert_eq!(client.get(path).await.json(), json!({ "on": true }));
    let written = client.get("/control/istio/virtualservice/fault-injection").await.text();
    assert!(written.contains("vitrine.dev/istio-faithful-routes: \"#1\""), "{written}");
    let restore = format!("/control/istio/revisions/{}/restore", before["number"]);
    assert_eq!(client.post(&restore, &Value::Null).await.status, 200);
    assert_eq!(client.get(path).await.json(), json!({ "on": false }));
    assert_eq!(switch(path, json!({ "of": true })).await.status, 400);
    for nowhere in ["fault-injection/%239", "nobody/%231"] {
        let path = format!("/control/istio/routes/{nowhere}/faithful");
        assert_eq!(switch(&path, json!({ "on": true })).await.status, 404);
        assert_eq!(client.get(&path).await.status, 404);
    }
    program.stop().await;
}

/// The trace of that id, as the page of it downloads it.
async fn is_kept(client: &Client, trace_id: &str) -> bool {
    client.get(&format!("/traces/{trace_id}/jaeger.json")).await.status == 200
}

/// Every `trace_id` in a value.
fn trace_ids(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(trace_ids).collect(),
        Value::Object(fields) => {
            let own = fields.get("trace_id").and_then(Value::as_str).map(ToOwned::to_owned);
            own.into_iter().chain(fields.values().flat_map(trace_ids)).collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn whatever_is_sampled_the_traces_shown_as_evidence_are_kept() {
    let mesh_wide = OBSERVABILITY
        .replacen("  selector:\n    matchLabels:\n      app: web-app\n", "", 1)
        .replacen("name: service-observability", "name: mesh\n  namespace: istio-system", 1)
        .replacen("randomSamplingPercentage: 10.0", "randomSamplingPercentage: 0.0", 1);
    let (program, client) = program(&[OBSERVABILITY, &mesh_wide]).await;
    let spared = client.get("/api/v1/products").await;
    assert_eq!(spared.status, 200);
    let fault = json!({
        "kind": "abort", "from": "", "to": "users", "subset": "", "instance": "", "terms": [],
        "percent": 100.0, "delay_ms": 0, "jitter_ms": 0, "status": 503, "ttl_s": 300,
        "like_istio": false,
    });
    assert_eq!(client.post("/control/faults", &fault).await.status, 201);
    let opened = eventually(PATIENCE, "the breaker opens", async || {
        client.get("/api/v1/users/c-1001").await;
        let breakers = client.get("/control/breakers").await.json();
        breakers.as_array()?.iter().find(|b| b["line"]["state"] == "open").cloned()
    })
    .await;
    let faults = client.get("/control/faults").await.json();
    let example = faults["active"][0]["trace_id"].as_str().expect("an example").to_owned();
    assert!(is_kept(&client, &example).await, "the trace of a call that the fault hit");
    let evidence = trace_ids(&opened);
    assert!(evidence.len() >= 5, "the calls that opened it: {evidence:?}");
    for id in evidence {
        assert!(is_kept(&client, &id).await, "the trace {id} of a call that opened the breaker");
    }
    // What is no evidence is left out as the resource asks, and its page says so.
    let missing = client.get(&format!("/traces/{}", "a".repeat(32))).await;
    assert!(missing.text().contains("0 % of the traces that begin at the other services"));
    program.stop().await;
}

/// Every request to the catalog also goes to its next version.
const MIRRORED: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: mirrored
spec:
  hosts:
  - product-service
  http:
  - route:
    - destination:
        host: product-service
        subset: v1
    mirror:
      host: product-service
      subset: v2
";

#[tokio::test]
async fn the_traces_of_two_answers_that_differ_are_kept_whatever_is_sampled() {
    let nothing = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata:\n  name: mesh\n  \
        namespace: istio-system\nspec:\n  tracing:\n  - randomSamplingPercentage: 0.0\n";
    let (program, client) = program(&[nothing, MIRRORED]).await;
    let pair = eventually(PATIENCE, "a copy is answered otherwise", async || {
        assert_eq!(client.get("/api/v1/products").await.status, 200);
        client.get("/control/mirrors").await.json()["pairs"][0].as_object().cloned()
    })
    .await;
    for side in ["live", "mirrored"] {
        let id = pair[side]["trace_id"].as_str().expect("a trace").to_owned();
        eventually(PATIENCE, "the trace is kept", async || {
            is_kept(&client, &id).await.then_some(())
        })
        .await;
    }
    program.stop().await;
}
