//! users: who can buy.

use crate::{
    StoreError,
    problem::Problem,
    store::{Probe, livez},
};
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Stable id: `c-1042`.
    pub user_id: String,
    /// Name for people.
    pub name: String,
    /// Where to write to.
    pub email: String,
    /// Where they live.
    pub city: String,
    /// One line about the wallet.
    pub note: String,
}

/// users' database.
#[async_trait]
pub trait UserStore: Probe {
    /// Everybody, by id.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// One.
    async fn user(&self, id: &str) -> Result<Option<User>, StoreError>;
}

type Store = Arc<dyn UserStore>;

/// A list of customers.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Users {
    /// The customers.
    pub users: Vec<User>,
}

/// The service.
pub fn router(store: Store) -> Router {
    let public = || Router::new().route("/users", get(list)).route("/users/{id}", get(one));
    public()
        .nest("/api/v1", public())
        .route("/livez", get(livez::<dyn UserStore>))
        .with_state(store)
}

async fn list(State(store): State<Store>) -> Result<Json<Users>, Problem> {
    Ok(Json(Users { users: store.users().await? }))
}

async fn one(State(store): State<Store>, Path(id): Path<String>) -> Result<Json<User>, Problem> {
    let found = store.user(&id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(&format!("customer {id}")))
}
