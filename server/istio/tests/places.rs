//! Where a finding stands: line and column of what is to be changed, and none in the correct form.

mod support;

use istio::{Configuration, RequestsByRule, code, never_matched};
use support::{compile, known};

const TWICE: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [users]
  http:
  - route:
    - destination: {host: users}
      weight: 1
    - destination: {host: user-service}
      weight: 1
";

const TWO: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [users]
  http: [{route: [{destination: {host: users}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts:
  - users.default
  http: [{route: [{destination: {host: users}}]}]
";

const UNREACHED: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: users
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy:
      loadBalancer: {simple: RANDOM}
";

const NEVER: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: payments
  trafficPolicy:
    outlierDetection:
      consecutive5xxErrors: 0
      interval: 3s
";

const SHORT: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [users]
  http:
  - route:
    - destination: {host: users}
    retries:
      attempts: 3
      perTryTimeout: 2s
    timeout: 5s
";

/// What is said of a text: code, line and column.
fn said(text: &str) -> Vec<(String, u32, u32)> {
    let report = match Configuration::default().apply(text, &known()) {
        Ok(applied) => applied.report,
        Err(refused) => refused.report,
    };
    let place = |found: contract::istio::Finding| (found.code, found.at.line, found.at.column);
    report.findings.into_iter().map(place).collect()
}

#[test]
fn each_finding_stands_where_something_is_to_be_changed_and_the_correct_form_has_none() {
    let route_to = |subset: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: to}}\nspec: {{hosts: [users], http: [{{route: [{{destination: \
             {{host: users, subset: {subset}}}}}]}}]}}\n"
        )
    };
    let reached = format!("{UNREACHED}{}", route_to("v1"));
    for (text, code, line, column, correct) in [
        (TWICE, code::REPEATED_DESTINATION, 10, 20, TWICE.replace("user-service", "orders")),
        (TWO, code::VIRTUAL_SERVICE_MULTIMATCH, 13, 5, TWO.replace("users.default", "orders")),
        (UNREACHED, code::SUBSET_UNREACHED, 9, 5, reached),
        (NEVER, code::NEVER_EJECTS, 8, 7, NEVER.replace("Errors: 0", "Errors: 1")),
        (SHORT, code::TIMEOUT_BEFORE_RETRIES, 12, 5, SHORT.replace("5s", "6s")),
    ] {
        let found = said(text);
        assert!(found.contains(&(code.to_owned(), line, column)), "{code}: {found:?}\n{text}");
        let left = said(&correct);
        assert!(left.iter().all(|(found, ..)| *found != code), "{code}: {left:?}\n{correct}");
    }
}

#[test]
fn a_rule_that_met_nothing_of_the_last_requests_is_told_of_on_the_line_it_begins() {
    let text = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
spec:
  hosts:
  - users
  http:
  - name: old
    match:
    - uri:
        exact: /old
    route:
    - destination:
        host: users
  - name: rest
    route:
    - destination:
        host: users
";
    let policy = compile(text);
    let routes = &policy.virtual_hosts[0].routes;
    let met = |rule: usize| ((routes[rule].origin.clone(), routes[rule].name.clone()), 500);
    let found = never_matched(&policy, &RequestsByRule::from([met(1)]), 1_000);
    let at = found.first().unwrap().at;
    assert_eq!((found.len(), at.line, found[0].code.as_str()), (1, 9, code::NEVER_MATCHED));
    assert!(at.column >= 1);
    let both = RequestsByRule::from([met(0), met(1)]);
    assert!(never_matched(&policy, &both, 1_000).is_empty());
}
