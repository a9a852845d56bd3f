//! How calls are balanced, to be looked at: the policy in force, who is in the pool, what each
//! should get and really got; of a consistent hash also the table, and what moves when one leaves.
//!
//! Made of the very members and tables that calls go by, never on their way. What takes its time
//! (a table without each instance in turn) is made once for as long as nothing changes.

use super::{
    Spread, Table,
    spread::{Leaving, Stretch},
    table, warmup,
};
use crate::{Phase, cluster::Members};
use istio::policy::{HashTable, LoadBalancer, Origin, Selector, Warmup};
use std::sync::Arc;

/// Most slots of all the tables that are built to see what moves when each instance leaves: about
/// a second of work. More than that is not worked out, and the answer says so.
const LEAVING_SLOTS_MAX: usize = 1 << 24;

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
    /// So many are ejected that ejection is ignored.
    pub panic: bool,
    /// Of a consistent hash, picks of the last [`PICKS_SECONDS`](super::PICKS_SECONDS) that had no
    /// key: those go anywhere.
    pub unkeyed: u64,
    /// Each instance, by name.
    pub instances: Vec<InstanceBalance>,
    /// Of a consistent hash, where the keys go; none while there is nobody to go to.
    keys: Option<Arc<KeySpace>>,
    members: Arc<Members>,
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
    /// The share of picks that the policy gives it, 0 to 1.
    pub configured: f64,
    /// How often it was really picked in the last [`PICKS_SECONDS`](super::PICKS_SECONDS).
    pub picked: u64,
    /// Requests under way at it, those of other pools included.
    pub active: u32,
    /// Of a consistent hash, what moves when it leaves; none where it is the only one, or the
    /// tables are too large to be built for a look.
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
    /// Puts together what is told of a pool. The configured shares are those of the instances that
    /// may be picked.
    pub(crate) fn new(
        pool: Pool,
        origin: Option<Origin>,
        warmup: Option<Warmup>,
        members: Arc<Members>,
        instances: Vec<InstanceBalance>,
        now_us: i64,
    ) -> Self {
        let usable: Vec<bool> = instances.iter().map(|instance| instance.in_pool).collect();
        let ejected = instances.iter().any(|instance| instance.ejected_until_us.is_some());
        let policy = members.balancer().clone();
        let keys = members.key_space(&usable);
        let mut told = Self {
            panic: ejected && usable.iter().all(|usable| *usable),
            unkeyed: members.unkeyed(now_us),
            pool,
            origin,
            warmup,
            instances,
            keys,
            members,
            policy,
        };
        told.share_out();
        told
    }

    fn share_out(&mut self) {
        if let Some(keys) = &self.keys {
            let shares = keys.spread.shares();
            for (at, instance) in self.instances.iter_mut().enumerate() {
                instance.configured = shares.get(at).copied().unwrap_or_default();
                instance.leaving = keys.leaving.get(at).cloned().flatten();
            }
            return;
        }
        let weight = |instance: &InstanceBalance| f64::from(instance.in_pool) * instance.warm;
        let sum: f64 = self.instances.iter().map(weight).sum();
        for instance in &mut self.instances {
            instance.configured = if sum > 0.0 { weight(instance) / sum } else { 0.0 };
        }
    }

    /// Points of the ring or slots of the table; none of other policies.
    #[must_use]
    pub fn positions(&self) -> Option<usize> {
        self.members.table.as_ref().map(Table::positions)
    }

    /// The space of keys as arcs, in order; empty for other policies.
    #[must_use]
    pub fn arcs(&self) -> Vec<Stretch> {
        self.keys.as_ref().map(|keys| keys.spread.arcs()).unwrap_or_default()
    }

    /// The arcs whose keys move when that instance leaves, each with who has them then. None for
    /// other policies, and of what is not there.
    #[must_use]
    pub fn moves(&self, left: &str) -> Option<Vec<Stretch>> {
        let (keys, at) = self.keys.as_ref().zip(self.place(left))?;
        let after = keys.without(at)?;
        Some(keys.spread.moves(&after))
    }

    /// Where the key of that value goes, and where after one of the instances has left. None for
    /// other policies.
    #[must_use]
    pub fn key(&self, value: &str, left: Option<&str>) -> Option<KeyOwner> {
        let hash = table::hash(value.as_bytes());
        let table = self.members.table.as_ref()?;
        let found = |usable: &dyn Fn(u32) -> bool| {
            let found = table.find(hash, usable)?;
            self.instances.get(found as usize).map(|instance| instance.instance.clone())
        };
        let may = |member: u32| {
            self.instances.get(member as usize).is_some_and(|instance| instance.in_pool)
        };
        let at = self.keys.as_ref().map_or(0.0, |keys| keys.spread.drawn_at(hash));
        let left = left.and_then(|left| self.place(left)).zip(self.keys.as_ref());
        let after = left.and_then(|(left, keys)| {
            let found = keys.find_without(left, hash)?;
            self.instances.get(found).map(|instance| instance.instance.clone())
        });
        Some(KeyOwner { hash, at, instance: found(&may), due: found(&|_| true), after })
    }

    fn place(&self, instance: &str) -> Option<usize> {
        self.instances.iter().position(|known| &*known.instance == instance)
    }
}

/// The weight of an instance that is there since a moment, under a policy that goes by it.
pub(crate) fn warm(warmup: Option<&Warmup>, since_us: i64, now_us: i64) -> f64 {
    warmup.map_or(1.0, |warmup| warmup::weight(warmup, since_us, now_us))
}

/// Whose the keys are while some may be used, and what moves when one leaves.
#[derive(Debug)]
pub(crate) struct KeySpace {
    table: HashTable,
    names: Vec<Arc<str>>,
    usable: Vec<bool>,
    spread: Spread,
    leaving: Vec<Option<Leaving>>,
}

impl KeySpace {
    /// None if nobody may be used.
    pub(crate) fn of(
        table: HashTable,
        built: &Table,
        names: Vec<Arc<str>>,
        usable: &[bool],
    ) -> Option<Self> {
        let spread = Spread::of(built, names.len(), |member| usable[member as usize])?;
        let (usable, leaving) = (usable.to_vec(), Vec::new());
        let mut keys = Self { table, names, usable, spread, leaving };
        if built.positions().saturating_mul(keys.names.len()) <= LEAVING_SLOTS_MAX {
            let leaving = |left: usize| {
                let after = keys.without(left)?;
                keys.spread.leaving(&after, u32::try_from(left).ok()?)
            };
            keys.leaving = (0..keys.names.len()).map(leaving).collect();
        }
        Some(keys)
    }

    pub(crate) fn is_for(&self, usable: &[bool]) -> bool {
        self.usable == usable
    }

    /// The table as the mesh builds it when that instance is not there. None when nobody is.
    fn built_without(&self, left: usize) -> Option<Table> {
        let all = self.names.iter().enumerate().filter(|(at, _)| *at != left);
        let names: Vec<&str> = all.map(|(_, name)| &**name).collect();
        (!names.is_empty()).then(|| Table::build(self.table, &names))
    }

    /// Whose the keys are then, by the same indexes as before.
    fn without(&self, left: usize) -> Option<Spread> {
        let mut table = self.built_without(left)?;
        table.rename(|member| member + u32::from(member as usize >= left));
        Spread::of(&table, self.names.len(), |member| self.usable[member as usize])
    }

    fn find_without(&self, left: usize, hash: u64) -> Option<usize> {
        let mut table = self.built_without(left)?;
        table.rename(|member| member + u32::from(member as usize >= left));
        table.find(hash, |member| self.usable[member as usize]).map(|member| member as usize)
    }
}
