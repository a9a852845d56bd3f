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
        subsets: Vec::new(),
        fallback: None,
    }
}

fn map(edges: Vec<EdgeView>) -> MapView {
    MapView { edges, ..MapView::default() }
}

fn key(from: &str, to: &str) -> EdgeKey {
    EdgeKey { from: from.into(), to: to.into(), kind: EdgeKind::Call, subset: None }
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
        0,
    );
    let parts: Vec<_> = face.rest.iter().map(|part| (part.text.as_str(), part.health)).collect();
    assert_eq!(face.head.text, "0.3/s");
    assert_eq!(parts, [("6.3%", Health::Error), ("20 ms", Health::Ok)]);
    assert_eq!(face.name, "orders to payments, 0.3/s, 6.3% failed, p95 20 ms");
}

#[test]
fn an_open_breaker_counts_down_and_says_so_in_the_name() {
    // Rounded up, as on its card.
    let open = Some(BreakerView::Open { half_open_at_us: 6_500_000 });
    let open = EdgeView { breaker: open, ..edge("gateway", "recommendations", 9.8, 1.0, 1.0) };
    let face = edge_face(&map(vec![open]), &key("gateway", "recommendations"), 0, 0);
    assert_eq!((face.health, face.head.text.as_str()), (Health::Open, "Open, 7 s"));
    let brief = face.brief.map(|part| (part.text, part.health));
    assert_eq!(brief, Some(("Open, 7 s".to_owned(), Health::Open)), "alone, on a phone");
    let name = "gateway to recommendations, breaker open, half-open in 7 s, 9.8/s";
    assert!(face.name.starts_with(name), "{}", face.name);
}

#[test]
fn an_edge_without_calls_is_idle_and_has_no_label() {
    let face = edge_face(&map(Vec::new()), &key("gateway", "users"), 0, 0);
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
    assert_eq!(edge_face(&map, &key, 0, 0).head.text, "5.0 events/s");
}

#[test]
fn a_service_nobody_planned_for_is_placed_and_joined_instead_of_lost() {
    let layout = layout::wide();
    let map = map(vec![edge("cron", "gateway", 1.0, 0.0, 5.0)]);
    let shapes = nodes(&layout, &map);
    assert_eq!(shapes.last().map(|node| node.name.as_str()), Some("cron"));
    let drawn = edges(&layout, &map, &[]);
    assert!(drawn.iter().any(|edge| edge.from == "cron" && edge.to == "gateway"));
}

#[test]
fn an_optional_edge_is_drawn_only_when_it_carries_something() {
    let layout = layout::wide();
    let has = |map: &MapView| {
        edges(&layout, map, &[]).iter().any(|e| e.from == "orders" && e.to == "inventory")
    };
    assert!(!has(&map(Vec::new())));
    assert!(has(&map(vec![edge("orders", "inventory", 1.0, 0.0, 5.0)])));
}

#[test]
fn an_answer_against_a_planned_edge_does_not_draw_a_second_line() {
    let layout = layout::wide();
    let back =
        EdgeView { kind: EdgeKind::Commit, ..edge("bank-customer", "payments", 1.0, 0.0, 5.0) };
    let count = |map: &MapView| edges(&layout, map, &[]).len();
    assert_eq!(count(&map(vec![back])), count(&map(Vec::new())));
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
    let face = node_face(&map, &MeshView::default(), load, "recommendations", 0);
    assert!(face.down());
    assert_eq!(
        (face.count.as_str(), face.name.as_str()),
        ("1/2 up", "recommendations, 1 of 2 instances up (1 down)")
    );
    assert_eq!(node_face(&map, &MeshView::default(), load, "load", 0).note, "Load off");
    assert_eq!(summary(&map, &[]), Summary { ready: 1, instances: 2, ..Summary::default() });
}

#[test]
fn a_refill_of_the_load_is_drawn_only_while_it_fails_or_somebody_asks_for_it() {
    let layout = layout::wide();
    let refill = |share| map(vec![edge("load", "inventory", 0.5, share, 5.0)]);
    let drawn = |map: &MapView, asked: &[(String, String)]| {
        edges(&layout, map, asked).iter().any(|e| e.from == "load" && e.to == "inventory")
    };
    assert!(!drawn(&refill(0.0), &[]), "neither as planned nor as a plain line");
    assert!(drawn(&refill(0.2), &[]));
    assert!(drawn(&refill(0.0), &[("load".into(), "inventory".into())]));
    let load = LoadView::steady(2.0);
    let face = node_face(&refill(0.0), &MeshView::default(), load, "load", 0);
    assert_eq!(face.name, "load, 2 req/s, refills inventory 0.5/s");
}

#[test]
fn what_fell_silent_says_since_when_unless_the_whole_shop_is_silent() {
    let silent = |from: &str, to: &str, second: i64| contract::live::SilentEdge {
        from: from.into(),
        to: to.into(),
        kind: EdgeKind::Call,
        since_us: second * 1_000_000,
    };
    let quiet = vec![silent("gateway", "users", 61), silent("orders", "users", 65)];
    let busy =
        MapView { silent: quiet.clone(), ..map(vec![edge("gateway", "catalog", 1.0, 0.0, 5.0)]) };
    let face = edge_face(&busy, &key("gateway", "users"), 0, 60);
    assert_eq!(
        (face.health, face.head.text.as_str(), face.rest[0].text.as_str()),
        (Health::Idle, "no calls", "since 01:01:01")
    );
    assert_eq!(face.name, "gateway to users, no calls since 01:01:01");
    let node = |map: &MapView, name: &str| {
        node_face(map, &MeshView::default(), LoadView::steady(2.0), name, 0).silent
    };
    assert_eq!(node(&busy, "users").as_deref(), Some("no data since 00:01:05"));
    assert_eq!(node(&busy, "catalog"), None);
    let off = MapView { silent: quiet, ..MapView::default() };
    assert_eq!(node(&off, "users"), None);
    assert!(edge_face(&off, &key("gateway", "users"), 0, 0).rest.is_empty());
}

#[test]
fn an_open_breaker_with_a_fallback_says_what_is_served_instead() {
    let open = EdgeView {
        breaker: Some(BreakerView::Open { half_open_at_us: 6_000_000 }),
        fallback: Some("product pages without them".into()),
        ..edge("gateway", "recommendations", 9.8, 1.0, 1.0)
    };
    let face = edge_face(&map(vec![open]), &key("gateway", "recommendations"), 0, 0);
    assert_eq!(face.rest[0].text, "9.8/s fallback");
    assert!(face.name.contains("served from fallback: product pages without them"));
}

#[test]
fn a_line_to_one_version_has_the_numbers_and_the_breaker_of_that_version() {
    let part = |subset: &str, per_second, breaker| SubsetEdge {
        subset: subset.into(),
        per_second,
        error_share: 0.0,
        p95_ms: Some(20.0),
        calls: 60,
        breaker,
    };
    let forced = Some(BreakerView::ForcedOpen { until_us: 30_000_000 });
    let whole = EdgeView {
        breaker: forced,
        subsets: vec![
            part("v1", 2.7, Some(BreakerView::Closed { failures: 0 })),
            part("v2", 0.3, forced),
        ],
        ..edge("gateway", "payments", 3.0, 0.0, 20.0)
    };
    let map = map(vec![whole]);
    let of = |subset: &str| {
        let key = EdgeKey { subset: Some(subset.into()), ..key("gateway", "payments") };
        edge_face(&map, &key, 0, 0)
    };
    assert_eq!((of("v1").health, of("v1").head.text.as_str()), (Health::Ok, "2.7/s"));
    assert_eq!((of("v2").health, of("v2").head.text.as_str()), (Health::Open, "Forced, 30 s"));
    assert!(of("v2").name.starts_with("gateway to payments v2, breaker open"));
    assert_eq!(of("v3").health, Health::Idle);
}

#[test]
fn the_line_of_events_shows_the_breaker_of_the_bus_and_the_lag() {
    let open = Some(BreakerView::Open { half_open_at_us: 6_000_000 });
    let edge = EdgeView {
        kind: EdgeKind::Message,
        breaker: open,
        ..edge("bus", "payments", 3.0, 0.0, 20.0)
    };
    let deliveries = vec![contract::live::DeliveryView { edge, lag_p95_ms: Some(6.0) }];
    let map = MapView { deliveries, ..MapView::default() };
    let key = EdgeKey { kind: EdgeKind::Message, ..key("payments", "bus") };
    let face = edge_face(&map, &key, 0, 0);
    assert_eq!((face.health, face.breaker), (Health::Open, Some(BreakerMark::Open)));
    assert_eq!(face.head.text, "Open, half-open in 6 s");
    assert!(face.rest.iter().any(|part| part.text == "lag 6 ms"));
}

#[test]
fn deliveries_that_fail_colour_the_line_of_events_and_are_told_before_the_lag() {
    let edge = EdgeView { kind: EdgeKind::Message, ..edge("bus", "payments", 3.0, 0.323, 20.0) };
    let sent =
        EdgeView { kind: EdgeKind::Message, ..self::edge("orders", "payments", 3.0, 0.0, 6.0) };
    let deliveries = vec![contract::live::DeliveryView { edge, lag_p95_ms: Some(6.0) }];
    let map = MapView { deliveries, ..map(vec![sent]) };
    let key = EdgeKey { kind: EdgeKind::Message, ..key("payments", "bus") };
    let face = edge_face(&map, &key, 0, 0);
    assert_eq!(face.health, Health::Error);
    let texts: Vec<_> = face.rest.iter().map(|part| (part.text.as_str(), part.health)).collect();
    assert_eq!(texts, [("32.3% failed", Health::Error)]);
    assert!(face.name.contains("32.3% failed"), "{}", face.name);
}

#[test]
fn the_mtls_layer_says_whose_identity_a_call_carries_and_what_its_callee_asks() {
    let identity = |name: &str, mode: &str| contract::traffic::IdentityView {
        service: name.into(),
        principal: format!("spiffe://cluster.local/ns/default/sa/{name}"),
        mode: mode.into(),
    };
    let users = identity("users", "DISABLE");
    let identities = vec![identity("gateway", "PERMISSIVE"), identity("payments", "STRICT"), users];
    let mesh = MeshView { identities, ..MeshView::default() };
    let asked = |caller, callee| asked_of_callers(&mesh, caller, callee);
    let said = |carried: &str, mode: &str| Some([carried.to_owned(), mode.to_owned()]);
    assert_eq!(asked("gateway", "payments"), said("sa/gateway", "STRICT"));
    assert_eq!(asked("browser", "gateway"), said("no identity", "PERMISSIVE"));
    assert_eq!(asked("gateway", "users"), said("no identity", "DISABLE"), "it is not asked for");
    assert_eq!(asked("payments", "bus"), None);
    assert_eq!(shared_domain(&mesh.identities), "spiffe://cluster.local/ns/default/");
    let mut other = mesh.identities.clone();
    other[1].principal = "spiffe://elsewhere/ns/default/sa/payments".into();
    assert_eq!(shared_domain(&other), "");
}

#[test]
fn a_service_that_is_known_by_its_endpoints_only_says_how_many_are_up() {
    let line = |n: u32, state| contract::resilience::EndpointLine {
        instance: format!("stripe-{n}"),
        service: "stripe".into(),
        subset: None,
        state,
        ejected_until_us: None,
    };
    let down = contract::resilience::EndpointState::Down { back_us: None };
    let ready = contract::resilience::EndpointState::Ready;
    let endpoints = vec![line(0, ready), line(1, down)];
    let mesh = MeshView { endpoints, ..MeshView::default() };
    let face = node_face(&MapView::default(), &mesh, LoadView::steady(1.0), "stripe", 0);
    assert_eq!((face.instances, face.count.as_str()), (Some((1, 2)), "1/2 up"));
}

#[test]
fn a_colour_says_its_rule_and_what_it_was_given() {
    let said = |health, share, p95| rule(health, share, p95).unwrap_or_default();
    assert_eq!(said(Health::Ok, 0.001, 20.0), "");
    assert_eq!(said(Health::Error, 0.063, 2_180.0), "error: 6.3% failed, over 5%");
    assert_eq!(said(Health::Error, 0.02, 2_180.0), "error: p95 2.18 s, over 1 s");
    assert_eq!(said(Health::Warn, 0.02, 20.0), "warning: 2% failed, from 1 to 5%");
    assert_eq!(said(Health::Warn, 0.0, 620.0), "warning: p95 620 ms, over 500 ms");
    assert_eq!(said(Health::Open, 1.0, 1.0), "open: its breaker refuses calls");
}
