//! What validation found, how recorded requests would fare, and which rule a request would hit.

use super::editor::{Editor, LOST, use_choose_rule};
use crate::{
    ask,
    model::{fault, format, tone::Tone},
    widget::{Badge, Field, Icon, field, icon},
};
use contract::{
    istio::{Finding, Severity},
    service::BROWSER,
    traffic::{DryRun, ProbeRequest, ProbeVerdict},
};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::params::ParamsMap;

pub(super) fn panel(editor: Editor) -> AnyView {
    let count = move |severity| {
        editor.findings.with(|found| found.iter().filter(|f| f.severity == severity).count() as u64)
    };
    let badge = move |severity, tone: Tone, one: &'static str, many: &'static str| {
        move || {
            let count = count(severity);
            (count > 0).then(|| view! { <Badge tone=tone text=format::plural(count, one, many)/> })
        }
    };
    let says = move || {
        if editor.unchecked.get() {
            "not checked yet".to_owned()
        } else if editor.pending.get() {
            "checking".to_owned()
        } else if count(Severity::Error) > 0 {
            "errors keep it from being applied".into()
        } else if let (true, Some(why)) = (editor.drafted.get(), editor.blocked()) {
            why.to_owned()
        } else if let Some(unread) = editor.typed.first() {
            unread
        } else if editor.drafted.get() {
            format!("r{} can be applied", editor.number.get() + 1)
        } else {
            "of what is in force".into()
        }
    };
    let rows = move || {
        let found = editor.findings.get().into_iter().map(|f| finding(editor, &f)).collect_view();
        let passed =
            editor.passed.get().into_iter().map(|(text, line)| {
                row(editor, ("tone-ok", Icon::Check, "passed"), text, line, None)
            });
        view! { {found} {passed.collect_view()} }
    };
    view! {
        <section class="panel checks">
            <header class="panel-head">
                <h2>"Checks"</h2>
                <span class="hint grow">{says}</span>
                {badge(Severity::Error, Tone::Error, "error", "errors")}
                {badge(Severity::Warning, Tone::Warn, "warning", "warnings")}
                {badge(Severity::Info, Tone::Info, "note", "notes")}
            </header>
            <ul>
                // Of a text that cannot be applied nothing was tried: the answer is of another.
                {move || editor.dry_run.get().filter(|_| count(Severity::Error) == 0)
                    .map(|tried| dry_run(&tried))}
                {rows}
            </ul>
        </section>
    }
    .into_any()
}

/// Class, glyph and word of a severity.
pub(super) const fn weighed(severity: Severity) -> (&'static str, Icon, &'static str) {
    match severity {
        Severity::Error => ("tone-error", Icon::Cross, "error"),
        Severity::Warning => ("tone-warn", Icon::Alert, "warning"),
        Severity::Info => ("tone-info", Icon::Info, "note"),
    }
}

/// What was found, why it matters and what to do, with its code.
pub(super) fn sentence(finding: &Finding) -> String {
    let Finding { code, message, advice, .. } = finding;
    let parts = [message.as_str(), advice.as_str()];
    let said: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{} ({code})", said.join(" "))
}

/// The YAML that says the same in Istio's own terms.
pub(super) fn correct_form(finding: &Finding) -> Option<AnyView> {
    let yaml = finding.correct_form.clone()?;
    let shown = view! {
        <details class="correct-form">
            <summary>"As Istio knows it"</summary>
            <pre>{yaml}</pre>
        </details>
    };
    Some(shown.into_any())
}

fn finding(editor: Editor, finding: &Finding) -> AnyView {
    let line = (finding.at.line > 0).then_some(finding.at.line);
    let more = correct_form(finding);
    row(editor, weighed(finding.severity), sentence(finding), line, more)
}

fn row(
    editor: Editor,
    (class, glyph, word): (&'static str, Icon, &'static str),
    text: String,
    line: Option<u32>,
    more: Option<AnyView>,
) -> AnyView {
    let choose = use_choose_rule();
    let link = line.map(|line| {
        view! {
            <button
                type="button" class="line-link" aria-label=format!("Line {line}")
                on:click=move |_| editor.focus_line(line, choose)
            >
                {format!("L{line}")}
            </button>
        }
    });
    view! {
        <li class=class>
            {icon(glyph)}
            <div class="grow"><span class="sr">{word} ": "</span>{text}{more}</div>
            {link}
        </li>
    }
    .into_any()
}

/// "37 of 1 000 recorded requests would change route".
#[must_use]
pub(super) fn dry_run_text(tried: &DryRun) -> String {
    let requests = format::plural(tried.requests, "recorded request", "recorded requests");
    match tried.changed {
        0 => format!("None of {requests} would change route"),
        changed => format!("{} of {requests} would change route", format::count(changed)),
    }
}

/// Of how many the answer is not sure; nothing if there are none.
fn incomplete_text(requests: u64) -> Option<String> {
    let of = format::plural(requests, "request was", "requests were");
    (requests > 0).then(|| format!("{of} too long to be recorded whole and may go another way"))
}

fn dry_run(tried: &DryRun) -> AnyView {
    let rows = tried.rows.iter().map(|row| {
        let request = match &row.trace_id {
            Some(id) => {
                view! { <a href=format!("/traces/{id}")>{row.request.clone()}</a> }.into_any()
            }
            None => view! { <span>{row.request.clone()}</span> }.into_any(),
        };
        view! {
            <li>{request} " " <span class="hint">{format!("{} → {}", row.from, row.to)}</span></li>
        }
    });
    let rules = tried.rules.iter().filter(|(_, matched)| *matched == 0).map(|(rule, _)| {
        view! { <li class="hint">{format!("Rule {rule} matches none of them")}</li> }
    });
    let incomplete = incomplete_text(tried.incomplete);
    let incomplete = incomplete.map(|text| view! { <li class="hint">{text}</li> });
    view! {
        <li class="tone-info dry-run">
            {icon(Icon::Routes)}
            <details class="grow">
                <summary>{dry_run_text(tried)}</summary>
                <ul>{rows.collect_view()}{rules.collect_view()}{incomplete}</ul>
            </details>
        </li>
    }
    .into_any()
}

// --- which rule would this request hit ----------------------------------------------------------

/// The request in an address: the tester's form is a GET, so that a question can be sent on.
pub(super) fn asked(query: &ParamsMap) -> Option<ProbeRequest> {
    let get = |name: &str| query.get(name).unwrap_or_default();
    let path = query.get("path")?;
    let (method, headers, source) = (get("method"), get("headers"), get("source"));
    let method = if method.is_empty() { "GET".to_owned() } else { method };
    Some(ProbeRequest { method, path, headers, source })
}

/// A request as it was typed, and what became of it.
pub(super) type Tried = (ProbeRequest, Result<ProbeVerdict, String>);

pub(super) fn tester(editor: Editor, tried: Option<Tried>) -> AnyView {
    let first = || ProbeRequest { method: "GET".into(), path: "/".into(), ..Default::default() };
    let (typed, answer) = tried.unzip();
    let request = RwSignal::new(typed.unwrap_or_else(first));
    let verdict = RwSignal::new(answer);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if untrack(move || editor.lost()) {
            return;
        }
        let (host, text) = (editor.host.get_value(), editor.text.get_untracked());
        let asked = request.get_untracked();
        spawn_local(async move {
            let answer = ask::probe(host, text, asked).await.map_err(|error| error.to_string());
            verdict.try_set(Some(answer));
        });
    };
    let action = format!("/traffic/{}", editor.host.get_value());
    view! {
        <section class="panel tester">
            <header class="panel-head">
                <h2>"Which rule would this request hit?"</h2>
            </header>
            <form class="tester-form" method="get" action=action on:submit=submit>
                {tester_fields(request)}
                <button
                    class="button" disabled=move || editor.lost()
                    title=move || editor.lost().then_some(LOST)
                >
                    "Try"
                </button>
            </form>
            <div role="status">{move || verdict.get().map(answered)}</div>
        </section>
    }
    .into_any()
}

fn tester_fields(request: RwSignal<ProbeRequest>) -> AnyView {
    let make =
        move |label, name, get: fn(&ProbeRequest) -> String, set: fn(&mut ProbeRequest, String)| {
            let on =
                Callback::new(move |text: String| request.update(|request| set(request, text)));
            Field::plain(label, name, Signal::derive(move || request.with(get)), on)
        };
    let method = make("Method", "method", |r| r.method.clone(), |r, text| r.method = text);
    let path = make("Path", "path", |r| r.path.clone(), |r, text| r.path = text);
    let source = make("Caller", "source", |r| r.source.clone(), |r, text| r.source = text);
    let headers = make("Headers", "headers", |r| r.headers.clone(), |r, text| r.headers = text);
    let methods = ["GET", "POST", "PUT", "DELETE"].map(|m| (m.to_owned(), m.to_owned()));
    let callers = std::iter::once((String::new(), "from outside".to_owned()));
    // What comes from a browser comes from outside.
    let within = fault::callers().filter(|name| *name != BROWSER);
    let callers = callers.chain(within.map(|name| (name.to_owned(), name.to_owned())));
    view! {
        {field::select(method, Signal::stored(methods.to_vec()))}
        {field::text(path, "/path?query")}
        {field::select(source, Signal::stored(callers.collect::<Vec<_>>()))}
        {field::text(headers, "x-canary: true")}
    }
    .into_any()
}

fn answered(verdict: Result<ProbeVerdict, String>) -> AnyView {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(text) => return view! { <p class="notice tone-error">{text}</p> }.into_any(),
    };
    let rows = verdict.rules.into_iter().map(|rule| {
        let (class, glyph) =
            if rule.matches { ("tone-ok", Icon::Check) } else { ("tone-neutral", Icon::Cross) };
        let word = if rule.matches { "matches" } else { "does not match" };
        view! {
            <li class=class>
                {icon(glyph)}
                <strong>{rule.rule}</strong>
                <span class="grow"><span class="sr">{word} ": "</span>{rule.why}</span>
            </li>
        }
    });
    let goes = verdict.goes.unwrap_or_else(|| "No rule matches: it is answered with 404.".into());
    view! {
        <ul>{rows.collect_view()}</ul>
        <p class="panel-body"><strong>{goes}</strong></p>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_how_many_requests_would_go_elsewhere() {
        let tried = DryRun { requests: 1_000, changed: 37, ..DryRun::default() };
        assert_eq!(dry_run_text(&tried), "37 of 1\u{202f}000 recorded requests would change route");
        let none = DryRun { requests: 1, changed: 0, ..tried };
        assert_eq!(dry_run_text(&none), "None of 1 recorded request would change route");
        assert_eq!(incomplete_text(0), None);
        let unsure = "2 requests were too long to be recorded whole and may go another way";
        assert_eq!(incomplete_text(2).as_deref(), Some(unsure));
    }
}
