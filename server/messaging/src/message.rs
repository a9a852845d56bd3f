//! The message: what it is called, about what, from whom, and the trace it belongs to.

use base::TraceContext;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A message about to be recorded in an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Unique; the receiver's inbox knows it by this. Derive it from what causes it, so that
    /// causing it twice records it once.
    pub id: String,
    /// `inventory.reserve`, `payment.authorized` …
    pub topic: &'static str,
    /// What it is about: the order's id.
    pub key: String,
    /// JSON.
    pub body: serde_json::Value,
}

impl NewMessage {
    /// A message with a body that is plain data.
    #[must_use]
    pub fn new<T: Serialize>(topic: &'static str, key: &str, cause: &str, body: &T) -> Self {
        // Plain data of ours always becomes JSON; null is refused by every consumer.
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { id: Self::id(topic, key, cause), topic, key: key.to_owned(), body }
    }

    /// The id of a message of this topic, about this, with this cause.
    #[must_use]
    pub fn id(topic: &str, key: &str, cause: &str) -> String {
        format!("{topic}:{key}:{cause}")
    }
}

/// A recorded message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// See [`NewMessage::id`].
    pub id: String,
    /// See [`NewMessage::topic`].
    pub topic: String,
    /// Service that recorded it.
    pub source: String,
    /// See [`NewMessage::key`].
    pub key: String,
    /// `X-Correlation-ID` of the request that began it all.
    pub correlation_id: Option<String>,
    /// The span that recorded it.
    pub trace: TraceContext,
    /// When it was recorded, microseconds since the epoch.
    pub recorded_us: i64,
    /// JSON.
    pub body: serde_json::Value,
}

impl Message {
    /// The body as the type its topic promises.
    ///
    /// # Errors
    /// When it is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.body)
    }
}

/// A message in an outbox with its place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Rises in the order of commits.
    pub sequence: i64,
    /// The message.
    pub message: Message,
}

/// A message that its subscriber will not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The message.
    pub message: Message,
    /// What the subscriber said.
    pub reason: String,
    /// When it was given up, microseconds since the epoch.
    pub buried_us: i64,
}
