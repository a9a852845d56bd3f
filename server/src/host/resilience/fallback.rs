//! What becomes of a call that a breaker refuses: what each caller does instead, in one phrase.
//!
//! Written down here because only the callers' own code decides it: the gateway's
//! (`shop::gateway::browse`), the relay's of the bus, the coordinator's of the two-phase commit. A
//! caller that does nothing special passes the refusal on.

use contract::service::{
    BANK_CUSTOMER, BANK_MERCHANT, BUS, GATEWAY, ORDERS, PAYMENTS, RECOMMENDATIONS, STRIPE,
};

/// What happens meanwhile, while the breaker of `caller` for `destination` is open.
pub(super) fn meanwhile(caller: &str, destination: &str) -> &'static str {
    match (caller, destination) {
        (BUS, _) => "messages wait in their senders' outboxes",
        (GATEWAY, RECOMMENDATIONS) => "products come without recommendations",
        (GATEWAY, ORDERS | PAYMENTS) => "503 with Retry-After; profiles come without that part",
        (PAYMENTS, BANK_CUSTOMER | BANK_MERCHANT | STRIPE) => {
            "no vote counts as a no; a decision is told again until it arrives"
        }
        _ => "callers get 503 with Retry-After",
    }
}
