//! Load balancing: which instance of the subset a try goes to.

mod layer;

pub(crate) use layer::BalanceLayer;
