//! Why the mesh itself did not deliver a call (an answer with a bad status is not an error here).

use crate::{Flag, Response, limits::Limit};
use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::time::Duration;

/// Envoy's header on what a limit refused.
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

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
    /// The service has routes, and none matches the request.
    #[error("no route to {destination} matches the request")]
    NoRoute {
        /// Who was called.
        destination: String,
    },
    /// The service (or the subset) has no endpoint that may be used.
    #[error("{destination} has no healthy endpoint")]
    NoHealthyUpstream {
        /// Who was called, with `/subset` if it was one.
        destination: String,
    },
    /// The endpoint could not be reached; it saw nothing of the request.
    #[error("{endpoint} could not be reached")]
    Connect {
        /// The instance.
        endpoint: String,
    },
    /// The endpoint refused the stream before it did anything with it.
    #[error("{endpoint} refused the stream")]
    RefusedStream {
        /// The instance.
        endpoint: String,
    },
    /// The endpoint ended the connection before it answered. What it did is unknown.
    #[error("{endpoint} ended the connection")]
    Reset {
        /// The instance.
        endpoint: String,
    },
    /// A limit of the connection pool refused the call; the callee did not see it.
    #[error("too many {limit} for {destination}")]
    Overflow {
        /// Who would have been called.
        destination: String,
        /// Which limit.
        limit: Limit,
    },
    /// The caller gave something that cannot be part of a request; nothing was sent.
    #[error("the request to {destination} cannot be sent: {reason}")]
    Unsendable {
        /// Who would have been called.
        destination: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl MeshError {
    /// `error.type` of a call that was cut at its deadline.
    pub const TIMEOUT: &'static str = "timeout";

    /// `error.type` of a call whose connection was lost.
    pub(crate) const LOST: &'static str = "connection_reset";

    /// `error.type` of the semantic conventions.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoService { .. } => "no_service",
            Self::Deadline { .. } => Self::TIMEOUT,
            Self::BreakerOpen { .. } => "breaker_open",
            Self::NoRoute { .. } => "no_route",
            Self::NoHealthyUpstream { .. } => "no_healthy_upstream",
            Self::Connect { .. } => "connection_failure",
            Self::RefusedStream { .. } => "refused_stream",
            Self::Reset { .. } => Self::LOST,
            Self::Overflow { .. } => "overflow",
            Self::Unsendable { .. } => "unsendable",
        }
    }

    /// The callee certainly did nothing: the call can be repeated, or given up, without asking.
    #[must_use]
    pub const fn is_without_effect(&self) -> bool {
        !matches!(self, Self::Deadline { .. } | Self::Reset { .. })
    }

    /// Envoy's flag; the caller's own breaker is none of Envoy's and has none.
    #[must_use]
    pub const fn flag(&self) -> Option<Flag> {
        match self {
            Self::NoService { .. } | Self::NoRoute { .. } => Some(Flag::NoRoute),
            Self::Deadline { .. } => Some(Flag::UpstreamTimeout),
            Self::BreakerOpen { .. } | Self::Unsendable { .. } => None,
            Self::NoHealthyUpstream { .. } => Some(Flag::NoHealthyUpstream),
            Self::Connect { .. } => Some(Flag::ConnectionFailure),
            Self::RefusedStream { .. } => Some(Flag::ConnectionFailure),
            Self::Reset { .. } => Some(Flag::ConnectionTermination),
            Self::Overflow { .. } => Some(Flag::Overflow),
        }
    }

    /// The status an Envoy would answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Unsendable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Headers that belong to that answer.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Overflow { .. } => vec![(OVERLOADED, HeaderValue::from_static("true"))],
            Self::BreakerOpen { retry_after, .. } => {
                let whole = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                vec![(header::RETRY_AFTER, HeaderValue::from(whole))]
            }
            _ => Vec::new(),
        }
    }

    /// The answer an Envoy would give in place of the service.
    #[must_use]
    pub fn to_response(&self) -> Response {
        let mut response = Response::new(Body::from(self.to_string()));
        *response.status_mut() = self.status();
        let text = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response.headers_mut().extend(self.headers());
        response
    }
}
