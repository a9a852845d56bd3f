//! The swimlane of a two-phase commit: one lane per participant, the coordinator on top.
//!
//! In order, not to scale: every message has a slot of its own, a gap over [`BREAK_OVER_US`] has a
//! zigzag. Repeated sends that were not answered are one arrow that counts its tries. Places are in
//! slots from the left; the view divides by [`Swimlane::width`].

mod bars;
mod lines;

use super::fine;
pub use bars::{Bar, BarState};
use contract::transaction::{TransactionView, TxMessageKind as Kind, TxState};
pub use lines::Line;

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
    /// It is a refusal.
    pub error: bool,
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

/// How long a participant held its locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which.
    pub service: String,
    /// From its yes to its acknowledgement; none while it still holds them.
    pub held_us: Option<i64>,
    /// From its yes until it learned the outcome by asking.
    pub in_doubt_us: Option<i64>,
}

/// Everything that is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swimlane {
    /// Slots from the left end to the right end.
    pub width: f64,
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
}

/// The swimlane of a transaction; offsets count from `zero_us`.
#[must_use]
pub fn swimlane(tx: &TransactionView, zero_us: i64) -> Swimlane {
    let participants: Vec<String> = tx.participants.iter().map(|p| p.service.clone()).collect();
    let mut lines = lines::lines(&tx.messages, &participants);
    let (breaks, width) = place(&mut lines);
    let aborts = aborts(tx, &lines);
    Swimlane {
        width,
        heads: heads(&lines, zero_us),
        breaks,
        arrows: arrows(&lines, aborts),
        bars: bars::bars(&lines, participants.len(), width, aborts),
        notes: notes(&lines),
        logged: logged(&lines),
        phases: phases(&lines, width),
        locks: locks(&lines, &participants),
        participants,
        lines,
    }
}

impl Swimlane {
    /// The widest stretch of a bar between breaks: where its word is written.
    #[must_use]
    pub fn room(&self, bar: &Bar) -> (f64, f64) {
        let half = BREAK_WIDTH / 4.0;
        let mut from = bar.from;
        let mut best = (bar.from, bar.from);
        let inside = self.breaks.iter().map(|b| b.x).filter(|x| bar.from < *x && *x < bar.to);
        for edge in inside.chain([bar.to + half]) {
            if edge - half - from > best.1 - best.0 {
                best = (from, edge - half);
            }
            from = edge + half;
        }
        best
    }
}

/// Gives every line its slot and finds the breaks between them.
fn place(lines: &mut [Line]) -> (Vec<Break>, f64) {
    let mut breaks = Vec::new();
    let mut x = MARGIN;
    let mut before: Option<i64> = None;
    for line in lines {
        if let Some(before) = before.filter(|b| line.at_us - b > BREAK_OVER_US) {
            breaks.push(Break { x: x - 0.5 + BREAK_WIDTH / 2.0, skipped_us: line.at_us - before });
            x += BREAK_WIDTH;
        }
        line.x = x;
        // Tries that were repeated took their time: room for what the participant did meanwhile.
        x += if line.tries_refused > 1 { 1.0 + TRIES_WIDTH } else { 1.0 };
        before = Some(line.last_us);
    }
    (breaks, (x - 0.5 + MARGIN).max(WIDTH_MIN))
}

fn aborts(tx: &TransactionView, lines: &[Line]) -> bool {
    matches!(tx.state, TxState::Aborting | TxState::Aborted)
        || lines.iter().any(|l| l.kind == Kind::DecideAbort)
}

fn heads(lines: &[Line], zero_us: i64) -> Vec<Head> {
    let mut heads: Vec<Head> = Vec::new();
    for line in lines {
        let text = fine::offset_us(line.at_us - zero_us);
        let strong = line.is_decision();
        if strong || heads.last().is_none_or(|h| h.text != text) {
            heads.push(Head { x: line.x, text, strong });
        }
    }
    heads
}

fn arrows(lines: &[Line], aborts: bool) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = Vec::new();
    let mut said: Vec<&'static str> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(lane) = line.lane else { continue };
        let (from, to) = if line.is_outgoing() {
            ((line.x, 0), (line.x + REACH, lane))
        } else {
            ((line.x - REACH, lane), (line.x, 0))
        };
        let outcome = if aborts { ArrowTone::Abort } else { ArrowTone::Commit };
        let tone = match line.kind {
            _ if line.tries_refused > 0 => ArrowTone::Error,
            Kind::VoteNo => ArrowTone::Error,
            Kind::Commit => ArrowTone::Commit,
            Kind::Abort => ArrowTone::Abort,
            Kind::Ack | Kind::Answer => outcome,
            Kind::Query => ArrowTone::Query,
            _ => ArrowTone::Plain,
        };
        let word = line.word(aborts);
        let label = if line.tries_refused > 0 {
            Some(line.refusal())
        } else {
            let first = !said.contains(&word) && !matches!(line.kind, Kind::VoteYes | Kind::VoteNo);
            first.then(|| word.to_owned())
        };
        said.push(word);
        arrows.push(Arrow { line: index, from, to, tone, refused: line.tries_refused > 0, label });
    }
    arrows
}

fn notes(lines: &[Line]) -> Vec<Note> {
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
        Some(Note { x: line.x - REACH, lane, text, error })
    };
    lines.iter().filter_map(vote).collect()
}

fn logged(lines: &[Line]) -> Vec<Logged> {
    lines
        .iter()
        .filter(|l| l.lane.is_none() && l.kind != Kind::Unanswered)
        .map(|l| Logged { x: l.x, kind: l.kind })
        .collect()
}

fn phases(lines: &[Line], width: f64) -> Vec<Phase> {
    let Some(first) = lines.first() else {
        return Vec::new();
    };
    let end = width - MARGIN + 0.3;
    let decision = lines.iter().find(|l| l.is_decision());
    let query = lines.iter().find(|l| l.kind == Kind::Query);
    let start = first.x - 0.3;
    let Some(decision) = decision else {
        return vec![Phase { kind: PhaseKind::Vote, from: start, to: end }];
    };
    let kind =
        if decision.kind == Kind::DecideAbort { PhaseKind::Abort } else { PhaseKind::Commit };
    let border = decision.x - 0.5;
    let mut phases = vec![Phase { kind: PhaseKind::Vote, from: start, to: border - 0.1 }];
    match query.filter(|q| q.x > decision.x) {
        Some(query) => {
            phases.push(Phase { kind, from: border, to: query.x - 0.6 });
            phases.push(Phase { kind: PhaseKind::Recovery, from: query.x - 0.5, to: end });
        }
        None => phases.push(Phase { kind, from: border, to: end }),
    }
    phases
}

fn locks(lines: &[Line], participants: &[String]) -> Vec<Lock> {
    let lock = |(index, service): (usize, &String)| {
        let of =
            |kind: Kind| lines.iter().find(move |l| l.lane == Some(index + 1) && l.kind == kind);
        let yes = of(Kind::VoteYes)?;
        let until = |kind| of(kind).map(|l| l.at_us - yes.at_us);
        Some(Lock {
            service: service.clone(),
            held_us: until(Kind::Ack),
            in_doubt_us: of(Kind::Query).and_then(|_| until(Kind::Answer)),
        })
    };
    participants.iter().enumerate().filter_map(lock).collect()
}

#[cfg(test)]
mod tests;
