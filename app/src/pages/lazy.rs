//! The pages that the browser loads when they are opened, each in a file of its own.
//!
//! Live is in the first file with everything around the pages.

use super::{
    live::traced, new_order::NewOrderPage, order::OrderPage, orders::OrdersPage,
    resilience::ResiliencePage, traces::TracesPage, traffic::TrafficPage,
};
use crate::{
    apart::apart,
    frame::{lazily, more::MorePage, shortcuts::ShortcutsPage},
    live::use_live,
    widget::EmptyState,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_location};

/// A route whose view is loaded when it is first shown. Not the router's own macro: with that a
/// file that cannot be loaded, because the server has another version by now, ends the whole page.
macro_rules! lazy_page {
    ($(#[$doc:meta])* $name:ident, $page:ident, $view:ident, $load:ident) => {
        apart! {
            fn $view() -> AnyView { view! { <$page/> }.into_any() }
            fetched by $load as $view
        }

        $(#[$doc])*
        pub struct $name;

        impl LazyRoute for $name {
            fn data() -> Self {
                Self
            }

            async fn view(_this: Self) -> AnyView {
                $view().await.unwrap_or_else(|_| not_loaded())
            }

            async fn preload() {
                // Said where the page is shown.
                let _ = $load().await;
            }
        }
    };
}

/// In place of a page whose file is not there: the whole document brings the new ones.
fn not_loaded() -> AnyView {
    let text = if use_live().missed_file() {
        "The server has another version by now, and its file is not there any more."
    } else {
        "Vitrine cannot be reached. Load the page again when it is back."
    };
    let location = use_location();
    let here = move || {
        let (search, hash) = (location.search.get(), location.hash.get());
        let mark = if search.is_empty() { "" } else { "?" };
        format!("{}{mark}{search}{hash}", location.pathname.get())
    };
    view! {
        <Title text="Not loaded"/>
        <h1 class="sr">"Not loaded"</h1>
        <EmptyState title="This page could not be loaded" text=text>
            <a class="button primary" rel="external" href=here>"Load again"</a>
        </EmptyState>
    }
    .into_any()
}

lazy_page!(
    /// The list of orders.
    Orders, OrdersPage, orders_view, load_orders
);
lazy_page!(
    /// The form without JavaScript.
    NewOrder, NewOrderPage, new_order_view, load_new_order
);
lazy_page!(
    /// One order.
    Order, OrderPage, order_view, load_order
);
lazy_page!(
    /// Routes and their YAML.
    Traffic, TrafficPage, traffic_view, load_traffic
);
lazy_page!(
    /// Breakers, endpoints and faults.
    Resilience, ResiliencePage, resilience_view, load_resilience
);
lazy_page!(
    /// The search and one trace.
    Traces, TracesPage, traces_view, load_traces
);
lazy_page!(
    /// What a phone has no room for in its bars.
    More, MorePage, more_view, load_more
);
lazy_page!(
    /// The keys.
    Shortcuts, ShortcutsPage, shortcuts_view, load_shortcuts
);

/// Whether Live is asked for with its drawer, and with a trace on its map.
fn draws(search: &str) -> (bool, bool) {
    let has = |keys: &[&str]| {
        let mut pairs = search.trim_start_matches('?').split('&');
        pairs.any(|pair| keys.iter().any(|key| pair.starts_with(key)))
    };
    (has(&["node=", "edge="]), has(&["trace="]))
}

/// Loads what the page at this address needs, so that hydrating it waits for nothing; false when it
/// cannot be loaded.
///
/// Hydration takes over the markup as the server wrote it. Between its start and its end nothing
/// may change a value that the page shows, and nothing can when it never yields to the browser.
pub async fn preload(path: &str, search: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let loaded = match (parts.next(), parts.next()) {
        (Some("orders"), None) => load_orders().await,
        (Some("orders"), Some("new")) => load_new_order().await,
        (Some("orders"), Some(_)) => load_order().await,
        (Some("traffic"), _) => load_traffic().await,
        (Some("resilience"), _) => load_resilience().await,
        (Some("traces"), _) => load_traces().await,
        (Some("more"), _) => load_more().await,
        (Some("shortcuts"), _) => load_shortcuts().await,
        (None, _) => {
            let (chosen, traced) = draws(search);
            let chosen = if chosen { lazily::preload().await } else { Ok(()) };
            let traced = if traced { traced::preload().await } else { Ok(()) };
            chosen.and(traced)
        }
        _ => Ok(()),
    };
    loaded.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_what_a_page_was_sent_with_is_there_before_it_comes_to_life() {
        assert_eq!(draws("?node=payments"), (true, false));
        assert_eq!(draws("?range=5&edge=a~b&trace=7c1e"), (true, true));
        assert_eq!(draws("?trace=7c1e&span=1"), (false, true));
        assert_eq!([draws(""), draws("?range=5&feed=failed")], [(false, false); 2]);
    }
}
