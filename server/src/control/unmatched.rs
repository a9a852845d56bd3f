//! Rules that matched none of the requests the mesh remembers. Which rule each would meet is its
//! business; what is said of a rule that met none, and where, is that of [`istio`].

use super::{Control, ControlError};
use contract::istio::{Finding, Position, Severity};
use istio::{Configuration, code, policy::Policy};
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

impl Control {
    /// The same of a text that was just applied, whose answer says too when it could not be found
    /// out: the text is in force all the same.
    pub(crate) async fn never_matched_of(&self, text: String) -> Vec<Finding> {
        let control = self.clone();
        let found = self.aside(move || {
            let mesh = &control.0.mesh;
            never_matched_in(mesh, &mesh.in_force().policy, &control.configuration(), &text)
        });
        found.await.unwrap_or_else(|error| vec![not_compared(&error)])
    }
}

fn not_compared(error: &ControlError) -> Finding {
    let why = match error {
        ControlError::Full => "too many texts are being tried",
        _ => "it was interrupted",
    };
    Finding {
        code: code::NEVER_MATCHED.to_owned(),
        severity: Severity::Info,
        resource: None,
        path: String::new(),
        at: Position::default(),
        message: format!("The rules were not compared with the last requests: {why}."),
        advice: "GET /control/istio/findings says later which of them matched none.".to_owned(),
        correct_form: None,
    }
}
