//! The saga as a stepper: forward on top, to the right; compensations below, to the left.

use super::Story;
use crate::{
    model::{
        fine,
        saga::{Arrow, Card, Column, Glyph, STEPS_MAX, Stepper, stepper},
        story,
    },
    widget::{Icon, icon},
};
use leptos::prelude::*;

pub(super) fn panel(story: Story) -> AnyView {
    let drawn = Memo::new(move |_| {
        story.order.with(|o| {
            let saga = o.saga.as_ref()?;
            Some((stepper(saga, o.zero_us), saga.took_us))
        })
    });
    let sub = move || {
        let took = drawn.with(|d| d.as_ref().and_then(|d| d.1)).map(fine::duration_us);
        took.map_or_else(
            || "orchestrated by orders".to_owned(),
            |t| format!("orchestrated by orders, {t}"),
        )
    };
    let body = move || match drawn.get() {
        Some((stepper, _)) => steps(story, &stepper),
        None => view! { <p class="panel-empty">"The saga has not begun."</p> }.into_any(),
    };
    view! {
        <section class="panel order-saga" aria-labelledby="saga-title">
            <header class="panel-head">
                <h2 id="saga-title">"Saga"</h2>
                <span class="sub">{sub}</span>
                <span class="saga-legend" aria-hidden="true">
                    <span class="legend-forward">"forward"</span>
                    <span class="legend-undo">"compensation, runs backwards"</span>
                </span>
            </header>
            {body}
        </section>
    }
    .into_any()
}

fn steps(story: Story, stepper: &Stepper) -> AnyView {
    let columns = stepper.columns.len().clamp(1, STEPS_MAX);
    let forward = stepper.columns.iter().enumerate().map(|(i, column)| {
        let next = stepper.columns.get(i + 1).map(|next| next.step.began.clone());
        step(story, i, column, next)
    });
    let undo = stepper.columns.iter().enumerate().rev().filter_map(|(i, column)| {
        column.undo.as_ref().map(|(card, arrow)| undo(story, i, card, *arrow))
    });
    let room = stepper.columns.last().is_some_and(|last| last.undo.is_none());
    let place =
        if stepper.compensates && room { "saga-outcome beside" } else { "saga-outcome below" };
    view! {
        <div class=format!("saga saga-{columns}")>
            <ol class="saga-cards">{forward.collect_view()}{undo.collect_view()}</ol>
            <p class=place>{outcome(&stepper.outcome)}</p>
        </div>
    }
    .into_any()
}

/// The sentence, with the word of the outcome in its colour.
fn outcome(text: &str) -> AnyView {
    let word = "cancelled";
    match text.split_once(word) {
        Some((before, after)) => {
            let (before, after) = (before.to_owned(), after.to_owned());
            // One element, so that it wraps as a sentence.
            view! { <span>{before}<b class="undone">{word}</b>{after}</span> }.into_any()
        }
        None => view! { <span>{text.to_owned()}</span> }.into_any(),
    }
}

/// A forward step and the arrow to the next.
fn step(story: Story, index: usize, column: &Column, next: Option<Option<String>>) -> AnyView {
    let arrow = next.map(|began| {
        let class = if column.leads_on { "arrow arrow-right" } else { "arrow arrow-right pale" };
        view! { <span class=class aria-hidden="true">{began}</span> }
    });
    let class =
        format!("card {} col-{} {}", column.step.tone.class(), index + 1, look(&column.step));
    view! { <li class=class>{content(story, &column.step)}{arrow}</li> }.into_any()
}

fn undo(story: Story, index: usize, card: &Card, arrow: Arrow) -> AnyView {
    let class = format!("card undo {} col-{} {}", card.tone.class(), index + 1, look(card));
    let (shape, label) = match arrow {
        Arrow::Down => ("arrow arrow-down".to_owned(), None),
        Arrow::Left => ("arrow arrow-left".to_owned(), card.began.clone()),
        Arrow::Corner(columns) => (format!("arrow arrow-corner far-{columns}"), card.began.clone()),
    };
    view! {
        <li class=class>
            {content(story, card)}
            <span class=shape aria-hidden="true">{label.map(|l| view! { <em>{l}</em> })}</span>
        </li>
    }
    .into_any()
}

const fn look(card: &Card) -> &'static str {
    match card.glyph {
        Glyph::NotReached => "outline",
        Glyph::Running => "running",
        Glyph::Failed | Glyph::Stuck => "failed",
        Glyph::Unknown => "unknown",
        Glyph::Done | Glyph::Undone => "done",
    }
}

/// The card selects the last event of its step and marks the span that did it; each tag selects
/// its own event. Links, so it works without JavaScript.
fn content(story: Story, card: &Card) -> AnyView {
    let glyph = match card.glyph {
        Glyph::Done => Icon::Check,
        Glyph::Running => Icon::Clock,
        Glyph::Failed => Icon::Cross,
        Glyph::Undone => Icon::Back,
        Glyph::NotReached => Icon::Minus,
        Glyph::Stuck | Glyph::Unknown => Icon::Alert,
    };
    let last = card.versions.len().saturating_sub(1);
    let versions = card.versions.iter().enumerate().map(|(i, &version)| {
        let class = if i == last { "version last" } else { "version" };
        let current = move || (story.version.get() == Some(version)).then_some("true");
        let label = format!("Event v{version} of {}", card.title);
        view! {
            <a
                class=class
                href=move || story.href(version)
                data-noscroll=true
                on:click=move |_| story.span.set(None)
                aria-current=current
                aria-label=label
            >
                "v"{version}
            </a>
        }
    });
    view! {
        <span class="glyph">{icon(glyph)}<span class="sr">{card.word}</span></span>
        <span class="card-text" title=format!("{}: {}, {}", card.service, card.word, card.detail)>
            <strong>{title(story, card)}</strong>
            <small>{card.detail.clone()}</small>
        </span>
        <span class="versions">{versions.collect_view()}</span>
    }
    .into_any()
}

/// The title of a card: a link over all of it, if the step has recorded anything.
fn title(story: Story, card: &Card) -> AnyView {
    let text = card.title.clone();
    let Some(&last) = card.versions.last() else { return text.into_any() };
    let (versions, service, time) = (card.versions.clone(), card.service.clone(), card.time_us);
    let current =
        move || story.version.get().is_some_and(|v| versions.contains(&v)).then_some("step");
    let span = move || {
        story.order.with_untracked(|o| {
            let (from_us, trace) = (time.0?, o.trace.as_ref()?);
            let found = story::span_of_step(&service, from_us, time.1, trace);
            found.map(|span| span.span_id.clone())
        })
    };
    view! {
        <a
            class="card-link"
            href=move || story.href(last)
            data-noscroll=true
            on:click=move |_| story.span.set(span())
            aria-current=current
        >
            {text}
        </a>
    }
    .into_any()
}
