//! What the stream carries about the mesh: faults, breakers, versions, endpoints, revisions.

use super::{
    Live,
    lanes::{self, Counts},
    news::breaker_change,
};
use crate::host::resilience::{Counted, breaker_lines, catch_all, endpoint_lines, faults, host_of};
use contract::{
    live::{ChangeView, LiveBody},
    resilience::{BreakerLine, FaultsView},
    traffic::{HostMesh, IdentityView, LaneView, MeshView, REVISION_MARKS_MAX, RevisionMark},
};
use istio::policy::{Mtls, Policy};
use mesh::{
    Change, CountedHits, Mesh, RouteHits,
    fault::FaultEvent,
    inbound::{Identity, InboundStats},
    mirror::MirrorStats,
};
use std::collections::VecDeque;

/// Seconds the counts of layers and rules are taken over.
const WINDOW_SECONDS: usize = 60;

/// What the mesh had counted at one moment.
#[derive(Clone, Debug)]
struct Sample {
    at_us: i64,
    counted: Counted,
    /// Shared with the sample before as far as nothing moved: there may be thousands of rules.
    hits: Vec<CountedHits>,
    mirrors: Vec<MirrorStats>,
}

/// What rules, rate limits and mirrors had counted at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minute {
    pub(crate) at_us: i64,
    pub(crate) hits: Vec<RouteHits>,
    pub(crate) inbound: Vec<InboundStats>,
    pub(crate) mirrors: Vec<MirrorStats>,
}

impl Minute {
    /// As it is now.
    pub(crate) fn now(mesh: &Mesh, at_us: i64) -> Self {
        let (hits, inbound) = (mesh.route_hits(), mesh.inbound_stats());
        Self { at_us, hits, inbound, mirrors: mesh.mirrors().stats() }
    }
}

/// One sample a second, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

impl Samples {
    fn take(&mut self, mesh: &Mesh, at_us: i64) {
        if self.0.len() > WINDOW_SECONDS {
            self.0.pop_front();
        }
        let before = self.0.back().map(|sample| sample.hits.as_slice()).unwrap_or_default();
        let hits = mesh.count_hits(before);
        let counted = Counted::of(mesh);
        self.0.push_back(Sample { at_us, counted, hits, mirrors: mesh.mirrors().stats() });
    }
}

/// The mesh as the last frame told it.
#[derive(Clone, Debug, Default)]
pub(super) struct InMesh {
    pub(super) faults: FaultsView,
    pub(super) breakers: Vec<BreakerLine>,
    pub(super) mesh: MeshView,
    marks: Vec<RevisionMark>,
}

impl Live {
    /// What the layers of callers and callees had done a minute ago, or at the start.
    #[must_use]
    pub(crate) fn counted_a_minute_ago(&self) -> Counted {
        let samples = self.samples.lock();
        samples.0.front().map(|sample| sample.counted.clone()).unwrap_or_default()
    }

    /// What rules, rate limits and mirrors had counted a minute ago, or at the start.
    #[must_use]
    pub(crate) fn a_minute_ago(&self) -> Minute {
        let samples = self.samples.lock();
        let nothing = Minute { at_us: self.started_us, ..Minute::default() };
        samples.0.front().map_or(nothing, |sample| Minute {
            at_us: sample.at_us,
            hits: sample.hits.iter().flat_map(CountedHits::hits).collect(),
            inbound: sample.counted.inbound.clone(),
            mirrors: sample.mirrors.clone(),
        })
    }

    /// The versions of a service as they were told last; and under the empty name, where a rule
    /// names no subset, all that was sent to the service without one.
    #[must_use]
    pub(crate) fn lanes(&self, service: &str) -> Vec<LaneView> {
        let endpoints = self.shop.mesh.endpoints();
        let state = self.state.lock();
        let host = state.in_mesh.mesh.hosts.iter().find(|host| host.service == service);
        let mut lanes = host.map(|host| host.lanes.clone()).unwrap_or_default();
        lanes.push(lanes::whole(service, &endpoints, &state.versions));
        lanes
    }

    /// Once a second.
    pub(super) fn sample_mesh(&self) {
        self.samples.lock().take(&self.shop.mesh, self.shop.clock.now_us());
    }

    /// Tells what differs from what was told last. One at a time: of two that look at once the one
    /// that looked first could else tell last, and what is over would stand until the next change.
    pub(crate) fn publish_mesh(&self) {
        let _one_at_a_time = self.telling_mesh.lock();
        let mesh = &self.shop.mesh;
        let now_us = self.shop.clock.now_us();
        let mut told = self.state.lock().in_mesh.clone();
        let in_force = mesh.in_force();
        let number = in_force.policy.revision;
        if told.marks.is_empty() {
            told.marks = self.marks_before();
        }
        if told.marks.last().is_none_or(|mark| mark.number != number) {
            told.marks.push(RevisionMark { at_us: in_force.at_us, number });
            let spare = told.marks.len().saturating_sub(REVISION_MARKS_MAX);
            told.marks.drain(..spare);
        }
        let faults = faults::all(mesh);
        let breakers = breaker_lines(mesh);
        let changed = breakers.iter().filter(|line| !told.breakers.contains(line)).cloned();
        let changed: Vec<BreakerLine> = changed.collect();
        let view = MeshView {
            revision: number,
            marks: told.marks.clone(),
            hosts: self.hosts(&in_force.policy, now_us),
            endpoints: endpoint_lines(mesh),
            identities: identities(mesh, &in_force.policy),
        };
        let (new_faults, new_mesh) = (faults != told.faults, view != told.mesh);
        let marks = told.marks;
        self.state.lock().in_mesh =
            InMesh { faults: faults.clone(), breakers, mesh: view.clone(), marks };
        if new_faults {
            self.publish(|_| LiveBody::Faults(faults));
        }
        if !changed.is_empty() {
            self.publish(|_| LiveBody::Breakers(changed));
        }
        if new_mesh {
            self.publish(|_| LiveBody::Mesh(view));
        }
    }

    /// What was in force before this run is marked where it was put in force then.
    fn marks_before(&self) -> Vec<RevisionMark> {
        let newest = self.control.revisions(REVISION_MARKS_MAX).into_iter().rev();
        newest.map(|before| RevisionMark { at_us: before.at_us, number: before.number }).collect()
    }

    /// A line under "What changed" for what happened in the mesh; breakers tell their own.
    pub(super) fn tell_change(&self, change: &Change) {
        let summary = match change {
            Change::Policy { revision, .. } => self.control.summary(*revision),
            _ => None,
        };
        if let Some(line) = line(change, summary) {
            self.publish_change(line);
        }
        self.publish_mesh();
    }

    /// The same for a fault.
    pub(super) fn tell_fault(&self, event: &FaultEvent) {
        let at_us = self.shop.clock.now_us();
        let line = |subject: String, text: &str, status: &str| ChangeView {
            at_us,
            href: Some(match subject.starts_with("F-") {
                true => format!("/resilience?fault={subject}#faults"),
                false => "/resilience#faults".to_owned(),
            }),
            subject,
            text: text.to_owned(),
            status: status.to_owned(),
            opened: 0,
        };
        self.publish_change(match event {
            FaultEvent::Began(status) => {
                let view = faults::view(status, &self.shop.mesh.in_force().policy);
                line(view.id, &format!("{}, {}", view.what, view.place), "warn")
            }
            FaultEvent::Crashed(status) => {
                let view = faults::view(status, &self.shop.mesh.in_force().policy);
                line(view.id, &format!("{} is down: {}", view.place, view.what), "error")
            }
            FaultEvent::Ended(status) => line(status.id.to_string(), "ended", "ok"),
            FaultEvent::KillSwitch(true) => {
                line("Kill switch".into(), "all faults ended, new ones are held off", "info")
            }
            FaultEvent::KillSwitch(false) => line("Kill switch".into(), "released", "info"),
        });
        self.publish_mesh();
    }
}

/// Who each service is to the others, and what it asks of those who call it.
fn identities(mesh: &Mesh, policy: &Policy) -> Vec<IdentityView> {
    let view = |service: std::sync::Arc<str>| IdentityView {
        principal: format!("spiffe://{}", Identity::of_service(&service).principal()),
        mode: match policy.workloads.get(&service).map(|workload| workload.mtls) {
            Some(Mtls::Strict) => "STRICT",
            Some(Mtls::Disable) => "DISABLE",
            Some(Mtls::Permissive) | None => "PERMISSIVE",
        }
        .to_owned(),
        service: service.to_string(),
    };
    mesh.services().into_iter().map(view).collect()
}

/// "payments v2 0% -> 50%, since request #2105": what moves requests most, and since when.
fn policy_text(summary: &str, since_request: u64) -> String {
    match summary.split(", ").next().filter(|first| !first.is_empty()) {
        Some(first) => format!("{first}, since request #{since_request}"),
        None => format!("in force since request #{since_request}"),
    }
}

fn line(change: &Change, summary: Option<String>) -> Option<ChangeView> {
    let view = |at_us, subject: String, text: String, status: &str, href: &str| ChangeView {
        at_us,
        subject,
        text,
        status: status.to_owned(),
        href: Some(href.to_owned()),
        opened: 0,
    };
    match change {
        Change::Breaker(transition) => Some(breaker_change(transition)),
        Change::Ejection(ejection) => {
            let (text, status) = match ejection.until_us {
                Some(until_us) => {
                    let seconds = (until_us - ejection.at_us) / 1_000_000;
                    (format!("ejected for {seconds} s"), "open")
                }
                None => ("back in rotation".to_owned(), "ok"),
            };
            let instance = ejection.instance.to_string();
            Some(view(ejection.at_us, instance, text, status, "/resilience#endpoints"))
        }
        Change::Instance(instance) => {
            let status = match instance.state {
                "killed" => "error",
                "paused" => "warn",
                "ready" => "ok",
                // At the start every instance is added; that is no news.
                _ => return None,
            };
            let (name, text) = (instance.instance.to_string(), instance.state.to_owned());
            Some(view(instance.at_us, name, text, status, "/resilience#endpoints"))
        }
        Change::Policy { revision, since_request, at_us } => {
            let text = policy_text(summary.as_deref().unwrap_or_default(), *since_request);
            Some(view(*at_us, format!("r{revision}"), text, "info", "/traffic"))
        }
    }
}

impl Live {
    /// Services with versions or a mirror, as the last minute was.
    fn hosts(&self, policy: &Policy, now_us: i64) -> Vec<HostMesh> {
        let (mesh, samples) = (&self.shop.mesh, self.samples.lock());
        let in_force = |counted: Vec<CountedHits>| -> Vec<RouteHits> {
            let counted = counted.iter().filter(|hits| hits.revision() == policy.revision);
            counted.flat_map(CountedHits::hits).collect()
        };
        let (now, endpoints) = (in_force(mesh.count_hits(&[])), mesh.endpoints());
        let old = samples.0.front();
        let before = in_force(old.map(|sample| sample.hits.clone()).unwrap_or_default());
        let since_us = old.map_or(self.started_us, |sample| sample.at_us);
        let versions = self.state.lock().versions.clone();
        let counts =
            Counts { now: &now, before: &before, endpoints: &endpoints, versions: &versions };
        #[expect(clippy::cast_precision_loss, reason = "a minute")]
        let seconds = ((now_us - since_us) as f64 / 1e6).max(1.0);
        let host = |service: std::sync::Arc<str>| {
            let route = catch_all(policy, &service);
            let mirror = route.and_then(|route| route.mirrors.first());
            let mirror = mirror.map(|mirror| f64::from(mirror.share.0) / 10_000.0);
            // Where every rule has a condition, the last is for most of what is not singled out.
            let route = route.or_else(|| host_of(policy, &service)?.routes.last());
            let route = route.map(|route| &**route);
            let (lanes, pooled) = lanes::of(&service, route, policy, &counts, seconds);
            (mirror.is_some() || !lanes.is_empty()).then(|| HostMesh {
                service: service.to_string(),
                lanes,
                mirror_percent: mirror,
                pooled,
            })
        };
        mesh.services().into_iter().filter_map(host).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use istio::policy::{Action, DirectResponse, HeaderOps, Origin, Retry, Route, VirtualHost};

    #[test]
    fn a_minute_in_which_nothing_moves_is_kept_once_however_many_rules_there_are() {
        let mesh = Mesh::new(base::Clock::system(), mesh::BreakerParams::default());
        let rule = |at: usize| Route { name: format!("#{at}").into(), ..answering() };
        for revision in 1..=3 {
            let host = VirtualHost {
                origin: Origin::default(),
                hosts: vec!["payments".into()],
                in_mesh: true,
                at_ingress: false,
                built_in: false,
                listeners: Vec::new(),
                routes: (0..500).map(|at| rule(at).into()).collect(),
            };
            let virtual_hosts = vec![host];
            mesh.apply(Policy { revision, virtual_hosts, ..Policy::default() }.into());
        }
        let mut samples = Samples::default();
        (0..100).for_each(|second| samples.take(&mesh, second));
        assert_eq!(samples.0.len(), WINDOW_SECONDS + 1);
        let first = &samples.0[0].hits;
        assert_eq!(first.iter().map(|hits| hits.hits().len()).sum::<usize>(), 3 * 500);
        for sample in &samples.0 {
            let shared = first.iter().zip(&sample.hits).all(|(a, b)| a.is_shared_with(b));
            assert!(shared, "at second {}", sample.at_us);
        }
    }

    fn answering() -> Route {
        let status = axum::http::StatusCode::NO_CONTENT;
        Route {
            origin: Origin::default(),
            name: "".into(),
            line: 1,
            matches: Vec::new(),
            action: Action::Direct(DirectResponse { status, body: Vec::new() }),
            rewrite: None,
            timeout: None,
            retry: Retry::default(),
            fault: None,
            faithful: false,
            mirrors: Vec::new(),
            cors: None,
            headers: HeaderOps::default(),
            rate_limit: None,
        }
    }

    #[test]
    fn a_revision_is_told_by_what_moves_requests_most() {
        let told = policy_text("payments v2 0% -> 50%, payments metadata.labels removed", 2_105);
        assert_eq!(told, "payments v2 0% -> 50%, since request #2105");
        assert_eq!(policy_text("", 7), "in force since request #7");
    }
}

#[cfg(test)]
#[path = "in_mesh_tests.rs"]
mod telling;
