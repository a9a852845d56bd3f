//! recommendations' tables.

use crate::{database::Database, inbox};
use async_trait::async_trait;
use base::Clock;
use messaging::Message;
use shop::{StoreError, recommendations::RecommendationStore, store::Taken};

pub(crate) struct Recommendations(pub(crate) Database, pub(crate) Clock);

#[async_trait]
impl RecommendationStore for Recommendations {
    async fn beside(&self, product_id: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let id = product_id.to_owned();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = self.0.read("recommendations.beside", |c| {
            Box::pin(async move {
                sqlx::query_scalar(
                    "SELECT beside FROM pairs WHERE product_id = ?
                     ORDER BY times DESC, beside LIMIT ?",
                )
                .bind(id)
                .bind(limit)
                .fetch_all(c)
                .await
            })
        });
        read.await
    }

    async fn learn(&self, message: &Message, together: &[String]) -> Result<Taken, StoreError> {
        let (id, together, now_us) = (message.id.clone(), together.to_vec(), self.1.now_us());
        let write = self.0.write("recommendations.learn", move |c| {
            Box::pin(async move {
                if !inbox::take(c, &id, now_us).await? {
                    return Ok(Taken::Before);
                }
                for product in &together {
                    for beside in together.iter().filter(|other| *other != product) {
                        sqlx::query(
                            "INSERT INTO pairs VALUES (?, ?, 1)
                             ON CONFLICT DO UPDATE SET times = times + 1",
                        )
                        .bind(product)
                        .bind(beside)
                        .execute(&mut *c)
                        .await?;
                    }
                }
                Ok(Taken::Now)
            })
        });
        write.await
    }
}
