//! `Gateway`: TLS where the protocol is TLS and nowhere else, and each port's name once.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go`.

use super::{About, place};
use crate::finding::code;
use std::collections::BTreeMap;

pub(super) fn check(about: &mut About<'_>) {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, server) in about.spec().list("servers").iter().enumerate() {
        let Some(port) = server.get("port") else { continue };
        let Some(name) = port.str("name") else { continue };
        let first = *names.entry(name).or_insert(index);
        if first != index {
            about.error(
                code::CONFLICT,
                (format!("spec.servers[{index}].port.name"), place(port, "name")),
                format!("The port of servers[{first}] has the name {name} already."),
                "Give each port its own name.",
            );
        }
    }
    for (index, server) in about.spec().list("servers").iter().enumerate() {
        let protocol = server.path(&["port", "protocol"]).and_then(|node| node.as_str());
        let path = format!("spec.servers[{index}]");
        match (protocol, server.get("tls")) {
            (Some(protocol @ ("HTTPS" | "TLS")), None) => about.error(
                code::MISSING_FIELD,
                (path, server.at),
                format!("A server of protocol {protocol} needs tls, which Istio asks for."),
                "Add tls, such as {mode: SIMPLE, credentialName: ...}.",
            ),
            (Some("HTTP" | "HTTP2" | "GRPC"), Some(tls))
                if tls.entries().iter().any(|entry| entry.key != "httpsRedirect") =>
            {
                about.error(
                    code::CONFLICT,
                    (format!("{path}.tls"), place(server, "tls")),
                    "A server of plain HTTP has tls only to redirect (httpsRedirect).",
                    "Make the protocol HTTPS, or remove the other fields of tls.",
                );
            }
            _ => {}
        }
    }
}
