//! What a reservation does to the shelves: pure.
//!
//! Invariant: available + reserved + sold = delivered, for each product, always.

use super::{NotReserved, Released, Reserved};
use crate::bus;
use messaging::NewMessage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One product's pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Which product.
    pub product_id: String,
    /// On the shelf.
    pub available: i64,
    /// Held for orders.
    pub reserved: i64,
    /// Gone to customers.
    pub sold: i64,
    /// Came from suppliers altogether.
    pub delivered: i64,
}

/// State of an order's reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// Pieces are held.
    Held,
    /// They are back on the shelf.
    Released,
    /// They are gone.
    Sold,
}

/// An order's reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// `rsv-…`.
    pub reservation_id: String,
    /// Product and quantity.
    pub lines: Vec<(String, u32)>,
    /// Its state.
    pub held: Held,
}

/// What inventory is asked about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Hold these.
    Reserve(Vec<(String, u32)>),
    /// Put them back.
    Release,
    /// They left the house.
    Sell,
}

/// What to record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShelfChange {
    /// Levels that changed, as they are now.
    pub levels: Vec<Level>,
    /// The reservation as it is now, if it changed.
    pub reservation: Option<Reservation>,
    /// The answer, if one is due.
    pub answer: Option<NewMessage>,
}

/// What was asked cannot be: a reservation that is in another state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reservation of {order_id} is {held:?}")]
pub struct Refused {
    /// Whose.
    pub order_id: String,
    /// Its state.
    pub held: Option<Held>,
}

/// Decides what an order's message does to the shelves.
///
/// `levels` holds every product of the lines that exists. A command is answered; an announcement
/// (`order.shipped`) is not.
#[must_use]
pub fn decide(
    order_id: &str,
    asked: &Asked,
    levels: &[Level],
    reservation: Option<&Reservation>,
) -> ShelfChange {
    match (asked, reservation) {
        (Asked::Reserve(lines), None) => reserve(order_id, lines, levels),
        (Asked::Release, Some(r)) if r.held == Held::Held => {
            let levels = moved(levels, &r.lines, |level, n| {
                level.reserved -= n;
                level.available += n;
            });
            ShelfChange { levels, ..settled(order_id, r, Held::Released) }
        }
        (Asked::Sell, Some(r)) if r.held == Held::Held => {
            let levels = moved(levels, &r.lines, |level, n| {
                level.reserved -= n;
                level.sold += n;
            });
            ShelfChange { levels, answer: None, ..settled(order_id, r, Held::Sold) }
        }
        // Asked again under another message id: the state stays, the answer is repeated.
        (Asked::Reserve(_), Some(r)) => ShelfChange { answer: Some(yes(order_id, r)), ..nothing() },
        (Asked::Release, Some(r)) => {
            let answer = Some(released(
                order_id,
                if r.held == Held::Released { units(&r.lines) } else { 0 },
            ));
            ShelfChange { answer, ..nothing() }
        }
        (Asked::Release, None) => ShelfChange { answer: Some(released(order_id, 0)), ..nothing() },
        (Asked::Sell, _) => nothing(),
    }
}

fn nothing() -> ShelfChange {
    ShelfChange::default()
}

fn reserve(order_id: &str, lines: &[(String, u32)], levels: &[Level]) -> ShelfChange {
    let by_id: BTreeMap<&str, &Level> = levels.iter().map(|l| (l.product_id.as_str(), l)).collect();
    let missing = lines.iter().find_map(|(id, quantity)| {
        let available = by_id.get(id.as_str()).map_or(0, |level| level.available);
        (available < i64::from(*quantity))
            .then(|| format!("{id}: {available} of {quantity} available"))
    });
    if let Some(reason) = missing {
        let no = NotReserved { reason };
        let answer = NewMessage::new(bus::INVENTORY_REFUSED, order_id, "reserve", &no);
        return ShelfChange { answer: Some(answer), ..nothing() };
    }
    let levels = moved(levels, lines, |level, n| {
        level.available -= n;
        level.reserved += n;
    });
    let reservation = Reservation {
        reservation_id: order_id.replacen("ord-", "rsv-", 1),
        lines: lines.to_vec(),
        held: Held::Held,
    };
    let answer = Some(yes(order_id, &reservation));
    ShelfChange { levels, reservation: Some(reservation), answer }
}

fn yes(order_id: &str, reservation: &Reservation) -> NewMessage {
    let yes = Reserved {
        reservation_id: reservation.reservation_id.clone(),
        units: units(&reservation.lines),
    };
    NewMessage::new(bus::INVENTORY_RESERVED, order_id, "reserve", &yes)
}

fn settled(order_id: &str, reservation: &Reservation, held: Held) -> ShelfChange {
    let answer = Some(released(order_id, units(&reservation.lines)));
    let reservation = Some(Reservation { held, ..reservation.clone() });
    ShelfChange { levels: Vec::new(), reservation, answer }
}

fn released(order_id: &str, units: u64) -> NewMessage {
    NewMessage::new(bus::INVENTORY_RELEASED, order_id, "release", &Released { units })
}

fn units(lines: &[(String, u32)]) -> u64 {
    lines.iter().map(|(_, quantity)| u64::from(*quantity)).sum()
}

fn moved(levels: &[Level], lines: &[(String, u32)], how: impl Fn(&mut Level, i64)) -> Vec<Level> {
    let mut changed = Vec::new();
    for (id, quantity) in lines {
        if let Some(level) = levels.iter().find(|level| level.product_id == *id) {
            let mut level = level.clone();
            how(&mut level, i64::from(*quantity));
            changed.push(level);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(available: i64, reserved: i64) -> Level {
        let product_id = "p-1".into();
        Level { product_id, available, reserved, sold: 0, delivered: available + reserved }
    }

    fn lines(quantity: u32) -> Vec<(String, u32)> {
        vec![("p-1".into(), quantity)]
    }

    fn held(held: Held) -> Reservation {
        Reservation { reservation_id: "rsv-1".into(), lines: lines(2), held }
    }

    fn topic(change: &ShelfChange) -> Option<&'static str> {
        change.answer.as_ref().map(|m| m.topic)
    }

    #[test]
    fn pieces_move_and_never_come_or_go() {
        let reserved = decide("ord-1", &Asked::Reserve(lines(2)), &[level(5, 0)], None);
        assert_eq!(reserved.levels, [Level { delivered: 5, ..level(3, 2) }]);
        assert_eq!(topic(&reserved), Some(bus::INVENTORY_RESERVED));
        let r = held(Held::Held);
        let released = decide("ord-1", &Asked::Release, &[level(3, 2)], Some(&r));
        assert_eq!(released.levels, [level(5, 0)]);
        let sold = decide("ord-1", &Asked::Sell, &[level(3, 2)], Some(&r));
        assert_eq!(sold.levels, [Level { sold: 2, delivered: 5, ..level(3, 0) }]);
        assert_eq!(topic(&sold), None);
    }

    #[test]
    fn what_is_not_there_is_refused_whole() {
        let asked = Asked::Reserve(vec![("p-1".into(), 1), ("p-2".into(), 1)]);
        let change = decide("ord-1", &asked, &[level(5, 0)], None);
        assert_eq!(topic(&change), Some(bus::INVENTORY_REFUSED));
        assert!(change.levels.is_empty() && change.reservation.is_none());
    }

    #[test]
    fn asking_again_moves_nothing_and_is_answered_again() {
        for state in [Held::Held, Held::Released, Held::Sold] {
            let again =
                decide("ord-1", &Asked::Reserve(lines(2)), &[level(3, 2)], Some(&held(state)));
            assert!(again.levels.is_empty());
            assert_eq!(topic(&again), Some(bus::INVENTORY_RESERVED));
        }
        let again = decide("ord-1", &Asked::Release, &[level(5, 0)], Some(&held(Held::Released)));
        assert!(again.levels.is_empty());
        assert_eq!(topic(&again), Some(bus::INVENTORY_RELEASED));
    }
}
