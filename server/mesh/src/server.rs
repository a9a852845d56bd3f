//! The callee's side: every service's router gets one server span per request (a consumer span for
//! a message), and a handler that panics is a 500 and not the end of the process. A command that a
//! handler detached is: what it left half done goes on after a start (`base::Supervisor`).

use crate::{
    Request, Response,
    context::CORRELATION_ID,
    inbound::Inbound,
    journey::Journey,
    route::Routed,
    span::{CALLER, faults, read_context},
    tracing_policy::{Made, follow},
};
use axum::{
    Router,
    extract::MatchedPath,
    middleware::{Next, from_fn},
};
use base::TraceContext;
use contract::attributes;
use http::HeaderMap;
use std::sync::Arc;
use tracing::{Instrument, Span, field::Empty};

/// Wraps the router of the service `name` as a mesh does, for one that is reached without a mesh.
pub fn serve(name: &'static str, router: Router) -> Router {
    serve_as(name, name, router, None)
}

/// Wraps the router of one instance of a service.
pub(crate) fn serve_as(
    service: &str,
    instance: &str,
    router: Router,
    inbound: Option<Arc<Inbound>>,
) -> Router {
    let router = match inbound {
        Some(inbound) => {
            router.layer(from_fn(move |request, next| enter(inbound.clone(), request, next)))
        }
        None => router,
    };
    let (service, instance): (Arc<str>, Arc<str>) = (service.into(), instance.into());
    router.layer(from_fn(move |request: Request, next: Next| {
        let span = server_span(&service, &instance, &request);
        if let Some(journey) = Journey::of(&request).filter(|journey| journey.ingress) {
            journey.serve(TraceContext::of(&span).traceparent);
        }
        async move {
            let outcome =
                futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(next.run(request)));
            let response = outcome.await.unwrap_or_else(|_| panicked());
            let status = response.status();
            let span = Span::current();
            span.record(attributes::HTTP_STATUS, status.as_u16());
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
                span.record(attributes::ERROR_TYPE, status.as_str());
            }
            response
        }
        .instrument(span)
    }))
}

/// What the callee's side enforces, inside the span, so that refusals are on it.
async fn enter(inbound: Arc<Inbound>, mut request: Request, next: Next) -> Response {
    match inbound.enter(&mut request) {
        Ok(entered) => {
            let mut response = next.run(request).await;
            entered.describe(&mut response);
            response
        }
        Err(refused) => *refused,
    }
}

fn panicked() -> Response {
    tracing::error!("the handler panicked");
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn server_span(service: &str, instance: &str, request: &Request) -> Span {
    let headers = request.headers();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let message = text(headers, "ce-type");
    let (kind, name) = match (message, route) {
        (Some(message), _) => ("consumer", format!("process {message}")),
        (None, Some(route)) => ("server", format!("{} {route}", request.method())),
        (None, None) => ("server", request.method().to_string()),
    };
    let span = tracing::info_span!(
        target: "vitrine::mesh",
        "serve",
        otel.name = name,
        otel.kind = kind,
        otel.status_code = Empty,
        service.name = service,
        service.instance.id = instance,
        mesh.caller = headers.get(CALLER).and_then(|v| v.to_str().ok()),
        http.request.method = request.method().as_str(),
        http.route = route,
        url.scheme = "http",
        url.path = request.uri().path(),
        { attributes::HTTP_STATUS } = Empty,
        { attributes::ERROR_TYPE } = Empty,
        { attributes::FAULT_ID } = faults(headers),
        { attributes::ORDER_ID } = Empty,
        { attributes::TRANSACTION_ID } = Empty,
        { attributes::SAGA_COMPENSATION } = Empty,
        { attributes::CORRELATION_ID } = headers.get(CORRELATION_ID).and_then(|v| v.to_str().ok()),
        messaging.system = message.map(|_| "vitrine"),
        messaging.operation.name = message.map(|_| "process"),
        messaging.operation.r#type = message.map(|_| "process"),
        messaging.destination.name = message,
        messaging.message.id = text(headers, "ce-id"),
        cloudevents.event_source = text(headers, "ce-source"),
        messaging.lag_us = text(headers, "ce-vitrinelagus").and_then(|lag| lag.parse::<i64>().ok()),
    );
    let context = read_context(headers);
    context.adopt(&span);
    if let Some(routed) = request.extensions().get::<Arc<Routed>>() {
        let root = context.trace_id().is_none();
        let made = Made { workload: service, request, client: false, root };
        follow(&span, &routed.snapshot, &made);
    }
    if message.is_some() {
        context.link(&span);
    }
    span
}
