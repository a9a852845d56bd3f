//! payments' database: the coordinator's log.

use super::void::{Void, Voided};
use crate::{
    StoreError,
    store::{HasOutbox, Probe},
};
use async_trait::async_trait;
use contract::Money;
use messaging::{Message, NewMessage};
use serde::{Deserialize, Serialize};
use two_phase_commit::{Decision, Entry, Phase, Transaction};

/// A transaction with its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    /// As it was begun.
    pub transaction: Transaction,
    /// Every line so far.
    pub log: Vec<Entry>,
    /// The decision, if it is made.
    pub decision: Option<Decision>,
}

/// A payment or refund in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRow {
    /// `tx-…`.
    pub transaction_id: String,
    /// What it is about.
    pub order_id: String,
    /// "payment" or "refund".
    pub purpose: String,
    /// How much.
    pub amount: Money,
    /// Where it is.
    pub phase: Phase,
    /// When it began, microseconds since the epoch.
    pub at_us: i64,
    /// How unusual it is for the customer, 0 to 100. Version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<u8>,
}

/// What beginning a transaction found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It began now.
    Now,
    /// The message had been taken before: whoever began it runs it, or recovery after a stop. Or
    /// it was voided before it came.
    Before,
    /// It is new and there is no room to run it; nothing is recorded.
    NoRoom,
}

/// payments' database. A call that returned Ok is durable.
#[async_trait]
pub trait PaymentStore: HasOutbox + Probe {
    /// Takes the message and begins the transaction, in one transaction of the database. One that
    /// is new is left alone when `may_run` is false.
    async fn begin(
        &self,
        message: &Message,
        transaction: &Transaction,
        user_id: &str,
        amount: Money,
        may_run: bool,
    ) -> Result<Begun, StoreError>;
    /// Takes the message and does what [`super::Found`] says about the payment, in one
    /// transaction of the database: records it as aborted with the answer, or begins the refund.
    async fn void(&self, message: &Message, void: Void) -> Result<Voided, StoreError>;
    /// Records the decision, the lines that led to it and the answer, unless a decision is
    /// recorded; gives the one that is.
    async fn decide(
        &self,
        transaction: &Transaction,
        decision: &Decision,
        lines: &[Entry],
        answer: NewMessage,
    ) -> Result<Decision, StoreError>;
    /// Records lines that decide nothing.
    async fn note(&self, transaction_id: &str, lines: &[Entry]) -> Result<(), StoreError>;
    /// How many transactions did not end.
    async fn unfinished_count(&self) -> Result<usize, StoreError>;
    /// Transactions that did not end, at most `limit`.
    async fn unended(&self, limit: usize) -> Result<Vec<String>, StoreError>;
    /// The number of the last line of the log: what begins from now on has higher ones, whatever
    /// the clock says.
    async fn last_line(&self) -> Result<i64, StoreError>;
    /// Transactions that did not end with the moment they began, oldest first, at most `limit`:
    /// those after that moment and id that began no later than that line of the log.
    async fn unfinished(
        &self,
        after: &(i64, String),
        until_line: i64,
        limit: usize,
    ) -> Result<Vec<(i64, TransactionRecord)>, StoreError>;
    /// One transaction.
    async fn transaction(&self, id: &str) -> Result<Option<TransactionRecord>, StoreError>;
    /// An order's transactions, oldest first.
    async fn of_order(&self, order_id: &str) -> Result<Vec<TransactionRecord>, StoreError>;
    /// A customer's payments, newest first.
    async fn of_user(&self, user_id: &str, limit: usize) -> Result<Vec<PaymentRow>, StoreError>;
}
