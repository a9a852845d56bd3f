//! The contract of every layer, for the tests: a service is called only when it was made ready, and
//! a layer calls the one that it made ready, not a clone of it.

use crate::{
    BreakerParams, Endpoint, Instance, Mesh, MeshError, Request, Response, Source,
    breaker::{self, BreakerLayer},
    changes::Announcer,
    cluster::{Cluster, Service as Members},
    edge::Tally,
    endpoint::Picked,
    fault::{FaultKind, FaultLayer, FaultScope, FaultSpec, Position},
    in_force::{InForce, Snapshot},
    instance::{Host, UnderWay},
    journey::Journey,
    mirror::MirrorLayer,
    registry::WeakMesh,
    retry::RetryLayer,
    route::Routed,
    stack::{Layered, MeshLayer, MeshService, Reply, Segment},
};
use axum::{Router, body::Body};
use base::{Clock, IdSource};
use istio::policy::{
    Action, Destination, HeaderOps, Origin, Outlier, Policy, Retry, RetryOn, Route, Share,
    TrafficPolicy, Weighted,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

/// Ready at its second poll; a call without that panics; a clone is not ready.
#[derive(Debug, Default)]
struct Probe {
    polls: u32,
    /// So many calls, of all clones together, are answered with 503.
    failures: u32,
    calls: Arc<AtomicU32>,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { polls: 0, failures: self.failures, calls: self.calls.clone() }
    }
}

impl Service<Request> for Probe {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.polls += 1;
        if self.polls >= 2 {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request) -> Reply {
        assert!(self.polls >= 2, "called before it was ready");
        self.polls = 0;
        let mut answer = Response::new(Body::empty());
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.failures {
            *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        Box::pin(async { Ok(answer) })
    }
}

impl MeshService for Probe {}

/// A cluster `b` with one instance.
fn cluster() -> Arc<Cluster> {
    let service = Arc::new(Members::new("b".into()));
    service.put(&host());
    Arc::new(Cluster::new(service, None, None, Clock::system(), Announcer::new()))
}

fn host() -> Arc<Host> {
    let (service, name) = ("b".to_owned(), "b-0".to_owned());
    let endpoint = Endpoint::Router(Router::new());
    Arc::new(Host::new(1, Instance { service, name, labels: Vec::new(), endpoint }, 0))
}

/// A request that every layer has something to do for.
fn request() -> Request {
    let outlier = Outlier { consecutive_local_origin: 5, ..Outlier::default() };
    let policy = TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() };
    let rule = Destination { policy, ..Destination::default() };
    let policy = Policy { destinations: [("b".into(), rule)].into(), ..Policy::default() };
    let in_force = InForce { policy: Arc::new(policy), since_request: 1, at_us: 0 };
    let snapshot = Arc::new(Snapshot::new(in_force, None));
    let journey = Journey::new(Arc::new(Source::of("a")), "b".into(), false, false);
    let mut request = Request::new(Body::empty());
    let extensions = request.extensions_mut();
    extensions.insert(Arc::new(journey));
    extensions.insert(Arc::new(Routed::plain(snapshot, &Source::of("a"), "b".into())));
    extensions.insert(Picked(Arc::new(UnderWay::begin(host()))));
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    extensions.insert(crate::deadline::Deadline(end));
    request
}

/// Holds the layer to the contract over two requests, the second by a clone.
async fn holds<L: MeshLayer>(layer: L) {
    let probe = Probe::default();
    let calls = probe.calls.clone();
    all_hold(Layered::new(layer, probe), &calls).await;
}

async fn all_hold<S: MeshService>(mut service: S, calls: &AtomicU32) {
    for _ in 0..2 {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let reply = service.call(request());
        // The contract holds for the one that is left behind as well.
        let mut left = service.clone();
        assert!(reply.await.unwrap().status().is_success());
        std::future::poll_fn(|cx| left.poll_ready(cx)).await.unwrap();
        left.call(request()).await.unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_seam_calls_what_it_made_ready() {
    let probe = Probe::default();
    let calls = probe.calls.clone();
    all_hold(Segment::new("probe", probe).erase().build(), &calls).await;
}

#[tokio::test(start_paused = true)]
async fn span_and_deadline_call_what_they_made_ready() {
    holds(crate::span::SpanLayer).await;
    let tally = Arc::<Tally>::default();
    let faults = mesh().faults().clone();
    holds(crate::deadline::DeadlineLayer { destination: "b".into(), faults, tally }).await;
}

fn mesh() -> Mesh {
    Mesh::new(Clock::tokio(0), BreakerParams::default())
}

fn retries(mesh: &Mesh) -> RetryLayer {
    RetryLayer {
        destination: "b".into(),
        pool: Arc::default(),
        counts: Arc::default(),
        dice: IdSource::seeded(1),
        faults: mesh.faults().clone(),
        tally: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn retry_mirror_and_breaker_call_what_they_made_ready() {
    let mesh = mesh();
    holds(retries(&mesh)).await;
    let (mirrors, weak) = (mesh.mirrors().clone(), WeakMesh::of(&mesh));
    holds(MirrorLayer { mirrors, mesh: weak, tally: Arc::default() }).await;
    let edge = breaker::BreakerEdge { caller: "a".into(), destination: "b".into(), subset: None };
    let breaker = mesh.breaker_control().breaker(edge);
    holds(BreakerLayer { breaker, tally: Arc::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn faults_call_what_they_made_ready_also_after_holding_a_call() {
    let mesh = mesh();
    let spec = FaultSpec {
        kind: FaultKind::Delay(Duration::from_secs(1)),
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".into(),
    };
    mesh.faults().inject(spec).unwrap();
    for position in [Position::Try, Position::Instance] {
        let (faults, label) = (mesh.faults().clone(), "b".into());
        holds(FaultLayer { faults, position, label, tally: Arc::default() }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_try_asks_anew_whether_the_service_is_ready() {
    let probe = Probe { failures: 3, ..Probe::default() };
    let calls = probe.calls.clone();
    let to = Weighted {
        service: "b".into(),
        subset: None,
        port: None,
        weight: 1,
        headers: HeaderOps::default(),
    };
    let route = Route {
        origin: Origin::default(),
        name: "all".into(),
        line: 1,
        matches: Vec::new(),
        action: Action::Forward(vec![to]),
        rewrite: None,
        timeout: None,
        retry: Retry { attempts: 3, on: vec![RetryOn::ServerError], ..Retry::default() },
        fault: None,
        faithful: false,
        mirrors: Vec::new(),
        cors: None,
        headers: HeaderOps::default(),
        rate_limit: None,
    };
    let mut request = request();
    let extensions = request.extensions_mut();
    let routed = extensions.get::<Arc<Routed>>().unwrap();
    let mut routed = Routed::plain(routed.snapshot.clone(), &Source::of("a"), "b".into());
    routed.route = Some(Arc::new(route));
    extensions.insert(Arc::new(routed));
    let mut service = Layered::new(retries(&mesh()), probe);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    assert!(service.call(request).await.unwrap().status().is_success());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn limits_balance_and_outlier_call_what_they_made_ready() {
    let tally = Arc::<Tally>::default();
    let (pool, cluster) = (Arc::default(), cluster());
    let limits = crate::limits::LimitsLayer { pool, cluster, tally: tally.clone() };
    holds(limits).await;
    holds(crate::balance::BalanceLayer {
        cluster: self::cluster(),
        balancer: Arc::new(crate::balance::Balancer::new(IdSource::seeded(1))),
        clock: Clock::system(),
        tally: tally.clone(),
    })
    .await;
    let (clock, endpoint) = (Clock::tokio(0), Arc::default());
    let cluster = self::cluster();
    holds(crate::outlier::OutlierLayer { cluster, clock, tally, endpoint }).await;
}
