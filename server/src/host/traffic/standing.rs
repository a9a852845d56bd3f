//! What a resource takes effect for. The compiled policy is asked; nothing is worked out anew, so
//! that this can never say other than what the data plane does.

use super::documents;
use contract::{
    istio::ResourceKey,
    service::GATEWAY,
    traffic::{DocumentLines, RouteForm, Standing},
};
use istio::{
    policy::{Origin, Policy, VirtualHost, Workload},
    yaml::Node,
};

/// What a resource takes effect for under a policy.
pub(super) fn of(policy: &Policy, key: &ResourceKey, root: &Node) -> Standing {
    let Some(spec) = root.get("spec") else { return idle("without effect: it has no spec") };
    let mine = |origin: &Origin| {
        (&*origin.kind, &*origin.namespace, &*origin.name)
            == (key.kind.as_str(), key.namespace.as_str(), key.name.as_str())
    };
    let workloads = |has: &dyn Fn(&Workload) -> bool| {
        let found = policy.workloads.iter().filter(|(_, workload)| has(workload));
        found.map(|(service, _)| service.to_string()).collect::<Vec<_>>()
    };
    match key.kind.as_str() {
        "VirtualService" => virtual_service(policy, spec, &mine),
        "DestinationRule" => destination_rule(policy, spec, &mine),
        "EnvoyFilter" => {
            let mut limited = workloads(&|w| w.rate_limits.iter().any(|limit| mine(&limit.origin)));
            let leaving = policy.outbound.iter();
            let leaving = leaving.filter(|(_, of)| of.iter().any(|of| mine(&of.limit.origin)));
            limited.extend(leaving.map(|(service, _)| format!("calls to {service}")));
            enforced(&limited)
        }
        "AuthorizationPolicy" => {
            let is_dry_run =
                |w: &Workload| w.authorization.iter().any(|p| mine(&p.origin) && p.dry_run);
            if policy.workloads.values().any(is_dry_run) {
                return idle("a dry run: noted on spans, not enforced");
            }
            enforced(&workloads(&|w| w.authorization.iter().any(|p| mine(&p.origin))))
        }
        "RequestAuthentication" => {
            enforced(&workloads(&|w| w.authentication.iter().any(|p| mine(&p.origin))))
        }
        "ServiceEntry" => {
            let found = policy.external.iter().filter(|(_, external)| mine(&external.origin));
            enforced(&found.map(|(service, _)| service.to_string()).collect::<Vec<_>>())
        }
        "Gateway" => held("in force at the ingress".to_owned()),
        // The policy keeps their settings by workload and not where they were written.
        _ => selected(spec),
    }
}

/// Says of every document of a form what it takes effect for under a policy.
pub(super) fn fill(form: &mut RouteForm, documents: &[Node], policy: &Policy) {
    for (lines, node) in form.documents.iter_mut().zip(documents) {
        let DocumentLines { standing, .. } = lines;
        *standing = of(policy, &documents::key(node), node);
    }
}

/// The `VirtualService` that decides about calls to a service: what its page opens with.
pub(super) fn decides(policy: &Policy, service: &str) -> Option<ResourceKey> {
    let host = policy.virtual_host(service, service, service == GATEWAY)?;
    let Origin { kind, namespace, name } = &host.origin;
    Some(ResourceKey {
        kind: kind.to_string(),
        namespace: namespace.to_string(),
        name: name.to_string(),
    })
}

/// The names a resource is about, as written.
pub(super) fn hosts(root: &Node) -> Vec<String> {
    let Some(spec) = root.get("spec") else { return Vec::new() };
    let servers = spec.list("servers").iter().flat_map(|server| server.texts("hosts"));
    let app = ["workloadSelector", "selector"].into_iter().filter_map(|key| {
        let labels = spec.get(key)?;
        labels.get("matchLabels").or_else(|| labels.get("labels"))?.str("app")
    });
    let written = spec.texts("hosts").chain(spec.str("host")).chain(servers).chain(app);
    let written = written.chain(documents::patched_hosts(spec));
    let mut all: Vec<String> = written.map(str::to_owned).collect();
    all.dedup();
    all
}

fn held(text: String) -> Standing {
    Standing { text, idle: false }
}

fn idle(text: impl Into<String>) -> Standing {
    Standing { text: text.into(), idle: true }
}

fn enforced(services: &[String]) -> Standing {
    match services {
        [] => idle("in force for no service"),
        services => held(format!("in force for {}", services.join(", "))),
    }
}

fn selected(spec: &Node) -> Standing {
    let app = spec.path(&["selector", "matchLabels", "app"]).and_then(Node::as_str);
    held(format!("in force for {}", app.unwrap_or("every workload")))
}

/// A place where requests are routed, and how it is said.
const PLACES: [(bool, &str); 2] = [(true, "at the ingress"), (false, "in the mesh")];

fn virtual_service(policy: &Policy, spec: &Node, mine: &dyn Fn(&Origin) -> bool) -> Standing {
    let own: Vec<&VirtualHost> = policy.virtual_hosts.iter().filter(|v| mine(&v.origin)).collect();
    if own.is_empty() {
        // A delegate has no host of its own.
        let root = policy.virtual_hosts.iter().find(|v| v.routes.iter().any(|r| mine(&r.origin)));
        return match root {
            Some(root) => held(format!("in force through {}", root.origin.name)),
            None => idle("without effect: nothing refers to it"),
        };
    }
    let mut said: Vec<String> = Vec::new();
    let mut winners: Vec<String> = Vec::new();
    for (at_ingress, place) in PLACES {
        let mut names = Vec::new();
        let mut whole = false;
        for written in spec.texts("hosts") {
            let address = written.to_ascii_lowercase().replace('*', "any");
            let service = policy.service(&address).cloned().unwrap_or_else(|| (*address).into());
            // Only what is bound there and the gateway's own routes are asked at the ingress.
            let asked = own.iter().any(|v| v.at_ingress) || *service == *GATEWAY;
            if at_ingress && !asked {
                continue;
            }
            for called in [&*service, &*address] {
                let found = policy.virtual_host(&service, called, at_ingress);
                let Some(winner) = found.map(|host| &host.origin) else { continue };
                if !mine(winner) {
                    winners.push(winner.name.to_string());
                } else if called == &*service {
                    whole = true;
                } else {
                    names.push(written.to_owned());
                }
            }
        }
        names.dedup();
        match (whole, names.as_slice()) {
            (true, _) => said.push(place.to_owned()),
            (false, []) => {}
            (false, names) => said.push(format!("{place} for {}", names.join(", "))),
        }
    }
    winners.sort_unstable();
    winners.dedup();
    match said.as_slice() {
        [] => idle(format!("shadowed by {}", winners.join(", "))),
        said => held(format!("in force {}", said.join(" and "))),
    }
}

fn destination_rule(policy: &Policy, spec: &Node, mine: &dyn Fn(&Origin) -> bool) -> Standing {
    if spec.get("workloadSelector").is_some() {
        let all = policy.for_callers.iter().flat_map(|(service, rules)| {
            let own = rules.iter().filter(|rule| mine(&rule.destination.origin));
            own.map(move |rule| {
                let callers: Vec<_> = rule.callers.iter().map(|(_, v)| v.as_str()).collect();
                format!("{service} when {} calls", callers.join(" "))
            })
        });
        return enforced(&all.collect::<Vec<_>>());
    }
    let named = spec.str("host").unwrap_or_default().to_ascii_lowercase();
    if named.starts_with('*') {
        let found = policy.destinations.iter().filter(|(_, rule)| mine(&rule.origin));
        return enforced(&found.map(|(service, _)| service.to_string()).collect::<Vec<_>>());
    }
    let service = policy.service(&named).cloned().unwrap_or_else(|| (*named).into());
    match policy.destinations.get(&service) {
        Some(rule) if mine(&rule.origin) => held(format!("in force for {service}")),
        Some(rule) => held(format!("in force for {service} after {}", rule.origin.name)),
        None => idle("in force for no service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use istio::{Configuration, Known, KnownService};

    fn known() -> Known {
        let service = |name: &str, further: &str| KnownService {
            name: name.to_owned(),
            names: vec![further.to_owned()],
            port: 8_080,
            ..KnownService::default()
        };
        let services = vec![service("gateway", "web-app"), service("catalog", "product-service")];
        Known { services, gateways: vec!["api-gateway".to_owned()], ..Known::default() }
    }

    fn virtual_service(name: &str, hosts: &str, more: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n\
             spec:\n  hosts: [{hosts}]\n{more}  http:\n  - route:\n    - destination:\n        \
             host: catalog\n"
        )
    }

    /// What each resource of a text takes effect for, by name.
    fn standings(text: &str) -> Vec<(String, Standing)> {
        let known = known();
        let applied = Configuration::default().apply(text, &known).unwrap();
        let policy = applied.configuration.compile(&known, 1);
        let of = |resource: &std::sync::Arc<istio::Resource>| {
            (resource.key().name.clone(), of(&policy, resource.key(), resource.root()))
        };
        applied.configuration.resources().map(of).collect()
    }

    fn said(text: &str) -> Vec<(String, String)> {
        standings(text).into_iter().map(|(name, standing)| (name, standing.text)).collect()
    }

    #[test]
    fn of_two_for_one_service_each_says_the_names_it_decides_about() {
        let a = virtual_service("a", "catalog", "");
        let b = virtual_service("b", "product-service", "");
        let found = said(&format!("{a}---\n{b}"));
        let mesh = "in force in the mesh".to_owned();
        let named = format!("{mesh} for product-service");
        assert_eq!(found, [("a".into(), mesh), ("b".into(), named)]);
    }

    #[test]
    fn what_another_stands_before_is_shadowed_by_it() {
        let known = known();
        let text = virtual_service("late", "catalog", "");
        let applied = Configuration::default().apply(&text, &known).unwrap().configuration;
        let late = applied.resources().next().unwrap();
        let mut policy = applied.compile(&known, 1);
        let mut first = policy.virtual_hosts[0].clone();
        first.origin.name = "first".into();
        policy.virtual_hosts.insert(0, first);
        let standing = of(&policy, late.key(), late.root());
        assert_eq!((standing.text.as_str(), standing.idle), ("shadowed by first", true));
    }

    #[test]
    fn what_is_bound_to_a_gateway_is_in_force_at_the_ingress_only() {
        let bound = virtual_service("front", "gateway", "  gateways: [api-gateway]\n");
        assert_eq!(said(&bound), [("front".into(), "in force at the ingress".into())]);
        let both = virtual_service("front", "gateway", "  gateways: [api-gateway, mesh]\n");
        let expected = "in force at the ingress and in the mesh";
        assert_eq!(said(&both), [("front".into(), expected.into())]);
        let named = virtual_service("front", "api.example.com", "  gateways: [api-gateway]\n");
        assert_eq!(said(&named), [("front".into(), "in force at the ingress".into())]);
    }

    #[test]
    fn resources_of_other_kinds_name_the_services_they_are_enforced_for() {
        let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  \
                    name: rule\nspec:\n  host: product-service\n";
        let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  \
                      name: allow\nspec:\n  selector:\n    matchLabels:\n      app: catalog\n  \
                      rules:\n  - {}\n";
        let found = said(&format!("{rule}---\n{policy}"));
        assert!(found.contains(&("rule".into(), "in force for catalog".into())), "{found:?}");
        let selects = "  workloadSelector:\n    matchLabels:\n      app: web-app\n";
        let found_for_some = said(&format!("{rule}{selects}"));
        let when = "in force for catalog when gateway calls".to_owned();
        assert_eq!(found_for_some, [("rule".into(), when)]);
        let allow = found.iter().find(|(name, _)| name == "allow").unwrap();
        assert!(allow.1.starts_with("in force for"), "{found:?}");
    }
}
