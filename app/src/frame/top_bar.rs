//! The top bar: search, time range, live state, load, theme, place order.

use super::{
    load::LoadControl,
    offline::use_offline,
    range::{RANGES, kept_query, plain_button, use_range},
    state::{Command, use_commands},
};
use crate::{
    browser,
    live::{Connection, use_live},
    model::format,
    widget::{Icon, icon, use_zone},
};
use leptos::prelude::*;

/// The top bar.
#[component]
pub(super) fn TopBar() -> impl IntoView {
    let live = use_live();
    view! {
        <header class="top">
            <a class="logo" href="/" aria-label="Vitrine">{icon(Icon::Shop)}</a>
            <SearchBox/>
            <div class="group state">
                <RangeChoice/>
                <Suspense>
                    {move || Suspend::new(async move {
                        live.ready().await;
                        view! { <LiveState/> }
                    })}
                </Suspense>
            </div>
            <Suspense>
                {move || Suspend::new(async move {
                    live.ready().await;
                    view! { <LoadControl/> }
                })}
            </Suspense>
            <ThemeButton/>
            <PlaceButton/>
        </header>
    }
    .into_any()
}

#[component]
fn SearchBox() -> impl IntoView {
    let run = use_commands();
    let mac = RwSignal::new(false);
    Effect::new(move |_| mac.set(browser::is_mac()));
    view! {
        <button
            type="button" class="search" aria-label="Search orders, traces, services"
            on:click=move |_| run.run(Command::Search)>
            {icon(Icon::Search)}
            <span class="grow">"Search orders, traces, services, faults"</span>
            <kbd>{move || if mac.get() { "⌘ K" } else { "Ctrl K" }}</kbd>
        </button>
    }
    .into_any()
}

/// The time range; without JavaScript a form that loads the page again.
#[component]
pub(super) fn RangeChoice() -> impl IntoView {
    let range = use_range();
    let minutes = range.minutes();
    let choose = move |event: leptos::ev::Event| {
        range.choose(super::range::parse(Some(&event_target_value(&event))));
    };
    let options = RANGES
        .into_iter()
        .map(|length| {
            let chosen = minutes.get_untracked() == length;
            view! {
                <option value=length selected=chosen>{format!("Last {length} min")}</option>
            }
        })
        .collect_view();
    view! {
        <form class="range" method="get">
            {kept_query("range")}
            <select
                name="range" aria-label="Time range" on:change=choose
                prop:value=move || minutes.get().to_string()
            >
                {options}
            </select>
            {icon(Icon::Down)}
            {plain_button()}
        </form>
    }
    .into_any()
}

/// Instead of what the stream is doing. A text of its own: a literal in the markup would become an
/// attribute instead.
const AS_OF: &str = "<strong>As of</strong>";

#[component]
fn LiveState() -> impl IntoView {
    let live = use_live();
    let zone = use_zone();
    let run = use_commands();
    let word = move || match (live.paused().get(), live.connection().get()) {
        (true, _) => "Paused",
        (_, Connection::Connecting) => "Connecting",
        (_, Connection::Live) => "Live",
        (_, Connection::Lost { .. }) => "Reconnecting",
    };
    let clock = move || match live.now_us().get() {
        0 => String::new(),
        now => format::clock(now, zone.get()),
    };
    let paused = live.paused();
    let pause_label = move || if paused.get() { "Resume live data" } else { "Pause live data" };
    view! {
        <span class="part live-state">
            <i class="dot" aria-hidden="true"></i>
            <strong class="scripted">{word}</strong>
            <noscript inner_html=AS_OF></noscript>
            <span class="hint">{clock}</span>
        </span>
        <button
            type="button" class="part" aria-label=pause_label title="Space"
            on:click=move |_| run.run(Command::Pause)
        >
            {move || icon(if paused.get() { Icon::Play } else { Icon::Pause })}
        </button>
    }
    .into_any()
}

#[component]
fn ThemeButton() -> impl IntoView {
    let run = use_commands();
    view! {
        <button
            type="button" class="button square theme-button" aria-label="Switch theme"
            title="Switch theme"
            on:click=move |_| run.run(Command::Theme)
        >
            <span class="in-dark">{icon(Icon::Sun)}</span>
            <span class="in-light">{icon(Icon::Moon)}</span>
        </button>
    }
    .into_any()
}

/// Opens the dialog; without JavaScript a link to the page with the same form.
#[component]
fn PlaceButton() -> impl IntoView {
    let (run, offline) = (use_commands(), use_offline());
    let open = move |event: leptos::ev::MouseEvent| {
        if !(event.ctrl_key() || event.meta_key() || event.shift_key()) {
            event.prevent_default();
            event.stop_propagation();
            run.run(Command::PlaceOrder);
        }
    };
    view! {
        <a
            class="button primary place" href="/orders/new" title=move || offline.reason()
            aria-disabled=move || offline.now().then_some("true") on:click=open
        >
            "Place order"
            <kbd>"P"</kbd>
        </a>
    }
    .into_any()
}
