//! Dead letters over HTTP: messages that their subscriber will not take, and trying them again.

use super::{Edge, control::NoQuery};
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use http::StatusCode;
use messaging::{DeadLetter, OutboxError};
use serde::Serialize;
use shop::problem::Problem;

/// Dead letters listed of each sender.
const LISTED_MAX: usize = 200;

/// `/control/dead-letters` and below.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/control/dead-letters", get(list))
        .route("/control/dead-letters/{id}/retry", post(retry))
}

#[derive(Serialize)]
struct Listed {
    /// Newest first.
    dead_letters: Vec<DeadLetter>,
    /// All there are, listed or not.
    count: u64,
}

async fn list(_: NoQuery, State(edge): State<Edge>) -> Result<Json<Listed>, Problem> {
    let (mut dead_letters, mut count) = (Vec::new(), 0);
    for (outbox, _) in edge.shop.outboxes() {
        let listed = outbox.dead_letters(LISTED_MAX).await.map_err(unreadable)?;
        // Counted a moment later, when some may have been taken away again or come to it.
        count += outbox.dead().await.map_err(unreadable)?.max(listed.len() as u64);
        dead_letters.extend(listed);
    }
    dead_letters.sort_by_key(|letter| std::cmp::Reverse(letter.buried_us));
    Ok(Json(Listed { dead_letters, count }))
}

/// Puts the message back where it was; should it be refused again, it is a dead letter again.
async fn retry(
    _: NoQuery,
    State(edge): State<Edge>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    for (outbox, status) in edge.shop.outboxes() {
        if outbox.revive(&id).await.map_err(unreadable)? {
            status.count_dead(&*outbox).await;
            return Ok(StatusCode::ACCEPTED);
        }
    }
    Err(Problem::not_found(&format!("dead letter {id}")))
}

fn unreadable(error: OutboxError) -> Problem {
    tracing::error!(cause = ?error.0, "{error}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The dead letters cannot be read or changed.")
}
