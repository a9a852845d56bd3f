//! Whether the subscribers of a lane take messages, so that an outage is told when it begins and
//! when it is over, and not once for every try.

use crate::BusError;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Tries without an acknowledgement in a row after which a subscriber counts as away: as many as
/// open a breaker. Fewer happen while all is well, to one message that is unlucky.
const MISSES: u32 = 5;

/// How the tries of one lane ended lately.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Without an acknowledgement, in a row.
    misses: AtomicU32,
    /// Messages that were tried in vain and wait.
    waiting: AtomicU64,
}

impl Away {
    /// A try in vain, the first of its message or not. Tells when that is when the outage begins.
    pub(super) fn missed(&self, first: bool, error: &BusError) -> Option<String> {
        self.waiting.fetch_add(u64::from(first), Ordering::Relaxed);
        let misses = self.misses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (misses == MISSES).then(|| {
            let waiting = messages(self.waiting.load(Ordering::Relaxed), "waits", "wait");
            let BusError { subscriber, cause, .. } = error;
            format!("{subscriber} takes no messages: {cause}; {waiting} until it does")
        })
    }

    /// A message was taken or given up, after tries in vain or at once. Tells when that is the end
    /// of an outage.
    pub(super) fn answered(&self, waited: bool) -> Option<String> {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.waiting.fetch_sub(u64::from(waited), Ordering::Relaxed);
        let misses = self.misses.swap(0, Ordering::Relaxed);
        let waiting = || messages(waiting, "waited", "waited");
        (misses >= MISSES).then(|| format!("takes messages again; {}", waiting()))
    }
}

/// "1 message waits", "7 messages wait".
fn messages(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 message {one}"),
        count => format!("{count} messages {many}"),
    }
}
