//! The whole trace at true scale, with two handles that choose what the waterfall shows.

use super::open::{Open, Traced};
use crate::{
    model::{fine, format, time_scale::TimeScale},
    widget::service_class,
};
use leptos::prelude::*;
use std::fmt::Write;

/// Height of the drawing in pixels.
const HEIGHT: usize = 34;
/// Lines that can be told apart in it.
const LINES: usize = 14;
/// Steps of a handle.
const STEPS: i64 = 1_000;
/// The handles keep at least so many steps between them.
const APART: i64 = 5;

pub(super) fn minimap(open: Open, traced: &Traced) -> AnyView {
    let whole = TimeScale::new(traced.tree.start_us, traced.tree.end_us, &[]);
    let ticks = whole
        .ticks(traced.tree.start_us, 6)
        .into_iter()
        .map(|tick| {
            let (x, text) = (
                format::percent(tick.at),
                super::waterfall::tick_text(tick.us - traced.tree.start_us),
            );
            // At the ends inwards, clear of the handles.
            let (anchor, dx) = match tick.at {
                ..0.03 => ("start", "6"),
                0.95.. => ("end", "-6"),
                _ => ("middle", "0"),
            };
            view! { <text x=x y="43" dx=dx text-anchor=anchor>{text}</text> }
        })
        .collect_view();
    let shade = move || {
        let (from, to) = open.zoom.get();
        let (a, b) = (whole.at(from) * 100.0, whole.at(to) * 100.0);
        let before = format!("{a:.2}%");
        let (end, after) = (format!("{b:.2}%"), format!("{:.2}%", 100.0 - b));
        view! {
            <rect class="shade" x="0" width=before height="100%"></rect>
            <rect class="shade" x=end width=after height="100%"></rect>
        }
    };
    view! {
        <div class="minimap">
            <svg
                class="minimap-spans"
                viewBox=format!("0 0 1000 {HEIGHT}")
                preserveAspectRatio="none"
                height=HEIGHT.to_string()
                aria-hidden="true"
            >
                {spans(traced)}
            </svg>
            <svg class="minimap-over" aria-hidden="true">{ticks}{shade}</svg>
            {handle(open, traced, true)}
            {handle(open, traced, false)}
        </div>
    }
    .into_any()
}

/// One path for each service: thousands of spans are a dozen elements.
fn spans(traced: &Traced) -> Vec<AnyView> {
    let (start, total) = (traced.tree.start_us, format::millis(traced.tree.duration_us()));
    let rows = traced.tree.nodes.len().max(1);
    let mut paths: Vec<(&str, String)> = Vec::new();
    for (row, node) in traced.tree.nodes.iter().enumerate() {
        let Some(span) = traced.span(row) else {
            continue;
        };
        let x = format::millis(node.start_us - start) / total * 1_000.0;
        let width = (format::millis(node.end_us - node.start_us) / total * 1_000.0).max(1.5);
        let line = if rows <= LINES { row } else { row * LINES / rows };
        #[expect(clippy::cast_precision_loss, reason = "a dozen lines")]
        let y = 3.0 + line as f64 * 2.1;
        let place = paths.iter().position(|p| p.0 == span.service).unwrap_or_else(|| {
            paths.push((&span.service, String::new()));
            paths.len() - 1
        });
        let _ = write!(paths[place].1, "M{x:.1} {y:.1}h{width:.1}");
    }
    paths
        .into_iter()
        .map(|(service, path)| {
            view! { <path class=service_class(service) d=path></path> }.into_any()
        })
        .collect()
}

/// A handle: a slider, so that it works with the keyboard too.
fn handle(open: Open, traced: &Traced, left: bool) -> AnyView {
    let (start, length) = (traced.tree.start_us, traced.tree.duration_us());
    let step_of = move |us: i64| ((us - start) * STEPS + length / 2) / length;
    let value = move || {
        let (from, to) = open.zoom.get();
        step_of(if left { from } else { to }).to_string()
    };
    let text = move || {
        let (from, to) = open.zoom.get();
        fine::offset_us(if left { from } else { to } - start)
    };
    let moved = move |event: leptos::ev::Event| {
        let Ok(step) = event_target_value(&event).parse::<i64>() else {
            return;
        };
        open.zoom.update(|(from, to)| {
            let us = |step: i64| start + length * step / STEPS;
            if left {
                *from = us(step.clamp(0, (step_of(*to) - APART).max(0)));
            } else {
                *to = us(step.clamp((step_of(*from) + APART).min(STEPS), STEPS));
            }
        });
    };
    let (label, class) = if left {
        ("Shown from", "handle handle-left")
    } else {
        ("Shown to", "handle handle-right")
    };
    let initial = untrack(value);
    let let_go = move || {
        let (from, to) = open.zoom.get_untracked();
        let all = (from, to) == (start, start + length);
        open.place.look(|look| look.zoom = (!all).then_some((from - start, to - start)));
    };
    view! {
        <input
            type="range"
            class=class
            min="0"
            max=STEPS.to_string()
            value=initial
            aria-label=label
            aria-valuetext=text
            prop:value=value
            on:input=moved
            on:change=move |_| let_go()
            on:dblclick=move |_| {
                open.zoom.set((start, start + length));
                let_go();
            }
        />
    }
    .into_any()
}
