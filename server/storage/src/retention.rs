//! What every database forgets: rows of what is over and older than is kept, or beyond their
//! number. Each database goes by its own rows; sums stay as they are.

use crate::{
    bank::Bank, database::Database, inventory::Inventory, orders::Orders, payments::Payments,
    provider::Provider, recommendations::Recommendations,
};
use async_trait::async_trait;
use base::{Clock, clock::micros};
use shop::{
    StoreError,
    store::{Keep, Prune},
};
use sqlx::{Row, SqliteConnection};

/// Two-phase commits that an order may have had, with room: a payment, a refund, a second refund.
/// So far longer than an order is kept what moved its money.
const TRANSACTIONS_OF_ORDER: u64 = 3;
/// Messages that a service may have taken about an order, with room.
const MESSAGES_OF_ORDER: u64 = 8;
/// Pages given back to the file system after a batch: about four megabytes.
const VACUUM_PAGES: u32 = 1_024;
/// The movement, or operation, that stands for all that were forgotten.
const CARRIED: &str = "carried-forward";

/// The moment before which rows are not kept: they are too old, or too many are newer.
/// `nth_newest` asks for the time of the newest row but so many.
async fn cutoff(
    c: &mut SqliteConnection,
    nth_newest: &'static str,
    rows: u64,
    oldest_us: i64,
) -> Result<i64, sqlx::Error> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let beyond: Option<i64> = sqlx::query_scalar(nth_newest).bind(rows).fetch_optional(c).await?;
    Ok(beyond.map_or(oldest_us, |at_us| oldest_us.max(at_us.saturating_add(1))))
}

fn oldest(keep: Keep, clock: &Clock) -> i64 {
    clock.now_us().saturating_sub(micros(keep.age))
}

fn limit(batch: usize) -> i64 {
    i64::try_from(batch).unwrap_or(i64::MAX)
}

/// Ids of rows to forget, as a JSON array for `json_each`.
async fn ids(
    c: &mut SqliteConnection,
    query: &'static str,
    before_us: i64,
    batch: usize,
) -> Result<Option<String>, sqlx::Error> {
    let ids: Vec<String> =
        sqlx::query_scalar(query).bind(before_us).bind(limit(batch)).fetch_all(c).await?;
    Ok((!ids.is_empty()).then(|| serde_json::json!(ids).to_string()))
}

/// Runs each of the deletions on the ids; the number of rows that went.
async fn forget(
    c: &mut SqliteConnection,
    ids: Option<String>,
    deletions: &[&'static str],
) -> Result<u64, sqlx::Error> {
    let Some(ids) = ids else { return Ok(0) };
    let mut gone = 0;
    for deletion in deletions {
        gone += sqlx::query(*deletion).bind(&ids).execute(&mut *c).await?.rows_affected();
    }
    Ok(gone)
}

/// Messages taken long ago: none of them is in an outbox any more.
async fn inbox(
    c: &mut SqliteConnection,
    keep: Keep,
    oldest_us: i64,
    batch: usize,
) -> Result<u64, sqlx::Error> {
    let nth = "SELECT taken_us FROM inbox ORDER BY taken_us DESC LIMIT 1 OFFSET ?";
    let rows = keep.orders.saturating_mul(MESSAGES_OF_ORDER);
    let before_us = cutoff(c, nth, rows, oldest_us).await?;
    let old = "SELECT message_id FROM inbox WHERE taken_us < ? ORDER BY taken_us LIMIT ?";
    let ids = ids(c, old, before_us, batch).await?;
    let gone = "DELETE FROM inbox WHERE message_id IN (SELECT value FROM json_each(?))";
    forget(c, ids, &[gone]).await
}

/// Keys of commands that nobody repeats any more.
async fn keys(c: &mut SqliteConnection, oldest_us: i64, batch: usize) -> Result<u64, sqlx::Error> {
    let ids = ids(c, "SELECT key FROM keys WHERE used_us < ? LIMIT ?", oldest_us, batch).await?;
    forget(c, ids, &["DELETE FROM keys WHERE key IN (SELECT value FROM json_each(?))"]).await
}

/// Gives pages that became free back to the file system, in a database that was made for it; in
/// an older one they are used again.
async fn vacuum(database: &Database, gone: u64) -> Result<u64, StoreError> {
    if gone > 0 {
        let vacuum = database.write_quietly(|c| {
            Box::pin(async move {
                let vacuum = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
                // It gives back a page with each row that is asked of it.
                sqlx::query(sqlx::AssertSqlSafe(vacuum)).fetch_all(c).await?;
                Ok(())
            })
        });
        vacuum.await?;
    }
    Ok(gone)
}

#[async_trait]
impl Prune for Orders {
    /// Orders that are cancelled or shipped go whole, with their keys.
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let before_us = cutoff(c, NTH_ORDER, keep.orders, oldest_us).await?;
                let over = "SELECT order_id FROM order_rows
                            WHERE status IN ('cancelled', 'shipped') AND placed_at_us < ?
                            ORDER BY placed_at_us LIMIT ?";
                let orders = ids(c, over, before_us, batch).await?;
                let gone = forget(
                    c,
                    orders,
                    &[
                        "DELETE FROM events WHERE order_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM saga_log WHERE order_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM keys WHERE order_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM awaited WHERE order_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM streams WHERE order_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM order_rows WHERE order_id IN (SELECT value FROM json_each(?))",
                    ],
                );
                Ok(gone.await? + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

/// When the newest order but so many was placed.
const NTH_ORDER: &str = "SELECT placed_at_us FROM order_rows
                         ORDER BY placed_at_us DESC, order_id DESC LIMIT 1 OFFSET ?";

impl Orders {
    /// Confirmed orders that are older than is kept, oldest first.
    pub(crate) async fn kept_too_long(
        &self,
        keep: Keep,
        batch: usize,
    ) -> Result<Vec<String>, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let read = self.0.read_quietly(move |c| {
            Box::pin(async move {
                let before_us = cutoff(c, NTH_ORDER, keep.orders, oldest_us).await?;
                sqlx::query_scalar(
                    "SELECT order_id FROM order_rows
                     WHERE status = 'confirmed' AND placed_at_us < ?
                     ORDER BY placed_at_us LIMIT ?",
                )
                .bind(before_us)
                .bind(limit(batch))
                .fetch_all(c)
                .await
            })
        });
        read.await
    }
}

#[async_trait]
impl Prune for Payments {
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT begun_us FROM transactions
                           ORDER BY begun_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT transaction_id FROM transactions
                            WHERE ended = 1 AND begun_us < ? ORDER BY begun_us LIMIT ?";
                let ended = ids(c, over, before_us, batch).await?;
                let gone = forget(
                    c,
                    ended,
                    &[
                        "DELETE FROM transaction_log
                         WHERE transaction_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM transactions
                         WHERE transaction_id IN (SELECT value FROM json_each(?))",
                    ],
                );
                Ok(gone.await? + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

#[async_trait]
impl Prune for Inventory {
    /// Reservations that hold nothing go; what they moved stays on the shelves' counts.
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT changed_us FROM reservations WHERE state <> 'held'
                           ORDER BY changed_us DESC LIMIT 1 OFFSET ?";
                let before_us = cutoff(c, nth, keep.orders, oldest_us).await?;
                let over = "SELECT order_id FROM reservations
                            WHERE state <> 'held' AND changed_us < ?
                            ORDER BY changed_us LIMIT ?";
                let over = ids(c, over, before_us, batch).await?;
                let gone = "DELETE FROM reservations
                            WHERE order_id IN (SELECT value FROM json_each(?))";
                let mut gone = forget(c, over, &[gone]).await?;
                gone += keys(c, oldest_us, batch).await?;
                Ok(gone + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

#[async_trait]
impl Prune for Recommendations {
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move { inbox(c, keep, oldest_us, batch).await })
        });
        vacuum(&self.0, gone.await?).await
    }
}

#[async_trait]
impl Prune for Bank {
    /// Decided transactions go, and postings are carried forward: each account keeps one that is
    /// the sum of all that went.
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT prepared_us FROM transactions
                           ORDER BY prepared_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT transaction_id FROM transactions
                            WHERE state <> 'prepared' AND prepared_us < ?
                            ORDER BY prepared_us LIMIT ?";
                let over = ids(c, over, before_us, batch).await?;
                let gone = "DELETE FROM transactions
                            WHERE transaction_id IN (SELECT value FROM json_each(?))";
                let mut gone = forget(c, over, &[gone]).await?;
                gone += keys(c, oldest_us, batch).await?;
                Ok(gone + carry_forward(c, before_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

/// Folds whole movements of a bank's ledger into what is carried forward.
async fn carry_forward(
    c: &mut SqliteConnection,
    before_us: i64,
    batch: usize,
) -> Result<u64, sqlx::Error> {
    let movements: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT movement_id FROM postings
         WHERE at_us < ? AND movement_id <> ? LIMIT ?",
    )
    .bind(before_us)
    .bind(CARRIED)
    .bind(limit(batch))
    .fetch_all(&mut *c)
    .await?;
    if movements.is_empty() {
        return Ok(0);
    }
    let movements = serde_json::json!(movements).to_string();
    let sums = sqlx::query(
        "SELECT account_id, sum(minor) AS minor, max(at_us) AS at_us FROM postings
         WHERE movement_id IN (SELECT value FROM json_each(?)) GROUP BY account_id",
    );
    for row in sums.bind(&movements).fetch_all(&mut *c).await? {
        let (account, minor, at_us): (String, i64, i64) =
            (row.try_get("account_id")?, row.try_get("minor")?, row.try_get("at_us")?);
        let carried = sqlx::query(
            "UPDATE postings SET minor = minor + ?, at_us = max(at_us, ?)
             WHERE movement_id = ? AND account_id = ?",
        );
        let carried = carried.bind(minor).bind(at_us).bind(CARRIED).bind(&account);
        if carried.execute(&mut *c).await?.rows_affected() == 0 {
            sqlx::query(
                "INSERT INTO postings (movement_id, account_id, minor, at_us) VALUES (?, ?, ?, ?)",
            )
            .bind(CARRIED)
            .bind(account)
            .bind(minor)
            .bind(at_us)
            .execute(&mut *c)
            .await?;
        }
    }
    let gone =
        sqlx::query("DELETE FROM postings WHERE movement_id IN (SELECT value FROM json_each(?))");
    Ok(gone.bind(movements).execute(c).await?.rows_affected())
}

#[async_trait]
impl Prune for Provider {
    /// Decided operations go with their postings, which one operation carries forward.
    async fn prune(&self, keep: Keep, batch: usize) -> Result<u64, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT asked_us FROM operations
                           ORDER BY asked_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT operation_id FROM operations
                            WHERE state <> 'held' AND asked_us < ? AND target <> ''
                            ORDER BY asked_us LIMIT ?";
                let Some(over) = ids(c, over, before_us, batch).await? else { return Ok(0) };
                carry_operations(c, &over).await?;
                forget(
                    c,
                    Some(over),
                    &[
                        "DELETE FROM postings
                         WHERE operation_id IN (SELECT value FROM json_each(?))",
                        "DELETE FROM operations
                         WHERE operation_id IN (SELECT value FROM json_each(?))",
                    ],
                )
                .await
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

/// Adds the postings of some operations to what is carried forward.
async fn carry_operations(c: &mut SqliteConnection, ids: &str) -> Result<(), sqlx::Error> {
    // Without a target it is nobody's charge, and never asked for.
    sqlx::query(
        "INSERT INTO operations VALUES (?, 'charge', '', 0, '', 'done', NULL, 0)
         ON CONFLICT DO NOTHING",
    )
    .bind(CARRIED)
    .execute(&mut *c)
    .await?;
    let sums = sqlx::query(
        "SELECT account_id, sum(minor) AS minor, max(at_us) AS at_us FROM postings
         WHERE operation_id IN (SELECT value FROM json_each(?)) GROUP BY account_id",
    );
    for row in sums.bind(ids).fetch_all(&mut *c).await? {
        let (account, minor, at_us): (String, i64, i64) =
            (row.try_get("account_id")?, row.try_get("minor")?, row.try_get("at_us")?);
        let carried = sqlx::query(
            "UPDATE postings SET minor = minor + ?, at_us = max(at_us, ?)
             WHERE operation_id = ? AND account_id = ?",
        );
        let carried = carried.bind(minor).bind(at_us).bind(CARRIED).bind(&account);
        if carried.execute(&mut *c).await?.rows_affected() == 0 {
            sqlx::query(
                "INSERT INTO postings (operation_id, account_id, minor, at_us)
                 VALUES (?, ?, ?, ?)",
            )
            .bind(CARRIED)
            .bind(account)
            .bind(minor)
            .bind(at_us)
            .execute(&mut *c)
            .await?;
        }
    }
    Ok(())
}
