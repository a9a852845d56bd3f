//! The HTTP client of the exporters, which also reads what a collector says it did not take.
//!
//! OTLP answers 200 with a partial success when some spans of a request are rejected (OTLP
//! specification, "Partial Success"); the library keeps that to itself. Over gRPC it stays unseen.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct WatchingClient {
    client: reqwest::Client,
    rejected: Arc<AtomicU64>,
}

impl WatchingClient {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self { client, rejected: Arc::default() }
    }

    /// Spans that were rejected since this was asked before.
    pub(super) fn take_rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl HttpClient for WatchingClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = HttpClient::send_bytes(&self.client, request).await?;
        if response.status().is_success() {
            self.rejected.fetch_add(rejected(response.body()), Ordering::Relaxed);
        }
        Ok(response)
    }
}

/// `partial_success.rejected_spans` of an `ExportTraceServiceResponse`; 0 for anything else.
fn rejected(answer: &[u8]) -> u64 {
    let partial = field(answer, 1).and_then(|found| match found {
        Found::Bytes(bytes) => field(bytes, 1),
        Found::Number(_) => None,
    });
    match partial {
        Some(Found::Number(spans)) => spans,
        _ => 0,
    }
}

/// The value of a field of a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The first field of this number; nothing in what is no protobuf message.
fn field(mut message: &[u8], wanted: u64) -> Option<Found<'_>> {
    loop {
        let key = varint(&mut message)?;
        let found = match key & 7 {
            0 => Found::Number(varint(&mut message)?),
            1 => Found::Bytes(message.split_off(..8)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Found::Bytes(message.split_off(..length)?)
            }
            5 => Found::Bytes(message.split_off(..4)?),
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(found);
        }
    }
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = message.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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
