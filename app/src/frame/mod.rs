//! What stands around every page: navigation, top bar, banner, toasts, dialogs, keys.

pub mod banner;
pub mod faults;
pub mod keys;
pub mod load;
pub mod nav;
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
pub use range::{TimeRange, use_range};
pub use state::{Command, FrameState, use_frame};
pub use toast::{Toasts, use_toasts};

use crate::live::{Connection, use_live};
use leptos::prelude::*;

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
    keys::listen();
    toast::announce_restarts();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div
            class="app" data-connection=connection
            data-paused=move || paused.get().then_some("true")
        >
            <nav::Nav/>
            <top_bar::TopBar/>
            <div class="page">
                <banner::Banners/>
                <main id="main" tabindex="-1">{children()}</main>
            </div>
        </div>
        <toast::ToastList/>
        <place_order::PlaceOrderDialog/>
        <palette::Palette/>
        <load::LoadDialog/>
        <faults::KillDialog/>
        <shortcuts::ShortcutsDialog/>
    }
    .into_any()
}
