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
    /// The reader was given a turn to send on what it has.
    paused: bool,
}

/// The connection was lost while the body was read.
#[derive(Debug, thiserror::Error)]
#[error("the connection was reset while the body was read")]
struct BrokenOff;

impl Partial {
    pub(crate) fn new(inner: Body, after_bytes: u64) -> Self {
        Self { inner: Some(inner), left: after_bytes, paused: false }
    }

    /// The break, a turn after what came before it: who sends on what it reads throws away on an
    /// error what it has not sent yet, and sends when it must wait.
    fn break_off(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !std::mem::replace(&mut self.paused, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner = None;
        Poll::Ready(Some(Err(axum::Error::new(BrokenOff))))
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
        if this.left == 0 || this.paused {
            return this.break_off(cx);
        }
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        // The end of a shorter body breaks too: the reader must not take it for whole.
        let Some(frame) = frame else { return this.break_off(cx) };
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

    #[test]
    fn the_break_comes_a_turn_after_the_last_bytes() {
        use futures::FutureExt;
        let mut body = Partial::new(Body::from("abcdef"), 3);
        assert_eq!(
            body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(),
            "abc"
        );
        assert!(body.frame().now_or_never().is_none(), "a turn to send them on");
        assert!(body.frame().now_or_never().unwrap().unwrap().is_err());
        assert!(body.frame().now_or_never().unwrap().is_none());
    }

    #[tokio::test]
    async fn exactly_so_many_bytes_arrive_and_then_it_breaks() {
        for (after, text) in [(0, ""), (2, "ab"), (3, "abc"), (5, "abcde"), (9, "abcdef")] {
            assert_eq!(read(&["abc", "def"], after).await, (text.to_owned(), true));
        }
    }
}
