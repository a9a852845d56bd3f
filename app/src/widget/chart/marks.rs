//! Marks of a time chart: lines where faults and revisions began, bands while faults were in force.

use super::model::{BOTTOM, TOP, TimeChart};
use std::fmt::Write as _;

/// A moment that is marked by a vertical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at_us: i64,
    /// Its name, on top: `r17`, `F-21`.
    pub text: String,
    /// A fault is dashed, a revision solid.
    pub fault: bool,
    /// When it was over: a fault with a duration is a band.
    pub until_us: Option<i64>,
}

impl Mark {
    /// The word of its class.
    const fn kind(&self) -> &'static str {
        if self.fault { "fault" } else { "revision" }
    }
}

/// Width of one letter of a mark's name.
const NAME_LETTER: i32 = 7;
/// Names of marks stand at least so far apart.
const NAME_GAP: i32 = 4;

fn name_width(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or_default() * NAME_LETTER
}

/// Baselines of names: over the drawing, and a line lower where that one is taken.
const NAMED_AT: [i32; 2] = [10, 23];

/// The name of one mark, or of several that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    middle: i32,
    y: i32,
    text: String,
    kind: &'static str,
}

impl Name {
    fn ends(&self) -> (i32, i32) {
        let half = name_width(&self.text) / 2;
        (self.middle - half, self.middle + half)
    }

    fn touches(&self, other: &Self) -> bool {
        let ((a, b), (c, d)) = (self.ends(), other.ends());
        self.y == other.y && a < d + NAME_GAP && c < b + NAME_GAP
    }
}

impl TimeChart {
    /// Bands, then vertical lines with their names; what is outside of the range is left out.
    pub(super) fn push_marks(&self, out: &mut String) {
        let bottom = self.height.saturating_sub(BOTTOM.unsigned_abs());
        self.push_bands(out, bottom);
        let shown = |m: &&Mark| (self.from_us..=self.to_us).contains(&m.at_us);
        for mark in self.marks.iter().filter(shown) {
            let (x, kind) = (self.x_of(mark.at_us), mark.kind());
            let _ = write!(
                out,
                "<path class=\"mark-{kind}\" d=\"M{x} {TOP}V{bottom}\"><title>{}</title></path>",
                mark.text
            );
        }
        for Name { middle, y, text, kind } in self.mark_names() {
            let _ = write!(
                out,
                "<text class=\"mark-{kind} anchor-middle\" x=\"{middle}\" y=\"{y}\">{text}</text>"
            );
        }
    }

    /// The names of the marks: faults over the drawing, revisions beside them or, where there is no
    /// room, below. A fault that began earlier and lasts is named at the left end, `… F-1`. Where
    /// names of one kind would touch one stands for several: `F-2 +3`.
    fn mark_names(&self) -> Vec<Name> {
        let mut names = self.names_of(true);
        for mut name in self.names_of(false) {
            if names.iter().any(|fault| fault.kind == "fault" && fault.touches(&name)) {
                name.y = NAMED_AT[1];
            }
            names.push(name);
        }
        names
    }

    fn names_of(&self, faults: bool) -> Vec<Name> {
        let lasts = |m: &Mark| m.until_us.is_some_and(|until| until > self.from_us);
        let seen = |m: &Mark| m.at_us >= self.from_us || lasts(m);
        let shown = |m: &&Mark| m.fault == faults && m.at_us <= self.to_us && seen(m);
        let mut marks: Vec<_> = self.marks.iter().filter(shown).collect();
        marks.sort_by_key(|mark| mark.at_us);
        let mut groups: Vec<(Name, Vec<&Mark>)> = Vec::new();
        for mark in marks {
            let alone = self.name_of(&[mark]);
            match groups.last_mut().filter(|(name, _)| name.touches(&alone)) {
                Some((name, group)) => {
                    group.push(mark);
                    *name = self.name_of(group);
                }
                None => groups.push((alone, vec![mark])),
            }
        }
        // A name that grew may reach what comes after it.
        groups.dedup_by(|(later, more), (name, group)| {
            let touches = name.touches(later);
            if touches {
                group.append(more);
                *name = self.name_of(group);
            }
            touches
        });
        groups.into_iter().map(|(name, _)| name).collect()
    }

    /// Over the first line, but not beyond the right end of the drawing nor over the values at its
    /// left.
    fn name_of(&self, group: &[&Mark]) -> Name {
        let first = group.first();
        let text = first.map(|mark| mark.text.as_str()).unwrap_or_default();
        let earlier = first.is_some_and(|mark| mark.at_us < self.from_us);
        let text = if earlier { format!("… {text}") } else { text.to_owned() };
        let text = match group.len() {
            ..=1 => text,
            more => format!("{text} +{}", more - 1),
        };
        let half = name_width(&text) / 2;
        let right = i32::try_from(self.width).unwrap_or(i32::MAX) - half;
        let at = first.map_or(0, |mark| self.x_of(mark.at_us.max(self.from_us)));
        let kind = first.map_or("revision", |mark| mark.kind());
        Name { middle: at.min(right).max(self.left() + half), y: NAMED_AT[0], text, kind }
    }

    /// The times faults were in force, each drawn once however many were at the same time: shades
    /// on top of each other would hide the lines.
    fn push_bands(&self, out: &mut String, bottom: u32) {
        let lasted = self.marks.iter().filter_map(|mark| Some((mark.at_us, mark.until_us?)));
        let height = bottom.saturating_sub(TOP.unsigned_abs());
        for (from_us, until_us) in union(lasted) {
            if until_us < self.from_us || from_us > self.to_us {
                continue;
            }
            let from = self.x_of(from_us.max(self.from_us));
            let width = (self.x_of(until_us.min(self.to_us)) - from).max(1);
            let _ = write!(
                out,
                "<rect class=\"mark-band\" x=\"{from}\" y=\"{TOP}\" \
                 width=\"{width}\" height=\"{height}\"/>"
            );
        }
    }
}

/// Stretches of time as few that do not overlap, by their beginning.
#[must_use]
pub fn union(stretches: impl IntoIterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = stretches.into_iter().collect();
    all.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (from, until) in all {
        match out.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(until),
            None => out.push((from, until)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::{linear_scale, tests::chart},
        *,
    };

    #[test]
    fn faults_and_revisions_are_marked_where_they_began_if_that_is_in_the_range() {
        let mark = |at_us, text: &str, fault: bool| {
            let until_us = fault.then_some(at_us + 50_000_000);
            Mark { at_us, text: text.into(), fault, until_us }
        };
        let marks = vec![
            mark(150_000_000, "r17", false),
            mark(200_000_000, "F-21", true),
            mark(900_000_000, "F-99", true),
        ];
        let values = [Some(1.0), Some(2.0)];
        let svg = TimeChart { marks, ..chart(linear_scale(2.0, 1.0, ""), &values) }.svg();
        assert!(svg.contains(">r17<") && svg.contains("mark-revision"), "{svg}");
        assert!(svg.contains(">F-21<") && svg.contains("mark-fault"), "{svg}");
        assert!(!svg.contains("F-99"), "{svg}");
        assert_eq!(svg.matches("mark-band").count(), 1, "only the fault lasted: {svg}");
    }

    #[test]
    fn faults_at_the_same_time_are_one_band() {
        let mark = |from: i64, until: i64| Mark {
            at_us: from * 1_000_000,
            text: format!("F-{from}"),
            fault: true,
            until_us: Some(until * 1_000_000),
        };
        let mut chart = chart(linear_scale(2.0, 1.0, ""), &[Some(1.0)]);
        chart.marks = vec![mark(100, 200), mark(110, 120), mark(150, 250), mark(280, 290)];
        let svg = chart.svg();
        let (bands, lines) = (svg.matches("mark-band").count(), svg.matches("<title>").count());
        assert_eq!((bands, lines), (2, 4), "{svg}");
        // What began before the range is seen in it as long as it lasted.
        chart.marks = vec![mark(-50, 20), mark(-90, -60)];
        assert_eq!(chart.svg().matches("mark-band").count(), 1);
        assert_eq!(union([(5, 9), (1, 3), (3, 4)]), [(1, 4), (5, 9)]);
    }

    #[test]
    fn a_fault_that_began_before_the_range_and_lasts_in_it_is_named_at_its_left_end() {
        let fault = |from: i64, until: Option<i64>| Mark {
            at_us: from * 1_000_000,
            text: format!("F{from}"),
            fault: true,
            until_us: until.map(|until| until * 1_000_000),
        };
        let mut chart = chart(linear_scale(4.0, 1.0, "/s"), &[Some(1.0); 300]);
        chart.marks = vec![fault(-90, Some(-60)), fault(-50, Some(200)), fault(-40, Some(9))];
        let names = chart.mark_names();
        let texts: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
        assert_eq!(texts, ["… F-50 +1"]);
        let line = chart.x_of(chart.from_us);
        assert!((names[0].ends().0..=names[0].ends().1).contains(&line), "{names:?}");
        assert!(!chart.svg().contains("class=\"mark-fault\""), "it has no line in this range");
        let values = chart.left() - 6;
        assert!(names[0].ends().0 > values, "{names:?} stands on the values that end at {values}");
    }

    #[test]
    fn names_of_marks_that_would_touch_become_one_of_each_kind_and_hide_none_of_the_other() {
        let mark = |second: i64, text: &str| Mark {
            at_us: second * 1_000_000,
            text: text.into(),
            fault: text.starts_with('F'),
            until_us: None,
        };
        let mut chart = chart(linear_scale(4.0, 1.0, "/s"), &[Some(1.0); 300]);
        chart.marks = vec![
            mark(20, "r5"),
            mark(200, "r8"),
            mark(202, "F-2"),
            mark(203, "r9"),
            mark(299, "r10"),
        ];
        let names = chart.mark_names();
        let texts: Vec<_> = names.iter().map(|name| (name.text.as_str(), name.kind)).collect();
        let revision = |text| (text, "revision");
        assert_eq!(
            texts,
            [("F-2", "fault"), revision("r5"), revision("r8 +1"), revision("r10")],
            "{names:?}"
        );
        assert_eq!([0, 1, 2, 3].map(|at| names[at].y), [10, 10, 23, 10]);
        for (at, name) in names.iter().enumerate() {
            assert!(!names[at + 1..].iter().any(|other| name.touches(other)), "{names:?}");
            assert!(name.ends().1 <= i32::try_from(chart.width).unwrap());
        }
        // Each keeps its own line, which tells its name.
        assert_eq!(chart.svg().matches("<title>").count(), 5);
    }
}
