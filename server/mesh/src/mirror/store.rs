//! What mirroring has brought: counters by target, and the newest pairs of answers that differ.

use super::diff::Difference;
use crate::share::Strata;
use base::Clock;
use istio::policy::{Mirror, Origin, Policy, Route, Share};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Pairs of answers that are kept.
pub const COMPARED_MAX: usize = 100;
/// Mirrored requests under way at once; a share of what is beyond would not be exact any more, so
/// it is counted as dropped.
pub const UNDER_WAY_MAX: usize = 64;
/// Targets whose counters are kept. They come from resources, and a changed share is another
/// target: beyond so many, those that no resource in force asks for are forgotten.
pub const TARGETS_MAX: usize = 256;

/// Mirroring of the whole mesh. Clones are the same.
#[derive(Clone, Debug)]
pub struct Mirrors(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
    pub(super) room: Arc<Semaphore>,
    seed: u64,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    targets: BTreeMap<Key, Target>,
    /// Those the policy in force asks for.
    wanted: BTreeSet<Key>,
    compared: VecDeque<Compared>,
}

/// Route, target and share: a changed share begins to be counted anew.
type Key = (Origin, Arc<str>, Arc<str>, Option<Arc<str>>, u32);

#[derive(Debug)]
struct Target {
    strata: Arc<Strata>,
    stats: MirrorStats,
}

/// Counters of one target of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorStats {
    /// The resource that asks for it.
    pub origin: Origin,
    /// The rule in it.
    pub route: Arc<str>,
    /// Where the copies go.
    pub service: Arc<str>,
    /// To which subset.
    pub subset: Option<Arc<str>>,
    /// Which share of the requests.
    pub share: Share,
    /// Requests of the route.
    pub requests: u64,
    /// Copies sent.
    pub mirrored: u64,
    /// Pairs of answers without a difference.
    pub same: u64,
    /// Pairs of answers with one.
    pub different: u64,
    /// Copies that brought no answer, or whose live request brought none.
    pub failed: u64,
    /// Copies that were due but not sent: too many were under way, or the body was too long.
    pub dropped: u64,
}

/// One side of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The answer's status; [`None`] when there was no answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// From sending the request to the head of the answer.
    pub took: Duration,
    /// Its trace.
    pub trace_id: Option<String>,
}

/// A live and a mirrored answer that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The resource that asks for the copy.
    pub origin: Origin,
    /// The rule in it.
    pub route: Arc<str>,
    /// Where the copy went.
    pub service: Arc<str>,
    /// To which subset.
    pub subset: Option<Arc<str>>,
    /// Method of the request.
    pub method: String,
    /// Path of the request.
    pub path: String,
    /// The answer the caller got.
    pub live: Side,
    /// The answer nobody got.
    pub mirrored: Side,
    /// Empty when one of them brought no answer.
    pub differences: Vec<Difference>,
}

/// What became of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Same,
    Different,
    Failed,
    Dropped,
}

impl Mirrors {
    /// Nothing mirrored yet; draws depend on the seed.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        let (tasks, room) = (TaskTracker::new(), Arc::new(Semaphore::new(UNDER_WAY_MAX)));
        Self(Arc::new(Inner { clock, tasks, room, seed, book: Mutex::default() }))
    }

    /// Counters of every target that is or was in force.
    #[must_use]
    pub fn stats(&self) -> Vec<MirrorStats> {
        self.0.book.lock().targets.values().map(|target| target.stats.clone()).collect()
    }

    /// The newest pairs of answers that differ, newest first.
    #[must_use]
    pub fn compared(&self) -> Vec<Compared> {
        self.0.book.lock().compared.iter().cloned().collect()
    }

    /// Which targets the policy in force asks for: the others may be forgotten.
    pub(crate) fn follow(&self, policy: &Policy) {
        let routes = policy.virtual_hosts.iter().flat_map(|host| &host.routes);
        let keys = routes.flat_map(|route| route.mirrors.iter().map(|mirror| key(route, mirror)));
        self.0.book.lock().wanted = keys.collect();
    }

    /// Takes no more copies and waits for those under way.
    pub async fn shutdown(&self) {
        self.0.room.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Whether a request of a route is copied to a target of it.
    pub(super) fn draw(&self, route: &Route, mirror: &Mirror) -> bool {
        let mut book = self.0.book.lock();
        let key = key(route, mirror);
        if !book.targets.contains_key(&key) {
            if book.targets.len() >= TARGETS_MAX {
                let Book { targets, wanted, .. } = &mut *book;
                targets.retain(|key, _| wanted.contains(key));
            }
            if book.targets.len() >= TARGETS_MAX {
                return false;
            }
            let target = self.target(&key);
            book.targets.insert(key.clone(), target);
        }
        let Some(target) = book.targets.get_mut(&key) else { return false };
        target.stats.requests += 1;
        target.strata.draw()
    }

    pub(super) fn count(&self, route: &Route, mirror: &Mirror, fate: Fate) {
        let mut book = self.0.book.lock();
        let Some(target) = book.targets.get_mut(&key(route, mirror)) else { return };
        let stats = &mut target.stats;
        stats.mirrored += u64::from(fate != Fate::Dropped);
        match fate {
            Fate::Same => stats.same += 1,
            Fate::Different => stats.different += 1,
            Fate::Failed => stats.failed += 1,
            Fate::Dropped => stats.dropped += 1,
        }
    }

    pub(super) fn keep(&self, compared: Compared) {
        let kept = &mut self.0.book.lock().compared;
        kept.truncate(COMPARED_MAX - 1);
        kept.push_front(compared);
    }

    fn target(&self, key: &Key) -> Target {
        // The default hasher has fixed keys: the same resources draw the same in every run.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let (origin, route, service, subset, ppm) = key.clone();
        let share = Share(ppm);
        let strata = Arc::new(Strata::new(share, self.0.seed ^ hasher.finish()));
        let stats = MirrorStats {
            origin,
            route,
            service,
            subset,
            share,
            requests: 0,
            mirrored: 0,
            same: 0,
            different: 0,
            failed: 0,
            dropped: 0,
        };
        Target { strata, stats }
    }
}

fn key(route: &Route, mirror: &Mirror) -> Key {
    let (origin, name) = (route.origin.clone(), route.name.clone());
    (origin, name, mirror.service.clone(), mirror.subset.clone(), mirror.share.0)
}
