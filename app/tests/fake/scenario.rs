//! The reference scenario of the design as a live snapshot.

use contract::{
    Durations, Money,
    live::{
        BreakerView, ChangeView, DeliveryView, EdgeKind, EdgeView, Exemplar, LiveSnapshot, MapView,
        NodeView, OrderTally, RedPoint, SubsetEdge,
    },
    order::{OrderRow, OrderStatus, Origin, StepMark},
    service as s,
    shop::LoadView,
};

/// 14:34:20 on 1 March 2026, UTC.
pub const NOW_US: i64 = 1_772_375_660_000_000;
const SECOND: i64 = 1_000_000;

fn edge(ends: (&str, &str), kind: EdgeKind, rate: f64, errors: f64, p95: f64) -> EdgeView {
    EdgeView {
        from: ends.0.into(),
        to: ends.1.into(),
        kind,
        per_second: rate,
        error_share: errors,
        p95_ms: Some(p95),
        calls: (rate * 60.0) as u64,
        breaker: None,
        subsets: Vec::new(),
        fallback: None,
    }
}

fn call(from: &str, to: &str, rate: f64, errors: f64, p95: f64) -> EdgeView {
    let breaker =
        (from != s::BROWSER && from != s::LOAD).then_some(BreakerView::Closed { failures: 0 });
    EdgeView { breaker, ..edge((from, to), EdgeKind::Call, rate, errors, p95) }
}

fn subset(
    name: &str,
    rate: f64,
    errors: f64,
    p95: f64,
    breaker: Option<BreakerView>,
) -> SubsetEdge {
    SubsetEdge {
        subset: name.into(),
        per_second: rate,
        error_share: errors,
        p95_ms: Some(p95),
        calls: (rate * 60.0) as u64,
        breaker,
    }
}

fn node(service: &str, ready: u32, instances: u32, note: Option<&str>) -> NodeView {
    let wave = |i: u32| 40.0 + 3.0 * ((i * 7 % 11) as f32 - 5.0) / 5.0;
    NodeView {
        service: service.into(),
        ready,
        instances,
        spark: (0..60).map(wave).collect(),
        note: note.map(str::to_owned),
    }
}

fn map() -> MapView {
    let message = |from: &str, to: &str, rate| edge((from, to), EdgeKind::Message, rate, 0.0, 6.0);
    let commit = |to: &str, p95| edge((s::PAYMENTS, to), EdgeKind::Commit, 6.0, 0.0, p95);
    let open = Some(BreakerView::Open { half_open_at_us: NOW_US + 6 * SECOND });
    let (half, closed) = (Some(BreakerView::HalfOpen), Some(BreakerView::Closed { failures: 0 }));
    MapView {
        window_seconds: 60,
        nodes: vec![
            NodeView { instances: 0, ready: 0, ..node(s::BROWSER, 0, 0, Some("1 session")) },
            node(s::LOAD, 0, 0, None),
            node(s::GATEWAY, 2, 2, None),
            node(s::CATALOG, 3, 3, None),
            node(s::USERS, 2, 2, None),
            node(s::ORDERS, 3, 3, None),
            node(s::INVENTORY, 2, 2, None),
            node(s::PAYMENTS, 7, 7, Some("2PC, 0 in doubt")),
            node(s::RECOMMENDATIONS, 1, 2, None),
            node(s::BANK_CUSTOMER, 1, 1, Some("0 held")),
            node(s::BANK_MERCHANT, 1, 1, Some("0 held")),
        ],
        edges: vec![
            call(s::BROWSER, s::GATEWAY, 0.3, 0.0, 41.0),
            call(s::LOAD, s::GATEWAY, 60.0, 0.000_8, 48.0),
            call(s::GATEWAY, s::CATALOG, 31.4, 0.0, 11.0),
            call(s::GATEWAY, s::USERS, 14.2, 0.0, 8.0),
            call(s::GATEWAY, s::ORDERS, 6.4, 0.008, 262.0),
            EdgeView {
                breaker: half,
                subsets: vec![
                    subset("v1", 2.7, 0.0, 198.0, closed),
                    subset("v2", 0.3, 0.063, 2_180.0, half),
                ],
                ..call(s::GATEWAY, s::PAYMENTS, 3.0, 0.006, 262.0)
            },
            EdgeView {
                breaker: open,
                fallback: Some("popular items".into()),
                ..call(s::GATEWAY, s::RECOMMENDATIONS, 9.8, 1.0, 1.0)
            },
            call(s::ORDERS, s::CATALOG, 3.2, 0.0, 7.0),
            call(s::ORDERS, s::USERS, 3.2, 0.0, 6.0),
            commit(s::BANK_CUSTOMER, 21.0),
            commit(s::BANK_MERCHANT, 19.0),
            message(s::ORDERS, s::INVENTORY, 5.2),
            message(s::ORDERS, s::PAYMENTS, 4.0),
            message(s::INVENTORY, s::ORDERS, 3.2),
            message(s::PAYMENTS, s::ORDERS, 3.0),
            message(s::ORDERS, s::RECOMMENDATIONS, 3.0),
        ],
        silent: Vec::new(),
        deliveries: vec![DeliveryView {
            edge: message(s::BUS, s::RECOMMENDATIONS, 12.4),
            lag_p95_ms: Some(6.0),
        }],
        bus_per_second: 12.4,
        bus_lag_p95_ms: Some(6.0),
        bus_dead_letters: 0,
    }
}

fn row(
    id: &str,
    minor: i64,
    phase: &str,
    steps: [StepMark; 3],
    age_us: i64,
    took: Option<i64>,
) -> OrderRow {
    let status = match (took, steps[2]) {
        (None, _) => OrderStatus::Processing,
        (Some(_), StepMark::Done) => OrderStatus::Confirmed,
        (Some(_), _) => OrderStatus::Cancelled,
    };
    OrderRow {
        order_id: format!("ord-{id}"),
        user_id: "c-1042".into(),
        total: Money::eur(minor),
        status,
        phase: phase.into(),
        steps,
        placed_at_us: NOW_US - age_us,
        took_us: took,
        origin: Origin::Load,
        version: 7,
    }
}

fn orders() -> Vec<OrderRow> {
    use StepMark::{Done, Failed, NotReached, Running, Undone};
    let declined = [Undone, Failed, NotReached];
    let confirmed = [Done; 3];
    let mut rows = vec![
        row("7F4C2M", 4_290, "Reserving stock", [Running, NotReached, NotReached], 20_000, None),
        row("7F4C2K", 12_900, "Paying", [Done, Running, NotReached], 110_000, None),
        row("7F4C2H", 1_850, "Confirmed", confirmed, 500_000, Some(200_000)),
        row("7F4C2G", 6_375, "Paying", [Done, Running, NotReached], 1_400_000, None),
    ];
    let more = [
        ("7F4C2D", 24_000, true, 230_000),
        ("7F4C29", 8_720, true, 190_000),
        ("7F4C26", 31_000, false, 240_000),
        ("7F4C24", 2_200, true, 210_000),
        ("7F4C21", 5_440, true, 180_000),
        ("7F4C1Y", 12_900, true, 210_000),
        ("7F4C1V", 3_680, false, 50_000),
        ("7F4C1T", 7_410, true, 220_000),
    ];
    for (i, (id, minor, good, took)) in (2..).zip(more) {
        let (phase, steps) =
            if good { ("Confirmed", confirmed) } else { ("Payment declined", declined) };
        rows.push(row(id, minor, phase, steps, i * SECOND, Some(took)));
    }
    let mine = row("7F3K9Q", 18_450, "Payment declined", declined, 148 * SECOND, Some(2_196_000));
    rows.push(OrderRow { origin: Origin::Browser, ..mine });
    rows
}

/// Sixty requests: half of them 14 ms or less, a few around 48 ms, one slow.
fn durations(wobble: f64, crash: bool) -> Durations {
    let us = |ms: f64| (ms * 1_000.0) as u64;
    let fast = (0..56).map(|_| us(14.0 + wobble));
    let slower = (0..3).map(|_| us(48.0 + 3.0 * wobble));
    fast.chain(slower).chain([us(if crash { 120.0 } else { 262.0 + 30.0 * wobble })]).collect()
}

/// The point of one second, `age` seconds before now.
pub fn point(age: i64) -> RedPoint {
    let wobble = ((age * 7919) % 13) as f64 / 6.5 - 1.0;
    let crash = (144..=152).contains(&age);
    RedPoint {
        at_us: NOW_US - age * SECOND,
        per_second: 60.3 + 1.6 * wobble,
        error_share: if crash {
            0.051
        } else if age % 97 == 0 {
            0.004
        } else {
            0.0
        },
        durations: durations(wobble, crash),
        slowest: crash
            .then(|| Exemplar { trace_id: "7c1e9a4f0b6d42e8a5f3c2d19b8e6047".into(), ms: 2_210.0 }),
    }
}

fn changes() -> Vec<ChangeView> {
    let change = |age, subject: &str, text: &str, status: &str| ChangeView {
        at_us: NOW_US - age * SECOND,
        subject: subject.into(),
        text: text.into(),
        status: status.into(),
        href: None,
        opened: 0,
    };
    vec![
        change(3, "→ payments", "half-open, 1 of 3 passed", "half"),
        change(14, "→ recommendations", "opened, 11 of 20 failed", "open"),
        change(15, "recommendations-1", "ejected for 30 s", "open"),
        change(18, "F-25", "killed recommendations-1", "warn"),
        change(142, "bank-merchant", "recovered, tx aborted", "neutral"),
    ]
}

/// The moment every picture shows.
pub fn snapshot() -> LiveSnapshot {
    LiveSnapshot {
        seq: 41,
        at_us: NOW_US,
        run_id: "run-1".into(),
        started_us: NOW_US - 3_600 * SECOND,
        map: map(),
        orders: orders(),
        tally: OrderTally {
            window_seconds: 300,
            placed: 900,
            confirmed: 858,
            cancelled: 39,
            running: 3,
        },
        red: (0..900).rev().map(point).collect(),
        load: LoadView::steady(60.0),
        changes: changes(),
        faults: super::mesh::faults(),
        breakers: super::mesh::page().breakers.into_iter().map(|card| card.line).collect(),
        mesh: super::mesh::mesh(),
        build: "v1".into(),
    }
}

/// A shop nobody has used yet.
pub fn empty() -> LiveSnapshot {
    let quiet = |node: NodeView| NodeView { spark: Vec::new(), ready: node.instances, ..node };
    let MapView { nodes, .. } = map();
    LiveSnapshot {
        map: MapView {
            window_seconds: 1,
            nodes: nodes.into_iter().map(quiet).collect(),
            ..MapView::default()
        },
        orders: Vec::new(),
        tally: OrderTally { window_seconds: 300, ..OrderTally::default() },
        red: Vec::new(),
        load: LoadView::steady(0.0),
        changes: Vec::new(),
        faults: contract::resilience::FaultsView::default(),
        breakers: Vec::new(),
        mesh: contract::traffic::MeshView::default(),
        ..snapshot()
    }
}
