//! The list of shortcuts, as a dialog and as a page for those without JavaScript.

use super::{
    lazily::{Body, Lazily},
    state::use_frame,
};
use crate::widget::Dialog;
use leptos::prelude::*;
use leptos_meta::Title;

/// Keys and what they do. Only what works is listed.
pub const SHORTCUTS: [(&str, &[&str], &str); 29] = [
    ("Everywhere", &["Ctrl K", "/"], "search and commands"),
    ("Everywhere", &["Space"], "pause or resume live data"),
    ("Everywhere", &["P"], "place an order"),
    ("Everywhere", &["F"], "inject a fault"),
    ("Everywhere", &["Shift F"], "remove all faults"),
    ("Everywhere", &["+", "−"], "load up or down by 10 req/s"),
    ("Everywhere", &["[", "]"], "shorter, longer time range"),
    ("Everywhere", &["M"], "go to the newest message; Esc takes it away"),
    ("Everywhere", &["."], "switch theme"),
    ("Everywhere", &["Shift D"], "presenter mode"),
    ("Everywhere", &["Esc"], "close the drawer or dialog, leave presenter mode"),
    ("Everywhere", &["?"], "this list"),
    ("Go to", &["G", "L"], "Live"),
    ("Go to", &["G", "O"], "Orders"),
    ("Go to", &["G", "T"], "Traffic"),
    ("Go to", &["G", "R"], "Resilience"),
    ("Go to", &["G", "S"], "Traces (spans)"),
    ("Live", &["T"], "switch map and table"),
    ("Live", &["arrow keys"], "move along edges in the map"),
    ("Trace on the map", &["Space"], "play or pause the trace"),
    ("Trace on the map", &["←", "→"], "previous, next span"),
    ("Trace on the map", &["Esc"], "leave it"),
    ("Traffic", &["Ctrl Enter"], "apply the draft"),
    ("Traffic", &["Ctrl Z", "Ctrl Shift Z"], "undo, redo in the draft"),
    ("Traffic", &["Alt ↑", "Alt ↓"], "move a match rule"),
    ("Order and trace", &["J", "K"], "next, previous row, event or span"),
    ("Order and trace", &["←", "→"], "fold, unfold a span; step through event versions"),
    ("Order and trace", &["C"], "critical path on or off"),
    ("Order and trace", &["W"], "fold or unfold long waits"),
];

/// The dialog behind `?`.
#[component]
pub(super) fn ShortcutsDialog() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.shortcuts title="Shortcuts" class="wide">
            <Lazily body=Body::Shortcuts/>
            <label class="toggle-row">
                <input
                    type="checkbox"
                    prop:checked=move || frame.single_keys.get()
                    on:change=move |event| frame.set_single_keys(event_target_checked(&event))
                />
                <span>"Single letters are shortcuts"</span>
            </label>
        </Dialog>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    view! { <ShortcutList/> }.into_any()
}

/// The list; on a page of its own its groups stand right below the page's heading.
#[component]
fn ShortcutList(#[prop(optional)] page: bool) -> impl IntoView {
    let mut groups: Vec<&str> = SHORTCUTS.iter().map(|(group, _, _)| *group).collect();
    groups.dedup();
    let groups = groups
        .into_iter()
        .map(|group| {
            let rows = SHORTCUTS.iter().filter(|(of, _, _)| *of == group).map(|(_, keys, does)| {
                let keys = keys.iter().map(|key| view! { <kbd>{*key}</kbd> }).collect_view();
                view! {
                    <div>
                        <dt>{keys}</dt>
                        <dd>{*does}</dd>
                    </div>
                }
            });
            let heading = if page {
                view! { <h2>{group}</h2> }.into_any()
            } else {
                view! { <h3>{group}</h3> }.into_any()
            };
            view! {
                <section>
                    {heading}
                    <dl>{rows.collect_view()}</dl>
                </section>
            }
        })
        .collect_view();
    view! { <div class="shortcuts">{groups}</div> }.into_any()
}

/// The same list as a page of its own.
#[component]
pub fn ShortcutsPage() -> impl IntoView {
    view! {
        <Title text="Shortcuts"/>
        <article class="reading">
            <h1>"Shortcuts"</h1>
            <ShortcutList page=true/>
        </article>
    }
    .into_any()
}
