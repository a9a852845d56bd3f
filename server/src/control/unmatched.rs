//! Rules that matched none of the last requests, and where they stand in a text.
//!
//! The requests are those the mesh remembers; which rule each would meet is its business.

use contract::istio::{Finding, ResourceKey};
use istio::{
    Configuration, DEFAULT_NAMESPACE,
    policy::Policy,
    yaml::{self, Node},
};
use mesh::Mesh;

/// Rules of a policy that would have matched none of the last requests.
#[must_use]
pub fn never_matched(mesh: &Mesh, policy: &Policy) -> Vec<Finding> {
    let tried = mesh.dry_run(policy);
    let hits = tried.hits.into_iter();
    let hits = hits.map(|hits| ((hits.origin, hits.name), hits.requests as u64)).collect();
    // A request that was not recorded whole may have matched what it does not seem to match.
    let whole = tried.requests - tried.incomplete;
    istio::never_matched(policy, &hits, whole as u64)
}

/// The same of the resources of a text, at their places in it. `configuration` is what the policy
/// was compiled from: it has the rules in the same order, where the policy says they stand.
#[must_use]
pub fn never_matched_in(
    mesh: &Mesh,
    policy: &Policy,
    configuration: &Configuration,
    text: &str,
) -> Vec<Finding> {
    let documents = documents(yaml::read(text).unwrap_or_default());
    let found = never_matched(mesh, policy).into_iter();
    found.filter_map(|finding| placed(finding, configuration, &documents)).collect()
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
    use contract::istio::{Position, Severity};
    use istio::Known;

    /// On eleven lines in a list; printed by itself it has more.
    const TEXT: &str = "# Ours.\napiVersion: v1\nkind: List\nitems:\n- apiVersion: \
        networking.istio.io/v1\n  kind: VirtualService\n  metadata: {name: a}\n  spec:\n    hosts: \
        [users]\n    http: [{match: [{uri: {exact: /a}}], directResponse: {status: 200}},\n      \
        {name: rest, directResponse: {status: 200}}]\n";

    #[test]
    fn a_rule_is_found_where_it_stands_in_the_text_that_was_applied() {
        let known = Known::default();
        let configuration = istio::Configuration::default().apply(TEXT, &known).unwrap();
        let configuration = configuration.configuration;
        let policy = configuration.compile(&known, 1);
        let rule = &policy.virtual_hosts[0].routes[1];
        let finding = Finding {
            code: istio::code::NEVER_MATCHED.to_owned(),
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
