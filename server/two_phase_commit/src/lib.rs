//! Two-phase commit between one coordinator and its participants.
//!
//! After Gray, "Notes on Data Base Operating Systems" (1978), section 5.8.3.3, with presumed abort
//! for what a participant never heard of. The rules that may not bend:
//! the decision is durable before anybody hears it; a participant that voted yes holds its locks
//! until it knows the decision; a coordinator may take silence for "no" only before it decided;
//! a decision is told again until it is acknowledged.
//!
//! The machines in [`protocol`] are pure; [`Coordinator`] drives them over two ports. Nothing here
//! knows HTTP, SQL or banks.

mod coordinator;
pub mod protocol;

pub use coordinator::{Asking, Coordinator, CoordinatorLog, LogError, Participants, Unanswered};
pub use protocol::{
    Branch, Decision, Entry, EntryKind, Grounds, IllegalStep, NO_VOTE, ParticipantEvent,
    ParticipantState, Phase, Transaction, Vote,
};
