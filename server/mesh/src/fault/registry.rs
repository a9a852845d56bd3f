//! The faults of this process: which are active, what each did, how the last ones ended.
//!
//! Time comes from the clock it was given. Draws depend on the seed, the fault's number and the
//! order of the calls that match it, and on nothing else: same seed, same requests, same faults.

mod asked;

pub use asked::{AskedFault, FaultStanding, KeptFault};

use super::spec::{FaultId, FaultKind, FaultSpec};
use crate::{changes::Healing, share::Strata};
use arc_swap::ArcSwap;
use asked::Asked;
use base::{Clock, IdSource, clock::micros};
use istio::policy::Share;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Faults active at once: each is looked at for every call.
pub const ACTIVE_MAX: usize = 64;
/// Ended faults that are kept to be looked at.
pub const ENDED_MAX: usize = 64;
/// Trace ids of calls a fault hit, the newest.
pub const EXAMPLES_MAX: usize = 8;
/// Longest time to live: a day of breakage is no experiment any more.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Time to live of a fault that a resource asks for, which has no field for it. Long enough to
/// watch and explain, short enough that a forgotten file does not break tomorrow's demonstration.
pub const TTL_ROUTE: Duration = Duration::from_secs(15 * 60);
/// Events a slow listener may lag behind by before it loses the oldest.
const EVENTS_MAX: usize = 64;

/// The faults. Clones are the same.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    seed: u64,
    /// What the layer reads for each call, without a lock.
    active: ArcSwap<Vec<Arc<Active>>>,
    book: Mutex<Book>,
    events: broadcast::Sender<FaultEvent>,
    healing: Healing,
}

#[derive(Debug, Default)]
struct Book {
    last: u32,
    /// Numbers up to this are of earlier runs.
    earlier: u32,
    ended: VecDeque<FaultStatus>,
    ended_total: u64,
    /// Since when the kill switch is on, microseconds since the epoch.
    killed_us: Option<i64>,
    /// Faults that resources ask for, as of the newest policy.
    asked: Asked,
    /// What is to be said when the book is free again, and of which fault.
    said: Vec<(Option<FaultId>, String)>,
}

/// An active fault.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: FaultId,
    pub(crate) spec: FaultSpec,
    pub(crate) since_us: i64,
    pub(crate) until_us: i64,
    /// Fires when the fault ends, whatever ends it.
    pub(crate) over: CancellationToken,
    /// For the length of a jitter.
    pub(crate) ids: IdSource,
    strata: Strata,
    matched: AtomicU64,
    injected: AtomicU64,
    held: AtomicU64,
    examples: Mutex<Vec<String>>,
    /// When the process that it is to end did.
    crashed_us: OnceLock<i64>,
}

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its time was over.
    Expired,
    /// It was removed.
    Removed,
    /// It was for so many calls, and has hit them.
    Spent,
    /// All were ended.
    KillSwitch,
    /// The resource does not ask for it any more.
    ResourceGone,
}

/// A fault as it is, or as it was when it ended.
#[derive(Clone, Debug)]
pub struct FaultStatus {
    /// Its id.
    pub id: FaultId,
    /// What was asked for.
    pub spec: FaultSpec,
    /// Since when, microseconds since the epoch.
    pub since_us: i64,
    /// Until when at most, microseconds since the epoch.
    pub until_us: i64,
    /// When and how it ended, if it has.
    pub ended: Option<(i64, EndReason)>,
    /// Calls its scope is for.
    pub matched: u64,
    /// Calls it was injected into.
    pub injected: u64,
    /// Calls it holds right now.
    pub held: u64,
    /// Trace ids of calls it was injected into, newest first.
    pub examples: Vec<String>,
    /// When the process that it is to end did, microseconds since the epoch; none until then.
    pub crashed_us: Option<i64>,
}

impl FaultStatus {
    /// Calls that match and were left alone.
    #[must_use]
    pub fn spared(&self) -> u64 {
        self.matched - self.injected
    }
}

/// A fault began or ended.
#[derive(Clone, Debug)]
pub enum FaultEvent {
    /// It is active.
    Began(FaultStatus),
    /// The process that it is to end did.
    Crashed(FaultStatus),
    /// It is not any more.
    Ended(FaultStatus),
    /// The kill switch is on (new faults are refused) or off.
    KillSwitch(bool),
}

/// Why a fault was not injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The kill switch is on.
    #[error("the kill switch is on: no new faults until it is released")]
    Killed,
    /// A fault without an end is not taken.
    #[error("the time to live must be over 0 and at most {} hours", TTL_MAX.as_secs() / 3600)]
    Ttl,
    /// The share is 0, or over 100 %.
    #[error("the share must be over 0 and at most 100 %")]
    Share,
    /// The range of a jitter is empty.
    #[error("the jitter's range must end after it begins")]
    Range,
    /// As many as there may be are active.
    #[error("{ACTIVE_MAX} faults are active, which is the limit")]
    TooMany,
}

impl Faults {
    /// No faults; draws depend on the seed.
    pub(crate) fn new(clock: Clock, seed: u64, healing: Healing) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (active, book) = (ArcSwap::default(), Mutex::default());
        Self(Arc::new(Inner { clock, seed, active, book, events, healing }))
    }

    /// The first fault has a number after this one, and those up to it are not given. To be called
    /// before the first fault begins; what is called later changes nothing.
    pub fn number_after(&self, earlier: u32) {
        let mut book = self.0.book.lock();
        if book.last == book.earlier {
            (book.last, book.earlier) = (earlier, earlier);
        }
    }

    /// The number of the newest fault, or the one that numbers begin after.
    #[must_use]
    pub fn last_number(&self) -> u32 {
        self.0.book.lock().last
    }

    /// Injects a fault from now on.
    ///
    /// # Errors
    /// When it is not a fault that ends, or none may be injected.
    pub fn inject(&self, spec: FaultSpec) -> Result<FaultId, InjectError> {
        self.change(|book| match book.killed_us {
            Some(_) => Err(InjectError::Killed),
            None => self.begin(book, spec),
        })
    }

    /// Changes the book. What is said of it is written down afterwards: calls ask for the book too,
    /// and whoever writes a log may be slow.
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.0.book.lock();
        let changed = change(&mut book);
        let said = std::mem::take(&mut book.said);
        drop(book);
        for (id, text) in said {
            let id = id.map(|id| id.to_string());
            tracing::warn!(vitrine.fault.id = id, "{text}");
        }
        changed
    }

    /// Ends a fault. False when none of that id is active.
    pub fn remove(&self, id: FaultId) -> bool {
        self.change(|book| self.end(book, EndReason::Removed, |fault| fault.id == id)) > 0
    }

    /// The kill switch: ends all faults, releases the calls they hold, and refuses new ones until
    /// [`Self::release`]. Gives the number of faults it ended.
    pub fn end_all(&self) -> usize {
        let ended = self.change(|book| {
            let ended = self.end(book, EndReason::KillSwitch, |_| true);
            if book.killed_us.is_none() {
                book.killed_us = Some(self.0.clock.now_us());
                let _ = self.0.events.send(FaultEvent::KillSwitch(true));
            }
            ended
        });
        tracing::warn!(ended, "Kill switch: {ended} faults ended, new ones are refused");
        ended
    }

    /// Lets faults be injected again. Faults of resources that were applied meanwhile begin now;
    /// those that the kill switch ended stay ended until their resource is applied again.
    pub fn release(&self) {
        self.change(|book| {
            if book.killed_us.take().is_some() {
                let _ = self.0.events.send(FaultEvent::KillSwitch(false));
                self.begin_waiting(book);
            }
        });
    }

    /// The kill switch is on since then, as an earlier run left it: what [`Self::follow`] finds
    /// waits for [`Self::release`].
    pub fn hold(&self, since_us: i64) {
        self.0.book.lock().killed_us = Some(since_us);
    }

    /// Whether the kill switch is on.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.killed_us().is_some()
    }

    /// Since when the kill switch is on, microseconds since the epoch.
    #[must_use]
    pub fn killed_us(&self) -> Option<i64> {
        self.0.book.lock().killed_us
    }

    /// Active faults, oldest first.
    #[must_use]
    pub fn active(&self) -> Vec<FaultStatus> {
        self.expire();
        self.0.active.load().iter().map(|fault| fault.status(None)).collect()
    }

    /// Ended faults, newest first, and how many there have been.
    #[must_use]
    pub fn ended(&self) -> (Vec<FaultStatus>, u64) {
        self.expire();
        let book = self.0.book.lock();
        (book.ended.iter().cloned().collect(), book.ended_total)
    }

    /// One fault, active or ended.
    #[must_use]
    pub fn get(&self, id: FaultId) -> Option<FaultStatus> {
        let active = self.active().into_iter().find(|fault| fault.id == id);
        active.or_else(|| self.0.book.lock().ended.iter().find(|fault| fault.id == id).cloned())
    }

    /// Beginnings and ends from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<FaultEvent> {
        self.0.events.subscribe()
    }

    /// The process that the fault is on ends. True for the one call that ends it.
    pub(crate) fn crash(&self, fault: &Active) -> bool {
        let ends = fault.crashed_us.set(self.0.clock.now_us()).is_ok();
        if ends {
            tracing::warn!(vitrine.fault.id = %fault.id, "{}: {}", fault.id, fault.spec.kind);
            let _ = self.0.events.send(FaultEvent::Crashed(fault.status(None)));
        }
        ends
    }

    /// What the layer looks at for one call.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Vec<Arc<Active>>>> {
        self.0.active.load()
    }

    /// The time left of a fault; nothing when its time is over.
    pub(crate) fn left(&self, fault: &Active) -> Option<Duration> {
        let left = fault.until_us.saturating_sub(self.0.clock.now_us());
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_micros)
    }

    /// Counts a call the fault is for, and says whether it is injected. The fault holds the call
    /// until what is returned is dropped.
    pub(crate) fn draw(&self, fault: &Arc<Active>, trace_id: Option<&str>) -> Option<Held> {
        if self.left(fault).is_none() {
            self.expire();
            return None;
        }
        if fault.over.is_cancelled() || fault.spent() {
            return None;
        }
        fault.matched.fetch_add(1, Ordering::Release);
        if !fault.strata.draw() {
            return None;
        }
        // Held before it is counted: between the two, the end of the call before would find the
        // limit reached and nobody left, and would end the fault under this one. One that finds
        // the limit reached itself lets go, and ends the fault if it is the last to do so.
        fault.held.fetch_add(1, Ordering::AcqRel);
        let held = Held { fault: fault.clone(), faults: self.clone() };
        if !fault.take() {
            return None;
        }
        if let Some(trace_id) = trace_id {
            fault.example(trace_id);
        }
        Some(held)
    }

    /// A call that met these faults has this trace, which was not known when they were drawn.
    pub(crate) fn exemplify(&self, ids: &[FaultId], trace_id: &str) {
        if ids.is_empty() {
            return;
        }
        for fault in self.0.active.load().iter().filter(|fault| ids.contains(&fault.id)) {
            fault.example(trace_id);
        }
        let mut book = self.0.book.lock();
        for fault in book.ended.iter_mut().filter(|fault| ids.contains(&fault.id)) {
            add_example(&mut fault.examples, trace_id);
        }
    }

    fn begin(&self, book: &mut Book, spec: FaultSpec) -> Result<FaultId, InjectError> {
        check(&spec)?;
        if self.0.active.load().len() >= ACTIVE_MAX {
            return Err(InjectError::TooMany);
        }
        book.last += 1;
        let id = FaultId(book.last);
        let since_us = self.0.clock.now_us();
        // Each fault has a sequence of its own, so that faults draw independently of each other.
        // Its place in this run says which: the same run again makes the same choices.
        let nth = u64::from(id.0 - book.earlier);
        let seed = self.0.seed ^ nth.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let fault = Arc::new(Active {
            id,
            since_us,
            until_us: since_us.saturating_add(micros(spec.ttl)),
            over: CancellationToken::new(),
            ids: IdSource::seeded(seed.rotate_left(32)),
            strata: Strata::new(spec.share, seed),
            matched: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            held: AtomicU64::new(0),
            examples: Mutex::default(),
            crashed_us: OnceLock::new(),
            spec,
        });
        let mut active = Vec::clone(&self.0.active.load());
        active.push(fault.clone());
        self.0.active.store(Arc::new(active));
        book.said.push((Some(id), format!("Fault {id} began: {}", fault.spec.kind)));
        let _ = self.0.events.send(FaultEvent::Began(fault.status(None)));
        Ok(id)
    }

    /// Ends the faults whose time is over. Calls find them ended without it, and the calls they
    /// hold go on by themselves; this tells the listeners although nobody asks.
    pub(crate) fn expire(&self) {
        let now_us = self.0.clock.now_us();
        if self.0.active.load().iter().any(|fault| fault.until_us <= now_us) {
            let over = |fault: &Active| fault.until_us <= now_us;
            self.change(|book| self.end(book, EndReason::Expired, over));
        }
    }

    fn end(&self, book: &mut Book, reason: EndReason, which: impl Fn(&Active) -> bool) -> usize {
        let ids: Vec<_> =
            self.0.active.load().iter().filter(|fault| which(fault)).map(|f| f.id).collect();
        ids.iter().for_each(|id| self.retire(book, reason, *id));
        ids.len()
    }

    /// Takes a fault out, releases what it holds, remembers it.
    fn retire(&self, book: &mut Book, reason: EndReason, id: FaultId) {
        let active = self.0.active.load();
        let Some(fault) = active.iter().find(|fault| fault.id == id) else { return };
        let rest = active.iter().filter(|fault| fault.id != id).cloned().collect();
        self.0.active.store(Arc::new(rest));
        fault.over.cancel();
        let status = fault.status(Some((self.0.clock.now_us(), reason)));
        book.ended.truncate(ENDED_MAX - 1);
        book.ended.push_front(status.clone());
        book.ended_total += 1;
        book.said.push((Some(id), format!("Fault {id} ended: {reason:?}")));
        let _ = self.0.events.send(FaultEvent::Ended(status));
        self.0.healing.tell();
    }
}

/// The newest first, each once.
fn add_example(examples: &mut Vec<String>, trace_id: &str) {
    if examples.iter().all(|known| known != trace_id) {
        examples.truncate(EXAMPLES_MAX - 1);
        examples.insert(0, trace_id.to_owned());
    }
}

impl Active {
    /// The process that it is to end did.
    pub(crate) fn crashed(&self) -> bool {
        self.crashed_us.get().is_some()
    }

    fn example(&self, trace_id: &str) {
        add_example(&mut self.examples.lock(), trace_id);
    }

    fn spent(&self) -> bool {
        self.spec.limit.is_some_and(|limit| self.injected.load(Ordering::Acquire) >= limit)
    }

    /// Counts one injection, unless the limit is reached: two calls cannot both be the last.
    fn take(&self) -> bool {
        let limit = self.spec.limit.unwrap_or(u64::MAX);
        let next = |injected: u64| (injected < limit).then(|| injected + 1);
        self.injected.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    fn status(&self, ended: Option<(i64, EndReason)>) -> FaultStatus {
        // Injected is read first: a call counted in between must not make it the larger.
        let injected = self.injected.load(Ordering::Acquire);
        FaultStatus {
            id: self.id,
            spec: self.spec.clone(),
            since_us: self.since_us,
            until_us: self.until_us,
            ended,
            matched: self.matched.load(Ordering::Acquire).max(injected),
            injected,
            held: self.held.load(Ordering::Relaxed),
            examples: self.examples.lock().clone(),
            crashed_us: self.crashed_us.get().copied(),
        }
    }
}

/// A call a fault was drawn for, until it is through with it. A fault for so many calls ends when
/// the last of them is let go, so that the kill switch reaches it while it holds one.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) fault: Arc<Active>,
    faults: Faults,
}

impl Drop for Held {
    fn drop(&mut self) {
        let others = self.fault.held.fetch_sub(1, Ordering::AcqRel) - 1;
        if others == 0 && self.fault.spent() {
            let id = self.fault.id;
            self.faults.change(|book| self.faults.retire(book, EndReason::Spent, id));
        }
    }
}

fn check(spec: &FaultSpec) -> Result<(), InjectError> {
    if spec.ttl.is_zero() || spec.ttl > TTL_MAX {
        return Err(InjectError::Ttl);
    }
    if spec.share == Share::NONE || spec.share > Share::ALL {
        return Err(InjectError::Share);
    }
    if matches!(spec.kind, FaultKind::Jitter { min, max } if min >= max) {
        return Err(InjectError::Range);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultScope;

    fn limited(limit: u64) -> FaultSpec {
        FaultSpec {
            kind: FaultKind::Hang,
            scope: FaultScope::default(),
            share: Share::ALL,
            ttl: TTL_ROUTE,
            limit: Some(limit),
            like_istio: false,
            by: "test".to_owned(),
        }
    }

    fn active(limit: u64) -> (Faults, Arc<Active>) {
        let faults = Faults::new(Clock::system(), 1, Healing::default());
        faults.inject(limited(limit)).unwrap();
        let fault = faults.snapshot()[0].clone();
        (faults, fault)
    }

    fn until(reached: impl Fn() -> bool) {
        while !reached() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn numbers_go_on_after_those_of_earlier_runs_and_draw_as_in_the_first_run() {
        let draws = |earlier: u32| {
            let faults = Faults::new(Clock::system(), 7, Healing::default());
            faults.number_after(earlier);
            let spec = FaultSpec { share: Share(500_000), ..limited(1_000) };
            assert_eq!(faults.inject(spec).unwrap(), FaultId(earlier + 1));
            faults.number_after(40);
            assert_eq!(faults.last_number(), earlier + 1, "a number was given already");
            let fault = faults.snapshot()[0].clone();
            (0..64).map(|_| faults.draw(&fault, None).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draws(0), draws(128));
    }

    #[test]
    fn a_fault_does_not_end_under_its_last_call_while_the_call_before_it_is_let_go() {
        let (faults, fault) = active(2);
        let first = faults.draw(&fault, None).unwrap();
        // The last call is counted, and stops where it leaves its trace.
        let examples = fault.examples.lock();
        std::thread::scope(|scope| {
            let last = scope.spawn(|| faults.draw(&fault, Some("trace")));
            until(|| fault.injected.load(Ordering::Acquire) == 2);
            let held = fault.held.load(Ordering::Acquire);
            let letting_go = scope.spawn(move || drop(first));
            until(|| fault.held.load(Ordering::Acquire) < held);
            drop(examples);
            let last = last.join().unwrap().unwrap();
            letting_go.join().unwrap();
            assert!(!fault.over.is_cancelled(), "it does nothing to the last call");
            drop(last);
        });
        assert!(fault.over.is_cancelled());
        assert_eq!(faults.ended().0[0].ended.map(|(_, reason)| reason), Some(EndReason::Spent));
    }

    #[test]
    fn calls_of_many_threads_meet_a_fault_exactly_as_often_as_its_limit_says() {
        for _ in 0..200 {
            let (faults, fault) = active(3);
            let met = AtomicU64::new(0);
            let calls = || {
                for _ in 0..3 {
                    let held = faults.draw(&fault, Some("trace"));
                    if held.is_some_and(|held| !held.fault.over.is_cancelled()) {
                        met.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(calls))));
            assert_eq!(met.into_inner(), 3);
            assert!(faults.active().is_empty(), "nobody ended it");
        }
    }
}
