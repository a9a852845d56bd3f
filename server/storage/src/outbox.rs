//! Messages recorded with the state they announce, and the relay's view of them.

use crate::database::Database;
use async_trait::async_trait;
use base::{Clock, TraceContext};
use messaging::{DeadLetter, Message, NewMessage, Outbox, OutboxError, OutboxRow};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::sync::Arc;
use tokio::sync::Notify;

/// Dead letters kept in a database: enough to look into what went wrong. Of more the oldest go.
const DEAD_LETTERS_MAX: i64 = 10_000;

/// What a message inherits from its cause.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) correlation_id: Option<String>,
    pub(crate) trace: TraceContext,
    pub(crate) now_us: i64,
}

impl Cause {
    /// From a message that is being taken.
    pub(crate) fn of(message: &Message, now_us: i64) -> Self {
        let correlation_id = message.correlation_id.clone();
        Self { correlation_id, trace: message.trace.clone(), now_us }
    }
}

/// Records a message; one of the same id is recorded already and stays.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    cause: &Cause,
    message: &NewMessage,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO outbox
            (id, topic, key, correlation_id, traceparent, tracestate, baggage, recorded_us, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&message.id)
    .bind(message.topic)
    .bind(&message.key)
    .bind(&cause.correlation_id)
    .bind(&cause.trace.traceparent)
    .bind(&cause.trace.tracestate)
    .bind(&cause.trace.baggage)
    .bind(cause.now_us)
    .bind(message.body.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// A database's outbox.
pub(crate) struct SqliteOutbox(pub(crate) Database, pub(crate) Clock);

#[async_trait]
impl Outbox for SqliteOutbox {
    /// Walks the rows in their order, those of the excepted topics too: each lane asks from where
    /// it is, which is far back only for the lane that is held up itself.
    async fn after(
        &self,
        sequence: i64,
        except: &[&'static str],
        limit: usize,
    ) -> Result<Vec<OutboxRow>, OutboxError> {
        let source = self.0.service();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let except = serde_json::json!(except).to_string();
        let rows = self.0.read_quietly(move |c| {
            Box::pin(async move {
                sqlx::query(
                    "SELECT * FROM outbox
                     WHERE sequence > ? AND topic NOT IN (SELECT value FROM json_each(?))
                     ORDER BY sequence LIMIT ?",
                )
                .bind(sequence)
                .bind(except)
                .bind(limit)
                .fetch_all(c)
                .await
            })
        });
        let rows = rows.await.map_err(|error| OutboxError(Box::new(error)))?;
        rows.iter()
            .map(|row| read(source, row))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| OutboxError(Box::new(error)))
    }

    async fn carry_on(&self, sequence: i64, baggage: &str) -> Result<(), OutboxError> {
        let baggage = baggage.to_owned();
        let recorded = self.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("UPDATE outbox SET baggage = ? WHERE sequence = ?")
                    .bind(baggage)
                    .bind(sequence)
                    .execute(c)
                    .await?;
                Ok(())
            })
        });
        recorded.await.map_err(|error| OutboxError(Box::new(error)))
    }

    async fn forget(&self, sequence: i64) -> Result<(), OutboxError> {
        let forgotten = self.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("DELETE FROM outbox WHERE sequence = ?")
                    .bind(sequence)
                    .execute(c)
                    .await?;
                Ok(())
            })
        });
        forgotten.await.map_err(|error| OutboxError(Box::new(error)))
    }

    async fn bury(&self, sequence: i64, reason: &str) -> Result<(), OutboxError> {
        let (reason, now_us) = (reason.to_owned(), self.1.now_us());
        let buried = self.0.write_quietly(move |c| {
            Box::pin(async move { bury(c, sequence, reason, now_us).await })
        });
        buried.await.map_err(|error| OutboxError(Box::new(error)))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        let source = self.0.service();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let letters = self.0.read_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM dead_letters ORDER BY letter DESC LIMIT ?")
                    .bind(limit)
                    .try_map(|row| letter(source, &row))
                    .fetch_all(c)
                    .await
            })
        });
        letters.await.map_err(|error| OutboxError(Box::new(error)))
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, OutboxError> {
        let (source, id) = (self.0.service(), id.to_owned());
        let found = self.0.read_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM dead_letters WHERE id = ?")
                    .bind(id)
                    .try_map(|row| letter(source, &row))
                    .fetch_optional(c)
                    .await
            })
        });
        found.await.map_err(|error| OutboxError(Box::new(error)))
    }

    async fn dead(&self) -> Result<u64, OutboxError> {
        let count = self.0.read_quietly(|c| {
            let count = "SELECT count(*) FROM dead_letters";
            Box::pin(sqlx::query_scalar::<_, i64>(count).fetch_one(c))
        });
        let count = count.await.map_err(|error| OutboxError(Box::new(error)))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn revive(&self, id: &str) -> Result<bool, OutboxError> {
        let id = id.to_owned();
        let revived = self.0.write_quietly(move |c| Box::pin(async move { revive(c, &id).await }));
        revived.await.map_err(|error| OutboxError(Box::new(error)))
    }

    fn recorded(&self) -> Arc<Notify> {
        self.0.committed_outbox()
    }
}

async fn bury(
    c: &mut SqliteConnection,
    sequence: i64,
    reason: String,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    // Buried, revived and refused again: it is a new letter.
    sqlx::query("DELETE FROM dead_letters WHERE id = (SELECT id FROM outbox WHERE sequence = ?)")
        .bind(sequence)
        .execute(&mut *c)
        .await?;
    sqlx::query(
        "INSERT INTO dead_letters (id, topic, key, correlation_id, traceparent, tracestate, baggage,
                                   recorded_us, body, reason, buried_us)
         SELECT id, topic, key, correlation_id, traceparent, tracestate, baggage,
                recorded_us, body, ?, ?
         FROM outbox WHERE sequence = ?",
    )
    .bind(reason)
    .bind(now_us)
    .bind(sequence)
    .execute(&mut *c)
    .await?;
    sqlx::query("DELETE FROM outbox WHERE sequence = ?").bind(sequence).execute(&mut *c).await?;
    let kept = "DELETE FROM dead_letters
                WHERE letter <= (SELECT max(letter) FROM dead_letters) - ?";
    let dropped = sqlx::query(kept).bind(DEAD_LETTERS_MAX).execute(c).await?.rows_affected();
    if dropped > 0 {
        tracing::error!("{dropped} dead letters beyond {DEAD_LETTERS_MAX} are gone");
    }
    Ok(())
}

async fn revive(c: &mut SqliteConnection, id: &str) -> Result<bool, sqlx::Error> {
    let revived = sqlx::query(
        "INSERT INTO outbox
            (id, topic, key, correlation_id, traceparent, tracestate, baggage, recorded_us, body)
         SELECT id, topic, key, correlation_id, traceparent, tracestate, baggage,
                recorded_us, body
         FROM dead_letters WHERE id = ? ON CONFLICT DO NOTHING",
    );
    revived.bind(id).execute(&mut *c).await?;
    let gone = sqlx::query("DELETE FROM dead_letters WHERE id = ?").bind(id).execute(c).await?;
    Ok(gone.rows_affected() == 1)
}

fn letter(source: &'static str, row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        message: message(source, row)?,
        reason: row.try_get("reason")?,
        buried_us: row.try_get("buried_us")?,
    })
}

fn read(source: &'static str, row: &SqliteRow) -> Result<OutboxRow, sqlx::Error> {
    Ok(OutboxRow { sequence: row.try_get("sequence")?, message: message(source, row)? })
}

fn message(source: &'static str, row: &SqliteRow) -> Result<Message, sqlx::Error> {
    let body: String = row.try_get("body")?;
    Ok(Message {
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        source: source.to_owned(),
        key: row.try_get("key")?,
        correlation_id: row.try_get("correlation_id")?,
        trace: TraceContext {
            traceparent: row.try_get("traceparent")?,
            tracestate: row.try_get("tracestate")?,
            baggage: row.try_get("baggage")?,
        },
        recorded_us: row.try_get("recorded_us")?,
        body: serde_json::from_str(&body).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}
