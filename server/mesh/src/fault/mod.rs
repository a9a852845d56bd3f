//! Faults on purpose: what is injected, where, on which share of the calls, and until when.
//!
//! A fault always ends: by its time to live, by hand, with the resource that asks for it, or with
//! all others by the kill switch. [`Faults`] keeps them and their counters; `layer` injects them
//! into calls; into messages, whoever delivers them does, with what [`Faults::on_delivery`] says.
//! Killing or pausing an instance is not here: that is no fault of a call.

mod layer;
mod message;
mod registry;
mod spec;

pub(crate) use layer::{FaultLayer, Position, as_in_istio, text};
pub use message::{LostMessage, OnDelivery};
pub use registry::{
    ACTIVE_MAX, AskedFault, ENDED_MAX, EXAMPLES_MAX, EndReason, FaultEvent, FaultStanding,
    FaultStatus, Faults, InjectError, KeptFault, TTL_MAX, TTL_ROUTE,
};
pub use spec::{CrashAt, FaultId, FaultKind, FaultScope, FaultSpec, MessageFault, Reset};
