//! Which orders the feed shows, in which order, and what each row says. Pure.

use crate::model::{format, tone::Tone};
use contract::{
    live::OrderTally,
    order::{OrderRow, OrderStatus, StepMark},
};

/// Own orders pinned on top.
pub const PINNED_MAX: usize = 3;
/// A running order is slow after this long, microseconds.
pub const SLOW_US: i64 = 1_000_000;

/// Which orders are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every order.
    #[default]
    All,
    /// Cancelled, or being cancelled.
    Failed,
    /// Placed from this browser.
    Yours,
}

impl Filter {
    /// The word of the control.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Yours => "yours",
        }
    }

    /// Reads the word of the control.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        [Self::All, Self::Failed, Self::Yours]
            .into_iter()
            .find(|filter| filter.word() == word)
            .unwrap_or_default()
    }

    fn wants(self, row: &OrderRow, mine: IsMine<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Failed => tone(row) != Tone::Neutral,
            Self::Yours => mine(row),
        }
    }
}

/// Says whether an order was placed from this browser.
pub type IsMine<'a> = &'a dyn Fn(&OrderRow) -> bool;

/// The tone of an order's word: violet when undone, red when stuck, quiet otherwise.
#[must_use]
pub fn tone(row: &OrderRow) -> Tone {
    let has = |mark| row.steps.contains(&mark);
    if has(StepMark::Stuck) {
        Tone::Error
    } else if row.status == OrderStatus::Cancelled || has(StepMark::Failed) || has(StepMark::Undone)
    {
        Tone::Comp
    } else {
        Tone::Neutral
    }
}

/// Ids of the rows to show: own orders first, then the newest.
#[must_use]
pub fn arrange(rows: &[OrderRow], filter: Filter, mine: IsMine<'_>) -> Vec<String> {
    let wanted = || rows.iter().filter(|row| filter.wants(row, mine));
    let pinned: Vec<&str> = wanted()
        .filter(|row| mine(row))
        .take(PINNED_MAX)
        .map(|row| row.order_id.as_str())
        .collect();
    let rest = wanted().map(|row| row.order_id.as_str()).filter(|id| !pinned.contains(id));
    pinned.iter().copied().chain(rest).map(str::to_owned).collect()
}

/// What is shown while the feed holds still: the rows as they were, and how many came since.
#[must_use]
pub fn hold(held: &[String], now: &[String]) -> (Vec<String>, usize) {
    let kept: Vec<String> = held.iter().filter(|id| now.contains(id)).cloned().collect();
    let new = now.iter().filter(|id| !held.contains(id)).count();
    (kept, new)
}

/// The time at the right of a row, and whether it is too long.
#[must_use]
pub fn time(row: &OrderRow, now_us: i64, mine: bool) -> (String, bool) {
    match row.took_us {
        Some(_) if mine => (format::ago(now_us - row.placed_at_us), false),
        Some(took) => (format::took(took), false),
        None => {
            let running = now_us - row.placed_at_us;
            (format::took(running), running > SLOW_US)
        }
    }
}

/// What the tally is of: "Last 5 min", shorter right after a start.
#[must_use]
pub fn window(seconds: u32) -> String {
    match seconds {
        0..60 => format!("Last {seconds} s"),
        _ => format!("Last {} min", seconds / 60),
    }
}

/// Orders per second in the tally's window.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of orders in five minutes")]
pub fn placed_per_second(tally: &OrderTally) -> f64 {
    tally.placed as f64 / f64::from(tally.window_seconds.max(1))
}

/// Widths of the tally's parts (confirmed, cancelled, running) on a bar of so many pixels: what
/// happened at all is at least two pixels wide.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of orders in five minutes")]
pub fn tally_bar(tally: &OrderTally, width: f64) -> [f64; 3] {
    let parts = [tally.confirmed, tally.cancelled, tally.running];
    let sum = parts.iter().sum::<u64>();
    if sum == 0 {
        return [0.0; 3];
    }
    let wide =
        parts.map(|part| if part == 0 { 0.0 } else { (width * part as f64 / sum as f64).max(2.0) });
    let excess = wide.iter().sum::<f64>() - width;
    let largest = wide.iter().copied().fold(0.0, f64::max);
    wide.map(|part| if part >= largest { part - excess } else { part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Money, order::Origin};

    fn row(id: &str, origin: Origin, status: OrderStatus) -> OrderRow {
        let steps = match status {
            OrderStatus::Cancelled => [StepMark::Undone, StepMark::Failed, StepMark::NotReached],
            _ => [StepMark::Done; 3],
        };
        OrderRow {
            order_id: id.into(),
            user_id: "c-1".into(),
            total: Money::eur(100),
            status,
            phase: "Confirmed".into(),
            steps,
            placed_at_us: 0,
            took_us: Some(200_000),
            origin,
            version: 1,
        }
    }

    fn mine(row: &OrderRow) -> bool {
        row.order_id.starts_with('m')
    }

    fn feed() -> Vec<OrderRow> {
        vec![
            row("a", Origin::Load, OrderStatus::Confirmed),
            row("b", Origin::Load, OrderStatus::Cancelled),
            row("mine", Origin::Browser, OrderStatus::Cancelled),
            row("c", Origin::Api, OrderStatus::Confirmed),
            // Of another browser.
            row("d", Origin::Browser, OrderStatus::Confirmed),
        ]
    }

    #[test]
    fn own_orders_stand_on_top_and_the_rest_keeps_its_order() {
        assert_eq!(arrange(&feed(), Filter::All, &mine), ["mine", "a", "b", "c", "d"]);
        assert_eq!(arrange(&feed(), Filter::Failed, &mine), ["mine", "b"]);
        assert_eq!(arrange(&feed(), Filter::Yours, &mine), ["mine"]);
    }

    #[test]
    fn only_so_many_own_orders_are_pinned() {
        let mut rows = vec![row("new", Origin::Load, OrderStatus::Confirmed)];
        rows.extend((0..5).map(|i| row(&format!("m{i}"), Origin::Browser, OrderStatus::Confirmed)));
        assert_eq!(arrange(&rows, Filter::All, &mine), ["m0", "m1", "m2", "new", "m3", "m4"]);
    }

    #[test]
    fn the_window_of_the_tally_is_as_long_as_the_shop_has_been_watched() {
        assert_eq!([8, 60, 300].map(window), ["Last 8 s", "Last 1 min", "Last 5 min"]);
    }

    #[test]
    fn a_held_feed_keeps_its_rows_and_counts_what_came() {
        let ids = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(hold(&ids("a b c"), &ids("x y a b")), (ids("a b"), 2));
    }

    #[test]
    fn a_running_order_shows_its_time_and_is_slow_after_a_second() {
        let mut running = row("r", Origin::Load, OrderStatus::Processing);
        running.took_us = None;
        assert_eq!(time(&running, 20_000, false), ("20 ms".into(), false));
        assert_eq!(time(&running, 1_400_000, false), ("1.40 s".into(), true));
        let over = row("m", Origin::Browser, OrderStatus::Cancelled);
        assert_eq!(time(&over, 148_000_000, true).0, "2:28 ago");
        assert_eq!(time(&over, 148_000_000, false).0, "200 ms");
    }

    #[test]
    fn the_bar_is_filled_and_shows_even_one_order_among_many() {
        let tally = OrderTally {
            window_seconds: 300,
            placed: 900,
            confirmed: 858,
            cancelled: 39,
            running: 3,
        };
        let [confirmed, cancelled, running] = tally_bar(&tally, 272.0);
        assert!((confirmed + cancelled + running - 272.0).abs() < 1e-9);
        assert!((running - 2.0).abs() < 1e-9 && confirmed > 250.0);
        assert_eq!(tally_bar(&OrderTally::default(), 272.0), [0.0; 3]);
        assert!((placed_per_second(&tally) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_stuck_compensation_is_red_and_an_undone_order_violet() {
        let mut stuck = row("s", Origin::Load, OrderStatus::Cancelled);
        stuck.steps[0] = StepMark::Stuck;
        assert_eq!(tone(&stuck), Tone::Error);
        assert_eq!(tone(&feed()[1]), Tone::Comp);
        assert_eq!(tone(&feed()[0]), Tone::Neutral);
    }
}
