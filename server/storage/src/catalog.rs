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
            Box::pin(sqlx::query("SELECT * FROM shown_products ORDER BY name").fetch_all(c))
        });
        Ok(rows.await?.iter().map(product).collect())
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
                .fetch_all(c)
                .await
            })
        });
        Ok(rows.await?.iter().map(product).collect())
    }
}

/// The columns are as the migration declares them; reading them cannot fail.
fn product(row: &SqliteRow) -> Product {
    Product {
        product_id: row.get("product_id"),
        name: row.get("name"),
        description: row.get("description"),
        category: row.get("category"),
        price: Money::eur(row.get("price_minor")),
        stock: None,
        updated_at: row.get("updated_at"),
    }
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
