//! The states of the participants as bars on their lanes.

use super::{Line, Mark, REACH};
use crate::model::fine;
use contract::transaction::{TxEventKind, TxMessageKind as Kind};

/// Slots a final state goes on after its acknowledgement.
const AFTER_ACK: f64 = 0.75;

/// State of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarState {
    /// Prepares: checks and takes its locks.
    Working,
    /// Voted yes, waits for the decision with its locks held.
    Prepared,
    /// Does not answer; its locks stay.
    Silent,
    /// Its process is killed.
    Down,
    /// Its process stands still.
    Paused,
    /// Asked for the outcome, its locks held.
    InDoubt,
    /// Applied.
    Committed,
    /// Undone, or never done.
    Aborted,
}

impl BarState {
    /// The word in the bar.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Prepared => "prepared",
            Self::Silent => "no answer",
            Self::Down => "down",
            Self::Paused => "paused",
            Self::InDoubt => "in doubt",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// One state of one participant.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Lane, from 1.
    pub lane: usize,
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
    /// Which state.
    pub state: BarState,
    /// What is written in it where there is room for more than its word.
    pub words: String,
}

pub(super) fn bars(
    lines: &[Line],
    marks: &[Mark],
    participants: usize,
    width: f64,
    aborts: bool,
) -> Vec<Bar> {
    (1..=participants)
        .flat_map(|lane| {
            let lines = lines.iter().filter(|l| l.lane == Some(lane)).map(Step::Line);
            let marks = marks.iter().filter(|m| m.lane == lane).map(Step::Mark);
            let mut steps: Vec<Step<'_>> = lines.chain(marks).collect();
            steps.sort_by(|a, b| a.place().total_cmp(&b.place()));
            let mut walk = Walk::new(lane, aborts);
            steps.iter().for_each(|step| walk.step(step));
            walk.end(&steps, width)
        })
        .collect()
}

/// What may end one state of a participant and begin another.
enum Step<'a> {
    Line(&'a Line),
    Mark(&'a Mark),
}

impl Step<'_> {
    /// Where it is at the participant's end.
    fn place(&self) -> f64 {
        match self {
            Self::Line(line) if line.is_outgoing() => line.arrives.unwrap_or(line.x + REACH),
            Self::Line(line) => line.x - REACH,
            Self::Mark(mark) => mark.x,
        }
    }
}

/// A state that is not over.
struct Open {
    from: f64,
    at_us: i64,
    state: BarState,
    words: String,
}

/// Goes through the steps of one participant.
struct Walk {
    lane: usize,
    outcome: BarState,
    bars: Vec<Bar>,
    open: Option<Open>,
    /// Voted yes and knows no decision.
    locked: bool,
    /// Where it acknowledged.
    acked: Option<f64>,
}

impl Walk {
    const fn new(lane: usize, aborts: bool) -> Self {
        let outcome = if aborts { BarState::Aborted } else { BarState::Committed };
        Self { lane, outcome, bars: Vec::new(), open: None, locked: false, acked: None }
    }

    fn now(&self) -> Option<BarState> {
        self.open.as_ref().map(|open| open.state)
    }

    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Line(line) => self.line(line, step.place()),
            Step::Mark(mark) => self.mark(mark),
        }
    }

    fn line(&mut self, line: &Line, place: f64) {
        let away = matches!(self.now(), Some(BarState::Down | BarState::Paused));
        let next = match line.kind {
            Kind::Prepare if line.tries_refused == 0 => BarState::Working,
            Kind::VoteYes => BarState::Prepared,
            Kind::VoteNo => BarState::Aborted,
            Kind::Commit | Kind::Abort if line.tries_refused > 0 => match self.now() {
                Some(BarState::Prepared) => BarState::Silent,
                _ => return,
            },
            Kind::Answer if line.is_undecided() => return,
            Kind::Commit | Kind::Abort | Kind::Answer => self.outcome,
            Kind::Query if away => return,
            Kind::Query => BarState::InDoubt,
            Kind::Ack => {
                self.acked = Some(place + AFTER_ACK);
                return;
            }
            _ => return,
        };
        self.locked = match next {
            BarState::Prepared => true,
            BarState::Committed | BarState::Aborted => false,
            _ => self.locked,
        };
        let replayed = line.is_replayed();
        if replayed && let Some(open) = self.open.as_mut().filter(|o| o.state == next) {
            open.words = words(next, true, true);
        }
        self.enter(next, place, line.at_us, words(next, self.locked, replayed));
    }

    fn mark(&mut self, mark: &Mark) {
        let next = match mark.kind {
            TxEventKind::Crash => BarState::Down,
            TxEventKind::Pause => BarState::Paused,
            // What it had promised it finds in its log, and waits for the decision.
            TxEventKind::Restart if self.locked => BarState::InDoubt,
            TxEventKind::Resume if self.locked => BarState::Prepared,
            TxEventKind::Restart | TxEventKind::Resume => {
                if matches!(self.now(), Some(BarState::Down | BarState::Paused)) {
                    self.close(mark.x, mark.at_us);
                }
                return;
            }
        };
        self.enter(next, mark.x, mark.at_us, words(next, self.locked, false));
    }

    fn enter(&mut self, state: BarState, from: f64, at_us: i64, words: String) {
        if self.now() != Some(state) {
            self.close(from, at_us);
            self.open = Some(Open { from, at_us, state, words });
        }
    }

    fn close(&mut self, to: f64, at_us: i64) {
        let Some(Open { from, at_us: since_us, state, words }) = self.open.take() else { return };
        let words = match (state, words.strip_prefix(state.word())) {
            (BarState::Down | BarState::Paused, Some(rest)) => {
                format!("{} {}{rest}", state.word(), fine::duration_us(at_us - since_us))
            }
            _ => words,
        };
        self.bars.push(Bar { lane: self.lane, from, to, state, words });
    }

    /// The last state: a final one ends soon after its acknowledgement, another goes on.
    fn end(mut self, steps: &[Step<'_>], width: f64) -> Vec<Bar> {
        if let Some(Open { from, state, words, .. }) = self.open.take() {
            let last = steps.iter().rev().find_map(|step| match step {
                Step::Line(line) => Some(line.x + REACH),
                Step::Mark(_) => None,
            });
            let done = matches!(state, BarState::Aborted | BarState::Committed);
            let to = match self.acked {
                _ if !done => width,
                Some(acked) => acked.max(from + AFTER_ACK),
                None => last.unwrap_or(from).max(from) + AFTER_ACK,
            };
            self.bars.push(Bar { lane: self.lane, from, to: to.min(width), state, words });
        }
        self.bars
    }
}

/// What is written where there is room.
fn words(state: BarState, locked: bool, replayed: bool) -> String {
    let word = state.word();
    match state {
        BarState::Silent => format!("{word}, lock stays"),
        BarState::Down | BarState::Paused if locked => format!("{word}, lock stays"),
        BarState::InDoubt if replayed => format!("{word}, log replayed"),
        _ => word.to_owned(),
    }
}
