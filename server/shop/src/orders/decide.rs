//! What happens to an order next: pure, from its state, its saga and what came in.
//!
//! Every decision is events for the stream, events for the saga's log, and messages for the
//! outbox, which the store records in one transaction.

use super::events::{Goods, Order, OrderEvent, Payment, Standing};
use crate::bus;
use contract::{
    Money,
    order::Origin,
    service::{INVENTORY, ORDERS, PAYMENTS},
    shop::PaymentMethod,
};
use messaging::NewMessage;
use saga::{Command, Definition, Entry, Event as SagaEvent, Illegal, State, Step};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Index of the step that reserves the goods.
pub const RESERVE: usize = 0;
/// Index of the step that moves the money.
pub const PAY: usize = 1;
/// Index of the step that confirms.
pub const CONFIRM: usize = 2;

/// How long the saga waits for the answer to `payment.authorize` before it is voided, from
/// `PaymentRequested`. Longer than a bank that hangs keeps payments from deciding (three tries of
/// three seconds), so that a slow bank ends in a decline, and a payment that is never taken or
/// never answered in a void.
pub const PAYMENT_PATIENCE: Duration = Duration::from_secs(10);

/// The saga of every order.
pub const CHECKOUT: Definition = Definition {
    name: "checkout",
    steps: &[
        Step {
            name: "Reserve inventory",
            compensation_name: "Release inventory",
            void_name: "Release inventory",
            service: INVENTORY,
        },
        Step {
            name: "Authorize payment",
            compensation_name: "Refund payment",
            void_name: "Void payment",
            service: PAYMENTS,
        },
        Step {
            name: "Confirm order",
            compensation_name: "Withdraw order",
            void_name: "Withdraw order",
            service: ORDERS,
        },
    ],
};

/// Body of `inventory.reserve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveStock {
    /// Product and quantity.
    pub lines: Vec<(String, u32)>,
}

/// Body of `payment.authorize` and `payment.refund`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovePayment {
    /// Whose account.
    pub user_id: String,
    /// How much.
    pub amount: Money,
    /// Where the customer's money is.
    #[serde(default, skip_serializing_if = "PaymentMethod::is_wallet")]
    pub method: PaymentMethod,
    /// Of a refund: the transaction that paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_by: Option<String>,
}

/// Body of `payment.void`: undo a payment of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidPayment {
    /// Id of the `payment.authorize` message that asked for it.
    pub command: String,
    /// What it asked for.
    pub payment: MovePayment,
}

/// Body of `order.confirmed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Who bought.
    pub user_id: String,
    /// Products bought together.
    pub product_ids: Vec<String>,
}

/// What came in for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is placed: the event is the first one.
    Place(OrderEvent),
    /// A step answered yes; the event says what was done.
    Done(usize, OrderEvent),
    /// A step answered no; the event says why.
    Refused(usize, OrderEvent, String),
    /// The payment was not answered within its patience.
    PaymentTimedOut,
    /// A compensation is done; the event says what was undone.
    Undone(usize, OrderEvent),
    /// A compensation was refused.
    UndoRefused(usize, String),
    /// Somebody wants it cancelled.
    Cancel(Origin),
    /// Somebody wants it shipped.
    Ship,
    /// Somebody wants a refused compensation tried again.
    Redrive,
}

/// What to record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// For the order's stream.
    pub events: Vec<OrderEvent>,
    /// For the saga's log.
    pub saga: Vec<SagaEvent>,
    /// For the outbox.
    pub messages: Vec<NewMessage>,
    /// Whether an answer of payments is waited for from now on, if that changes.
    pub awaits: Option<bool>,
}

/// Why an input changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is so already.
    #[error("the order is {0} already")]
    Already(&'static str),
    /// The order's state does not allow it.
    #[error("{0}")]
    NotNow(&'static str),
    /// The saga's state does not allow it: an answer nobody asked for.
    #[error(transparent)]
    Saga(#[from] Illegal),
}

/// The order with its saga, as recorded.
#[derive(Clone, Debug, Default)]
pub struct OrderRecord {
    /// `ord-…`.
    pub order_id: String,
    /// Its state.
    pub order: Order,
    /// Version of its last event.
    pub version: u64,
    /// The saga's log.
    pub saga: Vec<Entry>,
    /// On every event.
    pub correlation_id: Option<String>,
}

/// Decides. The record is not changed.
///
/// # Errors
/// When the input changes nothing, with the reason.
pub fn decide(record: &OrderRecord, input: Input) -> Result<Change, Refusal> {
    let state = saga::replay(&CHECKOUT, &record.saga)?;
    let mut flow = Flow {
        record,
        order: record.order.clone(),
        state,
        logged: record.saga.len(),
        change: Change::default(),
    };
    flow.take(input)?;
    Ok(flow.change)
}

/// A decision in the making: events are applied as they are decided.
struct Flow<'a> {
    record: &'a OrderRecord,
    order: Order,
    state: State,
    logged: usize,
    change: Change,
}

impl Flow<'_> {
    fn take(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::Place(event) => {
                self.event(event);
                self.advance(SagaEvent::Started)
            }
            Input::Done(step, event) => self.answer(event, SagaEvent::StepDone { step }),
            Input::Refused(step, event, reason) => {
                self.answer(event, SagaEvent::StepRefused { step, reason })
            }
            Input::PaymentTimedOut => {
                let seconds = PAYMENT_PATIENCE.as_secs();
                let event = OrderEvent::PaymentTimedOut { seconds };
                self.answer(event, SagaEvent::StepTimedOut { step: PAY })
            }
            Input::Undone(step, event) => self.answer(event, SagaEvent::Undone { step }),
            Input::UndoRefused(step, reason) => {
                let event = OrderEvent::CompensationStuck { step, reason: reason.clone() };
                self.answer(event, SagaEvent::UndoRefused { step, reason })
            }
            Input::Cancel(origin) => self.cancel(origin),
            Input::Ship => self.ship(),
            Input::Redrive => match self.state {
                State::Stuck { step } => {
                    self.event(OrderEvent::CompensationStarted { steps: step + 1 });
                    self.advance(SagaEvent::Redriven)
                }
                _ => Err(Refusal::NotNow("only a stuck order can be redriven")),
            },
        }
    }

    /// An answer to a command: first whether the saga expects it, then what it says.
    fn answer(&mut self, event: OrderEvent, answer: SagaEvent) -> Result<(), Refusal> {
        self.state.next(&CHECKOUT, &answer)?;
        self.event(event);
        self.advance(answer)
    }

    fn cancel(&mut self, origin: Origin) -> Result<(), Refusal> {
        match self.order.standing {
            Standing::Unknown => return Err(Refusal::NotNow("there is no such order")),
            Standing::Shipped => {
                return Err(Refusal::NotNow("a shipped order cannot be cancelled"));
            }
            Standing::Cancelled => return Err(Refusal::Already("cancelled")),
            Standing::Undoing => return Err(Refusal::Already("being cancelled")),
            Standing::Placed if matches!(self.state, State::Cancelling { .. }) => {
                return Err(Refusal::Already("being cancelled"));
            }
            Standing::Placed | Standing::Confirmed => {}
        }
        self.event(OrderEvent::CancellationRequested { origin });
        self.advance(SagaEvent::CancelRequested)
    }

    fn ship(&mut self) -> Result<(), Refusal> {
        match self.order.standing {
            Standing::Confirmed => {}
            Standing::Shipped => return Err(Refusal::Already("shipped")),
            _ => return Err(Refusal::NotNow("only a confirmed order can be shipped")),
        }
        self.event(OrderEvent::OrderShipped);
        self.message(bus::ORDER_SHIPPED, &serde_json::json!({}));
        Ok(())
    }

    fn event(&mut self, event: OrderEvent) {
        event_sourcing::Aggregate::apply(&mut self.order, &event);
        self.change.events.push(event);
    }

    /// Lets the saga take an event, then sends the command that became due, if one did.
    fn advance(&mut self, event: SagaEvent) -> Result<(), Refusal> {
        let before = self.state;
        self.state = before.next(&CHECKOUT, &event)?;
        if self.state.awaits(PAY) != before.awaits(PAY) {
            self.change.awaits = Some(self.state.awaits(PAY));
        }
        self.change.saga.push(event);
        if self.state.due() != before.due() {
            self.command()?;
        }
        Ok(())
    }

    fn command(&mut self) -> Result<(), Refusal> {
        if let State::Compensating { step } | State::Voiding { step } = self.state
            && self.order.standing != Standing::Undoing
        {
            self.event(OrderEvent::CompensationStarted { steps: step + 1 });
        }
        match self.state.due() {
            Some(Command::Do(RESERVE)) => {
                let lines = self.order.lines.iter();
                let lines = lines.map(|l| (l.product_id.clone(), l.quantity)).collect();
                self.message(bus::INVENTORY_RESERVE, &ReserveStock { lines });
            }
            Some(Command::Do(PAY)) => {
                let payment = self.payment();
                self.event(OrderEvent::PaymentRequested { amount: payment.amount });
                self.message(bus::PAYMENT_AUTHORIZE, &payment);
            }
            Some(Command::Do(_)) => {
                self.event(OrderEvent::OrderConfirmed);
                let product_ids = self.order.lines.iter().map(|l| l.product_id.clone()).collect();
                let user_id = self.order.user_id.clone();
                self.message(bus::ORDER_CONFIRMED, &Confirmed { user_id, product_ids });
                return self.advance(SagaEvent::StepDone { step: CONFIRM });
            }
            Some(Command::Undo(RESERVE)) => {
                self.message(bus::INVENTORY_RELEASE, &serde_json::json!({}));
            }
            Some(Command::Undo(PAY)) => {
                let payment = self.payment();
                if payment.paid_by.is_some() {
                    self.message(bus::PAYMENT_REFUND, &payment);
                } else {
                    let command = self.authorize_id();
                    self.message(bus::PAYMENT_VOID, &VoidPayment { command, payment });
                }
            }
            // Confirming touched nobody else: withdrawing it is the event that is written anyway.
            Some(Command::Undo(step)) => return self.advance(SagaEvent::Undone { step }),
            None if self.state == State::Compensated => {
                let reason = self.order.cause.clone().unwrap_or_else(|| "requested".into());
                self.event(OrderEvent::OrderCancelled { reason });
            }
            None => {}
        }
        Ok(())
    }

    fn payment(&self) -> MovePayment {
        let amount = self.order.total.unwrap_or(Money::eur(0));
        let paid_by = match &self.order.payment {
            Payment::Authorized(transaction_id) => Some(transaction_id.clone()),
            _ => None,
        };
        let (user_id, method) = (self.order.user_id.clone(), self.order.payment_method);
        MovePayment { user_id, amount, method, paid_by }
    }

    /// The id that `payment.authorize` was sent under: the command of the step that comes after
    /// the goods.
    fn authorize_id(&self) -> String {
        let log = self.record.saga.iter().map(|entry| &entry.event).chain(&self.change.saga);
        let before = log.take_while(|event| **event != SagaEvent::StepDone { step: RESERVE });
        let cause = (before.count() + 1).to_string();
        NewMessage::id(bus::PAYMENT_AUTHORIZE, &self.record.order_id, &cause)
    }

    fn message<T: Serialize>(&mut self, topic: &'static str, body: &T) {
        // The place in the saga's log makes the id the same when the same decision is made again.
        let cause = (self.logged + self.change.saga.len()).to_string();
        self.change.messages.push(NewMessage::new(topic, &self.record.order_id, &cause, body));
    }
}

/// The order's state as facts for people, in reading order.
#[must_use]
pub fn facts(order: &Order) -> Vec<(String, String)> {
    let status = match (order.standing, order.cause.as_deref()) {
        (Standing::Unknown, _) => "unknown",
        (Standing::Placed, Some("payment_declined")) => "payment_declined",
        (Standing::Placed, Some("payment_unavailable")) => "payment_unavailable",
        (Standing::Placed, Some("out_of_stock")) => "out_of_stock",
        (Standing::Placed, Some("payment_timed_out")) => "payment_timed_out",
        (Standing::Placed, Some(_)) => "cancelling",
        (Standing::Placed, None) => "placed",
        (Standing::Undoing, _) => "compensating",
        (Standing::Confirmed, _) => "confirmed",
        (Standing::Cancelled, _) => "cancelled",
        (Standing::Shipped, _) => "shipped",
    };
    let reservation = match &order.goods {
        Goods::None => "none".to_owned(),
        Goods::Held(id) => format!("{id} held"),
        Goods::Released => "released".to_owned(),
    };
    let payment = match &order.payment {
        Payment::None => "none".to_owned(),
        Payment::Requested => "requested".to_owned(),
        Payment::Authorized(tx) => format!("{tx} authorized"),
        Payment::Declined => "declined".to_owned(),
        Payment::Unknown => "unknown".to_owned(),
        Payment::Voided => "voided".to_owned(),
        Payment::Refunded(tx) => format!("{tx} refunded"),
    };
    let total = order.total.map_or_else(String::new, |total| total.to_string());
    [
        ("status", status.to_owned()),
        ("reservation", reservation),
        ("payment", payment),
        ("total", total),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
