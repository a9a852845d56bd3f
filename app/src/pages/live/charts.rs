//! The row of RED charts of one service, with one crosshair and one zoom for all of them.

use super::charts_model::{Charts, Red, window};
use crate::{
    browser,
    frame::{
        range::{kept_query, parse_zoom, plain_button, use_set_query, zoom_text},
        use_range,
    },
    live::{Connection, WantedCharts, use_live},
    model::format,
    widget::{
        Icon,
        chart::{ChartOver, ChartPanel, ChartState, OverLink, Reading},
        icon, use_zone,
    },
};
use contract::service::{BUS, GATEWAY, SERVICES};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Key of the address under which a zoomed stretch of time is kept.
const ZOOM: &str = "zoom";
/// A chart is drawn so seldom where less motion is asked for.
const CALM_US: i64 = 2_000_000;

/// Key of the address under which the service is kept; none is the gateway.
const OF: &str = "of";

/// The service whose charts the address asks for.
#[must_use]
pub fn chosen() -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| {
        query.with(|query| {
            let asked = query.get_str(OF).unwrap_or_default();
            let known = SERVICES.iter().find(|known| known.name == asked && asked != BUS);
            known.map_or(GATEWAY, |known| known.name).to_owned()
        })
    })
}

/// The services to choose from: a list where the charts say of what they are.
fn chooser(of: Memo<String>) -> AnyView {
    let set = use_set_query();
    let choose = move |event: leptos::ev::Event| {
        let name = event_target_value(&event);
        set.run(vec![(OF, (name != GATEWAY).then_some(name))]);
    };
    let known = SERVICES.iter().map(|service| service.name).filter(|name| *name != BUS);
    let options = known
        .map(|name| {
            let chosen = of.with_untracked(|of| of == name);
            view! { <option value=name selected=chosen>{format!("at {name}")}</option> }
        })
        .collect_view();
    view! {
        <form class="chart-of" method="get">
            {kept_query(OF)}
            <select
                name=OF aria-label="Charts of" on:change=choose prop:value=move || of.get()
            >
                {options}
            </select>
            {icon(Icon::Down)}
            {plain_button()}
        </form>
    }
    .into_any()
}

/// Requests, errors, duration.
#[component]
pub(super) fn ChartRow() -> impl IntoView {
    let live = use_live();
    let (range, zone) = (use_range().minutes(), use_zone());
    let (query, set) = (use_query_map(), use_set_query());
    let calm = browser::use_media("(prefers-reduced-motion: reduce)");
    let zoom = Memo::new(move |_| query.with(|query| parse_zoom(query.get_str(ZOOM))));
    // The stream brings the points of the longest stretch that is looked at.
    let of = chosen();
    Effect::new(move |_| live.want_charts(WantedCharts { minutes: range.get(), of: of.get() }));
    on_cleanup(move || live.want_charts(WantedCharts::default()));
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
    let state = Memo::new(move |_| {
        let held = live.held_charts().with(|held| held.minutes > 0 && *of.read() == held.of);
        let stands = matches!(live.connection().get(), Connection::Lost { .. });
        match (held, live.paused().get()) {
            (false, _) => ChartState::Loading,
            (true, true) => ChartState::Paused,
            (true, false) if stands => ChartState::Paused,
            (true, false) => ChartState::Live,
        }
    });
    let shown = Shown { charts, over, state };
    let at =
        move |what: &'static str| Signal::derive(move || format!("{what}at\u{a0}{}", of.get()));
    // Where there is no room for all of it the second half goes, as a whole.
    let scale = Signal::stored("log\u{a0}scale ◇\u{a0}exemplar".to_owned());
    view! {
        <div class="charts">
            <Show when=move || zoom.get().is_some()>
                <button type="button" class="button small zoom-reset" on:click=reset>
                    "Show the whole range"
                </button>
            </Show>
            {panel(shown, Red::Requests, "Requests", "", Signal::default(), Some(chooser(of)))}
            {panel(shown, Red::Errors, "Errors", "", at("5xx "), None)}
            {panel(shown, Red::Duration, "Duration", "p95", scale, None)}
        </div>
    }
    .into_any()
}

/// What the three panels share.
#[derive(Clone, Copy)]
struct Shown {
    charts: Memo<Charts>,
    over: ChartOver,
    state: Memo<ChartState>,
}

fn panel(
    Shown { charts, over, state }: Shown,
    red: Red,
    title: &'static str,
    of: &'static str,
    hint: Signal<String>,
    chooser: Option<AnyView>,
) -> AnyView {
    let zone = use_zone();
    let empty = Signal::derive(move || charts.with(|charts| charts.nothing(red)));
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
            title=title of=of window=window(red) hint=hint chooser=chooser state=state
            empty=empty draw=draw
            value=Signal::derive(move || charts.with(|charts| charts.value(red)))
            note=Signal::derive(move || charts.with(|charts| charts.note(red)))
            summary=Signal::derive(move || charts.with(|charts| charts.summary(red)))
            table=Signal::derive(move || charts.with(|charts| charts.table(red)))
            over=over axis=axis links=links reading=reading
        />
    }
    .into_any()
}
