//! The Traffic and Resilience pages and the fault banner as the server sends them: what somebody
//! without JavaScript reads and can do.

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
use contract::{
    istio::{ApplyReport, Finding, Position, Severity},
    live::LiveSnapshot,
    resilience::FaultsView,
    traffic::{Applied, PostedApply},
};
use fake::scenario;
use leptos::prelude::{LeptosOptions, provide_context};

async fn document(snapshot: LiveSnapshot, address: &str) -> String {
    with(snapshot, address, None).await
}

async fn with(snapshot: LiveSnapshot, address: &str, posted: Option<PostedApply>) -> String {
    fake::ready();
    let options = LeptosOptions::builder().output_name("vitrine").build();
    let render = leptos_axum::render_app_async_with_context(
        move || {
            provide_context(fake::host(snapshot.clone()));
            if let Some(posted) = posted.clone() {
                provide_context(posted);
            }
        },
        move || shell(options.clone()),
    );
    let request = Request::builder().uri(address);
    let body = render(request.body(Body::empty()).unwrap()).await.into_body();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A page in answer to a form.
async fn answer(address: &str, posted: PostedApply) -> String {
    with(scenario::snapshot(), address, Some(posted)).await
}

async fn page(address: &str) -> String {
    document(scenario::snapshot(), address).await
}

/// The text of a page: tags, scripts and comments out, one space between words.
fn text(html: &str) -> String {
    let html = html.split_once("<div class=\"page\"").map_or(html, |parts| parts.1);
    let html = html.split("<script").next().unwrap_or_default();
    // Narrow spaces between thousands count as spaces here.
    let parts = html.split('<').skip(1);
    let out: String = parts.map(|p| p.split_once('>').map_or("", |p| p.1)).collect();
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn all_in(read: &str, words: &[&str]) {
    for words in words {
        assert!(read.contains(words), "{words:?} is not in {read}");
    }
}

#[tokio::test]
async fn an_active_fault_is_announced_on_every_page_with_the_way_to_end_it() {
    for address in ["/", "/orders", "/traces", "/traffic", "/resilience", "/shortcuts"] {
        let html = page(address).await;
        let read = text(&html);
        all_in(&read, &["3 active faults", "F-21", "Delay 2 s on 10%", "restarts in 27 s"]);
        assert!(html.contains("method=\"post\" action=\"/resilience/remove\""), "{address}");
        assert!(html.contains("name=\"id\" value=\"F-21\""), "{address}");
        assert!(html.contains("method=\"post\" action=\"/resilience/remove-all\""), "{address}");
    }
}

#[tokio::test]
async fn without_faults_there_is_no_banner_and_after_the_kill_switch_they_can_be_released() {
    let html = document(scenario::empty(), "/orders").await;
    assert!(!html.contains("fault-banner") && !html.contains("held off"));
    let faults = FaultsView { held_us: Some(scenario::NOW_US), ..FaultsView::default() };
    let held = LiveSnapshot { faults, ..scenario::snapshot() };
    let html = document(held, "/orders").await;
    assert!(text(&html).contains("Faults are held off"));
    assert!(html.contains("method=\"post\" action=\"/resilience/release\""));
}

#[tokio::test]
async fn the_navigation_has_both_pages_and_a_dot_while_a_breaker_is_open() {
    let html = page("/orders").await;
    assert!(html.contains("href=\"/traffic\"") && html.contains("href=\"/resilience\""));
    assert!(html.contains("aria-label=\"1 breaker open\""));
    assert!(!document(scenario::empty(), "/orders").await.contains("nav-dot"));
}

#[tokio::test]
async fn breakers_that_are_not_closed_are_cards_with_their_window_and_its_traces() {
    let html = page("/resilience").await;
    let read = text(&html);
    all_in(&read, &["1 open", "1 half-open", "7 closed", "since 14:34:06", "payments v2"]);
    all_in(&read, &["5 in a row fail", "after 20 s", "the trial call passes", "6 s", "0/1"]);
    all_in(&read, &["Last 20 calls before it opened: 11 failed", "5 failed in a row, opens at 5"]);
    all_in(&read, &["products come without recommendations, 9.8/s refused", "cause", "F-25"]);
    all_in(&read, &["opened 3 times, cause", "Last 10 calls before it opened: 5 failed, 1 slow"]);
    assert_eq!(html.matches("cell-failed in-run").count(), 10, "the run that opened each");
    assert!(html.contains("aria-label=\"trial call failed, F-21\""));
    assert!(html.contains("aria-label=\"trial call is out, F-21\""));
    let open = html.find("gateway for recommendations: open").unwrap();
    let half = html.find("orders for payments v2: half-open").unwrap();
    assert!(open < half, "the worst comes first");
    let trace = "href=\"/traces/7c1e9a4f0b6d42e8a5f3c2d19b8e6047\"";
    assert!(html.matches(trace).count() > 11, "each bad call leads to its trace");
    assert!(html.contains("aria-label=\"failed: 503 after 3 ms, F-25\""));
    assert!(html.contains("aria-label=\"failed, counts: 503 after 3 ms, F-25\""));
}

#[tokio::test]
async fn breakers_are_forced_and_reset_by_a_plain_form_with_a_time_to_live() {
    let html = page("/resilience?breaker=gateway%7Ecatalog").await;
    assert!(html.contains("method=\"post\" action=\"/resilience/breaker\""));
    for order in ["force_open", "force_closed", "reset"] {
        assert!(html.contains(&format!("name=\"order\" value=\"{order}\"")), "{order}");
    }
    assert!(html.contains("name=\"ttl_s\"") && html.contains("value=\"gateway~catalog\""));
    assert!(text(&html).contains("5 more in a row open it"), "a closed one opens to a card");
    for field in ["failures_in_a_row", "wait_s"] {
        assert!(html.contains(&format!("name=\"{field}\"")), "{field}");
    }
}

#[tokio::test]
async fn thresholds_of_a_chosen_breaker_are_set_by_a_plain_form() {
    let html = page("/resilience?thresholds=orders%7Epayments%7Ev2").await;
    let mut tags = html.split("<details").filter_map(|rest| rest.split('>').next());
    let own = tags.find(|tag| tag.contains("id=\"thresholds\"")).unwrap();
    assert!(own.split(' ').any(|word| word.starts_with("open")), "it is unfolded: {own}");
    let form = html.split("action=\"/resilience/thresholds\"").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    assert!(form.contains("name=\"id\" value=\"orders~payments~v2\""), "{form}");
    assert!(form.contains("value=\"5\"") && form.contains("value=\"10\""), "{form}");
    for refused in ["window_calls", "open_percent", "slow_s", "trial_calls"] {
        assert!(!html.contains(&format!("name=\"{refused}\"")), "{refused} is no threshold here");
    }
}

#[tokio::test]
async fn thresholds_are_tried_on_recorded_calls_by_a_plain_form_too() {
    let address = "/resilience?thresholds=orders%7Epayments%7Ev2&failures_in_a_row=3&wait_s=2.5";
    let html = page(address).await;
    let read = text(&html);
    let tried = "With 3 failures in a row and 2.5 s it would have opened 2 times";
    all_in(&read, &[tried, "refusing 41 of 1 204 calls.", "With those in force it does"]);
    assert!(html.contains(&format!("href=\"/traces/{}\"", "7c1e9a4f".repeat(4))));
    let form = html.split("action=\"/resilience/thresholds\"").nth(1).unwrap();
    let button = form.split("<noscript>").nth(1).unwrap().split("</noscript>").next().unwrap();
    let made = ["formmethod=\"get\"", "name=\"thresholds\" value=\"orders~payments~v2\""];
    made.iter().for_each(|part| assert!(button.contains(part), "{button}"));
    // What is no threshold is tried by nobody.
    let wrong = page("/resilience?thresholds=orders%7Epayments&failures_in_a_row=x&wait_s=1").await;
    assert!(!text(&wrong).contains("would have opened"));
}

#[tokio::test]
async fn endpoints_faults_and_layers_say_what_they_did() {
    let read = text(&page("/resilience?fault=F-22").await);
    all_in(&read, &["outlier detection, 1 of 23 ejected", "5 of 7 5xx", "5 of 5 gateway errors"]);
    all_in(&read, &["back in 15 s", "1st, 30 s", "50% limit reached"]);
    all_in(&read, &["3 active, 22 ended", "112 of 2 215 calls", "1 instance"]);
    all_in(&read, &["until removed", "pod deletion", "retry", "breaker 137"]);
    all_in(&read, &["100 per 60 s per address", "refused 12 of 588"]);
}

#[tokio::test]
async fn the_inject_panel_says_what_to_expect_and_has_a_mandatory_end() {
    let html = page("/resilience?kind=delay&to=inventory&from=orders").await;
    let read = text(&html);
    all_in(&read, &["About 0.3 of 3.2 req/s takes 2 s longer.", "VirtualService inventory"]);
    all_in(
        &read,
        &["Delay", "Abort", "Hang", "Partial body", "Connection reset", "Pause instance"],
    );
    all_in(&read, &["Message loss", "Message duplication", "3 lines added", "Inject delay"]);
    assert!(html.contains("method=\"post\" action=\"/resilience/inject\""));
    for field in ["kind", "from", "to", "percent", "delay_s", "ttl_s"] {
        assert!(html.contains(&format!("name=\"{field}\"")), "{field}");
    }
}

#[tokio::test]
async fn the_inject_panel_offers_who_really_calls_sends_and_takes_messages() {
    let offered = async |address: &str, field: &str| {
        let (html, named) = (page(address).await, format!("name=\"{field}\""));
        let inject = html.split("action=\"/resilience/inject\"").nth(1).unwrap();
        let mut selects = inject.split("<select").skip(1);
        let select = selects.find(|select| select.split('>').next().unwrap().contains(&named));
        let select = select.unwrap().split("</select>").next().unwrap();
        let options = select.split("<option").skip(1);
        let values = options.map(|option| option.split('"').nth(1).unwrap_or_default());
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let callers = offered("/resilience?kind=delay&to=payments", "from").await;
    for caller in ["browser", "load", "gateway", "bus"] {
        assert!(callers.iter().any(|offered| offered == caller), "{caller}: {callers:?}");
    }
    // What has instances can be called, and the bus has none.
    let called = offered("/resilience?kind=delay&to=payments", "to").await;
    assert_eq!(called.first().map(String::as_str), Some("gateway"));
    assert!(!called.iter().any(|offered| offered == "bus"), "{called:?}");
    let bus = "/resilience?kind=message_loss";
    assert_eq!(offered(bus, "from").await, ["orders", "inventory", "payments"]);
    let takes = ["orders", "inventory", "payments", "recommendations"];
    assert_eq!(offered(bus, "to").await, takes);
}

#[tokio::test]
async fn a_number_that_was_refused_stands_in_its_field_with_the_reason() {
    let html = page("/resilience?kind=delay&to=users&delay_s=-4&percent=250").await;
    let inject = html.split("action=\"/resilience/inject\"").nth(1).unwrap();
    assert!(inject.contains("value=\"-4\"") && inject.contains("value=\"250\""), "{inject}");
    all_in(&text(inject), &["A delay is 0.001 to 86400 seconds.", "A share is 0.0001 to 100%."]);
    assert!(!inject.contains("What to expect"), "nothing is expected of what cannot be");
}

#[tokio::test]
async fn breakers_that_met_no_call_are_folded_away() {
    let mut mesh = scenario::snapshot();
    let closed = mesh.breakers.iter_mut().find(|line| line.distance.is_some());
    closed.unwrap().marks.clear();
    let html = document(mesh, "/resilience").await;
    let folded = html.split("<details class=\"idle").nth(1).unwrap();
    let folded = folded.split("</details>").next().unwrap();
    all_in(&text(folded), &["1 more has met no call yet"]);
    assert_eq!(folded.matches("<li").count(), 1, "{folded}");
}

#[tokio::test]
async fn a_line_of_yaml_is_drawn_by_the_server_in_the_columns_it_has() {
    let html = page("/traffic/payments").await;
    let line = |number: u32| {
        let line = html.split(&format!("data-line=\"{number}\"")).nth(1).unwrap();
        let code = line.split("<code>").nth(1).unwrap().split("</code>").next().unwrap();
        text_as_drawn(code)
    };
    let lines: Vec<String> = (1..30).map(line).collect();
    assert!(lines.contains(&"  - payments".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"    timeout: 6s".to_owned()), "{lines:#?}");
}

/// What stands between the tags, blanks and all.
fn text_as_drawn(html: &str) -> String {
    let mut drawn = String::new();
    let mut inside = false;
    for letter in html.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            letter if !inside => drawn.push(letter),
            _ => {}
        }
    }
    drawn
}

#[tokio::test]
async fn a_host_is_shown_as_controls_beside_its_yaml() {
    let html = page("/traffic/payments").await;
    let read = text(&html);
    all_in(&read, &["9 hosts", "r17 in force", "header x-canary is true", "everything else"]);
    all_in(&read, &["1 204 hits, 3.0/s", "v1 90%", "2.7/s", "6.3%", "2.18 s", "half-open"]);
    all_in(&read, &["worst case", "retry 3 never runs", "timeout 6 s", "timeout: 6s"]);
    all_in(&read, &["1 note", "Weights add up to 100", "1 field without a control"]);
    assert!(html.contains("The 6 s timeout leaves time for 3 tries."), "the bar has a name");
    assert!(html.contains("data-line=\"24\"") && html.contains("DestinationRule"));
}

#[tokio::test]
async fn revisions_can_be_compared_and_restored_without_javascript() {
    let html = page("/traffic/payments").await;
    assert!(html.contains("name=\"back\" value=\"16\"") && !html.contains("Roll back to r17"));
    assert!(html.contains("page, since #4711"), "who made it and since which request");
    let html = page("/traffic/payments?back=16").await;
    all_in(&text(&html), &["Also changes catalog.", "Roll all back to r16"]);
    assert!(html.contains("method=\"post\" action=\"/traffic/payments/restore\""));
    assert!(html.contains("name=\"revision\" value=\"16\""));
    let html = page("/traffic/payments?diff=16").await;
    all_in(&text(&html), &["r16 against what is in force: 1 added, 1 removed"]);
    assert_eq!(html.matches("<mark").count(), 2, "the changed number is marked in both lines");
}

#[tokio::test]
async fn every_resource_is_listed_opened_and_deleted_without_javascript() {
    let html = page("/traffic").await;
    all_in(&text(&html), &["Gateway", "api-gateway", "api.example.com", "in force at the ingress"]);
    let html = page("/traffic?resource=Gateway%2Fdefault%2Fapi-gateway").await;
    all_in(&text(&html), &["kind: Gateway", "Delete"]);
    assert!(!html.contains("action=\"/traffic/all/delete\""), "it is asked first");
    let html = page("/traffic?resource=Gateway%2Fdefault%2Fapi-gateway&delete=ask").await;
    all_in(&text(&html), &["Delete Gateway api-gateway?", "Keep"]);
    assert!(html.contains("method=\"post\" action=\"/traffic/all/delete\""));
}

#[tokio::test]
async fn the_tester_answers_the_request_in_the_address() {
    let html = page("/traffic/payments?method=POST&path=%2Fpay&headers=x-canary%3A+true").await;
    all_in(&text(&html), &["payments v2 100%"]);
    assert!(html.contains("value=\"/pay\"") && html.contains("method=\"get\""));
}

#[tokio::test]
async fn a_refused_text_comes_back_as_it_was_typed_with_all_that_is_said_of_it() {
    let finding = |line, message: &str| Finding {
        code: "KIA1101".into(),
        severity: Severity::Error,
        resource: None,
        path: "spec".into(),
        at: Position { line, column: 7 },
        message: message.into(),
        advice: String::new(),
        correct_form: None,
    };
    let findings = vec![finding(3, "No host named paymnts."), finding(9, "No subset v9.")];
    let report = ApplyReport { findings, ..ApplyReport::default() };
    let applied = Applied { report, ..Applied::default() };
    let posted = PostedApply { yaml: "kind: Typed # by hand\n".into(), applied, error: None };
    for address in ["/traffic", "/traffic/payments?view=yaml"] {
        let html = answer(address, posted.clone()).await;
        assert!(html.contains("kind: Typed # by hand"), "{address}");
        let read = text(&html);
        all_in(&read, &["Nothing was changed", "No host named paymnts.", "No subset v9."]);
        all_in(&read, &["L3:7", "L9:7"]);
    }
}

#[tokio::test]
async fn yaml_can_be_edited_and_applied_from_a_plain_form() {
    let html = page("/traffic/payments?view=yaml").await;
    assert!(html.contains("method=\"post\" action=\"/traffic/payments\""));
    assert!(html.contains("name=\"base\" value=\"17\"") && html.contains("<textarea"));
    assert!(html.contains("perTryTimeout: 2.5s"));
    let html = page("/traffic?error=Line%203%3A%20no%20such%20host.").await;
    all_in(&text(&html), &["Apply a file", "Line 3: no such host."]);
}

#[tokio::test]
async fn a_host_without_a_route_says_what_istio_does_and_an_unknown_one_is_not_found() {
    let read = text(&page("/traffic/users").await);
    all_in(&read, &["users has no VirtualService", "Istio's default", "Create route"]);
    all_in(&text(&page("/traffic/paymnts").await), &["No host paymnts."]);
}

#[tokio::test]
async fn a_calm_mesh_says_so() {
    let mut calm = scenario::snapshot();
    calm.faults = FaultsView::default();
    calm.breakers.retain(|line| line.distance.is_some());
    let read = text(&document(calm, "/resilience").await);
    all_in(&read, &["No active faults. All 7 breakers are closed."]);
}

#[tokio::test]
async fn the_pages_have_no_inline_styles_one_first_heading_and_sound_tables() {
    let addresses = ["/traffic", "/traffic/payments", "/traffic/payments?view=yaml", "/resilience"];
    for address in addresses {
        let html = page(address).await;
        assert!(!html.contains(" style=\""), "{address} has an inline style");
        assert!(!html.contains("<p><div"), "{address} has a block in a paragraph");
        assert_eq!(html.matches("<h1").count(), 1, "{address}");
        let tables = html.matches("<table").count();
        assert_eq!(tables, html.matches("<tbody").count(), "{address}");
        let forms = html.split("<form").skip(1);
        for form in forms {
            assert!(form.contains("</form>"), "{address} has a form that does not end");
            let inside = form.split("</form>").next().unwrap();
            assert!(!inside.contains("<form"), "{address} has a form in a form");
        }
    }
}

/// The section of a page, up to the next one.
fn balancing(html: &str) -> &str {
    let section = html.split("id=\"balancing\"").nth(1).unwrap();
    section.split("</section>").next().unwrap()
}

/// The text of a part of a page.
fn part_text(html: &str) -> String {
    text(&format!("<div class=\"page\"{html}<"))
}

#[tokio::test]
async fn a_consistent_hash_is_said_in_istios_words_drawn_as_a_ring_and_told_in_a_table() {
    let html = page("/traffic/payments").await;
    let section = balancing(&html);
    let read = part_text(section);
    let written = "consistentHash.httpHeaderName: x-user-id ringHash.minimumRingSize: 1024";
    let read_fields = read.replace("x-user-idringHash", "x-user-id ringHash");
    all_in(&read_fields, &[written, "DestinationRule payments, lines 37 to 40"]);
    all_in(&read, &["1\u{202f}536 points".replace('\u{202f}', " ").as_str()]);
    all_in(&read, &["200 picks in the last 60 s", "payments-v1-1", "50%", "55%"]);
    all_in(&read, &["killed, still picked", "if it left", "51%"]);
    assert!(section.contains("document=DestinationRule%2Fpayments#yaml-lines"), "{section}");
    assert!(section.contains("role=\"img\"") && section.contains("aria-describedby"), "{section}");
    all_in(&read, &["payments-v1-1 has 50% of the keys, payments-v1-2 has 30% of the keys"]);
    assert_eq!(section.matches("class=\"ring-part\"").count(), 3, "a path for each");
    assert!(!section.contains("ring-move"), "nobody leaves");
    for at in 0..3 {
        assert!(section.contains(&format!("fill=\"url(#share-{at})\"")), "texture {at}");
    }
}

#[tokio::test]
async fn an_instance_that_might_leave_and_a_key_are_asked_by_the_address_without_javascript() {
    let html = page("/traffic/payments?range=15&left=payments-v1-1&key=alice").await;
    let section = balancing(&html);
    let read = part_text(section);
    all_in(&read, &["If payments-v1-1 left, 51% of keys would move: 50% its own, 1% of instances"]);
    all_in(&read, &["alice goes to payments-v1-2. After payments-v1-1 has left it goes to"]);
    all_in(&read, &["hash 44bc2cf5ad770999", "Around the ring"]);
    assert_eq!(section.matches("class=\"ring-move\"").count(), 1, "{section}");
    assert!(section.contains("ring-part hot") && section.contains("ring-part cool"));
    assert_eq!(section.matches("class=\"ring-key\"").count(), 2, "a line and its head");
    let form = section.split("<form").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(form.contains("method=\"get\"") && form.contains("name=\"key\""), "{form}");
    assert!(form.contains("name=\"left\" value=\"payments-v1-1\""), "what else is asked stays");
    assert!(form.contains("value=\"alice\""), "{form}");
    // The link of the one that is chosen takes it back.
    assert!(section.contains("href=\"/traffic/payments?range=15&amp;key=alice#balancing\""));
}

#[tokio::test]
async fn a_pool_without_a_policy_of_one_instance_or_without_traffic_says_so() {
    let one = page("/traffic/payments?pool=v2").await;
    let read = part_text(balancing(&one));
    all_in(&read, &["Nothing to balance: payments-v2-1 is the only instance."]);
    all_in(&read, &["simple: LEAST_REQUEST", "No policy is written: this is Istio's default."]);
    all_in(&read, &["no DestinationRule", "No request in the last 60 s"]);
    assert!(!balancing(&one).contains("<svg class=\"ring\""), "nothing to be drawn");
    let users = page("/traffic/users").await;
    let read = part_text(balancing(&users));
    all_in(&read, &["users-v1-1", "users-v1-2", "Istio's default", "No request in the last 60 s"]);
    assert!(!read.contains("Nothing to balance") && !read.contains("if it left"));
    let gone = page("/traffic/payments?pool=v9").await;
    all_in(&part_text(balancing(&gone)), &["pool v9 of payments", "Show what there is"]);
}
