//! What the data plane would read without single fields, and whether their fates say so.
//!
//! No test is here.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test whose text cannot be read fails")]

use super::support::{apply, known};
use contract::istio::Fate;
use istio::{
    Configuration,
    yaml::{self, Data, Node},
};

/// Names, by which resources are known and find each other.
const ELSEWHERE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What is written there is what holds without it: Istio's default, or what another field says.
const AS_WITHOUT: [&str; 15] = [
    "spec.exportTo",
    "spec.http[4].delegate.namespace",
    "spec.tracing[0].disableSpanReporting",
    "spec.tracing[0].providers",
    "spec.metrics[0].overrides[0].match.metric",
    "spec.configPatches[0].patch.operation",
    "spec.configPatches[0].patch.value.typed_config.@type",
    "spec.configPatches[0].patch.value.typed_config.value.filter_enabled.default_value.denominator",
    "spec.mtls.mode",
    "spec.action",
    "spec.endpoints",
    "spec.endpoints[0].address",
    "spec.http[0].rateLimit.dimensions.remoteAddress.value",
    "spec.trafficPolicy.outlierDetection.interval",
    "spec.trafficPolicy.outlierDetection.baseEjectionTime",
];

/// Takes the field of a path (`spec.http[0].timeout`) away; false if there is none. A key may hold
/// points, so that the keys of the tree decide where a step ends.
fn remove(node: &mut Node, path: &str) -> bool {
    match &mut node.data {
        Data::Map(entries) => {
            let after = |key: &str| {
                let path = path.strip_prefix('.').unwrap_or(path);
                let bracketed = format!("[{key}]");
                path.strip_prefix(key).or_else(|| path.strip_prefix(&*bracketed)).map(str::to_owned)
            };
            let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
            let found = entries.iter().enumerate().find_map(|(at, entry)| {
                after(&entry.key).filter(|rest| ends(rest)).map(|rest| (at, rest))
            });
            match found {
                Some((at, rest)) if rest.is_empty() => {
                    entries.remove(at);
                    true
                }
                Some((at, rest)) => remove(&mut entries[at].value, &rest),
                None => false,
            }
        }
        Data::List(items) => {
            let Some((at, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']'))
            else {
                return false;
            };
            let Some(item) = at.parse::<usize>().ok().filter(|at| *at < items.len()) else {
                return false;
            };
            if rest.is_empty() {
                items.remove(item);
                return true;
            }
            remove(&mut items[item], rest)
        }
        _ => false,
    }
}

/// What the data plane reads, without the lines that say where a rule stands.
fn policy(documents: &[Node]) -> Option<String> {
    let texts: Vec<_> = documents.iter().map(|document| yaml::write(document).0).collect();
    let applied = Configuration::default().apply(&texts.join("---\n"), &known()).ok()?;
    let text = format!("{:#?}", applied.configuration.compile(&known(), 1));
    Some(text.lines().filter(|line| !line.trim().starts_with("line: ")).collect())
}

/// The fields that are said to be in force and without which the policy is the same, and how many
/// were looked at.
pub(crate) fn without_effect(text: &str) -> (Vec<String>, usize) {
    let (mut looked_at, mut without_effect) = (0, Vec::new());
    let documents = yaml::read(text).unwrap();
    let whole = policy(&documents).unwrap();
    let report = apply(text).report;
    for (at, resource) in report.resources.iter().enumerate() {
        for field in resource.fields.iter().filter(|field| field.fate == Fate::InForce) {
            if ELSEWHERE.iter().any(|elsewhere| field.path.starts_with(elsewhere)) {
                continue;
            }
            let mut fewer = documents.clone();
            let of = &resource.resource;
            assert!(remove(&mut fewer[at], &field.path), "{of} {}", field.path);
            // What must be there cannot be taken away.
            let Some(without) = policy(&fewer) else { continue };
            looked_at += 1;
            let as_without = AS_WITHOUT.contains(&&*field.path);
            if without == whole && !as_without {
                without_effect.push(format!("{of} {}", field.path));
            }
        }
    }
    (without_effect, looked_at)
}

/// Words of findings about what no request comes to: the data plane has it all the same.
const NOT_REACHED: [&str; 8] = [
    "before it",
    "takes every request",
    "No service calls",
    "nothing comes to these rules",
    "No route sends requests to the subset",
    "hits no request",
    "is without effect",
    "this rule takes nothing",
];

/// The fields that are said to have no effect and without which the policy is another one, and how
/// many were looked at.
pub(crate) fn with_effect(text: &str) -> (Vec<String>, usize) {
    let (mut looked_at, mut with_effect) = (0, Vec::new());
    let documents = yaml::read(text).unwrap();
    let whole = policy(&documents).unwrap();
    let report = apply(text).report;
    for (at, resource) in report.resources.iter().enumerate() {
        for field in resource.fields.iter().filter(|field| field.fate == Fate::Ignored) {
            let why = field.why.clone().unwrap_or_default();
            // Without a selector it would be for all.
            let selects = field.path.to_lowercase().contains("selector");
            if selects || NOT_REACHED.iter().any(|words| why.contains(words)) {
                continue;
            }
            let mut fewer = documents.clone();
            assert!(remove(&mut fewer[at], &field.path), "{} {}", resource.resource, field.path);
            let Some(without) = policy(&fewer) else { continue };
            looked_at += 1;
            if without != whole {
                with_effect.push(format!("{} {}: {why}", resource.resource, field.path));
            }
        }
    }
    (with_effect, looked_at)
}
