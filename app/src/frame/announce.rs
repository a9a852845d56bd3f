//! The one polite live region: says changes of state, and nothing else, to those who cannot see
//! them. Never numbers, ticks or other people's orders.

use super::{lazily, use_frame};
use crate::live::{Connection, use_live};
use contract::{
    order::{OrderRow, OrderStatus},
    resilience::{BreakerLine, BreakerState},
};
use leptos::prelude::*;
use std::collections::HashMap;

/// Orders of one's own that are remembered: more are never open at once.
const MINE_MAX: usize = 64;

/// Breakers that turned since the last look, as one sentence each; remembers the new states.
#[must_use]
pub fn turns(known: &mut HashMap<String, BreakerState>, lines: &[BreakerLine]) -> Vec<String> {
    let first = known.is_empty();
    let mut said = Vec::new();
    for line in lines {
        let before = known.insert(line.id.clone(), line.state).unwrap_or_default();
        if first || before == line.state {
            continue;
        }
        let word = match line.state {
            BreakerState::Closed => "closed",
            BreakerState::Open => "opened",
            BreakerState::HalfOpen => "is half-open",
        };
        let subset = line.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        said.push(format!("Breaker from {} to {}{subset} {word}.", line.from, line.to));
    }
    // Breakers are as many as edges; those that are gone are forgotten.
    known.retain(|id, _| lines.iter().any(|line| line.id == *id));
    said
}

/// Orders of one's own that ended since the last look.
#[must_use]
pub fn ended(
    known: &mut HashMap<String, bool>,
    rows: &[OrderRow],
    mine: &dyn Fn(&OrderRow) -> bool,
) -> Vec<String> {
    let mut said = Vec::new();
    for row in rows.iter().filter(|row| mine(row)) {
        let over = row.status != OrderStatus::Processing;
        let before = known.insert(row.order_id.clone(), over);
        if over && before == Some(false) {
            said.push(format!("Order {} is {}.", row.order_id, row.status));
        }
    }
    if known.len() > MINE_MAX {
        known.retain(|id, _| rows.iter().any(|row| row.order_id == *id));
    }
    said
}

/// The region.
#[component]
pub(super) fn Announcer() -> impl IntoView {
    let text = RwSignal::new(String::new());
    lazily::announce(text);
    view! { <div class="sr" role="status" aria-live="polite" data-announcer="">{text}</div> }
        .into_any()
}

/// Says what changes from now on.
pub(super) fn listen(text: RwSignal<String>) {
    let live = use_live();
    let say = move |sentences: Vec<String>| {
        if !sentences.is_empty() {
            text.set(sentences.join(" "));
        }
    };
    let states = StoredValue::new(HashMap::new());
    Effect::new(move |_| {
        let said = live
            .breakers()
            .with(|lines| states.try_update_value(|known| turns(known, lines)).unwrap_or_default());
        say(said);
    });
    let (known, mine) = (StoredValue::new(HashMap::new()), use_frame().mine);
    Effect::new(move |_| {
        let said = live
            .orders()
            .with(|rows| known.try_update_value(|known| ended(known, rows, &|row| mine.has(row))));
        say(said.unwrap_or_default());
    });
    let lost = Memo::new(move |_| matches!(live.connection().get(), Connection::Lost { .. }));
    Effect::new(move |before: Option<bool>| {
        let now = lost.get();
        match (before, now) {
            (Some(false) | None, true) => say(vec!["Disconnected.".into()]),
            (Some(true), false) => say(vec!["Connected again.".into()]),
            _ => {}
        }
        now
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{Origin, StepMark},
    };

    fn line(id: &str, state: BreakerState) -> BreakerLine {
        BreakerLine {
            id: id.into(),
            from: "gateway".into(),
            to: "payments".into(),
            subset: Some("v2".into()),
            state,
            since_us: 0,
            half_open_at_us: None,
            forced: None,
            marks: String::new(),
            opens_at: 5,
            distance: None,
        }
    }

    #[test]
    fn a_breaker_that_turns_is_said_once_and_the_first_look_says_nothing() {
        let mut known = HashMap::new();
        let open = [line("a", BreakerState::Open)];
        assert!(turns(&mut known, &open).is_empty(), "the page shows that already");
        let half = [line("a", BreakerState::HalfOpen)];
        assert_eq!(turns(&mut known, &half), ["Breaker from gateway to payments v2 is half-open."]);
        assert!(turns(&mut known, &half).is_empty());
    }

    #[test]
    fn the_end_of_an_order_is_said_once_and_only_of_ones_own() {
        let row = |status| OrderRow {
            order_id: "ord-A".into(),
            user_id: "c-1".into(),
            total: Money::eur(1),
            status,
            phase: String::new(),
            steps: [StepMark::Done; 3],
            placed_at_us: 0,
            took_us: None,
            origin: Origin::Browser,
            version: 1,
        };
        let mut known = HashMap::new();
        let mine = |row: &OrderRow| row.order_id == "ord-A";
        assert!(ended(&mut known, &[row(OrderStatus::Processing)], &mine).is_empty());
        let done = [row(OrderStatus::Confirmed)];
        assert_eq!(ended(&mut known, &done, &mine), ["Order ord-A is confirmed."]);
        assert!(ended(&mut known, &done, &mine).is_empty());
        let mut others = HashMap::new();
        assert!(ended(&mut others, &[row(OrderStatus::Processing)], &|_| false).is_empty());
        assert!(ended(&mut others, &done, &|_| false).is_empty());
    }
}
