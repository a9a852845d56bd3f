//! What orders does while its database stands still, fails, or never comes to an end.

use super::*;
use crate::store::{HasOutbox, Probe};
use async_trait::async_trait;
use axum::{body::Body, extract::Request};
use futures::FutureExt;
use http::header::RETRY_AFTER;
use mesh::{BreakerParams, Mesh};
use messaging::Outbox;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tower::ServiceExt;

/// How the database behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    /// Nothing is written or read, and nothing fails.
    StandsStill,
    /// Nothing can be read.
    Fails,
    /// There is always one more event to project.
    NeverEnds,
}

struct Broken {
    how: Database,
    projections: AtomicUsize,
    /// Fires in the third projection.
    stop: CancellationToken,
}

impl HasOutbox for Broken {
    fn outbox(&self) -> Arc<dyn Outbox> {
        unreachable!("no relay runs")
    }
}

#[async_trait]
impl Probe for Broken {
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn failed() -> StoreError {
    StoreError { service: "orders", cause: "the disk is gone".into() }
}

#[async_trait]
impl OrderStore for Broken {
    async fn place(&self, _: NewOrder) -> Result<Placed, StoreError> {
        std::future::pending().await
    }
    async fn placed(&self, _: IdempotencyKey) -> Result<Option<Placed>, StoreError> {
        Ok(None)
    }
    async fn command(
        &self,
        _: Attempt,
        _: Option<IdempotencyKey>,
    ) -> Result<Commanded, StoreError> {
        std::future::pending().await
    }
    async fn change(&self, _: Attempt) -> Result<Changed, StoreError> {
        Err(failed())
    }
    async fn story(&self, _: &str) -> Result<Option<OrderStory>, StoreError> {
        Err(failed())
    }
    async fn rows(&self, _: RowQuery) -> Result<Vec<Listed>, StoreError> {
        Err(failed())
    }
    async fn recent(&self, _: RecentQuery) -> Result<Vec<Recent>, StoreError> {
        Err(failed())
    }
    async fn project(&self, _: usize) -> Result<Vec<OrderRow>, StoreError> {
        // As every question to a database does.
        tokio::task::yield_now().await;
        let projections = self.projections.fetch_add(1, Ordering::Relaxed) + 1;
        if projections == 3 {
            self.stop.cancel();
        }
        assert!(projections < 100, "it was stopped long ago");
        match self.how {
            Database::StandsStill => std::future::pending().await,
            Database::Fails => Err(failed()),
            Database::NeverEnds => Ok(vec![row()]),
        }
    }
    async fn awaited(&self, _: usize) -> Result<Vec<Awaited>, StoreError> {
        Err(failed())
    }
    async fn kept_too_long(
        &self,
        _: OrderStatus,
        _: Keep,
        _: Option<(i64, String)>,
        _: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        Err(failed())
    }
    fn appended(&self) -> Arc<Notify> {
        Arc::default()
    }
}

fn row() -> OrderRow {
    OrderRow {
        order_id: "ord-1".into(),
        user_id: "c-1".into(),
        total: contract::Money::eur(1),
        status: OrderStatus::Processing,
        phase: "Paying".into(),
        steps: [StepMark::NotReached; 3],
        placed_at_us: 1,
        took_us: None,
        origin: Origin::Api,
        version: 1,
    }
}

/// Orders over such a database; what fires in its third projection, and the owner of its tasks.
fn orders(how: Database) -> (Orders, CancellationToken, Supervisor) {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let (supervisor, _ends) = Supervisor::new();
    let stop = CancellationToken::new();
    let store = Broken { how, projections: AtomicUsize::new(0), stop: stop.clone() };
    let caller = mesh.caller("orders");
    let ids = IdSource::seeded(1);
    (Orders::new(Arc::new(store), caller, supervisor.clone(), ids, clock), stop, supervisor)
}

#[tokio::test(start_paused = true)]
async fn a_projection_stops_while_its_database_fails_and_while_there_is_always_more_to_do() {
    for how in [Database::Fails, Database::NeverEnds] {
        let (orders, stop, _supervisor) = orders(how);
        let keeping = orders.keep_projection(stop);
        let minute = Duration::from_secs(60);
        assert!(tokio::time::timeout(minute, keeping).await.is_ok(), "{how:?}: it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn commands_beyond_their_room_are_refused_while_the_disk_stands_still() {
    let (orders, _, _supervisor) = orders(Database::StandsStill);
    let router = router(orders);
    let ship = || {
        let asking = serde_json::json!({ "origin": "api", "expected": null });
        let request = Request::post("/orders/ord-1/ship")
            .header("content-type", "application/json")
            .body(Body::from(asking.to_string()));
        router.clone().oneshot(request.unwrap())
    };
    for n in 0..COMMANDS_MAX {
        // Whoever asked goes away; the command stays.
        assert!(ship().now_or_never().is_none(), "command {n} was answered");
    }
    let refused = ship().now_or_never().expect("there is no room").expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
}
