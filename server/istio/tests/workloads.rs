//! What is compiled for workloads: mutual TLS, tokens, authorization, limits, telemetry, externals.

mod support;

use contract::istio::Fate;
use istio::{
    code,
    policy::{AuthorizationAction, Mtls, Policy, Share, TagSource, ValueMatch},
};
use support::{apply, compile, has, refuse};

fn everything() -> Policy {
    compile(include_str!("data/all-fields.yml"))
}

fn resource(kind: &str, version: &str, namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {spec}\n---\n"
    )
}

fn mtls(namespace: &str, name: &str, spec: &str) -> String {
    resource("PeerAuthentication", "security.istio.io/v1", namespace, name, spec)
}

fn limiter(config: &str) -> String {
    let indented: String = config.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: limit}}\n\
         spec:\n  workloadSelector: {{labels: {{app: users}}}}\n  configPatches:\n  \
         - applyTo: HTTP_FILTER\n    patch:\n      operation: INSERT_BEFORE\n      value:\n        \
         name: envoy.filters.http.local_ratelimit\n        typed_config:\n          \
         \"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.\
         LocalRateLimit\n{indented}"
    )
}

const ALL: &str = "filter_enabled: {default_value: {numerator: 100}}\n\
    filter_enforced: {default_value: {numerator: 100}}\n";

#[test]
fn the_narrowest_peer_authentication_decides() {
    let mesh = mtls("istio-system", "mesh", "{mtls: {mode: STRICT}}");
    let namespace = mtls("default", "namespace", "{mtls: {mode: DISABLE}}");
    let workload = mtls(
        "default",
        "workload",
        "{selector: {matchLabels: {app: payments}}, mtls: {mode: PERMISSIVE}}",
    );
    let unset = mtls("default", "a-unset", "{mtls: {mode: UNSET}}");
    let elsewhere = mtls("other", "other", "{mtls: {mode: STRICT}}");
    let of = |text: &str, service: &str| compile(text).workloads[service].mtls;
    assert_eq!(of(&elsewhere, "users"), Mtls::Permissive);
    assert_eq!(of(&mesh, "users"), Mtls::Strict);
    assert_eq!(of(&format!("{mesh}{unset}"), "users"), Mtls::Strict);
    assert_eq!(of(&format!("{mesh}{namespace}"), "users"), Mtls::Disable);
    let all = format!("{mesh}{namespace}{workload}");
    assert_eq!(of(&all, "users"), Mtls::Disable);
    assert_eq!(of(&all, "payments"), Mtls::Permissive);
}

#[test]
fn tokens_are_looked_for_where_the_rules_say() {
    let policy = everything();
    let rule = &policy.workloads["gateway"].authentication[0].rules[0];
    assert_eq!(rule.issuer, "https://issuer.example");
    assert_eq!(rule.audiences, ["shop"]);
    assert_eq!(rule.jwks, r#"{"keys":[]}"#);
    assert_eq!(rule.from_headers, [("x-token".to_owned(), "Bearer ".to_owned())]);
    assert_eq!(rule.from_params, ["token"]);
    assert!(rule.forward);
    assert!(policy.workloads["users"].authentication.is_empty());
}

#[test]
fn every_part_of_an_authorization_policy_is_compiled() {
    let policy = everything();
    let found = &policy.workloads["payments"].authorization[0];
    assert_eq!(found.action, AuthorizationAction::Deny);
    let rule = &found.rules[0];
    let orders = ValueMatch::Exact("cluster.local/ns/default/sa/orders".to_owned());
    assert_eq!(rule.from[0].principals, std::slice::from_ref(&orders));
    assert_eq!(rule.from[1].principals, [orders]);
    assert_eq!(rule.from[0].not_namespaces, [ValueMatch::Exact("other".to_owned())]);
    assert_eq!(rule.from[0].ip_blocks, [("10.0.0.0".parse().unwrap(), 8)]);
    assert_eq!(rule.from[0].remote_ip_blocks, [("203.0.113.0".parse().unwrap(), 24)]);
    assert_eq!(rule.from[0].not_remote_ip_blocks, [("203.0.113.7".parse().unwrap(), 32)]);
    let operation = &rule.to[0];
    assert_eq!(operation.methods, [ValueMatch::Exact("GET".to_owned())]);
    assert_eq!(operation.not_paths, [ValueMatch::Prefix("/admin".to_owned())]);
    assert_eq!(operation.hosts, [ValueMatch::Suffix(".example.com".to_owned())]);
    assert_eq!(operation.ports, [ValueMatch::Exact("8080".to_owned())]);
    assert_eq!(&*rule.when[0].key, "request.headers[x-role]");
    assert_eq!((rule.when[0].values.len(), rule.when[0].not_values.len()), (1, 1));
}

#[test]
fn an_authorization_policy_without_rules_allows_nothing_and_holds_for_its_scope() {
    let version = "security.istio.io/v1";
    let of = |namespace: &str| {
        let text = resource("AuthorizationPolicy", version, namespace, "none", "{}");
        let policy = compile(&text);
        policy.workloads["users"].authorization.iter().map(|p| p.rules.len()).collect::<Vec<_>>()
    };
    assert_eq!(of("default"), [0]);
    assert_eq!(of("istio-system"), [0]);
    assert!(of("other").is_empty());
    let text = resource("AuthorizationPolicy", version, "other", "none", "{}");
    assert!(has(&apply(&text).report.findings, istio::code::SELECTOR));
}

#[test]
fn a_typed_struct_in_either_spelling_limits_as_it_says() {
    let policy = everything();
    let limit = &policy.workloads["gateway"].rate_limits[0];
    assert_eq!((limit.max_tokens, limit.tokens_per_fill), (10, 5));
    assert_eq!(limit.fill_interval.as_secs(), 1);
    assert_eq!((limit.enabled, limit.enforced), (Share(500_000), Share(1)));
    assert_eq!((limit.status.as_u16(), limit.per_remote_address), (503, false));
}

#[test]
fn a_local_rate_limit_has_envoys_defaults() {
    let bucket = "token_bucket: {max_tokens: 4, fill_interval: 60s}\n";
    let policy = compile(&limiter(&format!("{bucket}{ALL}")));
    let limit = &policy.workloads["users"].rate_limits[0];
    assert_eq!((limit.tokens_per_fill, limit.status.as_u16()), (1, 429));
    assert_eq!((limit.enabled, limit.enforced), (Share::ALL, Share::ALL));
    // Without fractions Envoy counts and refuses nothing.
    let applied = apply(&limiter(bucket));
    assert!(has(&applied.report.findings, istio::code::NOTHING_IN_FORCE));
    let policy = applied.configuration.compile(&support::known(), 1);
    assert_eq!(policy.workloads["users"].rate_limits[0].enforced, Share::NONE);
}

#[test]
fn a_bucket_that_takes_centuries_to_fill_or_fills_too_often_is_refused_where_it_stands() {
    let of = |bucket: &str| limiter(&format!("token_bucket: {{{bucket}}}\n{ALL}"));
    for (bucket, column) in [
        ("max_tokens: 4294967295, fill_interval: 60s", 26),
        ("max_tokens: 1000000, tokens_per_fill: 1, fill_interval: 24h", 26),
        ("fill_interval: 8760h, maxTokens: 101", 48),
        ("max_tokens: 10, tokens_per_fill: 10, fill_interval: 49ms", 63),
    ] {
        let findings = refuse(&of(bucket)).findings;
        let found = findings.iter().find(|found| found.code == istio::code::BAD_VALUE).unwrap();
        assert_eq!((found.at.line, found.at.column), (14, column), "{bucket}: {found:?}");
    }
    for bucket in [
        "max_tokens: 4294967295, tokens_per_fill: 4294967295, fill_interval: 60s",
        "max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 24h",
        "max_tokens: 100, fill_interval: 8760h",
        "max_tokens: 1, tokens_per_fill: 1, fill_interval: 50ms",
    ] {
        assert_eq!(compile(&of(bucket)).workloads["users"].rate_limits.len(), 1, "{bucket}");
    }
    // A descriptor's bucket as well.
    let descriptor = "descriptors:\n- entries: [{key: remote_address}]\n  \
        token_bucket: {max_tokens: 4000000000, fill_interval: 1h}\n\
        rate_limits: [{actions: [{remote_address: {}}]}]\n";
    assert!(has(&refuse(&limiter(&format!("{descriptor}{ALL}"))).findings, istio::code::BAD_VALUE));
}

#[test]
fn a_descriptor_for_remote_addresses_makes_a_bucket_for_each() {
    let descriptor = "descriptors:\n- entries: [{key: remote_address}]\n  \
        token_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 1s}\n";
    let action = "rate_limits: [{actions: [{remote_address: {}}]}]\n";
    let limits = |text: &str| compile(&limiter(text)).workloads["users"].rate_limits.clone();
    let found = limits(&format!("{descriptor}{action}{ALL}"));
    assert_eq!((found.len(), found[0].per_remote_address, found[0].max_tokens), (1, true, 2));
    // Without the action no request has the descriptor.
    assert!(limits(&format!("{descriptor}{ALL}")).is_empty());
}

#[test]
fn other_patches_of_envoy_are_kept_and_said_to_do_nothing() {
    let text = resource(
        "EnvoyFilter",
        "networking.istio.io/v1alpha3",
        "default",
        "lua",
        "{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, \
         value: {name: envoy.filters.http.lua, typed_config: {a: b}}}}]}",
    );
    let applied = apply(&text);
    assert!(has(&applied.report.findings, istio::code::NOTHING_IN_FORCE));
    assert!(applied.configuration.print().contains("a: b"));
}

#[test]
fn telemetry_is_merged_from_the_mesh_down_and_tags_are_replaced() {
    let of = |namespace: &str, name: &str, spec: &str| {
        resource("Telemetry", "telemetry.istio.io/v1", namespace, name, spec)
    };
    let mesh = of(
        "istio-system",
        "mesh",
        "{tracing: [{randomSamplingPercentage: 50, customTags: {a: {literal: {value: x}}}}]}",
    );
    let web = of(
        "default",
        "web",
        "{selector: {matchLabels: {app: web}}, tracing: [{disableSpanReporting: true, \
         customTags: {b: {header: {name: X-B, defaultValue: none}}}}]}",
    );
    let policy = compile(&format!("{mesh}{web}"));
    assert_eq!(policy.telemetry[""].sampling, Some(Share(500_000)));
    assert!(!policy.telemetry.contains_key("users"));
    let web = &policy.telemetry["web"];
    assert_eq!((web.sampling, web.disable_spans), (Some(Share(500_000)), true));
    let header = TagSource::Header { name: "x-b".to_owned(), default: Some("none".to_owned()) };
    assert_eq!(web.tags, [("b".to_owned(), header)]);
    let removed = &everything().telemetry[""].metric_tags[0];
    assert_eq!((removed.metric.as_str(), removed.client), ("", Some(false)));
    assert_eq!(removed.value, None);
}

#[test]
fn telemetry_of_the_root_namespace_with_a_selector_is_for_no_workload_here() {
    let of = |namespace: &str, selector: &str| {
        let spec = format!("{{{selector}tracing: [{{randomSamplingPercentage: 5}}]}}");
        resource("Telemetry", "telemetry.istio.io/v1", namespace, "a", &spec)
    };
    let users = "selector: {matchLabels: {app: users}}, ";
    for (namespace, selector, whom) in [
        ("istio-system", "", vec![""]),
        ("istio-system", users, vec![]),
        ("default", users, vec!["users"]),
    ] {
        let text = of(namespace, selector);
        let telemetry = compile(&text).telemetry;
        assert_eq!(telemetry.keys().map(AsRef::as_ref).collect::<Vec<&str>>(), whom, "{text}");
        assert_eq!(has(&apply(&text).report.findings, code::SELECTOR), whom.is_empty(), "{text}");
    }
}

#[test]
fn external_services_have_their_endpoints_with_ports() {
    let policy = everything();
    let bank = &policy.external["bank.example.com"];
    assert_eq!(bank.endpoints, ["10.0.0.1:9000", "10.0.0.2:8080"]);
    assert_eq!(policy.service("bank.example.com").map(AsRef::as_ref), Some("bank.example.com"));
    let text = resource(
        "ServiceEntry",
        "networking.istio.io/v1",
        "default",
        "a",
        "{hosts: [a.example], location: MESH_INTERNAL, ports: [{number: 80, name: http}]}",
    );
    let found = &compile(&text).external["a.example"];
    assert_eq!(found.endpoints, ["a.example:80"]);
}

#[test]
fn a_policy_with_everything_is_compiled_for_its_service() {
    let policy = everything();
    // It selects its callers: nobody else has it.
    let of_others = &policy.destinations["payments"].policy;
    assert_eq!(of_others.connection_pool, istio::policy::ConnectionPool::default());
    let [only] = policy.for_callers["payments"].as_slice() else { panic!() };
    assert_eq!(*only.callers, [("app".to_owned(), "orders".to_owned())]);
    let payments = &only.destination;
    let pool = &payments.policy.connection_pool;
    assert_eq!(
        (pool.max_connections, pool.max_pending, pool.max_requests),
        (Some(10), Some(5), Some(20))
    );
    assert_eq!(pool.max_retries, None, "the budget takes its place");
    assert_eq!(pool.idle_timeout, None, "calls to payments have no connection");
    let outlier = payments.policy.outlier.as_ref().unwrap();
    assert_eq!((outlier.consecutive_local_origin, outlier.consecutive_gateway), (4, 2));
    assert_eq!((outlier.max_ejection.as_secs(), outlier.http_error_codes.len()), (600, 2));
    let budget = payments.policy.retry_budget.unwrap();
    assert_eq!((budget.share, budget.min_concurrency), (Share(255_000), 1));
    assert_eq!(payments.policy.warmup, None, "a hash chooses without regard to it");
    let warmup = "{duration: 30s, minimumPercent: 5, aggression: 1.5}";
    let balancer = format!("loadBalancer: {{simple: ROUND_ROBIN, warmup: {warmup}}}");
    let text = support::rule(&format!("trafficPolicy: {{{balancer}}}"));
    let warmup = support::compile(&text).destinations["payments"].policy.warmup.unwrap();
    assert_eq!(
        (warmup.duration.as_secs(), warmup.minimum_percent, warmup.aggression),
        (30, 5.0, 1.5)
    );
    // The subset's own balancer comes without the warm-up of the one it replaces.
    assert_eq!(payments.subset("v2").unwrap().policy.warmup, None);
}

#[test]
fn the_mode_of_a_port_is_in_force_where_the_service_listens_and_said_to_be_ignored_elsewhere() {
    let ports = |modes: &str| {
        let select = "selector: {matchLabels: {app: payments}}";
        let spec = format!("{{{select}, mtls: {{mode: STRICT}}, portLevelMtls: {{{modes}}}}}");
        mtls("default", "a", &spec)
    };
    let (here, elsewhere) = ("'8080': {mode: DISABLE}", "'9090': {mode: DISABLE}");
    let ignored = |text: &str| {
        let fields = support::apply(text).report.resources.remove(0).fields;
        let ignored = fields.into_iter().filter(|field| field.fate == Fate::Ignored);
        ignored.map(|field| field.path.replace("spec.", "")).collect::<Vec<_>>()
    };
    for (modes, mode, without_effect) in [
        (here, Mtls::Disable, &["mtls.mode"][..]),
        (elsewhere, Mtls::Strict, &["portLevelMtls[9090].mode"]),
        ("'8080': {mode: UNSET}", Mtls::Strict, &["portLevelMtls[8080].mode"]),
    ] {
        let text = ports(modes);
        assert_eq!(compile(&text).workloads["payments"].mtls, mode, "{modes}");
        assert_eq!(ignored(&text), without_effect, "{modes}");
    }
}

#[test]
fn a_policy_that_asks_for_identities_where_mutual_tls_is_off_is_warned_of() {
    let rule = "rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/orders]}}]}]";
    let select = "selector: {matchLabels: {app: payments}}";
    let policy = |action: &str| {
        let spec = format!("{{{select}, {action}{rule}}}");
        resource("AuthorizationPolicy", "security.istio.io/v1", "default", "a", &spec)
    };
    for (mode, off) in [("STRICT", false), ("PERMISSIVE", false), ("DISABLE", true)] {
        let mode = mtls("default", "a", &format!("{{{select}, mtls: {{mode: {mode}}}}}"));
        for (action, shut) in [("", off), ("action: DENY, ", false)] {
            let findings = support::apply(&format!("{mode}{}", policy(action))).report.findings;
            assert_eq!(has(&findings, code::PRINCIPAL), off, "{mode}{action}: {findings:#?}");
            assert_eq!(has(&findings, code::NOBODY_ALLOWED), shut, "{mode}{action}");
        }
    }
}
