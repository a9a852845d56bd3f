//! Every match as a mark: logarithmic duration over time. A click opens the trace.
//!
//! The marks are written as one piece of markup: a thousand of them need no signals.

use super::{Place, Tab};
use crate::{
    model::{
        fine, format,
        scatter::{self, Mark, Scatter, Shape},
    },
    widget::use_zone,
};
use contract::trace::{TraceList, TraceRow};
use leptos::prelude::*;
use std::fmt::Write;
use wasm_bindgen::JsCast;

/// Height of the plot in pixels.
const HEIGHT: f64 = 92.0;
/// Room above it.
const TOP: f64 = 14.0;

pub(super) fn scatter(place: Place, list: TraceList) -> AnyView {
    let last_us = place.query.with_untracked(|q| q.last_seconds);
    let last_us = last_us.and_then(|s| i64::try_from(s).ok()).map(|s| s.saturating_mul(1_000_000));
    let drawn = scatter::scatter(&list.rows, last_us);
    if drawn.marks.is_empty() {
        return ().into_any();
    }
    let summary = summary(&list);
    let query = place.query.get_untracked();
    let links = |id: &str| super::address(&query, Some(id), None, Tab::default());
    let marks = marks(&drawn, &list.rows, links);
    let rows = StoredValue::new(list.rows);
    let hovered = RwSignal::new(None::<usize>);
    let hover = move |event: leptos::ev::PointerEvent| hovered.set(mark_at(&event));
    let open = move |event: leptos::ev::MouseEvent| {
        let Some(row) = mark_at(&event) else { return };
        let id = rows.with_value(|rows| rows.get(row).map(|r| r.trace_id.clone()));
        if let Some(id) = id {
            event.prevent_default();
            let href = untrack(move || place.href(Some(&id), None, Tab::default()));
            place.go(href, false);
        }
    };
    let grid = grid(&drawn);
    let places = StoredValue::new(drawn.marks);
    view! {
        <section class="panel scatter">
            <svg class="scatter-y" aria-hidden="true">{y_labels(&drawn.durations)}</svg>
            <svg
                class="scatter-plot"
                role="group"
                aria-label=summary
                on:click=open
                on:pointerover=hover
                on:pointerleave=move |_| hovered.set(None)
            >
                {grid}
                <defs>
                    <path id="mark-comp" d="M0-4.5 4.5 0 0 4.5-4.5 0z"></path>
                    <path id="mark-error" d="M-3.5-3.5 3.5 3.5M3.5-3.5-3.5 3.5"></path>
                </defs>
                <g class="marks" inner_html=marks></g>
                {move || {
                    let row = hovered.get();
                    row.map(|row| pointed(rows, places, row, "pointed"))
                }}
                {move || {
                    let id = place.trace.get()?;
                    let row = rows.with_value(|rows| rows.iter().position(|r| r.trace_id == id))?;
                    Some(pointed(rows, places, row, "opened"))
                }}
            </svg>
            <p class="scatter-note">"log scale"</p>
        </section>
    }
    .into_any()
}

/// The row of the mark under the pointer.
fn mark_at(event: &leptos::ev::MouseEvent) -> Option<usize> {
    let target = event.target()?;
    let element = target.dyn_ref::<web_sys::Element>()?;
    let mark = element.closest("[data-i]").ok()??;
    mark.get_attribute("data-i")?.parse().ok()
}

fn y_of(at: f64) -> f64 {
    TOP + (1.0 - at) * HEIGHT
}

fn marks(drawn: &Scatter, rows: &[TraceRow], link: impl Fn(&str) -> String) -> String {
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
    rows: StoredValue<Vec<TraceRow>>,
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
    let (x, y) = (format!("{:.2}%", mark.x * 100.0), y_of(mark.y));
    let (dx, anchor) = if mark.x > 0.8 { ("-16", "end") } else { ("16", "start") };
    Some(
        view! {
            <g class=class>
                <circle class="ring" cx=x.clone() cy=y.to_string() r="8.5"></circle>
                <text class="ring-text" x=x y=(y + 4.0).to_string() dx=dx text-anchor=anchor>
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
            let (x, us) = (format!("{:.2}%", moment.at * 100.0), moment.us);
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
    let count = |shape: Shape| list.rows.iter().filter(|r| scatter::shape(r) == shape).count();
    format!(
        "{} traces by duration over time: {} slow, {} compensated, {} with errors",
        list.rows.len(),
        count(Shape::Slow),
        count(Shape::Compensated),
        count(Shape::Error),
    )
}
