//! The payment provider over its real database and over real HTTP: what it promised holds across
//! restarts, and payments by card end in balanced books whichever version runs them.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use axum::{Router, body::Body};
use base::{Clock, Supervisor};
use contract::{
    Money,
    service::{BANK_CUSTOMER, BANK_MERCHANT, BUS, PAYMENTS, STRIPE},
    shop::PaymentMethod,
};
use http::{Request, StatusCode};
use mesh::{BreakerParams, Endpoint, Instance, Mesh};
use serde_json::{Value, json};
use shop::{
    bank::{self, CLEARING, MERCHANT},
    bus,
    orders::MovePayment,
    payments::{self, Payments},
    provider::{self, CARD_LIMIT, ProviderBalances},
    seed,
};
use std::{path::Path, time::Duration};
use storage::{Durability, Stores};
use testkit::eventually;
use tokio::net::TcpListener;
use tower::ServiceExt;
use two_phase_commit::{Decision, EntryKind, Grounds, Phase};

/// Far more than everything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The instances of payments.
const INSTANCES: [&str; 2] = ["payments-v1-1", "payments-v2-1"];

async fn open(folder: &Path) -> Stores {
    storage::open(folder, Durability::Process, &Clock::system()).await.expect("a shop")
}

async fn post(api: &Router, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .expect("a request");
    let answer = api.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("its body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn charge(minor: i64) -> Value {
    json!({
        "amount": Money::eur(minor), "customer": "c-1001", "capture": false,
        "metadata": { "order_id": "ord-1" },
    })
}

#[tokio::test]
async fn a_request_repeated_under_its_key_gives_the_first_answer_across_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = open(folder.path()).await;
    let api = provider::router(stores.provider.clone());
    let first = post(&api, "/v1/charges", "k-1", &charge(5_000)).await;
    assert_eq!((first.0, &first.1["status"]), (StatusCode::OK, &json!("pending")));
    let declined = post(&api, "/v1/charges", "k-2", &charge(CARD_LIMIT + 1)).await;
    assert_eq!(declined.0, StatusCode::PAYMENT_REQUIRED, "{}", declined.1);
    stores.close().await;
    drop(stores);

    let stores = open(folder.path()).await;
    let api = provider::router(stores.provider.clone());
    assert_eq!(post(&api, "/v1/charges", "k-1", &charge(5_000)).await, first);
    assert_eq!(post(&api, "/v1/charges", "k-2", &charge(CARD_LIMIT + 1)).await, declined);
    let (status, _) = post(&api, "/v1/charges", "k-1", &charge(5_001)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a key used for something else");
    for _ in 0..2 {
        let (status, done) = post(&api, "/v1/charges/ch_k-1/capture", "k-1", &Value::Null).await;
        assert_eq!((status, &done["status"]), (StatusCode::OK, &json!("succeeded")));
    }
    let balances = stores.provider.balances().await.expect("the ledger");
    assert_eq!(balances, ProviderBalances { clearing: 5_000, cards: -5_000 });
    let (status, _) = post(&api, "/v1/charges/ch_k-1/cancel", "k-1", &Value::Null).await;
    assert_eq!(status, StatusCode::CONFLICT, "what is captured is refunded, not cancelled");
}

#[tokio::test]
async fn a_charge_cancelled_before_it_arrived_is_never_authorized() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = open(folder.path()).await;
    let api = provider::router(stores.provider.clone());
    let (status, _) = post(&api, "/v1/charges/ch_k-1/cancel", "k-1", &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (status, late) = post(&api, "/v1/charges", "k-1", &charge(5_000)).await;
    assert_eq!((status, &late["status"]), (StatusCode::OK, &json!("canceled")));
    assert_eq!(stores.provider.held().await.expect("the count"), 0);
}

#[tokio::test]
async fn a_charge_without_a_key_or_with_one_that_is_no_id_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = provider::router(open(folder.path()).await.provider.clone());
    for key in ["a b", "", &"x".repeat(62)] {
        let (status, _) = post(&api, "/v1/charges", key, &charge(1)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key:?}");
    }
}

/// payments in two versions, both banks, and the provider at a real address.
struct World {
    stores: Stores,
    mesh: Mesh,
    supervisor: Supervisor,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let world = world_with(payments::RUNS_MAX).await;
    world.start_provider().await;
    world
}

/// One with room for so many runs, and no provider yet.
async fn world_with(runs: usize) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = open(folder.path()).await;
    let (supervisor, _ends) = Supervisor::new();
    let mesh = Mesh::new(Clock::system(), BreakerParams::default());
    mesh.register(BANK_CUSTOMER, bank::router(stores.bank_customer.clone()));
    mesh.register(BANK_MERCHANT, bank::router(stores.bank_merchant.clone()));
    let caller = mesh.caller(PAYMENTS);
    let (store, clock) = (stores.payments.clone(), Clock::system());
    let v1 = Payments::new(store, caller.clone(), supervisor.clone(), clock).with_runs(runs);
    let v2 = v1.next_version(caller);
    for (name, engine) in INSTANCES.into_iter().zip([v1, v2]) {
        let endpoint = Endpoint::Router(payments::router(engine));
        let (service, labels) = (PAYMENTS.to_owned(), Vec::new());
        mesh.add_instance(Instance { service, name: name.to_owned(), labels, endpoint });
    }
    World { stores, mesh, supervisor, _folder: folder }
}

impl World {
    async fn start_provider(&self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = Endpoint::Address(listener.local_addr().expect("its address"));
        let api = provider::router(self.stores.provider.clone());
        self.supervisor.spawn("p", provider::serve(listener, api, self.supervisor.stopping()));
        let (service, name) = (STRIPE.to_owned(), "stripe-v1-1".to_owned());
        self.mesh.add_instance(Instance { service, name, labels: Vec::new(), endpoint });
    }

    /// Lets messages reach one version only. What runs already goes on.
    fn only(&self, version: &str) {
        for name in INSTANCES {
            match name.contains(version) {
                true => assert!(self.mesh.restart(PAYMENTS, name)),
                false => assert!(self.mesh.kill(PAYMENTS, name)),
            }
        }
    }

    /// Delivers a command as the bus does.
    async fn tell(&self, topic: &str, order_id: &str, cause: &str, body: &MovePayment) {
        let id = format!("{topic}:{order_id}:{cause}");
        let answer = self.mesh.caller(BUS).post(PAYMENTS, "/messages");
        let answer = answer
            .header("ce-id", &id)
            .header("ce-type", topic)
            .header("ce-source", "orders")
            .header("ce-subject", order_id)
            .header("ce-vitrinerecordedus", "0")
            .json(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }

    /// The decision of an order's newest transaction, once everybody acknowledged it.
    async fn ended(&self, order_id: &str, transactions: usize) -> (String, Decision) {
        eventually(PATIENCE, "the end of a transaction", async || {
            let records = self.stores.payments.of_order(order_id).await.expect("the log");
            let record = records.last().filter(|_| records.len() == transactions)?;
            let ended = matches!(record.phase(), Ok(Phase::Committed | Phase::Aborted));
            ended.then(|| (record.transaction.id.clone(), record.decision.clone().expect("one")))
        })
        .await
    }

    /// What the merchant earned, and what stands between the three books: nothing.
    async fn earned(&self) -> i64 {
        let merchant = self.stores.bank_merchant.accounts().await.expect("the accounts");
        let customers = self.stores.bank_customer.accounts().await.expect("the accounts");
        let balance = |accounts: &[bank::Account], id: &str| {
            accounts.iter().find(|account| account.account_id == id).map_or(0, |a| a.balance)
        };
        let provider = self.stores.provider.balances().await.expect("the ledger");
        let between =
            balance(&merchant, CLEARING) + balance(&customers, CLEARING) + provider.clearing;
        assert_eq!((between, provider.clearing + provider.cards), (0, 0));
        assert_eq!(self.stores.provider.held().await.expect("the count"), 0);
        balance(&merchant, MERCHANT) - seed::MERCHANT_OPENING
    }
}

fn by(method: PaymentMethod, minor: i64, paid_by: Option<&str>) -> MovePayment {
    let paid_by = paid_by.map(str::to_owned);
    MovePayment { user_id: "c-1001".into(), amount: Money::eur(minor), method, paid_by }
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_and_wallets_are_charged_and_refunded_by_both_versions_and_the_books_balance() {
    let world = world().await;
    let mut earned = 0;
    for number in 0..12_i64 {
        // Both versions get both methods, and refund what either of them charged.
        world.only(if number % 2 == 0 { "v1" } else { "v2" });
        let order = format!("ord-{number}");
        let method = if number % 3 == 0 { PaymentMethod::Wallet } else { PaymentMethod::Card };
        let minor = 1_000 + number;
        world.tell(bus::PAYMENT_AUTHORIZE, &order, "3", &by(method, minor, None)).await;
        let (paid_by, decision) = world.ended(&order, 1).await;
        assert_eq!(decision, Decision::Commit, "{order}");
        earned += minor;
        assert_eq!(world.earned().await, earned);
        if number % 4 < 2 {
            world.only(if number % 8 < 4 { "v1" } else { "v2" });
            // A command that comes twice is one command.
            for _ in 0..2 {
                let refund = by(method, minor, Some(&paid_by));
                world.tell(bus::PAYMENT_REFUND, &order, "7", &refund).await;
            }
            assert_eq!(world.ended(&order, 2).await.1, Decision::Commit, "{order} is refunded");
            earned -= minor;
            assert_eq!(world.earned().await, earned);
        }
    }
    assert!(world.supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_over_its_limit_is_declined_and_in_version_2_the_merchants_bank_is_not_asked() {
    let world = world().await;
    for (version, expected) in [("v1", 2), ("v2", 1)] {
        world.only(version);
        let order = format!("ord-{version}");
        let dear = by(PaymentMethod::Card, CARD_LIMIT + 1, None);
        world.tell(bus::PAYMENT_AUTHORIZE, &order, "3", &dear).await;
        let (_, decision) = world.ended(&order, 1).await;
        let Decision::Abort { voter, reason, grounds } = decision else { panic!("{decision:?}") };
        assert_eq!((voter.as_deref(), grounds), (Some(STRIPE), Some(Grounds::VotedNo)));
        assert!(reason.starts_with("card declined"), "{reason}");
        let records = world.stores.payments.of_order(&order).await.expect("the log");
        let log = &records[0].log;
        let asked = log.iter().filter(|line| line.kind == EntryKind::Prepare).count();
        assert_eq!(asked, expected, "{version}: {log:?}");
    }
    assert_eq!(world.earned().await, 0);
    assert!(world.supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_until_the_decision_hears_of_it_when_it_is_back() {
    let world = world().await;
    world.mesh.deregister(STRIPE);
    world.tell(bus::PAYMENT_AUTHORIZE, "ord-1", "3", &by(PaymentMethod::Card, 500, None)).await;
    let decided = eventually(PATIENCE, "the decision", async || {
        let records = world.stores.payments.of_order("ord-1").await.expect("the log");
        records.first().and_then(|record| record.decision.clone())
    });
    let decided = decided.await;
    let Decision::Abort { voter, grounds, .. } = decided else { panic!("{decided:?}") };
    assert_eq!((voter.as_deref(), grounds), (Some(STRIPE), Some(Grounds::NoAnswer)));
    world.start_provider().await;
    let (id, _) = world.ended("ord-1", 1).await;
    let kept = world.stores.provider.operation(&provider::Kind::Charge.id(&id)).await;
    let kept = kept.expect("the database").expect("the cancellation is kept");
    assert_eq!(kept.progress, provider::Progress::Canceled);
    assert_eq!(world.earned().await, 0);
    assert!(world.supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_takes_the_room_of_cards_alone_and_what_is_beyond_is_refused_at_once()
{
    // Room for four payments between the banks, and for one with the provider.
    let world = world_with(4).await;
    world.mesh.register(STRIPE, Router::new().fallback(std::future::pending::<StatusCode>));
    for number in 0..6 {
        let order = format!("ord-card-{number}");
        let card = by(PaymentMethod::Card, 500, None);
        world.tell(bus::PAYMENT_AUTHORIZE, &order, "3", &card).await;
    }
    for number in 1..6 {
        let order = format!("ord-card-{number}");
        let (_, decision) = world.ended(&order, 1).await;
        let Decision::Abort { voter, grounds, .. } = decision else { panic!("{decision:?}") };
        assert_eq!((voter.as_deref(), grounds), (Some(STRIPE), Some(Grounds::NoRoom)));
        let records = world.stores.payments.of_order(&order).await.expect("the log");
        let kinds: Vec<_> = records[0].log.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [EntryKind::Begin, EntryKind::DecideAbort, EntryKind::End]);
    }
    for number in 0..8 {
        let order = format!("ord-{number}");
        let wallet = by(PaymentMethod::Wallet, 500, None);
        world.tell(bus::PAYMENT_AUTHORIZE, &order, "3", &wallet).await;
        assert_eq!(world.ended(&order, 1).await.1, Decision::Commit, "{order}");
    }
    let first = world.stores.payments.of_order("ord-card-0").await.expect("the log");
    assert!(
        !matches!(first[0].phase(), Ok(Phase::Committed | Phase::Aborted)),
        "it is awaited still"
    );
    assert!(world.supervisor.shutdown(PATIENCE).await);
}
