//! Navigation: the pages there are, and below them the list of shortcuts.

use super::{
    range::{in_range, use_range},
    state::use_frame,
};
use crate::widget::{Icon, icon};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// Whether an address belongs to a page of the navigation.
#[must_use]
pub fn belongs(path: &str, page: &str) -> bool {
    if page == "/" {
        path == "/"
    } else {
        path == page || path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The navigation: a column at the left, a bar at the bottom on a phone.
#[component]
pub(super) fn Nav() -> impl IntoView {
    let frame = use_frame();
    let shortcuts = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        frame.shortcuts.set(true);
    };
    view! {
        <nav class="nav" aria-label="Pages">
            <a class="logo" href="/" aria-label="Vitrine">{icon(Icon::Shop)}</a>
            <ul>
                <NavLink path="/" text="Live" glyph=Icon::Share/>
                <NavLink path="/orders" text="Orders" glyph=Icon::Receipt/>
                <NavLink path="/traces" text="Traces" glyph=Icon::Spans/>
            </ul>
            <ul class="nav-end">
                <li>
                    <a href="/shortcuts" on:click=shortcuts>
                        {icon(Icon::Keyboard)}
                        <span>"Shortcuts"</span>
                    </a>
                </li>
            </ul>
        </nav>
    }
    .into_any()
}

#[component]
fn NavLink(path: &'static str, text: &'static str, glyph: Icon) -> impl IntoView {
    let range = use_range().minutes();
    let here = use_location().pathname;
    let current = move || here.with(|here| belongs(here, path)).then_some("page");
    view! {
        <li>
            <a href=move || in_range(path, range.get()) aria-current=current>
                {icon(glyph)}
                <span>{text}</span>
            </a>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_current_for_everything_below_it_but_live_only_for_itself() {
        assert!(belongs("/orders/ord-7F3K9Q", "/orders") && belongs("/orders", "/orders"));
        assert!(!belongs("/orders", "/") && belongs("/", "/"));
        assert!(!belongs("/ordersheet", "/orders"));
    }
}
