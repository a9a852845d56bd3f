//! A bank's tables.

use crate::{
    database::Database,
    keys::{self, Used},
    outbox::Cause,
};
use async_trait::async_trait;
use base::{Clock, TraceContext};
use shop::{
    StoreError,
    bank::{
        self, Account, BankStore, BankTx, BankWork, CLEARING, DoubtMark, EXTERNAL, InDoubt, Posting,
    },
    key::Commanded,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use two_phase_commit::{IllegalStep, ParticipantState, Vote};

/// Doubts looked into at once; the next look goes on behind them.
const DOUBTS_MAX: i64 = 100;
/// What was prepared further ahead of now than this, microseconds, was so before the clock was set
/// back. How long ago is unknown, so it is in doubt: more than a reading and the write after it
/// are apart.
const AHEAD_US: i64 = 5_000_000;

pub(crate) struct Bank(pub(crate) Database, pub(crate) Clock);

#[async_trait]
impl BankStore for Bank {
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = self.0.read("bank.accounts", |c| {
            let all = sqlx::query("SELECT * FROM accounts ORDER BY account_id");
            Box::pin(all.try_map(|row| account(&row)).fetch_all(c))
        });
        rows.await
    }

    async fn held(&self) -> Result<u64, StoreError> {
        let held: i64 = self
            .0
            .read_quietly(|c| {
                Box::pin(
                    sqlx::query_scalar(
                        "SELECT count(*) FROM transactions WHERE state = 'prepared'",
                    )
                    .fetch_one(c),
                )
            })
            .await?;
        Ok(u64::try_from(held).unwrap_or(0))
    }

    async fn prepare(
        &self,
        transaction_id: &str,
        work: &BankWork,
        correlation_id: Option<String>,
    ) -> Result<Vote, StoreError> {
        let (id, work) = (transaction_id.to_owned(), work.clone());
        let cause =
            Cause { correlation_id, trace: TraceContext::current(), now_us: self.1.now_us() };
        let write = self.0.write("bank.prepare", move |c| {
            Box::pin(async move {
                let known = transaction(c, &id).await?;
                let named = account_of(c, &work.account_id).await?;
                let change = bank::prepare(known.as_ref(), named.as_ref(), &work);
                if change.hold > 0 {
                    hold(c, &work.account_id, change.hold).await?;
                }
                if let Some(record) = change.record {
                    begin(c, &id, &record, &cause).await?;
                }
                Ok(change.vote)
            })
        });
        write.await
    }

    async fn finish(
        &self,
        transaction_id: &str,
        commit: bool,
    ) -> Result<Result<String, IllegalStep>, StoreError> {
        let (id, now_us) = (transaction_id.to_owned(), self.1.now_us());
        let write = self.0.write("bank.finish", move |c| {
            Box::pin(async move {
                let known = transaction(c, &id).await?;
                let (state, postings, released) = match bank::finish(known.as_ref(), commit) {
                    Ok(done) => done,
                    Err(illegal) => return Ok(Err(illegal)),
                };
                let order_id = known.as_ref().map(|tx| tx.work.order_id.clone());
                match known {
                    Some(tx) if tx.state == state => {}
                    Some(tx) => {
                        if released > 0 {
                            hold(c, &tx.work.account_id, -released).await?;
                        }
                        post(c, &id, &postings, now_us).await?;
                        set_state(c, &id, state).await?;
                    }
                    None => presume_aborted(c, &id, now_us).await?,
                }
                Ok(Ok(order_id.unwrap_or_default()))
            })
        });
        write.await
    }

    async fn in_doubt(
        &self,
        before_us: i64,
        after: &DoubtMark,
    ) -> Result<Vec<InDoubt>, StoreError> {
        let DoubtMark(after_us, after_id) = after.clone();
        let ahead_us = self.1.now_us().saturating_add(AHEAD_US);
        let rows = self.0.read_quietly(move |c| {
            Box::pin(async move {
                sqlx::query(
                    "SELECT * FROM transactions
                     WHERE state = 'prepared' AND (prepared_us < ? OR prepared_us > ?)
                         AND (prepared_us, transaction_id) > (?, ?)
                     ORDER BY prepared_us, transaction_id LIMIT ?",
                )
                .bind(before_us)
                .bind(ahead_us)
                .bind(after_us)
                .bind(after_id)
                .bind(DOUBTS_MAX)
                .try_map(|row| doubt(&row))
                .fetch_all(c)
                .await
            })
        });
        rows.await
    }

    async fn doubts(&self, before_us: i64) -> Result<u64, StoreError> {
        let ahead_us = self.1.now_us().saturating_add(AHEAD_US);
        let count = self.0.read_quietly(move |c| {
            let count = sqlx::query_scalar::<_, i64>(
                "SELECT count(*) FROM transactions
                 WHERE state = 'prepared' AND (prepared_us < ? OR prepared_us > ?)",
            );
            Box::pin(count.bind(before_us).bind(ahead_us).fetch_one(c))
        });
        Ok(u64::try_from(count.await?).unwrap_or(0))
    }

    async fn deposit(
        &self,
        account_id: &str,
        minor: i64,
        key: Option<String>,
    ) -> Result<Commanded, StoreError> {
        let (id, now_us) = (account_id.to_owned(), self.1.now_us());
        let write = self.0.write("bank.deposit", move |c| {
            Box::pin(async move {
                if account_of(c, &id).await?.is_none() {
                    return Ok(Commanded::Unknown);
                }
                match keys::take(c, key.as_deref(), &format!("{id} {minor}"), now_us).await? {
                    Used::Now => {}
                    Used::Before => return Ok(Commanded::Done),
                    Used::Otherwise => return Ok(Commanded::KeyReused),
                }
                let movement = format!("deposit-{id}-{now_us}");
                post(c, &movement, &bank::transfer(EXTERNAL, &id, minor), now_us).await?;
                Ok(Commanded::Done)
            })
        });
        write.await
    }

    async fn ledger_sum(&self) -> Result<i64, StoreError> {
        let read = self.0.read("bank.ledger_sum", |c| {
            let sum = sqlx::query_scalar("SELECT coalesce(sum(minor), 0) FROM postings");
            Box::pin(sum.fetch_one(c))
        });
        read.await
    }
}

fn account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        account_id: row.try_get("account_id")?,
        balance: row.try_get("balance")?,
        held: row.try_get("held")?,
    })
}

fn doubt(row: &SqliteRow) -> Result<InDoubt, sqlx::Error> {
    let trace = TraceContext {
        traceparent: row.try_get("traceparent")?,
        tracestate: row.try_get("tracestate")?,
        baggage: None,
    };
    let correlation_id = row.try_get("correlation_id")?;
    Ok(InDoubt {
        correlation_id,
        transaction_id: row.try_get("transaction_id")?,
        prepared_us: row.try_get("prepared_us")?,
        order_id: row.try_get("order_id")?,
        trace,
    })
}

async fn account_of(c: &mut SqliteConnection, id: &str) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM accounts WHERE account_id = ?").bind(id);
    row.try_map(|row| account(&row)).fetch_optional(c).await
}

async fn hold(c: &mut SqliteConnection, id: &str, minor: i64) -> Result<(), sqlx::Error> {
    let held = sqlx::query("UPDATE accounts SET held = held + ? WHERE account_id = ?");
    held.bind(minor).bind(id).execute(c).await?;
    Ok(())
}

async fn transaction(c: &mut SqliteConnection, id: &str) -> Result<Option<BankTx>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM transactions WHERE transaction_id = ?").bind(id);
    row.try_map(|row| bank_tx(&row)).fetch_optional(c).await
}

fn bank_tx(row: &SqliteRow) -> Result<BankTx, sqlx::Error> {
    let state: String = row.try_get("state")?;
    Ok(BankTx {
        state: match state.as_str() {
            "prepared" => ParticipantState::Prepared,
            "committed" => ParticipantState::Committed,
            _ => ParticipantState::Aborted,
        },
        work: BankWork {
            account_id: row.try_get("account_id")?,
            takes: row.try_get("takes")?,
            order_id: row.try_get("order_id")?,
        },
        reason: row.try_get("reason")?,
    })
}

const fn word(state: ParticipantState) -> &'static str {
    match state {
        ParticipantState::Prepared => "prepared",
        ParticipantState::Committed => "committed",
        ParticipantState::Unknown | ParticipantState::Aborted => "aborted",
    }
}

async fn begin(
    c: &mut SqliteConnection,
    id: &str,
    tx: &BankTx,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(id)
        .bind(&tx.work.order_id)
        .bind(word(tx.state))
        .bind(&tx.work.account_id)
        .bind(tx.work.takes)
        .bind(&tx.reason)
        .bind(&cause.trace.traceparent)
        .bind(&cause.trace.tracestate)
        .bind(cause.now_us)
        .bind(&cause.correlation_id)
        .execute(c)
        .await?;
    Ok(())
}

/// An abort that came before its prepare: the prepare, should it still come, finds it and votes no.
async fn presume_aborted(
    c: &mut SqliteConnection,
    id: &str,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let work = BankWork { account_id: String::new(), takes: 0, order_id: String::new() };
    let tx = BankTx { state: ParticipantState::Aborted, work, reason: Some("aborted".into()) };
    let cause = Cause { correlation_id: None, trace: TraceContext::default(), now_us };
    begin(c, id, &tx, &cause).await
}

async fn set_state(
    c: &mut SqliteConnection,
    id: &str,
    state: ParticipantState,
) -> Result<(), sqlx::Error> {
    let set = sqlx::query("UPDATE transactions SET state = ? WHERE transaction_id = ?");
    set.bind(word(state)).bind(id).execute(c).await?;
    Ok(())
}

async fn post(
    c: &mut SqliteConnection,
    movement_id: &str,
    postings: &[Posting],
    now_us: i64,
) -> Result<(), sqlx::Error> {
    for posting in postings {
        sqlx::query(
            "INSERT INTO postings (movement_id, account_id, minor, at_us) VALUES (?, ?, ?, ?)",
        )
        .bind(movement_id)
        .bind(&posting.account_id)
        .bind(posting.minor)
        .bind(now_us)
        .execute(&mut *c)
        .await?;
        sqlx::query("UPDATE accounts SET balance = balance + ? WHERE account_id = ?")
            .bind(posting.minor)
            .bind(&posting.account_id)
            .execute(&mut *c)
            .await?;
    }
    Ok(())
}

/// Opens the bank's accounts with their opening balances, which come from outside.
pub(crate) async fn seed(
    c: &mut SqliteConnection,
    wallets: Vec<(String, i64)>,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    for id in [CLEARING, EXTERNAL] {
        sqlx::query("INSERT INTO accounts VALUES (?, 0, 0, 1) ON CONFLICT DO NOTHING")
            .bind(id)
            .execute(&mut *c)
            .await?;
    }
    for (id, opening) in wallets {
        let new = sqlx::query("INSERT INTO accounts VALUES (?, 0, 0, 0) ON CONFLICT DO NOTHING")
            .bind(&id)
            .execute(&mut *c)
            .await?;
        if new.rows_affected() == 1 {
            let movement = format!("opening-{id}");
            post(c, &movement, &bank::transfer(EXTERNAL, &id, opening), now_us).await?;
        }
    }
    Ok(())
}
