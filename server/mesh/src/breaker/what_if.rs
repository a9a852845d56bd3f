//! Thresholds tried on what a breaker has met: its calls are recorded for a minute, and the same
//! state machine runs over the record with other parameters. [`what_if`] is pure.
//!
//! A call that was really refused has no outcome. Where other thresholds would have let it pass,
//! nobody knows how it would have ended: it is counted, and decides nothing. Calls while somebody
//! held the breaker by hand decide nothing either, as they did not then.

use super::{
    machine::Passage,
    state::{Admission, BreakerEvent, BreakerParams, BreakerState},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// So far back a record goes.
pub const RECORD_FOR: Duration = Duration::from_secs(60);
/// Entries of a record, two of each call: a minute of 34 calls a second. A breaker that is called
/// as often or more keeps 360 kB, and the trace of each call that failed.
pub const RECORD_MAX: usize = 4_096;

/// What became of a call that asked to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It passed, or was refused, by the state machine.
    Judged { refused: bool },
    /// Somebody held the breaker by hand.
    Held,
}

/// How a call that had passed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Good,
    Failed,
    /// Its caller went away.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Asked(Asked),
    Ended(Ended, Passage),
    /// Somebody set the breaker back to closed.
    Reset,
}

/// One thing that happened to a breaker.
#[derive(Clone, Debug)]
struct Entry {
    at_us: i64,
    /// Number of the call.
    call: u64,
    /// In what, and in which generation, the breaker really was before.
    before: (BreakerState, u64),
    what: What,
    /// Of a call that failed, 32 hex digits: it may be the one that opens.
    trace_id: Option<Arc<str>>,
}

/// What happened to a breaker lately, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    entries: VecDeque<Entry>,
    calls: u64,
}

impl Record {
    /// A call asks; its number.
    pub(super) fn asked(&mut self, at_us: i64, asked: Asked, before: (BreakerState, u64)) -> u64 {
        let call = self.calls;
        self.calls += 1;
        self.push(Entry { at_us, call, before, what: What::Asked(asked), trace_id: None });
        call
    }

    /// The call of that number ended.
    pub(super) fn ended(
        &mut self,
        at_us: i64,
        (call, passage): (u64, Passage),
        ended: Ended,
        before: (BreakerState, u64),
        trace_id: Option<&Arc<str>>,
    ) {
        let trace_id = trace_id.filter(|_| ended == Ended::Failed).cloned();
        self.push(Entry { at_us, call, before, what: What::Ended(ended, passage), trace_id });
    }

    pub(super) fn reset(&mut self, at_us: i64, before: (BreakerState, u64)) {
        let call = u64::MAX;
        self.push(Entry { at_us, call, before, what: What::Reset, trace_id: None });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == RECORD_MAX {
            self.entries.pop_front();
        }
        self.forget(entry.at_us);
        self.entries.push_back(entry);
    }

    /// Takes out what is too old.
    pub(super) fn forget(&mut self, now_us: i64) {
        let since_us = now_us.saturating_sub(base::clock::micros(RECORD_FOR));
        while self.entries.front().is_some_and(|entry| entry.at_us < since_us) {
            self.entries.pop_front();
        }
    }
}

/// The breaker would have changed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The state it would have left.
    pub from: BreakerState,
    /// The state it would have been in.
    pub to: BreakerState,
    /// The trace of the call that failed and opens it.
    pub trace_id: Option<Arc<str>>,
}

/// What a breaker would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// Since when there is a record, microseconds since the epoch; [`None`] when it is empty.
    pub since_us: Option<i64>,
    /// Calls that asked to pass.
    pub calls: u64,
    /// Calls it would have refused.
    pub refused: u64,
    /// Calls it would have let pass that were really refused: nobody knows how they would have
    /// ended.
    pub unknown: u64,
    /// Calls while somebody held the breaker by hand, which are in no other count.
    pub held: u64,
    /// Its changes of state, oldest first.
    pub turns: Vec<Turn>,
}

impl WhatIf {
    /// Its openings: out of closed, and again after a trial call that failed.
    pub fn openings(&self) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(|turn| matches!(turn.to, BreakerState::Open { .. }))
    }
}

/// Runs the state machine over a record, from the state that the breaker really was in before it.
pub(super) fn what_if(record: &Record, params: &BreakerParams) -> WhatIf {
    let Some(first) = record.entries.front() else { return WhatIf::default() };
    let mut replay = Replay {
        params,
        state: first.before.0,
        generation: 0,
        began_in: first.before.1,
        passed: HashMap::new(),
        outcome: WhatIf { since_us: Some(first.at_us), ..WhatIf::default() },
    };
    record.entries.iter().for_each(|entry| replay.take(entry));
    replay.outcome
}

struct Replay<'a> {
    params: &'a BreakerParams,
    state: BreakerState,
    /// Raised with every change of state, as in the breaker; 0 is that of the beginning.
    generation: u64,
    /// Which generation the breaker was really in at the beginning.
    began_in: u64,
    /// The calls of the record: in which generation each passed, and whether as the trial call.
    passed: HashMap<u64, Option<(u64, bool)>>,
    outcome: WhatIf,
}

impl Replay<'_> {
    fn take(&mut self, entry: &Entry) {
        match entry.what {
            What::Asked(Asked::Held) => {
                self.outcome.held += 1;
                self.passed.insert(entry.call, None);
            }
            What::Asked(Asked::Judged { refused }) => self.ask(entry, refused),
            What::Ended(ended, passage) => self.end(entry, ended, passage),
            What::Reset => {
                self.state = BreakerState::Closed { failures: 0 };
                self.generation += 1;
            }
        }
    }

    fn ask(&mut self, entry: &Entry, refused: bool) {
        self.outcome.calls += 1;
        let (_, would) = self.state.next(BreakerEvent::Admit, self.params, entry.at_us);
        let passed = match would {
            Admission::Refuse => {
                self.outcome.refused += 1;
                None
            }
            Admission::Pass | Admission::Probe if refused => {
                self.outcome.unknown += 1;
                None
            }
            would => {
                self.step(BreakerEvent::Admit, entry);
                Some((self.generation, would == Admission::Probe))
            }
        };
        self.passed.insert(entry.call, passed);
    }

    fn end(&mut self, entry: &Entry, ended: Ended, passage: Passage) {
        let passed = match self.passed.remove(&entry.call) {
            Some(passed) => passed,
            // It asked before the record begins, and passed as it really did.
            None => match passage {
                Passage::Counted(at) if at == self.began_in => Some((0, false)),
                Passage::Probe(at) if at == self.began_in => Some((0, true)),
                _ => None,
            },
        };
        let Some((_, trial)) = passed.filter(|(at, _)| *at == self.generation) else { return };
        match ended {
            Ended::Good => self.step(BreakerEvent::Success, entry),
            Ended::Failed => self.step(BreakerEvent::Failure, entry),
            Ended::Abandoned if trial => self.step(BreakerEvent::ProbeAbandoned, entry),
            Ended::Abandoned => {}
        }
    }

    fn step(&mut self, event: BreakerEvent, entry: &Entry) {
        let from = self.state;
        let (to, _) = from.next(event, self.params, entry.at_us);
        self.state = to;
        if from.name() != to.name() {
            self.generation += 1;
            let opens = matches!(to, BreakerState::Open { .. });
            let trace_id = entry.trace_id.clone().filter(|_| opens);
            self.outcome.turns.push(Turn { at_us: entry.at_us, from, to, trace_id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const CLOSED: BreakerState = BreakerState::Closed { failures: 0 };

    const fn params(failure_threshold: u32, seconds: u64) -> BreakerParams {
        BreakerParams { failure_threshold, open_for: Duration::from_secs(seconds) }
    }

    /// Calls that ask and end at once, by the second, of a breaker that really stayed closed.
    fn closed(calls: &[(i64, bool)]) -> Record {
        let (mut record, before) = (Record::default(), (CLOSED, 0));
        for (second, failed) in calls {
            let at_us = second * SECOND;
            let call = record.asked(at_us, Asked::Judged { refused: false }, before);
            let ended = if *failed { Ended::Failed } else { Ended::Good };
            let trace = Arc::from(format!("trace of {second}"));
            let passed = (call, Passage::Counted(0));
            record.ended(at_us, passed, ended, before, Some(&trace));
        }
        record
    }

    fn turns(outcome: &WhatIf) -> Vec<(i64, &'static str, &'static str, Option<&str>)> {
        let turns = outcome.turns.iter();
        let written = turns.map(|turn| {
            (turn.at_us / SECOND, turn.from.name(), turn.to.name(), turn.trace_id.as_deref())
        });
        written.collect()
    }

    #[test]
    fn known_calls_open_it_at_known_times_and_what_it_refuses_is_no_outcome() {
        let (good, bad) = (false, true);
        let record = closed(&[
            (1, bad),
            (2, bad),
            (3, good),
            (4, bad),
            (5, bad),
            (6, bad),
            (7, bad),
            (12, bad),
            (15, bad),
            (16, bad),
            (17, good),
            (18, bad),
        ]);
        let three = what_if(&record, &params(3, 10));
        let expected = vec![
            (6, "closed", "open", Some("trace of 6")),
            (16, "open", "half-open", None),
            (16, "half-open", "open", Some("trace of 16")),
        ];
        assert_eq!(turns(&three), expected);
        assert_eq!((three.calls, three.refused, three.openings().count()), (12, 5, 2));
        assert_eq!((three.since_us, three.unknown, three.held), (Some(SECOND), 0, 0));
        let two = what_if(&record, &params(2, 5));
        let expected = vec![
            (2, "closed", "open", Some("trace of 2")),
            (7, "open", "half-open", None),
            (7, "half-open", "open", Some("trace of 7")),
            (12, "open", "half-open", None),
            (12, "half-open", "open", Some("trace of 12")),
            (17, "open", "half-open", None),
            (17, "half-open", "closed", None),
        ];
        assert_eq!(turns(&two), expected);
        assert_eq!(two.refused, 6);
        let ten = what_if(&record, &params(10, 5));
        assert_eq!((ten.turns.len(), ten.refused), (0, 0));
    }

    #[test]
    fn a_call_that_was_really_refused_is_nobodys_outcome() {
        let mut record = closed(&[(1, true)]);
        let open = (BreakerState::Open { until_us: 60 * SECOND }, 1);
        for second in 2..6 {
            record.asked(second * SECOND, Asked::Judged { refused: true }, open);
        }
        let outcome = what_if(&record, &params(2, 1));
        assert_eq!((outcome.calls, outcome.refused, outcome.unknown), (5, 0, 4));
        assert!(outcome.turns.is_empty());
        // One that would have waited for a trial call goes on waiting: nobody knows its outcome.
        let outcome = what_if(&record, &params(1, 2));
        assert_eq!((outcome.refused, outcome.unknown), (1, 3));
        assert_eq!(turns(&outcome), [(1, "closed", "open", Some("trace of 1"))]);
    }

    #[test]
    fn a_record_keeps_a_minute_and_no_more_than_its_limit() {
        let mut record = closed(&[(0, false), (30, false), (61, false)]);
        assert_eq!(what_if(&record, &params(5, 5)).since_us, Some(30 * SECOND));
        for _ in 0..RECORD_MAX {
            record.asked(61 * SECOND, Asked::Judged { refused: false }, (CLOSED, 0));
        }
        assert_eq!(record.entries.len(), RECORD_MAX);
        record.forget(300 * SECOND);
        assert_eq!(what_if(&record, &params(5, 5)), WhatIf::default());
    }
}
