//! What a bank asks about a transaction in doubt, and does with the answer.

use super::*;
use crate::{key::Commanded, store::Probe};
use async_trait::async_trait;
use axum::extract::Request;
use base::TraceContext;
use contract::service::BANK_CUSTOMER;
use mesh::{BreakerParams, CORRELATION_ID, Mesh};
use std::sync::Mutex;
use two_phase_commit::IllegalStep;

/// A bank with one transaction in doubt, and some more, until one is settled.
#[derive(Default)]
struct Doubtful {
    settled: Mutex<Option<bool>>,
    more: usize,
}

#[async_trait]
impl Probe for Doubtful {
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl BankStore for Doubtful {
    async fn in_doubt(&self, _: i64, after: &DoubtMark) -> Result<Vec<InDoubt>, StoreError> {
        let doubt = |n: usize| InDoubt {
            transaction_id: format!("tx-{n}"),
            prepared_us: 1,
            order_id: "ord-1".into(),
            trace: TraceContext::default(),
            correlation_id: Some("cor-1".into()),
        };
        let open = self.settled.lock().unwrap().is_none() && *after == DoubtMark::start();
        Ok(if open { (1..=1 + self.more).map(doubt).collect() } else { Vec::new() })
    }

    async fn doubts(&self, _: i64) -> Result<u64, StoreError> {
        Ok(u64::from(self.settled.lock().unwrap().is_none()))
    }

    async fn finish(
        &self,
        _: &str,
        commit: bool,
    ) -> Result<Result<String, IllegalStep>, StoreError> {
        *self.settled.lock().unwrap() = Some(commit);
        Ok(Ok("ord-1".into()))
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }

    async fn held(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn prepare(&self, _: &str, _: &BankWork, _: Option<String>) -> Result<Vote, StoreError> {
        Ok(Vote::Yes)
    }

    async fn deposit(&self, _: &str, _: i64, _: Option<String>) -> Result<Commanded, StoreError> {
        Ok(Commanded::Unknown)
    }

    async fn ledger_sum(&self) -> Result<i64, StoreError> {
        Ok(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_asked_about_under_its_correlation_id_and_settled_as_answered() {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let outcome = get(move |request: Request| async move {
        let id = request.headers().get(CORRELATION_ID).and_then(|id| id.to_str().ok());
        seen.lock().unwrap().push(id.map(str::to_owned));
        Json(Outcome { decision: Some(Decision::Commit) })
    });
    mesh.register(PAYMENTS, Router::new().route("/transactions/{id}/outcome", outcome));
    let store = Arc::new(Doubtful::default());
    let stop = CancellationToken::new();
    let resolving = resolve_doubts(BANK_CUSTOMER, store.clone(), mesh.clone(), clock, stop.clone());
    let _ = tokio::time::timeout(10 * IN_DOUBT_EVERY, resolving).await;
    assert_eq!(*asked.lock().unwrap(), [Some("cor-1".to_owned())]);
    assert_eq!(*store.settled.lock().unwrap(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_coordinator_that_does_not_answer() {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let stop = CancellationToken::new();
    let asked = stop.clone();
    // The stop comes while the bank waits.
    let silent = get(move || async move {
        asked.cancel();
        std::future::pending::<()>().await;
    });
    mesh.register(PAYMENTS, Router::new().route("/transactions/{id}/outcome", silent));
    let store = Arc::new(Doubtful::default());
    let began = tokio::time::Instant::now();
    resolve_doubts(BANK_CUSTOMER, store, mesh.clone(), clock, stop).await;
    assert_eq!(began.elapsed(), IN_DOUBT_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_is_down_asks_nothing_and_asks_about_its_whole_log_when_it_is_started_again() {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let outcome = get(move |request: Request| async move {
        seen.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
        Json(Outcome { decision: Some(Decision::Commit) })
    });
    mesh.register(PAYMENTS, Router::new().route("/transactions/{id}/outcome", outcome));
    mesh.register(BANK_CUSTOMER, Router::new());
    let instance = mesh.endpoints().into_iter().find(|e| *e.service == *BANK_CUSTOMER).unwrap();
    assert!(mesh.kill(BANK_CUSTOMER, &instance.instance));
    let store = Arc::new(Doubtful::default());
    let stop = CancellationToken::new();
    let resolving = resolve_doubts(BANK_CUSTOMER, store.clone(), mesh.clone(), clock, stop.clone());
    let restarting = async {
        tokio::time::sleep(10 * IN_DOUBT_EVERY).await;
        let while_down = asked.lock().unwrap().len();
        assert!(mesh.restart(BANK_CUSTOMER, &instance.instance));
        // Less than until the next look.
        tokio::time::sleep(IN_DOUBT_EVERY / 4).await;
        stop.cancel();
        while_down
    };
    let ((), while_down) = tokio::join!(resolving, restarting);
    assert_eq!(while_down, 0);
    let query = format!("participant={BANK_CUSTOMER}&replayed=true");
    assert_eq!(*asked.lock().unwrap(), [query]);
    assert_eq!(*store.settled.lock().unwrap(), Some(true));
}

/// A coordinator that answers nobody; how often each question was asked.
fn silent_coordinator(mesh: &Mesh) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let outcome = get(move |request: Request| async move {
        seen.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
        std::future::pending::<()>().await;
    });
    mesh.register(PAYMENTS, Router::new().route("/transactions/{id}/outcome", outcome));
    asked
}

#[tokio::test(start_paused = true)]
async fn a_bank_asks_about_several_doubts_at_once_but_not_about_all() {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let asked = silent_coordinator(&mesh);
    let store = Arc::new(Doubtful { more: 4 * ASKING_MAX, ..Doubtful::default() });
    let resolving = resolve_doubts(BANK_CUSTOMER, store, mesh, clock, CancellationToken::new());
    // Before any of the questions is given up.
    let _ = tokio::time::timeout(IN_DOUBT_EVERY + Duration::from_secs(1), resolving).await;
    assert_eq!(asked.lock().unwrap().len(), ASKING_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_is_started_again_does_not_wait_for_what_it_asked_before() {
    let clock = Clock::tokio(0);
    let mesh = Mesh::new(clock.clone(), BreakerParams::default());
    let asked = silent_coordinator(&mesh);
    mesh.register(BANK_CUSTOMER, Router::new());
    let instance = mesh.endpoints().into_iter().find(|e| *e.service == *BANK_CUSTOMER).unwrap();
    let store = Arc::new(Doubtful::default());
    let stop = CancellationToken::new();
    let resolving = resolve_doubts(BANK_CUSTOMER, store, mesh.clone(), clock, stop.clone());
    let restarting = async {
        // It asks, and is not answered.
        tokio::time::sleep(IN_DOUBT_EVERY + Duration::from_millis(100)).await;
        assert!(mesh.kill(BANK_CUSTOMER, &instance.instance));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(mesh.restart(BANK_CUSTOMER, &instance.instance));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
    };
    tokio::join!(resolving, restarting);
    let query = |replayed: bool| format!("participant={BANK_CUSTOMER}&replayed={replayed}");
    assert_eq!(*asked.lock().unwrap(), [query(false), query(true)]);
}
