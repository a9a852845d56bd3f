//! Faults on purpose: what is injected, where, on which share of the calls, and until when.
//!
//! A fault always ends: by its time to live, by hand, with the resource that asks for it, or with
//! all others by the kill switch. [`Faults`] keeps them and their counters; `layer` injects them.
//! Killing or pausing an instance is not here: that is no fault of a call.

mod layer;
mod registry;
mod spec;
#[cfg(test)]
mod tests;

pub(crate) use layer::{FaultLayer, FaultTrail, InstanceName, Position, text};
pub use registry::{EndReason, FaultEvent, FaultStatus, Faults, InjectError};
pub use spec::{FaultId, FaultKind, FaultScope, FaultSpec, Reset};
