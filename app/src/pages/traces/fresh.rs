//! Keeping the search up to date: what is new comes by itself, or waits behind a button while
//! somebody reads.

use super::{Found, place::Place};
use crate::{ask, pages::follow::follow};
use leptos::{html, prelude::*, task::spawn_local};

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
