//! Where a trace runs on the map: the line of every hop, and what stands beside each line. Pure.
//!
//! Lines are those of the map where it has them. What a map drops (on a phone) or nobody planned
//! for gets a plain line; a hop to a service that is not on the map has none.

use crate::{
    model::{
        fine,
        walk::{Hop, Walk},
    },
    pages::live::layout::{Anchor, Curve, EdgeShape, Layout, NodeShape, Point, Rect, at},
};
use contract::{live::EdgeKind, service::BUS};

/// Letters of the numbers of one line: as wide as the label that stands there otherwise.
const NUMBERS_MAX: usize = 8;
/// How high a line between two boxes of one row rises, and how much more the further they are
/// apart: two of them never have their labels in one place.
const LIFT: f64 = 10.0;
const LIFT_SHARE: f64 = 0.1;
/// Letters of one status.
const STATUS_MAX: usize = 8;

/// A line that the trace goes over, once or many times.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// Its ends and its version, as on the map.
    pub ends: (String, String, Option<String>),
    /// What goes over it.
    pub kind: EdgeKind,
    /// Its line.
    pub curve: Curve,
    /// Baseline of the first line of its label.
    pub label: Point,
    /// How the label stands.
    pub anchor: Anchor,
    /// The hops that go over it, by their place.
    pub hops: Vec<usize>,
}

/// All of a trace on one layout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    /// The lines, each once.
    pub crossings: Vec<Crossing>,
    /// The way of each hop from its caller; none where it cannot be drawn.
    pub ways: Vec<Option<Curve>>,
}

/// The same line from its other end.
fn turned(curve: &Curve) -> Curve {
    Curve(curve.0.iter().rev().map(|[a, b, c, d]| [*d, *c, *b, *a]).collect())
}

/// Straight from a point to another.
fn straight(from: Point, to: Point) -> [Point; 4] {
    let between =
        |share: f64| at(from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share);
    [from, between(1.0 / 3.0), between(2.0 / 3.0), to]
}

/// Between two boxes of one row, over those that stand between them.
fn over(shape: &mut EdgeShape, from: Rect, to: Rect) {
    let (start, end) = (at(from.centre().x, from.y), at(to.centre().x, to.y));
    let top = from.y - LIFT - LIFT_SHARE * (end.x - start.x).abs();
    shape.curve = Curve(vec![[start, at(start.x, top), at(end.x, top), end]]);
    let middle = shape.curve.point(0.5);
    shape.label = at(middle.x, middle.y - 4.0);
}

/// What a trace is drawn with.
struct Plan<'a> {
    layout: &'a Layout,
    nodes: &'a [NodeShape],
    shapes: &'a [EdgeShape],
}

impl Plan<'_> {
    /// The line between two nodes, and whether it is drawn from the other end.
    fn line(
        &self,
        (from, to): (&str, &str),
        kind: EdgeKind,
        subset: Option<&str>,
    ) -> Option<(EdgeShape, bool)> {
        let message = kind == EdgeKind::Message;
        let fits = |shape: &&EdgeShape| (shape.kind == EdgeKind::Message) == message;
        let there = |shape: &&EdgeShape| fits(shape) && shape.from == from && shape.to == to;
        let back = |shape: &&EdgeShape| fits(shape) && shape.from == to && shape.to == from;
        let version = |shape: &&EdgeShape| there(shape) && shape.subset.as_deref() == subset;
        let planned = &self.layout.edges;
        let found = self.shapes.iter().find(version).or_else(|| self.shapes.iter().find(there));
        let found = found.or_else(|| planned.iter().find(there)).map(|shape| (shape, false));
        let other = || self.shapes.iter().find(back).or_else(|| planned.iter().find(back));
        if let Some((shape, turned)) = found.or_else(|| other().map(|shape| (shape, true))) {
            return Some((shape.clone(), turned));
        }
        let node = |name: &str| self.nodes.iter().find(|node| node.name == name);
        let (from, to) = (node(from)?, node(to)?);
        let mut plain = Layout::plain(from, to, kind);
        if from.rect.bits()[1] == to.rect.bits()[1] {
            over(&mut plain, from.rect, to.rect);
        }
        Some((plain, false))
    }

    /// The lines a hop goes over, from its caller on.
    fn legs(&self, hop: &Hop) -> Option<Vec<(EdgeShape, bool)>> {
        if hop.kind != EdgeKind::Message {
            let line = self.line((&hop.from, &hop.to), hop.kind, hop.subset.as_deref())?;
            return Some(vec![line]);
        }
        // Into the bus and out of it; its lines are drawn from the service.
        let leg = |name: &str| self.line((name, BUS), EdgeKind::Message, None);
        let ends = [(hop.from.as_str(), false), (hop.to.as_str(), true)];
        let legs = ends.into_iter().filter(|(name, _)| *name != BUS);
        legs.map(|(name, out)| leg(name).map(|(shape, turned)| (shape, turned != out))).collect()
    }
}

/// The lines and ways of a trace on a layout with the nodes and edges it has now.
#[must_use]
pub fn paths(walk: &Walk, layout: &Layout, nodes: &[NodeShape], shapes: &[EdgeShape]) -> Paths {
    let plan = Plan { layout, nodes, shapes };
    let mut paths = Paths::default();
    for (place, hop) in walk.hops.iter().enumerate() {
        let Some(legs) = plan.legs(hop) else {
            paths.ways.push(None);
            continue;
        };
        let mut way: Vec<[Point; 4]> = Vec::new();
        for (shape, back) in &legs {
            let curve = if *back { turned(&shape.curve) } else { shape.curve.clone() };
            if let (Some([.., last]), Some([first, ..])) = (way.last(), curve.0.first()) {
                // Along the bus.
                let along = straight(*last, *first);
                way.push(along);
            }
            way.extend(curve.0);
        }
        for (shape, _) in legs {
            paths.cross(shape, place);
        }
        paths.ways.push(Some(Curve(way)));
    }
    paths
}

impl Paths {
    fn cross(&mut self, shape: EdgeShape, hop: usize) {
        let ends = (shape.from, shape.to, shape.subset);
        let message = shape.kind == EdgeKind::Message;
        let same = |crossing: &&mut Crossing| {
            crossing.ends == ends && (crossing.kind == EdgeKind::Message) == message
        };
        match self.crossings.iter_mut().find(same) {
            Some(crossing) => crossing.hops.push(hop),
            None => self.crossings.push(Crossing {
                ends,
                kind: shape.kind,
                curve: shape.curve,
                label: shape.label,
                anchor: shape.anchor,
                hops: vec![hop],
            }),
        }
    }
}

/// What stands beside a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The numbers of its hops: `2`, `3, 4`, `3, 4 +7`.
    pub numbers: String,
    /// How long they took, and how they ended: `12 ms · 202`, `24 ms · 1 ✕`.
    pub rest: String,
    /// One of them failed.
    pub failed: bool,
}

/// The label of a line.
#[must_use]
pub fn label(walk: &Walk, crossing: &Crossing) -> Label {
    let mut numbers = String::new();
    let mut shown = 0;
    for hop in &crossing.hops {
        let next = if shown == 0 { format!("{}", hop + 1) } else { format!(", {}", hop + 1) };
        if numbers.len() + next.len() > NUMBERS_MAX && shown > 0 {
            break;
        }
        numbers.push_str(&next);
        shown += 1;
    }
    let more = crossing.hops.len() - shown;
    if more > 0 {
        numbers.push_str(&format!(" +{more}"));
    }
    let hops: Vec<&Hop> = crossing.hops.iter().filter_map(|hop| walk.hops.get(*hop)).collect();
    let took = fine::duration_us(hops.iter().map(|hop| hop.end_us - hop.start_us).sum());
    let bad = hops.iter().filter(|hop| hop.failed).count();
    let status = |hop: &Hop| hop.status.chars().take(STATUS_MAX).collect::<String>();
    let ended = match (hops.as_slice(), bad) {
        ([one], 0) => status(one),
        ([one], _) => format!("✕ {}", status(one)).trim_end().to_owned(),
        (_, 0) => String::new(),
        (_, bad) => format!("{bad} ✕"),
    };
    let rest = if ended.is_empty() { took } else { format!("{took} · {ended}") };
    Label { numbers, rest, failed: bad > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            span_tree::tests::{span, trace},
            walk,
        },
        pages::live::{layout, scene},
    };
    use contract::{
        attributes as key,
        live::MapView,
        service as s,
        trace::{SpanKind, SpanView},
    };

    fn call(id: &str, parent: Option<&str>, (from, to): (&str, &str), start: i64) -> SpanView {
        let mut call = span(id, parent, start, 10);
        call.service = from.into();
        call.kind = SpanKind::Client;
        call.attributes.push((key::SERVER_ADDRESS.into(), to.into()));
        call
    }

    fn message(id: &str, to: &str, start: i64) -> SpanView {
        let mut send = call(id, Some("root"), (s::BUS, to), start);
        send.kind = SpanKind::Producer;
        send
    }

    fn walk() -> Walk {
        let mut failed = call("failed", Some("root"), (s::ORDERS, s::USERS), 40);
        failed.error = true;
        failed.attributes.push((key::HTTP_STATUS.into(), "503".into()));
        let mut root = span("root", None, 0, 500);
        root.service = s::ORDERS.into();
        root.kind = SpanKind::Server;
        walk::of(&trace(vec![
            root,
            call("a", Some("root"), (s::ORDERS, s::CATALOG), 10),
            call("b", Some("root"), (s::ORDERS, s::CATALOG), 20),
            failed,
            message("m", s::INVENTORY, 60),
            call("away", Some("root"), (s::ORDERS, "elsewhere"), 80),
            call("back", Some("root"), (s::BANK_MERCHANT, s::PAYMENTS), 90),
        ]))
    }

    fn on(layout: &Layout) -> Paths {
        let map = MapView::default();
        let (nodes, shapes) = (scene::nodes(layout, &map), scene::edges(layout, &map, &[]));
        paths(&walk(), layout, &nodes, &shapes)
    }

    fn crossing<'a>(paths: &'a Paths, from: &str, to: &str) -> &'a Crossing {
        let found = paths.crossings.iter().find(|c| c.ends.0 == from && c.ends.1 == to);
        found.unwrap_or_else(|| panic!("no line from {from} to {to}"))
    }

    fn near(a: Point, b: Point) -> bool {
        (a.x - b.x).abs() < 1e-9 && (a.y - b.y).abs() < 1e-9
    }

    #[test]
    fn a_line_that_is_crossed_twice_is_drawn_once_with_both_numbers() {
        let paths = on(&layout::wide());
        let catalog = crossing(&paths, s::ORDERS, s::CATALOG);
        assert_eq!(catalog.hops, [0, 1]);
        let said = label(&walk(), catalog);
        assert_eq!((said.numbers.as_str(), said.rest.as_str()), ("1, 2", "20 µs"));
        let failed = label(&walk(), crossing(&paths, s::ORDERS, s::USERS));
        assert_eq!((failed.rest.as_str(), failed.failed), ("10 µs · ✕ 503", true));
    }

    #[test]
    fn a_message_goes_into_the_bus_along_it_and_out_at_its_consumer() {
        for layout in [layout::wide(), layout::phone()] {
            let paths = on(&layout);
            let way = paths.ways[3].as_ref().unwrap();
            let ends = [s::ORDERS, s::INVENTORY]
                .map(|name| crossing(&paths, name, s::BUS).curve.point(0.0));
            assert!(near(way.point(0.0), ends[0]) && near(way.point(1.0), ends[1]));
            assert_eq!(way.0.len(), 3, "down, along, up");
            for pair in way.0.windows(2) {
                assert!(near(pair[0][3], pair[1][0]), "without a gap");
            }
        }
    }

    #[test]
    fn every_way_begins_at_its_caller_and_ends_at_its_callee_on_every_layout() {
        for layout in [layout::wide(), layout::phone()] {
            let (paths, walk) = (on(&layout), walk());
            for (hop, way) in walk.hops.iter().zip(&paths.ways) {
                let Some(way) = way else {
                    assert_eq!(hop.to, "elsewhere");
                    continue;
                };
                for (name, share) in [(&hop.from, 0.0), (&hop.to, 1.0)] {
                    let (rect, point) = (layout.node(name).unwrap().rect, way.point(share));
                    let inside =
                        |v: f64, low: f64, size: f64| v >= low - 1.0 && v <= low + size + 1.0;
                    assert!(inside(point.x, rect.x, rect.w), "{name} in {hop:?}");
                    assert!(inside(point.y, rect.y, rect.h), "{name} in {hop:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_phone_has_no_line_for_goes_over_the_boxes_of_its_row() {
        let layout = layout::phone();
        let paths = on(&layout);
        let [users, catalog] = [s::USERS, s::CATALOG].map(|to| crossing(&paths, s::ORDERS, to));
        let row = layout.node(s::ORDERS).unwrap().rect;
        for line in [users, catalog] {
            assert!(line.curve.point(0.5).y < row.y && line.label.y < row.y);
            assert!(line.label.y > layout.node(s::GATEWAY).unwrap().rect.y + 42.0);
        }
        assert!((users.label.x - catalog.label.x).abs() > 20.0);
    }

    #[test]
    fn numbers_have_the_room_of_the_label_they_stand_for() {
        let paths = on(&layout::wide());
        let mut many = crossing(&paths, s::ORDERS, s::CATALOG).clone();
        many.hops = (8..40).collect();
        let said = label(&walk(), &many);
        assert_eq!(said.numbers, "9, 10 +30");
    }
}
