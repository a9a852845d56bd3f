//! Shares, moves and arcs against the tables that calls go by, counted by brute force.

use super::*;
use istio::policy::HashTable;
use std::collections::HashMap;

const NAMES: [&str; 5] = ["a-0", "a-1", "a-2", "a-3", "a-4"];
const KEYS: u64 = 10_000;
/// One prime, one that is none, and rings whose points for each change when one leaves, and not.
const TABLES: [HashTable; 4] = [
    HashTable::Ring { minimum_size: 1_024 },
    HashTable::Ring { minimum_size: 64 },
    HashTable::Maglev { size: 10_007 },
    HashTable::Maglev { size: 640 },
];

fn all(_: u32) -> bool {
    true
}

fn spread(table: &Table, usable: impl Fn(u32) -> bool) -> Spread {
    Spread::of(table, NAMES.len(), usable).unwrap()
}

/// The table without one, its instances under the indexes they had.
fn without(table: HashTable, left: u32) -> Table {
    let names = (0..).zip(NAMES).filter(|(at, _)| *at != left).map(|(_, name)| name);
    let mut built = Table::build(table, &names.collect::<Vec<_>>());
    built.rename(|member| member + u32::from(member >= left));
    built
}

/// Keys whose hashes are so many positions, evenly over all that there are: of a Maglev table each
/// slot as often.
fn hashes(table: &Table) -> Vec<u64> {
    match table {
        Table::Ring(_) => (0..KEYS).map(|key| (u64::MAX / KEYS) * key + 12_345).collect(),
        Table::Maglev(slots) => (0..slots.len() as u64).collect(),
    }
}

/// How far a count of evenly placed keys may be from what is measured: a part of a key at either
/// end of each run, which mostly even out. Slots are counted as they are.
fn tolerance(table: &Table) -> f64 {
    match table {
        Table::Ring(points) => (points.len() as f64).sqrt() * 2.0 / KEYS as f64,
        Table::Maglev(_) => 1e-12,
    }
}

#[test]
fn a_spread_is_what_calls_find_for_every_key() {
    for table in TABLES {
        let built = Table::build(table, &NAMES);
        for out in [None, Some(1), Some(4)] {
            let usable = |member: u32| Some(member) != out;
            let spread = spread(&built, usable);
            let mut counts = HashMap::new();
            let hashes = hashes(&built);
            for hash in &hashes {
                *counts.entry(built.find(*hash, usable).unwrap()).or_insert(0_u32) += 1;
            }
            let shares = spread.shares();
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{table:?}: {shares:?}");
            for (member, share) in (0..).zip(&shares) {
                let counted = f64::from(counts.get(&member).copied().unwrap_or(0));
                let counted = counted / hashes.len() as f64;
                let off = (share - counted).abs();
                assert!(off <= tolerance(&built), "{table:?} {out:?} {member}: {share} {counted}");
                assert_eq!(*share == 0.0, Some(member) == out, "{table:?} {out:?}");
            }
        }
    }
}

#[test]
fn what_moves_when_one_leaves_is_what_calls_do_with_every_key() {
    for table in TABLES {
        let built = Table::build(table, &NAMES);
        let hashes = hashes(&built);
        for left in 0..5 {
            let after = without(table, left);
            let told = spread(&built, all).leaving(&spread(&after, all), left).unwrap();
            let (mut own, mut needless, mut to) = (0_u32, 0_u32, [0_u32; 5]);
            for hash in &hashes {
                let (was, is) = (built.find(*hash, all).unwrap(), after.find(*hash, all).unwrap());
                assert_ne!(is, left);
                if was != is {
                    *if was == left { &mut own } else { &mut needless } += 1;
                    to[is as usize] += 1;
                }
            }
            let of = |count: u32| f64::from(count) / hashes.len() as f64;
            let near = |told: f64, count: u32| (told - of(count)).abs() <= tolerance(&built) * 2.0;
            assert!(near(told.own, own), "{table:?} {left}: {told:?}, counted {own}");
            assert!(near(told.needless, needless), "{table:?} {left}: {told:?}, {needless}");
            assert!((told.moved - told.own - told.needless).abs() < 1e-12);
            assert!(told.to.iter().zip(to).all(|(told, count)| near(*told, count)), "{told:?}");
            assert!((told.to.iter().sum::<f64>() - told.moved).abs() < 1e-9, "{told:?}");
        }
    }
}

#[test]
fn of_a_ring_no_other_key_moves_while_each_keeps_its_points_and_of_maglev_a_few_do() {
    let needless = |table: HashTable, names: &[&str]| {
        let built = Table::build(table, names);
        let after = Table::build(table, &names[..names.len() - 1]);
        let spread = |table: &Table| Spread::of(table, names.len(), all).unwrap();
        let left = u32::try_from(names.len() - 1).unwrap();
        spread(&built).leaving(&spread(&after), left).unwrap()
    };
    // 1,024 points are 512 for each of three and of two, but 256 for each of four.
    let ring = HashTable::Ring { minimum_size: 1_024 };
    let kept = needless(ring, &NAMES[..3]);
    assert!(kept.needless == 0.0 && (0.2..0.5).contains(&kept.own), "{kept:?}");
    assert_eq!(kept.moved, kept.own);
    assert_eq!(needless(ring, &NAMES).needless, 0.0, "256 for each of five and of four");
    let anew = needless(ring, &NAMES[..4]);
    assert!((0.01..0.5).contains(&anew.needless), "{anew:?}");
    let maglev = needless(HashTable::Maglev { size: 65_537 }, &NAMES[..3]);
    assert!((0.000_1..0.05).contains(&maglev.needless), "{maglev:?}");
    assert!((0.32..0.35).contains(&maglev.own), "{maglev:?}");
}

#[test]
fn arcs_are_in_order_without_gaps_and_keep_the_exact_sums() {
    for table in TABLES {
        let built = Table::build(table, &NAMES);
        for usable in [all as fn(u32) -> bool, |member| member != 2] {
            let spread = spread(&built, usable);
            let arcs = spread.arcs();
            assert!(arcs.len() <= ARCS_MAX, "{table:?}: {} arcs", arcs.len());
            assert_eq!(arcs.first().map(|arc| arc.from), Some(0.0));
            assert_eq!(arcs.last().map(|arc| arc.to), Some(1.0));
            assert!(arcs.windows(2).all(|pair| pair[0].to == pair[1].from), "{table:?}");
            let mut sums = [0.0; 5];
            arcs.iter().for_each(|arc| sums[arc.owner as usize] += arc.to - arc.from);
            let shares = spread.shares();
            let same = sums.iter().zip(&shares).all(|(sum, share)| (sum - share).abs() < 1e-9);
            assert!(same, "{table:?}: {sums:?} {shares:?}");
        }
    }
    let maglev = spread(&Table::build(TABLES[2], &NAMES), all).arcs();
    let owners: Vec<_> = maglev.iter().map(|arc| arc.owner).collect();
    assert_eq!(owners, [0, 1, 2, 3, 4], "slots stand together by their owner");
}

#[test]
fn a_key_is_drawn_in_an_arc_of_its_owner() {
    for table in TABLES {
        let built = Table::build(table, &NAMES);
        for usable in [all as fn(u32) -> bool, |member| member != 2] {
            let spread = spread(&built, usable);
            let arcs = spread.arcs();
            for hash in hashes(&built).into_iter().step_by(7) {
                let at = spread.drawn_at(hash);
                // At a border the difference between both is less than a float can tell.
                let near = |arc: &&Stretch| arc.from - 1e-9 <= at && at <= arc.to + 1e-9;
                let owner = built.find(hash, usable);
                let found = arcs.iter().filter(near).any(|arc| Some(arc.owner) == owner);
                assert!(found, "{table:?}: {hash} at {at} of {owner:?}");
            }
        }
    }
}

#[test]
fn the_arcs_that_move_are_as_much_as_moves_and_lie_where_the_keys_were() {
    for table in TABLES {
        let built = Table::build(table, &NAMES);
        let (before, after) = (spread(&built, all), spread(&without(table, 3), all));
        let told = before.leaving(&after, 3).unwrap();
        let (arcs, moves) = (before.arcs(), before.moves(&after));
        let sum: f64 = moves.iter().map(|arc| arc.to - arc.from).sum();
        assert!((sum - told.moved).abs() < 1e-9, "{table:?}: {sum} of {told:?}");
        let mut own = 0.0;
        for moved in &moves {
            assert_ne!(moved.owner, 3);
            let middle = f64::midpoint(moved.from, moved.to);
            let arc = arcs.iter().find(|arc| arc.from <= middle && middle < arc.to).unwrap();
            own += if arc.owner == 3 { moved.to - moved.from } else { 0.0 };
        }
        assert!((own - told.own).abs() < 1e-9, "{table:?}: {own} of {told:?}");
    }
}

#[test]
fn of_points_at_one_place_the_first_has_the_key_and_behind_the_last_it_is_the_first_again() {
    let table = Table::Ring(vec![(10, 0), (10, 1), (20, 1), (30, 1), (40, 0), (u64::MAX - 9, 1)]);
    let spread = Spread::of(&table, 2, all).unwrap();
    let runs: Vec<_> = spread.runs().map(|run| (run.end - 1, run.owner)).collect();
    let max = u128::from(u64::MAX);
    assert_eq!(runs, [(10, 0), (30, 1), (40, 0), (max - 9, 1), (max, 0)]);
    for hash in [0, 10, 11, 30, 31, 40, 41, u64::MAX - 9, u64::MAX - 8, u64::MAX] {
        let run = spread.runs().find(|run| u128::from(hash) < run.end);
        assert_eq!(run.map(|run| run.owner), table.find(hash, all), "{hash}");
    }
}

#[test]
fn while_nobody_may_be_used_there_is_no_spread_and_sizes_that_differ_are_not_compared() {
    let (one, other) = (Table::build(TABLES[2], &NAMES), Table::build(TABLES[3], &NAMES));
    assert!(Spread::of(&one, NAMES.len(), |_| false).is_none());
    assert!(spread(&one, all).leaving(&spread(&other, all), 0).is_none());
}
