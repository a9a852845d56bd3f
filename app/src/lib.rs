//! The dashboard: pages rendered on the server first, then brought to life in the browser.
//!
//! Nothing native is in here. `host` is what the pages ask of the server, `ask` is how they ask,
//! `shell` is the document, `frame` is what stands around every page, `live` is the stream every
//! page listens to, `pages` are the pages, `widget` their parts, `model` the pure computations,
//! `browser` the few calls into the browser.

mod apart;
pub mod ask;
pub mod browser;
pub mod codec;
pub mod frame;
#[cfg(feature = "ssr")]
pub mod host;
pub mod live;
pub mod model;
pub mod pages;
mod shell;
pub mod widget;

pub use shell::shell;

use frame::Frame;
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    Lazy, SsrMode,
    components::{Route, Router, Routes},
    hooks::use_location,
    path,
};
use live::{SnapshotPart, WantedCharts};
use pages::{NotFound, lazy, live::LivePage};

/// The application: the same on the server and in the browser.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|title: String| match title.as_str() {
            "" => "Vitrine".to_owned(),
            _ => format!("{title} · Vitrine"),
        }/>
        <Router>
            <Root/>
        </Router>
    }
    .into_any()
}

/// Everything that lives as long as the tab, then the frame with a page in it.
#[component]
fn Root() -> impl IntoView {
    widget::time::provide_zone();
    frame::state::provide_frame();
    frame::toast::provide_toasts();
    let range = frame::range::provide_range();
    let mut charts = WantedCharts::default();
    let part = match use_location().pathname.get_untracked().as_str() {
        "/" => {
            let minutes = range.minutes().get_untracked();
            charts = WantedCharts { minutes, of: pages::live::charts::chosen().get_untracked() };
            SnapshotPart::Live { minutes, of: charts.of.clone() }
        }
        path if path.starts_with("/resilience") || path.starts_with("/traffic") => {
            SnapshotPart::Mesh
        }
        _ => SnapshotPart::Frame,
    };
    let boot = Resource::new(|| (), move |()| ask::snapshot(part.clone()));
    live::stream::start(live::provide_live(boot, charts));
    // `Async`: the whole page is rendered before it is sent, so it can be read without JavaScript.
    view! {
        <Frame>
            <Routes fallback=NotFound>
                <Route path=path!("/") view=LivePage ssr=SsrMode::Async/>
                <Route
                    path=path!("/orders") ssr=SsrMode::Async
                    view={Lazy::<lazy::Orders>::new()}
                />
                <Route
                    path=path!("/orders/new") ssr=SsrMode::Async
                    view={Lazy::<lazy::NewOrder>::new()}
                />
                <Route
                    path=path!("/orders/:id") ssr=SsrMode::Async
                    view={Lazy::<lazy::Order>::new()}
                />
                <Route
                    path=path!("/traffic/:host?") ssr=SsrMode::Async
                    view={Lazy::<lazy::Traffic>::new()}
                />
                <Route
                    path=path!("/resilience") ssr=SsrMode::Async
                    view={Lazy::<lazy::Resilience>::new()}
                />
                <Route
                    path=path!("/traces/:id?") ssr=SsrMode::Async
                    view={Lazy::<lazy::Traces>::new()}
                />
                <Route
                    path=path!("/more") ssr=SsrMode::Async view={Lazy::<lazy::More>::new()}
                />
                <Route
                    path=path!("/shortcuts") ssr=SsrMode::Async
                    view={Lazy::<lazy::Shortcuts>::new()}
                />
            </Routes>
        </Frame>
    }
    .into_any()
}
