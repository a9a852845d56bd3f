//! Where everything stands on the service map: fixed, the same at every start.
//!
//! Callers left, owners of data right, the bus below. Services nobody planned for get a spare
//! column, edges nobody planned for a plain curve. Pure geometry: no data, no markup.

mod outside;
mod phone;

pub use outside::SPARE_PLACES;
pub use phone::phone;

use contract::{live::EdgeKind, service as s};
use std::fmt::Write;

/// A point of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Down.
    pub y: f64,
}

/// Short for a point.
#[must_use]
pub const fn at(x: f64, y: f64) -> Point {
    Point { x, y }
}

/// A box of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Rect {
    const fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    /// All of it as bits, to tell whether a box moved.
    #[must_use]
    pub fn bits(self) -> [u64; 4] {
        [self.x, self.y, self.w, self.h].map(f64::to_bits)
    }

    /// Its centre.
    #[must_use]
    pub const fn centre(self) -> Point {
        at(self.x + self.w / 2.0, self.y + self.h / 2.0)
    }
}

/// How a node is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// The browser and the load generator: an icon instead of a code.
    Caller,
    /// A service: code, name, instances, sparkline.
    Service,
    /// A service with versions: they stand inside it as nodes of their own.
    Group(Stack),
    /// The bus: one long bar.
    Bus,
}

impl NodeShape {
    /// Baseline of what is said of a node that fell silent, from the top of its box: above it, or
    /// below it where its badges stand beside those of its neighbours.
    #[must_use]
    pub fn silent_y(&self) -> f64 {
        let below = [s::PAYMENTS, s::BANK_CUSTOMER, s::BANK_MERCHANT, s::STRIPE];
        if below.contains(&self.name.as_str()) { self.rect.h + 14.0 } else { -6.0 }
    }
}

/// Height of the box of a service on a wide screen; one with room for versions has more.
pub const PLAIN_H: f64 = 58.0;

/// How the versions of a service stand in its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Below each other, each with a line for its instances.
    Tall,
    /// Below each other, one line each.
    Rows,
    /// Side by side, one line each.
    Columns,
    /// Side by side, two lines each, above the name and what is said below it.
    Sheet,
}

impl Stack {
    /// The boxes of so many versions in the box of their service.
    #[must_use]
    pub fn boxes(self, whole: Rect, count: u32) -> Vec<Rect> {
        let n = f64::from(count.max(1));
        let (inset, top, gap) = match self {
            Self::Tall => (13.0, 60.0, 14.0),
            Self::Rows => (8.0, 32.0, 3.0),
            Self::Columns => (8.0, 50.0, 6.0),
            Self::Sheet => (6.0, 6.0, 6.0),
        };
        let room_w = whole.w - 2.0 * inset;
        let (room_h, down) = match self {
            Self::Tall => (whole.h - top - inset, true),
            Self::Rows => (whole.h - top - 7.0, true),
            Self::Columns => (whole.h - top - 7.0, false),
            Self::Sheet => (whole.h - top - 46.0, false),
        };
        let (w, h) = if down {
            (room_w, (room_h - gap * (n - 1.0)) / n)
        } else {
            ((room_w - gap * (n - 1.0)) / n, room_h)
        };
        let place = |i: u32| {
            let i = f64::from(i);
            let (dx, dy) = if down { (0.0, i * (h + gap)) } else { (i * (w + gap), 0.0) };
            Rect { x: whole.x + inset + dx, y: whole.y + top + dy, w, h }
        };
        (0..count).map(place).collect()
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeShape {
    /// Name of the service.
    pub name: String,
    /// Its box.
    pub rect: Rect,
    /// How it is drawn.
    pub kind: NodeKind,
    /// The version of the service, if this is one.
    pub subset: Option<String>,
}

/// Cubic curves one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(pub Vec<[Point; 4]>);

impl Curve {
    /// An S from left to right: it leaves and arrives horizontally.
    #[must_use]
    pub fn across(from: Point, to: Point) -> Self {
        let middle = f64::midpoint(from.x, to.x);
        Self(vec![[from, at(middle, from.y), at(middle, to.y), to]])
    }

    /// An S downwards: it leaves and arrives vertically.
    #[must_use]
    pub fn down(from: Point, to: Point) -> Self {
        let middle = f64::midpoint(from.y, to.y);
        Self(vec![[from, at(from.x, middle), at(to.x, middle), to]])
    }

    /// Leaves and arrives at the right side, bent outwards by so much.
    fn bow(from: Point, to: Point, bend: f64) -> Self {
        Self(vec![[from, at(from.x + bend, from.y), at(to.x + bend, to.y), to]])
    }

    /// The same line to another end.
    #[must_use]
    pub fn ending(&self, end: Point) -> Self {
        let mut segments = self.0.clone();
        if let Some([_, _, p2, p3]) = segments.last_mut() {
            let (dx, dy) = (end.x - p3.x, end.y - p3.y);
            *p2 = at(p2.x + dx, p2.y + dy);
            *p3 = end;
        }
        Self(segments)
    }

    /// As the `d` of a path.
    #[must_use]
    pub fn path(&self) -> String {
        let mut d = String::new();
        for (i, [p0, p1, p2, p3]) in self.0.iter().enumerate() {
            if i == 0 {
                let _ = write!(d, "M{} {}", p0.x, p0.y);
            }
            let _ = write!(d, "C{} {} {} {} {} {}", p1.x, p1.y, p2.x, p2.y, p3.x, p3.y);
        }
        d
    }

    /// The point after a share of the way (by parameter, which is near enough to length).
    #[must_use]
    pub fn point(&self, share: f64) -> Point {
        #[expect(clippy::cast_precision_loss, reason = "a handful of segments")]
        let count = self.0.len() as f64;
        let along = share.clamp(0.0, 1.0) * count;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (along.floor() as usize).min(self.0.len().saturating_sub(1));
        let Some([p0, p1, p2, p3]) = self.0.get(index) else { return Point::default() };
        #[expect(clippy::cast_precision_loss, reason = "a handful of segments")]
        let t = along - index as f64;
        let u = 1.0 - t;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
        };
        at(mix(p0.x, p1.x, p2.x, p3.x), mix(p0.y, p1.y, p2.y, p3.y))
    }

    /// Where it leads after a share of the way, in degrees clockwise from the right.
    #[must_use]
    pub fn angle(&self, share: f64) -> f64 {
        let (before, after) = (self.point(share - 0.02), self.point(share + 0.02));
        (after.y - before.y).atan2(after.x - before.x).to_degrees()
    }
}

/// Which side of its point a label stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

/// One edge.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeShape {
    /// Caller or producer.
    pub from: String,
    /// Callee; the bus for events.
    pub to: String,
    /// Traffic.
    pub kind: EdgeKind,
    /// The version it leads to, if it leads to one.
    pub subset: Option<String>,
    /// Its line.
    pub curve: Curve,
    /// Baseline of the first line of its label.
    pub label: Point,
    /// How the label stands.
    pub anchor: Anchor,
    /// Where the breaker sits, as a share of the way.
    pub breaker: f64,
    /// Drawn thin and grey even without traffic.
    pub always: bool,
    /// Not drawn while it is healthy: its caller stands for it.
    pub folded: bool,
    /// How far further from the end the breaker of each further version sits.
    pub stagger: f64,
    /// Where the label of a second version stands, if not beside its breaker.
    pub second: Option<Point>,
    /// Middle of the badges of faults on it.
    pub badge: Point,
    /// Its place among the versions it leads to.
    pub nth: usize,
}

/// Above the first line of a label, its badges.
const BADGE_ABOVE: f64 = 20.0;

/// Middle of badges above a label, which are as wide as one is.
fn above(label: Point, anchor: Anchor) -> Point {
    let aside = match anchor {
        Anchor::Start => 25.0,
        Anchor::Middle => 0.0,
        Anchor::End => -25.0,
    };
    at(label.x + aside, label.y - BADGE_ABOVE)
}

/// A whole layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Width of the drawing.
    pub width: f64,
    /// Height of the drawing.
    pub height: f64,
    /// Nodes; the bus too.
    pub nodes: Vec<NodeShape>,
    /// Planned edges.
    pub edges: Vec<EdgeShape>,
    /// Edges nobody planned for are drawn too.
    pub plain_edges: bool,
    /// Places for what has none of its own.
    spare: [Rect; SPARE_PLACES],
}

impl Layout {
    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeShape> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The planned edge between two nodes.
    #[must_use]
    pub fn edge(&self, from: &str, to: &str, kind: EdgeKind) -> Option<&EdgeShape> {
        self.edges.iter().find(|edge| edge.from == from && edge.to == to && edge.kind == kind)
    }
}

fn node(name: &str, kind: NodeKind, rect: Rect) -> NodeShape {
    NodeShape { name: name.to_owned(), rect, kind, subset: None }
}

/// An edge that is drawn whatever it carries.
fn planned(ends: (&str, &str), kind: EdgeKind, curve: Curve, label: (Point, Anchor)) -> EdgeShape {
    EdgeShape {
        from: ends.0.to_owned(),
        to: ends.1.to_owned(),
        kind,
        subset: None,
        curve,
        label: label.0,
        anchor: label.1,
        breaker: 0.84,
        always: true,
        folded: false,
        stagger: 0.0,
        second: None,
        badge: above(label.0, label.1),
        nth: 0,
    }
}

struct Plan(Vec<EdgeShape>);

impl Plan {
    fn add(&mut self, ends: (&str, &str), kind: EdgeKind, curve: Curve, label: (Point, Anchor)) {
        self.0.push(planned(ends, kind, curve, label));
    }

    /// Where the label of a second version of the last edge stands.
    fn second(&mut self, label: Point) {
        if let Some(edge) = self.0.last_mut() {
            edge.second = Some(label);
        }
    }

    /// Where the badges of faults on the last edge stand, if not above its label.
    fn badge(&mut self, middle: Point) {
        if let Some(edge) = self.0.last_mut() {
            edge.badge = middle;
        }
    }

    /// Sets the place of the breaker of the last edge.
    fn breaker(&mut self, share: f64) {
        if let Some(edge) = self.0.last_mut() {
            edge.breaker = share;
        }
    }

    /// Sets how far the breakers of its versions sit apart on the last edge.
    fn stagger(&mut self, share: f64) {
        if let Some(edge) = self.0.last_mut() {
            edge.stagger = share;
        }
    }

    /// The last edge is folded into its caller.
    fn folded(&mut self) {
        if let Some(edge) = self.0.last_mut() {
            edge.folded = true;
        }
    }

    /// The last edge is drawn only when it carries something.
    fn optional(&mut self) {
        if let Some(edge) = self.0.last_mut() {
            edge.always = false;
        }
    }
}

/// The layout of a wide screen, 1112 × 572.
#[must_use]
pub fn wide() -> Layout {
    use NodeKind::{Bus, Caller, Group, Service};
    use Stack::{Columns, Rows, Tall};
    let nodes = vec![
        node(s::BROWSER, Caller, Rect::new(16.0, 169.0, 92.0, 50.0)),
        node(s::LOAD, Caller, Rect::new(16.0, 271.0, 92.0, 50.0)),
        node(s::GATEWAY, Group(Rows), Rect::new(208.0, 196.0, 120.0, 90.0)),
        node(s::CATALOG, Group(Rows), Rect::new(452.0, 34.0, 124.0, 90.0)),
        node(s::USERS, Service, Rect::new(452.0, 147.0, 124.0, 58.0)),
        node(s::ORDERS, Service, Rect::new(452.0, 293.0, 124.0, 58.0)),
        node(s::RECOMMENDATIONS, Group(Columns), Rect::new(172.0, 378.0, 192.0, 84.0)),
        node(s::PAYMENTS, Group(Tall), Rect::new(720.0, 42.0, 140.0, 218.0)),
        node(s::INVENTORY, Service, Rect::new(680.0, 377.0, 128.0, 58.0)),
        node(s::BANK_CUSTOMER, Service, Rect::new(956.0, 42.0, 146.0, 58.0)),
        node(s::BANK_MERCHANT, Service, Rect::new(956.0, 134.0, 146.0, 58.0)),
        node(s::STRIPE, Service, Rect::new(956.0, 226.0, 146.0, 52.0)),
        node(s::BUS, Bus, Rect::new(186.0, 522.0, 690.0, 32.0)),
    ];
    let mut plan = Plan(Vec::new());
    wide_calls(&mut plan);
    wide_orders(&mut plan);
    wide_refills(&mut plan);
    wide_banks(&mut plan);
    wide_events(&mut plan);
    Layout {
        width: 1112.0,
        height: 572.0,
        nodes,
        edges: plan.0,
        plain_edges: true,
        // Above everything that calls, where nothing else stands.
        spare: [154.0, 16.0, 292.0].map(|x| Rect::new(x, 44.0, 132.0, 44.0)),
    }
}

fn wide_calls(plan: &mut Plan) {
    use Anchor::{End, Middle};
    let call = EdgeKind::Call;
    let curve = Curve::across(at(108.0, 194.0), at(208.0, 236.0));
    plan.add((s::BROWSER, s::GATEWAY), call, curve, (at(158.0, 178.0), Middle));
    plan.second(at(158.0, 126.0));
    let curve = Curve::across(at(108.0, 296.0), at(208.0, 252.0));
    plan.add((s::LOAD, s::GATEWAY), call, curve, (at(154.0, 310.0), Middle));
    plan.badge(at(82.0, 332.0));
    // Its line meets the browser's at the gateway.
    plan.breaker(0.55);
    plan.stagger(0.25);
    plan.second(at(92.0, 352.0));
    let curve = Curve::across(at(328.0, 228.0), at(452.0, 78.0));
    plan.add((s::GATEWAY, s::CATALOG), call, curve, (at(363.0, 137.0), Middle));
    plan.breaker(0.77);
    plan.second(at(276.0, 160.0));
    let curve = Curve::across(at(328.0, 240.0), at(452.0, 176.0));
    plan.add((s::GATEWAY, s::USERS), call, curve, (at(419.0, 216.0), Middle));
    plan.breaker(0.77);
    plan.badge(at(404.0, 242.0));
    let curve = Curve::across(at(328.0, 264.0), at(452.0, 322.0));
    plan.add((s::GATEWAY, s::ORDERS), call, curve, (at(367.0, 300.0), Middle));
    plan.breaker(0.81);
    // Below the lines of orders, then up beside the box: the label of the first version stands
    // above its breaker, that of the second below the corridor.
    let straight = [at(328.0, 252.0), at(430.0, 254.0), at(520.0, 254.0), at(600.0, 254.0)];
    let rise = [at(600.0, 254.0), at(680.0, 254.0), at(640.0, 134.75), at(720.0, 134.75)];
    let curve = Curve(vec![straight, rise]);
    plan.add((s::GATEWAY, s::PAYMENTS), call, curve, (at(667.0, 108.0), Middle));
    plan.breaker(0.95);
    plan.badge(at(466.0, 254.0));
    plan.second(at(667.0, 271.0));
    let curve = Curve::down(at(268.0, 274.0), at(268.0, 378.0));
    plan.add((s::GATEWAY, s::RECOMMENDATIONS), call, curve, (at(253.0, 338.0), End));
    plan.breaker(0.6);
    plan.badge(at(231.0, 313.0));
}

fn wide_orders(plan: &mut Plan) {
    use Anchor::{End, Middle, Start};
    let call = EdgeKind::Call;
    // Straight up between the two boxes: beside them the lines to catalog and payments run.
    let curve = Curve::down(at(560.0, 293.0), at(560.0, 205.0));
    plan.add((s::ORDERS, s::USERS), call, curve, (at(549.0, 222.0), End));
    plan.badge(at(560.0, 268.0));
    let curve = Curve::bow(at(576.0, 312.0), at(576.0, 88.0), 56.0);
    plan.add((s::ORDERS, s::CATALOG), call, curve, (at(586.0, 56.0), Start));
    plan.breaker(0.88);
    plan.second(at(586.0, 22.0));
    plan.badge(at(634.0, 305.0));
    let across = [at(576.0, 322.0), at(720.0, 322.0), at(640.0, 226.0), at(720.0, 226.0)];
    let curve = Curve(vec![across]);
    plan.add((s::ORDERS, s::PAYMENTS), call, curve, (at(650.0, 344.0), Middle));
    plan.optional();
    let curve = Curve::across(at(576.0, 336.0), at(680.0, 406.0));
    plan.add((s::ORDERS, s::INVENTORY), call, curve, (at(604.0, 392.0), Middle));
    plan.optional();
}

/// The load generator fills shelves and wallets again. No customer does that, and the lines would
/// run around everything else: they are drawn only while there is something to see on them.
fn wide_refills(plan: &mut Plan) {
    use Anchor::Middle;
    let call = EdgeKind::Call;
    let rise = [at(92.0, 271.0), at(150.0, 190.0), at(120.0, 24.0), at(240.0, 24.0)];
    let along = [at(240.0, 24.0), at(460.0, 24.0), at(732.0, 24.0), at(932.0, 24.0)];
    let fall = [at(932.0, 24.0), at(1002.0, 24.0), at(1024.0, 26.0), at(1024.0, 42.0)];
    let curve = Curve(vec![rise, along, fall]);
    plan.add((s::LOAD, s::BANK_CUSTOMER), call, curve, (at(330.0, 46.0), Middle));
    plan.breaker(0.93);
    plan.optional();
    plan.folded();
    let fall = [at(62.0, 321.0), at(62.0, 440.0), at(60.0, 492.0), at(190.0, 492.0)];
    let along = [at(190.0, 492.0), at(330.0, 492.0), at(440.0, 492.0), at(560.0, 492.0)];
    let rise = [at(560.0, 492.0), at(640.0, 492.0), at(630.0, 422.0), at(680.0, 422.0)];
    let curve = Curve(vec![fall, along, rise]);
    plan.add((s::LOAD, s::INVENTORY), call, curve, (at(410.0, 476.0), Middle));
    plan.breaker(0.9);
    plan.optional();
    plan.folded();
}

/// Straight lines, each with its label below it and its badges above.
fn wide_banks(plan: &mut Plan) {
    // The payment provider is for orders paid by card.
    for (name, y) in [(s::BANK_CUSTOMER, 71.0), (s::BANK_MERCHANT, 163.0), (s::STRIPE, 252.0)] {
        let (curve, x) = (Curve::across(at(860.0, y), at(956.0, y)), 908.0);
        let label = (at(x, y + 25.0), Anchor::Middle);
        plan.add((s::PAYMENTS, name), EdgeKind::Commit, curve, label);
        plan.breaker(0.5);
        plan.badge(at(x, y - 21.0));
    }
}

fn wide_events(plan: &mut Plan) {
    let message = EdgeKind::Message;
    let drops = [
        (s::RECOMMENDATIONS, at(268.0, 462.0), at(284.0, 492.0), Anchor::Start),
        (s::ORDERS, at(514.0, 351.0), at(528.0, 448.0), Anchor::Start),
        (s::INVENTORY, at(744.0, 435.0), at(730.0, 480.0), Anchor::End),
        (s::PAYMENTS, at(840.0, 260.0), at(826.0, 336.0), Anchor::End),
    ];
    for (name, from, label, anchor) in drops {
        let curve = Curve::down(from, at(from.x, 522.0));
        plan.add((name, s::BUS), message, curve, (label, anchor));
        // The breaker is the bus's, for deliveries to the service.
        plan.breaker(0.22);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_place_and_no_two_boxes_overlap() {
        let layout = wide();
        for known in s::SERVICES {
            assert!(layout.node(known.name).is_some(), "{}", known.name);
        }
        for layout in [wide(), phone()] {
            for (i, a) in layout.nodes.iter().enumerate() {
                for b in &layout.nodes[i + 1..] {
                    let (r, q) = (a.rect, b.rect);
                    let apart = r.x + r.w <= q.x
                        || q.x + q.w <= r.x
                        || r.y + r.h <= q.y
                        || q.y + q.h <= r.y;
                    assert!(apart, "{} and {}", a.name, b.name);
                }
            }
        }
    }

    #[test]
    fn planned_edges_begin_and_end_at_the_boxes_they_join() {
        let touches = |rect: Rect, p: Point| {
            let inside = |v: f64, low: f64, size: f64| v >= low - 1.0 && v <= low + size + 1.0;
            inside(p.x, rect.x, rect.w) && inside(p.y, rect.y, rect.h)
        };
        for layout in [wide(), phone()] {
            for edge in &layout.edges {
                let ends = (layout.node(&edge.from).unwrap(), layout.node(&edge.to).unwrap());
                assert!(touches(ends.0.rect, edge.curve.point(0.0)), "{} leaves", edge.from);
                assert!(touches(ends.1.rect, edge.curve.point(1.0)), "{} arrives", edge.to);
            }
        }
    }

    #[test]
    fn the_versions_of_a_service_stand_inside_its_box_and_apart() {
        for layout in [wide(), phone()] {
            for node in &layout.nodes {
                let NodeKind::Group(stack) = node.kind else { continue };
                for count in 1..=3 {
                    let boxes = stack.boxes(node.rect, count);
                    for (i, one) in boxes.iter().enumerate() {
                        let (r, whole) = (*one, node.rect);
                        assert!(r.w > 30.0 && r.h > 10.0, "{}: {r:?}", node.name);
                        assert!(r.x >= whole.x && r.x + r.w <= whole.x + whole.w, "{}", node.name);
                        assert!(r.y >= whole.y && r.y + r.h <= whole.y + whole.h, "{}", node.name);
                        for q in &boxes[i + 1..] {
                            assert!(r.x + r.w <= q.x || r.y + r.h <= q.y, "{}", node.name);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_arrowhead_points_along_its_line() {
        let right = Curve::across(at(0.0, 0.0), at(100.0, 0.0));
        assert!(right.angle(0.6).abs() < 1e-9);
        let down = Curve::down(at(0.0, 0.0), at(0.0, 100.0));
        assert!((down.angle(0.6) - 90.0).abs() < 1e-9);
    }
}
