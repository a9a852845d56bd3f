//! The traces page and the list of orders as the server sends them, over the reference scenario:
//! the decision of the mesh, how far back traces reach, the export, what is in the address.

#![allow(
    unreachable_pub,
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "fixtures shared by several tests; a test stops at the first surprise"
)]
#![cfg(feature = "ssr")]

mod fake;

use app::shell;
use axum::{body::Body, http::Request};
use fake::{scenario, spans};
use leptos::prelude::{LeptosOptions, provide_context};

/// The markup of a page's own part.
async fn page(address: &str) -> String {
    fake::ready();
    let options = LeptosOptions::builder().output_name("vitrine").build();
    let render = leptos_axum::render_app_async_with_context(
        || provide_context(fake::host(scenario::snapshot())),
        move || shell(options.clone()),
    );
    let request = Request::builder().uri(address).body(Body::empty()).unwrap();
    let body = render(request).await.into_body();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    let html = String::from_utf8(bytes.to_vec()).unwrap();
    let main = html.split_once("<main").map_or(html.as_str(), |p| p.1);
    main.split_once("</main>").map_or(main, |p| p.0).to_owned()
}

/// The text of a page: tags and comments out, one space between words.
fn text(html: &str) -> String {
    let mut out = String::new();
    for part in html.split('<').skip(1) {
        out.push_str(part.split_once('>').map_or("", |p| p.1));
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_reads(html: &str, sentences: &[&str]) {
    let text = text(html);
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence:?} is not on the page: {text}");
    }
}

/// The last try of the payment.
const TRY: &str = "a41f07c20000000c";

#[tokio::test]
async fn a_try_shows_what_the_mesh_decided_and_leads_to_what_decided_it() {
    let html = page(&format!("/traces/{}?span={TRY}", spans::TRACE)).await;
    assert_reads(
        &html,
        &[
            "Mesh decision",
            "revision r17",
            "VirtualService payments, default",
            "v2, drawn at 10%",
            "payments-v2-0; -1 and -2 tried before",
            "retry 2 of 3, on connect-failure, +49 ms",
            "2.05 s of 2.50 s per try, 2.12 s of 6.00 s",
            "closed, then",
            "opened by this call",
            "none hereF-21 on a call below, +2.000 s",
        ],
    );
    assert!(html.contains("href=\"/traffic/payments?diff=17\""));
    assert!(html.contains("href=\"/resilience?fault=F-21#faults\""));
}

#[tokio::test]
async fn a_row_names_the_fault_that_acted_on_it_and_leads_there() {
    let html = page(&format!("/traces/{}", spans::TRACE)).await;
    let chips: Vec<&str> = html.split("<a ").filter(|tag| tag.contains("fault-chip")).collect();
    assert_eq!(chips.len(), 1, "{chips:?}");
    assert!(chips[0].contains("/resilience?fault=F-21#faults"), "{chips:?}");
}

#[tokio::test]
async fn a_span_without_a_call_has_no_decision_and_its_lines_lead_to_all_of_the_order() {
    // Inventory's reservation.
    let html = page(&format!("/traces/{}?span=a41f07c200000007", spans::TRACE)).await;
    assert!(!text(&html).contains("Mesh decision"));
    assert_reads(&html, &["reserved rsv-90B2", "all 12 of this order"]);
    assert!(html.contains("href=\"/orders/ord-7F3K9Q#logs-title\""));
}

#[tokio::test]
async fn the_list_says_how_far_back_it_reaches_and_how_the_export_is_doing() {
    let html = page("/traces").await;
    assert_reads(
        &html,
        &[
            "over 1 sall kept since 14:21",
            "All kept since 14:21; of orders, with errors, compensated or slow since 14:01",
            "12 345 spans sent to http://127.0.0.1:4317, 3 not",
            "Failing since 14:32:52: connection refused",
        ],
    );
}

#[tokio::test]
async fn without_a_jaeger_the_button_says_what_to_set() {
    let html = page(&format!("/traces/{}", spans::TRACE)).await;
    assert!(html.contains("popovertarget=\"jaeger-how\""), "it opens without a script");
    assert_reads(&html, &["No Jaeger is configured", "VITRINE_JAEGER_UI"]);
    // The spans are sent somewhere already.
    assert!(!text(&html).contains("OTEL_EXPORTER_OTLP_ENDPOINT"));
}

#[tokio::test]
async fn faults_stand_on_the_marks_from_their_beginning_while_they_were_in_force() {
    let html = page("/traces").await;
    let marks = html.split("class=\"fault-marks\"").nth(1).unwrap();
    let marks = marks.split("</g>").next().unwrap();
    // Of two that began before the axis one is written, for both, as on the charts.
    assert!(marks.contains("<title>F-24, F-21</title>") && marks.contains(">F-24 +1</a>"));
    for id in ["F-24", "F-22", "F-25"] {
        assert!(marks.contains(&format!("/resilience?fault={id}#faults")), "{id}: {marks}");
    }
    // All last until now: one band. The one that began before the axis has no line.
    assert_eq!((marks.matches("fault-band").count(), marks.matches("<line").count()), (1, 2));
}

#[tokio::test]
async fn a_stretch_of_time_in_the_address_is_all_that_is_listed_and_can_be_left() {
    let (from, until) = (spans::at(-500) / 1_000, spans::at(500) / 1_000);
    let html = page(&format!("/traces?status=compensated&from={from}&until={until}")).await;
    assert_reads(&html, &["14:31:51 to 14:31:52"]);
    assert!(html.contains("href=\"/traces?status=compensated\" title=\"Show the whole range"));
    assert!(html.contains(&format!("<input type=\"hidden\" name=\"from\" value=\"{from}\"")));
    let rows = html.matches("class=\"row-link\"").count();
    assert!((1..=5).contains(&rows), "{rows} rows within a second");
}

#[tokio::test]
async fn the_address_says_how_a_trace_is_looked_at() {
    let at = |query: &str| format!("/traces/{}?span={TRY}&{query}", spans::TRACE);
    let plain = page(&at("tab=logs")).await;
    assert_reads(&plain, &["tx-51c8 decision abort logged", "payments-v2-2 refused"]);
    let warned = page(&at("tab=logs&level=warn")).await;
    assert_reads(&warned, &["payments-v2-2 refused", "1 quieter line is not shown"]);
    assert!(!text(&warned).contains("tx-51c8 decision abort logged"));
    // Links keep it.
    assert!(warned.contains("tab=logs&amp;level=error"), "the other levels are links");
    let looked = page(&at("waits=shown&path=off&zoom=100000-500000")).await;
    assert!(looked.contains("aria-pressed=\"false\" title=\"Underline the critical path (C)\""));
    assert!(!looked.contains("bar-path"), "nothing is underlined");
    assert!(!text(&looked).contains("+1.97 s"), "no wait is folded");
    assert!(looked.contains("&amp;waits=shown&amp;path=off&amp;zoom=100000-500000"));
    assert_reads(&looked, &["100 ms150 ms200"]);
}

#[tokio::test]
async fn the_list_of_orders_is_of_the_time_range_unless_all_are_asked_for() {
    let html = page("/orders?range=1").await;
    let (recent, all) = (text(&html), text(&page("/orders?when=any&range=1").await));
    assert!(recent.contains("placed in the last 1 min, all that are kept"), "{recent}");
    // Placed at 14:31:52, and it is 14:34:20.
    assert!(!recent.contains("ord-7F3K9Q") && all.contains("ord-7F3K9Q"), "{all}");
    assert!(html.contains("href=\"/orders?status=cancelled&amp;range=1\""), "links keep it");
    assert!(html.contains("data-row"), "J and K find the rows");
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_told_and_not_dropped_without_a_word() {
    let html = page("/traces?status=zz&min=abc").await;
    assert_reads(&html, &["There is no status zz.", "abc is no minimum in milliseconds."]);
    assert!(!text(&page("/traces?status=error&min=50").await).contains("search goes on without"));
}
