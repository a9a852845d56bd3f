//! Times of day. The server writes UTC; the browser switches to local time once it is hydrated.

use crate::model::format;
use leptos::prelude::*;

/// Minutes the shown time zone is east of UTC.
#[derive(Clone, Copy)]
struct Zone(RwSignal<i32>);

/// Makes the zone of this tab: UTC first, so that hydration finds what the server wrote.
pub fn provide_zone() {
    let zone = RwSignal::new(0);
    provide_context(Zone(zone));
    Effect::new(move |_| zone.set(crate::browser::zone_minutes()));
}

/// Minutes the shown time zone is east of UTC; pass it to [`crate::model::format::clock`].
#[must_use]
pub fn use_zone() -> Signal<i32> {
    use_context::<Zone>().map_or_else(|| Signal::stored(0), |zone| zone.0.into())
}

/// How much of a time of day is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStyle {
    /// `14:34:20`
    Seconds,
    /// `14:31:52.408`
    Millis,
    /// `52.408`
    ShortMillis,
    /// `14:34`
    Minutes,
}

/// A moment, with the full date and the zone as its tooltip.
#[component]
pub fn Clock(
    /// Microseconds since the epoch.
    #[prop(into)]
    at_us: Signal<i64>,
    /// How much is written.
    #[prop(default = ClockStyle::Seconds)]
    style: ClockStyle,
) -> impl IntoView {
    let zone = use_zone();
    let text = move || {
        let (at, zone) = (at_us.get(), zone.get());
        match style {
            ClockStyle::Seconds => format::clock(at, zone),
            ClockStyle::Millis => format::clock_ms(at, zone),
            ClockStyle::ShortMillis => format::clock_short_ms(at),
            ClockStyle::Minutes => format::clock_minute(at, zone),
        }
    };
    let title = move || {
        let (at, zone) = (at_us.get(), zone.get());
        let (day, clock) = (format::day(at, zone), format::clock_ms(at, zone));
        format!("{day} {clock} {}", format::zone(zone))
    };
    view! { <time datetime=move || format::iso(at_us.get()) title=title>{text}</time> }
}
