//! The saga's patience with payments: an order whose payment is not answered in time is not left
//! waiting, and nothing is concluded from the silence. The payment is voided, which finds out.

use super::{Attempt, Changed, Orders, PAYMENT_PATIENCE, decide, decide::Input};
use crate::StoreError;
use base::{TraceContext, clock::micros};
use contract::service::ORDERS;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Orders given up at one look; the rest has waited long enough to wait for the next.
const GIVE_UP_MAX: usize = 256;
/// Shortest pause between two looks: one write group.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pause after the database failed.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// An order that waits for the answer of payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// `ord-…`.
    pub order_id: String,
    /// Since when, microseconds since the epoch.
    pub since_us: i64,
    /// The span that asked for the payment.
    pub trace: TraceContext,
}

impl Orders {
    /// Gives up on payments that are not answered within [`PAYMENT_PATIENCE`], until `stop` fires.
    ///
    /// Nobody has to wake it for a new payment: that one is due a whole patience from now, and so
    /// long it never sleeps without a look. What a stop left waiting is waited for anew: nobody
    /// could answer in between.
    pub async fn keep_patience(self, stop: CancellationToken) {
        let mut started_us = self.clock.now_us();
        loop {
            // The time may have been set back since.
            started_us = started_us.min(self.clock.now_us());
            let pause = match self.give_up(started_us).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(cause = ?error.cause, "{error}; overdue payments wait");
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Gives up on what is overdue; how long nothing else is.
    async fn give_up(&self, started_us: i64) -> Result<Duration, StoreError> {
        let awaited = self.store.awaited(GIVE_UP_MAX).await?;
        let now_us = self.clock.now_us();
        let left = |awaited: &Awaited| left(since(awaited.since_us, started_us, now_us), now_us);
        for overdue in awaited.iter().filter(|awaited| left(awaited).is_zero()) {
            self.time_out(overdue).await?;
        }
        let next = awaited.iter().map(left).find(|left| !left.is_zero());
        let full = awaited.len() == GIVE_UP_MAX;
        Ok(next.unwrap_or(if full { PAUSE_MIN } else { PAYMENT_PATIENCE }).max(PAUSE_MIN))
    }

    async fn time_out(&self, awaited: &Awaited) -> Result<(), StoreError> {
        let order_id = awaited.order_id.clone();
        let span = tracing::info_span!(
            target: "vitrine::orders",
            "payment_timeout",
            otel.name = "payment timed out",
            service.name = ORDERS,
            order.id = order_id,
            saga.compensation = true,
        );
        awaited.trace.adopt(&span);
        async {
            let attempt = Attempt {
                order_id: order_id.clone(),
                message_id: None,
                expected: None,
                correlation_id: None,
                trace: TraceContext::current(),
                decide: Box::new(|record| decide::decide(record, Input::PaymentTimedOut)),
            };
            match self.store.change(attempt).await? {
                Changed::Now(version) => tracing::warn!(
                    order_id,
                    "no answer to the payment within {} s, its outcome is unknown: voiding it, \
                     order at v{version}",
                    PAYMENT_PATIENCE.as_secs(),
                ),
                // The answer came in between.
                other => tracing::debug!(order_id, ?other, "not timed out"),
            }
            Ok(())
        }
        .instrument(span)
        .await
    }
}

/// Since when a payment is waited for in this run. One that was asked for in the time to come was
/// asked for before this run, by a clock that was ahead.
fn since(asked_us: i64, started_us: i64, now_us: i64) -> i64 {
    if asked_us > now_us { started_us } else { asked_us.max(started_us) }
}

/// What is left of the patience with a payment that is waited for since then.
fn left(since_us: i64, now_us: i64) -> Duration {
    let waited = u64::try_from(now_us.saturating_sub(since_us)).unwrap_or(0);
    let patience = u64::try_from(micros(PAYMENT_PATIENCE)).unwrap_or(u64::MAX);
    Duration::from_micros(patience.saturating_sub(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_ten_seconds_after_the_payment_was_asked_for() {
        const SINCE: i64 = 1_700_000_000_000_000;
        assert_eq!(left(SINCE, SINCE), PAYMENT_PATIENCE);
        assert_eq!(left(SINCE, SINCE + 9_999_999), Duration::from_micros(1));
        assert_eq!(left(SINCE, SINCE + 10_000_000), Duration::ZERO);
        assert_eq!(left(SINCE, SINCE + 60_000_000), Duration::ZERO);
        // A clock that was set back makes nothing overdue.
        assert_eq!(left(SINCE, SINCE - 5_000_000), PAYMENT_PATIENCE);
    }

    #[test]
    fn what_an_earlier_run_left_is_waited_for_from_the_start_of_this_one() {
        const STARTED: i64 = 1_700_000_000_000_000;
        const HOUR: i64 = 3_600_000_000;
        let left = |asked_us, now_us| left(since(asked_us, STARTED, now_us), now_us);
        for asked_us in [STARTED - HOUR, STARTED + HOUR] {
            assert_eq!(left(asked_us, STARTED), PAYMENT_PATIENCE, "{asked_us}");
            assert_eq!(left(asked_us, STARTED + 9_000_000), Duration::from_secs(1), "{asked_us}");
            assert_eq!(left(asked_us, STARTED + 10_000_000), Duration::ZERO, "{asked_us}");
        }
        // Of this run.
        assert_eq!(left(STARTED + 5_000_000, STARTED + 14_000_000), Duration::from_secs(1));
    }
}
