//! Health: is each service there, can it read its data, and is the shop as a whole.
//!
//! It asks as an onlooker: a breaker belongs to the calls that do something, and an answer to
//! "do you live?" neither closes nor opens one. But a service behind an open breaker is of no use
//! to its callers although it lives, so the breakers are looked at too: those of the gateway, and
//! those of everybody else on the way of an order from its request to its end.

use super::{Context, Gateway};
use crate::problem::Problem;
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use contract::service::{
    BANK_CUSTOMER, BANK_MERCHANT, BUS, CATALOG, GATEWAY, INVENTORY, ORDERS, PAYMENTS,
    RECOMMENDATIONS, STRIPE, USERS,
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

/// The calls every order needs, caller and callee: while one of them is refused no order comes to
/// its end.
const ORDER_PATH: [(&str, &str); 8] = [
    (GATEWAY, ORDERS),
    (ORDERS, CATALOG),
    (ORDERS, USERS),
    (BUS, ORDERS),
    (BUS, INVENTORY),
    (BUS, PAYMENTS),
    (PAYMENTS, BANK_CUSTOMER),
    (PAYMENTS, BANK_MERCHANT),
];

/// How the shop is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Every service answers.
    Healthy,
    /// An optional service does not answer, or a breaker is not closed and orders go on.
    Degraded,
    /// A service the shop cannot do without does not answer, or a breaker on the way of every order
    /// refuses all calls.
    Unhealthy,
}

/// How one service is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceHealth {
    /// `up`; `down`; or `unreachable`: it lives, and a breaker on the way of every order lets no
    /// call to it through.
    pub status: String,
    /// The shop works without it.
    pub optional: bool,
    /// Why it is not up; of one that is up, whose breaker is not closed and what that does.
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
    let (breakers, now_us) = (gateway.mesh.breakers(), gateway.caller.now_us());
    let mut health = Health { status: HealthState::Healthy, services: BTreeMap::new() };
    for (service, optional, down) in answers {
        let standing = worst(&breakers, service, now_us);
        let found = match (&down, &standing) {
            (Some(_), _) if optional => HealthState::Degraded,
            (Some(_), _) => HealthState::Unhealthy,
            (None, Some(standing)) if standing.effect == Effect::StopsOrders => {
                HealthState::Unhealthy
            }
            (None, Some(_)) => HealthState::Degraded,
            (None, None) => HealthState::Healthy,
        };
        health.status = health.status.max(found);
        let status = match (&down, found) {
            (Some(_), _) => "down",
            (None, HealthState::Unhealthy) => "unreachable",
            (None, HealthState::Healthy | HealthState::Degraded) => "up",
        };
        let reason = down.or_else(|| standing.map(|standing| standing.reason));
        let answer = ServiceHealth { status: status.to_owned(), optional, reason };
        health.services.insert(service.to_owned(), answer);
    }
    health
}

/// What a breaker that is not closed means, the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// The next call decides.
    Probes,
    /// Calls are refused that orders can do without, or that another subset takes.
    Refuses,
    /// No order comes to its end.
    StopsOrders,
}

struct Hindrance {
    effect: Effect,
    reason: String,
}

/// What is worst about the calls to a service: those of the gateway, and those every order needs.
fn worst(breakers: &[BreakerStatus], service: &str, now_us: i64) -> Option<Hindrance> {
    let counts = |breaker: &&BreakerStatus| {
        let edge = (&*breaker.caller, &*breaker.destination);
        edge.1 == service && (edge.0 == GATEWAY || ORDER_PATH.contains(&edge))
    };
    let standings = breakers.iter().filter(counts);
    let standings = standings.filter_map(|breaker| standing(breaker, breakers, now_us));
    // The first of the worst, so that the answer does not hop between two.
    standings.reduce(|worst, next| if next.effect > worst.effect { next } else { worst })
}

/// What a breaker that is not closed does.
fn standing(breaker: &BreakerStatus, all: &[BreakerStatus], now_us: i64) -> Option<Hindrance> {
    let on_order_path = ORDER_PATH.contains(&(&*breaker.caller, &*breaker.destination));
    // Since it opened the calls go to another subset of the service.
    let spared = breaker.since_us.is_some_and(|since_us| {
        let beside = |other: &&BreakerStatus| {
            (&other.caller, &other.destination) == (&breaker.caller, &breaker.destination)
                && other.subset != breaker.subset
        };
        all.iter().filter(beside).any(|other| answered_since(other, since_us))
    });
    let for_another = |until_us: i64| (until_us - now_us).max(0).unsigned_abs().div_ceil(1_000_000);
    let whose = match &breaker.subset {
        Some(subset) => format!("breaker of {} for {subset}", breaker.caller),
        None => format!("breaker of {}", breaker.caller),
    };
    let refuses = |state: &str, until_us| {
        let effect = if on_order_path && !spared { Effect::StopsOrders } else { Effect::Refuses };
        let reason = format!("{whose} {state}, {} s", for_another(until_us));
        Some(Hindrance { effect, reason })
    };
    match (breaker.forced, breaker.state) {
        (Some((Forced::Open, until_us)), _) => refuses("forced open", until_us),
        (Some((Forced::Closed | Forced::Disabled, _)), _) | (None, BreakerState::Closed { .. }) => {
            None
        }
        (None, BreakerState::Open { until_us }) if until_us > now_us => refuses("open", until_us),
        // A subset that no call goes to any more never gets its probe.
        (None, BreakerState::Open { .. }) if spared => None,
        // The next call is its probe, or one is under way.
        (None, BreakerState::Open { .. } | BreakerState::HalfOpen) => {
            Some(Hindrance { effect: Effect::Probes, reason: format!("{whose} half-open") })
        }
    }
}

/// Whether the breaker lets calls through, and one since then was answered well.
fn answered_since(breaker: &BreakerStatus, since_us: i64) -> bool {
    let closed = match breaker.forced {
        Some((forced, _)) => forced != Forced::Open,
        None => matches!(breaker.state, BreakerState::Closed { .. }),
    };
    let good = |call: &mesh::breaker::WindowCall| {
        call.at_us >= since_us && call.outcome != mesh::breaker::CallOutcome::Failed
    };
    closed && breaker.window.iter().any(good)
}

impl Health {
    /// Every service that makes the shop unhealthy, with its reason.
    fn missing(&self) -> String {
        let missing = self.services.iter().filter(|(_, service)| !service.optional);
        let missing = missing.filter_map(|(name, service)| {
            let reason = service.reason.as_deref()?;
            (service.status != "up").then(|| format!("{name} ({reason})"))
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
        (status = 200, description = "Orders get through"),
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
            let detail = format!("No order gets through without {}.", health.missing());
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
    fn shop(services: Vec<(&'static str, Router)>) -> (Mesh, Gateway) {
        let mesh = Mesh::new(Clock::tokio(EPOCH_US), BreakerParams::default());
        let broken = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let service = Router::new().route("/livez", get(|| async {})).fallback(broken);
        for (name, _) in ASKED {
            mesh.register(name, service.clone());
        }
        for (name, router) in services {
            mesh.register(name, router);
        }
        let caller = mesh.caller(GATEWAY);
        (mesh.clone(), Gateway { caller, mesh, ids: IdSource::seeded(1) })
    }

    fn gateway(services: Vec<(&'static str, Router)>) -> Gateway {
        shop(services).1
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
            assert_ne!(health.services[ORDERS].status, "down", "it lives");
        }
        let refused = call().await;
        assert!(matches!(refused, Err(mesh::MeshError::BreakerOpen { .. })), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn asking_how_the_services_are_is_no_traffic_of_the_gateway() {
        let (mesh, gateway) = shop(Vec::new());
        assert!(gateway.caller.get(ORDERS, "/orders").send().await.is_ok());
        let counted = || mesh.edges().into_iter().filter(|edge| *edge.caller == *GATEWAY);
        let before: Vec<_> = counted().collect();
        assert_eq!(ask(&gateway, &CallContext::default()).await.services.len(), ASKED.len());
        assert_eq!((counted().collect::<Vec<_>>(), before.len()), (before, 1));
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
        assert_eq!(health.services[ORDERS].status, "unreachable");
        let reason = health.services[ORDERS].reason.as_deref();
        assert_eq!(reason, Some("breaker of gateway open, 41 s"));
        let detail = "No order gets through without orders (breaker of gateway open, 41 s).";
        assert_eq!(ready_detail(&gateway).await.as_deref(), Some(detail));
        // Then the next order is the probe: who keeps traffic away would keep it away for ever.
        tokio::time::advance(BreakerParams::default().open_for).await;
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Degraded);
        assert_eq!(health.services[ORDERS].reason.as_deref(), Some("breaker of gateway half-open"));
        assert_eq!(ready_detail(&gateway).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_anywhere_on_the_way_of_every_order_is_no_health() {
        for (caller, service) in ORDER_PATH {
            let (mesh, gateway) = shop(Vec::new());
            for _ in 0..BreakerParams::default().failure_threshold {
                let _ = mesh.caller(caller).post(service, "/").send().await;
            }
            tokio::time::advance(Duration::from_secs(19)).await;
            let health = ask(&gateway, &CallContext::default()).await;
            assert_eq!(health.status, HealthState::Unhealthy, "{caller} to {service}");
            let found = &health.services[service];
            let reason = format!("breaker of {caller} open, 41 s");
            assert_eq!((&*found.status, found.reason.as_ref()), ("unreachable", Some(&reason)));
            let others = health.services.iter().filter(|(name, _)| *name != service);
            assert!({ others }.all(|(_, other)| other.status == "up"), "{health:?}");
            assert!(ready_detail(&gateway).await.is_some_and(|said| said.contains(&reason)));
        }
    }

    fn breaker(subset: &str, state: BreakerState, answered_us: &[i64]) -> BreakerStatus {
        let call = |at_us: &i64| mesh::breaker::WindowCall {
            outcome: mesh::breaker::CallOutcome::Ok,
            answer: mesh::breaker::Answer::Status(200),
            at_us: *at_us,
            took: Duration::ZERO,
            cause: mesh::breaker::Cause::default(),
        };
        BreakerStatus {
            caller: BUS.into(),
            destination: PAYMENTS.into(),
            subset: Some(subset.into()),
            state,
            forced: None,
            params: BreakerParams::default(),
            distance: None,
            since_us: Some(10_000_000),
            window: answered_us.iter().map(call).collect(),
            before_opening: Vec::new(),
            causes: Vec::new(),
            history: Vec::new(),
            probes: Vec::new(),
            opened: 1,
            refused: 0,
            refused_now: 0,
        }
    }

    #[test]
    fn one_version_that_is_refused_stops_no_order_while_another_answers() {
        let v1 = breaker("v1", BreakerState::Open { until_us: 70_000_000 }, &[]);
        let standing = |v2: &[i64], now_us| {
            let v2 = breaker("v2", BreakerState::Closed { failures: 0 }, v2);
            let found = worst(&[v1.clone(), v2], PAYMENTS, now_us);
            found.map(|standing| (standing.effect, standing.reason))
        };
        let reason = "breaker of bus for v1 open, 50 s".to_owned();
        assert_eq!(standing(&[9_000_000], 20_000_000), Some((Effect::StopsOrders, reason.clone())));
        assert_eq!(standing(&[19_000_000], 20_000_000), Some((Effect::Refuses, reason)));
        // And where nothing goes to it any more, it waits for its probe for ever.
        assert_eq!(standing(&[19_000_000], 80_000_000), None);
        let reason = "breaker of bus for v1 half-open".to_owned();
        assert_eq!(standing(&[], 80_000_000), Some((Effect::Probes, reason)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_to_what_orders_do_not_need_degrades() {
        let gateway = gateway(Vec::new());
        for _ in 0..BreakerParams::default().failure_threshold {
            let _ = gateway.caller.get(CATALOG, "/products").send().await;
        }
        let health = ask(&gateway, &CallContext::default()).await;
        assert_eq!(health.status, HealthState::Degraded);
        assert_eq!(
            health.services[CATALOG].reason.as_deref(),
            Some("breaker of gateway open, 60 s")
        );
        assert_eq!(ready_detail(&gateway).await, None, "orders are taken");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_named_where_somebody_asks_whether_the_shop_is_ready() {
        let broken = || async { StatusCode::SERVICE_UNAVAILABLE };
        let broken = Router::new().route("/livez", get(broken));
        let gateway = gateway(vec![(PAYMENTS, broken.clone()), (STRIPE, broken)]);
        let detail = "No order gets through without payments (answered 503 Service Unavailable).";
        assert_eq!(ready_detail(&gateway).await.as_deref(), Some(detail));
    }
}
