//! The relay: takes messages from one outbox to the bus, again and again until each is
//! acknowledged. Each subscriber has its own lane: one that is away holds up nobody else.

mod away;
mod lanes;

use crate::{Bus, DeadLetter, OutboxRow};
use async_trait::async_trait;
use away::Away;
use backon::BackoffBuilder;
use futures::{
    FutureExt, StreamExt,
    future::{Fuse, FusedFuture},
    stream::FuturesUnordered,
};
use lanes::{Lanes, Question};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Messages one lane of a relay has under way: enough to fill a group commit, few enough to hold
/// in memory.
const IN_FLIGHT_MAX: usize = 256;
/// Messages read from the outbox at once.
const READ_MAX: usize = 256;
/// First pause after a message was not acknowledged.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// Longest pause.
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Longest wait after a subscriber said when it would be there again: what it said may not hold any
/// more, and nobody may tell. Asking once a minute costs nothing.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// A message that its subscriber definitely refuses so often is a dead letter: more than once,
/// because what it is about may be recorded a moment later.
const REFUSALS_MAX: u32 = 8;
/// Pause after the outbox itself failed.
const OUTBOX_RETRY: Duration = Duration::from_millis(500);

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the outbox failed")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where recorded messages wait.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Messages after `sequence` but those of some topics, oldest first, at most `limit`. A
    /// message is never seen later than one of a higher sequence.
    async fn after(
        &self,
        sequence: i64,
        except: &[&'static str],
        limit: usize,
    ) -> Result<Vec<OutboxRow>, OutboxError>;
    /// Records what a message carries on from now on, as W3C Baggage.
    async fn carry_on(&self, sequence: i64, baggage: &str) -> Result<(), OutboxError>;
    /// Forgets a message that everybody acknowledged.
    async fn forget(&self, sequence: i64) -> Result<(), OutboxError>;
    /// Moves a message that will never be taken to the dead letters, of which the newest are kept.
    async fn bury(&self, sequence: i64, reason: &str) -> Result<(), OutboxError>;
    /// Dead letters, newest first, at most `limit`.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, OutboxError>;
    /// The dead letter of this message id.
    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, OutboxError>;
    /// Number of dead letters.
    async fn dead(&self) -> Result<u64, OutboxError>;
    /// Records a dead letter again as a message to be delivered; false when there is none of this
    /// message id.
    async fn revive(&self, id: &str) -> Result<bool, OutboxError>;
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
    dead: AtomicU64,
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

    /// Dead letters now.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.0.dead.load(Ordering::Relaxed)
    }

    /// Looks how many dead letters there are: after a start, and whenever that changes.
    pub async fn count_dead(&self, outbox: &dyn Outbox) {
        match outbox.dead().await {
            Ok(dead) => self.0.dead.store(dead, Ordering::Relaxed),
            Err(error) => tracing::error!(cause = ?error.0, "{error}; dead letters not counted"),
        }
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
    /// Changes when who refused a message may take it now: nobody then waits out a pause.
    pub healed: watch::Receiver<u64>,
    /// Told about what happens.
    pub status: RelayStatus,
}

impl Relay {
    /// Runs until `stop` fires. What is under way then is delivered again after the next start.
    ///
    /// What is under way goes on while the outbox is read, however long that takes: deliveries
    /// hold places in pools and the probe of a breaker, which others wait for.
    pub async fn run(self, stop: CancellationToken) {
        let recorded = self.outbox.recorded();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.status.count_dead(&*self.outbox) => {}
        }
        let groups = self.bus.lanes();
        // The last is the lane of all topics in no group.
        let away: Vec<Arc<Away>> = (0..=groups.len()).map(|_| Arc::default()).collect();
        let mut lanes = Lanes::new(groups);
        let mut under_way = FuturesUnordered::new();
        let mut reading = std::pin::pin!(Fuse::terminated());
        loop {
            if reading.is_terminated()
                && let Some(question) = lanes.question()
            {
                reading.set(self.ask(question).fuse());
            }
            self.status.0.in_flight.store(under_way.len() as u64, Ordering::Relaxed);
            tokio::select! {
                () = stop.cancelled() => return,
                (question, rows) = &mut reading => {
                    let taken = lanes.take(&question, rows).into_iter();
                    under_way.extend(taken.map(|(lane, row)| {
                        self.carry(lane, away[lane].clone(), row)
                    }));
                }
                Some(lane) = under_way.next() => lanes.gave_back(lane),
                () = recorded.notified() => lanes.recorded(),
            }
        }
    }

    /// Asks until the outbox answers.
    async fn ask(&self, question: Question) -> (Question, Vec<OutboxRow>) {
        loop {
            let asked = self.outbox.after(question.from(), question.except(), READ_MAX);
            match asked.await {
                Ok(rows) => return (question, rows),
                Err(error) => {
                    tracing::error!(cause = ?error.0, "{error}; trying again");
                    tokio::time::sleep(OUTBOX_RETRY).await;
                }
            }
        }
    }

    /// Publishes until it is acknowledged and forgotten, or refused for good and buried; gives the
    /// lane back.
    async fn carry(&self, lane: usize, away: Arc<Away>, mut row: OutboxRow) -> usize {
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(RETRY_LONGEST)
            .with_jitter()
            .without_max_times();
        let mut pauses = pauses.build();
        let (mut refusals, mut healed) = (0, self.healed.clone());
        // What the row of the outbox says that it carries on.
        let mut recorded = row.message.trace.baggage.clone();
        // Who did not take it, while it waits for that.
        let mut waits_for = None;
        loop {
            // What heals while the message is under way counts: it may have been refused before.
            healed.mark_unchanged();
            let Err(mut error) = self.bus.publish(&row.message).await else { break };
            self.status.0.redelivered.fetch_add(1, Ordering::Relaxed);
            if let Some(baggage) = error.cause.baggage.take() {
                row.message.trace.baggage = Some(baggage);
            }
            self.carry_on(&row, &mut recorded).await;
            refusals += u32::from(error.cause.definite);
            if refusals >= REFUSALS_MAX && self.bury(&row, &error.to_string()).await {
                tell_back(&away, waits_for);
                return lane;
            }
            // One outage is many of these: it is told when it begins and when it is over.
            tracing::debug!(
                order_id = %row.message.key,
                correlation_id = row.message.correlation_id,
                "{error}; it will be delivered again"
            );
            if !error.cause.definite {
                let first = waits_for.replace(error.subscriber).is_none();
                if let Some(begins) = away.missed(first, &error) {
                    tracing::warn!("{begins}");
                }
            }
            let pause = pauses.next().unwrap_or(RETRY_LONGEST);
            let told = error.cause.retry_after.map(|after| after.min(RETRY_AFTER_MAX));
            let pause = told.map_or(pause, |after| after.max(pause));
            // A subscriber that will not take the message is as well as ever.
            let healed = (!error.cause.definite).then_some(&mut healed);
            wait(pause, healed).await;
        }
        tell_back(&away, waits_for);
        self.status.0.delivered.fetch_add(1, Ordering::Relaxed);
        // One that stayed recorded would be delivered once more after the next start, and by then
        // inboxes may have forgotten that they took it.
        while let Err(error) = self.outbox.forget(row.sequence).await {
            tracing::error!(cause = ?error.0, "{error}; forgetting it again");
            tokio::time::sleep(OUTBOX_RETRY).await;
        }
        lane
    }

    /// What a message met on its way goes with it, and stands in its row for whoever carries it
    /// after a restart. What could not be recorded is tried again after the next attempt.
    async fn carry_on(&self, row: &OutboxRow, recorded: &mut Option<String>) {
        let Some(baggage) = row.message.trace.baggage.as_ref() else { return };
        if recorded.as_ref() == Some(baggage) {
            return;
        }
        match self.outbox.carry_on(row.sequence, baggage).await {
            Ok(()) => *recorded = Some(baggage.clone()),
            Err(error) => {
                tracing::error!(cause = ?error.0, "{error}; a restart forgets what a message met");
            }
        }
    }

    /// Moves a message to the dead letters; when that fails it is delivered again.
    async fn bury(&self, row: &OutboxRow, reason: &str) -> bool {
        let Err(error) = self.outbox.bury(row.sequence, reason).await else {
            tracing::error!(
                order_id = %row.message.key,
                correlation_id = row.message.correlation_id,
                "{reason}, {REFUSALS_MAX} times; {} is a dead letter now", row.message.id,
            );
            self.status.count_dead(&*self.outbox).await;
            return true;
        };
        tracing::error!(cause = ?error.0, "{error}; a message nobody takes stays recorded");
        false
    }
}

/// A message need not wait any more. Who ended an outage by that is back.
fn tell_back(away: &Away, waited_for: Option<&'static str>) {
    if let Some(back) = away.answered(waited_for.is_some()) {
        tracing::warn!("{} {back}", waited_for.unwrap_or("the subscriber"));
    }
}

/// Waits, but not beyond the moment when something heals.
async fn wait(pause: Duration, healed: Option<&mut watch::Receiver<u64>>) {
    let change = async {
        if let Some(healed) = healed
            && healed.changed().await.is_ok()
        {
            return;
        }
        // Nobody will tell.
        std::future::pending().await
    };
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = change => {}
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
