//! Keeping the search up to date: what is new comes by itself, or waits behind a button while
//! somebody reads.

use super::{Found, Opened, place::Place};
use crate::{ask, live::use_live, pages::follow::follow};
use contract::trace::{PARENT_PATIENCE_US as PATIENCE_US, TraceView};
use leptos::{html, prelude::*, task::spawn_local};
use std::collections::HashSet;

/// Asks every two seconds of the shown clock whether there are newer traces. They are shown at
/// once; while somebody reads, they are counted: the answer is how many wait.
pub(super) fn keep(place: Place, found: Found, page: NodeRef<html::Div>) -> RwSignal<usize> {
    let waiting = RwSignal::new(0);
    // What was counted for another search, or before another answer, is void.
    Effect::new(move |_| {
        place.query.track();
        found.track();
        waiting.set(0);
    });
    let ask = move |()| {
        let query = place.query.get_untracked();
        if query.window.is_some() {
            // A stretch in the past gets nothing new.
            return;
        }
        let newest = found.with_untracked(|found| match found {
            Some(Ok(list)) => Some(list.rows.first().map_or(0, |row| row.start_us)),
            _ => None,
        });
        let Some(newest_us) = newest else { return };
        spawn_local(async move {
            let Ok(newer) = ask::newer_traces(query.clone(), newest_us).await else { return };
            if place.query.try_get_untracked().as_ref() != Some(&query) || newer == 0 {
                return;
            }
            if is_reading(place, page) {
                waiting.set(newer);
            } else {
                found.refetch();
            }
        });
    };
    follow(Memo::new(|_| 0), Callback::new(ask));
    waiting
}

/// A trace of which nothing was heard for so long is over, microseconds: spans are told when they
/// end, and between two of them are the pauses of what is tried again.
const SETTLED_US: i64 = 5_000_000;

/// Whether more of a trace may come: its last span is young, or one that others are in has not
/// ended yet.
pub(super) fn is_running(trace: &TraceView, now_us: i64) -> bool {
    let ends = trace.spans.iter().map(|span| span.start_us + span.duration_us);
    let age_us = now_us - ends.max().unwrap_or(now_us);
    let known: HashSet<&str> = trace.spans.iter().map(|span| span.span_id.as_str()).collect();
    let parents = || trace.spans.iter().filter_map(|span| span.parent_id.as_deref());
    age_us < SETTLED_US || (age_us < PATIENCE_US && parents().any(|id| !known.contains(id)))
}

/// Asks for the open trace again, every two seconds of the shown clock, as long as it runs.
pub(super) fn keep_open(opened: Opened) {
    let live = use_live();
    let ask = move |()| {
        let now_us = live.now_us().get_untracked();
        let runs = opened.with_untracked(|opened| match opened {
            Some(Some(Ok(open))) => is_running(&open.trace, now_us),
            _ => false,
        });
        if runs {
            opened.refetch();
        }
    };
    follow(Memo::new(|_| 0), Callback::new(ask));
}

/// Somebody points at the marks or the list, has the focus on this page, or has a trace open.
fn is_reading(place: Place, page: NodeRef<html::Div>) -> bool {
    if place.trace.get_untracked().is_some() {
        return true;
    }
    let Some(page) = page.get_untracked() else { return false };
    let pointed = page.query_selector(".traces-list:hover, .scatter:hover");
    let focused = document().active_element();
    matches!(pointed, Ok(Some(_))) || focused.is_some_and(|focused| page.contains(Some(&focused)))
}

/// The button behind which newer traces wait.
pub(super) fn pill(found: Found, waiting: RwSignal<usize>) -> AnyView {
    let text = move || format!("{} new", crate::model::format::count(waiting.get() as u64));
    view! {
        <Show when=move || { waiting.get() > 0 }>
            <button type="button" class="button small traces-new" on:click=move |_| found.refetch()>
                {text}
            </button>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::span_tree::tests::{span, trace};

    #[test]
    fn a_trace_runs_until_nothing_was_heard_for_a_while_and_longer_while_a_parent_is_missing() {
        let whole = trace(vec![span("root", None, 0, 100), span("child", Some("root"), 10, 20)]);
        assert!(is_running(&whole, 100 + SETTLED_US - 1));
        assert!(!is_running(&whole, 100 + SETTLED_US));
        let open = trace(vec![span("child", Some("root"), 0, 100)]);
        assert!(is_running(&open, 100 + SETTLED_US));
        assert!(!is_running(&open, 100 + PATIENCE_US), "it was lost");
    }
}
