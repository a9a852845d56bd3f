//! The callee's side of one instance: what a request passes before the service's router.

use super::{
    authentication::{Authenticator, Claims, TokenError},
    authorization::{Attributes, Decision, decide, rehearse},
    identity::Identity,
    rate_limit::{BucketStanding, LimitKey, Limiter, Peer, Verdict},
};
use crate::{
    EXTERNAL_ADDRESS, Flag, Request, Response,
    journey::Journey,
    route::{self, Routed},
    target::authority_of,
};
use arc_swap::ArcSwapOption;
use axum::body::Body;
use base::Clock;
use contract::service::GATEWAY;
use http::{HeaderValue, Method, StatusCode, header};
use istio::policy::{LocalRateLimit, Mtls, Workload};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where the gateway says whether it is ready.
const READINESS: &str = "/readyz";
/// Rate limits whose buckets are kept for one service beside those of the newest policy: of a few
/// that were replaced and may come back.
const REPLACED_MAX: usize = 16;

/// The buckets of one service, for all its instances together. Envoy counts in each proxy by
/// itself; a limit of 100 a minute would then be 100 for each instance that happens to be there.
#[derive(Debug)]
pub(crate) struct Limiters {
    clock: Clock,
    seed: u64,
    kept: Mutex<Kept>,
}

/// Buckets stay while a rule says the same, whatever the revision.
#[derive(Debug, Default)]
struct Kept {
    /// The newest snapshot that a request brought along.
    snapshot: Option<u64>,
    /// Of all its rules, so many as validation lets there be.
    in_force: HashMap<LimitKey, Arc<Limiter>>,
    /// Of snapshots before it, which requests under way still follow. Newest last.
    replaced: VecDeque<(LimitKey, Arc<Limiter>)>,
    /// How many of these there may be.
    room: usize,
}

impl Limiters {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, seed, kept: Mutex::default() }
    }

    /// The buckets of rules that a request follows by a snapshot; `all` are the service's rules
    /// there. The newest snapshot decides what is kept.
    pub(super) fn of<'r>(
        &self,
        rules: impl Iterator<Item = &'r LocalRateLimit>,
        all: impl Iterator<Item = &'r LocalRateLimit>,
        snapshot: u64,
    ) -> Vec<Arc<Limiter>> {
        let fresh = |rule: &LocalRateLimit| {
            Arc::new(Limiter::new(rule.clone(), self.clock.clone(), self.seed))
        };
        let mut kept = self.kept.lock();
        if kept.snapshot.is_none_or(|newest| newest < snapshot) {
            kept.follow(snapshot, all, fresh);
        }
        rules.map(|rule| kept.limiter(LimitKey::of(rule), || fresh(rule))).collect()
    }
}

impl Kept {
    fn follow<'r>(
        &mut self,
        snapshot: u64,
        all: impl Iterator<Item = &'r LocalRateLimit>,
        fresh: impl Fn(&LocalRateLimit) -> Arc<Limiter>,
    ) {
        let mut before = std::mem::take(&mut self.in_force);
        for rule in all {
            let key = LimitKey::of(rule);
            let at = self.replaced.iter().position(|(of, _)| *of == key);
            let again = || at.and_then(|at| self.replaced.remove(at)).map(|(_, limiter)| limiter);
            let known = before.remove(&key).or_else(again);
            self.in_force.entry(key).or_insert_with(|| known.unwrap_or_else(|| fresh(rule)));
        }
        // Requests under way may follow all that were in force just now.
        self.room = before.len().max(REPLACED_MAX);
        self.replaced.extend(before);
        self.make_room();
        self.snapshot = Some(snapshot);
    }

    fn limiter(&mut self, key: LimitKey, fresh: impl FnOnce() -> Arc<Limiter>) -> Arc<Limiter> {
        let replaced = || self.replaced.iter().find(|(of, _)| *of == key).map(|(_, known)| known);
        if let Some(known) = self.in_force.get(&key).or_else(replaced) {
            return known.clone();
        }
        let limiter = fresh();
        self.replaced.push_back((key, limiter.clone()));
        self.make_room();
        limiter
    }

    fn make_room(&mut self) {
        let over = self.replaced.len().saturating_sub(self.room.max(REPLACED_MAX));
        self.replaced.drain(..over);
    }
}

/// The callee's side of one instance. What it enforces comes with each request: the policy that
/// the request was given at its start.
#[derive(Debug)]
pub(crate) struct Inbound {
    clock: Clock,
    service: Arc<str>,
    instance: Arc<str>,
    /// Of the newest revision seen.
    authenticator: ArcSwapOption<(u64, Authenticator)>,
    /// Those of the service.
    limiters: Arc<Limiters>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    passed: AtomicU64,
    bad_token: AtomicU64,
    denied: AtomicU64,
    limited: LimitCounts,
}

/// Requests over some limit.
#[derive(Debug, Default)]
pub(super) struct LimitCounts {
    refused: AtomicU64,
    over: AtomicU64,
}

impl LimitCounts {
    /// Those that were refused, and all of them.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.refused.load(Ordering::Relaxed), self.over.load(Ordering::Relaxed))
    }
}

/// What one instance let in and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundStats {
    /// The service.
    pub service: Arc<str>,
    /// The instance.
    pub instance: Arc<str>,
    /// Requests that came to the service's router.
    pub passed: u64,
    /// Refused by `RequestAuthentication`.
    pub bad_token: u64,
    /// Refused by `AuthorizationPolicy`.
    pub denied: u64,
    /// Refused by a local rate limit.
    pub rate_limited: u64,
    /// Over a limit, refused or not.
    pub over_limit: u64,
}

/// The answer in place of the service's.
pub(crate) type Refused = Box<Response>;

/// What a request that passed takes along for its answer.
#[derive(Debug, Default)]
pub(crate) struct Entered(Vec<(Arc<Limiter>, BucketStanding)>);

impl Entered {
    /// Puts the rate limits on the answer.
    pub(crate) fn describe(&self, response: &mut Response) {
        for (limiter, standing) in &self.0 {
            limiter.describe(response, *standing);
        }
    }
}

impl Inbound {
    pub(crate) fn new(
        clock: Clock,
        service: Arc<str>,
        instance: Arc<str>,
        limiters: Arc<Limiters>,
    ) -> Self {
        Self {
            clock,
            service,
            instance,
            authenticator: ArcSwapOption::empty(),
            limiters,
            counts: Counts::default(),
        }
    }

    /// The buckets, if this is an instance of the service.
    pub(crate) fn limiters_of(&self, service: &str) -> Option<&Arc<Limiters>> {
        (*self.service == *service).then_some(&self.limiters)
    }

    pub(crate) fn stats(&self) -> InboundStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (rate_limited, over_limit) = self.counts.limited.read();
        InboundStats {
            service: self.service.clone(),
            instance: self.instance.clone(),
            passed: read(&self.counts.passed),
            bad_token: read(&self.counts.bad_token),
            denied: read(&self.counts.denied),
            rate_limited,
            over_limit,
        }
    }

    /// Lets a request in, or gives the answer in place of the service's.
    pub(crate) fn enter(&self, request: &mut Request) -> Result<Entered, Refused> {
        // A request without a journey did not come through the mesh; one that only looks is the
        // dashboard's and no traffic.
        let journey = Journey::of(request).filter(|journey| !journey.look).cloned();
        let routed = request.extensions_mut().remove::<Arc<Routed>>();
        let (Some(journey), Some(routed)) = (journey, routed) else {
            return Ok(Entered::default());
        };
        let policy = routed.snapshot.policy();
        let workload = policy.workloads.get(&self.service);
        let mtls = workload.map_or_else(Mtls::default, |workload| workload.mtls);
        let identity = self.identity(&journey, mtls);
        let address = address(request, &journey);
        let entered = self.limited(request, (&routed, &journey), address)?;
        if let Some(workload) = workload.filter(|_| !self.is_probe(request, &journey)) {
            let port = self.port(&routed, &journey);
            let caller = Caller { identity: identity.as_ref(), address, port };
            if let Err(mut refused) =
                self.admit(request, &journey, workload, policy.revision, &caller)
            {
                entered.describe(&mut refused);
                return Err(refused);
            }
        }
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        count(&self.counts.passed);
        Ok(entered)
    }

    /// The rate limits come first: the filter that an `EnvoyFilter` inserts stands before those of
    /// tokens and authorization, so that what these refuse is limited too.
    fn limited(
        &self,
        request: &Request,
        (routed, journey): (&Routed, &Journey),
        address: Option<IpAddr>,
    ) -> Result<Entered, Refused> {
        let peer = peer(journey, address);
        let workload = routed.snapshot.policy().workloads.get(&self.service);
        let all = workload.map_or(&[][..], |workload| &workload.rate_limits);
        let mut rules = all.iter().filter(|rule| concerns(rule, routed, request, journey));
        let limiters = match rules.next() {
            None => Vec::new(),
            Some(first) => {
                let rules = std::iter::once(first).chain(rules);
                self.limiters.of(rules, all.iter(), routed.snapshot.number())
            }
        };
        limit(limiters, &peer, journey, &self.counts.limited)
    }

    /// Who calls, as the connection says. The gateway stands at the ingress: who comes to it is
    /// outside and has no identity. Behind it the proxy at the ingress calls in its own name. A
    /// connection without mutual TLS (`DISABLE`) has no certificate on it that would say a name, so
    /// that Istio's `source.principal` and `source.namespace` are empty there.
    fn identity(&self, journey: &Journey, mtls: Mtls) -> Option<Identity> {
        match journey.ingress {
            _ if mtls == Mtls::Disable => None,
            false => Some(Identity::of_service(&journey.source.service)),
            true => (*self.service != *GATEWAY).then(Identity::of_ingress),
        }
    }

    /// Whether whoever runs the program asks if it is ready. Istio has the kubelet's probes go past
    /// the proxy (`rewriteAppHTTPProbers`), so that no policy takes a workload out of service.
    fn is_probe(&self, request: &Request, journey: &Journey) -> bool {
        let asks = request.method() == Method::GET && request.uri().path() == READINESS;
        journey.ingress && *self.service == *GATEWAY && asks
    }

    /// The port a call came to. The gateway stands at the ingress: it listens where the server of
    /// the `Gateway` does that let the request in.
    fn port(&self, routed: &Routed, journey: &Journey) -> u16 {
        match journey.ingress && *self.service == *GATEWAY {
            true => routed.addressed_port,
            false => routed.port(),
        }
    }

    /// Tokens and authorization. `STRICT` has nobody to refuse: whoever calls within the mesh has
    /// an identity, the proxy at the ingress too, and the listener at the ingress is not under
    /// `PeerAuthentication` in Istio.
    fn admit(
        &self,
        request: &mut Request,
        journey: &Journey,
        workload: &Workload,
        revision: u64,
        caller: &Caller<'_>,
    ) -> Result<(), Refused> {
        let claims = match self.check_token(request, workload, revision) {
            Ok(claims) => claims,
            Err(error) => {
                count(&self.counts.bad_token);
                return Err(bad_token(request, journey, error));
            }
        };
        if !workload.authorization.is_empty() {
            self.authorize(request, journey, workload, claims.as_ref(), caller)?;
        }
        if let Some(claims) = claims {
            request.extensions_mut().insert(claims);
        }
        Ok(())
    }

    fn check_token(
        &self,
        request: &mut Request,
        workload: &Workload,
        revision: u64,
    ) -> Result<Option<Claims>, TokenError> {
        if workload.authentication.is_empty() {
            return Ok(None);
        }
        let kept = self.authenticator.load_full().filter(|kept| kept.0 == revision);
        let kept = kept.unwrap_or_else(|| {
            let compiled = Authenticator::compile(&workload.authentication);
            let compiled = Arc::new((revision, compiled));
            self.authenticator.store(Some(compiled.clone()));
            compiled
        });
        kept.1.check(request, self.clock.now_us())
    }

    fn authorize(
        &self,
        request: &Request,
        journey: &Journey,
        workload: &Workload,
        claims: Option<&Claims>,
        &Caller { identity, address, port }: &Caller<'_>,
    ) -> Result<(), Refused> {
        let attributes = Attributes {
            principal: identity.map(Identity::principal),
            namespace: identity.map(Identity::namespace),
            address,
            // No proxy before the ingress is trusted, and services pass no X-Forwarded-For on.
            remote: address,
            claims,
            host: authority_of(request, journey),
            port,
            method: request.method().as_str(),
            path: request.uri().path(),
            headers: request.headers(),
        };
        let (decision, audited) = decide(&workload.authorization, &attributes);
        for origin in audited {
            tracing::info!("audited by AuthorizationPolicy {}", origin.name);
        }
        if let Some(by) = refused_by(&rehearse(&workload.authorization, &attributes)) {
            tracing::info!("would be refused, were it no dry run, by {by}");
        }
        let Some(by) = refused_by(&decision) else { return Ok(()) };
        count(&self.counts.denied);
        tracing::info!("refused by {by}");
        Err(refusal(StatusCode::FORBIDDEN, "RBAC: access denied"))
    }
}

/// Who is counted.
pub(super) fn peer(journey: &Journey, address: Option<IpAddr>) -> Peer {
    match (journey.ingress, address) {
        (false, _) => Peer::Service(journey.source.service.clone()),
        (true, Some(address)) => Peer::Address(address),
        (true, None) => Peer::Unknown,
    }
}

/// Takes a token from each bucket that counts a request, or gives the answer of the first that has
/// none.
pub(super) fn limit(
    limiters: Vec<Arc<Limiter>>,
    peer: &Peer,
    journey: &Journey,
    counts: &LimitCounts,
) -> Result<Entered, Refused> {
    let mut entered = Entered::default();
    for limiter in limiters {
        let standing = match limiter.check(peer.clone()) {
            Verdict::Uncounted => continue,
            Verdict::Pass(standing) => standing,
            Verdict::Spared(standing) => {
                count(&counts.over);
                standing
            }
            Verdict::Refused(standing) => {
                count(&counts.over);
                count(&counts.refused);
                journey.add(Flag::RateLimited);
                let mut response = limiter.refusal(standing);
                limiter.describe(&mut response, standing);
                return Err(Box::new(response));
            }
        };
        entered.0.push((limiter, standing));
    }
    Ok(entered)
}

/// Who calls, and where.
struct Caller<'a> {
    identity: Option<&'a Identity>,
    address: Option<IpAddr>,
    port: u16,
}

/// Which policies refuse, if any do.
fn refused_by(decision: &Decision<'_>) -> Option<String> {
    match decision {
        Decision::Allow => None,
        Decision::Deny(origin) => Some(format!("AuthorizationPolicy {}", origin.name)),
        Decision::NotAllowed => Some("every ALLOW policy: none matches".to_owned()),
    }
}

/// Whether a limit counts a request. What was routed by the resource of the limit is counted by the
/// rule that took it, for it may look different since; what came another way, by what it looks
/// like.
fn concerns(rule: &LocalRateLimit, routed: &Routed, request: &Request, journey: &Journey) -> bool {
    let Some(scope) = &rule.scope else { return true };
    match &routed.route {
        Some(route) if route.origin == scope.origin => route.name == scope.route,
        _ => {
            let holds = |condition| route::holds(condition, request, journey, Some(routed));
            scope.matches.is_empty() || scope.matches.iter().any(holds)
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where a request comes from: what the edge noted, or this machine for a service of the mesh.
pub(super) fn address(request: &Request, journey: &Journey) -> Option<IpAddr> {
    if !journey.ingress {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    request.headers().get(EXTERNAL_ADDRESS)?.to_str().ok()?.parse().ok()
}

fn refusal(status: StatusCode, why: &'static str) -> Refused {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    Box::new(response)
}

/// RFC 6750, section 3, as Envoy writes it.
pub(crate) fn bad_token(request: &Request, journey: &Journey, error: TokenError) -> Refused {
    let mut response = Response::new(Body::from(error.to_string()));
    *response.status_mut() = error.status();
    let realm = format!("http://{}{}", authority_of(request, journey), request.uri().path());
    let challenge = format!("Bearer realm=\"{realm}\", error=\"invalid_token\"");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    Box::new(response)
}
