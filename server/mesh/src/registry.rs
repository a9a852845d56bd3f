//! Who is reachable under which name, what is in force, and how a call begins.
//!
//! The stacks that calls pass are laid in `ways`; what is told of all this is in `seen`, how calls
//! are balanced in `balancing`.

mod balancing;
mod seen;
mod ways;

pub(crate) use ways::{Outer, Path};

use crate::{
    BreakerParams, Caller, Change, Endpoint, InForce, Instance, InstanceChange, MeshError, Phase,
    Request, Response, Source, baggage,
    balance::LookedAt,
    breaker::Breakers,
    changes::{Announcer, Healing},
    cluster::{Cluster, Service},
    edge::Edge,
    fault::Faults,
    in_force::{RouteStates, Snapshot},
    inbound::{Inbound, Limiters},
    instance::Host,
    journey::Journey,
    mirror::Mirrors,
    recent::{Recent, Recorded},
    server::serve_as,
    stack::through,
};
use arc_swap::ArcSwap;
use axum::Router;
use base::{Clock, IdSource};
use istio::policy::{Policy, Selector};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// Revisions whose route counters are kept, the one in force among them.
const REVISIONS_MAX: usize = 16;

/// FNV-1a, 64 bits (RFC 9923): it only keeps purposes apart, and is the same on every machine.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// See [`FNV_OFFSET`].
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The mesh. Clones are the same mesh.
#[derive(Clone, Debug)]
pub struct Mesh(Arc<Inner>);

/// The mesh, for what the mesh owns itself.
#[derive(Clone, Debug)]
pub(crate) struct WeakMesh(Weak<Inner>);

impl WeakMesh {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        Self(Arc::downgrade(&mesh.0))
    }

    pub(crate) fn upgrade(&self) -> Option<Mesh> {
        self.0.upgrade().map(Mesh)
    }
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    seed: u64,
    breakers: Breakers,
    faults: Faults,
    mirrors: Mirrors,
    /// The callee's side of every instance, by service and instance.
    inbounds: RwLock<BTreeMap<InstanceKey, Arc<Inbound>>>,
    announcer: Announcer,
    healing: Healing,
    services: RwLock<BTreeMap<Arc<str>, Arc<Service>>>,
    clusters: Mutex<HashMap<ClusterKey, Arc<Cluster>>>,
    /// Members of no cluster whose keys were last looked at.
    looked_at: Arc<LookedAt>,
    paths: RwLock<HashMap<PathKey, Arc<Path>>>,
    edges: RwLock<BTreeMap<EdgeKey, Arc<Edge>>>,
    /// Held for the whole of an apply, so that what follows a policy follows the one in force.
    applying: Mutex<()>,
    in_force: ArcSwap<Snapshot>,
    /// The counters of revisions that were replaced, newest first: they are still asked for, and
    /// requests under way still count there. Their policies are not kept.
    replaced: Mutex<VecDeque<(u64, Arc<RouteStates>)>>,
    /// Requests since the start.
    requests: AtomicU64,
    recent: Recent,
    hosts: AtomicU64,
    /// Ways whose service was found, that ask for the lock to be laid.
    #[cfg(test)]
    laying: crate::race::Passed,
}

/// Service and instance.
type InstanceKey = (Arc<str>, Arc<str>);
/// Service and subset, and the callers it is for if not for all.
type ClusterKey = (Arc<str>, Option<Arc<str>>, Option<Selector>);
/// Caller and service.
type EdgeKey = (Arc<str>, Arc<str>);
/// Caller, and where to.
type PathKey = (Arc<str>, ClusterKey);

// === impl Mesh: the configuration ===

impl Mesh {
    /// A mesh without services, with nothing configured, that draws from seed 0.
    #[must_use]
    pub fn new(clock: Clock, breaker: BreakerParams) -> Self {
        Self::seeded(clock, breaker, 0)
    }

    /// A mesh without services, with nothing configured. With the same seed and the same requests
    /// it makes the same choices.
    #[must_use]
    pub fn seeded(clock: Clock, breaker: BreakerParams, seed: u64) -> Self {
        let nothing = InForce { policy: Arc::default(), since_request: 1, at_us: clock.now_us() };
        let (announcer, healing) = (Announcer::new(), Healing::default());
        let for_faults = purpose_seed(seed, "faults");
        Self(Arc::new(Inner {
            breakers: Breakers::new(clock.clone(), breaker, announcer.clone(), healing.clone()),
            faults: Faults::new(clock.clone(), for_faults, healing.clone()),
            mirrors: Mirrors::new(clock.clone(), purpose_seed(seed, "mirrors")),
            inbounds: RwLock::default(),
            clock,
            seed,
            announcer,
            healing,
            services: RwLock::default(),
            clusters: Mutex::default(),
            looked_at: Arc::default(),
            paths: RwLock::default(),
            edges: RwLock::default(),
            applying: Mutex::default(),
            in_force: ArcSwap::from_pointee(Snapshot::new(nothing, None)),
            replaced: Mutex::default(),
            requests: AtomicU64::new(0),
            recent: Recent::default(),
            hosts: AtomicU64::new(0),
            #[cfg(test)]
            laying: crate::race::Passed::default(),
        }))
    }

    /// Puts a policy in force, whole: requests that begin from now on follow it, requests under way
    /// end by the one they began with. One at a time to its end: no split is lost between two, and
    /// subsets, limits, faults and mirrors never follow an older policy than the one in force.
    pub fn apply(&self, policy: Arc<Policy>) -> InForce {
        let inner = &self.0;
        let _one = inner.applying.lock();
        self.prepare(&policy, |_| true);
        let mut replaced = inner.replaced.lock();
        let previous = inner.in_force.load_full();
        let at_us = inner.clock.now_us();
        let since_request = inner.requests.load(Ordering::SeqCst) + 1;
        let snapshot = InForce { policy, since_request, at_us };
        let snapshot = Arc::new(Snapshot::new(snapshot, Some(&previous)));
        inner.in_force.store(snapshot.clone());
        // Read after the store: whoever is counted from here on finds the new one.
        snapshot.since(inner.requests.load(Ordering::SeqCst) + 1);
        let in_force = snapshot.in_force();
        replaced.push_front((previous.policy().revision, previous.states().clone()));
        replaced.truncate(REVISIONS_MAX - 1);
        drop(replaced);
        self.forget_subsets(&in_force.policy);
        self.follow_limits(&snapshot);
        inner.faults.follow(&in_force.policy);
        inner.mirrors.follow(&in_force.policy);
        inner.announcer.tell(Change::Policy {
            revision: in_force.policy.revision,
            since_request: in_force.since_request,
            at_us: in_force.at_us,
        });
        in_force
    }

    /// The policy that a call follows which begins now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.in_force.load_full()
    }

    /// What is in force, and since which request.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.0.in_force.load().in_force()
    }

    /// Requests since the start.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Who waits for a connection goes on if the policy in force allows more of them.
    fn follow_limits(&self, snapshot: &Snapshot) {
        for ((_, (service, subset, callers)), path) in self.0.paths.read().iter() {
            let rule = snapshot.policy().destination(service, callers.as_ref());
            let traffic = rule.map(|rule| rule.traffic(subset.as_deref()));
            path.pool.follow(snapshot.number(), traffic.map(|traffic| &traffic.connection_pool));
        }
    }

    /// Tables of consistent hashing are there before the requests that need them.
    fn prepare(&self, policy: &Policy, of: impl Fn(&Cluster) -> bool) {
        let clusters: Vec<_> = self.0.clusters.lock().values().cloned().collect();
        clusters.iter().filter(|cluster| of(cluster)).for_each(|cluster| cluster.prepare(policy));
    }

    /// Stacks, breakers and limits of subsets that no longer exist are not kept.
    fn forget_subsets(&self, policy: &Policy) {
        let known = |to: &ClusterKey| is_known(policy, to);
        let mut paths = self.0.paths.write();
        paths.retain(|(_, to), _| known(to));
        let mut clusters = self.0.clusters.lock();
        clusters.retain(|to, _| known(to));
        drop((paths, clusters));
        // A breaker is one for all rules that have its subset.
        self.0.breakers.retain(|edge| {
            let rules = policy.for_callers.get(&edge.destination).into_iter().flatten();
            let callers = rules.map(|rule| Some(rule.callers.clone()));
            let to = |callers| (edge.destination.clone(), edge.subset.clone(), callers);
            std::iter::once(None).chain(callers).any(|callers| known(&to(callers)))
        });
    }
}

// === impl Mesh: services and their instances ===

impl Mesh {
    /// Makes a service reachable under `name` as its instance `NAME-0` with `version=v1`, replacing
    /// that instance if it was there; calls in flight go on.
    pub fn register(&self, name: &'static str, router: Router) {
        let labels = Source::of(name).labels;
        let endpoint = Endpoint::Router(router);
        let instance = format!("{name}-0");
        self.add_instance(Instance { service: name.into(), name: instance, labels, endpoint });
    }

    /// Adds an instance, in place of the one of the same name if there is one.
    pub fn add_instance(&self, mut instance: Instance) {
        if let Endpoint::Router(router) = instance.endpoint {
            let inbound = self.inbound(&instance.service, &instance.name);
            let served = serve_as(&instance.service, &instance.name, router, Some(inbound));
            instance.endpoint = Endpoint::Router(served);
        }
        let id = self.0.hosts.fetch_add(1, Ordering::Relaxed);
        let host = Arc::new(Host::new(id, instance, self.0.clock.now_us()));
        let mut services = self.0.services.write();
        let name = &host.service;
        let service =
            services.entry(name.clone()).or_insert_with(|| Arc::new(Service::new(name.clone())));
        service.put(&host);
        drop(services);
        self.prepare(&self.in_force().policy, |cluster| cluster.service.name == host.service);
        self.tell(&host.service, &host.name, "added");
    }

    /// Takes an instance away: nothing new goes to it, calls in flight go on. False if there is
    /// none of that name.
    pub fn remove_instance(&self, service: &str, instance: &str) -> bool {
        let Some(service) = self.service(service) else { return false };
        let removed = service.take(instance);
        if removed {
            self.prepare(&self.in_force().policy, |cluster| cluster.service.name == service.name);
            self.0
                .inbounds
                .write()
                .retain(|(of, name), _| *of != service.name || &**name != instance);
            self.tell(&service.name, instance, "removed");
        }
        removed
    }

    /// Kills an instance: calls under way are cut, new ones find no connection. False if there is
    /// none of that name.
    pub fn kill(&self, service: &str, instance: &str) -> bool {
        self.set_phase(service, instance, Phase::Killed, "killed")
    }

    /// Pauses an instance: it takes calls and does not answer. False if there is none of that name.
    pub fn pause(&self, service: &str, instance: &str) -> bool {
        self.set_phase(service, instance, Phase::Paused, "paused")
    }

    /// Resumes an instance that is paused, or starts one again that was killed. False if there is
    /// none of that name.
    pub fn restart(&self, service: &str, instance: &str) -> bool {
        self.set_phase(service, instance, Phase::Ready, "ready")
    }

    fn set_phase(&self, service: &str, instance: &str, phase: Phase, word: &'static str) -> bool {
        let Some(host) = self.service(service).and_then(|service| service.host(instance)) else {
            return false;
        };
        if host.set(phase, self.0.clock.now_us()) {
            self.tell(&host.service, &host.name, word);
        }
        true
    }

    fn tell(&self, service: &Arc<str>, instance: &str, state: &'static str) {
        let at_us = self.0.clock.now_us();
        let (service, instance) = (service.clone(), instance.into());
        let change = InstanceChange { service, instance, state, at_us };
        self.0.announcer.tell(Change::Instance(change));
    }

    /// Takes a service away with all its instances: calls to it find [`MeshError::NoService`].
    pub fn deregister(&self, name: &str) {
        self.forget(name, &mut self.0.paths.write());
        self.0.inbounds.write().retain(|(service, _), _| &**service != name);
    }

    /// Forgets a service and every way to it. No way is laid meanwhile: that needs the paths too.
    fn forget(&self, name: &str, paths: &mut HashMap<PathKey, Arc<Path>>) {
        self.0.services.write().remove(name);
        self.0.clusters.lock().retain(|(service, ..), _| &**service != name);
        paths.retain(|(_, (service, ..)), _| &**service != name);
        self.0.edges.write().retain(|(_, service), _| &**service != name);
        self.0.breakers.retain(|edge| &*edge.destination != name);
    }

    /// The callee's side of a new instance.
    fn inbound(&self, service: &str, instance: &str) -> Arc<Inbound> {
        let key: InstanceKey = (service.into(), instance.into());
        let mut inbounds = self.0.inbounds.write();
        let limiters = inbounds.values().find_map(|other| other.limiters_of(service)).cloned();
        let fresh = || Limiters::new(self.0.clock.clone(), purpose_seed(self.0.seed, service));
        let limiters = limiters.unwrap_or_else(|| Arc::new(fresh()));
        let (clock, (of, name)) = (self.0.clock.clone(), key.clone());
        let inbound = Arc::new(Inbound::new(clock, of, name, limiters));
        inbounds.insert(key, inbound.clone());
        inbound
    }

    /// Services that can be reached.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<str>> {
        self.0.services.read().keys().cloned().collect()
    }

    fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.0.services.read().get(name).cloned()
    }
}

// === impl Mesh: calls ===

impl Mesh {
    /// What the service `name` makes its calls with.
    #[must_use]
    pub fn caller(&self, name: &'static str) -> Caller {
        self.caller_from(Source::of(name))
    }

    /// What a workload makes its calls with: its labels are what `sourceLabels` see.
    #[must_use]
    pub fn caller_from(&self, source: Source) -> Caller {
        Caller::new(self.clone(), source)
    }

    /// Sends a request on its journey.
    ///
    /// Also gives the `traceparent` of the span that tells how a request from outside was served.
    pub(crate) async fn send(
        &self,
        stack: Outer,
        source: &Arc<Source>,
        called: &str,
        request: Request,
        marks: Marks,
    ) -> (Result<Response, MeshError>, Option<String>) {
        let known = self.0.services.read().get_key_value(called).map(|(name, _)| name.clone());
        let called = known.unwrap_or_else(|| called.into());
        let journey = Journey::new(source.clone(), called, marks.ingress, marks.look);
        for fault in baggage::fault_ids(request.headers()) {
            journey.carries(fault);
        }
        let mut request = request;
        request.extensions_mut().insert(self.begin(&journey));
        let journey = Arc::new(journey);
        request.extensions_mut().insert(journey.clone());
        let outcome = through(stack, request).await;
        let served = journey.served_in().map(str::to_owned);
        if let Some(trace_id) = served.as_deref().and_then(|parent| parent.split('-').nth(1)) {
            self.0.faults.exemplify(&journey.faults(), trace_id);
        }
        (outcome, served)
    }

    /// The request is counted, and is given the snapshot that all layers follow to its end.
    fn begin(&self, journey: &Journey) -> Begun {
        let number = (!journey.look).then(|| self.0.requests.fetch_add(1, Ordering::SeqCst) + 1);
        Begun { number, snapshot: self.0.in_force.load_full() }
    }

    /// What routing sees of a request, if it is one that is kept.
    pub(crate) fn record(
        &self,
        begun: &Begun,
        journey: &Journey,
        request: &Request,
    ) -> Option<Recorded> {
        let number = begun.number?;
        Some(Recorded::new(number, self.0.clock.now_us(), journey, request))
    }

    /// Keeps a request that is over among the last ones.
    pub(crate) fn remember(&self, recorded: Recorded) {
        self.0.recent.push(recorded);
    }

    /// Random choices for one purpose, drawn from a sequence of its own: what happens elsewhere
    /// in the mesh does not change them.
    pub(crate) fn dice(&self, purpose: &str) -> IdSource {
        IdSource::seeded(purpose_seed(self.0.seed, purpose))
    }
}

/// Whether a policy still has a subset, and a rule for those callers.
fn is_known(policy: &Policy, (service, subset, callers): &ClusterKey) -> bool {
    let rule = policy.destination(service, callers.as_ref());
    let has = |name| rule.is_some_and(|rule| rule.subset(name).is_some());
    subset.as_deref().map_or(callers.is_none() || rule.is_some(), has)
}

/// The policy a request was given at its start: an extension from there to the route layer.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Its number since the start; none if it only looks.
    number: Option<u64>,
    pub(crate) snapshot: Arc<Snapshot>,
}

/// A seed of its own for each purpose.
fn purpose_seed(seed: u64, purpose: &str) -> u64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    seed ^ purpose.bytes().fold(FNV_OFFSET, hash)
}

/// What kind of call it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// It came from outside.
    pub(crate) ingress: bool,
    /// It only looks.
    pub(crate) look: bool,
}
