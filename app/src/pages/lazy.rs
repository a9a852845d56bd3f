//! The pages that the browser loads when they are opened, each in a file of its own.
//!
//! Live is in the first file with everything around the pages. The build cuts the others out
//! (`scripts/build-site`); on the server they are functions like any other.

use super::{
    new_order::NewOrderPage, order::OrderPage, orders::OrdersPage, resilience::ResiliencePage,
    traces::TracesPage, traffic::TrafficPage,
};
use crate::{frame::shortcuts::ShortcutsPage, live::use_live};
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
                use_live().page_comes();
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
