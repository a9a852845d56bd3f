//! The stream of events, and the order as it was after the selected one.

use super::{Story, select, state};
use crate::{
    model::{fine, json, story},
    widget::{Clock, ClockStyle},
};
use contract::order::EventView;
use leptos::{ev::KeyboardEvent, prelude::*};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;

pub(super) fn panel(story: Story) -> AnyView {
    let navigate = use_navigate();
    let keys = move |event: KeyboardEvent| {
        let steps = match event.key().as_str() {
            "ArrowDown" | "ArrowRight" => 1,
            "ArrowUp" | "ArrowLeft" => -1,
            _ => return,
        };
        event.prevent_default();
        select(story, story.neighbour(steps), &navigate);
        focus_selected();
    };
    let stream = story.order.with_untracked(|o| format!("stream {}", o.row.order_id));
    view! {
        <section class="panel order-events" aria-labelledby="events-title" on:keydown=keys>
            <header class="panel-head">
                <h2 id="events-title">"Events"</h2>
                <span class="sub">{stream}</span>
                {json_toggle(story)}
            </header>
            <ol class="events">
                <For
                    each=move || story.events.get()
                    key=|event| event.version
                    children=move |event| row(story, event)
                />
            </ol>
            {state::state(story)}
        </section>
    }
    .into_any()
}

/// Moves the focus along inside the list it is in: that of the events, or of the versions.
fn focus_selected() {
    request_animation_frame(|| {
        let list = document().active_element().and_then(|e| e.closest("ol").ok().flatten());
        let link = list.and_then(|l| l.query_selector("a[aria-current]").ok().flatten());
        if let Some(link) = link.and_then(|l| l.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = link.focus();
        }
    });
}

/// Shows the data of every event, or of the selected one only.
fn json_toggle(story: Story) -> AnyView {
    let href = move || story.address(story.version.get(), !story.all_json.get(), story.log.get());
    view! {
        <a
            class="head-link"
            href=href
            data-noscroll=true
            aria-current=move || story.all_json.get().then_some("true")
            title="Show the data of every event"
        >
            "JSON"
        </a>
    }
    .into_any()
}

fn row(story: Story, event: EventView) -> AnyView {
    let version = event.version;
    let zero_us = story.order.with_untracked(|o| o.zero_us);
    let tone = story::event_tone(&event.name).class();
    let selected = Memo::new(move |_| story.version.get() == Some(version));
    let open = move || selected.get() || story.all_json.get();
    let style = if version == 1 { ClockStyle::Millis } else { ClockStyle::ShortMillis };
    let data = StoredValue::new(json::fields(&event.json));
    let summary = StoredValue::new(event.summary);
    let body = move || {
        // Some events have no data but that they happened.
        let says_more = data.with_value(|fields| fields.iter().any(|f| !f.key.is_empty()));
        if open() && says_more {
            data.with_value(|fields| fields_view(fields))
        } else {
            view! { <p class="event-summary">{summary.get_value()}</p> }.into_any()
        }
    };
    view! {
        <li class=format!("event {tone}") class:selected=selected>
            <a
                class="event-link"
                href=move || story.href(version)
                data-noscroll=true
                on:click=move |_| story.span.set(None)
                aria-current=move || selected.get().then_some("true")
            >
                <span class="version">"v"{version}</span>
                <strong>{event.name}</strong>
                <span class="offset">{fine::offset_us(event.at_us - zero_us)}</span>
            </a>
            <div class="event-body">
                {body}
                <Clock at_us=Signal::stored(event.at_us) style=style/>
            </div>
        </li>
    }
    .into_any()
}

fn fields_view(fields: &[json::Field]) -> AnyView {
    let lines = fields
        .iter()
        .map(|field| {
            // An empty text would be written as a space.
            let indent = (field.depth > 0).then(|| " ".repeat(field.depth * 2));
            let key = (!field.key.is_empty()).then(|| field.key.clone());
            view! { <span>{indent}{key}<b>{field.value.clone()}</b>"\n"</span> }
        })
        .collect_view();
    view! { <pre class="json">{lines}</pre> }.into_any()
}
