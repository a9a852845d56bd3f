//! Warm-up (Envoy `slow_start.rst`): a new instance gets its share slowly. Pure.

use istio::policy::Warmup;

/// The curve begins one second into the window, as in Envoy: at its very beginning it would be 0.
const BEGIN_US: i64 = 1_000_000;

/// What share of a full weight an instance has that is there since `since_us`: at least
/// `minimum_percent`, then `(time / window) ^ (1 / aggression)`, at last 1.
pub(crate) fn weight(warmup: &Warmup, since_us: i64, now_us: i64) -> f64 {
    let window_us = base::clock::micros(warmup.duration);
    let age_us = now_us.saturating_sub(since_us);
    if age_us >= window_us {
        return 1.0;
    }
    let part = age_us.max(BEGIN_US) as f64 / window_us as f64;
    part.powf(1.0 / warmup.aggression).max(warmup.minimum_percent / 100.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_curve_begins_at_the_minimum_and_ends_at_the_full_weight() {
        let mut warmup =
            Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
        let at = |warmup: &Warmup, seconds: i64| weight(warmup, 7, 7 + seconds * 1_000_000);
        for (seconds, expected) in [(0, 0.1), (5, 0.1), (25, 0.25), (50, 0.5), (100, 1.0)] {
            assert!((at(&warmup, seconds) - expected).abs() < 1e-9, "{seconds} s");
        }
        warmup.aggression = 2.0;
        assert!((at(&warmup, 25) - 0.5).abs() < 1e-9, "a higher aggression is faster at first");
    }
}
