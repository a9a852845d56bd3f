//! users' tables.

use crate::database::Database;
use async_trait::async_trait;
use shop::{
    StoreError,
    users::{User, UserStore},
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

pub(crate) struct Users(pub(crate) Database);

#[async_trait]
impl UserStore for Users {
    async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = self.0.read("users.users", |c| {
            let all = sqlx::query("SELECT * FROM users ORDER BY user_id");
            Box::pin(all.try_map(|row| user(&row)).fetch_all(c))
        });
        rows.await
    }

    async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        let id = id.to_owned();
        let row = self.0.read("users.user", |c| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM users WHERE user_id = ?")
                    .bind(id)
                    .try_map(|row| user(&row))
                    .fetch_optional(c)
                    .await
            })
        });
        row.await
    }
}

fn user(row: &SqliteRow) -> Result<User, sqlx::Error> {
    Ok(User {
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        city: row.try_get("city")?,
        note: row.try_get("note")?,
    })
}

/// Puts the first customers on an empty table.
pub(crate) async fn seed(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for (user, _) in shop::seed::users() {
        sqlx::query("INSERT INTO users VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(user.user_id)
            .bind(user.name)
            .bind(user.email)
            .bind(user.city)
            .bind(user.note)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
