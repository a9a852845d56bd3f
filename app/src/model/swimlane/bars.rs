//! The states of the participants as bars on their lanes.

use super::{Line, REACH};
use contract::transaction::TxMessageKind as Kind;

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
}

pub(super) fn bars(lines: &[Line], participants: usize, width: f64, aborts: bool) -> Vec<Bar> {
    (1..=participants)
        .flat_map(|lane| {
            let own: Vec<&Line> = lines.iter().filter(|l| l.lane == Some(lane)).collect();
            of_lane(lane, &own, width, aborts)
        })
        .collect()
}

/// Walks the messages of one participant; each may end the state before it and begin another.
fn of_lane(lane: usize, lines: &[&Line], width: f64, aborts: bool) -> Vec<Bar> {
    let outcome = if aborts { BarState::Aborted } else { BarState::Committed };
    let mut bars: Vec<Bar> = Vec::new();
    let mut open: Option<(f64, BarState)> = None;
    let mut end = None;
    for line in lines {
        let place = if line.is_outgoing() { line.x + REACH } else { line.x - REACH };
        let now = open.map(|o| o.1);
        let next = match line.kind {
            Kind::Prepare if line.tries_refused == 0 => BarState::Working,
            Kind::VoteYes => BarState::Prepared,
            Kind::VoteNo => BarState::Aborted,
            Kind::Commit | Kind::Abort if line.tries_refused > 0 => match now {
                Some(BarState::Prepared) => BarState::Silent,
                _ => continue,
            },
            Kind::Commit | Kind::Abort | Kind::Answer => outcome,
            Kind::Query => BarState::InDoubt,
            Kind::Ack => {
                end = Some(place + AFTER_ACK);
                continue;
            }
            _ => continue,
        };
        if now == Some(next) {
            continue;
        }
        if let Some((from, state)) = open.replace((place, next)) {
            bars.push(Bar { lane, from, to: place, state });
        }
    }
    if let Some((from, state)) = open {
        let last = lines.last().map_or(from, |l| l.x + REACH);
        let done = matches!(state, BarState::Aborted | BarState::Committed);
        let to = match end {
            _ if !done => width,
            Some(end) => end.max(from + AFTER_ACK),
            None => last.max(from) + AFTER_ACK,
        };
        bars.push(Bar { lane, from, to: to.min(width), state });
    }
    bars
}
