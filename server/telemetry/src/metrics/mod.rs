//! What is counted from ended spans: rates of the map, RED points of services, OpenMetrics.
//!
//! Like the span-metrics connector of the OpenTelemetry Collector, so no service counts by itself
//! and the numbers agree with the traces. Time is the end of each span; nothing here has a clock.

mod istio;
mod openmetrics;
mod process;
mod rates;
mod red;
mod series;
mod window;

use contract::live::{EdgeKind, SilentEdge};

pub(crate) use istio::{Changes, IstioMetrics};
pub use openmetrics::OPENMETRICS_CONTENT_TYPE;
pub(crate) use openmetrics::{Facts as OpenMetricsFacts, encode};
pub(crate) use rates::Rates;
pub(crate) use series::Series;

/// Microseconds in a second.
const SECOND_US: i64 = 1_000_000;

/// One edge of the map, over the window of [`MapRates`].
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeRates {
    /// Caller or producer.
    pub from: String,
    /// Callee or consumer.
    pub to: String,
    /// Traffic.
    pub kind: EdgeKind,
    /// Calls per second.
    pub per_second: f64,
    /// Share of 5xx and unanswered calls, 0 to 1.
    pub error_share: f64,
    /// 95th percentile of duration, milliseconds; none without calls.
    pub p95_ms: Option<f64>,
    /// The median and the 99th percentile, milliseconds; none without calls.
    pub p50_p99_ms: [Option<f64>; 2],
    /// Calls in the window.
    pub calls: u64,
    /// What of it went to which subset of the callee, where a route named one; by name.
    pub subsets: Vec<SubsetRates>,
}

/// Calls that went to one subset, over the window of [`MapRates`].
#[derive(Clone, Debug, PartialEq)]
pub struct SubsetRates {
    /// The subset: `v1`.
    pub subset: String,
    /// Calls per second.
    pub per_second: f64,
    /// Share of 5xx and unanswered calls, 0 to 1.
    pub error_share: f64,
    /// 95th percentile of duration, milliseconds; none without calls.
    pub p95_ms: Option<f64>,
    /// The median and the 99th percentile, milliseconds; none without calls.
    pub p50_p99_ms: [Option<f64>; 2],
    /// Calls in the window.
    pub calls: u64,
}

/// One version of a service, whoever called it, over the window of [`MapRates`].
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRates {
    /// Its service.
    pub service: String,
    /// Its calls and messages.
    pub rates: SubsetRates,
    /// Calls per second, one value per whole past second, oldest first.
    pub spark: Vec<f32>,
}

/// Rates of the service map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapRates {
    /// Seconds the rates are taken over (less after a start).
    pub window_seconds: u32,
    /// Edges that carried anything in the window, by name.
    pub edges: Vec<EdgeRates>,
    /// Edges that carried something before it and nothing in it, by name.
    pub silent: Vec<SilentEdge>,
    /// From the bus to each consumer: the last step of messages.
    pub deliveries: Vec<EdgeRates>,
    /// 95th percentile from recorded in the outbox to handled, milliseconds, of each consumer.
    pub lags: Vec<(String, f64)>,
    /// Versions of services, by service and name: the subsets that routes named, and the versions
    /// of the instances that took calls. Under the empty name what no route sent to a subset.
    pub versions: Vec<VersionRates>,
    /// Calls and messages received per second by each service that received any in the window, one
    /// value per whole past second, oldest first.
    pub nodes: Vec<(String, Vec<f32>)>,
    /// Messages handled per second.
    pub bus_per_second: f64,
    /// 95th percentile from recorded in the outbox to handled, milliseconds.
    pub bus_lag_p95_ms: Option<f64>,
}
