//! Load balancing: which instance of the cluster a try goes to.
//!
//! [`pick`] chooses, [`table`] holds the rings and Maglev tables of consistent hashing, [`key`]
//! says what is hashed, [`warmup`] how much a new instance counts. Who may be chosen at all is the
//! business of outlier detection and of the retries. [`picks`] counts the choices, [`spread`] reads
//! from a table where its keys go, [`look`] tells of it all.

mod key;
mod layer;
mod look;
mod pick;
mod picks;
mod spread;
mod table;
mod warmup;

pub(crate) use layer::BalanceLayer;
pub use look::{InstanceBalance, KeyOwner, LOOK_SLOTS_MAX, Pool, PoolBalance};
pub(crate) use look::{KeySpace, LookedAt, Seen, warm};
pub(crate) use pick::Balancer;
pub(crate) use picks::Picks;
pub(crate) use spread::Spread;
pub use spread::{Leaving, Stretch};
pub(crate) use table::Table;
