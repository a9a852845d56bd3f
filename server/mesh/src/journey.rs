//! One call through the mesh: who makes it, and what happened to it so far. Made once per call,
//! shared by every layer and every try, read by the span at the end.

use crate::{Flag, Flags, Request, fault::FaultId, flags::SharedFlags, instance::Host};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Who calls: the workload's name and labels, as matching and identities see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The service that calls.
    pub service: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Labels of the workload: `app` and `version` at least.
    pub labels: Vec<(String, String)>,
}

/// Where all services of the mesh live.
pub const NAMESPACE: &str = "default";

impl Source {
    /// The workload of a service with `app` and `version=v1`.
    #[must_use]
    pub fn of(service: &str) -> Self {
        let labels = [("app", service), ("version", "v1")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { service: service.into(), namespace: NAMESPACE.into(), labels: labels.into() }
    }
}

/// An extension of every request in the mesh, as `Arc<Journey>`.
#[derive(Debug)]
pub(crate) struct Journey {
    pub(crate) source: Arc<Source>,
    /// The name that was called, as it was written.
    pub(crate) called: Arc<str>,
    /// It came from outside: no breaker, and the routes of the gateway.
    pub(crate) ingress: bool,
    /// It only looks: neither routed nor counted, limited or watched.
    pub(crate) look: bool,
    flags: SharedFlags,
    /// Tries that reached an instance.
    tries: AtomicU32,
    /// Tries that were begun, as the retry layer counts them.
    attempts: AtomicU32,
    /// Ids of the hosts that were tried, in order; the last is the one that answered.
    tried: Mutex<Vec<u64>>,
    /// The instance that was tried last.
    host: Mutex<Option<Arc<Host>>>,
    /// Faults that the call carries from before it and has met, nearest to the cause first.
    faults: Mutex<Vec<FaultId>>,
    /// Those of them that it has met, here or below: what can be blamed for how it ends.
    causes: Mutex<Vec<FaultId>>,
    /// Those of them that took time.
    delays: Mutex<Vec<FaultId>>,
    /// Those of them that ended a try, after which there was another.
    overcome: Mutex<Vec<FaultId>>,
    this_try: Mutex<TryNotes>,
    /// The `traceparent` of the span that tells how a request from outside was served.
    served: OnceLock<Option<String>>,
}

/// What happened in the try that is under way, for the span that tells of it.
#[derive(Debug, Default)]
pub(crate) struct TryNotes {
    /// Where it went; none when it ended before an instance was chosen.
    pub(crate) host: Option<Arc<Host>>,
    /// The faults that acted on it.
    pub(crate) faults: Vec<FaultId>,
    /// How long they held it.
    pub(crate) held: Duration,
    /// What they did.
    pub(crate) flags: Flags,
}

/// Faults remembered of one call: as many as its baggage carries.
const FAULTS_MAX: usize = 8;

impl Journey {
    pub(crate) fn new(source: Arc<Source>, called: Arc<str>, ingress: bool, look: bool) -> Self {
        Self {
            source,
            called,
            ingress,
            look,
            flags: SharedFlags::default(),
            tries: AtomicU32::new(0),
            attempts: AtomicU32::new(0),
            tried: Mutex::default(),
            host: Mutex::default(),
            faults: Mutex::default(),
            causes: Mutex::default(),
            delays: Mutex::default(),
            overcome: Mutex::default(),
            this_try: Mutex::default(),
            served: OnceLock::new(),
        }
    }

    /// A span tells how the request was served; the first one counts.
    pub(crate) fn serve(&self, traceparent: Option<String>) {
        let _ = self.served.set(traceparent);
    }

    /// Whether a span tells how it was served.
    pub(crate) fn is_served(&self) -> bool {
        self.served.get().is_some()
    }

    /// Its `traceparent`; none without telemetry.
    pub(crate) fn served_in(&self) -> Option<&str> {
        self.served.get()?.as_deref()
    }

    /// A fault acts on the try that is under way.
    pub(crate) fn hit(&self, fault: FaultId, flag: Flag) {
        self.met(fault);
        self.add(flag);
        if flag == Flag::DelayInjected {
            add(&mut self.delays.lock(), fault);
        }
        let mut notes = self.this_try.lock();
        if notes.faults.len() < FAULTS_MAX && !notes.faults.contains(&fault) {
            notes.faults.push(fault);
        }
        notes.flags = notes.flags.with(flag);
    }

    /// A fault has held the try that is under way.
    pub(crate) fn held(&self, time: Duration) {
        self.this_try.lock().held += time;
    }

    /// A try begins; the notes of the one before were taken.
    pub(crate) fn attempt(&self, number: u32) {
        self.attempts.store(number, Ordering::Relaxed);
        if number > 1 {
            let delays = self.delays();
            let over = self.causes().into_iter().filter(|fault| !delays.contains(fault));
            *self.overcome.lock() = over.collect();
        }
    }

    /// What happened in the try that is over, once.
    pub(crate) fn end_try(&self) -> TryNotes {
        std::mem::take(&mut *self.this_try.lock())
    }

    /// The call is made on behalf of a request that has met a fault.
    pub(crate) fn carries(&self, fault: FaultId) {
        add(&mut self.faults.lock(), fault);
    }

    /// The call has met a fault, here or below.
    pub(crate) fn met(&self, fault: FaultId) {
        self.carries(fault);
        add(&mut self.causes.lock(), fault);
        self.overcome.lock().retain(|known| *known != fault);
    }

    /// The faults the call has met, without those it only carries.
    pub(crate) fn causes(&self) -> Vec<FaultId> {
        self.causes.lock().clone()
    }

    /// Those of them that took time.
    pub(crate) fn delays(&self) -> Vec<FaultId> {
        self.delays.lock().clone()
    }

    /// Those that count for what the call was made for. When it ended well, what a later try made
    /// good for does not; the time that was lost does.
    pub(crate) fn contributed(&self, failed: bool) -> Vec<FaultId> {
        let overcome = self.overcome.lock();
        let causes = self.causes.lock();
        causes.iter().copied().filter(|fault| failed || !overcome.contains(fault)).collect()
    }

    /// The faults the call carries or has met, nearest to the cause first.
    pub(crate) fn faults(&self) -> Vec<FaultId> {
        self.faults.lock().clone()
    }

    /// The call a request belongs to.
    pub(crate) fn of(request: &Request) -> Option<&Arc<Self>> {
        request.extensions().get()
    }

    /// Whether a request only looks.
    pub(crate) fn looks(request: &Request) -> bool {
        Self::of(request).is_some_and(|journey| journey.look)
    }

    pub(crate) fn add(&self, flag: Flag) {
        self.flags.add(flag);
    }

    pub(crate) fn flags(&self) -> Flags {
        self.flags.get()
    }

    /// A try goes to this instance.
    pub(crate) fn try_at(&self, host: &Arc<Host>) {
        self.tries.fetch_add(1, Ordering::Relaxed);
        self.tried.lock().push(host.id);
        *self.host.lock() = Some(host.clone());
        self.this_try.lock().host = Some(host.clone());
    }

    /// Whether that host was tried before.
    pub(crate) fn tried(&self, host: u64) -> bool {
        self.tried.lock().contains(&host)
    }

    /// How many tries reached an instance.
    pub(crate) fn tries(&self) -> u32 {
        self.tries.load(Ordering::Relaxed)
    }

    /// How many tries were made, those too that ended before an instance was chosen.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed).max(self.tries())
    }

    /// The instance that was tried last.
    pub(crate) fn instance(&self) -> Option<Arc<str>> {
        self.host.lock().as_ref().map(|host| host.name.clone())
    }

    /// The same, whole.
    pub(crate) fn host(&self) -> Option<Arc<Host>> {
        self.host.lock().clone()
    }
}

fn add(faults: &mut Vec<FaultId>, fault: FaultId) {
    if faults.len() < FAULTS_MAX && !faults.contains(&fault) {
        faults.push(fault);
    }
}
