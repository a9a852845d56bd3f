//! A text as a form and back: nothing is lost, and only what was changed changes.

use super::{documents, read_form, write_form};
use contract::traffic::{MatchOn, MatchTerm, MirrorForm, RateLimitForm, RouteForm, control};

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
    read_form::form(&documents::read(text).unwrap())
}

fn write(text: &str, form: &RouteForm) -> String {
    write_form::text(&documents::read(text).unwrap(), form, "payments")
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
    let form = RouteForm { rules: form(TEXT).rules, ..RouteForm::default() };
    let text = write_form::text(&[], &form, "payments");
    assert!(text.starts_with("apiVersion: networking.istio.io/v1\nkind: VirtualService\n"));
    assert_eq!(read_form::form(&documents::read(&text).unwrap()).rules.len(), 2);
}
