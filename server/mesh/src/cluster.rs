//! A service and the groups of its instances that calls go to: the whole of it, or a subset.
//!
//! What Envoy calls a cluster. It is shared by all callers (in Envoy each proxy has its own), so
//! that an endpoint has one state to look at; limits and breakers are each caller's own.

use crate::instance::Host;
use arc_swap::ArcSwap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
    members: ArcSwap<Members>,
}

/// The hosts of a cluster, kept until the service's hosts or the subset's labels change.
#[derive(Debug, Default)]
pub(crate) struct Members {
    version: u64,
    /// The revision they were last checked against.
    revision: AtomicU64,
    /// None when the policy does not know the subset.
    labels: Option<Vec<(String, String)>>,
    pub(crate) hosts: Vec<Arc<Host>>,
}

impl Cluster {
    pub(crate) fn new(service: Arc<Service>, subset: Option<Arc<str>>) -> Self {
        Self { service, subset, members: ArcSwap::default() }
    }

    /// For errors and logs: `payments` or `payments/v2`.
    pub(crate) fn label(&self) -> String {
        match &self.subset {
            Some(subset) => format!("{}/{subset}", self.service.name),
            None => self.service.name.to_string(),
        }
    }

    /// Who is in it under a policy of that revision, whose subset selects by `labels`. A subset
    /// that the policy does not know has no members.
    pub(crate) fn members(
        &self,
        revision: u64,
        labels: Option<&[(String, String)]>,
    ) -> Arc<Members> {
        let version = self.service.version();
        let kept = self.members.load();
        let same_hosts = kept.version == version;
        if same_hosts && kept.revision.load(Ordering::Relaxed) == revision {
            return kept.clone();
        }
        if same_hosts && kept.labels.as_deref() == labels {
            kept.revision.store(revision, Ordering::Relaxed);
            return kept.clone();
        }
        let hosts = self.service.hosts();
        let known = self.subset.is_none() || labels.is_some();
        let belongs = |host: &&Arc<Host>| known && host.has(labels.unwrap_or_default());
        let hosts = hosts.iter().filter(belongs).cloned().collect();
        let (revision, labels) = (AtomicU64::new(revision), labels.map(<[_]>::to_vec));
        let members = Arc::new(Members { version, revision, labels, hosts });
        self.members.store(members.clone());
        members
    }
}
