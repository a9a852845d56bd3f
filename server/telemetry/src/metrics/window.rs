//! Counts and quantiles of the last minute, in slots that are forgotten one by one.

use super::SECOND_US;
use contract::live::{MAP_WINDOW_SECONDS, TIME_BACK_MIN_US};
use hdrhistogram::Histogram;

/// Seconds a window spans, the one that runs included.
pub(super) const SECONDS: i64 = MAP_WINDOW_SECONDS as i64;

/// Seconds one histogram spans: twelve of them are a minute and fit in 60 kB; sixty would not do.
const HISTOGRAM_SECONDS: i64 = 5;

/// Longest duration told apart, microseconds: the deadline of a request is far below a minute.
pub(super) const LONGEST_US: u64 = 60_000_000;

/// When the date goes back, it goes back by so many seconds at least; a span arrives far sooner
/// after its end.
const BACK_SECONDS: i64 = TIME_BACK_MIN_US / SECOND_US;

/// Whether what is held of a second is of a time that was taken back, as is seen by something
/// happening in `second` now.
pub(super) const fn is_taken_back(held: i64, second: i64) -> bool {
    held.saturating_sub(second) >= BACK_SECONDS
}

/// Significant digits: an error below one percent.
const DIGITS: u8 = 2;

/// A histogram of microseconds from 1 to [`LONGEST_US`]; what is longer counts as the longest.
pub(super) fn histogram() -> Option<Histogram<u32>> {
    // The bounds are constants that the library accepts.
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok()
}

/// A quantile in milliseconds, none without values.
pub(super) fn quantile_ms(histogram: &Histogram<u32>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
}

/// Something that happened and how much of it went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) calls: u32,
    pub(super) failed: u32,
}

/// Counts per second over the window.
#[derive(Debug)]
pub(super) struct Counts {
    slots: Box<[(i64, Count)]>,
}

impl Counts {
    pub(super) fn new() -> Self {
        // One more than the window, so that the running second takes none of the past away.
        Self { slots: vec![(i64::MIN, Count::default()); SECONDS as usize + 1].into() }
    }

    pub(super) fn add(&mut self, second: i64, failed: bool) {
        let at = second.rem_euclid(SECONDS + 1) as usize;
        let slot = &mut self.slots[at];
        if slot.0 < second || is_taken_back(slot.0, second) {
            *slot = (second, Count::default());
        }
        // A slot that belongs to a later second already: this came more than a window late.
        if slot.0 == second {
            slot.1.calls = slot.1.calls.saturating_add(1);
            slot.1.failed = slot.1.failed.saturating_add(u32::from(failed));
        }
    }

    pub(super) fn at(&self, second: i64) -> Count {
        let slot = self.slots[second.rem_euclid(SECONDS + 1) as usize];
        if slot.0 == second { slot.1 } else { Count::default() }
    }

    /// Calls of the whole past seconds of the window, oldest first. The running one would always
    /// look like a dip.
    pub(super) fn series(&self, now: i64) -> Vec<f32> {
        (now - SECONDS..now).map(|second| self.at(second).calls as f32).collect()
    }

    /// Calls and failures of the window that ends with the second `now`.
    pub(super) fn total(&self, now: i64) -> (u64, u64) {
        self.slots
            .iter()
            .filter(|(second, _)| (now - SECONDS + 1..=now).contains(second))
            .fold((0, 0), |sum, (_, count)| {
                (sum.0 + u64::from(count.calls), sum.1 + u64::from(count.failed))
            })
    }
}

/// Durations over the window, in histograms of some seconds each; a quiet one holds none.
#[derive(Debug)]
pub(super) struct Durations {
    slots: Vec<(i64, Histogram<u32>)>,
}

impl Durations {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    pub(super) fn add(&mut self, second: i64, us: u64) {
        let slot = second.div_euclid(HISTOGRAM_SECONDS);
        if let Some((_, histogram)) = self.slots.iter_mut().find(|(held, _)| *held == slot) {
            histogram.saturating_record(us.max(1));
            return;
        }
        let oldest = slot - SECONDS / HISTOGRAM_SECONDS + 1;
        let old = self.slots.iter().position(|(held, _)| {
            *held < oldest || is_taken_back(*held * HISTOGRAM_SECONDS, second)
        });
        let reused = old.map(|at| self.slots.swap_remove(at).1);
        if let Some(mut histogram) = reused.or_else(histogram) {
            histogram.reset();
            histogram.saturating_record(us.max(1));
            self.slots.push((slot, histogram));
        }
    }

    /// Forgets what is older than the window, and gives its memory back.
    pub(super) fn forget(&mut self, now: i64) {
        let oldest = now.div_euclid(HISTOGRAM_SECONDS) - SECONDS / HISTOGRAM_SECONDS + 1;
        self.slots
            .retain(|(slot, _)| *slot >= oldest && !is_taken_back(*slot * HISTOGRAM_SECONDS, now));
    }

    /// A quantile over the window, milliseconds.
    pub(super) fn quantile_ms(&self, quantile: f64, now: i64) -> Option<f64> {
        let newest = now.div_euclid(HISTOGRAM_SECONDS);
        let oldest = newest - SECONDS / HISTOGRAM_SECONDS + 1;
        let mut in_window = self
            .slots
            .iter()
            .filter(|(slot, _)| (oldest..=newest).contains(slot))
            .map(|(_, histogram)| histogram);
        let first = in_window.next()?;
        let mut all = first.clone();
        for histogram in in_window {
            // All have the same bounds, so nothing is out of range.
            let _ = all.add(histogram);
        }
        quantile_ms(&all, quantile)
    }
}

/// The second a moment lies in.
pub(super) fn second_of(us: i64) -> i64 {
    us.div_euclid(SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_older_than_the_window_are_forgotten() {
        let mut counts = Counts::new();
        counts.add(100, true);
        counts.add(130, false);
        assert_eq!(counts.total(130), (2, 1));
        assert_eq!(counts.total(100 + SECONDS - 1), (2, 1));
        assert_eq!(counts.total(100 + SECONDS), (1, 0));
        // The slot of second 100 is taken over by a later one, and a late arrival changes nothing.
        counts.add(100 + SECONDS + 1, false);
        counts.add(100, true);
        assert_eq!(counts.at(100), Count::default());
        assert_eq!(counts.at(100 + SECONDS + 1), Count { calls: 1, failed: 0 });
    }

    #[test]
    fn what_was_counted_of_a_day_that_was_taken_back_is_in_nobodys_way() {
        let (mut counts, mut durations) = (Counts::new(), Durations::new());
        let (day, now) = (86_400, 1_000_000);
        for second in now + day..now + day + 2 * SECONDS {
            counts.add(second, true);
            durations.add(second, 1_000);
        }
        for second in now..now + SECONDS {
            counts.add(second, false);
            durations.add(second, 5_000);
        }
        let last = now + SECONDS - 1;
        assert_eq!(counts.total(last), (60, 0));
        assert!(durations.quantile_ms(0.5, last).unwrap() > 4.5);
        assert!(durations.slots.len() <= 13, "{}", durations.slots.len());
        // What comes a window late is not taken for the date having gone back.
        counts.add(last - SECONDS - 1, true);
        assert_eq!(counts.total(last), (60, 0));
    }

    #[test]
    fn quantiles_agree_with_known_data_within_one_percent() {
        let mut durations = Durations::new();
        // 1 ms to 1000 ms, spread over twenty seconds.
        for ms in 1..=1_000_u64 {
            durations.add(1_000 + (ms % 20) as i64, ms * 1_000);
        }
        for (quantile, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = durations.quantile_ms(quantile, 1_019).unwrap();
            assert!((found - exact).abs() <= exact * 0.01, "p{quantile}: {found} for {exact}");
        }
    }

    #[test]
    fn durations_older_than_the_window_are_forgotten() {
        let mut durations = Durations::new();
        durations.add(1_000, 1_000_000);
        durations.add(1_040, 1_000);
        assert!(durations.quantile_ms(0.99, 1_040).unwrap() > 900.0);
        assert!(durations.quantile_ms(0.99, 1_070).unwrap() < 2.0);
        durations.forget(1_200);
        assert_eq!(durations.quantile_ms(0.99, 1_200), None);
        assert!(durations.slots.is_empty());
    }

    #[test]
    fn a_busy_window_holds_no_more_than_its_slots() {
        let mut durations = Durations::new();
        (0..1_000).for_each(|second| durations.add(second, 1_000));
        assert!(durations.slots.len() <= 12);
    }

    #[test]
    fn what_is_longer_than_the_longest_counts_as_the_longest() {
        let mut durations = Durations::new();
        durations.add(0, u64::MAX);
        let found = durations.quantile_ms(0.5, 0).unwrap();
        assert!((found - 60_000.0).abs() < 600.0, "{found}");
    }
}
