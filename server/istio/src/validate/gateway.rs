//! `Gateway`: TLS where the protocol is TLS, and nowhere else.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go`.

use super::{About, place};
use crate::finding::code;

pub(super) fn check(about: &mut About<'_>) {
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
