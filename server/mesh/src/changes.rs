//! What changes in the mesh by itself or by command, told to whoever listens: breakers, ejections,
//! instances, revisions. Each change carries the trace that caused it, if one did.

use crate::BreakerTransition;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Changes a slow listener may lag behind by before it loses the oldest.
const CHANGES_MAX: usize = 256;

/// Something in the mesh changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A breaker changed state.
    Breaker(BreakerTransition),
    /// An endpoint was ejected or taken back.
    Ejection(EjectionChange),
    /// An instance came, went, or was killed, paused, resumed or restarted.
    Instance(InstanceChange),
    /// A policy took force.
    Policy {
        /// Its revision.
        revision: u64,
        /// The first request it holds for.
        since_request: u64,
        /// When, microseconds since the epoch.
        at_us: i64,
    },
}

/// An endpoint was ejected or taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EjectionChange {
    /// The service.
    pub service: Arc<str>,
    /// The subset whose policy it was, if it was one's.
    pub subset: Option<Arc<str>>,
    /// The instance.
    pub instance: Arc<str>,
    /// Until when (microseconds since the epoch), or nothing when it was taken back.
    pub until_us: Option<i64>,
    /// What ejected it: `consecutive-5xx`, `consecutive-gateway-failure`, …
    pub cause: &'static str,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The trace of the call that tipped it over, 32 hex digits.
    pub trace_id: Option<Arc<str>>,
}

/// Something happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceChange {
    /// The service.
    pub service: Arc<str>,
    /// The instance.
    pub instance: Arc<str>,
    /// `added`, `removed`, `killed`, `paused`, `ready`.
    pub state: &'static str,
    /// When, microseconds since the epoch.
    pub at_us: i64,
}

/// Tells changes. Clones tell the same listeners.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    changes: broadcast::Sender<Change>,
}

impl Announcer {
    pub(crate) fn new() -> Self {
        let (changes, _) = broadcast::channel(CHANGES_MAX);
        Self { changes }
    }

    /// Nobody listening is fine: every state can also be asked for.
    pub(crate) fn tell(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}

/// Tells that what refused calls may take them now. Clones tell the same listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Healing(watch::Sender<u64>);

impl Healing {
    pub(crate) fn tell(&self) {
        self.0.send_modify(|times| *times += 1);
    }

    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
