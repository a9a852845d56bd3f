//! Istio resources: parse, validate, compile into the policy of the data plane, print back.
//!
//! [`policy`] is all that the mesh knows of this package: plain data, compiled once per revision.
//! Nothing here carries a request.

mod compile;
mod configuration;
mod finding;
mod known;
pub mod policy;
mod re2;
mod resource;
mod schema;
mod validate;
pub mod value;
pub mod yaml;

pub use configuration::{Applied, Configuration, NotFound, RESOURCES_MAX, Refused};
pub use finding::{FINDINGS_MAX, code};
pub use known::{Known, KnownService, Selected};
pub use resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE, Resource};
pub use schema::Kind;
