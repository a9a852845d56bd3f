//! The pages that the browser loads when they are opened, each in a file of its own.
//!
//! Live is in the first file with everything around the pages. The build cuts the others out
//! (`scripts/build-site`); on the server they are functions like any other.

use super::{
    new_order::NewOrderPage, order::OrderPage, orders::OrdersPage, resilience::ResiliencePage,
    traces::TracesPage, traffic::TrafficPage,
};
use crate::frame::shortcuts::ShortcutsPage;
use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

/// A route whose view is loaded when it is first shown.
macro_rules! lazy_page {
    ($(#[$doc:meta])* $name:ident, $page:ident) => {
        $(#[$doc])*
        pub struct $name;

        #[lazy_route]
        impl LazyRoute for $name {
            fn data() -> Self {
                Self
            }

            fn view(_this: Self) -> AnyView {
                view! { <$page/> }.into_any()
            }
        }
    };
}

lazy_page!(
    /// The list of orders.
    Orders, OrdersPage
);
lazy_page!(
    /// The form without JavaScript.
    NewOrder, NewOrderPage
);
lazy_page!(
    /// One order.
    Order, OrderPage
);
lazy_page!(
    /// Routes and their YAML.
    Traffic, TrafficPage
);
lazy_page!(
    /// Breakers, endpoints and faults.
    Resilience, ResiliencePage
);
lazy_page!(
    /// The search and one trace.
    Traces, TracesPage
);
lazy_page!(
    /// The keys.
    Shortcuts, ShortcutsPage
);

/// Loads what the page at this address needs, so that hydrating it waits for nothing.
///
/// Hydration takes over the markup as the server wrote it. Between its start and its end nothing
/// may change a value that the page shows, and nothing can when it never yields to the browser.
pub async fn preload(path: &str) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next()) {
        (Some("orders"), None) => Orders::preload().await,
        (Some("orders"), Some("new")) => NewOrder::preload().await,
        (Some("orders"), Some(_)) => Order::preload().await,
        (Some("traffic"), _) => Traffic::preload().await,
        (Some("resilience"), _) => Resilience::preload().await,
        (Some("traces"), _) => Traces::preload().await,
        (Some("shortcuts"), _) => Shortcuts::preload().await,
        _ => {}
    }
}
