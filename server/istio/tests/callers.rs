//! Which callers and endpoints a `DestinationRule` holds for, which port a route goes to, and how
//! long a connection may be idle.

mod support;

use contract::istio::Fate;
use istio::{
    code,
    policy::{Action, LoadBalancer, Policy},
};
use std::time::Duration;
use support::{apply, compile, has, rule};

fn to_port(port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: payments}}\n\
         spec:\n  hosts: [payments]\n  http:\n  - route:\n    - destination: {{host: payments, \
         port: {{number: {port}}}}}\n"
    )
}

#[test]
fn the_idle_timeout_of_tcp_holds_where_http_has_none() {
    let idle = |fields: &str| {
        let pool = format!("trafficPolicy: {{connectionPool: {{{fields}}}}}");
        let text = rule(&pool).replace("host: payments", "host: api.stripe.com");
        compile(&text).destinations["provider"].policy.connection_pool.idle_timeout
    };
    assert_eq!(idle("tcp: {idleTimeout: 7s}"), Some(Duration::from_secs(7)));
    let both = "tcp: {idleTimeout: 7s}, http: {idleTimeout: 3s}";
    assert_eq!(idle(both), Some(Duration::from_secs(3)));
    assert_eq!(idle("tcp: {maxConnections: 1}"), None);
}

#[test]
fn times_of_connections_are_in_force_where_there_are_connections_and_nowhere_else() {
    let fields = "tcp: {connectTimeout: 3s, maxConnections: 9}, http: {idleTimeout: 7s}";
    let pool = rule(&format!("trafficPolicy: {{connectionPool: {{{fields}}}}}"));
    for (host, service, connects) in [
        ("api.stripe.com", "provider", true),
        ("'*'", "provider", true),
        ("payments", "payments", false),
    ] {
        let text = pool.replace("host: payments", &format!("host: {host}"));
        let of_service = &compile(&text).destinations[service].policy.connection_pool;
        let expected = connects.then(|| Duration::from_secs(3));
        assert_eq!(of_service.connect_timeout, expected, "{host}");
        assert_eq!(of_service.idle_timeout.is_some(), connects, "{host}");
        assert_eq!(of_service.max_connections, Some(9), "{host}");
        let fields = apply(&text).report.resources.remove(0).fields;
        let ignored = fields.iter().filter(|field| field.fate == Fate::Ignored).count();
        assert_eq!(ignored, if connects { 0 } else { 2 }, "{host}: {fields:#?}");
    }
}

#[test]
fn settings_of_the_first_port_of_what_is_outside_are_those_of_its_pool() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: {name: bank}\nspec:\n  hosts: [bank.example]\n  ports:\n  \
        - {number: 9443, name: a, protocol: HTTP}\n  \
        - {number: 9444, name: b, protocol: HTTP}\n---\n";
    for (port, in_force, says) in [
        (9443, true, ""),
        (9444, false, "share one pool"),
        (9445, false, "does not listen at port 9445"),
    ] {
        let settings = format!("{{port: {{number: {port}}}, loadBalancer: {{simple: RANDOM}}}}");
        let policy = rule(&format!("trafficPolicy: {{portLevelSettings: [{settings}]}}"));
        let text = format!("{entry}{}", policy.replace("host: payments", "host: bank.example"));
        let random = compile(&text).destinations["bank.example"].policy.load_balancer.clone();
        assert_eq!(random == LoadBalancer::Random, in_force, "{port}");
        let findings = apply(&text).report.findings;
        let said = findings.iter().find(|finding| finding.code == code::ROUTE_PORT);
        assert_eq!(said.is_none(), in_force, "{port}: {findings:#?}");
        assert!(said.is_none_or(|said| said.message.contains(says)), "{port}: {said:?}");
    }
}

#[test]
fn a_destination_at_a_port_where_nothing_listens_is_no_service() {
    let to = |port: u16| {
        let Action::Forward(to) = compile(&to_port(port)).virtual_hosts[0].routes[0].action.clone()
        else {
            panic!()
        };
        to[0].service.to_string()
    };
    assert_eq!((to(8080).as_str(), to(9080).as_str()), ("payments", "payments:9080"));
}

/// How many connections a caller with these labels may have, if a rule says so.
fn limit_of(policy: &Policy, labels: &[(&str, &str)]) -> Option<u32> {
    let labels: Vec<_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let callers = policy.chosen("payments", &labels);
    policy.destination("payments", callers)?.policy.connection_pool.max_connections
}

#[test]
fn a_selector_chooses_the_callers_a_rule_holds_for_in_place_of_the_rule_for_all() {
    let rule = |name: &str, namespace: &str, selector: &str, limit: u32| {
        let head = format!("metadata: {{name: {name}, namespace: {namespace}}}");
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n{head}\nspec:\n  host: \
             payments\n{selector}  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: \
             {limit}}}}}}}\n"
        )
    };
    let selects = |labels: &str| format!("  workloadSelector: {{matchLabels: {{{labels}}}}}\n");
    let policy = compile(
        &[
            rule("all", "default", "", 1),
            rule("orders-v1", "default", &selects("app: order-service, version: v1"), 2),
            rule("web", "default", &selects("app: web"), 3),
            // A selector chooses workloads of the rule's own namespace, where there are none.
            rule("other", "istio-system", &selects("app: users"), 4),
        ]
        .join("---\n"),
    );
    let limit = |labels: &[(&str, &str)]| limit_of(&policy, labels);
    assert_eq!(limit(&[("app", "orders"), ("version", "v1")]), Some(2));
    assert_eq!(limit(&[("app", "orders"), ("version", "v2")]), Some(1), "not all labels");
    assert_eq!(limit(&[("app", "web"), ("version", "v1")]), Some(3));
    assert_eq!(limit(&[("app", "users"), ("version", "v1")]), Some(1), "another namespace");
    // With no rule for all, the others have none.
    let alone = compile(&rule("web", "default", &selects("app: web"), 3));
    assert_eq!(limit_of(&alone, &[("app", "users")]), None);
}

#[test]
fn a_subset_of_a_service_entry_selects_by_the_labels_of_its_endpoints() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: {name: echo}\nspec:\n  hosts: [echo.internal]\n  resolution: STATIC\n  \
        ports: [{number: 80, name: http, protocol: HTTP}]\n  endpoints:\n  \
        - {address: 127.0.0.1, ports: {http: 9001}, labels: {version: v1}}\n  \
        - {address: 127.0.0.1, ports: {http: 9002}, labels: {version: v2}}\n---\n";
    for (version, there) in [("v1", true), ("v2", true), ("v3", false)] {
        let subset = rule(&format!("subsets: [{{name: s, labels: {{version: {version}}}}}]"));
        let text = format!("{entry}{}", subset.replace("host: payments", "host: echo.internal"));
        let report = apply(&text).report;
        assert_eq!(has(&report.findings, code::SUBSET_LABELS), !there, "{version}");
        let mut labels = report.resources[0].fields.iter();
        let label = labels.find(|field| field.path.ends_with("labels[version]")).unwrap();
        assert_eq!(label.fate, Fate::InForce);
    }
    let addresses = compile(entry).external["echo.internal"].addresses.clone();
    let versions: Vec<_> = addresses.iter().map(|one| one.labels[0].1.as_str()).collect();
    assert_eq!(versions, ["v1", "v2"]);
}
