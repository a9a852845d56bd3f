//! Rules that look at claims of a token in the place of headers (`@request.auth.claims.group`).
//!
//! Only a gateway knows a token before it routes, so Istio takes them there alone
//! (`ValidateVirtualService` in `pkg/config/validation/validation.go`).

use super::{About, security};
use crate::{finding::code, value, yaml::Node};
use contract::service::GATEWAY;

pub(super) fn check(about: &mut About<'_>, route: &Node, path: &str) {
    let gateways = about.spec().list("gateways");
    let at_gateway = !gateways.is_empty() && about.spec().texts("gateways").all(|g| g != "mesh");
    for (index, node) in route.list("match").iter().enumerate() {
        for key in ["headers", "withoutHeaders"] {
            for entry in node.get(key).map_or(&[][..], Node::entries) {
                if value::routing_claim(&entry.key).is_none() {
                    continue;
                }
                let place = (format!("{path}.match[{index}].{key}[{}]", entry.key), entry.at);
                if !at_gateway {
                    about.error(
                        code::CONFLICT,
                        place,
                        "Only a gateway routes by claims of a token; these rules hold for calls \
                         between services.",
                        "Bind the rules to a gateway, and to it alone, with gateways.",
                    );
                } else if !security::checks_tokens(about.context, GATEWAY) {
                    about.warn(
                        code::TOKEN_UNCHECKED,
                        place,
                        "No RequestAuthentication checks tokens for the gateway: no request has a \
                         claim.",
                        "Apply a RequestAuthentication for app: gateway, with the issuer's keys.",
                    );
                }
            }
        }
    }
}
