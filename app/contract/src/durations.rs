//! Durations as counts in buckets that grow by a fixed factor: small, and they can be added up, so
//! that a quantile over any window is computed from all of its calls.

use serde::{Deserialize, Serialize};

/// Buckets per doubling: a value is told to within 4.4%, half the width of a bucket.
const PER_DOUBLING: f64 = 8.0;
/// The last bucket: 2^26 microseconds, a little over a minute. Longer is counted here.
const LAST: u16 = 208;

/// How many calls took how long. Sparse and in order: bucket and count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(Vec<(u16, u32)>);

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 208")]
#[expect(clippy::cast_precision_loss, reason = "a bucket is wider than what is lost")]
fn bucket(us: u64) -> u16 {
    let place = (us.max(1) as f64).log2() * PER_DOUBLING;
    (place.ceil() as u16).min(LAST)
}

/// The geometric middle of a bucket, milliseconds.
fn middle_ms(bucket: u16) -> f64 {
    ((f64::from(bucket) - 0.5) / PER_DOUBLING).exp2() / 1_000.0
}

impl Durations {
    /// Counts one call.
    pub fn record(&mut self, us: u64) {
        self.add(bucket(us), 1);
    }

    fn add(&mut self, bucket: u16, count: u32) {
        match self.0.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (bucket, count)),
        }
    }

    /// Adds the calls of others.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, count)| self.add(*bucket, *count));
    }

    /// Calls counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The duration that this share of the calls did not exceed, milliseconds; none without calls.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "calls of an hour")]
        let rank = (self.count() as f64 * quantile.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut seen = 0.0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += f64::from(*count);
            (seen >= rank).then(|| middle_ms(*bucket))
        })
    }
}

impl FromIterator<u64> for Durations {
    /// Of durations in microseconds.
    fn from_iter<I: IntoIterator<Item = u64>>(all: I) -> Self {
        let mut durations = Self::default();
        all.into_iter().for_each(|us| durations.record(us));
        durations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_data_are_right_to_within_half_a_bucket() {
        let durations: Durations = (1..=1_000).map(|ms| ms * 1_000).collect();
        for (quantile, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = durations.quantile_ms(quantile).unwrap();
            assert!((found / exact - 1.0).abs() < 0.05, "{quantile}: {found} for {exact}");
        }
        assert_eq!(Durations::default().quantile_ms(0.5), None);
    }

    #[test]
    fn a_quantile_of_merged_counts_is_that_of_all_calls_and_not_the_highest() {
        // 99 fast calls in one second, one slow call in the next: p95 of both is fast.
        let mut all: Durations = std::iter::repeat_n(10_000, 99).collect();
        let slow: Durations = [2_000_000].into_iter().collect();
        assert!(slow.quantile_ms(0.95).unwrap() > 1_900.0);
        all.merge(&slow);
        assert_eq!(all.count(), 100);
        assert!(all.quantile_ms(0.95).unwrap() < 11.0);
        assert!(all.quantile_ms(1.0).unwrap() > 1_900.0);
    }

    #[test]
    fn what_is_shorter_or_longer_than_all_buckets_counts_at_their_ends() {
        let durations: Durations = [0, 1, u64::MAX].into_iter().collect();
        assert_eq!(durations.count(), 3);
        assert!(durations.quantile_ms(1.0).unwrap() > 60_000.0);
    }
}
