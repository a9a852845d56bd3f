//! The span processor: every ended span goes to the hub, and to the export if there is one.

use crate::{
    ended,
    export::ExportQueue,
    hub::{Hub, Item},
    names, scope,
    store::record::REDACTED,
    symbols::Symbols,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use std::{sync::Arc, time::Duration};

/// See the module.
#[derive(Debug)]
pub(crate) struct Processor {
    hub: Arc<Hub>,
    export: Option<ExportQueue>,
}

impl Processor {
    pub(crate) fn new(hub: Arc<Hub>, export: Option<ExportQueue>) -> Self {
        Self { hub, export }
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        let inherited = scope::take_ending();
        let symbols = &self.hub.symbols;
        let ended = scope::with_packer(|packer| ended::read(&span, inherited, symbols, packer));
        let service = ended.facts.service;
        self.hub.take(Item::Span(ended));
        if let Some(export) = &self.export {
            tidy(&mut span, symbols);
            export.offer(service, span);
        }
    }

    // Nothing is cached here: the export has its own flush, which does not block a runtime.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Makes what leaves the process the same as what the pages show: one value per key, no secrets,
/// and the service where it belongs, which is the resource.
fn tidy(span: &mut SpanData, symbols: &Symbols) {
    let attributes = &mut span.attributes;
    attributes.retain(|attribute| attribute.key.as_str() != names::SERVICE_NAME);
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
    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId, SpanKind, Status},
    };
    use std::time::SystemTime;

    #[test]
    fn what_leaves_has_one_value_per_key_and_no_secret() {
        let mut span = SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: vec![
                KeyValue::new(names::SERVICE_NAME, "orders"),
                KeyValue::new("attempt", 1),
                KeyValue::new("user.password", "hunter2"),
                KeyValue::new("attempt", 2),
            ],
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        };
        tidy(&mut span, &Symbols::new());
        assert_eq!(
            span.attributes,
            [KeyValue::new("user.password", REDACTED), KeyValue::new("attempt", 2),]
        );
    }
}
