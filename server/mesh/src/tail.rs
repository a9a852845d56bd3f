//! The rest of an answer, which comes after its head: as in Envoy, what a call holds (a connection,
//! its place among the requests under way) is held until the body ends or is dropped, and the
//! deadline of the call is the body's too.
//!
//! Decides nothing about the head; that is over when it comes here.
//!
//! [`follow`] is how a layer hears of the end, [`hold`] how something lasts until it, and
//! [`cut_at`] brings it about.

use crate::{MeshError, Response, edge::Tally};
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep};

/// What wants to know how the body of an answer ended. Dropped instead when its reader went away.
pub(crate) trait Tail: Send + Unpin + 'static {
    /// The body has ended, or broke off for this reason.
    fn end(self, broken: Option<&axum::Error>);
}

/// Tells `tail` how the body of the answer ends.
pub(crate) fn follow<T: Tail>(response: Response, tail: T) -> Response {
    if response.body().is_end_stream() {
        tail.end(None);
        return response;
    }
    response.map(|inner| Body::new(Followed { inner, tail: Some(tail) }))
}

/// Keeps `guard` until the body of the answer has ended or is dropped.
pub(crate) fn hold<G: Send + Unpin + 'static>(response: Response, guard: G) -> Response {
    follow(response, Guard(guard))
}

/// Has the body of the answer fail with [`MeshError::Deadline`] when it has not ended by then.
pub(crate) fn cut_at(
    deadline: Instant,
    response: Response,
    destination: &Arc<str>,
    tally: &Arc<Tally>,
) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    let (destination, tally) = (destination.clone(), tally.clone());
    let timed = |inner| Timed { inner: Some(inner), deadline, alarm: None, destination, tally };
    response.map(|inner| Body::new(timed(inner)))
}

/// Lasts as long as the body does.
struct Guard<G>(G);

impl<G: Send + Unpin + 'static> Tail for Guard<G> {
    fn end(self, _broken: Option<&axum::Error>) {
        drop(self.0);
    }
}

/// A body whose end is told.
struct Followed<T> {
    inner: Body,
    /// [`None`] when it knows of the end.
    tail: Option<T>,
}

impl<T: Tail> http_body::Body for Followed<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        let broken = match &frame {
            Poll::Pending => return frame,
            // A reader that knows the length does not ask for the end.
            Poll::Ready(Some(Ok(_))) if !self.inner.is_end_stream() => return frame,
            Poll::Ready(Some(Ok(_)) | None) => None,
            Poll::Ready(Some(Err(error))) => Some(error),
        };
        if let Some(tail) = self.tail.take() {
            tail.end(broken);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body with a deadline.
struct Timed {
    /// [`None`] after the deadline: with it goes what it holds.
    inner: Option<Body>,
    deadline: Instant,
    /// Only set for a body that keeps its reader waiting, which few do.
    alarm: Option<Pin<Box<Sleep>>>,
    destination: Arc<str>,
    tally: Arc<Tally>,
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Timed {
    fn cut(&mut self) -> axum::Error {
        self.inner = None;
        self.alarm = None;
        self.tally.act();
        let destination = self.destination.to_string();
        tracing::warn!("the answer of {destination} was cut off at the deadline");
        axum::Error::new(MeshError::Deadline { destination })
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        let late = match Pin::new(&mut *inner).poll_frame(cx) {
            // One that never keeps its reader waiting may have no end either.
            Poll::Ready(Some(Ok(_)))
                if !inner.is_end_stream() && Instant::now() >= this.deadline =>
            {
                true
            }
            Poll::Ready(frame) => return Poll::Ready(frame),
            Poll::Pending => {
                let deadline = this.deadline;
                let alarm =
                    this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                alarm.as_mut().poll(cx).is_ready()
            }
        };
        if late { Poll::Ready(Some(Err(this.cut()))) } else { Poll::Pending }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    /// That of the whole body: who announces a length does not announce the cut.
    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::new, http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt, stream};
    use http_body_util::BodyExt;
    use std::{convert::Infallible, time::Duration};

    const SECOND: Duration = Duration::from_secs(1);

    fn endless(pause: Duration) -> Body {
        Body::from_stream(stream::repeat("abc").then(move |text| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(text)
        }))
    }

    fn holding(body: Body) -> (Body, Arc<()>) {
        let guard = Arc::new(());
        (hold(Response::new(body), guard.clone()).into_body(), guard)
    }

    fn timed(body: Body) -> (Body, Arc<()>) {
        let (body, guard) = holding(body);
        let response =
            cut_at(Instant::now() + SECOND, Response::new(body), &"b".into(), &Arc::default());
        (response.into_body(), guard)
    }

    fn held(guard: &Arc<()>) -> bool {
        Arc::strong_count(guard) > 1
    }

    #[tokio::test]
    async fn what_a_body_holds_is_free_at_its_last_frame_at_its_error_and_when_it_is_dropped() {
        let (mut body, guard) = holding(Body::from("abc"));
        assert!(held(&guard));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert!(!held(&guard), "the reader knows that it was the last");
        let frames = [Ok("abc"), Err(std::io::Error::other("lost"))];
        let (mut body, guard) = holding(Body::from_stream(stream::iter(frames)));
        let _ = body.frame().await;
        assert!(held(&guard));
        assert!(body.frame().await.unwrap().is_err());
        assert!(!held(&guard));
        let (body, guard) = holding(Body::from_stream(stream::iter([Ok::<_, Infallible>("abc")])));
        assert!(held(&guard));
        drop(body);
        assert!(!held(&guard));
        assert!(!held(&holding(Body::empty()).1), "nothing follows the head");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_or_never_ends_fails_at_the_deadline_and_holds_nothing_more() {
        let stalled = stream::iter([Ok::<_, Infallible>("abc")]).chain(stream::pending());
        let slow = endless(Duration::from_millis(300));
        for (body, frames) in [(Body::from_stream(stalled), 1), (slow, 3)] {
            let began = Instant::now();
            let (mut body, guard) = timed(body);
            for _ in 0..frames {
                assert!(body.frame().await.unwrap().is_ok());
            }
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(began.elapsed(), SECOND);
            assert_eq!(error.to_string(), "b did not answer in time");
            assert!(!held(&guard));
            assert!(body.frame().now_or_never().unwrap().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_always_has_more_fails_too_and_one_that_is_all_there_does_not() {
        let (mut body, _) = timed(Body::from_stream(stream::repeat(Ok::<_, Infallible>("abc"))));
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::advance(SECOND).await;
        assert!(body.frame().await.unwrap().is_err());
        let (body, _) = timed(Body::from("abc"));
        tokio::time::advance(SECOND).await;
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }
}
