//! What the map shows of the data: which nodes and edges there are, and the face of each.
//!
//! Pure. A face holds only texts and classes, so that the page changes only where a text changes.

use super::{
    layout::{EdgeShape, Layout, NodeKind, NodeShape},
    versions::{self, Dot},
};
use crate::{
    frame::load,
    model::{breaker, format},
    widget::BreakerMark,
};
use contract::{
    live::{BreakerView, EdgeKind, EdgeView, MapView, NodeView, SubsetEdge},
    resilience::{BreakerLine, BreakerState},
    service,
    shop::LoadView,
    traffic::{IdentityView, MeshView},
};

/// Health of an edge over the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// No calls.
    Idle,
    /// Under 1% failed.
    Ok,
    /// 1 to 5% failed, or p95 over 500 ms.
    Warn,
    /// Over 5% failed, or p95 over 1 s.
    Error,
    /// The breaker refuses calls.
    Open,
}

/// A share of failed calls from here on is a warning.
const WARN_SHARE: f64 = 0.01;
/// A share of failed calls over this is an error.
const ERROR_SHARE: f64 = 0.05;
/// A p95 over this is a warning, milliseconds.
const WARN_P95_MS: f64 = 500.0;
/// A p95 over this is an error, milliseconds.
const ERROR_P95_MS: f64 = 1_000.0;
/// Instances drawn as dots; more are a number only.
pub const DOTS_MAX: u32 = 8;

impl Health {
    /// Its class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Idle => "health-idle",
            Self::Ok => "health-ok",
            Self::Warn => "health-warn",
            Self::Error => "health-error",
            Self::Open => "health-open",
        }
    }
}

/// The health of a share of failed calls.
#[must_use]
pub fn of_share(share: f64) -> Health {
    if share > ERROR_SHARE {
        Health::Error
    } else if share >= WARN_SHARE {
        Health::Warn
    } else {
        Health::Ok
    }
}

/// The health of a p95.
#[must_use]
pub fn of_p95(p95_ms: Option<f64>) -> Health {
    match p95_ms {
        Some(ms) if ms > ERROR_P95_MS => Health::Error,
        Some(ms) if ms > WARN_P95_MS => Health::Warn,
        _ => Health::Ok,
    }
}

/// The health of an edge: the worse of its failures and its slowness.
#[must_use]
pub fn health(edge: &EdgeView) -> Health {
    if edge.breaker.is_some_and(|breaker| breaker.refuses()) {
        return Health::Open;
    }
    if edge.calls == 0 {
        return Health::Idle;
    }
    match (of_share(edge.error_share), of_p95(edge.p95_ms)) {
        (Health::Error, _) | (_, Health::Error) => Health::Error,
        (Health::Warn, _) | (_, Health::Warn) => Health::Warn,
        _ => Health::Ok,
    }
}

/// Why an edge has the colour it has: the rule, and what it was given; none where it has none.
#[must_use]
pub fn rule(health: Health, error_share: f64, p95_ms: f64) -> Option<String> {
    let (failed, p95) = (format::share(error_share), format::duration_ms(p95_ms));
    // Failures are told first.
    let fails = of_share(error_share) == health;
    Some(match health {
        Health::Idle | Health::Ok => return None,
        Health::Open => "open: its breaker refuses calls".to_owned(),
        Health::Error if fails => format!("error: {failed} failed, over 5%"),
        Health::Error => format!("error: p95 {p95}, over 1 s"),
        Health::Warn if fails => format!("warning: {failed} failed, from 1 to 5%"),
        Health::Warn => format!("warning: p95 {p95}, over 500 ms"),
    })
}

/// Width of an edge in pixels.
#[must_use]
pub fn edge_width(per_second: f64) -> f64 {
    1.3 + 0.42 * per_second.max(0.0).sqrt()
}

/// What identifies an edge on the page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeKey {
    /// Caller or producer.
    pub from: String,
    /// Callee; the bus for events.
    pub to: String,
    /// Traffic.
    pub kind: EdgeKind,
    /// The version it leads to, if it leads to one.
    pub subset: Option<String>,
}

impl EdgeKey {
    /// As in the address: `orders~payments`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}~{}", self.from, self.to)
    }
}

/// A piece of text and whether it crosses a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The text.
    pub text: String,
    /// The health it stands for.
    pub health: Health,
}

/// How an edge looks now.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeFace {
    /// Colour and texture.
    pub health: Health,
    /// Width in hundredths of a pixel.
    pub width: u32,
    /// First line of the label; empty without traffic.
    pub head: Part,
    /// Second line, in parts.
    pub rest: Vec<Part>,
    /// Where there is little room: the one fact that is not as it should be; none when healthy.
    pub brief: Option<Part>,
    /// The caller's breaker.
    pub breaker: Option<BreakerMark>,
    /// All of it in one sentence, for those who cannot see it.
    pub name: String,
    /// For particles: calls per second.
    pub per_second: f64,
    /// For particles: p95, milliseconds.
    pub p95_ms: f64,
    /// For particles: share of failed calls.
    pub error_share: f64,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a width in pixels")]
fn hundredths(width: f64) -> u32 {
    (width * 100.0).round() as u32
}

fn part(text: String, health: Health) -> Part {
    Part { text, health }
}

/// The sum of what a service sends to the bus and what it reads from it, per second.
#[must_use]
pub fn events_of(map: &MapView, name: &str) -> (f64, f64) {
    let messages = || map.edges.iter().filter(|edge| edge.kind == EdgeKind::Message);
    let sent = messages().filter(|edge| edge.from == name).map(|edge| edge.per_second);
    let read = messages().filter(|edge| edge.to == name).map(|edge| edge.per_second);
    (sent.sum(), read.sum())
}

/// When the last was seen on an edge that fell silent.
#[must_use]
pub fn silent_since(map: &MapView, from: &str, to: &str, kind: EdgeKind) -> Option<i64> {
    let found = map.silent.iter().find(|e| e.from == from && e.to == to && e.kind == kind);
    found.map(|edge| edge.since_us)
}

/// The same, as a clock: in a shop where nothing is called any more it would say nothing.
fn silence(map: &MapView, key: &EdgeKey, zone_minutes: i32) -> Option<String> {
    let since = silent_since(map, &key.from, &key.to, key.kind)?;
    let labelled = !map.edges.is_empty() && key.subset.is_none();
    labelled.then(|| format!("since {}", format::clock(since, zone_minutes)))
}

/// The face of one edge. Clocks are so many minutes east of UTC.
#[must_use]
pub fn edge_face(map: &MapView, key: &EdgeKey, now_us: i64, zone_minutes: i32) -> EdgeFace {
    if key.kind == EdgeKind::Message {
        return event_face(map, &key.from, now_us);
    }
    let found = map
        .edges
        .iter()
        .find(|edge| edge.from == key.from && edge.to == key.to && edge.kind == key.kind);
    let version = |edge: &EdgeView, subset: &String| {
        let part = edge.subsets.iter().find(|part| part.subset == *subset)?;
        Some(of_subset(edge, part))
    };
    let found = match &key.subset {
        Some(subset) => found.and_then(|edge| version(edge, subset)),
        None => found.cloned(),
    };
    match found {
        Some(edge) => call_face(&edge, key.subset.as_deref(), now_us),
        None => idle_face(map, key, zone_minutes),
    }
}

/// An edge that carried nothing.
fn idle_face(map: &MapView, key: &EdgeKey, zone_minutes: i32) -> EdgeFace {
    let said = silence(map, key, zone_minutes);
    let calls = match &said {
        Some(since) => format!("no calls {since}"),
        None => "no calls".to_owned(),
    };
    let head = if said.is_some() { "no calls" } else { "" };
    EdgeFace {
        health: Health::Idle,
        width: 130,
        head: part(head.to_owned(), Health::Idle),
        rest: said.map(|text| part(text, Health::Idle)).into_iter().collect(),
        brief: None,
        breaker: None,
        name: match &key.subset {
            Some(subset) => format!("{} to {} {subset}, no calls", key.from, key.to),
            None => format!("{} to {}, {calls}", key.from, key.to),
        },
        per_second: 0.0,
        p95_ms: 0.0,
        error_share: 0.0,
    }
}

/// What of an edge went to one version, as an edge of its own.
pub(super) fn of_subset(edge: &EdgeView, part: &SubsetEdge) -> EdgeView {
    EdgeView {
        per_second: part.per_second,
        error_share: part.error_share,
        p95_ms: part.p95_ms,
        calls: part.calls,
        breaker: part.breaker.or(edge.breaker.filter(|_| edge.subsets.len() == 1)),
        subsets: Vec::new(),
        ..edge.clone()
    }
}

/// What a breaker that refuses calls says on its edge.
fn refusing(state: BreakerView, now_us: i64) -> Option<String> {
    // Rounded as on its card, or the pages would count apart.
    let left = |until_us: i64| breaker::seconds_left(until_us, now_us);
    match state {
        BreakerView::Open { half_open_at_us } => {
            Some(format!("Open, half-open in {} s", left(half_open_at_us)))
        }
        BreakerView::ForcedOpen { until_us } => {
            Some(format!("Forced open, {} s more", left(until_us)))
        }
        BreakerView::Closed { .. } | BreakerView::HalfOpen => None,
    }
}

/// The same where there is only the room of a label between two nodes.
fn refusing_briefly(state: BreakerView, now_us: i64) -> Option<String> {
    let (word, until_us) = match state {
        BreakerView::Open { half_open_at_us } => ("Open", half_open_at_us),
        BreakerView::ForcedOpen { until_us } => ("Forced", until_us),
        BreakerView::Closed { .. } | BreakerView::HalfOpen => return None,
    };
    Some(format!("{word}, {} s", breaker::seconds_left(until_us, now_us)))
}

/// What of an edge crosses a limit, the worse first and failures before slowness.
fn worst(edge: &EdgeView) -> Option<Part> {
    let failed = part(format::share(edge.error_share), of_share(edge.error_share));
    let slow = edge.p95_ms.map(|ms| part(format::duration_ms(ms), of_p95(Some(ms))));
    let all = || std::iter::once(&failed).chain(&slow);
    let of = |health| all().find(|part| part.health == health).cloned();
    of(Health::Error).or_else(|| of(Health::Warn))
}

fn call_face(edge: &EdgeView, subset: Option<&str>, now_us: i64) -> EdgeFace {
    let health = health(edge);
    let rate = format::rate(edge.per_second);
    let p95 = edge.p95_ms.map(format::duration_ms);
    let open = edge.breaker.and_then(|breaker| refusing_briefly(breaker, now_us));
    let brief = match (open.clone(), edge.calls) {
        (Some(open), _) => Some(part(open, Health::Open)),
        (None, 0) => None,
        (None, _) => worst(edge),
    };
    let refusing = edge.breaker.and_then(|breaker| refusing(breaker, now_us));
    let instead = if edge.fallback.is_some() { "fallback" } else { "refused" };
    let (head, rest) = match open {
        Some(head) => {
            (part(head, Health::Open), vec![part(format!("{rate} {instead}"), Health::Ok)])
        }
        _ if edge.calls == 0 => (part(String::new(), Health::Idle), Vec::new()),
        _ => {
            let mut rest = vec![part(format::share(edge.error_share), of_share(edge.error_share))];
            rest.extend(p95.clone().map(|text| part(text, of_p95(edge.p95_ms))));
            (part(rate.clone(), Health::Ok), rest)
        }
    };
    let breaker = edge.breaker.map(BreakerMark::from);
    let mut name = format!("{} to {}", edge.from, edge.to);
    if let Some(subset) = subset {
        name.push_str(&format!(" {subset}"));
    }
    if edge.kind == EdgeKind::Commit {
        name.push_str(", two-phase commit");
    }
    if let Some(mark) = breaker {
        name.push_str(&format!(", breaker {}", mark.word()));
    }
    // "Open, half-open in 6 s": the name has said already that it is open.
    if let Some((_, until)) = refusing.as_deref().and_then(|text| text.split_once(", ")) {
        name.push_str(&format!(", {until}"));
    }
    if let (Some(fallback), Health::Open) = (&edge.fallback, health) {
        name.push_str(&format!(", served from fallback: {fallback}"));
    }
    name.push_str(&format!(", {rate}, {} failed", format::share(edge.error_share)));
    if let Some(p95) = p95 {
        name.push_str(&format!(", p95 {p95}"));
    }
    EdgeFace {
        health,
        width: hundredths(edge_width(edge.per_second)),
        head,
        rest,
        brief,
        breaker,
        name,
        per_second: edge.per_second,
        p95_ms: edge.p95_ms.unwrap_or_default(),
        error_share: edge.error_share,
    }
}

/// The dashed line between a service and the bus.
fn event_face(map: &MapView, service: &str, now_us: i64) -> EdgeFace {
    let (sent, read) = events_of(map, service);
    let events = |rate: f64| format::rate(rate).replace("/s", " events/s");
    let (head, rest) = match (sent > 0.0, read > 0.0) {
        (true, true) => {
            (events(sent), vec![part(format!("reads {}", format::rate(read)), Health::Ok)])
        }
        (true, false) => (events(sent), Vec::new()),
        (false, true) => (format!("reads {}", events(read)), Vec::new()),
        (false, false) => (String::new(), Vec::new()),
    };
    let delivery = map.deliveries.iter().find(|delivery| delivery.edge.to == service);
    let lag = delivery.and_then(|delivery| delivery.lag_p95_ms);
    let breaker = delivery.and_then(|delivery| delivery.edge.breaker);
    let open = breaker.and_then(|breaker| refusing(breaker, now_us));
    let brief = breaker.and_then(|breaker| refusing_briefly(breaker, now_us));
    let mut rest: Vec<Part> = rest;
    let failed = delivery.map_or(0.0, |delivery| delivery.edge.error_share);
    let failing = of_share(failed);
    // There is room for one of them; what fails is told before what is late.
    rest.extend(match failing {
        Health::Ok => lag.map(|ms| part(format!("lag {}", format::duration_ms(ms)), Health::Ok)),
        _ => Some(part(format!("{} failed", format::share(failed)), failing)),
    });
    let mut name = format!(
        "{service} and the event bus, sends {}, reads {}",
        format::rate(sent),
        format::rate(read)
    );
    if failing != Health::Ok {
        name.push_str(&format!(", {} failed", format::share(failed)));
    }
    if let Some(ms) = lag {
        name.push_str(&format!(", lag p95 {}", format::duration_ms(ms)));
    }
    if let Some(breaker) = breaker {
        name.push_str(&format!(", breaker of the bus {}", BreakerMark::from(breaker).word()));
    }
    let health = match (&open, sent + read > 0.0) {
        (Some(_), _) => Health::Open,
        (None, true) => failing,
        (None, false) => Health::Idle,
    };
    let head_health = if open.is_some() { Health::Open } else { Health::Ok };
    EdgeFace {
        health,
        width: 130,
        head: part(open.unwrap_or(head), head_health),
        rest,
        brief: brief.map(|text| part(text, Health::Open)),
        breaker: breaker.map(BreakerMark::from),
        name,
        per_second: sent + read,
        p95_ms: 0.0,
        error_share: failed,
    }
}

/// Nodes to draw: the planned ones, then services of the data that have no place of their own.
#[must_use]
pub fn nodes(layout: &Layout, map: &MapView) -> Vec<NodeShape> {
    let mut shapes = layout.nodes.clone();
    let mut spare = 0;
    let named = map.nodes.iter().map(|node| &node.service);
    let named = named.chain(map.edges.iter().flat_map(|edge| [&edge.from, &edge.to]));
    for name in named {
        if shapes.iter().any(|shape| shape.name == *name) || (name == service::BUS) {
            continue;
        }
        let Some(rect) = layout.spare(spare) else { break };
        spare += 1;
        shapes.push(NodeShape { name: name.clone(), rect, kind: NodeKind::Caller, subset: None });
    }
    shapes
}

/// Edges to draw: the planned ones, then those of the data that nobody planned for. What is folded
/// into its caller is drawn while something is wrong with it, and where `asked` names its ends.
#[must_use]
pub fn edges(layout: &Layout, map: &MapView, asked: &[(String, String)]) -> Vec<EdgeShape> {
    let nodes = nodes(layout, map);
    let of = |shape: &EdgeShape| {
        let same = |e: &&EdgeView| e.from == shape.from && e.to == shape.to && e.kind == shape.kind;
        map.edges.iter().find(same)
    };
    let unfolded = |shape: &EdgeShape| {
        let wrong = |edge| !matches!(health(edge), Health::Ok | Health::Idle);
        asked.iter().any(|(from, to)| *from == shape.from && *to == shape.to)
            || of(shape).is_some_and(wrong)
    };
    let mut shapes: Vec<EdgeShape> = layout
        .edges
        .iter()
        .filter(|shape| shape.always || of(shape).is_some())
        .filter(|shape| !shape.folded || unfolded(shape))
        .cloned()
        .collect();
    let folded = |from: &str, to: &str| {
        layout.edges.iter().any(|shape| shape.folded && shape.from == from && shape.to == to)
    };
    for edge in map.edges.iter().filter(|_| layout.plain_edges) {
        let (from, to) = match edge.kind {
            EdgeKind::Message => continue,
            _ if edge.from == service::BUS || edge.to == service::BUS => continue,
            _ => (edge.from.as_str(), edge.to.as_str()),
        };
        let drawn = shapes.iter().any(|shape| {
            let there = shape.from == from && shape.to == to;
            let back = shape.from == to && shape.to == from;
            (there || back) && shape.kind != EdgeKind::Message
        });
        let ends = (nodes.iter().find(|n| n.name == from), nodes.iter().find(|n| n.name == to));
        if let (false, (Some(from), Some(to))) = (drawn || folded(&edge.from, &edge.to), ends) {
            shapes.push(Layout::plain(from, to, edge.kind));
        }
    }
    shapes
}

/// How a node looks now.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFace {
    /// Instances that take calls, and all of them; none for callers.
    pub instances: Option<(u32, u32)>,
    /// Each of them.
    pub dots: Vec<Dot>,
    /// The text beside the dots: "2/2", "1/2 up".
    pub count: String,
    /// One short fact.
    pub note: String,
    /// Calls received per second.
    pub spark: Vec<f32>,
    /// "no data since 14:33:50" of a service that nobody calls any more while others are called.
    pub silent: Option<String>,
    /// All of it in one sentence.
    pub name: String,
}

impl NodeFace {
    /// Whether an instance is missing.
    #[must_use]
    pub fn down(&self) -> bool {
        self.instances.is_some_and(|(ready, all)| ready < all)
    }
}

/// The latest call of a service that received some before and receives none now.
fn node_silence(map: &MapView, name: &str) -> Option<i64> {
    if map.edges.is_empty() || map.edges.iter().any(|edge| edge.to == name) {
        return None;
    }
    map.silent.iter().filter(|edge| edge.to == name).map(|edge| edge.since_us).max()
}

/// What the load generator calls besides the gateway: those lines are folded into its node.
fn refills(map: &MapView, name: &str) -> Option<String> {
    let beside = |e: &&EdgeView| e.from == name && e.to != service::GATEWAY;
    let told = |edge: &EdgeView| format!("{} {}", edge.to, format::rate(edge.per_second));
    let all: Vec<_> = map.edges.iter().filter(beside).map(told).collect();
    (name == service::LOAD && !all.is_empty()).then(|| format!(", refills {}", all.join(" and ")))
}

/// The face of one node. Clocks are so many minutes east of UTC.
#[must_use]
pub fn node_face(
    map: &MapView,
    mesh: &MeshView,
    load: LoadView,
    name: &str,
    zone_minutes: i32,
) -> NodeFace {
    let found = map.nodes.iter().find(|node| node.service == name);
    let mut note = found.and_then(|node| node.note.clone()).unwrap_or_default();
    if name == service::LOAD {
        note = load::label(load.per_second);
    }
    let mut dots = versions::dots(mesh, name, None);
    let known = found.map(|node| (node.ready, node.instances)).filter(|(_, all)| *all > 0);
    // What the shop does not run itself is known by its endpoints only.
    let instances = known.or_else(|| versions::counted(&dots));
    let count = instances.map_or(String::new(), |(ready, all)| {
        if ready < all { format!("{ready}/{all} up") } else { format!("{ready}/{all}") }
    });
    if let (true, Some((ready, all))) = (dots.is_empty(), instances) {
        dots = (0..all).map(|i| if i < ready { Dot::Up } else { Dot::Down }).collect();
    }
    let mut sentence = name.to_owned();
    if let Some((ready, all)) = instances {
        let instances = format::plural(all.into(), "instance", "instances");
        sentence.push_str(&format!(", {ready} of {instances} up"));
        let missing = versions::missing(&dots);
        if ready < all && !missing.is_empty() {
            sentence.push_str(&format!(" ({missing})"));
        }
    }
    if !note.is_empty() {
        sentence.push_str(&format!(", {note}"));
    }
    sentence.extend(refills(map, name));
    let silent = node_silence(map, name)
        .map(|since| format!("no data since {}", format::clock(since, zone_minutes)));
    sentence.extend(silent.iter().map(|silent| format!(", {silent}")));
    NodeFace {
        silent,
        instances,
        dots,
        count,
        note,
        spark: found.map(|node| node.spark.clone()).unwrap_or_default(),
        name: sentence,
    }
}

/// Whether the data tells of a service of that name.
#[must_use]
pub fn names(map: &MapView, name: &str) -> bool {
    map.nodes.iter().any(|node| node.service == name)
        || map.edges.iter().any(|edge| edge.from == name || edge.to == name)
}

/// Calls a service receives per second from everybody.
#[must_use]
pub fn received(map: &MapView, name: &str) -> f64 {
    let calls = map.edges.iter().filter(|e| e.to == name && e.kind != EdgeKind::Message);
    calls.map(|edge| edge.per_second).sum()
}

/// What deviates, for the badges beside the title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Breakers that refuse calls.
    pub open: usize,
    /// Breakers that let one probe through.
    pub half_open: usize,
    /// Instances that take calls.
    pub ready: u32,
    /// All instances.
    pub instances: u32,
}

/// Whose identity a call carries, and what its callee asks of callers (its `PeerAuthentication`),
/// for the layer of mTLS; nothing where there are no identities. Callers from outside have none,
/// and nobody shows one where mutual TLS is off.
#[must_use]
pub fn asked_of_callers(mesh: &MeshView, caller: &str, callee: &str) -> Option<[String; 2]> {
    let of = |name: &str| mesh.identities.iter().find(|identity| identity.service == name);
    let asked = of(callee)?.mode.clone();
    let shown = of(caller).filter(|_| asked != "DISABLE");
    let carried = shown.map_or_else(|| "no identity".to_owned(), |_| format!("sa/{caller}"));
    Some([carried, asked])
}

/// What all identities begin with, up to the account: `spiffe://cluster.local/ns/default/`.
#[must_use]
pub fn shared_domain(identities: &[IdentityView]) -> &str {
    let domain = |of: &IdentityView| of.principal.rfind("sa/").unwrap_or(0);
    let Some(first) = identities.first() else { return "" };
    let shared = first.principal.get(..domain(first)).unwrap_or_default();
    if identities.iter().all(|other| other.principal.starts_with(shared)) { shared } else { "" }
}

/// Counts what deviates.
#[must_use]
pub fn summary(map: &MapView, breakers: &[BreakerLine]) -> Summary {
    let in_state = |state| breakers.iter().filter(|line| line.state == state).count();
    let sum = |of: fn(&NodeView) -> u32| map.nodes.iter().map(of).sum();
    Summary {
        open: in_state(BreakerState::Open),
        half_open: in_state(BreakerState::HalfOpen),
        ready: sum(|node| node.ready),
        instances: sum(|node| node.instances),
    }
}

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "room_tests.rs"]
mod room_tests;

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod trouble_tests;
