//! The three RED charts: buckets of points, current values, summaries, tables. Pure.

use crate::{
    model::format,
    widget::chart::{
        ChartTable,
        backend::Ink,
        model::{Mark, Sample, Scale, Series, TimeChart, linear_scale, log_scale},
    },
};
use contract::{
    live::{RED_STEP_SECONDS, RedPoint},
    resilience::{FaultView, FaultsView},
    traffic::{MeshView, RevisionMark},
};

/// Points of a line: more than this and a line on 300 pixels is only noise.
const BUCKETS: i64 = 100;
/// Rows of the table behind a chart.
const TABLE_ROWS: i64 = 12;
const SECOND_US: i64 = 1_000_000;

/// Which of the three charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Red {
    /// Requests per second.
    Requests,
    /// Share of 5xx.
    Errors,
    /// Quantiles of duration.
    Duration,
}

/// The points of one time range, merged into buckets.
///
/// Rates are means (all intervals are equally long), error shares are weighted by their requests,
/// quantiles are the highest of the bucket: quantiles cannot be averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct Charts {
    from_us: i64,
    to_us: i64,
    bucket_us: i64,
    buckets: Vec<RedPoint>,
    zone_minutes: i32,
    marks: Vec<Mark>,
}

/// Merges points into buckets of a length, aligned to whole lengths so that lines do not wobble.
#[must_use]
pub fn merge(points: &[RedPoint], bucket_us: i64) -> Vec<RedPoint> {
    let mut out: Vec<RedPoint> = Vec::new();
    let mut count = 0.0;
    for point in points {
        let at_us = point.at_us.div_euclid(bucket_us) * bucket_us;
        match out.last_mut() {
            Some(last) if last.at_us == at_us => {
                count += 1.0;
                add(last, point, count);
            }
            _ => {
                count = 1.0;
                out.push(RedPoint { at_us, ..*point });
            }
        }
    }
    out
}

/// Adds the n-th point of a bucket to the bucket.
fn add(bucket: &mut RedPoint, point: &RedPoint, n: f64) {
    let before = bucket.per_second * (n - 1.0);
    let requests = before + point.per_second;
    if requests > 0.0 {
        let failed = bucket.error_share * before + point.error_share * point.per_second;
        bucket.error_share = failed / requests;
    }
    bucket.per_second = requests / n;
    let highest = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    bucket.p50_ms = highest(bucket.p50_ms, point.p50_ms);
    bucket.p95_ms = highest(bucket.p95_ms, point.p95_ms);
    bucket.p99_ms = highest(bucket.p99_ms, point.p99_ms);
}

/// A quantile of a point.
type Quantile = fn(&RedPoint) -> Option<f64>;

impl Charts {
    /// The charts of the last so many minutes.
    #[must_use]
    pub fn new(points: &[RedPoint], now_us: i64, minutes: u32, zone_minutes: i32) -> Self {
        let length = i64::from(minutes) * 60 * SECOND_US;
        let step = i64::from(RED_STEP_SECONDS) * SECOND_US;
        let bucket_us = (length / BUCKETS).max(step) / step * step;
        // The axis moves by whole buckets, so that the drawing shifts instead of trembling.
        let to_us = now_us.div_euclid(bucket_us) * bucket_us;
        let from_us = to_us - length;
        let first = points.partition_point(|point| point.at_us < from_us);
        let end = points.partition_point(|point| point.at_us < to_us);
        let buckets = merge(points.get(first..end).unwrap_or_default(), bucket_us);
        Self { from_us, to_us, bucket_us, buckets, zone_minutes, marks: Vec::new() }
    }

    /// Marks when revisions took force and faults began.
    #[must_use]
    pub fn marked(mut self, mesh: &MeshView, faults: &FaultsView) -> Self {
        let revision = |m: &RevisionMark| Mark {
            at_us: m.at_us,
            text: format!("r{}", m.number),
            fault: false,
        };
        let fault = |f: &FaultView| Mark { at_us: f.since_us, text: f.id.clone(), fault: true };
        self.marks = mesh.marks.iter().map(revision).collect();
        self.marks.extend(faults.ended.iter().rev().chain(&faults.active).map(fault));
        self
    }

    fn samples(&self, value: impl Fn(&RedPoint) -> Option<f64>) -> Vec<Sample> {
        // A bucket is drawn at its end: what is right of it has not happened yet.
        let at = |point: &RedPoint| point.at_us + self.bucket_us;
        self.buckets.iter().map(|p| Sample { at_us: at(p), value: value(p) }).collect()
    }

    fn highest(&self, value: impl Fn(&RedPoint) -> Option<f64>) -> Option<(i64, f64)> {
        let values = self.buckets.iter().filter_map(|p| Some((p.at_us, value(p)?)));
        values.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn last(&self, value: impl Fn(&RedPoint) -> Option<f64>) -> Option<f64> {
        self.buckets.iter().rev().find_map(value)
    }

    /// One chart, ready to be drawn.
    #[must_use]
    pub fn chart(&self, red: Red, width: u32, height: u32) -> TimeChart {
        let (scale, series) = match red {
            Red::Requests => self.requests(),
            Red::Errors => self.errors(),
            Red::Duration => self.durations(),
        };
        TimeChart {
            width,
            height,
            from_us: self.from_us,
            to_us: self.to_us,
            zone_minutes: self.zone_minutes,
            scale,
            series,
            gap_us: self.bucket_us * 5 / 2,
            marks: self.marks.clone(),
        }
    }

    fn requests(&self) -> (Scale, Vec<Series>) {
        let top = self.highest(|p| Some(p.per_second)).map_or(0.0, |(_, top)| top);
        let samples = self.samples(|p| Some(p.per_second));
        let series = Series { ink: Ink::Lead, samples, label: None, area: true };
        (linear_scale(top, 1.0, "/s"), vec![series])
    }

    fn errors(&self) -> (Scale, Vec<Series>) {
        let percent = |p: &RedPoint| Some(p.error_share * 100.0);
        let top = self.highest(percent).map_or(0.0, |(_, top)| top);
        let series =
            Series { ink: Ink::Error, samples: self.samples(percent), label: None, area: false };
        (linear_scale(top, 1.0, "%"), vec![series])
    }

    fn durations(&self) -> (Scale, Vec<Series>) {
        let lines: [(Ink, &'static str, Quantile); 3] = [
            (Ink::Context, "p99", |p| p.p99_ms),
            (Ink::Context, "p50", |p| p.p50_ms),
            (Ink::Lead, "p95", |p| p.p95_ms),
        ];
        let values = self.buckets.iter().flat_map(|p| [p.p50_ms, p.p99_ms]).flatten();
        let (low, high) =
            values.fold((f64::MAX, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let series = lines
            .into_iter()
            .map(|(ink, label, value)| Series {
                ink,
                samples: self.samples(value),
                label: Some(label),
                area: false,
            })
            .collect();
        (log_scale(low.min(1_000.0), high), series)
    }

    /// The current value, for the heading.
    #[must_use]
    pub fn value(&self, red: Red) -> String {
        let text = match red {
            Red::Requests => self.last(|p| Some(p.per_second)).map(format::rate),
            Red::Errors => self.last(|p| Some(p.error_share)).map(format::share),
            Red::Duration => self.last(|p| p.p95_ms).map(format::duration_ms),
        };
        text.unwrap_or_else(|| "–".into())
    }

    /// One sentence that says what the drawing shows.
    #[must_use]
    pub fn summary(&self, red: Red) -> String {
        let (name, peak) = match red {
            Red::Requests => {
                let peak = self.highest(|p| Some(p.per_second));
                ("Requests", peak.map(|(at, v)| (at, format::rate(v))))
            }
            Red::Errors => {
                let peak = self.highest(|p| Some(p.error_share));
                ("Errors", peak.map(|(at, v)| (at, format::share(v))))
            }
            Red::Duration => {
                let peak = self.highest(|p| p.p95_ms);
                ("Duration, 95th percentile", peak.map(|(at, v)| (at, format::duration_ms(v))))
            }
        };
        match peak {
            None => format!("{name}, no data yet"),
            Some((at, peak)) => {
                let at = format::clock(at, self.zone_minutes);
                format!("{name}, {} now, peak {peak} at {at}", self.value(red))
            }
        }
    }

    /// The same data as a table, newest first.
    #[must_use]
    pub fn table(&self, red: Red) -> ChartTable {
        let row_us = ((self.to_us - self.from_us) / TABLE_ROWS).max(self.bucket_us);
        let clock = |p: &RedPoint| format::clock(p.at_us, self.zone_minutes);
        let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::duration_ms);
        let rows = merge(&self.buckets, row_us).into_iter().rev().map(|p| match red {
            Red::Requests => vec![clock(&p), format::rate(p.per_second)],
            Red::Errors => vec![clock(&p), format::share(p.error_share)],
            Red::Duration => vec![clock(&p), ms(p.p50_ms), ms(p.p95_ms), ms(p.p99_ms)],
        });
        let head = match red {
            Red::Requests => vec!["From", "Requests"],
            Red::Errors => vec!["From", "5xx"],
            Red::Duration => vec!["From", "Highest p50", "Highest p95", "Highest p99"],
        };
        (head, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: i64, per_second: f64, error_share: f64, p95_ms: f64) -> RedPoint {
        RedPoint {
            at_us: second * SECOND_US,
            per_second,
            error_share,
            p50_ms: Some(p95_ms / 2.0),
            p95_ms: Some(p95_ms),
            p99_ms: Some(p95_ms * 2.0),
        }
    }

    #[test]
    fn rates_are_averaged_errors_weighted_and_quantiles_never_averaged() {
        let merged = merge(
            &[point(0, 10.0, 0.0, 20.0), point(1, 30.0, 0.1, 60.0), point(3, 1.0, 0.0, 1.0)],
            3 * SECOND_US,
        );
        assert_eq!(merged.len(), 2);
        assert!((merged[0].per_second - 20.0).abs() < 1e-9);
        assert!((merged[0].error_share - 0.075).abs() < 1e-9);
        assert_eq!(merged[0].p95_ms, Some(60.0));
    }

    #[test]
    fn an_incomplete_bucket_is_not_drawn_yet() {
        let points: Vec<_> = (0..301).map(|s| point(s, 60.0, 0.0, 48.0)).collect();
        let charts = Charts::new(&points, 301 * SECOND_US, 5, 0);
        assert_eq!(charts.buckets.len(), 100);
        assert_eq!(charts.to_us, 300 * SECOND_US);
        assert_eq!(charts.value(Red::Requests), "60.0/s");
    }

    #[test]
    fn the_summary_says_the_value_now_and_the_peak_with_its_time() {
        let mut points: Vec<_> = (0..300).map(|s| point(s, 60.0, 0.0, 48.0)).collect();
        points[151].error_share = 0.153;
        let charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
        assert_eq!(charts.summary(Red::Errors), "Errors, 0% now, peak 5.1% at 00:02:30");
        assert_eq!(
            charts.summary(Red::Duration),
            "Duration, 95th percentile, 48 ms now, peak 48 ms at 00:04:57"
        );
    }

    #[test]
    fn without_data_a_chart_says_so() {
        let charts = Charts::new(&[], 300 * SECOND_US, 5, 0);
        assert_eq!(charts.value(Red::Duration), "–");
        assert_eq!(charts.summary(Red::Requests), "Requests, no data yet");
        assert!(!charts.chart(Red::Duration, 352, 124).svg().is_empty());
    }

    #[test]
    fn the_table_holds_a_dozen_rows_newest_first() {
        let points: Vec<_> = (0..300).map(|s| point(s, 60.0, 0.0, 48.0)).collect();
        let (head, rows) = Charts::new(&points, 300 * SECOND_US, 5, 0).table(Red::Duration);
        assert_eq!((head.len(), rows.len()), (4, 12));
        assert_eq!(rows[0], ["00:04:35", "24 ms", "48 ms", "96 ms"]);
    }
}
