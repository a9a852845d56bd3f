//! A word in a log filter that nobody can have meant. `EnvFilter` takes every word for a target, so
//! that a level with a typo would silence everything.

/// What a filter is written with, and the crates that are most asked about. A path (`hyper::proto`)
/// or a target with a level (`reqwest=debug`) says by its form what it is, whichever crate it is
/// of.
const KNOWN: [&str; 36] = [
    "off",
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "vitrine",
    "app",
    "base",
    "contract",
    "event_sourcing",
    "istio",
    "mesh",
    "messaging",
    "saga",
    "server",
    "shop",
    "storage",
    "telemetry",
    "two_phase_commit",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "leptos",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "sqlx",
    "tokio",
    "tonic",
    "tower",
    "tower_http",
    "tracing",
];

/// The first bare word that is neither a level nor a known crate.
pub(super) fn unknown_word(filter: &str) -> Option<&str> {
    let words = filter.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut bare = words.filter(|word| word.chars().all(|c| c.is_alphanumeric() || c == '_'));
    bare.find(|word| {
        let level = word.len() == 1 && word.bytes().all(|byte| (b'0'..=b'5').contains(&byte));
        let lower = word.to_ascii_lowercase();
        !level && !KNOWN.contains(&lower.as_str())
    })
}
