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
        ("route: [{destination: {host: a}, weight: 0100}]", code::BAD_VALUE, "is 64"),
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
    ("match: [{scheme: {prefix: ''}}]", code::BAD_VALUE, "must not be empty"),
    ("match: [{uri: {regex: ''}}]", code::BAD_VALUE, "must not be empty"),
    ("match: [{headers: {x: {regex: '*'}}}]", code::BAD_VALUE, "RE2"),
    ("match: [{headers: {a.b: {exact: a}}}]", code::BAD_VALUE, "that Istio takes"),
    ("match: [{headers: {'@request.auth.claims': {exact: a}}}]", code::BAD_VALUE, "header name"),
    ("match: [{headers: {'@request.auth.claims.a': {}}}]", code::CONFLICT, "Only a gateway"),
    ("match: [{withoutHeaders: {'@request.auth.claims[a]': {}}}]", code::CONFLICT, "Only a gat"),
    ("match: [{sourceLabels: {app: 'a b'}}]", code::BAD_VALUE, "value of a label"),
    ("match: [{sourceLabels: {'a b': c}}]", code::BAD_VALUE, "name of a label"),
    ("match: [{gateways: [./edge]}]", code::BAD_VALUE, "DNS label"),
    ("mirror: {host: 10.0.0.1}", code::BAD_VALUE, "not a host"),
    ("mirror: {host: a.1}", code::BAD_VALUE, "not a host"),
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
    ("corsPolicy: {allowMethods: [FOO]}", code::BAD_VALUE, "not an HTTP method"),
    ("corsPolicy: {allowMethods: ['*']}", code::BAD_VALUE, "not an HTTP method"),
    ("corsPolicy: {allowHeaders: [a.b]}", code::BAD_VALUE, "that Istio takes"),
    ("corsPolicy: {allowOrigins: [{}]}", code::CONFLICT, "none of exact"),
    ("corsPolicy: {allowOrigins: [{exact: ''}]}", code::BAD_VALUE, "must not be empty"),
    ("corsPolicy: {allowOrigin: ['*'], allowOrigins: [{exact: a}]}", code::CONFLICT, "replaces"),
    ("headers: {request: {set: {':path': /a}}}", code::BAD_VALUE, "request line"),
    ("headers: {request: {set: {host: a, ':authority': b}}}", code::CONFLICT, "set by"),
    ("headers: {request: {set: {host: a}, add: {Host: b}}}", code::CONFLICT, "set by"),
    ("headers: {request: {set: {host: a}}}\nrewrite: {authority: b}", code::CONFLICT, "set by"),
    ("headers: {request: {set: {x: \"a\\nb\"}}}", code::BAD_VALUE, "not a header value"),
    ("headers: {request: {set: {x: 100%}}}", code::BAD_VALUE, "not a header value"),
    ("headers: {request: {add: {x: abc%123}}}", code::BAD_VALUE, "not a header value"),
    ("headers: {response: {set: {x: '%START_TIME%%'}}}", code::BAD_VALUE, "not a header value"),
    ("headers: {response: {add: {x: '%REQ(a%'}}}", code::BAD_VALUE, "not a header value"),
    ("headers: {response: {add: {x: '%M([\"a\" \"b\"])%'}}}", code::BAD_VALUE, "header value"),
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
        ("hosts: [payments]\ngateways: ['a/b/c']", code::BAD_VALUE, "DNS label"),
        ("hosts: [payments]\ngateways: [a/b.c]", code::BAD_VALUE, "DNS label"),
        ("hosts: [a.1]", code::BAD_VALUE, "not a host"),
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

/// Fields of a traffic policy that have no effect here, the code, and a word of the message.
const REFUSED_KEPT: &[(&str, &str, &str)] = &[
    ("connectionPool: {http: {idleTimeout: 500us}}", code::BAD_VALUE, "shorter"),
    ("connectionPool: {tcp: {idleTimeout: 0s}}", code::BAD_VALUE, "shorter"),
    ("connectionPool: {http: {h2UpgradePolicy: MAYBE}}", code::BAD_VALUE, "not one of"),
    (
        "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
        code::CONFLICT,
        "one of the two",
    ),
    ("portLevelSettings: [{port: {number: 8080}}]", code::CONFLICT, "must say something"),
    ("tunnel: {protocol: PUT, targetHost: a.b, targetPort: 1}", code::BAD_VALUE, "not one of"),
    ("tunnel: {targetHost: '*.b', targetPort: 1}", code::BAD_VALUE, "not a host"),
    (
        "tunnel: {targetHost: a.b, targetPort: 1}, proxyProtocol: {version: V1}",
        code::CONFLICT,
        "tunnel and proxyProtocol",
    ),
    ("tls: {mode: MUTUAL, clientCertificate: /a}", code::MISSING_FIELD, "privateKey"),
    ("tls: {mode: MUTUAL, privateKey: /a}", code::MISSING_FIELD, "clientCertificate"),
    ("tls: {mode: SIMPLE, credentialName: a, caCertificates: /b}", code::CONFLICT, "too"),
    (
        "tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}",
        code::CONFLICT,
        "checks nothing",
    ),
];

/// The same of `loadBalancer.localityLbSetting`.
const REFUSED_LOCALITIES: &[(&str, &str)] = &[
    ("distribute: [{from: a/*, to: {a/b: 60, a/c: 30}}]", "sum up to 90"),
    ("distribute: [{from: a/*, to: {a/b: 100, a/c: 0}}]", "sum up to 100"),
    ("distribute: [{from: a/*, to: {'*/b': 100}}]", "at its end"),
    ("distribute: [{from: a//b, to: {a: 100}}]", "no empty part"),
    ("distribute: [{from: a, to: {a: 60, a/b: 40}}]", "before it holds"),
    ("distribute: [{from: a, to: {b: 100}}, {from: a/*, to: {b: 100}}]", "before it holds"),
    ("failover: [{from: a, to: a}]", "one region to another"),
    ("failover: [{from: a/b, to: c}]", "one region to another"),
];

#[test]
fn what_istio_refuses_in_parts_of_a_policy_that_are_kept_is_refused() {
    let policy = |fields: &str| rule(&format!("trafficPolicy: {{{fields}}}"));
    for (fields, code, word) in REFUSED_KEPT {
        assert_refused(&policy(fields), code, word);
    }
    let locality =
        |fields: &str| policy(&format!("loadBalancer: {{localityLbSetting: {{{fields}}}}}"));
    for (fields, word) in REFUSED_LOCALITIES {
        assert_refused(&locality(fields), code::BAD_VALUE, word);
    }
    let version = "subsets: [{name: v1, labels: {version: 'v*'}}]";
    assert_refused(&rule(version), code::BAD_VALUE, "value of a label");
    let selector = "workloadSelector: {matchLabels: {app: pay*}}";
    assert_refused(&rule(selector), code::BAD_VALUE, "has a *");
    let address = rule("").replace("host: payments", "host: 10.0.0.1");
    assert_refused(&address, code::BAD_VALUE, "not a host");
    for fields in [
        "tls: {mode: MUTUAL, clientCertificate: /a, privateKey: /b}",
        "tls: {mode: MUTUAL, credentialName: a}",
        "tls: {mode: SIMPLE, insecureSkipVerify: true}",
        "tunnel: {protocol: POST, targetHost: 10.0.0.1, targetPort: 1}",
        "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: false}}",
    ] {
        apply(&policy(fields));
    }
    for fields in [
        "distribute: [{from: a/*, to: {a/b: 60, a/*: 40}}, {from: '*', to: {b: 100}}]",
        "failover: [{from: a, to: b}], failoverPriority: [topology.istio.io/subzone]",
    ] {
        apply(&locality(fields));
    }
}

#[test]
fn an_expression_is_as_long_as_istio_takes_it() {
    let of =
        |length: usize| route(&format!("match: [{{uri: {{regex: '{}'}}}}]", "a".repeat(length)));
    apply(&of(1_024));
    assert_refused(&of(1_025), code::BAD_VALUE, "too long for Istio");
}

/// Every finding of a refusal stands somewhere, and one of them has this code and word.
fn assert_refused_somewhere(text: &str, code: &str, word: &str) {
    let findings = refuse(text).findings;
    let found = findings.iter().find(|f| f.code == code && f.message.contains(word));
    let finding = found.unwrap_or_else(|| panic!("no {code} {word}: {findings:#?}\n{text}"));
    assert!(finding.at.line >= 3 && finding.at.column >= 1, "{finding:?}\n{text}");
}

#[test]
fn tls_of_gateways_that_istio_refuses_is_refused() {
    let gateway = |server: &str| {
        policy_of("Gateway", "networking.istio.io/v1", &format!("{{servers: [{{{server}}}]}}"))
    };
    let https = "port: {number: 443, name: https, protocol: https}, hosts: ['*']";
    let tls = |tls: &str| gateway(&format!("{https}, tls: {{{tls}}}"));
    for (fields, code, word) in [
        ("mode: SIMPLE", code::MISSING_FIELD, "serverCertificate"),
        ("mode: SIMPLE, serverCertificate: /a", code::MISSING_FIELD, "privateKey"),
        (
            "mode: MUTUAL, serverCertificate: /a, privateKey: /b",
            code::MISSING_FIELD,
            "caCertificates",
        ),
        (
            "mode: OPTIONAL_MUTUAL, tlsCertificates: [{privateKey: /b}], caCertificates: /c",
            code::MISSING_FIELD,
            "serverCertificate",
        ),
        (
            "mode: SIMPLE, credentialName: a, serverCertificate: /a, privateKey: /b",
            code::CONFLICT,
            "Certificates come from",
        ),
        (
            "mode: SIMPLE, credentialName: a, credentialNames: [b]",
            code::CONFLICT,
            "Certificates come from",
        ),
        ("mode: ISTIO_MUTUAL, credentialName: a", code::CONFLICT, "certificates of the mesh"),
        ("mode: ISTIO_MUTUAL, caCertificates: /a", code::CONFLICT, "certificates of the mesh"),
        (
            "mode: SIMPLE, serverCertificate: /a, privateKey: /b, caCrl: /c",
            code::CONFLICT,
            "revoked",
        ),
    ] {
        assert_refused_somewhere(&tls(fields), code, word);
    }
    for fields in [
        "mode: SIMPLE, serverCertificate: /a, privateKey: /b",
        "mode: MUTUAL, credentialNames: [a, b]",
        "mode: MUTUAL, serverCertificate: /a, privateKey: /b, caCertificates: /c, caCrl: /d",
        "mode: ISTIO_MUTUAL",
        "mode: PASSTHROUGH",
    ] {
        apply(&tls(fields));
    }
}

#[test]
fn servers_of_gateways_that_istio_refuses_are_refused() {
    let gateway = |server: &str| {
        policy_of("Gateway", "networking.istio.io/v1", &format!("{{servers: [{{{server}}}]}}"))
    };
    let http = "port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']";
    let hosts = |hosts: &str| gateway(&http.replace("'*'", hosts));
    let tcp = http.replace("HTTP", "TCP");
    for (text, code, word) in [
        (gateway(http).replace("name: x", "name: a.b"), code::BAD_VALUE, "no points"),
        (gateway(&http.replace("80,", "80, targetPort: 8080,")), code::REFUSED, "targetPort"),
        (gateway(&format!("{http}, bind: foo")), code::BAD_VALUE, "not an address"),
        (gateway(&http.replace("HTTP", "HTTTP")), code::BAD_VALUE, "not a protocol"),
        (gateway(&format!("{tcp}, tls: {{httpsRedirect: true}}")), code::CONFLICT, "without HTTP"),
        (hosts("shop"), code::BAD_VALUE, "no whole host"),
        (hosts("'*-a.example'"), code::BAD_VALUE, "no whole host"),
    ] {
        assert_refused_somewhere(&text, code, word);
    }
    apply(&gateway(&format!("{http}, bind: 0.0.0.0")));
    apply(&gateway(&http.replace("protocol: HTTP", "protocol: grpc-Web")));
}

#[test]
fn service_entries_that_istio_refuses_are_refused() {
    let port = "ports: [{number: 80, name: http, protocol: HTTP}]";
    let entry = |fields: &str| {
        let spec = format!("{{hosts: [a.example], {fields}}}");
        policy_of("ServiceEntry", "networking.istio.io/v1", &spec)
    };
    let endpoint = |resolution: &str, fields: &str| {
        entry(&format!("{port}, resolution: {resolution}, endpoints: [{{{fields}}}]"))
    };
    let hosts = |hosts: &str, port: &str, resolution: &str| {
        entry(&format!("{port}, resolution: {resolution}"))
            .replace("[a.example]", &format!("[{hosts}]"))
    };
    for (text, code, word) in [
        (entry(&format!("{port}, addresses: [10.0.0.0/33]")), code::BAD_VALUE, "neither an addr"),
        (entry(&format!("{port}, addresses: [a.b]")), code::BAD_VALUE, "neither an address"),
        (
            entry(&format!("{port}, addresses: [10.0.0.0/8], resolution: DNS")),
            code::CONFLICT,
            "no network",
        ),
        (
            endpoint("STATIC", "address: 127.0.0.1, ports: {grpc: 1}"),
            code::BAD_VALUE,
            "no port named grpc",
        ),
        (endpoint("DNS", "address: a.b, ports: {grpc: 1}"), code::BAD_VALUE, "no port named"),
        (endpoint("DNS", "address: 'a_b'"), code::BAD_VALUE, "neither a name nor"),
        (endpoint("STATIC", "weight: 1"), code::MISSING_FIELD, "needs an address"),
        (endpoint("STATIC", "address: unix://a"), code::BAD_VALUE, "path of a socket"),
        (
            endpoint("STATIC", "address: unix:///a, ports: {http: 1}"),
            code::CONFLICT,
            "socket has no ports",
        ),
        (hosts("'*'", port, "NONE"), code::BAD_VALUE, "every host"),
        (hosts("a.b, c.d", &port.replace("HTTP", "TCP"), "DNS"), code::CONFLICT, "Several hosts"),
        (hosts("a.b", &port.replace("name: http", "name: a_b"), "DNS"), code::BAD_VALUE, "label"),
    ] {
        assert_refused_somewhere(&text, code, word);
    }
    for text in [
        endpoint("STATIC", "network: n"),
        endpoint("STATIC", "address: unix:///a"),
        endpoint("DNS", "address: 10.0.0.1, ports: {http: 1}"),
        entry(&format!("{port}, addresses: [10.0.0.0/8, 10.1.1.1], resolution: STATIC")),
        hosts("a.b, c.d", &port.replace("HTTP", "tls"), "DNS"),
        hosts("a.b, c.d", &port.replace("HTTP", "TCP"), "NONE"),
    ] {
        apply(&text);
    }
}

#[test]
fn values_of_security_and_telemetry_that_istio_refuses_are_refused() {
    let security = "security.istio.io/v1";
    let jwt = |fields: &str| {
        let spec = format!("{{jwtRules: [{{issuer: me, {fields}}}]}}");
        policy_of("RequestAuthentication", security, &spec)
    };
    let when = |condition: &str| {
        let spec = format!("{{rules: [{{when: [{{{condition}}}]}}]}}");
        policy_of("AuthorizationPolicy", security, &spec)
    };
    let selector = |value: &str| {
        let spec = format!("{{selector: {{matchLabels: {{app: '{value}'}}}}}}");
        policy_of("PeerAuthentication", security, &spec)
    };
    let telemetry = |spec: &str| policy_of("Telemetry", "telemetry.istio.io/v1", spec);
    let tag = |tag: &str| {
        telemetry(&format!("{{metrics: [{{overrides: [{{tagOverrides: {{a: {{{tag}}}}}}}]}}]}}"))
    };
    for (text, code, word) in [
        (jwt("jwksUri: 'ftp://a/b'"), code::BAD_VALUE, "no address of keys"),
        (jwt("audiences: ['']"), code::BAD_VALUE, "must not be empty"),
        (jwt("fromCookies: ['']"), code::BAD_VALUE, "must not be empty"),
        (when("key: destination.port, values: ['99999']"), code::BAD_VALUE, "destination.port"),
        (when("key: destination.port, notValues: ['80*']"), code::BAD_VALUE, "destination.port"),
        (when("key: source.ip, values: [10.0.0.0/33]"), code::BAD_VALUE, "source.ip"),
        (selector("pay*"), code::BAD_VALUE, "has a *"),
        (tag("operation: REMOVE, value: request.host"), code::CONFLICT, "no value"),
        (telemetry("{accessLogging: [{providers: [{}]}]}"), code::MISSING_FIELD, "name"),
        (telemetry("{accessLogging: [{match: {mode: ALL}}]}"), code::BAD_VALUE, "not one of"),
        (
            telemetry("{tracing: [{customTags: {a: {literal: {value: ''}}}}]}"),
            code::BAD_VALUE,
            "must not be empty",
        ),
    ] {
        assert_refused_somewhere(&text, code, word);
    }
    for text in [
        jwt("jwksUri: 'HTTPS://a/b'"),
        when("key: destination.port, values: ['65535']"),
        when("key: remote.ip, values: [10.0.0.0/8]"),
        selector("payments"),
        tag("operation: REMOVE"),
        telemetry("{accessLogging: [{providers: [{name: a}], filter: {expression: 'true'}}]}"),
    ] {
        apply(&text);
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
        route("timeout: +5s"),
        route("match: [{withoutHeaders: {x: {regex: '*'}}}]"),
        route("match: [{uri: {prefix: ''}}]"),
        route("").replace("hosts: [payments]", "hosts: [a.example., '*-b.example', 10.0.0.1]"),
        rule("").replace("host: payments", "host: payments.default.svc.cluster.local."),
        route("headers: {request: {set: {x: '%START_TIME%', y: '%REQ(x-a?b)%'}}}"),
        route("headers: {response: {add: {x: '%M([\"a\", \"b\"])%', y: 100%%}}}"),
        route("retries: {attempts: 08}"),
        "apiVersion: v1\nkind: List\nitems:\n".to_owned(),
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
