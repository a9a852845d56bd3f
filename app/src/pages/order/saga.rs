//! The saga as a stepper: forward on top, to the right; compensations below, to the left.

use super::Story;
use crate::{
    model::{
        fine,
        saga::{Arrow, Card, Column, Glyph, STEPS_MAX, Stepper, stepper},
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
        Some((stepper, _)) => steps(&stepper),
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

fn steps(stepper: &Stepper) -> AnyView {
    let columns = stepper.columns.len().clamp(1, STEPS_MAX);
    let forward = stepper.columns.iter().enumerate().map(|(i, column)| {
        let next = stepper.columns.get(i + 1).map(|next| next.step.began.clone());
        step(i, column, next)
    });
    let undo =
        stepper.columns.iter().enumerate().rev().filter_map(|(i, column)| {
            column.undo.as_ref().map(|(card, arrow)| undo(i, card, *arrow))
        });
    let room = stepper.columns.last().is_some_and(|last| last.undo.is_none());
    let place =
        if stepper.compensates && room { "saga-outcome beside" } else { "saga-outcome below" };
    view! {
        <div class=format!("saga saga-{columns}")>
            <ol class="saga-cards">{forward.collect_view()}{undo.collect_view()}</ol>
            <p class=place>{stepper.outcome.clone()}</p>
        </div>
    }
    .into_any()
}

/// A forward step and the arrow to the next.
fn step(index: usize, column: &Column, next: Option<Option<String>>) -> AnyView {
    let arrow = next.map(|began| {
        let class = if column.leads_on { "arrow arrow-right" } else { "arrow arrow-right pale" };
        view! { <span class=class aria-hidden="true">{began}</span> }
    });
    let class =
        format!("card {} col-{} {}", column.step.tone.class(), index + 1, look(&column.step));
    view! { <li class=class>{content(&column.step)}{arrow}</li> }.into_any()
}

fn undo(index: usize, card: &Card, arrow: Arrow) -> AnyView {
    let class = format!("card undo {} col-{} {}", card.tone.class(), index + 1, look(card));
    let (shape, label) = match arrow {
        Arrow::Down => ("arrow arrow-down".to_owned(), None),
        Arrow::Left => ("arrow arrow-left".to_owned(), card.began.clone()),
        Arrow::Corner(columns) => (format!("arrow arrow-corner far-{columns}"), card.began.clone()),
    };
    view! {
        <li class=class>
            {content(card)}
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

fn content(card: &Card) -> AnyView {
    let glyph = match card.glyph {
        Glyph::Done => Icon::Check,
        Glyph::Running => Icon::Clock,
        Glyph::Failed => Icon::Cross,
        Glyph::Undone => Icon::Back,
        Glyph::NotReached => Icon::Minus,
        Glyph::Stuck | Glyph::Unknown => Icon::Alert,
    };
    let last = card.versions.len().saturating_sub(1);
    let versions = card.versions.iter().enumerate().map(|(i, version)| {
        let class = if i == last { "version last" } else { "version" };
        view! { <span class=class>"v"{*version}</span> }
    });
    view! {
        <span class="glyph">{icon(glyph)}<span class="sr">{card.word}</span></span>
        <span class="card-text" title=format!("{}: {}, {}", card.service, card.word, card.detail)>
            <strong>{card.title.clone()}</strong>
            <small>{card.detail.clone()}</small>
        </span>
        <span class="versions">{versions.collect_view()}</span>
    }
    .into_any()
}
