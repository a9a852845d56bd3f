//! The control plane's table: which configuration was in force, and who made it.

use crate::database::Database;
use istio::REVISIONS_MAX;
use shop::StoreError;
use sqlx::{Row, sqlite::SqliteRow};

/// One revision as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRevision {
    /// Counts up.
    pub number: u64,
    /// When it was made, microseconds since the epoch.
    pub at_us: i64,
    /// Who made it.
    pub who: String,
    /// The revision it brought back, if it is a restore.
    pub restored: Option<u64>,
    /// The whole configuration, as printed.
    pub yaml: String,
}

/// The history of the configuration.
#[derive(Clone)]
pub struct RevisionLog(pub(crate) Database);

impl std::fmt::Debug for RevisionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RevisionLog")
    }
}

impl RevisionLog {
    /// Every revision that is kept, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn load(&self) -> Result<Vec<SavedRevision>, StoreError> {
        let read = self.0.read_quietly(|c| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT number, at_us, who, restored, yaml FROM revisions ORDER BY number",
                );
                rows.try_map(|row: SqliteRow| saved(&row)).fetch_all(c).await
            })
        });
        read.await
    }

    /// Keeps a revision, and forgets the oldest beyond [`REVISIONS_MAX`].
    ///
    /// # Errors
    /// The database cannot be written; nothing is kept.
    pub async fn append(&self, revision: SavedRevision) -> Result<(), StoreError> {
        let oldest = number(revision.number).saturating_sub(number(REVISIONS_MAX as u64));
        let write = self.0.write_quietly(move |c| {
            Box::pin(async move {
                sqlx::query("INSERT INTO revisions VALUES (?, ?, ?, ?, ?)")
                    .bind(number(revision.number))
                    .bind(revision.at_us)
                    .bind(revision.who)
                    .bind(revision.restored.map(number))
                    .bind(revision.yaml)
                    .execute(&mut *c)
                    .await?;
                let old = sqlx::query("DELETE FROM revisions WHERE number <= ?").bind(oldest);
                old.execute(c).await?;
                Ok(())
            })
        });
        write.await
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn saved(row: &SqliteRow) -> Result<SavedRevision, sqlx::Error> {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(SavedRevision {
        number: unsigned(row.try_get("number")?),
        at_us: row.try_get("at_us")?,
        who: row.try_get("who")?,
        restored: row.try_get::<Option<i64>, _>("restored")?.map(unsigned),
        yaml: row.try_get("yaml")?,
    })
}
