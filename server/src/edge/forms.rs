//! The page's controls for browsers without JavaScript: plain forms, answered with a redirect.

use super::Edge;
use axum::{
    Form,
    extract::{Path, State, rejection::FormRejection},
    response::Redirect,
};
use contract::{
    ApiError,
    shop::{BasketLine, PlaceOrder},
};
use serde::Deserialize;

/// Fields of the place-order form.
#[derive(Debug, Deserialize)]
pub(super) struct PlaceForm {
    user_id: String,
    product_id: String,
    quantity: String,
    #[serde(default)]
    key: String,
}

pub(super) async fn place(
    State(edge): State<Edge>,
    form: Result<Form<PlaceForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return failed("/orders/new", "The form was not complete.");
    };
    let Ok(quantity) = form.quantity.trim().parse() else {
        return failed("/orders/new", "The quantity must be a whole number from 1 to 100.");
    };
    let items = vec![BasketLine { product_id: form.product_id, quantity }];
    let order = PlaceOrder { user_id: form.user_id, items };
    let key = if form.key.is_empty() { edge.shop.ids.uuid().to_string() } else { form.key };
    match edge.host.shop.place_order(order, key).await {
        Ok(placed) => Redirect::to(&format!("/orders/{}", placed.order_id)),
        Err(error) => failed("/orders/new", &error.to_string()),
    }
}

pub(super) async fn cancel(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.cancel_order(id.clone()).await.map(drop);
    back(&id, done)
}

pub(super) async fn ship(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.ship_order(id.clone()).await.map(drop);
    back(&id, done)
}

pub(super) async fn redrive(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.redrive_order(id.clone()).await.map(drop);
    back(&id, done)
}

/// Field of the load form.
#[derive(Debug, Deserialize)]
pub(super) struct LoadForm {
    per_second: f64,
}

pub(super) async fn load(
    State(edge): State<Edge>,
    form: Result<Form<LoadForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return failed("/", "The load must be a number.");
    };
    match edge.host.live.set_load(form.per_second).await {
        Ok(_) => Redirect::to("/"),
        Err(error) => failed("/", &error.to_string()),
    }
}

fn back(id: &str, done: Result<(), ApiError>) -> Redirect {
    let page =
        if shop::gateway::is_id(id) { format!("/orders/{id}") } else { "/orders".to_owned() };
    match done {
        Ok(()) => Redirect::to(&page),
        Err(error) => failed(&page, &error.to_string()),
    }
}

/// Back to a page, which shows the sentence. The page's address may have a query already.
pub(super) fn failed(page: &str, sentence: &str) -> Redirect {
    let joint = if page.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{page}{joint}error={}", escaped(sentence)))
}

/// A value of a query.
pub(super) fn escaped(value: &str) -> String {
    let one = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}
