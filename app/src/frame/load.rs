//! The load generator: less, value, more; the value opens a slider.

use super::{
    offline::use_offline,
    state::{Command, LOAD_STEP, stepped, use_commands, use_frame},
};
use crate::{
    live::use_live,
    model::format,
    widget::{Dialog, Icon, icon},
};
use leptos::prelude::*;

/// "60 req/s", or that it is off.
#[must_use]
pub fn label(per_second: f64) -> String {
    if per_second <= 0.0 { "Load off".into() } else { format::load(per_second) }
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
                title=move || offline.reason().unwrap_or("Set the load")
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
    }
    .into_any()
}

/// The slider, 0 to the most the generator does.
#[component]
pub(super) fn LoadDialog() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.loading title="Load" class="narrow">
            <LoadForm/>
        </Dialog>
    }
    .into_any()
}

#[component]
fn LoadForm() -> impl IntoView {
    let live = use_live();
    let frame = use_frame();
    let run = use_commands();
    let load = live.load().get_untracked();
    let draft = RwSignal::new(load.per_second);
    let max = load.max_per_second;
    let input = move |event: leptos::ev::Event| {
        if let Ok(value) = event_target_value(&event).parse::<f64>() {
            draft.set(value.clamp(0.0, max));
        }
    };
    let offline = use_offline();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if offline.refuses("Load not changed") {
            return;
        }
        frame.loading.set(false);
        run.run(Command::LoadTo(draft.get_untracked()));
    };
    view! {
        <form class="form" on:submit=submit>
            <label class="field">
                <span>"Requests per second at the gateway"</span>
                <span class="slider-row">
                    <input
                        type="range" min="0" max=max step="1" aria-label="Load"
                        prop:value=move || draft.get().to_string() on:input=input
                    />
                    <input
                        type="number" min="0" max=max step="any" autofocus=true
                        aria-label="Requests per second"
                        prop:value=move || draft.get().to_string() on:change=input
                    />
                </span>
            </label>
            <p class="hint">
                "0 switches the load generator off. Orders that were placed go on to their end."
            </p>
            <div class="actions">
                <button type="button" class="button" on:click=move |_| draft.set(0.0)>
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_of_zero_reads_load_off() {
        assert_eq!((label(0.0), label(60.0)), ("Load off".into(), "60 req/s".into()));
    }
}
