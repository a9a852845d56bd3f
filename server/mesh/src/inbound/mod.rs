//! The callee's side: who calls, may they, and how often. In Envoy's order, before the service's
//! router: peer authentication, tokens, authorization, local rate limit. How often calls leave the
//! mesh is the caller's side, for there is no callee's.
//!
//! In one process there is no transport to protect. An identity is a name that the mesh itself
//! attaches to a call; what a certificate would prove is said on the page and not pretended here.

pub mod authentication;
pub mod authorization;
pub mod identity;
mod layer;
mod outbound;
pub mod rate_limit;

pub use identity::Identity;
pub use layer::InboundStats;
pub(crate) use layer::{Entered, Inbound, Limiters, Refused, bad_token};
pub(crate) use outbound::Outbound;
pub use outbound::OutboundStats;
