//! Istio resources: parse, validate, compile into the policy of the data plane, print back.
//!
//! [`policy`] is all that the mesh knows of this package: plain data, compiled once per revision.
//! Nothing here carries a request.

pub mod policy;
