//! What moves the walk: the clock while it plays, the keys, and a span that the address names.

use super::{Traced, use_traced};
use crate::{
    browser,
    frame::{
        range::{QueryChange, use_set_query},
        use_keys,
    },
    model::walk::{Moment, Pace},
};
use leptos::{leptos_dom::helpers::request_animation_frame, prelude::*};

/// Least time between two drawings, milliseconds.
const FRAME_MS: f64 = 33.0;
/// A frame stands for so much time at most: a tab that was hidden goes on where it was.
const LATE_MS: f64 = 100.0;

/// Listens as long as the trace is on the map.
pub(super) fn alive() {
    let (traced, set) = (use_traced(), use_set_query());
    Effect::new(move |before: Option<()>| {
        if before.is_none() {
            traced.begin();
        }
    });
    Effect::new(move |before: Option<Option<String>>| {
        let span = traced.span.get();
        if before.is_some_and(|before| before != span) {
            follow_address(traced, span.as_deref());
        }
        span
    });
    Effect::new(move |_| {
        if traced.playing.get() {
            next(traced, browser::now_ms());
        }
    });
    use_keys(move |key, event| {
        match key {
            // Where nothing moves by itself there is nothing to play: it pauses live data then.
            " " if browser::is_operating(event) || browser::still() => return false,
            " " => toggle(traced, set),
            // A choice among speeds or layers has them for itself.
            "ArrowRight" | "ArrowLeft" if browser::has("input:focus") => return false,
            "ArrowRight" => step(traced, set, true, !event.repeat()),
            "ArrowLeft" => step(traced, set, false, !event.repeat()),
            "Escape" if !browser::has(".drawer, dialog[open]") => traced.leave(set),
            _ => return false,
        }
        true
    });
}

/// To the span of the address, where the walk is not there yet.
fn follow_address(traced: Traced, span: Option<&str>) {
    let moment = traced.walk.with_untracked(|walk| {
        let (walk, span) = (walk.as_ref()?, span?);
        let here = walk.steps.get(traced.moment.get_untracked().step)?;
        walk.at_span(span).filter(|_| here.span_id != span)
    });
    if let Some(moment) = moment {
        traced.playing.set(false);
        traced.moment.set(moment);
    }
}

/// The pace that was chosen, or the one that suits the trace.
pub(super) fn pace(traced: Traced) -> Pace {
    let length_us = traced.walk.with(|walk| walk.as_ref().map_or(0, |walk| walk.length_us));
    traced.pace.get().unwrap_or_else(|| Pace::for_length(length_us))
}

/// One frame after the other, until it ends or stands.
fn next(traced: Traced, last_ms: f64) {
    request_animation_frame(move || {
        if traced.playing.try_get_untracked() != Some(true) {
            return;
        }
        let (now_ms, pace) = (browser::now_ms(), untrack(|| pace(traced)));
        if now_ms - last_ms < FRAME_MS {
            next(traced, last_ms);
            return;
        }
        let seconds = (now_ms - last_ms).min(LATE_MS) / 1_000.0;
        let over = traced.walk.with_untracked(|walk| {
            let Some(walk) = walk else { return true };
            let at_us = traced.moment.get_untracked().at_us + seconds * pace.rate(walk.length_us);
            let moment = walk.at_time(at_us);
            traced.moment.set(moment);
            walk.is_over(moment)
        });
        if over {
            traced.playing.set(false);
        } else {
            next(traced, now_ms);
        }
    });
}

/// Plays or stands; from its end it begins again.
pub(super) fn toggle(traced: Traced, set: Callback<QueryChange>) {
    if traced.playing.get_untracked() {
        traced.playing.set(false);
        tell(traced, set);
        return;
    }
    if browser::still() {
        return;
    }
    let moment = traced.moment.get_untracked();
    if traced.walk.with_untracked(|walk| walk.as_ref().is_some_and(|walk| walk.is_over(moment))) {
        traced.moment.set(Moment::default());
    }
    traced.playing.set(true);
}

/// One span on or back. A key that is held down changes the address only once: browsers refuse
/// more than some changes a second.
pub(super) fn step(traced: Traced, set: Callback<QueryChange>, forward: bool, told: bool) {
    traced.playing.set(false);
    let from = traced.moment.get_untracked();
    let to = traced.walk.with_untracked(|walk| {
        let walk = walk.as_ref()?;
        Some(if forward { walk.forward(from) } else { walk.back(from) })
    });
    traced.moment.set(to.unwrap_or(from));
    if told {
        tell(traced, set);
    }
}

/// To a moment of the trace.
pub(super) fn seek(traced: Traced, at_us: f64) {
    traced.playing.set(false);
    let to = traced.walk.with_untracked(|walk| Some(walk.as_ref()?.at_time(at_us)));
    traced.moment.set(to.unwrap_or_default());
}

/// To a span.
pub(super) fn show(traced: Traced, set: Callback<QueryChange>, span_id: &str) {
    traced.playing.set(false);
    let to = traced.walk.with_untracked(|walk| walk.as_ref()?.at_span(span_id));
    if let Some(to) = to {
        traced.moment.set(to);
        tell(traced, set);
    }
}

/// Has the address name the current span, so that a link shows the same.
fn tell(traced: Traced, set: Callback<QueryChange>) {
    let step = traced.moment.get_untracked().step;
    let id = traced.walk.with_untracked(|w| Some(w.as_ref()?.steps.get(step)?.span_id.clone()));
    set.run(vec![("span", id)]);
}
