//! The compiled configuration: what the data plane reads, one immutable snapshot per revision.
//!
//! Plain data without YAML: names are resolved, deprecated fields converted, regular expressions
//! compiled, percentages exact. The data plane never has to say "invalid".

mod destination;
mod route;
mod security;

pub use destination::{
    ConnectionPool, Destination, ForCallers, HashKey, HashTable, LoadBalancer, Outlier,
    RetryBudget, Selector, Subset, TrafficPolicy, Warmup,
};
pub use route::{
    Action, Cors, DerivePort, DirectResponse, Fault, FaultAbort, FaultDelay, HeaderEdits,
    HeaderOps, Match, Mirror, Redirect, Retry, RetryOn, Rewrite, Route, StringMatch, Weighted,
};
pub use security::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, JwtRule, LimitScope,
    LocalRateLimit, Mtls, Operation, OutboundLimit, RequestAuthentication, Source, ValueMatch,
};

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Everything in force at one revision.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The revision it was compiled from.
    pub revision: u64,
    /// Every name a service answers to, and the service: `payment-service`,
    /// `payments.default.svc.cluster.local` and `payments` to `payments`.
    pub names: BTreeMap<Arc<str>, Arc<str>>,
    /// Where each service listens. A call that names no port goes to the first.
    pub ports: BTreeMap<Arc<str>, Vec<u16>>,
    /// Routing, in the order in which it is searched: see [`Policy::virtual_host`].
    pub virtual_hosts: Vec<VirtualHost>,
    /// Load balancing, limits and outlier detection, by service.
    pub destinations: BTreeMap<Arc<str>, Destination>,
    /// The same for callers with certain labels (`workloadSelector`), by service. The first that
    /// chooses a caller holds for it in place of what is in `destinations`.
    pub for_callers: BTreeMap<Arc<str>, Vec<ForCallers>>,
    /// What the callee's side enforces, by service.
    pub workloads: BTreeMap<Arc<str>, Workload>,
    /// Local rate limits of calls that leave the mesh, by the service outside.
    pub outbound: BTreeMap<Arc<str>, Vec<OutboundLimit>>,
    /// Services outside the mesh (`ServiceEntry`), by service.
    pub external: BTreeMap<Arc<str>, External>,
    /// Spans and metrics (`Telemetry`), by service; the empty name is for the whole mesh.
    pub telemetry: BTreeMap<Arc<str>, TelemetryPolicy>,
}

/// Which resource a piece of policy was compiled from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// `VirtualService`, `DestinationRule`, …
    pub kind: Arc<str>,
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

/// A share, exact to the ten-thousandth of a percent, which is the finest that Istio takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(
    /// Parts per million: 1,000,000 is all.
    pub u32,
);

impl Share {
    /// Every request.
    pub const ALL: Self = Self(1_000_000);
    /// No request.
    pub const NONE: Self = Self(0);
}

/// The routes of one `VirtualService` (delegates merged in) for the hosts it names.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// Where it was written.
    pub origin: Origin,
    /// Lower-case names without port: exact, `*.suffix`, or `*`. A short one is one of `default`.
    pub hosts: Vec<Arc<str>>,
    /// Holds for calls between services (`gateways` absent or with `mesh`).
    pub in_mesh: bool,
    /// Holds for requests that come in through a gateway of its list.
    pub at_ingress: bool,
    /// The servers that let these requests in, of gateways that are resources.
    pub listeners: Vec<Listener>,
    /// The program brought it along: it gives way to what users apply.
    pub built_in: bool,
    /// First match wins.
    pub routes: Vec<Arc<Route>>,
}

/// A server of a `Gateway` that lets requests for some hosts in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Lower-case names as written: exact, `*.suffix`, or `*`.
    pub hosts: Vec<Arc<str>>,
    /// `port.number`.
    pub port: u16,
    /// Its clients speak TLS (`port.protocol`).
    pub tls: bool,
    /// Who comes without is sent to the same address by https (`tls.httpsRedirect`).
    pub https_redirect: bool,
}

impl Listener {
    fn lets_in(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| match host.strip_prefix('*') {
            None => name.eq_ignore_ascii_case(host),
            Some(suffix) => {
                let at = name.len().checked_sub(suffix.len());
                let end = at.and_then(|at| name.get(at..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        })
    }
}

impl VirtualHost {
    /// The port of the gateway by which a request for this name (without port) came in, as a
    /// `Gateway` declares it: that of the first server that lets the name in and whose clients
    /// speak as this one does, else of the nearest to that. None where no resource says one.
    #[must_use]
    pub fn listens_at(&self, name: &str, tls: bool) -> Option<u16> {
        self.listener(name, tls).map(|listener| listener.port)
    }

    /// Whether a request for this name (without port) that came by plain HTTP is to come again by
    /// https.
    #[must_use]
    pub fn redirects_to_https(&self, name: &str) -> bool {
        let lets_in = |listener: &&Listener| !listener.tls && listener.lets_in(name);
        let listener = self.listener(name, false).filter(lets_in);
        listener.is_some_and(|listener| listener.https_redirect)
    }

    fn listener(&self, name: &str, tls: bool) -> Option<&Listener> {
        let far = |listener: &&Listener| (!listener.lets_in(name), listener.tls != tls);
        self.listeners.iter().min_by_key(far)
    }

    fn names(&self, is: impl Fn(&str) -> bool) -> bool {
        self.hosts.iter().any(|host| is(host))
    }

    /// Whether it says that it is for this name: as one of its hosts, or where those are `*`, as a
    /// host of a server that lets its requests in. Hosts may be domains (`*.example.com`).
    fn claims(&self, name: &str) -> bool {
        let is_it = |host: &str| match host.strip_prefix('*') {
            Some(domain) => domain.starts_with('.') && name.ends_with(domain),
            None => host == name,
        };
        let mut let_in = self.listeners.iter().flat_map(|listener| &listener.hosts);
        self.names(is_it) || self.names(|host| host == "*") && let_in.any(|host| is_it(host))
    }
}

impl Policy {
    /// Which selector chooses a caller with these labels for its calls to a service.
    #[must_use]
    pub fn chosen(&self, service: &str, labels: &[(String, String)]) -> Option<&Selector> {
        let mut rules = self.for_callers.get(service)?.iter();
        let has = |rule: &&ForCallers| rule.callers.iter().all(|label| labels.contains(label));
        rules.find(has).map(|rule| &rule.callers)
    }

    /// The rule of a service, for the callers of a selector or for all others.
    #[must_use]
    pub fn destination(&self, service: &str, callers: Option<&Selector>) -> Option<&Destination> {
        let Some(callers) = callers else { return self.destinations.get(service) };
        let rules = self.for_callers.get(service)?;
        rules.iter().find(|rule| rule.callers == *callers).map(|rule| &rule.destination)
    }

    /// The service behind a name, if there is one. Names are lower-case and without port.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Arc<str>> {
        self.names.get(name)
    }

    /// The service that a rule is for: the first host of the `VirtualService` it is in, which for a
    /// rule of a delegate is that of its root. The host itself where it is no service.
    #[must_use]
    pub fn service_of(&self, origin: &Origin, route: &str) -> Option<&Arc<str>> {
        let is_it = |found: &Arc<Route>| found.origin == *origin && *found.name == *route;
        let mut hosts = self.virtual_hosts.iter();
        let name = hosts.find(|host| host.routes.iter().any(is_it))?.hosts.first()?;
        Some(self.service(name).unwrap_or(name))
    }

    /// The routes for a request to `service` that was addressed to `authority` (lower-case, without
    /// port).
    ///
    /// As in Envoy's route matching (`virtual_hosts.domains`), an exact name wins over the longest
    /// suffix, and a suffix over `*`. A service of the demo has several names; the one that was
    /// called wins over the others, so that each of the seed's files takes effect whichever name
    /// callers use. A name that nobody has is as good as the service's own.
    ///
    /// The proxy at the ingress is a client of the mesh like any other: what is bound to a gateway
    /// comes first there, and what holds in the mesh comes after. What is built in comes last: it
    /// stands in for what users have not said yet.
    #[must_use]
    pub fn virtual_host(
        &self,
        service: &str,
        authority: &str,
        at_ingress: bool,
    ) -> Option<&VirtualHost> {
        self.placed_host(service, authority, at_ingress).map(|(_, host)| host)
    }

    /// The same with its place among the virtual hosts.
    #[must_use]
    pub fn placed_host(
        &self,
        service: &str,
        authority: &str,
        at_ingress: bool,
    ) -> Option<Placed<'_>> {
        let by_users = self.host_among(false, service, authority, at_ingress);
        by_users.or_else(|| self.host_among(true, service, authority, at_ingress))
    }

    fn host_among(
        &self,
        built_in: bool,
        service: &str,
        authority: &str,
        at_ingress: bool,
    ) -> Option<Placed<'_>> {
        let placed = || self.virtual_hosts.iter().enumerate();
        let among = || placed().filter(move |(_, v)| v.built_in == built_in);
        let bound = || among().filter(move |(_, v)| at_ingress && v.at_ingress);
        let meshed = || among().filter(|(_, v)| v.in_mesh);
        let exact = |(_, v): &Placed<'_>| v.names(|host| short(host) == short(authority));
        let own = |(_, v): &Placed<'_>| v.names(|host| short(host) == service);
        let alias = |(_, v): &Placed<'_>| {
            v.names(|host| self.service(host).is_some_and(|named| **named == *service))
        };
        let any = |(_, v): &Placed<'_>| v.names(|host| host == "*");
        (bound().find(exact).or_else(|| meshed().find(exact)))
            .or_else(|| longest_suffix(bound(), authority))
            .or_else(|| longest_suffix(meshed(), authority))
            .or_else(|| bound().find(own).or_else(|| bound().find(alias)))
            .or_else(|| bound().find(any))
            .or_else(|| meshed().find(own).or_else(|| meshed().find(alias)))
            .or_else(|| meshed().find(any))
    }

    /// Whether requests addressed to this name (lower-case, without port) are for the mesh: the
    /// name of a service, or a host of a gateway.
    #[must_use]
    pub fn is_addressed(&self, name: &str) -> bool {
        self.service(name).is_some() || self.is_at_gateway(name)
    }

    /// Whether this name (lower-case, without port) is a host of a `VirtualService` that is bound
    /// to a gateway. A bare `*` in both says nothing about who is meant, and a page of somebody
    /// else's that has its own name lead here (DNS rebinding) would be let in by it.
    #[must_use]
    pub fn is_at_gateway(&self, name: &str) -> bool {
        self.virtual_hosts.iter().any(|v| v.at_ingress && v.claims(name))
    }
}

/// A host without the forms that Kubernetes' DNS adds to the name of a service: they are one host.
pub(crate) fn short(host: &str) -> &str {
    let name = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"));
    let name = name.unwrap_or(host);
    name.strip_suffix(".default").unwrap_or(name)
}

/// A virtual host and its place.
type Placed<'a> = (usize, &'a VirtualHost);

fn longest_suffix<'a>(
    candidates: impl Iterator<Item = Placed<'a>>,
    authority: &str,
) -> Option<Placed<'a>> {
    let length = |(_, v): &Placed<'a>| {
        v.hosts
            .iter()
            .filter_map(|host| host.strip_prefix('*'))
            .filter(|suffix| !suffix.is_empty() && authority.ends_with(suffix))
            .map(str::len)
            .max()
    };
    candidates
        .filter_map(|v| length(&v).map(|l| (l, v)))
        // The first of equals wins, as in order of creation.
        .fold(None, |best: Option<(usize, Placed<'a>)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, v)| v)
}

/// What the callee's side of one service enforces, in this order. The rate limits come first, as
/// the filter that an `EnvoyFilter` inserts does: what the others refuse is limited too.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Local rate limits (`EnvoyFilter`, or the `rateLimit` extension).
    pub rate_limits: Vec<LocalRateLimit>,
    /// Who may talk without a certificate (`PeerAuthentication`). In one process there is no
    /// transport to protect: identities are names, which everybody in the mesh has, and the page
    /// says so.
    pub mtls: Mtls,
    /// Tokens (`RequestAuthentication`).
    pub authentication: Vec<RequestAuthentication>,
    /// Who may do what (`AuthorizationPolicy`).
    pub authorization: Vec<AuthorizationPolicy>,
}

/// A service outside the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Where it was written.
    pub origin: Origin,
    /// Addresses as written, with port.
    pub endpoints: Vec<String>,
    /// Those of this machine: these are called, and no other machine is reached. None of a service
    /// that the program has itself, for which its own address stands.
    pub addresses: Vec<ExternalAddress>,
}

/// Where a service outside the mesh is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAddress {
    /// The address.
    pub address: SocketAddr,
    /// Labels of the endpoint, by which subsets select.
    pub labels: Vec<(String, String)>,
}

/// Spans and metrics of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryPolicy {
    /// Share of new traces that are recorded.
    pub sampling: Option<Share>,
    /// Extra span attributes.
    pub tags: Vec<(String, TagSource)>,
    /// `disableSpanReporting`.
    pub disable_spans: bool,
    /// Metric dimensions set or removed, by metric (`REQUEST_COUNT`, …; empty is all).
    pub metric_tags: Vec<MetricTag>,
    /// Metrics switched off or on: metric and side as in [`MetricTag`], the last one counts.
    pub metrics_off: Vec<(String, Option<bool>, bool)>,
}

/// Where an extra span attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// This text.
    Literal(String),
    /// This request header, else the default.
    Header {
        /// Header name, lower-case.
        name: String,
        /// When the header is absent.
        default: Option<String>,
    },
    /// This environment variable, else the default.
    Environment {
        /// Name of the variable.
        name: String,
        /// When it is not set.
        default: Option<String>,
    },
}

/// One dimension of one metric, overridden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricTag {
    /// `REQUEST_COUNT`, `REQUEST_DURATION`, …; empty is every metric.
    pub metric: String,
    /// `Some(true)` for the caller's side, `Some(false)` for the callee's, `None` for both.
    pub client: Option<bool>,
    /// Name of the dimension.
    pub tag: String,
    /// Its value expression as written; none removes it.
    pub value: Option<String>,
}
