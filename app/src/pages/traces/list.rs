//! The matches as a table, while no trace is open.

use super::{Look, Place, export};
use crate::{
    ask::AskError,
    frame::load::fill_it,
    model::{fine, format, tone::Tone, trace_query},
    widget::{Badge, Clock, ClockStyle, EmptyState, Icon, ServiceCode},
};
use contract::trace::{ExportView, TraceList, TraceRow, TraceStatus};
use leptos::prelude::*;

pub(super) fn list(
    place: Place,
    list: Result<TraceList, AskError>,
    health: &ExportView,
) -> AnyView {
    let Ok(list) = list else { return ().into_any() };
    if list.rows.is_empty() {
        return none(place);
    }
    let matched = list.matched;
    let shown = list.rows.len();
    let kept = kept(&list);
    let now_us = list.at_us;
    let rows = list.rows.into_iter().map(|r| row(place, r, now_us)).collect_view();
    let more = (matched > shown).then(|| {
        let count = |n: usize| format::count(u64::try_from(n).unwrap_or(u64::MAX));
        let text = format!(
            "The newest {} of {} traces. Narrow the search or use the marks above.",
            count(shown),
            count(matched)
        );
        view! { <p class="panel-note">{text}</p> }
    });
    view! {
        <section class="panel traces-list" aria-label="Matches">
            // The rows are grids on a phone, which would take what they are from them.
            <table class="table" role="table">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Time"</th>
                        <th role="columnheader" scope="col">"Operation"</th>
                        <th role="columnheader" scope="col">"Services"</th>
                        <th role="columnheader" scope="col" class="number">"Spans"</th>
                        <th role="columnheader" scope="col" class="number">"Duration"</th>
                        <th role="columnheader" scope="col">"Status"</th>
                        <th role="columnheader" scope="col">"Order"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
            {more}
            {kept}
            <div class="panel-note">{export::line(health)}</div>
        </section>
    }
    .into_any()
}

fn row(place: Place, row: TraceRow, now_us: i64) -> AnyView {
    let id = row.trace_id.clone();
    let href = move || place.href(Some(&id), &Look::default());
    let codes = row
        .services
        .iter()
        .map(|service| view! { <ServiceCode service=service.clone() alone=true/> })
        .collect_view();
    let order = row.order_id.as_ref().map(|id| {
        view! { <a class="quiet-link" href=format!("/orders/{id}")>{id.clone()}</a> }
    });
    let began = Signal::stored(row.start_us);
    let spans = u64::try_from(row.spans).unwrap_or(u64::MAX);
    let unit = if spans == 1 { " span" } else { " spans" };
    // Where no head of a column says it.
    let unit = view! { <span class="on-phone">{unit}</span> };
    view! {
        <tr role="row">
            <td role="cell" class="time"><Clock at_us=began style=ClockStyle::Millis/></td>
            <td role="cell" class="operation">
                <a class="row-link" href=href data-row="">{row.operation.clone()}</a>
                <code>{format::short_trace(&row.trace_id).to_owned()}</code>
            </td>
            <td role="cell" class="codes">{codes}</td>
            <td role="cell" class="number">{format::count(spans)}{unit}</td>
            <td role="cell" class="number">{fine::duration_us(row.until_end_us())}{tail(&row)}</td>
            <td role="cell">{if row.runs(now_us) { running() } else { status(&row, false) }}</td>
            <td role="cell" class="mono">{order}</td>
        </tr>
    }
    .into_any()
}

/// What went on after the answer and after the order's last event.
fn tail(row: &TraceRow) -> Option<AnyView> {
    let said = fine::then_us(row.tail_us)?;
    Some(view! { <small class="tail">{said}</small> }.into_any())
}

/// Its root has not ended: how it ends is not known.
fn running() -> AnyView {
    view! { <Badge tone=Tone::Info glyph=Icon::Clock text="running"/> }.into_any()
}

/// How a trace ended, as a badge; a short one says only the HTTP status, if there is one.
pub(super) fn status(row: &TraceRow, short: bool) -> AnyView {
    let (tone, glyph) = match row.status {
        TraceStatus::Ok | TraceStatus::Tolerated => (Tone::Neutral, Icon::Check),
        TraceStatus::Compensated => (Tone::Comp, Icon::Back),
        TraceStatus::Error => (Tone::Error, Icon::Cross),
    };
    let outcome = trace_query::outcome(row);
    let text = match row.http_status {
        Some(http) if short && row.status != TraceStatus::Tolerated => http.to_string(),
        _ => outcome.clone(),
    };
    view! { <span title=outcome><Badge tone=tone glyph=glyph text=text/></span> }.into_any()
}

/// How far back the traces reach.
fn kept(list: &TraceList) -> Option<AnyView> {
    let oldest = Signal::stored(list.oldest_us?);
    let style = ClockStyle::Minutes;
    Some(match list.left_until_us {
        None => view! {
            <p class="panel-note kept-since">"Kept since "<Clock at_us=oldest style=style/>"."</p>
        }
        .into_any(),
        Some(left) => {
            let left = Signal::stored(left);
            view! {
                <p class="panel-note kept-since">
                    "All kept since "
                    <Clock at_us=left style=style/>
                    "; of orders, with errors, compensated or slow since "
                    <Clock at_us=oldest style=style/>
                    ". Plain traces make room first."
                </p>
            }
            .into_any()
        }
    })
}

fn none(place: Place) -> AnyView {
    let loosen = place.query.with_untracked(trace_query::to_loosen);
    let text = loosen.map_or_else(
        || "Nothing was traced yet. Place an order, or start the load.".to_owned(),
        |filter| format!("Try without {filter}."),
    );
    let (title, ways) = match loosen {
        Some(_) => {
            let clear = view! { <a class="button" href="/traces">"Clear all filters"</a> };
            ("No trace matches", clear.into_any())
        }
        None => ("No traces yet", fill_it()),
    };
    view! {
        <section class="panel">
            <EmptyState title=title text=text>
                {ways}
            </EmptyState>
        </section>
    }
    .into_any()
}
