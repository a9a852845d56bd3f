//! inventory: what is on the shelves, what is reserved, what is sold.

mod shelf;
mod store;

pub use shelf::{Asked, Held, Level, Refused, Reservation, ShelfChange, decide};
pub use store::InventoryStore;

use crate::{
    bus::{self, Incoming, unreadable},
    key::Key,
    orders::ReserveStock,
    problem::Problem,
    store::livez,
};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    routing::{get, post},
};
use http::StatusCode;
use messaging::Message;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most pieces one delivery may bring.
const DELIVERY_MAX: u32 = 100_000;

type Store = Arc<dyn InventoryStore>;

/// Everything on the shelves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shelves {
    /// By product id.
    pub levels: Vec<Level>,
}

/// A delivery from a supplier.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Pieces.
    pub quantity: u32,
}

/// Answer to `inventory.reserve`: yes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserved {
    /// Inventory's name for it.
    pub reservation_id: String,
    /// Pieces altogether.
    pub units: u64,
}

/// Answer to `inventory.reserve`: no.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotReserved {
    /// Why.
    pub reason: String,
}

/// Answer to `inventory.release`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Released {
    /// Pieces altogether.
    pub units: u64,
}

/// The service.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/stock", get(levels))
        .nest("/api/v1", Router::new().route("/stock", get(levels)))
        .route("/stock/{id}/deliveries", post(deliver))
        .route("/messages", post(take))
        .route("/livez", get(livez::<dyn InventoryStore>))
        .with_state(store)
}

async fn levels(State(store): State<Store>) -> Result<Json<Shelves>, Problem> {
    Ok(Json(Shelves { levels: store.levels().await? }))
}

async fn deliver(
    State(store): State<Store>,
    Path(id): Path<String>,
    Key(key): Key,
    body: Result<Json<Delivery>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(delivery) = body?;
    if delivery.quantity == 0 || delivery.quantity > DELIVERY_MAX {
        return Err(Problem::field("/quantity", format!("Must be 1 to {DELIVERY_MAX}.")));
    }
    store.deliver(&id, delivery.quantity, key).await?.answer(&format!("product {id}"))
}

async fn take(
    State(store): State<Store>,
    Incoming(message): Incoming,
) -> Result<StatusCode, Problem> {
    let asked = asked(&message).map_err(|error| unreadable(&message, &error))?;
    let Some(asked) = asked else {
        return Err(Problem::field(
            "ce-type",
            format!("inventory does not take {}.", message.topic),
        ));
    };
    if asked == Asked::Release {
        tracing::Span::current().record(contract::attributes::SAGA_COMPENSATION, true);
    }
    store.take(&message, asked).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn asked(message: &Message) -> Result<Option<Asked>, serde_json::Error> {
    Ok(match message.topic.as_str() {
        bus::INVENTORY_RESERVE => Some(Asked::Reserve(message.read::<ReserveStock>()?.lines)),
        bus::INVENTORY_RELEASE => Some(Asked::Release),
        bus::ORDER_SHIPPED => Some(Asked::Sell),
        _ => None,
    })
}
