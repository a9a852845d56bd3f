//! What every database forgets: rows of what is over and older than is kept, or beyond their
//! number. Each database goes by its own rows; sums stay as they are.

use crate::{
    bank::Bank, database::Database, inventory::Inventory, orders::Orders, payments::Payments,
    provider::Provider, recommendations::Recommendations,
};
use async_trait::async_trait;
use base::{Clock, clock::micros};
use contract::order::OrderStatus;
use shop::{
    StoreError,
    provider::Kind,
    store::{Keep, Open, Prune},
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
    Ok(array(&ids))
}

/// The same but for some, a JSON array that the query has between the two: of rows that are not
/// about some orders, or of other transactions than some.
async fn ids_but_of(
    c: &mut SqliteConnection,
    query: &'static str,
    before_us: i64,
    open: &str,
    batch: usize,
) -> Result<Option<String>, sqlx::Error> {
    let query = sqlx::query_scalar(query).bind(before_us).bind(open).bind(limit(batch));
    Ok(array(&query.fetch_all(c).await?))
}

/// For `json_each`; nothing for nothing.
fn array(ids: &[String]) -> Option<String> {
    (!ids.is_empty()).then(|| serde_json::json!(ids).to_string())
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

/// Dead letters older than is kept. What their subscribers remember of that time is forgotten, and
/// with it whether such a message was taken, or its payment voided: none may come again.
async fn letters(
    c: &mut SqliteConnection,
    oldest_us: i64,
    batch: usize,
) -> Result<u64, sqlx::Error> {
    let old = "SELECT id FROM dead_letters WHERE recorded_us < ? ORDER BY letter LIMIT ?";
    let ids = ids(c, old, oldest_us, batch).await?;
    let gone = "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))";
    let gone = forget(c, ids, &[gone]).await?;
    if gone > 0 {
        tracing::error!("{gone} dead letters that nobody retried are too old and gone");
    }
    Ok(gone)
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
    async fn prune(&self, keep: Keep, _: &Open, batch: usize) -> Result<u64, StoreError> {
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
                let gone = gone.await? + letters(c, oldest_us, batch).await?;
                Ok(gone + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

/// When the newest order but so many was placed.
const NTH_ORDER: &str = "SELECT placed_at_us FROM order_rows
                         ORDER BY placed_at_us DESC, order_id DESC LIMIT 1 OFFSET ?";

impl Orders {
    /// Orders of a status that are older than is kept, oldest first, after this one.
    pub(crate) async fn kept_too_long(
        &self,
        status: OrderStatus,
        keep: Keep,
        after: Option<(i64, String)>,
        batch: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let oldest_us = oldest(keep, &self.1);
        let read = self.0.read_quietly(move |c| {
            Box::pin(async move {
                let before_us = cutoff(c, NTH_ORDER, keep.orders, oldest_us).await?;
                // No moment is before the first, and no id before none.
                let (at_us, order_id) = after.unwrap_or((i64::MIN, String::new()));
                sqlx::query_as(
                    "SELECT placed_at_us, order_id FROM order_rows
                     WHERE status = ? AND placed_at_us < ? AND (placed_at_us, order_id) > (?, ?)
                     ORDER BY placed_at_us, order_id LIMIT ?",
                )
                .bind(status.as_str())
                .bind(before_us)
                .bind(at_us)
                .bind(order_id)
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
    /// Transactions of an order that is not over stay: a void of one asks what became of it.
    async fn prune(&self, keep: Keep, open: &Open, batch: usize) -> Result<u64, StoreError> {
        let open = serde_json::json!(open.orders).to_string();
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT begun_us FROM transactions
                           ORDER BY begun_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT transaction_id FROM transactions
                            WHERE ended = 1 AND begun_us < ?
                            AND order_id NOT IN (SELECT value FROM json_each(?))
                            ORDER BY begun_us LIMIT ?";
                let ended = ids_but_of(c, over, before_us, &open, batch).await?;
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
                let gone = gone.await? + letters(c, oldest_us, batch).await?;
                Ok(gone + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

#[async_trait]
impl Prune for Inventory {
    /// Reservations that hold nothing go; what they moved stays on the shelves' counts.
    async fn prune(&self, keep: Keep, _: &Open, batch: usize) -> Result<u64, StoreError> {
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
                gone += letters(c, oldest_us, batch).await?;
                Ok(gone + inbox(c, keep, oldest_us, batch).await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

#[async_trait]
impl Prune for Recommendations {
    async fn prune(&self, keep: Keep, _: &Open, batch: usize) -> Result<u64, StoreError> {
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
    /// the sum of all that went. A transaction that the bank may be told of again stays: of one it
    /// does not know it cannot acknowledge a commit, and the coordinator would tell it for ever.
    async fn prune(&self, keep: Keep, open: &Open, batch: usize) -> Result<u64, StoreError> {
        let untold = serde_json::json!(open.transactions).to_string();
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT prepared_us FROM transactions
                           ORDER BY prepared_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT transaction_id FROM transactions
                            WHERE state <> 'prepared' AND prepared_us < ?
                            AND transaction_id NOT IN (SELECT value FROM json_each(?))
                            ORDER BY prepared_us LIMIT ?";
                let over = ids_but_of(c, over, before_us, &untold, batch).await?;
                let gone = "DELETE FROM transactions
                            WHERE transaction_id IN (SELECT value FROM json_each(?))";
                let mut gone = forget(c, over, &[gone]).await?;
                gone += keys(c, oldest_us, batch).await?;
                let old = "SELECT DISTINCT movement_id FROM postings
                           WHERE at_us < ? AND movement_id <> 'carried-forward' LIMIT ?";
                if let Some(old) = ids(c, old, before_us, batch).await? {
                    gone += carry_forward(c, &BANK, &old).await?;
                }
                Ok(gone)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}

/// The statements that carry a double-entry ledger forward, whose postings name what they are of in
/// one column.
struct Ledger {
    sums: &'static str,
    add: &'static str,
    insert: &'static str,
    delete: &'static str,
}

macro_rules! ledger {
    ($of:literal) => {
        Ledger {
            sums: concat!(
                "SELECT account_id, sum(minor) AS minor, max(at_us) AS at_us FROM postings WHERE ",
                $of,
                " IN (SELECT value FROM json_each(?)) GROUP BY account_id"
            ),
            add: concat!(
                "UPDATE postings SET minor = minor + ?, at_us = max(at_us, ?) WHERE ",
                $of,
                " = ? AND account_id = ?"
            ),
            insert: concat!(
                "INSERT INTO postings (minor, at_us, ",
                $of,
                ", account_id) VALUES (?, ?, ?, ?)"
            ),
            delete: concat!(
                "DELETE FROM postings WHERE ",
                $of,
                " IN (SELECT value FROM json_each(?))"
            ),
        }
    };
}

const BANK: Ledger = ledger!("movement_id");
const PROVIDER: Ledger = ledger!("operation_id");

/// Folds the postings of some ids (a JSON array) into those of [`CARRIED`]: each account keeps one.
/// The number of postings that went.
async fn carry_forward(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    ids: &str,
) -> Result<u64, sqlx::Error> {
    for row in sqlx::query(ledger.sums).bind(ids).fetch_all(&mut *c).await? {
        let (account, minor, at_us): (String, i64, i64) =
            (row.try_get("account_id")?, row.try_get("minor")?, row.try_get("at_us")?);
        let mut carried = 0;
        for statement in [ledger.add, ledger.insert] {
            if carried == 0 {
                let carry = sqlx::query(statement).bind(minor).bind(at_us);
                let carry = carry.bind(CARRIED).bind(&account);
                carried = carry.execute(&mut *c).await?.rows_affected();
            }
        }
    }
    Ok(sqlx::query(ledger.delete).bind(ids).execute(c).await?.rows_affected())
}

#[async_trait]
impl Prune for Provider {
    /// Decided operations go with their postings, which one operation carries forward. Those of an
    /// order that is not over stay: what was charged for it may have to be given back. So do those
    /// that the provider may be told of again.
    async fn prune(&self, keep: Keep, open: &Open, batch: usize) -> Result<u64, StoreError> {
        let untold = open.transactions.iter();
        let untold: Vec<_> =
            untold.flat_map(|id| [Kind::Charge, Kind::Refund].map(|kind| kind.id(id))).collect();
        let untold = serde_json::json!(untold).to_string();
        let open = serde_json::json!(open.orders).to_string();
        let oldest_us = oldest(keep, &self.1);
        let gone = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let nth = "SELECT asked_us FROM operations
                           ORDER BY asked_us DESC LIMIT 1 OFFSET ?";
                let rows = keep.orders.saturating_mul(TRANSACTIONS_OF_ORDER);
                let before_us = cutoff(c, nth, rows, oldest_us).await?;
                let over = "SELECT operation_id FROM operations
                            WHERE state <> 'held' AND asked_us < ? AND target <> ''
                            AND order_id NOT IN (SELECT value FROM json_each(?))
                            AND operation_id NOT IN (SELECT value FROM json_each(?))
                            ORDER BY asked_us LIMIT ?";
                let over = sqlx::query_scalar(over).bind(before_us).bind(open).bind(untold);
                let over: Vec<String> = over.bind(limit(batch)).fetch_all(&mut *c).await?;
                let Some(over) = array(&over) else { return Ok(0) };
                // Without a target it is nobody's charge, and never asked for.
                sqlx::query(
                    "INSERT INTO operations VALUES (?, 'charge', '', 0, '', 'done', NULL, 0)
                     ON CONFLICT DO NOTHING",
                )
                .bind(CARRIED)
                .execute(&mut *c)
                .await?;
                let gone = carry_forward(c, &PROVIDER, &over).await?;
                let over = forget(
                    c,
                    Some(over),
                    &["DELETE FROM operations
                       WHERE operation_id IN (SELECT value FROM json_each(?))"],
                );
                Ok(gone + over.await?)
            })
        });
        vacuum(&self.0, gone.await?).await
    }
}
