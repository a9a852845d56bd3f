//! Orders through every way a checkout can go, with the banks and the shelves as plain answers.

use super::*;
use crate::orders::events::Line;
use event_sourcing::Aggregate;

fn placed() -> OrderEvent {
    let unit_price = Money::eur(1_000);
    let line = Line { product_id: "p-1".into(), name: "Cup".into(), quantity: 2, unit_price };
    let (user_id, total) = ("c-1".into(), Money::eur(2_000));
    let payment_method = PaymentMethod::Wallet;
    OrderEvent::OrderPlaced {
        user_id,
        lines: vec![line],
        total,
        origin: Origin::Api,
        payment_method,
    }
}

fn reserved() -> Input {
    Input::Done(RESERVE, OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 2 })
}

fn paid() -> Input {
    Input::Done(PAY, OrderEvent::PaymentAuthorized { transaction_id: "tx-1".into() })
}

fn declined() -> Input {
    let reason = "insufficient funds".to_owned();
    let voter = Some("bank-customer".into());
    let event = OrderEvent::PaymentDeclined {
        transaction_id: "tx-1".into(),
        voter,
        reason: reason.clone(),
        grounds: Some(two_phase_commit::Grounds::VotedNo),
    };
    Input::Refused(PAY, event, reason)
}

fn released() -> Input {
    Input::Undone(RESERVE, OrderEvent::StockReleased { units: 2 })
}

fn refunded() -> Input {
    Input::Undone(PAY, OrderEvent::PaymentRefunded { transaction_id: "tx-2".into() })
}

/// Takes inputs one after the other, as the store would; gives event names and topics.
fn story(inputs: Vec<Input>) -> (OrderRecord, Vec<&'static str>, Vec<&'static str>) {
    let mut record = OrderRecord { order_id: "ord-1".into(), ..OrderRecord::default() };
    let (mut events, mut topics) = (Vec::new(), Vec::new());
    for input in inputs {
        let change = decide(&record, input).unwrap();
        for event in &change.events {
            record.order.apply(event);
            record.version += 1;
            events.push(event_sourcing::DomainEvent::name(event));
        }
        let logged = change.saga.into_iter().map(|event| Entry { at_us: 0, event });
        record.saga.extend(logged);
        topics.extend(change.messages.iter().map(|m| m.topic));
    }
    (record, events, topics)
}

#[test]
fn a_paid_order_is_confirmed() {
    let (record, events, topics) = story(vec![Input::Place(placed()), reserved(), paid()]);
    let expected =
        ["OrderPlaced", "StockReserved", "PaymentRequested", "PaymentAuthorized", "OrderConfirmed"];
    assert_eq!(events, expected);
    assert_eq!(topics, [bus::INVENTORY_RESERVE, bus::PAYMENT_AUTHORIZE, bus::ORDER_CONFIRMED]);
    assert_eq!(record.order.standing, Standing::Confirmed);
}

#[test]
fn a_declined_payment_releases_the_goods_and_cancels() {
    let inputs = vec![Input::Place(placed()), reserved(), declined(), released()];
    let (record, events, topics) = story(inputs);
    let expected = [
        "OrderPlaced",
        "StockReserved",
        "PaymentRequested",
        "PaymentDeclined",
        "CompensationStarted",
        "StockReleased",
        "OrderCancelled",
    ];
    assert_eq!(events, expected);
    assert_eq!(topics, [bus::INVENTORY_RESERVE, bus::PAYMENT_AUTHORIZE, bus::INVENTORY_RELEASE]);
    assert_eq!(record.order.cause.as_deref(), Some("payment_declined"));
}

#[test]
fn an_order_out_of_stock_is_cancelled_with_nothing_to_undo() {
    let refused = Input::Refused(
        RESERVE,
        OrderEvent::StockRefused { reason: "only 1 left".into() },
        "only 1 left".into(),
    );
    let (_, events, topics) = story(vec![Input::Place(placed()), refused]);
    assert_eq!(events, ["OrderPlaced", "StockRefused", "OrderCancelled"]);
    assert_eq!(topics, [bus::INVENTORY_RESERVE]);
}

#[test]
fn a_confirmed_order_is_cancelled_by_refund_then_release() {
    let inputs = vec![
        Input::Place(placed()),
        reserved(),
        paid(),
        Input::Cancel(Origin::Api),
        refunded(),
        released(),
    ];
    let (record, events, topics) = story(inputs);
    assert_eq!(topics[3..], [bus::PAYMENT_REFUND, bus::INVENTORY_RELEASE]);
    assert_eq!(events.last(), Some(&"OrderCancelled"));
    assert_eq!(record.order.payment, Payment::Refunded("tx-2".into()));
}

#[test]
fn a_cancellation_while_paying_waits_for_the_answer_and_then_undoes_it() {
    let inputs = vec![
        Input::Place(placed()),
        reserved(),
        Input::Cancel(Origin::Api),
        paid(),
        refunded(),
        released(),
    ];
    let (record, events, topics) = story(inputs);
    assert!(!events.contains(&"OrderConfirmed"));
    assert_eq!(topics.iter().filter(|t| **t == bus::PAYMENT_AUTHORIZE).count(), 1);
    assert_eq!(record.order.standing, Standing::Cancelled);
}

#[test]
fn a_refused_refund_is_stuck_until_somebody_redrives_it() {
    let stuck = vec![
        Input::Place(placed()),
        reserved(),
        paid(),
        Input::Cancel(Origin::Api),
        Input::UndoRefused(PAY, "account closed".into()),
    ];
    let (record, events, _) = story(stuck.clone());
    assert_eq!(events.last(), Some(&"CompensationStuck"));
    assert_eq!(saga::replay(&CHECKOUT, &record.saga), Ok(State::Stuck { step: PAY }));
    let redriven = decide(&record, Input::Redrive).unwrap();
    assert_eq!(redriven.events, [OrderEvent::CompensationStarted { steps: 2 }]);
    let (record, _, topics) = story([stuck, vec![Input::Redrive, refunded(), released()]].concat());
    assert_eq!(topics.iter().filter(|t| **t == bus::PAYMENT_REFUND).count(), 2);
    assert_eq!(record.order.standing, Standing::Cancelled);
}

fn voided() -> Input {
    let found = "nothing to void, never begun".into();
    Input::Undone(PAY, OrderEvent::PaymentVoided { transaction_id: "tx-1".into(), found })
}

/// An order whose payment timed out, and what comes after.
fn timed_out(then: Vec<Input>) -> (OrderRecord, Vec<&'static str>, Vec<&'static str>) {
    story([vec![Input::Place(placed()), reserved(), Input::PaymentTimedOut], then].concat())
}

#[test]
fn a_payment_that_is_not_answered_is_unknown_and_is_voided_before_the_goods_are_released() {
    let (unknown, ..) = timed_out(vec![]);
    assert_eq!(unknown.order.payment, Payment::Unknown);
    assert_eq!(saga::replay(&CHECKOUT, &unknown.saga), Ok(State::Voiding { step: PAY }));
    let (record, events, topics) = timed_out(vec![voided(), released()]);
    let expected = [
        "OrderPlaced",
        "StockReserved",
        "PaymentRequested",
        "PaymentTimedOut",
        "CompensationStarted",
        "PaymentVoided",
        "StockReleased",
        "OrderCancelled",
    ];
    assert_eq!(events, expected);
    assert_eq!(topics[1..], [bus::PAYMENT_AUTHORIZE, bus::PAYMENT_VOID, bus::INVENTORY_RELEASE]);
    assert_eq!(record.order.cause.as_deref(), Some("payment_timed_out"));
}

#[test]
fn an_answer_after_the_timeout_is_noted_and_the_void_decides() {
    let (record, events, topics) = timed_out(vec![paid(), refunded(), released()]);
    assert_eq!(
        events[5..],
        ["PaymentAuthorized", "PaymentRefunded", "StockReleased", "OrderCancelled"]
    );
    assert!(!topics.contains(&bus::PAYMENT_REFUND), "the void is what gives the money back");
    assert_eq!(record.order.payment, Payment::Refunded("tx-2".into()));
    let (record, ..) = timed_out(vec![declined(), voided(), released()]);
    assert_eq!(record.order.cause.as_deref(), Some("payment_timed_out"));
    // After the void was answered nobody asks what became of the payment.
    let (record, ..) = timed_out(vec![voided()]);
    assert!(matches!(decide(&record, paid()), Err(Refusal::Saga(_))));
    assert!(matches!(decide(&record, Input::PaymentTimedOut), Err(Refusal::Saga(_))));
}

#[test]
fn only_a_payment_that_is_waited_for_can_time_out() {
    let ways = [
        vec![],
        vec![Input::Place(placed())],
        vec![Input::Place(placed()), reserved(), paid()],
        vec![Input::Place(placed()), reserved(), declined()],
    ];
    for inputs in ways {
        let (record, ..) = story(inputs);
        assert!(matches!(decide(&record, Input::PaymentTimedOut), Err(Refusal::Saga(_))));
    }
    let cancelling = vec![
        Input::Place(placed()),
        reserved(),
        Input::Cancel(Origin::Api),
        Input::PaymentTimedOut,
    ];
    let (record, ..) = story(cancelling);
    assert_eq!(record.order.cause.as_deref(), Some("requested"));
    assert!(matches!(decide(&record, Input::Cancel(Origin::Api)), Err(Refusal::Already(_))));
}

#[test]
fn an_answer_of_payments_is_awaited_from_its_command_to_its_answer_or_timeout() {
    let (mut record, mut awaited) = (OrderRecord::default(), Vec::new());
    let inputs = [Input::Place(placed()), reserved(), Input::Cancel(Origin::Api), paid()];
    for input in inputs {
        let change = decide(&record, input).unwrap();
        change.events.iter().for_each(|event| record.order.apply(event));
        record.saga.extend(change.saga.into_iter().map(|event| Entry { at_us: 0, event }));
        awaited.push(change.awaits);
    }
    assert_eq!(awaited, [None, Some(true), None, Some(false)]);
    let (waiting, ..) = story(vec![Input::Place(placed()), reserved()]);
    assert_eq!(decide(&waiting, Input::PaymentTimedOut).unwrap().awaits, Some(false));
}

#[test]
fn a_void_names_the_command_it_voids_and_is_a_new_message_when_it_is_redriven() {
    let (waiting, ..) = story(vec![Input::Place(placed()), reserved()]);
    let (before, ..) = story(vec![Input::Place(placed())]);
    let authorize = decide(&before, reserved()).unwrap().messages.remove(0);
    let void = decide(&waiting, Input::PaymentTimedOut).unwrap().messages.remove(0);
    let body: VoidPayment = serde_json::from_value(void.body).unwrap();
    assert_eq!((void.topic, body.command), (bus::PAYMENT_VOID, authorize.id));
    let (stuck, ..) = timed_out(vec![Input::UndoRefused(PAY, "account closed".into())]);
    let again = decide(&stuck, Input::Redrive).unwrap().messages.remove(0);
    assert_eq!(again.topic, bus::PAYMENT_VOID);
    assert_ne!(again.id, void.id);
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let (record, ..) = story(vec![Input::Place(placed()), reserved(), paid()]);
    assert!(matches!(decide(&record, paid()), Err(Refusal::Saga(_))));
    assert!(matches!(decide(&record, released()), Err(Refusal::Saga(_))));
}

#[test]
fn shipping_and_cancelling_keep_their_rules() {
    let (processing, ..) = story(vec![Input::Place(placed())]);
    assert!(matches!(decide(&processing, Input::Ship), Err(Refusal::NotNow(_))));
    let confirmed = vec![Input::Place(placed()), reserved(), paid()];
    let (shipped, ..) = story([confirmed, vec![Input::Ship]].concat());
    assert!(matches!(decide(&shipped, Input::Ship), Err(Refusal::Already("shipped"))));
    assert!(matches!(decide(&shipped, Input::Cancel(Origin::Api)), Err(Refusal::NotNow(_))));
    let unknown = OrderRecord::default();
    assert!(matches!(decide(&unknown, Input::Cancel(Origin::Api)), Err(Refusal::NotNow(_))));
}

#[test]
fn every_message_of_an_order_has_its_own_id() {
    let inputs = vec![
        Input::Place(placed()),
        reserved(),
        paid(),
        Input::Cancel(Origin::Api),
        refunded(),
        released(),
    ];
    let mut record = OrderRecord { order_id: "ord-1".into(), ..OrderRecord::default() };
    let mut ids = std::collections::BTreeSet::new();
    for input in inputs {
        let change = decide(&record, input).unwrap();
        change.events.iter().for_each(|event| record.order.apply(event));
        record.saga.extend(change.saga.into_iter().map(|event| Entry { at_us: 0, event }));
        for message in change.messages {
            assert!(ids.insert(message.id.clone()), "{} twice", message.id);
        }
    }
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_refund_says_how_and_by_which_transaction_the_order_was_paid() {
    let OrderEvent::OrderPlaced { user_id, lines, total, origin, .. } = placed() else {
        panic!("an order begins by being placed");
    };
    let payment_method = PaymentMethod::Card;
    let by_card = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let (record, ..) = story(vec![Input::Place(by_card), reserved(), paid()]);
    let refund = decide(&record, Input::Cancel(Origin::Api)).unwrap().messages.remove(0);
    assert_eq!(refund.topic, bus::PAYMENT_REFUND);
    let body: MovePayment = serde_json::from_value(refund.body).unwrap();
    assert_eq!((body.method, body.paid_by.as_deref()), (PaymentMethod::Card, Some("tx-1")));
}

#[test]
fn what_was_recorded_before_there_were_cards_is_paid_from_the_wallet() {
    let old = serde_json::json!({ "user_id": "c-1", "amount": Money::eur(5) });
    let body: MovePayment = serde_json::from_value(old.clone()).unwrap();
    assert_eq!((body.method, body.paid_by.clone()), (PaymentMethod::Wallet, None));
    assert_eq!(serde_json::to_value(body).unwrap(), old);
}
