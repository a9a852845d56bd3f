//! Compiled security resources and local rate limits: what the callee's side enforces.

use super::{Match, Origin, Share};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// `PeerAuthentication.mtls.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mtls {
    /// With and without a certificate.
    #[default]
    Permissive,
    /// Only callers with a mesh identity.
    Strict,
    /// Never.
    Disable,
}

/// `RequestAuthentication`: a request with a bad token is refused (401); one without passes.
#[derive(Clone, Debug)]
pub struct RequestAuthentication {
    /// Where it was written.
    pub origin: Origin,
    /// Whose tokens are taken.
    pub rules: Vec<JwtRule>,
}

/// `JWTRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// `iss` the token must have.
    pub issuer: String,
    /// One of these must be in `aud`; none is any.
    pub audiences: Vec<String>,
    /// The keys as a JSON Web Key Set (RFC 7517).
    pub jwks: String,
    /// Headers to look in, with the prefix before the token; none is `Authorization: Bearer`.
    pub from_headers: Vec<(String, String)>,
    /// Query parameters to look in.
    pub from_params: Vec<String>,
    /// The token goes on to the service.
    pub forward: bool,
}

/// `AuthorizationPolicy.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationAction {
    /// If any such policy exists, a request must match one of them.
    Allow,
    /// A request that matches is refused, whatever allows it.
    Deny,
    /// Noted on the span.
    Audit,
}

/// `AuthorizationPolicy` (Istio security reference, order DENY before ALLOW).
#[derive(Clone, Debug)]
pub struct AuthorizationPolicy {
    /// Where it was written.
    pub origin: Origin,
    /// What a match means.
    pub action: AuthorizationAction,
    /// What it would refuse is noted on the span, and not refused (`istio.io/dry-run`).
    pub dry_run: bool,
    /// Any of these; none matches nothing (ALLOW without rules denies all).
    pub rules: Vec<AuthorizationRule>,
}

/// `from`, `to` and `when` must all hold; an empty list always holds.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationRule {
    /// Any of these.
    pub from: Vec<Source>,
    /// Any of these.
    pub to: Vec<Operation>,
    /// All of these.
    pub when: Vec<Condition>,
}

/// Who calls; all lists that are not empty must hold.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// SPIFFE identities without `spiffe://`.
    pub principals: Vec<ValueMatch>,
    /// None of these.
    pub not_principals: Vec<ValueMatch>,
    /// `issuer/subject` of the token.
    pub request_principals: Vec<ValueMatch>,
    /// None of these.
    pub not_request_principals: Vec<ValueMatch>,
    /// Namespace of the caller.
    pub namespaces: Vec<ValueMatch>,
    /// None of these.
    pub not_namespaces: Vec<ValueMatch>,
    /// Addresses of the caller, as networks: address and prefix length.
    pub ip_blocks: Vec<(IpAddr, u8)>,
    /// None of these.
    pub not_ip_blocks: Vec<(IpAddr, u8)>,
    /// Addresses of the client that began, as the ingress sees it.
    pub remote_ip_blocks: Vec<(IpAddr, u8)>,
    /// None of these.
    pub not_remote_ip_blocks: Vec<(IpAddr, u8)>,
}

/// What is asked; all lists that are not empty must hold.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// Hosts.
    pub hosts: Vec<ValueMatch>,
    /// None of these.
    pub not_hosts: Vec<ValueMatch>,
    /// Ports.
    pub ports: Vec<ValueMatch>,
    /// None of these.
    pub not_ports: Vec<ValueMatch>,
    /// Methods.
    pub methods: Vec<ValueMatch>,
    /// None of these.
    pub not_methods: Vec<ValueMatch>,
    /// Paths without query.
    pub paths: Vec<ValueMatch>,
    /// None of these.
    pub not_paths: Vec<ValueMatch>,
}

/// `when`: an attribute and the values it may or may not have.
#[derive(Clone, Debug)]
pub struct Condition {
    /// `request.headers[x-user]`, `request.auth.claims[group]`, `source.namespace`, …
    pub key: Arc<str>,
    /// One of these, if there are any.
    pub values: Vec<ValueMatch>,
    /// None of these.
    pub not_values: Vec<ValueMatch>,
}

/// Istio's matching of values in security policies: exact, `prefix*`, `*suffix`, `*` (present).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Any, but not none and not empty.
    Present,
}

impl ValueMatch {
    /// Reads the notation.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            _ if text == "*" => Self::Present,
            (Some(suffix), _) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        }
    }

    /// Whether `text` matches.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::Present => !text.is_empty(),
        }
    }
}

/// A token bucket (Envoy `LocalRateLimit`).
#[derive(Clone, Debug)]
pub struct LocalRateLimit {
    /// Where it was written.
    pub origin: Origin,
    /// Tokens a full bucket holds.
    pub max_tokens: u32,
    /// Tokens that come back each time.
    pub tokens_per_fill: u32,
    /// How often they come back.
    pub fill_interval: Duration,
    /// A bucket for each remote address, instead of one for all.
    pub per_remote_address: bool,
    /// Share of requests that are counted.
    pub enabled: Share,
    /// Share of requests over the limit that are refused.
    pub enforced: Share,
    /// 429 unless said otherwise.
    pub status: http::StatusCode,
    /// How many before it, in the same resource, say the same. Each has a bucket of its own.
    pub twin: u32,
    /// Which requests; none is all that the workload gets.
    pub scope: Option<LimitScope>,
}

impl LocalRateLimit {
    /// Longest time from an empty bucket to a full one. Buckets reckon in 64 bits of nanoseconds,
    /// which is 584 years; this leaves room for the clock and is as good as never.
    pub const WINDOW_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

    /// Envoy takes no shorter `fill_interval`.
    pub const FILL_MIN: Duration = Duration::from_millis(50);

    /// A token comes back each time. Never nothing: what comes back faster than nanoseconds can
    /// tell comes back each of them.
    #[must_use]
    pub fn token_interval(&self) -> Duration {
        let interval = self.fill_interval / self.tokens_per_fill.max(1);
        interval.max(Duration::from_nanos(1))
    }

    /// From an empty bucket to a full one; none where that is longer than
    /// [`WINDOW_MAX`](Self::WINDOW_MAX).
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        let window = self.token_interval().checked_mul(self.max_tokens.max(1))?;
        (window <= Self::WINDOW_MAX).then_some(window)
    }
}

/// A local rate limit where calls leave the mesh: no proxy stands before what is outside, so that
/// the callers' count, each by itself.
#[derive(Clone, Debug)]
pub struct OutboundLimit {
    /// The limit; with a scope it is for what this rule sends.
    pub limit: LocalRateLimit,
    /// Labels of the callers that count; none is all of them.
    pub callers: Vec<(String, String)>,
    /// At the ingress alone, or between services alone.
    pub at_ingress: Option<bool>,
}

/// The rule of a `VirtualService` that a limit was written in (the `rateLimit` extension) or for
/// (an `EnvoyFilter` that patches this route alone). The limit is the callee's: it holds whichever
/// resource routed the request.
#[derive(Clone, Debug)]
pub struct LimitScope {
    /// The `VirtualService`.
    pub origin: Origin,
    /// The rule. Of the requests its own resource routes, only those of this rule are limited.
    pub route: Arc<str>,
    /// Of the others, those for which one of these holds; none is every request.
    pub matches: Vec<Match>,
}
