//! The versions of a service side by side: how much each should get, and how much it gets.
//!
//! Where every destination of the route names a subset, the lanes are the subsets: a lane should
//! get its weight, and what it got is what the rule sent there. Where one names none, whichever
//! instance is next gets the request: the lanes are the versions, a lane should get what its
//! instances are of all, and what it got is what they were called with.

use contract::{service::GATEWAY, traffic::LaneView};
use istio::policy::{Action, HeaderOps, Policy, Route, Subset, Weighted};
use mesh::{EndpointStatus, Phase, RouteHits};
use std::collections::BTreeSet;
use telemetry::VersionRates;

/// What lanes are counted from.
pub(super) struct Counts<'a> {
    pub(super) now: &'a [RouteHits],
    pub(super) before: &'a [RouteHits],
    pub(super) endpoints: &'a [EndpointStatus],
    pub(super) versions: &'a [VersionRates],
}

/// Labels that instances have.
type Labels = [(String, String)];

/// What a lane is made from.
struct Part {
    name: String,
    labels: Vec<(String, String)>,
    configured: f64,
    calls: u64,
}

impl Counts<'_> {
    /// Requests that a rule sent to a subset of a service since the sample.
    fn sent(&self, revision: u64, route: &Route, (service, subset): (&str, &str)) -> u64 {
        let count = |hits: &[RouteHits]| -> u64 {
            let same = |hits: &&RouteHits| {
                hits.revision == revision && hits.origin == route.origin && hits.name == route.name
            };
            let shares = hits.iter().filter(same).flat_map(|hits| &hits.shares);
            let here = shares.filter(|share| {
                *share.service == *service && share.subset.as_deref() == Some(subset)
            });
            here.map(|share| share.requests).sum()
        };
        count(self.now).saturating_sub(count(self.before))
    }

    /// Calls that the instances of a version took in the last minute. What comes from outside has
    /// no span of a caller: the gateway's instances have counted themselves.
    fn taken(&self, service: &str, version: &str, labels: &Labels) -> u64 {
        if service == GATEWAY {
            let own = instances(self.endpoints, service, labels);
            return own.map(|endpoint| endpoint.requests).sum();
        }
        seen(self.versions, service, version).map_or(0, |seen| seen.rates.calls)
    }

    fn lane(&self, service: &str, part: Part, all: u64, seconds: f64) -> LaneView {
        let Part { name, labels, configured, calls } = part;
        #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
        let per_second = calls as f64 / seconds;
        LaneView {
            configured,
            observed: ratio(calls, all),
            per_second,
            calls,
            ..measured(service, &name, instances(self.endpoints, service, &labels), self.versions)
        }
    }
}

/// Every version of a service that requests are told apart by, if it has several; and whether that
/// is by the instance that is chosen.
pub(super) fn of(
    service: &str,
    route: Option<&Route>,
    policy: &Policy,
    counts: &Counts<'_>,
    seconds: f64,
) -> (Vec<LaneView>, bool) {
    let anywhere = [Weighted {
        service: service.into(),
        subset: None,
        port: None,
        weight: 1,
        headers: HeaderOps::default(),
    }];
    let to = match route.map(|route| &route.action) {
        Some(Action::Forward(to)) => to.as_slice(),
        Some(_) => return (Vec::new(), false),
        // Without a rule any instance is asked.
        None => &anywhere,
    };
    let rule = policy.destinations.get(service);
    let subsets = rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default();
    let by_subset = subsets.len() > 1 && to.iter().all(|to| to.subset.is_some());
    let (parts, pooled) = match route.filter(|_| by_subset) {
        None => (versions(service, to, subsets, counts), true),
        Some(route) => {
            let part = |subset: &Subset| Part {
                name: subset.name.to_string(),
                labels: subset.labels.clone(),
                configured: weight(to, |to| match to.subset == Some(subset.name.clone()) {
                    true => 1.0,
                    false => 0.0,
                }),
                calls: counts.sent(policy.revision, route, (service, &*subset.name)),
            };
            (subsets.iter().map(part).collect::<Vec<_>>(), false)
        }
    };
    if parts.len() < 2 {
        return (Vec::new(), false);
    }
    let all = parts.iter().map(|part| part.calls).sum();
    let lane = |part| counts.lane(service, part, all, seconds);
    (parts.into_iter().map(lane).collect(), pooled)
}

/// The versions that the labels of a service's instances tell apart.
fn versions(service: &str, to: &[Weighted], subsets: &[Subset], counts: &Counts<'_>) -> Vec<Part> {
    let all = || instances(counts.endpoints, service, &[]);
    let labels = all().flat_map(|endpoint| &endpoint.labels);
    let names: BTreeSet<&String> =
        labels.filter(|(name, _)| name == VERSION).map(|(_, version)| version).collect();
    let part = |name: &String| {
        let label = (VERSION.to_owned(), name.clone());
        // What the version is of the instances that a destination may choose from.
        let share = |to: &Weighted| {
            let named = to.subset.as_ref().map(|wanted| {
                subsets.iter().find(|subset| subset.name == *wanted).map(|s| s.labels.as_slice())
            });
            let pool: Vec<_> = match named {
                None => all().collect(),
                Some(Some(labels)) => instances(counts.endpoints, service, labels).collect(),
                Some(None) => Vec::new(),
            };
            let own = pool.iter().filter(|endpoint| endpoint.labels.contains(&label)).count();
            ratio(own as u64, pool.len() as u64).filter(|_| *to.service == *service).unwrap_or(0.0)
        };
        Part {
            configured: weight(to, share),
            calls: counts.taken(service, name, std::slice::from_ref(&label)),
            name: name.clone(),
            labels: vec![label],
        }
    };
    names.into_iter().map(part).collect()
}

/// The label that tells versions apart.
const VERSION: &str = "version";

/// All that was sent to a service without a subset, as a lane without a name.
pub(super) fn whole(
    service: &str,
    endpoints: &[EndpointStatus],
    versions: &[VersionRates],
) -> LaneView {
    let calls = seen(versions, service, "").map(|seen| &seen.rates);
    LaneView {
        configured: 1.0,
        observed: calls.map(|_| 1.0),
        per_second: calls.map_or(0.0, |rates| rates.per_second),
        calls: calls.map_or(0, |rates| rates.calls),
        ..measured(service, "", instances(endpoints, service, &[]), versions)
    }
}

/// Which instances there are, and how what was called there went.
fn measured<'a>(
    service: &str,
    name: &str,
    own: impl Iterator<Item = &'a EndpointStatus>,
    versions: &[VersionRates],
) -> LaneView {
    let (mut ready, mut instances, mut ended, mut failed) = (0, 0, 0, 0);
    for endpoint in own {
        instances += 1;
        let takes = endpoint.phase == Phase::Ready && endpoint.ejected_until_us.is_none();
        ready += u32::from(takes);
        ended += endpoint.requests;
        failed += endpoint.failures;
    }
    let seen = seen(versions, service, name);
    LaneView {
        subset: name.to_owned(),
        configured: 0.0,
        observed: None,
        per_second: 0.0,
        calls: 0,
        error_share: seen
            .map_or_else(|| ratio(failed, ended).unwrap_or(0.0), |seen| seen.rates.error_share),
        p95_ms: seen.and_then(|seen| seen.rates.p95_ms),
        spark: seen.map(|seen| seen.spark.clone()).unwrap_or_default(),
        ready,
        instances,
    }
}

fn seen<'a>(all: &'a [VersionRates], service: &str, name: &str) -> Option<&'a VersionRates> {
    all.iter().find(|version| version.service == service && *version.rates.subset == *name)
}

/// The instances of a service with these labels.
fn instances<'a>(
    all: &'a [EndpointStatus],
    service: &str,
    labels: &Labels,
) -> impl Iterator<Item = &'a EndpointStatus> {
    all.iter().filter(move |endpoint| {
        *endpoint.service == *service && labels.iter().all(|l| endpoint.labels.contains(l))
    })
}

/// The part of a split, each destination by so much of its weight.
fn weight(to: &[Weighted], of: impl Fn(&Weighted) -> f64) -> f64 {
    let all: f64 = to.iter().map(|to| f64::from(to.weight)).sum();
    let part: f64 = to.iter().map(|to| f64::from(to.weight) * of(to)).sum();
    if all > 0.0 { part / all } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
