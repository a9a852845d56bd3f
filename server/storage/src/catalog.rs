//! catalog's tables.

use crate::database::Database;
use async_trait::async_trait;
use contract::Money;
use shop::{
    StoreError,
    catalog::{CatalogStore, Product},
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

pub(crate) struct Catalog(pub(crate) Database);

#[async_trait]
impl CatalogStore for Catalog {
    async fn products(&self) -> Result<Vec<Product>, StoreError> {
        let rows = self.0.read("catalog.products", |c| {
            let all = sqlx::query("SELECT * FROM shown_products ORDER BY name");
            Box::pin(all.try_map(|row| product(&row)).fetch_all(c))
        });
        rows.await
    }

    async fn named(&self, ids: &[String]) -> Result<Vec<Product>, StoreError> {
        let ids = serde_json::json!(ids).to_string();
        let rows = self.0.read("catalog.named", |c| {
            Box::pin(async move {
                sqlx::query(
                    "SELECT * FROM shown_products
                     WHERE product_id IN (SELECT value FROM json_each(?)) ORDER BY name",
                )
                .bind(ids)
                .try_map(|row| product(&row))
                .fetch_all(c)
                .await
            })
        });
        rows.await
    }
}

fn product(row: &SqliteRow) -> Result<Product, sqlx::Error> {
    Ok(Product {
        product_id: row.try_get("product_id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        category: row.try_get("category")?,
        price: Money::eur(row.try_get("price_minor")?),
        stock: None,
        updated_at: row.try_get("updated_at")?,
    })
}

/// Puts the first products on an empty table.
pub(crate) async fn seed(
    connection: &mut SqliteConnection,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    for (product, _) in shop::seed::products() {
        sqlx::query("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(product.product_id)
            .bind(product.name)
            .bind(product.description)
            .bind(product.category)
            .bind(product.price.minor)
            .bind(now_us)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
