//! The breaker's state machine, pure: state, event and time in, state out.

use std::time::Duration;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerParams {
    /// Consecutive failures that open it.
    pub failure_threshold: u32,
    /// How long it stays open before a probe.
    pub open_for: Duration,
}

impl Default for BreakerParams {
    /// Five failures in a row; sixty seconds; then one probe.
    fn default() -> Self {
        Self { failure_threshold: 5, open_for: Duration::from_secs(60) }
    }
}

/// What a breaker is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed {
        /// Failures since the last success.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// From this moment (microseconds since the epoch) a probe may pass.
        until_us: i64,
    },
    /// One probe is out; other calls are refused.
    HalfOpen,
}

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerEvent {
    /// A call asks to pass.
    Admit,
    /// An admitted call succeeded.
    Success,
    /// An admitted call failed.
    Failure,
    /// The probe was abandoned by its caller and tells nothing.
    ProbeAbandoned,
}

/// Whether a call may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It passes.
    Pass,
    /// It passes as the one probe.
    Probe,
    /// It is refused.
    Refuse,
}

impl BreakerState {
    /// The state after `event` at `now_us`, and for [`BreakerEvent::Admit`] whether the call
    /// passes.
    ///
    /// Half-open, an outcome is the probe's: outcomes of calls that were admitted before the state
    /// last changed do not come here (`machine` keeps them away by their generation).
    #[must_use]
    pub fn next(
        self,
        event: BreakerEvent,
        params: &BreakerParams,
        now_us: i64,
    ) -> (Self, Admission) {
        use BreakerEvent as E;
        let opened =
            Self::Open { until_us: now_us.saturating_add(base::clock::micros(params.open_for)) };
        match (self, event) {
            (Self::Closed { .. }, E::Admit) => (self, Admission::Pass),
            (Self::Closed { .. }, E::Success) => (Self::Closed { failures: 0 }, Admission::Pass),
            (Self::Closed { failures }, E::Failure) => {
                let failures = failures.saturating_add(1);
                if failures >= params.failure_threshold {
                    (opened, Admission::Refuse)
                } else {
                    (Self::Closed { failures }, Admission::Pass)
                }
            }
            (Self::Open { until_us }, E::Admit) if now_us >= until_us => {
                (Self::HalfOpen, Admission::Probe)
            }
            (Self::HalfOpen, E::Success) => (Self::Closed { failures: 0 }, Admission::Pass),
            (Self::HalfOpen, E::Failure) => (opened, Admission::Refuse),
            // The next call may probe at once.
            (Self::HalfOpen, E::ProbeAbandoned) => {
                (Self::Open { until_us: now_us }, Admission::Refuse)
            }
            (Self::HalfOpen | Self::Open { .. }, _) => (self, Admission::Refuse),
            (Self::Closed { .. }, E::ProbeAbandoned) => (self, Admission::Pass),
        }
    }

    /// The word of the state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: BreakerParams =
        BreakerParams { failure_threshold: 5, open_for: Duration::from_secs(60) };
    const MINUTE: i64 = 60_000_000;

    #[test]
    fn every_pair_of_state_and_event_has_one_answer() {
        use Admission::{Pass, Probe, Refuse};
        use BreakerEvent::{Admit, Failure, ProbeAbandoned, Success};
        use BreakerState::{Closed, HalfOpen, Open};
        let table = [
            (Closed { failures: 3 }, Admit, 0, Closed { failures: 3 }, Pass),
            (Closed { failures: 3 }, Success, 0, Closed { failures: 0 }, Pass),
            (Closed { failures: 3 }, Failure, 0, Closed { failures: 4 }, Pass),
            (Closed { failures: 4 }, Failure, 0, Open { until_us: MINUTE }, Refuse),
            (Closed { failures: 1 }, ProbeAbandoned, 0, Closed { failures: 1 }, Pass),
            (Open { until_us: 10 }, Admit, 9, Open { until_us: 10 }, Refuse),
            (Open { until_us: 10 }, Admit, 10, HalfOpen, Probe),
            (Open { until_us: 10 }, Success, 11, Open { until_us: 10 }, Refuse),
            (Open { until_us: 10 }, Failure, 11, Open { until_us: 10 }, Refuse),
            (Open { until_us: 10 }, ProbeAbandoned, 11, Open { until_us: 10 }, Refuse),
            (HalfOpen, Admit, 0, HalfOpen, Refuse),
            (HalfOpen, Success, 0, Closed { failures: 0 }, Pass),
            (HalfOpen, Failure, 0, Open { until_us: MINUTE }, Refuse),
            (HalfOpen, ProbeAbandoned, 7, Open { until_us: 7 }, Refuse),
        ];
        for (state, event, now, next, admission) in table {
            assert_eq!(state.next(event, &P, now), (next, admission), "{state:?} {event:?}");
        }
    }

    #[test]
    fn four_failures_a_success_and_four_failures_do_not_open_it() {
        let mut state = BreakerState::Closed { failures: 0 };
        let failures = [BreakerEvent::Failure; 4];
        for event in failures.into_iter().chain([BreakerEvent::Success]).chain(failures) {
            state = state.next(event, &P, 0).0;
        }
        assert_eq!(state, BreakerState::Closed { failures: 4 });
    }
}
