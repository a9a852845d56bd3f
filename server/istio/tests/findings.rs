//! The warnings: each code once where it is due, and not where it is not.

#![expect(clippy::unwrap_used, reason = "a test whose text cannot be read fails")]

mod support;

use contract::istio::{Fate, Severity};
use istio::{Configuration, RequestsByRule, code, never_matched, policy::LoadBalancer};
use support::{apply, compile, has, known, refuse, route, rule};

fn of(name: &str, host: &str, lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
         spec:\n  hosts: [{host}]\n{indented}"
    )
}

fn to(host: &str) -> String {
    format!("http: [{{route: [{{destination: {{host: {host}}}}}]}}]")
}

fn policy_of(kind: &str, version: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
}

/// The code is said of the first text and not of the second.
fn said(code: &str, with: &str, without: &str) {
    let found = apply(with).report.findings;
    assert!(has(&found, code), "{code} missing: {found:#?}\n{with}");
    let found = apply(without).report.findings;
    assert!(!has(&found, code), "{code} too much: {found:#?}\n{without}");
}

fn said_of_routes(code: &str, with: &str, without: &str) {
    said(code, &route(with), &route(without));
}

fn said_of_rules(code: &str, with: &str, without: &str) {
    said(code, &rule(with), &rule(without));
}

#[test]
fn hosts_gateways_and_weights_are_warned_of_where_it_is_due_and_only_there() {
    let hosts = |with: String, without: String| said(code::ROUTE_HOST, &with, &without);
    hosts(of("a", "payments", &to("paymnts")), of("a", "payments", &to("payments")));
    hosts(of("a", "paymnts", &to("payments")), of("a", "users", &to("payments")));
    let at = |gateway: &str| of("a", "x.shop", &format!("gateways: [{gateway}]\n{}", to("users")));
    said(code::ROUTE_GATEWAY, &at("egde"), &at("edge"));
    let weight = |weight: u32| {
        let route =
            format!("http: [{{route: [{{destination: {{host: users}}, weight: {weight}}}]}}]");
        of("a", "users", &route)
    };
    said(code::SINGLE_WEIGHT, &weight(50), &weight(100));
    let twice = |second: &str| {
        let first = "{destination: {host: users}, weight: 1}";
        let second = format!("{{destination: {{host: {second}}}, weight: 1}}");
        of("a", "users", &format!("http: [{{route: [{first}, {second}]}}]"))
    };
    said(code::REPEATED_DESTINATION, &twice("user-service"), &twice("orders"));
    let tcp = of("a", "users", "tcp: [{route: [{destination: {host: users}}]}]");
    said(code::ROUTE_PROTOCOL, &tcp, &of("a", "users", &to("users")));
    said_of_routes(
        code::PSEUDO_HEADER,
        "match: [{headers: {uri: {exact: /}}}]",
        "match: [{headers: {url: {exact: /}}}]",
    );
}

#[test]
fn timeouts_faults_and_mirrors_are_warned_of_where_it_is_due_and_only_there() {
    let fault = "fault: {abort: {httpStatus: 500, percentage: {value: 1}}}";
    let with_retry = format!("{fault}\nretries: {{attempts: 1}}");
    said_of_routes(code::FAULT_WITH_RETRY, &with_retry, fault);
    let tries =
        |timeout: &str| format!("timeout: {timeout}\nretries: {{attempts: 3, perTryTimeout: 2s}}");
    said_of_routes(code::TIMEOUT_BEFORE_RETRIES, &tries("5s"), &tries("6s"));
    let attempts = |count: u32| format!("retries: {{attempts: {count}}}");
    said_of_routes(code::RETRY_STORM, &attempts(999), &attempts(25));
    said_of_routes(code::PER_TRY_TIMEOUT, &tries("2s"), &tries("2001ms"));
    let mirror = |host: &str| format!("mirror: {{host: {host}}}");
    said_of_routes(code::MIRROR_WITH_EFFECT, &mirror("payment-service"), &mirror("users"));
    said_of_routes(
        code::FAULT_WITHOUT_SHARE,
        "fault: {delay: {fixedDelay: 1s}}",
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}",
    );
    let deprecated = "mirror: {host: users}\nmirrorPercent: 5";
    said_of_routes(code::DEPRECATED, deprecated, &mirror("users"));
}

#[test]
fn subsets_and_detectors_are_warned_of_where_it_is_due_and_only_there() {
    let v2 = "subsets:
- {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}";
    let route = "http: [{route: [{destination: {host: payments, subset: v2}}]}]";
    let to_v2 = of("v2", "payments", route);
    let both = format!("{to_v2}---\n{}", rule(v2));
    said(code::SUBSET_NOT_FOUND, &to_v2, &both);
    said(code::SUBSET_UNREACHED, &rule(v2), &both);
    let subset = |subset: &str| format!("subsets: [{{name: v1{subset}}}]");
    let v1 = subset(", labels: {version: v1}");
    said_of_rules(code::SUBSET_LABELS, &subset(", labels: {version: v9}"), &v1);
    said_of_rules(code::SUBSET_WITHOUT_LABELS, &subset(""), &v1);
    let outlier = |fields: &str| format!("trafficPolicy: {{outlierDetection: {{{fields}}}}}");
    let five = |errors: u32| outlier(&format!("consecutive5xxErrors: {errors}"));
    said_of_rules(code::NEVER_EJECTS, &five(0), &five(1));
    said_of_rules(
        code::NEVER_EJECTS,
        &outlier("consecutive5xxErrors: 0, consecutiveGatewayErrors: 0"),
        &outlier("consecutive5xxErrors: 0, splitExternalLocalOriginErrors: true"),
    );
    let gateway = |errors: u32| outlier(&format!("consecutiveGatewayErrors: {errors}"));
    said_of_rules(code::DETECTOR_FORESTALLED, &gateway(5), &gateway(4));
    said_of_rules(code::DEPRECATED, &outlier("consecutiveErrors: 3"), &five(3));
    let health = |percent: u32| outlier(&format!("minHealthPercent: {percent}"));
    said_of_rules(code::NEVER_EJECTS, &health(100), &health(66));
    // Of three instances two are left, which are 66.6 %.
    said_of_rules(code::NEVER_EJECTS, &health(67), &health(66));
    let of_subset = |version: &str, percent: u32| {
        let own = health(percent).replacen("trafficPolicy", ", trafficPolicy", 1);
        rule(&format!("subsets: [{{name: a, labels: {{version: {version}}}{own}}}]"))
    };
    said(code::NEVER_EJECTS, &of_subset("v1", 51), &of_subset("v1", 50));
    said(code::NEVER_EJECTS, &of_subset("v2", 1), &of_subset("v2", 0));
    let report = apply(&rule(&health(90))).report;
    let finding = report.findings.iter().find(|found| found.code == code::NEVER_EJECTS).unwrap();
    assert!(finding.message.contains("3 instances of payments, 66 % are left"), "{finding:?}");
    assert!(finding.advice.starts_with("Write 66 or less"), "{finding:?}");
}

#[test]
fn ports_and_callers_that_are_not_there_are_warned_of_and_others_are_not() {
    let port = |port: u16| {
        let to = format!("{{destination: {{host: users, port: {{number: {port}}}}}}}");
        of("a", "users", &format!("http: [{{route: [{to}]}}]"))
    };
    said(code::ROUTE_PORT, &port(9080), &port(8080));
    let callers = |labels: &str| format!("workloadSelector: {{matchLabels: {{{labels}}}}}");
    said_of_rules(code::SELECTOR, &callers("app: ordrs"), &callers("app: order-service"));
    let elsewhere = rule(&callers("app: orders"))
        .replace("name: payments", "name: payments\n  namespace: istio-system");
    said(code::SELECTOR, &elsewhere, &rule(&callers("app: orders")));
}

#[test]
fn selectors_identities_and_keys_are_warned_of_where_it_is_due_and_only_there() {
    let security = "security.istio.io/v1";
    let selecting = |labels: &str| {
        let selector =
            format!("{{selector: {{matchLabels: {{{labels}}}}}, mtls: {{mode: STRICT}}}}");
        policy_of("PeerAuthentication", security, &selector)
    };
    said(code::SELECTOR, &selecting("app: paymnts"), &selecting("app: payment-service"));
    let v2 = selecting("app: payments, version: v2");
    said(code::PART_OF_SERVICE, &v2, &selecting("app: payments"));
    let from = |account: &str| {
        let principal = format!("principals: [cluster.local/ns/default/sa/{account}]");
        let rules = format!("{{rules: [{{from: [{{source: {{{principal}}}}}]}}]}}");
        policy_of("AuthorizationPolicy", security, &rules)
    };
    said(code::PRINCIPAL, &from("nobody"), &from("orders"));
    let keys = |keys: &str| {
        let rules = format!("{{jwtRules: [{{issuer: me, {keys}}}]}}");
        policy_of("RequestAuthentication", security, &rules)
    };
    let set = |key: &str| keys(&format!("jwks: '{{\"keys\": [{key}]}}'"));
    let good = set(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#);
    said(code::NO_KEYS, &keys("jwksUri: 'https://a/b'"), &good);
    for without in [
        keys("jwks: '{}'"),
        set(""),
        set(r#"{"kty": "X"}"#),
        set(r#"{"kty": "RSA", "n": "AQAB"}"#),
        set(r#"{"kty": "EC", "crv": "P-521", "x": "AQ", "y": "AQ"}"#),
        set(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}"#),
    ] {
        said(code::NO_KEYS, &without, &good);
    }
    for (bad, word) in [
        (keys("jwks: 'this is not json'"), "no key set"),
        (keys("jwks: '[]'"), "no object"),
        (keys("jwks: '{\"keys\": 1}'"), "keys is no list"),
        (set("{}"), "keys[0] has no kty"),
        (keys("jwks: '{}', jwksUri: 'https://a/b'"), "jwks and jwksUri"),
    ] {
        let finding = refuse(&bad).findings.remove(0);
        assert!(finding.message.contains(word), "{bad}: {finding:?}");
        assert_eq!(finding.at.line, 4, "{finding:?}");
        assert!(finding.at.column > 20, "{finding:?}");
    }
}

#[test]
fn a_policy_that_lets_in_nobody_is_warned_of_once_for_its_workload() {
    let security = "security.istio.io/v1";
    let policy = |rules: &str| {
        let spec = format!("{{selector: {{matchLabels: {{app: orders}}}}, rules: [{rules}]}}");
        policy_of("AuthorizationPolicy", security, &spec)
    };
    let token = "{from: [{source: {requestPrincipals: ['*']}}]}";
    let claim = "{when: [{key: 'request.auth.claims[group]', values: [a]}]}";
    let nobody = "{from: [{source: {principals: [cluster.local/ns/default/sa/nobody]}}]}";
    let users = "{from: [{source: {principals: [cluster.local/ns/default/sa/users]}}]}";
    let tokens = policy_of(
        "RequestAuthentication",
        security,
        r#"{selector: {matchLabels: {app: orders}}, jwtRules: [{issuer: me, jwks:
  '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}'}]}"#,
    );
    let checked = format!("{}---\n{tokens}", policy(token));
    said(code::TOKEN_UNCHECKED, &policy(token), &checked);
    said(code::TOKEN_UNCHECKED, &policy(claim), &policy(users));
    said(code::NOBODY_ALLOWED, &policy(token), &checked);
    let shut = policy(&format!("{token}, {nobody}"));
    said(code::NOBODY_ALLOWED, &shut, &policy(&format!("{token}, {users}")));
    let report = apply(&shut).report;
    let of = |code: &'static str| report.findings.iter().filter(move |found| found.code == code);
    assert_eq!(of(code::NOBODY_ALLOWED).count(), 1);
    let finding = of(code::NOBODY_ALLOWED).next().unwrap();
    assert!(finding.message.contains("every request to orders is refused"), "{finding:?}");
    let form = of(code::TOKEN_UNCHECKED).next().unwrap().correct_form.clone().unwrap();
    assert!(form.contains("kind: RequestAuthentication") && form.contains("app: orders"), "{form}");
    apply(&form);
    // That of the seed shuts the gateway as well.
    let seed = apply(include_str!("data/istio-config.yml")).report;
    assert!(
        has(&seed.findings, code::NOBODY_ALLOWED) && has(&seed.findings, code::TOKEN_UNCHECKED)
    );
}

/// The fates of the fields of the only resource of a text that are not in force, with why.
fn ignored(text: &str) -> Vec<(String, String)> {
    let fields = apply(text).report.resources.remove(0).fields.into_iter();
    let ignored = fields.filter(|field| field.fate == Fate::Ignored);
    ignored.map(|field| (field.path, field.why.unwrap_or_default())).collect()
}

#[test]
fn what_a_finding_says_to_have_no_effect_is_not_said_to_be_in_force() {
    let paths = |text: &str| {
        let ignored = ignored(text).into_iter();
        ignored.map(|(path, _)| path.trim_start_matches("spec.").to_owned()).collect::<Vec<_>>()
    };
    let nobody = rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}")
        .replace("host: payments", "host: '*.example.com'");
    assert_eq!(paths(&nobody), ["host", "trafficPolicy.loadBalancer.simple"]);
    assert!(ignored(&nobody)[0].1.ends_with("this rule has no effect"), "{:?}", ignored(&nobody));
    let header = route("match: [{headers: {uri: {exact: /}, x-a: {exact: b}}}]");
    assert_eq!(paths(&header), ["http[0].match[0].headers[uri].exact"]);
    let on = |on: &str| route(&format!("retries: {{attempts: 1, retryOn: '{on}'}}"));
    assert_eq!(paths(&on("retriable-headers")), [""; 0], "without it, more is repeated");
    assert_eq!(paths(&on("retriable-headers,5xx")), [""; 0]);
    let port = |port: u16| {
        let settings = format!("{{port: {{number: {port}}}, loadBalancer: {{simple: RANDOM}}}}");
        rule(&format!("trafficPolicy: {{portLevelSettings: [{settings}]}}"))
    };
    said(code::ROUTE_PORT, &port(9090), &port(8080));
    let settings = "trafficPolicy.portLevelSettings[0]";
    assert_eq!(
        paths(&port(9090)),
        [format!("{settings}.port.number"), format!("{settings}.loadBalancer.simple")]
    );
    let tries = route("timeout: 1s\nretries: {attempts: 1, perTryTimeout: 2s}");
    assert_eq!(paths(&tries), ["http[0].retries.perTryTimeout"]);
    let selector = policy_of(
        "PeerAuthentication",
        "security.istio.io/v1",
        "{selector: {matchLabels: {app: nobody}}, mtls: {mode: STRICT}}",
    );
    assert_eq!(paths(&selector), ["selector.matchLabels[app]", "mtls.mode"]);
}

#[test]
fn a_match_of_a_port_that_neither_service_nor_gateway_has_is_warned_of() {
    let port = |port: u16| format!("match: [{{port: {port}}}]");
    said_of_routes(code::ROUTE_PORT, &port(9090), &port(8080));
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: shop}\n\
                   spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, \
                   hosts: ['*']}]}\n---\n";
    let bound = |port: u16, to: &str| {
        let to = format!("route: [{{destination: {{host: {to}}}}}]");
        let rules = format!("gateways: [shop]\nhttp: [{{match: [{{port: {port}}}], {to}}}]");
        format!("{gateway}{}", of("a", "a.example", &rules))
    };
    said(code::ROUTE_PORT, &bound(8080, "users"), &bound(80, "users"));
}

#[test]
fn spaces_that_istio_refuses_in_retry_on_are_taken_away_with_a_warning() {
    let on = |on: &str| route(&format!("retries: {{attempts: 1, retryOn: '{on}'}}"));
    said(code::SPACES, &on("5xx, reset"), &on("5xx,reset"));
    let applied = apply(&on("5xx, reset"));
    assert!(applied.configuration.print().contains("retryOn: 5xx,reset\n"));
    assert_eq!(applied.configuration, apply(&on("5xx,reset")).configuration);
}

#[test]
fn unreachable_rules_and_matches_are_named_as_istioctl_does() {
    let rules = |lines: &[&str]| {
        let rules: String = lines
            .iter()
            .map(|line| format!("- {{{line}, route: [{{destination: {{host: users}}}}]}}\n"))
            .collect();
        of("a", "users", &format!("http:\n{rules}"))
    };
    let everything = "name: all";
    let prefix = "match: [{uri: {prefix: /a}}]";
    let cases: &[(&[&str], bool, bool)] = &[
        (&[everything, prefix], true, false),
        (&[prefix, everything], false, false),
        (&[prefix, "match: [{uri: {prefix: /a/b}}]"], true, false),
        (&["match: [{uri: {prefix: /a/b}}]", prefix], false, false),
        (&[prefix, "match: [{uri: {exact: /a}}, {uri: {exact: /b}}]"], false, true),
        (&["match: [{uri: {regex: '/a.*'}}]", "match: [{uri: {exact: /ab}}]"], true, false),
        (&["match: [{uri: {prefix: /a}, headers: {x: {exact: '1'}}}]", prefix], false, false),
        (&[prefix, "match: [{uri: {prefix: /a}, headers: {x: {exact: '1'}}}]"], true, false),
        (&["match: [{uri: {prefix: /a}, withoutHeaders: {x: {}}}]", prefix], false, false),
        (&["match: [{gateways: [mesh]}]", "match: [{gateways: [edge]}]"], false, false),
        (
            &["match: [{method: {exact: GET}}]", "match: [{method: {exact: GET}, port: 8080}]"],
            true,
            false,
        ),
    ];
    for (lines, rule, part) in cases {
        let found = apply(&rules(lines)).report.findings;
        assert_eq!(has(&found, code::UNREACHABLE_RULE), *rule, "{lines:?}: {found:#?}");
        assert_eq!(has(&found, code::INEFFECTIVE_MATCH), *part, "{lines:?}: {found:#?}");
    }
}

#[test]
fn what_no_request_reaches_is_not_in_force_and_says_which_rule_is_before_it() {
    let rules = |lines: &str| of("a", "users", &format!("http:\n{lines}"));
    let to = "route: [{destination: {host: users}}]";
    let ignored_below = |text: &str, path: &str| {
        let all = ignored(text);
        assert!(all.iter().all(|(found, _)| found.starts_with(path)), "{all:?}");
        all.into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    let behind =
        rules(&format!("- {{{to}}}\n- {{match: [{{uri: {{prefix: /a}}}}], timeout: 1s, {to}}}\n"));
    let why = ignored_below(&behind, "spec.http[1].");
    assert_eq!(why, ["No request reaches this rule: rule 1 takes every request"; 3]);
    let part = rules(&format!(
        "- {{match: [{{uri: {{prefix: /a}}}}], {to}}}\n\
         - {{match: [{{uri: {{exact: /a}}}}, {{uri: {{exact: /b}}}}], {to}}}\n"
    ));
    let why = ignored_below(&part, "spec.http[1].match[0].");
    assert_eq!(why, ["Rule 1 takes all requests of this match before it"]);
    let reached = rules(&format!("- {{match: [{{uri: {{prefix: /a}}}}], {to}}}\n- {{{to}}}\n"));
    assert_eq!(ignored(&reached), []);
}

#[test]
fn one_host_in_two_virtual_services_is_refused() {
    let refused = |first: String, second: String| {
        let before = apply(&first).configuration;
        let report = before.apply(&second, &known()).unwrap_err().report;
        assert_eq!(report.findings[0].code, code::VIRTUAL_SERVICE_MULTIMATCH, "{report:#?}");
        assert!(report.findings[0].message.contains("default/a"));
        let both = refuse(&format!("{first}---\n{second}"));
        assert!(has(&both.findings, code::VIRTUAL_SERVICE_MULTIMATCH));
    };
    let full = "payments.default.svc.cluster.local";
    refused(of("a", "payments", &to("payments")), of("b", "payments", &to("users")));
    refused(of("a", "payments", &to("payments")), of("b", full, &to("users")));
    let at_edge = of("b", "payments", &format!("gateways: [edge]\n{}", to("users")));
    let accepted = apply(&format!("{}---\n{at_edge}", of("a", "payments", &to("users"))));
    assert!(!has(&accepted.report.findings, code::VIRTUAL_SERVICE_MULTIMATCH));
    // Another name of the same service is another host; whichever was called decides.
    let alias = of("b", "payment-service", &to("users"));
    let accepted = apply(&format!("{}---\n{alias}", of("a", "payments", &to("users"))));
    assert!(has(&accepted.report.findings, code::ALIASES));
}

#[test]
fn of_one_subset_in_two_destination_rules_the_first_holds_and_other_subsets_are_joined() {
    let named =
        |name: &str, lines: &str| rule(lines).replace("name: payments", &format!("name: {name}"));
    let v1 = named("a", "subsets: [{name: v1, labels: {version: v1}}]");
    let v2 = named("b", "subsets: [{name: v2, labels: {version: v2}}]");
    let policy = compile(&format!("{v1}---\n{v2}"));
    assert_eq!(policy.destinations["payments"].subsets.len(), 2);
    let again = v1.replace("name: a", "name: b");
    let report = apply(&format!("{v1}---\n{again}")).report;
    assert!(has(&report.findings, code::DESTINATION_RULE_MULTIMATCH));
    let ignored: Vec<_> =
        report.resources[1].fields.iter().filter(|f| f.fate == Fate::Ignored).collect();
    assert!(ignored.iter().any(|field| field.path == "spec.subsets[0].name"), "{ignored:?}");
    // Istio takes two policies of one host too, and reads the first.
    let of = |name: &str, simple: &str| {
        named(name, &format!("trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}"))
    };
    let both = format!("{}---\n{}", of("a", "RANDOM"), of("b", "ROUND_ROBIN"));
    assert_eq!(compile(&both).destinations["payments"].policy.load_balancer, LoadBalancer::Random);
    let report = apply(&both).report;
    for code in [code::DESTINATION_RULE_MULTIMATCH, code::ALIASES] {
        assert!(has(&report.findings, code), "{code}: {:#?}", report.findings);
    }
    let simple = report.resources[1].fields.iter().find(|f| f.path.ends_with("simple")).unwrap();
    assert_eq!(simple.fate, Fate::Ignored);
}

#[test]
fn rules_for_different_callers_stand_beside_each_other_and_for_the_same_they_do_not() {
    let rule_for = |name: &str, app: &str| {
        let selector = format!("workloadSelector: {{matchLabels: {{app: {app}}}}}");
        rule(&selector).replace("name: payments", &format!("name: {name}"))
    };
    apply(&[rule(""), rule_for("a", "orders"), rule_for("b", "users")].join("---\n"));
    let twice = [rule_for("a", "orders"), rule_for("b", "order-service")].join("---\n");
    assert!(has(&apply(&twice).report.findings, code::DESTINATION_RULE_MULTIMATCH));
}

#[test]
fn a_missing_host_is_said_in_plain_words() {
    let report = apply(&of("a", "payments", &to("paymnts"))).report;
    let finding = report.findings.iter().find(|f| f.code == code::ROUTE_HOST).unwrap();
    assert!(finding.message.starts_with("No host named paymnts."), "{}", finding.message);
    assert_eq!(finding.advice, "Did you mean payments?");
    assert_eq!(finding.path, "spec.http[0].route[0].destination.host");
    assert_eq!((finding.at.line, finding.severity), (6, Severity::Warning));
}

#[test]
fn what_istio_drops_is_shown_in_the_form_istio_takes() {
    let text = include_str!("data/traffic-management.yml");
    let applied = apply(text);
    let forms: Vec<_> =
        applied.report.findings.iter().filter(|f| f.code == code::EXTENSION).collect();
    assert_eq!(forms.len(), 2);
    for finding in &forms {
        let form = finding.correct_form.as_ref().unwrap();
        // A limit of a rule needs the rule.
        let limits = finding.path.ends_with("rateLimit");
        let before = if limits { &applied.configuration } else { &Configuration::default() };
        let again = before.apply(form, &known()).unwrap();
        assert!(again.report.findings.iter().all(|f| f.code != code::EXTENSION));
        let policy = again.configuration.compile(&known(), 1);
        if limits {
            let limits = &policy.workloads["gateway"].rate_limits;
            let of = |kind: &str, by_address: bool| {
                let mut limits = limits.iter().filter(|limit| &*limit.origin.kind == kind);
                limits.find(|limit| limit.per_remote_address == by_address).unwrap()
            };
            let (own, written) = (of("EnvoyFilter", true), of("VirtualService", true));
            assert_eq!((own.max_tokens, own.fill_interval.as_secs()), (100, 60));
            let scopes = [own, written].map(|limit| limit.scope.as_ref().unwrap());
            assert_eq!(scopes[0].origin, scopes[1].origin, "the same rule");
            assert_eq!(scopes[0].route, scopes[1].route);
            assert!(of("EnvoyFilter", false).max_tokens >= 1_000_000, "the one that Envoy wants");
        } else {
            let outlier = policy.destinations["provider"].policy.outlier.as_ref().unwrap();
            assert_eq!((outlier.consecutive_5xx, outlier.max_ejection_percent), (3, 50));
        }
    }
    // Printed for Istio, nothing of the extensions is left.
    for resource in applied.configuration.resources() {
        let asked = [resource.clone()];
        let printed = applied.configuration.print_for_istio(&known(), &asked).join("---\n");
        let again = Configuration::default().apply(&printed, &known()).unwrap();
        assert!(again.report.findings.iter().all(|f| f.code != code::EXTENSION), "{printed}");
    }
}

#[test]
fn a_policy_that_shuts_workloads_on_purpose_is_a_note_that_names_them() {
    let policy = |spec: &str| policy_of("AuthorizationPolicy", "security.istio.io/v1", spec);
    let note = |text: &str| {
        let findings = apply(text).report.findings.into_iter();
        let mut of_code = findings.filter(|found| found.code == code::NOBODY_ALLOWED);
        of_code.next().map(|found| (found.severity, found.message))
    };
    let (severity, message) = note(&policy("{}")).unwrap();
    assert_eq!(severity, Severity::Info);
    assert!(message.contains("every request to catalog, gateway, orders, payments"), "{message}");
    let one = policy("{selector: {matchLabels: {app: users}}}");
    assert!(note(&one).unwrap().1.contains("every request to users is refused"), "{one}");
    let all = policy("{rules: [{}]}").replace("name: x", "name: y");
    assert_eq!(note(&format!("{}---\n{all}", policy("{}"))), None);
    assert_eq!(note(&all), None);
}

/// What stands in the place of a deprecated field, as the warning says it.
fn advice(text: &str) -> String {
    let report = apply(text).report;
    let finding = report.findings.iter().find(|found| found.code == code::DEPRECATED).unwrap();
    let advice = finding.advice.strip_prefix("Write ").unwrap();
    advice.trim_end_matches('.').to_owned()
}

#[test]
fn what_to_write_instead_of_a_deprecated_field_has_its_value_and_does_the_same() {
    let policy = |text: &str| {
        let text = format!("{:#?}", compile(text));
        text.lines().filter(|line| !line.trim().starts_with("line: ")).collect::<String>()
    };
    let mirror = |share: &str| route(&format!("mirror: {{host: users}}\n{share}"));
    let delay = |share: &str| route(&format!("fault: {{delay: {{fixedDelay: 1s, {share}}}}}"));
    let cors = |origins: &str| route(&format!("corsPolicy: {{{origins}}}"));
    let policy_of_rule =
        |of: &str, fields: &str| rule(&format!("trafficPolicy: {{{of}: {fields}}}"));
    let balancer = |fields: &str| policy_of_rule("loadBalancer", &format!("{{{fields}}}"));
    let hash = |fields: &str| balancer(&format!("consistentHash: {{useSourceIp: true, {fields}}}"));
    let outlier = |fields: &str| policy_of_rule("outlierDetection", &format!("{{{fields}}}"));
    type Text<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(Text<'_>, &str, &str); 7] = [
        (&mirror, "mirrorPercent: 7", "mirrorPercentage: {value: 7}"),
        (&delay, "percent: 3", "percentage: {value: 3}"),
        (&cors, "allowOrigin: ['https://a.b']", r#"allowOrigins: [{exact: "https://a.b"}]"#),
        (&balancer, "warmupDurationSecs: 7s", "warmup: {duration: 7s}"),
        (&balancer, "simple: LEAST_CONN", "LEAST_REQUEST"),
        (&hash, "minimumRingSize: 77", "ringHash: {minimumRingSize: 77}"),
        (
            &outlier,
            "consecutiveErrors: 3",
            "consecutiveGatewayErrors: 3 and consecutive5xxErrors: 0",
        ),
    ];
    for (text, written, instead) in cases {
        assert_eq!(advice(&text(written)), instead);
        let fields = match instead {
            "LEAST_REQUEST" => "simple: LEAST_REQUEST".to_owned(),
            fields => fields.replace(" and ", ", "),
        };
        assert_eq!(policy(&text(written)), policy(&text(&fields)), "{written}");
    }
    // Every origin is every origin in either form.
    let every = advice(&cors("allowOrigin: ['*']"));
    assert_eq!(every, r#"allowOrigins: [{regex: ".*"}]"#);
    for text in [cors("allowOrigin: ['*']"), cors(&every)] {
        let route = compile(&text).virtual_hosts[0].routes[0].clone();
        assert!(route.cors.as_ref().unwrap().origins[0].holds("https://a.b"), "{text}");
    }
}

/// What is printed of all of a configuration for Istio, applied to nothing.
fn for_istio(configuration: &Configuration) -> (String, istio::Applied) {
    let all: Vec<_> = configuration.resources().cloned().collect();
    let printed = configuration.print_for_istio(&known(), &all).join("---\n");
    let again = apply(&printed);
    (printed, again)
}

#[test]
fn all_of_the_seed_printed_for_istio_is_taken_back_whole_and_needs_no_extension() {
    let mut configuration = apply(include_str!("../../src/baseline.yaml")).configuration;
    for text in [
        include_str!("data/istio-config.yml"),
        include_str!("data/traffic-management.yml"),
        include_str!("data/observability.yml"),
    ] {
        configuration = configuration.apply(text, &known()).unwrap().configuration;
    }
    let (printed, again) = for_istio(&configuration);
    for code in [code::SUBSET_NOT_FOUND, code::EXTENSION, code::EXPRESSION] {
        assert!(!has(&again.report.findings, code), "{code}: {:#?}", again.report.findings);
    }
    // The version of a service that no rule defined is a subset now.
    let policy = again.configuration.compile(&known(), 1);
    let users = policy.destinations["users"].subset("v1").unwrap();
    assert_eq!(users.labels, [("version".to_owned(), "v1".to_owned())], "{printed}");
    assert!(printed.contains("value: request.method"), "{printed}");
}

#[test]
fn two_limits_and_a_policy_beside_a_rule_are_printed_for_istio_each_once() {
    let limit =
        |count: u32| format!("rateLimit: {{limit: {{requestsPerUnit: {count}, unit: MINUTE}}}}");
    let to = "route: [{destination: {host: payments, subset: v1}}]";
    let limits = of(
        "limits",
        "payments",
        &format!(
            "http:\n- {{name: Check Out, match: [{{uri: {{prefix: /a}}}}], {}, {to}}}\n\
             - {{{}, {to}}}\n\
             trafficPolicy: {{outlierDetection: {{consecutive5xxErrors: 3}}, \
             loadBalancer: {{simple: RANDOM}}}}",
            limit(10),
            limit(20)
        ),
    );
    let own = rule(
        "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}\n\
         subsets: [{name: v2, labels: {version: v2}}]",
    );
    let configuration = apply(&format!("{own}---\n{limits}")).configuration;
    let (printed, again) = for_istio(&configuration);
    let names: Vec<_> =
        again.configuration.resources().map(|resource| resource.key().to_string()).collect();
    assert_eq!(
        names,
        [
            "DestinationRule default/payments",
            "EnvoyFilter default/limits-2",
            "EnvoyFilter default/limits-check-out",
            "VirtualService default/limits",
        ],
        "{printed}"
    );
    let policy = again.configuration.compile(&known(), 1);
    let payments = &policy.destinations["payments"];
    assert_eq!(payments.policy.load_balancer, istio::policy::LoadBalancer::RoundRobin);
    assert_eq!(payments.policy.outlier.as_ref().unwrap().consecutive_5xx, 3);
    assert!(payments.subset("v1").is_some() && payments.subset("v2").is_some());
    assert!(!has(&again.report.findings, code::SUBSET_NOT_FOUND), "{printed}");
}

#[test]
fn the_mistakes_of_the_seed_are_all_found() {
    let config = apply(include_str!("data/istio-config.yml")).report;
    for code in [
        code::API_GROUP,
        code::DEPRECATED,
        code::TIMEOUT_BEFORE_RETRIES,
        code::DESTINATION_RULE_HOST,
        code::SUBSET_NOT_FOUND,
        code::PRINCIPAL,
        code::HTTPS_HOST,
    ] {
        assert!(has(&config.findings, code), "{code}: {:#?}", config.findings);
    }
    let traffic = apply(include_str!("data/traffic-management.yml")).report;
    for code in [code::EXTENSION, code::SUBSET_NOT_FOUND, code::TIMEOUT_BEFORE_RETRIES] {
        assert!(has(&traffic.findings, code), "{code}: {:#?}", traffic.findings);
    }
    let observability = apply(include_str!("data/observability.yml")).report;
    let expression = observability.findings.iter().find(|f| f.code == code::EXPRESSION).unwrap();
    assert!(expression.correct_form.as_ref().unwrap().contains("request.method"));
}

#[test]
fn what_would_let_more_in_is_refused_not_ignored() {
    for spec in [
        "{targetRef: {kind: Service, name: a}}",
        "{action: CUSTOM, provider: {name: a}}",
        "{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/33]}}]}]}",
        "{rules: [{to: [{operation: {paths: ['/a/{**}/{*}']}}]}]}",
        "{rules: [{to: [{operation: {paths: ['/{**}/a/{**}']}}]}]}",
        "{rules: [{when: [{key: connection.sni, values: [a]}]}]}",
        "{rules: [{from: [{source: {}}]}]}",
        "{rules: [{to: [{operation: {methds: [GET]}}]}]}",
    ] {
        let report = refuse(&policy_of("AuthorizationPolicy", "security.istio.io/v1", spec));
        assert_eq!(report.findings[0].severity, Severity::Error, "{spec}");
        let rejected = report.resources[0].fields.iter().any(|f| f.fate == Fate::Rejected);
        let whole = report.findings.iter().any(|f| f.code == code::CONFLICT);
        assert!(rejected || whole, "{spec}: {report:#?}");
    }
}

#[test]
fn a_rule_that_met_no_request_is_found_when_others_did() {
    let text = of(
        "a",
        "users",
        "http:
- {name: old, match: [{uri: {exact: /old}}], route: [{destination: {host: users}}]}
- {name: rest, route: [{destination: {host: users}}]}",
    );
    let policy = compile(&text);
    let routes = &policy.virtual_hosts[0].routes;
    let hits = RequestsByRule::from([((routes[1].origin.clone(), routes[1].name.clone()), 900)]);
    let found = never_matched(&policy, &hits, 1_000);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code.as_str(), found[0].at.line), (code::NEVER_MATCHED, routes[0].line));
    assert!(found[0].message.contains("old"));
    assert!(never_matched(&policy, &hits, 10).is_empty(), "too few requests to say");
    assert!(never_matched(&policy, &RequestsByRule::new(), 1_000).is_empty(), "the host got none");
}

#[test]
fn findings_are_bounded() {
    let fields: String = (0..5_000).map(|n| format!("unknown{n}: 1\n")).collect();
    let report = refuse(&route(&fields));
    assert_eq!(report.findings.len(), istio::FINDINGS_MAX);
    let last = report.findings.last().unwrap();
    assert!(last.message.contains("4801 more"), "{}", last.message);
}

#[test]
fn ignored_fields_say_why() {
    let report = apply(&rule("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}")).report;
    let tls = report.resources[0].fields.iter().find(|f| f.path.ends_with(".tls")).unwrap();
    assert_eq!(tls.fate, Fate::Ignored);
    assert!(tls.why.as_ref().unwrap().contains("do not leave the process"));
    let report = apply(&rule("trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}")).report;
    let simple = report.resources[0].fields.iter().find(|f| f.path.ends_with(".simple")).unwrap();
    assert_eq!(simple.fate, Fate::Ignored);
}
