//! Which trace leaves next, and which have left.
//!
//! Traces are of two sorts: plain ones, and those somebody comes back for: of an order, with an
//! error, compensated, or slow. Plain ones leave first, oldest before newer. What is come back for
//! may take a share of the store and no more, or a shop in trouble would show nothing but its past.

use std::collections::{BTreeMap, HashSet, VecDeque};

/// Ids remembered of traces that left, so that a span that ends late does not begin a fragment of
/// one: a minute of the busiest shop, half a megabyte.
const GONE_MAX: usize = 8_192;

/// The ids of the kept traces by age, and of those that left last.
#[derive(Debug, Default)]
pub(super) struct Ages {
    next: u64,
    plain: BTreeMap<u64, u128>,
    telling: BTreeMap<u64, u128>,
    gone: HashSet<u128>,
    gone_order: VecDeque<u128>,
}

impl Ages {
    /// A place behind all others, for a trace that is plain so far.
    pub(super) fn begin(&mut self, id: u128) -> u64 {
        self.next += 1;
        self.plain.insert(self.next, id);
        self.next
    }

    /// The trace at this place turns out to be one that is come back for.
    pub(super) fn tell(&mut self, place: u64) {
        if let Some(id) = self.plain.remove(&place) {
            self.telling.insert(place, id);
        }
    }

    /// Takes the trace that leaves next: the oldest that is come back for if those take more than
    /// their share, else the oldest plain one.
    pub(super) fn take(&mut self, telling_first: bool) -> Option<u128> {
        let (first, then) = match telling_first {
            true => (&mut self.telling, &mut self.plain),
            false => (&mut self.plain, &mut self.telling),
        };
        let (_, id) = first.pop_first().or_else(|| then.pop_first())?;
        if self.gone.insert(id) {
            self.gone_order.push_back(id);
        }
        while self.gone_order.len() > GONE_MAX {
            if let Some(forgotten) = self.gone_order.pop_front() {
                self.gone.remove(&forgotten);
            }
        }
        Some(id)
    }

    /// Whether a trace left not long ago.
    pub(super) fn left(&self, id: u128) -> bool {
        self.gone.contains(&id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.telling.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_traces_leave_before_older_ones_that_are_come_back_for() {
        let mut ages = Ages::default();
        let places: Vec<u64> = (1..=4).map(|id| ages.begin(id)).collect();
        ages.tell(places[0]);
        ages.tell(places[2]);
        let order: Vec<u128> = std::iter::from_fn(|| ages.take(false)).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn what_has_left_is_remembered_for_a_bounded_while() {
        let mut ages = Ages::default();
        for id in 0..GONE_MAX as u128 + 10 {
            ages.begin(id);
            assert_eq!(ages.take(true), Some(id));
        }
        assert!(!ages.left(9) && ages.left(10) && ages.left(GONE_MAX as u128));
        assert_eq!(ages.gone.len(), ages.gone_order.len());
    }
}
