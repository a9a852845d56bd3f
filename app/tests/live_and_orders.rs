//! The live page, the list of orders and the forms as the server sends them: what somebody without
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

use app::{host::Host, shell};
use axum::{body::Body, http::Request};
use contract::live::LiveSnapshot;
use fake::{scenario, spans};
use leptos::prelude::{LeptosOptions, provide_context};

/// The document at an address, as sent to a browser with a cookie.
async fn document(snapshot: LiveSnapshot, address: &str, cookie: &str) -> String {
    of_host(fake::host(snapshot), address, cookie).await
}

/// The same of another host.
async fn of_host(host: Host, address: &str, cookie: &str) -> String {
    fake::ready();
    let options = LeptosOptions::builder().output_name("vitrine").build();
    let render = leptos_axum::render_app_async_with_context(
        move || provide_context(host.clone()),
        move || shell(options.clone()),
    );
    let request = Request::builder().uri(address).header("cookie", cookie);
    let body = render(request.body(Body::empty()).unwrap()).await.into_body();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn page(address: &str) -> String {
    document(scenario::snapshot(), address, "").await
}

/// The text of a page: tags, scripts and comments out, one space between words.
fn text(html: &str) -> String {
    let html = html.split_once("<main").map_or(html, |parts| parts.1);
    let html = html.split("<script").next().unwrap_or_default();
    let parts = html.split('<').skip(1);
    let out: String = parts.map(|p| p.split_once('>').map_or("", |p| p.1)).collect();
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn an_order_is_ones_own_only_in_the_browser_whose_cookie_says_so() {
    let own = document(scenario::snapshot(), "/", "a=b; vitrine_orders=ord-X.ord-7F3K9Q").await;
    assert_eq!(own.matches("class=\"tag\"").count(), 1);
    assert!(!page("/").await.contains("class=\"tag\""), "another browser placed it");
}

#[tokio::test]
async fn the_live_page_shows_real_values_before_any_script_runs() {
    let html = document(scenario::snapshot(), "/", "vitrine_orders=ord-7F3K9Q").await;
    let read = text(&html);
    for words in
        ["over the last 60 s", "1 breaker open", "22 of 23 instances up", "31.4/s", "Event bus"]
    {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
    for words in ["ord-7F3K9Q", "€184.50", "Payment declined", "2:28 ago", "858", "14:34:17"] {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
    assert!(html.contains("60 req/s") && html.contains("14:34:20") && html.contains("Connecting"));
    assert!(html.contains(
        "aria-label=\"gateway to recommendations, breaker open, half-open in 6 s, served from \
         fallback: popular items, 9.8/s, 100% failed, p95 1 ms\""
    ));
    assert!(html.contains("payments v2: configured 10%, observed 9%"), "versions are nodes");
    // Nothing tells versions of catalog apart: it is drawn like a service that has none.
    let catalog = html.split_once("data-node=\"catalog\"").unwrap().1;
    let catalog = catalog.split("role=\"button\"").next().unwrap();
    assert!(catalog.contains("3/3") && catalog.contains("node-spark"), "{catalog}");
    assert!(html.contains("gateway to payments v2, breaker half-open, 0.3/s, 6.3% failed"));
    assert!(html.contains("ink-lead"), "the charts are drawn on the server");
}

#[tokio::test]
async fn the_map_is_a_table_at_its_own_address() {
    let html = page("/?view=table&sort=p95").await;
    let read = text(&html);
    let (slow, fast) = (read.find("2.18 s").unwrap(), read.find("262 ms").unwrap());
    assert!(slow < fast, "the slowest edge comes first");
    assert!(html.contains("aria-sort=\"descending\""));
}

#[tokio::test]
async fn a_shop_nobody_has_used_says_how_to_fill_it() {
    let html = document(scenario::empty(), "/", "").await;
    let read = text(&html);
    assert!(read.contains("No orders yet") && read.contains("Start load, 60 req/s"), "{read}");
    assert!(html.contains("Load off") && html.contains("method=\"post\" action=\"/load\""));
}

#[tokio::test]
async fn the_chosen_node_is_in_the_address_and_its_drawer_in_the_page() {
    let read = text(&page("/?node=orders").await);
    assert!(read.contains("Calls received") && read.contains("Traces of orders"), "{read}");
    let read = text(&page("/?edge=payments~bank-customer").await);
    assert!(
        read.contains("payments → bank-customer") && read.contains("Two-phase commit"),
        "{read}"
    );
}

#[tokio::test]
async fn a_trace_of_the_address_is_drawn_on_the_map_with_its_hops_beside_it() {
    let html = page(&format!("/?trace={}", spans::TRACE_CONFIRMED)).await;
    let read = text(&html);
    for words in [
        "1gateway → orders13 msPOST orders · 202",
        "2orders → catalog3 msGET /prices · 200",
        "orders → inventory1 mspublish inventory.reserve · over the bus",
        "6payments → bank-customer",
        "7payments → bank-merchant",
        "span 1 of 20",
        "1 s here = 8.6 ms",
        "Nodes, charts and orders stay live",
    ] {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
    // Both drawings have the lines, the numbers and the rings.
    let count = |part: &str| html.matches(part).count();
    assert!(count("class=\"walk-under\"") == 2 && count("class=\"walk-over map\"") == 2);
    assert!(count("walk-line message") >= 6, "{}", count("walk-line message"));
    assert!(html.contains("with-trace"));
    assert!(html.contains(&format!("href=\"/traces/{}\"", spans::TRACE_CONFIRMED)));
    let lit = html
        .split("<g")
        .filter(|part| part.contains("data-node=\"orders\""))
        .all(|part| part.split('>').next().unwrap_or_default().contains("lit"));
    assert!(lit, "a service of the trace does not step back");
    assert!(!page("/").await.contains("walk-"), "without a trace there is nothing of it");
}

#[tokio::test]
async fn failed_tries_are_hops_of_their_own_and_the_address_says_where_the_walk_is() {
    let span = "a41f07c20000000b";
    let html = page(&format!("/?trace={}&span={span}", spans::TRACE)).await;
    let read = text(&html);
    for words in [
        "6orders → payments v23 mspayments.Authorize, mesh call · try 1 · ✕ 503",
        "· retry 1 of 3 · ✕ 503",
        "· retry 2 of 3 · 402",
        "retry 1 of 3, payments-v2-2began +71 ms, took 3 ms failed",
        "mesh.retry.reasonconnect-failure",
    ] {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
    assert!(html.contains(&format!("/traces/{}?span={span}", spans::TRACE)));
    assert!(html.contains("aria-current=\"step\""), "and its hop in the list");
    assert!(html.contains("walk-line call failed now"), "the line of the try stands out");
}

#[tokio::test]
async fn a_trace_that_is_not_kept_leaves_the_map_as_it_is_and_says_what_to_do() {
    let read = text(&page("/?trace=0123456789abcdef0123456789abcdef").await);
    for words in ["Trace 01234567 is not shown", "Find a trace", "Leave", "31.4/s"] {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
    let huge = text(&page(&format!("/?trace={}", spans::TRACE_HUGE)).await);
    assert!(huge.contains("4 620 further spans are not walked through"), "{huge}");
    assert!(huge.contains("span 1 of 500"));
}

#[tokio::test]
async fn a_shop_that_gives_no_snapshot_says_why_and_offers_to_ask_again() {
    let html = of_host(fake::silent(scenario::snapshot()), "/", "").await;
    let read = text(&html);
    assert!(read.contains("The live data could not be loaded:"), "{read}");
    assert!(read.contains("No answer in time.") && read.contains("Retry"), "{read}");
    assert!(html.contains("chart-skeleton") && html.contains("feed-skeleton"));
    assert!(!read.contains("No orders yet"), "nobody knows that: {read}");
}

#[tokio::test]
async fn the_charts_are_of_the_service_in_the_address() {
    let read = text(&page("/?of=payments").await);
    assert!(read.contains("5xx at payments") && read.contains("at recommendations"), "{read}");
    let html = page("/?of=nobody").await;
    assert!(text(&html).contains("5xx at gateway"));
    assert!(html.contains("name=\"of\"") && !html.contains("chart-skeleton"));
}

#[tokio::test]
async fn the_drawer_of_a_service_shows_its_log_lines_with_their_spans() {
    let html = page("/?node=orders").await;
    assert!(text(&html).contains("orders took a request"));
    assert!(html.contains("/traces/7c1e9a4f0b6d42e8a5f3c2d19b8e6047?span=00f067aa0ba902b7"));
    assert!(!text(&page("/?node=load").await).contains("Log lines"), "it writes none");
}

#[tokio::test]
async fn the_load_is_a_form_for_those_without_scripts_on_every_page() {
    for address in ["/", "/orders", "/traces"] {
        let html = page(address).await;
        let form = html.split("load-plain").nth(1).unwrap_or_default();
        let form = form.split("</noscript>").next().unwrap_or_default();
        assert!(form.contains("action=\"/load\"") && form.contains("name=\"shape\""), "{address}");
        assert!(form.contains("value=\"60\""), "{address}: {form}");
    }
}

#[tokio::test]
async fn a_customer_and_a_product_of_the_address_are_chosen_in_the_form() {
    let html = page("/orders/new?customer=c-1042&product=p-beans").await;
    assert!(html.contains("<option value=\"c-1042\" selected>"), "{html}");
    assert!(html.contains("<option value=\"p-beans\" selected>"));
}

#[tokio::test]
async fn the_theme_of_the_cookie_is_on_the_document() {
    let html = document(scenario::snapshot(), "/orders", "theme=light").await;
    assert!(html.contains("data-theme=\"light\""));
    assert!(!page("/orders").await.contains("data-theme="));
}

#[tokio::test]
async fn the_list_of_orders_has_filters_and_a_way_to_older_ones() {
    let html = page("/orders?status=cancelled").await;
    let read = text(&html);
    assert!(read.contains("ord-7F4C26") && !read.contains("ord-7F4C24"), "{read}");
    assert!(html.contains("/orders?status=cancelled&amp;cursor=older&amp;trail="));
    let read = text(&page("/orders?status=zz").await);
    assert!(read.contains("There is no status zz; orders of every status are shown."), "{read}");
    let read = text(&page("/orders?status=shipped").await);
    assert!(!read.contains("There is no status"), "{read}");
    assert!(read.contains("No orders here"), "{read}");
}

#[tokio::test]
async fn the_order_form_is_a_plain_form_with_a_key_of_its_own() {
    let html = page("/orders/new?error=No%20such%20product.").await;
    assert!(html.contains("method=\"post\" action=\"/orders/new\""));
    for name in ["user_id", "product_id", "quantity", "key"] {
        assert!(html.contains(&format!("name=\"{name}\"")), "{name}");
    }
    assert!(text(&html).contains("No such product."));
    assert!(html.contains("class=\"sum needs-script\""), "what it costs is said");
    let rows = html.matches("name=\"product_id\"").count();
    let later = html.matches("basket-line later").count();
    assert!(rows > 3 && later + 3 == rows, "two are filled, one is offered: {rows} {later}");
    let key = |html: &str| {
        let from = html.find("name=\"key\" value=\"").unwrap() + 18;
        html[from..].split('"').next().unwrap().to_owned()
    };
    let (first, second) = (key(&html), key(&page("/orders/new").await));
    assert!(first.len() >= 16 && first != second, "{first} {second}");
}

#[tokio::test]
async fn no_page_has_inline_styles_or_markup_that_hydration_would_change() {
    for address in ["/", "/?view=table", "/?node=orders", "/orders", "/orders/new", "/shortcuts"] {
        let html = page(address).await;
        assert!(!html.contains(" style=\""), "{address} has an inline style");
        assert!(!html.contains("<p><div"), "{address} has a block in a paragraph");
        let tables = html.matches("<table").count();
        assert_eq!(tables, html.matches("<tbody").count(), "{address} has a table without a body");
        for script in html.split("<script").skip(1) {
            assert!(
                script.split('>').next().unwrap().contains("nonce="),
                "{address} has a script without nonce"
            );
        }
    }
}

#[tokio::test]
async fn every_page_begins_with_skip_to_content_and_has_a_title_and_one_first_heading() {
    for (address, title) in [("/", "Live"), ("/orders", "Orders"), ("/orders/new", "Place order")] {
        let html = page(address).await;
        assert!(html.contains(&format!("<title>{title} · Vitrine</title>")), "{address}");
        let body = html.split_once("<body").unwrap().1;
        let first = body.find("<a ").unwrap();
        let first = body[first..].split('>').next().unwrap();
        assert!(first.contains("class=\"skip\"") && first.contains("#main"), "{address}");
        assert_eq!(html.matches("<h1").count(), 1, "{address}");
    }
}

#[tokio::test]
async fn a_page_that_is_not_live_sends_neither_charts_nor_map() {
    let html = page("/orders/new").await;
    assert!(
        !html.contains("p99_ms") && !html.contains("spark"),
        "the snapshot is cut to the frame"
    );
}
