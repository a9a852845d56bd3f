//! The tables of consistent hashing: the same key finds the same instance, and when an instance
//! goes, hardly any other key moves. Pure.
//!
//! As Envoy's `ring_hash_lb.cc` and `maglev_lb.cc`: points and offsets are XXH64 of the instance's
//! name, so that a table depends on who is in it and on nothing else.

use crate::instance::Host;
use istio::policy::{HashTable, LoadBalancer};
use std::sync::Arc;
use twox_hash::XxHash64;

/// Most points of a ring; more would cost memory and win nothing.
const RING_POINTS_MAX: u64 = 1 << 20;
/// Most slots of a Maglev table: Envoy's limit, a prime.
const MAGLEV_SLOTS_MAX: u64 = 5_000_011;

/// A table over the members of a cluster, which it names by index.
#[derive(Debug)]
pub(crate) enum Table {
    /// Points in order, each with its instance.
    Ring(Vec<(u64, u32)>),
    /// The instance of each slot.
    Maglev(Vec<u32>),
}

/// The hash of a key.
pub(crate) fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

/// Points of each instance on a ring: a power of two, so that the others keep their points when one
/// comes or goes.
fn points_of_each(minimum: u64, instances: u64) -> u64 {
    minimum.clamp(1, RING_POINTS_MAX).div_ceil(instances).next_power_of_two()
}

fn slots_of(size: u64, instances: u64) -> u64 {
    size.clamp(instances, MAGLEV_SLOTS_MAX).max(2)
}

impl Table {
    /// The table of a consistent hash over these hosts; none for other balancers, or no hosts.
    pub(crate) fn of(balancer: &LoadBalancer, hosts: &[Arc<Host>]) -> Option<Self> {
        let LoadBalancer::ConsistentHash { table, .. } = balancer else { return None };
        let names: Vec<&str> = hosts.iter().map(|host| &*host.name).collect();
        (!names.is_empty()).then(|| Self::build(*table, &names))
    }

    pub(crate) fn build(table: HashTable, names: &[&str]) -> Self {
        match table {
            HashTable::Ring { minimum_size } => Self::ring(minimum_size, names),
            HashTable::Maglev { size } => Self::maglev(size, names),
        }
    }

    /// How many positions a table over so many instances has, told without building it.
    pub(crate) fn positions_of(table: HashTable, instances: usize) -> usize {
        let instances = instances as u64;
        let positions = match table {
            _ if instances == 0 => 0,
            HashTable::Ring { minimum_size } => points_of_each(minimum_size, instances) * instances,
            HashTable::Maglev { size } => slots_of(size, instances),
        };
        positions as usize
    }

    fn ring(minimum: u64, names: &[&str]) -> Self {
        let each = points_of_each(minimum, names.len() as u64);
        let mut points = Vec::new();
        for (host, name) in (0..).zip(names) {
            points.extend((0..each).map(|i| (hash(format!("{name}_{i}").as_bytes()), host)));
        }
        points.sort_unstable();
        Self::Ring(points)
    }

    /// Each instance has its own order of all slots; in turn each takes the next of its slots that
    /// is free (Maglev, section 3.4).
    fn maglev(size: u64, names: &[&str]) -> Self {
        let size = slots_of(size, names.len() as u64);
        let order = |name: &&str| {
            let offset = XxHash64::oneshot(0, name.as_bytes()) % size;
            let skip = XxHash64::oneshot(1, name.as_bytes()) % (size - 1) + 1;
            (offset, skip)
        };
        let mut orders: Vec<_> = names.iter().map(order).collect();
        let mut slots = vec![None; size as usize];
        let mut free = slots.len();
        // A size that is no prime might keep a slot from everybody: bounded, and filled below.
        let mut tries = size.saturating_mul(names.len() as u64).saturating_mul(2);
        'filling: loop {
            for (host, (at, skip)) in (0_u32..).zip(&mut orders) {
                while slots[*at as usize].is_some() && tries > 0 {
                    *at = (*at + *skip) % size;
                    tries -= 1;
                }
                if free == 0 || tries == 0 {
                    break 'filling;
                }
                slots[*at as usize] = Some(host);
                free -= 1;
                if free == 0 {
                    break 'filling;
                }
            }
        }
        Self::Maglev(slots.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Gives the instances other indexes.
    pub(crate) fn rename(&mut self, to: impl Fn(u32) -> u32) {
        match self {
            Self::Ring(points) => points.iter_mut().for_each(|(_, host)| *host = to(*host)),
            Self::Maglev(slots) => slots.iter_mut().for_each(|host| *host = to(*host)),
        }
    }

    /// The index of the first instance for `hash` that may be used, walking on from the one that
    /// is due.
    pub(crate) fn find(&self, hash: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::Ring(points) => {
                let first = points.partition_point(|(point, _)| *point < hash);
                let (before, after) = points.split_at(first);
                after.iter().chain(before).map(|(_, host)| *host).find(|host| usable(*host))
            }
            Self::Maglev(slots) => {
                let first = (hash % slots.len() as u64) as usize;
                let (before, after) = slots.split_at(first);
                after.iter().chain(before).copied().find(|host| usable(*host))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn positions(table: &Table) -> usize {
        match table {
            Table::Ring(points) => points.len(),
            Table::Maglev(slots) => slots.len(),
        }
    }

    fn owners(table: HashTable, names: &[&'static str]) -> Vec<&'static str> {
        let built = Table::build(table, names);
        let owner = |key: u64| built.find(hash(&key.to_le_bytes()), |_| true).unwrap();
        (0..KEYS).map(|key| names[owner(key) as usize]).collect()
    }

    #[test]
    fn when_one_of_five_goes_about_a_fifth_of_the_keys_move() {
        let tables = [
            (HashTable::Ring { minimum_size: 1_024 }, 0.0),
            (HashTable::Maglev { size: 65_537 }, 0.03),
        ];
        for (table, others_may) in tables {
            let all = owners(table, &["a-0", "a-1", "a-2", "a-3", "a-4"]);
            let four = owners(table, &["a-0", "a-1", "a-3", "a-4"]);
            let share = |count: usize| count as f64 / KEYS as f64;
            let gone = all.iter().filter(|owner| **owner == "a-2").count();
            assert!((0.15..0.25).contains(&share(gone)), "{table:?}: {gone}");
            let pairs = all.iter().zip(&four);
            let moved = pairs.filter(|(a, b)| a != b && **a != "a-2").count();
            assert!(share(moved) <= others_may, "{table:?}: {moved} of the other keys moved");
        }
    }

    #[test]
    fn every_instance_gets_about_its_share() {
        let names = ["a-0", "a-1", "a-2", "a-3"];
        let tables = [HashTable::Ring { minimum_size: 4_096 }, HashTable::Maglev { size: 65_537 }];
        for table in tables {
            let owners = owners(table, &names);
            for name in names {
                let keys = owners.iter().filter(|owner| **owner == name).count() as f64;
                assert!((0.2..0.3).contains(&(keys / KEYS as f64)), "{table:?} {name}: {keys}");
            }
        }
    }

    #[test]
    fn an_instance_that_may_not_be_used_is_passed_over() {
        for table in [HashTable::Ring { minimum_size: 64 }, HashTable::Maglev { size: 101 }] {
            let built = Table::build(table, &["a-0", "a-1"]);
            for key in 0..100_u64 {
                assert_eq!(built.find(hash(&key.to_le_bytes()), |host| host == 1), Some(1));
            }
            assert_eq!(built.find(7, |_| false), None);
        }
    }

    #[test]
    fn how_large_a_table_is_is_known_before_it_is_built() {
        let rings = [1, 3, 64, 1_000].map(|minimum_size| HashTable::Ring { minimum_size });
        let maglevs = [1, 64, 101].map(|size| HashTable::Maglev { size });
        let names = ["a-0", "a-1", "a-2"];
        for table in rings.into_iter().chain(maglevs) {
            for count in 1..=3 {
                let built = positions(&Table::build(table, &names[..count]));
                assert_eq!(Table::positions_of(table, count), built, "{table:?} of {count}");
            }
            assert_eq!(Table::positions_of(table, 0), 0);
        }
    }

    #[test]
    fn a_table_whose_size_is_no_prime_is_filled_too() {
        let Table::Maglev(slots) = Table::maglev(64, &["a-0", "a-1", "a-2"]) else { panic!() };
        assert_eq!(slots.len(), 64);
    }
}
