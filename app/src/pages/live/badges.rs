//! Badges and lanes on the map. Each is a link to the resource it stands for, drawn beside the
//! nodes and edges and not inside them: a button holds no other button.

use super::{
    badges_model::{self, BadgeFace, BadgeKind, LaneFace},
    layout::{EdgeShape, NodeShape},
};
use crate::{
    frame::{Command, state::use_commands},
    live::use_live,
    widget::{Icon, service_class},
};
use leptos::{ev::KeyboardEvent, prelude::*};

/// Handlers of something in the drawing that leads to an address.
pub(super) fn leading(
    href: String,
    run: Callback<Command>,
) -> (impl Fn(leptos::ev::MouseEvent), impl Fn(KeyboardEvent)) {
    let again = href.clone();
    let click = move |event: leptos::ev::MouseEvent| {
        event.stop_propagation();
        run.run(Command::Go(again.clone()));
    };
    let key = move |event: KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
            run.run(Command::Go(href.clone()));
        }
    };
    (click, key)
}

/// Every badge and lane of a drawing. On a phone only faults are shown.
pub(super) fn layer(
    nodes: Memo<Vec<NodeShape>>,
    edges: Memo<Vec<EdgeShape>>,
    phone: bool,
) -> AnyView {
    let live = use_live();
    let run = use_commands();
    let (faults, mesh) = (live.faults(), live.mesh());
    let badges = Memo::new(move |_| {
        faults.with(|faults| {
            mesh.with(|mesh| {
                nodes.with(|n| edges.with(|e| badges_model::badges(n, e, faults, mesh, phone)))
            })
        })
    });
    let lanes = Memo::new(move |_| {
        if phone {
            return Vec::new();
        }
        mesh.with(|mesh| nodes.with(|nodes| badges_model::lanes(nodes, mesh)))
    });
    let lane_keys = Memo::new(move |_| {
        lanes.with(|all| {
            all.iter().map(|l| (l.service.clone(), l.label.clone())).collect::<Vec<_>>()
        })
    });
    view! {
        <For each=move || lane_keys.get() key=Clone::clone let:key>{lane(lanes, key, run)}</For>
        {move || badges.get().into_iter().map(|face| badge(face, run)).collect_view()}
    }
    .into_any()
}

fn badge(face: BadgeFace, run: Callback<Command>) -> AnyView {
    let class = match face.kind {
        BadgeKind::Fault => "map-badge badge-fault",
        BadgeKind::Split => "map-badge badge-split",
        BadgeKind::Mirror => "map-badge badge-mirror",
    };
    let (click, key) = leading(face.href, run);
    let fault = face.kind == BadgeKind::Fault;
    let bolt = fault.then(|| {
        let place = "translate(4 3) scale(0.7)";
        view! { <path class="bolt" d=Icon::Bolt.path() transform=place></path> }
    });
    let text_x = if fault { 17.0 } else { 6.0 };
    view! {
        <g
            class=class role="link" tabindex="0" aria-label=face.name
            transform=format!("translate({:.1} {:.1})", face.rect.x, face.rect.y)
            on:click=click on:keydown=key
        >
            <rect width=face.rect.w height=face.rect.h rx="4"></rect>
            {bolt}
            <text x=text_x y="12.5">{face.text}</text>
        </g>
    }
    .into_any()
}

/// One version: its bars grow and shrink in place.
fn lane(lanes: Memo<Vec<LaneFace>>, key: (String, String), run: Callback<Command>) -> AnyView {
    let face = Memo::new(move |_| {
        let mine = |lane: &&LaneFace| lane.service == key.0 && lane.label == key.1;
        lanes.with(|all| all.iter().find(mine).cloned())
    });
    let Some(first) = face.get_untracked() else { return ().into_any() };
    let (click, on_key) = leading(format!("/traffic/{}", first.service), run);
    let class = format!("lane lane-{} {}", first.index.min(2), service_class(&first.service));
    let length = move |of: fn(&LaneFace) -> f64| {
        move || face.with(|face| face.as_ref().map_or(0.0, of)).round().to_string()
    };
    let name = move || face.with(|face| face.as_ref().map(|face| face.name.clone()));
    let (x, y) = (first.bar_x, first.rect.y);
    view! {
        <g class=class role="link" tabindex="0" aria-label=name on:click=click on:keydown=on_key>
            <rect class="lane-hit" x=first.rect.x y=y width=first.rect.w height=first.rect.h></rect>
            <text x=first.rect.x y=y + 8.5>{first.label}</text>
            <rect
                class="lane-track" x=x y=y + 1.0 height="8" rx="2" width=length(|l| l.track)
            ></rect>
            <rect class="lane-fill" x=x y=y + 3.0 height="4" rx="1" width=length(|l| l.fill)></rect>
        </g>
    }
    .into_any()
}
