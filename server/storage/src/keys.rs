//! Idempotency keys of commands, in the same transaction as their effect.

use sqlx::SqliteConnection;

/// What using a key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// It is used now.
    Now,
    /// It was used for this very command before.
    Before,
    /// It was used for another command.
    Otherwise,
}

/// Uses a key for the command with this fingerprint; without a key every command is a new one.
pub(crate) async fn take(
    connection: &mut SqliteConnection,
    key: Option<&str>,
    fingerprint: &str,
    now_us: i64,
) -> Result<Used, sqlx::Error> {
    let Some(key) = key else { return Ok(Used::Now) };
    let known: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM keys WHERE key = ?")
        .bind(key)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(known) = known {
        return Ok(if known == fingerprint { Used::Before } else { Used::Otherwise });
    }
    sqlx::query("INSERT INTO keys (key, fingerprint, used_us) VALUES (?, ?, ?)")
        .bind(key)
        .bind(fingerprint)
        .bind(now_us)
        .execute(connection)
        .await?;
    Ok(Used::Now)
}
