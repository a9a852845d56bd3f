//! The story of a declined order, from what the services recorded.

use super::*;
use contract::{Money, order::Origin};
use saga::Event as S;
use two_phase_commit::Grounds;

fn declined() -> OrderStory {
    let events = vec![
        OrderEvent::OrderPlaced {
            user_id: "c-1042".into(),
            lines: vec![],
            total: Money::eur(18_450),
            origin: Origin::Browser,
            payment_method: contract::shop::PaymentMethod::Wallet,
        },
        OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 3 },
        OrderEvent::PaymentRequested { amount: Money::eur(18_450) },
        OrderEvent::PaymentDeclined {
            transaction_id: "tx-1".into(),
            voter: Some("bank-customer".into()),
            reason: "insufficient funds".into(),
            grounds: Some(Grounds::VotedNo),
        },
        OrderEvent::CompensationStarted { steps: 1 },
        OrderEvent::StockReleased { units: 3 },
        OrderEvent::OrderCancelled { reason: "payment_declined".into() },
    ];
    let saga = vec![
        S::Started,
        S::StepDone { step: RESERVE },
        S::StepRefused { step: PAY, reason: "insufficient funds".into() },
        S::Undone { step: RESERVE },
    ];
    let at = |i: usize| i64::try_from(i).unwrap() * 1_000;
    OrderStory {
        order_id: "ord-1".into(),
        correlation_id: "corr".into(),
        trace_id: None,
        traces: vec!["a".repeat(32), "b".repeat(32)],
        caused_by: vec![],
        events: events
            .into_iter()
            .enumerate()
            .map(|(i, event)| Recorded { version: i as u64 + 1, at_us: at(i), event })
            .collect(),
        saga: saga
            .into_iter()
            .enumerate()
            .map(|(i, event)| Entry { at_us: at(i), event })
            .collect(),
    }
}

fn told() -> OrderView {
    view(parts(declined())).unwrap()
}

/// An order of which nothing is known but what orders tell.
fn parts(told: OrderStory) -> Parts {
    Parts {
        told,
        transactions: Ok(vec![]),
        customer: Ok("Flora Petit".into()),
        traces: vec![],
        logs: vec![],
        outages: vec![],
        logs_left_until_us: -1,
        started_us: 0,
    }
}

/// A trace that began before the order was placed.
fn trace(id: &str, services: &[&str]) -> TraceView {
    let row = contract::trace::TraceRow {
        trace_id: id.into(),
        service: "gateway".into(),
        operation: "POST /api/v1/orders".into(),
        start_us: -500,
        duration_us: 10_000,
        tail_us: 0,
        unfinished: false,
        status: contract::trace::TraceStatus::Compensated,
        http_status: Some(202),
        failed: 0,
        spans: 1,
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        order_id: Some("ord-1".into()),
    };
    TraceView { row, spans: vec![], dropped: 0, logs: vec![] }
}

#[test]
fn offsets_count_from_the_placed_event_also_when_the_trace_has_left() {
    let placed = OrderStory { trace_id: Some("a".repeat(32)), ..declined() };
    let kept = Parts { traces: vec![trace(&"a".repeat(32), &[])], ..parts(placed.clone()) };
    let (kept, left) = (view(kept).unwrap(), view(parts(placed)).unwrap());
    assert!(kept.trace.is_some() && left.trace.is_none());
    assert_eq!((kept.zero_us, left.zero_us), (0, 0));
    assert_eq!(kept.events[0].at_us, kept.zero_us);
    assert!(kept.keeps(&"a".repeat(32)) && !left.keeps(&"a".repeat(32)));
}

#[test]
fn lines_may_have_left_of_an_order_that_is_older_than_the_last_that_did() {
    let left = |until_us| {
        let parts = Parts { logs_left_until_us: until_us, ..parts(declined()) };
        view(parts).unwrap().logs_left_until_us
    };
    // It was placed at 0.
    assert_eq!((left(-1), left(0), left(5)), (None, Some(0), Some(5)));
}

#[test]
fn what_killed_a_process_that_the_order_needed_stands_among_its_lines() {
    let outage = |service: &str, since_us| Outage {
        service: service.into(),
        killed: true,
        fault_id: "F-24".into(),
        since_us,
        until_us: None,
    };
    let told = Parts {
        traces: vec![trace(&"a".repeat(32), &["gateway", "bank-merchant"])],
        outages: vec![
            outage("bank-merchant", 2_500),
            outage("inventory", 1_500),
            // Nobody asked it, and the order was over.
            outage("recommendations", 2_000),
            outage("inventory", 60_000_000),
        ],
        ..parts(declined())
    };
    let lines = view(told).unwrap().logs;
    let said: Vec<_> = lines.iter().map(|l| (l.at_us, l.service.as_str())).collect();
    assert_eq!(said, [(1_500, "inventory"), (2_500, "bank-merchant")]);
    assert_eq!(lines[1].message, "an instance was killed by F-24");
    assert_eq!(lines[1].level, contract::trace::Level::Error);
}

#[test]
fn a_declined_order_says_who_voted_no_and_what_was_undone() {
    let view = told();
    assert_eq!(
        view.sentence,
        "Payment declined: bank-customer voted no (insufficient funds). \
         Stock was released and no money moved."
    );
    assert_eq!(view.events.len(), view.states.len());
    assert_eq!(view.traces.len(), 2);
    assert!(!view.can_cancel && !view.can_ship);
}

#[test]
fn the_saga_shows_forward_steps_the_refusal_and_the_compensation_with_their_versions() {
    let saga = told().saga.unwrap();
    let marks: Vec<_> = saga.steps.iter().map(|s| s.mark).collect();
    assert_eq!(marks, [StepMark::Done, StepMark::Failed, StepMark::NotReached]);
    assert_eq!(saga.steps[1].versions, [3, 4]);
    let undone = saga.compensations[0].as_ref().unwrap();
    // 5 began to undo, with this step.
    assert_eq!((undone.mark, undone.versions.as_slice()), (StepMark::Undone, [5, 6].as_slice()));
    assert_eq!(saga.compensations[1], None);
    assert_eq!(saga.status, SagaStatus::Compensated);
}

#[test]
fn what_payments_cannot_tell_is_an_error_and_not_an_empty_list() {
    let away = ApiError::Unavailable { reason: "payments did not answer in time.".into() };
    let untold = Parts { transactions: Err(away.clone()), ..parts(declined()) };
    let view = view(untold).unwrap();
    assert_eq!(view.transactions, Err(away));
    assert_eq!(view.events.len(), 7);
    assert!(view.saga.is_some(), "the rest is told");
}

#[test]
fn every_trace_is_listed_also_those_that_are_not_kept() {
    let traces = told().traces;
    let ids: Vec<_> = traces.iter().map(|t| (t.trace_id.as_str(), t.row.is_some())).collect();
    assert_eq!(ids, [("a".repeat(32).as_str(), false), ("b".repeat(32).as_str(), false)]);
}

#[test]
fn the_data_of_an_event_is_without_its_type() {
    let view = told();
    assert_eq!(view.events[4].json, "{\n  \"steps\": 1\n}");
    assert!(view.events.iter().all(|event| !event.json.contains("\"type\"")));
    assert_eq!(data(&OrderEvent::OrderConfirmed), "{}");
}

#[test]
fn what_is_not_known_yet_is_not_made_up() {
    let mut story = declined();
    story.events.truncate(1);
    story.saga.truncate(1);
    let view = view(parts(story)).unwrap();
    let saga = view.saga.unwrap();
    let marks: Vec<_> = saga.steps.iter().map(|s| s.mark).collect();
    assert_eq!(marks, [StepMark::Running, StepMark::NotReached, StepMark::NotReached]);
    assert_eq!(saga.took_us, None);
    assert!(view.can_cancel);
}

/// An order whose payment timed out, with these events and saga entries after the timeout.
fn timed_out(events: Vec<OrderEvent>, saga: Vec<S>) -> OrderView {
    let mut told = declined();
    told.events.truncate(3);
    told.saga.truncate(2);
    let begun =
        [OrderEvent::PaymentTimedOut { seconds: 10 }, OrderEvent::CompensationStarted { steps: 2 }];
    for (version, event) in (4..).zip(begun.into_iter().chain(events)) {
        told.events.push(Recorded {
            version,
            at_us: i64::try_from(version).unwrap() * 1_000,
            event,
        });
    }
    let begun = std::iter::once(S::StepTimedOut { step: PAY });
    for (at_us, event) in (12_000..).zip(begun.chain(saga)) {
        told.saga.push(Entry { at_us, event });
    }
    view(parts(told)).unwrap()
}

#[test]
fn a_payment_that_timed_out_is_unknown_and_its_void_is_drawn_as_the_compensation() {
    let running = timed_out(vec![], vec![]);
    assert_eq!(
        running.sentence,
        "Payment timed out: payments did not answer within 10 s. \
         Whether money moved is unknown; the payment is being voided."
    );
    let found = "nothing to void, 2PC aborted".to_owned();
    let events = vec![
        OrderEvent::PaymentVoided { transaction_id: "tx-1".into(), found },
        OrderEvent::StockReleased { units: 3 },
        OrderEvent::OrderCancelled { reason: "payment_timed_out".into() },
    ];
    let ended = timed_out(events, vec![S::Undone { step: PAY }, S::Undone { step: RESERVE }]);
    assert_eq!(
        ended.sentence,
        "Payment timed out: payments did not answer within 10 s. \
         Stock was released and no money moved."
    );
    assert_eq!(
        (ended.row.phase.as_str(), ended.row.steps[1]),
        ("Payment timed out", StepMark::Undone)
    );
    let saga = ended.saga.unwrap();
    assert_eq!(saga.steps[1].mark, StepMark::Unknown);
    assert_eq!(saga.steps[1].detail, "timed out, outcome unknown");
    let void = saga.compensations[1].as_ref().unwrap();
    assert_eq!((void.name.as_str(), void.mark), ("Void payment", StepMark::Undone));
    assert_eq!(void.detail, "nothing to void, 2PC aborted");
    assert_eq!(saga.compensations[0].as_ref().unwrap().name, "Release inventory");
}

#[test]
fn an_answer_after_the_timeout_is_not_told_as_the_cause() {
    let late = OrderEvent::PaymentAuthorized { transaction_id: "tx-1".into() };
    let back = OrderEvent::PaymentRefunded { transaction_id: "tx-2".into() };
    let events = vec![
        late,
        back,
        OrderEvent::StockReleased { units: 3 },
        OrderEvent::OrderCancelled { reason: "payment_timed_out".into() },
    ];
    let log = vec![S::StepDone { step: PAY }, S::Undone { step: PAY }, S::Undone { step: RESERVE }];
    let view = timed_out(events, log);
    assert_eq!(
        view.sentence,
        "Payment timed out: payments did not answer within 10 s. \
         The money went back and stock was released."
    );
    let saga = view.saga.unwrap();
    assert_eq!((saga.steps[1].mark, saga.steps[1].ended_us), (StepMark::Unknown, Some(12_000)));
}

#[test]
fn a_step_tells_how_often_its_command_was_sent() {
    let send = |at_us: i64, error: bool| contract::trace::SpanView {
        span_id: format!("{at_us:016x}"),
        parent_id: None,
        service: contract::service::BUS.into(),
        name: "send payment.authorize".into(),
        kind: contract::trace::SpanKind::Producer,
        start_us: at_us,
        duration_us: 1,
        error,
        message: None,
        attributes: [
            (attributes::MESSAGE_TOPIC, "payment.authorize"),
            (attributes::MESSAGE_ID, "payment.authorize:ord-1:2"),
            (attributes::MESH_TRIES, "1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.into()))
        .into(),
        events: vec![],
        links: vec![],
    };
    let mut kept = trace(&"a".repeat(32), &[]);
    kept.spans = vec![send(1, true), send(2, true), send(3, false)];
    let view = view(Parts { traces: vec![kept], ..parts(declined()) }).unwrap();
    let tries: Vec<_> = view.saga.unwrap().steps.iter().map(|step| step.tries).collect();
    assert_eq!(tries, [None, Some(3), None]);
}

#[test]
fn a_bank_that_gave_no_vote_is_not_said_to_have_voted_no() {
    let mut told = declined();
    let reason = "the circuit breaker for bank-merchant is open".to_owned();
    told.events[3].event = OrderEvent::PaymentDeclined {
        transaction_id: "tx-1".into(),
        voter: Some("bank-merchant".into()),
        reason,
        grounds: Some(Grounds::NotAsked),
    };
    let view = view(parts(told)).unwrap();
    assert_eq!(
        view.sentence,
        "Payment not authorized: bank-merchant gave no vote (circuit breaker open); silence counts \
         as no. Stock was released and no money moved."
    );
    assert_eq!(view.saga.unwrap().steps[1].detail, "no vote, counts as no");
    let line = "bank-merchant: no vote: the circuit breaker for bank-merchant is open";
    assert_eq!(view.events[3].summary, line);
}
