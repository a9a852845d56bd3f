//! Faults of resources as the control plane sees them: what an apply says about each, and what
//! outlives the process.
//!
//! They are injected and ended by the mesh. Here is only told and kept how they stand.

use super::Control;
use contract::istio::{
    ApplyReport, Change, Finding, Position, ResourceKey, ResourceReport, Severity,
};
use istio::{Configuration, Resource, code, policy::Origin, yaml::Node};
use mesh::fault::{ACTIVE_MAX, AskedFault, FaultKind, FaultStanding, KeptFault, TTL_ROUTE};
use shop::StoreError;
use std::sync::Arc;
use storage::SavedFault;
use tokio::sync::{MutexGuard, broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// As many faults as may be active, and so begin, at once.
pub(crate) const FAULTS_MAX: u32 = ACTIVE_MAX as u32;
/// Times that the kill switch is held or released at once: one is kept, the others wait for it,
/// also when who asked went away. Nobody presses so often by hand.
pub(super) const SWITCHES_MAX: usize = 16;

impl Control {
    /// The mesh goes on with the faults as they were kept, and with numbers that no run has given.
    pub(super) async fn recall_faults(&self) -> Result<(), StoreError> {
        let given = self.0.log.fault_numbers().await?;
        self.0.mesh.faults().number_after(given);
        *self.0.fault_numbers.lock().await = given;
        if let Some(since_us) = self.0.log.kill_switch().await? {
            self.0.mesh.faults().hold(since_us);
        }
        let saved = self.0.log.faults().await?;
        self.0.mesh.faults().recall(saved.iter().cloned().map(recalled).collect());
        *self.0.kept_faults.lock().await = saved;
        Ok(())
    }

    /// Faults of applied resources begin anew where they are over, also where nothing changed.
    pub(super) fn renew_faults(&self, report: &ApplyReport) {
        let origins: Vec<Origin> = applied(report).map(|r| origin(&r.resource)).collect();
        let policy = self.0.mesh.in_force().policy;
        self.0.mesh.faults().renew(&origins, &policy);
    }

    /// Says of each fault of the applied resources until when it is active, or why it is not.
    pub(super) fn tell_faults(&self, report: &mut ApplyReport) {
        let asked = self.0.mesh.faults().asked();
        let of = |resource: &ResourceReport| {
            let origin = origin(&resource.resource);
            let its = asked.iter().filter(move |fault| fault.origin == origin);
            its.map(|fault| finding(resource, fault)).collect::<Vec<_>>()
        };
        let told: Vec<Finding> = applied(report).flat_map(of).collect();
        report.findings.extend(told);
        // The worst stay first; those of one severity keep their order.
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }

    /// Has faults begin, at most so many. A message may carry the number of one, and must not blame
    /// another of a later run: the numbers are set aside, durably, before any of them is given.
    ///
    /// # Errors
    /// They cannot be; nothing begins then.
    pub(crate) async fn begin_faults<T>(
        &self,
        most: u32,
        begin: impl FnOnce() -> T,
    ) -> Result<T, StoreError> {
        let numbers = self.set_numbers_aside(most).await?;
        let begun = begin();
        self.give_numbers_back(numbers).await;
        Ok(begun)
    }

    /// Sets aside as many numbers as may be needed, for whoever holds them.
    pub(super) async fn set_numbers_aside(&self, most: u32) -> Result<Numbers<'_>, StoreError> {
        let mut reserved = self.0.fault_numbers.lock().await;
        let needed = self.0.mesh.faults().last_number().saturating_add(most);
        if needed > *reserved {
            self.0.log.keep_fault_numbers(needed).await?;
            *reserved = needed;
        }
        Ok(Numbers(reserved))
    }

    /// Those that were not given are free again. Where that cannot be kept, the next run leaves
    /// them out.
    pub(super) async fn give_numbers_back(&self, mut numbers: Numbers<'_>) {
        let given = self.0.mesh.faults().last_number();
        if given == *numbers.0 {
            return;
        }
        match self.0.log.keep_fault_numbers(given).await {
            Ok(()) => *numbers.0 = given,
            Err(error) => tracing::error!(%error, "the numbers of faults were not kept"),
        }
    }

    /// Keeps how the faults of resources stand, if that changed. An apply that is in force is so
    /// whether or not this succeeds.
    pub(super) async fn keep_faults(&self) {
        let mut kept = self.0.kept_faults.lock().await;
        let now: Vec<_> =
            self.0.mesh.faults().asked().iter().map(|fault| saved(fault.kept())).collect();
        if *kept == now {
            return;
        }
        match self.0.log.keep_faults(now.clone()).await {
            Ok(()) => *kept = now,
            Err(error) => tracing::error!(%error, "the ends of faults were not kept"),
        }
    }

    /// Ends all faults and holds the kill switch: whoever did finds none after a restart. They end
    /// at once, whatever becomes of the rest, which goes on also when who asked went away.
    ///
    /// # Errors
    /// All are ended, but after a restart the kill switch may not be held.
    pub(crate) async fn hold_kill_switch(&self) -> Result<(), SwitchError> {
        self.0.mesh.faults().end_all();
        let control = self.clone();
        self.switch(async move { control.keep_kill_switch().await }).await
    }

    /// Releases the kill switch, and the faults that wait for it begin. It goes on to its end also
    /// when who asked went away.
    ///
    /// # Errors
    /// It is still held, or after a restart it may be held again.
    pub(crate) async fn release_kill_switch(&self) -> Result<(), SwitchError> {
        let control = self.clone();
        let release = async move {
            let released = || control.0.mesh.faults().release();
            let begun = control.begin_faults(FAULTS_MAX, released).await;
            begun.map_err(SwitchError::Numbers)?;
            control.keep_kill_switch().await
        };
        self.switch(release).await
    }

    async fn switch(
        &self,
        command: impl Future<Output = Result<(), SwitchError>> + Send + 'static,
    ) -> Result<(), SwitchError> {
        let command = command.in_current_span();
        let begun = self.0.switches.detach_as("kill-switch", command);
        let begun = begun.ok_or(SwitchError::Busy)?;
        begun.await.unwrap_or(Err(SwitchError::Interrupted))
    }

    async fn keep_kill_switch(&self) -> Result<(), SwitchError> {
        // One at a time, so that what is kept last is how it stands.
        let _kept = self.0.kept_faults.lock().await;
        let since_us = self.0.mesh.faults().killed_us();
        self.0.log.keep_kill_switch(since_us).await.map_err(SwitchError::NotKept)
    }

    /// Holds up whoever would keep something of faults, as a slow disk does.
    #[cfg(test)]
    pub(crate) async fn keeps_nothing_meanwhile(&self) -> impl Sized + '_ {
        self.0.kept_faults.lock().await
    }

    /// Keeps them whenever one begins or ends, until `stop`.
    pub async fn follow_faults(self, stop: CancellationToken) {
        let mut events = self.0.mesh.faults().events();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            if matches!(event, Err(RecvError::Closed)) {
                return;
            }
            self.keep_faults().await;
        }
    }
}

/// Why the kill switch does not stand as it was asked to, now or after a restart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    /// No faults may begin, since their numbers cannot be set aside: it is as it was.
    #[error("the numbers of faults cannot be kept")]
    Numbers(#[source] StoreError),
    /// It stands as it was asked to until this process ends.
    #[error("the kill switch was not kept")]
    NotKept(#[source] StoreError),
    /// As many wait for it to be kept as may.
    #[error("{SWITCHES_MAX} wait for the kill switch already")]
    Busy,
    /// The program stopped meanwhile, or it failed in a way nobody foresaw.
    #[error("the kill switch was interrupted")]
    Interrupted,
}

/// Numbers of faults that are set aside. Nobody else has faults begin meanwhile.
pub(super) struct Numbers<'a>(MutexGuard<'a, u32>);

/// How many faults may begin when these resources are put in force: none where none is asked for.
pub(super) fn may_begin(configuration: &Configuration) -> u32 {
    let asks = |resource: &Arc<Resource>| {
        let rules = resource.root().path(&["spec", "http"]).map_or(&[][..], Node::items);
        rules.iter().any(|rule| rule.get("fault").is_some())
    };
    if configuration.resources().any(asks) { FAULTS_MAX } else { 0 }
}

/// The resources of a text that have routes.
fn applied(report: &ApplyReport) -> impl Iterator<Item = &ResourceReport> {
    let ours = |r: &&ResourceReport| !matches!(r.change, Change::NotOurs | Change::Deleted);
    report.resources.iter().filter(ours).filter(|r| r.resource.kind == "VirtualService")
}

fn origin(key: &ResourceKey) -> Origin {
    Origin {
        kind: key.kind.as_str().into(),
        namespace: key.namespace.as_str().into(),
        name: key.name.as_str().into(),
    }
}

fn finding(resource: &ResourceReport, fault: &AskedFault) -> Finding {
    let what = format!("The {} of route {}", fault.kind, fault.route);
    let (severity, message, advice) = match fault.standing {
        FaultStanding::Active { id, until_us } => (
            Severity::Info,
            format!("{what} is active until {} UTC ({id}).", time_of_day(until_us)),
            format!(
                "A fault of a resource lives {} min; apply the resource again afterwards to start \
                 it anew. DELETE /control/faults/{id} ends it.",
                TTL_ROUTE.as_secs() / 60
            ),
        ),
        FaultStanding::Waiting => (
            Severity::Warning,
            format!("{what} is not injected: the kill switch is on; it starts on release."),
            "Release it with POST /control/faults/release.".to_owned(),
        ),
        FaultStanding::TooMany => (
            Severity::Warning,
            format!("{what} is not injected: {ACTIVE_MAX} faults are active, which is the limit."),
            "End one, and apply the resource again.".to_owned(),
        ),
        FaultStanding::Over => (
            Severity::Info,
            format!("{what} is over and injects nothing."),
            "Apply the resource again to start it anew.".to_owned(),
        ),
    };
    let (path, at) = place(resource, fault);
    Finding {
        code: code::FAULT_LIFE.to_owned(),
        severity,
        resource: Some(resource.resource.clone()),
        path,
        at,
        message,
        advice,
        correct_form: None,
    }
}

/// Where a fault stands in the text, by the first of its fields that is listed. A route without a
/// name is called by its place, from 1; one that has a name is found when no other has a fault.
fn place(resource: &ResourceReport, fault: &AskedFault) -> (String, Position) {
    let word = match fault.kind {
        FaultKind::Delay(_) => "delay",
        _ => "abort",
    };
    let index = fault.route.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
    let mut found: Option<(String, Position)> = None;
    for field in &resource.fields {
        let Some((rule, rest)) = field.path.split_once("].fault.") else { continue };
        let is_it = match index {
            Some(number) => rule == format!("spec.http[{}", number.saturating_sub(1)),
            None => true,
        };
        let path = format!("{rule}].fault.{word}");
        match &found {
            _ if !is_it || !rest.starts_with(word) => {}
            None => found = Some((path, field.at)),
            Some((first, _)) if *first == path => {}
            Some(_) => return (String::new(), resource.at),
        }
    }
    found.unwrap_or_else(|| (String::new(), resource.at))
}

fn time_of_day(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000).rem_euclid(24 * 3600);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn saved(kept: KeptFault) -> SavedFault {
    let KeptFault { resource, route, fault, until_us } = kept;
    SavedFault { resource, route, fault, until_us }
}

fn recalled(saved: SavedFault) -> KeptFault {
    let SavedFault { resource, route, fault, until_us } = saved;
    KeptFault { resource, route, fault, until_us }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_the_time_of_day() {
        assert_eq!(time_of_day(1_764_254_705_999_999), "14:45:05");
        assert_eq!(time_of_day(0), "00:00:00");
    }
}
