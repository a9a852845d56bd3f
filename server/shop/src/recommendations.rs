//! recommendations: what was bought together with a product, learned from confirmed orders.
//!
//! Optional by design: the gateway gives up on it after a second and shows the product without.

use crate::{
    StoreError,
    bus::{Incoming, unreadable},
    orders::Confirmed,
    problem::Problem,
    store::Taken,
};
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use http::StatusCode;
use messaging::Message;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Products recommended with one product.
const RECOMMENDED_MAX: usize = 4;

/// recommendations' database.
#[async_trait]
pub trait RecommendationStore: Send + Sync {
    /// Products bought together with this one, most often first.
    async fn beside(&self, product_id: &str, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Counts every pair of these once; the message is taken in the same transaction.
    async fn learn(&self, message: &Message, together: &[String]) -> Result<Taken, StoreError>;
}

type Store = Arc<dyn RecommendationStore>;

/// The answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recommended {
    /// Ids of products, best first.
    pub product_ids: Vec<String>,
}

/// The service.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/recommendations/{id}", get(beside))
        .route("/messages", post(take))
        .route("/livez", get(live))
        .with_state(store)
}

/// Lives as long as its database can be read.
async fn live(State(store): State<Store>) -> Result<(), Problem> {
    store.beside("", 1).await?;
    Ok(())
}

async fn beside(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Json<Recommended>, Problem> {
    Ok(Json(Recommended { product_ids: store.beside(&id, RECOMMENDED_MAX).await? }))
}

async fn take(
    State(store): State<Store>,
    Incoming(message): Incoming,
) -> Result<StatusCode, Problem> {
    let body: Confirmed = message.read().map_err(|error| unreadable(&message, &error))?;
    store.learn(&message, &body.product_ids).await?;
    Ok(StatusCode::NO_CONTENT)
}
