//! orders: event-sourced orders, the saga that runs each, and their read model.

mod consume;
pub mod decide;
pub mod events;
mod patience;
pub mod place;
mod project;
mod public;
mod refusal;
mod store;
mod waiting;

pub use decide::{CHECKOUT, Confirmed, MovePayment, PAYMENT_PATIENCE, ReserveStock, VoidPayment};
pub use events::{Line, Order, OrderEvent};
pub use patience::Awaited;
pub use project::project;
pub use refusal::Refusal;
pub use store::{
    Attempt, Changed, Commanded, Decide, IdempotencyKey, Listed, NewOrder, OrderStore, OrderStory,
    Placed, RecentQuery, RowQuery,
};

use crate::{StoreError, gateway::schema, problem::Problem, store::Keep};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use base::{Clock, Commands, IdSource, Supervisor, TraceContext};
use contract::{
    order::{OrderRow, OrderStatus, Origin, StepMark},
    shop::PaymentMethod,
};
use decide::Input;
use event_sourcing::Recorded;
use http::StatusCode;
use mesh::{CallContext, Caller};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use waiting::Waiters;

/// Changed rows a slow listener may lag behind by before it must read the list again.
const ROWS_BEHIND_MAX: usize = 4_096;
/// Events one transaction of the projection takes.
const PROJECT_MAX: usize = 256;
/// Rows of one page unless asked otherwise, and at most.
const PAGE_DEFAULT: usize = 50;
/// See [`PAGE_DEFAULT`].
const PAGE_MAX: usize = 200;

/// Longest wait for an order's end, seconds.
const WAIT_MAX: u64 = 60;
/// Commands under way at once: twice the writes that wait for the database, so that as many are
/// refused only when its disk stands still, and few enough to hold in memory while it does.
const COMMANDS_MAX: usize = 2_048;

/// The service's engine. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    store: Arc<dyn OrderStore>,
    caller: Caller,
    supervisor: Supervisor,
    ids: IdSource,
    clock: Clock,
    rows: broadcast::Sender<OrderRow>,
    waiting: Waiters,
    commands: Commands,
}

/// An order as other services see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderBody {
    /// `ord-…`.
    pub order_id: String,
    /// `processing`, `confirmed`, `cancelled` or `shipped`.
    #[schema(value_type = schema::OrderStatus)]
    pub status: OrderStatus,
    /// On every event and log line of this order.
    pub correlation_id: String,
    /// Version of its last event.
    pub version: u64,
    /// Who bought.
    pub user_id: String,
    /// What it costs.
    #[schema(value_type = schema::Money)]
    pub total: contract::Money,
    /// Where the money comes from: `wallet` or `card`.
    #[schema(value_type = schema::PaymentMethod)]
    #[serde(default)]
    pub payment_method: PaymentMethod,
    /// What was bought.
    #[schema(value_type = Vec<schema::Line>)]
    pub items: Vec<Line>,
    /// The word for people: "Reserving stock", "Paying", "Confirmed".
    pub phase: String,
    /// Reserve, pay, confirm.
    #[schema(value_type = Vec<schema::StepMark>, min_items = 3, max_items = 3)]
    pub steps: [StepMark; 3],
    /// When it was placed, microseconds since the epoch.
    pub placed_at_us: i64,
    /// Time from placed to its end, microseconds, once it has one.
    pub took_us: Option<i64>,
    /// Who placed it.
    #[schema(value_type = schema::Origin)]
    pub origin: Origin,
    /// Why it was cancelled: `payment_declined`, `payment_unavailable`, `payment_timed_out`,
    /// `out_of_stock`, `requested`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Orders {
    /// Over its database, the mesh and an owner for what must not be cut short.
    #[must_use]
    pub fn new(
        store: Arc<dyn OrderStore>,
        caller: Caller,
        supervisor: Supervisor,
        ids: IdSource,
        clock: Clock,
    ) -> Self {
        let (rows, _) = broadcast::channel(ROWS_BEHIND_MAX);
        let (waiting, commands) = (Waiters::default(), supervisor.commands(COMMANDS_MAX));
        Self { store, caller, supervisor, ids, clock, rows, waiting, commands }
    }

    /// Rows of the read model as they change.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<OrderRow> {
        self.rows.subscribe()
    }

    /// Keeps the read model up with the streams until `stop` fires.
    pub async fn keep_projection(self, stop: CancellationToken) {
        // Whatever it is at: a stop waits neither for events that keep coming nor for a database
        // that fails. The next start goes on from where the read model is.
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow_streams() => {}
        }
    }

    async fn follow_streams(&self) {
        let appended = self.store.appended();
        loop {
            match self.store.project(PROJECT_MAX).await {
                Ok(rows) if rows.is_empty() => appended.notified().await,
                Ok(rows) => {
                    for row in rows {
                        self.waiting.changed(&row.order_id);
                        // Nobody listening is fine: the rows are kept.
                        let _ = self.rows.send(row);
                    }
                }
                Err(error) => {
                    tracing::error!(cause = ?error.cause, "{error}; the read model waits");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Ships a page of the confirmed orders that are older than is kept, at most `limit`: nobody
    /// waits with them any more, and only what is at its end can be forgotten. Gives the last of
    /// the page, after which the next one begins; None when there is no next one.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn ship_overdue(
        &self,
        keep: Keep,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let overdue = self.store.kept_too_long(OrderStatus::Confirmed, keep, after, limit).await?;
        let last = overdue.last().filter(|_| overdue.len() >= limit).cloned();
        for (_, order_id) in overdue {
            // The read model that names it may be behind. Refused, it was shipped before, or
            // cancelled in between: that is an end too, and the next page begins after it.
            self.store.change(attempt(order_id, Input::Ship, None, None)).await?;
        }
        Ok(last)
    }

    /// Orders that are older than is kept and not over, at most `limit`: most of them wait for a
    /// person to redrive their compensation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_too_long(&self, keep: Keep, limit: usize) -> Result<Vec<String>, StoreError> {
        let open = self.store.kept_too_long(OrderStatus::Processing, keep, None, limit).await?;
        Ok(open.into_iter().map(|(_, order_id)| order_id).collect())
    }

    /// Decides and records, once for each key. `asked_by` is the `X-Correlation-ID` of whoever
    /// asks.
    async fn command(
        &self,
        order_id: String,
        input: Input,
        expected: Option<u64>,
        key: Option<String>,
        asked_by: Option<String>,
    ) -> Result<Commanded, StoreError> {
        let what = match input {
            Input::Cancel(_) => "cancel",
            Input::Ship => "ship",
            _ => "redrive",
        };
        let fingerprint = format!("{what} {order_id}");
        let attempt = attempt(order_id, input, expected, asked_by);
        let key = key.map(|key| IdempotencyKey { key, fingerprint });
        self.store.command(attempt, key).await
    }
}

/// A change that no message causes.
fn attempt(
    order_id: String,
    input: Input,
    expected: Option<u64>,
    correlation_id: Option<String>,
) -> Attempt {
    Attempt {
        order_id,
        message_id: None,
        expected,
        correlation_id,
        trace: TraceContext::current(),
        decide: Box::new(move |record| decide::decide(record, input)),
    }
}

/// The service.
pub fn router(orders: Orders) -> Router {
    Router::new()
        .route("/orders", get(list).post(place::place))
        .route("/orders/recent", get(recent))
        .route("/orders/{id}", get(one))
        .route("/orders/{id}/story", get(story))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}/ship", post(ship))
        .route("/orders/{id}/redrive", post(redrive))
        .nest("/api/v1", public::router())
        .route("/messages", post(consume::take))
        .route("/livez", get(livez))
        .with_state(orders)
}

async fn livez(State(orders): State<Orders>) -> Result<(), Problem> {
    Ok(orders.store.probe().await?)
}

#[derive(Deserialize)]
struct Which {
    status: Option<OrderStatus>,
    user_id: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// One page of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPage {
    /// The orders.
    pub orders: Vec<Listed>,
    /// Pass as `cursor` for the next page; none at the end.
    pub next: Option<String>,
}

async fn list(
    State(orders): State<Orders>,
    Query(which): Query<Which>,
) -> Result<Json<ListedPage>, Problem> {
    let limit = which.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let before = which.cursor.map(|cursor| read_cursor(&cursor)).transpose()?;
    let query = RowQuery { status: which.status, user_id: which.user_id, before, limit: limit + 1 };
    let mut rows = orders.store.rows(query).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more).map(|listed| &listed.row);
    let next = last.map(|row| cursor_at(row.placed_at_us, &row.order_id));
    Ok(Json(ListedPage { orders: rows, next }))
}

/// Orders of one page of [`recent`], at most: under a megabyte of JSON.
pub const RECENT_PAGE_MAX: usize = 8_192;

/// Where a recent order stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// `ord-…`.
    pub order_id: String,
    /// When it was placed, microseconds since the epoch.
    pub placed_at_us: i64,
    /// The API's word.
    pub status: OrderStatus,
    /// Version of its last event that the row has seen: of two, the higher one is newer.
    pub version: u64,
}

/// One page of the orders placed since a moment, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentPage {
    /// The orders.
    pub orders: Vec<Recent>,
    /// Pass as `cursor` for the next page; none at the end.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Since {
    since_us: i64,
    /// Only those with this in their id.
    containing: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn recent(
    State(orders): State<Orders>,
    Query(since): Query<Since>,
) -> Result<Json<RecentPage>, Problem> {
    let Since { since_us, containing, cursor, limit } = since;
    let limit = limit.unwrap_or(RECENT_PAGE_MAX).clamp(1, RECENT_PAGE_MAX);
    let before = cursor.map(|cursor| read_cursor(&cursor)).transpose()?;
    let query = RecentQuery { since_us, containing, before, limit: limit + 1 };
    let mut found = orders.store.recent(query).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| cursor_at(last.placed_at_us, &last.order_id));
    Ok(Json(RecentPage { orders: found, next }))
}

fn cursor_at(placed_at_us: i64, order_id: &str) -> String {
    format!("{placed_at_us}.{order_id}")
}

fn read_cursor(cursor: &str) -> Result<(i64, String), Problem> {
    cursor
        .split_once('.')
        .and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())))
        .ok_or_else(|| Problem::field("cursor", "Not a cursor this list gave."))
}

async fn read(orders: &Orders, id: &str) -> Result<OrderStory, Problem> {
    let story = orders.store.story(id).await?;
    story.ok_or_else(|| Problem::not_found(&format!("order {id}")))
}

/// The order's state from its own stream: never behind, unlike the read model.
async fn body(orders: &Orders, id: &str) -> Result<OrderBody, Problem> {
    told(read(orders, id).await?)
}

/// The order's state after the events of a story.
fn told(story: OrderStory) -> Result<OrderBody, Problem> {
    state(&story.order_id, story.correlation_id, &story.events)
}

/// The order's state after a whole stream of events.
fn state(
    order_id: &str,
    correlation_id: String,
    events: &[Recorded<OrderEvent>],
) -> Result<OrderBody, Problem> {
    let broken =
        || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The order's stream is broken.");
    let (order, _) = event_sourcing::replay::<Order>(events).map_err(|gap| {
        tracing::error!(order_id, "the stream is broken: {gap}");
        broken()
    })?;
    let row = project::folded(order_id, events).ok_or_else(|| {
        tracing::error!(order_id, "the stream does not begin with an order that was placed");
        broken()
    })?;
    Ok(OrderBody::of(row, correlation_id, order))
}

impl OrderBody {
    /// Of the row and the state that the same events make.
    fn of(row: OrderRow, correlation_id: String, order: Order) -> Self {
        Self {
            order_id: row.order_id,
            status: row.status,
            correlation_id,
            version: row.version,
            user_id: row.user_id,
            total: row.total,
            payment_method: order.payment_method,
            items: order.lines,
            phase: row.phase,
            steps: row.steps,
            placed_at_us: row.placed_at_us,
            took_us: row.took_us,
            origin: row.origin,
            reason: order.cause.filter(|_| row.status == OrderStatus::Cancelled),
        }
    }
}

/// How long to wait for an order's end.
#[derive(Deserialize)]
struct Waiting {
    wait: Option<u64>,
}

async fn one(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    Query(waiting): Query<Waiting>,
) -> Result<Json<OrderBody>, Problem> {
    let Some(seconds) = waiting.wait else {
        return Ok(Json(body(&orders, &id).await?));
    };
    // Listening begins before the first look, so that no change falls between the two. Without
    // room for one more the answer comes at once: to wait is a preference (RFC 7240).
    let Some(mut waiter) = orders.waiting.join(&id) else {
        return Ok(Json(body(&orders, &id).await?));
    };
    let until = Instant::now() + Duration::from_secs(seconds.min(WAIT_MAX));
    loop {
        let order = body(&orders, &id).await?;
        if order.status != OrderStatus::Processing {
            return Ok(Json(order));
        }
        let stopping = orders.supervisor.stopping();
        tokio::select! {
            () = waiter.changed() => {}
            () = tokio::time::sleep_until(until) => return Ok(Json(order)),
            () = stopping.cancelled() => return Ok(Json(order)),
        }
    }
}

async fn story(
    State(orders): State<Orders>,
    Path(id): Path<String>,
) -> Result<Json<OrderStory>, Problem> {
    Ok(Json(read(&orders, &id).await?))
}

/// Who asks, as the gateway says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asking {
    /// Who.
    pub origin: Origin,
    /// The version the decision was made on, if they say.
    pub expected: Option<u64>,
    /// The client's `Idempotency-Key`, or the gateway's.
    #[serde(default)]
    pub key: Option<String>,
}

async fn cancel(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    context: CallContext,
    Json(asking): Json<Asking>,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    command(orders, id, Input::Cancel(asking.origin), asking, context).await
}

async fn ship(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    context: CallContext,
    Json(asking): Json<Asking>,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    command(orders, id, Input::Ship, asking, context).await
}

async fn redrive(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    context: CallContext,
    Json(asking): Json<Asking>,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    command(orders, id, Input::Redrive, asking, context).await
}

/// A command on an order, detached from the request. What is so already is answered with the
/// order as it is, and a key that comes again with what its first answer told.
async fn command(
    orders: Orders,
    id: String,
    input: Input,
    asking: Asking,
    context: CallContext,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    let (engine, order_id) = (orders.clone(), id.clone());
    let Asking { expected, key, .. } = asking;
    let asked_by = context.correlation_id;
    let commanding = async move { engine.command(order_id, input, expected, key, asked_by).await };
    let commanded = orders.commands.detach_as("order-change", commanding.in_current_span());
    match commanded.ok_or_else(busy)?.await.map_err(|_| lost())?? {
        Commanded::Done(story) => Ok((StatusCode::ACCEPTED, Json(told(*story)?))),
        Commanded::KeyReused => Err(key_reused()),
        Commanded::NoOrder => Err(Problem::not_found(&format!("order {id}"))),
        Commanded::Refused(refusal) => Err(Problem::conflict(format!("Not possible: {refusal}."))),
        Commanded::Conflict(conflict) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            format!("The order changed in between: {conflict}."),
        )),
    }
}

fn key_reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used for another command. Use a new key.",
    )
}

/// The answer while as many commands as may be wait for the database.
fn busy() -> Problem {
    let reason = "As many orders as may be wait to be recorded.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).retry_after(Duration::from_secs(1))
}

fn lost() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The command ended without an answer.")
}

impl Order {
    /// The API's word for where it stands.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        use events::Standing;
        match self.standing {
            Standing::Unknown | Standing::Placed | Standing::Undoing => OrderStatus::Processing,
            Standing::Confirmed => OrderStatus::Confirmed,
            Standing::Cancelled => OrderStatus::Cancelled,
            Standing::Shipped => OrderStatus::Shipped,
        }
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
