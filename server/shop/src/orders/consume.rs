//! Answers to the saga's commands, as messages.

use super::{
    Attempt, Changed, OrderEvent, Orders,
    decide::{self, Input, PAY, RESERVE, Refusal},
};
use crate::{
    bus::{self, Incoming, unreadable},
    inventory::{NotReserved, Released, Reserved},
    payments::PaymentOutcome,
    problem::Problem,
};
use axum::extract::State;
use http::StatusCode;
use messaging::Message;

pub(super) async fn take(
    State(orders): State<Orders>,
    Incoming(message): Incoming,
) -> Result<StatusCode, Problem> {
    let input = input(&message).map_err(|error| unreadable(&message, &error))?;
    let Some(input) = input else {
        return Err(Problem::field("ce-type", format!("orders does not take {}.", message.topic)));
    };
    if matches!(input, Input::Undone(..) | Input::UndoRefused(..)) {
        tracing::Span::current().record(contract::attributes::SAGA_COMPENSATION, true);
    }
    let attempt = Attempt {
        order_id: message.key.clone(),
        message_id: Some(message.id.clone()),
        expected: None,
        correlation_id: message.correlation_id.clone(),
        trace: message.trace.clone(),
        decide: Box::new(move |record| decide::decide(record, input)),
    };
    match orders.store.change(attempt).await? {
        Changed::Now(version) => {
            tracing::info!(
                order_id = message.key,
                correlation_id = message.correlation_id,
                "{} taken, order at v{version}",
                message.topic,
            );
        }
        Changed::Before => {}
        // An answer the saga does not wait for (it came twice under two ids) is taken as seen.
        Changed::Refused(Refusal::Saga(illegal)) => {
            tracing::warn!(order_id = message.key, "{} changes nothing: {illegal}", message.topic);
        }
        Changed::Refused(refusal) => {
            tracing::warn!(order_id = message.key, "{} changes nothing: {refusal}", message.topic);
        }
        Changed::NoOrder => return Err(Problem::not_found(&format!("order {}", message.key))),
        Changed::Conflict(conflict) => return Err(Problem::conflict(conflict.to_string())),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn input(message: &Message) -> Result<Option<Input>, serde_json::Error> {
    Ok(Some(match message.topic.as_str() {
        bus::INVENTORY_RESERVED => {
            let Reserved { reservation_id, units } = message.read()?;
            Input::Done(RESERVE, OrderEvent::StockReserved { reservation_id, units })
        }
        bus::INVENTORY_REFUSED => {
            let NotReserved { reason } = message.read()?;
            Input::Refused(RESERVE, OrderEvent::StockRefused { reason: reason.clone() }, reason)
        }
        bus::INVENTORY_RELEASED => {
            let Released { units } = message.read()?;
            Input::Undone(RESERVE, OrderEvent::StockReleased { units })
        }
        bus::PAYMENT_AUTHORIZED => {
            let PaymentOutcome { transaction_id, .. } = message.read()?;
            Input::Done(PAY, OrderEvent::PaymentAuthorized { transaction_id })
        }
        bus::PAYMENT_DECLINED => {
            let PaymentOutcome { transaction_id, voter, reason, grounds } = message.read()?;
            let reason = reason.unwrap_or_else(|| "declined".into());
            let line = super::Refusal::of(grounds, &reason).line();
            let event = OrderEvent::PaymentDeclined { transaction_id, voter, reason, grounds };
            Input::Refused(PAY, event, line)
        }
        bus::PAYMENT_REFUNDED => {
            let PaymentOutcome { transaction_id, .. } = message.read()?;
            Input::Undone(PAY, OrderEvent::PaymentRefunded { transaction_id })
        }
        bus::PAYMENT_VOIDED => {
            let PaymentOutcome { transaction_id, reason, .. } = message.read()?;
            let found = reason.unwrap_or_else(|| "no money moved".into());
            Input::Undone(PAY, OrderEvent::PaymentVoided { transaction_id, found })
        }
        bus::PAYMENT_REFUND_REFUSED => {
            let PaymentOutcome { reason, grounds, .. } = message.read()?;
            let reason = reason.unwrap_or_else(|| "refused".into());
            Input::UndoRefused(PAY, super::Refusal::of(grounds, &reason).line())
        }
        _ => return Ok(None),
    }))
}
