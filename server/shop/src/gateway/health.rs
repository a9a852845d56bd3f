//! Health: is each service there, can it read its data, and is the shop as a whole.
//!
//! It asks as an onlooker: a breaker belongs to the calls that do something, and an answer to
//! "do you live?" neither closes nor opens one. But a service behind an open breaker is of no use
//! to this gateway although it lives, so the breakers are looked at too.

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
use mesh::{
    BreakerStatus, CallContext,
    breaker::{BreakerState, Forced},
};
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Every service answers.
    Healthy,
    /// An optional service does not answer, or a breaker of the gateway is not closed.
    Degraded,
    /// A service the shop cannot do without does not answer, or a breaker refuses every order.
    Unhealthy,
}

/// How one service is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceHealth {
    /// `up` or `down`.
    pub status: String,
    /// The shop works without it.
    pub optional: bool,
    /// Why it is down; of one that is up, what the gateway's breaker does about calls to it.
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
        let down = match answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        (service, optional, down)
    });
    let answers = join_all(asked).await;
    let (breakers, now_us) = (gateway.caller.breakers(), gateway.caller.now_us());
    let mut health = Health { status: HealthState::Healthy, services: BTreeMap::new() };
    for (service, optional, down) in answers {
        let mut own = breakers.iter().filter(|breaker| &*breaker.destination == service);
        let standing = own.find_map(|breaker| standing(breaker, now_us));
        let found = match (&down, &standing) {
            (Some(_), _) if optional => HealthState::Degraded,
            (Some(_), _) => HealthState::Unhealthy,
            (None, Some(standing)) if standing.refuses && service == ORDERS => {
                HealthState::Unhealthy
            }
            (None, Some(_)) => HealthState::Degraded,
            (None, None) => HealthState::Healthy,
        };
        health.status = health.status.max(found);
        let status = if down.is_none() { "up" } else { "down" }.to_owned();
        let reason = down.or_else(|| standing.map(|standing| standing.reason));
        health.services.insert(service.to_owned(), ServiceHealth { status, optional, reason });
    }
    health
}

/// What a breaker that is not closed does.
struct Standing {
    /// Every call that comes now.
    refuses: bool,
    reason: String,
}

fn standing(breaker: &BreakerStatus, now_us: i64) -> Option<Standing> {
    let for_another = |until_us: i64| (until_us - now_us).max(0).unsigned_abs().div_ceil(1_000_000);
    let standing = |refuses, reason| Some(Standing { refuses, reason });
    match (breaker.forced, breaker.state) {
        (Some((Forced::Open, until_us)), _) => {
            standing(true, format!("breaker forced open, {} s", for_another(until_us)))
        }
        (Some((Forced::Closed | Forced::Disabled, _)), _) | (None, BreakerState::Closed { .. }) => {
            None
        }
        (None, BreakerState::Open { until_us }) if until_us > now_us => {
            standing(true, format!("breaker open, {} s", for_another(until_us)))
        }
        // The next call is its probe, or one is under way.
        (None, BreakerState::Open { .. } | BreakerState::HalfOpen) => {
            standing(false, "breaker half-open".to_owned())
        }
    }
}

impl Health {
    /// Every service that makes the shop unhealthy, with its reason.
    fn missing(&self) -> String {
        let missing = self.services.iter().filter(|(_, service)| !service.optional);
        let missing = missing.filter_map(|(name, service)| {
            let reason = service.reason.as_deref()?;
            let refuses = name == ORDERS || service.status == "down";
            refuses.then(|| format!("{name} ({reason})"))
        });
        missing.collect::<Vec<_>>().join(", ")
    }
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
) -> Result<StatusCode, Problem> {
    let health = ask(&gateway, &context).await;
    match health.status {
        HealthState::Healthy | HealthState::Degraded => Ok(StatusCode::OK),
        HealthState::Unhealthy => {
            let detail = format!("The shop takes no orders without {}.", health.missing());
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        }
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
            let health = ask(&gateway, &CallContext::default()).await;
            assert_eq!(health.services[ORDERS].status, "up", "it lives");
        }
        let refused = call().await;
        assert!(matches!(refused, Err(mesh::MeshError::BreakerOpen { .. })), "{refused:?}");
    }

    async fn ready_detail(gateway: &Gateway) -> Option<String> {
        let context = Extension(CallContext::default());
        ready(State(gateway.clone()), context).await.err().map(|problem| problem.said.detail)
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_that_refuses_every_order_is_no_health() {
        let gateway = gateway(Vec::new());
        for _ in 0..BreakerParams::default().failure_threshold {
            let _ = gateway.caller.get(ORDERS, "/orders").send().await;
        }
        tokio::time::advance(Duration::from_secs(19)).await;
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Unhealthy);
        assert_eq!(health.services[ORDERS].status, "up");
        assert_eq!(health.services[ORDERS].reason.as_deref(), Some("breaker open, 41 s"));
        let detail = "The shop takes no orders without orders (breaker open, 41 s).";
        assert_eq!(ready_detail(&gateway).await.as_deref(), Some(detail));
        // Then the next order is the probe: who keeps traffic away would keep it away for ever.
        tokio::time::advance(BreakerParams::default().open_for).await;
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Degraded);
        assert_eq!(health.services[ORDERS].reason.as_deref(), Some("breaker half-open"));
        assert_eq!(ready_detail(&gateway).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_to_what_orders_do_not_need_degrades() {
        let gateway = gateway(Vec::new());
        for _ in 0..BreakerParams::default().failure_threshold {
            let _ = gateway.caller.get(CATALOG, "/products").send().await;
        }
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Degraded);
        assert_eq!(health.services[CATALOG].reason.as_deref(), Some("breaker open, 60 s"));
        assert_eq!(ready_detail(&gateway).await, None, "orders are taken");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_named_where_somebody_asks_whether_the_shop_is_ready() {
        let broken = || async { StatusCode::SERVICE_UNAVAILABLE };
        let broken = Router::new().route("/livez", get(broken));
        let gateway = gateway(vec![(PAYMENTS, broken.clone()), (STRIPE, broken)]);
        let detail = "The shop takes no orders without payments (answered 503 Service \
                      Unavailable).";
        assert_eq!(ready_detail(&gateway).await.as_deref(), Some(detail));
    }
}
