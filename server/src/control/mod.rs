//! The control plane: Istio resources as revisions, kept, compiled, and put in force in the mesh.
//!
//! One change at a time: first it is durable, then in force; what is refused leaves no trace. It
//! knows no HTTP (that is the edge's) and carries no request (that is the mesh's).

mod kept;

use base::Clock;
use contract::istio::{ApplyReport, Change, Finding, ResourceKey, ResourceReport, RevisionView};
use istio::{Configuration, Kind, Known, NoRevision, NotFound, Refused, Revisions};
use mesh::{InForce, Mesh};
use parking_lot::RwLock;
use shop::StoreError;
use std::{collections::VecDeque, sync::Arc};
use storage::{RevisionLog, SavedRevision};
use tokio::sync::Mutex;

/// Who makes the first revision.
const BUILT_IN: &str = "built in";

/// The control plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mesh: Mesh,
    clock: Clock,
    known: Known,
    log: RevisionLog,
    /// Held for the whole of a change, so that numbers, log and mesh agree.
    changing: Mutex<()>,
    revisions: RwLock<Revisions>,
    /// First request of each revision that took force in this run, oldest first; as many as
    /// revisions are kept.
    since: RwLock<VecDeque<(u64, u64)>>,
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The revision in force after it.
    pub revision: u64,
    /// The first request that revision holds for.
    pub since_request: u64,
    /// What became of the resources and their fields.
    pub report: ApplyReport,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The text is not what may be applied.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The change was made for another revision.
    #[error("r{in_force} was applied meanwhile; this change was made for r{base}")]
    Conflict {
        /// The revision the change was made for.
        base: u64,
        /// The revision in force.
        in_force: u64,
    },
    /// There is no such resource.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// There is no such revision.
    #[error(transparent)]
    NoRevision(#[from] NoRevision),
    /// It could not be kept.
    #[error("the {} database cannot be used", .0.service)]
    Store(#[from] StoreError),
}

impl Control {
    /// Brings back what was in force before the last stop, or puts the built-in resources in force.
    ///
    /// # Errors
    /// The revisions cannot be read or kept, or the built-in resources do not fit this shop.
    pub async fn open(
        mesh: Mesh,
        clock: Clock,
        known: Known,
        log: RevisionLog,
        built_in: &str,
    ) -> Result<Self, ControlError> {
        let revisions = kept::replay(&log.load().await?, &known);
        let fresh = revisions.newest().is_none();
        let (changing, revisions) = (Mutex::default(), RwLock::new(revisions));
        let since = RwLock::default();
        let control = Self(Arc::new(Inner { mesh, clock, known, log, changing, revisions, since }));
        if fresh {
            control.apply(built_in, BUILT_IN, None).await?;
        } else {
            control.put_in_force();
        }
        Ok(control)
    }

    /// The control plane's clock, microseconds since the epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// What resources may refer to.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.0.known
    }

    /// The resources in force.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        let revisions = self.0.revisions.read();
        revisions.newest().map(|newest| newest.configuration.clone()).unwrap_or_default()
    }

    /// The resources of a revision.
    ///
    /// # Errors
    /// It is not kept.
    pub fn configuration_at(&self, number: u64) -> Result<Configuration, NoRevision> {
        Ok(self.0.revisions.read().get(number)?.configuration.clone())
    }

    /// The number of the revision in force; 0 before the first.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.revisions.read().newest().map_or(0, |newest| newest.number)
    }

    /// The newest revisions, newest first.
    #[must_use]
    pub fn revisions(&self, limit: usize) -> Vec<RevisionView> {
        self.0.revisions.read().iter().rev().take(limit).map(istio::Revision::view).collect()
    }

    /// The first request a revision was in force for; none before the start of this run.
    #[must_use]
    pub fn since_request(&self, number: u64) -> Option<u64> {
        let since = self.0.since.read();
        since.iter().find(|(revision, _)| *revision == number).map(|(_, request)| *request)
    }

    /// What applying a text would do, without doing it.
    ///
    /// # Errors
    /// The text would be refused.
    pub fn dry_run(&self, text: &str) -> Result<Outcome, ControlError> {
        let report = self.configuration().apply(text, &self.0.known)?.report;
        Ok(self.outcome(report))
    }

    /// Applies a text. With `base`, only if that revision is the one in force.
    ///
    /// # Errors
    /// See [`ControlError`]; nothing is changed then.
    pub async fn apply(
        &self,
        text: &str,
        who: &str,
        base: Option<u64>,
    ) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        self.expect(base)?;
        let applied = self.configuration().apply(text, &self.0.known)?;
        self.put(applied.configuration, who, None).await?;
        Ok(self.outcome(applied.report))
    }

    /// The resources there would be once a text replaced some of them, and what would become of
    /// its fields.
    ///
    /// What is in `gone` and not in the text is deleted first: validation then sees what will be in
    /// force, and nothing that holds only until then.
    ///
    /// # Errors
    /// The text would be refused.
    pub fn replaced(
        &self,
        gone: &[ResourceKey],
        text: &str,
    ) -> Result<(Configuration, ApplyReport), ControlError> {
        let (mut rest, known) = (self.configuration(), &self.0.known);
        // A text that is refused names its resources too.
        let named = match rest.apply(text, known) {
            Ok(applied) => applied.report,
            Err(refused) => refused.report,
        };
        let stays = |key: &ResourceKey| named.resources.iter().any(|r| r.resource == *key);
        let deleted: Vec<_> = gone.iter().filter(|key| !stays(key)).cloned().collect();
        for key in &deleted {
            let Some(kind) = Kind::parse(&key.kind) else { continue };
            rest = rest.delete(kind, &format!("{}/{}", key.namespace, key.name))?.0;
        }
        let applied = rest.apply(text, known)?;
        let mut report = applied.report;
        report.resources.extend(deleted.into_iter().map(deletion));
        Ok((applied.configuration, report))
    }

    /// Replaces some resources by those of a text, in one revision: what is in `gone` and not in
    /// the text is deleted.
    ///
    /// # Errors
    /// See [`ControlError`]; nothing is changed then.
    pub async fn replace(
        &self,
        gone: &[ResourceKey],
        text: &str,
        who: &str,
        base: Option<u64>,
    ) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        self.expect(base)?;
        let (configuration, report) = self.replaced(gone, text)?;
        self.put(configuration, who, None).await?;
        Ok(self.outcome(report))
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// There is none of that name, or the change cannot be kept.
    pub async fn delete(&self, kind: Kind, name: &str, who: &str) -> Result<Outcome, ControlError> {
        self.delete_at(kind, name, who, None).await
    }

    /// The same. With `base`, only if that revision is the one in force.
    ///
    /// # Errors
    /// See [`ControlError`]; nothing is changed then.
    pub async fn delete_at(
        &self,
        kind: Kind,
        name: &str,
        who: &str,
        base: Option<u64>,
    ) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        self.expect(base)?;
        let (configuration, key) = self.configuration().delete(kind, name)?;
        self.put(configuration, who, None).await?;
        let resources = vec![deletion(key)];
        Ok(self.outcome(ApplyReport { resources, findings: Vec::new() }))
    }

    /// Makes a new revision with the content of an old one.
    ///
    /// # Errors
    /// It is not kept, or the change cannot be kept.
    pub async fn restore(&self, number: u64, who: &str) -> Result<Outcome, ControlError> {
        self.restore_at(number, who, None).await
    }

    /// The same. With `base`, only if that revision is the one in force.
    ///
    /// # Errors
    /// See [`ControlError`]; nothing is changed then.
    pub async fn restore_at(
        &self,
        number: u64,
        who: &str,
        base: Option<u64>,
    ) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        self.expect(base)?;
        let configuration = self.configuration_at(number)?;
        self.put(configuration, who, Some(number)).await?;
        Ok(self.outcome(ApplyReport::default()))
    }

    fn expect(&self, base: Option<u64>) -> Result<(), ControlError> {
        let in_force = self.revision();
        match base {
            Some(base) if base != in_force => Err(ControlError::Conflict { base, in_force }),
            _ => Ok(()),
        }
    }

    /// Keeps a configuration, then puts it in force. The same configuration again is no revision.
    async fn put(
        &self,
        configuration: Configuration,
        who: &str,
        restored: Option<u64>,
    ) -> Result<(), ControlError> {
        if self.revision() > 0 && configuration == self.configuration() {
            return Ok(());
        }
        let at_us = self.0.clock.now_us();
        let saved = SavedRevision {
            number: self.revision() + 1,
            at_us,
            who: who.to_owned(),
            restored,
            yaml: configuration.print(),
        };
        self.0.log.append(saved).await?;
        {
            let mut revisions = self.0.revisions.write();
            match restored {
                Some(number) => revisions.restore(number, who, at_us).map(drop)?,
                None => drop(revisions.record(configuration, who, at_us)),
            }
        }
        let in_force = self.put_in_force();
        tracing::info!(
            target: "vitrine",
            "revision r{} by {who} is in force since request #{}",
            in_force.policy.revision,
            in_force.since_request
        );
        Ok(())
    }

    fn put_in_force(&self) -> InForce {
        let policy = self.configuration().compile(&self.0.known, self.revision());
        let in_force = self.0.mesh.apply(Arc::new(policy));
        let mut since = self.0.since.write();
        if since.len() == istio::REVISIONS_MAX {
            since.pop_front();
        }
        since.push_back((in_force.policy.revision, in_force.since_request));
        in_force
    }

    fn outcome(&self, report: ApplyReport) -> Outcome {
        let in_force = self.0.mesh.in_force();
        Outcome {
            revision: in_force.policy.revision,
            since_request: in_force.since_request,
            report,
        }
    }
}

fn deletion(resource: ResourceKey) -> ResourceReport {
    let (at, fields) = (contract::istio::Position::default(), Vec::new());
    ResourceReport { resource, at, change: Change::Deleted, fields }
}

/// Rules of a policy that would have matched none of the last requests.
#[must_use]
pub fn never_matched(mesh: &Mesh, policy: &istio::policy::Policy) -> Vec<Finding> {
    let tried = mesh.dry_run(policy);
    let hits = tried.hits.into_iter();
    let hits = hits.map(|hits| ((hits.origin, hits.name), hits.requests as u64)).collect();
    istio::never_matched(policy, &hits, tried.requests as u64)
}
