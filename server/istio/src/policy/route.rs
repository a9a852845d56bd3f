//! Compiled `HTTPRoute`s: which requests, and what happens to them.

use super::{LocalRateLimit, Origin, Share};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use regex::Regex;
use std::{sync::Arc, time::Duration};

/// One rule of a `VirtualService`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it was written.
    pub origin: Origin,
    /// `HTTPRoute.name`, or `#2` for the second rule of its resource. Unique within the resource.
    pub name: Arc<str>,
    /// Line of the rule in the resource as applied, from 1.
    pub line: u32,
    /// One of these must hold; none means every request.
    pub matches: Vec<Match>,
    /// What is done.
    pub action: Action,
    /// Before sending it on.
    pub rewrite: Option<Rewrite>,
    /// Covers all tries together; none is no limit (the caller's deadline still holds).
    pub timeout: Option<Duration>,
    /// When a try may be repeated.
    pub retry: Retry,
    /// Injected.
    pub fault: Option<Fault>,
    /// While its fault is active, timeout and retries are off, as Istio has it.
    pub faithful: bool,
    /// Copies, sent and forgotten.
    pub mirrors: Vec<Mirror>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// On request and answer.
    pub headers: HeaderOps,
    /// The `rateLimit` extension of this route; it is enforced as one of the workload it sends to,
    /// or where calls leave the mesh.
    pub rate_limit: Option<LocalRateLimit>,
}

/// All conditions of one match must hold. An absent condition always holds.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// `HTTPMatchRequest.name`.
    pub name: Option<Arc<str>>,
    /// The path, without query.
    pub uri: Option<StringMatch>,
    /// `uri` is compared without regard to case (exact and prefix only).
    pub ignore_uri_case: bool,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// Method.
    pub method: Option<StringMatch>,
    /// Host with port as sent.
    pub authority: Option<StringMatch>,
    /// Headers that must match.
    pub headers: Vec<(HeaderName, StringMatch)>,
    /// Headers that must not match.
    pub without_headers: Vec<(HeaderName, StringMatch)>,
    /// Claims of the token at the gateway that must match, each by the names of its levels.
    pub claims: Vec<(Vec<String>, StringMatch)>,
    /// Claims that must not match.
    pub without_claims: Vec<(Vec<String>, StringMatch)>,
    /// Query parameters that must match.
    pub query: Vec<(String, StringMatch)>,
    /// Labels of the caller's workload.
    pub source_labels: Vec<(String, String)>,
    /// Namespace of the caller's workload.
    pub source_namespace: Option<String>,
    /// Port of the destination.
    pub port: Option<u16>,
    /// Only at these gateways; [`None`] is wherever the `VirtualService` holds.
    pub at_ingress: Option<bool>,
    /// Only at gateways that are not there: no request matches.
    pub nowhere: bool,
}

/// Istio's `StringMatch`.
#[derive(Clone, Debug)]
pub enum StringMatch {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// The whole text, RE2 style (anchored at both ends).
    Regex(Regex),
    /// Any value, as long as there is one (an empty `StringMatch` of a header).
    Present,
}

impl StringMatch {
    /// Whether `text` matches.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Regex(regex) => regex.is_match(text),
            Self::Present => true,
        }
    }
}

/// What a route does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends the request to one of these, by weight. Never empty; the sum is not zero.
    Forward(Vec<Weighted>),
    /// Answers 3xx.
    Redirect(Redirect),
    /// Answers itself.
    Direct(DirectResponse),
}

/// One destination of a split.
#[derive(Clone, Debug)]
pub struct Weighted {
    /// The service. A name nobody answers to is kept, and calls to it find no service.
    pub service: Arc<str>,
    /// Instances of this subset only.
    pub subset: Option<Arc<str>>,
    /// The port it is called at, if the rule says one.
    pub port: Option<u16>,
    /// Share is weight by sum of weights.
    pub weight: u32,
    /// On request and answer of this destination.
    pub headers: HeaderOps,
}

/// `HTTPRedirect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Whole new path.
    pub uri: Option<String>,
    /// New host.
    pub authority: Option<String>,
    /// New scheme.
    pub scheme: Option<String>,
    /// New port.
    pub port: Option<u16>,
    /// Where the port comes from, if that is said in place of it.
    pub derive_port: Option<DerivePort>,
    /// 301 unless said otherwise.
    pub status: StatusCode,
}

/// `HTTPRedirect.RedirectPortSelection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivePort {
    /// None is written: 80 or 443, as the scheme says.
    ProtocolDefault,
    /// That of the request.
    Request,
}

/// `HTTPDirectResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status.
    pub status: StatusCode,
    /// Body.
    pub body: Vec<u8>,
}

/// `HTTPRewrite`, and the host that `headers.request` of the rule sets.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// Replaces the matched prefix, or the whole path if the match was not a prefix.
    pub uri: Option<String>,
    /// Replaces the part of the path that the expression matches, with `\1` for groups.
    pub uri_regex: Option<(Regex, String)>,
    /// Replaces the host.
    pub authority: Option<String>,
}

/// `HTTPRetry`, with Istio's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Retries after the first try.
    pub attempts: u32,
    /// For each try; none is what is left of the timeout.
    pub per_try_timeout: Option<Duration>,
    /// What may be repeated.
    pub on: Vec<RetryOn>,
    /// Base of the back-off (25 ms in Envoy).
    pub backoff: Duration,
    /// Prefer endpoints that were not tried. Where nobody wrote it, every balancer does but a
    /// consistent hash, which sends each try where the key belongs
    /// (`DefaultConsistentHashPolicy` in `retry.go`).
    pub ignore_previous_hosts: Option<bool>,
    /// Nobody wrote it: Istio's default policy.
    pub by_default: bool,
}

impl Default for Retry {
    /// Istio's default policy (`pilot/pkg/networking/core/route/retry/retry.go`).
    fn default() -> Self {
        Self {
            attempts: 2,
            per_try_timeout: None,
            on: vec![
                RetryOn::ConnectFailure,
                RetryOn::RefusedStream,
                RetryOn::GrpcUnavailable,
                RetryOn::GrpcCancelled,
            ],
            backoff: Duration::from_millis(25),
            ignore_previous_hosts: None,
            by_default: true,
        }
    }
}

/// One token of `retryOn` (Envoy `x-envoy-retry-on` and `x-envoy-retry-grpc-on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// Any 5xx, or no answer at all.
    ServerError,
    /// 502, 503, 504.
    GatewayError,
    /// No answer: disconnect, reset, read timeout.
    Reset,
    /// No answer, and nothing of the request was sent.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// The endpoint refused the stream before processing.
    RefusedStream,
    /// 409.
    RetriableFourXx,
    /// 429 or 503 with the `x-envoy-ratelimited` header.
    EnvoyRateLimited,
    /// The status codes listed beside it.
    RetriableStatusCodes,
    /// This status, sent by the destination.
    Status(u16),
    /// gRPC status 1.
    GrpcCancelled,
    /// gRPC status 4.
    GrpcDeadlineExceeded,
    /// gRPC status 13.
    GrpcInternal,
    /// gRPC status 8.
    GrpcResourceExhausted,
    /// gRPC status 14.
    GrpcUnavailable,
}

/// `HTTPFaultInjection`. Delay and abort are drawn independently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Holds requests.
    pub delay: Option<FaultDelay>,
    /// Answers instead of the destination.
    pub abort: Option<FaultAbort>,
}

/// `HTTPFaultInjection.Delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultDelay {
    /// Of the requests of the route.
    pub share: Share,
    /// How long.
    pub delay: Duration,
}

/// `HTTPFaultInjection.Abort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultAbort {
    /// Of the requests of the route.
    pub share: Share,
    /// With which status.
    pub status: StatusCode,
    /// And with which gRPC status, if one was asked for.
    pub grpc_status: Option<u8>,
}

/// `HTTPMirrorPolicy`.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where the copy goes.
    pub service: Arc<str>,
    /// Instances of this subset only.
    pub subset: Option<Arc<str>>,
    /// Of the requests of the route.
    pub share: Share,
}

/// `CorsPolicy`.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins that are allowed.
    pub origins: Vec<StringMatch>,
    /// Methods that are allowed.
    pub methods: Vec<Method>,
    /// Request headers that are allowed.
    pub headers: Vec<HeaderName>,
    /// Answer headers that scripts may read.
    pub expose: Vec<HeaderName>,
    /// How long a preflight answer may be kept.
    pub max_age: Option<Duration>,
    /// Cookies and authorization may be sent.
    pub credentials: Option<bool>,
}

/// `Headers`: set, add, remove, on the request and on the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    /// On the way there.
    pub request: HeaderEdits,
    /// On the way back.
    pub response: HeaderEdits,
}

/// `HeaderOperations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Overwritten.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Appended.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Taken away.
    pub remove: Vec<HeaderName>,
}
