//! The books of a shop: every account, shelf, order and transaction, read through its own data.

use crate::{Launch, eventually};
use base::Clock;
use contract::order::{OrderRow, OrderStatus};
use messaging::Outbox;
use saga::State;
use shop::{
    StoreError,
    bank::{Account, BankStore},
    inventory::Level,
    orders::{CHECKOUT, OrderStory, RowQuery},
    payments::TransactionRecord,
    provider::ProviderBalances,
};
use std::{path::Path, sync::Arc, time::Duration};
use storage::{Durability, Stores};

/// Far more than the rest of anything takes, banks in doubt included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rows read at once.
const PAGE: usize = 500;

/// One bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankBooks {
    /// Every account, by id.
    pub accounts: Vec<Account>,
    /// Sum of every posting.
    pub ledger_sum: i64,
    /// Transactions prepared and not decided.
    pub prepared: u64,
}

/// One order with everything that was done for it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBooks {
    /// In the read model.
    pub row: OrderRow,
    /// Its events and its saga.
    pub story: OrderStory,
    /// Payments and refunds, oldest first.
    pub transactions: Vec<TransactionRecord>,
}

/// Everything at one moment. Meaningful only while nothing moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Books {
    /// The customers' bank.
    pub customers: BankBooks,
    /// The merchant's bank.
    pub merchant: BankBooks,
    /// The external payment provider.
    pub provider: ProviderBalances,
    /// Every shelf, by product.
    pub levels: Vec<Level>,
    /// Every order, newest first.
    pub orders: Vec<OrderBooks>,
    /// What is still under way.
    pub unrest: Vec<String>,
}

impl BankBooks {
    async fn read(bank: &dyn BankStore) -> Result<Self, StoreError> {
        Ok(Self {
            accounts: bank.accounts().await?,
            ledger_sum: bank.ledger_sum().await?,
            prepared: bank.held().await?,
        })
    }

    /// What is on an account; nothing when there is none.
    #[must_use]
    pub fn balance(&self, id: &str) -> i64 {
        self.accounts.iter().find(|account| account.account_id == id).map_or(0, |a| a.balance)
    }
}

impl Books {
    /// Reads a shop that runs in this process.
    ///
    /// # Panics
    /// When its data cannot be read.
    pub async fn read(stores: &Stores) -> Self {
        Self::try_read(stores).await.expect("the books")
    }

    async fn try_read(stores: &Stores) -> Result<Self, StoreError> {
        // Messages wander between the databases, which are read one after the other: only what is
        // at rest before and after, with every saga at its end in between, was at rest.
        let mut unrest = unrest(stores).await?;
        let mut orders = Vec::new();
        for row in rows(stores).await? {
            let story = stores.orders.story(&row.order_id).await?.expect("an order has a story");
            let transactions = stores.payments.of_order(&row.order_id).await?;
            orders.push(OrderBooks { row, story, transactions });
        }
        let moving = orders.iter().filter(|order| order.is_moving()).count();
        let books = Self {
            customers: BankBooks::read(&*stores.bank_customer).await?,
            merchant: BankBooks::read(&*stores.bank_merchant).await?,
            provider: stores.provider.balances().await?,
            levels: stores.inventory.levels().await?,
            orders,
            unrest: Vec::new(),
        };
        note(&mut unrest, "orders on their way", moving);
        unrest.extend(self::unrest(stores).await?);
        Ok(Self { unrest, ..books })
    }

    /// Reads the data folder of a program that does not run, and leaves it closed. The read model
    /// is brought up to date first, as the program does after a start.
    ///
    /// # Panics
    /// When the folder cannot be opened or read.
    pub async fn of_folder(folder: &Path) -> Self {
        let stores = storage::open(folder, Durability::Process, &Clock::system()).await;
        let stores = stores.expect("the folder opens");
        while !stores.orders.project(PAGE).await.expect("the read model").is_empty() {}
        let books = Self::read(&stores).await;
        stores.close().await;
        books
    }

    /// Lets the program run without load until nothing is under way any more, and reads its books.
    ///
    /// # Panics
    /// When it does not come to rest, or does not stop when asked.
    pub async fn at_rest(program: &str, folder: &Path) -> Self {
        eventually(PATIENCE, "the end of everything begun", async || {
            let (program, client) = Launch::shop(program, folder, "0").start().await;
            eventually(PATIENCE, "the end of every order", async || {
                let processing = client.get("/api/v1/orders?status=processing&limit=1").await;
                processing.json()["orders"].as_array().is_some_and(Vec::is_empty).then_some(())
            })
            .await;
            program.stop().await;
            let books = Self::of_folder(folder).await;
            books.unrest.is_empty().then_some(books)
        })
        .await
    }

    /// How many orders are in this status.
    #[must_use]
    pub fn count(&self, status: OrderStatus) -> usize {
        self.orders.iter().filter(|order| order.row.status == status).count()
    }

    /// How many orders were cancelled for this reason.
    #[must_use]
    pub fn cancelled_for(&self, reason: &str) -> usize {
        use shop::orders::OrderEvent::OrderCancelled;
        let for_it = |order: &&OrderBooks| {
            let last = order.story.events.last().map(|recorded| &recorded.event);
            matches!(last, Some(OrderCancelled { reason: why }) if why == reason)
        };
        self.orders.iter().filter(for_it).count()
    }

    /// Checks that nothing is under way and that every invariant of the shop holds.
    ///
    /// # Panics
    /// When not, with every fault.
    pub fn assert_in_order(&self) {
        assert!(self.unrest.is_empty(), "still under way: {}", self.unrest.join("; "));
        let faults = crate::faults::find(self);
        let shown = faults.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n  ");
        assert!(faults.is_empty(), "{} faults in the books:\n  {shown}", faults.len());
    }
}

impl OrderBooks {
    /// Its saga runs, or the read model has not seen all of it.
    fn is_moving(&self) -> bool {
        let saga = saga::replay(&CHECKOUT, &self.story.saga);
        let over = matches!(saga, Ok(State::Completed | State::Compensated | State::Stuck { .. }));
        let last = self.story.events.last().map(|recorded| recorded.version);
        !over || last != Some(self.row.version)
    }
}

fn note(found: &mut Vec<String>, what: &str, count: usize) {
    if count > 0 {
        found.push(format!("{count} {what}"));
    }
}

/// What each database says is still under way.
async fn unrest(stores: &Stores) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let processing = RowQuery { status: Some(OrderStatus::Processing), ..query() };
    note(&mut found, "orders processing", stores.orders.rows(processing).await?.len());
    let unfinished = stores.payments.unfinished_count().await?;
    note(&mut found, "transactions unfinished", unfinished);
    for (what, bank) in [
        ("prepared at the customers' bank", &stores.bank_customer),
        ("prepared at the merchant's bank", &stores.bank_merchant),
    ] {
        note(&mut found, what, usize::try_from(bank.held().await?).unwrap_or(usize::MAX));
    }
    let held = stores.provider.held().await?;
    note(&mut found, "held at the payment provider", usize::try_from(held).unwrap_or(usize::MAX));
    for (what, outbox) in [
        ("messages of orders", stores.orders.outbox()),
        ("messages of inventory", stores.inventory.outbox()),
        ("messages of payments", stores.payments.outbox()),
    ] {
        note(&mut found, what, waiting(outbox).await);
    }
    Ok(found)
}

async fn waiting(outbox: Arc<dyn Outbox>) -> usize {
    outbox.after(0, &[], PAGE).await.expect("the outbox").len()
}

fn query() -> RowQuery {
    RowQuery { limit: PAGE, ..RowQuery::default() }
}

async fn rows(stores: &Stores) -> Result<Vec<OrderRow>, StoreError> {
    let mut all: Vec<OrderRow> = Vec::new();
    loop {
        let before = all.last().map(|row| (row.placed_at_us, row.order_id.clone()));
        let page = stores.orders.rows(RowQuery { before, ..query() }).await?;
        let over = page.len() < PAGE;
        all.extend(page.into_iter().map(|listed| listed.row));
        if over {
            return Ok(all);
        }
    }
}
