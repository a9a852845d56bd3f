//! What stands inside the nodes of the map: names, dots, sparklines, bars.

use super::{
    layout::{PLAIN_H, Stack},
    scene::{self, DOTS_MAX, NodeFace},
    versions::{Dot, VersionFace},
};
use crate::{
    live::use_live,
    model::format,
    widget::{Icon, sparkline},
};
use contract::service;
use leptos::prelude::*;

/// A version's name of so many letters has its dots beside it in a row.
const SHORT_NAME: usize = 3;
/// What of a version's box its name has not: its swatch and its weight.
const BESIDE_NAME: f64 = 54.0;
/// Width of one letter of a version's name, rounded up.
const NAME_LETTER: f64 = 7.4;

/// What of a caller's box its name has not, at both ends.
const BESIDE_CALLER: f64 = 22.0;
/// Width of one letter of a caller's name, 13 pixels high.
const CALLER_LETTER: f64 = 7.0;

/// Letters so wide that so much room has place for; two at least.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some letters")]
fn letters_in(room: f64, letter: f64) -> usize {
    (room / letter).max(2.0) as usize
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
    let shown = Memo::new(move |_| face.with(|face| (face.dots.clone(), face.count.clone())));
    move || shown.with(|(all, count)| row_of_dots(all, count, x, y))
}

/// At most [`DOTS_MAX`] dots, then the count.
fn row_of_dots(all: &[Dot], count: &str, x: f64, y: f64) -> AnyView {
    let fits = u32::try_from(all.len()).is_ok_and(|all| all <= DOTS_MAX);
    let drawn = if fits { all } else { &[] };
    let mut left = x;
    let dots = drawn
        .iter()
        .map(|dot| {
            let at = left;
            left += 10.0;
            view! {
                <rect class=dot.class() x=at y=y - 3.5 width="7" height="7" rx="2"></rect>
            }
        })
        .collect_view();
    let after = if drawn.is_empty() { x } else { left + 3.0 };
    view! { {dots} <text class="node-count" x=after y=y + 4.0>{count.to_owned()}</text> }.into_any()
}

/// Where instances are missing their count says so in words, in the room of the line.
fn spark(face: Memo<NodeFace>, x: f64, y: f64, width: f32) -> AnyView {
    let points = Memo::new(move |_| {
        face.with(|face| match face.down() {
            true => String::new(),
            false => sparkline::points(&face.spark, width, 10.0),
        })
    });
    view! {
        <polyline
            class="node-spark" transform=format!("translate({x} {})", y - 3.0)
            points=move || points.get()
        ></polyline>
    }
    .into_any()
}

pub(super) fn service_inside(name: &str, w: f64, h: f64, face: Memo<NodeFace>) -> AnyView {
    let bank = name == service::BANK_CUSTOMER || name == service::BANK_MERCHANT;
    let line = h.min(PLAIN_H) - 19.0;
    let right = if bank { lock(w, line, face) } else { spark(face, w - 56.0, line, 44.0) };
    // In a box that is made for versions there is room below.
    let note = (h > PLAIN_H).then(|| {
        let note = move || face.with(|face| face.note.clone());
        view! { <text class="node-note" x="11" y=line + 26.0>{note}</text> }
    });
    view! { {title(name, 11.0, 10.0)} {dots(face, 11.0, line)} {right} {note} }.into_any()
}

/// Width of a letter of a note, as wide as it gets.
const LETTER: f64 = 7.0;
/// From the right side of a box to the end of its note.
const NOTE_INSET: f64 = 11.0;
/// The lock of a bank and the space after it.
const LOCK: f64 = 16.0;

/// Left side of the lock before a note that ends at the right side of a box so wide.
pub(super) fn lock_x(w: f64, note: &str) -> f64 {
    w - NOTE_INSET - note.chars().map(|_| LETTER).sum::<f64>() - LOCK
}

/// Locks a bank holds for transactions that are not decided. The glyph makes room for the words of
/// an instance that is missing.
fn lock(w: f64, line: f64, face: Memo<NodeFace>) -> AnyView {
    let note = move || face.with(|face| face.note.clone());
    let noted = move || face.with(|face| !face.note.is_empty());
    let place = move || {
        let x = face.with(|face| lock_x(w, &face.note));
        format!("translate({x:.1} {:.1}) scale(0.8)", line - 6.6)
    };
    view! {
        <g class:gone=move || !noted()>
            <text class="node-note anchor-end" x=w - NOTE_INSET y=line + 4.0>{note}</text>
            <path
                class="node-icon" class:gone=move || face.with(NodeFace::down)
                d=Icon::Lock.path() transform=place
            ></path>
        </g>
    }
    .into_any()
}

/// What stands beside the versions of a service.
pub(super) fn group_inside(name: &str, stack: Stack, h: f64, face: Memo<NodeFace>) -> AnyView {
    let note = move || face.with(|face| face.note.clone());
    match stack {
        Stack::Tall => view! {
            {title(name, 13.0, 11.0)}
            <text class="node-note" x="13" y="45">{note}</text>
        }
        .into_any(),
        Stack::Rows => title(name, 11.0, 10.0),
        Stack::Columns => view! { {title(name, 11.0, 10.0)} {dots(face, 11.0, 38.0)} }.into_any(),
        Stack::Sheet => view! {
            {title(name, 8.0, h - 40.0)}
            <text class="node-note" x="8" y=h - 9.0>{note}</text>
        }
        .into_any(),
    }
}

/// Swatch, name and weight of a version; its instances and numbers where there is room; a bar with
/// its configured share as the track and its observed one as the fill.
pub(super) fn version_inside(
    subset: &str,
    stack: Stack,
    w: f64,
    h: f64,
    face: Memo<Option<VersionFace>>,
) -> AnyView {
    let (x, y, bar) = match stack {
        Stack::Tall => (10.0, 19.0, 10.0),
        Stack::Rows | Stack::Columns => (6.0, 14.0, 6.0),
        Stack::Sheet => (8.0, 17.0, 8.0),
    };
    let text = move |of: fn(&VersionFace) -> &str| {
        move || face.with(|face| face.as_ref().map(|face| of(face).to_owned()))
    };
    let length = move |of: fn(&VersionFace) -> f64| {
        let room = w - 2.0 * bar;
        move || face.with(|face| face.as_ref().map_or(0.0, of) * room).round().to_string()
    };
    let shown = move |x: f64, y: f64| {
        let instances = Memo::new(move |_| {
            face.with(|f| f.as_ref().map(|f| (f.dots.clone(), f.count.clone())))
        });
        move || instances.get().map(|(all, count)| row_of_dots(&all, &count, x, y))
    };
    let points = Memo::new(move |_| {
        face.with(|f| {
            let whole = f.as_ref().filter(|f| f.dots.iter().all(|dot| *dot == Dot::Up));
            whole.map(|f| sparkline::points(&f.spark, 26.0, 10.0))
        })
    });
    let letters = subset.chars().count();
    // Its whole is in the name of the version.
    let name = format::cut(subset, letters_in(w - x - BESIDE_NAME, NAME_LETTER));
    let more = match stack {
        Stack::Tall => view! {
            {shown(x, 36.0)}
            <polyline
                class="node-spark" transform=format!("translate({} 31)", w - 36.0)
                points=move || points.get()
            ></polyline>
        }
        .into_any(),
        Stack::Rows => {
            let only_dots = move || {
                let all = face.with(|face| face.as_ref().map(|face| face.dots.clone()))?;
                // A name that is longer than "v1" stands where they do.
                (letters <= SHORT_NAME).then(|| row_of_dots(&all, "", x + 32.0, y - 4.0))
            };
            view! { {only_dots} }.into_any()
        }
        Stack::Columns => ().into_any(),
        Stack::Sheet => view! {
            <text class="node-count" x=x y=y + 17.0>{text(|face| &face.rate)}</text>
            <text class="node-count version-p95 anchor-end" x=w - 8.0 y=y + 17.0>
                {text(|face| &face.p95)}
            </text>
        }
        .into_any(),
    };
    view! {
        <rect class="swatch" x=x y=y - 9.0 width="9" height="9" rx="2"></rect>
        <path class="swatch-hatch" d=format!("M{x} {}l6 -6M{} {y}l6 -6", y - 3.0, x + 3.0)></path>
        <text class="version-name" x=x + 14.0 y=y>{name}</text>
        <text class="version-name anchor-end" x=w - x y=y>{text(|face| &face.weight)}</text>
        {more}
        <rect
            class="lane-track" x=bar y=h - 6.0 height="4" rx="2" width=length(|f| f.configured)
        ></rect>
        <rect
            class="lane-fill" x=bar y=h - 5.0 height="2" rx="1" width=length(|f| f.observed)
        ></rect>
    }
    .into_any()
}

/// A caller's name in a box so wide; all of it is what the box is called.
pub(super) fn caller_name(name: &str, w: f64) -> String {
    format::cut(name, letters_in(w - BESIDE_CALLER, CALLER_LETTER))
}

pub(super) fn caller_inside(name: &str, w: f64, h: f64, face: Memo<NodeFace>) -> AnyView {
    let (glyph, label) = match name {
        service::BROWSER => (Some(Icon::Globe), "Browser".to_owned()),
        service::LOAD => (Some(Icon::Gauge), "Load".to_owned()),
        other => (None, caller_name(other, w)),
    };
    // Of a service outside its instances; on a phone there is no room beside its name.
    let (of_caller, counted) = (glyph.is_some(), w > 120.0);
    let note = move || {
        face.with(|face| match of_caller {
            true => face.note.clone(),
            false if counted => face.count.clone(),
            false => String::new(),
        })
    };
    let flat = h < 40.0;
    // In one line the note may be as long as "10 sessions".
    let text_x = match (glyph.is_some(), flat) {
        (true, true) => 29.0,
        (true, false) => 32.0,
        (false, _) => 11.0,
    };
    let (place, text_y) = if flat { ("translate(8 8)", 20.5) } else { ("translate(10 10)", 22.0) };
    let (note_class, note_x, note_y) =
        if flat { ("node-note anchor-end", w - 8.0, 20.5) } else { ("node-note", 11.0, 40.5) };
    view! {
        {glyph.map(|glyph| view! {
            <path class="node-icon" transform=place d=glyph.path()></path>
        })}
        <text class="node-name" class:small=flat x=text_x y=text_y>{label}</text>
        <text class=note_class x=note_x y=note_y>{note}</text>
    }
    .into_any()
}

/// On a phone: the rate instead of dots and sparkline, and of a service that misses an instance its
/// dots instead of the rate. `marked` is a node that carries the badge of a fault.
pub(super) fn phone_inside(
    name: &str,
    w: f64,
    face: Memo<NodeFace>,
    marked: Memo<bool>,
) -> AnyView {
    let map = use_live().map();
    let of = name.to_owned();
    let rate =
        Memo::new(move |_| map.with(|map| crate::model::format::rate(scene::received(map, &of))));
    let wide = w > 100.0;
    // A fault of the service stands where its note, or in a narrow box its rate, would.
    let noted = move || wide && !marked.get();
    let note = move || face.with(|face| if noted() { face.note.clone() } else { String::new() });
    let down = Memo::new(move |_| face.with(|face| wide && face.down()));
    let below = move || {
        if down.get() {
            return dots(face, 7.0, 30.0).into_any();
        }
        let rate = move || if wide || !marked.get() { rate.get() } else { String::new() };
        view! { <text class="node-count" x="7" y="34">{rate}</text> }.into_any()
    };
    view! {
        <rect class="code-box" x="7" y="5" width="18" height="15" rx="4"></rect>
        <text class="code-text" x="16" y="16">{service::code(name)}</text>
        <text class="node-name small" x="29" y="17">{name.to_owned()}</text>
        {below}
        <text class="node-note anchor-end" x=w - 8.0 y="34">{note}</text>
    }
    .into_any()
}

pub(super) fn bus_inside(w: f64, phone: bool) -> AnyView {
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
    let dead = move || map.with(|map| map.bus_dead_letters > 0);
    let letters = move || {
        let count = map.with(|map| map.bus_dead_letters);
        crate::model::format::plural(count, "dead letter", "dead letters")
    };
    // Where there is room for one number at the end, dead letters are the one that matters.
    let end = move || if phone && dead() { letters() } else { lag() };
    let apart = (!phone).then(|| {
        view! { <text class="node-count" class:dead-letters=dead x="232" y="20.5">{letters}</text> }
    });
    let red = move || phone && dead();
    view! {
        <rect class="code-box" x="12" y="8" width="21" height="16" rx="4"></rect>
        <text class="code-text" x="22.5" y="19.6">{service::code(service::BUS)}</text>
        <text class="node-name" class:small=phone x="43" y="20.5">"Event bus"</text>
        <text class="node-count" x="116" y="20.5">{rate}</text>
        {apart}
        <text class="node-count anchor-end" class:dead-letters=red x=w - 12.0 y="20.5">{end}</text>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_ends_where_its_room_does() {
        assert_eq!(letters_in(47.0, NAME_LETTER), 6);
        assert_eq!(letters_in(3.0, NAME_LETTER), 2, "so that something is seen");
        // Six letters are 42 pixels.
        assert_eq!(caller_name("canary", 64.0), "canary");
        assert_eq!(caller_name("canary", 63.9), "cana…");
        assert_eq!(caller_name("a-name-somebody-chose", 64.0), "a-nam…");
    }
}
