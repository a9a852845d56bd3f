//! A field that is said to be in force is: without it, what the data plane reads is another policy.
//!
//! Only that it arrives there; what the data plane makes of it is tested beside the data plane.

#[path = "support/fates.rs"]
mod fates;

mod support;

use contract::istio::Fate;
use fates::without_effect;
use support::{apply, route, rule};

const FILES: [&str; 4] = [
    include_str!("data/all-fields.yml"),
    include_str!("data/istio-config.yml"),
    include_str!("data/traffic-management.yml"),
    include_str!("data/observability.yml"),
];

#[test]
fn without_a_field_that_is_in_force_the_policy_is_another() {
    let found: Vec<_> = FILES.into_iter().map(without_effect).collect();
    let looked_at: usize = found.iter().map(|(_, looked_at)| looked_at).sum();
    assert!(looked_at > 100, "{looked_at}");
    let without_effect: Vec<_> = found.into_iter().flat_map(|(found, _)| found).collect();
    assert_eq!(without_effect, Vec::<String>::new(), "of {looked_at}");
}

/// A resource of Istio's networking by the lines of its spec.
fn networking(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n\
         spec: {spec}\n---\n"
    )
}

/// A text in which something loses against something else, and a field that does.
type Losing = (String, &'static str);

fn services(name: &str, spec: &str) -> String {
    networking("VirtualService", name, spec)
}

const TO: &str = "route: [{destination: {host: users}}]";

/// Fields of one rule of a `VirtualService`.
fn losing_in_rules() -> Vec<Losing> {
    let redirect = "{hosts: [users], http: [{redirect: {authority: b.example, uri: ''}}]}";
    vec![
        (
            route("mirror: {host: users}\nmirrorPercentage: {value: 5}\nmirrorPercent: 20"),
            "spec.http[0].mirrorPercent",
        ),
        (
            route("mirrors: [{destination: {host: users}}]\nmirrorPercentage: {value: 7}"),
            "spec.http[0].mirrorPercentage.value",
        ),
        (route("mirrorPercent: 20"), "spec.http[0].mirrorPercent"),
        (
            route("fault: {delay: {fixedDelay: 1s, percentage: {value: 5}, percent: 20}}"),
            "spec.http[0].fault.delay.percent",
        ),
        (route("rewrite: {authority: a.example, uri: ''}"), "spec.http[0].rewrite.uri"),
        (services("a", redirect), "spec.http[0].redirect.uri"),
    ]
}

/// Rules of a delegate and of its root, and what is exported elsewhere.
fn losing_between_services() -> Vec<Losing> {
    let delegates = |root: &str, leaf: &str| {
        let root = format!(
            "{{hosts: [users], http: [{{match: [{root}], delegate: {{name: leaf}}}}, {{{TO}}}]}}"
        );
        let leaf = format!("{{http: [{{match: [{leaf}], {TO}}}]}}");
        format!("{}{}", services("root", &root), services("leaf", &leaf))
    };
    let exported = |to: &str| {
        let spec = format!("{{hosts: [users], exportTo: [{to}], http: [{{timeout: 1s, {TO}}}]}}");
        services("a", &spec)
    };
    let (a, b) = ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}");
    let (get, put) = ("{method: {exact: GET}}", "{method: {exact: PUT}}");
    vec![
        (delegates(a, b), "spec.http[0].match[0].uri.prefix"),
        (
            delegates(a, &format!("{b}, {{uri: {{prefix: /a/b}}}}")),
            "spec.http[0].match[0].uri.prefix",
        ),
        (delegates(&format!("{a}, {put}"), get), "spec.http[0].match[1].method.exact"),
        (exported("prod"), "spec.http[0].timeout"),
        (exported(".").replace("name: a}", "name: a, namespace: prod}"), "spec.http[0].timeout"),
    ]
}

/// Entries for what no entry decides, and rules for one service.
fn losing_between_rules() -> Vec<Losing> {
    let entry = |hosts: &str, of: &str| {
        let spec = format!("{{hosts: [{hosts}], {of}ports: [{{number: 9, name: http}}]}}");
        networking("ServiceEntry", "a", &spec)
    };
    let addresses = "resolution: STATIC, endpoints: [{address: 127.0.0.1}], ";
    let both = |a: &str, b: &str| {
        let rule = |name: &str, spec: &str| networking("DestinationRule", name, spec);
        format!("{}{}", rule("a", a), rule("b", b))
    };
    let random = |host: &str| {
        format!("{{host: {host}, trafficPolicy: {{loadBalancer: {{simple: RANDOM}}}}}}")
    };
    let v1 = |host: &str| format!("{{host: {host}, subsets: [{{name: v1, labels: {{a: b}}}}]}}");
    vec![
        (entry("catalog", addresses), "spec.endpoints[0].address"),
        (entry("'*.a.com'", ""), "spec.ports[0].number"),
        (
            both(&random("catalog"), &random("product-service")),
            "spec.trafficPolicy.loadBalancer.simple",
        ),
        (both(&v1("catalog"), &v1("product-service")), "spec.subsets[0].name"),
        (both(&random("api.stripe.com"), &random("'*.stripe.com'")), "spec.host"),
    ]
}

/// Fields of one traffic policy.
fn losing_in_policies() -> Vec<Losing> {
    let pool = "{http: {idleTimeout: 2s}, tcp: {idleTimeout: 1s}}";
    let old = "{consecutiveErrors: 3, consecutive5xxErrors: 4, consecutiveGatewayErrors: 2}";
    let ports = "[{port: {number: 8080}, loadBalancer: {simple: ROUND_ROBIN}}]";
    let policy = |fields: &str| rule(&format!("trafficPolicy: {{{fields}}}"));
    vec![
        (
            policy(&format!("connectionPool: {pool}")),
            "spec.trafficPolicy.connectionPool.tcp.idleTimeout",
        ),
        (
            policy(&format!("outlierDetection: {old}")),
            "spec.trafficPolicy.outlierDetection.consecutiveErrors",
        ),
        (
            policy(&format!("loadBalancer: {{simple: RANDOM}}, portLevelSettings: {ports}")),
            "spec.trafficPolicy.loadBalancer.simple",
        ),
        (
            policy("loadBalancer: {simple: RANDOM, warmup: {duration: 30s}}"),
            "spec.trafficPolicy.loadBalancer.warmup.duration",
        ),
        (
            policy(
                "loadBalancer: {consistentHash: {httpHeaderName: x-user}, warmup: {duration: 30s}}",
            ),
            "spec.trafficPolicy.loadBalancer.warmup.duration",
        ),
    ]
}

/// Limits of which another takes the place, and a policy where a rule says one.
fn losing_limits() -> Vec<Losing> {
    let policy = |fields: &str| rule(&format!("trafficPolicy: {{{fields}}}"));
    let own = "trafficPolicy: {loadBalancer: {simple: RANDOM}}";
    let extension = services("a", &format!("{{hosts: [payments], {own}, http: [{{{TO}}}]}}"));
    vec![
        (
            policy("connectionPool: {http: {maxRetries: 9}}, retryBudget: {percent: 30}"),
            "spec.trafficPolicy.connectionPool.http.maxRetries",
        ),
        (
            policy("connectionPool: {http: {http1MaxPendingRequests: 9}}"),
            "spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests",
        ),
        (
            format!("{}---\n{extension}", policy("loadBalancer: {simple: ROUND_ROBIN}")),
            "spec.trafficPolicy.loadBalancer.simple",
        ),
    ]
}

/// Modes of mutual TLS for the same workloads.
fn losing_in_security() -> Vec<Losing> {
    let mode = |name: &str, spec: &str| {
        networking("PeerAuthentication", name, spec).replace("networking", "security")
    };
    let all = |name: &str, of: &str| mode(name, &format!("{{mtls: {{mode: {of}}}}}"));
    let unset = "{mtls: {mode: UNSET}}";
    vec![
        (format!("{}{}", all("a", "STRICT"), all("b", "DISABLE")), "spec.mtls.mode"),
        (
            format!("{}{}{}", mode("a", unset), all("b", "STRICT"), all("c", "DISABLE")),
            "spec.mtls.mode",
        ),
    ]
}

/// Resources and parts that say the same of spans, and headers that only Envoy could fill in.
fn losing_elsewhere() -> Vec<Losing> {
    let telemetry = |name: &str, spec: &str| {
        networking("Telemetry", name, spec).replace("networking", "telemetry")
    };
    let sampled = |share: u32| format!("{{randomSamplingPercentage: {share}}}");
    let one =
        |name: &str, share: u32| telemetry(name, &format!("{{tracing: [{}]}}", sampled(share)));
    let both = format!("{{tracing: [{}, {}]}}", sampled(5), sampled(7));
    let rewrite = r"rewrite: {uriRegexRewrite: {match: a, rewrite: '\1'}}";
    vec![
        (format!("{}{}", one("a", 5), one("b", 7)), "spec.tracing[0].randomSamplingPercentage"),
        (telemetry("a", &both), "spec.tracing[0].randomSamplingPercentage"),
        (
            route("headers: {request: {set: {x-a: '%START_TIME%', x-b: 5%%}}}"),
            "spec.http[0].headers.request.set[x-a]",
        ),
        (route(rewrite), "spec.http[0].rewrite.uriRegexRewrite.rewrite"),
    ]
}

#[test]
fn what_loses_against_something_else_is_not_said_to_be_in_force() {
    let all = [
        losing_in_rules(),
        losing_between_services(),
        losing_between_rules(),
        losing_in_policies(),
        losing_limits(),
        losing_in_security(),
        losing_elsewhere(),
    ];
    for (text, loser) in all.into_iter().flatten() {
        let (found, _) = without_effect(&text);
        assert_eq!(found, Vec::<String>::new(), "{text}");
        let resources = apply(&text).report.resources;
        let mut fields = resources.iter().flat_map(|resource| &resource.fields);
        let lost = fields.any(|field| {
            field.path == loser
                && field.fate == Fate::Ignored
                && field.why.as_ref().is_some_and(|why| !why.is_empty())
        });
        assert!(lost, "{loser} in {text}: {resources:#?}");
    }
}
