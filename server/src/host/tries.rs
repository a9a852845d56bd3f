//! How often a command of the saga was sent before it was taken, as the kept traces tell.
//!
//! The saga itself does not count: to it a command is out until it is answered. Each delivery is a
//! call of the bus with a span of its own, in which the mesh may try more than one instance.

use contract::{
    attributes::{MESH_TRIES, MESSAGE_ID, MESSAGE_TOPIC},
    trace::{SpanKind, SpanView, TraceView},
};
use shop::{
    bus::{INVENTORY_RELEASE, INVENTORY_RESERVE, PAYMENT_AUTHORIZE, PAYMENT_REFUND, PAYMENT_VOID},
    orders::decide::{PAY, RESERVE},
};
use std::collections::BTreeSet;

/// What a step or its compensation is asked for with. Confirming asks nobody.
fn commands(step: usize, back: bool) -> &'static [&'static str] {
    match (step, back) {
        (RESERVE, false) => &[INVENTORY_RESERVE],
        (RESERVE, true) => &[INVENTORY_RELEASE],
        (PAY, false) => &[PAYMENT_AUTHORIZE],
        (PAY, true) => &[PAYMENT_REFUND, PAYMENT_VOID],
        _ => &[],
    }
}

/// The tries of a step, or of its compensation; none when no trace tells, or one that tells lost
/// spans, so that a number would be too low.
pub(super) fn of_step(step: usize, back: bool, traces: &[TraceView]) -> Option<u32> {
    let topics = commands(step, back);
    let asks = |span: &&SpanView| {
        let topic = span.attribute(MESSAGE_TOPIC);
        span.kind == SpanKind::Producer && topic.is_some_and(|topic| topics.contains(&topic))
    };
    let telling = || traces.iter().filter(|trace| trace.spans.iter().any(|span| asks(&span)));
    if telling().any(|trace| trace.dropped > 0) {
        return None;
    }
    let mut sends: Vec<&SpanView> = telling().flat_map(|t| t.spans.iter().filter(asks)).collect();
    sends.sort_by_key(|span| span.start_us);
    let (mut tries, mut taken) = (0, BTreeSet::new());
    for send in sends {
        let id = send.attribute(MESSAGE_ID).unwrap_or_default();
        // What arrives once more after it was taken is a duplicate and no try.
        if taken.contains(id) {
            continue;
        }
        // A call that was refused before it left, by an open breaker, tried nothing.
        let made = send.attribute(MESH_TRIES).and_then(|made| made.parse::<u32>().ok());
        tries += made.unwrap_or(0);
        if !send.error {
            taken.insert(id);
        }
    }
    (tries > 0).then_some(tries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::trace::{TraceRow, TraceStatus};

    /// A delivery of a command: its topic, the cause that makes its id, when, in how many tries of
    /// the mesh, and whether it arrived.
    fn send(topic: &str, cause: &str, at_us: i64, tries: u32, arrived: bool) -> SpanView {
        let mut attributes = vec![
            (MESSAGE_TOPIC.to_owned(), topic.into()),
            (MESSAGE_ID.to_owned(), format!("{topic}:ord-1:{cause}").into()),
        ];
        if tries > 0 {
            attributes.push((MESH_TRIES.to_owned(), tries.to_string().into()));
        }
        SpanView {
            span_id: format!("{at_us:016x}"),
            parent_id: None,
            service: contract::service::BUS.into(),
            name: format!("send {topic}"),
            kind: SpanKind::Producer,
            start_us: at_us,
            duration_us: 1,
            error: !arrived,
            message: None,
            attributes,
            events: vec![],
            links: vec![],
        }
    }

    fn trace(spans: Vec<SpanView>) -> TraceView {
        let row = TraceRow {
            trace_id: "a".repeat(32),
            service: "gateway".into(),
            operation: "POST /api/v1/orders".into(),
            start_us: 0,
            duration_us: 1,
            tail_us: 0,
            unfinished: false,
            status: TraceStatus::Ok,
            http_status: Some(202),
            failed: 0,
            spans: spans.len(),
            services: vec![],
            order_id: Some("ord-1".into()),
        };
        TraceView { row, spans, dropped: 0, logs: vec![] }
    }

    #[test]
    fn every_delivery_of_a_command_until_it_is_taken_counts_with_the_tries_of_the_mesh() {
        let traces = [trace(vec![
            // Later ones may stand first.
            send(PAYMENT_AUTHORIZE, "2", 30, 1, true),
            send(INVENTORY_RESERVE, "1", 1, 1, true),
            send(PAYMENT_AUTHORIZE, "2", 10, 3, false),
            send(PAYMENT_AUTHORIZE, "2", 20, 0, false),
        ])];
        assert_eq!(of_step(PAY, false, &traces), Some(4));
        assert_eq!(of_step(RESERVE, false, &traces), Some(1));
        assert_eq!(of_step(RESERVE, true, &traces), None);
    }

    #[test]
    fn a_message_that_a_fault_delivers_twice_is_no_second_try() {
        let traces = [trace(vec![
            send(INVENTORY_RESERVE, "1", 1, 1, true),
            send(INVENTORY_RESERVE, "1", 2, 1, true),
        ])];
        assert_eq!(of_step(RESERVE, false, &traces), Some(1));
    }

    #[test]
    fn a_compensation_counts_in_whichever_trace_it_ran() {
        let traces = [
            trace(vec![send(PAYMENT_AUTHORIZE, "2", 1, 1, true)]),
            trace(vec![send(PAYMENT_VOID, "5", 9, 1, false), send(PAYMENT_VOID, "5", 10, 1, true)]),
        ];
        assert_eq!(of_step(PAY, true, &traces), Some(2));
        assert_eq!(of_step(PAY, false, &traces), Some(1));
    }

    #[test]
    fn a_trace_that_lost_spans_tells_no_number() {
        let mut lossy = trace(vec![send(PAYMENT_AUTHORIZE, "2", 1, 1, true)]);
        lossy.dropped = 1;
        assert_eq!(of_step(PAY, false, &[lossy]), None);
        assert_eq!(of_step(PAY, false, &[]), None);
    }
}
