//! What the callee's side enforces: mutual TLS, tokens, authorization, local rate limits.
//!
//! Which workloads a resource holds for goes by its namespace and selector, the narrower first.

use super::{Context, labels, number, origin};
use crate::{
    known::{KnownService, Selected, is_for_all},
    policy::{
        Action, AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, JwtRule,
        LimitScope, LocalRateLimit, Mtls, Operation, RequestAuthentication, Route, Share, Source,
        ValueMatch, VirtualHost, Workload, short,
    },
    resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE, Resource},
    schema::{Kind, LOCAL_RATE_LIMIT, is_camel_case_of},
    value,
    yaml::Node,
};
use http::StatusCode;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Istio's annotation of an `AuthorizationPolicy` that is evaluated and not enforced.
pub(crate) const DRY_RUN: &str = "istio.io/dry-run";

pub(super) fn workloads(
    context: &Context<'_>,
    hosts: &[VirtualHost],
) -> BTreeMap<Arc<str>, Workload> {
    let services = context.known.services.iter().map(|service| service.name.as_str().into());
    let one = |service: Arc<str>| {
        let workload = workload(context, hosts, &service);
        (service, workload)
    };
    services.map(one).collect()
}

fn workload(context: &Context<'_>, hosts: &[VirtualHost], service: &str) -> Workload {
    if is_outside(context, service) {
        return Workload::default();
    }
    let filters = selecting(context, Kind::EnvoyFilter, service)
        .flat_map(|filter| rate_limits(context, hosts, filter));
    let of_routes = of_routes(context, hosts, service);
    let mut limits: Vec<_> = filters.chain(of_routes).chain(extensions(hosts, service)).collect();
    number_twins(limits.iter_mut());
    Workload {
        mtls: mtls(context, service),
        authentication: selecting(context, Kind::RequestAuthentication, service)
            .map(request_authentication)
            .collect(),
        authorization: selecting(context, Kind::AuthorizationPolicy, service)
            .map(authorization_policy)
            .collect(),
        rate_limits: limits,
    }
}

/// Tells those apart that say the same in one resource. They keep their numbers when others come or
/// go before them.
pub(super) fn number_twins<'l>(limits: impl Iterator<Item = &'l mut LocalRateLimit>) {
    let mut seen: HashMap<_, u32> = HashMap::new();
    for limit in limits {
        let rule = limit.scope.as_ref().map(|scope| (scope.origin.clone(), scope.route.clone()));
        let says = (
            (limit.origin.clone(), rule),
            (limit.max_tokens, limit.tokens_per_fill, limit.fill_interval),
            (limit.per_remote_address, limit.status, limit.enabled.0, limit.enforced.0),
        );
        let before = seen.entry(says).or_default();
        limit.twin = *before;
        *before += 1;
    }
}

/// The limits that resources set on single routes which send to a service. The callers' proxies
/// would count there; here it is once, where the calls arrive.
fn of_routes(context: &Context<'_>, hosts: &[VirtualHost], service: &str) -> Vec<LocalRateLimit> {
    let mut found: Vec<LocalRateLimit> = Vec::new();
    let filters = context.of(Kind::EnvoyFilter);
    for filter in filters.filter(|filter| is_for_all(&filter.key().namespace)) {
        // The same route under several names (of its host, or of its port) is one route, and what
        // a later patch says of it holds in place of an earlier one.
        let mut of_filter: Vec<(LimitScope, Patch<'_>)> = Vec::new();
        for patch in rate_limit_patches(filter) {
            let Some(to) = &patch.route else { continue };
            for scope in to.scopes(hosts, service) {
                let same = |(other, _): &(LimitScope, Patch<'_>)| {
                    other.origin == scope.origin && other.route == scope.route
                };
                of_filter.retain(|other| !same(other));
                of_filter.push((scope, patch.clone()));
            }
        }
        for (scope, patch) in of_filter {
            let limits = patch.buckets().into_iter().filter_map(|b| patch.limit(filter, b));
            found
                .extend(limits.map(|limit| LocalRateLimit { scope: Some(scope.clone()), ..limit }));
        }
    }
    found
}

/// The `rateLimit` extensions of the rules that send to a service. In the mesh they are the
/// callee's, so that they hold whichever resource routes the request.
pub(super) fn extensions(
    hosts: &[VirtualHost],
    service: &str,
) -> impl Iterator<Item = LocalRateLimit> {
    let routes = hosts.iter().flat_map(|host| &host.routes);
    routes.filter_map(move |route| {
        let Action::Forward(to) = &route.action else { return None };
        to.iter().any(|to| *to.service == *service).then(|| route.rate_limit.clone())?
    })
}

/// Whether a service is outside of the mesh, so that no proxy stands before it which could enforce
/// something. What nobody knows is nowhere.
pub(crate) fn is_outside(context: &Context<'_>, service: &str) -> bool {
    context.known_service(service).is_none_or(KnownService::is_external)
}

/// How narrowly a resource is meant for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// The whole mesh.
    Mesh,
    /// The workload's namespace.
    Namespace,
    /// The workload itself.
    Workload,
}

/// The labels a resource selects workloads by.
pub(crate) fn selector(resource: &Resource) -> Vec<(String, String)> {
    let path: &[&str] = match resource.kind() {
        Kind::EnvoyFilter => &["workloadSelector", "labels"],
        Kind::DestinationRule => &["workloadSelector", "matchLabels"],
        _ => &["selector", "matchLabels"],
    };
    labels(resource.spec().path(path))
}

/// Whether and how narrowly a resource is for a service.
pub(super) fn scope(context: &Context<'_>, resource: &Resource, service: &str) -> Option<Scope> {
    let namespace = &resource.key().namespace;
    if !is_for_all(namespace) {
        return None;
    }
    let selector = selector(resource);
    // The mesh itself is asked for by no name.
    if !service.is_empty() && is_outside(context, service) {
        return None;
    }
    if !selector.is_empty() && !selects_here(resource) {
        return None;
    }
    if !selector.is_empty() {
        let selected = context.known_service(service)?.selected(&selector);
        return (selected != Selected::None).then_some(Scope::Workload);
    }
    Some(if namespace == ROOT_NAMESPACE { Scope::Mesh } else { Scope::Namespace })
}

/// Whether labels that a resource selects by are looked for among the services here. In the root
/// namespace they are, of every namespace (`selector` of the security kinds and `workloadSelector`
/// of `EnvoyFilter` in the reference), but for a `Telemetry`: that chooses among the workloads of
/// its own namespace (`Telemetry.selector`; `applicableTelemetries` looks there alone), and holds
/// for the whole mesh only without a selector.
pub(crate) fn selects_here(resource: &Resource) -> bool {
    let namespace = &resource.key().namespace;
    is_for_all(namespace) && (resource.kind() != Kind::Telemetry || namespace == DEFAULT_NAMESPACE)
}

/// Whether a resource is for a service.
pub(crate) fn is_selected(context: &Context<'_>, resource: &Resource, service: &str) -> bool {
    scope(context, resource, service).is_some()
}

/// The services a resource is for.
pub(crate) fn selected_services(context: &Context<'_>, resource: &Resource) -> Vec<String> {
    let services = context.known.services.iter().map(|service| service.name.clone());
    services.filter(|service| is_selected(context, resource, service)).collect()
}

fn selecting<'a>(
    context: &Context<'a>,
    kind: Kind,
    service: &str,
) -> impl Iterator<Item = &'a Resource> {
    context.of(kind).filter(move |resource| scope(context, resource, service).is_some())
}

/// The narrowest resource that sets a mode decides; without one Istio is permissive.
fn mtls(context: &Context<'_>, service: &str) -> Mtls {
    decides_mtls(context, service).map_or_else(Mtls::default, |(mode, _)| mode)
}

/// The `PeerAuthentication`s that a workload goes by, the narrowest first. Of each width it is the
/// oldest, also one that sets no mode (`ComposePeerAuthentication` in `pilot/pkg/security/authn`).
/// With a selector, one of the root namespace chooses workloads of every namespace
/// (`PeerAuthentication.selector` in the reference).
fn peer_authentications<'a>(context: &Context<'a>, service: &str) -> Vec<&'a Resource> {
    let mut oldest: BTreeMap<Scope, &Resource> = BTreeMap::new();
    for resource in context.of(Kind::PeerAuthentication) {
        if let Some(scope) = scope(context, resource, service) {
            oldest.entry(scope).or_insert(resource);
        }
    }
    oldest.into_values().rev().collect()
}

/// What `MutualTLS` says, if it is not what the wider one says.
fn mode(node: &Node) -> Option<Mtls> {
    match node.str("mode")? {
        "STRICT" => Some(Mtls::Strict),
        "PERMISSIVE" => Some(Mtls::Permissive),
        "DISABLE" => Some(Mtls::Disable),
        _ => None,
    }
}

/// The mode that a resource has for a port of its workload.
pub(crate) fn mode_of_port(resource: &Resource, port: Option<u16>) -> Option<Mtls> {
    let ports = resource.spec().get("portLevelMtls").map_or(&[][..], Node::entries);
    let is_it = |key: &str| port.is_some() && key.parse().ok() == port;
    mode(&ports.iter().find(|entry| is_it(&entry.key))?.value)
}

/// The mode of a workload, and the resource that says it: for the port at which it listens, or for
/// all of it.
pub(crate) fn decides_mtls<'a>(
    context: &Context<'a>,
    service: &str,
) -> Option<(Mtls, &'a Resource)> {
    let port = context.port_of(service);
    peer_authentications(context, service).into_iter().find_map(|resource| {
        let of_all = || resource.spec().get("mtls").and_then(mode);
        Some((mode_of_port(resource, port).or_else(of_all)?, resource))
    })
}

/// The resource for which another says nothing about a workload: an older one of the same width,
/// or a narrower one that sets the mode.
pub(crate) fn peer_instead<'a>(
    context: &Context<'a>,
    resource: &Resource,
    service: &str,
) -> Option<&'a Resource> {
    let own = scope(context, resource, service)?;
    let all = peer_authentications(context, service);
    let oldest = all.iter().find(|other| scope(context, other, service) == Some(own))?;
    if oldest.key() != resource.key() {
        return Some(oldest);
    }
    let (_, decides) = decides_mtls(context, service)?;
    (scope(context, decides, service) > Some(own)).then_some(decides)
}

fn request_authentication(resource: &Resource) -> RequestAuthentication {
    let rule = |node: &Node| {
        let header = |node: &Node| {
            let name = node.str("name")?.to_ascii_lowercase();
            Some((name, node.str("prefix").unwrap_or_default().to_owned()))
        };
        Some(JwtRule {
            issuer: node.str("issuer")?.to_owned(),
            audiences: node.texts("audiences").map(ToOwned::to_owned).collect(),
            jwks: node.str("jwks").unwrap_or_default().to_owned(),
            from_headers: node.list("fromHeaders").iter().filter_map(header).collect(),
            from_params: node.texts("fromParams").map(ToOwned::to_owned).collect(),
            forward: node.get("forwardOriginalToken").and_then(Node::as_bool).unwrap_or(false),
        })
    };
    let rules = resource.spec().list("jwtRules").iter().filter_map(rule).collect();
    RequestAuthentication { origin: origin(resource), rules }
}

/// What the annotation that takes the force from a policy says, if it is there.
pub(crate) fn dry_run(resource: &Resource) -> Option<&str> {
    resource.root().path(&["metadata", "annotations", DRY_RUN])?.as_str()
}

fn authorization_policy(resource: &Resource) -> AuthorizationPolicy {
    let spec = resource.spec();
    let action = match spec.str("action") {
        Some("DENY") => AuthorizationAction::Deny,
        Some("AUDIT") => AuthorizationAction::Audit,
        _ => AuthorizationAction::Allow,
    };
    let rule = |node: &Node| AuthorizationRule {
        from: node.list("from").iter().filter_map(|n| n.get("source")).map(source).collect(),
        to: node.list("to").iter().filter_map(|n| n.get("operation")).map(operation).collect(),
        when: node.list("when").iter().filter_map(condition).collect(),
    };
    let rules = spec.list("rules").iter().map(rule).collect();
    let dry_run = dry_run(resource).and_then(value::go_bool).unwrap_or(false);
    AuthorizationPolicy { origin: origin(resource), action, dry_run, rules }
}

fn values(node: &Node, key: &str) -> Vec<ValueMatch> {
    node.texts(key).map(ValueMatch::parse).collect()
}

fn source(node: &Node) -> Source {
    let blocks = |key| -> Vec<(IpAddr, u8)> {
        node.texts(key).filter_map(|text| value::ip_block(text).ok()).collect()
    };
    // `namespace/account`, or an account of this namespace, as its SPIFFE identity.
    let accounts = |key| {
        node.texts(key).map(|account| {
            let (namespace, account) = account.split_once('/').unwrap_or(("default", account));
            ValueMatch::Exact(format!("cluster.local/ns/{namespace}/sa/{account}"))
        })
    };
    let identities = |key, account_key| {
        let mut identities = values(node, key);
        identities.extend(accounts(account_key));
        identities
    };
    Source {
        principals: identities("principals", "serviceAccounts"),
        not_principals: identities("notPrincipals", "notServiceAccounts"),
        request_principals: values(node, "requestPrincipals"),
        not_request_principals: values(node, "notRequestPrincipals"),
        namespaces: values(node, "namespaces"),
        not_namespaces: values(node, "notNamespaces"),
        ip_blocks: blocks("ipBlocks"),
        not_ip_blocks: blocks("notIpBlocks"),
        remote_ip_blocks: blocks("remoteIpBlocks"),
        not_remote_ip_blocks: blocks("notRemoteIpBlocks"),
    }
}

fn operation(node: &Node) -> Operation {
    Operation {
        hosts: values(node, "hosts"),
        not_hosts: values(node, "notHosts"),
        ports: values(node, "ports"),
        not_ports: values(node, "notPorts"),
        methods: values(node, "methods"),
        not_methods: values(node, "notMethods"),
        paths: values(node, "paths"),
        not_paths: values(node, "notPaths"),
    }
}

fn condition(node: &Node) -> Option<Condition> {
    Some(Condition {
        key: node.str("key")?.into(),
        values: values(node, "values"),
        not_values: values(node, "notValues"),
    })
}

/// What a patch is for in the proxies of callers and at a gateway: a virtual host, or one of its
/// routes, which is a rule of a `VirtualService`.
#[derive(Clone, Copy)]
pub(crate) struct PatchedRoute<'a> {
    /// Host and port. None is every host that has such a rule.
    host: Option<&'a str>,
    /// None is the virtual host itself.
    name: Option<&'a str>,
    /// At gateways alone, or at callers alone.
    at_ingress: Option<bool>,
}

/// How a rule without a name is called where one must have a name, by its place from 1.
pub(crate) const NTH_RULE: &str = "rule-";

impl<'a> PatchedRoute<'a> {
    /// What a patch names, unless it is for the proxy of the callee, where no `VirtualService` has
    /// a say.
    fn of(patch: &'a Node) -> Option<Self> {
        let matching = patch.get("match")?;
        let at_ingress = match matching.str("context") {
            Some("SIDECAR_INBOUND") => return None,
            Some("SIDECAR_OUTBOUND") => Some(false),
            Some("GATEWAY") => Some(true),
            _ => None,
        };
        let of_host = matching.path(&["routeConfiguration", "vhost"])?;
        let host = of_host.str("name");
        let name = of_host.path(&["route", "name"]).and_then(Node::as_str);
        let name = match patch.str("applyTo")? {
            "HTTP_ROUTE" if name.is_some() => name,
            // A route of any name: all of its virtual host.
            "HTTP_ROUTE" | "VIRTUAL_HOST" if host.is_some() => None,
            _ => return None,
        };
        Some(Self { host, name, at_ingress })
    }

    /// Where it holds: at the ingress alone, or between services alone.
    pub(super) const fn at_ingress(&self) -> Option<bool> {
        self.at_ingress
    }

    /// Its host without port, if it is for the whole of one.
    fn whole_host(&self) -> Option<String> {
        let host = self.host.filter(|_| self.name.is_none())?;
        Some(host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase())
    }

    /// Whether it is for a whole host that is this service.
    pub(super) fn is_host_of(&self, context: &Context<'_>, service: &str) -> bool {
        let named = self.whole_host();
        named.is_some_and(|host| context.service(&host).is_some_and(|found| **found == *service))
    }

    /// Whether it is this rule.
    fn is(&self, host: &VirtualHost, rule: &Route) -> bool {
        let Some(own) = self.name else { return false };
        let nth = own.strip_prefix(NTH_RULE).map(|number| format!("#{number}"));
        let named = *rule.name == *own || nth.is_some_and(|nth| *rule.name == *nth);
        // Envoy has a virtual host for each name, also where two are of one service.
        let called = |name: &str| {
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name).to_ascii_lowercase();
            host.hosts.iter().any(|own| short(own) == short(&name))
        };
        named && self.host.is_none_or(called)
    }

    /// The rules that it is, of those that send to a service.
    pub(super) fn scopes(&self, hosts: &[VirtualHost], service: &str) -> Vec<LimitScope> {
        let rules = hosts.iter().flat_map(|host| host.routes.iter().map(move |r| (host, r)));
        let found = rules.filter(|(host, rule)| {
            let Action::Forward(to) = &rule.action else { return false };
            self.is(host, rule) && to.iter().any(|to| *to.service == *service)
        });
        let scope = |(_, rule): (&VirtualHost, &Arc<Route>)| LimitScope {
            origin: rule.origin.clone(),
            route: rule.name.clone(),
            matches: rule.matches.clone(),
        };
        found.map(scope).collect()
    }

    /// Whether no rule of these that sends requests on is it.
    pub(crate) fn is_nowhere(&self, hosts: &[VirtualHost]) -> bool {
        self.destinations(hosts).next().is_none()
    }

    /// Whether its calls go to services outside of the mesh alone.
    pub(crate) fn is_outside(&self, context: &Context<'_>, hosts: &[VirtualHost]) -> bool {
        if let Some(host) = self.whole_host() {
            return context.service(&host).is_some_and(|service| is_outside(context, service));
        }
        let mut to = self.destinations(hosts).peekable();
        to.peek().is_some() && to.all(|service| is_outside(context, service))
    }

    /// Whether it is for a whole host, all of whose calls its rules send elsewhere or nowhere.
    /// Calls are counted by where they go, so that it limits none of them.
    pub(crate) fn sends_elsewhere(&self, context: &Context<'_>, hosts: &[VirtualHost]) -> bool {
        let Some(named) = self.whole_host() else { return false };
        let Some(service) = context.service(&named) else { return false };
        let mut of_host = hosts.iter().filter(|host| {
            let here = if self.at_ingress == Some(true) { host.at_ingress } else { host.in_mesh };
            here && host.hosts.iter().any(|own| short(own) == short(&named))
        });
        let sends_there = |host: &VirtualHost| {
            host.routes.iter().any(|rule| match &rule.action {
                Action::Forward(to) => to.iter().any(|to| to.service == *service),
                _ => false,
            })
        };
        let first = of_host.next();
        first.is_some_and(|first| !sends_there(first) && !of_host.any(sends_there))
    }

    /// Where the rules send that it is.
    fn destinations<'h>(&'h self, hosts: &'h [VirtualHost]) -> impl Iterator<Item = &'h str> {
        let rules = hosts.iter().flat_map(|host| host.routes.iter().map(move |r| (host, r)));
        rules.filter(move |(host, rule)| self.is(host, rule)).flat_map(|(_, rule)| {
            let to = match &rule.action {
                Action::Forward(to) => to.as_slice(),
                _ => &[],
            };
            to.iter().map(|to| &*to.service)
        })
    }

    /// The rule in words.
    pub(crate) fn name(&self) -> &str {
        self.name.unwrap_or_default()
    }
}

/// A patch of an `EnvoyFilter` that sets a local rate limit: the configuration of the filter.
#[derive(Clone)]
pub(crate) struct Patch<'a> {
    /// Its place in `configPatches`.
    pub(crate) number: usize,
    /// The route it is for, if it is for one whoever calls. Without a name it is for all that comes
    /// to a workload; so it is with a selector, which says whose proxy it is.
    pub(crate) route: Option<PatchedRoute<'a>>,
    /// What it names of the callers' proxies, also with a selector.
    pub(crate) called: Option<PatchedRoute<'a>>,
    config: &'a Node,
    /// `rate_limits` beside the filter's configuration, on the route.
    beside: &'a [Node],
}

/// A field of Envoy's in either spelling.
fn envoy<'a>(node: &'a Node, snake: &str) -> Option<&'a Node> {
    node.get(snake).or_else(|| {
        let entry = node.entries().iter().find(|entry| is_camel_case_of(&entry.key, snake));
        entry.map(|entry| &entry.value)
    })
}

/// The patches of a resource that are understood.
pub(crate) fn rate_limit_patches(resource: &Resource) -> Vec<Patch<'_>> {
    let patches = resource.spec().list("configPatches").iter().enumerate();
    let unselected = selector(resource).is_empty();
    let understood = patches.filter_map(|(number, node)| {
        let apply_to = node.str("applyTo")?;
        let patch = node.get("patch").filter(|p| p.str("operation") != Some("REMOVE"))?;
        let value = patch.get("value")?;
        let (config, beside) = match apply_to {
            "HTTP_FILTER" if value.str("name") == Some(LOCAL_RATE_LIMIT) => {
                (envoy(value, "typed_config")?, &[][..])
            }
            "VIRTUAL_HOST" | "HTTP_ROUTE" => (
                envoy(value, "typed_per_filter_config")?.get(LOCAL_RATE_LIMIT)?,
                envoy(value, "rate_limits").map_or(&[][..], Node::items),
            ),
            _ => return None,
        };
        // A TypedStruct wraps what it holds.
        let wrapped = envoy(config, "type_url").and_then(|_| config.get("value"));
        let called = PatchedRoute::of(node);
        let route = called.filter(|called| called.name.is_some() && unselected);
        Some(Patch { number, route, called, config: wrapped.unwrap_or(config), beside })
    });
    understood.collect()
}

impl Patch<'_> {
    /// Whether it limits calls that leave the mesh, and nothing that comes to a workload.
    pub(crate) fn goes_out(&self, context: &Context<'_>, hosts: &[VirtualHost]) -> bool {
        self.called.is_some_and(|called| called.is_outside(context, hosts))
    }

    /// Whether it asks for a bucket for each remote address.
    fn by_remote_address(&self) -> bool {
        let own = envoy(self.config, "rate_limits").map_or(&[][..], Node::items);
        let mut actions = own.iter().chain(self.beside).flat_map(|limit| limit.list("actions"));
        actions.any(|action| envoy(action, "remote_address").is_some())
    }

    /// The buckets it sets; an `HTTP_FILTER` without one only puts the filter there.
    pub(crate) fn buckets(&self) -> Vec<(&Node, bool)> {
        let mut buckets: Vec<_> =
            envoy(self.config, "token_bucket").map(|bucket| (bucket, false)).into_iter().collect();
        if self.by_remote_address() {
            let descriptors = envoy(self.config, "descriptors").map_or(&[][..], Node::items);
            let of_address = descriptors.iter().filter(|descriptor| {
                let mut entries = descriptor.list("entries").iter();
                entries.any(|entry| entry.str("key") == Some("remote_address"))
            });
            let found = of_address.filter_map(|descriptor| envoy(descriptor, "token_bucket"));
            buckets.extend(found.map(|bucket| (bucket, true)));
        }
        buckets
    }

    /// What one of its buckets limits.
    pub(crate) fn limit(
        &self,
        resource: &Resource,
        (bucket, per_remote_address): (&Node, bool),
    ) -> Option<LocalRateLimit> {
        let fill_interval = envoy(bucket, "fill_interval").and_then(Node::as_str)?;
        Some(LocalRateLimit {
            origin: origin(resource),
            max_tokens: envoy_number(bucket, "max_tokens")?,
            tokens_per_fill: envoy_number(bucket, "tokens_per_fill").unwrap_or(1),
            fill_interval: value::duration(fill_interval).ok()?,
            per_remote_address,
            enabled: fraction(self.config, "filter_enabled"),
            enforced: fraction(self.config, "filter_enforced"),
            status: status(self.config),
            twin: 0,
            scope: None,
        })
    }

    /// Whether nothing comes of it, because no bucket or no share is set.
    pub(crate) fn is_idle(&self) -> bool {
        let off = |key| fraction(self.config, key) == Share::NONE;
        self.buckets().is_empty() || off("filter_enabled") || off("filter_enforced")
    }
}

/// Envoy's `RuntimeFractionalPercent`. Without it nothing is counted or refused: Envoy's default.
fn fraction(config: &Node, key: &str) -> Share {
    let Some(value) = envoy(config, key).and_then(|node| envoy(node, "default_value")) else {
        return Share::NONE;
    };
    let scale = match value.str("denominator") {
        Some("TEN_THOUSAND") => 100,
        Some("MILLION") => 1,
        _ => 10_000,
    };
    let numerator: u32 = number(value, "numerator").unwrap_or(0);
    Share(numerator.saturating_mul(scale).min(Share::ALL.0))
}

fn status(config: &Node) -> StatusCode {
    let code = config.path(&["status", "code"]);
    let by_number = code.and_then(super::whole).and_then(|code| u16::try_from(code).ok());
    let by_name = match code.and_then(Node::as_str) {
        Some("ServiceUnavailable") => Some(503),
        Some("Forbidden") => Some(403),
        _ => None,
    };
    let code = by_number.or(by_name).and_then(|code| StatusCode::from_u16(code).ok());
    // Envoy takes no status below 400 here either.
    code.filter(|code| code.as_u16() >= 400).unwrap_or(StatusCode::TOO_MANY_REQUESTS)
}

fn rate_limits(
    context: &Context<'_>,
    hosts: &[VirtualHost],
    resource: &Resource,
) -> Vec<LocalRateLimit> {
    let whole = rate_limit_patches(resource).into_iter();
    let whole = whole.filter(|patch| patch.route.is_none() && !patch.goes_out(context, hosts));
    let limits = whole.flat_map(|patch| {
        let buckets = patch.buckets().into_iter();
        buckets.filter_map(|bucket| patch.limit(resource, bucket)).collect::<Vec<_>>()
    });
    limits.collect()
}

fn envoy_number(node: &Node, key: &str) -> Option<u32> {
    u32::try_from(super::whole(envoy(node, key)?)?).ok()
}
