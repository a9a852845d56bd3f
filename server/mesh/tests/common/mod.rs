//! What the conformance tests share: a mesh of services that echo, and policies in few words.
//!
//! Every test file uses its own part of it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

use axum::{Json, Router, extract::Request};
use base::Clock;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use istio::policy::{
    Action, Destination, HeaderOps, Match, Origin, Policy, Retry, Route, StringMatch, Subset,
    TrafficPolicy, VirtualHost, Weighted,
};
use mesh::{BreakerParams, Caller, Endpoint, Instance, Mesh, MeshError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The seed of every mesh in these tests.
pub const SEED: u64 = 20_261_123;

/// What a service of these tests answers: what came to which instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Echo {
    pub instance: String,
    pub method: String,
    pub uri: String,
    pub headers: BTreeMap<String, Vec<String>>,
}

impl Echo {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|values| values.first()).map(String::as_str)
    }
}

/// What an instance answers with instead of 200, changed from outside.
pub type Status = Arc<Mutex<u16>>;

pub fn echo(instance: &str, status: Status) -> Router {
    let instance = instance.to_owned();
    Router::new().fallback(move |request: Request| {
        let headers = request.headers().iter().fold(BTreeMap::new(), |mut all, (name, value)| {
            let values: &mut Vec<String> = all.entry(name.to_string()).or_default();
            values.push(value.to_str().unwrap().to_owned());
            all
        });
        let echo = Echo {
            instance: instance.clone(),
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers,
        };
        let status = StatusCode::from_u16(*status.lock()).unwrap();
        async move { (status, Json(echo)) }
    })
}

/// A mesh with instances that echo.
pub struct World {
    pub mesh: Mesh,
    statuses: BTreeMap<String, Status>,
}

impl World {
    /// With these instances: service, name, version. Breakers that never open, so that they do not
    /// mix with what is tested.
    pub fn new(instances: &[(&str, &str, &str)]) -> Self {
        let never = BreakerParams { failure_threshold: u32::MAX, ..BreakerParams::default() };
        let mut world =
            Self { mesh: Mesh::seeded(Clock::tokio(0), never, SEED), statuses: BTreeMap::new() };
        for (service, name, version) in instances {
            world.add(service, name, version);
        }
        world
    }

    /// `payments` with so many instances of v1, `payments-0`, `payments-1`, …
    pub fn payments(count: usize) -> Self {
        let names: Vec<_> = (0..count).map(|i| format!("payments-{i}")).collect();
        let instances: Vec<_> = names.iter().map(|name| ("payments", &**name, "v1")).collect();
        Self::new(&instances)
    }

    pub fn add(&mut self, service: &str, name: &str, version: &str) {
        let status = Status::new(Mutex::new(200));
        self.statuses.insert(name.to_owned(), status.clone());
        self.mesh.add_instance(Instance {
            service: service.into(),
            name: name.into(),
            labels: vec![("version".into(), version.into())],
            endpoint: Endpoint::Router(echo(name, status)),
        });
    }

    pub fn set(&self, instance: &str, status: u16) {
        *self.statuses[instance].lock() = status;
    }

    pub fn apply(&self, policy: Policy) {
        self.mesh.apply(Arc::new(policy));
    }

    pub fn caller(&self) -> Caller {
        self.mesh.caller("orders")
    }

    /// The answer to a GET from `orders`.
    pub async fn get(&self, service: &'static str, path: &str) -> Result<Answer, MeshError> {
        read(self.caller().get(service, path).send().await).await
    }

    /// The instance that answers a GET of `/` at payments.
    pub async fn instance(&self) -> String {
        self.get("payments", "/").await.unwrap().echo.unwrap().instance
    }
}

/// An answer, and the echo in it if a service gave it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub echo: Option<Echo>,
    pub body: Vec<u8>,
}

pub async fn read(outcome: Result<mesh::Response, MeshError>) -> Result<Answer, MeshError> {
    let (parts, body) = outcome?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let echo = serde_json::from_slice(&body).ok();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, echo, body })
}

// === policies in few words ===

pub fn origin(kind: &str, name: &str) -> Origin {
    Origin { kind: kind.into(), namespace: "default".into(), name: name.into() }
}

pub fn to(service: &str, subset: Option<&str>, weight: u32) -> Weighted {
    let (service, subset) = (service.into(), subset.map(Into::into));
    Weighted { service, subset, port: None, weight, headers: HeaderOps::default() }
}

/// A rule for every request.
pub fn rule(name: &str, action: Action) -> Route {
    Route {
        origin: origin("VirtualService", "routes"),
        name: name.into(),
        line: 1,
        matches: Vec::new(),
        action,
        rewrite: None,
        timeout: None,
        retry: Retry { attempts: 0, on: Vec::new(), ..Retry::default() },
        fault: None,
        faithful: false,
        mirrors: Vec::new(),
        cors: None,
        headers: HeaderOps::default(),
        rate_limit: None,
    }
}

/// A rule to the whole service.
pub fn forward(name: &str, service: &str) -> Route {
    rule(name, Action::Forward(vec![to(service, None, 1)]))
}

/// A rule to a subset for what matches.
pub fn matching(name: &str, conditions: Match, service: &str) -> Route {
    Route { matches: vec![conditions], ..forward(name, service) }
}

/// One `VirtualService` with routes for `payments`, in the mesh and at the gateway.
pub fn policy(revision: u64, routes: Vec<Route>) -> Policy {
    Policy {
        revision,
        names: [("payments".into(), "payments".into())].into(),
        virtual_hosts: vec![VirtualHost {
            origin: origin("VirtualService", "routes"),
            hosts: vec!["payments".into()],
            in_mesh: true,
            at_ingress: true,
            listeners: Vec::new(),
            built_in: false,
            routes: routes.into_iter().map(Arc::new).collect(),
        }],
        ..Policy::default()
    }
}

/// The rule of `payments` with the subsets v1 and v2.
pub fn destination(policy: TrafficPolicy) -> Destination {
    let subset = |name: &str| Subset {
        name: name.into(),
        labels: vec![("version".into(), name.into())],
        policy: policy.clone(),
    };
    Destination {
        origin: origin("DestinationRule", "payments"),
        subsets: vec![subset("v1"), subset("v2")],
        policy: policy.clone(),
    }
}

/// No routes, this rule for `payments`.
pub fn traffic(revision: u64, policy: TrafficPolicy) -> Policy {
    Policy {
        revision,
        destinations: BTreeMap::from([("payments".into(), destination(policy))]),
        ..Policy::default()
    }
}

pub fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.into())
}

pub fn prefix(text: &str) -> StringMatch {
    StringMatch::Prefix(text.into())
}

/// As the compiler makes it: the whole text.
pub fn regex(text: &str) -> StringMatch {
    StringMatch::Regex(regex::Regex::new(&format!("^(?:{text})$")).unwrap())
}

pub fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

pub fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}
