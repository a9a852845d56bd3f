//! What the frame remembers: open dialogs and choices; and the commands that keys, the palette and
//! buttons share.

use super::{mine::Mine, offline::use_offline, range::use_range, theme, toast::use_toasts};
use crate::{ask, browser, live::use_live};
use contract::shop::{LoadChange, LoadView};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

/// Where the browser keeps whether single letters are shortcuts.
const SINGLE_KEYS: &str = "vitrine.single-keys";
/// Where the tab keeps that it is in presenter mode.
const PRESENTER: &str = "vitrine.presenter";
/// One press of + or −, requests per second.
pub const LOAD_STEP: f64 = 10.0;
/// What "Start load" starts, requests per second.
pub const LOAD_START: f64 = 60.0;

/// What the frame remembers. Cheap to copy; get it with [`use_frame`].
#[derive(Clone, Copy)]
pub struct FrameState {
    /// The place-order dialog.
    pub placing: RwSignal<bool>,
    /// The command palette.
    pub palette: RwSignal<bool>,
    /// The load dialog.
    pub loading: RwSignal<bool>,
    /// The list of shortcuts.
    pub shortcuts: RwSignal<bool>,
    /// The sheet of what a phone has no room for.
    pub more: RwSignal<bool>,
    /// The question before all faults end.
    pub killing: RwSignal<bool>,
    /// The sheet with every fault, on a phone.
    pub ending: RwSignal<bool>,
    /// Somebody asked for the inject panel; it takes the focus and sets this back.
    pub injecting: RwSignal<bool>,
    /// Large type, no hints.
    pub presenter: RwSignal<bool>,
    /// Single letters are shortcuts.
    pub single_keys: RwSignal<bool>,
    /// The orders placed from this browser.
    pub mine: Mine,
}

/// Makes the frame's memory.
pub fn provide_frame() {
    let state = FrameState {
        placing: RwSignal::new(false),
        palette: RwSignal::new(false),
        loading: RwSignal::new(false),
        shortcuts: RwSignal::new(false),
        more: RwSignal::new(false),
        killing: RwSignal::new(false),
        ending: RwSignal::new(false),
        injecting: RwSignal::new(false),
        presenter: RwSignal::new(false),
        single_keys: RwSignal::new(true),
        mine: Mine::new(),
    };
    provide_context(state);
    Effect::new(move |_| {
        if browser::stored(SINGLE_KEYS).as_deref() == Some("off") {
            state.single_keys.set(false);
        }
        // A page that is loaded again on a projector is as large as it was.
        if browser::kept(PRESENTER).is_some() {
            state.present(true);
        }
    });
}

/// What the frame remembers.
///
/// # Panics
/// Outside of the application's root, which provides it: a mistake of the page's author.
#[must_use]
pub fn use_frame() -> FrameState {
    expect_context::<FrameState>()
}

impl FrameState {
    /// Switches single-letter shortcuts and keeps the choice in this browser.
    pub fn set_single_keys(self, on: bool) {
        self.single_keys.set(on);
        browser::store(SINGLE_KEYS, if on { "on" } else { "off" });
    }

    /// Large type for a projector, or back.
    pub fn toggle_presenter(self) {
        self.present(!self.presenter.get_untracked());
    }

    fn present(self, on: bool) {
        self.presenter.set(on);
        browser::set_root_attribute("data-presenter", on.then_some("true"));
        browser::keep(PRESENTER, on.then_some("on"));
    }
}

/// Something a person asks of the frame, by key, palette or button.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Go to an address of this site.
    Go(String),
    /// Open the place-order dialog.
    PlaceOrder,
    /// Open the palette.
    Search,
    /// Pause or resume live data.
    Pause,
    /// More or less load, requests per second.
    LoadBy(f64),
    /// Set the load, requests per second.
    LoadTo(f64),
    /// Set rate, shape and mix of the load.
    Load(LoadChange),
    /// Go to the panel that injects a fault.
    Inject,
    /// End all faults; asks once.
    RemoveFaults,
    /// Switch between dark and light.
    Theme,
    /// Presenter mode on or off.
    Presenter,
    /// List the shortcuts.
    Shortcuts,
}

impl Command {
    /// What was not done, of a command that changes the system and so needs the line; none of one
    /// that only changes what this tab shows.
    #[must_use]
    pub const fn undone(&self) -> Option<&'static str> {
        match self {
            Self::PlaceOrder => Some("Order not placed"),
            Self::LoadBy(_) | Self::LoadTo(_) | Self::Load(_) => Some("Load not changed"),
            Self::RemoveFaults => Some("Faults not removed"),
            Self::Go(_)
            | Self::Search
            | Self::Pause
            | Self::Inject
            | Self::Theme
            | Self::Presenter
            | Self::Shortcuts => None,
        }
    }
}

/// Runs commands; made once by a component, then called from any event.
#[must_use]
pub fn use_commands() -> Callback<Command> {
    let (frame, live, toasts) = (use_frame(), use_live(), use_toasts());
    let offline = use_offline();
    let go = use_navigate();
    let (here, range) = (use_location().pathname, use_range());
    let set_load = move |load: LoadChange| {
        let before = live.load().get_untracked();
        live.expect_load(expected(before, load));
        spawn_local(async move {
            let LoadChange { per_second, shape, orders_percent } = load;
            match ask::set_load(per_second, shape, orders_percent).await {
                Ok(load) => live.expect_load(load),
                Err(error) => {
                    live.expect_load(before);
                    toasts.failure("Load not changed", &error.to_string());
                }
            }
        });
    };
    Callback::new(move |command: Command| {
        if command.undone().is_some_and(|undone| offline.refuses(undone)) {
            return;
        }
        match command {
            // The pages of another version come with a whole document.
            Command::Go(address) if live.updated().get_untracked() => browser::load(&address),
            Command::Go(address) => go(&range.zoomed(&address), NavigateOptions::default()),
            Command::PlaceOrder => frame.placing.set(true),
            Command::Search => frame.palette.set(true),
            Command::Pause => live.toggle_pause(),
            Command::Theme => theme::toggle(),
            Command::Presenter => frame.toggle_presenter(),
            Command::Shortcuts => frame.shortcuts.update(|open| *open = !*open),
            Command::Inject => {
                frame.injecting.set(true);
                if here.get_untracked() != "/resilience" {
                    go("/resilience", NavigateOptions::default());
                }
            }
            Command::RemoveFaults => frame.killing.set(true),
            Command::LoadBy(step) => {
                set_load(LoadChange::rate(stepped(live.load().get_untracked(), step)));
            }
            Command::LoadTo(per_second) => set_load(LoadChange::rate(per_second)),
            Command::Load(load) => set_load(load),
        }
    })
}

/// The load as it will be.
fn expected(before: LoadView, load: LoadChange) -> LoadView {
    LoadView {
        per_second: load.per_second,
        shape: load.shape.unwrap_or(before.shape),
        orders_percent: load.orders_percent.unwrap_or(before.orders_percent),
        ..before
    }
}

/// A load one step away, within its limits.
#[must_use]
pub fn stepped(load: LoadView, step: f64) -> f64 {
    (load.per_second + step).clamp(0.0, load.max_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_change_the_system_need_the_line_and_others_do_not() {
        let changing = [
            Command::PlaceOrder,
            Command::LoadBy(LOAD_STEP),
            Command::LoadTo(0.0),
            Command::RemoveFaults,
        ];
        assert!(changing.iter().all(|command| command.undone().is_some()));
        let showing = [Command::Pause, Command::Inject, Command::Go("/".into()), Command::Theme];
        assert!(showing.iter().all(|command| command.undone().is_none()));
    }

    #[test]
    fn a_step_stays_within_the_limits() {
        let at = LoadView::steady;
        assert!((stepped(at(60.0), 10.0) - 70.0).abs() < 1e-9);
        assert!((stepped(at(2.0), 10.0) - 12.0).abs() < 1e-9);
        assert!((stepped(at(2.0), -10.0) - 0.0).abs() < 1e-9);
        assert!((stepped(at(200.0), 10.0) - 200.0).abs() < 1e-9);
    }
}
