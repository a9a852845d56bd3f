//! Shows the dashboard without the shop: the design's reference scenario on a local address.
//!
//! Needs the built site: `LEPTOS_SITE_ROOT="$(scripts/build-site)" cargo run -p app --features ssr
//! --release --example preview`. With the argument `empty` the shop has not been used yet.
#![expect(clippy::print_stdout, reason = "prints its address")]

#[path = "../tests/fake/mod.rs"]
mod fake;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Sse, sse::Event},
    routing::get,
};
use contract::live::{LiveBody, LiveFrame, LiveSnapshot};
use fake::scenario;
use futures::{Stream, StreamExt, stream};
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, generate_route_list};
use std::{convert::Infallible, error::Error, time::Duration};

const ADDRESS: &str = "127.0.0.1:3100";

/// What the stream brings: the snapshot, then the next second of the charts and the same map.
fn frames(snapshot: LiveSnapshot) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = LiveFrame {
        seq: snapshot.seq,
        at_us: snapshot.at_us,
        body: LiveBody::Snapshot(Box::new(snapshot.clone())),
    };
    let quiet = snapshot.red.is_empty();
    let more = stream::iter(1_u64..).then(move |second| {
        let map = snapshot.map.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let at_us = scenario::NOW_US + second.cast_signed() * 500_000;
            let body = match second % 2 {
                0 if !quiet => LiveBody::Red(scenario::point(-(second / 2).cast_signed())),
                _ => LiveBody::Map(map),
            };
            LiveFrame { seq: 41 + second, at_us, body }
        }
    });
    stream::iter([first]).chain(more).map(|frame| {
        let json = serde_json::to_string(&frame).unwrap_or_default();
        Ok(Event::default().data(json))
    })
}

async fn file(root: String, path: String) -> impl IntoResponse {
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    };
    match std::fs::read(format!("{root}/{path}")) {
        Ok(bytes) if !path.contains("..") => {
            ([(header::CONTENT_TYPE, kind)], Body::from(bytes)).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let empty = std::env::args().any(|word| word == "empty");
    let snapshot = if empty { scenario::empty() } else { scenario::snapshot() };
    let host = fake::host(snapshot.clone());
    let options = LeptosOptions::builder()
        .output_name("vitrine")
        .site_pkg_dir("pkg")
        .site_root(std::env::var("LEPTOS_SITE_ROOT").unwrap_or_else(|_| "target/site".into()))
        .build();
    let root = options.site_root.to_string();
    let under = |folder: &'static str| {
        let root = root.clone();
        get(move |Path(path): Path<String>| file(root, format!("{folder}/{path}")))
    };
    let shell_options = options.clone();
    let context = host.clone();
    let favicon = root.clone();
    let routes = generate_route_list(app::App);
    let router = Router::new()
        .route("/pkg/{*path}", under("pkg"))
        .route("/fonts/{*path}", under("fonts"))
        .route("/favicon.svg", get(move || file(favicon, "favicon.svg".into())))
        .route("/ui/live", get(move || async move { Sse::new(frames(snapshot)) }))
        .leptos_routes_with_context(
            &options,
            routes,
            move || provide_context(context.clone()),
            move || app::shell(shell_options.clone()),
        )
        .route(
            "/ui/{*function}",
            axum::routing::post(move |request| {
                let host = host.clone();
                leptos_axum::handle_server_fns_with_context(
                    move || provide_context(host.clone()),
                    request,
                )
            }),
        )
        .with_state(options);
    let listener = tokio::net::TcpListener::bind(ADDRESS).await?;
    println!("http://{ADDRESS}");
    axum::serve(listener, router).await?;
    Ok(())
}
