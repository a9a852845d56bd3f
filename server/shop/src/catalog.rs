//! catalog: products and their prices.
//!
//! Version 1 lists products by name. Version 2 lists them by popularity, best sold first, says
//! beside each how much of it is left and when it was last changed, and for that asks inventory;
//! without inventory's answer it lists by name and says nothing about stock. What an order is
//! priced by, products of given ids, is the same in both and asks nobody.

use crate::{
    StoreError,
    inventory::{Level, Shelves},
    problem::Problem,
    store::{Probe, livez},
};
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use contract::{Money, service::INVENTORY};
use mesh::{CallContext, Caller};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

/// Products a request for several may name: an order's lines.
const IDS_MAX: usize = 100;
/// Stock hints are optional: this is how long a list waits for them.
const STOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// A product with less than this is nearly gone, pieces.
const STOCK_LOW: i64 = 100;

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
    #[schema(value_type = crate::gateway::schema::Money)]
    pub price: Money,
    /// How much is left: `plenty`, `low` or `none`. Version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Stock>,
    /// When it was last changed, RFC 3339. Version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// How much of a product is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stock {
    /// Enough.
    Plenty,
    /// Nearly gone.
    Low,
    /// Sold out.
    None,
}

/// catalog's database.
#[async_trait]
pub trait CatalogStore: Probe {
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

/// What every handler works with.
#[derive(Clone)]
struct Catalog {
    store: Store,
    /// The way to inventory: version 2 has one.
    inventory: Option<Caller>,
}

/// Version 1 of the service.
pub fn router(store: Store) -> Router {
    routes(store.clone(), Catalog { store, inventory: None })
}

/// Version 2 of the service; `caller` is what it asks inventory with.
pub fn router_v2(store: Store, caller: Caller) -> Router {
    routes(store.clone(), Catalog { store, inventory: Some(caller) })
}

fn routes(probed: Store, catalog: Catalog) -> Router {
    let public = || Router::new().route("/products", get(list)).route("/products/{id}", get(one));
    let probe = Router::new().route("/livez", get(livez::<dyn CatalogStore>)).with_state(probed);
    public().nest("/api/v1", public()).with_state(catalog).merge(probe)
}

#[derive(Deserialize)]
struct Which {
    ids: Option<String>,
}

async fn list(
    State(catalog): State<Catalog>,
    context: CallContext,
    Query(which): Query<Which>,
) -> Result<Json<Products>, Problem> {
    let products = match which.ids {
        None => catalog.shown(catalog.store.products().await?, &context).await,
        Some(ids) => {
            let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
            if ids.len() > IDS_MAX {
                return Err(Problem::field("ids", format!("At most {IDS_MAX} ids.")));
            }
            plain(catalog.store.named(&ids).await?)
        }
    };
    Ok(Json(Products { products }))
}

async fn one(
    State(catalog): State<Catalog>,
    context: CallContext,
    Path(id): Path<String>,
) -> Result<Json<Product>, Problem> {
    let found = catalog.store.named(std::slice::from_ref(&id)).await?;
    let shown = catalog.shown(found, &context).await.pop();
    shown.map(Json).ok_or_else(|| Problem::not_found(&format!("product {id}")))
}

impl Catalog {
    /// The products as this version shows them.
    async fn shown(&self, products: Vec<Product>, context: &CallContext) -> Vec<Product> {
        let Some(caller) = &self.inventory else { return plain(products) };
        if products.is_empty() {
            return products;
        }
        let stock = caller.get(INVENTORY, "/stock").route("/stock").context(context);
        match stock.timeout(STOCK_TIMEOUT).receive::<Shelves>().await {
            Ok(Shelves { levels }) => popular(products, &levels),
            Err(error) => {
                tracing::warn!("products are shown without stock hints: {error}");
                products
            }
        }
    }
}

/// As version 1 shows them.
fn plain(mut products: Vec<Product>) -> Vec<Product> {
    for product in &mut products {
        product.updated_at = None;
    }
    products
}

/// Best sold first, those sold alike in the order they came, each with a hint at its stock.
fn popular(mut products: Vec<Product>, levels: &[Level]) -> Vec<Product> {
    let levels: HashMap<&str, &Level> =
        levels.iter().map(|level| (level.product_id.as_str(), level)).collect();
    for product in &mut products {
        product.stock = levels.get(product.product_id.as_str()).map(|level| hint(level.available));
    }
    // What is reserved is as good as sold.
    let sold = |product: &Product| {
        levels.get(product.product_id.as_str()).map_or(0, |level| level.reserved + level.sold)
    };
    products.sort_by_key(|product| Reverse(sold(product)));
    products
}

const fn hint(available: i64) -> Stock {
    match available {
        ..=0 => Stock::None,
        1..STOCK_LOW => Stock::Low,
        _ => Stock::Plenty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(id: &str) -> Product {
        Product {
            product_id: id.to_owned(),
            name: String::new(),
            description: String::new(),
            category: String::new(),
            price: Money::eur(1),
            stock: None,
            updated_at: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }

    fn level(id: &str, available: i64, reserved: i64, sold: i64) -> Level {
        let delivered = available + reserved + sold;
        Level { product_id: id.to_owned(), available, reserved, sold, delivered }
    }

    #[test]
    fn the_best_sold_come_first_with_a_hint_at_what_is_left() {
        let products = ["a", "b", "c", "d"].map(product).to_vec();
        let levels = [level("a", 0, 0, 3), level("b", 99, 2, 5), level("c", 100, 3, 0)];
        let shown = popular(products, &levels);
        let shown: Vec<_> = shown.iter().map(|p| (p.product_id.as_str(), p.stock)).collect();
        let expected = [
            ("b", Some(Stock::Low)),
            ("a", Some(Stock::None)),
            ("c", Some(Stock::Plenty)),
            ("d", None),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn version_1_shows_neither_stock_nor_time() {
        let shown = plain(vec![product("a")]);
        assert_eq!((shown[0].stock, shown[0].updated_at.as_deref()), (None, None));
    }
}
