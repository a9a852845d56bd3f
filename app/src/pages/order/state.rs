//! The order rebuilt from its events up to the selected one, and the versions to step through.

use super::{Story, select};
use leptos::{ev::PointerEvent, prelude::*};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;

/// A pointer that moved less since it was pressed, pixels, clicks a stop and does not drag.
const DRAG_FROM: i32 = 4;

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
/// arrow keys of the panel move along it, and the pointer drags.
fn scrubber(story: Story) -> AnyView {
    let navigate = use_navigate();
    // Where the pointer was pressed, and whether it drags since.
    let pressed = RwSignal::new(None::<i32>);
    let drags = RwSignal::new(false);
    let press = move |event: PointerEvent| {
        if event.is_primary() && event.button() == 0 {
            pressed.set(Some(event.client_x()));
        }
    };
    let drag = move |event: PointerEvent| {
        let Some(from) = pressed.get_untracked().filter(|_| event.buttons() & 1 == 1) else {
            return;
        };
        let x = event.client_x();
        let Some(track) =
            event.current_target().and_then(|t| t.dyn_into::<web_sys::Element>().ok())
        else {
            return;
        };
        if !drags.get_untracked() {
            if (x - from).abs() < DRAG_FROM {
                return;
            }
            // From here on the moves are the track's, wherever the pointer goes.
            let _ = track.set_pointer_capture(event.pointer_id());
            drags.set(true);
        }
        let nearest = nearest_stop(&track, f64::from(x));
        let version =
            nearest.and_then(|i| story.events.with_untracked(|e| Some(e.get(i)?.version)));
        if version != story.version.get_untracked() {
            select(story, version, &navigate);
        }
    };
    let release = move |_: PointerEvent| {
        pressed.set(None);
        drags.set(false);
    };
    view! {
        <nav aria-label="Versions">
            <ol
                class="scrubber"
                class:drags=drags
                on:pointerdown=press
                on:pointermove=drag
                on:pointerup=release
                on:pointercancel=release
            >
                <For
                    each=move || story.events.get().into_iter().map(|e| e.version)
                    key=|version| *version
                    children=move |version| stop(story, version)
                />
            </ol>
        </nav>
    }
    .into_any()
}

/// One stop: a link.
fn stop(story: Story, version: u64) -> AnyView {
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
                draggable="false"
            ></a>
        </li>
    }
    .into_any()
}

/// The stop that is nearest to a place across.
fn nearest_stop(track: &web_sys::Element, x: f64) -> Option<usize> {
    let stops = track.query_selector_all("a").ok()?;
    let apart = |index: u32| {
        let stop = stops.item(index)?.dyn_into::<web_sys::Element>().ok()?;
        let place = stop.get_bounding_client_rect();
        Some((place.left() + place.width() / 2.0 - x).abs())
    };
    let places = (0..stops.length()).filter_map(|i| Some((apart(i)?, i)));
    let nearest = places.min_by(|a, b| a.0.total_cmp(&b.0));
    nearest.and_then(|(_, index)| usize::try_from(index).ok())
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
