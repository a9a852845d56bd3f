//! Identifiers from one seeded generator: the same seed gives the same ids in the same order.

use crate::Clock;
use parking_lot::Mutex;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::sync::Arc;
use uuid::Uuid;

/// Crockford's base 32: no I, L, O or U, so ids can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Gives ids and random numbers. Clones share one sequence.
#[derive(Clone, Debug)]
pub struct IdSource(Arc<Mutex<StdRng>>);

impl IdSource {
    /// A sequence that depends on the seed alone.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A sequence of its own, begun by the next number of this one: who draws from it concurrently,
    /// or waits in between, changes nothing of what the others draw.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(self.0.lock().next_u64()))))
    }

    /// `prefix-` and so many characters of Crockford's base 32 (5 random bits each).
    #[must_use]
    pub fn short(&self, prefix: &str, characters: usize) -> String {
        let mut rng = self.0.lock();
        let mut id = String::with_capacity(prefix.len() + 1 + characters);
        id.push_str(prefix);
        id.push('-');
        id.extend((0..characters).map(|_| char::from(ALPHABET[rng.random_range(0..32)])));
        id
    }

    /// A version 4 UUID (RFC 9562) from the sequence.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// An id that no other run gives, not even one of the same seed: for what a database remembers
    /// over restarts.
    #[must_use]
    pub fn unique(&self) -> String {
        format!("{:x}-{}", Clock::system().now_us(), self.uuid())
    }

    /// A uniform number in `0..bound`; 0 when `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.lock().random_range(0..bound) }
    }

    /// A uniform number in `0.0..1.0`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.0.lock().random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (a, b) = (IdSource::seeded(7), IdSource::seeded(7));
        assert_eq!(a.short("ord", 8), b.short("ord", 8));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(IdSource::seeded(8).short("ord", 8), IdSource::seeded(7).short("ord", 8));
    }

    #[test]
    fn a_fork_is_drawn_from_without_changing_what_others_draw() {
        let (a, b) = (IdSource::seeded(7), IdSource::seeded(7));
        let (fork, same) = (a.fork(), b.fork());
        assert_eq!(fork.uuid(), same.uuid());
        for _ in 0..5 {
            let _ = fork.uuid();
        }
        let next = a.fork();
        assert_eq!(next.uuid(), b.fork().uuid());
        assert_ne!(next.uuid(), fork.uuid());
    }

    #[test]
    fn a_unique_id_does_not_come_again_with_its_seed() {
        let ids: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| IdSource::seeded(7).unique()).collect();
        assert!(ids.len() > 1, "the seed alone made all of {ids:?}");
        assert!(ids.iter().all(|id| id.len() <= 64));
    }

    #[test]
    fn a_short_id_is_its_prefix_and_crockford_characters() {
        let id = IdSource::seeded(1).short("ord", 8);
        assert_eq!(id.len(), 12);
        assert!(
            id.strip_prefix("ord-").is_some_and(|rest| rest.bytes().all(|b| ALPHABET.contains(&b)))
        );
    }
}
