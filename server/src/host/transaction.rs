//! A two-phase commit as the order's page shows it: what payments recorded, joined with the spans
//! of its messages, the faults that met them and what happened to the participants meanwhile. Pure.

use contract::{
    attributes,
    service::PAYMENTS,
    trace::{LogView, SpanKind, SpanLinkView, SpanView, TraceView},
    transaction::{
        TransactionView, TxEventKind, TxEventView, TxFault, TxMessageKind, TxMessageView,
        TxParticipantView, TxState,
    },
};
use shop::{bank::LOCKS_RELEASED, payments::TransactionRecord};
use two_phase_commit::{Decision, Entry, EntryKind, Phase};

/// A line of the log and the span of its message are at most so far apart: the line is written
/// just before the call and just after it, and a loaded machine takes its time in between.
const APART_MAX_US: i64 = 250_000;
/// A fault that held a message for less did something else to it: a delay is at least 1 ms.
const DELAY_FROM_US: i64 = 500;
/// On the callee's span: the instance that answered (semantic conventions).
const INSTANCE: &str = "service.instance.id";

/// A time in which a participant was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// Whose instance.
    pub(super) service: String,
    /// Killed, else only paused.
    pub(super) killed: bool,
    /// The fault that did it.
    pub(super) fault_id: String,
    /// From.
    pub(super) since_us: i64,
    /// Until; none while it lasts.
    pub(super) until_us: Option<i64>,
}

/// What a transaction is joined with.
pub(super) struct Evidence<'a> {
    /// The traces of the order that are kept.
    pub(super) traces: &'a [TraceView],
    /// The log lines of the order.
    pub(super) logs: &'a [LogView],
    /// What faults did to instances.
    pub(super) outages: &'a [Outage],
    /// When this run of Vitrine began.
    pub(super) started_us: i64,
}

pub(super) fn view(record: &TransactionRecord, evidence: &Evidence<'_>) -> TransactionView {
    let id = record.transaction.id.as_str();
    let spans = Spans::of(id, evidence.traces);
    let mut messages: Vec<_> = record.log.iter().map(|line| message(line, &spans)).collect();
    // The log is in the order of writing, and some lines are written later than they happened.
    messages.sort_by_key(|message| message.at_us);
    let branches = record.transaction.branches.iter().map(|branch| branch.participant.as_str());
    let participants: Vec<_> = branches.map(|name| participant(record, name, evidence)).collect();
    let state = match record.phase() {
        Ok(Phase::NotBegun | Phase::Preparing) => TxState::Preparing,
        Ok(Phase::Committing) => TxState::Committing,
        Ok(Phase::Committed) => TxState::Committed,
        Ok(Phase::Aborting) => TxState::Aborting,
        Ok(Phase::Aborted) => TxState::Aborted,
        Err(_) => TxState::Damaged,
    };
    let mut view = TransactionView {
        transaction_id: id.to_owned(),
        purpose: record.transaction.purpose.clone(),
        state,
        participants,
        messages,
        coordinator: record.log.first().and_then(|begin| spans.coordinator(begin.at_us)),
        events: Vec::new(),
    };
    view.events = events(&view, evidence);
    view
}

fn participant(
    record: &TransactionRecord,
    service: &str,
    evidence: &Evidence<'_>,
) -> TxParticipantView {
    let has = |kind| {
        let mut log = record.log.iter();
        log.any(|line| line.kind == kind && line.participant.as_deref() == Some(service))
    };
    let (committing, decided) =
        (record.decision == Some(Decision::Commit), record.decision.is_some());
    let state = match (has(EntryKind::Ack), has(EntryKind::VoteYes), decided) {
        (true, _, _) if committing => TxState::Committed,
        (true, _, _) => TxState::Aborted,
        (false, true, _) => TxState::Prepared,
        (false, false, true) if !committing => TxState::Aborting,
        (false, false, _) => TxState::Preparing,
    };
    let says = |line: &LogView, key: &str, value: &str| {
        line.fields.iter().any(|(k, v)| k == key && v == value)
    };
    let mut released = evidence.logs.iter().filter(|line| {
        line.service == service
            && says(line, "transaction_id", &record.transaction.id)
            && says(line, "locks", LOCKS_RELEASED)
    });
    TxParticipantView {
        service: service.to_owned(),
        state,
        released_us: released.next().map(|line| line.at_us),
    }
}

fn message(entry: &Entry, spans: &Spans<'_>) -> TxMessageView {
    use TxMessageKind as K;
    let span = spans.of_line(entry);
    let sent = matches!(
        entry.kind,
        EntryKind::Prepare | EntryKind::Commit | EntryKind::Abort | EntryKind::Query
    );
    TxMessageView {
        at_us: entry.at_us,
        kind: match entry.kind {
            EntryKind::Begin => K::Begin,
            EntryKind::Prepare => K::Prepare,
            EntryKind::VoteYes => K::VoteYes,
            EntryKind::VoteNo => K::VoteNo,
            EntryKind::DecideCommit => K::DecideCommit,
            EntryKind::DecideAbort => K::DecideAbort,
            EntryKind::Commit => K::Commit,
            EntryKind::Abort => K::Abort,
            EntryKind::Ack => K::Ack,
            EntryKind::Unanswered => K::Unanswered,
            EntryKind::Query => K::Query,
            EntryKind::Answer => K::Answer,
            EntryKind::End => K::End,
        },
        participant: entry.participant.clone(),
        detail: entry.detail.clone(),
        fault: span.filter(|_| sent).and_then(|found| spans.fault(found)),
        span: span.map(Found::link),
    }
}

/// A span and the trace it is in.
#[derive(Clone, Copy)]
struct Found<'a> {
    trace: &'a TraceView,
    span: &'a SpanView,
}

impl Found<'_> {
    fn link(self) -> SpanLinkView {
        SpanLinkView {
            trace_id: self.trace.row.trace_id.clone(),
            span_id: self.span.span_id.clone(),
        }
    }

    const fn end_us(&self) -> i64 {
        self.span.start_us + self.span.duration_us
    }

    /// How far a moment is outside of the span.
    fn apart_us(&self, at_us: i64) -> i64 {
        (self.span.start_us - at_us).max(at_us - self.end_us()).max(0)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.span.attribute(key) == Some(value)
    }
}

/// The spans of one transaction.
struct Spans<'a> {
    /// Those that carry its id.
    own: Vec<Found<'a>>,
    /// Those of payments: what took the command and what was written carries no id.
    payments: Vec<Found<'a>>,
}

impl<'a> Spans<'a> {
    fn of(transaction_id: &str, traces: &'a [TraceView]) -> Self {
        let all = traces.iter().flat_map(|trace| trace.spans.iter().map(move |s| (trace, s)));
        let all: Vec<Found<'a>> = all.map(|(trace, span)| Found { trace, span }).collect();
        let of = |f: &&Found<'a>| f.is(attributes::TRANSACTION_ID, transaction_id);
        let own = all.iter().filter(of).copied().collect();
        let payments = all.into_iter().filter(|f| f.span.service == PAYMENTS).collect();
        Self { own, payments }
    }

    /// Of some spans of payments the one around a moment.
    fn around(&self, at_us: i64, wanted: impl Fn(&SpanView) -> bool) -> Option<Found<'a>> {
        let found = self.payments.iter().copied().filter(|f| wanted(f.span));
        let nearest = found.min_by_key(|f| f.apart_us(at_us))?;
        (nearest.apart_us(at_us) <= APART_MAX_US).then_some(nearest)
    }

    /// The span of a line: of a message its call, of what the coordinator logged the write that
    /// made it durable, or the run itself, which has no span before it ends.
    fn of_line(&self, entry: &Entry) -> Option<Found<'a>> {
        let Some(participant) = entry.participant.as_deref() else {
            let write = match entry.kind {
                EntryKind::Begin => "payments.begin",
                kind if kind.decides() => "payments.decide",
                _ => "two-phase commit",
            };
            return self.around(entry.at_us, |span| span.name.starts_with(write));
        };
        let (from, to) = match entry.kind {
            EntryKind::Query | EntryKind::Answer => (participant, PAYMENTS),
            _ => (PAYMENTS, participant),
        };
        let calls = self.own.iter().copied().filter(|f| {
            f.span.kind == SpanKind::Client
                && f.span.service == from
                && (f.is(attributes::SERVER_ADDRESS, to) || f.is(attributes::PEER_SERVICE, to))
        });
        let nearest = calls.min_by_key(|f| f.apart_us(entry.at_us))?;
        (nearest.apart_us(entry.at_us) <= APART_MAX_US).then_some(nearest)
    }

    /// What faults did to a call, in all of its tries.
    fn fault(&self, call: Found<'a>) -> Option<TxFault> {
        let tries = call.trace.spans.iter().filter(|span| {
            span.parent_id.as_ref() == Some(&call.span.span_id)
                && span.attribute(attributes::MESH_TRY).is_some()
        });
        let mut ids: Vec<&str> = Vec::new();
        let mut delayed_us = 0;
        for span in std::iter::once(call.span).chain(tries) {
            let met = span.attribute(attributes::MESH_FAULT_ID).unwrap_or_default();
            for id in met.split(',').filter(|id| !id.is_empty()) {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            let held = span.attribute(attributes::MESH_FAULT_DELAY_MS);
            delayed_us += held.and_then(|ms| ms.parse::<f64>().ok()).map_or(0, micros);
        }
        let delayed_us = if delayed_us < DELAY_FROM_US { 0 } else { delayed_us };
        (!ids.is_empty()).then(|| TxFault { id: ids.join(","), delayed_us })
    }

    /// The instance of payments that took the command and began the transaction.
    fn coordinator(&self, begun_us: i64) -> Option<String> {
        let took = self.around(begun_us, |span| {
            span.kind == SpanKind::Consumer && span.name.starts_with("process payment.")
        });
        took?.span.attribute(INSTANCE).map(str::to_owned)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a delay is at most a day")]
fn micros(ms: f64) -> i64 {
    (ms.max(0.0) * 1_000.0).round() as i64
}

/// What happened to those who take part while the transaction was under way.
fn events(tx: &TransactionView, evidence: &Evidence<'_>) -> Vec<TxEventView> {
    let Some(first) = tx.messages.first().filter(|_| !tx.never_begun()) else {
        return Vec::new();
    };
    let from_us = first.at_us;
    let last_us = tx.messages.last().map_or(from_us, |last| last.at_us);
    let under_way = |at_us: i64| from_us <= at_us && (!tx.is_over() || at_us <= last_us);
    let takes_part = |outage: &&Outage| tx.participants.iter().any(|p| p.service == outage.service);
    let mut events = Vec::new();
    for outage in evidence.outages.iter().filter(takes_part) {
        let mut tell = |at_us: i64, kind| {
            if under_way(at_us) {
                let participant = Some(outage.service.clone());
                let fault_id = Some(outage.fault_id.clone());
                events.push(TxEventView { at_us, kind, participant, fault_id });
            }
        };
        let (begins, ends) = match outage.killed {
            true => (TxEventKind::Crash, TxEventKind::Restart),
            false => (TxEventKind::Pause, TxEventKind::Resume),
        };
        // One that lay down already before the transaction began lies down from its begin.
        let lasts = outage.until_us.is_none_or(|until_us| until_us > from_us);
        tell(if lasts { outage.since_us.max(from_us) } else { outage.since_us }, begins);
        if let Some(until_us) = outage.until_us {
            tell(until_us, ends);
        }
    }
    // Another run of Vitrine began it: everybody was started again with it.
    if from_us < evidence.started_us && under_way(evidence.started_us) {
        let everybody = tx.participants.iter().map(|p| Some(p.service.clone()));
        events.extend(std::iter::once(None).chain(everybody).map(|participant| TxEventView {
            at_us: evidence.started_us,
            kind: TxEventKind::Restart,
            participant,
            fault_id: None,
        }));
    }
    events.sort_by_key(|event| event.at_us);
    events
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
