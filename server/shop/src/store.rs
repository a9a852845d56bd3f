//! What every port to a database has in common.

use crate::problem::Problem;
use async_trait::async_trait;
use axum::extract::State;
use messaging::Outbox;
use std::{sync::Arc, time::Duration};

/// The database could not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("the database of {service} failed")]
pub struct StoreError {
    /// Whose database.
    pub service: &'static str,
    /// What it said.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// A database that records messages together with the state they announce.
pub trait HasOutbox {
    /// Its outbox.
    fn outbox(&self) -> Arc<dyn Outbox>;
}

/// A database that can be asked whether it works.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Reads, and lets the writer begin and end a transaction; after a commit that failed it
    /// really writes. Cheap, and leaves no trace.
    ///
    /// # Errors
    /// When something of it does not work.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// How much of what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many orders.
    pub orders: u64,
    /// And of those what is not older than this.
    pub age: Duration,
}

/// What is older than is kept and not over, or may be told of again: a database that cannot tell by
/// its own rows keeps what is about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Orders that are older than is kept and not over.
    pub orders: Vec<String>,
    /// Two-phase commits whose coordinator is not through: each participant is told the decision
    /// until all of them have acknowledged it, so one that did long ago may hear it again.
    pub transactions: Vec<String>,
}

/// A database that forgets.
#[async_trait]
pub trait Prune: Send + Sync {
    /// Deletes rows of what is over and not kept, about a batch of each kind, in one short
    /// transaction; gives the number of rows that went. Nothing under way is touched, and sums
    /// stay as they are.
    ///
    /// # Errors
    /// When the database cannot be written.
    async fn prune(&self, keep: Keep, open: &Open, batch: usize) -> Result<u64, StoreError>;
}

/// `/livez` of a service: it lives when its database works.
pub(crate) async fn livez<S: Probe + ?Sized>(State(store): State<Arc<S>>) -> Result<(), Problem> {
    Ok(store.probe().await?)
}

/// A message was taken, or had been taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its effect is durable now.
    Now,
    /// Its effect was durable already; nothing changed.
    Before,
}
