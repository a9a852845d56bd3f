//! Delegates: a rule of one `VirtualService` that stands for all rules of another.
//!
//! As Istio merges them (`pilot/pkg/model/virtualservice.go`): a request must match both, what the
//! delegate says wins, what it leaves open the root says.

use super::{Context, matching, origin, route};
use crate::{
    policy::{Action, HeaderOps, Match, Route, StringMatch},
    resource::Resource,
    schema::Kind,
    yaml::Node,
};
use http::HeaderName;

/// Most rules that one delegating rule may become; root and delegate matches multiply.
const MERGED_MATCHES_MAX: usize = 4_096;

/// Why a rule has no delegate.
pub(crate) enum DelegateError {
    /// No such resource.
    Missing,
    /// It has hosts of its own, so it is a root.
    HasHosts,
    /// It delegates further.
    Delegates,
}

/// The resource a rule delegates to.
pub(crate) fn delegate_of<'a>(
    context: &Context<'a>,
    from: &Resource,
    route: &Node,
) -> Result<&'a Resource, DelegateError> {
    let node = route.get("delegate").ok_or(DelegateError::Missing)?;
    let name = node.str("name").unwrap_or_default();
    let namespace = node.str("namespace").unwrap_or(&from.key().namespace);
    let found = context
        .of(Kind::VirtualService)
        .find(|resource| resource.key().name == name && resource.key().namespace == namespace);
    let found = found.ok_or(DelegateError::Missing)?;
    if !found.spec().list("hosts").is_empty() {
        return Err(DelegateError::HasHosts);
    }
    if found.spec().list("http").iter().any(|route| route.get("delegate").is_some()) {
        return Err(DelegateError::Delegates);
    }
    Ok(found)
}

/// The rules a delegating rule stands for; none if it has no delegate.
pub(super) fn merged(
    context: &Context<'_>,
    root: &Resource,
    index: usize,
    node: &Node,
) -> Vec<Route> {
    let Ok(leaf) = delegate_of(context, root, node) else {
        return Vec::new();
    };
    let root_name = route::name(node, index);
    let root_matches = matching::matches(context, root, node);
    let leaves = leaf.spec().list("http").iter().enumerate();
    let merge = |(leaf_index, leaf_node): (usize, &Node)| {
        let mut merged = route::one(context, leaf, leaf_index, leaf_node)?;
        merged.matches = merge_matches(&root_matches, &merged.matches)?;
        merged.name = format!("{root_name}-{}", merged.name).into();
        merged.origin = origin(leaf);
        inherit(context, root, node, leaf_node, &mut merged);
        Some(merged)
    };
    leaves.filter_map(merge).collect()
}

/// What the delegate leaves open, the root says.
fn inherit(
    context: &Context<'_>,
    root: &Resource,
    root_node: &Node,
    leaf_node: &Node,
    merged: &mut Route,
) {
    // Compiled as if the root had the delegate's destinations, to read its other fields.
    let mut stand_in = root_node.clone();
    if let crate::yaml::Data::Map(entries) = &mut stand_in.data {
        entries.retain(|entry| entry.key != "delegate");
        let action = ["route", "redirect", "directResponse"];
        entries.extend(leaf_node.entries().iter().filter(|e| action.contains(&&*e.key)).cloned());
    }
    let Some(from) = route::one(context, root, 0, &stand_in) else {
        return;
    };
    let absent = |key: &str| leaf_node.get(key).is_none();
    if absent("rewrite") {
        merged.rewrite = from.rewrite;
    }
    // Headers of both are merged, and those of the delegate come first.
    if matches!(merged.action, Action::Forward(_)) {
        let authority = route::authority(leaf_node).or_else(|| route::authority(root_node));
        merged.rewrite = route::with_authority(merged.rewrite.take(), authority);
    }
    if absent("timeout") {
        merged.timeout = from.timeout;
    }
    if absent("retries") {
        merged.retry = from.retry;
    }
    if absent("fault") {
        merged.fault = from.fault;
    }
    if absent("mirror") && absent("mirrors") {
        merged.mirrors = from.mirrors;
    }
    if absent("corsPolicy") {
        merged.cors = from.cors;
    }
    if absent("rateLimit") {
        merged.rate_limit = from.rate_limit;
    }
    merged.headers = merge_headers(from.headers, std::mem::take(&mut merged.headers));
}

fn merge_headers(root: HeaderOps, leaf: HeaderOps) -> HeaderOps {
    fn edits<T>(root: Vec<(HeaderName, T)>, leaf: Vec<(HeaderName, T)>) -> Vec<(HeaderName, T)> {
        let of_root = |(name, _): &(HeaderName, T)| !leaf.iter().any(|(other, _)| other == name);
        let mut merged: Vec<_> = root.into_iter().filter(of_root).collect();
        merged.extend(leaf);
        merged
    }
    let mut merged = HeaderOps::default();
    for (into, root, leaf) in [
        (&mut merged.request, root.request, leaf.request),
        (&mut merged.response, root.response, leaf.response),
    ] {
        into.set = edits(root.set, leaf.set);
        into.add = edits(root.add, leaf.add);
        into.remove = root.remove;
        into.remove.extend(leaf.remove);
    }
    merged
}

/// Every root match with every delegate match. None if no request can match both.
fn merge_matches(root: &[Match], leaf: &[Match]) -> Option<Vec<Match>> {
    match (root.is_empty(), leaf.is_empty()) {
        (_, true) => return Some(root.to_vec()),
        (true, false) => return Some(leaf.to_vec()),
        (false, false) => {}
    }
    let pairs = root.iter().flat_map(|root| leaf.iter().map(move |leaf| (root, leaf)));
    let merged: Vec<_> =
        pairs.filter_map(|(root, leaf)| merge_match(root, leaf)).take(MERGED_MATCHES_MAX).collect();
    (!merged.is_empty()).then_some(merged)
}

/// Whether a match of a delegate lies within one of its root, so that something is left of both.
pub(crate) fn can_meet(root: &Match, leaf: &Match) -> bool {
    merge_match(root, leaf).is_some()
}

fn merge_match(root: &Match, leaf: &Match) -> Option<Match> {
    if root.ignore_uri_case != leaf.ignore_uri_case && root.uri.is_some() && leaf.uri.is_some() {
        return None;
    }
    let mut labels = root.source_labels.clone();
    for (key, value) in &leaf.source_labels {
        match labels.iter().find(|(other, _)| other == key) {
            Some((_, other)) if other != value => return None,
            Some(_) => {}
            None => labels.push((key.clone(), value.clone())),
        }
    }
    Some(Match {
        name: leaf.name.clone().or_else(|| root.name.clone()),
        uri: narrower(root.uri.as_ref(), leaf.uri.as_ref())?,
        ignore_uri_case: root.ignore_uri_case || leaf.ignore_uri_case,
        scheme: narrower(root.scheme.as_ref(), leaf.scheme.as_ref())?,
        method: narrower(root.method.as_ref(), leaf.method.as_ref())?,
        authority: narrower(root.authority.as_ref(), leaf.authority.as_ref())?,
        headers: all_narrower(&root.headers, &leaf.headers)?,
        // A request must avoid both.
        without_headers: [&root.without_headers[..], &leaf.without_headers[..]].concat(),
        claims: all_narrower(&root.claims, &leaf.claims)?,
        without_claims: [&root.without_claims[..], &leaf.without_claims[..]].concat(),
        query: all_narrower(&root.query, &leaf.query)?,
        source_labels: labels,
        source_namespace: same(&root.source_namespace, &leaf.source_namespace)?,
        port: same(&root.port, &leaf.port)?,
        at_ingress: same(&root.at_ingress, &leaf.at_ingress)?,
        nowhere: root.nowhere || leaf.nowhere,
    })
}

/// One of two values of which at most one is there, or both are equal.
fn same<T: Clone + PartialEq>(root: &Option<T>, leaf: &Option<T>) -> Option<Option<T>> {
    match (root, leaf) {
        (Some(root), Some(leaf)) if root != leaf => None,
        (_, Some(value)) | (Some(value), None) => Some(Some(value.clone())),
        (None, None) => Some(None),
    }
}

/// The delegate's condition if it lies within the root's; none of both if they conflict.
fn narrower(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> Option<Option<StringMatch>> {
    use StringMatch::{Exact, Prefix, Present};
    match (root, leaf) {
        (None, found) | (found, None) => Some(found.cloned()),
        (Some(Present), Some(leaf)) => Some(Some(leaf.clone())),
        (Some(root), Some(Present)) => Some(Some(root.clone())),
        (Some(Prefix(root)), Some(leaf @ (Exact(text) | Prefix(text)))) => {
            text.starts_with(root.as_str()).then(|| Some(leaf.clone()))
        }
        (Some(Exact(root)), Some(leaf @ Exact(text))) => (root == text).then(|| Some(leaf.clone())),
        _ => None,
    }
}

fn all_narrower<N: Clone + PartialEq>(
    root: &[(N, StringMatch)],
    leaf: &[(N, StringMatch)],
) -> Option<Vec<(N, StringMatch)>> {
    let mut merged = Vec::with_capacity(root.len() + leaf.len());
    for (name, condition) in root {
        let other = leaf.iter().find(|(other, _)| other == name).map(|(_, leaf)| leaf);
        let condition = narrower(Some(condition), other)?;
        merged.extend(condition.map(|condition| (name.clone(), condition)));
    }
    let only_leaf = leaf.iter().filter(|(name, _)| !root.iter().any(|(other, _)| other == name));
    merged.extend(only_leaf.cloned());
    Some(merged)
}
