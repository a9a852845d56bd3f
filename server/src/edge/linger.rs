//! A request that was answered before all of it was read: what still comes is read and dropped, up
//! to a bound, before the connection is closed.
//!
//! A connection that is closed while its peer is still sending is reset, and a peer that is reset
//! throws away what it has not read yet: a browser would show an error of its own in place of the
//! answer that says why (RFC 9110, section 15.5.14; RFC 9112, section 9.6).

use axum::body::Body;
use http::{Request, header};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// Most that is read and dropped, bytes: a form some times as large as what is taken still hears
/// why it was not. What is longer is cut off, as a sender that never ends must be.
pub(super) const LINGER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest that it is read: a sender that stalls does not keep its place among the connections.
const LINGER: Duration = Duration::from_secs(5);

/// Where bodies go that are left; their connection reads them on. One request at a time is under
/// way on a connection, so that there is room for what is left of one.
pub(super) fn leftovers() -> (Left, Leftovers) {
    let (left, bodies) = mpsc::channel(1);
    (Left(left), Leftovers(bodies))
}

/// See [`leftovers`].
#[derive(Clone)]
pub(super) struct Left(mpsc::Sender<Body>);

/// See [`leftovers`].
pub(super) struct Leftovers(mpsc::Receiver<Body>);

impl Leftovers {
    /// Reads on what is left, for as long as it is polled.
    pub(super) async fn read(mut self) {
        while let Some(rest) = self.0.recv().await {
            // What takes longer is dropped, and its connection is closed.
            let _ = timeout(LINGER, drain(rest)).await;
        }
    }
}

/// A request whose body is handed over when whoever answers leaves it.
pub(super) fn linger<B>(request: Request<B>, left: &Left) -> Request<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    // Who asks first whether to send has heard the answer and sends nothing.
    let asks = request.headers().contains_key(header::EXPECT);
    request.map(|body| {
        if asks || body.is_end_stream() {
            return Body::new(body);
        }
        Body::new(Lingering { inner: Some(Body::new(body)), left: left.clone() })
    })
}

/// The body, until it was read to its end or failed.
struct Lingering {
    inner: Option<Body>,
    left: Left,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = &frame {
            self.inner = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(rest) = self.inner.take().filter(|inner| !inner.is_end_stream()) {
            // Without its connection there is nothing more to read.
            let _ = self.left.0.try_send(rest);
        }
    }
}

/// Reads a body to its end, to its failure (with its connection it fails too) or to the bound.
async fn drain(mut rest: Body) {
    let mut read = 0_u64;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        read = read.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if read > LINGER_BYTES_MAX {
            return;
        }
    }
}
