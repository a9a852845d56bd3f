//! Resources that select workloads: security, telemetry and local rate limits.
//!
//! What would let more in than was meant is refused by the tables; here is what merely surprises.

use super::{About, place};
use crate::{
    compile,
    finding::code,
    known::{Selected, is_for_all},
    policy::LocalRateLimit,
    schema::is_camel_case_of,
    yaml::{Entry, Node},
};
use contract::istio::{Finding, Severity};

/// The selector of any of these kinds.
pub(super) fn selector(about: &mut About<'_>) {
    let namespace = &about.resource.key().namespace;
    let labels = compile::selector(about.resource);
    let spec = about.spec();
    if !is_for_all(namespace) {
        let message = format!("There are no workloads in the namespace {namespace}.");
        let advice = "Use the namespace default, or istio-system for the whole mesh.";
        return about.warn(code::SELECTOR, ("metadata.namespace", spec.at), message, advice);
    }
    if labels.is_empty() {
        return;
    }
    let key = if spec.get("workloadSelector").is_some() { "workloadSelector" } else { "selector" };
    let services = &about.context.known.services;
    let selected: Vec<_> = services.iter().map(|s| (s, s.selected(&labels))).collect();
    let place = (format!("spec.{key}"), place(spec, key));
    if selected.iter().all(|(_, selected)| *selected == Selected::None) {
        let app = labels.iter().find(|(key, _)| key == "app").map(|(_, app)| app.as_str());
        let meant = app.and_then(|app| crate::value::closest(app, about.context.all_names()));
        let advice = match meant {
            Some(name) => format!("Did you mean app: {name}?"),
            None => "Select a service with app and its name.".to_owned(),
        };
        let message = "No workload has these labels, so this resource has no effect.";
        return about.warn(code::SELECTOR, place, message, advice);
    }
    if let Some((part, _)) = selected.iter().find(|(_, found)| *found == Selected::Some) {
        about.warn(
            code::PART_OF_SERVICE,
            place,
            format!("Only some instances of {} have these labels; it holds for all.", part.name),
            "Select the whole service by app.",
        );
    }
}

pub(super) fn request_authentication(about: &mut About<'_>) {
    selector(about);
    for (index, rule) in about.spec().list("jwtRules").iter().enumerate() {
        if rule.get("jwks").is_none() {
            about.warn(
                code::NO_KEYS,
                (format!("spec.jwtRules[{index}]"), rule.at),
                "This rule has no jwks, and keys are not fetched: every token of this issuer is \
                 refused.",
                "Write the JSON Web Key Set into jwks.",
            );
        }
    }
}

pub(super) fn authorization_policy(about: &mut About<'_>) {
    selector(about);
    for (index, rule) in about.spec().list("rules").iter().enumerate() {
        for (from, node) in rule.list("from").iter().enumerate() {
            let Some(source) = node.get("source") else { continue };
            for (place, principal) in source.list("principals").iter().enumerate() {
                let path = format!("spec.rules[{index}].from[{from}].source.principals[{place}]");
                self::principal(about, principal, path);
            }
        }
    }
}

/// `cluster.local/ns/NAMESPACE/sa/ACCOUNT`: accounts are named as services here.
fn principal(about: &mut About<'_>, node: &Node, path: String) {
    let Some(text) = node.as_str().filter(|text| !text.contains('*')) else { return };
    let account = text.rsplit_once("/sa/").map_or(text, |(_, account)| account);
    if about.context.service(account).is_none() {
        let meant = crate::value::closest(account, about.context.all_names());
        about.warn(
            code::PRINCIPAL,
            (path, node.at),
            format!("Nobody here has the identity {text}."),
            match meant {
                Some(name) => format!("Did you mean cluster.local/ns/default/sa/{name}?"),
                None => "Use cluster.local/ns/default/sa/ and the name of a service.".to_owned(),
            },
        );
    }
}

pub(super) fn telemetry(about: &mut About<'_>) {
    selector(about);
    let tracing = about.spec().list("tracing").iter().enumerate();
    let lists = tracing.map(|(index, tracing)| (index, tracing.list("providers")));
    for (index, providers) in lists.collect::<Vec<_>>() {
        providers_of_spans(about, index, providers);
    }
    for (index, metrics) in about.spec().list("metrics").iter().enumerate() {
        for (place, node) in metrics.list("overrides").iter().enumerate() {
            let path = format!("spec.metrics[{index}].overrides[{place}].tagOverrides");
            for entry in node.get("tagOverrides").map_or(&[][..], Node::entries) {
                expression(about, entry, &path);
            }
        }
    }
}

/// Names of tracing providers that mean the exporter there is.
const OTLP: [&str; 3] = ["jaeger", "otel", "opentelemetry"];

fn providers_of_spans(about: &mut About<'_>, index: usize, providers: &[Node]) {
    for (place, provider) in providers.iter().enumerate() {
        if let Some(name) = provider.str("name").filter(|name| !OTLP.contains(name)) {
            about.warn(
                code::NOTHING_IN_FORCE,
                (format!("spec.tracing[{index}].providers[{place}].name"), provider.at),
                format!("There is no provider {name} here: spans leave by OTLP only."),
                "Use jaeger or opentelemetry, and set OTEL_EXPORTER_OTLP_ENDPOINT.",
            );
        }
    }
}

/// A value is an expression over attributes; a bare word is none of them.
fn expression(about: &mut About<'_>, entry: &Entry, path: &str) {
    let value = entry.value.get("value");
    let Some(written) = value.and_then(Node::as_str) else {
        if entry.value.str("operation") != Some("REMOVE") {
            let place = (format!("{path}[{}]", entry.key), entry.at);
            let message = "A tag that is set needs a value.";
            about.error(code::MISSING_FIELD, place, message, "Add value, or operation: REMOVE.");
        }
        return;
    };
    let meant = compile::meant(written);
    if meant != written {
        let at = value.map_or(entry.at, |node| node.at);
        let spot = about.spot(format!("{path}[{}].value", entry.key), at);
        let finding = spot.says(
            Severity::Warning,
            code::EXPRESSION,
            format!(
                "\"{written}\" is no attribute of Istio's expressions, which would leave the tag \
                 unknown. It is read as {meant}."
            ),
            format!("Write {meant}."),
        );
        let form = Node::map([(
            "tagOverrides",
            Node::map([(entry.key.as_str(), Node::map([("value", Node::text(meant))]))]),
        )]);
        let correct_form = Some(crate::yaml::write(&form).0);
        about.push(Finding { correct_form, ..finding });
    }
}

pub(super) fn envoy_filter(about: &mut About<'_>) {
    selector(about);
    let patches = compile::rate_limit_patches(about.resource);
    let spec = about.spec();
    let place = ("spec.configPatches", place(spec, "configPatches"));
    if patches.is_empty() {
        about.warn(
            code::NOTHING_IN_FORCE,
            place,
            "None of its patches sets a local rate limit, so nothing of it has an effect here.",
            "Only envoy.filters.http.local_ratelimit is understood.",
        );
    } else if patches.iter().all(compile::Patch::is_idle) {
        about.warn(
            code::NOTHING_IN_FORCE,
            place,
            "No patch sets a token bucket that is counted and enforced: Envoy enables the filter \
             for 0 % unless told otherwise.",
            "Add token_bucket, and filter_enabled and filter_enforced with default_value.",
        );
    }
    for patch in &patches {
        for bucket in patch.buckets() {
            token_bucket(about, patch, bucket);
        }
    }
}

/// What the numbers of a bucket make together.
fn token_bucket(about: &mut About<'_>, patch: &compile::Patch<'_>, bucket: (&Node, bool)) {
    let Some(limit) = patch.limit(about.resource, bucket) else { return };
    let place = |snake: &str| {
        let mut entries = bucket.0.entries().iter();
        let entry = entries.find(|e| e.key == snake || is_camel_case_of(&e.key, snake));
        let path = format!("spec.configPatches[{}].patch.value", patch.number);
        (path, entry.map_or(bucket.0.at, |entry| entry.at))
    };
    if limit.fill_interval < LocalRateLimit::FILL_MIN {
        about.error(
            code::BAD_VALUE,
            place("fill_interval"),
            "fill_interval is less than 50 ms, which Envoy refuses.",
            "Write at least 50ms, with more tokens_per_fill for the same rate.",
        );
    } else if limit.window().is_none() {
        about.error(
            code::BAD_VALUE,
            place("max_tokens"),
            format!(
                "At {} tokens each {:?} an empty bucket of {} takes more than 100 years to fill, \
                 which is more than a clock in nanoseconds can reckon with.",
                limit.tokens_per_fill, limit.fill_interval, limit.max_tokens,
            ),
            "Lower max_tokens, or raise tokens_per_fill: as large as max_tokens it fills the \
             bucket at once.",
        );
    }
}
