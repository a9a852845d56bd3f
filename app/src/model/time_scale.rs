//! Where a moment stands on a time axis, with long waits folded away.
//!
//! Positions are shares of the axis, 0 to 1. Knows nothing of spans beyond the moments at which
//! something began or ended.

use super::span_tree::SpanTree;
use contract::trace::{SpanKind, SpanView};

/// Shorter waits are shown at their length.
pub const FOLD_OVER_US: i64 = 250_000;
/// Width of a folded wait, as a share of the axis.
const FOLD_WIDTH: f64 = 0.018;
/// What folded waits may take of the axis together; beyond it they are drawn narrower.
const FOLDS_WIDTH_MAX: f64 = 0.3;

/// A stretch of time that is taken out of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// From.
    pub start_us: i64,
    /// To.
    pub end_us: i64,
}

impl Fold {
    /// How much is taken out.
    #[must_use]
    pub fn removed_us(self) -> i64 {
        self.end_us - self.start_us
    }
}

/// A mark of the ruler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Where, 0 to 1.
    pub at: f64,
    /// When.
    pub us: i64,
}

/// A time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeScale {
    start_us: i64,
    end_us: i64,
    folds: Vec<Fold>,
    fold_width: f64,
}

// === impl TimeScale ===

impl TimeScale {
    /// An axis from one moment to a later one, without these stretches.
    #[must_use]
    pub fn new(start_us: i64, end_us: i64, folds: &[Fold]) -> Self {
        let end_us = end_us.max(start_us + 1);
        let mut folds: Vec<Fold> = folds
            .iter()
            .map(|f| Fold { start_us: f.start_us.max(start_us), end_us: f.end_us.min(end_us) })
            .filter(|f| f.start_us < f.end_us)
            .collect();
        let removed: i64 = folds.iter().map(|f| f.removed_us()).sum();
        if removed >= end_us - start_us {
            folds.clear();
        }
        let count = folds.len().max(1);
        let fold_width = FOLD_WIDTH.min(FOLDS_WIDTH_MAX / to_f64(count));
        Self { start_us, end_us, folds, fold_width }
    }

    /// The moment at the left end.
    #[must_use]
    pub fn start_us(&self) -> i64 {
        self.start_us
    }

    /// The moment at the right end.
    #[must_use]
    pub fn end_us(&self) -> i64 {
        self.end_us
    }

    /// What is taken out, with the middle of the place where it was.
    pub fn folds(&self) -> impl Iterator<Item = (f64, Fold)> + '_ {
        self.folds.iter().map(|f| (self.at(f.start_us) + self.fold_width / 2.0, *f))
    }

    /// Width of each folded place, as a share of the axis.
    #[must_use]
    pub fn fold_width(&self) -> f64 {
        self.fold_width
    }

    /// Whether there are so many of them that each has less room than one alone would have.
    #[must_use]
    pub fn folds_are_narrow(&self) -> bool {
        self.fold_width < FOLD_WIDTH
    }

    /// Where a moment stands. Moments outside stand at the ends.
    #[must_use]
    pub fn at(&self, us: i64) -> f64 {
        let us = us.clamp(self.start_us, self.end_us);
        let mut shown = us - self.start_us;
        let mut widths = 0.0;
        for fold in self.folds.iter().filter(|f| f.start_us < us) {
            let inside = us.min(fold.end_us) - fold.start_us;
            shown -= inside;
            widths += self.fold_width * share(inside, fold.removed_us());
        }
        share(shown, self.shown_us()) * self.for_shown() + widths
    }

    /// The moment that stands at a place.
    #[must_use]
    pub fn moment(&self, at: f64) -> i64 {
        let (mut low, mut high) = (self.start_us, self.end_us);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.at(middle) <= at { low = middle } else { high = middle }
        }
        if at >= 1.0 { self.end_us } else { low }
    }

    /// Where a stretch stands and how wide it is; none if it is outside of the axis.
    #[must_use]
    pub fn bar(&self, start_us: i64, end_us: i64) -> Option<(f64, f64)> {
        if end_us < self.start_us || start_us > self.end_us {
            return None;
        }
        let x = self.at(start_us);
        Some((x, self.at(end_us) - x))
    }

    /// At most `most` marks at round offsets from `zero_us`, none of them inside or beside a fold.
    #[must_use]
    pub fn ticks(&self, zero_us: i64, most: usize) -> Vec<Tick> {
        let step = round_step(self.shown_us() / i64::try_from(most.max(1)).unwrap_or(1));
        let clear = 0.55 / to_f64(most.max(1));
        let mut ticks = Vec::new();
        let mut offset = (self.start_us - zero_us).div_euclid(step) * step;
        if offset < self.start_us - zero_us {
            offset += step;
        }
        while zero_us + offset <= self.end_us {
            let us = zero_us + offset;
            match self.folds.iter().find(|f| f.start_us < us && us < f.end_us) {
                Some(fold) => offset = (fold.end_us - zero_us).div_euclid(step) * step,
                None => {
                    let at = self.at(us);
                    if self.folds().all(|(middle, _)| (middle - at).abs() > clear) {
                        ticks.push(Tick { at, us });
                    }
                }
            }
            offset += step;
        }
        ticks
    }

    fn shown_us(&self) -> i64 {
        let removed: i64 = self.folds.iter().map(|f| f.removed_us()).sum();
        (self.end_us - self.start_us - removed).max(1)
    }

    fn for_shown(&self) -> f64 {
        1.0 - self.fold_width * to_f64(self.folds.len())
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not under `least`; the greatest that
/// there is when none is.
#[must_use]
pub fn round_step(least: i64) -> i64 {
    let mut greatest = 1;
    for power in 0..=MAX_POWER {
        let power = 10_i64.pow(power);
        let steps = [power, power * 2, power / 10 * 25, power * 5];
        for step in steps.into_iter().filter(|step| *step > 0) {
            if step >= least {
                return step;
            }
            greatest = step;
        }
    }
    greatest
}

/// Five times this power of ten is the greatest round number that fits.
const MAX_POWER: u32 = 18;

/// Waits of a trace that are long enough to fold: nothing begins or ends, and whatever is active
/// only waits (for an answer, a message, a fault's delay or its next step).
#[must_use]
pub fn waits(tree: &SpanTree, spans: &[SpanView]) -> Vec<Fold> {
    let mut moments: Vec<i64> = tree.nodes.iter().flat_map(|n| [n.start_us, n.end_us]).collect();
    moments.sort_unstable();
    moments.dedup();
    let long: Vec<(i64, i64)> = moments
        .windows(2)
        .map(|w| (w[0], w[1]))
        .filter(|(from, to)| to - from > FOLD_OVER_US)
        .filter(|&(from, to)| {
            !tree.nodes.iter().any(|n| {
                n.start_us <= from && n.end_us >= to && n.below == 0 && works(spans, n.span)
            })
        })
        .collect();
    let removable: i64 = long.iter().map(|(from, to)| to - from).sum();
    let rest = tree.duration_us() - removable;
    long.into_iter()
        .map(|(from, to)| {
            // A little of the wait stays on both sides, so that bars are seen to go on.
            let margin = (rest / 12).clamp(1_000, (to - from) / 10);
            Fold { start_us: from + margin, end_us: to - margin }
        })
        .collect()
}

/// A span without children that is busy by itself as far as anyone can tell.
fn works(spans: &[SpanView], span: Option<usize>) -> bool {
    let Some(span) = span.and_then(|i| spans.get(i)) else {
        return false;
    };
    let waits = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
    let held = span.attribute(contract::attributes::MESH_FAULT_DELAY_MS).is_some();
    !waits && !held
}

#[expect(
    clippy::cast_precision_loss,
    reason = "durations of traces are far below 2^52 microseconds"
)]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a handful of folds or ticks")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::span_tree::tests::span;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn without_folds_places_are_proportional_and_clamped_to_the_ends() {
        let scale = TimeScale::new(100, 200, &[]);
        assert!(near(scale.at(125), 0.25) && near(scale.at(0), 0.0) && near(scale.at(900), 1.0));
        assert_eq!(scale.bar(300, 400), None);
        assert_eq!(scale.bar(150, 150), Some((0.5, 0.0)));
    }

    #[test]
    fn a_folded_wait_takes_little_room_and_the_ends_stay_at_the_ends() {
        let fold = Fold { start_us: 100, end_us: 900 };
        let scale = TimeScale::new(0, 1_000, &[fold]);
        assert!(near(scale.at(0), 0.0) && near(scale.at(1_000), 1.0));
        assert!(near(scale.at(100), 0.5 * (1.0 - FOLD_WIDTH)));
        assert!(near(scale.at(900) - scale.at(100), FOLD_WIDTH));
        let (middle, kept) = scale.folds().next().unwrap();
        assert!(near(middle, 0.5));
        assert_eq!(kept.removed_us(), 800);
    }

    #[test]
    fn every_place_has_the_moment_that_stands_there() {
        let scale = TimeScale::new(0, 1_000_000, &[Fold { start_us: 200_000, end_us: 700_000 }]);
        for us in [0, 1, 150_000, 450_000, 800_000, 1_000_000] {
            assert!((scale.moment(scale.at(us)) - us).abs() <= 1, "{us}");
        }
    }

    #[test]
    fn many_folds_are_narrow_and_leave_most_of_the_axis_to_what_is_between_them() {
        let folds = |count: i64| -> Vec<Fold> {
            let fold = |at: i64| Fold { start_us: at * 1_000 + 10, end_us: at * 1_000 + 990 };
            (0..count).map(fold).collect()
        };
        let scale = |count| TimeScale::new(0, 100_000, &folds(count));
        assert!(!scale(3).folds_are_narrow() && scale(40).folds_are_narrow());
        assert!(scale(40).fold_width() * 40.0 <= FOLDS_WIDTH_MAX + 1e-9);
    }

    #[test]
    fn zooming_clips_folds_and_a_range_inside_a_fold_is_shown_unfolded() {
        let fold = Fold { start_us: 100, end_us: 900 };
        assert_eq!(TimeScale::new(0, 500, &[fold]).folds().count(), 1);
        assert_eq!(TimeScale::new(200, 500, &[fold]).folds().count(), 0);
    }

    #[test]
    fn ticks_stand_at_round_offsets_and_never_inside_a_fold() {
        let fold = Fold { start_us: 170_000, end_us: 2_140_000 };
        let scale = TimeScale::new(0, 2_206_000, &[fold]);
        let ticks = scale.ticks(0, 10);
        let at: Vec<i64> = ticks.iter().map(|t| t.us / 1_000).collect();
        assert_eq!(at, [0, 25, 50, 75, 100, 125, 150, 2_175, 2_200]);
        assert!(ticks.windows(2).all(|w| w[0].at < w[1].at));
        assert_eq!([1, 3, 7, 21, 26, 99].map(round_step), [1, 5, 10, 25, 50, 100]);
        let extreme =
            [i64::MIN, 0, 24, 500_000_000_000_000_001, 5_000_000_000_000_000_000, i64::MAX];
        let (most, next) = (5_000_000_000_000_000_000, 1_000_000_000_000_000_000);
        assert_eq!(extreme.map(round_step), [1, 1, 25, next, most, most]);
    }

    #[test]
    fn a_long_wait_for_an_answer_is_folded_with_a_margin() {
        let mut call = span("call", Some("root"), 10_000, 2_000_000);
        call.kind = SpanKind::Client;
        let spans = [span("root", None, 0, 2_050_000), call];
        let folds = waits(&SpanTree::new(&spans), &spans);
        assert_eq!(folds.len(), 1);
        assert!(folds[0].start_us > 10_000 && folds[0].end_us < 2_010_000);
        assert!(folds[0].removed_us() > 1_500_000);
    }

    #[test]
    fn long_work_and_short_waits_are_not_folded() {
        let mut short = span("short", Some("root"), 10_000, 200_000);
        short.kind = SpanKind::Client;
        let spans = [
            span("root", None, 0, 1_300_000),
            short,
            span("work", Some("root"), 250_000, 1_000_000),
        ];
        assert_eq!(waits(&SpanTree::new(&spans), &spans), []);
    }

    #[test]
    fn time_between_spans_of_a_saga_is_a_wait() {
        let spans = [span("root", None, 0, 10_000), span("later", Some("root"), 5_000_000, 10_000)];
        assert_eq!(waits(&SpanTree::new(&spans), &spans).len(), 1);
    }
}
