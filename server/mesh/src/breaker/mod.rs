//! The circuit breaker: closed, open, half-open, one per caller, destination and subset.
//!
//! It belongs to the calling application. (What Envoy calls circuit breaking is a set of
//! concurrency limits and has no states.) The rules are in the pure [`state`]; what a breaker
//! remembers, and who overrules it, change nothing in them.

mod breakers;
mod layer;
mod machine;
pub mod state;
mod what_if;
mod window;

pub use breakers::Breakers;
pub(crate) use layer::BreakerLayer;
pub(crate) use machine::Breaker;
pub use machine::{BadForce, BreakerEdge, BreakerStatus, BreakerTransition, FORCE_MAX, Forced};
pub use state::{BreakerParams, BreakerState};
pub use what_if::{RECORD_FOR, RECORD_MAX, Turn, WhatIf};
pub use window::{
    Answer, CallOutcome, Cause, HISTORY_MAX, HistoryChange, HistoryEntry, PROBES_MAX, Probe,
    ProbeVerdict, SLOW_AFTER, WINDOW_CALLS, WindowCall,
};
