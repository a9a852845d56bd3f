//! The three RED charts: buckets of points, current values, summaries, tables. Pure.

use crate::{
    model::format,
    widget::chart::{
        ChartTable,
        backend::Ink,
        marks::Mark,
        model::{Sample, Scale, Series, TimeChart, linear_scale, log_scale, share_scale},
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

/// The heading's values are of so many seconds, as the map's are.
const HEADING_SECONDS: i64 = contract::live::MAP_WINDOW_SECONDS as i64;
/// The heading's rate is of so many seconds.
const RATE_SECONDS: i64 = 10;
/// Below so many requests a quantile says of how many it is.
const FEW_CALLS: u64 = 20;
/// Exemplars on a chart: more would hide the line.
const EXEMPLARS: i64 = 4;

/// The points of one time range, merged into buckets.
///
/// Rates are means (all intervals are equally long), error shares are weighted by their requests,
/// quantiles are of all requests of the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Charts {
    from_us: i64,
    to_us: i64,
    bucket_us: i64,
    buckets: Vec<RedPoint>,
    /// The newest minute of the range as one point.
    newest: Option<RedPoint>,
    /// Requests per second of its newest seconds: the load changes faster than a minute passes.
    rate: Option<f64>,
    zone_minutes: i32,
    marks: Vec<Mark>,
}

/// A diamond on the duration chart: the slowest request of a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Diamond {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
    /// Address of its trace.
    pub href: String,
    /// "7c1e9a4f, 2.21 s".
    pub text: String,
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
                out.push(RedPoint { at_us, ..point.clone() });
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
    bucket.durations.merge(&point.durations);
    let ms = |of: &RedPoint| of.slowest.as_ref().map_or(-1.0, |slowest| slowest.ms);
    if ms(point) > ms(bucket) {
        bucket.slowest.clone_from(&point.slowest);
    }
}

/// A quantile of a point.
type Quantile = fn(&RedPoint) -> Option<f64>;

const P50: Quantile = |p| p.durations.quantile_ms(0.5);
const P95: Quantile = |p| p.durations.quantile_ms(0.95);
const P99: Quantile = |p| p.durations.quantile_ms(0.99);

impl Charts {
    /// The charts of the last so many minutes.
    #[must_use]
    pub fn new(points: &[RedPoint], now_us: i64, minutes: u32, zone_minutes: i32) -> Self {
        let length = i64::from(minutes) * 60 * SECOND_US;
        Self::between(points, now_us - length, now_us, zone_minutes)
    }

    /// The charts of a stretch of time.
    #[must_use]
    pub fn between(points: &[RedPoint], from_us: i64, to_us: i64, zone_minutes: i32) -> Self {
        let length = (to_us - from_us).max(SECOND_US);
        let step = i64::from(RED_STEP_SECONDS) * SECOND_US;
        let bucket_us = (length / BUCKETS).max(step) / step * step;
        // The axis moves by whole buckets, so that the drawing shifts instead of trembling.
        let to_us = to_us.div_euclid(bucket_us) * bucket_us;
        let from_us = to_us - length;
        let first = points.partition_point(|point| point.at_us < from_us);
        let end = points.partition_point(|point| point.at_us < to_us);
        let shown = points.get(first..end).unwrap_or_default();
        let buckets = merge(shown, bucket_us);
        let minute = to_us - HEADING_SECONDS * SECOND_US;
        let newest = shown.partition_point(|point| point.at_us < minute);
        // One bucket that holds all of them.
        let newest = merge(shown.get(newest..).unwrap_or_default(), i64::MAX).pop();
        let rate_from = to_us - RATE_SECONDS * SECOND_US;
        let rate_from = shown.partition_point(|point| point.at_us < rate_from);
        let rate = merge(shown.get(rate_from..).unwrap_or_default(), i64::MAX).pop();
        let rate = rate.map(|point| point.per_second);
        let marks = Vec::new();
        Self { from_us, to_us, bucket_us, buckets, newest, rate, zone_minutes, marks }
    }

    /// Marks when revisions took force and faults began.
    #[must_use]
    pub fn marked(mut self, mesh: &MeshView, faults: &FaultsView) -> Self {
        let revision = |m: &RevisionMark| Mark {
            at_us: m.at_us,
            text: format!("r{}", m.number),
            fault: false,
            until_us: None,
        };
        let now_us = self.to_us;
        let fault = |f: &FaultView| Mark {
            at_us: f.since_us,
            text: f.id.clone(),
            fault: true,
            until_us: Some(f.ended_us.unwrap_or(now_us)),
        };
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

    /// Faults in force at a moment, for a sentence: " during F-24".
    fn during(&self, at_us: i64) -> String {
        let in_force = |m: &&Mark| {
            m.fault && m.at_us <= at_us + self.bucket_us && m.until_us.is_some_and(|u| u >= at_us)
        };
        let ids: Vec<_> = self.marks.iter().filter(in_force).map(|m| m.text.as_str()).collect();
        if ids.is_empty() { String::new() } else { format!(" during {}", ids.join(" and ")) }
    }

    /// The slowest requests of the range, one for each part of it, where they are drawn.
    #[must_use]
    pub fn exemplars(&self, width: u32, height: u32) -> Vec<Diamond> {
        let chart = self.chart(Red::Duration, width, height);
        let Some(axis) = chart.axis() else { return Vec::new() };
        let part = (self.to_us - self.from_us) / EXEMPLARS;
        let slowest = |at: i64| {
            let (from, to) = (self.from_us + at * part, self.from_us + (at + 1) * part);
            let here = self.buckets.iter().filter(|p| (from..to).contains(&p.at_us));
            let found = here.filter_map(|p| Some((p.at_us, p.slowest.as_ref()?)));
            let (at_us, exemplar) = found.max_by(|a, b| a.1.ms.total_cmp(&b.1.ms))?;
            let short = exemplar.trace_id.get(..8).unwrap_or_default();
            Some(Diamond {
                x: axis.x_of(at_us + self.bucket_us)?,
                y: chart.y_of(exemplar.ms),
                href: format!("/traces/{}", exemplar.trace_id),
                text: format!("{short}, {}", format::duration_ms(exemplar.ms)),
            })
        };
        (0..EXEMPLARS).filter_map(slowest).collect()
    }

    /// The values at a moment, for the crosshair.
    #[must_use]
    pub fn reading(&self, red: Red, at_us: i64) -> Option<String> {
        // A bucket is drawn at its end.
        let point = self.buckets.iter().find(|p| {
            let half = self.bucket_us / 2;
            (p.at_us + half..p.at_us + self.bucket_us + half).contains(&at_us)
        })?;
        let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::duration_ms);
        let few = of_calls(point);
        Some(match red {
            Red::Requests => format::rate(point.per_second),
            Red::Errors => share(point),
            Red::Duration => {
                format!(
                    "p50 {}, p95 {}, p99 {}{few}",
                    ms(P50(point)),
                    ms(P95(point)),
                    ms(P99(point))
                )
            }
        })
    }

    /// Said where the heading's value is pointed at: over what it is, and of how few calls.
    #[must_use]
    pub fn note(&self, red: Red) -> String {
        if red == Red::Requests {
            return window(red);
        }
        let few = self.newest.as_ref().map(of_calls).unwrap_or_default();
        format!("{}{few}", window(red))
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

    /// Red only where something failed: a line at zero is good news.
    fn errors(&self) -> (Scale, Vec<Series>) {
        let percent = |p: &RedPoint| failed_share(p).map(|share| share * 100.0);
        let top = self.highest(percent).map_or(0.0, |(_, top)| top);
        let whole = self.samples(percent);
        let failed = |at: usize| {
            let near = whole.get(at.saturating_sub(1)..=(at + 1).min(whole.len() - 1));
            let above = |sample: &Sample| sample.value.is_some_and(|value| value > 0.0);
            near.unwrap_or_default().iter().any(above)
        };
        let red = |(at, sample): (usize, &Sample)| Sample {
            value: sample.value.filter(|_| failed(at)),
            ..*sample
        };
        let red: Vec<Sample> = whole.iter().enumerate().map(red).collect();
        let line = |ink, samples| Series { ink, samples, label: None, area: false };
        let mut series = vec![line(Ink::Context, whole)];
        if red.iter().any(|sample| sample.value.is_some()) {
            series.push(line(Ink::Error, red));
        }
        (share_scale(top), series)
    }

    fn durations(&self) -> (Scale, Vec<Series>) {
        let lines: [(Ink, &'static str, Quantile); 3] =
            [(Ink::Context, "p99", P99), (Ink::Context, "p50", P50), (Ink::Lead, "p95", P95)];
        let values = self.buckets.iter().flat_map(|p| [P50(p), P99(p)]).flatten();
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
        let text = self.newest.as_ref().and_then(|newest| match red {
            Red::Requests => self.rate.map(format::rate),
            Red::Errors => Some(share(newest)),
            Red::Duration => P95(newest).map(format::duration_ms),
        });
        text.unwrap_or_else(|| "–".into())
    }

    /// Why a chart has nothing to draw, if it has not: nobody asked for anything in its time.
    #[must_use]
    pub fn nothing(&self, red: Red) -> Option<&'static str> {
        let asked = self.buckets.iter().any(|bucket| bucket.per_second > 0.0);
        match red {
            _ if asked => None,
            Red::Requests | Red::Errors => Some("No requests in this time"),
            Red::Duration => Some("No requests, so no durations"),
        }
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
                let peak = self.highest(failed_share);
                ("Errors", peak.map(|(at, v)| (at, format::share(v))))
            }
            Red::Duration => {
                let peak = self.highest(P95);
                ("Duration, 95th percentile", peak.map(|(at, v)| (at, format::duration_ms(v))))
            }
        };
        match peak {
            None => format!("{name}, no data yet"),
            Some((at, peak)) => {
                let (clock, during) = (format::clock(at, self.zone_minutes), self.during(at));
                format!("{name}, {} now, peak {peak} at {clock}{during}", self.value(red))
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
            Red::Errors => vec![clock(&p), share(&p)],
            Red::Duration => vec![clock(&p), ms(P50(&p)), ms(P95(&p)), ms(P99(&p))],
        });
        let head = match red {
            Red::Requests => vec!["From", "Requests"],
            Red::Errors => vec!["From", "5xx"],
            Red::Duration => vec!["From", "p50", "p95", "p99"],
        };
        (head, rows.collect())
    }
}

/// The share of failed requests; of none there is no share, and its line has a gap.
fn failed_share(point: &RedPoint) -> Option<f64> {
    (point.per_second > 0.0).then_some(point.error_share)
}

/// The same in words.
fn share(point: &RedPoint) -> String {
    failed_share(point).map_or_else(|| "–".to_owned(), format::share)
}

/// ", of 16 calls" where that is few.
fn of_calls(point: &RedPoint) -> String {
    let calls = point.durations.count();
    if calls >= FEW_CALLS {
        return String::new();
    }
    format!(", of {}", format::plural(calls, "call", "calls"))
}

/// Over how long the heading's value is.
#[must_use]
pub fn window(red: Red) -> String {
    let seconds = if red == Red::Requests { RATE_SECONDS } else { HEADING_SECONDS };
    format!("over {seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::live::Exemplar;

    /// A second with as many requests as its rate says, all of one duration.
    fn point(second: i64, per_second: f64, error_share: f64, ms: u64) -> RedPoint {
        RedPoint {
            at_us: second * SECOND_US,
            per_second,
            error_share,
            durations: (0..per_second as u64).map(|_| ms * 1_000).collect(),
            slowest: Some(Exemplar { trace_id: format!("{second:032x}"), ms: ms as f64 }),
        }
    }

    #[test]
    fn rates_are_averaged_errors_weighted_and_quantiles_are_of_all_requests() {
        // One slow request among forty: the median and p95 stay fast, p99 does not.
        let mut slow = point(1, 1.0, 0.0, 2_000);
        slow.durations.merge(&point(1, 29.0, 0.0, 20).durations);
        let slow = RedPoint { per_second: 30.0, error_share: 0.1, ..slow };
        let merged = merge(&[point(0, 10.0, 0.0, 20), slow, point(3, 1.0, 0.0, 1)], 3 * SECOND_US);
        assert_eq!(merged.len(), 2);
        assert!((merged[0].per_second - 20.0).abs() < 1e-9);
        assert!((merged[0].error_share - 0.075).abs() < 1e-9);
        assert_eq!(merged[0].durations.count(), 40);
        assert!(P95(&merged[0]).unwrap() < 22.0, "the highest of the seconds would be 2 s");
        assert!(P99(&merged[0]).unwrap() > 1_900.0);
        assert_eq!(merged[0].slowest.as_ref().map(|slowest| slowest.ms), Some(2_000.0));
    }

    #[test]
    fn the_heading_is_of_the_newest_minute_and_says_when_it_is_of_few_calls() {
        let mut points: Vec<_> = (0..240).map(|s| point(s, 60.0, 0.0, 900)).collect();
        points.extend((240..300).map(|s| point(s, f64::from(u8::from(s % 6 == 0)), 0.0, 48)));
        let charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
        assert_eq!(charts.note(Red::Duration), "over 60 s, of 10 calls");
        assert!(charts.value(Red::Duration).ends_with(" ms"), "{}", charts.value(Red::Duration));
        let busy = Charts::new(&points, 240 * SECOND_US, 5, 0);
        assert_eq!(
            (busy.note(Red::Errors).as_str(), busy.value(Red::Requests).as_str()),
            ("over 60 s", "60.0/s")
        );
    }

    #[test]
    fn the_heading_of_requests_follows_a_load_that_has_just_changed() {
        let points: Vec<_> =
            (0..300).map(|s| point(s, if s < 285 { 2.0 } else { 32.0 }, 0.0, 48)).collect();
        let charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
        assert_eq!(charts.value(Red::Requests), "32.0/s");
        assert_eq!(charts.note(Red::Requests), "over 10 s");
    }

    #[test]
    fn errors_are_red_only_where_something_failed() {
        let drawn = |failing: std::ops::Range<i64>| {
            let share = |s| if failing.contains(&s) { 0.5 } else { 0.0 };
            let points: Vec<_> = (0..300).map(|s| point(s, 10.0, share(s), 48)).collect();
            let charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
            charts.chart(Red::Errors, 352, 124).svg()
        };
        let calm = drawn(0..0);
        assert!(calm.contains("ink-context") && !calm.contains("ink-error"), "{calm}");
        let earlier = drawn(100..130);
        assert!(earlier.contains("<path class=\"ink-error\""), "{earlier}");
        assert!(!earlier.contains("ink-error ink-dot"), "the newest value is none of it");
        assert!(drawn(250..300).contains("ink-error ink-dot"));
    }

    #[test]
    fn a_minute_without_requests_is_a_gap_in_the_errors_and_not_a_share_of_nothing() {
        let rate = |s: i64| if (60..180).contains(&s) { 0.0 } else { 10.0 };
        let points: Vec<_> = (0..300).map(|s| point(s, rate(s), 0.0, 48)).collect();
        let charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
        let whole = &charts.errors().1[0];
        let silent = |sample: &&Sample| (66..174).contains(&(sample.at_us / SECOND_US));
        assert!(whole.samples.iter().filter(silent).all(|sample| sample.value.is_none()));
        assert!(whole.samples.iter().any(|sample| sample.value == Some(0.0)));
        assert_eq!(charts.reading(Red::Errors, 120 * SECOND_US).as_deref(), Some("–"));
        let quiet = Charts::new(&points, 180 * SECOND_US, 2, 0);
        assert_eq!(quiet.value(Red::Errors), "–");
    }

    #[test]
    fn a_peak_during_a_fault_names_it_and_the_slowest_requests_lead_to_their_traces() {
        let mut points: Vec<_> = (0..300).map(|s| point(s, 60.0, 0.0, 48)).collect();
        points[151] = RedPoint { error_share: 0.5, ..point(151, 60.0, 0.5, 2_210) };
        let mut charts = Charts::new(&points, 300 * SECOND_US, 5, 0);
        charts.marks.push(Mark {
            at_us: 140 * SECOND_US,
            text: "F-24".into(),
            fault: true,
            until_us: Some(160 * SECOND_US),
        });
        assert!(charts.summary(Red::Errors).ends_with(" during F-24"));
        let diamonds = charts.exemplars(352, 124);
        let slow = diamonds.iter().find(|d| d.text.ends_with("2.21 s")).unwrap();
        assert_eq!(slow.href, format!("/traces/{:032x}", 151));
        assert!(diamonds.iter().all(|other| other.y >= slow.y), "the slowest stands highest");
        let reading = charts.reading(Red::Requests, 152 * SECOND_US).unwrap();
        assert_eq!(reading, "60.0/s");
    }

    #[test]
    fn an_incomplete_bucket_is_not_drawn_yet() {
        let points: Vec<_> = (0..301).map(|s| point(s, 60.0, 0.0, 48)).collect();
        let charts = Charts::new(&points, 301 * SECOND_US, 5, 0);
        assert_eq!(charts.buckets.len(), 100);
        assert_eq!(charts.to_us, 300 * SECOND_US);
        assert_eq!(charts.value(Red::Requests), "60.0/s");
    }

    #[test]
    fn the_summary_says_the_value_now_and_the_peak_with_its_time() {
        let mut points: Vec<_> = (0..300).map(|s| point(s, 60.0, 0.0, 48)).collect();
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
        assert_eq!(charts.nothing(Red::Errors), Some("No requests in this time"));
        let silent: Vec<_> = (0..300).map(|s| point(s, 0.0, 0.0, 1)).collect();
        let charts = Charts::new(&silent, 300 * SECOND_US, 5, 0);
        assert!(charts.nothing(Red::Duration).is_some(), "zeros are no requests either");
        let charts = Charts::new(&[point(299, 1.0, 0.0, 1)], 300 * SECOND_US, 5, 0);
        assert_eq!(charts.nothing(Red::Requests), None);
        assert!(!charts.chart(Red::Duration, 352, 124).svg().is_empty());
    }

    #[test]
    fn the_table_holds_a_dozen_rows_newest_first() {
        let points: Vec<_> = (0..300).map(|s| point(s, 60.0, 0.0, 48)).collect();
        let (head, rows) = Charts::new(&points, 300 * SECOND_US, 5, 0).table(Red::Duration);
        assert_eq!((head.len(), rows.len()), (4, 12));
        assert_eq!(rows[0], ["00:04:35", "48 ms", "48 ms", "48 ms"]);
    }
}
