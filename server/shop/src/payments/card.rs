//! The external payment provider as a participant: a card (or an account, by direct debit) is
//! charged or refunded in the two steps that providers have for it. Prepare authorizes (or opens a
//! refund), commit captures, abort cancels.
//!
//! The idempotency key of every request is the transaction's id, so a question that was not
//! answered is asked again and means the same; and since the provider names what it keeps after the
//! key, what was never answered can be cancelled all the same.

use super::coordinate::{BANK_TIMEOUT, unanswered};
use crate::{
    orders::MovePayment,
    provider::{Captured, ChargeRequest, Kind, Metadata, RefundRequest, Status},
};
use contract::{
    Money,
    service::{EXTERNAL_HOST, STRIPE, STRIPE_HOST},
    shop::PaymentMethod,
};
use mesh::{CallContext, Caller, Outbound};
use serde::{Deserialize, Serialize};
use two_phase_commit::{Branch, Decision, Transaction, Unanswered, Vote};

/// By which of its names the provider is called: rules of the mesh are for the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// For cards.
    #[default]
    Api,
    /// For direct debits.
    External,
}

impl ProviderName {
    const fn of(method: PaymentMethod) -> Self {
        match method {
            PaymentMethod::Debit => Self::External,
            PaymentMethod::Wallet | PaymentMethod::Card => Self::Api,
        }
    }

    const fn host(self) -> &'static str {
        match self {
            Self::Api => STRIPE_HOST,
            Self::External => EXTERNAL_HOST,
        }
    }

    /// Whether it is the one that was all there was once, which what is recorded leaves out.
    #[must_use]
    pub fn is_api(&self) -> bool {
        *self == Self::Api
    }
}

/// The provider's share of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CardWork {
    /// Takes from the customer's card.
    Charge {
        /// Whose card.
        customer: String,
        /// How much.
        amount: Money,
        /// What it is about.
        order_id: String,
        /// By which name it is asked.
        #[serde(default, skip_serializing_if = "ProviderName::is_api")]
        at: ProviderName,
    },
    /// Gives back what a charge took.
    Refund {
        /// The transaction that charged.
        paid_by: String,
        /// How much.
        amount: Money,
        /// What it is about.
        order_id: String,
        /// By which name it is asked.
        #[serde(default, skip_serializing_if = "ProviderName::is_api")]
        at: ProviderName,
    },
}

impl CardWork {
    /// What a command asks of the provider.
    #[must_use]
    pub fn of(order_id: &str, body: &MovePayment, refund: bool) -> Self {
        let (order_id, amount) = (order_id.to_owned(), body.amount);
        let at = ProviderName::of(body.method);
        if refund {
            let paid_by = body.paid_by.clone().unwrap_or_default();
            Self::Refund { paid_by, amount, order_id, at }
        } else {
            Self::Charge { customer: body.user_id.clone(), amount, order_id, at }
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Charge { .. } => Kind::Charge,
            Self::Refund { .. } => Kind::Refund,
        }
    }

    const fn host(&self) -> &'static str {
        match self {
            Self::Charge { at, .. } | Self::Refund { at, .. } => at.host(),
        }
    }
}

fn work(branch: &Branch) -> Result<CardWork, Unanswered> {
    CardWork::deserialize(&branch.work).map_err(|error| Unanswered::new(error.to_string()))
}

fn post(caller: &Caller, tx: &Transaction, host: &str, path: &str) -> Outbound {
    caller
        .post(STRIPE, path)
        .context(&CallContext::detached(tx.correlation_id.clone()))
        .timeout(BANK_TIMEOUT)
        .transaction(&tx.id)
        .order(&tx.key)
        .header("host", host)
        .header("idempotency-key", &tx.id)
}

/// Asks the provider to authorize. A refusal is a no; anything else that is no yes says nothing.
pub(super) async fn prepare(
    caller: &Caller,
    tx: &Transaction,
    branch: &Branch,
) -> Result<Vote, Unanswered> {
    let work = work(branch)?;
    let host = work.host();
    let asked = match work {
        CardWork::Charge { customer, amount, order_id, .. } => {
            let metadata = Metadata { order_id };
            let body = ChargeRequest { amount, customer, capture: Some(false), metadata };
            post(caller, tx, host, "/v1/charges").route("/v1/charges").json(&body)
        }
        CardWork::Refund { paid_by, amount, order_id, .. } => {
            let charge = Kind::Charge.id(&paid_by);
            let metadata = Metadata { order_id };
            let body = RefundRequest { charge, amount, confirm: Some(false), metadata };
            post(caller, tx, host, "/v1/refunds").route("/v1/refunds").json(&body)
        }
    };
    match asked.receive::<Captured>().await {
        Ok(Captured { status: Status::Pending | Status::Succeeded, .. }) => Ok(Vote::Yes),
        Ok(Captured { status: Status::Canceled | Status::Failed, reason, .. }) => {
            Ok(Vote::No { reason: reason.unwrap_or_else(|| "cancelled already".into()) })
        }
        Err(error) => match error.refusal() {
            Some((_, problem)) if !problem.detail.is_empty() => {
                Ok(Vote::No { reason: problem.detail.trim_end_matches('.').to_owned() })
            }
            _ => Err(unanswered(&error)),
        },
    }
}

/// Tells the provider to capture or to cancel.
pub(super) async fn finish(
    caller: &Caller,
    tx: &Transaction,
    branch: &Branch,
    decision: &Decision,
) -> Result<(), Unanswered> {
    let work = work(branch)?;
    let kind = work.kind();
    let step = match decision {
        Decision::Commit => kind.commit_step(),
        Decision::Abort { .. } => "cancel",
    };
    let path = format!("{}/{}/{step}", kind.path(), kind.id(&tx.id));
    let route = format!("{}/{{id}}/{step}", kind.path());
    let told = post(caller, tx, work.host(), &path).route(&route).receive::<Captured>().await;
    told.map(|_| ()).map_err(|error| unanswered(&error))
}
