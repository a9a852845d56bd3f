//! Health: is each service there, can it read its data, and is the shop as a whole.
//!
//! It asks as an onlooker: a breaker belongs to the calls that do something, and an answer to
//! "do you live?" neither closes nor opens one.

use super::{Context, Gateway};
use crate::problem::Problem;
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use contract::service::{
    BANK_CUSTOMER, BANK_MERCHANT, CATALOG, INVENTORY, ORDERS, PAYMENTS, RECOMMENDATIONS, STRIPE,
    USERS,
};
use futures::future::join_all;
use http::StatusCode;
use mesh::CallContext;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long a service may take to say that it lives.
const LIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who is asked, and whether the shop can do without.
const ASKED: [(&str, bool); 9] = [
    (CATALOG, false),
    (USERS, false),
    (ORDERS, false),
    (INVENTORY, false),
    (PAYMENTS, false),
    (BANK_CUSTOMER, false),
    (BANK_MERCHANT, false),
    (RECOMMENDATIONS, true),
    // Without it orders are paid from wallets.
    (STRIPE, true),
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
            .look(service, "/livez")
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
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses(
        (status = 200, description = "The shop takes orders"),
        (status = 503, description = "It cannot do without what is down", body = Problem),
    ),
)]
pub(super) async fn ready(
    State(gateway): State<Gateway>,
    Extension(context): Context,
) -> StatusCode {
    match ask(&gateway, &context).await.status {
        HealthState::Healthy | HealthState::Degraded => StatusCode::OK,
        HealthState::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        StoreError,
        recommendations::{self, RecommendationStore},
        store::{Probe, Taken},
    };
    use async_trait::async_trait;
    use axum::{Router, routing::get};
    use base::{Clock, IdSource};
    use mesh::{BreakerParams, Mesh};
    use messaging::Message;
    use std::sync::Arc;

    const EPOCH_US: i64 = 1_000_000;

    /// A shop of services that live and cannot do anything, but for those named.
    fn gateway(services: Vec<(&'static str, Router)>) -> Gateway {
        let mesh = Mesh::new(Clock::tokio(EPOCH_US), BreakerParams::default());
        let broken = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let service = Router::new().route("/livez", get(|| async {})).fallback(broken);
        for (name, _) in ASKED {
            mesh.register(name, service.clone());
        }
        for (name, router) in services {
            mesh.register(name, router);
        }
        Gateway { caller: mesh.caller("gateway"), ids: IdSource::seeded(1) }
    }

    struct Unreadable;

    #[async_trait]
    impl Probe for Unreadable {
        async fn probe(&self) -> Result<(), StoreError> {
            Err(StoreError { service: RECOMMENDATIONS, cause: "the disk is gone".into() })
        }
    }

    #[async_trait]
    impl RecommendationStore for Unreadable {
        async fn beside(&self, _: &str, _: usize) -> Result<Vec<String>, StoreError> {
            Err(StoreError { service: RECOMMENDATIONS, cause: "the disk is gone".into() })
        }
        async fn learn(&self, _: &Message, _: &[String]) -> Result<Taken, StoreError> {
            Err(StoreError { service: RECOMMENDATIONS, cause: "the disk is gone".into() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_cannot_read_its_data_is_down() {
        let unreadable = recommendations::router(Arc::new(Unreadable));
        let gateway = gateway(vec![(RECOMMENDATIONS, unreadable)]);
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Degraded);
        let reason = health.services[RECOMMENDATIONS].reason.as_deref();
        assert_eq!(reason, Some("answered 503 Service Unavailable"));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_how_a_service_is_does_not_close_its_breaker() {
        let gateway = gateway(Vec::new());
        let call = async || gateway.caller.get(ORDERS, "/orders").send().await;
        // Every call fails, and between them somebody asks whether orders lives.
        for _ in 0..BreakerParams::default().failure_threshold {
            assert!(call().await.is_ok(), "it is refused before its time");
            assert_eq!(ask(&gateway, &CallContext::default()).await.status, HealthState::Healthy);
        }
        let refused = call().await;
        assert!(matches!(refused, Err(mesh::MeshError::BreakerOpen { .. })), "{refused:?}");
    }
}
