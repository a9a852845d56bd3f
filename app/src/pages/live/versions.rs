//! Versions of a service on the map: a node each inside their service, with a line and a breaker of
//! their own. Pure geometry and texts.

use super::{
    layout::{Anchor, EdgeShape, NodeKind, NodeShape, Rect, Stack, at},
    scene::{self, Health},
};
use crate::model::format;
use contract::{
    live::{EdgeKind, MapView},
    resilience::{EndpointLine, EndpointState},
    traffic::{HostMesh, LaneView, MeshView},
};

/// One instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dot {
    /// Takes calls.
    Up,
    /// Its process is down.
    Down,
    /// Its process stands still.
    Paused,
    /// Outlier detection keeps it out.
    Ejected,
}

impl Dot {
    /// Its class: filled, hollow, halved, dashed.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Up => "dot-up",
            Self::Down => "dot-down",
            Self::Paused => "dot-paused",
            Self::Ejected => "dot-ejected",
        }
    }
}

/// The instances of a service, or of one version of it.
#[must_use]
pub fn dots(mesh: &MeshView, service: &str, subset: Option<&str>) -> Vec<Dot> {
    let mine = |line: &&EndpointLine| {
        line.service == service && (subset.is_none() || line.subset.as_deref() == subset)
    };
    let dot = |line: &EndpointLine| match line.state {
        EndpointState::Ready => Dot::Up,
        EndpointState::Down { .. } => Dot::Down,
        EndpointState::Paused { .. } => Dot::Paused,
        EndpointState::Ejected { .. } => Dot::Ejected,
    };
    mesh.endpoints.iter().filter(mine).map(dot).collect()
}

/// How many of some instances take calls, and how many there are; none of none.
#[must_use]
pub fn counted(dots: &[Dot]) -> Option<(u32, u32)> {
    let up = dots.iter().filter(|dot| **dot == Dot::Up).count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (!dots.is_empty()).then(|| (number(up), number(dots.len())))
}

/// What instances that take no calls are, in words: "1 ejected, 1 paused".
#[must_use]
pub fn missing(dots: &[Dot]) -> String {
    let words = [(Dot::Down, "down"), (Dot::Paused, "paused"), (Dot::Ejected, "ejected")];
    let count = |(dot, word)| match dots.iter().filter(|d| **d == dot).count() {
        0 => None,
        count => Some(format!("{count} {word}")),
    };
    words.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// The host of a node that is drawn with versions inside, and how they stand.
fn group<'a>(node: &NodeShape, mesh: &'a MeshView) -> Option<(&'a HostMesh, Stack)> {
    let NodeKind::Group(stack) = node.kind else { return None };
    let host = mesh.hosts.iter().find(|host| host.service == node.name)?;
    (host.lanes.len() > 1).then_some((host, stack))
}

/// The services as they are drawn: one that has a box for versions, and none to put there, as a
/// service like any other.
#[must_use]
pub fn whole(mut services: Vec<NodeShape>, mesh: &MeshView) -> Vec<NodeShape> {
    for node in &mut services {
        if matches!(node.kind, NodeKind::Group(_)) && group(node, mesh).is_none() {
            node.kind = NodeKind::Service;
        }
    }
    services
}

/// The boxes of one service's versions.
fn boxes_of(node: &NodeShape, mesh: &MeshView) -> Vec<(String, Rect)> {
    let Some((host, stack)) = group(node, mesh) else { return Vec::new() };
    let count = u32::try_from(host.lanes.len()).unwrap_or(u32::MAX);
    let names = host.lanes.iter().map(|lane| lane.subset.clone());
    names.zip(stack.boxes(node.rect, count)).collect()
}

/// A node for each version of each service that has several.
#[must_use]
pub fn nodes(services: &[NodeShape], mesh: &MeshView) -> Vec<NodeShape> {
    let of = |node: &NodeShape| {
        let boxes = boxes_of(node, mesh);
        let (name, kind) = (node.name.clone(), node.kind);
        boxes.into_iter().map(move |(subset, rect)| NodeShape {
            name: name.clone(),
            rect,
            kind,
            subset: Some(subset),
        })
    };
    services.iter().flat_map(of).collect()
}

/// Lines to services with versions, split into one for each version that a route can reach.
#[must_use]
pub fn split(
    edges: Vec<EdgeShape>,
    services: &[NodeShape],
    map: &MapView,
    mesh: &MeshView,
) -> Vec<EdgeShape> {
    let mut out = Vec::new();
    for edge in edges {
        let target = services.iter().find(|node| node.name == edge.to);
        let parts = target.map(|node| parts_of(&edge, node, map, mesh)).unwrap_or_default();
        if parts.is_empty() {
            out.push(edge);
        } else {
            out.extend(parts);
        }
    }
    out
}

fn parts_of(edge: &EdgeShape, node: &NodeShape, map: &MapView, mesh: &MeshView) -> Vec<EdgeShape> {
    if edge.kind == EdgeKind::Message {
        return Vec::new();
    }
    let found =
        map.edges.iter().find(|e| e.from == edge.from && e.to == edge.to && e.kind == edge.kind);
    // Calls that no route sends to a version, or has sent there, stay one line.
    let pooled = mesh.hosts.iter().any(|host| host.service == edge.to && host.pooled);
    if pooled || found.is_some_and(|found| found.subsets.is_empty() && found.calls > 0) {
        return Vec::new();
    }
    let carried = |name: &str| found.is_some_and(|f| f.subsets.iter().any(|s| s.subset == name));
    let boxes = boxes_of(node, mesh).into_iter().enumerate();
    let parts = boxes.filter(|(_, (name, _))| edge.always || carried(name));
    parts.map(|(at, (name, rect))| part(edge, node.rect, at, name, rect)).collect()
}

/// One of several lines to a service: it ends at the side where the whole line would, at the
/// height (or above the middle) of its version.
fn part(edge: &EdgeShape, whole: Rect, index: usize, subset: String, own: Rect) -> EdgeShape {
    let (end, middle) = (edge.curve.point(1.0), own.centre());
    let left = end.x <= whole.x + 1.0;
    let right = end.x >= whole.x + whole.w - 1.0;
    let end = match (left, right) {
        (true, _) => at(whole.x, middle.y),
        (_, true) => at(whole.x + whole.w, middle.y),
        _ if end.y <= whole.y + 1.0 => at(middle.x, whole.y),
        _ => at(middle.x, whole.y + whole.h),
    };
    let curve = edge.curve.ending(end);
    #[expect(clippy::cast_precision_loss, reason = "a handful of versions")]
    let nth = index as f64;
    let breaker = (edge.breaker - edge.stagger * nth).max(0.1);
    let sits = curve.point(breaker);
    let (label, anchor) = match (left || right, edge.second) {
        (true, _) if index == 0 => (edge.label, edge.anchor),
        (true, Some(second)) => (at(second.x, second.y + BELOW * (nth - 1.0)), edge.anchor),
        (true, None) => (at(edge.label.x, edge.label.y + BELOW * nth), edge.anchor),
        (false, _) if index == 0 => (at(sits.x - 15.0, sits.y + 4.0), Anchor::End),
        (false, _) => (at(sits.x + 15.0, sits.y + 4.0), Anchor::Start),
    };
    EdgeShape { subset: Some(subset), curve, label, anchor, breaker, nth: index, ..edge.clone() }
}

/// From the label of one version to that of the next.
const BELOW: f64 = 32.0;

/// How a version looks now.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionFace {
    /// Place among the versions, for the texture.
    pub index: usize,
    /// Share its weight stands for: "90%".
    pub weight: String,
    /// Its instances.
    pub dots: Vec<Dot>,
    /// "4/4", "1/2 up".
    pub count: String,
    /// Calls per second: "2.7/s".
    pub rate: String,
    /// Its 95th percentile; empty without calls.
    pub p95: String,
    /// Calls per second of the last minute.
    pub spark: Vec<f32>,
    /// The worse of its failures and its slowness.
    pub health: Health,
    /// Share its weight stands for, 0 to 1.
    pub configured: f64,
    /// Share it really gets, 0 to 1.
    pub observed: f64,
    /// All of it in one sentence.
    pub name: String,
}

/// The face of one version; none when its service has it no more.
#[must_use]
pub fn face(mesh: &MeshView, service: &str, subset: &str) -> Option<VersionFace> {
    let host = mesh.hosts.iter().find(|host| host.service == service)?;
    let index = host.lanes.iter().position(|lane| lane.subset == subset)?;
    let lane = host.lanes.get(index)?;
    let (ready, all) = (lane.ready, lane.instances);
    let up = if ready < all { " up" } else { "" };
    let dots = dots(mesh, service, Some(subset));
    Some(VersionFace {
        index,
        weight: format::share(lane.configured),
        count: format!("{ready}/{all}{up}"),
        rate: format::rate(lane.per_second),
        p95: lane.p95_ms.map(format::duration_ms).unwrap_or_default(),
        spark: lane.spark.clone(),
        health: health(lane),
        configured: lane.configured.clamp(0.0, 1.0),
        observed: lane.observed.unwrap_or(0.0).clamp(0.0, 1.0),
        name: sentence(service, lane, &missing(&dots)),
        dots,
    })
}

fn health(lane: &LaneView) -> Health {
    if lane.calls == 0 {
        return Health::Idle;
    }
    match (scene::of_share(lane.error_share), scene::of_p95(lane.p95_ms)) {
        (Health::Error, _) | (_, Health::Error) => Health::Error,
        (Health::Warn, _) | (_, Health::Warn) => Health::Warn,
        _ => Health::Ok,
    }
}

fn sentence(service: &str, lane: &LaneView, missing: &str) -> String {
    let observed = lane.observed.map_or("no calls".into(), format::share);
    let mut name = format!(
        "{service} {}: configured {}, observed {observed}, {} of {} up",
        lane.subset,
        format::share(lane.configured),
        lane.ready,
        format::plural(lane.instances.into(), "instance", "instances"),
    );
    if !missing.is_empty() {
        name.push_str(&format!(" ({missing})"));
    }
    if lane.calls > 0 {
        name.push_str(&format!(
            ", {}, {} failed",
            format::rate(lane.per_second),
            format::share(lane.error_share)
        ));
    }
    if let Some(p95) = lane.p95_ms {
        name.push_str(&format!(", p95 {}", format::duration_ms(p95)));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::live::layout;
    use contract::live::{EdgeView, SubsetEdge};

    fn lane(subset: &str, configured: f64, ready: u32) -> LaneView {
        LaneView {
            subset: subset.into(),
            configured,
            observed: Some(configured),
            per_second: 3.0 * configured,
            calls: 180,
            error_share: if subset == "v2" { 0.063 } else { 0.0 },
            p95_ms: Some(if subset == "v2" { 2_180.0 } else { 198.0 }),
            ready,
            instances: 3,
            spark: vec![1.0, 2.0],
        }
    }

    fn mesh() -> MeshView {
        let line = |n: u32, state| EndpointLine {
            instance: format!("payments-v2-{n}"),
            service: "payments".into(),
            subset: Some("v2".into()),
            state,
            ejected_until_us: None,
        };
        let ejected = EndpointState::Ejected { since_us: 0, until_us: 9, times: 1 };
        MeshView {
            hosts: vec![HostMesh {
                service: "payments".into(),
                lanes: vec![lane("v1", 0.9, 3), lane("v2", 0.1, 1)],
                ..HostMesh::default()
            }],
            endpoints: vec![
                line(1, EndpointState::Ready),
                line(2, ejected),
                line(3, EndpointState::Paused { back_us: None }),
            ],
            ..MeshView::default()
        }
    }

    fn edge(subsets: &[&str]) -> EdgeView {
        let part = |subset: &&str| SubsetEdge {
            subset: (*subset).into(),
            per_second: 1.0,
            error_share: 0.0,
            p95_ms: None,
            calls: 60,
            breaker: None,
        };
        EdgeView {
            from: "gateway".into(),
            to: "payments".into(),
            kind: EdgeKind::Call,
            per_second: 1.0,
            error_share: 0.0,
            p95_ms: None,
            calls: 60,
            breaker: None,
            subsets: subsets.iter().map(part).collect(),
            fallback: None,
        }
    }

    #[test]
    fn a_line_to_a_service_with_versions_becomes_one_for_each_that_ends_at_its_box() {
        for layout in [layout::wide(), layout::phone()] {
            let map = MapView { edges: vec![edge(&["v1", "v2"])], ..MapView::default() };
            let services = layout.nodes.clone();
            let shapes = split(layout.edges.clone(), &services, &map, &mesh());
            let to: Vec<_> =
                shapes.iter().filter(|e| e.from == "gateway" && e.to == "payments").collect();
            let names: Vec<_> = to.iter().map(|e| e.subset.as_deref().unwrap_or("")).collect();
            assert_eq!(names, ["v1", "v2"]);
            let boxes = nodes(&services, &mesh());
            for (edge, own) in to.iter().zip(&boxes) {
                let (end, rect) = (edge.curve.point(1.0), own.rect);
                let beside = end.y >= rect.y && end.y <= rect.y + rect.h;
                let above = end.x >= rect.x && end.x <= rect.x + rect.w;
                assert!(beside || above, "{:?} ends at {end:?}", edge.subset);
            }
            assert_ne!(to[0].curve.point(1.0), to[1].curve.point(1.0));
        }
    }

    #[test]
    fn calls_that_no_route_sent_to_a_version_stay_one_line() {
        let layout = layout::wide();
        let map = MapView { edges: vec![edge(&[])], ..MapView::default() };
        let shapes = split(layout.edges.clone(), &layout.nodes, &map, &mesh());
        let to = shapes.iter().filter(|e| e.from == "gateway" && e.to == "payments");
        assert_eq!(to.map(|e| e.subset.clone()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn calls_to_whichever_instance_is_next_stay_one_line_also_while_there_are_none() {
        let layout = layout::wide();
        let mut mesh = mesh();
        mesh.hosts[0].pooled = true;
        for edges in [Vec::new(), vec![edge(&["v1", "v2"])]] {
            let map = MapView { edges, ..MapView::default() };
            let shapes = split(layout.edges.clone(), &layout.nodes, &map, &mesh);
            let to = shapes.iter().filter(|e| e.from == "gateway" && e.to == "payments");
            assert_eq!(to.map(|e| e.subset.clone()).collect::<Vec<_>>(), [None]);
        }
        assert_eq!(nodes(&layout.nodes, &mesh).len(), 2, "its versions stand inside all the same");
    }

    #[test]
    fn a_service_without_versions_is_drawn_like_any_other_whatever_box_it_has() {
        for layout in [layout::wide(), layout::phone()] {
            let drawn = whole(layout.nodes, &mesh());
            let kind = |name: &str| drawn.iter().find(|node| node.name == name).unwrap().kind;
            assert!(matches!(kind("payments"), NodeKind::Group(_)), "it has two versions");
            for name in ["gateway", "catalog", "recommendations", "users"] {
                assert_eq!(kind(name), NodeKind::Service, "{name}");
            }
        }
    }

    #[test]
    fn a_version_says_its_weight_its_numbers_and_what_became_of_its_instances() {
        let face = face(&mesh(), "payments", "v2").unwrap();
        assert_eq!((face.weight.as_str(), face.count.as_str()), ("10%", "1/3 up"));
        assert_eq!(face.dots, [Dot::Up, Dot::Ejected, Dot::Paused]);
        assert_eq!(face.health, Health::Error);
        assert_eq!(
            face.name,
            "payments v2: configured 10%, observed 10%, 1 of 3 instances up (1 paused, 1 ejected), \
             0.3/s, 6.3% failed, p95 2.18 s"
        );
        assert_eq!(super::face(&mesh(), "payments", "v3"), None);
    }
}
