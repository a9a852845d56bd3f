//! The mesh decision about the selected call: each part with a link to what decided it.

use super::open::Traced;
use crate::{
    model::{
        fine, format,
        mesh_decision::{self, Breaker, Decision, Faults, Limit, Tries},
    },
    widget::{BreakerGlyph, BreakerMark, Icon, icon},
};
use leptos::prelude::*;

/// Faults of one kind that are named; more are counted.
const NAMED_MAX: usize = 3;

pub(super) fn section(traced: &Traced, row: usize) -> Option<AnyView> {
    let told = mesh_decision::decision(&traced.tree, &traced.view.spans, row)?;
    let revision = told.revision.map(|r| view! { <span class="sub">"revision r"{r}</span> });
    let mirror = told.mirror.then(|| part("Mirror", "a copy; its answer was dropped".into_any()));
    let flags = told.flags.iter().map(|(flag, meaning)| {
        let text = if meaning.is_empty() { flag.clone() } else { format!("{flag}: {meaning}") };
        part("Flag", text.into_any())
    });
    let flags = flags.collect_view();
    Some(
        view! {
            <section class="mesh-decision" aria-labelledby="decision-title">
                <header><h3 id="decision-title">"Mesh decision"</h3>{revision}</header>
                <dl>
                    {route(&told)}
                    {subset(&told)}
                    {endpoint(&told)}
                    {told.tries.as_ref().map(tries)}
                    {limits(&told.limits)}
                    {told.breaker.as_ref().map(breaker)}
                    {flags}
                    {mirror}
                    {part("Fault", faults(&told.faults))}
                </dl>
            </section>
        }
        .into_any(),
    )
}

fn part(label: &'static str, value: AnyView) -> AnyView {
    view! { <div><dt>{label}</dt><dd>{value}</dd></div> }.into_any()
}

/// The rule, with the way to its editor as it was at that revision.
fn route(told: &Decision) -> AnyView {
    let text = match &told.route {
        Some(route) if route.rule.is_empty() => format!("VirtualService {}", route.service),
        Some(route) => format!("VirtualService {}, {}", route.service, route.rule),
        None => "no rule: any ready endpoint".to_owned(),
    };
    let link = told.host.as_ref().map(|host| {
        let at = told.revision.map_or_else(String::new, |number| format!("?diff={number}"));
        let title = told.revision.map(|number| format!("Traffic to {host} at r{number}"));
        view! { <a class="onward" href=format!("/traffic/{host}{at}") title=title>"Traffic"</a> }
    });
    part("Route", view! { <span>{text}</span>{link} }.into_any())
}

fn subset(told: &Decision) -> Option<AnyView> {
    let (subset, weight) = told.subset.as_ref()?;
    let text = match weight {
        Some(weight) => format!("{subset}, drawn at {weight}%"),
        None => subset.clone(),
    };
    Some(part("Subset", text.into_any()))
}

fn endpoint(told: &Decision) -> Option<AnyView> {
    let endpoint = told.endpoint.clone()?;
    let text = match told.before.as_slice() {
        [] => endpoint,
        before => format!("{endpoint}; {} tried before", listed(before)),
    };
    Some(part("Endpoint", text.into_any()))
}

/// `-1`, `-1 and -2`, `-1, -2 and -3`.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn tries(tries: &Tries) -> AnyView {
    let text = match tries {
        Tries::Of(1) => "answered at the first try".to_owned(),
        Tries::Of(tries) => format!("{tries} tries"),
        Tries::This { name, because: None } => name.clone(),
        Tries::This { name, because: Some((reason, after_us)) } => {
            format!("{name}, on {reason}, {}", fine::offset_us(*after_us))
        }
    };
    part("Try", text.into_any())
}

fn limits(limits: &[Limit]) -> Option<AnyView> {
    let text = |limit: &Limit| {
        let (took, of) = (fine::duration_us(limit.took_us), format::duration_us(limit.of_us));
        if limit.per_try { format!("{took} of {of} per try") } else { format!("{took} of {of}") }
    };
    let text = limits.iter().map(text).collect::<Vec<_>>().join(", ");
    (!limits.is_empty()).then(|| part("Limits", text.into_any()))
}

fn breaker(breaker: &Breaker) -> AnyView {
    let mark = |state: &str| match state {
        "closed" => Some(BreakerMark::Closed),
        "half-open" => Some(BreakerMark::HalfOpen),
        "open" => Some(BreakerMark::Open),
        _ => None,
    };
    let line = |state: &str, text: String| {
        let glyph = mark(state).map(|mark| view! { <BreakerGlyph mark=mark/> });
        view! { <span class="breaker-line">{glyph}<span>{text}</span></span> }
    };
    let before = match breaker.after {
        Some(_) => format!("{}, then", breaker.before),
        None => breaker.before.clone(),
    };
    let after = breaker.after.as_ref().map(|after| {
        let text = match after.as_str() {
            "open" => "opened by this call".to_owned(),
            "closed" => "closed by this call".to_owned(),
            other => format!("{other}, for this call to try"),
        };
        line(after, text)
    });
    let lines = view! { <span class="lines">{line(&breaker.before, before)}{after}</span> };
    let href = match breaker.after.as_deref().unwrap_or(&breaker.before) {
        "closed" => None,
        _ => Some(view! { <a class="onward" href="/resilience">"Resilience"</a> }),
    };
    part("Breaker", view! { {lines}{href} }.into_any())
}

/// The fault on Resilience.
pub(super) fn fault_href(id: &str) -> String {
    format!("/resilience?fault={id}#faults")
}

fn faults(faults: &Faults) -> AnyView {
    let link = |id: &str| {
        view! { <a class="fault-link" href=fault_href(id)>{id.to_owned()}</a> }.into_any()
    };
    let named = |ids: &[String]| {
        let more = ids.len().saturating_sub(NAMED_MAX);
        let links = ids.iter().take(NAMED_MAX).map(|id| view! { {link(id)}" " }).collect_view();
        let more = (more > 0).then(|| format!("and {more} more "));
        view! { {links}{more} }
    };
    let held =
        (faults.held_us > 0).then(|| format!("held it {}", fine::duration_us(faults.held_us)));
    let here =
        (!faults.here.is_empty()).then(|| view! { <span>{named(&faults.here)}{held}</span> });
    let below = faults.below.iter().take(NAMED_MAX).map(|(id, held_us)| {
        let held = (*held_us > 0).then(|| format!(", {}", fine::offset_us(*held_us)));
        view! { <span>{link(id)}" on a call below"{held}</span> }
    });
    let below = below.collect_view();
    let carried = (!faults.carried.is_empty())
        .then(|| view! { <span>{named(&faults.carried)}"met on the way here"</span> });
    let nothing = faults.here.is_empty();
    let all = nothing && faults.below.is_empty() && faults.carried.is_empty();
    let none = match (all, nothing) {
        (true, _) => Some("none"),
        (false, true) => Some("none here"),
        _ => None,
    };
    let first = faults.here.first().or_else(|| faults.below.first().map(|(id, _)| id));
    let onward = first.or_else(|| faults.carried.first()).map(|id| {
        view! {
            <a class="onward" href=fault_href(id)>"Fault"</a>
        }
    });
    view! {
        <span class="lines">{none.map(|n| view! { <span>{n}</span> })}{here}{below}{carried}</span>
        {onward}
    }
    .into_any()
}

/// The faults that acted on the call of a row, each a link.
pub(super) fn chips(
    ids: Vec<String>,
    tab_stop: impl Fn() -> Option<&'static str> + Clone + Send + 'static,
) -> AnyView {
    ids.into_iter()
        .map(|id| {
            let href = fault_href(&id);
            let title = format!("{id} on Resilience");
            view! {
                <a class="fault-chip" href=href title=title tabindex=tab_stop.clone()>
                    {icon(Icon::Bolt)}
                    {id}
                </a>
            }
        })
        .collect_view()
        .into_any()
}
