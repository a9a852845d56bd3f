//! Small texts of every sort, put together at random: what is said to be in force is missed by the
//! data plane when it is taken away, and what is said to have no effect is not.
//!
//! The texts are the same in every run.

#[path = "support/fates.rs"]
mod fates;

mod support;

use fates::{with_effect, without_effect};
use istio::Configuration;
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use support::known;

/// Texts of each sort that are looked at.
const CASES: usize = 120;
/// Fields that are told of when something is wrong.
const TOLD_MAX: usize = 25;
/// How often a field of a group is there.
const SHARE: f64 = 0.3;

/// Fields of which at most one stands there.
type Group = &'static [&'static str];

/// Fields of a rule besides what it does.
const RULE: &[Group] = &[
    &[
        "match: [{uri: {prefix: /a}}]",
        "match: [{uri: {exact: /b}, ignoreUriCase: true}]",
        "match: [{headers: {x-a: {exact: b}}, withoutHeaders: {x-c: {}}}]",
        "match: [{method: {exact: PUT}, queryParams: {q: {exact: '1'}}}]",
        "match: [{port: 8080}, {sourceLabels: {app: orders}}]",
        "match: [{gateways: [mesh]}]",
        "match: [{headers: {uri: {exact: a}}, scheme: {exact: https}}]",
        "match: [{withoutHeaders: {x-d: {}}, statPrefix: a}]",
    ],
    &["timeout: 2s"],
    &[
        "retries: {attempts: 3}",
        "retries: {attempts: 3, perTryTimeout: 1s, retryOn: 5xx}",
        "retries: {attempts: 1, perTryTimeout: 3s}",
        "retries: {attempts: 1, retryOn: retriable-headers}",
        "retries: {attempts: 1, backoff: 30ms, retryRemoteLocalities: true}",
    ],
    &[
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 5}}}",
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 5}, percent: 7}}",
        "fault: {abort: {httpStatus: 500, percentage: {value: 3}}}",
        "fault: {abort: {percentage: {value: 3}}}",
        "fault: {delay: {percent: 7}, abort: {grpcStatus: INTERNAL, percentage: {value: 4}}}",
        "fault: {delay: {fixedDelay: 2s}}",
    ],
    &[
        "mirror: {host: catalog}",
        "mirror: {host: catalog, subset: v2}, mirrorPercentage: {value: 5}",
        "mirror: {host: catalog}, mirrorPercentage: {value: 5}, mirrorPercent: 7",
        "mirrors: [{destination: {host: catalog}, percentage: {value: 9}}]",
        "mirrors: [{destination: {host: catalog}}], mirrorPercentage: {value: 5}",
        "mirrorPercent: 7",
    ],
    &[
        "rewrite: {uri: /x}",
        "rewrite: {authority: a.b, uri: ''}",
        r"rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\1b'}}",
        r"rewrite: {uriRegexRewrite: {match: a, rewrite: '\1b'}, authority: a.b}",
    ],
    &[
        "corsPolicy: {allowOrigins: [{exact: 'https://a.b'}], maxAge: 5s}",
        "corsPolicy: {allowOrigins: [{prefix: a}], unmatchedPreflights: FORWARD}",
    ],
    &[
        "headers: {request: {set: {x-e: f, x-g: '%START_TIME%'}}, response: {remove: [x-h]}}",
        "headers: {request: {add: {x-e: 100%%}}, response: {add: {x-i: j}}}",
    ],
    &["rateLimit: {limit: {requestsPerUnit: 5, unit: MINUTE}}"],
    &["name: one", "name: two"],
];

/// Fields of a rule of a delegate. What they say, no other does, so that it is missed.
const LEAF: &[Group] = &[
    &["match: [{uri: {prefix: /a/b}}]", "match: [{method: {exact: PUT}}]"],
    &["timeout: 9s"],
    &["retries: {attempts: 9}"],
    &["rewrite: {uri: /leaf}"],
    &["headers: {request: {set: {x-e: leaf}}}", "headers: {response: {add: {x-i: leaf}}}"],
    &["fault: {abort: {httpStatus: 418, percentage: {value: 9}}}"],
];

/// What a rule does.
const ACTIONS: Group = &[
    "route: [{destination: {host: users}}]",
    "route: [{destination: {host: catalog, subset: v1}, weight: 100}]",
    "route: [{destination: {host: users}, weight: 90}, {destination: {host: orders}, weight: 10}]",
    "route: [{destination: {host: users}, headers: {request: {set: {x-k: l}}}}]",
    "redirect: {uri: /y, authority: '', redirectCode: 302}",
    "directResponse: {status: 204}",
    "delegate: {name: leaf}",
];

/// A traffic policy.
const POLICY: &[Group] = &[
    &[
        "loadBalancer: {simple: RANDOM}",
        "loadBalancer: {simple: RANDOM, warmup: {duration: 30s}}",
        "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, aggression: 2}}",
        "loadBalancer: {consistentHash: {httpHeaderName: x-m}, warmupDurationSecs: 20s}",
        "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 99}}}",
        "loadBalancer: {simple: PASSTHROUGH, localityLbSetting: {enabled: true}}",
    ],
    &[
        "connectionPool: {http: {http2MaxRequests: 7, maxRequestsPerConnection: 3}}",
        "connectionPool: {http: {idleTimeout: 7s}, tcp: {idleTimeout: 9s, maxConnections: 3}}",
        "connectionPool: {tcp: {connectTimeout: 3s, idleTimeout: 9s}}",
    ],
    &[
        "outlierDetection: {consecutive5xxErrors: 3}",
        "outlierDetection: {consecutiveErrors: 3, interval: 3s}",
        "outlierDetection: {consecutiveErrors: 3, consecutive5xxErrors: 4, \
         consecutiveGatewayErrors: 2}",
        "outlierDetection: {splitExternalLocalOriginErrors: true, baseEjectionTime: 7s, \
         consecutiveLocalOriginFailures: 3}",
    ],
    &[
        "portLevelSettings: [{port: {number: 8080}, loadBalancer: {simple: ROUND_ROBIN}}]",
        "portLevelSettings: [{port: {number: 9090}, loadBalancer: {simple: ROUND_ROBIN}}]",
    ],
    &["retryBudget: {percent: 30}", "retryBudget: {minRetryConcurrency: 5}"],
    &["tls: {mode: SIMPLE}"],
];

fn one_of(group: Group) -> BoxedStrategy<String> {
    select(group.to_vec()).prop_map(str::to_owned).boxed()
}

/// Some fields, with commas between them.
fn some(groups: &'static [Group]) -> BoxedStrategy<String> {
    let each: Vec<_> =
        groups.iter().map(|group| prop::option::weighted(SHARE, one_of(group))).collect();
    each.prop_map(|found| found.into_iter().flatten().collect::<Vec<_>>().join(", ")).boxed()
}

fn document(group: &str, kind: &str, metadata: &str, spec: &str) -> String {
    let head = format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\n");
    format!("{head}metadata: {{{metadata}}}\nspec: {spec}\n---\n")
}

fn rules() -> BoxedStrategy<String> {
    let rule = (some(RULE), one_of(ACTIONS));
    let rule = rule.prop_map(|(fields, action)| match &*fields {
        "" => format!("{{{action}}}"),
        fields => format!("{{{fields}, {action}}}"),
    });
    prop::collection::vec(rule, 1..3).prop_map(|rules| rules.join(", ")).boxed()
}

/// One or two `VirtualService`s, and one that others may delegate to.
fn routing() -> BoxedStrategy<String> {
    const HOSTS: Group = &["users", "user-service", "payments", "a.example", "'*.example'"];
    const MORE: &[Group] = &[
        &["gateways: [edge]", "gateways: [mesh, edge]"],
        &["exportTo: [default]"],
        &["trafficPolicy: {loadBalancer: {simple: RANDOM}}"],
    ];
    let service = |name: &'static str| {
        (one_of(HOSTS), some(MORE), rules()).prop_map(move |(host, more, rules)| {
            let more = if more.is_empty() { more } else { format!("{more}, ") };
            let spec = format!("{{hosts: [{host}], {more}http: [{rules}]}}");
            document("networking", "VirtualService", &format!("name: {name}"), &spec)
        })
    };
    let leaf = some(LEAF).prop_map(|fields| {
        let fields = if fields.is_empty() { fields } else { format!("{fields}, ") };
        let spec = format!("{{http: [{{{fields}route: [{{destination: {{host: orders}}}}]}}]}}");
        document("networking", "VirtualService", "name: leaf", &spec)
    });
    let some_of = |strategy: BoxedStrategy<String>| {
        prop::option::weighted(0.5, strategy).prop_map(Option::unwrap_or_default)
    };
    (service("a"), some_of(service("b").boxed()), some_of(leaf.boxed()))
        .prop_map(|(a, b, leaf)| format!("{a}{b}{leaf}"))
        .boxed()
}

/// Rules for one service under several names, and a `VirtualService` with a policy of its own.
fn policies() -> BoxedStrategy<String> {
    const HOSTS: Group =
        &["payments", "payment-service", "'*.default.svc.cluster.local'", "'*'", "users"];
    const SUBSETS: Group = &[
        "",
        "subsets: [{name: v1, labels: {version: v1}}]",
        "subsets: [{name: v2, labels: {version: v2}, trafficPolicy: {tls: {mode: SIMPLE}, \
         loadBalancer: {simple: RANDOM}}}]",
    ];
    const CALLERS: Group = &["", "", "workloadSelector: {matchLabels: {app: orders}}"];
    let rule = |name: &'static str| {
        (one_of(HOSTS), some(POLICY), one_of(SUBSETS), one_of(CALLERS)).prop_map(
            move |(host, policy, subsets, callers)| {
                let policy = match &*policy {
                    "" => policy,
                    fields => format!("trafficPolicy: {{{fields}}}"),
                };
                let fields = [format!("host: {host}"), policy, subsets, callers];
                let fields: Vec<_> = fields.into_iter().filter(|f| !f.is_empty()).collect();
                let spec = format!("{{{}}}", fields.join(", "));
                document("networking", "DestinationRule", &format!("name: {name}"), &spec)
            },
        )
    };
    // It says other numbers than the rules, so that it is missed where it is what holds.
    let other = |policy: String| policy.replace('3', "23").replace('7', "27").replace('9', "29");
    let service = some(POLICY).prop_map(move |policy| match &*other(policy) {
        "" => String::new(),
        policy => {
            let to = "{route: [{destination: {host: payments, subset: v2}}]}";
            let spec = format!("{{hosts: [payments], trafficPolicy: {{{policy}}}, http: [{to}]}}");
            document("networking", "VirtualService", "name: c", &spec)
        }
    });
    (rule("a"), prop::option::of(rule("b")), prop::option::of(service))
        .prop_map(|(a, b, c)| format!("{a}{}{}", b.unwrap_or_default(), c.unwrap_or_default()))
        .boxed()
}

/// Of each kind that selects workloads two, which say different things.
fn selecting() -> BoxedStrategy<String> {
    const SELECTORS: Group = &[
        "",
        "",
        "selector: {matchLabels: {app: users}}, ",
        "selector: {matchLabels: {app: user-service}}, ",
        "selector: {matchLabels: {app: nobody}}, ",
    ];
    const NAMESPACES: Group = &["", "", ", namespace: istio-system", ", namespace: other"];
    const TRACING: [Group; 2] = [
        &[
            "tracing: [{randomSamplingPercentage: 5}]",
            "tracing: [{randomSamplingPercentage: 6}, {randomSamplingPercentage: 7}]",
            "tracing: [{customTags: {a: {literal: {value: b}}}}]",
            "metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE}}}]}]",
        ],
        &[
            "tracing: [{disableSpanReporting: true, randomSamplingPercentage: 8}]",
            "tracing: [{customTags: {c: {literal: {value: d}}}, match: {mode: CLIENT}}]",
            "metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, disabled: true}]}], \
             accessLogging: [{disabled: true}]",
        ],
    ];
    const MODES: [Group; 2] = [&["mtls: {mode: STRICT}"], &["mtls: {mode: DISABLE}"]];
    const RULES: [Group; 2] = [
        &["action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]"],
        &["rules: [{from: [{source: {namespaces: [default]}}]}]"],
    ];
    let of = |(group, kind, says): (&'static str, &'static str, [Group; 2])| {
        let one = |name: &'static str, says: Group| {
            (one_of(SELECTORS), one_of(NAMESPACES), one_of(says)).prop_map(
                move |(selector, namespace, says)| {
                    let metadata = format!("name: {name}{namespace}");
                    document(group, kind, &metadata, &format!("{{{selector}{says}}}"))
                },
            )
        };
        (one("a", says[0]), one("b", says[1])).prop_map(|(a, b)| format!("{a}{b}")).boxed()
    };
    prop_oneof![
        of(("telemetry", "Telemetry", TRACING)),
        of(("security", "PeerAuthentication", MODES)),
        of(("security", "AuthorizationPolicy", RULES)),
    ]
    .boxed()
}

/// Entries for hosts that others are for too.
fn entries() -> BoxedStrategy<String> {
    const HOSTS: Group = &["a.example", "a.example, b.example", "api.stripe.com", "users"];
    let entry = |name: &'static str, port: u16| {
        (one_of(HOSTS), prop::bool::ANY).prop_map(move |(hosts, reached)| {
            let endpoints = if reached { "address: 127.0.0.1" } else { "address: 10.0.0.1" };
            let ports = format!("[{{number: {port}, name: http, protocol: HTTP}}]");
            let spec = format!(
                "{{hosts: [{hosts}], ports: {ports}, resolution: STATIC, \
                 endpoints: [{{{endpoints}}}]}}"
            );
            document("networking", "ServiceEntry", &format!("name: {name}"), &spec)
        })
    };
    (entry("a", 81), entry("b", 82)).prop_map(|(a, b)| format!("{a}{b}")).boxed()
}

/// Looks at texts that Istio takes, until there were enough.
fn look_at(texts: &BoxedStrategy<String>) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (mut taken, mut fields) = (0, 0);
    let mut wrong = std::collections::BTreeMap::new();
    for _ in 0..20 * CASES {
        let Ok(tree) = texts.new_tree(&mut runner) else { continue };
        let text = tree.current();
        if Configuration::default().apply(&text, &known()).is_err() {
            continue;
        }
        taken += 1;
        let (idle, looked_at) = without_effect(&text);
        let (effective, looked_at_too) = with_effect(&text);
        fields += looked_at + looked_at_too;
        for field in idle {
            wrong.entry(format!("said to be in force: {field}")).or_insert_with(|| text.clone());
        }
        for field in effective {
            wrong.entry(format!("said to do nothing: {field}")).or_insert_with(|| text.clone());
        }
        if taken == CASES {
            break;
        }
    }
    assert!(taken == CASES && fields > 2 * CASES, "{taken} texts, {fields} fields");
    let told = wrong.iter().map(|(field, text)| format!("{field}\n{text}"));
    assert!(wrong.is_empty(), "{}", told.take(TOLD_MAX).collect::<Vec<_>>().join("\n"));
}

#[test]
fn rules_that_stand_together_say_rightly_what_of_them_holds() {
    look_at(&routing());
}

#[test]
fn traffic_policies_that_stand_together_say_rightly_what_of_them_holds() {
    look_at(&policies());
}

#[test]
fn resources_that_select_the_same_workloads_say_rightly_what_of_them_holds() {
    look_at(&selecting());
}

#[test]
fn entries_for_the_same_hosts_say_rightly_what_of_them_holds() {
    look_at(&entries());
}
