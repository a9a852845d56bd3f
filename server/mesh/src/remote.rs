//! An instance behind an address: HTTP/1.1 over real connections, pooled by hyper's client.
//!
//! Knows no policy but the connect timeout; deadlines and retries are further out.

use crate::{MeshError, Request, Response};
use axum::body::Body;
use http::{Uri, uri::PathAndQuery};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use std::{net::SocketAddr, time::Duration};

/// How long a connection may take to come about, unless the policy says otherwise: Istio's default
/// (`ConnectionPoolSettings.TCPSettings.connect_timeout`).
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Idle connections kept to one instance; more are closed after their request.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// An idle connection is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The client for one address.
#[derive(Debug)]
pub(crate) struct Remote {
    address: SocketAddr,
    /// The client with the connect timeout it was built for; another timeout builds another.
    client: Mutex<Option<(Duration, Connected)>>,
}

type Connected = Client<HttpConnector, Body>;

impl Remote {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, client: Mutex::default() }
    }

    fn client(&self, connect_timeout: Duration) -> Connected {
        let mut kept = self.client.lock();
        if let Some((timeout, client)) = &*kept
            && *timeout == connect_timeout
        {
            return client.clone();
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        *kept = Some((connect_timeout, client.clone()));
        client
    }

    /// Sends a request to the address, keeping its path, its `Host` header and its body.
    pub(crate) async fn send(
        &self,
        instance: &str,
        mut request: Request,
        connect_timeout: Option<Duration>,
    ) -> Result<Response, MeshError> {
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.address.to_string())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        let lost = || MeshError::Connect { endpoint: instance.to_owned() };
        *request.uri_mut() = uri.map_err(|_| lost())?;
        let client = self.client(connect_timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT));
        match client.request(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) if error.is_connect() => Err(lost()),
            Err(_) => Err(MeshError::Reset { endpoint: instance.to_owned() }),
        }
    }
}
