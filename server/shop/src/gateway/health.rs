//! Health: is each service there, and is the shop as a whole.

use super::{Context, Gateway};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use contract::service::{
    BANK_CUSTOMER, BANK_MERCHANT, CATALOG, INVENTORY, ORDERS, PAYMENTS, RECOMMENDATIONS, USERS,
};
use futures::future::join_all;
use http::StatusCode;
use mesh::CallContext;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long a service may take to say that it lives.
const LIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who is asked, and whether the shop can do without.
const ASKED: [(&str, bool); 8] = [
    (CATALOG, false),
    (USERS, false),
    (ORDERS, false),
    (INVENTORY, false),
    (PAYMENTS, false),
    (BANK_CUSTOMER, false),
    (BANK_MERCHANT, false),
    (RECOMMENDATIONS, true),
];

/// How the shop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Every service answers.
    Healthy,
    /// An optional service does not answer.
    Degraded,
    /// A service the shop cannot do without does not answer.
    Unhealthy,
}

/// How one service is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceHealth {
    /// `up` or `down`.
    pub status: String,
    /// The shop works without it.
    pub optional: bool,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// How everything is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// The shop.
    pub status: HealthState,
    /// Each service.
    pub services: BTreeMap<String, ServiceHealth>,
}

async fn ask(gateway: &Gateway, context: &CallContext) -> Health {
    let asked = ASKED.map(|(service, optional)| async move {
        let answer = gateway
            .caller
            .get(service, "/livez")
            .route("/livez")
            .context(context)
            .timeout(LIVE_TIMEOUT)
            .send()
            .await;
        let reason = match answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        let status = if reason.is_none() { "up" } else { "down" }.to_owned();
        (service.to_owned(), ServiceHealth { status, optional, reason })
    });
    let services: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
    let down = |optional| services.values().any(|s| s.reason.is_some() && s.optional == optional);
    let status = match (down(false), down(true)) {
        (true, _) => HealthState::Unhealthy,
        (false, true) => HealthState::Degraded,
        (false, false) => HealthState::Healthy,
    };
    Health { status, services }
}

#[utoipa::path(
    get,
    path = "/health",
    tag = "operations",
    responses((status = 200, body = Health), (status = 503, body = Health)),
)]
pub(super) async fn health(
    State(gateway): State<Gateway>,
    Extension(context): Context,
) -> Response {
    let health = ask(&gateway, &context).await;
    let status = match health.status {
        HealthState::Healthy => StatusCode::OK,
        HealthState::Degraded | HealthState::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

/// Ready as soon as the shop works, with or without its optional parts.
pub(super) async fn ready(
    State(gateway): State<Gateway>,
    Extension(context): Context,
) -> StatusCode {
    match ask(&gateway, &context).await.status {
        HealthState::Healthy | HealthState::Degraded => StatusCode::OK,
        HealthState::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}
