//! How long to wait before a retry: Envoy's fully jittered exponential back-off.
//!
//! Before retry N uniform in `[0, (2^N - 1) x base)`, and never beyond `10 x base`. The crate
//! `backon`, which the workspace has, cannot express this: its jitter is added on top of the
//! exponential delay, so that it waits at least the base and at most twice the cap.

use base::{IdSource, clock::micros};
use std::time::Duration;

/// Envoy caps the interval at so many times the base.
const CAP: u32 = 10;

/// The wait before retry `retry` (from 1).
#[must_use]
pub fn before(retry: u32, base: Duration, ids: &IdSource) -> Duration {
    let below = u64::try_from(micros(interval(retry, base))).unwrap_or(0);
    Duration::from_micros(ids.below(below))
}

/// The wait is shorter than this.
#[must_use]
pub fn interval(retry: u32, base: Duration) -> Duration {
    let factor = 2_u32.checked_pow(retry).map_or(CAP, |power| power - 1);
    base.saturating_mul(factor.min(CAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(25);

    #[test]
    fn the_intervals_are_25_75_175_and_then_250_milliseconds() {
        let intervals: Vec<u128> = (1..=6).map(|n| interval(n, BASE).as_millis()).collect();
        assert_eq!(intervals, [25, 75, 175, 250, 250, 250]);
        assert_eq!(interval(40, BASE).as_millis(), 250);
    }

    #[test]
    fn the_wait_is_uniform_from_nothing_to_the_interval() {
        let seed = 11;
        let ids = IdSource::seeded(seed);
        for (retry, interval_ms) in [(1, 25), (2, 75), (3, 175), (4, 250)] {
            let mut tenths = [0_u32; 10];
            for _ in 0..10_000 {
                let wait = before(retry, BASE, &ids);
                assert!(wait < Duration::from_millis(interval_ms), "seed {seed}");
                let tenth = wait.as_micros() * 10 / (u128::from(interval_ms) * 1_000);
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }
            // Each tenth gets 1,000 of 10,000; five standard deviations are 150.
            assert!(tenths.iter().all(|n| (850..1150).contains(n)), "seed {seed}: {tenths:?}");
        }
    }
}
