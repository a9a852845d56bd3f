//! The service map as SVG: lines below, particles between, nodes and labels on top.
//!
//! Every text and class comes from a face (`super::scene`); nothing is computed here.

use super::{
    Chosen, Selection, badges, badges_model,
    layout::{self, Anchor, Direction, EdgeShape, Layout, NodeKind, NodeShape, Rect, nearest},
    particles::Particles,
    scene::{self, DOTS_MAX, EdgeFace, EdgeKey, Health, NodeFace},
};
use crate::{
    browser,
    frame::state::use_commands,
    live::use_live,
    widget::{BreakerMark, Icon, service_class, sparkline},
};
use contract::{live::EdgeKind, service};
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast;

/// Below this width the map stands top to bottom.
const PHONE: &str = "(max-width: 767px)";

/// The drawing for this width. Before hydration both are there and the style sheet shows one.
#[component]
pub(super) fn Stage(
    /// `traffic`, `events` or `2pc`.
    #[prop(into)]
    layer: Signal<String>,
) -> impl IntoView {
    let phone = browser::use_media(PHONE);
    view! {
        <Show when=move || phone.get() != Some(true)>
            <Drawing layout=layout::wide() phone=false layer=layer/>
        </Show>
        <Show when=move || phone.get() != Some(false)>
            <Drawing layout=layout::phone() phone=true layer=layer/>
        </Show>
    }
    .into_any()
}

/// One edge with the face it has now, for the particles.
#[derive(Clone, PartialEq)]
pub struct Drawn {
    /// Its geometry.
    pub shape: EdgeShape,
    /// Its face.
    pub face: EdgeFace,
}

fn key_of(shape: &EdgeShape) -> EdgeKey {
    EdgeKey { from: shape.from.clone(), to: shape.to.clone(), kind: shape.kind }
}

/// The face of an edge, kept by whoever draws it.
fn use_face(shape: &EdgeShape) -> Memo<EdgeFace> {
    let live = use_live();
    let (map, now, key) = (live.map(), live.now_us(), key_of(shape));
    Memo::new(move |_| map.with(|map| scene::edge_face(map, &key, now.get())))
}

#[component]
fn Drawing(layout: Layout, phone: bool, layer: Signal<String>) -> impl IntoView {
    let live = use_live();
    let (map, now) = (live.map(), live.now_us());
    let view_box = format!("0 0 {} {}", layout.width, layout.height);
    let size = (layout.width, layout.height);
    let layout = StoredValue::new(layout);
    let shapes = Memo::new(move |_| map.with(|map| layout.with_value(|l| scene::edges(l, map))));
    let nodes = Memo::new(move |_| map.with(|map| layout.with_value(|l| scene::nodes(l, map))));
    let drawn = Memo::new(move |_| {
        let face =
            |shape: &EdgeShape| map.with(|map| scene::edge_face(map, &key_of(shape), now.get()));
        let drawn = shapes.get().into_iter().map(|shape| Drawn { face: face(&shape), shape });
        drawn.collect::<Vec<_>>()
    });
    view! {
        <div class="stage" class:stage-phone=phone data-layer=move || layer.get()>
            <svg class="map-lines" viewBox=view_box.clone() aria-hidden="true">
                <For each=move || shapes.get() key=key_of let:shape>{edge_line(shape)}</For>
            </svg>
            <Particles size=size drawn=drawn/>
            <svg
                class="map" viewBox=view_box role="group" aria-label="Service map"
                on:keydown=on_arrow
            >
                <For each=move || shapes.get() key=key_of let:shape>
                    {edge_face(shape, phone)}
                </For>
                <For each=move || nodes.get() key=|node| node.name.clone() let:node>
                    {node_face(node, phone)}
                </For>
                {badges::layer(nodes, shapes, phone)}
            </svg>
        </div>
    }
    .into_any()
}

/// Arrow keys move the focus to the nearest thing in their direction.
fn on_arrow(event: KeyboardEvent) {
    let direction = match event.key().as_str() {
        "ArrowLeft" => Direction::Left,
        "ArrowRight" => Direction::Right,
        "ArrowUp" => Direction::Up,
        "ArrowDown" => Direction::Down,
        _ => return,
    };
    let Some(focused) = document().active_element() else { return };
    let Some(svg) = focused.closest("svg").ok().flatten() else { return };
    let Ok(found) = svg.query_selector_all("[role=button], [role=link]") else { return };
    let elements: Vec<web_sys::Element> =
        (0..found.length()).filter_map(|i| found.item(i)?.dyn_into().ok()).collect();
    let centre = |element: &web_sys::Element| {
        let rect = element.get_bounding_client_rect();
        layout::at(rect.x() + rect.width() / 2.0, rect.y() + rect.height() / 2.0)
    };
    let points: Vec<_> = elements.iter().map(centre).collect();
    if let Some(next) = nearest(centre(&focused), &points, direction).and_then(|i| elements.get(i))
    {
        event.prevent_default();
        let _ = next.unchecked_ref::<web_sys::SvgElement>().focus();
    }
}

const fn kind_class(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Call => "kind-call",
        EdgeKind::Message => "kind-message",
        EdgeKind::Commit => "kind-commit",
    }
}

fn edge_line(shape: EdgeShape) -> AnyView {
    let face = use_face(&shape);
    let kind = kind_class(shape.kind);
    let class = move || format!("edge {kind} {}", face.with(|face| face.health.class()));
    #[expect(clippy::cast_lossless, reason = "hundredths of a pixel")]
    let width = move || format!("{:.2}", face.with(|face| face.width as f64 / 100.0));
    let path = shape.curve.path();
    let double = (shape.kind == EdgeKind::Commit).then(|| {
        // A wide line with a narrow one of the ground on top looks like two lines.
        view! { <path class="edge-core" d=path.clone()></path> }
    });
    view! {
        <g class=class>
            <path class="edge-line" d=path.clone() stroke-width=width></path>
            {double}
        </g>
    }
    .into_any()
}

/// Hit area, label and breaker of an edge: one button.
fn edge_face(shape: EdgeShape, phone: bool) -> AnyView {
    let Chosen { now, choose } = expect_context::<Chosen>();
    let face = use_face(&shape);
    let selection = Selection::Edge(shape.from.clone(), shape.to.clone());
    let this = selection.clone();
    let chosen = Memo::new(move |_| now.with(|now| now.as_ref() == Some(&this)));
    let (click, key) = choosing(selection, choose);
    let kind = kind_class(shape.kind);
    let class = move || {
        let open = if chosen.get() { "chosen" } else { "" };
        format!("face {kind} {} {open}", face.with(|face| face.health.class()))
    };
    let sits = shape.curve.point(shape.breaker);
    let run = use_commands();
    let card = badges_model::breaker_href(&shape.from, &shape.to);
    let breaker = move || {
        let mark =
            face.with(|face| face.breaker).filter(|m| !phone || *m != BreakerMark::Closed)?;
        // The drawer of the edge leads there too, for those who do not use a pointer.
        let (open, _) = badges::leading(card.clone(), run);
        Some(view! {
            <g
                class=mark.class() on:click=open
                transform=format!("translate({:.1} {:.1})", sits.x, sits.y)
            >
                <circle r="10.5"></circle>
                <path d=mark.path()></path>
            </g>
        })
    };
    view! {
        <g
            class=class role="button" tabindex="0"
            aria-label=move || face.with(|face| face.name.clone())
            on:click=click on:keydown=key
        >
            <path class="hit" d=shape.curve.path()></path>
            {edge_label(&shape, face, phone)}
            {breaker}
        </g>
    }
    .into_any()
}

fn edge_label(shape: &EdgeShape, face: Memo<EdgeFace>, phone: bool) -> AnyView {
    let anchor = match shape.anchor {
        Anchor::Start => "label anchor-start",
        Anchor::Middle => "label anchor-middle",
        Anchor::End => "label anchor-end",
    };
    let (x, y) = (shape.label.x, shape.label.y);
    // On a phone only what is not healthy is labelled.
    let shown = move || {
        face.with(|face| {
            !phone || matches!(face.health, Health::Warn | Health::Error | Health::Open)
        })
    };
    let head = move || face.with(|face| face.head.text.clone());
    let head_class = move || format!("label-head {}", face.with(|face| face.head.health.class()));
    let rest = move || {
        let parts = face.with(|face| face.rest.clone()).into_iter().enumerate();
        parts
            .map(|(i, part)| {
                let gap = if i > 0 { " · " } else { "" };
                view! { <tspan>{gap}</tspan><tspan class=part.health.class()>{part.text}</tspan> }
            })
            .collect_view()
    };
    view! {
        <g class=anchor class:gone=move || !shown()>
            <text class=head_class x=x y=y>{head}</text>
            <text class="label-rest" x=x y=y + 14.0>{rest}</text>
        </g>
    }
    .into_any()
}

/// Handlers of something that opens the drawer.
fn choosing(
    selection: Selection,
    choose: Callback<Option<Selection>>,
) -> (impl Fn(leptos::ev::MouseEvent), impl Fn(KeyboardEvent)) {
    let again = selection.clone();
    let click = move |_| choose.run(Some(again.clone()));
    let key = move |event: KeyboardEvent| {
        if matches!(event.key().as_str(), "Enter" | " ") {
            event.prevent_default();
            choose.run(Some(selection.clone()));
        }
    };
    (click, key)
}

fn node_face(node: NodeShape, phone: bool) -> AnyView {
    let live = use_live();
    let (map, load) = (live.map(), live.load());
    let Chosen { now, choose } = expect_context::<Chosen>();
    let name = node.name.clone();
    let face = Memo::new(move |_| map.with(|map| scene::node_face(map, load.get(), &name)));
    let selection = Selection::Node(node.name.clone());
    let this = selection.clone();
    let chosen = Memo::new(move |_| now.with(|now| now.as_ref() == Some(&this)));
    let (click, key) = choosing(selection, choose);
    let base = match node.kind {
        NodeKind::Caller => "node node-caller",
        NodeKind::Service => "node",
        NodeKind::Group => "node node-group",
        NodeKind::Bus => "node node-bus",
    };
    let colour = service_class(&node.name);
    let class = move || {
        let down = if face.with(NodeFace::down) { "node-down" } else { "" };
        let open = if chosen.get() { "chosen" } else { "" };
        format!("{base} {colour} {down} {open}")
    };
    let Rect { x, y, w, h } = node.rect;
    let inside = match node.kind {
        NodeKind::Bus => bus_inside(w),
        NodeKind::Caller => caller_inside(&node.name, w, h, face),
        _ if phone => phone_inside(&node.name, w, face),
        NodeKind::Group => group_inside(&node.name, w, face),
        NodeKind::Service => service_inside(&node.name, w, h, face),
    };
    view! {
        <g
            class=class role="button" tabindex="0"
            aria-label=move || face.with(|face| face.name.clone())
            transform=format!("translate({x} {y})") on:click=click on:keydown=key
        >
            <rect class="box" width=w height=h rx="9"></rect>
            {inside}
        </g>
    }
    .into_any()
}

/// Code and name, the code's top left corner at the point.
fn title(name: &str, x: f64, y: f64) -> AnyView {
    view! {
        <rect class="code-box" x=x y=y width="21" height="16" rx="4"></rect>
        <text class="code-text" x=x + 10.5 y=y + 11.6>{service::code(name)}</text>
        <text class="node-name" x=x + 28.0 y=y + 12.4>{name.to_owned()}</text>
    }
    .into_any()
}

/// Instance dots and their count, the dots' middle at the height.
fn dots(face: Memo<NodeFace>, x: f64, y: f64) -> impl IntoView {
    let shown = Memo::new(move |_| face.with(|face| (face.instances, face.count.clone())));
    move || {
        let (instances, count) = shown.get();
        let (ready, all) = instances?;
        let drawn = if all > DOTS_MAX { 0 } else { all };
        let dots = (0..drawn)
            .map(|i| {
                let class = if i < ready { "dot-up" } else { "dot-down" };
                let left = x + f64::from(i) * 10.0;
                view! { <rect class=class x=left y=y - 3.5 width="7" height="7" rx="2"></rect> }
            })
            .collect_view();
        let after = x + f64::from(drawn) * 10.0 + if drawn > 0 { 3.0 } else { 0.0 };
        Some(view! { {dots} <text class="node-count" x=after y=y + 4.0>{count}</text> })
    }
}

fn spark(face: Memo<NodeFace>, x: f64, y: f64, width: f32) -> AnyView {
    let points = Memo::new(move |_| face.with(|face| sparkline::points(&face.spark, width, 10.0)));
    view! {
        <polyline
            class="node-spark" transform=format!("translate({x} {})", y - 3.0)
            points=move || points.get()
        ></polyline>
    }
    .into_any()
}

fn service_inside(name: &str, w: f64, h: f64, face: Memo<NodeFace>) -> AnyView {
    let bank = name == service::BANK_CUSTOMER || name == service::BANK_MERCHANT;
    let line = h - 19.0;
    let right = if bank { lock(w, line, face) } else { spark(face, w - 56.0, line, 44.0) };
    view! { {title(name, 11.0, 10.0)} {dots(face, 11.0, line)} {right} }.into_any()
}

/// Locks a bank holds for transactions that are not decided.
fn lock(w: f64, line: f64, face: Memo<NodeFace>) -> AnyView {
    let note = move || face.with(|face| face.note.clone());
    let noted = move || face.with(|face| !face.note.is_empty());
    view! {
        <g class:gone=move || !noted()>
            <text class="node-note anchor-end" x=w - 11.0 y=line + 4.0>{note}</text>
            <path
                class="node-icon" d=Icon::Lock.path()
                transform=format!("translate({} {}) scale(0.8)", w - 60.0, line - 6.6)
            ></path>
        </g>
    }
    .into_any()
}

fn group_inside(name: &str, w: f64, face: Memo<NodeFace>) -> AnyView {
    let note = move || face.with(|face| face.note.clone());
    view! {
        {title(name, 13.0, 11.0)}
        <text class="node-note" x="13" y="45">{note}</text>
        {dots(face, 13.0, 61.0)}
        {spark(face, w - 57.0, 61.0, 44.0)}
    }
    .into_any()
}

fn caller_inside(name: &str, w: f64, h: f64, face: Memo<NodeFace>) -> AnyView {
    let (glyph, label) = match name {
        service::BROWSER => (Some(Icon::Globe), "Browser".to_owned()),
        service::LOAD => (Some(Icon::Gauge), "Load".to_owned()),
        other => (None, other.to_owned()),
    };
    let note = move || face.with(|face| face.note.clone());
    let text_x = if glyph.is_some() { 32.0 } else { 11.0 };
    let flat = h < 40.0;
    let (place, text_y) = if flat { ("translate(10 8)", 20.5) } else { ("translate(10 10)", 22.0) };
    let (note_class, note_x, note_y) =
        if flat { ("node-note anchor-end", w - 11.0, 20.5) } else { ("node-note", 11.0, 40.5) };
    view! {
        {glyph.map(|glyph| view! {
            <path class="node-icon" transform=place d=glyph.path()></path>
        })}
        <text class="node-name" class:small=flat x=text_x y=text_y>{label}</text>
        <text class=note_class x=note_x y=note_y>{note}</text>
    }
    .into_any()
}

/// On a phone: the rate instead of dots and sparkline.
fn phone_inside(name: &str, w: f64, face: Memo<NodeFace>) -> AnyView {
    let map = use_live().map();
    let of = name.to_owned();
    let rate =
        Memo::new(move |_| map.with(|map| crate::model::format::rate(scene::received(map, &of))));
    let wide = w > 100.0;
    let note = move || face.with(|face| if wide { face.note.clone() } else { String::new() });
    view! {
        <rect class="code-box" x="7" y="5" width="18" height="15" rx="4"></rect>
        <text class="code-text" x="16" y="16">{service::code(name)}</text>
        <text class="node-name small" x="29" y="17">{name.to_owned()}</text>
        <text class="node-count" x="7" y="34">{move || rate.get()}</text>
        <text class="node-note anchor-end" x=w - 8.0 y="34">{note}</text>
    }
    .into_any()
}

fn bus_inside(w: f64) -> AnyView {
    let map = use_live().map();
    let rate = move || {
        map.with(|map| crate::model::format::rate(map.bus_per_second).replace("/s", " events/s"))
    };
    let lag = move || {
        let lag = map.with(|map| map.bus_lag_p95_ms);
        lag.map_or_else(String::new, |lag| {
            format!("lag p95 {}", crate::model::format::duration_ms(lag))
        })
    };
    view! {
        <rect class="code-box" x="12" y="8" width="21" height="16" rx="4"></rect>
        <text class="code-text" x="22.5" y="19.6">{service::code(service::BUS)}</text>
        <text class="node-name" x="43" y="20.5">"Event bus"</text>
        <text class="node-count" x="116" y="20.5">{rate}</text>
        <text class="node-count anchor-end" x=w - 12.0 y="20.5">{lag}</text>
    }
    .into_any()
}
