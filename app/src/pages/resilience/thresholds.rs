//! The form of thresholds: which breaker, failures in a row that open it, how long it waits.
//!
//! In force at once and in the breaker's history. Values that were refused stay in the form.
//! Without JavaScript the choice of a breaker is a form of its own, so that its thresholds are
//! filled in, and another button of the form shows what the thresholds would have done.

use super::{Page, card::use_change, what_if};
use crate::{
    frame::use_offline,
    model::{breaker, tries},
    widget::{Field, field},
};
use contract::resilience::{
    BreakerChange, BreakerLine, BreakerSettings, ChangeBreaker, ResilienceView, TryThresholds,
    WhatIfView,
};
use leptos::{html, prelude::*};
use leptos_router::hooks::use_query_map;

/// What is typed, as typed: what cannot be read stays to be mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    failures: String,
    wait_s: String,
}

impl Typed {
    fn of(settings: &BreakerSettings) -> Self {
        Self {
            failures: settings.failures_in_a_row.to_string(),
            wait_s: tries::plain_seconds(settings.wait_ms.into()),
        }
    }

    /// The thresholds, or what is wrong with each field.
    pub(super) fn read(&self) -> Result<BreakerSettings, Vec<(&'static str, &'static str)>> {
        let failures = self.failures.trim().parse().ok();
        let wait = tries::parse_seconds(self.wait_s.trim()).map(u32::try_from);
        // What is no number is refused like a zero, by the same words.
        let settings = BreakerSettings {
            failures_in_a_row: failures.unwrap_or(0),
            wait_ms: wait.and_then(Result::ok).unwrap_or(0),
        };
        let wrong = breaker::mistakes(&settings);
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }
}

/// Which breaker the address asks for, and thresholds that it comes with: those of a form that was
/// refused, or that are only to be tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    breaker: Option<String>,
    typed: Option<Typed>,
}

pub(super) fn asked_for() -> Asked {
    use_query_map().with_untracked(|query| {
        let typed = query.get("failures_in_a_row").zip(query.get("wait_s"));
        Asked {
            breaker: query.get("thresholds").or_else(|| query.get("breaker")),
            typed: typed.map(|(failures, wait_s)| Typed { failures, wait_s }),
        }
    })
}

impl Asked {
    /// The breaker that is asked for, or the first.
    fn first<'a>(
        &self,
        mut lines: impl Iterator<Item = &'a BreakerLine> + Clone,
    ) -> Option<String> {
        let ids = lines.clone().map(|line| line.id.as_str());
        let asked = |line: &&BreakerLine| {
            let asked = self.breaker.as_deref();
            asked.is_some_and(|asked| breaker::is_asked(asked, &line.id, ids.clone()))
        };
        let found = lines.clone().find(asked).or_else(|| lines.next());
        found.map(|line| line.id.clone())
    }

    /// What the form comes with, to be tried; none when there is no breaker, or nothing to try.
    pub(super) fn of(&self, view: &ResilienceView) -> Option<TryThresholds> {
        let mut cards: Vec<_> = view.breakers.iter().collect();
        cards.sort_by_key(|card| (breaker::rank(&card.line), card.line.id.clone()));
        let id = self.first(cards.iter().map(|card| &card.line))?;
        let in_force = cards.iter().find(|card| card.line.id == id)?.settings;
        let settings = self.typed.as_ref().map_or(Ok(in_force), Typed::read).ok()?;
        Some(TryThresholds { id, settings })
    }
}

/// One form for every breaker; `shown` unfolds it.
pub(super) fn form(page: Page, shown: RwSignal<bool>, what_if: Option<WhatIfView>) -> AnyView {
    let asked = asked_for();
    // As the page was made, though the stream may order them otherwise by now.
    let made = what_if.as_ref().map(|what_if| what_if.id.clone());
    let first = made.or_else(|| page.lines.with_untracked(|lines| asked.first(lines.iter())));
    let id = RwSignal::new(first.unwrap_or_default());
    let known = Memo::new(move |_| {
        let id = id.get();
        page.view.with(|view| view.breakers.iter().find(|c| c.line.id == id).map(|c| c.settings))
    });
    // A form that was refused comes back with what was typed.
    let edited = RwSignal::new(asked.typed);
    let now = Memo::new(move |_| {
        let in_force = || known.get().map(|known| Typed::of(&known)).unwrap_or_default();
        edited.get().unwrap_or_else(in_force)
    });
    let (change, offline) = (use_change(), use_offline());
    let mistakes = move || now.with(Typed::read).err().unwrap_or_default();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if let Ok(settings) = now.with_untracked(Typed::read) {
            let change_to = BreakerChange::Thresholds(settings);
            change.run(ChangeBreaker { id: id.get_untracked(), change: change_to });
        }
    };
    // What was edited is in force when the view says so; until then it stays in the form.
    Effect::new(move |_| {
        let in_force = known.get();
        let same = |typed: &Typed| typed.read().ok() == in_force;
        if edited.with_untracked(|typed| typed.as_ref().is_some_and(same)) {
            edited.set(None);
        }
    });
    let folded = NodeRef::<html::Details>::new();
    view! {
        <details class="thresholds" id="thresholds" open=move || shown.get() node_ref=folded>
            <summary>"Thresholds"</summary>
            {which(page, id, edited)}
            <form
                class="thresholds-form" method="post" action="/resilience/thresholds"
                on:submit=submit
            >
                <input type="hidden" name="id" value=move || id.get()/>
                {fields(now, edited, Signal::derive(mistakes))}
                <button
                    class="button" title=move || offline.reason()
                    disabled=move || offline.now() || !mistakes().is_empty()
                >
                    "Set thresholds"
                </button>
                <span class="hint">"In force at once, and in the breaker's history."</span>
                <noscript inner_html=try_button(&untrack(|| id.get()))></noscript>
            </form>
            {what_if::panel(page, what_if, (id, now), folded)}
        </details>
    }
    .into_any()
}

/// Which breaker; a form by itself, so that it can be sent without JavaScript.
fn which(page: Page, id: RwSignal<String>, edited: RwSignal<Option<Typed>>) -> AnyView {
    let options = Signal::derive(move || {
        page.lines.with(|lines| {
            let name = |line: &BreakerLine| format!("{} › {}", line.from, breaker::target(line));
            lines.iter().map(|line| (line.id.clone(), name(line))).collect::<Vec<_>>()
        })
    });
    let on = Callback::new(move |chosen: String| {
        edited.set(None);
        id.set(chosen);
    });
    let made = Field::plain("Breaker", "thresholds", id.into(), on);
    view! {
        <form class="thresholds-form" method="get" action="/resilience">
            {field::select(made, options)}
            <noscript inner_html=show_button()></noscript>
        </form>
    }
    .into_any()
}

fn fields(
    now: Memo<Typed>,
    edited: RwSignal<Option<Typed>>,
    mistakes: Signal<Vec<(&'static str, &'static str)>>,
) -> AnyView {
    type Slot = fn(&mut Typed) -> &mut String;
    let make = move |label, name: &'static str, unit: &'static str, slot: Slot| {
        let value = Signal::derive(move || slot(&mut now.get()).clone());
        let on = Callback::new(move |text: String| {
            let mut typed = now.get_untracked();
            *slot(&mut typed) = text;
            edited.set(Some(typed));
        });
        let wrong = Signal::derive(move || {
            let all = mistakes.get();
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
        {make("Failures in a row", "failures_in_a_row", "", |typed| &mut typed.failures)}
        {make("Wait", "wait_s", "s", |typed| &mut typed.wait_s)}
    }
    .into_any()
}

/// Not a literal in the markup: that would become an attribute.
fn show_button() -> String {
    "<button class=\"button small\">Show</button>".to_owned()
}

/// Without JavaScript what is filled in is tried by the page that it asks for.
fn try_button(id: &str) -> String {
    // An id is made of the names of services; nothing else may become markup.
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-~._".contains(*c);
    let id: String = id.chars().filter(plain).collect();
    format!(
        "<button class=\"button\" formmethod=\"get\" formaction=\"/resilience#thresholds\" \
         name=\"thresholds\" value=\"{id}\">What if?</button>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_by_the_rules_of_the_host_and_kept_when_it_is_wrong() {
        let settings = BreakerSettings { failures_in_a_row: 3, wait_ms: 2_500 };
        let typed = Typed::of(&settings);
        assert_eq!((&*typed.failures, &*typed.wait_s), ("3", "2.5"));
        assert_eq!(typed.read(), Ok(settings));
        let wrong = Typed { failures: "many".into(), wait_s: "-1".into() };
        let fields: Vec<_> = wrong.read().unwrap_err().into_iter().map(|(of, _)| of).collect();
        assert_eq!(fields, ["failures_in_a_row", "wait_s"]);
    }
}
