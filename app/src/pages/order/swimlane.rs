//! The two-phase commits of an order, one panel each: a drawing, and the same as a list.
//!
//! Places across are percentages, so the drawing fits any width with text of one size.

use super::Story;
use crate::{
    model::{
        fine, story,
        swimlane::{
            Arrow, ArrowTone, Bar, BarState, Break, Head, Logged, Note, Phase, PhaseKind, Swimlane,
            swimlane,
        },
        tone::Tone,
    },
    widget::{Badge, ServiceCode},
};
use contract::{
    service::PAYMENTS,
    transaction::{TransactionView, TxMessageKind as Kind, TxState},
};
use leptos::prelude::*;

/// Middle of the coordinator's lane, pixels from the top.
const FIRST_LANE: usize = 64;
/// From one lane to the next.
const LANE: usize = 61;
/// Height of a state's bar.
const BAR: usize = 18;
/// How to read the drawing.
const NOT_TO_SCALE: &str = ", in order, not to scale; offsets from the order's start";

pub(super) fn panels(story: Story) -> AnyView {
    let ids = Memo::new(move |_| {
        story
            .order
            .with(|o| o.transactions.iter().map(|t| t.transaction_id.clone()).collect::<Vec<_>>())
    });
    view! { <For each=move || ids.get() key=Clone::clone children=move |id| panel(story, id)/> }
        .into_any()
}

fn panel(story: Story, id: String) -> AnyView {
    let wanted = id.clone();
    let tx = Memo::new(move |_| {
        story.order.with(|o| o.transactions.iter().find(|t| t.transaction_id == wanted).cloned())
    });
    let title = format!("title-{id}");
    let labelled = title.clone();
    let body = move || tx.get().map(|tx| drawing(story, &tx));
    let head = move || tx.get().map(|tx| head(story, &tx));
    view! {
        <section class="panel order-commit" aria-labelledby=labelled>
            <header class="panel-head">
                <h2 id=title>"Two-phase commit"</h2>
                <code>{id}</code>
                {head}
            </header>
            {body}
        </section>
    }
    .into_any()
}

fn head(story: Story, tx: &TransactionView) -> AnyView {
    let (word, tone) = match tx.state {
        TxState::Preparing => ("Preparing", Tone::Info),
        TxState::Prepared => ("Prepared", Tone::Half),
        TxState::Committing => ("Committing", Tone::Ok),
        TxState::Committed => ("Committed", Tone::Ok),
        TxState::Aborting => ("Aborting", Tone::Comp),
        TxState::Aborted => ("Aborted", Tone::Comp),
    };
    let zero_us = story.order.with_untracked(|o| o.zero_us);
    let drawn = swimlane(tx, zero_us);
    view! {
        <Badge tone=tone text=word.to_owned()/>
        <span class="sub">
            <span class="purpose">{tx.purpose.clone()}</span>
            <span class="wide-only">{NOT_TO_SCALE}</span>
        </span>
        <span class="locks">{locks(&drawn)}</span>
    }
    .into_any()
}

/// How long the locks were held, or that they still are.
fn locks(drawn: &Swimlane) -> Vec<AnyView> {
    let doubted = drawn.locks.iter().any(|l| l.in_doubt_us.is_some());
    drawn
        .locks
        .iter()
        .filter(|lock| !doubted || lock.in_doubt_us.is_some() || lock.held_us.is_none())
        .enumerate()
        .map(|(i, lock)| {
            let gap = if i > 0 { ", " } else { "" };
            let held = lock.held_us.map(fine::duration_us);
            match (lock.in_doubt_us.map(fine::duration_us), held) {
                (Some(doubt), held) => {
                    let held = held.map(|h| format!(", lock held {h}"));
                    view! { {gap}{lock.service.clone()}" in doubt for "<b>{doubt}</b>{held} }
                        .into_any()
                }
                (None, Some(held)) => {
                    view! { {gap}{lock.service.clone()}" locked "<b>{held}</b> }.into_any()
                }
                (None, None) => view! { {gap}{lock.service.clone()}" holds its locks" }.into_any(),
            }
        })
        .collect()
}

fn drawing(story: Story, tx: &TransactionView) -> AnyView {
    let zero_us = story.order.with_untracked(|o| o.zero_us);
    let drawn = swimlane(tx, zero_us);
    let height = FIRST_LANE + LANE * drawn.participants.len() + 36;
    let width = if drawn.width > 26.0 {
        "swim swim-longest"
    } else if drawn.width > 17.0 {
        "swim swim-long"
    } else {
        "swim"
    };
    let svg = view! {
        <svg class=width height=height.to_string() aria-hidden="true">
            {definitions()}
            {drawn.heads.iter().map(|h| moment(&drawn, h, height)).collect_view()}
            {drawn.phases.iter().map(|p| phase(&drawn, *p)).collect_view()}
            {lanes(&drawn)}
            {drawn.bars.iter().map(|b| bar(&drawn, b)).collect_view()}
            {drawn.arrows.iter().map(|a| arrow(story, &drawn, a)).collect_view()}
            {drawn.breaks.iter().map(|b| time_break(&drawn, *b, height)).collect_view()}
            {drawn.arrows.iter().map(|a| arrow_label(&drawn, a)).collect_view()}
            {drawn.logged.iter().map(|l| logged(&drawn, l)).collect_view()}
            {drawn.notes.iter().map(|n| note(&drawn, n)).collect_view()}
        </svg>
    };
    view! {
        <div class="swim-body">
            <div class="swim-lanes" aria-hidden="true">{names(tx)}</div>
            <div class="swim-scroll" tabindex="0" role="group" aria-label="Messages in order">
                {svg}
                {list(tx, &drawn, zero_us)}
            </div>
        </div>
    }
    .into_any()
}

fn names(tx: &TransactionView) -> AnyView {
    let lane = |service: &str, name: &str, role: &'static str| {
        view! {
            <div class="swim-lane">
                <ServiceCode service=service.to_owned()/>
                <span><strong>{name.to_owned()}</strong><small>{role}</small></span>
            </div>
        }
    };
    let participants =
        tx.participants.iter().map(|p| lane(&p.service, &p.service, "participant")).collect_view();
    view! { {lane(PAYMENTS, "coordinator", "payments")}{participants} }.into_any()
}

/// The same, message by message, for those who do not see the drawing.
fn list(tx: &TransactionView, drawn: &Swimlane, zero_us: i64) -> AnyView {
    let aborts = matches!(tx.state, TxState::Aborting | TxState::Aborted);
    let lines = drawn
        .lines
        .iter()
        .map(|line| {
            let at = fine::offset_us(line.at_us - zero_us);
            view! { <li>{format!("{at}: {}", line.sentence(&drawn.participants, aborts))}</li> }
        })
        .collect_view();
    view! { <ol class="sr">{lines}</ol> }.into_any()
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
    let class = if head.strong { "swim-time strong" } else { "swim-time" };
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
        BarState::Silent => "tx-state state-silent",
        BarState::InDoubt => "tx-state state-doubt",
        BarState::Committed => "tx-state state-committed",
        BarState::Aborted => "tx-state state-aborted",
    };
    let y = lane_y(bar.lane);
    let (from, to) = drawn.room(bar);
    let room = to - from;
    let text = match bar.state {
        BarState::Silent if room > 1.3 => "no answer, lock stays",
        state => state.word(),
    };
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
    }
}

/// A message; a click marks its span in the trace below.
fn arrow(story: Story, drawn: &Swimlane, arrow: &Arrow) -> AnyView {
    let half = BAR / 2;
    let (from, to) = (lane_y(arrow.from.1), lane_y(arrow.to.1));
    let down = to > from;
    let (y1, y2) = if down { (from + half, to - half) } else { (from - half, to + half) };
    let (class, marker) = tone(arrow);
    let marker = (!arrow.refused).then_some(marker);
    let (x1, x2) = (percent(drawn, arrow.from.0), percent(drawn, arrow.to.0));
    let line = &drawn.lines[arrow.line];
    let (kind, at_us) = (line.kind, line.at_us);
    let participant = line.lane.and_then(|l| drawn.participants.get(l - 1)).cloned();
    let mark = move |_| {
        let span = story.order.with_untracked(|o| {
            let trace = o.trace.as_ref()?;
            story::span_of_message(kind, participant.as_deref(), at_us, trace)
                .map(|s| s.span_id.clone())
        });
        if span.is_some() {
            story.span.set(span);
        }
    };
    let cross = arrow.refused.then(|| {
        view! {
            <svg x=x2.clone() y=y2.to_string() class="swim-cross" overflow="visible">
                <path d="M-5-9 5 1M5-9-5 1"></path>
            </svg>
        }
    });
    view! {
        <g class=format!("swim-arrow {class}") on:click=mark>
            <line
                class="swim-hit"
                x1=x1.clone() x2=x2.clone() y1=y1.to_string() y2=y2.to_string()
            ></line>
            <line x1=x1 x2=x2 y1=y1.to_string() y2=y2.to_string() marker-end=marker></line>
            {cross}
        </g>
    }
    .into_any()
}

/// The word beside an arrow, where it is first seen.
fn arrow_label(drawn: &Swimlane, arrow: &Arrow) -> AnyView {
    let Some(label) = arrow.label.clone() else {
        return ().into_any();
    };
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
    let (class, anchor, dx) =
        if note.error { ("swim-note error", "start", "4") } else { ("swim-note", "middle", "0") };
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
            <text x="2" y="-8" text-anchor="middle">{fine::duration_us(gap.skipped_us)}</text>
        </svg>
    }
    .into_any()
}
