//! Who may do what (`AuthorizationPolicy`), decided as Istio's security reference documents it.
//!
//! Pure: attributes and policies in, a decision out. DENY comes before ALLOW; where an ALLOW policy
//! exists, what none of them matches is refused; where none exists, it is allowed.

use super::authentication::Claims;
use http::HeaderMap;
use ipnet::IpNet;
use istio::policy::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, Operation, Origin,
    Source, ValueMatch,
};
use std::net::IpAddr;

/// What a policy can ask about.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// The caller's identity, SPIFFE without scheme.
    pub principal: Option<&'a str>,
    /// The caller's namespace.
    pub namespace: Option<&'a str>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The address where `X-Forwarded-For` leads, as far as proxies are trusted.
    pub remote: Option<IpAddr>,
    /// The checked token.
    pub claims: Option<&'a Claims>,
    /// Host with port as sent.
    pub host: &'a str,
    /// Port of the destination.
    pub port: u16,
    /// Method.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Request headers.
    pub headers: &'a HeaderMap,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It may pass.
    Allow,
    /// A DENY policy matches it.
    Deny(&'a Origin),
    /// There are ALLOW policies, and none matches it.
    NotAllowed,
}

/// Decides, and names the AUDIT policies that match.
#[must_use]
pub fn decide<'a>(
    policies: &'a [AuthorizationPolicy],
    attributes: &Attributes<'_>,
) -> (Decision<'a>, Vec<&'a Origin>) {
    let audits = policies.iter().filter(|policy| policy.action == AuthorizationAction::Audit);
    let audited = audits.filter(|policy| matches(policy, attributes)).map(|p| &p.origin);
    (decision(policies, attributes, false), audited.collect())
}

/// What the policies that are a dry run would decide, which is not enforced (Envoy's shadow rules).
#[must_use]
pub fn rehearse<'a>(
    policies: &'a [AuthorizationPolicy],
    attributes: &Attributes<'_>,
) -> Decision<'a> {
    decision(policies, attributes, true)
}

fn matches(policy: &AuthorizationPolicy, attributes: &Attributes<'_>) -> bool {
    policy.rules.iter().any(|rule| rule_holds(rule, attributes))
}

fn decision<'a>(
    policies: &'a [AuthorizationPolicy],
    attributes: &Attributes<'_>,
    dry_run: bool,
) -> Decision<'a> {
    let of = |action| {
        policies.iter().filter(move |policy| policy.action == action && policy.dry_run == dry_run)
    };
    let matching = |policy: &&AuthorizationPolicy| matches(policy, attributes);
    if let Some(denies) = of(AuthorizationAction::Deny).find(matching) {
        Decision::Deny(&denies.origin)
    } else if of(AuthorizationAction::Allow).next().is_none()
        || of(AuthorizationAction::Allow).any(|policy| matching(&policy))
    {
        Decision::Allow
    } else {
        Decision::NotAllowed
    }
}

fn rule_holds(rule: &AuthorizationRule, a: &Attributes<'_>) -> bool {
    let AuthorizationRule { from, to, when } = rule;
    (from.is_empty() || from.iter().any(|source| source_holds(source, a)))
        && (to.is_empty() || to.iter().any(|operation| operation_holds(operation, a)))
        && when.iter().all(|condition| condition_holds(condition, a))
}

fn source_holds(source: &Source, a: &Attributes<'_>) -> bool {
    let request = a.claims.and_then(Claims::principal);
    let in_blocks = |blocks: &[(IpAddr, u8)], address: Option<IpAddr>| {
        let mut networks = blocks.iter().filter_map(|(ip, len)| IpNet::new(*ip, *len).ok());
        address.is_some_and(|address| networks.any(|network| network.contains(&address)))
    };
    let within = |wanted: &[(IpAddr, u8)], unwanted: &[(IpAddr, u8)], address| {
        (wanted.is_empty() || in_blocks(wanted, address)) && !in_blocks(unwanted, address)
    };
    both(&source.principals, &source.not_principals, a.principal)
        && both(&source.request_principals, &source.not_request_principals, request.as_deref())
        && both(&source.namespaces, &source.not_namespaces, a.namespace)
        && within(&source.ip_blocks, &source.not_ip_blocks, a.address)
        && within(&source.remote_ip_blocks, &source.not_remote_ip_blocks, a.remote)
}

fn operation_holds(operation: &Operation, a: &Attributes<'_>) -> bool {
    let host = a.host.to_ascii_lowercase();
    let port = a.port.to_string();
    let hosts = |list: &[ValueMatch]| list.iter().any(|wanted| host_holds(wanted, &host));
    let paths = |list: &[ValueMatch]| list.iter().any(|wanted| path_holds(wanted, a.path));
    (operation.hosts.is_empty() || hosts(&operation.hosts))
        && !hosts(&operation.not_hosts)
        && both(&operation.ports, &operation.not_ports, Some(&port))
        && both(&operation.methods, &operation.not_methods, Some(a.method))
        && (operation.paths.is_empty() || paths(&operation.paths))
        && !paths(&operation.not_paths)
}

/// One of the wanted, if any are named, and none of the unwanted. What is absent is neither.
fn both(wanted: &[ValueMatch], unwanted: &[ValueMatch], value: Option<&str>) -> bool {
    let one_of = |list: &[ValueMatch]| {
        value.is_some_and(|value| list.iter().any(|matching| matching.holds(value)))
    };
    (wanted.is_empty() || one_of(wanted)) && !one_of(unwanted)
}

/// Hosts are compared without regard to case; `host` is lower-case.
fn host_holds(wanted: &ValueMatch, host: &str) -> bool {
    match wanted {
        ValueMatch::Exact(text) => text.eq_ignore_ascii_case(host),
        ValueMatch::Prefix(text) => host.starts_with(&text.to_ascii_lowercase()),
        ValueMatch::Suffix(text) => host.ends_with(&text.to_ascii_lowercase()),
        ValueMatch::Present => !host.is_empty(),
    }
}

/// A path with `{*}` or `{**}` is a template; everything else is matched as other values are.
fn path_holds(wanted: &ValueMatch, path: &str) -> bool {
    match wanted {
        ValueMatch::Exact(text) if text.contains("{*}") || text.contains("{**}") => {
            template_holds(text, path)
        }
        other => other.holds(path),
    }
}

/// Envoy's URI template as Istio takes it: `{*}` is one segment that is not empty, `{**}` whatever
/// there is, nothing too, up to the text after it.
fn template_holds(template: &str, path: &str) -> bool {
    let Some((before, after)) = template.split_once("{**}") else {
        return segments_hold(template, path);
    };
    let Some(before) = before.strip_suffix('/') else {
        return before.is_empty() && path.ends_with(after);
    };
    let slash = path.match_indices('/').nth(before.matches('/').count());
    let parts = slash.and_then(|(at, _)| path.split_at_checked(at));
    parts.is_some_and(|(head, rest)| {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        segments_hold(before, head) && rest.ends_with(after)
    })
}

fn segments_hold(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (Some("{*}"), Some(segment)) if !segment.is_empty() => {}
            (Some(literal), Some(segment)) if literal == segment => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn condition_holds(condition: &Condition, a: &Attributes<'_>) -> bool {
    let Condition { key, values, not_values } = condition;
    let address = match &**key {
        "source.ip" => Some(a.address),
        "remote.ip" => Some(a.remote),
        _ => None,
    };
    if let Some(address) = address {
        let within = |list: &[ValueMatch]| list.iter().any(|wanted| ip_holds(wanted, address));
        return (values.is_empty() || within(values)) && !within(not_values);
    }
    let port = a.port.to_string();
    let actual = attribute(key, a, &port);
    let one_of = |list: &[ValueMatch]| {
        list.iter().any(|wanted| actual.iter().any(|value| wanted.holds(value)))
    };
    (values.is_empty() || one_of(values)) && !one_of(not_values)
}

/// The values of an attribute: none when it is absent, several when it is a list.
fn attribute<'a>(key: &str, a: &Attributes<'a>, port: &'a str) -> Vec<std::borrow::Cow<'a, str>> {
    let one = |value: Option<&'a str>| value.map(Into::into).into_iter().collect();
    let claims = a.claims;
    match key {
        "source.namespace" => one(a.namespace),
        "source.principal" => one(a.principal),
        "destination.port" => one(Some(port)),
        "request.auth.principal" => {
            claims.and_then(Claims::principal).map(Into::into).into_iter().collect()
        }
        "request.auth.audiences" => listed(claims.map(Claims::audiences)),
        "request.auth.presenter" => listed(claims.map(|claims| claims.values(&["azp"]))),
        _ => {
            if let Some(name) = bracketed(key, "request.headers").as_deref()
                && let [name] = name
            {
                let values = a.headers.get_all(*name).into_iter();
                return values.filter_map(|v| v.to_str().ok()).map(Into::into).collect();
            }
            let path = bracketed(key, "request.auth.claims").unwrap_or_default();
            listed(claims.map(|claims| claims.values(&path)))
        }
    }
}

fn listed<'a>(values: Option<Vec<&'a str>>) -> Vec<std::borrow::Cow<'a, str>> {
    values.unwrap_or_default().into_iter().map(Into::into).collect()
}

/// The names in `prefix[a][b]`.
fn bracketed<'k>(key: &'k str, prefix: &str) -> Option<Vec<&'k str>> {
    let inner = key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
    Some(inner.split("][").collect())
}

fn ip_holds(wanted: &ValueMatch, address: Option<IpAddr>) -> bool {
    let (ValueMatch::Exact(text), Some(address)) = (wanted, address) else {
        return matches!(wanted, ValueMatch::Present) && address.is_some();
    };
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.is_ok_and(|network| network.contains(&address))
}
