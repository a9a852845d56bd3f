//! The external payment provider: a stand-in for `api.stripe.com`, so that what leaves the mesh is
//! really called over HTTP. A server of its own on a loopback port, with a database of its own.
//!
//! As at Stripe, a charge may be authorized first and captured or cancelled later, and every
//! request takes an `Idempotency-Key` under which repeating it gives the first answer, across
//! restarts too. Unlike there, what is kept is named after that key, bodies are JSON, and an
//! authorization does not expire. It knows nothing of two-phase commits and nothing of the shop
//! but ids.

mod charge;
mod store;

pub use charge::{
    Asked, CARD_LIMIT, CARDS, Conflict, Kind, Operation, Progress, Refundable, Settled, hold,
    settle,
};
pub use store::{ProviderBalances, ProviderStore};

use crate::{input, key::idempotency_key, problem::Problem};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    routing::{get, post},
};
use contract::Money;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// After a stop, requests under way have so long to end before their connections are cut.
const GRACE: Duration = Duration::from_secs(2);

type Store = Arc<dyn ProviderStore>;

/// Body of `POST /v1/charges`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChargeRequest {
    /// How much.
    pub amount: Money,
    /// Whose card.
    pub customer: String,
    /// Take it at once; else it is authorized until it is captured or cancelled. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<bool>,
    /// What the client wants to find again.
    pub metadata: Metadata,
}

/// Body of `POST /v1/refunds`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Which charge.
    pub charge: String,
    /// How much of it.
    pub amount: Money,
    /// Give it back at once; else it is pending until it is confirmed or cancelled. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<bool>,
    /// What the client wants to find again.
    pub metadata: Metadata,
}

/// What a client keeps with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The shop's order.
    pub order_id: String,
}

/// A charge or a refund, as answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// `ch_…` or `re_…`.
    pub id: String,
    /// `charge` or `refund`.
    pub object: String,
    /// How much.
    pub amount: Money,
    /// Where it is.
    pub status: Status,
    /// Why it failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// As it was sent.
    pub metadata: Metadata,
}

/// Where a charge or refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Authorized, or waiting to be confirmed.
    Pending,
    /// The money moved.
    Succeeded,
    /// It will not move.
    Canceled,
    /// It was declined.
    Failed,
}

impl From<Operation> for Captured {
    fn from(Operation { asked, progress, reason }: Operation) -> Self {
        let status = match progress {
            Progress::Held => Status::Pending,
            Progress::Done => Status::Succeeded,
            Progress::Canceled => Status::Canceled,
            Progress::Refused => Status::Failed,
        };
        let object = match asked.kind {
            Kind::Charge => "charge",
            Kind::Refund => "refund",
        };
        Self {
            id: asked.id,
            object: object.to_owned(),
            amount: asked.amount,
            status,
            reason,
            metadata: Metadata { order_id: asked.order_id },
        }
    }
}

/// Serves on a listener until `stop` fires. Ends earlier only when the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let stopping = stop.clone().cancelled_owned();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopping);
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving.into_future() => {
            if let Err(error) = ended {
                tracing::error!("the payment provider cannot serve: {error}");
            }
        }
        () = cut => tracing::warn!("a request to the payment provider was cut"),
    }
}

/// The provider's API.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/v1/charges", post(take_charge))
        .route("/v1/charges/{id}", get(charge))
        .route("/v1/charges/{id}/capture", post(capture))
        .route("/v1/charges/{id}/cancel", post(cancel_charge))
        .route("/v1/refunds", post(take_refund))
        .route("/v1/refunds/{id}", get(refund))
        .route("/v1/refunds/{id}/confirm", post(confirm))
        .route("/v1/refunds/{id}/cancel", post(cancel_refund))
        .route("/livez", get(|| async {}))
        .with_state(store)
}

/// An operation, or why there is none.
type Answer = Result<Json<Captured>, Problem>;

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        match &conflict {
            Conflict::Unknown(what) => Self::not_found(what),
            Conflict::KeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{conflict}."))
            }
            Conflict::Decided { .. } => Self::conflict(format!("{conflict}.")),
        }
    }
}

async fn take_charge(
    State(store): State<Store>,
    headers: HeaderMap,
    body: Result<Json<ChargeRequest>, JsonRejection>,
) -> Answer {
    let Json(ChargeRequest { amount, customer, capture, metadata }) = body?;
    let asked = Asked {
        id: key(&headers, Kind::Charge)?,
        kind: Kind::Charge,
        target: named("/customer", customer)?,
        amount,
        order_id: metadata.order_id,
    };
    take(&*store, asked, capture.unwrap_or(true)).await
}

async fn take_refund(
    State(store): State<Store>,
    headers: HeaderMap,
    body: Result<Json<RefundRequest>, JsonRejection>,
) -> Answer {
    let Json(RefundRequest { charge, amount, confirm, metadata }) = body?;
    let asked = Asked {
        id: key(&headers, Kind::Refund)?,
        kind: Kind::Refund,
        target: named("/charge", charge)?,
        amount,
        order_id: metadata.order_id,
    };
    take(&*store, asked, confirm.unwrap_or(true)).await
}

/// The name of what a request asks for, from the key that each must have: a repeated request is
/// known by it.
fn key(headers: &HeaderMap, kind: Kind) -> Result<String, Problem> {
    let id = idempotency_key(headers)?.map(|key| kind.id(&key));
    let id = id.filter(|id| input::is_id(id));
    id.ok_or_else(|| Problem::field("Idempotency-Key", "Must be sent, and be an id."))
}

fn named(field: &str, id: String) -> Result<String, Problem> {
    if input::is_id(&id) { Ok(id) } else { Err(Problem::field(field, "Must be an id.")) }
}

/// Holds, and does it at once if that was asked. A crash in between leaves it held: repeating the
/// request goes on from there.
async fn take(store: &dyn ProviderStore, asked: Asked, at_once: bool) -> Answer {
    let (kind, id) = (asked.kind, asked.id.clone());
    let mut operation = store.hold(asked).await??;
    if at_once && operation.progress == Progress::Held {
        operation = store.settle(kind, &id, true).await??;
    }
    match (operation.progress, &operation.reason) {
        (Progress::Refused, Some(reason)) => {
            tracing::warn!(order_id = operation.asked.order_id, "{id} refused, {reason}");
            Err(Problem::new(StatusCode::PAYMENT_REQUIRED, format!("{reason}.")))
        }
        _ => Ok(Json(operation.into())),
    }
}

async fn settled(store: &dyn ProviderStore, kind: Kind, id: String, commit: bool) -> Answer {
    let id = input::path_id("operation", id)?;
    let operation = store.settle(kind, &id, commit).await??;
    tracing::info!(
        order_id = operation.asked.order_id,
        "{id} {}",
        if commit { "captured" } else { "cancelled" }
    );
    Ok(Json(operation.into()))
}

async fn capture(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    settled(&*store, Kind::Charge, id, true).await
}

async fn cancel_charge(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    settled(&*store, Kind::Charge, id, false).await
}

async fn confirm(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    settled(&*store, Kind::Refund, id, true).await
}

async fn cancel_refund(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    settled(&*store, Kind::Refund, id, false).await
}

async fn found(store: &dyn ProviderStore, kind: Kind, id: String) -> Answer {
    let found: Option<Operation> = store.operation(&id).await?;
    let found = found.filter(|operation| operation.asked.kind == kind);
    let what = format!("operation {id}");
    found.map(|found| Json(found.into())).ok_or_else(|| Problem::not_found(&what))
}

async fn charge(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    found(&*store, Kind::Charge, id).await
}

async fn refund(State(store): State<Store>, Path(id): Path<String>) -> Answer {
    found(&*store, Kind::Refund, id).await
}
