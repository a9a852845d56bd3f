//! A badge says a state, never an action.

use super::icon::{Icon, icon};
use crate::model::tone::Tone;
use leptos::prelude::*;

/// A state on a tinted ground: `<Badge tone=Tone::Ok glyph=Icon::Check text="Confirmed"/>`.
#[component]
pub fn Badge(
    /// Its tone.
    #[prop(into)]
    tone: Signal<Tone>,
    /// A glyph before the word.
    #[prop(optional)]
    glyph: Option<Icon>,
    /// The word.
    #[prop(into)]
    text: Signal<String>,
) -> impl IntoView {
    view! {
        <span class=move || format!("badge {}", tone.get().class())>
            {glyph.map(icon)}
            <span>{move || text.get()}</span>
        </span>
    }
}
