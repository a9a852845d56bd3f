//! One open trace: what it was, where its time went, its waterfall and the selected span.

use super::{drawer, export, fresh, keys, list, minimap, place::Place, waterfall};
use crate::{
    live::use_live,
    model::{
        critical_path::{PathSummary, Segment, critical_path, summary},
        fine, format,
        span_tree::SpanTree,
        time_scale::{Fold, TimeScale, waits},
        waterfall::notes,
    },
    widget::{Icon, copy_button, icon},
};
use contract::trace::{ExportView, OpenTrace, SpanView, TraceView};
use leptos::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A trace with what is computed from it once.
pub(super) struct Traced {
    pub(super) view: TraceView,
    pub(super) tree: SpanTree,
    pub(super) path: Vec<Segment>,
    pub(super) waits: Vec<Fold>,
    /// What names of rows do not say.
    pub(super) notes: HashMap<usize, String>,
    /// Log lines of its order, of whichever trace.
    pub(super) order_logs: usize,
}

impl Traced {
    /// The span of a row; none where it is missing.
    pub(super) fn span(&self, row: usize) -> Option<&SpanView> {
        self.view.spans.get(self.tree.nodes.get(row)?.span?)
    }
}

/// What the parts of an open trace share. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub(super) place: Place,
    pub(super) traced: StoredValue<Arc<Traced>>,
    /// Spans whose children are hidden.
    pub(super) folded: RwSignal<HashSet<String>>,
    /// The part of the time that is shown.
    pub(super) zoom: RwSignal<(i64, i64)>,
    /// Long waits are taken out.
    pub(super) fold_waits: Memo<bool>,
    /// The critical path is underlined.
    pub(super) critical: Memo<bool>,
    /// Rows that are not hidden.
    pub(super) visible: Memo<Vec<usize>>,
    /// The time axis.
    pub(super) scale: Memo<TimeScale>,
    /// Row of the selected span.
    pub(super) selected: Memo<Option<usize>>,
    /// The browser has taken over: one row is a tab stop, arrow keys reach the others.
    pub(super) alive: RwSignal<bool>,
}

impl Open {
    fn new(place: Place, opened: OpenTrace) -> Self {
        let OpenTrace { trace: view, order_logs } = opened;
        let tree = SpanTree::new(&view.spans);
        let path = critical_path(&tree);
        let waits = waits(&tree, &view.spans);
        let whole = (tree.start_us, tree.end_us);
        let notes = notes(&tree, &view.spans);
        let traced = Traced { view, tree, path, waits, notes, order_logs };
        let traced = StoredValue::new(Arc::new(traced));
        let folded = RwSignal::new(HashSet::new());
        // The address has what a handle was let go at; while it moves it is here.
        let asked = Memo::new(move |_| shown(place.look.with(|look| look.zoom), whole));
        let zoom = RwSignal::new(asked.get_untracked());
        Effect::new(move |_| zoom.set(asked.get()));
        let fold_waits = Memo::new(move |_| place.look.with(|look| !look.all_waits));
        let visible =
            Memo::new(move |_| folded.with(|folded| traced.with_value(|t| t.tree.visible(folded))));
        let scale = Memo::new(move |_| {
            let (from, to) = zoom.get();
            let fold = fold_waits.get();
            traced.with_value(|t| TimeScale::new(from, to, if fold { &t.waits } else { &[] }))
        });
        let selected = Memo::new(move |_| {
            place.look.with(|look| {
                let span = look.span.as_deref()?;
                traced.with_value(|t| t.tree.row_of(span))
            })
        });
        let critical = Memo::new(move |_| place.look.with(|look| !look.no_path));
        let alive = RwSignal::new(false);
        Effect::new(move |_| alive.set(true));
        Self { place, traced, folded, zoom, fold_waits, critical, visible, scale, selected, alive }
    }

    /// The trace.
    pub(super) fn traced(self) -> Arc<Traced> {
        self.traced.get_value()
    }

    /// Selects the span of a row.
    pub(super) fn select(self, row: usize) {
        let id = self.traced.with_value(|t| t.tree.nodes.get(row).map(|n| n.id.clone()));
        self.place.select(id.as_deref());
    }

    /// Hides or shows the children of a row; answers whether anything changed.
    pub(super) fn fold(self, row: usize, hide: bool) -> bool {
        let id = self
            .traced
            .with_value(|t| t.tree.nodes.get(row).filter(|n| n.below > 0).map(|n| n.id.clone()));
        let Some(id) = id else { return false };
        let was = self.folded.with_untracked(|f| f.contains(&id));
        if was != hide {
            self.folded.update(|f| {
                if hide {
                    f.insert(id);
                } else {
                    f.remove(&id);
                }
            });
        }
        was != hide
    }
}

/// The part of a trace that the address asks for; all of it where that is outside.
fn shown(zoom: Option<(i64, i64)>, (start_us, end_us): (i64, i64)) -> (i64, i64) {
    let Some((from, to)) = zoom else { return (start_us, end_us) };
    let (from, to) = (start_us.saturating_add(from), start_us.saturating_add(to).min(end_us));
    if from < to { (from, to) } else { (start_us, end_us) }
}

pub(super) fn open(place: Place, opened: OpenTrace, health: &ExportView) -> AnyView {
    let open = Open::new(place, opened);
    let traced = open.traced();
    keys::listen(open);
    let with_span = move || open.selected.get().is_some();
    view! {
        <div class="open" class:with-span=with_span>
            <section class="panel trace" aria-labelledby="trace-title">
                {header(&traced, health)}
                {totals(open, &traced)}
                {minimap::minimap(open, &traced)}
                {waterfall::waterfall(open, &traced)}
            </section>
            {move || open.selected.get().map(|row| drawer::drawer(open, row))}
        </div>
    }
    .into_any()
}

fn header(traced: &Traced, health: &ExportView) -> AnyView {
    let row = &traced.view.row;
    let id = row.trace_id.clone();
    let order = row.order_id.as_ref().map(|order| {
        let href = format!("/orders/{order}");
        let order = order.clone();
        view! { <span class="of-order">"order "<a href=href><code>{order}</code></a></span> }
    });
    let to_copy = id.clone();
    view! {
        <header class="panel-head trace-head">
            <h2 id="trace-title">{row.operation.clone()}</h2>
            <code class="trace-id">{id.clone()}</code>
            {copy_button(to_copy, "Copy the trace id")}
            {list::status(row, true)}
            {order}
            <span class="trace-out">
                <a class="button small" href=format!("/?trace={id}")>
                    {icon(Icon::Share)}
                    <span>"On the map"</span>
                </a>
                {export::open_in_jaeger(&id, health)}
                <a
                    class="button small"
                    href=format!("/traces/{id}/jaeger.json")
                    download=format!("{id}.json")
                    rel="external"
                >
                    {icon(Icon::Download)}
                    <span>"Download Jaeger JSON"</span>
                </a>
            </span>
        </header>
    }
    .into_any()
}

fn totals(open: Open, traced: &Traced) -> AnyView {
    let row = &traced.view.row;
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let spans = format::plural(number(traced.view.spans.len()), "span", "spans");
    let services = format::plural(number(row.services.len()), "service", "services");
    let dropped = (traced.view.dropped > 0).then(|| {
        let text = format!(", {} more were not kept", format::count(traced.view.dropped));
        view! { <span class="warn-text">{text}</span> }
    });
    let sum = summary(&traced.tree, &traced.view.spans, &traced.path);
    let whole = open.traced();
    let now_us = use_live().now_us();
    let runs = Memo::new(move |_| open.alive.get() && fresh::is_running(&whole.view, now_us.get()));
    let running = move || runs.get().then_some(", still running: a missing span has not ended yet");
    let waits = traced.waits.len();
    let hint = if waits == 0 {
        "No wait in this trace is longer than 250 ms"
    } else {
        "Take out waits over 250 ms (W)"
    };
    view! {
        <div class="totals">
            <strong>{fine::duration_us(row.until_end_us())}{fine::then_us(row.tail_us)}</strong>
            <span class="sub">{spans}", "{services}{dropped}{running}</span>
            <span class="plain-only sub">"Critical path"</span>
            <button
                type="button"
                class="critical-toggle needs-script"
                aria-pressed=move || if open.critical.get() { "true" } else { "false" }
                title="Underline the critical path (C)"
                on:click=move |_| open.place.look(|look| look.no_path = !look.no_path)
            >
                <i aria-hidden="true"></i>
                "Critical path"
            </button>
            {split(sum)}
            <label class="switch fold-waits needs-script" title=hint>
                <span>"Fold waits"</span>
                <input
                    type="checkbox"
                    role="switch"
                    checked=open.fold_waits.get_untracked()
                    disabled=waits == 0
                    prop:checked=move || open.fold_waits.get()
                    on:change=move |event| {
                        let fold = event_target_checked(&event);
                        open.place.look(|look| look.all_waits = !fold);
                    }
                />
            </label>
        </div>
    }
    .into_any()
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// Where the time of the critical path went, as a bar and in words.
fn split(sum: PathSummary) -> AnyView {
    let parts = [
        (sum.injected_us, "part-injected", "injected"),
        (sum.tries_us, "part-tries", "failed tries"),
        (sum.waiting_us, "part-waiting", "between spans"),
        (sum.work_us, "part-work", "work"),
    ];
    let total = format::millis(sum.total_us.max(1));
    let mut x = 0.0;
    let bars = parts
        .iter()
        .filter(|p| p.0 > 0)
        .map(|(us, class, _)| {
            let width = format::millis(*us) / total * 100.0;
            let from = x;
            x += width;
            view! {
                <rect class=*class x=percent(from) width=percent(width) height="8"></rect>
            }
        })
        .collect_view();
    let words = parts
        .iter()
        .filter(|p| p.0 > 0)
        .enumerate()
        .map(|(i, (us, _, word))| {
            let gap = if i > 0 { ", " } else { "" };
            view! { {gap}<b>{fine::duration_us(*us)}</b>" "{*word} }
        })
        .collect_view();
    view! {
        <svg class="split" width="150" height="8" aria-hidden="true">{bars}</svg>
        <span class="split-words">{words}</span>
    }
    .into_any()
}
