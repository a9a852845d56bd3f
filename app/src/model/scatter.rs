//! Traces as marks: logarithmic duration over time.
//!
//! Places are shares of the drawing: x from the left, y from the bottom, 0 to 1.

use super::{time_scale::round_step, tries};
use crate::widget::chart::marks::union;
use contract::{
    resilience::{FaultKind, FaultView},
    trace::{TimeWindow, TraceMark, TraceStatus},
};

/// A trace that took longer is slow.
pub const SLOW_OVER_US: i64 = 1_000_000;
/// A window is at least this wide, so that one trace does not stand alone on an axis of nothing.
const WINDOW_MIN_US: i64 = 10_000_000;

/// How a mark looks; each has its own shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Grey dot.
    Ok,
    /// Larger white dot.
    Slow,
    /// Violet diamond.
    Compensated,
    /// Red cross.
    Error,
}

/// One trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Index into the traces.
    pub row: usize,
    /// From the left.
    pub x: f64,
    /// From the bottom.
    pub y: f64,
    /// Its shape.
    pub shape: Shape,
}

/// A line of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridLine {
    /// Where, 0 to 1.
    pub at: f64,
    /// What it stands for, microseconds: a duration, or a moment.
    pub us: i64,
}

/// Everything that is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scatter {
    /// Ordinary marks first, so that those that deviate lie on top; each of them by time.
    pub marks: Vec<Mark>,
    /// Durations.
    pub durations: Vec<GridLine>,
    /// Moments.
    pub moments: Vec<GridLine>,
    /// The left end.
    pub start_us: i64,
    /// The right end, later.
    pub end_us: i64,
    /// Lower and upper end of the durations, as logarithms.
    domain: (f64, f64),
}

impl FaultMark {
    /// What is written: of several the first, and how many more: `F-4 +2`, as on the charts.
    #[must_use]
    pub fn name(&self) -> String {
        let first = self.ids.first().cloned().unwrap_or_default();
        match self.ids.len() {
            ..=1 => first,
            more => format!("{first} +{}", more - 1),
        }
    }
}

impl Scatter {
    /// Where a duration is, from the bottom; one beyond an end is at it.
    #[must_use]
    pub fn height(&self, us: i64) -> f64 {
        height(us, self.domain)
    }

    /// The same axes without what is drawn on them.
    #[must_use]
    pub fn axes(&self) -> Self {
        let Self { start_us, end_us, domain, .. } = *self;
        Self { start_us, end_us, domain, ..Self::default() }
    }

    /// The moment at a share of the width.
    #[must_use]
    pub fn moment(&self, at: f64) -> i64 {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a share")]
        let after = (at.clamp(0.0, 1.0) * (self.end_us - self.start_us) as f64) as i64;
        self.start_us + after
    }
}

/// A fault on the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultMark {
    /// Its id, or ids that begin too close to be written apart.
    pub ids: Vec<String>,
    /// Where it began; none if that was before the axis begins.
    pub began: Option<f64>,
    /// While it was in force: from, to.
    pub band: (f64, f64),
}

/// Labels closer than this share of the width would cover each other.
const LABEL_APART: f64 = 0.06;

/// The faults that were in force while the axis lasts, by their beginning.
#[must_use]
pub fn fault_marks(faults: &[&FaultView], start_us: i64, end_us: i64) -> Vec<FaultMark> {
    let span_us = (end_us - start_us).max(1);
    let mut within: Vec<&&FaultView> = faults
        .iter()
        .filter(|f| f.since_us < end_us && f.ended_us.is_none_or(|ended| ended > start_us))
        .collect();
    within.sort_by_key(|f| f.since_us);
    let mut marks: Vec<FaultMark> = Vec::new();
    for fault in within {
        let began = share(fault.since_us - start_us, span_us);
        let until = fault.ended_us.map_or(1.0, |ended| share(ended - start_us, span_us).min(1.0));
        let began = Some(began).filter(|at| *at >= 0.0);
        let band = (began.unwrap_or(0.0), until);
        match marks.last_mut().filter(|last| close(last.began, began)) {
            Some(last) => {
                last.ids.push(fault.id.clone());
                last.band.1 = last.band.1.max(until);
            }
            None => marks.push(FaultMark { ids: vec![fault.id.clone()], began, band }),
        }
    }
    marks
}

/// While faults were in force, as shares of the axis: faults at the same time are one band.
#[must_use]
pub fn fault_bands(faults: &[&FaultView], start_us: i64, end_us: i64) -> Vec<(f64, f64)> {
    let span_us = (end_us - start_us).max(1);
    let lasted = faults.iter().filter_map(|fault| {
        let (from, until) = (fault.since_us.max(start_us), fault.ended_us.unwrap_or(end_us));
        (from < end_us && until > start_us).then_some((from, until.min(end_us)))
    });
    let bands = union(lasted).into_iter();
    bands.map(|(a, b)| (share(a - start_us, span_us), share(b - start_us, span_us))).collect()
}

/// Where a moment is on the axes, as a share of the width; none before they begin.
#[must_use]
pub fn place_of(at_us: i64, axes: &Scatter) -> Option<f64> {
    let span_us = (axes.end_us - axes.start_us).max(1);
    Some(share(at_us - axes.start_us, span_us).min(1.0)).filter(|at| *at > 0.0)
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    (a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < LABEL_APART
}

/// The shape of a trace's mark.
#[must_use]
pub fn shape(row: &TraceMark) -> Shape {
    match row.status {
        TraceStatus::Error => Shape::Error,
        TraceStatus::Compensated => Shape::Compensated,
        // What failed behind a good answer is told in the list; red is for what was answered badly.
        TraceStatus::Ok | TraceStatus::Tolerated if row.duration_us > SLOW_OVER_US => Shape::Slow,
        TraceStatus::Ok | TraceStatus::Tolerated => Shape::Ok,
    }
}

/// The time that is drawn: a stretch, or the `last_us` up to `now_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Exactly this.
    pub window: Option<TimeWindow>,
    /// As far back as this, microseconds; without it as far as the traces go.
    pub last_us: Option<i64>,
    /// The right end, unless a trace is newer.
    pub now_us: i64,
}

/// Places these traces on a time axis.
#[must_use]
pub fn scatter(rows: &[TraceMark], axis: Axis) -> Scatter {
    let (Some(newest), Some(oldest)) =
        (rows.iter().map(|r| r.start_us).max(), rows.iter().map(|r| r.start_us).min())
    else {
        return Scatter::default();
    };
    let (start_us, end_us) = match axis.window {
        Some(window) => (window.from_us, window.until_us),
        None => {
            let end_us = newest.max(axis.now_us);
            let span_us = axis.last_us.unwrap_or(end_us - oldest).max(WINDOW_MIN_US);
            (end_us - span_us, end_us)
        }
    };
    let span_us = (end_us - start_us).max(1);
    let domain = domain(rows);
    let y = |us: i64| height(us, domain);
    let mut marks: Vec<Mark> = rows
        .iter()
        .enumerate()
        .filter(|(_, r)| r.start_us >= start_us)
        .map(|(row, r)| Mark {
            row,
            x: share(r.start_us - start_us, span_us),
            y: y(r.duration_us),
            shape: shape(r),
        })
        .collect();
    let deviates = |mark: &Mark| mark.shape != Shape::Ok;
    marks.sort_by(|a, b| deviates(a).cmp(&deviates(b)).then(a.x.total_cmp(&b.x)));
    let durations = duration_lines(domain.0, domain.1)
        .into_iter()
        .map(|us| GridLine { at: y(us), us })
        .collect();
    let step = round_time(span_us / 6);
    let first = start_us.div_euclid(step) * step + step;
    let moments = (0..12)
        .map(|i| first + i * step)
        .take_while(|us| *us < end_us)
        .map(|us| GridLine { at: share(us - start_us, span_us), us })
        // Not over the ends: at the left stands what the scale is.
        .filter(|line| (0.045..0.97).contains(&line.at))
        .collect();
    Scatter { marks, durations, moments, start_us, end_us, domain }
}

fn height(us: i64, (low, high): (f64, f64)) -> f64 {
    ((log(us) - low) / (high - low)).clamp(0.0, 1.0)
}

/// What is written below the traces that a delay lifted above the others.
#[derive(Clone, Debug, PartialEq)]
pub struct UpperBand {
    /// "upper band: 2 s injected by F-21".
    pub by: String,
    /// " on payments v2 → bank-customer".
    pub on: String,
    /// The delay: no trace that it hit is faster.
    pub delay_us: i64,
}

/// A trace that a delay lifted takes less than so many times the delay.
const NEAR: i64 = 2;

/// The note on the traces of the fault that delayed most calls while the axis lasts; none when what
/// took as long was for the most part not hit by a fault, or took far longer than the delay.
#[must_use]
pub fn upper_band(faults: &[&FaultView], rows: &[TraceMark], axes: &Scatter) -> Option<UpperBand> {
    let delays = faults.iter().filter_map(|fault| {
        let held = matches!(fault.kind, FaultKind::Delay | FaultKind::MessageDelay);
        let size = fault.what.split_once(" on ")?.0.trim_end_matches(" s");
        let ms = tries::parse_seconds(size.rsplit_once(' ')?.1).filter(|_| held)?;
        let delay_us = i64::try_from(ms).ok()?.checked_mul(1_000)?;
        Some((*fault, delay_us)).filter(|_| fault.injected > 0 && delay_us > 0)
    });
    let lifts = |fault: &FaultView, delay_us: i64| {
        let from_us = fault.since_us.max(axes.start_us);
        let until_us = fault.ended_us.unwrap_or(i64::MAX).min(axes.end_us);
        let above = || {
            rows.iter().filter(|row| {
                let end_us = row.start_us.saturating_add(row.duration_us);
                row.duration_us >= delay_us && row.start_us <= until_us && end_us >= from_us
            })
        };
        let near = |row: &&TraceMark| row.hit && row.duration_us < delay_us.saturating_mul(NEAR);
        above().filter(near).count() * 2 > above().count()
    };
    let lifting = delays.filter(|(fault, delay_us)| lifts(fault, *delay_us));
    let (fault, delay_us) = lifting.max_by_key(|(fault, _)| fault.injected)?;
    let delay = tries::seconds(u64::try_from(delay_us / 1_000).unwrap_or_default());
    let by = format!("upper band: {delay} injected by {}", fault.id);
    Some(UpperBand { by, on: format!(" on {}", fault.place), delay_us })
}

/// The axis, as logarithms: what the marks need and a little air.
fn domain(rows: &[TraceMark]) -> (f64, f64) {
    let durations = || rows.iter().map(|r| log(r.duration_us));
    let low = durations().fold(f64::INFINITY, f64::min);
    let high = durations().fold(f64::NEG_INFINITY, f64::max);
    let middle = f64::midpoint(low, high);
    let half = ((high - low) / 2.0).max(0.5) * 1.12;
    (middle - half, middle + half)
}

/// At most four round durations between these logarithms, spread evenly.
fn duration_lines(low: f64, high: f64) -> Vec<i64> {
    let mut round = Vec::new();
    for power in 0..10_u32 {
        for leading in [1, 2, 5] {
            let us = leading * 10_i64.pow(power);
            if (low..=high).contains(&log(us)) {
                round.push(us);
            }
        }
    }
    let skip = round.len().div_ceil(4).max(1);
    let mut lines: Vec<i64> = round.into_iter().rev().step_by(skip).collect();
    lines.reverse();
    lines
}

/// A step of time in whole seconds or minutes.
fn round_time(least_us: i64) -> i64 {
    const SECONDS: [i64; 10] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
    let step = SECONDS.into_iter().find(|s| s * 1_000_000 >= least_us);
    step.map_or_else(|| round_step(least_us), |s| s * 1_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
fn log(us: i64) -> f64 {
    (us.max(1) as f64).log10()
}

#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^52 microseconds")]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(start_us: i64, duration_us: i64, status: TraceStatus) -> TraceMark {
        let trace_id = format!("{start_us:032x}");
        TraceMark { trace_id, start_us, duration_us, status, hit: duration_us > SLOW_OVER_US }
    }

    fn axis(last_us: Option<i64>) -> Axis {
        Axis { window: None, last_us, now_us: 0 }
    }

    fn fault(id: &str, since_us: i64, ended_us: Option<i64>) -> FaultView {
        FaultView {
            id: id.into(),
            kind: contract::resilience::FaultKind::Delay,
            what: String::new(),
            from: None,
            to: String::new(),
            place: String::new(),
            since_us,
            until_us: None,
            then: String::new(),
            ended_us,
            matched: 0,
            injected: 0,
            spared: 0,
            unit: String::new(),
            trace_id: None,
            stands_for: String::new(),
            object: None,
            by: String::new(),
            again: None,
        }
    }

    #[test]
    fn faults_are_drawn_while_they_were_in_force_within_the_axis() {
        let faults = [
            fault("F-1", -50, Some(-1)),
            fault("F-2", -50, Some(250)),
            fault("F-3", 500, None),
            fault("F-4", 510, Some(600)),
            fault("F-5", 1_000, None),
        ];
        let all: Vec<&FaultView> = faults.iter().collect();
        let marks = fault_marks(&all, 0, 1_000);
        let ids: Vec<Vec<String>> = marks.iter().map(|mark| mark.ids.clone()).collect();
        assert_eq!(ids, [vec!["F-2".to_owned()], vec!["F-3".into(), "F-4".into()]]);
        assert_eq!(fault_bands(&all, 0, 1_000), [(0.0, 0.25), (0.5, 1.0)]);
        assert_eq!((marks[0].name(), marks[1].name()), ("F-2".into(), "F-3 +1".into()));
        assert_eq!((marks[0].began, marks[0].band), (None, (0.0, 0.25)));
        assert_eq!((marks[1].began, marks[1].band), (Some(0.5), (0.5, 1.0)));
    }

    #[test]
    fn the_upper_band_is_named_after_the_delay_that_lifted_its_traces() {
        let rows = [row(400, 9_000, TraceStatus::Ok), row(500, 2_004_000, TraceStatus::Ok)];
        let axes = scatter(&rows, Axis { window: None, last_us: Some(10_000_000), now_us: 600 });
        let delay = |id: &str, what: &str, injected: u64| FaultView {
            what: what.into(),
            place: "payments v2 → bank-customer".into(),
            injected,
            ..fault(id, 300, None)
        };
        let faults = [delay("F-21", "Delay 2 s on 10%", 6), delay("F-22", "Delay 0.25 s on 5%", 2)];
        let all: Vec<&FaultView> = faults.iter().collect();
        let note = upper_band(&all, &rows, &axes).unwrap();
        assert_eq!(note.by, "upper band: 2 s injected by F-21");
        assert_eq!(note.on, " on payments v2 → bank-customer");
        let (at, slow) = (axes.height(note.delay_us), axes.height(2_004_000));
        assert!(axes.height(9_000) < at && at < slow, "below the band and above the rest");
        // What else took long is not its doing.
        let slow = |us| row(450, us, TraceStatus::Ok);
        let other = [rows[1].clone(), slow(60_000_000), slow(70_000_000)];
        assert_eq!(upper_band(&all[..1], &other, &axes), None);
        let unhit = [TraceMark { hit: false, ..rows[1].clone() }];
        assert_eq!(upper_band(&all[..1], &unhit, &axes), None);
        // One that hit nothing, one that is longer than any trace, one that ended before.
        assert_eq!(upper_band(&[&delay("F-1", "Delay 2 s on 10%", 0)], &rows, &axes), None);
        assert_eq!(upper_band(&[&delay("F-1", "Delay 5 s on 10%", 3)], &rows, &axes), None);
        let over = FaultView { ended_us: Some(399), ..delay("F-1", "Delay 2 s on 10%", 3) };
        assert_eq!(upper_band(&[&over], &rows, &axes), None);
        let abort = FaultView { kind: FaultKind::Abort, ..delay("F-1", "Abort 503 on 5%", 3) };
        assert_eq!(upper_band(&[&abort], &rows, &axes), None);
    }

    #[test]
    fn the_axis_ends_now_or_is_the_window_and_tells_the_moment_of_a_place() {
        let rows = [row(100_000_000, 10, TraceStatus::Ok)];
        let now = Axis { window: None, last_us: Some(300_000_000), now_us: 150_000_000 };
        let drawn = scatter(&rows, now);
        // The range is drawn whole, however little of it there are traces of.
        assert_eq!((drawn.start_us, drawn.end_us), (-150_000_000, 150_000_000));
        assert_eq!(drawn.moment(0.5), 0);
        assert_eq!(place_of(0, &drawn), Some(0.5));
        assert_eq!(
            (place_of(-200_000_000, &drawn), place_of(i64::MAX / 2, &drawn)),
            (None, Some(1.0))
        );
        let window = Some(TimeWindow { from_us: 90_000_000, until_us: 110_000_000 });
        let drawn = scatter(&rows, Axis { window, ..now });
        assert!((drawn.marks[0].x - 0.5).abs() < 1e-9);
        assert_eq!((drawn.moment(-3.0), drawn.moment(9.0)), (90_000_000, 110_000_000));
    }

    #[test]
    fn later_is_further_right_and_slower_is_higher() {
        let rows = [
            row(0, 10_000, TraceStatus::Ok),
            row(60_000_000, 100_000, TraceStatus::Ok),
            row(120_000_000, 1_000_000, TraceStatus::Ok),
        ];
        let drawn = scatter(&rows, axis(None));
        assert!(drawn.marks.windows(2).all(|w| w[0].x < w[1].x && w[0].y < w[1].y));
        let [a, b, c] = [drawn.marks[0].y, drawn.marks[1].y, drawn.marks[2].y];
        assert!(((b - a) - (c - b)).abs() < 1e-9, "equal factors are equal distances");
    }

    #[test]
    fn what_deviates_has_its_own_shape_and_lies_on_top() {
        let rows = [
            row(0, 10_000, TraceStatus::Error),
            row(1, 10_000, TraceStatus::Ok),
            row(2, 2_000_000, TraceStatus::Ok),
            row(3, 10_000, TraceStatus::Compensated),
        ];
        let shapes: Vec<Shape> = scatter(&rows, axis(None)).marks.iter().map(|m| m.shape).collect();
        assert_eq!(shapes, [Shape::Ok, Shape::Error, Shape::Slow, Shape::Compensated]);
    }

    #[test]
    fn one_trace_or_equal_ones_or_none_do_not_divide_by_zero() {
        assert_eq!(scatter(&[], axis(None)), Scatter::default());
        let drawn = scatter(&[row(5, 0, TraceStatus::Ok)], axis(Some(300_000_000)));
        assert_eq!(drawn.marks.len(), 1);
        assert!(drawn.marks[0].x.is_finite() && (drawn.marks[0].y - 0.5).abs() < 1e-9);
    }

    #[test]
    fn there_are_at_most_four_durations_and_a_mark_for_each_trace() {
        let rows: Vec<TraceMark> =
            (0..1_500_i64).map(|i| row(i * 200_000, 50 + i * i * 40, TraceStatus::Ok)).collect();
        let drawn = scatter(&rows, axis(None));
        assert_eq!(drawn.marks.len(), 1_500);
        assert!((2..=4).contains(&drawn.durations.len()), "{:?}", drawn.durations);
        assert!(drawn.moments.len() <= 7 && drawn.moments.iter().all(|m| m.us % 1_000_000 == 0));
    }

    #[test]
    fn a_window_leaves_out_what_is_older() {
        let rows = [row(0, 10, TraceStatus::Ok), row(100_000_000, 10, TraceStatus::Ok)];
        assert_eq!(scatter(&rows, axis(Some(60_000_000))).marks.len(), 1);
    }
}
