//! Money as integer minor units with a currency. There is no float and no silent overflow.

use serde::{Deserialize, Serialize};
use std::fmt;

/// ISO 4217 currencies the shop trades in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Currency {
    /// Euro, two minor digits.
    #[serde(rename = "EUR")]
    Eur,
}

/// An amount in minor units (cents for EUR).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative only for debits in a ledger.
    pub minor: i64,
    /// What the units are of.
    pub currency: Currency,
}

/// Arithmetic that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit in 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies were mixed.
    #[error("amounts of different currencies cannot be added")]
    CurrencyMismatch,
}

impl Money {
    /// So many euro cents.
    #[must_use]
    pub const fn eur(minor: i64) -> Self {
        Self { minor, currency: Currency::Eur }
    }

    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The amount `quantity` times.
    ///
    /// # Errors
    /// When the product does not fit.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(quantity)).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

/// As people read it: `€184.50`, minus as `−`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "−" } else { "" };
        let units = self.minor.unsigned_abs();
        match self.currency {
            Currency::Eur => write!(f, "{sign}€{}.{:02}", units / 100, units % 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_two_digits_and_a_real_minus() {
        assert_eq!(Money::eur(18_450).to_string(), "€184.50");
        assert_eq!(Money::eur(-5).to_string(), "−€0.05");
    }

    #[test]
    fn a_product_that_does_not_fit_is_an_error_and_not_a_wrong_number() {
        assert_eq!(Money::eur(i64::MAX).times(2), Err(MoneyError::Overflow));
        assert_eq!(Money::eur(i64::MAX).plus(Money::eur(1)), Err(MoneyError::Overflow));
        assert_eq!(Money::eur(250).times(3), Ok(Money::eur(750)));
    }
}
