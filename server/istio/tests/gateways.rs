//! What comes in from outside: which hosts and paths a gateway lets in, and what is said of others.

mod support;

use contract::istio::Fate;
use istio::code;
use support::{apply, compile, has, refuse};

fn resource(group: &str, kind: &str, metadata: &str, spec: &str) -> String {
    format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {spec}\n---\n")
}

const NETWORKING: &str = "networking.istio.io/v1";
const SECURITY: &str = "security.istio.io/v1";

fn gateway(hosts: &str) -> String {
    let spec = format!(
        "{{servers: [{{hosts: [{hosts}], port: {{number: 80, name: http, protocol: HTTP}}}}]}}"
    );
    resource(NETWORKING, "Gateway", "name: front", &spec)
}

fn service(hosts: &str, gateway: &str, rule: &str) -> String {
    let spec = format!("{{hosts: [{hosts}], gateways: [{gateway}], http: [{{{rule}}}]}}");
    resource(NETWORKING, "VirtualService", "name: a", &spec)
}

/// What becomes of the answer of a rule of the last resource of a text, and why.
fn fate(text: &str) -> (Fate, String) {
    let report = apply(text).report;
    let fields = report.resources.last().map(|resource| resource.fields.as_slice());
    let answers = |path: &str| path.ends_with("directResponse.status");
    let field = fields.unwrap_or_default().iter().find(|field| answers(&field.path));
    let Some(field) = field else { panic!("no answer in {text}") };
    (field.fate, field.why.clone().unwrap_or_default())
}

#[test]
fn a_rule_for_a_path_that_the_edge_keeps_to_itself_is_not_said_to_be_in_force() {
    let answer = "directResponse: {status: 200}";
    let at = |hosts: &str, gateway: &str, uri: &str| {
        let rule = format!("match: [{{uri: {uri}}}], {answer}");
        (format!("{hosts} {gateway} {uri}"), fate(&service(hosts, gateway, &rule)))
    };
    for (case, (fate, why)) in [
        at("'*'", "edge", "{exact: /old}"),
        at("'*'", "edge", "{prefix: /shop}"),
        at("'*'", "edge", "{exact: /healthz}"),
        at("localhost", "edge", "{exact: /old}"),
        at("127.0.0.1", "edge", "{exact: /old}"),
    ] {
        assert_eq!(fate, Fate::Ignored, "{case}");
        assert!(why.contains("only /api/"), "{case}: {why}");
    }
    for (case, (fate, _)) in [
        at("'*'", "edge", "{exact: /api/v1/old}"),
        at("'*'", "edge", "{prefix: /}"),
        at("'*'", "edge", "{prefix: /ap}"),
        at("'*'", "edge", "{exact: /health}"),
        at("'*'", "edge", "{regex: '/old.*'}"),
        at("shop.example.com", "edge", "{exact: /old}"),
        at("'*.example.com'", "edge", "{exact: /old}"),
        at("gateway", "edge", "{exact: /old}"),
    ] {
        assert_eq!(fate, Fate::InForce, "{case}");
    }
    // A host of the gateway's server is a name too.
    let old = format!("match: [{{uri: {{exact: /old}}}}], {answer}");
    let any = service("'*'", "front", &old);
    assert_eq!(fate(&format!("{}{any}", gateway("shop.example.com"))).0, Fate::InForce);
    assert_eq!(fate(&format!("{}{any}", gateway("'*'"))).0, Fate::Ignored);
}

#[test]
fn a_host_with_a_namespace_lets_in_the_virtual_services_of_that_namespace_alone() {
    let rule = "directResponse: {status: 200}";
    for (hosts, is_let_in) in [
        ("prod/*.a.com", false),
        ("prod/shop.a.com", false),
        ("default/*.a.com", true),
        ("./*.a.com", true),
        ("'*/*.a.com'", true),
        ("'*.a.com'", true),
        ("prod/*.a.com, default/shop.a.com", true),
        ("default/*.b.com", false),
    ] {
        let text = format!("{}{}", gateway(hosts), service("shop.a.com", "front", rule));
        let policy = compile(&text);
        assert_eq!(policy.is_at_gateway("shop.a.com"), is_let_in, "{hosts}");
        let said = has(&apply(&text).report.findings, code::NOT_EXPOSED);
        assert_eq!(said, !is_let_in, "{hosts}");
        assert_eq!(fate(&text).0 == Fate::InForce, is_let_in, "{hosts}");
    }
}

#[test]
fn a_server_has_a_port_unless_it_is_bound_to_a_socket() {
    let server = |number: &str, bind: &str| {
        let port = format!("port: {{{number}name: http, protocol: HTTP}}");
        let spec = format!("{{servers: [{{hosts: ['*'], {port}{bind}}}]}}");
        resource(NETWORKING, "Gateway", "name: front", &spec)
    };
    let (port, none) = ("number: 80, ", "number: 0, ");
    for (number, bind, code) in [
        (port, ", bind: 'unix://a/b'", code::BAD_VALUE),
        (port, ", bind: 'unix:///a/'", code::BAD_VALUE),
        (port, ", bind: 'unix:///a'", code::CONFLICT),
        (none, "", code::MISSING_FIELD),
        ("", "", code::MISSING_FIELD),
        ("", ", bind: 10.0.0.1", code::MISSING_FIELD),
    ] {
        let findings = refuse(&server(number, bind)).findings;
        assert!(has(&findings, code), "{number}{bind}: {findings:#?}");
    }
    for (number, bind) in [(none, "/run/shop.sock"), ("", "/run/shop.sock"), ("", "@shop")] {
        apply(&server(number, &format!(", bind: 'unix://{bind}'")));
    }
}

#[test]
fn a_service_entry_selects_workloads_by_labels_or_names_endpoints() {
    let entry = |fields: &str| {
        let ports = "ports: [{number: 80, name: http, protocol: HTTP}]";
        let spec = format!("{{hosts: [a.com], {ports}, resolution: STATIC, {fields}}}");
        resource(NETWORKING, "ServiceEntry", "name: a", &spec)
    };
    let labels = "workloadSelector: {labels: {app: a}}";
    apply(&entry(labels));
    let both = refuse(&entry(&format!("{labels}, endpoints: [{{address: 127.0.0.1}}]")));
    assert!(has(&both.findings, code::CONFLICT), "{both:#?}");
    let other = refuse(&entry("workloadSelector: {matchLabels: {app: a}}"));
    assert!(has(&other.findings, code::UNKNOWN_FIELD), "{other:#?}");
}

fn policy(kind: &str, dry_run: &str, spec: &str) -> String {
    let annotated = format!("name: a, annotations: {{istio.io/dry-run: '{dry_run}'}}");
    resource(SECURITY, kind, &annotated, spec)
}

#[test]
fn a_policy_that_is_a_dry_run_is_not_said_to_be_in_force_and_the_mesh_is_told() {
    let deny = "{action: DENY, rules: [{}]}";
    for (written, dry_run) in [("true", true), ("T", true), ("1", true), ("false", false)] {
        let text = policy("AuthorizationPolicy", written, deny);
        let workload = &compile(&text).workloads["users"];
        assert_eq!(workload.authorization[0].dry_run, dry_run, "{written}");
        let report = apply(&text).report;
        let mut fields = report.resources[0].fields.iter();
        let action = fields.find(|field| field.path == "spec.action").unwrap();
        assert_eq!(action.fate == Fate::Ignored, dry_run, "{written}");
    }
}

#[test]
fn a_dry_run_is_refused_where_istio_refuses_it() {
    let deny = "{action: DENY, rules: [{}]}";
    let audit = "{action: AUDIT, rules: [{}]}";
    for (kind, written, spec, code) in [
        ("AuthorizationPolicy", "yes", deny, code::BAD_VALUE),
        ("AuthorizationPolicy", "true", audit, code::REFUSED),
        ("PeerAuthentication", "true", "{mtls: {mode: STRICT}}", code::REFUSED),
        ("PeerAuthentication", "false", "{mtls: {mode: STRICT}}", code::REFUSED),
    ] {
        let report = refuse(&policy(kind, written, spec));
        assert!(has(&report.findings, code), "{kind} {written}: {:#?}", report.findings);
    }
}

#[test]
fn a_server_that_sends_all_that_come_to_https_says_that_here_these_are_all() {
    let server = |protocol: &str, tls: &str| {
        let port = format!("port: {{number: 80, name: a, protocol: {protocol}}}");
        let spec = format!("{{servers: [{{hosts: ['*'], {port}, tls: {{{tls}}}}}]}}");
        resource(NETWORKING, "Gateway", "name: front", &spec)
    };
    for (protocol, tls, expected) in [
        ("HTTP", "httpsRedirect: true", true),
        ("HTTP", "httpsRedirect: false", false),
        ("HTTPS", "httpsRedirect: true, mode: SIMPLE, credentialName: c", false),
    ] {
        let findings = apply(&server(protocol, tls)).report.findings;
        let said = findings.iter().find(|finding| finding.code == code::ALL_REDIRECTED);
        let path = said.map(|finding| finding.path.as_str());
        assert_eq!(path, expected.then_some("spec.servers[0].tls.httpsRedirect"), "{tls}");
    }
}
