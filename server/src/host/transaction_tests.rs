//! A transaction joined with spans, faults and outages.

use super::*;
use base::TraceContext;
use contract::trace::{Level, TraceRow, TraceStatus};
use two_phase_commit::{Branch, Transaction};

const TX: &str = "tx-1";
const BC: &str = "bank-customer";
const BM: &str = "bank-merchant";

fn line(at_us: i64, kind: EntryKind, participant: Option<&str>) -> Entry {
    Entry { at_us, kind, participant: participant.map(Into::into), detail: None }
}

/// bank-merchant votes yes at once; the prepare to bank-customer takes two seconds, and that votes
/// no.
fn record() -> TransactionRecord {
    use EntryKind as K;
    let branch = |name: &str| Branch { participant: name.into(), work: serde_json::Value::Null };
    TransactionRecord {
        transaction: Transaction {
            id: TX.into(),
            purpose: "payment".into(),
            key: "ord-1".into(),
            correlation_id: None,
            trace: TraceContext::default(),
            branches: vec![branch(BC), branch(BM)],
        },
        log: vec![
            line(1_000, K::Begin, None),
            line(2_000, K::Prepare, Some(BC)),
            line(2_000, K::Prepare, Some(BM)),
            line(9_000, K::VoteYes, Some(BM)),
            line(2_030_000, K::VoteNo, Some(BC)),
            line(2_031_000, K::DecideAbort, None),
            // Written when it ended, though bank-customer acknowledged long before.
            line(6_000_000, K::Query, Some(BM)),
            line(6_001_000, K::Answer, Some(BM)),
            line(2_040_000, K::Abort, Some(BC)),
            line(2_050_000, K::Ack, Some(BC)),
            line(6_500_000, K::Abort, Some(BM)),
            line(6_510_000, K::Ack, Some(BM)),
            line(6_511_000, K::End, None),
        ],
        decision: Some(Decision::Abort {
            voter: Some(BC.into()),
            reason: "no".into(),
            grounds: None,
        }),
    }
}

fn span(
    id: &str,
    parent: Option<&str>,
    service: &str,
    kind: SpanKind,
    (start_us, end_us): (i64, i64),
    attributes: &[(&str, &str)],
) -> SpanView {
    SpanView {
        span_id: id.into(),
        parent_id: parent.map(Into::into),
        service: service.into(),
        name: id.into(),
        kind,
        start_us,
        duration_us: end_us - start_us,
        error: false,
        message: None,
        attributes: attributes.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        events: vec![],
        links: vec![],
    }
}

fn trace(spans: Vec<SpanView>) -> TraceView {
    let row = TraceRow {
        trace_id: "7c1e".into(),
        service: "gateway".into(),
        operation: "POST /api/v1/orders".into(),
        start_us: 0,
        duration_us: 1,
        tail_us: 0,
        unfinished: false,
        status: TraceStatus::Ok,
        http_status: None,
        failed: 0,
        spans: spans.len(),
        services: vec![],
        order_id: None,
    };
    TraceView { row, spans, dropped: 0, logs: vec![] }
}

fn spans() -> TraceView {
    use SpanKind::{Client, Consumer, Internal, Server};
    let tx = (attributes::TRANSACTION_ID, TX);
    let to = |name| (attributes::SERVER_ADDRESS, name);
    let fault = (attributes::MESH_FAULT_ID, "F-21");
    let held = (attributes::MESH_FAULT_DELAY_MS, "2003.5");
    let took = "process payment.authorize";
    let run = Some("two-phase commit payment");
    trace(vec![
        span(took, None, PAYMENTS, Consumer, (100, 1_800), &[(INSTANCE, "payments-v2-3")]),
        span("payments.begin", Some(took), PAYMENTS, Internal, (200, 1_100), &[]),
        span("two-phase commit payment", Some(took), PAYMENTS, Internal, (1_200, 6_511_000), &[tx]),
        span("ask BC", run, PAYMENTS, Client, (2_010, 2_029_000), &[tx, to(BC)]),
        span(
            "try 1",
            Some("ask BC"),
            PAYMENTS,
            Client,
            (2_010, 2_020_000),
            &[fault, held, (attributes::MESH_TRY, "1")],
        ),
        span("ask BM", run, PAYMENTS, Client, (2_015, 8_900), &[tx, to(BM)]),
        // The callee's side of it is not what is linked.
        span("answer BM", Some("ask BM"), BM, Server, (2_100, 8_800), &[tx]),
        span("payments.decide", run, PAYMENTS, Internal, (2_030_100, 2_031_000), &[]),
        span("tell BC", run, PAYMENTS, Client, (2_040_010, 2_049_900), &[tx, to(BC)]),
        span("outcome", None, BM, Client, (5_999_000, 6_002_000), &[tx, to(PAYMENTS)]),
    ])
}

fn joined(traces: &[TraceView], outages: &[Outage], started_us: i64) -> TransactionView {
    view(&record(), &Evidence { traces, logs: &[], outages, started_us })
}

#[test]
fn lines_stand_in_the_order_they_happened_and_not_in_that_of_writing() {
    let view = joined(&[], &[], 0);
    assert!(view.messages.is_sorted_by_key(|message| message.at_us));
    assert_eq!(view.messages.len(), record().log.len());
    assert!(view.messages.iter().all(|m| m.span.is_none() && m.fault.is_none()));
    assert_eq!(view.coordinator, None);
}

#[test]
fn each_line_is_joined_with_the_span_of_its_message() {
    let view = joined(&[spans()], &[], 0);
    let span_of = |kind, participant: Option<&str>| {
        let mut found = view.messages.iter();
        let found = found.find(|m| m.kind == kind && m.participant.as_deref() == participant);
        found.and_then(|m| m.span.as_ref()).map(|span| span.span_id.as_str())
    };
    use TxMessageKind as K;
    assert_eq!(span_of(K::Prepare, Some(BC)), Some("ask BC"));
    assert_eq!(span_of(K::VoteNo, Some(BC)), Some("ask BC"));
    assert_eq!(span_of(K::VoteYes, Some(BM)), Some("ask BM"));
    assert_eq!(span_of(K::Ack, Some(BC)), Some("tell BC"));
    assert_eq!(span_of(K::Query, Some(BM)), Some("outcome"));
    assert_eq!(span_of(K::DecideAbort, None), Some("payments.decide"));
    assert_eq!(span_of(K::Begin, None), Some("payments.begin"));
    assert_eq!(span_of(K::End, None), Some("two-phase commit payment"));
    // Its own span is not kept, and that of another message is not taken for it.
    assert_eq!(span_of(K::Ack, Some(BM)), None);
    assert_eq!(view.coordinator.as_deref(), Some("payments-v2-3"));
}

#[test]
fn a_fault_that_met_a_try_of_a_message_is_told_of_the_message_and_not_of_its_answer() {
    let view = joined(&[spans()], &[], 0);
    let with_fault: Vec<_> = view.messages.iter().filter(|m| m.fault.is_some()).collect();
    assert_eq!(with_fault.len(), 1);
    assert_eq!(with_fault[0].kind, TxMessageKind::Prepare);
    let fault = TxFault { id: "F-21".into(), delayed_us: 2_003_500 };
    assert_eq!(with_fault[0].fault, Some(fault));
}

#[test]
fn a_fault_that_holds_nothing_has_no_delay() {
    let mut trace = spans();
    let tries = trace.spans.iter_mut().find(|span| span.name == "try 1").unwrap();
    tries.attributes[1].1 = "0.002".into();
    let view = joined(&[trace], &[], 0);
    let fault = view.messages.iter().find_map(|m| m.fault.as_ref()).unwrap();
    assert_eq!((fault.id.as_str(), fault.delayed_us), ("F-21", 0));
}

fn outage(service: &str, killed: bool, since_us: i64, until_us: Option<i64>) -> Outage {
    Outage { service: service.into(), killed, fault_id: "F-24".into(), since_us, until_us }
}

#[test]
fn outages_of_participants_are_told_while_the_transaction_was_under_way_and_no_others() {
    use TxEventKind::{Crash, Pause, Restart};
    let events = |outages: &[Outage]| {
        let view = joined(&[], outages, 0);
        view.events.iter().map(|e| (e.at_us, e.kind)).collect::<Vec<_>>()
    };
    let during = outage(BM, true, 500_000, Some(5_900_000));
    assert_eq!(events(std::slice::from_ref(&during)), [(500_000, Crash), (5_900_000, Restart)]);
    assert_eq!(events(&[outage(BC, false, 500_000, None)]), [(500_000, Pause)]);
    // One that was down already is down from the begin.
    assert_eq!(events(&[outage(BM, true, -50, Some(3_000))]), [(1_000, Crash), (3_000, Restart)]);
    assert_eq!(events(&[outage("inventory", true, 500_000, None)]), []);
    assert_eq!(events(&[outage(BM, true, -50, Some(900))]), []);
    assert_eq!(events(&[outage(BM, true, 7_000_000, None)]), []);
    let told = &joined(&[], &[during], 0).events[0];
    assert_eq!((told.participant.as_deref(), told.fault_id.as_deref()), (Some(BM), Some("F-24")));
}

#[test]
fn a_transaction_that_another_run_began_was_started_again_with_everybody() {
    let restarts = |started_us| {
        let events = joined(&[], &[], started_us).events;
        events.into_iter().map(|e| e.participant).collect::<Vec<_>>()
    };
    assert_eq!(restarts(3_000_000), [None, Some(BC.to_owned()), Some(BM.to_owned())]);
    assert_eq!(restarts(500), []);
    assert_eq!(restarts(9_000_000), [], "it was over before");
}

#[test]
fn a_participant_released_its_locks_when_it_wrote_so() {
    let said = |at_us, service: &str, transaction: &str| LogView {
        at_us,
        service: service.into(),
        level: Level::Info,
        message: String::new(),
        span_id: None,
        trace_id: None,
        fields: vec![
            ("transaction_id".into(), transaction.into()),
            ("locks".into(), LOCKS_RELEASED.into()),
        ],
    };
    let logs = [said(5, BM, "tx-2"), said(6, BC, TX), said(7, BM, TX), said(8, BM, TX)];
    let evidence = Evidence { traces: &[], logs: &logs, outages: &[], started_us: 0 };
    let released: Vec<_> =
        view(&record(), &evidence).participants.iter().map(|p| p.released_us).collect();
    assert_eq!(released, [Some(6), Some(7)]);
}

#[test]
fn a_payment_that_was_voided_before_it_began_has_nobody_in_it() {
    let mut voided = record();
    voided.transaction.branches.clear();
    voided.log = vec![
        line(1_000, EntryKind::Begin, None),
        line(1_000, EntryKind::DecideAbort, None),
        line(1_000, EntryKind::End, None),
    ];
    let outages = [outage(BM, true, 0, None)];
    let evidence = Evidence { traces: &[], logs: &[], outages: &outages, started_us: 1_000 };
    let view = view(&voided, &evidence);
    assert!(view.never_begun() && view.is_over() && view.events.is_empty());
    assert!(!joined(&[], &[], 0).never_begun());
}

#[test]
fn a_log_that_tells_nonsense_is_shown_as_damaged_and_not_as_one_that_just_began() {
    let mut record = record();
    // The decision is gone, and with it what makes the lines after it possible.
    record.log.retain(|line| !line.kind.decides());
    let evidence = Evidence { traces: &[], logs: &[], outages: &[], started_us: 0 };
    let shown = view(&record, &evidence);
    assert_eq!((shown.state, shown.is_over()), (TxState::Damaged, false));
    // What was decided is recorded beside the log.
    assert!(shown.participants.iter().all(|bank| bank.state == TxState::Aborted), "{shown:?}");
}
