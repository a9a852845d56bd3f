//! Messages taken, in the same transaction as their effect.

use sqlx::SqliteConnection;

/// Remembers a message; false when it was taken before.
pub(crate) async fn take(
    connection: &mut SqliteConnection,
    message_id: &str,
    now_us: i64,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query(
        "INSERT INTO inbox (message_id, taken_us) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(message_id)
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}
