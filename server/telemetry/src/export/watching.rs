//! The HTTP client of the exporters, which also reads what a collector says it did not take, and
//! why a request did not reach it.
//!
//! OTLP answers 200 with a partial success when some spans of a request are rejected (OTLP
//! specification, "Partial Success"); the library keeps that to itself, and of every other failure
//! it says "network error".

use super::{exporters::Rejected, grpc::sentence};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use parking_lot::Mutex;
use prost::Message as _;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct WatchingClient {
    client: reqwest::Client,
    rejected: Rejected,
    /// Why the last request did not arrive. The exporters send one after the other.
    failure: Arc<Mutex<Option<String>>>,
}

impl WatchingClient {
    /// Counts there what is rejected.
    pub(super) fn new(client: reqwest::Client, rejected: Rejected) -> Self {
        Self { client, rejected, failure: Arc::default() }
    }

    /// Why the last request did not arrive, once.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.lock().take()
    }
}

#[async_trait]
impl HttpClient for WatchingClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = HttpClient::send_bytes(&self.client, request).await;
        // What is outermost names the whole address, in which there may be a key.
        let cause = sent.as_ref().err().and_then(|error| error.source());
        *self.failure.lock() = cause.map(sentence);
        let response = sent?;
        if response.status().is_success() {
            self.rejected.add(rejected(response.body()));
        }
        Ok(response)
    }
}

/// `partial_success.rejected_spans` of an `ExportTraceServiceResponse`; 0 for anything else.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rejected_spans_of_an_answer_are_read_and_an_empty_or_broken_answer_has_none() {
        // partial_success { rejected_spans: 300, error_message: "no" }
        assert_eq!(rejected(&[0x0a, 7, 0x08, 0xac, 0x02, 0x12, 2, b'n', b'o']), 300);
        // The message may come first.
        assert_eq!(rejected(&[0x0a, 6, 0x12, 2, b'n', b'o', 0x08, 2]), 2);
        assert_eq!(rejected(&[]), 0);
        assert_eq!(rejected(&[0x0a, 200, 0x08]), 0);
        assert_eq!(rejected(b"<html>"), 0);
        assert_eq!(rejected(&[0xff; 32]), 0);
    }
}
