//! Which `VirtualService` and `DestinationRule` hold for a request, when several are about its
//! service: the name that was called, what is bound to the gateway, what is built in.

mod support;

use istio::{
    Configuration, Known,
    policy::{LoadBalancer, Policy},
};
use support::{has, known};

fn virtual_service(name: &str, host: &str, gateway: &str, built_in: bool) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n{}\
         spec:\n  hosts: [\"{host}\"]\n  gateways: [{gateway}]\n  http:\n  - route:\n    \
         - destination: {{host: payments}}\n",
        label(built_in),
    )
}

fn destination_rule(name: &str, host: &str, lines: &str, built_in: bool) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: {name}\n{}\
         spec:\n  host: {host}\n{lines}",
        label(built_in),
    )
}

const fn label(built_in: bool) -> &'static str {
    match built_in {
        true => "  labels:\n    app.kubernetes.io/managed-by: vitrine\n",
        false => "",
    }
}

fn policy(documents: &[String]) -> Policy {
    let applied = Configuration::default().apply(&documents.join("---\n"), &known());
    let valid = applied.unwrap_or_else(|refused| panic!("{:?}", refused.report));
    valid.configuration.compile(&known(), 1)
}

/// The resource that holds for payments under a name.
fn found<'p>(policy: &'p Policy, authority: &str, at_ingress: bool) -> &'p str {
    let host = policy.virtual_host("payments", authority, at_ingress);
    host.map_or("none", |host| &*host.origin.name)
}

#[test]
fn the_name_that_was_called_wins_over_other_names_wherever_it_is_bound() {
    let policy = policy(&[
        virtual_service("a-bound", "payments", "edge", false),
        virtual_service("b-meshed", "payment-service", "mesh", false),
    ]);
    assert_eq!(found(&policy, "payment-service", true), "b-meshed");
    assert_eq!(found(&policy, "payment-service.default.svc.cluster.local", true), "b-meshed");
    assert_eq!(found(&policy, "payments", true), "a-bound");
    // A name that nobody has is as good as the service's own, and the gateway comes first there.
    assert_eq!(found(&policy, "localhost", true), "a-bound");
    assert_eq!(found(&policy, "payments", false), "b-meshed");
}

#[test]
fn what_is_built_in_gives_way_to_what_users_say_under_any_name() {
    let built_in = "payments.default.svc.cluster.local";
    let built_in = virtual_service("a-built-in", built_in, "mesh, edge", true);
    let alone = policy(std::slice::from_ref(&built_in));
    for at_ingress in [true, false] {
        assert_eq!(found(&alone, "payments", at_ingress), "a-built-in");
        for host in ["payment-service", "payments"] {
            let user = virtual_service("b-user", host, "mesh", false);
            let both = policy(&[built_in.clone(), user]);
            for authority in ["payments", "payment-service", "localhost"] {
                assert_eq!(found(&both, authority, at_ingress), "b-user", "{host} {authority}");
            }
        }
    }
    let everything = virtual_service("b-user", "*", "edge", false);
    let both = policy(&[built_in, everything]);
    assert_eq!(found(&both, "localhost", true), "b-user");
    assert_eq!(found(&both, "payments", false), "a-built-in", "it is bound to the gateway alone");
}

#[test]
fn a_rule_of_a_user_replaces_the_built_in_one_and_of_two_of_users_is_warned() {
    let subset = |name: &str| format!("  - name: {name}\n    labels: {{version: {name}}}\n");
    let subsets = &format!("  subsets:\n{}", subset("v1"));
    let both = format!("{subsets}{}", subset("v2"));
    let built_in = destination_rule("a-built-in", "payment-service", &both, true);
    let random = "  trafficPolicy:\n    loadBalancer: {simple: RANDOM}\n";
    let of_user = format!("{random}{subsets}");
    for host in ["payments", "payment-service"] {
        let user = destination_rule("b-user", host, &of_user, false);
        let policy = policy(&[built_in.clone(), user]);
        let destination = &policy.destinations["payments"];
        assert_eq!(&*destination.origin.name, "b-user");
        assert_eq!(destination.policy.load_balancer, LoadBalancer::Random);
        assert_eq!(destination.subset("v1").unwrap().policy.load_balancer, LoadBalancer::Random);
        // What the user does not say is as it was, under the user's policy.
        assert_eq!(destination.subset("v2").unwrap().policy.load_balancer, LoadBalancer::Random);
    }
    let two = ["b-user", "c-user"].map(|name| destination_rule(name, "payments", subsets, false));
    let applied = Configuration::default().apply(&two.join("---\n"), &known()).unwrap();
    assert!(has(&applied.report.findings, "KIA0201"));
}

#[test]
fn a_split_that_was_changed_in_what_is_built_in_does_not_end_without_a_word() {
    let built_in = virtual_service("a-built-in", "payments", "mesh, edge", true);
    let changed = built_in.replace("    - destination", "    - weight: 100\n      destination");
    assert_ne!(built_in, changed);
    let applied = Configuration::default().apply(&built_in, &known()).unwrap();
    let as_new = applied.configuration.resources().cloned().collect();
    let known = Known { built_in: as_new, ..known() };
    let user = virtual_service("b-user", "payment-service", "mesh", false);
    for (there, said) in [(built_in, false), (changed, true)] {
        let before = Configuration::default().apply(&there, &known).unwrap().configuration;
        let report = before.apply(&user, &known).unwrap().report;
        assert_eq!(has(&report.findings, "VIT145"), said, "{:#?}", report.findings);
        let again = before.apply(&there, &known).unwrap().report;
        assert!(!has(&again.findings, "VIT145"), "of itself nothing is said");
    }
}
