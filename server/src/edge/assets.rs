//! Files that are inside the program, compressed when it was built.

use axum::{
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use leptos::config::LeptosOptions;
use sha2::{Digest, Sha256};
use std::{io::Read, sync::LazyLock};

/// Name and brotli-compressed content of every file.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Changes with any file: part of their address, so that each may be kept for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, content) in FILES {
        hash.update(name.as_bytes());
        hash.update(content);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// For files whose address changes with their content.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// For files whose address stays.
const A_DAY: &str = "public, max-age=86400";

/// Whether the program was built with the browser's part.
#[must_use]
pub fn has_assets() -> bool {
    find("pkg/vitrine.wasm").is_some()
}

/// Where the pages look for their files.
pub(super) fn leptos_options() -> LeptosOptions {
    LeptosOptions::builder()
        .output_name("vitrine")
        .site_pkg_dir(format!("pkg/{}", *VERSION))
        .build()
}

/// A file of the browser's part: `/pkg/VERSION/NAME`.
pub(super) async fn pkg(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match path.split_once('/') {
        Some((version, name)) if version == *VERSION => {
            // Leptos names the wasm as wasm-bindgen does; the site folder without the suffix.
            let name = name.replace("_bg.wasm", ".wasm");
            file(&format!("pkg/{name}"), &headers, FOREVER)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A font.
pub(super) async fn font(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("fonts/{name}"), &headers, A_DAY)
}

/// The icon.
pub(super) async fn favicon(headers: HeaderMap) -> Response {
    file("favicon.svg", &headers, A_DAY)
}

fn find(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, content)| *content)
}

fn file(name: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let Some(packed) = find(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_brotli = accepted.is_some_and(|value| {
        value.split(',').any(|coding| coding.trim().split(';').next() == Some("br"))
    });
    let mut response = if takes_brotli {
        Body::from(packed).into_response()
    } else {
        Body::from(unpack(packed)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if takes_brotli {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

fn unpack(packed: &'static [u8]) -> Vec<u8> {
    let mut content = Vec::new();
    // Compressed by the build of this program: it cannot be malformed.
    let _ = brotli::Decompressor::new(packed, 4_096).read_to_end(&mut content);
    content
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}
