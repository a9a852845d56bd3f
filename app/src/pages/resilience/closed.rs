//! Closed breakers, one line each with its window.

use super::{Page, thresholds};
use crate::{
    model::breaker,
    widget::{BreakerGlyph, BreakerMark, ServiceCode},
};
use contract::resilience::{BreakerLine, CallMark, WhatIfView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

pub(super) fn panel(page: Page, what_if: Option<WhatIfView>) -> AnyView {
    let closed = move |used: bool| {
        page.lines.with(|lines| {
            let quiet = lines.iter().filter(|line| breaker::rank(line) == 3);
            let quiet = quiet.filter(|line| line.marks.is_empty() != used);
            quiet.map(|l| l.id.clone()).filter(|id| !page.is_asked(id)).collect::<Vec<_>>()
        })
    };
    let ids = Memo::new(move |_| closed(true));
    // Those that have not met a call would drown the few that matter.
    let idle = Memo::new(move |_| closed(false));
    let shown = RwSignal::new(
        use_query_map().with_untracked(|query| query.get_str("thresholds").is_some()),
    );
    let title = move || format!("{} closed", ids.with(Vec::len) + idle.with(Vec::len));
    let idle_title = move || {
        let more = if ids.with(Vec::is_empty) { "" } else { " more" };
        match idle.with(Vec::len) {
            1 => format!("1{more} has met no call yet"),
            count => format!("{count}{more} have met no call yet"),
        }
    };
    let hint = move || {
        let each = page.lines.with(|lines| breaker::each_opens(lines));
        match each.is_empty() {
            true => String::new(),
            false => format!("failures in a row, after the last calls; {each}"),
        }
    };
    view! {
        <section class="panel closed">
            <header class="panel-head">
                <BreakerGlyph mark=BreakerMark::Closed/>
                <h2>{title}</h2>
                <span class="hint grow">{hint}</span>
                <a
                    class="button ghost small" href="/resilience?thresholds=#thresholds"
                    on:click=move |_| shown.set(true)
                >
                    "Thresholds"
                </a>
            </header>
            <ul>
                <For each=move || ids.get() key=Clone::clone let:id>
                    {row(page, id)}
                </For>
            </ul>
            <details class="idle" class:gone=move || idle.with(Vec::is_empty)>
                <summary>{idle_title}</summary>
                <ul>
                    <For each=move || idle.get() key=Clone::clone let:id>
                        {row(page, id)}
                    </For>
                </ul>
            </details>
            {thresholds::form(page, shown, what_if)}
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
    let marks = Memo::new(move |_| {
        let both = |line: &BreakerLine| (breaker::marks(line), breaker::run_cells(line));
        line.with(|line| line.as_ref().map(both).unwrap_or_default())
    });
    let cells = move || {
        let (marks, run) = marks.get();
        let first = marks.len().saturating_sub(run);
        let one = |(at, mark)| small_cell(mark, at >= first);
        marks.into_iter().enumerate().map(one).collect_view()
    };
    let text = move |of: fn(&BreakerLine) -> String| {
        move || line.with(|line| line.as_ref().map(of).unwrap_or_default())
    };
    let href = format!("/resilience?breaker={}", id.replace('~', "%7E"));
    let target = breaker::target(&first);
    view! {
        <li>
            <a
                data-row="" href=href title=text(breaker::distance)
                aria-label=text(breaker::sentence)
            >
                <ServiceCode service=first.from alone=true/>
                <span class="hint">"›"</span>
                <ServiceCode service=first.to/>
                <span class="grow">{target}</span>
                <span class="cells small">{cells}</span>
                <span class="number">{text(breaker::share_text)}</span>
            </a>
        </li>
    }
    .into_any()
}

fn small_cell(mark: CallMark, in_run: bool) -> AnyView {
    let class = match mark {
        CallMark::Ok => "cell cell-ok",
        CallMark::Slow => "cell cell-slow",
        CallMark::Failed if in_run => "cell cell-failed in-run",
        CallMark::Failed => "cell cell-failed",
    };
    view! { <i class=class></i> }.into_any()
}
