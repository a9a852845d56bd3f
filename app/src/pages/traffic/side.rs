//! The left column: every host, and the revisions of the one that is open.

use super::{
    editor,
    editor::{Editor, LOST},
};
use crate::{
    browser,
    frame::{fault_link, range},
    live::use_live,
    model::tone::Tone,
    widget::{Badge, Clock, Icon, LinkTabs, ServiceCode, icon},
};
use contract::traffic::{HostRow, RevisionRow};
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};

/// A summary of so many letters has room in two lines of the column.
const SHORT: usize = 48;

/// Every host; as a choice where there is no room for a list.
pub(super) fn hosts(rows: Vec<HostRow>, open: Option<Editor>) -> AnyView {
    let here = open.map(|editor| editor.host.get_value()).unwrap_or_default();
    let drafts = RwSignal::new(Vec::<String>::new());
    let names: Vec<String> = rows.iter().map(|row| row.host.clone()).collect();
    let count = format!("{} hosts", rows.len());
    let options = rows
        .iter()
        .map(|row| {
            let (host, chosen) = (row.host.clone(), row.host == here);
            let name = host.clone();
            view! { <option value=host selected=chosen>{name}</option> }
        })
        .collect_view();
    Effect::new(move |_| {
        // A draft begins or ends in the editor that is open.
        if let Some(editor) = open {
            editor.text.track();
            editor.base.track();
        }
        let kept = |host: &&String| browser::kept(&editor::key(host)).is_some();
        drafts.set(names.iter().filter(kept).cloned().collect());
    });
    let go = use_navigate();
    let choose = move |event| {
        let host: String = event_target_value(&event);
        go(&format!("/traffic/{host}"), NavigateOptions::default());
    };
    let rows = rows.into_iter().map(|row| host_row(row, &here, drafts)).collect_view();
    view! {
        <section class="panel routes">
            <header class="panel-head">
                <h2>"Routes"</h2>
                <span class="hint">{count}</span>
            </header>
            <select class="route-select" aria-label="Host" on:change=choose>
                {here.is_empty().then(|| view! { <option value="">"Choose a host"</option> })}
                {options}
            </select>
            <ul>{rows}</ul>
        </section>
    }
    .into_any()
}

fn host_row(row: HostRow, here: &str, drafts: RwSignal<Vec<String>>) -> AnyView {
    let live = use_live();
    let host = row.host.clone();
    let current = (row.host == here).then_some("page");
    let drafted = move || drafts.with(|drafts| drafts.contains(&host));
    let fault_of = row.host.clone();
    let fetched = row.faults;
    // The stream knows of newer faults than the page was made from.
    let fault = Memo::new(move |_| {
        live.faults().with(|faults| {
            let hit = faults.active.iter().find(|fault| fault.to == fault_of);
            let known = |id: &&String| faults.active.iter().any(|fault| fault.id == **id);
            hit.map(|fault| fault.id.clone()).or_else(|| fetched.iter().find(known).cloned())
        })
    });
    let href = format!("/traffic/{}", row.host);
    view! {
        <li aria-current=current>
            <a href=href aria-current=current>
                <ServiceCode service=row.host.clone()/>
                <span class:hint=!row.routed>{row.host}</span>
            </a>
            {move || drafted().then(|| view! { <Badge tone=Tone::Info text="draft"/> })}
            {move || fault.get().map(|id| fault_link(&id))}
        </li>
    }
    .into_any()
}

/// The draft, then revisions, newest first.
pub(super) fn revisions(editor: Editor) -> AnyView {
    let host = editor.host.get_value();
    let draft = move || {
        editor.drafted.get().then(|| {
            let name = format!("r{}", editor.number.get() + 1);
            let summary = editor.changes().join(", ");
            view! {
                <li class="revision draft">
                    <i class="mark" aria-hidden="true"></i>
                    <strong>{name}</strong>
                    <Badge tone=Tone::Info text="Draft"/>
                    <p class="hint">{summary}</p>
                </li>
            }
        })
    };
    let query = use_query_map();
    let every = Memo::new(move |_| query.with(|query| query.get_str("revisions") == Some("all")));
    let list = Memo::new(move |_| {
        editor.view.with(|view| {
            let (every, all) = (every.get(), view.revisions.iter());
            let mine = |row: &&RevisionRow| every || row.touched.contains(&view.host);
            all.filter(mine).cloned().collect::<Vec<_>>()
        })
    });
    let rows = move || {
        let applied = editor.number.get();
        list.get().into_iter().map(|row| revision(editor, row, applied)).collect_view()
    };
    let none = move || {
        list.with(Vec::is_empty).then(|| {
            // Older ones are forgotten, also those that brought what is in force.
            view! { <li class="hint none">"None of those that are kept changed it"</li> }
        })
    };
    let address = use_location();
    let links = {
        let host = host.clone();
        Signal::derive(move || {
            let search = address.search.get();
            let to = |of| format!("/traffic/{host}{}", range::with_query(&search, "revisions", of));
            vec![(to(None), host.clone()), (to(Some("all")), "all".to_owned())]
        })
    };
    let current = Signal::derive(move || usize::from(every.get()));
    view! {
        <section class="panel revisions">
            <header class="panel-head">
                <h2 class="grow">"Revisions"</h2>
                <LinkTabs label="Revisions of" links=links current=current/>
            </header>
            <ol>{draft}{rows}{none}</ol>
        </section>
    }
    .into_any()
}

/// What going back to a revision changes beside the host.
#[must_use]
fn beside(row: &RevisionRow, host: &str) -> Vec<String> {
    row.undoes.iter().filter(|name| *name != host).cloned().collect()
}

fn revision(editor: Editor, row: RevisionRow, applied: u64) -> AnyView {
    let number = row.number;
    let current = number == applied;
    let since = row.since_request.map(|request| format!(", since #{request}"));
    let who = format!("{}{}", row.by, since.unwrap_or_default());
    let badge = current.then(|| view! { <Badge tone=Tone::Ok text="Applied"/> });
    let actions = (!current).then(|| actions(editor, &row));
    let at_us = row.at_us;
    view! {
        <li class="revision" class:applied=current>
            <i class="mark" aria-hidden="true"></i>
            <strong>{format!("r{number}")}</strong>
            {badge}
            <Clock at_us=at_us/>
            <div class="hint words">
                {summary(row.summary)}
                <small class="who">{who}</small>
            </div>
            {actions}
        </li>
    }
    .into_any()
}

/// What a revision changed; a long text unfolds, also without JavaScript.
fn summary(text: String) -> AnyView {
    if text.chars().count() <= SHORT {
        return view! { <span class="revision-words">{text}</span> }.into_any();
    }
    view! {
        <details class="revision-more">
            <summary>
                <span class="revision-words">{text}</span>
                <small class="underlined when-shut">"Show all"</small>
                <small class="underlined when-open">"Show less"</small>
            </summary>
        </details>
    }
    .into_any()
}

/// Diff and roll back. Whoever also takes other hosts back is asked once, by the address, so that
/// it works without JavaScript.
fn actions(editor: Editor, row: &RevisionRow) -> AnyView {
    let (number, host) = (row.number, editor.host.get_value());
    let query = use_query_map();
    let set = range::use_set_query();
    let others = beside(row, &host);
    let asks = !others.is_empty();
    let asked = Memo::new(move |_| {
        let by_address = || query.with(|q| q.get_str("back") == Some(number.to_string().as_str()));
        editor.asked_back.get() == Some(number) || by_address()
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if asks && !asked.get_untracked() {
            editor.asked_back.set(Some(number));
        } else {
            set.run(vec![("back", None)]);
            editor.restore(number);
        }
    };
    let question = move || {
        (asks && asked.get()).then(|| {
            let text = format!("Also changes {}.", others.join(", "));
            view! { <p class="tone-warn" role="alert">{text}</p> }
        })
    };
    let (method, action) = match asks {
        true => ("get", format!("/traffic/{host}")),
        false => ("post", format!("/traffic/{host}/restore")),
    };
    let confirmed = format!("/traffic/{host}/restore");
    // A form that only asks is a GET of the page with the question on it.
    let method = move || if asked.get() { "post" } else { method };
    let action = move || if asked.get() { confirmed.clone() } else { action.clone() };
    let name = move || if asks && !asked.get() { "back" } else { "revision" };
    let label = move || match asks && asked.get() {
        true => format!("Roll all back to r{number}"),
        false => format!("Roll back to r{number}"),
    };
    view! {
        <div class="revision-actions" class:asking=move || asked.get()>
            {question}
            <a class="button small" href=format!("/traffic/{host}?diff={number}")>"Diff"</a>
            <form method=method action=action on:submit=submit>
                <input type="hidden" name=name value=number.to_string()/>
                <button
                    class="button small" disabled=move || editor.lost()
                    title=move || editor.lost().then_some(LOST)
                >
                    {icon(Icon::Back)}
                    {label}
                </button>
            </form>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_names_the_other_hosts_it_changes() {
        let undoes = ["catalog", "gateway", "payments"].map(str::to_owned).to_vec();
        let row = RevisionRow { undoes, ..RevisionRow::default() };
        assert_eq!(beside(&row, "payments"), ["catalog", "gateway"]);
        let alone = RevisionRow { undoes: vec!["payments".into()], ..RevisionRow::default() };
        assert!(beside(&alone, "payments").is_empty());
    }
}
