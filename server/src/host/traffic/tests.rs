//! A text as a form and back: nothing is lost, and only what was changed changes.

use super::{documents, read_form, write_form};
use contract::traffic::{
    FormEdit, MatchOn, MatchTerm, MirrorForm, RateLimitForm, RouteForm, TargetForm, control,
};

const TEXT: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  hosts:
  - payments
  http:
  - name: testers
    match:
    - headers:
        cookie:
          regex: \"^(.*?;)?\\\\s*(group=beta)(;.*)?$\"
      port: 80
    route:
    - destination:
        host: payments
        subset: v2
  - route:
    - destination:
        host: payments
        subset: v1
      weight: 90
    - destination:
        host: payments
        subset: v2
      headers:
        request:
          set:
            x-lane: v2
      weight: 10
    timeout: 6s
    retries:
      attempts: 3
      perTryTimeout: 2.5s
      retryOn: 5xx,reset
";

fn form(text: &str) -> RouteForm {
    read_form::form(&documents::read(text).unwrap(), "")
}

fn write(text: &str, form: &RouteForm) -> String {
    let documents = documents::read(text).unwrap();
    let edit = FormEdit { before: read_form::form(&documents, &form.service), after: form.clone() };
    write_form::text(&documents, &edit, "payments")
}

#[test]
fn the_controls_show_what_the_text_says() {
    let form = form(TEXT);
    let names: Vec<_> = form.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["testers", "#2"]);
    let term = &form.rules[0].matches[0][0];
    assert_eq!((term.on, &*term.name, &*term.value), (MatchOn::Cookie, "group", "beta"));
    let weights: Vec<_> = form.rules[1].targets.iter().map(|target| target.weight).collect();
    assert_eq!(weights, [90, 10]);
    assert_eq!(form.rules[1].timeout_ms, Some(6_000));
    assert_eq!(form.rules[1].retries.as_ref().unwrap().per_try_ms, Some(2_500));
    assert_eq!(form.kept, ["spec.http[0].match[0].port"]);
    let split = control::of_rule(1, control::SPLIT);
    let lines = form.lines.iter().find(|lines| lines.control == split).unwrap();
    assert_eq!((lines.first, lines.last), (19, 31));
}

#[test]
fn a_form_that_was_not_changed_changes_nothing() {
    assert_eq!(write(TEXT, &form(TEXT)), TEXT);
}

#[test]
fn a_weight_changes_one_line_and_what_has_no_control_stays() {
    let mut changed = form(TEXT);
    (changed.rules[1].targets[0].weight, changed.rules[1].targets[1].weight) = (80, 20);
    let expected = TEXT.replace("weight: 90", "weight: 80").replace("weight: 10", "weight: 20");
    assert_eq!(write(TEXT, &changed), expected);
}

#[test]
fn every_control_can_be_set_and_read_back() {
    let mut changed = form(TEXT);
    let cookie = MatchTerm {
        on: MatchOn::Cookie,
        name: "canary".into(),
        value: "true".into(),
        ..MatchTerm::default()
    };
    changed.rules[0].matches.push(vec![cookie]);
    let mirror = MirrorForm { host: "payments".into(), subset: "v2".into(), percent: 12.5 };
    changed.rules[1].mirror = Some(mirror);
    changed.rules[1].timeout_ms = Some(250);
    changed.rules[1].retries = None;
    changed.rate_limit = Some(RateLimitForm { requests: 50, per: "second".into(), burst: 100 });
    let text = write(TEXT, &changed);
    let read = form(&text);
    assert_eq!(read.rules, changed.rules, "{text}");
    assert_eq!(read.rate_limit, changed.rate_limit, "{text}");
    assert!(text.contains("port: 80") && text.contains("x-lane: v2"), "{text}");
}

#[test]
fn rules_can_be_reordered_added_and_taken_away() {
    let mut changed = form(TEXT);
    changed.rules.swap(0, 1);
    let mut extra = changed.rules[0].clone();
    extra.name = "extra".into();
    changed.rules.insert(0, extra);
    let read = form(&write(TEXT, &changed));
    let names: Vec<_> = read.rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(names, ["extra", "#2", "testers"]);
    changed.rules.truncate(1);
    assert_eq!(form(&write(TEXT, &changed)).rules.len(), 1);
}

#[test]
fn a_host_without_resources_gets_its_first() {
    let after = RouteForm { rules: form(TEXT).rules, ..RouteForm::default() };
    let edit = FormEdit { before: RouteForm::default(), after };
    let text = write_form::text(&[], &edit, "payments");
    assert!(text.starts_with("apiVersion: networking.istio.io/v1\nkind: VirtualService\n"));
    assert_eq!(form(&text).rules.len(), 2);
}

const RULE: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: payments
spec:
  host: payments
";

#[test]
fn a_first_route_and_the_end_of_the_last_leave_the_other_resources_of_the_host() {
    let rules = form(TEXT).rules;
    let first = write(RULE, &RouteForm { rules, ..form(RULE) });
    assert!(first.contains("kind: VirtualService") && first.contains("kind: DestinationRule"));
    let none = RouteForm { rules: Vec::new(), ..form(&first) };
    assert_eq!(write(&first, &none), RULE, "a VirtualService without a route is none");
}

/// What somebody typed while the controls still showed the text before.
fn typed_meanwhile(text: &str, change: impl Fn(&mut RouteForm)) -> String {
    let before = form(TEXT);
    let mut after = before.clone();
    change(&mut after);
    write_form::text(&documents::read(text).unwrap(), &FormEdit { before, after }, "payments")
}

#[test]
fn what_was_typed_and_what_a_control_set_meanwhile_are_both_in_the_text() {
    let typed = TEXT.replace("timeout: 6s", "timeout: 9s").replace("attempts: 3", "attempts: 5");
    let text = typed_meanwhile(&typed, |form| form.rules[1].targets[0].weight = 70);
    assert_eq!(text, typed.replace("weight: 90", "weight: 70"));
}

#[test]
fn a_rule_that_was_typed_stays_and_one_that_was_taken_out_stays_out() {
    let testers = TEXT.find("  - name: testers").unwrap();
    let rest = TEXT.find("  - route:").unwrap();
    let added = "  - name: fresh\n    route:\n    - destination:\n        host: payments\n";
    let typed = format!("{}{added}{}", &TEXT[..rest], &TEXT[rest..]);
    let text = typed_meanwhile(&typed, |form| form.rules[1].timeout_ms = Some(1_000));
    let names: Vec<_> = form(&text).rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(names, ["testers", "fresh", "#3"], "{text}");
    let typed = format!("{}{}", &TEXT[..testers], &TEXT[rest..]);
    let text = typed_meanwhile(&typed, |form| form.rules[0].timeout_ms = Some(1_000));
    assert_eq!(form(&text).rules.len(), 1, "{text}");
}

#[test]
fn of_two_rules_with_one_name_each_keeps_what_has_no_control() {
    let twice = TEXT.replace("  - route:", "  - name: testers\n    route:").replace(
        "    timeout: 6s\n",
        "    timeout: 6s\n    corsPolicy:\n      allowOrigins:\n      - exact: https://a.example\n",
    );
    let mut changed = form(&twice);
    assert_eq!(changed.rules[0].name, changed.rules[1].name);
    changed.rules[1].targets[0].weight = 70;
    assert_eq!(write(&twice, &changed), twice.replace("weight: 90", "weight: 70"));
}

#[test]
fn a_rate_limit_without_a_control_is_left_alone() {
    let mut limited = form(TEXT);
    limited.rate_limit = Some(RateLimitForm { requests: 5, per: "minute".into(), burst: 9 });
    let text = write(TEXT, &limited).replace("fill_interval: 60s", "fill_interval: 30s");
    let mut changed = form(&text);
    assert_eq!(changed.rate_limit, None, "half a minute has no control");
    changed.rules[1].targets[0].weight = 70;
    assert_eq!(write(&text, &changed), text.replace("weight: 90", "weight: 70"));
}

#[test]
fn the_controls_are_of_the_resource_that_is_asked_for() {
    let canary =
        TEXT.replace("name: payments\n", "name: canary\n").replace("timeout: 6s", "timeout: 1s");
    let both = documents::read(&format!("{TEXT}---\n{canary}")).unwrap();
    let named = read_form::form(&both, "canary");
    assert_eq!((named.service.as_str(), named.rules[1].timeout_ms), ("canary", Some(1_000)));
    assert_eq!(read_form::form(&both, "").service, "payments");
    let mut after = named.clone();
    after.rules[1].targets[0] = TargetForm { weight: 70, ..after.rules[1].targets[0].clone() };
    let text = write_form::text(&both, &FormEdit { before: named, after }, "payments");
    let expected = canary.replace("weight: 90", "weight: 70");
    assert_eq!(text, format!("{TEXT}---\n{expected}"));
}

#[test]
fn the_switch_to_istios_behaviour_is_written_and_read_back() {
    let text = TEXT.replace("  - route:", "  - name: default\n    route:");
    let mut changed = form(&text);
    changed.rules[1].faithful = true;
    let switched = write(&text, &changed);
    let read = form(&switched);
    assert_eq!((read.rules[0].faithful, read.rules[1].faithful), (false, true), "{switched}");
    let mut back = read.clone();
    back.rules[1].faithful = false;
    assert_eq!(write(&switched, &back), text);
}
