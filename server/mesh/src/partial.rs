//! A body that breaks off: so many bytes arrive, then reading fails as on a lost connection.

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Ends another body early.
#[derive(Debug)]
pub(crate) struct Partial {
    /// [`None`] after the break.
    inner: Option<Body>,
    left: u64,
}

/// The connection was lost while the body was read.
#[derive(Debug, thiserror::Error)]
#[error("the connection was reset while the body was read")]
struct BrokenOff;

impl Partial {
    pub(crate) fn new(inner: Body, after_bytes: u64) -> Self {
        Self { inner: Some(inner), left: after_bytes }
    }
}

impl http_body::Body for Partial {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        if this.left == 0 {
            this.inner = None;
            return Poll::Ready(Some(Err(axum::Error::new(BrokenOff))));
        }
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        // The end of a shorter body breaks too: the reader must not take it for whole.
        let Some(frame) = frame else {
            this.inner = None;
            return Poll::Ready(Some(Err(axum::Error::new(BrokenOff))));
        };
        Poll::Ready(Some(frame.map(|frame| {
            frame.map_data(|mut data| {
                let passing = usize::try_from(this.left).unwrap_or(usize::MAX).min(data.len());
                this.left -= u64::try_from(passing).unwrap_or(0);
                data.split_to(passing)
            })
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    /// That of the whole body: who announces a length does not announce the break.
    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::new, http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::BodyExt;

    async fn read(frames: &[&'static str], after: u64) -> (String, bool) {
        let frames: Vec<Result<_, std::io::Error>> = frames.iter().map(|f| Ok(*f)).collect();
        let mut body = Body::new(Partial::new(Body::from_stream(stream::iter(frames)), after));
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (text, true) };
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        (text, false)
    }

    #[tokio::test]
    async fn exactly_so_many_bytes_arrive_and_then_it_breaks() {
        for (after, text) in [(0, ""), (2, "ab"), (3, "abc"), (5, "abcde"), (9, "abcdef")] {
            assert_eq!(read(&["abc", "def"], after).await, (text.to_owned(), true));
        }
    }
}
