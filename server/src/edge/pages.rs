//! The dashboard's pages, with the host as their context.

use super::{Edge, YAML_FORM_BYTES_MAX, assets, ui};
use app::{App, pages::StatusLine, shell};
use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    middleware::from_fn,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use contract::traffic::PostedApply;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use leptos::{config::LeptosOptions, nonce::use_nonce, prelude::*};
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list};
use std::sync::Arc;

pub(super) fn routes(edge: &Edge, options: &LeptosOptions) -> Router<LeptosOptions> {
    let host = edge.host.clone();
    let context = move || {
        provide_context(host.clone());
        provide_status();
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
        .leptos_routes_with_context(options, generate_route_list(App), context, {
            let options = options.clone();
            move || shell(options.clone())
        })
        .fallback(move |State(options): State<LeptosOptions>, request: Request<Body>| {
            unknown(options, for_unknown.clone(), request)
        })
        .layer(from_fn(ui::tell))
        // What reads the arguments has no smaller bound than what has read them.
        .layer(DefaultBodyLimit::max(YAML_FORM_BYTES_MAX))
}

/// A page in answer to the form that was posted to its address.
pub(super) async fn posted(
    edge: &Edge,
    address: &str,
    status: StatusCode,
    posted: PostedApply,
) -> Response {
    let host = edge.host.clone();
    let context = move || {
        provide_context(host.clone());
        provide_context(posted.clone());
        provide_status();
        allow_own_scripts();
    };
    let options = assets::leptos_options();
    let render =
        leptos_axum::render_app_async_with_context(context, move || shell(options.clone()));
    let Ok(request) = Request::builder().uri(address).body(Body::empty()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = render(request).await.into_response();
    // A page that is not there keeps its own status.
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    response
}

/// The page for addresses that lead nowhere, drawn by the app.
async fn unknown(
    options: LeptosOptions,
    context: impl Fn() + Clone + Send + Sync + 'static,
    request: Request<Body>,
) -> Response {
    // Programs ask there; `explain` tells them in their terms.
    if request.uri().path().starts_with("/control") {
        return StatusCode::NOT_FOUND.into_response();
    }
    if [Method::GET, Method::HEAD].contains(request.method())
        && let Some(page) = without_slash(request.uri())
    {
        return Redirect::permanent(&page).into_response();
    }
    let page = move || shell(options.clone());
    let render = leptos_axum::render_app_async_with_context(context, page);
    let mut response = render(request).await.into_response();
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The address without the slash that somebody typed behind it; none for one without, and none for
/// a path that would be read as the name of another host.
fn without_slash(address: &Uri) -> Option<String> {
    let path = address.path().strip_suffix('/')?;
    let is_path =
        path.len() > 1 && !path.ends_with('/') && !path.contains("//") && !path.contains('\\');
    is_path.then(|| match address.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

/// Lets a page say its HTTP status: 404 for an order nobody placed.
fn provide_status() {
    if let Some(response) = use_context::<ResponseOptions>() {
        provide_context(StatusLine(Arc::new(move |code| {
            response.set_status(StatusCode::from_u16(code).unwrap_or(StatusCode::OK));
        })));
    }
}

/// The content security policy of a page: its own scripts by nonce, its own styles, fonts and
/// stream, and nothing else; under `cargo leptos watch` that one's port, too.
fn allow_own_scripts() {
    let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) else {
        return;
    };
    let reload = assets::reload_port().map(|port| format!(" ws://*:{port}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'{reload}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_the_slash_behind_it_and_never_leads_to_another_host() {
        let to = |address: &str| without_slash(&address.parse().unwrap());
        assert_eq!(to("/orders/").as_deref(), Some("/orders"));
        assert_eq!(
            to("/traffic/payments/?view=yaml").as_deref(),
            Some("/traffic/payments?view=yaml")
        );
        for stays in ["/", "/orders", "//", "//evil.example/", "/orders//", "/a//b/"] {
            assert_eq!(to(stays), None, "{stays}");
        }
    }
}
