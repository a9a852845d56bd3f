//! The relay: takes messages from one outbox to the bus, again and again until each is
//! acknowledged.

use crate::{Bus, OutboxRow};
use async_trait::async_trait;
use backon::BackoffBuilder;
use futures::{StreamExt, stream::FuturesUnordered};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Messages one relay has under way: enough to fill a group commit, few enough to hold in memory.
const IN_FLIGHT_MAX: usize = 256;
/// First pause after a message was not acknowledged.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// Longest pause.
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Pause after the outbox itself failed.
const OUTBOX_RETRY: Duration = Duration::from_millis(500);

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the outbox failed")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where recorded messages wait.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Messages after `sequence`, oldest first, at most `limit`.
    async fn after(&self, sequence: i64, limit: usize) -> Result<Vec<OutboxRow>, OutboxError>;
    /// Forgets a message that everybody acknowledged.
    async fn forget(&self, sequence: i64) -> Result<(), OutboxError>;
    /// Wakes the relay after messages were recorded.
    fn recorded(&self) -> Arc<Notify>;
}

/// What a relay is doing, for people. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RelayStatus(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicU64,
    delivered: AtomicU64,
    redelivered: AtomicU64,
}

impl RelayStatus {
    /// Messages under way now.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Messages acknowledged since the start.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.0.delivered.load(Ordering::Relaxed)
    }

    /// Attempts that were not acknowledged.
    #[must_use]
    pub fn redelivered(&self) -> u64 {
        self.0.redelivered.load(Ordering::Relaxed)
    }
}

/// Carries one service's messages.
pub struct Relay {
    /// From here.
    pub outbox: Arc<dyn Outbox>,
    /// To there.
    pub bus: Arc<dyn Bus>,
    /// Told about what happens.
    pub status: RelayStatus,
}

impl Relay {
    /// Runs until `stop` fires. What is under way then is delivered again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let recorded = self.outbox.recorded();
        let mut under_way = FuturesUnordered::new();
        let mut last = 0;
        let mut look = true;
        loop {
            if look && under_way.len() < IN_FLIGHT_MAX {
                let room = IN_FLIGHT_MAX - under_way.len();
                let rows = self.fetch(last, room).await;
                // A full answer may not be all of it.
                look = rows.len() == room;
                for row in rows {
                    last = row.sequence;
                    under_way.push(self.carry(row));
                }
                self.status.0.in_flight.store(under_way.len() as u64, Ordering::Relaxed);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = under_way.next(), if !under_way.is_empty() => {
                    self.status.0.in_flight.store(under_way.len() as u64, Ordering::Relaxed);
                }
                () = recorded.notified() => look = true,
            }
        }
    }

    async fn fetch(&self, last: i64, limit: usize) -> Vec<OutboxRow> {
        loop {
            match self.outbox.after(last, limit).await {
                Ok(rows) => return rows,
                Err(error) => {
                    tracing::error!(cause = ?error.0, "{error}; trying again");
                    tokio::time::sleep(OUTBOX_RETRY).await;
                }
            }
        }
    }

    /// Publishes until acknowledged, then forgets.
    async fn carry(&self, row: OutboxRow) {
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(RETRY_LONGEST)
            .with_jitter()
            .without_max_times();
        let mut pauses = pauses.build();
        while let Err(error) = self.bus.publish(&row.message).await {
            self.status.0.redelivered.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                order_id = %row.message.key,
                correlation_id = row.message.correlation_id,
                "{error}; it will be delivered again"
            );
            let pause = pauses.next().unwrap_or(RETRY_LONGEST);
            tokio::time::sleep(error.cause.retry_after.map_or(pause, |at| at.max(pause))).await;
        }
        self.status.0.delivered.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.outbox.forget(row.sequence).await {
            // It is delivered once more after the next start, and dropped by the inbox then.
            tracing::error!(cause = ?error.0, "{error}; an acknowledged message stays recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binding, Deliver, DeliveryError, EmbeddedBus, Message};
    use parking_lot::Mutex;

    #[derive(Default)]
    struct MemoryOutbox {
        rows: Mutex<Vec<OutboxRow>>,
        recorded: Arc<Notify>,
    }

    impl MemoryOutbox {
        fn record(&self, sequence: i64) {
            let message = Message {
                id: sequence.to_string(),
                topic: "stock.moved".into(),
                source: "inventory".into(),
                key: "ord-1".into(),
                correlation_id: None,
                trace: base::TraceContext::default(),
                recorded_us: 0,
                body: serde_json::Value::Null,
            };
            self.rows.lock().push(OutboxRow { sequence, message });
            self.recorded.notify_one();
        }
    }

    #[async_trait]
    impl Outbox for MemoryOutbox {
        async fn after(&self, sequence: i64, limit: usize) -> Result<Vec<OutboxRow>, OutboxError> {
            let rows = self.rows.lock();
            Ok(rows.iter().filter(|r| r.sequence > sequence).take(limit).cloned().collect())
        }
        async fn forget(&self, sequence: i64) -> Result<(), OutboxError> {
            self.rows.lock().retain(|r| r.sequence != sequence);
            Ok(())
        }
        fn recorded(&self) -> Arc<Notify> {
            self.recorded.clone()
        }
    }

    /// Refuses the first `refusals` attempts of each message.
    struct Subscriber {
        refusals: usize,
        seen: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Deliver for Subscriber {
        async fn deliver(&self, _: &'static str, message: &Message) -> Result<(), DeliveryError> {
            let mut seen = self.seen.lock();
            seen.push(message.id.clone());
            if seen.iter().filter(|id| **id == message.id).count() <= self.refusals {
                return Err(DeliveryError { reason: "busy".into(), retry_after: None });
            }
            Ok(())
        }
    }

    const BINDINGS: &[Binding] = &[Binding { topic: "stock.moved", subscriber: "orders" }];

    async fn delivered(messages: i64, refusals: usize) -> (usize, usize, RelayStatus) {
        let outbox = Arc::new(MemoryOutbox::default());
        (1..=messages).for_each(|sequence| outbox.record(sequence));
        let subscriber = Arc::new(Subscriber { refusals, seen: Mutex::default() });
        let bus = Arc::new(EmbeddedBus::new(BINDINGS, subscriber.clone()));
        let status = RelayStatus::default();
        let relay = Relay { outbox: outbox.clone(), bus, status: status.clone() };
        // Paused time: a minute passes as soon as nothing is left to do.
        let run = relay.run(CancellationToken::new());
        let _ = tokio::time::timeout(Duration::from_secs(60), run).await;
        (subscriber.seen.lock().len(), outbox.rows.lock().len(), status)
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_delivered_again_until_it_is_acknowledged() {
        let (attempts, left, status) = delivered(1, 3).await;
        assert_eq!((attempts, left), (4, 0));
        assert_eq!((status.delivered(), status.redelivered()), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn more_messages_than_may_be_under_way_are_all_delivered() {
        let (attempts, left, _) = delivered(3 * IN_FLIGHT_MAX as i64, 0).await;
        assert_eq!((attempts, left), (3 * IN_FLIGHT_MAX, 0));
    }
}
