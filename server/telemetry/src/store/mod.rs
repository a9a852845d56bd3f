//! The bounded store of traces and log lines; traces leave whole, plain ones first ([`ages`]),
//! lines leave singly ([`lines`]). What is told of an order that was cancelled, in which something
//! failed, or that somebody placed leaves last.

mod ages;
mod find;
mod lines;
mod query;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use crate::{ended::Ended, names, remembered::Remembered, symbols::Symbols};
use ages::{Ages, Sort};
use contract::trace::TraceStatus;
use lines::Lines;
use query::numbered;
use record::{
    CANCELLED, COMPENSATION, ERROR, EVENT, LogRecord, PERSONAL, SpanRecord, TRY, Unpacker,
};
use std::{collections::HashMap, sync::Arc};

/// Spans of all traces: at 250 bytes each 30 MB, and 6 000 orders of 20 spans.
pub const SPANS_MAX: usize = 120_000;
/// Spans of one trace: more than a waterfall can show, and an endless loop cannot fill the store.
pub const SPANS_PER_TRACE_MAX: usize = 2_000;
/// Log lines: at 200 bytes each 8 MB.
pub const LOGS_MAX: usize = 40_000;
/// Orders of one sort that are remembered to be come back for: as many as their share of the store
/// has room for with fifteen spans each, 300 kB.
const ORDERS_MAX: usize = 4_096;
/// A trace is slow from here on, microseconds.
const SLOW_US: i64 = 1_000_000;

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Spans of all traces; traces are evicted whole, the oldest plain ones first.
    pub spans: usize,
    /// Spans of one trace; more are counted, not kept.
    pub spans_per_trace: usize,
    /// Log lines; the oldest plain ones are evicted first.
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
    /// Spans of the traces of each sort.
    spans: [usize; 4],
    orders: Orders,
    /// The latest start of a trace that left: everything that began later is kept.
    left_until_us: Option<i64>,
    lines: Lines,
    stats: StoreStats,
}

#[derive(Debug, Default)]
struct Trace {
    spans: Vec<SpanRecord>,
    dropped: u64,
    order: Option<Box<str>>,
    /// Its place among the ages.
    place: u64,
    /// Whether somebody comes back for it.
    sort: Sort,
    /// Flags of all its spans together; without [`ERROR`] where a try was repeated.
    seen: u8,
    first_us: i64,
    last_us: i64,
    /// Made when it is asked for, forgotten when a span arrives.
    summary: Option<Summary>,
}

/// The orders whose traces and lines leave last, with the moment until which lines had left when
/// that turned out.
#[derive(Debug)]
struct Orders {
    lasting: Remembered<Box<str>, i64>,
    personal: Remembered<Box<str>, i64>,
}

impl Orders {
    fn new() -> Self {
        Self { lasting: Remembered::of(ORDERS_MAX), personal: Remembered::of(ORDERS_MAX) }
    }

    fn find(&self, order: &str) -> Option<(Sort, i64)> {
        let personal = self.personal.get(order).map(|until_us| (Sort::Personal, *until_us));
        personal.or_else(|| self.lasting.get(order).map(|until_us| (Sort::Lasting, *until_us)))
    }

    fn sort(&self, order: &str) -> Sort {
        self.find(order).map_or(Sort::Plain, |(sort, _)| sort)
    }
}

/// What a search needs to know of a trace.
#[derive(Clone, Debug)]
struct Summary {
    /// Position of the root among the spans.
    root: usize,
    first_us: i64,
    last_us: i64,
    /// When the root and the last event of the order had ended.
    done_us: i64,
    /// The root is a span whose parent may come yet.
    unfinished: bool,
    status: TraceStatus,
    /// What failed with nothing that made good for it.
    failed: usize,
    /// In order of appearance.
    services: Box<[u16]>,
    /// Services and names of the spans, each pair once.
    operations: Arc<[(u16, u16)]>,
}

impl Trace {
    fn take(&mut self, span: SpanRecord) {
        self.first_us = self.first_us.min(span.start_us);
        self.last_us = self.last_us.max(span.end_us());
        // A try that failed and was repeated is no failure; nor is it one in a list.
        self.seen |= if span.has(TRY) { span.flags & !ERROR } else { span.flags };
        self.spans.push(span);
    }

    fn saw(&self, flags: u8) -> bool {
        self.seen & flags != 0
    }

    /// What it is worth by itself.
    fn worth(&self) -> Sort {
        match self.order {
            Some(_) if self.saw(PERSONAL) => Sort::Personal,
            Some(_) if self.saw(COMPENSATION | CANCELLED | ERROR) => Sort::Lasting,
            Some(_) => Sort::Telling,
            None if self.saw(COMPENSATION | ERROR) => Sort::Telling,
            None if self.last_us.saturating_sub(self.first_us) > SLOW_US => Sort::Telling,
            None => Sort::Plain,
        }
    }
}

impl Store {
    pub(crate) fn new(limits: StoreLimits, started_us: i64) -> Self {
        Self {
            limits: StoreLimits {
                // A trace without spans has no root.
                spans_per_trace: limits.spans_per_trace.max(1),
                ..limits
            },
            traces: HashMap::new(),
            ages: Ages::default(),
            spans: [0; 4],
            orders: Orders::new(),
            left_until_us: None,
            lines: Lines::new(limits.logs, started_us),
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
        trace.take(ended.record);
        self.stats.spans += 1;
        self.spans[trace.sort as usize] += 1;
        let worth = trace.worth();
        if worth > trace.sort {
            self.keep(id, worth);
        }
        while self.stats.spans > self.limits.spans && self.make_room() {}
    }

    /// A trace turns out to be of a sort that is kept longer, and with it what else is told of its
    /// order.
    fn keep(&mut self, id: u128, sort: Sort) {
        let Some(trace) = self.traces.get_mut(&id) else { return };
        let was = std::mem::replace(&mut trace.sort, sort);
        self.ages.move_to(trace.place, was, sort);
        self.spans[was as usize] -= trace.spans.len();
        self.spans[sort as usize] += trace.spans.len();
        let Some(order) = &trace.order else { return };
        let orders = match sort {
            Sort::Personal => &mut self.orders.personal,
            Sort::Lasting => &mut self.orders.lasting,
            Sort::Telling | Sort::Plain => return,
        };
        orders.add(order.clone(), self.lines.left_until_us(Sort::Plain));
    }

    /// Lets the next trace leave, unless what became of its order is a reason to keep it longer.
    /// Of an order's traces that holds for those in which something happened to it, not for those
    /// of looking at it, of which there may be any number. False when there is none.
    fn make_room(&mut self) -> bool {
        let Some(id) = self.ages.next(Sort::makes_room(self.spans, self.limits.spans)) else {
            return false;
        };
        let Some(trace) = self.traces.get(&id) else { return false };
        let order = trace.order.as_deref().filter(|_| trace.saw(EVENT));
        let worth = order.map_or(Sort::Plain, |order| self.orders.sort(order));
        if worth > trace.sort {
            self.keep(id, worth);
            return true;
        }
        self.ages.leave(trace.place, trace.sort);
        self.spans[trace.sort as usize] -= trace.spans.len();
        self.stats.spans -= trace.spans.len();
        self.stats.evicted_spans += trace.spans.len() as u64;
        self.left_until_us = self.left_until_us.max(Some(trace.first_us));
        self.traces.remove(&id);
        true
    }

    pub(crate) fn add_log(&mut self, log: LogRecord, symbols: &Symbols) {
        let (traces, orders) = (&self.traces, &self.orders);
        self.lines.add(log, |line| {
            let of_trace = traces.get(&u128::from_be_bytes(line.trace)).map(|trace| trace.sort);
            let mut unpacker = Unpacker::new(&line.packed);
            unpacker.text();
            let order = unpacker.text_of(numbered(names::ORDER_ID_FIELD, symbols));
            let of_order = order.map_or(Sort::Plain, |order| orders.sort(order));
            of_order.max(of_trace.unwrap_or_default())
        });
    }

    /// The moment until which lines of an order have left, if it has any from before.
    pub(crate) fn lines_left_until_us(&self, order: &str) -> i64 {
        match self.orders.find(order) {
            Some((sort, until_us)) => until_us.max(self.lines.left_until_us(sort)),
            None => self.lines.left_until_us(Sort::Plain),
        }
    }

    pub(crate) fn stats(&self) -> StoreStats {
        StoreStats {
            traces: self.traces.len(),
            logs: self.lines.len(),
            evicted_logs: self.lines.evicted,
            ..self.stats
        }
    }
}
