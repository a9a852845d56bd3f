//! Resources in Istio's own terms: without what only Vitrine knows, and with what says the same.
//!
//! Made for a whole set at once, because what takes the place of an extension may belong into a
//! resource that is there already. Nothing is put in force here.

use crate::{
    compile::{self, Context},
    faithful::{field, items, set},
    known::Known,
    policy::short,
    resource::{DEFAULT_NAMESPACE, Resource, full_host},
    schema::{self, Kind},
    validate::{filter_for, printed_name},
    yaml::{self, Data, Node},
};
use std::sync::Arc;

/// The field of a `DestinationRule`, and the extension of that name.
const POLICY: &str = "trafficPolicy";

/// The YAML of some resources of a set, and of those that must stand beside them.
pub(crate) fn print(known: &Known, all: &[Arc<Resource>], asked: &[Arc<Resource>]) -> Vec<String> {
    let context = Context::new(known, all);
    let mut documents = Documents { context: &context, all, roots: Vec::new() };
    documents.roots.extend(asked.iter().map(|resource| own(resource)));
    for resource in asked.iter().filter(|resource| resource.kind() == Kind::VirtualService) {
        documents.limits(resource);
        documents.policies(resource);
        documents.subsets(resource);
    }
    let ordered =
        documents.roots.into_iter().map(|root| match root.str("kind").and_then(Kind::parse) {
            Some(kind) => schema::order(kind, root),
            None => root,
        });
    ordered.map(|root| yaml::write(&root).0).collect()
}

/// A resource by itself: extensions taken away, expressions as Istio reads them.
fn own(resource: &Resource) -> Node {
    let mut root = resource.root().clone();
    let change: fn(&mut Node) = match resource.kind() {
        Kind::VirtualService => without_extensions,
        Kind::Telemetry => with_expressions,
        _ => return root,
    };
    if root.get("spec").is_some()
        && let Some(spec) = field(&mut root, "spec")
    {
        change(spec);
    }
    root
}

fn without_extensions(spec: &mut Node) {
    set(spec, POLICY, None);
    let rules = spec.list("http").to_vec();
    for (index, route) in items(spec, "http").iter_mut().enumerate() {
        // Its filter finds it by its name.
        if route.get("rateLimit").is_some() {
            set(route, "name", Some(Node::text(printed_name(&rules, index))));
        }
        set(route, "rateLimit", None);
    }
}

fn with_expressions(spec: &mut Node) {
    for metrics in items(spec, "metrics") {
        for of_metric in items(metrics, "overrides") {
            let tags = of_metric.get("tagOverrides").map_or(&[][..], Node::entries).to_vec();
            for tag in tags {
                let Some(written) = tag.value.str("value") else { continue };
                let meant = Node::text(compile::meant(written));
                let overrides = field(of_metric, "tagOverrides");
                let tag = overrides.and_then(|overrides| field(overrides, &tag.key));
                if let Some(value) = tag.and_then(|tag| field(tag, "value")) {
                    *value = meant;
                }
            }
        }
    }
}

fn is_rule(root: &Node) -> bool {
    root.str("kind") == Some(Kind::DestinationRule.name())
}

/// Whether a rule is for a host (in full) by its own name, and for every caller.
fn is_for(root: &Node, host: &str) -> bool {
    let for_all = root.path(&["spec", "workloadSelector"]).is_none();
    let named = root.path(&["spec", "host"]).and_then(Node::as_str);
    let namespace = root.path(&["metadata", "namespace"]).and_then(Node::as_str);
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    let named = named.map(|host| full_host(namespace, host));
    is_rule(root) && for_all && named.is_some_and(|named| short(&named) == short(host))
}

fn defines(root: &Node, subset: &str) -> bool {
    let subsets = root.get("spec").map_or(&[][..], |spec| spec.list("subsets"));
    subsets.iter().any(|node| node.str("name") == Some(subset))
}

/// A resource beside another, in its namespace.
pub(crate) fn resource(
    version: &str,
    kind: Kind,
    name: &str,
    beside: &Resource,
    spec: Node,
) -> Node {
    let name = Node::text(name.trim_start_matches("*.").replace('*', "all"));
    let namespace = beside.key().namespace.as_str();
    let metadata = match namespace {
        DEFAULT_NAMESPACE => Node::map([("name", name)]),
        _ => Node::map([("name", name), ("namespace", Node::text(namespace))]),
    };
    Node::map([
        ("apiVersion", Node::text(version)),
        ("kind", Node::text(kind.name())),
        ("metadata", metadata),
        ("spec", spec),
    ])
}

struct Documents<'a> {
    context: &'a Context<'a>,
    all: &'a [Arc<Resource>],
    roots: Vec<Node>,
}

impl Documents<'_> {
    /// The `rateLimit` of each rule, as a filter of its own.
    fn limits(&mut self, from: &Resource) {
        for (index, route) in from.spec().list("http").iter().enumerate() {
            let Some(mut filter) = filter_for(self.context, from, index, route) else {
                continue;
            };
            self.name_apart(&mut filter, from);
            self.roots.push(filter);
        }
    }

    /// Gives a new resource a name that none of its kind has.
    fn name_apart(&self, root: &mut Node, beside: &Resource) {
        let text = |root: &Node, path: &[&str]| {
            root.path(path).and_then(Node::as_str).unwrap_or_default().to_owned()
        };
        let (kind, wanted) = (text(root, &["kind"]), text(root, &["metadata", "name"]));
        let is_taken = |name: &str| {
            let key = |root: &Node| {
                text(root, &["kind"]) == kind && text(root, &["metadata", "name"]) == name
            };
            self.roots.iter().any(key)
                || self.all.iter().any(|resource| {
                    let key = resource.key();
                    key.kind == kind && key.name == name && key.namespace == beside.key().namespace
                })
        };
        let numbered = (2_u32..).map(|number| format!("{wanted}-{number}"));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        let free = names.find(|name| !is_taken(name));
        if let Some(metadata) = field(root, "metadata") {
            set(metadata, "name", free.map(Node::text));
        }
    }

    /// The traffic policy of a `VirtualService`, in the rule of each of its hosts. What that says
    /// itself wins, field by field, as it does here.
    fn policies(&mut self, from: &Resource) {
        let Some(policy) = from.spec().get(POLICY) else { return };
        for host in compile::hosts(from) {
            let rule = self.rule(&host, from);
            let Some(own) = field(rule, "spec").and_then(|spec| field(spec, POLICY)) else {
                continue;
            };
            for entry in policy.entries() {
                if own.get(&entry.key).is_none() {
                    set(own, &entry.key, Some(entry.value.clone()));
                }
            }
        }
    }

    /// The subsets that a `VirtualService` sends to and no rule of that host defines.
    fn subsets(&mut self, from: &Resource) {
        let nodes = from.spec().list("http").iter().flat_map(compile::destination_nodes);
        for node in nodes {
            let (Some(host), Some(subset)) = (node.str("host"), node.str("subset")) else {
                continue;
            };
            let host = from.full_host(host);
            let Some(labels) = self.labels(&host, subset) else { continue };
            let rule = self.rule(&host, from);
            let Some(spec) = field(rule, "spec") else { continue };
            let mut subsets = spec.list("subsets").to_vec();
            subsets.push(Node::map([("name", Node::text(subset)), ("labels", labels)]));
            set(spec, "subsets", Some(Node::new(Data::List(subsets))));
        }
    }

    /// The labels of a subset that is to be defined for a host: those that a rule of another name
    /// of its service says, else the version. None where it is defined, or is nothing here either.
    fn labels(&self, host: &str, subset: &str) -> Option<Node> {
        let rules = || self.context.of(Kind::DestinationRule).map(Resource::root);
        let own: Vec<_> =
            self.roots.iter().chain(rules()).filter(|root| is_for(root, host)).collect();
        if own.iter().any(|root| defines(root, subset)) {
            return None;
        }
        let by_pattern = |root: &&Node| {
            let pattern = root.path(&["spec", "host"]).and_then(Node::as_str).unwrap_or_default();
            pattern.starts_with('*') && {
                let full = format!("{}.default.svc.cluster.local", short(host));
                compile::overlap(pattern, host) || compile::overlap(pattern, &full)
            }
        };
        if own.is_empty() && rules().filter(by_pattern).any(|root| defines(root, subset)) {
            return None;
        }
        let service = self.context.service(host)?;
        let of_service = compile::rules(self.context, service, &[]);
        let subsets = of_service.iter().flat_map(|rule| rule.spec().list("subsets"));
        let same = subsets.filter(|node| node.str("name") == Some(subset));
        let labels = same.filter_map(|node| node.get("labels").cloned()).next();
        let implied = compile::implied_subset(self.context, service, subset);
        let version = || implied.then(|| Node::map([("version", Node::text(subset))]));
        labels.or_else(version)
    }

    /// The rule of a host: the one that is printed, the one there is, or a new one.
    fn rule(&mut self, host: &str, from: &Resource) -> &mut Node {
        let printed = |roots: &[Node]| {
            let of_host = |root: &Node| is_for(root, host);
            let says = |root: &Node| of_host(root) && root.path(&["spec", POLICY]).is_some();
            roots.iter().position(says).or_else(|| roots.iter().position(of_host))
        };
        let at = printed(&self.roots).unwrap_or_else(|| {
            let mut rules: Vec<_> = self.context.of(Kind::DestinationRule).collect();
            // What is built in gives way.
            rules.sort_by_key(|rule| rule.is_built_in());
            let there = rules.iter().map(|rule| rule.root()).find(|root| is_for(root, host));
            let root = there.cloned().unwrap_or_else(|| {
                let spec = Node::map([("host", Node::text(host))]);
                let version = "networking.istio.io/v1";
                let mut root = resource(version, Kind::DestinationRule, host, from, spec);
                self.name_apart(&mut root, from);
                root
            });
            self.roots.push(root);
            self.roots.len() - 1
        });
        &mut self.roots[at]
    }
}
