//! What a relay does with an outbox, a bus and subscribers that are not always there.

use super::*;
use crate::{Binding, Deliver, DeliveryError, EmbeddedBus, Message};
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;

#[derive(Default)]
struct MemoryOutbox {
    rows: Mutex<Vec<OutboxRow>>,
    sequence: AtomicU64,
    recorded: Arc<Notify>,
    dead: Mutex<Vec<DeadLetter>>,
    /// So many times nothing is forgotten.
    broken: AtomicU64,
    /// Whoever reads waits for ever.
    hangs: AtomicBool,
    /// So often was recorded what a message carries on.
    carried: AtomicU64,
    /// So many times it cannot be.
    unwritable: AtomicU64,
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
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let rows = self.rows.lock();
        let wanted = rows.iter().filter(|r| r.sequence > sequence);
        let wanted = wanted.filter(|r| !except.contains(&r.message.topic.as_str()));
        Ok(wanted.take(limit).cloned().collect())
    }
    async fn carry_on(&self, sequence: i64, baggage: &str) -> Result<(), OutboxError> {
        let less = |times: u64| times.checked_sub(1);
        if self.unwritable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Err(OutboxError("the disk is full".into()));
        }
        self.carried.fetch_add(1, Ordering::Relaxed);
        for row in self.rows.lock().iter_mut().filter(|row| row.sequence == sequence) {
            row.message.trace.baggage = Some(baggage.to_owned());
        }
        Ok(())
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
            return Err(DeliveryError { reason, retry_after, definite: false, baggage: None });
        }
        if message.topic == "nobody.reads" {
            let (reason, retry_after) = ("unreadable".into(), None);
            return Err(DeliveryError { reason, retry_after, definite: true, baggage: None });
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

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_delivered_while_the_outbox_cannot_be_read() {
    let world = world(3, "");
    world.outbox.record("stock.moved");
    let outbox = world.outbox.clone();
    let failing = async move {
        // The first was refused once and waits for its next try.
        tokio::time::sleep(RETRY_FIRST / 4).await;
        outbox.hangs.store(true, Ordering::Relaxed);
        outbox.record("stock.moved");
    };
    let ((left, subscribers, status), ()) = tokio::join!(world.minute(), failing);
    assert_eq!((subscribers.seen.lock().len(), status.delivered()), (4, 1));
    assert_eq!(left.len(), 1, "what cannot be read waits");
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
        let refused = Err(DeliveryError { reason, retry_after, definite, baggage: None });
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

/// Loses each message three times, by the same fault.
#[derive(Default)]
struct Loses(Mutex<Vec<Option<String>>>);

#[async_trait]
impl Deliver for Loses {
    async fn deliver(&self, _: &'static str, message: &Message) -> Result<(), DeliveryError> {
        let mut seen = self.0.lock();
        seen.push(message.trace.baggage.clone());
        let (reason, retry_after, baggage) = ("lost".into(), None, Some("fault=F-1".into()));
        let lost = Err(DeliveryError { reason, retry_after, definite: false, baggage });
        if seen.len() <= 3 { lost } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_kept_a_message_is_recorded_once_and_carried_by_every_later_delivery() {
    let (world, loses) = (world(0, ""), Arc::new(Loses::default()));
    let bus = Arc::new(EmbeddedBus::new(BINDINGS, loses.clone()));
    let (outbox, relay) = (world.outbox.clone(), Relay { bus, ..world.relay });
    outbox.record("stock.moved");
    let run = relay.run(CancellationToken::new());
    let _ = tokio::time::timeout(Duration::from_secs(60), run).await;
    let carried = Some("fault=F-1".to_owned());
    assert_eq!(*loses.0.lock(), [None, carried.clone(), carried.clone(), carried]);
    assert_eq!((outbox.carried.load(Ordering::Relaxed), outbox.rows.lock().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_kept_a_message_is_recorded_later_when_it_could_not_be_at_once() {
    let (world, loses) = (world(0, ""), Arc::new(Loses::default()));
    let bus = Arc::new(EmbeddedBus::new(BINDINGS, loses.clone()));
    let (outbox, relay) = (world.outbox.clone(), Relay { bus, ..world.relay });
    outbox.unwritable.store(1, Ordering::Relaxed);
    outbox.record("stock.moved");
    let run = relay.run(CancellationToken::new());
    let _ = tokio::time::timeout(Duration::from_secs(60), run).await;
    assert_eq!(loses.0.lock().len(), 4);
    assert_eq!(outbox.unwritable.load(Ordering::Relaxed), 0, "the first try failed");
    assert_eq!(outbox.carried.load(Ordering::Relaxed), 1, "and the second did not");
}
