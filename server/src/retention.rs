//! Retention: the databases forget orders that are over, in small batches, so that they do not
//! grow for ever. What is under way is never touched.

use shop::{StoreError, orders::Orders, store::Keep};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use storage::Stores;
use tokio_util::sync::CancellationToken;

/// What is kept of what is over: a hundred thousand orders are some 300 MB of databases, and a week
/// is longer than anybody looks back.
pub const KEEP: Keep = Keep { orders: 100_000, age: Duration::from_secs(7 * 24 * 60 * 60) };
/// Pause between two sweeps.
const EVERY: Duration = Duration::from_secs(60);
/// Orders, and rows of each kind, that one transaction deletes: some ten milliseconds.
const BATCH: usize = 200;
/// Pause after each batch, so that the shop's own writes are not held up.
const BREATH: Duration = Duration::from_millis(50);

/// Orders older than is kept that are not over, at most: each costs a few rows for as long as it
/// waits. With more of them nothing is forgotten until somebody has looked.
const OPEN_MAX: usize = 10_000;

/// The task that forgets. Cheap to clone.
#[derive(Clone)]
pub struct Retention {
    stores: Arc<Stores>,
    orders: Orders,
    keep: Keep,
    deleted: Arc<AtomicU64>,
}

impl Retention {
    /// Over a shop's databases.
    #[must_use]
    pub fn new(stores: Arc<Stores>, orders: Orders, keep: Keep) -> Self {
        Self { stores, orders, keep, deleted: Arc::default() }
    }

    /// Rows deleted since the start.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Sweeps now and then until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep() => match swept {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!("{rows} rows of what is over are forgotten"),
                    Err(error) => tracing::error!(cause = ?error.cause, "{error}; kept for now"),
                }
            }
        }
    }

    /// Forgets all that is not kept; gives the number of rows.
    ///
    /// # Errors
    /// When a database fails; what was forgotten before stays so.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        while self.orders.ship_overdue(self.keep, BATCH).await? == BATCH {
            tokio::time::sleep(BREATH).await;
        }
        let open = self.orders.open_too_long(self.keep, OPEN_MAX).await?;
        if open.len() == OPEN_MAX {
            tracing::error!("{OPEN_MAX} old orders are not over; nothing is forgotten meanwhile");
            return Ok(0);
        }
        let mut rows = 0;
        for store in &self.stores.forgetful {
            loop {
                let gone = store.prune(self.keep, &open, BATCH).await?;
                if gone == 0 {
                    break;
                }
                rows += gone;
                self.deleted.fetch_add(gone, Ordering::Relaxed);
                tokio::time::sleep(BREATH).await;
            }
        }
        Ok(rows)
    }
}
