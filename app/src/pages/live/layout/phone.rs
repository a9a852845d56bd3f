//! The layout of a phone: top to bottom, row below row.
//!
//! Between two rows there is room for three things on each line, one above the other: its breaker
//! where it leaves, then the badge of a fault on it, then one short label right above its end.

use super::{Anchor, Curve, Layout, NodeKind, Plan, Point, Rect, Stack, at, node};
use contract::{live::EdgeKind, service as s};

/// From the bottom of one row to the top of the next.
const GAP: f64 = 62.0;
/// Share of a gap in which its lines go aside: below it they stand upright.
const ASIDE: f64 = 0.35;
/// Where the breaker of a line sits, as a share of the way.
const BREAKER: f64 = 0.3;
/// From the end of a line to its label, aside and up.
const LABEL: Point = at(8.0, 6.0);
/// From the end of a line to the middle of its badges, aside and up.
const BADGE: Point = at(27.0, 27.0);

const CALLERS: f64 = 8.0;
const GATEWAY: f64 = CALLERS + 32.0 + GAP;
const SERVICES: f64 = GATEWAY + 42.0 + GAP;
const BUS: f64 = SERVICES + 42.0 + 26.0;
const PAYMENTS: f64 = BUS + 32.0 + 52.0;
const BANKS: f64 = PAYMENTS + 100.0 + GAP;
const BOTTOM: f64 = BANKS + 42.0 + 18.0;

/// The layout of a phone, 390 × 580: no sparklines, no labels of what is healthy.
#[must_use]
pub fn phone() -> Layout {
    use NodeKind::{Bus, Caller, Group, Service};
    let nodes = vec![
        node(s::BROWSER, Caller, Rect::new(8.0, CALLERS, 154.0, 32.0)),
        node(s::LOAD, Caller, Rect::new(228.0, CALLERS, 154.0, 32.0)),
        node(s::GATEWAY, Service, Rect::new(130.0, GATEWAY, 130.0, 42.0)),
        node(s::USERS, Service, Rect::new(8.0, SERVICES, 66.0, 42.0)),
        node(s::CATALOG, Service, Rect::new(78.0, SERVICES, 78.0, 42.0)),
        node(s::RECOMMENDATIONS, Service, Rect::new(164.0, SERVICES, 141.0, 42.0)),
        node(s::ORDERS, Service, Rect::new(309.0, SERVICES, 73.0, 42.0)),
        node(s::BUS, Bus, Rect::new(8.0, BUS, 374.0, 32.0)),
        node(s::INVENTORY, Service, Rect::new(8.0, PAYMENTS, 126.0, 42.0)),
        node(s::PAYMENTS, Group(Stack::Sheet), Rect::new(150.0, PAYMENTS, 232.0, 100.0)),
        node(s::STRIPE, Service, Rect::new(8.0, BANKS, 114.0, 42.0)),
        node(s::BANK_CUSTOMER, Service, Rect::new(126.0, BANKS, 126.0, 42.0)),
        node(s::BANK_MERCHANT, Service, Rect::new(256.0, BANKS, 126.0, 42.0)),
    ];
    let mut plan = Plan(Vec::new());
    calls(&mut plan);
    payments(&mut plan);
    banks(&mut plan);
    events(&mut plan);
    Layout {
        width: 390.0,
        height: BOTTOM,
        nodes,
        edges: plan.0,
        plain_edges: false,
        spare: [50.0, 79.0, 108.0].map(|y| Rect::new(8.0, PAYMENTS + y, 108.0, 26.0)),
    }
}

/// Down to the next row: aside at once, then upright.
fn fall(from: Point, to: Point) -> [Point; 4] {
    let turn = from.y + ASIDE * (to.y - from.y);
    [from, at(from.x, turn), at(to.x, turn), to]
}

/// A line to the next row, with what stands on it on one side of its end.
fn down(
    plan: &mut Plan,
    ends: (&str, &str),
    kind: EdgeKind,
    (from, to): (Point, Point),
    side: Anchor,
) {
    let aside = if side == Anchor::End { -1.0 } else { 1.0 };
    let label = at(to.x + aside * LABEL.x, to.y - LABEL.y);
    plan.add(ends, kind, Curve(vec![fall(from, to)]), (label, side));
    plan.breaker(BREAKER);
    plan.badge(at(to.x + aside * BADGE.x, to.y - BADGE.y));
}

fn calls(plan: &mut Plan) {
    use Anchor::{End, Start};
    let (top, bottom) = (CALLERS + 32.0, GATEWAY + 42.0);
    let rows = [
        (s::BROWSER, s::GATEWAY, at(85.0, top), at(160.0, GATEWAY), End),
        (s::LOAD, s::GATEWAY, at(305.0, top), at(230.0, GATEWAY), Start),
        (s::GATEWAY, s::USERS, at(150.0, bottom), at(12.0, SERVICES), Start),
        (s::GATEWAY, s::CATALOG, at(175.0, bottom), at(86.0, SERVICES), Start),
        (s::GATEWAY, s::RECOMMENDATIONS, at(205.0, bottom), at(210.0, SERVICES), Start),
        (s::GATEWAY, s::ORDERS, at(240.0, bottom), at(372.0, SERVICES), End),
    ];
    for (caller, callee, from, to, side) in rows {
        down(plan, (caller, callee), EdgeKind::Call, (from, to), side);
    }
}

/// From the gateway through the gap between two boxes and behind the bus.
fn payments(plan: &mut Plan) {
    let (bottom, bus, gap) = (GATEWAY + 42.0, BUS + 32.0, 160.0);
    let (start, middle) = (at(190.0, bottom), f64::midpoint(SERVICES, bus));
    let behind = [at(gap, SERVICES), at(gap, middle), at(gap, middle), at(gap, bus)];
    let rest = fall(at(gap, bus), at(210.0, PAYMENTS));
    let curve = Curve(vec![fall(start, at(gap, SERVICES)), behind, rest]);
    let label = (at(220.0, PAYMENTS - LABEL.y), Anchor::Start);
    plan.add((s::GATEWAY, s::PAYMENTS), EdgeKind::Call, curve, label);
    // In the last of the three stretches.
    plan.breaker(0.917);
    plan.badge(at(gap + 26.0, bus + 9.0));
}

fn banks(plan: &mut Plan) {
    let top = PAYMENTS + 100.0;
    for (bank, from, to) in [
        (s::STRIPE, 168.0, 50.0),
        (s::BANK_CUSTOMER, 220.0, 160.0),
        (s::BANK_MERCHANT, 300.0, 296.0),
    ] {
        let line = (at(from, top), at(to, BANKS));
        down(plan, (s::PAYMENTS, bank), EdgeKind::Commit, line, Anchor::Start);
    }
}

/// Between a service and the bus, straight; the breaker is the bus's, for deliveries to it.
fn events(plan: &mut Plan) {
    use Anchor::{End, Start};
    let (services, bus) = (SERVICES + 42.0, BUS + 32.0);
    let rows = [
        (s::RECOMMENDATIONS, at(182.0, services), BUS, 0.5, Start),
        (s::ORDERS, at(344.0, services), BUS, 0.5, End),
        (s::INVENTORY, at(62.0, PAYMENTS), bus, 0.8, Start),
        (s::PAYMENTS, at(372.0, PAYMENTS), bus, 0.8, End),
    ];
    for (service, from, end, breaker, side) in rows {
        let curve = Curve::down(from, at(from.x, end));
        let sits = curve.point(breaker);
        let aside = if side == End { -13.0 } else { 13.0 };
        let label = (at(sits.x + aside, sits.y + 4.0), side);
        plan.add((service, s::BUS), EdgeKind::Message, curve, label);
        plan.breaker(breaker);
    }
}
