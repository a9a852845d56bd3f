//! The list of orders: by status and time, a page at a time, its rows going on live.

use crate::{
    ask,
    frame::{load::fill_it, range::in_range, use_frame, use_keys, use_range},
    live::use_live,
    model::{format, tone::Tone},
    pages::{follow::on_return, live::feed_model},
    widget::{Clock, EmptyState, LinkTabs, MiniStepper},
};
use contract::order::{OrderPage, OrderRow, OrderStatus, StepMark};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{hooks::use_query_map, params::ParamsMap};

/// Statuses to choose from, with their labels.
const TABS: [(Option<OrderStatus>, &str); 5] = [
    (None, "All"),
    (Some(OrderStatus::Processing), "Processing"),
    (Some(OrderStatus::Confirmed), "Confirmed"),
    (Some(OrderStatus::Cancelled), "Cancelled"),
    (Some(OrderStatus::Shipped), "Shipped"),
];
/// Most of a word of the address that is repeated, characters.
const WORD_MAX: usize = 40;
/// Between the cursors of earlier pages in the address.
const JOINT: char = ',';
/// Earlier pages that the address remembers; further back there is only the first page.
const TRAIL_MAX: usize = 20;

/// Where in the list we are: what is in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Only orders of this status.
    pub status: Option<OrderStatus>,
    /// Whenever they were placed, not only within the time range.
    pub always: bool,
    /// Page to show; the first without one.
    pub cursor: Option<String>,
    /// Cursors of the pages before, oldest visit first; the first page has an empty one.
    pub trail: Vec<String>,
}

impl Place {
    /// Reads the address.
    #[must_use]
    pub fn parse(query: &ParamsMap) -> Self {
        let trail = query.get_str("trail");
        Self {
            status: query.get_str("status").and_then(OrderStatus::parse),
            always: query.get_str("when") == Some("any"),
            cursor: query.get("cursor").filter(|cursor| !cursor.is_empty()),
            trail: trail.map(|t| t.split(JOINT).map(str::to_owned).collect()).unwrap_or_default(),
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> String {
        let mut query = ParamsMap::new();
        if let Some(status) = self.status {
            query.insert("status", status.as_str().to_owned());
        }
        if self.always {
            query.insert("when", "any".to_owned());
        }
        if let Some(cursor) = &self.cursor {
            query.insert("cursor", cursor.clone());
            query.insert("trail", self.trail.join(&JOINT.to_string()));
        }
        format!("/orders{}", query.to_query_string())
    }

    /// The next page of older orders.
    #[must_use]
    pub fn older(&self, next: String) -> Self {
        let mut trail = self.trail.clone();
        trail.push(self.cursor.clone().unwrap_or_default());
        let excess = trail.len().saturating_sub(TRAIL_MAX);
        trail.drain(..excess);
        Self { cursor: Some(next), trail, ..*self }
    }

    /// The page of newer orders we came from; the first page if that is forgotten.
    #[must_use]
    pub fn newer(&self) -> Option<Self> {
        self.cursor.as_ref()?;
        let mut trail = self.trail.clone();
        let cursor = trail.pop().filter(|cursor| !cursor.is_empty());
        Some(Self { cursor, trail, ..*self })
    }
}

/// What a status in the address asks for that there is not: the list is not narrowed by it.
fn unread(query: &ParamsMap) -> Option<String> {
    let word = query.get_str("status").filter(|word| !word.is_empty())?;
    OrderStatus::parse(word).is_none().then(|| {
        let shown: String = word.chars().take(WORD_MAX).collect();
        format!("There is no status {shown}; orders of every status are shown.")
    })
}

/// The list of orders.
#[component]
pub fn OrdersPage() -> impl IntoView {
    let query = use_query_map();
    let place = Memo::new(move |_| query.with(Place::parse));
    let minutes = use_range().minutes();
    let page = Resource::new(
        move || (place.get(), minutes.get()),
        |(place, minutes)| {
            ask::orders(place.status, (!place.always).then_some(minutes), place.cursor)
        },
    );
    // After a restart as well: then the line was lost, too.
    on_return(Callback::new(move |()| page.refetch()));
    let links = move || {
        let to = |status| Place { status, always: place.get().always, ..Place::default() };
        let href = |status| in_range(&to(status).address(), minutes.get());
        TABS.iter().map(|(status, text)| (href(*status), (*text).to_owned())).collect::<Vec<_>>()
    };
    let current = Signal::derive(move || {
        let status = place.get().status;
        TABS.iter().position(|(of, _)| *of == status).unwrap_or(0)
    });
    use_keys(|key, _| match key {
        "j" | "J" => crate::browser::focus_row(true),
        "k" | "K" => crate::browser::focus_row(false),
        _ => false,
    });
    view! {
        <Title text="Orders"/>
        <div class="orders-page">
            <header class="page-head">
                <h1>"Orders"</h1>
                <p class="hint">{move || when(place, minutes)}</p>
                <span class="grow"></span>
                <LinkTabs label="Status" links=Signal::derive(links) current=current/>
            </header>
            {move || query.with(unread).map(|said| view! {
                <p class="hint" role="status">{said}</p>
            })}
            <div class="orders-list">
                <NewOrders place=place page=page minutes=minutes/>
                <Transition>
                    {move || Suspend::new(async move {
                        match page.await {
                            Ok(found) => view! { <OrderTable found=found place=place/> }.into_any(),
                            Err(error) => not_listed(&error, page),
                        }
                    })}
                </Transition>
            </div>
        </div>
    }
    .into_any()
}

/// In place of the list: why it is not there, and the way to ask again.
fn not_listed(error: &ask::AskError, page: Resource<Result<OrderPage, ask::AskError>>) -> AnyView {
    view! {
        <div class="panel-error" role="alert">
            <p>{error.to_string()}</p>
            <button type="button" class="button" on:click=move |_| page.refetch()>"Retry"</button>
        </div>
    }
    .into_any()
}

/// From which time the list is, with the way to the other one.
fn when(place: Memo<Place>, minutes: Memo<u32>) -> AnyView {
    let Place { status, always, .. } = place.get();
    let other = Place { status, always: !always, ..Place::default() };
    let href = in_range(&other.address(), minutes.get());
    let within = format!("last {} min", minutes.get());
    match always {
        true => view! {
            "all that are kept, " <a class="underlined" href=href>"only the " {within}</a>
        }
        .into_any(),
        false => view! {
            "placed in the " {within} ", " <a class="underlined" href=href>"all that are kept"</a>
        }
        .into_any(),
    }
}

/// A row of the feed as it was when the list was asked for again because of it.
type Seen = (String, u64);

/// Rows of the feed that the first page of the list has, or would have if it was read now. What is
/// in the feed is in the read model already, so one that a list of nothing lacks came after it.
fn of_first_page<'a>(
    rows: &'a [OrderRow],
    place: &Place,
    since_us: i64,
) -> impl Iterator<Item = &'a OrderRow> {
    let (first, status) = (place.cursor.is_none(), place.status);
    let since_us = if place.always { i64::MIN } else { since_us };
    let here = move |row: &&OrderRow| {
        first && row.placed_at_us >= since_us && status.is_none_or(|status| row.status == status)
    };
    rows.iter().filter(here)
}

/// How many orders of the feed are newer than the newest row, on the first page. A list of nothing
/// fills itself: nobody reads it, and what it lacks may have been placed before the page was alive.
#[component]
fn NewOrders(
    place: Memo<Place>,
    page: Resource<Result<OrderPage, ask::AskError>>,
    minutes: Memo<u32>,
) -> impl IntoView {
    let live = use_live();
    let orders = live.orders();
    // Resources are read where something waits for them, or in an effect: after hydration. None
    // without a list, and in it none without a row.
    let newest = RwSignal::new(None);
    Effect::new(move |_| {
        newest.set(page.with(|page| match page {
            Some(Ok(page)) => Some(page.orders.first().map(|row| row.placed_at_us)),
            _ => None,
        }));
    });
    let since_us = move || live.now_us().get_untracked() - i64::from(minutes.get()) * 60_000_000;
    let new = Memo::new(move |_| {
        let Some(newest) = newest.get().flatten() else { return 0 };
        let count = |rows: &Vec<OrderRow>, place: &Place| {
            let rows = of_first_page(rows, place, since_us());
            rows.filter(|row| row.placed_at_us > newest).count()
        };
        orders.with(|rows| place.with(|place| count(rows, place)))
    });
    let lacks = Memo::new(move |_| -> Vec<Seen> {
        if newest.get() != Some(None) {
            return Vec::new();
        }
        let seen = |row: &OrderRow| (row.order_id.clone(), row.version);
        orders.with(|rows| {
            place.with(|place| of_first_page(rows, place, since_us()).map(seen).collect())
        })
    });
    // Each of them asks once: a list that is empty all the same stays as it is until there is more.
    Effect::new(move |asked: Option<Vec<Seen>>| {
        let (asked, lacks) = (asked.unwrap_or_default(), lacks.get());
        if lacks.is_empty() || lacks == asked {
            return asked;
        }
        page.refetch();
        lacks
    });
    view! {
        <Show when=move || { new.get() > 0 }>
            <button
                type="button" class="button small orders-new" on:click=move |_| page.refetch()
            >
                {move || format!("{} new", new.get())}
            </button>
        </Show>
    }
    .into_any()
}

#[component]
fn OrderTable(found: OrderPage, place: Memo<Place>) -> impl IntoView {
    let OrderPage { orders, next } = found;
    if orders.is_empty() {
        return empty(place).into_any();
    }
    let here = place.get_untracked();
    let minutes = use_range().minutes();
    let href = move |place: Place| move || in_range(&place.address(), minutes.get());
    let newer = here.newer().map(|place| {
        view! { <a class="button" rel="prev" href=href(place)>"Newer"</a> }
    });
    let older = next.map(|next| {
        view! { <a class="button" rel="next" href=href(here.older(next))>"Older"</a> }
    });
    let rows = orders.into_iter().map(order_row).collect_view();
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label="Orders">
            // The rows are grids on a phone, which would take what they are from them.
            <table class="table orders-table" role="table">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Order"</th>
                        <th role="columnheader" scope="col">"Customer"</th>
                        <th role="columnheader" scope="col" class="number">"Total"</th>
                        <th role="columnheader" scope="col">"Saga"</th>
                        <th role="columnheader" scope="col">"Status"</th>
                        <th role="columnheader" scope="col">"Placed"</th>
                        <th role="columnheader" scope="col" class="number">"Took"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
        <nav class="pages" aria-label="Pages of orders">{newer} {older}</nav>
    }
    .into_any()
}

/// The steps of the saga that the stepper draws, in its order.
const STEPS: [&str; 3] = ["stock", "payment", "confirmation"];

/// Where the saga stands, in words: the step it is at, or the one that turned it back.
#[must_use]
pub fn saga_step(marks: &[StepMark; 3]) -> String {
    let at = |mark: StepMark| marks.iter().position(|known| *known == mark);
    let named = |at: usize| STEPS.get(at).copied().unwrap_or_default();
    let undone = || {
        if marks.iter().all(|mark| *mark == StepMark::Undone) {
            return "every step".to_owned();
        }
        let all = marks.iter().zip(STEPS).filter(|(mark, _)| **mark == StepMark::Undone);
        all.map(|(_, step)| step).collect::<Vec<_>>().join(" and ")
    };
    if let Some(stuck) = at(StepMark::Stuck) {
        return format!("{} not undone", named(stuck));
    }
    match (at(StepMark::Failed), undone()) {
        (Some(failed), undone) if undone.is_empty() => format!("{} failed", named(failed)),
        (Some(failed), undone) => format!("{} failed, {undone} undone", named(failed)),
        (None, undone) if !undone.is_empty() => format!("{undone} undone"),
        (None, _) => match at(StepMark::Running).or_else(|| at(StepMark::Unknown)) {
            Some(running) => format!("{} of 3, {}", running + 1, named(running)),
            None => {
                let done = marks.iter().filter(|mark| **mark == StepMark::Done).count();
                format!("{done} of 3 done")
            }
        },
    }
}

/// The order's status, and of one that runs or was cancelled what it is about.
#[must_use]
pub fn status_text(row: &OrderRow) -> String {
    let phase = row.phase.to_lowercase();
    let more = matches!(row.status, OrderStatus::Processing | OrderStatus::Cancelled);
    if more && !phase.is_empty() && phase != row.status.as_str() {
        format!("{}, {phase}", row.status)
    } else {
        row.status.to_string()
    }
}

fn order_row(first: OrderRow) -> AnyView {
    let live = use_live();
    let newest = live.order_row(&first.order_id);
    let start = first.clone();
    let row = Memo::new(move |_| {
        newest.get().filter(|row| row.version >= start.version).unwrap_or_else(|| start.clone())
    });
    let steps = Signal::derive(move || row.with(|row| row.steps));
    let tone = move || {
        row.with(|row| match feed_model::tone(row) {
            Tone::Neutral if row.status == OrderStatus::Processing => Tone::Info.class(),
            tone => tone.class(),
        })
    };
    let status = move || row.with(status_text);
    let took = Memo::new(move |_| {
        row.with(|row| match row.took_us {
            Some(took) => format::took(took),
            None if live.now_us().get() == 0 => "–".to_owned(),
            None => format::took(live.now_us().get() - row.placed_at_us),
        })
    });
    let (mine, of) = (use_frame().mine, first.clone());
    let mine = move || mine.has(&of).then(|| view! { <span class="tag">"Yours"</span> });
    view! {
        <tr role="row">
            <td role="cell">
                <a class="mono" data-row="" href=format!("/orders/{}", first.order_id)>
                    {first.order_id.clone()}
                </a>
                {mine}
            </td>
            <td role="cell">{first.user_id.clone()}</td>
            <td role="cell" class="number">{format::money(first.total)}</td>
            <td role="cell">
                <span class="saga-cell">
                    <MiniStepper steps=steps/>
                    <span class="words hint">{move || row.with(|row| saga_step(&row.steps))}</span>
                    <span class=move || format!("phase {}", tone())>{status}</span>
                </span>
            </td>
            <td role="cell" class=move || format!("status-cell {}", tone())>{status}</td>
            <td role="cell"><Clock at_us=first.placed_at_us/></td>
            <td role="cell" class="number">{move || took.get()}</td>
        </tr>
    }
    .into_any()
}

fn empty(place: Memo<Place>) -> AnyView {
    match place.get_untracked() {
        Place { status: None, cursor: None, always, .. } => view! {
            <EmptyState
                title=if always { "No orders yet" } else { "No orders in this time" }
                text="Place one, or start the load generator."
            >
                {fill_it()}
            </EmptyState>
        }
        .into_any(),
        _ => view! {
            <EmptyState title="No orders here" text="No order matches this choice.">
                <a class="button" href="/orders?when=any">"Show all orders"</a>
            </EmptyState>
        }
        .into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_saga_says_its_step_and_the_status_says_why() {
        use StepMark::{Done, Failed, NotReached, Running, Stuck, Undone};
        assert_eq!(saga_step(&[Done, Running, NotReached]), "2 of 3, payment");
        assert_eq!(saga_step(&[Done; 3]), "3 of 3 done");
        assert_eq!(saga_step(&[Undone, Failed, NotReached]), "payment failed, stock undone");
        assert_eq!(saga_step(&[Failed, NotReached, NotReached]), "stock failed");
        assert_eq!(saga_step(&[Undone, Undone, NotReached]), "stock and payment undone");
        assert_eq!(saga_step(&[Undone; 3]), "every step undone");
        assert_eq!(saga_step(&[Stuck, Failed, NotReached]), "stock not undone");
        let row = |status, phase: &str| {
            status_text(&OrderRow {
                order_id: "ord-1".into(),
                user_id: "c-1042".into(),
                total: contract::Money::eur(100),
                status,
                phase: phase.into(),
                steps: [NotReached; 3],
                placed_at_us: 0,
                took_us: None,
                origin: contract::order::Origin::Browser,
                version: 1,
            })
        };
        assert_eq!(row(OrderStatus::Cancelled, "Payment declined"), "cancelled, payment declined");
        assert_eq!(row(OrderStatus::Confirmed, "Confirmed"), "confirmed");
        assert_eq!(row(OrderStatus::Processing, "Paying, v1"), "processing, paying, v1");
        assert_eq!(row(OrderStatus::Cancelled, "Cancelled"), "cancelled");
    }

    #[test]
    fn a_list_of_nothing_lacks_what_matches_it_whenever_that_was_placed() {
        use OrderStatus::{Confirmed, Processing};
        let row = |id: &str, status, placed_at_us| OrderRow {
            order_id: id.into(),
            user_id: "c-1042".into(),
            total: contract::Money::eur(100),
            status,
            phase: String::new(),
            steps: [StepMark::NotReached; 3],
            placed_at_us,
            took_us: None,
            origin: contract::order::Origin::Api,
            version: 1,
        };
        let rows =
            [row("new", Processing, 900), row("done", Confirmed, 500), row("old", Processing, 99)];
        let of = |place: Place| {
            let found = of_first_page(&rows, &place, 100);
            found.map(|row| row.order_id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of(Place::default()), ["new", "done"]);
        assert_eq!(of(Place { status: Some(Confirmed), ..Place::default() }), ["done"]);
        assert_eq!(of(Place { always: true, ..Place::default() }), ["new", "done", "old"]);
        assert!(of(Place::default().older("A".into())).is_empty(), "older pages do not fill");
    }

    #[test]
    fn pages_are_walked_to_older_orders_and_back() {
        let first = Place { status: Some(OrderStatus::Confirmed), ..Place::default() };
        let third = first.older("B".into()).older("C".into());
        assert_eq!(third.address(), "/orders?status=confirmed&cursor=C&trail=%2CB");
        let second = third.newer().unwrap_or_default();
        assert_eq!(second, first.older("B".into()));
        assert_eq!(second.newer(), Some(first.clone()));
        assert_eq!(first.newer(), None);
    }

    #[test]
    fn the_trail_is_bounded_and_leads_to_the_first_page_when_forgotten() {
        let mut place = Place::default();
        for i in 0..50 {
            place = place.older(format!("c{i}"));
        }
        assert_eq!(place.trail.len(), TRAIL_MAX);
        let lost = Place { cursor: Some("x".into()), ..Place::default() };
        assert_eq!(lost.newer(), Some(Place::default()));
    }

    #[test]
    fn the_address_is_read_as_it_is_written() {
        let place = Place {
            status: None,
            always: true,
            cursor: Some("a/b c".into()),
            trail: vec![String::new(), "x".into()],
        };
        let mut query = ParamsMap::new();
        query.insert("cursor", "a/b c".to_owned());
        query.insert("trail", ",x".to_owned());
        query.insert("when", "any".to_owned());
        assert_eq!(Place::parse(&query), place);
        assert!(place.address().starts_with("/orders?when=any&cursor=a%2Fb"));
    }
}
