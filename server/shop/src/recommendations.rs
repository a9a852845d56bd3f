//! recommendations: what goes with a product.
//!
//! Version 1 knows what was bought together with it, learned from confirmed orders, and nothing
//! else. Version 2 fills up what that leaves open with products of the same category, the nearest in
//! price first, and says of each why it is there; for that it asks catalog, and without catalog's
//! answer it says what version 1 says.
//!
//! Optional by design: the gateway gives up on it after a second and shows the product without.

use crate::{
    StoreError,
    bus::{Incoming, unreadable},
    catalog::{Product, Products},
    orders::Confirmed,
    problem::Problem,
    store::{Probe, Taken, livez},
};
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use contract::service::CATALOG;
use http::StatusCode;
use mesh::{CallContext, Caller};
use messaging::Message;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Products recommended with one product.
const RECOMMENDED_MAX: usize = 4;
/// How long version 2 waits for catalog; the gateway itself waits no longer than twice that.
const CATALOG_TIMEOUT: Duration = Duration::from_millis(500);

/// recommendations' database.
#[async_trait]
pub trait RecommendationStore: Probe {
    /// Products bought together with this one, most often first.
    async fn beside(&self, product_id: &str, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Counts every pair of these once; the message is taken in the same transaction.
    async fn learn(&self, message: &Message, together: &[String]) -> Result<Taken, StoreError>;
}

type Store = Arc<dyn RecommendationStore>;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommended {
    /// Ids of products, best first.
    pub product_ids: Vec<String>,
    /// Why each is there, in the same order. Version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Why a product is recommended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// In one confirmed order with the product.
    BoughtTogether,
    /// Of the same category.
    SameCategory,
}

/// What every handler works with.
#[derive(Clone)]
struct Recommendations {
    store: Store,
    /// The way to catalog: version 2 has one.
    catalog: Option<Caller>,
}

/// Version 1 of the service.
pub fn router(store: Store) -> Router {
    routes(Recommendations { store, catalog: None })
}

/// Version 2 of the service; `caller` is what it asks catalog with.
pub fn router_v2(store: Store, caller: Caller) -> Router {
    routes(Recommendations { store, catalog: Some(caller) })
}

fn routes(recommendations: Recommendations) -> Router {
    let public = || Router::new().route("/recommendations/{id}", get(beside));
    let probed = recommendations.store.clone();
    let livez = get(livez::<dyn RecommendationStore>);
    let probe = Router::new().route("/livez", livez).with_state(probed);
    public()
        .nest("/api/v1", public())
        .route("/messages", post(take))
        .with_state(recommendations)
        .merge(probe)
}

async fn beside(
    State(Recommendations { store, catalog }): State<Recommendations>,
    context: CallContext,
    Path(id): Path<String>,
) -> Result<Json<Recommended>, Problem> {
    let product_ids = store.beside(&id, RECOMMENDED_MAX).await?;
    let Some(catalog) = catalog else {
        return Ok(Json(Recommended { product_ids, reasons: Vec::new() }));
    };
    let asked = catalog.get(CATALOG, "/products").route("/products").context(&context);
    let all = asked.timeout(CATALOG_TIMEOUT).receive::<Products>().await;
    let all = all.map(|Products { products }| products).unwrap_or_else(|error| {
        tracing::warn!("recommendations are not filled up: {error}");
        Vec::new()
    });
    Ok(Json(fill_up(&id, product_ids, &all)))
}

/// What was bought together, then the nearest of the same category until there are enough.
fn fill_up(id: &str, together: Vec<String>, all: &[Product]) -> Recommended {
    let mut reasons = vec![Reason::BoughtTogether; together.len()];
    let mut product_ids = together;
    let Some(product) = all.iter().find(|product| product.product_id == id) else {
        return Recommended { product_ids, reasons };
    };
    let is_new = |other: &&Product| {
        other.product_id != id
            && other.category == product.category
            && !product_ids.contains(&other.product_id)
    };
    let mut alike: Vec<&Product> = all.iter().filter(is_new).collect();
    let distance = |other: &Product| other.price.minor.abs_diff(product.price.minor);
    alike.sort_by_key(|other| (distance(other), other.product_id.clone()));
    let room = RECOMMENDED_MAX.saturating_sub(product_ids.len());
    for other in alike.into_iter().take(room) {
        product_ids.push(other.product_id.clone());
        reasons.push(Reason::SameCategory);
    }
    Recommended { product_ids, reasons }
}

async fn take(
    State(Recommendations { store, .. }): State<Recommendations>,
    Incoming(message): Incoming,
) -> Result<StatusCode, Problem> {
    let body: Confirmed = message.read().map_err(|error| unreadable(&message, &error))?;
    store.learn(&message, &body.product_ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reason::{BoughtTogether, SameCategory};

    fn all() -> Vec<Product> {
        crate::seed::products().into_iter().map(|(product, _)| product).collect()
    }

    #[test]
    fn what_was_bought_together_comes_first_and_the_category_fills_up_by_price() {
        // The moka pot costs 34.50; of coffee there are beans 21.90, a grinder 89.00 and a kettle.
        let filled = fill_up("p-moka", vec!["p-cups".into(), "p-grinder".into()], &all());
        assert_eq!(filled.product_ids, ["p-cups", "p-grinder", "p-beans", "p-kettle"]);
        let reasons = [BoughtTogether, BoughtTogether, SameCategory, SameCategory];
        assert_eq!(filled.reasons, reasons);
    }

    #[test]
    fn there_are_never_more_than_the_most_and_never_the_product_itself() {
        let filled = fill_up("p-pen", vec![], &all());
        assert_eq!(filled.product_ids, ["p-notebook", "p-lamp", "p-headphones"]);
        let four = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(fill_up("p-pen", four.clone(), &all()).product_ids, four);
    }

    #[test]
    fn without_catalog_it_is_what_was_bought_together() {
        let filled = fill_up("p-moka", vec!["p-cups".into()], &[]);
        let expected =
            Recommended { product_ids: vec!["p-cups".into()], reasons: vec![BoughtTogether] };
        assert_eq!(filled, expected);
    }
}
