//! Parts of the bars that stand for spans: their colours, their rectangles and the hatch of
//! injected time.

use super::service_class;
use crate::model::{
    format,
    waterfall::{Label, Room, Side, is_compensation, label},
};
use contract::trace::SpanView;
use leptos::prelude::*;

/// Defines the fill `url(#hatch-warn)`; once on a page that draws spans.
pub fn hatch_definition() -> AnyView {
    view! {
        <svg class="definitions" width="0" height="0" aria-hidden="true">
            <defs>
                <pattern
                    id="hatch-warn"
                    width="6"
                    height="6"
                    patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)"
                >
                    <rect class="hatch-ground" width="6" height="6"></rect>
                    <rect class="hatch-line" width="3.2" height="6"></rect>
                </pattern>
            </defs>
        </svg>
    }
    .into_any()
}

/// Classes of a span's bar: the colour of its service, of a failure or of a compensation.
#[must_use]
pub fn bar_class(span: Option<&SpanView>) -> String {
    match span {
        Some(span) if span.error => "bar bar-failed".to_owned(),
        Some(span) if is_compensation(span) => "bar bar-undo".to_owned(),
        Some(span) => format!("bar {}", service_class(&span.service)),
        None => "bar bar-missing".to_owned(),
    }
}

/// A rectangle of a bar: place and width are percentages, top and height pixels.
pub fn bar_rect(class: &'static str, x: String, width: String, y: u8, height: u8) -> AnyView {
    let round = if height > 4 { "2" } else { "0" };
    view! {
        <rect
            class=class
            x=x
            y=y.to_string()
            width=width
            height=height.to_string()
            rx=round
        ></rect>
    }
    .into_any()
}

/// What is written beside a bar: the first of the texts that has room, at a desk and on a phone.
pub fn bar_text((x, width): (f64, f64), texts: &[String], rooms: [Room; 2]) -> AnyView {
    let [wide, narrow] = rooms.map(|room| label(x, width, texts, room));
    let text = |label: Option<Label>, class: &'static str| {
        let Label { text, side } = label?;
        let (x, dx, anchor) = match side {
            Side::After => (x + width, "7", "start"),
            Side::Before => (x, "-6", "end"),
        };
        let words = texts.get(text)?.clone();
        Some(view! {
            <text class=class x=format::percent(x) dx=dx y="13.5" text-anchor=anchor>
                {words}
            </text>
        })
    };
    if wide == narrow {
        return text(wide, "").into_any();
    }
    view! { {text(wide, "at-desk")}{text(narrow, "on-phone")} }.into_any()
}
