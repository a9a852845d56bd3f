//! A two-phase commit as pages see it: participants, and the messages between them in order.

use crate::trace::SpanLinkView;
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
    /// Coordinator only: its log has a line that cannot stand where it does.
    Damaged,
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
    /// The fault that acted on the message on its way, if its span is still kept.
    #[serde(default)]
    pub fault: Option<TxFault>,
    /// The span of the message, if it is still kept.
    #[serde(default)]
    pub span: Option<SpanLinkView>,
}

/// What a fault did to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxFault {
    /// `F-21`; several are comma separated.
    pub id: String,
    /// How long it held the message, measured, microseconds; 0 if it did something else.
    pub delayed_us: i64,
}

/// What happened to the process of a participant, or of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxEventKind {
    /// It was killed.
    Crash,
    /// It stands still.
    Pause,
    /// It was started again.
    Restart,
    /// It goes on.
    Resume,
}

/// Something that happened while the transaction was under way and is no line of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxEventView {
    /// When.
    pub at_us: i64,
    /// What.
    pub kind: TxEventKind,
    /// To which participant; none for the coordinator.
    pub participant: Option<String>,
    /// The fault that did it; none when the whole of Vitrine was started again.
    pub fault_id: Option<String>,
}

/// One participant of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxParticipantView {
    /// Its service.
    pub service: String,
    /// Its state as the coordinator knows it.
    pub state: TxState,
    /// When it released its locks, as it wrote itself; none if that line is not kept.
    #[serde(default)]
    pub released_us: Option<i64>,
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
    /// The protocol, in order of time.
    pub messages: Vec<TxMessageView>,
    /// The instance of payments that began it, if that span is still kept.
    #[serde(default)]
    pub coordinator: Option<String>,
    /// Crashes and restarts while it was under way, in order of time.
    #[serde(default)]
    pub events: Vec<TxEventView>,
}

impl TransactionView {
    /// Nobody was ever asked to prepare: a payment that was voided before it was begun. All there
    /// is of it is the abort that the coordinator logged.
    #[must_use]
    pub fn never_begun(&self) -> bool {
        self.participants.is_empty()
    }

    /// Everybody acknowledged the decision: nothing will change any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, TxState::Committed | TxState::Aborted)
    }
}

/// Detail of the [`TxMessageKind::Query`] of a participant that found the transaction prepared in
/// its log when it was started again.
pub const REPLAYED: &str = "log replayed after a restart";
/// Detail of the [`TxMessageKind::Answer`] when the coordinator had not decided yet.
pub const UNDECIDED: &str = "undecided";
