//! payments' tables: the coordinator's log.

use crate::{
    database::Database,
    inbox,
    outbox::{self, Cause, SqliteOutbox},
};
use async_trait::async_trait;
use base::Clock;
use contract::{Money, attributes};
use messaging::{Message, NewMessage, Outbox};
use shop::{
    StoreError,
    payments::{Begun, Found, PaymentRow, PaymentStore, TransactionRecord, VOIDED, Void, Voided},
    store::HasOutbox,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::sync::Arc;
use two_phase_commit::{Decision, Entry, EntryKind, Phase, Transaction};

pub(crate) struct Payments(pub(crate) Database, pub(crate) Clock);

impl HasOutbox for Payments {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox(self.0.clone(), self.1.clone()))
    }
}

#[async_trait]
impl PaymentStore for Payments {
    async fn begin(
        &self,
        message: &Message,
        transaction: &Transaction,
        user_id: &str,
        amount: Money,
        may_run: bool,
    ) -> Result<Begun, StoreError> {
        let now_us = self.1.now_us();
        let (message_id, tx, user_id) =
            (message.id.clone(), transaction.clone(), user_id.to_owned());
        let write = self.0.write("payments.begin", move |c| {
            Box::pin(async move {
                if !may_run && is_new(c, &message_id, &tx.id).await? {
                    return Ok(Begun::NoRoom);
                }
                if !inbox::take(c, &message_id, now_us).await? {
                    return Ok(Begun::Before);
                }
                if !begin(c, &tx, (&user_id, amount), now_us).await? {
                    return Ok(Begun::Before);
                }
                Ok(Begun::Now)
            })
        });
        write.await
    }

    async fn void(&self, message: &Message, void: Void) -> Result<Voided, StoreError> {
        let (id, cause) = (message.id.clone(), Cause::of(message, self.1.now_us()));
        let write = self.0.write("payments.void", move |c| {
            Box::pin(async move {
                let row = sqlx::query("SELECT * FROM transactions WHERE transaction_id = ?");
                let row = row.bind(&void.payment.id).fetch_optional(&mut *c).await?;
                let known = row.as_ref().map(decision).transpose()?;
                let found = Found::of(known.as_ref().map(Option::as_ref));
                if found == Found::Committed && !void.may_refund {
                    return Ok(Voided::NoRoom);
                }
                if !inbox::take(c, &id, cause.now_us).await? {
                    return Ok(Voided::Before);
                }
                if found == Found::Committed {
                    return refund(c, void, cause.now_us).await;
                }
                abort(c, &void, found, cause.now_us).await?;
                outbox::put(c, &cause, &void.answer(found)).await?;
                Ok(Voided::Answered(found))
            })
        });
        write.await
    }

    async fn decide(
        &self,
        transaction: &Transaction,
        decision: &Decision,
        lines: &[Entry],
        answer: NewMessage,
    ) -> Result<Decision, StoreError> {
        let cause = Cause {
            correlation_id: transaction.correlation_id.clone(),
            trace: base::TraceContext::current(),
            now_us: self.1.now_us(),
        };
        let (id, decision, lines) = (transaction.id.clone(), decision.clone(), lines.to_vec());
        let write = self.0.write("payments.decide", move |c| {
            Box::pin(async move {
                let decided = sqlx::query(
                    "UPDATE transactions SET decision = ?
                     WHERE transaction_id = ? AND decision IS NULL",
                )
                .bind(json(&decision)?)
                .bind(&id)
                .execute(&mut *c)
                .await?;
                if decided.rows_affected() == 1 {
                    append(c, &id, &lines).await?;
                    outbox::put(c, &cause, &answer).await?;
                    say(&decision);
                    return Ok(decision);
                }
                let known = sqlx::query("SELECT * FROM transactions WHERE transaction_id = ?");
                let known = self::decision(&known.bind(&id).fetch_one(&mut *c).await?)?;
                if matches!(known, Some(Decision::Abort { .. })) {
                    // Voided while votes were awaited: what was heard of them is told all the same.
                    let heard = lines.into_iter().filter(|line| !line.kind.decides());
                    append(c, &id, &heard.collect::<Vec<_>>()).await?;
                }
                known.inspect(say).ok_or(sqlx::Error::RowNotFound)
            })
        });
        write.await
    }

    async fn note(&self, transaction_id: &str, lines: &[Entry]) -> Result<(), StoreError> {
        let (id, lines) = (transaction_id.to_owned(), lines.to_vec());
        let write = self.0.write("payments.note", move |c| {
            Box::pin(async move {
                if lines.iter().any(|line| line.kind == EntryKind::End) {
                    let ended = sqlx::query(
                        "UPDATE transactions SET ended = 1 WHERE transaction_id = ? AND ended = 0",
                    );
                    if ended.bind(&id).execute(&mut *c).await?.rows_affected() == 0 {
                        return Ok(());
                    }
                }
                append(c, &id, &lines).await
            })
        });
        write.await
    }

    async fn unfinished_count(&self) -> Result<usize, StoreError> {
        let read = self.0.read_quietly(|c| {
            let count = "SELECT count(*) FROM transactions WHERE ended = 0";
            Box::pin(sqlx::query_scalar::<_, i64>(count).fetch_one(c))
        });
        Ok(usize::try_from(read.await?).unwrap_or(0))
    }

    async fn unended(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = self.0.read_quietly(move |c| {
            let ids = "SELECT transaction_id FROM transactions WHERE ended = 0 LIMIT ?";
            Box::pin(sqlx::query_scalar(ids).bind(limit).fetch_all(c))
        });
        read.await
    }

    async fn last_line(&self) -> Result<i64, StoreError> {
        let read = self.0.read_quietly(|c| {
            let last = "SELECT coalesce(max(line), 0) FROM transaction_log";
            Box::pin(sqlx::query_scalar(last).fetch_one(c))
        });
        read.await
    }

    async fn unfinished(
        &self,
        after: &(i64, String),
        until_line: i64,
        limit: usize,
    ) -> Result<Vec<(i64, TransactionRecord)>, StoreError> {
        let (after, limit) = (after.clone(), i64::try_from(limit).unwrap_or(i64::MAX));
        let read = self.0.read("payments.transactions", move |c| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT * FROM transactions AS t
                     WHERE ended = 0 AND (begun_us, transaction_id) > (?, ?)
                         AND (SELECT min(line) FROM transaction_log AS l
                              WHERE l.transaction_id = t.transaction_id) <= ?
                     ORDER BY begun_us, transaction_id LIMIT ?",
                )
                .bind(after.0)
                .bind(after.1)
                .bind(until_line)
                .bind(limit)
                .fetch_all(&mut *c)
                .await?;
                let mut records = Vec::new();
                for row in rows {
                    records.push((row.try_get("begun_us")?, record(c, &row).await?));
                }
                Ok(records)
            })
        });
        read.await
    }

    async fn transaction(&self, id: &str) -> Result<Option<TransactionRecord>, StoreError> {
        let found = self.records("SELECT * FROM transactions WHERE transaction_id = ?", id);
        Ok(found.await?.pop())
    }

    async fn of_order(&self, order_id: &str) -> Result<Vec<TransactionRecord>, StoreError> {
        let by_order = "SELECT * FROM transactions WHERE order_id = ? ORDER BY begun_us";
        self.records(by_order, order_id).await
    }

    async fn of_user(&self, user_id: &str, limit: usize) -> Result<Vec<PaymentRow>, StoreError> {
        let user_id = user_id.to_owned();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = self.0.read("payments.of_user", move |c| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT * FROM transactions WHERE user_id = ? ORDER BY begun_us DESC LIMIT ?",
                )
                .bind(user_id)
                .bind(limit)
                .fetch_all(c)
                .await?;
                rows.iter().map(row).collect()
            })
        });
        read.await
    }
}

impl Payments {
    async fn records(
        &self,
        query: &'static str,
        argument: &str,
    ) -> Result<Vec<TransactionRecord>, StoreError> {
        let argument = argument.to_owned();
        let read = self.0.read("payments.transactions", move |c| {
            Box::pin(async move {
                let query = sqlx::query(query).bind(argument);
                let mut records = Vec::new();
                for row in query.fetch_all(&mut *c).await? {
                    records.push(record(c, &row).await?);
                }
                Ok(records)
            })
        });
        read.await
    }
}

/// What a transaction came to, on the span of its decision: its own, or one that was there before.
fn say(decision: &Decision) {
    let word = match decision {
        Decision::Commit => "commit",
        Decision::Abort { .. } => "abort",
    };
    let span = tracing::Span::current();
    base::trace_context::tag(&span, attributes::TRANSACTION_DECISION, word);
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Whether neither the message was taken nor its transaction begun, or voided before it began.
async fn is_new(
    c: &mut SqliteConnection,
    message_id: &str,
    transaction_id: &str,
) -> Result<bool, sqlx::Error> {
    let known = sqlx::query_scalar::<_, bool>(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE message_id = ?)
             OR EXISTS (SELECT 1 FROM transactions WHERE transaction_id = ?)",
    );
    Ok(!known.bind(message_id).bind(transaction_id).fetch_one(c).await?)
}

/// Begins a transaction; false when there is one of its id.
async fn begin(
    c: &mut SqliteConnection,
    tx: &Transaction,
    (user_id, amount): (&str, Money),
    now_us: i64,
) -> Result<bool, sqlx::Error> {
    let begun = sqlx::query(
        "INSERT INTO transactions
            (transaction_id, order_id, user_id, purpose, amount_minor, begun_us, data)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&tx.id)
    .bind(&tx.key)
    .bind(user_id)
    .bind(&tx.purpose)
    .bind(amount.minor)
    .bind(now_us)
    .bind(json(tx)?)
    .execute(&mut *c)
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(false);
    }
    append(c, &tx.id, &[line(now_us, EntryKind::Begin, None)]).await?;
    Ok(true)
}

fn line(at_us: i64, kind: EntryKind, detail: Option<&str>) -> Entry {
    Entry { at_us, kind, participant: None, detail: detail.map(str::to_owned) }
}

/// Sees to it that a payment that did not commit never will.
async fn abort(
    c: &mut SqliteConnection,
    void: &Void,
    found: Found,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let tx = &void.payment;
    if found == Found::NeverBegun {
        begin(c, tx, (&void.user_id, void.amount), now_us).await?;
    }
    let decided = sqlx::query(
        "UPDATE transactions SET decision = ? WHERE transaction_id = ? AND decision IS NULL",
    );
    let decided = decided.bind(json(&Void::decision())?).bind(&tx.id).execute(&mut *c).await?;
    if decided.rows_affected() == 1 {
        let abort = line(now_us, EntryKind::DecideAbort, Some(VOIDED));
        append(c, &tx.id, &[abort]).await?;
    }
    if found == Found::NeverBegun {
        let ended = sqlx::query("UPDATE transactions SET ended = 1 WHERE transaction_id = ?");
        ended.bind(&tx.id).execute(&mut *c).await?;
        append(c, &tx.id, &[line(now_us, EntryKind::End, None)]).await?;
    }
    Ok(())
}

/// Begins the refund of a payment, unless one is under way or done: its answer is the void's.
async fn refund(c: &mut SqliteConnection, void: Void, now_us: i64) -> Result<Voided, sqlx::Error> {
    let refunds =
        sqlx::query("SELECT * FROM transactions WHERE order_id = ? AND purpose = 'refund'");
    for row in refunds.bind(&void.refund.key).fetch_all(&mut *c).await? {
        if !matches!(decision(&row)?, Some(Decision::Abort { .. })) {
            return Ok(Voided::Before);
        }
    }
    begin(c, &void.refund, (&void.user_id, void.amount), now_us).await?;
    Ok(Voided::Refunds(Box::new(void.refund)))
}

async fn append(c: &mut SqliteConnection, id: &str, lines: &[Entry]) -> Result<(), sqlx::Error> {
    for line in lines {
        sqlx::query("INSERT INTO transaction_log (transaction_id, data) VALUES (?, ?)")
            .bind(id)
            .bind(json(line)?)
            .execute(&mut *c)
            .await?;
    }
    Ok(())
}

fn decision(row: &SqliteRow) -> Result<Option<Decision>, sqlx::Error> {
    row.try_get::<Option<String>, _>("decision")?.map(|text| parse(&text)).transpose()
}

async fn record(
    c: &mut SqliteConnection,
    row: &SqliteRow,
) -> Result<TransactionRecord, sqlx::Error> {
    let transaction: Transaction = parse(row.try_get("data")?)?;
    let log: Vec<String> = sqlx::query_scalar(
        "SELECT data FROM transaction_log WHERE transaction_id = ? ORDER BY line",
    )
    .bind(&transaction.id)
    .fetch_all(c)
    .await?;
    let log = log.iter().map(|line| parse(line)).collect::<Result<_, _>>()?;
    Ok(TransactionRecord { transaction, log, decision: decision(row)? })
}

fn row(row: &SqliteRow) -> Result<PaymentRow, sqlx::Error> {
    let ended: bool = row.try_get("ended")?;
    let phase = match (decision(row)?, ended) {
        (None, _) => Phase::Preparing,
        (Some(Decision::Commit), false) => Phase::Committing,
        (Some(Decision::Commit), true) => Phase::Committed,
        (Some(Decision::Abort { .. }), false) => Phase::Aborting,
        (Some(Decision::Abort { .. }), true) => Phase::Aborted,
    };
    Ok(PaymentRow {
        transaction_id: row.try_get("transaction_id")?,
        order_id: row.try_get("order_id")?,
        purpose: row.try_get("purpose")?,
        amount: Money::eur(row.try_get("amount_minor")?),
        phase,
        at_us: row.try_get("begun_us")?,
        risk_score: None,
    })
}
