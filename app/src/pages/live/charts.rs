//! The row of RED charts at the gateway, with one crosshair and one zoom for all of them.

use super::charts_model::{Charts, Red, parse_zoom, zoom_text};
use crate::{
    browser,
    frame::{range::use_set_query, use_range},
    live::use_live,
    model::format,
    widget::{
        chart::{ChartOver, ChartPanel, OverLink, Reading},
        use_zone,
    },
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Key of the address under which a zoomed stretch of time is kept.
const ZOOM: &str = "zoom";
/// A chart is drawn so seldom where less motion is asked for.
const CALM_US: i64 = 2_000_000;

/// Requests, errors, duration.
#[component]
pub(super) fn ChartRow() -> impl IntoView {
    let live = use_live();
    let (range, zone) = (use_range().minutes(), use_zone());
    let (query, set) = (use_query_map(), use_set_query());
    let calm = browser::use_media("(prefers-reduced-motion: reduce)");
    let zoom = Memo::new(move |_| query.with(|query| parse_zoom(query.get_str(ZOOM))));
    // The stream brings the points of the longest stretch that is looked at.
    Effect::new(move |_| live.want_minutes(range.get()));
    on_cleanup(move || live.want_minutes(0));
    let charts = Memo::new(move |_| {
        let charts = match zoom.get() {
            Some((from, to)) => live.red().with(|red| Charts::between(red, from, to, zone.get())),
            None => {
                // With reduced motion a chart moves every two seconds at most.
                let now = live.now_us().get();
                let now = if calm.get() == Some(true) { now / CALM_US * CALM_US } else { now };
                live.red().with(|red| Charts::new(red, now, range.get(), zone.get()))
            }
        };
        live.mesh().with(|mesh| live.faults().with(|faults| charts.marked(mesh, faults)))
    });
    let over = ChartOver {
        pointed: RwSignal::new(None),
        zoom: Callback::new(move |(from, to)| set.run(vec![(ZOOM, Some(zoom_text(from, to)))])),
    };
    let reset = move |_| set.run(vec![(ZOOM, None)]);
    view! {
        <div class="charts">
            <Show when=move || zoom.get().is_some()>
                <button type="button" class="button small zoom-reset" on:click=reset>
                    "Show the whole range"
                </button>
            </Show>
            {panel(charts, over, Red::Requests, "Requests", "", "at the gateway")}
            {panel(charts, over, Red::Errors, "Errors", "", "5xx at the gateway")}
            {panel(charts, over, Red::Duration, "Duration", "p95", "log scale, ◇ exemplar")}
        </div>
    }
    .into_any()
}

fn panel(
    charts: Memo<Charts>,
    over: ChartOver,
    red: Red,
    title: &'static str,
    of: &'static str,
    hint: &'static str,
) -> AnyView {
    let zone = use_zone();
    let draw = Callback::new(move |(width, height)| {
        charts.with(|charts| charts.chart(red, width, height).svg())
    });
    let axis = Callback::new(move |(width, height)| {
        charts.with(|charts| charts.chart(red, width, height).axis())
    });
    let links = Callback::new(move |(width, height)| {
        let link = |d: super::charts_model::Diamond| OverLink {
            x: d.x,
            y: d.y,
            href: d.href,
            text: d.text,
        };
        let all = match red {
            Red::Duration => charts.with(|charts| charts.exemplars(width, height)),
            Red::Requests | Red::Errors => Vec::new(),
        };
        all.into_iter().map(link).collect::<Vec<_>>()
    });
    let reading = Callback::new(move |at_us: i64| {
        let value = charts.with(|charts| charts.reading(red, at_us))?;
        let clock = format::clock(at_us, zone.get());
        Some(Reading { clock: format!("{clock} {}", format::zone(zone.get())), value })
    });
    view! {
        <ChartPanel
            title=title of=of hint=hint draw=draw
            value=Signal::derive(move || charts.with(|charts| charts.value(red)))
            note=Signal::derive(move || charts.with(Charts::note))
            summary=Signal::derive(move || charts.with(|charts| charts.summary(red)))
            table=Signal::derive(move || charts.with(|charts| charts.table(red)))
            over=over axis=axis links=links reading=reading
        />
    }
    .into_any()
}
