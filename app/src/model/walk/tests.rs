//! The walk of a trace: hops, tries, parallel calls, clocks, other programs' telemetry, bounds.

use super::*;
use crate::model::span_tree::tests::{span, trace};
use contract::{attributes as key, service, trace::SpanView};

fn of_service(mut of: SpanView, service: &str, kind: SpanKind) -> SpanView {
    of.service = service.into();
    of.kind = kind;
    of
}

fn with(mut of: SpanView, pairs: &[(&str, &str)]) -> SpanView {
    of.attributes.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())));
    of
}

fn server(id: &str, parent: Option<&str>, service: &str, start: i64, took: i64) -> SpanView {
    of_service(span(id, parent, start, took), service, SpanKind::Server)
}

fn client(id: &str, parent: &str, (from, to): (&str, &str), start: i64, took: i64) -> SpanView {
    let call = of_service(span(id, Some(parent), start, took), from, SpanKind::Client);
    with(call, &[(key::SERVER_ADDRESS, to)])
}

/// gateway asks catalog and users at once, then orders, whose first try fails.
fn shop() -> Vec<SpanView> {
    let caller = [("mesh.caller", "browser"), (key::HTTP_STATUS, "202")];
    let retry = [(key::MESH_TRY, "2"), (key::HTTP_STATUS, "202")];
    let mut failed = client("retry 0", "call", ("gateway", "orders-0"), 400, 50);
    failed.name = "try 1, orders-0".into();
    failed.error = true;
    let mut second = client("retry 1", "call", ("gateway", "orders-1"), 500, 400);
    second.name = "retry 1 of 2, orders-1".into();
    vec![
        with(server("root", None, "gateway", 0, 1_000), &caller),
        client("a", "root", ("gateway", "product-service"), 100, 200),
        server("a2", Some("a"), "catalog", 120, 100),
        client("b", "root", ("gateway", "users"), 110, 150),
        client("call", "root", ("gateway", "orders"), 390, 520),
        with(failed, &[(key::MESH_TRY, "1"), (key::HTTP_STATUS, "503")]),
        with(second, &retry),
        with(server("place", Some("retry 1"), "orders", 510, 300), &[(key::HTTP_STATUS, "202")]),
        with(
            of_service(span("db", Some("place"), 600, 100), "orders", SpanKind::Client),
            &[(key::DB_SYSTEM, "sqlite")],
        ),
    ]
}

fn ends(walk: &Walk) -> Vec<(&str, &str, &str)> {
    walk.hops.iter().map(|h| (h.from.as_str(), h.to.as_str(), h.status.as_str())).collect()
}

#[test]
fn hops_are_in_the_order_they_began_and_each_try_is_one() {
    let walk = of(&trace(shop()));
    let expected = [
        ("browser", "gateway", "202"),
        ("gateway", "catalog", ""),
        ("gateway", "users", ""),
        ("gateway", "orders", "503"),
        ("gateway", "orders", "202"),
    ];
    assert_eq!(ends(&walk), expected);
    let tries: Vec<_> = walk.hops.iter().map(|hop| hop.tried.as_deref()).collect();
    assert_eq!(tries, [None, None, None, Some("try 1"), Some("retry 1 of 2")]);
    assert_eq!([walk.hops[3].failed, walk.hops[4].failed], [true, false]);
    assert!(walk.hops.iter().all(|hop| hop.kind == EdgeKind::Call));
    assert_eq!(walk.hops[3].what, "call", "what was asked is the call's, not the try's");
    let said = walk.hops[3].said();
    assert_eq!(said, "gateway to orders, call, try 1, 50 µs, 503, failed");
}

#[test]
fn a_step_stands_on_the_hop_it_makes_or_was_reached_by_and_work_inside_on_none() {
    let walk = of(&trace(shop()));
    let hop = |id: &str| walk.steps.iter().find(|step| step.span_id == id).unwrap().hop;
    assert_eq!([hop("root"), hop("a"), hop("a2"), hop("b")], [Some(0), Some(1), Some(1), Some(2)]);
    assert_eq!(hop("call"), Some(3), "a call is where its first try is");
    assert_eq!([hop("retry 0"), hop("retry 1"), hop("place")], [Some(3), Some(4), Some(4)]);
    assert_eq!(hop("db"), None);
}

#[test]
fn calls_made_at_once_are_on_their_way_at_once() {
    let walk = of(&trace(shop()));
    let on_way = |at: f64| walk.dots(at).map(|(hop, _)| hop).collect::<Vec<_>>();
    assert_eq!(on_way(50.0), [0]);
    assert_eq!(on_way(200.0), [0, 1, 2]);
    assert_eq!(on_way(280.0), [0, 1]);
    assert_eq!(on_way(1_000.0), Vec::<usize>::new());
    assert!(walk.works("catalog", 150.0) && !walk.works("catalog", 250.0));
    assert!(!walk.works("users", 150.0), "nobody tells that it did");
}

#[test]
fn a_dot_goes_there_waits_and_comes_back_and_what_never_arrived_turns_back() {
    let walk = of(&trace(shop()));
    let (catalog, failed) = (&walk.hops[1], &walk.hops[3]);
    let way = |hop: &Hop, at: f64| hop.way(at).map(|way| (way * 100.0).round());
    assert_eq!(way(catalog, 99.0), None);
    assert_eq!(way(catalog, 100.0), Some(0.0));
    assert_eq!(way(catalog, 112.5), Some(50.0), "a way takes at least an eighth of the call");
    assert_eq!([way(catalog, 130.0), way(catalog, 215.0)], [Some(100.0), Some(100.0)]);
    assert_eq!(way(catalog, 260.0), Some(50.0));
    assert_eq!([way(failed, 412.5), way(failed, 425.0)], [Some(50.0), Some(100.0)]);
    assert_eq!(way(failed, 437.5), Some(50.0));
    for hop in &walk.hops {
        for at in 0..1_100 {
            assert!(hop.way(f64::from(at)).is_none_or(|way| (0.0..=1.0).contains(&way)));
        }
    }
}

#[test]
fn messages_go_from_their_source_and_both_banks_are_rounds_of_the_commit() {
    let producer =
        of_service(span("send", Some("place"), 50, 100), service::BUS, SpanKind::Producer);
    let producer = with(
        producer,
        &[(key::SERVER_ADDRESS, "payments"), (key::MESSAGE_TOPIC, "payment.authorize")],
    );
    let taken = of_service(span("process", Some("send"), 60, 80), "payments", SpanKind::Consumer);
    let prepare = |id: &str, bank: &str, at: i64| {
        let call = client(id, "process", ("payments", bank), at, 20);
        with(call, &[(key::TRANSACTION_ID, "tx-1"), (key::HTTP_STATUS, "200")])
    };
    let mut lost =
        of_service(span("lost", Some("place"), 160, 5), service::BUS, SpanKind::Producer);
    lost.error = true;
    lost.message = Some("no connection".into());
    let walk = of(&trace(vec![
        server("place", None, "orders", 0, 300),
        producer,
        with(taken, &[("cloudevents.event_source", "orders")]),
        prepare("p1", service::BANK_CUSTOMER, 70),
        prepare("p2", service::BANK_MERCHANT, 71),
        with(lost, &[(key::SERVER_ADDRESS, "inventory"), (key::MESSAGE_TOPIC, "order.placed")]),
    ]));
    let expected = [
        ("orders", "payments", ""),
        ("payments", "bank-customer", "200"),
        ("payments", "bank-merchant", "200"),
        ("orders", "inventory", "no connection"),
    ];
    assert_eq!(ends(&walk), expected);
    let kinds: Vec<EdgeKind> = walk.hops.iter().map(|hop| hop.kind).collect();
    let (message, commit) = (EdgeKind::Message, EdgeKind::Commit);
    assert_eq!(kinds, [message, commit, commit, message]);
    assert_eq!(walk.hops[0].what, "payment.authorize");
    assert!(walk.hops[3].failed && walk.hops[3].arrived_us.is_none());
    assert!(walk.crosses("orders", service::BUS) && walk.crosses("inventory", service::BUS));
    assert!(!walk.crosses("orders", "payments"), "it goes over the bus");
    assert!(walk.crosses("payments", "bank-customer") && walk.touches(service::BUS));
}

#[test]
fn a_clock_that_is_early_puts_no_span_before_the_one_that_caused_it() {
    let walk = of(&trace(vec![
        server("root", None, "gateway", 1_000, 500),
        client("call", "root", ("gateway", "orders"), 1_100, 300),
        server("early", Some("call"), "orders", 900, 200),
    ]));
    let ids: Vec<_> = walk.steps.iter().map(|step| step.span_id.as_str()).collect();
    assert_eq!(ids, ["root", "call", "early"]);
    let starts: Vec<_> = walk.steps.iter().map(|step| step.start_us).collect();
    assert_eq!(starts, [100, 200, 200], "from the earliest clock on");
    assert!(walk.steps.iter().all(|step| step.end_us >= step.start_us));
    assert_eq!(walk.hops.len(), 1);
    let hop = &walk.hops[0];
    assert!(hop.arrived_us >= Some(hop.start_us) && hop.left_us >= hop.arrived_us);
}

#[test]
fn a_span_whose_parent_is_not_kept_is_reached_from_whom_it_names_or_from_nowhere() {
    let named = [("mesh.caller", "gateway")];
    let walk = of(&trace(vec![
        with(server("a", Some("gone"), "orders", 0, 100), &named),
        server("b", Some("lost"), "users", 10, 20),
    ]));
    assert_eq!(ends(&walk), [("gateway", "orders", "")]);
    assert_eq!((walk.steps.len(), walk.missing), (2, 2));
    assert_eq!(walk.steps[1].hop, None);
}

#[test]
fn telemetry_of_another_program_is_walked_by_services_and_parents_alone() {
    let inner = |id: &str, parent: &str, of: &str, at: i64| {
        of_service(span(id, Some(parent), at, 50), of, SpanKind::Internal)
    };
    let walk = of(&trace(vec![
        of_service(span("page", None, 0, 500), "frontend", SpanKind::Internal),
        client("rpc", "page", ("frontend", "10.0.0.7:3550"), 10, 200),
        server("list", Some("rpc"), "productcatalog", 20, 100),
        inner("cache", "list", "productcatalog", 30),
        inner("other", "page", "adservice", 250),
        of_service(span("publish", Some("page"), 300, 5), "frontend", SpanKind::Producer),
        of_service(span("take", Some("publish"), 320, 50), "accounting", SpanKind::Consumer),
        of_service(span("take 2", Some("publish"), 330, 50), "fraud", SpanKind::Consumer),
    ]));
    let expected = [
        ("frontend", "productcatalog", ""),
        ("frontend", "adservice", ""),
        ("frontend", "accounting", ""),
        ("frontend", "fraud", ""),
    ];
    assert_eq!(ends(&walk), expected);
    assert_eq!(walk.hops[2].kind, EdgeKind::Message);
}

#[test]
fn a_walk_is_bounded_and_says_what_it_left_out() {
    let mut spans = vec![server("root", None, "gateway", 0, 5_000)];
    for at in 0..1_000 {
        let id = format!("call {at}");
        spans.push(client(&id, "root", ("gateway", "catalog"), at * 4, 3));
    }
    let mut whole = trace(spans);
    whole.dropped = 7;
    let walk = of(&whole);
    assert_eq!((walk.steps.len(), walk.hops.len()), (STEPS_MAX, HOPS_MAX));
    assert_eq!(walk.left_out, 1_001 - 500 + 7);
    assert!(walk.steps.iter().all(|step| step.hop.is_none_or(|hop| hop < walk.hops.len())));
    assert!(walk.dots(3.0).count() <= DOTS_MAX);
    let none = of(&trace(Vec::new()));
    assert_eq!(none.at_time(0.0), Moment::default());
    assert_eq!(none.forward(Moment::default()), Moment::default());
}

#[test]
fn steps_lead_from_span_to_span_and_time_finds_the_one_that_began_last() {
    let walk = of(&trace(shop()));
    let id = |moment: Moment| walk.steps[moment.step].span_id.as_str();
    let mut at = walk.at_time(0.0);
    let mut seen = vec![id(at)];
    for _ in 1..walk.steps.len() {
        at = walk.forward(at);
        seen.push(id(at));
    }
    let all = ["root", "a", "b", "a2", "call", "retry 0", "retry 1", "place", "db"];
    assert_eq!(seen, all);
    assert_eq!(walk.forward(at), at, "there is no further one");
    assert_eq!(id(walk.back(at)), "place");
    let within = walk.at_time(650.0);
    assert_eq!((id(within), id(walk.back(within))), ("db", "db"), "first to its beginning");
    assert_eq!(id(walk.at_time(115.0)), "b");
    assert_eq!(walk.at_span("place").map(id), Some("place"));
    assert_eq!(walk.at_span("none"), None);
    assert!(walk.is_over(walk.at_time(9e9)) && !walk.is_over(at));
    assert_eq!(walk.back(walk.at_step(0)), walk.at_step(0));
}

#[test]
fn spans_that_began_in_the_same_microsecond_are_stepped_through_one_by_one() {
    let twins = ["x", "y", "z"].map(|id| server(id, Some("root"), "users", 5, 10));
    let mut spans = vec![server("root", None, "gateway", 5, 20)];
    spans.extend(twins);
    let walk = of(&trace(spans));
    let mut at = walk.at_step(0);
    for step in 1..4 {
        at = walk.forward(at);
        assert_eq!((at.step, at.at_us), (step, 0.0));
    }
}

#[test]
fn what_of_a_span_tells_what_happened_comes_with_what_it_logged() {
    let attributes = [
        ("url.path", "/x"),
        (key::HTTP_STATUS, "503"),
        (key::FAULT_ID, "F-3"),
        (key::MESH_RESPONSE_FLAGS, "-"),
    ];
    let mut whole = trace(vec![with(server("a", None, "bank-customer", 0, 10), &attributes)]);
    let line = |message: &str, span: &str| contract::trace::LogView {
        at_us: 1,
        service: "bank-customer".into(),
        level: contract::trace::Level::Info,
        message: message.into(),
        span_id: Some(span.into()),
        trace_id: None,
        fields: vec![],
    };
    whole.logs = vec![line("tx-1 prepared, vote yes", "a"), line("elsewhere", "b")];
    let step = &of(&whole).steps[0];
    let facts: Vec<_> = step.facts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(facts, [(key::FAULT_ID, "F-3"), (key::HTTP_STATUS, "503")]);
    assert_eq!(step.lines, ["tx-1 prepared, vote yes"]);
}

#[test]
fn a_round_of_a_commit_tells_the_vote_or_the_decision() {
    let round = |id: &str, at: i64, pair: (&str, &str)| {
        let pairs = [(key::TRANSACTION_ID, "tx-1"), pair];
        with(server(id, Some("root"), service::BANK_MERCHANT, at, 5), &pairs)
    };
    let walk = of(&trace(vec![
        server("root", None, "payments", 0, 100),
        round("prepare", 10, (key::TRANSACTION_VOTE, "no")),
        round("abort", 20, (key::TRANSACTION_DECISION, "abort")),
    ]));
    let told = |step: usize| walk.steps[step].facts.last().cloned().unwrap();
    assert_eq!(told(1), (key::TRANSACTION_VOTE.to_owned(), "no".to_owned()));
    assert_eq!(told(2), (key::TRANSACTION_DECISION.to_owned(), "abort".to_owned()));
}

#[test]
fn a_walk_stays_at_its_span_when_one_comes_that_began_before_it() {
    let call = ("orders", "users");
    let known = || {
        let call = client("call", "work", call, 300, 100);
        vec![server("a", Some("root"), "gateway", 200, 50), call]
    };
    let before = of(&trace(known()));
    // The root ends last, and is told last.
    let whole = known().into_iter().chain([
        server("root", None, "gateway", 100, 600),
        server("work", Some("a"), "orders", 220, 400),
    ]);
    let after = of(&trace(whole.collect()));
    let id = |walk: &Walk, at: Moment| walk.steps[at.step].span_id.clone();
    let at = before.at_time(130.0);
    assert_eq!(id(&before, at), "call", "30 µs within it");
    let stays = after.resumed(&before, at, false);
    assert_eq!((id(&after, stays).as_str(), stays.at_us), ("call", 230.0), "100 µs later by now");
    assert_eq!(id(&after, after.back(stays)), "call", "first to its beginning, as before");
    // While it plays it is where it is by the clock, whichever span that is.
    let at = before.at_time(40.0);
    assert_eq!(id(&before, at), "a");
    let plays = after.resumed(&before, at, true);
    assert_eq!((id(&after, plays).as_str(), plays.at_us), ("work", 140.0));
    assert_eq!(id(&after, after.resumed(&before, at, false)), "a");
    // A span that is not there any more leaves its time.
    let gone = of(&trace(vec![server("root", None, "gateway", 100, 600)]));
    let left = Moment { at_us: 200.0, step: 0 };
    assert_eq!(gone.resumed(&before, before.at_step(1), false), left);
}

#[test]
fn the_version_of_a_callee_is_what_its_route_or_its_instance_says() {
    let answer =
        with(server("b", Some("a"), "payments", 1, 5), &[("service.instance.id", "payments-v2-0")]);
    let call = client("a", "root", ("orders", "payments"), 0, 10);
    let root = server("root", None, "orders", 0, 20);
    let named = with(call.clone(), &[(key::MESH_SUBSET, "v1")]);
    let subset = |spans: Vec<SpanView>| of(&trace(spans)).hops[0].subset.clone();
    let told = subset(vec![root.clone(), call, answer.clone()]);
    assert_eq!(told.as_deref(), Some("v2"));
    assert_eq!(subset(vec![root, named, answer]).as_deref(), Some("v1"));
}

#[test]
fn a_walk_survives_its_way_to_the_browser() {
    let walk = of(&trace(shop()));
    let text = serde_json::to_string(&walk).unwrap();
    assert_eq!(serde_json::from_str::<Walk>(&text).unwrap(), walk);
}

#[test]
fn more_may_come_while_it_is_young_or_has_not_ended() {
    let mut whole = trace(vec![server("a", Some("open"), "orders", 0, 100)]);
    assert!(of(&whole).runs(1_000_000) && !of(&whole).runs(6_000_000));
    whole.row.unfinished = true;
    assert!(of(&whole).runs(6_000_000) && !of(&whole).runs(70_000_000));
}

#[test]
fn a_pace_says_its_scale_and_a_short_trace_is_fitted() {
    assert_eq!(Pace::for_length(21_000), Pace::Fit);
    assert_eq!(Pace::Fit.said(21_000), "1 s here = 2.1 ms");
    assert_eq!(Pace::Tenth.said(21_000), "1 s here = 100 ms");
    assert_eq!(Pace::Real.said(21_000), "1 s here = 1.00 s");
    let chosen = [900_000, 2_206_000, 5_000_000, 60_000_000].map(Pace::for_length);
    assert_eq!(chosen, [Pace::Tenth, Pace::Quarter, Pace::Half, Pace::Real]);
    assert!(Pace::ALL.iter().all(|pace| Pace::of(pace.choice().0) == Some(*pace)));
    assert!(Pace::Fit.rate(0) > 0.0);
}
