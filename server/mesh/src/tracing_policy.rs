//! What `Telemetry` resources say about spans, carried out: sampling, span reporting, custom tags.
//!
//! Whether a trace is recorded is drawn once, at its first span, for the workload that makes it, and
//! travels in `tracestate`. What is not recorded is still counted: the map and the metrics are of
//! all calls. Recording and counting are telemetry's business; here the spans are only marked.

use crate::{in_force::Snapshot, share::Strata};
use base::trace_context::{NOT_REPORTED, NOT_SAMPLED, tag};
use http::HeaderMap;
use istio::policy::{Policy, TagSource, TelemetryPolicy};
use std::{collections::HashMap, sync::Arc};
use tracing::Span;

/// Custom tags put on one span; more are left out. Istio's own examples have a handful.
const TAGS_MAX: usize = 32;
/// Parts of names whose values are secrets: neither headers nor variables of such names are shown.
const SECRET: [&str; 8] =
    ["authorization", "cookie", "credential", "headers", "key", "password", "secret", "token"];
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

/// Marks a span that a workload's proxy has just made; `root` says that no trace led to it.
pub(crate) fn follow(
    span: &Span,
    snapshot: &Snapshot,
    workload: &str,
    headers: &HeaderMap,
    root: bool,
) {
    let Some(telemetry) = of(snapshot.policy(), workload) else { return };
    if root && !snapshot.sampling().draw(workload) {
        tag(span, NOT_SAMPLED, true);
    }
    if telemetry.disable_spans {
        tag(span, NOT_REPORTED, true);
    }
    for (name, source) in telemetry.tags.iter().take(TAGS_MAX) {
        if let Some(value) = value(source, headers).filter(|_| is_free(name)) {
            tag(span, name.clone(), value);
        }
    }
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
    let name = name.to_ascii_lowercase();
    match found {
        Some(_) if SECRET.iter().any(|part| name.contains(part)) => Some(REDACTED.to_owned()),
        found => found.or_else(|| default.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use istio::policy::Share;

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
