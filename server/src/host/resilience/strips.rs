//! The layers of each edge: what each is set to, and what it did in the last minute.

use super::callee;
use app::model::{fault::percent, tries::seconds};
use contract::{
    resilience::{LayerView, StripView},
    service::{DASHBOARD, host_called},
};
use istio::policy::{
    Action, ConnectionPool, LoadBalancer, Outlier, Policy, Retry, Route, TrafficPolicy, VirtualHost,
};
use mesh::{
    BreakerParams, BreakerStatus, EdgeStatus, LayerCount, Mesh,
    inbound::{InboundStats, OutboundStats},
    retry::decide::word,
};
use std::{sync::Arc, time::Duration};

/// The rule for requests that no condition singles out.
pub(crate) fn catch_all<'a>(policy: &'a Policy, service: &str) -> Option<&'a Arc<Route>> {
    host_of(policy, service)?.routes.iter().find(|route| route.matches.is_empty())
}

/// The rules for what its callers address a service by.
pub(crate) fn host_of<'a>(policy: &'a Policy, service: &str) -> Option<&'a VirtualHost> {
    let at_ingress = service == contract::service::GATEWAY;
    policy.virtual_host(service, host_called(service), at_ingress)
}

/// What callers and callees had counted at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) edges: Vec<EdgeStatus>,
    pub(crate) inbound: Vec<InboundStats>,
    pub(crate) outbound: Vec<OutboundStats>,
}

impl Counted {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let (inbound, outbound) = (mesh.inbound_stats(), mesh.outbound_stats());
        Self { edges: mesh.edges(), inbound, outbound }
    }
}

/// One strip per edge, by caller; none for the dashboard, which only looks. `before` are the counts
/// of a minute ago.
pub(super) fn strips(mesh: &Mesh, before: &Counted) -> Vec<StripView> {
    let (policy, breakers, now) = (mesh.in_force().policy, mesh.breakers(), Counted::of(mesh));
    let of = |edge: &EdgeStatus| {
        let around = Around::of(edge, mesh, &policy, &breakers);
        let callee = callee::layers(edge, &now, before, &policy);
        StripView { callee, ..strip(edge, &before.edges, &around) }
    };
    now.edges.iter().filter(|edge| *edge.caller != *DASHBOARD).map(of).collect()
}

fn strip(edge: &EdgeStatus, before: &[EdgeStatus], around: &Around<'_>) -> StripView {
    let same = |old: &&EdgeStatus| old.caller == edge.caller && old.destination == edge.destination;
    let old = before.iter().find(same).map(|old| old.layers.as_slice()).unwrap_or_default();
    let layer = |now: &LayerCount| {
        let old = old.iter().find(|old| old.layer == now.layer);
        let (acted, reached) = old.map_or((0, 0), |old| (old.acted, old.reached));
        LayerView {
            name: now.layer.to_owned(),
            setting: around.setting(now.layer),
            acted: now.acted.saturating_sub(acted),
            of: now.reached.saturating_sub(reached),
            did: did(now.layer).to_owned(),
            href: href(now.layer, edge),
        }
    };
    StripView {
        from: edge.caller.to_string(),
        to: edge.destination.to_string(),
        layers: edge.layers.iter().map(layer).collect(),
        callee: Vec::new(),
    }
}

/// What is configured for one edge.
struct Around<'a> {
    route: Option<&'a Arc<Route>>,
    rules: usize,
    /// The subsets that the route sends to with their own policies; one without a name otherwise.
    traffic: Vec<(&'a str, &'a TrafficPolicy)>,
    /// One per subset that was called.
    breakers: Vec<(Option<Arc<str>>, BreakerParams)>,
    faults: Vec<String>,
    instances: usize,
}

impl<'a> Around<'a> {
    fn of(edge: &EdgeStatus, mesh: &Mesh, policy: &'a Policy, breakers: &[BreakerStatus]) -> Self {
        let service = &*edge.destination;
        let host = host_of(policy, service);
        let route = catch_all(policy, service);
        let ours = |breaker: &&BreakerStatus| {
            breaker.caller == edge.caller && breaker.destination == edge.destination
        };
        let is = |wanted: &Option<Arc<str>>, actual: &Arc<str>| {
            wanted.as_ref().is_none_or(|wanted| wanted == actual)
        };
        let origin = host.map(|host| &host.origin);
        let here = mesh.faults().active().into_iter().filter(|fault| {
            let scope = &fault.spec.scope;
            let on_route = scope.route.as_ref().is_none_or(|(of, _)| Some(of) == origin);
            on_route && is(&scope.caller, &edge.caller) && is(&scope.destination, &edge.destination)
        });
        Self {
            route,
            rules: host.map_or(0, |host| host.routes.len()),
            traffic: traffic(policy, service, route.map(|route| &**route)),
            breakers: breakers.iter().filter(ours).map(|b| (b.subset.clone(), b.params)).collect(),
            faults: here.map(|fault| fault.id.to_string()).collect(),
            instances: mesh.endpoints().iter().filter(|e| *e.service == *service).count(),
        }
    }

    /// In a few words; empty when nothing is configured.
    fn setting(&self, layer: &str) -> String {
        match layer {
            "route" if self.rules == 1 => "1 rule".to_owned(),
            "route" if self.rules > 1 => format!("{} rules", self.rules),
            "deadline" => self.route.and_then(|route| route.timeout).map(time).unwrap_or_default(),
            "breaker" => {
                let all = self.breakers.iter();
                let name = |subset: &'_ Option<Arc<str>>| subset.clone().unwrap_or_default();
                by_subset(all.map(|(subset, params)| (name(subset), breaker(*params))))
            }
            "mirror" => self.route.map(|route| mirrors(route)).unwrap_or_default(),
            "retry" => retry(self.route.map_or(&Retry::default(), |route| &route.retry)),
            "fault" => self.faults.join(", "),
            "limits" => self.of_each(|traffic| limits(&traffic.connection_pool)),
            "balance" => self.of_each(|traffic| balancer(&traffic.load_balancer).to_owned()),
            "outlier" => {
                self.of_each(|traffic| traffic.outlier.as_ref().map(outlier).unwrap_or_default())
            }
            "endpoint" if self.instances == 1 => "1 instance".to_owned(),
            "endpoint" => format!("{} instances", self.instances),
            _ => String::new(),
        }
    }

    fn of_each(&self, text: impl Fn(&TrafficPolicy) -> String) -> String {
        by_subset(self.traffic.iter().map(|(subset, traffic)| ((*subset).into(), text(traffic))))
    }
}

/// What is in force for the requests of a route: the policies of the subsets it sends to.
fn traffic<'a>(
    policy: &'a Policy,
    service: &str,
    route: Option<&'a Route>,
) -> Vec<(&'a str, &'a TrafficPolicy)> {
    let Some(rule) = policy.destinations.get(service) else { return Vec::new() };
    let to = match route.map(|route| &route.action) {
        Some(Action::Forward(to)) => to.as_slice(),
        _ => &[],
    };
    let chosen = to.iter().filter(|to| to.weight > 0 || to_one(route));
    let named = chosen.filter_map(|to| rule.subset(to.subset.as_deref()?));
    let own: Vec<_> = named.map(|subset| (&*subset.name, &subset.policy)).collect();
    if own.is_empty() { vec![("", &rule.policy)] } else { own }
}

/// A single destination gets everything, whatever its weight says.
fn to_one(route: Option<&Route>) -> bool {
    route.is_some_and(|route| matches!(&route.action, Action::Forward(to) if to.len() == 1))
}

/// One text when all subsets are alike, else "v1: …; v2: …".
fn by_subset(all: impl Iterator<Item = (Arc<str>, String)>) -> String {
    let all: Vec<_> = all.collect();
    match all.split_first() {
        None => String::new(),
        Some(((_, first), rest)) if rest.iter().all(|(_, text)| text == first) => first.clone(),
        Some(_) => {
            let set = all.iter().filter(|(_, text)| !text.is_empty());
            let text = set.map(|(subset, text)| format!("{subset}: {text}"));
            text.collect::<Vec<_>>().join("; ")
        }
    }
}

fn time(time: Duration) -> String {
    seconds(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn breaker(params: BreakerParams) -> String {
    format!("{} in a row, then {}", params.failure_threshold, time(params.open_for))
}

fn mirrors(route: &Route) -> String {
    let text = |mirror: &istio::policy::Mirror| {
        let subset = mirror.subset.as_ref().map(|s| format!(" {s}")).unwrap_or_default();
        let share = percent(f64::from(mirror.share.0) / 10_000.0);
        format!("{share} to {}{subset}", mirror.service)
    };
    route.mirrors.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// "3 × 2.5 s on 5xx".
fn retry(retry: &Retry) -> String {
    if retry.attempts == 0 {
        return String::new();
    }
    let each = retry.per_try_timeout.map(|each| format!(" × {}", time(each))).unwrap_or_default();
    let tokens: Vec<String> = retry.on.iter().map(|token| word(*token)).collect();
    format!("{}{each} on {}", retry.attempts, tokens.join(", "))
}

fn limits(pool: &ConnectionPool) -> String {
    let all = [
        (pool.max_connections, "connections"),
        (pool.max_pending, "pending"),
        (pool.max_requests, "requests"),
        (pool.max_retries, "retries"),
    ];
    let set = all.into_iter().filter_map(|(limit, of)| Some(format!("{} {of}", limit?)));
    set.collect::<Vec<_>>().join(", ")
}

const fn balancer(balancer: &LoadBalancer) -> &'static str {
    match balancer {
        LoadBalancer::LeastRequest => "least request",
        LoadBalancer::RoundRobin => "round robin",
        LoadBalancer::Random => "random",
        LoadBalancer::ConsistentHash { .. } => "consistent hash",
    }
}

fn outlier(outlier: &Outlier) -> String {
    let errors = match (outlier.consecutive_5xx, outlier.consecutive_gateway) {
        (0, 0) => return String::new(),
        (0, gateway) => format!("{gateway} gateway errors"),
        (errors, 0) => format!("{errors} × 5xx"),
        (errors, gateway) => format!("{errors} × 5xx or {gateway} gateway errors"),
    };
    format!("{errors} in a row, out for {}", time(outlier.base_ejection))
}

/// What a layer does when it acts.
fn did(layer: &str) -> &'static str {
    match layer {
        "route" => "sent by a rule",
        "deadline" => "cut",
        "breaker" | "limits" => "refused",
        "mirror" => "copied",
        "retry" => "retried",
        "fault" => "injected",
        "balance" => "found none healthy",
        "outlier" => "ejected",
        "endpoint" => "failed",
        _ => "recorded",
    }
}

fn href(layer: &str, edge: &EdgeStatus) -> Option<String> {
    let EdgeStatus { caller, destination, .. } = edge;
    match layer {
        "route" | "mirror" | "retry" | "deadline" => Some(format!("/traffic/{destination}")),
        "breaker" => Some(format!("/resilience?breaker={caller}%7E{destination}")),
        "fault" => Some("/resilience#faults".to_owned()),
        "span" => Some(format!("/traces?service={caller}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use istio::policy::RetryOn;

    fn count(layer: &'static str, reached: u64, acted: u64) -> LayerCount {
        LayerCount { layer, reached, acted }
    }

    fn edge(layers: Vec<LayerCount>) -> EdgeStatus {
        EdgeStatus { caller: "orders".into(), destination: "payments".into(), layers }
    }

    #[test]
    fn a_strip_counts_what_was_done_since_the_sample_and_all_of_an_edge_that_is_newer() {
        let around = Around {
            route: None,
            rules: 0,
            traffic: Vec::new(),
            breakers: vec![(None, BreakerParams::default())],
            faults: vec!["F-1".into(), "F-2".into()],
            instances: 2,
        };
        let now = edge(vec![count("fault", 100, 10), count("breaker", 90, 4)]);
        let old = edge(vec![count("fault", 60, 7), count("breaker", 90, 4)]);
        let counted = |before: &[EdgeStatus]| {
            let layers = strip(&now, before, &around).layers;
            layers.iter().map(|l| (l.acted, l.of)).collect::<Vec<_>>()
        };
        assert_eq!(counted(&[old]), [(3, 40), (0, 0)]);
        assert_eq!(counted(&[]), [(10, 100), (4, 90)]);
        assert_eq!(around.setting("fault"), "F-1, F-2");
        assert_eq!(around.setting("breaker"), "5 in a row, then 60 s");
        assert_eq!(around.setting("deadline"), "");
    }

    #[test]
    fn subsets_that_differ_say_so_and_alike_ones_say_it_once() {
        let all = |texts: [&str; 2]| {
            let pairs = [("v1".into(), texts[0].to_owned()), ("v2".into(), texts[1].to_owned())];
            by_subset(pairs.into_iter())
        };
        assert_eq!(all(["least request", "least request"]), "least request");
        assert_eq!(all(["least request", "random"]), "v1: least request; v2: random");
        assert_eq!(all(["", "100 requests"]), "v2: 100 requests");
    }

    #[test]
    fn settings_are_written_as_people_say_them() {
        let on = vec![RetryOn::ServerError, RetryOn::Status(409)];
        let per_try_timeout = Some(Duration::from_millis(2_500));
        let some = Retry { attempts: 3, per_try_timeout, on, ..Retry::default() };
        assert_eq!(retry(&some), "3 × 2.5 s on 5xx, 409");
        assert_eq!(retry(&Retry { attempts: 0, ..Retry::default() }), "");
        let pool = ConnectionPool { max_requests: Some(100), ..ConnectionPool::default() };
        assert_eq!(limits(&pool), "100 requests");
    }
}
