//! One order: its events, its saga, its two-phase commits, its trace and its log lines.
//!
//! The server renders it whole. In the browser a newer version on the live stream fetches it
//! again. What the stream does not tell of (a transaction that is not over, a part that could not
//! be told) is asked for every two seconds while it lasts.

mod actions;
mod commit;
mod events;
mod fetch;
mod head;
mod logs;
mod part;
mod saga;
mod state;
mod swimlane;
mod trace;
mod traces;

use crate::{
    ask::{self, AskError},
    frame::use_keys,
    model::story::{self, LogFilter},
    pages::{follow::on_restart, title},
    widget::{EmptyState, hatch_definition},
};
use contract::{
    ApiError,
    order::{EventView, OrderView},
    trace::TraceView,
};
use fetch::{follow, refetch};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};
use std::sync::Arc;

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
    /// Which lines of the log are shown.
    log: Memo<LogFilter>,
    /// What became of fetching it again.
    fetched: RwSignal<Fetched>,
    /// How often it was fetched again.
    asked: StoredValue<u64>,
}

/// What of the page is older than the last try to fetch it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fetched {
    /// Everything: the order could not be told.
    all: Option<ApiError>,
    /// The two-phase commits: payments could not tell them.
    commits: Option<ApiError>,
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
        let log = Memo::new(move |_| {
            query.with(|q| q.get("log").map(|l| LogFilter::of_word(&l)).unwrap_or_default())
        });
        let (span, fetched) = (RwSignal::new(None), RwSignal::new(Fetched::default()));
        let asked = StoredValue::new(0);
        Self { order, events, version, span, all_json, log, fetched, asked }
    }

    /// Address of this page with another event selected.
    fn href(self, version: u64) -> String {
        self.address(Some(version), self.all_json.get(), self.log.get())
    }

    /// Address of this page in another state.
    fn address(self, version: Option<u64>, all_json: bool, log: LogFilter) -> String {
        let parts = [
            version.map(|v| format!("v={v}")),
            all_json.then(|| "json=all".to_owned()),
            (log != LogFilter::All).then(|| format!("log={}", log.word())),
        ];
        let query = parts.into_iter().flatten().collect::<Vec<_>>().join("&");
        let glue = if query.is_empty() { "" } else { "?" };
        self.order.with_untracked(|o| format!("/orders/{}{glue}{query}", o.row.order_id))
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
    on_restart(Callback::new(move |()| order.refetch()));
    view! {
        <Title text=title(move || id.get())/>
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
            {part::behind(story)}
            <div class="order-body">
                {events::panel(story)}
                <div class="order-main">
                    {saga::panel(story)}
                    {commit::panels(story)}
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

/// J and K step through the events, and after them the arrows do, until Esc or until something has
/// the focus: whoever has not begun to step scrolls with them.
fn listen(story: Story) {
    let navigate = use_navigate();
    let stepping = StoredValue::new(false);
    use_keys(move |key, _| {
        let arrows = stepping.get_value() && !crate::browser::has_focus();
        let steps = match key {
            "j" | "J" => 1,
            "k" | "K" => -1,
            "ArrowDown" | "ArrowRight" if arrows => 1,
            "ArrowUp" | "ArrowLeft" if arrows => -1,
            "Escape" => {
                stepping.set_value(false);
                return false;
            }
            _ => return false,
        };
        stepping.set_value(true);
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
                <h1 class="sr">"Order not found"</h1>
                <EmptyState
                    title=format!("No order {id}")
                    text="It may be older than what is kept, or its id is mistyped."
                >
                    <a class="button primary" href="/orders">"All orders"</a>
                    <a class="button" href="/orders/new">"Place order"</a>
                </EmptyState>
            </div>
        }
        .into_any();
    }
    crate::pages::set_status(503);
    let (title, href) = (format!("Order {id} cannot be shown"), format!("/orders/{id}"));
    let text = format!("{error} ({})", error.0.code());
    view! {
        <div class="order-none" role="alert">
            <EmptyState
                title=title
                text=text
            >
                <a
                    class="button primary"
                    href=href
                    on:click=move |event| {
                        event.prevent_default();
                        order.refetch();
                    }
                >
                    "Retry"
                </a>
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
