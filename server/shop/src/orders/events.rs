//! The order: its events, and the state they make.

use super::Refusal;
use contract::{
    Money,
    order::{OrderStatus, Origin},
    shop::PaymentMethod,
};
use event_sourcing::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use two_phase_commit::Grounds;

/// One line of an order, with the name and price it was placed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    pub product_id: String,
    /// Its name then.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// Price of one then.
    pub unit_price: Money,
}

/// What can happen to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum OrderEvent {
    /// It was accepted.
    OrderPlaced {
        /// Who buys.
        user_id: String,
        /// What.
        lines: Vec<Line>,
        /// For how much.
        total: Money,
        /// Who placed it.
        origin: Origin,
        /// Where the money comes from.
        #[serde(default, skip_serializing_if = "PaymentMethod::is_wallet")]
        payment_method: PaymentMethod,
    },
    /// Inventory holds the goods.
    StockReserved {
        /// Inventory's name for it.
        reservation_id: String,
        /// Pieces altogether.
        units: u64,
    },
    /// Inventory does not have the goods.
    StockRefused {
        /// Why.
        reason: String,
    },
    /// Payments was asked for the money.
    PaymentRequested {
        /// How much.
        amount: Money,
    },
    /// Both banks committed to it.
    PaymentAuthorized {
        /// The two-phase commit.
        transaction_id: String,
    },
    /// A bank voted no, or gave no vote.
    PaymentDeclined {
        /// The two-phase commit.
        transaction_id: String,
        /// Which bank.
        voter: Option<String>,
        /// Why.
        reason: String,
        /// Which of the two; none in events that are older than this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grounds: Option<Grounds>,
    },
    /// Payments did not answer in time: whether money moved is unknown.
    PaymentTimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// Everything is in place.
    OrderConfirmed,
    /// Somebody wants it undone.
    CancellationRequested {
        /// Who.
        origin: Origin,
    },
    /// What was done is being undone; after a refusal once more, when it is redriven.
    CompensationStarted {
        /// How many steps are left to undo.
        steps: usize,
    },
    /// The money went back.
    PaymentRefunded {
        /// The two-phase commit of the refund.
        transaction_id: String,
    },
    /// A payment of unknown outcome turned out to have moved no money, and will move none.
    PaymentVoided {
        /// The two-phase commit.
        transaction_id: String,
        /// Where it was found: "never begun", "2PC aborted".
        found: String,
    },
    /// The goods are back on the shelf.
    StockReleased {
        /// Pieces altogether.
        units: u64,
    },
    /// A compensation was refused.
    CompensationStuck {
        /// The saga's step.
        step: usize,
        /// Why.
        reason: String,
    },
    /// It ended without effect.
    OrderCancelled {
        /// Why: `payment_declined`, `payment_unavailable` (a bank gave no vote),
        /// `payment_timed_out`, `out_of_stock`, `requested`.
        reason: String,
    },
    /// It left the house.
    OrderShipped,
}

impl DomainEvent for OrderEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::OrderPlaced { .. } => "OrderPlaced",
            Self::StockReserved { .. } => "StockReserved",
            Self::StockRefused { .. } => "StockRefused",
            Self::PaymentRequested { .. } => "PaymentRequested",
            Self::PaymentAuthorized { .. } => "PaymentAuthorized",
            Self::PaymentDeclined { .. } => "PaymentDeclined",
            Self::PaymentTimedOut { .. } => "PaymentTimedOut",
            Self::OrderConfirmed => "OrderConfirmed",
            Self::CancellationRequested { .. } => "CancellationRequested",
            Self::CompensationStarted { .. } => "CompensationStarted",
            Self::PaymentRefunded { .. } => "PaymentRefunded",
            Self::PaymentVoided { .. } => "PaymentVoided",
            Self::StockReleased { .. } => "StockReleased",
            Self::CompensationStuck { .. } => "CompensationStuck",
            Self::OrderCancelled { .. } => "OrderCancelled",
            Self::OrderShipped => "OrderShipped",
        }
    }
}

impl OrderEvent {
    /// Who placed the order, if this is how it began.
    #[must_use]
    pub const fn origin(&self) -> Option<Origin> {
        match self {
            Self::OrderPlaced { origin, .. } => Some(*origin),
            _ => None,
        }
    }

    /// The status that the order has from this event on, if it had another one before.
    #[must_use]
    pub const fn status(&self) -> Option<OrderStatus> {
        match self {
            // A confirmed order that is being undone is not at its end again.
            Self::OrderPlaced { .. } | Self::CompensationStarted { .. } => {
                Some(OrderStatus::Processing)
            }
            Self::OrderConfirmed => Some(OrderStatus::Confirmed),
            Self::OrderCancelled { .. } => Some(OrderStatus::Cancelled),
            Self::OrderShipped => Some(OrderStatus::Shipped),
            _ => None,
        }
    }
}

/// What became of the goods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Goods {
    /// Not asked for, or refused.
    #[default]
    None,
    /// Held under this name.
    Held(String),
    /// Given back.
    Released,
}

/// What became of the money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Payment {
    /// Not asked for.
    #[default]
    None,
    /// Asked for.
    Requested,
    /// Moved by this transaction.
    Authorized(String),
    /// Refused.
    Declined,
    /// Asked for and not answered in time.
    Unknown,
    /// Found not to have moved; it never will.
    Voided,
    /// Moved back by this transaction.
    Refunded(String),
}

/// Where the order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Before its first event.
    #[default]
    Unknown,
    /// Forward steps run.
    Placed,
    /// Compensations run.
    Undoing,
    /// Done.
    Confirmed,
    /// Undone.
    Cancelled,
    /// Sent.
    Shipped,
}

/// An order rebuilt from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Who buys.
    pub user_id: String,
    /// What.
    pub lines: Vec<Line>,
    /// For how much.
    pub total: Option<Money>,
    /// Where the money comes from.
    pub payment_method: PaymentMethod,
    /// Where it stands.
    pub standing: Standing,
    /// What became of the goods.
    pub goods: Goods,
    /// What became of the money.
    pub payment: Payment,
    /// Why it is being, or was, undone.
    pub cause: Option<String>,
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        use OrderEvent as E;
        match event.clone() {
            E::OrderPlaced { user_id, lines, total, origin: _, payment_method } => {
                self.payment_method = payment_method;
                self.user_id = user_id;
                self.lines = lines;
                self.total = Some(total);
                self.standing = Standing::Placed;
            }
            E::StockReserved { reservation_id, .. } => self.goods = Goods::Held(reservation_id),
            E::StockRefused { .. } => self.cause = Some("out_of_stock".into()),
            E::PaymentRequested { .. } => self.payment = Payment::Requested,
            E::PaymentAuthorized { transaction_id } => {
                self.payment = Payment::Authorized(transaction_id);
            }
            E::PaymentDeclined { reason, grounds, .. } => {
                // Too late it is no cause any more: the order is being undone already.
                if self.payment != Payment::Unknown {
                    self.cause = Some(Refusal::of(grounds, &reason).code().into());
                }
                self.payment = Payment::Declined;
            }
            E::PaymentTimedOut { .. } => {
                self.payment = Payment::Unknown;
                self.cause.get_or_insert_with(|| "payment_timed_out".into());
            }
            E::PaymentVoided { .. } => self.payment = Payment::Voided,
            E::OrderConfirmed => self.standing = Standing::Confirmed,
            E::CancellationRequested { .. } => self.cause = Some("requested".into()),
            E::CompensationStarted { .. } => self.standing = Standing::Undoing,
            E::PaymentRefunded { transaction_id } => {
                self.payment = Payment::Refunded(transaction_id);
            }
            E::StockReleased { .. } => self.goods = Goods::Released,
            E::CompensationStuck { .. } => {}
            E::OrderCancelled { .. } => self.standing = Standing::Cancelled,
            E::OrderShipped => self.standing = Standing::Shipped,
        }
    }
}
