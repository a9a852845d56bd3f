//! What `Telemetry` resources say about spans, carried out: sampling, span reporting, custom tags.
//!
//! Whether a trace is recorded is drawn once, at its first span, for the workload that makes it,
//! and travels in `tracestate`. What is not recorded is still counted: the map and the metrics are
//! of all calls. Recording and counting are telemetry's business; here the spans are only marked.

use crate::{
    Request,
    in_force::Snapshot,
    journey::Journey,
    share::Strata,
    target::{authority, authority_of, scheme_of},
};
use base::{
    secret::is_secret,
    trace_context::{METRIC_COUNT, METRIC_DURATION, NOT_SAMPLED, tag},
};
use http::HeaderMap;
use istio::policy::{Policy, TagSource, TelemetryPolicy};
use std::{collections::HashMap, sync::Arc};
use tracing::Span;

/// Custom tags put on one span; more are left out. Istio's own examples have a handful.
const TAGS_MAX: usize = 32;
/// In place of a secret.
const REDACTED: &str = "[redacted]";

/// The draws of each workload that samples, kept as long as its share stays the same.
#[derive(Debug, Default)]
pub(crate) struct Sampling(HashMap<Arc<str>, Arc<Strata>>);

impl Sampling {
    pub(crate) fn new(policy: &Policy, before: Option<&Self>) -> Self {
        let drawn = policy.telemetry.iter().filter_map(|(workload, telemetry)| {
            let share = telemetry.sampling?;
            let kept = before.and_then(|before| before.0.get(workload));
            let kept = kept.filter(|strata| strata.share() == share).cloned();
            let strata = kept.unwrap_or_else(|| Arc::new(Strata::new(share, seed(workload))));
            Some((workload.clone(), strata))
        });
        Self(drawn.collect())
    }

    /// Whether the next trace that begins at a workload is recorded.
    fn draw(&self, workload: &str) -> bool {
        let strata = self.0.get(workload).or_else(|| self.0.get(""));
        strata.is_none_or(|strata| strata.draw())
    }
}

/// Each workload draws its own sequence, the same in every run (FNV-1a).
fn seed(workload: &str) -> u64 {
    workload.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The policy of a workload, or that of the mesh.
fn of<'a>(policy: &'a Policy, workload: &str) -> Option<&'a TelemetryPolicy> {
    policy.telemetry.get(workload).or_else(|| policy.telemetry.get(""))
}

/// A span that was just made.
#[derive(Clone, Copy)]
pub(crate) struct Made<'a> {
    /// Whose proxy made it.
    pub(crate) workload: &'a str,
    /// For what.
    pub(crate) request: &'a Request,
    /// On the caller's side.
    pub(crate) client: bool,
    /// No trace led to it.
    pub(crate) root: bool,
}

/// Marks a span by the policy of its workload.
pub(crate) fn follow(span: &Span, snapshot: &Snapshot, made: &Made<'_>) {
    let Made { workload, request, client, root } = *made;
    let policy = snapshot.policy();
    if policy.telemetry.is_empty() {
        return;
    }
    let telemetry = of(policy, workload);
    // What the workload does in it is as little to be seen; what others do goes by their own.
    base::carried::report(span, telemetry.is_none_or(|telemetry| !telemetry.disable_spans));
    let Some(telemetry) = telemetry else { return };
    if root && !snapshot.sampling().draw(workload) {
        tag(span, NOT_SAMPLED, true);
    }
    for (name, source) in telemetry.tags.iter().take(TAGS_MAX) {
        if let Some(value) = value(source, request.headers()).filter(|_| is_free(name)) {
            tag(span, name.clone(), value);
        }
    }
    for (key, metric) in [(METRIC_COUNT, "REQUEST_COUNT"), (METRIC_DURATION, "REQUEST_DURATION")] {
        if let Some(changes) = changes(telemetry, metric, client, request) {
            tag(span, key, changes);
        }
    }
}

/// What a policy changes about one metric of one side, as telemetry reads it; none without changes.
fn changes(
    telemetry: &TelemetryPolicy,
    metric: &str,
    client: bool,
    request: &Request,
) -> Option<String> {
    let is_for = |of: &str, side: Option<bool>| {
        (of.is_empty() || of == metric) && side.is_none_or(|side| side == client)
    };
    let switched = telemetry.metrics_off.iter().rfind(|(of, side, _)| is_for(of, *side));
    if switched.is_some_and(|(_, _, off)| *off) {
        return Some("!".to_owned());
    }
    let tags = telemetry.metric_tags.iter().filter(|tag| is_for(&tag.metric, tag.client));
    let lines: Vec<String> = tags
        .take(TAGS_MAX)
        .map(|tag| match &tag.value {
            Some(expression) => format!("+{}\t{}", tag.tag, evaluate(expression, request)),
            None => format!("-{}", tag.tag),
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The value of an expression over a request. That of the answer's status is told later.
fn evaluate(expression: &str, request: &Request) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let quoted = |quote: char| expression.strip_prefix(quote)?.strip_suffix(quote);
    let value = match expression {
        "response.code" => Some("response.code"),
        "request.method" => Some(request.method().as_str()),
        "request.path" | "request.url_path" => Some(request.uri().path()),
        "request.host" => Journey::of(request)
            .map(|journey| authority_of(request, journey))
            .or_else(|| authority(request.uri(), request.headers())),
        "request.scheme" => Some(scheme_of(request)),
        "request.protocol" => Some("HTTP/1.1"),
        "request.useragent" => header("user-agent"),
        other => {
            let name = other.strip_prefix("request.headers['").and_then(|o| o.strip_suffix("']"));
            let name = name.filter(|name| !is_secret(name));
            quoted('\'').or_else(|| quoted('"')).or_else(|| header(name?))
        }
    };
    // A line is one label.
    value.unwrap_or("unknown").replace(['\n', '\r', '\t'], " ")
}

/// What the pipeline itself reads is not for others to set.
fn is_free(name: &str) -> bool {
    !["service.", "vitrine.", "mesh.", "otel."].iter().any(|own| name.starts_with(own))
}

fn value(source: &TagSource, headers: &HeaderMap) -> Option<String> {
    let (name, found, default) = match source {
        TagSource::Literal(text) => return Some(text.clone()),
        TagSource::Header { name, default } => {
            let found = headers.get(name.as_str()).and_then(|value| value.to_str().ok());
            (name, found.map(str::to_owned), default)
        }
        TagSource::Environment { name, default } => (name, std::env::var(name).ok(), default),
    };
    match found {
        Some(_) if is_secret(name) => Some(REDACTED.to_owned()),
        found => found.or_else(|| default.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use istio::policy::{MetricTag, Share};

    fn policy(sampling: u32) -> Policy {
        let sampling = Some(Share(sampling));
        let telemetry = TelemetryPolicy { sampling, ..TelemetryPolicy::default() };
        Policy { telemetry: [("gateway".into(), telemetry)].into(), ..Policy::default() }
    }

    #[test]
    fn ten_percent_of_a_thousand_traces_are_exactly_a_hundred_and_other_workloads_record_all() {
        let sampling = Sampling::new(&policy(100_000), None);
        assert_eq!((0..1_000).filter(|_| sampling.draw("gateway")).count(), 100);
        assert!((0..1_000).all(|_| sampling.draw("orders")));
    }

    #[test]
    fn a_revision_that_leaves_the_share_alone_goes_on_in_its_draws() {
        let first = Sampling::new(&policy(10_000), None);
        let before = (0..50).filter(|_| first.draw("gateway")).count();
        let second = Sampling::new(&policy(10_000), Some(&first));
        assert_eq!(before + (0..50).filter(|_| second.draw("gateway")).count(), 1);
    }

    #[test]
    fn metrics_are_changed_on_the_side_and_for_the_metric_that_is_named() {
        let tag = |metric: &str, client, tag: &str, value: Option<&str>| MetricTag {
            metric: metric.to_owned(),
            client,
            tag: tag.to_owned(),
            value: value.map(str::to_owned),
        };
        let telemetry = TelemetryPolicy {
            metric_tags: vec![
                tag("REQUEST_COUNT", Some(true), "request_operation", Some("request.method")),
                tag("", None, "response_code", None),
            ],
            metrics_off: vec![("REQUEST_DURATION".to_owned(), Some(false), true)],
            ..TelemetryPolicy::default()
        };
        let request = Request::new(axum::body::Body::empty());
        let of = |metric, client| changes(&telemetry, metric, client, &request);
        let both = "+request_operation\tGET\n-response_code";
        assert_eq!(of("REQUEST_COUNT", true).as_deref(), Some(both));
        assert_eq!(of("REQUEST_COUNT", false).as_deref(), Some("-response_code"));
        assert_eq!(of("REQUEST_DURATION", true).as_deref(), Some("-response_code"));
        assert_eq!(of("REQUEST_DURATION", false).as_deref(), Some("!"));
        assert_eq!(evaluate("'shop'", &request), "shop");
        assert_eq!(evaluate("connection.mtls", &request), "unknown");
    }

    #[test]
    fn a_tag_is_taken_from_its_source_or_the_default_and_no_secret_is_shown() {
        let headers: HeaderMap = [("x-app-version", "2.1"), ("authorization", "Bearer abc")]
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let header = |name: &str, default: Option<&str>| TagSource::Header {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        };
        let of = |source: &TagSource| value(source, &headers);
        assert_eq!(of(&TagSource::Literal("production".into())).as_deref(), Some("production"));
        assert_eq!(of(&header("x-app-version", Some("0"))).as_deref(), Some("2.1"));
        assert_eq!(of(&header("x-other", Some("0"))).as_deref(), Some("0"));
        assert_eq!(of(&header("x-other", None)), None);
        assert_eq!(of(&header("authorization", None)).as_deref(), Some(REDACTED));
    }
}
