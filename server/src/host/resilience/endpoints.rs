//! Endpoints as the pages see them.

use contract::resilience::{EndpointLine, EndpointRow, EndpointState};
use istio::policy::{Outlier, Policy};
use mesh::{EndpointStatus, Mesh, Phase};
use std::collections::BTreeMap;

/// Every instance.
pub(crate) fn lines(mesh: &Mesh) -> Vec<EndpointLine> {
    let endpoints = mesh.endpoints();
    let several = services_with_versions(&endpoints);
    let backs = back_times(mesh);
    endpoints.iter().map(|endpoint| line(endpoint, &several, &backs)).collect()
}

/// Services whose instances differ in version.
fn services_with_versions(endpoints: &[EndpointStatus]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for endpoint in endpoints {
        let known = versions.entry(&endpoint.service).or_default();
        if let Some(version) = version(endpoint).filter(|version| !known.contains(version)) {
            known.push(version);
        }
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    several.map(|(service, _)| service.to_owned()).collect()
}

fn version(endpoint: &EndpointStatus) -> Option<&str> {
    endpoint.labels.iter().find(|(key, _)| key == "version").map(|(_, value)| value.as_str())
}

/// When killed and paused instances come back: the ends of the faults on them.
fn back_times(mesh: &Mesh) -> BTreeMap<String, i64> {
    let on_instance = |fault: mesh::fault::FaultStatus| {
        fault.spec.scope.instance.as_ref().map(|instance| (instance.to_string(), fault.until_us))
    };
    mesh.faults().active().into_iter().filter_map(on_instance).collect()
}

fn line(
    endpoint: &EndpointStatus,
    several: &[String],
    backs: &BTreeMap<String, i64>,
) -> EndpointLine {
    let back_us = backs.get(&*endpoint.instance).copied();
    let state = match (endpoint.phase, endpoint.ejected_until_us) {
        (Phase::Killed, _) => EndpointState::Down { back_us },
        (Phase::Paused, _) => EndpointState::Paused { back_us },
        (Phase::Ready, Some(until_us)) => EndpointState::Ejected {
            since_us: endpoint.ejected_since_us.unwrap_or(until_us),
            until_us,
            times: endpoint.ejected_times,
        },
        (Phase::Ready, None) => EndpointState::Ready,
    };
    let versioned = several.iter().any(|service| **service == *endpoint.service);
    EndpointLine {
        instance: endpoint.instance.to_string(),
        service: endpoint.service.to_string(),
        subset: version(endpoint).filter(|_| versioned).map(str::to_owned),
        state,
    }
}

/// Endpoints that are out or had errors, worst first.
pub(super) fn rows(mesh: &Mesh) -> Vec<EndpointRow> {
    let endpoints = mesh.endpoints();
    let several = services_with_versions(&endpoints);
    let backs = back_times(mesh);
    let in_force = mesh.in_force();
    let told = endpoints.iter().filter(|e| {
        e.phase != Phase::Ready
            || e.ejected_until_us.is_some()
            || e.failures > 0
            || e.consecutive_errors > 0
    });
    let mut rows: Vec<EndpointRow> = told
        .map(|endpoint| {
            let outlier = outlier(&in_force.policy, endpoint);
            EndpointRow {
                line: line(endpoint, &several, &backs),
                errors_in_row: endpoint.consecutive_errors,
                ejects_at: outlier
                    .map_or(0, |outlier| outlier.consecutive_5xx.max(outlier.consecutive_gateway)),
                counted: match outlier {
                    Some(outlier) if outlier.consecutive_5xx == 0 => "gateway errors".into(),
                    _ => "5xx".into(),
                },
                error_share: share(endpoint.failures, endpoint.requests),
                note: note(endpoint, outlier),
            }
        })
        .collect();
    let rank = |row: &EndpointRow| match row.line.state {
        EndpointState::Down { .. } => 0,
        EndpointState::Ejected { .. } => 1,
        EndpointState::Paused { .. } => 2,
        EndpointState::Ready => 3,
    };
    rows.sort_by_key(|row| (rank(row), std::cmp::Reverse(row.errors_in_row)));
    rows
}

/// The limit at work, or how often it was out.
fn note(endpoint: &EndpointStatus, outlier: Option<&Outlier>) -> String {
    let limit = outlier.map(|outlier| format!("at most {}% at once", outlier.max_ejection_percent));
    match (endpoint.ejections, limit) {
        (0, limit) => limit.unwrap_or_default(),
        (times, limit) => {
            let times = format!("ejected {times}× so far");
            limit.map_or_else(|| times.clone(), |limit| format!("{times}, {limit}"))
        }
    }
}

/// The outlier detection that watches an endpoint: its subset's, else its service's.
fn outlier<'a>(policy: &'a Policy, endpoint: &EndpointStatus) -> Option<&'a Outlier> {
    let rule = policy.destinations.get(&endpoint.service)?;
    let subset = version(endpoint).and_then(|version| rule.subset(version));
    let of_subset = subset.and_then(|subset| subset.policy.outlier.as_ref());
    of_subset.or(rule.policy.outlier.as_ref())
}

#[expect(clippy::cast_precision_loss, reason = "requests of a minute")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
