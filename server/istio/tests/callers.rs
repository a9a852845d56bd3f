//! Which callers a `DestinationRule` holds for, which port a route goes to, and how long a
//! connection may be idle.

mod support;

use istio::policy::{Action, Policy};
use std::time::Duration;
use support::{compile, rule};

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
        compile(&rule(&pool)).destinations["payments"].policy.connection_pool.idle_timeout
    };
    assert_eq!(idle("tcp: {idleTimeout: 7s}"), Some(Duration::from_secs(7)));
    let both = "tcp: {idleTimeout: 7s}, http: {idleTimeout: 3s}";
    assert_eq!(idle(both), Some(Duration::from_secs(3)));
    assert_eq!(idle("tcp: {maxConnections: 1}"), None);
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
