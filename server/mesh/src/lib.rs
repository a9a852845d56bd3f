//! The data plane: every call between services is an `http::Request` through one tower stack.
//!
//! A service registers an [`axum::Router`]; a caller gets a [`Caller`] and calls by service name.
//! The order of the layers is written once, in [`stack::LAYERS`]; what they do is the compiled
//! Istio policy that [`Mesh::apply`] puts in force. The mesh makes spans and counts what its layers
//! did; it keeps no metrics (telemetry derives them from the spans) and knows no business rules.

pub mod baggage;
mod balance;
pub mod breaker;
mod call;
mod changes;
mod cluster;
mod context;
#[cfg(test)]
mod contract;
mod deadline;
mod edge;
mod endpoint;
mod error;
pub mod fault;
mod flags;
mod hop_by_hop;
mod in_force;
pub mod inbound;
mod instance;
mod journey;
mod limits;
pub mod mirror;
mod moves;
pub mod outlier;
mod partial;
#[cfg(test)]
mod race;
mod recent;
mod registry;
mod remote;
mod replay;
pub mod retry;
mod route;
mod server;
mod share;
mod span;
pub mod stack;
mod tail;
mod target;
mod tracing_policy;

pub use balance::{InstanceBalance, KeyOwner, LOOK_SLOTS_MAX, Leaving, Pool, PoolBalance, Stretch};
pub use breaker::{BreakerParams, BreakerStatus, BreakerTransition};
pub use call::{CallError, Caller, EXTERNAL_ADDRESS, Outbound};
pub use changes::{Change, EjectionChange, InstanceChange};
pub use context::{CORRELATION_ID, CORRELATION_ID_MAX, CallContext};
pub use edge::{EdgeStatus, LayerCount};
pub use error::MeshError;
pub use flags::{Flag, Flags};
pub use hop_by_hop::strip_hop_by_hop;
pub use in_force::{CountedHits, InForce};
pub use instance::{Endpoint, EndpointStatus, Instance, Phase, entry_labels};
pub use journey::{NAMESPACE, Source};
pub use limits::{Limit, PoolStatus};
pub use recent::{
    Chosen, DryRunOutcome, Explanation, HypotheticalRequest, PlaceName, RECENT_MAX, RecentRequest,
    RouteChange, RuleLook, RuleMatches, WeightedPlace, explain,
};
pub use registry::Mesh;
pub use route::{DestinationShare, DirectAnswer, RouteHits, TakenAway, matching::Condition};
pub use server::serve;
pub use target::{address, authority};

/// The one request type of the house.
pub type Request = http::Request<axum::body::Body>;
/// The one answer type of the house.
pub type Response = http::Response<axum::body::Body>;
