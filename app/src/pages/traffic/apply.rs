//! Applying a whole file of Istio resources, and what becomes of each of its fields.
//!
//! Without JavaScript the form posts to `/traffic/apply`.

use crate::{
    ask,
    frame::use_toasts,
    model::{format, tone::Tone},
    widget::{Badge, Icon, icon},
};
use contract::traffic::{Applied, ApplyYaml, ChangeTraffic, Fate, FateView, Weight};
use leptos::{prelude::*, task::spawn_local};

/// Word and tone of a fate.
#[must_use]
pub(super) const fn fate_word(fate: Fate) -> (&'static str, Tone) {
    match fate {
        Fate::InForce => ("in force", Tone::Ok),
        Fate::Ignored => ("kept, ignored", Tone::Neutral),
        Fate::Rejected => ("rejected", Tone::Error),
    }
}

/// "41 in force, 3 kept but ignored, 1 rejected".
#[must_use]
pub(super) fn fates_text(fates: &[FateView]) -> String {
    let of = |fate| fates.iter().filter(|row| row.fate == fate).count();
    let all = [
        (Fate::InForce, "in force"),
        (Fate::Ignored, "kept but ignored"),
        (Fate::Rejected, "rejected"),
    ];
    let parts: Vec<_> = all
        .into_iter()
        .filter(|(fate, _)| of(*fate) > 0)
        .map(|(fate, word)| format!("{} {word}", of(fate)))
        .collect();
    if parts.is_empty() { "No fields".into() } else { parts.join(", ") }
}

pub(super) fn panel() -> AnyView {
    let toasts = use_toasts();
    let text = RwSignal::new(String::new());
    let answer = RwSignal::new(None::<Applied>);
    let busy = RwSignal::new(false);
    let send = move |dry_run: bool| {
        busy.set(true);
        let yaml = text.get_untracked();
        let command = ApplyYaml { yaml, base: None, host: None, dry_run };
        spawn_local(async move {
            let done = ask::change_traffic(ChangeTraffic::Apply(command)).await;
            busy.try_set(false);
            match done {
                Ok(applied) => {
                    if applied.revision.is_some() {
                        let (title, text) = super::editor::announced(&applied);
                        toasts.success(&title, &text, None);
                    }
                    answer.try_set(Some(applied));
                }
                Err(error) => toasts.failure("Not applied", &error.to_string()),
            }
        });
    };
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        send(false);
    };
    view! {
        <section class="panel apply">
            <header class="panel-head">
                <h2>"Apply a file"</h2>
                <span class="hint grow">
                    "Istio resources, one or several documents, as one transaction"
                </span>
            </header>
            <form class="panel-body" method="post" action="/traffic/apply" on:submit=submit>
                <textarea
                    name="yaml" rows="16" aria-label="YAML" spellcheck="false" autocomplete="off"
                    placeholder="apiVersion: networking.istio.io/v1" wrap="off"
                    on:input=move |event| text.set(event_target_value(&event))
                ></textarea>
                <div class="actions">
                    <button
                        type="button" class="button" disabled=move || busy.get()
                        on:click=move |_| send(true)
                    >
                        "Try without applying"
                    </button>
                    <button class="button primary" aria-busy=move || busy.get().then_some("true")>
                        {move || if busy.get() { "Applying" } else { "Apply" }}
                    </button>
                </div>
            </form>
            <div role="status">{move || answer.get().map(answered)}</div>
        </section>
    }
    .into_any()
}

fn answered(applied: Applied) -> AnyView {
    let rejected = applied.fates.iter().any(|row| row.fate == Fate::Rejected)
        || applied.findings.iter().any(|finding| finding.weight == Weight::Error);
    let title = match applied.revision {
        Some(number) => format!("r{number} is in force"),
        None if rejected => "Nothing was changed".into(),
        None => "It can be applied".into(),
    };
    let findings = applied.findings.into_iter().map(|finding| {
        let (class, glyph) = match finding.weight {
            Weight::Error => ("tone-error", Icon::Cross),
            Weight::Warning => ("tone-warn", Icon::Alert),
            Weight::Note => ("tone-info", Icon::Info),
        };
        let line = finding.line.map(|line| format!("L{line}"));
        let code = finding.code.map(|code| format!(" ({code})"));
        view! {
            <li class=class>
                {icon(glyph)}
                <span class="grow">{finding.text}{code}</span>
                <span class="hint">{line}</span>
            </li>
        }
    });
    let summary = fates_text(&applied.fates);
    let rows = applied.fates.into_iter().map(fate).collect_view();
    view! {
        <h3 class="panel-body">{title} <span class="hint">{summary}</span></h3>
        <ul>{findings.collect_view()}</ul>
        <div class="table-scroll">
            <table class="table fates">
                <thead>
                    <tr>
                        <th scope="col">"Line"</th>
                        <th scope="col">"Resource"</th>
                        <th scope="col">"Field"</th>
                        <th scope="col">"Fate"</th>
                        <th scope="col">"Why"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn fate(row: FateView) -> AnyView {
    let (word, tone) = fate_word(row.fate);
    let place = format!("{}:{}", format::count(row.line.into()), row.column);
    view! {
        <tr>
            <td class="number">{place}</td>
            <td>{row.resource}</td>
            <td><code>{row.path}</code></td>
            <td><Badge tone=tone text=word/></td>
            <td class="why">{row.why}</td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fates_of_a_file_are_counted() {
        let row = |fate| FateView {
            resource: "VirtualService a".into(),
            path: "spec".into(),
            fate,
            why: None,
            line: 1,
            column: 1,
        };
        let fates = [row(Fate::InForce), row(Fate::Ignored), row(Fate::InForce)];
        assert_eq!(fates_text(&fates), "2 in force, 1 kept but ignored");
        assert_eq!(fates_text(&[]), "No fields");
    }
}
