//! `HTTPRoute` compiled.
//!
//! Istio's defaults are filled in here: a mirror without percentage takes everything, a fault
//! without one nothing, an absent retry policy is Istio's own.

use super::{Context, delegate, duration, filled, labels, matching, number, origin};
use crate::{
    policy::{
        Action, Cors, DerivePort, DirectResponse, Fault, FaultAbort, FaultDelay, HeaderEdits,
        HeaderOps, LimitScope, LocalRateLimit, Mirror, Redirect, Retry, Rewrite, Route, Share,
        StringMatch, Weighted,
    },
    resource::Resource,
    value,
    yaml::Node,
};
use http::{HeaderValue, StatusCode, header::HOST};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Every rule; one that delegates stands for all of its delegate.
pub(super) fn routes(context: &Context<'_>, resource: &Resource) -> Vec<Arc<Route>> {
    let mut routes = Vec::new();
    let mut taken = BTreeSet::new();
    for (index, node) in resource.spec().list("http").iter().enumerate() {
        let compiled = match node.get("delegate") {
            Some(_) => delegate::merged(context, resource, index, node),
            None => one(context, resource, index, node).into_iter().collect(),
        };
        for mut route in compiled {
            // A name twice in one resource would make two rules one in the counters.
            if !taken.insert(Arc::clone(&route.name)) {
                route.name = format!("{}#{}", route.name, index + 1).into();
                taken.insert(Arc::clone(&route.name));
            }
            routes.push(Arc::new(route));
        }
    }
    routes
}

/// The name of a rule: its own, or its place.
pub(crate) fn name(node: &Node, index: usize) -> String {
    filled(node, "name").unwrap_or_else(|| format!("#{}", index + 1))
}

pub(super) fn one(
    context: &Context<'_>,
    resource: &Resource,
    index: usize,
    node: &Node,
) -> Option<Route> {
    let timeout = duration(node, "timeout").filter(|timeout| !timeout.is_zero());
    let name: Arc<str> = name(node, index).into();
    let matches = matching::matches(context, resource, node);
    let scope = || LimitScope {
        origin: origin(resource),
        route: Arc::clone(&name),
        matches: matches.clone(),
    };
    let limit = node.get("rateLimit").and_then(|limit| rate_limit(resource, limit, scope()));
    let action = action(context, resource, node)?;
    // What is said of sending requests on is nothing to a rule that answers them itself.
    let sends = matches!(action, Action::Forward(_));
    let timeout = timeout.filter(|_| sends);
    let retries = node.get("retries").filter(|_| sends);
    let headers = header_ops(node);
    Some(Route {
        origin: origin(resource),
        faithful: resource.faithful_routes().any(|faithful| *faithful == *name),
        name,
        line: node.at.line,
        matches,
        action,
        rewrite: with_authority(
            node.get("rewrite").map(rewrite),
            authority(node).filter(|_| sends),
        ),
        timeout,
        retry: retries.map_or_else(Retry::default, |retries| retry(retries, timeout)),
        fault: node.get("fault").and_then(fault).filter(|_| sends),
        mirrors: if sends { mirrors(context, resource, node) } else { Vec::new() },
        cors: node.get("corsPolicy").map(cors),
        headers: if sends {
            headers
        } else {
            HeaderOps { request: HeaderEdits::default(), ..headers }
        },
        rate_limit: limit.filter(|_| sends),
    })
}

fn action(context: &Context<'_>, from: &Resource, node: &Node) -> Option<Action> {
    if let Some(node) = node.get("redirect") {
        let status = number(node, "redirectCode").unwrap_or(301);
        return Some(Action::Redirect(Redirect {
            uri: filled(node, "uri"),
            authority: filled(node, "authority"),
            scheme: filled(node, "scheme"),
            port: number(node, "port"),
            derive_port: node.str("derivePort").map(|from| match from {
                "FROM_REQUEST_PORT" => DerivePort::Request,
                _ => DerivePort::ProtocolDefault,
            }),
            status: StatusCode::from_u16(status).ok()?,
        }));
    }
    if let Some(node) = node.get("directResponse") {
        let body = node.get("body");
        let string = body.and_then(|body| body.str("string")).map(|text| text.as_bytes().to_vec());
        let bytes = || body.and_then(|body| body.str("bytes")).and_then(|b| value::base64(b).ok());
        return Some(Action::Direct(DirectResponse {
            status: StatusCode::from_u16(number(node, "status")?).ok()?,
            body: string.or_else(bytes).unwrap_or_default(),
        }));
    }
    let destinations = node.list("route");
    // A single destination gets everything, whatever its weight.
    let single = destinations.len() == 1;
    let weighted: Vec<_> = destinations
        .iter()
        .filter_map(|node| {
            let to = node.get("destination")?;
            let (service, subset) = destination(context, from, to)?;
            let port = to.get("port").and_then(|port| number(port, "number"));
            let weight = number(node, "weight").unwrap_or(0);
            let weight = if single { weight.max(1) } else { weight };
            let mut headers = header_ops(node);
            // After that of the rule, whose headers come after these and have none.
            headers.request.set.extend(authority(node).map(|authority| (HOST, authority)));
            Some(Weighted { service, subset, port, weight, headers })
        })
        .collect();
    let total: u64 = weighted.iter().map(|weighted| u64::from(weighted.weight)).sum();
    (total > 0).then_some(Action::Forward(weighted))
}

/// A destination's service and subset. At a port where nothing listens there is no service.
fn destination(
    context: &Context<'_>,
    from: &Resource,
    node: &Node,
) -> Option<(Arc<str>, Option<Arc<str>>)> {
    let service = context.resolve(&from.full_host(node.str("host")?));
    let service = match missing_port(context, from, node) {
        Some(port) => format!("{service}:{port}").into(),
        None => service,
    };
    Some((service, filled(node, "subset").map(Into::into)))
}

/// The port a destination names, if its service does not listen there.
pub(crate) fn missing_port(context: &Context<'_>, from: &Resource, node: &Node) -> Option<u16> {
    let port: u16 = number(node.get("port")?, "number")?;
    let service = context.named(from, node.str("host")?)?;
    let ports = context.ports_of(service);
    (!ports.is_empty() && !ports.contains(&port)).then_some(port)
}

/// The authority that the headers of a request are set to: `set` wins over `add`, which sets it too
/// (`translateHeadersOperations` in `pilot/pkg/networking/core/route`).
pub(super) fn authority(node: &Node) -> Option<HeaderValue> {
    let said = |key: &str| {
        let mut entries = node.path(&["headers", "request", key])?.entries().iter();
        let entry = entries.rfind(|entry| value::is_authority(&entry.key))?;
        value::header_value(entry.value.as_str()?).ok()?
    };
    said("set").or_else(|| said("add"))
}

/// A rewrite with the authority of a header, which holds in place of the one it has.
pub(super) fn with_authority(
    rewrite: Option<Rewrite>,
    authority: Option<HeaderValue>,
) -> Option<Rewrite> {
    let authority = authority.and_then(|text| text.to_str().ok().map(str::to_owned));
    let Some(authority) = authority else { return rewrite };
    Some(Rewrite { authority: Some(authority), ..rewrite.unwrap_or_default() })
}

fn rewrite(node: &Node) -> Rewrite {
    let regex = node.get("uriRegexRewrite").and_then(|node| {
        let regex = value::regex_anywhere(node.str("match")?).ok()?;
        let substitution = node.str("rewrite")?.to_owned();
        value::missing_group(&regex, &substitution).is_none().then_some((regex, substitution))
    });
    Rewrite { uri: filled(node, "uri"), uri_regex: regex, authority: filled(node, "authority") }
}

fn retry(node: &Node, timeout: Option<Duration>) -> Retry {
    let default = Retry::default();
    let on = filled(node, "retryOn").and_then(|text| value::retry_on(&text).ok());
    // Envoy ignores a limit for one try that is not below the limit for all.
    let fits = |per_try: &Duration| timeout.is_none_or(|timeout| *per_try < timeout);
    Retry {
        attempts: number(node, "attempts").unwrap_or(0),
        per_try_timeout: duration(node, "perTryTimeout").filter(fits),
        on: on.unwrap_or(default.on),
        backoff: duration(node, "backoff").unwrap_or(default.backoff),
        ignore_previous_hosts: node
            .get("retryIgnorePreviousHosts")
            .and_then(Node::as_bool)
            .or(default.ignore_previous_hosts),
        by_default: false,
    }
}

/// `Percent.value`; an empty message is zero, as protobuf has it.
fn percentage(node: Option<&Node>) -> Option<Share> {
    let node = node?;
    let value = node.get("value").and_then(Node::as_number).unwrap_or("0");
    value::percent(value).ok()
}

/// A whole percentage as it was written before `Percent` came.
fn whole_percent(node: &Node, key: &str) -> Option<Share> {
    node.get(key).and_then(Node::as_number).and_then(|number| value::percent(number).ok())
}

/// None if neither delay nor abort say what they do, which Istio takes and does nothing with.
fn fault(node: &Node) -> Option<Fault> {
    let delay = node.get("delay").and_then(|node| {
        let share = percentage(node.get("percentage")).or_else(|| whole_percent(node, "percent"));
        let delay = duration(node, "fixedDelay")?;
        Some(FaultDelay { share: share.unwrap_or(Share::NONE), delay })
    });
    let abort = node.get("abort").and_then(|node| {
        let share = percentage(node.get("percentage")).unwrap_or(Share::NONE);
        let grpc_status = node.str("grpcStatus").and_then(|name| value::grpc_status(name).ok());
        let status = match number(node, "httpStatus") {
            Some(status) => StatusCode::from_u16(status).ok()?,
            // gRPC answers 200 and says the rest in its own header.
            None => grpc_status.map(|_| StatusCode::OK)?,
        };
        Some(FaultAbort { share, status, grpc_status })
    });
    (delay.is_some() || abort.is_some()).then_some(Fault { delay, abort })
}

fn mirrors(context: &Context<'_>, from: &Resource, node: &Node) -> Vec<Mirror> {
    let mirror = |to: &Node, share: Option<Share>| {
        let (service, subset) = destination(context, from, to)?;
        Some(Mirror { service, subset, share: share.unwrap_or(Share::ALL) })
    };
    if let Some(to) = node.get("mirror") {
        let share = percentage(node.get("mirrorPercentage"));
        let share = share.or_else(|| whole_percent(node, "mirrorPercent"));
        return mirror(to, share).into_iter().collect();
    }
    let each = |node: &Node| mirror(node.get("destination")?, percentage(node.get("percentage")));
    node.list("mirrors").iter().filter_map(each).collect()
}

fn cors(node: &Node) -> Cors {
    let mut origins: Vec<_> =
        node.list("allowOrigins").iter().map(matching::string_match).collect();
    // The deprecated field lists exact origins, or `*` for every one.
    origins.extend(node.texts("allowOrigin").map(|origin| match origin {
        "*" => StringMatch::Prefix(String::new()),
        exact => StringMatch::Exact(exact.to_owned()),
    }));
    let headers = |key| node.texts(key).filter_map(|name| value::header_name(name).ok()).collect();
    Cors {
        origins,
        methods: node.texts("allowMethods").filter_map(|name| value::method(name).ok()).collect(),
        headers: headers("allowHeaders"),
        expose: headers("exposeHeaders"),
        max_age: duration(node, "maxAge"),
        credentials: node.get("allowCredentials").and_then(Node::as_bool),
    }
}

fn header_ops(node: &Node) -> HeaderOps {
    let of = |direction| node.path(&["headers", direction]).map(header_edits).unwrap_or_default();
    HeaderOps { request: of("request"), response: of("response") }
}

/// Without the authority, which is none of them: see [`authority`]. Istio takes it neither away nor
/// sets it on an answer (`dropInternal`).
fn header_edits(node: &Node) -> HeaderEdits {
    let pairs = |key| {
        let pairs =
            labels(node.get(key)).into_iter().filter(|(name, _)| !value::is_authority(name));
        let parse = |(name, value): (String, String)| {
            // One with an operator is left out, and validation says so.
            Some((value::header_name(&name).ok()?, value::header_value(&value).ok()??))
        };
        pairs.filter_map(parse).collect()
    };
    HeaderEdits {
        set: pairs("set"),
        add: pairs("add"),
        remove: node
            .texts("remove")
            .filter(|name| !value::is_authority(name))
            .filter_map(|name| value::header_name(name).ok())
            .collect(),
    }
}

/// How long a unit of the `rateLimit` extension is.
pub(crate) fn unit_length(unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "SECOND" => 1,
        "MINUTE" => 60,
        "HOUR" => 3_600,
        "DAY" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

fn rate_limit(resource: &Resource, node: &Node, scope: LimitScope) -> Option<LocalRateLimit> {
    let limit = node.get("limit")?;
    let requests = number(limit, "requestsPerUnit")?;
    Some(LocalRateLimit {
        origin: origin(resource),
        max_tokens: requests,
        tokens_per_fill: requests,
        fill_interval: unit_length(limit.str("unit")?)?,
        per_remote_address: node.path(&["dimensions", "remoteAddress"]).is_some(),
        enabled: Share::ALL,
        enforced: Share::ALL,
        status: StatusCode::TOO_MANY_REQUESTS,
        twin: 0,
        scope: Some(scope),
    })
}
