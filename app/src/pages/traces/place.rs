//! What the address says, and how to go elsewhere.

use crate::{
    frame::{
        range::{DEFAULT_RANGE, in_range},
        use_range,
    },
    model::{trace_look::Look, trace_query},
};
use contract::trace::TraceQuery;
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};

/// What the address says. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) query: Memo<TraceQuery>,
    pub(super) trace: Memo<Option<String>>,
    pub(super) look: Memo<Look>,
    /// What of the address is left out, because it cannot be read.
    pub(super) unread: Memo<Option<String>>,
    go: StoredValue<Callback<(String, bool)>>,
}

impl Place {
    pub(super) fn here() -> Self {
        let (params, address) = (use_params_map(), use_query_map());
        let minutes = use_range().minutes();
        let query = Memo::new(move |_| {
            let mut query = address.with(|a| trace_query::from_address(|name| a.get(name)));
            query.last_seconds = Some(u64::from(minutes.get()) * 60);
            query
        });
        let trace = Memo::new(move |_| params.with(|p| p.get("id")).filter(|id| !id.is_empty()));
        let look = Memo::new(move |_| address.with(|a| Look::from_address(|name| a.get(name))));
        let unread = Memo::new(move |_| address.with(|a| trace_query::unread(|name| a.get(name))));
        let navigate = use_navigate();
        let go = Callback::new(move |(href, replace): (String, bool)| {
            navigate(
                &href,
                NavigateOptions { replace, scroll: false, ..NavigateOptions::default() },
            );
        });
        Self { query, trace, look, unread, go: StoredValue::new(go) }
    }

    /// Address of a trace as it is looked at, with the filters of this page.
    pub(super) fn href(self, trace: Option<&str>, look: &Look) -> String {
        self.query.with(|query| address(query, trace, look))
    }

    /// Address of the open trace, looked at in another way.
    pub(super) fn looking(self, change: impl FnOnce(&mut Look)) -> String {
        let mut look = self.look.get();
        change(&mut look);
        self.trace.with(|trace| self.href(trace.as_deref(), &look))
    }

    pub(super) fn go(self, href: String, replace: bool) {
        self.go.get_value().run((href, replace));
    }

    /// Looks at the open trace in another way.
    pub(super) fn look(self, change: impl FnOnce(&mut Look)) {
        let href = untrack(move || self.looking(change));
        self.go(href, true);
    }

    /// Selects a span of the open trace, or none.
    pub(super) fn select(self, span: Option<&str>) {
        self.look(|look| look.span = span.map(str::to_owned));
    }

    /// Searches with other filters; the open trace stays.
    pub(super) fn search(self, change: impl FnOnce(&mut TraceQuery)) {
        let href = untrack(move || self.searching(change));
        self.go(href, false);
    }

    /// The search with the open trace, which has a mark however many match.
    pub(super) fn with_open(self, query: TraceQuery) -> TraceQuery {
        TraceQuery { open: self.trace.get_untracked(), ..query }
    }

    /// Address of a search with other filters.
    pub(super) fn searching(self, change: impl FnOnce(&mut TraceQuery)) -> String {
        let mut query = self.query.get();
        change(&mut query);
        let look = self.look.get();
        self.trace.with(|trace| address(&query, trace.as_deref(), &look))
    }
}

pub(super) fn address(query: &TraceQuery, trace: Option<&str>, look: &Look) -> String {
    let look = if trace.is_some() { look.to_address() } else { Vec::new() };
    let extra: Vec<(&str, &str)> = look.iter().map(|(name, v)| (*name, v.as_str())).collect();
    let path = trace.map_or_else(|| "/traces".to_owned(), |id| format!("/traces/{id}"));
    let minutes = query.last_seconds.and_then(|s| u32::try_from(s / 60).ok());
    let path = format!("{path}{}", trace_query::to_address(query, &extra));
    in_range(&path, minutes.unwrap_or(DEFAULT_RANGE))
}
