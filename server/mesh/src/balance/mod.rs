//! Load balancing: which instance of the cluster a try goes to.
//!
//! [`pick`] chooses, [`table`] holds the rings and Maglev tables of consistent hashing, [`key`]
//! says what is hashed, [`warmup`] how much a new instance counts. Who may be chosen at all is the
//! business of outlier detection and of the retries.

mod key;
mod layer;
mod pick;
mod table;
mod warmup;

pub(crate) use layer::BalanceLayer;
pub(crate) use pick::Balancer;
pub(crate) use table::Table;
