//! Tests that a map in trouble can be read: with faults, breakers open, instances down, versions
//! and mirrors, with the texts it really shows and as wide as the font draws them, no two of its
//! labels and badges meet and no line of another edge runs through one.

use super::super::{
    badges_model, inside,
    layout::{self, Anchor, EdgeShape, Layout, NodeKind, NodeShape, Point, Rect, Stack},
    scene::{self, EdgeKey, Health, NodeFace, Part},
    versions::{self, Dot},
};
use contract::{
    live::{BreakerView, EdgeKind, EdgeView, MapView, NodeView, SubsetEdge},
    resilience::{EndpointLine, EndpointState, FaultKind, FaultView, FaultsView},
    service::{self as s, SERVICES},
    shop::LoadView,
    traffic::{HostMesh, LaneView, MeshView},
};

/// Width, layout and smallest text.
type Window = (u32, fn() -> Layout, f64);

/// Widths of windows: the layout each has, and the smallest text of its map (`style/live.css`).
const WINDOWS: [Window; 5] = [
    (1_440, layout::wide, 11.8),
    (1_280, layout::wide, 13.5),
    (1_024, layout::wide, 13.5),
    (800, layout::phone, 12.0),
    (390, layout::phone, 12.0),
];

/// Advance of a letter of Inter at a size of one, at weight 600; 400 is narrower.
fn advance(letter: char) -> f64 {
    match letter {
        '0'..='9' | '-' => 0.647,
        '.' | ',' | ':' | ' ' => 0.269,
        '/' | '\u{b7}' => 0.379,
        '%' => 1.004,
        'i' | 'j' | 'l' => 0.262,
        'f' | 't' => 0.352,
        'r' => 0.407,
        'm' => 0.9,
        'w' => 0.839,
        's' | 'z' | 'k' | 'x' => 0.569,
        'a' | 'c' | 'e' | 'v' | 'y' => 0.591,
        'A'..='Z' => 0.77,
        _ => 0.625,
    }
}

fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

fn apart(a: Rect, b: Rect) -> bool {
    a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
}

fn holds(rect: Rect, p: Point) -> bool {
    p.x > rect.x && p.x < rect.x + rect.w && p.y > rect.y && p.y < rect.y + rect.h
}

/// The box of a line of text.
fn text_box(at: Point, anchor: Anchor, text: &str, size: f64) -> Rect {
    let w = width(text, size);
    let x = match anchor {
        Anchor::Start => at.x,
        Anchor::Middle => at.x - w / 2.0,
        Anchor::End => at.x - w,
    };
    Rect { x, y: at.y - 0.76 * size, w, h: 0.98 * size }
}

fn versioned(name: &str) -> bool {
    let wide = layout::wide();
    wide.node(name).is_some_and(|node| matches!(node.kind, NodeKind::Group(_)))
}

/// Half of the requests to payments go to either version, all others to the first; payments and
/// catalog are mirrored, and every service misses an instance.
fn mesh() -> MeshView {
    let lane = |service: &str, subset: &str| LaneView {
        subset: subset.into(),
        configured: match (service, subset) {
            (s::PAYMENTS, _) => 0.5,
            (_, "v1") => 1.0,
            _ => 0.0,
        },
        observed: Some(0.5),
        per_second: 12.5,
        calls: 750,
        error_share: 0.023,
        p95_ms: Some(187.0),
        ready: 1,
        instances: 2,
        spark: vec![1.0; 60],
    };
    let host = |name: &str| HostMesh {
        service: name.into(),
        lanes: if versioned(name) { vec![lane(name, "v1"), lane(name, "v2")] } else { Vec::new() },
        mirror_percent: [s::PAYMENTS, s::CATALOG].contains(&name).then_some(20.0),
        ..HostMesh::default()
    };
    let down = EndpointState::Down { back_us: None };
    let line = |name: &str, subset: Option<&str>, n: usize| EndpointLine {
        instance: format!("{name}-{n}"),
        service: name.into(),
        subset: subset.map(str::to_owned),
        state: if n == 0 { down } else { EndpointState::Ready },
        ejected_until_us: None,
    };
    let of = |name: &str| {
        let all: &[(Option<&str>, usize)] = match name {
            s::PAYMENTS => &[(Some("v1"), 4), (Some("v2"), 3)],
            s::CATALOG => &[(Some("v1"), 2), (Some("v2"), 1)],
            s::RECOMMENDATIONS | s::GATEWAY => &[(Some("v1"), 1), (Some("v2"), 1)],
            s::ORDERS => &[(None, 3)],
            s::USERS | s::INVENTORY => &[(None, 2)],
            _ => &[(None, 1)],
        };
        let each = all.iter().flat_map(|(subset, n)| (0..*n).map(|i| line(name, *subset, i)));
        each.collect::<Vec<_>>()
    };
    let names = || SERVICES.iter().map(|known| known.name).filter(|name| *name != s::BUS);
    MeshView {
        hosts: names().map(host).collect(),
        endpoints: names().flat_map(of).collect(),
        ..MeshView::default()
    }
}

/// Every edge carries calls; those to bank-merchant and recommendations are refused, those to
/// payments fail, those to catalog are slow.
fn map(layout: &Layout) -> MapView {
    let open = Some(BreakerView::Open { half_open_at_us: 58_000_000 });
    let numbers = |to: &str| match to {
        s::PAYMENTS => (0.836, Some(187.0)),
        s::CATALOG => (0.0, Some(2_010.0)),
        _ => (0.0, Some(32.0)),
    };
    let part = |to: &str, subset: &str| SubsetEdge {
        subset: subset.into(),
        per_second: 12.5,
        error_share: numbers(to).0,
        p95_ms: numbers(to).1,
        calls: 750,
        breaker: open.filter(|_| to == s::RECOMMENDATIONS && subset == "v1"),
    };
    let edge = |shape: &EdgeShape| EdgeView {
        from: shape.from.clone(),
        to: shape.to.clone(),
        kind: shape.kind,
        per_second: 12.5,
        error_share: numbers(&shape.to).0,
        p95_ms: numbers(&shape.to).1,
        calls: 750,
        breaker: open.filter(|_| shape.to == s::BANK_MERCHANT),
        subsets: match (&*shape.to, versioned(&shape.to)) {
            (s::PAYMENTS, _) => vec![part(&shape.to, "v1"), part(&shape.to, "v2")],
            (_, true) => vec![part(&shape.to, "v1")],
            _ => Vec::new(),
        },
        fallback: None,
    };
    let note = |name: &str| match name {
        s::PAYMENTS => Some("2PC, 0 in doubt".to_owned()),
        s::BANK_CUSTOMER | s::BANK_MERCHANT => Some("11 held".to_owned()),
        _ => None,
    };
    let node = |name: &str| NodeView {
        service: name.into(),
        ready: 1,
        instances: 2,
        spark: vec![1.0; 60],
        note: note(name),
    };
    let calls = layout.edges.iter().filter(|edge| edge.always && edge.kind != EdgeKind::Message);
    MapView {
        edges: calls.map(edge).collect(),
        nodes: SERVICES.iter().map(|known| node(known.name)).collect(),
        ..MapView::default()
    }
}

fn faults() -> FaultsView {
    let fault = |(n, from, to): (usize, Option<&str>, &str)| FaultView {
        id: format!("F-{n}"),
        kind: FaultKind::Abort,
        what: String::new(),
        from: from.map(str::to_owned),
        to: to.into(),
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
    let all = [
        (1, Some(s::PAYMENTS), s::BANK_CUSTOMER),
        (2, Some(s::GATEWAY), s::CATALOG),
        (3, None, s::PAYMENTS),
        (4, None, s::RECOMMENDATIONS),
        (5, None, s::BANK_MERCHANT),
        (6, Some(s::ORDERS), s::USERS),
        (7, Some(s::ORDERS), s::CATALOG),
        (8, None, s::INVENTORY),
        (9, Some(s::GATEWAY), s::PAYMENTS),
    ];
    FaultsView { active: all.into_iter().map(fault).collect(), ..FaultsView::default() }
}

/// Something drawn: what it is, what it belongs to, its box.
struct Thing {
    name: String,
    of: (String, String),
    rect: Rect,
}

fn labels(map: &MapView, shapes: &[EdgeShape], phone: bool, small: f64) -> Vec<Thing> {
    let mut out = Vec::new();
    for edge in shapes {
        let of = (edge.from.clone(), edge.to.clone());
        let subset = edge.subset.clone();
        let key = EdgeKey { from: of.0.clone(), to: of.1.clone(), kind: edge.kind, subset };
        let face = scene::edge_face(map, &key, 0, 0);
        let name = format!("{} to {} {}", of.0, of.1, edge.subset.as_deref().unwrap_or(""));
        let lines: Vec<(String, f64)> = match (phone, &face.brief) {
            (true, None) => Vec::new(),
            (true, Some(brief)) => vec![(brief.text.clone(), 13.0)],
            (false, _) => {
                let rest: Vec<_> = face.rest.iter().map(|part| part.text.as_str()).collect();
                vec![(face.head.text.clone(), small.max(13.0)), (rest.join(" \u{b7} "), small)]
            }
        };
        for (line, (text, size)) in
            lines.iter().enumerate().filter(|(_, (text, _))| !text.is_empty())
        {
            let at = layout::at(edge.label.x, edge.label.y + if line == 0 { 0.0 } else { 14.0 });
            // Bold letters are wider; the second line is not.
            let rect = text_box(at, edge.anchor, text, if line == 0 { *size } else { size * 0.98 });
            out.push(Thing { name: format!("{text:?} of {name}"), of: of.clone(), rect });
        }
        if face.breaker.is_some_and(|mark| !phone || mark != crate::widget::BreakerMark::Closed) {
            let sits = edge.curve.point(edge.breaker);
            let rect = Rect { x: sits.x - 10.5, y: sits.y - 10.5, w: 21.0, h: 21.0 };
            out.push(Thing { name: format!("breaker of {name}"), of, rect });
        }
    }
    out
}

fn only(fault: &FaultView) -> FaultsView {
    FaultsView { active: vec![fault.clone()], ..FaultsView::default() }
}

fn badges(layout: &Layout, shapes: &[EdgeShape], mesh: &MeshView, phone: bool) -> Vec<Thing> {
    let faults = faults();
    let all = badges_model::badges(&layout.nodes, shapes, &faults, mesh, phone);
    let of = |badge: &badges_model::BadgeFace| {
        let fault = faults.active.iter().find(|fault| fault.id == badge.text);
        let on = |fault: &&FaultView| !badges_model::marks_node(&only(fault), shapes, &fault.to);
        let from = fault.filter(on).and_then(|fault| fault.from.clone()).unwrap_or_default();
        let to = fault.map(|fault| fault.to.clone());
        let service = || badge.href.trim_start_matches("/traffic/").to_owned();
        (from, to.unwrap_or_else(service))
    };
    let thing = |badge: &badges_model::BadgeFace| Thing {
        name: format!("badge {} ({})", badge.text, badge.name),
        of: of(badge),
        rect: badge.rect,
    };
    all.iter().map(thing).collect()
}

#[test]
fn in_trouble_no_two_labels_or_badges_meet_and_no_foreign_line_runs_through_one() {
    for (window, layout, small) in WINDOWS {
        let (layout, phone) = (layout(), window < 1_024);
        let (map, mesh) = (map(&layout), mesh());
        let asked: Vec<_> =
            faults().active.into_iter().filter_map(|f| Some((f.from?, f.to))).collect();
        let whole = scene::edges(&layout, &map, &asked);
        let shapes = versions::split(whole, &layout.nodes, &map, &mesh);
        let mut things = labels(&map, &shapes, phone, small);
        things.extend(badges(&layout, &shapes, &mesh, phone));
        let mut wrong = Vec::new();
        for (i, thing) in things.iter().enumerate() {
            let Thing { name, of, rect } = thing;
            for other in things.iter().skip(i + 1).filter(|other| !apart(*rect, other.rect)) {
                // The two lines of one label follow each other.
                let lines = name.starts_with('"') && other.name.starts_with('"') && *of == other.of;
                if !lines {
                    wrong.push(format!("{name} and {}", other.name));
                }
            }
            let boxes =
                layout.nodes.iter().filter(|node| !of.0.is_empty() && !apart(*rect, node.rect));
            let crossed = |edge: &&EdgeShape| {
                let own = edge.from == of.0 && edge.to == of.1;
                let leads_to = of.0.is_empty() && (edge.to == of.1 || edge.from == of.1);
                let on = |share: u32| holds(*rect, edge.curve.point(f64::from(share) / 400.0));
                !own && !leads_to && (0..=400).any(on)
            };
            // Breakers sit on their lines, where several run together at a box.
            let lines = shapes.iter().filter(|_| !name.starts_with("breaker")).filter(crossed);
            wrong.extend(lines.map(|e| format!("{} to {} through {name}", e.from, e.to)));
            let on = boxes.filter(|_| !name.starts_with("breaker"));
            wrong.extend(on.map(|node| format!("{name} on {}", node.name)));
        }
        assert!(wrong.is_empty(), "at {window}:\n{}", wrong.join("\n"));
    }
}

fn count_end(x: f64, dots: &[Dot], count: &str, size: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of dots")]
    let dots = dots.len() as f64 * 10.0 + 3.0;
    x + dots + width(count, size) * 0.98
}

/// Where what stands at the right of the line of instances begins.
fn right_of(node: &NodeShape, face: &NodeFace, phone: bool, badge: Option<f64>, size: f64) -> f64 {
    let w = node.rect.w;
    let note = w - if phone { 8.0 } else { 11.0 } - width(&face.note, size) * 0.98;
    match (phone, face.note.is_empty(), face.down()) {
        (true, ..) if badge.is_some() => badge.unwrap_or(w) - node.rect.x,
        (true, true, _) | (false, true, true) => w - 4.0,
        (true, false, _) | (false, false, true) => note,
        (false, true, false) => w - 56.0,
        (false, false, false) => inside::lock_x(w, &face.note).min(note),
    }
}

#[test]
fn what_stands_inside_a_node_has_room_beside_what_an_instance_that_is_missing_says() {
    for ((window, layout, small), down) in WINDOWS.into_iter().flat_map(|w| [(w, true), (w, false)])
    {
        let (layout, phone, size) = (layout(), window < 1_024, small.max(12.0));
        let mut mesh = mesh();
        if !down {
            mesh.endpoints.iter_mut().for_each(|line| line.state = EndpointState::Ready);
        }
        let map = MapView { nodes: map(&layout).nodes, ..MapView::default() };
        let marks = badges_model::badges(&layout.nodes, &[], &faults(), &mesh, phone);
        for node in &layout.nodes {
            let title = if phone { (29.0, 12.0) } else { (39.0, 13.5) };
            if matches!(node.kind, NodeKind::Service) {
                let end = title.0 + width(&node.name, title.1);
                assert!(end <= node.rect.w - 2.5, "{} at {window}: {end}", node.name);
                // A narrow box shows the rate instead.
                if phone && node.rect.w <= 100.0 {
                    continue;
                }
                let ups = |n: u32| if down { n.saturating_sub(1) } else { n };
                let mut face = scene::node_face(&map, &mesh, LoadView::steady(20.0), &node.name, 0);
                let all = u32::try_from(face.dots.len()).unwrap();
                face.instances = Some((ups(all), all));
                face.count =
                    if down { format!("{}/{all} up", ups(all)) } else { format!("{all}/{all}") };
                let x = if phone { 7.0 } else { 11.0 };
                let end = count_end(x, &face.dots, &face.count, size);
                let badge = marks.iter().map(|badge| badge.rect);
                let badge = badge.filter(|rect| !apart(*rect, node.rect)).map(|rect| rect.x);
                let badge = badge.reduce(f64::min);
                let right = right_of(node, &face, phone, badge, size);
                assert!(end <= right, "{} at {window}: {end} and {right}", node.name);
            }
        }
    }
}

#[test]
fn the_instances_of_a_version_have_room_beside_its_sparkline() {
    let payments = layout::wide().node(s::PAYMENTS).cloned().unwrap();
    let boxes = Stack::Tall.boxes(payments.rect, 2);
    for (dots, count) in [(4, "4/4"), (4, "3/4 up"), (3, "2/3 up")] {
        let end = count_end(10.0, &vec![Dot::Up; dots], count, 13.5);
        let right = if count.ends_with("up") { boxes[0].w } else { boxes[0].w - 36.0 };
        assert!(end <= right, "{count}: {end} and {right}");
    }
}

#[test]
fn a_part_of_a_label_says_what_it_is_worth() {
    // The states above are in trouble at all.
    let map = map(&layout::wide());
    let key = |from: &str, to: &str, kind, subset: Option<&str>| {
        let subset = subset.map(str::to_owned);
        scene::edge_face(&map, &EdgeKey { from: from.into(), to: to.into(), kind, subset }, 0, 0)
    };
    let refused = key(s::PAYMENTS, s::BANK_MERCHANT, EdgeKind::Commit, None);
    assert_eq!((refused.health, refused.head.text.as_str()), (Health::Open, "Open, 58 s"));
    let failing = key(s::GATEWAY, s::PAYMENTS, EdgeKind::Call, Some("v2"));
    let wrong = Part { text: "83.6%".into(), health: Health::Error };
    assert_eq!(failing.rest.first(), Some(&wrong));
}
