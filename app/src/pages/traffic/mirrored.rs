//! Pairs of live and mirrored answers that differ: request, both sides with their traces, where.

use super::editor::Editor;
use crate::{model::format, widget::Clock};
use contract::traffic::{MirrorDifference, MirrorPair, MirrorSide};
use leptos::prelude::*;

/// The newest pairs of the host; nothing while all answers are the same.
pub(super) fn panel(editor: Editor) -> impl IntoView {
    let pairs = Memo::new(move |_| editor.view.with(|view| view.mirrored.clone()));
    let count = move || u64::try_from(pairs.with(Vec::len)).unwrap_or_default();
    let any = Memo::new(move |_| count() > 0);
    move || {
        any.get().then(|| {
            let head = move || {
                let (one, many) = ("last answer that differs", "last answers that differ");
                format::plural(count(), one, many)
            };
            view! {
                <details class="mirrored">
                    <summary>{head}</summary>
                    <ol>{move || pairs.get().into_iter().map(pair).collect_view()}</ol>
                </details>
            }
        })
    }
}

fn pair(pair: MirrorPair) -> AnyView {
    let differences = pair.differences.iter().map(|difference| {
        view! { <li>{words(difference)}</li> }
    });
    let none = pair.differences.is_empty().then(|| {
        view! { <li>"one of them brought no answer"</li> }
    });
    view! {
        <li>
            <strong>{pair.request}</strong>
            <Clock at_us=pair.at_us/>
            <p class="hint">
                {side("live", &pair.live)} ", " {side(&pair.to, &pair.mirrored)}
            </p>
            <ul>{differences.collect_view()}{none}</ul>
        </li>
    }
    .into_any()
}

/// "live 200 in 12 ms", with a link to its trace.
fn side(name: &str, side: &MirrorSide) -> AnyView {
    let text = format!("{name} {}", said(side));
    match &side.trace_id {
        Some(id) => view! { <a href=format!("/traces/{id}")>{text}</a> }.into_any(),
        None => text.into_any(),
    }
}

fn said(side: &MirrorSide) -> String {
    let took = format::duration_ms(side.took_ms);
    match (side.status, &side.error) {
        (Some(status), _) => format!("{status} in {took}"),
        (None, Some(error)) => format!("no answer after {took}: {error}"),
        (None, None) => format!("no answer after {took}"),
    }
}

/// "field /price: 1200, mirrored 1300".
fn words(difference: &MirrorDifference) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
    let (live, mirrored) = (value(&difference.live), value(&difference.mirrored));
    format!("{}: {live}, mirrored {mirrored}", difference.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_says_what_each_side_answered_and_where_they_differ() {
        let side = MirrorSide { status: Some(200), took_ms: 12.0, ..MirrorSide::default() };
        assert_eq!(said(&side), "200 in 12 ms");
        let lost = MirrorSide { status: None, error: Some("cut off".into()), ..side };
        assert_eq!(said(&lost), "no answer after 12 ms: cut off");
        let difference = MirrorDifference {
            place: "field /price".into(),
            live: Some("1200".into()),
            mirrored: None,
        };
        assert_eq!(words(&difference), "field /price: 1200, mirrored absent");
    }
}
