//! Beside the map: the current span with what tells of it, and every hop in its order.

use super::{Traced, play, use_traced};
use crate::{
    frame::range::{QueryChange, use_set_query},
    live::use_live,
    model::{
        fine, format,
        walk::{Hop, Step, Walk},
    },
    pages::live::{layout, scene},
    widget::{ServiceCode, service_class},
};
use contract::{attributes, live::EdgeKind};
use leptos::{html, prelude::*};

pub(super) fn side() -> AnyView {
    let (traced, set) = (use_traced(), use_set_query());
    let list = NodeRef::<html::Ol>::new();
    let current = Memo::new(move |_| {
        let step = traced.moment.get().step;
        traced.walk.with(|walk| walk.as_ref()?.steps.get(step)?.hop)
    });
    Effect::new(move |_| {
        let (hop, list) = (current.get()?, list.get()?);
        let item = list.children().item(u32::try_from(hop).ok()?)?;
        let item: web_sys::HtmlElement = wasm_bindgen::JsCast::dyn_into(item).ok()?;
        list.set_scroll_top(item.offset_top() - list.client_height() / 2);
        Some(())
    });
    let hops = move || {
        let walk = traced.walk.get()?;
        let id = walk.row.trace_id.clone();
        let hops = walk.hops.iter().enumerate();
        Some(hops.map(|(at, hop)| row(traced, set, &id, at, hop, current)).collect_view())
    };
    let step = Memo::new(move |_| traced.moment.get().step);
    let now = move || {
        let (walk, at) = (traced.walk.get()?, step.get());
        walk.steps.get(at).map(|step| card(&walk, at, step))
    };
    view! {
        <aside class="walk-side" aria-label="The trace, step by step">
            {now}
            <h3 id="walk-hops">"Hops"</h3>
            <ol class="walk-hops" aria-labelledby="walk-hops" node_ref=list>{hops}</ol>
            {move || traced.walk.get().map(|walk| notes(&walk))}
        </aside>
    }
    .into_any()
}

/// The current span.
fn card(walk: &Walk, at: usize, step: &Step) -> AnyView {
    let href = format!("/traces/{}?span={}", walk.row.trace_id, step.span_id);
    let (offset, took) = (fine::offset_us(step.start_us), step.end_us - step.start_us);
    let place = format!("span {} of {}", at + 1, walk.steps.len());
    let facts = step.facts.iter().map(fact).collect_view();
    let lines = step.lines.iter().map(|line| view! { <li>{line.clone()}</li> }).collect_view();
    let lines = (!step.lines.is_empty()).then(|| view! { <ul class="walk-lines">{lines}</ul> });
    let failed = step.failed.then(|| view! { <span class="error-text">"failed"</span> });
    view! {
        <section class="walk-now" aria-label="Current span">
            <header>
                <ServiceCode service=step.service.clone()/>
                <span>{step.service.clone()}</span>
                <span class="sub grow">{place}</span>
                <a class="button small" href=href>"Open span"</a>
            </header>
            <h3>{step.name.clone()}</h3>
            <p class="sub">"began " {offset} ", took " {fine::duration_us(took)} " " {failed}</p>
            <dl class="walk-facts">{facts}</dl>
            {lines}
        </section>
    }
    .into_any()
}

/// An attribute; the id of a fault leads to it.
fn fact((key, value): &(String, String)) -> AnyView {
    let ids = [attributes::FAULT_ID, attributes::MESH_FAULT_ID];
    let fault = ids.contains(&key.as_str()) && !value.contains(',');
    let text = value.clone();
    let value = match fault {
        true => {
            let href = format!("/resilience?fault={value}#faults");
            view! { <a href=href>{text}</a> }.into_any()
        }
        false => text.into_any(),
    };
    view! { <div><dt>{key.clone()}</dt><dd>{value}</dd></div> }.into_any()
}

fn row(
    traced: Traced,
    set: Callback<QueryChange>,
    trace_id: &str,
    at: usize,
    hop: &Hop,
    current: Memo<Option<usize>>,
) -> AnyView {
    let href = format!("/?trace={trace_id}&span={}", hop.span_id);
    let span = hop.span_id.clone();
    let click = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        play::show(traced, set, &span);
    };
    let here = Memo::new(move |_| current.get() == Some(at));
    let to = hop.subset.as_ref().map_or_else(|| hop.to.clone(), |v| format!("{} {v}", hop.to));
    let bus = (hop.kind == EdgeKind::Message).then_some("over the bus");
    let status = match (hop.status.is_empty(), hop.failed) {
        (true, true) => Some("failed".to_owned()),
        (true, false) => None,
        (false, true) => Some(format!("✕ {}", hop.status)),
        (false, false) => Some(hop.status.clone()),
    };
    let parts = [bus.map(str::to_owned), hop.tried.clone(), status, hop.faults.clone()];
    let more: Vec<String> = parts.into_iter().flatten().collect();
    let more = if more.is_empty() { String::new() } else { format!(" · {}", more.join(" · ")) };
    let class = format!("walk-hop {}", service_class(&hop.to));
    view! {
        <li class=class class:now=move || here.get() class:failed=hop.failed>
            <a
                href=href title=hop.said() on:click=click
                aria-current=move || here.get().then_some("step")
            >
                <b>{at + 1}</b>
                <span class="walk-ends">{hop.from.clone()} " → " {to}</span>
                <span class="walk-took">{fine::duration_us(hop.end_us - hop.start_us)}</span>
                <small>{hop.what.clone()} {more}</small>
            </a>
        </li>
    }
    .into_any()
}

/// What is not seen of it.
fn notes(walk: &Walk) -> AnyView {
    let map = use_live().map();
    let plan = layout::wide();
    let mut away: Vec<&str> = walk
        .hops
        .iter()
        .flat_map(|hop| [hop.from.as_str(), hop.to.as_str()])
        .filter(|name| plan.node(name).is_none())
        .filter(|name| !map.with_untracked(|map| scene::names(map, name)))
        .collect();
    away.sort_unstable();
    away.dedup();
    let mut said = Vec::new();
    if walk.hops.is_empty() {
        said.push("No hop: all of it was in one service.".to_owned());
    }
    if walk.left_out > 0 {
        let spans = format::plural(walk.left_out, "further span is", "further spans are");
        said.push(format!("{spans} not walked through; the page of the trace has what is kept."));
    }
    if walk.missing > 0 {
        let spans = format::plural(walk.missing, "span is", "spans are");
        said.push(format!("{spans} missing: named as a parent and not kept, or not ended."));
    }
    if !away.is_empty() {
        said.push(format!("Not on the map: {}.", away.join(", ")));
    }
    let said = said.into_iter().map(|text| view! { <p>{text}</p> }).collect_view();
    let href = format!("/traces/{}", walk.row.trace_id);
    view! {
        <footer class="walk-notes">
            {said}
            <a class="button small" href=href>"Open the trace"</a>
        </footer>
    }
    .into_any()
}
