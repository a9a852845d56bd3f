//! Tests that everything on the map has room: no label is covered and no two touch, with versions
//! of every service that has some, faults on every edge, breakers on all, and in every layer.

use super::super::{
    badges_model,
    layout::{self, Anchor, EdgeShape, Layout, NodeKind, Point, Rect},
    scene, versions,
};
use contract::{
    live::{EdgeKind, EdgeView, MapView, SubsetEdge},
    resilience::{FaultKind, FaultView, FaultsView},
    traffic::{HostMesh, LaneView, MeshView},
};

/// Widest label of a call: "100% · 2.00 s", "Forced, 120 s", "since 14:33:50".
const CALL: f64 = 84.0;
/// Widest label of events: "Open, half-open in 60 s".
const EVENTS: f64 = 150.0;
/// From the top of the first line to its baseline, and from there to the bottom of the second.
const ABOVE: f64 = 10.0;
const BELOW: f64 = 17.0;
/// Radius of a breaker.
const BREAKER: f64 = 10.5;
/// Where what changed, or the identities, stand over the map at its full size.
const CORNER: Rect = Rect { x: 888.0, y: 340.0, w: 211.0, h: 228.0 };
/// Widest label of a phone: "Open, 60 s".
const SHORT: f64 = 64.0;

fn apart(a: Rect, b: Rect) -> bool {
    a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
}

fn around(middle: Point, w: f64, h: f64) -> Rect {
    Rect { x: middle.x - w / 2.0, y: middle.y - h / 2.0, w, h }
}

fn label(edge: &EdgeShape) -> Rect {
    let w = if edge.kind == EdgeKind::Message { EVENTS } else { CALL };
    let x = match edge.anchor {
        Anchor::Start => edge.label.x,
        Anchor::Middle => edge.label.x - w / 2.0,
        Anchor::End => edge.label.x - w,
    };
    Rect { x, y: edge.label.y - ABOVE, w, h: ABOVE + BELOW }
}

fn mesh() -> MeshView {
    let lane = |subset: &str| LaneView {
        subset: subset.into(),
        configured: 0.5,
        observed: Some(0.5),
        per_second: 1.0,
        calls: 60,
        error_share: 0.0,
        p95_ms: None,
        ready: 1,
        instances: 1,
        spark: Vec::new(),
    };
    let groups = layout::wide().nodes;
    let groups = groups.iter().filter(|node| matches!(node.kind, NodeKind::Group(_)));
    let host = |name: &str| HostMesh {
        service: name.into(),
        lanes: vec![lane("v1"), lane("v2")],
        ..HostMesh::default()
    };
    MeshView { hosts: groups.map(|node| host(&node.name)).collect(), ..MeshView::default() }
}

/// Calls over every edge that is always there.
fn busy(layout: &Layout, mesh: &MeshView) -> MapView {
    let part = |subset: &str| SubsetEdge {
        subset: subset.into(),
        per_second: 1.0,
        error_share: 0.0,
        p95_ms: None,
        calls: 60,
        breaker: None,
    };
    let split = |name: &str| mesh.hosts.iter().any(|host| host.service == name);
    let calls = layout.edges.iter().filter(|edge| edge.always && edge.kind != EdgeKind::Message);
    let edge = |shape: &EdgeShape| EdgeView {
        from: shape.from.clone(),
        to: shape.to.clone(),
        kind: shape.kind,
        per_second: 2.0,
        error_share: 0.0,
        p95_ms: None,
        calls: 120,
        breaker: None,
        subsets: if split(&shape.to) { vec![part("v1"), part("v2")] } else { Vec::new() },
        fallback: None,
    };
    MapView { edges: calls.map(edge).collect(), ..MapView::default() }
}

fn fault_on(edge: &EdgeShape) -> FaultsView {
    let fault = FaultView {
        id: "F-21".into(),
        kind: FaultKind::Delay,
        what: String::new(),
        from: Some(edge.from.clone()),
        to: edge.to.clone(),
        place: String::new(),
        since_us: 0,
        until_us: None,
        then: String::new(),
        ended_us: None,
        matched: 0,
        injected: 0,
        spared: 0,
        unit: "calls".into(),
        trace_id: None,
        stands_for: String::new(),
        object: None,
        by: "page".into(),
        again: None,
    };
    FaultsView { active: vec![fault], ..FaultsView::default() }
}

#[test]
fn every_short_label_breaker_and_badge_of_a_phones_map_has_room_for_itself() {
    let (layout, mesh) = (layout::phone(), mesh());
    let map = busy(&layout, &mesh);
    for versions in [MeshView::default(), mesh] {
        let whole = scene::edges(&layout, &map, &[]);
        let shapes = versions::split(whole, &layout.nodes, &map, &versions);
        let mut things: Vec<(String, Rect)> = Vec::new();
        for edge in &shapes {
            let name = format!("{} to {} {}", edge.from, edge.to, edge.nth);
            let Rect { y, .. } = label(edge);
            let x = match edge.anchor {
                Anchor::Start => edge.label.x,
                Anchor::Middle => edge.label.x - SHORT / 2.0,
                Anchor::End => edge.label.x - SHORT,
            };
            let short = Rect { x, y, w: SHORT, h: ABOVE + 3.0 };
            things.push((format!("label of {name}"), short));
            let sits = edge.curve.point(edge.breaker);
            things.push((format!("breaker of {name}"), around(sits, 1.9 * BREAKER, 1.9 * BREAKER)));
            if edge.kind != EdgeKind::Message && edge.nth == 0 {
                let badges =
                    badges_model::badges(&[], &shapes, &fault_on(edge), &MeshView::default(), true);
                things.push((format!("fault on {name}"), badges[0].rect));
            }
        }
        let boxes: Vec<_> =
            layout.nodes.iter().map(|node| (format!("box of {}", node.name), node.rect)).collect();
        for (i, (one, a)) in things.iter().enumerate() {
            for (other, b) in things.iter().skip(i + 1).chain(&boxes) {
                assert!(apart(*a, *b), "{one} {a:?} and {other} {b:?}");
            }
            assert!(a.x >= 0.0 && a.x + a.w <= layout.width, "{one} {a:?}");
        }
    }
}

#[test]
fn a_phone_draws_the_bus_and_what_every_service_sends_over_it() {
    let (wide, phone) = (layout::wide(), layout::phone());
    for edge in &wide.edges {
        let drawn = phone.edge(&edge.from, &edge.to, edge.kind).is_some();
        // Between orders and others, and of refills, the table tells.
        let left_out = edge.from == "orders" || edge.folded;
        assert!(drawn || left_out && edge.kind == EdgeKind::Call, "{} to {}", edge.from, edge.to);
    }
    assert!(phone.node("bus").is_some());
}

#[test]
fn every_label_breaker_and_badge_of_the_map_has_room_for_itself() {
    let (layout, mesh) = (layout::wide(), mesh());
    for versions in [MeshView::default(), mesh] {
        let map = busy(&layout, &versions);
        let shapes =
            versions::split(scene::edges(&layout, &map, &[]), &layout.nodes, &map, &versions);
        let name = |edge: &EdgeShape| {
            format!("{} to {} {}", edge.from, edge.to, edge.subset.as_deref().unwrap_or(""))
        };
        let mut things: Vec<(String, Rect)> = Vec::new();
        for edge in &shapes {
            let place = edge.curve.point(edge.breaker);
            things.push((format!("label of {}", name(edge)), label(edge)));
            let breaker = around(place, 1.9 * BREAKER, 1.9 * BREAKER);
            things.push((format!("breaker of {}", name(edge)), breaker));
            let faults = fault_on(edge);
            if edge.kind != EdgeKind::Message && edge.nth == 0 {
                let badges =
                    badges_model::badges(&[], &shapes, &faults, &MeshView::default(), false);
                assert_eq!(badges.len(), 1, "{}", name(edge));
                things.push((format!("fault on {}", name(edge)), badges[0].rect));
            }
        }
        // "no data since 14:33:50" of every service; callers and the bus never say it.
        for node in
            layout.nodes.iter().filter(|n| !matches!(n.kind, NodeKind::Caller | NodeKind::Bus))
        {
            let Rect { x, y, w, .. } = node.rect;
            let rect =
                Rect { x: x + w / 2.0 - 62.0, y: y + node.silent_y() - ABOVE, w: 124.0, h: 13.0 };
            things.push((format!("silence of {}", node.name), rect));
        }
        let boxes = layout.nodes.iter().map(|node| (format!("box of {}", node.name), node.rect));
        let fixed: Vec<_> = boxes.chain([("what changed".to_owned(), CORNER)]).collect();
        let mut clashes = Vec::new();
        for (i, (one, a)) in things.iter().enumerate() {
            let others = things.iter().skip(i + 1).chain(&fixed);
            let clash = others.filter(|(_, b)| !apart(*a, *b));
            clashes.extend(clash.map(|(other, b)| format!("{one} {a:?} and {other} {b:?}")));
        }
        assert!(clashes.is_empty(), "{}", clashes.join("\n"));
        let whole = Rect { x: 0.0, y: 0.0, w: layout.width, h: layout.height };
        for (one, a) in &things {
            let inside =
                a.x >= whole.x && a.x + a.w <= whole.w && a.y >= 0.0 && a.y + a.h <= whole.h;
            assert!(inside, "{one} {a:?}");
        }
        assert!(fixed.iter().all(|(one, a)| one == "what changed" || apart(*a, CORNER)));
    }
}
