//! Every trace that the order is in: a cancellation, a shipment and whatever was asked of it later
//! have traces of their own.

use super::Story;
use crate::model::{fine, format, trace_query};
use contract::{
    order::OrderTrace,
    trace::{TraceRow, TraceStatus},
};
use leptos::prelude::*;

/// The list; of one trace alone the panel's head says it all.
pub(super) fn list(story: Story) -> AnyView {
    let traces = Memo::new(move |_| story.order.with(|o| o.traces.clone()));
    (move || {
        let (traces, zero_us) = (traces.get(), story.order.with_untracked(|o| o.zero_us));
        (traces.len() > 1).then(|| {
            let rows = traces.iter().map(|trace| row(trace, zero_us)).collect_view();
            view! {
                <h3 class="traces-title">"All traces of this order"</h3>
                <ol class="order-traces">{rows}</ol>
            }
        })
    })
    .into_any()
}

fn row(trace: &OrderTrace, zero_us: i64) -> AnyView {
    let short = format::short_trace(&trace.trace_id).to_owned();
    let Some(row) = &trace.row else {
        return view! {
            <li><span class="gone"><code>{short}</code><span>"not kept any more"</span></span></li>
        }
        .into_any();
    };
    let (word, tone) = outcome(row);
    view! {
        <li>
            <a href=format!("/traces/{}", trace.trace_id)>
                <code>{short}</code>
                <span class="trace-name">{row.operation.clone()}</span>
                <span class=format!("trace-outcome {tone}")>{word}</span>
                <span class="offset">{fine::offset_us(row.start_us - zero_us)}</span>
                <span class="took">{fine::duration_us(row.duration_us)}</span>
            </a>
        </li>
    }
    .into_any()
}

fn outcome(row: &TraceRow) -> (String, &'static str) {
    let tone = match row.status {
        TraceStatus::Ok | TraceStatus::Tolerated => "",
        TraceStatus::Compensated => "comp",
        TraceStatus::Error => "error",
    };
    (trace_query::outcome(row), tone)
}
