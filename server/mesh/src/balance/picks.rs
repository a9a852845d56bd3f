//! How often an instance was really picked, by second: what a share is observed by.
//!
//! Beside the requests that an instance counts when they are over: a pick is of one cluster, and
//! counts although its call hangs.

use contract::balance::PICKS_SECONDS;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cell for each second that is counted.
const CELLS: usize = PICKS_SECONDS as usize;

/// Picks of the last seconds. In each cell the second since the epoch in the upper half and its
/// picks in the lower, so that one atomic is all that a pick costs.
#[derive(Debug)]
pub(crate) struct Picks([AtomicU64; CELLS]);

impl Default for Picks {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

/// The second of a time, as a cell holds it.
fn second(now_us: i64) -> u64 {
    u64::try_from(now_us.div_euclid(1_000_000)).unwrap_or(0) & u64::from(u32::MAX)
}

impl Picks {
    pub(crate) fn count(&self, now_us: i64) {
        let second = second(now_us);
        let cell = usize::try_from(second).unwrap_or(0) % CELLS;
        let counted = |was: u64| match was >> 32 == second {
            true => Some(was + 1),
            false => Some(second << 32 | 1),
        };
        // Never refused: there is always a next value.
        let _ = self.0[cell].fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// Picks of the last [`PICKS_SECONDS`], the second that is going on included.
    pub(crate) fn sum(&self, now_us: i64) -> u64 {
        let now = second(now_us);
        let cells = self.0.iter().map(|cell| cell.load(Ordering::Relaxed));
        let recent = |cell: &u64| {
            now.checked_sub(cell >> 32).is_some_and(|age| age < u64::from(PICKS_SECONDS))
        };
        cells.filter(recent).map(|cell| cell & u64::from(u32::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_those_of_the_last_minute() {
        let picks = Picks::default();
        for second in 0..90 {
            (0..=second % 3).for_each(|_| picks.count(1_000_000_000 + second * 1_000_000 + 7));
        }
        assert_eq!(picks.sum(1_000_000_000 + 89_000_000), 120, "20 times 1 + 2 + 3");
        assert_eq!(picks.sum(1_000_000_000 + 119_000_000), 60);
        assert_eq!(picks.sum(1_000_000_000 + 149_000_000), 0);
    }

    #[test]
    fn of_many_who_pick_at_once_each_counts() {
        let picks = Picks::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| picks.count(5_000_000)));
            }
        });
        assert_eq!(picks.sum(5_000_000), 4_000);
    }
}
