//! The load generator: browses and orders through the mesh like a crowd of customers, and keeps
//! the demo going: suppliers deliver, wallets are filled (but one).
//!
//! Open loop: requests begin at their time whether or not earlier ones have ended, as visitors do.

use crate::{
    bank::{Accounts, Deposit},
    gateway::ORIGIN,
    inventory::{Delivery, Shelves},
    seed::POOR_USER,
};
use base::{IdSource, Supervisor};
use contract::{
    order::{OrderPage, OrderStatus},
    service::{BANK_CUSTOMER, GATEWAY, INVENTORY},
    shop::{BasketLine, LOAD_MAX_PER_SECOND, LoadView, PlaceOrder, PlacedOrder},
};
use mesh::Caller;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Requests under way; what would begin beyond it is skipped and counted.
const IN_FLIGHT_MAX: usize = 512;
/// How often shelves and wallets are looked at.
const SUPPLY_EVERY: Duration = Duration::from_secs(5);
/// A shelf with less than this is filled up.
const SHELF_LOW: i64 = 100;
/// What a supplier brings.
const SHELF_FILL: u32 = 400;
/// A wallet with less than this part of its opening balance is filled up to that again.
const WALLET_LOW: i64 = 4;

/// What a visitor does, in parts of a hundred.
const PLACE_SHARE: u64 = 22;
const PRODUCT_SHARE: u64 = 34;
const LIST_SHARE: u64 = 20;
const USER_SHARE: u64 = 18;
const SHIP_SHARE: u64 = 4;

/// Drives the shop. Cheap to clone.
#[derive(Clone)]
pub struct LoadGenerator {
    caller: Caller,
    ids: IdSource,
    rate: watch::Sender<f64>,
    in_flight: Arc<AtomicUsize>,
    skipped: Arc<AtomicU64>,
}

/// A rate that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("The load must be 0 to {LOAD_MAX_PER_SECOND} requests a second.")]
pub struct RateError;

impl LoadGenerator {
    /// At rest; [`Self::set`] begins.
    #[must_use]
    pub fn new(caller: Caller, ids: IdSource) -> Self {
        let (rate, _) = watch::channel(0.0);
        Self { caller, ids, rate, in_flight: Arc::default(), skipped: Arc::default() }
    }

    /// Sets the rate, requests per second.
    ///
    /// # Errors
    /// When it is no number of the range.
    pub fn set(&self, per_second: f64) -> Result<LoadView, RateError> {
        if !(0.0..=LOAD_MAX_PER_SECOND).contains(&per_second) {
            return Err(RateError);
        }
        self.rate.send_replace(per_second);
        Ok(self.view())
    }

    /// The rate as it is set.
    #[must_use]
    pub fn view(&self) -> LoadView {
        LoadView { per_second: *self.rate.borrow(), max_per_second: LOAD_MAX_PER_SECOND }
    }

    /// Fires when the rate is set.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<f64> {
        self.rate.subscribe()
    }

    /// Requests not begun because too many were under way.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Begins requests at their times until `stop` fires.
    pub async fn run(self, supervisor: Supervisor, stop: CancellationToken) {
        let mut rate = self.rate.subscribe();
        let mut next = Instant::now();
        loop {
            let per_second = *rate.borrow_and_update();
            let due = async {
                if per_second > 0.0 {
                    tokio::time::sleep_until(next).await;
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // A sender lives in `self`.
                _ = rate.changed() => next = Instant::now() + self.gap(*rate.borrow()),
                () = due => {
                    // Times missed by more than a second are not made up for.
                    let second = Duration::from_secs(1);
                    let earliest = Instant::now().checked_sub(second).unwrap_or(next);
                    next = next.max(earliest) + self.gap(per_second);
                    self.begin(&supervisor);
                }
            }
        }
    }

    /// Time to the next request: exponential, as independent visitors come (a Poisson process).
    fn gap(&self, per_second: f64) -> Duration {
        if per_second <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((-(1.0 - self.ids.unit()).ln() / per_second).min(60.0))
    }

    fn begin(&self, supervisor: &Supervisor) {
        if self.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MAX {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let this = self.clone();
        let stop = supervisor.stopping();
        supervisor.detach_as("load-request", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = this.visit() => {}
            }
            this.in_flight.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// One visitor's request. What it comes to shows on the pages; nobody else is told.
    async fn visit(&self) {
        let mut dice = self.ids.below(100);
        let mut falls = |share: u64| {
            let hit = dice < share;
            dice = dice.wrapping_sub(share);
            hit
        };
        if falls(PLACE_SHARE) {
            self.place().await;
        } else if falls(PRODUCT_SHARE) {
            self.look(&format!("/api/v1/products/{}", self.product()), "/api/v1/products/{id}")
                .await;
        } else if falls(LIST_SHARE) {
            self.look("/api/v1/products", "/api/v1/products").await;
        } else if falls(USER_SHARE) {
            self.look(&format!("/api/v1/users/{}", self.user()), "/api/v1/users/{id}").await;
        } else if falls(SHIP_SHARE) {
            self.follow_up("ship").await;
        } else {
            self.follow_up("cancel").await;
        }
    }

    async fn look(&self, path: &str, route: &str) {
        let _ = self.caller.get(GATEWAY, path).route(route).send().await;
    }

    async fn place(&self) {
        let lines = 1 + self.ids.below(3);
        let mut items: Vec<BasketLine> = Vec::new();
        for _ in 0..lines {
            let product_id = self.product();
            if items.iter().all(|line| line.product_id != product_id) {
                let quantity = 1 + u32::try_from(self.ids.below(2)).unwrap_or(0);
                items.push(BasketLine { product_id, quantity });
            }
        }
        let order = PlaceOrder { user_id: self.user(), items };
        let _ = self
            .caller
            .post(GATEWAY, "/api/v1/orders")
            .route("/api/v1/orders")
            .header(ORIGIN, "load")
            .header("idempotency-key", &self.ids.uuid().to_string())
            .json(&order)
            .receive::<PlacedOrder>()
            .await;
    }

    /// Ships or cancels one of the confirmed orders, not the newest.
    async fn follow_up(&self, what: &str) {
        let confirmed: Result<OrderPage, _> = self
            .caller
            .get(GATEWAY, "/api/v1/orders?status=confirmed&limit=20")
            .route("/api/v1/orders")
            .receive()
            .await;
        let Ok(OrderPage { orders, .. }) = confirmed else {
            return;
        };
        let pick = usize::try_from(self.ids.below(orders.len() as u64)).unwrap_or(0);
        let Some(order) = orders.get(pick).filter(|o| o.status == OrderStatus::Confirmed) else {
            return;
        };
        let _ = self
            .caller
            .post(GATEWAY, format!("/api/v1/orders/{}/{what}", order.order_id))
            .route(&format!("/api/v1/orders/{{id}}/{what}"))
            .order(&order.order_id)
            .header(ORIGIN, "load")
            .send()
            .await;
    }

    fn product(&self) -> String {
        self.pick(
            crate::seed::products().into_iter().map(|(product, _)| product.product_id).collect(),
        )
    }

    fn user(&self) -> String {
        self.pick(crate::seed::users().into_iter().map(|(user, _)| user.user_id).collect())
    }

    fn pick(&self, mut from: Vec<String>) -> String {
        let index = usize::try_from(self.ids.below(from.len() as u64)).unwrap_or(0);
        from.swap_remove(index)
    }

    /// Fills shelves and wallets that run low, while there is load, until `stop` fires.
    pub async fn supply(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SUPPLY_EVERY) => {}
            }
            if *self.rate.borrow() > 0.0 {
                self.fill_shelves().await;
                self.fill_wallets().await;
            }
        }
    }

    async fn fill_shelves(&self) {
        let shelves = self.caller.get(INVENTORY, "/stock").route("/stock");
        let Ok(Shelves { levels }) = shelves.receive().await else {
            return;
        };
        for level in levels.into_iter().filter(|level| level.available < SHELF_LOW) {
            let path = format!("/stock/{}/deliveries", level.product_id);
            let delivery = Delivery { quantity: SHELF_FILL };
            let post = self.caller.post(INVENTORY, path).route("/stock/{id}/deliveries");
            let _ = post.json(&delivery).send().await;
        }
    }

    async fn fill_wallets(&self) {
        let accounts = self.caller.get(BANK_CUSTOMER, "/accounts").route("/accounts");
        let Ok(Accounts { accounts, .. }) = accounts.receive().await else {
            return;
        };
        for account in accounts {
            let Some(minor) = paid_in(&account.account_id, account.balance) else {
                continue;
            };
            let path = format!("/accounts/{}/deposits", account.account_id);
            let post = self.caller.post(BANK_CUSTOMER, path).route("/accounts/{id}/deposits");
            let _ = post.json(&Deposit { minor }).send().await;
        }
    }
}

/// What is paid into a customer's wallet that runs low, minor units. A small wallet stays small;
/// [`POOR_USER`]'s and accounts that are no customer's get nothing.
fn paid_in(account_id: &str, balance: i64) -> Option<i64> {
    let (_, opening) = crate::seed::users()
        .into_iter()
        .find(|(user, _)| user.user_id == account_id && user.user_id != POOR_USER)?;
    (balance < opening / WALLET_LOW).then(|| opening - balance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::{CLEARING, EXTERNAL};

    #[test]
    fn a_wallet_that_runs_low_is_filled_up_to_what_it_opened_with() {
        for (user, opening) in crate::seed::users() {
            let id = user.user_id.as_str();
            assert_eq!(paid_in(id, opening), None, "{id} was just opened");
            assert_eq!(paid_in(id, opening / WALLET_LOW), None, "{id} is not low yet");
            let filled = (id != POOR_USER).then_some(opening - 1);
            assert_eq!(paid_in(id, 1), filled, "{id} is low");
        }
        assert_eq!(paid_in(CLEARING, -1), None);
        assert_eq!(paid_in(EXTERNAL, -1), None);
    }
}
