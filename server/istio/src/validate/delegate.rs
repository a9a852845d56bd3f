//! Delegates: what one can be, what it is named by, and what is left of its rules.
//!
//! How they are merged is in `compile/delegate.rs`.

use super::{About, own_answer, place};
use crate::{
    compile::{self, DelegateError},
    finding::code,
    policy::Match,
    resource::Resource,
    schema::Kind,
    yaml::Node,
};
use contract::istio::ResourceKey;

/// Most pairs of a delegate's and a root's matches that are compared; beyond it nothing is said of
/// single ones.
const PAIRS_MAX: usize = 100_000;

/// Without hosts it can only be a delegate.
pub(super) fn without_hosts(about: &mut About<'_>) {
    let spec = about.spec();
    if spec.get("gateways").is_some() {
        about.error(
            code::CONFLICT,
            ("spec.gateways", place(spec, "gateways")),
            "A VirtualService without hosts is a delegate, and a delegate has no gateways.",
            "Add hosts, or remove gateways.",
        );
    }
    for key in ["tls", "tcp"].into_iter().filter(|key| !spec.list(key).is_empty()) {
        about.error(
            code::CONFLICT,
            (format!("spec.{key}"), place(spec, key)),
            format!("A VirtualService without hosts is a delegate, and a delegate has no {key}."),
            format!("Add hosts, or remove {key}."),
        );
    }
    for (index, route) in spec.list("http").iter().enumerate() {
        let path = format!("spec.http[{index}]");
        if route.get("delegate").is_some() {
            about.error(
                code::DELEGATE,
                (format!("{path}.delegate"), place(route, "delegate")),
                "A delegate cannot delegate further.",
                "Write the rules here.",
            );
        }
        no_regex(about, route, &path);
    }
    let roots = roots(about);
    if roots.is_empty() {
        return about.idle(
            code::DELEGATE,
            ("spec", spec.at),
            "It has no hosts and no other VirtualService delegates to it, so it takes nothing.",
            "Add hosts, or name it under delegate in another VirtualService.",
        );
    }
    let (context, own) = (about.context, about.resource);
    let of_roots: usize = roots.iter().map(|(_, matches)| matches.len()).sum();
    if of_roots.saturating_mul(count(spec)) > PAIRS_MAX {
        return;
    }
    for (index, route) in spec.list("http").iter().enumerate() {
        let met = |leaf: &Match| {
            let one = |(_, root): &(_, Vec<Match>)| {
                root.is_empty() || root.iter().any(|root| compile::can_meet(root, leaf))
            };
            roots.iter().any(one)
        };
        let met: Vec<_> = compile::matches(context, own, route).iter().map(met).collect();
        let names: Vec<_> = roots.iter().map(|(root, _)| root.to_string()).collect();
        let whom = format!("{}, which delegates to it", names.join(" and "));
        unmet(about, (route, index), &met, &whom);
    }
}

/// How many matches its rules have.
fn count(spec: &Node) -> usize {
    spec.list("http").iter().map(|route| route.list("match").len()).sum()
}

/// The rules that delegate to this resource, each with what it matches.
fn roots<'a>(about: &About<'a>) -> Vec<(&'a ResourceKey, Vec<Match>)> {
    let (context, own) = (about.context, about.resource.key());
    let rules = context
        .of(Kind::VirtualService)
        .flat_map(|root| root.spec().list("http").iter().map(move |route| (root, route)));
    let here = rules.filter(|(root, route)| {
        compile::delegate_of(context, root, route).is_ok_and(|found| found.key() == own)
    });
    here.map(|(root, route)| (root.key(), compile::matches(context, root, route))).collect()
}

/// A rule of which no match, or a match of which nothing, is left beside those of the other side:
/// a request must match both, and Istio keeps a delegate's match only within one of the root's.
fn unmet(about: &mut About<'_>, (route, index): (&Node, usize), met: &[bool], whom: &str) {
    let path = format!("spec.http[{index}]");
    let advice = "A delegate's match must lie within one of the rule that delegates to it.";
    if !met.is_empty() && !met.contains(&true) {
        let message = format!("No request can match both this rule and {whom}: it takes nothing.");
        return about.idle(code::DELEGATE, (path, route.at), message, advice);
    }
    for (place, _) in met.iter().enumerate().filter(|(_, met)| !**met) {
        let at = route.list("match").get(place).map_or(route.at, |node| node.at);
        let message = format!("No request can match both this and {whom}: it takes nothing.");
        about.idle(code::DELEGATE, (format!("{path}.match[{place}]"), at), message, advice);
    }
}

/// What a rule delegates to.
pub(super) fn check(about: &mut About<'_>, (route, index): (&Node, usize)) {
    let path = &format!("spec.http[{index}]");
    let Some(node) = route.get("delegate") else { return };
    let place = (format!("{path}.delegate"), place(route, "delegate"));
    let name = node.str("name").unwrap_or_default();
    let (message, advice) = match compile::delegate_of(about.context, about.resource, route) {
        Ok(leaf) => {
            no_regex(about, route, path);
            own_answer::inherited(about, (route, path), leaf);
            return within(about, (route, index), leaf);
        }
        Err(DelegateError::Missing) => (
            format!("No VirtualService named {name} to delegate to: this rule takes nothing."),
            match crate::value::closest(
                name,
                about.context.of(Kind::VirtualService).map(|r| r.key().name.as_str()),
            ) {
                Some(meant) => format!("Did you mean {meant}?"),
                None => "Apply it as well.".to_owned(),
            },
        ),
        Err(DelegateError::HasHosts) => (
            format!("{name} has hosts of its own, so it cannot be a delegate."),
            "Remove its hosts.".to_owned(),
        ),
        Err(DelegateError::Delegates) => (
            format!("{name} delegates further, which Istio does not follow."),
            "Delegate to where the rules are.".to_owned(),
        ),
    };
    about.silence(path, &message);
    about.warn(code::DELEGATE, place, message, advice);
}

/// What a rule matches of which no rule of its delegate takes anything.
fn within(about: &mut About<'_>, (route, index): (&Node, usize), leaf: &Resource) {
    let context = about.context;
    if route.list("match").len().saturating_mul(count(leaf.spec())) > PAIRS_MAX {
        return;
    }
    let rules = leaf.spec().list("http").iter();
    let leaves: Vec<_> = rules.map(|node| compile::matches(context, leaf, node)).collect();
    let met = |root: &Match| {
        let one = |leaf: &Vec<Match>| {
            leaf.is_empty() || leaf.iter().any(|leaf| compile::can_meet(root, leaf))
        };
        leaves.iter().any(one)
    };
    let met: Vec<_> = compile::matches(context, about.resource, route).iter().map(met).collect();
    unmet(about, (route, index), &met, &format!("one of its delegate, {}", leaf.key()));
}

/// Istio cannot tell whether two expressions conflict, so it refuses them on both sides.
fn no_regex(about: &mut About<'_>, route: &Node, path: &str) {
    for (index, node) in route.list("match").iter().enumerate() {
        let direct = node.entries().iter().filter(|entry| entry.value.get("regex").is_some());
        let nested = node.entries().iter().flat_map(|entry| entry.value.entries());
        let nested = nested.filter(|entry| entry.value.get("regex").is_some());
        let found: Vec<_> =
            direct.chain(nested).map(|entry| (entry.key.clone(), entry.at)).collect();
        for (key, at) in found {
            about.error(
                code::CONFLICT,
                (format!("{path}.match[{index}].{key}"), at),
                "Rules that delegate, and those of a delegate, cannot match by regex.",
                "Use exact or prefix.",
            );
        }
    }
}
