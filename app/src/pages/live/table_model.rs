//! The map as a table: one row an edge, sorted by a column. Pure.

use super::{
    layout,
    scene::{Health, health, of_p95, of_share, of_subset, silent_since},
};
use crate::{model::format, widget::BreakerMark};
use contract::live::{EdgeKind, EdgeView, MapView};
use std::cmp::Ordering;

/// A column of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// Caller or producer.
    From,
    /// Callee or consumer.
    To,
    /// Calls, events, commits.
    Kind,
    /// Per second.
    #[default]
    Rate,
    /// Share of failures.
    Errors,
    /// 95th percentile.
    P95,
    /// The caller's breaker.
    Breaker,
}

/// Every column with its word in the address and its heading.
pub const COLUMNS: [(Column, &str, &str); 7] = [
    (Column::From, "from", "From"),
    (Column::To, "to", "To"),
    (Column::Kind, "kind", "Kind"),
    (Column::Rate, "rate", "Rate"),
    (Column::Errors, "errors", "Errors"),
    (Column::P95, "p95", "p95"),
    (Column::Breaker, "breaker", "Breaker"),
];

impl Column {
    /// Reads the word of the address.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        let found = COLUMNS.iter().find(|(_, known, _)| Some(*known) == word);
        found.map_or_else(Self::default, |(column, _, _)| *column)
    }

    /// Whether it is sorted from large to small.
    #[must_use]
    pub const fn descends(self) -> bool {
        matches!(self, Self::Rate | Self::Errors | Self::P95 | Self::Breaker)
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Caller or producer.
    pub from: String,
    /// Callee or consumer.
    pub to: String,
    /// Version of the callee, if the row is of one.
    pub subset: Option<String>,
    /// "call", "event", "two-phase commit".
    pub kind: &'static str,
    /// Texts of rate, errors and p95.
    pub rate: String,
    /// See `rate`.
    pub errors: String,
    /// See `rate`.
    pub p95: String,
    /// State of the breaker.
    pub breaker: Option<BreakerMark>,
    /// Of the edge.
    pub health: Health,
    /// What its share of errors says alone, and its p95.
    pub limits: (Health, Health),
}

const fn kind(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Call => "call",
        EdgeKind::Message => "event",
        EdgeKind::Commit => "two-phase commit",
    }
}

fn mark(edge: &EdgeView) -> u8 {
    match edge.breaker.map(BreakerMark::from) {
        None => 0,
        Some(BreakerMark::Closed) => 1,
        Some(BreakerMark::HalfOpen) => 2,
        Some(BreakerMark::Open) => 3,
    }
}

fn compare(column: Column, a: &EdgeView, b: &EdgeView) -> Ordering {
    let order = match column {
        Column::From => a.from.cmp(&b.from),
        Column::To => a.to.cmp(&b.to),
        Column::Kind => kind(a.kind).cmp(kind(b.kind)),
        Column::Rate => a.per_second.total_cmp(&b.per_second),
        Column::Errors => a.error_share.total_cmp(&b.error_share),
        Column::P95 => a.p95_ms.unwrap_or(-1.0).total_cmp(&b.p95_ms.unwrap_or(-1.0)),
        Column::Breaker => mark(a).cmp(&mark(b)),
    };
    let order = if column.descends() { order.reverse() } else { order };
    order.then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
}

/// An edge, or in its place one for each of several versions it led to.
fn parts(edge: &EdgeView) -> Vec<(EdgeView, Option<String>)> {
    match edge.subsets.as_slice() {
        [] | [_] => vec![(edge.clone(), None)],
        parts => {
            let part = |part| (of_subset(edge, part), Some(part.subset.clone()));
            parts.iter().map(part).collect()
        }
    }
}

/// The edges that the map draws although they carried nothing. Lines to the bus are left out: they
/// stand for all messages of a service, and those have rows of their own.
fn quiet(map: &MapView) -> Vec<EdgeView> {
    let planned = layout::wide().edges.into_iter();
    let planned = planned.filter(|shape| shape.always && shape.kind != EdgeKind::Message);
    let carries = |from: &str, to: &str, kind| {
        map.edges.iter().any(|e| e.from == from && e.to == to && e.kind == kind)
    };
    planned
        .filter(|shape| !carries(&shape.from, &shape.to, shape.kind))
        .map(|shape| EdgeView {
            from: shape.from,
            to: shape.to,
            kind: shape.kind,
            per_second: 0.0,
            error_share: 0.0,
            p95_ms: None,
            calls: 0,
            breaker: None,
            subsets: Vec::new(),
            fallback: None,
        })
        .collect()
}

/// The rows of the table: every edge that carried something, and those the map draws all the same.
/// Clocks are so many minutes east of UTC.
#[must_use]
pub fn rows(map: &MapView, column: Column, zone_minutes: i32) -> Vec<Row> {
    let carried = map.edges.iter().flat_map(parts);
    let mut edges: Vec<(EdgeView, Option<String>)> =
        carried.chain(quiet(map).into_iter().map(|edge| (edge, None))).collect();
    edges.sort_by(|a, b| compare(column, &a.0, &b.0).then_with(|| a.1.cmp(&b.1)));
    let since = |edge: &EdgeView| {
        let since = silent_since(map, &edge.from, &edge.to, edge.kind)?;
        Some(format!("none since {}", format::clock(since, zone_minutes)))
    };
    let row = |(edge, subset): &(EdgeView, Option<String>)| Row {
        from: edge.from.clone(),
        to: edge.to.clone(),
        subset: subset.clone(),
        kind: kind(edge.kind),
        rate: match edge.calls {
            0 => since(edge).unwrap_or_else(|| "none".to_owned()),
            _ => format::rate(edge.per_second),
        },
        errors: match edge.calls {
            0 => "–".to_owned(),
            _ => format::share(edge.error_share),
        },
        p95: edge.p95_ms.map_or_else(|| "–".to_owned(), format::duration_ms),
        breaker: edge.breaker.map(BreakerMark::from),
        health: health(edge),
        limits: (of_share(edge.error_share), of_p95(edge.p95_ms)),
    };
    edges.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, per_second: f64, p95_ms: Option<f64>) -> EdgeView {
        EdgeView {
            from: from.into(),
            to: "z".into(),
            kind: EdgeKind::Call,
            per_second,
            error_share: 0.0,
            p95_ms,
            calls: 1,
            breaker: None,
            subsets: Vec::new(),
            fallback: None,
        }
    }

    #[test]
    fn numbers_descend_and_names_ascend() {
        let edges =
            vec![edge("b", 1.0, None), edge("a", 1.0, Some(5.0)), edge("c", 9.0, Some(2.0))];
        let map = MapView { edges, ..MapView::default() };
        let order = |column| {
            let carried = rows(&map, column, 0).into_iter().filter(|row| row.to == "z");
            carried.map(|row| row.from).collect::<String>()
        };
        assert_eq!(
            (order(Column::Rate), order(Column::From), order(Column::P95)),
            ("cab".into(), "abc".into(), "acb".into())
        );
    }

    #[test]
    fn only_the_part_that_crosses_a_limit_is_coloured() {
        let slow = edge("slow", 1.0, Some(2_010.0));
        let failing = EdgeView { error_share: 0.32, ..edge("failing", 1.0, Some(4.0)) };
        let map = MapView { edges: vec![slow, failing], ..MapView::default() };
        let found = rows(&map, Column::From, 0);
        let limits = |from: &str| found.iter().find(|row| row.from == from).unwrap().limits;
        assert_eq!(limits("slow"), (Health::Ok, Health::Error));
        assert_eq!(limits("failing"), (Health::Error, Health::Ok));
    }

    #[test]
    fn an_edge_to_several_versions_has_a_row_for_each() {
        let part = |subset: &str, per_second| contract::live::SubsetEdge {
            subset: subset.into(),
            per_second,
            error_share: 0.0,
            p95_ms: None,
            calls: 1,
            breaker: None,
        };
        let edge =
            EdgeView { subsets: vec![part("v1", 9.0), part("v2", 1.0)], ..edge("a", 10.0, None) };
        let map = MapView { edges: vec![edge], ..MapView::default() };
        let found = rows(&map, Column::Rate, 0);
        let shown: Vec<_> =
            found.iter().take(2).map(|row| (row.subset.as_deref(), row.rate.as_str())).collect();
        assert_eq!(shown, [(Some("v1"), "9.0/s"), (Some("v2"), "1.0/s")]);
    }

    #[test]
    fn a_shop_without_calls_still_has_its_edges_and_says_since_when_they_are_silent() {
        let silent = contract::live::SilentEdge {
            from: "gateway".into(),
            to: "catalog".into(),
            kind: EdgeKind::Call,
            since_us: 61_000_000,
        };
        let map = MapView { silent: vec![silent], ..MapView::default() };
        let found = rows(&map, Column::From, 0);
        let rate = |to: &str| {
            let row = found.iter().find(|row| row.from == "gateway" && row.to == to);
            row.map(|row| (row.rate.as_str(), row.errors.as_str(), row.health))
        };
        assert_eq!(rate("catalog"), Some(("none since 00:01:01", "–", Health::Idle)));
        assert_eq!(rate("orders"), Some(("none", "–", Health::Idle)));
    }

    #[test]
    fn an_unknown_column_in_the_address_sorts_by_rate() {
        assert_eq!(Column::parse(Some("colour")), Column::Rate);
        assert_eq!(Column::parse(Some("p95")), Column::P95);
    }
}
