//! The text Prometheus and its relatives scrape: OpenMetrics 1.0, written by its authors' crate.

use super::{
    istio::{IstioMetrics, Labelled},
    process::Process,
    series::{BOUNDS, Cell, Series},
};
use crate::{ExportStats, StoreStats, symbols::Symbols};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, exemplar::Exemplar, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use std::{collections::HashMap, fmt, sync::Arc};

/// Content type of the text.
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The label the OpenTelemetry specification gives to the set that stands for all beyond a bound.
const OVERFLOW: (&str, &str) = ("otel_metric_overflow", "true");

/// Everything the text says about this crate's own affairs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) series: Series,
    pub(crate) istio: IstioMetrics,
    pub(crate) store: StoreStats,
    pub(crate) export: ExportStats,
    pub(crate) ignored_edges: u64,
    pub(crate) started_us: i64,
}

/// The text: ours, and what `extra` registers.
pub(crate) fn encode(
    facts: Facts,
    symbols: &Symbols,
    extra: impl FnOnce(&mut Registry),
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot::new(facts, symbols)));
    extra(&mut registry);
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

type Labels = Vec<(&'static str, Arc<str>)>;
type Histograms = Vec<(Labels, Cell)>;

/// The facts with names in place of numbers.
#[derive(Debug)]
struct Snapshot {
    client: Histograms,
    server: Histograms,
    process: Histograms,
    istio_requests: Labelled,
    istio_durations: Labelled,
    store: StoreStats,
    export: ExportStats,
    ignored_edges: u64,
    started_us: i64,
    system: Process,
}

impl Snapshot {
    fn new(facts: Facts, symbols: &Symbols) -> Self {
        let service = |number| symbols.service_name(number);
        let word = |number: Option<u16>| number.and_then(|number| symbols.words.string(number));
        let number = |status: Option<u16>| status.map(|status| Arc::from(status.to_string()));
        let client = histograms(facts.series.client.0, |(from, to, status)| {
            labels([
                ("service_name", Some(service(from))),
                ("server_address", Some(service(to))),
                ("http_response_status_code", number(status)),
            ])
        });
        let server = histograms(facts.series.server.0, |(from, route, method, status)| {
            labels([
                ("service_name", Some(service(from))),
                ("http_route", word(route)),
                ("http_request_method", word(method)),
                ("http_response_status_code", number(status)),
            ])
        });
        let process = histograms(facts.series.process.0, |(from, topic, failed)| {
            labels([
                ("service_name", Some(service(from))),
                ("messaging_destination_name", word(topic)),
                ("error_type", failed.then(|| "_OTHER".into())),
            ])
        });
        Self {
            client,
            server,
            process,
            istio_requests: facts.istio.requests(symbols),
            istio_durations: facts.istio.durations(symbols),
            store: facts.store,
            export: facts.export,
            ignored_edges: facts.ignored_edges,
            started_us: facts.started_us,
            system: Process::read(),
        }
    }

    /// Istio's own names, and its unit.
    fn encode_istio(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests between workloads, from either side.";
        let mut family =
            encoder.encode_descriptor("istio_requests", help, None, MetricType::Counter)?;
        for (labels, cell) in &self.istio_requests {
            ConstCounter::new(cell.count).encode(family.encode_family(labels)?)?;
        }
        let name = "istio_request_duration_milliseconds";
        let help = "Duration of requests between workloads, from either side.";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, cell) in &self.istio_durations {
            let bounds = BOUNDS.into_iter().map(|bound| bound * 1e3).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(cell.buckets).collect();
            let no_exemplars = None::<&HashMap<usize, Exemplar<[(&str, &str); 0], f64>>>;
            let sum = cell.sum_us as f64 / 1e3;
            family.encode_family(labels)?.encode_histogram(
                sum,
                cell.count,
                &buckets,
                no_exemplars,
            )?;
        }
        Ok(())
    }

    fn encode_telemetry(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge =
            |name, help, value: usize| metric(encoder, name, help, value as u64, gauge_of);
        gauge("vitrine_telemetry_spans_stored", "Spans kept in memory.", self.store.spans)?;
        gauge("vitrine_telemetry_traces_stored", "Traces kept in memory.", self.store.traces)?;
        gauge("vitrine_telemetry_logs_stored", "Log lines kept in memory.", self.store.logs)?;
        gauge("vitrine_telemetry_export_queue", "Spans that wait for export.", self.export.queue)?;
        let exported = ("vitrine_telemetry_exported", "Spans the collector accepted.");
        metric(encoder, exported.0, exported.1, self.export.exported, counter_of)?;
        self.encode_dropped(encoder)
    }

    fn encode_dropped(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reasons = [
            ("evicted", self.store.evicted_spans),
            ("trace_full", self.store.dropped_spans),
            ("trace_left", self.store.late_spans),
            ("store_busy", self.store.lost),
            ("logs_evicted", self.store.evicted_logs),
            ("export", self.export.dropped),
            ("rejected", self.export.rejected),
            ("edges_full", self.ignored_edges),
        ];
        let mut family = encoder.encode_descriptor(
            "vitrine_telemetry_dropped",
            "What was not kept or not sent, by reason.",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in reasons {
            let labels = [("reason", reason)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let system = &self.system;
        for (name, help, value) in [
            ("process_resident_memory", "Resident memory.", system.resident_bytes),
            ("process_virtual_memory", "Virtual memory.", system.virtual_bytes),
        ] {
            if let Some(value) = value {
                let unit = Some(&Unit::Bytes);
                let gauge = ConstGauge::new(value.cast_signed());
                gauge.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)?;
            }
        }
        if let Some(files) = system.open_files {
            metric(encoder, "process_open_fds", "Open file descriptors.", files, gauge_of)?;
        }
        let seconds = Some(&Unit::Seconds);
        if let Some(used) = system.cpu_seconds {
            let help = "Processor time used.";
            let kind = MetricType::Counter;
            let family = encoder.encode_descriptor("process_cpu", help, seconds, kind)?;
            ConstCounter::new(used).encode(family)?;
        }
        let started = ConstGauge::new(self.started_us as f64 / 1e6);
        let help = "When the program started, since the epoch.";
        let kind = MetricType::Gauge;
        started.encode(encoder.encode_descriptor("process_start_time", help, seconds, kind)?)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, cells) in [
            (
                "http_client_request_duration",
                "Duration of calls between services, from the caller's side.",
                &self.client,
            ),
            (
                "http_server_request_duration",
                "Duration of requests, from the answering service's side.",
                &self.server,
            ),
            ("messaging_process_duration", "Duration of handling a message.", &self.process),
        ] {
            encode_histograms(&mut encoder, name, help, cells)?;
        }
        self.encode_istio(&mut encoder)?;
        self.encode_telemetry(&mut encoder)?;
        self.encode_process(&mut encoder)
    }
}

fn encode_histograms(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    histograms: &Histograms,
) -> fmt::Result {
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    for (labels, cell) in histograms {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(cell.buckets).collect();
        let no_exemplars = None::<&HashMap<usize, Exemplar<[(&str, &str); 0], f64>>>;
        let sum = cell.sum_us as f64 / 1e6;
        family.encode_family(labels)?.encode_histogram(sum, cell.count, &buckets, no_exemplars)?;
    }
    Ok(())
}

fn metric<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
    make: impl Fn(u64) -> M,
) -> fmt::Result {
    let metric = make(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge_of(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(value.cast_signed())
}

fn counter_of(value: u64) -> ConstCounter<u64> {
    ConstCounter::new(value)
}

fn labels<const N: usize>(labels: [(&'static str, Option<Arc<str>>); N]) -> Labels {
    let known = |(key, value): (_, Option<_>)| value.map(|value| (key, value));
    labels.into_iter().filter_map(known).collect()
}

/// Sorted, so that two scrapes can be compared.
fn histograms<K>(cells: HashMap<Option<K>, Cell>, name: impl Fn(K) -> Labels) -> Histograms {
    let named = |(key, cell): (Option<K>, Cell)| match key {
        Some(key) => (name(key), cell),
        None => (vec![(OVERFLOW.0, Arc::from(OVERFLOW.1))], cell),
    };
    let mut histograms: Histograms = cells.into_iter().map(named).collect();
    histograms.sort_by(|a, b| a.0.cmp(&b.0));
    histograms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ended, metrics::series::SETS_MAX};
    use contract::{service::GATEWAY, trace::SpanKind};
    use std::collections::HashSet;

    fn text(calls: &[(SpanKind, u16)], extra: impl FnOnce(&mut Registry)) -> String {
        let symbols = Symbols::new();
        let mut series = Series::default();
        for (kind, status) in calls {
            series.observe(&ended::Facts {
                service: symbols.service(GATEWAY),
                kind: *kind,
                end_us: 0,
                duration_us: 1_500,
                failed: *status >= 500,
                status: Some(*status),
                from_browser: false,
                in_transaction: false,
                peer: Some(symbols.service("orders")),
                source: None,
                lag_us: None,
                route: Some(symbols.words.number("/api/v1/\"orders\"\\{id}\n")),
                method: Some(symbols.words.number("POST")),
                topic: Some(symbols.words.number("orders")),
                subset: None,
                version: None,
                trace: 0,
            });
        }
        let facts = Facts {
            series,
            istio: IstioMetrics::default(),
            store: StoreStats { spans: 7, ..StoreStats::default() },
            export: ExportStats { exported: 5, dropped: 2, ..ExportStats::default() },
            ignored_edges: 0,
            started_us: 1_500_000,
        };
        encode(facts, &symbols, extra).unwrap()
    }

    fn samples(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn every_series_is_unique_and_described_and_the_text_ends_as_it_must() {
        let calls = [
            (SpanKind::Client, 200),
            (SpanKind::Client, 503),
            (SpanKind::Server, 200),
            (SpanKind::Consumer, 200),
        ];
        let text = text(&calls, |_| {});
        let mut seen = HashSet::new();
        let families: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        for sample in samples(&text) {
            let (series, value) = sample.rsplit_once(' ').unwrap();
            assert!(seen.insert(series), "{series} is there twice");
            assert!(value.parse::<f64>().is_ok(), "{sample}");
            let described =
                families.iter().any(|family| series.starts_with(family.split(' ').next().unwrap()));
            assert!(described, "{series} has no type");
        }
        for family in &families {
            let name = family.split(' ').next().unwrap();
            let count = |what: &str| text.matches(&format!("# {what} {name} ")).count();
            assert_eq!((count("HELP"), count("TYPE")), (1, 1), "{name}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
    }

    #[test]
    fn durations_are_cumulative_buckets_in_seconds() {
        let text = text(&[(SpanKind::Client, 200), (SpanKind::Client, 200)], |_| {});
        let name = "http_client_request_duration_seconds";
        let labels = "service_name=\"gateway\",server_address=\"orders\",\
                      http_response_status_code=\"200\"";
        for line in [
            format!("# UNIT {name} seconds"),
            format!("{name}_sum{{{labels}}} 0.003"),
            format!("{name}_count{{{labels}}} 2"),
            format!("{name}_bucket{{le=\"0.001\",{labels}}} 0"),
            format!("{name}_bucket{{le=\"0.0025\",{labels}}} 2"),
            format!("{name}_bucket{{le=\"+Inf\",{labels}}} 2"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let text = text(&[(SpanKind::Server, 200)], |_| {});
        assert!(text.contains(r#"http_route="/api/v1/\"orders\"\\{id}\n""#), "{text}");
    }

    #[test]
    fn the_number_of_series_is_bounded_whatever_is_called() {
        let calls: Vec<(SpanKind, u16)> = (0..2_000).map(|n| (SpanKind::Client, n)).collect();
        let text = text(&calls, |_| {});
        let client = samples(&text).into_iter().filter(|s| s.starts_with("http_client"));
        assert_eq!(client.count(), (SETS_MAX + 1) * (BOUNDS.len() + 3));
        assert!(text.contains("otel_metric_overflow=\"true\"} 1488"), "{text}");
    }

    #[test]
    fn what_was_dropped_is_told_by_reason_and_others_add_their_own() {
        let text = text(&[], |registry| {
            registry.register("vitrine_orders", "Orders.", ConstGauge::new(3_i64));
        });
        for line in [
            "vitrine_telemetry_spans_stored 7",
            "vitrine_telemetry_exported_total 5",
            "vitrine_telemetry_dropped_total{reason=\"export\"} 2",
            "process_start_time_seconds 1.5",
            "vitrine_orders 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
