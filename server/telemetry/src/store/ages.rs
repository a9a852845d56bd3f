//! Which trace leaves next, and which have left.
//!
//! Traces are of four sorts ([`Sort`]). Those that nobody comes back for leave first, oldest before
//! newer. Each other sort may take a share of the store and no more, together with those that are
//! kept longer still, or a shop in trouble would show nothing but its past.

use crate::remembered::Remembered;
use std::collections::BTreeMap;

/// Ids remembered of traces that left, so that a span that ends late does not begin a fragment of
/// one: a minute of the busiest shop, half a megabyte.
const GONE_MAX: usize = 8_192;

/// Why a trace or a log line is kept; the first leaves first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// Nobody comes back for it.
    #[default]
    Plain,
    /// Of an order, with an error, compensated, or slow.
    Telling,
    /// Of an order that was cancelled or in which something failed.
    Lasting,
    /// Of an order that somebody placed who waits for it: not the load generator.
    Personal,
}

/// What is kept of a sort and of those that are kept longer may take so many parts of a hundred.
const SHARES: [(Sort, usize); 3] = [(Sort::Personal, 25), (Sort::Lasting, 50), (Sort::Telling, 75)];

impl Sort {
    const ALL: [Self; 4] = [Self::Plain, Self::Telling, Self::Lasting, Self::Personal];

    /// Which sort makes room, given how much there is of each.
    pub(super) fn makes_room(held: [usize; 4], most: usize) -> Self {
        let over = |(sort, percent): &&(Self, usize)| {
            let of_it: usize = held[*sort as usize..].iter().sum();
            of_it * 100 > most * percent
        };
        SHARES.iter().find(over).map_or(Self::Plain, |(sort, _)| *sort)
    }
}

/// The ids of the kept traces by age, and of those that left last.
#[derive(Debug)]
pub(super) struct Ages {
    next: u64,
    sorts: [BTreeMap<u64, u128>; 4],
    gone: Remembered<u128>,
}

impl Default for Ages {
    fn default() -> Self {
        Self { next: 0, sorts: Default::default(), gone: Remembered::of(GONE_MAX) }
    }
}

impl Ages {
    /// A place behind all others, for a trace that is plain so far.
    pub(super) fn begin(&mut self, id: u128) -> u64 {
        self.next += 1;
        self.sorts[Sort::Plain as usize].insert(self.next, id);
        self.next
    }

    /// The trace at this place turns out to be of another sort.
    pub(super) fn move_to(&mut self, place: u64, from: Sort, to: Sort) {
        if let Some(id) = self.sorts[from as usize].remove(&place) {
            self.sorts[to as usize].insert(place, id);
        }
    }

    /// The trace that leaves next: the oldest of a sort; if there is none, of the next one that is
    /// kept longer, and at last of any.
    pub(super) fn next(&self, sort: Sort) -> Option<u128> {
        let from = Sort::ALL.iter().filter(|other| **other >= sort).chain(&Sort::ALL);
        from.filter_map(|sort| self.sorts[*sort as usize].first_key_value())
            .map(|(_, id)| *id)
            .next()
    }

    /// The trace at this place leaves.
    pub(super) fn leave(&mut self, place: u64, sort: Sort) {
        if let Some(id) = self.sorts[sort as usize].remove(&place) {
            self.gone.add(id, ());
        }
    }

    /// Whether a trace left not long ago.
    pub(super) fn left(&self, id: u128) -> bool {
        self.gone.get(&id).is_some()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sorts.iter().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_leaves_before_older_traces_that_are_kept_longer() {
        let mut ages = Ages::default();
        let places: Vec<u64> = (1..=6).map(|id| ages.begin(id)).collect();
        let mut sorts =
            [Sort::Personal, Sort::Lasting, Sort::Telling, Sort::Plain, Sort::Telling].to_vec();
        sorts.push(Sort::Plain);
        for (place, sort) in places.iter().zip(&sorts) {
            ages.move_to(*place, Sort::Plain, *sort);
        }
        let order: Vec<u128> = std::iter::from_fn(|| {
            let id = ages.next(Sort::Plain)?;
            let at = id as usize - 1;
            ages.leave(places[at], sorts[at]);
            Some(id)
        })
        .collect();
        assert_eq!(order, [4, 6, 3, 5, 2, 1]);
        assert!(ages.left(1) && ages.left(6) && !ages.left(7));
    }

    #[test]
    fn a_sort_makes_room_when_it_and_those_kept_longer_have_more_than_their_share() {
        let asked = |held| Sort::makes_room(held, 100);
        assert_eq!(asked([100, 0, 0, 0]), Sort::Plain);
        assert_eq!(asked([25, 25, 25, 25]), Sort::Plain);
        assert_eq!(asked([24, 26, 25, 25]), Sort::Telling);
        assert_eq!(asked([40, 9, 26, 25]), Sort::Lasting);
        assert_eq!(asked([0, 0, 100, 0]), Sort::Lasting);
        assert_eq!(asked([74, 0, 0, 26]), Sort::Personal);
    }
}
