//! The service map as SVG: lines below, particles between, nodes and labels on top.
//!
//! Every text and class comes from a face (`super::scene`); nothing is computed here. What stands
//! inside a node is in `super::inside`.

use super::{
    Chosen, Selection, badges, badges_model,
    inside::{
        bus_inside, caller_inside, group_inside, phone_inside, service_inside, version_inside,
    },
    layout::{self, Anchor, EdgeShape, Layout, NodeKind, NodeShape, Rect},
    particles::Particles,
    scene::{self, EdgeFace, EdgeKey, Health, NodeFace},
    traced, versions,
    walk::{self, Direction, Stop},
};
use crate::{
    browser,
    frame::state::use_commands,
    live::use_live,
    widget::{BreakerMark, service_class, use_zone},
};
use contract::{live::EdgeKind, resilience::FaultView};
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast;

/// Where the static arrowhead of an edge sits, as a share of the way.
const ARROW: f64 = 0.6;
/// Below this width the map stands top to bottom.
const PHONE: &str = "(max-width: 1023px)";

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

/// The class of what the trace on the map touches: a service, or the line from it to another.
fn use_lit(from: &str, to: Option<&str>) -> Memo<&'static str> {
    let (traced, from, to) = (traced::use_traced(), from.to_owned(), to.map(str::to_owned));
    Memo::new(move |_| {
        let lit = match &to {
            Some(to) => traced.crosses(&from, to),
            None => traced.lights(&from),
        };
        if lit { "lit" } else { "" }
    })
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
    EdgeKey {
        from: shape.from.clone(),
        to: shape.to.clone(),
        kind: shape.kind,
        subset: shape.subset.clone(),
    }
}

/// A service that gets versions, or loses them, is drawn anew.
fn node_key(node: &NodeShape) -> String {
    let group = if matches!(node.kind, NodeKind::Group(_)) { "+" } else { "" };
    [&node.name, group].concat()
}

/// The face of an edge, kept by whoever draws it.
fn use_face(shape: &EdgeShape) -> Memo<EdgeFace> {
    let live = use_live();
    let (map, now, zone, key) = (live.map(), live.now_us(), use_zone(), key_of(shape));
    Memo::new(move |_| map.with(|map| scene::edge_face(map, &key, now.get(), zone.get())))
}

#[component]
fn Drawing(layout: Layout, phone: bool, layer: Signal<String>) -> impl IntoView {
    let live = use_live();
    let (map, now, zone) = (live.map(), live.now_us(), use_zone());
    let view_box = format!("0 0 {} {}", layout.width, layout.height);
    let size = (layout.width, layout.height);
    let layout = StoredValue::new(layout);
    let mesh = live.mesh();
    let nodes = Memo::new(move |_| {
        let all = map.with(|map| layout.with_value(|l| scene::nodes(l, map)));
        mesh.with(|mesh| versions::whole(all, mesh))
    });
    let asked = use_asked();
    let shapes = Memo::new(move |_| {
        map.with(|map| {
            let whole = layout.with_value(|l| asked.with(|asked| scene::edges(l, map, asked)));
            mesh.with(|mesh| nodes.with(|nodes| versions::split(whole, nodes, map, mesh)))
        })
    });
    let inner =
        Memo::new(move |_| mesh.with(|mesh| nodes.with(|nodes| versions::nodes(nodes, mesh))));
    let drawn = Memo::new(move |_| {
        let face = |shape: &EdgeShape| {
            map.with(|map| scene::edge_face(map, &key_of(shape), now.get(), zone.get()))
        };
        let drawn = shapes.get().into_iter().map(|shape| Drawn { face: face(&shape), shape });
        drawn.collect::<Vec<_>>()
    });
    let traced = traced::use_traced();
    let drawing = traced::Drawing { layout, nodes, shapes, phone };
    view! {
        <div class="stage" class:stage-phone=phone data-layer=move || layer.get()>
            <svg class="map-lines" viewBox=view_box.clone() aria-hidden="true">
                <For each=move || shapes.get() key=key_of let:shape>{edge_line(shape)}</For>
            </svg>
            <Particles size=size drawn=drawn layer=layer/>
            {traced.lines(drawing)}
            <svg
                class="map" viewBox=view_box role="group" aria-label="Service map"
                on:keydown=on_arrow
            >
                <For each=move || shapes.get() key=key_of let:shape>
                    {edge_face(shape, phone)}
                </For>
                <For
                    each=move || nodes.get()
                    key=node_key
                    let:node
                >
                    {node_face(node, shapes, phone)}
                </For>
                <For
                    each=move || inner.get()
                    key=|node| (node.name.clone(), node.subset.clone(), node.rect.bits())
                    let:node
                >
                    {version_node(node)}
                </For>
                {badges::layer(nodes, shapes, phone)}
            </svg>
            {traced.marks(drawing)}
        </div>
    }
    .into_any()
}

/// The ends of edges that are drawn whatever they carry: of the chosen one, and of those with a
/// fault on them.
fn use_asked() -> Memo<Vec<(String, String)>> {
    let Chosen { now, .. } = expect_context::<Chosen>();
    let faults = use_live().faults();
    Memo::new(move |_| {
        let chosen = now.get().and_then(|selection| match selection {
            Selection::Edge(from, to) => Some((from, to)),
            Selection::Node(_) => None,
        });
        let on_edges = faults.with(|faults| {
            let ends = |fault: &FaultView| Some((fault.from.clone()?, fault.to.clone()));
            faults.active.iter().filter_map(ends).collect::<Vec<_>>()
        });
        chosen.into_iter().chain(on_edges).collect()
    })
}

/// Arrow keys move the focus along the edges.
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
    let Some(at) = elements.iter().position(|element| *element == focused) else { return };
    // An edge is where its line is, not where its label stands.
    let middle = |element: &web_sys::Element| {
        let line = element.query_selector(".hit").ok().flatten();
        let rect = line.as_ref().unwrap_or(element).get_bounding_client_rect();
        layout::at(rect.x() + rect.width() / 2.0, rect.y() + rect.height() / 2.0)
    };
    let points: Vec<_> = elements.iter().map(middle).collect();
    let stop = |element: &web_sys::Element| {
        let ends = element.get_attribute("data-from").zip(element.get_attribute("data-to"));
        let edge = ends.map(|(from, to)| Stop::Edge(from, to));
        edge.or_else(|| element.get_attribute("data-node").map(Stop::Node)).unwrap_or(Stop::Other)
    };
    let stops: Vec<_> = elements.iter().map(stop).collect();
    let next = walk::next(&stops, &points, at, direction).and_then(|i| elements.get(i));
    if let Some(next) = next {
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
    // Where no particles say which way it goes.
    let (tip, turn) = (shape.curve.point(ARROW), shape.curve.angle(ARROW));
    let arrow = format!("translate({:.1} {:.1}) rotate({turn:.0})", tip.x, tip.y);
    let double = (shape.kind == EdgeKind::Commit).then(|| {
        // A wide line with a narrow one of the ground on top looks like two lines.
        view! { <path class="edge-core" d=path.clone()></path> }
    });
    view! {
        <g class=class>
            <path class="edge-line" d=path.clone() stroke-width=width></path>
            {double}
            <path class="edge-arrow" d="M-7 -4.5L0 0L-7 4.5" transform=arrow></path>
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
    let lit = use_lit(&shape.from, Some(&shape.to));
    let class = move || {
        let open = if chosen.get() { "chosen" } else { "" };
        format!("face {kind} {} {open} {}", face.with(|face| face.health.class()), lit.get())
    };
    let sits = shape.curve.point(shape.breaker);
    let run = use_commands();
    let card = badges_model::breaker_card(&shape);
    let mark = Memo::new(move |_| {
        face.with(|face| face.breaker).filter(|mark| !phone || *mark != BreakerMark::Closed)
    });
    let before = StoredValue::new(None::<BreakerMark>);
    let breaker = move || {
        let mark = mark.get()?;
        let turned = before.get_value().is_some_and(|before| before != mark);
        before.set_value(Some(mark));
        // A ring, once, where the state changed before somebody's eyes.
        let ring = turned.then(|| view! { <circle class="ring" r="10.5"></circle> });
        // The drawer of the edge leads there too, for those who do not use a pointer.
        let (open, _) = badges::leading(card.clone(), run);
        Some(view! {
            <g
                class=mark.class() on:click=open
                transform=format!("translate({:.1} {:.1})", sits.x, sits.y)
            >
                <circle r="10.5"></circle>
                <path d=mark.path()></path>
                {ring}
            </g>
        })
    };
    let rule = move || face.with(|face| scene::rule(face.health, face.error_share, face.p95_ms));
    view! {
        <g
            class=class role="button" tabindex="0"
            data-from=shape.from.clone() data-to=shape.to.clone()
            aria-label=move || face.with(|face| face.name.clone())
            on:click=click on:keydown=key
        >
            <title>{rule}</title>
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
    // On a phone only what is not healthy has one, of one line.
    let shown = move || face.with(|face| !phone || face.brief.is_some());
    let brief = move |face: &EdgeFace| face.brief.clone().filter(|_| phone);
    let first =
        Memo::new(move |_| face.with(|face| brief(face).unwrap_or_else(|| face.head.clone())));
    let head = move || first.with(|first| first.text.clone());
    let (callee, caller) = (shape.to.clone(), shape.from.clone());
    // Every version is asked the same.
    let (mesh, of_first) = (use_live().mesh(), shape.nth == 0);
    let asked = Memo::new(move |_| {
        let of = |mesh: &_| scene::asked_of_callers(mesh, &caller, &callee);
        mesh.with(of).filter(|_| of_first).unwrap_or_default()
    });
    let carried = move || asked.with(|[carried, _]| carried.clone());
    let mode = move || asked.with(|[_, mode]| mode.clone());
    let head_class = move || format!("label-head {}", first.with(|first| first.health.class()));
    let rest = move || {
        let parts = face.with(|face| match brief(face) {
            Some(_) => Vec::new(),
            None => face.rest.clone(),
        });
        let parts = parts.into_iter().enumerate();
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
            <text class="label-mtls" x=x y=y>{carried}</text>
            <text class="label-mtls" x=x y=y + 14.0>{mode}</text>
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

fn node_face(node: NodeShape, shapes: Memo<Vec<EdgeShape>>, phone: bool) -> AnyView {
    let live = use_live();
    let (map, load) = (live.map(), live.load());
    let Chosen { now, choose } = expect_context::<Chosen>();
    let name = node.name.clone();
    let (mesh, zone) = (live.mesh(), use_zone());
    let face = Memo::new(move |_| {
        let of = |map: &_, mesh: &_| scene::node_face(map, mesh, load.get(), &name, zone.get());
        map.with(|map| mesh.with(|mesh| of(map, mesh)))
    });
    let silent = move || face.with(|face| face.silent.clone());
    let selection = Selection::Node(node.name.clone());
    let this = selection.clone();
    let chosen = Memo::new(move |_| now.with(|now| now.as_ref() == Some(&this)));
    let (click, key) = choosing(selection, choose);
    let base = match node.kind {
        NodeKind::Caller => "node node-caller",
        NodeKind::Service => "node",
        NodeKind::Group(_) => "node node-group",
        NodeKind::Bus => "node node-bus",
    };
    let colour = service_class(&node.name);
    let lit = use_lit(&node.name, None);
    let class = move || {
        let down = if face.with(NodeFace::down) { "node-down" } else { "" };
        let open = if chosen.get() { "chosen" } else { "" };
        format!("{base} {colour} {down} {open} {}", lit.get())
    };
    let Rect { x, y, w, h } = node.rect;
    let silent_y = node.silent_y();
    let inside = match node.kind {
        NodeKind::Bus => bus_inside(w, phone),
        NodeKind::Caller => caller_inside(&node.name, w, h, face),
        NodeKind::Group(stack) => group_inside(&node.name, stack, h, face),
        NodeKind::Service if phone => {
            let (faults, name) = (live.faults(), node.name.clone());
            let marked = Memo::new(move |_| {
                faults.with(|f| shapes.with(|s| badges_model::marks_node(f, s, &name)))
            });
            phone_inside(&node.name, w, face, marked)
        }
        NodeKind::Service => service_inside(&node.name, w, h, face),
    };
    view! {
        <g
            class=class role="button" tabindex="0" data-node=node.name.clone()
            aria-label=move || face.with(|face| face.name.clone())
            transform=format!("translate({x} {y})") on:click=click on:keydown=key
        >
            <rect class="box" width=w height=h rx="9"></rect>
            {inside}
            <text class="node-silent" x=w / 2.0 y=silent_y>{silent}</text>
        </g>
    }
    .into_any()
}

/// One version, inside the box of its service: leads to its route.
fn version_node(node: NodeShape) -> AnyView {
    let NodeKind::Group(stack) = node.kind else { return ().into_any() };
    let (mesh, run) = (use_live().mesh(), use_commands());
    let (service, subset) = (node.name.clone(), node.subset.clone().unwrap_or_default());
    let of = (service.clone(), subset.clone());
    let face = Memo::new(move |_| mesh.with(|mesh| versions::face(mesh, &of.0, &of.1)));
    let (click, key) = badges::leading(format!("/traffic/{service}"), run);
    let colour = service_class(&service);
    let lit = use_lit(&service, None);
    let class = move || {
        let (index, health) =
            face.with(|face| face.as_ref().map_or((0, Health::Idle), |f| (f.index, f.health)));
        format!("version version-{} {colour} {} {}", index.min(2), health.class(), lit.get())
    };
    let name = move || face.with(|face| face.as_ref().map(|face| face.name.clone()));
    let Rect { x, y, w, h } = node.rect;
    view! {
        <g
            class=class role="link" tabindex="0" aria-label=name
            transform=format!("translate({x} {y})") on:click=click on:keydown=key
        >
            <rect class="box" width=w height=h rx="6"></rect>
            {version_inside(&subset, stack, w, h, face)}
        </g>
    }
    .into_any()
}
