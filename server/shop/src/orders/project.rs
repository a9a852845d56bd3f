//! The read model: one row per order, folded from its events.

use super::{Refusal, events::OrderEvent};
use contract::order::{OrderRow, OrderStatus, StepMark};
use event_sourcing::Recorded;

/// The row after an event. The first event of an order makes it; an event that the row has seen
/// already, or that belongs to no row, leaves it as it is.
#[must_use]
pub fn project(
    order_id: &str,
    row: Option<OrderRow>,
    recorded: &Recorded<OrderEvent>,
) -> Option<OrderRow> {
    let Some(row) = row else { return first(order_id, recorded) };
    if row.version >= recorded.version {
        return None;
    }
    Some(next(row, recorded))
}

/// The row of a whole stream; none if it does not begin with an order that was placed.
#[must_use]
pub(super) fn folded(order_id: &str, events: &[Recorded<OrderEvent>]) -> Option<OrderRow> {
    let (first_event, later) = events.split_first()?;
    let row = first(order_id, first_event)?;
    Some(later.iter().fold(row, next))
}

/// The row that the first event makes.
fn first(order_id: &str, recorded: &Recorded<OrderEvent>) -> Option<OrderRow> {
    use StepMark::{NotReached, Running};
    let OrderEvent::OrderPlaced { user_id, total, origin, .. } = &recorded.event else {
        return None;
    };
    Some(OrderRow {
        order_id: order_id.to_owned(),
        user_id: user_id.clone(),
        total: *total,
        status: OrderStatus::Processing,
        phase: "Reserving stock".into(),
        steps: [Running, NotReached, NotReached],
        placed_at_us: recorded.at_us,
        took_us: None,
        origin: *origin,
        version: recorded.version,
    })
}

fn next(mut row: OrderRow, recorded: &Recorded<OrderEvent>) -> OrderRow {
    use StepMark::{Done, Failed, Running, Stuck, Undone, Unknown};
    row.version = recorded.version;
    row.status = recorded.event.status().unwrap_or(row.status);
    let mut say = |phase: &str| phase.clone_into(&mut row.phase);
    match &recorded.event {
        OrderEvent::OrderPlaced { .. } => {}
        OrderEvent::StockReserved { .. } => {
            row.steps[0] = Done;
        }
        OrderEvent::StockRefused { .. } => {
            say("Out of stock");
            row.steps[0] = Failed;
        }
        OrderEvent::PaymentRequested { .. } => {
            say("Paying");
            row.steps[1] = Running;
        }
        OrderEvent::PaymentAuthorized { .. } => row.steps[1] = Done,
        OrderEvent::PaymentDeclined { reason, grounds, .. } => {
            say(Refusal::of(*grounds, reason).phase());
            row.steps[1] = Failed;
        }
        OrderEvent::PaymentTimedOut { .. } => {
            say("Payment timed out");
            row.steps[1] = Unknown;
        }
        OrderEvent::OrderConfirmed => {
            say("Confirmed");
            row.steps[2] = Done;
            row.took_us = Some(recorded.at_us - row.placed_at_us);
        }
        OrderEvent::CancellationRequested { .. } => say("Cancelling"),
        OrderEvent::CompensationStarted { .. } => {
            if row.steps[2] == Done {
                row.steps[2] = Undone;
            }
            // Redriven: what could not be undone is done still, and is undone again.
            if let Some(stuck) = row.steps.iter_mut().find(|mark| **mark == Stuck) {
                *stuck = Done;
                row.phase = "Cancelling".into();
            }
        }
        OrderEvent::PaymentRefunded { .. } | OrderEvent::PaymentVoided { .. } => {
            row.steps[1] = Undone;
        }
        OrderEvent::StockReleased { .. } => row.steps[0] = Undone,
        OrderEvent::CompensationStuck { step, .. } => {
            say("Stuck");
            if let Some(mark) = row.steps.get_mut(*step) {
                *mark = Stuck;
            }
        }
        OrderEvent::OrderCancelled { reason } => {
            if let Some(phase) = ended(reason, &row.phase) {
                row.phase = phase.to_owned();
            }
            row.took_us = row.took_us.or(Some(recorded.at_us - row.placed_at_us));
        }
        OrderEvent::OrderShipped => say("Shipped"),
    }
    row
}

/// The phase of an order that was cancelled; none where what it was stays: it says more.
fn ended(reason: &str, phase: &str) -> Option<&'static str> {
    match reason {
        "payment_unavailable" => None,
        // As orders were recorded before that word was.
        "payment_declined" if phase.starts_with("Bank") => None,
        "payment_declined" => Some("Payment declined"),
        "payment_timed_out" => Some("Payment timed out"),
        "out_of_stock" => Some("Out of stock"),
        _ => Some("Cancelled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Money, order::Origin, shop::PaymentMethod};
    use two_phase_commit::Grounds;

    fn recorded(version: u64, event: OrderEvent) -> Recorded<OrderEvent> {
        Recorded { version, at_us: i64::try_from(version).unwrap() * 1_000, event }
    }

    fn placed() -> Recorded<OrderEvent> {
        let (user_id, total) = ("c-1".into(), Money::eur(5));
        let (origin, payment_method) = (Origin::Load, PaymentMethod::Wallet);
        let event =
            OrderEvent::OrderPlaced { user_id, lines: vec![], total, origin, payment_method };
        recorded(1, event)
    }

    #[test]
    fn a_declined_order_shows_what_failed_and_what_was_undone() {
        let declined = OrderEvent::PaymentDeclined {
            transaction_id: "tx".into(),
            voter: None,
            reason: "insufficient funds".into(),
            grounds: Some(Grounds::VotedNo),
        };
        let events = [
            placed(),
            recorded(2, OrderEvent::StockReserved { reservation_id: "r".into(), units: 1 }),
            recorded(3, OrderEvent::PaymentRequested { amount: Money::eur(5) }),
            recorded(4, declined),
            recorded(5, OrderEvent::CompensationStarted { steps: 1 }),
            recorded(6, OrderEvent::StockReleased { units: 1 }),
            recorded(7, OrderEvent::OrderCancelled { reason: "payment_declined".into() }),
        ];
        let row = events.iter().fold(None, |row, event| project("ord-1", row, event)).unwrap();
        assert_eq!(row.steps, [StepMark::Undone, StepMark::Failed, StepMark::NotReached]);
        assert_eq!((row.status, row.took_us), (OrderStatus::Cancelled, Some(6_000)));
        assert_eq!(row.phase, "Payment declined");
    }

    #[test]
    fn an_order_whose_bank_gave_no_vote_says_so_to_its_end() {
        let declined = OrderEvent::PaymentDeclined {
            transaction_id: "tx".into(),
            voter: Some("bank-merchant".into()),
            reason: "the circuit breaker for bank-merchant is open".into(),
            grounds: Some(Grounds::NotAsked),
        };
        let events = [
            placed(),
            recorded(2, declined),
            recorded(3, OrderEvent::CompensationStarted { steps: 1 }),
            recorded(4, OrderEvent::OrderCancelled { reason: "payment_declined".into() }),
        ];
        let row = events.iter().fold(None, |row, event| project("ord-1", row, event)).unwrap();
        assert_eq!(row.phase, "Bank not asked, breaker open");
    }

    #[test]
    fn a_confirmed_order_that_is_being_undone_is_processing_again() {
        let confirmed = [placed(), recorded(2, OrderEvent::OrderConfirmed)];
        let row = confirmed.iter().fold(None, |row, event| project("ord-1", row, event)).unwrap();
        assert_eq!(row.status, OrderStatus::Confirmed);
        let undoing = recorded(3, OrderEvent::CompensationStarted { steps: 3 });
        let row = project("ord-1", Some(row), &undoing).unwrap();
        assert_eq!((row.status, row.steps[2]), (OrderStatus::Processing, StepMark::Undone));
    }

    #[test]
    fn a_stuck_order_that_is_redriven_is_stuck_no_longer() {
        let reason = "account closed".to_owned();
        let stuck = [
            placed(),
            recorded(2, OrderEvent::PaymentAuthorized { transaction_id: "tx".into() }),
            recorded(3, OrderEvent::OrderConfirmed),
            recorded(4, OrderEvent::CompensationStarted { steps: 3 }),
            recorded(5, OrderEvent::CompensationStuck { step: 1, reason }),
        ];
        let row = stuck.iter().fold(None, |row, event| project("ord-1", row, event)).unwrap();
        assert_eq!((row.phase.as_str(), row.steps[1]), ("Stuck", StepMark::Stuck));
        let redriven = recorded(6, OrderEvent::CompensationStarted { steps: 2 });
        let row = project("ord-1", Some(row), &redriven).unwrap();
        assert_eq!((row.phase.as_str(), row.steps[1]), ("Cancelling", StepMark::Done));
    }

    #[test]
    fn an_event_seen_before_changes_nothing() {
        let row = project("ord-1", None, &placed());
        assert_eq!(project("ord-1", row.clone(), &placed()), None);
        let confirmed = recorded(2, OrderEvent::OrderConfirmed);
        let once = project("ord-1", row, &confirmed);
        assert_eq!(project("ord-1", once, &confirmed), None);
    }
}
