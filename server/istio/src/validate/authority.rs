//! The host among the headers of a rule: it is the authority of the request, which is set once, and
//! which nothing takes away. Routing does not look at it again.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go` (`validateAuthorityRewrite`).

use super::{About, has, place};
use crate::{finding::code, value::is_authority, yaml::Node};

pub(super) fn check(about: &mut About<'_>, route: &Node, path: &str) {
    twice(about, route, path);
    dropped(about, route, path);
    for (index, to) in route.list("route").iter().enumerate() {
        dropped(about, to, &format!("{path}.route[{index}]"));
    }
}

/// Where a rule sets the authority: by which fields, and where they stand.
fn twice(about: &mut About<'_>, route: &Node, path: &str) {
    let rewrite = route.get("rewrite").filter(|rewrite| has(rewrite, "authority"));
    let rewrite = rewrite.map(|node| ("rewrite.authority".to_owned(), place(node, "authority")));
    let by_header = ["set", "add"].into_iter().flat_map(|key| {
        let entries = route.path(&["headers", "request", key]).map_or(&[][..], Node::entries);
        let hosts = entries.iter().filter(|entry| is_authority(&entry.key));
        hosts.map(move |entry| (format!("headers.request.{key}[{}]", entry.key), entry.at))
    });
    let all: Vec<_> = rewrite.into_iter().chain(by_header).collect();
    if let [(first, _), (second, at), ..] = all.as_slice() {
        about.error(
            code::CONFLICT,
            (format!("{path}.{second}"), *at),
            format!("The authority is set by {first} already."),
            "Keep one of them.",
        );
    }
}

/// Operations on the host that Istio leaves out.
fn dropped(about: &mut About<'_>, node: &Node, path: &str) {
    let removed = node.path(&["headers", "request", "remove"]).map_or(&[][..], Node::items);
    for (index, name) in removed.iter().enumerate() {
        if name.as_str().is_some_and(is_authority) {
            let path = format!("{path}.headers.request.remove[{index}]");
            let message = "A request has an authority; Istio takes it away from none.";
            about.idle(code::PSEUDO_HEADER, (path, name.at), message, "Set host instead.");
        }
    }
    for key in ["set", "add", "remove"] {
        let Some(of) = node.path(&["headers", "response", key]) else { continue };
        let set = of.entries().iter().map(|entry| (&*entry.key, entry.key.clone(), entry.at));
        let removed = of.items().iter().enumerate();
        let removed =
            removed.filter_map(|(at, node)| Some((node.as_str()?, at.to_string(), node.at)));
        for (name, step, at) in set.chain(removed) {
            if is_authority(name) {
                let path = format!("{path}.headers.response.{key}[{step}]");
                let message = "An answer has no authority; Istio leaves this out.";
                about.idle(code::PSEUDO_HEADER, (path, at), message, "Use another header.");
            }
        }
    }
}
