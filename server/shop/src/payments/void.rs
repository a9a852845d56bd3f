//! `payment.void`: what undoes a payment of which orders knows nothing. Pure but for the ports.
//!
//! Keyed by the payment: whatever became of it, after the void it has moved no money, or the money
//! goes back. Of a payment never begun the void leaves a transaction that is aborted, which a late
//! `payment.authorize` finds and is refused by.

use super::{
    PaymentOutcome,
    coordinate::{transaction_id, transfer},
};
use crate::{
    bus,
    orders::{MovePayment, VoidPayment},
};
use contract::Money;
use messaging::{Message, NewMessage};
use two_phase_commit::{Decision, Transaction};

/// Why a voided payment was aborted.
pub const VOIDED: &str = "voided, nobody waits for it any more";

/// A void, with what it may make due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// What is recorded of a payment that was never begun: nobody takes part in it.
    pub payment: Transaction,
    /// What gives the money back if it moved.
    pub refund: Transaction,
    /// Whose payment.
    pub user_id: String,
    /// How much.
    pub amount: Money,
    /// Whether there is room to run a refund now.
    pub may_refund: bool,
}

/// Where a void finds the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was not asked for yet, and will be refused when it is.
    NeverBegun,
    /// It is under way and not decided: the void decides.
    Undecided,
    /// It moved no money.
    Aborted,
    /// It moved money.
    Committed,
}

/// What a void came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voided {
    /// The message had been taken before, or the money is on its way back already.
    Before,
    /// No money moved and none will; that is the answer.
    Answered(Found),
    /// The money goes back: this refund began now and is to be run.
    Refunds(Box<Transaction>),
    /// A refund is due and there is no room to run it; nothing is recorded.
    NoRoom,
}

impl Void {
    /// The void that a message asks for.
    #[must_use]
    pub fn of(message: &Message, body: &VoidPayment, may_refund: bool) -> Self {
        let payment = transaction_id(&message.key, &body.command);
        let back = MovePayment { paid_by: Some(payment.clone()), ..body.payment.clone() };
        let refund = transfer(message, &back, true);
        let nobody = Transaction { id: payment, purpose: "payment".to_owned(), ..refund.clone() };
        Self {
            payment: Transaction { branches: Vec::new(), ..nobody },
            refund,
            user_id: body.payment.user_id.clone(),
            amount: body.payment.amount,
            may_refund,
        }
    }

    /// The decision that a void brings about.
    #[must_use]
    pub fn decision() -> Decision {
        Decision::Abort { voter: None, reason: VOIDED.to_owned(), grounds: None }
    }

    /// The answer when no money moved. Its id is the void's own: a void that is redriven is
    /// answered again.
    #[must_use]
    pub fn answer(&self, found: Found) -> NewMessage {
        let found = match found {
            Found::NeverBegun => "nothing to void, never begun",
            Found::Undecided | Found::Aborted | Found::Committed => "nothing to void, 2PC aborted",
        };
        let body = PaymentOutcome {
            transaction_id: self.payment.id.clone(),
            voter: None,
            reason: Some(found.to_owned()),
            grounds: None,
        };
        NewMessage::new(bus::PAYMENT_VOIDED, &self.payment.key, &self.refund.id, &body)
    }
}

impl Found {
    /// Where the payment is: its record if there is one, with its decision if there is one.
    #[must_use]
    pub const fn of(record: Option<Option<&Decision>>) -> Self {
        match record {
            None => Self::NeverBegun,
            Some(None) => Self::Undecided,
            Some(Some(Decision::Abort { .. })) => Self::Aborted,
            Some(Some(Decision::Commit)) => Self::Committed,
        }
    }
}
