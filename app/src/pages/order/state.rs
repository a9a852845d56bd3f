//! The order rebuilt from its events up to the selected one, and the versions to step through.

use super::Story;
use leptos::prelude::*;

pub(super) fn state(story: Story) -> AnyView {
    let title = move || {
        story.version.get().map_or_else(|| "State".to_owned(), |v| format!("State at v{v}"))
    };
    let replayed = move || {
        let all = story.events.with(Vec::len);
        let noun = if all == 1 { "event" } else { "events" };
        story.version.get().map(|v| format!("replayed from {v} of {all} {noun}"))
    };
    view! {
        <div class="order-state">
            <div class="state-head">
                <h3>{title}</h3>
                <span class="sub">{replayed}</span>
            </div>
            {scrubber(story)}
            {facts(story)}
        </div>
    }
    .into_any()
}

/// One stop per version, filled up to the selected one. Links, so it works without JavaScript; the
/// arrow keys of the panel move along it.
fn scrubber(story: Story) -> AnyView {
    let stop = move |version: u64| {
        let reached = move || story.version.get().is_some_and(|now| version <= now);
        let current = move || story.version.get() == Some(version);
        view! {
            <li class:reached=reached class:current=current>
                <a
                    href=move || story.href(version)
                    data-noscroll=true
                    on:click=move |_| story.span.set(None)
                    aria-label=format!("State at version {version}")
                    aria-current=move || current().then_some("true")
                ></a>
            </li>
        }
    };
    view! {
        <nav aria-label="Versions">
            <ol class="scrubber">
                <For
                    each=move || story.events.get().into_iter().map(|e| e.version)
                    key=|version| *version
                    children=stop
                />
            </ol>
        </nav>
    }
    .into_any()
}

fn facts(story: Story) -> AnyView {
    let facts = move || {
        let version = story.version.get();
        story.order.with(|o| {
            let state = o.states.iter().find(|s| Some(s.version) == version);
            state.map(|s| s.facts.clone()).unwrap_or_default()
        })
    };
    let rows = move || {
        facts()
            .into_iter()
            .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
            .collect_view()
    };
    view! { <dl class="state-facts">{rows}</dl> }.into_any()
}
