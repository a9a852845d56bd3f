//! Who calls, and before whom no proxy stands: identities that there are, and resources for what is
//! outside of the mesh.

#![expect(clippy::unwrap_used, reason = "a test whose text cannot be read fails")]

mod support;

use contract::istio::Fate;
use istio::code;
use support::{apply, compile, has};

fn document(kind: &str, group: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n")
}

const SECURITY: &str = "security.istio.io/v1";
const NETWORKING: &str = "networking.istio.io/v1";

/// Whether some field of the spec of the last resource is in force.
fn some_in_force(text: &str) -> bool {
    let report = apply(text).report;
    let fields = &report.resources.last().unwrap().fields;
    let of_spec = fields.iter().filter(|field| field.path.starts_with("spec"));
    of_spec.clone().count() > 0 && of_spec.into_iter().any(|field| field.fate == Fate::InForce)
}

const BUCKET: &str = "token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 60s}, \
    filter_enabled: {default_value: {numerator: 100}}, \
    filter_enforced: {default_value: {numerator: 100}}";

fn filter(selector: &str, patch: &str) -> String {
    let spec = format!("{{{selector}configPatches: [{patch}]}}");
    document("EnvoyFilter", "networking.istio.io/v1alpha3", "f", &spec)
}

fn typed() -> String {
    let kind = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    format!("{{\"@type\": type.googleapis.com/{kind}, stat_prefix: a, {BUCKET}}}")
}

fn limited(host: &str, to: &str) -> String {
    let limit = "rateLimit: {limit: {requestsPerUnit: 1, unit: HOUR}}";
    let rule = format!("{{name: one, route: [{{destination: {{host: {to}}}}}], {limit}}}");
    document("VirtualService", NETWORKING, "a", &format!("{{hosts: [{host}], http: [{rule}]}}"))
}

#[test]
fn what_is_for_something_outside_of_the_mesh_is_not_in_force_and_says_why() {
    let of = |kind: &str, app: &str, says: &str| {
        let spec = format!("{{selector: {{matchLabels: {{app: {app}}}}}, {says}}}");
        document(kind, SECURITY, "a", &spec)
    };
    let whole = |app: &str| {
        let value =
            format!("{{name: envoy.filters.http.local_ratelimit, typed_config: {}}}", typed());
        let patch = format!(
            "{{applyTo: HTTP_FILTER, patch: {{operation: INSERT_BEFORE, value: {value}}}}}"
        );
        filter(&format!("workloadSelector: {{labels: {{app: {app}}}}}, "), &patch)
    };
    let texts = |app: &str| {
        [
            of("AuthorizationPolicy", app, "action: DENY, rules: [{}]"),
            of("RequestAuthentication", app, "jwtRules: [{issuer: a, jwks: '{}'}]"),
            of("PeerAuthentication", app, "mtls: {mode: STRICT}"),
            whole(app),
        ]
    };
    for (inside, outside) in texts("users").iter().zip(texts("api.stripe.com")) {
        assert!(some_in_force(inside), "{inside}");
        assert!(!some_in_force(&outside), "{outside}");
        let findings = apply(&outside).report.findings;
        let said = findings.iter().any(|found| found.message.contains("no proxy stands before it"));
        assert!(said && !has(&findings, code::NOBODY_ALLOWED), "{findings:#?}");
        let workload = compile(&outside).workloads["provider"].clone();
        assert!(workload.authorization.is_empty() && workload.authentication.is_empty());
        assert!(workload.rate_limits.is_empty());
    }
    let shut = document("AuthorizationPolicy", SECURITY, "a", "{}");
    let found = apply(&shut).report.findings;
    let shut = found.iter().find(|found| found.code == code::NOBODY_ALLOWED).unwrap();
    assert!(!shut.message.contains("provider"), "{shut:?}");
}

/// How many limits there are of calls to a service outside, and of what comes to one inside.
fn limits(text: &str, service: &str) -> (usize, usize) {
    let policy = compile(text);
    let inside = policy.workloads.get(service).map_or(0, |workload| workload.rate_limits.len());
    (policy.outbound.get(service).map_or(0, Vec::len), inside)
}

#[test]
fn a_limit_for_a_rule_that_sends_outside_of_the_mesh_is_counted_by_those_who_call() {
    let entry = document(
        "ServiceEntry",
        NETWORKING,
        "e",
        "{hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], \
         resolution: STATIC, endpoints: [{address: 127.0.0.1}]}",
    );
    for (host, to, service, expected) in [
        ("users", "users", "users", (0, 1)),
        ("api.stripe.com", "api.stripe.com", "provider", (1, 0)),
        ("a.example", "a.example", "a.example", (1, 0)),
        ("users", "a.example", "a.example", (1, 0)),
    ] {
        let text = format!("{entry}{}", limited(host, to));
        assert_eq!(limits(&text, service), expected, "{host} to {to}");
        let report = apply(&text).report;
        let fields = &report.resources.last().unwrap().fields;
        let limit = fields.iter().find(|field| field.path.ends_with("requestsPerUnit")).unwrap();
        assert_eq!(limit.fate, Fate::InForce, "{host} to {to}");
        let finding = report.findings.iter().find(|found| found.code == code::EXTENSION).unwrap();
        let by_callers = finding.message.contains("each service that calls counts");
        assert_eq!(by_callers, expected.0 == 1, "{finding:?}");
        // What it says for Istio is the same here.
        let rule = text.replace(", rateLimit: {limit: {requestsPerUnit: 1, unit: HOUR}}", "");
        let printed = format!("{rule}{}", finding.correct_form.as_ref().unwrap());
        assert_eq!(limits(&printed, service), expected, "{printed}");
    }
}

#[test]
fn a_filter_for_calls_that_leave_the_mesh_counts_where_and_whose_it_says() {
    let patch = |kind: &str, context: &str, host: &str| {
        let value = format!(
            "{{typed_per_filter_config: {{envoy.filters.http.local_ratelimit: {}}}}}",
            typed()
        );
        format!(
            "{{applyTo: {kind}, match: {{{context}routeConfiguration: {{vhost: {{{host}}}}}}}, \
             patch: {{operation: MERGE, value: {value}}}}}"
        )
    };
    let rule = "{name: one, route: [{destination: {host: api.stripe.com}}]}";
    let spec = format!("{{hosts: [api.stripe.com], http: [{rule}]}}");
    let rules = document("VirtualService", NETWORKING, "a", &spec);
    let (route, host) =
        ("name: 'api.stripe.com:80', route: {name: one}", "name: 'api.stripe.com:80'");
    let of_orders = "workloadSelector: {labels: {app: order-service}}, ";
    let orders = vec![("app".to_owned(), "orders".to_owned())];
    for (selector, kind, context, vhost, callers, at_ingress) in [
        ("", "HTTP_ROUTE", "", route, vec![], None),
        ("", "HTTP_ROUTE", "context: SIDECAR_OUTBOUND, ", route, vec![], Some(false)),
        ("", "HTTP_ROUTE", "context: GATEWAY, ", route, vec![], Some(true)),
        ("", "VIRTUAL_HOST", "", host, vec![], None),
        // A route of no name is each of its host.
        ("", "HTTP_ROUTE", "", host, vec![], None),
        (of_orders, "HTTP_ROUTE", "context: GATEWAY, ", host, orders.clone(), Some(true)),
        (of_orders, "HTTP_ROUTE", "context: ANY, ", route, orders.clone(), None),
        (of_orders, "VIRTUAL_HOST", "context: SIDECAR_OUTBOUND, ", host, orders, Some(false)),
    ] {
        let text = format!("{rules}{}", filter(selector, &patch(kind, context, vhost)));
        let policy = compile(&text);
        let [limit] = policy.outbound["provider"].as_slice() else { panic!("{text}") };
        assert_eq!((&limit.callers, limit.at_ingress), (&callers, at_ingress), "{text}");
        let by_rule = limit.limit.scope.as_ref().map(|scope| &*scope.route);
        assert_eq!(by_rule, vhost.contains("route:").then_some("one"), "{text}");
        let inside = policy.workloads.values().all(|workload| workload.rate_limits.is_empty());
        assert!(inside, "it is not for what comes to anybody: {text}");
        assert!(some_in_force_below(&text, "spec.configPatches[0].match"), "{text}");
        let findings = apply(&text).report.findings;
        assert!(!has(&findings, code::NOTHING_IN_FORCE), "{findings:#?}");
    }
    // For the proxy of the callee it is for what comes there, and of hosts in the mesh too.
    for (context, host) in [("context: SIDECAR_INBOUND, ", host), ("", "name: 'users:80'")] {
        let text = filter(of_orders, &patch("VIRTUAL_HOST", context, host));
        assert_eq!(limits(&text, "orders"), (0, 1), "{text}");
        assert!(!some_in_force_below(&text, "spec.configPatches[0].match"), "{text}");
    }
}

#[test]
fn a_limit_of_a_host_whose_rules_send_elsewhere_says_that_it_limits_nothing() {
    let entry = |host: &str| {
        let spec = format!(
            "{{hosts: [{host}], ports: [{{number: 80, name: http, protocol: HTTP}}], \
             resolution: STATIC, endpoints: [{{address: 127.0.0.1}}]}}"
        );
        document("ServiceEntry", NETWORKING, &host.replace('.', "-"), &spec)
    };
    let entries = format!("{}{}", entry("a.example"), entry("b.example"));
    let limit = format!("envoy.filters.http.local_ratelimit: {}", typed());
    let patch = format!(
        "{{applyTo: VIRTUAL_HOST, \
         match: {{routeConfiguration: {{vhost: {{name: 'a.example:80'}}}}}}, \
         patch: {{operation: MERGE, value: {{typed_per_filter_config: {{{limit}}}}}}}}}"
    );
    let filter = filter("", &patch);
    let rules = |to: &str| {
        let rule = format!("{{route: [{{destination: {{host: {to}}}}}]}}");
        let spec = format!("{{hosts: [a.example], http: [{rule}]}}");
        document("VirtualService", NETWORKING, "a", &spec)
    };
    for (rules, limits) in
        [(String::new(), true), (rules("a.example"), true), (rules("b.example"), false)]
    {
        let text = format!("{entries}{rules}{filter}");
        let report = apply(&text).report;
        assert_eq!(!has(&report.findings, code::NOTHING_IN_FORCE), limits, "{text}");
        let fields = &report.resources.last().unwrap().fields;
        let limit = fields.iter().find(|field| field.path.ends_with("max_tokens")).unwrap();
        assert_eq!(limit.fate == Fate::InForce, limits, "{limit:?}");
    }
}

#[test]
fn of_two_patches_for_one_route_the_later_holds_wherever_it_holds() {
    let rule = "{name: one, route: [{destination: {host: api.stripe.com}}]}";
    let spec = format!("{{hosts: [api.stripe.com], http: [{rule}]}}");
    let rules = document("VirtualService", NETWORKING, "a", &spec);
    let patch = |context: &str, tokens: u32| {
        let typed = typed().replace("max_tokens: 1", &format!("max_tokens: {tokens}"));
        let limit = format!("envoy.filters.http.local_ratelimit: {typed}");
        let value = format!("{{typed_per_filter_config: {{{limit}}}}}");
        let vhost = "vhost: {name: 'api.stripe.com:80', route: {name: one}}";
        format!(
            "{{applyTo: HTTP_ROUTE, \
             match: {{context: {context}, routeConfiguration: {{{vhost}}}}}, \
             patch: {{operation: MERGE, value: {value}}}}}"
        )
    };
    let (any, calls, gateway) = ("ANY", "SIDECAR_OUTBOUND", "GATEWAY");
    for (first, second, expected) in [
        (any, any, vec![(2, None)]),
        (calls, any, vec![(2, None)]),
        (calls, calls, vec![(2, Some(false))]),
        (any, calls, vec![(1, Some(true)), (2, Some(false))]),
        (any, gateway, vec![(1, Some(false)), (2, Some(true))]),
        (calls, gateway, vec![(1, Some(false)), (2, Some(true))]),
    ] {
        let both = format!("{}, {}", patch(first, 1), patch(second, 2));
        let policy = compile(&format!("{rules}{}", filter("", &both)));
        let found = policy.outbound["provider"].iter();
        let found: Vec<_> = found.map(|of| (of.limit.max_tokens, of.at_ingress)).collect();
        assert_eq!(found, expected, "{first}, then {second}");
    }
}

#[test]
fn a_filter_for_a_route_needs_a_rule_of_that_name_and_host() {
    let patch = |host: &str, name: &str| {
        let value = format!(
            "{{typed_per_filter_config: {{envoy.filters.http.local_ratelimit: {}}}}}",
            typed()
        );
        let found = format!("vhost: {{name: '{host}:80', route: {{name: {name}}}}}");
        filter(
            "",
            &format!(
                "{{applyTo: HTTP_ROUTE, match: {{routeConfiguration: {{{found}}}}}, \
                 patch: {{operation: MERGE, value: {value}}}}}"
            ),
        )
    };
    let rules = |host: &str, to: &str| {
        let rule = format!("{{name: one, route: [{{destination: {{host: {to}}}}}]}}");
        let spec = format!("{{hosts: [{host}], http: [{rule}]}}");
        document("VirtualService", NETWORKING, "a", &spec)
    };
    for (host, to, patched, name, limits) in [
        ("users", "users", "users.default.svc.cluster.local", "one", true),
        ("users", "users", "users", "two", false),
        // Another name of the service is another virtual host.
        ("users", "users", "user-service", "one", false),
        ("api.stripe.com", "api.stripe.com", "api.stripe.com", "one", true),
        ("api.stripe.com", "api.stripe.com", "api.stripe.com", "two", false),
    ] {
        let text = format!("{}{}", rules(host, to), patch(patched, name));
        let findings = apply(&text).report.findings;
        assert_eq!(has(&findings, code::NOTHING_IN_FORCE), !limits, "{text}{findings:#?}");
        assert_eq!(some_in_force_below(&text, "spec.configPatches[0]"), limits, "{text}");
    }
}

fn some_in_force_below(text: &str, path: &str) -> bool {
    let report = apply(text).report;
    let fields = &report.resources.last().unwrap().fields;
    fields.iter().any(|field| field.path.starts_with(path) && field.fate == Fate::InForce)
}

#[test]
fn an_identity_is_one_that_calls_may_come_with_and_compared_whole() {
    let policy = |app: &str, principals: &str| {
        let from = format!("from: [{{source: {{principals: [{principals}]}}}}]");
        let spec = format!("{{selector: {{matchLabels: {{app: {app}}}}}, rules: [{{{from}}}]}}");
        document("AuthorizationPolicy", SECURITY, "a", &spec)
    };
    let account = |name: &str| format!("cluster.local/ns/default/sa/{name}");
    let ingress = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    for (principal, there) in [
        (account("orders"), true),
        (account("bus"), true),
        (account("load"), true),
        (ingress.to_owned(), true),
        ("'*/sa/orders'".to_owned(), true),
        ("'*'".to_owned(), true),
        (account("nobody"), false),
        // The account has the name of the service, and nobody has another one of its names.
        (account("order-service"), false),
        ("cluster.local/ns/other/sa/orders".to_owned(), false),
        ("'*/sa/nobody'".to_owned(), false),
        (account("provider"), false),
    ] {
        let findings = apply(&policy("users", &principal)).report.findings;
        assert_eq!(has(&findings, code::PRINCIPAL), !there, "{principal}: {findings:#?}");
        assert_eq!(has(&findings, code::NOBODY_ALLOWED), !there, "{principal}");
    }
    let findings = apply(&policy("users", &account("order-service"))).report.findings;
    let finding = findings.iter().find(|found| found.code == code::PRINCIPAL).unwrap();
    assert_eq!(finding.advice, format!("Did you mean {}?", account("orders")));
}

#[test]
fn a_policy_that_keeps_out_the_messages_of_sagas_is_warned_of() {
    let policy = |app: &str, source: &str| {
        let rule = format!("{{from: [{{source: {{{source}}}}}]}}");
        let spec = format!("{{selector: {{matchLabels: {{app: {app}}}}}, rules: [{rule}]}}");
        document("AuthorizationPolicy", SECURITY, "a", &spec)
    };
    let orders = "principals: [cluster.local/ns/default/sa/orders]";
    let said = |text: &str| has(&apply(text).report.findings, code::MESSAGES_REFUSED);
    assert!(said(&policy("payments", orders)));
    assert!(said(&policy("payments", "namespaces: [other, istio-system]")));
    assert!(!said(&policy("users", orders)), "no message comes to users");
    for lets_in in [
        "principals: [cluster.local/ns/default/sa/orders, cluster.local/ns/default/sa/bus]",
        "serviceAccounts: [default/bus]",
        "namespaces: [default]",
        "principals: ['*']",
        "ipBlocks: [127.0.0.1]",
    ] {
        assert!(!said(&policy("payments", lets_in)), "{lets_in}");
    }
    let other = policy("payments", "namespaces: [default]").replace("name: a", "name: b");
    assert!(
        !said(&format!("{}{other}", policy("payments", orders))),
        "one that lets it in is enough"
    );
}

#[test]
fn a_ring_that_is_made_smaller_is_told_of() {
    let hash = |fields: &str| {
        support::rule(&format!(
            "trafficPolicy: {{loadBalancer: {{consistentHash: {{useSourceIp: true, {fields}}}}}}}"
        ))
    };
    for (fields, said) in [
        ("ringHash: {minimumRingSize: 8388608}", true),
        ("minimumRingSize: 1048577", true),
        ("ringHash: {minimumRingSize: 1048576}", false),
    ] {
        let findings = apply(&hash(fields)).report.findings;
        assert_eq!(has(&findings, code::SMALLER_TABLE), said, "{fields}");
    }
}
