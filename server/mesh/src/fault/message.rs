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
use parking_lot::Mutex;
use std::collections::VecDeque;

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
    /// Where it was recorded: the parent of the span.
    pub trace: &'a TraceContext,
    /// Faults that lost it before.
    pub before: &'a [FaultId],
}

impl LostMessage<'_> {
    /// Makes the producer span of a delivery that a fault lost. It never becomes a call, which
    /// would have one, and a trace in which nothing happens for a while says nothing of why.
    pub fn tell(&self, fault: FaultId) {
        let met = baggage::with(self.trace.baggage.as_deref(), self.before);
        let met = baggage::with(met.as_deref(), &[fault]).unwrap_or_default();
        let met = super::text(&baggage::ids(&met));
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

/// Messages of which is remembered what lost them, and that have not arrived since: four full lanes
/// of a relay. Of more, the one that was lost longest ago is forgotten, and arrives without what
/// held it up.
const LOST_MAX: usize = 1_024;
/// Faults remembered of one message: as many as its baggage carries.
const LOST_BY_MAX: usize = 8;

/// What lost messages that are to be sent again, the one lost latest at the end.
#[derive(Debug, Default)]
pub struct LostMessages(Mutex<VecDeque<Lost>>);

#[derive(Debug)]
struct Lost {
    id: String,
    consumer: &'static str,
    by: Vec<FaultId>,
}

impl Lost {
    fn is(&self, consumer: &str, id: &str) -> bool {
        self.consumer == consumer && self.id == id
    }
}

impl LostMessages {
    /// What lost this message on its way there, the first fault first.
    pub fn by(&self, consumer: &str, id: &str) -> Vec<FaultId> {
        let lost = self.0.lock();
        let found = lost.iter().find(|lost| lost.is(consumer, id));
        found.map_or_else(Vec::new, |lost| lost.by.clone())
    }

    /// A fault lost it once more.
    pub fn add(&self, consumer: &'static str, id: &str, fault: FaultId) {
        let mut all = self.0.lock();
        let known = all.iter().position(|lost| lost.is(consumer, id)).and_then(|at| all.remove(at));
        let new = || Lost { id: id.to_owned(), consumer, by: Vec::new() };
        let mut lost = known.unwrap_or_else(new);
        if lost.by.len() < LOST_BY_MAX && !lost.by.contains(&fault) {
            lost.by.push(fault);
        }
        if all.len() == LOST_MAX {
            all.pop_front();
        }
        all.push_back(lost);
    }

    /// It has arrived, or will not be sent again.
    pub fn arrived(&self, consumer: &str, id: &str) {
        self.0.lock().retain(|lost| !lost.is(consumer, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lost_a_message_is_remembered_until_it_arrives_and_no_more_than_so_many() {
        let faults: Vec<FaultId> = (1..=9).filter_map(|n| format!("F-{n}").parse().ok()).collect();
        let lost = LostMessages::default();
        for fault in faults.iter().chain(&faults) {
            lost.add("payments", "one", *fault);
        }
        assert_eq!(lost.by("payments", "one"), faults[..LOST_BY_MAX]);
        assert!(lost.by("inventory", "one").is_empty(), "another consumer has its own");
        lost.arrived("payments", "one");
        assert!(lost.by("payments", "one").is_empty());
        for n in 0..LOST_MAX + 2 {
            lost.add("payments", &n.to_string(), faults[0]);
            lost.add("payments", "0", faults[0]);
        }
        assert_eq!(lost.0.lock().len(), LOST_MAX);
        assert!(lost.by("payments", "1").is_empty(), "it was lost longest ago");
        assert_eq!(lost.by("payments", "0").len(), 1);
    }
}
