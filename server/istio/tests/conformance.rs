//! What the proto comments say, a case per sentence, as it is compiled.
//!
//! How requests are treated at run time is tested where they are.

mod support;

use istio::{
    code,
    policy::{
        Action, HashKey, HashTable, LoadBalancer, Outlier, Retry, RetryOn, Route, Share,
        StringMatch, TrafficPolicy,
    },
    value,
};
use std::{sync::Arc, time::Duration};
use support::{apply, bare, compile, has, refuse, route, rule};

fn first_route(text: &str) -> Arc<Route> {
    Arc::clone(&compile(text).virtual_hosts[0].routes[0])
}

fn policy(lines: &str) -> TrafficPolicy {
    compile(&rule(lines)).destinations["payments"].policy.clone()
}

fn outlier(fields: &str) -> Outlier {
    let text = format!("trafficPolicy: {{outlierDetection: {{{fields}}}}}");
    let Some(outlier) = policy(&text).outlier else { panic!("no outlier in {text}") };
    outlier
}

#[test]
fn wrong_words_are_guessed() {
    for (text, guess) in [
        (route("tiemout: 1s"), "timeout"),
        (route("mirror_percentage: {value: 1}"), "mirrorPercentage"),
        (route("retries: {attempts: 1, retryOn: conect-failure}"), "connect-failure"),
        (rule("trafficPolicy: {loadBalancer: {simple: ROUND_ROBBIN}}"), "ROUND_ROBIN"),
        (
            rule("trafficPolicy: {outlierDetection: {consecutive5xxError: 3}}"),
            "consecutive5xxErrors",
        ),
    ] {
        let report = refuse(&text);
        let advice = &report.findings[0].advice;
        assert_eq!(advice, &format!("Did you mean {guess}?"), "{text}");
    }
}

#[test]
fn the_default_retry_policy_is_istios() {
    let retry = &first_route(&route("")).retry;
    assert_eq!(*retry, Retry::default());
    assert_eq!((retry.attempts, retry.backoff), (2, Duration::from_millis(25)));
    assert!(retry.by_default && retry.ignore_previous_hosts.is_none());
    assert!(!retry.on.contains(&RetryOn::ServerError) && !retry.on.contains(&RetryOn::Status(503)));
}

#[test]
fn written_retries_keep_the_defaults_of_what_they_leave_out() {
    let retry = first_route(&route("retries: {attempts: 3}")).retry.clone();
    assert_eq!((retry.attempts, retry.by_default), (3, false));
    assert_eq!(retry.on, Retry::default().on);
    let retry = first_route(&route("retries: {attempts: 0}")).retry.clone();
    assert_eq!(retry.attempts, 0);
    let text = "retries: {attempts: 1, retryOn: '5xx, 429,retriable-headers', backoff: 1s}";
    let retry = first_route(&route(text)).retry.clone();
    assert_eq!(retry.on, [RetryOn::ServerError, RetryOn::Status(429)]);
    assert_eq!(retry.backoff, Duration::from_secs(1));
}

#[test]
fn a_per_try_timeout_that_is_not_below_the_timeout_is_ignored() {
    let of = |timeout: &str, per_try: &str| {
        let text =
            format!("timeout: {timeout}\nretries: {{attempts: 1, perTryTimeout: {per_try}}}");
        first_route(&route(&text)).retry.per_try_timeout
    };
    assert_eq!(of("3s", "2s"), Some(Duration::from_secs(2)));
    assert_eq!(of("2s", "2s"), None);
    assert_eq!(of("2s", "3s"), None);
    assert_eq!(of("0s", "3s"), Some(Duration::from_secs(3)));
}

#[test]
fn the_timeout_is_off_unless_written() {
    assert_eq!(first_route(&route("")).timeout, None);
    assert_eq!(first_route(&route("timeout: 0s")).timeout, None);
    assert_eq!(first_route(&route("timeout: 1.5s")).timeout, Some(Duration::from_millis(1_500)));
}

#[test]
fn a_mirror_without_percentage_takes_everything_and_a_fault_without_one_nothing() {
    let share = |lines: &str| first_route(&route(lines)).mirrors[0].share;
    assert_eq!(share("mirror: {host: users}"), Share::ALL);
    assert_eq!(share("mirror: {host: users}\nmirrorPercentage: {value: 0.5}"), Share(5_000));
    assert_eq!(share("mirror: {host: users}\nmirrorPercentage: {value: 0}"), Share::NONE);
    assert_eq!(share("mirror: {host: users}\nmirrorPercentage: {}"), Share::NONE);
    assert_eq!(share("mirror: {host: users}\nmirrorPercent: 20"), Share(200_000));
    assert_eq!(share("mirrors: [{destination: {host: users}}]"), Share::ALL);
    let fault = |lines: &str| first_route(&route(lines)).fault.clone().unwrap();
    let delay = fault("fault: {delay: {fixedDelay: 1s}}").delay.unwrap();
    assert_eq!(delay.share, Share::NONE);
    let delay = fault("fault: {delay: {fixedDelay: 1s, percent: 7}}").delay.unwrap();
    assert_eq!(delay.share, Share(70_000));
    let abort = fault("fault: {abort: {httpStatus: 500}}").abort.unwrap();
    assert_eq!(abort.share, Share::NONE);
    let abort = fault("fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}");
    let abort = abort.abort.unwrap();
    assert_eq!(
        (abort.share, abort.status.as_u16(), abort.grpc_status),
        (Share::ALL, 200, Some(14))
    );
}

#[test]
fn a_single_destination_gets_all_whatever_its_weight() {
    for weight in ["", "weight: 0", "weight: 7"] {
        let text = format!("route:\n- destination: {{host: payments}}\n  {weight}");
        let Action::Forward(split) = &first_route(&bare(&text)).action.clone() else { panic!() };
        assert!(split.len() == 1 && split[0].weight > 0, "{weight}");
    }
    let text = "route: [{destination: {host: payments}, weight: 1}, {destination: {host: users}}]";
    let Action::Forward(split) = &first_route(&bare(text)).action.clone() else { panic!() };
    assert_eq!((split[0].weight, split[1].weight), (1, 0));
}

#[test]
fn names_are_resolved_and_unknown_ones_kept() {
    for (host, service) in [
        ("payment-service", "payments"),
        ("payments.default.svc.cluster.local", "payments"),
        ("Payments.Default", "payments"),
        ("nobody", "nobody"),
    ] {
        let text = bare(&format!("route: [{{destination: {{host: {host}}}}}]"));
        let Action::Forward(split) = &first_route(&text).action.clone() else { panic!() };
        assert_eq!(&*split[0].service, service);
    }
}

#[test]
fn an_expression_must_match_the_whole_text_and_classes_are_ascii() {
    let holds = |regex: &str, text: &str| value::regex(regex).unwrap().is_match(text);
    for (regex, text, expected) in [
        ("a|b", "ab", false),
        ("a|b", "b", true),
        ("v[12]", "v1x", false),
        (".*Chrome.*", "Mozilla Chrome 1", true),
        ("a.b", "a\nb", false),
        ("(?s)a.b", "a\nb", true),
        ("(?i)GET", "get", true),
        (r"\d+", "12", true),
        (r"\d+", "١٢", false),
        (r"\w+", "é", false),
        (r"[\w-]+", "a-b", true),
        (r"\s", "\u{b}", false),
        (r"\Qa.b*\E", "a.b*", true),
        (r"\Qa.b", "axb", false),
        ("[[a]+", "[a", true),
        ("[a&&b]+", "a&b", true),
        ("[a--z]", "-", true),
        ("[]a]+", "]a", true),
        ("[[:alpha:]]+", "ab", true),
        ("a{,2}", "a{,2}", true),
        ("a{2}", "aa", true),
        ("a$", "a\n", false),
        (r"\pL+", "é", true),
        ("(?P<n>a)", "a", true),
        ("(?U)a+", "aa", true),
    ] {
        assert_eq!(holds(regex, text), expected, "{regex} on {text:?}");
    }
    for regex in [
        r"\<a",
        r"a\b{start}",
        r"\u0041",
        r"\C",
        "(?x)a b",
        "(?R)a",
        "a{1001}",
        "(?=a)",
        r"(a)\1",
        "a)(b",
        "[a",
        "(",
        r"\",
        "*a",
        "(?P<n>a)(?P<n>b)",
    ] {
        assert!(value::regex(regex).is_err(), "{regex}");
    }
}

#[test]
fn durations_are_protobufs_and_gos() {
    for (text, nanos) in [
        ("1.5s", 1_500_000_000),
        ("2m", 120_000_000_000),
        ("500ms", 500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("0.000000001s", 1),
        ("3us", 3_000),
        ("3µs", 3_000),
        ("0s", 0),
        ("0", 0),
        (".5s", 500_000_000),
        ("+5s", 5_000_000_000),
    ] {
        assert_eq!(value::duration(text).unwrap().as_nanos(), nanos, "{text}");
    }
    for text in
        ["", "s", "1", "1.2.3s", "1 s", "-1s", "+", "++1s", "+-1s", "1d", "1e3s", "１s", "."]
    {
        assert!(value::duration(text).is_err(), "{text}");
    }
}

#[test]
fn percentages_are_exact_to_a_ten_thousandth() {
    for (text, share) in [
        ("10.0", 100_000),
        ("0.29", 2_900),
        ("12.3456", 123_456),
        ("12.34569", 123_456),
        ("99.9999", 999_999),
        ("100", 1_000_000),
        ("1e1", 100_000),
        ("1E-4", 1),
        ("0", 0),
        ("+5", 50_000),
    ] {
        assert_eq!(value::percent(text).unwrap(), Share(share), "{text}");
    }
    for text in ["100.0001", "-1", "1e3", "100.00000000001"] {
        assert!(value::percent(text).is_err(), "{text}");
    }
    assert!(value::fault_percent("0.00009").is_err());
    assert_eq!(value::fault_percent("0.0000"), Ok(Share::NONE));
    assert_eq!(value::fault_percent("0.0001"), Ok(Share(1)));
}

#[test]
fn a_percent_sign_in_a_header_is_doubled_and_what_two_enclose_is_not_set() {
    let text = "headers: {request: {set: {x-a: 100%%, x-b: '%START_TIME%', x-c: 'a%%b%%'}}}";
    let set = first_route(&route(text)).headers.request.set.clone();
    let set: Vec<_> =
        set.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap_or_default())).collect();
    assert_eq!(set, [("x-a", "100%"), ("x-c", "a%b%")]);
}

#[test]
fn presence_and_nothing_are_matched_as_istio_writes_them() {
    let text = "match: [{uri: {prefix: ''}, withoutHeaders: {x: {regex: '*'}}}]";
    let found = first_route(&route(text)).matches[0].clone();
    assert!(matches!(found.without_headers[0].1, StringMatch::Present));
    assert!(found.uri.is_some_and(|uri| uri.holds("/any")));
}

#[test]
fn a_claim_in_the_place_of_a_header_is_known_by_its_levels() {
    let text = "match: [{headers: {'@request.auth.claims.a.b': {exact: x}, x-h: {exact: y}}, \
                withoutHeaders: {'@Request.Auth.Claims[https://c/d][e]': {}}}]";
    let bound = route(text).replace("hosts: [payments]", "hosts: [a.b]\n  gateways: [edge]");
    let found = first_route(&bound).matches[0].clone();
    assert_eq!((found.headers.len(), found.without_headers.len()), (1, 0));
    assert_eq!(found.claims[0].0, ["a", "b"]);
    assert_eq!(found.without_claims[0].0, ["https://c/d", "e"]);
    let unchecked = apply(&bound).report.findings;
    assert!(has(&unchecked, code::TOKEN_UNCHECKED), "nobody checks tokens: {unchecked:#?}");
}

#[test]
fn a_gateway_is_known_by_the_name_of_its_service_too() {
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front}\n\
                   spec: {servers: [{port: {number: 80, name: http, protocol: Https}, \
                   tls: {mode: PASSTHROUGH}, hosts: ['*']}]}\n---\n";
    for (name, found) in [
        ("front", true),
        ("front.default.svc.cluster.local", true),
        ("front.default", true),
        ("front.other.svc.cluster.local", false),
        ("other.default", false),
    ] {
        let to = format!("hosts: [a.example]\n  gateways: [{name}]");
        let text = format!("{gateway}{}", route("").replace("hosts: [payments]", &to));
        let host = &compile(&text).virtual_hosts[0];
        assert_eq!(host.at_ingress, found, "{name}");
        // Whatever its case, a protocol is read.
        assert!(host.listeners.iter().all(|listener| listener.tls));
    }
}

#[test]
fn outlier_detection_has_envoys_defaults() {
    let found = outlier("");
    assert_eq!((found.consecutive_5xx, found.consecutive_gateway), (5, 0));
    assert_eq!(found.consecutive_local_origin, 0);
    assert_eq!(found.interval, Duration::from_secs(10));
    assert_eq!(found.base_ejection, Duration::from_secs(30));
    assert_eq!(found.max_ejection, Duration::from_secs(300));
    assert_eq!((found.max_ejection_percent, found.min_health_percent), (10, 0));
    assert_eq!(outlier("baseEjectionTime: 10m").max_ejection, Duration::from_secs(600));
    assert_eq!(outlier("consecutive5xxErrors: 0").consecutive_5xx, 0);
    let split = outlier("splitExternalLocalOriginErrors: true");
    assert_eq!((split.split_local_origin, split.consecutive_local_origin), (true, 5));
    let deprecated = outlier("consecutiveErrors: 3");
    assert_eq!((deprecated.consecutive_5xx, deprecated.consecutive_gateway), (0, 3));
    assert_eq!(outlier("maxEjectionPercent: 0").max_ejection_percent, 10);
}

#[test]
fn a_detector_is_on_only_above_zero() {
    for (fields, five, gateway) in [
        ("consecutive5xxErrors: 0, consecutiveGatewayErrors: 3", 0, 3),
        ("consecutive5xxErrors: 3, consecutiveGatewayErrors: 0", 3, 0),
        ("consecutive5xxErrors: 0, consecutiveGatewayErrors: 0", 0, 0),
    ] {
        let found = outlier(fields);
        assert_eq!((found.consecutive_5xx, found.consecutive_gateway), (five, gateway), "{fields}");
    }
}

#[test]
fn a_retry_budget_is_20_percent_and_three_unless_written() {
    let budget = |fields: &str| {
        let text = format!("trafficPolicy: {{retryBudget: {{{fields}}}}}");
        policy(&text).retry_budget.map(|budget| (budget.share, budget.min_concurrency))
    };
    assert_eq!(budget("percent: 20"), Some((Share(200_000), 3)));
    assert_eq!(budget("minRetryConcurrency: 7"), Some((Share(200_000), 7)));
}

#[test]
fn connection_limits_are_off_unless_written_above_zero() {
    let pool =
        policy("trafficPolicy: {connectionPool: {http: {http2MaxRequests: 0}}}").connection_pool;
    assert_eq!(pool.max_requests, None);
    let text = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}, http: {maxRetries: 4}}}";
    let pool = policy(text).connection_pool;
    assert_eq!(
        (pool.max_connections, pool.max_retries, pool.max_pending),
        (Some(3), Some(4), None)
    );
}

#[test]
fn load_balancers_are_istios() {
    let of = |lines: &str| {
        policy(&format!("trafficPolicy: {{loadBalancer: {{{lines}}}}}")).load_balancer
    };
    assert_eq!(of("simple: UNSPECIFIED"), LoadBalancer::LeastRequest);
    assert_eq!(of("simple: LEAST_CONN"), LoadBalancer::LeastRequest);
    assert_eq!(of("simple: PASSTHROUGH"), LoadBalancer::LeastRequest);
    assert_eq!(of("simple: ROUND_ROBIN"), LoadBalancer::RoundRobin);
    assert_eq!(of("simple: RANDOM"), LoadBalancer::Random);
    let ring = HashTable::Ring { minimum_size: 1_024 };
    let hash = |key, table| LoadBalancer::ConsistentHash { key, table };
    assert_eq!(of("consistentHash: {useSourceIp: true}"), hash(HashKey::SourceIp, ring));
    let query = HashKey::Query("user".to_owned());
    assert_eq!(of("consistentHash: {httpQueryParameterName: user}"), hash(query, ring));
    let text = "consistentHash: {httpHeaderName: X-User, maglev: {tableSize: 1009}}";
    let header = HashKey::Header("x-user".parse().unwrap());
    assert_eq!(of(text), hash(header, HashTable::Maglev { size: 1_009 }));
}

#[test]
fn a_subset_overrides_the_policy_field_by_field() {
    let text = rule(
        "trafficPolicy:
  loadBalancer: {simple: RANDOM}
  outlierDetection: {consecutive5xxErrors: 2, interval: 1s}
subsets:
- name: v2
  labels: {version: v2}
  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 9}}",
    );
    let policy = compile(&text);
    let subset = &policy.destinations["payments"].subset("v2").unwrap().policy;
    assert_eq!(subset.load_balancer, LoadBalancer::Random);
    let outlier = subset.outlier.as_ref().unwrap();
    // The field is replaced whole: its interval is the default again.
    assert_eq!((outlier.consecutive_5xx, outlier.interval.as_secs()), (9, 10));
}

#[test]
fn settings_of_the_port_replace_the_policy_and_inherit_nothing() {
    let text = rule(
        "trafficPolicy:
  loadBalancer: {simple: RANDOM}
  outlierDetection: {consecutive5xxErrors: 2}
  portLevelSettings:
  - port: {number: 8080}
    loadBalancer: {simple: ROUND_ROBIN}
  - port: {number: 9090}
    loadBalancer: {simple: LEAST_REQUEST}",
    );
    let policy = compile(&text).destinations["payments"].policy.clone();
    assert_eq!(policy.load_balancer, LoadBalancer::RoundRobin);
    assert_eq!(policy.outlier, None);
}

#[test]
fn settings_of_the_port_of_a_subset_inherit_nothing_from_the_host_either() {
    let text = rule(
        "trafficPolicy:
  loadBalancer: {simple: RANDOM}
  connectionPool: {tcp: {maxConnections: 3}}
  outlierDetection: {consecutive5xxErrors: 2}
  retryBudget: {percent: 30}
subsets:
- name: v2
  labels: {version: v2}
  trafficPolicy:
    portLevelSettings:
    - port: {number: 8080}
      connectionPool: {http: {http2MaxRequests: 9}}",
    );
    let policy = compile(&text);
    let subset = policy.destinations["payments"].subset("v2").unwrap().policy.clone();
    assert_eq!(subset.load_balancer, LoadBalancer::LeastRequest, "Istio's default");
    let pool = (subset.connection_pool.max_connections, subset.connection_pool.max_requests);
    assert_eq!(pool, (None, Some(9)));
    assert_eq!(subset.outlier, None);
    assert!(subset.retry_budget.is_some(), "a port has no budget of its own");
}

#[test]
fn the_most_specific_host_decides() {
    let of = |name: &str, host: &str, simple: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
             metadata: {{name: {name}}}\n\
             spec: {{host: {host}, trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}}}\n---\n"
        )
    };
    let text = [
        of("a", "'*'", "RANDOM"),
        of("b", "'*.default.svc.cluster.local'", "ROUND_ROBIN"),
        of("c", "payment-service", "LEAST_REQUEST"),
    ]
    .concat();
    let policy = compile(&text);
    let balancer = |service: &str| policy.destinations[service].policy.load_balancer.clone();
    assert_eq!(balancer("payments"), LoadBalancer::LeastRequest);
    assert_eq!(balancer("users"), LoadBalancer::RoundRobin);
}

const ROOT: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [payments]
  http:
  - name: r
    match: [{uri: {prefix: /a}}]
    delegate: {name: leaf}
    timeout: 2s
    headers: {request: {set: {x-a: root, x-b: root}}}
";

const LEAF: &str = "\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf}
spec:
  http:
  - match: [{uri: {prefix: /a/b}, method: {exact: GET}}]
    route: [{destination: {host: users}}]
    timeout: 1s
  - match: [{uri: {prefix: /z}}]
    route: [{destination: {host: users}}]
  - route: [{destination: {host: orders}}]
    headers: {request: {set: {x-a: leaf}}}
";

#[test]
fn a_delegate_is_merged_into_its_root() {
    let policy = compile(&format!("{ROOT}{LEAF}"));
    assert_eq!(policy.virtual_hosts.len(), 1);
    let routes = &policy.virtual_hosts[0].routes;
    // The second rule of the delegate conflicts with the root's prefix.
    let names: Vec<_> = routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["r-#1", "r-#3"]);
    assert!(routes[0].matches[0].uri.as_ref().is_some_and(|uri| uri.holds("/a/b/c")));
    assert!(routes[0].matches[0].uri.as_ref().is_some_and(|uri| !uri.holds("/a/c")));
    assert_eq!(routes[0].timeout, Some(Duration::from_secs(1)));
    assert_eq!(routes[1].timeout, Some(Duration::from_secs(2)));
    assert_eq!(&*routes[1].origin.name, "leaf");
    let mut set: Vec<_> =
        routes[1].headers.request.set.iter().map(|(n, v)| (n.as_str(), v)).collect();
    set.sort_by_key(|(name, _)| *name);
    assert_eq!((set[0].1.as_bytes(), set[1].1.as_bytes()), (&b"leaf"[..], &b"root"[..]));
    let regex = LEAF.replace("{prefix: /a/b}", "{regex: /a.*}");
    assert!(has(&refuse(&format!("{ROOT}{regex}")).findings, code::CONFLICT));
    assert!(has(&apply(ROOT).report.findings, code::DELEGATE));
}

#[test]
fn an_empty_string_match_of_a_header_is_presence() {
    let route = first_route(&route("match: [{headers: {x-a: {}}, uri: {}}]"));
    assert!(matches!(route.matches[0].headers[0].1, StringMatch::Present));
    assert!(route.matches[0].uri.is_none());
}

#[test]
fn gateways_of_a_match_say_where_it_holds() {
    let of = |gateways: &str| {
        first_route(&route(&format!("match: [{{gateways: [{gateways}]}}]"))).matches[0].at_ingress
    };
    assert_eq!(of("mesh"), Some(false));
    assert_eq!(of("edge"), Some(true));
    assert_eq!(of("edge, mesh"), None);
    assert_eq!(of(""), None);
    assert_eq!(of("edge, elsewhere"), Some(true));
    assert_eq!(of("elsewhere, mesh"), Some(false), "nothing comes in through what is not there");
}

#[test]
fn a_match_of_gateways_that_are_not_there_takes_nothing_and_is_warned_of() {
    let text = route("match: [{gateways: [edge]}, {gateways: [egde, elsewhere]}]");
    let matches = first_route(&text).matches.clone();
    assert_eq!(matches.iter().map(|found| found.nowhere).collect::<Vec<_>>(), [false, true]);
    let findings = apply(&text).report.findings;
    let of_gateway = findings.iter().filter(|finding| finding.code == code::ROUTE_GATEWAY);
    let said: Vec<_> = of_gateway.map(|f| (f.path.as_str(), f.at.line, &*f.advice)).collect();
    let at = |index: u32| format!("spec.http[0].match[1].gateways[{index}]");
    assert_eq!(
        said,
        [(&*at(0), 10, "Did you mean edge?"), (&*at(1), 10, "Apply the Gateway as well."),]
    );
}
