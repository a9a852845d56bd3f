//! Compiled `DestinationRule`s: how a service's endpoints are chosen, limited and ejected.

use super::{Origin, Share};
use http::HeaderName;
use std::{sync::Arc, time::Duration};

/// The rule of one service.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// Where it was written.
    pub origin: Origin,
    /// For every endpoint.
    pub policy: TrafficPolicy,
    /// Named groups of endpoints.
    pub subsets: Vec<Subset>,
}

/// Labels that callers have; never empty.
pub type Selector = Arc<[(String, String)]>;

/// The rule of one service for some of its callers.
#[derive(Clone, Debug)]
pub struct ForCallers {
    /// Which callers: those with all of these labels.
    pub callers: Selector,
    /// What holds for them.
    pub destination: Destination,
}

impl Destination {
    /// The subset of that name.
    #[must_use]
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| &*subset.name == name)
    }

    /// The policy of a subset, or of all that are in none of the rule's.
    #[must_use]
    pub fn traffic(&self, subset: Option<&str>) -> &TrafficPolicy {
        let subset = subset.and_then(|name| self.subset(name));
        subset.map_or(&self.policy, |subset| &subset.policy)
    }
}

/// A named group of endpoints.
#[derive(Clone, Debug)]
pub struct Subset {
    /// Its name.
    pub name: Arc<str>,
    /// Labels its endpoints have.
    pub labels: Vec<(String, String)>,
    /// The service's policy with the subset's own fields in place of it, field by field.
    pub policy: TrafficPolicy,
}

/// `TrafficPolicy`, defaults filled in.
#[derive(Clone, Debug, Default)]
pub struct TrafficPolicy {
    /// Which endpoint a try goes to.
    pub load_balancer: LoadBalancer,
    /// New endpoints get their share slowly.
    pub warmup: Option<Warmup>,
    /// Concurrency limits, which Envoy calls circuit breakers.
    pub connection_pool: ConnectionPool,
    /// Ejection of single endpoints; none is not configured.
    pub outlier: Option<Outlier>,
    /// Bounds retries to a share of the requests under way.
    pub retry_budget: Option<RetryBudget>,
}

/// `LoadBalancerSettings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancer {
    /// Two at random, the one with fewer requests under way. Istio's default.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The same key, the same endpoint.
    ConsistentHash {
        /// Of what.
        key: HashKey,
        /// How the table is built.
        table: HashTable,
    },
}

/// What a consistent hash is taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// This request header.
    Header(HeaderName),
    /// This cookie; made if absent when it has a time to live.
    Cookie {
        /// Name.
        name: String,
        /// Path attribute.
        path: Option<String>,
        /// Zero is a session cookie.
        ttl: Option<Duration>,
    },
    /// The caller's address.
    SourceIp,
    /// This query parameter.
    Query(String),
}

/// How a consistent hash finds the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// At least so many points on the ring.
    Ring {
        /// Points (1,024 unless said otherwise).
        minimum_size: u64,
    },
    /// Maglev, a prime number of slots.
    Maglev {
        /// Slots (65,537 unless said otherwise).
        size: u64,
    },
}

/// `WarmupConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// How long an endpoint is new.
    pub duration: Duration,
    /// Weight it begins with, percent of the full weight (10 unless said otherwise).
    pub minimum_percent: f64,
    /// Curve: 1 is linear.
    pub aggression: f64,
}

/// `ConnectionPoolSettings`. Absent limits are not configured: nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// `tcp.maxConnections`: requests under way from one caller to the service or subset (each
    /// in-process call is its own connection).
    pub max_connections: Option<u32>,
    /// `tcp.connectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// `http.http1MaxPendingRequests`: requests that wait for a connection.
    pub max_pending: Option<u32>,
    /// `http.http2MaxRequests`: requests under way to the service.
    pub max_requests: Option<u32>,
    /// `http.maxRetries`: retries under way to the service.
    pub max_retries: Option<u32>,
    /// `http.idleTimeout`, else `tcp.idleTimeout`, of connections to addresses.
    pub idle_timeout: Option<Duration>,
}

/// `OutlierDetection` (Envoy `outlier.rst`), Istio's reading of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// 5xx in a row that eject; 0 is off.
    pub consecutive_5xx: u32,
    /// 502, 503, 504 in a row that eject; 0 is off.
    pub consecutive_gateway: u32,
    /// Local-origin failures are counted apart.
    pub split_local_origin: bool,
    /// Local-origin failures in a row that eject, when counted apart; 0 is off.
    pub consecutive_local_origin: u32,
    /// Time between sweeps.
    pub interval: Duration,
    /// First ejection; the n-th in a row is n times as long.
    pub base_ejection: Duration,
    /// No ejection is longer (300 s, or the base if that is more).
    pub max_ejection: Duration,
    /// Largest share of endpoints ejected at once, percent; one may always be.
    pub max_ejection_percent: u32,
    /// Below this share of healthy endpoints, percent, ejection is ignored; 0 is off.
    pub min_health_percent: u32,
    /// Statuses that count as errors instead of 5xx; empty is 5xx.
    pub http_error_codes: Vec<u16>,
}

/// What Istio has for an `outlierDetection` that says nothing.
impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            split_local_origin: false,
            consecutive_local_origin: 0,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejection_percent: 10,
            min_health_percent: 0,
            http_error_codes: Vec::new(),
        }
    }
}

/// `RetryBudget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of the requests under way.
    pub share: Share,
    /// Retries that are always allowed.
    pub min_concurrency: u32,
}

impl Default for RetryBudget {
    /// 20 % and 3 (Envoy `CircuitBreakers.Thresholds.RetryBudget`).
    fn default() -> Self {
        Self { share: Share(200_000), min_concurrency: 3 }
    }
}
