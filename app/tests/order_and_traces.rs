//! The order page and the traces page as the server sends them, over the reference scenario.
//!
//! Rendered by the real application against a fake host: what is checked is what somebody without
//! JavaScript reads, and that the markup survives hydration and the content security policy.

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

use app::{pages::StatusLine, shell};
use axum::{body::Body, http::Request};
use fake::{scenario, spans};
use leptos::prelude::{LeptosOptions, provide_context};
use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

/// The status and the markup of an address.
async fn page(address: &str) -> (u16, String) {
    fake::ready();
    let status = Arc::new(AtomicU16::new(200));
    let said = status.clone();
    let context = move || {
        let said = said.clone();
        provide_context(StatusLine(Arc::new(move |code| {
            said.store(code, Ordering::Relaxed);
        })));
        provide_context(fake::host(scenario::snapshot()));
    };
    let options = LeptosOptions::builder().output_name("vitrine").build();
    let render =
        leptos_axum::render_app_async_with_context(context, move || shell(options.clone()));
    let request = Request::builder().uri(address).body(Body::empty()).unwrap();
    let body = render(request).await.into_body();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    (status.load(Ordering::Relaxed), String::from_utf8(bytes.to_vec()).unwrap())
}

/// The text of a page: tags and comments out, one space between words.
fn text(html: &str) -> String {
    let mut out = String::new();
    for part in html.split('<').skip(1) {
        out.push_str(part.split_once('>').map_or("", |p| p.1));
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_reads(html: &str, sentences: &[&str]) {
    let text = text(html);
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence:?} is not on the page: {text}");
    }
}

#[tokio::test]
async fn a_declined_order_tells_its_whole_story_without_javascript() {
    let (status, html) = page("/orders/ord-7F3K9Q?v=4").await;
    assert_eq!(status, 200);
    assert_reads(
        &html,
        &[
            "ord-7F3K9Q",
            "Cancelled, compensated",
            "€184.50",
            "14:31:52.408",
            "2.21 s",
            "PaymentDeclined+2.174 s",
            "insufficient_funds",
            "State at v4",
            "payment_declined",
            "1 Reserve inventory",
            "Void payment",
            "+2.156 s: bank-customer to coordinator: votes no, insufficient funds",
            "12 of 22 spans",
            "2.00 s injected delay, F-21",
            "abort to bank-merchant refused",
        ],
    );
}

#[tokio::test]
async fn the_swimlane_shows_the_delay_the_crash_the_restart_and_the_replayed_log() {
    let (_, html) = page("/orders/ord-7F3K9Q").await;
    assert_reads(
        &html,
        &[
            "payments-v2-0",
            "F-21: delayed 2.00 s",
            "crash, F-24",
            "down 5.46 s, lock stays",
            "restart",
            "in doubt, log replayed",
            "lock released +6.240 s",
            "bank-merchant in doubt for 6.08 s, lock held 6.09 s",
            "Recovery of the in-doubt participant",
            "+655 ms: bank-merchant is killed by F-24",
        ],
    );
}

#[tokio::test]
async fn a_participant_in_doubt_says_for_how_long_by_the_clock_of_the_page() {
    let (_, html) = page("/orders/ord-7F3KGX").await;
    // It voted at 14:31:52.561 and it is 14:34:20.
    assert_reads(&html, &["Aborting", "bank-merchant in doubt for 147.44 s, lock held"]);
}

#[tokio::test]
async fn messages_and_cards_are_links_to_their_span_and_their_event() {
    let (_, html) = page("/orders/ord-7F3K9Q?v=4").await;
    let span = format!("/traces/{}?span=a41f07c20000000c", spans::TRACE);
    let list = html.split_once("swim-list").map_or("", |p| p.1);
    let list = list.split_once("</ol>").map_or("", |p| p.0);
    assert_eq!(list.matches(&format!("<a href=\"{span}\"")).count(), 2, "{list}");
    let saga = html.split_once("saga-cards").map_or("", |p| p.1);
    let saga = saga.split_once("</ol>").map_or("", |p| p.0);
    for version in [2, 3, 4, 6] {
        let link = format!("href=\"/orders/ord-7F3K9Q?v={version}\"");
        assert!(saga.contains(&link), "{link} is not in {saga}");
    }
    assert_eq!(saga.matches("aria-current=\"step\"").count(), 1, "the card of v4");
    assert_eq!(saga.matches("aria-current=\"true\"").count(), 1, "the tag v4");
}

#[tokio::test]
async fn a_part_that_payments_cannot_tell_says_so_and_the_others_are_there() {
    let (status, html) = page("/orders/ord-7F3KDX").await;
    assert_eq!(status, 200);
    assert_reads(
        &html,
        &[
            "Payments cannot be asked. payments-v1-1 could not be reached.",
            "503 Service Unavailable",
            "OrderConfirmed",
            "1 Reserve inventory",
            "POST /api/v1/orders",
        ],
    );
    assert!(html.contains("href=\"/orders/ord-7F3KDX?v=4\""), "Retry is a link to the page");
    assert!(!text(&html).contains("None was begun"), "nobody knows that");
}

#[tokio::test]
async fn an_order_that_cannot_be_told_says_why_with_its_code_and_a_way_to_retry() {
    let (status, html) = page("/orders/ord-DOWN").await;
    assert_eq!(status, 503);
    let told = "orders could not be reached. (503 Service Unavailable)";
    assert_reads(&html, &["Order ord-DOWN cannot be shown", told, "Retry"]);
}

#[tokio::test]
async fn a_payment_that_was_voided_before_it_began_is_no_drawing_without_participants() {
    let (_, html) = page("/orders/ord-7F3KEX").await;
    assert_reads(&html, &["Aborted before phase 1", "No participant was asked to prepare"]);
    assert!(!html.contains("swim-body"));
}

#[tokio::test]
async fn every_trace_of_an_order_is_listed_with_a_link_while_it_is_kept() {
    let (_, html) = page("/orders/ord-7F3KFX").await;
    assert_reads(&html, &["All traces of this order", "00000000not kept any more"]);
    let list = html.split_once("order-traces").map_or("", |p| p.1);
    let list = list.split_once("</ol>").map_or("", |p| p.0);
    for trace in [spans::TRACE, spans::TRACE_CONFIRMED] {
        assert!(list.contains(&format!("href=\"/traces/{trace}\"")), "{trace}");
    }
    assert_eq!(list.matches("href=").count(), 2);
    let (_, html) = page("/orders/ord-7F3K9Q").await;
    assert!(!html.contains("order-traces"), "of one trace the head of the panel says all");
}

#[tokio::test]
async fn what_goes_on_long_after_the_end_takes_no_room_from_what_was_before() {
    let (_, html) = page("/orders/ord-7F3KKX").await;
    assert_reads(&html, &["12 of 23 spans, 2.21 s then 30.00 s", "at +32.206 s"]);
    let bars = |html: &str| {
        let rows = html.split_once("brief-rows").map_or("", |p| p.1);
        let widths = rows.split("class=\"bar-fill\"").skip(1);
        let of = |bar: &str| bar.split("width=\"").nth(1)?.split('%').next()?.parse::<f64>().ok();
        widths.filter_map(of).fold(0.0, f64::max)
    };
    let (_, without) = page("/orders/ord-7F3K9Q").await;
    assert!((bars(&html) - bars(&without)).abs() < 0.1, "the longest bar is as long as it was");
}

#[tokio::test]
async fn nothing_leads_to_a_trace_that_is_not_kept_any_more() {
    let (_, kept) = page("/orders/ord-7F3K9Q").await;
    let lines = |html: &str| html.matches("class=\"log-time\"").count();
    let links = |html: &str| {
        let main = html.split_once("<main").map_or("", |page| page.1);
        main.matches("href=\"/traces/").count()
    };
    assert!(links(&kept) > lines(&kept), "the button, the panel and the lines lead to it");
    let (_, gone) = page("/orders/ord-7F3KHX").await;
    assert_reads(&gone, &["No trace of this order is kept any more."]);
    assert_eq!(lines(&gone), lines(&kept), "the lines are there");
    assert_eq!(links(&gone), 0);
}

#[tokio::test]
async fn lines_that_have_left_are_told_with_the_moment_and_are_not_counted_as_none() {
    let (_, html) = page("/orders/ord-7F3KJX").await;
    assert_reads(&html, &["Log lines from before 14:33 are no longer kept."]);
    let read = text(&html);
    assert!(!read.contains("0 lines") && !read.contains("No such lines"), "{read}");
    let (_, kept) = page("/orders/ord-7F3K9Q").await;
    assert!(!text(&kept).contains("no longer kept"));
}

#[tokio::test]
async fn the_address_selects_which_lines_of_the_log_are_shown() {
    let (_, all) = page("/orders/ord-7F3K9Q").await;
    let (_, html) = page("/orders/ord-7F3K9Q?v=2&log=error").await;
    let lines = |html: &str| html.matches("class=\"log-time\"").count();
    assert!(0 < lines(&html) && lines(&html) < lines(&all));
    assert_eq!(html.matches("class=\"log-line error").count(), lines(&html));
    // What else the address selects stays selected.
    assert!(html.contains("href=\"/orders/ord-7F3K9Q?v=3&amp;log=error\""), "{html}");
    assert!(html.contains("href=\"/orders/ord-7F3K9Q?v=2#logs-title\""));
    assert_reads(&html, &["Correlation id"]);
}

#[tokio::test]
async fn the_address_selects_the_event_and_its_state() {
    let (_, html) = page("/orders/ord-7F3K9Q?v=2").await;
    assert_reads(&html, &["State at v2", "replayed from 2 of 7 events", "rsv-90B2 held"]);
    let (_, html) = page("/orders/ord-7F3K9Q?v=99").await;
    assert_reads(&html, &["State at v4"]);
}

#[tokio::test]
async fn a_confirmed_order_can_be_cancelled_and_shipped_by_plain_forms() {
    let (_, html) = page("/orders/ord-7F3KCC").await;
    for form in ["/orders/ord-7F3KCC/cancel", "/orders/ord-7F3KCC/ship"] {
        assert!(html.contains(&format!("method=\"post\" action=\"{form}\"")), "{form}");
    }
    assert!(html.contains("/orders/new?again=ord-7F3KCC"));
    let (_, html) = page("/orders/ord-7F3K9Q").await;
    assert!(!html.contains("/orders/ord-7F3K9Q/cancel"), "it is cancelled already");
}

#[tokio::test]
async fn a_running_order_shows_what_is_known_so_far() {
    let (_, html) = page("/orders/ord-7F3KCX").await;
    let known = ["Processing", "banks are voting", "bank-merchant holds its locks", "Preparing"];
    assert_reads(&html, &known);
}

#[tokio::test]
async fn an_unknown_order_is_a_404_with_a_way_back() {
    let (status, html) = page("/orders/ord-XXXXXX").await;
    assert_eq!(status, 404);
    assert_reads(&html, &["No order ord-XXXXXX", "All orders"]);
}

#[tokio::test]
async fn the_traces_page_lists_what_matches_and_the_form_keeps_the_query() {
    let (status, html) = page("/traces?status=compensated").await;
    assert_eq!(status, 200);
    assert_reads(&html, &["Traces", "over 1 s", "402 compensated"]);
    assert!(!text(&html).contains("202 ok"), "only what matches");
    assert!(html.contains("<option value=\"compensated\" selected"), "the choice is shown");
}

#[tokio::test]
async fn an_open_trace_shows_its_critical_path_its_spans_and_the_selected_one() {
    let id = spans::TRACE;
    let (status, html) = page(&format!("/traces/{id}?span=a41f07c20000000c")).await;
    assert_eq!(status, 200);
    assert_reads(
        &html,
        &[
            "2.00 s injected, 74 ms failed tries, 132 ms work",
            "22 spans, 10 services",
            "Prepare, vote no",
            "503 UF, 3 ms",
            "/v1/payments/authorize",
            "Attributes 9",
        ],
    );
    assert!(html.contains(&format!("/traces/{id}/jaeger.json")));
}

#[tokio::test]
async fn a_trace_of_thousands_of_spans_sends_a_window_of_them() {
    let (_, html) = page(&format!("/traces/{}", spans::TRACE_HUGE)).await;
    let rows = html.matches("role=\"row\"").count();
    assert!((100..=250).contains(&rows), "{rows} rows");
    assert_reads(&html, &["120 more were not kept"]);
}

#[tokio::test]
async fn an_unknown_trace_is_a_404_and_no_match_says_which_filter_to_loosen() {
    let (status, html) = page("/traces/ffffffffffffffffffffffffffffffff").await;
    assert_eq!(status, 404);
    assert_reads(&html, &["No trace ffffffff"]);
    let (status, html) = page("/traces?tag=order.id%3Dnone&min=100").await;
    assert_eq!(status, 200);
    assert_reads(&html, &["No trace matches", "Try without the tag."]);
}

#[tokio::test]
async fn no_page_has_inline_styles_or_markup_that_hydration_would_change() {
    for address in ["/orders/ord-7F3K9Q", "/traces", &format!("/traces/{}", spans::TRACE)] {
        let (_, html) = page(address).await;
        let body = html.split_once("<main").map_or(html.as_str(), |p| p.1);
        let body = body.split_once("</main>").map_or(body, |p| p.0);
        assert!(!body.contains(" style="), "{address} has an inline style");
        assert!(!body.contains("<p><div"), "{address} has a block in a paragraph");
        let tables = body.matches("<table").count();
        assert_eq!(tables, body.matches("<tbody").count(), "{address} has a table without a body");
    }
}
