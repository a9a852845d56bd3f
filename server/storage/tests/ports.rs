//! What the shop relies on when it uses its ports, shown on real databases.

#![expect(clippy::unwrap_used, reason = "without its world a test can only stop")]

use base::{Clock, TraceContext};
use contract::{Money, order::Origin};
use shop::orders::{
    Attempt, Changed, NewOrder, OrderEvent,
    decide::{self, Input, OrderRecord},
};
use storage::{Durability, Stores};

struct World {
    stores: Stores,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    World { stores, _folder: folder }
}

fn new_order(order_id: &str) -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let placed = OrderEvent::OrderPlaced { user_id, lines: vec![], total, origin: Origin::Api };
    let record = OrderRecord { order_id: order_id.into(), ..OrderRecord::default() };
    NewOrder {
        order_id: order_id.into(),
        correlation_id: "cor-1".into(),
        trace: TraceContext::default(),
        key: None,
        change: decide::decide(&record, Input::Place(placed)).unwrap(),
    }
}

#[tokio::test]
async fn a_message_for_an_unknown_order_is_refused_every_time_and_taken_when_it_is_known() {
    let World { stores, _folder } = world().await;
    let reserved = || Attempt {
        order_id: "ord-1".into(),
        message_id: Some("inventory.reserved:ord-1:reserve".into()),
        expected: None,
        trace: TraceContext::default(),
        decide: Box::new(|record| {
            let event = OrderEvent::StockReserved { reservation_id: "rsv-1".into(), units: 1 };
            decide::decide(record, Input::Done(decide::RESERVE, event))
        }),
    };
    for _ in 0..2 {
        assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::NoOrder);
    }
    stores.orders.place(new_order("ord-1")).await.unwrap();
    assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::Now(3));
    assert_eq!(stores.orders.change(reserved()).await.unwrap(), Changed::Before);
}
