//! The map as a table, sorted by a column that is kept in the address.

use super::{
    Chosen, Selection,
    table_model::{COLUMNS, Column, Row, rows},
};
use crate::{
    frame::range::use_set_query,
    live::use_live,
    widget::{BreakerGlyph, ServiceCode},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The table behind `T`.
#[component]
pub(super) fn MapTable() -> impl IntoView {
    let map = use_live().map();
    let query = use_query_map();
    let set = use_set_query();
    let column = Memo::new(move |_| query.with(|query| Column::parse(query.get_str("sort"))));
    let rows = Memo::new(move |_| map.with(|map| rows(map, column.get())));
    let heads = COLUMNS
        .into_iter()
        .map(|(of, word, text)| {
            let sort = move || match (column.get() == of, of.descends()) {
                (false, _) => None,
                (true, true) => Some("descending"),
                (true, false) => Some("ascending"),
            };
            let number = matches!(of, Column::Rate | Column::Errors | Column::P95);
            let choose = move |event: leptos::ev::MouseEvent| {
                event.prevent_default();
                event.stop_propagation();
                set.run(vec![("sort", Some(word.to_owned()))]);
            };
            view! {
                <th scope="col" class:number=number aria-sort=sort>
                    <a href=format!("/?view=table&sort={word}") on:click=choose>{text}</a>
                </th>
            }
        })
        .collect_view();
    let empty = move || rows.with(Vec::is_empty);
    view! {
        <div class="map-table" tabindex="0" role="region" aria-label="Service map as a table">
            <table class="table">
                <thead>
                    <tr>{heads}</tr>
                </thead>
                <tbody>
                    <For
                        each=move || rows.get()
                        key=|row| format!("{row:?}")
                        let:row
                    >
                        {table_row(row)}
                    </For>
                </tbody>
            </table>
            <Show when=empty>
                <p class="hint none">"No calls in the last minute."</p>
            </Show>
        </div>
    }
    .into_any()
}

fn table_row(row: Row) -> AnyView {
    let Chosen { choose, .. } = expect_context::<Chosen>();
    let selection = Selection::Edge(row.from.clone(), row.to.clone());
    let href = format!("/?edge={}~{}", row.from, row.to);
    let open = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        choose.run(Some(selection.clone()));
    };
    let breaker = row.breaker.map(|mark| {
        view! {
            <BreakerGlyph mark=mark/>
            <span>{mark.word()}</span>
        }
    });
    view! {
        <tr class=row.health.class()>
            <td>
                <ServiceCode service=row.from.clone()/>
                <a href=href on:click=open>{row.from}</a>
            </td>
            <td><ServiceCode service=row.to.clone()/><span>{row.to}</span></td>
            <td>{row.kind}</td>
            <td class="number">{row.rate}</td>
            <td class="number">{row.errors}</td>
            <td class="number">{row.p95}</td>
            <td>{breaker}</td>
        </tr>
    }
    .into_any()
}
