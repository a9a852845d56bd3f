//! The pipeline of a whole process. It can be installed once per process, hence its own program.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

use base::TraceContext;
use contract::trace::TraceQuery;
use std::process::Command;
use telemetry::{Telemetry, TelemetryConfig, TelemetryError};
use tracing::info_span;

/// Set in the process that is looked at from outside.
const INSIDE: &str = "VITRINE_TEST_INSIDE";
const SELF: &str = "only_what_needs_attention_is_printed_and_everything_is_kept";

fn inside() {
    let variable = |name: &str| std::env::var(name).ok();
    let config = TelemetryConfig::from_env(variable).unwrap();
    let (telemetry, _guard) = Telemetry::install(config.clone()).unwrap();
    let request = info_span!("request", service.name = "orders");
    request.in_scope(|| {
        tracing::info!(target: "shop::orders", "an order was placed");
        tracing::warn!(target: "shop::orders", "a payment was declined");
        tracing::warn!(target: "storage", "the disk is slow");
    });
    tracing::info!(target: "vitrine", "listening");
    let carried = TraceContext::of(&request);
    assert!(carried.traceparent.is_some(), "the propagators are set");
    drop(request);
    assert_eq!(telemetry.store_stats().logs, 4);
    let found = telemetry.search(&TraceQuery::default(), 0);
    assert_eq!(Some(found.rows[0].trace_id.as_str()), carried.trace_id());
    let again = Telemetry::install(config);
    assert!(matches!(again, Err(TelemetryError::AlreadyInstalled)));
}

fn printed(filter: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", SELF, "--nocapture"])
        .env(INSIDE, "1")
        .env("VITRINE_LOG", filter)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stdout));
    printed
}

#[test]
fn only_what_needs_attention_is_printed_and_everything_is_kept() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let default = printed("");
    assert!(default.contains("the disk is slow"), "{default}");
    assert!(!default.contains("a payment was declined"), "{default}");
    assert!(default.contains("listening"), "{default}");
    assert!(!default.contains("an order was placed"), "{default}");
    // A terminal that is none gets no colours.
    assert!(!default.contains('\u{1b}'), "{default:?}");
    assert!(printed("info").contains("an order was placed"));
    assert_eq!(printed("off"), "");
}
