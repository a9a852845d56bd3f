//! inventory's database.

use super::{Asked, Level};
use crate::{
    StoreError,
    key::Commanded,
    store::{HasOutbox, Probe, Taken},
};
use async_trait::async_trait;
use messaging::Message;

/// inventory's database.
#[async_trait]
pub trait InventoryStore: HasOutbox + Probe {
    /// Every product's level, by product id.
    async fn levels(&self) -> Result<Vec<Level>, StoreError>;
    /// Takes a message: what [`super::decide`] says about the order (the message's key) is
    /// recorded with the answer in one transaction.
    async fn take(&self, message: &Message, asked: Asked) -> Result<Taken, StoreError>;
    /// Adds a supplier's delivery, once for a key.
    async fn deliver(
        &self,
        product_id: &str,
        quantity: u32,
        key: Option<String>,
    ) -> Result<Commanded, StoreError>;
}
