//! What the breaker of the form would have done with the thresholds in it, over the calls that it
//! has met lately. Asked of the host with every change, and along with the rest of the page.

use super::{Page, thresholds::Typed};
use crate::{
    ask,
    model::{format, what_if},
    widget::Clock,
};
use contract::resilience::{OpeningView, TryThresholds, WhatIfView, WouldHave};
use leptos::{html, prelude::*, task::spawn_local};
use std::time::Duration;

/// Pause after the last change before the host is asked.
const SETTLE: Duration = Duration::from_millis(150);

/// Below the fields; `first` is what the page came with, `form` the element that is unfolded.
pub(super) fn panel(
    page: Page,
    first: Option<WhatIfView>,
    (id, now): (RwSignal<String>, Memo<Typed>),
    form: NodeRef<html::Details>,
) -> AnyView {
    let outcome = RwSignal::new(first);
    let wanted = Memo::new(move |_| {
        let settings = now.with(Typed::read).ok()?;
        Some(TryThresholds { id: id.get(), settings })
    });
    // An answer to what was asked before is none to what is filled in now.
    let shown = Memo::new(move |_| {
        let wanted = wanted.get()?;
        outcome.get().filter(|seen| seen.id == wanted.id && seen.settings == wanted.settings)
    });
    let serial = StoredValue::new(0_u64);
    Effect::new(move |before: Option<()>| {
        page.view.track();
        wanted.track();
        if before.is_none() || !form.get_untracked().is_some_and(|form| form.open()) {
            return;
        }
        serial.update_value(|serial| *serial += 1);
        let mine = serial.get_value();
        set_timeout(
            move || {
                let latest = serial.try_get_value() == Some(mine);
                let Some(asked) = latest.then(|| wanted.get_untracked()).flatten() else { return };
                spawn_local(async move {
                    if let Ok(answer) = ask::what_if(asked).await {
                        outcome.try_set(Some(answer));
                    }
                });
            },
            SETTLE,
        );
    });
    view! {
        <div class="what-if" role="group" aria-label="What if">
            {move || shown.get().map(|seen| said(&seen))}
        </div>
    }
    .into_any()
}

fn said(seen: &WhatIfView) -> AnyView {
    if seen.since_us.is_none() {
        return view! { <p>"No call is recorded of the last minute: nothing to try on."</p> }
            .into_any();
    }
    let line = |lead: String, would: &WouldHave| {
        let first = would.first.clone().map(opening);
        let refused = what_if::refused(would, seen.calls);
        view! { <p>{lead} {first} {refused}</p> }
    };
    let tried = line(what_if::lead(&seen.settings, &seen.tried), &seen.tried);
    let in_force = line(what_if::lead_in_force(&seen.in_force), &seen.in_force);
    let notes = what_if::notes(seen).into_iter().map(|note| view! { <p class="hint">{note}</p> });
    view! { {tried} {in_force} {notes.collect_view()} }.into_any()
}

fn opening(first: OpeningView) -> AnyView {
    let trace = first.trace_id.map(|id| {
        let text = format::short_trace(&id).to_owned();
        view! { " (" <a class="mono" href=format!("/traces/{id}")>{text}</a> ")" }
    });
    view! { ", first at " <Clock at_us=first.at_us/> {trace} }.into_any()
}
