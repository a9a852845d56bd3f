//! The feed of orders and the tally of the last five minutes.

use super::{
    OrdersShown,
    feed_model::{Filter, arrange, hold, placed_per_second, tally_bar, time, tone},
};
use crate::{
    frame::{load::fill_it, range::use_set_query, use_frame},
    live::use_live,
    model::{format, tone::Tone},
    widget::{EmptyState, MiniStepper, Segmented},
};
use contract::order::{OrderRow, StepMark};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Key of the address under which the filter is kept; none is all orders.
const FILTER: &str = "feed";
/// As many as fit beside the map.
const SKELETON_ROWS: usize = 8;
/// Inner width of the tally's bar, in the units of its drawing.
const BAR: f64 = 272.0;

/// The feed.
#[component]
pub(super) fn Feed() -> impl IntoView {
    let live = use_live();
    let (query, set) = (use_query_map(), use_set_query());
    let filter = Memo::new(move |_| {
        query.with(|query| Filter::parse(query.get_str(FILTER).unwrap_or_default()))
    });
    let choose = move |word: String| set.run(vec![(FILTER, (word != "all").then_some(word))]);
    let word = Signal::derive(move || filter.get().word().to_owned());
    let choices = vec![("all", "All"), ("failed", "Failed"), ("yours", "Yours")];
    let per_second = move || format::rate(live.tally().with(placed_per_second));
    let OrdersShown(shown) = expect_context();
    let ended = move |of: fn(&contract::live::OrderTally) -> u64| {
        move || format::count(live.tally().with(of))
    };
    view! {
        <section class="feed" aria-label="Orders">
            <button
                type="button" class="sheet-handle" aria-controls="feed-list"
                aria-expanded=move || shown.get().to_string()
                aria-label=move || if shown.get() { "Show fewer orders" } else { "Show all orders" }
                on:click=move |_| shown.update(|shown| *shown = !*shown)
            ></button>
            <header>
                <h2>"Orders"</h2>
                <span class="hint grow">{per_second}</span>
                <span class="sheet-tally">
                    <b>{ended(|tally| tally.confirmed)}</b> " confirmed, "
                    <b>{ended(|tally| tally.cancelled)}</b> " cancelled"
                </span>
                <Segmented
                    label="Which orders" name="feed" choices=choices value=word
                    on_choose=choose
                />
            </header>
            <FeedList filter=filter/>
            <Tally/>
        </section>
    }
    .into_any()
}

/// Rows before any are known.
fn skeleton() -> AnyView {
    let rows = (0..SKELETON_ROWS).map(|_| view! { <div class="skeleton feed-skeleton"></div> });
    rows.collect_view().into_any()
}

/// The rows. They hold still while somebody points at them or has the focus in them.
#[component]
fn FeedList(filter: Memo<Filter>) -> impl IntoView {
    let (orders, seeded) = (use_live().orders(), use_live().seeded());
    let mine = use_frame().mine;
    let wanted =
        Memo::new(move |_| orders.with(|rows| arrange(rows, filter.get(), &|row| mine.has(row))));
    let (hovered, focused) = (RwSignal::new(false), RwSignal::new(false));
    let held = Memo::new(move |held: Option<&Option<Vec<String>>>| {
        filter.track();
        let holding = hovered.get() || focused.get();
        match held {
            Some(Some(ids)) if holding => Some(ids.clone()),
            _ => holding.then(|| wanted.get_untracked()),
        }
    });
    let shown = Memo::new(move |_| match held.get() {
        Some(held) => wanted.with(|wanted| self::hold(&held, wanted)),
        None => (wanted.get(), 0),
    });
    let new = move || shown.with(|(_, new)| *new);
    let let_go = move |_| {
        hovered.set(false);
        focused.set(false);
    };
    view! {
        <div
            class="feed-list" id="feed-list"
            on:mouseenter=move |_| hovered.set(true)
            on:mouseleave=move |_| hovered.set(false)
            on:focusin=move |_| focused.set(true)
            on:focusout=move |_| focused.set(false)
        >
            <Show when=move || { new() > 0 }>
                <button type="button" class="feed-new" on:click=let_go>
                    {move || format!("{} new", new())}
                </button>
            </Show>
            <Show when=move || shown.with(|(ids, _)| ids.is_empty())>
                <Show when=move || seeded.get() fallback=skeleton>
                    <FeedEmpty filter=filter/>
                </Show>
            </Show>
            <ul>
                <For each=move || shown.with(|(ids, _)| ids.clone()) key=String::clone let:id>
                    {feed_row(id)}
                </For>
            </ul>
        </div>
    }
    .into_any()
}

fn feed_row(id: String) -> AnyView {
    let live = use_live();
    let of = id.clone();
    let row = Memo::new(move |last: Option<&Option<OrderRow>>| {
        let found = live.orders().with(|rows| rows.iter().find(|row| row.order_id == of).cloned());
        // A row that just left the feed keeps its face until it is taken away.
        found.or_else(|| last.cloned().flatten())
    });
    let Some(first) = row.get_untracked() else { return ().into_any() };
    let is_mine = use_frame().mine;
    let mine = Memo::new(move |_| row.with(|row| row.as_ref().is_some_and(|row| is_mine.has(row))));
    let steps = Signal::derive(move || {
        row.with(|row| row.as_ref().map_or([StepMark::NotReached; 3], |row| row.steps))
    });
    let time = Memo::new(move |_| {
        row.with(|row| {
            row.as_ref().map_or_else(Default::default, |row| {
                let now_us = live.now_us().get();
                time(row, now_us, mine.get())
            })
        })
    });
    let slow = Signal::derive(move || time.with(|(_, slow)| *slow));
    let class = move || {
        let tone = row.with(|row| row.as_ref().map_or(Tone::Neutral, tone));
        if slow.get() { Tone::Warn.class() } else { tone.class() }
    };
    // The words before the first comma say what it is; the whole where it is pointed at. That it
    // is slow the time says, in colour and beside a glyph of the steps.
    let whole = Memo::new(move |_| {
        row.with(|row| row.as_ref().map(|row| row.phase.clone()).unwrap_or_default())
    });
    let phase = move || whole.with(|whole| brief(whole).to_owned());
    view! {
        <li class:yours=move || mine.get()>
            <a href=format!("/orders/{id}") class=class>
                <span class="mono">{id.clone()}</span>
                {move || mine.get().then(|| view! { <span class="tag">"Yours"</span> })}
                <span class="amount">{format::money(first.total)}</span>
                <MiniStepper steps=steps slow=slow/>
                <span class="phase" title=move || whole.get()>{phase}</span>
                <span class="took" class:slow=move || slow.get()>
                    {move || time.with(|(text, _)| text.clone())}
                </span>
            </a>
        </li>
    }
    .into_any()
}

/// What comes before the first comma.
fn brief(phase: &str) -> &str {
    phase.split_once(',').map_or(phase, |(brief, _)| brief)
}

#[component]
fn FeedEmpty(filter: Memo<Filter>) -> impl IntoView {
    move || match filter.get() {
        Filter::All => view! {
            <EmptyState title="No orders yet" text="Place one, or start the load generator.">
                {fill_it()}
            </EmptyState>
        }
        .into_any(),
        Filter::Failed => view! {
            <EmptyState title="No failed orders" text="None of the newest orders was cancelled."/>
        }
        .into_any(),
        Filter::Yours => view! {
            <EmptyState title="No order of yours" text="What this browser placed stands here."/>
        }
        .into_any(),
    }
}

/// What became of the orders of the last five minutes.
#[component]
fn Tally() -> impl IntoView {
    let tally = use_live().tally();
    let widths = Memo::new(move |_| tally.with(|tally| tally_bar(tally, BAR)));
    let count =
        move |of: fn(&contract::live::OrderTally) -> u64| move || format::count(tally.with(of));
    let minutes = move || tally.with(|tally| super::feed_model::window(tally.window_seconds));
    let shown = |status: &str| format!("/orders?status={status}");
    view! {
        <div class="tally">
            <a class="row" href="/orders">
                <span>{minutes}</span>
                <span>{count(|tally| tally.placed)} " placed"</span>
            </a>
            <svg
                class="tally-bar" viewBox=format!("0 0 {BAR} 6")
                preserveAspectRatio="none" aria-hidden="true"
            >
                <rect class="bar-done" height="6" x="0" width=move || widths.get()[0]></rect>
                <rect
                    class="bar-undone" height="6"
                    x=move || widths.get()[0] width=move || widths.get()[1]
                ></rect>
                <rect
                    class="bar-running" height="6"
                    x=move || widths.get()[0] + widths.get()[1] width=move || widths.get()[2]
                ></rect>
            </svg>
            <span class="row counts">
                <a href=shown("confirmed")>
                    <b>{count(|tally| tally.confirmed)}</b> " confirmed"
                </a>
                <a href=shown("cancelled")>
                    <b>{count(|tally| tally.cancelled)}</b> " cancelled"
                </a>
                <a href=shown("processing")><b>{count(|tally| tally.running)}</b> " running"</a>
            </span>
        </div>
    }
    .into_any()
}
