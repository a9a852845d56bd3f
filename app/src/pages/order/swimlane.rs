//! The drawing of one two-phase commit, and the same as a list.
//!
//! Places across are percentages, so the drawing fits any width with text of one size. The drawing
//! is for the eyes and the pointer; the list has a link for each message, which is seen while it
//! has the focus.

use super::Story;
use crate::{
    model::swimlane::{
        Arrow, ArrowTone, BAR, Bar, BarState, Break, Label, Logged, Mark, Of, Phase, PhaseKind,
        Swimlane, Told, height, lane_y, swimlane,
    },
    widget::ServiceCode,
};
use contract::{
    service::PAYMENTS,
    trace::SpanLinkView,
    transaction::{TransactionView, TxMessageKind as Kind},
};
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};

/// Pixels of a rem: where letters are larger the drawing is wider by as much.
const REM: f64 = 16.0;

/// What keyboard and pointer do to a drawing.
#[derive(Clone, Copy)]
struct Pointed {
    /// The line whose link has the focus.
    shown: RwSignal<Option<usize>>,
    /// Opens an address. The drawing is for the pointer: its links are those of the list.
    open: Callback<String>,
}

pub(super) fn drawing(story: Story, tx: &TransactionView) -> AnyView {
    let zero_us = story.order.with_untracked(|o| o.zero_us);
    let drawn = swimlane(tx, zero_us);
    let height = height(drawn.participants.len());
    let width = format!("{:.2}rem", drawn.least_px / REM);
    let navigate = use_navigate();
    let at = Pointed {
        shown: RwSignal::new(None),
        open: Callback::new(move |href: String| navigate(&href, NavigateOptions::default())),
    };
    let svg = view! {
        <svg class="swim" width=width height=height.to_string() aria-hidden="true">
            {definitions()}
            {grid(&drawn, height)}
            {drawn.phases.iter().map(|p| phase(&drawn, *p)).collect_view()}
            {lanes(&drawn)}
            {drawn.bars.iter().map(|b| bar(&drawn, b)).collect_view()}
            {drawn.arrows.iter().map(|a| arrow(story, &drawn, a, at)).collect_view()}
            {drawn.breaks.iter().map(|b| time_break(&drawn, *b, height)).collect_view()}
            {drawn.logged.iter().map(|l| begin(&drawn, l)).collect_view()}
            {drawn.marks.iter().map(|m| mark(&drawn, m, at)).collect_view()}
            {drawn.labels.iter().map(|l| label(&drawn, l, at)).collect_view()}
        </svg>
    };
    view! {
        <div class="swim-body">
            <div class="swim-lanes" aria-hidden="true">{names(tx)}</div>
            <div class="swim-scroll" tabindex="0" role="group" aria-label="Messages in order">
                {svg}
            </div>
            {list(story, &drawn, at)}
        </div>
    }
    .into_any()
}

fn names(tx: &TransactionView) -> AnyView {
    let lane = |service: &str, name: &str, role: String| {
        view! {
            <div class="swim-lane">
                <ServiceCode service=service.to_owned()/>
                <span><strong>{name.to_owned()}</strong><small>{role}</small></span>
            </div>
        }
    };
    let participants = tx
        .participants
        .iter()
        .map(|p| lane(&p.service, &p.service, "participant".to_owned()))
        .collect_view();
    let instance = tx.coordinator.clone().unwrap_or_else(|| PAYMENTS.to_owned());
    view! { {lane(PAYMENTS, "coordinator", instance)}{participants} }.into_any()
}

/// The same, line by line: what a reader reads, and what the keyboard reaches. The link that has
/// the focus stands under the drawing, and its message is strong in it.
fn list(story: Story, drawn: &Swimlane, at: Pointed) -> AnyView {
    let item = |told: &Told| {
        let text = told.text.clone();
        let Some(span) = told.span.clone() else { return view! { <li>{text}</li> }.into_any() };
        let (line, href) = (told.line, address(&span));
        let focus = move |_| {
            at.shown.set(line);
            story.span.set(Some(span.span_id.clone()));
        };
        view! {
            <li><a href=href on:focus=focus on:blur=move |_| at.shown.set(None)>{text}</a></li>
        }
        .into_any()
    };
    let lines = drawn.told.iter().map(item).collect_view();
    view! { <ol class="swim-list">{lines}</ol> }.into_any()
}

/// Where a span is opened.
fn address(span: &SpanLinkView) -> String {
    format!("/traces/{}?span={}", span.trace_id, span.span_id)
}

/// Where a fault is told of; of several the first.
fn fault_address(ids: &str) -> String {
    let id = ids.split(',').next().unwrap_or(ids);
    format!("/resilience?fault={id}#faults")
}

// --- parts of the drawing -------------------------------------------------------------------

fn percent(drawn: &Swimlane, slots: f64) -> String {
    format!("{:.2}%", slots / drawn.width * 100.0)
}

fn definitions() -> AnyView {
    let head = |id: &'static str, class: &'static str| {
        view! {
            <marker
                id=id
                class=class
                viewBox="0 0 8 8"
                refX="7"
                refY="4"
                markerWidth="8"
                markerHeight="8"
                markerUnits="userSpaceOnUse"
                orient="auto"
            >
                <path d="M0 0.5 8 4 0 7.5z"></path>
            </marker>
        }
    };
    view! {
        <defs>
            {head("swim-plain", "head-plain")}
            {head("swim-error", "head-error")}
            {head("swim-commit", "head-commit")}
            {head("swim-abort", "head-abort")}
            {head("swim-query", "head-query")}
            {head("swim-delayed", "head-delayed")}
            <pattern
                id="swim-silent"
                width="6"
                height="6"
                patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)"
            >
                <rect class="silent-ground" width="6" height="6"></rect>
                <rect class="silent-line" width="2.4" height="6"></rect>
            </pattern>
        </defs>
    }
    .into_any()
}

/// A line under each moment that is written.
fn grid(drawn: &Swimlane, height: f64) -> Vec<AnyView> {
    let bottom = (height - 34.0).to_string();
    let written = |i: &usize| drawn.labels.iter().any(|label| label.of == Of::Head(*i));
    let line = |i: usize| {
        let x = percent(drawn, drawn.heads[i].x);
        let y2 = bottom.clone();
        view! { <line class="swim-grid" x1=x.clone() x2=x y1="44" y2=y2></line> }.into_any()
    };
    (0..drawn.heads.len()).filter(written).map(line).collect()
}

const fn phase_class(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Vote => "tx-phase",
        PhaseKind::Commit => "tx-phase phase-commit",
        PhaseKind::Abort => "tx-phase phase-abort",
        PhaseKind::Recovery => "tx-phase phase-recovery",
    }
}

fn phase(drawn: &Swimlane, phase: Phase) -> AnyView {
    let (from, to) = (percent(drawn, phase.from), percent(drawn, phase.to));
    view! {
        <g class=phase_class(phase.kind)>
            <line x1=from x2=to y1="20" y2="20"></line>
        </g>
    }
    .into_any()
}

fn lanes(drawn: &Swimlane) -> AnyView {
    let lines = (0..=drawn.participants.len()).map(|lane| {
        let y = lane_y(lane).to_string();
        view! { <line class="swim-line" x1="0" x2="100%" y1=y.clone() y2=y></line> }
    });
    let from = drawn.lines.first().map_or(0.0, |l| l.x - 0.3);
    let done = drawn.lines.last().filter(|l| l.kind == Kind::End);
    let to = done.map_or(drawn.width, |l| l.x + 0.35);
    view! {
        {lines.collect_view()}
        <rect
            class="tx-state state-coordinator"
            x=percent(drawn, from)
            width=percent(drawn, (to - from).max(0.0))
            y=(lane_y(0) - BAR / 2.0).to_string()
            height=BAR.to_string()
            rx="4"
        ></rect>
    }
    .into_any()
}

const fn bar_class(state: BarState) -> &'static str {
    match state {
        BarState::Working => "tx-state state-working",
        BarState::Prepared => "tx-state state-prepared",
        BarState::Silent | BarState::Down | BarState::Paused => "tx-state state-silent",
        BarState::InDoubt => "tx-state state-doubt",
        BarState::Committed => "tx-state state-committed",
        BarState::Aborted => "tx-state state-aborted",
    }
}

fn bar(drawn: &Swimlane, bar: &Bar) -> AnyView {
    view! {
        <g class=bar_class(bar.state)>
            <rect
                x=percent(drawn, bar.from)
                width=percent(drawn, bar.to - bar.from)
                y=(lane_y(bar.lane) - BAR / 2.0).to_string()
                height=BAR.to_string()
                rx="4"
            ></rect>
        </g>
    }
    .into_any()
}

const fn tone(arrow: &Arrow) -> (&'static str, &'static str) {
    match arrow.tone {
        ArrowTone::Plain => ("arrow-plain", "url(#swim-plain)"),
        ArrowTone::Error => ("arrow-error", "url(#swim-error)"),
        ArrowTone::Commit => ("arrow-commit", "url(#swim-commit)"),
        ArrowTone::Abort => ("arrow-abort", "url(#swim-abort)"),
        ArrowTone::Query => ("arrow-query", "url(#swim-query)"),
        ArrowTone::Delayed => ("arrow-delayed", "url(#swim-delayed)"),
    }
}

/// A message: a click opens its span, the pointer over it marks that in the trace below.
fn arrow(story: Story, drawn: &Swimlane, arrow: &Arrow, at: Pointed) -> AnyView {
    let (y1, y2) = arrow.ends();
    let (class, marker) = tone(arrow);
    let marker = (!arrow.refused).then_some(marker);
    let (x1, x2) = (percent(drawn, arrow.from.0), percent(drawn, arrow.to.0));
    let index = arrow.line;
    let span = drawn.lines[index].span.clone();
    let cross = arrow.refused.then(|| {
        view! {
            <svg x=x2.clone() y=y2.to_string() class="swim-cross" overflow="visible">
                <path d="M-5-9 5 1M5-9-5 1"></path>
            </svg>
        }
    });
    let drawing = view! {
        <line
            class="swim-hit"
            x1=x1.clone() x2=x2.clone() y1=y1.to_string() y2=y2.to_string()
        ></line>
        <line
            class="swim-shaft"
            x1=x1 x2=x2 y1=y1.to_string() y2=y2.to_string() marker-end=marker
        ></line>
        {cross}
    };
    let strong = move || at.shown.get() == Some(index);
    let class = format!("swim-arrow {class}");
    let Some(span) = span else { return view! { <g class=class>{drawing}</g> }.into_any() };
    let href = address(&span);
    let over = move |_| story.span.set(Some(span.span_id.clone()));
    view! {
        <g
            class=format!("{class} opens")
            class:shown=strong
            on:pointerenter=over
            on:click=move |_| at.open.run(href.clone())
        >
            {drawing}
        </g>
    }
    .into_any()
}

/// What is written somewhere; a chip of a fault opens the fault.
fn label(drawn: &Swimlane, label: &Label, at: Pointed) -> AnyView {
    let class = match label.of {
        Of::Fault(_) => return chip(drawn, label, at),
        Of::Logged(i) if label.block().is_some() => {
            return decision(drawn, label, drawn.logged[i].kind);
        }
        Of::Head(i) => match (drawn.heads[i].strong, drawn.heads[i].error) {
            (_, true) => "swim-time error",
            (true, _) => "swim-time strong",
            _ => "swim-time",
        }
        .to_owned(),
        Of::Break(_) => "swim-skipped".to_owned(),
        Of::Phase(i) => phase_class(drawn.phases[i].kind).to_owned(),
        Of::Logged(i) if drawn.logged[i].kind == Kind::Begin => "swim-word".to_owned(),
        Of::Logged(_) => "swim-word strong".to_owned(),
        Of::Note(i) => match (drawn.notes[i].error, drawn.notes[i].ends) {
            (true, _) => "swim-note error",
            (_, true) => "swim-note quiet",
            _ => "swim-note",
        }
        .to_owned(),
        Of::Word(i) => format!("swim-label {}", tone(&drawn.arrows[i]).0),
        Of::Bar(i) => bar_class(drawn.bars[i].state).to_owned(),
    };
    view! {
        <g class=class>
            <text
                x=percent(drawn, label.x)
                y=label.y.to_string()
                dx=format!("{:.1}", label.dx)
                text-anchor=label.anchor.word()
            >
                {label.text.clone()}
            </text>
        </g>
    }
    .into_any()
}

/// What a fault did to an arrow.
fn chip(drawn: &Swimlane, label: &Label, at: Pointed) -> AnyView {
    let href = fault_address(label.text.split(':').next().unwrap_or_default());
    view! {
        <g class="swim-fault" on:click=move |_| at.open.run(href.clone())>
            {block(drawn, label, "")}
        </g>
    }
    .into_any()
}

fn decision(drawn: &Swimlane, label: &Label, kind: Kind) -> AnyView {
    let class = if kind == Kind::DecideCommit { "decision decision-commit" } else { "decision" };
    block(drawn, label, class)
}

/// Words on a block of their own.
fn block(drawn: &Swimlane, label: &Label, class: &'static str) -> AnyView {
    let half = label.block().unwrap_or_default();
    let (left, middle) = (format!("{:.1}", label.dx - half), format!("{:.1}", label.dx));
    let wide = format!("{:.1}", half * 2.0);
    view! {
        <svg x=percent(drawn, label.x) y=label.y.to_string() overflow="visible" class=class>
            <rect x=left y="-9" width=wide height=BAR.to_string() rx="4"></rect>
            <text x=middle y="4" text-anchor="middle">{label.text.clone()}</text>
        </svg>
    }
    .into_any()
}

/// The cross of a crash, where the bar of the state before it ends.
fn mark(drawn: &Swimlane, mark: &Mark, at: Pointed) -> AnyView {
    if !mark.begins_outage() {
        return ().into_any();
    }
    let (x, y) = (percent(drawn, mark.x), lane_y(mark.lane).to_string());
    let cross = view! {
        <svg x=x y=y class="swim-crash" overflow="visible"><path d="M-5-7 5 7M5-7-5 7"></path></svg>
    };
    match mark.fault_id.as_deref().map(fault_address) {
        Some(href) => {
            view! { <g class="opens" on:click=move |_| at.open.run(href.clone())>{cross}</g> }
                .into_any()
        }
        None => cross.into_any(),
    }
}

/// The point at which it begins.
fn begin(drawn: &Swimlane, logged: &Logged) -> AnyView {
    let x = percent(drawn, logged.x - 0.18);
    (logged.kind == Kind::Begin)
        .then(|| view! { <circle class="swim-begin" cx=x cy=lane_y(0).to_string() r="3"></circle> })
        .into_any()
}

/// A zigzag over all lanes.
fn time_break(drawn: &Swimlane, gap: Break, height: f64) -> AnyView {
    let mut zigzag = String::from("M0 0");
    let mut ground = 0.0;
    for step in ["l4 8", "l-4 8"].iter().cycle() {
        if ground + 8.0 > height - 34.0 - 44.0 {
            break;
        }
        zigzag.push_str(step);
        ground += 8.0;
    }
    let (left, right, ground) = (zigzag.clone(), zigzag, ground.to_string());
    view! {
        <svg class="swim-break" x=percent(drawn, gap.x) y="46" overflow="visible">
            <rect x="-3" width="10" height=ground></rect>
            <g transform="translate(-5 0)"><path d=left></path></g>
            <g transform="translate(5 0)"><path d=right></path></g>
        </svg>
    }
    .into_any()
}
