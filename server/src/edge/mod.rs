//! Everything a browser or program reaches: the dashboard, its stream, the public API, files.

mod access;
mod api;
mod assets;
mod balance;
mod compress;
mod connections;
mod control;
mod dead_letters;
mod fault_body;
mod forms;
mod ingress;
mod linger;
mod map;
mod pages;
mod patient;
mod refusals;
mod resilience;
mod stream;
mod traffic;
mod ui;

pub use access::Access;
pub use assets::{build, has_assets, site_root};
pub use connections::RefusedConnections;

use crate::{
    control::{Control, YAML_BYTES_MAX},
    live::Live,
    shop::Shop,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use connections::Limits;
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use leptos::config::LeptosOptions;
use mesh::Caller;
use shop::problem::{Problem, explain, refuse_announced};
use std::{panic::AssertUnwindSafe, time::Duration};
use telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

/// Largest form, bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Largest form, or argument of a server function, that has a text of resources in it, bytes: such
/// a text is bounded itself, and every byte of it may be three there (`%0A`).
const YAML_FORM_BYTES_MAX: usize = 3 * YAML_BYTES_MAX + FORM_BYTES_MAX;
/// A request must be whole and its answer begun after this: longer than anything is worked on, the
/// public API with its longest `Prefer: wait` included. Without it, bodies that trickle in hold
/// every connection there is.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What the edge works with. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    /// The shop.
    pub shop: Shop,
    /// What requests from outside go on with.
    pub browser: Caller,
    /// The stream of changes.
    pub live: Live,
    /// What is configured.
    pub control: Control,
    /// Spans and rates.
    pub telemetry: Telemetry,
    /// What the pages ask.
    pub host: app::host::Host,
    /// Who may come in.
    pub access: Access,
    /// Connections there was no room for.
    pub refused: RefusedConnections,
    /// Fires when streams shall end.
    pub stop: CancellationToken,
}

/// Every route, without any I/O: the whole edge as a value.
pub fn router(edge: Edge) -> Router {
    let options = assets::leptos_options();
    let pages = pages::routes(&edge, &options);
    let door = edge.door();
    let control = control::routes()
        .merge(resilience::routes())
        .merge(balance::routes())
        .merge(dead_letters::routes())
        .with_state(edge.clone());
    let app = Router::<LeptosOptions>::new()
        .merge(pages)
        .with_state(options)
        .merge(own_routes().merge(traffic::routes()).merge(map::routes()).with_state(edge.clone()))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .merge(control)
        .layer(from_fn(refuse_large))
        .layer(from_fn_with_state(edge.clone(), to_gateway))
        .layer(from_fn(need_path))
        .layer(compress::pack())
        .layer(in_time())
        .layer(from_fn(explain))
        .layer(from_fn_with_state(door, access::guard))
        .layer(from_fn(survive))
        .layer(from_fn_with_state(edge, api::correlate))
        .layer(axum::middleware::map_response(harden));
    // Around the router: a layer of its own runs when it has chosen a route by the path.
    Router::new().fallback_service(app).layer(from_fn(ingress::enter))
}

impl Edge {
    fn door(&self) -> access::Door {
        access::Door { access: self.access.clone(), mesh: self.shop.mesh.clone() }
    }
}

/// What is addressed to a host of a gateway is the gateway's, whatever its path: neither the
/// dashboard nor the control API is served under such a name.
async fn to_gateway(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    if edge.door().is_for_gateway(request.headers(), request.uri()) {
        return api::forward(State(edge), request).await;
    }
    next.run(request).await
}

/// Nothing of the dashboard or the control API takes more than the longest text in a form: who asks
/// before sending more is told so; who just sends it is answered by the page. What the public API
/// takes is for the gateway to say, or for a route that leads elsewhere.
async fn refuse_large(request: Request, next: Next) -> Response {
    if is_api(request.uri().path()) || !request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    refuse_announced(State(YAML_FORM_BYTES_MAX), request, next).await
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// A `CONNECT`, and a request target in authority form with any other method (RFC 9112, section
/// 3.2.3), names no resource; what draws the pages takes it for granted that there is a path.
async fn need_path(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some() {
        return next.run(request).await;
    }
    let detail = "The request names no path; ask for /PATH, or for a whole URL.";
    Problem::new(StatusCode::BAD_REQUEST, detail).into_response()
}

/// Answers for a handler that panicked, which else would close the connection without a word. What
/// it said is on standard error.
async fn survive(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        tracing::error!("The answer to {method} {path} panicked");
        let detail = "Something went wrong here that should not; the log says what.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
    })
}

/// Answers 408 after [`REQUEST_TIMEOUT`]. A stream goes on for as long as it likes: its answer has
/// begun.
fn in_time() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT)
}

fn own_routes() -> Router<Edge> {
    Router::new()
        .route("/ui/live", get(stream::live))
        .route("/metrics", get(api::metrics))
        .route("/traces/{id}/jaeger.json", get(api::jaeger))
        .route("/orders/new", post(forms::place))
        .route("/orders/{id}/cancel", post(forms::cancel))
        .route("/orders/{id}/ship", post(forms::ship))
        .route("/orders/{id}/redrive", post(forms::redrive))
        .route("/load", post(forms::load))
        .route("/pkg/{*file}", get(assets::pkg))
        .route("/fonts/{file}", get(assets::font))
        .route("/favicon.svg", get(assets::favicon))
        .route("/api", any(api::forward))
        .route("/api/", any(api::forward))
        .route("/api/{*path}", any(api::forward))
        .route("/health", get(api::forward))
        .route("/readyz", get(api::forward))
        // Whether this process lives is not for a fault or an instance of the mesh to say.
        .route("/livez", get(async || {}))
        .route("/openapi.json", get(shop::gateway::document))
}

/// Serves until the edge's `stop` fires and what was under way has ended or was cut.
pub async fn serve(listener: TcpListener, edge: Edge) {
    let (refused, stop) = (edge.refused.clone(), edge.stop.clone());
    connections::serve(listener, router(edge), Limits::default(), refused, stop).await;
}

/// Headers of every answer. Pages bring their own, wider content security policy. On an answer that
/// came through the mesh a route has the last word.
async fn harden(mut response: Response) -> Response {
    let is_own = response.extensions().get::<api::Brought>().is_none();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        let value = HeaderValue::from_static(value);
        if is_own {
            response.headers_mut().insert(name, value);
        } else {
            api::add(&mut response, name, value);
        }
    }
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    api::add(&mut response, header::CONTENT_SECURITY_POLICY, policy);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, Bytes};
    use futures::{StreamExt as _, stream};
    use tower::ServiceExt as _;

    /// A byte every half minute, for ever.
    fn trickle() -> Body {
        let byte = |()| async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        };
        Body::from_stream(stream::unfold((), byte).boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_answered_in_time_with_the_reason() {
        let form = Router::new().route("/form", post(async |_: Bytes| ()));
        let app = form.layer(in_time()).layer(from_fn(explain));
        let request = http::Request::post("/form").body(trickle()).unwrap();
        let began = tokio::time::Instant::now();
        let answer = app.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed(), REQUEST_TIMEOUT);
        let said = axum::body::to_bytes(answer.into_body(), 1_024).await.unwrap();
        assert!(String::from_utf8_lossy(&said).contains("not whole"), "{said:?}");
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_for() {
        let panics = async |_: Request| -> Response { panic!("on purpose") };
        let app = Router::new().fallback(panics).layer(from_fn(survive));
        let answer = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let said = axum::body::to_bytes(answer.into_body(), 1_024).await.unwrap();
        assert!(!String::from_utf8_lossy(&said).contains("on purpose"), "{said:?}");
    }
}
