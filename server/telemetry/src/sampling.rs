//! Which traces are recorded: what the first span of a trace says holds for all of it.
//!
//! A trace that is left out goes on as spans, because the map and the metrics are counted from all
//! of them; its `tracestate` says everywhere that none is to be kept or exported, unless something
//! that happens in it is evidence (`aside`). A caller that
//! marks its trace unsampled (W3C Trace Context, section 3.2.2.5) is only looking, and makes none.

use base::trace_context::{KEEP, NOT_SAMPLED};
use opentelemetry::{
    Context, KeyValue, TraceId, Value,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample, SpanData};

/// Our member of `tracestate`. It says within the shop that a trace is left out; nobody outside may
/// say it.
pub const TRACE_STATE_MEMBER: &str = "vitrine";
/// Its value in a trace that is left out.
const LEFT_OUT: &str = "unsampled";

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct FirstSpanDecides;

impl ShouldSample for FirstSpanDecides {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.filter(|parent| parent.has_active_span());
        let parent = parent.map(|parent| parent.span().span_context().clone());
        let parent = parent.filter(SpanContext::is_valid);
        let decision = match &parent {
            Some(parent) if !parent.is_sampled() => SamplingDecision::Drop,
            _ => SamplingDecision::RecordAndSample,
        };
        let trace_state = match parent {
            Some(parent) => parent.trace_state().clone(),
            None if is_marked(attributes, NOT_SAMPLED) => {
                TraceState::from_key_value([(TRACE_STATE_MEMBER, LEFT_OUT)]).unwrap_or_default()
            }
            None => TraceState::default(),
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

fn is_marked(attributes: &[KeyValue], key: &str) -> bool {
    attributes.iter().any(|a| a.key.as_str() == key && a.value == Value::Bool(true))
}

/// What becomes of a span that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is kept and exported.
    Kept,
    /// Its trace is left out, unless that is evidence.
    LeftOut,
    /// It is only counted.
    Silent,
}

/// Judges a span that has ended, and takes its marks away. Also gives the trace that it says is to
/// be kept, if it says so. Whether it is reported, the spans around it say too.
pub(crate) fn judge(span: &mut SpanData, reported: bool) -> (Fate, Option<u128>) {
    let left_out = span.span_context.trace_state().get(TRACE_STATE_MEMBER) == Some(LEFT_OUT);
    let named = span.attributes.iter().find(|a| a.key.as_str() == KEEP);
    let keep = named.and_then(|a| u128::from_str_radix(&a.value.as_str(), 16).ok());
    span.attributes.retain(|a| ![KEEP, NOT_SAMPLED].contains(&a.key.as_str()));
    let fate = match (reported, left_out) {
        (false, _) => Fate::Silent,
        (true, true) => Fate::LeftOut,
        (true, false) => Fate::Kept,
    };
    (fate, keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags};

    fn decide(parent: Option<&Context>, attributes: &[KeyValue]) -> SamplingResult {
        let id = TraceId::from(1);
        FirstSpanDecides.should_sample(parent, id, "", &SpanKind::Server, attributes, &[])
    }

    fn child_of(flags: TraceFlags, state: TraceState) -> Context {
        let parent = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, state);
        Context::new().with_remote_span_context(parent)
    }

    #[test]
    fn what_the_first_span_says_holds_for_those_below_it() {
        let marked = [KeyValue::new(NOT_SAMPLED, true)];
        let first = decide(None, &marked);
        assert_eq!(first.trace_state.get(TRACE_STATE_MEMBER), Some(LEFT_OUT));
        let child = decide(Some(&child_of(TraceFlags::SAMPLED, first.trace_state)), &[]);
        assert_eq!(child.trace_state.get(TRACE_STATE_MEMBER), Some(LEFT_OUT));
        assert_eq!(child.decision, SamplingDecision::RecordAndSample, "it is counted");
        assert_eq!(decide(None, &[]).trace_state, TraceState::default());
        // A span in the middle of a trace that is recorded cannot leave it out.
        let recorded = child_of(TraceFlags::SAMPLED, TraceState::default());
        assert_eq!(decide(Some(&recorded), &marked).trace_state, TraceState::default());
    }

    #[test]
    fn a_trace_that_a_caller_marked_unsampled_is_not_recorded_at_all() {
        let looking = child_of(TraceFlags::default(), TraceState::default());
        assert_eq!(decide(Some(&looking), &[]).decision, SamplingDecision::Drop);
    }
}
