//! The span layer: one client span per call (a producer span for a message), after the
//! OpenTelemetry semantic conventions for HTTP and messaging; W3C trace context goes out with the
//! call.

use crate::{
    Flag, MeshError, Request, Response, baggage,
    call::Tags,
    context::CORRELATION_ID,
    fault,
    instance::Host,
    journey::Journey,
    registry::Begun,
    stack::{MeshLayer, MeshService, Reply},
    target,
    tracing_policy::{Made, follow},
};
use base::TraceContext;
use contract::attributes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, uri::Authority};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

/// Who called; read by the server span of the callee.
pub(crate) const CALLER: HeaderName = HeaderName::from_static("x-vitrine-caller");

/// The scheme of every address in the mesh.
pub(crate) const SCHEME: &str = "http";
/// The port of an address that writes none: that of the scheme.
const SERVER_PORT: u16 = 80;

/// Puts calls into spans.
#[derive(Debug)]
pub(crate) struct SpanLayer;

impl MeshLayer for SpanLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, mut request: Request) -> Reply {
        let Some(journey) = Journey::of(&request).cloned() else { return ready.finish(request) };
        if let Ok(caller) = HeaderValue::from_str(&journey.source.service) {
            request.headers_mut().insert(CALLER, caller);
        }
        let tags = request.extensions_mut().remove::<Tags>().unwrap_or_default();
        if journey.ingress {
            // The caller is outside and makes its own span, if any: its context is passed on.
            let unserved = Unserved::of(&request, &journey).map(Arc::new);
            let Some(unserved) = unserved else { return ready.finish(request) };
            // For the route layer, which alone knows where the request goes.
            request.extensions_mut().insert(unserved.clone());
            let reply = ready.finish(request);
            return Box::pin(async move {
                let outcome = reply.await;
                unserved.tell(&outcome);
                outcome
            });
        }
        let ends = Ends { from: &journey.source.service, to: &journey.called };
        let span = span(&request, &ends, &tags);
        // What is met beside the call from now on is none of its business.
        let baggage = baggage::of(request.headers());
        base::carried::set(&span, baggage.as_ref().and_then(|b| b.to_str().ok()).unwrap_or(""));
        base::carried::of_call(&span);
        let root = Span::current().is_none() && tags.parent.is_none();
        let workload = &*journey.source.service;
        let made = Made { workload, request: &request, client: true, root };
        if let Some(begun) = request.extensions().get::<Begun>() {
            follow(&span, &begun.snapshot, &made);
        }
        write_context(&TraceContext::of(&span), request.headers_mut());
        let mut end = End::new(span.clone(), Span::current(), journey);
        Box::pin(
            async move {
                let outcome = ready.finish(request).await;
                end.end(&outcome);
                outcome
            }
            .instrument(span),
        )
    }
}

/// Puts on the span what happened to the call, also when the caller went away before its end.
struct End {
    span: Span,
    /// What the call was made in.
    caller: Span,
    journey: Arc<Journey>,
    over: bool,
    /// Without an answer, or with one that refuses.
    failed: bool,
}

/// Whether an answer is none of those that its caller asked for.
fn is_refusal(status: http::StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

impl End {
    fn new(span: Span, caller: Span, journey: Arc<Journey>) -> Self {
        Self { span, caller, journey, over: false, failed: true }
    }

    fn end(&mut self, outcome: &Result<Response, MeshError>) {
        self.over = true;
        self.failed = outcome.as_ref().map_or(true, |answer| is_refusal(answer.status()));
        record(&self.span, outcome);
    }

    /// Tells who made the call what of the faults it met counts there: of a call that failed all;
    /// of one that ended well not those that were made good for, by another try here or by whoever
    /// fell back below.
    fn hand_up(&self) {
        let ids = |line: Option<String>| line.map(|line| baggage::ids(&line)).unwrap_or_default();
        let held = [self.journey.delays(), ids(base::carried::held(&self.span))].concat();
        let below = if self.failed { ids(base::carried::met(&self.span)) } else { held.clone() };
        let met = [self.journey.contributed(self.failed), below].concat();
        if met.is_empty() {
            return;
        }
        base::carried::meet(
            &self.caller,
            |before| baggage::with(before, &met),
            |before| baggage::with(before, &held),
        );
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.over {
            self.journey.add(Flag::DownstreamDisconnect);
        }
        let (span, journey) = (&self.span, &self.journey);
        let flags = journey.flags();
        if !flags.is_empty() {
            span.record(attributes::MESH_RESPONSE_FLAGS, tracing::field::display(flags));
        }
        if let Some(host) = journey.host() {
            span.record(attributes::MESH_INSTANCE, &*host.name);
            span.record(attributes::MESH_INSTANCE_VERSION, host.version());
            record_socket(span, Some(&host));
        }
        let faults = journey.faults();
        if !faults.is_empty() {
            span.record(attributes::FAULT_ID, fault::text(&faults));
            // What the caller does from now on follows from it, its messages too.
            base::carried::update(&self.caller, |before| baggage::with(before, &faults));
        }
        self.hand_up();
        let tries = journey.attempts();
        if tries > 0 {
            span.record(attributes::MESH_TRIES, tries);
        }
        // Of several tries each has a span of its own that tells this, unless they are those of a
        // request from outside.
        if tries <= 1 || journey.ingress {
            journey.end_try().record_faults(span);
        }
    }
}

/// A request from outside, as long as no service has made a span for it. When the mesh answers in
/// place of the gateway (a fault, a refusal, a redirect) nobody else tells of it, and what nobody
/// tells of is no traffic and no evidence. What the gateway sends on to a service outside has this
/// span too, and below it the client span of the gateway: nobody there makes one in its place.
pub(crate) struct Unserved {
    journey: Arc<Journey>,
    method: Method,
    uri: Uri,
    /// In the order of [`TOLD`].
    told: [Option<HeaderValue>; 4],
    begun: Option<Begun>,
    at: Instant,
    /// If it was made before the end.
    span: OnceLock<Span>,
}

/// Headers that are needed to tell of a request: its trace context, and its correlation id. Values
/// are shared with the request, and read only when it comes to that, which is seldom.
const TOLD: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    baggage::BAGGAGE,
    CORRELATION_ID,
];

impl Unserved {
    fn of(request: &Request, journey: &Arc<Journey>) -> Option<Self> {
        if journey.look {
            return None;
        }
        Some(Self {
            journey: journey.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            told: TOLD.map(|name| match name == baggage::BAGGAGE {
                true => baggage::of(request.headers()),
                false => request.headers().get(name).cloned(),
            }),
            begun: request.extensions().get::<Begun>().cloned(),
            at: Instant::now(),
            span: OnceLock::new(),
        })
    }

    /// The request goes out of the mesh by this rule: makes the client span of the gateway, whose
    /// context goes along.
    pub(crate) fn goes_out(&self, destination: &Arc<str>, request: &mut Request) -> Outward {
        let served = self.span.get_or_init(|| self.span(None)).clone();
        let parent = TraceContext::of(&served);
        self.journey.serve(parent.traceparent.clone());
        let ends = Ends { from: &self.journey.called, to: destination };
        let span = span(request, &ends, &Tags { parent: Some(parent), ..Tags::default() });
        if let Some(begun) = &self.begun {
            let workload = &*self.journey.called;
            let made = Made { workload, request, client: true, root: false };
            follow(&span, &begun.snapshot, &made);
        }
        write_context(&TraceContext::of(&span), request.headers_mut());
        let journey = self.journey.clone();
        Outward(End::new(span, served, journey))
    }

    /// The span in place of the one that the service would have made.
    fn tell(&self, outcome: &Result<Response, MeshError>) {
        let journey = &self.journey;
        let made = self.span.get().cloned();
        if made.is_none() && journey.is_served() {
            return;
        }
        let span = made.unwrap_or_else(|| self.span(Some(self.at.elapsed())));
        record(&span, outcome);
        let mut flags = journey.flags();
        if let Err(error) = outcome {
            span.record(attributes::HTTP_STATUS, error.status().as_u16());
            flags = error.flag().map_or(flags, |flag| flags.with(flag));
        }
        if !flags.is_empty() {
            span.record(attributes::MESH_RESPONSE_FLAGS, tracing::field::display(flags));
        }
        let faults = journey.faults();
        if !faults.is_empty() {
            span.record(attributes::FAULT_ID, fault::text(&faults));
        }
        journey.end_try().record_faults(&span);
        journey.serve(TraceContext::of(&span).traceparent);
    }

    /// Made when it is over, or while it goes on.
    fn span(&self, took: Option<Duration>) -> Span {
        let Self { journey, method, uri, told, begun, .. } = self;
        // Without its other headers and its body.
        let mut request = Request::default();
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
        for (name, value) in TOLD.into_iter().zip(told) {
            request.headers_mut().extend(value.clone().map(|value| (name, value)));
        }
        let parent = read_context(request.headers());
        let correlation_id = request.headers().get(CORRELATION_ID);
        let took_us = took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            parent: None,
            "serve",
            otel.name = request.method().as_str(),
            otel.kind = "server",
            otel.status_code = Empty,
            otel.status_description = Empty,
            service.name = %journey.called,
            mesh.caller = %journey.source.service,
            { base::TOOK_US } = took_us,
            http.request.method = request.method().as_str(),
            url.scheme = SCHEME,
            url.path = request.uri().path(),
            { attributes::HTTP_STATUS } = Empty,
            { attributes::ERROR_TYPE } = Empty,
            { attributes::CORRELATION_ID } = correlation_id.and_then(|v| v.to_str().ok()),
            { attributes::MESH_RESPONSE_FLAGS } = Empty,
            { attributes::MESH_FAULT_ID } = Empty,
            { attributes::MESH_FAULT_DELAY_MS } = Empty,
            { attributes::FAULT_ID } = Empty,
        );
        let root = parent.trace_id().is_none();
        parent.adopt(&span);
        if let Some(begun) = begun {
            let workload = &*journey.called;
            let made = Made { workload, request: &request, client: false, root };
            follow(&span, &begun.snapshot, &made);
        }
        span
    }
}

/// A request of the gateway to a service outside the mesh, while it is under way.
pub(crate) struct Outward(End);

impl Outward {
    /// What happens to the request is told in this span.
    pub(crate) fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// It is over.
    pub(crate) fn end(mut self, outcome: &Result<Response, MeshError>) {
        self.0.end(outcome);
    }
}

/// Who calls whom.
struct Ends<'a> {
    from: &'a str,
    to: &'a str,
}

/// The host and port that a request is addressed to: what its sender wrote, else the name called.
pub(crate) struct Addressed {
    host: String,
    pub(crate) port: u16,
    authority: String,
}

impl Addressed {
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap, called: &str) -> Self {
        let said = target::authority(uri, headers).and_then(|said| said.parse::<Authority>().ok());
        let host = said.as_ref().map_or(called, Authority::host).to_owned();
        let port = said.as_ref().and_then(Authority::port_u16).unwrap_or(SERVER_PORT);
        let authority = said.map_or_else(|| called.to_owned(), |said| said.to_string());
        Self { host, port, authority }
    }

    /// The whole address (semantic conventions); a query may have anything in it and is left out.
    pub(crate) fn url(&self, uri: &Uri) -> String {
        format!("{SCHEME}://{}{}", self.authority, uri.path())
    }
}

/// Where the connection of a call or of a try goes, if there is one.
pub(crate) fn record_socket(span: &Span, host: Option<&Host>) {
    if let Some(socket) = host.and_then(Host::socket) {
        span.record(attributes::PEER_ADDRESS, tracing::field::display(socket.ip()));
        span.record(attributes::PEER_PORT, socket.port());
    }
}

fn span(request: &Request, ends: &Ends<'_>, tags: &Tags) -> Span {
    let to = Addressed::of(request.uri(), request.headers(), ends.to);
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
        service.name = ends.from,
        { attributes::SERVER_ADDRESS } = to.host,
        server.port = to.port,
        { attributes::PEER_SERVICE } = (to.host != ends.to).then_some(ends.to),
        { attributes::PEER_ADDRESS } = Empty,
        { attributes::PEER_PORT } = Empty,
        http.request.method = method,
        url.full = to.url(request.uri()),
        url.scheme = SCHEME,
        url.path = request.uri().path(),
        { attributes::HTTP_STATUS } = Empty,
        { attributes::ERROR_TYPE } = Empty,
        { attributes::ORDER_ID } = tags.order_id,
        { attributes::TRANSACTION_ID } = tags.transaction_id,
        { attributes::MESSAGE_ID } = tags.message_id,
        { attributes::MESSAGE_TOPIC } = tags.message_type,
        messaging.system = tags.message_type.as_ref().map(|_| "vitrine"),
        messaging.operation.name = tags.message_type.as_ref().map(|_| "send"),
        messaging.operation.r#type = tags.message_type.as_ref().map(|_| "send"),
        { attributes::MESH_REVISION } = Empty,
        { attributes::MESH_VIRTUAL_SERVICE } = Empty,
        { attributes::MESH_ROUTE } = Empty,
        { attributes::MESH_SUBSET } = Empty,
        { attributes::MESH_SUBSET_WEIGHT } = Empty,
        { attributes::MESH_INSTANCE } = Empty,
        { attributes::MESH_INSTANCE_VERSION } = Empty,
        { attributes::MESH_TRIES } = Empty,
        { attributes::MESH_TIMEOUT_MS } = Empty,
        { attributes::MESH_PER_TRY_TIMEOUT_MS } = Empty,
        { attributes::MESH_BREAKER_STATE } = Empty,
        { attributes::MESH_BREAKER_TRANSITION } = Empty,
        { attributes::MESH_RESPONSE_FLAGS } = Empty,
        { attributes::MESH_FAULT_ID } = Empty,
        { attributes::MESH_FAULT_DELAY_MS } = Empty,
        { attributes::FAULT_ID } = Empty,
    );
    if let Some(parent) = &tags.parent {
        parent.adopt(&span);
    }
    span
}

/// Puts the outcome of a call or of one try on its span.
pub(crate) fn record(span: &Span, outcome: &Result<Response, MeshError>) {
    match outcome {
        Ok(response) => {
            let status = response.status();
            span.record(attributes::HTTP_STATUS, status.as_u16());
            // HTTP semantic conventions: for a client every 4xx and 5xx is an error of the span.
            // A refusal (402, 404, 409 …) is a result here and would redden healthy traces.
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
                span.record(attributes::ERROR_TYPE, status.as_str());
            }
        }
        Err(error) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", tracing::field::display(error));
            span.record(attributes::ERROR_TYPE, error.kind());
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
    let baggage = baggage::of(headers).and_then(|value| value.to_str().ok().map(str::to_owned));
    TraceContext { traceparent: text("traceparent"), tracestate: text("tracestate"), baggage }
}

/// The faults that a request has met on its way here, for the span of its callee.
pub(crate) fn faults(headers: &HeaderMap) -> Option<String> {
    let ids = baggage::fault_ids(headers);
    (!ids.is_empty()).then(|| fault::text(&ids))
}

/// The trace id of a request, 32 hex digits, without copying it.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)
}
