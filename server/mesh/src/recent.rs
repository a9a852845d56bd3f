//! The last requests as routing saw them, for questions about rules: which would change route under
//! another policy, and which rule a request would hit.
//!
//! In memory only, and bounded: of each request so much text is kept as nearly all of them have, in
//! memory of its own. What was too long is left out, and a dry run says of how many requests that
//! may change its answer. Header values may be secrets (`authorization`, `cookie`): they are
//! matched and never given out or printed.

use crate::{
    Flags, Request, Source,
    journey::Journey,
    moves::Moves,
    route::{
        allowed_origin,
        matching::{self, Addressed, Condition, View},
    },
    span::trace_id,
    target::{address, authority_of, scheme_of},
};
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use istio::policy::{Action, Match, Origin, Policy, Route, VirtualHost};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

/// Requests that are kept: what a dry run can say something about.
pub const RECENT_MAX: usize = 1_000;
/// Most text that is kept of one of them, bytes: names and values of headers, and address. The
/// request of a browser with its cookies fits; all together take 4 MB.
const TEXT_BYTES_MAX: usize = 4 * 1_024;

/// A request as routing saw it, and what became of it.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) number: u64,
    pub(crate) at_us: i64,
    pub(crate) source: Arc<Source>,
    pub(crate) called: Arc<str>,
    pub(crate) ingress: bool,
    authority: Box<str>,
    pub(crate) scheme: &'static str,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    headers: HeaderMap,
    cut: Cut,
    pub(crate) route: Option<(Origin, Arc<str>)>,
    pub(crate) destination: Arc<str>,
    pub(crate) subset: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    pub(crate) flags: Flags,
}

/// What of a request was too long to be kept.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    address: bool,
    headers: bool,
}

impl Cut {
    /// Whether a match looks at what is missing. What a token claims was never kept.
    fn matters(self, conditions: &Match) -> bool {
        let Match { headers, without_headers, uri, authority, query, .. } = conditions;
        if !conditions.claims.is_empty() || !conditions.without_claims.is_empty() {
            return true;
        }
        let reads_headers = !headers.is_empty() || !without_headers.is_empty();
        let reads_address = uri.is_some() || authority.is_some() || !query.is_empty();
        (self.headers && reads_headers) || (self.address && reads_address)
    }
}

/// What is kept of a request's text. A value that came in is a part of the buffer that was read
/// from the connection, and would keep all of it: this is a copy of its own.
struct Text {
    authority: Box<str>,
    uri: Uri,
    headers: HeaderMap,
    cut: Cut,
}

impl Text {
    /// The address and the authority may take a quarter of `room` each, names and values of headers
    /// what is left.
    fn copy(request: &Request, journey: &Journey, room: usize) -> Self {
        let (address, authority) = (request.uri().to_string(), authority_of(request, journey));
        let address_max = address.len().min(room / 4);
        let authority_max = authority.len().min(room / 4);
        let shortened = address_max < address.len() || authority_max < authority.len();
        let mut cut = Cut { address: shortened, headers: false };
        let (mut names, mut text) = (authority_max, address_max);
        let fits = |(name, value): &(&HeaderName, &HeaderValue)| {
            let size = name.as_str().len() + value.len();
            let fits = size <= room - names - text;
            if fits {
                (names, text) = (names + name.as_str().len(), text + value.len());
            }
            cut.headers |= !fits;
            fits
        };
        let kept: Vec<_> = request.headers().iter().filter(fits).collect();
        // One piece of memory for all, as long as the texts are.
        let mut text = BytesMut::with_capacity(text);
        let mut copy = |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            text.split().freeze()
        };
        let uri = Uri::from_maybe_shared(copy(&address.as_bytes()[..address_max]));
        let mut headers = HeaderMap::with_capacity(kept.len());
        for (name, value) in kept {
            if let Ok(value) = HeaderValue::from_maybe_shared(copy(value.as_bytes())) {
                headers.append(name.clone(), value);
            }
        }
        Self {
            authority: authority.get(..authority_max).unwrap_or_default().into(),
            uri: uri.unwrap_or_default(),
            headers,
            cut,
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, method, path) = (self.number, &self.method, self.uri.path());
        write!(f, "#{number} {method} {path} from {} to {}", self.source.service, self.called)
    }
}

impl Recorded {
    pub(crate) fn new(number: u64, at_us: i64, journey: &Journey, request: &Request) -> Self {
        Self::keep(number, at_us, journey, request, TEXT_BYTES_MAX)
    }

    fn keep(number: u64, at_us: i64, journey: &Journey, request: &Request, room: usize) -> Self {
        let Text { authority, uri, headers, cut } = Text::copy(request, journey, room);
        Self {
            number,
            at_us,
            source: journey.source.clone(),
            called: journey.called.clone(),
            ingress: journey.ingress,
            authority,
            scheme: scheme_of(request),
            method: request.method().clone(),
            uri,
            headers,
            cut,
            route: None,
            destination: journey.called.clone(),
            subset: None,
            status: None,
            flags: Flags::default(),
        }
    }

    /// The service behind the name called.
    fn service<'a>(&'a self, policy: &'a Policy) -> &'a Arc<str> {
        policy.service(&self.called).unwrap_or(&self.called)
    }

    /// The routes of a policy that are searched for it.
    fn host<'a>(&self, policy: &'a Policy) -> Option<&'a VirtualHost> {
        let name = matching::host_of(&self.authority).to_ascii_lowercase();
        policy.virtual_host(self.service(policy), &name, self.ingress)
    }

    /// Whether what was left out of it may change where a policy sends it.
    fn misleads(&self, policy: &Policy) -> bool {
        let routes = self.host(policy).into_iter().flat_map(|host| &host.routes);
        routes.flat_map(|route| &route.matches).any(|conditions| self.cut.matters(conditions))
    }

    fn addressed<'a>(&'a self, policy: &'a Policy) -> Addressed<'a> {
        let (authority, scheme) = (&*self.authority, self.scheme);
        Addressed { service: self.service(policy), authority, scheme, ingress: self.ingress }
    }

    fn view(&self, policy: &Policy) -> View<'_> {
        View {
            method: self.method.as_str(),
            scheme: self.scheme,
            path: self.uri.path(),
            query: self.uri.query(),
            authority: &self.authority,
            port: matching::port_of(policy, self.host(policy), self.addressed(policy)),
            headers: &self.headers,
            ingress: self.ingress,
            source: &self.source,
            claims: None,
        }
    }

    fn outline(&self) -> RecentRequest {
        RecentRequest {
            number: self.number,
            at_us: self.at_us,
            caller: self.source.service.clone(),
            called: self.called.clone(),
            ingress: self.ingress,
            authority: self.authority.to_string(),
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
            route: self.route.clone(),
            destination: self.destination.clone(),
            subset: self.subset.clone(),
            status: self.status,
            flags: self.flags,
            trace_id: trace_id(&self.headers).map(Into::into),
        }
    }
}

/// One of the last requests, without its headers.
#[derive(Clone, Debug)]
pub struct RecentRequest {
    /// Its number since the start.
    pub number: u64,
    /// When it began, microseconds since the epoch.
    pub at_us: i64,
    /// Who called.
    pub caller: Arc<str>,
    /// Which name was called.
    pub called: Arc<str>,
    /// It came from outside.
    pub ingress: bool,
    /// Host with port as sent.
    pub authority: String,
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Resource and name of the rule that matched.
    pub route: Option<(Origin, Arc<str>)>,
    /// The service it went to.
    pub destination: Arc<str>,
    /// The subset it went to.
    pub subset: Option<Arc<str>>,
    /// The status of its answer; none when there was no answer.
    pub status: Option<u16>,
    /// What the mesh did to it.
    pub flags: Flags,
    /// Its trace, where it is part of one.
    pub trace_id: Option<Arc<str>>,
}

/// The ring of the last requests.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Arc<Recorded>>>);

impl Recent {
    pub(crate) fn push(&self, recorded: Recorded) {
        let recorded = Arc::new(recorded);
        let oldest = {
            let mut ring = self.0.lock();
            let oldest = if ring.len() >= RECENT_MAX { ring.pop_front() } else { None };
            ring.push_back(recorded);
            oldest
        };
        // Freed after the lock is.
        drop(oldest);
    }

    /// The newest first.
    pub(crate) fn outlines(&self, most: usize) -> Vec<RecentRequest> {
        self.0.lock().iter().rev().take(most).map(|recorded| recorded.outline()).collect()
    }

    /// What the last requests would do under `new` instead of `old`.
    pub(crate) fn dry_run(&self, old: &Policy, new: &Policy) -> DryRunOutcome {
        let requests: Vec<_> = self.0.lock().iter().cloned().collect();
        let routes = new.virtual_hosts.iter().flat_map(|host| &host.routes);
        let mut hits: Vec<_> = routes.map(|route| RuleMatches::none(route)).collect();
        let rules = hits.iter().map(|hit| (hit.origin.clone(), hit.name.clone()));
        // Of two that have one name the first counts, as for whoever looks for it.
        let rules = rules.enumerate().rev().map(|(at, rule)| (rule, at));
        let places: HashMap<(Origin, Arc<str>), usize> = rules.collect();
        let mut changes = Vec::new();
        // Per pair of rules, so that a split is as exact as the mesh deals it out.
        let mut splits: Vec<(Chosen, Chosen, Moves)> = Vec::new();
        let misleads = |one: &&Arc<Recorded>| one.misleads(old) || one.misleads(new);
        let incomplete = requests.iter().filter(misleads).count();
        for recorded in &requests {
            let (from, to) = (chosen(old, recorded), chosen(new, recorded));
            if let Chosen::Rule { origin, name, .. } = &to {
                let at = places.get(&(origin.clone(), name.clone()));
                if let Some(hit) = at.and_then(|at| hits.get_mut(*at)) {
                    hit.requests += 1;
                }
            }
            let moved = match from.same_rule(&to) {
                None => None,
                Some((here, there)) => {
                    let known = splits.iter().position(|(f, t, _)| *f == from && *t == to);
                    let at = known.unwrap_or_else(|| {
                        splits.push((from.clone(), to.clone(), Moves::between(here, there)));
                        splits.len() - 1
                    });
                    match splits[at].2.draw() {
                        None => continue,
                        moved => moved,
                    }
                }
            };
            if moved.is_some() || from != to {
                changes.push(RouteChange { request: recorded.outline(), from, to, moved });
            }
        }
        DryRunOutcome { requests: requests.len(), incomplete, changes, hits }
    }
}

/// What the last requests would do under another policy.
#[derive(Clone, Debug)]
pub struct DryRunOutcome {
    /// How many were looked at.
    pub requests: usize,
    /// Of these, those that were too long to be kept whole, where a rule of either policy looks at
    /// what is missing: they may really go another way.
    pub incomplete: usize,
    /// Those that would change route: to another rule, or, where the weights of a rule changed, as
    /// many of its requests as the new weights send elsewhere.
    pub changes: Vec<RouteChange>,
    /// How many each rule of the other policy would match, in its order.
    pub hits: Vec<RuleMatches>,
}

/// A request that would go another way.
#[derive(Clone, Debug)]
pub struct RouteChange {
    /// The request.
    pub request: RecentRequest,
    /// Its way under the policy in force.
    pub from: Chosen,
    /// Its way under the other.
    pub to: Chosen,
    /// Both are the same rule with other weights: service and subset it moves from and to.
    pub moved: Option<(PlaceName, PlaceName)>,
}

/// How many of the last requests a rule would match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatches {
    /// The resource.
    pub origin: Origin,
    /// The rule.
    pub name: Arc<str>,
    /// Its line in the resource.
    pub line: u32,
    /// How many.
    pub requests: usize,
}

impl RuleMatches {
    fn none(route: &Route) -> Self {
        let (origin, name) = (route.origin.clone(), route.name.clone());
        Self { origin, name, line: route.line, requests: 0 }
    }
}

/// Where a policy sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// No routes hold for the service: to the whole of it.
    Default {
        /// The service.
        service: Arc<str>,
    },
    /// There are routes, and none matches: 404.
    NoRoute {
        /// The resource whose routes they are.
        origin: Origin,
    },
    /// By this rule.
    Rule {
        /// The resource.
        origin: Origin,
        /// The rule.
        name: Arc<str>,
        /// Its line in the resource.
        line: u32,
        /// Where it may go; empty when the rule answers itself.
        destinations: Vec<WeightedPlace>,
    },
}

/// A service, and the subset of it if not all of it: a [`WeightedPlace`] without its weight.
pub type PlaceName = (Arc<str>, Option<Arc<str>>);

/// One destination of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedPlace {
    /// The service.
    pub service: Arc<str>,
    /// Instances of this subset only.
    pub subset: Option<Arc<str>>,
    /// Share is weight by sum of weights.
    pub weight: u32,
}

impl Chosen {
    /// The places of both if they are the same rule, wherever it is written now. Rules without a
    /// name are called by their position, which another rule before them changes.
    fn same_rule<'a>(
        &'a self,
        other: &'a Self,
    ) -> Option<(&'a [WeightedPlace], &'a [WeightedPlace])> {
        match (self, other) {
            (
                Self::Rule { origin, name, destinations: here, .. },
                Self::Rule { origin: other, name: named, destinations: there, .. },
            ) if origin == other
                && (name == named || (name.starts_with('#') && named.starts_with('#')))
                && here.is_empty() == there.is_empty() =>
            {
                Some((here, there))
            }
            _ => None,
        }
    }

    fn by(route: &Route) -> Self {
        let destinations = match &route.action {
            Action::Forward(to) => to.iter(),
            Action::Redirect(_) | Action::Direct(_) => [].iter(),
        };
        let destinations = destinations.map(|to| WeightedPlace {
            service: to.service.clone(),
            subset: to.subset.clone(),
            weight: to.weight,
        });
        Self::Rule {
            origin: route.origin.clone(),
            name: route.name.clone(),
            line: route.line,
            destinations: destinations.collect(),
        }
    }
}

fn chosen(policy: &Policy, recorded: &Recorded) -> Chosen {
    match recorded.host(policy) {
        None => Chosen::Default { service: recorded.service(policy).clone() },
        Some(host) => match matching::first(&host.routes, &recorded.view(policy)) {
            None => Chosen::NoRoute { origin: host.origin.clone() },
            Some((_, route, _)) => Chosen::by(route),
        },
    }
}

/// A request that nobody made, to ask which rule it would hit.
#[derive(Clone, Debug)]
pub struct HypotheticalRequest {
    /// Who would call.
    pub source: Source,
    /// Which name would be called.
    pub called: String,
    /// It would come from outside.
    pub ingress: bool,
    /// Method.
    pub method: Method,
    /// Path and query; a host in it is the authority.
    pub uri: Uri,
    /// Headers; `host` is the authority, unless the address has one.
    pub headers: HeaderMap,
}

/// Which rule a request would hit, and why the rules before it do not hold.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The service behind the name.
    pub service: Arc<str>,
    /// The resource whose routes were searched.
    pub host: Option<Origin>,
    /// Every rule that was looked at, in order.
    pub rules: Vec<RuleLook>,
    /// Where it goes.
    pub chosen: Chosen,
}

/// One rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLook {
    /// The rule.
    pub name: Arc<str>,
    /// Its line in the resource.
    pub line: u32,
    /// For each of its matches, the first condition that does not hold, or none if all do.
    pub missed: Vec<Option<Condition>>,
}

/// Whether the rule that a request would hit has a `corsPolicy` that allows the request's origin.
#[must_use]
pub(crate) fn allows_origin(policy: &Policy, probe: &HypotheticalRequest) -> bool {
    let recorded = recorded(probe);
    let host = recorded.host(policy);
    host.and_then(|host| matching::first(&host.routes, &recorded.view(policy)))
        .and_then(|(_, route, _)| route.cors.as_ref())
        .is_some_and(|cors| allowed_origin(cors, &probe.headers).is_some())
}

/// A probe as if it had been sent, whole.
fn recorded(probe: &HypotheticalRequest) -> Recorded {
    let journey =
        Journey::new(Arc::new(probe.source.clone()), (*probe.called).into(), probe.ingress, false);
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = probe.method.clone();
    *request.uri_mut() = probe.uri.clone();
    *request.headers_mut() = probe.headers.clone();
    address(&mut request);
    Recorded::keep(0, 0, &journey, &request, usize::MAX)
}

/// Which rule of a policy a request would hit.
#[must_use]
pub fn explain(policy: &Policy, probe: &HypotheticalRequest) -> Explanation {
    let recorded = recorded(probe);
    let (service, host) = (recorded.service(policy).clone(), recorded.host(policy));
    let mut rules = Vec::new();
    for route in host.iter().flat_map(|host| &host.routes) {
        let missed = route.matches.iter().map(|m| matching::missed(m, &recorded.view(policy)));
        let missed: Vec<_> = missed.collect();
        let holds = missed.is_empty() || missed.iter().any(Option::is_none);
        rules.push(RuleLook { name: route.name.clone(), line: route.line, missed });
        if holds {
            break;
        }
    }
    let chosen = chosen(policy, &recorded);
    Explanation { service, host: host.map(|host| host.origin.clone()), rules, chosen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn journey() -> Journey {
        Journey::new(Arc::new(Source::of("browser")), "gateway".into(), true, false)
    }

    #[test]
    fn what_is_kept_of_a_request_holds_nothing_of_the_buffer_it_came_in() {
        let read = b"/orders?page=2 shop.example custom-value".to_vec();
        let buffer = Bytes::from(read);
        let value = |place| HeaderValue::from_maybe_shared(buffer.slice(place)).unwrap();
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(buffer.slice(..14)).unwrap();
        request.headers_mut().insert(http::header::HOST, value(15..27));
        request.headers_mut().insert(HeaderName::from_static("x-custom"), value(28..40));
        let recorded = Recorded::new(1, 0, &journey(), &request);
        drop(request);
        assert!(buffer.is_unique(), "the buffer is kept");
        assert_eq!((recorded.uri.path(), recorded.uri.query()), ("/orders", Some("page=2")));
        assert_eq!(&*recorded.authority, "shop.example");
        assert_eq!(recorded.headers["x-custom"], "custom-value");
        assert!(!recorded.cut.address && !recorded.cut.headers);
    }

    #[test]
    fn of_a_long_request_a_part_is_kept_and_it_is_said_where_that_matters() {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = format!("/{}", "a".repeat(10_000)).parse().unwrap();
        let long = "h".repeat(10_000);
        for (name, value) in [("host", &*long), ("cookie", &*long), ("x-short", "1")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let recorded = Recorded::new(1, 0, &journey(), &request);
        assert!(recorded.cut.address && recorded.cut.headers);
        assert_eq!(
            recorded.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-short"]
        );
        let kept = recorded.authority.len() + recorded.uri.path().len();
        assert!(kept <= TEXT_BYTES_MAX / 2, "{kept}");
        let method =
            Match { method: Some(istio::policy::StringMatch::Present), ..Match::default() };
        let header = (http::header::COOKIE, istio::policy::StringMatch::Present);
        let header = Match { headers: vec![header], ..Match::default() };
        assert!(!recorded.cut.matters(&method) && recorded.cut.matters(&header));
        let whole = Recorded::keep(1, 0, &journey(), &request, usize::MAX);
        assert!(!whole.cut.matters(&header));
        assert_eq!(whole.headers["cookie"].len(), 10_000);
    }
}
