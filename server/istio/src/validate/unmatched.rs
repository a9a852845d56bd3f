//! Rules that matched none of the last requests, and where they stand in a text. Needs traffic, so
//! it is asked for apart from an apply.
//!
//! Counts come in by argument; nothing is counted here.

use crate::{
    Configuration, DEFAULT_NAMESPACE,
    finding::code,
    policy::{Origin, Policy, Route},
    yaml::{self, Node},
};
use contract::istio::{Finding, Position, ResourceKey, Severity};
use std::{collections::BTreeMap, sync::Arc};

/// Requests that each rule took, by where the rule was written and its name.
pub type RequestsByRule = BTreeMap<(Origin, Arc<str>), u64>;

/// Rules that matched none of the last `requests` requests. Nothing is said of a host that got no
/// request at all, nor before there were enough to say so.
#[must_use]
pub fn never_matched(policy: &Policy, hits: &RequestsByRule, requests: u64) -> Vec<Finding> {
    /// Fewer requests say nothing about a rule.
    const REQUESTS_MIN: u64 = 100;
    if requests < REQUESTS_MIN {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for host in &policy.virtual_hosts {
        let count = |route: &Route| {
            let key = (route.origin.clone(), Arc::clone(&route.name));
            hits.get(&key).copied().unwrap_or(0)
        };
        if host.routes.iter().all(|route| count(route) == 0) {
            continue;
        }
        for route in host.routes.iter().filter(|route| count(route) == 0) {
            findings.push(Finding {
                code: code::NEVER_MATCHED.to_owned(),
                severity: Severity::Info,
                resource: Some(ResourceKey {
                    kind: route.origin.kind.to_string(),
                    namespace: route.origin.namespace.to_string(),
                    name: route.origin.name.to_string(),
                }),
                path: "spec.http".to_owned(),
                at: Position { line: route.line, column: 1 },
                message: format!(
                    "The rule {} matched none of the last {requests} requests, while others of \
                     its host did.",
                    route.name
                ),
                advice: "Try a request with the tester, or remove the rule.".to_owned(),
                correct_form: None,
            });
        }
    }
    findings
}

/// What is said of the resources of a text, at their places in it; what is said of others is left
/// out. `configuration` is what the policy was compiled from: it has the rules in the same order,
/// where the policy says they stand.
#[must_use]
pub fn placed_in(
    findings: Vec<Finding>,
    configuration: &Configuration,
    text: &str,
) -> Vec<Finding> {
    let documents = documents(yaml::read(text).unwrap_or_default());
    let placed = |finding| placed(finding, configuration, &documents);
    findings.into_iter().filter_map(placed).collect()
}

fn placed(
    mut finding: Finding,
    configuration: &Configuration,
    documents: &[Node],
) -> Option<Finding> {
    let key = finding.resource.as_ref()?;
    let document = documents.iter().find(|document| self::key(document) == *key)?;
    let resource = configuration.resources().find(|resource| resource.key() == key)?;
    let mut rules = resource.spec().list("http").iter();
    let index = rules.position(|rule| rule.at.line == finding.at.line)?;
    finding.at = document.get("spec")?.list("http").get(index)?.at;
    finding.path = format!("spec.http[{index}]");
    Some(finding)
}

/// The documents of a text, lists unpacked.
fn documents(nodes: Vec<Node>) -> Vec<Node> {
    let mut found = Vec::new();
    for node in nodes {
        let is_list = node.str("kind").is_some_and(|kind| kind.ends_with("List"));
        match is_list {
            // As deep as the reader lets a text be.
            true => found.extend(documents(node.list("items").to_vec())),
            false => found.push(node),
        }
    }
    found
}

fn key(document: &Node) -> ResourceKey {
    let of = |path: &[&str]| document.path(path).and_then(Node::as_str).map(str::to_owned);
    ResourceKey {
        kind: of(&["kind"]).unwrap_or_default(),
        namespace: of(&["metadata", "namespace"]).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        name: of(&["metadata", "name"]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Known;

    /// On eleven lines in a list; printed by itself it has more.
    const TEXT: &str = "# Ours.\napiVersion: v1\nkind: List\nitems:\n- apiVersion: \
        networking.istio.io/v1\n  kind: VirtualService\n  metadata: {name: a}\n  spec:\n    hosts: \
        [users]\n    http: [{match: [{uri: {exact: /a}}], directResponse: {status: 200}},\n      \
        {name: rest, directResponse: {status: 200}}]\n";

    #[test]
    fn a_rule_is_found_where_it_stands_in_the_text_that_was_applied() {
        let known = Known::default();
        let configuration = Configuration::default().apply(TEXT, &known).unwrap();
        let configuration = configuration.configuration;
        let policy = configuration.compile(&known, 1);
        let rule = &policy.virtual_hosts[0].routes[1];
        let finding = Finding {
            code: code::NEVER_MATCHED.to_owned(),
            severity: Severity::Info,
            resource: configuration.resources().next().map(|resource| resource.key().clone()),
            path: "spec.http".to_owned(),
            at: Position { line: rule.line, column: 1 },
            message: String::new(),
            advice: String::new(),
            correct_form: None,
        };
        assert!(rule.line > 11, "as it is printed it is on line {}", rule.line);
        let documents = documents(yaml::read(TEXT).unwrap());
        let found = placed(finding.clone(), &configuration, &documents).unwrap();
        assert_eq!(found.at, Position { line: 11, column: 7 });
        assert_eq!(found.path, "spec.http[1]");
        assert!(placed(finding, &configuration, &[]).is_none(), "it is not in another text");
    }
}
