//! Breakers as the pages see them, and what may be done to them.

use super::{PAGE, invalid};
use contract::{
    ApiError,
    resilience::{
        BreakerCard, BreakerChange, BreakerLine, BreakerSettings, BreakerState as StateView,
        CallCell, CallMark, ChangeBreaker, ForcedView, TRANSITIONS_MAX, TTL_MAX_S, TransitionView,
    },
};
use mesh::{
    BreakerParams, BreakerStatus, Mesh,
    breaker::{
        BreakerState, Breakers, CallOutcome, Cause, Change, Edge, Forced, HistoryEntry, Probe,
        ProbeVerdict, WINDOW_CALLS, WindowCall,
    },
};
use std::time::Duration;

/// Calls that tell for the breaker's window, as the pages count them.
const WINDOW: u32 = WINDOW_CALLS as u32;

/// Every breaker, one line each.
pub(crate) fn lines(mesh: &Mesh) -> Vec<BreakerLine> {
    mesh.breakers().iter().map(line).collect()
}

/// `orders~payments~v2`.
pub(super) fn id(status: &BreakerStatus) -> String {
    let subset = status.subset.as_ref().map(|subset| format!("~{subset}")).unwrap_or_default();
    format!("{}~{}{subset}", status.caller, status.destination)
}

/// Reads an id; one without a destination is nobody's.
pub(super) fn edge(id: &str) -> Edge {
    let mut parts = id.splitn(3, '~');
    let mut part = || parts.next().unwrap_or_default();
    let (caller, destination) = (part().into(), part().into());
    let subset = part();
    Edge { caller, destination, subset: (!subset.is_empty()).then(|| subset.into()) }
}

fn state(state: BreakerState) -> StateView {
    match state {
        BreakerState::Closed { .. } => StateView::Closed,
        BreakerState::Open { .. } => StateView::Open,
        BreakerState::HalfOpen => StateView::HalfOpen,
    }
}

/// One breaker in one line.
pub(super) fn line(status: &BreakerStatus) -> BreakerLine {
    let window = window(status);
    BreakerLine {
        id: id(status),
        from: status.caller.to_string(),
        to: status.destination.to_string(),
        subset: status.subset.as_ref().map(ToString::to_string),
        state: state(status.state),
        since_us: status.since_us.unwrap_or(0),
        half_open_at_us: match status.state {
            BreakerState::Open { until_us } => Some(until_us),
            _ => None,
        },
        trials_passed: 0,
        forced: status.forced.and_then(|(forced, until_us)| {
            let to = match forced {
                Forced::Open => StateView::Open,
                Forced::Closed | Forced::Disabled => StateView::Closed,
            };
            Some(ForcedView { to, until_us })
        }),
        marks: window.iter().map(|call| mark(call.outcome).letter()).collect(),
        opens_at: status.params.failure_threshold,
        window_calls: WINDOW,
    }
}

/// The calls that tell: of an open breaker, those that opened it.
fn window(status: &BreakerStatus) -> &[WindowCall] {
    match status.state {
        BreakerState::Closed { .. } => &status.window,
        _ => &status.before_opening,
    }
}

const fn mark(outcome: CallOutcome) -> CallMark {
    match outcome {
        CallOutcome::Ok => CallMark::Ok,
        CallOutcome::Slow => CallMark::Slow,
        CallOutcome::Failed => CallMark::Failed,
    }
}

/// One breaker with everything its card shows.
pub(super) fn card(status: &BreakerStatus) -> BreakerCard {
    let window = window(status);
    let mut causes: Vec<String> = Vec::new();
    for fault in window.iter().flat_map(|call| &call.cause.faults) {
        let fault = fault.to_string();
        if !causes.contains(&fault) {
            causes.push(fault);
        }
    }
    BreakerCard {
        line: line(status),
        settings: settings(&status.params),
        window: window.iter().map(cell).collect(),
        trials: trials(status),
        opened: u32::try_from(status.opened).unwrap_or(u32::MAX),
        refused: status.refused_now,
        meanwhile: None,
        causes,
        history: history(&status.history),
    }
}

fn settings(params: &BreakerParams) -> BreakerSettings {
    BreakerSettings {
        failures_in_a_row: params.failure_threshold,
        window_calls: WINDOW,
        open_percent: 0,
        slow_ms: None,
        wait_ms: u32::try_from(params.open_for.as_millis()).unwrap_or(u32::MAX),
        trial_calls: 1,
    }
}

fn cell(call: &WindowCall) -> CallCell {
    let outcome = match call.outcome {
        CallOutcome::Ok => "answered",
        CallOutcome::Slow => "answered slowly",
        CallOutcome::Failed => "failed",
    };
    let took_us = i64::try_from(call.took.as_micros()).unwrap_or(i64::MAX);
    cell_of(mark(call.outcome), (call.at_us, took_us), outcome, &call.cause)
}

fn cell_of(mark: CallMark, (at_us, took_us): (i64, i64), outcome: &str, cause: &Cause) -> CallCell {
    CallCell {
        mark,
        at_us,
        took_us,
        outcome: outcome.to_owned(),
        trace_id: cause.trace_id.as_ref().map(ToString::to_string),
        fault_id: cause.faults.first().map(ToString::to_string),
    }
}

/// The probe that is out, of a half-open breaker.
fn trials(status: &BreakerStatus) -> Vec<CallCell> {
    let pending = |probe: &&Probe| probe.verdict != ProbeVerdict::Pending;
    let since = status.since_us.unwrap_or(0);
    let own = status.probes.iter().filter(|probe| probe.at_us >= since).filter(pending);
    let trial = |probe: &Probe| {
        let (mark, word) = match probe.verdict {
            ProbeVerdict::Passed | ProbeVerdict::Pending => (CallMark::Ok, "passed"),
            ProbeVerdict::Failed => (CallMark::Failed, "failed"),
            ProbeVerdict::Abandoned => (CallMark::Failed, "abandoned by its caller"),
        };
        cell_of(mark, (probe.at_us, 0), word, &probe.cause)
    };
    match status.state {
        BreakerState::HalfOpen => own.map(trial).collect(),
        _ => Vec::new(),
    }
}

/// Newest first.
fn history(entries: &[HistoryEntry]) -> Vec<TransitionView> {
    let mut current = StateView::Closed;
    let mut views = Vec::new();
    for entry in entries {
        let (from, to, why) = match &entry.change {
            Change::State { from, to } => (state(*from), state(*to), why(*from, *to)),
            Change::Forced { to: Forced::Open, .. } => (current, StateView::Open, "forced open"),
            Change::Forced { to: Forced::Closed, .. } => {
                (current, StateView::Closed, "forced closed")
            }
            Change::Forced { to: Forced::Disabled, .. } => (current, current, "disabled"),
            Change::Normal => (current, current, "let go"),
            Change::Reset => (current, StateView::Closed, "reset"),
            Change::Params { .. } => (current, current, "thresholds changed"),
        };
        let by = entry.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        views.push(TransitionView {
            at_us: entry.at_us,
            from,
            to,
            why: format!("{why}{by}"),
            trace_id: entry.cause.trace_id.as_ref().map(ToString::to_string),
            fault_ids: entry.cause.faults.iter().map(ToString::to_string).collect(),
        });
        current = to;
    }
    views.reverse();
    views.truncate(TRANSITIONS_MAX);
    views
}

const fn why(from: BreakerState, to: BreakerState) -> &'static str {
    match (from, to) {
        (BreakerState::Closed { .. }, BreakerState::Open { .. }) => "too many failures in a row",
        (BreakerState::HalfOpen, BreakerState::Open { .. }) => "the probe failed",
        (_, BreakerState::HalfOpen) => "the wait is over, one probe passes",
        (BreakerState::HalfOpen, BreakerState::Closed { .. }) => "the probe passed",
        _ => "changed",
    }
}

/// Carries a command out.
pub(super) fn change(
    breakers: &Breakers,
    edge: &Edge,
    command: &ChangeBreaker,
) -> Result<(), ApiError> {
    let missing = || ApiError::NotFound { what: format!("breaker {}", command.id) };
    let forced = |to, seconds: u32| {
        let ttl = Duration::from_secs(u64::from(seconds));
        let force = breakers.force(edge, to, ttl, PAGE);
        force.map_err(|error| invalid("ttl_s", format!("{error} (1 to {TTL_MAX_S} s)")))
    };
    let done = match command.change {
        BreakerChange::ForceOpen(seconds) => forced(Forced::Open, seconds)?,
        BreakerChange::ForceClosed(seconds) => forced(Forced::Closed, seconds)?,
        BreakerChange::Reset => {
            breakers.unforce(edge, PAGE);
            breakers.reset(edge, PAGE)
        }
        BreakerChange::Thresholds(wanted) => breakers.set_params(edge, params(wanted)?, PAGE),
    };
    if done { Ok(()) } else { Err(missing()) }
}

/// What this breaker can be set to: failures in a row, and the wait before its one probe.
fn params(wanted: BreakerSettings) -> Result<BreakerParams, ApiError> {
    if wanted.failures_in_a_row == 0 {
        return Err(invalid("failures_in_a_row", "must be at least 1"));
    }
    if wanted.wait_ms == 0 {
        return Err(invalid("wait_ms", "must be at least 1 ms"));
    }
    if wanted.open_percent != 0 || wanted.slow_ms.is_some() || wanted.trial_calls != 1 {
        let reason = "these breakers open after failures in a row and close after one probe; \
                      leave share, slow limit and trial calls as they are";
        return Err(invalid("open_percent", reason));
    }
    Ok(BreakerParams {
        failure_threshold: wanted.failures_in_a_row,
        open_for: Duration::from_millis(u64::from(wanted.wait_ms)),
    })
}
