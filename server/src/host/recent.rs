//! The part of a page of orders that was placed within a time range.

use contract::order::OrderPage;

/// What of a page was placed since. The newest come first, so nothing after an older one is newer.
pub(super) fn placed_since(mut page: OrderPage, since_us: i64) -> OrderPage {
    let before = page.orders.len();
    page.orders.retain(|row| row.placed_at_us >= since_us);
    if page.orders.len() < before {
        page.next = None;
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{OrderRow, OrderStatus, Origin, StepMark},
    };

    fn page(placed: &[i64]) -> OrderPage {
        let row = |at_us: &i64| OrderRow {
            order_id: format!("ord-{at_us}"),
            user_id: "c-1001".into(),
            status: OrderStatus::Confirmed,
            steps: [StepMark::Done; 3],
            phase: "Confirmed".into(),
            total: Money::eur(100),
            placed_at_us: *at_us,
            took_us: Some(1),
            version: 1,
            origin: Origin::Browser,
        };
        OrderPage { orders: placed.iter().map(row).collect(), next: Some("older".into()) }
    }

    #[test]
    fn older_orders_are_left_out_and_end_the_list() {
        let kept = placed_since(page(&[30, 20, 10]), 20);
        let times: Vec<i64> = kept.orders.iter().map(|row| row.placed_at_us).collect();
        assert_eq!((times.as_slice(), kept.next), ([30, 20].as_slice(), None));
        let whole = placed_since(page(&[30, 20]), 20);
        assert_eq!((whole.orders.len(), whole.next.as_deref()), (2, Some("older")));
    }
}
