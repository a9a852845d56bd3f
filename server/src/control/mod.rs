//! The control plane: Istio resources as revisions, kept, compiled, and put in force in the mesh.
//!
//! One change at a time: first it is durable, then in force; what is refused leaves no trace. It
//! knows no HTTP (that is the edge's) and carries no request (that is the mesh's).

mod external;
mod faults;
mod kept;
#[cfg(test)]
mod tests;
mod unmatched;

pub(crate) use faults::SwitchError;
pub use unmatched::{never_matched, never_matched_in};

use self::external::External;
use base::{Clock, Commands, Supervisor};
use contract::istio::{ApplyReport, Change, ResourceKey, ResourceReport, RevisionView};
use istio::{
    Configuration, Kind, Known, NoRevision, NotFound, Refused, Revision, Revisions, policy::Policy,
};
use mesh::{InForce, Mesh};
use parking_lot::RwLock;
use shop::StoreError;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use storage::{RevisionLog, SavedFault, SavedRevision};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tracing::{Instrument, Span};

/// Largest text that is applied or tried at once, bytes, however it comes: some hundred resources.
pub const YAML_BYTES_MAX: usize = 1024 * 1024;
/// Who makes the first revision.
const BUILT_IN: &str = "built in";
/// Changes that are under way at once: one is made, the others wait for it and hold up to a text
/// each, also when who asked went away. Nobody makes so many by hand.
const CHANGES_MAX: usize = 16;
/// When a change that there was no place for may be asked for again: one takes some milliseconds.
pub(crate) const CHANGE_AGAIN: Duration = Duration::from_secs(1);
/// Texts that are tried at once, besides the one that is applied: each keeps a core busy.
const ASIDES_MAX: usize = 2;
/// Pages of hosts that are drawn at once: their own texts are read and checked for it. They have
/// places of their own, so that whoever tries large texts keeps nobody from looking.
const VIEWS_MAX: usize = 2;
/// Who waits for one of these places, with a text of up to [`YAML_BYTES_MAX`] each; who comes then
/// is turned away.
const WAITING_MAX: usize = 16;
/// Looks at tables of consistent hashing at once. Each open page looks every two seconds: they have
/// a place of their own, so that what is tried never waits for who only looks.
const LOOKS_MAX: usize = 1;

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
    /// Runs changes to their end.
    supervisor: Supervisor,
    /// Runs holds and releases of the kill switch to their end.
    switches: Commands,
    /// Held for the whole of a change, so that numbers, log and mesh agree.
    changing: Mutex<()>,
    /// Places of changes, the one that is being made among them.
    changes: Arc<Semaphore>,
    /// Places of [`Control::aside`].
    asides: Places,
    /// Places of [`Control::view`].
    views: Places,
    /// Places of [`Control::look`].
    looks: Places,
    revisions: RwLock<Revisions>,
    /// How the faults of resources stand in the log.
    kept_faults: Mutex<Vec<SavedFault>>,
    /// The last number of a fault that is set aside for this run.
    fault_numbers: Mutex<u32>,
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
    /// From being asked until it was in force, waiting for other changes included.
    pub took: Duration,
    /// What became of the resources and their fields.
    pub report: ApplyReport,
}

/// Who made a change, and the revision it brings back, if it does.
struct Made {
    who: String,
    restored: Option<u64>,
}

/// A revision that is to be kept and put in force.
struct Put {
    revision: Revision,
    yaml: String,
    policy: Policy,
}

/// What a change is to put in force, and what it says of it.
type Prepared = (Configuration, ApplyReport, Made);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The text is not what may be applied.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no resource in the text, and nothing that is not ours either.
    #[error("no objects passed to apply: the text has no YAML document in it")]
    Nothing,
    /// There is nothing in a text that takes the place of resources, all of which would go.
    #[error(
        "the text has no YAML document in it: applied, it would delete every resource of this \
         host. To delete one, use Delete beside it on the page Traffic"
    )]
    Emptied,
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
    /// As many changes as may be are under way.
    #[error("{CHANGES_MAX} changes are under way already")]
    Busy,
    /// As many wait for a place to try something as may.
    #[error("{WAITING_MAX} others wait already")]
    Full,
    /// The program stopped meanwhile, or the change failed in a way nobody foresaw.
    #[error("the change was interrupted")]
    Interrupted,
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
        supervisor: &Supervisor,
    ) -> Result<Self, ControlError> {
        let revisions = kept::replay(&log.load().await?, &known);
        let fresh = revisions.newest().is_none();
        let control = Self(Arc::new(Inner {
            mesh,
            clock,
            known,
            log,
            external: External::default(),
            supervisor: supervisor.clone(),
            switches: supervisor.commands(faults::SWITCHES_MAX),
            changing: Mutex::default(),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            asides: Places::of(ASIDES_MAX),
            views: Places::of(VIEWS_MAX),
            looks: Places::of(LOOKS_MAX),
            revisions: RwLock::new(revisions),
            since: RwLock::default(),
            kept_faults: Mutex::default(),
            fault_numbers: Mutex::default(),
        }));
        control.recall_faults().await?;
        if fresh {
            control.apply(built_in, BUILT_IN, None).await?;
        } else {
            let most = faults::may_begin(&control.configuration());
            let policy = control.configuration().compile(&control.0.known, control.revision());
            control.begin_faults(most, || control.put_in_force(policy)).await?;
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
        self.revisions_before(u64::MAX, limit)
    }

    /// The newest revisions before a number, newest first.
    #[must_use]
    pub fn revisions_before(&self, number: u64, limit: usize) -> Vec<RevisionView> {
        let revisions = self.0.revisions.read();
        let older = revisions.iter().rev().filter(|revision| revision.number < number);
        older.take(limit).map(istio::Revision::view).collect()
    }

    /// What a revision changed, in words; none for one that is not kept.
    #[must_use]
    pub fn summary(&self, number: u64) -> Option<String> {
        let revisions = self.0.revisions.read();
        revisions.get(number).ok().map(|revision| revision.summary.clone())
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
    pub async fn dry_run(&self, text: &str) -> Result<Outcome, ControlError> {
        let (began, control, text) = (Instant::now(), self.clone(), text.to_owned());
        let tried = move || control.configuration().apply(&text, &control.0.known);
        let report = self.aside(tried).await??.report;
        something(&report)?;
        Ok(self.outcome(report, began.elapsed()))
    }

    /// Does what texts can make long (reading, checking, comparing, compiling, going through the
    /// last requests) on a thread of its own, so that no request waits for it; a few at a time.
    ///
    /// # Errors
    /// As many wait for it as may, or it failed in a way nobody foresaw.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        in_place(&self.0.asides, work).await
    }

    /// The same for what a page shows of what is in force. It never waits for who tries something.
    ///
    /// # Errors
    /// As many wait for it as may, or it failed in a way nobody foresaw.
    pub async fn view<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        in_place(&self.0.views, work).await
    }

    /// The same for what is only looked at, one look at a time: it waits for other looks, and
    /// nothing else waits for it.
    ///
    /// # Errors
    /// As many wait for it as may, or it failed in a way nobody foresaw.
    pub async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        in_place(&self.0.looks, work).await
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
        let (text, who) = (text.to_owned(), who.to_owned());
        self.change(move |control| {
            control.expect(base)?;
            let applied = control.configuration().apply(&text, &control.0.known)?;
            something(&applied.report)?;
            Ok((applied.configuration, applied.report, Made { who, restored: None }))
        })
        .await
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
        let (gone, text, who) = (gone.to_vec(), text.to_owned(), who.to_owned());
        self.change(move |control| {
            control.expect(base)?;
            let (configuration, report) = control.replaced(&gone, &text)?;
            something(&report)?;
            Ok((configuration, report, Made { who, restored: None }))
        })
        .await
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
        let (name, who) = (name.to_owned(), who.to_owned());
        self.change(move |control| {
            control.expect(base)?;
            let (configuration, key) = control.configuration().delete(kind, &name)?;
            let resources = vec![deletion(key)];
            let report = ApplyReport { resources, findings: Vec::new() };
            Ok((configuration, report, Made { who, restored: None }))
        })
        .await
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
        let (name, route, who) = (name.to_owned(), route.to_owned(), who.to_owned());
        self.change(move |control| {
            let before = control.configuration();
            let (configuration, resource) = before.with_faithful_route(&name, &route, on)?;
            let same = configuration == before;
            let change = if same { Change::Unchanged } else { Change::Configured };
            let (at, fields) = (contract::istio::Position::default(), Vec::new());
            let resources = vec![ResourceReport { resource, at, change, fields }];
            let report = ApplyReport { resources, findings: Vec::new() };
            Ok((configuration, report, Made { who, restored: None }))
        })
        .await
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
        let who = who.to_owned();
        self.change(move |control| {
            control.expect(base)?;
            let configuration = control.configuration_at(number)?;
            let made = Made { who, restored: Some(number) };
            let report = configuration.report_since(&control.configuration(), &control.0.known);
            Ok((configuration, report, made))
        })
        .await
    }

    fn expect(&self, base: Option<u64>) -> Result<(), ControlError> {
        let in_force = self.revision();
        match base {
            Some(base) if base != in_force => Err(ControlError::Conflict { base, in_force }),
            _ => Ok(()),
        }
    }

    /// Makes one change to its end, whatever becomes of who asked: a change that is in the log and
    /// not in memory would stand in the way of every later one.
    async fn change<F>(&self, prepare: F) -> Result<Outcome, ControlError>
    where
        F: FnOnce(&Self) -> Result<Prepared, ControlError> + Send + 'static,
    {
        let place = self.0.changes.clone().try_acquire_owned().map_err(|_| ControlError::Busy)?;
        let (control, began) = (self.clone(), Instant::now());
        let change = async move {
            let _place = place;
            let _one = control.0.changing.lock().await;
            let own = control.clone();
            let prepared = on_a_thread(move || {
                let (configuration, report, made) = prepare(&own)?;
                let faults = faults::may_begin(&configuration);
                Ok::<_, ControlError>((own.to_put(configuration, made), faults, report))
            });
            let (put, faults, mut report) = prepared.await??;
            let numbers = control.set_numbers_aside(faults).await?;
            // The same configuration again is no revision.
            if let Some(put) = put {
                control.put(put).await?;
            }
            control.renew_faults(&report);
            let took = began.elapsed();
            control.tell_faults(&mut report);
            control.give_numbers_back(numbers).await;
            control.keep_faults().await;
            Ok(control.outcome(report, took))
        };
        let changed = self.0.supervisor.detach(change.in_current_span()).await;
        changed.unwrap_or(Err(ControlError::Interrupted))
    }

    /// What a configuration is once it is in force; none if it is.
    fn to_put(&self, configuration: Configuration, made: Made) -> Option<Put> {
        let Made { who, restored } = made;
        let at_us = self.0.clock.now_us();
        let revisions = self.0.revisions.read();
        let next = revisions.next(configuration, &who, at_us)?;
        drop(revisions);
        let revision = match restored {
            Some(number) => next.restoring(number),
            None => next,
        };
        Some(Put {
            policy: revision.configuration.compile(&self.0.known, revision.number),
            yaml: revision.configuration.print(),
            revision,
        })
    }

    /// Keeps a configuration, then puts it in force.
    async fn put(&self, put: Put) -> Result<(), ControlError> {
        let Put { revision, yaml, policy } = put;
        let saved = SavedRevision {
            number: revision.number,
            at_us: revision.at_us,
            who: revision.who.clone(),
            restored: revision.restored,
            yaml,
        };
        self.0.log.append(saved).await?;
        let who = revision.who.clone();
        self.0.revisions.write().add(revision);
        // The mesh makes tables of consistent hashing first.
        let control = self.clone();
        let in_force = on_a_thread(move || control.put_in_force(policy)).await?;
        tracing::info!(
            target: "vitrine",
            "revision r{} by {who} is in force since request #{}",
            in_force.policy.revision,
            in_force.since_request
        );
        Ok(())
    }

    fn put_in_force(&self, policy: Policy) -> InForce {
        let gone = self.0.external.register(&self.0.mesh, &self.0.known, &policy);
        let in_force = self.0.mesh.apply(Arc::new(policy));
        gone.take_from(&self.0.mesh);
        let mut since = self.0.since.write();
        if since.len() == istio::REVISIONS_MAX {
            since.pop_front();
        }
        since.push_back((in_force.policy.revision, in_force.since_request));
        in_force
    }

    fn outcome(&self, report: ApplyReport, took: Duration) -> Outcome {
        let in_force = self.0.mesh.in_force();
        Outcome {
            revision: in_force.policy.revision,
            since_request: in_force.since_request,
            took,
            report,
        }
    }
}

/// Places for work of one sort, and for those who wait for one.
#[derive(Debug)]
struct Places {
    work: Arc<Semaphore>,
    /// Of both.
    all: Arc<Semaphore>,
}

impl Places {
    fn of(most: usize) -> Self {
        let all = Arc::new(Semaphore::new(most + WAITING_MAX));
        Self { work: Arc::new(Semaphore::new(most)), all }
    }
}

/// Does work on a thread of its own once there is a place for it.
async fn in_place<T: Send + 'static>(
    places: &Places,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    let waits = places.all.clone().try_acquire_owned().map_err(|_| ControlError::Full)?;
    let place = places.work.clone().acquire_owned().await;
    let place = place.map_err(|_| ControlError::Interrupted)?;
    on_a_thread(move || {
        let done = work();
        // Free when it is done, and not when who asked went away.
        drop((place, waits));
        done
    })
    .await
}

/// Runs what would hold up a thread of requests on another, as part of the same trace.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(|_| ControlError::Interrupted)
}

/// An empty text is a mistake of whoever sent it, as with kubectl, also in the place of others: who
/// selected all of it and pressed a key did not mean to delete what a host has.
pub(crate) fn something(report: &ApplyReport) -> Result<(), ControlError> {
    let mut resources = report.resources.iter();
    match resources.all(|resource| resource.change == Change::Deleted) {
        true if report.resources.is_empty() => Err(ControlError::Nothing),
        true => Err(ControlError::Emptied),
        false => Ok(()),
    }
}

fn deletion(resource: ResourceKey) -> ResourceReport {
    let (at, fields) = (contract::istio::Position::default(), Vec::new());
    ResourceReport { resource, at, change: Change::Deleted, fields }
}
