//! What a breaker's card says: its thresholds in words, its window, the way to the next state.
//!
//! A breaker opens on failures in a row. The window around them is there to see why.

use crate::widget::BreakerMark;
use contract::{
    resilience::{
        BreakerCard, BreakerLine, BreakerSettings, BreakerState, CallMark, FAILURES_IN_A_ROW_MAX,
        WAIT_MAX_MS,
    },
    service::BUS,
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

/// The edge of the live map that a breaker watches. Deliveries of the bus are drawn as the line
/// between the subscriber and the bus.
#[must_use]
pub fn edge_href(line: &BreakerLine) -> String {
    match line.from.as_str() {
        BUS => format!("/?edge={}~{BUS}", line.to),
        from => format!("/?edge={from}~{}", line.to),
    }
}

/// Whether an address that asks for a breaker means this one: by its id, by that of its edge, or
/// by the edge of a message, whose delivery belongs to the bus (`known` are all ids).
#[must_use]
pub fn is_asked<'a>(asked: &str, id: &str, mut known: impl Iterator<Item = &'a str>) -> bool {
    let means = |asked: &str, id: &str| {
        id.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('~'))
    };
    if asked.is_empty() || means(asked, id) {
        return !asked.is_empty();
    }
    let Some((from, to)) = asked.split_once('~') else { return false };
    // The line between a service and the bus stands for what is delivered to the service.
    let to = if to == BUS { from } else { to };
    !known.any(|known| means(asked, known)) && means(&format!("{BUS}~{to}"), id)
}

/// What opens it, on the arrow from closed to open: "5 in a row fail".
#[must_use]
pub fn opens_when(settings: &BreakerSettings) -> String {
    match settings.failures_in_a_row {
        1 => "1 call fails".into(),
        n => format!("{n} in a row fail"),
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

/// Failures in a row up to now; of one that opened, those it opened on.
#[must_use]
pub fn run(line: &BreakerLine) -> u32 {
    match line.distance {
        Some(distance) => line.opens_at.saturating_sub(distance),
        None => u32::try_from(trailing(line)).unwrap_or(u32::MAX),
    }
}

/// Failed calls at the end of the window.
fn trailing(line: &BreakerLine) -> usize {
    line.marks.chars().rev().take_while(|mark| *mark == CallMark::Failed.letter()).count()
}

/// Cells at the end of the window that are the run of failures. After a reset the run begins
/// anew, though the window still shows what was before.
#[must_use]
pub fn run_cells(line: &BreakerLine) -> usize {
    trailing(line).min(usize::try_from(run(line)).unwrap_or(usize::MAX))
}

/// "5 failed in a row", "none failed in a row".
#[must_use]
pub fn run_text(line: &BreakerLine) -> String {
    match run(line) {
        0 => "none failed in a row".into(),
        n => format!("{n} failed in a row"),
    }
}

/// What is in the window in all: "7 failed, 2 slow"; empty when all is good.
#[must_use]
pub fn window_text(line: &BreakerLine) -> String {
    let of = |mark: CallMark| line.marks.chars().filter(|at| *at == mark.letter()).count();
    let (slow, failed) = (of(CallMark::Slow), of(CallMark::Failed));
    let said = [(failed, "failed"), (slow, "slow")];
    let said = said.into_iter().filter(|(count, _)| *count > 0);
    said.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// Whether the failures in a row are all that is not good in the window.
#[must_use]
pub fn run_is_all(line: &BreakerLine) -> bool {
    let good = |mark: &char| *mark == CallMark::Ok.letter();
    usize::try_from(run(line)).ok() == Some(line.marks.chars().filter(|mark| !good(mark)).count())
}

/// In the list of closed ones, failures in a row against what opens it: "1 of 5".
#[must_use]
pub fn share_text(line: &BreakerLine) -> String {
    format!("{} of {}", run(line), line.opens_at)
}

/// How far a closed breaker is from opening: "3 more in a row open it".
#[must_use]
pub fn distance(line: &BreakerLine) -> String {
    match line.distance {
        None => String::new(),
        Some(0 | 1) => "the next failure opens it".into(),
        Some(n) => format!("{n} more in a row open it"),
    }
}

/// What the head of the list says of all thresholds: "each opens at 5".
#[must_use]
pub fn each_opens(lines: &[BreakerLine]) -> String {
    let mut limits: Vec<u32> = lines.iter().map(|line| line.opens_at).collect();
    limits.sort_unstable();
    match (limits.first(), limits.last()) {
        (Some(low), Some(high)) if low == high => format!("each opens at {low}"),
        (Some(low), Some(high)) => format!("they open at {low} to {high}"),
        _ => String::new(),
    }
}

/// Share of the ring around the present state, 0 to 1: it runs down to the next state. Half-open
/// has none: its one trial call decides.
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
        _ => 0.0,
    }
}

/// The two lines inside the present state: ("6 s", "left"), ("0/1", "trial").
#[must_use]
pub fn inside(card: &BreakerCard, now_us: i64) -> (String, &'static str) {
    let line = &card.line;
    match (line.forced, line.state, line.half_open_at_us) {
        (Some(forced), _, _) => (left(forced.until_us, now_us), "forced"),
        (None, BreakerState::Open, Some(at)) => (left(at, now_us), "left"),
        (None, BreakerState::HalfOpen, _) => ("0/1".into(), "trial"),
        _ => (String::new(), ""),
    }
}

/// The whole card in one sentence.
#[must_use]
pub fn sentence(line: &BreakerLine) -> String {
    let word = BreakerMark::from(line.state).word();
    let forced = if line.forced.is_some() { ", forced by hand" } else { "" };
    let way = match line.distance {
        Some(_) => distance(line),
        None => format!("opens at {}", line.opens_at),
    };
    let (to, run) = (target(line), run_text(line));
    format!("Breaker of {} for {to}: {word}{forced}, {run}, {way}", line.from)
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

/// What is wrong with thresholds, by field of the form; empty when they can be set. The host asks
/// the same.
#[must_use]
pub fn mistakes(settings: &BreakerSettings) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    if !(1..=FAILURES_IN_A_ROW_MAX).contains(&settings.failures_in_a_row) {
        out.push(("failures_in_a_row", "1 to 100 failures in a row open it."));
    }
    if !(1..=WAIT_MAX_MS).contains(&settings.wait_ms) {
        out.push(("wait_s", "It stays open for a while: over 0 and up to an hour."));
    }
    out
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
