//! What comes in is made unambiguous before anything reads it: where it is addressed to, and what
//! only the edge can know about its connection.
//!
//! The edge is an Envoy without a trusted proxy before it (`use_remote_address: true`,
//! `xff_num_trusted_hops: 0`, Istio's default for a gateway): the address of the peer is the
//! client's, appended to `X-Forwarded-For`, where what the client claims comes first and counts
//! for nothing; `X-Forwarded-Proto` is the scheme of the connection; a client certificate is
//! nobody's to claim. Behind another proxy all its clients count as one address.

use axum::{
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// What the edge listens with.
const SCHEME: HeaderValue = HeaderValue::from_static("http");

/// The address at the other end of the connection.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|peer| peer.0.ip().to_canonical())
}

/// Around everything, the choice of a route too.
pub(super) async fn enter(mut request: Request, next: Next) -> Response {
    mesh::address(&mut request);
    let peer = peer(&request);
    say(request.headers_mut(), peer);
    next.run(request).await
}

/// Says of a connection what only its edge can say.
pub(super) fn say(headers: &mut HeaderMap, peer: Option<IpAddr>) {
    headers.remove(FORWARDED_CLIENT_CERT);
    headers.insert(FORWARDED_PROTO, SCHEME);
    let claimed = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let mut way: Vec<String> = claimed.map(str::to_owned).collect();
    way.extend(peer.map(|peer| peer.to_string()));
    match HeaderValue::try_from(way.join(", ")) {
        Ok(way) if !way.is_empty() => headers.insert(FORWARDED_FOR, way),
        _ => headers.remove(FORWARDED_FOR),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    #[test]
    fn the_peer_is_appended_to_what_the_client_claims() {
        let said = |claimed: &[&'static str], peer: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in claimed {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            say(&mut headers, peer.map(|peer| peer.parse().unwrap()));
            let ways = headers.get_all(FORWARDED_FOR).iter();
            ways.map(|way| way.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(said(&[], Some("203.0.113.7")), ["203.0.113.7"]);
        let claimed = said(&["10.0.0.1, 10.0.0.2", "::1"], Some("203.0.113.7"));
        assert_eq!(claimed, ["10.0.0.1, 10.0.0.2, ::1, 203.0.113.7"]);
        assert!(said(&[], None).is_empty());
    }

    #[tokio::test]
    async fn a_route_is_chosen_by_the_normal_path() {
        let inner =
            Router::new().route("/a/{id}", get(async |request: Request| request.uri().to_string()));
        let app = Router::new().fallback_service(inner).layer(from_fn(enter));
        let request = http::Request::get("http://x.example/b/../%61/p%2Dq?r=%61");
        let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 1_024).await.unwrap();
        assert_eq!(body, "/a/p-q?r=%61");
    }
}
