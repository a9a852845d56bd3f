//! A host that answers with the design's reference scenario, for tests and for the preview.
//!
//! It is 14:34:20 on 1 March 2026, five minutes of range, sixty requests a second.
#![allow(dead_code, reason = "the preview and each test use a part of it")]

pub mod scenario;
pub mod spans;
pub mod story;

use app::host::{Host, LivePort, ShopPort, TracePort};
use async_trait::async_trait;
use contract::{
    ApiError, Money,
    live::LiveSnapshot,
    order::{OrderPage, OrderStatus, OrderView},
    shop::{CustomerView, LoadView, PlaceOrder, PlacedOrder, ProductView},
    trace::{TraceList, TraceQuery, TraceView},
};
use std::sync::Arc;

/// Answers everything from one snapshot.
pub struct Fake {
    snapshot: LiveSnapshot,
}

/// A host that shows a snapshot.
pub fn host(snapshot: LiveSnapshot) -> Host {
    let fake = Arc::new(Fake { snapshot });
    Host { shop: fake.clone(), live: fake.clone(), traces: fake, jaeger_ui: None }
}

fn placed(order_id: &str, status: OrderStatus) -> PlacedOrder {
    PlacedOrder { order_id: order_id.into(), status, correlation_id: "c".into() }
}

#[async_trait]
impl ShopPort for Fake {
    async fn products(&self) -> Result<Vec<ProductView>, ApiError> {
        let product = |id: &str, name: &str, minor| ProductView {
            product_id: id.into(),
            name: name.into(),
            price: Money::eur(minor),
        };
        Ok(vec![
            product("p-espresso", "Espresso machine", 14_990),
            product("p-cups", "Cups, set of four", 3_460),
            product("p-beans", "Beans, 1 kg", 2_150),
        ])
    }

    async fn customers(&self) -> Result<Vec<CustomerView>, ApiError> {
        let customer = |id: &str, name: &str, note: &str| CustomerView {
            user_id: id.into(),
            name: name.into(),
            note: note.into(),
        };
        Ok(vec![
            customer("c-1001", "Ada Byron", "comfortable"),
            customer("c-1042", "Karl Kahn", "has almost nothing"),
        ])
    }

    async fn place_order(&self, _: PlaceOrder, _: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed("ord-7F4C30", OrderStatus::Processing))
    }

    async fn cancel_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Cancelled))
    }

    async fn ship_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Shipped))
    }

    async fn redrive_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Processing))
    }

    async fn orders(
        &self,
        status: Option<OrderStatus>,
        _cursor: Option<String>,
    ) -> Result<OrderPage, ApiError> {
        let rows = self.snapshot.orders.iter();
        let rows = rows.filter(|row| status.is_none_or(|status| row.status == status));
        Ok(OrderPage { orders: rows.cloned().collect(), next: Some("older".into()) })
    }

    async fn order(&self, order_id: String) -> Result<OrderView, ApiError> {
        story::order(&order_id)
    }
}

#[async_trait]
impl LivePort for Fake {
    async fn snapshot(&self) -> Result<LiveSnapshot, ApiError> {
        Ok(self.snapshot.clone())
    }

    async fn set_load(&self, per_second: f64) -> Result<LoadView, ApiError> {
        Ok(LoadView { per_second, max_per_second: 200.0 })
    }
}

#[async_trait]
impl TracePort for Fake {
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError> {
        Ok(spans::traces(&query))
    }

    async fn trace(&self, trace_id: String) -> Result<TraceView, ApiError> {
        spans::trace(&trace_id)
    }
}
