//! The row of RED charts at the gateway.

use super::charts_model::{Charts, Red};
use crate::{
    frame::use_range,
    live::use_live,
    widget::{chart::ChartPanel, use_zone},
};
use leptos::prelude::*;

/// Requests, errors, duration.
#[component]
pub(super) fn ChartRow() -> impl IntoView {
    let live = use_live();
    let (range, zone) = (use_range().minutes(), use_zone());
    let charts = Memo::new(move |_| {
        let now = live.now_us().get();
        let charts = live.red().with(|red| Charts::new(red, now, range.get(), zone.get()));
        live.mesh().with(|mesh| live.faults().with(|faults| charts.marked(mesh, faults)))
    });
    view! {
        <div class="charts">
            {panel(charts, Red::Requests, "Requests", "", "at the gateway")}
            {panel(charts, Red::Errors, "Errors", "", "5xx at the gateway")}
            {panel(charts, Red::Duration, "Duration", "p95", "log scale")}
        </div>
    }
    .into_any()
}

fn panel(
    charts: Memo<Charts>,
    red: Red,
    title: &'static str,
    of: &'static str,
    hint: &'static str,
) -> AnyView {
    let draw = Callback::new(move |(width, height)| {
        charts.with(|charts| charts.chart(red, width, height).svg())
    });
    view! {
        <ChartPanel
            title=title of=of hint=hint draw=draw
            value=Signal::derive(move || charts.with(|charts| charts.value(red)))
            summary=Signal::derive(move || charts.with(|charts| charts.summary(red)))
            table=Signal::derive(move || charts.with(|charts| charts.table(red)))
        />
    }
    .into_any()
}
