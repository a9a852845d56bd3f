//! The bar over the map: which trace it is, and what moves through it.

use super::{Traced, leave, play, use_traced};
use crate::{
    frame::range::use_set_query,
    live::use_live,
    model::{
        fine, format,
        tone::Tone,
        trace_query,
        walk::{Pace, Walk, us},
    },
    widget::{Badge, Icon, Segmented, icon},
};
use contract::trace::TraceStatus;
use leptos::prelude::*;

pub(super) fn bar() -> AnyView {
    let traced = use_traced();
    view! {
        <section class="walk-bar" aria-label="Trace on the map">
            {move || traced.walk.get().map(|walk| head(traced, &walk))}
            {controls(traced)}
            <p class="sr" role="status">{move || said(traced)}</p>
        </section>
    }
    .into_any()
}

/// The current span for those who step through by ear; silent while it plays.
fn said(traced: Traced) -> String {
    if traced.playing.get() {
        return String::new();
    }
    let at = traced.moment.get().step;
    let said = traced.walk.with(|walk| {
        let walk = walk.as_ref()?;
        let step = walk.steps.get(at)?;
        let hop = step.hop.and_then(|hop| Some((hop + 1, walk.hops.get(hop)?.said())));
        let hop = hop.map(|(n, said)| format!(". Hop {n}: {said}")).unwrap_or_default();
        let (name, service) = (&step.name, &step.service);
        Some(format!("Span {} of {}: {name} in {service}{hop}", at + 1, walk.steps.len()))
    });
    said.unwrap_or_default()
}

fn head(traced: Traced, walk: &Walk) -> AnyView {
    let (row, set) = (&walk.row, use_set_query());
    let (tone, glyph) = match row.status {
        TraceStatus::Ok | TraceStatus::Tolerated => (Tone::Neutral, Icon::Check),
        TraceStatus::Compensated => (Tone::Comp, Icon::Back),
        TraceStatus::Error => (Tone::Error, Icon::Cross),
    };
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let spans = format::plural(number(row.spans), "span", "spans");
    let hops = format::plural(number(walk.hops.len()), "hop", "hops");
    let order = row.order_id.as_ref().map(|order| {
        let href = format!("/orders/{order}");
        view! { <span class="sub">"order " <a href=href><code>{order.clone()}</code></a></span> }
    });
    let now_us = use_live().now_us();
    let runs = Memo::new(move |_| {
        let now_us = now_us.get();
        traced.walk.with(|walk| walk.as_ref().is_some_and(|walk| walk.runs(now_us)))
    });
    let again = format!("/?trace={}", row.trace_id);
    let refresh = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        traced.again();
    };
    view! {
        <div class="walk-head">
            {icon(Icon::Spans)}
            <strong>{row.operation.clone()}</strong>
            <a href=format!("/traces/{}", row.trace_id) title=row.trace_id.clone()>
                <code>{format::short_trace(&row.trace_id).to_owned()}</code>
            </a>
            <span class="sub">{fine::duration_us(row.duration_us)} ", " {spans} ", " {hops}</span>
            <Badge tone=tone glyph=glyph text=trace_query::outcome(row)/>
            {order}
            <span class="walk-running" class:gone=move || !runs.get()>
                <Badge tone=Tone::Info glyph=Icon::Clock text="not ended"/>
                <span class="sub">"spans come as they end"</span>
                <a class="button small" href=again on:click=refresh>"Refresh"</a>
            </span>
            <span class="grow"></span>
            <span class="sub walk-live">"Nodes, charts and orders stay live"</span>
            {leave(traced, set)}
        </div>
    }
    .into_any()
}

fn controls(traced: Traced) -> AnyView {
    let set = use_set_query();
    let length = Memo::new(move |_| traced.walk.with(|w| w.as_ref().map_or(0, |w| w.length_us)));
    let pace = Memo::new(move |_| play::pace(traced));
    let chosen = Signal::derive(move || pace.get().choice().0.to_owned());
    let choose = move |value: String| traced.pace.set(Pace::of(&value));
    let at = move || {
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of a trace")]
        let at = traced.moment.get().at_us.round() as i64;
        at
    };
    let place = move || format!("{} of {}", fine::offset_us(at()), fine::duration_us(length.get()));
    let named = move || {
        let step = traced.moment.get().step;
        let of = |walk: &Walk| {
            let step = walk.steps.get(step)?;
            Some(format!("{}, {} in {}", fine::offset_us(at()), step.name, step.service))
        };
        traced.walk.with(|walk| walk.as_ref().and_then(|walk| of(walk))).unwrap_or_else(place)
    };
    let playing = traced.playing;
    let word = move || if playing.get() { "Pause" } else { "Play" };
    let glyph = move || icon(if playing.get() { Icon::Pause } else { Icon::Play });
    let seek = move |event: leptos::ev::Event| {
        play::seek(traced, event_target_value(&event).parse().unwrap_or_default());
    };
    view! {
        <div class="walk-controls">
            <button
                type="button" class="button square turned" aria-label="Step back" title="←"
                on:click=move |_| play::step(traced, set, false, true)
            >
                {icon(Icon::Right)}
            </button>
            <button
                type="button" class="button walk-play" title="Space"
                on:click=move |_| play::toggle(traced, set)
            >
                {glyph}
                <span>{word}</span>
            </button>
            <button
                type="button" class="button square" aria-label="Step forward" title="→"
                on:click=move |_| play::step(traced, set, true, true)
            >
                {icon(Icon::Right)}
            </button>
            <Segmented
                label="Speed" name="pace" choices=Pace::ALL.map(Pace::choice).to_vec()
                value=chosen on_choose=choose
            />
            <input
                type="range" class="walk-cursor" aria-label="Time in the trace" min="0"
                max=move || length.get().to_string()
                step="any"
                prop:value=move || us(at()).to_string() aria-valuetext=named on:input=seek
            />
            <span class="walk-time">{place}</span>
            <span class="sub walk-scale">{move || pace.get().said(length.get())}</span>
        </div>
    }
    .into_any()
}
