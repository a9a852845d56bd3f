//! The spans as rows of a tree grid. Only the rows around what is on screen are in the page.

use super::{
    decision, keys,
    open::{Open, Traced},
};
use crate::{
    model::{
        critical_path, fine, format, mesh_decision,
        time_scale::TimeScale,
        trace_look::{Look, Tab},
        waterfall::{self as geometry, Bar, ROW_HEIGHT, Room},
    },
    widget::{Icon, ServiceCode, bar_class, bar_rect, bar_text, icon},
};
use contract::trace::SpanView;
use leptos::{html, prelude::*};
use std::sync::Arc;

/// Indentation of one level in pixels; very deep levels stand on one line.
const INDENT: usize = 13;
const INDENTED_LEVELS_MAX: usize = 14;

/// Room for what is written beside bars: beside an open drawer or on a tablet, and on a phone.
const ROOMS: [Room; 2] =
    [Room { character: 0.016, until: 1.02 }, Room { character: 0.052, until: 1.05 }];
/// A bar that takes a larger share is seen to be long, and how long is in the column beside it.
const LONG: f64 = 0.2;

/// Marks of the ruler at most.
const TICKS: usize = 10;

/// The scrolled box and what is on screen of it.
#[derive(Clone, Copy)]
pub(super) struct Scroll {
    pub(super) node: NodeRef<html::Div>,
    first: RwSignal<usize>,
}

pub(super) fn waterfall(open: Open, traced: &Arc<Traced>) -> AnyView {
    let scroll = Scroll { node: NodeRef::new(), first: RwSignal::new(0) };
    keys::reveal(open, scroll);
    let window = Memo::new(move |_| {
        open.visible.with(|rows| geometry::window(rows.len(), scroll.first.get()))
    });
    let rows = move || {
        let (from, to) = window.get();
        open.visible.with(|rows| rows[from.min(rows.len())..to.min(rows.len())].to_vec())
    };
    let above = move || (window.get().0 * ROW_HEIGHT).to_string();
    let below = move || {
        let all = open.visible.with(Vec::len);
        (all.saturating_sub(window.get().1) * ROW_HEIGHT).to_string()
    };
    let scrolled = move |_| {
        if let Some(node) = scroll.node.get_untracked() {
            let top = usize::try_from(node.scroll_top()).unwrap_or(0);
            scroll.first.set(top / ROW_HEIGHT);
        }
    };
    let traced = Arc::clone(traced);
    let count = traced.tree.nodes.len().to_string();
    let children = move |row: usize| row_view(open, &traced, row);
    view! {
        <div
            class="wf"
            role="treegrid"
            aria-label="Spans"
            aria-rowcount=count
            tabindex="-1"
            node_ref=scroll.node
            on:scroll=scrolled
            on:keydown=move |event| keys::in_tree(open, &event)
            on:focusin=|event| crate::browser::mark_cut(&event, ".name-text")
        >
            <div class="wf-head" role="row">
                <span role="columnheader">"Span"</span>
                <span role="columnheader" class="number">"Duration"</span>
                <span role="columnheader" class="wf-ruler">
                    <span class="sr">"Time"</span>
                    {ruler(open)}
                </span>
            </div>
            <div class="wf-rows" role="rowgroup">
                <div class="wf-under" role="presentation">{grid(open)}</div>
                <svg class="wf-space" width="1" height=above aria-hidden="true"></svg>
                <For each=rows key=|row| *row children=children/>
                <svg class="wf-space" width="1" height=below aria-hidden="true"></svg>
                <div class="wf-over" role="presentation">{folds(open)}</div>
            </div>
        </div>
    }
    .into_any()
}

/// An offset without its sign, as short as it can be: `0`, `0.25 ms`, `25 ms`, `2.14 s`.
pub(super) fn tick_text(us: i64) -> String {
    if us == 0 {
        return "0".into();
    }
    if us >= 1_000_000 {
        let text = format!("{:.3}", format::millis(us) / 1_000.0);
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    if us % 1_000 == 0 {
        return format!("{} ms", us / 1_000);
    }
    let text = format!("{:.3}", format::millis(us));
    format!("{} ms", text.trim_end_matches('0').trim_end_matches('.'))
}

fn ruler(open: Open) -> AnyView {
    let start = open.traced.with_value(|t| t.tree.start_us);
    let marks = move || {
        open.scale.with(|scale| {
            let folds: Vec<(f64, String)> = scale
                .folds()
                .map(|(at, fold)| (at, format!("+{}", fine::duration_us(fold.removed_us()))))
                .collect();
            // Of many waits close to each other as many are told as have room.
            let folds = geometry::apart(folds, &[]);
            let texts = scale.ticks(start, TICKS).into_iter().enumerate().map(|(i, tick)| {
                let text = tick_text(tick.us - start);
                // The unit of milliseconds is written once, at the first tick after zero.
                let bare = if i > 1 { text.trim_end_matches(" ms").to_owned() } else { text };
                (tick.at, bare)
            });
            let ticks = geometry::apart(texts.collect(), &folds)
                .into_iter()
                .map(|(at, text)| {
                    let x = format::percent(at);
                    let anchor = match at {
                        at if at < 0.03 => "start",
                        at if at > 0.96 => "end",
                        _ => "middle",
                    };
                    view! { <text x=x y="13" text-anchor=anchor>{text}</text> }
                })
                .collect_view();
            let folds = folds
                .into_iter()
                .map(|(at, text)| {
                    let x = format::percent(at);
                    view! { <text class="fold-text" x=x y="13" text-anchor="middle">{text}</text> }
                })
                .collect_view();
            view! { {ticks}{folds} }.into_any()
        })
    };
    view! { <svg class="ruler" height="18" aria-hidden="true">{marks}</svg> }.into_any()
}

fn grid(open: Open) -> AnyView {
    let start = open.traced.with_value(|t| t.tree.start_us);
    let lines = move || {
        open.scale.with(|scale| {
            scale
                .ticks(start, TICKS)
                .into_iter()
                .map(|tick| {
                    let x = format::percent(tick.at);
                    view! { <line x1=x.clone() x2=x y1="0" y2="100%"></line> }
                })
                .collect_view()
        })
    };
    view! { <svg class="wf-grid" aria-hidden="true">{lines}</svg> }.into_any()
}

/// Zigzags over all rows where a wait was taken out.
fn folds(open: Open) -> AnyView {
    let marks = move || {
        open.scale.with(|scale| {
            let half = scale.fold_width() / 2.0;
            scale
                .folds()
                .map(|(at, _)| {
                    let (left, right) = (format::percent(at - half), format::percent(at + half));
                    let width = format::percent(half * 2.0);
                    if scale.folds_are_narrow() {
                        // Zigzags of many would cover all that is between them.
                        let x = format::percent(at);
                        return view! {
                            <line class="fold-line" x1=x.clone() x2=x y1="0" y2="100%"></line>
                        }
                        .into_any();
                    }
                    let edge = |x: String| {
                        view! {
                            <svg x=x overflow="visible">
                                <rect class="fold-edge" x="-4" width="8" height="100%"></rect>
                            </svg>
                        }
                    };
                    view! {
                        <rect class="fold-gap" x=left.clone() width=width height="100%"></rect>
                        {edge(left)}
                        {edge(right)}
                    }
                    .into_any()
                })
                .collect_view()
        })
    };
    view! {
        <svg class="wf-folds" aria-hidden="true">
            <defs>
                <pattern id="zigzag" x="-4" width="8" height="10" patternUnits="userSpaceOnUse">
                    <path d="M2 0 6 5 2 10"></path>
                </pattern>
            </defs>
            {marks}
        </svg>
    }
    .into_any()
}

fn row_view(open: Open, traced: &Arc<Traced>, row: usize) -> AnyView {
    let node = &traced.tree.nodes[row];
    let span = traced.span(row);
    let id = node.id.clone();
    let folds = node.below > 0;
    let folded_id = id.clone();
    let is_folded = Memo::new(move |_| folds && open.folded.with(|f| f.contains(&folded_id)));
    let selected = move || open.selected.get() == Some(row);
    let failed = span.is_some_and(|s| s.error);
    let on_path = traced.path.iter().any(|s| s.row == Some(row));
    let dim = node.asynchronous && !on_path;
    let is_stop = move || open.selected.get().unwrap_or(0) == row;
    let tab_stop = move || (open.alive.get() && !is_stop()).then_some("-1");
    let expanded = move || folds.then(|| if is_folded.get() { "false" } else { "true" });
    let href = move || open.place.looking(|look| look.span = Some(id.clone()));
    let name = span.map_or_else(|| "missing span".to_owned(), |s| s.name.clone());
    let note = traced.notes.get(&row).map(|note| format!(", {note}"));
    let whole = format!("{name}{}", note.as_deref().unwrap_or_default());
    let note = note.map(|note| view! { <span class="name-note">{note}</span> });
    let duration = span.map_or_else(|| "–".to_owned(), |s| fine::duration_us(s.duration_us));
    let indent = node.depth.min(INDENTED_LEVELS_MAX) * INDENT;
    view! {
        <div
            class="wf-row"
            class:selected=selected
            class:failed=failed
            class:missing=span.is_none()
            class:dim=dim
            role="row"
            attr:aria-level=(node.depth + 1).to_string()
            aria-rowindex=(row + 1).to_string()
            aria-expanded=expanded
            aria-selected=move || if selected() { "true" } else { "false" }
        >
            <div class="wf-name" role="gridcell">
                <svg class="indent" width=indent.to_string() height="1" aria-hidden="true"></svg>
                {twist(open, row, folds, is_folded)}
                {span.map(|s| view! { <ServiceCode service=s.service.clone() alone=true/> })}
                <a
                    href=href
                    data-noscroll=true
                    prop:replace=true
                    data-row=row.to_string()
                    tabindex=tab_stop
                    title=whole
                >
                    <span class="name-text">{name}</span>
                    {note}
                </a>
                {span.map(|span| side_notes(open, span))}
            </div>
            <div class="number" role="gridcell">{duration}</div>
            <div class="wf-bar" role="gridcell">{bar_cell(open, traced, row)}</div>
        </div>
    }
    .into_any()
}

/// The small triangle that folds the children.
fn twist(open: Open, row: usize, folds: bool, is_folded: Memo<bool>) -> AnyView {
    if !folds {
        return view! { <span class="twist"></span> }.into_any();
    }
    view! {
        <button
            type="button"
            class="twist"
            class:folded=is_folded
            tabindex="-1"
            aria-label=move || if is_folded.get() { "Show children" } else { "Hide children" }
            on:click=move |_| {
                open.fold(row, !is_folded.get_untracked());
            }
        >
            {icon(Icon::Down)}
        </button>
    }
    .into_any()
}

/// The HTTP status and the fault, between name and duration.
fn side_notes(open: Open, span: &SpanView) -> AnyView {
    // In the browser the tree is one tab stop; the drawer has the same links.
    let tab_stop = move || open.alive.get().then_some("-1");
    let fault = decision::chips(mesh_decision::faults_of(span), tab_stop);
    let status = span
        .attribute(contract::attributes::HTTP_STATUS)
        .filter(|s| !span.error && !s.starts_with('2'))
        .map(|s| view! { <span class="http">{s.to_owned()}</span> });
    view! { {fault}{status} }.into_any()
}

fn bar_cell(open: Open, traced: &Arc<Traced>, row: usize) -> AnyView {
    let traced = Arc::clone(traced);
    let bar = move || {
        open.scale.with(|scale| {
            let bar = geometry::bar(&traced.tree, &traced.view.spans, &traced.path, scale, row)?;
            Some(bar_view(&bar, &traced, row, scale, open.critical.get()))
        })
    };
    view! { <svg height=ROW_HEIGHT.to_string() aria-hidden="true">{bar}</svg> }.into_any()
}

fn bar_view(bar: &Bar, traced: &Traced, row: usize, scale: &TimeScale, critical: bool) -> AnyView {
    let span = traced.span(row);
    let duration = span.map_or_else(String::new, |s| fine::duration_us(s.duration_us));
    let failure = span.and_then(geometry::failure);
    let texts: Vec<String> = match failure {
        Some(why) => vec![format!("{why}, {duration}"), why, duration],
        None if bar.width > LONG => Vec::new(),
        None => vec![duration],
    };
    let text = bar_text((bar.x, bar.width), &texts, ROOMS);
    let held = (bar.injected > 0.0)
        .then(|| bar_rect("bar-held", format::percent(bar.x), format::percent(bar.injected), 5, 8));
    let under = critical.then(|| {
        let part = |(x, width): &(f64, f64)| {
            let least = bar_rect("bar-path", format::percent(*x), "1.5".into(), 15, 2);
            (bar_rect("bar-path", format::percent(*x), format::percent(*width), 15, 2), least)
        };
        bar.critical.iter().map(part).collect_view()
    });
    let events = span.map(|s| events(s, scale));
    view! {
        <g class=bar_class(span)>
            <g class="bar-shape">
                {bar_rect("bar-fill", format::percent(bar.x), format::percent(bar.width), 5, 8)}
                {bar_rect("bar-fill", format::percent(bar.x), "2".into(), 5, 8)}
            </g>
            {held}
            {events}
            {under}
            {text}
        </g>
    }
    .into_any()
}

/// Annotations of a span as small notches in its bar.
fn events(span: &SpanView, scale: &TimeScale) -> Vec<AnyView> {
    let notch = |at_us: i64| {
        let x = format::percent(scale.bar(at_us, at_us)?.0);
        Some(bar_rect("bar-event", x, "1.5".into(), 3, 12))
    };
    span.events.iter().take(20).filter_map(|e| notch(e.at_us)).collect()
}

/// Whether a fault held this row back, for the drawer.
pub(super) fn held_back(traced: &Traced, row: usize) -> Option<String> {
    let us = critical_path::injected_us(traced.tree.nodes.get(row)?, &traced.view.spans);
    (us > 0).then(|| fine::duration_us(us))
}

/// Address of a row's span with the first tab.
pub(super) fn href_of(open: Open, span_id: &str) -> String {
    open.place.looking(|look| {
        *look = Look { span: Some(span_id.to_owned()), tab: Tab::default(), ..look.clone() };
    })
}
