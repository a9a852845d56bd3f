//! What prepare and the decision do to accounts: pure.
//!
//! Double entry: every movement is two postings whose sum is zero. Money on its way between banks
//! stands on each bank's clearing account; what comes from outside, on its external account.

use serde::{Deserialize, Serialize};
use two_phase_commit::{IllegalStep, ParticipantEvent, ParticipantState, Vote};

/// Money owed to, or by, the other bank.
pub const CLEARING: &str = "clearing";
/// The world outside the shop.
pub const EXTERNAL: &str = "external";
/// Where the shop's income goes.
pub const MERCHANT: &str = "merchant";

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// A customer's id, or one of the constants of this module.
    pub account_id: String,
    /// Sum of its postings, minor units.
    pub balance: i64,
    /// Part of the balance that prepared transactions may take, minor units.
    pub held: i64,
}

/// A bank's share of a payment: positive takes from the account, negative gives to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankWork {
    /// Which account.
    pub account_id: String,
    /// Minor units taken from the account.
    pub takes: i64,
    /// What it is about.
    pub order_id: String,
}

/// A transaction as the bank recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankTx {
    /// Where it is.
    pub state: ParticipantState,
    /// What was prepared.
    pub work: BankWork,
    /// Why it voted no, if it did.
    pub reason: Option<String>,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which account.
    pub account_id: String,
    /// Minor units added to it.
    pub minor: i64,
}

/// What prepare does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareChange {
    /// The vote.
    pub vote: Vote,
    /// The transaction as it is now, if it changed.
    pub record: Option<BankTx>,
    /// Minor units to hold on the account in addition.
    pub hold: i64,
}

/// What is voted. `account` is the account named by the work, if it exists.
#[must_use]
pub fn prepare(
    known: Option<&BankTx>,
    account: Option<&Account>,
    work: &BankWork,
) -> PrepareChange {
    if let Some(tx) = known {
        let vote = match tx.state {
            ParticipantState::Prepared | ParticipantState::Committed => Vote::Yes,
            ParticipantState::Unknown | ParticipantState::Aborted => {
                Vote::No { reason: tx.reason.clone().unwrap_or_else(|| "aborted already".into()) }
            }
        };
        return PrepareChange { vote, record: None, hold: 0 };
    }
    let refusal = match account {
        None => Some(format!("no account {}", work.account_id)),
        Some(account) if work.takes > account.balance - account.held => {
            Some("insufficient funds".to_owned())
        }
        Some(_) => None,
    };
    let event = match refusal {
        None => ParticipantEvent::PrepareYes,
        Some(_) => ParticipantEvent::PrepareNo,
    };
    let state = ParticipantState::Unknown.next(event).unwrap_or(ParticipantState::Aborted);
    let hold = if refusal.is_none() { work.takes.max(0) } else { 0 };
    let record = Some(BankTx { state, work: work.clone(), reason: refusal.clone() });
    let vote = refusal.map_or(Vote::Yes, |reason| Vote::No { reason });
    PrepareChange { vote, record, hold }
}

/// What the decision does: the state it leads to, the postings, and how much is held no longer.
///
/// # Errors
/// When the decision contradicts what was promised.
pub fn finish(
    known: Option<&BankTx>,
    commit: bool,
) -> Result<(ParticipantState, Vec<Posting>, i64), IllegalStep> {
    let before = known.map_or(ParticipantState::Unknown, |tx| tx.state);
    let event = if commit { ParticipantEvent::Commit } else { ParticipantEvent::Abort };
    let after = before.next(event)?;
    let Some(tx) = known.filter(|_| before == ParticipantState::Prepared) else {
        return Ok((after, Vec::new(), 0));
    };
    let released = tx.work.takes.max(0);
    let postings =
        if commit { transfer(&tx.work.account_id, CLEARING, tx.work.takes) } else { Vec::new() };
    Ok((after, postings, released))
}

/// The two postings that bring `minor` from one account to another.
#[must_use]
pub fn transfer(from: &str, to: &str, minor: i64) -> Vec<Posting> {
    vec![
        Posting { account_id: from.to_owned(), minor: -minor },
        Posting { account_id: to.to_owned(), minor },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(takes: i64) -> BankWork {
        BankWork { account_id: "c-1".into(), takes, order_id: "ord-1".into() }
    }

    fn account(balance: i64, held: i64) -> Account {
        Account { account_id: "c-1".into(), balance, held }
    }

    #[test]
    fn what_is_held_for_one_transaction_cannot_be_promised_to_another() {
        let first = prepare(None, Some(&account(100, 0)), &work(60));
        assert_eq!((first.vote, first.hold), (Vote::Yes, 60));
        let second = prepare(None, Some(&account(100, 60)), &work(60));
        let reason = "insufficient funds".to_owned();
        assert_eq!((second.vote, second.hold), (Vote::No { reason }, 0));
    }

    #[test]
    fn a_repeated_prepare_repeats_the_vote_and_holds_nothing_more() {
        let first = prepare(None, Some(&account(100, 0)), &work(60)).record;
        let again = prepare(first.as_ref(), Some(&account(100, 60)), &work(60));
        assert_eq!(again, PrepareChange { vote: Vote::Yes, record: None, hold: 0 });
    }

    #[test]
    fn a_commit_posts_twice_with_sum_zero_and_once_only() {
        let tx = prepare(None, Some(&account(100, 0)), &work(60)).record.unwrap();
        let (state, postings, released) = finish(Some(&tx), true).unwrap();
        assert_eq!((postings.iter().map(|p| p.minor).sum::<i64>(), released), (0, 60));
        let again = finish(Some(&BankTx { state, ..tx }), true).unwrap();
        assert_eq!(again, (ParticipantState::Committed, vec![], 0));
    }

    #[test]
    fn an_abort_posts_nothing_and_releases_what_was_held() {
        let tx = prepare(None, Some(&account(100, 0)), &work(60)).record.unwrap();
        assert_eq!(finish(Some(&tx), false), Ok((ParticipantState::Aborted, vec![], 60)));
    }

    #[test]
    fn a_credit_holds_nothing_and_needs_no_funds() {
        let change = prepare(None, Some(&account(0, 0)), &work(-60));
        assert_eq!((change.vote, change.hold), (Vote::Yes, 0));
    }

    #[test]
    fn a_decision_to_commit_what_was_never_prepared_is_refused() {
        assert!(finish(None, true).is_err());
        assert_eq!(finish(None, false), Ok((ParticipantState::Aborted, vec![], 0)));
    }
}
