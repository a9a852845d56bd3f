//! How fast a walk is played: a share of real time, or so that all of it takes ten seconds.

use super::{super::fine, us};

/// What "Fit" fits a trace into, seconds.
const FIT_SECONDS: f64 = 10.0;
/// From here on a tenth of real time is slow enough to be followed, microseconds.
const FIT_BELOW_US: i64 = 500_000;

/// A speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// A tenth of real time.
    Tenth,
    /// A quarter of it.
    Quarter,
    /// Half of it.
    Half,
    /// Real time.
    Real,
    /// The whole trace in ten seconds: an order of twenty milliseconds would be over before
    /// anybody has seen it, at a tenth of its speed too.
    #[default]
    Fit,
}

impl Pace {
    /// In their order.
    pub const ALL: [Self; 5] = [Self::Tenth, Self::Quarter, Self::Half, Self::Real, Self::Fit];

    /// Its value and its label.
    #[must_use]
    pub const fn choice(self) -> (&'static str, &'static str) {
        match self {
            Self::Tenth => ("0.1", "0.1×"),
            Self::Quarter => ("0.25", "0.25×"),
            Self::Half => ("0.5", "0.5×"),
            Self::Real => ("1", "1×"),
            Self::Fit => ("fit", "Fit to 10 s"),
        }
    }

    /// The pace of a value.
    #[must_use]
    pub fn of(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pace| pace.choice().0 == value)
    }

    /// The one at which a trace of that length can be followed.
    #[must_use]
    pub fn for_length(length_us: i64) -> Self {
        if length_us < FIT_BELOW_US {
            return Self::Fit;
        }
        let slow = [Self::Tenth, Self::Quarter, Self::Half, Self::Real];
        let fits = |pace: &Self| us(length_us) <= pace.rate(length_us) * FIT_SECONDS;
        slow.into_iter().find(fits).unwrap_or(Self::Real)
    }

    /// Microseconds of the trace in one second of whoever looks.
    #[must_use]
    pub fn rate(self, length_us: i64) -> f64 {
        match self {
            Self::Tenth => 100_000.0,
            Self::Quarter => 250_000.0,
            Self::Half => 500_000.0,
            Self::Real => 1_000_000.0,
            Self::Fit => (us(length_us) / FIT_SECONDS).max(1.0),
        }
    }

    /// The scale in words: `1 s here = 2.1 ms`.
    #[must_use]
    pub fn said(self, length_us: i64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of a trace")]
        let second = self.rate(length_us).round() as i64;
        format!("1 s here = {}", fine::duration_us(second))
    }
}
