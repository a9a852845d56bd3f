//! Envoy's response flags: what the mesh itself did to a call, as the codes people know from access
//! logs (Envoy `docs/root/configuration/observability/access_log/usage.rst`, `%RESPONSE_FLAGS%`).
//!
//! Not every flag of Envoy: those that can happen in one process.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

/// One thing the mesh did to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// `UH`: no healthy upstream endpoint.
    NoHealthyUpstream,
    /// `UF`: no connection to the endpoint.
    ConnectionFailure,
    /// `UO`: a limit of the connection pool was reached.
    Overflow,
    /// `NR`: no route matched, or nobody has the name.
    NoRoute,
    /// `UC`: the endpoint ended the connection.
    ConnectionTermination,
    /// `DC`: the caller went away.
    DownstreamDisconnect,
    /// `UT`: the deadline passed.
    UpstreamTimeout,
    /// `URX`: no retry was left (or the budget allowed none).
    RetryLimitExceeded,
    /// `FI`: aborted by an injected fault.
    FaultInjected,
    /// `DI`: delayed by an injected fault.
    DelayInjected,
    /// `RL`: refused by a local rate limit.
    RateLimited,
}

impl Flag {
    /// All of them, in the order in which a set prints them.
    pub const ALL: [Self; 11] = [
        Self::NoHealthyUpstream,
        Self::ConnectionFailure,
        Self::Overflow,
        Self::NoRoute,
        Self::ConnectionTermination,
        Self::DownstreamDisconnect,
        Self::UpstreamTimeout,
        Self::RetryLimitExceeded,
        Self::FaultInjected,
        Self::DelayInjected,
        Self::RateLimited,
    ];

    /// The code in access logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "UH",
            Self::ConnectionFailure => "UF",
            Self::Overflow => "UO",
            Self::NoRoute => "NR",
            Self::ConnectionTermination => "UC",
            Self::DownstreamDisconnect => "DC",
            Self::UpstreamTimeout => "UT",
            Self::RetryLimitExceeded => "URX",
            Self::FaultInjected => "FI",
            Self::DelayInjected => "DI",
            Self::RateLimited => "RL",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of flags. Prints as `FI,URX`, or `-` when empty, as access logs do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Whether nothing happened.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this happened.
    #[must_use]
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The set and this too.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self(self.0 | flag.bit())
    }

    /// What happened.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        Self(flags.into_iter().fold(0, |set, flag| set | flag.bit()))
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        let mut comma = "";
        for flag in self.iter() {
            write!(f, "{comma}{}", flag.code())?;
            comma = ",";
        }
        Ok(())
    }
}

/// A set that all tries of a call add to.
#[derive(Debug, Default)]
pub(crate) struct SharedFlags(AtomicU32);

impl SharedFlags {
    pub(crate) fn add(&self, flag: Flag) {
        self.0.fetch_or(flag.bit(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Flags {
        Flags(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_its_codes_and_a_dash_when_empty() {
        assert_eq!(Flags::default().to_string(), "-");
        let both: Flags = [Flag::RetryLimitExceeded, Flag::Overflow].into_iter().collect();
        assert_eq!(both.to_string(), "UO,URX");
    }

    #[test]
    fn every_flag_has_a_code_and_a_bit_of_its_own() {
        let all: Flags = Flag::ALL.into_iter().collect();
        assert_eq!(all.iter().count(), Flag::ALL.len());
        let mut codes = Flag::ALL.map(Flag::code);
        codes.sort_unstable();
        assert!(codes.windows(2).all(|two| two[0] != two[1]));
    }
}
