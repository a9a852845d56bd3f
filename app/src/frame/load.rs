//! The load generator: less, value, more; the value opens a dialog with rate, shape and mix.

use super::{
    lazily::{Body, Lazily},
    offline::use_offline,
    state::{Command, LOAD_START, LOAD_STEP, stepped, use_commands, use_frame},
};
use crate::{
    live::use_live,
    model::format,
    widget::{Choice, Dialog, Icon, Segmented, icon},
};
use contract::shop::{LoadChange, LoadShape, LoadView};
use leptos::{html, prelude::*};

/// Every shape by the word the API reads, with a word for people.
const SHAPES: [Choice; 3] = [("steady", "Steady"), ("ramp", "Ramp"), ("spike", "Spike")];

/// "60 req/s", or that it is off.
#[must_use]
pub fn label(per_second: f64) -> String {
    if per_second <= 0.0 { "Load off".into() } else { format::load(per_second) }
}

/// What a shape does with the rate, in one sentence.
#[must_use]
pub const fn shape_hint(shape: LoadShape) -> &'static str {
    match shape {
        LoadShape::Steady => "So many all the time, at random moments.",
        LoadShape::Ramp => "From 0 up to it within a minute, then steady.",
        LoadShape::Spike => "A quarter of it, and all of it for 10 s of each minute.",
    }
}

/// What the generator does, for the tooltip of its value.
#[must_use]
pub fn describe(load: LoadView) -> String {
    let shape = match load.shape {
        LoadShape::Steady => "steady",
        LoadShape::Ramp => "a ramp",
        LoadShape::Spike => "spikes",
    };
    format!("Set the load: {shape}, {}", mix(load.orders_percent))
}

/// "28% orders, 72% browsing".
fn mix(orders_percent: u8) -> String {
    format!("{orders_percent}% orders, {}% browsing", 100_u8.saturating_sub(orders_percent))
}

/// What fills a page that has nothing to show yet: an order, or the load while that is off.
#[must_use]
pub fn fill_it() -> AnyView {
    let (run, offline, load) = (use_commands(), use_offline(), use_live().load());
    let start = move || {
        (load.get().per_second <= 0.0).then(|| {
            view! {
                <form method="post" action="/load">
                    <button
                        class="button" name="per_second" value=LOAD_START
                        disabled=move || offline.now() title=move || offline.reason()
                        on:click=move |event| {
                            event.prevent_default();
                            run.run(Command::LoadTo(LOAD_START));
                        }
                    >
                        {format!("Start load, {}", label(LOAD_START))}
                    </button>
                </form>
            }
        })
    };
    view! {
        <a
            class="button primary" href="/orders/new" title=move || offline.reason()
            aria-disabled=move || offline.now().then_some("true")
            on:click=move |event| {
                event.prevent_default();
                event.stop_propagation();
                run.run(Command::PlaceOrder);
            }
        >
            "Place order"
        </a>
        {start}
    }
    .into_any()
}

/// The control in the top bar. Without JavaScript its buttons post to `/load`.
#[component]
pub(super) fn LoadControl() -> impl IntoView {
    let live = use_live();
    let frame = use_frame();
    let run = use_commands();
    let load = live.load();
    let off = move || load.get().per_second <= 0.0;
    let offline = use_offline();
    let lost = move || offline.now();
    let value = move |step: f64| move || stepped(load.get(), step).to_string();
    let step = move |step: f64| {
        move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            run.run(Command::LoadBy(step));
        }
    };
    view! {
        <form class="group load" method="post" action="/load">
            <span class="label" class:gone=off>"Load"</span>
            <button
                class="part" name="per_second" value=value(-LOAD_STEP) aria-label="Less load"
                disabled=lost title=move || offline.reason() on:click=step(-LOAD_STEP)
            >
                {icon(Icon::Minus)}
            </button>
            <button
                class="part value" type="button" disabled=lost
                title=move || offline.reason().map_or_else(|| describe(load.get()), str::to_owned)
                on:click=move |_| frame.loading.set(true)
            >
                {move || label(load.get().per_second)}
            </button>
            <button
                class="part" name="per_second" value=value(LOAD_STEP) aria-label="More load"
                disabled=lost title=move || offline.reason() on:click=step(LOAD_STEP)
            >
                {icon(Icon::Plus)}
            </button>
        </form>
        <noscript inner_html=load.with_untracked(plain_form)></noscript>
    }
    .into_any()
}

/// What the dialog offers, as a form for those without JavaScript. Numbers and words of ours only:
/// nothing in it has to be escaped.
fn plain_form(load: &LoadView) -> String {
    let LoadView { per_second, shape, orders_percent, max_per_second } = load;
    let option = |known: LoadShape, text: &str| {
        let (word, chosen) = (known.as_str(), if known == *shape { " selected" } else { "" });
        format!("<option value=\"{word}\"{chosen}>{text}</option>")
    };
    let shapes: String = SHAPES
        .iter()
        .filter_map(|(word, text)| Some(option(LoadShape::parse(word)?, text)))
        .collect();
    format!(
        "<details class=\"load-plain\"><summary class=\"button\">Set load</summary>\
         <form class=\"form panel\" method=\"post\" action=\"/load\">\
         <label class=\"field\"><span>Requests per second</span><input type=\"number\" \
         name=\"per_second\" min=\"0\" max=\"{max_per_second}\" step=\"any\" required \
         value=\"{per_second}\"></label><label class=\"field\"><span>Shape</span>\
         <select name=\"shape\">{shapes}</select></label><label class=\"field\"><span>Share of \
         orders, percent</span><input type=\"number\" name=\"orders_percent\" min=\"0\" \
         max=\"100\" required value=\"{orders_percent}\"></label>\
         <button class=\"button primary\">Set load</button></form></details>"
    )
}

/// Rate, shape and mix.
#[component]
pub(super) fn LoadDialog() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.loading title="Load" class="narrow">
            <Lazily body=Body::Load/>
        </Dialog>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    view! { <LoadForm/> }.into_any()
}

/// What the dialog holds while it is open.
#[derive(Clone, Copy)]
struct Draft {
    per_second: RwSignal<f64>,
    shape: RwSignal<LoadShape>,
    orders_percent: RwSignal<u8>,
}

#[component]
fn LoadForm() -> impl IntoView {
    let live = use_live();
    let frame = use_frame();
    let run = use_commands();
    let load = live.load().get_untracked();
    let draft = Draft {
        per_second: RwSignal::new(load.per_second),
        shape: RwSignal::new(load.shape),
        orders_percent: RwSignal::new(load.orders_percent),
    };
    let offline = use_offline();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if offline.refuses("Load not changed") {
            return;
        }
        frame.loading.set(false);
        run.run(Command::Load(LoadChange {
            per_second: draft.per_second.get_untracked(),
            shape: Some(draft.shape.get_untracked()),
            orders_percent: Some(draft.orders_percent.get_untracked()),
        }));
    };
    view! {
        <form class="form" on:submit=submit>
            {rate_field(draft, load.max_per_second)}
            {shape_field(draft)}
            {mix_field(draft)}
            <p class="hint">
                "0 switches the load generator off. Orders that were placed go on to their end."
            </p>
            <div class="actions">
                <button type="button" class="button" on:click=move |_| draft.per_second.set(0.0)>
                    "Set to 0"
                </button>
                <button
                    type="submit" class="button primary" disabled=move || offline.now()
                    title=move || offline.reason()
                >
                    "Set load"
                </button>
            </div>
        </form>
    }
    .into_any()
}

fn rate_field(draft: Draft, max: f64) -> AnyView {
    let value = move || draft.per_second.get().to_string();
    let input = move |event: leptos::ev::Event| {
        if let Ok(value) = event_target_value(&event).parse::<f64>() {
            draft.per_second.set(value.clamp(0.0, max));
        }
    };
    let field = NodeRef::<html::Input>::new();
    // The dialog stood before its body did, so the browser's own `autofocus` comes too early.
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    view! {
        <div class="field">
            <span>"Requests per second at the gateway"</span>
            <span class="slider-row">
                <input
                    type="range" min="0" max=max step="1" aria-label="Load"
                    prop:value=value on:input=input
                />
                <input
                    type="number" min="0" max=max step="any" node_ref=field
                    aria-label="Requests per second" prop:value=value on:change=input
                />
            </span>
        </div>
    }
    .into_any()
}

fn shape_field(draft: Draft) -> AnyView {
    let chosen = Signal::derive(move || draft.shape.get().as_str().to_owned());
    let choose = Callback::new(move |word: String| {
        if let Some(shape) = LoadShape::parse(&word) {
            draft.shape.set(shape);
        }
    });
    view! {
        <div class="field">
            <span>"Shape"</span>
            <Segmented
                label="Shape" name="load-shape" choices=SHAPES.to_vec() value=chosen
                on_choose=choose
            />
            <small class="hint" aria-live="polite">{move || shape_hint(draft.shape.get())}</small>
        </div>
    }
    .into_any()
}

fn mix_field(draft: Draft) -> AnyView {
    let input = move |event: leptos::ev::Event| {
        if let Ok(value) = event_target_value(&event).parse::<u8>() {
            draft.orders_percent.set(value.min(100));
        }
    };
    view! {
        <div class="field">
            <span>"Mix"</span>
            <span class="slider-row">
                <input
                    type="range" min="0" max="100" step="1" aria-label="Share of orders, percent"
                    prop:value=move || draft.orders_percent.get().to_string() on:input=input
                />
                <output class="mix">{move || mix(draft.orders_percent.get())}</output>
            </span>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_of_zero_reads_load_off() {
        assert_eq!((label(0.0), label(60.0)), ("Load off".into(), "60 req/s".into()));
    }

    #[test]
    fn the_plain_form_holds_what_is_set_and_every_shape() {
        let load = LoadView { shape: LoadShape::Ramp, orders_percent: 40, ..LoadView::steady(9.5) };
        let html = plain_form(&load);
        assert!(html.contains("value=\"9.5\"") && html.contains("value=\"40\""), "{html}");
        assert!(html.contains("<option value=\"ramp\" selected>Ramp</option>"), "{html}");
        assert_eq!(html.matches("<option").count(), SHAPES.len());
    }

    #[test]
    fn the_tooltip_says_shape_and_mix() {
        let load =
            LoadView { shape: LoadShape::Spike, orders_percent: 40, ..LoadView::steady(9.0) };
        assert_eq!(describe(load), "Set the load: spikes, 40% orders, 60% browsing");
    }
}
