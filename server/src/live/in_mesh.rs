//! What the stream carries about the mesh: faults, breakers, versions, endpoints, revisions.

use super::Live;
use crate::host::resilience::{breaker_lines, endpoint_lines, faults};
use contract::{
    live::{ChangeView, LiveBody},
    resilience::{BreakerLine, FaultsView},
    traffic::{HostMesh, LaneView, MeshView, REVISION_MARKS_MAX, RevisionMark},
};
use istio::policy::{Action, Policy, Route};
use mesh::{Change, RouteHits, fault::FaultEvent};
use std::sync::Arc;

/// The mesh as the last frame told it.
#[derive(Clone, Debug, Default)]
pub(super) struct InMesh {
    pub(super) faults: FaultsView,
    pub(super) breakers: Vec<BreakerLine>,
    pub(super) mesh: MeshView,
    marks: Vec<RevisionMark>,
}

impl Live {
    /// Tells what differs from what was told last.
    pub(super) fn publish_mesh(&self) {
        let mesh = &self.shop.mesh;
        let now_us = self.shop.clock.now_us();
        let mut told = self.state.lock().in_mesh.clone();
        let in_force = mesh.in_force();
        let number = in_force.policy.revision;
        if told.marks.last().is_none_or(|mark| mark.number != number) {
            told.marks.push(RevisionMark { at_us: in_force.at_us, number });
            let spare = told.marks.len().saturating_sub(REVISION_MARKS_MAX);
            told.marks.drain(..spare);
        }
        let mut faults = faults::all(mesh.faults(), now_us);
        if told.faults.held_us.is_some() && faults.held_us.is_some() {
            faults.held_us = told.faults.held_us;
        }
        let breakers = breaker_lines(mesh);
        let changed = breakers.iter().filter(|line| !told.breakers.contains(line)).cloned();
        let changed: Vec<BreakerLine> = changed.collect();
        let view = MeshView {
            revision: number,
            marks: told.marks.clone(),
            hosts: hosts(&in_force.policy, &mesh.route_hits()),
            endpoints: endpoint_lines(mesh),
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

    /// A line under "What changed" for what happened in the mesh; breakers tell their own.
    pub(super) fn tell_change(&self, change: &Change) {
        if let Some(line) = line(change) {
            self.publish_change(line);
        }
        self.publish_mesh();
    }

    /// The same for a fault.
    pub(super) fn tell_fault(&self, event: &FaultEvent) {
        let at_us = self.shop.clock.now_us();
        let line = |subject: String, text: &str, status: &str| ChangeView {
            at_us,
            subject,
            text: text.to_owned(),
            status: status.to_owned(),
            href: Some("/resilience".to_owned()),
        };
        self.publish_change(match event {
            FaultEvent::Began(status) => {
                let view = faults::view(status);
                line(view.id, &format!("{}, {}", view.what, view.place), "warn")
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

fn line(change: &Change) -> Option<ChangeView> {
    let view = |at_us, subject: String, text: String, status: &str, href: &str| ChangeView {
        at_us,
        subject,
        text,
        status: status.to_owned(),
        href: Some(href.to_owned()),
    };
    match change {
        Change::Breaker(_) => None,
        Change::Ejection(ejection) => {
            let (text, status) = match ejection.until_us {
                Some(until_us) => {
                    let seconds = (until_us - ejection.at_us) / 1_000_000;
                    (format!("ejected for {seconds} s"), "open")
                }
                None => ("back in rotation".to_owned(), "ok"),
            };
            let instance = ejection.instance.to_string();
            Some(view(ejection.at_us, instance, text, status, "/resilience"))
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
            Some(view(instance.at_us, name, text, status, "/resilience"))
        }
        Change::Policy { revision, since_request, at_us } => {
            let text = format!("in force since request #{since_request}");
            Some(view(*at_us, format!("r{revision}"), text, "info", "/traffic"))
        }
    }
}

/// Services with versions or a mirror.
fn hosts(policy: &Policy, hits: &[RouteHits]) -> Vec<HostMesh> {
    let mut hosts: Vec<HostMesh> = Vec::new();
    for route in policy.virtual_hosts.iter().flat_map(|host| &host.routes) {
        let Action::Forward(to) = &route.action else { continue };
        let mirror = route.mirrors.first().map(|mirror| f64::from(mirror.share.0) / 10_000.0);
        let several = to.len() > 1 && to.iter().all(|to| to.service == to_service(route));
        if !several && mirror.is_none() {
            continue;
        }
        let service = to_service(route).to_string();
        let lanes = if several { lanes(route, policy.revision, hits) } else { Vec::new() };
        match hosts.iter_mut().find(|host| host.service == service) {
            // The rule that everything else falls to stands last.
            Some(host) => {
                if !lanes.is_empty() {
                    host.lanes = lanes;
                }
                host.mirror_percent = host.mirror_percent.or(mirror);
            }
            None => hosts.push(HostMesh { service, lanes, mirror_percent: mirror }),
        }
    }
    hosts
}

fn to_service(route: &Route) -> Arc<str> {
    match &route.action {
        Action::Forward(to) => to.first().map(|to| to.service.clone()).unwrap_or_default(),
        Action::Redirect(_) | Action::Direct(_) => Arc::default(),
    }
}

fn lanes(route: &Route, revision: u64, hits: &[RouteHits]) -> Vec<LaneView> {
    let same = |hits: &&RouteHits| {
        hits.revision == revision && hits.origin == route.origin && hits.name == route.name
    };
    let Some(hits) = hits.iter().find(same) else { return Vec::new() };
    let weights: u64 = hits.shares.iter().map(|share| u64::from(share.weight)).sum();
    let requests: u64 = hits.shares.iter().map(|share| share.requests).sum();
    #[expect(clippy::cast_precision_loss, reason = "requests of a run")]
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let lane = |share: &mesh::DestinationShare| LaneView {
        subset: share.subset.as_deref().unwrap_or_default().to_owned(),
        configured: ratio(share.weight.into(), weights).unwrap_or(0.0),
        observed: ratio(share.requests, requests),
        per_second: 0.0,
        calls: share.requests,
        error_share: 0.0,
        p95_ms: None,
        ready: 0,
        instances: 0,
    };
    hits.shares.iter().map(lane).collect()
}
