//! A bank: accounts, a double-entry ledger, and its part in two-phase commits.
//!
//! The shop has two: the customers' and the merchant's, each with its own database.

mod ledger;
mod store;

pub use ledger::{
    Account, BankTx, BankWork, CLEARING, EXTERNAL, MERCHANT, Posting, PrepareChange, finish,
    prepare, transfer,
};
pub use store::{BankStore, DoubtMark, InDoubt};

use crate::{StoreError, key::Key, problem::Problem, store::livez};
use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::JsonRejection},
    routing::{get, post},
};
use base::Clock;
use contract::{attributes, service::PAYMENTS};
use futures::StreamExt;
use http::StatusCode;
use mesh::{CallContext, Caller, Mesh, Phase};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use two_phase_commit::{Decision, Vote};

/// A transaction that is prepared for longer than this is asked about.
const IN_DOUBT_AFTER: Duration = Duration::from_secs(5);
/// How often a bank looks for transactions in doubt.
const IN_DOUBT_EVERY: Duration = Duration::from_secs(2);
/// Transactions a bank asks about at once: enough that a coordinator that does not answer holds up
/// a page of them for half a minute at most, few enough not to be a crowd when it is back.
const ASKING_MAX: usize = 16;
/// Value of the field `locks` of the line that a bank writes when a transaction let go of what it
/// held.
pub const LOCKS_RELEASED: &str = "released";
/// Most that can be paid in at once, minor units: ten million euro.
const DEPOSIT_MAX: i64 = 1_000_000_000;

type Store = Arc<dyn BankStore>;

/// Body of prepare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepare {
    /// What to prepare.
    pub work: BankWork,
}

/// Body of finish.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Finish {
    /// Commit or abort.
    pub commit: bool,
}

/// A deposit from outside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Deposit {
    /// Minor units.
    pub minor: i64,
}

/// Every account of a bank.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// By id.
    pub accounts: Vec<Account>,
    /// Transactions prepared and not decided.
    pub held: u64,
}

/// What a bank has promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// Transactions prepared and not decided.
    pub held: u64,
    /// Those of them that were prepared before the moment that was asked about.
    pub in_doubt: u64,
}

/// What the coordinator knows of a transaction, for a participant in doubt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its decision, if it decided.
    pub decision: Option<Decision>,
}

/// The service.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/accounts", get(accounts))
        .route("/held", get(held))
        .route("/accounts/{id}/deposits", post(deposit))
        .route("/transactions/{id}/prepare", post(take_prepare))
        .route("/transactions/{id}/finish", post(take_finish))
        .route("/livez", get(livez::<dyn BankStore>))
        .with_state(store)
}

async fn accounts(State(store): State<Store>) -> Result<Json<Accounts>, Problem> {
    let (accounts, held) = (store.accounts().await?, store.held().await?);
    Ok(Json(Accounts { accounts, held }))
}

#[derive(Deserialize)]
struct HeldSince {
    before_us: i64,
}

async fn held(
    State(store): State<Store>,
    Query(since): Query<HeldSince>,
) -> Result<Json<Promised>, Problem> {
    let (held, in_doubt) = (store.held().await?, store.doubts(since.before_us).await?);
    Ok(Json(Promised { held, in_doubt }))
}

async fn deposit(
    State(store): State<Store>,
    Path(id): Path<String>,
    Key(key): Key,
    body: Result<Json<Deposit>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(deposit) = body?;
    if !(1..=DEPOSIT_MAX).contains(&deposit.minor) {
        return Err(Problem::field("/minor", format!("Must be 1 to {DEPOSIT_MAX} minor units.")));
    }
    store.deposit(&id, deposit.minor, key).await?.answer(&format!("account {id}"))
}

async fn take_prepare(
    State(store): State<Store>,
    Path(id): Path<String>,
    context: CallContext,
    body: Result<Json<Prepare>, JsonRejection>,
) -> Result<Json<Vote>, Problem> {
    let Json(Prepare { work }) = body?;
    tracing::Span::current().record("transaction.id", id.as_str());
    let vote = store.prepare(&id, &work, context.correlation_id).await?;
    let word = if vote == Vote::Yes { "yes" } else { "no" };
    base::trace_context::tag(&tracing::Span::current(), attributes::TRANSACTION_VOTE, word);
    match &vote {
        Vote::Yes => {
            tracing::info!(transaction_id = id, order_id = work.order_id, "{id} prepared, vote yes")
        }
        Vote::No { reason } => {
            tracing::warn!(transaction_id = id, order_id = work.order_id, "{id} vote no, {reason}");
        }
    }
    Ok(Json(vote))
}

async fn take_finish(
    State(store): State<Store>,
    Path(id): Path<String>,
    body: Result<Json<Finish>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(Finish { commit }) = body?;
    let span = tracing::Span::current();
    span.record("transaction.id", id.as_str());
    let word = if commit { "commit" } else { "abort" };
    base::trace_context::tag(&span, attributes::TRANSACTION_DECISION, word);
    settle(&*store, &id, commit, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Applies a decision. `service` is who writes about it where no span says so.
async fn settle(
    store: &dyn BankStore,
    id: &str,
    commit: bool,
    service: Option<&'static str>,
) -> Result<(), Problem> {
    let done = if commit { "committed" } else { "aborted" };
    match store.finish(id, commit).await? {
        Ok(order_id) => {
            tracing::info!(
                service.name = service,
                transaction_id = id,
                order_id,
                locks = LOCKS_RELEASED,
                "{id} {done}, lock released"
            );
            Ok(())
        }
        Err(illegal) => {
            tracing::error!(
                service.name = service,
                transaction_id = id,
                "{id} cannot be {done}: {illegal}"
            );
            Err(Problem::conflict(illegal.to_string()))
        }
    }
}

/// A bank's own recovery: asks the coordinator about transactions that stay prepared too long, and
/// when it was started again about all that its log says are prepared. Without an answer it goes on
/// waiting: it promised. While its process is down or stands still it asks nothing.
pub async fn resolve_doubts(
    service: &'static str,
    store: Store,
    mesh: Mesh,
    clock: Clock,
    stop: CancellationToken,
) {
    let doubts = Doubts { service, store, caller: mesh.caller(service), mesh, clock };
    // Asking takes as long as a slow coordinator does: a stop does not wait for it, the next start
    // asks again.
    tokio::select! {
        () = stop.cancelled() => {}
        () = doubts.ask() => {}
    }
}

/// How a service is: ready while one of its instances is. One that is not in the mesh is its own.
fn phase(mesh: &Mesh, service: &str) -> Phase {
    let own = mesh.endpoints().into_iter().filter(|endpoint| *endpoint.service == *service);
    let phases: Vec<Phase> = own.map(|endpoint| endpoint.phase).collect();
    let has = |phase: Phase| phases.contains(&phase);
    match () {
        () if phases.is_empty() || has(Phase::Ready) => Phase::Ready,
        () if has(Phase::Paused) => Phase::Paused,
        () => Phase::Killed,
    }
}

/// Who asks about what.
struct Doubts {
    service: &'static str,
    store: Store,
    caller: Caller,
    mesh: Mesh,
    clock: Clock,
}

impl Doubts {
    /// Asks until the mesh is gone. What its process is told ends what it is asking, however long
    /// the answers take.
    async fn ask(&self) {
        let mut changes = self.mesh.changes();
        let (mut was, mut started_again) = (self.phase(), false);
        loop {
            let asking = async {
                if started_again {
                    self.replay().await;
                }
                self.sweeps().await;
            };
            let turned = async {
                loop {
                    // What was missed by a listener that lagged behind shows in the phase.
                    let closed = matches!(changes.recv().await, Err(RecvError::Closed));
                    let now = self.phase();
                    if closed || now != was {
                        return (closed, now);
                    }
                }
            };
            let (closed, now) = tokio::select! {
                () = asking => return,
                turned = turned => turned,
            };
            if closed {
                return;
            }
            started_again = was == Phase::Killed && now == Phase::Ready;
            was = now;
        }
    }

    fn phase(&self) -> Phase {
        phase(&self.mesh, self.service)
    }

    /// Asks about a page now and then.
    async fn sweeps(&self) {
        // What was asked about last. The next look goes on behind it, and from the beginning at
        // the end: what stays undecided keeps nobody from asking about what is younger.
        let mut last = DoubtMark::start();
        let mut every = tokio::time::interval_at(Instant::now() + IN_DOUBT_EVERY, IN_DOUBT_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if self.phase() != Phase::Ready {
                continue;
            }
            let before_us = self.clock.now_us() - base::clock::micros(IN_DOUBT_AFTER);
            let mut doubts = self.read(before_us, &last).await;
            if doubts.is_empty() && last != DoubtMark::start() {
                doubts = self.read(before_us, &DoubtMark::start()).await;
            }
            last = doubts.last().map_or_else(DoubtMark::start, InDoubt::mark);
            self.resolve_all(doubts, false).await;
        }
    }

    /// Asks about all that is prepared, page after page.
    async fn replay(&self) {
        let (before_us, mut last) = (self.clock.now_us(), DoubtMark::start());
        while self.phase() == Phase::Ready {
            let doubts = self.read(before_us, &last).await;
            let Some(read) = doubts.last() else { break };
            last = read.mark();
            self.resolve_all(doubts, true).await;
        }
    }

    async fn resolve_all(&self, doubts: Vec<InDoubt>, replayed: bool) {
        let resolve = |doubt: InDoubt| async move { self.resolve(&doubt, replayed).await };
        futures::stream::iter(doubts).for_each_concurrent(ASKING_MAX, resolve).await;
    }

    async fn read(&self, before_us: i64, after: &DoubtMark) -> Vec<InDoubt> {
        self.store.in_doubt(before_us, after).await.unwrap_or_else(
            |StoreError { cause, .. }| {
                let service = self.service;
                tracing::error!(
                    service.name = service,
                    ?cause,
                    "transactions in doubt cannot be read"
                );
                Vec::new()
            },
        )
    }

    async fn resolve(&self, doubt: &InDoubt, replayed: bool) {
        let (id, service) = (&doubt.transaction_id, self.service);
        let path = format!("/transactions/{id}/outcome?participant={service}&replayed={replayed}");
        let found = if replayed { ", found in the log after a restart" } else { "" };
        tracing::warn!(
            service.name = service,
            transaction_id = id,
            order_id = doubt.order_id,
            correlation_id = doubt.correlation_id,
            "{id} in doubt{found}, asking coordinator"
        );
        let asked = self
            .caller
            .get(PAYMENTS, path)
            .route("/transactions/{id}/outcome")
            .transaction(id)
            .order(&doubt.order_id)
            .parent(doubt.trace.clone())
            .context(&CallContext::detached(doubt.correlation_id.clone()))
            .receive::<Outcome>()
            .await;
        match asked {
            Ok(Outcome { decision: Some(decision) }) => {
                // A contradiction is logged there; there is nobody here to tell it to.
                let commit = decision == Decision::Commit;
                let _ = settle(&*self.store, id, commit, Some(service)).await;
            }
            Ok(Outcome { decision: None }) => {}
            Err(error) => tracing::warn!(
                service.name = service,
                transaction_id = id,
                "{id} stays in doubt: {error}"
            ),
        }
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
