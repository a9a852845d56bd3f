//! The reference scenario's orders: `ord-7F3K9Q` as the design tells it, one that was confirmed,
//! and one that runs.

use contract::{
    ApiError, Money,
    order::{
        EventView, OrderLineView, OrderRow, OrderStateView, OrderStatus, OrderTrace, OrderView,
        Origin, StepMark,
    },
    saga::{SagaStatus, SagaStepView, SagaView},
    trace::SpanLinkView,
    transaction::{
        REPLAYED, TransactionView, TxEventKind, TxEventView, TxFault, TxMessageKind, TxMessageView,
        TxParticipantView, TxState,
    },
};

use super::spans::{TRACE, TRACE_CONFIRMED, ZERO_US, at, confirmed_trace, declined_trace};

/// Everything about an order of the scenario.
pub fn order(order_id: &str) -> Result<OrderView, ApiError> {
    match order_id {
        "ord-7F3K9Q" => Ok(declined()),
        "ord-7F3KCC" => Ok(confirmed()),
        "ord-7F3KCX" => Ok(running()),
        "ord-7F3KDX" => Ok(payments_away()),
        "ord-7F3KEX" => Ok(never_begun()),
        "ord-7F3KFX" => Ok(shipped_later()),
        "ord-7F3KGX" => Ok(in_doubt()),
        "ord-7F3KHX" => Ok(forgotten()),
        "ord-7F3KJX" => Ok(without_lines()),
        "ord-7F3KKX" => Ok(told_long_after()),
        "ord-DOWN" => Err(ApiError::Unavailable { reason: "orders could not be reached.".into() }),
        _ => Err(ApiError::NotFound { what: format!("order {order_id}") }),
    }
}

// --- ord-7F3K9Q -----------------------------------------------------------------------------

fn event(version: u64, ms: i64, name: &str, summary: &str, json: &str) -> EventView {
    EventView {
        version,
        name: name.into(),
        at_us: at(ms),
        summary: summary.into(),
        json: json.into(),
    }
}

fn declined() -> OrderView {
    let trace = declined_trace();
    OrderView {
        row: row("ord-7F3K9Q", OrderStatus::Cancelled, "Payment declined", 7, Some(2_206)),
        sentence: "Payment declined: bank-customer voted no (insufficient funds). Stock was \
                   released and no money moved."
            .into(),
        customer: Ok("Noor Haddad".into()),
        lines: lines(),
        payment_method: contract::shop::PaymentMethod::Wallet,
        correlation_id: "c0ffee00-7f3k-4a1b-9c2d-000000007f3k".into(),
        trace_id: Some(TRACE.into()),
        traces: vec![OrderTrace { trace_id: TRACE.into(), row: Some(trace.row.clone()) }],
        zero_us: ZERO_US,
        events: declined_events(),
        states: declined_states(),
        saga: Some(declined_saga()),
        transactions: Ok(vec![declined_transaction()]),
        logs: trace.logs.clone(),
        logs_left_until_us: None,
        trace: Some(trace),
        can_cancel: false,
        can_ship: false,
        can_redrive: false,
    }
}

fn row(id: &str, status: OrderStatus, phase: &str, version: u64, took_ms: Option<i64>) -> OrderRow {
    use StepMark::{Done, Failed, NotReached, Running, Undone};
    OrderRow {
        order_id: id.into(),
        user_id: "c-1042".into(),
        total: Money::eur(18_450),
        status,
        phase: phase.into(),
        steps: match status {
            OrderStatus::Processing => [Done, Running, NotReached],
            OrderStatus::Cancelled => [Undone, Failed, NotReached],
            OrderStatus::Confirmed | OrderStatus::Shipped => [Done, Done, Done],
        },
        placed_at_us: ZERO_US,
        took_us: took_ms.map(|ms| ms * 1_000),
        origin: Origin::Browser,
        version,
    }
}

fn lines() -> Vec<OrderLineView> {
    let line = |id: &str, name: &str, quantity, cents| OrderLineView {
        product_id: id.into(),
        name: name.into(),
        quantity,
        unit_price: Money::eur(cents),
    };
    vec![
        line("p-grinder", "Hand grinder", 1, 12_950),
        line("p-espresso", "Espresso beans, 1 kg", 2, 2_750),
    ]
}

const PLACED: &str = r#"{
  "user_id": "c-1042",
  "total": "184.50 EUR",
  "items": [
    {
      "product_id": "p-grinder",
      "quantity": 1
    }
  ]
}"#;
const DECLINED: &str = r#"{
  "reason": "insufficient_funds",
  "voter": "bank-customer",
  "transaction": "tx-51c8",
  "tries": 3
}"#;

fn declined_events() -> Vec<EventView> {
    vec![
        event(1, 13, "OrderPlaced", "2 items, €184.50, customer c-1042", PLACED),
        event(
            2,
            47,
            "StockReserved",
            "rsv-90B2, 3 units, 15 ms",
            "{\n  \"reservation\": \"rsv-90B2\",\n  \"units\": 3\n}",
        ),
        event(
            3,
            48,
            "PaymentRequested",
            "idempotency key 7F3K9Q-1",
            "{\n  \"key\": \"7F3K9Q-1\"\n}",
        ),
        event(4, 2_174, "PaymentDeclined", "insufficient funds", DECLINED),
        event(5, 2_175, "CompensationStarted", "1 step to undo", "{\n  \"steps\": 1\n}"),
        event(
            6,
            2_193,
            "StockReleased",
            "rsv-90B2, 3 units, 15 ms",
            "{\n  \"reservation\": \"rsv-90B2\"\n}",
        ),
        event(
            7,
            2_196,
            "OrderCancelled",
            "reason payment_declined",
            "{\n  \"reason\": \"payment_declined\"\n}",
        ),
    ]
}

fn declined_states() -> Vec<OrderStateView> {
    let facts = [
        ("placed", "none", "none"),
        ("stock_reserved", "rsv-90B2 held", "none"),
        ("paying", "rsv-90B2 held", "requested"),
        ("payment_declined", "rsv-90B2 held", "none"),
        ("compensating", "rsv-90B2 held", "none"),
        ("compensating", "released", "none"),
        ("cancelled", "released", "none"),
    ];
    facts
        .iter()
        .zip(1..)
        .map(|((status, reservation, payment), version)| OrderStateView {
            version,
            facts: vec![
                ("status".into(), (*status).into()),
                ("reservation".into(), (*reservation).into()),
                ("payment".into(), (*payment).into()),
            ],
        })
        .collect()
}

fn step(
    name: &str,
    service: &str,
    mark: StepMark,
    detail: &str,
    ms: Option<(i64, i64)>,
    versions: &[u64],
) -> SagaStepView {
    SagaStepView {
        name: name.into(),
        service: service.into(),
        mark,
        detail: detail.into(),
        started_us: ms.map(|m| at(m.0)),
        ended_us: ms.map(|m| at(m.1)),
        versions: versions.to_vec(),
        tries: None,
    }
}

fn declined_saga() -> SagaView {
    use StepMark::{Done, Failed, NotReached};
    SagaView {
        saga_id: "ord-7F3K9Q".into(),
        status: SagaStatus::Compensated,
        steps: vec![
            step("Reserve inventory", "inventory", Done, "rsv-90B2, 3 units", Some((31, 46)), &[2]),
            step(
                "Authorize payment",
                "payments",
                Failed,
                "declined, 3 tries",
                Some((49, 2_172)),
                &[3, 4],
            ),
            step("Confirm order", "orders", NotReached, "not reached", None, &[]),
        ],
        compensations: vec![
            Some(step(
                "Release inventory",
                "inventory",
                Done,
                "3 units back in stock",
                Some((2_177, 2_192)),
                &[6],
            )),
            Some(step(
                "Void payment",
                "payments",
                Done,
                "nothing to void, 2PC aborted",
                None,
                &[5],
            )),
            None,
        ],
        took_us: Some(2_150_000),
    }
}

fn message(
    ms: i64,
    kind: TxMessageKind,
    participant: Option<&str>,
    detail: Option<&str>,
) -> TxMessageView {
    TxMessageView {
        at_us: at(ms),
        kind,
        participant: participant.map(Into::into),
        detail: detail.map(Into::into),
        fault: None,
        span: None,
    }
}

fn banks(state: TxState) -> Vec<TxParticipantView> {
    ["bank-customer", "bank-merchant"]
        .map(|service| TxParticipantView { service: service.into(), state, released_us: None })
        .to_vec()
}

fn declined_transaction() -> TransactionView {
    use TxMessageKind::{
        Abort, Ack, Answer, Begin, DecideAbort, End, Prepare, Query, Unanswered, VoteNo, VoteYes,
    };
    let (bc, bm) = (Some("bank-customer"), Some("bank-merchant"));
    let mut tx = TransactionView {
        transaction_id: "tx-51c8".into(),
        purpose: "payment".into(),
        state: TxState::Aborted,
        participants: banks(TxState::Aborted),
        messages: vec![
            message(127, Begin, None, None),
            message(132, Prepare, bc, None),
            message(132, Prepare, bm, None),
            message(153, VoteYes, bm, None),
            message(2_156, VoteNo, bc, Some("insufficient funds")),
            message(2_163, DecideAbort, None, None),
            message(2_164, Abort, bm, None),
            message(2_164, Unanswered, bm, Some("connection refused")),
            message(3_164, Abort, bm, None),
            message(3_164, Unanswered, bm, Some("connection refused")),
            message(5_164, Abort, bm, None),
            message(5_164, Unanswered, bm, Some("connection refused")),
            message(6_204, Query, bm, Some(REPLAYED)),
            message(6_231, Answer, bm, Some("abort")),
            message(6_262, Ack, bm, None),
            message(6_263, End, None, None),
        ],
        coordinator: Some("payments-v2-0".into()),
        events: vec![
            bank_merchant(655, TxEventKind::Crash),
            bank_merchant(6_120, TxEventKind::Restart),
        ],
    };
    tx.participants[1].released_us = Some(at(6_240));
    tx.messages[1].fault = Some(TxFault { id: "F-21".into(), delayed_us: 2_000_000 });
    let span = SpanLinkView { trace_id: TRACE.into(), span_id: "a41f07c20000000c".into() };
    for index in [1, 4] {
        tx.messages[index].span = Some(span.clone());
    }
    tx
}

fn bank_merchant(ms: i64, kind: TxEventKind) -> TxEventView {
    TxEventView {
        at_us: at(ms),
        kind,
        participant: Some("bank-merchant".into()),
        fault_id: Some("F-24".into()),
    }
}

// --- a confirmed order, by messages, and one that runs ------------------------------------------

fn confirmed() -> OrderView {
    use StepMark::Done;
    let mut order = declined();
    order.row = row("ord-7F3KCC", OrderStatus::Confirmed, "Confirmed", 4, Some(86));
    order.sentence = "Confirmed: stock was reserved and both banks committed the payment.".into();
    order.trace_id = Some(TRACE_CONFIRMED.into());
    order.events = vec![
        event(
            1,
            13,
            "OrderPlaced",
            "2 items, €184.50, customer c-1042",
            "{\n  \"user_id\": \"c-1042\"\n}",
        ),
        event(2, 34, "StockReserved", "rsv-90B3, 3 units", "{\n  \"reservation\": \"rsv-90B3\"\n}"),
        event(3, 71, "PaymentAuthorized", "tx-51c9", "{\n  \"transaction\": \"tx-51c9\"\n}"),
        event(4, 86, "OrderConfirmed", "stock and money moved", "{}"),
    ];
    order.states.truncate(4);
    order.saga = Some(SagaView {
        saga_id: "ord-7F3KCC".into(),
        status: SagaStatus::Completed,
        steps: vec![
            step("Reserve inventory", "inventory", Done, "3 units", Some((20, 34)), &[2]),
            step("Authorize payment", "payments", Done, "tx-51c9 committed", Some((38, 71)), &[3]),
            step("Confirm order", "orders", Done, "", Some((75, 86)), &[4]),
        ],
        compensations: vec![None, None, None],
        took_us: Some(73_000),
    });
    order.transactions = Ok(vec![committed_transaction()]);
    order.logs.truncate(2);
    order.trace = Some(confirmed_trace());
    order.can_cancel = true;
    order.can_ship = true;
    order
}

fn committed_transaction() -> TransactionView {
    use TxMessageKind::{Ack, Begin, Commit, DecideCommit, End, Prepare, VoteYes};
    let (bc, bm) = (Some("bank-customer"), Some("bank-merchant"));
    TransactionView {
        transaction_id: "tx-51c9".into(),
        purpose: "payment".into(),
        state: TxState::Committed,
        participants: banks(TxState::Committed),
        messages: vec![
            message(42, Begin, None, None),
            message(43, Prepare, bc, None),
            message(43, Prepare, bm, None),
            message(49, VoteYes, bm, None),
            message(51, VoteYes, bc, None),
            message(54, DecideCommit, None, None),
            message(55, Commit, bc, None),
            message(55, Commit, bm, None),
            message(61, Ack, bc, None),
            message(62, Ack, bm, None),
            message(64, End, None, None),
        ],
        coordinator: Some("payments-v1-2".into()),
        events: vec![],
    }
}

fn running() -> OrderView {
    use StepMark::{Done, NotReached, Running};
    let mut order = confirmed();
    order.row = row("ord-7F3KCX", OrderStatus::Processing, "Paying", 2, None);
    order.sentence = "Stock is reserved; the banks are asked to move the money.".into();
    order.events.truncate(2);
    order.states.truncate(2);
    order.saga = Some(SagaView {
        saga_id: "ord-7F3KCX".into(),
        status: SagaStatus::Running,
        steps: vec![
            step("Reserve inventory", "inventory", Done, "3 units", Some((20, 34)), &[2]),
            SagaStepView {
                ended_us: None,
                ..step(
                    "Authorize payment",
                    "payments",
                    Running,
                    "banks are voting",
                    Some((38, 0)),
                    &[],
                )
            },
            step("Confirm order", "orders", NotReached, "not reached", None, &[]),
        ],
        compensations: vec![None, None, None],
        took_us: None,
    });
    let mut tx = committed_transaction();
    tx.messages.truncate(4);
    tx.state = TxState::Preparing;
    order.transactions = Ok(vec![tx]);
    if let Some(trace) = &mut order.trace {
        trace.spans.truncate(9);
    }
    order.can_ship = false;
    order
}

// --- parts that fail, and other ends --------------------------------------------------------

/// A confirmed order while payments is away.
fn payments_away() -> OrderView {
    let mut order = confirmed();
    order.row.order_id = "ord-7F3KDX".into();
    let reason = "payments-v1-1 could not be reached.".into();
    order.transactions = Err(ApiError::Unavailable { reason });
    order
}

/// An order whose payment was voided before payments had begun it.
fn never_begun() -> OrderView {
    use TxMessageKind::{Begin, DecideAbort, End};
    let mut order = declined();
    order.row.order_id = "ord-7F3KEX".into();
    let why = Some("voided, nobody waits for it any more");
    order.transactions = Ok(vec![TransactionView {
        participants: vec![],
        messages: vec![
            message(10_127, Begin, None, None),
            message(10_127, DecideAbort, None, why),
            message(10_127, End, None, None),
        ],
        events: vec![],
        ..declined_transaction()
    }]);
    order
}

/// A confirmed order that was shipped by a request of its own, and another whose trace is gone.
fn shipped_later() -> OrderView {
    let mut order = confirmed();
    order.row.order_id = "ord-7F3KFX".into();
    let row = declined_trace().row;
    order.traces = vec![
        OrderTrace { trace_id: TRACE_CONFIRMED.into(), row: order.trace.clone().map(|t| t.row) },
        OrderTrace { trace_id: TRACE.into(), row: Some(row) },
        OrderTrace { trace_id: "0".repeat(32), row: None },
    ];
    order
}

/// The declined order after its trace made room for others.
fn forgotten() -> OrderView {
    let mut order = declined();
    order.row.order_id = "ord-7F3KHX".into();
    order.trace = None;
    order.traces.iter_mut().for_each(|trace| trace.row = None);
    // The spans of the messages were in it.
    for tx in order.transactions.iter_mut().flatten() {
        tx.messages.iter_mut().for_each(|message| message.span = None);
    }
    order
}

/// Its abort was told again for half a minute after it had ended.
fn told_long_after() -> OrderView {
    let mut order = declined();
    order.row.order_id = "ord-7F3KKX".into();
    if let Some(trace) = &mut order.trace {
        let end_us = trace.row.start_us + trace.row.duration_us;
        let mut abort = trace.spans.iter().find(|span| span.name == "Abort").unwrap().clone();
        abort.span_id = "abort again".into();
        abort.start_us = end_us + 30_000_000;
        trace.row.tail_us = abort.start_us + abort.duration_us - end_us;
        trace.row.duration_us += trace.row.tail_us;
        trace.spans.push(abort);
    }
    order
}

/// The same when its lines have left too.
fn without_lines() -> OrderView {
    let logs_left_until_us = Some(at(90_000));
    let mut order = OrderView { logs: Vec::new(), logs_left_until_us, ..forgotten() };
    order.row.order_id = "ord-7F3KJX".into();
    order
}

/// The declined order while bank-merchant is down: it promised and cannot know.
fn in_doubt() -> OrderView {
    let mut order = declined();
    order.row.order_id = "ord-7F3KGX".into();
    let mut tx = declined_transaction();
    tx.state = TxState::Aborting;
    tx.participants[1].released_us = None;
    tx.messages.truncate(12);
    tx.events.truncate(1);
    order.transactions = Ok(vec![tx]);
    order
}
