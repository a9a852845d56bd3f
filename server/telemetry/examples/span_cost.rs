//! Measures what telemetry costs: time per span, memory per span, time of a search in a full store.
//!
//! `cargo run --release -p telemetry --example span_cost`

use contract::trace::TraceQuery;
use std::{fs, io::Write as _, time::Duration};
use telemetry::{SPANS_MAX, Telemetry, TelemetryConfig};
use tokio::time::Instant;
use tracing::{field::Empty, info_span};

/// Spans of one order, all with the attributes a call through the mesh has.
const SPANS_PER_TRACE: usize = 20;

fn call(order: &str, number: usize) {
    let span = info_span!(
        "call",
        otel.name = "POST /api/v1/orders",
        otel.kind = "client",
        service.name = ["gateway", "orders", "payments", "inventory"][number % 4],
        server.address = "orders",
        server.port = 80,
        http.request.method = "POST",
        http.route = "/api/v1/orders/{id}",
        url.path = "/api/v1/orders/ord-1",
        order.id = order,
        mesh.attempt = 1,
        http.response.status_code = Empty,
    );
    let _entered = span.enter();
    span.record("http.response.status_code", 202);
}

fn fill(traces: usize) -> Duration {
    let start = Instant::now();
    for trace in 0..traces {
        let order = format!("ord-{trace:08}");
        let _root = info_span!(parent: None, "request", service.name = "gateway").entered();
        (1..SPANS_PER_TRACE).for_each(|number| call(&order, number));
    }
    start.elapsed()
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let traces = SPANS_MAX / SPANS_PER_TRACE;
    let before = fill(traces);
    let (telemetry, _guard) = Telemetry::install(TelemetryConfig::default())?;
    let empty = resident_kb();
    let first = fill(traces);
    let full = resident_kb();
    let steady = fill(traces * 5) / 5;
    let stats = telemetry.store_stats();
    let each = |time: Duration| time.as_nanos() / SPANS_MAX as u128;
    writeln!(out, "no subscriber   {:>6} ns a span", each(before))?;
    writeln!(out, "filling         {:>6} ns a span", each(first))?;
    writeln!(out, "full            {:>6} ns a span", each(steady))?;
    writeln!(out, "memory          {:>6} bytes a span", (full - empty) * 1_024 / SPANS_MAX as u64)?;
    writeln!(out, "kept            {:>6} spans in {} traces", stats.spans, stats.traces)?;
    for (what, query) in [
        ("first search", TraceQuery::default()),
        ("second search", TraceQuery::default()),
        (
            "search by tag",
            TraceQuery { tag: Some("mesh.attempt=9".into()), ..TraceQuery::default() },
        ),
    ] {
        let start = Instant::now();
        let matched = telemetry.search(&query, i64::MAX).matched;
        writeln!(out, "{what:<15} {:>6} µs, {matched} traces", start.elapsed().as_micros())?;
    }
    let start = Instant::now();
    let edges = telemetry.map(base::Clock::system().now_us()).edges.len();
    writeln!(out, "map             {:>6} µs, {edges} edges", start.elapsed().as_micros())?;
    Ok(())
}
