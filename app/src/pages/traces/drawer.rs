//! The selected span: what it was, what the mesh decided about it, its attributes, log lines,
//! links, and all of it as JSON.

use super::{
    decision,
    open::{Open, Traced},
    waterfall,
};
use crate::{
    model::{
        fine, format,
        story::LogFilter,
        tone::Tone,
        trace_look::{Look, Tab},
    },
    widget::{Badge, Icon, LinkTabs, ServiceCode, icon},
};
use contract::trace::{Level, LogView, SpanKind, SpanView};
use leptos::prelude::*;

pub(super) fn drawer(open: Open, row: usize) -> AnyView {
    let traced = open.traced();
    let close = move || {
        open.place.looking(|look| {
            *look = Look { span: None, tab: Tab::default(), level: LogFilter::All, ..look.clone() };
        })
    };
    let body = match traced.span(row) {
        Some(span) => content(open, &traced, span, row),
        None => missing(&traced, row),
    };
    let title = traced.span(row).map_or_else(|| "missing span".to_owned(), |s| s.name.clone());
    let service = traced.span(row).map(|s| s.service.clone());
    view! {
        <aside class="panel span-drawer" aria-label="Selected span">
            <header class="drawer-head">
                {service.map(|s| view! { <ServiceCode service=s/> })}
                <h2>{title}</h2>
                <a
                    class="button ghost square small"
                    href=close
                    data-noscroll=true
                    prop:replace=true
                    aria-label="Close"
                    title="Close (Esc)"
                >
                    {icon(Icon::Cross)}
                </a>
            </header>
            {body}
        </aside>
    }
    .into_any()
}

fn missing(traced: &Traced, row: usize) -> AnyView {
    let id = traced.tree.nodes.get(row).map(|n| n.id.clone()).unwrap_or_default();
    view! {
        <p class="panel-empty">
            "Spans below name "
            <code>{id}</code>
            " as their parent, but it is not kept here: it belongs to another program, is still "
            "open, or was dropped."
        </p>
    }
    .into_any()
}

fn content(open: Open, traced: &Traced, span: &SpanView, row: usize) -> AnyView {
    let start = fine::offset_us(span.start_us - traced.tree.start_us);
    let logs: Vec<LogView> = traced
        .view
        .logs
        .iter()
        .filter(|l| l.span_id.as_deref() == Some(span.span_id.as_str()))
        .cloned()
        .collect();
    let failure = span.error.then(|| {
        let why = span.message.clone().unwrap_or_else(|| "failed".into());
        view! { <Badge tone=Tone::Error glyph=Icon::Cross text=why/> }
    });
    let held = waterfall::held_back(traced, row)
        .map(|t| view! { <span class="warn-text">{t}" injected"</span> });
    let summary = view! {
        <p class="drawer-sub">
            <span>"in "{span.service.clone()}</span>
            <span>{fine::duration_us(span.duration_us)}</span>
            <span>"starts "{start}</span>
            <span>{kind(span.kind)}</span>
            {held}
            <code>{span.span_id.get(..8).unwrap_or(&span.span_id).to_owned()}</code>
        </p>
    };
    let (attributes, links) = (span.attributes.len(), span.links.len());
    let lines = logs.len() + span.events.len();
    let owned = span.clone();
    let zero = traced.tree.start_us;
    let tab = Memo::new(move |_| open.place.look.with(|look| look.tab));
    let body = move || match tab.get() {
        Tab::Attributes => attributes_view(open, &owned, &logs),
        Tab::Logs => logs_view(open, &owned, &logs, zero),
        Tab::Links => links_view(open, &owned),
        Tab::Json => json_view(&owned),
    };
    view! {
        {summary}
        {failure.map(|f| view! { <div class="drawer-failure">{f}</div> })}
        {decision::section(traced, row)}
        {tabs(open, &span.span_id, attributes, lines, links)}
        // It scrolls, and not every tab has something in it to stop at.
        <div class="span-body" role="region" aria-label="What the span tells" tabindex="0">
            {body}
        </div>
    }
    .into_any()
}

const fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

fn tabs(open: Open, span_id: &str, attributes: usize, logs: usize, links: usize) -> AnyView {
    let tabs = Tab::ALL
        .into_iter()
        .map(|tab| {
            let text = match tab {
                Tab::Attributes => format!("Attributes {attributes}"),
                Tab::Logs => format!("Logs {logs}"),
                Tab::Links => format!("Links {links}"),
                Tab::Json => "Raw JSON".into(),
            };
            let id = span_id.to_owned();
            let href = move || {
                open.place.looking(|look| {
                    *look = Look { span: Some(id.clone()), tab, ..look.clone() };
                })
            };
            let shown = move || open.place.look.with(|look| look.tab == tab).then_some("true");
            view! {
                <a href=href data-noscroll=true prop:replace=true aria-current=shown>
                    {text}
                </a>
            }
        })
        .collect_view();
    view! { <nav class="tabs" aria-label="Span details">{tabs}</nav> }.into_any()
}

fn attributes_view(open: Open, span: &SpanView, logs: &[LogView]) -> AnyView {
    let rows = span
        .attributes
        .iter()
        .map(|(key, value)| {
            let value = &value.text;
            let value = if key == "order.id" {
                view! { <a href=format!("/orders/{value}")>{value.clone()}</a> }.into_any()
            } else {
                value.clone().into_any()
            };
            pair(key, value)
        })
        .collect_view();
    let empty =
        span.attributes.is_empty().then(|| view! { <p class="panel-empty">"No attributes."</p> });
    let parent = span.parent_id.clone().map(|id| {
        let known = open.traced.with_value(|t| t.tree.row_of(&id).is_some());
        let text = id.get(..8).unwrap_or(&id).to_owned();
        let href = known.then(|| waterfall::href_of(open, &id));
        view! {
            <p class="drawer-parent">
                "child of "
                <a href=href data-noscroll=true>
                    <code>{text}</code>
                </a>
            </p>
        }
    });
    let some = (!logs.is_empty()).then(|| {
        let lines = logs.iter().map(log_line).collect_view();
        view! {
            <header class="logs-head"><h3>"Logs"</h3>{all_of_order(open)}</header>
            <ol class="log-lines">{lines}</ol>
        }
    });
    view! { <dl class="attributes">{rows}</dl>{empty}{parent}{some} }.into_any()
}

/// The way to every log line of the order, with how many there are.
fn all_of_order(open: Open) -> Option<AnyView> {
    let (order, lines) =
        open.traced.with_value(|traced| (traced.view.row.order_id.clone(), traced.order_logs));
    let (order, lines) = (order?, Some(lines).filter(|lines| *lines > 0)?);
    let text = format!("all {} of this order", format::count(lines as u64));
    Some(view! { <a href=format!("/orders/{order}#logs-title")>{text}</a> }.into_any())
}

fn pair(key: &str, value: AnyView) -> AnyView {
    view! { <div><dt>{key.to_owned()}</dt><dd>{value}</dd></div> }.into_any()
}

fn log_line(line: &LogView) -> AnyView {
    let class = match line.level {
        Level::Warn => "log-line warn",
        Level::Error => "log-line error",
        Level::Info | Level::Debug => "log-line",
    };
    let at = format::clock_short_ms(line.at_us);
    view! {
        <li class=class>
            <span class="log-time">{at}</span>
            <span class="log-text">{line.message.clone()}</span>
        </li>
    }
    .into_any()
}

/// Log lines, and the annotations of the span itself.
fn logs_view(open: Open, span: &SpanView, logs: &[LogView], zero_us: i64) -> AnyView {
    let level = open.place.look.with(|look| look.level);
    let shown: Vec<&LogView> = logs.iter().filter(|line| level.lets(line.level)).collect();
    let hidden = logs.len() - shown.len();
    let lines = shown.into_iter().map(log_line).collect_view();
    let events = span
        .events
        .iter()
        .map(|event| {
            let fields = event
                .attributes
                .iter()
                .map(|(key, value)| pair(key, value.text.clone().into_any()))
                .collect_view();
            view! {
                <li>
                    <span class="log-time">{fine::offset_us(event.at_us - zero_us)}</span>
                    <strong>{event.name.clone()}</strong>
                    <dl class="attributes">{fields}</dl>
                </li>
            }
        })
        .collect_view();
    let annotated = !span.events.is_empty();
    let none = logs.is_empty() && !annotated;
    let hidden = (hidden > 0).then(|| {
        let text = format::plural(hidden as u64, "quieter line is", "quieter lines are");
        view! { <p class="panel-empty">{text}" not shown."</p> }
    });
    view! {
        <header class="logs-head">
            {(!logs.is_empty()).then(|| levels(open))}
            {all_of_order(open)}
        </header>
        {none.then(|| view! { <p class="panel-empty">"This span wrote no lines."</p> })}
        <ol class="log-lines">{lines}</ol>
        {hidden}
        {annotated.then(|| view! { <h3>"Span events"</h3><ol class="span-events">{events}</ol> })}
    }
    .into_any()
}

/// Which lines are shown, each choice an address.
fn levels(open: Open) -> AnyView {
    const LEVELS: [(LogFilter, &str); 3] =
        [(LogFilter::All, "All"), (LogFilter::Warn, "Warn"), (LogFilter::Error, "Error")];
    let links = move || {
        let href = |level| open.place.looking(|look| look.level = level);
        LEVELS.iter().map(|(level, text)| (href(*level), (*text).to_owned())).collect::<Vec<_>>()
    };
    let current = move || {
        let shown = open.place.look.with(|look| look.level);
        LEVELS.iter().position(|(level, _)| *level == shown).unwrap_or(0)
    };
    view! {
        <LinkTabs
            label="Level"
            links=Signal::derive(links)
            current=Signal::derive(current)
        />
    }
    .into_any()
}

fn links_view(open: Open, span: &SpanView) -> AnyView {
    if span.links.is_empty() {
        return view! { <p class="panel-empty">"No links to other spans."</p> }.into_any();
    }
    let here = open.place.trace.get_untracked().unwrap_or_default();
    let links = span
        .links
        .iter()
        .map(|link| {
            let href = format!("/traces/{}?span={}", link.trace_id, link.span_id);
            let place = if link.trace_id == here { "this trace" } else { "another trace" };
            let text = format!("{} / {}", format::short_trace(&link.trace_id), link.span_id);
            view! {
                <li>
                    <a href=href data-noscroll=true>
                        <code>{text}</code>
                    </a>
                    " "
                    <span class="sub">{place}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="links">{links}</ul> }.into_any()
}

fn json_view(span: &SpanView) -> AnyView {
    let json = serde_json::to_string_pretty(span).unwrap_or_default();
    view! { <pre class="json raw">{json}</pre> }.into_any()
}
