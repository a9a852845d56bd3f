//! What one hop through the mesh costs: with nothing configured, and with everything, against
//! calling the destination itself; in this process, and over HTTP on the loopback interface.
//!
//! Prints medians of rounds that take turns, so that a busy moment of the machine hits all alike.
//! Nothing here fails on a slow machine. Spans are off; recording them is measured with the
//! program.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made stops here")]

use axum::{Router, body::Body, routing::get};
use base::Clock;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use istio::{Configuration, Known, KnownService};
use mesh::{BreakerParams, Caller, Endpoint, Instance, Mesh};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tower::ServiceExt as _;

/// Rounds; each path is measured once in each.
const ROUNDS: usize = 9;
/// Calls one after the other, for the latency.
const CALLS: usize = 2_000;
/// Clients of the closed loop, and the calls they make together.
const CLIENTS: usize = 32;
const LOOP_CALLS: usize = 8_000;

/// Everything that can be configured on the way, in the form people write it; no fault is active.
const EVERYTHING: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: callee}
spec:
  host: callee
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    connectionPool:
      tcp: {maxConnections: 1024}
      http: {http1MaxPendingRequests: 1024, http2MaxRequests: 1024, maxRetries: 16}
    outlierDetection:
      consecutive5xxErrors: 5
      interval: 10s
      baseEjectionTime: 30s
      maxEjectionPercent: 50
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: callee}
spec:
  hosts: [callee]
  http:
  - match:
    - headers: {x-canary: {exact: always}}
    route:
    - destination: {host: callee, subset: v2}
  - match:
    - uri: {prefix: /}
      method: {exact: GET}
    route:
    - destination: {host: callee, subset: v1}
      weight: 90
    - destination: {host: callee, subset: v2}
      weight: 10
    timeout: 5s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: '5xx,reset,connect-failure'}
    mirror: {host: callee, subset: v2}
    mirrorPercentage: {value: 0}
    headers: {request: {set: {x-by: bench}}}
    rateLimit:
      dimensions: {remoteAddress: {value: $remoteAddress}}
      limit: {requestsPerUnit: 1000000, unit: SECOND}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callee}
spec:
  selector: {matchLabels: {app: callee}}
  action: ALLOW
  rules:
  - from:
    - source: {principals: [cluster.local/ns/default/sa/caller]}
    to:
    - operation: {methods: [GET], paths: ['/*']}
";

/// What is called: as little as there can be.
fn callee() -> Router {
    Router::new().route("/", get(async || "ok"))
}

async fn listen() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("its address");
    #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
    tokio::spawn(async move { axum::serve(listener, callee()).await });
    address
}

fn known(versions: &[&str]) -> Known {
    let labels = |version: &&str| {
        let pairs = [("app", "callee"), ("version", *version)];
        BTreeMap::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
    };
    let instances = versions.iter().map(labels).collect();
    let service =
        KnownService { name: "callee".into(), instances, port: 80, ..KnownService::default() };
    Known { services: vec![service], gateways: vec!["mesh".into()], ..Known::default() }
}

/// A mesh with the callee at these endpoints: two of version 1, one of version 2.
fn caller(endpoint: &Endpoint, configured: bool) -> Caller {
    // A busy machine must not open the breaker.
    let never = BreakerParams { failure_threshold: u32::MAX, ..BreakerParams::default() };
    let mesh = Mesh::seeded(Clock::system(), never, 1);
    let versions = ["v1", "v1", "v2"];
    for (number, version) in versions.iter().enumerate() {
        mesh.add_instance(Instance {
            service: "callee".into(),
            name: format!("callee-{number}"),
            labels: vec![("app".into(), "callee".into()), ("version".into(), (*version).into())],
            endpoint: endpoint.clone(),
        });
    }
    if configured {
        let known = known(&versions);
        let applied = Configuration::default().apply(EVERYTHING, &known).expect("it applies");
        mesh.apply(Arc::new(applied.configuration.compile(&known, 1)));
    }
    mesh.caller("caller")
}

/// One way to make the call.
type Call = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

fn through(caller: Caller) -> Call {
    Arc::new(move || {
        let call = caller.get("callee", "/").header("x-user", "c-1001");
        Box::pin(async move {
            let answer = call.send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.expect("its body");
        })
    })
}

fn direct_router() -> Call {
    let router = callee();
    Arc::new(move || {
        let router = router.clone();
        Box::pin(async move {
            let request = http::Request::get("/").header("x-user", "c-1001").body(Body::empty());
            let answer = router.oneshot(request.expect("a request")).await;
            answer.expect("an answer").into_body().collect().await.expect("its body");
        })
    })
}

fn direct_address(address: SocketAddr) -> Call {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    Arc::new(move || {
        let (client, uri) = (client.clone(), format!("http://{address}/"));
        Box::pin(async move {
            let request = http::Request::get(uri).header("x-user", "c-1001").body(Body::empty());
            let answer = client.request(request.expect("a request")).await;
            answer.expect("an answer").into_body().collect().await.expect("its body");
        })
    })
}

/// The figures of one path, by round.
#[derive(Default)]
struct Figures {
    p50: Vec<f64>,
    p99: Vec<f64>,
    per_second: Vec<f64>,
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn one_after_the_other(call: &Call, figures: &mut Figures) {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        call().await;
        times.push(micros(began.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    figures.p50.push(times[CALLS / 2]);
    figures.p99.push(times[CALLS * 99 / 100]);
}

async fn at_full_speed(call: &Call, figures: &mut Figures) {
    let left = Arc::new(AtomicUsize::new(LOOP_CALLS));
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (call, left) = (call.clone(), left.clone());
        let take = move || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        };
        clients.spawn(async move {
            while take() {
                call().await;
            }
        });
    }
    clients.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let calls = LOOP_CALLS as f64;
    figures.per_second.push(calls / began.elapsed().as_secs_f64());
}

async fn measure(what: &str, paths: [(&str, Call); 3]) {
    let mut figures = [Figures::default(), Figures::default(), Figures::default()];
    for round in 0..=ROUNDS {
        for ((_, call), figures) in paths.iter().zip(&mut figures) {
            let mut warm_up = Figures::default();
            // The first round fills caches and pools.
            let figures = if round == 0 { &mut warm_up } else { figures };
            one_after_the_other(call, figures).await;
            at_full_speed(call, figures).await;
        }
    }
    let direct = |pick: fn(&Figures) -> &[f64]| median(pick(&figures[0]));
    let base = [direct(|f| &f.p50), direct(|f| &f.p99), direct(|f| &f.per_second)];
    for ((name, _), figures) in paths.iter().zip(&figures) {
        let [p50, p99] = [median(&figures.p50), median(&figures.p99)];
        let (added50, added99) = (p50 - base[0], p99 - base[1]);
        let per_second = median(&figures.per_second);
        println!(
            "{what:<12} {name:<22} {p50:>8.1} {added50:>+8.1} {p99:>8.1} {added99:>+8.1} \
             {per_second:>10.0} {:>6.2}",
            per_second / base[2],
        );
    }
}

#[tokio::main]
async fn main() {
    println!(
        "{:<12} {:<22} {:>8} {:>8} {:>8} {:>8} {:>10} {:>6}",
        "endpoint", "hop", "p50 us", "added", "p99 us", "added", "req/s", "ratio"
    );
    let router = Endpoint::Router(callee());
    let paths = [
        ("direct", direct_router()),
        ("mesh, nothing", through(caller(&router, false))),
        ("mesh, everything", through(caller(&router, true))),
    ];
    measure("in process", paths).await;
    let address = listen().await;
    let remote = Endpoint::Address(address);
    let paths = [
        ("direct", direct_address(address)),
        ("mesh, nothing", through(caller(&remote, false))),
        ("mesh, everything", through(caller(&remote, true))),
    ];
    measure("loopback", paths).await;
}
