//! One order: its events, its saga, its two-phase commits, its trace and its log lines.
//!
//! The server renders it whole. In the browser a newer version on the live stream fetches it
//! again; the page never polls.

mod actions;
mod events;
mod head;
mod logs;
mod saga;
mod state;
mod swimlane;
mod trace;

use crate::{
    ask::{self, AskError},
    frame::use_keys,
    live::use_live,
    model::story,
    widget::{EmptyState, hatch_definition},
};
use contract::{
    ApiError,
    order::{EventView, OrderView},
    trace::TraceView,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};
use std::{sync::Arc, time::Duration};

/// Spans of the last steps arrive a little after their event; then the page looks once more.
const LATE_SPANS: Duration = Duration::from_millis(1_100);

/// What every panel of this page shares. Cheap to copy.
#[derive(Clone, Copy)]
struct Story {
    /// The order as last fetched.
    order: RwSignal<Arc<OrderView>>,
    /// Its events.
    events: Memo<Vec<EventView>>,
    /// Version of the selected event.
    version: Memo<Option<u64>>,
    /// A span that was chosen by a log line.
    span: RwSignal<Option<String>>,
    /// The whole stream is shown as JSON.
    all_json: Memo<bool>,
}

impl Story {
    fn new(order: OrderView) -> Self {
        let order = RwSignal::new(Arc::new(order));
        let events = Memo::new(move |_| order.with(|o| o.events.clone()));
        let query = use_query_map();
        let version = Memo::new(move |_| {
            let asked = query.with(|q| q.get("v").and_then(|v| v.parse::<u64>().ok()));
            events.with(|events| {
                let known = asked.filter(|v| events.iter().any(|e| e.version == *v));
                known.or_else(|| story::first_choice(events))
            })
        });
        let all_json = Memo::new(move |_| query.with(|q| q.get("json").is_some()));
        Self { order, events, version, span: RwSignal::new(None), all_json }
    }

    /// Address of this page with another event selected.
    fn href(self, version: u64) -> String {
        let json = if self.all_json.get() { "&json=all" } else { "" };
        self.order.with_untracked(|o| format!("/orders/{}?v={version}{json}", o.row.order_id))
    }

    /// Version of the event so many rows away from the selected one.
    fn neighbour(self, steps: i64) -> Option<u64> {
        let now = self.version.get_untracked()?;
        self.events.with_untracked(|events| {
            let here = events.iter().position(|e| e.version == now)?;
            let last = i64::try_from(events.len()).ok()? - 1;
            let there = (i64::try_from(here).ok()? + steps).clamp(0, last);
            events.get(usize::try_from(there).ok()?).map(|e| e.version)
        })
    }

    /// The span that is marked: the one a log line chose, else that of the selected event.
    fn marked_span(self, trace: &TraceView) -> Option<String> {
        if let Some(span) = self.span.get() {
            return Some(span);
        }
        let version = self.version.get()?;
        self.events.with(|events| {
            let event = events.iter().find(|e| e.version == version)?;
            story::span_of_event(event, trace).map(|s| s.span_id.clone())
        })
    }
}

/// Everything about one order.
#[component]
pub fn OrderPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let order = Resource::new_blocking(move || id.get(), ask::order);
    view! {
        <Title text=move || id.get()/>
        <Transition fallback=skeleton>
            {move || Suspend::new(async move {
                match order.await {
                    Ok(order) => told(order),
                    Err(error) => untold(&id.get_untracked(), &error, order),
                }
            })}
        </Transition>
    }
}

fn told(order: OrderView) -> AnyView {
    let story = Story::new(order);
    follow(story);
    listen(story);
    view! {
        <div class="order">
            {hatch_definition()}
            {head::head(story)}
            <div class="order-body">
                {events::panel(story)}
                <div class="order-main">
                    {saga::panel(story)}
                    {swimlane::panels(story)}
                    <div class="order-below">
                        {trace::panel(story)}
                        {logs::panel(story)}
                    </div>
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// Fetches the order again when the stream has seen a newer version, and once more a little later.
fn follow(story: Story) {
    let id = story.order.with_untracked(|o| o.row.order_id.clone());
    let newest = use_live().order_changed(&id);
    Effect::new(move |_| {
        let seen = newest.get();
        if seen > story.order.with_untracked(|o| o.row.version) {
            refetch(story);
            set_timeout(move || refetch(story), LATE_SPANS);
        }
    });
    // What was rendered while the order ran may lack the spans that were still open.
    Effect::new(move |_| set_timeout(move || refetch_young(story), LATE_SPANS));
}

fn refetch_young(story: Story) {
    let young = story.order.try_with_untracked(|o| {
        let trace_end = o.trace.as_ref().map_or(0, |t| t.row.start_us + t.row.duration_us);
        o.events.last().is_some_and(|last| trace_end < last.at_us)
    });
    if young == Some(true) {
        refetch(story);
    }
}

fn refetch(story: Story) {
    let Some(id) = story.order.try_with_untracked(|o| o.row.order_id.clone()) else {
        return;
    };
    leptos::task::spawn_local(async move {
        if let Ok(order) = ask::order(id).await {
            story.order.try_update(|held| {
                if order.row.version >= held.row.version {
                    *held = Arc::new(order);
                }
            });
        }
    });
}

/// J and K step through the events.
fn listen(story: Story) {
    let navigate = use_navigate();
    use_keys(move |key, _| {
        let steps = match key {
            "j" | "J" => 1,
            "k" | "K" => -1,
            _ => return false,
        };
        select(story, story.neighbour(steps), &navigate);
        true
    });
}

/// Puts another event into the address.
fn select(story: Story, version: Option<u64>, navigate: &impl Fn(&str, NavigateOptions)) {
    let Some(version) = version else { return };
    story.span.set(None);
    let href = untrack(move || story.href(version));
    let options = NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
    navigate(&href, options);
}

fn untold(id: &str, error: &AskError, order: Resource<Result<OrderView, AskError>>) -> AnyView {
    if matches!(error.0, ApiError::NotFound { .. }) {
        crate::pages::set_status(404);
        return view! {
            <div class="order-none">
                <EmptyState
                    title=format!("No order {id}")
                    text="It may be older than what is kept, or its id may be mistyped."
                >
                    <a class="button primary" href="/orders">"All orders"</a>
                    <a class="button" href="/orders/new">"Place order"</a>
                </EmptyState>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="order-none" role="alert">
            <EmptyState title=format!("Order {id} cannot be shown") text=error.to_string()>
                <button type="button" class="button primary" on:click=move |_| order.refetch()>
                    "Retry"
                </button>
                <a class="button" href="/orders">"All orders"</a>
            </EmptyState>
        </div>
    }
    .into_any()
}

fn skeleton() -> AnyView {
    view! {
        <div class="order order-skeleton" aria-busy="true">
            <div class="skeleton skeleton-head"></div>
            <div class="order-body">
                <div class="panel skeleton"></div>
                <div class="order-main">
                    <div class="panel skeleton"></div>
                    <div class="panel skeleton"></div>
                    <div class="panel skeleton"></div>
                </div>
            </div>
        </div>
    }
    .into_any()
}
