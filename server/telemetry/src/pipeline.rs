//! The pipeline put together, and the handle everything else asks.

use crate::{
    ExportStats, MapRates, Registry, StoreStats, TelemetryConfig,
    export::{self, ExportControl, ExportParts, ExportProbe, Resources},
    hub::Hub,
    metrics::{OpenMetricsFacts, encode},
    print::Line,
    processor::Processor,
    sampling::FirstSpanDecides,
    scope::ScopeLayer,
};
use contract::{
    live::RedPoint,
    trace::{LogView, TraceList, TraceQuery, TraceRow, TraceView},
};
use opentelemetry::{global, propagation::TextMapCompositePropagator, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::SdkTracerProvider,
};
use std::{io::IsTerminal as _, sync::Arc, time::Duration};
use tracing::{Dispatch, Metadata, dispatcher, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry as SpanRegistry, filter::FilterFn, fmt, layer::SubscriberExt as _,
};

/// Name of the instrumentation scope on every span.
const SCOPE: &str = "vitrine";

/// Packages whose spans and lines are their own affair; those of the HTTP client would also make
/// the export tell of itself without end.
const FOREIGN: [&str; 13] = [
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tokio",
    "tonic",
    "tower",
    "tower_http",
];

/// Why the pipeline could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// This process has a subscriber already.
    #[error("this process already has a tracing subscriber")]
    AlreadyInstalled,
    /// The filter of `VITRINE_LOG` is malformed.
    #[error("the log filter is malformed")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The exporter could not be made.
    #[error("the exporter of spans could not be made: {0}")]
    Exporter(String),
}

/// Asks the store, the rates and the export how things are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    hub: Arc<Hub>,
    export: Option<ExportProbe>,
}

/// Held by `main`: its shutdown sends what is left.
#[derive(Debug)]
#[must_use = "spans that wait for export are lost unless it is shut down"]
pub struct TelemetryGuard {
    export: Option<ExportControl>,
}

impl Telemetry {
    /// Makes the pipeline and sets it, and the W3C propagators, for the whole process.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn install(config: TelemetryConfig) -> Result<(Self, TelemetryGuard), TelemetryError> {
        let filter =
            EnvFilter::builder().parse(&config.log_filter).map_err(TelemetryError::Filter)?;
        let printed = fmt::layer()
            .event_format(Line)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .with_filter(filter);
        let (telemetry, layer, guard) = assemble(config)?;
        let dispatch = Dispatch::new(SpanRegistry::default().with(layer).with(printed));
        dispatcher::set_global_default(dispatch).map_err(|_| TelemetryError::AlreadyInstalled)?;
        set_propagators();
        Ok((telemetry, guard))
    }

    /// Makes a pipeline for tests, which lives as long as its dispatch: use it with
    /// `tracing::dispatcher::with_default`, or `WithSubscriber::with_subscriber` on a future. Sets
    /// the W3C propagators, which can only be set for the whole process.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn detached(
        config: TelemetryConfig,
    ) -> Result<(Self, Dispatch, TelemetryGuard), TelemetryError> {
        let (telemetry, layer, guard) = assemble(config)?;
        set_propagators();
        let dispatch = Dispatch::new(SpanRegistry::default().with(layer));
        Ok((telemetry, dispatch, guard))
    }

    /// Traces that match, newest first.
    #[must_use]
    pub fn search(&self, query: &TraceQuery, now_us: i64) -> TraceList {
        let symbols = &self.hub.symbols;
        self.hub.ask(|state| state.store.search(query, now_us, symbols))
    }

    /// How many traces match and began after a moment.
    #[must_use]
    pub fn count_after(&self, query: &TraceQuery, after_us: i64, now_us: i64) -> usize {
        let symbols = &self.hub.symbols;
        self.hub.ask(|state| state.store.count_after(query, after_us, now_us, symbols))
    }

    /// One trace with its spans and log lines, by its 32 hex digits.
    #[must_use]
    pub fn trace(&self, trace_id: &str) -> Option<TraceView> {
        let id = trace_number(trace_id)?;
        self.hub.ask(|state| state.store.trace(id, &self.hub.symbols))
    }

    /// Log lines of a trace, oldest first.
    #[must_use]
    pub fn logs_of_trace(&self, trace_id: &str) -> Vec<LogView> {
        let Some(id) = trace_number(trace_id) else {
            return Vec::new();
        };
        self.hub.ask(|state| state.store.logs_of_trace(id, &self.hub.symbols))
    }

    /// Log lines with a field of this value (`order_id`, `correlation_id`), oldest first.
    #[must_use]
    pub fn logs_with_field(&self, key: &str, value: &str) -> Vec<LogView> {
        let symbols = &self.hub.symbols;
        self.hub.ask(|state| state.store.logs_with_field(key, value, symbols))
    }

    /// The moment until which log lines of an order have left, if it has any from before then. It
    /// has none from before this run.
    #[must_use]
    pub fn lines_left_until_us(&self, order_id: &str) -> i64 {
        self.hub.ask(|state| state.store.lines_left_until_us(order_id))
    }

    /// The newest log lines of a service, oldest first.
    #[must_use]
    pub fn logs_of_service(&self, service: &str, most: usize) -> Vec<LogView> {
        let symbols = &self.hub.symbols;
        let Some(service) = symbols.find_service(service) else { return Vec::new() };
        self.hub.ask(|state| state.store.logs_of_service(service, most, symbols))
    }

    /// Traces whose id begins with these hexadecimal digits, newest first.
    #[must_use]
    pub fn traces_beginning(&self, digits: &str) -> Vec<TraceRow> {
        let symbols = &self.hub.symbols;
        self.hub.ask(|state| state.store.traces_beginning(digits, symbols))
    }

    /// Rates of the service map over the window that ends now.
    #[must_use]
    pub fn map(&self, now_us: i64) -> MapRates {
        self.hub.ask(|state| state.rates.map(now_us, &self.hub.symbols))
    }

    /// One point of a service for every whole second from `from_us` (or the start, or an hour ago,
    /// whichever is latest) until `now_us`, oldest first.
    #[must_use]
    pub fn red_points(&self, service: &str, from_us: i64, now_us: i64) -> Vec<RedPoint> {
        let service = self.hub.symbols.claimed_service(service);
        self.hub.ask(|state| state.rates.red_points(service, from_us, now_us))
    }

    /// The point of a service of one second since the epoch; all zero when nothing happened in it.
    #[must_use]
    pub fn red_at(&self, service: &str, second: i64) -> RedPoint {
        let service = self.hub.symbols.claimed_service(service);
        self.hub.ask(|state| state.rates.red_at(service, second))
    }

    /// The OpenMetrics text, content type [`crate::OPENMETRICS_CONTENT_TYPE`]; `extra` adds to it.
    #[must_use]
    pub fn openmetrics(&self, extra: impl FnOnce(&mut Registry)) -> String {
        let store = self.store_stats();
        let facts = self.hub.ask(|state| OpenMetricsFacts {
            series: state.series.clone(),
            istio: state.istio.clone(),
            ignored_edges: state.rates.ignored_edges(),
            export: self.export_stats(),
            started_us: self.hub.started_us,
            store,
        });
        // Writing into a String fails only if a metric of `extra` refuses to be written; an empty
        // text is then an answer without the end marker, which scrapers refuse.
        encode(facts, &self.hub.symbols, extra).unwrap_or_default()
    }

    /// How the export is doing.
    #[must_use]
    pub fn export_stats(&self) -> ExportStats {
        self.export.as_ref().map(ExportProbe::stats).unwrap_or_default()
    }

    /// How full the store is and what it dropped.
    #[must_use]
    pub fn store_stats(&self) -> StoreStats {
        self.hub.stats()
    }
}

impl TelemetryGuard {
    /// Sends what is queued, for at most `deadline`. True when nothing is left.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        match self.export {
            Some(export) => export.finish(deadline).await,
            None => true,
        }
    }
}

/// The spans' layer, its handle and its guard.
fn assemble(
    config: TelemetryConfig,
) -> Result<(Telemetry, impl Layer<SpanRegistry>, TelemetryGuard), TelemetryError> {
    let hub = Arc::new(Hub::new(config.limits, config.clock.now_us()));
    let scope = ScopeLayer::new(Arc::clone(&hub), config.clock.clone());
    let resources = Resources::new(&config);
    let (queue, probe, control) = match config.export {
        None => (None, None, None),
        Some(export) => {
            let (queue, probe, control) = export::start(ExportParts {
                config: export,
                resources,
                hub: Arc::clone(&hub),
                clock: config.clock,
                dispatch: scope.dispatch(),
            })?;
            (Some(queue), Some(probe), Some(control))
        }
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Processor::new(Arc::clone(&hub), queue))
        // Resources are made per service at export.
        .with_resource(Resource::builder_empty().build())
        .with_sampler(FirstSpanDecides)
        .build();
    let otel = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SCOPE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // Parents come from `tracing` alone; nothing here asks for OpenTelemetry's current context.
        .with_context_activation(false);
    let ours = FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO);
    let layer = scope.and_then(otel).with_filter(ours);
    let telemetry = Telemetry { hub, export: probe };
    Ok((telemetry, layer, TelemetryGuard { export: control }))
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let package = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= tracing::Level::INFO && !FOREIGN.contains(&package)
}

fn set_propagators() {
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
}

/// A trace id is 32 hex digits and not zero (W3C Trace Context).
fn trace_number(trace_id: &str) -> Option<u128> {
    let hex = trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(trace_id, 16).ok()?;
    (hex && number != 0).then_some(number)
}
