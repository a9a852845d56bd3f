//! What stands around every page: navigation, top bar, banner, toasts, dialogs, keys.

pub mod announce;
pub mod banner;
pub mod faults;
pub mod keys;
pub mod lazily;
pub mod load;
pub mod mine;
pub mod more;
pub mod nav;
pub mod offline;
pub mod palette;
pub mod palette_model;
pub mod place_order;
pub mod range;
pub mod shortcuts;
pub mod state;
pub mod theme;
pub mod toast;
pub mod top_bar;

pub use faults::{end_form, fault_link, remove_all};
pub use keys::{use_control_keys, use_keys};
pub use offline::{Offline, use_offline};
pub use range::{TimeRange, use_range};
pub use state::{Command, FrameState, use_frame};
pub use toast::{ToastAction, Toasts, use_toasts};

use crate::live::{Connection, use_live};
use leptos::{html, leptos_dom::helpers::request_animation_frame, prelude::*};
use leptos_router::hooks::{use_location, use_query_map};

/// The frame with a page in it.
#[component]
pub fn Frame(children: Children) -> impl IntoView {
    let live = use_live();
    let connection = move || match live.connection().get() {
        Connection::Connecting => "connecting",
        Connection::Live => "live",
        Connection::Lost { .. } => "lost",
    };
    let paused = live.paused();
    let main = NodeRef::<html::Main>::new();
    begin_at_top(main);
    keys::listen();
    toast::announce_restarts();
    lazily::provide();
    // A page of text alone has nothing else to scroll it by with the keyboard.
    let path = use_location().pathname;
    let reached = move || path.with(|path| if path == "/shortcuts" { "0" } else { "-1" });
    let updated = live.updated();
    Effect::new(move |_| {
        crate::browser::load_links(move || updated.try_get_untracked().unwrap_or_default());
    });
    view! {
        <a class="skip" href="#main" rel="external">"Skip to content"</a>
        <div
            class="app" data-connection=connection
            data-paused=move || paused.get().then_some("true")
        >
            <nav::Nav/>
            <top_bar::TopBar/>
            <div class="page">
                <banner::Banners/>
                <main id="main" tabindex=reached node_ref=main>{children()}</main>
            </div>
        </div>
        <toast::ToastList/>
        <announce::Announcer/>
        <place_order::PlaceOrderDialog/>
        <palette::Palette/>
        <load::LoadDialog/>
        <faults::FaultSheet/>
        <faults::KillDialog/>
        <shortcuts::ShortcutsDialog/>
        <more::MoreSheet/>
    }
    .into_any()
}

/// Shows the part of the page that the fragment of the address names, also of a page that was not
/// loaded as a document: then the browser looked for it before it was there.
pub fn use_fragment() {
    let hash = use_location().hash;
    Effect::new(move |_| {
        let id = hash.get().trim_start_matches('#').to_owned();
        if !id.is_empty() {
            request_animation_frame(move || crate::browser::show(&id));
        }
    });
}

/// Begins each page at its top with the focus in it; the browser does so only for a page it loads.
fn begin_at_top(main: NodeRef<html::Main>) {
    let (path, query) = (use_location().pathname, use_query_map());
    let place = Memo::new(move |_| (path.get(), query.with(|query| query.get("cursor"))));
    Effect::new(move |before: Option<(String, Option<String>)>| {
        let here = place.get();
        if before.is_some_and(|before| before != here)
            && let Some(main) = main.get_untracked()
        {
            main.set_scroll_top(0);
            let _ = main.focus();
        }
        here
    });
}
