//! A body that is copied up to a limit while somebody reads it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// The beginning of the body.
    pub bytes: Bytes,
    /// It is all of it.
    pub whole: bool,
}

/// Copies a body, and hands the copy over when the reader is through with it.
#[derive(Debug)]
pub(super) struct Copying {
    inner: Body,
    bytes: BytesMut,
    limit: usize,
    whole: bool,
    done: Option<oneshot::Sender<Copy>>,
}

impl Copying {
    pub(super) fn new(inner: Body, limit: usize) -> (Self, oneshot::Receiver<Copy>) {
        let (done, copy) = oneshot::channel();
        let whole = inner.is_end_stream();
        (Self { inner, bytes: BytesMut::new(), limit, whole, done: Some(done) }, copy)
    }

    fn take(&mut self, data: &Bytes) {
        let room = self.limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            self.finish(false);
        }
    }

    fn finish(&mut self, whole: bool) {
        if let Some(done) = self.done.take() {
            let bytes = std::mem::take(&mut self.bytes).freeze();
            // Nobody waits any more: the mirror failed before.
            let _ = done.send(Copy { bytes, whole });
        }
    }
}

impl http_body::Body for Copying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref().filter(|_| self.done.is_some()) {
                    self.take(data);
                }
            }
            Some(Err(_)) => self.finish(false),
            None => self.finish(true),
        }
        // A reader that knows the length does not ask for the end.
        self.whole = self.inner.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        let whole = self.whole;
        self.finish(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn the_reader_gets_all_and_the_copy_no_more_than_its_limit() {
        for (limit, expected, whole) in
            [(8, "abcdef", true), (6, "abcdef", true), (4, "abcd", false)]
        {
            let frames = ["abc", "def"].map(Ok::<_, std::io::Error>);
            let body = Body::from_stream(futures::stream::iter(frames));
            let (copying, copy) = Copying::new(body, limit);
            assert_eq!(Body::new(copying).collect().await.unwrap().to_bytes(), "abcdef");
            assert_eq!(copy.await, Ok(Copy { bytes: expected.into(), whole }));
        }
    }

    #[tokio::test]
    async fn a_body_nobody_reads_to_its_end_is_not_whole() {
        let (copying, copy) = Copying::new(Body::from("abc"), 8);
        drop(copying);
        assert_eq!(copy.await, Ok(Copy::default()));
        let (copying, copy) = Copying::new(Body::empty(), 8);
        drop(copying);
        assert!(copy.await.unwrap().whole, "there is nothing to read");
    }
}
