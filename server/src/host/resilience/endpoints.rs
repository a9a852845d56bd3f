//! Endpoints as the pages see them.

use contract::resilience::{EndpointLine, EndpointRow, EndpointState, ErrorCount};
use istio::policy::{Outlier, Policy, Subset};
use mesh::{
    EndpointStatus, Mesh, Phase,
    fault::{FaultKind, FaultStatus},
};
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
        ejected_until_us: endpoint.ejected_until_us,
    }
}

/// Endpoints that are out or were, or had errors; worst first.
pub(super) fn rows(mesh: &Mesh) -> Vec<EndpointRow> {
    let endpoints = mesh.endpoints();
    let several = services_with_versions(&endpoints);
    let backs = back_times(mesh);
    let (in_force, faults) = (mesh.in_force(), mesh.faults().active());
    let told = endpoints.iter().filter(|e| {
        e.phase != Phase::Ready
            || e.ejected_until_us.is_some()
            || e.failures > 0
            || e.consecutive_errors > 0
            || e.ejections > 0
    });
    let mut rows: Vec<EndpointRow> = told
        .map(|endpoint| {
            let outlier = outlier(&in_force.policy, endpoint);
            EndpointRow {
                line: line(endpoint, &several, &backs),
                counts: outlier.map(|outlier| counts(endpoint, outlier)).unwrap_or_default(),
                error_share: share(endpoint.failures, endpoint.requests),
                note: note(endpoint, outlier, &endpoints, &faults),
                ejections: endpoint.ejections,
                last_ejected_us: endpoint.last_ejected_us,
            }
        })
        .collect();
    let rank = |row: &EndpointRow| match row.line.state {
        EndpointState::Down { .. } => 0,
        EndpointState::Ejected { .. } => 1,
        EndpointState::Paused { .. } => 2,
        EndpointState::Ready => 3,
    };
    let most = |row: &EndpointRow| row.counts.iter().map(|count| count.now).max();
    rows.sort_by_key(|row| (rank(row), std::cmp::Reverse(most(row))));
    rows
}

/// Both counts that eject, as far as they are switched on. Each ejects by itself.
fn counts(endpoint: &EndpointStatus, outlier: &Outlier) -> Vec<ErrorCount> {
    let all = [
        ("5xx", endpoint.consecutive_errors, outlier.consecutive_5xx),
        ("gateway errors", endpoint.consecutive_gateway, outlier.consecutive_gateway),
    ];
    let on = all.into_iter().filter(|(_, _, limit)| *limit > 0);
    on.map(|(what, now, limit)| ErrorCount { what: what.to_owned(), now, limit }).collect()
}

/// The limit at work, or an abort that is not this endpoint's.
fn note(
    endpoint: &EndpointStatus,
    outlier: Option<&Outlier>,
    all: &[EndpointStatus],
    faults: &[FaultStatus],
) -> String {
    let mut said = Vec::new();
    if let Some(percent) = outlier.and_then(|outlier| limit_reached(endpoint, outlier, all)) {
        said.push(format!("{percent}% limit reached"));
    }
    let aborts = |fault: &&FaultStatus| {
        matches!(fault.spec.kind, FaultKind::Abort { .. })
            && fault.spec.scope.destination.as_ref() == Some(&endpoint.service)
    };
    if let Some(fault) = faults.iter().find(aborts) {
        said.push(format!("{} aborts in the caller's proxy, so it does not count here", fault.id));
    }
    said.join("; ")
}

/// The share of instances that may be out at once, if not one more may go. The first may always.
fn limit_reached(
    endpoint: &EndpointStatus,
    outlier: &Outlier,
    all: &[EndpointStatus],
) -> Option<u32> {
    let same = |other: &&EndpointStatus| {
        other.service == endpoint.service && version(other) == version(endpoint)
    };
    let (count, out) = all.iter().filter(same).fold((0_u64, 0_u64), |(count, out), other| {
        (count + 1, out + u64::from(other.ejected_until_us.is_some()))
    });
    let percent = outlier.max_ejection_percent;
    (out > 0 && (out + 1) * 100 > count * u64::from(percent)).then_some(percent)
}

/// The outlier detection that watches an endpoint: its subset's, else its service's.
fn outlier<'a>(policy: &'a Policy, endpoint: &EndpointStatus) -> Option<&'a Outlier> {
    let rule = policy.destinations.get(&endpoint.service)?;
    let has = |subset: &&Subset| subset.labels.iter().all(|label| endpoint.labels.contains(label));
    let subset = rule.subsets.iter().find(has);
    let of_subset = subset.and_then(|subset| subset.policy.outlier.as_ref());
    of_subset.or(rule.policy.outlier.as_ref())
}

#[expect(clippy::cast_precision_loss, reason = "requests of a minute")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_is_down_tells_its_ejection_too() {
        let endpoint = |phase, ejected_until_us: Option<i64>| EndpointStatus {
            service: "users".into(),
            instance: "users-v1-2".into(),
            labels: Vec::new(),
            phase,
            active: 0,
            requests: 0,
            failures: 0,
            consecutive_errors: 0,
            consecutive_gateway: 0,
            ejected_until_us,
            ejected_since_us: ejected_until_us.map(|until| until - 5),
            ejected_times: 1,
            ejections: 1,
            last_ejected_us: None,
        };
        let backs = BTreeMap::from([("users-v1-2".to_owned(), 7)]);
        let told = |phase, until| line(&endpoint(phase, until), &[], &backs);
        let both = told(Phase::Killed, Some(9));
        assert_eq!(both.state, EndpointState::Down { back_us: Some(7) });
        assert_eq!(both.ejected_until_us, Some(9));
        assert_eq!(told(Phase::Paused, Some(9)).ejected_until_us, Some(9));
        assert_eq!(told(Phase::Killed, None).ejected_until_us, None);
        let alone = EndpointState::Ejected { since_us: 4, until_us: 9, times: 1 };
        assert_eq!(told(Phase::Ready, Some(9)).state, alone);
    }
}
