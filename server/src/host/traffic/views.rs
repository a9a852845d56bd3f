//! Engine types of routing turned into what the Traffic page shows.

use super::{
    documents,
    rates::{Window, ratio},
};
use contract::{
    ApiError, FieldError,
    istio::{ApplyReport, Severity},
    traffic::{
        DRY_RUN_ROWS_MAX, Draft, DryRun, HostRow, LaneView, MIRROR_PAIRS_MAX, MirrorDifference,
        MirrorPair, MirrorSide, ProbeRequest, ProbeVerdict, Rerouted, RevisionRow, RouteForm,
        RouteView, RuleHits, RuleVerdict, control,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use istio::{Configuration, Known, KnownService, policy::Origin};
use mesh::{
    Chosen, Explanation, HypotheticalRequest, Mesh, RouteHits, Source,
    mirror::{Compared, Difference, DifferencePlace, Side},
};

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
    revisions: Vec<RevisionRow>,
    mesh: &Mesh,
    window: &Window,
    lanes: Vec<LaneView>,
) -> RouteView {
    let in_force = mesh.in_force();
    let documents = || applied.form.iter().flat_map(|form| &form.documents);
    let ours = |origin: &Origin| {
        let title = documents::title(&origin.namespace, &origin.name);
        documents().any(|d| d.kind == "VirtualService" && d.name == title)
    };
    let current =
        |hits: &&RouteHits| hits.revision == in_force.policy.revision && ours(&hits.origin);
    let rules = window.now.hits.iter().filter(current);
    let mut hits: Vec<RuleHits> = Vec::new();
    for hit in rules.map(|hits| window.rule(hits)) {
        // The routes of a resource stand once for each of its hosts.
        if !hits.iter().any(|known| (&known.service, &known.rule) == (&hit.service, &hit.rule)) {
            hits.push(hit);
        }
    }
    let pairs = mesh.mirrors().compared();
    let pairs = pairs.iter().filter(|pair| ours(&pair.origin)).take(MIRROR_PAIRS_MAX);
    RouteView {
        host: service.name.clone(),
        revision: in_force.policy.revision,
        lanes,
        hits,
        revisions,
        limited: window.limited(&service.name),
        mirror_differs: window.mirrored(&|stats| ours(&stats.origin)),
        mirrored: pairs.map(mirror_pair).collect(),
        applied,
    }
}

/// A pair of answers that differ.
pub(crate) fn mirror_pair(pair: &Compared) -> MirrorPair {
    let subset = pair.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
    let side = |side: &Side| MirrorSide {
        status: side.status,
        error: side.error.clone(),
        took_ms: side.took.as_secs_f64() * 1_000.0,
        trace_id: side.trace_id.clone(),
    };
    let difference = |difference: &Difference| MirrorDifference {
        place: match &difference.place {
            DifferencePlace::Status => "status".to_owned(),
            DifferencePlace::Header(name) => format!("header {name}"),
            DifferencePlace::Field(pointer) if pointer.is_empty() => "body".to_owned(),
            DifferencePlace::Field(pointer) => format!("field {pointer}"),
            DifferencePlace::Line(line) => format!("line {line}"),
            DifferencePlace::Byte(byte) => format!("byte {byte}"),
        },
        live: difference.live.clone(),
        mirrored: difference.mirrored.clone(),
    };
    MirrorPair {
        at_us: pair.at_us,
        rule: pair.route.to_string(),
        to: format!("{}{subset}", pair.service),
        request: format!("{} {}", pair.method, pair.path),
        live: side(&pair.live),
        mirrored: side(&pair.mirrored),
        differences: pair.differences.iter().map(difference).collect(),
    }
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
pub(super) fn dry_run(run: mesh::DryRunOutcome) -> DryRun {
    let row = |change: &mesh::RouteChange| Rerouted {
        request: format!("{} {}", change.request.method, change.request.path),
        from: change.moved.as_ref().map_or_else(|| way(&change.from), |(from, _)| named(from)),
        to: change.moved.as_ref().map_or_else(|| way(&change.to), |(_, to)| named(to)),
        trace_id: change.request.trace_id.as_deref().map(str::to_owned),
    };
    DryRun {
        requests: run.requests as u64,
        changed: run.changes.len() as u64,
        incomplete: run.incomplete as u64,
        rows: run.changes.iter().take(DRY_RUN_ROWS_MAX).map(row).collect(),
        rules: run
            .hits
            .iter()
            .map(|hits| (format!("{} {}", hits.origin.name, hits.name), hits.requests as u64))
            .collect(),
    }
}

/// "payments v2".
fn named((service, subset): &mesh::PlaceName) -> String {
    subset.as_ref().map_or_else(|| service.to_string(), |subset| format!("{service} {subset}"))
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

fn places(places: &[mesh::WeightedPlace]) -> String {
    let sum: u64 = places.iter().map(|place| u64::from(place.weight)).sum();
    let place = |place: &mesh::WeightedPlace| {
        let subset = place.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        let percent = ratio(u64::from(place.weight) * 100, sum).unwrap_or(100.0);
        format!("{}{subset} {}%", place.service, (percent * 10.0).round() / 10.0)
    };
    places.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// A made-up request.
pub(super) fn probe(host: &str, asked: &ProbeRequest) -> Result<HypotheticalRequest, ApiError> {
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
    Ok(HypotheticalRequest { source, called: host.to_owned(), ingress, method, uri, headers })
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
