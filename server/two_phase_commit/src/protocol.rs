//! The protocol as data and pure machines: what is logged, what state that means.

use base::TraceContext;
use serde::{Deserialize, Serialize};

/// Begins the reason of an abort for which nobody voted: silence counts as no.
pub const NO_VOTE: &str = "no vote: ";

/// One participant's share of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Service that takes part.
    pub participant: String,
    /// What it shall prepare; meaningful to it alone.
    pub work: serde_json::Value,
}

/// A transaction as it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Unique: `tx-…`.
    pub id: String,
    /// What it is for: "payment", "refund".
    pub purpose: String,
    /// What it is about: the order's id.
    pub key: String,
    /// `X-Correlation-ID` of the request that began it all.
    pub correlation_id: Option<String>,
    /// The span that began it.
    pub trace: TraceContext,
    /// At least one.
    pub branches: Vec<Branch>,
}

/// A participant's answer to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "vote", rename_all = "snake_case")]
pub enum Vote {
    /// It can and will commit, whatever happens to it.
    Yes,
    /// It undid everything already.
    No {
        /// Why, for people.
        reason: String,
    },
}

/// What an abort follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// A participant voted no.
    VotedNo,
    /// A participant was not asked, because the way to it was closed; silence counts as no.
    NotAsked,
    /// A participant did not answer in time or could not be reached; silence counts as no.
    NoAnswer,
    /// Nobody was asked: as many transactions as may be wait for a participant already.
    NoRoom,
}

/// The outcome for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Everybody voted yes.
    Commit,
    /// Somebody voted no or did not vote.
    Abort {
        /// Who, if it was one participant.
        voter: Option<String>,
        /// Why, for people.
        reason: String,
        /// What it follows from; none where no vote decided, and in logs that are older.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grounds: Option<Grounds>,
    },
}

impl Grounds {
    /// The reason of an abort in a line of its own: one that nobody voted for says so.
    #[must_use]
    pub fn tell(self, reason: &str) -> String {
        match self {
            Self::VotedNo | Self::NoRoom => reason.to_owned(),
            Self::NotAsked | Self::NoAnswer => format!("{NO_VOTE}{reason}"),
        }
    }
}

impl Decision {
    /// Why it aborts, in a line of its own; none of a commit.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Commit => None,
            Self::Abort { reason, grounds: Some(grounds), .. } => Some(grounds.tell(reason)),
            Self::Abort { reason, grounds: None, .. } => Some(reason.clone()),
        }
    }
}

/// One line of the coordinator's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// What.
    pub kind: EntryKind,
    /// The other side, if it is a message.
    pub participant: Option<String>,
    /// One line more.
    pub detail: Option<String>,
}

/// What a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The transaction began. Durable before anybody is asked.
    Begin,
    /// A participant was asked to prepare.
    Prepare,
    /// It voted yes.
    VoteYes,
    /// It voted no.
    VoteNo,
    /// The decision is commit. Durable before anybody hears it.
    DecideCommit,
    /// The decision is abort. Durable before anybody hears it.
    DecideAbort,
    /// A participant was told to commit.
    Commit,
    /// A participant was told to abort.
    Abort,
    /// It acknowledged the decision.
    Ack,
    /// A message was not answered.
    Unanswered,
    /// A participant in doubt asked for the outcome.
    Query,
    /// It was answered.
    Answer,
    /// Everybody acknowledged.
    End,
}

impl EntryKind {
    /// Whether the line is a decision.
    #[must_use]
    pub const fn decides(self) -> bool {
        matches!(self, Self::DecideCommit | Self::DecideAbort)
    }
}

/// Where a transaction is, as its log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No line yet.
    #[default]
    NotBegun,
    /// Votes are awaited.
    Preparing,
    /// Acknowledgements of commit are awaited.
    Committing,
    /// Everybody committed.
    Committed,
    /// Acknowledgements of abort are awaited.
    Aborting,
    /// Everybody aborted.
    Aborted,
}

/// The step cannot be taken in this state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step} is not possible when {state}")]
pub struct IllegalStep {
    /// The state, for people.
    pub state: String,
    /// The step, for people.
    pub step: String,
}

impl Phase {
    /// The phase after a log line. Messages and answers do not move it, decisions do.
    ///
    /// # Errors
    /// When the line cannot stand here: a second decision, an end without a decision.
    pub fn next(self, kind: EntryKind) -> Result<Self, IllegalStep> {
        use EntryKind as K;
        Ok(match (self, kind) {
            (Self::NotBegun, K::Begin) => Self::Preparing,
            (Self::Preparing, K::DecideCommit) => Self::Committing,
            (Self::Preparing, K::DecideAbort) => Self::Aborting,
            (Self::Committing, K::End) => Self::Committed,
            (Self::Aborting, K::End) => Self::Aborted,
            (Self::Preparing, K::Prepare | K::VoteYes | K::VoteNo | K::Unanswered)
            | (Self::Committing, K::Commit | K::Ack | K::Unanswered)
            | (Self::Aborting, K::Abort | K::Ack | K::Unanswered) => self,
            // Aborted from outside while votes are awaited: what is on its way still arrives.
            (Self::Aborting, K::Prepare | K::VoteYes | K::VoteNo) => self,
            // A participant may ask at any time after it was asked to prepare.
            (phase, K::Query | K::Answer) if phase != Self::NotBegun => phase,
            (phase, kind) => {
                return Err(IllegalStep { state: format!("{phase:?}"), step: format!("{kind:?}") });
            }
        })
    }

    /// The phase a whole log tells.
    ///
    /// # Errors
    /// When a line cannot stand where it does.
    pub fn replay(log: &[Entry]) -> Result<Self, IllegalStep> {
        log.iter().try_fold(Self::default(), |phase, entry| phase.next(entry.kind))
    }
}

/// Where a participant is with one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParticipantState {
    /// Never heard of it.
    #[default]
    Unknown,
    /// Voted yes; holds its locks.
    Prepared,
    /// Applied.
    Committed,
    /// Undone, or voted no.
    Aborted,
}

/// What a participant is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantEvent {
    /// Prepare, and it can.
    PrepareYes,
    /// Prepare, and it cannot.
    PrepareNo,
    /// The decision is commit.
    Commit,
    /// The decision is abort.
    Abort,
}

impl ParticipantState {
    /// The state after `event`. Repeating a message changes nothing.
    ///
    /// # Errors
    /// When the event contradicts what was promised: commit without a yes, abort after commit.
    pub fn next(self, event: ParticipantEvent) -> Result<Self, IllegalStep> {
        use ParticipantEvent as E;
        Ok(match (self, event) {
            (Self::Unknown, E::PrepareYes) => Self::Prepared,
            // Presumed abort: the prepare that may still come will find it aborted and vote no.
            (Self::Unknown, E::PrepareNo | E::Abort) => Self::Aborted,
            (Self::Prepared, E::Commit) => Self::Committed,
            (Self::Prepared, E::Abort) => Self::Aborted,
            (Self::Prepared | Self::Committed | Self::Aborted, E::PrepareYes | E::PrepareNo)
            | (Self::Committed, E::Commit)
            | (Self::Aborted, E::Abort) => self,
            (state, event) => {
                return Err(IllegalStep {
                    state: format!("{state:?}"),
                    step: format!("{event:?}"),
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_keeps_its_promise_in_every_state() {
        use ParticipantEvent::{Abort, Commit, PrepareNo, PrepareYes};
        use ParticipantState::{Aborted, Committed, Prepared, Unknown};
        let table = [
            (Unknown, PrepareYes, Some(Prepared)),
            (Unknown, PrepareNo, Some(Aborted)),
            (Unknown, Commit, None),
            (Unknown, Abort, Some(Aborted)),
            (Prepared, PrepareYes, Some(Prepared)),
            (Prepared, PrepareNo, Some(Prepared)),
            (Prepared, Commit, Some(Committed)),
            (Prepared, Abort, Some(Aborted)),
            (Committed, PrepareYes, Some(Committed)),
            (Committed, PrepareNo, Some(Committed)),
            (Committed, Commit, Some(Committed)),
            (Committed, Abort, None),
            (Aborted, PrepareYes, Some(Aborted)),
            (Aborted, PrepareNo, Some(Aborted)),
            (Aborted, Commit, None),
            (Aborted, Abort, Some(Aborted)),
        ];
        for (state, event, next) in table {
            assert_eq!(state.next(event).ok(), next, "{state:?} {event:?}");
        }
    }

    #[test]
    fn a_log_line_moves_the_phase_only_where_it_may_stand() {
        use EntryKind as K;
        use Phase as P;
        let kinds = [
            K::Begin,
            K::Prepare,
            K::VoteYes,
            K::VoteNo,
            K::DecideCommit,
            K::DecideAbort,
            K::Commit,
            K::Abort,
            K::Ack,
            K::Unanswered,
            K::Query,
            K::Answer,
            K::End,
        ];
        let legal = |phase: P, kind: K| match (phase, kind) {
            (P::NotBegun, K::Begin) => Some(P::Preparing),
            (P::NotBegun, _) => None,
            (_, K::Query | K::Answer) => Some(phase),
            (P::Preparing, K::DecideCommit) => Some(P::Committing),
            (P::Preparing, K::DecideAbort) => Some(P::Aborting),
            (P::Preparing, K::Prepare | K::VoteYes | K::VoteNo | K::Unanswered) => Some(phase),
            (P::Committing, K::Commit | K::Ack | K::Unanswered) => Some(phase),
            (P::Committing, K::End) => Some(P::Committed),
            (P::Aborting, K::Abort | K::Ack | K::Unanswered) => Some(phase),
            (P::Aborting, K::Prepare | K::VoteYes | K::VoteNo) => Some(phase),
            (P::Aborting, K::End) => Some(P::Aborted),
            _ => None,
        };
        let phases =
            [P::NotBegun, P::Preparing, P::Committing, P::Committed, P::Aborting, P::Aborted];
        for phase in phases {
            for kind in kinds {
                assert_eq!(phase.next(kind).ok(), legal(phase, kind), "{phase:?} {kind:?}");
            }
        }
    }
}
