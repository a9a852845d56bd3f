//! The protocol as lines: what was recorded, with repeated tries that were not answered as one.

use contract::transaction::{TxMessageKind as Kind, TxMessageView};

/// One line of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When; of repeated tries, the first.
    pub at_us: i64,
    /// When the last of it was recorded.
    pub last_us: i64,
    /// What.
    pub kind: Kind,
    /// Lane of the participant, from 1; none for what the coordinator logged.
    pub lane: Option<usize>,
    /// One line more.
    pub detail: Option<String>,
    /// Sends that were not answered.
    pub tries_refused: u32,
    /// Its slot.
    pub x: f64,
}

impl Line {
    /// From the coordinator to a participant.
    #[must_use]
    pub fn is_outgoing(&self) -> bool {
        matches!(self.kind, Kind::Prepare | Kind::Commit | Kind::Abort | Kind::Answer)
    }

    /// The logged decision.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        matches!(self.kind, Kind::DecideCommit | Kind::DecideAbort)
    }

    /// The word of the protocol; the answer to a query is the outcome.
    #[must_use]
    pub fn word(&self, aborts: bool) -> &'static str {
        match self.kind {
            Kind::Begin => "begin",
            Kind::Prepare => "prepare",
            Kind::VoteYes => "yes",
            Kind::VoteNo => "no",
            Kind::DecideCommit => "log commit",
            Kind::DecideAbort => "log abort",
            Kind::Commit => "commit",
            Kind::Abort => "abort",
            Kind::Ack => "ack",
            Kind::Unanswered => "no answer",
            Kind::Query => "outcome?",
            Kind::Answer if aborts => "abort",
            Kind::Answer => "commit",
            Kind::End => "end",
        }
    }

    /// "refused, 3 tries".
    #[must_use]
    pub fn refusal(&self) -> String {
        let tries = self.tries_refused;
        if tries == 1 { "no answer".into() } else { format!("no answer, {tries} tries") }
    }

    /// The line as a sentence for the list: sender, receiver and outcome.
    #[must_use]
    pub fn sentence(&self, participants: &[String], aborts: bool) -> String {
        let lane = self.lane.and_then(|l| participants.get(l - 1)).map_or("", String::as_str);
        let word = self.word(aborts);
        let detail = self.detail.as_deref().map_or_else(String::new, |d| format!(", {d}"));
        let what = match self.kind {
            Kind::VoteYes | Kind::VoteNo => format!("{lane} to coordinator: votes {word}"),
            Kind::Ack => format!("{lane} to coordinator: acknowledges"),
            Kind::Query => format!("{lane} to coordinator: asks for the outcome"),
            Kind::Answer => format!("coordinator to {lane}: the outcome is {word}"),
            Kind::Prepare | Kind::Commit | Kind::Abort => format!("coordinator to {lane}: {word}"),
            Kind::Unanswered => format!("{lane} did not answer"),
            Kind::Begin | Kind::End => format!("coordinator logs {word}"),
            Kind::DecideCommit => "coordinator logs the decision commit".into(),
            Kind::DecideAbort => "coordinator logs the decision abort".into(),
        };
        let refused =
            if self.tries_refused > 0 { format!(", {}", self.refusal()) } else { String::new() };
        format!("{what}{detail}{refused}")
    }
}

/// The lines of these messages; participants that are not listed have no lane and are left out.
pub(super) fn lines(messages: &[TxMessageView], participants: &[String]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::with_capacity(messages.len());
    for message in messages {
        let lane = match message.participant.as_deref() {
            None => None,
            Some(name) => match participants.iter().position(|p| p == name) {
                Some(index) => Some(index + 1),
                None => continue,
            },
        };
        let line = Line {
            at_us: message.at_us,
            last_us: message.at_us,
            kind: message.kind,
            lane,
            detail: message.detail.clone(),
            tries_refused: 0,
            x: 0.0,
        };
        if line.kind == Kind::Unanswered {
            refuse(&mut lines, &line);
        } else {
            lines.push(line);
        }
    }
    lines
}

/// Marks the last send to this participant as not answered, and joins it with a try before it.
fn refuse(lines: &mut Vec<Line>, unanswered: &Line) {
    let to_lane = |l: &Line| l.lane == unanswered.lane;
    let Some(sent) = lines.iter().rposition(|l| to_lane(l) && l.is_outgoing()) else {
        return;
    };
    lines[sent].tries_refused += 1;
    lines[sent].last_us = unanswered.at_us;
    if lines[sent].detail.is_none() {
        lines[sent].detail.clone_from(&unanswered.detail);
    }
    let kind = lines[sent].kind;
    let before = lines[..sent].iter().rposition(to_lane);
    let same = |i: &usize| lines[*i].kind == kind && lines[*i].tries_refused > 0;
    if let Some(before) = before.filter(same) {
        let again = lines.remove(sent);
        lines[before].tries_refused += again.tries_refused;
        lines[before].last_us = again.last_us;
    }
}
