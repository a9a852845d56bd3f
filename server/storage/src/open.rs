//! Opens every database of the shop and puts the demo data into new ones.

use crate::{
    bank::{self, Bank},
    catalog::{self, Catalog},
    database::{Database, Writers, failed},
    inventory::{self, Inventory},
    migrations::{self, Step, migrator},
    orders::Orders,
    payments::Payments,
    provider::Provider,
    recommendations::Recommendations,
    revisions::RevisionLog,
    users::{self, Users},
};
use async_trait::async_trait;
use base::Clock;
use contract::service;
use shop::{
    StoreError,
    bank::BankStore,
    catalog::CatalogStore,
    inventory::InventoryStore,
    orders::OrderStore,
    payments::PaymentStore,
    provider::ProviderStore,
    recommendations::RecommendationStore,
    store::{Probe, Prune},
    users::UserStore,
};
use sqlx::sqlite::SqliteSynchronous;
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every port answers for its database.
macro_rules! probed {
    ($($store:ty),*) => {$(
        #[async_trait]
        impl Probe for $store {
            async fn probe(&self) -> Result<(), StoreError> {
                self.0.probe().await
            }
        }
    )*};
}

probed!(Catalog, Users, Recommendations, Inventory, Orders, Payments, Provider, Bank);

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process and the loss of power: every commit is synced to disk
    /// (`synchronous = FULL`).
    Synced,
    /// The end of the process only: for data that is thrown away anyway (`synchronous = OFF`).
    Process,
}

/// Why the shop cannot open its data.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the data folder {} cannot be used: {cause}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process works in it.
    #[error(
        "another Vitrine uses the data folder {}; stop it or choose another --data-dir",
        folder.display()
    )]
    InUse {
        /// Which folder.
        folder: PathBuf,
    },
    /// A database cannot be opened.
    #[error("{error}: {}", error.cause)]
    Database {
        /// Which, and why.
        #[from]
        error: StoreError,
    },
}

/// Every database, as the shop knows it.
pub struct Stores {
    /// catalog's.
    pub catalog: Arc<dyn CatalogStore>,
    /// users'.
    pub users: Arc<dyn UserStore>,
    /// recommendations'.
    pub recommendations: Arc<dyn RecommendationStore>,
    /// inventory's.
    pub inventory: Arc<dyn InventoryStore>,
    /// orders'.
    pub orders: Arc<dyn OrderStore>,
    /// payments'.
    pub payments: Arc<dyn PaymentStore>,
    /// The customers' bank's.
    pub bank_customer: Arc<dyn BankStore>,
    /// The merchant's bank's.
    pub bank_merchant: Arc<dyn BankStore>,
    /// The external payment provider's.
    pub provider: Arc<dyn ProviderStore>,
    /// The control plane's.
    pub revisions: RevisionLog,
    /// Those that forget what is over.
    pub forgetful: Vec<Arc<dyn Prune>>,
    writers: Writers,
    /// Held as long as the process works in the folder.
    lock: File,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("lock", &self.lock).finish_non_exhaustive()
    }
}

/// Opens the folder (made if missing) for this process alone.
///
/// # Errors
/// When the folder cannot be used, is in use, or holds what is no database of ours.
pub async fn open(
    folder: &Path,
    durability: Durability,
    clock: &Clock,
) -> Result<Stores, OpenError> {
    let lock = lock(folder)?;
    let writers = Writers::default();
    let at = Opening { folder, durability, writers: &writers };
    let now_us = clock.now_us();
    let (catalog, users, recommendations, inventory) = tokio::try_join!(
        at.open(service::CATALOG, migrations::CATALOG),
        at.open(service::USERS, migrations::USERS),
        at.open(service::RECOMMENDATIONS, migrations::RECOMMENDATIONS),
        at.open(service::INVENTORY, migrations::INVENTORY),
    )?;
    let (orders, payments, customer, merchant) = tokio::try_join!(
        at.open(service::ORDERS, migrations::ORDERS),
        at.open(service::PAYMENTS, migrations::PAYMENTS),
        at.open(service::BANK_CUSTOMER, migrations::BANK),
        at.open(service::BANK_MERCHANT, migrations::BANK),
    )?;
    let provider = at.open(service::STRIPE, migrations::PROVIDER).await?;
    let control = at.open("control", migrations::CONTROL).await?;
    let wallets =
        shop::seed::users().into_iter().map(|(user, opening)| (user.user_id, opening)).collect();
    let income = vec![(shop::bank::MERCHANT.to_owned(), shop::seed::MERCHANT_OPENING)];
    tokio::try_join!(
        catalog.write_quietly(move |c| Box::pin(catalog::seed(c, now_us))),
        users.write_quietly(|c| Box::pin(users::seed(c))),
        inventory.write_quietly(|c| Box::pin(inventory::seed(c))),
        customer.write_quietly(move |c| Box::pin(bank::seed(c, wallets, now_us))),
        merchant.write_quietly(move |c| Box::pin(bank::seed(c, income, now_us))),
    )?;
    writers.tasks.close();
    let recommendations = Arc::new(Recommendations(recommendations, clock.clone()));
    let inventory = Arc::new(Inventory(inventory, clock.clone()));
    let orders = Arc::new(Orders(orders, clock.clone()));
    let payments = Arc::new(Payments(payments, clock.clone()));
    let bank_customer = Arc::new(Bank(customer, clock.clone()));
    let bank_merchant = Arc::new(Bank(merchant, clock.clone()));
    let provider = Arc::new(Provider(provider, clock.clone()));
    Ok(Stores {
        forgetful: vec![
            orders.clone(),
            inventory.clone(),
            payments.clone(),
            bank_customer.clone(),
            bank_merchant.clone(),
            provider.clone(),
            recommendations.clone(),
        ],
        catalog: Arc::new(Catalog(catalog)),
        users: Arc::new(Users(users)),
        recommendations,
        inventory,
        orders,
        payments,
        bank_customer,
        bank_merchant,
        provider,
        revisions: RevisionLog(control),
        writers,
        lock,
    })
}

impl Stores {
    /// Writes what waits and closes every database; later writes and reads fail.
    pub async fn close(&self) {
        self.writers.closing.cancel();
        self.writers.tasks.wait().await;
    }

    /// Returns when the writer of a database died, which no bug of one write can bring about:
    /// that database takes no writes any more, so the process had better end.
    pub async fn lost(&self) {
        self.writers.lost.cancelled().await;
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |cause| OpenError::Folder { folder: folder.to_owned(), cause };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}

struct Opening<'a> {
    folder: &'a Path,
    durability: Durability,
    writers: &'a Writers,
}

impl Opening<'_> {
    async fn open(&self, name: &'static str, steps: &[Step]) -> Result<Database, StoreError> {
        let synchronous = match self.durability {
            Durability::Synced => SqliteSynchronous::Full,
            Durability::Process => SqliteSynchronous::Off,
        };
        let file = self.folder.join(format!("{name}.sqlite"));
        if file.is_dir() {
            return Err(failed(name, io::Error::other("its file is a folder").into()));
        }
        Database::open(name, &file, synchronous, &migrator(steps), self.writers).await
    }
}
