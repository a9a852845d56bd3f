//! Exact shares: of each hundred requests as many are taken as the share says, at random places.
//!
//! Stratified draws instead of independent ones: 10 % of 10,000 requests is 1,000, and 10 of each
//! 100. Which places of a stratum are taken is a selection sample (Knuth, The Art of Computer
//! Programming, volume 2, algorithm 3.4.2 S) from a seeded sequence, so the same seed takes the
//! same places. Knows nothing of what is drawn for.

use base::IdSource;
use istio::policy::Share;
use parking_lot::Mutex;

/// Draws in one stratum: the unit people count in.
const STRATUM: u64 = 100;

/// Draws of one share for one purpose. Two purposes need two of these to be independent.
#[derive(Debug)]
pub(crate) struct Strata {
    share: Share,
    ids: IdSource,
    stratum: Mutex<Stratum>,
}

#[derive(Debug, Default)]
struct Stratum {
    /// Strata begun before this one.
    earlier: u64,
    /// Draws left in it.
    left: u64,
    /// Of those, how many are to be taken.
    due: u64,
}

impl Strata {
    /// Draws that depend on the seed and on nothing else.
    #[must_use]
    pub(crate) fn new(share: Share, seed: u64) -> Self {
        Self { share, ids: IdSource::seeded(seed), stratum: Mutex::default() }
    }

    /// The share that is drawn.
    pub(crate) const fn share(&self) -> Share {
        self.share
    }

    /// Whether the next one is taken.
    #[must_use]
    pub(crate) fn draw(&self) -> bool {
        if self.share >= Share::ALL || self.share == Share::NONE {
            return self.share != Share::NONE;
        }
        let mut stratum = self.stratum.lock();
        if stratum.left == 0 {
            let earlier = stratum.earlier;
            let due = self.due_after(earlier + 1) - self.due_after(earlier);
            *stratum = Stratum { earlier: earlier + 1, left: STRATUM, due };
        }
        let taken = self.ids.below(stratum.left) < stratum.due;
        stratum.left -= 1;
        stratum.due -= u64::from(taken);
        taken
    }

    /// Taken in so many whole strata. Rounds down; what is cut off is due in a later stratum.
    fn due_after(&self, strata: u64) -> u64 {
        let drawn = u128::from(strata) * u128::from(STRATUM);
        let taken = drawn * u128::from(self.share.0) / u128::from(Share::ALL.0);
        u64::try_from(taken).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(strata: &Strata, draws: usize) -> Vec<usize> {
        (0..draws).filter(|_| strata.draw()).collect()
    }

    #[test]
    fn ten_percent_of_ten_thousand_is_a_thousand_and_ten_of_each_hundred() {
        for seed in 0..20 {
            let strata = Strata::new(Share(100_000), seed);
            let taken = taken(&strata, 10_000);
            assert_eq!(taken.len(), 1_000, "seed {seed}");
            for hundred in 0..100 {
                let here = taken.iter().filter(|at| *at / 100 == hundred).count();
                assert_eq!(here, 10, "seed {seed}, hundred {hundred}");
            }
        }
    }

    #[test]
    fn shares_that_do_not_divide_a_hundred_are_exact_in_the_long_run() {
        for (ppm, draws, expected) in [
            (333_333, 300_000, 99_999),
            (1, 1_000_000, 1),
            (5_000, 20_000, 100),
            (999_999, 100, 99),
        ] {
            let strata = Strata::new(Share(ppm), 3);
            assert_eq!(taken(&strata, draws).len(), expected, "{ppm} ppm of {draws}, seed 3");
        }
    }

    #[test]
    fn all_is_all_and_none_is_none() {
        assert_eq!(taken(&Strata::new(Share::ALL, 1), 250).len(), 250);
        assert!(taken(&Strata::new(Share::NONE, 1), 250).is_empty());
    }

    #[test]
    fn the_same_seed_takes_the_same_places_and_another_seed_takes_others() {
        let places = |seed| taken(&Strata::new(Share(250_000), seed), 400);
        assert_eq!(places(7), places(7));
        assert_ne!(places(7), places(8));
    }
}
