//! An instance behind an address: HTTP/1.1 over real connections, pooled by hyper's client.
//!
//! Knows no policy but the timeouts of connections; deadlines and retries are further out.

use crate::{MeshError, Request, Response, hop_by_hop::strip_hop_by_hop};
use axum::body::Body;
use http::{Uri, uri::PathAndQuery};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use istio::policy::ConnectionPool;
use parking_lot::Mutex;
use std::{net::SocketAddr, time::Duration};

/// How long a connection may take to come about, unless the policy says otherwise: Istio's default
/// (`ConnectionPoolSettings.TCPSettings.connect_timeout`).
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Idle connections kept to one instance; more are closed after their request.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// An idle connection is closed after this, unless the policy says otherwise.
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Clients kept for one instance, each with connections of its own: callers whose policies have
/// different timeouts take turns without closing each other's. More are hardly meant.
const CLIENTS_MAX: usize = 8;

/// The clients for one address.
#[derive(Debug)]
pub(crate) struct Remote {
    address: SocketAddr,
    /// With the timeouts each was built for, the one used last at the end.
    clients: Mutex<Vec<(Timeouts, Connected)>>,
}

/// How long a connection may take to come about, and how long it may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    connect: Duration,
    idle: Duration,
}

impl Timeouts {
    /// Those of a policy, if somebody wrote one.
    pub(crate) fn of(pool: Option<&ConnectionPool>) -> Self {
        let connect = pool.and_then(|pool| pool.connect_timeout);
        let idle = pool.and_then(|pool| pool.idle_timeout);
        Self {
            connect: connect.unwrap_or(CONNECT_TIMEOUT_DEFAULT),
            idle: idle.unwrap_or(IDLE_TIMEOUT_DEFAULT),
        }
    }

    /// What hyper takes: 0 is Istio's way of never closing an idle connection.
    fn idle(self) -> Option<Duration> {
        (!self.idle.is_zero()).then_some(self.idle)
    }
}

type Connected = Client<HttpConnector, Body>;

impl Remote {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, clients: Mutex::default() }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    fn client(&self, timeouts: Timeouts) -> Connected {
        let mut kept = self.clients.lock();
        if let Some(at) = kept.iter().position(|(of, _)| *of == timeouts) {
            kept[at..].rotate_left(1);
            return kept[kept.len() - 1].1.clone();
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(timeouts.idle())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            // Whether a request may be sent again is for the policy to say.
            .retry_canceled_requests(false)
            .build(connector);
        if kept.len() == CLIENTS_MAX {
            kept.remove(0);
        }
        kept.push((timeouts, client.clone()));
        client
    }

    /// Sends a request to the address, keeping its path, its `Host` header and its body. What is
    /// about one of the two connections stays on its side.
    pub(crate) async fn send(
        &self,
        instance: &str,
        mut request: Request,
        timeouts: Timeouts,
    ) -> Result<Response, MeshError> {
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.address.to_string())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        let lost = || MeshError::Connect { endpoint: instance.to_owned() };
        *request.uri_mut() = uri.map_err(|_| lost())?;
        strip_hop_by_hop(request.headers_mut());
        let client = self.client(timeouts);
        match client.request(request).await {
            Ok(mut response) => {
                strip_hop_by_hop(response.headers_mut());
                Ok(response.map(Body::new))
            }
            Err(error) if error.is_connect() => Err(lost()),
            Err(_) => Err(MeshError::Reset { endpoint: instance.to_owned() }),
        }
    }
}
