//! The critical path of a trace: which span, at each moment, the end of the trace was waiting for.
//!
//! Walks back from the last end. Of the children of a span, the one that ended last before the
//! moment looked at is on the path, then what came before that child began. A span's work that goes
//! on after it (messages it sent) counts as its own descent, so the path runs through asynchronous
//! sagas too; time in which no span of the path was active is waiting.

use super::{
    fine, format,
    span_tree::{Node, SpanTree},
};
use contract::{
    attributes::{MESH_FAULT_DELAY_MS, RESEND_COUNT},
    trace::SpanView,
};

/// Attribute with the id of the fault that acted on this very call.
pub use contract::attributes::MESH_FAULT_ID as FAULT_ID;

/// A stretch of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The row that was worked on; none while the path waits between spans.
    pub row: Option<usize>,
    /// From.
    pub start_us: i64,
    /// To, later than `start_us`.
    pub end_us: i64,
}

/// Where the time of the path went. The parts add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathSummary {
    /// All of it.
    pub total_us: i64,
    /// Held back by faults.
    pub injected_us: i64,
    /// Tries that failed and were repeated, and the pauses before the next.
    pub tries_us: i64,
    /// Between spans: on the bus, or not kept.
    pub waiting_us: i64,
    /// Everything else.
    pub work_us: i64,
}

/// The path of a whole trace, in order of time, without holes.
#[must_use]
pub fn critical_path(tree: &SpanTree) -> Vec<Segment> {
    let effective = effective_ends(tree);
    let mut walk = Walk { tree, effective, segments: Vec::new(), todo: Vec::new() };
    if tree.nodes.is_empty() {
        return walk.segments;
    }
    let roots: Vec<usize> = tree.roots().collect();
    walk.descend(None, roots, tree.start_us, tree.end_us);
    while let Some((row, low, high)) = walk.todo.pop() {
        let children: Vec<usize> = tree.children(row).collect();
        walk.descend(Some(row), children, low, high);
    }
    walk.segments.sort_by_key(|s| (s.start_us, s.end_us));
    walk.segments
}

/// The end of each row and of everything below it.
fn effective_ends(tree: &SpanTree) -> Vec<i64> {
    let mut ends: Vec<i64> = tree.nodes.iter().map(|n| n.end_us).collect();
    for row in (0..tree.nodes.len()).rev() {
        if let Some(parent) = tree.nodes[row].parent {
            ends[parent] = ends[parent].max(ends[row]);
        }
    }
    ends
}

struct Walk<'a> {
    tree: &'a SpanTree,
    effective: Vec<i64>,
    segments: Vec<Segment>,
    todo: Vec<(usize, i64, i64)>,
}

impl Walk<'_> {
    fn descend(&mut self, row: Option<usize>, mut children: Vec<usize>, low: i64, high: i64) {
        children.sort_by_key(|&c| (-self.effective[c], self.tree.nodes[c].start_us));
        let mut cursor = high;
        for child in children {
            let end = self.effective[child];
            let start = self.tree.nodes[child].start_us.max(low);
            if end > cursor || start >= end {
                continue;
            }
            self.own(row, end, cursor);
            self.todo.push((child, start, end));
            cursor = start;
        }
        self.own(row, low, cursor);
    }

    /// What a row did itself between two moments; after its own end it only waited.
    fn own(&mut self, row: Option<usize>, from: i64, to: i64) {
        let real = row.map(|r| &self.tree.nodes[r]).filter(|n| n.span.is_some());
        let end = real.map_or(from, |n| n.end_us.clamp(from, to.max(from)));
        self.push(row.filter(|_| real.is_some()), from, end);
        self.push(None, end, to);
    }

    fn push(&mut self, row: Option<usize>, start_us: i64, end_us: i64) {
        if start_us < end_us {
            self.segments.push(Segment { row, start_us, end_us });
        }
    }
}

/// Where the time of `path` went.
#[must_use]
pub fn summary(tree: &SpanTree, spans: &[SpanView], path: &[Segment]) -> PathSummary {
    let tries = failed_tries(tree, spans);
    let pauses = pauses(tree, spans, &tries);
    let mut sum = PathSummary::default();
    let mut injected_left: Vec<i64> = tree.nodes.iter().map(|n| injected_us(n, spans)).collect();
    for segment in path {
        let length = segment.end_us - segment.start_us;
        sum.total_us += length;
        let Some(row) = segment.row else {
            sum.waiting_us += length;
            continue;
        };
        let injected = injected_left[row].min(length);
        injected_left[row] -= injected;
        sum.injected_us += injected;
        let rest = length - injected;
        let in_try = is_below(tree, row, &tries);
        let paused: i64 = pauses
            .iter()
            .filter(|p| p.0 == row)
            .map(|p| (segment.end_us.min(p.2) - segment.start_us.max(p.1)).max(0))
            .sum();
        let tried = if in_try { rest } else { paused.min(rest) };
        sum.tries_us += tried;
        sum.work_us += rest - tried;
    }
    sum
}

/// A fault that acted without holding anything up, as a reset does, is noted with microseconds.
const HELD_FROM_US: i64 = 1_000;

/// Microseconds a fault held this row back.
#[must_use]
pub fn injected_us(node: &Node, spans: &[SpanView]) -> i64 {
    let span = node.span.and_then(|i| spans.get(i));
    let ms = span.and_then(|s| s.attribute(MESH_FAULT_DELAY_MS)?.parse::<f64>().ok());
    // What is no number of microseconds, or more than there are, ends at the length of the span.
    let us = (ms.unwrap_or(0.0) * 1_000.0).round() as i64;
    let held = us.clamp(0, (node.end_us - node.start_us).max(0));
    if held < HELD_FROM_US { 0 } else { held }
}

/// What faults did to a trace: "2.00 s injected delay, F-21" with the one that held most; if none
/// held anything, "F-4 hit 3 calls".
#[must_use]
pub fn faults_said(tree: &SpanTree, spans: &[SpanView]) -> Option<String> {
    let hit = |span: &SpanView| span.attribute(FAULT_ID).map(str::to_owned);
    let held = |node: &Node| {
        let span = spans.get(node.span?)?;
        Some((injected_us(node, spans), hit(span))).filter(|(us, _)| *us > 0)
    };
    let held: Vec<(i64, Option<String>)> = tree.nodes.iter().filter_map(held).collect();
    if let Some((_, id)) = held.iter().max_by_key(|(us, _)| *us) {
        let sum = fine::duration_us(held.iter().map(|(us, _)| us).sum());
        let id = id.as_ref().map_or_else(String::new, |id| format!(", {id}"));
        return Some(format!("{sum} injected delay{id}"));
    }
    let hits: Vec<String> = spans.iter().filter_map(hit).collect();
    let id = hits.first()?;
    let count = hits.iter().filter(|other| *other == id).count();
    Some(format!("{id} hit {}", format::plural(count as u64, "call", "calls")))
}

/// Rows that failed and were tried again: a later sibling counts more tries before it.
fn failed_tries(tree: &SpanTree, spans: &[SpanView]) -> Vec<usize> {
    let tries_before = |row: usize| -> Option<u32> {
        let span = &spans[tree.nodes[row].span?];
        Some(span.attribute(RESEND_COUNT).and_then(|v| v.parse().ok()).unwrap_or(0))
    };
    let is_retried = |row: usize| {
        let node = &tree.nodes[row];
        let failed = node.span.is_some_and(|i| spans[i].error);
        failed
            && node.parent.is_some_and(|parent| {
                tree.children(parent).any(|sibling| {
                    tree.nodes[sibling].start_us >= node.end_us
                        && tries_before(sibling) > tries_before(row)
                })
            })
    };
    (0..tree.nodes.len()).filter(|&row| is_retried(row)).collect()
}

/// Between a failed try and the next one: the parent's row, from and to.
fn pauses(tree: &SpanTree, spans: &[SpanView], tries: &[usize]) -> Vec<(usize, i64, i64)> {
    let has_count = |row: usize| {
        tree.nodes[row].span.is_some_and(|i| spans[i].attribute(RESEND_COUNT).is_some())
    };
    let next = |parent: usize, after: i64| {
        tree.children(parent)
            .filter(|&s| has_count(s) && tree.nodes[s].start_us >= after)
            .map(|s| tree.nodes[s].start_us)
            .min()
    };
    tries
        .iter()
        .filter_map(|&row| {
            let parent = tree.nodes[row].parent?;
            let from = tree.nodes[row].end_us;
            Some((parent, from, next(parent, from)?))
        })
        .collect()
}

fn is_below(tree: &SpanTree, row: usize, tops: &[usize]) -> bool {
    tops.iter().any(|&top| (top..=top + tree.nodes[top].below).contains(&row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::span_tree::tests::span;

    fn path(spans: &[SpanView]) -> Vec<(Option<String>, i64, i64)> {
        let tree = SpanTree::new(spans);
        critical_path(&tree)
            .into_iter()
            .map(|s| (s.row.map(|r| tree.nodes[r].id.clone()), s.start_us, s.end_us))
            .collect()
    }

    fn on(id: &str, from: i64, to: i64) -> (Option<String>, i64, i64) {
        (Some(id.to_owned()), from, to)
    }

    #[test]
    fn the_path_goes_through_the_child_that_ended_last() {
        let spans = [
            span("root", None, 0, 100),
            span("short", Some("root"), 10, 20),
            span("long", Some("root"), 10, 70),
        ];
        assert_eq!(path(&spans), [on("root", 0, 10), on("long", 10, 80), on("root", 80, 100)]);
    }

    #[test]
    fn a_reset_is_told_by_its_hits_and_a_delay_by_the_time_it_held_with_the_id_of_that_fault() {
        let hit = |id: &str, fault: &str, held_ms: &str| {
            let mut span = span(id, Some("root"), 0, 50_000);
            span.attributes.push((FAULT_ID.into(), fault.into()));
            span.attributes.push((MESH_FAULT_DELAY_MS.into(), held_ms.into()));
            span
        };
        let said = |spans: &[SpanView]| faults_said(&SpanTree::new(spans), spans);
        let root = || span("root", None, 0, 50_000);
        let resets = [root(), hit("a", "F-4", "0.002"), hit("b", "F-4", "0.003")];
        assert_eq!(said(&resets).as_deref(), Some("F-4 hit 2 calls"));
        let both = [root(), hit("a", "F-4", "0.002"), hit("b", "F-5", "40"), hit("c", "F-6", "3")];
        assert_eq!(said(&both).as_deref(), Some("43 ms injected delay, F-5"));
        assert_eq!(said(&[root()]), None);
    }

    #[test]
    fn calls_one_after_the_other_are_all_on_the_path() {
        let spans = [
            span("root", None, 0, 100),
            span("a", Some("root"), 10, 20),
            span("b", Some("root"), 40, 20),
        ];
        let expected = [
            on("root", 0, 10),
            on("a", 10, 30),
            on("root", 30, 40),
            on("b", 40, 60),
            on("root", 60, 100),
        ];
        assert_eq!(path(&spans), expected);
    }

    #[test]
    fn the_path_follows_messages_after_the_request_was_answered_and_says_what_was_waiting() {
        let spans = [span("root", None, 0, 10), span("handled", Some("root"), 30, 20)];
        assert_eq!(path(&spans), [on("root", 0, 10), (None, 10, 30), on("handled", 30, 50)]);
    }

    #[test]
    fn a_child_that_began_before_its_parent_is_clipped_to_it() {
        let spans = [span("root", None, 10, 90), span("early", Some("root"), 0, 50)];
        let parts = path(&spans);
        let total: i64 = parts.iter().map(|p| p.2 - p.1).sum();
        assert_eq!(total, 100);
        assert_eq!(parts.last(), Some(&on("root", 50, 100)));
    }

    #[test]
    fn the_path_has_no_holes_and_no_overlaps_whatever_the_clocks_say() {
        let spans = [
            span("root", None, 0, 50),
            span("over", Some("root"), 40, 100),
            span("inside", Some("over"), 30, 20),
            span("zero", Some("root"), 20, 0),
            span("other", Some("gone"), 120, 60),
        ];
        let parts = path(&spans);
        assert_eq!((parts[0].1, parts[parts.len() - 1].2), (0, 180));
        assert!(parts.windows(2).all(|w| w[0].2 == w[1].1), "{parts:?}");
    }

    #[test]
    fn spans_of_zero_length_are_not_on_the_path() {
        let spans = [span("root", None, 0, 10), span("zero", Some("root"), 5, 0)];
        assert_eq!(path(&spans), [on("root", 0, 10)]);
    }

    #[test]
    fn the_summary_tells_injected_time_failed_tries_and_work_apart() {
        let with = |mut s: SpanView, key: &str, value: &str| {
            s.attributes.push((key.into(), value.into()));
            s
        };
        let mut try_1 = with(span("try 1", Some("call"), 10_000, 3_000), RESEND_COUNT, "0");
        try_1.error = true;
        let spans = [
            span("root", None, 0, 100_000),
            span("call", Some("root"), 10_000, 80_000),
            try_1,
            with(span("try 2", Some("call"), 20_000, 70_000), RESEND_COUNT, "1"),
            with(span("bank", Some("try 2"), 30_000, 50_000), MESH_FAULT_DELAY_MS, "40.0"),
        ];
        let tree = SpanTree::new(&spans);
        let sum = summary(&tree, &spans, &critical_path(&tree));
        let expected = PathSummary {
            total_us: 100_000,
            injected_us: 40_000,
            tries_us: 10_000,
            waiting_us: 0,
            work_us: 50_000,
        };
        assert_eq!(sum, expected);
    }
}
