//! Names without a namespace are names of the resource's own, and rules of elsewhere are not seen.
//!
//! As Istio expands short names (`ResolveShortnameToFQDN`) and looks for destination rules.

mod support;

use contract::istio::{ApplyReport, Fate, Severity};
use istio::{code, policy::Action, policy::LoadBalancer};
use support::{apply, compile, has, known, refuse, route, rule};

/// The same resource in another namespace.
fn within(namespace: &str, text: &str) -> String {
    let named = format!("\n  name: other\n  namespace: {namespace}\n");
    text.replacen("\n  name: payments\n", &named, 1)
}

/// Whether nothing of the spec of a resource is said to be in force.
fn is_silent(report: &ApplyReport) -> bool {
    let fields = report.resources[0].fields.iter();
    fields.filter(|field| field.path.starts_with("spec")).all(|field| field.fate == Fate::Ignored)
}

const FULL: &str = "payments.default.svc.cluster.local";

#[test]
fn a_short_host_is_one_of_the_namespace_of_its_virtual_service() {
    let in_prod = within("prod", &route("timeout: 1s"));
    let policy = compile(&in_prod);
    assert!(policy.virtual_host("payments", "payments", false).is_none());
    assert_eq!(&*policy.virtual_hosts[0].hosts[0], "payments.prod.svc.cluster.local");
    let report = apply(&in_prod).report;
    let warned = report.findings.iter().find(|found| found.path == "spec.hosts[0]").unwrap();
    assert_eq!((warned.code.as_str(), warned.severity), (code::ROUTE_HOST, Severity::Warning));
    assert!(warned.message.contains("payments.prod.svc.cluster.local"), "{}", warned.message);
    assert!(warned.advice.contains("namespace default"), "{}", warned.advice);
    assert!(is_silent(&report), "{report:#?}");
    // By its whole name it is the same service from everywhere.
    for text in [
        within("prod", &route("").replace("hosts: [payments]", &format!("hosts: [{FULL}]"))),
        within("default", &route("")),
        route(""),
    ] {
        assert!(compile(&text).virtual_host("payments", "payments", false).is_some(), "{text}");
    }
}

#[test]
fn a_short_destination_is_one_of_the_namespace_of_its_virtual_service() {
    let to = |namespace: &str, host: &str| {
        let text = route("mirror: {host: payments, port: {number: 9}}")
            .replace("hosts: [payments]", &format!("hosts: [{FULL}]"))
            .replace("destination: {host: payments}", &format!("destination: {{host: {host}}}"));
        let text = within(namespace, &text);
        let first = compile(&text).virtual_hosts[0].routes[0].clone();
        let Action::Forward(to) = &first.action else { panic!("{first:?}") };
        let mirror = first.mirrors[0].service.to_string();
        let said = has(&apply(&text).report.findings, code::ROUTE_HOST);
        (to[0].service.to_string(), mirror, said)
    };
    let elsewhere = "payments.prod.svc.cluster.local".to_owned();
    assert_eq!(to("prod", "payments"), (elsewhere.clone(), elsewhere.clone(), true));
    assert_eq!(to("prod", FULL), ("payments".to_owned(), elsewhere, true));
    let own = ("payments".to_owned(), "payments:9".to_owned(), false);
    assert_eq!(to("default", "payments"), own);
}

#[test]
fn one_short_host_in_two_namespaces_is_no_conflict_and_one_service_is() {
    let in_prod = within("prod", &route(""));
    let both = apply(&format!("{}---\n{in_prod}", route(""))).report;
    assert!(!has(&both.findings, code::VIRTUAL_SERVICE_MULTIMATCH), "{both:#?}");
    let whole = in_prod.replace("hosts: [payments]", &format!("hosts: [{FULL}]"));
    let both = refuse(&format!("{}---\n{whole}", route("")));
    assert!(has(&both.findings, code::VIRTUAL_SERVICE_MULTIMATCH), "{both:#?}");
}

#[test]
fn a_destination_rule_is_seen_in_the_namespace_of_the_service_and_in_the_root_alone() {
    let random = rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}");
    let whole = random.replace("host: payments", &format!("host: {FULL}"));
    let balancer = |text: &str| {
        let policy = compile(text);
        policy.destinations.get("payments").map(|found| found.policy.load_balancer.clone())
    };
    for (text, seen) in [
        (random.clone(), true),
        (within("prod", &random), false),
        (within("prod", &whole), false),
        // A short name in the root namespace is a service of that.
        (within("istio-system", &random), false),
        (within("istio-system", &whole), true),
    ] {
        assert_eq!(balancer(&text), seen.then_some(LoadBalancer::Random), "{text}");
        let report = apply(&text).report;
        assert_eq!(is_silent(&report), !seen, "{report:#?}");
        assert_eq!(has(&report.findings, code::UNSEEN), text.contains("prod"), "{report:#?}");
    }
    let finding = apply(&within("prod", &random)).report.findings.remove(0);
    assert_eq!((finding.path.as_str(), finding.at.line), ("metadata.namespace", 5));
    assert!(finding.advice.contains("namespace default"), "{finding:?}");
}

#[test]
fn a_rule_of_the_root_namespace_holds_where_the_own_namespace_has_none() {
    let own = rule("trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}");
    let root = rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}");
    let root = within("istio-system", &root).replace("host: payments", &format!("host: {FULL}"));
    let before = apply(&own).configuration;
    let applied = before.apply(&root, &known()).unwrap();
    let policy = applied.configuration.compile(&known(), 1);
    assert_eq!(policy.destinations["payments"].policy.load_balancer, LoadBalancer::RoundRobin);
    assert!(is_silent(&applied.report), "{:#?}", applied.report);
    assert!(has(&applied.report.findings, code::ALIASES), "{:#?}", applied.report);
}
