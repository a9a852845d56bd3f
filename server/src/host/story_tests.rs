//! The story of a declined order, from what the services recorded.

use super::*;
use contract::{Money, order::Origin};
use saga::Event as S;

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
    let customer = "Flora Petit".into();
    let (transactions, logs) = (vec![], vec![]);
    view(Parts { told: declined(), transactions, customer, trace: None, logs }).unwrap()
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
    assert!(!view.can_cancel && !view.can_ship);
}

#[test]
fn the_saga_shows_forward_steps_the_refusal_and_the_compensation_with_their_versions() {
    let saga = told().saga.unwrap();
    let marks: Vec<_> = saga.steps.iter().map(|s| s.mark).collect();
    assert_eq!(marks, [StepMark::Done, StepMark::Failed, StepMark::NotReached]);
    assert_eq!(saga.steps[1].versions, [3, 4]);
    let undone = saga.compensations[0].as_ref().unwrap();
    assert_eq!((undone.mark, undone.versions.as_slice()), (StepMark::Undone, [6].as_slice()));
    assert_eq!(saga.compensations[1], None);
    assert_eq!(saga.status, SagaStatus::Compensated);
}

#[test]
fn what_is_not_known_yet_is_not_made_up() {
    let mut story = declined();
    story.events.truncate(1);
    story.saga.truncate(1);
    let customer = String::new();
    let (transactions, logs) = (vec![], vec![]);
    let view = view(Parts { told: story, transactions, customer, trace: None, logs }).unwrap();
    let saga = view.saga.unwrap();
    let marks: Vec<_> = saga.steps.iter().map(|s| s.mark).collect();
    assert_eq!(marks, [StepMark::Running, StepMark::NotReached, StepMark::NotReached]);
    assert_eq!(saga.took_us, None);
    assert!(view.can_cancel);
}
