//! The dashboard's pages and server functions, with the host as their context.

use super::Edge;
use app::{App, shell};
use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderValue, header};
use leptos::{config::LeptosOptions, nonce::use_nonce, prelude::*};
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list};

/// Largest argument of a server function, bytes.
const ARGUMENT_BYTES_MAX: usize = 64 * 1024;

pub(super) fn routes(edge: &Edge, options: &LeptosOptions) -> Router<LeptosOptions> {
    let host = edge.host.clone();
    let context = move || {
        provide_context(host.clone());
        allow_own_scripts();
    };
    let host = edge.host.clone();
    let asking = move || provide_context(host.clone());
    let for_unknown = context.clone();
    Router::new()
        .route(
            "/ui/{name}",
            post(move |request: Request| {
                leptos_axum::handle_server_fns_with_context(asking.clone(), request)
            }),
        )
        .layer(DefaultBodyLimit::max(ARGUMENT_BYTES_MAX))
        .leptos_routes_with_context(options, generate_route_list(App), context, {
            let options = options.clone();
            move || shell(options.clone())
        })
        .fallback(move |State(options): State<LeptosOptions>, request: Request<Body>| {
            unknown(options, for_unknown.clone(), request)
        })
}

/// The page for addresses that lead nowhere, drawn by the app.
async fn unknown(
    options: LeptosOptions,
    context: impl Fn() + Clone + Send + Sync + 'static,
    request: Request<Body>,
) -> Response {
    let page = move || shell(options.clone());
    let render = leptos_axum::render_app_async_with_context(context, page);
    let mut response = render(request).await.into_response();
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

/// The content security policy of a page: its own scripts by nonce, its own styles, fonts and
/// stream, and nothing else.
fn allow_own_scripts() {
    let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) else {
        return;
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
