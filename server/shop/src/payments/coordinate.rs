//! Runs payments: begins each durably, lets the coordinator run it, finishes what a crash left.

use super::{
    Begun, PaymentOutcome, PaymentStore, TransactionRecord,
    card::{self, CardWork},
    void::{Void, Voided},
};
use crate::{
    StoreError, Version,
    bank::{BankWork, Finish, MERCHANT, Prepare},
    bus,
    orders::{MovePayment, VoidPayment},
    problem::Problem,
};
use async_trait::async_trait;
use base::{Clock, Commands, Supervisor, TraceContext};
use contract::{
    service::{BANK_CUSTOMER, BANK_MERCHANT, PAYMENTS, STRIPE},
    shop::PaymentMethod,
    transaction::{REPLAYED, UNDECIDED},
};
use http::StatusCode;
use mesh::{CallContext, CallError, Caller, MeshError};
use messaging::{Message, NewMessage};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tracing::{Instrument, Span};
use two_phase_commit::{
    Asking, Branch, Coordinator, CoordinatorLog, Decision, Entry, EntryKind, IllegalStep, LogError,
    Participants, Phase, Transaction, Unanswered, Vote,
};

/// How long a participant may take for one message.
pub(super) const BANK_TIMEOUT: Duration = Duration::from_secs(3);
/// A bank that does not answer is asked about a refund for so long before that counts as no: far
/// longer than a restart or an open breaker takes. The customer has a right to the money, and a no
/// leaves the order stuck until a person redrives it.
const REFUND_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Pause before a run whose log failed is taken up again.
const LOG_RETRY: Duration = Duration::from_secs(1);
/// Two-phase commits under way at once between the banks, of all versions: far more than run while
/// the banks answer, few enough to hold in memory while one does not. What is beyond waits in the
/// outbox of orders.
pub const RUNS_MAX: usize = 512;
/// The same of those in which the external provider takes part, a compartment of their own: a run
/// that was decided keeps its place until everybody acknowledged, so a provider that hangs fills
/// it, and payments from wallets go on. What is beyond is refused, so that no message of another
/// payment waits behind it. A quarter, for most orders are paid from wallets.
const PROVIDER_RUNS_SHARE: usize = 4;
/// Why a payment is refused that there is no room to ask the provider for.
const PROVIDER_BUSY: &str = "as many payments as may be wait for it already";
/// When a message that there was no room for may come again: a run takes some milliseconds while
/// the banks answer.
const ROOM_AGAIN: Duration = Duration::from_secs(1);
/// Commands that wait for the database at once: what a lane of the bus delivers in a time in which
/// the disk stands still, few enough to hold in memory while it does.
const COMMANDS_MAX: usize = 1_024;
/// Unfinished transactions that recovery reads at once.
const RECOVER_PAGE: usize = 64;

/// Recoveries that somebody who listens may lag behind by: after a crash a bank asks about as many
/// transactions as were under way, and a page shows five lines.
const RECOVERIES_BEHIND_MAX: usize = 64;

/// Transactions whose damaged log was told, at most: more say nothing new.
const DAMAGES_MAX: usize = 64;

/// A participant that was in doubt was told how its transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// When.
    pub at_us: i64,
    /// The bank that asked.
    pub participant: String,
    /// Its transaction.
    pub transaction_id: String,
    /// The order it pays or refunds.
    pub order_id: String,
    /// Committed, or aborted.
    pub committed: bool,
}

/// The service's engine. Cheap to clone.
#[derive(Clone)]
pub struct Payments {
    store: Arc<dyn PaymentStore>,
    coordinator: Coordinator,
    supervisor: Supervisor,
    clock: Clock,
    room: Room,
    version: Version,
    recoveries: broadcast::Sender<Recovery>,
    commands: Commands,
    /// Transactions whose log is damaged and was told to be.
    damaged: Arc<Mutex<BTreeSet<String>>>,
}

impl Payments {
    /// Over its database, the mesh and an owner for its runs.
    #[must_use]
    pub fn new(
        store: Arc<dyn PaymentStore>,
        caller: Caller,
        supervisor: Supervisor,
        clock: Clock,
    ) -> Self {
        let log = Arc::new(Log(store.clone()));
        let coordinator = Coordinator::new(log, Arc::new(Banks(caller)), clock.clone());
        let room = Room::of(RUNS_MAX);
        let (recoveries, _) = broadcast::channel(RECOVERIES_BEHIND_MAX);
        let (version, commands) = (Version::V1, supervisor.commands(COMMANDS_MAX));
        let damaged = Arc::default();
        Self { store, coordinator, supervisor, clock, room, version, recoveries, commands, damaged }
    }

    /// The same with room for so many runs between the banks, and a share of that for those with
    /// the external provider; to be called before any begins.
    #[must_use]
    pub fn with_runs(self, runs_max: usize) -> Self {
        Self { room: Room::of(runs_max), ..self }
    }

    /// Two-phase commits under way now.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.room.taken()
    }

    /// The engine of version 2 over the same database; `caller` is what it makes its calls with.
    #[must_use]
    pub fn next_version(&self, caller: Caller) -> Self {
        let v2 = Self::new(self.store.clone(), caller, self.supervisor.clone(), self.clock.clone());
        let coordinator = v2.coordinator.asking(Asking::InTurn);
        let (room, recoveries) = (self.room.clone(), self.recoveries.clone());
        let (commands, damaged) = (self.commands.clone(), self.damaged.clone());
        Self { coordinator, version: Version::V2, room, recoveries, commands, damaged, ..v2 }
    }

    /// Participants in doubt that are told an outcome from now on, by any version.
    #[must_use]
    pub fn recoveries(&self) -> broadcast::Receiver<Recovery> {
        self.recoveries.subscribe()
    }

    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn store(&self) -> &dyn PaymentStore {
        &*self.store
    }

    /// Takes a command: begins the transaction durably and runs it, detached from the delivery.
    /// A delivery that is given up in between finds it begun when it comes again, so nobody else
    /// would run it. Without room to run one it is refused only when it is new.
    pub(crate) async fn take(
        &self,
        message: Message,
        body: MovePayment,
        refund: bool,
    ) -> Result<(), Problem> {
        let run = self.room.with(body.method).clone().try_acquire_owned().ok();
        let this = self.clone();
        let beginning = async move { this.begin(&message, &body, refund, run).await };
        let begun = self.commands.detach_as("payment-begin", beginning.in_current_span());
        match begun.ok_or_else(busy)?.await {
            Ok(begun) => begun,
            Err(lost) => Err(StoreError { service: PAYMENTS, cause: Box::new(lost) }.into()),
        }
    }

    async fn begin(
        &self,
        message: &Message,
        body: &MovePayment,
        refund: bool,
        run: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Problem> {
        // Whoever has money to get back waits for it; who pays gets an answer.
        let refuses = run.is_none() && !refund && is_by_provider(body.method);
        let (tx, may_run) = (transfer(message, body, refund), run.is_some() || refuses);
        let begun = self.store.begin(message, &tx, &body.user_id, body.amount, may_run).await?;
        match (begun, run) {
            (Begun::Before, _) => Ok(()),
            (Begun::Now, Some(run)) => {
                self.go(tx, body.amount, run);
                Ok(())
            }
            (Begun::Now, None) if refuses => {
                self.refuse(tx);
                Ok(())
            }
            (Begun::Now | Begun::NoRoom, _) => Err(no_room(body.method)),
        }
    }

    /// Takes a void: decides durably what becomes of the payment, and runs the refund if one is
    /// due, detached from the delivery. Without room to run one it is refused only when one is due.
    pub(crate) async fn void(&self, message: Message, body: VoidPayment) -> Result<(), Problem> {
        let run = self.room.with(body.payment.method).clone().try_acquire_owned().ok();
        let this = self.clone();
        let voiding = async move {
            let void = Void::of(&message, &body, run.is_some());
            let (payment, amount) = (void.payment.clone(), void.amount);
            match (this.store.void(&message, void).await?, run) {
                (Voided::Before, _) => {}
                (Voided::Answered(found), _) => tracing::info!(
                    order_id = payment.key,
                    transaction_id = payment.id,
                    "{} voided, it was {found:?}",
                    payment.id,
                ),
                (Voided::Refunds(refund), Some(run)) => this.go(*refund, amount, run),
                (Voided::Refunds(_) | Voided::NoRoom, _) => {
                    return Err(no_room(body.payment.method));
                }
            }
            Ok(())
        };
        let voided = self.commands.detach_as("payment-void", voiding.in_current_span());
        match voided.ok_or_else(busy)?.await {
            Ok(voided) => voided,
            Err(lost) => Err(StoreError { service: PAYMENTS, cause: Box::new(lost) }.into()),
        }
    }

    fn go(&self, tx: Transaction, amount: contract::Money, run: OwnedSemaphorePermit) {
        tracing::info!(
            order_id = tx.key,
            transaction_id = tx.id,
            "{} begins, {} {amount}",
            tx.id,
            tx.purpose
        );
        self.run(tx, None, run);
    }

    /// Runs every transaction that a crash or stop left unfinished, as far as there is room, page
    /// after page; to be called before new ones begin. Gives their number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        let until_line = self.store.last_line().await?;
        let count = self.store.unfinished_count().await?;
        if count > 0 {
            let this = self.clone();
            let stop = self.supervisor.stopping();
            // Side by side: those that wait for the provider hold up nobody else.
            self.supervisor.detach_as("payments-recovery", async move {
                let banks = this.recover_until(until_line, false);
                let provider = this.recover_until(until_line, true);
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = futures::future::join(banks, provider) => {}
                }
            });
        }
        Ok(count)
    }

    /// Recovers those in which the external provider takes part, or those between the banks.
    ///
    /// What begins meanwhile is run already by who began it. Lines of the log tell the two apart; a
    /// clock that was set back would hide what a stop left.
    async fn recover_until(&self, until_line: i64, by_provider: bool) {
        let mut after = (i64::MIN, String::new());
        loop {
            let page = match self.store.unfinished(&after, until_line, RECOVER_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(cause = ?error.cause, "{error}; recovery goes on soon");
                    tokio::time::sleep(LOG_RETRY).await;
                    continue;
                }
            };
            let Some((begun_us, last)) = page.last() else { return };
            after = (*begun_us, last.transaction.id.clone());
            for (_, TransactionRecord { transaction, decision, .. }) in page {
                if takes_provider(&transaction) != by_provider {
                    continue;
                }
                // The semaphore is never closed.
                let room = self.room.of_kind(by_provider).clone().acquire_owned();
                let Ok(run) = room.await else { return };
                self.run(transaction, decision, run);
            }
        }
    }

    /// What a participant in doubt may know. Of a transaction never begun, abort is presumed:
    /// begin is durable before anybody is asked to prepare.
    pub(crate) async fn outcome(
        &self,
        id: &str,
        participant: Option<String>,
        replayed: bool,
    ) -> Result<Option<Decision>, StoreError> {
        let Some(record) = self.store.transaction(id).await? else {
            let reason = "never begun".to_owned();
            return Ok(Some(Decision::Abort { voter: None, reason, grounds: None }));
        };
        let line = |kind, detail| Entry {
            at_us: self.clock.now_us(),
            kind,
            participant: participant.clone(),
            detail,
        };
        let answer = match &record.decision {
            None => UNDECIDED,
            Some(Decision::Commit) => "commit",
            Some(Decision::Abort { .. }) => "abort",
        };
        let why = replayed.then(|| REPLAYED.to_owned());
        let lines = [line(EntryKind::Query, why), line(EntryKind::Answer, Some(answer.to_owned()))];
        // Who asks again and again while nothing is decided is noted once.
        let same = |noted: &Entry| Entry { at_us: lines[1].at_us, ..noted.clone() } == lines[1];
        if !record.log.iter().any(same) {
            self.store.note(id, &lines).await?;
            self.tell_recovery(&record, participant);
        }
        Ok(record.decision)
    }

    /// An order's transactions, oldest first. Of one whose log is damaged that is logged, once.
    pub(crate) async fn of_order(
        &self,
        order_id: &str,
    ) -> Result<Vec<TransactionRecord>, StoreError> {
        let records = self.store.of_order(order_id).await?;
        for record in &records {
            let (Err(damage), id) = (record.phase(), &record.transaction.id) else { continue };
            // No code that holds it can panic half way.
            let mut told = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < DAMAGES_MAX && told.insert(id.clone()) {
                tracing::error!(
                    order_id,
                    transaction_id = id,
                    "the log of {id} is damaged: {damage}"
                );
            }
        }
        Ok(records)
    }

    /// Tells whoever listens; nobody has to.
    fn tell_recovery(&self, record: &TransactionRecord, participant: Option<String>) {
        if let (Some(decision), Some(participant)) = (&record.decision, participant) {
            let _ = self.recoveries.send(Recovery {
                at_us: self.clock.now_us(),
                participant,
                transaction_id: record.transaction.id.clone(),
                order_id: record.transaction.key.clone(),
                committed: *decision == Decision::Commit,
            });
        }
    }

    /// Runs to the end, detached: the decision must be told whatever becomes of the caller.
    fn run(&self, tx: Transaction, mut decided: Option<Decision>, run: OwnedSemaphorePermit) {
        let (this, span) = (self.clone(), span_of(&tx));
        // A customer waits for the answer to a payment, and nothing was done yet.
        let patience = if tx.purpose == "refund" { REFUND_PATIENCE } else { Duration::ZERO };
        let going = async move {
            let _room = run;
            while let Err(error) = this.coordinator.run(&tx, decided.clone(), patience).await {
                tracing::error!(cause = ?error.0, transaction_id = tx.id, "{error}; trying again");
                tokio::time::sleep(LOG_RETRY).await;
                if let Ok(Some(record)) = this.store.transaction(&tx.id).await {
                    decided = record.decision;
                }
            }
        };
        self.detach(going.instrument(span));
    }

    /// Refuses a payment that was begun and has no room to run.
    fn refuse(&self, tx: Transaction) {
        let (this, span) = (self.clone(), span_of(&tx));
        let going = async move {
            while let Err(error) = this.coordinator.refuse(&tx, STRIPE, PROVIDER_BUSY).await {
                tracing::error!(cause = ?error.0, transaction_id = tx.id, "{error}; trying again");
                tokio::time::sleep(LOG_RETRY).await;
            }
        };
        self.detach(going.instrument(span));
    }

    /// After a stop the rest is recovery's: waiting for a bank must not hold up shutdown.
    fn detach(&self, going: impl Future<Output = ()> + Send + 'static) {
        let stop = self.supervisor.stopping();
        self.supervisor.detach_as("two-phase-commit", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = going => {}
            }
        });
    }
}

/// The span of a transaction that goes on.
fn span_of(tx: &Transaction) -> Span {
    let span = tracing::info_span!(
        target: "vitrine::payments",
        "two_phase_commit",
        otel.name = format!("two-phase commit {}", tx.purpose),
        service.name = PAYMENTS,
        transaction.id = tx.id,
        order.id = tx.key,
        { contract::attributes::CORRELATION_ID } = tx.correlation_id,
        saga.compensation = (tx.purpose == "refund").then_some(true),
    );
    tx.trace.adopt(&span);
    span
}

/// Room for runs: a permit for each. Cheap to clone.
#[derive(Clone)]
struct Room {
    banks: Arc<Semaphore>,
    provider: Arc<Semaphore>,
    max: usize,
}

impl Room {
    fn of(runs_max: usize) -> Self {
        let provider = (runs_max / PROVIDER_RUNS_SHARE).max(1);
        let max = runs_max + provider;
        let of = |permits| Arc::new(Semaphore::new(permits));
        Self { banks: of(runs_max), provider: of(provider), max }
    }

    const fn of_kind(&self, by_provider: bool) -> &Arc<Semaphore> {
        if by_provider { &self.provider } else { &self.banks }
    }

    fn with(&self, method: PaymentMethod) -> &Arc<Semaphore> {
        self.of_kind(is_by_provider(method))
    }

    fn taken(&self) -> usize {
        let free = self.banks.available_permits() + self.provider.available_permits();
        self.max.saturating_sub(free)
    }
}

const fn is_by_provider(method: PaymentMethod) -> bool {
    match method {
        PaymentMethod::Wallet => false,
        PaymentMethod::Card | PaymentMethod::Debit => true,
    }
}

fn takes_provider(tx: &Transaction) -> bool {
    tx.branches.iter().any(|branch| branch.participant == STRIPE)
}

/// The transaction that a command asks for. Its id depends on the message alone.
#[must_use]
pub fn transfer(message: &Message, body: &MovePayment, refund: bool) -> Transaction {
    let takes = if refund { -body.amount.minor } else { body.amount.minor };
    let branch = |participant: &str, account: &str, takes: i64| Branch {
        participant: participant.to_owned(),
        work: serde_json::json!(BankWork {
            account_id: account.to_owned(),
            takes,
            order_id: message.key.clone(),
        }),
    };
    let customer = match body.method {
        PaymentMethod::Wallet => branch(BANK_CUSTOMER, &body.user_id, takes),
        PaymentMethod::Card | PaymentMethod::Debit => Branch {
            participant: STRIPE.to_owned(),
            work: serde_json::json!(CardWork::of(&message.key, body, refund)),
        },
    };
    Transaction {
        id: transaction_id(&message.key, &message.id),
        purpose: if refund { "refund" } else { "payment" }.to_owned(),
        key: message.key.clone(),
        correlation_id: message.correlation_id.clone(),
        trace: TraceContext::current(),
        branches: vec![customer, branch(BANK_MERCHANT, MERCHANT, -takes)],
    }
}

/// The id of the transaction that a message about an order asks for.
pub(super) fn transaction_id(order_id: &str, message_id: &str) -> String {
    let short = order_id.trim_start_matches("ord-");
    let cause = message_id.rsplit(':').next().unwrap_or_default();
    format!("tx-{short}-{cause}")
}

/// The answer when as many runs are under way as may be: the message comes again. It is no failure
/// of payments, which takes what needs no room all the while: a breaker must not open for it.
fn no_room(method: PaymentMethod) -> Problem {
    let reason = if is_by_provider(method) {
        "As many payments by card or debit as may be are under way and wait for the provider."
    } else {
        "As many payments as may be are under way and wait for the banks."
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, reason).retry_after(ROOM_AGAIN)
}

/// The answer while as many commands as may be wait for the database: that is a failure of
/// payments.
fn busy() -> Problem {
    let reason = "As many commands as may be wait to be recorded.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).retry_after(ROOM_AGAIN)
}

/// The message that tells orders what was decided.
#[must_use]
pub fn answer(tx: &Transaction, decision: &Decision) -> NewMessage {
    let refund = tx.purpose == "refund";
    let topic = match (decision, refund) {
        (Decision::Commit, false) => bus::PAYMENT_AUTHORIZED,
        (Decision::Commit, true) => bus::PAYMENT_REFUNDED,
        (Decision::Abort { .. }, false) => bus::PAYMENT_DECLINED,
        (Decision::Abort { .. }, true) => bus::PAYMENT_REFUND_REFUSED,
    };
    let (voter, reason, grounds) = match decision {
        Decision::Commit => (None, None, None),
        Decision::Abort { voter, reason, grounds } => {
            (voter.clone(), Some(reason.clone()), *grounds)
        }
    };
    let body = PaymentOutcome { transaction_id: tx.id.clone(), voter, reason, grounds };
    NewMessage::new(topic, &tx.key, &tx.id, &body)
}

/// The coordinator's log in payments' database.
struct Log(Arc<dyn PaymentStore>);

#[async_trait]
impl CoordinatorLog for Log {
    async fn decide(
        &self,
        tx: &Transaction,
        decision: &Decision,
        lines: &[Entry],
    ) -> Result<Decision, LogError> {
        let answer = answer(tx, decision);
        let recorded = self.0.decide(tx, decision, lines, answer).await;
        let recorded = recorded.map_err(|e| LogError(Box::new(e)))?;
        match &recorded {
            other if other != decision => {
                tracing::warn!(
                    order_id = tx.key,
                    transaction_id = tx.id,
                    "{} was decided by another run, which is obeyed",
                    tx.id
                );
            }
            Decision::Commit => {
                tracing::info!(
                    order_id = tx.key,
                    transaction_id = tx.id,
                    "{} decision commit logged",
                    tx.id
                );
            }
            Decision::Abort { .. } => {
                tracing::warn!(
                    order_id = tx.key,
                    transaction_id = tx.id,
                    "{} decision abort logged, {}",
                    tx.id,
                    recorded.why().unwrap_or_default()
                );
            }
        }
        Ok(recorded)
    }

    async fn note(&self, transaction_id: &str, lines: &[Entry]) -> Result<(), LogError> {
        self.0.note(transaction_id, lines).await.map_err(|e| LogError(Box::new(e)))
    }
}

/// The banks, and the provider for cards, through the mesh.
struct Banks(Caller);

impl Banks {
    fn bank(branch: &Branch) -> Result<&'static str, Unanswered> {
        [BANK_CUSTOMER, BANK_MERCHANT]
            .into_iter()
            .find(|bank| *bank == branch.participant)
            .ok_or_else(|| Unanswered::new(format!("no bank named {}", branch.participant)))
    }

    fn context(tx: &Transaction) -> CallContext {
        CallContext::detached(tx.correlation_id.clone())
    }
}

/// What became of a message to a participant, as the mesh tells it: past an open breaker none goes.
pub(super) fn unanswered(error: &CallError) -> Unanswered {
    let asked = !matches!(error, CallError::Mesh(MeshError::BreakerOpen { .. }));
    Unanswered { why: error.to_string(), asked }
}

#[async_trait]
impl Participants for Banks {
    async fn prepare(&self, tx: &Transaction, branch: &Branch) -> Result<Vote, Unanswered> {
        if branch.participant == STRIPE {
            return card::prepare(&self.0, tx, branch).await;
        }
        let work = serde_json::from_value(branch.work.clone())
            .map_err(|error| Unanswered::new(error.to_string()))?;
        self.0
            .post(Self::bank(branch)?, format!("/transactions/{}/prepare", tx.id))
            .route("/transactions/{id}/prepare")
            .context(&Self::context(tx))
            .timeout(BANK_TIMEOUT)
            .transaction(&tx.id)
            .order(&tx.key)
            .json(&Prepare { work })
            .receive()
            .await
            .map_err(|error| unanswered(&error))
    }

    async fn finish(
        &self,
        tx: &Transaction,
        branch: &Branch,
        decision: &Decision,
    ) -> Result<(), Unanswered> {
        if branch.participant == STRIPE {
            return card::finish(&self.0, tx, branch, decision).await;
        }
        let answer = self
            .0
            .post(Self::bank(branch)?, format!("/transactions/{}/finish", tx.id))
            .route("/transactions/{id}/finish")
            .context(&Self::context(tx))
            .timeout(BANK_TIMEOUT)
            .transaction(&tx.id)
            .order(&tx.key)
            .json(&Finish { commit: *decision == Decision::Commit })
            .send()
            .await
            .map_err(|error| unanswered(&error.into()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            let why = format!("{} answered {}", branch.participant, answer.status());
            Err(Unanswered::new(why))
        }
    }
}

impl TransactionRecord {
    /// Where it is, as its log tells.
    ///
    /// # Errors
    /// When a line of the log cannot stand where it does.
    pub fn phase(&self) -> Result<Phase, IllegalStep> {
        Phase::replay(&self.log)
    }
}
