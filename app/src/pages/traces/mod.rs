//! Traces: the search, every match as a mark, and one open trace as a waterfall.
//!
//! The address is the whole state: the filters, the zoom, the open trace and how it is looked at.

mod decision;
mod drawer;
mod export;
mod fresh;
mod keys;
mod list;
mod minimap;
mod open;
mod place;
mod scatter;
mod search;
mod waterfall;

use crate::{
    ask::{self, AskError},
    frame::use_keys,
    live::use_live,
    model::trace_look::Look,
    pages::{
        follow::{on_restart, on_return},
        title,
    },
    widget::{EmptyState, hatch_definition},
};
use contract::{
    ApiError,
    trace::{ExportView, OpenTrace, TraceList},
};
use leptos::prelude::*;
use leptos_meta::Title;
use place::{Place, address};

type Found = Resource<Result<TraceList, AskError>>;
type Opened = Resource<Option<Result<OpenTrace, AskError>>>;
type Health = Resource<Result<ExportView, AskError>>;

/// Search, and one open trace.
#[component]
pub fn TracesPage() -> impl IntoView {
    let place = Place::here();
    // The open trace has a mark too; opening another one is no other search.
    let search = move |query| ask::search_traces(place.with_open(query));
    let found: Found = Resource::new_blocking(move || place.query.get(), search);
    let opened: Opened = Resource::new_blocking(
        move || place.trace.get(),
        |id| async move {
            match id {
                Some(id) => Some(ask::trace(id).await),
                None => None,
            }
        },
    );
    let health: Health = Resource::new_blocking(|| (), |()| ask::export_health());
    on_restart(Callback::new(move |()| {
        found.refetch();
        opened.refetch();
        health.refetch();
    }));
    // What stands there is still so; what could not be told is asked for again.
    on_return(Callback::new(move |()| {
        if found.with_untracked(|found| matches!(found, Some(Err(_)))) {
            found.refetch();
        }
        if opened.with_untracked(|opened| matches!(opened, Some(Some(Err(_))))) {
            opened.refetch();
        }
    }));
    let page = NodeRef::new();
    let waiting = fresh::keep(place, found, page);
    fresh::keep_open(opened);
    let live = use_live();
    listen(place);
    let named = move || {
        place.trace.get().map_or_else(
            || "Traces".to_owned(),
            |id| format!("Trace {}", crate::model::format::short_trace(&id)),
        )
    };
    view! {
        <Title text=title(named)/>
        <div class="traces" node_ref=page>
            {hatch_definition()}
            <Transition fallback=search_skeleton>
                {move || Suspend::new(async move {
                    // The marks of faults are the live store's.
                    live.ready().await;
                    searched(place, found, found.await, waiting)
                })}
            </Transition>
            <Transition fallback=open_skeleton>
                {move || Suspend::new(async move {
                    let opened_now = opened.await;
                    let health = health.await.unwrap_or_default();
                    match opened_now {
                        None => list::list(place, found.await, &health),
                        Some(Ok(trace)) => open::open(place, trace, &health),
                        Some(Err(error)) => not_opened(place, &error, opened),
                    }
                })}
            </Transition>
        </div>
    }
}

/// J and K move through the rows of the list, Esc ends a zoom in time.
fn listen(place: Place) {
    use_keys(move |key, _| {
        let (open, zoomed) = (
            place.trace.with_untracked(Option::is_some),
            place.query.with_untracked(|query| query.window.is_some()),
        );
        let elsewhere = || {
            crate::browser::popover_open() || place.look.with_untracked(|look| look.span.is_some())
        };
        match key {
            "j" | "J" if !open => crate::browser::focus_row(true),
            "k" | "K" if !open => crate::browser::focus_row(false),
            "Escape" if zoomed && !elsewhere() => {
                place.search(|query| query.window = None);
                true
            }
            _ => false,
        }
    });
}

fn searched(
    place: Place,
    found: Found,
    list: Result<TraceList, AskError>,
    waiting: RwSignal<usize>,
) -> AnyView {
    match list {
        Ok(list) => view! {
            {search::search(place, &list, found, waiting)}
            {move || place.unread.get().map(|said| view! {
                <p class="hint" role="status">{said}</p>
            })}
            {scatter::scatter(place, list)}
        }
        .into_any(),
        Err(error) => view! {
            <header class="traces-head"><h1>"Traces"</h1></header>
            <section class="panel" role="alert">
                <EmptyState title="The search failed" text=error.to_string()>
                    <button type="button" class="button" on:click=move |_| found.refetch()>
                        "Retry"
                    </button>
                </EmptyState>
            </section>
        }
        .into_any(),
    }
}

fn not_opened(place: Place, error: &AskError, opened: Opened) -> AnyView {
    let all = move || place.href(None, &Look::default());
    let missing = matches!(error.0, ApiError::NotFound { .. });
    if missing {
        crate::pages::set_status(404);
    }
    let id = place.trace.get_untracked().unwrap_or_default();
    let title =
        if missing { format!("No trace {id}") } else { "The trace cannot be shown".to_owned() };
    // What may have become of it depends on what is sampled, which the server knows.
    let text = error.to_string();
    view! {
        <section class="panel" role="alert">
            <EmptyState title=title text=text>
                <a class="button" href=all>"All traces"</a>
                {(!missing).then(|| view! {
                    <button type="button" class="button" on:click=move |_| opened.refetch()>
                        "Retry"
                    </button>
                })}
            </EmptyState>
        </section>
    }
    .into_any()
}

fn search_skeleton() -> AnyView {
    view! { <div class="panel scatter skeleton" aria-busy="true"></div> }.into_any()
}

fn open_skeleton() -> AnyView {
    let rows = (0..8).map(|_| view! { <div class="skeleton-row"></div> }).collect_view();
    view! { <section class="panel trace" aria-busy="true">{rows}</section> }.into_any()
}
