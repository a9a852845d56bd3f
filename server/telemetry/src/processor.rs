//! The span processor: every ended span goes to the hub, and to the export if there is one.

use crate::{
    aside::Aside,
    ended,
    export::ExportQueue,
    hub::{Hub, Item},
    names,
    sampling::{self, Fate},
    scope,
    store::record::REDACTED,
    symbols::Symbols,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// Spans of traces that are left out, held for the collector. Larger than those held for the pages
/// and needed less: a trace becomes evidence within seconds or never, and these are the spans of
/// ten seconds of a gentle shop, 5 MB.
const HELD_MAX: usize = 2_048;

/// See the module.
#[derive(Debug)]
pub(crate) struct Processor {
    hub: Arc<Hub>,
    export: Option<Exporting>,
}

/// The export, and what it may yet be given.
#[derive(Debug)]
struct Exporting {
    queue: ExportQueue,
    held: Mutex<Aside<(u16, SpanData)>>,
}

impl Processor {
    pub(crate) fn new(hub: Arc<Hub>, export: Option<ExportQueue>) -> Self {
        let exporting = |queue| Exporting { queue, held: Mutex::new(Aside::of(HELD_MAX)) };
        Self { hub, export: export.map(exporting) }
    }

    /// A trace that sampling left out is kept from now on; the collector gets what ended of it.
    fn keep(&self, trace: u128) {
        if !self.hub.keep(trace) {
            return;
        }
        let Some(export) = &self.export else { return };
        let held = export.held.lock().give(trace);
        held.into_iter().for_each(|(service, span)| self.export(service, span));
    }

    /// A span of a trace that is left out, unless that has become evidence since it ended.
    fn hold(&self, trace: u128, service: u16, span: SpanData) {
        let Some(export) = &self.export else { return };
        {
            // Whoever makes it evidence says so before they look for what is held.
            let mut held = export.held.lock();
            if !self.hub.keeps(trace) {
                return held.hold(trace, (service, span));
            }
        }
        self.export(service, span);
    }

    fn export(&self, service: u16, mut span: SpanData) {
        if let Some(export) = &self.export {
            tidy(&mut span, &self.hub.symbols);
            export.queue.offer(service, span);
        }
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        restore_integers(&mut span, &self.hub.symbols);
        let inherited = scope::take_ending();
        if let Some(faults) = inherited.as_ref().and_then(|inherited| inherited.faults.as_deref()) {
            add_faults(&mut span, faults);
        }
        let reported = inherited.as_ref().is_none_or(|inherited| inherited.reported);
        let inherited = inherited.map(|inherited| inherited.service);
        name_method(&mut span);
        move_ends(&mut span);
        let (fate, mut keep) = sampling::judge(&mut span, reported);
        let is_fault = |a: &KeyValue| a.key.as_str() == names::FAULT_ID;
        let met_fault = span.attributes.iter().any(is_fault);
        let symbols = &self.hub.symbols;
        let ended = scope::with_packer(|packer| ended::read(&span, inherited, symbols, packer));
        let service = ended.facts.service;
        let trace = ended.trace;
        keep = keep.or_else(|| met_fault.then_some(trace));
        if let Some(evidence) = keep.filter(|kept| fate == Fate::LeftOut || *kept != trace) {
            self.keep(evidence);
        }
        match fate {
            Fate::Silent => return self.hub.take(Item::Counted(ended.facts, ended.changes)),
            Fate::LeftOut if !self.hub.keeps(trace) => {
                self.hub.take(Item::LeftOut(ended));
                return self.hold(trace, service, span);
            }
            Fate::LeftOut | Fate::Kept => {}
        }
        self.hub.take(Item::Span(ended));
        self.export(service, span);
    }

    // Nothing is cached here: the export has its own flush, which does not block a runtime.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Integers that `tracing` handed on as their digits are integers again: collectors keep them by
/// type, and a search for statuses from 500 on finds no texts.
fn restore_integers(span: &mut SpanData, symbols: &Symbols) {
    let of_events = span.events.events.iter_mut().flat_map(|event| &mut event.attributes);
    for KeyValue { key, value, .. } in span.attributes.iter_mut().chain(of_events) {
        let Value::String(text) = &*value else { continue };
        if let Some(number) = digits(text.as_str())
            && symbols.words.is_integer(key.as_str())
        {
            *value = Value::I64(number);
        }
    }
}

/// The number whose digits, as Rust writes them, are this text. OpenTelemetry has no larger ones.
fn digits(text: &str) -> Option<i64> {
    let written = matches!(text.as_bytes(), [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    written.then(|| text.parse().ok()).flatten()
}

/// The span tells of every fault that led to it, its own first.
fn add_faults(span: &mut SpanData, carried: &str) {
    let mut own = span.attributes.iter_mut().rev();
    let Some(own) = own.find(|attribute| attribute.key.as_str() == names::FAULT_ID) else {
        span.attributes.push(KeyValue::new(names::FAULT_ID, carried.to_owned()));
        return;
    };
    let mut ids = own.value.as_str().into_owned();
    for id in carried.split(',') {
        if ids.split(',').all(|known| known != id) {
            ids.push(',');
            ids.push_str(id);
        }
    }
    own.value = ids.into();
}

/// A span that was made when what it tells of was over began as long ago as it says, and one that
/// others held on to ended as long after its beginning as it says.
fn move_ends(span: &mut SpanData) {
    if let Some(took) = take_duration(span, base::TOOK_US) {
        span.start_time = span.end_time.checked_sub(took).unwrap_or(span.start_time);
    }
    if let Some(lasted) = take_duration(span, base::LASTED_US) {
        let end = span.start_time.checked_add(lasted).unwrap_or(span.end_time);
        // What runs by another clock, as tests do, ends no later than it was told to.
        span.end_time = span.end_time.min(end);
    }
}

/// A number of microseconds that is for this process alone.
fn take_duration(span: &mut SpanData, key: &str) -> Option<Duration> {
    let at = span.attributes.iter().position(|attribute| attribute.key.as_str() == key)?;
    let us = ended::integer(&span.attributes.remove(at).value)?;
    Some(Duration::from_micros(us.max(0).unsigned_abs()))
}

/// The methods there are: RFC 9110 and PATCH (RFC 5789).
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// Any other method (semantic conventions).
const METHOD_OTHER: &str = "_OTHER";

/// A client may invent methods without end. As labels and names they would be as many series, so
/// they become one, as the semantic conventions for HTTP say, and the original an attribute.
fn name_method(span: &mut SpanData) {
    let mut attributes = span.attributes.iter_mut().rev();
    let Some(method) = attributes.find(|a| a.key.as_str() == names::HTTP_METHOD) else {
        return;
    };
    if METHODS.contains(&&*method.value.as_str()) {
        return;
    }
    let original = std::mem::replace(&mut method.value, METHOD_OTHER.into());
    let rest = span.name.strip_prefix(&*original.as_str()).map(|rest| format!("HTTP{rest}"));
    if let Some(name) = rest {
        span.name = name.into();
    }
    span.attributes.push(KeyValue::new(names::HTTP_METHOD_ORIGINAL, original));
}

/// Makes what leaves the process the same as what the pages show: one value per key, no secrets,
/// and the service where it belongs, which is the resource.
fn tidy(span: &mut SpanData, symbols: &Symbols) {
    let attributes = &mut span.attributes;
    // The service is the resource; the others are for this process alone.
    let inner = [names::SERVICE_NAME, base::METRIC_COUNT, base::METRIC_DURATION];
    attributes.retain(|attribute| !inner.contains(&attribute.key.as_str()));
    let repeats = |at: usize, all: &[KeyValue]| all[at + 1..].iter().any(|a| a.key == all[at].key);
    let mut at = 0;
    while at < attributes.len() {
        if repeats(at, attributes) {
            attributes.remove(at);
        } else {
            at += 1;
        }
    }
    redact(attributes, symbols);
    for event in &mut span.events.events {
        redact(&mut event.attributes, symbols);
    }
}

fn redact(attributes: &mut [KeyValue], symbols: &Symbols) {
    for attribute in attributes {
        if symbols.words.key(attribute.key.as_str()).1 {
            attribute.value = Value::from(REDACTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreLimits;
    use opentelemetry::{
        InstrumentationScope, TraceFlags,
        trace::{SpanContext, SpanId, SpanKind, Status, TraceId, TraceState},
    };
    use std::time::SystemTime;

    fn span(name: &'static str, attributes: Vec<KeyValue>) -> SpanData {
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    /// A span of a trace that is left out.
    fn left_out(name: &'static str, trace: u128, attributes: Vec<KeyValue>) -> SpanData {
        let mut span = span(name, attributes);
        let state = TraceState::from_key_value([(sampling::TRACE_STATE_MEMBER, "unsampled")]);
        let (id, flags) = (SpanId::from(1), TraceFlags::SAMPLED);
        span.span_context =
            SpanContext::new(TraceId::from(trace), id, flags, false, state.unwrap());
        span
    }

    #[test]
    fn the_collector_gets_a_trace_that_becomes_evidence_from_its_first_span_on() {
        let (queue, mut sent) = ExportQueue::for_tests(10);
        let processor = Processor::new(Arc::new(Hub::new(StoreLimits::default(), 0)), Some(queue));
        processor.on_end(left_out("first", 1, Vec::new()));
        processor.on_end(left_out("another's", 2, Vec::new()));
        assert_eq!(sent(), [""; 0], "sampling leaves them out");
        let fault = KeyValue::new(names::FAULT_ID, "F-1");
        processor.on_end(left_out("hit", 1, vec![fault]));
        assert_eq!(sent(), ["first", "hit"]);
        processor.on_end(left_out("last", 1, Vec::new()));
        assert_eq!(sent(), ["last"]);
    }

    #[test]
    fn a_span_made_afterwards_begins_where_what_it_tells_of_began() {
        let mut span = span("try", vec![KeyValue::new(base::TOOK_US, 2_500_000)]);
        span.end_time = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        span.start_time = span.end_time;
        move_ends(&mut span);
        assert_eq!(span.start_time, SystemTime::UNIX_EPOCH + Duration::from_millis(7_500));
        assert!(span.attributes.is_empty());
    }

    #[test]
    fn a_span_that_others_hold_on_to_ends_when_what_it_tells_of_was_over() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let ended = |lasted_us| {
            let mut span = span("db", vec![KeyValue::new(base::LASTED_US, lasted_us)]);
            (span.start_time, span.end_time) = (start, start + Duration::from_micros(900));
            move_ends(&mut span);
            assert!(span.attributes.is_empty());
            span.end_time.duration_since(start).unwrap()
        };
        assert_eq!(ended(800), Duration::from_micros(800));
        assert_eq!(ended(60_000_000), Duration::from_micros(900), "never later than it was let go");
    }

    #[test]
    fn digits_are_a_number_where_the_code_records_numbers() {
        let symbols = Symbols::new();
        symbols.words.note_integer("port");
        let texts = ["80", "0", "-1", "007", "+5", "http", "", "18446744073709551615"];
        for (text, number) in
            texts.into_iter().zip([Some(80), Some(0), Some(-1)].into_iter().chain([None; 5]))
        {
            let attributes = ["port", "name"].map(|key| KeyValue::new(key, text));
            let mut span = span("call", attributes.to_vec());
            restore_integers(&mut span, &symbols);
            let expected = number.map_or_else(|| Value::from(text), Value::I64);
            assert_eq!(span.attributes[0].value, expected, "{text}");
            assert_eq!(span.attributes[1].value, Value::from(text), "a name may look like one");
        }
    }

    #[test]
    fn a_method_that_a_client_invents_is_the_other_method() {
        let method = |method: &'static str| KeyValue::new(names::HTTP_METHOD, method);
        for (invented, name, expected) in [
            ("BREW", "BREW /products", "HTTP /products"),
            ("BREW", "BREW", "HTTP"),
            ("get", "get /products", "HTTP /products"),
            ("BREW", "serve", "serve"),
        ] {
            let mut span = span(name, vec![method(invented)]);
            name_method(&mut span);
            assert_eq!(span.name, expected);
            let original = KeyValue::new(names::HTTP_METHOD_ORIGINAL, invented);
            assert_eq!(span.attributes, [method("_OTHER"), original]);
        }
        let mut known = span("PATCH /products", vec![method("PATCH")]);
        name_method(&mut known);
        assert_eq!((&*known.name, known.attributes), ("PATCH /products", vec![method("PATCH")]));
    }

    #[test]
    fn what_leaves_has_one_value_per_key_and_no_secret() {
        let attributes = vec![
            KeyValue::new(names::SERVICE_NAME, "orders"),
            KeyValue::new("attempt", 1),
            KeyValue::new("user.password", "hunter2"),
            KeyValue::new("attempt", 2),
        ];
        let mut span = span("span", attributes);
        tidy(&mut span, &Symbols::new());
        assert_eq!(
            span.attributes,
            [KeyValue::new("user.password", REDACTED), KeyValue::new("attempt", 2),]
        );
    }
}
