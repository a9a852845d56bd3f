//! Fields of forms: a number with its unit, a switch, a choice, a slider. Each tells its new value
//! as text, so that one function serves every form.

use leptos::prelude::*;

/// What a field is and does.
pub struct Field {
    /// Its accessible name, and its visible one if it has none beside it.
    pub label: &'static str,
    /// Name in the form that is posted without JavaScript.
    pub name: &'static str,
    /// Its value.
    pub value: Signal<String>,
    /// It differs from what is in force.
    pub changed: Signal<bool>,
    /// Why the value cannot be taken; empty when it can.
    pub wrong: Signal<String>,
    /// Called with the new value.
    pub on: Callback<String>,
}

impl Field {
    /// A field that is never wrong and compared with nothing.
    #[must_use]
    pub fn plain(
        label: &'static str,
        name: &'static str,
        value: Signal<String>,
        on: Callback<String>,
    ) -> Self {
        Self {
            label,
            name,
            value,
            on,
            changed: Signal::stored(false),
            wrong: Signal::stored(String::new()),
        }
    }

    fn class(&self, base: &'static str) -> impl Fn() -> String + Send + Sync + 'static {
        let (changed, wrong) = (self.changed, self.wrong);
        move || {
            let changed = if changed.get() { " changed" } else { "" };
            let wrong = if wrong.with(String::is_empty) { "" } else { " wrong" };
            format!("{base}{changed}{wrong}")
        }
    }

    fn message(&self) -> impl IntoView + use<> {
        let wrong = self.wrong;
        move || {
            let text = wrong.get();
            (!text.is_empty())
                .then(|| view! { <small class="wrong-text" role="alert">{text}</small> })
        }
    }
}

/// A number with its unit inside the field.
pub fn number(field: Field, unit: &'static str) -> AnyView {
    let (class, message, on, value) =
        (field.class("field-number"), field.message(), field.on, field.value);
    let wrong = field.wrong;
    let invalid = move || (!wrong.with(String::is_empty)).then_some("true");
    view! {
        <span class=class>
            <input
                type="text" inputmode="decimal" autocomplete="off" name=field.name
                aria-label=field.label aria-invalid=invalid
                value=value.get_untracked() prop:value=move || value.get()
                on:change=move |event| on.run(event_target_value(&event))
            />
            {(!unit.is_empty()).then(|| view! { <i aria-hidden="true">{unit}</i> })}
            {message}
        </span>
    }
    .into_any()
}

/// A line of text.
pub fn text(field: Field, placeholder: &'static str) -> AnyView {
    let (class, message, on, value) =
        (field.class("field-text"), field.message(), field.on, field.value);
    view! {
        <span class=class>
            <input
                type="text" autocomplete="off" spellcheck="false" name=field.name
                aria-label=field.label placeholder=placeholder
                value=value.get_untracked() prop:value=move || value.get()
                on:change=move |event| on.run(event_target_value(&event))
            />
            {message}
        </span>
    }
    .into_any()
}

/// A slider from `low` to `high`.
pub fn slider(field: Field, low: u32, high: u32) -> AnyView {
    let (on, value) = (field.on, field.value);
    view! {
        <input
            type="range" min=low.to_string() max=high.to_string() step="1" aria-label=field.label
            value=value.get_untracked() prop:value=move || value.get()
            on:input=move |event| on.run(event_target_value(&event))
        />
    }
    .into_any()
}

/// Value and text of each choice.
pub type Options = Vec<(String, String)>;

/// One of several.
pub fn select(field: Field, options: Signal<Options>) -> AnyView {
    let (class, on, value) = (field.class("field-choice"), field.on, field.value);
    view! {
        <span class=class>
            <select
                name=field.name aria-label=field.label prop:value=move || value.get()
                on:change=move |event| on.run(event_target_value(&event))
            >
                {move || {
                    let now = value.get_untracked();
                    options
                        .get()
                        .into_iter()
                        .map(|(value, text)| {
                            let chosen = value == now;
                            view! { <option value=value selected=chosen>{text}</option> }
                        })
                        .collect_view()
                }}
            </select>
        </span>
    }
    .into_any()
}

/// On or off.
pub fn switch(label: &'static str, on: Signal<bool>, set: Callback<bool>) -> AnyView {
    view! {
        <input
            class="switch-box" type="checkbox" role="switch" aria-label=label
            checked=on.get_untracked() prop:checked=move || on.get()
            on:change=move |event| set.run(event_target_checked(&event))
        />
    }
    .into_any()
}
