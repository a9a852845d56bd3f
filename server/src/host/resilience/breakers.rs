//! Breakers as the pages see them, and what may be done to them.

use super::{PAGE, fallback::meanwhile, invalid};
use app::model::{breaker::mistakes, tries::seconds};
use contract::{
    ApiError, FieldError,
    resilience::{
        BreakerCard, BreakerChange, BreakerLine, BreakerSettings, BreakerState as StateView,
        CallCell, CallMark, ChangeBreaker, ForcedView, TRANSITIONS_MAX, TRIALS_MAX, TTL_MAX_S,
        TransitionView, TrialVerdict, TrialView,
    },
};
use mesh::{
    BreakerParams, BreakerStatus, Mesh,
    breaker::{
        Answer, BreakerEdge, BreakerState, Breakers, CallOutcome, Forced, HistoryChange,
        HistoryEntry, Probe, ProbeVerdict, SLOW_AFTER, WindowCall,
    },
};
use std::time::Duration;

/// Over so long the times a breaker opened are counted, microseconds.
const HOUR_US: i64 = 3_600_000_000;

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
pub(super) fn edge(id: &str) -> BreakerEdge {
    let mut parts = id.splitn(3, '~');
    let mut part = || parts.next().unwrap_or_default();
    let (caller, destination) = (part().into(), part().into());
    let subset = part();
    BreakerEdge { caller, destination, subset: (!subset.is_empty()).then(|| subset.into()) }
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
    let forced = status.forced.map(|(forced, until_us)| ForcedView { to: held(forced), until_us });
    BreakerLine {
        id: id(status),
        from: status.caller.to_string(),
        to: status.destination.to_string(),
        subset: status.subset.as_ref().map(ToString::to_string),
        state: forced.map_or_else(|| state(status.state), |forced| forced.to),
        since_us: since_us(status),
        half_open_at_us: match status.state {
            BreakerState::Open { until_us } if forced.is_none() => Some(until_us),
            _ => None,
        },
        forced,
        marks: window(status).iter().map(|call| mark(call.outcome).letter()).collect(),
        opens_at: status.params.failure_threshold,
        distance: status.distance.filter(|_| forced.is_none()),
    }
}

const fn held(forced: Forced) -> StateView {
    match forced {
        Forced::Open => StateView::Open,
        Forced::Closed | Forced::Disabled => StateView::Closed,
    }
}

/// In its state, or held by hand, since when. One that never changed is so since its first call.
fn since_us(status: &BreakerStatus) -> i64 {
    let forced = |entry: &&HistoryEntry| matches!(entry.change, HistoryChange::Forced { .. });
    let by_hand = status.forced.and_then(|_| status.history.iter().rfind(forced));
    let by_hand = by_hand.map(|entry| entry.at_us);
    let first = || status.window.first().map_or(0, |call| call.at_us);
    by_hand.or(status.since_us).unwrap_or_else(first)
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
pub(super) fn card(status: &BreakerStatus, now_us: i64) -> BreakerCard {
    let window = window(status);
    let opened = |entry: &&HistoryEntry| {
        let opens =
            matches!(entry.change, HistoryChange::State { to: BreakerState::Open { .. }, .. });
        opens && now_us - entry.at_us < HOUR_US
    };
    BreakerCard {
        line: line(status),
        settings: settings(&status.params),
        slow_ms: u32::try_from(SLOW_AFTER.as_millis()).unwrap_or(u32::MAX),
        window: window.iter().map(cell).collect(),
        trials: trials(status),
        opened: u32::try_from(status.history.iter().filter(opened).count()).unwrap_or(u32::MAX),
        refused: status.refused_now,
        refused_per_second: refused_per_second(status, now_us),
        meanwhile: meanwhile(&status.caller, &status.destination).to_owned(),
        causes: status.causes.iter().map(ToString::to_string).collect(),
        history: history(status),
    }
}

/// When it was last opened, by its machine or by hand; after a reset there is no such time.
fn opened_us(status: &BreakerStatus) -> Option<i64> {
    let opens = |entry: &&HistoryEntry| match entry.change {
        HistoryChange::State { to, .. } => matches!(to, BreakerState::Open { .. }),
        HistoryChange::Forced { to, .. } => to == Forced::Open,
        _ => false,
    };
    status.history.iter().rfind(opens).map(|entry| entry.at_us)
}

/// Of what it refuses, while it does: since it opened.
fn refused_per_second(status: &BreakerStatus, now_us: i64) -> f64 {
    let Some(at_us) = opened_us(status).filter(|_| line(status).state != StateView::Closed) else {
        return 0.0;
    };
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of an hour")]
    let (refused, seconds) = (status.refused_now as f64, (now_us - at_us) as f64 / 1e6);
    refused / seconds.max(1.0)
}

/// Trial calls since it opened out of its closed state, the newest of them, oldest first.
fn trials(status: &BreakerStatus) -> Vec<TrialView> {
    let opens = |entry: &&HistoryEntry| {
        let HistoryChange::State { from, to } = entry.change else { return false };
        matches!((from, to), (BreakerState::Closed { .. }, BreakerState::Open { .. }))
    };
    let since_us = status.history.iter().rfind(opens).map_or(i64::MIN, |entry| entry.at_us);
    let mut newest: Vec<&Probe> = status.probes.iter().filter(|p| p.at_us > since_us).collect();
    newest.drain(..newest.len().saturating_sub(TRIALS_MAX));
    newest.into_iter().map(trial).collect()
}

fn trial(probe: &Probe) -> TrialView {
    TrialView {
        at_us: probe.at_us,
        verdict: match probe.verdict {
            ProbeVerdict::Pending => TrialVerdict::Pending,
            ProbeVerdict::Passed => TrialVerdict::Passed,
            ProbeVerdict::Failed => TrialVerdict::Failed,
            ProbeVerdict::Abandoned => TrialVerdict::Abandoned,
        },
        trace_id: probe.cause.trace_id.as_ref().map(ToString::to_string),
        fault_id: probe.cause.faults.first().map(ToString::to_string),
    }
}

pub(super) fn settings(params: &BreakerParams) -> BreakerSettings {
    BreakerSettings {
        failures_in_a_row: params.failure_threshold,
        wait_ms: u32::try_from(params.open_for.as_millis()).unwrap_or(u32::MAX),
    }
}

fn cell(call: &WindowCall) -> CallCell {
    CallCell {
        mark: mark(call.outcome),
        at_us: call.at_us,
        took_us: i64::try_from(call.took.as_micros()).unwrap_or(i64::MAX),
        outcome: match call.answer {
            Answer::Status(status) => status.to_string(),
            Answer::Nothing(error) => error.replace('_', " "),
        },
        trace_id: call.cause.trace_id.as_ref().map(ToString::to_string),
        fault_id: call.cause.faults.first().map(ToString::to_string),
    }
}

/// Newest first.
fn history(status: &BreakerStatus) -> Vec<TransitionView> {
    // What the state machine is in, and what is seen of it while somebody holds it.
    let (mut machine, mut seen) = (StateView::Closed, StateView::Closed);
    let mut views = Vec::with_capacity(status.history.len());
    for entry in &status.history {
        let from = seen;
        let (to, why) = match &entry.change {
            HistoryChange::State { from, to } => {
                machine = state(*to);
                (machine, why(*from, *to, entry.at_us))
            }
            HistoryChange::Forced { to, until_us } => {
                let time = seconds(millis(until_us - entry.at_us));
                let word = match to {
                    Forced::Open => "forced open",
                    Forced::Closed => "forced closed",
                    Forced::Disabled => "disabled",
                };
                (held(*to), format!("{word} for {time}"))
            }
            HistoryChange::Normal => (machine, "no longer held".to_owned()),
            HistoryChange::Reset => {
                machine = StateView::Closed;
                (machine, "reset".to_owned())
            }
            HistoryChange::Params { from, to } => (seen, changed(from, to)),
        };
        seen = to;
        let by = entry.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        views.push(TransitionView {
            at_us: entry.at_us,
            from,
            to,
            why: format!("{why}{by}"),
            trace_id: entry.cause.trace_id.as_ref().map(ToString::to_string),
            fault_ids: entry.cause.faults.iter().map(ToString::to_string).collect(),
        });
    }
    views.reverse();
    views.truncate(TRANSITIONS_MAX);
    views
}

fn millis(us: i64) -> u64 {
    u64::try_from(us / 1_000).unwrap_or(0)
}

fn why(from: BreakerState, to: BreakerState, at_us: i64) -> String {
    match (from, to) {
        (BreakerState::Closed { failures }, BreakerState::Open { .. }) => {
            format!("{} failed in a row", failures + 1)
        }
        // Its caller went away: the next call is the trial.
        (BreakerState::HalfOpen, BreakerState::Open { until_us }) if until_us <= at_us => {
            "the trial call was abandoned".to_owned()
        }
        (BreakerState::HalfOpen, BreakerState::Open { .. }) => "the trial call failed".to_owned(),
        (BreakerState::HalfOpen, BreakerState::Closed { .. }) => "the trial call passed".to_owned(),
        _ => "the wait is over".to_owned(),
    }
}

fn changed(from: &BreakerParams, to: &BreakerParams) -> String {
    let text = |params: &BreakerParams| {
        let wait = seconds(u64::try_from(params.open_for.as_millis()).unwrap_or(u64::MAX));
        format!("{} in a row, {wait}", params.failure_threshold)
    };
    format!("thresholds: {} → {}", text(from), text(to))
}

/// Carries a command out.
pub(super) fn change(
    breakers: &Breakers,
    edge: &BreakerEdge,
    command: &ChangeBreaker,
) -> Result<(), ApiError> {
    let missing = || ApiError::NotFound { what: format!("breaker {}", command.id) };
    let forced = |field, to, seconds: u32| {
        let ttl = Duration::from_secs(u64::from(seconds));
        let force = breakers.force(edge, to, ttl, PAGE);
        force.map_err(|error| invalid(field, format!("{error} (1 to {TTL_MAX_S} s)")))
    };
    let done = match command.change {
        BreakerChange::ForceOpen(seconds) => forced("force_open", Forced::Open, seconds)?,
        BreakerChange::ForceClosed(seconds) => forced("force_closed", Forced::Closed, seconds)?,
        BreakerChange::Release => {
            let known = breakers.all().iter().any(|status| id(status) == command.id);
            if known && !breakers.unforce(edge, PAGE) {
                let reason = "Nobody holds this breaker.".to_owned();
                return Err(ApiError::Conflict { reason });
            }
            known
        }
        BreakerChange::Reset => breakers.reset(edge, PAGE),
        BreakerChange::Thresholds(wanted) => breakers.set_params(edge, params(wanted)?, PAGE),
    };
    if done { Ok(()) } else { Err(missing()) }
}

/// What a breaker can be set to: failures in a row, and the wait before its one trial call. The
/// form of the page checks by the same rules.
pub(super) fn params(wanted: BreakerSettings) -> Result<BreakerParams, ApiError> {
    let wrong = mistakes(&wanted);
    if !wrong.is_empty() {
        let fields = wrong.into_iter().map(|(field, why)| FieldError::new(field, why)).collect();
        return Err(ApiError::Invalid { fields });
    }
    Ok(BreakerParams {
        failure_threshold: wanted.failures_in_a_row,
        open_for: Duration::from_millis(u64::from(wanted.wait_ms)),
    })
}
