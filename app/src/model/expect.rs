//! What a fault will do, computed from current rates before it is injected. Used by the host.
//!
//! Sentences only; the YAML a fault stands for is written by whoever knows YAML.

use super::{format, tries};
use contract::resilience::{BreakerSettings, FaultKind, FaultPlace, InjectFault};

/// A share over this asks once before injecting.
const ASK_PERCENT: f64 = 50.0;

/// What is around the place of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Around {
    /// Requests or messages a second that the fault could touch.
    pub per_second: f64,
    /// The caller's breaker for the destination.
    pub breaker: Option<BreakerSettings>,
    /// Timeout of the route.
    pub timeout_ms: Option<u64>,
    /// Retries of the route.
    pub retries: u32,
    /// Instances of the service that take calls now.
    pub ready: u32,
}

/// One sentence each.
#[must_use]
pub fn sentences(fault: &InjectFault, around: &Around) -> Vec<String> {
    let mut out = vec![first(fault, around)];
    if fault.kind.place() == FaultPlace::Edge {
        out.extend(around.breaker.and_then(|settings| on_breaker(fault, &settings)));
        out.push(on_route(fault, around));
    }
    if fault.kind == FaultKind::Abort {
        out.push(
            "It is answered before the endpoint, so outlier detection does not count it.".into(),
        );
    }
    out
}

fn first(fault: &InjectFault, around: &Around) -> String {
    let all = format::rate(around.per_second).replace("/s", "");
    let touched = format::rate(around.per_second * fault.percent / 100.0).replace("/s", "");
    let longer = tries::seconds(fault.delay_ms.into());
    let what = match fault.kind {
        FaultKind::Delay => format!("takes {longer} longer"),
        FaultKind::Jitter => {
            format!("takes {longer} ± {} longer", tries::seconds(fault.jitter_ms.into()))
        }
        FaultKind::Abort => format!("is answered with {}", fault.status),
        FaultKind::Hang => "is never answered".into(),
        FaultKind::PartialBody => "gets half an answer".into(),
        FaultKind::ConnectionReset => "loses its connection".into(),
        FaultKind::KillInstance | FaultKind::PauseInstance => return instance(fault, around),
        FaultKind::MessageLoss => {
            return format!("About {touched} of {all} messages/s get lost and are sent again.");
        }
        FaultKind::MessageDuplication => {
            return format!(
                "About {touched} of {all} messages/s arrive twice; the inbox drops the second."
            );
        }
        FaultKind::MessageDelay => {
            return format!("About {touched} of {all} messages/s arrive {longer} late.");
        }
    };
    format!("About {touched} of {all} req/s {what}.")
}

fn instance(fault: &InjectFault, around: &Around) -> String {
    let left = around.ready.saturating_sub(1);
    let end = tries::seconds(u64::from(fault.ttl_s) * 1_000);
    let until = if fault.kind == FaultKind::KillInstance { "restarts" } else { "goes on" };
    match left {
        0 => format!(
            "{} has no other instance: every call fails until it {until} in {end}.",
            fault.to
        ),
        1 => format!("1 other instance of {} takes its calls until it {until} in {end}.", fault.to),
        n => {
            format!("{n} other instances of {} take its calls until it {until} in {end}.", fault.to)
        }
    }
}

/// Whether the breaker will open: a share of bad calls against its threshold.
fn on_breaker(fault: &InjectFault, settings: &BreakerSettings) -> Option<String> {
    let slow = matches!(fault.kind, FaultKind::Delay | FaultKind::Jitter);
    if slow && settings.slow_ms.is_none_or(|limit| fault.delay_ms < limit) {
        return Some("The breaker does not count it: the delay is below its slow limit.".into());
    }
    if settings.open_percent == 0 {
        let row = settings.failures_in_a_row;
        return Some(format!("The breaker opens when {row} calls in a row are hit."));
    }
    let share = super::fault::percent(fault.percent);
    let bad = if slow { "slow" } else { "failed" };
    let limit = f64::from(settings.open_percent);
    Some(if fault.percent >= limit {
        format!("The breaker opens: {share} {bad}, opens at {limit}%.")
    } else {
        format!("The breaker stays closed: {share} {bad}, opens at {limit}%.")
    })
}

fn on_route(fault: &InjectFault, around: &Around) -> String {
    if fault.like_istio {
        return "As in Istio, this route's timeout and retries are off while the fault is set."
            .into();
    }
    let retries = match around.retries {
        0 => "There are no retries".to_owned(),
        1 => "1 retry may hide it".to_owned(),
        n => format!("Up to {n} retries may hide it"),
    };
    let timeout = around.timeout_ms.map_or_else(
        || "no timeout bounds it".to_owned(),
        |ms| format!("the {} timeout bounds it", tries::seconds(ms)),
    );
    format!("{retries}; {timeout}. Istio itself would switch both off.")
}

/// A question to be answered once before injecting.
#[must_use]
pub fn asks(fault: &InjectFault, around: &Around) -> Option<String> {
    match fault.kind.place() {
        FaultPlace::Instance if around.ready <= 1 => {
            Some(format!("This is the last instance of {}. Go on?", fault.to))
        }
        FaultPlace::Edge | FaultPlace::Bus if fault.percent > ASK_PERCENT => {
            let share = super::fault::percent(fault.percent);
            Some(format!("This touches {share} of all. Go on?"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::defaults;

    fn around() -> Around {
        Around {
            per_second: 3.2,
            breaker: Some(BreakerSettings {
                failures_in_a_row: 0,
                window_calls: 20,
                open_percent: 50,
                slow_ms: Some(1_500),
                wait_ms: 20_000,
                trial_calls: 3,
            }),
            timeout_ms: Some(1_000),
            retries: 2,
            ready: 2,
        }
    }

    #[test]
    fn a_delay_says_how_many_requests_it_touches_and_what_the_breaker_does() {
        let expected = [
            "About 0.3 of 3.2 req/s takes 2 s longer.",
            "The breaker stays closed: 10% slow, opens at 50%.",
            "Up to 2 retries may hide it; the 1 s timeout bounds it. Istio itself would switch \
             both off.",
        ];
        assert_eq!(sentences(&defaults(FaultKind::Delay), &around()), expected);
        let short = InjectFault { delay_ms: 100, ..defaults(FaultKind::Delay) };
        assert!(sentences(&short, &around())[1].contains("below its slow limit"));
    }

    #[test]
    fn a_share_over_the_threshold_opens_the_breaker_and_asks_first() {
        let most = InjectFault { percent: 60.0, ..defaults(FaultKind::Abort) };
        assert!(sentences(&most, &around())[1].starts_with("The breaker opens: 60% failed"));
        assert!(asks(&most, &around()).is_some());
        assert_eq!(asks(&defaults(FaultKind::Abort), &around()), None);
    }

    #[test]
    fn killing_the_last_instance_says_that_every_call_fails_and_asks_first() {
        let kill = InjectFault { to: "users".into(), ..defaults(FaultKind::KillInstance) };
        let last = Around { ready: 1, ..around() };
        assert!(sentences(&kill, &last)[0].contains("every call fails until it restarts in 45 s"));
        assert!(asks(&kill, &last).is_some_and(|ask| ask.contains("last instance of users")));
        assert_eq!(asks(&kill, &around()), None);
    }

    #[test]
    fn as_in_istio_the_routes_timeout_and_retries_are_off() {
        let like = InjectFault { like_istio: true, ..defaults(FaultKind::Hang) };
        assert!(sentences(&like, &around()).iter().any(|text| text.starts_with("As in Istio")));
    }
}
