//! The history: what is said of a change, what is shown of it, and what a restore does.

mod support;

use contract::istio::{Change, DiffLine};
use istio::{Configuration, Kind, NoRevision, REVISIONS_MAX, Revisions};
use support::{known, rule};

fn split(weight: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  hosts:
  - payments
  http:
  - route:
    - destination:
        host: payments
        subset: v1
      weight: {}
    - destination:
        host: payments
        subset: v2
      weight: {weight}
",
        100 - weight
    )
}

fn applied(before: &Configuration, text: &str) -> Configuration {
    match before.apply(text, &known()) {
        Ok(applied) => applied.configuration,
        Err(refused) => panic!("{refused}"),
    }
}

#[test]
fn a_shifted_weight_is_said_as_shares_and_shown_by_line() {
    let mut revisions = Revisions::default();
    let first = applied(&Configuration::default(), &split(10));
    assert_eq!(revisions.record(first.clone(), "ada", 1_000_000), 1);
    assert_eq!(revisions.get(1).unwrap().summary, "VirtualService payments created");
    assert_eq!(revisions.get(1).unwrap().diffs[0].change, Change::Created);
    assert_eq!(revisions.record(applied(&first, &split(20)), "bob", 2_000_000), 2);
    let second = revisions.get(2).unwrap();
    assert_eq!(second.summary, "payments v2 10% -> 20%");
    assert_eq!((second.who.as_str(), second.at_us), ("bob", 2_000_000));
    let lines = &second.diffs[0].lines;
    assert!(lines.contains(&DiffLine::Removed("      weight: 10".to_owned())));
    assert!(lines.contains(&DiffLine::Added("      weight: 20".to_owned())));
    assert!(matches!(&lines[0], DiffLine::Hunk(header) if header.starts_with("@@ -")));
    assert!(lines.len() < 14);
}

#[test]
fn what_moves_requests_is_said_before_names_and_labels() {
    let text = |host: &str, labels: &str, weights: [u8; 2]| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  \
             name: payments\n{labels}spec:\n  hosts:\n  - {host}\n  http:\n  - route:\n    \
             - destination:\n        \
             host: {host}\n        subset: v1\n      weight: {}\n    - destination:\n        \
             host: {host}\n        subset: v2\n      weight: {}\n",
            weights[0], weights[1]
        )
    };
    let subsets = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  \
                   name: payments\nspec:\n  host: payments\n  subsets:\n  - name: v1\n    \
                   labels: {version: v1}\n  - name: v2\n    labels: {version: v2}\n";
    let labels = "  labels:\n    team: money\n";
    let before = applied(&Configuration::default(), subsets);
    let before = applied(&before, &text("payment-service", labels, [100, 0]));
    let mut revisions = Revisions::default();
    revisions.record(before.clone(), "ada", 0);
    revisions.record(applied(&before, &text("payments", "", [50, 50])), "ada", 1);
    let summary = &revisions.newest().unwrap().summary;
    assert_eq!(summary, "payments v2 0% -> 50%");
}

/// The summary of replacing the rules of one VirtualService, each a line of flow mapping.
fn summary_of(before: &[&str], after: &[&str]) -> String {
    let text = |host: &str, labels: &str, rules: &[&str]| {
        let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  \
             name: payments\n{labels}spec:\n  hosts:\n  - {host}\n  http:\n{rules}"
        )
    };
    let subsets = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  \
                   name: payments\nspec:\n  host: payments\n  subsets:\n  - name: v1\n    \
                   labels: {version: v1}\n  - name: v2\n    labels: {version: v2}\n";
    let labels = "  labels:\n    team: money\n";
    let first = applied(&Configuration::default(), subsets);
    let first = applied(&first, &text("payments", labels, before));
    let mut revisions = Revisions::default();
    revisions.record(first.clone(), "ada", 0);
    let host = "payment-service.default.svc.cluster.local";
    revisions.record(applied(&first, &text(host, "", after)), "ada", 1);
    revisions.newest().map(|newest| newest.summary.clone()).unwrap_or_default()
}

#[test]
fn rules_are_said_by_name_and_what_they_do_in_the_words_of_the_page() {
    const HOST: &str = "payment-service.default.svc.cluster.local";
    let to = |host: &str, subset: &str, more: &str| {
        format!("{{name: all, route: [{{destination: {{host: {host}, subset: {subset}}}}}]{more}}}")
    };
    let canary = format!(
        "{{name: canary, match: [{{headers: {{x-beta: {{exact: \"1\"}}}}}}], \
         route: [{{destination: {{host: {HOST}, subset: v2}}}}]}}"
    );
    let plain = to("payments", "v1", "");
    let again = to(HOST, "v1", "");
    // The same under another of its names and without labels moves no request.
    let words = summary_of(&[&plain], &[&canary, &again]);
    assert_eq!(words, "payments rule canary added");
    let words = summary_of(&[&canary, &plain], &[&again]);
    assert_eq!(words, "payments rule canary removed");
    let limited = to(HOST, "v1", ", timeout: 3s, retries: {attempts: 2, perTryTimeout: 1s}");
    assert_eq!(summary_of(&[&plain], &[&limited]), "payments timeout 3s, payments retries 2");
    let longer = to("payments", "v1", ", timeout: 5s, retries: {attempts: 2, perTryTimeout: 1s}");
    assert_eq!(summary_of(&[&longer], &[&limited]), "payments timeout 5s -> 3s");
    assert_eq!(
        summary_of(&[&plain], &[&to(HOST, "v2", "")]),
        "payments goes to payment-service v2"
    );
    // Of several rules it says which.
    let words = summary_of(&[&canary, &longer], &[&canary, &limited]);
    assert_eq!(words, "payments all timeout 5s -> 3s");
    let words = summary_of(&[&plain, &canary], &[&canary, &again]);
    assert_eq!(words, "payments rules reordered");
}

#[test]
fn subsets_are_said_by_name() {
    let mut revisions = Revisions::default();
    let first = applied(&Configuration::default(), &rule("subsets: [{name: v1}]"));
    revisions.record(first.clone(), "ada", 0);
    revisions.record(applied(&first, &rule("subsets: [{name: v1}, {name: v2}]")), "ada", 1);
    assert_eq!(revisions.newest().unwrap().summary, "payments subset v2 added");
}

#[test]
fn other_fields_are_said_by_name_and_values() {
    let mut revisions = Revisions::default();
    let before = rule("trafficPolicy: {outlierDetection: {interval: 10s}}");
    let after = rule("trafficPolicy: {outlierDetection: {interval: 5s}}");
    let first = applied(&Configuration::default(), &before);
    revisions.record(first.clone(), "ada", 0);
    revisions.record(applied(&first, &after), "ada", 1);
    let summary = &revisions.newest().unwrap().summary;
    assert_eq!(summary, "payments outlierDetection.interval 10s -> 5s");
}

#[test]
fn a_restore_is_a_new_revision_with_the_old_content() {
    let mut revisions = Revisions::default();
    let first = applied(&Configuration::default(), &split(10));
    revisions.record(first.clone(), "ada", 0);
    let (second, key) = first.delete(Kind::VirtualService, "payments").unwrap();
    assert_eq!(key.name, "payments");
    revisions.record(second, "ada", 1);
    assert_eq!(revisions.newest().unwrap().summary, "VirtualService payments deleted");
    assert_eq!(revisions.restore(1, "bob", 2), Ok(3));
    let third = revisions.newest().unwrap();
    assert_eq!(third.configuration, first);
    assert_eq!(third.restored, Some(1));
    assert_eq!(third.summary, "Rolled back to r1: VirtualService payments created");
    assert_eq!(revisions.get(2).unwrap().configuration, Configuration::default());
}

#[test]
fn the_same_configuration_again_is_no_revision() {
    let mut revisions = Revisions::default();
    let first = applied(&Configuration::default(), &split(10));
    assert_eq!(revisions.record(first.clone(), "ada", 0), 1);
    assert_eq!(revisions.record(applied(&first, &split(10)), "ada", 1), 1);
    assert_eq!(revisions.iter().count(), 1);
}

#[test]
fn the_history_is_bounded_and_its_numbers_go_on() {
    let mut revisions = Revisions::after(40);
    let states = [10, 20].map(|weight| applied(&Configuration::default(), &split(weight)));
    for index in 0..REVISIONS_MAX + 5 {
        revisions.record(states[index % 2].clone(), "ada", 0);
    }
    assert_eq!(revisions.iter().count(), REVISIONS_MAX);
    let newest = 40 + REVISIONS_MAX as u64 + 5;
    assert_eq!(revisions.newest().unwrap().number, newest);
    let missing = revisions.get(41).unwrap_err();
    assert_eq!(missing, NoRevision { number: 41, oldest: 46, newest });
    assert!(revisions.restore(41, "ada", 0).is_err());
}
