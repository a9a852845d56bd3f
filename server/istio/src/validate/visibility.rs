//! Who sees a resource: its `exportTo`, and the namespaces that Istio looks in.
//!
//! Istio's own rules for the field are in `pkg/config/validation/validation.go`.

use super::{About, place};
use crate::{
    compile,
    finding::code,
    known::is_exported,
    resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE},
    schema::Kind,
    yaml::Node,
};

/// A resource that no service here sees has no effect; which field it is that hides it.
pub(super) fn unseen(about: &mut About<'_>) {
    if compile::is_seen(about.resource) {
        return;
    }
    let (spec, namespace) = (about.spec(), &about.resource.key().namespace);
    if !is_exported(namespace, spec.texts("exportTo")) {
        let to: Vec<_> = spec.texts("exportTo").filter(|target| *target != "~").collect();
        let to = match to.as_slice() {
            [] => "nobody".to_owned(),
            ["."] => format!("{namespace} alone"),
            targets => format!("{} alone", targets.join(", ")),
        };
        let message = format!(
            "It is exported to {to}. The services here are in {DEFAULT_NAMESPACE}, so none of \
             them sees it."
        );
        about.silence("spec", &message);
        let at = ("spec.exportTo", place(spec, "exportTo"));
        let advice = format!("Export it to {DEFAULT_NAMESPACE}, or leave exportTo out.");
        return about.warn(code::UNSEEN, at, message, advice);
    }
    let message = format!(
        "Istio looks for the rules of a service in the namespaces of the caller and of the \
         service, and in {ROOT_NAMESPACE}: nobody here sees one of {namespace}."
    );
    about.silence("spec", &message);
    let metadata = about.resource.root().get("metadata");
    let at = metadata.map_or(spec.at, |metadata| place(metadata, "namespace"));
    let advice = format!("Did you mean the namespace {DEFAULT_NAMESPACE}?");
    about.warn(code::UNSEEN, ("metadata.namespace", at), message, advice);
}

/// What Istio refuses in `exportTo`.
pub(super) fn export_to(about: &mut About<'_>) {
    let (spec, kind) = (about.spec(), about.resource.kind());
    let own = about.resource.key().namespace.as_str();
    let full = |target: &str| if target == "." { own.to_owned() } else { target.to_owned() };
    let targets: Vec<(&Node, String)> = spec
        .list("exportTo")
        .iter()
        .filter_map(|node| Some((node, full(node.as_str()?))))
        .collect();
    for (index, (node, target)) in targets.iter().enumerate() {
        let path = format!("spec.exportTo[{index}]");
        if targets.iter().take(index).any(|(_, other)| other == target) {
            let message = format!("It is exported to {target} twice.");
            about.error(code::CONFLICT, (path, node.at), message, "Keep one of them.");
        } else if target == "~" && kind != Kind::ServiceEntry {
            let message = "Only a ServiceEntry can be exported to nobody (~).";
            let advice = "Name a namespace, or use . for the resource's own.";
            about.error(code::CONFLICT, (path, node.at), message, advice);
        } else if matches!(target.as_str(), "*" | "~") && targets.len() > 1 {
            let whom = if target == "*" { "every namespace (*)" } else { "nobody (~)" };
            let message = format!("What is exported to {whom} cannot be exported to others too.");
            about.error(code::CONFLICT, (path, node.at), message, "Keep one of them.");
        }
    }
    let selects = kind == Kind::DestinationRule && spec.get("workloadSelector").is_some();
    if let Some((node, _)) = targets.iter().find(|(_, target)| target != own)
        && selects
    {
        about.error(
            code::CONFLICT,
            ("spec.exportTo", node.at),
            "A rule for some callers (workloadSelector) cannot leave its own namespace.",
            "Write exportTo: [.], or leave it out.",
        );
    }
}
