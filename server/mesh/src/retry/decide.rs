//! Which outcomes of a try the tokens of `retryOn` name.
//!
//! Follows Envoy's `router_filter.rst` (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`) and, where it
//! is silent, `source/common/router/retry_state_impl.cc`. Pure: says nothing of time or budget.

use crate::{MeshError, Response};
use http::{HeaderMap, StatusCode};
use istio::policy::RetryOn;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    /// With an answer of the destination.
    Answer {
        /// Its status.
        status: StatusCode,
        /// `grpc-status` of the answer's headers. Trailers do not count: when they come the answer
        /// has been passed on.
        grpc: Option<u32>,
        /// It carries `x-envoy-ratelimited`.
        rate_limited: bool,
    },
    /// Without one.
    Lost(Loss),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The mesh refused the try (limits, no endpoint, deadline): never repeated.
    Refused,
    /// No connection came about.
    ConnectFailure,
    /// The endpoint refused the stream before it did anything.
    RefusedStream,
    /// The connection broke while the answer was awaited, or the try took too long.
    Reset,
}

impl TryOutcome {
    /// What a try's result is to the tokens.
    #[must_use]
    pub fn of(result: &Result<Response, MeshError>) -> Self {
        match result {
            Ok(response) => Self::Answer {
                status: response.status(),
                grpc: grpc_status(response.headers()),
                rate_limited: response.headers().contains_key("x-envoy-ratelimited"),
            },
            Err(error) => Self::Lost(match error {
                MeshError::Connect { .. } => Loss::ConnectFailure,
                MeshError::RefusedStream { .. } => Loss::RefusedStream,
                MeshError::Reset { .. } => Loss::Reset,
                MeshError::NoService { .. }
                | MeshError::NoRoute { .. }
                | MeshError::NoHealthyUpstream { .. }
                | MeshError::Overflow { .. }
                | MeshError::BreakerOpen { .. }
                | MeshError::Unsendable { .. }
                | MeshError::Deadline { .. } => Loss::Refused,
            }),
        }
    }
}

/// `grpc-status` of an answer's headers.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.trim().parse().ok()
}

/// The first token that names the outcome, if one does.
#[must_use]
pub fn token_for(tokens: &[RetryOn], outcome: TryOutcome) -> Option<RetryOn> {
    // A rate-limited answer is repeated for that token alone, whatever its status.
    if let TryOutcome::Answer { rate_limited: true, .. } = outcome {
        return tokens.iter().copied().find(|token| *token == RetryOn::EnvoyRateLimited);
    }
    tokens.iter().copied().find(|token| names(*token, outcome))
}

fn names(token: RetryOn, outcome: TryOutcome) -> bool {
    match outcome {
        TryOutcome::Answer { status, grpc, .. } => names_answer(token, status.as_u16(), grpc),
        TryOutcome::Lost(loss) => names_loss(token, loss),
    }
}

fn names_answer(token: RetryOn, status: u16, grpc: Option<u32>) -> bool {
    match token {
        RetryOn::ServerError => (500..600).contains(&status),
        RetryOn::GatewayError => matches!(status, 502..=504),
        RetryOn::RetriableFourXx => status == 409,
        RetryOn::Status(listed) => status == listed,
        RetryOn::GrpcCancelled => grpc == Some(1),
        RetryOn::GrpcDeadlineExceeded => grpc == Some(4),
        RetryOn::GrpcResourceExhausted => grpc == Some(8),
        RetryOn::GrpcInternal => grpc == Some(13),
        RetryOn::GrpcUnavailable => grpc == Some(14),
        // The list beside it is in the tokens `Status`; without one it names nothing.
        RetryOn::RetriableStatusCodes => false,
        RetryOn::Reset
        | RetryOn::ResetBeforeRequest
        | RetryOn::ConnectFailure
        | RetryOn::RefusedStream
        | RetryOn::EnvoyRateLimited => false,
    }
}

fn names_loss(token: RetryOn, loss: Loss) -> bool {
    match token {
        // Any lost answer would have been a 503, which both tokens name.
        RetryOn::ServerError | RetryOn::GatewayError | RetryOn::Reset => loss != Loss::Refused,
        RetryOn::ResetBeforeRequest => {
            matches!(loss, Loss::ConnectFailure | Loss::RefusedStream)
        }
        RetryOn::ConnectFailure => loss == Loss::ConnectFailure,
        RetryOn::RefusedStream => loss == Loss::RefusedStream,
        _ => false,
    }
}

/// The word of a token, as it is written in `retryOn`.
#[must_use]
pub fn word(token: RetryOn) -> String {
    let word = match token {
        RetryOn::ServerError => "5xx",
        RetryOn::GatewayError => "gateway-error",
        RetryOn::Reset => "reset",
        RetryOn::ResetBeforeRequest => "reset-before-request",
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::RefusedStream => "refused-stream",
        RetryOn::RetriableFourXx => "retriable-4xx",
        RetryOn::EnvoyRateLimited => "envoy-ratelimited",
        RetryOn::RetriableStatusCodes => "retriable-status-codes",
        RetryOn::Status(status) => return status.to_string(),
        RetryOn::GrpcCancelled => "cancelled",
        RetryOn::GrpcDeadlineExceeded => "deadline-exceeded",
        RetryOn::GrpcInternal => "internal",
        RetryOn::GrpcResourceExhausted => "resource-exhausted",
        RetryOn::GrpcUnavailable => "unavailable",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetryOn as R;

    fn status(status: u16) -> TryOutcome {
        let status = StatusCode::from_u16(status).unwrap();
        TryOutcome::Answer { status, grpc: None, rate_limited: false }
    }

    fn grpc(code: u32) -> TryOutcome {
        TryOutcome::Answer { status: StatusCode::OK, grpc: Some(code), rate_limited: false }
    }

    const STATUSES: [u16; 12] = [200, 302, 400, 404, 409, 429, 500, 501, 502, 503, 504, 599];
    const LOSSES: [Loss; 4] =
        [Loss::Refused, Loss::ConnectFailure, Loss::RefusedStream, Loss::Reset];

    #[test]
    fn each_token_names_the_statuses_the_documentation_says() {
        let table: [(R, &[u16]); 8] = [
            (R::ServerError, &[500, 501, 502, 503, 504, 599]),
            (R::GatewayError, &[502, 503, 504]),
            (R::RetriableFourXx, &[409]),
            (R::Status(429), &[429]),
            (R::RetriableStatusCodes, &[]),
            (R::Reset, &[]),
            (R::ConnectFailure, &[]),
            (R::EnvoyRateLimited, &[]),
        ];
        for (token, expected) in table {
            let named: Vec<u16> = STATUSES
                .into_iter()
                .filter(|s| token_for(&[token], status(*s)).is_some())
                .collect();
            assert_eq!(named, expected, "{}", word(token));
        }
    }

    #[test]
    fn each_token_names_the_losses_the_documentation_says() {
        use Loss::{ConnectFailure, RefusedStream, Reset};
        let any: &[Loss] = &[ConnectFailure, RefusedStream, Reset];
        let table: [(R, &[Loss]); 8] = [
            (R::ServerError, any),
            (R::GatewayError, any),
            (R::Reset, any),
            (R::ResetBeforeRequest, &[ConnectFailure, RefusedStream]),
            (R::ConnectFailure, &[ConnectFailure]),
            (R::RefusedStream, &[RefusedStream]),
            (R::RetriableFourXx, &[]),
            (R::GrpcUnavailable, &[]),
        ];
        for (token, expected) in table {
            let named: Vec<Loss> = LOSSES
                .into_iter()
                .filter(|loss| token_for(&[token], TryOutcome::Lost(*loss)).is_some())
                .collect();
            assert_eq!(named, expected, "{}", word(token));
        }
    }

    #[test]
    fn each_grpc_token_names_its_code() {
        let table = [
            (R::GrpcCancelled, 1),
            (R::GrpcDeadlineExceeded, 4),
            (R::GrpcResourceExhausted, 8),
            (R::GrpcInternal, 13),
            (R::GrpcUnavailable, 14),
        ];
        for (token, code) in table {
            for other in 0..17 {
                let named = token_for(&[token], grpc(other)).is_some();
                assert_eq!(named, other == code, "{} and grpc-status {other}", word(token));
            }
        }
    }

    #[test]
    fn an_answer_the_rate_limiter_sent_is_repeated_for_its_own_token_alone() {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let limited = TryOutcome::Answer { status, grpc: None, rate_limited: true };
        assert_eq!(token_for(&[R::ServerError, R::GatewayError], limited), None);
        let both = [R::ServerError, R::EnvoyRateLimited];
        assert_eq!(token_for(&both, limited), Some(R::EnvoyRateLimited));
    }

    #[test]
    fn what_the_mesh_itself_refused_is_never_repeated() {
        let all = [R::ServerError, R::GatewayError, R::Reset, R::ConnectFailure, R::RefusedStream];
        assert_eq!(token_for(&all, TryOutcome::Lost(Loss::Refused)), None);
    }
}
