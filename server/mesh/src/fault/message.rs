//! Faults of messages: drawn, counted and ended like all others, carried out by whoever delivers.
//!
//! Not a layer: what is lost never becomes a call, so that no retry hides it and no breaker counts
//! it, as with a bus that is a program of its own.

use super::{
    layer::wait,
    registry::{Faults, Held},
    spec::{FaultId, FaultKind, MessageFault},
};

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
