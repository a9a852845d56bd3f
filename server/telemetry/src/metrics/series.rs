//! Histograms for OpenMetrics, one per set of labels, in a bounded number of sets.

use crate::ended::Facts;
use contract::trace::SpanKind;
use std::collections::HashMap;

/// Sets of labels of one metric; more share one set that says so.
pub(crate) const SETS_MAX: usize = 512;

/// Upper bounds of the buckets, seconds: those the semantic conventions advise for HTTP, and three
/// below them because calls within one process take less than a millisecond.
pub(crate) const BOUNDS: [f64; 17] = [
    0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

/// The same in microseconds, so that the hot path compares integers.
const BOUNDS_US: [u64; 17] = [
    250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000,
    1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// Durations under one set of labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) sum_us: u64,
    pub(crate) count: u64,
    /// Not cumulative; the last one has no upper bound.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
}

impl Cell {
    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.count += other.count;
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
    }

    fn add(&mut self, us: u64) {
        self.sum_us = self.sum_us.saturating_add(us);
        self.count += 1;
        // A value on a bound belongs below it.
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket] += 1;
    }
}

/// Labels of a call: caller, callee, status.
pub(crate) type ClientLabels = (u16, u16, Option<u16>);
/// Labels of a request: service, route, method, status.
pub(crate) type ServerLabels = (u16, Option<u16>, Option<u16>, Option<u16>);
/// Labels of a message: service, topic, whether handling failed.
pub(crate) type ProcessLabels = (u16, Option<u16>, bool);

/// The cells of one metric; `None` is the set that stands for all beyond the bound.
#[derive(Clone, Debug)]
pub(crate) struct Cells<K>(pub(crate) HashMap<Option<K>, Cell>);

impl<K> Default for Cells<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + std::hash::Hash> Cells<K> {
    pub(super) fn add(&mut self, labels: K, us: u64) {
        let labels = Some(labels);
        if let Some(cell) = self.0.get_mut(&labels) {
            cell.add(us);
        } else if self.0.len() < SETS_MAX {
            self.0.entry(labels).or_default().add(us);
        } else {
            self.0.entry(None).or_default().add(us);
        }
    }
}

/// Everything that is counted since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) client: Cells<ClientLabels>,
    pub(crate) server: Cells<ServerLabels>,
    pub(crate) process: Cells<ProcessLabels>,
}

impl Series {
    pub(crate) fn observe(&mut self, facts: &Facts) {
        let us = facts.duration_us;
        match facts.kind {
            SpanKind::Client => {
                if let Some(peer) = facts.peer {
                    self.client.add((facts.service, peer, facts.status), us);
                }
            }
            SpanKind::Server => {
                let labels = (facts.service, facts.route, facts.method, facts.status);
                self.server.add(labels, us);
            }
            SpanKind::Consumer => {
                let labels = (facts.service, facts.topic, facts.failed);
                self.process.add(labels, us);
            }
            SpanKind::Internal | SpanKind::Producer => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_of_bounds_agree() {
        for (seconds, us) in BOUNDS.iter().zip(BOUNDS_US) {
            assert_eq!((seconds * 1e6).round() as u64, us);
        }
    }

    #[test]
    fn a_value_on_a_bound_is_counted_below_it() {
        let mut cell = Cell::default();
        for us in [250, 251, 10_000_000, 10_000_001] {
            cell.add(us);
        }
        assert_eq!(cell.buckets[0], 1);
        assert_eq!(cell.buckets[1], 1);
        assert_eq!(cell.buckets[16], 1);
        assert_eq!(cell.buckets[17], 1);
        assert_eq!((cell.count, cell.sum_us), (4, 20_000_502));
    }

    #[test]
    fn sets_beyond_the_bound_share_one() {
        let mut cells = Cells::default();
        (0..SETS_MAX + 10).for_each(|labels| cells.add(labels, 1));
        assert_eq!(cells.0.len(), SETS_MAX + 1);
        assert_eq!(cells.0[&None].count, 10);
        cells.add(0, 1);
        assert_eq!(cells.0[&Some(0)].count, 2);
    }
}
