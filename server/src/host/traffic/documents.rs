//! Which resources are about one host, and their text: what the page of that host edits.

use contract::istio::ResourceKey;
use istio::{
    Configuration, Known, KnownService, Resource,
    yaml::{self, Node},
};
use std::sync::Arc;

/// Kinds a host's page edits, in the order of their tabs.
pub(super) const KINDS: [&str; 3] = ["VirtualService", "DestinationRule", "EnvoyFilter"];

/// The service of that name.
pub(super) fn service<'a>(known: &'a Known, host: &str) -> Option<&'a KnownService> {
    known.services.iter().find(|service| service.name == host)
}

/// Whether a document is about the service.
pub(super) fn concerns(document: &Node, service: &KnownService) -> bool {
    let named = |name: &str| service.all_names().any(|own| own.eq_ignore_ascii_case(name));
    let spec = document.get("spec");
    match (document.str("kind"), spec) {
        (Some("VirtualService"), Some(spec)) => spec.texts("hosts").any(named),
        (Some("DestinationRule"), Some(spec)) => spec.str("host").is_some_and(named),
        (Some("EnvoyFilter"), Some(spec)) => {
            let app = spec.path(&["workloadSelector", "labels", "app"]);
            app.and_then(Node::as_str).is_some_and(named)
        }
        _ => false,
    }
}

/// The resources about the service, in the order of the tabs.
pub(super) fn of_host(configuration: &Configuration, service: &KnownService) -> Vec<Arc<Resource>> {
    let mut found: Vec<_> = configuration
        .resources()
        .filter(|resource| concerns(resource.root(), service))
        .cloned()
        .collect();
    // What is built in comes after what users applied, as in force.
    let tab = |resource: &Resource| KINDS.iter().position(|kind| *kind == resource.kind().name());
    found.sort_by_key(|resource| (tab(resource), resource.is_built_in()));
    found
}

/// Their text; empty if there are none.
pub(super) fn text(configuration: &Configuration, service: &KnownService) -> String {
    let texts: Vec<_> = of_host(configuration, service).iter().map(|r| r.print()).collect();
    texts.join("---\n")
}

/// What they are known by.
pub(super) fn keys(configuration: &Configuration, service: &KnownService) -> Vec<ResourceKey> {
    of_host(configuration, service).iter().map(|resource| resource.key().clone()).collect()
}

/// The documents of a text; none when it cannot be read.
pub(super) fn read(text: &str) -> Option<Vec<Node>> {
    yaml::read(text).ok()
}
