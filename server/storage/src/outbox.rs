//! Messages recorded with the state they announce, and the relay's view of them.

use crate::database::Database;
use async_trait::async_trait;
use base::TraceContext;
use messaging::{Message, NewMessage, Outbox, OutboxError, OutboxRow};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::sync::Arc;
use tokio::sync::Notify;

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
pub(crate) struct SqliteOutbox(pub(crate) Database);

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

    fn recorded(&self) -> Arc<Notify> {
        self.0.committed_outbox()
    }
}

fn read(source: &'static str, row: &SqliteRow) -> Result<OutboxRow, sqlx::Error> {
    let body: String = row.try_get("body")?;
    let message = Message {
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
    };
    Ok(OutboxRow { sequence: row.try_get("sequence")?, message })
}
