//! What a refused payment was refused by: a participant that voted no, or one that gave no vote.

use two_phase_commit::NO_VOTE;

/// How the circuit breaker says that it did not let a question through.
const BREAKER: &str = "the circuit breaker for ";

/// Why a payment was not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// A participant voted no, for this reason.
    VotedNo(&'a str),
    /// A participant was not asked: the breaker of payments for it was open.
    BreakerOpen,
    /// A participant did not answer in time, or could not be reached.
    NoAnswer(&'a str),
}

impl<'a> Refusal<'a> {
    /// Reads the reason of the decision.
    #[must_use]
    pub fn of(reason: &'a str) -> Self {
        match reason.strip_prefix(NO_VOTE) {
            None => Self::VotedNo(reason),
            Some(why) if why.starts_with(BREAKER) => Self::BreakerOpen,
            Some(why) => Self::NoAnswer(why),
        }
    }

    /// The word for programs: whether asking again later can help.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::VotedNo(_) => "payment_declined",
            Self::BreakerOpen | Self::NoAnswer(_) => "payment_unavailable",
        }
    }

    /// The phase of its order, in a few words.
    #[must_use]
    pub const fn phase(self) -> &'static str {
        match self {
            Self::VotedNo(_) => "Payment declined",
            Self::BreakerOpen => "Bank not asked, breaker open",
            Self::NoAnswer(_) => "Bank did not answer",
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
            (Self::BreakerOpen, _) => format!(
                "Payment not authorized: {who} gave no vote (circuit breaker open); silence \
                 counts as no."
            ),
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
        let (open, late) = (format!("{NO_VOTE}{open}"), format!("{NO_VOTE}{late}"));
        assert_eq!(Refusal::of(&open), Refusal::BreakerOpen);
        assert_eq!(
            Refusal::of(&open).sentence(Some("bank-merchant")),
            "Payment not authorized: bank-merchant gave no vote (circuit breaker open); silence \
             counts as no."
        );
        assert_eq!(Refusal::of(&late), Refusal::NoAnswer("bank-merchant has no healthy endpoint"));
        assert_eq!(Refusal::of(&late).phase(), "Bank did not answer");
        assert_eq!([&open, &late].map(|of| Refusal::of(of).code()), ["payment_unavailable"; 2]);
        let no = Refusal::of("insufficient funds");
        assert_eq!(no, Refusal::VotedNo("insufficient funds"));
        assert_eq!(no.code(), "payment_declined");
        assert_eq!(
            no.sentence(Some("bank-customer")),
            "Payment declined: bank-customer voted no (insufficient funds)."
        );
    }
}
