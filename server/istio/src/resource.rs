//! One Istio resource, and how texts are taken apart into resources.
//!
//! A resource is its YAML tree in conventional order; nothing of it is lost. Whether it makes sense
//! beside others is not decided here.

use crate::{
    expressions,
    faithful::{field, items, with_faithful_route},
    finding::{Spot, code},
    schema::{self, KINDS, Kind, KindInfo, Report},
    value::{Complaint, closest},
    yaml::{self, Data, Node, Position, shorten},
};
use contract::istio::{Finding, ResourceKey, Severity};

/// The namespace of a resource that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The namespace whose resources hold for the whole mesh.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// Kubernetes' recommended label for the tool that manages a resource.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value on resources that are built in.
const MANAGER: &str = "vitrine";

/// What Istio has besides: left alone, for none of it has something to act on here.
const ISTIO_KINDS: [&str; 6] =
    ["Sidecar", "WorkloadEntry", "WorkloadGroup", "ProxyConfig", "WasmPlugin", "IstioOperator"];

/// One resource of a kind of ours. Equality is of content, not of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    key: ResourceKey,
    kind: Kind,
    root: Node,
}

/// A document of a text.
pub(crate) enum Document {
    /// A resource, possibly with errors in its report.
    Ours(Resource, Report),
    /// Something else, left alone.
    NotOurs(ResourceKey, Position),
}

impl Resource {
    /// What it is known by.
    #[must_use]
    pub fn key(&self) -> &ResourceKey {
        &self.key
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// All of it.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Its `spec`; null if there is none.
    #[must_use]
    pub fn spec(&self) -> &Node {
        static NONE: Node = Node { at: Position { line: 0, column: 0 }, data: Data::Null };
        self.root.get("spec").unwrap_or(&NONE)
    }

    /// Its YAML, in conventional order.
    #[must_use]
    pub fn print(&self) -> String {
        yaml::write(&self.root).0
    }

    /// The same with every position as in [`Resource::print`].
    #[must_use]
    pub(crate) fn settled(&self) -> Self {
        Self { root: yaml::write(&self.root).1, ..self.clone() }
    }

    /// The same with the switch of one of its rules to Istio's own behaviour on or off.
    pub(crate) fn with_faithful_route(&self, route: &str, on: bool) -> Option<Self> {
        let root = schema::order(self.kind, with_faithful_route(&self.root, route, on)?);
        Some(Self { root, ..self.clone() }.settled())
    }

    /// When it was created in the cluster it comes from, as Kubernetes writes it
    /// (`2026-11-28T10:00:00Z`): later times are greater texts. Nothing where it does not say.
    pub(crate) fn created(&self) -> Option<&str> {
        const FORM: &[u8] = b"0000-00-00T00:00:00Z";
        let written = self.root.path(&["metadata", "creationTimestamp"])?.as_str()?;
        let fits = |(byte, form): (u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        };
        let is_it = written.len() == FORM.len() && written.bytes().zip(FORM).all(fits);
        is_it.then_some(written)
    }

    /// Whether the program brought it along: it then gives way to whatever users apply for the
    /// same service.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        let manager = self.root.path(&["metadata", "labels", MANAGED_BY]);
        manager.and_then(Node::as_str) == Some(MANAGER)
    }

    /// A host as it names it, lower-case and in full: see [`full_host`].
    pub(crate) fn full_host(&self, host: &str) -> String {
        full_host(&self.key.namespace, host)
    }

    /// A field of its `spec`, for a finding.
    pub(crate) fn spot(&self, path: impl Into<String>, at: Position) -> Spot {
        Spot { resource: Some(self.key.clone()), path: path.into(), at }
    }
}

/// A host as a resource of a namespace names it, lower-case. As in Istio, a name without a point is
/// one of the resource's own namespace; in `default`, where the services are, it is left short.
pub(crate) fn full_host(namespace: &str, host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match namespace == DEFAULT_NAMESPACE || host.contains(['.', ':', '*']) {
        true => host,
        false => format!("{host}.{namespace}.svc.cluster.local"),
    }
}

/// The documents of a text, lists unpacked.
pub(crate) fn read(text: &str) -> Result<Vec<Result<Document, Box<Finding>>>, Box<Finding>> {
    let mut documents = Vec::new();
    // In the order of the text: what a list holds comes before what follows it.
    let mut rest: Vec<Node> = yaml::read(text).map_err(|error| Box::new(error.into()))?;
    if let Some(finding) = expressions::too_many_in(&rest) {
        return Err(Box::new(finding));
    }
    rest.reverse();
    while let Some(node) = rest.pop() {
        match list_items(&node) {
            Some(items) => rest.extend(items.iter().rev().cloned()),
            None => documents.push(document(node)),
        }
    }
    Ok(documents)
}

/// The items of a Kubernetes `List`, or of a list of one kind.
fn list_items(node: &Node) -> Option<&[Node]> {
    let kind = node.str("kind")?;
    let is_list = kind == "List" || kind.strip_suffix("List").is_some_and(is_ours);
    // One without items is empty, as kubectl prints it where there is nothing.
    match node.get("items") {
        None => is_list.then_some(&[]),
        Some(items) if matches!(items.data, Data::List(_)) => is_list.then_some(items.items()),
        Some(_) => None,
    }
}

fn is_ours(kind: &str) -> bool {
    KINDS.iter().any(|info| info.name == kind)
}

fn document(node: Node) -> Result<Document, Box<Finding>> {
    let not_a_resource = |at, message: &str, advice: &str| {
        let spot = Spot { at, ..Spot::default() };
        Box::new(spot.error(code::NOT_A_RESOURCE, Complaint::new(message, advice)))
    };
    if !matches!(node.data, Data::Map(_)) {
        let message = format!("A resource is a mapping, not {}.", node.describe());
        return Err(not_a_resource(node.at, &message, "Begin with apiVersion: and kind:."));
    }
    let Some(kind) = node.str("kind") else {
        return Err(not_a_resource(
            node.at,
            "This mapping has no kind, so it is no Kubernetes resource.",
            "Add kind: and apiVersion:.",
        ));
    };
    let Some(version) = node.str("apiVersion") else {
        return Err(not_a_resource(
            node.at,
            "This resource has no apiVersion.",
            "Add it, such as networking.istio.io/v1.",
        ));
    };
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let of_istio = group == "istio.io" || group.ends_with(".istio.io");
    let Some(info) = KINDS.iter().find(|info| info.name == kind) else {
        if !of_istio || ISTIO_KINDS.contains(&kind) {
            return Ok(foreign(&node, kind));
        }
        // Leaving it alone would look like applying it.
        let known = KINDS.iter().map(|info| info.name);
        let meant = closest(kind, known.clone().chain(ISTIO_KINDS.iter().copied()));
        return Err(not_a_resource(
            node.entry("kind").map_or(node.at, |entry| entry.value.at),
            &format!("Istio has no kind \"{}\".", shorten(kind)),
            &match meant {
                Some(meant) => format!("Did you mean {meant}?"),
                None => format!("Use {}.", known.collect::<Vec<_>>().join(", ")),
            },
        ));
    };
    if !of_istio {
        return Ok(foreign(&node, kind));
    }
    ours(node.clone(), info, group, version)
}

/// Istio refuses spaces between the tokens of `retryOn`. They are plainly not meant, so they are
/// taken away, and what is printed back is what Istio takes.
fn trim_retry_on(root: &mut Node, key: &ResourceKey) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What is not there is not made.
    let spec = if root.get("spec").is_some() { field(root, "spec") } else { None };
    let Some(spec) = spec else { return findings };
    for (index, route) in items(spec, "http").iter_mut().enumerate() {
        let Data::Map(fields) = &mut route.data else { continue };
        let retries = fields.iter_mut().find(|entry| entry.key == "retries");
        let Some(Data::Map(fields)) = retries.map(|entry| &mut entry.value.data) else { continue };
        let Some(on) = fields.iter_mut().find(|entry| entry.key == "retryOn") else { continue };
        let Some(written) = on.value.as_str() else { continue };
        let trimmed = written.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        if trimmed == written {
            continue;
        }
        let path = format!("spec.http[{index}].retries.retryOn");
        let spot = Spot { resource: Some(key.clone()), path, at: on.value.at };
        findings.push(spot.says(
            Severity::Warning,
            code::SPACES,
            "Istio refuses spaces in retryOn. It is read without them.",
            format!("Write {trimmed}."),
        ));
        on.value.data = Data::Text(trimmed);
    }
    findings
}

fn foreign(node: &Node, kind: &str) -> Document {
    Document::NotOurs(key(node, kind), node.at)
}

fn key(node: &Node, kind: &str) -> ResourceKey {
    let metadata = |field: &str| node.path(&["metadata", field]).and_then(Node::as_str);
    ResourceKey {
        kind: kind.to_owned(),
        namespace: metadata("namespace").unwrap_or(DEFAULT_NAMESPACE).to_owned(),
        name: metadata("name").unwrap_or_default().to_owned(),
    }
}

fn ours(
    node: Node,
    info: &'static KindInfo,
    group: &str,
    version: &str,
) -> Result<Document, Box<Finding>> {
    let key = key(&node, info.name);
    let mut report = schema::check(info.kind, &key, &node);
    let mut root = schema::order(info.kind, node);
    let at = root.entry("apiVersion").map_or(root.at, |entry| entry.value.at);
    let spot = Spot { resource: Some(key.clone()), path: "apiVersion".to_owned(), at };
    if info.kind == Kind::VirtualService {
        report.findings.extend(trim_retry_on(&mut root, &key));
    }
    let preferred = format!("{}/{}", info.group, info.versions[0]);
    if group != info.group {
        report.findings.push(Finding {
            correct_form: Some(format!("apiVersion: {preferred}\nkind: {}\n", info.name)),
            ..spot.says(
                Severity::Warning,
                code::API_GROUP,
                format!("{group} has no {}; Istio would refuse it.", info.name),
                format!("Write apiVersion: {preferred}. It is read as that here."),
            )
        });
        if let Data::Map(entries) = &mut root.data {
            let version = entries.iter_mut().find(|entry| entry.key == "apiVersion");
            if let Some(version) = version {
                version.value.data = Data::Text(preferred);
            }
        }
    } else if !info.versions.contains(&version) {
        return Err(Box::new(spot.error(
            code::API_VERSION,
            Complaint::new(
                format!("{} has no version {} of {group}.", info.name, shorten(version)),
                format!("Use {}.", info.versions.join(", ")),
            ),
        )));
    }
    Ok(Document::Ours(Resource { key, kind: info.kind, root }, report))
}
