//! Engine types of routing turned into what the Traffic page shows.

use super::documents;
use contract::{
    ApiError, FieldError,
    istio::{ApplyReport, RevisionView, Severity},
    traffic::{
        DRY_RUN_ROWS_MAX, Draft, DryRun, HostRow, LaneView, ProbeRequest, ProbeVerdict, Rerouted,
        RevisionRow, RouteForm, RouteView, RuleHits, RuleVerdict, control,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use istio::{Configuration, Known, KnownService};
use mesh::{Chosen, Explanation, Mesh, Probe, RouteHits, Source};

/// The list of hosts, in the order of the palette; what is not in it follows by name.
pub(super) fn hosts(known: &Known, configuration: &Configuration, mesh: &Mesh) -> Vec<HostRow> {
    let place = |name: &str| {
        let palette = contract::service::SERVICES.iter();
        palette.map(|service| service.name).position(|own| own == name).unwrap_or(usize::MAX)
    };
    let mut services: Vec<_> = known.services.iter().collect();
    services.sort_by_key(|service| (place(&service.name), service.name.clone()));
    let faults = mesh.faults().active();
    let row = |service: &&KnownService| {
        let about = documents::of_host(configuration, service);
        let on = |fault: &&mesh::fault::FaultStatus| {
            let scope = &fault.spec.scope;
            let by_route = scope.route.as_ref().is_some_and(|(origin, _)| {
                about
                    .iter()
                    .any(|r| *r.key().name == *origin.name && r.kind().name() == &*origin.kind)
            });
            by_route || scope.destination.as_deref() == Some(service.name.as_str())
        };
        HostRow {
            host: service.name.clone(),
            routed: about.iter().any(|resource| resource.kind().name() == "VirtualService"),
            faults: faults.iter().filter(on).map(|fault| fault.id.to_string()).collect(),
        }
    };
    services.iter().map(row).collect()
}

/// The editor of one host.
pub(super) fn route(
    service: &KnownService,
    applied: Draft,
    revisions: Vec<RevisionView>,
    mesh: &Mesh,
    now_us: i64,
) -> RouteView {
    let in_force = mesh.in_force();
    let names: Vec<String> = applied
        .form
        .iter()
        .flat_map(|form| &form.documents)
        .filter(|document| document.kind == "VirtualService")
        .map(|document| document.name.clone())
        .take(1)
        .collect();
    let all = mesh.route_hits();
    let ours = |hits: &&RouteHits| {
        hits.revision == in_force.policy.revision
            && names.iter().any(|name| **name == *hits.origin.name)
    };
    let hits: Vec<&RouteHits> = all.iter().filter(ours).collect();
    let seconds = elapsed_seconds(in_force.at_us, now_us);
    let inbound = mesh.inbound_stats();
    let own = || inbound.iter().filter(|stats| *stats.service == *service.name);
    let mirrors = mesh.mirrors().stats();
    let mirrored = || mirrors.iter().filter(|stats| *stats.service == *service.name);
    let compared = mirrored().map(|stats| stats.same + stats.different).sum();
    let revision = |revision: RevisionView| RevisionRow {
        since_request: (revision.number == in_force.policy.revision)
            .then_some(in_force.since_request),
        number: revision.number,
        at_us: revision.at_us,
        by: revision.who,
        summary: revision.summary,
    };
    RouteView {
        host: service.name.clone(),
        revision: in_force.policy.revision,
        lanes: lanes(service, &hits, mesh, seconds),
        hits: hits.iter().map(|hits| rule_hits(hits, seconds)).collect(),
        applied,
        revisions: revisions.into_iter().map(revision).collect(),
        limited: (
            own().map(|stats| stats.rate_limited).sum(),
            per_second(own().map(|stats| stats.passed + stats.rate_limited).sum(), seconds),
        ),
        mirror_differs: (mirrored().map(|stats| stats.different).sum(), compared),
    }
}

/// Seconds the counters stand for.
fn elapsed_seconds(since_us: i64, now_us: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let seconds = (now_us - since_us) as f64 / 1e6;
    seconds.max(1.0)
}

fn per_second(count: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "requests of a run")]
    let count = count as f64;
    count / seconds
}

fn rule_hits(hits: &RouteHits, seconds: f64) -> RuleHits {
    RuleHits {
        rule: hits.name.to_string(),
        hits: hits.hits,
        per_second: per_second(hits.hits, seconds),
    }
}

/// Configured against observed, of the rule that everything else falls to: the last one.
fn lanes(service: &KnownService, hits: &[&RouteHits], mesh: &Mesh, seconds: f64) -> Vec<LaneView> {
    let Some(last) = hits.last().filter(|hits| hits.shares.len() > 1) else {
        return Vec::new();
    };
    let weights: u64 = last.shares.iter().map(|share| u64::from(share.weight)).sum();
    let requests: u64 = last.shares.iter().map(|share| share.requests).sum();
    let endpoints = mesh.endpoints();
    let lane = |share: &mesh::DestinationShare| {
        let subset = share.subset.as_deref().unwrap_or_default();
        let label = ("version".to_owned(), subset.to_owned());
        let of_lane = endpoints.iter().filter(|endpoint| {
            *endpoint.service == *service.name && endpoint.labels.contains(&label)
        });
        let (mut ready, mut instances, mut ended, mut failed) = (0, 0, 0, 0);
        for endpoint in of_lane {
            instances += 1;
            let takes = endpoint.phase == mesh::Phase::Ready && endpoint.ejected_until_us.is_none();
            ready += u32::from(takes);
            ended += endpoint.requests;
            failed += endpoint.failures;
        }
        LaneView {
            subset: subset.to_owned(),
            configured: ratio(share.weight.into(), weights).unwrap_or(0.0),
            observed: ratio(share.requests, requests),
            per_second: per_second(share.requests, seconds),
            calls: share.requests,
            error_share: ratio(failed, ended).unwrap_or(0.0),
            p95_ms: None,
            ready,
            instances,
            spark: Vec::new(),
        }
    };
    last.shares.iter().map(lane).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What was checked and holds.
pub(super) fn passed(form: &RouteForm, report: &ApplyReport) -> Vec<(String, Option<u32>)> {
    if report.findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Vec::new();
    }
    let mut passed = Vec::new();
    for (at, rule) in form.rules.iter().enumerate().filter(|(_, rule)| rule.targets.len() > 1) {
        let sum: u32 = rule.targets.iter().map(|target| target.weight).sum();
        let wanted = control::of_rule(at, control::SPLIT);
        let line = form.lines.iter().find(|lines| lines.control == wanted).map(|l| l.first);
        let subsets: Vec<_> = rule.targets.iter().map(|target| target.subset.as_str()).collect();
        let known = subsets.iter().all(|subset| form.subsets.iter().any(|own| own == subset));
        let subsets = if known {
            format!("; subsets {} exist", subsets.join(" and "))
        } else {
            String::new()
        };
        passed.push((format!("Weights of {} add up to {sum}{subsets}", rule.name), line));
    }
    passed
}

/// A draft tried on recorded requests.
pub(super) fn dry_run(run: mesh::DryRun) -> DryRun {
    let row = |change: &mesh::RouteChange| Rerouted {
        request: format!("{} {}", change.request.method, change.request.path),
        from: way(&change.from),
        to: way(&change.to),
        trace_id: None,
    };
    DryRun {
        requests: run.requests as u64,
        changed: run.changes.len() as u64,
        rows: run.changes.iter().take(DRY_RUN_ROWS_MAX).map(row).collect(),
        rules: run
            .hits
            .iter()
            .map(|hits| (format!("{} {}", hits.origin.name, hits.name), hits.requests as u64))
            .collect(),
    }
}

/// Where a request goes, in words.
fn way(chosen: &Chosen) -> String {
    match chosen {
        Chosen::Default { service } => format!("{service}, no rule"),
        Chosen::NoRoute { origin } => format!("404, no rule of {} matches", origin.name),
        Chosen::Rule { name, destinations, .. } if destinations.is_empty() => {
            format!("{name}, which answers itself")
        }
        Chosen::Rule { name, destinations, .. } => format!("{name}: {}", places(destinations)),
    }
}

fn places(places: &[mesh::Place]) -> String {
    let sum: u64 = places.iter().map(|place| u64::from(place.weight)).sum();
    let place = |place: &mesh::Place| {
        let subset = place.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        let percent = ratio(u64::from(place.weight) * 100, sum).unwrap_or(100.0);
        format!("{}{subset} {}%", place.service, (percent * 10.0).round() / 10.0)
    };
    places.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// A made-up request.
pub(super) fn probe(host: &str, asked: &ProbeRequest) -> Result<Probe, ApiError> {
    let bad = |field: &str, reason: String| ApiError::Invalid {
        fields: vec![FieldError::new(field, reason)],
    };
    let method: Method =
        asked.method.trim().to_ascii_uppercase().parse().map_err(|_| {
            bad("method", format!("{} is no HTTP method; GET is one.", asked.method))
        })?;
    let path = if asked.path.trim().is_empty() { "/" } else { asked.path.trim() };
    let uri = path.parse().map_err(|_| bad("path", format!("{path} is no path.")))?;
    let mut headers = HeaderMap::new();
    for line in asked.headers.lines().filter(|line| !line.trim().is_empty()) {
        let pair = line.split_once(':').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) =
            pair.ok_or_else(|| bad("headers", format!("{line} is no header; write name: value.")))?;
        headers.append(name, value);
    }
    let ingress = asked.source.is_empty();
    let source = if ingress { contract::service::BROWSER } else { &asked.source };
    let source = Source::of(source);
    Ok(Probe { source, called: host.to_owned(), ingress, method, uri, headers })
}

/// Which rule it would hit.
pub(super) fn verdict(explained: &Explanation) -> ProbeVerdict {
    let rule = |look: &mesh::RuleLook| {
        let matches = look.missed.is_empty() || look.missed.iter().any(Option::is_none);
        let missed: Vec<_> = look.missed.iter().flatten().map(ToString::to_string).collect();
        let why = match (matches, look.missed.is_empty()) {
            (true, true) => "it has no condition".to_owned(),
            (true, false) => "all conditions of a match hold".to_owned(),
            (false, _) => format!("{} does not hold", missed.join(", ")),
        };
        RuleVerdict { rule: look.name.to_string(), matches, why }
    };
    let goes = match &explained.chosen {
        Chosen::NoRoute { .. } => None,
        Chosen::Default { service } => Some(format!("{service}, any endpoint")),
        Chosen::Rule { destinations, .. } if destinations.is_empty() => {
            Some("nowhere: the rule answers itself".to_owned())
        }
        Chosen::Rule { destinations, .. } => Some(places(destinations)),
    };
    ProbeVerdict { rules: explained.rules.iter().map(rule).collect(), goes }
}
