//! Tests of what the map shows of the data.

use super::super::layout;
use super::*;

fn edge(from: &str, to: &str, per_second: f64, error_share: f64, p95_ms: f64) -> EdgeView {
    EdgeView {
        from: from.into(),
        to: to.into(),
        kind: EdgeKind::Call,
        per_second,
        error_share,
        p95_ms: Some(p95_ms),
        calls: 100,
        breaker: None,
    }
}

fn map(edges: Vec<EdgeView>) -> MapView {
    MapView { edges, ..MapView::default() }
}

fn key(from: &str, to: &str) -> EdgeKey {
    EdgeKey { from: from.into(), to: to.into(), kind: EdgeKind::Call }
}

#[test]
fn health_is_the_worse_of_failures_and_slowness() {
    assert_eq!(health(&edge("a", "b", 1.0, 0.009, 20.0)), Health::Ok);
    assert_eq!(health(&edge("a", "b", 1.0, 0.01, 20.0)), Health::Warn);
    assert_eq!(health(&edge("a", "b", 1.0, 0.0, 501.0)), Health::Warn);
    assert_eq!(health(&edge("a", "b", 1.0, 0.051, 20.0)), Health::Error);
    assert_eq!(health(&edge("a", "b", 1.0, 0.02, 2_180.0)), Health::Error);
    assert_eq!(health(&EdgeView { calls: 0, ..edge("a", "b", 0.0, 0.0, 0.0) }), Health::Idle);
    let open = Some(BreakerView::Open { half_open_at_us: 0 });
    assert_eq!(health(&EdgeView { breaker: open, ..edge("a", "b", 1.0, 0.0, 2.0) }), Health::Open);
}

#[test]
fn an_edge_grows_with_the_root_of_its_rate() {
    assert!((edge_width(0.0) - 1.3).abs() < 1e-9);
    assert!((edge_width(100.0) - 5.5).abs() < 1e-9);
}

#[test]
fn only_the_part_of_a_label_that_crosses_a_limit_is_coloured() {
    let face = edge_face(
        &map(vec![edge("orders", "payments", 0.3, 0.063, 20.0)]),
        &key("orders", "payments"),
        0,
    );
    let parts: Vec<_> = face.rest.iter().map(|part| (part.text.as_str(), part.health)).collect();
    assert_eq!(face.head.text, "0.3/s");
    assert_eq!(parts, [("6.3%", Health::Error), ("20 ms", Health::Ok)]);
    assert_eq!(face.name, "orders to payments, 0.3/s, 6.3% failed, p95 20 ms");
}

#[test]
fn an_open_breaker_counts_down_and_says_so_in_the_name() {
    let open = Some(BreakerView::Open { half_open_at_us: 6_500_000 });
    let open = EdgeView { breaker: open, ..edge("gateway", "recommendations", 9.8, 1.0, 1.0) };
    let face = edge_face(&map(vec![open]), &key("gateway", "recommendations"), 0);
    assert_eq!((face.health, face.head.text.as_str()), (Health::Open, "Open, half-open in 6 s"));
    assert!(face.name.starts_with("gateway to recommendations, breaker open, 9.8/s"));
}

#[test]
fn an_edge_without_calls_is_idle_and_has_no_label() {
    let face = edge_face(&map(Vec::new()), &key("gateway", "users"), 0);
    assert_eq!((face.health, face.head.text.as_str(), face.rest.len()), (Health::Idle, "", 0));
}

#[test]
fn events_of_a_service_are_summed_over_its_consumers() {
    let message = |from: &str, to: &str, rate| EdgeView {
        kind: EdgeKind::Message,
        ..edge(from, to, rate, 0.0, 6.0)
    };
    let map = map(vec![
        message("orders", "inventory", 3.0),
        message("orders", "payments", 2.0),
        message("inventory", "orders", 3.0),
    ]);
    assert_eq!(events_of(&map, "orders"), (5.0, 3.0));
    let key = EdgeKey { kind: EdgeKind::Message, ..key("orders", "bus") };
    assert_eq!(edge_face(&map, &key, 0).head.text, "5.0 events/s");
}

#[test]
fn a_service_nobody_planned_for_is_placed_and_joined_instead_of_lost() {
    let layout = layout::wide();
    let map = map(vec![edge("cron", "gateway", 1.0, 0.0, 5.0)]);
    let shapes = nodes(&layout, &map);
    assert_eq!(shapes.last().map(|node| node.name.as_str()), Some("cron"));
    assert!(edges(&layout, &map).iter().any(|edge| edge.from == "cron" && edge.to == "gateway"));
}

#[test]
fn an_optional_edge_is_drawn_only_when_it_carries_something() {
    let layout = layout::wide();
    let has = |map: &MapView| {
        edges(&layout, map).iter().any(|e| e.from == "orders" && e.to == "inventory")
    };
    assert!(!has(&map(Vec::new())));
    assert!(has(&map(vec![edge("orders", "inventory", 1.0, 0.0, 5.0)])));
}

#[test]
fn an_answer_against_a_planned_edge_does_not_draw_a_second_line() {
    let layout = layout::wide();
    let back =
        EdgeView { kind: EdgeKind::Commit, ..edge("bank-customer", "payments", 1.0, 0.0, 5.0) };
    assert_eq!(edges(&layout, &map(vec![back])).len(), edges(&layout, &map(Vec::new())).len());
}

#[test]
fn a_node_says_what_is_missing() {
    let node = NodeView {
        service: "recommendations".into(),
        ready: 1,
        instances: 2,
        spark: Vec::new(),
        note: None,
    };
    let map = MapView { nodes: vec![node], ..MapView::default() };
    let load = LoadView::steady(0.0);
    let face = node_face(&map, load, "recommendations");
    assert!(face.down());
    assert_eq!(
        (face.count.as_str(), face.name.as_str()),
        ("1/2 up", "recommendations, 1 of 2 instances up")
    );
    assert_eq!(node_face(&map, load, "load").note, "Load off");
    assert_eq!(summary(&map), Summary { ready: 1, instances: 2, ..Summary::default() });
}

#[test]
fn a_breaker_that_several_edges_show_is_counted_once() {
    let open = Some(BreakerView::Open { half_open_at_us: 0 });
    let shown = |from: &str, kind| EdgeView {
        kind,
        breaker: open,
        ..edge(from, "payments", 1.0, 1.0, 1.0)
    };
    let map = map(vec![
        shown("orders", EdgeKind::Message),
        shown("inventory", EdgeKind::Message),
        shown("gateway", EdgeKind::Call),
        shown("gateway", EdgeKind::Commit),
    ]);
    assert_eq!(summary(&map).open, 2);
}
