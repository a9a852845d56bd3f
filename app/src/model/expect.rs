//! What a fault will do, computed from current rates before it is injected. Used by the host.
//!
//! Sentences only; the YAML a fault stands for is written by whoever knows YAML.

use super::{format, tries};
use contract::resilience::{BreakerSettings, FaultKind, FaultPlace, InjectFault};

/// A share over this asks once before injecting.
const ASK_PERCENT: f64 = 50.0;

/// A run of failures that takes more calls than this on average is not to be waited for.
const CALLS_FORESEEN: f64 = 10_000.0;

/// What is around the place of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Around {
    /// Requests or messages a second that the fault could touch.
    pub per_second: f64,
    /// The caller's breaker for the destination.
    pub breaker: Option<BreakerSettings>,
    /// Timeout of the route.
    pub timeout_ms: Option<u64>,
    /// Retries of the route that may hide the fault.
    pub retries: u32,
    /// All retries of the route, also those that do not repeat what the fault leaves behind.
    pub attempts: u32,
    /// Instances of the service that take calls now.
    pub ready: u32,
}

/// One sentence each.
#[must_use]
pub fn sentences(fault: &InjectFault, around: &Around) -> Vec<String> {
    let mut out = vec![first(fault, around)];
    if fault.kind.place() == FaultPlace::Edge {
        out.extend(around.breaker.map(|settings| on_breaker(fault, around, &settings)));
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
    if let Some(at) = fault.crash_at {
        let (name, leaves) = super::fault::point(at);
        let end = tries::seconds(u64::from(fault.ttl_s) * 1_000);
        return format!(
            "The next transaction crashes {} {name} ({leaves}). It restarts in {end}.",
            fault.to
        );
    }
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

/// Whether the caller's breaker counts what the fault leaves behind, and how soon it then opens.
fn on_breaker(fault: &InjectFault, around: &Around, settings: &BreakerSettings) -> String {
    let in_time = around.timeout_ms.is_none_or(|limit| u64::from(fault.delay_ms) < limit);
    let spared = match fault.kind {
        FaultKind::Abort if fault.status < 500 => {
            Some(format!("a {} is an answer, not a failure", fault.status))
        }
        FaultKind::Delay | FaultKind::Jitter if in_time => {
            Some("a late answer is still an answer".to_owned())
        }
        FaultKind::PartialBody => Some("the status came before the body broke off".to_owned()),
        _ => None,
    };
    if let Some(why) = spared {
        return format!("The breaker does not count it: {why}.");
    }
    let row = settings.failures_in_a_row.max(1);
    let calls = calls_until(share_that_fails(fault, around), row);
    if calls > CALLS_FORESEEN {
        return format!("The breaker stays closed in all likelihood: it takes {row} in a row.");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let count = calls.round() as u64;
    let calls_text = format::plural(count, "call", "calls");
    let rate = around.per_second;
    let soon = match rate > 0.0 {
        true => format!(", {:.0} s at this rate", (calls / rate).ceil()),
        false => String::new(),
    };
    format!("The breaker opens at {row} failures in a row: after about {calls_text}{soon}.")
}

/// Share of the calls that fail in the eyes of the breaker, which sees them after all retries.
fn share_that_fails(fault: &InjectFault, around: &Around) -> f64 {
    let tries = i32::try_from(around.retries.saturating_add(1)).unwrap_or(i32::MAX);
    (fault.percent / 100.0).clamp(0.0, 1.0).powi(tries)
}

/// Calls until so many in a row have failed, on average.
fn calls_until(share: f64, row: u32) -> f64 {
    if share >= 1.0 {
        return f64::from(row);
    }
    let all = share.powi(i32::try_from(row).unwrap_or(i32::MAX));
    (1.0 - all) / (all * (1.0 - share))
}

fn on_route(fault: &InjectFault, around: &Around) -> String {
    if fault.like_istio {
        return "As in Istio, this route's timeout and retries are off while the fault is set."
            .into();
    }
    let retries = match around.retries {
        0 if around.attempts == 0 => "The route has no retries".to_owned(),
        0 => format!(
            "{} of the route do not repeat this",
            format::plural(around.attempts.into(), "retry", "retries")
        ),
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
            breaker: Some(BreakerSettings { failures_in_a_row: 5, wait_ms: 20_000 }),
            timeout_ms: Some(1_000),
            retries: 2,
            attempts: 2,
            ready: 2,
        }
    }

    #[test]
    fn a_crash_says_at_which_point_and_what_it_leaves() {
        let crash = InjectFault {
            to: "bank-merchant".into(),
            ..crate::model::fault::Choice::CrashBank.defaults()
        };
        let said = sentences(&crash, &Around { ready: 1, ..Around::default() });
        let expected = "The next transaction crashes bank-merchant after vote (in doubt until it \
                        restarts). It restarts in 30 s.";
        assert_eq!(said, [expected]);
    }

    #[test]
    fn a_delay_says_how_many_requests_it_touches_and_what_the_breaker_does() {
        let expected = [
            "About 0.3 of 3.2 req/s takes 2 s longer.",
            "The breaker stays closed in all likelihood: it takes 5 in a row.",
            "Up to 2 retries may hide it; the 1 s timeout bounds it. Istio itself would switch \
             both off.",
        ];
        assert_eq!(sentences(&defaults(FaultKind::Delay), &around()), expected);
        let short = InjectFault { delay_ms: 100, ..defaults(FaultKind::Delay) };
        assert!(sentences(&short, &around())[1].contains("a late answer is still an answer"));
    }

    #[test]
    fn retries_that_do_not_repeat_the_fault_are_not_said_to_be_none() {
        let said = |attempts| {
            let around = Around { retries: 0, attempts, ..around() };
            sentences(&defaults(FaultKind::Delay), &around)[2].clone()
        };
        assert!(said(2).starts_with("2 retries of the route do not repeat this; the 1 s timeout"));
        assert!(said(0).starts_with("The route has no retries; the 1 s timeout"));
    }

    #[test]
    fn how_soon_a_breaker_opens_follows_from_share_retries_and_rate() {
        let half = InjectFault { percent: 50.0, ..defaults(FaultKind::Abort) };
        let bare = Around { retries: 0, ..around() };
        let said = |fault: &InjectFault, around: &Around| sentences(fault, around)[1].clone();
        // (1 - p^5) / (p^5 (1 - p)) with p = 1/2; at 3.2 a second.
        let opens = "The breaker opens at 5 failures in a row: after about ";
        assert_eq!(said(&half, &bare), format!("{opens}62 calls, 20 s at this rate."));
        let all = InjectFault { percent: 100.0, ..half.clone() };
        assert_eq!(said(&all, &around()), format!("{opens}5 calls, 2 s at this rate."));
        assert!(said(&half, &around()).contains("stays closed"), "two retries hide most of it");
        let teapot = InjectFault { status: 418, ..all };
        assert!(said(&teapot, &bare).contains("a 418 is an answer"));
    }

    #[test]
    fn a_share_over_a_half_asks_first() {
        let most = InjectFault { percent: 60.0, ..defaults(FaultKind::Abort) };
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
