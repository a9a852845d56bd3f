//! Faults of messages: drawn, counted and ended like all others, carried out by whoever delivers.
//!
//! Not a layer: what is lost never becomes a call, so that no retry hides it and no breaker counts
//! it, as with a bus that is a program of its own.

use super::{
    layer::wait,
    registry::{Faults, Held},
    spec::{FaultId, FaultKind, MessageFault},
};
use crate::{Flag, Flags, baggage};
use base::TraceContext;
use contract::attributes;

/// What is told of a message that is lost on its way.
#[derive(Clone, Copy, Debug)]
pub struct LostMessage<'a> {
    /// Who carries it.
    pub carrier: &'a str,
    /// Who would have got it.
    pub consumer: &'a str,
    /// What it is: the span has its name from it.
    pub topic: &'a str,
    /// Its own id.
    pub id: &'a str,
    /// The order it is about.
    pub order_id: &'a str,
    /// Where it was recorded: the parent of the span. With its baggage: faults that lost it before.
    pub trace: &'a TraceContext,
}

impl LostMessage<'_> {
    /// Makes the producer span of a delivery that a fault lost. It never becomes a call, which
    /// would have one, and a trace in which nothing happens for a while says nothing of why.
    /// Gives the baggage that the message carries from now on: that it comes later follows from
    /// what lost it.
    #[must_use]
    pub fn tell(&self, fault: FaultId) -> Option<String> {
        let carried = baggage::with(self.trace.baggage.as_deref(), &[fault]);
        let met = super::text(&baggage::ids(carried.as_deref().unwrap_or_default()));
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            parent: None,
            "call",
            otel.name = format!("send {}", self.topic),
            otel.kind = "producer",
            otel.status_code = "ERROR",
            otel.status_description = format!("{fault} lost it on its way to {}", self.consumer),
            service.name = self.carrier,
            { attributes::SERVER_ADDRESS } = self.consumer,
            { attributes::ERROR_TYPE } = "message_lost",
            { attributes::ORDER_ID } = self.order_id,
            { attributes::MESSAGE_ID } = self.id,
            { attributes::MESSAGE_TOPIC } = self.topic,
            messaging.system = "vitrine",
            messaging.operation.name = "send",
            messaging.operation.r#type = "send",
            { attributes::MESH_RESPONSE_FLAGS } = %Flags::default().with(Flag::FaultInjected),
            { attributes::MESH_FAULT_ID } = %fault,
            { attributes::FAULT_ID } = met,
        );
        self.trace.adopt(&span);
        span.in_scope(|| tracing::info!("{fault} lost a {} to {}", self.topic, self.consumer));
        carried
    }
}

/// The faults of one delivery. They hold it until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct OnDelivery {
    faults: Faults,
    drawn: Vec<Held>,
}

impl Faults {
    /// Draws the faults of one delivery of a message.
    pub fn on_delivery(
        &self,
        producer: &str,
        consumer: &str,
        trace_id: Option<&str>,
    ) -> OnDelivery {
        let is = |wanted: Option<&str>, actual: &str| wanted.is_none_or(|wanted| wanted == actual);
        let active = self.snapshot();
        let here = active.iter().filter(|fault| {
            matches!(fault.spec.kind, FaultKind::Message(_))
                && is(fault.spec.scope.caller.as_deref(), producer)
                && is(fault.spec.scope.destination.as_deref(), consumer)
        });
        let drawn: Vec<Held> = here.filter_map(|fault| self.draw(fault, trace_id)).collect();
        for held in &drawn {
            let (id, kind) = (held.fault.id, &held.fault.spec.kind);
            tracing::warn!(
                vitrine.fault.id = %id,
                "{id} injected: {kind}, from {producer} to {consumer}",
            );
        }
        OnDelivery { faults: self.clone(), drawn }
    }
}

impl OnDelivery {
    /// Their ids, the oldest fault first.
    #[must_use]
    pub fn ids(&self) -> Vec<FaultId> {
        self.drawn.iter().map(|held| held.fault.id).collect()
    }

    /// Waits as long as the delays say, but no longer than they are active.
    pub async fn hold(&self) {
        for held in &self.drawn {
            wait(&self.faults, &held.fault).await;
        }
    }

    /// The fault that loses the message, if one does.
    #[must_use]
    pub fn lost(&self) -> Option<FaultId> {
        self.now(MessageFault::Loss)
    }

    /// The fault that has the message arrive twice, if one does.
    #[must_use]
    pub fn twice(&self) -> Option<FaultId> {
        self.now(MessageFault::Duplication)
    }

    /// A fault that ended meanwhile does nothing.
    fn now(&self, kind: MessageFault) -> Option<FaultId> {
        let mut held = self.drawn.iter().map(|held| &held.fault);
        let kind = FaultKind::Message(kind);
        held.find(|fault| fault.spec.kind == kind && !fault.over.is_cancelled()).map(|f| f.id)
    }
}
