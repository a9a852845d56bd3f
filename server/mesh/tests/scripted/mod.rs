//! What the tests of retries, faults, mirrors, breakers and the inbound side share: a mesh of
//! instances that do what a script says, and remember what came.
//!
//! Every test file uses its own part of it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

use axum::{Router, body::Body, extract::Request, response::IntoResponse};
use base::Clock;
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use istio::policy::{
    Action, Destination, HeaderOps, Origin, Policy, Retry, RetryOn, Route, Subset, TrafficPolicy,
    VirtualHost, Weighted,
};
use mesh::{BreakerParams, CallError, Caller, Endpoint, Instance, Mesh, MeshError, Response};
use parking_lot::Mutex;
use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

/// The seed of every mesh in these tests, unless one says otherwise.
pub const SEED: u64 = 20_261_124;

/// A request as it came to an instance.
#[derive(Clone, Debug)]
pub struct Seen {
    /// From 1, by instance.
    pub number: usize,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Which identity the mesh attached, if any.
    pub principal: Option<String>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What an instance does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    Status(u16),
    Text(&'static str),
    Json(&'static str),
    /// With these headers.
    With(u16, Vec<(&'static str, &'static str)>),
    /// Late.
    After(Duration, u16),
    Hang,
    /// The head of an answer and the beginning of its body, and nothing more.
    Stall(&'static str),
}

type Script = Box<dyn Fn(&Seen) -> Act + Send + Sync>;

struct Actor {
    script: Mutex<Arc<Script>>,
    seen: Mutex<Vec<Seen>>,
}

/// A mesh of scripted instances.
pub struct World {
    pub mesh: Mesh,
    actors: BTreeMap<String, Arc<Actor>>,
}

impl World {
    /// With these instances (service, name, version) that answer 200, and breakers that never open.
    pub fn new(instances: &[(&str, &str, &str)]) -> Self {
        let never = BreakerParams { failure_threshold: u32::MAX, ..BreakerParams::default() };
        Self::with(instances, never, SEED)
    }

    pub fn with(instances: &[(&str, &str, &str)], breaker: BreakerParams, seed: u64) -> Self {
        let mesh = Mesh::seeded(Clock::tokio(0), breaker, seed);
        let mut world = Self { mesh, actors: BTreeMap::new() };
        for (service, name, version) in instances {
            world.add(service, name, version);
        }
        world
    }

    /// One instance of `payments`.
    pub fn payments() -> Self {
        Self::new(&[("payments", "payments-0", "v1")])
    }

    pub fn add(&mut self, service: &str, name: &str, version: &str) {
        let script: Script = Box::new(|_| Act::Status(200));
        let actor =
            Arc::new(Actor { script: Mutex::new(Arc::new(script)), seen: Mutex::default() });
        self.actors.insert(name.to_owned(), actor.clone());
        self.mesh.add_instance(Instance {
            service: service.into(),
            name: name.into(),
            labels: vec![("version".into(), version.into())],
            endpoint: Endpoint::Router(router(actor)),
        });
    }

    /// From now on the instance does this.
    pub fn script(&self, instance: &str, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
        *self.actors[instance].script.lock() = Arc::new(Box::new(script));
    }

    pub fn always(&self, instance: &str, act: Act) {
        self.script(instance, move |_| act.clone());
    }

    pub fn seen(&self, instance: &str) -> Vec<Seen> {
        self.actors[instance].seen.lock().clone()
    }

    pub fn calls(&self, instance: &str) -> usize {
        self.actors[instance].seen.lock().len()
    }

    pub fn apply(&self, policy: Policy) {
        self.mesh.apply(Arc::new(policy));
    }

    pub fn caller(&self) -> Caller {
        self.mesh.caller("orders")
    }

    /// A GET of `/` at payments, from `orders`.
    pub async fn get(&self) -> Result<Response, MeshError> {
        self.caller().get("payments", "/").send().await
    }

    /// Its status, or the error.
    pub async fn status(&self) -> Result<u16, MeshError> {
        self.get().await.map(|response| response.status().as_u16())
    }
}

fn router(actor: Arc<Actor>) -> Router {
    Router::new().fallback(move |request: Request| {
        let actor = actor.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default().to_vec();
            let principal = parts.extensions.get::<mesh::inbound::Identity>();
            let principal = principal.map(|identity| identity.principal().to_owned());
            let act = {
                let mut seen = actor.seen.lock();
                let number = seen.len() + 1;
                let (path, headers) = (parts.uri.to_string(), parts.headers);
                seen.push(Seen { number, path, headers, body, principal });
                let script = actor.script.lock().clone();
                script(&seen[number - 1])
            };
            perform(act).await
        }
    })
}

async fn perform(act: Act) -> axum::response::Response {
    let status = |code| StatusCode::from_u16(code).unwrap();
    match act {
        Act::Status(code) => status(code).into_response(),
        Act::Text(text) => text.into_response(),
        Act::Json(text) => ([("content-type", "application/json")], text).into_response(),
        Act::With(code, headers) => {
            let mut response = status(code).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Act::After(delay, code) => {
            tokio::time::sleep(delay).await;
            status(code).into_response()
        }
        Act::Hang => std::future::pending().await,
        Act::Stall(beginning) => {
            let beginning = stream::iter([Ok::<_, Infallible>(beginning)]);
            Body::from_stream(beginning.chain(stream::pending())).into_response()
        }
    }
}

pub async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn request(path: &str, headers: &[(&str, &str)]) -> mesh::Request {
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

pub fn mesh_error(error: CallError) -> MeshError {
    match error {
        CallError::Mesh(error) => error,
        other => panic!("the mesh did deliver: {other}"),
    }
}

// === policies in few words ===

pub fn origin(kind: &str, name: &str) -> Origin {
    Origin { kind: kind.into(), namespace: "default".into(), name: name.into() }
}

pub fn retry(attempts: u32, on: &[RetryOn]) -> Retry {
    Retry { attempts, on: on.to_vec(), ..Retry::default() }
}

/// A rule for every request to `payments`, without retries.
pub fn rule(subset: Option<&str>) -> Route {
    let (service, subset) = ("payments".into(), subset.map(Into::into));
    let to = Weighted { service, subset, port: None, weight: 1, headers: HeaderOps::default() };
    Route {
        origin: origin("VirtualService", "payments"),
        name: "all".into(),
        line: 1,
        matches: Vec::new(),
        action: Action::Forward(vec![to]),
        rewrite: None,
        timeout: None,
        retry: retry(0, &[]),
        fault: None,
        faithful: false,
        mirrors: Vec::new(),
        cors: None,
        headers: HeaderOps::default(),
        rate_limit: None,
    }
}

/// One `VirtualService` for `payments`, and a `DestinationRule` with its subsets v1 and v2.
pub fn policy(revision: u64, route: Route) -> Policy {
    policy_with(revision, route, TrafficPolicy::default())
}

pub fn policy_with(revision: u64, route: Route, traffic: TrafficPolicy) -> Policy {
    let subset = |name: &str| Subset {
        name: name.into(),
        labels: vec![("version".into(), name.into())],
        policy: traffic.clone(),
    };
    let destination = Destination {
        origin: origin("DestinationRule", "payments"),
        policy: traffic.clone(),
        subsets: vec![subset("v1"), subset("v2")],
    };
    Policy {
        revision,
        virtual_hosts: vec![VirtualHost {
            origin: origin("VirtualService", "payments"),
            hosts: vec!["payments".into()],
            in_mesh: true,
            at_ingress: true,
            listeners: Vec::new(),
            built_in: false,
            routes: vec![Arc::new(route)],
        }],
        names: BTreeMap::from([("payments".into(), "payments".into())]),
        destinations: BTreeMap::from([("payments".into(), destination)]),
        ..Policy::default()
    }
}
