//! What the route layer chose for a request; an extension that the layers further in read.

use istio::policy::Route;
use std::sync::Arc;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// The rule that was hit; none when no rule is for the service.
    pub(crate) route: Option<Arc<Route>>,
    /// The service.
    pub(crate) service: Arc<str>,
    /// Its subset, if the rule names one.
    pub(crate) subset: Option<Arc<str>>,
}
