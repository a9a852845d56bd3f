//! Durable messages between services: recorded in the sender's outbox together with the state they
//! announce, carried by a bus, taken once by the receiver's inbox (at-least-once delivery plus
//! idempotent consumers).
//!
//! Durability is the outbox: a row stays until every subscriber has acknowledged the message, so
//! the embedded bus needs no store of its own. Nothing here knows HTTP or SQL.

mod bus;
mod message;
mod relay;

pub use bus::{Binding, Bus, BusError, Deliver, DeliveryError, EmbeddedBus};
pub use message::{DeadLetter, Message, NewMessage, OutboxRow};
pub use relay::{Outbox, OutboxError, Relay, RelayStatus};
