//! Bad input of every kind at every endpoint: each is answered with a 4xx and a reason, nothing
//! panics, and the books are the same afterwards.
//!
//! Sent as bytes to the real program, because a well-behaved client would not send most of it.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use testkit::{Answer, Books, Client, Launch, Program, client::send, raw};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PROBLEM: &str = "application/problem+json";
const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
/// Largest body that is read, bytes.
const BODY_MAX: usize = 64 * 1024;
/// Random bodies of each kind.
const RANDOM_CASES: u32 = 200;

/// A program with an order of each end, and its books before anything bad came.
struct World {
    data: tempfile::TempDir,
    before: Books,
    load: Value,
    program: Program,
    client: Client,
    address: SocketAddr,
    confirmed: String,
    shipped: String,
    cancelled: String,
}

impl World {
    async fn open() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
        let confirmed = place(&client, "c-1001", "p-moka").await;
        let shipped = place(&client, "c-1007", "p-beans").await;
        let cancelled = place(&client, "c-1042", "p-chair").await;
        let ship = format!("/api/v1/orders/{shipped}/ship");
        assert_eq!(client.post(&ship, &Value::Null).await.status, 202);
        program.stop().await;
        let before = Books::at_rest(PROGRAM, data.path()).await;
        before.assert_in_order();
        let mut program = Launch::shop(PROGRAM, data.path(), "0").spawn();
        let address = program.address().await;
        let client = Client::new(address);
        let load = client.load().await;
        Self { data, before, load, program, client, address, confirmed, shipped, cancelled }
    }

    /// It lives, it never panicked, and nothing is different.
    async fn close(self) {
        assert_eq!(self.client.get("/health").await.status, 200);
        assert_eq!(self.client.load().await, self.load, "the load was changed");
        self.program.stop().await;
        let after = Books::at_rest(PROGRAM, self.data.path()).await;
        assert!(after == self.before, "changed:\n{:#?}\n\n{after:#?}", self.before);
    }

    async fn ask(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        raw(self.address, &request(line, headers, body)).await
    }

    /// Sends it and wants a problem of this status.
    async fn refused(&self, line: &str, headers: &[&str], body: &[u8], status: u16) -> Value {
        let answer = self.ask(line, headers, body).await;
        assert_problem(line, &answer, status)
    }
}

async fn place(client: &Client, user: &str, product: &str) -> String {
    let order = json!({ "user_id": user, "items": [{ "product_id": product, "quantity": 1 }] });
    let post = client.json("/api/v1/orders", &order).header("prefer", "wait=20");
    let placed = send(post).await.expect("an answer");
    assert_eq!(placed.status, 200, "{}", placed.text());
    placed.field("order_id")
}

/// A request of this line (`POST /path`), on a connection of its own.
fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// A problem as RFC 9457 has it, with a reason.
fn assert_problem(what: &str, answer: &Answer, status: u16) -> Value {
    let what = what.chars().take(120).collect::<String>();
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), PROBLEM, "{what}: {}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.len() > 10, "{what}: no reason but {detail:?}");
    problem
}

/// Bodies that are no order, with the field that is named; none where the document is the fault.
fn bad_orders() -> Vec<(Vec<u8>, &'static str)> {
    let item = |item: &str| format!(r#"{{"user_id":"c-1001","items":[{item}]}}"#);
    let good = r#"{"product_id":"p-moka","quantity":1}"#;
    let user = |user: &str| format!(r#"{{"user_id":{user},"items":[{good}]}}"#);
    let quantity = |q: &str| item(&format!(r#"{{"product_id":"p-moka","quantity":{q}}}"#));
    let product = |p: &str| item(&format!(r#"{{"product_id":{p},"quantity":1}}"#));
    let mut cases: Vec<(String, &str)> = vec![
        ("".into(), ""),
        ("{".into(), ""),
        (user("\"c-1001\"").trim_end_matches('}').into(), ""),
        (user("\"c-1001\"") + "x", ""),
        (user("\"c-1001\"") + &user("\"c-1001\""), ""),
        ("[".repeat(20_000), ""),
        (r#"{"a":"#.repeat(10_000), ""),
        (format!("{}{}", "[".repeat(100), "]".repeat(100)), ""),
        ("null".into(), ""),
        ("[]".into(), ""),
        ("\"order\"".into(), ""),
        ("1e999".into(), ""),
        ("{\"user_id\":\"c-1001\",\"items\":[NaN]}".into(), ""),
        ("\u{feff}{}".into(), ""),
        ("{}".into(), "/user_id"),
        (format!(r#"{{"items":[{good}]}}"#), "/user_id"),
        (format!(r#"{{"user_id":"c-1001","user_id":"c-1001","items":[{good}]}}"#), ""),
        (item(r#"{"product_id":"p-moka","quantity":1,"quantity":1}"#), ""),
        (r#"{"user_id":"c-1001"}"#.into(), "/items"),
        (r#"{"user_id":"c-1001","items":null}"#.into(), "/items"),
        (r#"{"user_id":"c-1001","items":{}}"#.into(), "/items"),
        (r#"{"user_id":"c-1001","items":[]}"#.into(), "/items"),
        (item(&[good; 51].join(",")), "/items"),
        (item(&[good; 2].join(",")), "/items/1/product_id"),
        (item("null"), "/items/0/product_id"),
        (item("[]"), "/items/0/product_id"),
        (item(r#"{"quantity":1}"#), "/items/0/product_id"),
        (item(r#"{"product_id":"p-moka"}"#), "/items/0/quantity"),
    ];
    for bad in ["null", "7", "true", "[]", "{}", "\"\"", "\"c 1\"", "\"c-9999\"", "\"\\u0000\""] {
        cases.push((user(bad), "/user_id"));
    }
    for bad in
        ["null", "7", "[]", "\"\"", "\"p-none\"", "\"../p-moka\"", "\"p-moka,p-pen\"", "\"ü\""]
    {
        cases.push((product(bad), "/items/0/product_id"));
    }
    let long = format!("\"{}\"", "x".repeat(65));
    cases.extend([(user(&long), "/user_id"), (product(&long), "/items/0/product_id")]);
    let quantities = "0 -1 -0 0.5 1.0 1e2 101 4294967297 18446744073709551617 1e400 \
                      -9223372036854775809 \"1\" null true [1] {}";
    for bad in quantities.split(' ') {
        let field = if bad == "1e400" { "" } else { "/items/0/quantity" };
        cases.push((quantity(bad), field));
    }
    let mut cases: Vec<_> = cases.into_iter().map(|(body, at)| (body.into_bytes(), at)).collect();
    cases.push((b"{\"user_id\":\"\xff\xfe\",\"items\":[]}".to_vec(), ""));
    cases.push((vec![0; 100], ""));
    cases
}

#[tokio::test]
async fn a_bad_order_is_refused_with_the_field_that_is_bad() {
    let world = World::open().await;
    for (body, field) in bad_orders() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        for path in ["POST /api/v1/orders", "POST /api/orders"] {
            let answer = world.ask(path, &[JSON], &body).await;
            let problem = assert_problem(&shown, &answer, 400);
            let named: Vec<_> = problem["errors"].as_array().into_iter().flatten().collect();
            assert!(named.iter().any(|error| error["field"] == field), "{shown}: {problem}");
            assert!(named.iter().all(|error| error["reason"].is_string()), "{shown}: {problem}");
        }
    }
    world.close().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_or_of_another_type_is_not_read() {
    let world = World::open().await;
    let good = br#"{"user_id":"c-1001","items":[{"product_id":"p-moka","quantity":1}]}"#;
    let large = [good.as_slice(), &vec![b' '; BODY_MAX]].concat();
    let problem = world.refused("POST /api/v1/orders", &[JSON], &large, 413).await;
    assert!(problem["detail"].as_str().is_some_and(|said| said.contains("64 KiB")), "{problem}");
    let packed = [JSON, "Content-Encoding: gzip"];
    world.refused("POST /api/v1/orders", &packed, good, 415).await;
    world.refused("GET /api/v1/products", &["Host: localhost"], b"", 400).await;
    world.refused("POST /api/v1/orders", &[JSON], &vec![b'['; 4 * 1024 * 1024], 413).await;
    world.refused("POST /ui/place-order", &[JSON], &large, 413).await;
    for other in [
        "X-Nothing: 1",
        "Content-Type:",
        "Content-Type: text/plain",
        "Content-Type: application/jsonp",
        "Content-Type: application/json-patch+json",
        "Content-Type: multipart/form-data; boundary=x",
        FORM,
    ] {
        world.refused("POST /api/v1/orders", &[other], good, 415).await;
    }
    for key in ["", "\u{e9}", "a\tb", &"k".repeat(129)] {
        let header = format!("Idempotency-Key: {key}");
        let problem = world.refused("POST /api/v1/orders", &[JSON, &header], good, 400).await;
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    }
    let twice = [JSON, "Idempotency-Key: a", "Idempotency-Key: b"];
    world.refused("POST /api/v1/orders", &twice, good, 400).await;
    for prefer in ["wait=-1", "wait=99999999999999999999", "wait", ";;,=", "wait=\u{e9}"] {
        let prefer = format!("Prefer: {prefer}");
        world.refused("POST /api/v1/orders", &[JSON, &prefer], b"{}", 400).await;
    }
    world.close().await;
}

#[tokio::test]
async fn an_id_that_names_nothing_names_nothing() {
    let world = World::open().await;
    let long = "x".repeat(5_000);
    let unknown = [
        "ord-00000000",
        "0",
        "-",
        "...",
        "a%2Fb",
        "..%2F..%2Fetc",
        "%00",
        "%0d%0aX:1",
        "%25",
        "a%20b",
        "%C3%BC",
        "%F0%9F%9B%92",
        "'%3B--",
        "%7Bid%7D",
        &long,
    ];
    for id in unknown {
        for line in ["GET /api/v1/products/", "GET /api/v1/users/", "GET /api/v1/orders/"] {
            world.refused(&format!("{line}{id}"), &[], b"", 404).await;
        }
        for what in ["cancel", "ship", "redrive"] {
            world.refused(&format!("POST /api/v1/orders/{id}/{what}"), &[], b"", 404).await;
        }
        world.refused(&format!("GET /traces/{id}/jaeger.json"), &[], b"", 404).await;
        world.refused(&format!("GET /fonts/{id}"), &[], b"", 404).await;
        world.refused(&format!("GET /pkg/{id}/vitrine.js"), &[], b"", 404).await;
    }
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/orders",
        "/api/v1/orders/",
        "/api/v1/nothing",
        "/api/v1/orders/a/b/c",
        "/pkg/vitrine.js",
    ] {
        world.refused(&format!("GET {path}"), &[], b"", 404).await;
    }
    for path in ["/api/v1/orders/%FF", "/api/v1/users/%C3", "/traces/%FF/jaeger.json", "/fonts/%FF"]
    {
        world.refused(&format!("GET {path}"), &[], b"", 400).await;
    }
    world.refused("POST /orders/%FF/cancel", &[FORM], b"", 400).await;
    world.refused("POST /api/v1/orders/%FF/ship", &[], b"", 400).await;
    world.close().await;
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let world = World::open().await;
    let long = format!("cursor={}", "9".repeat(10_000));
    for list in ["orders", "products", "users"] {
        let queries = "limit=0 limit=-1 limit=201 limit=x limit=1.5 limit=1e3 limit= limit=%FF \
                       limit=99999999999999999999 limit=1&limit=2 limti=1 cursor=none cursor=%FF \
                       cursor=%27 cursor=..%2F..";
        for query in queries.split(' ').chain([&*long]) {
            let line = format!("GET /api/v1/{list}?{query}");
            let problem = world.refused(&line, &[], b"", 400).await;
            let field = query.split('=').next();
            assert_eq!(problem["errors"][0]["field"].as_str(), field, "{line}: {problem}");
        }
    }
    for query in [
        "stauts=confirmed",
        "status=lost",
        "status=Confirmed",
        "status=",
        "status=confirmed&status=shipped",
        "user_id=a%20b",
        "user_id=",
        "user_id=%00",
        "cursor=a.b",
        "cursor=1",
        "cursor=99999999999999999999.ord-1",
    ] {
        let problem = world.refused(&format!("GET /api/v1/orders?{query}"), &[], b"", 400).await;
        let field = query.split('=').next();
        assert_eq!(problem["errors"][0]["field"].as_str(), field, "{query}: {problem}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_decision_whose_body_says_something_is_not_taken() {
    let world = World::open().await;
    for what in ["ship", "cancel", "redrive"] {
        let line = format!("POST /api/v1/orders/{}/{what}", world.confirmed);
        for (body, status) in [
            (b"{{{{".to_vec(), 400),
            (b"[]".to_vec(), 400),
            (b"0".to_vec(), 400),
            (br#"{"quantity":1}"#.to_vec(), 400),
            (b"{}{}".to_vec(), 400),
            (vec![0xff; 10], 400),
            (vec![b' '; BODY_MAX + 1], 413),
            (vec![b'{'; 5 * 1024 * 1024], 413),
        ] {
            world.refused(&line, &[JSON], &body, status).await;
        }
        for kind in ["X-Nothing: 1", "Content-Type: text/plain", FORM] {
            world.refused(&line, &[kind], b"{}", 415).await;
        }
        world.refused(&line, &[JSON, "Content-Encoding: gzip"], b"{}", 415).await;
    }
    // Nothing said in other words is nothing said: the order is found and its state decides.
    for nothing in ["", "null", "{}", " {} "] {
        let line = format!("POST /api/v1/orders/{}/cancel", world.shipped);
        world.refused(&line, &[JSON], nothing.as_bytes(), 409).await;
    }
    world.close().await;
}

#[tokio::test]
async fn a_decision_that_is_impossible_is_refused() {
    let world = World::open().await;
    for (order, what) in [
        (&world.shipped, "cancel"),
        (&world.cancelled, "ship"),
        (&world.shipped, "redrive"),
        (&world.cancelled, "redrive"),
        (&world.confirmed, "redrive"),
    ] {
        let line = format!("POST /api/v1/orders/{order}/{what}");
        world.refused(&line, &[], b"", 409).await;
    }
    for what in ["cancel", "ship", "redrive"] {
        let line = format!("POST /api/v1/orders/{}/{what}", world.confirmed);
        let long = format!("Idempotency-Key: {}", "k".repeat(129));
        for key in ["Idempotency-Key:", "Idempotency-Key: \u{e9}", &long] {
            world.refused(&line, &[key], b"", 400).await;
        }
        world.refused(&line, &["Idempotency-Key: a", "Idempotency-Key: b"], b"", 400).await;
        world.refused(&line, &["If-Match: \"1\""], b"", 412).await;
        world.refused(&line, &["If-Match: \"18446744073709551615\""], b"", 412).await;
        for etag in
            ["5", "\"x\"", "\"-1\"", "\"", "", "\u{e9}", "\"1\", \"2\"", "\"99999999999999999999\""]
        {
            world.refused(&line, &[&format!("If-Match: {etag}")], b"", 400).await;
        }
    }
    world.close().await;
}

/// Every path with the methods it takes (HEAD comes with GET).
const TAKES: &[(&str, &[&str])] = &[
    ("/api/v1/products", &["GET"]),
    ("/api/v1/products/p-moka", &["GET"]),
    ("/api/v1/users", &["GET"]),
    ("/api/v1/users/c-1001", &["GET"]),
    ("/api/v1/orders", &["GET", "POST"]),
    ("/api/v1/orders/ord-1", &["GET"]),
    ("/api/v1/orders/ord-1/cancel", &["POST"]),
    ("/api/v1/orders/ord-1/ship", &["POST"]),
    ("/api/v1/orders/ord-1/redrive", &["POST"]),
    ("/api/v1/health", &["GET"]),
    ("/api/v1/openapi.json", &["GET"]),
    ("/api/orders", &["GET", "POST"]),
    ("/health", &["GET"]),
    ("/livez", &["GET"]),
    ("/readyz", &["GET"]),
    ("/metrics", &["GET"]),
    ("/openapi.json", &["GET"]),
    ("/", &["GET"]),
    ("/load", &["POST"]),
    ("/orders/ord-1/cancel", &["POST"]),
    ("/orders/ord-1/ship", &["POST"]),
    ("/orders/ord-1/redrive", &["POST"]),
    ("/traces/1/jaeger.json", &["GET"]),
    ("/favicon.svg", &["GET"]),
    ("/ui/live", &["GET"]),
    ("/ui/place-order", &["POST"]),
];

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused_with_those_it_takes() {
    let world = World::open().await;
    for (path, takes) in TAKES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            if !takes.contains(&method) {
                let line = format!("{method} {path}");
                let answer = world.ask(&line, &[JSON], b"{}").await;
                assert_problem(&line, &answer, 405);
                let allowed = answer.header("allow");
                assert!(takes.iter().all(|m| allowed.contains(m)), "{line}: allow {allowed:?}");
            }
        }
    }
    world.close().await;
}

#[tokio::test]
async fn a_form_that_makes_no_sense_leads_back_to_its_page_with_the_reason() {
    let world = World::open().await;
    let order = |user: &str, product: &str, quantity: &str| {
        format!("user_id={user}&product_id={product}&quantity={quantity}&key=k").into_bytes()
    };
    let mut cases: Vec<(&str, Vec<u8>)> = Vec::new();
    for quantity in ["", "x", "0", "-1", "101", "1.5", "99999999999999999999", "NaN", "%FF"] {
        cases.push(("/orders/new", order("c-1001", "p-moka", quantity)));
    }
    for (user, product) in
        [("", ""), ("c-9999", "p-moka"), ("c-1001", "p-none"), ("a%20b", "p-moka"), ("%FF", "%00")]
    {
        cases.push(("/orders/new", order(user, product, "1")));
    }
    let long_key = [order("c-1001", "p-moka", "1"), vec![b'k'; 200]].concat();
    cases.push(("/orders/new", long_key));
    for bad in [
        "",
        "x=1",
        "per_second=",
        "per_second=x",
        "per_second=-1",
        "per_second=201",
        "per_second=NaN",
        "per_second=inf",
        "per_second=1e400",
        "per_second=1&per_second=2",
        "per_second=1&orders_percent=101",
        "per_second=1&shape=zigzag",
        "%",
    ] {
        cases.push(("/load", bad.into()));
        cases.push(("/orders/new", bad.into()));
    }
    cases.push(("/load", vec![0xff; 100]));
    cases.push(("/load", vec![b'1'; 2 * BODY_MAX]));
    for (path, body) in &cases {
        let answer = world.ask(&format!("POST {path}"), &[FORM], body).await;
        assert_back(path, &answer);
    }
    for id in ["ord-00000000", "a%20b", "%00", &world.shipped] {
        let path = format!("/orders/{id}/cancel");
        assert_back(&path, &world.ask(&format!("POST {path}"), &[FORM], b"").await);
    }
    for what in ["ship", "redrive"] {
        let path = format!("/orders/{}/{what}", world.cancelled);
        assert_back(&path, &world.ask(&format!("POST {path}"), &[FORM], b"").await);
    }
    for header in [JSON, "Content-Type: multipart/form-data"] {
        assert_back("/load", &world.ask("POST /load", &[header], b"per_second=1").await);
    }
    let live = world.client.get("/metrics").await.text();
    assert!(live.contains("vitrine_load_skipped"), "the program is well");
    world.close().await;
}

fn assert_back(path: &str, answer: &Answer) {
    assert_eq!(answer.status, 303, "{path}: {}", answer.text());
    let (page, reason) = answer.header("location").split_once("?error=").expect("a reason");
    assert!(page.starts_with('/') && !page.starts_with("//"), "{path} leads to {page}");
    assert!(reason.len() > 10, "{path}: no reason but {reason:?}");
}

#[tokio::test]
async fn a_server_function_refuses_garbage_as_the_senders_mistake() {
    let world = World::open().await;
    let mut cases: Vec<(&str, &str, Vec<u8>)> = Vec::new();
    for name in ["place-order", "snapshot", "traces"] {
        for body in ["", "{", "null", "[]", "{}", "7", "{\"order\":7}", "{\"part\":7,\"query\":7}"]
        {
            cases.push((name, JSON, body.into()));
        }
        cases.push((name, JSON, vec![0xff; 50]));
        cases.push((name, JSON, "[".repeat(20_000).into()));
        cases.push((name, FORM, b"order=1".to_vec()));
    }
    let order = |user: &str, quantity: &str| {
        let items = format!("[{{\"product_id\":\"p-moka\",\"quantity\":{quantity}}}]");
        format!("{{\"order\":{{\"user_id\":\"{user}\",\"items\":{items}}},\"key\":\"k\"}}")
    };
    for bad in [
        order("c-1001", "0"),
        order("c-1001", "-1"),
        order("c-9", "1"),
        order("c 1", "1"),
        order("c-1001", "1").replace("\"k\"", "\"\""),
        order("c-1001", "1").replace("\"k\"", r#""a\nb""#),
        order("c-1001", "1").replace("\"k\"", "\"\u{e9}\""),
        order("c-1001", "1").replace("\"k\"", &format!("{:?}", "k".repeat(129))),
    ] {
        cases.push(("place-order", JSON, bad.into()));
    }
    for name in ["order", "cancel-order", "ship-order", "redrive-order"] {
        for bad in ["", "x=1", "order_id=ord-0", "order_id=a%20b", "order_id=%FF", "order_id[]=1"] {
            cases.push((name, FORM, bad.into()));
        }
    }
    for bad in ["", "per_second=x", "per_second=NaN", "per_second=-1", "per_second=1e9"] {
        cases.push(("set-load", FORM, bad.into()));
    }
    for bad in ["", "trace_id=none", "trace_id=%00"] {
        cases.push(("trace", FORM, bad.into()));
    }
    cases.push(("orders", FORM, b"status=lost".to_vec()));
    for name in ["nothing", "..", "%00", "place-order2"] {
        cases.push((name, JSON, b"{}".to_vec()));
    }
    for (name, kind, body) in &cases {
        let answer = world.ask(&format!("POST /ui/{name}"), &[kind], body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        let what = format!("{name} {shown}: {} {}", answer.status, answer.text());
        assert!((400..500).contains(&answer.status), "{what}");
        assert!(answer.json().is_object(), "{what}");
    }
    world.close().await;
}

#[tokio::test]
async fn another_site_changes_nothing_here() {
    let world = World::open().await;
    let order = br#"{"user_id":"c-1001","items":[{"product_id":"p-moka","quantity":1}]}"#;
    let cancel = format!("POST /orders/{}/cancel", world.confirmed);
    let api_cancel = format!("POST /api/v1/orders/{}/cancel", world.confirmed);
    let form: &[u8] = b"user_id=c-1001&product_id=p-moka&quantity=1&per_second=9";
    let id = format!("order_id={}", world.confirmed);
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: \u{e9}",
        "Origin:",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for (line, kind, body) in [
            ("POST /api/v1/orders", JSON, order.as_slice()),
            (&*api_cancel, JSON, b""),
            (&*cancel, FORM, b""),
            ("POST /orders/new", FORM, form),
            ("POST /load", FORM, form),
            ("POST /ui/cancel-order", FORM, id.as_bytes()),
            ("POST /ui/set-load", FORM, form),
        ] {
            world.refused(line, &[kind, header], body, 403).await;
        }
    }
    for host in
        ["Host: evil.example", "Host: localhost.evil.example", "Host: 127.0.0.1.evil.example"]
    {
        let get = format!("GET / HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
        assert_problem(host, &raw(world.address, get.as_bytes()).await, 421);
    }
    // Said to be the last: who closes before the answer may be taken for one who went away.
    let nameless = b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n";
    let nameless = raw(world.address, nameless).await;
    assert_problem("no host", &nameless, 421);
    world.close().await;
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_what_breaks_off_has_no_effect() {
    let world = World::open().await;
    let head = "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\n";
    let good = r#"{"user_id":"c-1001","items":[{"product_id":"p-moka","quantity":1}]}"#;
    let pathless = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let long = "x".repeat(600_000);
    for (what, request) in [
        ("garbage", "\u{1}\u{2}garbage\r\n\r\n".to_owned()),
        ("no version", "GET /\r\n\r\n".to_owned()),
        ("a version of its own", "GET / HTTP/9.9\r\n\r\n".to_owned()),
        ("a header without a name", "GET / HTTP/1.1\r\n: x\r\n\r\n".to_owned()),
        ("a header with a zero", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n".to_owned()),
        ("a very long address", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a very long header", format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n")),
        ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}")),
        ("a negative length", format!("{head}Content-Length: -1\r\n\r\n{good}")),
        ("a body that breaks off", format!("{head}Content-Length: 500\r\n\r\n{good}")),
        ("a chunk that is none", format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{good}")),
        ("a request for a tunnel", format!("CONNECT a:1 {pathless}")),
        ("no path", format!("GET localhost:80 {pathless}")),
        ("a form for no path", format!("POST localhost:80 {pathless}")),
        (
            "chunks that break off",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n43\r\n{good}\r\n"),
        ),
        (
            "a length beyond all",
            format!("{head}Content-Length: 18446744073709551615\r\n\r\n{good}"),
        ),
    ] {
        let answer = raw(world.address, request.as_bytes()).await;
        let status = answer.status;
        assert!((400..500).contains(&status), "{what}: {status} {}", answer.text());
    }
    world.close().await;
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_no_mistake_and_goes_no_further() {
    let world = World::open().await;
    for parent in [
        "",
        "x",
        "00-0-0-0",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "\u{e9}",
        "-00",
        &"0".repeat(5_000),
    ] {
        let header = format!("traceparent: {parent}");
        let answer = world.ask("GET /api/v1/products/p-moka", &[&header], b"").await;
        assert_eq!(answer.status, 200, "{parent}");
    }
    for id in ["", " ", "a b", "\u{e9}", "a\tb", &"x".repeat(129)] {
        let header = format!("X-Correlation-ID: {id}");
        let answer = world.ask("GET /api/v1/products", &[&header], b"").await;
        let own = answer.header("x-correlation-id");
        assert_eq!((answer.status, own.len()), (200, 36), "{id:?} came back as {own:?}");
    }
    world.close().await;
}

/// JSON of any shape, some of it nearly an order. Nobody is called c-0, so none of it is one.
fn nearly_orders() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("user_id"),
        Just("items"),
        Just("product_id"),
        Just("quantity"),
        Just("p-moka"),
        Just("c-0"),
    ];
    let word = prop_oneof![word.prop_map(str::to_owned), ".{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..200_i64).prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let any_json = leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((word.clone(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    });
    let line = (any_json.clone(), any_json.clone())
        .prop_map(|(p, q)| json!({ "product_id": p, "quantity": q }));
    let order = vec(line, 0..4).prop_map(|items| json!({ "user_id": "c-0", "items": items }));
    prop_oneof![any_json, order]
}

#[test]
fn random_bytes_and_random_json_are_no_orders() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::open());
    let seed = testkit::seed();
    println!("VITRINE_TEST_SEED={seed} repeats this run");
    let runner = || {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases: RANDOM_CASES, failure_persistence: None, ..Config::default() };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    };
    let refused = |body: &[u8]| {
        let answer = runtime.block_on(world.ask("POST /api/v1/orders", &[JSON], body));
        let problem = (answer.status, answer.header("content-type")) == (400, PROBLEM);
        let said = || format!("{} {}", answer.status, answer.text());
        if problem { Ok(()) } else { Err(TestCaseError::fail(said())) }
    };
    let bytes = vec(any::<u8>(), 0..2_000);
    runner().run(&bytes, |bytes| refused(&bytes)).expect("random bytes are no order");
    let nearly = nearly_orders();
    runner().run(&nearly, |json| refused(json.to_string().as_bytes())).expect("no order either");
    runtime.block_on(world.close());
}
