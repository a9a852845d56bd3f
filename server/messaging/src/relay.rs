//! The relay: takes messages from one outbox to the bus, again and again until each is
//! acknowledged. Each subscriber has its own lane: one that is away holds up nobody else.

mod away;

use crate::{Bus, DeadLetter, OutboxRow};
use async_trait::async_trait;
use away::Away;
use backon::BackoffBuilder;
use futures::{StreamExt, stream::FuturesUnordered};
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

/// Messages that wait for the same subscribers.
struct Lane {
    /// Its topics; none for the lane of all others.
    topics: Vec<&'static str>,
    /// Everything of it up to here was taken under way.
    last: i64,
    under_way: usize,
    /// There may be more of it after `last`.
    behind: bool,
    away: Arc<Away>,
}

impl Lane {
    fn new(topics: Vec<&'static str>) -> Self {
        Self { topics, last: 0, under_way: 0, behind: true, away: Arc::default() }
    }

    const fn has_room(&self) -> bool {
        self.under_way < IN_FLIGHT_MAX
    }

    const fn wants(&self) -> bool {
        self.behind && self.has_room()
    }
}

impl Relay {
    /// Runs until `stop` fires. What is under way then is delivered again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let recorded = self.outbox.recorded();
        self.status.count_dead(&*self.outbox).await;
        let mut lanes: Vec<Lane> = self.bus.lanes().into_iter().map(Lane::new).collect();
        lanes.push(Lane::new(Vec::new()));
        let mut under_way = FuturesUnordered::new();
        loop {
            while lanes.iter().any(Lane::wants) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    rows = self.fill(&mut lanes) => {
                        let carry = |(lane, row): (usize, OutboxRow)| {
                            self.carry(lane, lanes[lane].away.clone(), row)
                        };
                        under_way.extend(rows.into_iter().map(carry));
                    }
                }
            }
            self.status.0.in_flight.store(under_way.len() as u64, Ordering::Relaxed);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(lane) = under_way.next() => lanes[lane].under_way -= 1,
                () = recorded.notified() => lanes.iter_mut().for_each(|lane| lane.behind = true),
            }
        }
    }

    /// The next messages of the lanes that are furthest behind, as far as they have room; mostly
    /// all lanes are at one place, and one look serves them all.
    async fn fill(&self, lanes: &mut [Lane]) -> Vec<(usize, OutboxRow)> {
        let wanting = lanes.iter().filter(|lane| lane.wants()).map(|lane| lane.last);
        let from = wanting.min().unwrap_or(0);
        let asked: Vec<bool> = lanes.iter().map(|l| l.wants() && l.last == from).collect();
        let others = lanes.iter().zip(&asked).filter(|(_, asked)| !**asked);
        let except: Vec<_> = others.flat_map(|(lane, _)| lane.topics.iter().copied()).collect();
        let rows = self.fetch(from, &except).await;
        // A full answer may not be all of it. After one that is not full nothing is left of these
        // lanes up to the furthest place that was seen before the question.
        let more = rows.len() == READ_MAX;
        let end = rows.last().map_or(from, |row| row.sequence);
        let seen = lanes.iter().map(|lane| lane.last).max().map_or(end, |seen| seen.max(end));
        let mut taken = Vec::with_capacity(rows.len());
        let mut cut = vec![false; lanes.len()];
        for row in rows {
            let of_topic = |lane: &Lane| lane.topics.contains(&row.message.topic.as_str());
            let index = lanes.iter().position(of_topic).unwrap_or(lanes.len() - 1);
            if !asked[index] || cut[index] {
                continue;
            }
            if lanes[index].has_room() {
                lanes[index].last = row.sequence;
                lanes[index].under_way += 1;
                taken.push((index, row));
            } else {
                cut[index] = true;
            }
        }
        for (_, lane) in lanes.iter_mut().enumerate().filter(|(i, _)| asked[*i] && !cut[*i]) {
            lane.last = if more { end } else { seen };
            lane.behind = more;
        }
        taken
    }

    async fn fetch(&self, last: i64, except: &[&'static str]) -> Vec<OutboxRow> {
        loop {
            match self.outbox.after(last, except, READ_MAX).await {
                Ok(rows) => return rows,
                Err(error) => {
                    tracing::error!(cause = ?error.0, "{error}; trying again");
                    tokio::time::sleep(OUTBOX_RETRY).await;
                }
            }
        }
    }

    /// Publishes until it is acknowledged and forgotten, or refused for good and buried; gives the
    /// lane back.
    async fn carry(&self, lane: usize, away: Arc<Away>, row: OutboxRow) -> usize {
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(RETRY_LONGEST)
            .with_jitter()
            .without_max_times();
        let mut pauses = pauses.build();
        let (mut refusals, mut healed) = (0, self.healed.clone());
        // Who did not take it, while it waits for that.
        let mut waits_for = None;
        loop {
            // What heals while the message is under way counts: it may have been refused before.
            healed.mark_unchanged();
            let Err(error) = self.bus.publish(&row.message).await else { break };
            self.status.0.redelivered.fetch_add(1, Ordering::Relaxed);
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
mod tests {
    use super::*;
    use crate::{Binding, Deliver, DeliveryError, EmbeddedBus, Message};
    use parking_lot::Mutex;

    #[derive(Default)]
    struct MemoryOutbox {
        rows: Mutex<Vec<OutboxRow>>,
        sequence: AtomicU64,
        recorded: Arc<Notify>,
        dead: Mutex<Vec<DeadLetter>>,
        /// So many times nothing is forgotten.
        broken: AtomicU64,
    }

    impl MemoryOutbox {
        fn record(&self, topic: &str) {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) as i64 + 1;
            let message = Message {
                id: sequence.to_string(),
                topic: topic.into(),
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
        async fn after(
            &self,
            sequence: i64,
            except: &[&'static str],
            limit: usize,
        ) -> Result<Vec<OutboxRow>, OutboxError> {
            let rows = self.rows.lock();
            let wanted = rows.iter().filter(|r| r.sequence > sequence);
            let wanted = wanted.filter(|r| !except.contains(&r.message.topic.as_str()));
            Ok(wanted.take(limit).cloned().collect())
        }
        async fn forget(&self, sequence: i64) -> Result<(), OutboxError> {
            let less = |times: u64| times.checked_sub(1);
            if self.broken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                return Err(OutboxError("the disk is full".into()));
            }
            self.rows.lock().retain(|r| r.sequence != sequence);
            Ok(())
        }
        async fn bury(&self, sequence: i64, reason: &str) -> Result<(), OutboxError> {
            let mut rows = self.rows.lock();
            let at = rows.iter().position(|r| r.sequence == sequence).unwrap();
            let (message, reason) = (rows.remove(at).message, reason.to_owned());
            self.dead.lock().push(DeadLetter { message, reason, buried_us: 0 });
            Ok(())
        }
        async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
            Ok(self.dead.lock().iter().take(limit).cloned().collect())
        }
        async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, OutboxError> {
            Ok(self.dead.lock().iter().find(|letter| letter.message.id == id).cloned())
        }
        async fn dead(&self) -> Result<u64, OutboxError> {
            Ok(self.dead.lock().len() as u64)
        }
        async fn revive(&self, _: &str) -> Result<bool, OutboxError> {
            Ok(false)
        }
        fn recorded(&self) -> Arc<Notify> {
            self.recorded.clone()
        }
    }

    /// Everybody refuses the first `refusals` attempts of each message; one is away for good.
    struct Subscribers {
        refusals: usize,
        away: &'static str,
        /// Told with a refusal that is not definite.
        retry_after: Option<Duration>,
        /// Tells while the message is being refused.
        heals: Option<watch::Sender<u64>>,
        seen: Mutex<Vec<(&'static str, String)>>,
    }

    #[async_trait]
    impl Deliver for Subscribers {
        async fn deliver(
            &self,
            subscriber: &'static str,
            message: &Message,
        ) -> Result<(), DeliveryError> {
            let mut seen = self.seen.lock();
            seen.push((subscriber, message.id.clone()));
            let tries = seen.iter().filter(|(_, id)| *id == message.id).count();
            if tries <= self.refusals || subscriber == self.away {
                if let Some(heals) = &self.heals {
                    heals.send_modify(|times| *times += 1);
                }
                let (reason, retry_after) = ("busy".into(), self.retry_after);
                return Err(DeliveryError { reason, retry_after, definite: false });
            }
            if message.topic == "nobody.reads" {
                let (reason, retry_after) = ("unreadable".into(), None);
                return Err(DeliveryError { reason, retry_after, definite: true });
            }
            Ok(())
        }
    }

    const BINDINGS: &[Binding] = &[
        Binding { topic: "stock.moved", subscriber: "orders", apart: false },
        Binding { topic: "order.confirmed", subscriber: "recommendations", apart: false },
        Binding { topic: "stock.counted", subscriber: "orders", apart: false },
        Binding { topic: "nobody.reads", subscriber: "inventory", apart: false },
        Binding { topic: "stock.undone", subscriber: "orders", apart: true },
    ];

    struct World {
        outbox: Arc<MemoryOutbox>,
        subscribers: Arc<Subscribers>,
        status: RelayStatus,
        relay: Relay,
    }

    fn world(refusals: usize, away: &'static str) -> World {
        let (retry_after, heals, seen) = (None, None, Mutex::default());
        let subscribers = Subscribers { refusals, away, retry_after, heals, seen };
        world_of(subscribers, watch::channel(0).1)
    }

    fn world_of(subscribers: Subscribers, healed: watch::Receiver<u64>) -> World {
        let outbox = Arc::new(MemoryOutbox::default());
        let subscribers = Arc::new(subscribers);
        let bus = Arc::new(EmbeddedBus::new(BINDINGS, subscribers.clone()));
        let status = RelayStatus::default();
        let relay = Relay { outbox: outbox.clone(), bus, healed, status: status.clone() };
        World { outbox, subscribers, status, relay }
    }

    impl World {
        /// Runs for a minute, which passes as soon as nothing is left to do; gives the topics left.
        async fn minute(self) -> (Vec<String>, Arc<Subscribers>, RelayStatus) {
            let run = self.relay.run(CancellationToken::new());
            let _ = tokio::time::timeout(Duration::from_secs(60), run).await;
            let rows = std::mem::take(&mut *self.outbox.rows.lock());
            let left = rows.into_iter().map(|row| row.message.topic).collect();
            (left, self.subscribers, self.status)
        }
    }

    #[test]
    fn topics_of_the_same_subscribers_share_a_lane_but_one_that_is_to_be_apart() {
        let deliver = world(0, "").subscribers;
        let lanes = EmbeddedBus::new(BINDINGS, deliver).lanes();
        let lanes: Vec<_> = lanes.iter().map(|topics| topics.join(" ")).collect();
        let of_orders = ["stock.counted stock.moved", "stock.undone"];
        assert_eq!(lanes, ["nobody.reads", of_orders[0], of_orders[1], "order.confirmed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_delivered_again_until_it_is_acknowledged() {
        let world = world(3, "");
        world.outbox.record("stock.moved");
        let (left, subscribers, status) = world.minute().await;
        assert_eq!((subscribers.seen.lock().len(), left.len()), (4, 0));
        assert_eq!((status.delivered(), status.redelivered()), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn an_acknowledged_message_is_forgotten_as_soon_as_the_outbox_can() {
        let world = world(0, "");
        world.outbox.broken.store(3, Ordering::Relaxed);
        world.outbox.record("stock.moved");
        let (left, subscribers, status) = world.minute().await;
        assert_eq!((left.len(), subscribers.seen.lock().len(), status.delivered()), (0, 1, 1));
    }

    /// How long a message takes to a subscriber behind a breaker that says it is open so long.
    async fn behind_a_breaker(
        open_for: Duration,
        healed: watch::Receiver<u64>,
        heal: impl Future,
    ) -> Duration {
        let (retry_after, heals, seen) = (Some(open_for), None, Mutex::default());
        let subscribers = Subscribers { refusals: 1, away: "", retry_after, heals, seen };
        let world = world_of(subscribers, healed);
        let status = world.status.clone();
        let began = tokio::time::Instant::now();
        world.outbox.record("stock.moved");
        let run = world.relay.run(CancellationToken::new());
        let done = async {
            heal.await;
            while status.delivered() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            began.elapsed()
        };
        tokio::select! {
            () = run => unreachable!("nothing stops it"),
            took = done => took,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_goes_on_at_once_when_what_refused_it_heals() {
        let (heals, healed) = watch::channel(0);
        let heal = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            heals.send_modify(|times| *times += 1);
        };
        let took = behind_a_breaker(RETRY_AFTER_MAX, healed, heal).await;
        assert!(took < Duration::from_millis(3_010), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_waits_as_long_as_it_was_told_when_nothing_heals() {
        // Whoever could tell may be gone.
        for seconds in [7, 60] {
            let (_, healed) = watch::channel(0);
            let open_for = Duration::from_secs(seconds);
            let took = behind_a_breaker(open_for, healed, async {}).await;
            assert!(took >= open_for && took < open_for + Duration::from_millis(10), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_tried_each_minute_however_long_it_was_told_to_wait() {
        let (_heals, healed) = watch::channel(0);
        let took = behind_a_breaker(Duration::from_secs(3600), healed, async {}).await;
        assert!(took >= RETRY_AFTER_MAX && took < Duration::from_millis(60_010), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_heals_while_a_message_is_being_refused_is_not_missed() {
        let (heals, healed) = watch::channel(0);
        let (retry_after, seen) = (Some(Duration::from_secs(3600)), Mutex::default());
        let heals = Some(heals);
        let subscribers = Subscribers { refusals: 2, away: "", retry_after, heals, seen };
        let world = world_of(subscribers, healed);
        world.outbox.record("stock.moved");
        let (left, subscribers, _) = world.minute().await;
        assert_eq!((left.len(), subscribers.seen.lock().len()), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_definitely_refused_is_a_dead_letter_and_gives_its_place_back() {
        let world = world(2, "");
        for _ in 0..IN_FLIGHT_MAX {
            world.outbox.record("nobody.reads");
        }
        world.outbox.record("nobody.reads");
        let outbox = world.outbox.clone();
        let (left, subscribers, status) = world.minute().await;
        let dead = outbox.dead.lock();
        assert_eq!((left.len(), dead.len(), status.dead()), (0, IN_FLIGHT_MAX + 1, 257));
        assert_eq!(dead[0].reason, "nobody.reads was not acknowledged by inventory: unreadable");
        // What was not definite counts for nothing.
        let first = subscribers.seen.lock().iter().filter(|(_, id)| *id == "1").count();
        assert_eq!(first, 2 + REFUSALS_MAX as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn more_messages_than_may_be_under_way_are_each_delivered_once() {
        let world = world(0, "");
        for n in 0..3 * IN_FLIGHT_MAX {
            world.outbox.record(["stock.moved", "order.confirmed", "nobody.cares"][n % 3]);
        }
        let (left, subscribers, status) = world.minute().await;
        let seen = subscribers.seen.lock().len();
        assert_eq!((left.len(), seen, status.delivered()), (0, 2 * IN_FLIGHT_MAX, 768));
    }

    /// Keeps what is printed without being asked for: warnings, and worse.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<String>>>);

    impl tracing::field::Visit for Printed {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                self.0.lock().push(format!("{value:?}"));
            }
        }
    }

    impl tracing::Subscriber for Printed {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() <= tracing::Level::WARN
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    /// Takes nothing until then, and everything from then on.
    struct Gone(tokio::time::Instant);

    #[async_trait]
    impl Deliver for Gone {
        async fn deliver(&self, _: &'static str, _: &Message) -> Result<(), DeliveryError> {
            let (reason, retry_after, definite) = ("busy".into(), None, false);
            let refused = Err(DeliveryError { reason, retry_after, definite });
            if tokio::time::Instant::now() < self.0 { refused } else { Ok(()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_when_it_begins_and_when_it_is_over_and_not_at_each_try() {
        let printed = Printed::default();
        let _printing = tracing::subscriber::set_default(printed.clone());
        let gone = Arc::new(Gone(tokio::time::Instant::now() + Duration::from_secs(300)));
        let (world, bus) = (world(0, ""), Arc::new(EmbeddedBus::new(BINDINGS, gone)));
        for _ in 0..3 {
            world.outbox.record("stock.moved");
        }
        let (run, status) = (Relay { bus, ..world.relay }, world.status.clone());
        let over = tokio::time::timeout(Duration::from_secs(900), run.run(Default::default()));
        assert!(over.await.is_err(), "it runs until it is stopped");
        assert!(status.delivered() == 3 && status.redelivered() > 3 * 40, "{status:?}");
        assert_eq!(
            *printed.0.lock(),
            [
                "orders takes no messages: busy; 3 messages wait until it does",
                "orders takes messages again; 3 messages waited",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_unlucky_alone_is_no_outage() {
        let printed = Printed::default();
        let _printing = tracing::subscriber::set_default(printed.clone());
        let world = world(4, "");
        world.outbox.record("stock.moved");
        let (left, ..) = world.minute().await;
        assert_eq!((left.len(), printed.0.lock().len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_is_away_holds_up_nobody_else() {
        let world = world(0, "recommendations");
        // Before, among and after more than the lane of the one that is away can hold.
        for n in 0..2 * IN_FLIGHT_MAX {
            if n % 16 == 0 {
                world.outbox.record("stock.moved");
            }
            world.outbox.record("order.confirmed");
        }
        world.outbox.record("stock.moved");
        let outbox = world.outbox.clone();
        let late = async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            outbox.record("stock.counted");
        };
        let ((left, subscribers, _), ()) = tokio::join!(world.minute(), late);
        assert_eq!(left.len(), 2 * IN_FLIGHT_MAX, "what nobody acknowledged stays");
        assert!(left.iter().all(|topic| topic == "order.confirmed"), "something else was held up");
        let seen = subscribers.seen.lock();
        let asked: std::collections::BTreeSet<_> =
            seen.iter().filter(|(who, _)| *who == "recommendations").map(|(_, id)| id).collect();
        assert_eq!(asked.len(), IN_FLIGHT_MAX, "no more than the lane holds is under way");
    }
}
