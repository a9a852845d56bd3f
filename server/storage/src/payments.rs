//! payments' tables: the coordinator's log.

use crate::{
    database::Database,
    inbox,
    outbox::{self, Cause, SqliteOutbox},
};
use async_trait::async_trait;
use base::Clock;
use contract::Money;
use messaging::{Message, NewMessage, Outbox};
use shop::{
    StoreError,
    payments::{Begun, PaymentRow, PaymentStore, TransactionRecord},
    store::HasOutbox,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::sync::Arc;
use two_phase_commit::{Decision, Entry, EntryKind, Phase, Transaction};

pub(crate) struct Payments(pub(crate) Database, pub(crate) Clock);

impl HasOutbox for Payments {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox(self.0.clone()))
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
    ) -> Result<Begun, StoreError> {
        let now_us = self.1.now_us();
        let (message_id, tx, user_id) =
            (message.id.clone(), transaction.clone(), user_id.to_owned());
        let write = self.0.write("payments.begin", move |c| {
            Box::pin(async move {
                if !inbox::take(c, &message_id, now_us).await? {
                    return Ok(Begun::Before);
                }
                let begun = sqlx::query(
                    "INSERT INTO transactions
                        (transaction_id, order_id, user_id, purpose, amount_minor, begun_us, data)
                     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(&tx.id)
                .bind(&tx.key)
                .bind(&user_id)
                .bind(&tx.purpose)
                .bind(amount.minor)
                .bind(now_us)
                .bind(json(&tx)?)
                .execute(&mut *c)
                .await?;
                if begun.rows_affected() == 0 {
                    return Ok(Begun::Before);
                }
                let kind = EntryKind::Begin;
                let line = Entry { at_us: now_us, kind, participant: None, detail: None };
                append(c, &tx.id, &[line]).await?;
                Ok(Begun::Now)
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
                    return Ok(decision);
                }
                let known = sqlx::query("SELECT * FROM transactions WHERE transaction_id = ?");
                let known = self::decision(&known.bind(&id).fetch_one(c).await?)?;
                known.ok_or(sqlx::Error::RowNotFound)
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

    async fn unfinished(&self) -> Result<Vec<TransactionRecord>, StoreError> {
        self.records("SELECT * FROM transactions WHERE ended = 0 ORDER BY begun_us", None).await
    }

    async fn transaction(&self, id: &str) -> Result<Option<TransactionRecord>, StoreError> {
        let found = self.records("SELECT * FROM transactions WHERE transaction_id = ?", Some(id));
        Ok(found.await?.pop())
    }

    async fn of_order(&self, order_id: &str) -> Result<Vec<TransactionRecord>, StoreError> {
        let by_order = "SELECT * FROM transactions WHERE order_id = ? ORDER BY begun_us";
        self.records(by_order, Some(order_id)).await
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
        argument: Option<&str>,
    ) -> Result<Vec<TransactionRecord>, StoreError> {
        let argument = argument.map(str::to_owned);
        let read = self.0.read("payments.transactions", move |c| {
            Box::pin(async move {
                let query = sqlx::query(query);
                let query = match argument {
                    Some(argument) => query.bind(argument),
                    None => query,
                };
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

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
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
