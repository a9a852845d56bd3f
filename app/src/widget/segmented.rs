//! Exclusive views: a segmented control of radio buttons, or the same look as links.

use leptos::prelude::*;

/// One choice: its value and its label.
pub type Choice = (&'static str, &'static str);

/// Two to six exclusive views. Radio buttons, so arrow keys move and selection follows focus.
#[component]
pub fn Segmented(
    /// What is chosen, for screen readers: "Layer".
    label: &'static str,
    /// Unique name of the group on the page.
    name: &'static str,
    /// Values and labels.
    choices: Vec<Choice>,
    /// The chosen value.
    #[prop(into)]
    value: Signal<String>,
    /// Called with the value chosen.
    #[prop(into)]
    on_choose: Callback<String>,
) -> impl IntoView {
    let segments = choices
        .into_iter()
        .map(|(choice, text)| {
            view! {
                <label class="segment">
                    <input
                        type="radio"
                        name=name
                        value=choice
                        checked=value.with_untracked(|value| value == choice)
                        prop:checked=move || value.with(|value| value == choice)
                        on:change=move |_| on_choose.run(choice.to_owned())
                    />
                    <span>{text}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="segmented">
            <legend class="sr">{label}</legend>
            {segments}
        </fieldset>
    }
    .into_any()
}

/// Exclusive views that have an address each: works without JavaScript.
#[component]
pub fn LinkTabs(
    /// What is chosen, for screen readers: "Status".
    label: &'static str,
    /// Address and label of each.
    #[prop(into)]
    links: Signal<Vec<(String, String)>>,
    /// Which one is shown.
    #[prop(into)]
    current: Signal<usize>,
) -> impl IntoView {
    view! {
        <nav class="segmented" aria-label=label>
            {move || {
                links
                    .get()
                    .into_iter()
                    .enumerate()
                    .map(|(i, (href, text))| {
                        let shown = move || (current.get() == i).then_some("true");
                        view! { <a class="segment" href=href aria-current=shown>{text}</a> }
                    })
                    .collect_view()
            }}
        </nav>
    }
    .into_any()
}
