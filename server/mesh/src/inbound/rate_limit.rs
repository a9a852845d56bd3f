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
use http::{HeaderName, HeaderValue, StatusCode, header};
use istio::policy::{LocalRateLimit, Origin};
use parking_lot::Mutex;
use std::{
    collections::HashMap, net::IpAddr, num::NonZeroU32, ops::Add, sync::Arc, time::Duration,
};

/// Callers remembered by one rule. All that are beyond share one bucket, so that a flood of
/// addresses cannot make room for itself.
const CALLERS_MAX: usize = 10_000;
/// How often it is looked which of them may be forgotten, microseconds, whatever the rule says:
/// going through all of them for each of a flood would be dear, and who waits does not wait long.
const LOOK_EVERY_US: i64 = 1_000_000;

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
    buckets: Mutex<Buckets>,
    /// For all callers together, or for those that are not remembered.
    common: Arc<Bucket>,
}

/// The buckets of the callers that are remembered.
#[derive(Debug, Default)]
struct Buckets {
    /// With the time of their last use, microseconds of steady time.
    known: HashMap<Peer, (Arc<Bucket>, i64)>,
    /// From then on it is looked again which of them nobody used for a whole window.
    next_look_us: i64,
    #[cfg(test)]
    looks: usize,
}

impl Buckets {
    /// Forgets those that are full again, as new ones would be.
    fn make_room(&mut self, now_us: i64, window: Duration) {
        if now_us < self.next_look_us {
            return;
        }
        #[cfg(test)]
        {
            self.looks += 1;
        }
        self.next_look_us = now_us.saturating_add(LOOK_EVERY_US);
        let window_us = micros(window);
        self.known.retain(|_, (_, used_us)| now_us.saturating_sub(*used_us) < window_us);
    }
}

/// What makes a limit the same limit: what it says, the resource it is from, and which of those
/// there that say the same it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    origin: Origin,
    route: Option<(Origin, Arc<str>)>,
    twin: u32,
    tokens: (u32, u32, Duration),
    shares: (u32, u32),
    per_remote_address: bool,
    status: StatusCode,
}

impl LimitKey {
    pub(crate) fn of(rule: &LocalRateLimit) -> Self {
        Self {
            origin: rule.origin.clone(),
            route: rule.scope.as_ref().map(|scope| (scope.origin.clone(), scope.route.clone())),
            twin: rule.twin,
            tokens: (rule.max_tokens, rule.tokens_per_fill, rule.fill_interval),
            shares: (rule.enabled.0, rule.enforced.0),
            per_remote_address: rule.per_remote_address,
            status: rule.status,
        }
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, RateClock, StateInformationMiddleware>;

/// What a rule says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not counted.
    Uncounted,
    /// It passes.
    Pass(BucketStanding),
    /// It is over the limit, and passes because the rule is not enforced for it.
    Spared(BucketStanding),
    /// It is refused.
    Refused(BucketStanding),
}

/// How the bucket stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketStanding {
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
        let common = Arc::new(bucket(&rule, &clock));
        Self { rule, clock, enabled, enforced, buckets: Mutex::default(), common }
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

    fn take(&self, peer: Peer) -> (bool, BucketStanding) {
        match self.bucket(peer).check() {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let missing = self.rule.max_tokens.saturating_sub(remaining);
                let full_in = self.rule.token_interval().saturating_mul(missing);
                (false, BucketStanding { remaining, wait: Duration::ZERO, full_in })
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                (true, BucketStanding { remaining: 0, wait, full_in: self.window() })
            }
        }
    }

    fn bucket(&self, peer: Peer) -> Arc<Bucket> {
        if !self.rule.per_remote_address {
            return self.common.clone();
        }
        let now_us = self.clock.0.steady_us();
        let mut buckets = self.buckets.lock();
        if let Some((known, used_us)) = buckets.known.get_mut(&peer) {
            *used_us = now_us;
            return known.clone();
        }
        if buckets.known.len() >= CALLERS_MAX {
            buckets.make_room(now_us, self.window());
        }
        if buckets.known.len() >= CALLERS_MAX {
            return self.common.clone();
        }
        let fresh = Arc::new(bucket(&self.rule, &self.clock));
        buckets.known.insert(peer, (fresh.clone(), now_us));
        fresh
    }

    /// From empty to full.
    fn window(&self) -> Duration {
        self.rule.window().unwrap_or(LocalRateLimit::WINDOW_MAX)
    }

    /// Puts the rule and its standing on an answer.
    pub(crate) fn describe(&self, response: &mut Response, standing: BucketStanding) {
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
    pub(crate) fn refusal(&self, standing: BucketStanding) -> Response {
        let mut response = Response::new(Body::from("local_rate_limited"));
        *response.status_mut() = self.rule.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ceil_s(standing.wait).max(1)));
        headers.insert(ENVOY_RATE_LIMITED, HeaderValue::from_static("true"));
        response
    }
}

/// A full bucket. The schema lets no rule have no tokens, and validation none that is over the
/// longest window; governor multiplies both in 64 bits and would panic, so that a rule from
/// elsewhere is held to the same bounds.
fn bucket(rule: &LocalRateLimit, clock: &RateClock) -> Bucket {
    let burst = NonZeroU32::new(rule.max_tokens).unwrap_or(NonZeroU32::MIN);
    let longest = LocalRateLimit::WINDOW_MAX / burst.get();
    let period = rule.token_interval().min(longest);
    let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(burst));
    RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone()).with_middleware()
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

/// The steady part of the mesh's clock, for governor: a limit does not last longer because the date
/// goes back.
#[derive(Clone, Debug)]
struct RateClock(Clock);

/// Nanoseconds of steady time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl governor::clock::Clock for RateClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.0.steady_us()).unwrap_or(0).saturating_mul(1_000))
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
    use istio::policy::Share;

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
            twin: 0,
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
        assert_eq!(limiter.buckets.lock().known.len(), CALLERS_MAX);
        assert_eq!(limiter.buckets.lock().looks, 1, "nothing can have come free meanwhile");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(passes(&limiter, CALLERS_MAX), "a token came back");
        assert_eq!(limiter.buckets.lock().looks, 2);
        assert!(passes(&limiter, 0), "who is known still has a token");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(passes(&limiter, 0));
        assert!(passes(&limiter, CALLERS_MAX) && passes(&limiter, CALLERS_MAX));
        assert!(limiter.buckets.lock().known.len() < 10, "those that are full again are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_looked_for_each_second_whatever_the_pace_of_the_rule() {
        let paced = |max_tokens: u32, fill_interval: Duration| {
            let rule = limiter("paced").rule;
            let rule =
                LocalRateLimit { max_tokens, tokens_per_fill: max_tokens, fill_interval, ..rule };
            Limiter::new(rule, Clock::tokio(0), 1)
        };
        // One token an hour: a place is free as soon as its caller was away for an hour.
        let slow = paced(1, Duration::from_secs(3_600));
        assert!(passes(&slow, 0));
        tokio::time::advance(Duration::from_secs(1_800)).await;
        assert!((1..CALLERS_MAX).all(|number| passes(&slow, number)));
        assert!(passes(&slow, CALLERS_MAX), "the first that is beyond has the common token");
        tokio::time::advance(Duration::from_secs(1_800)).await;
        assert!(passes(&slow, CALLERS_MAX + 1));
        assert!(slow.buckets.lock().known.contains_key(&peer(CALLERS_MAX + 1)));
        // A token each 50 microseconds: not all are gone through for each that is beyond.
        let fast = paced(1_000, Duration::from_millis(50));
        for second in 0..2 {
            assert!((0..CALLERS_MAX).all(|number| passes(&fast, number)));
            for number in CALLERS_MAX..CALLERS_MAX + 20 {
                fast.check(peer(number));
                tokio::time::advance(Duration::from_micros(100)).await;
            }
            assert_eq!(fast.buckets.lock().looks, second + 1);
            tokio::time::advance(Duration::from_millis(1_000)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_measured_in_time_that_passes_and_not_in_dates() {
        let moment = |epoch_us| governor::clock::Clock::now(&RateClock(Clock::tokio(epoch_us)));
        assert_eq!(moment(1_700_000_000_000_000), moment(1_699_996_400_000_000), "an hour back");
    }

    #[test]
    fn a_name_becomes_a_string_of_structured_fields() {
        assert_eq!(sf_string("a \"b\" \\ é\n"), "\"a \\\"b\\\" \\\\ \"");
    }
}
