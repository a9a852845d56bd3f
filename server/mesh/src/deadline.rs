//! The deadline layer: a call ends when its deadline does, and the callee is told what is left.
//!
//! The time left travels as `x-envoy-expected-rq-timeout-ms`, so that nested calls inherit it.

use crate::{MeshError, Request, Response, context::EXPECTED_TIMEOUT_MS};
use futures::future::BoxFuture;
use http::HeaderValue;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;
use tower::{Layer, Service};

/// When the call of this request must have ended; an extension set by the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Makes [`Deadlined`] services.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineLayer {
    pub(crate) destination: Arc<str>,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadlined<S>;

    fn layer(&self, inner: S) -> Deadlined<S> {
        Deadlined { inner, destination: self.destination.clone() }
    }
}

/// Ends calls at their deadline.
#[derive(Clone, Debug)]
pub(crate) struct Deadlined<S> {
    inner: S,
    destination: Arc<str>,
}

impl<S> Service<Request> for Deadlined<S>
where
    S: Service<Request, Response = Response, Error = MeshError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = MeshError;
    type Future = BoxFuture<'static, Result<Response, MeshError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let Some(Deadline(deadline)) = request.extensions().get::<Deadline>().copied() else {
            return Box::pin(ready.call(request));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        request.headers_mut().insert(EXPECTED_TIMEOUT_MS, HeaderValue::from(left_ms));
        let destination = self.destination.clone();
        Box::pin(async move {
            tokio::time::timeout_at(deadline, ready.call(request)).await.unwrap_or_else(|_| {
                Err(MeshError::Deadline { destination: destination.as_ref().into() })
            })
        })
    }
}
