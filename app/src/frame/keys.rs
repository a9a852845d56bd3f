//! Keys: the ones that work everywhere, and the hook with which a page adds its own.

use super::{
    range::{neighbour, use_range},
    state::{Command, LOAD_STEP, use_commands, use_frame},
};
use crate::browser;
use leptos::{ev, prelude::*};
use web_sys::KeyboardEvent;

/// How long `G` waits for the letter of a page, milliseconds.
const CHORD_MS: f64 = 1_500.0;

/// Calls `on_key` for every key that is a shortcut: no field has focus, no dialog is open, neither
/// Ctrl nor Alt nor ⌘ is held, and single letters are not turned off. It answers whether it took
/// the key; then the browser does nothing else with it. Ends with the component that asked.
pub fn use_keys(on_key: impl Fn(&str, &KeyboardEvent) -> bool + Send + Sync + 'static) {
    let frame = use_frame();
    on_window_key(move |event| {
        let held = event.ctrl_key() || event.meta_key() || event.alt_key();
        let key = event.key();
        let letter = key.chars().count() == 1;
        if held || browser::is_typing(event) || (letter && !frame.single_keys.get_untracked()) {
            return false;
        }
        on_key(&key, event)
    });
}

/// Calls `on_key` for keys pressed with Ctrl (⌘ on a Mac), also while a field has the focus; it
/// gets the lower-case key and whether Shift is held, and answers whether it took it. Ends with
/// the component that asked.
pub fn use_control_keys(on_key: impl Fn(&str, bool) -> bool + Send + Sync + 'static) {
    on_window_key(move |event| {
        (event.ctrl_key() || event.meta_key())
            && on_key(&event.key().to_lowercase(), event.shift_key())
    });
}

/// Listens to the whole window, in the browser only, until the component ends.
fn on_window_key(on_key: impl Fn(&KeyboardEvent) -> bool + Send + Sync + 'static) {
    let on_key = std::sync::Arc::new(on_key);
    Effect::new(move |_| {
        let on_key = on_key.clone();
        let handle = window_event_listener(ev::keydown, move |event| {
            if !event.default_prevented() && on_key(&event) {
                event.prevent_default();
            }
        });
        on_cleanup(move || handle.remove());
    });
}

/// The address behind `G` and a letter.
#[must_use]
pub fn chord(letter: &str) -> Option<&'static str> {
    match letter {
        "l" => Some("/"),
        "o" => Some("/orders"),
        "t" => Some("/traffic"),
        "r" => Some("/resilience"),
        "s" => Some("/traces"),
        _ => None,
    }
}

/// The command of a single key, if it has one.
#[must_use]
pub fn command(key: &str, shift: bool) -> Option<Command> {
    Some(match key {
        " " => Command::Pause,
        "/" => Command::Search,
        "?" => Command::Shortcuts,
        "." => Command::Theme,
        "+" | "=" => Command::LoadBy(LOAD_STEP),
        "-" | "−" => Command::LoadBy(-LOAD_STEP),
        "p" | "P" => Command::PlaceOrder,
        // Caps lock turns the case around; only Shift itself tells the two apart.
        "f" | "F" if shift => Command::RemoveFaults,
        "f" | "F" => Command::Inject,
        "d" | "D" if shift => Command::Presenter,
        _ => return None,
    })
}

/// Listens for the keys that work on every page.
pub(super) fn listen() {
    let frame = use_frame();
    let range = use_range();
    let run = use_commands();
    let chord_since = StoredValue::new(None::<f64>);
    on_window_key(move |event| {
        let ctrl = event.ctrl_key() || event.meta_key();
        if ctrl && event.key().eq_ignore_ascii_case("k") {
            frame.palette.update(|open| *open = !*open);
            return true;
        }
        false
    });
    use_keys(move |key, event| {
        let begun = chord_since.try_update_value(Option::take).flatten();
        if begun.is_some_and(|begun| browser::now_ms() - begun < CHORD_MS)
            && let Some(path) = chord(key)
        {
            run.run(Command::Go(path.to_owned()));
            return true;
        }
        // Space belongs to whatever button has the focus, and to a trace on the map that plays.
        let plays = || browser::has(".walk-bar") && !browser::still();
        if key == " " && (browser::is_operating(event) || plays()) {
            return false;
        }
        match key {
            // Whatever is open closes first.
            "Escape"
                if frame.presenter.get_untracked() && !browser::has(".drawer, dialog[open]") =>
            {
                run.run(Command::Presenter);
            }
            "m" | "M" => return browser::focus_last(".toast .dismiss"),
            "g" => chord_since.set_value(Some(browser::now_ms())),
            "[" => range.choose(neighbour(range.minutes().get_untracked(), -1)),
            "]" => range.choose(neighbour(range.minutes().get_untracked(), 1)),
            _ => match command(key, event.shift_key()) {
                Some(command) => run.run(command),
                None => return false,
            },
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_list_of_shortcuts_says() {
        assert_eq!(command(" ", false), Some(Command::Pause));
        assert_eq!(command("p", false), Some(Command::PlaceOrder));
        assert_eq!(command("D", true), Some(Command::Presenter));
        assert_eq!(command("d", false), None);
        assert_eq!(command("f", false), Some(Command::Inject));
        assert_eq!(command("F", true), Some(Command::RemoveFaults));
        assert_eq!(command("F", false), Some(Command::Inject), "with caps lock");
        assert_eq!(command("f", true), Some(Command::RemoveFaults), "with caps lock");
        assert_eq!((chord("t"), chord("r")), (Some("/traffic"), Some("/resilience")));
        assert_eq!(command("-", false), Some(Command::LoadBy(-10.0)));
        assert_eq!((chord("o"), chord("x")), (Some("/orders"), None));
    }
}
