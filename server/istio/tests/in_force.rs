//! A field that is said to be in force is: without it, what the data plane reads is another policy.
//!
//! Only that it arrives there; what the data plane makes of it is tested beside the data plane.

mod support;

use contract::istio::Fate;
use istio::{
    Configuration,
    yaml::{self, Data, Node},
};
use support::{apply, known};

const FILES: [&str; 4] = [
    include_str!("data/all-fields.yml"),
    include_str!("data/istio-config.yml"),
    include_str!("data/traffic-management.yml"),
    include_str!("data/observability.yml"),
];

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

#[test]
fn without_a_field_that_is_in_force_the_policy_is_another() {
    let (mut looked_at, mut without_effect) = (0, Vec::new());
    for text in FILES {
        let documents = yaml::read(text).unwrap();
        let whole = policy(&documents).unwrap();
        let report = apply(text).report;
        for (at, resource) in report.resources.iter().enumerate() {
            for field in resource.fields.iter().filter(|field| field.fate == Fate::InForce) {
                if ELSEWHERE.iter().any(|elsewhere| field.path.starts_with(elsewhere)) {
                    continue;
                }
                let mut fewer = documents.clone();
                assert!(
                    remove(&mut fewer[at], &field.path),
                    "{} {}",
                    resource.resource,
                    field.path
                );
                // What must be there cannot be taken away.
                let Some(without) = policy(&fewer) else { continue };
                looked_at += 1;
                let as_without = AS_WITHOUT.contains(&&*field.path);
                if without == whole && !as_without {
                    without_effect.push(format!("{} {}", resource.resource, field.path));
                }
            }
        }
    }
    assert!(looked_at > 100, "{looked_at}");
    assert_eq!(without_effect, Vec::<String>::new(), "of {looked_at}");
}
