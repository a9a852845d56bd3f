//! What the pages ask of whoever serves them: one small port per domain, gathered in [`Host`].
//!
//! The dashboard never names an engine. The server implements the ports; tests implement them
//! with a fake. Only the server side has a host: the browser reaches it through [`crate::ask`].

use async_trait::async_trait;
use contract::{
    ApiError,
    live::LiveSnapshot,
    order::{OrderPage, OrderStatus, OrderView},
    shop::{CustomerView, LoadView, PlaceOrder, PlacedOrder, ProductView},
    trace::{TraceList, TraceQuery, TraceView},
};
use std::sync::Arc;

/// The shop, as somebody at the page uses it.
#[async_trait]
pub trait ShopPort: Send + Sync {
    /// What can be bought.
    async fn products(&self) -> Result<Vec<ProductView>, ApiError>;
    /// Who can buy.
    async fn customers(&self) -> Result<Vec<CustomerView>, ApiError>;
    /// Places an order through the gateway; the same key gives the first answer again.
    async fn place_order(&self, order: PlaceOrder, key: String) -> Result<PlacedOrder, ApiError>;
    /// Cancels an order through the gateway.
    async fn cancel_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// Ships a confirmed order through the gateway.
    async fn ship_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// Tries the compensation of a stuck order again, through the gateway.
    async fn redrive_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// One page of orders, newest first.
    async fn orders(
        &self,
        status: Option<OrderStatus>,
        cursor: Option<String>,
    ) -> Result<OrderPage, ApiError>;
    /// Everything about one order.
    async fn order(&self, order_id: String) -> Result<OrderView, ApiError>;
}

/// The live page and the load generator.
#[async_trait]
pub trait LivePort: Send + Sync {
    /// State of everything now.
    async fn snapshot(&self) -> Result<LiveSnapshot, ApiError>;
    /// Sets the load, requests per second, 0 to [`contract::shop::LOAD_MAX_PER_SECOND`].
    async fn set_load(&self, per_second: f64) -> Result<LoadView, ApiError>;
}

/// Traces.
#[async_trait]
pub trait TracePort: Send + Sync {
    /// Traces that match, newest first.
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError>;
    /// One whole trace.
    async fn trace(&self, trace_id: String) -> Result<TraceView, ApiError>;
}

/// Every port, cheap to clone, given to each request as context.
#[derive(Clone)]
pub struct Host {
    /// The shop.
    pub shop: Arc<dyn ShopPort>,
    /// The live page.
    pub live: Arc<dyn LivePort>,
    /// Traces.
    pub traces: Arc<dyn TracePort>,
    /// Address of a Jaeger UI to open traces in, if one is configured.
    pub jaeger_ui: Option<String>,
}
