//! The trace in a drawing of the map: its lines below the nodes; labels, dots and rings over them.
//! Hidden from screen readers: the list beside the map says the same in words.

use super::{
    Drawing, Traced,
    scene::{Crossing, Label, Paths, label, paths},
    use_traced,
};
use crate::{
    model::walk::{Hop, Walk, us},
    pages::live::layout::{Anchor, Point, Rect},
};
use contract::live::EdgeKind;
use leptos::prelude::*;
use std::sync::Arc;

/// From the box of a node to the ring around it.
const RING: f64 = 3.5;

fn use_paths(traced: Traced, drawing: Drawing) -> Memo<Paths> {
    let Drawing { layout, nodes, shapes, .. } = drawing;
    Memo::new(move |_| {
        let Some(walk) = traced.walk.get() else { return Paths::default() };
        nodes.with(|nodes| {
            shapes.with(|shapes| layout.with_value(|layout| paths(&walk, layout, nodes, shapes)))
        })
    })
}

fn view_box(drawing: Drawing) -> String {
    drawing.layout.with_value(|layout| format!("0 0 {} {}", layout.width, layout.height))
}

pub(super) fn lines(drawing: Drawing) -> AnyView {
    let traced = use_traced();
    let paths = use_paths(traced, drawing);
    let all = move || {
        let (walk, paths) = (traced.walk.get()?, paths.get());
        Some(paths.crossings.into_iter().map(|c| line(traced, &walk, c)).collect_view())
    };
    view! { <svg class="walk-under" viewBox=view_box(drawing) aria-hidden="true">{all}</svg> }
        .into_any()
}

/// What a line is at a moment.
fn state(walk: &Walk, hops: &[usize], (at_us, step): (f64, usize)) -> &'static str {
    let current = walk.steps.get(step).and_then(|step| step.hop);
    if current.is_some_and(|hop| hops.contains(&hop)) {
        return "now";
    }
    let any = |is: &dyn Fn(&Hop) -> bool| hops.iter().filter_map(|hop| walk.hops.get(*hop)).any(is);
    if any(&|hop| hop.runs(at_us)) {
        "flying"
    } else if any(&|hop| us(hop.start_us) <= at_us) {
        "passed"
    } else {
        "ahead"
    }
}

fn line(traced: Traced, walk: &Arc<Walk>, crossing: Crossing) -> AnyView {
    let failed = crossing.hops.iter().filter_map(|hop| walk.hops.get(*hop)).any(|hop| hop.failed);
    let kind = if crossing.kind == EdgeKind::Message { "message" } else { "call" };
    let (walk, hops) = (Arc::clone(walk), crossing.hops);
    let now = Memo::new(move |_| {
        let moment = traced.moment.get();
        state(&walk, &hops, (moment.at_us, moment.step))
    });
    let failed = if failed { "failed" } else { "" };
    let class = move || format!("walk-line {kind} {failed} {}", now.get());
    view! { <path class=class d=crossing.curve.path()></path> }.into_any()
}

pub(super) fn marks(drawing: Drawing) -> AnyView {
    let traced = use_traced();
    let paths = use_paths(traced, drawing);
    let rings = move || {
        let walk = traced.walk.get()?;
        let lit = |name: &str| walk.touches(name);
        let nodes = drawing.nodes.get();
        let rings = nodes.iter().filter(|node| lit(&node.name));
        Some(rings.map(|node| ring(traced, &walk, &node.name, node.rect)).collect_view())
    };
    let labels = move || {
        let (walk, paths) = (traced.walk.get()?, paths.get());
        let all = paths.crossings.iter().map(|c| written(c, &label(&walk, c), drawing.phone));
        Some(all.collect_view())
    };
    let dots = Memo::new(move |_| {
        let at_us = traced.moment.get().at_us;
        let place = |walk: &Walk, paths: &Paths| {
            let dots = walk.dots(at_us).filter_map(|(hop, way)| {
                let point = paths.ways.get(hop)?.as_ref()?.point(way);
                Some((point, walk.hops.get(hop)?.failed))
            });
            dots.collect::<Vec<(Point, bool)>>()
        };
        traced.walk.with(|walk| {
            walk.as_ref().map(|walk| paths.with(|paths| place(walk, paths))).unwrap_or_default()
        })
    });
    let dot = |(Point { x, y }, failed): (Point, bool)| {
        let class = if failed { "walk-dot failed" } else { "walk-dot" };
        view! { <circle class=class cx=format!("{x:.1}") cy=format!("{y:.1}") r="5.5"></circle> }
    };
    view! {
        <svg class="walk-over map" viewBox=view_box(drawing) aria-hidden="true">
            {rings}
            {labels}
            {move || dots.get().into_iter().map(dot).collect_view()}
        </svg>
    }
    .into_any()
}

/// Around a service that has a part in it: stronger while it works, and moving while the current
/// span is its own.
fn ring(traced: Traced, walk: &Arc<Walk>, name: &str, rect: Rect) -> AnyView {
    let (walk, name) = (Arc::clone(walk), name.to_owned());
    let now = Memo::new(move |_| {
        let moment = traced.moment.get();
        let own = walk.steps.get(moment.step).is_some_and(|step| step.service == name);
        match (own, walk.works(&name, moment.at_us)) {
            (true, _) => "walk-ring own",
            (false, true) => "walk-ring works",
            (false, false) => "walk-ring",
        }
    });
    view! {
        <rect
            class=move || now.get() x=rect.x - RING y=rect.y - RING
            width=rect.w + 2.0 * RING height=rect.h + 2.0 * RING rx="12"
        ></rect>
    }
    .into_any()
}

/// The numbers of the hops over a line, and on a wide map how long they took and how they ended.
fn written(crossing: &Crossing, said: &Label, phone: bool) -> AnyView {
    let side = match crossing.anchor {
        Anchor::Start => "anchor-start",
        Anchor::Middle => "anchor-middle",
        Anchor::End => "anchor-end",
    };
    let failed = if said.failed { "failed" } else { "" };
    let class = format!("walk-label label {side} {failed}");
    // On a phone it stands right above a box, which has a ring around it here.
    let lift = if phone { RING + 2.0 } else { 0.0 };
    let (x, y) = (crossing.label.x, crossing.label.y - lift);
    let mark = if phone && said.failed { " ✕" } else { "" };
    let rest = (!phone).then(|| {
        let rest = said.rest.clone();
        view! { <text class="label-rest" x=x y=y + 14.0>{rest}</text> }
    });
    view! {
        <g class=class>
            <text class="label-head" x=x y=y>{said.numbers.clone()} {mark}</text>
            {rest}
        </g>
    }
    .into_any()
}
