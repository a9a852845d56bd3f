//! The map as a table, sorted by a column that is kept in the address.

use super::{
    Chosen, Selection,
    scene::Health,
    table_model::{COLUMNS, Column, Row, rows},
};
use crate::{
    frame::range::use_set_query,
    live::use_live,
    widget::{BreakerGlyph, ServiceCode, use_zone},
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
    let zone = use_zone();
    let rows = Memo::new(move |_| map.with(|map| rows(map, column.get(), zone.get())));
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
    let empty = move || rows.with(|rows| rows.iter().all(|row| row.health == Health::Idle));
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

/// The table as plain markup, for those without JavaScript.
#[must_use]
pub fn plain(rows: &[Row]) -> String {
    let heads: String =
        COLUMNS.iter().map(|(_, _, text)| format!("<th scope=\"col\">{text}</th>")).collect();
    let row = |row: &Row| {
        let breaker = row.breaker.map_or("", crate::widget::BreakerMark::word);
        let version = row.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        let to = format!("{}{version}", row.to);
        let cells = [&row.from, &to, row.kind, &row.rate, &row.errors, &row.p95, breaker];
        let cells: String =
            cells.iter().map(|text| format!("<td>{}</td>", escaped(text))).collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"map-table\"><table class=\"table\"><thead><tr>{heads}</tr></thead>\
         <tbody>{body}</tbody></table></div>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
    let version = row.subset.map(|subset| format!(" {subset}"));
    view! {
        <tr>
            <td>
                <ServiceCode service=row.from.clone()/>
                <a href=href on:click=open>{row.from}</a>
            </td>
            <td>
                <ServiceCode service=row.to.clone()/>
                <span>{row.to} {version}</span>
            </td>
            <td>{row.kind}</td>
            <td class="number">{row.rate}</td>
            <td class=format!("number {}", row.limits.0.class())>{row.errors}</td>
            <td class=format!("number {}", row.limits.1.class())>{row.p95}</td>
            <td>{breaker}</td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_table_holds_every_row_and_no_markup_of_a_name() {
        let row = Row {
            from: "gateway".into(),
            to: "<b>odd</b>".into(),
            subset: None,
            kind: "call",
            rate: "2.0/s".into(),
            errors: "0%".into(),
            p95: "8 ms".into(),
            breaker: Some(crate::widget::BreakerMark::Open),
            health: Health::Ok,
            limits: (Health::Ok, Health::Ok),
        };
        let html = plain(&[row]);
        assert!(html.contains("<td>gateway</td><td>&lt;b&gt;odd&lt;/b&gt;</td><td>call</td>"));
        assert!(html.contains("<td>open</td></tr>"), "{html}");
    }
}
