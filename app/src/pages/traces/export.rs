//! The way to Jaeger: the button, what to set where there is none, and how the export is doing.

use crate::{
    model::format,
    widget::{Clock, ClockStyle, Icon, icon},
};
use contract::trace::ExportView;
use leptos::prelude::*;

/// "Open in Jaeger": a link, or where no Jaeger is configured a button that says what to set.
pub(super) fn open_in_jaeger(trace_id: &str, health: &ExportView) -> AnyView {
    if let Some(address) = &health.jaeger_ui {
        let href = format!("{}/trace/{trace_id}", address.trim_end_matches('/'));
        return view! {
            <a class="button small" href=href target="_blank" rel="noopener external">
                {icon(Icon::External)}
                <span>"Open in Jaeger"</span>
            </a>
        }
        .into_any();
    }
    let endpoint = health.endpoint.is_none().then(|| {
        view! {
            <li>
                <code>"OTEL_EXPORTER_OTLP_ENDPOINT"</code>
                " to where Jaeger takes spans, such as "
                <code>"http://127.0.0.1:4317"</code>
            </li>
        }
    });
    view! {
        <button type="button" class="button small jaeger-button" popovertarget="jaeger-how">
            {icon(Icon::External)}
            <span>"Open in Jaeger"</span>
        </button>
        <div
            id="jaeger-how" class="popover" popover="auto" role="dialog"
            aria-labelledby="jaeger-title"
        >
            <h3 id="jaeger-title">"No Jaeger is configured"</h3>
            <p>"Start Vitrine again with these set:"</p>
            <ul>
                {endpoint}
                <li>
                    <code>"VITRINE_JAEGER_UI"</code>
                    " to the address of its pages, such as "
                    <code>"http://127.0.0.1:16686"</code>
                </li>
            </ul>
            <p>"The downloaded file opens in Jaeger without any of it."</p>
            {line(health)}
        </div>
    }
    .into_any()
}

/// How the export is doing, in one line.
pub(super) fn line(health: &ExportView) -> AnyView {
    let Some(endpoint) = &health.endpoint else {
        return view! { <p class="export-line">"Export of spans is off."</p> }.into_any();
    };
    let lost = health.dropped.saturating_add(health.rejected);
    let lost = (lost > 0).then(|| {
        let title = format!(
            "{} given up, {} rejected by the collector",
            format::count(health.dropped),
            format::count(health.rejected)
        );
        view! { <span class="warn-text" title=title>", "{format::count(lost)}" not"</span> }
    });
    let waiting =
        (health.queue > 0).then(|| format!(", {} waiting", format::count(health.queue as u64)));
    let failing = health.failing_since_us.map(|since_us| {
        let why = health.last_error.clone().map(|why| format!(": {why}"));
        view! {
            <span class="error-text">
                ". Failing since "
                <Clock at_us=since_us style=ClockStyle::Seconds/>
                {why}
            </span>
        }
    });
    view! {
        <p class="export-line">
            {format::count(health.exported)}" spans sent to "<code>{endpoint.clone()}</code>
            {lost}{waiting}{failing}
        </p>
    }
    .into_any()
}
