//! What a breaker remembers to be asked about: its last calls, its transitions, its probes.
//!
//! Bounded rings of plain data. The state machine does not read them: it counts for itself.

use super::state::{BreakerParams, BreakerState};
use crate::fault::FaultId;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Calls in the window: a row of cells that is taken in at a glance.
pub const WINDOW_CALLS: usize = 20;
/// Transitions and changes kept of one breaker.
pub const HISTORY_MAX: usize = 50;
/// Probes kept of one breaker.
pub const PROBES_MAX: usize = 20;
/// A good answer that took longer than this is shown as slow. It does not count as a failure.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How a call ended, to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// An answer that is no 5xx.
    Ok,
    /// The same, after more than [`SLOW_AFTER`].
    Slow,
    /// A 5xx, or no answer.
    Failed,
}

/// What came back from a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response with this status.
    Status(u16),
    /// No response; `error.type` says what happened instead.
    Nothing(&'static str),
}

impl Answer {
    /// A 5xx or no answer is a failure; every other answer, 4xx too, is a result.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Status(status) => status >= 500,
            Self::Nothing(_) => true,
        }
    }
}

/// What can be blamed: the call's trace and the faults it met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// 32 hex digits.
    pub trace_id: Option<Arc<str>>,
    /// Nearest to the cause first.
    pub faults: Vec<FaultId>,
}

/// One call of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowCall {
    /// How it ended.
    pub outcome: CallOutcome,
    /// What came back.
    pub answer: Answer,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// How long it took.
    pub took: Duration,
    /// Its trace and faults.
    pub cause: Cause,
}

/// How a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// It is out.
    Pending,
    /// It closed the breaker.
    Passed,
    /// It opened the breaker again.
    Failed,
    /// Its caller went away, or the breaker was reset while it was out.
    Abandoned,
}

/// One call that was let through to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was let through, microseconds since the epoch.
    pub at_us: i64,
    /// How it went.
    pub verdict: ProbeVerdict,
    /// Its trace and faults.
    pub cause: Cause,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryChange {
    /// The state machine went from one state to another.
    State {
        /// The state it left.
        from: BreakerState,
        /// The state it is in now.
        to: BreakerState,
    },
    /// Somebody forces it, for a time.
    Forced {
        /// To what.
        to: super::Forced,
        /// Until when, microseconds since the epoch.
        until_us: i64,
    },
    /// The time of a force is over, or it was lifted: the state machine decides again.
    Normal,
    /// Somebody set it back to closed, without failures.
    Reset,
    /// Its parameters.
    Params {
        /// Before.
        from: BreakerParams,
        /// From now on.
        to: BreakerParams,
    },
}

/// One line of a breaker's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// What.
    pub change: HistoryChange,
    /// The call that caused it, if a call did.
    pub cause: Cause,
    /// Who did it, if somebody did.
    pub by: Option<String>,
}

/// What one breaker remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub(super) window: VecDeque<WindowCall>,
    pub(super) before_opening: Vec<WindowCall>,
    pub(super) history: VecDeque<HistoryEntry>,
    pub(super) probes: VecDeque<Probe>,
    pub(super) refused: u64,
    pub(super) refused_now: u64,
    pub(super) opened: u64,
}

impl Memory {
    pub(super) fn call(&mut self, call: WindowCall) {
        push(&mut self.window, call, WINDOW_CALLS);
    }

    pub(super) fn note(&mut self, entry: HistoryEntry) {
        if let HistoryChange::State { from, to: BreakerState::Open { .. } } = &entry.change {
            self.opened += 1;
            self.refused_now = 0;
            // A probe that fails opens it again for the reason it was open before.
            if let BreakerState::Closed { .. } = from {
                self.before_opening = self.window.iter().cloned().collect();
            }
        }
        push(&mut self.history, entry, HISTORY_MAX);
    }

    pub(super) fn probe(&mut self, at_us: i64, cause: Cause) {
        push(&mut self.probes, Probe { at_us, verdict: ProbeVerdict::Pending, cause }, PROBES_MAX);
    }

    pub(super) fn judge(&mut self, verdict: ProbeVerdict, cause: &Cause) {
        let pending = |probe: &&mut Probe| probe.verdict == ProbeVerdict::Pending;
        if let Some(probe) = self.probes.iter_mut().rev().find(pending) {
            probe.verdict = verdict;
            probe.cause = cause.clone();
        }
    }

    /// Nobody waits for the verdict of the probe any more.
    pub(super) fn give_up_probe(&mut self) {
        if let Some(probe) = self.probes.back_mut()
            && probe.verdict == ProbeVerdict::Pending
        {
            probe.verdict = ProbeVerdict::Abandoned;
        }
    }

    pub(super) fn refuse(&mut self) {
        self.refused += 1;
        self.refused_now += 1;
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ring_keeps_the_newest_and_no_more_than_its_limit() {
        let mut memory = Memory::default();
        for at_us in 0..100 {
            let (outcome, answer) = (CallOutcome::Ok, Answer::Status(200));
            let (took, cause) = (Duration::ZERO, Cause::default());
            memory.call(WindowCall { outcome, answer, at_us, took, cause });
            memory.probe(at_us, Cause::default());
            let (change, cause) = (HistoryChange::Normal, Cause::default());
            memory.note(HistoryEntry { at_us, change, cause, by: None });
        }
        assert_eq!((memory.window.len(), memory.window[0].at_us), (WINDOW_CALLS, 80));
        assert_eq!((memory.history.len(), memory.history[0].at_us), (HISTORY_MAX, 50));
        assert_eq!((memory.probes.len(), memory.probes[0].at_us), (PROBES_MAX, 80));
    }
}
