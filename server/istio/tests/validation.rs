//! What Istio's own validation refuses (`pkg/config/validation`), and what it takes: a case each.

mod support;

use contract::istio::Severity;
use istio::{code, policy::Action};
use support::{apply, bare, compile, has, refuse, route, rule};

const TO: &str = "route: [{destination: {host: payments}}]";

/// A resource of any kind by its spec.
fn policy_of(kind: &str, version: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
}

#[test]
fn rules_that_istio_refuses_are_refused() {
    let cases: &[(&str, &str, &str)] = &[
        // HTTPRoute: what cannot be together.
        (
            "route: [{destination: {host: a}}]\nredirect: {uri: /x}",
            code::CONFLICT,
            "route and redirect",
        ),
        (
            "redirect: {uri: /x}\nfault: {abort: {httpStatus: 500}}",
            code::CONFLICT,
            "fault and redirect",
        ),
        ("redirect: {uri: /x}\nrewrite: {uri: /y}", code::CONFLICT, "rewrite and redirect"),
        (
            "route: [{destination: {host: a}}]\ndirectResponse: {status: 200}",
            code::CONFLICT,
            "directResponse",
        ),
        (
            "fault: {abort: {httpStatus: 500}}\ndirectResponse: {status: 200}",
            code::CONFLICT,
            "fault",
        ),
        ("rewrite: {uri: /x}\ndirectResponse: {status: 200}", code::CONFLICT, "rewrite"),
        ("redirect: {uri: /x}\ndirectResponse: {status: 200}", code::CONFLICT, "redirect"),
        (
            "delegate: {name: a}\nroute: [{destination: {host: a}}]",
            code::CONFLICT,
            "delegate and route",
        ),
        ("timeout: 1s", code::CONFLICT, "none of route"),
        ("route: []", code::CONFLICT, "none of route"),
        // Weights.
        ("route: [{destination: {host: a}, weight: -1}]", code::BAD_VALUE, "out of range"),
        ("route: [{destination: {host: a}, weight: 0.5}]", code::BAD_VALUE, "not a whole number"),
        (
            "route: [{destination: {host: a}}, {destination: {host: b}}]",
            code::CONFLICT,
            "sum up to 0",
        ),
        ("route: [{destination: {host: a}, weight: '10'}]", code::WRONG_TYPE, "a number"),
        ("route: [{destination: {}}]", code::MISSING_FIELD, "host"),
        ("route: [{weight: 1}]", code::MISSING_FIELD, "destination"),
        ("route: [{destination: {host: '*'}}]", code::BAD_VALUE, "one service"),
        ("route: [{destination: {host: 'payments:8080'}}]", code::BAD_VALUE, "not a host"),
        ("route: [{destination: {host: a, subset: v_1}}]", code::BAD_VALUE, "DNS label"),
        // Redirect, direct response, rewrite.
        ("redirect: {}", code::CONFLICT, "must change something"),
        ("redirect: {uri: ''}", code::CONFLICT, "must change something"),
        ("redirect: {uri: '', authority: ''}", code::CONFLICT, "must change something"),
        ("redirect: {uri: /x, redirectCode: 200}", code::BAD_VALUE, "no code to redirect with"),
        ("redirect: {port: 1, uri: /x, derivePort: FROM_REQUEST_PORT}", code::CONFLICT, "port"),
        ("directResponse: {status: 199}", code::BAD_VALUE, "out of range"),
        ("directResponse: {status: 600}", code::BAD_VALUE, "out of range"),
        ("directResponse: {status: 200, body: {}}", code::CONFLICT, "string and bytes"),
        ("directResponse: {status: 200, body: {bytes: '%'}}", code::BAD_VALUE, "base 64"),
    ];
    for (lines, code, word) in cases {
        assert_refused(&bare(lines), code, word);
    }
}

/// Lines of a rule that has a route, the code, and a word of the message.
const REFUSED_FIELDS: &[(&str, &str, &str)] = &[
    (
        "mirror: {host: users}\nmirrors: [{destination: {host: users}}]",
        code::CONFLICT,
        "mirror and mirrors",
    ),
    ("mirror: {host: users}\nmirrorPercentage: {value: 101}", code::BAD_VALUE, "between 0 and 100"),
    ("mirror: {host: users}\nmirrorPercentage: {value: -1}", code::BAD_VALUE, "between 0 and 100"),
    ("mirror: {host: users}\nmirrorPercent: 101", code::BAD_VALUE, "out of range"),
    ("rewrite: {}", code::CONFLICT, "must change something"),
    ("rewrite: {uri: ''}", code::CONFLICT, "must change something"),
    ("rewrite: {uriRegexRewrite: {match: a, rewrite: ''}}", code::MISSING_FIELD, "rewrite"),
    ("rewrite: {uriRegexRewrite: {match: '(', rewrite: x}}", code::BAD_VALUE, "RE2"),
    // Retries.
    ("retries: {attempts: -1}", code::BAD_VALUE, "out of range"),
    ("retries: {attempts: 0, perTryTimeout: 1s}", code::CONFLICT, "attempts is 0"),
    ("retries: {attempts: 0, retryOn: 5xx}", code::CONFLICT, "attempts is 0"),
    ("retries: {retryOn: 5xx}", code::CONFLICT, "attempts is 0"),
    ("retries: {attempts: 0, backoff: 10ms}", code::CONFLICT, "attempts is 0"),
    ("retries: {attempts: 1, perTryTimeout: 0.5ms}", code::BAD_VALUE, "shorter than a millisecond"),
    ("retries: {attempts: 1, perTryTimeout: 1.5ms}", code::BAD_VALUE, "parts of a millisecond"),
    ("retries: {attempts: 1, backoff: 0s}", code::BAD_VALUE, "shorter than a millisecond"),
    ("retries: {attempts: 1, retryOn: 5xxx}", code::BAD_VALUE, "not a retryOn policy"),
    ("retries: {attempts: 1, retryOn: '600'}", code::BAD_VALUE, "not a retryOn policy"),
    ("retries: {attempts: 1, retryOn: 'gateway-error,'}", code::BAD_VALUE, "not a retryOn policy"),
    // Faults.
    ("fault: {}", code::CONFLICT, "none of delay and abort"),
    ("fault: {delay: {fixedDelay: 0s}}", code::BAD_VALUE, "shorter than a millisecond"),
    ("fault: {abort: {http2Error: RESET}}", code::REFUSED, "refuses it"),
    ("fault: {delay: {exponentialDelay: 1s}}", code::REFUSED, "refuses it"),
    ("fault: {abort: {httpStatus: 199}}", code::BAD_VALUE, "out of range"),
    ("fault: {abort: {httpStatus: 600}}", code::BAD_VALUE, "out of range"),
    ("fault: {abort: {httpStatus: 500, grpcStatus: INTERNAL}}", code::CONFLICT, "together"),
    ("fault: {abort: {grpcStatus: BROKEN}}", code::BAD_VALUE, "gRPC status"),
    (
        "fault: {abort: {httpStatus: 500, percentage: {value: 100.01}}}",
        code::BAD_VALUE,
        "between 0 and 100",
    ),
    (
        "fault: {abort: {httpStatus: 500, percentage: {value: 100.00000001}}}",
        code::BAD_VALUE,
        "between",
    ),
    ("fault: {abort: {httpStatus: 500, percentage: {value: 0.00001}}}", code::BAD_VALUE, "finer"),
    ("fault: {delay: {fixedDelay: 1s, percent: 101}}", code::BAD_VALUE, "out of range"),
    // Matches.
    ("match: [{uri: {exact: /, prefix: /}}]", code::CONFLICT, "exact and prefix"),
    ("match: [{uri: {regex: '[a'}}]", code::BAD_VALUE, "RE2"),
    ("match: [{uri: {prefix: ''}}]", code::BAD_VALUE, "must not be empty"),
    ("match: [{headers: {'bad name': {exact: a}}}]", code::BAD_VALUE, "not a header name"),
    ("match: [{headers: {':path': {exact: a}}}]", code::BAD_VALUE, "not a header name"),
    ("match: [{port: 0}]", code::BAD_VALUE, "out of range"),
    ("match: [{sourceNamespace: A}]", code::BAD_VALUE, "DNS label"),
    // Everything else.
    ("timeout: 5", code::WRONG_TYPE, "a text"),
    ("timeout: 5 s", code::BAD_VALUE, "not a duration"),
    ("timeout: -5s", code::BAD_VALUE, "not a duration"),
    ("timeout: 1us", code::BAD_VALUE, "shorter than a millisecond"),
    ("timeout: 99999999h", code::BAD_VALUE, "longer than a year"),
    ("corsPolicy: {maxAge: 500ms}", code::BAD_VALUE, "parts of a second"),
    ("corsPolicy: {maxAge: 1.5s}", code::BAD_VALUE, "parts of a second"),
    ("corsPolicy: {allowMethods: ['GET POST']}", code::BAD_VALUE, "not an HTTP method"),
    ("corsPolicy: {allowOrigin: ['*'], allowOrigins: [{exact: a}]}", code::CONFLICT, "replaces"),
    ("headers: {request: {set: {host: a}}}", code::BAD_VALUE, "request line"),
    ("headers: {request: {set: {x: \"a\\nb\"}}}", code::BAD_VALUE, "not a header value"),
    ("tiemout: 1s", code::UNKNOWN_FIELD, "no field \"tiemout\""),
    ("match: {uri: {exact: /}}", code::WRONG_TYPE, "This is a list"),
    ("rateLimit: {limit: {requestsPerUnit: 0, unit: MINUTE}}", code::BAD_VALUE, "out of range"),
    ("rateLimit: {limit: {requestsPerUnit: 1, unit: MONTH}}", code::BAD_VALUE, "not one of"),
];

#[test]
fn fields_of_a_rule_that_istio_refuses_are_refused() {
    for (lines, code, word) in REFUSED_FIELDS {
        assert_refused(&route(lines), code, word);
    }
}

fn assert_refused(text: &str, code: &str, word: &str) {
    let report = refuse(text);
    let found = report.findings.iter().find(|f| f.code == code && f.message.contains(word));
    let finding =
        found.unwrap_or_else(|| panic!("no {code} {word}: {:#?}\n{text}", report.findings));
    assert!(finding.at.line >= 5, "{finding:?}\n{text}");
    assert!(!finding.advice.is_empty());
}

#[test]
fn virtual_services_that_istio_refuses_are_refused() {
    let cases: &[(&str, &str, &str)] = &[
        ("hosts: [payments, payments]", code::CONFLICT, "stands twice"),
        ("hosts: ['*']", code::CONFLICT, "every call between services"),
        ("hosts: ['*']\ngateways: [mesh, edge]", code::CONFLICT, "every call between services"),
        ("gateways: [edge]", code::CONFLICT, "a delegate has no gateways"),
        ("hosts: ['a b']", code::BAD_VALUE, "not a host"),
        ("hosts: [payments]\ngateways: ['a/b/c']", code::BAD_VALUE, "DNS name"),
        ("hosts: [payments]\nhttps: []", code::UNKNOWN_FIELD, "https"),
        ("hosts: ['*.com', '*.foo.com']", code::CONFLICT, "overlap"),
        ("hosts: [a.foo.com, '*.com']", code::CONFLICT, "overlap"),
        ("tcp: [{route: [{destination: {host: a}}]}]", code::CONFLICT, "a delegate has no tcp"),
        (
            "tls: [{match: [{sniHosts: [a.b]}], route: [{destination: {host: a}}]}]",
            code::CONFLICT,
            "a delegate has no tls",
        ),
        ("hosts: [payments]\nexportTo: ['*', .]", code::CONFLICT, "cannot be exported to others"),
        ("hosts: [payments]\nexportTo: [a, a]", code::CONFLICT, "exported to a twice"),
        ("hosts: [payments]\nexportTo: [., default]", code::CONFLICT, "to default twice"),
        ("hosts: [payments]\nexportTo: ['~']", code::CONFLICT, "Only a ServiceEntry"),
    ];
    for (lines, code, word) in cases {
        let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        let head =
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n";
        let text = format!("{head}spec:\n{indented}  http: [{{{TO}}}]\n");
        assert_refused(&text, code, word);
    }
}

/// Lines of a `DestinationRule` for payments, the code, and a word of the message.
const REFUSED_POLICIES: &[(&str, &str, &str)] = &[
    ("trafficPolicy: {}", code::CONFLICT, "must say something"),
    ("trafficPolicy: {connectionPool: {}}", code::CONFLICT, "must say something"),
    (
        "trafficPolicy: {connectionPool: {http: {http2MaxRequests: -1}}}",
        code::BAD_VALUE,
        "out of range",
    ),
    (
        "trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}",
        code::BAD_VALUE,
        "out of range",
    ),
    (
        "trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}",
        code::CONFLICT,
        "one way of balancing",
    ),
    ("trafficPolicy: {loadBalancer: {consistentHash: {}}}", code::CONFLICT, "one thing"),
    (
        "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}\
             }}",
        code::CONFLICT,
        "one thing",
    ),
    ("trafficPolicy: {loadBalancer: {simple: ROUND_ROBBIN}}", code::BAD_VALUE, "not one of"),
    ("trafficPolicy: {outlierDetection: {interval: 0.5ms}}", code::BAD_VALUE, "shorter"),
    (
        "trafficPolicy: {outlierDetection: {interval: 10.0005s}}",
        code::BAD_VALUE,
        "parts of a milli",
    ),
    ("trafficPolicy: {outlierDetection: {baseEjectionTime: 0s}}", code::BAD_VALUE, "shorter"),
    (
        "trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}",
        code::BAD_VALUE,
        "out of range",
    ),
    ("trafficPolicy: {outlierDetection: {minHealthPercent: -1}}", code::BAD_VALUE, "out of range"),
    (
        "trafficPolicy: {outlierDetection: {consecutiveLocalOriginFailures: 3}}",
        code::CONFLICT,
        "split",
    ),
    (
        "subsets: [{name: v1, labels: {version: v1}}, {name: v1, labels: {version: v2}}]",
        code::DESTINATION_RULE_MULTIMATCH,
        "subsets[0]",
    ),
    ("subsets: [{labels: {version: v1}}]", code::MISSING_FIELD, "name"),
    ("subsets: [{name: v1, labels: {version: 1}}]", code::WRONG_TYPE, "a text"),
    ("trafficPolicy: {retryBudget: {percent: 101}}", code::BAD_VALUE, "between 0 and 100"),
    ("exportTo: [., '*']", code::CONFLICT, "cannot be exported to others"),
    (
        "exportTo: ['*']\nworkloadSelector: {matchLabels: {app: orders}}",
        code::CONFLICT,
        "own namespace",
    ),
    (
        "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: \
             {tableSize: 1000}}}}",
        code::BAD_VALUE,
        "not a prime number",
    ),
    (
        "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: \
             {tableSize: 5000011}}}}",
        code::BAD_VALUE,
        "out of range",
    ),
    (
        "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}",
        code::MISSING_FIELD,
        "tableSize",
    ),
];

#[test]
fn destination_rules_that_istio_refuses_are_refused() {
    for (lines, code, word) in REFUSED_POLICIES {
        assert_refused(&rule(lines), code, word);
    }
}

#[test]
fn what_istio_takes_is_taken() {
    let weights = |first: &str| {
        bare(&format!(
            "route: [{{destination: {{host: payments}}, weight: {first}}}, \
             {{destination: {{host: users}}, weight: 10}}]"
        ))
    };
    for (weight, read) in [("90", 90), ("90.0", 90), ("9e1", 90), ("0.9e2", 90), ("1e1", 10)] {
        let Action::Forward(split) =
            &compile(&weights(weight)).virtual_hosts[0].routes[0].action.clone()
        else {
            panic!()
        };
        assert_eq!((split[0].weight, split[1].weight), (read, 10), "{weight}");
    }
    for text in [
        rule("subsets: [{name: V2, labels: {version: v2}}]"),
        route("route: [{destination: {host: payments, subset: V2}}]").replacen(
            "  - route:\n    - destination: {host: payments}\n    route",
            "  - route",
            1,
        ),
        route("corsPolicy: {maxAge: 1500s}"),
        rule("exportTo: ['*']"),
        rule("exportTo: [a, b]"),
        rule("exportTo: [.]\nworkloadSelector: {matchLabels: {app: orders}}"),
        rule(
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: \
              {tableSize: 4999999}}}}",
        ),
        route("").replace("hosts: [payments]", "hosts: ['*.a.com', '*.b.com', a.c.com]"),
    ] {
        apply(&text);
    }
}

#[test]
fn what_istio_refuses_in_fields_without_effect_is_refused_too() {
    let gateway = |server: &str| {
        policy_of("Gateway", "networking.istio.io/v1", &format!("{{servers: [{{{server}}}]}}"))
    };
    let entry = |fields: &str| {
        let spec = format!(
            "{{hosts: [a.example], ports: [{{number: 80, name: http, protocol: HTTP}}], {fields}}}"
        );
        policy_of("ServiceEntry", "networking.istio.io/v1", &spec)
    };
    let ports = |selector: &str| format!("{{{selector}portLevelMtls: {{'80': {{mode: STRICT}}}}}}");
    let https = "port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*']";
    let http = "port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']";
    for text in [
        rule("trafficPolicy: {tls: {mode: BOGUS}}"),
        rule("trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: maybe}}}"),
        rule("trafficPolicy: {loadBalancer: {localityLbSetting: {foo: 1}}}"),
        rule("trafficPolicy: {tunnel: {protocol: CONNECT}}"),
        gateway(https),
        gateway(&format!("{http}, tls: {{mode: SIMPLE}}")),
        gateway(&format!("{https}, tls: {{mode: BOGUS}}")),
        gateway("port: {}, hosts: ['*']"),
        gateway(&format!("{http}}}, {{{}", http.replace("80", "81"))),
        entry("resolution: STATIC, endpoints: [{address: a.example}]"),
        entry("endpoints: [{address: 127.0.0.1}]"),
        entry("resolution: NONE, endpoints: [{address: 127.0.0.1}]"),
        entry("resolution: DNS").replace("a.example", "'*.example'"),
        entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]"),
        entry("exportTo: ['~', .]"),
        entry("resolution: DNS").replace("}], ", "}, {number: 80, name: other}], "),
        entry("resolution: DNS").replace("}], ", "}, {number: 81, name: http}], "),
        policy_of("AuthorizationPolicy", "security.istio.io/v1", "{action: DENY}"),
        policy_of("PeerAuthentication", "security.istio.io/v1", &ports("")),
        route("").replace("  http:", "  tcp: [{rout: []}]\n  http:"),
    ] {
        assert!(refuse(&text).findings.iter().any(|f| f.severity == Severity::Error), "{text}");
    }
    for text in [
        rule("trafficPolicy: {tls: {mode: SIMPLE, sni: a.example}}"),
        rule("trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}"),
        gateway(&format!("{https}, tls: {{mode: SIMPLE, credentialName: a}}")),
        gateway(&format!("{http}, tls: {{httpsRedirect: true}}")),
        entry("resolution: STATIC, endpoints: [{address: 127.0.0.1}]"),
        entry("resolution: STATIC"),
        entry("resolution: DNS"),
        entry("resolution: NONE").replace("a.example", "'*.example'"),
        entry("exportTo: ['~']"),
        entry("resolution: DNS").replace("}], ", "}, {number: 81, name: other}], "),
        gateway(&format!("{http}}}, {{{}", http.replace("name: http", "name: other"))),
        policy_of("AuthorizationPolicy", "security.istio.io/v1", "{action: DENY, rules: [{}]}"),
        policy_of(
            "PeerAuthentication",
            "security.istio.io/v1",
            &ports("selector: {matchLabels: {app: users}}, "),
        ),
    ] {
        apply(&text);
    }
    let redirect = |code: u16| {
        let rules = format!("http: [{{redirect: {{uri: /, redirectCode: {code}}}}}]");
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n";
        format!("{head}metadata: {{name: a}}\nspec:\n  hosts: [users]\n  {rules}\n")
    };
    assert!(has(&refuse(&redirect(304)).findings, code::BAD_VALUE));
    apply(&redirect(308));
}
