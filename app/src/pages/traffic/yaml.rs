//! The YAML of a draft: what it changes, or the whole text to be edited.
//!
//! Without JavaScript the text is a form that posts to `/traffic/apply`.

use super::editor::{Editor, use_choose_rule};
use crate::{
    ask, browser,
    model::{
        diff::{self, Change, Line, Piece},
        route,
    },
    widget::{Icon, LinkTabs, icon},
};
use contract::istio::{Finding, Severity};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use wasm_bindgen::JsCast;

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compared {
    old: String,
    new: String,
    /// The comparison of an old revision, not of the draft.
    revision: Option<u64>,
}

/// The old revision that is compared with what is in force.
pub(super) struct Old {
    /// Its number, from the address.
    pub(super) number: Memo<Option<u64>>,
    /// Its text, if the page was made with one.
    pub(super) first: Option<String>,
}

/// The text of the old revision in the address, fetched when another one is chosen.
fn use_old(editor: Editor, old: Old) -> RwSignal<Option<(u64, String)>> {
    let number = old.number;
    let text = RwSignal::new(number.get_untracked().zip(old.first));
    Effect::new(move |_| {
        let asked = number.get();
        let known = text.with_untracked(|text| text.as_ref().map(|text| text.0));
        if asked == known {
            return;
        }
        text.set(None);
        let (Some(asked), host) = (asked, editor.host.get_value()) else { return };
        spawn_local(async move {
            if let Ok(old) = ask::revision(host, asked).await
                && number.try_get_untracked() == Some(Some(asked))
            {
                text.set(Some((asked, old)));
            }
        });
    });
    text
}

pub(super) fn panel(editor: Editor, old: Old) -> AnyView {
    let query = use_query_map();
    let host = editor.host.get_value();
    let whole = Memo::new(move |_| query.with(|query| query.get_str("view") == Some("yaml")));
    let old = use_old(editor, old);
    let links = vec![
        (format!("/traffic/{host}"), "Diff".to_owned()),
        (format!("/traffic/{host}?view=yaml"), "YAML".to_owned()),
    ];
    let current = Signal::derive(move || usize::from(whole.get()));
    let kind = RwSignal::new(None::<String>);
    view! {
        <section class="panel yaml">
            <header class="panel-head">
                {kinds(editor, kind)}
                <span class="grow"></span>
                <LinkTabs label="View" links=Signal::stored(links) current=current/>
                <button
                    type="button" class="button ghost square small" aria-label="Copy the YAML"
                    on:click=move |_| browser::copy(&editor.text.get_untracked())
                >
                    {icon(Icon::Copy)}
                </button>
            </header>
            {body(editor, whole, kind, old)}
        </section>
    }
    .into_any()
}

fn body(
    editor: Editor,
    whole: Memo<bool>,
    kind: RwSignal<Option<String>>,
    old: RwSignal<Option<(u64, String)>>,
) -> AnyView {
    let compared = Memo::new(move |_| match old.get() {
        Some((number, old)) => Compared {
            old,
            new: editor.view.with(|view| view.applied.yaml.clone()),
            revision: Some(number),
        },
        None => Compared {
            old: editor.base.with(|base| base.1.clone()),
            new: editor.text.get(),
            revision: None,
        },
    });
    (move || if whole.get() { text(editor) } else { lines(editor, compared, kind) }).into_any()
}

/// A tab for each kind of document, with the number of places that changed.
fn kinds(editor: Editor, chosen: RwSignal<Option<String>>) -> AnyView {
    let tabs = Memo::new(move |_| {
        editor.text.with(|text| {
            editor.base.with(|(_, base)| {
                let mut kinds: Vec<String> = Vec::new();
                for document in diff::documents(text).iter().chain(&diff::documents(base)) {
                    if !kinds.iter().any(|kind| kind == document.kind) {
                        kinds.push(document.kind.to_owned());
                    }
                }
                kinds.into_iter().map(|kind| (places(base, text, &kind), kind)).collect::<Vec<_>>()
            })
        })
    });
    let tab = move |at: usize, count: usize, kind: String| {
        let of = kind.clone();
        let shown = move || {
            let shown = chosen.with(|chosen| chosen.as_ref().map_or(at == 0, |c| *c == of));
            shown.then_some("true")
        };
        let name = kind.clone();
        view! {
            <button
                type="button" class="tab" aria-current=shown
                on:click=move |_| chosen.set(Some(kind.clone()))
            >
                {name}
                {(count > 0).then(|| view! { <span class="count">{count}</span> })}
            </button>
        }
    };
    view! {
        <div class="kind-tabs">
            {move || {
                let tabs = tabs.get().into_iter().enumerate();
                tabs.map(|(at, (count, kind))| tab(at, count, kind)).collect_view()
            }}
        </div>
    }
    .into_any()
}

fn of_kind<'a>(text: &'a str, kind: &str) -> (u32, &'a str) {
    let documents = diff::documents(text);
    documents.iter().find(|doc| doc.kind == kind).map_or((1, ""), |doc| (doc.first, doc.text))
}

/// Runs of changed lines.
fn places(old: &str, new: &str, kind: &str) -> usize {
    let lines = diff::diff(of_kind(old, kind).1, of_kind(new, kind).1, 1);
    let changed = |line: &Line| line.change != Change::Same;
    let begins = |at: usize| changed(&lines[at]) && (at == 0 || !changed(&lines[at - 1]));
    (0..lines.len()).filter(|at| begins(*at)).count()
}

// --- lines --------------------------------------------------------------------------------------

fn lines(editor: Editor, compared: Memo<Compared>, kind: RwSignal<Option<String>>) -> AnyView {
    let choose = use_choose_rule();
    let opened = RwSignal::new(Vec::<usize>::new());
    let shown = Memo::new(move |_| {
        compared.with(|texts| {
            let first = diff::documents(&texts.new).first().map(|doc| doc.kind.to_owned());
            let kind = kind.get().or(first).unwrap_or_default();
            let (first, new) = of_kind(&texts.new, &kind);
            diff::diff(of_kind(&texts.old, &kind).1, new, first)
        })
    });
    let click = move |event: leptos::ev::MouseEvent| {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let line = target.and_then(|t| t.closest("[data-line]").ok().flatten());
        let number = line.and_then(|line| line.get_attribute("data-line")?.parse().ok());
        if let Some(number) = number {
            editor.focus_line(number, choose);
        }
    };
    let pieces = move || {
        let lines = shown.get();
        let open = opened.get();
        let pieces = diff::fold(&lines).into_iter().map(|piece| match piece {
            Piece::Fold(from, to, label) if !open.contains(&from) => {
                let _ = to;
                fold(from, label, opened)
            }
            Piece::Fold(from, to, _) | Piece::Lines(from, to) => {
                lines[from..to].iter().map(|line| row(editor, line)).collect_view().into_any()
            }
        });
        pieces.collect_view()
    };
    let foot = move || {
        let (added, removed) = shown.with(|lines| diff::counts(lines));
        match compared.with(|texts| texts.revision) {
            Some(number) => {
                format!("r{number} against what is in force: {added} added, {removed} removed")
            }
            None if added + removed == 0 => "as applied".into(),
            None => format!("{added} added, {removed} removed"),
        }
    };
    view! {
        <div class="yaml-lines" role="group" aria-label="YAML" tabindex="0" on:click=click>
            {pieces}
        </div>
        <footer class="yaml-foot">
            <i class="focus-key" aria-hidden="true"></i>
            <span>"set by the control in focus"</span>
            <span class="grow to-end">{foot}</span>
        </footer>
    }
    .into_any()
}

fn fold(from: usize, label: String, opened: RwSignal<Vec<usize>>) -> AnyView {
    view! {
        <button
            type="button" class="yaml-fold" aria-expanded="false"
            on:click=move |_| opened.update(|opened| opened.push(from))
        >
            <i aria-hidden="true">"⋯"</i>
            {label}
        </button>
    }
    .into_any()
}

fn row(editor: Editor, line: &Line) -> AnyView {
    let (class, sign, name) = match line.change {
        Change::Same => ("yaml-line", "", None),
        Change::Added => ("yaml-line added", "+", Some("added")),
        Change::Removed => ("yaml-line removed", "−", Some("removed")),
    };
    let number = line.number;
    let class = move || {
        let set = number.is_some_and(|number| {
            editor.focus.with(|focus| {
                let Some(focus) = focus else { return false };
                editor.form.with(|form| route::sets(form, focus, number))
            })
        });
        let wrong = number.is_some_and(|number| {
            editor.findings.with(|found| {
                found.iter().any(|f| f.severity == Severity::Error && f.at.line == number)
            })
        });
        let set = if set { " set" } else { "" };
        let wrong = if wrong { " invalid" } else { "" };
        format!("{class}{set}{wrong}")
    };
    view! {
        <div class=class data-line=number.map(|n| n.to_string())>
            <i aria-hidden="true">{number}</i>
            <b aria-hidden="true">{sign}</b>
            <code>
                {name.map(|name| view! { <span class="sr">{name} " "</span> })}
                {words(line)}
            </code>
        </div>
    }
    .into_any()
}

/// Key, value and the word that changed.
fn words(line: &Line) -> AnyView {
    let text = &line.text;
    let colon =
        text.find(": ").map(|at| at + 1).or_else(|| text.ends_with(':').then_some(text.len()));
    let (from, to) = line.word.unwrap_or((text.len(), text.len()));
    let key = colon.unwrap_or(0).min(from);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    let word = (from < to).then(|| view! { <mark>{part(from, to)}</mark> });
    view! {
        <span class="key">{part(0, key)}</span>
        {part(key, from)}
        {word}
        {part(to, text.len())}
    }
    .into_any()
}

// --- the whole text -----------------------------------------------------------------------------

fn text(editor: Editor) -> AnyView {
    let count = Memo::new(move |_| editor.text.with(|text| text.lines().count().max(8)));
    let numbers = move || {
        (1..=count.get())
            .map(|number| {
                let class = move || {
                    editor.findings.with(|found| {
                        let mine = |f: &&Finding| usize::try_from(f.at.line) == Ok(number);
                        match found.iter().filter(mine).map(|f| f.severity).max() {
                            Some(Severity::Error) => "tone-error invalid",
                            Some(Severity::Warning) => "tone-warn invalid",
                            _ => "",
                        }
                    })
                };
                view! { <i class=class>{number}</i> }
            })
            .collect_view()
    };
    let (host, base) = (editor.host.get_value(), editor.base.with_untracked(|base| base.0));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        editor.apply();
    };
    view! {
        <form class="yaml-text" id="yaml" method="post" action="/traffic/apply" on:submit=submit>
            <input type="hidden" name="host" value=host/>
            <input type="hidden" name="base" value=base.to_string()/>
            <div class="yaml-numbers" aria-hidden="true">{numbers}</div>
            <textarea
                name="yaml" aria-label="YAML" spellcheck="false" autocomplete="off" wrap="off"
                rows=move || (count.get() + 1).to_string()
                prop:value=move || editor.text.get()
                on:input=move |event| editor.type_text(event_target_value(&event))
            >
                {editor.text.get_untracked()}
            </textarea>
            <noscript inner_html="<button class=\"button primary\">Apply</button>"></noscript>
        </form>
    }
    .into_any()
}
