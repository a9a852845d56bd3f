//! Messages as mesh calls: CloudEvents 1.0 in binary content mode over HTTP, pushed to `/messages`.
//!
//! A consumer answers 2xx when the message's effect is durable, 4xx or 5xx when it is not.

use crate::problem::Problem;
use async_trait::async_trait;
use axum::extract::{FromRequest, Request};
use base::{Clock, TraceContext};
use contract::service::{BUS, INVENTORY, ORDERS, PAYMENTS, RECOMMENDATIONS};
use http::{HeaderMap, StatusCode};
use mesh::{
    CallContext, Caller, Mesh, MeshError,
    fault::{FaultId, LostMessage},
};
use messaging::{Binding, Deliver, DeliveryError, Message};
use std::time::Duration;

/// How long a consumer may take to make a message's effect durable.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest message, bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Command of the saga's first step.
pub const INVENTORY_RESERVE: &str = "inventory.reserve";
/// Yes to [`INVENTORY_RESERVE`].
pub const INVENTORY_RESERVED: &str = "inventory.reserved";
/// No to [`INVENTORY_RESERVE`].
pub const INVENTORY_REFUSED: &str = "inventory.refused";
/// Compensation of the first step.
pub const INVENTORY_RELEASE: &str = "inventory.release";
/// Answer to [`INVENTORY_RELEASE`].
pub const INVENTORY_RELEASED: &str = "inventory.released";
/// Command of the second step.
pub const PAYMENT_AUTHORIZE: &str = "payment.authorize";
/// Yes to [`PAYMENT_AUTHORIZE`].
pub const PAYMENT_AUTHORIZED: &str = "payment.authorized";
/// No to [`PAYMENT_AUTHORIZE`].
pub const PAYMENT_DECLINED: &str = "payment.declined";
/// Compensation of the second step.
pub const PAYMENT_REFUND: &str = "payment.refund";
/// Yes to [`PAYMENT_REFUND`].
pub const PAYMENT_REFUNDED: &str = "payment.refunded";
/// No to [`PAYMENT_REFUND`].
pub const PAYMENT_REFUND_REFUSED: &str = "payment.refund_refused";
/// Compensation of the second step when its outcome is unknown.
pub const PAYMENT_VOID: &str = "payment.void";
/// Yes to [`PAYMENT_VOID`]: no money moved, and none will. Money that had moved is refunded, which
/// is answered as [`PAYMENT_REFUND`] is.
pub const PAYMENT_VOIDED: &str = "payment.voided";
/// An order was confirmed.
pub const ORDER_CONFIRMED: &str = "order.confirmed";
/// An order was shipped.
pub const ORDER_SHIPPED: &str = "order.shipped";

const fn bind(topic: &'static str, subscriber: &'static str) -> Binding {
    Binding { topic, subscriber, apart: false }
}

const fn apart(topic: &'static str, subscriber: &'static str) -> Binding {
    Binding { topic, subscriber, apart: true }
}

/// Who gets which topic. What undoes a payment does not wait behind payments, nor they behind it.
/// While a bank is away a void is what ends their orders, and most voids need no room to run: they
/// find no money that moved. One that finds some is a refund and waits for room as refunds do, so
/// those of a provider that hangs can fill the lane of voids, and the refunds their own lane; the
/// payments of others go on.
pub const BINDINGS: &[Binding] = &[
    bind(INVENTORY_RESERVE, INVENTORY),
    bind(INVENTORY_RESERVED, ORDERS),
    bind(INVENTORY_REFUSED, ORDERS),
    bind(INVENTORY_RELEASE, INVENTORY),
    bind(INVENTORY_RELEASED, ORDERS),
    bind(PAYMENT_AUTHORIZE, PAYMENTS),
    bind(PAYMENT_AUTHORIZED, ORDERS),
    bind(PAYMENT_DECLINED, ORDERS),
    apart(PAYMENT_REFUND, PAYMENTS),
    bind(PAYMENT_REFUNDED, ORDERS),
    bind(PAYMENT_REFUND_REFUSED, ORDERS),
    apart(PAYMENT_VOID, PAYMENTS),
    bind(PAYMENT_VOIDED, ORDERS),
    bind(ORDER_CONFIRMED, RECOMMENDATIONS),
    bind(ORDER_SHIPPED, INVENTORY),
];

/// Delivers messages through the mesh.
pub struct MeshDelivery {
    mesh: Mesh,
    caller: Caller,
    clock: Clock,
}

impl MeshDelivery {
    /// Over this mesh.
    #[must_use]
    pub fn new(mesh: Mesh, clock: Clock) -> Self {
        let caller = mesh.caller(BUS);
        Self { mesh, caller, clock }
    }

    /// Brings a message to a subscriber, and with it the ids of the faults it met.
    async fn send(
        &self,
        subscriber: &'static str,
        m: &Message,
        faults: &[FaultId],
    ) -> Result<(), DeliveryError> {
        let lag_us = (self.clock.now_us() - m.recorded_us).max(0);
        let (correlation_id, baggage) = (m.correlation_id.clone(), m.trace.baggage.as_deref());
        let context = CallContext::of_message(correlation_id, baggage, faults);
        let call = self
            .caller
            .post(subscriber, "/messages")
            .context(&context)
            .timeout(DELIVERY_TIMEOUT)
            .message(&m.topic, &m.id, m.trace.clone())
            .order(&m.key)
            .header("ce-specversion", "1.0")
            .header("ce-type", &m.topic)
            .header("ce-id", &m.id)
            .header("ce-source", &m.source)
            .header("ce-subject", &m.key)
            .header("ce-vitrinerecordedus", &m.recorded_us.to_string())
            .header("ce-vitrinelagus", &lag_us.to_string());
        match call.json(&m.body).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let reason = format!("{subscriber} answered {}", response.status());
                let (retry_after, definite) = (retry_after(&response), definite(&response));
                Err(DeliveryError { reason, retry_after, definite, baggage: None })
            }
            Err(error) => {
                let retry_after = match &error {
                    MeshError::BreakerOpen { retry_after, .. } => Some(*retry_after),
                    _ => None,
                };
                // What cannot be sent now never can.
                let definite = matches!(error, MeshError::Unsendable { .. });
                let reason = error.to_string();
                Err(DeliveryError { reason, retry_after, definite, baggage: None })
            }
        }
    }
}

/// Whether the answer says that the message will never be taken: a status that is about the
/// message and not about the moment, and a reason (RFC 9457) that only the consumer itself gives;
/// the mesh answers with plain text.
fn definite<B>(answer: &http::Response<B>) -> bool {
    use StatusCode as S;
    let kind = answer.headers().get(http::header::CONTENT_TYPE);
    let by_consumer = kind.is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
    let about_message = [
        S::BAD_REQUEST,
        S::NOT_FOUND,
        S::GONE,
        S::PAYLOAD_TOO_LARGE,
        S::UNSUPPORTED_MEDIA_TYPE,
        S::UNPROCESSABLE_ENTITY,
    ];
    by_consumer && about_message.contains(&answer.status())
}

/// When who has no room now wants to be asked again (RFC 9110, section 10.2.3, in seconds). Other
/// answers that say so are about faults, which may be over sooner.
fn retry_after<B>(answer: &http::Response<B>) -> Option<Duration> {
    let header = answer.headers().get(http::header::RETRY_AFTER);
    let header = header.filter(|_| answer.status() == StatusCode::TOO_MANY_REQUESTS)?;
    Some(Duration::from_secs(header.to_str().ok()?.parse().ok()?))
}

#[async_trait]
impl Deliver for MeshDelivery {
    async fn deliver(&self, subscriber: &'static str, m: &Message) -> Result<(), DeliveryError> {
        let faults = self.mesh.faults().on_delivery(&m.source, subscriber, m.trace.trace_id());
        faults.hold().await;
        if let Some(id) = faults.lost() {
            let lost = LostMessage {
                carrier: BUS,
                consumer: subscriber,
                topic: &m.topic,
                id: &m.id,
                order_id: &m.key,
                trace: &m.trace,
            };
            let baggage = lost.tell(id);
            let reason = format!("{id} lost it on its way to {subscriber}");
            return Err(DeliveryError { reason, retry_after: None, definite: false, baggage });
        }
        let ids = faults.ids();
        self.send(subscriber, m, &ids).await?;
        if faults.twice().is_some() {
            // It has arrived, whatever becomes of the second.
            if let Err(error) = self.send(subscriber, m, &ids).await {
                tracing::debug!("the second {} was not taken: {error}", m.id);
            }
        }
        Ok(())
    }
}

/// A delivered message, in a handler.
pub struct Incoming(pub Message);

impl<S: Send + Sync> FromRequest<S> for Incoming {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MESSAGE_BYTES_MAX).await.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The message is too large.")
        })?;
        let body = serde_json::from_slice(&body)
            .map_err(|error| Problem::field("", format!("The message is no JSON: {error}.")))?;
        let header = |name: &str| required(&parts.headers, name);
        let message = Message {
            id: header("ce-id")?,
            topic: header("ce-type")?,
            source: header("ce-source")?,
            key: header("ce-subject")?,
            correlation_id: CallContext::from_headers(&parts.headers).correlation_id,
            trace: TraceContext::current(),
            recorded_us: header("ce-vitrinerecordedus")?.parse().unwrap_or(0),
            body,
        };
        tracing::Span::current().record(contract::attributes::ORDER_ID, message.key.as_str());
        Ok(Self(message))
    }
}

fn required(headers: &HeaderMap, name: &str) -> Result<String, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.map(str::to_owned).ok_or_else(|| Problem::field(name, "The header is missing."))
}

/// The answer to a message whose body is not what its topic promises.
#[must_use]
pub fn unreadable(message: &Message, error: &serde_json::Error) -> Problem {
    tracing::error!(message = message.id, "a {} message cannot be read: {error}", message.topic);
    Problem::field("", format!("Not a {}: {error}.", message.topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use mesh::BreakerParams;
    use messaging::{Bus, EmbeddedBus};
    use std::sync::Arc;

    #[test]
    fn refunds_and_voids_that_nobody_takes_keep_no_place_of_payments() {
        let clock = Clock::system();
        let mesh = Mesh::new(clock.clone(), BreakerParams::default());
        let bus = EmbeddedBus::new(BINDINGS, Arc::new(MeshDelivery::new(mesh, clock)));
        let lanes = bus.lanes();
        for topic in [PAYMENT_AUTHORIZE, PAYMENT_REFUND, PAYMENT_VOID] {
            assert!(lanes.contains(&vec![topic]), "{topic}: {lanes:?}");
        }
    }

    #[test]
    fn only_a_consumer_that_read_the_message_refuses_it_for_good() {
        let said = |status| definite(&Problem::new(status, "No.").into_response());
        for status in [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND] {
            assert!(said(status), "{status}");
            // The fault filter and a route that leads nowhere say it in plain text.
            assert!(!definite(&(status, "fault filter abort").into_response()), "{status}");
        }
        for status in [401, 403, 408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(!said(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
