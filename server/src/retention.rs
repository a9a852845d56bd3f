//! Retention: the databases forget orders that are over, in small batches, so that they do not
//! grow for ever. What is under way is never touched.

use base::{Clock, clock::micros};
use messaging::{Outbox, RelayStatus};
use shop::{
    StoreError,
    orders::Orders,
    store::{Keep, Open},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use storage::Stores;
use tokio::time::Instant;
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
/// waits. With more of them nothing is forgotten until somebody has looked. So with two-phase
/// commits whose coordinator is not through: a bank is away, and fewer than that run at once.
const OPEN_MAX: usize = 10_000;

/// Between two sweeps the date may go so much further than the time that passed: a machine that
/// slept a little, or a time server. What is beyond may be a wrong date, and by that everything is
/// old.
const JUMP_MAX: Duration = Duration::from_secs(60 * 60);
/// After such a jump nothing is forgotten for so long: time for somebody to see and mend it, and
/// for few enough orders to come.
const JUMP_WAIT: Duration = Duration::from_secs(60 * 60);

/// Whether the date can be gone by: it passed as time did.
#[derive(Debug)]
struct Pace {
    /// What must be added to the time since the start for the date that is trusted, microseconds.
    offset_us: i64,
    /// Since when there is another date, in time since the start.
    jumped: Option<Duration>,
}

impl Pace {
    fn new(now_us: i64) -> Self {
        Self { offset_us: now_us, jumped: None }
    }

    /// Asked before each sweep; `passed` is the time since the start.
    fn holds(&mut self, now_us: i64, passed: Duration) -> bool {
        let seen_us = now_us.saturating_sub(micros(passed));
        let jump_us = seen_us.saturating_sub(self.offset_us);
        if jump_us > micros(JUMP_MAX) {
            if self.jumped.is_none() {
                tracing::warn!(
                    "the date went {} s further than time since the last sweep; nothing is \
                     shipped or forgotten for {} s",
                    jump_us / 1_000_000,
                    JUMP_WAIT.as_secs(),
                );
            }
            let since = *self.jumped.get_or_insert(passed);
            if passed.saturating_sub(since) < JUMP_WAIT {
                return false;
            }
        }
        (self.offset_us, self.jumped) = (seen_us, None);
        true
    }
}

/// The task that forgets. Cheap to clone.
#[derive(Clone)]
pub struct Retention {
    stores: Arc<Stores>,
    orders: Orders,
    clock: Clock,
    keep: Keep,
    deleted: Arc<AtomicU64>,
    outboxes: Arc<[(Arc<dyn Outbox>, RelayStatus)]>,
}

impl Retention {
    /// Over a shop's databases.
    #[must_use]
    pub fn new(stores: Arc<Stores>, orders: Orders, clock: Clock, keep: Keep) -> Self {
        Self { stores, orders, clock, keep, deleted: Arc::default(), outboxes: Arc::default() }
    }

    /// Counts the dead letters of these again when some may have been forgotten.
    #[must_use]
    pub fn counting(self, outboxes: &[(Arc<dyn Outbox>, RelayStatus)]) -> Self {
        Self { outboxes: outboxes.into(), ..self }
    }

    /// Rows deleted since the start.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Sweeps now and then until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pace, start) = (Pace::new(self.clock.now_us()), Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if !pace.holds(self.clock.now_us(), start.elapsed()) {
                continue;
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

    /// What must be kept although it is old.
    async fn open(&self) -> Result<Open, StoreError> {
        Ok(Open {
            orders: self.orders.open_too_long(self.keep, OPEN_MAX).await?,
            transactions: self.stores.payments.unended(OPEN_MAX).await?,
        })
    }

    /// Forgets all that is not kept; gives the number of rows.
    ///
    /// # Errors
    /// When a database fails; what was forgotten before stays so.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut after = None;
        loop {
            after = self.orders.ship_overdue(self.keep, after, BATCH).await?;
            if after.is_none() {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        let open = self.open().await?;
        for (count, what) in [
            (open.orders.len(), "old orders are not over"),
            (open.transactions.len(), "two-phase commits are not acknowledged"),
        ] {
            if count == OPEN_MAX {
                tracing::error!("{OPEN_MAX} {what}; nothing is forgotten meanwhile");
                return Ok(0);
            }
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
        for (outbox, status) in self.outboxes.iter().filter(|_| rows > 0) {
            status.count_dead(&**outbox).await;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_700_000_000_000_000;
    const HOUR_US: i64 = 3_600_000_000;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    fn at(minute: u64) -> i64 {
        NOW_US + micros(minutes(minute))
    }

    #[test]
    fn a_date_that_jumps_far_between_two_sweeps_is_not_gone_by() {
        let mut pace = Pace::new(NOW_US);
        assert!(pace.holds(at(1), minutes(1)));
        assert!(pace.holds(at(2) + HOUR_US / 2, minutes(2)), "it slept a little");
        assert!(!pace.holds(at(3) + 24 * HOUR_US, minutes(3)));
        assert!(!pace.holds(at(4) + 24 * HOUR_US, minutes(4)));
        assert!(pace.holds(at(5), minutes(5)), "it was set right");
        assert!(!pace.holds(at(6) + 24 * HOUR_US, minutes(6)), "and wrong again");
        assert!(!pace.holds(at(65) + 24 * HOUR_US, minutes(65)));
        assert!(pace.holds(at(66) + 24 * HOUR_US, minutes(66)), "it is the date");
        assert!(pace.holds(at(67) + 24 * HOUR_US, minutes(67)));
    }

    #[test]
    fn a_date_that_goes_back_makes_nothing_old() {
        let mut pace = Pace::new(NOW_US);
        assert!(pace.holds(at(1) - 24 * HOUR_US, minutes(1)));
        assert!(!pace.holds(at(2), minutes(2)), "forward from there it is a jump");
    }
}
