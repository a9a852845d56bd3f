//! Which resources are about one host, and their text: what the page of that host edits.

use contract::istio::ResourceKey;
use istio::{
    Configuration, DEFAULT_NAMESPACE, Known, KnownService, Resource,
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
    let namespace = document.path(&["metadata", "namespace"]).and_then(Node::as_str);
    // A short name of another namespace is another service.
    let is_here = namespace.is_none_or(|namespace| namespace == DEFAULT_NAMESPACE);
    let named = |name: &str| {
        (is_here || name.contains('.'))
            && service.all_names().any(|own| own.eq_ignore_ascii_case(name))
    };
    let spec = document.get("spec");
    match (document.str("kind"), spec) {
        (Some("VirtualService"), Some(spec)) => spec.texts("hosts").any(named),
        (Some("DestinationRule"), Some(spec)) => spec.str("host").is_some_and(named),
        (Some("EnvoyFilter"), Some(spec)) => {
            let app = spec.path(&["workloadSelector", "labels", "app"]);
            let is_it = |app: &str| service.all_names().any(|own| own.eq_ignore_ascii_case(app));
            app.and_then(Node::as_str).is_some_and(is_it) || patched_hosts(spec).any(is_it)
        }
        _ => false,
    }
}

/// The hosts of whose single routes an `EnvoyFilter` is, without their ports. Envoy has its own
/// names for them, which are whole, whatever the namespace of the filter.
pub(super) fn patched_hosts(spec: &Node) -> impl Iterator<Item = &str> {
    let patches = spec.list("configPatches").iter();
    let named = patches.filter_map(|patch| {
        patch.path(&["match", "routeConfiguration", "vhost", "name"]).and_then(Node::as_str)
    });
    named.map(|name| name.rsplit_once(':').map_or(name, |(host, _)| host))
}

/// The host whose page edits a document.
pub(super) fn page_of<'a>(known: &'a Known, document: &Node) -> Option<&'a str> {
    let found = known.services.iter().find(|service| concerns(document, service));
    found.map(|service| service.name.as_str())
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

/// What a document is known by.
pub(super) fn key(document: &Node) -> ResourceKey {
    let of = |path: &[&str]| document.path(path).and_then(Node::as_str).map(str::to_owned);
    ResourceKey {
        kind: of(&["kind"]).unwrap_or_default(),
        namespace: of(&["metadata", "namespace"]).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        name: of(&["metadata", "name"]).unwrap_or_default(),
    }
}

/// Its name on the page: behind its namespace unless that is the default.
pub(super) fn title(namespace: &str, name: &str) -> String {
    match namespace {
        DEFAULT_NAMESPACE => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

/// [`title`] of a document.
pub(super) fn title_of(document: &Node) -> String {
    let key = key(document);
    title(&key.namespace, &key.name)
}

/// Place of the `VirtualService` of that title; of the first if there is none of it.
pub(super) fn chosen(documents: &[Node], wanted: &str) -> Option<usize> {
    let services = || {
        let all = documents.iter().enumerate();
        all.filter(|(_, document)| document.str("kind") == Some("VirtualService"))
    };
    let named = services().find(|(_, document)| title_of(document) == wanted);
    named.or_else(|| services().next()).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_one_route_is_on_the_page_of_the_host_whose_route_it_is() {
        let service = KnownService {
            name: "payments".to_owned(),
            names: vec!["payment-service".to_owned()],
            ..KnownService::default()
        };
        let concerned = |vhost: &str| {
            let text = format!(
                "kind: EnvoyFilter\nmetadata: {{namespace: istio-system}}\nspec:\n  \
                 configPatches:\n  - applyTo: HTTP_FILTER\n  - applyTo: HTTP_ROUTE\n    \
                 match: {{routeConfiguration: {{vhost: {{name: '{vhost}'}}}}}}\n"
            );
            concerns(&read(&text).unwrap()[0], &service)
        };
        assert!(concerned("payments.default.svc.cluster.local:8080"));
        assert!(concerned("payment-service:80"));
        assert!(!concerned("orders.default.svc.cluster.local:8080"));
        assert!(!concerned("inbound|http|8080"));
    }

    #[test]
    fn a_short_host_of_another_namespace_is_on_the_page_of_no_service_here() {
        let service = KnownService { name: "catalog".to_owned(), ..KnownService::default() };
        let concerned = |kind: &str, namespace: &str, spec: &str| {
            let text = format!("kind: {kind}\nmetadata: {{{namespace}}}\nspec: {{{spec}}}\n");
            concerns(&read(&text).unwrap()[0], &service)
        };
        let whole = "catalog.default.svc.cluster.local";
        for (namespace, short) in
            [("", true), ("namespace: default", true), ("namespace: prod", false)]
        {
            assert_eq!(concerned("VirtualService", namespace, "hosts: [catalog]"), short);
            assert_eq!(concerned("DestinationRule", namespace, "host: catalog"), short);
            assert!(concerned("VirtualService", namespace, &format!("hosts: [{whole}]")));
        }
    }
}
