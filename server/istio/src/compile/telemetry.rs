//! `Telemetry` compiled: what of spans and metrics is set, for the mesh and for each workload.
//!
//! The narrower resource wins field by field; custom tags replace those above them all at once. Of
//! several that are equally narrow one holds.

use super::{Context, security};
use crate::{
    policy::{MetricTag, Share, TagSource, TelemetryPolicy},
    resource::Resource,
    schema::Kind,
    value,
    yaml::{Entry, Node},
};
use security::Scope;
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn telemetry(context: &Context<'_>) -> BTreeMap<Arc<str>, TelemetryPolicy> {
    let mut policies = BTreeMap::new();
    for service in &context.known.services {
        let holding = holding(context, &service.name);
        if holding.iter().any(|(scope, _)| *scope != Scope::Mesh) {
            let resources = holding.into_iter().map(|(_, resource)| resource);
            let policy = resources.fold(TelemetryPolicy::default(), merge);
            policies.insert(service.name.as_str().into(), policy);
        }
    }
    let of_mesh = holding(context, "").into_iter().filter(|(scope, _)| *scope == Scope::Mesh);
    for (_, resource) in of_mesh {
        policies.insert("".into(), merge(TelemetryPolicy::default(), resource));
    }
    policies
}

/// The resources that hold for a workload, the wider first: of those for the mesh, for its
/// namespace and for itself the first each (`applicableTelemetries` in
/// `pilot/pkg/model/telemetry.go`).
fn holding<'a>(context: &Context<'a>, service: &str) -> Vec<(Scope, &'a Resource)> {
    let mut found: Vec<(Scope, &Resource)> = Vec::new();
    for resource in context.of(Kind::Telemetry) {
        let Some(scope) = security::scope(context, resource, service) else { continue };
        if found.iter().all(|(other, _)| *other != scope) {
            found.push((scope, resource));
        }
    }
    found.sort_by_key(|(scope, _)| *scope);
    found
}

/// The resource that holds for a workload in the place of one that is as narrow.
pub(crate) fn telemetry_instead<'a>(
    context: &Context<'a>,
    resource: &Resource,
    service: &str,
) -> Option<&'a Resource> {
    let scope = security::scope(context, resource, service)?;
    let holding = holding(context, service).into_iter();
    let mut same = holding.filter(|(other, _)| *other == scope).map(|(_, holds)| holds);
    same.find(|holds| holds.key() != resource.key())
}

fn merge(mut policy: TelemetryPolicy, resource: &Resource) -> TelemetryPolicy {
    for tracing in resource.spec().list("tracing") {
        let sampling = tracing.get("randomSamplingPercentage").and_then(Node::as_number);
        let sampling: Option<Share> = sampling.and_then(|number| value::percent(number).ok());
        policy.sampling = sampling.or(policy.sampling);
        if let Some(disable) = tracing.get("disableSpanReporting").and_then(Node::as_bool) {
            policy.disable_spans = disable;
        }
        if let Some(tags) = tracing.get("customTags") {
            policy.tags = tags.entries().iter().filter_map(tag).collect();
        }
    }
    for node in resource.spec().list("metrics").iter().flat_map(|node| node.list("overrides")) {
        policy.metric_tags.extend(metric_tags(node));
        if let Some(off) = node.get("disabled").and_then(Node::as_bool) {
            let (metric, client) = selected(node);
            policy.metrics_off.push((metric, client, off));
        }
    }
    policy
}

fn tag(entry: &Entry) -> Option<(String, TagSource)> {
    let default = |node: &Node| node.str("defaultValue").map(ToOwned::to_owned);
    let name = |node: &Node| node.str("name").map(ToOwned::to_owned);
    let node = &entry.value;
    let source = if let Some(literal) = node.get("literal") {
        TagSource::Literal(literal.str("value")?.to_owned())
    } else if let Some(header) = node.get("header") {
        let name = name(header)?.to_ascii_lowercase();
        TagSource::Header { name, default: default(header) }
    } else {
        let environment = node.get("environment")?;
        TagSource::Environment { name: name(environment)?, default: default(environment) }
    };
    Some((entry.key.clone(), source))
}

/// Which metric an override is for, and which side.
fn selected(node: &Node) -> (String, Option<bool>) {
    let selector = node.get("match");
    let of = |key| selector.and_then(|selector| selector.str(key));
    let metric = match of("metric").or_else(|| of("customMetric")) {
        None | Some("ALL_METRICS") => String::new(),
        Some(metric) => metric.to_owned(),
    };
    let client = match of("mode") {
        Some("CLIENT") => Some(true),
        Some("SERVER") => Some(false),
        _ => None,
    };
    (metric, client)
}

fn metric_tags(node: &Node) -> Vec<MetricTag> {
    let (metric, client) = selected(node);
    let overrides = node.get("tagOverrides").map_or(&[][..], Node::entries).iter();
    let one = |entry: &Entry| {
        let remove = entry.value.str("operation") == Some("REMOVE");
        MetricTag {
            metric: metric.clone(),
            client,
            tag: entry.key.clone(),
            value: if remove { None } else { entry.value.str("value").map(meant) },
        }
    };
    overrides.map(one).collect()
}

/// The expression that a bare word must have meant: `method` is `request.method`.
pub(crate) fn meant(expression: &str) -> String {
    /// Attributes of requests that are written without `request.` now and then.
    const REQUEST: [&str; 8] =
        ["method", "path", "host", "scheme", "url_path", "useragent", "protocol", "size"];
    match REQUEST.contains(&expression) {
        true => format!("request.{expression}"),
        false => expression.to_owned(),
    }
}
