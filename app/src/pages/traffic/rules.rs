//! Match rules in their order: the first that matches wins. Edited in place, reordered by drag or
//! with Alt and the arrow keys.

use super::{
    editor::{Editor, use_choose_rule},
    terms,
};
use crate::{
    model::{format, route},
    widget::{Icon, icon},
};
use contract::traffic::{MatchTerm, RuleForm, TargetForm, control};
use leptos::prelude::*;

pub(super) fn panel(editor: Editor) -> AnyView {
    let choose = use_choose_rule();
    let dragged = RwSignal::new(None::<usize>);
    let add = move |_| {
        let mut at = 0;
        editor.edit(&mut |form| at = route::add_rule(form));
        let name = editor.form.with_untracked(|form| form.rules.get(at).map(|r| r.name.clone()));
        if let Some(name) = name {
            choose.run(name);
        }
    };
    let places = Memo::new(move |_| editor.form.with(|form| form.rules.len()));
    let rows = move || (0..places.get()).map(|at| row(editor, at, dragged, choose)).collect_view();
    view! {
        <section class="panel" id="control-match">
            <header class="panel-head">
                <h2>"Match rules"</h2>
                <span class="hint grow">"first match wins"</span>
                <button type="button" class="button ghost small" on:click=add>
                    {icon(Icon::Plus)} "Add rule"
                </button>
            </header>
            <ol class="rules">{rows}</ol>
            {conditions(editor)}
        </section>
    }
    .into_any()
}

/// Moves the focus along with a rule.
fn moved(editor: Editor, from: usize, step: isize) {
    let to = from.saturating_add_signed(step);
    editor.edit(&mut |form| route::move_rule(form, from, to));
    let id = format!("control-rule-{to}");
    set_timeout(move || crate::browser::focus(&id), std::time::Duration::ZERO);
}

fn row(
    editor: Editor,
    at: usize,
    dragged: RwSignal<Option<usize>>,
    choose: Callback<String>,
) -> AnyView {
    let rule = Memo::new(move |_| {
        editor.form.with(|form| form.rules.get(at).cloned().unwrap_or_default())
    });
    let chosen = Memo::new(move |_| editor.rule.get() == at);
    let open = move |_| {
        choose.run(rule.with_untracked(|rule| rule.name.clone()));
        editor.focus.set(Some(control::of_rule(at, control::MATCH)));
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowUp" if event.alt_key() => -1,
            "ArrowDown" if event.alt_key() => 1,
            _ => return,
        };
        event.prevent_default();
        moved(editor, at, step);
    };
    let drop = move |event: leptos::ev::DragEvent| {
        event.prevent_default();
        if let Some(from) = dragged.get_untracked() {
            editor.edit(&mut |form| route::move_rule(form, from, at));
        }
        dragged.set(None);
    };
    let name = move || rule.with(|rule| rule.name.clone());
    let hits = move || hits(editor, &name());
    view! {
        <li
            class="rule" class:chosen=move || chosen.get() draggable="true"
            on:dragstart=move |_| dragged.set(Some(at))
            on:dragover=move |event| event.prevent_default()
            on:drop=drop
        >
            <span class="grip" title="Drag, or Alt with arrows">{icon(Icon::Grip)}</span>
            <button
                type="button" class="rule-open" id=format!("control-rule-{at}")
                aria-current=move || chosen.get().then_some("true")
                aria-keyshortcuts="Alt+ArrowUp Alt+ArrowDown"
                on:click=open on:keydown=on_key
            >
                <strong title=name>{name}</strong>
                <span class="rule-match">{move || chips(editor, &rule.get())}</span>
                <span class="hint">{hits}</span>
                {icon(Icon::Right)}
                <span class="rule-goes">{move || goes(editor, at, &rule.get())}</span>
            </button>
        </li>
    }
    .into_any()
}

/// "12 hits, 3.0/s".
fn hits(editor: Editor, name: &str) -> String {
    editor.view.with(|view| {
        let service = editor.form.with(|form| form.service.clone());
        let mut hits = view.hits.iter();
        let found = hits.find(|hits| hits.rule == name && hits.service == service);
        found.map_or_else(String::new, |hits| {
            let count = format::plural(hits.hits, "hit", "hits");
            // Hits are those of this revision. What the minute before it saw is none of its rate.
            match hits.hits {
                0 => count,
                _ => format!("{count}, {}", format::rate(hits.per_second)),
            }
        })
    })
}

fn chips(editor: Editor, rule: &RuleForm) -> AnyView {
    if rule.matches.is_empty() {
        return view! { <span class="hint">"everything else"</span> }.into_any();
    }
    let applied = editor.applied.get();
    let was = applied.rules.iter().find(|was| was.name == rule.name);
    let chips = rule.matches.iter().enumerate().map(|(i, terms)| {
        let fresh = was.is_none_or(|was| !was.matches.contains(terms));
        let text: Vec<_> = terms.iter().map(route::term_text).collect();
        let text = if text.is_empty() { "anything".into() } else { text.join(" and ") };
        view! {
            {(i > 0).then(|| view! { <span class="hint">"or"</span> })}
            <span class="match-chip" class:changed=fresh>{text}</span>
        }
    });
    chips.collect_view().into_any()
}

/// Where the rule sends its requests; the chosen split stands below.
fn goes(editor: Editor, at: usize, rule: &RuleForm) -> String {
    if rule.targets.len() > 1 && editor.rule.get() == at {
        return "the split below".into();
    }
    route::goes(rule)
}

// --- the conditions of the chosen rule ----------------------------------------------------------

/// Changes the chosen rule.
pub(super) fn edit_rule(editor: Editor, change: &mut dyn FnMut(&mut RuleForm)) {
    let at = editor.rule.get_untracked();
    editor.edit(&mut |form| {
        if let Some(rule) = form.rules.get_mut(at) {
            change(rule);
        }
    });
}

/// The chosen rule; an empty one where there is none.
pub(super) fn chosen_rule(editor: Editor) -> Memo<RuleForm> {
    Memo::new(move |_| {
        let at = editor.rule.get();
        editor.form.with(|form| form.rules.get(at).cloned().unwrap_or_default())
    })
}

fn conditions(editor: Editor) -> AnyView {
    let rule = chosen_rule(editor);
    // Made again when a condition comes or goes, not with every letter.
    let shape = Memo::new(move |_| {
        rule.with(|rule| {
            let lengths: Vec<usize> = rule.matches.iter().map(Vec::len).collect();
            (rule.name.clone(), lengths)
        })
    });
    let focus = move |_| {
        let at = editor.rule.get_untracked();
        editor.focus.set(Some(control::of_rule(at, control::MATCH)));
    };
    view! {
        <details class="terms" on:focusin=focus>
            <summary>"Edit " {move || shape.with(|shape| shape.0.clone())}</summary>
            {move || shape.get().1.into_iter().enumerate().map(|(i, length)| {
                let rows = (0..length).map(|j| term(editor, rule, i, j)).collect_view();
                view! {
                    <fieldset class="alternative">
                        <legend class="hint">{if i == 0 { "when" } else { "or when" }}</legend>
                        {rows}
                        <button
                            type="button" class="button ghost small"
                            on:click=move |_| edit_rule(editor, &mut |rule| {
                                if let Some(all) = rule.matches.get_mut(i) {
                                    all.push(terms::fresh());
                                }
                            })
                        >
                            {icon(Icon::Plus)} "And"
                        </button>
                    </fieldset>
                }
            }).collect_view()}
            <div class="actions">
                <button
                    type="button" class="button small"
                    on:click=move |_| edit_rule(editor, &mut |rule| {
                        rule.matches.push(vec![terms::fresh()]);
                    })
                >
                    {icon(Icon::Plus)} "Or"
                </button>
                {target(editor, rule)}
                <button
                    type="button" class="button small danger"
                    on:click=move |_| {
                        let at = editor.rule.get_untracked();
                        editor.edit(&mut |form| {
                            if at < form.rules.len() {
                                form.rules.remove(at);
                            }
                        });
                    }
                >
                    "Remove rule"
                </button>
            </div>
        </details>
    }
    .into_any()
}

/// Adds a destination, so that a rule can be split.
fn target(editor: Editor, rule: Memo<RuleForm>) -> impl IntoView {
    move || {
        let free = editor.form.with(|form| {
            let used =
                |subset: &&String| rule.with(|r| !r.targets.iter().any(|t| t.subset == **subset));
            form.subsets.iter().find(used).cloned()
        })?;
        let label = format!("Send a share to {free}");
        let add = move |_| {
            edit_rule(editor, &mut |rule| {
                let host = rule.targets.first().map(|t| t.host.clone()).unwrap_or_default();
                if let [only] = rule.targets.as_mut_slice() {
                    only.weight = 100;
                }
                rule.targets.push(TargetForm { host, subset: free.clone(), weight: 0 });
            });
        };
        Some(view! { <button type="button" class="button small" on:click=add>{label}</button> })
    }
}

fn term(editor: Editor, rule: Memo<RuleForm>, i: usize, j: usize) -> AnyView {
    let now = Signal::derive(move || {
        rule.with(|rule| rule.matches.get(i).and_then(|t| t.get(j)).cloned().unwrap_or_default())
    });
    let set = Callback::new(move |now: MatchTerm| {
        edit_rule(editor, &mut |rule| {
            if let Some(term) = rule.matches.get_mut(i).and_then(|terms| terms.get_mut(j)) {
                term.clone_from(&now);
            }
        });
    });
    let remove = Callback::new(move |()| {
        edit_rule(editor, &mut |rule| {
            let Some(terms) = rule.matches.get_mut(i) else { return };
            if j < terms.len() {
                terms.remove(j);
            }
            if terms.is_empty() {
                rule.matches.remove(i);
            }
        });
    });
    terms::row(now, set, remove)
}
