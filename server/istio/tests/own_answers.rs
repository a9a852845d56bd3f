//! What has no effect on a rule that answers itself, rules of one name, and faults that do nothing.

mod support;

use contract::istio::{ApplyReport, Fate, Finding};
use istio::code;
use support::{apply, bare, compile, has, known, route};

const ANSWERS: [&str; 2] = ["redirect: {uri: /x}", "directResponse: {status: 200}"];
const TO: &str = "route: [{destination: {host: payments}}]";

/// Fields that say how a request is sent on, with the path of each and how much of it is lines.
const OF_SENDING: [(&str, &str); 6] = [
    ("timeout: 3s", "timeout"),
    ("retries: {attempts: 2}", "retries"),
    ("mirror: {host: users}\nmirrorPercentage: {value: 5}", "mirror"),
    ("mirrors: [{destination: {host: users}}]", "mirrors"),
    ("rateLimit: {limit: {requestsPerUnit: 10, unit: MINUTE}}", "rateLimit"),
    ("headers: {request: {set: {x-a: b}}}", "headers.request"),
];

fn of_code<'a>(report: &'a ApplyReport, code: &str) -> Vec<&'a Finding> {
    report.findings.iter().filter(|finding| finding.code == code).collect()
}

/// The fates of the fields at a path and below it.
fn fates(report: &ApplyReport, path: &str) -> Vec<(Fate, String)> {
    let fields = report.resources.iter().flat_map(|resource| &resource.fields);
    let below = fields.filter(|field| field.path.starts_with(path));
    below.map(|field| (field.fate, field.why.clone().unwrap_or_default())).collect()
}

/// What the data plane reads, without the lines that say where a rule stands.
fn policy(text: &str) -> String {
    let text = format!("{:#?}", compile(text));
    text.lines().filter(|line| !line.trim().starts_with("line: ")).collect()
}

#[test]
fn what_a_rule_that_answers_itself_says_of_sending_is_kept_and_not_in_force() {
    for answer in ANSWERS {
        let plain = bare(answer);
        assert!(!has(&apply(&plain).report.findings, code::ANSWERED_HERE));
        for (lines, key) in OF_SENDING {
            let text = bare(&format!("{answer}\n{lines}"));
            let applied = apply(&text);
            let said = of_code(&applied.report, code::ANSWERED_HERE);
            assert_eq!(said.len(), 1, "{text}: {said:#?}");
            assert_eq!(said[0].path, format!("spec.http[0].{key}"));
            assert_eq!(said[0].at.line, 10, "{text}");
            assert!(!has(&applied.report.findings, code::EXTENSION), "it limits nothing: {text}");
            let fates = fates(&applied.report, &said[0].path);
            assert!(!fates.is_empty(), "{text}");
            for (fate, why) in fates {
                assert_eq!(fate, Fate::Ignored, "{text}");
                assert!(why.contains("effect"), "{why}");
            }
            assert_eq!(policy(&text), policy(&plain), "{text}");
            let field = lines.split(':').next().unwrap();
            assert!(applied.configuration.print().contains(field), "it is kept");
            let sent = bare(&format!("{TO}\n{lines}"));
            assert!(!has(&apply(&sent).report.findings, code::ANSWERED_HERE), "{sent}");
        }
        let shared = bare(&format!("{answer}\n{}", OF_SENDING[2].0));
        let share = fates(&apply(&shared).report, "spec.http[0].mirrorPercentage");
        assert_eq!(share[0].0, Fate::Ignored, "the share of a mirror that copies nothing");
    }
}

#[test]
fn a_limit_on_the_route_of_a_rule_that_answers_itself_is_not_in_force() {
    let filter = "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
        metadata: {name: a}\nspec:\n  configPatches:\n  - applyTo: HTTP_ROUTE\n    match: \
        {routeConfiguration: {vhost: {name: 'payments:80', route: {name: bare}}}}\n    \
        patch:\n      operation: MERGE\n      value:\n        typed_per_filter_config:\n          \
        envoy.filters.http.local_ratelimit:\n            '@type': type.googleapis.com/\
        envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit\n            \
        token_bucket: {max_tokens: 7, fill_interval: 60s}\n            \
        filter_enabled: {default_value: {numerator: 100}}\n            \
        filter_enforced: {default_value: {numerator: 100}}\n";
    let report = |lines: &str| apply(&format!("{}{filter}", bare(lines))).report;
    assert!(!has(&report(TO).findings, code::NOTHING_IN_FORCE));
    for answer in ANSWERS {
        assert!(has(&report(answer).findings, code::NOTHING_IN_FORCE), "{answer}");
    }
}

#[test]
fn what_no_rule_of_a_delegate_takes_from_its_root_is_not_in_force() {
    let text = |root: &str, leaf: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: root}}\n\
             spec:\n  hosts: [payments]\n  http:\n  - delegate: {{name: leaf}}\n    {root}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: leaf}}\n\
             spec:\n  http:\n  - match: [{{uri: {{prefix: /a}}}}]\n    {leaf}\n"
        )
    };
    let said = |root: &str, leaf: &str| {
        let report = apply(&text(root, leaf)).report;
        let fate = fates(&report, "spec.http[0].timeout");
        (has(&report.findings, code::ANSWERED_HERE), fate)
    };
    assert!(!said("timeout: 1s", TO).0, "the delegate takes it");
    let (warned, fates) = said("timeout: 1s", &format!("{TO}\n    timeout: 2s"));
    assert!(warned && fates.iter().any(|(fate, _)| *fate == Fate::Ignored), "{fates:?}");
    for answer in ANSWERS {
        let (warned, fates) = said("timeout: 1s", answer);
        assert!(warned && fates[0].0 == Fate::Ignored, "{answer}: {fates:?}");
        // An answer of its own has these headers too.
        assert!(!said("corsPolicy: {allowOrigins: [{exact: 'https://a.b'}]}", answer).0);
    }
    let mirror = "mirror: {host: users}";
    assert!(!said(mirror, TO).0);
    assert!(said(mirror, &format!("{TO}\n    mirrors: [{{destination: {{host: users}}}}]")).0);
}

#[test]
fn two_rules_of_one_name_are_warned_of_with_both_places_and_limited_each_by_itself() {
    let limit = |requests: u32| {
        format!("rateLimit: {{limit: {{requestsPerUnit: {requests}, unit: MINUTE}}}}")
    };
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n\
         spec:\n  hosts: [payments]\n  http:\n  - name: slow\n    \
         match: [{{uri: {{prefix: /a}}}}]\n    {}\n    {TO}\n  - name: slow\n    {}\n    {TO}\n",
        limit(10),
        limit(20)
    );
    let applied = apply(&text);
    let said = of_code(&applied.report, code::SAME_NAME);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!((said[0].path.as_str(), said[0].at.line), ("spec.http[1].name", 11));
    assert!(said[0].message.contains("http[0] on line 7 is named slow"), "{}", said[0].message);
    assert!(!has(&apply(&text.replacen("slow", "fast", 1)).report.findings, code::SAME_NAME));
    // Printed for Istio each patch finds its own rule.
    let all: Vec<_> = applied.configuration.resources().cloned().collect();
    let printed = applied.configuration.print_for_istio(&known(), &all).join("---\n");
    let again = apply(&printed);
    assert!(!has(&again.report.findings, code::SAME_NAME), "{printed}");
    let policy = again.configuration.compile(&known(), 1);
    let limits = policy.workloads["payments"].rate_limits.iter();
    let scoped = limits.filter_map(|limit| {
        let scope = limit.scope.as_ref()?;
        Some((scope.route.to_string(), scope.matches.len(), limit.max_tokens))
    });
    let mut scoped: Vec<_> = scoped.collect();
    scoped.sort();
    assert_eq!(scoped, [("slow-1".to_owned(), 1, 10), ("slow-2".to_owned(), 0, 20)], "{printed}");
}

#[test]
fn a_fault_that_does_not_say_what_it_does_is_taken_as_by_istio_and_not_in_force() {
    let share = "percentage: {value: 100}";
    for (kind, whole) in [("abort", "httpStatus: 503"), ("delay", "fixedDelay: 1s")] {
        let text = route(&format!("fault: {{{kind}: {{{share}}}}}"));
        let applied = apply(&text);
        assert!(has(&applied.report.findings, code::FAULT_WITHOUT_TYPE), "{kind}");
        assert!(!has(&applied.report.findings, code::FAULT_WITHOUT_SHARE), "one finding is enough");
        let fates = fates(&applied.report, "spec.http[0].fault");
        assert!(fates.iter().all(|(fate, _)| *fate == Fate::Ignored), "{kind}: {fates:?}");
        assert_eq!(compile(&text).virtual_hosts[0].routes[0].fault, None, "{kind}");
        let does = route(&format!("fault: {{{kind}: {{{whole}, {share}}}}}"));
        assert!(!has(&apply(&does).report.findings, code::FAULT_WITHOUT_TYPE), "{kind}");
    }
}
