//! How calls are balanced, to be looked at: the policy in force, who is in the pool, what each
//! should get and really got; of a consistent hash also the table, and what moves when one leaves.
//!
//! Made of the very members and tables that calls go by, never on their way. What takes its time
//! (a table without each instance in turn) is made only of what is looked at, and once for as long
//! as nothing changes.

use super::{
    Spread, Table,
    spread::{Leaving, Stretch},
    table, warmup,
};
use crate::{Phase, cluster::Members};
use istio::policy::{HashTable, LoadBalancer, Origin, Selector, Warmup};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// Most slots of all tables that are gone through for a look, those without each instance in turn
/// included: about a second of work. Every table there may be is within it; what moves when an
/// instance leaves is not worked out beyond it, and the answer says so.
pub const LOOK_SLOTS_MAX: usize = 1 << 24;

/// Instances that calls are balanced over: a service, or one of its subsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The service.
    pub service: Arc<str>,
    /// Its subset; none is all instances.
    pub subset: Option<Arc<str>>,
    /// The callers its rule is for, if not for all.
    pub callers: Option<Selector>,
}

/// How calls to a pool are balanced, as it is now.
#[derive(Clone, Debug)]
pub struct PoolBalance {
    /// Whose instances.
    pub pool: Pool,
    /// The `DestinationRule` the policy is of; none where nobody wrote one.
    pub origin: Option<Origin>,
    /// The policy.
    pub policy: LoadBalancer,
    /// How new instances get their share, where the policy goes by it.
    pub warmup: Option<Warmup>,
    /// Whether outlier detection is on: else nobody takes an instance out that fails.
    pub outlier: bool,
    /// So many are ejected that ejection is ignored.
    pub panic: bool,
    /// Of a consistent hash, picks of the last
    /// [`PICKS_SECONDS`](contract::balance::PICKS_SECONDS) that had no key: those go anywhere.
    pub unkeyed: u64,
    /// Each instance, by name.
    pub instances: Vec<InstanceBalance>,
    /// Of a consistent hash, where the keys go, once that is looked at.
    keys: Option<Arc<KeySpace>>,
    /// Whether what moves when an instance leaves is worked out.
    leaving_told: bool,
    members: Arc<Members>,
    looked_at: Arc<LookedAt>,
}

/// What is seen of a pool without looking at keys, all of it under one policy.
pub(crate) struct Seen {
    pub(crate) pool: Pool,
    pub(crate) origin: Option<Origin>,
    pub(crate) warmup: Option<Warmup>,
    pub(crate) outlier: bool,
    pub(crate) panic: bool,
    pub(crate) instances: Vec<InstanceBalance>,
}

/// Members of no cluster whose keys were looked at last: who looks again finds them worked out.
/// One pool of all that nobody calls, so that looking cannot fill the memory.
#[derive(Debug, Default)]
pub(crate) struct LookedAt(Mutex<Option<Arc<Members>>>);

impl LookedAt {
    /// These, or those that are kept if they are the same.
    pub(crate) fn or_kept(&self, members: Members) -> Arc<Members> {
        let kept = self.0.lock().clone().filter(|kept| kept.are(&members));
        kept.unwrap_or_else(|| Arc::new(members))
    }
}

/// One instance of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceBalance {
    /// Its name.
    pub instance: Arc<str>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// How it is. The balancer does not know: what is killed is picked until it is ejected.
    pub phase: Phase,
    /// The sweep that takes it back, microseconds since the epoch, if it is ejected.
    pub ejected_until_us: Option<i64>,
    /// Whether it may be picked.
    pub in_pool: bool,
    /// Its weight while it is new, 0 to 1.
    pub warm: f64,
    /// The share of picks that the policy gives it, 0 to 1. Of a consistent hash an even one until
    /// [`PoolBalance::look`].
    pub configured: f64,
    /// How often it was really picked in the last
    /// [`PICKS_SECONDS`](contract::balance::PICKS_SECONDS).
    pub picked: u64,
    /// Requests under way at it, those of other pools included.
    pub active: u32,
    /// Of a consistent hash that was looked at, what moves when it leaves; none where it is the
    /// only one, or the tables are too large to be built for a look.
    pub leaving: Option<Leaving>,
}

/// Where one key goes.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyOwner {
    /// Its hash.
    pub hash: u64,
    /// Where it is among the arcs, 0 to 1.
    pub at: f64,
    /// Where it goes now; none while nobody may be picked.
    pub instance: Option<Arc<str>>,
    /// Where it goes while all are in the pool.
    pub due: Option<Arc<str>>,
    /// Where it goes after the asked one has left; none if nobody is there then.
    pub after: Option<Arc<str>>,
}

impl PoolBalance {
    /// The configured shares are those of the instances that may be picked.
    pub(crate) fn new(
        seen: Seen,
        members: Arc<Members>,
        looked_at: Arc<LookedAt>,
        now_us: i64,
    ) -> Self {
        let Seen { pool, origin, warmup, outlier, panic, mut instances } = seen;
        let weight = |instance: &InstanceBalance| f64::from(instance.in_pool) * instance.warm;
        let sum: f64 = instances.iter().map(weight).sum();
        for instance in &mut instances {
            instance.configured = if sum > 0.0 { weight(instance) / sum } else { 0.0 };
        }
        Self {
            pool,
            origin,
            policy: members.balancer().clone(),
            warmup,
            outlier,
            panic,
            unkeyed: members.unkeyed(now_us),
            instances,
            keys: None,
            leaving_told: false,
            members,
            looked_at,
        }
    }

    /// Works out where the keys of a consistent hash go, and what moves when an instance leaves, as
    /// far as that takes no more than so many slots of tables. How many it took: as many again when
    /// it is looked at again, though they are gone through once for as long as nothing changes. To
    /// be called where no request waits.
    pub fn look(&mut self, slots_max: usize) -> usize {
        let Some(positions) = self.positions().filter(|positions| *positions <= slots_max) else {
            return 0;
        };
        let usable: Vec<bool> = self.instances.iter().map(|instance| instance.in_pool).collect();
        let Some(keys) = self.members.key_space(&usable) else { return 0 };
        if self.members.table.is_none() {
            *self.looked_at.0.lock() = Some(self.members.clone());
        }
        let without = positions.saturating_mul(self.instances.len());
        self.leaving_told = without <= slots_max - positions;
        for (at, instance) in self.instances.iter_mut().enumerate() {
            instance.configured = keys.shares.get(at).copied().unwrap_or_default();
            let leaving = self.leaving_told.then(|| keys.leaving().get(at).cloned().flatten());
            instance.leaving = leaving.flatten();
        }
        self.keys = Some(keys);
        positions + if self.leaving_told { without } else { 0 }
    }

    /// Whether the shares are those of the keys; of other policies they always are what is told.
    #[must_use]
    pub fn shares_told(&self) -> bool {
        self.keys.is_some() || self.positions().unwrap_or_default() == 0
    }

    /// Whether it is told what moves when an instance leaves: of other policies nothing does.
    #[must_use]
    pub fn leaving_told(&self) -> bool {
        self.leaving_told || self.positions().unwrap_or_default() == 0
    }

    /// Points of the ring or slots of the table, 0 while nobody is there; none of other policies.
    #[must_use]
    pub fn positions(&self) -> Option<usize> {
        let LoadBalancer::ConsistentHash { table, .. } = &self.policy else { return None };
        Some(Table::positions_of(*table, self.instances.len()))
    }

    /// The space of keys as arcs, in order; empty for other policies, and until it is looked at.
    #[must_use]
    pub fn arcs(&self) -> &[Stretch] {
        self.keys.as_ref().map(|keys| keys.arcs()).unwrap_or_default()
    }

    /// The arcs whose keys move when that instance leaves, each with who has them then. None for
    /// other policies, of what is not there, and where leaving is not told.
    #[must_use]
    pub fn moves(&self, left: &str) -> Option<Vec<Stretch>> {
        self.gone(left)?.moves.clone()
    }

    /// Where the key of that value goes, and where after one of the instances has left, if leaving
    /// is told. None for other policies, and until it is looked at.
    #[must_use]
    pub fn key(&self, value: &str, left: Option<&str>) -> Option<KeyOwner> {
        let keys = self.keys.as_ref()?;
        let hash = table::hash(value.as_bytes());
        let name = |found: u32| {
            self.instances.get(found as usize).map(|instance| instance.instance.clone())
        };
        let after = left.and_then(|left| {
            self.gone(left)?.table.find(hash, |member| keys.may(member)).and_then(name)
        });
        Some(KeyOwner {
            hash,
            at: keys.spread.as_ref().map_or(0.0, |spread| spread.drawn_at(hash)),
            instance: keys.built.find(hash, |member| keys.may(member)).and_then(name),
            due: keys.built.find(hash, |_| true).and_then(name),
            after,
        })
    }

    fn gone(&self, left: &str) -> Option<Arc<Gone>> {
        let keys = self.keys.as_ref().filter(|_| self.leaving_told)?;
        keys.gone(self.place(left)?)
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> Option<Arc<KeySpace>> {
        self.keys.clone()
    }

    fn place(&self, instance: &str) -> Option<usize> {
        self.instances.iter().position(|known| &*known.instance == instance)
    }
}

/// The weight of an instance that is there since a moment, under a policy that goes by it.
pub(crate) fn warm(warmup: Option<&Warmup>, since_us: i64, now_us: i64) -> f64 {
    warmup.map_or(1.0, |warmup| warmup::weight(warmup, since_us, now_us))
}

/// Whose the keys are while some may be used, and what moves when one leaves. What only some who
/// look ask for is worked out when the first does.
#[derive(Debug)]
pub(crate) struct KeySpace {
    table: HashTable,
    names: Vec<Arc<str>>,
    usable: Vec<bool>,
    built: Arc<Table>,
    /// None if nobody may be used.
    spread: Option<Spread>,
    shares: Vec<f64>,
    arcs: OnceLock<Vec<Stretch>>,
    leaving: OnceLock<Vec<Option<Leaving>>>,
    /// The instance that was last asked to leave. Held while it is worked out.
    gone: Mutex<Option<(usize, Arc<Gone>)>>,
}

/// What there is once an instance has left.
#[derive(Debug)]
pub(crate) struct Gone {
    /// By the same indexes as before.
    table: Table,
    /// None if nobody may be used, before or then.
    moves: Option<Vec<Stretch>>,
}

impl KeySpace {
    pub(crate) fn of(
        table: HashTable,
        built: Arc<Table>,
        names: Vec<Arc<str>>,
        usable: &[bool],
    ) -> Self {
        let spread = Spread::of(&built, names.len(), |member| usable[member as usize]);
        Self {
            table,
            usable: usable.to_vec(),
            built,
            shares: spread.as_ref().map(Spread::shares).unwrap_or_default(),
            spread,
            arcs: OnceLock::new(),
            leaving: OnceLock::new(),
            gone: Mutex::default(),
            names,
        }
    }

    pub(crate) fn is_for(&self, usable: &[bool]) -> bool {
        self.usable == usable
    }

    pub(crate) const fn built(&self) -> &Arc<Table> {
        &self.built
    }

    fn may(&self, member: u32) -> bool {
        self.usable.get(member as usize).is_some_and(|usable| *usable)
    }

    fn arcs(&self) -> &[Stretch] {
        self.arcs.get_or_init(|| self.spread.as_ref().map(Spread::arcs).unwrap_or_default())
    }

    /// What moves when each leaves.
    fn leaving(&self) -> &[Option<Leaving>] {
        let leaving = |left: usize| {
            let after = self.spread_of(&self.built_without(left)?)?;
            self.spread.as_ref()?.leaving(&after, u32::try_from(left).ok()?)
        };
        self.leaving.get_or_init(|| (0..self.names.len()).map(leaving).collect())
    }

    /// What there is once that instance has left. None if nobody is there then.
    fn gone(&self, left: usize) -> Option<Arc<Gone>> {
        let mut kept = self.gone.lock();
        if let Some((_, gone)) = kept.as_ref().filter(|(of, _)| *of == left) {
            return Some(gone.clone());
        }
        let table = self.built_without(left)?;
        let both = self.spread.as_ref().zip(self.spread_of(&table));
        let moves = both.map(|(before, after)| before.moves(&after));
        let gone = Arc::new(Gone { table, moves });
        *kept = Some((left, gone.clone()));
        Some(gone)
    }

    /// The table as the mesh builds it when that instance is not there, by the indexes of when it
    /// is. None when nobody is.
    fn built_without(&self, left: usize) -> Option<Table> {
        let all = self.names.iter().enumerate().filter(|(at, _)| *at != left);
        let names: Vec<&str> = all.map(|(_, name)| &**name).collect();
        let mut table = (!names.is_empty()).then(|| Table::build(self.table, &names))?;
        table.rename(|member| member + u32::from(member as usize >= left));
        Some(table)
    }

    fn spread_of(&self, table: &Table) -> Option<Spread> {
        Spread::of(table, self.names.len(), |member| self.may(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGLEV: HashTable = HashTable::Maglev { size: 10_007 };

    fn keys(usable: &[bool]) -> KeySpace {
        let names = ["a-0", "a-1", "a-2"];
        let built = Arc::new(Table::build(MAGLEV, &names));
        KeySpace::of(MAGLEV, built, names.map(Into::into).to_vec(), usable)
    }

    #[test]
    fn what_is_asked_again_is_not_worked_out_again() {
        let keys = keys(&[true; 3]);
        let gone = keys.gone(1).unwrap();
        assert!(Arc::ptr_eq(&gone, &keys.gone(1).unwrap()));
        assert_eq!(keys.arcs().as_ptr(), keys.arcs().as_ptr());
        assert_eq!(keys.leaving().as_ptr(), keys.leaving().as_ptr());
        let moved = gone.moves.as_ref().unwrap().iter().map(|arc| arc.to - arc.from);
        let told = keys.leaving()[1].as_ref().unwrap();
        assert!((moved.sum::<f64>() - told.moved).abs() < 1e-9);
        let other = keys.gone(2).unwrap();
        assert!(!Arc::ptr_eq(&gone, &other) && gone.moves != other.moves);
    }

    #[test]
    fn while_nobody_may_be_used_no_key_moves() {
        let keys = keys(&[false; 3]);
        assert!(keys.arcs().is_empty() && keys.shares.is_empty());
        assert!(keys.leaving().iter().all(Option::is_none));
        assert!(keys.gone(1).unwrap().moves.is_none());
    }
}
