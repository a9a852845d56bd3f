//! From an ended OpenTelemetry span to what is kept of it and what is counted from it.
//!
//! One pass over the attributes does both, so that a span costs as little as possible on the thread
//! that ends it.

use crate::{
    metrics::Changes,
    names,
    store::record::{
        ATTRIBUTES_MAX, CANCELLED, COMPENSATION, ERROR, EVENT, HIT, OUTSIDE, PERSONAL, Packer,
        SpanRecord, TRY,
    },
    symbols::{MISSING, Symbols},
};
use base::clock::micros;
use contract::trace::SpanKind;
use opentelemetry::{KeyValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{SystemTime, UNIX_EPOCH},
};

/// A span on its way into the store and the counts.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) trace: u128,
    pub(crate) record: SpanRecord,
    pub(crate) facts: Facts,
    pub(crate) order: Option<Box<str>>,
    pub(crate) changes: Changes,
}

/// What is counted. Services and peers are numbers of services, the rest numbers of words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) service: u16,
    pub(crate) kind: SpanKind,
    pub(crate) end_us: i64,
    pub(crate) duration_us: u64,
    pub(crate) failed: bool,
    pub(crate) status: Option<u16>,
    pub(crate) from_browser: bool,
    pub(crate) in_transaction: bool,
    pub(crate) peer: Option<u16>,
    pub(crate) source: Option<u16>,
    pub(crate) lag_us: Option<u64>,
    pub(crate) route: Option<u16>,
    pub(crate) method: Option<u16>,
    pub(crate) topic: Option<u16>,
    /// The word of the callee's subset that a route named.
    pub(crate) subset: Option<u16>,
    /// The word of the version of the callee's instance that was tried last.
    pub(crate) version: Option<u16>,
    pub(crate) trace: u128,
}

/// Attributes with a meaning, as they are met.
#[derive(Debug, Default)]
struct Seen<'a> {
    service: Option<&'a Value>,
    status: Option<u16>,
    error_type: bool,
    from_browser: bool,
    in_transaction: bool,
    compensation: bool,
    is_try: bool,
    is_event: bool,
    cancelled: bool,
    personal: bool,
    hit: bool,
    peer: Option<&'a Value>,
    message: Option<&'a Value>,
    source: Option<u16>,
    lag_us: Option<u64>,
    route: Option<u16>,
    method: Option<u16>,
    topic: Option<u16>,
    subset: Option<u16>,
    version: Option<u16>,
    order: Option<Box<str>>,
    caller: Option<&'a Value>,
    count: Option<Box<str>>,
    duration: Option<Box<str>>,
    /// One bit per attribute to keep.
    kept: u128,
}

/// Reads a span that has ended.
pub(crate) fn read(
    span: &SpanData,
    inherited: Option<u16>,
    symbols: &Symbols,
    packer: &mut Packer,
) -> Ended {
    let seen = look(&span.attributes, symbols);
    let service = match seen.service {
        Some(name) => symbols.service(&name.as_str()),
        None => inherited.unwrap_or_else(|| symbols.service(names::SERVICE_FALLBACK)),
    };
    let error = matches!(span.status, Status::Error { .. });
    let kind = kind_of(&span.span_kind);
    let (start_us, end_us) = (epoch_us(span.start_time), epoch_us(span.end_time));
    let duration_us = end_us.saturating_sub(start_us).max(0);
    let name = symbols.words.number(&span.name);
    pack(span, &seen, name, start_us, symbols, packer);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    Ended {
        trace: u128::from_be_bytes(span.span_context.trace_id().to_bytes()),
        record: SpanRecord {
            id: u64::from_be_bytes(span.span_context.span_id().to_bytes()),
            parent: u64::from_be_bytes(span.parent_span_id.to_bytes()),
            start_us,
            duration_us,
            packed: packer.take(),
            service,
            name,
            http_status: seen.status.unwrap_or(0),
            kind,
            flags: flag(error, ERROR)
                | flag(seen.compensation, COMPENSATION)
                | flag(seen.is_try, TRY)
                | flag(seen.is_event, EVENT)
                | flag(seen.cancelled, CANCELLED)
                | flag(seen.personal, PERSONAL)
                | flag(seen.hit, HIT)
                | flag(seen.from_browser, OUTSIDE),
            delivery: delivery(seen.message.filter(|_| !seen.is_try), seen.peer),
        },
        facts: Facts {
            service,
            kind,
            end_us: start_us.saturating_add(duration_us),
            duration_us: duration_us.unsigned_abs(),
            failed: failed(seen.status, seen.error_type || error),
            status: seen.status,
            from_browser: seen.from_browser,
            in_transaction: seen.in_transaction,
            // A try goes to an instance, and its call is counted already.
            peer: seen.peer.filter(|_| !seen.is_try).map(|name| symbols.service(&name.as_str())),
            source: seen.source,
            lag_us: seen.lag_us,
            route: seen.route,
            method: seen.method,
            topic: seen.topic,
            subset: seen.subset.filter(|word| *word != MISSING),
            version: seen.version.filter(|word| *word != MISSING),
            trace: u128::from_be_bytes(span.span_context.trace_id().to_bytes()),
        },
        changes: Changes {
            count: seen.count,
            duration: seen.duration,
            caller: seen.caller.map(|name| symbols.claimed_service(&name.as_str())),
        },
        order: seen.order,
    }
}

/// Tells deliveries of one message to one consumer from those of others.
fn delivery(message: Option<&Value>, peer: Option<&Value>) -> u32 {
    let Some((message, peer)) = message.zip(peer) else { return 0 };
    let mut hasher = DefaultHasher::new();
    (message.as_str(), peer.as_str()).hash(&mut hasher);
    // Half of a hash, never 0.
    (hasher.finish() >> 32) as u32 | 1
}

/// A call failed when it was answered with 5xx, or not answered and marked as failed. An answer of
/// 4xx is the caller's mistake, which the service handled well.
fn failed(status: Option<u16>, marked: bool) -> bool {
    match status {
        Some(status) => status >= 500,
        None => marked,
    }
}

fn look<'a>(attributes: &'a [KeyValue], symbols: &Symbols) -> Seen<'a> {
    let mut seen = Seen::default();
    for (at, attribute) in attributes.iter().enumerate().take(ATTRIBUTES_MAX) {
        // The SDK appends; the last value of a key is the one that counts.
        if attributes[at + 1..].iter().any(|later| later.key == attribute.key) {
            continue;
        }
        let value = &attribute.value;
        let word = || Some(symbols.words.number(&value.as_str()));
        match attribute.key.as_str() {
            names::SERVICE_NAME => {
                seen.service = Some(value);
                continue;
            }
            names::HTTP_STATUS => seen.status = integer(value).and_then(|n| n.try_into().ok()),
            names::ERROR_TYPE => seen.error_type = true,
            names::MESH_CALLER => {
                seen.from_browser = value.as_str() == names::BROWSER;
                seen.caller = Some(value);
            }
            base::METRIC_COUNT => {
                seen.count = Some(value.as_str().into());
                continue;
            }
            base::METRIC_DURATION => {
                seen.duration = Some(value.as_str().into());
                continue;
            }
            names::TRANSACTION_ID => seen.in_transaction = true,
            names::SAGA_COMPENSATION => seen.compensation = value.as_str() == "true",
            names::MESH_FAULT_ID => seen.hit = true,
            names::EVENT_NAME => seen.is_event = true,
            names::ORDER_STATUS => seen.cancelled = value.as_str() == names::CANCELLED,
            names::ORDER_ORIGIN => seen.personal = value.as_str() != names::LOAD,
            names::MESSAGE_ID => seen.message = Some(value),
            // Who is called comes before by which name.
            names::PEER_SERVICE => seen.peer = Some(value),
            names::SERVER_ADDRESS => seen.peer = seen.peer.or(Some(value)),
            names::MESH_TRY => seen.is_try = true,
            names::EVENT_SOURCE => seen.source = Some(symbols.claimed_service(&value.as_str())),
            names::LAG_US => seen.lag_us = integer(value).map(|us| us.max(0).unsigned_abs()),
            names::HTTP_ROUTE => seen.route = word(),
            names::HTTP_METHOD => seen.method = word(),
            names::TOPIC => seen.topic = word(),
            names::MESH_SUBSET => seen.subset = word(),
            names::MESH_INSTANCE_VERSION => seen.version = word(),
            names::ORDER_ID => seen.order = Some(value.as_str().into()),
            _ => {}
        }
        seen.kept |= 1 << at;
    }
    seen
}

fn pack(
    span: &SpanData,
    seen: &Seen<'_>,
    name: u16,
    start_us: i64,
    symbols: &Symbols,
    packer: &mut Packer,
) {
    if name == MISSING {
        packer.text(&span.name);
    }
    packer.text(match &span.status {
        Status::Error { description } => description,
        _ => "",
    });
    packer.count(seen.kept.count_ones() as usize);
    for (at, attribute) in span.attributes.iter().enumerate().take(ATTRIBUTES_MAX) {
        if seen.kept & (1 << at) != 0 {
            packer.attribute(&symbols.words, attribute.key.as_str(), &attribute.value);
        }
    }
    packer.count(span.events.len());
    for event in span.events.iter() {
        packer.signed(epoch_us(event.timestamp).saturating_sub(start_us));
        packer.text(&event.name);
        packer.count(event.attributes.len().min(ATTRIBUTES_MAX));
        for attribute in event.attributes.iter().take(ATTRIBUTES_MAX) {
            packer.attribute(&symbols.words, attribute.key.as_str(), &attribute.value);
        }
    }
    packer.count(span.links.len());
    for link in span.links.iter() {
        packer.raw(&link.span_context.trace_id().to_bytes());
        packer.raw(&link.span_context.span_id().to_bytes());
    }
}

pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I64(number) => Some(*number),
        other => other.as_str().parse().ok(),
    }
}

fn kind_of(kind: &opentelemetry::trace::SpanKind) -> SpanKind {
    use opentelemetry::trace::SpanKind as Kind;
    match kind {
        Kind::Client => SpanKind::Client,
        Kind::Server => SpanKind::Server,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
        Kind::Internal => SpanKind::Internal,
    }
}

/// Microseconds since the epoch of a time that is not before it.
pub(crate) fn epoch_us(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_failed_when_it_was_answered_with_5xx_or_not_at_all() {
        // An answer decides alone: 4xx is no failure even if the span was marked as one.
        assert!(!failed(Some(404), true));
        assert!(!failed(Some(200), true));
        assert!(failed(Some(500), false));
        // Without an answer the mark decides.
        assert!(failed(None, true));
        assert!(!failed(None, false));
    }

    #[test]
    fn a_sender_that_is_no_service_is_not_learnt() {
        let symbols = Symbols::new();
        let source =
            |name: String| look(&[KeyValue::new(names::EVENT_SOURCE, name)], &symbols).source;
        assert_eq!(source("orders".into()), symbols.find_service("orders"));
        for n in 0..1_000 {
            assert_eq!(source(format!("forged-{n}")), symbols.find_service(crate::symbols::OTHER));
        }
        assert_ne!(symbols.service("late"), symbols.service(crate::symbols::OTHER));
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let symbols = Symbols::new();
        let attributes = [
            KeyValue::new(names::HTTP_STATUS, 0),
            KeyValue::new(names::ORDER_ID, "ord-1"),
            KeyValue::new(names::HTTP_STATUS, "503"),
        ];
        let seen = look(&attributes, &symbols);
        assert_eq!(seen.status, Some(503));
        assert_eq!(seen.order.as_deref(), Some("ord-1"));
        assert_eq!(seen.kept, 0b110);
    }
}
