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
            Box::pin(sqlx::query("SELECT * FROM users ORDER BY user_id").fetch_all(c))
        });
        Ok(rows.await?.iter().map(user).collect())
    }

    async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        let id = id.to_owned();
        let row = self.0.read("users.user", |c| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM users WHERE user_id = ?")
                    .bind(id)
                    .fetch_optional(c)
                    .await
            })
        });
        Ok(row.await?.as_ref().map(user))
    }
}

fn user(row: &SqliteRow) -> User {
    User {
        user_id: row.get("user_id"),
        name: row.get("name"),
        email: row.get("email"),
        city: row.get("city"),
        note: row.get("note"),
    }
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
