//! The public API of orders for callers that a route sends straight here, without the gateway: the
//! same paths and the same checks.
//!
//! Does not know `Prefer: wait`, which an API may leave out (RFC 7240, section 2).

use super::{Asking, OrderBody, Orders, command, decide::Input, list, one, place};
use crate::{
    input::{self, BODY_BYTES_MAX, if_match, origin, path_id},
    key::idempotency_key,
    problem::Problem,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use mesh::CallContext;

/// An order, accepted or changed.
type Accepted = Result<(StatusCode, Json<OrderBody>), Problem>;

pub(super) fn router() -> Router<Orders> {
    Router::new()
        .route("/orders", get(list).post(order))
        .route("/orders/{id}", get(one))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}/ship", post(ship))
        .route("/orders/{id}/redrive", post(redrive))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn order(
    State(orders): State<Orders>,
    context: CallContext,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Accepted {
    let order = input::order(&headers, body)?;
    let key = idempotency_key(&headers)?;
    let command = place::Command { order, origin: origin(&headers), key };
    place::accept(orders, &context, command).await
}

async fn cancel(orders: State<Orders>, headers: HeaderMap, id: Path<String>) -> Accepted {
    let asked = Input::Cancel(origin(&headers));
    change(orders, &headers, id, asked).await
}

async fn ship(orders: State<Orders>, headers: HeaderMap, id: Path<String>) -> Accepted {
    change(orders, &headers, id, Input::Ship).await
}

async fn redrive(orders: State<Orders>, headers: HeaderMap, id: Path<String>) -> Accepted {
    change(orders, &headers, id, Input::Redrive).await
}

async fn change(
    State(orders): State<Orders>,
    headers: &HeaderMap,
    Path(id): Path<String>,
    asked: Input,
) -> Accepted {
    let expected = if_match(headers)?;
    let key = idempotency_key(headers)?;
    let asking = Asking { origin: origin(headers), expected, key };
    let context = CallContext::from_headers(headers);
    command(orders, path_id("order", id)?, asked, asking, context).await
}
