//! The YAML of a draft: what it changes, or the whole text to be edited.
//!
//! Without JavaScript the text is a form that posts to the page.

use super::editor::{Editor, use_choose_rule};
use crate::{
    ask, browser,
    frame::range,
    model::{
        diff::{self, Change, Line, Piece},
        route,
    },
    widget::{Icon, LinkTabs, icon},
};
use contract::istio::{Finding, Severity};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::{use_location, use_query_map};
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
    let address = use_location();
    // A text that a form has sent is answered with the text.
    let whole = Memo::new(move |_| query.with(|query| query.get_str("view") == Some("yaml")));
    let old = use_old(editor, old);
    // What else the address says (document, rule, old revision) stays.
    let links = Signal::derive(move || {
        let search = address.search.get();
        let to = |view| format!("/traffic/{host}{}", range::with_query(&search, "view", view));
        vec![(to(None), "Diff".to_owned()), (to(Some("yaml")), "YAML".to_owned())]
    });
    let current = Signal::derive(move || usize::from(whole.get()));
    let document = use_document(editor);
    let bare = Memo::new(move |_| {
        editor.base.with(|base| editor.text.with(|text| all(&base.1, text).is_empty()))
    });
    let title = move || bare.get().then(|| view! { <h2 class="grow">"YAML"</h2> });
    let none = move || {
        (bare.get() && !whole.get()).then(|| {
            let text = "No object stands for this host: the default of Istio holds.";
            view! { <p class="panel-body hint">{text}</p> }
        })
    };
    view! {
        <section class="panel yaml">
            <header class="panel-head">
                {title}
                {tabs(editor, document)}
                <LinkTabs label="View" links=links current=current/>
                <button
                    type="button" class="button ghost square small" aria-label="Copy the YAML"
                    on:click=move |_| browser::copy(&editor.text.get_untracked())
                >
                    {icon(Icon::Copy)}
                </button>
            </header>
            {standing(editor, document)}
            {none}
            {body(editor, whole, document, old)}
        </section>
    }
    .into_any()
}

fn body(
    editor: Editor,
    whole: Memo<bool>,
    document: Memo<Known>,
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
    (move || if whole.get() { text(editor) } else { lines(editor, compared, document) }).into_any()
}

/// Kind and name of a document.
type Known = (String, String);

fn known(text: &str) -> Vec<Known> {
    let documents = diff::documents(text).into_iter();
    documents.map(|document| (document.kind.to_owned(), document.name)).collect()
}

/// The documents in force, in their order, then those that only the draft has.
fn all(base: &str, text: &str) -> Vec<Known> {
    // What is in force keeps its place, though the text cannot be read for a moment.
    let mut all = known(base);
    for document in known(text) {
        if !all.contains(&document) {
            all.push(document);
        }
    }
    all
}

/// The document that is shown: that of the address, else the one with the controls, else the first.
fn use_document(editor: Editor) -> Memo<Known> {
    let query = use_query_map();
    Memo::new(move |_| {
        let asked = query.with(|query| query.get("document"));
        let asked = asked.as_deref().and_then(|address| address.split_once('/'));
        let asked = asked.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        let chosen = ("VirtualService".to_owned(), editor.form.with(|form| form.service.clone()));
        let there = editor.base.with(|(_, base)| editor.text.with(|text| all(base, text)));
        let first = there.first().cloned().unwrap_or_default();
        let mut wanted = asked.into_iter().chain([chosen]);
        wanted.find(|document| there.contains(document)).unwrap_or(first)
    })
}

/// A tab for each document, with the number of places that changed. The one of a `VirtualService`
/// also gives it the controls.
fn tabs(editor: Editor, shown: Memo<Known>) -> AnyView {
    let tabs = Memo::new(move |_| {
        editor.text.with(|text| {
            editor.base.with(|(_, base)| {
                let all = all(base, text);
                let of = |document: Known| (places(base, text, &document), document);
                all.into_iter().map(of).collect::<Vec<_>>()
            })
        })
    });
    let set = range::use_set_query();
    let choose = move |(kind, name): Known| {
        let address = super::encoded(&format!("{kind}/{name}"));
        let mut pairs = vec![("document", Some(address))];
        if kind == "VirtualService" {
            pairs.push(("service", Some(super::encoded(&name))));
            editor.choose_service(name);
        }
        set.run(pairs);
    };
    let tab = move |count: usize, document: Known, alone: bool| {
        let of = document.clone();
        let current = move || shown.with(|shown| *shown == of).then_some("true");
        // The name says nothing while there is one of the kind.
        let name = match alone {
            true => document.0.clone(),
            false => format!("{} {}", document.0, document.1),
        };
        view! {
            <button
                type="button" class="tab" aria-current=current
                on:click=move |_| choose(document.clone())
            >
                {name}
                {(count > 0).then(|| view! { <span class="count">{count}</span> })}
            </button>
        }
    };
    view! {
        <div class="kind-tabs" role="group" aria-label="Documents">
            {move || {
                let tabs = tabs.get();
                let alone = |kind: &str| tabs.iter().filter(|(_, d)| d.0 == kind).count() == 1;
                let one = |(count, document): &(usize, Known)| {
                    tab(*count, document.clone(), alone(&document.0))
                };
                tabs.iter().map(one).collect_view()
            }}
        </div>
    }
    .into_any()
}

/// What the shown document takes effect for, or would.
fn standing(editor: Editor, shown: Memo<Known>) -> impl IntoView {
    let found = Memo::new(move |_| {
        shown.with(|(kind, name)| {
            editor.form.with(|form| {
                let mut all = form.documents.iter();
                let here = all.find(|d| d.kind == *kind && d.name == *name)?;
                Some(here.standing.clone()).filter(|standing| !standing.text.is_empty())
            })
        })
    });
    move || {
        found.get().map(|standing| {
            let class = if standing.idle { "yaml-standing tone-warn" } else { "yaml-standing" };
            let name = shown.with(|(_, name)| name.clone());
            view! { <p class=class>{format!("{name}: {}", standing.text)}</p> }
        })
    }
}

fn of_document<'a>(text: &'a str, (kind, name): &Known) -> (u32, &'a str) {
    let documents = diff::documents(text);
    let found = documents.iter().find(|doc| doc.kind == kind && doc.name == *name);
    found.map_or((1, ""), |doc| (doc.first, doc.text))
}

/// Runs of changed lines.
fn places(old: &str, new: &str, document: &Known) -> usize {
    let lines = diff::diff(of_document(old, document).1, of_document(new, document).1, 1);
    let changed = |line: &Line| line.change != Change::Same;
    let begins = |at: usize| changed(&lines[at]) && (at == 0 || !changed(&lines[at - 1]));
    (0..lines.len()).filter(|at| begins(*at)).count()
}

// --- lines --------------------------------------------------------------------------------------

fn lines(editor: Editor, compared: Memo<Compared>, document: Memo<Known>) -> AnyView {
    let choose = use_choose_rule();
    let opened = RwSignal::new(Vec::<usize>::new());
    let shown = Memo::new(move |_| {
        compared.with(|texts| {
            let document = document.get();
            let (first, new) = of_document(&texts.new, &document);
            diff::diff(of_document(&texts.old, &document).1, new, first)
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
        <div
            class="yaml-lines" id="yaml-lines" role="group" aria-label="YAML" tabindex="0"
            on:click=click
        >
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
        let marked = number.is_some_and(|number| {
            let marked = editor.marked.get().filter(|_| !editor.drafted.get());
            marked.is_some_and(|(first, last)| (first..=last).contains(&number))
        });
        let wrong = number.is_some_and(|number| {
            editor.findings.with(|found| {
                found.iter().any(|f| f.severity == Severity::Error && f.at.line == number)
            })
        });
        let set = if set || marked { " set" } else { "" };
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
    // An empty text would be drawn as a blank by the server, which moves the line by a column.
    let part = |from: usize, to: usize| {
        text.get(from..to).filter(|part| !part.is_empty()).map(str::to_owned)
    };
    let word = (from < to).then(|| view! { <mark>{part(from, to)}</mark> });
    view! {
        {part(0, key).map(|key| view! { <span class="key">{key}</span> })}
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
    let action = format!("/traffic/{}", editor.host.get_value());
    let base = editor.base.with_untracked(|base| base.0);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        editor.apply();
    };
    view! {
        <form class="yaml-text" id="yaml" method="post" action=action on:submit=submit>
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
            <button class="button primary plain-only">"Apply"</button>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_read_keeps_every_tab_in_its_place() {
        let document = |kind: &str| format!("kind: {kind}\nmetadata:\n  name: a\n");
        let (one, two) = (document("VirtualService"), document("DestinationRule"));
        let base = format!("{one}---\n{two}");
        let kinds = |text: &str| {
            let tabs = all(&base, text).into_iter();
            tabs.map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&base), ["VirtualService", "DestinationRule"]);
        // The first is a draft without its kind for a moment, or gone.
        assert_eq!(kinds(&two)[..2], ["VirtualService", "DestinationRule"]);
        let third = format!("{}---\n{base}", document("Gateway"));
        assert_eq!(kinds(&third), ["VirtualService", "DestinationRule", "Gateway"]);
    }
}
