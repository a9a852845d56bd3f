//! An empty state: a small line drawing, one sentence, one or two actions that fill it.

use leptos::prelude::*;

/// What stands where rows would be.
#[component]
pub fn EmptyState(
    /// What is missing: "No orders yet".
    #[prop(into)]
    title: String,
    /// One sentence what to do.
    #[prop(into)]
    text: String,
    /// Buttons or links.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <svg viewBox="0 0 120 24" class="empty-drawing" aria-hidden="true">
                <rect x="0.5" y="2.5" width="30" height="18" rx="4"></rect>
                <rect x="44.5" y="2.5" width="30" height="18" rx="4"></rect>
                <rect x="88.5" y="2.5" width="30" height="18" rx="4"></rect>
                <path d="M31 11.5H44M75 11.5H88"></path>
            </svg>
            <strong>{title}</strong>
            <p>{text}</p>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
}
