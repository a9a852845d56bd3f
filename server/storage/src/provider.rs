//! The payment provider's tables.

use crate::database::Database;
use async_trait::async_trait;
use base::Clock;
use contract::Money;
use shop::{
    StoreError,
    bank::{CLEARING, Posting},
    provider::{
        self, Asked, CARDS, Conflict, Kind, Operation, Progress, ProviderBalances, ProviderStore,
        Refundable,
    },
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

pub(crate) struct Provider(pub(crate) Database, pub(crate) Clock);

#[async_trait]
impl ProviderStore for Provider {
    async fn hold(&self, asked: Asked) -> Result<Result<Operation, Conflict>, StoreError> {
        let now_us = self.1.now_us();
        let write = self.0.write("provider.hold", move |c| {
            Box::pin(async move {
                let known = operation(c, &asked.id).await?;
                let of = match asked.kind {
                    Kind::Charge => None,
                    Kind::Refund => refundable(c, &asked.target).await?,
                };
                let held = provider::hold(known.as_ref(), of.as_ref(), &asked);
                if let (None, Ok(held)) = (&known, &held) {
                    keep(c, held, now_us).await?;
                }
                Ok(held)
            })
        });
        write.await
    }

    async fn settle(
        &self,
        kind: Kind,
        id: &str,
        commit: bool,
    ) -> Result<Result<Operation, Conflict>, StoreError> {
        let (id, now_us) = (id.to_owned(), self.1.now_us());
        let write = self.0.write("provider.settle", move |c| {
            Box::pin(async move {
                let known = operation(c, &id).await?;
                let settled = match provider::settle(known.as_ref(), (kind, &id), commit) {
                    Ok(settled) => settled,
                    Err(conflict) => return Ok(Err(conflict)),
                };
                if known.as_ref() != Some(&settled.operation) {
                    keep(c, &settled.operation, now_us).await?;
                }
                post(c, &id, &settled.postings, now_us).await?;
                Ok(Ok(settled.operation))
            })
        });
        write.await
    }

    async fn operation(&self, id: &str) -> Result<Option<Operation>, StoreError> {
        let id = id.to_owned();
        let read =
            self.0.read("provider.operation", |c| Box::pin(async move { operation(c, &id).await }));
        read.await
    }

    async fn balances(&self) -> Result<ProviderBalances, StoreError> {
        let read = self.0.read_quietly(|c| {
            Box::pin(async move {
                sqlx::query(
                    "SELECT coalesce(sum(minor) FILTER (WHERE account_id = ?), 0) AS clearing,
                            coalesce(sum(minor) FILTER (WHERE account_id = ?), 0) AS cards
                     FROM postings",
                )
                .bind(CLEARING)
                .bind(CARDS)
                .try_map(|row: SqliteRow| {
                    let (clearing, cards) = (row.try_get("clearing")?, row.try_get("cards")?);
                    Ok(ProviderBalances { clearing, cards })
                })
                .fetch_one(c)
                .await
            })
        });
        read.await
    }

    async fn held(&self) -> Result<u64, StoreError> {
        let read = self.0.read_quietly(|c| {
            let held = "SELECT count(*) FROM operations WHERE state = 'held'";
            Box::pin(sqlx::query_scalar(held).fetch_one(c))
        });
        let held: i64 = read.await?;
        Ok(u64::try_from(held).unwrap_or(0))
    }
}

const fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Held => "held",
        Progress::Done => "done",
        Progress::Canceled => "canceled",
        Progress::Refused => "refused",
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Charge => "charge",
        Kind::Refund => "refund",
    }
}

fn read(row: &SqliteRow) -> Result<Operation, sqlx::Error> {
    let (kind, state): (String, String) = (row.try_get("kind")?, row.try_get("state")?);
    let kind = if kind == kind_word(Kind::Charge) { Kind::Charge } else { Kind::Refund };
    let all = [Progress::Held, Progress::Done, Progress::Canceled, Progress::Refused];
    let progress = all.into_iter().find(|progress| word(*progress) == state);
    Ok(Operation {
        asked: Asked {
            id: row.try_get("operation_id")?,
            kind,
            target: row.try_get("target")?,
            amount: Money::eur(row.try_get("minor")?),
            order_id: row.try_get("order_id")?,
        },
        progress: progress.ok_or_else(|| sqlx::Error::Decode(state.into()))?,
        reason: row.try_get("reason")?,
    })
}

async fn operation(c: &mut SqliteConnection, id: &str) -> Result<Option<Operation>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM operations WHERE operation_id = ?").bind(id);
    row.try_map(|row| read(&row)).fetch_optional(c).await
}

/// A charge, with what was given back of it or is about to be.
async fn refundable(
    c: &mut SqliteConnection,
    charge: &str,
) -> Result<Option<Refundable>, sqlx::Error> {
    let Some(found) = operation(c, charge).await? else {
        return Ok(None);
    };
    let refunded = sqlx::query_scalar(
        "SELECT coalesce(sum(minor), 0) FROM operations
         WHERE kind = 'refund' AND target = ? AND state IN ('held', 'done')",
    );
    let refunded = refunded.bind(charge).fetch_one(c).await?;
    Ok(Some(Refundable { charge: found, refunded }))
}

async fn keep(
    c: &mut SqliteConnection,
    Operation { asked, progress, reason }: &Operation,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason",
    )
    .bind(&asked.id)
    .bind(kind_word(asked.kind))
    .bind(&asked.target)
    .bind(asked.amount.minor)
    .bind(&asked.order_id)
    .bind(word(*progress))
    .bind(reason)
    .bind(now_us)
    .execute(c)
    .await?;
    Ok(())
}

async fn post(
    c: &mut SqliteConnection,
    id: &str,
    postings: &[Posting],
    now_us: i64,
) -> Result<(), sqlx::Error> {
    for Posting { account_id, minor } in postings {
        sqlx::query(
            "INSERT INTO postings (operation_id, account_id, minor, at_us) VALUES (?, ?, ?, ?)",
        )
        .bind(id)
        .bind(account_id)
        .bind(minor)
        .bind(now_us)
        .execute(&mut *c)
        .await?;
    }
    Ok(())
}
