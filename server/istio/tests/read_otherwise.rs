//! Values that Envoy reads otherwise than they look, and of two resources for the same thing which
//! holds.

mod support;

use contract::istio::Fate;
use istio::code;
use support::{apply, compile, has, route};

fn policy_of(kind: &str, version: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
}

/// The code is said of the first text and not of the second.
fn said(code: &str, with: &str, without: &str) {
    for (text, due) in [(with, true), (without, false)] {
        let found = apply(text).report.findings;
        assert_eq!(has(&found, code), due, "{code}: {found:#?}\n{text}");
    }
}

fn said_of_routes(code: &str, with: &str, without: &str) {
    said(code, &route(with), &route(without));
}

#[test]
fn values_that_envoy_reads_otherwise_are_warned_of_where_it_is_due_and_only_there() {
    let set = |value: &str| format!("headers: {{request: {{set: {{x-a: '{value}'}}}}}}");
    said_of_routes(code::OPERATOR, &set("%START_TIME%"), &set("100%%"));
    let weighted = |value: &str| {
        let headers = format!("headers: {{response: {{add: {{x-a: '{value}'}}}}}}");
        let rule = format!("{{route: [{{destination: {{host: users}}, {headers}}}]}}");
        let spec = format!("{{hosts: [users], http: [{rule}]}}");
        policy_of("VirtualService", "networking.istio.io/v1", &spec)
    };
    said(code::OPERATOR, &weighted("%REQ(x)% a"), &weighted("a"));
    let mirror = |share: &str| format!("mirror: {{host: users}}\nmirrorPercentage: {{{share}}}");
    said_of_routes(code::BELOW_GRAIN, &mirror("value: 0.00001"), &mirror("value: 0.0001"));
    said_of_routes(code::BELOW_GRAIN, &mirror("value: 1e-5"), &mirror("value: 0"));
    let mirrors = |share: &str| {
        format!("mirrors: [{{destination: {{host: users}}, percentage: {{{share}}}}}]")
    };
    said_of_routes(code::BELOW_GRAIN, &mirrors("value: 0.00009"), &mirrors("value: 0.0002"));
    let uri = |uri: &str| format!("match: [{{uri: {{{uri}}}}}]");
    for (never, meets) in [
        ("exact: '/api/a]'", "exact: /api/a%5D"),
        ("prefix: /a%2d", "prefix: /a-"),
        ("exact: /a%5d", "exact: /a%5D"),
        ("exact: /a?b=c", "exact: /a"),
        ("prefix: api", "prefix: /api"),
        ("exact: /caf\u{e9}", "exact: /caf%C3%A9"),
    ] {
        said_of_routes(code::NO_PATH, &uri(never), &uri(meets));
    }
    said_of_routes(code::NO_PATH, &uri("exact: '/a|b'"), &uri("regex: '/a|b'"));
    said_of_routes(code::NO_PATH, &uri("exact: '/^'"), &uri("prefix: '/a%5'"));
    let rewrite =
        |to: &str| format!("rewrite: {{uriRegexRewrite: {{match: '(a)', rewrite: '{to}'}}}}");
    said_of_routes(code::NO_GROUP, &rewrite(r"\2"), &rewrite(r"\1\0\\2"));
    let without = route(&rewrite(r"/\2"));
    let rule = compile(&without).virtual_hosts[0].routes[0].clone();
    assert!(rule.rewrite.as_ref().is_some_and(|rewrite| rewrite.uri_regex.is_none()));
    let gateway = |selector: &str| {
        let server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
        let spec = format!("{{selector: {{{selector}}}, servers: [{server}]}}");
        policy_of("Gateway", "networking.istio.io/v1", &spec)
    };
    for found in ["istio: ingressgateway", "app: gateway", ""] {
        said(code::GATEWAY_WORKLOAD, &gateway("istio: nope"), &gateway(found));
    }
}

#[test]
fn of_two_for_the_same_workloads_the_loser_is_said_with_the_name_of_the_winner() {
    let telemetry = |name: &str, spec: &str| {
        policy_of("Telemetry", "telemetry.istio.io/v1", spec)
            .replace("name: x", &format!("name: {name}"))
    };
    let sampled = |name: &str, of: &str, share: u32| {
        telemetry(name, &format!("{{{of}tracing: [{{randomSamplingPercentage: {share}}}]}}"))
    };
    let app = "selector: {matchLabels: {app: users}}, ";
    let loses = |first: &str, second: &str| {
        let report = apply(&format!("{first}---\n{second}")).report;
        let finding = report.findings.iter().find(|f| f.code == code::TELEMETRY_INSTEAD)?;
        assert_eq!(finding.resource.as_ref().map(|key| &*key.name), Some("b"));
        Some(finding.message.clone())
    };
    for (of, other) in [("", ""), (app, app)] {
        let said = loses(&sampled("a", of, 5), &sampled("b", other, 7));
        assert!(said.is_some_and(|said| said.starts_with("a holds")), "{of} {other}");
        let policy = compile(&format!("{}---\n{}", sampled("a", of, 5), sampled("b", other, 7)));
        assert_eq!(policy.telemetry["users"].sampling.map(|share| share.0), Some(50_000));
    }
    assert_eq!(loses(&sampled("a", "", 5), &sampled("b", app, 7)), None);
    let twice = "{tracing: [{randomSamplingPercentage: 5}, {randomSamplingPercentage: 7}]}";
    let finding = apply(&telemetry("a", twice)).report.findings.remove(0);
    assert_eq!(finding.path, "spec.tracing[0].randomSamplingPercentage");
    assert!(finding.message.starts_with("tracing[1] says"), "{finding:?}");
    let mode = |name: &str, selector: &str, mode: &str| {
        policy_of(
            "PeerAuthentication",
            "security.istio.io/v1",
            &format!("{{{selector}mtls: {{mode: {mode}}}}}"),
        )
        .replace("name: x", &format!("name: {name}"))
    };
    let whole_mesh = mode("b", "", "STRICT").replace("name: b", "name: b, namespace: istio-system");
    for (first, second) in [
        (mode("a", app, "STRICT"), mode("b", app, "DISABLE")),
        (mode("a", "", "STRICT"), mode("b", "", "DISABLE")),
        (mode("a", "", "DISABLE"), whole_mesh),
    ] {
        let report = apply(&format!("{first}---\n{second}")).report;
        let mut fields = report.resources[1].fields.iter();
        let field = fields.find(|field| field.path == "spec.mtls.mode").unwrap();
        assert_eq!(field.fate, Fate::Ignored, "{first}{second}");
        assert!(field.why.as_ref().unwrap().starts_with("a says the mode"), "{field:?}");
    }
}
