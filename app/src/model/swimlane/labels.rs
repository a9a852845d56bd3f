//! Where everything that is written in the drawing stands: no two words run into each other, none
//! lies over an arrow that is not its own, and none leaves the drawing.
//!
//! Across, a place is a share of the width and an offset in pixels. It is found for the least width
//! at which all that has to be said fits; in a wider drawing the shares move apart and the words
//! keep their size, so what was apart stays apart.

use super::{
    Arrow, Bar, BarState, Break, Head, Kind, Logged, Mark, Note, Phase, fine,
    rooms::{Area, BAR, Ground, lane_y, text_px},
};

/// A slot has at least so many pixels: the word of a state fits into a bar of one slot.
const SLOT_PX: f64 = 56.0;
/// No drawing is narrower, pixels.
const LEAST_PX: f64 = 720.0;
/// By how much the width grows while something finds no room, and how often: to three times.
const GROWTH: f64 = 1.1;
const GROWTHS: usize = 12;
/// After so many of them a fault and a refusal are told in fewer words.
const SHORT_AFTER: usize = 3;
/// From a shaft to its word, pixels.
const BESIDE: f64 = 5.0;
/// The same where the id of a fault stands on the shaft.
const BESIDE_CHIP: f64 = 36.0;
/// Baselines of words in the space under a lane, pixels from its middle, the best first.
const ROWS: [f64; 5] = [34.0, 28.0, 40.0, 23.0, 46.0];

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It has its middle there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    /// The word of SVG.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// What a label belongs to, by its index in the drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The moment over a slot.
    Head(usize),
    /// The time that a break skips.
    Break(usize),
    /// A phase.
    Phase(usize),
    /// What the coordinator logged.
    Logged(usize),
    /// A note at a lane.
    Note(usize),
    /// The word of an arrow.
    Word(usize),
    /// What a fault did to an arrow: a chip.
    Fault(usize),
    /// The state of a bar.
    Bar(usize),
}

/// Something that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// What it belongs to.
    pub of: Of,
    /// What is written.
    pub text: String,
    /// Its place across, in slots.
    pub x: f64,
    /// Pixels from there.
    pub dx: f64,
    /// Its baseline; of a chip or a block, the middle. Pixels from the top.
    pub y: f64,
    /// Which end stands there.
    pub anchor: Anchor,
}

impl Label {
    fn new(of: Of, text: &str, (x, dx): (f64, f64), y: f64, anchor: Anchor) -> Self {
        Self { of, text: text.to_owned(), x, dx, y, anchor }
    }

    /// Half the width of the block behind the text, if it has one.
    #[must_use]
    pub fn block(&self) -> Option<f64> {
        match self.of {
            Of::Fault(_) => Some(text_px(&self.text) / 2.0 + 6.0),
            Of::Logged(_) if self.text.starts_with("log ") => Some(34.0),
            _ => None,
        }
    }

    /// The room it takes in a drawing in which a slot has so many pixels.
    pub(super) fn room(&self, slot_px: f64) -> Area {
        let at = self.x * slot_px + self.dx;
        if let Some(half) = self.block() {
            let tall = BAR / 2.0;
            return Area {
                left: at - half,
                right: at + half,
                top: self.y - tall,
                bottom: self.y + tall,
            };
        }
        let wide = text_px(&self.text);
        let left = match self.anchor {
            Anchor::Start => at,
            Anchor::Middle => at - wide / 2.0,
            Anchor::End => at - wide,
        };
        Area { left, right: left + wide, top: self.y - 9.0, bottom: self.y + 3.0 }
    }

    /// The arrow that it may touch.
    const fn own(&self) -> Option<usize> {
        match self.of {
            Of::Word(arrow) | Of::Fault(arrow) => Some(arrow),
            _ => None,
        }
    }
}

/// What is drawn and has something written at it.
pub(super) struct Parts<'a> {
    pub(super) width: f64,
    pub(super) lanes: usize,
    pub(super) heads: &'a [Head],
    pub(super) breaks: &'a [Break],
    pub(super) phases: &'a [Phase],
    pub(super) logged: &'a [Logged],
    pub(super) notes: &'a [Note],
    pub(super) arrows: &'a [Arrow],
    pub(super) bars: &'a [Bar],
    pub(super) marks: &'a [Mark],
}

/// The labels, and the least width of the drawing in pixels.
pub(super) fn labels(parts: &Parts<'_>) -> (Vec<Label>, f64) {
    let mut least_px = (parts.width * SLOT_PX).max(LEAST_PX);
    for growth in 0..=GROWTHS {
        let mut placing = Placing::new(parts, least_px);
        placing.short = growth >= SHORT_AFTER;
        let all = placing.required();
        if all || growth == GROWTHS {
            placing.optional();
            return (placing.labels, least_px);
        }
        least_px *= GROWTH;
    }
    (Vec::new(), least_px)
}

/// Labels that have a place, one after the other.
struct Placing<'a> {
    parts: &'a Parts<'a>,
    ground: Ground,
    slot_px: f64,
    /// Long words may be cut down to what is not said by the drawing itself.
    short: bool,
    labels: Vec<Label>,
}

impl<'a> Placing<'a> {
    fn new(parts: &'a Parts<'a>, least_px: f64) -> Self {
        let slot_px = least_px / parts.width;
        let ground = Ground::new(parts, slot_px);
        Self { parts, ground, slot_px, short: false, labels: Vec::new() }
    }

    /// Takes the first of these that is free. False when none is.
    fn put(&mut self, candidates: impl IntoIterator<Item = Label>) -> bool {
        let free = |label: &Label| {
            let room = label.room(self.slot_px);
            self.ground.is_free(&room, label.own(), label.block().is_some())
                && self.labels.iter().all(|other| !other.room(self.slot_px).meets(&room))
        };
        let found = candidates.into_iter().find(free);
        let put = found.is_some();
        self.labels.extend(found);
        put
    }

    /// What has to be said, the least movable first. False when something found no room.
    fn required(&mut self) -> bool {
        let parts = self.parts;
        let mut all = true;
        for (i, logged) in parts.logged.iter().enumerate() {
            all &= self.put([of_log(i, logged)]);
        }
        for (i, phase) in parts.phases.iter().enumerate() {
            let next = parts.phases.get(i + 1).map_or(parts.width, |next| next.from);
            let slot_px = self.slot_px;
            let fits = |label: &Label| label.room(slot_px).right <= next * slot_px;
            let named =
                |text| Label::new(Of::Phase(i), text, (phase.from, 0.0), 13.0, Anchor::Start);
            let names = [phase.kind.name(), phase.kind.short()].map(named);
            all &= self.put(names.into_iter().filter(fits));
        }
        for (i, head) in parts.heads.iter().enumerate().filter(|(_, head)| head.is_needed()) {
            all &= self.put(of_head(i, head));
        }
        for (i, arrow) in parts.arrows.iter().enumerate() {
            let Some(text) = &arrow.injected else { continue };
            let texts = self.ways_to_say(text, &text.replace(": delayed ", ": "));
            let chips: Vec<Label> = texts.iter().flat_map(|t| self.of_fault(i, arrow, t)).collect();
            all &= self.put(chips);
        }
        for (i, note) in parts.notes.iter().enumerate() {
            // What the vote was, and that the lock went; the list has the rest.
            let short = note.text.split_once(": ").or_else(|| note.text.split_once(" +"));
            let texts = self.ways_to_say(&note.text, short.map_or("", |(short, _)| short));
            let notes: Vec<Label> = texts.iter().flat_map(|t| of_note(i, note, t)).collect();
            all &= self.put(notes);
        }
        for (i, arrow) in parts.arrows.iter().enumerate() {
            let Some(text) = &arrow.label else { continue };
            // The cross at its end says that there was no answer.
            let texts = self.ways_to_say(text, &text.replace("no answer, ", ""));
            let words: Vec<Label> = texts.iter().flat_map(|t| self.of_arrow(i, arrow, t)).collect();
            all &= self.put(words);
        }
        all
    }

    /// A text, and where the drawing has grown enough for it, the short one.
    fn ways_to_say(&self, text: &str, short: &str) -> Vec<String> {
        let short = Some(short).filter(|short| self.short && !short.is_empty() && *short != text);
        [text].into_iter().chain(short).map(str::to_owned).collect()
    }

    /// What is written where there is room.
    fn optional(&mut self) {
        let parts = self.parts;
        for (i, bar) in parts.bars.iter().enumerate() {
            if bar.state != BarState::Working {
                let (x, dx) = self.ground.widest(bar, self.slot_px);
                let y = lane_y(bar.lane) + 4.0;
                let inside = |label: &Label| {
                    let room = label.room(self.slot_px);
                    bar.from * self.slot_px < room.left && room.right < bar.to * self.slot_px
                };
                let written = [bar.words.as_str(), bar.state.word()]
                    .map(|text| Label::new(Of::Bar(i), text, (x, dx), y, Anchor::Middle));
                let written: Vec<Label> = written.into_iter().filter(inside).collect();
                self.put(written);
            }
        }
        for (i, head) in parts.heads.iter().enumerate().filter(|(_, head)| !head.is_needed()) {
            self.put(of_head(i, head));
        }
        for (i, gap) in parts.breaks.iter().enumerate() {
            let text = fine::duration_us(gap.skipped_us);
            self.put([Label::new(Of::Break(i), &text, (gap.x, 2.0), 38.0, Anchor::Middle)]);
        }
    }

    /// Beside the shaft, in each space that it goes through: before it where it goes down, behind
    /// it where it goes up, else the other way around.
    fn of_arrow(&self, i: usize, arrow: &Arrow, text: &str) -> Vec<Label> {
        let down = arrow.to.1 > arrow.from.1;
        let sides = if down { [Anchor::End, Anchor::Start] } else { [Anchor::Start, Anchor::End] };
        let mut found = Vec::new();
        for beside in [BESIDE, BESIDE_CHIP] {
            for anchor in sides {
                for y in rows_of(arrow) {
                    let ends = [arrow.x_at(y - 9.0), arrow.x_at(y + 3.0)];
                    let (x, dx) = match anchor {
                        Anchor::End => (ends[0].min(ends[1]), -beside),
                        _ => (ends[0].max(ends[1]), beside),
                    };
                    found.push(Label::new(Of::Word(i), text, (x, dx), y, anchor));
                }
            }
        }
        found
    }

    /// On the shaft, else beside it.
    fn of_fault(&self, i: usize, arrow: &Arrow, text: &str) -> Vec<Label> {
        let on = |y: f64, dx: f64| {
            let y = y - 4.0;
            Label::new(Of::Fault(i), text, (arrow.x_at(y), dx), y, Anchor::Middle)
        };
        let half = text_px(text) / 2.0 + 6.0 + BESIDE;
        let rows: Vec<f64> = rows_of(arrow).collect();
        [0.0, half, -half].iter().flat_map(|dx| rows.iter().map(|y| on(*y, *dx))).collect()
    }
}

/// The baselines at which an arrow may have its word, in the spaces between the lanes it joins.
fn rows_of(arrow: &Arrow) -> impl Iterator<Item = f64> + use<> {
    let (first, last) = (arrow.from.1.min(arrow.to.1), arrow.from.1.max(arrow.to.1));
    (first..last).flat_map(|lane| ROWS.map(|row| lane_y(lane) + row))
}

/// Under its lane.
fn of_note(i: usize, note: &Note, text: &str) -> Vec<Label> {
    use Anchor::{End, Middle, Start};
    let ways = match (note.error, note.ends) {
        (true, _) => [(Start, 4.0), (End, -4.0), (Middle, 0.0)],
        (_, true) => [(End, 0.0), (Middle, 0.0), (Start, 4.0)],
        _ => [(Middle, 0.0), (Start, -4.0), (End, 4.0)],
    };
    let mut found = Vec::new();
    for row in [24.0, 33.0, 42.0] {
        for (anchor, dx) in ways {
            let y = lane_y(note.lane) + row;
            found.push(Label::new(Of::Note(i), text, (note.x, dx), y, anchor));
        }
    }
    // A vote may stand a little before or behind its arrow where another one crosses.
    for (anchor, dx) in [(Start, 10.0), (End, -10.0), (Start, 18.0), (End, -18.0)] {
        let y = lane_y(note.lane) + 24.0;
        found.push(Label::new(Of::Note(i), text, (note.x, dx), y, anchor));
    }
    found
}

fn of_head(i: usize, head: &Head) -> Vec<Label> {
    let needed = head.is_needed();
    let ways = [(Anchor::Middle, 0.0), (Anchor::Start, -6.0), (Anchor::End, 6.0)];
    ways.into_iter()
        .take(if needed { ways.len() } else { 1 })
        .map(|(anchor, dx)| Label::new(Of::Head(i), &head.text, (head.x, dx), 38.0, anchor))
        .collect()
}

fn of_log(i: usize, logged: &Logged) -> Label {
    let of = Of::Logged(i);
    let (lane, at) = (lane_y(0), (logged.x, 0.0));
    match logged.kind {
        Kind::Begin => Label::new(of, "begin", (logged.x, -4.0), lane + 4.0, Anchor::Start),
        Kind::DecideCommit => Label::new(of, "log commit", at, lane, Anchor::Middle),
        Kind::DecideAbort => Label::new(of, "log abort", at, lane, Anchor::Middle),
        _ => Label::new(of, "end", at, lane + 4.0, Anchor::Middle),
    }
}

#[cfg(test)]
#[path = "labels_tests.rs"]
mod tests;
