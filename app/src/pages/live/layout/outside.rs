//! Where services stand that nobody planned for: what resources bring along, outside the shop.

use super::{Anchor, Curve, EdgeShape, Layout, NodeShape, Rect, above, at, planned};
use contract::live::EdgeKind;

/// Places for services outside the shop; what is beyond stands in the table only.
pub const SPARE_PLACES: usize = 3;

impl Layout {
    /// The box of the n-th service without a place of its own; none when all are taken.
    #[must_use]
    pub fn spare(&self, n: usize) -> Option<Rect> {
        self.spare.get(n).copied()
    }

    /// A plain curve between two boxes that no edge was planned for.
    #[must_use]
    pub fn plain(from: &NodeShape, to: &NodeShape, kind: EdgeKind) -> EdgeShape {
        let (a, b) = (from.rect, to.rect);
        if b.y + b.h + WELL_ABOVE <= a.y {
            return Self::up(from, to, kind);
        }
        let curve = if b.x >= a.x + a.w {
            Curve::across(at(a.x + a.w, a.centre().y), at(b.x, b.centre().y))
        } else if a.x >= b.x + b.w {
            Curve::across(at(a.x, a.centre().y), at(b.x + b.w, b.centre().y))
        } else if b.y >= a.y + a.h {
            Curve::down(at(a.centre().x, a.y + a.h), at(b.centre().x, b.y))
        } else {
            Curve::down(at(a.centre().x, a.y), at(b.centre().x, b.y + b.h))
        };
        let middle = curve.point(0.5);
        EdgeShape {
            from: from.name.clone(),
            to: to.name.clone(),
            kind,
            subset: None,
            curve,
            label: at(middle.x, middle.y - 4.0),
            anchor: Anchor::Middle,
            breaker: 0.82,
            always: false,
            folded: false,
            stagger: 0.0,
            second: None,
            badge: above(middle, Anchor::Middle),
            nth: 0,
        }
    }

    /// The same to a box well above: straight up, with breaker and label right below the end, clear
    /// of what stands between the two.
    fn up(from: &NodeShape, to: &NodeShape, kind: EdgeKind) -> EdgeShape {
        let (a, b) = (from.rect, to.rect);
        let end = at(b.centre().x, b.y + b.h);
        let start = at(end.x.clamp(a.x + 12.0, a.x + a.w - 12.0), a.y);
        let curve = Curve(vec![[start, at(start.x, end.y + 60.0), at(end.x, a.y - 40.0), end]]);
        let badge = curve.point(0.4);
        // On the side that the line does not come from.
        let label = match end.x < start.x {
            true => (at(end.x - 16.0, end.y + 18.0), Anchor::End),
            false => (at(end.x + 16.0, end.y + 18.0), Anchor::Start),
        };
        let ends = (from.name.as_str(), to.name.as_str());
        EdgeShape { breaker: 0.86, always: false, badge, ..planned(ends, kind, curve, label) }
    }
}

/// From a box up to one above it, where a line goes straight up rather than around.
const WELL_ABOVE: f64 = 80.0;

#[cfg(test)]
mod tests {
    use super::super::{NodeKind, Point, node, phone, wide};
    use super::*;
    use contract::service as s;

    #[test]
    fn services_nobody_planned_for_get_places_of_their_own_until_all_are_taken() {
        for layout in [wide(), phone()] {
            let places: Vec<_> = (0..SPARE_PLACES).filter_map(|n| layout.spare(n)).collect();
            assert_eq!(places.len(), SPARE_PLACES);
            assert_eq!(layout.spare(SPARE_PLACES), None);
            let planned = layout.nodes.iter().map(|node| node.rect);
            for (i, place) in places.iter().enumerate() {
                assert!(place.x >= 0.0 && place.x + place.w <= layout.width, "{place:?}");
                for other in planned.clone().chain(places[i + 1..].iter().copied()) {
                    let beside = place.x + place.w <= other.x || other.x + other.w <= place.x;
                    let apart = place.y + place.h <= other.y || other.y + other.h <= place.y;
                    assert!(beside || apart, "{place:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_said_of_calls_to_the_outside_stands_clear_of_every_other_label() {
        let layout = wide();
        let gateway = layout.node(s::GATEWAY).unwrap();
        // Two lines of text, as wide as those get.
        let room = |label: Point, anchor: Anchor| {
            let left = match anchor {
                Anchor::Start => label.x,
                Anchor::Middle => label.x - 30.0,
                Anchor::End => label.x - 60.0,
            };
            Rect::new(left, label.y - 11.0, 60.0, 28.0)
        };
        let second = |edge: &EdgeShape| edge.second.map(|label| room(label, edge.anchor));
        let mut others: Vec<_> = layout
            .edges
            .iter()
            .filter(|edge| !edge.folded)
            .map(|e| room(e.label, e.anchor))
            .collect();
        others.extend(layout.edges.iter().filter_map(second));
        others.extend(layout.nodes.iter().map(|node| node.rect));
        for n in 0..SPARE_PLACES {
            let to = node("echo.internal", NodeKind::Caller, layout.spare(n).unwrap());
            let edge = Layout::plain(gateway, &to, EdgeKind::Call);
            let own = room(edge.label, edge.anchor);
            for other in others.iter().chain([&to.rect]) {
                let beside = own.x + own.w <= other.x || other.x + other.w <= own.x;
                let apart = own.y + own.h <= other.y || other.y + other.h <= own.y;
                assert!(beside || apart, "{n}: {own:?} and {other:?}");
            }
            others.push(own);
        }
    }

    #[test]
    fn a_plain_edge_leaves_on_the_side_of_its_target() {
        let layout = wide();
        let (users, gateway) = (layout.node(s::USERS).unwrap(), layout.node(s::GATEWAY).unwrap());
        let edge = Layout::plain(users, gateway, EdgeKind::Call);
        assert_eq!(edge.curve.point(0.0).x, users.rect.x);
        assert_eq!(edge.curve.point(1.0).x, gateway.rect.x + gateway.rect.w);
    }
}
