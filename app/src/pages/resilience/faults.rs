//! Faults in force and the last that ended: what, where, hits, end, what each stands for.

use crate::{
    frame::{end_form, remove_all},
    live::{Connection, use_live},
    model::{fault, format},
    widget::{Clock, Icon, icon},
};
use contract::resilience::{EndFaults, FaultView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

pub(super) fn panel() -> AnyView {
    let faults = use_live().faults();
    let rows = Memo::new(move |_| {
        faults.with(|faults| {
            let ids = |all: &[FaultView]| all.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
            (ids(&faults.active), ids(&faults.ended))
        })
    });
    let ended = Memo::new(move |_| faults.with(|faults| faults.ended_count));
    let held = Memo::new(move |_| faults.with(|faults| faults.held_us.is_some()));
    let summary = move || {
        let active = rows.with(|(active, _)| active.len());
        format!("{active} active, {} ended", format::count(ended.get()))
    };
    let none = move || rows.with(|(active, ended)| active.is_empty() && ended.is_empty());
    let ids = move || {
        let (mut active, ended) = rows.get();
        active.extend(ended);
        active
    };
    view! {
        <section class="panel faults" id="faults">
            <header class="panel-head">
                <h2>"Active faults"</h2>
                <span class="hint grow">{summary}</span>
                {move || held.get().then(release)}
                {move || rows.with(|(active, _)| !active.is_empty())
                    .then(|| remove_all("button ghost small"))}
            </header>
            <div class="table-scroll" tabindex="0" role="region" aria-label="Active faults">
                <table class="table" role="table">
                    <thead role="rowgroup">
                        <tr role="row">
                            <th role="columnheader" scope="col">"Fault"</th>
                            <th role="columnheader" scope="col">"What"</th>
                            <th role="columnheader" scope="col">"Where"</th>
                            <th role="columnheader" scope="col">"Since"</th>
                            <th role="columnheader" scope="col">"Hits"</th>
                            <th role="columnheader" scope="col">"Ends"</th>
                            <th role="columnheader" scope="col">"Stands for"</th>
                            <th role="columnheader" scope="col">
                                <span class="sr">"Remove"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">
                        {move || none().then(|| view! {
                            <tr role="row">
                                <td role="cell" colspan="8" class="none hint">
                                    "No faults in this run yet."
                                </td>
                            </tr>
                        })}
                        <For each=ids key=Clone::clone let:id>{row(id)}</For>
                    </tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

fn release() -> AnyView {
    let inside = view! { "Release" }.into_any();
    view! {
        <span class="hint">"Held off by the kill switch"</span>
        {end_form(EndFaults::Release, "button small", None, inside)}
    }
    .into_any()
}

fn row(id: String) -> AnyView {
    let live = use_live();
    let query = use_query_map();
    let of = id.clone();
    let found = Memo::new(move |_| {
        live.faults().with(|faults| {
            let mut all = faults.active.iter().chain(&faults.ended);
            all.find(|fault| fault.id == of).cloned()
        })
    });
    let Some(first) = found.get_untracked() else { return ().into_any() };
    let text = move |of: fn(&FaultView) -> String| {
        move || found.with(|fault| fault.as_ref().map(of).unwrap_or_default())
    };
    let ended = Memo::new(move |_| found.with(|f| f.as_ref().and_then(|f| f.ended_us)));
    let ends = move || {
        let lost = matches!(live.connection().get(), Connection::Lost { .. });
        found.with(|f| f.as_ref().map(|f| fault::ends(f, live.now_us().get(), lost)))
    };
    let trace = move || {
        let id = found.with(|f| f.as_ref().and_then(|f| f.trace_id.clone()))?;
        Some(view! {
            <a
                href=format!("/traces/{id}") title="A trace it touched"
                aria-label="A trace it touched"
            >
                {icon(Icon::Spans)}
            </a>
        })
    };
    let by = fault::asked_by(&first);
    let object = match first.object {
        Some(href) => view! { <a class="underlined" href=href>{first.stands_for}</a> }.into_any(),
        None => view! { <span class="hint">{first.stands_for}</span> }.into_any(),
    };
    let this = id.clone();
    let asked = move || query.with(|query| query.get_str("fault") == Some(&this));
    let effects = format!("/traces?tag=vitrine.fault.id%3D{id}");
    let removing = id.clone();
    let cross = move || {
        ended.get().is_none().then(|| {
            let label = Some(format!("Remove {removing}"));
            end_form(EndFaults::One(removing.clone()), "remove-cross", label, icon(Icon::Cross))
        })
    };
    view! {
        <tr role="row" class:ended=move || ended.get().is_some() class:asked=asked>
            <td role="cell">
                <a class="fault-id" data-row="" href=effects title="Traces it touched">{id}</a>
            </td>
            <td role="cell">{first.what}</td>
            <td role="cell">{first.place}</td>
            <td role="cell"><Clock at_us=first.since_us/> " " <span class="hint">{by}</span></td>
            <td role="cell">
                {text(fault::hits)} " " <span class="hint">{text(fault::spared)}</span> " " {trace}
            </td>
            <td role="cell">
                {ends} " " {move || ended.get().map(|at| view! { <Clock at_us=at/> })}
            </td>
            <td role="cell">{object}</td>
            <td role="cell">{cross}</td>
        </tr>
    }
    .into_any()
}
