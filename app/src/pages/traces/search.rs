//! The filters: a plain form whose query is the address; in the browser each change searches.

use super::{Found, Look, Place, address, fresh};
use crate::{
    frame::range::DEFAULT_RANGE,
    live::{Connection, use_live},
    model::{format, trace_query},
    widget::{Clock, ClockStyle, Icon, icon},
};
use contract::trace::{TraceList, TraceQuery, TraceStatus};
use leptos::{ev::SubmitEvent, prelude::*};

/// Statuses to choose from.
const STATUSES: [(TraceStatus, &str); 4] = [
    (TraceStatus::Ok, "ok"),
    (TraceStatus::Tolerated, "ok, with failed calls"),
    (TraceStatus::Compensated, "compensated"),
    (TraceStatus::Error, "error"),
];

pub(super) fn search(
    place: Place,
    list: &TraceList,
    found: Found,
    waiting: RwSignal<usize>,
) -> AnyView {
    let query = place.query.get_untracked();
    let trace = place.trace.get_untracked();
    let action = address(&TraceQuery::default(), trace.as_deref(), &Look::default());
    let again = move |event: SubmitEvent| {
        event.prevent_default();
        found.refetch();
    };
    let text = |v: String| Some(v).filter(|v| !v.is_empty());
    let services = choices(&list.services, query.service.as_deref());
    let operations = choices(&list.operations, query.operation.as_deref());
    let (statuses, durations) = (statuses(&query), durations(&query));
    let minutes = query.last_seconds.unwrap_or(0) / 60;
    let range = (minutes != u64::from(DEFAULT_RANGE)).then(|| minutes.to_string());
    let window = query.window.map(|w| (w.from_us / 1_000, w.until_us / 1_000));
    let lost = use_live().connection();
    let is_open = move || place.trace.get().is_some();
    let all = move || place.href(None, &Look::default());
    view! {
        <header class="traces-head">
            <h1><a class:quiet-link=is_open href=all>"Traces"</a></h1>
            <form method="get" action=action class="traces-search" role="search" on:submit=again>
                {range.map(|range| view! { <input type="hidden" name="range" value=range/> })}
                {window.map(|(from, until)| view! {
                    <input type="hidden" name="from" value=from/>
                    <input type="hidden" name="until" value=until/>
                })}
                {field("Service", "service", services, move |v| {
                    place.search(|q| q.service = text(v));
                })}
                {field("Operation", "operation", operations, move |v| {
                    place.search(|q| q.operation = text(v));
                })}
                {field("Status", "status", statuses, move |v| {
                    let named = |s: &&(TraceStatus, _)| trace_query::status_word(s.0) == v;
                    place.search(|q| q.status = STATUSES.iter().find(named).map(|s| s.0));
                })}
                {field("Duration", "min", durations, move |v| {
                    place.search(|q| q.min_duration_ms = v.parse().ok());
                })}
                <label class="field">
                    <span>"Tag"</span>
                    <input
                        name="tag"
                        value=query.tag.clone()
                        prop:value=query.tag.clone().unwrap_or_default()
                        placeholder="order.id=…"
                        autocomplete="off"
                        spellcheck="false"
                        on:change=move |event| {
                            let tag = event_target_value(&event).trim().to_owned();
                            place.search(|q| q.tag = text(tag));
                        }
                    />
                </label>
                <button
                    type="submit"
                    class="button"
                    disabled=move || matches!(lost.get(), Connection::Lost { .. })
                >
                    "Search"
                </button>
            </form>
            {counts(place, list, found, waiting)}
        </header>
    }
    .into_any()
}

fn statuses(query: &TraceQuery) -> Vec<AnyView> {
    STATUSES
        .into_iter()
        .map(|(status, name)| {
            option(trace_query::status_word(status), name, query.status == Some(status))
        })
        .collect()
}

fn durations(query: &TraceQuery) -> Vec<AnyView> {
    trace_query::MIN_DURATIONS_MS
        .into_iter()
        .map(|ms| {
            #[expect(clippy::cast_precision_loss, reason = "a handful of milliseconds")]
            let name = format!("≥ {}", format::duration_ms(ms as f64));
            option(&ms.to_string(), &name, query.min_duration_ms == Some(ms))
        })
        .collect()
}

fn choices(names: &[String], chosen: Option<&str>) -> Vec<AnyView> {
    // A filter from the address that nothing matches is still shown.
    let unknown = chosen.filter(|c| !names.iter().any(|n| n == c));
    unknown
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .map(|name| option(name, name, chosen == Some(name)))
        .collect()
}

/// The attribute is for the server's page. A field that somebody has touched goes by the property
/// alone, and must follow when the address changes: by a link, or by Back.
fn option(value: &str, name: &str, selected: bool) -> AnyView {
    view! {
        <option value=value.to_owned() selected=selected prop:selected=selected>
            {name.to_owned()}
        </option>
    }
    .into_any()
}

fn field(
    label: &'static str,
    name: &'static str,
    options: Vec<AnyView>,
    set: impl Fn(String) + 'static,
) -> AnyView {
    view! {
        <label class="field">
            <span>{label}</span>
            <select name=name on:change=move |event| set(event_target_value(&event))>
                <option value="">"any"</option>
                {options}
            </select>
        </label>
    }
    .into_any()
}

/// The stretch of time that was dragged out of the marks, with the way back.
fn zoomed(place: Place) -> Option<AnyView> {
    let window = place.query.with_untracked(|query| query.window)?;
    let whole = move || place.searching(|query| query.window = None);
    let (from, until) = (Signal::stored(window.from_us), Signal::stored(window.until_us));
    Some(
        view! {
            <a class="button small zoomed" href=whole title="Show the whole range again (Esc)">
                <Clock at_us=from/>
                " to "
                <Clock at_us=until/>
                {icon(Icon::Cross)}
                <span class="sr">", show the whole range again"</span>
            </a>
        }
        .into_any(),
    )
}

/// How far back the traces reach; below the list it is said what is kept longer.
fn since(list: &TraceList) -> Option<AnyView> {
    let (words, at_us) = match list.left_until_us {
        Some(left_us) => ("all kept since ", left_us),
        None => ("kept since ", list.oldest_us?),
    };
    let at = Signal::stored(at_us);
    Some(
        view! {
            <span class="since">{words}<Clock at_us=at style=ClockStyle::Minutes/></span>
        }
        .into_any(),
    )
}

fn counts(place: Place, list: &TraceList, found: Found, waiting: RwSignal<usize>) -> AnyView {
    let count = |n: usize| format::count(u64::try_from(n).unwrap_or(u64::MAX));
    let noun = if list.matched == 1 { " trace, " } else { " traces, " };
    view! {
        <p class="traces-counts">
            {zoomed(place)}
            {fresh::pill(found, waiting)}
            <span aria-live="polite">
                <b>{count(list.matched)}</b>{noun}<b>{count(list.slow)}</b>" over 1 s"
            </span>
            {since(list)}
            <span class="mark-key"><svg class="key-mark" width="12" height="12" aria-hidden="true">
                <circle class="mark-ok" cx="6" cy="6" r="2.5"></circle>
            </svg>"ok"</span>
            <span class="mark-key"><svg class="key-mark" width="12" height="12" aria-hidden="true">
                <path class="mark-comp" d="M6 2 10 6 6 10 2 6z"></path>
            </svg>"compensated"</span>
            <span class="mark-key"><svg class="key-mark" width="12" height="12" aria-hidden="true">
                <path class="mark-error" d="M3 3 9 9M9 3 3 9"></path>
            </svg>"error"</span>
        </p>
    }
    .into_any()
}
