//! `HTTPMatchRequest` compiled, and whether one match takes all that another would.
//!
//! Knows nothing of what happens to a request that matches.

use super::{Context, find_gateway};
use crate::{
    policy::{Match, StringMatch},
    resource::Resource,
    value,
    yaml::Node,
};

/// The matches of one rule of a resource; none means every request.
pub(crate) fn matches(context: &Context<'_>, from: &Resource, route: &Node) -> Vec<Match> {
    route.list("match").iter().map(|node| one(context, from, node)).collect()
}

fn one(context: &Context<'_>, from: &Resource, node: &Node) -> Match {
    let (at_ingress, nowhere) = places(context, from, node);
    Match {
        name: node.str("name").map(Into::into),
        uri: attribute(node, "uri"),
        ignore_uri_case: node.get("ignoreUriCase").and_then(Node::as_bool).unwrap_or(false),
        scheme: attribute(node, "scheme"),
        method: attribute(node, "method"),
        authority: attribute(node, "authority"),
        headers: headers(node, "headers"),
        without_headers: headers(node, "withoutHeaders"),
        claims: named(node, "headers", value::routing_claim),
        without_claims: named(node, "withoutHeaders", value::routing_claim),
        query: named(node, "queryParams", |name| Some(name.to_owned())),
        source_labels: super::labels(node.get("sourceLabels")),
        source_namespace: super::filled(node, "sourceNamespace"),
        port: super::number(node, "port"),
        at_ingress,
        nowhere,
    }
}

/// An attribute that every request has: an empty `StringMatch` of it says nothing.
fn attribute(node: &Node, key: &str) -> Option<StringMatch> {
    node.get(key).map(string_match).filter(|found| !matches!(found, StringMatch::Present))
}

pub(super) fn string_match(node: &Node) -> StringMatch {
    if let Some(exact) = node.str("exact") {
        StringMatch::Exact(exact.to_owned())
    } else if let Some(prefix) = node.str("prefix") {
        StringMatch::Prefix(prefix.to_owned())
    } else if let Some(regex) = node.str("regex").and_then(|text| value::regex(text).ok()) {
        StringMatch::Regex(regex)
    } else {
        StringMatch::Present
    }
}

/// Istio ignores these names among headers: they have fields of their own.
pub(crate) const PSEUDO_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];

fn headers(node: &Node, key: &str) -> Vec<(http::HeaderName, StringMatch)> {
    named(node, key, |name| {
        let pseudo = key == "headers" && PSEUDO_HEADERS.contains(&name);
        if pseudo { None } else { value::header_name(name).ok() }
    })
}

fn named<N>(node: &Node, key: &str, name: impl Fn(&str) -> Option<N>) -> Vec<(N, StringMatch)> {
    let entries = node.get(key).map_or(&[][..], Node::entries).iter();
    entries
        .filter_map(|entry| name(&entry.key).map(|name| (name, string_match(&entry.value))))
        .collect()
}

/// Whether a match holds at the ingress, in the mesh or in both, and whether it holds nowhere: the
/// gateways it names are looked for as those of the resource are.
fn places(context: &Context<'_>, from: &Resource, node: &Node) -> (Option<bool>, bool) {
    let gateways: Vec<_> = node.texts("gateways").collect();
    let mesh = gateways.contains(&"mesh");
    let named = gateways.iter().filter(|gateway| **gateway != "mesh");
    let ingress = named.clone().any(|name| find_gateway(context, from, name).is_some());
    match (mesh, ingress) {
        (true, true) => (None, false),
        (true, false) => (Some(false), false),
        (false, true) => (Some(true), false),
        (false, false) => (None, !gateways.is_empty()),
    }
}

/// Whether every request that `later` takes is taken by `earlier` as well. May say no where the
/// truth is yes (two regular expressions), never the other way round.
pub(crate) fn covers(earlier: &Match, later: &Match) -> bool {
    let same_case = earlier.uri.is_none() || earlier.ignore_uri_case == later.ignore_uri_case;
    // What matches nothing neither forestalls a rule nor is forestalled.
    let somewhere = !earlier.nowhere && !later.nowhere;
    let gateway = earlier.at_ingress.is_none() || earlier.at_ingress == later.at_ingress;
    let port = earlier.port.is_none() || earlier.port == later.port;
    let namespace =
        earlier.source_namespace.is_none() || earlier.source_namespace == later.source_namespace;
    let labels = earlier.source_labels.iter().all(|label| later.source_labels.contains(label));
    same_case
        && somewhere
        && gateway
        && port
        && namespace
        && labels
        && implied(earlier.uri.as_ref(), later.uri.as_ref())
        && implied(earlier.scheme.as_ref(), later.scheme.as_ref())
        && implied(earlier.method.as_ref(), later.method.as_ref())
        && implied(earlier.authority.as_ref(), later.authority.as_ref())
        && all_implied(&earlier.headers, &later.headers)
        && all_same(&earlier.without_headers, &later.without_headers)
        && all_implied(&earlier.claims, &later.claims)
        && all_same(&earlier.without_claims, &later.without_claims)
        && all_implied(&earlier.query, &later.query)
}

fn implied(earlier: Option<&StringMatch>, later: Option<&StringMatch>) -> bool {
    match (earlier, later) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => takes_all(earlier, later),
    }
}

fn takes_all(earlier: &StringMatch, later: &StringMatch) -> bool {
    use StringMatch::{Exact, Prefix, Present, Regex};
    match (earlier, later) {
        (Present, _) => true,
        (Exact(a), Exact(b)) => a == b,
        (Prefix(a), Exact(b) | Prefix(b)) => b.starts_with(a.as_str()),
        (Regex(a), Regex(b)) => a.as_str() == b.as_str(),
        (Regex(a), Exact(b)) => a.is_match(b),
        _ => false,
    }
}

fn all_implied<N: PartialEq>(earlier: &[(N, StringMatch)], later: &[(N, StringMatch)]) -> bool {
    earlier.iter().all(|(name, a)| later.iter().any(|(other, b)| name == other && takes_all(a, b)))
}

/// For what must not match, the later one must forbid at least as much.
fn all_same<N: PartialEq>(earlier: &[(N, StringMatch)], later: &[(N, StringMatch)]) -> bool {
    earlier.iter().all(|(name, a)| later.iter().any(|(other, b)| name == other && takes_all(b, a)))
}
