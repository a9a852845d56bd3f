//! Closed breakers, one line each with its window, and the form of thresholds.

use super::{Page, card::use_change};
use crate::{
    model::{breaker, tries},
    widget::{BreakerGlyph, BreakerMark, Field, ServiceCode, field},
};
use contract::resilience::{BreakerChange, BreakerLine, BreakerSettings, CallMark, ChangeBreaker};
use leptos::prelude::*;

pub(super) fn panel(page: Page) -> AnyView {
    let ids = Memo::new(move |_| {
        page.lines.with(|lines| {
            let quiet = lines.iter().filter(|line| breaker::rank(line) == 3);
            quiet.map(|l| l.id.clone()).filter(|id| !page.is_asked(id)).collect::<Vec<_>>()
        })
    });
    let title = move || format!("{} closed", ids.with(Vec::len));
    view! {
        <section class="panel closed">
            <header class="panel-head">
                <BreakerGlyph mark=BreakerMark::Closed/>
                <h2>{title}</h2>
                <span class="hint grow">"failed or slow calls in the window"</span>
            </header>
            <ul>
                <For each=move || ids.get() key=Clone::clone let:id>
                    {row(page, id)}
                </For>
            </ul>
            {thresholds(page)}
        </section>
    }
    .into_any()
}

fn row(page: Page, id: String) -> AnyView {
    let of = id.clone();
    let line = Memo::new(move |_| {
        page.lines.with(|lines| lines.iter().find(|line| line.id == of).cloned())
    });
    let Some(first) = line.get_untracked() else { return ().into_any() };
    let marks =
        Memo::new(move |_| line.with(|l| l.as_ref().map(breaker::marks).unwrap_or_default()));
    let text = move |of: fn(&BreakerLine) -> String| {
        move || line.with(|line| line.as_ref().map(of).unwrap_or_default())
    };
    let href = format!("/resilience?breaker={}", id.replace('~', "%7E"));
    let target = breaker::target(&first);
    view! {
        <li>
            <a href=href title=text(breaker::distance) aria-label=text(breaker::sentence)>
                <ServiceCode service=first.from alone=true/>
                <span class="hint">"›"</span>
                <ServiceCode service=first.to/>
                <span class="grow">{target}</span>
                <span class="cells small">
                    {move || marks.get().into_iter().map(small_cell).collect_view()}
                </span>
                <span class="number">{text(breaker::share_text)}</span>
            </a>
        </li>
    }
    .into_any()
}

fn small_cell(mark: CallMark) -> AnyView {
    let class = match mark {
        CallMark::Ok => "cell cell-ok",
        CallMark::Slow => "cell cell-slow",
        CallMark::Failed => "cell cell-failed",
    };
    view! { <i class=class></i> }.into_any()
}

// --- thresholds ---------------------------------------------------------------------------------

/// One form for every breaker: which one, and its thresholds. In force at once.
fn thresholds(page: Page) -> AnyView {
    let first = page.lines.with_untracked(|lines| lines.first().map(|line| line.id.clone()));
    let id = RwSignal::new(page.asked.get_untracked().or(first).unwrap_or_default());
    let known = Memo::new(move |_| {
        let id = id.get();
        page.view.with(|view| view.breakers.iter().find(|c| c.line.id == id).map(|c| c.settings))
    });
    let edited = RwSignal::new(None::<BreakerSettings>);
    let now = Memo::new(move |_| edited.get().or_else(|| known.get()));
    let options = Signal::derive(move || {
        page.lines.with(|lines| {
            let name = |line: &BreakerLine| format!("{} › {}", line.from, breaker::target(line));
            lines.iter().map(|line| (line.id.clone(), name(line))).collect::<Vec<_>>()
        })
    });
    let which = Field::plain(
        "Breaker",
        "id",
        id.into(),
        Callback::new(move |chosen: String| {
            edited.set(None);
            id.set(chosen);
        }),
    );
    let change = use_change();
    let mistakes = move || now.get().map(|now| breaker::mistakes(&now)).unwrap_or_default();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if let Some(settings) = now.get_untracked().filter(|now| breaker::mistakes(now).is_empty())
        {
            let change_to = BreakerChange::Thresholds(settings);
            change.run(ChangeBreaker { id: id.get_untracked(), change: change_to });
            edited.set(None);
        }
    };
    view! {
        <details class="thresholds" id="thresholds">
            <summary>"Thresholds"</summary>
            <form
                class="thresholds-form" method="post" action="/resilience/thresholds"
                on:submit=submit
            >
                {field::select(which, options)}
                {fields(now, edited)}
                <button class="button" disabled=move || !mistakes().is_empty()>
                    "Set thresholds"
                </button>
            </form>
        </details>
    }
    .into_any()
}

fn fields(
    now: Memo<Option<BreakerSettings>>,
    edited: RwSignal<Option<BreakerSettings>>,
) -> AnyView {
    type Read = fn(&BreakerSettings) -> String;
    type Write = fn(&mut BreakerSettings, &str) -> Option<()>;
    let make = move |label, name: &'static str, unit: &'static str, get: Read, put: Write| {
        let value =
            Signal::derive(move || now.with(|now| now.as_ref().map(get).unwrap_or_default()));
        let on = Callback::new(move |text: String| {
            let Some(mut settings) = now.get_untracked() else { return };
            if put(&mut settings, text.trim()).is_some() {
                edited.set(Some(settings));
            }
        });
        let wrong = Signal::derive(move || {
            let all = now.with(|now| now.as_ref().map(breaker::mistakes).unwrap_or_default());
            all.into_iter().find(|(of, _)| *of == name).map(|m| m.1.to_owned()).unwrap_or_default()
        });
        let made = Field { wrong, ..Field::plain(label, name, value, on) };
        view! {
            <label class="field">
                <span>{label}</span>
                {field::number(made, unit)}
            </label>
        }
    };
    view! {
        {make("Window", "window_calls", "calls", |s| s.window_calls.to_string(), |s, t| {
            s.window_calls = t.parse().ok()?;
            Some(())
        })}
        {make("Opens at", "open_percent", "%", |s| s.open_percent.to_string(), |s, t| {
            s.open_percent = t.parse().ok()?;
            Some(())
        })}
        {make("Failures in a row", "failures_in_a_row", "", row_text, |s, t| {
            s.failures_in_a_row = t.parse().ok()?;
            Some(())
        })}
        {make("Slow over", "slow_s", "s", slow_text, |s, t| {
            s.slow_ms = if t.is_empty() { None } else { Some(millis(t)?) };
            Some(())
        })}
        {make("Wait", "wait_s", "s", |s| tries::plain_seconds(s.wait_ms.into()), |s, t| {
            s.wait_ms = millis(t)?;
            Some(())
        })}
        {make("Trial calls", "trial_calls", "", |s| s.trial_calls.to_string(), |s, t| {
            s.trial_calls = t.parse().ok()?;
            Some(())
        })}
    }
    .into_any()
}

fn row_text(settings: &BreakerSettings) -> String {
    settings.failures_in_a_row.to_string()
}

fn slow_text(settings: &BreakerSettings) -> String {
    settings.slow_ms.map(|ms| tries::plain_seconds(ms.into())).unwrap_or_default()
}

fn millis(text: &str) -> Option<u32> {
    u32::try_from(tries::parse_seconds(text)?).ok()
}
