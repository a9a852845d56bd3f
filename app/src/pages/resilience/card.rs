//! The card of a breaker: its state machine, the window that opened it, what happens meanwhile,
//! its history, and the hand that forces it.

use super::Page;
use crate::{
    ask,
    frame::{fault_link, use_offline, use_toasts},
    live::use_live,
    model::{breaker, format, tone::Tone},
    widget::{Badge, BreakerGlyph, BreakerMark, Clock, ServiceCode},
};
use contract::resilience::{
    BreakerCard, BreakerChange, BreakerState, CallCell, CallMark, ChangeBreaker, TransitionView,
    TrialVerdict, TrialView,
};
use leptos::{prelude::*, task::spawn_local};

/// Middle of the three circles: closed, open, half-open.
const PLACES: [(BreakerState, i32, &str); 3] = [
    (BreakerState::Closed, 60, "Closed"),
    (BreakerState::Open, 222, "Open"),
    (BreakerState::HalfOpen, 384, "Half-open"),
];
/// Height of their middle.
const MIDDLE: i32 = 70;
/// Times a forced state may hold, seconds, with their words.
const TTLS: [(u32, &str); 4] = [(30, "30 s"), (60, "1 min"), (300, "5 min"), (900, "15 min")];

const fn tone(state: BreakerState) -> Tone {
    match state {
        BreakerState::Closed => Tone::Neutral,
        BreakerState::Open => Tone::Open,
        BreakerState::HalfOpen => Tone::Half,
    }
}

const fn word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "Closed",
        BreakerState::Open => "Open",
        BreakerState::HalfOpen => "Half-open",
    }
}

pub(super) fn card(page: Page, id: String) -> AnyView {
    let of = id.clone();
    let card = Memo::new(move |_| page.card(&of));
    (move || {
        card.with(Option::is_some).then(|| {
            // Details came: from here on only what changes is drawn anew.
            let card = Memo::new(move |last: Option<&Option<BreakerCard>>| {
                card.get().or_else(|| last.cloned().flatten())
            });
            drawn(card)
        })
    })
    .into_any()
}

type Card = Memo<Option<BreakerCard>>;

/// A part of the card. Not a memo of its own: texts are compared where they are written.
fn of<T: Default + Send + Sync + 'static>(card: Card, get: fn(&BreakerCard) -> T) -> Signal<T> {
    Signal::derive(move || card.with(|card| card.as_ref().map(get).unwrap_or_default()))
}

fn drawn(card: Card) -> AnyView {
    let state = Memo::new(move |_| {
        card.with(|card| card.as_ref().map(|card| card.line.state).unwrap_or_default())
    });
    let class = move || format!("panel breaker-card {}", tone(state.get()).class());
    view! {
        <section class=class aria-label=move || of(card, |c| breaker::sentence(&c.line)).get()>
            {head(card, state)}
            {machine(card, state)}
            {window(card, state)}
            {foot(card)}
            {hand(card)}
            {calls(card)}
            {history(card)}
        </section>
    }
    .into_any()
}

fn head(card: Card, state: Memo<BreakerState>) -> AnyView {
    let Some(line) = card.with_untracked(|card| card.as_ref().map(|card| card.line.clone())) else {
        return ().into_any();
    };
    let href = breaker::edge_href(&line);
    let whole = format!("{} › {}", line.from, breaker::target(&line));
    let version = line.subset.map(|subset| view! { <strong class="subset">{subset}</strong> });
    let mark = Signal::derive(move || BreakerMark::from(state.get()));
    let since = of(card, |card| card.line.since_us);
    let forced = of(card, |card| card.line.forced.is_some());
    view! {
        <header class="panel-head">
            <BreakerGlyph mark=mark/>
            <a class="edge-title grow" data-row="" href=href title=whole>
                <ServiceCode service=line.from.clone()/>
                <strong>{line.from}</strong>
                <span class="hint">"›"</span>
                <ServiceCode service=line.to.clone()/>
                <strong class="to">{line.to}</strong>
                {version}
            </a>
            {move || forced.get().then(|| view! { <Badge tone=Tone::Info text="Forced"/> })}
            {move || view! { <Badge tone=tone(state.get()) text=word(state.get())/> }}
            <span class="hint">"since " <Clock at_us=since/></span>
        </header>
    }
    .into_any()
}

// --- the state machine --------------------------------------------------------------------------

fn machine(card: Card, state: Memo<BreakerState>) -> AnyView {
    let settings = Memo::new(move |_| card.with(|card| card.as_ref().map(|card| card.settings)));
    let text = move |of: fn(&contract::resilience::BreakerSettings) -> String| {
        move || settings.get().map(|settings| of(&settings)).unwrap_or_default()
    };
    let arrow = move |way: fn(BreakerState) -> bool, d: &'static str, head: &'static str| {
        let class = move || if way(state.get()) { "arrow now" } else { "arrow" };
        view! {
            <g class=class>
                <path d=d></path>
                <path class="arrow-head" d=head></path>
            </g>
        }
    };
    let places = PLACES.map(|(of, x, label)| place(card, state, of, x, label));
    let name = move || of(card, |c| breaker::sentence(&c.line)).get();
    view! {
        <svg class="machine" viewBox="0 0 444 128" role="img" aria-label=name>
            {arrow(|_| false, "M384 40C384 10 60 10 60 36", "M56 32L60 40L64 32Z")}
            {arrow(|s| s == BreakerState::Open, "M92 70H184", "M180 66L188 70L180 74Z")}
            {arrow(|s| s == BreakerState::HalfOpen, "M256 64H346", "M342 60L350 64L342 68Z")}
            {arrow(|_| false, "M350 78H260", "M264 74L256 78L264 82Z")}
            <text class="on-curve" x="222" y="20">"the trial call passes"</text>
            <text x="140" y="60">{text(breaker::opens_when)}</text>
            <text x="303" y="56">{text(breaker::waits)}</text>
            <text x="303" y="94">"it fails"</text>
            {places}
        </svg>
    }
    .into_any()
}

fn place(
    card: Card,
    state: Memo<BreakerState>,
    of: BreakerState,
    x: i32,
    label: &'static str,
) -> AnyView {
    let now_us = use_live().now_us();
    let here = Memo::new(move |_| state.get() == of);
    let class = move || if here.get() { "place here" } else { "place" };
    let ring = Memo::new(move |_| {
        let now = now_us.get();
        card.with(|card| card.as_ref().map_or(0.0, |card| breaker::ring(card, now)))
    });
    let dash = move || format!("{:.1} 100", ring.get() * 100.0);
    let inside = Memo::new(move |_| {
        let now = now_us.get();
        card.with(|card| card.as_ref().map(|card| breaker::inside(card, now)).unwrap_or_default())
    });
    let mark = BreakerMark::from(of);
    let told = Memo::new(move |_| here.get() && !inside.with(|inside| inside.1.is_empty()));
    view! {
        <g class=class transform=format!("translate({x} {MIDDLE})")>
            <circle class="ground" r="25"></circle>
            <circle
                class="ring" r="29" pathLength="100" stroke-dasharray=dash
                transform="rotate(-90)" class:gone=move || !told.get()
            ></circle>
            <path class="switch-arm" d=mark.path() class:gone=move || told.get()></path>
            {move || told.get().then(|| view! {
                <text class="big" y="-1">{move || inside.get().0}</text>
                <text class="under" y="13">{move || inside.get().1}</text>
            })}
            <text class="name" y="46">{label}</text>
        </g>
    }
    .into_any()
}

// --- the window ---------------------------------------------------------------------------------

fn window(card: Card, state: Memo<BreakerState>) -> AnyView {
    let cells = Memo::new(move |_| {
        card.with(|card| {
            let card = card.as_ref()?;
            Some((card.window.clone(), breaker::run_cells(&card.line)))
        })
        .unwrap_or_default()
    });
    let trials = Memo::new(move |_| {
        card.with(|card| card.as_ref().map(|card| card.trials.clone()).unwrap_or_default())
    });
    let run = of(card, |card| breaker::run_text(&card.line));
    let opens = of(card, |card| format!(", opens at {}", card.settings.failures_in_a_row));
    let distance = of(card, |card| breaker::distance(&card.line));
    let forced = of(card, |card| card.line.forced.is_some());
    let others = of(card, |card| breaker::window_text(&card.line));
    let of_run = of(card, |card| breaker::run_is_all(&card.line));
    let title = move || {
        let before = state.get() != BreakerState::Closed && !forced.get();
        let when = if before { " before it opened" } else { "" };
        // What the run says already is not said twice.
        let others = if of_run.get() { String::new() } else { others.get() };
        let others = if others.is_empty() { String::new() } else { format!(": {others}") };
        format!("Last {} calls{when}{others}", cells.with(|(cells, _)| cells.len()))
    };
    let drawn = move || {
        let (cells, run) = cells.get();
        let first = cells.len().saturating_sub(run);
        let one = |(at, call): (usize, CallCell)| cell(call, at >= first);
        cells.into_iter().enumerate().map(one).collect_view()
    };
    let trial_cells = move || {
        let half = state.get() == BreakerState::HalfOpen;
        let done = trials.get();
        (half || !done.is_empty()).then(|| {
            view! {
                <span class="trials">
                    <span class="hint">"trials"</span>
                    {done.into_iter().map(trial).collect_view()}
                </span>
            }
        })
    };
    view! {
        <div class="window">
            <p>
                <span class="grow">{title}</span>
                <span><strong>{move || run.get()}</strong> {move || opens.get()}</span>
            </p>
            <div class="cells">{drawn} {trial_cells}</div>
            {move || Some(distance.get()).filter(|text| !text.is_empty()).map(|text| {
                view! { <p class="hint">{text}</p> }
            })}
        </div>
    }
    .into_any()
}

/// A trial call with its verdict; leads to its trace.
fn trial(trial: TrialView) -> AnyView {
    let (class, word) = match trial.verdict {
        TrialVerdict::Pending => ("cell cell-empty", "trial call is out"),
        TrialVerdict::Passed => ("cell cell-ok", "trial call passed"),
        TrialVerdict::Failed => ("cell cell-failed", "trial call failed"),
        TrialVerdict::Abandoned => ("cell cell-empty given-up", "trial call was abandoned"),
    };
    let fault = trial.fault_id.map(|id| format!(", {id}")).unwrap_or_default();
    linked(class, format!("{word}{fault}"), trial.trace_id)
}

/// One call; `in_run` is one of the failures in a row that count.
fn cell(cell: CallCell, in_run: bool) -> AnyView {
    let (class, word) = match cell.mark {
        CallMark::Ok => ("cell cell-ok", "good"),
        CallMark::Slow => ("cell cell-slow", "slow"),
        CallMark::Failed if in_run => ("cell cell-failed in-run", "failed, counts"),
        CallMark::Failed => ("cell cell-failed", "failed"),
    };
    let fault = cell.fault_id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
    linked(class, format!("{word}: {}{fault}", ended(&cell)), cell.trace_id)
}

/// "503 after 2 ms".
fn ended(cell: &CallCell) -> String {
    format!("{} after {}", cell.outcome, format::duration_us(cell.took_us))
}

/// A cell that leads to its trace, if it was recorded.
fn linked(class: &'static str, name: String, trace_id: Option<String>) -> AnyView {
    match trace_id {
        Some(id) => {
            let href = format!("/traces/{id}");
            view! { <a class=class href=href title=name.clone() aria-label=name></a> }.into_any()
        }
        None => {
            view! { <i class=class role="img" title=name.clone() aria-label=name></i> }.into_any()
        }
    }
}

/// While it refuses: how much, what callers get instead. Otherwise what slow means. And the cause.
fn foot(card: Card) -> AnyView {
    let left = move || {
        card.with(|card| {
            let card = card.as_ref()?;
            if card.line.state == BreakerState::Closed {
                let text = crate::model::tries::seconds(card.slow_ms.into());
                let text = view! { <span>"Slow means over " <strong>{text}</strong></span> };
                return Some(text.into_any());
            }
            let refused = format!("{} refused", format::rate(card.refused_per_second));
            let (total, meanwhile) = (format::count(card.refused), card.meanwhile.clone());
            let title = format!("{total} calls since it opened");
            Some(
                view! {
                    <span>
                        "While open: " <strong>{meanwhile}</strong> ", "
                        <strong title=title>{refused}</strong>
                    </span>
                }
                .into_any(),
            )
        })
    };
    let causes = Memo::new(move |_| {
        card.with(|card| card.as_ref().map(|card| (card.opened, card.causes.clone())))
            .unwrap_or_default()
    });
    let right = move || {
        let (opened, causes) = causes.get();
        let times = (opened > 1).then(|| format!("opened {opened} times"));
        let said = match (times, causes.is_empty()) {
            (times, true) => times,
            (None, false) => Some("cause".to_owned()),
            (Some(times), false) => Some(format!("{times}, cause")),
        };
        // The words go where the faults go.
        let caused = said.map(|said| {
            let links = causes.iter().map(|id| fault_link(id)).collect_view();
            view! { <span class="causes"><span class="hint">{said}</span>{links}</span> }
        });
        view! { <span class="grow"></span>{caused} }
    };
    view! { <div class="card-foot">{left}{right}</div> }.into_any()
}

// --- by hand ------------------------------------------------------------------------------------

/// Sends a change of a breaker and shows what came of it at once.
pub(super) fn use_change() -> Callback<ChangeBreaker> {
    let (live, toasts, offline) = (use_live(), use_toasts(), use_offline());
    Callback::new(move |command: ChangeBreaker| {
        if offline.refuses("Breaker not changed") {
            return;
        }
        spawn_local(async move {
            match ask::change_breaker(command).await {
                Ok(line) => {
                    toasts.success("Breaker changed", &breaker::sentence(&line), None);
                    live.expect_breaker(line);
                }
                Err(error) => toasts.failure("Breaker not changed", &error.to_string()),
            }
        });
    })
}

/// Force open, force closed, reset: a form that posts to `/resilience/breaker`.
fn hand(card: Card) -> AnyView {
    let id = of(card, |card| card.line.id.clone());
    let forced = Memo::new(move |_| {
        card.with(|card| card.as_ref().and_then(|card| card.line.forced).map(|f| f.until_us))
    });
    let ttl = RwSignal::new(TTLS[1].0);
    let change = use_change();
    let send = move |make: fn(u32) -> BreakerChange| {
        move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            let change_to = make(ttl.get_untracked());
            change.run(ChangeBreaker { id: id.get_untracked(), change: change_to });
        }
    };
    let chosen = move |event| {
        if let Ok(seconds) = event_target_value(&event).parse() {
            ttl.set(seconds);
        }
    };
    let options = TTLS.map(|(seconds, text)| {
        let chosen = seconds == TTLS[1].0;
        view! { <option value=seconds.to_string() selected=chosen>{text}</option> }
    });
    let now_us = use_live().now_us();
    let offline = use_offline();
    let (off, why) = (move || offline.now(), move || offline.reason());
    let until = move || {
        let least = if offline.now() { "at least " } else { "" };
        forced.get().map(|at| format!("let go in {least}{}", breaker::left(at, now_us.get())))
    };
    view! {
        <form class="hand" method="post" action="/resilience/breaker">
            <input type="hidden" name="id" value=move || id.get()/>
            <button
                class="button small" name="order" value="force_open"
                disabled=off title=why
                on:click=send(BreakerChange::ForceOpen)
            >
                "Force open"
            </button>
            <button
                class="button small" name="order" value="force_closed"
                disabled=off title=why
                on:click=send(BreakerChange::ForceClosed)
            >
                "Force closed"
            </button>
            <label class="hint">
                "for "
                <select name="ttl_s" aria-label="For how long" on:change=chosen>{options}</select>
            </label>
            <button
                class="button small" name="order" value="reset"
                disabled=off title=why
                on:click=send(|_| BreakerChange::Reset)
            >
                "Reset"
            </button>
            {move || forced.get().map(|_| view! {
                <button
                    class="button small" name="order" value="release"
                disabled=off title=why
                    on:click=send(|_| BreakerChange::Release)
                >
                    "Let go"
                </button>
            })}
            <span class="hint grow to-end">{until}</span>
        </form>
    }
    .into_any()
}

/// The calls of the window once more, newest first, in words: what a cell has no room for.
fn calls(card: Card) -> AnyView {
    let window = Memo::new(move |_| {
        card.with(|card| card.as_ref().map(|card| card.window.clone()).unwrap_or_default())
    });
    let rows = move || window.get().into_iter().rev().map(call).collect_view();
    view! {
        <details class="calls" class:gone=move || window.with(Vec::is_empty)>
            <summary>"Calls"</summary>
            <ol>{rows}</ol>
        </details>
    }
    .into_any()
}

fn call(cell: CallCell) -> AnyView {
    let (tone, word) = match cell.mark {
        CallMark::Ok => (Tone::Neutral, "good"),
        CallMark::Slow => (Tone::Warn, "slow"),
        CallMark::Failed => (Tone::Error, "failed"),
    };
    let text = ended(&cell);
    view! {
        <li class=tone.class()>
            <Clock at_us=cell.at_us/>
            <b>{word}</b>
            <span class="grow hint">{text}</span>
            {cell.trace_id.map(|id| trace_link(&id))}
            {cell.fault_id.map(|id| fault_link(&id))}
        </li>
    }
    .into_any()
}

fn trace_link(id: &str) -> AnyView {
    let text = format::short_trace(id).to_owned();
    view! { <a class="mono" href=format!("/traces/{id}")>{text}</a> }.into_any()
}

fn history(card: Card) -> AnyView {
    let history = Memo::new(move |_| {
        card.with(|card| card.as_ref().map(|card| card.history.clone()).unwrap_or_default())
    });
    let rows = move || history.get().into_iter().map(transition).collect_view();
    view! {
        <details class="history" class:gone=move || history.with(Vec::is_empty)>
            <summary>"History"</summary>
            <ol>{rows}</ol>
        </details>
    }
    .into_any()
}

fn transition(step: TransitionView) -> AnyView {
    let trace = step.trace_id.map(|id| trace_link(&id));
    let faults = step.fault_ids.iter().map(|id| fault_link(id)).collect_view();
    let (from, to) = (word(step.from), word(step.to));
    view! {
        <li class=tone(step.to).class()>
            <Clock at_us=step.at_us/>
            <span>{from.to_lowercase()} " → " <b>{to.to_lowercase()}</b></span>
            <span class="grow hint">{step.why}</span>
            {trace}
            {faults}
        </li>
    }
    .into_any()
}
