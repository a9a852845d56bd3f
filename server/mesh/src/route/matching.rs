//! Whether a rule holds for a request, after Istio's `HTTPMatchRequest`. Pure.
//!
//! All conditions of a match must hold, any match of a rule suffices, the first rule that holds
//! wins. Nothing is allocated, unless a header that a condition looks at is there more than once.

use crate::{Source, inbound::authentication::Claims};
use http::{HeaderMap, HeaderName};
use istio::policy::{Match, Policy, Route, StringMatch, VirtualHost};
use std::{borrow::Cow, fmt, sync::Arc};

/// The port of a service of which nobody said another, and of a gateway without a `Gateway`.
pub(super) const PORT_DEFAULT: u16 = 80;

/// What routing can see of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) method: &'a str,
    pub(crate) scheme: &'a str,
    /// Without query.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// Host with port as sent.
    pub(crate) authority: &'a str,
    /// The port it is addressed to: see [`port_of`].
    pub(crate) port: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) ingress: bool,
    pub(crate) source: &'a Source,
    /// Of the token that was checked at the gateway. Nobody else looks at one before it routes.
    pub(crate) claims: Option<&'a Claims>,
}

/// The condition of a match that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `uri`.
    Uri,
    /// `scheme`.
    Scheme,
    /// `method`.
    Method,
    /// `authority`.
    Authority,
    /// `headers`.
    Headers,
    /// `withoutHeaders`.
    WithoutHeaders,
    /// `queryParams`.
    QueryParams,
    /// `sourceLabels`.
    SourceLabels,
    /// `sourceNamespace`.
    SourceNamespace,
    /// `port`.
    Port,
    /// `gateways`.
    Gateways,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uri => "uri",
            Self::Scheme => "scheme",
            Self::Method => "method",
            Self::Authority => "authority",
            Self::Headers => "headers",
            Self::WithoutHeaders => "withoutHeaders",
            Self::QueryParams => "queryParams",
            Self::SourceLabels => "sourceLabels",
            Self::SourceNamespace => "sourceNamespace",
            Self::Port => "port",
            Self::Gateways => "gateways",
        })
    }
}

/// The first rule that holds, with its place, and the match of it that did (none if the rule has
/// none).
pub(crate) fn first<'a>(
    routes: &'a [Arc<Route>],
    view: &View<'_>,
) -> Option<(usize, &'a Arc<Route>, Option<&'a Match>)> {
    let mut places = routes.iter().enumerate();
    places.find_map(|(at, route)| match_of(route, view).map(|matched| (at, route, matched)))
}

/// Whether a rule holds, and by which of its matches.
pub(crate) fn match_of<'a>(route: &'a Route, view: &View<'_>) -> Option<Option<&'a Match>> {
    if route.matches.is_empty() {
        return Some(None);
    }
    route.matches.iter().find(|conditions| missed(conditions, view).is_none()).map(Some)
}

/// The first condition that does not hold; none when the match holds.
pub(crate) fn missed(conditions: &Match, view: &View<'_>) -> Option<Condition> {
    use Condition as C;
    let holds = |condition: &Option<StringMatch>, text: &str| {
        condition.as_ref().is_none_or(|condition| condition.holds(text))
    };
    let bound = || conditions.at_ingress.is_none_or(|at| at == view.ingress);
    let checks: [(C, &dyn Fn() -> bool); 11] = [
        (C::Gateways, &|| !conditions.nowhere && bound()),
        (C::Uri, &|| uri_holds(conditions, view.path)),
        (C::Scheme, &|| holds(&conditions.scheme, view.scheme)),
        (C::Method, &|| holds(&conditions.method, view.method)),
        (C::Authority, &|| holds(&conditions.authority, view.authority)),
        (C::Port, &|| conditions.port.is_none_or(|port| port == view.port)),
        (C::SourceNamespace, &|| {
            conditions.source_namespace.as_deref().is_none_or(|ns| ns == &*view.source.namespace)
        }),
        (C::SourceLabels, &|| {
            conditions.source_labels.iter().all(|label| view.source.labels.contains(label))
        }),
        (C::Headers, &|| {
            let mut claims = conditions.claims.iter();
            let mut headers = conditions.headers.iter();
            claims.all(|(path, value)| claim_holds(view.claims, path, value))
                && headers.all(|(name, value)| header_holds(view.headers, name, value))
        }),
        (C::WithoutHeaders, &|| {
            let mut claims = conditions.without_claims.iter();
            let mut without = conditions.without_headers.iter();
            !claims.any(|(path, value)| claim_holds(view.claims, path, value))
                && without.all(|(name, value)| !header_holds(view.headers, name, value))
        }),
        (C::QueryParams, &|| {
            let mut query = conditions.query.iter();
            query.all(|(name, value)| query_of(view.query, name).is_some_and(|v| value.holds(v)))
        }),
    ];
    checks.into_iter().find(|(_, holds)| !holds()).map(|(condition, _)| condition)
}

fn uri_holds(conditions: &Match, path: &str) -> bool {
    let Some(uri) = &conditions.uri else { return true };
    match uri {
        StringMatch::Exact(exact) if conditions.ignore_uri_case => path.eq_ignore_ascii_case(exact),
        StringMatch::Prefix(prefix) if conditions.ignore_uri_case => {
            let beginning = path.as_bytes().get(..prefix.len());
            beginning.is_some_and(|b| b.eq_ignore_ascii_case(prefix.as_bytes()))
        }
        other => other.holds(path),
    }
}

/// The value of a header that is there several times is the list of its values (RFC 9110, 5.3).
/// A value that is no text matches only [`StringMatch::Present`].
fn header_holds(headers: &HeaderMap, name: &HeaderName, condition: &StringMatch) -> bool {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return false };
    if matches!(condition, StringMatch::Present) {
        return true;
    }
    let Ok(first) = std::str::from_utf8(first.as_bytes()) else { return false };
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let Ok(value) = std::str::from_utf8(value.as_bytes()) else { return false };
        joined.to_mut().push(',');
        joined.to_mut().push_str(value);
    }
    condition.holds(&joined)
}

/// A claim that is a text or a list of texts, of which one must match (Istio
/// `MetadataMatcherForJWTClaims`).
fn claim_holds(claims: Option<&Claims>, path: &[String], condition: &StringMatch) -> bool {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    claims.is_some_and(|claims| claims.values(&path).iter().any(|value| condition.holds(value)))
}

/// Whether some rule asks for a claim, so that the token must be looked at before one is found.
pub(crate) fn asks_for_claims(routes: &[Arc<Route>]) -> bool {
    let mut matches = routes.iter().flat_map(|route| &route.matches);
    matches.any(|found| !found.claims.is_empty() || !found.without_claims.is_empty())
}

/// The first value of a query parameter as it was sent, not decoded, as in Envoy.
pub(crate) fn query_of<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// Host without port; the brackets of an IPv6 address stay.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What says which port a request is addressed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressed<'a> {
    pub(crate) service: &'a str,
    /// Host with port as sent.
    pub(crate) authority: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) ingress: bool,
}

/// The port a request is addressed to. In the mesh it is the one the caller names, else where the
/// service listens. At the ingress it is that of the gateway's server that let it in, by the routes
/// that were found for it: where the edge really listens, and so what stands in `Host`, is the
/// command line's business.
pub(crate) fn port_of(policy: &Policy, found: Option<&VirtualHost>, to: Addressed<'_>) -> u16 {
    let port = if to.ingress {
        let tls = to.scheme == "https";
        found.and_then(|found| found.listens_at(host_of(to.authority), tls))
    } else {
        let named = to.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.or_else(|| policy.ports.get(to.service)?.first().copied())
    };
    port.unwrap_or(PORT_DEFAULT)
}
