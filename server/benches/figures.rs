//! Figures of the built program: start, memory, orders per second, what the gateway costs.
//!
//! Prints medians. Nothing here fails on a slow machine; read the figures beside the machine's.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made stops here")]

use base::{Clock, IdSource, Supervisor};
use contract::service::{CATALOG, GATEWAY};
use mesh::Caller;
use serde_json::{Value, json};
use server::shop::Shop;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use storage::Durability;
use telemetry::{Telemetry, TelemetryConfig};
use testkit::{Client, Launch, Program};
use tokio::{task::JoinSet, time::Instant};

/// Starts measured.
const STARTS: usize = 11;
/// Calls measured per path.
const CALLS: usize = 2_000;
/// Applies measured.
const APPLIES: u64 = 50;
/// Clients of the closed loop.
const CLIENTS: usize = 64;
/// Orders of the closed loop: what the shelves and wallets of a new shop allow, see [`orders`].
const ORDERS: usize = 1_600;

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_vitrine")
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

fn row(what: &str, figure: &str, aim: &str) {
    println!("{what:<58} {figure:>14}   {aim}");
}

/// Resident memory, megabytes, where the system says it.
fn resident(program: &Program) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id()));
    let kilobytes = status.ok().and_then(|status| {
        let line = status.lines().find(|line| line.starts_with("VmRSS"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    kilobytes.map_or_else(|| "not known".into(), |kb| format!("{:.0} MB", kb / 1_000.0))
}

async fn start_to_first_200(data: &Path) -> Duration {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let (program, client) = Launch::shop(binary(), data, "0").start().await;
        assert_eq!(client.get("/api/v1/products").await.status, 200);
        times.push(began.elapsed());
        program.stop().await;
    }
    median(times)
}

/// Orders that a new shop can all confirm: one piece each, the cheapest products first, for whoever
/// has most left in the wallet.
fn orders() -> Vec<Value> {
    let mut products = shop::seed::products();
    products.sort_by_key(|(product, _)| product.price.minor);
    let mut wallets = shop::seed::users();
    let mut orders = Vec::with_capacity(ORDERS);
    while orders.len() < ORDERS {
        let (product, pieces) = products.iter_mut().find(|(_, n)| *n > 0).expect("a full shelf");
        let (user, left) = wallets.iter_mut().max_by_key(|(_, left)| *left).expect("customers");
        *pieces -= 1;
        *left -= product.price.minor;
        assert!(*left >= 0, "a new shop cannot pay {ORDERS} orders");
        orders.push(json!({
            "user_id": user.user_id,
            "items": [{"product_id": product.product_id, "quantity": 1}],
        }));
    }
    orders
}

/// Of a new shop, every order confirmed.
async fn orders_per_second(client: &Client) -> f64 {
    let left = Arc::new(parking_lot::Mutex::new(orders()));
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, left) = (client.clone(), left.clone());
        clients.spawn(async move {
            loop {
                let Some(order) = left.lock().pop() else { return };
                let request = client.json("/api/v1/orders", &order).header("prefer", "wait=30");
                let answer = testkit::client::send(request).await.expect("an answer");
                assert_eq!(answer.field("status"), "confirmed", "{order}: {}", answer.text());
            }
        });
    }
    clients.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let orders = ORDERS as f64;
    orders / began.elapsed().as_secs_f64()
}

async fn latency(client: &Client, path: &str) -> Duration {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        assert_eq!(client.get(path).await.status, 200);
        times.push(began.elapsed());
    }
    median(times)
}

/// Rules of the gateway that put a number on every answer.
fn numbered(number: u64) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: gateway}}
spec:
  hosts: [gateway.default.svc.cluster.local]
  gateways: [mesh, api-gateway]
  http:
  - headers: {{response: {{set: {{x-applied: '{number}'}}}}}}
    route: [{{destination: {{host: web-app, subset: v1}}}}]
"
    )
}

/// From the apply of a revision to the end of the first request under it, and how much of that the
/// control plane says it took; while another client asks without a pause.
async fn apply_to_first_request(client: &Client) -> (Duration, Duration) {
    let (mut until, mut took) = (Vec::new(), Vec::new());
    for number in 1..=APPLIES {
        let began = Instant::now();
        let asking = async {
            while client.get("/api/v1/products").await.header("x-applied") != number.to_string() {}
            began.elapsed()
        };
        let post = client.request(http::Method::POST, "/control/istio").body(numbered(number));
        let (first, applied) = tokio::join!(asking, testkit::client::send(post));
        let applied = applied.expect("an answer").json();
        until.push(first);
        took.push(Duration::from_micros(applied["took_us"].as_u64().expect("a time")));
    }
    (median(until), median(took))
}

/// A page that is open in a real browser.
struct Viewer(Child);

impl Viewer {
    /// Nothing where there is no Node or no Chromium.
    fn open(url: &str) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/view.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(url).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut viewer = Self(node.stderr(Stdio::null()).spawn().ok()?);
        let mut said = String::new();
        let output = viewer.0.stdout.take()?;
        BufReader::new(output).read_line(&mut said).ok()?;
        (said.trim() == "open").then_some(viewer)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // The end of its input is the end of the page; it may be gone already.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

async fn memory(data: &Path) {
    let (program, client) = Launch::shop(binary(), data, "0").start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    row("resident memory, idle for 10 s", &resident(&program), "aim 60 MB");
    let viewer = Viewer::open(client.url());
    // Where there is no browser, what its page would read is read, and the row says so.
    let mut stream = if viewer.is_none() { Some(client.stream("/ui/live").await) } else { None };
    let reader = async {
        match &mut stream {
            Some(stream) => while stream.next().await.is_some() {},
            None => std::future::pending().await,
        }
    };
    let load = client.request(http::Method::POST, "/load").body("per_second=200");
    let load = load.header("content-type", "application/x-www-form-urlencoded");
    testkit::client::send(load).await.expect("the load is set");
    let _ = tokio::time::timeout(Duration::from_secs(30), reader).await;
    let seen_by = if viewer.is_some() { "one browser" } else { "stream only" };
    let what = format!("resident memory, 30 s at 200 req/s, {seen_by}");
    row(&what, &resident(&program), "aim 150 MB");
    drop(viewer);
    program.stop().await;
}

/// One call, in process.
async fn call(caller: &Caller, destination: &'static str, path: &str) -> Duration {
    let began = Instant::now();
    let answer = caller.get(destination, path).route(path).receive::<Value>().await;
    answer.expect("an answer");
    began.elapsed()
}

/// What the gateway adds to a call: the list of products asked for through it, and of catalog
/// itself, in turn, in one process that records spans as the program does.
async fn gateway() -> (Duration, Duration) {
    let config = TelemetryConfig::from_env(|_| None).expect("a configuration");
    let (_telemetry, guard) = Telemetry::install(config).expect("telemetry");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await;
    let (supervisor, _ends) = Supervisor::new();
    let (stores, ids) = (stores.expect("stores"), IdSource::seeded(1));
    let shop = Shop::assemble(stores, &supervisor, clock, ids).await.expect("a shop");
    shop.go(&supervisor).await.expect("it goes");
    let caller = shop.mesh.caller("bench");
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        direct.push(call(&caller, CATALOG, "/products").await);
        through.push(call(&caller, GATEWAY, "/api/v1/products").await);
    }
    supervisor.shutdown(Duration::from_secs(1)).await;
    guard.shutdown(Duration::from_secs(1)).await;
    (median(direct), median(through))
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    Launch::shop(binary(), &data, "0").start().await.0.stop().await;
    let first = start_to_first_200(&data).await;
    row("start to first 200, existing data, median of 11", &format!("{first:.0?}"), "aim 300 ms");
    memory(&data).await;
    let (program, client) = Launch::shop(binary(), &data, "0").start().await;
    let products = latency(&client, "/api/v1/products").await;
    row("GET /api/v1/products over HTTP, median", &format!("{products:.0?}"), "");
    let (first, took) = apply_to_first_request(&client).await;
    row("apply to the end of the first request under it", &format!("{first:.1?}"), "aim 50 ms");
    row("of that until it was in force, synced to disk", &format!("{took:.1?}"), "");
    program.stop().await;
    let (direct, through) = gateway().await;
    row("products of catalog, in process, median", &format!("{direct:.0?}"), "");
    row("the same through the gateway, median", &format!("{through:.0?}"), "");
    let overhead = through.saturating_sub(direct);
    row("gateway overhead per call: the difference", &format!("{overhead:.0?}"), "");
    let new = folder.path().join("orders");
    let (program, client) = Launch::shop(binary(), &new, "0").start().await;
    let orders = orders_per_second(&client).await;
    row("confirmed orders/s, 64 clients, synced to disk", &format!("{orders:.0}"), "");
    program.stop().await;
    let throwaway = Launch::new(binary()).args(&["--ephemeral", "--load", "0"]);
    let (program, client) = throwaway.args(&["--listen", "127.0.0.1:0"]).start().await;
    let orders = orders_per_second(&client).await;
    row("confirmed orders/s, 64 clients, --ephemeral", &format!("{orders:.0}"), "");
    program.stop().await;
}
