//! Toasts: bottom right, six seconds, at most three, staying while hovered or focused.
//!
//! What they say is said once to those who cannot see it: what was done when nothing else is being
//! said, what failed at once. They never take the focus; M goes to the newest, Esc takes it away
//! and gives the focus back.

use super::lazily::{self, Body};
use crate::{
    browser,
    live::use_live,
    model::{format, tone::Tone},
    widget::{Icon, icon, use_zone},
};
use contract::order::{OrderRow, OrderStatus};
use leptos::{ev, leptos_dom::helpers::set_timeout, prelude::*};
use std::{cell::RefCell, sync::Arc, time::Duration};
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// How long a toast stays.
const STAY: Duration = Duration::from_secs(6);
/// More would cover the page.
const TOASTS_MAX: usize = 3;

/// One thing to do about a message: "Undo".
#[derive(Clone)]
pub struct ToastAction {
    /// What its button says.
    pub label: &'static str,
    /// What it does; the message is gone then. Its own, not a page's: it outlives what led to it.
    pub run: Arc<dyn Fn() + Send + Sync>,
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
    /// The order whose end it tells when that comes.
    pub order: Option<String>,
}

/// The messages of this tab. Get it with [`use_toasts`].
#[derive(Clone, Copy)]
pub struct Toasts {
    list: RwSignal<Vec<Toast>>,
    next: StoredValue<u64>,
    held: RwSignal<bool>,
    /// What is said when nothing else is being said, and what is said at once.
    said: [RwSignal<String>; 2],
}

thread_local! {
    /// What had the focus before a toast got it. Only browsers have one, so on the server, where a
    /// thread serves many, it stays empty.
    static BEFORE: RefCell<Option<HtmlElement>> = const { RefCell::new(None) };
}

/// Makes the list of messages.
pub fn provide_toasts() {
    provide_context(Toasts {
        list: RwSignal::new(Vec::new()),
        next: StoredValue::new(0),
        held: RwSignal::new(false),
        said: [RwSignal::new(String::new()), RwSignal::new(String::new())],
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

    /// Says that an order was placed, and what became of it as soon as that is known.
    pub fn placed(self, order_id: &str) {
        let toast = Toast {
            id: 0,
            tone: Tone::Info,
            title: "Order placed".into(),
            text: order_id.into(),
            href: Some(format!("/orders/{order_id}")),
            action: None,
            order: Some(order_id.into()),
        };
        self.push(toast);
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
        let (title, text) = (title.into(), text.into());
        self.push(Toast { id: 0, tone, title, text, href, action, order: None });
    }

    fn push(self, toast: Toast) {
        let id = self.next.get_value();
        self.next.set_value(id + 1);
        self.say(&toast);
        self.list.update(|list| {
            list.push(Toast { id, ..toast });
            let excess = list.len().saturating_sub(TOASTS_MAX);
            list.drain(..excess);
        });
        set_timeout(move || self.expire(id), STAY);
    }

    /// Puts its words, without its buttons, where they are said once.
    fn say(self, toast: &Toast) {
        let [polite, urgent] = self.said;
        let region = if toast.tone == Tone::Error { urgent } else { polite };
        region.update(|words| {
            let now = [&toast.title, ". ", &toast.text].concat();
            // Only what changes is said.
            let again = if *words == now { "\u{a0}" } else { "" };
            *words = now + again;
        });
    }

    fn expire(self, id: u64) {
        if self.held.try_get_untracked().unwrap_or(false) {
            set_timeout(move || self.expire(id), Duration::from_secs(1));
        } else {
            self.dismiss(id);
        }
    }

    fn dismiss(self, id: u64) {
        let gone = self.list.try_update(|list| {
            list.retain(|toast| toast.id != id);
            list.is_empty()
        });
        if gone == Some(true) {
            // What is gone tells of no pointer or focus that leaves it.
            self.held.set(false);
            self.said.iter().for_each(|words| words.set(String::new()));
        }
    }

    /// Takes one away by hand: a focus in it goes back to where it came from.
    fn put_away(self, id: u64) {
        let within = browser::has(".toasts :focus");
        self.dismiss(id);
        self.held.set(false);
        if within {
            browser::focus_again(BEFORE.take());
        }
    }

    /// Remembers what has the focus when it comes into a toast.
    fn entered(self, event: &ev::FocusEvent) {
        self.held.set(true);
        let from = event.related_target().and_then(|from| from.dyn_into::<HtmlElement>().ok());
        let outside = |from: &HtmlElement| from.closest(".toasts").ok().flatten().is_none();
        if from.as_ref().is_none_or(outside) {
            BEFORE.set(from);
        }
    }
}

/// Tone and title of a toast about an order: only its end is good news or bad.
fn ending(row: &OrderRow) -> Option<(Tone, String)> {
    match row.status {
        OrderStatus::Processing => None,
        OrderStatus::Confirmed | OrderStatus::Shipped => {
            Some((Tone::Ok, format!("Order {}", row.status)))
        }
        OrderStatus::Cancelled => {
            let why = row.phase.to_lowercase();
            let title = format!("Order cancelled: {why}");
            Some((Tone::Comp, if why.is_empty() { "Order cancelled".into() } else { title }))
        }
    }
}

/// What stands for a tone beside its colour: an order that was undone is no failure.
fn glyph(tone: Tone) -> Icon {
    match tone {
        Tone::Ok => Icon::Check,
        Tone::Error => Icon::Cross,
        Tone::Comp => Icon::Back,
        _ => Icon::Info,
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

/// Where toasts appear, and where their words are for those who do not see them.
#[component]
pub(super) fn ToastList() -> impl IntoView {
    let toasts = use_toasts();
    let [polite, urgent] = toasts.said;
    let any = Memo::new(move |_| toasts.list.with(|list| !list.is_empty()));
    view! {
        <div class="sr" aria-live="polite">{move || polite.get()}</div>
        <div class="sr" aria-live="assertive">{move || urgent.get()}</div>
        {move || any.get().then(|| lazily::or_plain(Body::Toasts, plain))}
    }
    .into_any()
}

/// The words alone, for as long as what draws cards has not come.
fn plain() -> AnyView {
    let [polite, urgent] = use_toasts().said;
    view! {
        <div class="toasts">
            <div class="toast">{move || polite.get()} {move || urgent.get()}</div>
        </div>
    }
    .into_any()
}

/// The toasts, each with what can be done about it.
pub(super) fn cards() -> AnyView {
    let toasts = use_toasts();
    view! {
        <div
            class="toasts"
            on:mouseenter=move |_| toasts.held.set(true)
            on:mouseleave=move |_| toasts.held.set(false)
            on:focusin=move |event| toasts.entered(&event)
            on:focusout=move |_| toasts.held.set(false)
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
    let orders = use_live().orders();
    let (first, order) = ((toast.tone, toast.title), toast.order);
    let said = Memo::new(move |_| {
        let ended = order.as_ref().and_then(|id| {
            orders.with(|rows| rows.iter().find(|row| row.order_id == *id).and_then(ending))
        });
        ended.unwrap_or_else(|| first.clone())
    });
    let glyph = move || icon(glyph(said.with(|(tone, _)| *tone)));
    let class = move || format!("toast {}", said.with(|(tone, _)| tone.class()));
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
            toasts.put_away(id);
            (action.run)();
        };
        view! {
            <button type="button" class="button ghost toast-action" on:click=run>
                {action.label}
            </button>
        }
    });
    let key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            toasts.put_away(id);
        }
    };
    view! {
        <div class=class on:keydown=key>
            {glyph}
            <div class="grow">
                <strong>{move || said.with(|(_, title)| title.clone())}</strong>
                <span>{toast.text}</span>
            </div>
            {link}
            {action}
            <button
                type="button"
                class="button ghost square dismiss"
                aria-label="Dismiss"
                on:click=move |_| toasts.put_away(id)
            >
                {icon(Icon::Cross)}
            </button>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{Origin, StepMark},
    };

    #[test]
    fn an_order_that_is_only_placed_is_no_good_news_and_a_declined_one_is_none_either() {
        let row = |status, phase: &str| OrderRow {
            order_id: "ord-1".into(),
            user_id: "c-1042".into(),
            total: Money::eur(100),
            status,
            phase: phase.into(),
            steps: [StepMark::NotReached; 3],
            placed_at_us: 0,
            took_us: None,
            origin: Origin::Browser,
            version: 1,
        };
        assert_eq!(ending(&row(OrderStatus::Processing, "Payment declined")), None);
        let declined = ending(&row(OrderStatus::Cancelled, "Payment declined"));
        assert_eq!(declined, Some((Tone::Comp, "Order cancelled: payment declined".to_owned())));
        assert_eq!(declined.map(|(tone, _)| glyph(tone)), Some(Icon::Back));
        assert_eq!(glyph(Tone::Error), Icon::Cross);
        let confirmed = ending(&row(OrderStatus::Confirmed, "Confirmed"));
        assert_eq!(confirmed, Some((Tone::Ok, "Order confirmed".into())));
    }
}
