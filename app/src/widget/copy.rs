//! The button that copies an id.

use super::icon::{Icon, icon};
use leptos::prelude::*;

/// Copies `text`; `label` says what that is: "Copy the trace id".
#[must_use]
pub fn copy_button(text: String, label: &'static str) -> AnyView {
    view! {
        <button
            type="button"
            class="button ghost square small"
            aria-label=label
            title=label
            on:click=move |_| crate::browser::copy(&text)
        >
            {icon(Icon::Copy)}
        </button>
    }
    .into_any()
}
