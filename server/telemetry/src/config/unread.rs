//! What is set and changes nothing, told at start. Values are not repeated: nobody knows what is
//! in them.

use super::{ExportConfig, tls};

/// Standard variables that are read.
pub(super) const READ: [&str; 18] = [
    "OTEL_SDK_DISABLED",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
];

/// Standard variables that change nothing here, and why.
pub(super) const IGNORED: [(&str, &str); 6] = [
    (
        "OTEL_TRACES_SAMPLER",
        "the pages live on every span. Apply a Telemetry resource with randomSamplingPercentage",
    ),
    ("OTEL_TRACES_SAMPLER_ARG", "see OTEL_TRACES_SAMPLER"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT is the time of one request"),
    ("OTEL_SERVICE_NAME", "each service has its own name"),
    ("OTEL_PROPAGATORS", "W3C Trace Context and W3C Baggage are what is passed on"),
    ("OTEL_LOG_LEVEL", "VITRINE_LOG says what is printed"),
];

/// Values that ask for what is so anyway.
const AS_IT_IS: [(&str, &str); 6] = [
    ("OTEL_TRACES_SAMPLER", "always_on"),
    ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
    ("OTEL_PROPAGATORS", "tracecontext,baggage"),
    ("OTEL_PROPAGATORS", "tracecontext"),
    ("OTEL_METRICS_EXPORTER", "none"),
    ("OTEL_LOGS_EXPORTER", "none"),
];

/// A sentence for each of the variables that is set and changes nothing.
pub(super) fn notices<'v>(
    set: impl Iterator<Item = (&'v str, &'v str)>,
    export: Option<&ExportConfig>,
) -> Vec<String> {
    let otel = set.filter(|(name, value)| name.starts_with("OTEL_") && !value.trim().is_empty());
    let told = otel.filter_map(|(name, value)| {
        let why = why_ignored(name, value.trim(), export)?;
        Some(format!("{name} is ignored: {why}"))
    });
    let mut told: Vec<String> = told.collect();
    // The environment has no order that holds.
    told.sort_unstable();
    told
}

fn why_ignored(name: &str, value: &str, export: Option<&ExportConfig>) -> Option<&'static str> {
    if AS_IT_IS.contains(&(name, value)) {
        return None;
    }
    if let Some((_, why)) = IGNORED.iter().find(|(ignored, _)| *ignored == name) {
        return Some(why);
    }
    if tls::ALL.contains(&name) {
        let plain = export.is_some_and(|export| !export.is_https());
        return plain.then_some("the endpoint is no https address");
    }
    if READ.contains(&name) {
        return None;
    }
    let of = |words: [&str; 3]| words.iter().any(|word| name.contains(word));
    if of(["_METRIC", "_EXEMPLAR", "_PROMETHEUS"]) {
        return Some("only spans are exported; metrics are at /metrics");
    }
    if of(["_LOGS_", "_LOGRECORD_", "_BLRP_"]) {
        return Some("only spans are exported; log lines are on the pages and in the terminal");
    }
    Some("Vitrine does not read it")
}
