//! Figures of the built program: start, memory, orders per second, what the gateway costs.
//!
//! Prints medians. Nothing here fails on a slow machine; read the figures beside the machine's.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made stops here")]

use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use testkit::{Client, Launch, Program};
use tokio::{task::JoinSet, time::Instant};

/// Starts measured.
const STARTS: usize = 11;
/// Calls measured per path.
const CALLS: usize = 2_000;
/// Clients of the closed loop.
const CLIENTS: usize = 64;
/// Orders of the closed loop.
const ORDERS: usize = 2_000;

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

async fn orders_per_second(client: &Client) -> f64 {
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(ORDERS));
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, left) = (client.clone(), left.clone());
        clients.spawn(async move {
            use std::sync::atomic::Ordering::Relaxed;
            let order = json!({
                "user_id": "c-1001",
                "items": [{"product_id": "p-notebook", "quantity": 1}],
            });
            while left.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok() {
                let request = client.json("/api/v1/orders", &order).header("prefer", "wait=30");
                let answer = testkit::client::send(request).await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
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

async fn memory(data: &Path) {
    let (program, client) = Launch::shop(binary(), data, "0").start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    row("resident memory, idle for 10 s", &resident(&program), "aim 60 MB");
    let mut viewer = client.stream("/ui/live").await;
    let reader = async move { while viewer.next().await.is_some() {} };
    let load = client.request(http::Method::POST, "/load").body("per_second=200");
    let load = load.header("content-type", "application/x-www-form-urlencoded");
    testkit::client::send(load).await.expect("the load is set");
    let _ = tokio::time::timeout(Duration::from_secs(30), reader).await;
    row("resident memory, 30 s at 200 req/s, one viewer", &resident(&program), "aim 150 MB");
    program.stop().await;
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
    let live = latency(&client, "/livez").await;
    let products = latency(&client, "/api/v1/products").await;
    row("GET /livez: edge and gateway alone, median", &format!("{live:.0?}"), "");
    row("GET /api/v1/products: with one call to catalog, median", &format!("{products:.0?}"), "");
    let orders = orders_per_second(&client).await;
    row("orders/s end to end, 64 clients, synced to disk", &format!("{orders:.0}"), "");
    program.stop().await;
    let throwaway = Launch::new(binary()).args(&["--ephemeral", "--load", "0"]);
    let (program, client) = throwaway.args(&["--listen", "127.0.0.1:0"]).start().await;
    let orders = orders_per_second(&client).await;
    row("orders/s end to end, 64 clients, --ephemeral", &format!("{orders:.0}"), "");
    program.stop().await;
}
