//! The reference scenario's route of payments: revision 17, its text and its controls.

use super::mesh::at;
use contract::{
    ApiError,
    istio::{Finding, Position, ResourceKey, Severity},
    service::SERVICES,
    traffic::{
        ControlLines, DocumentLines, Draft, HostRow, MatchTerm, ResourceRow, RetryForm,
        RevisionRow, RouteForm, RouteView, RuleForm, RuleHits, ShareSeen, Standing, TargetForm,
        TrafficView, control,
    },
};

const TEXT: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
  namespace: default
spec:
  hosts:
  - payments
  http:
  - name: testers
    match:
    - headers:
        x-canary:
          exact: \"true\"
    route:
    - destination:
        host: payments
        subset: v2
  - name: default
    route:
    - destination:
        host: payments
        subset: v1
      weight: 90
    - destination:
        host: payments
        subset: v2
      weight: 10
    timeout: 6s
    retries:
      attempts: 3
      perTryTimeout: 2.5s
      retryOn: 5xx,reset,connect-failure
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: payments
spec:
  host: payments
";

/// The text at a revision.
pub fn text_at(number: u64) -> String {
    if number == 17 { TEXT.into() } else { TEXT.replace("attempts: 3", "attempts: 2") }
}

fn target(subset: &str, weight: u32) -> TargetForm {
    TargetForm { host: "payments".into(), subset: subset.into(), weight }
}

/// What is in force.
pub fn applied() -> Draft {
    let term = MatchTerm { name: "x-canary".into(), value: "true".into(), ..MatchTerm::default() };
    let retries = RetryForm {
        attempts: 3,
        per_try_ms: Some(2_500),
        on: ["5xx", "reset", "connect-failure"].map(str::to_owned).to_vec(),
    };
    let lines = |control: String, first, last| ControlLines { control, first, last };
    let documents = vec![DocumentLines {
        kind: "VirtualService".into(),
        name: "payments".into(),
        first: 1,
        last: 33,
        standing: Standing { text: "in force in the mesh".into(), idle: false },
    }];
    let form = RouteForm {
        service: "payments".into(),
        documents,
        rules: vec![
            RuleForm {
                name: "testers".into(),
                matches: vec![vec![term]],
                targets: vec![target("v2", 0)],
                ..RuleForm::default()
            },
            RuleForm {
                name: "default".into(),
                targets: vec![target("v1", 90), target("v2", 10)],
                timeout_ms: Some(6_000),
                retries: Some(retries),
                ..RuleForm::default()
            },
        ],
        subsets: vec!["v1".into(), "v2".into()],
        lines: vec![lines(control::of_rule(1, control::SPLIT), 20, 28)],
        kept: vec!["spec.http[1].corsPolicy".into()],
        ..RouteForm::default()
    };
    let note = Finding {
        code: "VIT102".into(),
        severity: Severity::Info,
        resource: None,
        path: "spec.http[1].timeout".into(),
        at: Position { line: 29, column: 5 },
        message: "The 6 s timeout ends the call before retry 3.".into(),
        advice: "Raise it to 10 s, or retry less often.".into(),
        correct_form: None,
    };
    Draft {
        yaml: TEXT.into(),
        form: Some(form),
        findings: vec![note],
        passed: vec![("Weights add up to 100; subsets v1 and v2 exist".into(), Some(24))],
    }
}

fn seen(rule: &str, per_second: f64, shares: &[(&str, f64, Option<f64>)]) -> RuleHits {
    let share = |(subset, per_second, observed): &(&str, f64, Option<f64>)| ShareSeen {
        host: "payments".into(),
        subset: (*subset).into(),
        per_second: *per_second,
        observed: *observed,
        ..ShareSeen::default()
    };
    RuleHits {
        service: "payments".into(),
        rule: rule.into(),
        hits: 0,
        per_second,
        shares: shares.iter().map(share).collect(),
    }
}

fn hosts() -> Vec<HostRow> {
    let known = SERVICES.iter().filter(|service| service.name != "bus");
    let row = |name: &str| HostRow {
        host: name.into(),
        routed: name == "payments",
        faults: if name == "recommendations" { vec!["F-22".into()] } else { Vec::new() },
    };
    known.map(|service| row(service.name)).collect()
}

/// A resource that no host's page edits.
fn gateway() -> ResourceRow {
    ResourceRow {
        key: ResourceKey {
            kind: "Gateway".into(),
            namespace: "default".into(),
            name: "api-gateway".into(),
        },
        hosts: vec!["api.example.com".into()],
        page: None,
        standing: Standing { text: "in force at the ingress".into(), idle: false },
    }
}

/// The page of all hosts or of one.
pub fn page(host: Option<&str>, open: Option<&str>) -> Result<TrafficView, ApiError> {
    let Some(host) = host else {
        let gateway = gateway();
        let opened = open.map(|_| (gateway.key.clone(), "kind: Gateway\n".to_owned()));
        let resources = vec![gateway];
        return Ok(TrafficView { hosts: hosts(), resources, opened, revision: 17, route: None });
    };
    if !hosts().iter().any(|row| row.host == host) {
        return Err(ApiError::NotFound { what: format!("host {host}") });
    }
    let revision = |number, at_us, summary: &str| RevisionRow {
        number,
        at_us,
        by: "page".into(),
        summary: summary.into(),
        since_request: Some(4_711),
        touched: vec!["payments".into()],
        undoes: match number {
            17 => Vec::new(),
            _ => vec!["catalog".into(), "payments".into()],
        },
    };
    let routed = host == "payments";
    let route = RouteView {
        host: host.into(),
        revision: 17,
        applied: if routed { applied() } else { Draft::default() },
        revisions: vec![
            revision(17, at(14, 27, 55), "payments v2 5% → 10%"),
            revision(16, at(14, 12, 3), "retries 2 → 3"),
        ],
        hits: vec![
            RuleHits { hits: 12, ..seen("testers", 0.0, &[("v2", 0.0, None)]) },
            RuleHits {
                hits: 1_204,
                ..seen("default", 3.0, &[("v1", 2.7, Some(0.9)), ("v2", 0.3, Some(0.1))])
            },
        ],
        limited: (0, 3.0),
        mirror_differs: (0, 0),
        mirrored: Vec::new(),
        lanes: Vec::new(),
    };
    let (resources, opened) = (Vec::new(), None);
    Ok(TrafficView { hosts: hosts(), resources, opened, revision: 17, route: Some(route) })
}
