//! One strip per edge: the layers of the mesh in their order, and what each did in the last minute.
//! Those that did something come first; the others fold away.

use super::Page;
use crate::{model::format, widget::ServiceCode};
use contract::resilience::{LayerView, StripView};
use leptos::prelude::*;

pub(super) fn panel(page: Page) -> AnyView {
    let strips = Memo::new(move |_| page.view.with(|view| view.strips.clone()));
    let of = move |busy: bool| {
        strips.with(|all| {
            let called = all.iter().filter(|s| is_called(s) && did_something(s) == busy);
            called.map(|s| (s.from.clone(), s.to.clone())).collect::<Vec<_>>()
        })
    };
    let (busy, quiet) = (Memo::new(move |_| of(true)), Memo::new(move |_| of(false)));
    let none = move || busy.with(Vec::is_empty) && quiet.with(Vec::is_empty);
    let passed = move || {
        let count = u64::try_from(quiet.with(Vec::len)).unwrap_or_default();
        format::plural(count, "edge passed everything", "edges passed everything")
    };
    view! {
        <section class="panel layers" id="layers" class:gone=none>
            <header class="panel-head">
                <h2>"Layers"</h2>
                <span class="hint grow">
                    "what each layer of the mesh did in the last minute, outer to inner"
                </span>
            </header>
            <For each=move || busy.get() key=Clone::clone let:key>
                {strip(strips, key)}
            </For>
            <details class="idle" class:gone=move || quiet.with(Vec::is_empty)>
                <summary>{passed}</summary>
                <For each=move || quiet.get() key=Clone::clone let:key>
                    {strip(strips, key)}
                </For>
            </details>
        </section>
    }
    .into_any()
}

/// Whether a layer has anything to do on this edge.
fn idle(layer: &LayerView) -> bool {
    layer.setting.is_empty() && layer.acted == 0
}

/// Whether a call passed here in the last minute: without one there is nothing to tell.
/// What the callee met of other callers is theirs to tell.
fn is_called(strip: &StripView) -> bool {
    strip.layers.iter().any(|layer| layer.of > 0)
}

/// Whether a layer did more than let everything pass. That a rule routes is no event.
fn did_something(strip: &StripView) -> bool {
    strip.layers.iter().chain(&strip.callee).any(|layer| layer.acted > 0 && layer.name != "route")
}

fn strip(strips: Memo<Vec<StripView>>, (from, to): (String, String)) -> AnyView {
    let ends = (from.clone(), to.clone());
    let sides = Memo::new(move |_| {
        let mine = |strip: &&StripView| strip.from == ends.0 && strip.to == ends.1;
        let side = |strip: &StripView| (strip.layers.clone(), strip.callee.clone());
        strips.with(|all| all.iter().find(mine).map(side).unwrap_or_default())
    });
    let marks = move || sides.with(|(caller, _)| caller.iter().map(mark).collect_view());
    let callee_marks = move || sides.with(|(_, callee)| callee.iter().map(mark).collect_view());
    let rows = move || sides.get().0.into_iter().map(row).collect_view();
    let callee_rows = move || sides.get().1.into_iter().map(row).collect_view();
    let at = format!("at {to}, for the requests of all callers");
    // The callee counts what it does, not for whom: as told here it would be this caller's.
    let whose = format!("at {to}, all callers:");
    view! {
        <details class="layer-strip">
            <summary>
                <span class="edge-title">
                    <ServiceCode service=from.clone()/>
                    {from}
                    <span class="hint">"›"</span>
                    <ServiceCode service=to.clone()/>
                    {to}
                </span>
                <span class="layer-marks">
                    {marks}
                    <i class="hint"><span aria-hidden="true">"› "</span> {whose}</i>
                    {callee_marks}
                </span>
            </summary>
            <ol>{rows}</ol>
            <h3 class="hint">{at}</h3>
            <ol>{callee_rows}</ol>
        </details>
    }
    .into_any()
}

fn mark(layer: &LayerView) -> AnyView {
    let class = match (idle(layer), layer.acted) {
        (true, _) => "layer-mark off",
        (_, 0) => "layer-mark",
        _ => "layer-mark acted",
    };
    let acted = (layer.acted > 0).then(|| acted(layer));
    let title = format!("{} {}", layer.name, layer.setting);
    view! { <span class=class title=title>{layer.name.clone()} " " <b>{acted}</b></span> }
        .into_any()
}

/// "4 724 refused".
fn acted(layer: &LayerView) -> String {
    format!("{} {}", format::count(layer.acted), layer.did).trim_end().to_owned()
}

fn row(layer: LayerView) -> AnyView {
    let class = if idle(&layer) { "off" } else { "" };
    let name = match layer.href {
        Some(href) => view! { <a href=href>{layer.name}</a> }.into_any(),
        None => view! { <span>{layer.name}</span> }.into_any(),
    };
    let setting = if layer.setting.is_empty() { "not configured".into() } else { layer.setting };
    let did = if layer.acted == 0 {
        format!("passed {}", format::count(layer.of))
    } else {
        format!("{} {} of {}", layer.did, format::count(layer.acted), format::count(layer.of))
    };
    view! {
        <li class=class>
            {name}
            <span class="grow hint">{setting}</span>
            <span>{did}</span>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_a_layer_says_what_it_did() {
        let layer = LayerView {
            name: "breaker".into(),
            setting: "5 in a row".into(),
            acted: 4_724,
            of: 9_000,
            did: "refused".into(),
            href: None,
        };
        assert_eq!(acted(&layer), "4\u{202f}724 refused");
    }

    #[test]
    fn an_edge_without_calls_is_not_listed() {
        let layer = |of| LayerView {
            name: "fault".into(),
            setting: String::new(),
            acted: 0,
            of,
            did: String::new(),
            href: None,
        };
        let strip = |of| StripView {
            from: "orders".into(),
            to: "users".into(),
            layers: vec![layer(0), layer(of)],
            callee: vec![layer(7)],
        };
        assert!(!is_called(&strip(0)) && is_called(&strip(1)));
    }

    #[test]
    fn an_edge_on_which_only_rules_were_applied_passed_everything() {
        let layer = |name: &str, acted| LayerView {
            name: name.into(),
            setting: String::new(),
            acted,
            of: 9,
            did: String::new(),
            href: None,
        };
        let strip = |layers, callee| StripView {
            from: "orders".into(),
            to: "users".into(),
            layers,
            callee,
        };
        assert!(!did_something(&strip(vec![layer("route", 9)], vec![layer("rate limit", 0)])));
        assert!(did_something(&strip(vec![layer("retry", 1)], Vec::new())));
        assert!(did_something(&strip(Vec::new(), vec![layer("rate limit", 1)])));
    }
}
