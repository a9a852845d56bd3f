//! Why the mesh itself did not deliver a call (an answer with a bad status is not an error here).

use std::time::Duration;

/// The mesh could not bring an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// No service of that name is registered.
    #[error("no service named {destination}")]
    NoService {
        /// What was asked for.
        destination: String,
    },
    /// The deadline passed. What the callee did is unknown.
    #[error("{destination} did not answer in time")]
    Deadline {
        /// Who was called.
        destination: String,
    },
    /// The caller's circuit breaker refused the call; the callee did not see it.
    #[error("the circuit breaker for {destination} is open")]
    BreakerOpen {
        /// Who would have been called.
        destination: String,
        /// When a probe will be let through.
        retry_after: Duration,
    },
    /// The connection was reset before an answer came.
    #[error("the connection to {destination} was reset")]
    Reset {
        /// Who was called.
        destination: String,
        /// The request had gone out: what the callee did is unknown.
        sent: bool,
    },
}

impl MeshError {
    /// `error.type` of the semantic conventions.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoService { .. } => "no_service",
            Self::Deadline { .. } => "timeout",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Reset { .. } => "connection_reset",
        }
    }

    /// The callee certainly did nothing: the call can be repeated, or given up, without asking.
    #[must_use]
    pub const fn is_without_effect(&self) -> bool {
        matches!(
            self,
            Self::NoService { .. } | Self::BreakerOpen { .. } | Self::Reset { sent: false, .. }
        )
    }
}
