//! What leaves the store last, and that it does not push out everything.

use super::*;

#[test]
fn traces_of_orders_that_were_cancelled_or_that_somebody_placed_leave_after_all_others() {
    let mut world = World::bounded(StoreLimits { spans: 40, ..StoreLimits::default() });
    // Given an order of a person, one that had to be cancelled, one in which something failed,
    world.span(of_order(Given::new(1, 1, 0), "ord-1", &[(names::ORDER_ORIGIN, "browser")]));
    world.span(of_order(Given::new(2, 2, 0), "ord-2", &[(names::ORDER_STATUS, "cancelled")]));
    world.span(of_order(Given { error: true, ..Given::new(3, 3, 0) }, "ord-3", &[]));
    // and orders of the load by the hundred, one of which is cancelled later, in another trace,
    let load = [(names::ORDER_ORIGIN, "load"), (names::ORDER_STATUS, "processing")];
    world.span(of_order(Given::new(4, 4, 0), "ord-4", &load));
    world.span(of_order(Given::new(5, 5, 0), "ord-4", &[(names::ORDER_STATUS, "cancelled")]));
    for id in 100..400_u64 {
        world.span(of_order(Given::new(u128::from(id), id, 0), "ord-load", &load));
    }
    // then what somebody comes back for is there, and of the load the newest.
    for id in 1..=5 {
        assert!(world.keeps(id), "{id}");
    }
    assert!(world.keeps(399) && !world.keeps(364), "{:?}", world.store.stats());
}

#[test]
fn what_leaves_last_cannot_push_out_everything() {
    let mut world = World::bounded(StoreLimits { spans: 100, ..StoreLimits::default() });
    let mine = [(names::ORDER_ORIGIN, "api")];
    for id in 1..=300_u64 {
        world.span(of_order(Given::new(u128::from(id), id, 0), "ord-mine", &mine));
    }
    for id in 301..=600_u64 {
        world.span(Given { error: true, ..of_order(Given::new(id.into(), id, 0), "ord-x", &[]) });
    }
    for id in 601..=900_u64 {
        world.span(Given { took_ms: 1_001, ..Given::new(u128::from(id), id, 0) });
    }
    for id in 901..=1_000_u64 {
        world.span(Given::new(u128::from(id), id, 0));
    }
    let kept = |range: std::ops::RangeInclusive<u128>| range.filter(|id| world.keeps(*id)).count();
    assert_eq!([kept(1..=300), kept(301..=600), kept(601..=900), kept(901..=1_000)], [25; 4]);
    // Of each it is the oldest that left.
    assert_eq!([kept(276..=300), kept(576..=600), kept(876..=900), kept(976..=1_000)], [25; 4]);
}

#[test]
fn looking_at_an_order_again_and_again_does_not_push_out_what_happened_to_it() {
    let mut world = World::bounded(StoreLimits { spans: 40, ..StoreLimits::default() });
    world.span(of_order(Given::new(1, 1, 0), "ord-1", &[(names::ORDER_ORIGIN, "api")]));
    for id in 100..400_u64 {
        let look = Given::new(u128::from(id), id, 0);
        world.span(look.with(KeyValue::new(names::ORDER_ID, "ord-1")));
    }
    assert!(world.keeps(1) && !world.keeps(300));
}

#[test]
fn lines_of_orders_that_are_come_back_for_leave_last_and_an_order_knows_until_when_its_left() {
    let mut world = World::bounded(StoreLimits { logs: 40, ..StoreLimits::default() });
    // Given an order of a person and one of the load that is cancelled after its first line left,
    world.span(of_order(Given::new(1, 1, 0), "ord-mine", &[(names::ORDER_ORIGIN, "browser")]));
    world.line(1, "ord-late");
    world.line(2, "ord-mine");
    for at_us in 3..50 {
        world.line(at_us, "ord-load");
    }
    let cancelled = [(names::ORDER_STATUS, "cancelled")];
    world.span(of_order(Given::new(2, 2, 0), "ord-late", &cancelled));
    world.line(50, "ord-late");
    for at_us in 51..500 {
        world.line(at_us, "ord-load");
    }
    // then each has what was not gone when it turned out to be come back for,
    assert_eq!((world.times("ord-mine"), world.times("ord-late")), (vec![2], vec![50]));
    assert_eq!(world.times("ord-load"), (462..500).collect::<Vec<_>>());
    // and says until when lines of it may have left.
    let left = |order| world.store.lines_left_until_us(order);
    assert_eq!((left("ord-mine"), left("ord-late"), left("ord-load")), (0, 10, 461));
    assert_eq!((world.store.stats().logs, world.store.stats().evicted_logs), (40, 459));
}

#[test]
fn lines_that_leave_last_take_a_share_and_no_more() {
    let mut world = World::bounded(StoreLimits { logs: 100, ..StoreLimits::default() });
    world.span(of_order(Given::new(1, 1, 0), "ord-mine", &[(names::ORDER_ORIGIN, "browser")]));
    for at_us in 0..300 {
        world.line(at_us, "ord-mine");
    }
    for at_us in 300..600 {
        world.line(at_us, "ord-load");
    }
    assert_eq!(world.times("ord-mine"), (275..300).collect::<Vec<_>>());
    assert_eq!(world.times("ord-load").len(), 75);
    assert_eq!(world.store.lines_left_until_us("ord-mine"), 274);
}
