//! The bounded store of traces and log lines; traces leave whole, plain ones first ([`ages`]),
//! lines leave singly.

mod ages;
mod find;
mod query;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use crate::ended::Ended;
use ages::Ages;
use contract::trace::TraceStatus;
use record::{COMPENSATION, ERROR, LogRecord, SpanRecord, TRY};
use std::collections::{HashMap, VecDeque};

/// Spans of all traces: at 250 bytes each 30 MB, and 6 000 orders of 20 spans.
pub const SPANS_MAX: usize = 120_000;
/// Spans of one trace: more than a waterfall can show, and an endless loop cannot fill the store.
pub const SPANS_PER_TRACE_MAX: usize = 2_000;
/// Log lines: at 200 bytes each 8 MB.
pub const LOGS_MAX: usize = 40_000;
/// Of the spans, those of traces that are come back for (orders, errors, compensations, slow ones)
/// may take so many parts of a hundred; the rest stays for what happens now.
const TELLING_PERCENT: usize = 75;
/// A trace is slow from here on, microseconds.
const SLOW_US: i64 = 1_000_000;

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Spans of all traces; traces are evicted whole, the oldest plain ones first.
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
    /// Spans that ended after their trace had left.
    pub late_spans: u64,
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
    ages: Ages,
    /// Spans of the traces that are come back for.
    telling_spans: usize,
    /// The latest start of a trace that left: everything that began later is kept.
    left_until_us: Option<i64>,
    logs: VecDeque<LogRecord>,
    stats: StoreStats,
}

#[derive(Debug, Default)]
struct Trace {
    spans: Vec<SpanRecord>,
    dropped: u64,
    order: Option<Box<str>>,
    /// Its place among the ages.
    place: u64,
    /// Somebody comes back for it.
    telling: bool,
    first_us: i64,
    last_us: i64,
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
    /// What failed with nothing that made good for it.
    failed: usize,
    /// In order of appearance.
    services: Box<[u16]>,
}

impl Trace {
    fn take(&mut self, span: SpanRecord) {
        self.first_us = self.first_us.min(span.start_us);
        self.last_us = self.last_us.max(span.end_us());
        // A try that failed and was repeated is no failure; nor is it one in a list.
        self.telling |= self.order.is_some()
            || span.has(COMPENSATION)
            || (span.has(ERROR) && !span.has(TRY))
            || self.last_us.saturating_sub(self.first_us) > SLOW_US;
        self.spans.push(span);
    }
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
            ages: Ages::default(),
            telling_spans: 0,
            left_until_us: None,
            logs: VecDeque::new(),
            stats: StoreStats::default(),
        }
    }

    pub(crate) fn add_span(&mut self, ended: Ended) {
        let id = ended.trace;
        if !self.traces.contains_key(&id) && self.ages.left(id) {
            self.stats.late_spans += 1;
            return;
        }
        let trace = self.traces.entry(id).or_insert_with(|| Trace {
            place: self.ages.begin(id),
            first_us: i64::MAX,
            last_us: i64::MIN,
            ..Trace::default()
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
        let was_telling = trace.telling;
        trace.take(ended.record);
        self.stats.spans += 1;
        if trace.telling {
            self.telling_spans += if was_telling { 1 } else { trace.spans.len() };
        }
        if trace.telling && !was_telling {
            self.ages.tell(trace.place);
        }
        while self.stats.spans > self.limits.spans {
            self.evict_trace();
        }
    }

    fn evict_trace(&mut self) {
        let too_many = self.telling_spans * 100 > self.limits.spans * TELLING_PERCENT;
        let Some(left) = self.ages.take(too_many).and_then(|id| self.traces.remove(&id)) else {
            return;
        };
        let spans = left.spans.len();
        self.stats.spans -= spans;
        self.stats.evicted_spans += spans as u64;
        if left.telling {
            self.telling_spans -= spans;
        }
        self.left_until_us = self.left_until_us.max(Some(left.first_us));
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
