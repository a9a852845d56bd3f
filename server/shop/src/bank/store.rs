//! A bank's database.

use super::{Account, BankWork};
use crate::{StoreError, key::Commanded, store::Probe};
use async_trait::async_trait;
use base::TraceContext;
use two_phase_commit::{IllegalStep, Vote};

/// A transaction that is prepared and not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// Its id.
    pub transaction_id: String,
    /// When it was prepared, microseconds since the epoch.
    pub prepared_us: i64,
    /// What it is about.
    pub order_id: String,
    /// The span that prepared it.
    pub trace: TraceContext,
    /// `X-Correlation-ID` of the request that began it all.
    pub correlation_id: Option<String>,
}

/// A place in the order in which transactions were prepared: that moment and an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtMark(pub i64, pub String);

impl DoubtMark {
    /// Before all of them.
    #[must_use]
    pub const fn start() -> Self {
        Self(i64::MIN, String::new())
    }
}

impl InDoubt {
    /// Its place.
    #[must_use]
    pub fn mark(&self) -> DoubtMark {
        DoubtMark(self.prepared_us, self.transaction_id.clone())
    }
}

/// A bank's database. A call that returned Ok is durable.
#[async_trait]
pub trait BankStore: Probe {
    /// Every account, by id.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// Transactions prepared and not decided.
    async fn held(&self) -> Result<u64, StoreError>;
    /// Votes, as [`super::prepare`] says. Idempotent.
    async fn prepare(
        &self,
        transaction_id: &str,
        work: &BankWork,
        correlation_id: Option<String>,
    ) -> Result<Vote, StoreError>;
    /// Applies the decision, as [`super::finish`] says; gives the order it was about.
    /// Idempotent.
    async fn finish(
        &self,
        transaction_id: &str,
        commit: bool,
    ) -> Result<Result<String, IllegalStep>, StoreError>;
    /// Transactions prepared before a moment and not decided, oldest first, at most a page: those
    /// after a mark. With them those of a time that has not come yet, from before the clock was
    /// set back.
    async fn in_doubt(&self, before_us: i64, after: &DoubtMark)
    -> Result<Vec<InDoubt>, StoreError>;
    /// The number of all of these.
    async fn doubts(&self, before_us: i64) -> Result<u64, StoreError>;
    /// Pays in from outside, once for a key.
    async fn deposit(
        &self,
        account_id: &str,
        minor: i64,
        key: Option<String>,
    ) -> Result<Commanded, StoreError>;
    /// The sum of all postings, which double entry keeps at zero.
    async fn ledger_sum(&self) -> Result<i64, StoreError>;
}
