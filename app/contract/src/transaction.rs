//! A two-phase commit as pages see it: participants, and the messages between them in order.

use serde::{Deserialize, Serialize};

/// State of the coordinator or of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TxState {
    /// Begun; votes are awaited.
    Preparing,
    /// Participant only: voted yes, holds its locks, waits for the decision.
    Prepared,
    /// Decision commit is logged; acknowledgements are awaited.
    Committing,
    /// Everybody acknowledged commit (coordinator), or applied (participant).
    Committed,
    /// Decision abort is logged; acknowledgements are awaited.
    Aborting,
    /// Everybody acknowledged abort, or undone.
    Aborted,
}

/// What a line of the protocol is. The order of the variants is the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxMessageKind {
    /// Coordinator logs begin.
    Begin,
    /// Coordinator asks a participant to prepare.
    Prepare,
    /// Participant votes yes.
    VoteYes,
    /// Participant votes no; `detail` says why.
    VoteNo,
    /// Coordinator logs the decision commit.
    DecideCommit,
    /// Coordinator logs the decision abort; `detail` says why.
    DecideAbort,
    /// Coordinator tells commit.
    Commit,
    /// Coordinator tells abort.
    Abort,
    /// Participant acknowledges the decision.
    Ack,
    /// A message was not answered (timeout, refused, breaker open); it will be repeated.
    Unanswered,
    /// A participant in doubt asks for the outcome.
    Query,
    /// The coordinator answers the query.
    Answer,
    /// Coordinator logs the end.
    End,
}

/// One line of the protocol, as the coordinator recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxMessageView {
    /// When.
    pub at_us: i64,
    /// What.
    pub kind: TxMessageKind,
    /// The other side: a participant's service; none for what the coordinator logs.
    pub participant: Option<String>,
    /// One line more: "insufficient funds".
    pub detail: Option<String>,
}

/// One participant of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxParticipantView {
    /// Its service.
    pub service: String,
    /// Its state as the coordinator knows it.
    pub state: TxState,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionView {
    /// `tx-…`.
    pub transaction_id: String,
    /// "payment" or "refund".
    pub purpose: String,
    /// Coordinator's state.
    pub state: TxState,
    /// The banks.
    pub participants: Vec<TxParticipantView>,
    /// The protocol, in order.
    pub messages: Vec<TxMessageView>,
}
