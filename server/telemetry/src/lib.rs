//! Everything the system tells about itself: spans, log lines and what is counted from them.
//!
//! `tracing` is the only way in. From there one OpenTelemetry pipeline feeds a bounded store that
//! the pages read, the rates of the service map, an OpenMetrics text, and the OTLP export, so all
//! of them show the same spans. Each demo service is its own OpenTelemetry resource: a span names
//! its service in the field `service.name`, or belongs to the service of the span around it.
//!
//! Knows no HTTP server, no SQL and nothing of the shop beyond the attribute names in [`names`].

mod aside;
mod config;
mod ended;
mod export;
mod hub;
mod jaeger;
mod metrics;
pub mod names;
mod pipeline;
mod print;
mod processor;
mod remembered;
mod sampling;
mod scope;
mod store;
mod symbols;

pub use config::{
    BATCH_MAX_DEFAULT, ConfigError, ConfigErrors, DELAY_DEFAULT, ExportConfig, Identity,
    LOG_FILTER_DEFAULT, Protocol, QUEUE_MAX_DEFAULT, TIMEOUT_DEFAULT, TelemetryConfig, Tls,
};
pub use export::ExportStats;
pub use jaeger::jaeger_json;
pub use metrics::{EdgeRates, MapRates, OPENMETRICS_CONTENT_TYPE, SubsetRates, VersionRates};
pub use pipeline::{Telemetry, TelemetryError, TelemetryGuard};
pub use prometheus_client::registry::Registry;
pub use sampling::TRACE_STATE_MEMBER;
pub use store::{LOGS_MAX, SPANS_MAX, SPANS_PER_TRACE_MAX, StoreLimits, StoreStats};
