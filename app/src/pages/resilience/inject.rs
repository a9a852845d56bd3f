//! The panel that injects a fault: what, where, how much, how long; what to expect; its YAML.
//!
//! Without JavaScript it is a form that posts to `/resilience/inject`.

mod place;

use crate::{
    ask, browser,
    frame::{use_frame, use_offline, use_toasts},
    live::use_live,
    model::{
        fault::{self, Choice, delays, mistakes},
        tries,
    },
    pages::traffic::terms,
    widget::{Field, Icon, Unread, field, icon},
};
use contract::{
    resilience::{Expectation, FaultKind, FaultPlace, InjectFault},
    traffic::{MatchOn, MatchTerm},
};
use leptos::{leptos_dom::helpers::request_animation_frame, prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use std::time::Duration;

/// Pause after the last change before the host is asked what to expect.
const SETTLE: Duration = Duration::from_millis(150);
/// Times to live that can be chosen, seconds, with their words.
const TTLS: [(u32, &str); 7] = [
    (15, "15 s"),
    (30, "30 s"),
    (45, "45 s"),
    (60, "1 min"),
    (300, "5 min"),
    (900, "15 min"),
    (3_600, "1 hour"),
];

/// Fields of the form whose text is read.
const READ: [&str; 7] = ["percent", "delay_s", "jitter_s", "status", "limit", "ttl_s", "crash_at"];

/// The command as it is filled in. Cheap to copy.
#[derive(Clone, Copy)]
struct Panel {
    /// The row that was chosen.
    choice: RwSignal<Choice>,
    command: RwSignal<InjectFault>,
    expected: RwSignal<Option<Result<Expectation, String>>>,
    /// The question was asked; the next press injects.
    asked: RwSignal<bool>,
    busy: RwSignal<bool>,
    /// Texts that are no value.
    unread: Unread,
    /// It was pressed although something is wrong.
    pressed: RwSignal<bool>,
    serial: StoredValue<u64>,
}

impl Panel {
    /// The first thing that is wrong with what is filled in.
    fn wrong(self) -> Option<String> {
        let mistake = || self.command.with(mistakes).first().map(|(_, why)| (*why).to_owned());
        self.unread.first().or_else(mistake)
    }

    fn edit(self, change: &dyn Fn(&mut InjectFault)) {
        self.command.update(change);
        self.asked.set(false);
        self.serial.update_value(|serial| *serial += 1);
        let serial = self.serial.get_value();
        set_timeout(move || self.expect(serial), SETTLE);
    }

    /// Asks what the fault would do; an answer that comes after a newer change is dropped.
    fn expect(self, serial: u64) {
        let latest = move || self.serial.try_with_value(|latest| *latest == serial) == Some(true);
        let Some(command) = latest().then(|| self.command.get_untracked()) else { return };
        if untrack(|| self.wrong()).is_some() {
            self.expected.set(None);
            return;
        }
        spawn_local(async move {
            let answer = ask::expect_fault(command).await.map_err(|error| error.to_string());
            if latest() {
                self.expected.set(Some(answer));
            }
        });
    }
}

/// What the address asks for: `?kind=abort&to=payments`. A form that was refused comes back with
/// all that was filled in.
pub(super) fn asked_for() -> (Choice, InjectFault) {
    use_query_map().with_untracked(|query| {
        let choice = query.get_str("kind").and_then(Choice::parse);
        let choice = choice.unwrap_or(Choice::Kind(FaultKind::default()));
        let usual = choice.defaults();
        let text = |key, usual: &str| query.get(key).unwrap_or_else(|| usual.to_owned());
        let usual_to = match choice {
            Choice::Kind(kind) if kind.place() == FaultPlace::Edge => contract::service::INVENTORY,
            _ => &usual.to,
        };
        let mut command = InjectFault {
            from: text("from", &usual.from),
            to: text("to", usual_to),
            subset: text("subset", ""),
            instance: text("instance", ""),
            ..usual.clone()
        };
        for field in READ {
            if let Some(text) = query.get_str(field) {
                // What cannot be read stays in its field: see `refused`.
                let _ = fault::read(&mut command, field, text);
            }
        }
        (choice, command)
    })
}

/// Notes what of the address a field does not take.
fn refused(unread: Unread) {
    use_query_map().with_untracked(|query| {
        for field in READ {
            let Some(text) = query.get_str(field) else { continue };
            if let Err(why) = fault::read(&mut InjectFault::default(), field, text) {
                unread.note(field, text, Err(why.to_owned()));
            }
        }
    });
}

pub(super) fn panel(
    (choice, command): (Choice, InjectFault),
    expected: Option<Expectation>,
) -> AnyView {
    let panel = Panel {
        choice: RwSignal::new(choice),
        command: RwSignal::new(command),
        expected: RwSignal::new(expected.map(Ok)),
        asked: RwSignal::new(false),
        busy: RwSignal::new(false),
        unread: Unread::default(),
        pressed: RwSignal::new(false),
        serial: StoredValue::new(0),
    };
    refused(panel.unread);
    let frame = use_frame();
    Effect::new(move |_| {
        if frame.injecting.get() {
            frame.injecting.set(false);
            // A page that is just come to takes the focus first.
            request_animation_frame(|| browser::focus("inject"));
        }
    });
    let send = use_send(panel);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        send.run(());
    };
    view! {
        <aside class="panel inject" id="inject" aria-label="Inject a fault">
            <header class="panel-head">
                <h2 class="grow">"Inject a fault"</h2>
                <kbd>"F"</kbd>
            </header>
            <form method="post" action="/resilience/inject" on:submit=submit>
                {kinds(panel)}
                <div class="inject-fields">
                    {place::fields(panel)}
                    {amount(panel)}
                    {scope(panel)}
                    {limits(panel)}
                    {expectation(panel)}
                </div>
                <footer class="inject-foot">{buttons(panel)}</footer>
            </form>
        </aside>
    }
    .into_any()
}

/// Injects the fault; asks once where the host says so.
fn use_send(panel: Panel) -> Callback<()> {
    let (live, toasts, offline) = (use_live(), use_toasts(), use_offline());
    Callback::new(move |()| {
        let command = panel.command.get_untracked();
        if offline.refuses("Fault not injected") {
            return;
        }
        if panel.busy.get_untracked() {
            return;
        }
        panel.pressed.set(true);
        if untrack(|| panel.wrong()).is_some() {
            return;
        }
        panel.pressed.set(false);
        let expected = panel.expected.get_untracked().and_then(Result::ok);
        let asks = expected.is_some_and(|expected| expected.asks.is_some());
        if asks && !panel.asked.get_untracked() {
            panel.asked.set(true);
            return;
        }
        panel.busy.set(true);
        panel.asked.set(false);
        spawn_local(async move {
            let done = ask::inject_fault(command).await;
            panel.busy.try_set(false);
            match done {
                Ok(fault) => {
                    toasts.success(&format!("{} injected", fault.id), &fault.what, None);
                    live.expect_fault(fault);
                }
                Err(error) => toasts.failure("Fault not injected", &error.to_string()),
            }
        });
    })
}

fn presets(panel: Panel) -> AnyView {
    let all = fault::presets().map(|(name, command)| {
        let choose = move |_| {
            panel.choice.set(Choice::Kind(command.kind));
            panel.unread.clear();
            panel.edit(&|now| now.clone_from(&command));
        };
        view! { <button type="button" class="token" on:click=choose>{name}</button> }
    });
    view! { <div class="tokens" role="group" aria-label="Presets">{all}</div> }.into_any()
}

const fn glyph(choice: Choice) -> Icon {
    match choice {
        Choice::Kind(FaultKind::Delay | FaultKind::Jitter) => Icon::Clock,
        Choice::Kind(FaultKind::Hang | FaultKind::PauseInstance) => Icon::Pause,
        Choice::Kind(FaultKind::KillInstance) => Icon::Power,
        Choice::Kind(kind) if matches!(kind.place(), FaultPlace::Edge) => Icon::Cross,
        Choice::Kind(_) | Choice::Partition => Icon::Pulse,
        Choice::CrashBank => Icon::Lock,
    }
}

/// The rows that are offered first; the rest, and presets, unfold.
fn kinds(panel: Panel) -> AnyView {
    let further = panel.choice.with_untracked(|choice| Choice::MORE.contains(choice));
    let summary = format!("{} more kinds, and presets", Choice::MORE.len());
    view! {
        <fieldset class="kinds">
            <legend class="sr">"What"</legend>
            {Choice::FIRST.map(|choice| kind(panel, choice)).collect_view()}
            <details class="more-kinds" open=further>
                <summary>{summary}</summary>
                {Choice::MORE.map(|choice| kind(panel, choice)).collect_view()}
                {presets(panel)}
            </details>
        </fieldset>
    }
    .into_any()
}

fn kind(panel: Panel, choice: Choice) -> AnyView {
    let (name, hint) = choice.label();
    let chosen = move || panel.choice.get() == choice;
    let choose = move |_| {
        panel.choice.set(choice);
        panel.unread.clear();
        panel.pressed.set(false);
        panel.edit(&|now| {
            let before = std::mem::replace(now, choice.defaults());
            // A place that the kind says itself stays; else it is where it was.
            if now.to.is_empty() {
                (now.from, now.to, now.subset) = (before.from, before.to, before.subset);
            }
            now.instance = before.instance;
        });
    };
    let size = move || match chosen() {
        true => panel.command.with(|now| choice.size(now)),
        false => choice.size(&choice.defaults()),
    };
    // Without JavaScript the fields of another kind are those of another address.
    let fields = format!("<a href=\"/resilience?kind={}#inject\">Fields</a>", choice.word());
    view! {
        <label class="kind" class:chosen=chosen>
            <input
                type="radio" name="kind" value=choice.word() checked=untrack(chosen)
                prop:checked=chosen on:change=choose
            />
            {icon(glyph(choice))}
            <span class="grow">
                <b>{name}</b>
                <small>{hint}</small>
            </span>
            <noscript inner_html=fields></noscript>
            <span class="hint">{size}</span>
        </label>
    }
    .into_any()
}

/// What the chosen row cannot do.
fn limits(panel: Panel) -> AnyView {
    (move || panel.choice.get().limits().map(|text| view! { <p class="hint">{text}</p> }))
        .into_any()
}

type Read = fn(&InjectFault) -> String;
type Write = fn(&mut InjectFault, &str);

fn make(panel: Panel, label: &'static str, name: &'static str, get: Read, put: Write) -> Field {
    let on = Callback::new(move |text: String| panel.edit(&|now| put(now, text.trim())));
    let wrong = Signal::derive(move || {
        let all = panel.command.with(mistakes);
        all.into_iter().find(|(of, _)| *of == name).map(|m| m.1.to_owned()).unwrap_or_default()
    });
    let value = Signal::derive(move || panel.command.with(get));
    Field { wrong, ..Field::plain(label, name, value, on) }
}

/// A number: what is none, or none that the fault could have, stays where it was typed.
fn number(
    panel: Panel,
    label: &'static str,
    name: &'static str,
    get: Read,
    unit: &'static str,
) -> AnyView {
    let on = Callback::new(move |text: String| {
        panel.edit(&|now| {
            // `readable` has refused what it does not take.
            let _ = fault::read(now, name, &text);
        });
    });
    let read = Callback::new(move |text: String| {
        let mut after = panel.command.get_untracked();
        fault::read(&mut after, name, &text).map_err(ToOwned::to_owned)
    });
    let value = Signal::derive(move || panel.command.with(get));
    field::number(Field::plain(label, name, value, on).readable(panel.unread, read), unit)
}

// --- how much, how long -------------------------------------------------------------------------

fn amount(panel: Panel) -> AnyView {
    let kind = Memo::new(move |_| panel.command.with(|now| now.kind));
    (move || {
        let kind = kind.get();
        let shared = (kind.place() != FaultPlace::Instance).then(|| share(panel));
        let delay = delays(kind).then(|| {
            let get: Read = |f| tries::plain_seconds(f.delay_ms.into());
            let made = number(panel, "Delay, seconds", "delay_s", get, "s");
            view! { <span class="policy-label">"Delay"</span> {made} }
        });
        let jitter = (kind == FaultKind::Jitter).then(|| {
            let get: Read = |f| tries::plain_seconds(f.jitter_ms.into());
            let made = number(panel, "Plus or minus, seconds", "jitter_s", get, "s");
            view! { <span>"±"</span> {made} }
        });
        let status = (kind == FaultKind::Abort).then(|| {
            let made = number(panel, "Status", "status", |f| f.status.to_string(), "");
            view! { <span class="policy-label">"Status"</span> {made} }
        });
        view! {
            {shared}
            <div class="inject-row">
                {delay} {jitter} {status}
                {lifetime(panel)}
            </div>
            {(kind.place() != FaultPlace::Instance).then(|| next_only(panel))}
        }
    })
    .into_any()
}

/// "Only the next N": empty is all of them.
fn next_only(panel: Panel) -> AnyView {
    let get: Read = |f| f.limit.map(|limit| limit.to_string()).unwrap_or_default();
    let made = number(panel, "Only the next so many that it hits", "limit", get, "hits");
    view! {
        <div class="inject-row">
            <span class="policy-label">"Only next"</span>
            {made}
            <span class="hint">"empty: all until it ends"</span>
        </div>
    }
    .into_any()
}

fn share(panel: Panel) -> AnyView {
    let get: Read = |f| fault::percent(f.percent).trim_end_matches('%').to_owned();
    let slide: Write = |f, t| {
        let _ = fault::read(f, "percent", t);
    };
    let slider = make(panel, "Share", "share", get, slide);
    let slid = slider.on;
    // What was typed and cannot be read goes when the slider is used.
    let on = Callback::new(move |text| {
        panel.unread.forget("percent");
        slid.run(text);
    });
    view! {
        <div class="inject-row">
            <span class="policy-label">"Share"</span>
            {field::slider(Field { on, ..slider }, 0, 100)}
            {number(panel, "Share, percent", "percent", get, "%")}
        </div>
    }
    .into_any()
}

fn lifetime(panel: Panel) -> AnyView {
    let get: Read = |f| f.ttl_s.to_string();
    let put: Write = |f, t| {
        let _ = fault::read(f, "ttl_s", t);
    };
    let options = TTLS.map(|(seconds, text)| (seconds.to_string(), text.to_owned()));
    let ends = make(panel, "Ends after", "ttl_s", get, put);
    view! {
        <span class="policy-label">"Ends after"</span>
        {field::select(ends, Signal::stored(options.to_vec()))}
    }
    .into_any()
}

/// What a condition on a header must know; the same is in `docs/control.md`.
const HANDED_ON: &str = "Of a client's headers x-canary, end-user, x-user-id, x-correlation-id and \
                         baggage reach past the gateway; others are met at the gateway alone.";

/// Conditions, and Istio's way with timeout and retries.
fn scope(panel: Panel) -> AnyView {
    let on_edge =
        Memo::new(move |_| panel.command.with(|now| now.kind.place() == FaultPlace::Edge));
    let count = Memo::new(move |_| panel.command.with(|now| now.terms.len()));
    // A cookie is in a header of its own, which is not handed on.
    let by_header = Memo::new(move |_| {
        let looks = |term: &MatchTerm| {
            matches!(term.on, MatchOn::Header | MatchOn::WithoutHeader | MatchOn::Cookie)
        };
        panel.command.with(|now| now.terms.iter().any(looks))
    });
    let row = move |at: usize| {
        let now = Signal::derive(move || {
            panel.command.with(|now| now.terms.get(at).cloned().unwrap_or_default())
        });
        let set = Callback::new(move |term: MatchTerm| {
            panel.edit(&|now| {
                if let Some(slot) = now.terms.get_mut(at) {
                    slot.clone_from(&term);
                }
            });
        });
        let remove = Callback::new(move |()| {
            panel.edit(&|now| {
                if at < now.terms.len() {
                    now.terms.remove(at);
                }
            });
        });
        terms::row(now, set, remove)
    };
    let like = Signal::derive(move || panel.command.with(|now| now.like_istio));
    let set_like = Callback::new(move |on: bool| panel.edit(&|now| now.like_istio = on));
    view! {
        <details class="scope" class:gone=move || !on_edge.get()>
            <summary>"Only some requests, Istio's way"</summary>
            {move || (0..count.get()).map(row).collect_view()}
            {move || by_header.get().then(|| view! { <p class="hint">{HANDED_ON}</p> })}
            <button
                type="button" class="button ghost small"
                on:click=move |_| panel.edit(&|now| now.terms.push(terms::fresh()))
            >
                {icon(Icon::Plus)} "Condition"
            </button>
            <label class="toggle-row">
                {field::switch("As in Istio", like, set_like)}
                <span>"As in Istio: the route's timeout and retries are off meanwhile"</span>
            </label>
        </details>
    }
    .into_any()
}

// --- what to expect, and the buttons ------------------------------------------------------------

fn expectation(panel: Panel) -> AnyView {
    (move || {
        let wrong = panel.wrong().is_some();
        match panel.expected.get().filter(|_| !wrong) {
            Some(Ok(expected)) => expected_view(expected),
            Some(Err(text)) => view! { <p class="notice tone-error">{text}</p> }.into_any(),
            None => ().into_any(),
        }
    })
    .into_any()
}

fn expected_view(expected: Expectation) -> AnyView {
    let sentences = expected.sentences.into_iter().map(|text| view! { <li>{text}</li> });
    let (from, to) = expected.added.unwrap_or((0, 0));
    let line = |text: &str, added: bool| {
        let class = if added { "yaml-line added" } else { "yaml-line" };
        view! {
            <div class=class>
                <b aria-hidden="true">{if added { "+" } else { "" }}</b>
                <code>{text.to_owned()}</code>
            </div>
        }
    };
    // What the fault adds is seen without scrolling; where it stands unfolds.
    let numbered = || (1_u32..).zip(expected.yaml.lines());
    let is_added = |(number, _): &(u32, &str)| from <= *number && *number <= to;
    let added = numbered().filter(is_added).map(|(_, text)| line(text, true)).collect_view();
    let whole = numbered().map(|(_, text)| line(text, false)).collect_view();
    let whole = match expected.added {
        None => whole.into_any(),
        Some(_) => view! {
            <details class="whole-yaml">
                <summary>{format!("All {} lines", expected.yaml.lines().count())}</summary>
                {whole}
            </details>
        }
        .into_any(),
    };
    let count = expected.added.map(|(from, to)| format!("{} lines added", to + 1 - from.min(to)));
    // The name of an object is written as in its file.
    let object = match expected.stands_for.split_once(' ') {
        Some((kind, name)) if !expected.yaml.is_empty() => {
            view! { {kind.to_owned()} " " <code>{name.to_owned()}</code> }.into_any()
        }
        _ => expected.stands_for.into_any(),
    };
    view! {
        <div class="expect" role="status">
            <h3>"What to expect"</h3>
            <ul>{sentences.collect_view()}</ul>
        </div>
        <p class="stands-for">
            <span class="grow">{object}</span>
            <span class="hint">{count}</span>
        </p>
        <div class="yaml-lines" class:gone=expected.yaml.is_empty()>{added} {whole}</div>
    }
    .into_any()
}

fn yaml_of(panel: Panel) -> String {
    let expected = panel.expected.get_untracked();
    expected.and_then(Result::ok).map(|expected| expected.yaml).unwrap_or_default()
}

/// Without JavaScript the question is asked by the answer to the form, and answered here.
const SURE: &str = "<label class=\"toggle-row sure\"><input type=\"checkbox\" name=\"sure\" \
                    value=\"yes\"> Also if it hits more than half of all calls, or the last \
                    instance</label>";

fn buttons(panel: Panel) -> AnyView {
    let has_yaml = move || {
        panel.expected.with(|expected| {
            expected.as_ref().is_some_and(|e| e.as_ref().is_ok_and(|e| !e.yaml.is_empty()))
        })
    };
    let (live, offline) = (use_live(), use_offline());
    let held = Memo::new(move |_| live.faults().with(|faults| faults.held_us.is_some()));
    let text = move || {
        let ask = panel.asked.get();
        if panel.busy.get() {
            "Injecting".into()
        } else if ask {
            "Yes, go on".into()
        } else {
            panel.choice.get().button()
        }
    };
    let complaint = move || {
        let wrong = panel.pressed.get().then(|| panel.wrong()).flatten();
        wrong.map(|why| view! { <p class="notice tone-error" role="alert">{why}</p> })
    };
    let question = move || {
        let asks = panel.expected.get()?.ok()?.asks?;
        panel.asked.get().then(|| view! { <p class="notice tone-warn" role="alert">{asks}</p> })
    };
    let blocked = move || {
        if let Some(reason) = offline.reason() {
            Some(reason)
        } else if held.get() {
            Some("Faults are held off by the kill switch")
        } else {
            None
        }
    };
    let busy = move || panel.busy.get().then_some("true");
    view! {
        {complaint}
        {question}
        {move || held.get().then(|| {
            view! {
                <p class="notice tone-info">
                    "The kill switch holds new faults off. Release it in the banner above first."
                </p>
            }
        })}
        <noscript inner_html=SURE></noscript>
        <button
            type="button" class="button" disabled=move || !has_yaml()
            title=move || (!has_yaml()).then_some("No Istio object stands for it")
            on:click=move |_| browser::copy(&yaml_of(panel))
        >
            {icon(Icon::Copy)} "Copy YAML"
        </button>
        <button
            class="button primary grow" aria-busy=busy disabled=move || blocked().is_some()
            title=blocked
        >
            {icon(Icon::Bolt)} {text}
        </button>
    }
    .into_any()
}
