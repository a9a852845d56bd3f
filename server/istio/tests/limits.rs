//! Local rate limits on single routes: what a `rateLimit` of a rule is for Istio, and what an
//! `EnvoyFilter` for one route is here.

mod support;

use contract::istio::{Fate, FieldFate};
use istio::{
    Configuration, code,
    policy::{LocalRateLimit, Policy},
};
use support::{apply, has, known};

fn of(name: &str, host: &str, lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
         spec:\n  hosts: [{host}]\n{indented}"
    )
}

/// What is printed of all of a configuration for Istio, applied to nothing.
fn for_istio(configuration: &Configuration) -> (String, istio::Applied) {
    let all: Vec<_> = configuration.resources().cloned().collect();
    let printed = configuration.print_for_istio(&known(), &all).join("---\n");
    let again = apply(&printed);
    (printed, again)
}

/// Limits of a service, by rule and tokens.
fn limits(policy: &Policy, service: &str) -> Vec<(String, u32)> {
    let limits = policy.workloads[service].rate_limits.iter();
    let one = |limit: &LocalRateLimit| {
        (limit.scope.as_ref().map_or("all", |scope| &*scope.route).to_owned(), limit.max_tokens)
    };
    let mut limits: Vec<_> = limits.map(one).collect();
    limits.sort();
    limits
}

#[test]
fn a_limit_of_one_rule_is_printed_for_istio_on_its_route_alone_and_taken_back_as_the_same() {
    let limit = "rateLimit: {limit: {requestsPerUnit: 10, unit: MINUTE}}";
    let to = "route: [{destination: {host: payments}}]";
    let rules = |gateways: &str| {
        format!(
            "{gateways}http:\n- {{name: slow, match: [{{uri: {{prefix: /a}}}}], {limit}, {to}}}\n\
             - {{match: [{{uri: {{prefix: /b}}}}], {limit}, {to}}}\n- {{{to}}}\n"
        )
    };
    let configuration = apply(&of("limits", "payments", &rules(""))).configuration;
    let (printed, again) = for_istio(&configuration);
    let policy = again.configuration.compile(&known(), 1);
    let own = [("rule-2".to_owned(), 10), ("slow".to_owned(), 10)];
    assert_eq!(limits(&policy, "payments"), own, "{printed}");
    assert_eq!(limits(&policy, "users"), [], "nobody else is limited");
    for part in [
        "applyTo: HTTP_ROUTE",
        "context: SIDECAR_OUTBOUND",
        "name: payments.default.svc.cluster.local:8080",
        "name: slow",
        "name: rule-2",
        "typed_per_filter_config:",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("workloadSelector") && !printed.contains("GATEWAY"), "{printed}");
    let unheard = [code::NOTHING_IN_FORCE, code::EXTENSION, code::SELECTOR];
    for code in unheard {
        assert!(!has(&again.report.findings, code), "{code}: {:#?}", again.report.findings);
    }
    // At a gateway it is the gateway's route, by the ports it listens at.
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: shop}\n\
        spec:\n  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]\n\
        ---\n";
    let text = of("limits", "a.example", &rules("gateways: [shop]\n"));
    let configuration = apply(&format!("{gateway}{text}")).configuration;
    let (printed, again) = for_istio(&configuration);
    assert_eq!(limits(&again.configuration.compile(&known(), 1), "payments"), own, "{printed}");
    assert!(printed.contains("name: a.example:8080") && printed.contains("context: GATEWAY"));
    assert!(printed.contains("namespace: istio-system"), "{printed}");
}

#[test]
fn a_limit_on_a_route_that_no_rule_makes_is_warned_of_and_not_in_force() {
    let filter = |name: &str| {
        format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: a}}\n\
             spec:\n  configPatches:\n  - applyTo: HTTP_ROUTE\n    match:\n      \
             routeConfiguration: {{vhost: {{name: 'payments:80', route: {{name: {name}}}}}}}\n    \
             patch:\n      operation: MERGE\n      value:\n        \
             typed_per_filter_config:\n          \
             envoy.filters.http.local_ratelimit:\n            '@type': {LIMIT}\n            \
             token_bucket: {{max_tokens: 7, fill_interval: 60s}}\n            \
             filter_enabled: {{default_value: {{numerator: 100}}}}\n            \
             filter_enforced: {{default_value: {{numerator: 100}}}}\n"
        )
    };
    let rules =
        of("limits", "payments", "http: [{name: slow, route: [{destination: {host: payments}}]}]");
    for (name, there) in [("slow", true), ("fast", false)] {
        let applied = apply(&format!("{rules}---\n{}", filter(name)));
        let found = &applied.report.findings;
        assert_eq!(has(found, code::NOTHING_IN_FORCE), !there, "{name}: {found:#?}");
        let policy = applied.configuration.compile(&known(), 1);
        let expected = if there { vec![("slow".to_owned(), 7)] } else { Vec::new() };
        assert_eq!(limits(&policy, "payments"), expected, "{name}");
        let filter = applied.report.resources.iter().find(|r| r.resource.kind == "EnvoyFilter");
        let tokens = |field: &&FieldFate| field.path.ends_with("max_tokens");
        let field = filter.unwrap().fields.iter().find(tokens).unwrap();
        assert_eq!(field.fate == Fate::InForce, there, "{name}: {field:?}");
    }
}

/// The type of Envoy's filter.
const LIMIT: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
