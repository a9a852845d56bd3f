//! `Gateway`: TLS where the protocol is TLS and nowhere else, each port's name once, certificates
//! from one place, and whether there is a workload that it is for.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go`.

use super::{About, has, place};
use crate::{compile, finding::code, known::Selected, schema::checks::UNIX, value, yaml::Node};
use contract::service::GATEWAY;
use std::collections::BTreeMap;

pub(super) fn check(about: &mut About<'_>) {
    name(about);
    workload(about);
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
        let path = format!("spec.servers[{index}]");
        number(about, server, &path);
        protocol(about, server, &path);
        certificates(about, server, &format!("{path}.tls"));
    }
}

/// A gateway has the name of a label (`ValidateGateway`), for that of others may name it.
fn name(about: &mut About<'_>) {
    let name = about.resource.key().name.as_str();
    if name.contains('.') {
        let metadata = about.resource.root().get("metadata");
        let at = metadata.map_or(about.resource.root().at, |metadata| place(metadata, "name"));
        about.error(
            code::BAD_VALUE,
            ("metadata.name", at),
            format!("The name of a Gateway has no points in it, and {name} does."),
            "Write it with hyphens.",
        );
    }
}

/// Labels by which a gateway selects Istio's own ingress, which the edge stands for.
const INGRESS: [(&str, &str); 3] =
    [("istio", "ingressgateway"), ("istio", "ingress"), ("app", "istio-ingressgateway")];

/// The edge is taken for the workload whatever is selected; a real Istio looks for one.
fn workload(about: &mut About<'_>) {
    let spec = about.spec();
    let labels = compile::labels(spec.get("selector"));
    let of_ingress = |(name, value): &(String, String)| INGRESS.contains(&(&**name, &**value));
    let gateway = about.context.known_service(GATEWAY);
    let selected = gateway.is_some_and(|gateway| gateway.selected(&labels) != Selected::None);
    if labels.is_empty() || selected || labels.iter().all(of_ingress) {
        return;
    }
    about.warn(
        code::GATEWAY_WORKLOAD,
        ("spec.selector", place(spec, "selector")),
        "No gateway has these labels: with a real Istio nothing would listen. Here it is the edge.",
        "Use istio: ingressgateway.",
    );
}

/// A server has a port, unless it is bound to a Unix domain socket, which has none
/// (`validateServerPort`, `validateServerBind`).
fn number(about: &mut About<'_>, server: &Node, path: &str) {
    let Some(port) = server.get("port") else { return };
    let number = compile::number::<u16>(port, "number").unwrap_or(0);
    let bind = server.str("bind");
    let at = (format!("{path}.port.number"), place(port, "number"));
    match (bind.is_some_and(|bind| bind.starts_with(UNIX)), number) {
        (true, 0) | (false, 1..) => {}
        (true, _) => {
            let message = "A Unix domain socket has no port.";
            about.error(code::CONFLICT, at, message, "Write 0, or bind it to an address.");
        }
        (false, 0) => {
            let message = "Port needs the field number, from 1 to 65535.";
            about.error(code::MISSING_FIELD, at, message, "Add it.");
        }
    }
}

/// What a server of this protocol may say of TLS (`validateServer`).
fn protocol(about: &mut About<'_>, server: &Node, path: &str) {
    let written = server.path(&["port", "protocol"]).and_then(Node::as_str);
    let Some(protocol) = written.and_then(value::protocol) else { return };
    let is_http = matches!(protocol, "HTTP" | "HTTP2" | "HTTP_PROXY" | "GRPC" | "GRPC-WEB");
    match (protocol, server.get("tls")) {
        ("HTTPS" | "TLS", None) => about.error(
            code::MISSING_FIELD,
            (path, server.at),
            format!("A server of protocol {protocol} needs tls, which Istio asks for."),
            "Add tls, such as {mode: SIMPLE, credentialName: ...}.",
        ),
        ("HTTPS" | "TLS", _) | (_, None) => {}
        (_, Some(tls)) => {
            if is_http && tls.get("httpsRedirect").and_then(Node::as_bool) == Some(true) {
                about.warn(
                    code::ALL_REDIRECTED,
                    (format!("{path}.tls.httpsRedirect"), place(tls, "httpsRedirect")),
                    "Requests by plain HTTP, which are all that come here, are answered 301.",
                    "Leave it out behind a proxy that ends TLS: what it sends on is plain HTTP.",
                );
            }
            let own = |entry: &crate::yaml::Entry| entry.key != "httpsRedirect";
            if !is_http || tls.entries().iter().any(own) {
                about.error(
                    code::CONFLICT,
                    (format!("{path}.tls"), place(server, "tls")),
                    "A server of plain HTTP has tls only to redirect (httpsRedirect), and one \
                     without HTTP has none.",
                    "Make the protocol HTTPS, or remove the other fields of tls.",
                );
            }
        }
    }
}

/// Where certificates come from, in the order of Istio's reference.
const SOURCES: [&str; 4] =
    ["serverCertificate", "credentialName", "credentialNames", "tlsCertificates"];

/// `validateTLSOptions`: each mode with its certificates, from one place.
fn certificates(about: &mut About<'_>, server: &Node, path: &str) {
    let Some(tls) = server.get("tls") else { return };
    let mode = tls.str("mode").unwrap_or("PASSTHROUGH");
    let at = |key: &str| (format!("{path}.{key}"), place(tls, key));
    let sources: Vec<_> = SOURCES.into_iter().filter(|key| has(tls, key)).collect();
    if mode == "ISTIO_MUTUAL" {
        let own = sources.iter().copied().chain(["privateKey", "caCertificates"]);
        for key in own.filter(|key| has(tls, key)) {
            let message = format!("ISTIO_MUTUAL has the certificates of the mesh, and no {key}.");
            about.error(code::CONFLICT, at(key), message, "Remove it, or use MUTUAL.");
        }
        return;
    }
    if let [first, second, ..] = sources[..] {
        let message = format!("Certificates come from {first} and from {second}.");
        about.error(code::CONFLICT, at(second), message, "Keep one of them.");
        return;
    }
    let is_mutual = matches!(mode, "MUTUAL" | "OPTIONAL_MUTUAL");
    let secret = sources.iter().any(|key| key.starts_with("credentialName"));
    if has(tls, "caCrl") && (secret || mode == "SIMPLE") {
        let message = "A list of revoked certificates stands beside the certificates of clients.";
        about.error(code::CONFLICT, at("caCrl"), message, "Remove it, or put it into the secret.");
    }
    if secret || !(is_mutual || mode == "SIMPLE") {
        return;
    }
    let missing = |about: &mut About<'_>, key: &str| {
        let message = format!("TLS of mode {mode} needs {key}, or a secret with it.");
        about.error(code::MISSING_FIELD, at("mode"), message, "Add it, or credentialName.");
    };
    if is_mutual && !has(tls, "caCertificates") {
        missing(about, "caCertificates");
    }
    let listed = tls.list("tlsCertificates");
    let of = if listed.is_empty() { std::slice::from_ref(tls) } else { listed };
    for key in ["serverCertificate", "privateKey"] {
        if of.iter().any(|certificate| !has(certificate, key)) {
            missing(about, key);
        }
    }
}
