//! The swimlane of a two-phase commit: one lane per participant, the coordinator on top.
//!
//! In order, not to scale: every message has a slot of its own, a gap over [`BREAK_OVER_US`] has a
//! zigzag. Repeated sends that were not answered are one arrow that counts its tries. Crashes and
//! restarts have slots too, and so has the late arrival of a message that a fault held. Places are
//! in slots from the left; the view divides by [`Swimlane::width`].

mod bars;
mod labels;
mod lines;
mod locks;
mod marks;
mod rooms;

use super::fine;
pub use bars::{Bar, BarState};
use contract::{
    trace::SpanLinkView,
    transaction::{TransactionView, TxEventKind, TxMessageKind as Kind, TxState},
};
pub use labels::{Anchor, Label, Of};
pub use lines::Line;
pub use locks::{Doubt, Lock};
pub use marks::Mark;
pub use rooms::{BAR, height, lane_y};

/// A longer gap between two messages is a break in time.
pub const BREAK_OVER_US: i64 = 250_000;
/// How far, in slots, a message stands from its recorded moment at the participant's end.
const REACH: f64 = 0.42;
/// Slots before the first and after the last message.
const MARGIN: f64 = 0.5;
/// Slots a break takes.
const BREAK_WIDTH: f64 = 0.6;
/// A protocol that has just begun is drawn as if it had the slots of a whole one.
const WIDTH_MIN: f64 = 11.0;
/// More slots for a message that was repeated.
const TRIES_WIDTH: f64 = 0.8;
/// More slots after a restart: what it found in its log is written there.
const RESTART_WIDTH: f64 = 1.4;

/// How an arrow is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrowTone {
    /// Prepare and yes.
    Plain,
    /// A no, or a message that was not answered (with a cross at its end).
    Error,
    /// Commit and its acknowledgement.
    Commit,
    /// Abort and its acknowledgement.
    Abort,
    /// A participant in doubt asks.
    Query,
    /// Held by a fault: dashed.
    Delayed,
}

/// A message between two lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// Index into [`Swimlane::lines`].
    pub line: usize,
    /// Where it leaves: place and lane.
    pub from: (f64, usize),
    /// Where it arrives.
    pub to: (f64, usize),
    /// Its colour.
    pub tone: ArrowTone,
    /// It was never answered.
    pub refused: bool,
    /// The word beside it; only the first of its kind has one.
    pub label: Option<String>,
    /// What a fault did to it: "F-21: delayed 2.00 s".
    pub injected: Option<String>,
}

/// What is written at a lane, under its bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Place.
    pub x: f64,
    /// Lane.
    pub lane: usize,
    /// "yes", "no: insufficient funds".
    pub text: String,
    /// It is a refusal, or a crash.
    pub error: bool,
    /// The text ends at its place, where it else has its middle.
    pub ends: bool,
}

/// Something the coordinator logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Place.
    pub x: f64,
    /// What.
    pub kind: Kind,
}

/// A moment written over its slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Place.
    pub x: f64,
    /// "+127 ms".
    pub text: String,
    /// The decision.
    pub strong: bool,
    /// A crash.
    pub error: bool,
}

impl Head {
    /// It is written whatever stands around it.
    #[must_use]
    pub const fn is_needed(&self) -> bool {
        self.strong || self.error
    }
}

/// A break in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Break {
    /// Its middle.
    pub x: f64,
    /// How long it is.
    pub skipped_us: i64,
}

/// What a stretch of the protocol is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// Prepare and vote.
    Vote,
    /// Commit.
    Commit,
    /// Abort.
    Abort,
    /// A participant in doubt learns the outcome.
    Recovery,
}

impl PhaseKind {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vote => "Phase 1: prepare and vote",
            Self::Commit => "Phase 2: commit",
            Self::Abort => "Phase 2: abort",
            Self::Recovery => "Recovery of the in-doubt participant",
        }
    }

    /// The same where there is little room.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Vote => "Phase 1",
            Self::Commit | Self::Abort => "Phase 2",
            Self::Recovery => "Recovery",
        }
    }
}

/// A stretch of the protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Which.
    pub kind: PhaseKind,
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
}

/// One line of the list that says the same as the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// "+2.156 s: bank-customer to coordinator: votes no".
    pub text: String,
    /// The span of the message.
    pub span: Option<SpanLinkView>,
    /// Its index in [`Swimlane::lines`]; none of what is no message.
    pub line: Option<usize>,
}

/// Everything that is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swimlane {
    /// Slots from the left end to the right end.
    pub width: f64,
    /// Pixels that all that has to be said needs.
    pub least_px: f64,
    /// Everything that is written, with its place.
    pub labels: Vec<Label>,
    /// Names: the participants; the coordinator is lane 0 and not in here.
    pub participants: Vec<String>,
    /// The protocol, repeated tries as one.
    pub lines: Vec<Line>,
    /// Moments.
    pub heads: Vec<Head>,
    /// Breaks.
    pub breaks: Vec<Break>,
    /// Messages.
    pub arrows: Vec<Arrow>,
    /// States of the participants.
    pub bars: Vec<Bar>,
    /// Votes.
    pub notes: Vec<Note>,
    /// Begin, decision, end.
    pub logged: Vec<Logged>,
    /// Phases.
    pub phases: Vec<Phase>,
    /// Time locked.
    pub locks: Vec<Lock>,
    /// Crashes and restarts.
    pub marks: Vec<Mark>,
    /// All of it as sentences, in order.
    pub told: Vec<Told>,
}

/// The swimlane of a transaction; offsets count from `zero_us`.
#[must_use]
pub fn swimlane(tx: &TransactionView, zero_us: i64) -> Swimlane {
    let participants: Vec<String> = tx.participants.iter().map(|p| p.service.clone()).collect();
    let mut lines = lines::lines(&tx.messages, &participants);
    let mut marks = marks::marks(tx, &participants);
    let (breaks, width) = place(&mut lines, &mut marks);
    let heads = heads(&lines, &marks, zero_us);
    let aborts = aborts(tx, &lines);
    let bars = bars::bars(&lines, &marks, participants.len(), width, aborts);
    let locks = locks::locks(tx, &lines, &marks);
    let (arrows, logged) = (arrows(&lines, aborts), logged(&lines));
    let notes = notes(&lines, &marks, &locks, &bars, zero_us);
    let phases = phases(&lines, &marks, width);
    let (labels, least_px) = labels::labels(&labels::Parts {
        width,
        lanes: participants.len(),
        heads: &heads,
        breaks: &breaks,
        phases: &phases,
        logged: &logged,
        notes: &notes,
        arrows: &arrows,
        bars: &bars,
        marks: &marks,
    });
    Swimlane {
        width,
        least_px,
        labels,
        heads,
        breaks,
        arrows,
        notes,
        bars,
        logged,
        phases,
        locks,
        told: told(&lines, &marks, &participants, aborts, zero_us),
        participants,
        marks,
        lines,
    }
}

/// What takes a slot.
#[derive(Clone, Copy)]
enum Slot {
    Line(usize),
    /// The late arrival of a line.
    Arrival(usize),
    Mark(usize),
}

/// Gives everything its slot and finds the breaks in between.
fn place(lines: &mut [Line], marks: &mut [Mark]) -> (Vec<Break>, f64) {
    // When it is drawn, how many slots it takes.
    let mut slots: Vec<(i64, f64, Slot)> = Vec::with_capacity(lines.len() + marks.len());
    for (i, line) in lines.iter().enumerate() {
        // Tries that were repeated took their time: room for what went on meanwhile.
        let wide = if line.tries_refused > 1 { 1.0 + TRIES_WIDTH } else { 1.0 };
        slots.push((line.at_us, wide, Slot::Line(i)));
        if let Some(late_us) = line.late_us() {
            slots.push((late_us, 1.0, Slot::Arrival(i)));
        }
    }
    for (i, mark) in marks.iter().enumerate() {
        let wide = if mark.kind == TxEventKind::Restart { 1.0 + RESTART_WIDTH } else { 1.0 };
        slots.push((after_what_got_out(mark, marks, lines), wide, Slot::Mark(i)));
    }
    slots.sort_by_key(|slot| slot.0);
    let mut breaks = Vec::new();
    let mut x = MARGIN;
    let mut before: Option<i64> = None;
    for (at_us, wide, slot) in slots {
        if let Some(before) = before.filter(|b| at_us - b > BREAK_OVER_US) {
            breaks.push(Break { x: x - 0.5 + BREAK_WIDTH / 2.0, skipped_us: at_us - before });
            x += BREAK_WIDTH;
        }
        match slot {
            Slot::Line(i) => lines[i].x = x,
            Slot::Arrival(i) => lines[i].arrives = Some(x),
            Slot::Mark(i) => marks[i].x = x,
        }
        x += wide;
        // What goes on until later without being drawn again (tries that are one arrow) is no
        // reason to draw its end beside its beginning.
        before = Some(at_us);
    }
    (breaks, (x - 0.5 + MARGIN).max(WIDTH_MIN))
}

/// When a mark is drawn: who is down sends nothing, so what arrived from it before it was there
/// again had left it before.
fn after_what_got_out(mark: &Mark, marks: &[Mark], lines: &[Line]) -> i64 {
    if !mark.begins_outage() {
        return mark.at_us;
    }
    let later = marks.iter().filter(|m| m.lane == mark.lane && m.at_us > mark.at_us);
    let back_us = later.map(|m| m.at_us).min().unwrap_or(i64::MAX);
    let from_it = lines.iter().filter(|l| l.lane == Some(mark.lane) && !l.is_outgoing());
    let meanwhile = from_it.map(|l| l.at_us).filter(|at| (mark.at_us..back_us).contains(at));
    meanwhile.max().unwrap_or(mark.at_us)
}

fn aborts(tx: &TransactionView, lines: &[Line]) -> bool {
    matches!(tx.state, TxState::Aborting | TxState::Aborted)
        || lines.iter().any(|l| l.kind == Kind::DecideAbort)
}

/// The moments, each once; a decision and a crash always.
fn heads(lines: &[Line], marks: &[Mark], zero_us: i64) -> Vec<Head> {
    let of_lines = lines.iter().map(|l| (l.x, l.at_us, l.is_decision(), false));
    let of_marks = marks.iter().map(|m| (m.x, m.at_us, false, m.begins_outage()));
    let mut heads: Vec<Head> = of_lines
        .chain(of_marks)
        .map(|(x, at_us, strong, error)| Head {
            x,
            text: fine::offset_us(at_us - zero_us),
            strong,
            error,
        })
        .collect();
    heads.sort_by(|a, b| a.x.total_cmp(&b.x));
    heads.dedup_by(|next, before| next.text == before.text && !next.is_needed());
    heads
}

fn arrows(lines: &[Line], aborts: bool) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = Vec::new();
    let mut said: Vec<&'static str> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(lane) = line.lane else { continue };
        let (from, to) = if line.is_outgoing() {
            ((line.x, 0), (line.arrives.unwrap_or(line.x + REACH), lane))
        } else {
            ((line.x - REACH, lane), (line.x, 0))
        };
        let refused = line.tries_refused > 0;
        let word = line.word(aborts);
        let injected = line.injected();
        let (label, injected) = if refused {
            let by = injected.map_or_else(String::new, |injected| format!(", {injected}"));
            (Some(format!("{}{by}", line.refusal())), None)
        } else {
            let first = !said.contains(&word) && !matches!(line.kind, Kind::VoteYes | Kind::VoteNo);
            // What a fault did stands in its place.
            let first = first && line.arrives.is_none();
            (first.then(|| word.to_owned()), injected)
        };
        if label.is_some() && !refused {
            said.push(word);
        }
        arrows.push(Arrow {
            line: index,
            from,
            to,
            tone: tone(line, aborts),
            refused,
            label,
            injected,
        });
    }
    arrows
}

fn tone(line: &Line, aborts: bool) -> ArrowTone {
    let outcome = if aborts { ArrowTone::Abort } else { ArrowTone::Commit };
    match line.kind {
        _ if line.tries_refused > 0 => ArrowTone::Error,
        _ if line.arrives.is_some() => ArrowTone::Delayed,
        Kind::VoteNo => ArrowTone::Error,
        Kind::Commit => ArrowTone::Commit,
        Kind::Abort => ArrowTone::Abort,
        Kind::Answer if line.is_undecided() => ArrowTone::Query,
        Kind::Ack | Kind::Answer => outcome,
        Kind::Query => ArrowTone::Query,
        _ => ArrowTone::Plain,
    }
}

fn notes(lines: &[Line], marks: &[Mark], locks: &[Lock], bars: &[Bar], zero_us: i64) -> Vec<Note> {
    let vote = |line: &Line| {
        let lane = line.lane?;
        let (text, error) = match line.kind {
            Kind::VoteYes => ("yes".to_owned(), false),
            Kind::VoteNo => {
                let why = line.detail.as_deref().map_or_else(String::new, |d| format!(": {d}"));
                (format!("no{why}"), true)
            }
            _ => return None,
        };
        Some(Note { x: line.x - REACH, lane, text, error, ends: false })
    };
    let mark = |mark: &Mark| {
        let (text, error) = (mark.word(), mark.begins_outage());
        Note { x: mark.x, lane: mark.lane, text, error, ends: false }
    };
    let release = |lock: &Lock| {
        let at_us = lock.released_us.filter(|_| lock.doubt != Doubt::None)?;
        let bar = bars.iter().rfind(|bar| bar.lane == lock.lane)?;
        let text = format!("lock released {}", fine::offset_us(at_us - zero_us));
        Some(Note { x: bar.to, lane: lock.lane, text, error: false, ends: true })
    };
    let votes = lines.iter().filter_map(vote).chain(marks.iter().map(mark));
    votes.chain(locks.iter().filter_map(release)).collect()
}

/// All that is drawn, as sentences.
fn told(
    lines: &[Line],
    marks: &[Mark],
    participants: &[String],
    aborts: bool,
    zero_us: i64,
) -> Vec<Told> {
    let text =
        |at_us: i64, sentence: String| format!("{}: {sentence}", fine::offset_us(at_us - zero_us));
    let of_lines = lines.iter().enumerate().map(|(i, line)| {
        let text = text(line.at_us, line.sentence(participants, aborts));
        (line.x, Told { text, span: line.span.clone(), line: Some(i) })
    });
    let of_marks = marks.iter().map(|mark| {
        let text = text(mark.at_us, mark.sentence(participants));
        (mark.x, Told { text, span: None, line: None })
    });
    let mut told: Vec<(f64, Told)> = of_lines.chain(of_marks).collect();
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    told.into_iter().map(|(_, told)| told).collect()
}

fn logged(lines: &[Line]) -> Vec<Logged> {
    lines
        .iter()
        .filter(|l| l.lane.is_none() && l.kind != Kind::Unanswered)
        .map(|l| Logged { x: l.x, kind: l.kind })
        .collect()
}

fn phases(lines: &[Line], marks: &[Mark], width: f64) -> Vec<Phase> {
    let Some(first) = lines.first() else {
        return Vec::new();
    };
    let end = width - MARGIN + 0.3;
    let decision = lines.iter().find(|l| l.is_decision());
    let start = first.x - 0.3;
    let Some(decision) = decision else {
        return vec![Phase { kind: PhaseKind::Vote, from: start, to: end }];
    };
    let query = lines.iter().find(|l| l.kind == Kind::Query && l.x > decision.x);
    // Recovery begins with the restart of who asks, if it was started again.
    let recovery = query.map(|query| {
        let restart = marks.iter().rfind(|m| {
            Some(m.lane) == query.lane && !m.begins_outage() && decision.x < m.x && m.x < query.x
        });
        restart.map_or(query.x - REACH, |mark| mark.x)
    });
    let kind =
        if decision.kind == Kind::DecideAbort { PhaseKind::Abort } else { PhaseKind::Commit };
    let border = decision.x - 0.5;
    let mut phases = vec![Phase { kind: PhaseKind::Vote, from: start, to: border - 0.1 }];
    match recovery {
        Some(x) => {
            phases.push(Phase { kind, from: border, to: x - 0.2 });
            phases.push(Phase { kind: PhaseKind::Recovery, from: x - 0.1, to: end });
        }
        None => phases.push(Phase { kind, from: border, to: end }),
    }
    phases
}

#[cfg(test)]
mod tests;
