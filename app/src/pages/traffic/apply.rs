//! Applying a whole file of Istio resources, and what becomes of each of its fields.
//!
//! Without JavaScript the form posts to the page itself.

use super::{checks, editor::LOST};
use crate::{
    ask,
    frame::use_toasts,
    live::{Connection, use_live},
    model::tone::Tone,
    widget::{Badge, icon},
};
use contract::{
    istio::{Change, Fate, FieldFate, Position, ResourceReport, Severity},
    traffic::{Applied, ApplyYaml, ChangeTraffic, PostedApply},
};
use leptos::{prelude::*, task::spawn_local};

/// Word and tone of a fate: what it is, or what it would be where nothing was changed.
#[must_use]
const fn fate_word(fate: Fate, applied: bool) -> (&'static str, Tone) {
    match fate {
        Fate::InForce if applied => ("in force", Tone::Ok),
        Fate::InForce => ("would be in force", Tone::Neutral),
        Fate::Ignored => ("kept, ignored", Tone::Neutral),
        Fate::Rejected => ("rejected", Tone::Error),
    }
}

/// "41 in force, 3 kept but ignored, 1 rejected"; "41 would be in force" where nothing was changed.
#[must_use]
fn fates_text(resources: &[ResourceReport], applied: bool) -> String {
    let fields = || resources.iter().flat_map(|resource| &resource.fields);
    let of = |fate| fields().filter(|field| field.fate == fate).count();
    let all = [
        (Fate::InForce, if applied { "in force" } else { "would be in force" }),
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

const fn change_word(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Configured => "configured",
        Change::Unchanged => "unchanged",
        Change::Deleted => "deleted",
        Change::NotOurs => "not ours, left alone",
    }
}

/// What became of a text that a form has sent.
pub(super) fn posted(posted: PostedApply) -> AnyView {
    let PostedApply { applied, error, .. } = posted;
    match error {
        Some(error) => view! { <p class="form-error" role="alert">{error}</p> }.into_any(),
        None => view! {
            <section class="panel apply" role="status">{answered(applied)}</section>
        }
        .into_any(),
    }
}

pub(super) fn panel(sent: Option<PostedApply>) -> AnyView {
    let toasts = use_toasts();
    let connection = use_live().connection();
    let lost = move || connection.with(|now| matches!(now, Connection::Lost { .. }));
    let typed = sent.as_ref().map(|sent| sent.yaml.clone()).unwrap_or_default();
    let error = sent.as_ref().and_then(|sent| sent.error.clone());
    let text = RwSignal::new(typed.clone());
    let answer = RwSignal::new(sent.filter(|sent| sent.error.is_none()).map(|sent| sent.applied));
    let busy = RwSignal::new(false);
    let send = move |dry_run: bool| {
        if untrack(lost) {
            return;
        }
        busy.set(true);
        let yaml = text.get_untracked();
        let command = ApplyYaml { yaml, base: None, host: None, dry_run };
        spawn_local(async move {
            let done = ask::change_traffic(ChangeTraffic::Apply(command)).await;
            busy.try_set(false);
            match done {
                Ok(applied) => {
                    if applied.revision.is_some() {
                        super::editor::tell(toasts, &applied, Callback::new(|()| {}));
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
            {error.map(|error| view! { <p class="form-error" role="alert">{error}</p> })}
            <form class="panel-body" method="post" action="/traffic" on:submit=submit>
                <textarea
                    name="yaml" rows="12" aria-label="YAML" spellcheck="false" autocomplete="off"
                    placeholder="apiVersion: networking.istio.io/v1" wrap="off"
                    on:input=move |event| text.set(event_target_value(&event))
                >
                    {typed}
                </textarea>
                {buttons(busy, connection, Callback::new(send))}
            </form>
            <div role="status">{move || answer.get().map(answered)}</div>
        </section>
    }
    .into_any()
}

/// The button that applies, and the one that only tries.
fn buttons(
    busy: RwSignal<bool>,
    connection: ReadSignal<Connection>,
    send: Callback<bool>,
) -> AnyView {
    let lost = move || connection.with(|now| matches!(now, Connection::Lost { .. }));
    let why = move || lost().then_some(LOST);
    view! {
        <div class="actions">
            <button
                class="button" name="dry_run" value="true"
                disabled=move || busy.get() || lost() title=why
                on:click=move |event| {
                    event.prevent_default();
                    send.run(true);
                }
            >
                "Try without applying"
            </button>
            <button
                class="button primary" disabled=lost title=why
                aria-busy=move || busy.get().then_some("true")
            >
                {move || if busy.get() { "Applying" } else { "Apply" }}
            </button>
        </div>
    }
    .into_any()
}

fn answered(applied: Applied) -> AnyView {
    let report = applied.report;
    let refused = report.findings.iter().any(|f| f.severity == Severity::Error)
        || report.resources.iter().any(|r| r.fields.iter().any(|f| f.fate == Fate::Rejected));
    let title = match applied.revision {
        Some(number) => format!("r{number} is in force"),
        None if refused => "Nothing was changed".into(),
        None if report.resources.iter().all(|r| r.change == Change::NotOurs) => {
            "Nothing in it is Vitrine's".into()
        }
        None => "It can be applied".into(),
    };
    let findings = report.findings.iter().map(|finding| {
        let (class, glyph, word) = checks::weighed(finding.severity);
        view! {
            <li class=class>
                {icon(glyph)}
                <div class="grow">
                    <span class="sr">{word} ": "</span>
                    {checks::sentence(finding)}
                    {checks::correct_form(finding)}
                </div>
                <span class="hint">{place(finding.at)}</span>
            </li>
        }
    });
    let is_applied = applied.revision.is_some();
    let summary = fates_text(&report.resources, is_applied);
    view! {
        <h3 class="panel-body">{title} <span class="hint">{summary}</span></h3>
        <ul>{findings.collect_view()}</ul>
        {report.resources.into_iter().map(|of| resource(of, is_applied)).collect_view()}
    }
    .into_any()
}

/// "L12:5"; nothing for what stands nowhere.
fn place(at: Position) -> Option<String> {
    (at.line > 0).then(|| format!("L{at}"))
}

/// One resource and its fields, folded while all of them are in force.
fn resource(report: ResourceReport, applied: bool) -> AnyView {
    let summary = fates_text(std::slice::from_ref(&report), applied);
    let open = report.fields.iter().any(|field| field.fate != Fate::InForce);
    let rows = report.fields.into_iter().map(|field| fate(field, applied)).collect_view();
    view! {
        <details class="fates" open=open>
            <summary>
                <strong>{report.resource.to_string()}</strong>
                " "
                {change_word(report.change)}
                <span class="hint">{summary}</span>
            </summary>
            <div class="table-scroll">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Line"</th>
                            <th scope="col">"Field"</th>
                            <th scope="col">"Fate"</th>
                            <th scope="col">"Why"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

fn fate(field: FieldFate, applied: bool) -> AnyView {
    let (word, tone) = fate_word(field.fate, applied);
    view! {
        <tr>
            <td>{field.at.to_string()}</td>
            <td><code>{field.path}</code></td>
            <td><Badge tone=tone text=word/></td>
            <td class="why">{field.why}</td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::istio::ResourceKey;

    #[test]
    fn the_fates_of_a_file_are_counted() {
        let field = |fate| FieldFate {
            path: "spec".into(),
            at: Position { line: 1, column: 1 },
            fate,
            why: None,
        };
        let resource = |fates: &[Fate]| ResourceReport {
            resource: ResourceKey::default(),
            at: Position::default(),
            change: Change::Created,
            fields: fates.iter().map(|fate| field(*fate)).collect(),
        };
        let all = [resource(&[Fate::InForce, Fate::Ignored]), resource(&[Fate::InForce])];
        assert_eq!(fates_text(&all, true), "2 in force, 1 kept but ignored");
        assert_eq!(fates_text(&all, false), "2 would be in force, 1 kept but ignored");
        assert_eq!(fates_text(&[], true), "No fields");
    }
}
