//! Requests, errors and duration of a service, one point a second for an hour.
//!
//! Each second keeps how long its requests took, so that a quantile over any window is computed
//! from all of its requests, and the trace of its slowest one.

use super::{
    SECOND_US,
    window::{is_taken_back, second_of},
};
use contract::{
    Durations,
    live::{Exemplar, RED_POINTS_MAX, RedPoint},
};
use std::collections::VecDeque;

/// Seconds that are still open: a span arrives within microseconds of its end, a clock that is set
/// back moves it a little.
const OPEN_SECONDS: i64 = 8;

/// Points kept; seconds without requests take no room.
const POINTS_MAX: usize = RED_POINTS_MAX;

/// A second with requests.
#[derive(Clone, Debug, Default)]
struct Point {
    second: i64,
    calls: u32,
    failed: u32,
    durations: Durations,
    /// Trace and microseconds of the slowest request.
    slowest: (u128, u64),
}

impl Point {
    fn new(second: i64) -> Self {
        Self { second, ..Self::default() }
    }

    fn add(&mut self, duration_us: u64, failed: bool, trace: u128) {
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(failed));
        self.durations.record(duration_us);
        if trace != 0 && duration_us >= self.slowest.1 {
            self.slowest = (trace, duration_us);
        }
    }

    fn view(&self) -> RedPoint {
        let (trace, us) = self.slowest;
        let slowest = || Exemplar { trace_id: format!("{trace:032x}"), ms: us as f64 / 1_000.0 };
        RedPoint {
            at_us: self.second.saturating_mul(SECOND_US),
            per_second: f64::from(self.calls),
            error_share: f64::from(self.failed) / f64::from(self.calls.max(1)),
            durations: self.durations.clone(),
            slowest: (trace != 0).then(slowest),
        }
    }
}

/// The points of the last hour.
#[derive(Debug, Default)]
pub(super) struct Red {
    /// In order of their seconds.
    points: VecDeque<Point>,
    /// Before this second nothing is accepted any more.
    closed_until: i64,
}

impl Red {
    pub(super) fn observe(&mut self, end_us: i64, duration_us: u64, failed: bool, trace: u128) {
        let second = second_of(end_us);
        if is_taken_back(self.closed_until, second) {
            self.points.retain(|point| point.second <= second);
            self.closed_until = 0;
        }
        if second < self.closed_until {
            return;
        }
        let at = match self.points.binary_search_by_key(&second, |point| point.second) {
            Ok(at) => at,
            Err(at) => {
                self.points.insert(at, Point::new(second));
                at
            }
        };
        self.points[at].add(duration_us, failed, trace);
        self.closed_until = self.closed_until.max(second - OPEN_SECONDS + 1);
        if self.points.len() > POINTS_MAX {
            self.points.pop_front();
        }
    }

    /// The point of a second; all zero when nothing happened in it.
    pub(super) fn at(&self, second: i64) -> RedPoint {
        match self.points.binary_search_by_key(&second, |point| point.second) {
            Ok(at) => self.points[at].view(),
            Err(_) => Point::new(second).view(),
        }
    }

    /// One point for every whole second from `from_us` (or the start, or an hour ago, whichever is
    /// latest) until now.
    pub(super) fn points(&self, from_us: i64, now_us: i64, started_us: i64) -> Vec<RedPoint> {
        let now = second_of(now_us);
        // A second that began before `from_us` is not whole within the range.
        let from = second_of(from_us.saturating_add(SECOND_US - 1));
        let oldest = now.saturating_sub(POINTS_MAX as i64);
        let started = second_of(started_us);
        let started = if is_taken_back(started, now) { oldest } else { started };
        (from.max(started).max(oldest)..now).map(|second| self.at(second)).collect()
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
        red.observe(100 * SECOND_US + 1, 10 * MS, false, 1);
        red.observe(103 * SECOND_US + 1, 30 * MS, true, 1);
        // when the points until the middle of second 104 are asked for,
        let points = red.points(100 * SECOND_US, 104 * SECOND_US + 500_000, 0);
        // then there is one for each whole second, and the gap has zeros and no quantiles.
        let seconds: Vec<i64> = points.iter().map(|p| p.at_us / SECOND_US).collect();
        assert_eq!(seconds, [100, 101, 102, 103]);
        assert_eq!(points[1].per_second, 0.0);
        assert_eq!(points[1].durations.quantile_ms(0.95), None);
        assert_eq!(points[3].error_share, 1.0);
        assert!((points[3].durations.quantile_ms(0.5).unwrap() - 30.0).abs() < 1.5);
    }

    #[test]
    fn the_running_second_is_not_a_point_yet() {
        let mut red = Red::default();
        red.observe(100 * SECOND_US, MS, false, 1);
        assert!(red.points(100 * SECOND_US, 100 * SECOND_US + 999_999, 0).is_empty());
        assert_eq!(red.points(100 * SECOND_US, 101 * SECOND_US, 0).len(), 1);
    }

    #[test]
    fn a_second_keeps_all_durations_and_the_trace_of_its_slowest_request() {
        let mut red = Red::default();
        for ms in 1..=100_u64 {
            red.observe(100 * SECOND_US + 5, ms * MS, ms > 90, ms.into());
        }
        let point = red.at(100);
        assert_eq!(point.durations.count(), 100);
        assert!((point.durations.quantile_ms(0.99).unwrap() - 99.0).abs() <= 4.5, "{point:?}");
        assert!((point.error_share - 0.1).abs() < 1e-9);
        let slowest = point.slowest.clone().unwrap();
        assert_eq!(slowest.trace_id, format!("{:032x}", 100));
        assert!((slowest.ms - 100.0).abs() < 1e-9);
        // Later seconds change nothing of it.
        red.observe(200 * SECOND_US, MS, false, 7);
        assert_eq!(red.at(100), point);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut red = Red::default();
        (0..5_000).for_each(|second| red.observe(second * SECOND_US, MS, false, 1));
        assert!(red.points.len() <= POINTS_MAX);
        assert_eq!(red.points(0, 5_000 * SECOND_US, 0).len(), POINTS_MAX);
    }

    #[test]
    fn spans_that_end_out_of_order_are_counted_in_their_seconds() {
        let mut red = Red::default();
        for second in [103, 101, 102, 101] {
            red.observe(second * SECOND_US, MS, false, 1);
        }
        let calls: Vec<f64> = (101..=103).map(|second| red.at(second).per_second).collect();
        assert_eq!(calls, [2.0, 1.0, 1.0]);
        red.observe(120 * SECOND_US, MS, false, 1);
        assert_eq!(red.at(101).per_second, 2.0);
    }

    #[test]
    fn after_a_date_far_ahead_was_corrected_requests_are_points_again() {
        let (mut red, day) = (Red::default(), 86_400);
        red.observe((100 + day) * SECOND_US, MS, true, 1);
        red.observe(100 * SECOND_US, MS, false, 2);
        red.observe(101 * SECOND_US, MS, false, 3);
        // Started while the date was ahead.
        let points = red.points(0, 102 * SECOND_US, (90 + day) * SECOND_US);
        let calls: Vec<_> = points.iter().rev().take(2).map(|p| p.per_second).collect();
        assert_eq!(calls, [1.0, 1.0]);
        assert_eq!(red.at(100 + day).per_second, 0.0, "it has not come after all");
    }

    #[test]
    fn points_do_not_begin_before_the_start() {
        let red = Red::default();
        let points = red.points(0, 100 * SECOND_US, 98 * SECOND_US);
        assert_eq!(points.len(), 2);
    }
}
