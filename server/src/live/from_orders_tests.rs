//! What the feed reads from orders.

use super::*;
use crate::{
    control::Control,
    instances::{BASELINE, known},
    shop::Shop,
};
use base::{Clock, IdSource, Supervisor, TraceContext};
use contract::{Money, order::Origin, shop::PaymentMethod};
use shop::orders::{
    NewOrder, OrderEvent,
    decide::{self, Input, OrderRecord},
};
use storage::Durability;
use telemetry::TelemetryConfig;

fn new_order(number: usize) -> NewOrder {
    let (user_id, total) = ("c-1001".into(), Money::eur(1_850));
    let (lines, origin, payment_method) = (vec![], Origin::Api, PaymentMethod::Wallet);
    let placed = OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method };
    let order_id = format!("ord-{number}");
    let record = OrderRecord { order_id: order_id.clone(), ..OrderRecord::default() };
    let change = decide::decide(&record, Input::Place(placed)).unwrap();
    let (correlation_id, trace) = ("cor-1".into(), TraceContext::default());
    NewOrder { order_id, correlation_id, trace, key: None, change }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_orders_are_shown_before_the_tally_has_counted_as_many_pages_as_there_are() {
    // More than the feed shows: what is beyond is known from the pages alone.
    const ORDERS: usize = FEED_ROWS_MAX + 7;
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    for number in 0..ORDERS {
        stores.orders.place(new_order(number)).await.unwrap();
    }
    while !stores.orders.project(ORDERS).await.unwrap().is_empty() {}
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(1);
    let shop = Shop::assemble(stores, &supervisor, clock.clone(), ids).await.unwrap();
    let (mesh, log) = (shop.mesh.clone(), shop.stores.revisions.clone());
    let known = known(&mesh);
    let control = Control::open(mesh, clock, known, log, BASELINE, &supervisor).await.unwrap();
    let (telemetry, _, _) = Telemetry::detached(TelemetryConfig::default()).unwrap();
    let live = Live::new(shop, telemetry, control, "run");

    let mut frames = live.frames.subscribe();

    live.read_rows(20).await.unwrap();

    let mut told = Vec::new();
    while let Ok(sent) = frames.try_recv() {
        let frame: LiveFrame = serde_json::from_str(&sent.json).unwrap();
        if let LiveBody::Orders { rows, tally } = frame.body {
            told.push((rows.len(), tally.placed));
        }
    }
    let newest = (FEED_ROWS_MAX, FEED_ROWS_MAX as u64);
    assert_eq!(told, [newest, (0, ORDERS as u64)], "rows and the tally with each frame");
    let (told, _) = live.measured();
    assert_eq!((told.tally.placed, told.tally.running), (ORDERS as u64, ORDERS as u64));
    assert_eq!(told.orders.len(), FEED_ROWS_MAX);
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}
