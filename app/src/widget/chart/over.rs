//! What lies over a drawn chart: a crosshair shared with the other charts of the page, links to the
//! traces of exemplars, and a stretch of time that is being dragged.

use super::model::Axis;
use leptos::{ev, html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use web_sys::PointerEvent;

/// A drag shorter than this is a click, pixels.
const DRAG_MIN: f64 = 6.0;
/// Half the diagonal of a diamond, pixels.
const DIAMOND: f64 = 5.0;

/// Half the length of an exemplar's name, pixels.
const NAME_HALF: f64 = 56.0;
/// Room of the ticks left of a drawing, pixels.
const TICKS: f64 = 34.0;

/// What the charts of a page share. Cheap to copy.
#[derive(Clone, Copy)]
pub struct ChartOver {
    /// The time that is pointed at in any of them.
    pub pointed: RwSignal<Option<i64>>,
    /// Called with the ends of a stretch that was dragged.
    pub zoom: Callback<(i64, i64)>,
}

/// A diamond that leads to a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct OverLink {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
    /// Where it leads.
    pub href: String,
    /// Its name: "7c1e9a4f, 2.21 s".
    pub text: String,
}

/// What a chart says at the time that is pointed at.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The time with its zone.
    pub clock: String,
    /// The value.
    pub value: String,
}

/// What an overlay asks its chart.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) size: Signal<(u32, u32)>,
    pub(super) axis: Callback<(u32, u32), Option<Axis>>,
    pub(super) links: Callback<(u32, u32), Vec<OverLink>>,
    pub(super) reading: Callback<i64, Option<Reading>>,
}

/// Pointer handlers of a drawing: move, leave, press, release.
pub(super) struct Pointing {
    pub(super) moved: Callback<PointerEvent>,
    pub(super) left: Callback<PointerEvent>,
    pub(super) pressed: Callback<PointerEvent>,
    pub(super) released: Callback<PointerEvent>,
    /// Where a drag began and where it is, pixels.
    dragged: RwSignal<Option<(f64, f64)>>,
}

/// Follows the pointer over a drawing.
pub(super) fn pointing(node: NodeRef<html::Div>, over: ChartOver, asked: Asked) -> Pointing {
    let dragged = RwSignal::new(None::<(f64, f64)>);
    let place = move |event: &PointerEvent| {
        let left = node.get_untracked().map_or(0.0, |node| node.get_bounding_client_rect().left());
        f64::from(event.client_x()) - left
    };
    let axis = move || asked.axis.run(asked.size.get_untracked());
    let moved = move |event: PointerEvent| {
        let x = place(&event);
        over.pointed.set(axis().map(|axis| axis.time_at(x)));
        if dragged.get_untracked().is_some() {
            dragged.update(|drag| *drag = drag.map(|(from, _)| (from, x)));
        }
    };
    let left = move |_| {
        over.pointed.set(None);
        dragged.set(None);
    };
    let pressed = move |event: PointerEvent| {
        // A finger scrolls the page; a mouse or pen drags.
        if event.button() == 0 && event.pointer_type() != "touch" {
            let x = place(&event);
            dragged.set(Some((x, x)));
        }
    };
    let released = move |_| {
        let drag = dragged.get_untracked().filter(|(from, to)| (to - from).abs() >= DRAG_MIN);
        dragged.set(None);
        if let (Some((a, b)), Some(axis)) = (drag, axis()) {
            over.zoom.run((axis.time_at(a.min(b)), axis.time_at(a.max(b))));
        }
    };
    Pointing {
        moved: Callback::new(moved),
        left: Callback::new(left),
        pressed: Callback::new(pressed),
        released: Callback::new(released),
        dragged,
    }
}

/// The drawing on top of the chart.
pub(super) fn overlay(over: ChartOver, asked: Asked, pointing: &Pointing) -> AnyView {
    let dragged = pointing.dragged;
    let links = Memo::new(move |_| asked.links.run(asked.size.get()));
    let height = move || asked.size.get().1;
    let cross = move || {
        let at_us = over.pointed.get()?;
        let axis = asked.axis.run(asked.size.get())?;
        let x = axis.x_of(at_us)?;
        let reading = asked.reading.run(at_us)?;
        let late = x > f64::midpoint(axis.left, axis.right);
        let (anchor, text_x) =
            if late { ("anchor-end", x - 6.0) } else { ("anchor-start", x + 6.0) };
        Some(view! {
            <path class="cross" d=format!("M{x:.1} 14V{}", height().saturating_sub(26))></path>
            <text class=format!("tip {anchor}") x=text_x y="26">{reading.value}</text>
            <text class=format!("tip {anchor}") x=text_x y="40">{reading.clock}</text>
        })
    };
    let stretch = move || {
        let (from, to) = dragged.get()?;
        let (x, width) = (from.min(to), (to - from).abs());
        Some(view! {
            <rect class="stretch" x=x y="14" width=width height=height().saturating_sub(40)></rect>
        })
    };
    view! {
        <svg class="chart-over" width="100%" height=height>
            {stretch}
            {cross}
            {move || {
                let width = f64::from(asked.size.get().0);
                links.get().into_iter().map(|link| diamond(link, width)).collect_view()
            }}
        </svg>
    }
    .into_any()
}

fn diamond(link: OverLink, width: f64) -> AnyView {
    let go = use_navigate();
    let (x, y, d) = (link.x, link.y, DIAMOND);
    // Beside one at an end, so that it covers no tick and nothing of it is cut off.
    let (anchor, text_x, text_y) = if x < NAME_HALF + TICKS {
        ("anchor-start", x + 9.0, y + 4.0)
    } else if x > width - NAME_HALF {
        ("anchor-end", x - 9.0, y + 4.0)
    } else {
        ("anchor-middle", x, y - 9.0)
    };
    let name = format!("Trace {}", link.text);
    let href = StoredValue::new(link.href);
    let open = Callback::new(move |()| go(&href.get_value(), NavigateOptions::default()));
    let key = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
            open.run(());
        }
    };
    view! {
        <g
            class="exemplar" role="link" tabindex="0" aria-label=name
            on:click=move |_| open.run(()) on:keydown=key
            on:pointerdown=move |event| event.stop_propagation()
        >
            <circle class="exemplar-hit" cx=x cy=y r="12"></circle>
            <path d=format!("M{x:.1} {:.1}l{d} {d}l-{d} {d}l-{d} -{d}z", y - d)></path>
            <text class=anchor x=text_x y=text_y>{link.text}</text>
        </g>
    }
    .into_any()
}
