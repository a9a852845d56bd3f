//! A map that remembers so many keys and forgets those that came first.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Remembered<K, V = ()> {
    most: usize,
    held: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V> Remembered<K, V> {
    /// Remembers so many keys.
    pub(crate) fn of(most: usize) -> Self {
        Self { most, held: HashMap::new(), order: VecDeque::new() }
    }

    /// Adds a key. False when it is known; then it keeps its place and what was said of it.
    pub(crate) fn add(&mut self, key: K, value: V) -> bool {
        if self.held.contains_key(&key) {
            return false;
        }
        self.order.push_back(key.clone());
        self.held.insert(key, value);
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
            }
        }
        true
    }

    /// What was said of a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.held.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_forgotten_and_what_is_known_keeps_its_place() {
        let mut remembered = Remembered::of(3);
        for (key, value) in [(1, "a"), (2, "b"), (3, "c")] {
            assert!(remembered.add(key, value));
        }
        assert!(!remembered.add(1, "again"));
        assert_eq!(remembered.get(&1), Some(&"a"));
        assert!(remembered.add(4, "d"));
        assert_eq!((remembered.get(&1), remembered.get(&2)), (None, Some(&"b")));
        assert_eq!(remembered.held.len(), remembered.order.len());
    }
}
