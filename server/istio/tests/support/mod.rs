//! The registry that the tests of this package share, and short ways to apply.
//!
//! No test is here.

#![allow(dead_code, reason = "each test binary uses its own part")]

use contract::istio::{ApplyReport, Finding};
use istio::{Applied, Configuration, Known, KnownService, policy::Policy};
use std::collections::BTreeMap;

fn service(name: &str, aliases: &[&str], versions: &[&str]) -> KnownService {
    let instance = |version: &&str| {
        BTreeMap::from([
            ("app".to_owned(), name.to_owned()),
            ("version".to_owned(), (*version).to_owned()),
        ])
    };
    KnownService {
        name: name.to_owned(),
        names: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        instances: versions.iter().map(instance).collect(),
        port: 8080,
        moves_money: name == "payments",
        takes_messages: ["orders", "payments"].contains(&name),
    }
}

/// A registry such as the program's.
pub(crate) fn known() -> Known {
    Known {
        services: vec![
            service("catalog", &["product-service"], &["v1", "v1", "v2"]),
            service("gateway", &["api-gateway"], &["v1"]),
            service("orders", &["order-service"], &["v1"]),
            service("payments", &["payment-service"], &["v1", "v1", "v2"]),
            service("provider", &["api.stripe.com", "external-service"], &["v1"]),
            service("recommendations", &["recommendation-service"], &["v1", "v2"]),
            service("users", &["user-service"], &["v1"]),
            service("web", &["web-app"], &["v1", "v2"]),
        ],
        gateways: vec!["edge".to_owned()],
        messenger: Some("cluster.local/ns/default/sa/bus".to_owned()),
        identities: vec![
            "cluster.local/ns/default/sa/load".to_owned(),
            "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account".to_owned(),
        ],
        ..Known::default()
    }
}

/// Applies to nothing; the report of a refusal is printed.
pub(crate) fn apply(text: &str) -> Applied {
    match Configuration::default().apply(text, &known()) {
        Ok(applied) => applied,
        Err(refused) => panic!("refused: {:#?}\n{text}", refused.report.findings),
    }
}

/// Applies to nothing and compiles.
pub(crate) fn compile(text: &str) -> Policy {
    apply(text).configuration.compile(&known(), 1)
}

/// The report of an apply that must be refused.
pub(crate) fn refuse(text: &str) -> ApplyReport {
    match Configuration::default().apply(text, &known()) {
        Ok(applied) => panic!("applied: {:#?}\n{text}", applied.report.findings),
        Err(refused) => refused.report,
    }
}

/// Whether some finding has this code.
pub(crate) fn has(findings: &[Finding], code: &str) -> bool {
    findings.iter().any(|finding| finding.code == code)
}

/// The spec of a `VirtualService` for payments whose one rule has these lines besides its route.
pub(crate) fn route(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: payments\n\
         spec:\n  hosts: [payments]\n  http:\n  - route:\n    - destination: {{host: payments}}\n\
         {indented}"
    )
}

/// A `DestinationRule` for payments with these lines in its spec.
pub(crate) fn rule(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: payments\n\
         spec:\n  host: payments\n{indented}"
    )
}

/// A rule without anything, to which a case adds what it is about.
pub(crate) fn bare(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: payments\n\
         spec:\n  hosts: [payments]\n  http:\n  - name: bare\n{indented}"
    )
}
