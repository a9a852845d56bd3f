//! From the spans of a trace to its walk: the order they began in, and who called whom.
//!
//! Works on whatever telemetry there is: a span of another service than its parent's is a hop,
//! also without the attributes of this mesh.

use super::{HOPS_MAX, Hop, STEPS_MAX, Step, Walk};
use crate::model::span_tree::SpanTree;
use contract::{
    attributes::{
        self as key, DB_SYSTEM, FAULT_ID, HTTP_STATUS, MESH_FAULT_ID, MESH_SUBSET, MESH_TRIES,
        MESH_TRY, MESSAGE_TOPIC, SERVER_ADDRESS, TRANSACTION_DECISION, TRANSACTION_ID,
        TRANSACTION_VOTE,
    },
    live::EdgeKind,
    service,
    trace::{SpanKind, SpanView, TraceView},
};

/// Who called, on the span of a callee.
const CALLER: &str = "mesh.caller";
/// Who sent, on the span that handles a message (`CloudEvents`).
const SOURCE: &str = "cloudevents.event_source";
/// The instance of a callee (semantic conventions).
const INSTANCE: &str = "service.instance.id";
/// Attributes that tell what happened, as far as a span has them, in this order.
const TELLING: [&str; 21] = [
    FAULT_ID,
    MESH_FAULT_ID,
    key::MESH_FAULT_DELAY_MS,
    HTTP_STATUS,
    key::ERROR_TYPE,
    key::MESH_RESPONSE_FLAGS,
    MESH_SUBSET,
    key::MESH_INSTANCE,
    INSTANCE,
    MESH_TRIES,
    key::MESH_RETRY_REASON,
    key::MESH_BREAKER_TRANSITION,
    MESSAGE_TOPIC,
    key::EVENT_NAME,
    key::EVENT_VERSION,
    key::ORDER_STATUS,
    TRANSACTION_ID,
    TRANSACTION_VOTE,
    TRANSACTION_DECISION,
    key::SAGA_COMPENSATION,
    DB_SYSTEM,
];
/// Attributes of one step: what fits beside the map.
const FACTS_MAX: usize = 8;
/// Lines of the log of one step, and letters of one text: the same.
const LINES_MAX: usize = 3;
const LETTERS_MAX: usize = 160;

/// The walk of a trace.
#[must_use]
pub fn of(trace: &TraceView) -> Walk {
    let tree = SpanTree::new(&trace.spans);
    let mut reader = Reader { trace, hop_of: vec![None; tree.nodes.len()], hops: Vec::new(), tree };
    let order = reader.order();
    let began: Vec<(usize, i64)> = order.iter().copied().take(STEPS_MAX).collect();
    for (row, start_us) in &began {
        reader.read(*row, *start_us);
    }
    reader.place_tried();
    let steps = began.iter().map(|(row, start_us)| reader.step(*row, *start_us)).collect();
    let beyond = order.len().saturating_sub(began.len());
    let lost = reader.tree.nodes.iter().filter(|node| node.span.is_none()).count();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Walk {
        row: trace.row.clone(),
        start_us: reader.tree.start_us,
        length_us: reader.tree.duration_us(),
        steps,
        hops: reader.hops,
        left_out: number(beyond).saturating_add(trace.dropped),
        missing: number(lost),
    }
}

struct Reader<'a> {
    trace: &'a TraceView,
    tree: SpanTree,
    /// The hop a row makes, or by which it was reached.
    hop_of: Vec<Option<usize>>,
    hops: Vec<Hop>,
}

impl<'a> Reader<'a> {
    /// Rows that have a span, with when they began: a child never before its parent, also where
    /// the clock of another machine says so.
    fn order(&self) -> Vec<(usize, i64)> {
        let nodes = &self.tree.nodes;
        let mut began = vec![0_i64; nodes.len()];
        // Parents stand before their children.
        for (row, node) in nodes.iter().enumerate() {
            let parent = node.parent.map_or(i64::MIN, |parent| began[parent]);
            began[row] = node.start_us.max(parent);
        }
        let mut rows: Vec<(usize, i64)> = (0..nodes.len())
            .filter(|row| nodes[*row].span.is_some())
            .map(|r| (r, began[r]))
            .collect();
        rows.sort_by_key(|(row, began)| (*began, *row));
        rows
    }

    fn span(&self, row: usize) -> Option<&'a SpanView> {
        self.trace.spans.get(self.tree.nodes.get(row)?.span?)
    }

    fn parent(&self, row: usize) -> Option<(usize, &'a SpanView)> {
        let parent = self.tree.nodes.get(row)?.parent?;
        Some((parent, self.span(parent)?))
    }

    fn children(&self, row: usize) -> impl Iterator<Item = (usize, &'a SpanView)> + '_ {
        self.tree.children(row).filter_map(|child| Some((child, self.span(child)?)))
    }

    /// The hop of a row, if it makes one, or else the one by which it was reached.
    fn read(&mut self, row: usize, start_us: i64) {
        let Some(span) = self.span(row) else { return };
        self.hop_of[row] = match span.kind {
            _ if span.attribute(DB_SYSTEM).is_some() => None,
            _ if span.attribute(MESH_TRY).is_some() => self.of_try(row, span, start_us),
            SpanKind::Client | SpanKind::Producer => self.of_call(row, span, start_us),
            SpanKind::Server | SpanKind::Consumer | SpanKind::Internal => {
                self.arrived(row, span, start_us)
            }
        };
    }

    /// A call that was tried several times is where its first try is.
    fn place_tried(&mut self) {
        for row in 0..self.hop_of.len() {
            let tries = |(_, span): &(usize, &SpanView)| span.attribute(MESH_TRY).is_some();
            let first = self.children(row).find(tries).map(|(first, _)| first);
            if let (None, Some(first)) = (self.hop_of[row], first) {
                self.hop_of[row] = self.hop_of[first];
            }
        }
    }

    /// A call that was made once; one of several tries has a hop for each.
    fn of_call(&mut self, row: usize, span: &'a SpanView, start_us: i64) -> Option<usize> {
        if self.children(row).any(|(_, child)| child.attribute(MESH_TRY).is_some()) {
            return None;
        }
        let (from, to, kind) = self.ends(row, span)?;
        let made = Made { row, span, call: span, from, to, kind, start_us };
        self.push(made)
    }

    fn of_try(&mut self, row: usize, span: &'a SpanView, start_us: i64) -> Option<usize> {
        let (call_row, call) = self.parent(row).unwrap_or((row, span));
        let (from, to, kind) = self.ends(call_row, call)?;
        self.push(Made { row, span, call, from, to, kind, start_us })
    }

    /// Who calls whom with a client's or a producer's span.
    fn ends(&self, row: usize, span: &SpanView) -> Option<(String, String, EdgeKind)> {
        let answered = self.answered(row).map(|(_, answer)| answer);
        let mut from = span.service.clone();
        let message = span.kind == SpanKind::Producer;
        if message && from == service::BUS {
            let source = answered.and_then(|answer| answer.attribute(SOURCE));
            let above = || self.parent(row).map(|(_, parent)| parent.service.as_str());
            from = source.or_else(above)?.to_owned();
        }
        let other = |name: &str| name != span.service;
        let called = span.attribute(SERVER_ADDRESS).filter(|_| span.attribute(MESH_TRY).is_none());
        let to = match (answered, called) {
            (Some(answer), _) if other(&answer.service) => answer.service.clone(),
            // What a message waits in is nobody; who takes it tells of it.
            (_, Some(called)) if !message || span.service == service::BUS => named(called).into(),
            _ => return self.handed(row, span),
        };
        let commit = span.attribute(TRANSACTION_ID).is_some();
        let kind = match (message, commit) {
            (true, _) => EdgeKind::Message,
            (_, true) => EdgeKind::Commit,
            _ => EdgeKind::Call,
        };
        Some((from, to, kind))
    }

    /// A span that says no other end, of another service than its parent's: reached from there.
    fn handed(&self, row: usize, span: &SpanView) -> Option<(String, String, EdgeKind)> {
        let (_, parent) = self.parent(row).filter(|(_, parent)| parent.service != span.service)?;
        let message = span.kind == SpanKind::Producer || parent.kind == SpanKind::Producer;
        let kind = if message { EdgeKind::Message } else { EdgeKind::Call };
        Some((parent.service.clone(), span.service.clone(), kind))
    }

    /// The span by which a call was answered: its child, or that of a try of it.
    fn answered(&self, row: usize) -> Option<(usize, &'a SpanView)> {
        let answers = |span: &SpanView| matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
        let direct = self.children(row).find(|(_, span)| answers(span));
        let tries = || self.children(row).filter(|(_, span)| span.attribute(MESH_TRY).is_some());
        let below = |(row, _)| self.children(row).find(|(_, span)| answers(span));
        direct.or_else(|| tries().find_map(below))
    }

    /// A span of a callee: on the hop of its caller, or where nobody told of one a hop of its own.
    fn arrived(&mut self, row: usize, span: &'a SpanView, start_us: i64) -> Option<usize> {
        let parent = self.parent(row);
        let led = parent.and_then(|(parent, _)| self.hop_of[parent]);
        let to_here = |at: &usize| self.hops.get(*at).is_some_and(|hop| hop.to == span.service);
        let from_outside = parent.is_some_and(|(_, parent)| parent.service != span.service);
        if let Some(hop) = led.filter(to_here).filter(|_| from_outside) {
            return Some(hop);
        }
        let above = parent.map(|(_, parent)| parent.service.as_str());
        let told = span.attribute(SOURCE).or_else(|| span.attribute(CALLER));
        let from = told.filter(|_| above.is_none()).or(above)?;
        if from == span.service {
            return None;
        }
        let (from, to) = (from.to_owned(), span.service.clone());
        let kind = match span.kind {
            SpanKind::Consumer => EdgeKind::Message,
            _ if span.attribute(TRANSACTION_ID).is_some() => EdgeKind::Commit,
            _ => EdgeKind::Call,
        };
        self.push(Made { row, span, call: span, from, to, kind, start_us })
    }

    fn push(&mut self, made: Made<'a>) -> Option<usize> {
        if self.hops.len() >= HOPS_MAX {
            return None;
        }
        let zero = self.tree.start_us;
        let Made { row, span, call, from, to, kind, start_us } = made;
        let node = self.tree.nodes.get(row)?;
        let own = matches!(span.kind, SpanKind::Server | SpanKind::Consumer | SpanKind::Internal);
        let answer = match own {
            true => Some((row, span)),
            false => self.children(row).find(|(_, child)| child.service == to),
        };
        let when = |row: usize| self.tree.nodes.get(row).map(|n| (n.start_us, n.end_us));
        let times = answer.and_then(|(row, _)| when(row));
        let tried = span.attribute(MESH_TRY).is_some();
        let name = span.name.split(", ").next().filter(|_| tried).map(str::to_owned);
        let status = || answer.and_then(|(_, answer)| answer.attribute(HTTP_STATUS));
        let status = span.attribute(HTTP_STATUS).or_else(status);
        let failed = span.error || status.is_some_and(|status| status.starts_with('5'));
        let why = || span.attribute(key::ERROR_TYPE).or(span.message.as_deref()).unwrap_or("");
        self.hops.push(Hop {
            span_id: span.span_id.clone(),
            subset: subset(&to, call, answer.map(|(_, answer)| answer)),
            what: short(call.attribute(MESSAGE_TOPIC).unwrap_or(&call.name)),
            start_us: start_us - zero,
            end_us: (node.end_us - zero).max(start_us - zero),
            arrived_us: times.map(|(start, _)| (start - zero).max(start_us - zero)),
            left_us: times.map(|(_, end)| (end - zero).max(start_us - zero)),
            status: short(status.unwrap_or_else(|| if failed { why() } else { "" })),
            failed,
            tried: name,
            faults: span.attribute(MESH_FAULT_ID).or(span.attribute(FAULT_ID)).map(short),
            from,
            to,
            kind,
        });
        Some(self.hops.len() - 1)
    }

    fn step(&self, row: usize, start_us: i64) -> Step {
        let (zero, node) = (self.tree.start_us, &self.tree.nodes[row]);
        let empty = String::new;
        let Some(span) = self.span(row) else {
            return Step {
                span_id: node.id.clone(),
                service: empty(),
                name: empty(),
                kind: SpanKind::Internal,
                start_us: start_us - zero,
                end_us: start_us - zero,
                failed: false,
                hop: None,
                facts: Vec::new(),
                lines: Vec::new(),
            };
        };
        let fact = |key: &&str| {
            let value = span.attribute(key).filter(|value| !value.is_empty() && *value != "-")?;
            Some(((*key).to_owned(), short(value)))
        };
        let of_span = |id: &Option<String>| id.as_deref() == Some(span.span_id.as_str());
        let lines = self.trace.logs.iter().filter(|line| of_span(&line.span_id));
        Step {
            span_id: span.span_id.clone(),
            service: span.service.clone(),
            name: short(&span.name),
            kind: span.kind,
            start_us: start_us - zero,
            end_us: (node.end_us - zero).max(start_us - zero),
            failed: span.error,
            hop: self.hop_of[row],
            facts: TELLING.iter().filter_map(fact).take(FACTS_MAX).collect(),
            lines: lines.map(|line| short(&line.message)).take(LINES_MAX).collect(),
        }
    }
}

/// What makes a hop: the row whose time it takes, and the call it is a try of.
struct Made<'a> {
    row: usize,
    span: &'a SpanView,
    call: &'a SpanView,
    from: String,
    to: String,
    kind: EdgeKind,
    start_us: i64,
}

/// A service by any name it answers to.
fn named(address: &str) -> &str {
    let all = service::SERVICES.iter().map(|known| known.name).chain([service::STRIPE]);
    let mut known = all.filter(|name| service::further_names(name).contains(&address));
    known.next().unwrap_or(address)
}

/// The version a call went to: as its route says, or as its instance is called
/// (`payments-v2-0`).
fn subset(to: &str, call: &SpanView, answer: Option<&SpanView>) -> Option<String> {
    if let Some(subset) = call.attribute(MESH_SUBSET) {
        return Some(subset.to_owned());
    }
    let instance = answer.and_then(|answer| answer.attribute(INSTANCE))?;
    let rest = instance.strip_prefix(to)?.strip_prefix('-')?;
    rest.rsplit_once('-').map(|(version, _)| version.to_owned())
}

fn short(text: &str) -> String {
    text.chars().take(LETTERS_MAX).collect()
}
