//! The spans of tries: a client span each, under the span of the call, after the OpenTelemetry
//! conventions for HTTP clients that send a request again.
//!
//! A call that is tried once has none: its own span tells the same, with what a fault did to it.
//! That there will be a second try is known when the first is over, so the first one's span is made
//! then and begins in the past; what the callee did in it stays under the call. Calls from outside
//! have none either, for their caller makes its spans itself.

use crate::{
    MeshError, Request, Response,
    fault::{self, FaultId},
    journey::{Journey, TryNotes},
    span::{Addressed, SCHEME, record, record_socket, write_context},
};
use base::TraceContext;
use contract::attributes;
use http::{HeaderMap, Method, Uri, request::Parts};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// One try under way. Dropped without an end it was given up.
#[derive(Debug)]
pub(super) struct Attempt {
    journey: Option<Arc<Journey>>,
    destination: Arc<str>,
    number: u32,
    /// Retries that the policy allows.
    retries: u32,
    began: Instant,
    /// Of tries after the first.
    span: Option<Span>,
}

impl Attempt {
    /// Begins the try with this number, from 1, that will send `request`.
    pub(super) fn begin(
        destination: &Arc<str>,
        number: u32,
        retries: u32,
        request: &mut Request,
    ) -> Self {
        let journey = Journey::of(request).cloned();
        if let Some(journey) = &journey {
            journey.attempt(number);
        }
        let journey = journey.filter(|journey| !journey.ingress);
        let mut attempt = Self {
            journey,
            destination: destination.clone(),
            number,
            retries,
            began: Instant::now(),
            span: None,
        };
        if let Some(journey) = &attempt.journey
            && number > 1
        {
            let sent = (request.method(), request.uri(), request.headers());
            let span = attempt.span(journey, sent, None);
            write_context(&TraceContext::of(&span), request.headers_mut());
            attempt.span = Some(span);
        }
        attempt
    }

    /// What the try runs in.
    pub(super) fn scope(&self) -> Span {
        self.span.clone().unwrap_or_else(Span::none)
    }

    /// The try is over, and `again` names why there will be another.
    pub(super) fn end(
        mut self,
        request: &Parts,
        outcome: &Result<Response, MeshError>,
        again: Option<&str>,
    ) {
        let Some(journey) = self.journey.take() else { return };
        let span = match (self.span.take(), again) {
            (Some(span), _) => span,
            // The first of several.
            (None, Some(_)) => {
                let sent = (&request.method, &request.uri, &request.headers);
                self.span(&journey, sent, Some(self.began.elapsed()))
            }
            (None, None) => return,
        };
        let mut notes = journey.end_try();
        if let Some(flag) = outcome.as_ref().err().and_then(MeshError::flag) {
            notes.flags = notes.flags.with(flag);
        }
        record(&span, outcome);
        if let Some(token) = again {
            span.record(attributes::MESH_RETRY_REASON, token);
        }
        self.tell(&span, &notes, &journey.faults());
    }

    fn span(
        &self,
        journey: &Journey,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        took: Option<Duration>,
    ) -> Span {
        let before = self.number - 1;
        let to = Addressed::of(uri, headers, &journey.called);
        let took_us = took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        tracing::info_span!(
            target: "vitrine::mesh",
            "try",
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            service.name = %journey.source.service,
            { base::TOOK_US } = took_us,
            { attributes::MESH_TRY } = self.number,
            { attributes::RESEND_COUNT } = (before > 0).then_some(before),
            { attributes::SERVER_ADDRESS } = Empty,
            server.port = to.port,
            { attributes::PEER_ADDRESS } = Empty,
            { attributes::PEER_PORT } = Empty,
            http.request.method = method.as_str(),
            url.full = to.url(uri),
            url.scheme = SCHEME,
            url.path = uri.path(),
            { attributes::HTTP_STATUS } = Empty,
            { attributes::ERROR_TYPE } = Empty,
            { attributes::MESH_RETRY_REASON } = Empty,
            { attributes::MESH_RESPONSE_FLAGS } = Empty,
            { attributes::MESH_FAULT_ID } = Empty,
            { attributes::MESH_FAULT_DELAY_MS } = Empty,
            { attributes::FAULT_ID } = Empty,
        )
    }

    fn tell(&self, span: &Span, notes: &TryNotes, met: &[FaultId]) {
        let instance = notes.host.as_ref().map_or(&self.destination, |host| &host.name);
        let name = match self.number - 1 {
            0 => format!("try 1, {instance}"),
            retry => format!("retry {retry} of {}, {instance}", self.retries),
        };
        base::trace_context::rename(span, name);
        span.record(attributes::SERVER_ADDRESS, &**instance);
        record_socket(span, notes.host.as_deref());
        if !notes.flags.is_empty() {
            span.record(attributes::MESH_RESPONSE_FLAGS, tracing::field::display(notes.flags));
        }
        notes.record_faults(span);
        if !met.is_empty() {
            span.record(attributes::FAULT_ID, fault::text(met));
        }
    }
}

impl Drop for Attempt {
    /// The deadline of the call or its caller ended the try.
    fn drop(&mut self) {
        let (Some(journey), Some(span)) = (self.journey.take(), self.span.take()) else { return };
        span.record("otel.status_code", "ERROR");
        span.record(attributes::ERROR_TYPE, "cancelled");
        self.tell(&span, &journey.end_try(), &journey.faults());
    }
}

impl TryNotes {
    /// Puts what faults did to a try on the span that tells of it.
    pub(crate) fn record_faults(&self, span: &Span) {
        if self.faults.is_empty() {
            return;
        }
        span.record(attributes::MESH_FAULT_ID, fault::text(&self.faults));
        if !self.held.is_zero() {
            let us = u32::try_from(self.held.as_micros()).unwrap_or(u32::MAX);
            span.record(attributes::MESH_FAULT_DELAY_MS, f64::from(us) / 1_000.0);
        }
    }
}
