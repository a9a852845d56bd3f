//! payments: coordinator of the two-phase commit between where the customer's money is (the
//! customers' bank, or the external payment provider for a card) and the merchant's bank.
//!
//! Version 1 asks both participants to prepare at once. Version 2 asks them one after the other and
//! nobody after a no, so that nothing is held for a payment that is declined, at the price of one
//! more round trip; its list of payments says of each how unusual it is for the customer. A
//! transaction is the same data in both, so whichever instance begins one, any can end it.

mod card;
mod coordinate;
mod risk;
mod store;
mod void;

pub use card::CardWork;
pub use coordinate::{Payments, RUNS_MAX, Recovery, answer, transfer};
pub use store::{Begun, PaymentRow, PaymentStore, TransactionRecord};
pub use void::{Found, VOIDED, Void, Voided};

use crate::{
    Version,
    bank::Outcome,
    bus::{self, Incoming, unreadable},
    orders::MovePayment,
    problem::Problem,
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use two_phase_commit::Grounds;

/// Body of `payment.authorized`, `payment.declined`, `payment.refunded`, `payment.refund_refused`
/// and `payment.voided`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentOutcome {
    /// The two-phase commit.
    pub transaction_id: String,
    /// Who voted no, if somebody did.
    pub voter: Option<String>,
    /// Why it was not done.
    pub reason: Option<String>,
    /// What a decline follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<Grounds>,
}

/// A customer's payments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PaymentList {
    /// Newest first.
    pub payments: Vec<PaymentRow>,
}

/// An order's transactions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Transactions {
    /// Oldest first.
    pub transactions: Vec<TransactionRecord>,
}

/// Payments listed for a customer.
const PAYMENTS_MAX: usize = 50;

/// The service.
pub fn router(payments: Payments) -> Router {
    let public = || Router::new().route("/payments", get(of_user));
    public()
        .nest("/api/v1", public())
        .route("/orders/{id}/transactions", get(of_order))
        .route("/transactions/{id}/outcome", get(outcome))
        .route("/messages", post(take))
        .route("/livez", get(livez))
        .with_state(payments)
}

async fn livez(State(payments): State<Payments>) -> Result<(), Problem> {
    Ok(payments.store().probe().await?)
}

#[derive(Deserialize)]
struct OfUser {
    user_id: String,
    limit: Option<usize>,
}

async fn of_user(
    State(payments): State<Payments>,
    Query(of): Query<OfUser>,
) -> Result<Json<PaymentList>, Problem> {
    let limit = of.limit.unwrap_or(PAYMENTS_MAX).min(PAYMENTS_MAX);
    let rows = payments.store().of_user(&of.user_id, limit).await?;
    let rows = match payments.version() {
        Version::V1 => rows,
        Version::V2 => risk::scored(rows),
    };
    Ok(Json(PaymentList { payments: rows }))
}

async fn of_order(
    State(payments): State<Payments>,
    Path(order_id): Path<String>,
) -> Result<Json<Transactions>, Problem> {
    Ok(Json(Transactions { transactions: payments.of_order(&order_id).await? }))
}

#[derive(Deserialize)]
struct Asking {
    participant: Option<String>,
    /// The participant found the transaction in its log when it was started again.
    #[serde(default)]
    replayed: bool,
}

async fn outcome(
    State(payments): State<Payments>,
    Path(id): Path<String>,
    Query(asking): Query<Asking>,
) -> Result<Json<Outcome>, Problem> {
    Ok(Json(Outcome {
        decision: payments.outcome(&id, asking.participant, asking.replayed).await?,
    }))
}

async fn take(
    State(payments): State<Payments>,
    Incoming(message): Incoming,
) -> Result<StatusCode, Problem> {
    let refund = match message.topic.as_str() {
        bus::PAYMENT_AUTHORIZE => false,
        bus::PAYMENT_REFUND => true,
        bus::PAYMENT_VOID => {
            tracing::Span::current().record("saga.compensation", true);
            let body = message.read().map_err(|error| unreadable(&message, &error))?;
            payments.void(message, body).await?;
            return Ok(StatusCode::NO_CONTENT);
        }
        other => {
            return Err(Problem::field("ce-type", format!("payments does not take {other}.")));
        }
    };
    if refund {
        tracing::Span::current().record(contract::attributes::SAGA_COMPENSATION, true);
    }
    let body: MovePayment = message.read().map_err(|error| unreadable(&message, &error))?;
    payments.take(message, body, refund).await?;
    Ok(StatusCode::NO_CONTENT)
}
