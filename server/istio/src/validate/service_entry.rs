//! `ServiceEntry`: addresses that are reached, those that are not, and what Istio refuses.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go`.

use super::{About, place};
use crate::{compile, finding::code, schema::checks, value, yaml::Node};
use std::{collections::BTreeMap, net::IpAddr};

pub(super) fn check(about: &mut About<'_>) {
    ports(about);
    resolution(about);
    several_hosts(about);
    blocks(about);
    let context = about.context;
    let hosts: Vec<_> = compile::hosts(about.resource).collect();
    let mut idle = 0;
    for (index, host) in hosts.iter().enumerate() {
        let place = (format!("spec.hosts[{index}]"), host_place(about.spec(), index));
        if host.starts_with('*') {
            idle += 1;
            let message = "Services are found by their whole name here: a pattern is no service.";
            let advice = "Write each host out.";
            about.warn(code::NOT_REACHED, place, message, advice);
            continue;
        }
        let known = context.service(host).and_then(|service| context.known_service(service));
        match known {
            // The names of the built-in provider stand for it, whatever their addresses.
            Some(known) if known.is_external() => {}
            Some(known) => {
                idle += 1;
                let message = format!(
                    "{host} is the service {} of the cluster: calls to it go to its own \
                     instances, whatever an entry says.",
                    known.name
                );
                let advice = "Use a host that no service has.";
                about.warn(code::NOT_REACHED, place, message, advice);
            }
            None => reached(about, host, index),
        }
    }
    labels(about, &hosts);
    if !hosts.is_empty() && idle == hosts.len() {
        about.silence("spec", "Calls to none of its hosts come here");
    }
}

/// Labels of endpoints that are not called.
fn labels(about: &mut About<'_>, hosts: &[String]) {
    let (context, spec) = (about.context, about.spec());
    let foreign = |host: &&String| {
        let known = context.service(host).and_then(|service| context.known_service(service));
        known.is_none() && !host.starts_with('*')
    };
    let called = hosts.iter().any(|host| foreign(&host));
    for (index, endpoint) in spec.list("endpoints").iter().enumerate() {
        let address = endpoint.str("address").unwrap_or_default().parse::<IpAddr>();
        let local = endpoint.str("address") == Some("localhost")
            || address.is_ok_and(|address| address.is_loopback());
        if !(called && local) {
            let why = "No instance is made of this endpoint, which is not called";
            about.silence(format!("spec.endpoints[{index}].labels"), why);
        }
    }
}

fn host_place(spec: &Node, index: usize) -> crate::yaml::Position {
    spec.list("hosts").get(index).map_or(place(spec, "hosts"), |node| node.at)
}

/// A host outside of the cluster needs an address on this machine.
fn reached(about: &mut About<'_>, host: &str, index: usize) {
    let spec = about.spec();
    if compile::addresses(spec, host).next().is_some() {
        return;
    }
    let (path, at) = match spec.get("endpoints").is_some() {
        true => ("spec.endpoints".to_owned(), place(spec, "endpoints")),
        false => (format!("spec.hosts[{index}]"), place(spec, "hosts")),
    };
    about.warn(
        code::NOT_REACHED,
        (path, at),
        format!(
            "{host} has no address on this machine, and no other machine is reached: calls to it \
             find no service."
        ),
        "Give it an endpoint with the address 127.0.0.1, and the port it listens on.",
    );
}

/// Names and numbers of its ports are each one port.
fn ports(about: &mut About<'_>) {
    let ports = about.spec().list("ports");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, port) in ports.iter().enumerate() {
        let name = port.str("name").map(|name| ("name", format!("the name {name}")));
        let number = compile::number::<u16>(port, "number");
        let number = number.map(|number| ("number", format!("the number {number}")));
        for (key, what) in name.into_iter().chain(number) {
            let first = *seen.entry(what.clone()).or_insert(index);
            if first != index {
                about.error(
                    code::CONFLICT,
                    (format!("spec.ports[{index}].{key}"), place(port, key)),
                    format!("The port ports[{first}] has {what} already."),
                    "Give each port its own.",
                );
            }
        }
    }
}

/// Where the addresses come from, and whether there are some.
fn resolution(about: &mut About<'_>) {
    let spec = about.spec();
    let resolution = spec.str("resolution").unwrap_or("NONE");
    let endpoints = spec.list("endpoints");
    let has_pattern = spec.texts("hosts").any(|host| host.starts_with('*'));
    let at = ("spec.resolution", place(spec, "resolution"));
    match resolution {
        "NONE" if !endpoints.is_empty() => about.error(
            code::CONFLICT,
            ("spec.endpoints", place(spec, "endpoints")),
            "With resolution NONE, which is what holds if none is written, there are no endpoints.",
            "Write resolution: STATIC for addresses, or DNS for names.",
        ),
        "DNS" | "DNS_ROUND_ROBIN" if endpoints.is_empty() && has_pattern => {
            let message = format!("With resolution {resolution} a pattern has no name to look up.");
            about.error(code::CONFLICT, at, message, "Add endpoints, or write each host out.");
        }
        "DNS_ROUND_ROBIN" if endpoints.len() > 1 => {
            let message = "With resolution DNS_ROUND_ROBIN there is at most one endpoint.";
            about.error(code::CONFLICT, at, message, "Keep one, or use DNS.");
        }
        _ => {}
    }
    if resolution != "NONE" {
        endpoints.iter().enumerate().for_each(|(at, endpoint)| addressed(about, endpoint, at));
    }
    if spec.get("workloadSelector").is_some() && !endpoints.is_empty() {
        about.error(
            code::CONFLICT,
            ("spec.workloadSelector", place(spec, "workloadSelector")),
            "A ServiceEntry has endpoints or selects its workloads, not both.",
            "Keep one of them.",
        );
    }
}

/// Where an endpoint is, and at which of the entry's ports (`validateWorkloadEntry`).
fn addressed(about: &mut About<'_>, endpoint: &Node, index: usize) {
    let spec = about.spec();
    let is_static = spec.str("resolution") == Some("STATIC");
    let path = format!("spec.endpoints[{index}]");
    let at = (format!("{path}.address"), place(endpoint, "address"));
    let address = endpoint.str("address").unwrap_or_default();
    let quoted = crate::yaml::shorten(address);
    let socket = address.strip_prefix("unix://").filter(|_| is_static);
    let is_path =
        |path: &str| path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'));
    if address.is_empty() {
        if !(is_static && endpoint.str("network").is_some_and(|network| !network.is_empty())) {
            let message = "An endpoint needs an address.";
            about.error(code::MISSING_FIELD, at, message, "Add address.");
        }
    } else if let Some(socket) = socket {
        if !is_path(socket) {
            let message = format!("\"{quoted}\" is no whole path of a socket.");
            about.error(code::BAD_VALUE, at, message, "Begin with unix:///.");
        } else if endpoint.get("ports").is_some() || spec.list("ports").len() != 1 {
            let message = "A socket has no ports: the entry has one, and the endpoint none.";
            about.error(code::CONFLICT, at, message, "Keep one port, and remove the endpoint's.");
        }
    } else if is_static && address.parse::<IpAddr>().is_err() {
        let message = format!("\"{quoted}\" is a name; STATIC takes addresses.");
        let advice = "Write an address such as 127.0.0.1, or use resolution: DNS.";
        about.error(code::BAD_VALUE, at, message, advice);
    } else if !is_static && checks::name_or_address(address).is_err() {
        let message = format!("\"{quoted}\" is neither a name nor an address.");
        about.error(code::BAD_VALUE, at, message, "Write a domain or an address.");
    }
    for entry in endpoint.get("ports").map_or(&[][..], Node::entries) {
        let of_entry = |port: &Node| port.str("name") == Some(&*entry.key);
        if !spec.list("ports").iter().any(of_entry) {
            about.error(
                code::BAD_VALUE,
                (format!("{path}.ports[{}]", entry.key), entry.at),
                format!("The entry has no port named {}.", crate::yaml::shorten(&entry.key)),
                "Use the name of one of its ports.",
            );
        }
    }
}

/// Hosts are told apart by what HTTP and TLS say; other protocols say nothing.
fn several_hosts(about: &mut About<'_>) {
    let spec = about.spec();
    if spec.list("hosts").len() < 2 || spec.str("resolution").unwrap_or("NONE") == "NONE" {
        return;
    }
    const SPOKEN: [&str; 7] = ["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB", "HTTPS", "TLS"];
    for (index, port) in spec.list("ports").iter().enumerate() {
        let protocol = port.str("protocol").and_then(value::protocol);
        if !protocol.is_some_and(|protocol| SPOKEN.contains(&protocol)) {
            about.error(
                code::CONFLICT,
                (format!("spec.ports[{index}].protocol"), place(port, "protocol")),
                "Several hosts share this port, and without HTTP or TLS they cannot be told apart.",
                "Write protocol: HTTP, or an entry for each host.",
            );
        }
    }
}

/// Networks among the addresses are for traffic that is passed on as it is.
fn blocks(about: &mut About<'_>) {
    let spec = about.spec();
    let resolution = spec.str("resolution").unwrap_or("NONE");
    let network = spec.texts("addresses").any(|address| address.contains('/'));
    if network && !matches!(resolution, "NONE" | "STATIC") {
        about.error(
            code::CONFLICT,
            ("spec.addresses", place(spec, "addresses")),
            format!("With resolution {resolution} an address is one, and no network."),
            "Write single addresses, or use resolution: STATIC.",
        );
    }
}
