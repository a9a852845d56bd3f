//! Banners under the top bar: faults, disconnected, paused, updated. One line each.

use super::state::{Command, use_commands};
use crate::{
    browser,
    live::{Connection, use_live},
    model::format,
    widget::{Icon, icon, use_zone},
};
use leptos::{leptos_dom::helpers::set_interval_with_handle, prelude::*};
use leptos_router::hooks::{use_location, use_query_map};
use std::time::Duration;

/// Seconds from one time of the browser's clock to another, never below zero.
#[must_use]
pub fn seconds_until(at_ms: i64, now_ms: i64) -> i64 {
    (at_ms - now_ms).max(0).saturating_add(999) / 1_000
}

/// When the next try is; once its time has come, it is under way.
#[must_use]
pub fn retry_text(at_ms: i64, now_ms: i64) -> String {
    match seconds_until(at_ms, now_ms) {
        0 => "retrying now".to_owned(),
        seconds => format!("retrying in {seconds} s"),
    }
}

/// Every banner that applies.
#[component]
pub(super) fn Banners() -> impl IntoView {
    let live = use_live();
    let lost = Memo::new(move |_| matches!(live.connection().get(), Connection::Lost { .. }));
    view! {
        <super::faults::FaultBanner/>
        <Show when=move || lost.get()>
            <Disconnected/>
        </Show>
        <Show when=move || live.paused().get()>
            <Paused/>
        </Show>
        <Show when=move || live.updated().get()>
            <Updated/>
        </Show>
        {refused()}
        <noscript inner_html=STANDS_STILL></noscript>
    }
    .into_any()
}

/// Said where nothing on a page moves by itself.
const STANDS_STILL: &str = "<div class=\"banner tone-info\"><span class=\"grow\">\
    Without JavaScript a page shows the moment at which it was asked for.</span>\
    <a class=\"button ghost\" href=\"\">Reload</a></div>";

#[component]
fn Disconnected() -> impl IntoView {
    let live = use_live();
    let zone = use_zone();
    let now_ms = RwSignal::new(0);
    Effect::new(move |_| {
        #[expect(clippy::cast_possible_truncation, reason = "a date in milliseconds")]
        let read = move || browser::now_ms() as i64;
        now_ms.set(read());
        let every = Duration::from_millis(500);
        if let Ok(handle) = set_interval_with_handle(move || now_ms.set(read()), every) {
            on_cleanup(move || handle.clear());
        }
    });
    let retry = move || match live.connection().get() {
        Connection::Lost { retry_at_ms } => retry_text(retry_at_ms, now_ms.get()),
        _ => "retrying now".to_owned(),
    };
    let showing = move || match live.now_us().get() {
        0 => String::new(),
        now => format!("showing {}, ", format::clock(now, zone.get())),
    };
    view! {
        <div class="banner tone-error">
            {icon(Icon::Alert)}
            <strong role="status">"Disconnected"</strong>
            <span class="grow">{showing} {retry}</span>
            <button type="button" class="button ghost" on:click=move |_| live.retry_now()>
                "Retry now"
            </button>
        </div>
    }
    .into_any()
}

/// Pages that show themselves why a form of theirs was refused.
#[must_use]
pub fn shows_refusals(path: &str) -> bool {
    let below = |page: &str| path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/'));
    below("/orders") || path.starts_with("/traffic") || path.starts_with("/resilience")
}

/// Why a form of the frame was refused without JavaScript: the answer leads back here.
fn refused() -> impl IntoView {
    let (path, query) = (use_location().pathname, use_query_map());
    let error = Memo::new(move |_| {
        let error = query.with(|query| query.get("error")).filter(|error| !error.is_empty());
        error.filter(|_| path.with(|path| !shows_refusals(path)))
    });
    move || {
        error.get().map(|text| {
            view! {
                <div class="banner tone-error" role="alert">
                    {icon(Icon::Cross)} <span class="grow">{text}</span>
                </div>
            }
        })
    }
}

/// Nothing is loaded again by itself: somebody may be in the middle of a form.
#[component]
fn Updated() -> impl IntoView {
    let reload = move |_| drop(window().location().reload());
    view! {
        <div class="banner tone-info updated">
            {icon(Icon::Info)}
            <strong role="status">"Vitrine was updated"</strong>
            <span class="grow">"This tab still shows the version before."</span>
            <button type="button" class="button ghost" on:click=reload>"Reload"</button>
        </div>
    }
    .into_any()
}

#[component]
fn Paused() -> impl IntoView {
    let live = use_live();
    let zone = use_zone();
    let run = use_commands();
    let at = move || {
        let at = live.paused_at().get().unwrap_or_default();
        format!("Paused at {}", format::clock(at, zone.get()))
    };
    let waiting = move || {
        let waiting = u64::try_from(live.waiting().get()).unwrap_or(u64::MAX);
        format::plural(waiting, "event waiting", "events waiting")
    };
    view! {
        <div class="banner tone-info">
            {icon(Icon::Pause)}
            <strong role="status">{at}</strong>
            <span class="grow">{waiting}</span>
            <button type="button" class="button ghost" on:click=move |_| run.run(Command::Pause)>
                "Resume"
            </button>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_rounds_up_and_stops_at_zero() {
        assert_eq!(seconds_until(3_100, 100), 3);
        assert_eq!(seconds_until(3_101, 100), 4);
        assert_eq!(seconds_until(0, 5_000), 0);
    }

    #[test]
    fn a_refusal_is_said_once_by_the_page_or_by_the_frame() {
        assert!(["/", "/orders", "/traces/7c1e", "/more"].iter().all(|path| !shows_refusals(path)));
        assert!(["/orders/new", "/traffic", "/resilience"].iter().all(|path| shows_refusals(path)));
    }

    #[test]
    fn a_try_whose_time_has_come_is_said_to_be_under_way() {
        assert_eq!(retry_text(3_100, 100), "retrying in 3 s");
        assert_eq!(retry_text(3_100, 3_100), "retrying now");
    }
}
