//! The contract of tower that every layer of ours must keep: only a service that said it is ready is
//! called, a clone of a ready one is not ready, and each try asks anew.
//!
//! The probe below panics when the contract is broken.

use crate::{
    BreakerParams, Mesh, MeshError, Request, Response, Source,
    breaker::{BreakerLayer, Edge as BreakerEdge},
    edge::Tally,
    fault::{FaultKind, FaultLayer, FaultScope, FaultSpec, Position},
    in_force::{InForce, Snapshot},
    journey::Journey,
    mirror::MirrorLayer,
    registry::WeakMesh,
    retry::RetryLayer,
    route::Routed,
    stack::{MeshService, Reply},
};
use axum::body::Body;
use base::{Clock, IdSource};
use http::StatusCode;
use istio::policy::Share;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

/// Answers 503 so many times and then 200, and insists on being asked whether it is ready.
#[derive(Debug)]
struct Probe {
    failures: u32,
    calls: Arc<AtomicU32>,
    /// It was asked once, and said "not yet".
    asked: bool,
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        let (failures, calls) = (self.failures, self.calls.clone());
        Self { failures, calls, asked: false, ready: false }
    }
}

impl Service<Request> for Probe {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        if std::mem::replace(&mut self.asked, true) {
            self.ready = true;
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request) -> Reply {
        assert!(self.ready, "called without having said that it is ready");
        (self.asked, self.ready) = (false, false);
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let mut response = Response::new(Body::empty());
        if number <= self.failures {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Box::pin(std::future::ready(Ok(response)))
    }
}

fn mesh() -> Mesh {
    Mesh::new(Clock::tokio(0), BreakerParams::default())
}

fn snapshot() -> Arc<Snapshot> {
    let nothing = InForce { policy: Arc::default(), since_request: 1, at_us: 0 };
    Arc::new(Snapshot::new(nothing, None))
}

fn request() -> Request {
    let source = Arc::new(Source::of("orders"));
    let journey = Journey::new(source, "payments".into(), false, false);
    let mut request = Request::new(Body::from("body"));
    request.extensions_mut().insert(Arc::new(journey));
    request.extensions_mut().insert(Arc::new(Routed::plain(snapshot(), "payments".into())));
    request
}

/// Two calls through one service, each after asking; gives the calls that reached the probe.
async fn calls<L>(layer: &L, failures: u32) -> u32
where
    L: Layer<Probe>,
    L::Service: MeshService,
{
    let calls = Arc::new(AtomicU32::new(0));
    let probe = Probe { failures, calls: calls.clone(), asked: false, ready: false };
    let mut service = layer.layer(probe);
    for _ in 0..2 {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        assert_eq!(service.call(request()).await.unwrap().status(), 200);
    }
    calls.load(Ordering::Relaxed)
}

fn retry_layer(mesh: &Mesh) -> RetryLayer {
    RetryLayer {
        destination: "payments".into(),
        pool: Arc::default(),
        counts: Arc::default(),
        dice: IdSource::seeded(1),
        faults: mesh.faults().clone(),
        tally: Arc::new(Tally::default()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_layer_keeps_the_contract() {
    assert_eq!(calls(&retry_layer(&mesh()), 0).await, 2);
}

#[tokio::test(start_paused = true)]
async fn every_try_asks_whether_the_service_is_ready() {
    use istio::policy::{Action, HeaderOps, Origin, Retry, RetryOn, Route, Weighted};
    let to = Weighted {
        service: "payments".into(),
        subset: None,
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
        mirrors: Vec::new(),
        cors: None,
        headers: HeaderOps::default(),
        rate_limit: None,
    };
    let calls = Arc::new(AtomicU32::new(0));
    let probe = Probe { failures: 3, calls: calls.clone(), asked: false, ready: false };
    let mut service = retry_layer(&mesh()).layer(probe);
    let mut request = request();
    let mut routed = Routed::plain(snapshot(), "payments".into());
    routed.route = Some(Arc::new(route));
    request.extensions_mut().insert(Arc::new(routed));
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    assert_eq!(service.call(request).await.unwrap().status(), 200);
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn the_fault_layer_keeps_the_contract_also_after_holding_a_call() {
    let mesh = mesh();
    let spec = FaultSpec {
        kind: FaultKind::Delay(Duration::from_secs(1)),
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: Some(1),
        by: "test".into(),
    };
    mesh.faults().inject(spec).unwrap();
    for position in [Position::Try, Position::Instance] {
        let layer = FaultLayer {
            faults: mesh.faults().clone(),
            position,
            label: "payments".into(),
            tally: Arc::new(Tally::default()),
        };
        assert_eq!(calls(&layer, 0).await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_mirror_layer_keeps_the_contract() {
    let mesh = mesh();
    let layer = MirrorLayer {
        mirrors: mesh.mirrors().clone(),
        mesh: WeakMesh::of(&mesh),
        tally: Arc::new(Tally::default()),
    };
    assert_eq!(calls(&layer, 0).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_layer_keeps_the_contract() {
    let mesh = mesh();
    let edge =
        BreakerEdge { caller: "orders".into(), destination: "payments".into(), subset: None };
    let breaker = mesh.breaker_control().breaker(edge);
    let layer = BreakerLayer { breaker, tally: Arc::new(Tally::default()) };
    assert_eq!(calls(&layer, 0).await, 2);
}
