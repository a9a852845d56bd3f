//! Requests, errors and duration at the gateway, one point a second for an hour.
//!
//! A second is a histogram while spans may still arrive for it and six numbers afterwards.

use super::{
    SECOND_US,
    window::{histogram, quantile_ms, second_of},
};
use contract::live::{RED_POINTS_MAX, RedPoint};
use hdrhistogram::Histogram;
use std::collections::VecDeque;

/// Seconds that are still open: a span arrives within microseconds of its end, a clock that is set
/// back moves it a little.
const OPEN_SECONDS: i64 = 8;

/// Points kept; seconds without requests take no room.
const POINTS_MAX: usize = RED_POINTS_MAX;

#[derive(Debug)]
struct Open {
    second: i64,
    calls: u32,
    failed: u32,
    durations: Histogram<u32>,
}

impl Open {
    fn point(&self) -> Point {
        let quantile = |quantile| quantile_ms(&self.durations, quantile).unwrap_or(0.0) as f32;
        Point {
            second: self.second,
            calls: self.calls,
            failed: self.failed,
            quantiles_ms: [quantile(0.5), quantile(0.95), quantile(0.99)],
        }
    }
}

/// A second with requests.
#[derive(Clone, Copy, Debug)]
struct Point {
    second: i64,
    calls: u32,
    failed: u32,
    quantiles_ms: [f32; 3],
}

impl Point {
    fn view(self) -> RedPoint {
        let [p50, p95, p99] = self.quantiles_ms.map(|ms| Some(f64::from(ms)));
        RedPoint {
            at_us: self.second.saturating_mul(SECOND_US),
            per_second: f64::from(self.calls),
            error_share: f64::from(self.failed) / f64::from(self.calls.max(1)),
            p50_ms: p50,
            p95_ms: p95,
            p99_ms: p99,
        }
    }
}

/// The points of the last hour.
#[derive(Debug, Default)]
pub(super) struct Red {
    open: VecDeque<Open>,
    done: VecDeque<Point>,
    /// Before this second nothing is accepted any more.
    closed_until: i64,
}

impl Red {
    pub(super) fn observe(&mut self, end_us: i64, duration_us: u64, failed: bool) {
        let second = second_of(end_us);
        if second < self.closed_until {
            return;
        }
        let at = match self.open.iter().position(|open| open.second >= second) {
            Some(at) if self.open[at].second == second => at,
            place => {
                let Some(durations) = histogram() else {
                    return;
                };
                let at = place.unwrap_or(self.open.len());
                let open = Open { second, calls: 0, failed: 0, durations };
                self.open.insert(at, open);
                at
            }
        };
        let open = &mut self.open[at];
        open.calls = open.calls.saturating_add(1);
        open.failed = open.failed.saturating_add(u32::from(failed));
        open.durations.saturating_record(duration_us.max(1));
        self.close(second - OPEN_SECONDS + 1);
    }

    /// Turns every second before `until` into its point.
    fn close(&mut self, until: i64) {
        while let Some(open) = self.open.pop_front_if(|open| open.second < until) {
            self.done.push_back(open.point());
            if self.done.len() > POINTS_MAX {
                self.done.pop_front();
            }
        }
        self.closed_until = self.closed_until.max(until);
    }

    /// The point of a second; all zero when nothing happened in it.
    pub(super) fn at(&self, second: i64) -> RedPoint {
        let done = self.done.binary_search_by_key(&second, |point| point.second);
        let open = || self.open.iter().find(|open| open.second == second).map(Open::point);
        match done.ok().and_then(|at| self.done.get(at).copied()).or_else(open) {
            Some(point) => point.view(),
            None => RedPoint {
                at_us: second.saturating_mul(SECOND_US),
                per_second: 0.0,
                error_share: 0.0,
                p50_ms: None,
                p95_ms: None,
                p99_ms: None,
            },
        }
    }

    /// One point for every whole second from `from_us` (or the start, or an hour ago, whichever is
    /// latest) until now.
    pub(super) fn points(&self, from_us: i64, now_us: i64, started_us: i64) -> Vec<RedPoint> {
        let now = second_of(now_us);
        // A second that began before `from_us` is not whole within the range.
        let from = second_of(from_us.saturating_add(SECOND_US - 1));
        let oldest = now.saturating_sub(POINTS_MAX as i64);
        (from.max(second_of(started_us)).max(oldest)..now).map(|second| self.at(second)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    #[test]
    fn seconds_without_requests_are_points_without_quantiles() {
        // Given requests in seconds 100 and 103 only,
        let mut red = Red::default();
        red.observe(100 * SECOND_US + 1, 10 * MS, false);
        red.observe(103 * SECOND_US + 1, 30 * MS, true);
        // when the points until the middle of second 104 are asked for,
        let points = red.points(100 * SECOND_US, 104 * SECOND_US + 500_000, 0);
        // then there is one for each whole second, and the gap has zeros and no quantiles.
        let seconds: Vec<i64> = points.iter().map(|p| p.at_us / SECOND_US).collect();
        assert_eq!(seconds, [100, 101, 102, 103]);
        assert_eq!(points[1].per_second, 0.0);
        assert_eq!(points[1].p95_ms, None);
        assert_eq!(points[3].error_share, 1.0);
        assert!((points[3].p50_ms.unwrap() - 30.0).abs() < 0.3);
    }

    #[test]
    fn the_running_second_is_not_a_point_yet() {
        let mut red = Red::default();
        red.observe(100 * SECOND_US, MS, false);
        assert!(red.points(100 * SECOND_US, 100 * SECOND_US + 999_999, 0).is_empty());
        assert_eq!(red.points(100 * SECOND_US, 101 * SECOND_US, 0).len(), 1);
    }

    #[test]
    fn a_point_is_the_same_before_and_after_its_histogram_was_dropped() {
        let mut red = Red::default();
        for ms in 1..=100 {
            red.observe(100 * SECOND_US + 5, ms * MS, ms > 90);
        }
        let open = red.at(100);
        assert!((open.p99_ms.unwrap() - 99.0).abs() <= 1.0, "{open:?}");
        assert!((open.error_share - 0.1).abs() < 1e-9);
        red.observe(200 * SECOND_US, MS, false);
        assert_eq!(red.at(100), open);
        assert_eq!(red.open.len(), 1);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut red = Red::default();
        (0..5_000).for_each(|second| red.observe(second * SECOND_US, MS, false));
        assert!(red.done.len() <= POINTS_MAX);
        assert_eq!(red.points(0, 5_000 * SECOND_US, 0).len(), POINTS_MAX);
    }

    #[test]
    fn spans_that_end_out_of_order_are_counted_in_their_seconds() {
        let mut red = Red::default();
        for second in [103, 101, 102, 101] {
            red.observe(second * SECOND_US, MS, false);
        }
        let calls: Vec<f64> = (101..=103).map(|second| red.at(second).per_second).collect();
        assert_eq!(calls, [2.0, 1.0, 1.0]);
        red.observe(120 * SECOND_US, MS, false);
        assert_eq!(red.at(101).per_second, 2.0);
    }

    #[test]
    fn points_do_not_begin_before_the_start() {
        let red = Red::default();
        let points = red.points(0, 100 * SECOND_US, 98 * SECOND_US);
        assert_eq!(points.len(), 2);
    }
}
