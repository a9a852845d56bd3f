//! Where an arrow key leads on the map: along edges. From a node onto one of its edges, from an
//! edge to the node at its end or to the next edge beside it. Pure geometry.

use super::layout::Point;

/// A direction of the arrow keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
}

/// What of the map can have the focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A service.
    Node(String),
    /// An edge between two of them.
    Edge(String, String),
    /// A version, a badge.
    Other,
}

impl Stop {
    /// Whether this is an edge of that service.
    fn touches(&self, name: &str) -> bool {
        matches!(self, Self::Edge(from, to) if from == name || to == name)
    }
}

/// How far a point lies in a direction, and how far beside it.
fn offset(from: Point, to: Point, direction: Direction) -> (f64, f64) {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    match direction {
        Direction::Left => (-dx, dy),
        Direction::Right => (dx, dy),
        Direction::Up => (-dy, dx),
        Direction::Down => (dy, dx),
    }
}

/// The nearest of some points in a direction; what lies sideways counts for more.
#[must_use]
pub fn nearest(from: Point, points: &[Point], direction: Direction) -> Option<usize> {
    among(from, points, direction, |_| true)
}

fn among(
    from: Point,
    points: &[Point],
    direction: Direction,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let cost = |point: &Point| {
        let (ahead, aside) = offset(from, *point, direction);
        (ahead > 1.0).then(|| ahead + 3.0 * aside.abs())
    };
    let fitting = points.iter().enumerate().filter(|(i, _)| fits(*i));
    let costs = fitting.filter_map(|(i, point)| Some((i, cost(point)?)));
    costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// Where the focus goes from one of the stops; their middles stand in `points`.
#[must_use]
pub fn next(stops: &[Stop], points: &[Point], at: usize, direction: Direction) -> Option<usize> {
    let (stop, from) = (stops.get(at)?, *points.get(at)?);
    let fits = |wanted: &dyn Fn(&Stop) -> bool| {
        let fit = |i: usize| i != at && stops.get(i).is_some_and(wanted);
        among(from, points, direction, fit)
    };
    let along = match stop {
        Stop::Node(name) => fits(&|other| other.touches(name)),
        Stop::Edge(a, b) => {
            let end = |other: &Stop| matches!(other, Stop::Node(name) if name == a || name == b);
            // Where both ends lie more beside than ahead, the key means the next edge.
            let ahead = |i: &usize| {
                let (ahead, aside) = offset(from, points[*i], direction);
                ahead >= aside.abs()
            };
            let beside = |other: &Stop| other.touches(a) || other.touches(b);
            fits(&end).filter(ahead).or_else(|| fits(&beside)).or_else(|| fits(&end))
        }
        Stop::Other => None,
    };
    along.or_else(|| nearest(from, points, direction))
}

#[cfg(test)]
mod tests {
    use super::{super::layout::at, *};

    #[test]
    fn without_edges_an_arrow_goes_to_the_nearest_thing_in_its_direction() {
        let points = [at(0.0, 0.0), at(100.0, 5.0), at(60.0, 90.0), at(-40.0, 0.0)];
        assert_eq!(nearest(points[0], &points, Direction::Right), Some(1));
        assert_eq!(nearest(points[0], &points, Direction::Left), Some(3));
        assert_eq!(nearest(points[0], &points, Direction::Down), Some(2));
        assert_eq!(nearest(points[0], &points, Direction::Up), None);
    }

    /// gateway calls catalog (above right) and orders (below right); orders calls the bus below.
    fn world() -> (Vec<Stop>, Vec<Point>) {
        let node = |name: &str| Stop::Node(name.into());
        let edge = |from: &str, to: &str| Stop::Edge(from.into(), to.into());
        let all = [
            (node("gateway"), at(0.0, 0.0)),
            (node("catalog"), at(200.0, -60.0)),
            (node("orders"), at(200.0, 60.0)),
            (node("bus"), at(200.0, 260.0)),
            (edge("gateway", "catalog"), at(100.0, -30.0)),
            (edge("gateway", "orders"), at(100.0, 30.0)),
            (edge("orders", "bus"), at(200.0, 160.0)),
            // A badge that is nearer than any edge.
            (Stop::Other, at(20.0, 0.0)),
        ];
        all.into_iter().unzip()
    }

    #[test]
    fn arrows_lead_from_a_node_over_its_edge_to_the_next_node_and_back() {
        let (stops, points) = world();
        let go = |at: usize, direction| next(&stops, &points, at, direction).unwrap();
        // Over the badge in the way,
        let edge = go(0, Direction::Right);
        assert_eq!(stops[edge], Stop::Edge("gateway".into(), "catalog".into()));
        assert_eq!(stops[go(edge, Direction::Right)], Stop::Node("catalog".into()));
        assert_eq!(stops[go(edge, Direction::Left)], Stop::Node("gateway".into()));
        // down a vertical one,
        let down = go(2, Direction::Down);
        assert_eq!(stops[down], Stop::Edge("orders".into(), "bus".into()));
        assert_eq!(stops[go(down, Direction::Down)], Stop::Node("bus".into()));
        assert_eq!(stops[go(down, Direction::Up)], Stop::Node("orders".into()));
    }

    #[test]
    fn up_and_down_on_an_edge_lead_to_the_next_edge_of_the_same_service() {
        let (stops, points) = world();
        let down = next(&stops, &points, 4, Direction::Down).unwrap();
        assert_eq!(stops[down], Stop::Edge("gateway".into(), "orders".into()));
        assert_eq!(next(&stops, &points, down, Direction::Up), Some(4));
    }
}
