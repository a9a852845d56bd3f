//! Istio resources: parse, validate, compile into the policy of the data plane, print back.
//!
//! [`policy`] is all that the mesh knows of this package: plain data, compiled once per revision.
//! Nothing here carries a request.

mod bounds;
mod compile;
mod configuration;
mod diff;
mod expressions;
mod faithful;
mod finding;
mod for_istio;
mod jwks;
mod known;
pub mod policy;
mod re2;
mod resource;
mod revisions;
mod schema;
mod summary;
mod validate;
pub mod value;
pub mod yaml;

pub use bounds::{MATCHES_MAX, RESOURCES_MAX, RULES_MAX};
pub use configuration::{Applied, Configuration, NotFound, Refused, utf8};
pub use expressions::{EXPRESSIONS_BYTES_MAX, EXPRESSIONS_MAX};
pub use faithful::{FAITHFUL_ROUTES, faithful_routes, with_faithful_route};
pub use finding::{FINDINGS_MAX, code};
pub use known::{Known, KnownService, Selected};
pub use resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE, Resource};
pub use revisions::{NoRevision, REVISIONS_MAX, Revision, Revisions};
pub use schema::Kind;
pub use validate::{RuleHits, never_matched};
