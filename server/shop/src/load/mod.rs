//! The load generator: browses and orders through the mesh like a crowd of customers, and keeps
//! the demo going: suppliers deliver, wallets are filled (but one).
//!
//! Open loop: requests begin at their time whether or not earlier ones have ended, as visitors do.

mod customers;

use crate::{
    bank::{Accounts, Deposit},
    gateway::ORIGIN,
    inventory::{Delivery, Shelves},
    key::IDEMPOTENCY_KEY,
    seed::{products, users},
};
use base::{IdSource, Supervisor};
use contract::{
    order::{OrderPage, OrderStatus},
    service::{BANK_CUSTOMER, GATEWAY, INVENTORY},
    shop::{
        LOAD_MAX_PER_SECOND, LoadChange, LoadShape, LoadView, PaymentMethod, PlaceOrder,
        PlacedOrder,
    },
};
use customers::{any_of, basket, one_of, paid_in, who};
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

/// What those do who order: place one, ship one, cancel one. Parts of their sum.
const ORDERING: [u64; 3] = [44, 8, 2];
/// What those do who look around: one product, all products, a customer. Parts of their sum.
const BROWSING: [u64; 3] = [34, 20, 18];
/// Of a hundred orders so many are paid by card.
const CARD_PERCENT: u64 = 10;
/// A ramp reaches the rate after this.
const RAMP: Duration = Duration::from_secs(60);
/// How often a spike comes.
const SPIKE_EVERY: Duration = Duration::from_secs(60);
/// When in that time it begins, and how long it is.
const SPIKE_AFTER: Duration = Duration::from_secs(10);
/// See [`SPIKE_AFTER`].
const SPIKE: Duration = Duration::from_secs(10);
/// Between spikes the load is this part of the rate.
const SPIKE_BASE: f64 = 0.25;

/// Drives the shop. Cheap to clone.
#[derive(Clone)]
pub struct LoadGenerator {
    caller: Caller,
    ids: IdSource,
    setting: watch::Sender<Setting>,
    in_flight: Arc<AtomicUsize>,
    skipped: Arc<AtomicU64>,
}

/// What the generator does, and since when.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Rate, shape and mix.
    pub view: LoadView,
    since: Instant,
}

/// A load that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The rate is out of its range.
    #[error("The load must be 0 to {LOAD_MAX_PER_SECOND} requests a second.")]
    Rate,
    /// The share of orders is no share.
    #[error("The share of orders must be 0 to 100 percent.")]
    Mix,
}

impl LoadError {
    /// The field of [`LoadChange`] it is about.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Rate => "per_second",
            Self::Mix => "orders_percent",
        }
    }
}

/// The part of the rate that comes so long after it was set.
fn level(shape: LoadShape, elapsed: Duration) -> f64 {
    match shape {
        LoadShape::Steady => 1.0,
        LoadShape::Ramp => (elapsed.as_secs_f64() / RAMP.as_secs_f64()).min(1.0),
        LoadShape::Spike => {
            let second =
                elapsed.as_secs_f64() % SPIKE_EVERY.as_secs_f64() - SPIKE_AFTER.as_secs_f64();
            if (0.0..SPIKE.as_secs_f64()).contains(&second) { 1.0 } else { SPIKE_BASE }
        }
    }
}

/// A request under way, counted until it ends in whatever way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LoadGenerator {
    /// At rest; [`Self::set`] begins.
    #[must_use]
    pub fn new(caller: Caller, ids: IdSource) -> Self {
        let (setting, _) =
            watch::channel(Setting { view: LoadView::steady(0.0), since: Instant::now() });
        Self { caller, ids, setting, in_flight: Arc::default(), skipped: Arc::default() }
    }

    /// Sets the rate, and shape and mix if they are named.
    ///
    /// # Errors
    /// When one of them is out of its range.
    pub fn set(&self, load: LoadChange) -> Result<LoadView, LoadError> {
        if !(0.0..=LOAD_MAX_PER_SECOND).contains(&load.per_second) {
            return Err(LoadError::Rate);
        }
        if load.orders_percent.is_some_and(|percent| percent > 100) {
            return Err(LoadError::Mix);
        }
        self.setting.send_modify(|setting| {
            let view = &mut setting.view;
            view.per_second = load.per_second;
            view.shape = load.shape.unwrap_or(view.shape);
            view.orders_percent = load.orders_percent.unwrap_or(view.orders_percent);
            setting.since = Instant::now();
        });
        Ok(self.view())
    }

    /// The load as it is set.
    #[must_use]
    pub fn view(&self) -> LoadView {
        self.setting.borrow().view
    }

    /// Fires when the load is set.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Setting> {
        self.setting.subscribe()
    }

    /// Requests not begun because too many were under way.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Begins requests at their times until `stop` fires.
    pub async fn run(self, supervisor: Supervisor, stop: CancellationToken) {
        let mut setting = self.setting.subscribe();
        let mut next = Instant::now();
        loop {
            let Setting { view: LoadView { per_second, shape, .. }, since } =
                *setting.borrow_and_update();
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
                _ = setting.changed() => {
                    next = Instant::now() + self.gap(setting.borrow().view.per_second);
                }
                () = due => {
                    // Times missed by more than a second are not made up for.
                    let second = Duration::from_secs(1);
                    let earliest = Instant::now().checked_sub(second).unwrap_or(next);
                    next = next.max(earliest) + self.gap(per_second);
                    // Visitors come at the full rate, and of those so many go on in as the shape
                    // says: thinning makes any rate over time of a steady one.
                    let level = level(shape, since.elapsed());
                    if level >= 1.0 || self.ids.unit() < level {
                        self.begin(&supervisor);
                    }
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
        // A visitor's whims are its own: how long the others wait for their answers, and how many
        // are under way, changes nothing of what this one does.
        let this = Self { ids: self.ids.fork(), ..self.clone() };
        if self.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MAX {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let under_way = UnderWay::of(&self.in_flight);
        let stop = supervisor.stopping();
        supervisor.detach_as("load-request", async move {
            let _under_way = under_way;
            tokio::select! {
                () = stop.cancelled() => {}
                () = this.visit() => {}
            }
        });
    }

    /// One visitor's request. What it comes to shows on the pages; nobody else is told.
    async fn visit(&self) {
        let orders = u64::from(self.view().orders_percent);
        if self.ids.below(100) < orders {
            match one_of(&self.ids, &ORDERING) {
                0 => self.place().await,
                1 => self.follow_up("ship").await,
                _ => self.follow_up("cancel").await,
            }
            return;
        }
        let (path, route) = match one_of(&self.ids, &BROWSING) {
            0 => (format!("/api/v1/products/{}", self.product()), "/api/v1/products/{id}"),
            1 => ("/api/v1/products".to_owned(), "/api/v1/products"),
            _ => (format!("/api/v1/users/{}", self.user()), "/api/v1/users/{id}"),
        };
        self.look(&path, route).await;
    }

    async fn look(&self, path: &str, route: &str) {
        let _ = self.caller.get(GATEWAY, path).route(route).send().await;
    }

    async fn place(&self) {
        let user_id = who(&self.ids).to_owned();
        let items = basket(&self.ids, &user_id);
        let by_card = self.ids.below(100) < CARD_PERCENT;
        let payment_method = if by_card { PaymentMethod::Card } else { PaymentMethod::Wallet };
        let order = PlaceOrder { user_id, items, payment_method };
        let _ = self
            .caller
            .post(GATEWAY, "/api/v1/orders")
            .route("/api/v1/orders")
            .header(ORIGIN, "load")
            .header(IDEMPOTENCY_KEY, &self.ids.unique())
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
            .header(IDEMPOTENCY_KEY, &self.ids.unique())
            .send()
            .await;
    }

    fn product(&self) -> String {
        any_of(&self.ids, products()).0.product_id
    }

    fn user(&self) -> String {
        any_of(&self.ids, users()).0.user_id
    }

    /// Fills shelves and wallets that run low, while there is load, until `stop` fires.
    pub async fn supply(self, stop: CancellationToken) {
        let sweeps = async {
            loop {
                tokio::time::sleep(SUPPLY_EVERY).await;
                if self.view().per_second > 0.0 {
                    self.fill_shelves().await;
                    self.fill_wallets().await;
                }
            }
        };
        // A stop does not wait for services that answer slowly: nothing here is owed to anybody.
        tokio::select! {
            () = stop.cancelled() => {}
            () = sweeps => {}
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
            let post = post.header(IDEMPOTENCY_KEY, &self.ids.unique());
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
            let post = post.header(IDEMPOTENCY_KEY, &self.ids.unique());
            let _ = post.json(&Deposit { minor }).send().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};
    use base::Clock;
    use contract::service::LOAD;
    use http::StatusCode;
    use mesh::{BreakerParams, Mesh};
    use std::sync::Mutex;

    /// What a gateway that answers everything was asked in a minute of this load.
    async fn minute(load: LoadChange) -> Vec<(u64, String)> {
        let mesh = Mesh::new(Clock::tokio(0), BreakerParams::default());
        let seen: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
        let (began, log) = (Instant::now(), seen.clone());
        let gateway = Router::new().fallback(move |request: axum::extract::Request| async move {
            let asked = format!("{} {}", request.method(), request.uri().path());
            log.lock().unwrap().push((began.elapsed().as_secs(), asked));
            axum::Json(serde_json::json!({ "orders": [], "next": null }))
        });
        mesh.register(GATEWAY, gateway);
        let generator = LoadGenerator::new(mesh.caller(LOAD), IdSource::seeded(7));
        generator.set(load).unwrap();
        let (supervisor, _ends) = Supervisor::new();
        let run = generator.run(supervisor.clone(), supervisor.stopping());
        let _ = tokio::time::timeout(Duration::from_secs(60), run).await;
        supervisor.shutdown(Duration::from_secs(1)).await;
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    fn between(seen: &[(u64, String)], seconds: std::ops::Range<u64>) -> usize {
        seen.iter().filter(|(second, _)| seconds.contains(second)).count()
    }

    #[tokio::test]
    async fn a_request_that_panics_is_not_under_way_for_ever() {
        let count = Arc::new(AtomicUsize::new(0));
        let (supervisor, mut ends) = Supervisor::new();
        let under_way = UnderWay::of(&count);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let doomed = supervisor.detach_as("load-request", async move {
            let _under_way = under_way;
            panic!("on purpose")
        });
        assert!(doomed.await.is_err_and(|error: tokio::task::JoinError| error.is_panic()));
        assert_eq!((count.load(Ordering::Relaxed), ends.try_recv().is_ok()), (0, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_comes_in_its_shape() {
        let shaped = |shape| LoadChange { shape: Some(shape), ..LoadChange::rate(100.0) };
        let steady = minute(shaped(LoadShape::Steady)).await;
        assert!((5_600..6_400).contains(&steady.len()), "{}", steady.len());
        let ramp = minute(shaped(LoadShape::Ramp)).await;
        let (first, last) = (between(&ramp, 0..10), between(&ramp, 50..60));
        assert!((40..140).contains(&first) && (800..1_050).contains(&last), "{first} {last}");
        let spike = minute(shaped(LoadShape::Spike)).await;
        let (quiet, high) = (between(&spike, 0..10), between(&spike, 10..20));
        assert!((190..310).contains(&quiet) && (880..1_120).contains(&high), "{quiet} {high}");
        assert!((190..310).contains(&between(&spike, 20..30)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_is_mixed_as_it_is_told() {
        for (percent, range) in [(0, 0..1), (100, 5_600..6_400), (50, 2_300..3_800)] {
            let mixed = LoadChange { orders_percent: Some(percent), ..LoadChange::rate(100.0) };
            let seen = minute(mixed).await;
            let orders = seen.iter().filter(|(_, asked)| asked.contains("/orders")).count();
            assert!(range.contains(&orders), "{orders} of {} at {percent}%", seen.len());
            let looked = seen.len() - orders;
            assert_eq!(looked == 0, percent == 100, "{looked}");
        }
    }

    /// What the visitors of twenty seconds ask first, at a gateway that answers as slowly as told.
    async fn first_asked(slowly: fn(u64) -> Duration) -> Vec<String> {
        let mesh = Mesh::new(Clock::tokio(0), BreakerParams::default());
        let (seen, count): (Arc<Mutex<Vec<String>>>, Arc<AtomicU64>) = Default::default();
        let log = seen.clone();
        let gateway = Router::new().fallback(move |request: axum::extract::Request| async move {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let asked = format!("{} {}", request.method(), request.uri());
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            log.lock().unwrap().push(format!("{asked} {}", String::from_utf8_lossy(&body)));
            tokio::time::sleep(slowly(number)).await;
            let row = |order: u32| {
                serde_json::json!({
                    "order_id": format!("ord-{order}"), "user_id": "c-1001", "version": 5,
                    "total": { "minor": 1, "currency": "EUR" }, "status": "confirmed",
                    "phase": "Confirmed", "steps": ["done", "done", "done"], "placed_at_us": 1,
                    "took_us": null, "origin": "load",
                })
            };
            let orders: Vec<_> = (0..20).map(row).collect();
            axum::Json(serde_json::json!({ "orders": orders, "next": null }))
        });
        mesh.register(GATEWAY, gateway);
        let generator = LoadGenerator::new(mesh.caller(LOAD), IdSource::seeded(7));
        let all = LoadChange { orders_percent: Some(60), ..LoadChange::rate(20.0) };
        generator.set(all).unwrap();
        let (supervisor, _ends) = Supervisor::new();
        let run = generator.run(supervisor.clone(), supervisor.stopping());
        let _ = tokio::time::timeout(Duration::from_secs(20), run).await;
        supervisor.shutdown(Duration::from_secs(1)).await;
        let seen = seen.lock().unwrap();
        seen.iter().filter(|asked| !asked.contains("/orders/ord-")).cloned().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_repeats_the_load_however_slowly_it_is_answered() {
        let at_once = first_asked(|_| Duration::ZERO).await;
        let slowly = first_asked(|number| Duration::from_millis(10 + number * 37 % 900)).await;
        assert!(at_once.len() > 300, "{}", at_once.len());
        assert!(at_once.iter().any(|asked| asked.contains("status=confirmed")), "nobody follows");
        let differs = at_once.iter().zip(&slowly).position(|(one, other)| one != other);
        assert_eq!(differs.map(|at| (at, &at_once[at], &slowly[at])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn every_delivery_and_every_deposit_has_a_key_of_its_own() {
        let mesh = Mesh::new(Clock::tokio(0), BreakerParams::default());
        let keys: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = keys.clone();
        let taken = move |request: axum::extract::Request| async move {
            let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
            log.lock().unwrap().push(key.unwrap_or_default().to_owned());
            StatusCode::NO_CONTENT
        };
        let level = serde_json::json!({
            "product_id": "p-1", "available": 1, "reserved": 0, "sold": 0, "delivered": 1,
        });
        let stock = move || async move { axum::Json(serde_json::json!({ "levels": [level] })) };
        let account = serde_json::json!({ "account_id": "c-1001", "balance": 1, "held": 0 });
        let accounts = move || async move {
            axum::Json(serde_json::json!({ "accounts": [account], "held": 0 }))
        };
        let inventory = Router::new().route("/stock", get(stock)).fallback(taken.clone());
        mesh.register(INVENTORY, inventory);
        let bank = Router::new().route("/accounts", get(accounts)).fallback(taken);
        mesh.register(BANK_CUSTOMER, bank);
        let generator = LoadGenerator::new(mesh.caller(LOAD), IdSource::seeded(7));
        generator.set(LoadChange::rate(1.0)).unwrap();
        let supply = generator.supply(CancellationToken::new());
        let _ = tokio::time::timeout(SUPPLY_EVERY * 5 / 2, supply).await;
        let keys = keys.lock().unwrap();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (4, 4), "two sweeps: {keys:?}");
        assert!(keys.iter().all(|key| key.len() > 30), "{keys:?}");
    }

    #[test]
    fn a_load_out_of_its_range_is_refused_and_what_is_not_named_stays() {
        let mesh = Mesh::new(Clock::system(), BreakerParams::default());
        let load = LoadGenerator::new(mesh.caller(LOAD), IdSource::seeded(7));
        for rate in [-0.1, 200.1, f64::NAN, f64::INFINITY] {
            assert_eq!(load.set(LoadChange::rate(rate)), Err(LoadError::Rate), "{rate}");
        }
        let all =
            LoadChange { per_second: 5.0, shape: Some(LoadShape::Ramp), orders_percent: Some(60) };
        load.set(all).unwrap();
        let too_many = LoadChange { orders_percent: Some(101), ..all };
        assert_eq!(load.set(too_many), Err(LoadError::Mix));
        let now = load.set(LoadChange::rate(6.0)).unwrap();
        let expected = LoadView {
            per_second: 6.0,
            shape: LoadShape::Ramp,
            orders_percent: 60,
            ..LoadView::steady(0.0)
        };
        assert_eq!(now, expected);
    }
}
