//! Routes compiled field by field: matches, redirects, rewrites, headers, CORS, visibility.

mod support;

use istio::policy::{Action, Policy, Route, StringMatch};
use std::sync::Arc;
use support::{apply, compile, has, route};

fn everything() -> Policy {
    compile(include_str!("data/all-fields.yml"))
}

fn named(policy: &Policy, name: &str) -> Arc<Route> {
    let host = policy.virtual_host("payments", "payments", false);
    let mut routes = host.into_iter().flat_map(|host| &host.routes);
    let Some(route) = routes.find(|route| &*route.name == name) else { panic!("no {name}") };
    Arc::clone(route)
}

#[test]
fn every_service_has_its_port_and_one_of_a_service_entry_the_first_that_is_written() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: {name: bank}\nspec:\n  hosts: [bank.example.com]\n  ports:\n  \
        - {number: 443, name: https, protocol: HTTPS}\n  \
        - {number: 80, name: http, protocol: HTTP}\n  resolution: DNS\n";
    let policy = compile(entry);
    assert_eq!(policy.ports["payments"], [8080]);
    assert_eq!(policy.ports["bank.example.com"][0], 443);
}

#[test]
fn every_condition_of_a_match_is_compiled() {
    let policy = everything();
    let route = named(&policy, "special");
    let found = &route.matches[0];
    assert_eq!(found.name.as_deref(), Some("all-conditions"));
    assert!(matches!(&found.uri, Some(StringMatch::Prefix(prefix)) if prefix == "/api"));
    assert!(found.ignore_uri_case);
    assert!(matches!(&found.scheme, Some(StringMatch::Exact(scheme)) if scheme == "http"));
    assert!(matches!(&found.method, Some(StringMatch::Exact(method)) if method == "GET"));
    let authority = found.authority.as_ref().unwrap();
    assert!(authority.holds("payments.shop") && !authority.holds("my-payments"));
    assert_eq!(found.headers.len(), 2);
    assert!(matches!(found.headers[1].1, StringMatch::Present));
    assert!(found.without_headers[0].1.holds("abc"));
    assert!(found.query[0].1.holds("12") && !found.query[0].1.holds("x"));
    assert_eq!(found.source_labels, [("app".to_owned(), "orders".to_owned())]);
    assert_eq!(found.source_namespace.as_deref(), Some("default"));
    assert_eq!((found.port, found.at_ingress), (Some(8080), Some(false)));
}

#[test]
fn destinations_keep_their_weights_subsets_and_headers() {
    let policy = everything();
    let Action::Forward(split) = &named(&policy, "special").action.clone() else { panic!() };
    let found: Vec<_> =
        split.iter().map(|to| (&*to.service, to.subset.as_deref(), to.weight)).collect();
    assert_eq!(found, [("payments", Some("v1"), 90), ("payments", Some("v2"), 10)]);
    assert_eq!(split[0].headers.request.set[0].0, "x-to");
}

#[test]
fn redirects_and_direct_responses_answer_themselves() {
    let policy = everything();
    let Action::Redirect(redirect) = &named(&policy, "#2").action.clone() else { panic!() };
    assert_eq!(redirect.uri.as_deref(), Some("/new"));
    assert_eq!(redirect.authority.as_deref(), Some("other.example"));
    assert_eq!((redirect.scheme.as_deref(), redirect.port), (Some("https"), Some(8443)));
    assert_eq!(redirect.status.as_u16(), 302);
    let Action::Direct(teapot) = &named(&policy, "#3").action.clone() else { panic!() };
    assert_eq!((teapot.status.as_u16(), teapot.body.as_slice()), (418, &b"short"[..]));
    let Action::Direct(bytes) = &named(&policy, "#4").action.clone() else { panic!() };
    assert_eq!(bytes.body, b"hello");
}

#[test]
fn a_redirect_is_301_unless_said_otherwise() {
    let text =
        route("").replace("- route:\n    - destination: {host: payments}", "- redirect: {uri: /x}");
    let policy = compile(&text);
    let Action::Redirect(redirect) = &policy.virtual_hosts[0].routes[0].action else { panic!() };
    assert_eq!(redirect.status.as_u16(), 301);
}

#[test]
fn rewrites_headers_and_cors_are_compiled() {
    let policy = everything();
    let route = named(&policy, "special");
    let rewrite = route.rewrite.as_ref().unwrap();
    assert_eq!(rewrite.authority.as_deref(), Some("payments.internal"));
    let (regex, replacement) = rewrite.uri_regex.as_ref().unwrap();
    assert!(regex.is_match("/api/v1/x"));
    assert_eq!(replacement, r"/v\1/\2");
    assert_eq!(route.headers.request.add[0].0, "x-a");
    assert_eq!(route.headers.request.remove, ["x-b"]);
    assert_eq!(route.headers.response.set[0].1, "2");
    let cors = route.cors.as_ref().unwrap();
    assert!(cors.origins[0].holds("https://shop.example"));
    assert!(cors.origins[1].holds("https://a.shop") && !cors.origins[1].holds("https://a.shopx"));
    assert_eq!(cors.max_age.unwrap().as_secs(), 86_400);
    assert_eq!(cors.credentials, Some(true));
    assert_eq!(cors.expose, ["x-answer"]);
    assert_eq!(route.mirrors[0].share.0, 123_456);
    assert_eq!(route.retry.ignore_previous_hosts, Some(false));
}

#[test]
fn a_delegating_rule_is_replaced_by_the_rules_of_its_delegate() {
    let policy = everything();
    assert_eq!(&*named(&policy, "#5-#1").origin.name, "leaf");
    assert_eq!(named(&policy, "#5-#2").timeout.unwrap().as_secs(), 2);
    let names: Vec<_> = policy.virtual_hosts.iter().map(|host| &*host.origin.name).collect();
    assert_eq!(names, ["everything"]);
}

#[test]
fn what_is_not_exported_to_this_namespace_does_not_hold() {
    let holds = |export: &str, namespace: &str| {
        let text = route("")
            .replace("name: payments", &format!("name: payments\n  namespace: {namespace}"))
            .replace("spec:", &format!("spec:\n  exportTo: [{export}]"));
        !compile(&text).virtual_hosts.is_empty()
    };
    assert!(holds("'*'", "other"));
    assert!(holds(".", "default"));
    assert!(!holds(".", "other"));
    assert!(holds("default", "other"));
    assert!(!holds("other", "default"));
    assert!(holds("", "other"));
}

#[test]
fn a_gateway_lets_in_the_hosts_of_its_servers_only() {
    let gateway = |hosts: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: shop}}\nspec:\n  \
             servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{hosts}]}}]\n\
             ---\n"
        )
    };
    let service = route("").replace("hosts: [payments]", "hosts: [a.example]\n  gateways: [shop]");
    for (hosts, exposed) in [
        ("'*'", true),
        ("a.example", true),
        ("'*.example'", true),
        ("'default/a.example'", true),
        ("'./*'", true),
        ("b.example", false),
        ("'*.shop'", false),
    ] {
        let text = format!("{}{service}", gateway(hosts));
        assert_eq!(compile(&text).virtual_hosts[0].at_ingress, exposed, "{hosts}");
        assert!(!compile(&text).virtual_hosts[0].in_mesh);
        let findings = apply(&text).report.findings;
        assert_eq!(has(&findings, istio::code::NOT_EXPOSED), !exposed, "{hosts}");
    }
    assert!(!compile(&service).virtual_hosts[0].at_ingress, "there is no such gateway");
}

#[test]
fn names_of_rules_are_unique_in_their_resource() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n\
        spec:\n  hosts: [users]\n  http:\n  - name: same\n    match: [{uri: {exact: /}}]\n    \
        route: [{destination: {host: users}}]\n  - name: same\n    \
        route: [{destination: {host: users}}]\n";
    let policy = compile(text);
    let names: Vec<_> = policy.virtual_hosts[0].routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["same", "same#2"]);
}
