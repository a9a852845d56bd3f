//! The bus: who gets which topic. Embedded: the subscribers are called directly.

use crate::Message;
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The message was not acknowledged by everybody; it will be published again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{topic} was not acknowledged by {subscriber}: {cause}")]
pub struct BusError {
    /// What was published.
    pub topic: String,
    /// Who did not acknowledge.
    pub subscriber: &'static str,
    /// Why.
    pub cause: DeliveryError,
}

/// Why one subscriber did not acknowledge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// One sentence.
    pub reason: String,
    /// Trying sooner is useless.
    pub retry_after: Option<Duration>,
    /// The subscriber itself read the message and will not take it, now or later.
    pub definite: bool,
    /// The message's W3C Baggage from now on, if what kept it adds to that: deliveries after this
    /// one carry it, after a restart too.
    pub baggage: Option<String>,
}

/// Brings one message to one subscriber.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Returns when the subscriber has made the message's effect durable (or already had).
    async fn deliver(
        &self,
        subscriber: &'static str,
        message: &Message,
    ) -> Result<(), DeliveryError>;
}

/// Carries messages. Publishing returns when every subscriber has acknowledged.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes a message.
    async fn publish(&self, message: &Message) -> Result<(), BusError>;

    /// Groups of topics that wait for the same subscribers. Who carries messages keeps a lane for
    /// each, so that a subscriber that does not answer holds up nobody else's messages; a topic may
    /// be a group of its own; topics in no group share one lane. A bus that stores messages itself
    /// needs none.
    fn lanes(&self) -> Vec<Vec<&'static str>> {
        Vec::new()
    }
}

/// A subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Exact topic.
    pub topic: &'static str,
    /// Service that gets it.
    pub subscriber: &'static str,
    /// Carried in a lane of its own: what undoes a command must not wait behind commands of the
    /// same subscriber that it has no room for.
    pub apart: bool,
}

/// The bus of one process.
pub struct EmbeddedBus {
    bindings: &'static [Binding],
    deliver: Arc<dyn Deliver>,
}

impl EmbeddedBus {
    /// A bus with fixed subscriptions.
    #[must_use]
    pub fn new(bindings: &'static [Binding], deliver: Arc<dyn Deliver>) -> Self {
        Self { bindings, deliver }
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    /// One subscriber after the other: those that acknowledged see a duplicate when a later one
    /// did not, which their inbox drops.
    async fn publish(&self, message: &Message) -> Result<(), BusError> {
        for binding in self.bindings.iter().filter(|b| b.topic == message.topic) {
            let subscriber = binding.subscriber;
            self.deliver.deliver(subscriber, message).await.map_err(|cause| BusError {
                topic: message.topic.clone(),
                subscriber,
                cause,
            })?;
        }
        Ok(())
    }

    fn lanes(&self) -> Vec<Vec<&'static str>> {
        type Key = (Vec<&'static str>, Option<&'static str>);
        let mut lanes: BTreeMap<Key, Vec<&'static str>> = BTreeMap::new();
        let topics: BTreeSet<_> = self.bindings.iter().map(|binding| binding.topic).collect();
        for topic in topics {
            let bound = || self.bindings.iter().filter(|binding| binding.topic == topic);
            let subscribers = bound().map(|binding| binding.subscriber).collect();
            let apart = bound().any(|binding| binding.apart).then_some(topic);
            lanes.entry((subscribers, apart)).or_default().push(topic);
        }
        lanes.into_values().collect()
    }
}
