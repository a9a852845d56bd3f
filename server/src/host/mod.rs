//! What the dashboard's pages ask, answered: one implementation per port, engine types turned into
//! views at the rim.

mod ask;
mod find;
mod recent;
pub(crate) mod resilience;
mod shop_port;
mod story;
mod traffic;
mod transaction;
mod tries;

use crate::{control::Control, live::Live, shop::Shop};
use app::host::{Host, LivePort, TracePort};
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    find::Hit,
    live::{LiveSnapshot, RED_MINUTES_MAX},
    shop::{LoadChange, LoadView},
    trace::{ExportView, LogView, OpenTrace, TraceList, TraceQuery},
};
use istio::policy::Share;
use resilience::ResilienceHost;
use shop_port::ShopHost;
use std::sync::Arc;
use telemetry::Telemetry;
use traffic::TrafficHost;

pub(crate) use traffic::{balance, mirror_pair};

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
        live: Arc::new(LiveHost {
            shop: shop.clone(),
            live: live.clone(),
            telemetry: telemetry.clone(),
        }),
        traces: Arc::new(TraceHost { shop: shop.clone(), telemetry: telemetry.clone(), jaeger_ui }),
        resilience: Arc::new(ResilienceHost::new(
            shop.clone(),
            control.clone(),
            live.clone(),
            telemetry.clone(),
        )),
        traffic: Arc::new(TrafficHost::new(control.clone(), shop.mesh.clone(), live.clone())),
    }
}

/// Log lines of a service in the map's drawer.
const NODE_LOGS_MAX: usize = 8;

struct LiveHost {
    shop: Shop,
    live: Live,
    telemetry: Telemetry,
}

#[async_trait]
impl LivePort for LiveHost {
    async fn snapshot(&self, of: String) -> Result<LiveSnapshot, ApiError> {
        // The page keeps the part of it that it shows.
        Ok(self.live.snapshot(RED_MINUTES_MAX, &of))
    }

    async fn set_load(&self, load: LoadChange) -> Result<LoadView, ApiError> {
        self.shop.load.set(load).map_err(|error| ApiError::Invalid {
            fields: vec![FieldError::new(error.field(), error.to_string())],
        })
    }

    async fn find(&self, text: String) -> Result<Vec<Hit>, ApiError> {
        Ok(find::find(&self.shop, &self.telemetry, &text).await)
    }

    async fn logs(&self, service: String) -> Result<Vec<LogView>, ApiError> {
        Ok(self.telemetry.logs_of_service(&service, NODE_LOGS_MAX))
    }
}

struct TraceHost {
    shop: Shop,
    telemetry: Telemetry,
    jaeger_ui: Option<String>,
}

#[async_trait]
impl TracePort for TraceHost {
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError> {
        Ok(self.telemetry.search(&query, self.shop.clock.now_us()))
    }

    async fn newer(&self, query: TraceQuery, after_us: i64) -> Result<usize, ApiError> {
        Ok(self.telemetry.count_after(&query, after_us, self.shop.clock.now_us()))
    }

    async fn trace(&self, trace_id: String) -> Result<OpenTrace, ApiError> {
        let found = self.telemetry.trace(&trace_id);
        let missing = || ApiError::NotFound { what: missing(&trace_id, &self.shop.mesh) };
        let trace = found.ok_or_else(missing)?;
        let order = trace.row.order_id.as_deref();
        let lines = order.map(|order| self.telemetry.logs_with_field("order_id", order).len());
        Ok(OpenTrace { order_logs: lines.unwrap_or(0), trace })
    }

    async fn export(&self) -> Result<ExportView, ApiError> {
        let stats = self.telemetry.export_stats();
        Ok(ExportView {
            endpoint: stats.endpoint,
            exported: stats.exported,
            rejected: stats.rejected,
            dropped: stats.dropped,
            queue: stats.queue,
            failing_since_us: stats.failing_since_us,
            last_error: stats.last_error,
            jaeger_ui: self.jaeger_ui.clone(),
        })
    }
}

/// That a trace is not there, and what may have become of it.
fn missing(trace_id: &str, mesh: &mesh::Mesh) -> String {
    let policy = mesh.in_force().policy;
    let sampled = policy.telemetry.iter().filter_map(|(workload, telemetry)| {
        let share = telemetry.sampling.filter(|share| *share < Share::ALL)?;
        let whose = if workload.is_empty() { "the other services" } else { workload };
        Some(format!("{} % of the traces that begin at {whose}", f64::from(share.0) / 10_000.0))
    });
    let sampled: Vec<_> = sampled.collect();
    let why = match &sampled[..] {
        [] => "or its id may be mistyped".to_owned(),
        sampled => {
            let sampled = sampled.join(", ");
            format!("its id may be mistyped, or sampling left it out (Telemetry: {sampled})")
        }
    };
    format!("trace {trace_id} is kept: it may be older than what is kept, {why}")
}
