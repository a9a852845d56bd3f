//! The bounded store of traces and log lines; the oldest traces leave whole, lines leave singly.

mod find;
mod query;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use crate::ended::Ended;
use contract::trace::TraceStatus;
use record::{LogRecord, SpanRecord};
use std::collections::{HashMap, VecDeque};

/// Spans of all traces: at 250 bytes each 15 MB, and 3 000 orders of 20 spans.
pub const SPANS_MAX: usize = 60_000;
/// Spans of one trace: more than a waterfall can show, and an endless loop cannot fill the store.
pub const SPANS_PER_TRACE_MAX: usize = 2_000;
/// Log lines: at 200 bytes each 8 MB.
pub const LOGS_MAX: usize = 40_000;

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Spans of all traces; the oldest traces are evicted whole.
    pub spans: usize,
    /// Spans of one trace; more are counted, not kept.
    pub spans_per_trace: usize,
    /// Log lines; the oldest are evicted.
    pub logs: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { spans: SPANS_MAX, spans_per_trace: SPANS_PER_TRACE_MAX, logs: LOGS_MAX }
    }
}

/// How full the store is and what it dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Spans kept.
    pub spans: usize,
    /// Traces kept.
    pub traces: usize,
    /// Log lines kept.
    pub logs: usize,
    /// Spans that left with their traces to make room.
    pub evicted_spans: u64,
    /// Spans beyond the bound of their trace.
    pub dropped_spans: u64,
    /// Log lines that left to make room.
    pub evicted_logs: u64,
    /// Spans and lines that came faster than they could be stored.
    pub lost: u64,
}

/// Traces by their ids and log lines by age.
#[derive(Debug)]
pub(crate) struct Store {
    limits: StoreLimits,
    traces: HashMap<u128, Trace>,
    /// Ids of the traces, oldest first.
    ages: VecDeque<u128>,
    logs: VecDeque<LogRecord>,
    stats: StoreStats,
}

#[derive(Debug, Default)]
struct Trace {
    spans: Vec<SpanRecord>,
    dropped: u64,
    order: Option<Box<str>>,
    /// Made when it is asked for, forgotten when a span arrives.
    summary: Option<Summary>,
}

/// What a search needs to know of a trace.
#[derive(Clone, Debug)]
struct Summary {
    /// Position of the root among the spans.
    root: usize,
    first_us: i64,
    last_us: i64,
    status: TraceStatus,
    /// In order of appearance.
    services: Box<[u16]>,
}

impl Store {
    pub(crate) fn new(limits: StoreLimits) -> Self {
        Self {
            limits: StoreLimits {
                // A trace without spans has no root.
                spans_per_trace: limits.spans_per_trace.max(1),
                ..limits
            },
            traces: HashMap::new(),
            ages: VecDeque::new(),
            logs: VecDeque::new(),
            stats: StoreStats::default(),
        }
    }

    pub(crate) fn add_span(&mut self, ended: Ended) {
        let trace = self.traces.entry(ended.trace).or_insert_with(|| {
            self.ages.push_back(ended.trace);
            Trace::default()
        });
        trace.summary = None;
        if trace.order.is_none() {
            trace.order = ended.order;
        }
        if trace.spans.len() >= self.limits.spans_per_trace {
            trace.dropped += 1;
            self.stats.dropped_spans += 1;
            return;
        }
        trace.spans.push(ended.record);
        self.stats.spans += 1;
        while self.stats.spans > self.limits.spans {
            self.evict_trace();
        }
    }

    fn evict_trace(&mut self) {
        let Some(oldest) = self.ages.pop_front() else {
            return;
        };
        let spans = self.traces.remove(&oldest).map_or(0, |t| t.spans.len());
        self.stats.spans -= spans;
        self.stats.evicted_spans += spans as u64;
    }

    pub(crate) fn add_log(&mut self, log: LogRecord) {
        self.logs.push_back(log);
        while self.logs.len() > self.limits.logs {
            self.logs.pop_front();
            self.stats.evicted_logs += 1;
        }
    }

    pub(crate) fn stats(&self) -> StoreStats {
        StoreStats { traces: self.traces.len(), logs: self.logs.len(), ..self.stats }
    }
}
