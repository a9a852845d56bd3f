//! The control plane: Istio resources as revisions, kept, compiled, and put in force in the mesh.
//!
//! One change at a time: first it is durable, then in force; what is refused leaves no trace. It
//! knows no HTTP (that is the edge's) and carries no request (that is the mesh's).

mod external;
mod kept;

use self::external::External;
use base::Clock;
use contract::istio::{ApplyReport, Change, ResourceKey, ResourceReport, RevisionView};
use istio::{Configuration, Kind, Known, NoRevision, NotFound, Refused, Revisions};
use mesh::{InForce, Mesh};
use parking_lot::RwLock;
use shop::StoreError;
use std::sync::Arc;
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
    external: External,
    /// Held for the whole of a change, so that numbers, log and mesh agree.
    changing: Mutex<()>,
    revisions: RwLock<Revisions>,
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
        let control = Self(Arc::new(Inner {
            mesh,
            clock,
            known,
            log,
            external: External::default(),
            changing,
            revisions,
        }));
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
        let applied = self.configuration().apply(text, &self.0.known)?;
        let (mut configuration, mut report) = (applied.configuration, applied.report);
        let stays = |key: &ResourceKey| report.resources.iter().any(|r| r.resource == *key);
        let deleted: Vec<_> = gone.iter().filter(|key| !stays(key)).cloned().collect();
        for key in deleted {
            let Some(kind) = Kind::parse(&key.kind) else { continue };
            let name = format!("{}/{}", key.namespace, key.name);
            configuration = configuration.delete(kind, &name)?.0;
            report.resources.push(deletion(key));
        }
        self.put(configuration, who, None).await?;
        Ok(self.outcome(report))
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// There is none of that name, or the change cannot be kept.
    pub async fn delete(&self, kind: Kind, name: &str, who: &str) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        let (configuration, key) = self.configuration().delete(kind, name)?;
        self.put(configuration, who, None).await?;
        let resources = vec![deletion(key)];
        Ok(self.outcome(ApplyReport { resources, findings: Vec::new() }))
    }

    /// Switches a rule of a `VirtualService` to Istio's own behaviour under faults, or back.
    ///
    /// # Errors
    /// There is no such resource or rule, or the change cannot be kept.
    pub async fn set_faithful(
        &self,
        name: &str,
        route: &str,
        on: bool,
        who: &str,
    ) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
        let before = self.configuration();
        let (configuration, resource) = before.with_faithful_route(name, route, on)?;
        let change = if configuration == before { Change::Unchanged } else { Change::Configured };
        self.put(configuration, who, None).await?;
        let (at, fields) = (contract::istio::Position::default(), Vec::new());
        let resources = vec![ResourceReport { resource, at, change, fields }];
        Ok(self.outcome(ApplyReport { resources, findings: Vec::new() }))
    }

    /// Makes a new revision with the content of an old one.
    ///
    /// # Errors
    /// It is not kept, or the change cannot be kept.
    pub async fn restore(&self, number: u64, who: &str) -> Result<Outcome, ControlError> {
        let _one = self.0.changing.lock().await;
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
        let gone = self.0.external.register(&self.0.mesh, &self.0.known, &policy);
        let in_force = self.0.mesh.apply(Arc::new(policy));
        gone.iter().for_each(|service| self.0.mesh.deregister(service));
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
