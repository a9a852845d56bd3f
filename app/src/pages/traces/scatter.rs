//! Every match as a mark: logarithmic duration over time, with the faults that were in force.
//! A click opens the trace, a drag zooms in time.
//!
//! The marks are written as one piece of markup: a thousand of them need no signals.

use super::{Look, Place, decision::fault_href};
use crate::{
    live::use_live,
    model::{
        fine, format,
        scatter::{self, Axis, Mark, Scatter, Shape},
        trace_query,
    },
    widget::use_zone,
};
use contract::{
    resilience::FaultView,
    trace::{TimeWindow, TraceList, TraceMark},
};
use leptos::{prelude::*, svg};
use std::fmt::Write;
use wasm_bindgen::JsCast;
use web_sys::PointerEvent;

/// Height of the plot in pixels.
const HEIGHT: f64 = 92.0;
/// Room above it.
const TOP: f64 = 14.0;
/// Baselines of what is written into the plot: clear of the ids of faults above it and of the
/// moments below it.
const WRITTEN: (f64, f64) = (TOP + 11.0, TOP + HEIGHT - 3.0);

/// Ids closer than this to those before them, as a share of the width, have no room on a phone.
const NEAR: f64 = 0.22;
/// A drag shorter than this is a click, as a share of the width: some six pixels.
const DRAG_MIN: f64 = 0.005;

pub(super) fn scatter(place: Place, list: TraceList) -> AnyView {
    let (last, window) = place.query.with_untracked(|q| (q.last_seconds, q.window));
    let last_us = last.and_then(|s| i64::try_from(s).ok()).map(|s| s.saturating_mul(1_000_000));
    let axis = Axis { window, last_us, now_us: list.at_us };
    let drawn = scatter::scatter(&list.marks, axis);
    if drawn.marks.is_empty() {
        return ().into_any();
    }
    let summary = summary(&list);
    let query = place.query.get_untracked();
    let links = |id: &str| super::address(&query, Some(id), &Look::default());
    let marks = marks(&drawn, &list.marks, links);
    let rows = StoredValue::new(list.marks);
    let hovered = RwSignal::new(None::<usize>);
    let node = NodeRef::new();
    let drag = Drag::new(place, node, &drawn);
    let open = move |event: leptos::ev::MouseEvent| {
        let to = if drag.was_drag() { None } else { target(&event, place, rows) };
        if let Some(href) = &to {
            place.go(href.clone(), false);
        }
        if to.is_some() || attribute_at(&event, "href").is_some() {
            event.prevent_default();
        }
    };
    let moved = move |event: PointerEvent| {
        drag.moved(&event);
        let row = attribute_at(&event, "data-i").and_then(|row| row.parse().ok());
        if hovered.get_untracked() != row {
            hovered.set(row);
        }
    };
    let left = move |_| {
        hovered.set(None);
        drag.released();
    };
    let (ground, note) = (ground(&drawn, list.left_until_us), note(&drawn, rows));
    let places = StoredValue::new(drawn.marks);
    view! {
        <section class="panel scatter">
            <svg class="scatter-y" aria-hidden="true">{y_labels(&drawn.durations)}</svg>
            <svg
                class="scatter-plot"
                role="group"
                aria-label=summary
                node_ref=node
                on:click=open
                on:pointerdown=move |event| drag.pressed(&event)
                on:pointermove=moved
                on:pointerup=move |_| drag.released()
                on:pointerleave=left
                // One stop for all marks: arrow keys go from one that deviates to the next.
                tabindex="0"
                on:keydown=move |event| walk(&event, node)
                on:focusin=move |event| hovered.set(row_of(event.target()))
                on:focusout=move |_| hovered.set(None)
                // The mark under the pointer is a link, which the browser would drag.
                on:dragstart=move |event| event.prevent_default()
            >
                {ground}
                {shapes()}
                <g class="marks" inner_html=marks></g>
                {note}
                {move || drag.view()}
                {rings(place, rows, places, hovered)}
            </svg>
            <p class="scatter-note">"log scale"</p>
        </section>
    }
    .into_any()
}

/// What lies below the marks.
fn ground(drawn: &Scatter, left_until_us: Option<i64>) -> AnyView {
    view! {
        {sparse(drawn, left_until_us)}
        {faults(drawn)}
        {grid(drawn)}
    }
    .into_any()
}

/// The part of the time of which plain traces have left to make room.
fn sparse(drawn: &Scatter, left_until_us: Option<i64>) -> Option<AnyView> {
    let until_us = left_until_us?;
    let share = scatter::place_of(until_us, drawn)?;
    let zone = use_zone();
    let text = move || {
        let clock = format::clock(until_us, zone.get());
        format!("before {clock} only of orders, with errors, slow")
    };
    let (width, y, height) = (format::percent(share), TOP.to_string(), HEIGHT.to_string());
    Some(
        view! {
            <rect
                class="sparse" fill="url(#hatch-sparse)" x="0" y=y width=width height=height
            ></rect>
            <text class="sparse-note" x="6" y=WRITTEN.1.to_string()>{text}</text>
        }
        .into_any(),
    )
}

/// The marks that are drawn more than once.
fn shapes() -> AnyView {
    view! {
        <defs>
            <pattern
                id="hatch-sparse" width="8" height="8" patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)"
            >
                <rect class="sparse-line" width="1" height="8"></rect>
            </pattern>
            <path id="mark-comp" d="M0-4.5 4.5 0 0 4.5-4.5 0z"></path>
            <path id="mark-error" d="M-3.5-3.5 3.5 3.5M3.5-3.5-3.5 3.5"></path>
        </defs>
    }
    .into_any()
}

/// Rings around the mark that is pointed at and around that of the open trace.
fn rings(
    place: Place,
    rows: StoredValue<Vec<TraceMark>>,
    places: StoredValue<Vec<Mark>>,
    hovered: RwSignal<Option<usize>>,
) -> AnyView {
    let pointed_at = move || hovered.get().map(|row| pointed(rows, places, row, "pointed"));
    let opened = move || {
        let id = place.trace.get()?;
        let row = rows.with_value(|rows| rows.iter().position(|r| r.trace_id == id))?;
        Some(pointed(rows, places, row, "opened"))
    };
    view! {
        {pointed_at}
        {opened}
    }
    .into_any()
}

/// Where a click leads: to a trace, or to a fault.
fn target(
    event: &leptos::ev::MouseEvent,
    place: Place,
    rows: StoredValue<Vec<TraceMark>>,
) -> Option<String> {
    let Some(row) = attribute_at(event, "data-i") else {
        return attribute_at(event, "data-fault").map(|id| fault_href(&id));
    };
    let row = row.parse::<usize>().ok()?;
    let id = rows.with_value(|rows| rows.get(row).map(|r| r.trace_id.clone()))?;
    Some(untrack(move || place.href(Some(&id), &Look::default())))
}

/// A stretch of time that is being dragged, as shares of the width.
#[derive(Clone, Copy)]
struct Drag {
    place: Place,
    node: NodeRef<svg::Svg>,
    axis: StoredValue<Scatter>,
    stretch: RwSignal<Option<(f64, f64)>>,
    /// The click that follows the release belongs to the drag.
    spent: StoredValue<bool>,
}

impl Drag {
    fn new(place: Place, node: NodeRef<svg::Svg>, drawn: &Scatter) -> Self {
        Self {
            place,
            node,
            axis: StoredValue::new(drawn.axes()),
            stretch: RwSignal::new(None),
            spent: StoredValue::new(false),
        }
    }

    fn share(self, event: &PointerEvent) -> Option<f64> {
        let bounds = self.node.get_untracked()?.get_bounding_client_rect();
        let along = (f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0);
        Some(along.clamp(0.0, 1.0))
    }

    fn pressed(self, event: &PointerEvent) {
        self.spent.set_value(false);
        // A finger scrolls the page; a mouse or pen drags.
        if event.button() == 0 && event.pointer_type() != "touch" {
            self.stretch.set(self.share(event).map(|at| (at, at)));
        }
    }

    fn moved(self, event: &PointerEvent) {
        if let Some((from, _)) = self.stretch.get_untracked() {
            self.stretch.set(self.share(event).map(|to| (from, to)));
        }
    }

    fn released(self) {
        let Some((from, to)) = self.stretch.get_untracked() else { return };
        self.stretch.set(None);
        if (to - from).abs() < DRAG_MIN {
            return;
        }
        self.spent.set_value(true);
        let window = self.axis.with_value(|axis| TimeWindow {
            from_us: axis.moment(from.min(to)),
            until_us: axis.moment(from.max(to)),
        });
        self.place.search(|query| query.window = Some(trace_query::whole(window)));
    }

    fn was_drag(self) -> bool {
        self.spent.try_update_value(std::mem::take).unwrap_or_default()
    }

    fn view(self) -> Option<AnyView> {
        let (from, to) = self.stretch.get()?;
        let (x, width) = (format::percent(from.min(to)), format::percent((to - from).abs()));
        let (y, height) = (TOP.to_string(), HEIGHT.to_string());
        Some(view! { <rect class="stretch" x=x y=y width=width height=height></rect> }.into_any())
    }
}

/// Lines with ids where faults began, and bands while they were in force. Written as markup, so
/// that what the stream brings meanwhile is no matter to hydration.
fn faults(drawn: &Scatter) -> AnyView {
    let (start_us, end_us) = (drawn.start_us, drawn.end_us);
    let faults = use_live().faults();
    let marks = move || {
        faults.with(|faults| {
            let all: Vec<&FaultView> = faults.ended.iter().chain(&faults.active).collect();
            let mut out = String::new();
            for (from, until) in scatter::fault_bands(&all, start_us, end_us) {
                fault_band(&mut out, from, until);
            }
            let mut named = f64::NEG_INFINITY;
            for mark in scatter::fault_marks(&all, start_us, end_us) {
                let near = mark.band.0 - named < NEAR;
                if !near {
                    named = mark.band.0;
                }
                fault_mark(&mut out, &mark, near);
            }
            out
        })
    };
    view! { <g class="fault-marks" inner_html=marks></g> }.into_any()
}

fn fault_band(out: &mut String, from: f64, until: f64) {
    let (x, width) = (format::percent(from), format::percent(until - from));
    let _ = write!(
        out,
        r#"<rect class="fault-band" x="{x}" y="{TOP}" width="{width}" height="{HEIGHT}"/>"#
    );
}

fn fault_mark(out: &mut String, mark: &scatter::FaultMark, near: bool) {
    let plain = |text: &str| {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || "- +,".contains(*c))
            .collect::<String>()
    };
    let (id, name) = (plain(mark.ids.first().map_or("", String::as_str)), plain(&mark.name()));
    let all = plain(&mark.ids.join(", "));
    let x = format::percent(mark.band.0);
    let anchor = if mark.band.0 < 0.03 {
        "start"
    } else if mark.band.0 > 0.97 {
        "end"
    } else {
        "middle"
    };
    if mark.began.is_some() {
        let bottom = TOP + HEIGHT;
        let _ = write!(out, r#"<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>"#);
    }
    let class = if near { "near" } else { "" };
    let _ = write!(out, r#"<text class="{class}" x="{x}" y="10" text-anchor="{anchor}">"#);
    let href = fault_href(&id);
    let _ = write!(out, r#"<title>{all}</title><a data-fault="{id}" href="{href}">{name}</a>"#);
    out.push_str("</text>");
}

/// What a fault did to the traces above the others, over the marks: written as those of faults.
fn note(drawn: &Scatter, rows: StoredValue<Vec<TraceMark>>) -> AnyView {
    let (faults, axes) = (use_live().faults(), drawn.axes());
    let text = move || {
        let mut out = String::new();
        faults.with(|faults| {
            let all: Vec<&FaultView> = faults.ended.iter().chain(&faults.active).collect();
            rows.with_value(|rows| band_note(&mut out, &all, rows, &axes));
        });
        out
    };
    view! { <g class="fault-marks" inner_html=text></g> }.into_any()
}

/// The note right below the band, at the right end.
fn band_note(out: &mut String, faults: &[&FaultView], rows: &[TraceMark], axes: &Scatter) {
    let Some(note) = scatter::upper_band(faults, rows, axes) else { return };
    let y = (y_of(axes.height(note.delay_us)) + 14.0).clamp(WRITTEN.0, WRITTEN.1);
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let (by, on) = (escape(&note.by), escape(&note.on));
    let _ = write!(out, r#"<text class="band-note" x="100%" y="{y:.1}" text-anchor="end">"#);
    let _ = write!(out, "{by}<tspan>{on}</tspan></text>");
}

/// Left and right lead to the mark before and after in time, Home and End to the first and last.
fn walk(event: &leptos::ev::KeyboardEvent, node: NodeRef<svg::Svg>) {
    let Some(Ok(marks)) = node.get_untracked().map(|plot| plot.query_selector_all(".marks a"))
    else {
        return;
    };
    let here = event.target();
    let at = (0..marks.length()).find(|i| marks.get(*i).map(Into::into) == here);
    let last = marks.length().saturating_sub(1);
    let next = match (event.key().as_str(), at) {
        ("ArrowRight" | "Home", None) | ("Home", Some(_)) => 0,
        ("ArrowLeft" | "End", None) | ("End", Some(_)) => last,
        ("ArrowRight", Some(at)) => (at + 1).min(last),
        ("ArrowLeft", Some(at)) => at.saturating_sub(1),
        _ => return,
    };
    let mark = marks.get(next).and_then(|mark| mark.dyn_into::<web_sys::SvgElement>().ok());
    if let Some(mark) = mark {
        event.prevent_default();
        event.stop_propagation();
        let _ = mark.focus();
    }
}

/// The trace of the mark that this is, or is in.
fn row_of(target: Option<web_sys::EventTarget>) -> Option<usize> {
    let target = target?;
    let mark = target.dyn_ref::<web_sys::Element>()?.closest("[data-i]").ok()??;
    mark.get_attribute("data-i")?.parse().ok()
}

/// The value of an attribute of the mark under the pointer.
fn attribute_at(event: &leptos::ev::MouseEvent, name: &str) -> Option<String> {
    let target = event.target()?;
    let element = target.dyn_ref::<web_sys::Element>()?;
    element.closest(&format!("[{name}]")).ok()??.get_attribute(name)
}

fn y_of(at: f64) -> f64 {
    TOP + (1.0 - at) * HEIGHT
}

fn marks(drawn: &Scatter, rows: &[TraceMark], link: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(drawn.marks.len() * 64);
    for mark in &drawn.marks {
        let (x, y, i) = (mark.x * 100.0, y_of(mark.y), mark.row);
        // Ordinary traces are in the list below; those that deviate are links without JavaScript.
        let shape = match mark.shape {
            Shape::Ok => {
                let _ = write!(
                    out,
                    r#"<circle class="mark-ok" data-i="{i}" cx="{x:.2}%" cy="{y:.1}" r="2.2"/>"#
                );
                continue;
            }
            Shape::Slow => format!(r#"<circle class="mark-slow" cx="{x:.2}%" cy="{y:.1}" r="3"/>"#),
            Shape::Compensated => {
                format!(r##"<use class="mark-comp" href="#mark-comp" x="{x:.2}%" y="{y:.1}"/>"##)
            }
            Shape::Error => {
                format!(r##"<use class="mark-error" href="#mark-error" x="{x:.2}%" y="{y:.1}"/>"##)
            }
        };
        let id: String = rows[i].trace_id.chars().filter(char::is_ascii_alphanumeric).collect();
        let href = link(&id).replace('&', "&amp;").replace('"', "&quot;");
        let _ = write!(
            out,
            r#"<a data-i="{i}" tabindex="-1" aria-label="Trace {id}" href="{href}">{shape}</a>"#
        );
    }
    out
}

/// A ring around a mark with its id and duration.
fn pointed(
    rows: StoredValue<Vec<TraceMark>>,
    places: StoredValue<Vec<Mark>>,
    row: usize,
    class: &'static str,
) -> Option<AnyView> {
    let mark = places.with_value(|marks| marks.iter().find(|m| m.row == row).copied())?;
    let text = rows.with_value(|rows| {
        let row = rows.get(row)?;
        let id = format::short_trace(&row.trace_id);
        Some(format!("{id} {}", fine::duration_us(row.duration_us)))
    })?;
    let (x, y) = (format::percent(mark.x), y_of(mark.y));
    // Towards the middle, where there is room also on a phone.
    let (dx, anchor) = if mark.x > 0.5 { ("-16", "end") } else { ("16", "start") };
    let text_y = (y + 4.0).clamp(WRITTEN.0, WRITTEN.1).to_string();
    Some(
        view! {
            <g class=class>
                <circle class="ring" cx=x.clone() cy=y.to_string() r="8.5"></circle>
                <text class="ring-text" x=x y=text_y dx=dx text-anchor=anchor>
                    {text}
                </text>
            </g>
        }
        .into_any(),
    )
}

fn y_labels(lines: &[scatter::GridLine]) -> Vec<AnyView> {
    let top = lines.len().saturating_sub(1);
    let one_unit = lines.first().is_some_and(|line| line.us >= 1_000);
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| {
            let text = super::waterfall::tick_text(line.us);
            // The unit stands on the top and the bottom tick only.
            let bare = one_unit && i > 0 && i < top && line.us < 1_000_000;
            let text = if bare { text.trim_end_matches(" ms").to_owned() } else { text };
            let y = (y_of(line.at) + 4.0).to_string();
            view! { <text x="100%" dx="-6" y=y text-anchor="end">{text}</text> }.into_any()
        })
        .collect()
}

fn grid(drawn: &Scatter) -> AnyView {
    let zone = use_zone();
    let lines = drawn
        .durations
        .iter()
        .map(|line| {
            let y = y_of(line.at).to_string();
            view! { <line class="grid" x1="0" x2="100%" y1=y.clone() y2=y></line> }
        })
        .collect_view();
    let whole_minutes = drawn.moments.iter().all(|m| m.us % 60_000_000 == 0);
    let moments = drawn
        .moments
        .iter()
        .map(|moment| {
            let (x, us) = (format::percent(moment.at), moment.us);
            let text = move || {
                if whole_minutes {
                    format::clock_minute(us, zone.get())
                } else {
                    format::clock(us, zone.get())
                }
            };
            let y = (TOP + HEIGHT + 21.0).to_string();
            view! { <text class="tick" x=x y=y text-anchor="middle">{text}</text> }
        })
        .collect_view();
    view! { {lines}{moments} }.into_any()
}

fn summary(list: &TraceList) -> String {
    let count = |shape: Shape| list.marks.iter().filter(|m| scatter::shape(m) == shape).count();
    let (drawn, matched) = (list.marks.len(), list.matched);
    let of = if drawn < matched { format!(" of {matched}") } else { String::new() };
    format!(
        "{drawn}{of} traces by duration over time: {} slow, {} compensated, {} with errors",
        count(Shape::Slow),
        count(Shape::Compensated),
        count(Shape::Error),
    )
}
