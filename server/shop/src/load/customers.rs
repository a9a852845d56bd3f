//! Who orders, and what: customers come as often as their wallets let them, and fill a basket that
//! they can pay; [`POOR_USER`] alone tries what the wallet does not hold.

use crate::seed::{POOR_USER, products, users};
use base::IdSource;
use contract::shop::BasketLine;

/// Of a hundred orders so many are the customer's. The poor one is among them, so that a refused
/// payment and its compensations are seen every few minutes, and stay the exception.
const ORDERS: [(&str, u64); 6] =
    [("c-1001", 36), ("c-1007", 24), ("c-1013", 20), ("c-1021", 12), ("c-1034", 5), (POOR_USER, 3)];
/// Different products in a basket, at most.
const LINES_MAX: u64 = 3;
/// Pieces of one product, at most.
const PIECES_MAX: u64 = 2;
/// Nothing dearer than this part of the opening balance goes into a basket, so that the fullest
/// basket, of [`LINES_MAX`] times [`PIECES_MAX`], costs three fifths of it.
const DEAREST_PART: i64 = 10;
/// A wallet with less than two thirds of its opening balance is filled up to that again: above
/// what the fullest basket costs.
const WALLET_LOW: (i64, i64) = (2, 3);

/// An index, each with its part of the sum as probability.
pub(super) fn one_of(ids: &IdSource, parts: &[u64]) -> usize {
    let mut dice = ids.below(parts.iter().sum());
    let mut hit = |&part: &u64| {
        let hit = dice < part;
        dice = dice.wrapping_sub(part);
        hit
    };
    parts.iter().position(&mut hit).unwrap_or(0)
}

/// One of several, each as likely.
pub(super) fn any_of<T>(ids: &IdSource, mut from: Vec<T>) -> T {
    let index = usize::try_from(ids.below(from.len() as u64)).unwrap_or(0);
    from.swap_remove(index)
}

/// The customer of the next order.
pub(super) fn who(ids: &IdSource) -> &'static str {
    ORDERS[one_of(ids, &ORDERS.map(|(_, part)| part))].0
}

/// What `user_id` would order: one to three products, one or two of each.
pub(super) fn basket(ids: &IdSource, user_id: &str) -> Vec<BasketLine> {
    let opening = opening(user_id).filter(|_| user_id != POOR_USER);
    let dearest = opening.map_or(i64::MAX, |opening| opening / DEAREST_PART);
    let wanted: Vec<String> = products()
        .into_iter()
        .filter(|(product, _)| product.price.minor <= dearest)
        .map(|(product, _)| product.product_id)
        .collect();
    let mut basket: Vec<BasketLine> = Vec::new();
    for _ in 0..=ids.below(LINES_MAX) {
        let product_id = any_of(ids, wanted.clone());
        if basket.iter().all(|line| line.product_id != product_id) {
            let quantity = 1 + u32::try_from(ids.below(PIECES_MAX)).unwrap_or(0);
            basket.push(BasketLine { product_id, quantity });
        }
    }
    basket
}

/// What is paid into a customer's wallet that runs low, minor units. A small wallet stays small;
/// [`POOR_USER`]'s and accounts that are no customer's get nothing.
pub(super) fn paid_in(account_id: &str, balance: i64) -> Option<i64> {
    let opening = opening(account_id).filter(|_| account_id != POOR_USER)?;
    let (part, of) = WALLET_LOW;
    (balance < opening / of * part).then(|| opening - balance)
}

/// What the wallet held when the shop opened, minor units.
fn opening(user_id: &str) -> Option<i64> {
    users().into_iter().find(|(user, _)| user.user_id == user_id).map(|(_, opening)| opening)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::{CLEARING, EXTERNAL};
    use std::collections::BTreeMap;

    fn cost(basket: &[BasketLine]) -> i64 {
        let price = |id: &str| {
            products().into_iter().find(|(p, _)| p.product_id == id).unwrap().0.price.minor
        };
        basket.iter().map(|line| price(&line.product_id) * i64::from(line.quantity)).sum()
    }

    #[test]
    fn every_customer_orders_and_the_poor_one_seldom() {
        let ids = IdSource::seeded(7);
        let mut orders: BTreeMap<&str, u32> = BTreeMap::new();
        for _ in 0..10_000 {
            *orders.entry(who(&ids)).or_default() += 1;
        }
        let known: Vec<String> = users().into_iter().map(|(user, _)| user.user_id).collect();
        assert_eq!(orders.keys().collect::<Vec<_>>(), known.iter().collect::<Vec<_>>());
        assert!((230..370).contains(&orders[POOR_USER]), "{orders:?}");
    }

    #[test]
    fn a_basket_can_be_paid_from_a_wallet_that_is_not_low_unless_it_is_the_poor_customers() {
        let ids = IdSource::seeded(7);
        for (user, opening) in users() {
            let id = user.user_id.as_str();
            let costs: Vec<i64> = (0..1_000).map(|_| cost(&basket(&ids, id))).collect();
            let least = opening / WALLET_LOW.1 * WALLET_LOW.0;
            let refused = costs.iter().filter(|&&cost| cost > least).count();
            if id == POOR_USER {
                assert!(refused > 900, "{refused} of 1,000 are too dear for {id}");
            } else {
                assert_eq!(refused, 0, "{id} cannot pay {:?}", costs.iter().max());
            }
        }
    }

    #[test]
    fn a_wallet_that_runs_low_is_filled_up_to_what_it_opened_with() {
        for (user, opening) in users() {
            let id = user.user_id.as_str();
            assert_eq!(paid_in(id, opening), None, "{id} was just opened");
            assert_eq!(paid_in(id, opening / 3 * 2), None, "{id} is not low yet");
            let filled = (id != POOR_USER).then_some(opening - 1);
            assert_eq!(paid_in(id, 1), filled, "{id} is low");
        }
        assert_eq!(paid_in(CLEARING, -1), None);
        assert_eq!(paid_in(EXTERNAL, -1), None);
    }
}
