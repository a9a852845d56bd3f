//! What all services wrote about this order; a line leads to the span that wrote it.

use super::Story;
use crate::{
    model::{
        format,
        story::{self, LogFilter},
    },
    widget::{Clock, ClockStyle, LinkTabs, ServiceCode},
};
use contract::trace::{Level, LogView};
use leptos::prelude::*;

/// Lines in the panel at most: the newest are what a long story is about.
const LINES_MAX: usize = 500;

pub(super) fn panel(story: Story) -> AnyView {
    let filter = story.log;
    let logs = Memo::new(move |_| story.order.with(|o| o.logs.clone()));
    let shown = Memo::new(move |_| {
        let filter = filter.get();
        logs.with(|logs| {
            let kept: Vec<LogView> =
                logs.iter().filter(|l| filter.lets(l.level)).cloned().collect();
            let skip = kept.len().saturating_sub(LINES_MAX);
            kept.into_iter().skip(skip).collect::<Vec<_>>()
        })
    });
    let left_until = Memo::new(move |_| story.order.with(|o| o.logs_left_until_us));
    let sub = move || {
        let lines = u64::try_from(shown.with(Vec::len)).unwrap_or(u64::MAX);
        // Of lines that have left nobody knows how many there were.
        let known = lines > 0 || left_until.get().is_none();
        known.then(|| format!("{}, this order", format::plural(lines, "line", "lines")))
    };
    // Links, so that the address tells which lines are shown, with and without JavaScript.
    let choices = [(LogFilter::All, "All"), (LogFilter::Warn, "Warn"), (LogFilter::Error, "Error")];
    let links = Signal::derive(move || {
        let (version, json) = (story.version.get(), story.all_json.get());
        let link = |(filter, text): (LogFilter, &str)| {
            (format!("{}#logs-title", story.address(version, json, filter)), text.to_owned())
        };
        choices.map(link).to_vec()
    });
    let current =
        Signal::derive(move || choices.iter().position(|c| c.0 == filter.get()).unwrap_or(0));
    let empty = move || {
        let none = shown.with(Vec::is_empty);
        let never = left_until.get().is_none() || !logs.with(Vec::is_empty);
        (none && never).then(|| view! { <p class="panel-empty">"No such lines."</p> })
    };
    let left = move || {
        left_until.get().map(|at_us| {
            view! {
                <p class="panel-empty">
                    "Log lines from before "<Clock at_us=at_us style=ClockStyle::Minutes/>
                    " are no longer kept."
                </p>
            }
        })
    };
    view! {
        <section class="panel order-logs" aria-labelledby="logs-title">
            <header class="panel-head">
                <h2 id="logs-title">"Logs"</h2>
                <span class="sub">{sub}</span>
                <div class="head-end">
                    <LinkTabs label="Level" links=links current=current/>
                </div>
            </header>
            <ol class="log-lines" tabindex="0" aria-label="Log lines of the order">
                {move || shown.get().into_iter().map(|l| line(story, l)).collect_view()}
            </ol>
            {empty}
            {left}
        </section>
    }
    .into_any()
}

fn line(story: Story, line: LogView) -> AnyView {
    let tone = match line.level {
        Level::Warn => "log-line warn",
        Level::Error => "log-line error",
        Level::Info | Level::Debug => "log-line",
    };
    let word = match line.level {
        Level::Warn => Some("warning"),
        Level::Error => Some("error"),
        Level::Info | Level::Debug => None,
    };
    let at = format::clock_short_ms(line.at_us);
    // A trace that is not kept any more leads nowhere.
    let kept = line.trace_id.as_ref().filter(|id| story.order.with(|o| o.keeps(id)));
    let href = kept.map(|trace| {
        let span = line.span_id.as_ref().map_or_else(String::new, |s| format!("?span={s}"));
        format!("/traces/{trace}{span}")
    });
    let span = line.span_id.clone();
    let chosen = span.clone();
    let is_chosen = move || chosen.is_some() && story.span.with(|s| *s == chosen);
    let service = line.service.clone();
    let text = line.message.clone();
    let of_event = Memo::new(move |_| {
        let version = story.version.get();
        version.is_some_and(|v| story.events.with(|events| story::is_of_event(&line, events, v)))
    });
    // In the browser the line marks its span beside it; without JavaScript it opens the trace.
    let mark = move |event: leptos::ev::MouseEvent| {
        let plain = !(event.ctrl_key() || event.meta_key() || event.shift_key());
        let on_page = story.order.with_untracked(|o| {
            let spans = o.trace.as_ref().map(|t| &t.spans);
            spans.is_some_and(|spans| spans.iter().any(|s| Some(&s.span_id) == span.as_ref()))
        });
        if plain && on_page {
            event.prevent_default();
            story.span.set(span.clone());
        }
    };
    let level = word.map(|w| view! { <span class="sr">{w}": "</span> });
    view! {
        <li class=tone class:of-event=of_event class:is-chosen=is_chosen>
            <a href=href on:click=mark>
                <span class="log-time">{at}</span>
                <ServiceCode service=service alone=true/>
                <span class="log-text">{level}{text}</span>
            </a>
        </li>
    }
    .into_any()
}
