//! Fetching again what the live stream says has changed: soon, but not with every frame.
//!
//! Counts that no frame carries (hits of rules, windows of breakers) are fetched along, every two
//! seconds while the stream flows.

use crate::live::{Connection, use_live};
use leptos::prelude::*;

/// Shortest time between two fetches of a page's details, microseconds.
const APART_US: i64 = 2_000_000;

/// Calls `fetch` at once when `changed` changes, and every two seconds of the shown clock. Not
/// while live data is paused, the line is lost or the tab is hidden: then that clock stands.
pub(super) fn follow(changed: Memo<u64>, fetch: Callback<()>) {
    let live = use_live();
    let last_us = StoredValue::new(0_i64);
    Effect::new(move |before: Option<u64>| {
        let now_us = live.now_us().get();
        let changed = changed.get();
        let rendered = before.is_none();
        let due = before != Some(changed) || now_us - last_us.get_value() >= APART_US;
        if rendered {
            last_us.set_value(now_us);
        } else if due && !live.paused().get_untracked() && !crate::browser::hidden() {
            last_us.set_value(now_us);
            fetch.run(());
        }
        changed
    });
}

/// Calls `fetch` when the server has been started again under this tab: what a page was made from
/// is of a run that is over, and may not be there any more.
pub(super) fn on_restart(fetch: Callback<()>) {
    let restarted = use_live().restarted_us();
    Effect::new(move |before: Option<Option<i64>>| {
        let now = restarted.get();
        if before.is_some_and(|before| before != now) {
            fetch.run(());
        }
        now
    });
}

/// Calls `fetch` when the line to the server is back after it was lost: what could not be told
/// meanwhile can be told again.
pub(super) fn on_return(fetch: Callback<()>) {
    let connection = use_live().connection();
    Effect::new(move |was_lost: Option<bool>| {
        let now = connection.get();
        let lost = was_lost == Some(true) || matches!(now, Connection::Lost { .. });
        let back = lost && now == Connection::Live;
        if back {
            fetch.run(());
        }
        lost && !back
    });
}
