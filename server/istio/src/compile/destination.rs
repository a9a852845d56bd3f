//! `DestinationRule` compiled: what holds for each service, and for each subset of it.
//!
//! A service takes the rules of the most specific host; what a `VirtualService` says about traffic
//! policy, an extension, fills what no rule says.

use super::{Context, duration, filled, float, labels, number, origin};
use crate::{
    policy::{
        ConnectionPool, Destination, ForCallers, HashKey, HashTable, LoadBalancer, Origin, Outlier,
        RetryBudget, Share, Subset, TrafficPolicy, Warmup,
    },
    resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE, Resource},
    schema::Kind,
    value,
    yaml::Node,
};
use std::{collections::BTreeMap, sync::Arc};

/// Label of the version, by which subsets are implied.
const VERSION: &str = "version";

/// The fields of a `TrafficPolicy` that are written. Each replaces the one above it whole.
#[derive(Clone, Default)]
struct Written {
    balancer: Option<(LoadBalancer, Option<Warmup>)>,
    pool: Option<ConnectionPool>,
    /// Settings of a port that leave it out say that there is none.
    outlier: Option<Option<Outlier>>,
    budget: Option<RetryBudget>,
}

/// What a policy is compiled for.
#[derive(Clone, Copy)]
struct Callee {
    port: Option<u16>,
    outside: bool,
}

impl Callee {
    fn of(context: &Context<'_>, service: &str) -> Self {
        Self { port: context.port_of(service), outside: super::is_outside(context, service) }
    }
}

impl Written {
    fn or(self, above: &Self) -> Self {
        Self {
            balancer: self.balancer.or_else(|| above.balancer.clone()),
            pool: self.pool.or_else(|| above.pool.clone()),
            outlier: self.outlier.or_else(|| above.outlier.clone()),
            budget: self.budget.or(above.budget),
        }
    }

    fn filled_in(self) -> TrafficPolicy {
        let (load_balancer, warmup) = self.balancer.unwrap_or_default();
        let warms_up =
            matches!(load_balancer, LoadBalancer::RoundRobin | LoadBalancer::LeastRequest);
        let mut pool = self.pool.unwrap_or_default();
        // A budget takes the place of the limit.
        pool.max_retries = pool.max_retries.filter(|_| self.budget.is_none());
        // None waits for a connection where each has its own.
        pool.max_pending = pool.max_pending.filter(|_| pool.max_connections.is_some());
        TrafficPolicy {
            load_balancer,
            warmup: warmup.filter(|_| warms_up),
            connection_pool: pool,
            outlier: self.outlier.flatten(),
            retry_budget: self.budget,
        }
    }
}

pub(super) fn destinations(context: &Context<'_>) -> BTreeMap<Arc<str>, Destination> {
    let services = context.services();
    let one = |service: Arc<str>| destination(context, &service, &[]).map(|found| (service, found));
    services.into_iter().filter_map(one).collect()
}

/// What holds for callers that a rule selects: in place of what holds for all, and not beside it.
pub(super) fn for_callers(context: &Context<'_>) -> BTreeMap<Arc<str>, Vec<ForCallers>> {
    let mut selectors: Vec<_> =
        context.of(Kind::DestinationRule).map(|rule| callers(context, rule)).collect();
    selectors.retain(|selector| !selector.is_empty());
    // In the order of the rules: the first that chooses a caller holds for it.
    let mut kept: Vec<Vec<(String, String)>> = Vec::new();
    for selector in selectors {
        if !kept.contains(&selector) {
            kept.push(selector);
        }
    }
    let of = |service: Arc<str>| {
        let by_users = |callers: &Vec<(String, String)>| {
            !most_specific(context, &service, callers, false).is_empty()
        };
        let one = |callers: &Vec<(String, String)>| {
            let destination = destination(context, &service, callers)?;
            Some(ForCallers { callers: callers.as_slice().into(), destination })
        };
        let all: Vec<_> = kept.iter().filter(|callers| by_users(callers)).filter_map(one).collect();
        (!all.is_empty()).then_some((service, all))
    };
    context.services().into_iter().filter_map(of).collect()
}

/// The labels of the callers a rule is for; none is every caller. The name of a service, in
/// whichever form, is the label `app` of its workloads.
pub(crate) fn callers(context: &Context<'_>, rule: &Resource) -> Vec<(String, String)> {
    let mut selector = super::selector(rule);
    for (key, value) in &mut selector {
        if matches!(key.as_str(), "app" | "app.kubernetes.io/name")
            && let Some(service) = context.service(value)
        {
            "app".clone_into(key);
            *value = service.to_string();
        }
    }
    selector.sort();
    selector.dedup();
    selector
}

fn destination(
    context: &Context<'_>,
    service: &str,
    callers: &[(String, String)],
) -> Option<Destination> {
    let rules = rules(context, service, callers);
    let extensions = extensions(context, service);
    let implied = implied_subsets(context, service);
    let first = rules.first().or_else(|| extensions.first()).copied();
    if first.is_none() && implied.is_empty() {
        return None;
    }
    let to = Callee::of(context, service);
    let written = |rule: &&Resource| rule.spec().get("trafficPolicy").map(|p| policy(p, to));
    // Several rules for one host are one: the first that says something wins.
    let of_rules = rules.iter().find_map(&written).unwrap_or_default();
    let of_extensions = extensions.iter().filter_map(&written);
    let whole = of_extensions.fold(of_rules, |above, extension| above.or(&extension));
    let mut subsets: Vec<Subset> = Vec::new();
    for node in rules.iter().flat_map(|rule| rule.spec().list("subsets")) {
        let Some(name) = node.str("name") else { continue };
        if subsets.iter().any(|subset| &*subset.name == name) {
            continue;
        }
        let own = node.get("trafficPolicy").map(|p| policy(p, to)).unwrap_or_default();
        subsets.push(Subset {
            name: name.into(),
            labels: labels(node.get("labels")),
            policy: own.or(&whole).filled_in(),
        });
    }
    for name in implied {
        if !subsets.iter().any(|subset| *subset.name == *name) {
            let labels = vec![(VERSION.to_owned(), name.clone())];
            let policy = whole.clone().filled_in();
            subsets.push(Subset { name: name.into(), labels, policy });
        }
    }
    let origin =
        first.map(origin).unwrap_or_else(|| Origin { kind: "".into(), ..Origin::default() });
    Some(Destination { origin, policy: whole.filled_in(), subsets })
}

/// The resource whose traffic policy says a field for a service before a `VirtualService` does, if
/// there is one: a rule, or a `VirtualService` before it.
pub(crate) fn says_before<'a>(
    context: &Context<'a>,
    service: &str,
    field: &str,
    own: &Resource,
) -> Option<&'a Resource> {
    let to = Callee::of(context, service);
    let has = |resource: &&Resource| resource.spec().get("trafficPolicy").is_some();
    let rule = rules(context, service, &[]).into_iter().find(has);
    let extensions = extensions(context, service).into_iter();
    let before = extensions.take_while(|extension| extension.key() != own.key());
    rule.into_iter().chain(before).find(|resource| {
        let policy = resource.spec().get("trafficPolicy").map(|node| policy(node, to));
        policy.is_some_and(|written| match field {
            "loadBalancer" => written.balancer.is_some(),
            "connectionPool" => written.pool.is_some(),
            "outlierDetection" => written.outlier.is_some(),
            _ => written.budget.is_some(),
        })
    })
}

/// The rules of the most specific host that is this service: those of users, and then, for what
/// they do not say, those that are built in.
pub(crate) fn rules<'a>(
    context: &Context<'a>,
    service: &str,
    callers: &[(String, String)],
) -> Vec<&'a Resource> {
    let mut rules = most_specific(context, service, callers, false);
    rules.extend(most_specific(context, service, &[], true));
    rules
}

/// As Istio looks for them: in the namespace of caller and service, and if none is there, in the
/// root's. A selector chooses workloads of the rule's own namespace, so it is never the root's.
fn most_specific<'a>(
    context: &Context<'a>,
    service: &str,
    callers: &[(String, String)],
    built_in: bool,
) -> Vec<&'a Resource> {
    let rules_in = |namespace: &str| {
        let for_these = |rule: &&Resource| {
            rule.is_built_in() == built_in
                && rule.key().namespace == namespace
                && self::callers(context, rule) == callers
        };
        most_specific_of(context, service, context.of(Kind::DestinationRule).filter(for_these))
    };
    match rules_in(DEFAULT_NAMESPACE) {
        none if none.is_empty() && callers.is_empty() => rules_in(ROOT_NAMESPACE),
        found => found,
    }
}

fn most_specific_of<'a>(
    context: &Context<'a>,
    service: &str,
    candidates: impl Iterator<Item = &'a Resource>,
) -> Vec<&'a Resource> {
    let mut best = 0;
    let mut rules = Vec::new();
    for rule in candidates {
        let specificity = rule
            .spec()
            .str("host")
            .map_or(0, |host| specificity(context, service, &rule.full_host(host)));
        if specificity > best {
            best = specificity;
            rules.clear();
        }
        if specificity == best && best > 0 {
            rules.push(rule);
        }
    }
    rules
}

/// 0 if the host is not this service, else more for a longer pattern, and most for a name.
fn specificity(context: &Context<'_>, service: &str, host: &str) -> usize {
    match host.strip_prefix('*') {
        None => match context.service(host) {
            Some(found) if **found == *service => usize::MAX,
            _ => 0,
        },
        Some(suffix) => match context.names_of(service).any(|name| name.ends_with(suffix)) {
            true => suffix.len() + 1,
            false => 0,
        },
    }
}

/// `VirtualService`s for this service that say a traffic policy.
fn extensions<'a>(context: &Context<'a>, service: &str) -> Vec<&'a Resource> {
    let of_service = |resource: &&Resource| {
        resource.spec().get("trafficPolicy").is_some()
            && super::hosts(resource)
                .any(|host| context.service(&host).is_some_and(|s| **s == *service))
    };
    context.of(Kind::VirtualService).filter(of_service).collect()
}

/// Whether a subset that no rule defines is there all the same: as the version of that name.
pub(crate) fn implied_subset(context: &Context<'_>, service: &str, subset: &str) -> bool {
    let instances = context.known_service(service).map_or(&[][..], |known| &known.instances);
    instances.iter().any(|labels| labels.get(VERSION).is_some_and(|version| version == subset))
}

/// Subsets that routes name and instances have as their version. Istio would answer 503.
fn implied_subsets(context: &Context<'_>, service: &str) -> Vec<String> {
    let mut names = Vec::new();
    for resource in context.of(Kind::VirtualService) {
        for node in resource.spec().list("http").iter().flat_map(super::destination_nodes) {
            let here = node.str("host").and_then(|host| context.named(resource, host));
            let Some(subset) = node.str("subset") else { continue };
            if here.is_some_and(|found| **found == *service)
                && implied_subset(context, service, subset)
                && !names.iter().any(|name| name == subset)
            {
                names.push(subset.to_owned());
            }
        }
    }
    names
}

/// A policy; settings of the service's port replace all of it, omitted ones by their defaults. What
/// a policy above it says counts as little then (`MergeTrafficPolicy` in `pilot/pkg/networking`).
fn policy(node: &Node, to: Callee) -> Written {
    let of_port = |settings: &&Node| {
        let number = settings.get("port").and_then(|selector| number::<u16>(selector, "number"));
        to.port.is_some() && number == to.port
    };
    let Some(settings) = node.list("portLevelSettings").iter().find(of_port) else {
        return written(node, to);
    };
    let own = written(settings, to);
    Written {
        balancer: Some(own.balancer.unwrap_or_default()),
        pool: Some(own.pool.unwrap_or_default()),
        outlier: Some(own.outlier.flatten()),
        budget: budget(node),
    }
}

fn written(node: &Node, to: Callee) -> Written {
    Written {
        balancer: node.get("loadBalancer").map(|node| (load_balancer(node), warmup(node))),
        pool: node.get("connectionPool").map(|node| connection_pool(node, to)),
        outlier: node.get("outlierDetection").map(|node| Some(outlier(node))),
        budget: budget(node),
    }
}

fn load_balancer(node: &Node) -> LoadBalancer {
    if let Some(hash) = node.get("consistentHash") {
        let table = hash_table(hash);
        return match hash_key(hash) {
            Some(key) => LoadBalancer::ConsistentHash { key, table },
            None => LoadBalancer::default(),
        };
    }
    match node.str("simple") {
        Some("ROUND_ROBIN") => LoadBalancer::RoundRobin,
        Some("RANDOM") => LoadBalancer::Random,
        _ => LoadBalancer::LeastRequest,
    }
}

fn hash_key(node: &Node) -> Option<HashKey> {
    if let Some(name) = node.str("httpHeaderName") {
        return value::header_name(name).ok().map(HashKey::Header);
    }
    if let Some(cookie) = node.get("httpCookie") {
        return Some(HashKey::Cookie {
            name: cookie.str("name")?.to_owned(),
            path: filled(cookie, "path"),
            ttl: duration(cookie, "ttl"),
        });
    }
    if let Some(name) = node.str("httpQueryParameterName") {
        return Some(HashKey::Query(name.to_owned()));
    }
    let source = node.get("useSourceIp").and_then(Node::as_bool).unwrap_or(false);
    source.then_some(HashKey::SourceIp)
}

fn hash_table(node: &Node) -> HashTable {
    /// Envoy's table size unless said otherwise.
    const MAGLEV_SIZE: u64 = 65_537;
    /// Envoy's ring size unless said otherwise.
    const RING_SIZE: u64 = 1_024;
    if let Some(maglev) = node.get("maglev") {
        let prime = |size: &u64| value::is_prime(*size);
        let size = number(maglev, "tableSize").filter(prime).unwrap_or(MAGLEV_SIZE);
        return HashTable::Maglev { size };
    }
    let ring = node.get("ringHash").and_then(|ring| number(ring, "minimumRingSize"));
    let size = ring.or_else(|| number(node, "minimumRingSize"));
    HashTable::Ring { minimum_size: size.unwrap_or(RING_SIZE) }
}

fn warmup(node: &Node) -> Option<Warmup> {
    /// Envoy's share at the beginning unless said otherwise, percent.
    const MINIMUM_PERCENT: f64 = 10.0;
    if let Some(warmup) = node.get("warmup") {
        return Some(Warmup {
            duration: duration(warmup, "duration")?,
            minimum_percent: float(warmup, "minimumPercent").unwrap_or(MINIMUM_PERCENT),
            aggression: float(warmup, "aggression").unwrap_or(1.0),
        });
    }
    let duration = duration(node, "warmupDurationSecs")?;
    Some(Warmup { duration, minimum_percent: MINIMUM_PERCENT, aggression: 1.0 })
}

/// A limit of the connection pool; 0 is Istio's way of not setting one.
fn limit(node: Option<&Node>, key: &str) -> Option<u32> {
    node.and_then(|node| number(node, key)).filter(|limit| *limit > 0)
}

/// Services of the mesh are called within the process: no connection comes about or is idle.
fn connection_pool(node: &Node, to: Callee) -> ConnectionPool {
    let (tcp, http) = (node.get("tcp"), node.get("http"));
    let connected = |node: Option<&'_ Node>, key: &str| {
        node.and_then(|node| duration(node, key)).filter(|_| to.outside)
    };
    ConnectionPool {
        max_connections: limit(tcp, "maxConnections"),
        connect_timeout: connected(tcp, "connectTimeout"),
        max_pending: limit(http, "http1MaxPendingRequests"),
        max_requests: limit(http, "http2MaxRequests"),
        max_retries: limit(http, "maxRetries"),
        // As Istio has it: that of TCP holds where HTTP says nothing.
        idle_timeout: connected(http, "idleTimeout").or_else(|| connected(tcp, "idleTimeout")),
    }
}

/// Envoy's defaults (`outlier_detection.proto`); a detector that is written as 0 is off.
fn outlier(node: &Node) -> Outlier {
    let defaults = Outlier::default();
    let deprecated = number::<u32>(node, "consecutiveErrors").filter(|errors| *errors > 0);
    let base_ejection = duration(node, "baseEjectionTime").unwrap_or(defaults.base_ejection);
    let split = node.get("splitExternalLocalOriginErrors").and_then(Node::as_bool);
    let codes = node.list("outlierDetectionHttpErrorCodes").iter();
    Outlier {
        // The deprecated field takes the place of both detectors, as Istio converts it.
        consecutive_5xx: number(node, "consecutive5xxErrors").unwrap_or(if deprecated.is_some() {
            0
        } else {
            defaults.consecutive_5xx
        }),
        consecutive_gateway: number(node, "consecutiveGatewayErrors").or(deprecated).unwrap_or(0),
        split_local_origin: split.unwrap_or(false),
        consecutive_local_origin: number(node, "consecutiveLocalOriginFailures")
            .unwrap_or(if split == Some(true) { defaults.consecutive_5xx } else { 0 }),
        interval: duration(node, "interval").unwrap_or(defaults.interval),
        base_ejection,
        max_ejection: defaults.max_ejection.max(base_ejection),
        // 0 is Istio's way of not setting it.
        max_ejection_percent: number(node, "maxEjectionPercent")
            .filter(|percent| *percent > 0)
            .unwrap_or(defaults.max_ejection_percent),
        min_health_percent: number(node, "minHealthPercent").unwrap_or(0),
        http_error_codes: codes
            .filter_map(|code| super::whole(code).and_then(|code| u16::try_from(code).ok()))
            .collect(),
    }
}

fn budget(node: &Node) -> Option<RetryBudget> {
    let node = node.get("retryBudget")?;
    let default = RetryBudget::default();
    let percent = node.get("percent").and_then(Node::as_number);
    let share: Option<Share> = percent.and_then(|number| value::percent(number).ok());
    Some(RetryBudget {
        share: share.unwrap_or(default.share),
        min_concurrency: number(node, "minRetryConcurrency").unwrap_or(default.min_concurrency),
    })
}
