//! `DestinationRule`: hosts, subsets, and outlier detection that cannot work.
//!
//! A policy inside a `VirtualService`, an extension, is checked the same way.

use super::{About, Findings, kept, no_host, place, shadow};
use crate::{
    compile::{self, Context},
    finding::code,
    known::Selected,
    resource::{DEFAULT_NAMESPACE, Resource},
    schema::Kind,
    yaml::{Node, Position},
};
use contract::istio::Severity;
use std::collections::BTreeMap;

pub(super) fn check(about: &mut About<'_>) {
    let spec = about.spec();
    let services = host(about);
    if let Some(policy_node) = spec.get("trafficPolicy") {
        let of = Of { services: &services, labels: &[], budget: false };
        policy(about, policy_node, "spec.trafficPolicy", &of);
    }
    callers(about);
    shadow::check(about, &services);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    // Once for all subsets.
    let instances: Vec<_> = match spec.list("subsets") {
        [] => Vec::new(),
        _ => services.iter().filter_map(|name| about.context.instances_of(name)).collect(),
    };
    for (index, node) in spec.list("subsets").iter().enumerate() {
        let path = format!("spec.subsets[{index}]");
        let Some(name) = node.str("name") else { continue };
        let first = *names.entry(name).or_insert(index);
        if first != index {
            about.error(
                code::DESTINATION_RULE_MULTIMATCH,
                (format!("{path}.name"), place(node, "name")),
                format!("The subset {name} is defined in subsets[{first}] already."),
                "Keep one of them.",
            );
        }
        if let Some(policy_node) = node.get("trafficPolicy") {
            let labels = compile::labels(node.get("labels"));
            let budget = spec.path(&["trafficPolicy", "retryBudget"]).is_some();
            let of = Of { services: &services, labels: &labels, budget };
            policy(about, policy_node, &format!("{path}.trafficPolicy"), &of);
        }
        subset(about, (node, name, &path), &services, &instances);
    }
}

/// The services the host is.
fn host(about: &mut About<'_>) -> Vec<String> {
    let Some(written) = about.spec().str("host") else {
        return Vec::new();
    };
    let host = about.resource.full_host(written);
    let context = about.context;
    let services: Vec<String> = context
        .services()
        .iter()
        .filter(|service| context.names_of(service).any(|name| compile::overlap(&host, name)))
        .map(ToString::to_string)
        .collect();
    if services.is_empty() {
        let (message, advice) = no_host(
            about,
            written,
            "Name a service; a pattern such as *.default.svc.cluster.local matches every service.",
        );
        let message = match host.starts_with('*') {
            true => format!("No service has a name like {host}, so this rule has no effect."),
            false => format!("{message} This rule has no effect."),
        };
        let place = ("spec.host", place(about.spec(), "host"));
        about.silence("spec", &message);
        about.warn(code::DESTINATION_RULE_HOST, place, message, advice);
    }
    services
}

/// The callers the rule is for, if not for all.
fn callers(about: &mut About<'_>) {
    let callers = compile::callers(about.context, about.resource);
    if callers.is_empty() {
        return;
    }
    let place = ("spec.workloadSelector", place(about.spec(), "workloadSelector"));
    let namespace = &about.resource.key().namespace;
    if namespace != DEFAULT_NAMESPACE {
        let message = format!("A selector chooses workloads of its own namespace, {namespace}.");
        about.silence("spec", &message);
        return about.warn(code::SELECTOR, place, message, "Use the namespace default.");
    }
    let services = &about.context.known.services;
    if services.iter().all(|service| service.selected(&callers) == Selected::None) {
        let app = callers.iter().find(|(key, _)| key == "app").map(|(_, app)| app.as_str());
        let meant = app.and_then(|app| crate::value::closest(app, about.context.all_names()));
        let message = "No service has these labels, so the rule holds for none of their calls.";
        about.silence("spec", message);
        about.warn(
            code::SELECTOR,
            place,
            message,
            match meant {
                Some(name) => format!("Did you mean app: {name}?"),
                None => "Select the callers with app and the name of a service.".to_owned(),
            },
        );
    }
}

/// The labels of each instance of a service.
type Instances = Vec<BTreeMap<String, String>>;

/// One subset. `instances` are those of each of the services of which any are known.
fn subset(
    about: &mut About<'_>,
    (node, name, path): (&Node, &str, &str),
    services: &[String],
    instances: &[Instances],
) {
    let labels = compile::labels(node.get("labels"));
    if labels.is_empty() {
        about.warn(
            code::SUBSET_WITHOUT_LABELS,
            (path, node.at),
            format!("The subset {name} has no labels, so it is every instance."),
            "Add labels, such as version: v2.",
        );
    } else {
        let fits = |instance: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| instance.get(key) == Some(value))
        };
        if !instances.is_empty() && !instances.iter().flatten().any(fits) {
            let wanted: Vec<_> = labels.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            about.warn(
                code::SUBSET_LABELS,
                (format!("{path}.labels"), place(node, "labels")),
                format!(
                    "No instance of {} has the labels {}: requests to {name} are answered 503.",
                    services.join(", "),
                    wanted.join(", ")
                ),
                "Use labels that instances have, such as their version.",
            );
        }
    }
    if node.get("trafficPolicy").is_some() && !is_reached(about.context, services, name) {
        about.idle(
            code::SUBSET_UNREACHED,
            (format!("{path}.trafficPolicy"), place(node, "trafficPolicy")),
            format!("No route sends requests to the subset {name}, so its policy has no effect."),
            "Add a VirtualService with a route to the subset.",
        );
    }
}

/// Whether some rule, or some mirror, sends to the subset.
fn is_reached(context: &Context<'_>, services: &[String], subset: &str) -> bool {
    let rules = context
        .of(Kind::VirtualService)
        .flat_map(|from| from.spec().list("http").iter().map(move |route| (from, route)));
    let mut nodes = rules
        .flat_map(|(from, route)| compile::destination_nodes(route).map(move |node| (from, node)));
    nodes.any(|(from, node)| {
        let service = node.str("host").and_then(|host| context.named(from, host));
        node.str("subset") == Some(subset)
            && service.is_some_and(|service| services.iter().any(|name| **name == **service))
    })
}

/// What a policy is for: the instances with these labels of these services.
pub(super) struct Of<'a> {
    pub(super) services: &'a [String],
    pub(super) labels: &'a [(String, String)],
    /// A policy above it has a budget for retries.
    pub(super) budget: bool,
}

/// What a policy for some services can do: its outlier detection, and its settings for ports.
pub(super) fn policy(about: &mut About<'_>, node: &Node, path: &str, of: &Of<'_>) {
    if let Some(outlier) = node.get("outlierDetection") {
        let path = format!("{path}.outlierDetection");
        self::outlier(about, outlier, &path);
        health(about, outlier, &path, of);
    }
    if let Some(balancer) = node.get("loadBalancer") {
        let path = format!("{path}.loadBalancer");
        self::warmup(about, balancer, &path);
        ring(about, balancer, &path);
    }
    kept::check(about, node, path);
    let idle_timeout = |of: &str| node.path(&["connectionPool", of, "idleTimeout"]).is_some();
    if idle_timeout("http") && idle_timeout("tcp") {
        let path = format!("{path}.connectionPool.tcp.idleTimeout");
        about.silence(path, "http.idleTimeout is there too, and it wins");
    }
    let budget = of.budget || node.get("retryBudget").is_some();
    pool(about, node, path, budget);
    unconnected(about, path, of.services);
    let of_settings: Vec<Option<u16>> = node
        .list("portLevelSettings")
        .iter()
        .map(|settings| settings.get("port").and_then(|port| compile::number(port, "number")))
        .collect();
    replaced(about, &of_settings, path, of.services);
    for (index, settings) in node.list("portLevelSettings").iter().enumerate() {
        let path = format!("{path}.portLevelSettings[{index}]");
        let port = of_settings.get(index).copied().flatten();
        if let Some(port) = port {
            unheard(about, (&path, settings.at), port, of.services);
        }
        if port.is_some() && of_settings.iter().take(index).any(|other| *other == port) {
            about.silence(&path, "The first settings of this port are read, and these are not");
        }
        self::policy(about, settings, &path, &Of { budget, ..*of });
    }
}

/// Limits of a pool of which another one takes the place, or which nothing ever meets.
fn pool(about: &mut About<'_>, node: &Node, path: &str, budget: bool) {
    let path = format!("{path}.connectionPool.http");
    if budget {
        about.silence(format!("{path}.maxRetries"), "retryBudget limits the retries in its place");
    }
    let most = node.path(&["connectionPool", "tcp"]);
    let most = most.and_then(|tcp| compile::number::<u32>(tcp, "maxConnections"));
    if most.is_none_or(|most| most == 0) {
        let why = "Without tcp.maxConnections no request waits for a connection";
        about.silence(format!("{path}.http1MaxPendingRequests"), why);
    }
}

/// Times of connections, where all calls stay within the process.
fn unconnected(about: &mut About<'_>, path: &str, services: &[String]) {
    let connects = |service: &String| compile::is_outside(about.context, service);
    if services.is_empty() || services.iter().any(connects) {
        return;
    }
    for key in ["tcp.connectTimeout", "tcp.idleTimeout", "http.idleTimeout"] {
        let why = "Calls to services of the mesh stay in this process, without a connection";
        about.silence(format!("{path}.connectionPool.{key}"), why);
    }
}

/// The most points that a ring here has: more would cost memory and win nothing.
const RING_POINTS_MAX: u32 = 1 << 20;

fn ring(about: &mut About<'_>, balancer: &Node, path: &str) {
    let Some(hash) = balancer.get("consistentHash") else { return };
    let (of, key) = match hash.get("ringHash") {
        Some(ring) => (ring, "ringHash.minimumRingSize"),
        None => (hash, "minimumRingSize"),
    };
    let size = compile::number::<u32>(of, "minimumRingSize").unwrap_or_default();
    if size > RING_POINTS_MAX {
        about.warn(
            code::SMALLER_TABLE,
            (format!("{path}.consistentHash.{key}"), place(of, "minimumRingSize")),
            format!("A ring of {size} points is made with {RING_POINTS_MAX} here."),
            format!("Write at most {RING_POINTS_MAX}; the shares hardly differ beyond some 1,000."),
        );
    }
}

/// As in Envoy (`slow_start_config`), only round robin and least request warm an instance up.
fn warmup(about: &mut About<'_>, balancer: &Node, path: &str) {
    let other = match balancer.str("simple") {
        _ if balancer.get("consistentHash").is_some() => "consistentHash",
        Some("RANDOM") => "RANDOM",
        _ => return,
    };
    for key in ["warmup", "warmupDurationSecs"] {
        let why = format!("{other} chooses without regard to it; ROUND_ROBIN warms up");
        about.silence(format!("{path}.{key}"), &why);
    }
}

/// Settings for the one port of a service replace the policy around them, but for its budget.
fn replaced(about: &mut About<'_>, ports: &[Option<u16>], path: &str, services: &[String]) {
    let context = about.context;
    let has_own = |service: &String| {
        let port = context.port_of(service);
        port.is_some() && ports.contains(&port)
    };
    if services.is_empty() || !services.iter().all(has_own) {
        return;
    }
    for key in ["loadBalancer", "connectionPool", "outlierDetection"] {
        let why = "The settings of the service's port (portLevelSettings) replace it";
        about.silence(format!("{path}.{key}"), why);
    }
}

/// Detection is off while too few instances are left; with few instances one ejected is too many.
fn health(about: &mut About<'_>, node: &Node, path: &str, of: &Of<'_>) {
    let least = compile::number::<usize>(node, "minHealthPercent").unwrap_or(0);
    let place = (format!("{path}.minHealthPercent"), place(node, "minHealthPercent"));
    let count = |service: &String| {
        let known = about.context.known_service(service)?;
        let fits = |instance: &&BTreeMap<String, String>| {
            of.labels.iter().all(|(key, value)| instance.get(key) == Some(value))
        };
        Some(known.instances.iter().filter(fits).count()).filter(|count| *count > 0)
    };
    let counts = of.services.iter().filter_map(|service| Some((service, count(service)?)));
    let never: Vec<_> = counts.filter(|(_, count)| (count - 1) * 100 < least * count).collect();
    if let Some((service, count)) = never.first() {
        let left = (count - 1) * 100 / count;
        let advice = match left {
            0 => "With one instance, leave it out: then the one may be ejected.".to_owned(),
            _ => format!("Write {left} or less, or leave it out."),
        };
        about.warn(
            code::NEVER_EJECTS,
            place,
            format!(
                "Of the {count} instances of {service}, {left} % are left when one is ejected, \
                 which is less than minHealthPercent {least}: detection is off as soon as it has \
                 an effect."
            ),
            advice,
        );
    } else if least == 100 {
        about.warn(
            code::NEVER_EJECTS,
            place,
            "With minHealthPercent 100 one ejected instance is one too many: detection is off as \
             soon as it has an effect.",
            "Make it smaller, such as 50, or leave it out.",
        );
    }
}

/// Settings for a port at which none of the services listens.
fn unheard(about: &mut About<'_>, place: (&str, Position), port: u16, services: &[String]) {
    let context = about.context;
    let mut ports: Vec<u16> = services.iter().filter_map(|s| context.port_of(s)).collect();
    ports.sort_unstable();
    ports.dedup();
    if services.is_empty() || ports.contains(&port) {
        return;
    }
    if let Some(service) = services.iter().find(|s| context.ports_of(s).contains(&port)) {
        let message = format!(
            "Calls to all ports of {service} share one pool, by the settings of its first port."
        );
        let advice = format!("Write them for port {}.", ports[0]);
        return about.idle(code::ROUTE_PORT, place, message, advice);
    }
    let listed: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let advice = match listed.is_empty() {
        true => "Write the policy without portLevelSettings.".to_owned(),
        false => format!("Use {}.", listed.join(" or ")),
    };
    let message =
        format!("{} does not listen at port {port}: these settings have no effect.", services[0]);
    about.idle(code::ROUTE_PORT, place, message, advice);
}

fn outlier(about: &mut About<'_>, node: &Node, path: &str) {
    let number = |key: &str| compile::number::<u32>(node, key);
    let split = node.get("splitExternalLocalOriginErrors").and_then(Node::as_bool);
    let local = number("consecutiveLocalOriginFailures");
    if split != Some(true) && local.is_some_and(|failures| failures > 0) {
        about.error(
            code::CONFLICT,
            (
                format!("{path}.consecutiveLocalOriginFailures"),
                place(node, "consecutiveLocalOriginFailures"),
            ),
            "Local failures are only counted by themselves when they are split from the others.",
            "Add splitExternalLocalOriginErrors: true.",
        );
    }
    let deprecated = number("consecutiveErrors").filter(|errors| *errors > 0);
    let spot = about.spot(path, node.at);
    about.push(spot.says(
        Severity::Info,
        code::ALONG_WITH,
        "In Istio, outlier detection also turns on locality failover. Every instance here is in \
         one locality, so nothing fails over.",
        "To have the one without the other, set loadBalancer.localityLbSetting.enabled: false.",
    ));
    let written = |key: &str| node.get(key).is_some();
    if written("consecutive5xxErrors") && written("consecutiveGatewayErrors") {
        let path = format!("{path}.consecutiveErrors");
        about.silence(path, "Both fields that replace it are there too, and they win");
    }
    // Not written is Envoy's default of 5, unless the deprecated field takes its place.
    let five = number("consecutive5xxErrors").unwrap_or(if deprecated.is_some() { 0 } else { 5 });
    let gateway = number("consecutiveGatewayErrors").or(deprecated).unwrap_or(0);
    let local_detects = split == Some(true) && local != Some(0);
    if five == 0 && gateway == 0 && !local_detects {
        about.warn(
            code::NEVER_EJECTS,
            (path, node.at),
            "Every detector is 0, which turns it off: nothing is ever ejected.",
            "Set consecutive5xxErrors or consecutiveGatewayErrors above 0.",
        );
    } else if five > 0 && gateway >= five {
        about.warn(
            code::DETECTOR_FORESTALLED,
            (format!("{path}.consecutiveGatewayErrors"), place(node, "consecutiveGatewayErrors")),
            format!(
                "consecutiveGatewayErrors ({gateway}) can never eject: 502, 503 and 504 are 5xx \
                 too, and {five} of those in a row eject before."
            ),
            "Make it smaller than consecutive5xxErrors, or set consecutive5xxErrors to 0.",
        );
    }
}

/// Namespace, host, subset and callers.
type Holds = (String, String, String, Vec<(String, String)>);

/// One host and subset, one rule for the same callers.
pub(super) fn same_hosts(context: &Context<'_>, found: &mut Findings) {
    let mut seen: BTreeMap<Holds, &Resource> = BTreeMap::new();
    // What is built in gives way, so it is never in the way.
    for resource in context.of(Kind::DestinationRule).filter(|rule| !rule.is_built_in()) {
        let spec = resource.spec();
        let host = spec.str("host").map(|host| resource.full_host(host));
        let Some(host) = host.map(|host| super::virtual_service::canonical_host(&host)) else {
            continue;
        };
        let namespace = &resource.key().namespace;
        let mut subsets: Vec<(&str, usize)> = spec
            .list("subsets")
            .iter()
            .enumerate()
            .filter_map(|(index, node)| Some((node.str("name")?, index)))
            .collect();
        if subsets.is_empty() {
            subsets.push(("", 0));
        }
        let callers = compile::callers(context, resource);
        for (subset, index) in subsets {
            let key = (namespace.clone(), host.clone(), subset.to_owned(), callers.clone());
            let first = *seen.entry(key).or_insert(resource);
            if first.key() == resource.key() {
                continue;
            }
            let what = match subset {
                "" => host.clone(),
                subset => format!("the subset {subset} of {host}"),
            };
            let advice = "Put them into one: of several the first holds, as in Istio.";
            let path = if subset.is_empty() {
                "spec.host".to_owned()
            } else {
                format!("spec.subsets[{index}]")
            };
            let at = spec.list("subsets").get(index).map_or(place(spec, "host"), |node| node.at);
            let code = code::DESTINATION_RULE_MULTIMATCH;
            let message = format!("{} has a policy for {what} as well.", first.key());
            let here = resource.spot(path, at);
            found.said.push(here.says(Severity::Warning, code, message, advice));
            let message = format!("{} has a policy for {what} as well.", resource.key());
            let there = first.spot("spec.host", place(first.spec(), "host"));
            found.said.push(there.says(Severity::Warning, code, message, advice));
        }
    }
}
