//! inventory's tables.

use crate::{
    database::Database,
    inbox,
    keys::{self, Used},
    outbox::{self, Cause, SqliteOutbox},
};
use async_trait::async_trait;
use base::Clock;
use messaging::{Message, Outbox};
use shop::{
    StoreError,
    inventory::{Asked, Held, InventoryStore, Level, Reservation, ShelfChange, decide},
    key::Commanded,
    store::{HasOutbox, Taken},
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::sync::Arc;

pub(crate) struct Inventory(pub(crate) Database, pub(crate) Clock);

impl HasOutbox for Inventory {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox(self.0.clone(), self.1.clone()))
    }
}

#[async_trait]
impl InventoryStore for Inventory {
    async fn levels(&self) -> Result<Vec<Level>, StoreError> {
        let rows = self.0.read("inventory.levels", |c| {
            let all = sqlx::query("SELECT * FROM levels ORDER BY product_id");
            Box::pin(all.try_map(|row| level(&row)).fetch_all(c))
        });
        rows.await
    }

    async fn take(&self, message: &Message, asked: Asked) -> Result<Taken, StoreError> {
        let cause = Cause::of(message, self.1.now_us());
        let (id, order_id) = (message.id.clone(), message.key.clone());
        let write = self.0.write("inventory.take", move |c| {
            Box::pin(async move {
                if !inbox::take(c, &id, cause.now_us).await? {
                    return Ok(Taken::Before);
                }
                let reservation = reservation(c, &order_id).await?;
                let lines = match (&asked, &reservation) {
                    (Asked::Reserve(lines), None) => lines.clone(),
                    (_, Some(reservation)) => reservation.lines.clone(),
                    (_, None) => Vec::new(),
                };
                let levels = levels_of(c, &lines).await?;
                let change = decide(&order_id, &asked, &levels, reservation.as_ref());
                record(c, &order_id, &cause, change).await?;
                Ok(Taken::Now)
            })
        });
        write.await
    }

    async fn deliver(
        &self,
        product_id: &str,
        quantity: u32,
        key: Option<String>,
    ) -> Result<Commanded, StoreError> {
        let (id, now_us) = (product_id.to_owned(), self.1.now_us());
        let write = self.0.write("inventory.deliver", move |c| {
            Box::pin(async move {
                let known = sqlx::query("SELECT 1 FROM levels WHERE product_id = ?").bind(&id);
                if known.fetch_optional(&mut *c).await?.is_none() {
                    return Ok(Commanded::Unknown);
                }
                match keys::take(c, key.as_deref(), &format!("{id} {quantity}"), now_us).await? {
                    Used::Now => {}
                    Used::Before => return Ok(Commanded::Done),
                    Used::Otherwise => return Ok(Commanded::KeyReused),
                }
                sqlx::query(
                    "UPDATE levels SET available = available + ?1, delivered = delivered + ?1
                     WHERE product_id = ?2",
                )
                .bind(quantity)
                .bind(id)
                .execute(c)
                .await?;
                Ok(Commanded::Done)
            })
        });
        write.await
    }
}

fn level(row: &SqliteRow) -> Result<Level, sqlx::Error> {
    Ok(Level {
        product_id: row.try_get("product_id")?,
        available: row.try_get("available")?,
        reserved: row.try_get("reserved")?,
        sold: row.try_get("sold")?,
        delivered: row.try_get("delivered")?,
    })
}

async fn levels_of(
    connection: &mut SqliteConnection,
    lines: &[(String, u32)],
) -> Result<Vec<Level>, sqlx::Error> {
    let ids: Vec<&str> = lines.iter().map(|(id, _)| id.as_str()).collect();
    sqlx::query("SELECT * FROM levels WHERE product_id IN (SELECT value FROM json_each(?))")
        .bind(serde_json::json!(ids).to_string())
        .try_map(|row| level(&row))
        .fetch_all(connection)
        .await
}

async fn reservation(
    connection: &mut SqliteConnection,
    order_id: &str,
) -> Result<Option<Reservation>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM reservations WHERE order_id = ?")
        .bind(order_id)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let lines: String = row.try_get("lines")?;
    let state: String = row.try_get("state")?;
    Ok(Some(Reservation {
        reservation_id: row.try_get("reservation_id")?,
        lines: serde_json::from_str(&lines).map_err(|e| sqlx::Error::Decode(e.into()))?,
        held: match state.as_str() {
            "held" => Held::Held,
            "released" => Held::Released,
            _ => Held::Sold,
        },
    }))
}

async fn record(
    connection: &mut SqliteConnection,
    order_id: &str,
    cause: &Cause,
    change: ShelfChange,
) -> Result<(), sqlx::Error> {
    for level in change.levels {
        sqlx::query("UPDATE levels SET available = ?, reserved = ?, sold = ? WHERE product_id = ?")
            .bind(level.available)
            .bind(level.reserved)
            .bind(level.sold)
            .bind(level.product_id)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(reservation) = change.reservation {
        let state = match reservation.held {
            Held::Held => "held",
            Held::Released => "released",
            Held::Sold => "sold",
        };
        sqlx::query(
            "INSERT INTO reservations VALUES (?, ?, ?, ?, ?) ON CONFLICT (order_id)
             DO UPDATE SET state = excluded.state, changed_us = excluded.changed_us",
        )
        .bind(order_id)
        .bind(reservation.reservation_id)
        .bind(state)
        .bind(serde_json::json!(reservation.lines).to_string())
        .bind(cause.now_us)
        .execute(&mut *connection)
        .await?;
    }
    if let Some(answer) = change.answer {
        outbox::put(connection, cause, &answer).await?;
    }
    Ok(())
}

/// Puts the first deliveries on empty shelves.
pub(crate) async fn seed(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for (product, quantity) in shop::seed::products() {
        sqlx::query("INSERT INTO levels VALUES (?1, ?2, 0, 0, ?2) ON CONFLICT DO NOTHING")
            .bind(product.product_id)
            .bind(quantity)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
