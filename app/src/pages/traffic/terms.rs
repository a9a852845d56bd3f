//! One condition of a match, as fields: what it looks at, how it compares, with what.

use crate::{
    model::route::{self, ONS, OPS, on_word, op_word},
    widget::{Field, Icon, field, icon},
};
use contract::traffic::{MatchOp, MatchTerm};
use leptos::prelude::*;

/// A condition that somebody has just added.
#[must_use]
pub(crate) fn fresh() -> MatchTerm {
    MatchTerm { name: "x-user".into(), ..MatchTerm::default() }
}

/// The fields of one condition.
pub(crate) fn row(
    now: Signal<MatchTerm>,
    set: Callback<MatchTerm>,
    remove: Callback<()>,
) -> AnyView {
    let make =
        move |label, name, get: fn(&MatchTerm) -> String, put: fn(&mut MatchTerm, String)| {
            let on = Callback::new(move |text: String| {
                let mut term = now.get_untracked();
                put(&mut term, text);
                set.run(term);
            });
            Field::plain(label, name, Signal::derive(move || now.with(get)), on)
        };
    let on = make(
        "Looks at",
        "on",
        |t| on_word(t.on).into(),
        |t, word| {
            t.on = ONS.into_iter().find(|on| on_word(*on) == word).unwrap_or_default();
        },
    );
    let op = make(
        "Compares",
        "op",
        |t| op_word(t.op).into(),
        |t, word| {
            t.op = OPS.into_iter().find(|op| op_word(*op) == word).unwrap_or_default();
        },
    );
    let name = make("Name", "name", |t| t.name.clone(), |t, text| t.name = text);
    let value = make("Value", "value", |t| t.value.clone(), |t, text| t.value = text);
    let words = |words: Vec<&'static str>| {
        let options = words.into_iter().map(|word| (word.to_owned(), word.to_owned()));
        Signal::stored(options.collect::<Vec<_>>())
    };
    view! {
        <div class="term">
            {field::select(on, words(ONS.map(on_word).to_vec()))}
            <span class:gone=move || !route::has_name(now.with(|t| t.on))>
                {field::text(name, "name")}
            </span>
            {field::select(op, words(OPS.map(op_word).to_vec()))}
            // The cross does not stand in a line of its own.
            <span class="term-end">
            <span class:gone=move || now.with(|t| t.op) == MatchOp::Present>
                {field::text(value, "value")}
            </span>
            <button
                type="button" class="button ghost square small" aria-label="Remove condition"
                on:click=move |_| remove.run(())
            >
                {icon(Icon::Cross)}
            </button>
            </span>
        </div>
    }
    .into_any()
}
