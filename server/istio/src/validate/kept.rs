//! What a real Istio refuses in parts of a traffic policy that have no effect here: they are kept
//! and printed, and what is printed must be something that it takes.
//!
//! Istio's own rules are in `pkg/config/validation/agent/validation.go`.

use super::{About, has, place};
use crate::{compile, finding::code, yaml::Node};
use std::collections::BTreeSet;

pub(super) fn check(about: &mut About<'_>, policy: &Node, path: &str) {
    if let Some(tls) = policy.get("tls") {
        client_tls(about, tls, &format!("{path}.tls"));
    }
    let balancer = policy.get("loadBalancer");
    if let Some(locality) = balancer.and_then(|balancer| balancer.get("localityLbSetting")) {
        self::locality(about, locality, &format!("{path}.loadBalancer.localityLbSetting"));
    }
    let http = policy.path(&["connectionPool", "http"]);
    let upgrades = |http: &&Node| {
        http.str("h2UpgradePolicy") == Some("UPGRADE")
            && http.get("useClientProtocol").and_then(Node::as_bool) == Some(true)
    };
    if let Some(http) = http.filter(upgrades) {
        about.error(
            code::CONFLICT,
            (
                format!("{path}.connectionPool.http.useClientProtocol"),
                place(http, "useClientProtocol"),
            ),
            "The client's protocol is used, and it is upgraded: one of the two cannot be.",
            "Keep one of useClientProtocol and h2UpgradePolicy: UPGRADE.",
        );
    }
}

/// `ValidateTLS`.
fn client_tls(about: &mut About<'_>, tls: &Node, path: &str) {
    let mode = tls.str("mode").unwrap_or("DISABLE");
    let at = |key: &str| (format!("{path}.{key}"), place(tls, key));
    let secret = has(tls, "credentialName");
    let unchecked = tls.get("insecureSkipVerify").and_then(Node::as_bool) == Some(true);
    let checked_by: &[&str] = match mode {
        "SIMPLE" if unchecked => &["caCertificates", "credentialName", "subjectAltNames"],
        "MUTUAL" if unchecked => &["caCertificates", "subjectAltNames"],
        _ => &[],
    };
    for key in checked_by.iter().filter(|key| has(tls, key)) {
        let message = format!("insecureSkipVerify checks nothing, and {key} says what to check.");
        about.error(code::CONFLICT, at(key), message, "Keep one of them.");
    }
    if !matches!(mode, "SIMPLE" | "MUTUAL") {
        return;
    }
    if secret {
        let own = ["clientCertificate", "privateKey", "caCertificates", "caCrl"];
        for key in own.into_iter().filter(|key| has(tls, key)) {
            let message = format!("credentialName says where certificates are, and {key} too.");
            about.error(code::CONFLICT, at(key), message, "Keep one of them.");
        }
        return;
    }
    for key in ["clientCertificate", "privateKey"] {
        if mode == "MUTUAL" && !has(tls, key) {
            let message = format!("TLS of mode MUTUAL needs {key}, or a secret with it.");
            about.error(code::MISSING_FIELD, at("mode"), message, "Add it, or credentialName.");
        }
    }
}

/// `ValidateLocalityLbSetting`.
fn locality(about: &mut About<'_>, node: &Node, path: &str) {
    let mut from = BTreeSet::new();
    for (index, distribute) in node.list("distribute").iter().enumerate() {
        let path = format!("{path}.distribute[{index}]");
        let to = distribute.get("to").map_or(&[][..], Node::entries);
        let weights = to.iter().map(|entry| {
            compile::number::<u32>(distribute.get("to").unwrap_or(distribute), &entry.key)
        });
        let weights: Vec<u32> = weights.map(Option::unwrap_or_default).collect();
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        if total != 100 || weights.iter().any(|weight| !(1..=100).contains(weight)) {
            about.error(
                code::BAD_VALUE,
                (format!("{path}.to"), place(distribute, "to")),
                format!(
                    "The weights of these localities sum up to {total}, and each is 1 or more."
                ),
                "Make them sum up to 100.",
            );
        }
        let own = distribute.str("from").unwrap_or_default();
        let mut named = BTreeSet::new();
        for (name, at) in to.iter().map(|entry| (entry.key.as_str(), entry.at)) {
            place_of(about, (&format!("{path}.to[{name}]"), at), name, &mut named);
        }
        place_of(about, (&format!("{path}.from"), place(distribute, "from")), own, &mut from);
    }
    for (index, failover) in node.list("failover").iter().enumerate() {
        let text = |key: &str| failover.str(key).unwrap_or_default();
        let (from, to) = (text("from"), text("to"));
        let is_region = |text: &str| !text.contains(['/', '*']);
        if from == to || !is_region(from) || !is_region(to) {
            about.error(
                code::BAD_VALUE,
                (format!("{path}.failover[{index}]"), failover.at),
                "A failover leads from one region to another.",
                "Write two regions, without zones and without *.",
            );
        }
    }
}

/// A locality (`validateLocalities`): region, zone and subzone, of which none is empty, and `*` at
/// the end alone; and none that another one holds.
fn place_of<'a>(
    about: &mut About<'_>,
    (path, at): (&str, crate::yaml::Position),
    name: &'a str,
    named: &mut BTreeSet<&'a str>,
) {
    let stars = name.matches('*').count();
    let parts: Vec<_> = name.splitn(3, '/').collect();
    let bare = |name: &'a str| name.trim_end_matches('*').trim_end_matches('/');
    let within = |a: &str, b: &str| {
        a.is_empty() || a == b || b.strip_prefix(a).is_some_and(|rest| rest.starts_with('/'))
    };
    let own = bare(name);
    // What is left by `*` comes after what is taken from it.
    let holds = |other: &&str| !name.ends_with('*') && within(own, other);
    let overlaps = named.iter().any(|other| within(other, own) || holds(other));
    let why = if stars > 1 || (stars == 1 && !name.ends_with('*')) {
        "A locality has one * at most, at its end."
    } else if parts.iter().any(|part| part.is_empty()) {
        "A locality has no empty part: it is region/zone/subzone."
    } else if overlaps {
        "A locality before it holds this one, or is held by it."
    } else {
        named.insert(own);
        return;
    };
    about.error(code::BAD_VALUE, (path, at), why, "Write it as us-west/zone1/*.");
}
