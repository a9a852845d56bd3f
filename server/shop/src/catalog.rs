//! catalog: products and their prices.

use crate::{StoreError, problem::Problem};
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use contract::Money;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Products a request for several may name: an order's lines.
const IDS_MAX: usize = 100;

/// One product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Product {
    /// Stable id: `p-moka`.
    pub product_id: String,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub description: String,
    /// `coffee`, `desk` …
    pub category: String,
    /// Price of one.
    #[schema(value_type = Object)]
    pub price: Money,
}

/// catalog's database.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// Every product, by name.
    async fn products(&self) -> Result<Vec<Product>, StoreError>;
    /// Those of these ids that exist.
    async fn named(&self, ids: &[String]) -> Result<Vec<Product>, StoreError>;
}

type Store = Arc<dyn CatalogStore>;

/// A list of products.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Products {
    /// The products.
    pub products: Vec<Product>,
}

/// The service.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/products", get(list))
        .route("/products/{id}", get(one))
        .route("/livez", get(live))
        .with_state(store)
}

/// Lives as long as its database can be read.
async fn live(State(store): State<Store>) -> Result<(), Problem> {
    store.products().await?;
    Ok(())
}

#[derive(Deserialize)]
struct Which {
    ids: Option<String>,
}

async fn list(
    State(store): State<Store>,
    Query(which): Query<Which>,
) -> Result<Json<Products>, Problem> {
    let products = match which.ids {
        None => store.products().await?,
        Some(ids) => {
            let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
            if ids.len() > IDS_MAX {
                return Err(Problem::field("ids", format!("At most {IDS_MAX} ids.")));
            }
            store.named(&ids).await?
        }
    };
    Ok(Json(Products { products }))
}

async fn one(State(store): State<Store>, Path(id): Path<String>) -> Result<Json<Product>, Problem> {
    let found = store.named(std::slice::from_ref(&id)).await?.pop();
    found.map(Json).ok_or_else(|| Problem::not_found(&format!("product {id}")))
}
