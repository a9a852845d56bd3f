//! The switch of a route to Istio's own behaviour: while it has a fault, its timeout and its
//! retries are off. Kept as an annotation of the `VirtualService`, which Istio takes and leaves
//! alone, so that it is part of every revision.

use crate::{
    resource::Resource,
    yaml::{Data, Entry, Node},
};
use contract::istio::Position;

/// The annotation: names of rules, with commas between them.
pub const FAITHFUL_ROUTES: &str = "vitrine.dev/istio-faithful-routes";

impl Resource {
    /// Names of the rules that behave as Istio's while they have a fault.
    pub fn faithful_routes(&self) -> impl Iterator<Item = &str> {
        faithful_routes(self.root())
    }
}

/// The same of a document.
pub fn faithful_routes(document: &Node) -> impl Iterator<Item = &str> {
    let written = document.path(&["metadata", "annotations", FAITHFUL_ROUTES]);
    let names = written.and_then(Node::as_str).unwrap_or_default().split(',');
    names.map(str::trim).filter(|name| !name.is_empty())
}

/// The document with the switch of one rule on or off. A name with a comma cannot be written.
#[must_use]
pub fn with_faithful_route(document: &Node, route: &str, on: bool) -> Option<Node> {
    if route.contains(',') {
        return None;
    }
    let mut names: Vec<&str> = faithful_routes(document).filter(|name| *name != route).collect();
    names.extend(on.then_some(route));
    let written = (!names.is_empty()).then(|| Node::text(names.join(",")));
    let mut document = document.clone();
    let metadata = field(&mut document, "metadata")?;
    let annotations = field(metadata, "annotations")?;
    set(annotations, FAITHFUL_ROUTES, written);
    if annotations.entries().is_empty() {
        set(metadata, "annotations", None);
    }
    Some(document)
}

/// A mapping within a mapping, made if it is not there; none if something else is.
pub(crate) fn field<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    if node.get(key).is_none() {
        set(node, key, Some(Node::map([])));
    }
    let Data::Map(entries) = &mut node.data else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

/// Sets a field of a mapping, at its end, or takes it away.
pub(crate) fn set(node: &mut Node, key: &str, value: Option<Node>) {
    let Data::Map(entries) = &mut node.data else { return };
    entries.retain(|entry| entry.key != key);
    let entry = |value| Entry { key: key.to_owned(), at: Position::default(), value };
    entries.extend(value.map(entry));
}

/// The items of a list of a mapping, to be changed.
pub(crate) fn items<'n>(node: &'n mut Node, key: &str) -> &'n mut [Node] {
    let Data::Map(entries) = &mut node.data else { return &mut [] };
    let found = entries.iter_mut().find(|entry| entry.key == key);
    match found.map(|entry| &mut entry.value.data) {
        Some(Data::List(items)) => items,
        _ => &mut [],
    }
}
