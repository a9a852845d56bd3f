//! orders' tables: streams, saga logs, keys, and the read model.

use crate::{
    database::Database,
    inbox,
    outbox::{self, Cause, SqliteOutbox},
};
use async_trait::async_trait;
use base::{Clock, TraceContext};
use contract::{
    attributes,
    order::{OrderRow, OrderStatus, Origin},
};
use event_sourcing::{DomainEvent, Recorded, VersionConflict};
use messaging::Outbox;
use shop::{
    StoreError,
    orders::{
        Attempt, Awaited, Changed, Commanded, IdempotencyKey, Listed, NewOrder, Order, OrderEvent,
        OrderStore, OrderStory, Placed, Recent, RecentQuery, RowQuery,
        decide::{Change, OrderRecord, Refusal},
        project,
    },
    store::{HasOutbox, Keep},
};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Notify;
use tracing::{Instrument, Span};

pub(crate) struct Orders(pub(crate) Database, pub(crate) Clock);

impl HasOutbox for Orders {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox(self.0.clone(), self.1.clone()))
    }
}

#[async_trait]
impl OrderStore for Orders {
    async fn place(&self, order: NewOrder) -> Result<Placed, StoreError> {
        let now_us = self.1.now_us();
        let write = self.0.write("orders.place", move |c| {
            Box::pin(async move {
                if let Some(key) = &order.key
                    && let Some(found) = used(c, key).await?
                {
                    return Ok(found.into());
                }
                let new =
                    sqlx::query("INSERT INTO streams VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
                        .bind(&order.order_id)
                        .bind(version_after(0, &order.change))
                        .bind(&order.correlation_id)
                        .bind(order.trace.trace_id())
                        .execute(&mut *c)
                        .await?;
                if new.rows_affected() == 0 {
                    return Ok(Placed::IdTaken);
                }
                if let Some(key) = &order.key {
                    let version = version_after(0, &order.change);
                    use_key(c, key, &order.order_id, version, now_us).await?;
                }
                let correlation_id = Some(order.correlation_id.clone());
                let cause = Cause { correlation_id, trace: order.trace.clone(), now_us };
                record(c, &order.order_id, (0, 0), &cause, &order.change).await?;
                Ok(Placed::Now)
            })
        });
        write.await
    }

    async fn placed(&self, key: IdempotencyKey) -> Result<Option<Placed>, StoreError> {
        let read = self.0.read("orders.placed", |c| {
            Box::pin(async move { Ok(used(c, &key).await?.map(Placed::from)) })
        });
        read.await
    }

    async fn command(
        &self,
        attempt: Attempt,
        key: Option<IdempotencyKey>,
    ) -> Result<Commanded, StoreError> {
        let now_us = self.1.now_us();
        let write = self.0.write("orders.command", move |c| {
            Box::pin(async move {
                if let Some(key) = &key
                    && let Some(found) = used(c, key).await?
                {
                    return Ok(found.into());
                }
                let id = attempt.order_id.clone();
                let refused = act(c, attempt, now_us).await?;
                if let Some(refused) = refused {
                    return Ok(refused);
                }
                let Some(story) = story(c, &id).await? else { return Ok(Commanded::NoOrder) };
                if let Some(key) = &key {
                    let version = i64::try_from(story.events.len()).unwrap_or(i64::MAX);
                    use_key(c, key, &id, version, now_us).await?;
                }
                Ok(Commanded::Done(Box::new(story)))
            })
        });
        write.await
    }

    async fn change(&self, attempt: Attempt) -> Result<Changed, StoreError> {
        let now_us = self.1.now_us();
        let write = self.0.write("orders.change", move |c| {
            Box::pin(async move {
                // First the order: a message is taken only by what it is for.
                let Some(story) = story(c, &attempt.order_id).await? else {
                    return Ok(Changed::NoOrder);
                };
                if let Some(id) = &attempt.message_id
                    && !inbox::take(c, id, now_us).await?
                {
                    return Ok(Changed::Before);
                }
                let before = read_record(story)?;
                if let Some(expected) = attempt.expected.filter(|e| *e != before.version) {
                    let conflict = VersionConflict { expected, actual: before.version };
                    return Ok(Changed::Conflict(conflict));
                }
                let change = match (attempt.decide)(&before) {
                    Ok(change) => change,
                    Err(refusal) => return Ok(Changed::Refused(refusal)),
                };
                let cause = cause(attempt.correlation_id, attempt.trace, &before, now_us);
                let after = follow(c, &before, &cause, &change).await?;
                Ok(Changed::Now(u64::try_from(after).unwrap_or(0)))
            })
        });
        write.await
    }

    async fn story(&self, order_id: &str) -> Result<Option<OrderStory>, StoreError> {
        let id = order_id.to_owned();
        let read = self.0.read("orders.story", |c| Box::pin(async move { story(c, &id).await }));
        read.await
    }

    async fn rows(&self, query: RowQuery) -> Result<Vec<Listed>, StoreError> {
        let read = self.0.read("orders.rows", |c| {
            Box::pin(async move {
                let mut sql = QueryBuilder::new(LISTED);
                if let Some(status) = query.status {
                    sql.push(" AND status = ").push_bind(status.as_str());
                }
                if let Some(user_id) = query.user_id {
                    sql.push(" AND user_id = ").push_bind(user_id);
                }
                push_before(&mut sql, query.before);
                push_newest(&mut sql, query.limit);
                sql.build().try_map(|row| listed(&row)).fetch_all(c).await
            })
        });
        read.await
    }

    async fn recent(&self, query: RecentQuery) -> Result<Vec<Recent>, StoreError> {
        let read = self.0.read("orders.recent", |c| {
            Box::pin(async move {
                let mut sql = QueryBuilder::new(RECENT);
                sql.push(" WHERE placed_at_us >= ").push_bind(query.since_us);
                push_before(&mut sql, query.before);
                if let Some(part) = query.containing {
                    sql.push(" AND instr(order_id, ").push_bind(part).push(") > 0");
                }
                push_newest(&mut sql, query.limit);
                sql.build().try_map(|row| recent(&row)).fetch_all(c).await
            })
        });
        read.await
    }

    async fn project(&self, limit: usize) -> Result<Vec<OrderRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due: bool = self
            .0
            .read_quietly(|c| {
                let due = "SELECT EXISTS (SELECT 1 FROM events WHERE position >
                    (SELECT position FROM projections WHERE name = 'order_rows'))";
                Box::pin(sqlx::query_scalar(due).fetch_one(c))
            })
            .await?;
        if !due {
            return Ok(Vec::new());
        }
        self.0.write_quietly(move |c| Box::pin(async move { project_next(c, limit).await })).await
    }

    async fn awaited(&self, limit: usize) -> Result<Vec<Awaited>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = self.0.read_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM awaited ORDER BY since_us LIMIT ?")
                    .bind(limit)
                    .try_map(|row| awaited(&row))
                    .fetch_all(c)
                    .await
            })
        });
        read.await
    }

    async fn kept_too_long(
        &self,
        status: OrderStatus,
        keep: Keep,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        Self::kept_too_long(self, status, keep, after, limit).await
    }

    fn appended(&self) -> Arc<Notify> {
        self.0.committed_events()
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn version_after(version: u64, change: &Change) -> i64 {
    i64::try_from(version + change.events.len() as u64).unwrap_or(i64::MAX)
}

/// What a key that was used before was used for.
enum Known {
    /// This very command: the order as its first answer told it.
    Same(Box<OrderStory>),
    /// Another one.
    Other,
}

impl From<Known> for Placed {
    fn from(known: Known) -> Self {
        match known {
            Known::Same(story) => Self::Before(story),
            Known::Other => Self::KeyReused,
        }
    }
}

impl From<Known> for Commanded {
    fn from(known: Known) -> Self {
        match known {
            Known::Same(story) => Self::Done(story),
            Known::Other => Self::KeyReused,
        }
    }
}

/// A key whose order is not kept any more is as good as new.
async fn used(
    c: &mut SqliteConnection,
    key: &IdempotencyKey,
) -> Result<Option<Known>, sqlx::Error> {
    let found = sqlx::query("SELECT fingerprint, order_id, version FROM keys WHERE key = ?")
        .bind(&key.key)
        .fetch_optional(&mut *c)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let Some(mut story) = story(c, row.try_get("order_id")?).await? else { return Ok(None) };
    if row.try_get::<String, _>("fingerprint")? != key.fingerprint {
        return Ok(Some(Known::Other));
    }
    let version = u64::try_from(row.try_get::<i64, _>("version")?).unwrap_or(0);
    story.events.retain(|event| event.version <= version);
    Ok(Some(Known::Same(Box::new(story))))
}

async fn use_key(
    c: &mut SqliteConnection,
    key: &IdempotencyKey,
    order_id: &str,
    version: i64,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT OR REPLACE INTO keys (key, fingerprint, order_id, used_us, version)
               VALUES (?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(&key.key)
        .bind(&key.fingerprint)
        .bind(order_id)
        .bind(now_us)
        .bind(version)
        .execute(c)
        .await?;
    Ok(())
}

/// Does what a command asks, or says why not.
async fn act(
    c: &mut SqliteConnection,
    attempt: Attempt,
    now_us: i64,
) -> Result<Option<Commanded>, sqlx::Error> {
    let Some(story) = story(c, &attempt.order_id).await? else {
        return Ok(Some(Commanded::NoOrder));
    };
    let before = read_record(story)?;
    let decided = (attempt.decide)(&before);
    if let Err(Refusal::Already(_)) = decided {
        return Ok(None);
    }
    if let Some(expected) = attempt.expected.filter(|expected| *expected != before.version) {
        let conflict = VersionConflict { expected, actual: before.version };
        return Ok(Some(Commanded::Conflict(conflict)));
    }
    match decided {
        Ok(change) => {
            let cause = cause(attempt.correlation_id, attempt.trace, &before, now_us);
            follow(c, &before, &cause, &change).await.map(|_| None)
        }
        Err(refusal) => Ok(Some(Commanded::Refused(refusal))),
    }
}

/// Whose doing a change is: of the request that asks for it, or else of the one that placed the
/// order.
fn cause(
    asked_by: Option<String>,
    trace: TraceContext,
    before: &OrderRecord,
    now_us: i64,
) -> Cause {
    let correlation_id = asked_by.or_else(|| before.correlation_id.clone());
    Cause { correlation_id, trace, now_us }
}

/// Records what was decided on an order; gives the version after it.
async fn follow(
    c: &mut SqliteConnection,
    before: &OrderRecord,
    cause: &Cause,
    change: &Change,
) -> Result<i64, sqlx::Error> {
    let after = version_after(before.version, change);
    advance(c, before, after).await?;
    record(c, &before.order_id, (before.version, before.saga.len()), cause, change).await?;
    Ok(after)
}

/// Moves the stream's version on, if it is still where the decision was made.
async fn advance(
    c: &mut SqliteConnection,
    before: &OrderRecord,
    after: i64,
) -> Result<(), sqlx::Error> {
    let moved = sqlx::query("UPDATE streams SET version = ? WHERE order_id = ? AND version = ?")
        .bind(after)
        .bind(&before.order_id)
        .bind(i64::try_from(before.version).unwrap_or(i64::MAX))
        .execute(c)
        .await?;
    // One writer reads and writes in one transaction, so this can only be a damaged database.
    if moved.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// The span by which an event is found in its trace.
fn appending(order_id: &str, version: i64, event: &OrderEvent) -> Span {
    let name = event.name();
    tracing::info_span!(
        target: "vitrine::storage",
        "append",
        otel.name = format!("append {name} v{version}"),
        { attributes::ORDER_ID } = order_id,
        { attributes::EVENT_NAME } = name,
        { attributes::EVENT_VERSION } = version,
        { attributes::ORDER_ORIGIN } = event.origin().map(Origin::as_str),
        { attributes::ORDER_STATUS } = event.status().map(OrderStatus::as_str),
    )
}

/// Appends what was decided, after the given version and saga entry.
async fn record(
    c: &mut SqliteConnection,
    order_id: &str,
    (version, entries): (u64, usize),
    cause: &Cause,
    change: &Change,
) -> Result<(), sqlx::Error> {
    let first = i64::try_from(version).unwrap_or(i64::MAX) + 1;
    for (version, event) in (first..).zip(&change.events) {
        sqlx::query(
            "INSERT INTO events (order_id, version, at_us, name, data, correlation_id, trace_id)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(order_id)
        .bind(version)
        .bind(cause.now_us)
        .bind(event.name())
        .bind(json(event)?)
        .bind(&cause.correlation_id)
        .bind(cause.trace.trace_id())
        .execute(&mut *c)
        .instrument(appending(order_id, version, event))
        .await?;
    }
    let first = i64::try_from(entries).unwrap_or(i64::MAX);
    for (entry, event) in (first..).zip(&change.saga) {
        sqlx::query("INSERT INTO saga_log VALUES (?, ?, ?, ?)")
            .bind(order_id)
            .bind(entry)
            .bind(cause.now_us)
            .bind(json(event)?)
            .execute(&mut *c)
            .await?;
    }
    for message in &change.messages {
        outbox::put(c, cause, message).await?;
    }
    match change.awaits {
        Some(true) => wait_for(c, order_id, cause).await,
        Some(false) => answered(c, order_id).await,
        None => Ok(()),
    }
}

async fn wait_for(
    c: &mut SqliteConnection,
    order_id: &str,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO awaited VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(order_id)
        .bind(cause.now_us)
        .bind(&cause.trace.traceparent)
        .bind(&cause.trace.tracestate)
        .execute(c)
        .await?;
    Ok(())
}

async fn answered(c: &mut SqliteConnection, order_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM awaited WHERE order_id = ?").bind(order_id).execute(c).await?;
    Ok(())
}

/// Rows of the read model, each with what its stream alone knows. Looked up row by row, and not
/// joined: the page is walked along the index of the rows.
const LISTED: &str = "SELECT data, (SELECT correlation_id FROM streams
    WHERE streams.order_id = order_rows.order_id) AS correlation_id FROM order_rows WHERE 1 = 1";

/// Where orders stand: the state and its version are of one row.
const RECENT: &str = "SELECT order_id, placed_at_us, status,
    json_extract(data, '$.version') AS version FROM order_rows";

/// Only rows placed before this one.
fn push_before(sql: &mut QueryBuilder<Sqlite>, before: Option<(i64, String)>) {
    if let Some((at_us, id)) = before {
        sql.push(" AND (placed_at_us, order_id) < (").push_bind(at_us);
        sql.push(", ").push_bind(id).push(")");
    }
}

fn push_newest(sql: &mut QueryBuilder<Sqlite>, limit: usize) {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.push(" ORDER BY placed_at_us DESC, order_id DESC LIMIT ").push_bind(limit);
}

fn listed(row: &SqliteRow) -> Result<Listed, sqlx::Error> {
    Ok(Listed { row: parse(row.try_get("data")?)?, correlation_id: row.try_get("correlation_id")? })
}

fn recent(row: &SqliteRow) -> Result<Recent, sqlx::Error> {
    let word: String = row.try_get("status")?;
    let status = OrderStatus::parse(&word).ok_or_else(|| sqlx::Error::Decode(word.into()))?;
    let (order_id, placed_at_us) = (row.try_get("order_id")?, row.try_get("placed_at_us")?);
    let version = u64::try_from(row.try_get::<i64, _>("version")?).unwrap_or(0);
    Ok(Recent { order_id, placed_at_us, status, version })
}

fn awaited(row: &SqliteRow) -> Result<Awaited, sqlx::Error> {
    let trace = TraceContext {
        traceparent: row.try_get("traceparent")?,
        tracestate: row.try_get("tracestate")?,
        baggage: None,
    };
    Ok(Awaited { order_id: row.try_get("order_id")?, since_us: row.try_get("since_us")?, trace })
}

async fn story(
    c: &mut SqliteConnection,
    order_id: &str,
) -> Result<Option<OrderStory>, sqlx::Error> {
    let stream = sqlx::query("SELECT * FROM streams WHERE order_id = ?").bind(order_id);
    let Some(stream) = stream.fetch_optional(&mut *c).await? else {
        return Ok(None);
    };
    let events = sqlx::query("SELECT * FROM events WHERE order_id = ? ORDER BY version")
        .bind(order_id)
        .fetch_all(&mut *c)
        .await?;
    let saga = sqlx::query("SELECT * FROM saga_log WHERE order_id = ? ORDER BY entry")
        .bind(order_id)
        .fetch_all(&mut *c)
        .await?;
    let entry = |row: &SqliteRow| {
        Ok(saga::Entry { at_us: row.try_get("at_us")?, event: parse(row.try_get("event")?)? })
    };
    let mut traces: Vec<String> = Vec::new();
    for row in &events {
        let trace: Option<String> = row.try_get("trace_id")?;
        if let Some(trace) = trace.filter(|trace| !traces.contains(trace)) {
            traces.push(trace);
        }
    }
    let caused_by = events.iter().map(|row| row.try_get("correlation_id"));
    Ok(Some(OrderStory {
        traces,
        caused_by: caused_by.collect::<Result<_, _>>()?,
        order_id: order_id.to_owned(),
        correlation_id: stream.try_get("correlation_id")?,
        trace_id: stream.try_get("trace_id")?,
        events: events.iter().map(event).collect::<Result<_, _>>()?,
        saga: saga.iter().map(entry).collect::<Result<_, sqlx::Error>>()?,
    }))
}

fn event(row: &SqliteRow) -> Result<Recorded<OrderEvent>, sqlx::Error> {
    Ok(Recorded {
        version: u64::try_from(row.try_get::<i64, _>("version")?).unwrap_or(0),
        at_us: row.try_get("at_us")?,
        event: parse(row.try_get("data")?)?,
    })
}

fn read_record(story: OrderStory) -> Result<OrderRecord, sqlx::Error> {
    let (order, version) = event_sourcing::replay::<Order>(&story.events)
        .map_err(|gap| sqlx::Error::Decode(Box::new(gap)))?;
    Ok(OrderRecord {
        order_id: story.order_id,
        order,
        version,
        saga: story.saga,
        correlation_id: Some(story.correlation_id),
    })
}

/// The next events into the read model; the position moves in the same transaction, and not when
/// somebody else has taken the events that were due.
async fn project_next(c: &mut SqliteConnection, limit: i64) -> Result<Vec<OrderRow>, sqlx::Error> {
    let events = sqlx::query(
        "SELECT * FROM events WHERE position >
            (SELECT position FROM projections WHERE name = 'order_rows')
         ORDER BY position LIMIT ?",
    )
    .bind(limit)
    .fetch_all(&mut *c)
    .await?;
    let Some(last) = events.last() else { return Ok(Vec::new()) };
    let position: i64 = last.try_get("position")?;
    let mut changed: BTreeMap<String, OrderRow> = BTreeMap::new();
    for row in &events {
        let order_id: String = row.try_get("order_id")?;
        let known = match changed.get(&order_id) {
            Some(known) => Some(known.clone()),
            None => known_row(c, &order_id).await?,
        };
        if let Some(next) = project(&order_id, known, &event(row)?) {
            changed.insert(order_id, next);
        }
    }
    for row in changed.values() {
        sqlx::query(
            "INSERT INTO order_rows VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, data = excluded.data",
        )
        .bind(&row.order_id)
        .bind(&row.user_id)
        .bind(row.status.as_str())
        .bind(row.placed_at_us)
        .bind(json(row)?)
        .execute(&mut *c)
        .await?;
    }
    sqlx::query("UPDATE projections SET position = ? WHERE name = 'order_rows'")
        .bind(position)
        .execute(c)
        .await?;
    Ok(changed.into_values().collect())
}

async fn known_row(
    c: &mut SqliteConnection,
    order_id: &str,
) -> Result<Option<OrderRow>, sqlx::Error> {
    let data: Option<String> = sqlx::query_scalar("SELECT data FROM order_rows WHERE order_id = ?")
        .bind(order_id)
        .fetch_optional(c)
        .await?;
    data.map(|data| parse(&data)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database::Writers, migrations};
    use shop::orders::RecentPage;
    use sqlx::{Connection, sqlite::SqliteSynchronous};
    use std::time::Duration;

    #[tokio::test]
    async fn a_projection_that_finds_nothing_due_any_more_stays_where_it_is() {
        let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrations::migrator(migrations::ORDERS).run(&mut c).await.unwrap();
        sqlx::query("UPDATE projections SET position = 7").execute(&mut c).await.unwrap();
        assert_eq!(project_next(&mut c, 256).await.unwrap(), []);
        let position = sqlx::query_scalar::<_, i64>("SELECT position FROM projections");
        assert_eq!(position.fetch_all(&mut c).await.unwrap(), [7]);
    }

    /// So many orders placed one microsecond after the other, each at its version.
    async fn place_rows(orders: &Orders, count: i64) {
        let placed = orders.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO order_rows
                     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                     SELECT printf('ord-%08X', i), 'c-1001', 'confirmed', i,
                            printf('{\"version\":%d}', i) FROM n",
                )
                .bind(count)
                .execute(c)
                .await
            })
        });
        placed.await.unwrap();
    }

    #[tokio::test]
    async fn the_orders_of_a_busy_time_can_be_read_through_the_mesh_page_after_page() {
        const ORDERS: i64 = 60_000;
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let (writers, file) = (Writers::default(), folder.path().join("orders.sqlite"));
        let migrations = migrations::migrator(migrations::ORDERS);
        let synchronous = SqliteSynchronous::Off;
        let db = Database::open("orders", &file, synchronous, &migrations, &writers).await.unwrap();
        let store = Arc::new(Orders(db, clock.clone()));
        place_rows(&store, ORDERS).await;
        let mesh = mesh::Mesh::new(clock.clone(), mesh::BreakerParams::default());
        let (supervisor, _ends) = base::Supervisor::new();
        let (ids, caller) = (base::IdSource::seeded(1), mesh.caller("orders"));
        let service = shop::orders::Orders::new(store, caller, supervisor, ids, clock);
        mesh.register("orders", shop::orders::router(service));
        let caller = mesh.caller("dashboard");
        let ask = async |query: String| {
            let look = caller.look("orders", format!("/orders/recent?{query}"));
            look.timeout(Duration::from_secs(60)).receive::<RecentPage>().await.unwrap()
        };

        let (mut expected, mut query) = (ORDERS, "since_us=11".to_owned());
        loop {
            let page = ask(query).await;
            for order in page.orders {
                let is = (order.order_id, order.placed_at_us, order.version);
                assert_eq!(is, (format!("ord-{expected:08X}"), expected, expected as u64));
                expected -= 1;
            }
            let Some(next) = page.next else { break };
            query = format!("since_us=11&cursor={next}");
        }
        assert_eq!(expected, 10, "an order is missing");

        let found = ask("since_us=11&containing=EA5&limit=2".to_owned()).await.orders;
        let found: Vec<_> = found.iter().map(|order| order.order_id.as_str()).collect();
        assert_eq!(found, ["ord-0000EA5F", "ord-0000EA5E"]);
    }
}
