//! Toasts: bottom right, six seconds, at most three, staying while hovered or focused.

use crate::{
    live::use_live,
    model::{format, tone::Tone},
    widget::{Icon, icon, use_zone},
};
use leptos::{leptos_dom::helpers::set_timeout, prelude::*};
use std::time::Duration;

/// How long a toast stays.
const STAY: Duration = Duration::from_secs(6);
/// More would cover the page.
const TOASTS_MAX: usize = 3;

/// One thing to do about a message: "Undo".
#[derive(Clone)]
pub struct ToastAction {
    /// What its button says.
    pub label: &'static str,
    /// What it does; the message is gone then.
    pub run: Callback<()>,
}

/// One message.
#[derive(Clone)]
pub struct Toast {
    /// Unique in this tab.
    pub id: u64,
    /// `Ok`, `Error` or `Info`.
    pub tone: Tone,
    /// What happened, in a few words.
    pub title: String,
    /// One more line.
    pub text: String,
    /// Where to read more.
    pub href: Option<String>,
    /// What can be done about it.
    pub action: Option<ToastAction>,
}

/// The messages of this tab. Get it with [`use_toasts`].
#[derive(Clone, Copy)]
pub struct Toasts {
    list: RwSignal<Vec<Toast>>,
    next: StoredValue<u64>,
    held: RwSignal<bool>,
}

/// Makes the list of messages.
pub fn provide_toasts() {
    provide_context(Toasts {
        list: RwSignal::new(Vec::new()),
        next: StoredValue::new(0),
        held: RwSignal::new(false),
    });
}

/// The messages of this tab.
///
/// # Panics
/// Outside of the application's root, which provides it: a mistake of the page's author.
#[must_use]
pub fn use_toasts() -> Toasts {
    expect_context::<Toasts>()
}

impl Toasts {
    /// Says that something was done; `href` is where its result can be seen.
    pub fn success(self, title: &str, text: &str, href: Option<String>) {
        self.show(Tone::Ok, title, text, href, None);
    }

    /// Says that something was done, with one thing to do about it: "Undo".
    pub fn done(self, title: &str, text: &str, action: ToastAction) {
        self.show(Tone::Ok, title, text, None, Some(action));
    }

    /// Says that something was not done, and why.
    pub fn failure(self, title: &str, text: &str) {
        self.show(Tone::Error, title, text, None, None);
    }

    /// Says something worth knowing.
    pub fn note(self, title: &str, text: &str) {
        self.show(Tone::Info, title, text, None, None);
    }

    fn show(
        self,
        tone: Tone,
        title: &str,
        text: &str,
        href: Option<String>,
        action: Option<ToastAction>,
    ) {
        let id = self.next.get_value();
        self.next.set_value(id + 1);
        let toast = Toast { id, tone, title: title.into(), text: text.into(), href, action };
        self.list.update(|list| {
            list.push(toast);
            let excess = list.len().saturating_sub(TOASTS_MAX);
            list.drain(..excess);
        });
        set_timeout(move || self.expire(id), STAY);
    }

    fn expire(self, id: u64) {
        if self.held.try_get_untracked().unwrap_or(false) {
            set_timeout(move || self.expire(id), Duration::from_secs(1));
        } else {
            self.dismiss(id);
        }
    }

    fn dismiss(self, id: u64) {
        self.list.try_update(|list| list.retain(|toast| toast.id != id));
    }
}

/// Says so when another run of the server answers this tab.
pub(super) fn announce_restarts() {
    let (live, toasts, zone) = (use_live(), use_toasts(), use_zone());
    Effect::new(move |_| {
        if let Some(started) = live.restarted_us().get() {
            let since = format::clock(started, zone.get_untracked());
            toasts.note("Vitrine restarted", &format!("history starts at {since}"));
        }
    });
}

/// Where toasts appear; a polite live region.
#[component]
pub(super) fn ToastList() -> impl IntoView {
    let toasts = use_toasts();
    let hold = move |held: bool| move || toasts.held.set(held);
    let (enter, leave, focus, blur) = (hold(true), hold(false), hold(true), hold(false));
    view! {
        <div
            class="toasts"
            role="status"
            on:mouseenter=move |_| enter()
            on:mouseleave=move |_| leave()
            on:focusin=move |_| focus()
            on:focusout=move |_| blur()
        >
            <For each=move || toasts.list.get() key=|toast| toast.id let:toast>
                <ToastCard toast=toast/>
            </For>
        </div>
    }
    .into_any()
}

#[component]
fn ToastCard(toast: Toast) -> impl IntoView {
    let toasts = use_toasts();
    let id = toast.id;
    let glyph = match toast.tone {
        Tone::Ok => Icon::Check,
        Tone::Error => Icon::Cross,
        _ => Icon::Info,
    };
    let label = format!("Open {}", toast.text);
    let link = toast.href.map(|href| {
        view! {
            <a
                class="toast-link" href=href aria-label=label
                on:click=move |_| toasts.dismiss(id)
            >
                "Open"
            </a>
        }
    });
    let action = toast.action.map(|action| {
        let run = move |_| {
            toasts.dismiss(id);
            action.run.run(());
        };
        view! {
            <button type="button" class="button ghost toast-action" on:click=run>
                {action.label}
            </button>
        }
    });
    view! {
        <div class=format!("toast {}", toast.tone.class())>
            {icon(glyph)}
            <div class="grow">
                <strong>{toast.title}</strong>
                <span>{toast.text}</span>
            </div>
            {link}
            {action}
            <button
                type="button"
                class="button ghost square"
                aria-label="Dismiss"
                on:click=move |_| toasts.dismiss(id)
            >
                {icon(Icon::Cross)}
            </button>
        </div>
    }
    .into_any()
}
