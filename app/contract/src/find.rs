//! What the command palette finds on the server, beyond what a tab knows by itself.

use serde::{Deserialize, Serialize};

/// Shorter texts find too much.
pub const FIND_MIN: usize = 2;
/// Longer texts are no name and no id.
pub const FIND_MAX: usize = 64;
/// Hits of one kind: what fits without scrolling.
pub const HITS_MAX: usize = 5;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HitKind {
    /// An order, by any part of its id.
    Order,
    /// A trace, by the first digits of its id.
    Trace,
    /// A customer, by name or id.
    Customer,
    /// A product, by name or id.
    Product,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// What it is.
    pub kind: HitKind,
    /// Its id.
    pub id: String,
    /// How people call it.
    pub title: String,
    /// More about it.
    pub note: String,
}
