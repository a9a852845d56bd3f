//! Fetching the order again: when the stream has seen a newer version of it, when the line is back,
//! and while something of it is not settled that the stream does not tell of.

use super::{Fetched, Story};
use crate::{ask, live::use_live, pages::follow::on_return};
use contract::order::{OrderStatus, OrderView};
use leptos::prelude::*;
use std::{sync::Arc, time::Duration};

/// Spans of the last steps arrive a little after their event; then the page looks once more.
const LATE_SPANS: Duration = Duration::from_millis(1_100);
/// Between two looks at what is not settled, microseconds of the shown clock.
const UNSETTLED_US: i64 = 2_000_000;

/// Keeps the page up to date.
pub(super) fn follow(story: Story) {
    let id = story.order.with_untracked(|o| o.row.order_id.clone());
    let newest = use_live().order_changed(&id);
    Effect::new(move |_| {
        let seen = newest.get();
        if seen > story.order.with_untracked(|o| o.row.version) {
            refetch(story);
            set_timeout(move || refetch(story), LATE_SPANS);
        }
    });
    // What was rendered while the order ran may lack the spans that were still open.
    Effect::new(move |_| set_timeout(move || refetch_young(story), LATE_SPANS));
    // What could not be told while the line was lost can be told when it is back.
    on_return(Callback::new(move |()| refetch(story)));
    follow_unsettled(story);
}

/// The clock of the stream stands still while live data is paused or the line is lost.
fn follow_unsettled(story: Story) {
    let live = use_live();
    let last_us = StoredValue::new(0_i64);
    Effect::new(move |_| {
        let now_us = live.now_us().get();
        let unsettled = story.order.with(|o| is_unsettled(o))
            || story.fetched.with(|f| *f != Fetched::default());
        let due = now_us - last_us.get_value() >= UNSETTLED_US;
        if unsettled && due && !live.paused().get_untracked() && !crate::browser::hidden() {
            last_us.set_value(now_us);
            refetch(story);
        }
    });
}

/// Between two events of a running order its transaction goes on, and a participant may still be
/// told the outcome long after the order has ended.
fn is_unsettled(order: &OrderView) -> bool {
    let runs = order.row.status == OrderStatus::Processing;
    runs || match &order.transactions {
        Ok(transactions) => transactions.iter().any(|tx| !tx.is_over()),
        Err(_) => true,
    }
}

fn refetch_young(story: Story) {
    let young = story.order.try_with_untracked(|o| {
        let trace_end = o.trace.as_ref().map_or(0, |t| t.row.start_us + t.row.duration_us);
        o.events.last().is_some_and(|last| trace_end < last.at_us)
    });
    if young == Some(true) {
        refetch(story);
    }
}

/// Asks once more. What cannot be told now stays as it was, and the page says so.
pub(super) fn refetch(story: Story) {
    let Some(id) = story.order.try_with_untracked(|o| o.row.order_id.clone()) else {
        return;
    };
    let number = story.asked.try_update_value(|asked| {
        *asked += 1;
        *asked
    });
    leptos::task::spawn_local(async move {
        let told = ask::order(id).await;
        // An answer that comes after that of a later question is out of date.
        if story.asked.try_get_value() != number {
            return;
        }
        match told {
            Ok(order) => {
                let mut commits = None;
                story.order.try_update(|held| {
                    if order.row.version >= held.row.version {
                        let (order, behind) = merged(held, order);
                        commits = behind;
                        *held = Arc::new(order);
                    }
                });
                say(story, Fetched { all: None, commits });
            }
            Err(error) => {
                let commits = story.fetched.try_with_untracked(|f| f.commits.clone()).flatten();
                say(story, Fetched { all: Some(error.0), commits });
            }
        }
    });
}

fn say(story: Story, fetched: Fetched) {
    if story.fetched.try_with_untracked(|said| *said != fetched) == Some(true) {
        story.fetched.try_set(fetched);
    }
}

/// The newer order; of a part that it lacks what is held, and why that is behind.
fn merged(held: &OrderView, mut newer: OrderView) -> (OrderView, Option<contract::ApiError>) {
    if newer.customer.is_err() && held.customer.is_ok() {
        newer.customer.clone_from(&held.customer);
    }
    let behind = match (&held.transactions, &newer.transactions) {
        (Ok(held), Err(error)) => Some((held.clone(), error.clone())),
        _ => None,
    };
    match behind {
        Some((kept, error)) => {
            newer.transactions = Ok(kept);
            (newer, Some(error))
        }
        None => (newer, None),
    }
}
