//! The span layer: one client span per call (a producer span for a message), after the
//! OpenTelemetry semantic conventions for HTTP and messaging; W3C trace context goes out with the
//! call.

use crate::{MeshError, Request, Response, baggage, call::Tags, fault};
use base::TraceContext;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};

/// Who called; read by the server span of the callee.
pub(crate) const CALLER: HeaderName = HeaderName::from_static("x-vitrine-caller");

/// The trace context of calls that only look; its ids are never recorded.
pub(crate) const UNSAMPLED: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";

/// Makes [`Spanned`] services for calls from one caller to one destination.
#[derive(Clone, Debug)]
pub(crate) struct SpanLayer {
    pub(crate) caller: Arc<str>,
    pub(crate) destination: Arc<str>,
}

impl<S> Layer<S> for SpanLayer {
    type Service = Spanned<S>;

    fn layer(&self, inner: S) -> Spanned<S> {
        Spanned { inner, names: self.clone() }
    }
}

/// Puts calls into spans.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<S> {
    inner: S,
    names: SpanLayer,
}

impl<S> Service<Request> for Spanned<S>
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
        if let Ok(caller) = HeaderValue::from_str(&self.names.caller) {
            request.headers_mut().insert(CALLER, caller);
        }
        let tags = request.extensions_mut().remove::<Tags>().unwrap_or_default();
        if tags.ingress {
            // The caller is outside and makes its own span, if any: its context is passed on.
            return Box::pin(ready.call(request));
        }
        let span = self.names.span(&request, &tags);
        write_context(&TraceContext::of(&span), request.headers_mut());
        Box::pin(
            async move {
                let outcome = ready.call(request).await;
                record(&Span::current(), &outcome);
                outcome
            }
            .instrument(span),
        )
    }
}

impl SpanLayer {
    fn span(&self, request: &Request, tags: &Tags) -> Span {
        let method = request.method().as_str();
        let (kind, name) = match &tags.message_type {
            Some(message) => ("producer", format!("send {message}")),
            None => (
                "client",
                format!("{method} {}", tags.route.as_deref().unwrap_or("")).trim_end().to_owned(),
            ),
        };
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            "call",
            otel.name = name,
            otel.kind = kind,
            otel.status_code = Empty,
            otel.status_description = Empty,
            service.name = %self.caller,
            server.address = %self.destination,
            http.request.method = method,
            url.path = request.uri().path(),
            http.response.status_code = Empty,
            http.request.resend_count = Empty,
            error.r#type = Empty,
            vitrine.fault.id = faults(request.headers()),
            order.id = tags.order_id,
            transaction.id = tags.transaction_id,
            messaging.message.id = tags.message_id,
            messaging.destination.name = tags.message_type,
            messaging.system = tags.message_type.as_ref().map(|_| "vitrine"),
        );
        if let Some(parent) = &tags.parent {
            parent.adopt(&span);
        }
        span
    }
}

/// The faults that the request on whose behalf the call is made has met.
pub(crate) fn faults(headers: &HeaderMap) -> Option<String> {
    let ids = baggage::fault_ids(headers);
    (!ids.is_empty()).then(|| fault::text(&ids))
}

fn record(span: &Span, outcome: &Result<Response, MeshError>) {
    match outcome {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            // HTTP semantic conventions: for a client every 4xx and 5xx is an error of the span.
            // A refusal (402, 404, 409 …) is a result here and would redden healthy traces.
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", status.as_str());
            }
        }
        Err(error) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", tracing::field::display(error));
            span.record("error.type", error.kind());
        }
    }
}

pub(crate) fn write_context(context: &TraceContext, headers: &mut HeaderMap) {
    let pairs = [("traceparent", &context.traceparent), ("tracestate", &context.tracestate)];
    for (name, value) in pairs {
        if let Some(value) = value.as_deref().and_then(|v| HeaderValue::from_str(v).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

pub(crate) fn read_context(headers: &HeaderMap) -> TraceContext {
    let text =
        |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::to_owned);
    TraceContext { traceparent: text("traceparent"), tracestate: text("tracestate") }
}

/// Whether a request only looks at the shop. Faults leave it alone: it is no traffic of the shop, so
/// it must not use up their draws, and pages stay readable while they show a fault.
pub(crate) fn only_looks(headers: &HeaderMap) -> bool {
    headers.get("traceparent").is_some_and(|value| value.as_bytes() == UNSAMPLED.as_bytes())
}
