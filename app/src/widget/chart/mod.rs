//! Time charts: a panel with a heading, the drawing, and the same data as a table.

pub mod backend;
pub mod marks;
pub mod model;
mod over;

pub use over::{ChartOver, OverLink, Reading};

use self::model::Axis;
use super::icon::{Icon, icon};
use leptos::{html, prelude::*};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::ResizeObserver;

/// The data of a chart as a table: headings, then rows of texts.
pub type ChartTable = (Vec<&'static str>, Vec<Vec<String>>);

/// The inner width of an element in whole pixels: `before` until it is measured in the browser.
pub fn use_width<E>(node: NodeRef<E>, before: u32) -> ReadSignal<u32>
where
    E: html::ElementType,
    E::Output: JsCast + Clone + 'static,
{
    let width = RwSignal::new(before);
    Effect::new(move |_| {
        let Some(element) = node.get() else { return };
        let element: web_sys::Element = element.unchecked_into();
        let measured = element.clone();
        let resized: Closure<dyn FnMut()> = Closure::new(move || {
            let now = u32::try_from(measured.client_width()).unwrap_or(before);
            if now > 0 && width.try_get_untracked().is_some_and(|known| known != now) {
                width.set(now);
            }
        });
        let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) else { return };
        observer.observe(&element);
        let kept = StoredValue::new_local((observer, resized));
        on_cleanup(move || {
            kept.try_with_value(|(observer, _)| observer.disconnect());
        });
    });
    width.read_only()
}

/// What a chart can say of itself besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartState {
    /// Its points are asked for.
    Loading,
    /// They come as they happen.
    Live,
    /// It stands still.
    Paused,
}

/// Height of a drawing.
const HEIGHT: u32 = 124;
/// A drawing narrower than this becomes a sparkline.
const NARROW: u32 = 200;
/// Height of that sparkline.
const LOW: u32 = 28;

/// A panel with one chart.
#[component]
pub fn ChartPanel(
    /// "Requests".
    title: &'static str,
    /// The current value: "60.3/s".
    #[prop(into)]
    value: Signal<String>,
    /// What the value is, if the title does not say it: "p95".
    #[prop(default = "")]
    of: &'static str,
    /// Over how long it is: "over 60 s".
    window: String,
    /// What the value is of, said where it is pointed at: "over 60 s, of 16 calls".
    #[prop(into)]
    note: Signal<String>,
    /// Said at the right: "5xx at gateway".
    #[prop(into)]
    hint: Signal<String>,
    /// In its place: a choice of what the chart is of.
    chooser: Option<AnyView>,
    /// Whether it moves.
    #[prop(into)]
    state: Signal<ChartState>,
    /// Said in its middle when there is nothing to draw.
    #[prop(into)]
    empty: Signal<Option<&'static str>>,
    /// One sentence for those who cannot see the drawing.
    #[prop(into)]
    summary: Signal<String>,
    /// The drawing for a width and height in pixels: the inside of an `<svg>`.
    #[prop(into)]
    draw: Callback<(u32, u32), String>,
    /// The same data as a table.
    #[prop(into)]
    table: Signal<ChartTable>,
    /// Crosshair and zoom, shared by the charts of the page.
    over: ChartOver,
    /// The time axis of that drawing.
    axis: Callback<(u32, u32), Option<Axis>>,
    /// Diamonds on it.
    links: Callback<(u32, u32), Vec<OverLink>>,
    /// What it says at a time.
    reading: Callback<i64, Option<Reading>>,
) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let width = use_width(node, 352);
    let height = move || if width.get() < NARROW { LOW } else { HEIGHT };
    let size = Signal::derive(move || (width.get(), height()));
    let asked = over::Asked { size, axis, links, reading };
    let pointing = over::pointing(node, over, asked);
    let on_top = over::overlay(over, asked, &pointing);
    let over::Pointing { moved, left, pressed, released, .. } = pointing;
    let over_it = move || match (state.get(), empty.get()) {
        (ChartState::Loading, _) => {
            Some(view! { <div class="skeleton chart-skeleton"></div> }.into_any())
        }
        (_, Some(text)) => Some(view! { <p class="chart-empty">{text}</p> }.into_any()),
        _ => None,
    };
    let paused = move || state.get() == ChartState::Paused;
    let loading = move || (state.get() == ChartState::Loading).then_some("true");
    view! {
        <section class="chart" class:chart-paused=paused aria-busy=loading>
            <header>
                <h3>{title}</h3>
                <strong class="stat" title=move || note.get()>{move || value.get()}</strong>
                <span class="hint of">{of}</span>
                <span class="hint window">{window}</span>
                <Show when=paused>
                    <span class="hint paused-mark">"paused"</span>
                </Show>
                <span class="hint grow">{move || hint.get()}</span>
                {chooser}
                <ChartData table=table title=title/>
            </header>
            <div
                class="drawing" node_ref=node
                on:pointermove=move |event| moved.run(event)
                on:pointerleave=move |event| left.run(event)
                on:pointerdown=move |event| pressed.run(event)
                on:pointerup=move |event| released.run(event)
            >
                <svg
                    role="img"
                    aria-label=move || summary.get()
                    width="100%"
                    height=height
                    inner_html=move || draw.run((width.get(), height()))
                ></svg>
                {on_top}
                {over_it}
            </div>
        </section>
    }
    .into_any()
}

/// The table behind "View data".
#[component]
fn ChartData(#[prop(into)] table: Signal<ChartTable>, title: &'static str) -> impl IntoView {
    view! {
        <details class="chart-data">
            <summary title="View data" aria-label=format!("View data of {title}")>
                {icon(Icon::List)}
            </summary>
            <div
                class="chart-table" tabindex="0" role="region"
                aria-label=format!("Data of {title}")
            >
                <table>
                    <thead>
                        <tr>
                            {table.with_untracked(|(head, _)| head.clone())
                                .into_iter()
                                .map(|text| view! { <th scope="col">{text}</th> })
                                .collect_view()}
                        </tr>
                    </thead>
                    <tbody>
                        {move || {
                            table.get().1
                                .into_iter()
                                .map(|row| {
                                    let cells = row
                                        .into_iter()
                                        .map(|text| view! { <td>{text}</td> })
                                        .collect_view();
                                    view! { <tr>{cells}</tr> }
                                })
                                .collect_view()
                        }}
                    </tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}
