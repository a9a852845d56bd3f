//! For tests of races alone: a place that threads pass between a look and the lock that decides, so
//! that a test knows that all of them have looked before it lets one of them go on.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a place was passed.
#[derive(Debug, Default)]
pub(crate) struct Passed(AtomicUsize);

impl Passed {
    /// Somebody passes.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// So many have passed.
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Until so many have.
    pub(crate) fn wait(&self, times: usize) {
        while self.times() < times {
            std::thread::yield_now();
        }
    }
}
