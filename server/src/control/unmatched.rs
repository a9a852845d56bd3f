//! Rules that matched none of the requests the mesh remembers. Which rule each would meet is its
//! business; what is said of a rule that met none, and where, is that of [`istio`].

use contract::istio::Finding;
use istio::{Configuration, policy::Policy};
use mesh::Mesh;

/// Rules of a policy that would have matched none of the last requests.
#[must_use]
pub fn never_matched(mesh: &Mesh, policy: &Policy) -> Vec<Finding> {
    let tried = mesh.dry_run(policy);
    let hits = tried.hits.into_iter();
    let hits = hits.map(|hits| ((hits.origin, hits.name), hits.requests as u64)).collect();
    // A request that was not recorded whole may have matched what it does not seem to match.
    let whole = tried.requests - tried.incomplete;
    istio::never_matched(policy, &hits, whole as u64)
}

/// The same of the resources of a text, at their places in it. `configuration` is what the policy
/// was compiled from.
#[must_use]
pub fn never_matched_in(
    mesh: &Mesh,
    policy: &Policy,
    configuration: &Configuration,
    text: &str,
) -> Vec<Finding> {
    istio::placed_in(never_matched(mesh, policy), configuration, text)
}
