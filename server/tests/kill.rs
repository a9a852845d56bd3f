//! Killed with SIGKILL fifty times at random moments under load, the shop loses nothing it
//! accepted, charges nobody twice, and finishes everything it began.
//!
//! The real program on one data folder. Customers remember every request with its
//! `Idempotency-Key`, and repeat those that were not answered.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use base::IdSource;
use contract::order::Origin;
use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use testkit::{Answer, Books, Client, Launch, client::send, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const KILLS: u64 = 50;
/// The program lives for so long at least, once it serves, milliseconds.
const LIFE_MIN: u64 = 100;
/// And for so long at most.
const LIFE_MAX: u64 = 600;
/// One start of so many is killed before it may serve: recovery must bear that too.
const STILLBORN_OF: u64 = 5;
/// Such a start lives for so long at most, milliseconds.
const STILLBORN_MAX: u64 = 150;
/// One order of so many of ours is paid by card.
const CARD_OF: u64 = 4;
/// Requests per second of the program's own load.
const LOAD: &str = "100";
/// Customers of ours, each with one request at a time.
const CUSTOMERS: usize = 6;
/// Far more than the rest takes, banks in doubt included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to place an order.
#[derive(Clone, Debug)]
struct Attempt {
    key: String,
    order: Value,
}

/// What our customers remember.
struct Memory {
    ids: IdSource,
    /// Not answered yet.
    open: Mutex<Vec<Attempt>>,
    /// Accepted: by key, with the order.
    accepted: Mutex<BTreeMap<String, (Attempt, String)>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_fifty_times_under_load_the_shop_loses_and_doubles_nothing() {
    let seed = testkit::seed();
    println!("VITRINE_TEST_SEED={seed} repeats this run");
    let folder = tempfile::tempdir().expect("a folder");
    let ids = IdSource::seeded(seed);
    let memory = Memory { ids: ids.clone(), open: Mutex::default(), accepted: Mutex::default() };

    for _ in 0..KILLS {
        let mut program = Launch::shop(PROGRAM, folder.path(), LOAD).spawn();
        if ids.below(STILLBORN_OF) == 0 {
            pause(ids.below(STILLBORN_MAX)).await;
            program.kill();
            continue;
        }
        let client = Client::new(program.address().await);
        let life = LIFE_MIN + ids.below(LIFE_MAX - LIFE_MIN);
        let death = async {
            pause(life).await;
            program.kill();
        };
        tokio::join!(death, crowd(&client, &memory));
        assert!(!program.stderr().contains("panicked"), "{}", program.stderr());
    }

    repeat(folder.path(), &memory).await;
    let books = Books::at_rest(PROGRAM, folder.path()).await;
    books.assert_in_order();
    let accepted = memory.accepted.into_inner();
    println!("{} orders, {} of them ours", books.orders.len(), accepted.len());
    assert!(accepted.len() > 50, "hardly an order was placed between the kills");
    assert!(books.provider.clearing > 0, "no order was paid by card");
    let kept: BTreeSet<_> = books
        .orders
        .iter()
        .filter(|order| order.row.origin == Origin::Api)
        .map(|order| order.row.order_id.clone())
        .collect();
    let promised: BTreeSet<_> = accepted.into_values().map(|(_, id)| id).collect();
    assert_eq!(kept, promised, "left: the orders kept, right: the orders promised, one for a key");
}

/// The random moment of a death; nothing is waited for.
async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Customers who order until the program is gone.
async fn crowd(client: &Client, memory: &Memory) {
    join_all((0..CUSTOMERS).map(|_| async {
        while let Some(id) = place(client, memory, memory.next()).await {
            let what = match memory.ids.below(100) {
                0..20 => "cancel",
                20..35 => "ship",
                _ => continue,
            };
            let path = format!("/api/v1/orders/{id}/{what}");
            if send(client.json(&path, &Value::Null)).await.is_err() {
                return;
            }
        }
    }))
    .await;
}

/// Places an order; nothing when the program did not say that it has it.
async fn place(client: &Client, memory: &Memory, attempt: Attempt) -> Option<String> {
    let post = client.json("/api/v1/orders", &attempt.order);
    let answer = send(post.header("idempotency-key", &attempt.key)).await;
    match answer {
        Ok(Answer { status: 202, body, .. }) => {
            let placed: Value = serde_json::from_slice(&body).expect("JSON");
            let id = placed["order_id"].as_str().expect("an id").to_owned();
            memory.accept(attempt, &id);
            Some(id)
        }
        // Too busy is no answer either.
        Ok(answer) if matches!(answer.status, 503 | 504) => {
            memory.open.lock().push(attempt);
            None
        }
        Ok(answer) => panic!("a good order was refused: {} {}", answer.status, answer.text()),
        Err(_) => {
            memory.open.lock().push(attempt);
            None
        }
    }
}

impl Memory {
    /// What to ask next: first what was never answered.
    fn next(&self) -> Attempt {
        self.open.lock().pop().unwrap_or_else(|| {
            let pick =
                |length: usize| usize::try_from(self.ids.below(length as u64)).expect("an index");
            let users = shop::seed::users();
            let products = shop::seed::products();
            let line = json!({
                "product_id": products[pick(products.len())].0.product_id,
                "quantity": 1 + self.ids.below(2),
            });
            let user_id = &users[pick(users.len())].0.user_id;
            let method = if self.ids.below(CARD_OF) == 0 { "card" } else { "wallet" };
            let order = json!({ "user_id": user_id, "items": [line], "payment_method": method });
            Attempt { key: self.ids.uuid().to_string(), order }
        })
    }

    /// A key means one order, for ever.
    fn accept(&self, attempt: Attempt, id: &str) {
        let mut accepted = self.accepted.lock();
        let known = accepted.entry(attempt.key.clone()).or_insert_with(|| (attempt, id.to_owned()));
        assert_eq!(known.1, id, "the key {} means two orders", known.0.key);
    }
}

/// Without load: everything unanswered is asked again, and so is everything answered.
async fn repeat(folder: &Path, memory: &Memory) {
    let (program, client) = Launch::shop(PROGRAM, folder, "0").start().await;
    eventually(PATIENCE, "an answer to every open request", async || {
        let open = std::mem::take(&mut *memory.open.lock());
        join_all(open.into_iter().map(|attempt| place(&client, memory, attempt))).await;
        memory.open.lock().is_empty().then_some(())
    })
    .await;
    let known: Vec<_> = memory.accepted.lock().values().map(|(known, _)| known.clone()).collect();
    for some in known.chunks(CUSTOMERS) {
        let again = some.iter().map(|known| place(&client, memory, known.clone()));
        let ids = join_all(again).await;
        assert!(ids.iter().all(Option::is_some), "a key was not answered again");
    }
    program.stop().await;
}
