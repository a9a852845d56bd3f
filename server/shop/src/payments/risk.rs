//! How unusual a payment is for its customer: version 2's risk score, pure.
//!
//! It is shown and refuses nothing. A card fraud model would know more; this one knows amounts and
//! declines.

use super::PaymentRow;
use two_phase_commit::Phase;

/// Points of a customer's first payment, of which nothing can be said.
const UNKNOWN: u64 = 30;
/// Most points an amount brings.
const AMOUNT_MAX: u64 = 60;
/// Points for each time the amount is the customer's usual one.
const PER_MULTIPLE: u64 = 15;
/// Most points earlier declines bring.
const DECLINES_MAX: u64 = 40;
/// Points for each earlier decline.
const PER_DECLINE: u64 = 10;

/// Scores each payment by those before it. `rows` are one customer's, newest first.
pub(super) fn scored(mut rows: Vec<PaymentRow>) -> Vec<PaymentRow> {
    for at in 0..rows.len() {
        let (row, earlier) = (&rows[at], &rows[at + 1..]);
        if row.purpose == "payment" {
            let score = score(row, earlier);
            rows[at].risk_score = Some(score);
        }
    }
    rows
}

/// 0, nothing unusual, to 100.
fn score(row: &PaymentRow, earlier: &[PaymentRow]) -> u8 {
    let earlier = || earlier.iter().filter(|earlier| earlier.purpose == "payment");
    let minor = |row: &PaymentRow| u64::try_from(row.amount.minor).unwrap_or(0);
    let paid = || earlier().filter(|earlier| earlier.phase == Phase::Committed);
    let (sum, count) = paid().fold((0, 0), |(sum, count), row| (sum + minor(row), count + 1));
    // Multiples of the mean beyond the first: twice the usual is one.
    let amount = match u64::checked_div(sum, count) {
        None | Some(0) => UNKNOWN,
        Some(usual) => (minor(row) / usual).saturating_sub(1).saturating_mul(PER_MULTIPLE),
    };
    let declined = earlier().filter(|earlier| earlier.phase == Phase::Aborted).count() as u64;
    let score = amount.min(AMOUNT_MAX) + declined.saturating_mul(PER_DECLINE).min(DECLINES_MAX);
    u8::try_from(score).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Money;

    fn row(purpose: &str, minor: i64, phase: Phase) -> PaymentRow {
        PaymentRow {
            transaction_id: "tx-1".into(),
            order_id: "ord-1".into(),
            purpose: purpose.into(),
            amount: Money::eur(minor),
            phase,
            at_us: 0,
            risk_score: None,
        }
    }

    fn scores(rows: Vec<PaymentRow>) -> Vec<Option<u8>> {
        scored(rows).into_iter().map(|row| row.risk_score).collect()
    }

    #[test]
    fn the_usual_amount_is_no_risk_and_a_multiple_of_it_is() {
        let usual = || row("payment", 1_000, Phase::Committed);
        let rows = vec![row("payment", 3_000, Phase::Committed), usual(), usual()];
        assert_eq!(scores(rows), [Some(30), Some(0), Some(30)]);
        let rows = vec![row("payment", i64::MAX, Phase::Preparing), usual()];
        assert_eq!(scores(rows)[0], Some(60));
    }

    #[test]
    fn declines_count_to_a_bound_and_refunds_do_not_count() {
        let declined = || row("payment", 5_000, Phase::Aborted);
        let newest = row("payment", 1_000, Phase::Preparing);
        let refund = row("refund", 9_000, Phase::Committed);
        let mut rows = vec![newest, refund];
        rows.extend((0..9).map(|_| declined()));
        let scores = scores(rows);
        assert_eq!((scores[0], scores[1]), (Some(70), None));
    }
}
