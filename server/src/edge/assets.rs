//! Files that are inside the program, compressed when it was built.
//!
//! With `LEPTOS_SITE_ROOT` they are read from that folder at each request instead: for those who
//! change them, so that a new style needs no new program.

use axum::{
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use leptos::config::LeptosOptions;
use sha2::{Digest, Sha256};
use std::{
    io::Read,
    path::{Component, Path as FilePath, PathBuf},
    sync::LazyLock,
};

/// Name and brotli-compressed content of every file.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The folder that files are read from instead; `cargo leptos` sets it too.
static SITE_ROOT: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = std::env::var_os("LEPTOS_SITE_ROOT").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
});

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
/// For files that are being changed.
const NOT_AT_ALL: &str = "no-store";
/// For files whose address stays.
const A_DAY: &str = "public, max-age=86400";

/// Whether the program was built with the browser's part.
#[must_use]
pub fn has_assets() -> bool {
    match site_root() {
        Some(folder) => read(folder, "pkg/vitrine.wasm").is_some(),
        None => find("pkg/vitrine.wasm").is_some(),
    }
}

/// Where files are read from, if they are not those inside the program.
#[must_use]
pub fn site_root() -> Option<&'static FilePath> {
    SITE_ROOT.as_deref()
}

/// Identifies the browser's files of this program: those of another one are not served.
#[must_use]
pub fn build() -> &'static str {
    &VERSION
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

/// A file of the site folder. Small and read by one developer: no need for another thread.
fn read(folder: &FilePath, name: &str) -> Option<Vec<u8>> {
    let name = FilePath::new(name);
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| std::fs::read(folder.join(name)).ok()).flatten()
}

fn file(name: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let Some(folder) = site_root() else { return built_in(name, headers, keep) };
    let Some(content) = read(folder, name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    told(Body::from(content), name, NOT_AT_ALL)
}

fn built_in(name: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let Some(packed) = find(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_brotli = accepted.is_some_and(|value| {
        value.split(',').any(|coding| coding.trim().split(';').next() == Some("br"))
    });
    let body = if takes_brotli { Body::from(packed) } else { Body::from(unpack(packed)) };
    let mut response = told(body, name, keep);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if takes_brotli {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

fn told(body: Body, name: &str, keep: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

fn unpack(packed: &'static [u8]) -> Vec<u8> {
    let mut content = Vec::new();
    // Compressed by the build of this program: it cannot be malformed.
    let _ = brotli_decompressor::Decompressor::new(packed, 4_096).read_to_end(&mut content);
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
