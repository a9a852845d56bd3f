//! The payment provider's database.

use super::{Asked, Conflict, Kind, Operation};
use crate::{StoreError, store::Probe};
use async_trait::async_trait;

/// What stands on the provider's two accounts, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderBalances {
    /// Owed to the merchant's bank.
    pub clearing: i64,
    /// Taken from cards, negative.
    pub cards: i64,
}

/// The payment provider's database. A call that returned Ok is durable.
#[async_trait]
pub trait ProviderStore: Probe + Send + Sync {
    /// Promises or refuses, as [`super::hold`] says. Idempotent.
    async fn hold(&self, asked: Asked) -> Result<Result<Operation, Conflict>, StoreError>;
    /// Decides, as [`super::settle`] says. Idempotent.
    async fn settle(
        &self,
        kind: Kind,
        id: &str,
        commit: bool,
    ) -> Result<Result<Operation, Conflict>, StoreError>;
    /// One operation.
    async fn operation(&self, id: &str) -> Result<Option<Operation>, StoreError>;
    /// The ledger, summed.
    async fn balances(&self) -> Result<ProviderBalances, StoreError>;
    /// Operations promised and not decided.
    async fn held(&self) -> Result<u64, StoreError>;
}
