//! The contract of every layer, for the tests: a service is called only when it was made ready, and
//! a layer calls the one that it made ready, not a clone of it.

use crate::{
    Endpoint, Instance, MeshError, Request, Response, Source,
    changes::Announcer,
    cluster::{Cluster, Service as Members},
    edge::Tally,
    endpoint::Picked,
    in_force::{InForce, Snapshot},
    instance::Host,
    journey::Journey,
    route::Routed,
    stack::{MeshService, Reply, Segment, Stack},
};
use axum::{Router, body::Body};
use base::{Clock, IdSource};
use istio::policy::{Destination, Outlier, Policy, TrafficPolicy};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

/// Ready at its second poll; a call without that panics; a clone is not ready.
#[derive(Debug, Default)]
struct Probe {
    polls: u32,
    calls: Arc<AtomicU32>,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { polls: 0, calls: self.calls.clone() }
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
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Response::new(Body::empty())) })
    }
}

/// A cluster `b` with one instance.
fn cluster() -> Arc<Cluster> {
    let service = Arc::new(Members::new("b".into()));
    service.put(&host());
    Arc::new(Cluster::new(service, None, Clock::system(), Announcer::new()))
}

fn host() -> Arc<Host> {
    let (service, name) = ("b".to_owned(), "b-0".to_owned());
    let endpoint = Endpoint::Router(Router::new());
    Arc::new(Host::new(1, Instance { service, name, labels: Vec::new(), endpoint }, 0))
}

/// A request that every layer has something to do for.
fn request() -> Request {
    let outlier = Outlier {
        consecutive_5xx: 5,
        consecutive_gateway: 0,
        split_local_origin: false,
        consecutive_local_origin: 5,
        interval: Duration::from_secs(10),
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(300),
        max_ejection_percent: 10,
        min_health_percent: 0,
        http_error_codes: Vec::new(),
    };
    let policy = TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() };
    let rule = Destination { policy, ..Destination::default() };
    let policy = Policy { destinations: [("b".into(), rule)].into(), ..Policy::default() };
    let in_force = InForce { policy: Arc::new(policy), since_request: 1, at_us: 0 };
    let snapshot = Arc::new(Snapshot::new(in_force, None));
    let journey = Journey::new(Arc::new(Source::of("a")), "b".into(), false, false);
    let mut request = Request::new(Body::empty());
    let extensions = request.extensions_mut();
    extensions.insert(Arc::new(journey));
    extensions.insert(Arc::new(Routed::plain(snapshot, "b".into())));
    extensions.insert(Picked(host()));
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    extensions.insert(crate::deadline::Deadline(end));
    request
}

/// Holds the layer to the contract over two requests, the second by a clone.
async fn holds<L: Layer<Probe, Service: MeshService>>(layer: L) {
    let probe = Probe::default();
    let calls = probe.calls.clone();
    let mut service = layer.layer(probe);
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

/// A seam around the probe.
struct Seam;

impl Layer<Probe> for Seam {
    type Service = Stack;

    fn layer(&self, probe: Probe) -> Stack {
        Segment::new("probe", probe).erase().build()
    }
}

#[tokio::test(start_paused = true)]
async fn a_seam_calls_what_it_made_ready() {
    holds(Seam).await;
}

#[tokio::test(start_paused = true)]
async fn span_and_deadline_call_what_they_made_ready() {
    holds(crate::span::SpanLayer).await;
    let tally = Arc::<Tally>::default();
    holds(crate::deadline::DeadlineLayer { destination: "b".into(), tally }).await;
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
    holds(crate::outlier::OutlierLayer { cluster: self::cluster(), tally }).await;
}
