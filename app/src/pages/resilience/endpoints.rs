//! Endpoints: a strip of all instances, and a table of those that are out or were, or had errors.

use super::Page;
use crate::{
    live::{Connection, use_live},
    model::{breaker, format, tone::Tone},
    widget::{Badge, Clock, ServiceCode},
};
use contract::resilience::{EndpointLine, EndpointRow, EndpointState, ErrorCount};
use leptos::prelude::*;

/// Dots that can still be counted; more are a number alone.
const PIPS_MAX: u32 = 10;

/// Traces in which a call went to this instance.
fn traces_of(instance: &str) -> String {
    format!("/traces?tag=mesh.instance%3D{instance}")
}

/// Class, word and tone of a state.
const fn said(state: &EndpointState) -> (&'static str, &'static str, Tone) {
    match state {
        EndpointState::Ready => ("instance ready", "In rotation", Tone::Neutral),
        EndpointState::Down { .. } => ("instance down", "Down", Tone::Error),
        EndpointState::Paused { .. } => ("instance paused", "Paused", Tone::Warn),
        EndpointState::Ejected { .. } => ("instance ejected", "Ejected", Tone::Open),
    }
}

/// "1st", "2nd", "3rd", "4th".
#[must_use]
pub(super) fn ordinal(n: u32) -> String {
    let ending = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// How many are ejected, also of those that are down or paused meanwhile.
fn ejected(all: &[EndpointLine]) -> usize {
    all.iter().filter(|line| line.ejected_until_us.is_some()).count()
}

pub(super) fn panel(page: Page) -> AnyView {
    let mesh = use_live().mesh();
    let strip = Memo::new(move |_| mesh.with(|mesh| mesh.endpoints.clone()));
    let summary = move || {
        strip.with(|all| format!("outlier detection, {} of {} ejected", ejected(all), all.len()))
    };
    let rows = Memo::new(move |_| page.view.with(|view| view.endpoints.clone()));
    let names = Memo::new(move |_| {
        rows.with(|rows| rows.iter().map(|row| row.line.instance.clone()).collect::<Vec<_>>())
    });
    view! {
        <section class="panel endpoints" id="endpoints">
            <header class="panel-head">
                <h2>"Endpoints"</h2>
                <span class="hint grow">{summary}</span>
                {move || instances(&strip.get())}
            </header>
            <div
                class="table-scroll" tabindex="0" role="region"
                aria-label="Endpoints that are out or had errors"
            >
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Endpoint"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Errors in a row"</th>
                            <th scope="col" class="number">"5xx, 60 s"</th>
                            <th scope="col">"Ejection"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {move || names.with(Vec::is_empty).then(|| view! {
                            <tr>
                                <td colspan="5" class="none hint">
                                    "No endpoint is out or had errors."
                                </td>
                            </tr>
                        })}
                        <For each=move || names.get() key=Clone::clone let:name>
                            {endpoint(rows, name)}
                        </For>
                    </tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// Services in their order, each with its instances.
fn instances(all: &[EndpointLine]) -> AnyView {
    let mut services: Vec<&str> = all.iter().map(|line| line.service.as_str()).collect();
    services.dedup();
    // As everywhere: the gateway first, the banks last.
    services.sort_by_key(|name| {
        let known = contract::service::SERVICES.iter();
        known.take_while(|service| service.name != *name).count()
    });
    let group = |service: &str| {
        let cells = all.iter().filter(|line| line.service == service).map(|line| {
            let (class, word, _) = said(&line.state);
            let title = format!("{}, {}", line.instance, word.to_lowercase());
            let href = traces_of(&line.instance);
            view! { <a class=class href=href title=title.clone() aria-label=title></a> }
        });
        view! {
            <span class="instances">
                <ServiceCode service=service.to_owned() alone=true/>
                {cells.collect_view()}
            </span>
        }
    };
    let groups = services.into_iter().map(group).collect_view();
    view! { <span class="strip">{groups}</span> }.into_any()
}

/// One count as dots and numbers: "3 of 5 5xx".
fn count(count: &ErrorCount) -> AnyView {
    let dots = (0..count.limit.min(PIPS_MAX)).map(|i| {
        let class = if i < count.now { "pip full" } else { "pip" };
        view! { <i class=class></i> }
    });
    let text = format!("{} of {} {}", count.now, count.limit, count.what);
    view! {
        <span class="error-count"><span class="pips">{dots.collect_view()}</span> {text}</span>
    }
    .into_any()
}

fn endpoint(rows: Memo<Vec<EndpointRow>>, name: String) -> AnyView {
    let row = Memo::new(move |_| {
        rows.with(|rows| rows.iter().find(|row| row.line.instance == name).cloned())
    });
    let Some(first) = row.get_untracked() else { return ().into_any() };
    let state = move || row.with(|row| row.as_ref().map(|row| row.line.state));
    let traces = traces_of(&first.line.instance);
    let errors = move || {
        let counts = row.with(|row| row.as_ref().map(|row| row.counts.clone()))?;
        if counts.is_empty() {
            return Some(view! { <span class="hint">"no outlier detection"</span> }.into_any());
        }
        Some(counts.iter().map(count).collect_view().into_any())
    };
    let live = use_live();
    // What is down may be ejected, too: then it is not back with the one alone.
    let also = move || {
        let line = row.with(|row| row.as_ref().map(|row| row.line.clone()))?;
        let until_us = line.ejected_until_us?;
        let alone = matches!(line.state, EndpointState::Ejected { .. });
        (!alone).then(|| {
            let left = breaker::left(until_us, live.now_us().get());
            view! { " " <Badge tone=Tone::Open text=format!("Ejected, {left}")/> }
        })
    };
    let share = move || row.with(|row| row.as_ref().map_or(0.0, |row| row.error_share));
    let share_class = move || if share() > 0.05 { "number health-error" } else { "number" };
    view! {
        <tr>
            <td>
                <ServiceCode service=first.line.service/>
                <a data-row="" href=traces>{first.line.instance}</a>
            </td>
            <td>
                {move || state().map(|state| {
                    let (_, word, tone) = said(&state);
                    match tone {
                        Tone::Neutral => word.into_any(),
                        tone => view! { <Badge tone=tone text=word/> }.into_any(),
                    }
                })}
                {also}
            </td>
            <td>{errors}</td>
            <td class=share_class>{move || format::share(share())}</td>
            <td class="ejection">{move || state().map(|state| back(&state))} {move || {
                row.with(|row| row.as_ref().map(|row| row.note.clone()))
                    .filter(|note| !note.is_empty())
                    .map(|note| view! { <span class="hint">{note}</span> })
            }} {move || row.with(|row| row.as_ref().and_then(so_far))}</td>
        </tr>
    }
    .into_any()
}

/// How often it was ejected, and when last. The ejection that lasts is shown by itself.
fn so_far(row: &EndpointRow) -> Option<AnyView> {
    let last_us = row.last_ejected_us?;
    let often = format!("ejected {}× so far", row.ejections);
    let last = (!matches!(row.line.state, EndpointState::Ejected { .. })).then(|| {
        view! { ", last " <Clock at_us=last_us/> }
    });
    Some(view! { <span class="hint">{often} {last}</span> }.into_any())
}

/// How long until it is back: a bar that runs down, and the seconds.
fn back(state: &EndpointState) -> AnyView {
    let live = use_live();
    let lost = move || matches!(live.connection().get(), Connection::Lost { .. });
    let (since_us, until_us, times) = match *state {
        EndpointState::Ejected { since_us, until_us, times } => (since_us, until_us, times),
        EndpointState::Down { back_us: Some(at) } | EndpointState::Paused { back_us: Some(at) } => {
            let text = move || {
                let least = if lost() { "at least " } else { "" };
                format!("back in {least}{}", breaker::left(at, live.now_us().get()))
            };
            return view! { <span>{text}</span> }.into_any();
        }
        _ => return ().into_any(),
    };
    #[expect(clippy::cast_precision_loss, reason = "some minutes in microseconds")]
    let share = move || {
        let whole = (until_us - since_us).max(1) as f64;
        ((until_us - live.now_us().get()) as f64 / whole).clamp(0.0, 1.0)
    };
    let text = move || {
        let least = if lost() { "at least " } else { "" };
        format!("back in {least}{}", breaker::left(until_us, live.now_us().get()))
    };
    let length = breaker::left(until_us, since_us);
    view! {
        <svg class="run-down" width="96" height="6" aria-hidden="true">
            <rect class="track" width="96" height="6" rx="3"></rect>
            <rect height="6" rx="3" width=move || format!("{:.1}", share() * 96.0)></rect>
        </svg>
        <span title=move || format::clock(until_us, 0)>{text}</span>
        <span class="hint">{format!("{}, {length} ", ordinal(times))}</span>
        <span class="sr">"since " <Clock at_us=since_us/></span>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_down_and_ejected_is_counted_among_the_ejected() {
        let line = |state, ejected_until_us| EndpointLine {
            instance: "users-v1-2".into(),
            service: "users".into(),
            subset: None,
            state,
            ejected_until_us,
        };
        let down = EndpointState::Down { back_us: None };
        let out = EndpointState::Ejected { since_us: 1, until_us: 9, times: 1 };
        let all = [
            line(down, Some(9)),
            line(down, None),
            line(out, Some(9)),
            line(EndpointState::Ready, None),
        ];
        assert_eq!(ejected(&all), 2);
    }

    #[test]
    fn ejections_are_counted_as_people_count() {
        let written = [1, 2, 3, 4, 11, 12, 13, 21, 102].map(ordinal);
        assert_eq!(written, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd"]);
    }
}
