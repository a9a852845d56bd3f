//! What a breaker's card says: its thresholds in words, its window, the way to the next state.

use super::format;
use crate::widget::BreakerMark;
use contract::resilience::{
    BreakerCard, BreakerLine, BreakerSettings, BreakerState, CallMark, TRIAL_CALLS_MAX,
    WINDOW_CALLS_MAX,
};

const US_PER_SECOND: i64 = 1_000_000;

impl From<BreakerState> for BreakerMark {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Closed,
            BreakerState::Open => Self::Open,
            BreakerState::HalfOpen => Self::HalfOpen,
        }
    }
}

/// Seconds until a moment, rounded up, never below zero.
#[must_use]
pub fn seconds_left(at_us: i64, now_us: i64) -> i64 {
    (at_us - now_us).max(0).saturating_add(US_PER_SECOND - 1) / US_PER_SECOND
}

/// Time until a moment: `6 s`, `4:12`.
#[must_use]
pub fn left(at_us: i64, now_us: i64) -> String {
    let seconds = seconds_left(at_us, now_us);
    if seconds < 60 { format!("{seconds} s") } else { clock_length(seconds) }
}

/// A length of time in minutes and seconds: `4:12`.
#[must_use]
pub fn clock_length(seconds: i64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// "payments v2".
#[must_use]
pub fn target(line: &BreakerLine) -> String {
    match &line.subset {
        Some(subset) => format!("{} {subset}", line.to),
        None => line.to.clone(),
    }
}

/// What opens it, on the arrow from closed to open: "50% of 20 fail", "5 in a row fail".
#[must_use]
pub fn opens_when(settings: &BreakerSettings) -> String {
    let bad = if settings.slow_ms.is_some() { "fail or slow" } else { "fail" };
    if settings.open_percent == 0 {
        return format!("{} in a row {bad}", settings.failures_in_a_row);
    }
    // The window is named beside its cells; here is room for one of the two.
    match settings.slow_ms {
        Some(_) => format!("{}% {bad}", settings.open_percent),
        None => format!("{}% of {} {bad}", settings.open_percent, settings.window_calls),
    }
}

/// What closes it: "3 of 3 trial calls pass".
#[must_use]
pub fn closes_when(settings: &BreakerSettings) -> String {
    match settings.trial_calls {
        0 | 1 => "the trial call passes".into(),
        n => format!("{n} of {n} trial calls pass"),
    }
}

/// What half-opens it: "after 20 s".
#[must_use]
pub fn waits(settings: &BreakerSettings) -> String {
    format!("after {}", super::tries::seconds(settings.wait_ms.into()))
}

/// Marks of a window.
#[must_use]
pub fn marks(line: &BreakerLine) -> Vec<CallMark> {
    line.marks.chars().map(CallMark::of_letter).collect()
}

/// Slow and failed calls of a window.
fn bad(line: &BreakerLine) -> (u64, u64) {
    let of = |letter| line.marks.chars().filter(|mark| *mark == letter).count() as u64;
    (of('s'), of('x'))
}

/// "11 failed", "2 slow, 1 failed", "0".
#[must_use]
pub fn bad_text(line: &BreakerLine) -> String {
    match bad(line) {
        (0, 0) => "0".into(),
        (0, failed) => format!("{failed} failed"),
        (slow, 0) => format!("{slow} slow"),
        (slow, failed) => format!("{slow} slow, {failed} failed"),
    }
}

/// "of 20, opens at 10".
#[must_use]
pub fn window_text(line: &BreakerLine) -> String {
    format!("of {}, opens at {}", line.marks.chars().count().max(1), line.opens_at)
}

/// In the list of closed ones: "1 of 20".
#[must_use]
pub fn share_text(line: &BreakerLine) -> String {
    let (slow, failed) = bad(line);
    format!("{} of {}", slow + failed, line.window_calls)
}

/// How far a closed breaker is from opening: "9 more bad calls open it".
#[must_use]
pub fn distance(line: &BreakerLine) -> String {
    let (slow, failed) = bad(line);
    let missing = u64::from(line.opens_at).saturating_sub(slow + failed);
    match missing {
        0 => "the next bad call opens it".into(),
        1 => "1 more bad call opens it".into(),
        n => format!("{} more bad calls open it", format::count(n)),
    }
}

/// Share of the ring around the present state, 0 to 1: open runs down, half-open fills.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a wait of some minutes")]
pub fn ring(card: &BreakerCard, now_us: i64) -> f64 {
    let line = &card.line;
    if let Some(forced) = line.forced {
        let whole = (forced.until_us - line.since_us).max(1) as f64;
        return ((forced.until_us - now_us).max(0) as f64 / whole).clamp(0.0, 1.0);
    }
    match (line.state, line.half_open_at_us) {
        (BreakerState::Open, Some(at)) => {
            let whole = f64::from(card.settings.wait_ms.max(1)) * 1_000.0;
            ((at - now_us).max(0) as f64 / whole).clamp(0.0, 1.0)
        }
        (BreakerState::HalfOpen, _) => {
            let all = f64::from(card.settings.trial_calls.max(1));
            (f64::from(line.trials_passed) / all).clamp(0.0, 1.0)
        }
        _ => 0.0,
    }
}

/// The two lines inside the present state: ("6 s", "left"), ("1/3", "trials").
#[must_use]
pub fn inside(card: &BreakerCard, now_us: i64) -> (String, &'static str) {
    let line = &card.line;
    match (line.forced, line.state, line.half_open_at_us) {
        (Some(forced), _, _) => (left(forced.until_us, now_us), "forced"),
        (None, BreakerState::Open, Some(at)) => (left(at, now_us), "left"),
        (None, BreakerState::HalfOpen, _) => {
            (format!("{}/{}", line.trials_passed, card.settings.trial_calls), "trials")
        }
        _ => (String::new(), ""),
    }
}

/// The whole card in one sentence.
#[must_use]
pub fn sentence(line: &BreakerLine) -> String {
    let word = BreakerMark::from(line.state).word();
    let bad = bad_text(line);
    let forced = if line.forced.is_some() { ", forced by hand" } else { "" };
    format!(
        "Breaker of {} for {}: {word}{forced}, {bad} {}",
        line.from,
        target(line),
        window_text(line)
    )
}

/// How bad a state is: open first.
#[must_use]
pub const fn rank(line: &BreakerLine) -> u8 {
    match (line.state, line.forced) {
        (BreakerState::Open, _) => 0,
        (BreakerState::HalfOpen, _) => 1,
        (BreakerState::Closed, Some(_)) => 2,
        (BreakerState::Closed, None) => 3,
    }
}

/// What is wrong with thresholds, by field; empty when they can be set.
#[must_use]
pub fn mistakes(settings: &BreakerSettings) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    if settings.failures_in_a_row == 0 && settings.open_percent == 0 {
        out.push(("open_percent", "Something must open it: a share, or failures in a row."));
    }
    if settings.open_percent > 100 {
        out.push(("open_percent", "A share is at most 100%."));
    }
    if !(1..=WINDOW_CALLS_MAX).contains(&settings.window_calls) {
        out.push(("window_calls", "A window holds 1 to 100 calls."));
    }
    if !(1..=TRIAL_CALLS_MAX).contains(&settings.trial_calls) {
        out.push(("trial_calls", "1 to 10 trial calls."));
    }
    if settings.wait_ms == 0 {
        out.push(("wait_s", "It must stay open for a while."));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::resilience::ForcedView;

    fn settings() -> BreakerSettings {
        BreakerSettings {
            failures_in_a_row: 0,
            window_calls: 20,
            open_percent: 50,
            slow_ms: None,
            wait_ms: 20_000,
            trial_calls: 3,
        }
    }

    fn card(state: BreakerState) -> BreakerCard {
        BreakerCard {
            line: BreakerLine {
                id: "gateway~recommendations".into(),
                from: "gateway".into(),
                to: "recommendations".into(),
                subset: None,
                state,
                since_us: 0,
                half_open_at_us: Some(20 * US_PER_SECOND),
                trials_passed: 1,
                forced: None,
                marks: "oxoxooxxoxox".into(),
                opens_at: 10,
                window_calls: 20,
            },
            settings: settings(),
            window: Vec::new(),
            trials: Vec::new(),
            opened: 1,
            refused: 0,
            meanwhile: None,
            causes: Vec::new(),
            history: Vec::new(),
        }
    }

    #[test]
    fn thresholds_read_as_the_arrows_of_the_state_machine() {
        assert_eq!(opens_when(&settings()), "50% of 20 fail");
        let slow = BreakerSettings { slow_ms: Some(1_500), open_percent: 30, ..settings() };
        assert_eq!(opens_when(&slow), "30% fail or slow");
        let row = BreakerSettings { failures_in_a_row: 5, open_percent: 0, ..settings() };
        assert_eq!(opens_when(&row), "5 in a row fail");
        assert_eq!(
            (waits(&settings()), closes_when(&settings())),
            ("after 20 s".into(), "3 of 3 trial calls pass".into())
        );
    }

    #[test]
    fn the_window_says_what_was_bad_and_how_far_it_is_to_opening() {
        let card = card(BreakerState::Closed);
        assert_eq!(bad_text(&card.line), "6 failed");
        assert_eq!(window_text(&card.line), "of 12, opens at 10");
        assert_eq!(distance(&card.line), "4 more bad calls open it");
        let slow = BreakerLine { marks: "ssx".into(), opens_at: 3, ..card.line };
        assert_eq!(
            (bad_text(&slow), distance(&slow)),
            ("2 slow, 1 failed".into(), "the next bad call opens it".into())
        );
    }

    #[test]
    fn an_open_ring_runs_down_and_a_half_open_one_fills() {
        let open = card(BreakerState::Open);
        assert!((ring(&open, 10 * US_PER_SECOND) - 0.5).abs() < 1e-9);
        assert!((ring(&open, 99 * US_PER_SECOND)).abs() < 1e-9);
        assert_eq!(inside(&open, 14_000_001), ("6 s".into(), "left"));
        let half = card(BreakerState::HalfOpen);
        assert!((ring(&half, 0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(inside(&half, 0), ("1/3".into(), "trials"));
    }

    #[test]
    fn a_forced_breaker_counts_down_to_its_release() {
        let mut forced = card(BreakerState::Open);
        let until_us = 100 * US_PER_SECOND;
        forced.line.forced = Some(ForcedView { to: BreakerState::Open, until_us });
        assert!((ring(&forced, 25 * US_PER_SECOND) - 0.75).abs() < 1e-9);
        assert_eq!(inside(&forced, 25 * US_PER_SECOND), ("1:15".into(), "forced"));
        assert!(sentence(&forced.line).contains("open, forced by hand, 6 failed of 12"));
    }

    #[test]
    fn thresholds_that_could_never_open_are_refused() {
        assert!(mistakes(&settings()).is_empty());
        let never = BreakerSettings { open_percent: 0, ..settings() };
        assert_eq!(mistakes(&never)[0].0, "open_percent");
        let wide = BreakerSettings { window_calls: 101, trial_calls: 0, wait_ms: 0, ..settings() };
        assert_eq!(mistakes(&wide).len(), 3);
    }
}
