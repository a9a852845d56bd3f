//! Which rule holds: `HTTPMatchRequest` and `StringMatch` of the Istio reference, a row per
//! sentence, through the tester that says which rule a request would hit.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use common::{exact, forward, matching, name, policy, prefix, regex};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use istio::policy::{Match, Policy, StringMatch};
use mesh::{Chosen, Condition, HypotheticalRequest, Source, explain};

/// A request in a row of a table.
struct Ask {
    method: Method,
    uri: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    ingress: bool,
    source: Source,
}

fn ask(uri: &'static str) -> Ask {
    let source = Source::of("orders");
    Ask { method: Method::GET, uri, headers: Vec::new(), ingress: false, source }
}

impl Ask {
    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        self
    }

    fn ingress(mut self) -> Self {
        self.ingress = true;
        self
    }

    fn label(mut self, name: &str, value: &str) -> Self {
        self.source.labels.push((name.into(), value.into()));
        self
    }

    fn namespace(mut self, namespace: &str) -> Self {
        self.source.namespace = namespace.into();
        self
    }

    fn probe(&self) -> HypotheticalRequest {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        HypotheticalRequest {
            source: self.source.clone(),
            called: "payments".into(),
            ingress: self.ingress,
            method: self.method.clone(),
            uri: self.uri.parse().unwrap(),
            headers,
        }
    }
}

/// The condition that is missed by the only match of a rule; none when it holds.
fn missed(conditions: &Match, ask: &Ask) -> Option<Condition> {
    let policy = policy(1, vec![matching("it", conditions.clone(), "payments")]);
    let explanation = explain(&policy, &ask.probe());
    let holds = matches!(explanation.chosen, Chosen::Rule { .. });
    let missed = explanation.rules[0].missed[0];
    assert_eq!(holds, missed.is_none(), "the rule that is chosen is the one that holds");
    missed
}

fn table(rows: Vec<(&str, Match, Ask, Option<Condition>)>) {
    for (sentence, conditions, ask, expected) in rows {
        assert_eq!(missed(&conditions, &ask), expected, "{sentence}");
    }
}

fn none() -> Match {
    Match::default()
}

fn path(uri: StringMatch) -> Match {
    Match { uri: Some(uri), ..none() }
}

fn with(name: HeaderName, value: StringMatch) -> Match {
    Match { headers: vec![(name, value)], ..none() }
}

fn without(name: HeaderName, value: StringMatch) -> Match {
    Match { without_headers: vec![(name, value)], ..none() }
}

fn query(name: &str, value: StringMatch) -> Match {
    Match { query: vec![(name.into(), value)], ..none() }
}

const U: Option<Condition> = Some(Condition::Uri);

#[test]
fn the_uri_is_the_path_and_regards_case_unless_told_otherwise() {
    let fold = |m: StringMatch| Match { ignore_uri_case: true, ..path(m) };
    table(vec![
        ("no condition holds always", none(), ask("/"), None),
        ("exact is the whole path", path(exact("/a")), ask("/a"), None),
        ("exact is not a beginning", path(exact("/a")), ask("/a/b"), U),
        ("exact regards case", path(exact("/a")), ask("/A"), U),
        ("the query is no part of the path", path(exact("/a")), ask("/a?b=c"), None),
        ("prefix is the beginning", path(prefix("/a")), ask("/a/b"), None),
        ("prefix knows no segments", path(prefix("/a")), ask("/ab"), None),
        ("prefix regards case", path(prefix("/a")), ask("/A/b"), U),
        ("regex is the whole path", path(regex("/a+")), ask("/aaa"), None),
        ("regex is not a part", path(regex("/a+")), ask("/aab"), U),
        ("ignoreUriCase folds exact", fold(exact("/aB")), ask("/Ab"), None),
        ("ignoreUriCase folds prefix", fold(prefix("/aB")), ask("/Ab/c"), None),
        ("ignoreUriCase does not shorten", fold(prefix("/abc")), ask("/ab"), U),
        ("ignoreUriCase leaves regex alone", fold(regex("/a")), ask("/A"), U),
    ]);
}

/// `MeshConfig.ProxyPathNormalization`, whose default is `BASE`: normalized as RFC 3986 says.
#[test]
fn the_path_is_normalized_before_it_is_compared() {
    let moka = || path(exact("/products/p-moka"));
    table(vec![
        ("an encoded unreserved character", moka(), ask("/products/p%2Dmoka"), None),
        ("in either case", moka(), ask("/products/p%2dmoka"), None),
        ("a letter", moka(), ask("/%70roducts/p-moka"), None),
        ("dot segments", moka(), ask("/a/../products/./p-moka"), None),
        ("encoded dot segments", moka(), ask("/a/%2E%2e/products/p-moka"), None),
        ("a backslash", moka(), ask("/products\\p-moka"), None),
        ("digits of what stays encoded", path(exact("/a%2Fb")), ask("/a%2fb"), None),
        ("slashes are not merged", moka(), ask("//products/p-moka"), U),
        ("an encoded slash is none", moka(), ask("/products%2Fp-moka"), U),
        ("nothing is decoded twice", moka(), ask("/products/p%252Dmoka"), U),
        ("a path that was left", path(prefix("/open")), ask("/open/../products"), U),
        ("the query stays as it is", query("a", exact("%2D")), ask("/?a=%2D"), None),
    ]);
}

#[test]
fn method_scheme_authority_and_port_are_the_requests_own() {
    let method = |m| Match { method: Some(m), ..none() };
    let scheme = |m| Match { scheme: Some(m), ..none() };
    let authority = |m| Match { authority: Some(m), ..none() };
    let port = |port| Match { port: Some(port), ..none() };
    let (m, s) = (Some(Condition::Method), Some(Condition::Scheme));
    let (a, p) = (Some(Condition::Authority), Some(Condition::Port));
    let https = || ask("/").header("x-forwarded-proto", "https");
    let shop = || ask("/").header("host", "shop.example.com:8080");
    let whole = || Ask { uri: "http://a.example/", ..shop() };
    table(vec![
        ("method exact", method(exact("POST")), ask("/").method(Method::POST), None),
        ("another method", method(exact("POST")), ask("/"), m),
        ("method regex", method(regex("GET|HEAD")), ask("/").method(Method::HEAD), None),
        ("plain HTTP", scheme(exact("http")), ask("/"), None),
        ("HTTPS ended at the edge", scheme(exact("https")), https(), None),
        ("HTTPS is not HTTP", scheme(exact("http")), https(), s),
        ("the name called is the authority", authority(exact("payments")), ask("/"), None),
        ("Host is the authority", authority(prefix("shop.")), shop(), None),
        ("with its port", authority(exact("shop.example.com")), shop(), a),
        ("a whole URL says it", authority(exact("a.example")), whole(), None),
        ("whatever Host says", authority(exact("shop.example.com:8080")), whole(), a),
        ("port of the authority", port(8080), shop(), None),
        ("port 80 when none is named", port(80), ask("/"), None),
        ("another port", port(443), ask("/"), p),
    ]);
}

#[test]
fn the_port_is_the_services_own_in_the_mesh_and_the_gateways_at_the_ingress() {
    let own = |own: Option<u16>, port: u16, ask: Ask| {
        let rule = matching("it", Match { port: Some(port), ..none() }, "payments");
        let ports = own.map(|own| ("payments".into(), vec![own])).into_iter().collect();
        let policy = Policy { ports, ..policy(1, vec![rule]) };
        explain(&policy, &ask.probe()).rules[0].missed[0].is_none()
    };
    let named = || ask("/").header("host", "payments:8443");
    let edge = || ask("/").header("host", "127.0.0.1:4702").ingress();
    for (sentence, service, port, ask, holds) in [
        ("a service entry's", Some(443), 443, ask("/"), true),
        ("and not 80 then", Some(443), 80, ask("/"), false),
        ("80 where nobody said another", None, 80, ask("/"), true),
        ("the one that is named", Some(443), 8443, named(), true),
        ("and not its own then", Some(443), 443, named(), false),
        ("the gateway's, wherever the edge listens", Some(443), 80, edge(), true),
        ("and not where the edge listens", None, 4702, edge(), false),
        ("nor the service's", Some(443), 443, edge(), false),
    ] {
        assert_eq!(own(service, port, ask), holds, "{sentence}");
    }
}

#[test]
fn headers_must_match_and_without_headers_must_not() {
    let (h, w) = (Some(Condition::Headers), Some(Condition::WithoutHeaders));
    let x = || name("x-user");
    let chrome = || ask("/").header("user-agent", "Mozilla/5.0 Chrome/120");
    let canary = || ask("/").header("cookie", "a=b; canary=true");
    let twice = || ask("/").header("x-user", "a").header("x-user", "b");
    let present = StringMatch::Present;
    table(vec![
        ("exact", with(x(), exact("a")), ask("/").header("x-user", "a"), None),
        ("another value", with(x(), exact("a")), ask("/").header("x-user", "b"), h),
        ("a header that is absent", with(x(), exact("a")), ask("/"), h),
        ("prefix", with(x(), prefix("a")), ask("/").header("x-user", "ab"), None),
        ("any value, if there is one", with(x(), present.clone()), twice(), None),
        ("no value is none", with(x(), present.clone()), ask("/"), h),
        ("an empty value is one", with(x(), present.clone()), ask("/").header("x-user", ""), None),
        ("the seed's browser", with(name("user-agent"), regex(".*Chrome.*")), chrome(), None),
        ("the seed's cookie", with(name("cookie"), regex(".*canary=true.*")), canary(), None),
        ("several values are one list", with(x(), exact("a,b")), twice(), None),
        ("and not the first of them", with(x(), exact("a")), twice(), h),
        ("withoutHeaders: absent is fine", without(x(), exact("a")), ask("/"), None),
        ("another value is fine", without(x(), exact("a")), ask("/").header("x-user", "b"), None),
        ("this value is not", without(x(), exact("a")), ask("/").header("x-user", "a"), w),
        ("must be absent", without(x(), present), ask("/").header("x-user", "b"), w),
    ]);
}

#[test]
fn query_parameters_are_matched_as_sent() {
    let q = Some(Condition::QueryParams);
    table(vec![
        ("exact", query("a", exact("1")), ask("/?b=2&a=1"), None),
        ("another value", query("a", exact("1")), ask("/?a=2"), q),
        ("absent", query("a", exact("1")), ask("/"), q),
        ("prefix", query("a", prefix("1")), ask("/?a=12"), None),
        ("regex is the whole value", query("a", regex("[0-9]+")), ask("/?a=12x"), q),
        ("present without a value", query("a", StringMatch::Present), ask("/?a"), None),
        ("a name is whole", query("a", StringMatch::Present), ask("/?ab=1"), q),
        ("the first counts", query("a", exact("1")), ask("/?a=1&a=2"), None),
    ]);
}

#[test]
fn the_source_is_the_callers_workload_and_the_gateway_is_where_it_came_in() {
    let labels = |labels: &[(&str, &str)]| Match {
        source_labels: labels.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        ..none()
    };
    let namespace = || Match { source_namespace: Some("default".into()), ..none() };
    let at_ingress = |at| Match { at_ingress: Some(at), ..none() };
    let (l, n) = (Some(Condition::SourceLabels), Some(Condition::SourceNamespace));
    let g = Some(Condition::Gateways);
    table(vec![
        ("a label of the caller", labels(&[("app", "orders")]), ask("/"), None),
        ("another value", labels(&[("app", "users")]), ask("/"), l),
        ("all labels", labels(&[("app", "orders"), ("tier", "x")]), ask("/"), l),
        ("more labels", labels(&[("tier", "x")]), ask("/").label("tier", "x"), None),
        ("the caller's namespace", namespace(), ask("/"), None),
        ("another namespace", namespace(), ask("/").namespace("other"), n),
        ("only at a gateway", at_ingress(true), ask("/"), g),
        ("it came through one", at_ingress(true), ask("/").ingress(), None),
        ("only in the mesh", at_ingress(false), ask("/").ingress(), g),
    ]);
}

#[test]
fn conditions_of_a_match_are_and_matches_of_a_rule_are_or() {
    let both = Match { method: Some(exact("POST")), ..path(prefix("/a")) };
    let m = Some(Condition::Method);
    table(vec![
        ("both hold", both.clone(), ask("/a").method(Method::POST), None),
        ("one does not", both.clone(), ask("/a"), m),
        ("the other does not", both.clone(), ask("/b").method(Method::POST), U),
    ]);
    let mut either = matching("either", both, "payments");
    either.matches.push(path(exact("/c")));
    let explanation = explain(&policy(1, vec![either]), &ask("/c").probe());
    assert!(matches!(explanation.chosen, Chosen::Rule { .. }));
    assert_eq!(explanation.rules[0].missed, [U, None]);
}

#[test]
fn the_first_rule_that_matches_wins_and_later_ones_are_not_looked_at() {
    let first = matching("first", path(exact("/a/b")), "payments");
    let second = matching("second", path(prefix("/a")), "payments");
    let policy = policy(1, vec![first, second, forward("third", "payments")]);
    for (uri, rule, looked_at) in [("/a/b", "first", 1), ("/a/c", "second", 2), ("/x", "third", 3)]
    {
        let explanation = explain(&policy, &ask(uri).probe());
        let Chosen::Rule { name, .. } = &explanation.chosen else { panic!("{uri}") };
        assert_eq!((&**name, explanation.rules.len()), (rule, looked_at), "{uri}");
    }
}

#[test]
fn what_no_rule_matches_has_no_route_and_what_has_no_rules_goes_to_the_service() {
    let policy = policy(1, vec![matching("only", path(exact("/a")), "payments")]);
    let explanation = explain(&policy, &ask("/b").probe());
    assert_eq!(
        explanation.chosen,
        Chosen::NoRoute { origin: common::origin("VirtualService", "routes") }
    );
    let other = HypotheticalRequest { called: "catalog".into(), ..ask("/b").probe() };
    let service = "catalog".into();
    assert_eq!(explain(&policy, &other).chosen, Chosen::Default { service });
}
