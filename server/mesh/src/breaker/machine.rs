//! One breaker: the state machine with what it remembers and who overrules it.
//!
//! Time is asked of the clock; calls are told about by `layer`. Who forces a breaker must say for
//! how long, so that nothing stays overruled by accident.

use super::{
    state::{Admission, BreakerEvent, BreakerParams, BreakerState},
    what_if::{Asked, Ended, Record, WhatIf, what_if},
    window::{
        Answer, CallOutcome, Cause, HistoryChange, HistoryEntry, Memory, Probe, ProbeVerdict,
        SLOW_AFTER, WindowCall,
    },
};
use crate::{
    MeshError,
    changes::{Announcer, Healing},
    cluster::Cluster,
    fault::FaultId,
};
use base::{Clock, clock::micros};
use contract::attributes;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::Span;

/// Longest time a breaker may be forced.
pub const FORCE_MAX: Duration = Duration::from_secs(3600);

/// What a breaker can be forced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Every call is refused.
    Open,
    /// Every call passes and is still watched.
    Closed,
    /// Every call passes, nothing is watched.
    Disabled,
}

impl Forced {
    /// As it is said on spans.
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "forced open",
            Self::Closed => "forced closed",
            Self::Disabled => "disabled",
        }
    }
}

/// A breaker is not forced without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time must be over 0 and at most {} minutes", FORCE_MAX.as_secs() / 60)]
pub struct BadForce;

/// Whose breaker, for calls to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BreakerEdge {
    /// Who calls.
    pub caller: Arc<str>,
    /// Which service is called.
    pub destination: Arc<str>,
    /// Which subset of it, if a route names one.
    pub subset: Option<Arc<str>>,
}

impl BreakerEdge {
    /// From a caller to a cluster.
    pub(crate) fn between(caller: &Arc<str>, cluster: &Cluster) -> Self {
        let (destination, subset) = (cluster.service.name.clone(), cluster.subset.clone());
        Self { caller: caller.clone(), destination, subset }
    }
}

/// A breaker changed state.
#[derive(Clone, Debug)]
pub struct BreakerTransition {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// Of which subset, if a route named one.
    pub subset: Option<Arc<str>>,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The state it left.
    pub from: BreakerState,
    /// The state it is in now.
    pub to: BreakerState,
    /// The trace of the call that caused it, 32 hex digits.
    pub trace_id: Option<Arc<str>>,
    /// The faults that call had met, nearest to the cause first.
    pub faults: Vec<FaultId>,
}

/// A breaker as it is now.
#[derive(Clone, Debug)]
pub struct BreakerStatus {
    /// Whose breaker it is.
    pub caller: Arc<str>,
    /// For calls to whom.
    pub destination: Arc<str>,
    /// Of which subset, if a route named one.
    pub subset: Option<Arc<str>>,
    /// What its state machine is in.
    pub state: BreakerState,
    /// What overrules it, and until when (microseconds since the epoch).
    pub forced: Option<(Forced, i64)>,
    /// When it opens, and for how long.
    pub params: BreakerParams,
    /// Failures in a row that are still missing until it opens; [`None`] when it is not closed.
    pub distance: Option<u32>,
    /// In its state since, microseconds since the epoch; [`None`] when it never changed.
    pub since_us: Option<i64>,
    /// The last calls, oldest first.
    pub window: Vec<WindowCall>,
    /// The last calls before it opened, oldest first.
    pub before_opening: Vec<WindowCall>,
    /// The faults of the failures that made it open, if it is.
    pub causes: Vec<FaultId>,
    /// What changed, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Its probes, oldest first.
    pub probes: Vec<Probe>,
    /// Times it opened.
    pub opened: u64,
    /// Calls it ever refused.
    pub refused: u64,
    /// Calls it refused since it last opened.
    pub refused_now: u64,
}

/// One breaker, shared by all calls over one edge.
#[derive(Debug)]
pub(crate) struct Breaker {
    edge: BreakerEdge,
    clock: Clock,
    inner: Mutex<Inner>,
    /// A call has asked whether it may pass.
    asked: AtomicBool,
    announcer: Announcer,
    healing: Healing,
}

#[derive(Debug)]
struct Inner {
    params: BreakerParams,
    state: BreakerState,
    /// Raised with every change of state and every reset. A call tells the state machine how it
    /// ended only in the generation that it was admitted in.
    generation: u64,
    since_us: Option<i64>,
    forced: Option<(Forced, i64)>,
    memory: Memory,
    record: Record,
}

/// A call that may go on: its number in the record, and as what it passed.
pub(crate) type Passed = (u64, Passage);

/// How a call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Its outcome is told to the state machine, if that is in this generation still.
    Counted(u64),
    /// The same, and it is the probe.
    Probe(u64),
    /// Its outcome is shown in the window and nothing else.
    Shown,
    /// Its outcome is nobody's business.
    Unseen,
}

impl Breaker {
    pub(crate) fn new(
        edge: BreakerEdge,
        params: BreakerParams,
        clock: Clock,
        announcer: Announcer,
        healing: Healing,
    ) -> Self {
        let inner = Mutex::new(Inner {
            params,
            state: BreakerState::Closed { failures: 0 },
            generation: 0,
            since_us: None,
            forced: None,
            memory: Memory::default(),
            record: Record::default(),
        });
        let asked = AtomicBool::new(false);
        Self { edge, clock, inner, asked, announcer, healing }
    }

    /// Whether any call has ever asked it.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self) -> BreakerStatus {
        let mut inner = self.inner.lock();
        self.end_force(&mut inner, self.clock.now_us());
        let distance = match inner.state {
            BreakerState::Closed { failures } => {
                Some(inner.params.failure_threshold.saturating_sub(failures))
            }
            BreakerState::Open { .. } | BreakerState::HalfOpen => None,
        };
        let memory = &inner.memory;
        BreakerStatus {
            caller: self.edge.caller.clone(),
            destination: self.edge.destination.clone(),
            subset: self.edge.subset.clone(),
            state: inner.state,
            forced: inner.forced,
            params: inner.params,
            distance,
            since_us: inner.since_us,
            window: memory.window.iter().cloned().collect(),
            before_opening: memory.before_opening.clone(),
            causes: inner.causes(),
            history: memory.history.iter().cloned().collect(),
            probes: memory.probes.iter().cloned().collect(),
            opened: memory.opened,
            refused: memory.refused,
            refused_now: memory.refused_now,
        }
    }

    /// What it would have done lately with other parameters.
    pub(crate) fn what_if(&self, params: &BreakerParams) -> WhatIf {
        let mut inner = self.inner.lock();
        inner.record.forget(self.clock.now_us());
        let record = inner.record.clone();
        drop(inner);
        what_if(&record, params)
    }

    /// Whether a call may pass, and as what.
    pub(crate) fn admit(&self, cause: &Cause) -> Result<Passed, MeshError> {
        self.asked.store(true, Ordering::Relaxed);
        let now_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        self.end_force(&mut inner, now_us);
        let forced = inner.forced.map(|(to, _)| to.name());
        let state = forced.unwrap_or(inner.state.name());
        Span::current().record(attributes::MESH_BREAKER_STATE, state);
        let before = inner.standing();
        if let Some((to, until_us)) = inner.forced {
            let call = inner.record.asked(now_us, Asked::Held, before);
            return match to {
                Forced::Closed => Ok((call, Passage::Shown)),
                Forced::Disabled => Ok((call, Passage::Unseen)),
                Forced::Open => Err(self.refuse(&mut inner, until_us, now_us)),
            };
        }
        let (admission, gone) = self.step(&mut inner, BreakerEvent::Admit, cause, now_us);
        let refused = admission == Admission::Refuse;
        let call = inner.record.asked(now_us, Asked::Judged { refused }, before);
        let admitted = match admission {
            Admission::Pass => Ok((call, Passage::Counted(inner.generation))),
            Admission::Probe => {
                inner.memory.probe(now_us, cause.clone());
                Ok((call, Passage::Probe(inner.generation)))
            }
            Admission::Refuse => {
                let until_us = match inner.state {
                    BreakerState::Open { until_us } => until_us,
                    BreakerState::Closed { .. } | BreakerState::HalfOpen => now_us,
                };
                Err(self.refuse(&mut inner, until_us, now_us))
            }
        };
        drop(inner);
        self.log(gone, cause);
        admitted
    }

    fn refuse(&self, inner: &mut Inner, until_us: i64, now_us: i64) -> MeshError {
        inner.memory.refuse();
        let left_us = u64::try_from(until_us.saturating_sub(now_us)).unwrap_or(0);
        MeshError::BreakerOpen {
            destination: self.edge.destination.as_ref().into(),
            retry_after: Duration::from_micros(left_us),
        }
    }

    /// Tells how an admitted call ended.
    pub(crate) fn report(&self, passed: Passed, answer: Answer, took: Duration, cause: &Cause) {
        let passage = passed.1;
        if passage == Passage::Unseen {
            return;
        }
        let failed = answer.is_failure();
        if failed {
            keep_trace(cause);
        }
        let outcome = match failed {
            true => CallOutcome::Failed,
            false if took > SLOW_AFTER => CallOutcome::Slow,
            false => CallOutcome::Ok,
        };
        let at_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        inner.memory.call(WindowCall { outcome, answer, at_us, took, cause: cause.clone() });
        let ended = if failed { Ended::Failed } else { Ended::Good };
        let before = inner.standing();
        inner.record.ended(at_us, passed, ended, before, cause.trace_id.as_ref());
        // A call from before the last change says nothing about the state of now: calls that still
        // time out after the breaker opened do not decide about the probe.
        if passage.generation() != Some(inner.generation) {
            return;
        }
        if let Passage::Probe(_) = passage {
            let verdict = if failed { ProbeVerdict::Failed } else { ProbeVerdict::Passed };
            inner.memory.judge(verdict, cause);
        }
        let event = if failed { BreakerEvent::Failure } else { BreakerEvent::Success };
        let (_, gone) = self.step(&mut inner, event, cause, at_us);
        drop(inner);
        self.log(gone, cause);
    }

    /// The caller of an admitted call went away. That tells nothing, but of the probe.
    pub(crate) fn abandon(&self, passed: Passed, cause: impl FnOnce() -> Cause) {
        let at_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        let before = inner.standing();
        inner.record.ended(at_us, passed, Ended::Abandoned, before, None);
        if passed.1 == Passage::Probe(inner.generation) {
            let cause = cause();
            inner.memory.judge(ProbeVerdict::Abandoned, &cause);
            let (_, gone) = self.step(&mut inner, BreakerEvent::ProbeAbandoned, &cause, at_us);
            drop(inner);
            self.log(gone, &cause);
        }
    }

    /// Overrules the state machine for `ttl`; afterwards it goes on where it was.
    pub(crate) fn force(&self, to: Forced, ttl: Duration, by: &str) -> Result<(), BadForce> {
        if ttl.is_zero() || ttl > FORCE_MAX {
            return Err(BadForce);
        }
        let now_us = self.clock.now_us();
        let until_us = now_us.saturating_add(micros(ttl));
        let mut inner = self.inner.lock();
        self.end_force(&mut inner, now_us);
        let before = inner.forced.replace((to, until_us));
        inner.memory.refused_now = 0;
        inner.note(now_us, HistoryChange::Forced { to, until_us }, Cause::default(), Some(by));
        // Who was refused by a longer force waits for its end, and need not wait so long any more.
        let sooner = matches!(before, Some((Forced::Open, end_us)) if until_us < end_us);
        if to != Forced::Open || sooner {
            self.healing.tell();
        }
        drop(inner);
        tracing::warn!(
            mesh.breaker.destination = %self.edge.destination,
            "Breaker of {} for {} forced: {to:?}", self.edge.caller, self.edge.destination,
        );
        Ok(())
    }

    /// Ends a force whose time is over, and tells who waits, although nobody calls.
    pub(crate) fn sweep(&self) {
        self.end_force(&mut self.inner.lock(), self.clock.now_us());
    }

    fn end_force(&self, inner: &mut Inner, now_us: i64) {
        if inner.unforce(now_us) == Some(Forced::Open) {
            self.healing.tell();
        }
    }

    /// Lifts a force before its time. False when there is none.
    pub(crate) fn unforce(&self, by: &str) -> bool {
        let now_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        self.end_force(&mut inner, now_us);
        let lifted = inner.forced.take().is_some();
        if lifted {
            inner.note(now_us, HistoryChange::Normal, Cause::default(), Some(by));
            self.healing.tell();
        }
        lifted
    }

    /// Closes it without failures, and lifts a force. There is nothing that would have to end.
    pub(crate) fn reset(&self, by: &str) {
        let at_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        let from = inner.state;
        let before = inner.standing();
        inner.record.reset(at_us, before);
        inner.forced = None;
        inner.state = BreakerState::Closed { failures: 0 };
        inner.generation += 1;
        inner.memory.give_up_probe();
        inner.note(at_us, HistoryChange::Reset, Cause::default(), Some(by));
        self.healing.tell();
        let gone = Gone { from, to: inner.state };
        if from.name() != inner.state.name() {
            inner.since_us = Some(at_us);
            self.announce(at_us, gone, &Cause::default());
            drop(inner);
            self.log(Some(gone), &Cause::default());
        }
    }

    /// Sets the parameters from now on. A breaker that is open stays so until its time is over.
    pub(crate) fn set_params(&self, params: BreakerParams, by: &str) {
        let at_us = self.clock.now_us();
        let mut inner = self.inner.lock();
        let from = std::mem::replace(&mut inner.params, params);
        if from != params {
            let change = HistoryChange::Params { from, to: params };
            inner.note(at_us, change, Cause::default(), Some(by));
        }
    }

    /// Also gives what is to be said of it when the lock is free: whoever writes a log may be slow.
    fn step(
        &self,
        inner: &mut Inner,
        event: BreakerEvent,
        cause: &Cause,
        at_us: i64,
    ) -> (Admission, Option<Gone>) {
        let from = inner.state;
        let (to, admission) = from.next(event, &inner.params, at_us);
        inner.state = to;
        if from.name() != to.name() {
            inner.generation += 1;
            inner.since_us = Some(at_us);
            inner.note(at_us, HistoryChange::State { from, to }, cause.clone(), None);
            if matches!(to, BreakerState::Closed { .. }) {
                self.healing.tell();
            }
            let gone = Gone { from, to };
            self.announce(at_us, gone, cause);
            return (admission, Some(gone));
        }
        (admission, None)
    }

    /// See [`BreakerStatus::causes`].
    pub(crate) fn causes(&self) -> Vec<FaultId> {
        self.inner.lock().causes()
    }

    /// Tells who listens, in the order in which it happens.
    fn announce(&self, at_us: i64, Gone { from, to }: Gone, cause: &Cause) {
        let BreakerEdge { caller, destination, subset } = self.edge.clone();
        self.announcer.tell(crate::Change::Breaker(BreakerTransition {
            caller,
            destination,
            subset,
            at_us,
            from,
            to,
            trace_id: cause.trace_id.clone(),
            faults: cause.faults.clone(),
        }));
    }

    /// Writes down that it went on, on the span of the call that made it.
    fn log(&self, gone: Option<Gone>, cause: &Cause) {
        let Some(Gone { from, to }) = gone else { return };
        keep_trace(cause);
        let BreakerEdge { caller, destination, .. } = &self.edge;
        let faults = (!cause.faults.is_empty()).then(|| crate::fault::text(&cause.faults));
        // The caller's own span is current: it is the call that made the breaker go on.
        Span::current().record(
            attributes::MESH_BREAKER_TRANSITION,
            format_args!("{} to {}", from.name(), to.name()),
        );
        tracing::warn!(
            service.name = %caller,
            mesh.breaker.destination = %destination,
            mesh.breaker.from = from.name(),
            mesh.breaker.to = to.name(),
            vitrine.fault.id = faults,
            "breaker for {destination} went from {} to {}", from.name(), to.name(),
        );
    }
}

/// A breaker went on.
#[derive(Clone, Copy, Debug)]
struct Gone {
    from: BreakerState,
    to: BreakerState,
}

/// The trace of a call that is to blame can be looked at, whatever sampling drew for it.
fn keep_trace(cause: &Cause) {
    if let Some(trace_id) = &cause.trace_id {
        base::trace_context::keep(&Span::current(), trace_id);
    }
}

impl Passage {
    /// The generation that its outcome is told to, if it is told.
    const fn generation(self) -> Option<u64> {
        match self {
            Self::Counted(generation) | Self::Probe(generation) => Some(generation),
            Self::Shown | Self::Unseen => None,
        }
    }
}

impl Inner {
    /// The faults of the failures that made it open, if it is; none of one that was opened by hand.
    /// What calls before them met did not open it.
    fn causes(&self) -> Vec<FaultId> {
        if matches!(self.state, BreakerState::Closed { .. }) {
            return Vec::new();
        }
        let before = self.memory.before_opening.as_slice();
        let failed = |call: &&WindowCall| call.outcome == CallOutcome::Failed;
        let row = before.iter().rev().take_while(failed).count();
        let calls = before[before.len() - row..].iter();
        let mut causes = Vec::new();
        for fault in calls.flat_map(|call| &call.cause.faults) {
            if !causes.contains(fault) {
                causes.push(*fault);
            }
        }
        causes
    }

    /// Its state, and which generation that is.
    const fn standing(&self) -> (BreakerState, u64) {
        (self.state, self.generation)
    }

    /// Ends a force whose time is over, and says which it was.
    fn unforce(&mut self, now_us: i64) -> Option<Forced> {
        let (ended, until_us) = self.forced.filter(|(_, until_us)| now_us >= *until_us)?;
        self.forced = None;
        self.note(until_us, HistoryChange::Normal, Cause::default(), None);
        Some(ended)
    }

    fn note(&mut self, at_us: i64, change: HistoryChange, cause: Cause, by: Option<&str>) {
        let by = by.map(str::to_owned);
        self.memory.note(HistoryEntry { at_us, change, cause, by });
    }
}
