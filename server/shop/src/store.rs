//! What every port to a database has in common.

use messaging::Outbox;
use std::sync::Arc;

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

/// A message was taken, or had been taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its effect is durable now.
    Now,
    /// Its effect was durable already; nothing changed.
    Before,
}
