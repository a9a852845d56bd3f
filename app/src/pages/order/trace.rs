//! The most telling spans of the order's trace as a short waterfall.

use super::{Story, traces};
use crate::{
    model::{
        critical_path::{self, Segment, critical_path},
        fine, format,
        span_tree::SpanTree,
        time_scale::TimeScale,
        waterfall::{self, Bar, Room, Telling},
    },
    widget::{Icon, bar_class, bar_rect, bar_text, icon},
};
use contract::{
    order::OrderStatus,
    trace::{SpanKind, SpanView, TraceView},
};
use leptos::prelude::*;
use std::{collections::HashMap, sync::Arc};

/// Rows of the short waterfall.
const ROWS: usize = 12;
/// The right part of the plot is left free for the durations.
const PLOT: f64 = 0.86;

/// Room for what is written beside bars: at the narrowest beside the logs, and on a phone.
const ROOMS: [Room; 2] =
    [Room { character: 0.0205, until: 1.04 }, Room { character: 0.04, until: 1.21 }];

/// A trace with what is computed from it.
struct Traced {
    view: TraceView,
    tree: SpanTree,
    path: Vec<Segment>,
    notes: HashMap<usize, String>,
}

pub(super) fn panel(story: Story) -> AnyView {
    let traced = Memo::new_with_compare(
        move |_| {
            story.order.with(|o| {
                let view = o.trace.clone()?;
                let tree = SpanTree::new(&view.spans);
                let path = critical_path(&tree);
                let notes = waterfall::notes(&tree, &view.spans);
                Some(Arc::new(Traced { view, tree, path, notes }))
            })
        },
        |old, new| match (old, new) {
            (Some(Some(old)), Some(Some(new))) => old.view != new.view,
            (Some(None), Some(None)) => false,
            _ => true,
        },
    );
    let head = move || traced.get().map(|t| head(&t));
    let body = move || match traced.get() {
        Some(traced) => waterfall(story, &traced),
        None => {
            let running = story.order.with(|o| o.row.status == OrderStatus::Processing);
            let text = match running {
                true => "The spans of this order are shown when they end.",
                false => "No trace of this order is kept any more.",
            };
            view! { <p class="panel-empty">{text}</p> }.into_any()
        }
    };
    view! {
        <section class="panel order-trace" aria-labelledby="trace-title">
            <header class="panel-head">
                <h2 id="trace-title">"Trace"</h2>
                {head}
            </header>
            {body}
            {traces::list(story)}
        </section>
    }
    .into_any()
}

fn head(traced: &Traced) -> AnyView {
    let row = &traced.view.row;
    let all = traced.view.spans.len();
    let shown = all.min(ROWS);
    let then = fine::then_us(row.tail_us).unwrap_or_default();
    let took = fine::duration_us(row.until_end_us());
    let sub = format!("{shown} of {all} spans, {took}{then}");
    let faults = critical_path::faults_said(&traced.tree, &traced.view.spans).map(|said| {
        view! {
            <span class="injected">
                <i class="hatch" aria-hidden="true"></i>
                {said}
            </span>
        }
    });
    view! {
        <code>{format::short_trace(&row.trace_id).to_owned()}</code>
        <span class="sub">{sub}</span>
        {faults}
        <a class="button small head-end" href=format!("/?trace={}", row.trace_id)>
            {icon(Icon::Share)}
            <span>"On the map"</span>
        </a>
        <a class="button small" href=format!("/traces/{}", row.trace_id)>
            <span>"Open"</span>
            {icon(Icon::Right)}
        </a>
    }
    .into_any()
}

fn waterfall(story: Story, traced: &Arc<Traced>) -> AnyView {
    let tree = &traced.tree;
    // What goes on after the end may be a thousand times as long, and is written in its row.
    let tail_us = fine::told_tail_us(traced.view.row.tail_us);
    let scale = TimeScale::new(tree.start_us, tree.end_us - tail_us, &[]);
    let ticks = scale.ticks(tree.start_us, 5);
    let rows = waterfall::telling(tree, &traced.view.spans, &traced.path, ROWS);
    let shown: Vec<usize> = rows.iter().map(|r| r.row).collect();
    let for_mark = Arc::clone(traced);
    let marked = Memo::new(move |_| {
        let id = story.marked_span(&for_mark.view)?;
        let mut row = for_mark.tree.row_of(&id);
        // Of a call that is not among the rows the answering side may be, under the same name.
        let called = row.filter(|r| !shown.contains(r)).and_then(|r| {
            let span = for_mark.tree.nodes[r].span.and_then(|i| for_mark.view.spans.get(i))?;
            let calls = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
            for_mark.tree.children(r).find(|child| calls && shown.contains(child))
        });
        row = called.or(row);
        // Any other is marked at the row it belongs to.
        while let Some(r) = row.filter(|r| !shown.contains(r)) {
            row = for_mark.tree.nodes[r].parent;
        }
        row
    });
    let ruler = ticks
        .iter()
        .map(|tick| {
            let x = place(tick.at);
            let text = ruler_text(tick.us - tree.start_us);
            view! { <text x=x y="11" text-anchor="middle">{text}</text> }
        })
        .collect_view();
    let grid = ticks
        .iter()
        .map(|tick| {
            let x = place(tick.at);
            view! { <line x1=x.clone() x2=x y1="0" y2="100%"></line> }
        })
        .collect_view();
    let rows = rows.into_iter().map(|r| row(traced, &scale, r, marked)).collect_view();
    view! {
        <div class="brief">
            <svg class="brief-ruler" height="16" aria-hidden="true">{ruler}</svg>
            <div class="brief-rows">
                <svg class="brief-grid" aria-hidden="true">{grid}</svg>
                <ol on:focusin=|event| crate::browser::mark_cut(&event, ".name-text")>{rows}</ol>
            </div>
        </div>
    }
    .into_any()
}

/// Ticks without a sign: `0`, `500 ms`, `1.5 s`.
fn ruler_text(us: i64) -> String {
    match us {
        0 => "0".into(),
        _ if us % 1_000_000 == 0 => format!("{} s", us / 1_000_000),
        _ if us > 1_000_000 => {
            let text = format!("{:.2}", format::millis(us) / 1_000.0);
            format!("{} s", text.trim_end_matches('0'))
        }
        _ => fine::duration_us(us),
    }
}

fn place(at: f64) -> String {
    format::percent(at * PLOT)
}

fn row(
    traced: &Arc<Traced>,
    scale: &TimeScale,
    telling: Telling,
    marked: Memo<Option<usize>>,
) -> AnyView {
    let node = &traced.tree.nodes[telling.row];
    let span = node.span.and_then(|i| traced.view.spans.get(i));
    let note = traced.notes.get(&telling.row).map(String::as_str);
    let missing = || ("missing span".to_owned(), String::new());
    let (name, note) = span.map_or_else(missing, |span| waterfall::brief_name(span, note));
    let bar = waterfall::bar(&traced.tree, &traced.view.spans, &traced.path, scale, telling.row);
    let href = format!("/traces/{}?span={}", traced.view.row.trace_id, node.id);
    let failed = span.is_some_and(|s| s.error);
    let row = telling.row;
    let is_marked = move || marked.get() == Some(row);
    let indent = (telling.depth > 0).then(|| " ".repeat(telling.depth.min(7) * 2));
    let title = span.map(|s| {
        let why = s.message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{name}{note}, {} in {}{why}", s.name, s.service)
    });
    view! {
        <li class:marked=is_marked class:failed=failed>
            <a href=href title=title aria-current=move || is_marked().then_some("true")>
                <span class="brief-name">
                    <span class="name-text">{indent}{name}</span>
                    <span class="name-note">{note}</span>
                </span>
                <svg class="brief-bar" height="19" aria-hidden="true">
                    {match bar {
                        Some(bar) => bar_view(&bar, span),
                        None => later(node.start_us - traced.tree.start_us),
                    }}
                </svg>
            </a>
        </li>
    }
    .into_any()
}

/// Of what began after the end of the axis, when.
fn later(offset_us: i64) -> AnyView {
    let said = format!("at {}", fine::offset_us(offset_us));
    view! { <text class="later" x="100%" y="13.5" text-anchor="end">{said}</text> }.into_any()
}

fn bar_view(bar: &Bar, span: Option<&SpanView>) -> AnyView {
    let duration = span.map_or_else(String::new, |s| fine::duration_us(s.duration_us));
    let mut texts: Vec<String> = span.and_then(waterfall::failure).into_iter().collect();
    texts.push(duration);
    let text = bar_text((bar.x * PLOT, bar.width * PLOT), &texts, ROOMS);
    let held =
        (bar.injected > 0.0).then(|| bar_rect("bar-held", place(bar.x), place(bar.injected), 5, 9));
    view! {
        <g class=bar_class(span)>
            {bar_rect("bar-fill", place(bar.x), place(bar.width), 5, 9)}
            {bar_rect("bar-fill", place(bar.x), "2".into(), 5, 9)}
            {held}
            {text}
        </g>
    }
    .into_any()
}
