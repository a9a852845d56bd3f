//! What a time chart shows, and its ticks, buckets and drawing. Pure; drawn with plotters.

use super::{
    backend::{ClassBackend, Ink, UNITS},
    marks::Mark,
};
use crate::model::format;
use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    prelude::*,
};
use std::fmt::Write;

/// One point of a series; nothing was measured where the value is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// The value.
    pub value: Option<f64>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// How it is drawn.
    pub ink: Ink,
    /// Oldest first.
    pub samples: Vec<Sample>,
    /// Written at its right end.
    pub label: Option<&'static str>,
    /// Filled down to zero.
    pub area: bool,
}

/// The value axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// From zero to the top; the ticks are written by hand, top first.
    Linear {
        /// Value at the top.
        top: f64,
        /// Value and text of each tick.
        ticks: Vec<(f64, String)>,
    },
    /// Logarithmic, milliseconds.
    Log {
        /// Lowest value.
        low: f64,
        /// Highest value.
        high: f64,
    },
}

/// The time axis of a drawn chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Time at the left end, microseconds since the epoch.
    pub from_us: i64,
    /// Time at the right end.
    pub to_us: i64,
    /// Left end, pixels.
    pub left: f64,
    /// Right end, pixels.
    pub right: f64,
}

impl Axis {
    /// The time at a place, within the axis.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a time within the axis")]
    #[expect(clippy::cast_precision_loss, reason = "a time range of an hour")]
    pub fn time_at(&self, x: f64) -> i64 {
        let share = ((x - self.left) / (self.right - self.left).max(1.0)).clamp(0.0, 1.0);
        self.from_us + (share * (self.to_us - self.from_us) as f64).round() as i64
    }

    /// The place of a time; none outside.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a time range of an hour")]
    pub fn x_of(&self, at_us: i64) -> Option<f64> {
        let length = (self.to_us - self.from_us).max(1) as f64;
        let share = (at_us - self.from_us) as f64 / length;
        (0.0..=1.0).contains(&share).then_some(self.left + share * (self.right - self.left))
    }
}

/// A chart to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeChart {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Left end of the time axis.
    pub from_us: i64,
    /// Right end of the time axis.
    pub to_us: i64,
    /// Minutes the zone is east of UTC.
    pub zone_minutes: i32,
    /// The value axis.
    pub scale: Scale,
    /// Context series first, the leading one last.
    pub series: Vec<Series>,
    /// Samples further apart than this are not joined.
    pub gap_us: i64,
    /// Faults and revisions.
    pub marks: Vec<Mark>,
}

/// Room for four characters; longer labels (`100/s`) take more.
const LEFT: i32 = 34;
const LEFT_LOG: i32 = 50;
/// A letter of a label, rounded up.
const LETTER: i32 = 7;
const RIGHT: i32 = 17;
const RIGHT_WITH_LABELS: i32 = 37;
pub(super) const TOP: i32 = 14;
pub(super) const BOTTOM: i32 = 26;
/// A chart lower than this is a sparkline: no axes, no labels.
const COMPACT_BELOW: u32 = 60;
/// Margin of a sparkline.
const COMPACT: i32 = 3;
/// Lines of text at the right end stand at least so far apart.
const LABEL_HEIGHT: f64 = 13.0;

/// The smallest "round" number (1, 2, 4, 5, 6, 8 times a power of ten) that is not below a value.
#[must_use]
pub fn nice_top(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let rounded = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(|step| step * power);
    rounded.into_iter().find(|top| *top >= value * 0.999_999).unwrap_or(power * 10.0)
}

/// A scale from zero with three ticks; the unit stands on the top one.
#[must_use]
pub fn linear_scale(largest: f64, at_least: f64, unit: &str) -> Scale {
    let top = nice_top((largest * 1.05).max(at_least));
    let text = |value: f64| {
        let digits = if top < 0.1 {
            3
        } else if top < 1.0 {
            2
        } else if top < 8.0 {
            1
        } else {
            0
        };
        let text = format!("{value:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').into()
        } else {
            text
        }
    };
    let ticks = vec![
        (top, format!("{}{unit}", text(top))),
        (top / 2.0, text(top / 2.0)),
        (0.0, "0".to_owned()),
    ];
    Scale::Linear { top, ticks }
}

/// A scale of shares, percent, with three ticks: at most the whole, which needs no room above it.
#[must_use]
pub fn share_scale(largest: f64) -> Scale {
    match linear_scale(largest, 1.0, "%") {
        Scale::Linear { top, .. } if top > 100.0 => {
            let ticks = [(100.0, "100%"), (50.0, "50"), (0.0, "0")];
            Scale::Linear { top: 100.0, ticks: ticks.map(|(at, text)| (at, text.into())).into() }
        }
        scale => scale,
    }
}

/// A logarithmic scale of durations that holds the given values, whole powers of ten.
#[must_use]
pub fn log_scale(smallest: f64, largest: f64) -> Scale {
    let low = 10_f64.powf(smallest.max(0.1).log10().floor()).min(10.0);
    let high = 10_f64.powf(largest.max(1.0).log10().ceil()).max(low * 100.0);
    Scale::Log { low, high }
}

/// Room of one label of the time axis, `14:34` with a gap, in pixels.
const TICK_ROOM: i32 = 38;

/// Time between two ticks of an axis over so many seconds, in seconds.
#[must_use]
pub fn tick_step(range_seconds: i64) -> i64 {
    match range_seconds {
        ..=5 => 1,
        6..=14 => 2,
        15..=44 => 5,
        45..=89 => 15,
        90..=179 => 30,
        180..=420 => 60,
        421..=539 => 120,
        540..=1_200 => 180,
        1_201..=2_699 => 300,
        _ => 900,
    }
}

/// Ticks of the time axis: whole minutes; below that in full once and then short.
#[must_use]
pub fn time_ticks(from_us: i64, to_us: i64, zone_minutes: i32) -> Vec<(i64, String)> {
    ticks_within(from_us, to_us, zone_minutes, i32::MAX)
}

/// The same on so many pixels: every second one, every fourth where all would collide. Those that
/// stay are of whole steps, so that they do not change places while time goes on.
fn ticks_within(from_us: i64, to_us: i64, zone_minutes: i32, width: i32) -> Vec<(i64, String)> {
    let length = to_us - from_us;
    let mut step = tick_step(length / 1_000_000) * 1_000_000;
    while step < length && length / step > i64::from((width / TICK_ROOM).max(1)) {
        step *= 2;
    }
    let first = from_us.div_euclid(step) * step + step;
    let mut ticks = Vec::new();
    let mut at = first;
    while at <= to_us {
        let text = if step >= 60_000_000 {
            format::clock_minute(at, zone_minutes)
        } else if ticks.is_empty() {
            format::clock(at, zone_minutes)
        } else {
            format!(":{:02}", at.div_euclid(1_000_000).rem_euclid(60))
        };
        ticks.push((at, text));
        at += step;
    }
    ticks
}

/// Splits samples where nothing was measured or time is missing: lines are not drawn over gaps.
#[must_use]
pub fn segments(samples: &[Sample], gap_us: i64) -> Vec<Vec<(i64, f64)>> {
    let mut out: Vec<Vec<(i64, f64)>> = Vec::new();
    let mut last: Option<i64> = None;
    for sample in samples {
        let Some(value) = sample.value else {
            last = None;
            continue;
        };
        let joined = last.is_some_and(|last| sample.at_us - last <= gap_us);
        match out.last_mut() {
            Some(segment) if joined => segment.push((sample.at_us, value)),
            _ => out.push(vec![(sample.at_us, value)]),
        }
        last = Some(sample.at_us);
    }
    out
}

/// Moves positions down until neighbours are at least `gap` apart, then back up above `bottom`.
#[must_use]
pub fn push_apart(mut places: Vec<f64>, gap: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    for pair in order.windows(2) {
        places[pair[1]] = places[pair[1]].max(places[pair[0]] + gap);
    }
    let mut limit = bottom;
    for i in order.into_iter().rev() {
        places[i] = places[i].min(limit);
        limit = places[i] - gap;
    }
    places
}

impl TimeChart {
    fn compact(&self) -> bool {
        self.height < COMPACT_BELOW
    }

    /// Left, right, top and bottom, in pixels.
    fn margins(&self) -> [i32; 4] {
        if self.compact() { [COMPACT; 4] } else { [self.left(), self.right(), TOP, BOTTOM] }
    }

    pub(super) fn left(&self) -> i32 {
        match &self.scale {
            Scale::Log { .. } => LEFT_LOG,
            Scale::Linear { ticks, .. } => {
                let longest = ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
                LEFT + LETTER * i32::try_from(longest).unwrap_or(0).saturating_sub(4).max(0)
            }
        }
    }

    fn right(&self) -> i32 {
        let labelled = self.series.iter().any(|series| series.label.is_some());
        if labelled { RIGHT_WITH_LABELS } else { RIGHT }
    }

    /// The chart as the inside of an `<svg>`; an empty string if it cannot be drawn.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = String::new();
        let drawn = match &self.scale {
            Scale::Linear { top, .. } => self.draw(&mut out, 0.0..*top),
            Scale::Log { low, high } => self.draw(&mut out, (*low..*high).log_scale()),
        };
        if drawn.is_none() { String::new() } else { out }
    }

    fn draw<Y>(&self, out: &mut String, y: Y) -> Option<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        if self.to_us <= self.from_us || self.width < 80 || self.height < 20 {
            return None;
        }
        let mut texts = String::new();
        let root = ClassBackend::new(out, self.width, self.height).into_drawing_area();
        self.draw_on(&root, &mut texts, y)?;
        drop(root);
        out.push_str(&texts);
        Some(())
    }

    fn draw_on<Y>(
        &self,
        root: &DrawingArea<ClassBackend<'_>, Shift>,
        texts: &mut String,
        y: Y,
    ) -> Option<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let [left, right, top, bottom] = self.margins().map(|margin| margin * UNITS);
        let mut chart = ChartBuilder::on(root)
            .margin_left(left)
            .margin_right(right)
            .margin_top(top)
            .margin_bottom(bottom)
            .build_cartesian_2d(self.from_us..self.to_us, y)
            .ok()?;
        if !self.compact() {
            let span = chart.plotting_area().strip_coord_spec().get_pixel_range().0;
            for (value, text) in self.value_ticks() {
                let (_, y) = chart.plotting_area().map_coordinate(&(self.from_us, value));
                let line = vec![(span.start, y), (span.end, y)];
                root.draw(&PathElement::new(line, Ink::Grid.color())).ok()?;
                push_text(texts, "end", self.left() - 6, f64::from(y) / 10.0 + 3.5, &text);
            }
            self.push_marks(texts);
            let width = i32::try_from(self.width).unwrap_or(i32::MAX) - self.left() - self.right();
            let ticks = ticks_within(self.from_us, self.to_us, self.zone_minutes, width);
            for (at, text) in ticks {
                push_text(texts, "middle", self.x_of(at), f64::from(self.height) - 9.0, &text);
            }
        }
        for series in &self.series {
            for segment in segments(&series.samples, self.gap_us) {
                if series.area {
                    let area = AreaSeries::new(segment.iter().copied(), 0.0, Ink::Area.color());
                    chart.draw_series(area).ok()?;
                }
                chart.draw_series(LineSeries::new(segment, series.ink.color())).ok()?;
            }
        }
        let last =
            |series: &Series| series.samples.iter().rev().find_map(|s| Some((s.at_us, s.value?)));
        // A series that ended earlier has no newest value.
        let newest = self.series.iter().filter_map(last).map(|(at_us, _)| at_us).max();
        let ends = self.series.iter().filter_map(|series| {
            let last = last(series).filter(|(at_us, _)| Some(*at_us) == newest)?;
            let place = chart.plotting_area().map_coordinate(&last);
            Some((series, place))
        });
        self.draw_ends(root, texts, &ends.collect::<Vec<_>>())
    }

    /// The dot at the newest value of each series, and the labels beside them.
    fn draw_ends(
        &self,
        root: &DrawingArea<ClassBackend<'_>, Shift>,
        texts: &mut String,
        ends: &[(&Series, (i32, i32))],
    ) -> Option<()> {
        for (series, place) in ends {
            root.draw(&Circle::new(*place, 25, series.ink.color().filled())).ok()?;
        }
        if self.compact() {
            return Some(());
        }
        let labelled: Vec<_> =
            ends.iter().filter_map(|(s, place)| Some((s.label?, *place))).collect();
        let places = labelled.iter().map(|(_, (_, y))| f64::from(*y) / 10.0).collect();
        let places = push_apart(places, LABEL_HEIGHT, f64::from(self.height) - f64::from(BOTTOM));
        for ((label, (x, _)), y) in labelled.iter().zip(places) {
            push_text(texts, "start", x / UNITS + 7, y + 3.5, label);
        }
        Some(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a position in pixels")]
    #[expect(clippy::cast_precision_loss, reason = "a time range of an hour")]
    pub(super) fn x_of(&self, at_us: i64) -> i32 {
        let share = (at_us - self.from_us) as f64 / (self.to_us - self.from_us) as f64;
        let span = f64::from(self.width) - f64::from(self.left()) - f64::from(self.right());
        (f64::from(self.left()) + share * span).round() as i32
    }

    /// Where the time axis is drawn: its ends as times and as pixels. None of a sparkline.
    #[must_use]
    pub fn axis(&self) -> Option<Axis> {
        (!self.compact()).then(|| Axis {
            from_us: self.from_us,
            to_us: self.to_us,
            left: f64::from(self.left()),
            right: f64::from(self.width) - f64::from(self.right()),
        })
    }

    /// Where a value is drawn, pixels from the top.
    #[must_use]
    pub fn y_of(&self, value: f64) -> f64 {
        let share = match &self.scale {
            Scale::Linear { top, .. } => value / top,
            Scale::Log { low, high } => (value.max(*low) / low).log10() / (high / low).log10(),
        };
        let (top, bottom) = (f64::from(TOP), f64::from(self.height) - f64::from(BOTTOM));
        bottom - share.clamp(0.0, 1.0) * (bottom - top)
    }

    fn value_ticks(&self) -> Vec<(f64, String)> {
        match &self.scale {
            Scale::Linear { ticks, .. } => ticks.clone(),
            Scale::Log { low, high } => log_ticks(*low, *high),
        }
    }
}

/// Powers of ten of milliseconds. Where both seconds and milliseconds stand on an axis each tick
/// carries its unit, otherwise the top one.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let mut values = Vec::new();
    let mut value = high;
    while value >= low * 0.999 {
        values.push(value);
        value /= 10.0;
    }
    let every = values.len().div_ceil(4).max(1);
    let values: Vec<f64> = values.into_iter().step_by(every).collect();
    let seconds = |value: &f64| *value >= 999.0;
    let mixed = values.iter().any(seconds) && !values.iter().all(seconds);
    let text = |(at, value): (usize, &f64)| {
        let (number, unit) = if seconds(value) { (value / 1_000.0, " s") } else { (*value, " ms") };
        // A power of ten by division: 0.1 is 0.09999999999999999.
        let number = (number * 1_000.0).round() / 1_000.0;
        format!("{number}{}", if mixed || at == 0 { unit } else { "" })
    };
    values.iter().enumerate().map(|tick| (*tick.1, text(tick))).collect()
}

fn push_text(out: &mut String, anchor: &str, x: i32, y: f64, text: &str) {
    let _ = write!(out, "<text class=\"anchor-{anchor}\" x=\"{x}\" y=\"{y:.1}\">{text}</text>");
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn chart(scale: Scale, values: &[Option<f64>]) -> TimeChart {
        let samples =
            (0..).zip(values).map(|(i, value)| Sample { at_us: i * 1_000_000, value: *value });
        TimeChart {
            width: 352,
            height: 124,
            from_us: 0,
            to_us: 300_000_000,
            zone_minutes: 0,
            scale,
            series: vec![Series {
                ink: Ink::Lead,
                samples: samples.collect(),
                label: Some("p95"),
                area: false,
            }],
            gap_us: 2_500_000,
            marks: Vec::new(),
        }
    }

    #[test]
    fn a_place_on_the_time_axis_is_the_time_that_is_drawn_there() {
        let axis = chart(linear_scale(1.0, 1.0, ""), &[Some(1.0)]).axis().unwrap();
        for at_us in [0, 100_000_000, 300_000_000] {
            assert_eq!(axis.time_at(axis.x_of(at_us).unwrap()), at_us);
        }
        assert_eq!((axis.time_at(-5.0), axis.time_at(9_999.0)), (0, 300_000_000));
        assert_eq!(axis.x_of(300_000_001), None);
    }

    #[test]
    fn the_longest_label_of_a_scale_fits_left_of_its_axis() {
        // A letter of the axis is at most 6.6 pixels wide, and the label ends 6 before the axis.
        let linear = [62.0, 99.0, 200.0, 900.0].map(|largest| linear_scale(largest, 1.0, "/s"));
        for scale in linear.into_iter().chain([log_scale(0.2, 100.0), share_scale(100.0)]) {
            let left = chart(scale.clone(), &[Some(1.0)]).left();
            for (_, text) in chart(scale, &[Some(1.0)]).value_ticks() {
                let width = 6.6 * text.len() as f64;
                assert!(width <= f64::from(left) - 6.0 + 1e-9, "{text} needs {width}");
            }
        }
    }

    #[test]
    fn the_top_of_a_scale_is_a_round_number_above_the_values() {
        assert_eq!([60.3, 0.0, 6.0, 8.1, 0.031].map(nice_top), [80.0, 1.0, 6.0, 10.0, 0.04]);
    }

    #[test]
    fn a_share_of_everything_is_the_top_of_its_scale() {
        let top = |largest| match share_scale(largest) {
            Scale::Linear { top, ticks } => (top, ticks[0].1.clone()),
            Scale::Log { .. } => panic!("linear"),
        };
        assert_eq!(top(100.0), (100.0, "100%".into()));
        assert_eq!(top(97.0), (100.0, "100%".into()));
        assert_eq!(top(50.0), (60.0, "60%".into()));
        assert_eq!(top(0.0), (1.0, "1%".into()));
    }

    #[test]
    fn ticks_carry_their_unit_on_top_and_where_there_are_two() {
        let Scale::Linear { ticks, .. } = linear_scale(62.0, 1.0, "/s") else { panic!("linear") };
        let texts: Vec<_> = ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["80/s", "40", "0"]);
        let texts =
            |low, high| log_ticks(low, high).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(0.1, 100.0), ["100 ms", "10", "1", "0.1"]);
        // Seconds beside milliseconds: a bare number would be of either.
        assert_eq!(texts(10.0, 1_000.0), ["1 s", "100 ms", "10 ms"]);
        assert_eq!(texts(0.1, 10_000.0), ["10 s", "100 ms", "1 ms"]);
    }

    #[test]
    fn seconds_are_written_in_full_once_and_then_short() {
        let texts =
            |from, to| time_ticks(from, to, 0).into_iter().map(|(_, t)| t).collect::<Vec<_>>();
        assert_eq!(texts(20_000_000, 80_000_000), ["00:00:30", ":45", ":00", ":15"]);
        assert_eq!(texts(20_000_000, 320_000_000), ["00:01", "00:02", "00:03", "00:04", "00:05"]);
    }

    #[test]
    fn a_stretch_of_any_length_has_three_to_nine_ticks() {
        for seconds in 3..=3_600 {
            for from in [0, 7, 59] {
                let (from, to) = (from * 1_000_000, (from + seconds) * 1_000_000);
                let ticks = time_ticks(from, to, 0).len();
                assert!((3..=9).contains(&ticks), "{ticks} in {seconds} s");
            }
        }
    }

    #[test]
    fn labels_of_the_time_axis_have_room_however_narrow_the_chart_is() {
        for width in [200, 240, 300, 352] {
            for minutes in [1, 5, 15, 60] {
                let mut narrow = chart(log_scale(1.0, 900.0), &[Some(1.0), Some(2.0)]);
                narrow.width = width;
                narrow.from_us = 17_000_000;
                narrow.to_us = 17_000_000 + minutes * 60_000_000;
                let svg = narrow.svg();
                let clock = |text: &str| text.contains(':');
                let places: Vec<i32> = svg
                    .split("<text ")
                    .filter(|text| text.split('>').nth(1).is_some_and(clock))
                    .filter_map(|text| text.split("x=\"").nth(1)?.split('"').next()?.parse().ok())
                    .collect();
                let close = places.windows(2).any(|pair| pair[1] - pair[0] < 34);
                assert!(!places.is_empty() && !close, "{places:?} at {width}, {minutes} min");
            }
        }
    }

    #[test]
    fn a_line_is_not_drawn_over_missing_values_or_missing_time() {
        let values = [Some(1.0), None, Some(2.0), Some(3.0)];
        let drawn = chart(linear_scale(3.0, 1.0, ""), &values);
        assert_eq!(segments(&drawn.series[0].samples, 2_500_000).len(), 2);
        let far = [Sample { at_us: 0, value: Some(1.0) }, Sample { at_us: 9, value: Some(1.0) }];
        assert_eq!(segments(&far, 5).len(), 2);
    }

    #[test]
    fn a_chart_is_drawn_with_classes_and_without_inline_colours() {
        let values = [Some(14.0), Some(48.0), Some(262.0)];
        for scale in [linear_scale(262.0, 1.0, "/s"), log_scale(14.0, 262.0)] {
            let svg = chart(scale, &values).svg();
            assert!(
                svg.contains("ink-lead") && svg.contains("ink-grid") && svg.contains(">p95<"),
                "{svg}"
            );
            assert!(!svg.contains("style=") && !svg.contains('#'), "{svg}");
        }
    }

    #[test]
    fn a_low_chart_is_a_sparkline_without_axes() {
        let low =
            TimeChart { height: 28, ..chart(linear_scale(1.0, 1.0, ""), &[Some(1.0), Some(0.5)]) };
        let svg = low.svg();
        assert!(
            svg.contains("ink-lead") && !svg.contains("<text") && !svg.contains("ink-grid"),
            "{svg}"
        );
    }

    #[test]
    fn a_chart_too_small_to_draw_is_empty() {
        let small = TimeChart { width: 10, ..chart(linear_scale(1.0, 1.0, ""), &[]) };
        assert_eq!(small.svg(), "");
    }

    #[test]
    fn labels_that_would_overlap_are_pushed_apart_within_the_chart() {
        assert_eq!(push_apart(vec![50.0, 52.0, 10.0], 13.0, 100.0), [50.0, 63.0, 10.0]);
        assert_eq!(push_apart(vec![96.0, 97.0], 13.0, 98.0), [85.0, 98.0]);
    }
}
