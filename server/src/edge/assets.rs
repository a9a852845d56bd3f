//! Files that are inside the program, compressed when it was built.
//!
//! With `LEPTOS_SITE_ROOT` they are read from that folder at each request instead: for those who
//! change them, so that a new style needs no new program. Under `cargo leptos watch`, which says so
//! with `LEPTOS_WATCH`, their addresses are the ones its own files have, and a page listens to it.

use super::compress::{self, takes};
use axum::{
    body::{Body, Bytes},
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use leptos::config::LeptosOptions;
use sha2::{Digest, Sha256};
use std::{
    io::Read,
    path::{Component, Path as FilePath, PathBuf},
    sync::{LazyLock, OnceLock},
};

/// Name and brotli-compressed content of every file. Browsers take brotli over https and from this
/// machine alone; others get [`gzipped`].
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The folder that files are read from instead; `cargo leptos` sets it too.
static SITE_ROOT: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = std::env::var_os("LEPTOS_SITE_ROOT").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
});

/// Where `cargo leptos watch`, if it runs this program, tells open pages that something changed.
static RELOAD_PORT: LazyLock<Option<u16>> = LazyLock::new(|| {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("LEPTOS_WATCH")?;
    variable("LEPTOS_RELOAD_PORT").and_then(|port| port.parse().ok()).or(Some(RELOAD_PORT_USUAL))
});

/// Leptos' own default.
const RELOAD_PORT_USUAL: u16 = 3001;

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

/// The port of `cargo leptos watch`, if it runs this program.
pub(super) fn reload_port() -> Option<u16> {
    *RELOAD_PORT
}

/// Where the pages look for their files.
pub(super) fn leptos_options() -> LeptosOptions {
    let options = LeptosOptions::builder().output_name("vitrine");
    match reload_port() {
        Some(port) => options.site_pkg_dir("pkg").reload_port(port.into()).build(),
        None => options.site_pkg_dir(format!("pkg/{}", *VERSION)).build(),
    }
}

/// A file of the browser's part: `/pkg/VERSION/NAME`, and `/pkg/NAME` while it is being changed.
pub(super) async fn pkg(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let name = match path.split_once('/') {
        _ if reload_port().is_some() => path.as_str(),
        Some((version, name)) if version == *VERSION => name,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // Leptos names the wasm as wasm-bindgen does; the site folder without the suffix.
    let name = name.replace("_bg.wasm", ".wasm");
    file(&format!("pkg/{name}"), &headers, FOREVER).await
}

/// A font.
pub(super) async fn font(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("fonts/{name}"), &headers, A_DAY).await
}

/// The icon.
pub(super) async fn favicon(headers: HeaderMap) -> Response {
    file("favicon.svg", &headers, A_DAY).await
}

fn find(name: &str) -> Option<usize> {
    FILES.iter().position(|(known, _)| *known == name)
}

/// A file of the site folder. Small and read by one developer: no need for another thread.
fn read(folder: &FilePath, name: &str) -> Option<Vec<u8>> {
    let name = FilePath::new(name);
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| std::fs::read(folder.join(name)).ok()).flatten()
}

async fn file(name: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let Some(folder) = site_root() else { return built_in(name, headers, keep).await };
    let Some(content) = read(folder, name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    told(Body::from(content), name, NOT_AT_ALL)
}

async fn built_in(name: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let Some(at) = find(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let brotli = FILES[at].1;
    let (body, coding) = if takes(headers, "br") {
        (Body::from(brotli), Some("br"))
    } else if takes(headers, "gzip") {
        // The first time it takes a tenth of a second, which is not for who serves everybody.
        let packed = tokio::task::spawn_blocking(move || gzipped(at)).await.unwrap_or_default();
        (Body::from(packed), Some("gzip"))
    } else {
        (Body::from(unpack(brotli)), None)
    };
    let mut response = told(body, name, keep);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// A file packed with gzip: made when somebody first asks for it so, and kept.
fn gzipped(at: usize) -> Bytes {
    static PACKED: LazyLock<Vec<OnceLock<Bytes>>> =
        LazyLock::new(|| FILES.iter().map(|_| OnceLock::new()).collect());
    // Packing into memory cannot fail.
    let packed = || compress::gzip(&unpack(FILES[at].1)).unwrap_or_default().into();
    PACKED[at].get_or_init(packed).clone()
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
