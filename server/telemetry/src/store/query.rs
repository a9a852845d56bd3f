//! Questions to the store. Answers are made of owned strings, so no lock outlives them.

use super::{
    SLOW_US, Store, Summary, Trace,
    record::{
        COMPENSATION, ERROR, EVENT, HIT, LogRecord, OUTSIDE, SpanRecord, TRY, Unpacker, Wanted,
    },
};
use crate::symbols::{MISSING, Symbols};
use contract::trace::{
    LogView, PARENT_PATIENCE_US, SpanEventView, SpanLinkView, SpanView, TRACE_MARKS_MAX,
    TRACE_ROWS_MAX, TraceList, TraceMark, TraceQuery, TraceRow, TraceStatus, TraceView,
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    iter::successors,
    ops::Range,
};

/// Log lines of one answer: what a page can show.
const LOG_ROWS_MAX: usize = 2_000;
/// Names to choose an operation from: more than a select box can show.
const OPERATIONS_MAX: usize = 500;
/// A [`TraceQuery`] with its strings replaced by numbers. Without the number of a name nothing can
/// match: the name was never seen.
struct Filter<'q> {
    service: Option<Option<u16>>,
    operation: Option<(u16, &'q str)>,
    status: Option<TraceStatus>,
    min_us: i64,
    /// The root began within: from, up to but not including.
    began_us: Range<i64>,
    tag: Option<Tag<'q>>,
}

struct Tag<'q> {
    key: (u16, &'q str),
    value: Option<Wanted<'q>>,
}

impl<'q> Filter<'q> {
    fn new(query: &'q TraceQuery, now_us: i64, symbols: &Symbols) -> Self {
        let given = |text: &'q Option<String>| text.as_deref().filter(|text| !text.is_empty());
        let tag = given(&query.tag).map(|tag| {
            let (key, value) = match tag.split_once('=') {
                Some((key, value)) => (key.trim(), Some(Wanted::new(value.trim()))),
                None => (tag.trim(), None),
            };
            Tag { key: numbered(key, symbols), value }
        });
        let us = |number: u64, unit: i64| {
            i64::try_from(number).map_or(i64::MAX, |n| n.saturating_mul(unit))
        };
        Self {
            service: given(&query.service).map(|name| symbols.find_service(name)),
            operation: given(&query.operation).map(|name| numbered(name, symbols)),
            status: query.status,
            min_us: query.min_duration_ms.map_or(0, |ms| us(ms, 1_000)),
            began_us: match query.window {
                Some(window) => window.from_us..window.until_us,
                None => {
                    let ago = |s| now_us.saturating_sub(us(s, 1_000_000));
                    query.last_seconds.map_or(i64::MIN, ago)..i64::MAX
                }
            },
            tag,
        }
    }

    fn lets_through(&self, trace: &Trace, summary: &Summary) -> bool {
        let root = &trace.spans[summary.root];
        self.began_us.contains(&root.start_us)
            && summary.duration_us() >= self.min_us
            && self.status.is_none_or(|status| status == summary.status)
            && self.service.is_none_or(|wanted| {
                wanted.is_some_and(|number| summary.services.contains(&number))
            })
            && self.operation.is_none_or(|wanted| self.has_operation(trace, summary, wanted))
            && self.tag.as_ref().is_none_or(|tag| tag.is_on(trace))
    }

    /// Whether a span of the service, or of any where none is asked for, has this name.
    fn has_operation(&self, trace: &Trace, summary: &Summary, (number, name): (u16, &str)) -> bool {
        let of_service = |service| self.service.is_none_or(|wanted| wanted == Some(service));
        if number == MISSING {
            let named = |span: &&SpanRecord| is_named(span, (number, name));
            return trace.spans.iter().filter(named).any(|span| of_service(span.service));
        }
        let named = |(service, own): &(u16, u16)| *own == number && of_service(*service);
        summary.operations.iter().any(named)
    }
}

/// Names to choose an operation from, by number. Of thousands of traces with the same few names
/// each, so they are ticked off and not put in order.
struct Choices(Vec<bool>);

impl Default for Choices {
    fn default() -> Self {
        Self(vec![false; usize::from(MISSING) + 1])
    }
}

impl Choices {
    /// The names of a trace's spans of the service that is asked for; else that of its root, for
    /// all names of all services are more than anybody looks through.
    fn add(&mut self, service: Option<Option<u16>>, summary: &Summary, root: u16) {
        match service {
            None => self.0[usize::from(root)] = true,
            Some(wanted) => {
                let of_it = |(service, _): &&(u16, u16)| Some(*service) == wanted;
                let names = summary.operations.iter().filter(of_it);
                names.for_each(|(_, name)| self.0[usize::from(*name)] = true);
            }
        }
    }

    /// In order, as many as can be chosen from.
    fn names(self, symbols: &Symbols) -> Vec<String> {
        let numbers = (0..MISSING).filter(|number| self.0[usize::from(*number)]);
        let mut names = sorted(numbers.filter_map(|number| symbols.words.string(number)));
        names.truncate(OPERATIONS_MAX);
        names
    }
}

impl Tag<'_> {
    fn is_on(&self, trace: &Trace) -> bool {
        trace.spans.iter().any(|span| {
            let mut unpacker = after_name(span);
            unpacker.text();
            unpacker.has_attribute(self.key, self.value)
        })
    }
}

impl Summary {
    /// Until the root and the last event of the order had ended.
    fn duration_us(&self) -> i64 {
        self.done_us.saturating_sub(self.first_us)
    }

    /// Whether more of it may come.
    fn runs(&self, now_us: i64) -> bool {
        self.unfinished && now_us.saturating_sub(self.last_us) < PARENT_PATIENCE_US
    }
}

impl Trace {
    pub(super) fn summary(&mut self) -> &Summary {
        let spans = &self.spans;
        self.summary.get_or_insert_with(|| summarise(spans))
    }

    fn row(&mut self, id: u128, symbols: &Symbols) -> TraceRow {
        let summary = self.summary().clone();
        let root = &self.spans[summary.root];
        TraceRow {
            trace_id: format!("{id:032x}"),
            service: symbols.service_name(root.service).as_ref().to_owned(),
            operation: name_of(root, symbols),
            start_us: root.start_us,
            duration_us: summary.last_us.saturating_sub(summary.first_us),
            tail_us: summary.last_us.saturating_sub(summary.done_us),
            unfinished: summary.unfinished,
            status: summary.status,
            http_status: Some(root.http_status).filter(|&status| status != 0),
            failed: summary.failed,
            spans: self.spans.len(),
            services: summary
                .services
                .iter()
                .map(|&service| symbols.service_name(service).as_ref().to_owned())
                .collect(),
            order_id: self.order.as_deref().map(ToOwned::to_owned),
        }
    }
}

/// The root is the earliest span whose parent is not kept. A trace has at least one such span: the
/// store never keeps an empty trace, and if every span had its parent kept, the earliest is taken.
fn summarise(spans: &[SpanRecord]) -> Summary {
    let mut ids: Vec<u64> = spans.iter().map(|span| span.id).collect();
    ids.sort_unstable();
    let mut order: Vec<usize> = (0..spans.len()).collect();
    // Of two that start together the longer one is outside.
    order.sort_unstable_by_key(|&at| (spans[at].start_us, -spans[at].duration_us));
    let root = order
        .iter()
        .copied()
        .find(|&at| ids.binary_search(&spans[at].parent).is_err())
        .or_else(|| order.first().copied())
        .unwrap_or(0);
    let mut services: Vec<u16> = Vec::new();
    for &at in &order {
        if !services.contains(&spans[at].service) {
            services.push(spans[at].service);
        }
    }
    let mut operations: Vec<(u16, u16)> =
        spans.iter().map(|span| (span.service, span.name)).collect();
    operations.sort_unstable();
    operations.dedup();
    let (status, failed) = outcome(spans, root);
    let events = spans.iter().filter(|span| span.has(EVENT)).map(SpanRecord::end_us);
    let root_span = spans.get(root);
    let root_end = root_span.map_or(0, SpanRecord::end_us);
    Summary {
        root,
        first_us: spans.iter().map(|span| span.start_us).min().unwrap_or(0),
        last_us: spans.iter().map(SpanRecord::end_us).max().unwrap_or(0),
        done_us: events.max().unwrap_or(root_end).max(root_end),
        unfinished: root_span.is_some_and(|root| root.parent != 0 && !root.has(OUTSIDE)),
        status,
        failed,
        services: services.into(),
        operations: operations.into(),
    }
}

/// What was undone in order is not a failure, unless the caller was told so; nor is what went wrong
/// in a try or a delivery that was repeated, for its call or a later delivery tells how that ended.
/// What failed behind an answer that was given all the same is counted and told beside it. An
/// answer of the root decides alone; without one its mark does.
fn outcome(spans: &[SpanRecord], root: usize) -> (TraceStatus, usize) {
    let any = |flag| spans.iter().any(|span| span.has(flag));
    let failed = if any(ERROR) { Repeats::of(spans).failures() } else { 0 };
    let root = spans.get(root);
    let told = root.is_some_and(|span| span.http_status >= 500);
    let marked = root.is_some_and(|span| span.http_status == 0 && span.has(ERROR));
    let status = if any(COMPENSATION) && !told {
        TraceStatus::Compensated
    } else if told || (marked && failed > 0) {
        TraceStatus::Error
    } else if failed > 0 {
        TraceStatus::Tolerated
    } else {
        TraceStatus::Ok
    };
    (status, failed)
}

/// What of a trace was tried again.
struct Repeats<'s> {
    spans: &'s [SpanRecord],
    by_id: HashMap<u64, &'s SpanRecord>,
}

impl<'s> Repeats<'s> {
    fn of(spans: &'s [SpanRecord]) -> Self {
        Self { spans, by_id: spans.iter().map(|span| (span.id, span)).collect() }
    }

    /// How many things failed for good, each counted where it came from: at the span below which
    /// none failed.
    fn failures(&self) -> usize {
        let failed: Vec<&SpanRecord> =
            self.spans.iter().filter(|span| span.has(ERROR) && !self.forgiven(span)).collect();
        let handed_up: HashSet<u64> = failed.iter().map(|span| span.parent).collect();
        let first = failed.iter().filter(|span| !handed_up.contains(&span.id)).count();
        // Parents that lead around in a circle have no span below which none failed.
        first.max(usize::from(!failed.is_empty()))
    }

    /// Whether a span belongs to something that was repeated: itself, or what it happened in. No
    /// more steps up than there are spans, for parents may lead around in a circle.
    fn forgiven(&self, span: &'s SpanRecord) -> bool {
        let above = successors(Some(span), |span| self.by_id.get(&span.parent).copied());
        above.take(self.spans.len()).any(|span| span.has(TRY) || self.delivered_later(span))
    }

    fn delivered_later(&self, span: &SpanRecord) -> bool {
        span.delivery != 0
            && span.has(ERROR)
            && self.spans.iter().any(|later| {
                later.delivery == span.delivery
                    && later.start_us > span.start_us
                    && !later.has(ERROR)
            })
    }
}

impl Store {
    /// How many traces match and began after a moment.
    pub(crate) fn count_after(
        &mut self,
        query: &TraceQuery,
        after_us: i64,
        now_us: i64,
        symbols: &Symbols,
    ) -> usize {
        let filter = Filter::new(query, now_us, symbols);
        let newer = self.traces.values_mut().filter(|trace| trace.last_us > after_us);
        newer
            .filter_map(|trace| {
                let summary = trace.summary().clone();
                let later = trace.spans[summary.root].start_us > after_us;
                (later && filter.lets_through(trace, &summary)).then_some(())
            })
            .count()
    }

    /// Traces that match, newest first.
    pub(crate) fn search(
        &mut self,
        query: &TraceQuery,
        now_us: i64,
        symbols: &Symbols,
    ) -> TraceList {
        let filter = Filter::new(query, now_us, symbols);
        let mut found: Vec<(i64, u128)> = Vec::new();
        let mut telling: HashSet<u128> = HashSet::new();
        let mut running: HashSet<u128> = HashSet::new();
        let mut list = TraceList::default();
        let mut services = BTreeSet::new();
        let mut operations = Choices::default();
        for (&id, trace) in &mut self.traces {
            trace.summary();
            let Some(summary) = &trace.summary else {
                continue;
            };
            services.extend(summary.services.iter().copied());
            operations.add(filter.service, summary, trace.spans[summary.root].name);
            if filter.lets_through(trace, summary) {
                found.push((trace.spans[summary.root].start_us, id));
                if summary.runs(now_us) {
                    running.insert(id);
                }
                let slow = summary.duration_us() > SLOW_US;
                list.slow += usize::from(slow);
                if slow || summary.status != TraceStatus::Ok {
                    telling.insert(id);
                }
            }
        }
        list.at_us = now_us;
        list.oldest_us = self.traces.values().map(|trace| trace.first_us).min();
        list.left_until_us = self.left_until_us;
        list.matched = found.len();
        let open = query.open.as_deref().and_then(|id| u128::from_str_radix(id, 16).ok());
        // How long it takes is not known yet.
        let over = found.iter().filter(|(_, id)| !running.contains(id)).copied();
        let chosen = chosen(&over.collect::<Vec<_>>(), &telling, open);
        list.marks = chosen.into_iter().filter_map(|id| self.mark(id)).collect();
        list.rows = self.newest(found, symbols);
        list.services = sorted(services.into_iter().map(|n| symbols.service_name(n)));
        list.operations = operations.names(symbols);
        list
    }

    fn mark(&mut self, id: u128) -> Option<TraceMark> {
        let trace = self.traces.get_mut(&id)?;
        let summary = trace.summary().clone();
        Some(TraceMark {
            trace_id: format!("{id:032x}"),
            start_us: trace.spans[summary.root].start_us,
            duration_us: summary.duration_us(),
            status: summary.status,
            hit: trace.saw(HIT),
        })
    }

    pub(super) fn newest(
        &mut self,
        mut found: Vec<(i64, u128)>,
        symbols: &Symbols,
    ) -> Vec<TraceRow> {
        if found.len() > TRACE_ROWS_MAX {
            found.select_nth_unstable_by(TRACE_ROWS_MAX - 1, |a, b| b.cmp(a));
            found.truncate(TRACE_ROWS_MAX);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
            .into_iter()
            .filter_map(|(_, id)| self.traces.get_mut(&id).map(|trace| trace.row(id, symbols)))
            .collect()
    }

    /// One trace with everything that is kept of it.
    pub(crate) fn trace(&mut self, id: u128, symbols: &Symbols) -> Option<TraceView> {
        let trace = self.traces.get_mut(&id)?;
        if trace.spans.is_empty() {
            return None;
        }
        let row = trace.row(id, symbols);
        let mut spans: Vec<&SpanRecord> = trace.spans.iter().collect();
        spans.sort_by_key(|span| (span.start_us, -span.duration_us));
        let view = TraceView {
            row,
            spans: spans.into_iter().map(|span| span_view(span, symbols)).collect(),
            dropped: trace.dropped,
            logs: Vec::new(),
        };
        Some(TraceView { logs: self.logs_of_trace(id, symbols), ..view })
    }

    /// Log lines of a trace, oldest first.
    pub(crate) fn logs_of_trace(&self, id: u128, symbols: &Symbols) -> Vec<LogView> {
        let id = id.to_be_bytes();
        self.newest_logs(symbols, LOG_ROWS_MAX, |log| log.trace == id)
    }

    /// Log lines with a field of this value, oldest first.
    pub(crate) fn logs_with_field(
        &self,
        key: &str,
        value: &str,
        symbols: &Symbols,
    ) -> Vec<LogView> {
        let (key, value) = (numbered(key, symbols), Wanted::new(value));
        self.newest_logs(symbols, LOG_ROWS_MAX, |log| {
            let mut unpacker = Unpacker::new(&log.packed);
            unpacker.text();
            unpacker.has_attribute(key, Some(value))
        })
    }

    pub(super) fn newest_logs(
        &self,
        symbols: &Symbols,
        most: usize,
        wanted: impl Fn(&LogRecord) -> bool,
    ) -> Vec<LogView> {
        let mut found: Vec<&LogRecord> = self.lines.iter().filter(|log| wanted(log)).collect();
        // Stable: lines of one microsecond stay in the order in which they were written.
        found.sort_by_key(|log| log.at_us);
        let found = found.split_off(found.len().saturating_sub(most));
        found.into_iter().map(|log| log_view(log, symbols)).collect()
    }
}

/// The traces that get a mark, by start time. Where there is no room for all, those that tell
/// nothing new make room first, then those that do; each sort is thinned by the ids, which are
/// random: evenly over the time, and the same traces are left out when it is asked again.
fn chosen(found: &[(i64, u128)], telling: &HashSet<u128>, open: Option<u128>) -> Vec<u128> {
    let mut newest_first: Vec<&(i64, u128)> = found.iter().collect();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let ranked = newest_first.into_iter().enumerate().map(|(place, &(start_us, id))| {
        let rank = if Some(id) == open {
            0
        } else if telling.contains(&id) {
            1
        } else if place < TRACE_ROWS_MAX {
            2
        } else {
            3
        };
        // The lower half of a W3C trace id is random even where the upper is a time.
        (rank, id & u128::from(u64::MAX), start_us, id)
    });
    let mut ranked: Vec<(u8, u128, i64, u128)> = ranked.collect();
    if ranked.len() > TRACE_MARKS_MAX {
        ranked.select_nth_unstable(TRACE_MARKS_MAX - 1);
        ranked.truncate(TRACE_MARKS_MAX);
    }
    ranked.sort_unstable_by_key(|&(_, _, start_us, id)| (start_us, id));
    ranked.into_iter().map(|(.., id)| id).collect()
}

fn sorted(names: impl Iterator<Item = std::sync::Arc<str>>) -> Vec<String> {
    let mut names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    names.sort_unstable();
    names
}

/// A word as records hold it: by number, or inline.
pub(super) fn numbered<'w>(word: &'w str, symbols: &Symbols) -> (u16, &'w str) {
    (symbols.words.find(word).unwrap_or(MISSING), word)
}

fn is_named(span: &SpanRecord, (number, name): (u16, &str)) -> bool {
    span.name == number && (number != MISSING || Unpacker::new(&span.packed).text() == name)
}

fn after_name(span: &SpanRecord) -> Unpacker<'_> {
    let mut unpacker = Unpacker::new(&span.packed);
    if span.name == MISSING {
        unpacker.text();
    }
    unpacker
}

fn name_of(span: &SpanRecord, symbols: &Symbols) -> String {
    if span.name == MISSING {
        return Unpacker::new(&span.packed).text().to_owned();
    }
    symbols.words.string(span.name).unwrap_or_default().as_ref().to_owned()
}

fn span_view(span: &SpanRecord, symbols: &Symbols) -> SpanView {
    let mut unpacker = after_name(span);
    let message = unpacker.text();
    let attributes = unpacker.attributes(&symbols.words);
    let events = (0..unpacker.count())
        .map(|_| SpanEventView {
            at_us: span.start_us.saturating_add(unpacker.signed()),
            name: unpacker.text().to_owned(),
            attributes: unpacker.attributes(&symbols.words),
        })
        .collect();
    let links = (0..unpacker.count())
        .map(|_| SpanLinkView { trace_id: hex(unpacker.raw(16)), span_id: hex(unpacker.raw(8)) })
        .collect();
    SpanView {
        span_id: format!("{:016x}", span.id),
        parent_id: (span.parent != 0).then(|| format!("{:016x}", span.parent)),
        service: symbols.service_name(span.service).as_ref().to_owned(),
        name: name_of(span, symbols),
        kind: span.kind,
        start_us: span.start_us,
        duration_us: span.duration_us,
        error: span.has(ERROR),
        message: (!message.is_empty()).then(|| message.to_owned()),
        attributes,
        events,
        links,
    }
}

fn log_view(log: &LogRecord, symbols: &Symbols) -> LogView {
    let mut unpacker = Unpacker::new(&log.packed);
    let in_trace = log.trace != [0; 16];
    LogView {
        at_us: log.at_us,
        service: symbols.service_name(log.service).as_ref().to_owned(),
        level: log.level,
        message: unpacker.text().to_owned(),
        span_id: in_trace.then(|| format!("{:016x}", log.span)),
        trace_id: in_trace.then(|| hex(&log.trace)),
        fields: unpacker.attributes(&symbols.words),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        use std::fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
