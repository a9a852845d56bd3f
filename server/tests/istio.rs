//! The command line and the control API against the built program: resources in, behaviour out.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use http::Method;
use serde_json::{Value, json};
use std::{
    io::Write as _,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use testkit::{Client, Launch, Program, client::send};
use tokio::{sync::Notify, task::JoinSet};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/istio/tests/data");

struct World {
    program: Program,
    client: Client,
    data: tempfile::TempDir,
}

async fn world() -> World {
    let data = tempfile::tempdir().expect("a folder");
    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    World { program, client, data }
}

/// Bytes that are no UTF-8, on the second line after three characters.
const NO_TEXT: &[u8] = b"kind: A\nx: \xff\n";

/// What a command said, and whether it ended well.
struct Said {
    ok: bool,
    out: String,
    err: String,
}

/// Runs a command against the program, with a text on its standard input.
async fn vitrine(client: &Client, args: &[&str], input: &str) -> Said {
    let mut command = std::process::Command::new(PROGRAM);
    command.args(args).env_clear().env("VITRINE_SERVER", client.url());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("its standard input");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn split(first: u32, second: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: front
spec:
  hosts:
  - api-gateway
  http:
  - route:
    - destination:
        host: gateway
        subset: v1
      weight: {first}
    - destination:
        host: gateway
        subset: v2
      weight: {second}
"
    )
}

async fn revision(client: &Client) -> u64 {
    let list = client.get("/control/istio/revisions").await.json();
    list["revisions"][0]["number"].as_u64().expect("a number")
}

#[tokio::test]
async fn apply_get_and_delete_work_as_people_know_them_and_survive_a_restart() {
    let World { program, client, data } = world().await;
    let before = revision(&client).await;
    let dry = vitrine(&client, &["apply", "-f", "-", "--dry-run"], &split(90, 10)).await;
    assert!(dry.ok && dry.out.contains("dry run"), "{} {}", dry.out, dry.err);
    assert_eq!(revision(&client).await, before, "a dry run changes nothing");
    let applied = vitrine(&client, &["apply", "-f", "-"], &split(90, 10)).await;
    assert!(applied.ok, "{}", applied.err);
    assert!(applied.out.contains(&format!("Revision r{}", before + 1)), "{}", applied.out);
    let got = vitrine(&client, &["get", "vs", "front", "-o", "yaml"], "").await;
    assert!(got.ok && got.out.contains("weight: 90"), "{} {}", got.out, got.err);
    let again = vitrine(&client, &["apply", "-f", "-"], &got.out).await;
    assert!(again.ok && again.out.contains("unchanged"), "{} {}", again.out, again.err);
    assert_eq!(revision(&client).await, before + 1, "the same again is no revision");
    program.stop().await;

    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    assert_eq!(revision(&client).await, before + 1);
    let got = vitrine(&client, &["get", "vs", "front", "-o", "json"], "").await;
    let one: Value = serde_json::from_str(&got.out).expect("JSON");
    assert_eq!(one["kind"], "VirtualService");
    assert!(one["spec"]["http"].is_array(), "{one}");
    let got = vitrine(&client, &["get", "vs", "-o", "json"], "").await;
    let list: Value = serde_json::from_str(&got.out).expect("JSON");
    assert_eq!(list["kind"], "List");
    let names = list["items"].as_array().expect("items").iter();
    assert!(names.map(|item| &item["metadata"]["name"]).any(|name| name == "front"), "{list}");
    let nothing = vitrine(&client, &["apply", "-f", "-"], "").await;
    assert!(!nothing.ok && nothing.err.contains("o objects passed to apply"), "{}", nothing.err);
    let got = vitrine(&client, &["get", "VirtualService", "front"], "").await;
    assert!(got.out.contains("weight: 90"), "{} {}", got.out, got.err);
    let deleted = vitrine(&client, &["delete", "virtualservice", "front"], "").await;
    assert!(deleted.ok && deleted.out.contains("deleted"), "{} {}", deleted.out, deleted.err);
    let gone = vitrine(&client, &["get", "vs", "front"], "").await;
    assert!(!gone.ok && gone.err.contains("There is no VirtualService front"), "{}", gone.err);
    let restore = format!("/control/istio/revisions/{}/restore", before + 1);
    assert_eq!(client.post(&restore, &Value::Null).await.status, 200);
    assert_eq!(client.get("/control/istio/vs/front").await.status, 200);
    assert_eq!(revision(&client).await, before + 3);
    program.stop().await;
}

#[tokio::test]
async fn a_text_with_a_mistake_is_refused_whole_with_line_and_column() {
    let World { program, client, data } = world().await;
    let before = client.get("/control/istio").await.text();
    let text = format!("{}---\n{}", split(50, 50), split(50, 50).replace("http:", "htpp:"));
    let refused = vitrine(&client, &["apply", "-f", "-"], &text).await;
    assert!(!refused.ok);
    assert!(refused.err.contains("Did you mean http?"), "{}", refused.err);
    assert!(refused.err.contains("26:3"), "line and column: {}", refused.err);
    assert_eq!(client.get("/control/istio").await.text(), before, "nothing changed");
    let file = data.path().join("no-text.yml");
    std::fs::write(&file, NO_TEXT).expect("it can be written");
    let file = file.to_str().expect("a path");
    let refused = vitrine(&client, &["apply", "-f", file], "").await;
    assert!(!refused.ok && refused.err.contains("2:4 error VIT001"), "{}", refused.err);
    let misspelt = split(50, 50).replace("VirtualService", "VirtualServices");
    let refused = vitrine(&client, &["apply", "-f", "-"], &misspelt).await;
    assert!(!refused.ok && refused.err.contains("2:7 error VIT004"), "{}", refused.err);
    assert!(refused.err.contains("Did you mean VirtualService?"), "{}", refused.err);
    let nowhere = vitrine(&client, &["get", "vs", "--server", "http://127.0.0.1:1"], "").await;
    assert!(!nowhere.ok && nowhere.err.contains("--server"), "{}", nowhere.err);
    let unknown = vitrine(&client, &["get", "pod"], "").await;
    assert!(!unknown.ok && unknown.err.contains("There is no kind pod"), "{}", unknown.err);
    program.stop().await;
}

#[tokio::test]
async fn the_seeds_files_apply_unchanged() {
    let World { program, client, data: _data } = world().await;
    for file in ["traffic-management.yml", "observability.yml", "istio-config.yml"] {
        let applied = vitrine(&client, &["apply", "-f", &format!("{DATA}/{file}")], "").await;
        assert!(applied.ok, "{file}: {}", applied.err);
    }
    let denied = client.get("/api/v1/products").await;
    assert_eq!(denied.status, 403, "without a token: {}", denied.text());
    program.stop().await;
}

#[tokio::test]
async fn what_another_sites_page_sends_changes_nothing() {
    let World { program, client, data: _data } = world().await;
    let before = revision(&client).await;
    let request = client.request(Method::POST, "/control/istio").body(split(1, 99));
    let cross = send(request.header("origin", "http://evil.example")).await.expect("an answer");
    assert_eq!(cross.status, 403);
    assert_eq!(revision(&client).await, before);
    let bad = client.post("/control/istio?dryRun=perhaps", &json!({})).await;
    assert_eq!(bad.status, 400, "{}", bad.text());
    program.stop().await;
}

/// A service of this machine that is not the program's: it says its name whatever it is asked.
async fn stranger(name: &'static str, strangers: &mut JoinSet<()>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let app = axum::Router::new().fallback(move || async move { name });
    strangers.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
    port
}

#[tokio::test]
async fn a_service_entry_makes_a_service_of_an_address_of_this_machine() {
    let World { program, client, data: _data } = world().await;
    let entry = |address: &str, port: u16| {
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: warehouse
spec:
  hosts: [warehouse.example.com]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: {address}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: warehouse
spec:
  hosts: [gateway]
  gateways: [api-gateway]
  http:
  - match: [{{uri: {{prefix: /api/v1/warehouse}}}}]
    route: [{{destination: {{host: warehouse.example.com}}}}]
  - route: [{{destination: {{host: gateway}}}}]
"
        )
    };
    // They end with the test.
    let mut strangers = JoinSet::new();
    for name in ["first", "second"] {
        let applied = entry("127.0.0.1", stranger(name, &mut strangers).await);
        let applied = vitrine(&client, &["apply", "-f", "-"], &applied).await;
        assert!(applied.ok, "{}", applied.err);
        assert_eq!(client.get("/api/v1/warehouse/1").await.text(), name);
    }
    assert_eq!(client.get("/api/v1/products").await.status, 200, "the rest is as it was");
    let elsewhere = vitrine(&client, &["apply", "-f", "-"], &entry("192.0.2.1", 80)).await;
    assert!(elsewhere.ok, "{}", elsewhere.err);
    assert!(elsewhere.out.contains("no other machine is reached"), "{}", elsewhere.out);
    assert_eq!(client.get("/api/v1/warehouse/1").await.status, 503, "no service");
    program.stop().await;
}

#[tokio::test]
async fn what_a_rule_answers_by_itself_comes_byte_for_byte() {
    let World { program, client, data: _data } = world().await;
    let mut rules = String::from(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ready}
spec:
  hosts: [gateway]
  gateways: [api-gateway]
  http:
",
    );
    let html = "{response: {set: {content-type: text/html}}}";
    let cases = [
        (200, "hello", "{}", "text/plain"),
        (404, "hi", "{}", "text/plain"),
        (503, "<h1>Back at  noon</h1>\n", html, "text/html"),
        (503, "", "{}", ""),
    ];
    for (number, (status, body, headers, _)) in cases.iter().enumerate() {
        let body =
            if body.is_empty() { String::new() } else { format!(", body: {{string: {body:?}}}") };
        rules += &format!(
            "  - match: [{{uri: {{exact: /api/v1/ready/{number}}}}}]
    headers: {headers}
    directResponse: {{status: {status}{body}}}
"
        );
    }
    let applied = vitrine(&client, &["apply", "-f", "-"], &rules).await;
    assert!(applied.ok, "{}", applied.err);
    for (number, (status, body, _, kind)) in cases.iter().enumerate() {
        let answer = client.get(&format!("/api/v1/ready/{number}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (*status, *body));
        assert_eq!(answer.header("content-type"), *kind, "{status} {body}");
    }
    program.stop().await;
}

#[tokio::test]
async fn what_is_printed_for_istio_has_extensions_where_istio_has_them() {
    let World { program, client, data: _data } = world().await;
    let file = format!("{DATA}/traffic-management.yml");
    let who = vitrine(&client, &["apply", "-f", &file], "").await;
    assert!(who.ok, "{}", who.err);
    let list = client.get("/control/istio/revisions").await.json();
    let name = list["revisions"][0]["who"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("vitrine@") || name == "vitrine", "nobody is named here: {name}");
    let own = vitrine(&client, &["get", "vs", "rate-limiting"], "").await.out;
    assert!(own.contains("rateLimit:") && !own.contains("EnvoyFilter"), "{own}");
    let istio = vitrine(&client, &["get", "vs", "rate-limiting", "--for-istio"], "").await.out;
    assert!(!istio.contains("rateLimit:") && istio.contains("kind: EnvoyFilter"), "{istio}");
    let all = client.get("/control/istio?for=istio").await.text();
    assert!(all.contains("kind: EnvoyFilter"), "{all}");
    // An extension of the VirtualService, in the resource that Istio has for it.
    let service = all.split("---\n").find(|text| text.contains("name: circuit-breaker"));
    assert!(!service.expect("it is there").contains("trafficPolicy"), "{all}");
    let again = vitrine(&client, &["apply", "-f", "-", "--dry-run"], &istio).await;
    assert!(again.ok && !again.out.contains("VIT100"), "{} {}", again.out, again.err);
    program.stop().await;
}

/// Rules of the gateway that put a number on each answer in two places: one of the route and one of
/// the destination.
fn numbered(number: u64) -> String {
    let set = |name: &str| format!("headers: {{response: {{set: {{{name}: '{number}'}}}}}}");
    let (of_route, of_destination) = (set("x-of-route"), set("x-of-destination"));
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: gateway}}
spec:
  hosts: [gateway.default.svc.cluster.local]
  gateways: [mesh, api-gateway]
  http:
  - {of_route}
    route:
    - destination: {{host: web-app, subset: v1}}
      {of_destination}
"
    )
}

/// Clients that ask without a pause, and what they met.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    /// The number whose apply has been answered.
    applied: AtomicU64,
    answers: AtomicU64,
    answered: Notify,
}

impl Load {
    async fn ask(&self, client: &Client) {
        while !self.over.load(Ordering::SeqCst) {
            let applied = self.applied.load(Ordering::SeqCst);
            let answer = client.get("/api/v1/products").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let (route, destination) =
                (answer.header("x-of-route"), answer.header("x-of-destination"));
            assert_eq!(route, destination, "half of one revision and half of another");
            let number: u64 = route.parse().expect("a number");
            assert!(number >= applied, "r{number} after r{applied} was said to be in force");
            self.answers.fetch_add(1, Ordering::SeqCst);
            self.answered.notify_one();
        }
    }

    /// Until so many have been answered.
    async fn reach(&self, answers: u64) {
        while self.answers.load(Ordering::SeqCst) < answers {
            self.answered.notified().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_applies_under_load_fail_no_request_and_each_is_answered_under_one_revision() {
    let World { program, client, data: _data } = world().await;
    let apply = async |number: u64| {
        let request = client.request(Method::POST, "/control/istio").body(numbered(number));
        let answer = send(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    apply(0).await;
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (load, client) = (load.clone(), client.clone());
        clients.spawn(async move { load.ask(&client).await });
    }
    let mut before = revision(&client).await;
    for number in 1..=100 {
        // Some end between any two, so that there are always some under way.
        load.reach(load.answers.load(Ordering::SeqCst) + 4).await;
        let answer = apply(number).await;
        load.applied.store(number, Ordering::SeqCst);
        assert_eq!(answer["revision"], before + 1);
        assert!(answer["took_us"].as_u64().is_some_and(|took| took > 0), "{answer}");
        before += 1;
    }
    load.reach(load.answers.load(Ordering::SeqCst) + 8).await;
    load.over.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("no request failed");
    }
    program.stop().await;
}

const CROSS_ORIGIN: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: front
spec:
  hosts:
  - api-gateway
  http:
  - route:
    - destination:
        host: gateway
    corsPolicy:
      allowOrigins:
      - exact: https://shop.example
      allowMethods: [POST]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_may_change_what_a_cors_policy_allows_and_nothing_else() {
    let World { program, client, data: _data } = world().await;
    let order = json!({"user_id": "c-1001", "items": [{"product_id": "p-moka", "quantity": 1}]});
    let cross = async |origin: &str, path: &str| {
        let request = client.json(path, &order).header("origin", origin);
        send(request.header("sec-fetch-site", "cross-site")).await.expect("an answer")
    };
    let allowed = "https://shop.example";
    assert_eq!(cross(allowed, "/api/v1/orders").await.status, 403, "nothing allows it yet");
    let apply = client.request(Method::POST, "/control/istio").body(CROSS_ORIGIN);
    assert_eq!(send(apply).await.expect("an answer").status, 200);
    let placed = cross(allowed, "/api/v1/orders").await;
    assert_eq!(placed.status, 202, "{}", placed.text());
    assert_eq!(placed.headers["access-control-allow-origin"], allowed);
    assert_eq!(cross("https://evil.example", "/api/v1/orders").await.status, 403);
    for ours in ["/control/load", "/control/istio", "/orders/new"] {
        assert_eq!(cross(allowed, ours).await.status, 403, "{ours}");
    }
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_mesh_is_not_taken_for_the_services_own() {
    let World { program, client, data: _data } = world().await;
    let order = json!({"user_id": "c-1001", "items": [{"product_id": "p-moka", "quantity": 1}]});
    let place = async || client.post("/api/v1/orders", &order).await;
    for (status, title) in [(404, "Not Found"), (429, "Too Many Requests")] {
        let fault = json!({
            "kind": "abort", "from": "", "to": "users", "subset": "", "instance": "", "terms": [],
            "percent": 100.0, "delay_ms": 0, "jitter_ms": 0, "status": status, "ttl_s": 300,
            "like_istio": false,
        });
        let injected = client.post("/control/faults", &fault).await;
        assert_eq!(injected.status, 201, "{}", injected.text());
        let answer = place().await;
        assert_eq!((answer.status, &answer.json()["title"]), (status, &json!(title)));
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.starts_with("users: ") && !detail.contains("no customer"), "{detail}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
        let id = injected.json()["id"].as_str().expect("an id").to_owned();
        let end = client.request(Method::DELETE, &format!("/control/faults/{id}"));
        assert!(send(end).await.expect("an answer").status < 300);
    }
    let unknown = json!({"user_id": "c-0", "items": order["items"]});
    assert_eq!(client.post("/api/v1/orders", &unknown).await.status, 400);
    program.stop().await;
}

const ADMIN: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: front
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: admin
spec:
  hosts: [admin.example.com]
  gateways: [front]
  http:
  - route:
    - destination: {host: gateway}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: admin
spec:
  selector: {matchLabels: {app: gateway}}
  action: DENY
  rules:
  - to:
    - operation: {hosts: [admin.example.com]}
  - to:
    - operation: {paths: [/api/v1/products/p-moka]}
";

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_host_or_a_path_passes_a_policy_about_it() {
    let World { program, client, data: _data } = world().await;
    let apply = client.request(Method::POST, "/control/istio").body(ADMIN);
    let applied = send(apply).await.expect("an answer");
    assert_eq!(applied.status, 200, "{}", applied.text());
    let address = client.url().trim_start_matches("http://").parse().expect("an address");
    let ask = async |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        testkit::raw(address, request.as_bytes()).await
    };
    for (target, host, status) in [
        ("/api/v1/products", "localhost", 200),
        ("/api/v1/products", "admin.example.com", 403),
        ("http://admin.example.com/api/v1/products", "localhost", 403),
        ("http://localhost@admin.example.com/api/v1/products", "localhost", 403),
        ("http://localhost/api/v1/products", "admin.example.com", 200),
        ("http://elsewhere.example/api/v1/products", "localhost", 421),
        ("/api/v1/products/p-beans", "localhost", 200),
        ("/api/v1/products/p%2Dbeans", "localhost", 200),
        ("/api/v1/products/p-moka", "localhost", 403),
        ("/api/v1/products/p%2Dmoka", "localhost", 403),
        ("/api/v1/%70roducts/p%2dmoka", "localhost", 403),
        ("/%61pi/v1/products/p-moka", "localhost", 403),
        ("/x/../api/v1/products/./p-moka", "localhost", 403),
        ("/api/v1/products/%2E%2e/products/p-moka", "localhost", 403),
        ("/api\\v1\\products\\p-moka", "localhost", 403),
        ("//api/v1/products/p-moka", "localhost", 404),
        ("/api/v1/products/p%252Dmoka", "localhost", 404),
    ] {
        let answer = ask(target, host).await;
        assert_eq!(answer.status, status, "{target} at {host}: {}", answer.text());
    }
    let metrics = client.get("/metrics").await.text();
    let denied = metrics.lines().filter(|line| line.starts_with("envoy_http_rbac_denied_total"));
    let denied = denied.filter(|line| line.contains("service=\"gateway\""));
    let counts = denied.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    assert_eq!(counts.sum::<u64>(), 10, "{metrics}");
    program.stop().await;
}

const OLD: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: front
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: old
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new, redirectCode: 301}
  - match: [{uri: {prefix: /goods}}]
    rewrite: {uri: /api/v1/products}
    route:
    - destination: {host: gateway}
  - match: [{uri: {exact: /}}, {uri: {prefix: /control}}]
    directResponse: {status: 418, body: {string: a teapot}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_a_gateway_has_all_its_paths_and_the_dashboard_keeps_its_own_names() {
    let World { program, client, data: _data } = world().await;
    let address = client.url().trim_start_matches("http://").parse().expect("an address");
    let ask = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        testkit::raw(address, request.as_bytes()).await
    };
    let before = ask("/old", "shop.example.com").await;
    assert_eq!(before.status, 421);
    assert!(before.text().contains("No Gateway lets this host and path in"), "{}", before.text());
    let applied = send(client.request(Method::POST, "/control/istio").body(OLD)).await;
    let applied = applied.expect("an answer");
    assert_eq!(applied.status, 200, "{}", applied.text());
    let old = ask("/old", "shop.example.com").await;
    assert_eq!(old.status, 301, "{}", old.text());
    assert_eq!(old.headers["location"], "http://shop.example.com/new");
    let goods = ask("/goods", "Shop.Example.com:3000").await;
    assert_eq!(goods.status, 200, "{}", goods.text());
    assert!(goods.json()["products"].is_array(), "{}", goods.text());
    for path in ["/", "/control/istio", "/control/faults"] {
        let answer = ask(path, "shop.example.com").await;
        assert_eq!((answer.status, &*answer.text()), (418, "a teapot"), "{path}");
    }
    assert_eq!(ask("/orders", "shop.example.com").await.status, 404);
    assert_eq!(ask("/", "localhost").await.status, 200);
    assert_eq!(ask("/old", "localhost").await.status, 404);
    assert_eq!(ask("/old", "other.example.com").await.status, 421);
    program.stop().await;
}

/// The same shop under its own name and another, with edits of what is answered.
const EDITED: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: front
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: edited
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
  - match: [{uri: {exact: /direct}}]
    directResponse: {status: 404}
    headers: {response: {remove: [referrer-policy], set: {x-frame-options: SAMEORIGIN}}}
  - route:
    - destination: {host: gateway}
    headers:
      response:
        set:
          x-frame-options: SAMEORIGIN
          referrer-policy: no-referrer
          content-security-policy: default-src *
          x-content-type-options: other
          cross-origin-resource-policy: cross-origin
          cross-origin-opener-policy: unsafe-none
          x-correlation-id: of-the-route
          traceresponse: of-the-route
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: own
spec:
  hosts: [api-gateway]
  http:
  - route:
    - destination: {host: gateway}
    headers:
      response: {remove: [x-frame-options, x-correlation-id], set: {referrer-policy: origin}}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_does_to_the_headers_of_an_answer_is_what_comes_out() {
    let World { program, client, data: _data } = world().await;
    let address = client.url().trim_start_matches("http://").parse().expect("an address");
    let ask = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        testkit::raw(address, request.as_bytes()).await
    };
    let before = ask("/api/v1/products", "localhost").await;
    let added = "x-frame-options x-content-type-options referrer-policy x-correlation-id \
                 traceresponse content-security-policy";
    for name in added.split(' ') {
        assert!(before.headers.contains_key(name), "{name} of {:?}", before.headers);
    }
    let applied = send(client.request(Method::POST, "/control/istio").body(EDITED)).await;
    let applied = applied.expect("an answer");
    assert_eq!(applied.status, 200, "{}", applied.text());

    let set = ask("/api/v1/products", "shop.example.com").await;
    assert_eq!(set.status, 200, "{}", set.text());
    for (name, value) in [
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src *"),
        ("x-content-type-options", "other"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("cross-origin-opener-policy", "unsafe-none"),
        ("x-correlation-id", "of-the-route"),
        ("traceresponse", "of-the-route"),
    ] {
        let values: Vec<_> = set.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
    // Of an answer that the edge explains, too.
    let direct = ask("/direct", "shop.example.com").await;
    assert_eq!((direct.status, direct.header("x-frame-options")), (404, "SAMEORIGIN"));
    assert!(!direct.headers.contains_key("referrer-policy"), "{:?}", direct.headers);
    assert_eq!(direct.header("x-content-type-options"), "nosniff", "what nobody edits stays");

    let own = ask("/api/v1/products", "localhost").await;
    assert_eq!((own.status, own.header("referrer-policy")), (200, "origin"));
    for name in ["x-frame-options", "x-correlation-id"] {
        assert!(!own.headers.contains_key(name), "{name} was taken away");
    }
    // The pages are the edge's own: no route has a say in what protects them.
    let page = ask("/", "localhost").await;
    assert_eq!(
        (page.header("x-frame-options"), page.header("referrer-policy")),
        ("DENY", "same-origin")
    );
    program.stop().await;
}
