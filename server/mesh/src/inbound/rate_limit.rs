//! The local rate limit: a token bucket per rule, or per rule and caller.
//!
//! The bucket is the crate `governor`'s generic cell rate algorithm, which is a token bucket that
//! fills evenly, as Envoy's does. The headers are those of draft-ietf-httpapi-ratelimit-headers-10.

use crate::{Response, share::Strata};
use axum::body::Body;
use base::{Clock, clock::micros};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, Reference},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderName, HeaderValue, header};
use istio::policy::LocalRateLimit;
use parking_lot::Mutex;
use std::{
    collections::HashMap, net::IpAddr, num::NonZeroU32, ops::Add, sync::Arc, time::Duration,
};

/// Callers remembered by one rule. All that are beyond share one bucket, so that a flood of
/// addresses cannot make room for itself.
const CALLERS_MAX: usize = 10_000;

/// Quota policies in force.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of them.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What the retry token `envoy-ratelimited` looks for.
const ENVOY_RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Somebody outside.
    Address(IpAddr),
    /// A service of the mesh: every one has the same address here.
    Service(Arc<str>),
    /// Nobody in particular.
    Unknown,
}

/// One rule with its buckets.
#[derive(Debug)]
pub(crate) struct Limiter {
    rule: LocalRateLimit,
    clock: RateClock,
    enabled: Strata,
    enforced: Strata,
    /// With the time of their last use, microseconds since the epoch.
    buckets: Mutex<HashMap<Peer, (Arc<Bucket>, i64)>>,
    /// For all callers together, or for those that are not remembered.
    common: Option<Arc<Bucket>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, RateClock, StateInformationMiddleware>;

/// What a rule says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not counted.
    Uncounted,
    /// It passes.
    Pass(Standing),
    /// It is over the limit, and passes because the rule is not enforced for it.
    Spared(Standing),
    /// It is refused.
    Refused(Standing),
}

/// How the bucket stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Tokens left.
    pub(crate) remaining: u32,
    /// Until a token is there; nothing if one is.
    pub(crate) wait: Duration,
    /// Until the bucket is full.
    pub(crate) full_in: Duration,
}

impl Limiter {
    pub(crate) fn new(rule: LocalRateLimit, clock: Clock, seed: u64) -> Self {
        let clock = RateClock(clock);
        let enabled = Strata::new(rule.enabled, seed);
        let enforced = Strata::new(rule.enforced, seed.rotate_left(1));
        let common = bucket(&rule, &clock).map(Arc::new);
        Self { rule, clock, enabled, enforced, buckets: Mutex::default(), common }
    }

    /// Whether it counts what another rule says: the same limit from the same resource.
    pub(crate) fn is_for(&self, rule: &LocalRateLimit) -> bool {
        let key = |rule: &LocalRateLimit| {
            let LocalRateLimit { max_tokens, tokens_per_fill, fill_interval, .. } = rule;
            let shares = (rule.enabled, rule.enforced, rule.per_remote_address, rule.status);
            let route = rule.scope.as_ref().map(|scope| scope.route.clone());
            (rule.origin.clone(), route, *max_tokens, *tokens_per_fill, *fill_interval, shares)
        };
        key(&self.rule) == key(rule)
    }

    /// Takes a token for a request.
    pub(crate) fn check(&self, peer: Peer) -> Verdict {
        if !self.enabled.draw() {
            return Verdict::Uncounted;
        }
        let (over, standing) = self.take(peer);
        match over {
            false => Verdict::Pass(standing),
            true if self.enforced.draw() => Verdict::Refused(standing),
            true => Verdict::Spared(standing),
        }
    }

    fn take(&self, peer: Peer) -> (bool, Standing) {
        // A rule without tokens never has one.
        let never = Standing { remaining: 0, wait: self.window(), full_in: self.window() };
        let Some(bucket) = self.bucket(peer) else { return (true, never) };
        match bucket.check() {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let missing = self.rule.max_tokens.saturating_sub(remaining);
                let full_in = self.token_in() * missing;
                (false, Standing { remaining, wait: Duration::ZERO, full_in })
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                (true, Standing { remaining: 0, wait, full_in: self.window() })
            }
        }
    }

    fn bucket(&self, peer: Peer) -> Option<Arc<Bucket>> {
        if !self.rule.per_remote_address {
            return self.common.clone();
        }
        let now_us = self.clock.0.now_us();
        let mut buckets = self.buckets.lock();
        if let Some((known, used_us)) = buckets.get_mut(&peer) {
            *used_us = now_us;
            return Some(known.clone());
        }
        if buckets.len() >= CALLERS_MAX {
            // A bucket that was left alone for a whole window is full, as a new one would be.
            let window_us = micros(self.window());
            buckets.retain(|_, (_, used_us)| now_us.saturating_sub(*used_us) < window_us);
        }
        if buckets.len() >= CALLERS_MAX {
            return self.common.clone();
        }
        let fresh = Arc::new(bucket(&self.rule, &self.clock)?);
        buckets.insert(peer, (fresh.clone(), now_us));
        Some(fresh)
    }

    /// A token comes back each time.
    fn token_in(&self) -> Duration {
        self.rule.fill_interval / self.rule.tokens_per_fill.max(1)
    }

    /// From empty to full.
    fn window(&self) -> Duration {
        self.token_in() * self.rule.max_tokens.max(1)
    }

    /// Puts the rule and its standing on an answer.
    pub(crate) fn describe(&self, response: &mut Response, standing: Standing) {
        let name = sf_string(&self.rule.origin.name);
        let window = ceil_s(self.window());
        let policy = format!("{name};q={};w={window}", self.rule.max_tokens);
        let reset = if standing.remaining > 0 { standing.full_in } else { standing.wait };
        let limit = format!("{name};r={};t={}", standing.remaining, ceil_s(reset));
        for (header, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(header, value);
            }
        }
    }

    /// The answer in place of the service's.
    pub(crate) fn refusal(&self, standing: Standing) -> Response {
        let mut response = Response::new(Body::from("local_rate_limited"));
        *response.status_mut() = self.rule.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ceil_s(standing.wait).max(1)));
        headers.insert(ENVOY_RATE_LIMITED, HeaderValue::from_static("true"));
        response
    }
}

fn bucket(rule: &LocalRateLimit, clock: &RateClock) -> Option<Bucket> {
    let burst = NonZeroU32::new(rule.max_tokens)?;
    let period = rule.fill_interval.checked_div(rule.tokens_per_fill)?;
    let quota = Quota::with_period(period)?.allow_burst(burst);
    Some(RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware())
}

/// Whole seconds, rounded up.
fn ceil_s(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A string of RFC 9651: printable ASCII in quotes.
fn sf_string(text: &str) -> String {
    let printable = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
    let escaped = printable.flat_map(|c| {
        let escape = matches!(c, '"' | '\\').then_some('\\');
        escape.into_iter().chain([c])
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// The mesh's clock, for governor.
#[derive(Clone, Debug)]
struct RateClock(Clock);

/// Nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl governor::clock::Clock for RateClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.0.now_us()).unwrap_or(0).saturating_mul(1_000))
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use istio::policy::{Origin, Share};

    fn limiter(name: &str) -> Limiter {
        let rule = LocalRateLimit {
            origin: Origin { name: name.into(), ..Origin::default() },
            max_tokens: 2,
            tokens_per_fill: 2,
            fill_interval: Duration::from_secs(60),
            per_remote_address: true,
            enabled: Share::ALL,
            enforced: Share::ALL,
            status: http::StatusCode::TOO_MANY_REQUESTS,
            scope: None,
        };
        Limiter::new(rule, Clock::tokio(0), 1)
    }

    fn peer(number: usize) -> Peer {
        Peer::Service(number.to_string().into())
    }

    fn passes(limiter: &Limiter, number: usize) -> bool {
        matches!(limiter.check(peer(number)), Verdict::Pass(_))
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_callers_is_bounded_and_takes_nothing_from_those_that_are_known() {
        let limiter = limiter("flood");
        assert!((0..CALLERS_MAX).all(|number| passes(&limiter, number)));
        let flood = (CALLERS_MAX..CALLERS_MAX + 500).filter(|number| passes(&limiter, *number));
        assert_eq!(flood.count(), 2, "they share one bucket");
        assert_eq!(limiter.buckets.lock().len(), CALLERS_MAX);
        assert!(passes(&limiter, 0), "who is known still has a token");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(passes(&limiter, 0));
        assert!(passes(&limiter, CALLERS_MAX) && passes(&limiter, CALLERS_MAX));
        assert!(limiter.buckets.lock().len() < 10, "those that are full again are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_without_tokens_refuses_everything() {
        let mut limiter = limiter("none");
        limiter.rule.max_tokens = 0;
        limiter.common = None;
        limiter.rule.per_remote_address = false;
        assert!(matches!(limiter.check(peer(1)), Verdict::Refused(_)));
    }

    #[test]
    fn a_name_becomes_a_string_of_structured_fields() {
        assert_eq!(sf_string("a \"b\" \\ é\n"), "\"a \\\"b\\\" \\\\ \"");
    }
}
