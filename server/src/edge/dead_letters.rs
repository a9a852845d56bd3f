//! Dead letters over HTTP: messages that their subscriber will not take, and trying them again.

use super::{Edge, control::NoQuery};
use crate::retention::KEEP;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use base::clock::micros;
use http::StatusCode;
use messaging::{DeadLetter, Message, OutboxError};
use serde::Serialize;
use shop::{
    bus::{ORDER_CONFIRMED, ORDER_SHIPPED},
    orders::{OrderEvent, OrderStory},
    problem::Problem,
};

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
        let Some(letter) = outbox.dead_letter(&id).await.map_err(unreadable)? else { continue };
        let story = edge.shop.stores.orders.story(&letter.message.key).await?;
        let oldest_us = edge.shop.clock.now_us().saturating_sub(micros(KEEP.age));
        if let Some(reason) = refusal(&letter.message, story.as_ref(), oldest_us) {
            return Err(Problem::conflict(reason));
        }
        if outbox.revive(&id).await.map_err(unreadable)? {
            status.count_dead(&*outbox).await;
            return Ok(StatusCode::ACCEPTED);
        }
    }
    Err(Problem::not_found(&format!("dead letter {id}")))
}

/// Why a message may not come again, if it may not. Who takes it knows it by what is kept of what
/// is over; without that a payment, say, would be made once more.
fn refusal(message: &Message, story: Option<&OrderStory>, oldest_us: i64) -> Option<String> {
    let (id, order) = (&message.id, &message.key);
    if message.recorded_us < oldest_us {
        let days = KEEP.age.as_secs() / (24 * 60 * 60);
        let forgotten = "whether it was taken is forgotten";
        return Some(format!("The message {id} is older than {days} days; {forgotten}."));
    }
    let Some(story) = story else {
        return Some(format!("The order {order} of the message {id} is gone."));
    };
    let over = story.events.iter().find_map(|recorded| match &recorded.event {
        OrderEvent::OrderCancelled { .. } => Some("cancelled"),
        OrderEvent::OrderShipped => Some("shipped"),
        _ => None,
    });
    // What tells others of an order holds whatever became of it since.
    let tells = [ORDER_CONFIRMED, ORDER_SHIPPED].contains(&message.topic.as_str());
    let over = over.filter(|_| !tells)?;
    Some(format!("The order {order} is {over}; its saga takes no step any more."))
}

fn unreadable(error: OutboxError) -> Problem {
    tracing::error!(cause = ?error.0, "{error}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The dead letters cannot be read or changed.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::TraceContext;
    use event_sourcing::Recorded;
    use shop::bus::{PAYMENT_AUTHORIZE, PAYMENT_REFUND};

    const NOW_US: i64 = 1_700_000_000_000_000;

    fn message(topic: &str, recorded_us: i64) -> Message {
        Message {
            id: format!("{topic}:ord-1:2"),
            topic: topic.to_owned(),
            source: "orders".to_owned(),
            key: "ord-1".to_owned(),
            correlation_id: None,
            trace: TraceContext::default(),
            recorded_us,
            body: serde_json::Value::Null,
        }
    }

    fn story(last: OrderEvent) -> OrderStory {
        OrderStory {
            order_id: "ord-1".to_owned(),
            correlation_id: "cor-1".to_owned(),
            trace_id: None,
            traces: Vec::new(),
            caused_by: Vec::new(),
            events: vec![Recorded { version: 1, at_us: NOW_US, event: last }],
            saga: Vec::new(),
        }
    }

    #[test]
    fn a_message_older_than_what_is_kept_does_not_come_again() {
        let oldest_us = NOW_US - micros(KEEP.age);
        let running = story(OrderEvent::StockReleased { units: 1 });
        let said = |recorded_us| {
            refusal(&message(PAYMENT_AUTHORIZE, recorded_us), Some(&running), oldest_us)
        };
        assert_eq!(said(oldest_us), None);
        assert!(said(oldest_us - 1).is_some_and(|why| why.contains("older than 7 days")));
    }

    #[test]
    fn the_saga_of_an_order_that_is_over_or_gone_takes_no_step_any_more() {
        let said = |topic: &str, story: Option<&OrderStory>| {
            refusal(&message(topic, NOW_US), story, NOW_US - 1)
        };
        let over = story(OrderEvent::OrderCancelled { reason: "payment_timed_out".into() });
        for topic in [PAYMENT_AUTHORIZE, PAYMENT_REFUND] {
            assert!(said(topic, Some(&over)).is_some_and(|why| why.contains("is cancelled")));
            assert!(said(topic, None).is_some_and(|why| why.contains("is gone")));
        }
        assert_eq!(said(ORDER_CONFIRMED, Some(&over)), None);
    }
}
