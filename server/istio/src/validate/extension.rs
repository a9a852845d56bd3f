//! What users write and Istio does not know, and how Istio would be told the same.
//!
//! The correct form is made of the user's own values; it can be applied as it is printed.

use super::{About, own_answer, place};
use crate::{
    compile::{self, Context},
    faithful::{field, set},
    finding::code,
    for_istio::resource,
    resource::{ROOT_NAMESPACE, Resource},
    schema::{Kind, LOCAL_RATE_LIMIT, LOCAL_RATE_LIMIT_TYPE},
    yaml::{self, Data, Node, Position},
};
use contract::istio::{Finding, Severity};
use std::collections::BTreeSet;

/// `rateLimit` on a rule.
pub(super) fn rate_limit(about: &mut About<'_>, index: usize, route: &Node, path: &str) {
    // On a rule that sends nothing on it limits nothing, and that is said of it.
    if route.get("rateLimit").is_none() || own_answer::answers(route).is_some() {
        return;
    }
    let printed = printed_name(about.spec().list("http"), index);
    let where_it_holds = match goes_outside(about, route) {
        true => "The rule sends outside of the mesh, so that each service that calls counts.",
        false => {
            "Here it holds for what comes to the service under any of its names; an EnvoyFilter, \
             for what is called by the hosts of this resource."
        }
    };
    let spot = about.spot(format!("{path}.rateLimit"), place(route, "rateLimit"));
    let finding = spot.says(
        Severity::Warning,
        code::EXTENSION,
        format!(
            "VirtualService has no rateLimit: Istio would drop it and limit nothing. It is in \
             force here as an extension. {where_it_holds}"
        ),
        match route.str("name") {
            Some(name) if *name == *printed => {
                "For Istio, apply an EnvoyFilter for this rule alone; each proxy that calls \
                        counts by itself there."
                    .to_owned()
            }
            _ => format!(
                "For Istio, give the rule the name {printed} and apply an EnvoyFilter for it \
                 alone; each proxy that calls counts by itself there."
            ),
        },
    );
    let filter = filter_for(about.context, about.resource, index, route);
    about.push(Finding { correct_form: filter.map(|root| yaml::write(&root).0), ..finding });
}

/// Whether a rule sends to services alone before which no proxy stands.
fn goes_outside(about: &About<'_>, route: &Node) -> bool {
    let hosts = route.list("route").iter().filter_map(|node| node.path(&["destination", "host"]));
    let mut services = hosts
        .filter_map(Node::as_str)
        .map(|host| about.context.named(about.resource, host))
        .peekable();
    // Of a host that nobody has is said that it is none.
    let is_outside = |service: &str| compile::is_outside(about.context, service);
    services.peek().is_some() && services.all(|service| service.is_some_and(|s| is_outside(s)))
}

/// `trafficPolicy` in the spec of a `VirtualService`.
pub(super) fn traffic_policy(about: &mut About<'_>) {
    let spec = about.spec();
    let spot = about.spot("spec.trafficPolicy", place(spec, "trafficPolicy"));
    let finding = spot.says(
        Severity::Warning,
        code::EXTENSION,
        "VirtualService has no trafficPolicy: Istio would drop it. It is in force here as an \
         extension, where no DestinationRule says otherwise.",
        "For Istio, apply a DestinationRule.",
    );
    let correct_form = Some(destination_rules(about.resource).join("---\n"));
    about.push(Finding { correct_form, ..finding });
    policy_said_elsewhere(about);
}

/// Fields of the policy that something else says, for all of the services it is for.
fn policy_said_elsewhere(about: &mut About<'_>) {
    const FIELDS: [&str; 4] = ["loadBalancer", "connectionPool", "outlierDetection", "retryBudget"];
    const PATH: &str = "spec.trafficPolicy";
    let context = about.context;
    let hosts = compile::hosts(about.resource);
    let services: Vec<_> = hosts.filter_map(|host| context.service(&host).cloned()).collect();
    let Some(policy) = about.spec().get("trafficPolicy").filter(|_| !services.is_empty()) else {
        return about.silence(PATH, "None of its hosts is a service, so it is for no calls");
    };
    let (mut of_ports, mut heard_by): (Vec<(String, &Node)>, usize) = (Vec::new(), 0);
    for (index, node) in policy.list("portLevelSettings").iter().enumerate() {
        let number = node.get("port").and_then(|port| compile::number::<u16>(port, "number"));
        let heard =
            |service: &&std::sync::Arc<str>| number.is_some() && context.port_of(service) == number;
        let hear = services.iter().filter(heard).count();
        if hear > 0 {
            heard_by += hear;
            of_ports.push((format!("{PATH}.portLevelSettings[{index}]"), node));
        }
    }
    let mut holds = false;
    for (path, node) in std::iter::once((PATH.to_owned(), policy)).chain(of_ports) {
        for field in FIELDS.into_iter().filter(|field| node.get(field).is_some()) {
            let before = |service: &std::sync::Arc<str>| {
                compile::says_before(context, service, field, about.resource)
            };
            let winners: Vec<_> = services.iter().filter_map(before).collect();
            match winners.first().filter(|_| winners.len() == services.len()) {
                Some(winner) => {
                    let why = format!("{} says it for the same calls, and wins", winner.key());
                    about.silence(format!("{path}.{field}"), &why);
                }
                // What the settings of ports replace is said elsewhere.
                None => {
                    let replaced = path == PATH && field != "retryBudget";
                    let limits = field != "connectionPool" || limits(context, node, &services);
                    holds |= limits && !(replaced && heard_by >= services.len());
                }
            }
        }
    }
    if !holds {
        about.silence(PATH, "None of what it says holds: it has no effect, or is said elsewhere");
    }
}

/// Whether the pool of a policy limits something: times of connections are nothing to services
/// that are called without one.
fn limits(context: &Context<'_>, policy: &Node, services: &[std::sync::Arc<str>]) -> bool {
    const LIMITS: [[&str; 2]; 3] =
        [["tcp", "maxConnections"], ["http", "http2MaxRequests"], ["http", "maxRetries"]];
    let pool = policy.get("connectionPool");
    services.iter().any(|service| compile::is_outside(context, service))
        || LIMITS.iter().any(|limit| pool.is_some_and(|pool| pool.path(limit).is_some()))
}

/// A subset that a route names.
pub(super) fn subset(
    about: &mut About<'_>,
    service: &str,
    host: &str,
    subset: &str,
    place: (String, Position),
) {
    if is_defined(about.context, service, subset) {
        return;
    }
    let (message, advice) = match compile::implied_subset(about.context, service, subset) {
        true => (
            format!(
                "No DestinationRule defines the subset {subset} of {host}: Istio would answer 503. \
                 Here it is the instances with version: {subset}."
            ),
            "For Istio, apply a DestinationRule.".to_owned(),
        ),
        false => (
            format!(
                "No DestinationRule defines the subset {subset} of {host}, and no instance has \
                 version: {subset}: its requests are answered 503."
            ),
            match crate::value::closest(subset, subset_names(about.context, service)) {
                Some(name) => format!("Did you mean {name}?"),
                None => "Define it in a DestinationRule.".to_owned(),
            },
        ),
    };
    let spot = about.spot(place.0, place.1);
    let finding = spot.says(Severity::Warning, code::SUBSET_NOT_FOUND, message, advice);
    let labels = Node::map([("version", Node::text(subset))]);
    let spec = Node::map([
        ("host", Node::text(host)),
        ("subsets", list(Node::map([("name", Node::text(subset)), ("labels", labels)]))),
    ]);
    let form = rule_for(host, about.resource, spec);
    about.push(Finding { correct_form: Some(form), ..finding });
}

/// The subsets that rules define for a service, whichever callers they are for.
fn subset_names<'a>(context: &Context<'a>, service: &str) -> Vec<&'a str> {
    let all = context.of(Kind::DestinationRule).map(|rule| compile::callers(context, rule));
    let all: BTreeSet<_> = all.chain([Vec::new()]).collect();
    let rules = all.iter().flat_map(|callers| compile::rules(context, service, callers));
    let subsets = rules.flat_map(|rule| rule.spec().list("subsets"));
    subsets.filter_map(|node| node.str("name")).collect()
}

fn is_defined(context: &Context<'_>, service: &str, subset: &str) -> bool {
    subset_names(context, service).contains(&subset)
}

fn list(node: Node) -> Node {
    Node::new(Data::List(vec![node]))
}

fn number(number: impl ToString) -> Node {
    Node::new(Data::Number(number.to_string()))
}

/// A `DestinationRule` for each host.
fn destination_rules(from: &Resource) -> Vec<String> {
    let spec = from.spec();
    let Some(policy) = spec.get("trafficPolicy") else {
        return Vec::new();
    };
    let rule = |host: String| {
        let spec =
            Node::map([("host", Node::text(host.as_str())), ("trafficPolicy", policy.clone())]);
        rule_for(&host, from, spec)
    };
    compile::hosts(from).map(rule).collect()
}

fn rule_for(host: &str, from: &Resource, spec: Node) -> String {
    let version = "networking.istio.io/v1";
    yaml::write(&resource(version, Kind::DestinationRule, host, from, spec)).0
}

/// Both fractions of the filter, at 100 %.
fn all_of(key: &str) -> Node {
    let all = Node::map([("numerator", number(100)), ("denominator", Node::text("HUNDRED"))]);
    Node::map([("runtime_key", Node::text(key)), ("default_value", all)])
}

/// An `EnvoyFilter` that limits the route Istio makes of the rule, if it has a `rateLimit`. It has
/// the name of resource and rule, for there may be several.
pub(crate) fn filter_for(
    context: &Context<'_>,
    from: &Resource,
    index: usize,
    route: &Node,
) -> Option<Node> {
    /// Large enough to never be the limit: Envoy wants a bucket for all beside those for each.
    const UNLIMITED: u32 = 1_000_000;
    let limit = route.get("rateLimit").filter(|_| own_answer::answers(route).is_none())?;
    let of = limit.get("limit")?;
    let requests: u32 = compile::number(of, "requestsPerUnit")?;
    let interval = format!("{}s", compile::unit_length(of.str("unit")?)?.as_secs());
    let bucket = |tokens: u32| {
        Node::map([
            ("max_tokens", number(tokens)),
            ("tokens_per_fill", number(tokens)),
            ("fill_interval", Node::text(interval.as_str())),
        ])
    };
    let mut config = vec![
        ("@type", Node::text(LOCAL_RATE_LIMIT_TYPE)),
        ("stat_prefix", Node::text("http_local_rate_limiter")),
    ];
    let by_address = limit.path(&["dimensions", "remoteAddress"]).is_some();
    config.push(("token_bucket", bucket(if by_address { UNLIMITED } else { requests })));
    config.push(("filter_enabled", all_of("local_rate_limit_enabled")));
    config.push(("filter_enforced", all_of("local_rate_limit_enforced")));
    if by_address {
        let entries = list(Node::map([("key", Node::text("remote_address"))]));
        let descriptor = Node::map([("entries", entries), ("token_bucket", bucket(requests))]);
        config.push(("descriptors", list(descriptor)));
        let action = Node::map([("remote_address", Node::new(Data::Map(Vec::new())))]);
        config.push(("rate_limits", list(Node::map([("actions", list(action))]))));
    }
    let rule = printed_name(from.spec().list("http"), index);
    let patches = patches(context, from, &rule, &Node::map(config));
    let spec = Node::map([("configPatches", Node::new(Data::List(patches)))]);
    let name = format!("{}-{}", from.key().name, label(route, index));
    let mut root = resource("networking.istio.io/v1alpha3", Kind::EnvoyFilter, &name, from, spec);
    // Proxies of gateways are not in the namespace of the services; what is in the root namespace
    // is for all of them.
    if places(context, from).iter().any(|(context, _)| *context == AT_GATEWAY)
        && let Some(metadata) = field(&mut root, "metadata")
    {
        set(metadata, "namespace", Some(Node::text(ROOT_NAMESPACE)));
    }
    Some(root)
}

/// Where Envoy has the routes of a rule that holds for calls between services.
const AT_CALLER: &str = "SIDECAR_OUTBOUND";
/// And of one that holds for what comes in.
const AT_GATEWAY: &str = "GATEWAY";
/// The port of a gateway without a resource, and of a host that is no service: that of HTTP.
const PORT_DEFAULT: u16 = 80;

/// The name of a rule for Envoy, which no other rule of its resource has: by it alone a patch finds
/// the route.
pub(crate) fn printed_name(rules: &[Node], index: usize) -> String {
    let own = |rule: &Node| rule.str("name").filter(|name| !name.is_empty()).map(str::to_owned);
    let of_others = |name: &str| {
        let others = rules.iter().enumerate().filter(|(at, _)| *at != index);
        others.filter_map(|(_, rule)| own(rule)).any(|other| other == name)
    };
    let mut name = match rules.get(index).and_then(own) {
        None => format!("{}{}", compile::NTH_RULE, index + 1),
        Some(name) if of_others(&name) => format!("{name}-{}", index + 1),
        Some(name) => name,
    };
    while of_others(&name) {
        name.push('-');
    }
    name
}

/// Where Envoy has the routes of a resource: the proxies, and its names for host and port.
fn places(context: &Context<'_>, from: &Resource) -> Vec<(&'static str, Vec<String>)> {
    let mut places = Vec::new();
    if compile::in_mesh(from.spec()) {
        let names = compile::hosts(from).flat_map(|host| {
            let ports = context.service(&host).map_or_else(Vec::new, |s| context.ports_of(s));
            let ports = if ports.is_empty() { vec![PORT_DEFAULT] } else { ports };
            let full = match host.contains('.') {
                true => host,
                false => format!("{host}.{}.svc.cluster.local", from.key().namespace),
            };
            ports.into_iter().map(move |port| format!("{full}:{port}"))
        });
        places.push((AT_CALLER, names.collect()));
    }
    let (built_in, listeners) = compile::gateways(context, from);
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    ports.extend(built_in.then_some(PORT_DEFAULT));
    ports.sort_unstable();
    ports.dedup();
    if !ports.is_empty() {
        let named = |host: String| ports.iter().map(move |port| format!("{host}:{port}"));
        places.push((AT_GATEWAY, compile::hosts(from).flat_map(named).collect()));
    }
    places
}

/// The filter in every proxy that has the route, without a limit, and the limit on the route.
fn patches(context: &Context<'_>, from: &Resource, route: &str, config: &Node) -> Vec<Node> {
    let mut patches = Vec::new();
    let patch = |apply_to: &str, matching: Node, operation: &str, value: Node| {
        let operation = ("operation", Node::text(operation));
        Node::map([
            ("applyTo", Node::text(apply_to)),
            ("match", matching),
            ("patch", Node::map([operation, ("value", value)])),
        ])
    };
    let of_route = |context: &str, host: Option<&str>| {
        let name = Node::map([("name", Node::text(route))]);
        let host = host.map(|host| ("name", Node::text(host)));
        let host = Node::map(host.into_iter().chain([("route", name)]));
        let configuration = Node::map([("vhost", host)]);
        Node::map([("context", Node::text(context)), ("routeConfiguration", configuration)])
    };
    let mut places = places(context, from);
    // A delegate has no hosts: its rules are where they are named.
    if places.iter().all(|(_, hosts)| hosts.is_empty()) {
        places = vec![("ANY", Vec::new())];
    }
    for (context, hosts) in &places {
        let manager = Node::text("envoy.filters.network.http_connection_manager");
        let filter = Node::map([("filter", Node::map([("name", manager)]))]);
        let listener = Node::map([("filterChain", filter)]);
        let matching = Node::map([("context", Node::text(*context)), ("listener", listener)]);
        let empty = Node::map([
            ("@type", Node::text(LOCAL_RATE_LIMIT_TYPE)),
            ("stat_prefix", Node::text("http_local_rate_limiter")),
        ]);
        let value = Node::map([("name", Node::text(LOCAL_RATE_LIMIT)), ("typed_config", empty)]);
        patches.push(patch("HTTP_FILTER", matching, "INSERT_BEFORE", value));
        let mut hosts: Vec<_> = hosts.iter().map(|host| Some(host.as_str())).collect();
        if hosts.is_empty() {
            hosts.push(None);
        }
        for host in hosts {
            let value = Node::map([(
                "typed_per_filter_config",
                Node::map([(LOCAL_RATE_LIMIT, config.clone())]),
            )]);
            patches.push(patch("HTTP_ROUTE", of_route(context, host), "MERGE", value));
        }
    }
    patches
}

/// The name of a rule as part of a name (RFC 1123): its own, or its place.
fn label(route: &Node, index: usize) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = route.str("name").unwrap_or_default().chars().map(letter).collect();
    match name.trim_matches('-') {
        "" => (index + 1).to_string(),
        name => name.to_owned(),
    }
}
