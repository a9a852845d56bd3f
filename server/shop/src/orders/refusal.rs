//! What a refused payment was refused by: a participant that voted no, or one that gave no vote.

use two_phase_commit::{Grounds, NO_VOTE};

/// How the circuit breaker said that it did not let a question through, while that was all there
/// was to know it by.
const BREAKER: &str = "the circuit breaker for ";

/// Why a payment was not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// A participant voted no, for this reason.
    VotedNo(&'a str),
    /// A participant was not asked: the breaker of payments for it was open.
    BreakerOpen(&'a str),
    /// A participant did not answer in time, or could not be reached.
    NoAnswer(&'a str),
    /// Nobody was asked: too many payments wait for a participant already.
    NoRoom(&'a str),
}

impl<'a> Refusal<'a> {
    /// What the decision says: its grounds, and its reason.
    #[must_use]
    pub fn of(grounds: Option<Grounds>, reason: &'a str) -> Self {
        match grounds {
            Some(Grounds::VotedNo) => Self::VotedNo(reason),
            Some(Grounds::NotAsked) => Self::BreakerOpen(reason),
            Some(Grounds::NoAnswer) => Self::NoAnswer(reason),
            Some(Grounds::NoRoom) => Self::NoRoom(reason),
            None => Self::recorded_before(reason),
        }
    }

    /// Of an event that is older than its grounds are: its reason begins with them.
    fn recorded_before(reason: &'a str) -> Self {
        match reason.strip_prefix(NO_VOTE) {
            None => Self::VotedNo(reason),
            Some(why) if why.starts_with(BREAKER) => Self::BreakerOpen(why),
            Some(why) => Self::NoAnswer(why),
        }
    }

    /// The word for programs: whether asking again later can help.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::VotedNo(_) => "payment_declined",
            Self::BreakerOpen(_) | Self::NoAnswer(_) | Self::NoRoom(_) => "payment_unavailable",
        }
    }

    /// The phase of its order, in a few words.
    #[must_use]
    pub const fn phase(self) -> &'static str {
        match self {
            Self::VotedNo(_) => "Payment declined",
            Self::BreakerOpen(_) => "Bank not asked, breaker open",
            Self::NoAnswer(_) => "Bank did not answer",
            Self::NoRoom(_) => "Bank not asked, no room",
        }
    }

    /// The reason in a line of its own, which says when nobody voted.
    #[must_use]
    pub fn line(self) -> String {
        match self {
            Self::VotedNo(why) | Self::NoRoom(why) => why.to_owned(),
            Self::BreakerOpen(why) | Self::NoAnswer(why) => format!("{NO_VOTE}{why}"),
        }
    }

    /// One sentence, with the participant it was.
    #[must_use]
    pub fn sentence(self, voter: Option<&str>) -> String {
        let who = voter.unwrap_or("A participant");
        match (self, voter) {
            (Self::VotedNo(why), Some(voter)) => {
                format!("Payment declined: {voter} voted no ({why}).")
            }
            (Self::VotedNo(why), None) => format!("Payment declined: {why}."),
            (Self::BreakerOpen(_), _) => format!(
                "Payment not authorized: {who} gave no vote (circuit breaker open); silence \
                 counts as no."
            ),
            (Self::NoRoom(why), _) => {
                format!("Payment not authorized: {who} was not asked ({why}).")
            }
            (Self::NoAnswer(why), _) => {
                format!("Payment not authorized: {who} gave no vote ({why}); silence counts as no.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh::MeshError;
    use std::time::Duration;

    #[test]
    fn only_who_voted_is_said_to_have_voted_no() {
        let destination = || "bank-merchant".to_owned();
        let open =
            MeshError::BreakerOpen { destination: destination(), retry_after: Duration::ZERO };
        let late = MeshError::NoHealthyUpstream { destination: destination() };
        let (open, late) = (open.to_string(), late.to_string());
        let open = Refusal::of(Some(Grounds::NotAsked), &open);
        assert_eq!(
            open.sentence(Some("bank-merchant")),
            "Payment not authorized: bank-merchant gave no vote (circuit breaker open); silence \
             counts as no."
        );
        assert_eq!(open.line(), "no vote: the circuit breaker for bank-merchant is open");
        let late = Refusal::of(Some(Grounds::NoAnswer), &late);
        assert_eq!(late, Refusal::NoAnswer("bank-merchant has no healthy endpoint"));
        assert_eq!(late.phase(), "Bank did not answer");
        assert_eq!([open, late].map(Refusal::code), ["payment_unavailable"; 2]);
        let no = Refusal::of(Some(Grounds::VotedNo), "insufficient funds");
        assert_eq!((no.code(), no.line().as_str()), ("payment_declined", "insufficient funds"));
        assert_eq!(
            no.sentence(Some("bank-customer")),
            "Payment declined: bank-customer voted no (insufficient funds)."
        );
    }

    #[test]
    fn a_bank_that_words_its_no_like_silence_voted_no_all_the_same() {
        let no = Refusal::of(Some(Grounds::VotedNo), "no vote: the circuit breaker for x is open");
        assert_eq!((no.code(), no.phase()), ("payment_declined", "Payment declined"));
    }

    #[test]
    fn what_was_recorded_without_grounds_is_known_by_how_its_reason_begins() {
        let open = "the circuit breaker for bank-merchant is open";
        let with_prefix = format!("{NO_VOTE}{open}");
        for (reason, read) in [
            (with_prefix.as_str(), Refusal::BreakerOpen(open)),
            ("no vote: it was late", Refusal::NoAnswer("it was late")),
            ("insufficient funds", Refusal::VotedNo("insufficient funds")),
        ] {
            assert_eq!(Refusal::of(None, reason), read);
        }
    }
}
