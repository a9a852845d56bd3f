//! Answers packed with gzip for whoever takes it: pages, what server functions answer, metrics.
//!
//! Files have their own way (`assets.rs`), and a stream of events is never held back.

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    middleware::Next,
    response::Response,
};
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use std::io::{self, Write as _};

/// Smaller answers are sent as they are, bytes: one packet either way.
const WORTH_BYTES: u64 = 1_024;
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
    let mut encoder = encoder();
    encoder.write_all(content)?;
    encoder.finish()
}

fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::default())
}

/// Around every route: packs answers that are worth it as they come.
pub(super) async fn pack(request: Request, next: Next) -> Response {
    let takes_gzip = takes(request.headers(), "gzip");
    let mut answer = next.run(request).await;
    if !is_worth(&answer) {
        return answer;
    }
    let headers = answer.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !takes_gzip {
        return answer;
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer.map(packed)
}

/// An entity tag is of the bytes that were sent, and packing makes others.
fn is_worth(answer: &Response) -> bool {
    let headers = answer.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| MEDIA_TYPES.contains(&kind))
        && [header::CONTENT_ENCODING, header::ETAG].iter().all(|name| !headers.contains_key(name))
        && answer.body().size_hint().exact().is_none_or(|bytes| bytes >= WORTH_BYTES)
}

/// Each piece goes out as it comes: a page that is drawn in pieces shows the first at once.
fn packed(body: Body) -> Body {
    let state = (body.into_data_stream(), Some(encoder()));
    Body::from_stream(stream::try_unfold(state, |(mut pieces, encoder)| async move {
        let Some(mut encoder) = encoder else { return Ok(None) };
        let Some(piece) = pieces.next().await else {
            return Ok(Some((Bytes::from(encoder.finish()?), (pieces, None))));
        };
        encoder.write_all(&piece.map_err(io::Error::other)?)?;
        encoder.flush()?;
        let out = std::mem::take(encoder.get_mut());
        Ok::<_, io::Error>(Some((Bytes::from(out), (pieces, Some(encoder)))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware::from_fn, response::IntoResponse, routing::get};
    use flate2::read::GzDecoder;
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

    async fn answer(of: Response, accept: &'static str) -> (HeaderMap, Vec<u8>) {
        let answer = Arc::new(Mutex::new(Some(of)));
        let give = async move || answer.lock().unwrap().take().unwrap();
        let app = Router::new().route("/", get(give)).layer(from_fn(pack));
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = accepting(accept);
        let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
        (parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    fn of_type(kind: &'static str, body: impl Into<Body>) -> Response {
        ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
    }

    #[tokio::test]
    async fn a_page_that_comes_in_pieces_is_packed_piece_by_piece() {
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
