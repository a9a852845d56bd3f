//! The connection of a tab to `/ui/live`: opened once, opened again with growing pauses.
//!
//! Starts only in the browser, after hydration. Knows nothing of pages: frames go to the store.

use super::store::{Connection, Live, WantedCharts};
use crate::browser;
use contract::{
    live::{LiveBody, LiveFrame},
    service,
};
use leptos::{
    leptos_dom::helpers::{IntervalHandle, TimeoutHandle},
    prelude::*,
};
use std::time::Duration;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

/// Where the server streams frames, each message one JSON [`LiveFrame`].
pub const LIVE_PATH: &str = "/ui/live";
/// Numbers change at most twice a second.
const TICK: Duration = Duration::from_millis(500);
/// The map comes once a second: so long without a frame means that the line is dead.
const SILENCE_MAX_MS: f64 = 10_000.0;
/// First pause before trying again, doubled each time.
const RETRY_FIRST_MS: f64 = 1_000.0;
/// Longest pause before trying again.
const RETRY_MAX_MS: f64 = 15_000.0;

/// The pause before the next try, after so many failed ones; `luck` (0 to 1) spreads the tabs.
#[must_use]
pub fn retry_pause_ms(failed: u32, luck: f64) -> f64 {
    let pause = RETRY_FIRST_MS * f64::from(2_u32.saturating_pow(failed.min(10)));
    pause.min(RETRY_MAX_MS) * (0.8 + 0.4 * luck.clamp(0.0, 1.0))
}

/// The address with these charts in the first frame; without a length there are none.
#[must_use]
pub fn address(charts: &WantedCharts) -> String {
    match (charts.minutes, charts.of.as_str()) {
        (0, _) => LIVE_PATH.to_owned(),
        (minutes, "" | service::GATEWAY) => format!("{LIVE_PATH}?minutes={minutes}"),
        (minutes, of) => format!("{LIVE_PATH}?minutes={minutes}&of={of}"),
    }
}

/// Whether the line has to be opened again for other charts: it brings longer ones than are looked
/// at, but none of another service.
fn lacks(open: &WantedCharts, wanted: &WantedCharts) -> bool {
    wanted.minutes > open.minutes || (wanted.minutes > 0 && wanted.of != open.of)
}

/// One open connection and the closures it calls.
struct Line {
    source: EventSource,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// What belongs to the connection of this tab.
#[derive(Clone, Copy)]
struct Stream {
    live: Live,
    line: StoredValue<Option<Line>, LocalStorage>,
    retry: StoredValue<Option<TimeoutHandle>, LocalStorage>,
    failed: StoredValue<u32>,
    last_frame_ms: StoredValue<f64>,
    /// The charts that were asked for when the line was opened.
    charts: StoredValue<WantedCharts>,
    /// Server clock minus browser clock, milliseconds.
    skew_ms: StoredValue<f64>,
}

/// Opens the stream of this tab once the page is hydrated, and closes it with the page.
pub fn start(live: Live) {
    // Everything that may not leave the browser's thread is made inside the effect, which the
    // server never runs.
    Effect::new(move |_| {
        let stream = Stream {
            live,
            line: StoredValue::new_local(None),
            retry: StoredValue::new_local(None),
            failed: StoredValue::new(0),
            last_frame_ms: StoredValue::new(0.0),
            charts: StoredValue::new(WantedCharts::default()),
            skew_ms: StoredValue::new(0.0),
        };
        let ticker: Option<IntervalHandle> =
            set_interval_with_handle(move || stream.tick(), TICK).ok();
        let asked = live.retry_asked();
        Effect::watch(move || asked.get(), move |_, _, _| stream.open(), false);
        let wanted = live.wanted_charts();
        // Runs after the page has said what it wants, so that one connection is enough.
        Effect::new(move |opened: Option<()>| {
            let lacks = wanted.with(|wanted| stream.charts.with_value(|open| lacks(open, wanted)));
            if lacks || opened.is_none() {
                stream.open();
            }
        });
        on_cleanup(move || {
            if let Some(ticker) = ticker {
                ticker.clear();
            }
            stream.stop();
        });
    });
}

impl Stream {
    fn open(self) {
        self.stop();
        let charts = self.live.wanted_charts().get_untracked();
        let address = address(&charts);
        self.charts.set_value(charts);
        let Ok(source) = EventSource::new(&address) else {
            self.lost();
            return;
        };
        self.last_frame_ms.set_value(browser::now_ms());
        let on_message = Closure::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string() {
                self.message(&text);
            }
        });
        let on_error = Closure::new(move || self.lost());
        source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        self.line.set_value(Some(Line { source, _on_message: on_message, _on_error: on_error }));
    }

    fn stop(self) {
        if let Some(Some(retry)) = self.retry.try_update_value(Option::take) {
            retry.clear();
        }
        // Not dropped in place: this may run inside a closure of the line itself.
        if let Some(Some(line)) = self.line.try_update_value(Option::take) {
            line.source.close();
            set_timeout(move || drop(line), Duration::ZERO);
        }
    }

    fn message(self, text: &str) {
        let frame: LiveFrame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => {
                leptos::logging::warn!("A frame of the live stream could not be read: {error}");
                return;
            }
        };
        let now = browser::now_ms();
        self.last_frame_ms.set_value(now);
        #[expect(clippy::cast_precision_loss, reason = "a date fits into 52 bits of microseconds")]
        let skew = frame.at_us as f64 / 1_000.0 - now;
        // A frame can only be late: the largest difference seen is the best guess of the clock.
        self.skew_ms.update_value(|best| {
            if *best == 0.0 || skew > *best || *best - skew > 2_000.0 {
                *best = skew;
            }
        });
        let whole = matches!(frame.body, LiveBody::Snapshot(_));
        let effects = self.live.take(frame);
        if whole {
            self.live.hold_charts(self.charts.get_value());
        }
        if effects.bye {
            self.lost();
        } else if effects.resync {
            self.open();
        } else {
            self.failed.set_value(0);
            self.live.set_connection(Connection::Live);
        }
    }

    /// The connection broke: try again after a pause that grows.
    fn lost(self) {
        self.stop();
        let failed = self.failed.get_value();
        self.failed.set_value(failed.saturating_add(1));
        let pause = retry_pause_ms(failed, js_sys::Math::random());
        #[expect(clippy::cast_possible_truncation, reason = "a date in milliseconds")]
        let retry_at_ms = (browser::now_ms() + pause) as i64;
        self.live.set_connection(Connection::Lost { retry_at_ms });
        let pause = Duration::from_secs_f64(pause / 1_000.0);
        self.retry.set_value(set_timeout_with_handle(move || self.open(), pause).ok());
    }

    fn tick(self) {
        let now = browser::now_ms();
        // Also a connection that was never answered: the browser waits for it without an end.
        let open = self.line.with_value(Option::is_some);
        if open && now - self.last_frame_ms.get_value() > SILENCE_MAX_MS {
            self.lost();
            return;
        }
        if self.live.connection().get_untracked() != Connection::Live {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a date fits into 64 bits")]
        self.live.set_now(((now + self.skew_ms.get_value()) * 1_000.0) as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_with_charts_asks_for_their_points() {
        let charts = |minutes, of: &str| WantedCharts { minutes, of: of.into() };
        assert_eq!(address(&WantedCharts::default()), "/ui/live");
        assert_eq!(address(&charts(15, "gateway")), "/ui/live?minutes=15");
        assert_eq!(address(&charts(5, "payments")), "/ui/live?minutes=5&of=payments");
    }

    #[test]
    fn longer_charts_and_those_of_another_service_need_another_line_and_shorter_ones_do_not() {
        let charts = |minutes, of: &str| WantedCharts { minutes, of: of.into() };
        let open = charts(15, "gateway");
        assert!(!lacks(&open, &charts(5, "gateway")));
        assert!(lacks(&open, &charts(60, "gateway")));
        assert!(lacks(&open, &charts(5, "payments")));
        assert!(!lacks(&open, &charts(0, "")), "a page without charts");
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_spread() {
        assert!((retry_pause_ms(0, 0.5) - 1_000.0).abs() < 1e-9);
        assert!((retry_pause_ms(2, 0.5) - 4_000.0).abs() < 1e-9);
        assert!((retry_pause_ms(60, 0.5) - RETRY_MAX_MS).abs() < 1e-9);
        assert!(retry_pause_ms(3, 0.0) < retry_pause_ms(3, 1.0));
    }
}
