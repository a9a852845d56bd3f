//! The store against spans made by hand.

mod leaving;

use super::{record::Packer, *};
use crate::{ended, names, symbols::Symbols};
use contract::trace::{Level, TimeWindow, TraceQuery};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use std::time::{Duration, UNIX_EPOCH};

struct World {
    store: Store,
    symbols: Symbols,
}

/// A span to be; times in milliseconds.
#[derive(Clone)]
struct Given {
    trace: u128,
    id: u64,
    parent: u64,
    service: &'static str,
    name: &'static str,
    start_ms: u64,
    took_ms: u64,
    attributes: Vec<KeyValue>,
    error: bool,
}

impl Given {
    fn new(trace: u128, id: u64, parent: u64) -> Self {
        Self {
            trace,
            id,
            parent,
            service: "gateway",
            name: "POST /api/v1/orders",
            start_ms: 1_000 + id,
            took_ms: 10,
            attributes: Vec::new(),
            error: false,
        }
    }

    fn with(mut self, attribute: KeyValue) -> Self {
        self.attributes.push(attribute);
        self
    }
}

impl World {
    fn new() -> Self {
        Self::bounded(StoreLimits::default())
    }

    fn bounded(limits: StoreLimits) -> Self {
        Self { store: Store::new(limits, 0), symbols: Symbols::new() }
    }

    fn span(&mut self, given: Given) {
        let start = UNIX_EPOCH + Duration::from_millis(given.start_ms);
        let mut attributes = given.attributes;
        attributes.push(KeyValue::new(names::SERVICE_NAME, given.service));
        let data = SpanData {
            span_context: SpanContext::new(
                TraceId::from(given.trace),
                SpanId::from(given.id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(given.parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: given.name.into(),
            start_time: start,
            end_time: start + Duration::from_millis(given.took_ms),
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: match given.error {
                true => Status::error("declined"),
                false => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::default(),
        };
        let ended = ended::read(&data, None, &self.symbols, &mut Packer::default());
        self.store.add_span(ended);
    }

    /// A line about an order.
    fn line(&mut self, at_us: i64, order: &str) {
        let mut packer = Packer::default();
        packer.text("placed");
        packer.count(2);
        packer.attribute(&self.symbols.words, "revision", &7.into());
        packer.attribute(&self.symbols.words, "order_id", &order.to_owned().into());
        let line = LogRecord {
            at_us,
            trace: [0; 16],
            span: 0,
            packed: packer.take(),
            service: 0,
            level: Level::Info,
        };
        self.store.add_log(line, &self.symbols);
    }

    /// When the lines about an order were written.
    fn times(&self, order: &str) -> Vec<i64> {
        let lines = self.store.logs_with_field("order_id", order, &self.symbols);
        lines.iter().map(|line| line.at_us).collect()
    }

    fn keeps(&self, trace: u128) -> bool {
        self.store.traces.contains_key(&trace)
    }

    fn search(&mut self, query: TraceQuery) -> contract::trace::TraceList {
        self.store.search(&query, 2_000_000, &self.symbols)
    }

    fn found(&mut self, query: TraceQuery) -> Vec<u128> {
        let ids = self.search(query).rows.into_iter();
        ids.map(|row| u128::from_str_radix(&row.trace_id, 16).unwrap()).collect()
    }

    fn trace(&mut self, id: u128) -> contract::trace::TraceView {
        self.store.trace(id, &self.symbols).unwrap()
    }
}

/// The span by which an event of an order is recorded.
fn of_order(given: Given, order: &'static str, facts: &[(&'static str, &'static str)]) -> Given {
    let event = given
        .with(KeyValue::new(names::ORDER_ID, order))
        .with(KeyValue::new(names::EVENT_NAME, "some event"));
    facts.iter().fold(event, |given, (key, value)| given.with(KeyValue::new(*key, *value)))
}

#[test]
fn the_root_is_the_earliest_span_without_a_kept_parent() {
    // Given a trace whose root ended last, and one whose root was never kept,
    let mut world = World::new();
    world.span(Given { start_ms: 1_002, service: "orders", name: "child", ..Given::new(1, 2, 1) });
    world.span(Given { start_ms: 1_000, took_ms: 50, ..Given::new(1, 1, 0) });
    world.span(Given { start_ms: 1_009, name: "later orphan", ..Given::new(2, 4, 9) });
    world.span(Given { start_ms: 1_005, name: "orphan", ..Given::new(2, 3, 9) });
    // when both are looked at,
    let (whole, partial) = (world.trace(1).row, world.trace(2).row);
    // then the rows tell of the right spans.
    assert_eq!(
        (whole.service.as_str(), whole.operation.as_str()),
        ("gateway", "POST /api/v1/orders")
    );
    assert_eq!((whole.start_us, whole.duration_us), (1_000_000, 50_000));
    assert_eq!(whole.services, ["gateway", "orders"]);
    assert_eq!((partial.operation.as_str(), partial.start_us), ("orphan", 1_005_000));
    assert_eq!(partial.duration_us, 14_000);
}

#[test]
fn a_trace_lasts_until_its_root_and_the_last_event_of_its_order_have_ended() {
    // Given an order that was over after 12 ms, one of whose messages was told again much later,
    let mut world = World::new();
    world.span(Given { start_ms: 1_000, took_ms: 5, ..Given::new(1, 1, 0) });
    world.span(of_order(Given { start_ms: 1_010, took_ms: 2, ..Given::new(1, 2, 1) }, "o", &[]));
    let again = Given { start_ms: 51_000, took_ms: 3, ..Given::new(1, 3, 1) };
    world.span(again.with(KeyValue::new(names::MESH_FAULT_ID, "F-1")));
    // then that is what it took, and what came later is told apart from it,
    let list = world.search(TraceQuery::default());
    assert_eq!((list.rows[0].duration_us, list.rows[0].tail_us), (50_003_000, 49_991_000));
    assert_eq!((list.marks[0].duration_us, list.marks[0].hit, list.slow), (12_000, true, 0));
    // and by it a filter finds it.
    let at_least = |ms| TraceQuery { min_duration_ms: Some(ms), ..TraceQuery::default() };
    assert_eq!((world.found(at_least(12)), world.found(at_least(13))), (vec![1], vec![]));
}

#[test]
fn a_trace_whose_root_has_not_ended_runs_and_has_no_mark_yet() {
    // Given a child whose parent has not ended, and one called from outside by a client with a
    // trace of its own,
    let mut world = World::new();
    world.span(Given::new(1, 2, 1));
    let outside = KeyValue::new(names::MESH_CALLER, names::BROWSER);
    world.span(Given::new(2, 3, 9).with(outside));
    let asked = |world: &mut World, now_us| {
        let list = world.store.search(&TraceQuery::default(), now_us, &world.symbols);
        let runs: Vec<bool> = list.rows.iter().map(|row| row.runs(now_us)).collect();
        (runs, list.marks.len())
    };
    // then the first runs, for as long as its parent may come.
    assert_eq!(asked(&mut world, 2_000_000), (vec![false, true], 1));
    assert_eq!(asked(&mut world, 62_000_000), (vec![false, false], 2));
    let mut world = World::new();
    world.span(Given::new(1, 2, 1));
    world.span(Given::new(1, 1, 0));
    assert_eq!(asked(&mut world, 2_000_000), (vec![false], 1));
}

#[test]
fn spans_come_by_start_time_with_their_parents_and_attributes() {
    let mut world = World::new();
    world.span(Given::new(1, 3, 2));
    world.span(Given::new(1, 1, 0).with(KeyValue::new(names::HTTP_STATUS, 202)));
    world.span(Given { error: true, ..Given::new(1, 2, 1) });
    let trace = world.trace(1);
    let ids: Vec<&str> = trace.spans.iter().map(|span| &span.span_id[15..]).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(trace.spans[2].parent_id.as_deref(), Some("0000000000000002"));
    assert_eq!(trace.spans[0].parent_id, None);
    assert_eq!(trace.spans[0].attribute(names::HTTP_STATUS), Some("202"));
    assert_eq!(trace.spans[1].message.as_deref(), Some("declined"));
    // The service is the resource's, not an attribute.
    assert_eq!(trace.spans[0].attribute(names::SERVICE_NAME), None);
    assert_eq!(trace.row.http_status, Some(202));
}

#[test]
fn what_is_come_back_for_outlives_plain_traces_that_are_newer() {
    // Given an order, an error, a compensation and a slow trace, then more plain ones than fit,
    let mut world = World::bounded(StoreLimits { spans: 20, ..StoreLimits::default() });
    world.span(Given::new(1, 1, 0).with(KeyValue::new(names::ORDER_ID, "ord-1")));
    world.span(Given { error: true, ..Given::new(2, 2, 0) });
    world.span(Given::new(3, 3, 0).with(KeyValue::new(names::SAGA_COMPENSATION, true)));
    world.span(Given { took_ms: 1_001, ..Given::new(4, 4, 0) });
    // a try that failed and was repeated, which is nothing to come back for,
    let again = Given { error: true, ..Given::new(5, 5, 0) };
    world.span(again.with(KeyValue::new(names::MESH_TRY, 1)));
    for id in 100..200_u64 {
        world.span(Given::new(u128::from(id), id, 0));
    }
    // then the plain ones left and the others are there,
    for id in 1..=4 {
        assert!(world.store.trace(id, &world.symbols).is_some(), "{id}");
    }
    assert!(world.store.trace(5, &world.symbols).is_none());
    assert_eq!(world.store.stats().spans, 20);
    // and the list says from when on everything is there, and how far back it reaches.
    let list = world.search(TraceQuery::default());
    assert_eq!((list.oldest_us, list.left_until_us), (Some(1_001_000), Some(1_183_000)));
    assert!(world.store.trace(183, &world.symbols).is_none());
    assert!(world.store.trace(184, &world.symbols).is_some());
}

#[test]
fn what_is_come_back_for_leaves_room_for_what_happens_now() {
    let mut world = World::bounded(StoreLimits { spans: 100, ..StoreLimits::default() });
    for id in 1..=500_u64 {
        world.span(Given { error: true, ..Given::new(u128::from(id), id, 0) });
    }
    for id in 501..=600_u64 {
        world.span(Given::new(u128::from(id), id, 0));
    }
    let kept = |range: std::ops::RangeInclusive<u128>, world: &World| {
        range.filter(|id| world.store.traces.contains_key(id)).count()
    };
    assert_eq!((kept(1..=500, &world), kept(501..=600, &world)), (75, 25));
    // It is the oldest of them that left.
    assert_eq!(kept(426..=500, &world), 75);
}

#[test]
fn a_span_that_ends_after_its_trace_left_begins_no_fragment_of_it() {
    let mut world = World::bounded(StoreLimits { spans: 3, ..StoreLimits::default() });
    for id in 1..=4 {
        world.span(Given::new(u128::from(id), id, 0));
    }
    assert!(world.store.trace(1, &world.symbols).is_none());
    world.span(Given::new(1, 10, 1));
    assert!(world.store.trace(1, &world.symbols).is_none());
    let stats = world.store.stats();
    assert_eq!((stats.late_spans, stats.spans, stats.traces), (1, 3, 3));
}

#[test]
fn a_window_holds_from_its_first_to_before_its_last_microsecond_and_newer_ones_are_counted() {
    let mut world = World::new();
    for id in 1..=5_u64 {
        world.span(Given::new(u128::from(id), id, 0));
    }
    let window = Some(TimeWindow { from_us: 1_002_000, until_us: 1_004_000 });
    // The window counts, whatever is said of the last seconds.
    let query = TraceQuery { window, last_seconds: Some(0), ..TraceQuery::default() };
    assert_eq!(world.found(query), [3, 2]);
    let mut after =
        |us, query: &TraceQuery| world.store.count_after(query, us, 2_000_000, &world.symbols);
    assert_eq!(after(1_003_000, &TraceQuery::default()), 2);
    assert_eq!(after(1_005_000, &TraceQuery::default()), 0);
    let none = TraceQuery { status: Some(TraceStatus::Error), ..TraceQuery::default() };
    assert_eq!(after(0, &none), 0);
}

#[test]
fn the_oldest_traces_are_evicted_whole() {
    let mut world = World::bounded(StoreLimits { spans: 10, ..StoreLimits::default() });
    for trace in 1..=5 {
        for id in 1..=3 {
            world.span(Given::new(trace, id, id - 1));
        }
    }
    // 15 spans came, 10 fit: two traces of three left.
    let stats = world.store.stats();
    assert_eq!((stats.spans, stats.traces, stats.evicted_spans), (9, 3, 6));
    assert!(world.store.trace(2, &world.symbols).is_none());
    assert_eq!(world.trace(3).spans.len(), 3);
}

#[test]
fn one_endless_trace_cannot_push_out_the_others() {
    let limits = StoreLimits { spans: 100, spans_per_trace: 5, ..StoreLimits::default() };
    let mut world = World::bounded(limits);
    world.span(Given::new(1, 1, 0));
    for id in 1..=1_000 {
        world.span(Given::new(2, id, 0));
    }
    assert_eq!(world.trace(1).spans.len(), 1);
    let endless = world.trace(2);
    assert_eq!((endless.spans.len(), endless.dropped), (5, 995));
    assert_eq!(world.store.stats().dropped_spans, 995);
}

#[test]
fn the_store_never_holds_more_than_its_bounds_whatever_comes() {
    let limits = StoreLimits { spans: 50, spans_per_trace: 60, logs: 5 };
    let mut world = World::bounded(limits);
    for id in 0..500_u64 {
        // Traces of one, of many, and one that outgrows the whole store.
        let trace = match id % 3 {
            0 => u128::from(id) + 100,
            1 => u128::from(id / 50) + 1,
            _ => 99,
        };
        let given = Given { error: id % 7 == 0, ..Given::new(trace, id + 1, 0) };
        world.span(match id % 5 {
            0 => given.with(KeyValue::new(names::ORDER_ID, format!("ord-{}", id % 40))),
            1 => of_order(given, "ord-3", &[(names::ORDER_ORIGIN, "api")]),
            _ => given,
        });
        let mut sorts = [0; 4];
        for trace in world.store.traces.values() {
            sorts[trace.sort as usize] += trace.spans.len();
        }
        assert_eq!(sorts, world.store.spans);
        let kept: usize = sorts.iter().sum();
        assert_eq!(kept, world.store.stats().spans);
        assert!(kept <= 50, "{kept}");
        assert_eq!(world.store.ages.len(), world.store.traces.len());
        assert!(world.store.traces.values().all(|trace| !trace.spans.is_empty()));
    }
}

#[test]
fn the_oldest_log_lines_are_evicted() {
    let mut world = World::bounded(StoreLimits { logs: 3, ..StoreLimits::default() });
    for at_us in 0..10 {
        world.line(at_us, "ord-1");
    }
    assert_eq!(world.times("ord-1"), [7, 8, 9]);
    assert_eq!(world.store.lines_left_until_us("ord-1"), 6);
    assert_eq!(world.store.stats().evicted_logs, 7);
    assert!(world.store.logs_with_field("order_id", "ord-2", &world.symbols).is_empty());
    assert!(world.store.logs_with_field("never_seen", "ord-1", &world.symbols).is_empty());
}

#[test]
fn an_undone_saga_is_compensated_unless_the_caller_was_told_of_a_failure() {
    let undone = |id| Given::new(id, 2, 1).with(KeyValue::new(names::SAGA_COMPENSATION, true));
    let root = |id, status| Given::new(id, 1, 0).with(KeyValue::new(names::HTTP_STATUS, status));
    let failed = |id| Given { error: true, ..Given::new(id, 3, 1) };
    let mut world = World::new();
    for span in [root(1, 202), undone(1), failed(1)] {
        world.span(span);
    }
    for span in [root(2, 503), undone(2), failed(2)] {
        world.span(span);
    }
    for span in [root(3, 202), failed(3)] {
        world.span(span);
    }
    world.span(root(4, 404));
    let mut status = |id| world.trace(id).row.status;
    assert_eq!(status(1), TraceStatus::Compensated);
    assert_eq!(status(2), TraceStatus::Error);
    assert_eq!(status(3), TraceStatus::Tolerated);
    assert_eq!(status(4), TraceStatus::Ok);
}

#[test]
fn calls_that_failed_behind_an_answer_of_200_are_counted_and_are_no_failure_of_the_trace() {
    let failed = |given: Given| Given { error: true, ..given };
    let answered = |trace, id, parent, status: i64| {
        Given::new(trace, id, parent).with(KeyValue::new(names::HTTP_STATUS, status))
    };
    let mut world = World::new();
    // Given a page of a product whose recommendations came from a fallback, twice asked in vain,
    for span in [
        answered(1, 1, 0, 200),
        failed(answered(1, 2, 1, 503)),
        failed(answered(1, 3, 2, 503)),
        failed(answered(1, 4, 1, 503)),
    ] {
        world.span(span);
    }
    // one whose caller was told, and a run without an answer that failed,
    for span in [failed(answered(2, 1, 0, 503)), failed(answered(2, 2, 1, 503))] {
        world.span(span);
    }
    world.span(failed(Given::new(3, 1, 0)));
    // then the first is tolerated, with two failures, each counted where it came from,
    let outcome = [1, 2, 3].map(|id| {
        let row = world.trace(id).row;
        (row.status, row.failed)
    });
    let (tolerated, error) = (TraceStatus::Tolerated, TraceStatus::Error);
    assert_eq!(outcome, [(tolerated, 2), (error, 1), (error, 1)]);
    // and a filter finds each sort.
    let mut found =
        |status| world.found(TraceQuery { status: Some(status), ..TraceQuery::default() });
    assert_eq!(found(tolerated), [1]);
    assert_eq!(found(error), [3, 2]);
}

#[test]
fn what_failed_in_a_try_or_delivery_that_was_repeated_is_no_failure_of_the_trace() {
    let root = |trace| Given::new(trace, 1, 0).with(KeyValue::new(names::HTTP_STATUS, 202));
    let failed = |given: Given| Given { error: true, ..given };
    let delivery = |trace, id, to: &'static str| {
        let of = KeyValue::new(names::MESSAGE_ID, "m-1");
        Given::new(trace, id, 1).with(of).with(KeyValue::new(names::SERVER_ADDRESS, to))
    };
    let try_of = |trace, id, call, number: i64| {
        Given::new(trace, id, call).with(KeyValue::new(names::MESH_TRY, number))
    };
    let mut world = World::new();
    // Given a delivery that failed, inside of it too, and was repeated with success,
    for span in [
        root(1),
        failed(delivery(1, 2, "payments")),
        failed(Given::new(1, 3, 2)),
        delivery(1, 4, "payments"),
    ] {
        world.span(span);
    }
    // one of which only another consumer's delivery succeeded later,
    for span in [root(2), failed(delivery(2, 2, "payments")), delivery(2, 4, "orders")] {
        world.span(span);
    }
    // one that succeeded before it failed,
    for span in [root(3), delivery(3, 2, "payments"), failed(delivery(3, 4, "payments"))] {
        world.span(span);
    }
    // a call whose first try failed in the callee, and one whose last try did,
    for span in
        [root(4), Given::new(4, 2, 1), failed(try_of(4, 3, 2, 1)), failed(Given::new(4, 4, 3))]
    {
        world.span(span);
    }
    for span in [root(5), failed(Given::new(5, 2, 1)), failed(try_of(5, 3, 2, 1))] {
        world.span(span);
    }
    // then only what nothing made good counts.
    let status = [1, 2, 3, 4, 5].map(|id| world.trace(id).row.status);
    let (ok, tolerated) = (TraceStatus::Ok, TraceStatus::Tolerated);
    assert_eq!(status, [ok, tolerated, tolerated, ok, tolerated]);
}

fn shop() -> World {
    let mut world = World::new();
    world.span(Given::new(1, 1, 0).with(KeyValue::new(names::ORDER_ID, "ord-1")));
    world.span(Given { service: "orders", name: "step", ..Given::new(1, 2, 1) });
    world.span(Given { took_ms: 1_500, name: "GET /api/v1/products", ..Given::new(2, 10, 0) });
    let slow = Given { start_ms: 1_990, took_ms: 5, error: true, ..Given::new(3, 20, 0) };
    world.span(slow.with(KeyValue::new("retry.attempt", 2)));
    world
}

#[test]
fn without_filters_everything_comes_newest_first_with_what_there_is_to_choose_from() {
    let list = shop().search(TraceQuery::default());
    let starts: Vec<i64> = list.rows.iter().map(|row| row.start_us).collect();
    assert_eq!(starts, [1_990_000, 1_010_000, 1_001_000]);
    assert_eq!((list.matched, list.slow), (3, 1));
    assert_eq!(list.services, ["gateway", "orders"]);
    assert_eq!(list.operations, ["GET /api/v1/products", "POST /api/v1/orders"]);
    assert_eq!(list.rows[2].order_id.as_deref(), Some("ord-1"));
}

#[test]
fn every_filter_leaves_what_it_says() {
    let mut shop = shop();
    let mut found = |set: fn(&mut TraceQuery)| {
        let mut query = TraceQuery::default();
        set(&mut query);
        shop.found(query)
    };
    assert_eq!(found(|q| q.service = Some("orders".into())), [1]);
    assert_eq!(found(|q| q.service = Some("nobody".into())), []);
    assert_eq!(found(|q| q.service = Some(String::new())), [3, 2, 1]);
    assert_eq!(found(|q| q.operation = Some("POST /api/v1/orders".into())), [3, 1]);
    assert_eq!(found(|q| q.operation = Some("stride".into())), []);
    assert_eq!(found(|q| q.status = Some(TraceStatus::Error)), [3]);
    assert_eq!(found(|q| q.status = Some(TraceStatus::Ok)), [2, 1]);
    assert_eq!(found(|q| q.min_duration_ms = Some(1_500)), [2]);
    assert_eq!(found(|q| q.min_duration_ms = Some(1_501)), []);
    assert_eq!(found(|q| q.min_duration_ms = Some(u64::MAX)), []);
    assert_eq!(found(|q| q.last_seconds = Some(0)), []);
    assert_eq!(found(|q| q.last_seconds = Some(u64::MAX)), [3, 2, 1]);
    assert_eq!(found(|q| q.tag = Some("order.id=ord-1".into())), [1]);
    assert_eq!(found(|q| q.tag = Some("order.id=ord-2".into())), []);
    assert_eq!(found(|q| q.tag = Some("retry.attempt=2".into())), [3]);
    assert_eq!(found(|q| q.tag = Some("retry.attempt".into())), [3]);
    assert_eq!(found(|q| q.tag = Some("never.seen=2".into())), []);
}

#[test]
fn an_operation_is_the_name_of_any_span_of_the_service_that_is_asked_for() {
    let mut shop = shop();
    let search = |service: Option<&str>, operation: Option<&str>| TraceQuery {
        service: service.map(Into::into),
        operation: operation.map(Into::into),
        ..TraceQuery::default()
    };
    assert_eq!(shop.found(search(None, Some("step"))), [1], "of any service");
    assert_eq!(shop.found(search(Some("orders"), Some("step"))), [1]);
    assert_eq!(shop.found(search(Some("gateway"), Some("step"))), [], "it has no such span");
    assert_eq!(shop.found(search(Some("orders"), Some("POST /api/v1/orders"))), []);
    // What there is to choose from goes with it.
    let offered = |shop: &mut World, service| shop.search(search(service, None)).operations;
    assert_eq!(offered(&mut shop, Some("orders")), ["step"]);
    assert_eq!(
        offered(&mut shop, Some("gateway")),
        ["GET /api/v1/products", "POST /api/v1/orders"]
    );
    assert_eq!(offered(&mut shop, Some("nobody")), [""; 0]);
    // Also when a span comes after somebody asked.
    shop.span(Given { service: "orders", name: "late step", ..Given::new(2, 11, 10) });
    assert_eq!(offered(&mut shop, Some("orders")), ["late step", "step"]);
    assert_eq!(shop.found(search(Some("orders"), Some("late step"))), [2]);
}

#[test]
fn filters_are_combined() {
    let query = TraceQuery {
        service: Some("gateway".into()),
        status: Some(TraceStatus::Ok),
        min_duration_ms: Some(1_000),
        ..TraceQuery::default()
    };
    assert_eq!(shop().found(query), [2]);
}

#[test]
fn a_list_has_at_most_its_rows_and_counts_the_rest() {
    let mut world = World::new();
    for trace in 1..=1_500_u64 {
        world.span(Given::new(u128::from(trace), trace, 0));
    }
    let list = world.search(TraceQuery::default());
    assert_eq!((list.rows.len(), list.matched), (contract::trace::TRACE_ROWS_MAX, 1_500));
    assert_eq!(list.rows[0].start_us, 2_500_000);
    assert_eq!(list.rows[99].start_us, 2_401_000);
}

/// Ids as W3C has them: random in their lower half. A permutation of 64 bits, so none repeats.
fn random(n: u64) -> u128 {
    u128::from(
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9),
    )
}

#[test]
fn marks_are_spread_over_the_whole_range_with_all_that_deviates_and_the_open_one() {
    use contract::trace::TRACE_MARKS_MAX;
    let mut world = World::new();
    // Given ten times as many traces as there is room for, of which some deviate,
    let count = TRACE_MARKS_MAX as u64 * 10;
    for n in 1..=count {
        let plain = Given { start_ms: 1_000 * n, ..Given::new(random(n), n, 0) };
        world.span(match n % 100 {
            50 => Given { error: true, ..plain },
            70 => Given { took_ms: 1_001, ..plain },
            _ => plain,
        });
    }
    // and one that is open, which no sample would take,
    let plain = |n: &u64| !matches!(n % 100, 50 | 70);
    let open = (1..count / 2).filter(plain).max_by_key(|n| random(*n)).unwrap();
    let query =
        TraceQuery { open: Some(format!("{:032x}", random(open))), ..TraceQuery::default() };
    let marks = world.search(query).marks;
    // then every one that deviates has a mark, as has the open one,
    assert_eq!(marks.len(), TRACE_MARKS_MAX);
    let deviates = |mark: &&contract::trace::TraceMark| {
        mark.status == TraceStatus::Error || mark.duration_us > 1_000_000
    };
    assert_eq!(marks.iter().filter(deviates).count() as u64, count / 50);
    assert!(marks.iter().any(|mark| mark.start_us == i64::try_from(open).unwrap() * 1_000_000));
    // the newest are all there, and the others are spread over the whole time,
    assert!(marks.is_sorted_by_key(|mark| mark.start_us));
    let last = &marks[TRACE_MARKS_MAX - contract::trace::TRACE_ROWS_MAX..];
    assert_eq!(last[0].start_us, i64::try_from(count - 99).unwrap() * 1_000_000);
    for tenth in 0..9_i64 {
        let range = tenth * 1_000_000_000..(tenth + 1) * 1_000_000_000;
        let here = marks.iter().filter(|m| range.contains(&m.start_us) && !deviates(m)).count();
        assert!((50..110).contains(&here), "{here} plain marks in tenth {tenth}");
    }
    // and whoever asks again gets the same ones.
    let again = world.search(TraceQuery::default()).marks;
    assert!(again.iter().filter(|mark| !marks.contains(mark)).count() <= 1);
}

#[test]
fn names_beyond_the_table_are_kept_and_found() {
    let mut world = World::new();
    for n in 0..20_000 {
        world.symbols.words.number(&format!("word {n}"));
    }
    world.span(Given { name: "rare", ..Given::new(1, 1, 0) }.with(KeyValue::new("rare.tag", 1)));
    let span = world.trace(1).spans.remove(0);
    assert_eq!((span.name.as_str(), span.attribute("rare.tag")), ("rare", Some("1")));
    let query = TraceQuery {
        operation: Some("rare".into()),
        tag: Some("rare.tag=1".into()),
        ..TraceQuery::default()
    };
    assert_eq!(world.found(query.clone()), [1]);
    let of = |service: &str| TraceQuery { service: Some(service.into()), ..query.clone() };
    assert_eq!((world.found(of("gateway")), world.found(of("orders"))), (vec![1], vec![]));
    let other = TraceQuery { operation: Some("other".into()), ..TraceQuery::default() };
    assert_eq!(world.found(other), []);
}
