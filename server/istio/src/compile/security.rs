//! What the callee's side enforces: mutual TLS, tokens, authorization, local rate limits.
//!
//! Which workloads a resource holds for goes by its namespace and selector, the narrower first.

use super::{Context, labels, number, origin};
use crate::{
    known::{Selected, is_for_all},
    policy::{
        Action, AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, JwtRule,
        LocalRateLimit, Mtls, Operation, RequestAuthentication, Share, Source, ValueMatch,
        VirtualHost, Workload,
    },
    resource::{ROOT_NAMESPACE, Resource},
    schema::{Kind, LOCAL_RATE_LIMIT, is_camel_case_of},
    value,
    yaml::Node,
};
use http::StatusCode;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

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
    let filters = selecting(context, Kind::EnvoyFilter, service).flat_map(rate_limits);
    Workload {
        mtls: mtls(context, service),
        authentication: selecting(context, Kind::RequestAuthentication, service)
            .map(request_authentication)
            .collect(),
        authorization: selecting(context, Kind::AuthorizationPolicy, service)
            .map(authorization_policy)
            .collect(),
        rate_limits: filters.chain(extensions(hosts, service)).collect(),
    }
}

/// The `rateLimit` extensions of the rules that send to a service. They are the callee's, where
/// their correct form would put them, so that they hold whichever resource routes the request.
fn extensions(hosts: &[VirtualHost], service: &str) -> impl Iterator<Item = LocalRateLimit> {
    let routes = hosts.iter().flat_map(|host| &host.routes);
    routes.filter_map(move |route| {
        let Action::Forward(to) = &route.action else { return None };
        to.iter().any(|to| *to.service == *service).then(|| route.rate_limit.clone())?
    })
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
    if !selector.is_empty() {
        let selected = context.known_service(service)?.selected(&selector);
        return (selected != Selected::None).then_some(Scope::Workload);
    }
    Some(if namespace == ROOT_NAMESPACE { Scope::Mesh } else { Scope::Namespace })
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

/// The narrowest resource that sets a mode decides.
fn mtls(context: &Context<'_>, service: &str) -> Mtls {
    let modes = context.of(Kind::PeerAuthentication).filter_map(|resource| {
        let scope = scope(context, resource, service)?;
        let mode = match resource.spec().path(&["mtls", "mode"]).and_then(Node::as_str)? {
            "STRICT" => Mtls::Strict,
            "PERMISSIVE" => Mtls::Permissive,
            "DISABLE" => Mtls::Disable,
            _ => return None,
        };
        Some((scope, mode))
    });
    // The first of equals stays: resources come in the order of their names.
    let narrowest = modes.fold(None, |best: Option<(Scope, Mtls)>, next| match best {
        Some(best) if best.0 >= next.0 => Some(best),
        _ => Some(next),
    });
    narrowest.map_or_else(Mtls::default, |(_, mode)| mode)
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
    AuthorizationPolicy { origin: origin(resource), action, rules }
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

/// A patch of an `EnvoyFilter` that sets a local rate limit: the configuration of the filter.
pub(crate) struct Patch<'a> {
    /// Its place in `configPatches`.
    pub(crate) number: usize,
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
        Some(Patch { number, config: wrapped.unwrap_or(config), beside })
    });
    understood.collect()
}

impl Patch<'_> {
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

fn rate_limits(resource: &Resource) -> Vec<LocalRateLimit> {
    let limits = rate_limit_patches(resource).into_iter().flat_map(|patch| {
        let buckets = patch.buckets().into_iter();
        buckets.filter_map(|bucket| patch.limit(resource, bucket)).collect::<Vec<_>>()
    });
    limits.collect()
}

fn envoy_number(node: &Node, key: &str) -> Option<u32> {
    u32::try_from(super::whole(envoy(node, key)?)?).ok()
}
