//! What one call hands to the calls it causes: correlation id, deadline, baggage.

use crate::{Request, baggage, fault::FaultId};
use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use std::{convert::Infallible, time::Duration};
use tokio::time::Instant;
use tracing::Span;

/// Header of the correlation id.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// Envoy's header for what is left of the deadline, milliseconds.
pub(crate) const EXPECTED_TIMEOUT_MS: HeaderName =
    HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// Longest correlation id taken from a caller, bytes; longer ones are replaced.
pub const CORRELATION_ID_MAX: usize = 128;

/// Headers of a request that the calls made for it have too, as the services of Istio's Bookinfo
/// hand on `end-user`: without that a rule or a fault for one user or a canary holds at the first
/// hop alone. Others stay where they came to.
pub(crate) const HANDED_ON: [&str; 3] = ["x-canary", "end-user", "x-user-id"];
/// Longest value of one of them, bytes; a longer one stays where it came to.
const HANDED_ON_BYTES_MAX: usize = 256;

/// Travels from a request to the calls made on its behalf. Extract it in a handler.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// `X-Correlation-ID`, on every event and log line.
    pub correlation_id: Option<String>,
    /// Nothing done for this request matters after it.
    pub deadline: Option<Instant>,
    /// Of [`HANDED_ON`], what the request had.
    pub(crate) handed_on: Vec<(HeaderName, HeaderValue)>,
    /// W3C Baggage, passed on as it came: the ids of faults travel in it.
    pub(crate) baggage: Option<HeaderValue>,
}

impl CallContext {
    /// For work that no request asked for.
    #[must_use]
    pub fn detached(correlation_id: Option<String>) -> Self {
        Self { correlation_id, ..Self::default() }
    }

    /// For work that a message asked for, with its baggage and the faults it met on its way.
    #[must_use]
    pub fn of_message(
        correlation_id: Option<String>,
        baggage: Option<&str>,
        faults: &[FaultId],
    ) -> Self {
        let baggage = baggage::with(baggage, faults);
        let baggage = baggage.and_then(|line| HeaderValue::from_str(&line).ok());
        Self { correlation_id, baggage, ..Self::default() }
    }

    /// Reads the headers a mesh call carries. An unreadable correlation id counts as none.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        let correlation_id = text(&CORRELATION_ID)
            .filter(|id| !id.is_empty() && id.len() <= CORRELATION_ID_MAX)
            .filter(|id| id.bytes().all(|b| b.is_ascii_graphic()))
            .map(str::to_owned);
        let deadline = text(&EXPECTED_TIMEOUT_MS)
            .and_then(|ms| ms.parse::<u32>().ok())
            .map(|ms| Instant::now() + Duration::from_millis(u64::from(ms)));
        let handed_on = HANDED_ON.iter().filter_map(|name| {
            let value = headers.get(*name).filter(|value| value.len() <= HANDED_ON_BYTES_MAX)?;
            Some((HeaderName::from_static(name), value.clone()))
        });
        Self {
            correlation_id,
            deadline,
            handed_on: handed_on.collect(),
            baggage: baggage::of(headers),
        }
    }

    /// The sooner of this context's deadline and `timeout` from now.
    pub(crate) fn deadline_within(&self, timeout: Duration) -> Instant {
        let own = Instant::now() + timeout;
        self.deadline.map_or(own, |inherited| inherited.min(own))
    }

    pub(crate) fn apply(&self, request: &mut Request) {
        let value = self.correlation_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        if let Some(value) = value {
            request.headers_mut().insert(CORRELATION_ID, value);
        }
        // What the caller itself says wins.
        for (name, value) in &self.handed_on {
            request.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        // What the span around has met since belongs to the call too.
        let carried = base::carried::of(&Span::current());
        let carried = carried.and_then(|line| HeaderValue::from_str(&line).ok());
        if let Some(own) = &self.baggage {
            request.headers_mut().insert(baggage::BAGGAGE, own.clone());
            let carried: HeaderMap =
                carried.into_iter().map(|line| (baggage::BAGGAGE, line)).collect();
            for id in baggage::fault_ids(&carried) {
                baggage::append(request.headers_mut(), id);
            }
        } else if let Some(carried) = carried {
            request.headers_mut().entry(baggage::BAGGAGE).or_insert(carried);
        }
    }
}

impl<S: Sync> FromRequestParts<S> for CallContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: &str) -> CallContext {
        let mut headers = HeaderMap::new();
        headers.insert(CORRELATION_ID, HeaderValue::from_str(id).unwrap());
        CallContext::from_headers(&headers)
    }

    #[test]
    fn a_correlation_id_that_is_empty_long_or_not_printable_is_not_taken() {
        assert_eq!(with("abc-1").correlation_id.as_deref(), Some("abc-1"));
        assert_eq!(with("").correlation_id, None);
        assert_eq!(with(&"x".repeat(129)).correlation_id, None);
        assert_eq!(with("a b").correlation_id, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_inherited_deadline_is_never_extended() {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_TIMEOUT_MS, HeaderValue::from_static("100"));
        let context = CallContext::from_headers(&headers);
        let deadline = context.deadline_within(Duration::from_secs(5));
        assert_eq!(deadline - Instant::now(), Duration::from_millis(100));
    }
}
