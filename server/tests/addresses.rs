//! Every address parameter of every page with the values that break arithmetic and parsers: each
//! page is drawn all the same by the real program, or refused with a 4xx.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use futures::{StreamExt, stream};
use serde_json::json;
use testkit::{Client, Launch, client::send};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
/// Pages that are drawn at once.
const AT_ONCE: usize = 4;

/// What each page reads of its address. The frame's part of it, the same on all, stands with the
/// last.
const PAGES: [(&str, &[&str]); 9] = [
    ("/", &["view", "sort", "node", "edge", "layer", "feed", "of", "zoom", "trace", "span"]),
    ("/orders", &["status", "when", "cursor", "trail"]),
    ("/orders/new", &["again", "customer", "product", "quantity", "payment", "key"]),
    ("/orders/ORDER", &["v", "json", "log", "span"]),
    ("/traces", &["service", "operation", "status", "min", "tag", "from", "until", "fault"]),
    ("/traces/TRACE", &["span", "tab", "level", "waits", "path", "zoom", "from", "until", "min"]),
    (
        "/traffic/payments",
        &[
            "view",
            "document",
            "rule",
            "diff",
            "service",
            "resource",
            "delete",
            "revisions",
            "back",
            "path",
            "method",
            "headers",
            "source",
            "pool",
            "key",
            "left",
        ],
    ),
    (
        "/resilience",
        &[
            "state",
            "breaker",
            "fault",
            "thresholds",
            "failures_in_a_row",
            "wait_s",
            "kind",
            "from",
            "to",
            "subset",
            "instance",
            "percent",
            "delay_s",
            "jitter_s",
            "status",
            "limit",
            "ttl_s",
            "crash_at",
        ],
    ),
    ("/shortcuts", &["range", "error", "token"]),
];

fn values() -> Vec<String> {
    let numbers = [i64::MIN, i64::MAX, -1, 0, 1_000_000_000_000_000_000, 3_100_000_000_000_000];
    let words =
        ["18446744073709551616", "1e308", "-1e308", "NaN", "inf", "", "%FF%00", "%C3%A9%22"];
    let stretches = ["0-9223372036854775807", "1-3601", "-1--1", "0-0"];
    let texts = words.into_iter().chain(stretches).map(str::to_owned);
    numbers.iter().map(ToString::to_string).chain(texts).chain(["x".repeat(8_192)]).collect()
}

/// Ends and beginnings that make a stretch of time together.
const STRETCHES: [(&str, &str); 6] = [
    ("0", "3100000000000000"),
    ("0", "253402300800000"),
    ("0", "9223372036854775"),
    ("9223372036854774", "9223372036854775"),
    ("-9223372036854775", "9223372036854775"),
    ("5", "4"),
];

fn addresses(order: &str, trace: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (page, names) in PAGES {
        let page = page.replace("ORDER", order).replace("TRACE", trace);
        for name in names {
            let values = values();
            all.extend(values.iter().map(|value| format!("{page}?{name}={value}")));
            all.push(format!("{page}?{name}=1&{name}=2&{name}"));
        }
        let stretches = STRETCHES.map(|(from, until)| format!("{page}?from={from}&until={until}"));
        all.extend(stretches);
    }
    for id in values().iter().filter(|id| !id.is_empty()) {
        for page in ["/orders", "/traces", "/traffic"] {
            all.push(format!("{page}/{id}"));
        }
    }
    all
}

/// An order that ran to its end, and its trace.
async fn story(client: &Client) -> (String, String) {
    let order =
        json!({ "user_id": "c-1001", "items": [{ "product_id": "p-moka", "quantity": 1 }] });
    let post = client.json("/api/v1/orders", &order).header("prefer", "wait=20");
    let placed = send(post).await.expect("an answer");
    assert_eq!(placed.status, 200, "{}", placed.text());
    let trace = placed.header("traceresponse").split('-').nth(1).expect("its trace").to_owned();
    (placed.field("order_id"), trace)
}

#[tokio::test]
async fn no_page_fails_whatever_its_address_says() {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    let (order, trace) = story(&client).await;
    let asked = stream::iter(addresses(&order, &trace)).map(|address| {
        let client = client.clone();
        async move { (client.get(&address).await, address) }
    });
    let wrong = asked.buffer_unordered(AT_ONCE).filter_map(async |(answer, address)| {
        let whole = answer.status < 500 && !answer.text().contains("panicked");
        let shown: String = address.chars().take(120).collect();
        (!whole).then(|| format!("{} {shown}", answer.status))
    });
    let wrong: Vec<String> = wrong.collect().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!program.stderr().contains("panicked"), "{}", program.stderr());
    program.stop().await;
}
