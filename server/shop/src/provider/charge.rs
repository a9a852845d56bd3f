//! What a payment provider decides: pure, from what it keeps and what it is asked.
//!
//! Charges and refunds are one kind of thing, an operation: it is held, then done or cancelled, and
//! asking again changes nothing. The ledger is double entry: what was taken from cards stands on
//! the clearing account, owed to the merchant's bank.

use crate::bank::{CLEARING, Posting, transfer};
use contract::Money;

/// The cards of the world.
pub const CARDS: &str = "cards";
/// The most the test card pays at once, minor units: 600.00. A charge above it is declined, always.
pub const CARD_LIMIT: i64 = 60_000;

/// Which way the money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From a card to the merchant.
    Charge,
    /// Back to the card.
    Refund,
}

impl Kind {
    /// What the operation of an idempotency key is called, so that a client whose request was not
    /// answered can name it.
    #[must_use]
    pub fn id(self, key: &str) -> String {
        match self {
            Self::Charge => format!("ch_{key}"),
            Self::Refund => format!("re_{key}"),
        }
    }

    /// Where operations of this kind are.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Charge => "/v1/charges",
            Self::Refund => "/v1/refunds",
        }
    }

    /// The last part of the path that does what is held.
    #[must_use]
    pub const fn commit_step(self) -> &'static str {
        match self {
            Self::Charge => "capture",
            Self::Refund => "confirm",
        }
    }
}

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Promised, not decided.
    Held,
    /// The money moved.
    Done,
    /// It will not move.
    Canceled,
    /// It was never promised.
    Refused,
}

/// A request to move money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// See [`Kind::id`].
    pub id: String,
    /// Which way.
    pub kind: Kind,
    /// Whose card, or which charge is given back.
    pub target: String,
    /// How much.
    pub amount: Money,
    /// What it is about.
    pub order_id: String,
}

/// An operation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub asked: Asked,
    /// Where it is.
    pub progress: Progress,
    /// Why it was refused or cancelled.
    pub reason: Option<String>,
}

/// What is kept of a charge when a refund of it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refundable {
    /// The charge.
    pub charge: Operation,
    /// Given back of it already, or promised, minor units.
    pub refunded: i64,
}

/// The request cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The idempotency key was used for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// There is nothing of that name.
    #[error("there is no {0}")]
    Unknown(String),
    /// It is decided already, the other way.
    #[error("{id} is {is} and cannot be {asked}")]
    Decided {
        /// Which operation.
        id: String,
        /// How it was decided.
        is: &'static str,
        /// What was asked.
        asked: &'static str,
    },
}

/// Promises or refuses. `known` is what is kept under the id, `of` what a refund gives back.
///
/// # Errors
/// When the key was used for something else.
pub fn hold(
    known: Option<&Operation>,
    of: Option<&Refundable>,
    asked: &Asked,
) -> Result<Operation, Conflict> {
    if let Some(known) = known {
        // What was cancelled before it was heard of has no request of its own.
        let tombstone = known.asked.target.is_empty();
        return match known.asked == *asked || tombstone {
            true => Ok(known.clone()),
            false => Err(Conflict::KeyReused),
        };
    }
    let refusal = match asked.kind {
        Kind::Charge => declined(asked),
        Kind::Refund => not_refundable(of, asked),
    };
    let progress = if refusal.is_some() { Progress::Refused } else { Progress::Held };
    Ok(Operation { asked: asked.clone(), progress, reason: refusal })
}

fn declined(asked: &Asked) -> Option<String> {
    match asked.amount.minor {
        ..=0 => Some("nothing to charge".into()),
        minor if minor > CARD_LIMIT => {
            Some(format!("card declined: over its limit of {}", Money::eur(CARD_LIMIT)))
        }
        _ => None,
    }
}

fn not_refundable(of: Option<&Refundable>, asked: &Asked) -> Option<String> {
    let Some(Refundable { charge, refunded }) = of else {
        return Some(format!("no charge {}", asked.target));
    };
    let captured = charge.asked.kind == Kind::Charge && charge.progress == Progress::Done;
    let left = charge.asked.amount.minor.saturating_sub(*refunded);
    match asked.amount.minor {
        _ if !captured => Some(format!("{} was not captured", asked.target)),
        ..=0 => Some("nothing to refund".into()),
        minor if minor > left => Some(format!("{left} of {} is left to refund", asked.target)),
        _ => None,
    }
}

/// What a decision does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The operation after it.
    pub operation: Operation,
    /// For the ledger; two with sum zero, or none.
    pub postings: Vec<Posting>,
}

/// Does what is held, or cancels it. Cancelling what was never heard of is kept too: the request
/// that may still come finds it cancelled.
///
/// # Errors
/// When it is decided the other way, or there is nothing to do.
pub fn settle(
    known: Option<&Operation>,
    (kind, id): (Kind, &str),
    commit: bool,
) -> Result<Settled, Conflict> {
    let Some(known) = known else {
        if commit {
            return Err(Conflict::Unknown(id.to_owned()));
        }
        let (target, order_id) = (String::new(), String::new());
        let asked = Asked { id: id.to_owned(), kind, target, amount: Money::eur(0), order_id };
        let (progress, reason) = (Progress::Canceled, Some("cancelled".to_owned()));
        return Ok(Settled {
            operation: Operation { asked, progress, reason },
            postings: Vec::new(),
        });
    };
    let decided = |is, asked| Err(Conflict::Decided { id: id.to_owned(), is, asked });
    let done = |progress, postings| {
        let mut operation = known.clone();
        if operation.progress != progress && progress == Progress::Canceled {
            operation.reason = Some("cancelled".to_owned());
        }
        operation.progress = progress;
        Ok(Settled { operation, postings })
    };
    match (known.progress, commit) {
        (Progress::Held, true) => done(Progress::Done, postings(&known.asked)),
        (Progress::Held, false) => done(Progress::Canceled, Vec::new()),
        (Progress::Done, true) => done(Progress::Done, Vec::new()),
        (Progress::Canceled, false) => done(Progress::Canceled, Vec::new()),
        // There is nothing to cancel of what was refused.
        (Progress::Refused, false) => done(Progress::Refused, Vec::new()),
        (Progress::Done, false) => decided("done", "cancelled"),
        (Progress::Canceled, true) => decided("cancelled", "done"),
        (Progress::Refused, true) => decided("refused", "done"),
    }
}

fn postings(asked: &Asked) -> Vec<Posting> {
    match asked.kind {
        Kind::Charge => transfer(CARDS, CLEARING, asked.amount.minor),
        Kind::Refund => transfer(CLEARING, CARDS, asked.amount.minor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(minor: i64) -> Asked {
        Asked {
            id: Kind::Charge.id("k"),
            kind: Kind::Charge,
            target: "c-1".into(),
            amount: Money::eur(minor),
            order_id: "ord-1".into(),
        }
    }

    fn refund(minor: i64) -> Asked {
        let (id, target) = (Kind::Refund.id("r"), Kind::Charge.id("k"));
        Asked { id, kind: Kind::Refund, target, ..charge(minor) }
    }

    fn held(asked: &Asked) -> Operation {
        hold(None, None, asked).unwrap()
    }

    fn at(progress: Progress) -> Operation {
        Operation { progress, ..held(&charge(100)) }
    }

    fn of(progress: Progress, refunded: i64) -> Refundable {
        Refundable { charge: at(progress), refunded }
    }

    #[test]
    fn a_charge_over_the_limit_of_the_card_is_declined_and_one_at_it_is_not() {
        assert_eq!(held(&charge(CARD_LIMIT)).progress, Progress::Held);
        let over = held(&charge(CARD_LIMIT + 1));
        assert_eq!(over.progress, Progress::Refused);
        assert!(over.reason.unwrap().contains("600.00"));
        assert_eq!(held(&charge(0)).progress, Progress::Refused);
    }

    #[test]
    fn asking_again_is_answered_alike_and_another_question_under_the_key_is_refused() {
        let first = held(&charge(100));
        assert_eq!(hold(Some(&first), None, &charge(100)), Ok(first.clone()));
        assert_eq!(hold(Some(&first), None, &charge(101)), Err(Conflict::KeyReused));
        let declined = held(&charge(CARD_LIMIT + 1));
        assert_eq!(hold(Some(&declined), None, &charge(CARD_LIMIT + 1)), Ok(declined));
    }

    #[test]
    fn what_was_cancelled_before_it_was_heard_of_stays_cancelled() {
        let id = Kind::Charge.id("k");
        let tombstone = settle(None, (Kind::Charge, &id), false).unwrap().operation;
        assert_eq!(tombstone.progress, Progress::Canceled);
        let late = hold(Some(&tombstone), None, &charge(100)).unwrap();
        assert_eq!(late.progress, Progress::Canceled);
        assert_eq!(settle(None, (Kind::Charge, &id), true), Err(Conflict::Unknown(id.clone())));
    }

    #[test]
    fn a_decision_holds_in_every_state_and_money_moves_once() {
        use Progress::{Canceled, Done, Held, Refused};
        let table = [
            (Held, true, Some((Done, 2))),
            (Held, false, Some((Canceled, 0))),
            (Done, true, Some((Done, 0))),
            (Done, false, None),
            (Canceled, true, None),
            (Canceled, false, Some((Canceled, 0))),
            (Refused, true, None),
            (Refused, false, Some((Refused, 0))),
        ];
        for (progress, commit, expected) in table {
            let settled = settle(Some(&at(progress)), (Kind::Charge, "ch_k"), commit).ok();
            if let Some(settled) = &settled {
                assert_eq!(settled.postings.iter().map(|p| p.minor).sum::<i64>(), 0);
            }
            let found = settled.map(|s| (s.operation.progress, s.postings.len()));
            assert_eq!(found, expected, "{progress:?} {commit}");
        }
    }

    #[test]
    fn a_refund_gives_back_what_was_captured_and_no_more() {
        let ask = |of: Option<Refundable>, minor| {
            hold(None, of.as_ref(), &refund(minor)).unwrap().progress
        };
        assert_eq!(ask(Some(of(Progress::Done, 0)), 100), Progress::Held);
        assert_eq!(ask(Some(of(Progress::Done, 0)), 101), Progress::Refused);
        assert_eq!(ask(Some(of(Progress::Done, 40)), 60), Progress::Held);
        assert_eq!(ask(Some(of(Progress::Done, 40)), 61), Progress::Refused);
        assert_eq!(ask(Some(of(Progress::Held, 0)), 100), Progress::Refused);
        assert_eq!(ask(None, 100), Progress::Refused);
    }

    #[test]
    fn a_refund_posts_the_other_way() {
        let operation = hold(None, Some(&of(Progress::Done, 0)), &refund(100)).unwrap();
        let settled = settle(Some(&operation), (Kind::Refund, "re_r"), true).unwrap();
        let clearing = settled.postings.iter().find(|p| p.account_id == CLEARING);
        assert_eq!(clearing.map(|p| p.minor), Some(-100));
    }
}
