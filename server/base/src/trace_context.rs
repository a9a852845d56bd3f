//! W3C Trace Context (Level 1, sections 3.2 and 3.3) of a span, to travel in headers and messages.
//!
//! Uses the global propagator, so what is carried is what telemetry was configured to carry.

use crate::carried;
use opentelemetry::{
    Context, Key, Value, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt,
};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Field of a span that is made when what it tells of is over: microseconds it took. Telemetry
/// moves the beginning of the span by it, for `tracing` knows no spans that began in the past.
pub const TOOK_US: &str = "vitrine.span.took_us";

/// Field of a span that others hold on to when what it tells of is over: microseconds it took.
/// Telemetry ends the span then, and not when the last of them lets go of it.
pub const LASTED_US: &str = "vitrine.span.lasted_us";

/// `true` on the first span of a trace that sampling leaves out. Telemetry puts it into
/// `tracestate` for all that follows.
pub const NOT_SAMPLED: &str = "vitrine.not_sampled";

/// The id of a trace (32 hex digits) that is kept although sampling left it out: something points
/// to it as evidence. On a span of that trace, or of another that tells of it.
pub const KEEP: &str = "vitrine.keep";

/// What a span changes about the labels of Istio's request count: a line each, `+label<tab>value`,
/// `-label`, or `!` where it is not counted. Stays in this process.
pub const METRIC_COUNT: &str = "vitrine.metric.request_count";
/// The same of Istio's request duration.
pub const METRIC_DURATION: &str = "vitrine.metric.request_duration";

/// Puts an attribute on a span that was not declared with it.
pub fn tag(span: &Span, key: impl Into<Key>, value: impl Into<Value>) {
    span.set_attribute(key, value);
}

/// Has a trace kept, whatever sampling drew for it: what is shown as evidence can be opened.
pub fn keep(span: &Span, trace_id: &str) {
    tag(span, KEEP, trace_id.to_owned());
}

/// Renames a span that may have started: what it is about was not known when it began.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// `traceparent` and `tracestate` of one span, or nothing when telemetry is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: Option<String>,
    /// Vendor data, passed on as it came.
    pub tracestate: Option<String>,
    /// W3C Baggage, passed on with the ids of faults in it.
    pub baggage: Option<String>,
}

impl TraceContext {
    /// Of the span that is current.
    #[must_use]
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// Of a span.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let mut taken = Self::default();
        let context = span.context();
        global::get_text_map_propagator(|p| p.inject_context(&context, &mut taken));
        taken.baggage = carried::of(span);
        taken
    }

    /// Makes `span` a child of the span this came from, which carries on its baggage.
    pub fn adopt(&self, span: &Span) {
        if let Some(baggage) = &self.baggage {
            carried::set(span, baggage);
        }
        if self.traceparent.is_some() {
            // Fails only when the span has already been started, which the callers rule out, or
            // when telemetry is off, when there is nothing to adopt.
            let _ = span.set_parent(self.remote());
        }
    }

    /// Links `span` to the span this came from.
    pub fn link(&self, span: &Span) {
        let remote = self.remote();
        let origin = remote.span().span_context().clone();
        if origin.is_valid() {
            span.add_link(origin);
        }
    }

    /// The trace id, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(|p| p.split('-').nth(1))
    }

    fn remote(&self) -> Context {
        global::get_text_map_propagator(|p| p.extract_with_context(&Context::new(), self))
    }
}

impl Injector for TraceContext {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = Some(value),
            "tracestate" if !value.is_empty() => self.tracestate = Some(value),
            _ => {}
        }
    }
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
