//! The left column: every host, and the revisions of the one that is open.

use super::{editor, editor::Editor};
use crate::{
    browser,
    frame::fault_link,
    live::use_live,
    model::tone::Tone,
    widget::{Badge, Clock, Icon, ServiceCode, icon},
};
use contract::traffic::{HostRow, RevisionRow};
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};

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
    let list = Memo::new(move |_| editor.view.with(|view| view.revisions.clone()));
    let rows = move || {
        let applied = editor.number.get();
        list.get().into_iter().map(|row| revision(editor, row, applied)).collect_view()
    };
    let none = move || {
        list.with(Vec::is_empty).then(|| {
            view! { <li class="hint none">"No revision yet"</li> }
        })
    };
    view! {
        <section class="panel revisions">
            <header class="panel-head">
                <h2>"Revisions"</h2>
                <span class="hint grow to-end">{host}</span>
            </header>
            <ol>{draft}{rows}{none}</ol>
        </section>
    }
    .into_any()
}

fn revision(editor: Editor, row: RevisionRow, applied: u64) -> AnyView {
    let number = row.number;
    let host = editor.host.get_value();
    let current = number == applied;
    let since = row.since_request.map(|request| format!(", since request #{request}"));
    let title = format!("by {}{}", row.by, since.unwrap_or_default());
    let badge = current.then(|| view! { <Badge tone=Tone::Ok text="Applied"/> });
    let actions = (!current).then(|| {
        let restore = move |event: leptos::ev::SubmitEvent| {
            event.prevent_default();
            editor.restore(number);
        };
        view! {
            <div class="revision-actions">
                <a class="button small" href=format!("/traffic/{host}?diff={number}")>"Diff"</a>
                <form method="post" action="/traffic/restore" on:submit=restore>
                    <input type="hidden" name="revision" value=number.to_string()/>
                    <input type="hidden" name="host" value=host.clone()/>
                    <button class="button small">
                        {icon(Icon::Back)}
                        {format!("Roll back to r{number}")}
                    </button>
                </form>
            </div>
        }
    });
    view! {
        <li class="revision" class:applied=current title=title>
            <i class="mark" aria-hidden="true"></i>
            <strong>{format!("r{number}")}</strong>
            {badge}
            <Clock at_us=row.at_us/>
            <p class="hint">{row.summary}</p>
            {actions}
        </li>
    }
    .into_any()
}
