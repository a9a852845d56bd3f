//! What the control plane keeps about faults: until when those of resources are active, which
//! numbers are given, and whether the kill switch is held.

use crate::revisions::RevisionLog;
use shop::StoreError;
use sqlx::{Row, sqlite::SqliteRow};

/// A fault that a resource asks for, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFault {
    /// The resource.
    pub resource: String,
    /// The route of it.
    pub route: String,
    /// What it does, to which share.
    pub fault: String,
    /// Until when, microseconds since the epoch; 0 when it is over, none when it has yet to begin.
    pub until_us: Option<i64>,
}

impl RevisionLog {
    /// The faults that were kept last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn faults(&self) -> Result<Vec<SavedFault>, StoreError> {
        let read = self.0.read_quietly(|c| {
            Box::pin(async move {
                let rows =
                    sqlx::query("SELECT resource, route, fault, until_us FROM resource_faults");
                rows.try_map(|row: SqliteRow| saved(&row)).fetch_all(c).await
            })
        });
        read.await
    }

    /// Keeps these in the place of those before.
    ///
    /// # Errors
    /// The database cannot be written; those before are kept.
    pub async fn keep_faults(&self, faults: Vec<SavedFault>) -> Result<(), StoreError> {
        let write = self.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("DELETE FROM resource_faults").execute(&mut *c).await?;
                for fault in faults {
                    sqlx::query("INSERT OR REPLACE INTO resource_faults VALUES (?, ?, ?, ?)")
                        .bind(fault.resource)
                        .bind(fault.route)
                        .bind(fault.fault)
                        .bind(fault.until_us)
                        .execute(&mut *c)
                        .await?;
                }
                Ok(())
            })
        });
        write.await
    }

    /// Since when the kill switch is held, microseconds since the epoch, if it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn kill_switch(&self) -> Result<Option<i64>, StoreError> {
        let read = self.0.read_quietly(|c| {
            Box::pin(async move {
                let since = sqlx::query_scalar("SELECT since_us FROM kill_switch");
                since.fetch_optional(c).await
            })
        });
        read.await
    }

    /// Keeps whether it is.
    ///
    /// # Errors
    /// The database cannot be written; it is as it was.
    pub async fn keep_kill_switch(&self, since_us: Option<i64>) -> Result<(), StoreError> {
        let write = self.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("DELETE FROM kill_switch").execute(&mut *c).await?;
                if let Some(since_us) = since_us {
                    let keep = sqlx::query("INSERT INTO kill_switch VALUES (1, ?)");
                    keep.bind(since_us).execute(c).await?;
                }
                Ok(())
            })
        });
        write.await
    }

    /// The last number of a fault that is given, or set aside for the run that may give it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn fault_numbers(&self) -> Result<u32, StoreError> {
        let read = self.0.read_quietly(|c| {
            Box::pin(async move {
                let last = sqlx::query_scalar("SELECT reserved FROM fault_numbers");
                last.fetch_optional(c).await
            })
        });
        Ok(read.await?.unwrap_or(0))
    }

    /// Keeps which is the last.
    ///
    /// # Errors
    /// The database cannot be written; it is as it was.
    pub async fn keep_fault_numbers(&self, last: u32) -> Result<(), StoreError> {
        let write = self.0.write_quietly(move |c| {
            Box::pin(async move {
                let keep = "INSERT INTO fault_numbers VALUES (1, ?1)
                            ON CONFLICT DO UPDATE SET reserved = ?1";
                sqlx::query(keep).bind(last).execute(c).await?;
                Ok(())
            })
        });
        write.await
    }
}

fn saved(row: &SqliteRow) -> Result<SavedFault, sqlx::Error> {
    Ok(SavedFault {
        resource: row.try_get("resource")?,
        route: row.try_get("route")?,
        fault: row.try_get("fault")?,
        until_us: row.try_get("until_us")?,
    })
}
