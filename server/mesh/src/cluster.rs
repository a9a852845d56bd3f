//! A service and the groups of its instances that calls go to: the whole of it, or a subset.
//!
//! What Envoy calls a cluster. It is shared by all callers (in Envoy each proxy has its own), so
//! that an endpoint has one state to look at; limits and breakers are each caller's own.

use crate::{
    Change, EjectionChange,
    balance::{KeySpace, Picks, Table},
    changes::Announcer,
    instance::Host,
    outlier::{Detector, Ejection, Outcome, state::Standing},
};
use arc_swap::ArcSwap;
use base::{Clock, TraceContext};
use istio::policy::{ExternalAddress, LoadBalancer, Outlier, Policy, Selector, TrafficPolicy};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

/// Memberships of a cluster that are kept besides the newest: requests that began before an apply
/// follow their own for as long as they last. A table has up to 32 MB: 2^21 points of a ring of 16
/// bytes, or 5,000,011 slots of Maglev of 4; once it is looked at, about as much again.
const OLDER_MEMBERS_MAX: usize = 1;

/// Which instances of a service a policy means.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection<'p> {
    /// Labels of the subset; none when the policy does not know it.
    labels: Option<&'p [(String, String)]>,
    /// Where a service outside the mesh is.
    addresses: &'p [ExternalAddress],
}

impl<'p> Selection<'p> {
    /// Of a service, or of a subset of it with these labels.
    pub(crate) fn of(
        policy: &'p Policy,
        service: &str,
        labels: Option<&'p [(String, String)]>,
    ) -> Self {
        let external = policy.external.get(service);
        Self { labels, addresses: external.map_or(&[], |external| &external.addresses) }
    }
}

/// A service and its instances.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    hosts: ArcSwap<Vec<Arc<Host>>>,
    /// Changes with the hosts.
    version: AtomicU64,
}

impl Service {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, hosts: ArcSwap::default(), version: AtomicU64::new(1) }
    }

    pub(crate) fn hosts(&self) -> Arc<Vec<Arc<Host>>> {
        self.hosts.load_full()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The host of that name.
    pub(crate) fn host(&self, name: &str) -> Option<Arc<Host>> {
        self.hosts.load().iter().find(|host| &*host.name == name).cloned()
    }

    /// The hosts of a subset; none of a subset that nobody knows.
    fn selected(&self, subset: Option<&str>, selection: Selection<'_>) -> Vec<Arc<Host>> {
        let Selection { labels, addresses } = selection;
        let known = subset.is_none() || labels.is_some();
        let belongs = |host: &&Arc<Host>| {
            known && host.has(labels.unwrap_or_default()) && host.is_of(addresses)
        };
        self.hosts.load().iter().filter(belongs).cloned().collect()
    }

    /// Adds a host in place of the one of the same name.
    pub(crate) fn put(&self, host: &Arc<Host>) {
        self.hosts.rcu(|hosts| {
            let others = hosts.iter().filter(|other| other.name != host.name).cloned();
            let mut hosts: Vec<_> = others.chain([host.clone()]).collect();
            hosts.sort_by(|a, b| a.name.cmp(&b.name));
            hosts
        });
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Takes the host of that name away.
    pub(crate) fn take(&self, name: &str) -> bool {
        let before = self.hosts.rcu(|hosts| {
            let others = hosts.iter().filter(|host| &*host.name != name);
            others.cloned().collect::<Vec<_>>()
        });
        self.version.fetch_add(1, Ordering::Release);
        before.iter().any(|host| &*host.name == name)
    }
}

/// A service or one of its subsets.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) service: Arc<Service>,
    pub(crate) subset: Option<Arc<str>>,
    /// The callers it is for, if its rule is not for all of them: what one rule ejects is still
    /// there for the others.
    callers: Option<Selector>,
    clock: Clock,
    announcer: Announcer,
    /// The newest snapshot that anybody came with. It alone changes what callers share here; who
    /// still follows an older one only reads.
    newest: AtomicU64,
    members: ArcSwap<Members>,
    /// Those that are not the newest, the one made last at the end. Held while members are made:
    /// of all who come meanwhile one makes them, for a table of consistent hashing takes its time.
    older: Mutex<VecDeque<Arc<Members>>>,
    detector: Mutex<Detector>,
    /// Whether anything is ejected: mostly not, and then the detector is not asked.
    any_ejected: AtomicBool,
    next_sweep_us: AtomicI64,
    /// Requests that found no members to go to, and ask for the lock.
    #[cfg(test)]
    asked: crate::race::Passed,
}

/// The hosts of a cluster, kept until the service's hosts or the subset's labels change.
#[derive(Debug, Default)]
pub(crate) struct Members {
    version: u64,
    /// The snapshot they were last checked against.
    snapshot: AtomicU64,
    /// None when the policy does not know the subset.
    labels: Option<Vec<(String, String)>>,
    /// See [`Selection`].
    addresses: Vec<ExternalAddress>,
    balancer: LoadBalancer,
    pub(crate) hosts: Vec<Arc<Host>>,
    /// How often each was picked by this policy, in their order; who stays goes on counting.
    picks: Vec<Arc<Picks>>,
    /// Picks of requests that did not have what is hashed.
    unkeyed: Arc<Picks>,
    /// For consistent hashing.
    pub(crate) table: Option<Arc<Table>>,
    /// What was last looked at of the table. Held while it is made: of all who look one makes it.
    keys: Mutex<Option<Arc<KeySpace>>>,
}

impl Members {
    /// Counts that a host was picked, by the key of a consistent hash or without one.
    pub(crate) fn picked(&self, host: u64, keyed: bool, now_us: i64) {
        if !keyed {
            self.unkeyed.count(now_us);
        }
        let at = self.hosts.iter().position(|known| known.id == host);
        if let Some(picks) = at.and_then(|at| self.picks.get(at)) {
            picks.count(now_us);
        }
    }

    /// How often the host of that place was picked in the last minute.
    pub(crate) fn picks(&self, at: usize, now_us: i64) -> u64 {
        self.picks.get(at).map_or(0, |picks| picks.sum(now_us))
    }

    /// How many picks of the last minute had no key.
    pub(crate) fn unkeyed(&self, now_us: i64) -> u64 {
        self.unkeyed.sum(now_us)
    }

    fn picks_of(&self, host: u64) -> Option<Arc<Picks>> {
        let at = self.hosts.iter().position(|known| known.id == host)?;
        self.picks.get(at).cloned()
    }

    pub(crate) const fn balancer(&self) -> &LoadBalancer {
        &self.balancer
    }

    /// Where the keys go while only some may be used, in the order of the hosts. None without a
    /// consistent hash, and if nobody is there.
    pub(crate) fn key_space(&self, usable: &[bool]) -> Option<Arc<KeySpace>> {
        let LoadBalancer::ConsistentHash { table, .. } = &self.balancer else { return None };
        let mut kept = self.keys.lock();
        if let Some(keys) = kept.as_ref().filter(|keys| keys.is_for(usable)) {
            return Some(keys.clone());
        }
        let built = || Table::of(&self.balancer, &self.hosts).map(Arc::new);
        // Who was ejected since, or came back, has changed nothing about the table.
        let looked_at = kept.as_ref().map(|keys| keys.built().clone());
        let built = self.table.clone().or(looked_at).or_else(built)?;
        let names = self.hosts.iter().map(|host| host.name.clone()).collect();
        *kept = Some(Arc::new(KeySpace::of(*table, built, names, usable)));
        kept.clone()
    }

    /// Those of no cluster, because nobody has called them yet: to be looked at. Their table is
    /// built when it is.
    pub(crate) fn uncalled(
        service: &Service,
        subset: Option<&str>,
        selection: Selection<'_>,
        balancer: &LoadBalancer,
    ) -> Self {
        let hosts = service.selected(subset, selection);
        Self { balancer: balancer.clone(), hosts, ..Self::default() }
    }

    /// Whether they are selected and balanced so.
    fn follow(&self, selection: Selection<'_>, balancer: &LoadBalancer) -> bool {
        self.labels.as_deref() == selection.labels
            && self.addresses == selection.addresses
            && self.balancer == *balancer
    }

    /// Whether both balance over the same hosts in the same way.
    pub(crate) fn are(&self, other: &Self) -> bool {
        let ids = |members: &Self| members.hosts.iter().map(|host| host.id).collect::<Vec<_>>();
        self.balancer == other.balancer && ids(self) == ids(other)
    }
}

impl Cluster {
    pub(crate) fn new(
        service: Arc<Service>,
        subset: Option<Arc<str>>,
        callers: Option<Selector>,
        clock: Clock,
        announcer: Announcer,
    ) -> Self {
        Self {
            service,
            subset,
            callers,
            clock,
            announcer,
            newest: AtomicU64::new(0),
            members: ArcSwap::default(),
            older: Mutex::default(),
            detector: Mutex::default(),
            any_ejected: AtomicBool::new(false),
            next_sweep_us: AtomicI64::new(0),
            #[cfg(test)]
            asked: crate::race::Passed::default(),
        }
    }

    /// For errors and logs: `payments` or `payments/v2`.
    pub(crate) fn label(&self) -> String {
        match &self.subset {
            Some(subset) => format!("{}/{subset}", self.service.name),
            None => self.service.name.to_string(),
        }
    }

    /// Whether no newer snapshot than the one of that number was seen.
    fn is_newest(&self, snapshot: u64) -> bool {
        let newest = self.newest.load(Ordering::Acquire);
        snapshot == newest
            || (snapshot > newest && self.newest.fetch_max(snapshot, Ordering::AcqRel) <= snapshot)
    }

    /// Who is in it under the policy of that snapshot. A subset that the policy does not know has
    /// no members.
    pub(crate) fn members(
        &self,
        snapshot: u64,
        selection: Selection<'_>,
        balancer: &LoadBalancer,
    ) -> Arc<Members> {
        let version = self.service.version();
        let kept = self.members.load();
        let same_hosts = kept.version == version;
        if same_hosts && kept.snapshot.load(Ordering::Relaxed) == snapshot {
            return kept.clone();
        }
        if same_hosts && kept.follow(selection, balancer) {
            if self.is_newest(snapshot) {
                kept.snapshot.store(snapshot, Ordering::Relaxed);
                // The time between sweeps may be another.
                self.next_sweep_us.store(0, Ordering::Release);
            }
            return kept.clone();
        }
        #[cfg(test)]
        self.asked.pass();
        let mut older = self.older.lock();
        let members = self.found_or_made(selection, balancer, &older);
        self.keep(&members, snapshot, &mut older);
        members
    }

    /// Whoever had the lock before may have made them.
    fn found_or_made(
        &self,
        selection: Selection<'_>,
        balancer: &LoadBalancer,
        older: &VecDeque<Arc<Members>>,
    ) -> Arc<Members> {
        let version = self.service.version();
        let newest = self.members.load_full();
        let kept = || [newest.clone()].into_iter().chain(older.iter().cloned());
        let is_it = |members: &Arc<Members>| {
            members.version == version && members.follow(selection, balancer)
        };
        if let Some(kept) = kept().find(is_it) {
            return kept;
        }
        let hosts = self.service.selected(self.subset.as_deref(), selection);
        // What was picked by another policy says nothing about this one.
        let before = || kept().filter(|kept| kept.balancer == *balancer);
        let picks = |host: &Arc<Host>| before().find_map(|kept| kept.picks_of(host.id));
        Arc::new(Members {
            version,
            snapshot: AtomicU64::default(),
            labels: selection.labels.map(<[_]>::to_vec),
            addresses: selection.addresses.to_vec(),
            balancer: balancer.clone(),
            table: Table::of(balancer, &hosts).map(Arc::new),
            picks: hosts.iter().map(|host| picks(host).unwrap_or_default()).collect(),
            unkeyed: before().next().map(|kept| kept.unkeyed.clone()).unwrap_or_default(),
            keys: Mutex::default(),
            hosts,
        })
    }

    /// Keeps members in place of the newest ones if the snapshot is, beside them if it is not.
    fn keep(&self, members: &Arc<Members>, snapshot: u64, older: &mut VecDeque<Arc<Members>>) {
        let mut detector = self.detector.lock();
        // Asked under the lock, so that no older members come after newer ones.
        let aside = if self.is_newest(snapshot) {
            let ids: Vec<_> = members.hosts.iter().map(|host| host.id).collect();
            detector.keep(&ids);
            members.snapshot.store(snapshot, Ordering::Relaxed);
            // The time between sweeps may be another.
            self.next_sweep_us.store(0, Ordering::Release);
            self.members.swap(members.clone())
        } else {
            members.clone()
        };
        drop(detector);
        self.put_aside(aside, older);
    }

    /// Keeps members for who follows another policy than the newest. Nobody follows hosts that
    /// were.
    fn put_aside(&self, aside: Arc<Members>, older: &mut VecDeque<Arc<Members>>) {
        let newest = self.members.load();
        let version = self.service.version();
        older.retain(|other| !Arc::ptr_eq(other, &aside));
        older.push_back(aside);
        older.retain(|other| other.version == version && !Arc::ptr_eq(other, &newest));
        older.drain(..older.len().saturating_sub(OLDER_MEMBERS_MAX));
    }

    /// Makes the members of a policy ahead of the requests that will ask for them.
    pub(crate) fn prepare(&self, policy: &Policy) {
        let rule = policy.destination(&self.service.name, self.callers.as_ref());
        let subset = self.subset.as_deref();
        let labels = subset.and_then(|name| rule?.subset(name)).map(|subset| &*subset.labels);
        let unwritten = TrafficPolicy::default();
        let traffic = rule.map_or(&unwritten, |rule| rule.traffic(subset));
        let selection = Selection::of(policy, &self.service.name, labels);
        let mut older = self.older.lock();
        let members = self.found_or_made(selection, &traffic.load_balancer, &older);
        self.put_aside(members, &mut older);
    }
}

// === impl Cluster: outlier detection ===

/// Who of some members is ejected.
#[derive(Debug, Default)]
pub(crate) struct Ejections {
    /// So many that it is ignored.
    pub(crate) panic: bool,
    /// The sweep that takes each back, in their order; none of who is not ejected.
    until_us: Vec<Option<i64>>,
}

impl Ejections {
    /// The sweep that takes back the member of that place, if it is ejected.
    pub(crate) fn until_us(&self, at: usize) -> Option<i64> {
        self.until_us.get(at).copied().flatten()
    }
}

/// Whether so few are healthy that ejection is ignored.
const fn in_panic(params: &Outlier, healthy: usize, all: usize) -> bool {
    healthy * 100 < params.min_health_percent as usize * all
}

impl Cluster {
    /// The hosts that may be used: those that are not ejected, or all of them in a panic, when
    /// fewer than `min_health_percent` are left. None is all, which is mostly so.
    pub(crate) fn healthy(
        &self,
        snapshot: u64,
        members: &Members,
        params: Option<&Outlier>,
    ) -> Option<Vec<Arc<Host>>> {
        self.advance(snapshot, params);
        // Under a policy without detection nothing is ejected, whatever a newer one ejected.
        params?;
        if !self.any_ejected.load(Ordering::Acquire) {
            return None;
        }
        let ejected: Vec<u64> = self.detector.lock().ejected().collect();
        let healthy = members.hosts.iter().filter(|host| !ejected.contains(&host.id));
        let healthy: Vec<_> = healthy.cloned().collect();
        let panic = params.is_some_and(|it| in_panic(it, healthy.len(), members.hosts.len()));
        (!panic).then_some(healthy)
    }

    /// The same to be looked at: who is ejected, and whether that is ignored, read at once.
    pub(crate) fn ejections(
        &self,
        snapshot: u64,
        members: &Members,
        params: Option<&Outlier>,
    ) -> Ejections {
        self.advance(snapshot, params);
        let Some(params) = params else { return Ejections::default() };
        let detector = self.detector.lock();
        let of = |host: &Arc<Host>| {
            detector.standing(host.id)?.ejected_since_us?;
            detector.until_us(params, host.id)
        };
        let until_us: Vec<_> = members.hosts.iter().map(of).collect();
        drop(detector);
        let healthy = until_us.iter().filter(|until_us| until_us.is_none()).count();
        Ejections { panic: in_panic(params, healthy, until_us.len()), until_us }
    }

    /// Takes note of what came of a try under that snapshot; whether that ejected the host.
    pub(crate) fn observe(
        &self,
        snapshot: u64,
        params: &Outlier,
        host: &Host,
        outcome: Outcome,
    ) -> bool {
        self.advance(snapshot, Some(params));
        let now_us = self.clock.now_us();
        let ejected = {
            let mut detector = self.detector.lock();
            if !self.is_newest(snapshot) {
                return false;
            }
            let ejected = detector.observe(params, host.id, outcome, now_us);
            if ejected.is_some() {
                self.any_ejected.store(true, Ordering::Release);
            }
            ejected
        };
        if let Some(ejection) = &ejected {
            tracing::warn!(
                service.name = %self.service.name,
                service.instance.id = %host.name,
                mesh.outlier.cause = ejection.cause,
                "{} of {} is ejected", host.name, self.label(),
            );
            self.tell(ejection, TraceContext::current().trace_id().map(Into::into));
        }
        ejected.is_some()
    }

    /// Makes up for the sweeps that are due, by the detection of the newest snapshot; without one
    /// everything is taken back.
    pub(crate) fn advance(&self, snapshot: u64, params: Option<&Outlier>) {
        if !self.is_newest(snapshot) {
            return;
        }
        let now_us = self.clock.now_us();
        if params.is_some() && now_us < self.next_sweep_us.load(Ordering::Acquire) {
            return;
        }
        if params.is_none() && !self.any_ejected.load(Ordering::Acquire) {
            return;
        }
        let returned = {
            let mut detector = self.detector.lock();
            if !self.is_newest(snapshot) {
                return;
            }
            let returned = match params {
                Some(params) => detector.advance(params, now_us),
                None => detector.release(now_us),
            };
            let next_us = detector.next_sweep_us().unwrap_or(0);
            self.next_sweep_us.store(next_us, Ordering::Release);
            self.any_ejected.store(detector.ejected().next().is_some(), Ordering::Release);
            returned
        };
        for ejection in &returned {
            self.tell(ejection, None);
        }
    }

    /// The outlier policy that a mesh policy has for it.
    pub(crate) fn outlier<'a>(&self, policy: &'a Policy) -> Option<&'a Outlier> {
        let rule = policy.destination(&self.service.name, self.callers.as_ref())?;
        let subset = self.subset.as_deref().and_then(|name| rule.subset(name));
        subset.map_or(&rule.policy, |subset| &subset.policy).outlier.as_ref()
    }

    /// How a host stands, and the sweep that takes it back.
    pub(crate) fn standing(
        &self,
        host: &Host,
        params: Option<&Outlier>,
    ) -> Option<(Standing, Option<i64>)> {
        let detector = self.detector.lock();
        let until_us = params.and_then(|params| detector.until_us(params, host.id));
        detector.standing(host.id).map(|standing| (*standing, until_us))
    }

    fn tell(&self, ejection: &Ejection, trace_id: Option<Arc<str>>) {
        let hosts = self.service.hosts();
        let Some(host) = hosts.iter().find(|host| host.id == ejection.host) else { return };
        self.announcer.tell(Change::Ejection(EjectionChange {
            service: self.service.name.clone(),
            subset: self.subset.clone(),
            instance: host.name.clone(),
            until_us: ejection.until_us,
            cause: ejection.cause,
            at_us: ejection.at_us,
            trace_id,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Instance};
    use axum::Router;
    use istio::policy::{HashKey, HashTable};

    fn cluster() -> Cluster {
        let service = Arc::new(Service::new("a".into()));
        let instance = Instance {
            service: "a".into(),
            name: "a-0".into(),
            labels: Vec::new(),
            endpoint: Endpoint::Router(Router::new()),
        };
        service.put(&Arc::new(Host::new(0, instance, 0)));
        Cluster::new(service, None, None, Clock::system(), Announcer::new())
    }

    fn hashed(size: u64) -> LoadBalancer {
        LoadBalancer::ConsistentHash { key: HashKey::SourceIp, table: HashTable::Maglev { size } }
    }

    #[test]
    fn of_all_who_ask_at_once_one_makes_the_table() {
        let (cluster, balancer) = (cluster(), hashed(101));
        // Nobody gets further than to the members that it made.
        let detector = cluster.detector.lock();
        let made = std::thread::scope(|scope| {
            let ask = || cluster.members(1, Selection::default(), &balancer);
            let both = [scope.spawn(ask), scope.spawn(ask)];
            cluster.asked.wait(2);
            drop(detector);
            both.map(|one| one.join().unwrap())
        });
        assert!(Arc::ptr_eq(&made[0], &made[1]));
        assert!(made[0].table.is_some());
    }

    #[test]
    fn who_follows_an_older_policy_does_not_make_its_table_for_each_request() {
        let cluster = cluster();
        let before = cluster.members(1, Selection::default(), &hashed(101));
        let after = cluster.members(2, Selection::default(), &hashed(103));
        assert!(!Arc::ptr_eq(&before, &after));
        assert!(Arc::ptr_eq(&before, &cluster.members(1, Selection::default(), &hashed(101))));
        assert!(Arc::ptr_eq(&after, &cluster.members(2, Selection::default(), &hashed(103))));
        for size in [107, 109, 113] {
            let one = cluster.members(1, Selection::default(), &hashed(size));
            assert!(Arc::ptr_eq(&one, &cluster.members(1, Selection::default(), &hashed(size))));
        }
        assert!(cluster.older.lock().len() <= OLDER_MEMBERS_MAX);
        assert!(Arc::ptr_eq(&after, &cluster.members(2, Selection::default(), &hashed(103))));
    }
}
