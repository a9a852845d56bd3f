//! What the dashboard's pages ask, answered: one implementation per port, engine types turned into
//! views at the rim.

mod ask;
pub(crate) mod resilience;
mod shop_port;
mod story;
mod traffic;
mod transaction;

use crate::{control::Control, live::Live, shop::Shop};
use app::host::{Host, LivePort, TracePort};
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    live::{LiveSnapshot, RED_MINUTES_MAX},
    shop::{LoadChange, LoadView},
    trace::{TraceList, TraceQuery, TraceView},
};
use resilience::ResilienceHost;
use shop_port::ShopHost;
use std::sync::Arc;
use telemetry::Telemetry;
use traffic::TrafficHost;

pub(crate) use traffic::mirror_pair;

/// The host of every page.
#[must_use]
pub fn host(
    shop: &Shop,
    control: &Control,
    live: &Live,
    telemetry: &Telemetry,
    jaeger_ui: Option<String>,
) -> Host {
    Host {
        shop: Arc::new(ShopHost::new(shop.clone(), telemetry.clone())),
        live: Arc::new(LiveHost { shop: shop.clone(), live: live.clone() }),
        traces: Arc::new(TraceHost { shop: shop.clone(), telemetry: telemetry.clone() }),
        resilience: Arc::new(ResilienceHost::new(shop.clone(), live.clone(), telemetry.clone())),
        traffic: Arc::new(TrafficHost::new(control.clone(), shop.mesh.clone(), live.clone())),
        jaeger_ui,
    }
}

struct LiveHost {
    shop: Shop,
    live: Live,
}

#[async_trait]
impl LivePort for LiveHost {
    async fn snapshot(&self) -> Result<LiveSnapshot, ApiError> {
        // The page keeps the part of it that it shows.
        Ok(self.live.snapshot(RED_MINUTES_MAX))
    }

    async fn set_load(&self, load: LoadChange) -> Result<LoadView, ApiError> {
        self.shop.load.set(load).map_err(|error| ApiError::Invalid {
            fields: vec![FieldError::new(error.field(), error.to_string())],
        })
    }
}

struct TraceHost {
    shop: Shop,
    telemetry: Telemetry,
}

#[async_trait]
impl TracePort for TraceHost {
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError> {
        Ok(self.telemetry.search(&query, self.shop.clock.now_us()))
    }

    async fn trace(&self, trace_id: String) -> Result<TraceView, ApiError> {
        let found = self.telemetry.trace(&trace_id);
        found.ok_or_else(|| ApiError::NotFound { what: format!("trace {trace_id}") })
    }
}
