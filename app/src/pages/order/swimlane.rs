//! The drawing of one two-phase commit, and the same as a list.
//!
//! Places across are percentages, so the drawing fits any width with text of one size. The drawing
//! is for the eyes and the pointer; the list has a link for each message, which is seen while it
//! has the focus.

use super::Story;
use crate::{
    model::{
        fine,
        swimlane::{
            Arrow, ArrowTone, Bar, BarState, Break, Head, Logged, Mark, Note, Phase, PhaseKind,
            Swimlane, Told, swimlane,
        },
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

/// Middle of the coordinator's lane, pixels from the top.
const FIRST_LANE: usize = 64;
/// From one lane to the next.
const LANE: usize = 61;
/// Height of a state's bar.
const BAR: usize = 18;

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
    let height = FIRST_LANE + LANE * drawn.participants.len() + 36;
    let width = if drawn.width > 36.0 {
        "swim swim-longest"
    } else if drawn.width > 25.0 {
        "swim swim-long"
    } else {
        "swim"
    };
    let navigate = use_navigate();
    let at = Pointed {
        shown: RwSignal::new(None),
        open: Callback::new(move |href: String| navigate(&href, NavigateOptions::default())),
    };
    let svg = view! {
        <svg class=width height=height.to_string() aria-hidden="true">
            {definitions()}
            {drawn.heads.iter().map(|h| moment(&drawn, h, height)).collect_view()}
            {drawn.phases.iter().map(|p| phase(&drawn, *p)).collect_view()}
            {lanes(&drawn)}
            {drawn.bars.iter().map(|b| bar(&drawn, b)).collect_view()}
            {drawn.arrows.iter().map(|a| arrow(story, &drawn, a, at)).collect_view()}
            {drawn.breaks.iter().map(|b| time_break(&drawn, *b, height)).collect_view()}
            {drawn.arrows.iter().map(|a| arrow_label(&drawn, a, at)).collect_view()}
            {drawn.logged.iter().map(|l| logged(&drawn, l)).collect_view()}
            {drawn.marks.iter().map(|m| mark(&drawn, m, at)).collect_view()}
            {drawn.notes.iter().map(|n| note(&drawn, n)).collect_view()}
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

fn lane_y(lane: usize) -> usize {
    FIRST_LANE + lane * LANE
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

fn moment(drawn: &Swimlane, head: &Head, height: usize) -> AnyView {
    let bottom = (height - 34).to_string();
    let x = percent(drawn, head.x);
    let class = match (head.strong, head.error) {
        (_, true) => "swim-time error",
        (true, _) => "swim-time strong",
        _ => "swim-time",
    };
    view! {
        <line class="swim-grid" x1=x.clone() x2=x.clone() y1="44" y2=bottom></line>
        <text class=class x=x y="38" text-anchor="middle">{head.text.clone()}</text>
    }
    .into_any()
}

fn phase(drawn: &Swimlane, phase: Phase) -> AnyView {
    let (text, class) = match phase.kind {
        PhaseKind::Vote => ("Phase 1: prepare and vote", "tx-phase"),
        PhaseKind::Commit => ("Phase 2: commit", "tx-phase phase-commit"),
        PhaseKind::Abort => ("Phase 2: abort", "tx-phase phase-abort"),
        PhaseKind::Recovery => ("Recovery of the in-doubt participant", "tx-phase phase-recovery"),
    };
    let (from, to) = (percent(drawn, phase.from), percent(drawn, phase.to));
    view! {
        <g class=class>
            <text x=from.clone() y="13">{text}</text>
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
            y=(FIRST_LANE - BAR / 2).to_string()
            height=BAR.to_string()
            rx="4"
        ></rect>
    }
    .into_any()
}

fn bar(drawn: &Swimlane, bar: &Bar) -> AnyView {
    let class = match bar.state {
        BarState::Working => "tx-state state-working",
        BarState::Prepared => "tx-state state-prepared",
        BarState::Silent | BarState::Down | BarState::Paused => "tx-state state-silent",
        BarState::InDoubt => "tx-state state-doubt",
        BarState::Committed => "tx-state state-committed",
        BarState::Aborted => "tx-state state-aborted",
    };
    let y = lane_y(bar.lane);
    let (from, to) = drawn.room(bar);
    let room = to - from;
    // A character of the words takes some six pixels of the seventy to fifty of a slot.
    let needed = bar.words.chars().count() as f64 * drawn.width / 135.0;
    let text = if room > needed { bar.words.clone() } else { bar.state.word().to_owned() };
    let wide = room > 0.72 && bar.state != BarState::Working;
    let middle = percent(drawn, f64::midpoint(from, to));
    view! {
        <g class=class>
            <rect
                x=percent(drawn, bar.from)
                width=percent(drawn, bar.to - bar.from)
                y=(y - BAR / 2).to_string()
                height=BAR.to_string()
                rx="4"
            ></rect>
            {wide.then(|| view! {
                <text x=middle y=(y + 4).to_string() text-anchor="middle">{text}</text>
            })}
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
    let half = BAR / 2;
    let (from, to) = (lane_y(arrow.from.1), lane_y(arrow.to.1));
    let down = to > from;
    let (y1, y2) = if down { (from + half, to - half) } else { (from - half, to + half) };
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

/// What stands beside an arrow: its word where it is first seen, and what a fault did to it.
fn arrow_label(drawn: &Swimlane, arrow: &Arrow, at: Pointed) -> AnyView {
    let word = arrow.label.clone().map(|label| arrow_word(drawn, arrow, label));
    let fault = arrow.injected.clone().map(|injected| {
        let middle = f64::midpoint(arrow.from.0, arrow.to.0);
        let y = lane_y(arrow.from.1).midpoint(lane_y(arrow.to.1));
        // Over the lanes it stands in the first gap, where nothing else is written.
        let y = if arrow.from.1.abs_diff(arrow.to.1) > 1 { lane_y(0) + LANE / 2 } else { y };
        let half = injected.chars().count() * 6 / 2 + 7;
        let href = fault_address(injected.split(':').next().unwrap_or_default());
        view! {
            <g class="swim-fault" on:click=move |_| at.open.run(href.clone())>
                <svg x=percent(drawn, middle) y=y.to_string() overflow="visible">
                    <rect
                        x=format!("-{half}") y="-9" width=(half * 2).to_string() height="18" rx="4"
                    ></rect>
                    <text x="0" y="4" text-anchor="middle">{injected}</text>
                </svg>
            </g>
        }
    });
    view! { {word}{fault} }.into_any()
}

fn arrow_word(drawn: &Swimlane, arrow: &Arrow, label: String) -> AnyView {
    let down = arrow.to.1 > arrow.from.1;
    let (class, _) = tone(arrow);
    // Near the coordinator's end, where arrows to different lanes are still apart.
    let lane = if down { arrow.to.1 } else { arrow.from.1 };
    let share = if lane > 1 { 0.3 } else { 0.55 };
    let (x, y) = if down {
        (arrow.from.0 + (arrow.to.0 - arrow.from.0) * share, lane_y(0) + 34)
    } else {
        (arrow.to.0 - (arrow.to.0 - arrow.from.0) * share, lane_y(0) + 34)
    };
    let (anchor, dx) = if down { ("end", "-5") } else { ("start", "6") };
    view! {
        <text
            class=format!("swim-label {class}")
            x=percent(drawn, x)
            y=y.to_string()
            dx=dx
            text-anchor=anchor
        >
            {label}
        </text>
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

fn logged(drawn: &Swimlane, logged: &Logged) -> AnyView {
    let x = percent(drawn, logged.x);
    let y = (FIRST_LANE + 4).to_string();
    match logged.kind {
        Kind::Begin => view! {
            <circle
                class="swim-begin"
                cx=percent(drawn, logged.x - 0.18)
                cy=FIRST_LANE.to_string()
                r="3"
            ></circle>
            <text class="swim-word" x=x y=y text-anchor="start" dx="-4">"begin"</text>
        }
        .into_any(),
        Kind::DecideCommit | Kind::DecideAbort => {
            let commit = logged.kind == Kind::DecideCommit;
            let (class, text) = match commit {
                true => ("decision decision-commit", "log commit"),
                false => ("decision", "log abort"),
            };
            view! {
                <svg x=x y=(FIRST_LANE - BAR / 2).to_string() overflow="visible" class=class>
                    <rect x="-34" width="68" height=BAR.to_string() rx="4"></rect>
                    <text x="0" y="13" text-anchor="middle">{text}</text>
                </svg>
            }
            .into_any()
        }
        _ => {
            let class = "swim-word strong";
            view! { <text class=class x=x y=y text-anchor="middle">"end"</text> }.into_any()
        }
    }
}

fn note(drawn: &Swimlane, note: &Note) -> AnyView {
    let (class, anchor, dx) = match (note.error, note.ends) {
        (true, _) => ("swim-note error", "start", "4"),
        (_, true) => ("swim-note quiet", "end", "0"),
        _ => ("swim-note", "middle", "0"),
    };
    view! {
        <text
            class=class
            x=percent(drawn, note.x)
            y=(lane_y(note.lane) + BAR / 2 + 15).to_string()
            dx=dx
            text-anchor=anchor
        >
            {note.text.clone()}
        </text>
    }
    .into_any()
}

/// A zigzag over all lanes and the time it skips.
fn time_break(drawn: &Swimlane, gap: Break, height: usize) -> AnyView {
    let teeth = (height - 34 - 44) / 8;
    let mut zigzag = String::from("M0 0");
    for tooth in 0..teeth {
        zigzag.push_str(if tooth % 2 == 0 { "l4 8" } else { "l-4 8" });
    }
    let (left, right) = (zigzag.clone(), zigzag);
    let ground = (teeth * 8).to_string();
    view! {
        <svg class="swim-break" x=percent(drawn, gap.x) y="46" overflow="visible">
            <rect x="-3" width="10" height=ground></rect>
            <g transform="translate(-5 0)"><path d=left></path></g>
            <g transform="translate(5 0)"><path d=right></path></g>
            {gap.said.then(|| view! {
                <text x="2" y="-8" text-anchor="middle">{fine::duration_us(gap.skipped_us)}</text>
            })}
        </svg>
    }
    .into_any()
}
