//! The reference scenario's traces: that of `ord-7F3K9Q`, one by messages, one of five thousand
//! spans, and a field of traces around them. Spans and log lines are written as tables.

use contract::{
    ApiError, attributes,
    trace::{
        ExportView, Level, LogView, SpanEventView, SpanKind, SpanLinkView, SpanView,
        TRACE_ROWS_MAX, TraceList, TraceMark, TraceQuery, TraceRow, TraceStatus, TraceView,
    },
};

/// 2026-03-01 14:31:52.408 UTC.
pub const ZERO_US: i64 = 1_772_375_512_408_000;
/// The trace of `ord-7F3K9Q`.
pub const TRACE: &str = "7c1e9a4f0b6d42e8a5f3c2d19b8e6047";
/// The trace of `ord-7F3KCC`.
pub const TRACE_CONFIRMED: &str = "5b2f0c9d1e7a48b3964d0f8e2c6a7b15";
/// A trace of five thousand spans.
pub const TRACE_HUGE: &str = "00000000000000000000000000005000";

/// So many milliseconds after the order was placed.
pub fn at(ms: i64) -> i64 {
    ZERO_US + ms * 1_000
}

/// A trace of the scenario.
pub fn trace(trace_id: &str) -> Result<TraceView, ApiError> {
    match trace_id {
        TRACE => Ok(declined_trace()),
        TRACE_CONFIRMED => Ok(confirmed_trace()),
        TRACE_HUGE => Ok(huge_trace()),
        _ => Err(ApiError::NotFound { what: format!("trace {trace_id}") }),
    }
}

/// Row, parent, service, kind, start and duration in ms, HTTP status, name; a ! is a failure.
const DECLINED: &str = "
 0 -  gateway         server      0 2206 402  POST /api/v1/orders
 1 0  users           server      2    7 200  ValidateSession
 2 0  orders          server     11 2190 402  PlaceOrder
 3 2  orders          internal   12    1 -    append OrderPlaced v1
 4 2  bus             producer   14    2 -    publish order.placed
 5 4  recommendations consumer   21   14 -    on order.placed
 6 2  catalog         server     18   11 200  GetPrices
 7 2  inventory       server     31   15 200  Reserve
 8 2  orders          internal   46    1 -    append StockReserved v2
 9 2  orders          client     49 2123 -    payments.Authorize, mesh call
10 9  payments        client     49    3 503! try 1, payments-v2-1
11 9  payments        client     71    3 503! retry 1 of 3, payments-v2-2
12 9  payments        client    123 2048 402  retry 2 of 3, payments-v2-0
13 12 payments        server    125 2040 -    Authorize
14 13 payments        internal  126    3 -    2PC begin
15 13 bank-customer   server    132 2024 -    Prepare, vote no
16 13 bank-merchant   server    132   21 -    Prepare, vote yes
17 13 payments        internal 2157    4 -    2PC log decision: abort
18 13 bank-merchant   client   2162    3 503! Abort
19 2  orders          internal 2174    1 -    append PaymentDeclined v4
20 2  inventory       server   2177   15 200  Release, compensation
21 2  orders          internal 2195    1 -    append OrderCancelled v7
";

/// As above: the same shop, by messages.
const CONFIRMED: &str = "
 0 -  gateway         server      0   16 202  POST /api/v1/orders
 1 0  gateway         client      2   13 202  POST orders
 2 1  orders          server      3   11 202  POST /orders
 3 2  catalog         server      5    3 200  GET /prices
 4 2  orders          internal    9    3 -    db.events.append
 5 2  orders          producer   14    1 -    publish inventory.reserve
 6 5  inventory       consumer   20    9 -    process inventory.reserve
 7 6  inventory       internal   22    4 -    db.reservations.insert
 8 6  inventory       producer   28    1 -    publish inventory.reserved
 9 8  orders          consumer   33    3 -    process inventory.reserved
10 9  orders          producer   35    1 -    publish payments.authorize
11 10 payments        consumer   40   27 -    process payments.authorize
12 11 bank-customer   server     44    6 200  POST /prepare
13 11 bank-merchant   server     44    4 200  POST /prepare
14 11 payments        internal   52    3 -    2PC log decision: commit
15 11 bank-customer   server     56    4 200  POST /commit
16 11 bank-merchant   server     56    5 200  POST /commit
17 11 payments        producer   66    1 -    publish payments.authorized
18 17 orders          consumer   70    4 -    process payments.authorized
19 18 recommendations consumer   80    6 -    process order.confirmed
";

/// Milliseconds, service, level, row of the span, text.
const LINES: &str = "
  13 orders        info   3 order placed, 2 items, €184.50
  46 inventory     info   7 reserved rsv-90B2
  52 orders        warn  10 payments-v2-1 refused, retry 1 of 3
  74 orders        warn  12 payments-v2-2 refused, retry 2 of 3
 153 bank-merchant info  16 tx-51c8 prepared, vote yes
 655 bank-merchant error 16 process killed by F-24
2156 bank-customer warn  15 tx-51c8 vote no, insufficient funds
2163 payments      info  12 tx-51c8 decision abort logged
2167 payments      error 18 abort to bank-merchant refused
2192 inventory     info  20 released rsv-90B2
6120 bank-merchant warn  16 tx-51c8 in doubt, asking coordinator
6240 bank-merchant info  16 tx-51c8 aborted, lock released
";

/// The next word of a line; the rest stays.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    let (word, after) = text.split_once(' ').unwrap_or((text, ""));
    *rest = after;
    word
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn span_id(row: i64) -> String {
    format!("{:016x}", 0xa41f_07c2_0000_0000_u64 + row.unsigned_abs())
}

fn spans(table: &str) -> Vec<SpanView> {
    table.lines().filter(|l| !l.is_empty()).map(span).collect()
}

fn span(line: &str) -> SpanView {
    let mut rest = line;
    let row = number(word(&mut rest));
    let parent_id = word(&mut rest).parse().ok().map(span_id);
    let service = word(&mut rest).to_owned();
    let kind = match word(&mut rest) {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    };
    let start_us = at(number(word(&mut rest)));
    let duration_us = number(word(&mut rest)) * 1_000;
    let status = word(&mut rest);
    let error = status.ends_with('!');
    let http = status.trim_end_matches(['!', '-']);
    let mut attributes = Vec::new();
    if !http.is_empty() {
        attributes.push((attributes::HTTP_STATUS.to_owned(), http.into()));
    }
    if error {
        attributes.push((attributes::MESH_RESPONSE_FLAGS.into(), "UF".into()));
    }
    SpanView {
        span_id: span_id(row),
        parent_id,
        service,
        name: rest.trim().to_owned(),
        kind,
        start_us,
        duration_us,
        error,
        message: error.then(|| "connection refused".into()),
        attributes,
        events: vec![],
        links: vec![],
    }
}

fn logs() -> Vec<LogView> {
    LINES.lines().filter(|l| !l.is_empty()).map(log).collect()
}

fn log(line: &str) -> LogView {
    let mut rest = line;
    let at_us = at(number(word(&mut rest)));
    let service = word(&mut rest).to_owned();
    let level = match word(&mut rest) {
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    };
    let span = number(word(&mut rest));
    LogView {
        at_us,
        service,
        level,
        message: rest.trim().to_owned(),
        span_id: Some(span_id(span)),
        trace_id: Some(TRACE.into()),
        fields: vec![],
    }
}

/// The trace of `ord-7F3K9Q`.
pub fn declined_trace() -> TraceView {
    let mut spans = spans(DECLINED);
    let mut set =
        |i: usize, key: &str, value: &str| spans[i].attributes.push((key.into(), value.into()));
    set(15, attributes::MESH_FAULT_DELAY_MS, "2000");
    set(15, attributes::MESH_FAULT_ID, "F-21");
    for (i, tries) in [(11, "1"), (12, "2")] {
        set(i, attributes::RESEND_COUNT, tries);
    }
    for (key, value) in [
        (attributes::MESH_REVISION, "17"),
        (attributes::SERVER_ADDRESS, "payments"),
        (attributes::MESH_VIRTUAL_SERVICE, "payments"),
        (attributes::MESH_ROUTE, "payments/default"),
        (attributes::MESH_SUBSET, "v2"),
        (attributes::MESH_SUBSET_WEIGHT, "10"),
        (attributes::MESH_INSTANCE, "payments-v2-0"),
        (attributes::MESH_TRIES, "3"),
        (attributes::MESH_TIMEOUT_MS, "6000"),
        (attributes::MESH_PER_TRY_TIMEOUT_MS, "2500"),
        (attributes::MESH_BREAKER_STATE, "closed"),
        (attributes::MESH_BREAKER_TRANSITION, "closed to open"),
    ] {
        set(9, key, value);
    }
    for (i, number, instance) in
        [(10, "1", "payments-v2-1"), (11, "2", "payments-v2-2"), (12, "3", "payments-v2-0")]
    {
        set(i, attributes::MESH_TRY, number);
        if i < 12 {
            set(i, attributes::SERVER_ADDRESS, instance);
            set(i, attributes::MESH_RETRY_REASON, "connect-failure");
        }
    }
    for (key, value) in [
        ("http.request.method", "POST"),
        ("url.path", "/v1/payments/authorize"),
        (attributes::SERVER_ADDRESS, "payments-v2-0"),
        (attributes::ORDER_ID, "ord-7F3K9Q"),
        ("idempotency.key", "7F3K9Q-1"),
        (attributes::MESH_RESPONSE_FLAGS, "-"),
    ] {
        set(12, key, value);
    }
    spans[12].links.push(SpanLinkView { trace_id: TRACE_CONFIRMED.into(), span_id: span_id(3) });
    spans[13].events.push(SpanEventView {
        at_us: at(2_163),
        name: "decision logged".into(),
        attributes: vec![("decision".into(), "abort".into())],
    });
    let row =
        trace_row(TRACE, 0, 2_206_000, TraceStatus::Compensated, Some(402), Some("ord-7F3K9Q"));
    TraceView { row: with_services(row, &spans), spans, dropped: 0, logs: logs() }
}

/// The trace of `ord-7F3KCC`.
pub fn confirmed_trace() -> TraceView {
    let mut spans = spans(CONFIRMED);
    for i in [4, 7] {
        spans[i].attributes.push((attributes::DB_SYSTEM.into(), "sqlite".into()));
    }
    let id = TRACE_CONFIRMED;
    let row = trace_row(id, -9_000_000, 86_000, TraceStatus::Ok, Some(202), Some("ord-7F3KCC"));
    TraceView { row: with_services(row, &spans), spans, dropped: 0, logs: vec![] }
}

fn with_services(mut row: TraceRow, spans: &[SpanView]) -> TraceRow {
    row.spans = spans.len();
    row.services = Vec::new();
    for span in spans {
        if !row.services.contains(&span.service) {
            row.services.push(span.service.clone());
        }
    }
    row
}

/// Five thousand spans, some of them failed, one parent missing.
fn huge_trace() -> TraceView {
    let services = ["gateway", "orders", "inventory", "payments", "bus", "bank-customer"];
    let id = |i: i64| format!("{i:016x}");
    let spans: Vec<SpanView> = (0..5_000_i64)
        .map(|i| SpanView {
            span_id: id(i),
            parent_id: match i {
                0 => None,
                4_000 => Some("ffffffffffffffff".into()),
                _ => Some(id((i - 1) / 3)),
            },
            service: services[usize::try_from(i).unwrap_or(0) % services.len()].into(),
            name: format!("step {i}"),
            kind: SpanKind::Internal,
            start_us: ZERO_US + i * 200,
            duration_us: 900_000 - i * 150,
            error: i % 501 == 500,
            message: None,
            attributes: vec![],
            events: vec![],
            links: vec![],
        })
        .collect();
    let row = trace_row(TRACE_HUGE, 0, 1_200_000, TraceStatus::Error, None, None);
    TraceView { row: with_services(row, &spans), spans, dropped: 120, logs: vec![] }
}

/// A collector that is away since 14:33.
pub fn export() -> ExportView {
    ExportView {
        endpoint: Some("http://127.0.0.1:4317".into()),
        exported: 12_345,
        dropped: 3,
        failing_since_us: Some(at(60_000)),
        last_error: Some("connection refused".into()),
        ..ExportView::default()
    }
}

// --- the field of traces --------------------------------------------------------------------

fn trace_row(
    id: &str,
    offset_us: i64,
    duration_us: i64,
    status: TraceStatus,
    http_status: Option<u16>,
    order: Option<&str>,
) -> TraceRow {
    TraceRow {
        trace_id: id.into(),
        service: "gateway".into(),
        operation: "POST /api/v1/orders".into(),
        start_us: ZERO_US + offset_us,
        duration_us,
        tail_us: 0,
        unfinished: false,
        status,
        http_status,
        failed: 0,
        spans: 22,
        services: ["gateway", "orders", "inventory", "payments", "bank-customer"]
            .map(Into::into)
            .to_vec(),
        order_id: order.map(Into::into),
    }
}

/// 897 traces of five minutes, the same at every start, filtered by the query.
pub fn traces(query: &TraceQuery) -> TraceList {
    let mut rows: Vec<TraceRow> = field();
    rows.push(declined_trace().row);
    rows.push(confirmed_trace().row);
    rows.sort_by_key(|r| -r.start_us);
    let keep = |row: &TraceRow| {
        query.service.as_ref().is_none_or(|s| row.services.contains(s))
            && query.operation.as_ref().is_none_or(|o| row.operation == *o)
            && query.status.is_none_or(|s| row.status == s)
            && query.window.is_none_or(|w| (w.from_us..w.until_us).contains(&row.start_us))
            && query.min_duration_ms.is_none_or(|ms| row.duration_us.unsigned_abs() >= ms * 1_000)
            && query
                .tag
                .as_deref()
                .is_none_or(|t| row.order_id.as_ref().is_some_and(|o| t == format!("order.id={o}")))
    };
    rows.retain(keep);
    let marks = rows.iter().rev().map(|row| TraceMark {
        trace_id: row.trace_id.clone(),
        start_us: row.start_us,
        duration_us: row.duration_us,
        status: row.status,
        hit: false,
    });
    TraceList {
        marks: marks.collect(),
        matched: rows.len(),
        slow: rows.iter().filter(|r| r.duration_us > 1_000_000).count(),
        rows: rows.into_iter().take(TRACE_ROWS_MAX).collect(),
        services: ["gateway", "orders", "inventory", "payments", "bank-customer"]
            .map(Into::into)
            .to_vec(),
        operations: vec!["GET /api/v1/products".into(), "POST /api/v1/orders".into()],
        at_us: at(147_592),
        oldest_us: Some(at(-1_800_000)),
        left_until_us: Some(at(-600_000)),
    }
}

fn field() -> Vec<TraceRow> {
    let mut seed: u64 = 0x5eed;
    let mut random = |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((seed >> 33) % below.unsigned_abs()).unwrap_or(0)
    };
    (0..895_i64)
        .map(|i| {
            let offset = -152_000_000 + i * 335_000;
            let (duration, status, http) = match i {
                i if i % 67 == 30 => (2_000_000 + random(150_000), TraceStatus::Ok, 202),
                460..475 => (60_000 + random(40_000), TraceStatus::Error, 503),
                i if i % 61 == 17 => (180_000 + random(60_000), TraceStatus::Compensated, 402),
                _ => (170_000 + random(70_000) + random(60_000), TraceStatus::Ok, 202),
            };
            let mut row = trace_row(
                &format!("{:032x}", 0x1000 + i),
                offset,
                duration,
                status,
                Some(http),
                None,
            );
            if i % 3 == 0 {
                row.operation = "GET /api/v1/products".into();
                row.services.truncate(2);
            }
            row
        })
        .collect()
}
