//! gateway: the public face, `/api/v1` (and `/api`, which is always the newest version).
//!
//! Checks the form of what comes in, asks the services behind, and answers in the API's shapes.
//! It keeps nothing.
//!
//! Version 2 also says in `Server-Timing` how long each service behind it took for the answer.

mod browse;
mod health;
mod openapi;
mod orders;
pub(crate) mod schema;
mod timing;

pub use health::{Health, HealthState, ServiceHealth};
pub use openapi::document;

use crate::{
    input::BODY_BYTES_MAX,
    problem::{Problem, explain, refuse_announced},
};
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base::{IdSource, TraceContext};
use http::{HeaderName, HeaderValue, StatusCode};
use mesh::{CORRELATION_ID, CallContext, Caller, Mesh};

/// What every handler works with.
#[derive(Clone)]
struct Gateway {
    caller: Caller,
    /// For the health of the whole: the breakers of everybody.
    mesh: Mesh,
    ids: IdSource,
}

/// Version 2 of the service.
pub fn router_v2(caller: Caller, mesh: Mesh, ids: IdSource) -> Router {
    router(caller, mesh, ids).layer(from_fn(timing::tell))
}

/// Version 1 of the service.
pub fn router(caller: Caller, mesh: Mesh, ids: IdSource) -> Router {
    let gateway = Gateway { caller, mesh, ids };
    let root = Router::new()
        .route("/health", get(health::health))
        .route("/readyz", get(health::ready))
        .route("/livez", get(|| async {}))
        .route("/openapi.json", get(openapi::document));
    root.nest("/api/v1", api())
        .nest("/api", api())
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn(explain))
        .layer(from_fn_with_state(BODY_BYTES_MAX, refuse_announced))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(gateway.clone(), correlate))
        .with_state(gateway)
}

fn api() -> Router<Gateway> {
    Router::new()
        .route("/products", get(browse::products))
        .route("/products/{id}", get(browse::product))
        .route("/users", get(browse::users))
        .route("/users/{id}", get(browse::user))
        .route("/orders", get(orders::list).post(orders::place))
        .route("/orders/{id}", get(orders::one))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/orders/{id}/ship", post(orders::ship))
        .route("/orders/{id}/redrive", post(orders::redrive))
        .route("/health", get(health::health))
        .route("/openapi.json", get(openapi::document))
}

/// The span that answered, in the form of `traceparent` (proposed for W3C Trace Context).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Takes or makes `X-Correlation-ID`, hands it on, and returns it, with the trace to look at.
async fn correlate(
    axum::extract::State(gateway): axum::extract::State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut context = CallContext::from_headers(request.headers());
    let id = context.correlation_id.take().unwrap_or_else(|| gateway.ids.uuid().to_string());
    tracing::Span::current().record(contract::attributes::CORRELATION_ID, id.as_str());
    let value = HeaderValue::from_str(&id).ok();
    if let Some(value) = value.clone() {
        request.headers_mut().insert(CORRELATION_ID, value);
    }
    context.correlation_id = Some(id);
    request.extensions_mut().insert(context);
    let mut response = next.run(request).await;
    let traced = TraceContext::current().traceparent.and_then(|parent| parent.try_into().ok());
    for (name, value) in [(CORRELATION_ID, value), (TRACERESPONSE, traced)] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn unknown(request: Request) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("There is nothing at {}.", request.uri().path()))
}

async fn not_allowed(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}."))
}

/// The context of a request, as [`correlate`] left it.
type Context = Extension<CallContext>;

/// An answer or a problem.
type Answer = Result<Response, Problem>;

fn ok<T: serde::Serialize>(body: &T) -> Response {
    axum::Json(body).into_response()
}
