//! What a table of fields cannot say: what several fields or several resources make together.
//!
//! Every finding says what is, why it matters and what to do.

use crate::{known::Known, resource::Resource};
use contract::istio::Finding;
use std::sync::Arc;

/// Everything there is to say about a set of resources.
pub(crate) fn findings(_known: &Known, _resources: &[Arc<Resource>]) -> Vec<Finding> {
    Vec::new()
}
