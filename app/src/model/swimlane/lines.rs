//! The protocol as lines: what was recorded, with repeated tries that were not answered as one.

use crate::model::fine;
use contract::{
    trace::SpanLinkView,
    transaction::{REPLAYED, TxFault, TxMessageKind as Kind, TxMessageView, UNDECIDED},
};

/// A message that was held for less is drawn as if it had not been.
const LATE_FROM_US: i64 = 20_000;

/// One line of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When; of repeated tries, the first.
    pub at_us: i64,
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
    /// Where it arrives, if a fault held it for so long that it is seen.
    pub arrives: Option<f64>,
    /// The fault that acted on it.
    pub fault: Option<TxFault>,
    /// Its span.
    pub span: Option<SpanLinkView>,
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

    /// The answer to a query when nothing was decided yet: the participant stays in doubt.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.kind == Kind::Answer && self.detail.as_deref() == Some(UNDECIDED)
    }

    /// A query of a participant that found the transaction in its log after a restart.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.kind == Kind::Query && self.detail.as_deref() == Some(REPLAYED)
    }

    /// When a message of the coordinator arrives, if a fault held it for so long that it is seen.
    /// A query was recorded when it had arrived, and its answer goes the way of it back.
    #[must_use]
    pub fn late_us(&self) -> Option<i64> {
        let delayed = self.fault.as_ref().map_or(0, |fault| fault.delayed_us);
        let sent = self.is_outgoing() && self.kind != Kind::Answer;
        let seen = sent && self.tries_refused == 0 && delayed >= LATE_FROM_US;
        seen.then_some(self.at_us + delayed)
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
            Kind::Answer if self.is_undecided() => UNDECIDED,
            Kind::Answer if aborts => "abort",
            Kind::Answer => "commit",
            Kind::End => "end",
        }
    }

    /// "no answer, 3 tries".
    #[must_use]
    pub fn refusal(&self) -> String {
        let tries = self.tries_refused;
        if tries == 1 { "no answer".into() } else { format!("no answer, {tries} tries") }
    }

    /// What a fault did to it: "F-21: delayed 2.00 s"; without a delay its id alone, as of what was
    /// held and never answered, which was not late but in vain.
    #[must_use]
    pub fn injected(&self) -> Option<String> {
        let TxFault { id, delayed_us } = self.fault.as_ref()?;
        let late = *delayed_us > 0 && self.tries_refused == 0;
        Some(match late {
            true => format!("{id}: delayed {}", fine::duration_us(*delayed_us)),
            false => id.clone(),
        })
    }

    /// The line as a sentence for the list: sender, receiver and outcome.
    #[must_use]
    pub fn sentence(&self, participants: &[String], aborts: bool) -> String {
        let lane = self.lane.and_then(|l| participants.get(l - 1)).map_or("", String::as_str);
        let word = self.word(aborts);
        let more = self.detail.as_deref().filter(|_| !self.is_undecided());
        let detail = more.map_or_else(String::new, |d| format!(", {d}"));
        let what = match self.kind {
            Kind::VoteYes | Kind::VoteNo => format!("{lane} to coordinator: votes {word}"),
            Kind::Ack => format!("{lane} to coordinator: acknowledges"),
            Kind::Query => format!("{lane} to coordinator: asks for the outcome"),
            Kind::Answer if self.is_undecided() => format!("coordinator to {lane}: {word}"),
            Kind::Answer => format!("coordinator to {lane}: the outcome is {word}"),
            Kind::Prepare | Kind::Commit | Kind::Abort => format!("coordinator to {lane}: {word}"),
            Kind::Unanswered => format!("{lane} did not answer"),
            Kind::Begin | Kind::End => format!("coordinator logs {word}"),
            Kind::DecideCommit => "coordinator logs the decision commit".into(),
            Kind::DecideAbort => "coordinator logs the decision abort".into(),
        };
        let refused =
            if self.tries_refused > 0 { format!(", {}", self.refusal()) } else { String::new() };
        let injected = self.injected().map_or_else(String::new, |i| format!(", {i}"));
        format!("{what}{detail}{refused}{injected}")
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
            kind: message.kind,
            lane,
            detail: message.detail.clone(),
            tries_refused: 0,
            x: 0.0,
            arrives: None,
            fault: message.fault.clone(),
            span: message.span.clone(),
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
    // Not every try is noted, but each that is says which it was.
    let number = unanswered.detail.as_deref().and_then(try_number);
    lines[sent].tries_refused = number.unwrap_or(lines[sent].tries_refused + 1);
    if lines[sent].detail.is_none() {
        lines[sent].detail.clone_from(&unanswered.detail);
    }
    let kind = lines[sent].kind;
    let before = lines[..sent].iter().rposition(to_lane);
    let same = |i: &usize| lines[*i].kind == kind && lines[*i].tries_refused > 0;
    if let Some(before) = before.filter(same) {
        let again = lines.remove(sent);
        lines[before].tries_refused = match number {
            Some(number) => number.max(lines[before].tries_refused),
            None => lines[before].tries_refused + again.tries_refused,
        };
        if lines[before].fault.is_none() {
            lines[before].fault = again.fault;
        }
    }
}

/// The number in "try 4: could not be reached".
fn try_number(detail: &str) -> Option<u32> {
    detail.strip_prefix("try ")?.split_once(':')?.0.parse().ok()
}
