//! The data plane: every call between services is an `http::Request` through one tower stack.
//!
//! A service registers an [`axum::Router`]; a caller gets a [`Caller`] and calls by service name.
//! The order of the layers is written once, in [`stack::LAYERS`]. The mesh makes spans; it keeps
//! no metrics of its own (telemetry derives them from the spans) and knows no business rules.

pub mod baggage;
pub mod breaker;
mod call;
mod chosen;
mod context;
mod deadline;
mod error;
pub mod fault;
mod partial;
mod registry;
mod replay;
pub mod retry;
mod server;
mod share;
mod span;
pub mod stack;

pub use breaker::{BreakerParams, BreakerStatus, BreakerTransition};
pub use call::{CallError, Caller, Outbound, Problem};
pub use context::{CORRELATION_ID, CallContext};
pub use error::MeshError;
pub use registry::Mesh;
pub use server::serve;

/// The one request type of the house.
pub type Request = http::Request<axum::body::Body>;
/// The one answer type of the house.
pub type Response = http::Response<axum::body::Body>;
