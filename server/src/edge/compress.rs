//! Answers packed with gzip for whoever takes it: pages, what server functions answer, metrics.
//!
//! Files have their own way (`assets.rs`), and a stream of events is never held back.

use flate2::{Compression, write::GzEncoder};
use http::{Extensions, HeaderMap, StatusCode, Version, header};
use std::io::{self, Write as _};
use tower_http::compression::{
    CompressionLayer,
    predicate::{And, Predicate as _, SizeAbove},
};

/// Smaller answers are sent as they are, bytes: one packet either way.
const WORTH_BYTES: u16 = 1_024;
/// What is packed.
const MEDIA_TYPES: [&str; 3] = ["text/html", "application/json", "application/openmetrics-text"];

/// Whether a client takes a content coding (RFC 9110, section 12.5.3), named with a weight above 0.
pub(super) fn takes(headers: &HeaderMap, coding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

/// A content packed whole.
pub(super) fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    encoder.finish()
}

/// A question about the head of an answer.
type OfHead = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Around every route: packs answers that are worth it as they come, so that a page which is drawn
/// in pieces shows the first at once.
pub(super) fn pack() -> CompressionLayer<And<SizeAbove, OfHead>> {
    let of_head: OfHead = |_, _, headers, _| is_worth(headers);
    CompressionLayer::new().compress_when(SizeAbove::new(WORTH_BYTES).and(of_head))
}

/// An entity tag is of the bytes that were sent, and packing makes others.
fn is_worth(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| MEDIA_TYPES.contains(&kind)) && !headers.contains_key(header::ETAG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        Router,
        body::Body,
        extract::Request,
        response::{IntoResponse, Response},
        routing::get,
    };
    use flate2::{read::GzDecoder, write};
    use futures::{StreamExt as _, channel::mpsc, future::poll_immediate, stream};
    use http::HeaderValue;
    use std::{
        io::Read as _,
        sync::{Arc, Mutex},
    };
    use tower::ServiceExt as _;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_coding_is_taken_when_it_is_named_and_not_refused() {
        for value in ["gzip", "deflate, gzip", "br;q=1.0, GZip;q=0.5", "gzip ; q=0.001"] {
            assert!(takes(&accepting(value), "gzip"), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip;q=0.000", "gzip;q=x", "xgzip", "identity"] {
            assert!(!takes(&accepting(value), "gzip"), "{value}");
        }
        assert!(!takes(&HeaderMap::new(), "gzip"));
    }

    async fn packed(of: Response, accept: &'static str) -> Response {
        let answer = Arc::new(Mutex::new(Some(of)));
        let give = async move || answer.lock().unwrap().take().unwrap();
        let app = Router::new().route("/", get(give)).layer(pack());
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = accepting(accept);
        app.oneshot(request).await.unwrap()
    }

    async fn answer(of: Response, accept: &'static str) -> (HeaderMap, Vec<u8>) {
        let (parts, body) = packed(of, accept).await.into_parts();
        (parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    fn of_type(kind: &'static str, body: impl Into<Body>) -> Response {
        ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
    }

    #[tokio::test]
    async fn a_piece_of_a_page_is_there_before_the_next_one_is_drawn() {
        let (page, pieces) = mpsc::unbounded();
        let body = Body::from_stream(pieces.map(Ok::<_, io::Error>));
        let mut sent =
            packed(of_type("text/html", body), "gzip").await.into_body().into_data_stream();
        let mut text = write::GzDecoder::new(Vec::new());
        for piece in ["<h1>Orders</h1>", "<p>The first</p>"] {
            page.unbounded_send(piece).unwrap();
            while let Some(some) = poll_immediate(sent.next()).await {
                text.write_all(&some.unwrap().unwrap()).unwrap();
                text.flush().unwrap();
            }
            assert!(text.get_ref().ends_with(piece.as_bytes()), "{piece}");
        }
        drop(page);
        while let Some(end) = sent.next().await {
            text.write_all(&end.unwrap()).unwrap();
        }
        assert_eq!(text.finish().unwrap(), b"<h1>Orders</h1><p>The first</p>");
    }

    #[tokio::test]
    async fn a_page_that_comes_in_pieces_is_packed_as_a_whole() {
        let pieces = (0..40).map(|n| Ok::<_, io::Error>(format!("<p>The {n}th piece</p>")));
        let whole: String = (0..40).map(|n| format!("<p>The {n}th piece</p>")).collect();
        let page =
            || of_type("text/html; charset=utf-8", Body::from_stream(stream::iter(pieces.clone())));
        let (headers, sent) = answer(page(), "gzip, deflate").await;
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        assert_eq!(headers[header::VARY], "accept-encoding");
        let mut text = String::new();
        GzDecoder::new(&sent[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, whole);
        let (headers, sent) = answer(page(), "br").await;
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
        assert_eq!(
            (&headers[header::VARY], sent),
            (&"accept-encoding".parse().unwrap(), whole.into())
        );
    }

    #[tokio::test]
    async fn what_is_small_or_packed_or_a_stream_or_tagged_is_left_alone() {
        let large = "x".repeat(10_000);
        let with = |name, value| {
            let mut answer = of_type("application/json", large.clone());
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
            answer
        };
        for left in [
            of_type("text/html", "small"),
            of_type("text/event-stream", large.clone()),
            of_type("font/woff2", large.clone()),
            with(header::CONTENT_ENCODING, "br"),
            with(header::ETAG, "\"5\""),
        ] {
            let before = left.headers().clone();
            let (after, _) = answer(left, "gzip").await;
            assert_eq!(after.get(header::CONTENT_ENCODING), before.get(header::CONTENT_ENCODING));
        }
    }
}
