//! The shop's port.

use super::{
    ask::{act, look},
    recent,
    resilience::outages,
    story,
};
use crate::shop::Shop;
use app::host::ShopPort;
use async_trait::async_trait;
use contract::{
    ApiError,
    order::{OrderPage, OrderStatus, OrderView},
    service::{CATALOG, ORDERS, PAYMENTS, USERS},
    shop::{CustomerView, PlaceOrder, PlacedOrder, ProductView},
};
use http::Method;
use shop::{
    catalog::{Product, Products},
    input::is_id,
    key::checked_key,
    orders::OrderStory,
    payments::Transactions,
    users::{User, Users},
};
use telemetry::Telemetry;

/// Traces of one order that its page reads: that of placing it and those of the commands after it
/// are two or three; each may have thousands of spans.
const TRACES_MAX: usize = 8;

pub(super) struct ShopHost {
    shop: Shop,
    telemetry: Telemetry,
}

impl ShopHost {
    pub(super) fn new(shop: Shop, telemetry: Telemetry) -> Self {
        Self { shop, telemetry }
    }

    async fn command(&self, order_id: String, what: &str) -> Result<PlacedOrder, ApiError> {
        let id = checked(order_id)?;
        let path = format!("/api/v1/orders/{id}/{what}");
        let key = self.shop.ids.unique();
        act(&self.shop.mesh, Method::POST, &path, Some(&key), None::<&()>).await
    }
}

fn checked(order_id: String) -> Result<String, ApiError> {
    if is_id(&order_id) {
        Ok(order_id)
    } else {
        Err(ApiError::NotFound { what: "order of that id".into() })
    }
}

#[async_trait]
impl ShopPort for ShopHost {
    async fn products(&self) -> Result<Vec<ProductView>, ApiError> {
        let list: Products = look(&self.shop.mesh, CATALOG, "/products").await?;
        let view =
            |p: Product| ProductView { product_id: p.product_id, name: p.name, price: p.price };
        Ok(list.products.into_iter().map(view).collect())
    }

    async fn customers(&self) -> Result<Vec<CustomerView>, ApiError> {
        let list: Users = look(&self.shop.mesh, USERS, "/users").await?;
        let view = |u: User| CustomerView { user_id: u.user_id, name: u.name, note: u.note };
        Ok(list.users.into_iter().map(view).collect())
    }

    async fn place_order(&self, order: PlaceOrder, key: String) -> Result<PlacedOrder, ApiError> {
        let key = checked_key(&key).map_err(|error| ApiError::Invalid { fields: vec![error] })?;
        act(&self.shop.mesh, Method::POST, "/api/v1/orders", Some(&key), Some(&order)).await
    }

    async fn cancel_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        self.command(order_id, "cancel").await
    }

    async fn ship_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        self.command(order_id, "ship").await
    }

    async fn redrive_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        self.command(order_id, "redrive").await
    }

    async fn orders(
        &self,
        status: Option<OrderStatus>,
        minutes: Option<u32>,
        cursor: Option<String>,
    ) -> Result<OrderPage, ApiError> {
        let mut path = "/orders?limit=50".to_owned();
        if let Some(status) = status {
            path.push_str(&format!("&status={status}"));
        }
        let plain = |c: &String| c.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        if let Some(cursor) = cursor.filter(plain) {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page = look(&self.shop.mesh, ORDERS, &path).await?;
        let minutes = minutes.map(|minutes| i64::from(minutes) * 60_000_000);
        Ok(match minutes {
            Some(last_us) => recent::placed_since(page, self.shop.clock.now_us() - last_us),
            None => page,
        })
    }

    async fn order(&self, order_id: String) -> Result<OrderView, ApiError> {
        let id = checked(order_id)?;
        let mesh = &self.shop.mesh;
        let (told, transactions) = tokio::join!(
            look::<OrderStory>(mesh, ORDERS, format!("/orders/{id}/story")),
            look::<Transactions>(mesh, PAYMENTS, format!("/orders/{id}/transactions")),
        );
        let told = told?;
        let transactions = transactions.map(|list| list.transactions);
        let user_id = story::user_id(&told);
        let customer = look::<User>(mesh, USERS, format!("/users/{user_id}")).await;
        let traces = ids_of_traces(&told);
        story::view(story::Parts {
            transactions,
            customer: customer.map(|user| user.name),
            traces: traces.iter().filter_map(|id| self.telemetry.trace(id)).collect(),
            logs: self.telemetry.logs_with_field("order_id", &id),
            logs_left_until_us: self.telemetry.lines_left_until_us(&id),
            outages: outages(mesh),
            started_us: self.shop.started_us,
            told,
        })
    }
}

/// The traces of an order, oldest first, no more than a page lists.
fn ids_of_traces(told: &OrderStory) -> Vec<String> {
    let mut ids: Vec<String> = told.trace_id.iter().chain(&told.traces).cloned().collect();
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids.truncate(TRACES_MAX);
    ids
}
