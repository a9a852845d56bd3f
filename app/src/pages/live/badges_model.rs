//! What the mesh adds to the map: badges of faults, splits and mirrors, and the lanes of a service
//! with several versions. Pure geometry and texts.

use super::layout::{EdgeShape, NodeKind, NodeShape, Point, Rect, at};
use crate::model::{fault::percent, format};
use contract::{
    live::EdgeKind,
    resilience::{FaultView, FaultsView},
    service,
    traffic::{HostMesh, MeshView},
};

/// What a badge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeKind {
    /// A fault is in force here.
    Fault,
    /// Requests are split between versions.
    Split,
    /// Requests are mirrored.
    Mirror,
}

/// One badge: leads to the resource it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct BadgeFace {
    /// What it says.
    pub kind: BadgeKind,
    /// Its text: `F-21`, `90/10`, `mirror 20%`.
    pub text: String,
    /// All of it in one sentence.
    pub name: String,
    /// Address of its resource on this site.
    pub href: String,
    /// Its box.
    pub rect: Rect,
}

/// Width of one letter of a badge, at its largest.
const LETTER: f64 = 7.4;
/// Height of a badge.
const HEIGHT: f64 = 17.0;
/// Space between two badges.
const GAP: f64 = 4.0;
/// A row of badges may be so wide over a box that is narrower.
const OVERHANG: f64 = 190.0;

fn width(kind: BadgeKind, text: &str) -> f64 {
    let letters = text.chars().map(|_| LETTER).sum::<f64>();
    letters + if kind == BadgeKind::Fault { 24.0 } else { 12.0 }
}

fn badge(kind: BadgeKind, text: String, name: String, href: String) -> BadgeFace {
    let rect = Rect { x: 0.0, y: 0.0, w: width(kind, &text), h: HEIGHT };
    BadgeFace { kind, text, name, href, rect }
}

fn of_fault(fault: &FaultView) -> BadgeFace {
    let name = format!("Fault {}: {}, {}", fault.id, fault.what, fault.place);
    let href = format!("/resilience?fault={}#faults", fault.id);
    badge(BadgeKind::Fault, fault.id.clone(), name, href)
}

/// Every badge with its place. Edges carry the faults on them; nodes the rest: on a wide screen on
/// their corner, on a phone, where lines and labels arrive there, faults alone and inside.
#[must_use]
pub fn badges(
    nodes: &[NodeShape],
    edges: &[EdgeShape],
    faults: &FaultsView,
    mesh: &MeshView,
    phone: bool,
) -> Vec<BadgeFace> {
    let mut out = Vec::new();
    let mut on_nodes: Vec<(&str, BadgeFace)> = Vec::new();
    // Of the lines to several versions the first: a fault is on the way to all of them.
    let first = |(at, edge): (usize, &EdgeShape)| {
        let same = |other: &EdgeShape| other.from == edge.from && other.to == edge.to;
        !edges.get(..at).unwrap_or_default().iter().any(same)
    };
    let calls = edges.iter().enumerate().filter(|(_, edge)| edge.kind != EdgeKind::Message);
    for (_, edge) in calls.filter(|call| first(*call)) {
        let here = faults.active.iter().filter(|fault| is_on(fault, edge));
        put(&mut out, here.map(of_fault).collect(), edge.badge, false);
    }
    for fault in faults.active.iter().filter(|fault| stands_on_node(fault, edges)) {
        on_nodes.push((&fault.to, of_fault(fault)));
    }
    for host in mesh.hosts.iter().filter(|_| !phone) {
        on_nodes.extend(of_host(host).into_iter().map(|badge| (host.service.as_str(), badge)));
    }
    for node in nodes {
        let mine = on_nodes.iter().filter(|(name, _)| *name == node.name);
        let Rect { x, y, w, h } = node.rect;
        let end = if phone { at(x + w - GAP - 5.0, y + h - 12.0) } else { at(x + w, y) };
        let mine = mine.map(|(_, badge)| badge.clone()).collect();
        let widest = if phone { f64::INFINITY } else { w.max(OVERHANG) };
        // What does not fit on the box stands above it.
        for (nth, row) in (0_u32..).zip(rows(mine, widest)) {
            let up = f64::from(nth) * (HEIGHT + 2.0);
            put(&mut out, row, at(end.x, end.y - up), true);
        }
    }
    out
}

/// Badges in rows of at most so wide; none is left out.
fn rows(badges: Vec<BadgeFace>, widest: f64) -> Vec<Vec<BadgeFace>> {
    let mut rows: Vec<Vec<BadgeFace>> = Vec::new();
    let mut room = 0.0;
    // The last of them stand on the box: the routes, which are there longer than faults.
    for badge in badges.into_iter().rev() {
        room -= badge.rect.w + GAP;
        match rows.last_mut().filter(|_| room >= -GAP) {
            Some(row) => row.insert(0, badge),
            None => {
                room = widest - badge.rect.w;
                rows.push(vec![badge]);
            }
        }
    }
    rows
}

/// Whether a fault has no line to stand on.
fn stands_on_node(fault: &FaultView, edges: &[EdgeShape]) -> bool {
    !edges.iter().any(|edge| edge.kind != EdgeKind::Message && is_on(fault, edge))
}

/// Whether a node carries the badge of a fault.
#[must_use]
pub fn marks_node(faults: &FaultsView, edges: &[EdgeShape], name: &str) -> bool {
    faults.active.iter().any(|fault| fault.to == name && stands_on_node(fault, edges))
}

fn is_on(fault: &FaultView, edge: &EdgeShape) -> bool {
    fault.from.as_ref() == Some(&edge.from) && fault.to == edge.to
}

/// A row of badges: ending at a point, or around it.
fn put(out: &mut Vec<BadgeFace>, row: Vec<BadgeFace>, point: Point, ends: bool) {
    let whole: f64 = row.iter().map(|badge| badge.rect.w + GAP).sum::<f64>() - GAP;
    let mut x = if ends { point.x - whole + GAP } else { point.x - whole / 2.0 };
    for mut badge in row {
        badge.rect.x = x;
        badge.rect.y = point.y - HEIGHT / 2.0;
        x += badge.rect.w + GAP;
        out.push(badge);
    }
}

fn of_host(host: &HostMesh) -> Vec<BadgeFace> {
    let (service, mut out) = (&host.service, Vec::new());
    let href = format!("/traffic/{service}");
    let shares: Vec<_> = host.lanes.iter().map(|lane| lane.configured).collect();
    // Where no route names versions nobody split anything.
    if !host.pooled && shares.iter().filter(|share| **share > 0.0).count() > 1 {
        let parts: Vec<_> = shares.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
        let text = parts.join("/");
        let name = format!("{service} is split {text}");
        out.push(badge(BadgeKind::Split, text, name, href.clone()));
    }
    if let Some(mirrored) = host.mirror_percent {
        let name = format!("{} of the requests to {service} are mirrored", percent(mirrored));
        out.push(badge(BadgeKind::Mirror, format!("mirror {}", percent(mirrored)), name, href));
    }
    out
}

/// One version of a service: the track is as long as its configured share, the fill as its
/// observed one.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneFace {
    /// Its service.
    pub service: String,
    /// Place among the versions, for the texture.
    pub index: usize,
    /// Its subset.
    pub label: String,
    /// Configured and observed in one sentence.
    pub name: String,
    /// The whole row.
    pub rect: Rect,
    /// Where the bars begin.
    pub bar_x: f64,
    /// Length of the track.
    pub track: f64,
    /// Length of the fill.
    pub fill: f64,
}

/// Height of one lane with its gap.
const LANE: f64 = 12.0;
/// Room for the name of a version.
const LANE_NAME: f64 = 20.0;

/// The lanes of every service that has versions but no room for them inside, below its node.
#[must_use]
pub fn lanes(nodes: &[NodeShape], mesh: &MeshView) -> Vec<LaneFace> {
    let mut out = Vec::new();
    for host in mesh.hosts.iter().filter(|host| host.lanes.len() > 1) {
        let shape = nodes.iter().find(|node| node.name == host.service);
        // Where there is room, versions are nodes of their own.
        let plain = |node: &&NodeShape| !matches!(node.kind, NodeKind::Bus | NodeKind::Group(_));
        let Some(node) = shape.filter(plain) else { continue };
        let room = (node.rect.w - LANE_NAME).max(0.0);
        let mut y = node.rect.y + node.rect.h + 4.0;
        for (index, lane) in host.lanes.iter().enumerate() {
            let observed = lane.observed.map_or("no calls".into(), format::share);
            let name = format!(
                "{} {}: configured {}, observed {observed}",
                host.service,
                lane.subset,
                format::share(lane.configured)
            );
            out.push(LaneFace {
                service: host.service.clone(),
                index,
                label: lane.subset.clone(),
                name,
                rect: Rect { x: node.rect.x, y, w: node.rect.w, h: LANE },
                bar_x: node.rect.x + LANE_NAME,
                track: room * lane.configured.clamp(0.0, 1.0),
                fill: room * lane.observed.unwrap_or(0.0).clamp(0.0, 1.0),
            });
            y += LANE;
        }
    }
    out
}

/// The breaker's card on the Resilience page.
#[must_use]
pub fn breaker_href(from: &str, to: &str) -> String {
    format!("/resilience?breaker={from}%7E{to}")
}

/// The card of the breaker that a line shows: that of its version, or of the bus.
#[must_use]
pub fn breaker_card(edge: &EdgeShape) -> String {
    if edge.kind == EdgeKind::Message {
        // The line is drawn from the service; the breaker is the bus's, towards it.
        return breaker_href(service::BUS, &edge.from);
    }
    let card = breaker_href(&edge.from, &edge.to);
    edge.subset.as_ref().map_or(card.clone(), |subset| format!("{card}%7E{subset}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::live::layout;
    use contract::{resilience::FaultKind, traffic::LaneView};

    fn fault(id: &str, from: Option<&str>, to: &str) -> FaultView {
        FaultView {
            id: id.into(),
            kind: FaultKind::Delay,
            what: "Delay 2 s on 10%".into(),
            from: from.map(str::to_owned),
            to: to.into(),
            place: to.into(),
            since_us: 0,
            until_us: None,
            then: "ends".into(),
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
        }
    }

    fn mesh() -> MeshView {
        let lane = |subset: &str, configured, observed| LaneView {
            subset: subset.into(),
            configured,
            observed: Some(observed),
            per_second: 1.0,
            calls: 60,
            error_share: 0.0,
            p95_ms: None,
            ready: 1,
            instances: 1,
            spark: Vec::new(),
        };
        let hosts = vec![HostMesh {
            service: "payments".into(),
            lanes: vec![lane("v1", 0.9, 0.8), lane("v2", 0.1, 0.2)],
            mirror_percent: Some(20.0),
            ..HostMesh::default()
        }];
        MeshView { hosts, ..MeshView::default() }
    }

    #[test]
    fn a_fault_stands_on_its_edge_or_else_on_its_node() {
        let layout = layout::wide();
        let faults = FaultsView {
            active: vec![
                fault("F-1", Some("gateway"), "catalog"),
                fault("F-2", None, "users"),
                fault("F-3", Some("users"), "bus"),
            ],
            ..FaultsView::default()
        };
        let found = badges(&layout.nodes, &layout.edges, &faults, &MeshView::default(), false);
        let texts: Vec<_> = found.iter().map(|badge| badge.text.as_str()).collect();
        assert_eq!(texts, ["F-1", "F-2", "F-3"]);
        let edge = layout.edge("gateway", "catalog", EdgeKind::Call).unwrap();
        assert!((found[0].rect.centre().x - edge.badge.x).abs() < 1e-6);
        let users = layout.node("users").unwrap().rect;
        assert!((found[1].rect.centre().y - users.y).abs() < 1e-6);
        assert_eq!(found[0].href, "/resilience?fault=F-1#faults");
        // On a phone it stands inside, where no label is.
        let layout = layout::phone();
        let found = badges(&layout.nodes, &[], &faults, &MeshView::default(), true);
        let (inside, users) = (found[0].rect, layout.node("users").unwrap().rect);
        assert!(inside.y > users.y + 20.0 && inside.y + inside.h <= users.y + users.h);
        assert!(inside.x >= users.x && inside.x + inside.w <= users.x + users.w);
    }

    #[test]
    fn badges_of_one_node_stand_side_by_side_and_lead_to_its_route() {
        let layout = layout::wide();
        let found = badges(&layout.nodes, &layout.edges, &FaultsView::default(), &mesh(), false);
        let texts: Vec<_> = found.iter().map(|badge| badge.text.as_str()).collect();
        assert_eq!(texts, ["90/10", "mirror 20%"]);
        assert!(found[1].rect.x >= found[0].rect.x + found[0].rect.w);
        assert!(found.iter().all(|badge| badge.href == "/traffic/payments"));
    }

    #[test]
    fn a_service_whose_route_names_no_versions_is_not_said_to_be_split() {
        let mut mesh = mesh();
        mesh.hosts[0].pooled = true;
        let nodes = layout::wide().nodes;
        let found = badges(&nodes, &[], &FaultsView::default(), &mesh, false);
        assert_eq!(found.iter().map(|b| b.text.as_str()).collect::<Vec<_>>(), ["mirror 20%"]);
    }

    #[test]
    fn a_track_is_as_long_as_the_weight_and_its_fill_as_what_was_seen() {
        let layout = layout::wide();
        let mut mesh = mesh();
        assert!(lanes(&layout.nodes, &mesh).is_empty(), "payments has room for them inside");
        mesh.hosts[0].service = "users".into();
        let found = lanes(&layout.nodes, &mesh);
        let node = layout.node("users").unwrap().rect;
        let room = node.w - LANE_NAME;
        assert!(
            (found[0].track - room * 0.9).abs() < 1e-6 && (found[0].fill - room * 0.8).abs() < 1e-6
        );
        assert!(found[1].fill > found[1].track, "v2 gets more than it should");
        assert!(found[0].rect.y >= node.y + node.h && found[1].rect.y > found[0].rect.y);
        assert_eq!(found[1].name, "users v2: configured 10%, observed 20%");
        assert!(lanes(&layout.nodes, &MeshView::default()).is_empty());
    }
}
