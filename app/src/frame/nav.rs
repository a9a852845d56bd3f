//! Navigation: the pages there are, and below them the list of shortcuts.

use super::{range::use_range, state::use_frame};
use crate::{
    live::{Live, use_live},
    model::format,
    widget::{Icon, icon},
};
use contract::resilience::BreakerState;
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
    let more = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        frame.more.set(true);
    };
    let here = use_location().pathname;
    let elsewhere = move || {
        let behind = ["/traces", "/shortcuts", "/more"];
        here.with(|here| behind.iter().any(|page| belongs(here, page))).then_some("page")
    };
    view! {
        <nav class="nav" aria-label="Pages">
            <a class="logo" href="/" aria-label="Vitrine">{icon(Icon::Shop)}</a>
            <ul>
                <NavLink path="/" text="Live" glyph=Icon::Share/>
                <NavLink path="/orders" text="Orders" glyph=Icon::Receipt/>
                <NavLink path="/traffic" text="Traffic" glyph=Icon::Routes/>
                <NavLink path="/resilience" text="Resilience" glyph=Icon::Switch>
                    <BreakerDot/>
                </NavLink>
                <NavLink path="/traces" text="Traces" glyph=Icon::Spans class="nav-wide"/>
            </ul>
            <ul class="nav-end">
                <li class="nav-wide">
                    <a href="/shortcuts" title="Shortcuts" on:click=shortcuts>
                        {icon(Icon::Keyboard)}
                        <span>"Shortcuts"</span>
                    </a>
                </li>
                <li class="nav-phone">
                    <a href="/more" aria-haspopup="dialog" aria-current=elsewhere on:click=more>
                        {icon(Icon::More)}
                        <span>"More"</span>
                    </a>
                </li>
            </ul>
        </nav>
    }
    .into_any()
}

#[component]
fn NavLink(
    path: &'static str,
    text: &'static str,
    glyph: Icon,
    #[prop(optional)] class: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let range = use_range();
    let here = use_location().pathname;
    let current = move || here.with(|here| belongs(here, path)).then_some("page");
    view! {
        <li class=class>
            // Where the words have no room, the tooltip says them.
            <a href=move || range.link(path) title=text aria-current=current>
                {icon(glyph)}
                <span>{text}</span>
                {children.map(|children| children())}
            </a>
        </li>
    }
    .into_any()
}

/// A breaker is open: a dot, and the words for those who do not see it.
#[component]
fn BreakerDot() -> impl IntoView {
    let live = use_live();
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                live.ready().await;
                breaker_dot(live)
            })}
        </Suspense>
    }
    .into_any()
}

fn breaker_dot(live: Live) -> AnyView {
    let breakers = live.breakers();
    let open = Memo::new(move |_| {
        breakers.with(|all| all.iter().filter(|b| b.state == BreakerState::Open).count())
    });
    (move || {
        let open = u64::try_from(open.get()).unwrap_or_default();
        (open > 0).then(|| {
            let text = format::plural(open, "breaker open", "breakers open");
            view! { <i class="nav-dot" role="img" title=text.clone() aria-label=text></i> }
        })
    })
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
