//! Mirroring: a share of the requests is also sent elsewhere, and the answers are compared.
//!
//! The answer of a mirrored request reaches nobody; what it differs in from the live one is kept.
//! The live call never waits for its mirror: it runs detached, bounded in number, bytes and time.

mod copy;
pub mod diff;
mod layer;
mod store;

pub use diff::{Difference, DifferencePlace};
pub(crate) use layer::{MirrorLayer, Mirrored};
pub use store::{COMPARED_MAX, Compared, MirrorStats, Mirrors, Side, TARGETS_MAX, UNDER_WAY_MAX};
