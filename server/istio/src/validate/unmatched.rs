//! Rules that met no request lately. Needs traffic, so it is asked for apart from an apply.
//!
//! Counts come in by argument; nothing is counted here.

use crate::{finding::code, policy::Policy};
use contract::istio::{Finding, Position, ResourceKey, Severity};
use std::collections::BTreeMap;

/// Requests that each rule took, by where the rule was written and its name.
pub type RuleHits = BTreeMap<(crate::policy::Origin, std::sync::Arc<str>), u64>;

/// Rules that matched none of the last `requests` requests. Nothing is said of a host that got no
/// request at all, nor before there were enough to say so.
#[must_use]
pub fn never_matched(policy: &Policy, hits: &RuleHits, requests: u64) -> Vec<Finding> {
    /// Fewer requests say nothing about a rule.
    const REQUESTS_MIN: u64 = 100;
    if requests < REQUESTS_MIN {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for host in &policy.virtual_hosts {
        let count = |route: &crate::policy::Route| {
            let key = (route.origin.clone(), std::sync::Arc::clone(&route.name));
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
