//! The command palette: one field, results by group, arrow keys and Enter.

use super::{
    lazily::{Body, Lazily},
    palette_model::{Found, Known, highlight, remember, search},
    state::{Command, use_commands, use_frame},
};
use crate::{
    ask, browser,
    live::{Live, use_live},
    widget::{Dialog, Icon, icon},
};
use contract::find::{FIND_MIN, Hit};
use leptos::{html, leptos_dom::helpers::set_timeout_with_handle, prelude::*, task::spawn_local};
use std::time::Duration;

/// Where this tab keeps what was opened from here.
const RECENT: &str = "vitrine.recent";

/// The server is asked when nothing was typed for so long.
const TYPING: Duration = Duration::from_millis(150);

/// What was opened from here before.
fn recent() -> Vec<(String, String)> {
    let kept = browser::kept(RECENT);
    kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// One more of them.
fn keep(title: &str, address: &str) {
    let list = remember(recent(), title, address);
    browser::keep(RECENT, serde_json::to_string(&list).ok().as_deref());
}

/// What this tab knows now.
fn known(live: Live) -> Known {
    Known {
        orders: live.orders().get_untracked(),
        faults: live.faults().with_untracked(|faults| faults.active.clone()),
        breakers: live.breakers().get_untracked(),
        recent: recent(),
        hits: Vec::new(),
    }
}

/// What the server finds for the text, a moment after it was typed; nothing for another text.
fn use_hits(text: RwSignal<String>) -> ReadSignal<Vec<Hit>> {
    let hits = RwSignal::new(Vec::new());
    Effect::new(move |_| {
        let asked = text.get();
        hits.set(Vec::new());
        if asked.trim().chars().count() < FIND_MIN {
            return;
        }
        let ask = move || {
            spawn_local(async move {
                let found = ask::find(asked.clone()).await.unwrap_or_default();
                if text.try_with_untracked(|text| *text == asked) == Some(true) {
                    hits.set(found);
                }
            });
        };
        if let Ok(wait) = set_timeout_with_handle(ask, TYPING) {
            on_cleanup(move || wait.clear());
        }
    });
    hits.read_only()
}

/// The palette behind Ctrl K.
#[component]
pub(super) fn Palette() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.palette label="Search and commands" class="palette">
            <Lazily body=Body::Palette/>
        </Dialog>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    view! { <PaletteBody/> }.into_any()
}

#[component]
fn PaletteBody() -> impl IntoView {
    let (frame, live, run) = (use_frame(), use_live(), use_commands());
    let text = RwSignal::new(String::new());
    let chosen = RwSignal::new(0_usize);
    let hits = use_hits(text);
    let found = Memo::new(move |_| {
        let known = Known { hits: hits.get(), ..known(live) };
        text.with(|text| search(text, &known))
    });
    let choose = move |row: Found| {
        frame.palette.set(false);
        if let Command::Go(address) = &row.command {
            keep(&row.title, address);
        }
        run.run(row.command);
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let last = found.with(Vec::len).saturating_sub(1);
        match event.key().as_str() {
            "ArrowDown" => chosen.update(|at| *at = if *at >= last { 0 } else { *at + 1 }),
            "ArrowUp" => chosen.update(|at| *at = if *at == 0 { last } else { *at - 1 }),
            "Enter" => {
                if let Some(row) = found.with(|rows| rows.get(chosen.get_untracked()).cloned()) {
                    choose(row);
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    // Of no result none is the current one.
    let active = move || found.with(|rows| chosen.get() < rows.len());
    let input = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if let Some(input) = input.get() {
            let _ = input.focus();
        }
    });
    view! {
        <div class="palette-field">
            {icon(Icon::Search)}
            <input
                node_ref=input type="text" autocomplete="off" spellcheck="false" role="combobox"
                aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
                aria-activedescendant=move || active().then(|| format!("palette-{}", chosen.get()))
                aria-label="Search orders, traces, services"
                placeholder="Search orders, traces, services, customers, products"
                on:input=move |event| {
                    text.set(event_target_value(&event));
                    chosen.set(0);
                }
                on:keydown=on_key
            />
            <kbd>"Esc"</kbd>
        </div>
        <div class="palette-list" id="palette-list" role="listbox" aria-label="Results">
            {move || {
                let rows = found.get();
                if rows.is_empty() {
                    let hint = "Nothing found. An older order or trace is found by its whole id.";
                    return view! { <p class="hint">{hint}</p> }.into_any();
                }
                let mut group = "";
                rows.into_iter()
                    .enumerate()
                    .map(|(at, row)| {
                        let heading = (row.group != group).then_some(row.group);
                        group = row.group;
                        palette_row(at, row, heading, text, chosen, Callback::new(choose))
                    })
                    .collect_view()
                    .into_any()
            }}
        </div>
    }
    .into_any()
}

/// The glyph of a page, as in the navigation.
fn page_glyph(command: &Command) -> Icon {
    let Command::Go(path) = command else { return Icon::Right };
    match path.as_str() {
        "/orders" => Icon::Receipt,
        "/traffic" => Icon::Routes,
        "/resilience" => Icon::Switch,
        "/traces" => Icon::Spans,
        _ => Icon::Share,
    }
}

fn palette_row(
    at: usize,
    row: Found,
    heading: Option<&'static str>,
    text: RwSignal<String>,
    chosen: RwSignal<usize>,
    choose: Callback<Found>,
) -> AnyView {
    let (before, hit, after) = text.with_untracked(|text| {
        let (before, hit, after) = highlight(&row.title, text);
        (before.to_owned(), hit.to_owned(), after.to_owned())
    });
    let machine = matches!(row.group, "Orders" | "Traces");
    let glyph = match row.group {
        "Orders" => Icon::Receipt,
        "Traces" => Icon::Spans,
        "Pages" => page_glyph(&row.command),
        "Recent" => Icon::Clock,
        "Faults" => Icon::Bolt,
        "Breakers" => Icon::Switch,
        "Services" | "Customers" => Icon::Globe,
        "Products" => Icon::Shop,
        _ => Icon::Right,
    };
    let (note, key) = (row.note.clone(), row.key);
    view! {
        {heading.map(|heading| view! { <div class="palette-group">{heading}</div> })}
        <div
            class="palette-row" role="option" id=format!("palette-{at}")
            aria-selected=move || if chosen.get() == at { "true" } else { "false" }
            on:mousemove=move |_| if chosen.get_untracked() != at { chosen.set(at) }
            on:click=move |_| choose.run(row.clone())
        >
            {icon(glyph)}
            <span class:mono=machine>{before}<b>{hit}</b>{after}</span>
            <span class="hint grow">{note}</span>
            {(!key.is_empty()).then(|| view! { <kbd>{key}</kbd> })}
        </div>
    }
    .into_any()
}
