//! Rules at a gateway that no request can reach, because the edge keeps their paths to itself.
//!
//! Under its machine's own names the edge serves the dashboard, and passes only the public API on.
//! A host that a `VirtualService` or its `Gateway` names is the gateway's with every path; `*`
//! names none.

use super::About;
use crate::{
    compile,
    finding::code,
    policy::{Match, StringMatch},
};
use std::net::IpAddr;

/// What the edge passes on under its own names, besides all below [`API`].
const PASSED_ON: [&str; 3] = ["/api", "/health", "/readyz"];
const API: &str = "/api/";

pub(super) fn check(about: &mut About<'_>) {
    let (_, listeners) = compile::gateways(about.context, about.resource);
    let mut let_in = listeners.iter().flat_map(|listener| &listener.hosts);
    let mut hosts = compile::hosts(about.resource).peekable();
    let is_delegate = hosts.peek().is_none();
    let named = hosts.any(|host| !is_own(&host)) || let_in.any(|host| !is_own(host));
    if is_delegate || named || compile::in_mesh(about.spec()) {
        return;
    }
    for (index, route) in about.spec().list("http").iter().enumerate() {
        let matches = compile::matches(about.context, about.resource, route);
        if matches.is_empty() || matches.iter().any(is_passed_on) {
            continue;
        }
        about.idle(
            code::NOT_EXPOSED,
            (format!("spec.http[{index}]"), route.at),
            "No request reaches this rule: under hosts that nobody names (*) and this machine's \
             own names, the edge passes on only /api/, /health and /readyz.",
            "Name a host in hosts, such as shop.example.com, and send requests to it.",
        );
    }
}

/// A name under which the edge serves its own pages.
fn is_own(host: &str) -> bool {
    host == "*" || host == "localhost" || host.parse::<IpAddr>().is_ok()
}

/// Whether some path that the edge passes on matches.
fn is_passed_on(found: &Match) -> bool {
    let text = |text: &str| match found.ignore_uri_case {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    match &found.uri {
        Some(StringMatch::Exact(uri)) => {
            let uri = text(uri);
            uri.starts_with(API) || PASSED_ON.contains(&&*uri)
        }
        Some(StringMatch::Prefix(uri)) => {
            let uri = text(uri);
            uri.starts_with(API) || [API].iter().chain(&PASSED_ON).any(|p| p.starts_with(&*uri))
        }
        _ => true,
    }
}
