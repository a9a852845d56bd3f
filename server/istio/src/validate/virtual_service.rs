//! `VirtualService`: hosts, gateways, destinations, and what timeouts, retries and faults make
//! together.
//!
//! Istio's own rules are in `pkg/config/validation/virtualservice.go`; Kiali's in its `checkers`.

use super::{
    About, Findings, authority, claims, delegate, envoy, extension, no_host, own_answer, place,
    reach, shut,
};
use crate::{
    compile::{self, Context, FoundGateway, PSEUDO_HEADERS},
    finding::code,
    policy::short,
    resource::Resource,
    schema::Kind,
    value::RETRY_ON_IGNORED,
    yaml::{Node, Position},
};
use contract::istio::Severity;
use std::{collections::BTreeMap, time::Duration};

/// More retries than this are hardly meant.
const RETRIES_USUAL_MAX: u32 = 25;
/// Most rules of one resource; every rule is compared with those before it.
const RULES_MAX: usize = 500;
/// Most matches of all rules of one resource, for the same reason.
const MATCHES_MAX: usize = 2_000;

pub(super) fn check(about: &mut About<'_>) {
    let spec = about.spec();
    let http = spec.list("http");
    let matches: usize = http.iter().map(|route| route.list("match").len()).sum();
    if http.len() > RULES_MAX || matches > MATCHES_MAX {
        return about.error(
            code::BOUND,
            ("spec.http", place(spec, "http")),
            format!("{} rules with {matches} matches are more than is taken.", http.len()),
            format!("Use at most {RULES_MAX} rules with {MATCHES_MAX} matches."),
        );
    }
    hosts(about);
    gives_way(about);
    gateways(about);
    if http.is_empty() {
        about.warn(
            code::ROUTE_PROTOCOL,
            ("spec", spec.at),
            "There is no http rule, and TCP and TLS routes have no effect here.",
            "Add http rules.",
        );
    }
    for (index, route) in http.iter().enumerate() {
        let path = format!("spec.http[{index}]");
        destinations(about, route, &path);
        weights(about, route, &path);
        retries(about, route, &path);
        fault(about, route, &path);
        mirrors(about, route, &path);
        own_answer::check(about, route, &path);
        superseded(about, route, &path);
        delegate::check(about, (route, index));
        headers(about, route, &path);
        authority::check(about, route, &path);
        envoy::check(about, route, &path);
        claims::check(about, route, &path);
        conditions(about, route, &path);
        extension::rate_limit(about, index, route, &path);
    }
    names(about);
    if let Some(policy) = spec.get("trafficPolicy") {
        extension::traffic_policy(about);
        let context = about.context;
        let services = compile::hosts(about.resource).filter_map(|host| context.service(&host));
        let services: Vec<String> = services.map(ToString::to_string).collect();
        let of = super::destination_rule::Of { services: &services, labels: &[], budget: false };
        super::destination_rule::policy(about, policy, "spec.trafficPolicy", &of);
    }
    reach::unreachable(about);
    shut::check(about);
}

fn hosts(about: &mut About<'_>) {
    let spec = about.spec();
    let hosts: Vec<_> = compile::hosts(about.resource).collect();
    let at = place(spec, "hosts");
    if hosts.is_empty() {
        return delegate::without_hosts(about);
    }
    for (index, host) in hosts.iter().enumerate() {
        let item = spec.list("hosts").get(index);
        let place = (format!("spec.hosts[{index}]"), item.map_or(at, |node| node.at));
        let written = item.and_then(Node::as_str).unwrap_or(host);
        if let Some(other) = hosts.iter().take(index).find(|other| compile::overlap(other, host)) {
            let message = match other == host {
                true => format!("The host {host} stands twice in this resource."),
                false => format!("The hosts {other} and {host} overlap, which Istio refuses."),
            };
            about.error(code::CONFLICT, place, message, "Keep one of them.");
        } else if host == "*" && compile::in_mesh(spec) {
            about.error(
                code::CONFLICT,
                place,
                "The host * would take every call between services, which Istio refuses.",
                "Name the services, or bind the rule to a gateway with gateways.",
            );
        } else if compile::in_mesh(spec) && !host.starts_with('*') {
            mesh_host(about, written, place);
        }
    }
    let nobody = |host: &String| !host.starts_with('*') && about.context.service(host).is_none();
    let only_mesh = spec.texts("gateways").all(|gateway| gateway == "mesh");
    if only_mesh && hosts.iter().all(nobody) {
        about.silence("spec", "No service calls any of its hosts, so these rules take nothing");
    }
}

/// A host of calls between services should be one.
fn mesh_host(about: &mut About<'_>, host: &str, place: (String, Position)) {
    if about.context.named(about.resource, host).is_none() {
        let (message, advice) = no_host(
            about,
            host,
            "Name a service, add a ServiceEntry, or bind the rule to a gateway.",
        );
        let message = format!("{message} No service calls it, so these rules take nothing.");
        about.warn(code::ROUTE_HOST, place, message, advice);
        return;
    }
    let entry = about
        .context
        .of(Kind::ServiceEntry)
        .find(|entry| compile::hosts(entry).any(|named| named.eq_ignore_ascii_case(host)));
    let ports = entry.map_or(&[][..], |entry| entry.spec().list("ports"));
    if !ports.is_empty() && ports.iter().all(compile::is_tls) {
        about.warn(
            code::HTTPS_HOST,
            place,
            format!(
                "The service entry of {host} has only TLS ports: Istio would see encrypted bytes \
                 and none of the http rules would take effect. Here they do."
            ),
            "For Istio, add a port 80 with protocol HTTP and targetPort 443, and TLS origination \
             in a DestinationRule.",
        );
    }
}

fn gateways(about: &mut About<'_>) {
    let spec = about.spec();
    for (index, node) in spec.list("gateways").iter().enumerate() {
        let Some(name) = node.as_str().filter(|name| *name != "mesh") else { continue };
        let place = (format!("spec.gateways[{index}]"), node.at);
        match compile::find_gateway(about.context, about.resource, name) {
            None => no_gateway(about, name, place, "these rules"),
            Some(FoundGateway::Resource(gateway)) if !exposes(about.resource, gateway) => {
                about.warn(
                    code::NOT_EXPOSED,
                    place,
                    format!("The gateway {name} lets none of these hosts in."),
                    "Add the host to the hosts of one of its servers.",
                );
            }
            Some(_) => {}
        }
    }
    let (built_in, listeners) = compile::gateways(about.context, about.resource);
    let is_root = compile::hosts(about.resource).next().is_some();
    if is_root && !built_in && listeners.is_empty() && !compile::in_mesh(spec) {
        about.silence("spec", "No gateway lets its hosts in, so nothing comes to these rules");
    }
}

fn no_gateway(about: &mut About<'_>, name: &str, place: (String, Position), to: &str) {
    let names = about.context.of(Kind::Gateway).map(|gateway| gateway.key().name.as_str());
    let names = names.chain(about.context.known.gateways.iter().map(AsRef::as_ref));
    let advice = match crate::value::closest(name, names) {
        Some(meant) => format!("Did you mean {meant}?"),
        None => "Apply the Gateway as well.".to_owned(),
    };
    let message = format!("No gateway named {name}. Nothing comes in through it to {to}.");
    about.warn(code::ROUTE_GATEWAY, place, message, advice);
}

/// The gateways and the ports of each match.
fn conditions(about: &mut About<'_>, route: &Node, path: &str) {
    for (index, node) in route.list("match").iter().enumerate() {
        let path = format!("{path}.match[{index}]");
        for (index, gateway) in node.list("gateways").iter().enumerate() {
            let Some(name) = gateway.as_str().filter(|name| *name != "mesh") else { continue };
            if compile::find_gateway(about.context, about.resource, name).is_none() {
                let place = (format!("{path}.gateways[{index}]"), gateway.at);
                no_gateway(about, name, place, "this match");
            }
        }
        if let Some(port) = compile::number::<u16>(node, "port") {
            match_port(about, port, (format!("{path}.port"), place(node, "port")));
        }
    }
}

/// A match of a port at which neither a service of its hosts nor a gateway listens takes nothing.
fn match_port(about: &mut About<'_>, port: u16, place: (String, Position)) {
    let (context, spec) = (about.context, about.spec());
    let mut ports: Vec<u16> = Vec::new();
    for host in compile::hosts(about.resource) {
        match context.service(&host) {
            Some(service) => ports.extend(context.ports_of(service)),
            // A pattern may be any service; whose a name is that nobody has, is said of it.
            None if host.starts_with('*') && compile::in_mesh(spec) => return,
            None => {}
        }
    }
    for name in spec.texts("gateways").filter(|name| *name != "mesh") {
        match compile::find_gateway(context, about.resource, name) {
            Some(FoundGateway::Resource(gateway)) => {
                let servers = gateway.spec().list("servers").iter();
                let server_ports = servers.filter_map(|server| server.get("port"));
                ports
                    .extend(server_ports.filter_map(|port| compile::number::<u16>(port, "number")));
            }
            // It listens where the command line says.
            Some(FoundGateway::BuiltIn) => return,
            None => {}
        }
    }
    ports.sort_unstable();
    ports.dedup();
    // A delegate has no hosts of its own.
    if ports.is_empty() || ports.contains(&port) {
        return;
    }
    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
    about.warn(
        code::ROUTE_PORT,
        place,
        format!("Neither a service of these hosts nor a gateway of these rules has port {port}."),
        format!("Use {}, or leave the port out.", ports.join(" or ")),
    );
}

fn exposes(resource: &Resource, gateway: &Resource) -> bool {
    let mut patterns = gateway.spec().list("servers").iter().flat_map(|s| s.texts("hosts"));
    patterns.any(|pattern| {
        let pattern = compile::host_for(gateway, pattern, resource);
        pattern.is_some_and(|pattern| {
            compile::hosts(resource).any(|host| compile::overlap(&pattern, &host))
        })
    })
}

fn destinations(about: &mut About<'_>, route: &Node, path: &str) {
    for (where_, node) in places_of_destinations(route, path) {
        let Some(host) = node.str("host") else { continue };
        let Some(service) = about.context.named(about.resource, host).cloned() else {
            let (message, advice) =
                no_host(about, host, "Name a service, or add a ServiceEntry for it.");
            let message = format!("{message} Requests of this rule are answered 503.");
            about.warn(
                code::ROUTE_HOST,
                (format!("{where_}.host"), place(node, "host")),
                message,
                advice,
            );
            continue;
        };
        if let Some(port) = compile::missing_port(about.context, about.resource, node) {
            let ports = about.context.ports_of(&service);
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            about.warn(
                code::ROUTE_PORT,
                (format!("{where_}.port"), place(node, "port")),
                format!(
                    "{host} does not listen at port {port}. Requests of this rule are answered 503."
                ),
                format!("Use {}, or leave the port out.", ports.join(" or ")),
            );
        }
        if let Some(subset) = node.str("subset") {
            let place = (format!("{where_}.subset"), place(node, "subset"));
            extension::subset(about, &service, host, subset, place);
        }
    }
}

/// Every destination of a rule with its path.
fn places_of_destinations<'a>(route: &'a Node, path: &str) -> Vec<(String, &'a Node)> {
    let of = |key: &str| {
        let items = route.list(key).iter().enumerate();
        let found = items.filter_map(|(index, node)| {
            Some((format!("{path}.{key}[{index}].destination"), node.get("destination")?))
        });
        found.collect::<Vec<_>>()
    };
    let mirror = route.get("mirror").map(|node| (format!("{path}.mirror"), node));
    of("route").into_iter().chain(mirror).chain(of("mirrors")).collect()
}

fn weights(about: &mut About<'_>, route: &Node, path: &str) {
    let destinations = route.list("route");
    let weight = |node: &Node| compile::number::<u32>(node, "weight");
    if let [single] = destinations {
        if weight(single).is_some_and(|weight| weight != 100) {
            about.idle(
                code::SINGLE_WEIGHT,
                (format!("{path}.route[0].weight"), place(single, "weight")),
                "The weight is without effect: a single destination gets every request.",
                "Remove it, or add the other destinations.",
            );
        }
        return;
    }
    let total: u64 = destinations.iter().filter_map(weight).map(u64::from).sum();
    if !destinations.is_empty() && total == 0 {
        about.error(
            code::CONFLICT,
            (format!("{path}.route"), place(route, "route")),
            "The weights of these destinations sum up to 0, so none could get a request.",
            "Give each destination a weight, such as 90 and 10.",
        );
    } else if total > u64::from(u32::MAX) {
        about.error(
            code::BAD_VALUE,
            (format!("{path}.route"), place(route, "route")),
            "The weights of these destinations sum up to more than 4294967295.",
            "Use smaller weights; only their proportions count.",
        );
    }
    let mut seen = BTreeMap::new();
    for (index, node) in destinations.iter().enumerate() {
        let Some(destination) = node.get("destination") else { continue };
        let full = destination.str("host").map(|host| about.resource.full_host(host));
        let host = full.map(|host| about.context.resolve(&host));
        let first = *seen.entry((host, destination.str("subset"))).or_insert(index);
        if first != index {
            about.warn(
                code::REPEATED_DESTINATION,
                (format!("{path}.route[{index}].destination"), destination.at),
                format!("This host and subset is the destination route[{first}] already."),
                "Put both weights into one.",
            );
        }
    }
}

fn retries(about: &mut About<'_>, route: &Node, path: &str) {
    let Some(node) = route.get("retries") else { return };
    // Where nothing else is named it is in force all the same: nothing is repeated.
    let tokens = node.str("retryOn").unwrap_or_default().split(',').map(str::trim);
    for token in tokens.filter(|token| RETRY_ON_IGNORED.contains(token)) {
        about.warn(
            code::RETRY_ON_NOTHING,
            (format!("{path}.retries.retryOn"), place(node, "retryOn")),
            format!("Nothing here can cause {token}: the token is kept and has no effect."),
            "Name what is to be repeated, such as 5xx or connect-failure.",
        );
    }
    let attempts: u32 = compile::number(node, "attempts").unwrap_or(0);
    let others = ["perTryTimeout", "retryOn", "retryRemoteLocalities", "backoff"];
    let at = place(route, "retries");
    if attempts == 0 && others.iter().any(|key| node.get(key).is_some()) {
        about.error(
            code::CONFLICT,
            (format!("{path}.retries"), at),
            "Retries are configured, but attempts is 0, which turns them off.",
            "Set attempts to 1 or more, or remove the other fields.",
        );
    }
    if attempts > RETRIES_USUAL_MAX {
        about.warn(
            code::RETRY_STORM,
            (format!("{path}.retries.attempts"), place(node, "attempts")),
            format!(
                "One request may become {}: retries multiply the load on what already fails.",
                u64::from(attempts) + 1
            ),
            format!("Set attempts to {RETRIES_USUAL_MAX} or fewer."),
        );
    }
    let timeout = compile::duration(route, "timeout").filter(|timeout| !timeout.is_zero());
    let per_try = compile::duration(node, "perTryTimeout");
    if let (Some(timeout), Some(per_try)) = (timeout, per_try) {
        timeouts(
            about,
            ((format!("{path}.timeout"), place(route, "timeout")), (path, node)),
            Tries { attempts, timeout, per_try },
        );
    }
}

struct Tries {
    attempts: u32,
    timeout: Duration,
    per_try: Duration,
}

fn timeouts(
    about: &mut About<'_>,
    (place, (path, retries)): ((String, Position), (&str, &Node)),
    tries: Tries,
) {
    let Tries { attempts, timeout, per_try } = tries;
    if per_try >= timeout {
        let at = self::place(retries, "perTryTimeout");
        about.idle(
            code::PER_TRY_TIMEOUT,
            (format!("{path}.retries.perTryTimeout"), at),
            format!("perTryTimeout {per_try:?} is not below timeout {timeout:?}: it is ignored."),
            "Make perTryTimeout smaller than timeout.",
        );
    } else if per_try.saturating_mul(attempts) > timeout {
        let fit = timeout.as_nanos().div_ceil(per_try.as_nanos().max(1));
        about.warn(
            code::TIMEOUT_BEFORE_RETRIES,
            place,
            format!(
                "timeout {timeout:?} is shorter than {attempts} x {per_try:?}: when tries run into \
                 their limit, at most {fit} of the {} tries begin.",
                attempts.saturating_add(1)
            ),
            "Raise timeout, or lower attempts or perTryTimeout.",
        );
    }
}

fn fault(about: &mut About<'_>, route: &Node, path: &str) {
    let Some(node) = route.get("fault") else { return };
    for kind in ["delay", "abort"] {
        let Some(fault) = node.get(kind) else { continue };
        let (does, write) = match kind {
            "delay" => (fault.get("fixedDelay").is_some(), "fixedDelay: 1s"),
            _ => (
                ["httpStatus", "grpcStatus"].iter().any(|key| fault.get(key).is_some()),
                "httpStatus: 503",
            ),
        };
        if !does {
            about.idle(
                code::FAULT_WITHOUT_TYPE,
                (format!("{path}.fault.{kind}"), place(node, kind)),
                format!("This {kind} does not say what it does to requests, so it does nothing."),
                format!("Add {write}, or remove it."),
            );
        } else if fault.get("percentage").is_none() && fault.get("percent").is_none() {
            about.idle(
                code::FAULT_WITHOUT_SHARE,
                (format!("{path}.fault.{kind}"), place(node, kind)),
                format!("This {kind} has no percentage, which means it hits no request."),
                "Add percentage: {value: 100} to hit every request.",
            );
        }
    }
    if route.get("retries").is_some() {
        about.warn(
            code::FAULT_WITH_RETRY,
            (format!("{path}.fault"), place(route, "fault")),
            "Fault and retries on one rule: Istio applies neither timeout nor retries to a rule \
             with a fault. Here they compose, so that retries can be seen to help.",
            "For the behaviour of Istio, turn on the Istio-faithful switch of this route.",
        );
    }
}

/// Rules of one name: what finds a rule by its name finds the first here, and all of them in Envoy.
fn names(about: &mut About<'_>) {
    let spec = about.spec();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, route) in spec.list("http").iter().enumerate() {
        let Some(name) = route.str("name").filter(|name| !name.is_empty()) else { continue };
        let before = *first.entry(name).or_insert(index);
        if before == index {
            continue;
        }
        let line = spec.list("http").get(before).map_or(spec.at, |rule| place(rule, "name")).line;
        about.warn(
            code::SAME_NAME,
            (format!("spec.http[{index}].name"), place(route, "name")),
            format!(
                "The rule http[{before}] on line {line} is named {name} too. Here this one is \
                 {name}#{}; for Istio an EnvoyFilter, a metric or a log with that name means both.",
                index + 1
            ),
            "Give each rule a name of its own.",
        );
    }
}

/// Fields of which another one beside them is read instead.
fn superseded(about: &mut About<'_>, route: &Node, path: &str) {
    let has = |key: &str| route.get(key).is_some();
    let shares = [("mirrorPercentage", false), ("mirrorPercent", has("mirrorPercentage"))];
    for (key, loses) in shares {
        if !has("mirror") {
            let why = match has("mirrors") {
                true => "It is of mirror; each of mirrors has its own percentage",
                false => "There is no mirror whose share it would be",
            };
            about.silence(format!("{path}.{key}"), why);
        } else if loses {
            about.silence(format!("{path}.{key}"), "mirrorPercentage is there too, and it wins");
        }
    }
    let delay = route.path(&["fault", "delay"]);
    if delay.is_some_and(|delay| delay.get("percentage").is_some()) {
        let path = format!("{path}.fault.delay.percent");
        about.silence(path, "percentage is there too, and it wins");
    }
}

fn mirrors(about: &mut About<'_>, route: &Node, path: &str) {
    let mirrors = places_of_destinations(route, path);
    for (where_, node) in mirrors.iter().filter(|(where_, _)| where_.contains(".mirror")) {
        let named = node.str("host").and_then(|host| about.context.named(about.resource, host));
        let service = named.cloned();
        let known = service.and_then(|service| about.context.known_service(&service));
        if let Some(known) = known.filter(|known| known.moves_money) {
            about.warn(
                code::MIRROR_WITH_EFFECT,
                (where_.clone(), node.at),
                format!(
                    "Mirrored requests to {} move money: each copy is a request like any other.",
                    known.name
                ),
                "Mirror reads only (match on method GET), or a subset that books nothing.",
            );
        }
    }
}

fn headers(about: &mut About<'_>, route: &Node, path: &str) {
    for (index, node) in route.list("match").iter().enumerate() {
        for entry in node.get("headers").map_or(&[][..], Node::entries) {
            if PSEUDO_HEADERS.contains(&entry.key.as_str()) {
                about.idle(
                    code::PSEUDO_HEADER,
                    (format!("{path}.match[{index}].headers[{}]", entry.key), entry.at),
                    format!("Istio ignores the header named {}.", entry.key),
                    format!("Write {} one level higher, beside headers.", entry.key),
                );
            }
        }
    }
}

/// What is built in gives way without a word, unless somebody changed it: a split that was set on
/// the page would end unnoticed.
fn gives_way(about: &mut About<'_>) {
    let (context, own) = (about.context, about.resource);
    if own.is_built_in() || !compile::is_seen(own) {
        return;
    }
    let built_in = context.of(Kind::VirtualService).filter(|rules| rules.is_built_in());
    let changed: Vec<_> =
        built_in.filter(|rules| context.known.built_in.iter().all(|of| **of != **rules)).collect();
    for (index, host) in compile::hosts(own).enumerate() {
        let Some(service) = context.service(&host) else { continue };
        let same = |rules: &&&Resource| {
            compile::hosts(rules).any(|host| context.service(&host) == Some(service))
        };
        if let Some(rules) = changed.iter().find(same) {
            let at = about.spec().list("hosts").get(index).map_or(about.spec().at, |node| node.at);
            about.warn(
                code::GIVES_WAY,
                (format!("spec.hosts[{index}]"), at),
                format!(
                    "{} is built in, was changed here, and gives way: what it says of {service} \
                     has no effect beside this resource.",
                    rules.key()
                ),
                "Take over its rules, such as the weights of its split, or change it instead.",
            );
        }
    }
}

/// One host, one `VirtualService`: Istio takes the rules of one of them and drops the other's.
pub(super) fn same_hosts(context: &Context<'_>, found: &mut Findings) {
    let mut by_host: BTreeMap<(String, String), &Resource> = BTreeMap::new();
    let mut by_service: BTreeMap<(String, String), (&Resource, String)> = BTreeMap::new();
    // What is built in gives way, so it is never in the way.
    for resource in context.of(Kind::VirtualService).filter(|rules| !rules.is_built_in()) {
        let spec = resource.spec();
        let mut gateways: Vec<&str> = spec.texts("gateways").collect();
        if gateways.is_empty() {
            gateways.push("mesh");
        }
        gateways.sort_unstable();
        gateways.dedup();
        for (index, host) in compile::hosts(resource).enumerate() {
            let at = spec.list("hosts").get(index).map_or(spec.at, |node| node.at);
            let spot = resource.spot(format!("spec.hosts[{index}]"), at);
            for gateway in &gateways {
                let canonical = canonical_host(&host);
                let same = by_host.entry((canonical, (*gateway).to_owned())).or_insert(resource);
                if same.key() != resource.key() {
                    let message = format!("{} has rules for {host} as well.", same.key());
                    let advice = "Put the rules into one, or let one delegate to the other.";
                    let code = code::VIRTUAL_SERVICE_MULTIMATCH;
                    // Told of both, so that whichever is applied is refused.
                    let other = same.spot("spec.hosts", place(same.spec(), "hosts"));
                    let back = format!("{} has rules for {host} as well.", resource.key());
                    found.said.push(spot.clone().says(Severity::Error, code, message, advice));
                    found.said.push(other.says(Severity::Error, code, back, advice));
                    continue;
                }
                let Some(service) = context.service(&host) else { continue };
                let key = (service.to_string(), (*gateway).to_owned());
                let (first, name) = by_service.entry(key).or_insert((resource, host.clone()));
                if first.key() != resource.key() && canonical_host(name) != canonical_host(&host) {
                    found.said.push(spot.clone().says(
                        Severity::Info,
                        code::ALIASES,
                        format!("{host} and {name} of {} are both {service}.", first.key()),
                        "The name a caller uses decides; use one name to have one set of rules.",
                    ));
                }
            }
        }
    }
}

/// A short name and its forms with namespace and domain are one host.
pub(super) fn canonical_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.starts_with('*') { host } else { short(&host).to_owned() }
}
