//! orders' database: streams, saga logs, outbox, and the read model.

use super::{
    Recent,
    decide::{Change, OrderRecord, Refusal},
    events::OrderEvent,
    patience::Awaited,
};
use crate::{
    StoreError,
    store::{HasOutbox, Keep, Probe},
};
use async_trait::async_trait;
use base::TraceContext;
use contract::order::{OrderRow, OrderStatus};
use event_sourcing::Recorded;
use saga::Entry;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Notify;

/// A client's key for a command, with a fingerprint of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// As the client sent it.
    pub key: String,
    /// Two commands with one key must have one fingerprint.
    pub fingerprint: String,
}

/// An order about to be placed.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// `ord-…`, not used yet.
    pub order_id: String,
    /// On every event and message.
    pub correlation_id: String,
    /// The span that places it.
    pub trace: TraceContext,
    /// The client's key, if it sent one.
    pub key: Option<IdempotencyKey>,
    /// What to record.
    pub change: Change,
}

/// What placing found.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    /// It is recorded.
    Now,
    /// The key was used for this very command before; this is the order as it was placed then.
    Before(Box<OrderStory>),
    /// The key was used for another command.
    KeyReused,
    /// An order of that id exists: try another id.
    IdTaken,
}

/// What a client's command on an order found.
#[derive(Clone, Debug, PartialEq)]
pub enum Commanded {
    /// It is so, by this command or before it: the order as the first answer to its key tells it.
    Done(Box<OrderStory>),
    /// The key was used for another command.
    KeyReused,
    /// There is no such order.
    NoOrder,
    /// The decision refused.
    Refused(Refusal),
    /// The client expected another version.
    Conflict(event_sourcing::VersionConflict),
}

/// What a change found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is recorded; the version after it.
    Now(u64),
    /// The message had been taken before.
    Before,
    /// There is no such order.
    NoOrder,
    /// The decision refused.
    Refused(Refusal),
    /// The caller expected another version.
    Conflict(event_sourcing::VersionConflict),
}

/// Decides inside the transaction, on what it read.
pub type Decide = Box<dyn FnOnce(&OrderRecord) -> Result<Change, Refusal> + Send>;

/// What a change is made with.
pub struct Attempt {
    /// Which order.
    pub order_id: String,
    /// The message that causes it; taken in the same transaction.
    pub message_id: Option<String>,
    /// The version the caller decided on, if it said.
    pub expected: Option<u64>,
    /// `X-Correlation-ID` of the request that causes it; without one, of the request that placed
    /// the order.
    pub correlation_id: Option<String>,
    /// The span that causes it.
    pub trace: TraceContext,
    /// The decision.
    pub decide: Decide,
}

/// Everything recorded about one order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderStory {
    /// `ord-…`.
    pub order_id: String,
    /// On every event.
    pub correlation_id: String,
    /// The trace that placed it.
    pub trace_id: Option<String>,
    /// Every trace that caused an event of it, oldest first.
    #[serde(default)]
    pub traces: Vec<String>,
    /// `X-Correlation-ID` of the request that caused each event, in their order.
    #[serde(default)]
    pub caused_by: Vec<Option<String>>,
    /// Its stream.
    pub events: Vec<Recorded<OrderEvent>>,
    /// Its saga's log.
    pub saga: Vec<Entry>,
}

/// A row of the read model as lists tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The row.
    #[serde(flatten)]
    pub row: OrderRow,
    /// On every event and log line of this order.
    pub correlation_id: String,
}

/// Which rows of the read model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowQuery {
    /// Only this status.
    pub status: Option<OrderStatus>,
    /// Only this customer.
    pub user_id: Option<String>,
    /// Only rows placed before this one.
    pub before: Option<(i64, String)>,
    /// At most so many.
    pub limit: usize,
}

/// Which recent orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentQuery {
    /// Placed since this moment, microseconds since the epoch.
    pub since_us: i64,
    /// Only those with this in their id.
    pub containing: Option<String>,
    /// Only rows placed before this one.
    pub before: Option<(i64, String)>,
    /// At most so many.
    pub limit: usize,
}

/// orders' database. A call that returned Ok is durable.
#[async_trait]
pub trait OrderStore: HasOutbox + Probe {
    /// Records a new order: stream, saga, outbox and key in one transaction.
    async fn place(&self, order: NewOrder) -> Result<Placed, StoreError>;
    /// What an earlier command with this key found, if there was one.
    async fn placed(&self, key: IdempotencyKey) -> Result<Option<Placed>, StoreError>;
    /// Reads, decides and records a client's command in one transaction, with its key if it has
    /// one. What is so already is done, whatever version was expected (RFC 9110, section 13.1.1).
    async fn command(
        &self,
        attempt: Attempt,
        key: Option<IdempotencyKey>,
    ) -> Result<Commanded, StoreError>;
    /// Reads, decides and records in one transaction.
    async fn change(&self, attempt: Attempt) -> Result<Changed, StoreError>;
    /// Everything about one order.
    async fn story(&self, order_id: &str) -> Result<Option<OrderStory>, StoreError>;
    /// Rows of the read model, newest first.
    async fn rows(&self, query: RowQuery) -> Result<Vec<Listed>, StoreError>;
    /// Where the orders of the read model placed since a moment stand, newest first.
    async fn recent(&self, query: RecentQuery) -> Result<Vec<Recent>, StoreError>;
    /// Brings the read model up to at most `limit` further events, by [`super::project`], in one
    /// transaction; gives the rows that changed.
    async fn project(&self, limit: usize) -> Result<Vec<OrderRow>, StoreError>;
    /// Orders that wait for the answer of payments, the longest first, at most `limit`.
    async fn awaited(&self, limit: usize) -> Result<Vec<Awaited>, StoreError>;
    /// Orders of a status that are older than is kept, oldest first, at most `limit`: when each
    /// was placed, and its id. Only those placed after this one.
    async fn kept_too_long(
        &self,
        status: OrderStatus,
        keep: Keep,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, StoreError>;
    /// Fires after events were recorded.
    fn appended(&self) -> Arc<Notify>;
}
