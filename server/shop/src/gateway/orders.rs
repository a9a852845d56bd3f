//! Orders: place, follow, list, cancel, ship.

use super::{Answer, Context, Gateway, ok, schema, timing::timed};
use crate::{
    input::{self, Parameters, if_match, is_id, origin, path_id},
    key::idempotency_key,
    orders::{Asking, ListedPage, OrderBody, place::Command},
    problem::Problem,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use contract::{order::OrderStatus, service::ORDERS, shop::PlacedOrder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use mesh::CallContext;
use std::time::Duration;

/// Room for the answer beyond the time a client asked to wait.
const WAIT_MARGIN: Duration = Duration::from_secs(2);
/// Rows of one page at most.
const PAGE_MAX: usize = 200;

fn placed(order: &OrderBody) -> PlacedOrder {
    PlacedOrder {
        order_id: order.order_id.clone(),
        status: order.status,
        correlation_id: order.correlation_id.clone(),
        reason: order.reason.clone(),
    }
}

fn etag(order: &OrderBody) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", order.version))
        .unwrap_or(HeaderValue::from_static("\"0\""))
}

#[utoipa::path(
    post,
    path = "/orders",
    tag = "orders",
    params(
        (
            "Prefer" = Option<String>,
            Header,
            description = "wait=SECONDS: answer when the order reached its end (RFC 7240), after \
                           30 s at the latest, however long is preferred",
        ),
    ),
    request_body = schema::PlaceOrder,
    responses(
        (
            status = 200,
            description = "It reached its end within the time that was preferred",
            body = schema::Accepted,
            headers(
                ("Location", description = "Where the order is"),
                ("Preference-Applied", description = "wait=SECONDS"),
            )
        ),
        (
            status = 202,
            description = "It is accepted and runs",
            body = schema::Accepted,
            headers(
                ("Location", description = "Where the order is"),
                ("Preference-Applied", description = "wait=SECONDS, if that was preferred"),
            )
        ),
        (status = 400, description = "Every bad field is named", body = Problem),
        (status = 413, description = "The body is larger than 64 KiB", body = Problem),
        (status = 415, description = "The body is no application/json", body = Problem),
    ),
)]
pub(super) async fn place(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let order = input::order(&headers, body)?;
    let key = Some(key(&gateway, &headers)?);
    let command = Command { order, origin: origin(&headers), key };
    let placing = gateway.caller.post(ORDERS, "/orders").route("/orders").context(&context);
    let order: OrderBody = timed(ORDERS, placing.json(&command).receive()).await?;
    tracing::Span::current().record(contract::attributes::ORDER_ID, order.order_id.as_str());
    match input::wait(&headers) {
        None => Ok(accepted(&order)),
        Some(seconds) => wait(&gateway, &context, order, seconds).await,
    }
}

/// The client's key, or one for this request: the mesh may send a command again whose answer was
/// lost, and every try of it must be one command.
fn key(gateway: &Gateway, headers: &HeaderMap) -> Result<String, Problem> {
    Ok(idempotency_key(headers)?.unwrap_or_else(|| gateway.ids.unique()))
}

fn accepted(order: &OrderBody) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(placed(order))).into_response();
    let location = HeaderValue::from_str(&format!("/api/v1/orders/{}", order.order_id));
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Answers when the order reached its end, or with what is when the time is over.
async fn wait(gateway: &Gateway, context: &CallContext, order: OrderBody, seconds: u64) -> Answer {
    let mut context = context.clone();
    context.deadline = None;
    let id = &order.order_id;
    let waiting = gateway
        .caller
        .get(ORDERS, format!("/orders/{id}?wait={seconds}"))
        .route("/orders/{id}")
        .context(&context)
        .order(id)
        .timeout(Duration::from_secs(seconds) + WAIT_MARGIN);
    let waited: Result<OrderBody, _> = timed("wait", waiting.receive()).await;
    // The order is accepted whatever becomes of the waiting.
    let order = waited.unwrap_or(order);
    let mut response = accepted(&order);
    if order.status != OrderStatus::Processing {
        *response.status_mut() = StatusCode::OK;
    }
    let applied = HeaderValue::from_str(&format!("wait={seconds}"));
    if let Ok(applied) = applied {
        let name = HeaderName::from_static("preference-applied");
        response.headers_mut().insert(name, applied);
    }
    Ok(response)
}

#[utoipa::path(
    get,
    path = "/orders/{id}",
    tag = "orders",
    params(("id" = String, Path)),
    responses(
        (
            status = 200,
            body = OrderBody,
            headers(("ETag", description = "Its version, for If-Match"))
        ),
        (status = 404, body = Problem),
    ),
)]
pub(super) async fn one(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    Path(id): Path<String>,
) -> Answer {
    let id = path_id("order", id)?;
    let asked = gateway.caller.get(ORDERS, format!("/orders/{id}")).route("/orders/{id}");
    let order: OrderBody = timed(ORDERS, asked.context(&context).order(&id).receive()).await?;
    let mut response = ok(&order);
    response.headers_mut().insert(header::ETAG, etag(&order));
    Ok(response)
}

#[utoipa::path(
    get,
    path = "/orders",
    tag = "orders",
    params(
        ("status" = Option<schema::OrderStatus>, Query),
        ("user_id" = Option<String>, Query),
        ("cursor" = Option<String>, Query),
        ("limit" = Option<usize>, Query),
    ),
    responses(
        (status = 200, body = schema::OrderPage),
        (status = 400, body = Problem),
    ),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    address: Uri,
) -> Answer {
    let known = ["status", "user_id", "cursor", "limit"];
    let mut which = Parameters::read(&address, &known)?;
    let mut path = "/orders?".to_owned();
    if let Some(word) = which.take("status") {
        let status = OrderStatus::parse(&word).ok_or_else(|| {
            Problem::field("status", "Must be processing, confirmed, cancelled or shipped.")
        })?;
        path.push_str(&format!("status={status}&"));
    }
    if let Some(user_id) = which.take("user_id") {
        if !is_id(&user_id) {
            return Err(Problem::field("user_id", "Not the id of a customer."));
        }
        path.push_str(&format!("user_id={user_id}&"));
    }
    if let Some(cursor) = which.take("cursor") {
        if !cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-') {
            return Err(Problem::field("cursor", "Not a cursor this list gave."));
        }
        path.push_str(&format!("cursor={cursor}&"));
    }
    if let Some(limit) = which.limit(PAGE_MAX)? {
        path.push_str(&format!("limit={limit}"));
    }
    let asked = gateway.caller.get(ORDERS, path).route("/orders").context(&context);
    let page: ListedPage = timed(ORDERS, asked.receive()).await?;
    Ok(ok(&page))
}

/// A command about an order: its name is the end of its path, and what is told of it is what it
/// answers 202 with.
macro_rules! command {
    ($name:ident, $path:literal, $told:literal) => {
        #[utoipa::path(
            post,
            path = $path,
            tag = "orders",
            params(
                ("id" = String, Path),
                (
                    "If-Match" = Option<String>,
                    Header,
                    description = "ETag of the order this decision was made on; * is any",
                ),
            ),
            responses(
                (
                    status = 202,
                    description = $told,
                    body = schema::Accepted,
                    headers(("Location", description = "Where the order is"))
                ),
                (status = 400, body = Problem),
                (status = 404, body = Problem),
                (status = 409, body = Problem),
                (status = 412, body = Problem),
                (status = 413, description = "The body is larger than 64 KiB", body = Problem),
                (status = 415, description = "The body is no application/json", body = Problem),
            ),
        )]
        pub(super) async fn $name(
            State(gateway): State<Gateway>,
            Extension(context): Context,
            headers: HeaderMap,
            Path(id): Path<String>,
            body: Result<Bytes, BytesRejection>,
        ) -> Answer {
            input::nothing(&headers, body)?;
            command(&gateway, &context, &headers, id, stringify!($name)).await
        }
    };
}

command!(cancel, "/orders/{id}/cancel", "The cancellation runs");
command!(ship, "/orders/{id}/ship", "It is shipped");
command!(redrive, "/orders/{id}/redrive", "The compensation that was stuck is tried again");

async fn command(
    gateway: &Gateway,
    context: &CallContext,
    headers: &HeaderMap,
    id: String,
    what: &str,
) -> Answer {
    let id = path_id("order", id)?;
    let expected = if_match(headers)?;
    let key = Some(key(gateway, headers)?);
    let told = gateway
        .caller
        .post(ORDERS, format!("/orders/{id}/{what}"))
        .route(&format!("/orders/{{id}}/{what}"))
        .context(context)
        .order(&id)
        .json(&Asking { origin: origin(headers), expected, key });
    let order: OrderBody = timed(ORDERS, told.receive()).await?;
    Ok(accepted(&order))
}
