//! The newest log lines of a service in its drawer; each leads to the span that wrote it.

use crate::{
    ask,
    live::use_live,
    pages::follow::follow,
    widget::{Clock, ClockStyle},
};
use contract::trace::{Level, LogView};
use leptos::prelude::*;

/// The lines, fetched again while the drawer is open.
pub(super) fn node_logs(service: String) -> AnyView {
    let lines = Resource::new(|| (), move |()| ask::logs(service.clone()));
    let seeded = use_live().seeded();
    let always = Memo::new(move |_| u64::from(seeded.get()));
    follow(always, Callback::new(move |()| lines.refetch()));
    view! {
        <h3>"Log lines"</h3>
        <Transition>
            {move || Suspend::new(async move {
                match lines.await {
                    Ok(lines) if lines.is_empty() => {
                        view! { <p class="hint">"It has written none yet."</p> }.into_any()
                    }
                    Ok(lines) => {
                        let rows = lines.into_iter().rev().map(row).collect_view();
                        view! { <ol class="node-logs">{rows}</ol> }.into_any()
                    }
                    Err(error) => {
                        view! { <p class="hint" role="alert">{error.to_string()}</p> }.into_any()
                    }
                }
            })}
        </Transition>
    }
    .into_any()
}

fn row(line: LogView) -> AnyView {
    let tone = match line.level {
        Level::Warn => "tone-warn",
        Level::Error => "tone-error",
        Level::Info | Level::Debug => "tone-neutral",
    };
    let word = match line.level {
        Level::Warn => "warning: ",
        Level::Error => "error: ",
        Level::Info | Level::Debug => "",
    };
    let href = line.trace_id.map(|trace| {
        let span = line.span_id.map(|span| format!("?span={span}")).unwrap_or_default();
        format!("/traces/{trace}{span}")
    });
    view! {
        <li class=tone>
            <a href=href>
                <Clock at_us=line.at_us style=ClockStyle::Seconds/>
                <span class="log-text"><span class="sr">{word}</span>{line.message}</span>
            </a>
        </li>
    }
    .into_any()
}
