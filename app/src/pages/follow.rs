//! Fetching again what the live stream says has changed: soon, but not with every frame.
//!
//! Counts that no frame carries (hits of rules, windows of breakers, traces by their filters) are
//! fetched along, every two seconds while the stream flows and its map shows that anybody calls.

use crate::live::{Connection, use_live};
use leptos::prelude::*;

/// Shortest time between two fetches of a page's details, microseconds.
const APART_US: i64 = 2_000_000;

/// So long after the last call on the map counts may change, microseconds: those of the last minute
/// leave it.
const COUNTED_US: i64 = 65_000_000;

/// When a page was fetched last, and when the map last showed a call.
#[derive(Clone, Copy, Default)]
struct Looked {
    fetched_us: i64,
    called_us: i64,
}

impl Looked {
    /// Whether counts are to be fetched again.
    const fn is_due(self, now_us: i64) -> bool {
        now_us - self.fetched_us >= APART_US && now_us - self.called_us < COUNTED_US
    }
}

/// Calls `fetch` at once when `changed` changes, and every two seconds of the shown clock, unless
/// nobody has called anything for a minute. Not while live data is paused, the line is lost or the
/// tab is hidden: then that clock stands.
pub(super) fn follow(changed: Memo<u64>, fetch: Callback<()>) {
    let live = use_live();
    let looked = StoredValue::new(Looked::default());
    Effect::new(move |before: Option<u64>| {
        let now_us = live.now_us().get();
        let changed = changed.get();
        let rendered = before.is_none();
        if rendered || live.map().with_untracked(|map| !map.edges.is_empty()) {
            looked.update_value(|looked| looked.called_us = now_us);
        }
        let due = before != Some(changed) || looked.get_value().is_due(now_us);
        if rendered {
            looked.update_value(|looked| looked.fetched_us = now_us);
        } else if due && !live.paused().get_untracked() && !crate::browser::hidden() {
            looked.update_value(|looked| looked.fetched_us = now_us);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_fetched_every_two_seconds_until_a_minute_after_the_last_call() {
        let second = 1_000_000;
        let due = |fetched: i64, called: i64, now: i64| {
            Looked { fetched_us: fetched * second, called_us: called * second }.is_due(now * second)
        };
        assert!(!due(10, 10, 11), "too soon");
        assert!(due(10, 11, 12));
        assert!(due(72, 10, 74), "calls of the last minute leave it");
        assert!(!due(74, 10, 76), "nothing can have changed");
    }
}
