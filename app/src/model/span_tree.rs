//! The spans of one trace as a tree in reading order.
//!
//! Knows ids, parents and times; nothing of pixels. A parent that is not kept becomes a node
//! without a span, a loop of parents is cut, and a child outside its parent stays where its clock
//! says it was.

use contract::trace::{SpanKind, SpanView};
use std::collections::{HashMap, HashSet};

/// One row of the tree: a span, or the place of a span that is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Index into the spans; none for a missing parent.
    pub span: Option<usize>,
    /// The span's id.
    pub id: String,
    /// Row of its parent.
    pub parent: Option<usize>,
    /// Parents above it.
    pub depth: usize,
    /// Rows below it that belong to it.
    pub below: usize,
    /// When it began.
    pub start_us: i64,
    /// When it ended, never before it began.
    pub end_us: i64,
    /// Nobody waited for it: it began after its parent had ended, or handles a message, or belongs
    /// to a span that does.
    pub asynchronous: bool,
}

/// A whole trace in reading order: parents before children, siblings by start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanTree {
    /// The rows.
    pub nodes: Vec<Node>,
    /// The earliest start.
    pub start_us: i64,
    /// The latest end, at least a microsecond later.
    pub end_us: i64,
}

/// A span, or a missing parent, before it has a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seed<'a> {
    Span(usize),
    Missing(&'a str),
}

// === impl SpanTree ===

impl SpanTree {
    /// The tree of these spans, which may come in any order.
    #[must_use]
    pub fn new(spans: &[SpanView]) -> Self {
        let mut builder = Builder::new(spans);
        builder.grow();
        let mut nodes = builder.nodes;
        count_below(&mut nodes);
        let start_us = nodes.iter().map(|n| n.start_us).min().unwrap_or(0);
        let end_us = nodes.iter().map(|n| n.end_us).max().unwrap_or(0);
        Self { nodes, start_us, end_us: end_us.max(start_us + 1) }
    }

    /// From the first start to the last end.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        self.end_us - self.start_us
    }

    /// Rows that are seen while the children of `folded` are not.
    #[must_use]
    pub fn visible(&self, folded: &HashSet<String>) -> Vec<usize> {
        let mut rows = Vec::with_capacity(self.nodes.len());
        let mut row = 0;
        while let Some(node) = self.nodes.get(row) {
            rows.push(row);
            row += 1;
            if folded.contains(&node.id) {
                row += node.below;
            }
        }
        rows
    }

    /// The row of a span.
    #[must_use]
    pub fn row_of(&self, span_id: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.id == span_id)
    }

    /// Direct children of a row, in order.
    pub fn children(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.nodes.get(row).map_or(0, |n| row + n.below + 1);
        let mut next = row + 1;
        std::iter::from_fn(move || {
            let here = next;
            (here < end).then(|| {
                next += self.nodes[here].below + 1;
                here
            })
        })
    }

    /// Rows without a parent, in order.
    pub fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let here = next;
            self.nodes.get(here).map(|node| {
                next += node.below + 1;
                here
            })
        })
    }
}

/// Grows the rows from the seeds, without recursion: a trace may be thousands of spans deep.
struct Builder<'a> {
    spans: &'a [SpanView],
    children: HashMap<&'a str, Vec<usize>>,
    known: HashMap<&'a str, usize>,
    placed: Vec<bool>,
    nodes: Vec<Node>,
}

impl<'a> Builder<'a> {
    fn new(spans: &'a [SpanView]) -> Self {
        let mut known = HashMap::with_capacity(spans.len());
        let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            known.entry(span.span_id.as_str()).or_insert(index);
            if let Some(parent) = span.parent_id.as_deref() {
                children.entry(parent).or_default().push(index);
            }
        }
        for list in children.values_mut() {
            list.sort_by_key(|&i| (spans[i].start_us, i));
        }
        Self {
            spans,
            children,
            known,
            placed: vec![false; spans.len()],
            nodes: Vec::with_capacity(spans.len()),
        }
    }

    fn grow(&mut self) {
        for seed in self.seeds() {
            self.plant(seed);
        }
        // What is left hangs in a loop of parents: the earliest of each loop becomes a root.
        let mut left: Vec<usize> = (0..self.spans.len()).filter(|&i| !self.placed[i]).collect();
        left.sort_by_key(|&i| (self.spans[i].start_us, i));
        for index in left {
            if !self.placed[index] {
                self.plant(Seed::Span(index));
            }
        }
    }

    /// Roots and missing parents, by the start of what they stand for.
    fn seeds(&self) -> Vec<Seed<'a>> {
        let mut seeds: Vec<(i64, Seed<'a>)> = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            match span.parent_id.as_deref() {
                None => seeds.push((span.start_us, Seed::Span(index))),
                Some(parent) if !self.known.contains_key(parent) => {
                    let seed = Seed::Missing(parent);
                    if !seeds.iter().any(|(_, s)| *s == seed) {
                        let first =
                            self.children[parent].first().map_or(0, |&i| self.spans[i].start_us);
                        seeds.push((first, seed));
                    }
                }
                Some(_) => {}
            }
        }
        seeds.sort_by_key(|(start, _)| *start);
        seeds.into_iter().map(|(_, seed)| seed).collect()
    }

    fn plant(&mut self, seed: Seed<'a>) {
        let mut todo: Vec<(Seed<'a>, Option<usize>)> = vec![(seed, None)];
        while let Some((seed, parent)) = todo.pop() {
            if let Seed::Span(index) = seed {
                if self.placed[index] {
                    continue;
                }
                self.placed[index] = true;
            }
            let row = self.nodes.len();
            let node = self.node(seed, parent);
            let id = match seed {
                Seed::Span(index) => self.spans[index].span_id.as_str(),
                Seed::Missing(id) => id,
            };
            // Two spans of one id: the first keeps the children.
            let owner = match seed {
                Seed::Span(index) => self.known.get(id) == Some(&index),
                Seed::Missing(_) => true,
            };
            self.nodes.push(node);
            if owner && let Some(children) = self.children.get(id) {
                todo.extend(children.iter().rev().map(|&i| (Seed::Span(i), Some(row))));
            }
        }
    }

    fn node(&self, seed: Seed<'a>, parent: Option<usize>) -> Node {
        let above = parent.map(|row| &self.nodes[row]);
        let depth = above.map_or(0, |n| n.depth + 1);
        match seed {
            Seed::Span(index) => {
                let span = &self.spans[index];
                Node {
                    span: Some(index),
                    id: span.span_id.clone(),
                    parent,
                    depth,
                    below: 0,
                    start_us: span.start_us,
                    end_us: span.start_us + span.duration_us.max(0),
                    asynchronous: above.is_some_and(|above| is_asynchronous(span, above)),
                }
            }
            Seed::Missing(id) => {
                let spans = || self.children[id].iter().map(|&i| &self.spans[i]);
                let start_us = spans().map(|s| s.start_us).min().unwrap_or(0);
                let end_us = spans().map(|s| s.start_us + s.duration_us.max(0)).max();
                Node {
                    span: None,
                    id: id.to_owned(),
                    parent,
                    depth,
                    below: 0,
                    start_us,
                    end_us: end_us.unwrap_or(start_us),
                    asynchronous: false,
                }
            }
        }
    }
}

fn is_asynchronous(span: &SpanView, above: &Node) -> bool {
    let after =
        above.span.is_some() && span.start_us >= above.end_us && above.end_us > above.start_us;
    above.asynchronous || span.kind == SpanKind::Consumer || after
}

fn count_below(nodes: &mut [Node]) {
    for row in (0..nodes.len()).rev() {
        if let Some(parent) = nodes[row].parent {
            let own = nodes[row].below + 1;
            nodes[parent].below += own;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use contract::trace::{TraceRow, TraceStatus, TraceView};

    pub(crate) fn span(
        id: &str,
        parent: Option<&str>,
        start_us: i64,
        duration_us: i64,
    ) -> SpanView {
        SpanView {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            service: "orders".into(),
            name: id.into(),
            kind: SpanKind::Internal,
            start_us,
            duration_us,
            error: false,
            message: None,
            attributes: vec![],
            events: vec![],
            links: vec![],
        }
    }

    /// A trace of these spans, which says nothing else.
    pub(crate) fn trace(spans: Vec<SpanView>) -> TraceView {
        let row = TraceRow {
            trace_id: "a".repeat(32),
            service: "gateway".into(),
            operation: "POST /api/v1/orders".into(),
            start_us: 0,
            duration_us: 100,
            tail_us: 0,
            unfinished: false,
            status: TraceStatus::Ok,
            http_status: None,
            failed: 0,
            spans: spans.len(),
            services: vec![],
            order_id: None,
        };
        TraceView { row, spans, dropped: 0, logs: vec![] }
    }

    fn ids(tree: &SpanTree) -> Vec<(&str, usize)> {
        tree.nodes.iter().map(|n| (n.id.as_str(), n.depth)).collect()
    }

    #[test]
    fn children_stand_under_their_parent_in_order_of_start() {
        let spans = [
            span("late", Some("root"), 50, 10),
            span("root", None, 0, 100),
            span("grandchild", Some("early"), 12, 2),
            span("early", Some("root"), 10, 10),
        ];
        let tree = SpanTree::new(&spans);
        assert_eq!(ids(&tree), [("root", 0), ("early", 1), ("grandchild", 2), ("late", 1)]);
        assert_eq!(tree.nodes[0].below, 3);
        assert_eq!(tree.children(0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(tree.roots().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn children_of_a_parent_that_is_not_kept_hang_under_a_missing_span() {
        let spans = [span("a", Some("gone"), 5, 10), span("b", Some("gone"), 2, 4)];
        let tree = SpanTree::new(&spans);
        assert_eq!(ids(&tree), [("gone", 0), ("b", 1), ("a", 1)]);
        assert_eq!(
            (tree.nodes[0].span, tree.nodes[0].start_us, tree.nodes[0].end_us),
            (None, 2, 15)
        );
    }

    #[test]
    fn a_loop_of_parents_is_cut_and_every_span_is_shown_once() {
        let spans =
            [span("a", Some("b"), 0, 1), span("b", Some("a"), 1, 1), span("c", Some("c"), 2, 1)];
        let tree = SpanTree::new(&spans);
        assert_eq!(ids(&tree), [("a", 0), ("b", 1), ("c", 0)]);
    }

    #[test]
    fn two_spans_of_one_id_are_both_shown() {
        let spans = [span("a", None, 0, 9), span("a", None, 1, 1), span("b", Some("a"), 2, 1)];
        assert_eq!(SpanTree::new(&spans).nodes.len(), 3);
    }

    #[test]
    fn an_empty_trace_has_no_rows_and_a_length_that_can_be_divided_by() {
        let tree = SpanTree::new(&[]);
        assert_eq!((tree.nodes.len(), tree.duration_us()), (0, 1));
    }

    #[test]
    fn a_span_that_began_after_its_parent_ended_is_asynchronous_and_so_is_what_it_did() {
        let spans = [
            span("root", None, 0, 10),
            span("inside", Some("root"), 2, 3),
            span("after", Some("root"), 12, 5),
            span("below", Some("after"), 13, 1),
        ];
        let tree = SpanTree::new(&spans);
        let flags: Vec<bool> = tree.nodes.iter().map(|n| n.asynchronous).collect();
        assert_eq!(flags, [false, false, true, true]);
    }

    #[test]
    fn folding_a_row_hides_all_that_is_below_it() {
        let spans = [
            span("root", None, 0, 10),
            span("a", Some("root"), 1, 3),
            span("b", Some("a"), 2, 1),
            span("c", Some("root"), 6, 1),
        ];
        let tree = SpanTree::new(&spans);
        let folded = HashSet::from(["a".to_owned()]);
        assert_eq!(tree.visible(&folded), [0, 1, 3]);
        assert_eq!(tree.visible(&HashSet::new()).len(), 4);
    }

    #[test]
    fn a_trace_ten_thousand_spans_deep_does_not_overflow_the_stack() {
        let spans: Vec<SpanView> = (0..10_000_i64)
            .map(|i| {
                let parent = (i > 0).then(|| (i - 1).to_string());
                span(&i.to_string(), parent.as_deref(), i, 20_000 - i)
            })
            .collect();
        let tree = SpanTree::new(&spans);
        assert_eq!((tree.nodes.len(), tree.nodes[9_999].depth), (10_000, 9_999));
    }
}
