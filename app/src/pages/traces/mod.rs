//! Traces: the search, every match as a mark, and one open trace as a waterfall.
//!
//! The address is the whole state: the filters, the open trace, the selected span and its tab.

mod drawer;
mod keys;
mod list;
mod minimap;
mod open;
mod scatter;
mod search;
mod waterfall;

use crate::{
    ask::{self, AskError},
    frame::{
        range::{DEFAULT_RANGE, in_range},
        use_range,
    },
    model::trace_query,
    widget::{EmptyState, hatch_definition},
};
use contract::{
    ApiError,
    trace::{TraceList, TraceQuery, TraceView},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};

/// What the address says. Cheap to copy.
#[derive(Clone, Copy)]
struct Place {
    query: Memo<TraceQuery>,
    trace: Memo<Option<String>>,
    span: Memo<Option<String>>,
    tab: Memo<Tab>,
    go: StoredValue<Callback<(String, bool)>>,
}

/// Views of the drawer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Attributes,
    Logs,
    Links,
    Json,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Attributes, Self::Logs, Self::Links, Self::Json];

    const fn word(self) -> &'static str {
        match self {
            Self::Attributes => "attributes",
            Self::Logs => "logs",
            Self::Links => "links",
            Self::Json => "json",
        }
    }

    fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|t| t.word() == word).unwrap_or_default()
    }
}

impl Place {
    fn here() -> Self {
        let (params, address) = (use_params_map(), use_query_map());
        let minutes = use_range().minutes();
        let query = Memo::new(move |_| {
            let mut query = address.with(|a| trace_query::from_address(|name| a.get(name)));
            query.last_seconds = Some(u64::from(minutes.get()) * 60);
            query
        });
        let trace = Memo::new(move |_| params.with(|p| p.get("id")).filter(|id| !id.is_empty()));
        let span = Memo::new(move |_| address.with(|a| a.get("span")).filter(|s| !s.is_empty()));
        let tab =
            Memo::new(move |_| Tab::parse(&address.with(|a| a.get("tab")).unwrap_or_default()));
        let navigate = use_navigate();
        let go = Callback::new(move |(href, replace): (String, bool)| {
            navigate(
                &href,
                NavigateOptions { replace, scroll: false, ..NavigateOptions::default() },
            );
        });
        Self { query, trace, span, tab, go: StoredValue::new(go) }
    }

    /// Address of a trace, a span and a tab, with the filters of this page.
    fn href(self, trace: Option<&str>, span: Option<&str>, tab: Tab) -> String {
        let query = self.query.get();
        address(&query, trace, span, tab)
    }

    fn go(self, href: String, replace: bool) {
        self.go.get_value().run((href, replace));
    }

    /// Selects a span of the open trace, or none.
    fn select(self, span: Option<&str>) {
        let trace = self.trace.get_untracked();
        let tab = self.tab.get_untracked();
        let href = self.query.with_untracked(|q| address(q, trace.as_deref(), span, tab));
        self.go(href, true);
    }

    /// Searches with other filters; the open trace stays.
    fn search(self, change: impl FnOnce(&mut TraceQuery)) {
        let mut query = self.query.get_untracked();
        change(&mut query);
        let (trace, span) = (self.trace.get_untracked(), self.span.get_untracked());
        let tab = self.tab.get_untracked();
        self.go(address(&query, trace.as_deref(), span.as_deref(), tab), false);
    }
}

fn address(query: &TraceQuery, trace: Option<&str>, span: Option<&str>, tab: Tab) -> String {
    let mut extra: Vec<(&str, &str)> = Vec::new();
    if let Some(span) = span {
        extra.push(("span", span));
        if tab != Tab::default() {
            extra.push(("tab", tab.word()));
        }
    }
    let path = trace.map_or_else(|| "/traces".to_owned(), |id| format!("/traces/{id}"));
    let minutes = query.last_seconds.and_then(|s| u32::try_from(s / 60).ok());
    let path = format!("{path}{}", trace_query::to_address(query, &extra));
    in_range(&path, minutes.unwrap_or(DEFAULT_RANGE))
}

type Found = Resource<Result<TraceList, AskError>>;
type Opened = Resource<Option<Result<TraceView, AskError>>>;

/// Search, and one open trace.
#[component]
pub fn TracesPage() -> impl IntoView {
    let place = Place::here();
    let found: Found = Resource::new_blocking(move || place.query.get(), ask::search_traces);
    let opened: Opened = Resource::new_blocking(
        move || place.trace.get(),
        |id| async move {
            match id {
                Some(id) => Some(ask::trace(id).await),
                None => None,
            }
        },
    );
    let jaeger = Resource::new_blocking(|| (), |()| ask::jaeger_ui());
    let title = move || {
        place.trace.get().map_or_else(
            || "Traces".to_owned(),
            |id| format!("Trace {}", crate::model::format::short_trace(&id)),
        )
    };
    view! {
        <Title text=title/>
        <div class="traces">
            {hatch_definition()}
            <Transition fallback=search_skeleton>
                {move || Suspend::new(async move { searched(place, found, found.await) })}
            </Transition>
            <Transition fallback=open_skeleton>
                {move || Suspend::new(async move {
                    let opened_now = opened.await;
                    let jaeger = jaeger.await.ok().flatten();
                    match opened_now {
                        None => list::list(place, found.await),
                        Some(Ok(trace)) => open::open(place, trace, jaeger),
                        Some(Err(error)) => not_opened(place, &error, opened),
                    }
                })}
            </Transition>
        </div>
    }
}

fn searched(place: Place, found: Found, list: Result<TraceList, AskError>) -> AnyView {
    match list {
        Ok(list) => view! {
            {search::search(place, &list, found)}
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
    let all = move || place.href(None, None, Tab::default());
    let missing = matches!(error.0, ApiError::NotFound { .. });
    if missing {
        crate::pages::set_status(404);
    }
    let id = place.trace.get_untracked().unwrap_or_default();
    let title =
        if missing { format!("No trace {id}") } else { "The trace cannot be shown".to_owned() };
    let text = if missing {
        "It may be older than what is kept, or its id may be mistyped.".to_owned()
    } else {
        error.to_string()
    };
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
