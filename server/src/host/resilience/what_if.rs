//! Thresholds tried on a breaker's recorded calls, beside what those in force made of them.

use super::breakers;
use contract::{
    ApiError,
    resilience::{OpeningView, TryThresholds, WhatIfView, WouldHave},
};
use mesh::{Mesh, breaker::WhatIf};

/// What the breaker would have done.
///
/// # Errors
/// There is no such breaker, or it cannot have such thresholds.
pub(super) fn view(mesh: &Mesh, asked: TryThresholds) -> Result<WhatIfView, ApiError> {
    let TryThresholds { id, settings } = asked;
    let params = breakers::params(settings)?;
    let missing = || ApiError::NotFound { what: format!("breaker {id}") };
    let known = mesh.breakers().into_iter().find(|status| breakers::id(status) == id);
    let in_force = known.ok_or_else(missing)?.params;
    let (edge, control) = (breakers::edge(&id), mesh.breaker_control());
    let [tried, in_force] = [params, in_force].map(|params| control.what_if(&edge, &params));
    let (tried, in_force) = tried.zip(in_force).ok_or_else(missing)?;
    Ok(WhatIfView {
        id,
        settings,
        since_us: tried.since_us,
        calls: tried.calls,
        held: tried.held,
        tried: would_have(&tried),
        in_force: would_have(&in_force),
    })
}

fn would_have(outcome: &WhatIf) -> WouldHave {
    let first = outcome.openings().next().map(|turn| OpeningView {
        at_us: turn.at_us,
        trace_id: turn.trace_id.as_ref().map(ToString::to_string),
    });
    WouldHave {
        opened: u32::try_from(outcome.openings().count()).unwrap_or(u32::MAX),
        first,
        refused: outcome.refused,
        unknown: outcome.unknown,
    }
}
