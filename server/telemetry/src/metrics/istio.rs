//! Istio's standard metrics, `istio_requests_total` and `istio_request_duration_milliseconds`, each
//! from the caller's and the callee's side, with what `Telemetry` resources change about them.
//!
//! Who makes a span writes the changes onto it, a line each: `+label<tab>value` sets a label,
//! `-label` takes one away, `!` leaves the span out of the metric. What depends on the answer is
//! filled in here. Does not know where the changes come from.

use super::series::{Cell, Cells};
use crate::{ended::Facts, symbols::Symbols};
use contract::trace::SpanKind;
use std::collections::BTreeMap;

/// The value of a label that is known only with the answer: its status.
const STATUS: &str = "response.code";
/// The value of what is not known, as in Istio.
const UNKNOWN: &str = "unknown";
/// The label the OpenTelemetry specification gives to the set that stands for all beyond a bound.
const OVERFLOW: &str = "otel_metric_overflow";

/// What is written onto a span about one metric each.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) count: Option<Box<str>>,
    pub(crate) duration: Option<Box<str>>,
    /// On a server span: who called.
    pub(crate) caller: Option<u16>,
}

/// One set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    source: bool,
    from: Option<u16>,
    to: u16,
    status: Option<u16>,
    changes: Option<Box<str>>,
}

/// Both metrics since the start. Their sets are bounded like those of all metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct IstioMetrics {
    count: Cells<Key>,
    duration: Cells<Key>,
}

/// Labels with their values, sorted by what they are.
pub(crate) type Labelled = BTreeMap<Vec<(String, String)>, Cell>;

impl IstioMetrics {
    pub(crate) fn observe(&mut self, facts: &Facts, changes: Changes) {
        let (source, from, to) = match (facts.kind, facts.peer) {
            (SpanKind::Client, Some(peer)) => (true, Some(facts.service), peer),
            (SpanKind::Server, _) => (false, changes.caller, facts.service),
            _ => return,
        };
        let status = facts.status;
        for (cells, changes) in
            [(&mut self.count, changes.count), (&mut self.duration, changes.duration)]
        {
            if changes.as_deref().is_some_and(|lines| lines.lines().any(|line| line == "!")) {
                continue;
            }
            cells.add(Key { source, from, to, status, changes }, facts.duration_us);
        }
    }

    /// `istio_requests` by labels.
    pub(crate) fn requests(&self, symbols: &Symbols) -> Labelled {
        labelled(&self.count, symbols)
    }

    /// `istio_request_duration` by labels.
    pub(crate) fn durations(&self, symbols: &Symbols) -> Labelled {
        labelled(&self.duration, symbols)
    }
}

/// Sets that a label told apart which was taken away are one.
fn labelled(cells: &Cells<Key>, symbols: &Symbols) -> Labelled {
    let mut all = Labelled::new();
    for (key, cell) in &cells.0 {
        let labels = match key {
            Some(key) => labels(key, symbols),
            None => vec![(OVERFLOW.to_owned(), "true".to_owned())],
        };
        all.entry(labels).or_default().merge(cell);
    }
    all
}

fn labels(key: &Key, symbols: &Symbols) -> Vec<(String, String)> {
    let status = key.status.map_or_else(|| "0".to_owned(), |status| status.to_string());
    let service = |number: Option<u16>| {
        number.map_or_else(|| UNKNOWN.to_owned(), |number| symbols.service_name(number).to_string())
    };
    let reporter = if key.source { "source" } else { "destination" };
    let mut labels = vec![
        ("reporter".to_owned(), reporter.to_owned()),
        ("source_workload".to_owned(), service(key.from)),
        ("destination_workload".to_owned(), service(Some(key.to))),
        ("request_protocol".to_owned(), "http".to_owned()),
        ("response_code".to_owned(), status.clone()),
    ];
    for line in key.changes.as_deref().unwrap_or_default().lines() {
        let (name, value) = match line.split_at_checked(1) {
            Some(("+", set)) => match set.split_once('\t') {
                Some((name, STATUS)) => (name, Some(status.clone())),
                Some((name, value)) => (name, Some(value.to_owned())),
                None => continue,
            },
            Some(("-", name)) => (name, None),
            _ => continue,
        };
        let name = valid(name);
        labels.retain(|(label, _)| *label != name);
        labels.extend(value.map(|value| (name, value)));
    }
    labels
}

/// A name as OpenMetrics allows it for labels.
fn valid(name: &str) -> String {
    let letter = |(at, c): (usize, char)| match c {
        c if c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit()) => c,
        _ => '_',
    };
    name.chars().enumerate().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(symbols: &Symbols, kind: SpanKind, status: u16) -> Facts {
        Facts {
            service: symbols.service("gateway"),
            kind,
            end_us: 0,
            duration_us: 1_500,
            failed: false,
            status: Some(status),
            from_browser: false,
            in_transaction: false,
            peer: Some(symbols.service("orders")),
            source: None,
            lag_us: None,
            route: None,
            method: None,
            topic: None,
            subset: None,
            version: None,
            trace: 1,
        }
    }

    fn counted(changes: &[&str]) -> Vec<(Vec<(String, String)>, u64)> {
        let symbols = Symbols::new();
        let mut metrics = IstioMetrics::default();
        for (at, changes) in changes.iter().enumerate() {
            let status = if at == 0 { 200 } else { 503 };
            let count = (!changes.is_empty()).then(|| (*changes).into());
            let changes = Changes { count, ..Changes::default() };
            metrics.observe(&facts(&symbols, SpanKind::Client, status), changes);
        }
        assert_eq!(metrics.durations(&symbols).values().map(|c| c.count).sum::<u64>(), 2);
        metrics.requests(&symbols).into_iter().map(|(labels, cell)| (labels, cell.count)).collect()
    }

    #[test]
    fn a_label_is_set_from_the_request_or_from_the_answer() {
        let all = counted(&["+request_operation\tGET\n+code\tresponse.code", ""]);
        let has = |labels: &[(String, String)], name: &str, value: &str| {
            labels.iter().any(|(n, v)| n == name && v == value)
        };
        let (with, _) = all.iter().find(|(l, _)| has(l, "response_code", "200")).unwrap();
        assert!(has(with, "request_operation", "GET") && has(with, "code", "200"), "{with:?}");
        let (without, _) = all.iter().find(|(l, _)| has(l, "response_code", "503")).unwrap();
        assert!(!without.iter().any(|(name, _)| name == "request_operation"), "{without:?}");
    }

    #[test]
    fn sets_that_only_a_removed_label_told_apart_are_one() {
        let all = counted(&["-response_code", "-response_code"]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, 2);
        assert!(all[0].0.iter().all(|(name, _)| name != "response_code"));
    }

    #[test]
    fn a_metric_that_is_off_counts_nothing() {
        assert!(counted(&["!", "!"]).is_empty());
    }

    #[test]
    fn a_name_that_is_no_label_becomes_one() {
        assert_eq!(valid("request.operation"), "request_operation");
        assert_eq!(valid("2nd"), "_nd");
    }
}
