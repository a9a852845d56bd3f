//! The live feed: watches telemetry, orders, breakers and load, and numbers what changes.
//!
//! One task makes the frames; every viewer gets the same ones, serialized once. A snapshot is taken
//! under the same lock that numbers the frames, so the frames after it are exactly those with a
//! higher number.

mod edges;
mod facts;
mod in_mesh;
mod lanes;
mod news;

use crate::{control::Control, shop::Shop};
use contract::{
    live::{
        ChangeView, FEED_ROWS_MAX, LiveBody, LiveFrame, LiveSnapshot, MapView, NodeView,
        OrderTally, RED_POINTS_MAX, RedPoint, TIME_BACK_MIN_US,
    },
    order::{OrderPage, OrderRow, OrderStatus},
    service::{self, DASHBOARD, SERVICES},
};
use facts::Facts;
use futures::{FutureExt, future::FusedFuture};
pub(crate) use in_mesh::Minute;
use in_mesh::{InMesh, Samples};
use mesh::{CallError, EndpointStatus, Phase};
use messaging::RelayStatus;
use parking_lot::Mutex;
use shop::orders::{RECENT_PAGE_MAX, Recent, RecentPage};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use telemetry::{EdgeRates, Telemetry, VersionRates};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

/// Frames a slow viewer may lag behind by: at ten a second, some twenty-five seconds.
const FRAMES_BEHIND_MAX: usize = 256;
/// Changed orders are gathered for so long into one frame: at most five such frames a second.
const GATHER: Duration = Duration::from_millis(200);
/// Window of the tally.
const TALLY_SECONDS: u32 = 300;
/// Orders in the tally: at 200 a second five minutes are below it.
const TALLY_MAX: usize = 65_536;
/// How long orders may take to say what there is; the feed goes on without, and asks again.
const LOAD_DEADLINE: Duration = Duration::from_secs(1);

/// A numbered frame, serialized.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number.
    pub seq: u64,
    /// Its JSON.
    pub json: Arc<str>,
    /// No frame comes after it.
    pub last: bool,
    /// The second that its point of the charts is of, if it is one.
    pub red_second: Option<i64>,
}

/// The feed. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    shop: Shop,
    telemetry: Telemetry,
    control: Control,
    run_id: Arc<str>,
    started_us: i64,
    state: Arc<Mutex<State>>,
    facts: watch::Sender<Facts>,
    samples: Arc<Mutex<Samples>>,
    /// Held while the mesh is looked at and told.
    telling_mesh: Arc<Mutex<()>>,
    frames: broadcast::Sender<Sent>,
    viewers: Arc<AtomicU32>,
}

#[derive(Default)]
struct State {
    seq: u64,
    rows: VecDeque<OrderRow>,
    tally: Tally,
    changes: Vec<ChangeView>,
    map: MapView,
    /// What the edges of the map were made from: more than its viewers need.
    rates: Vec<EdgeRates>,
    /// Versions of services as the last second counted them.
    versions: Vec<VersionRates>,
    in_mesh: InMesh,
}

/// Orders of the last minutes by what became of them.
#[derive(Default)]
struct Tally {
    /// Oldest first.
    placed: VecDeque<(i64, String)>,
    /// What became of each, and the version that says so.
    status: HashMap<String, (u64, OrderStatus)>,
}

impl Tally {
    fn take(&mut self, row: &OrderRow, now_us: i64) {
        let OrderRow { placed_at_us, status, version, .. } = *row;
        let order_id = row.order_id.clone();
        self.count(Recent { order_id, placed_at_us, status, version }, now_us);
    }

    /// Orders may come in any order: as they change, and the newest first after a start. What was
    /// read while it changed is older than what is known.
    fn count(&mut self, order: Recent, now_us: i64) {
        let Recent { order_id, placed_at_us, status, version } = order;
        if placed_at_us < Self::oldest(now_us) {
            return;
        }
        match self.status.get_mut(&order_id) {
            Some(known) if known.0 > version => {}
            Some(known) => *known = (version, status),
            None => {
                self.status.insert(order_id.clone(), (version, status));
                let at = self.placed.partition_point(|(placed, _)| *placed <= placed_at_us);
                self.placed.insert(at, (placed_at_us, order_id));
            }
        }
    }

    fn oldest(now_us: i64) -> i64 {
        now_us - i64::from(TALLY_SECONDS) * 1_000_000
    }

    /// The window reaches back to the start, or to an older order that is known.
    fn view(&mut self, now_us: i64, started_us: i64) -> OrderTally {
        let oldest = Self::oldest(now_us);
        while self
            .placed
            .front()
            .is_some_and(|(at, _)| *at < oldest || self.placed.len() > TALLY_MAX)
        {
            if let Some((_, id)) = self.placed.pop_front() {
                self.status.remove(&id);
            }
        }
        let count = |of: &[OrderStatus]| {
            self.status.values().filter(|(_, status)| of.contains(status)).count() as u64
        };
        let since_us = self.placed.front().map_or(started_us, |(at, _)| started_us.min(*at));
        let seconds = now_us.saturating_sub(since_us) / 1_000_000;
        let seconds = u32::try_from(seconds).unwrap_or_default();
        OrderTally {
            window_seconds: seconds.clamp(1, TALLY_SECONDS),
            placed: self.status.len() as u64,
            confirmed: count(&[OrderStatus::Confirmed, OrderStatus::Shipped]),
            cancelled: count(&[OrderStatus::Cancelled]),
            running: count(&[OrderStatus::Processing]),
        }
    }
}

impl Live {
    /// A feed of this shop, in the run of this id.
    #[must_use]
    pub fn new(shop: Shop, telemetry: Telemetry, control: Control, run_id: &str) -> Self {
        let run_id = run_id.into();
        let started_us = shop.clock.now_us();
        let (frames, _) = broadcast::channel(FRAMES_BEHIND_MAX);
        let (state, samples, telling_mesh, viewers) = Default::default();
        let (facts, _) = watch::channel(Facts::new());
        Self {
            shop,
            telemetry,
            control,
            run_id,
            started_us,
            state,
            facts,
            samples,
            telling_mesh,
            frames,
            viewers,
        }
    }

    /// Everything as it is now, with the points of the RED charts of a service over so many
    /// minutes.
    #[must_use]
    pub fn snapshot(&self, minutes: u32, of: &str) -> LiveSnapshot {
        let at_us = self.shop.clock.now_us();
        let from_us = at_us - i64::from(minutes) * 60_000_000;
        let red = match minutes {
            0 => Vec::new(),
            _ => self.telemetry.red_points(of, from_us.max(self.started_us), at_us),
        };
        self.view(&mut self.state.lock(), at_us, red)
    }

    fn view(&self, state: &mut State, at_us: i64, red: Vec<RedPoint>) -> LiveSnapshot {
        LiveSnapshot {
            seq: state.seq,
            at_us,
            run_id: self.run_id.to_string(),
            started_us: self.started_us,
            map: state.map.clone(),
            orders: state.rows.iter().cloned().collect(),
            tally: state.tally.view(at_us, self.started_us),
            red,
            load: self.shop.load.view(),
            changes: state.changes.clone(),
            faults: state.in_mesh.faults.clone(),
            breakers: state.in_mesh.breakers.clone(),
            mesh: state.in_mesh.mesh.clone(),
            build: crate::edge::build().to_owned(),
        }
    }

    /// Everything as it is now but the charts, and what the edges of the map were made from.
    #[must_use]
    pub fn measured(&self) -> (LiveSnapshot, Vec<EdgeRates>) {
        let at_us = self.shop.clock.now_us();
        let mut state = self.state.lock();
        (self.view(&mut state, at_us, Vec::new()), state.rates.clone())
    }

    /// The point of the charts in such a frame, of another service than the gateway.
    #[must_use]
    pub fn red_frame(&self, seq: u64, second: i64, of: &str) -> Sent {
        let red = self.telemetry.red_at(of, second);
        sent(seq, self.shop.clock.now_us(), LiveBody::Red(red))
    }

    /// A snapshot as a frame, and the frames after it.
    pub fn join(&self, minutes: u32, of: &str) -> (Sent, broadcast::Receiver<Sent>) {
        // Listening begins first: a frame that falls between is in both, and dropped by its number.
        let frames = self.frames.subscribe();
        let snapshot = self.snapshot(minutes, of);
        let (seq, at_us) = (snapshot.seq, snapshot.at_us);
        (sent(seq, at_us, LiveBody::Snapshot(Box::new(snapshot))), frames)
    }

    /// One version of a service over the last minute, whoever called it.
    #[must_use]
    pub fn version(&self, service: &str, subset: &str) -> Option<VersionRates> {
        let state = self.state.lock();
        let of = |v: &&VersionRates| v.service == service && v.rates.subset == subset;
        state.versions.iter().find(of).cloned()
    }

    /// Viewers now.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// The shop's clock, microseconds since the epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.shop.clock.now_us()
    }

    /// Counts a viewer for as long as the result lives.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Viewer(self.viewers.clone())
    }

    /// Asks the services for what the map tells of them, until `stop` fires.
    pub async fn gather_facts(self, stop: CancellationToken) {
        let (mesh, clock) = (self.shop.mesh.clone(), self.shop.clock.clone());
        facts::gather(mesh, clock, self.facts, stop).await;
    }

    /// Makes frames until `stop` fires; the last one says goodbye.
    pub async fn run(self, stop: CancellationToken) {
        // Listening begins before the first look, so that no change falls between the two.
        let mut rows = self.shop.orders.changes();
        let mut news = std::pin::pin!(self.tell_news(self.news()));
        let mut load = self.shop.load.watch();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut gathered: Vec<OrderRow> = Vec::new();
        let mut gather_until = None;
        let mut red_until = self.shop.clock.now_us() / 1_000_000 - 1;
        let mut behind = false;
        // Beside the frames: orders that answers slowly holds up nothing that is told of others.
        let mut loading = std::pin::pin!(self.load_rows(RECENT_PAGE_MAX).fuse());
        loop {
            let gather = async {
                match gather_until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {
                    self.publish(|_| LiveBody::Bye);
                    return;
                }
                row = rows.recv() => match row {
                    Ok(row) => {
                        gather_until.get_or_insert_with(|| Instant::now() + GATHER);
                        keep_newest(&mut gathered, row);
                    }
                    Err(RecvError::Lagged(_)) => behind = true,
                    Err(RecvError::Closed) => return,
                },
                loaded = &mut loading => behind |= !loaded,
                () = gather => {
                    gather_until = None;
                    self.publish_rows(std::mem::take(&mut gathered));
                }
                () = &mut news => return,
                _ = load.changed() => {
                    let view = self.shop.load.view();
                    self.publish(|_| LiveBody::Load(view));
                }
                _ = second.tick() => {
                    if behind && loading.is_terminated() {
                        behind = false;
                        loading.set(self.load_rows(RECENT_PAGE_MAX).fuse());
                    }
                    red_until = self.publish_second(red_until);
                    self.sample_mesh();
                    self.publish_mesh();
                }
            }
        }
    }

    /// Asks for the newest orders, and for all that the tally counts, page after page: at the
    /// start, and when too many changed at once to follow. False when orders did not answer in
    /// time.
    async fn load_rows(&self, page: usize) -> bool {
        match self.read_rows(page).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("{error}; the feed waits for its orders");
                false
            }
        }
    }

    async fn read_rows(&self, page: usize) -> Result<(), CallError> {
        let since_us = Tally::oldest(self.shop.clock.now_us());
        let caller = self.shop.mesh.caller(DASHBOARD);
        let look = |path: String| caller.look(service::ORDERS, path).timeout(LOAD_DEADLINE);
        let newest = look(format!("/orders?limit={FEED_ROWS_MAX}")).receive::<OrderPage>().await?;
        // What is seen first does not wait for what is counted, which may be many pages.
        self.publish_rows(self.still_new(newest.orders));
        let recent = format!("/orders/recent?since_us={since_us}&limit={page}");
        let (mut next, mut read) = (None::<String>, 0);
        while read < TALLY_MAX {
            let cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
            let page = look(format!("{recent}{cursor}")).receive::<RecentPage>().await?;
            read += page.orders.len();
            self.count(page.orders);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        // No rows, but the tally of all.
        self.publish_rows(Vec::new());
        Ok(())
    }

    fn count(&self, orders: Vec<Recent>) {
        let now_us = self.shop.clock.now_us();
        let tally = &mut self.state.lock().tally;
        orders.into_iter().for_each(|order| tally.count(order, now_us));
    }

    /// Rows that were read, but those that changed since and were told so.
    fn still_new(&self, mut rows: Vec<OrderRow>) -> Vec<OrderRow> {
        let known = &self.state.lock().rows;
        let newer = |row: &OrderRow, known: &OrderRow| {
            known.order_id == row.order_id && known.version > row.version
        };
        rows.retain(|row| !known.iter().any(|known| newer(row, known)));
        rows
    }

    fn publish(&self, body: impl FnOnce(&mut State) -> LiveBody) {
        let at_us = self.shop.clock.now_us();
        let mut state = self.state.lock();
        let body = body(&mut state);
        state.seq += 1;
        if self.frames.receiver_count() > 0 {
            // Sent under the lock, so that numbers arrive in order.
            let _ = self.frames.send(sent(state.seq, at_us, body));
        }
    }

    fn publish_rows(&self, rows: Vec<OrderRow>) {
        let now_us = self.shop.clock.now_us();
        self.publish(|state| {
            for row in &rows {
                state.tally.take(row, now_us);
                merge(&mut state.rows, row.clone());
            }
            LiveBody::Orders { rows, tally: state.tally.view(now_us, self.started_us) }
        });
    }

    fn publish_change(&self, change: ChangeView) {
        self.publish(|state| {
            change.clone().put_before(&mut state.changes);
            LiveBody::Change(change)
        });
    }

    /// The map as it is, and every second of the charts that ended since the last one published;
    /// gives the last one now. After a long sleep only what the charts show.
    fn publish_second(&self, red_until: i64) -> i64 {
        let (map, rates) = self.map();
        self.publish(|state| {
            state.map = map.clone();
            state.rates = rates;
            LiveBody::Map(map)
        });
        let last_second = self.shop.clock.now_us() / 1_000_000 - 1;
        for second in seconds_due(red_until, last_second) {
            let red = self.telemetry.red_at(service::GATEWAY, second);
            self.publish(|_| LiveBody::Red(red));
        }
        told_until(red_until, last_second)
    }

    fn map(&self) -> (MapView, Vec<EdgeRates>) {
        let now_us = self.shop.clock.now_us();
        let rates = self.telemetry.map(now_us);
        let breakers = self.shop.mesh.breakers();
        let deliveries = edges::deliveries(&rates, &breakers);
        self.state.lock().versions = rates.versions;
        let measured = rates.edges.clone();
        let edges = rates.edges.into_iter().map(|edge| edges::edge(edge, &breakers)).collect();
        let mut sparks: HashMap<String, Vec<f32>> = rates.nodes.into_iter().collect();
        let endpoints = self.shop.mesh.endpoints();
        let facts = self.facts();
        let own = SERVICES.iter().map(|s| s.name);
        let mut names: Vec<String> = own
            .chain([service::BROWSER, service::LOAD, service::STRIPE])
            .map(str::to_owned)
            .collect();
        let others = self.shop.mesh.services().into_iter().map(|name| name.to_string());
        let others = others.filter(|name| !names.contains(name)).take(OTHERS_MAX);
        let others: Vec<String> = others.collect();
        names.extend(others);
        let nodes = names.into_iter().map(|name| NodeView {
            ready: instances(&name, &endpoints, true),
            instances: instances(&name, &endpoints, false),
            spark: sparks.remove(&name).unwrap_or_default(),
            note: facts.get(&*name).cloned(),
            service: name,
        });
        let map = MapView {
            window_seconds: rates.window_seconds,
            nodes: nodes.collect(),
            edges,
            silent: rates.silent,
            deliveries,
            bus_per_second: rates.bus_per_second,
            bus_lag_p95_ms: rates.bus_lag_p95_ms,
            bus_dead_letters: self.shop.relays.iter().map(RelayStatus::dead).sum(),
        };
        (map, measured)
    }

    /// One short fact for the nodes that have one.
    fn facts(&self) -> Facts {
        let mut facts = self.facts.borrow().clone();
        let viewers = self.viewers();
        let noun = if viewers == 1 { "session" } else { "sessions" };
        facts.insert(service::BROWSER, format!("{viewers} {noun}"));
        let rate = self.shop.load.view().per_second;
        facts
            .insert(service::LOAD, if rate > 0.0 { format!("{rate} req/s") } else { "off".into() });
        facts
    }
}

/// Services outside the mesh that are nodes of the map, by name: a frame a second has them all, and
/// the drawing has room for three. What is called beyond that is in the edges.
const OTHERS_MAX: usize = 32;

/// Keeps the number of viewers right.
#[derive(Debug)]
pub struct Viewer(Arc<AtomicU32>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Seconds to publish after one was: all until the last that ended, as far as charts go back.
fn seconds_due(published: i64, last: i64) -> std::ops::RangeInclusive<i64> {
    published.max(last - RED_POINTS_MAX as i64) + 1..=last
}

/// Until which second the charts were told, then: no second twice, unless the date was far ahead
/// and went back, after which they begin again from where it is.
const fn told_until(published: i64, last: i64) -> i64 {
    let back = published.saturating_sub(last) >= TIME_BACK_MIN_US / 1_000_000;
    if back || published < last { last } else { published }
}

/// A frame for a viewer that lost some: so many, then a snapshot follows.
#[must_use]
pub fn gap(seq: u64, at_us: i64, missed: u64) -> Sent {
    sent(seq, at_us, LiveBody::Gap { missed })
}

fn sent(seq: u64, at_us: i64, body: LiveBody) -> Sent {
    let frame = LiveFrame { seq, at_us, body };
    let last = matches!(frame.body, LiveBody::Bye);
    let red_second = match &frame.body {
        LiveBody::Red(point) => Some(point.at_us / 1_000_000),
        _ => None,
    };
    // Plain data of ours always becomes JSON.
    let json = serde_json::to_string(&frame).unwrap_or_default().into();
    Sent { seq, json, last, red_second }
}

/// Instances of a service, or those of them that take calls. The bus is one that is always there.
fn instances(service: &str, endpoints: &[EndpointStatus], taking: bool) -> u32 {
    if service == service::BUS {
        return 1;
    }
    let takes =
        |e: &&EndpointStatus| !taking || (e.phase == Phase::Ready && e.ejected_until_us.is_none());
    let own = endpoints.iter().filter(|endpoint| *endpoint.service == *service).filter(takes);
    u32::try_from(own.count()).unwrap_or(u32::MAX)
}

fn keep_newest(rows: &mut Vec<OrderRow>, row: OrderRow) {
    match rows.iter_mut().find(|known| known.order_id == row.order_id) {
        Some(known) if known.version < row.version => *known = row,
        Some(_) => {}
        None => rows.push(row),
    }
}

/// Newest first, bounded; a row that is known is replaced where it stands.
fn merge(rows: &mut VecDeque<OrderRow>, row: OrderRow) {
    if let Some(known) = rows.iter_mut().find(|known| known.order_id == row.order_id) {
        if known.version <= row.version {
            *known = row;
        }
        return;
    }
    let at = rows.iter().position(|known| known.placed_at_us <= row.placed_at_us);
    match at {
        Some(at) => rows.insert(at, row),
        None => rows.push_back(row),
    }
    rows.truncate(FEED_ROWS_MAX);
}

#[cfg(test)]
#[path = "live/from_orders_tests.rs"]
mod from_orders;

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{Origin, StepMark},
    };

    fn row(id: &str, placed_at_us: i64, version: u64) -> OrderRow {
        OrderRow {
            order_id: id.into(),
            user_id: "c-1".into(),
            total: Money::eur(1),
            status: OrderStatus::Processing,
            phase: "Paying".into(),
            steps: [StepMark::NotReached; 3],
            placed_at_us,
            took_us: None,
            origin: Origin::Load,
            version,
        }
    }

    #[test]
    fn rows_stand_newest_first_and_are_replaced_in_place() {
        let mut rows = VecDeque::new();
        for row in [row("a", 10, 1), row("c", 30, 1), row("b", 20, 1), row("a", 10, 2)] {
            merge(&mut rows, row);
        }
        let ids: Vec<_> = rows.iter().map(|r| (r.order_id.as_str(), r.version)).collect();
        assert_eq!(ids, [("c", 1), ("b", 1), ("a", 2)]);
    }

    #[test]
    fn no_second_of_the_charts_is_left_out_or_told_twice() {
        assert_eq!(seconds_due(100, 101).collect::<Vec<_>>(), [101]);
        assert_eq!(seconds_due(100, 103).collect::<Vec<_>>(), [101, 102, 103]);
        assert!(seconds_due(100, 100).next().is_none());
        // A clock that was set back.
        assert!(seconds_due(100, 90).next().is_none());
        assert_eq!(seconds_due(0, 1_000_000).count(), RED_POINTS_MAX);
    }

    #[test]
    fn after_a_date_far_ahead_was_corrected_the_charts_go_on_from_where_it_is() {
        assert_eq!([told_until(100, 101), told_until(100, 90)], [101, 100]);
        let day = 86_400;
        assert_eq!(told_until(100 + day, 100), 100);
        assert_eq!(seconds_due(told_until(100 + day, 100), 101).collect::<Vec<_>>(), [101]);
    }

    #[test]
    fn the_tally_forgets_orders_that_are_older_than_its_window() {
        let mut tally = Tally::default();
        tally.take(&row("old", 0, 1), 1);
        let new = OrderRow { status: OrderStatus::Shipped, ..row("new", 200_000_000, 2) };
        tally.take(&new, 200_000_001);
        let view = tally.view(310_000_000, 0);
        assert_eq!((view.placed, view.confirmed, view.running), (1, 1, 0));
    }

    #[test]
    fn what_was_read_while_it_changed_does_not_undo_the_change() {
        let mut tally = Tally::default();
        let confirmed = OrderRow { status: OrderStatus::Confirmed, ..row("a", 10, 6) };
        tally.take(&confirmed, 10);
        tally.take(&row("a", 10, 3), 10);
        let view = tally.view(10, 0);
        assert_eq!((view.placed, view.confirmed, view.running), (1, 1, 0));
        tally.take(&OrderRow { status: OrderStatus::Cancelled, ..row("a", 10, 9) }, 10);
        assert_eq!(tally.view(10, 0).cancelled, 1);
    }

    #[test]
    fn a_tally_of_rows_read_newest_first_is_of_its_window_alone() {
        const NOW: i64 = 1_000_000_000;
        let mut tally = Tally::default();
        for (id, seconds_ago) in [("c", 10), ("b", 20), ("a", 290), ("z", 301), ("y", 900)] {
            tally.take(&row(id, NOW - seconds_ago * 1_000_000, 1), NOW);
        }
        assert_eq!(tally.view(NOW, 0).placed, 3);
        // What is oldest leaves first, whatever came last.
        assert_eq!(tally.view(NOW + 15_000_000, 0).placed, 2);
        assert_eq!(tally.view(NOW + 285_000_000, 0).placed, 1);
    }

    #[test]
    fn right_after_a_start_the_tally_is_of_the_time_since_and_of_older_orders_it_knows() {
        const START: i64 = 1_000_000_000;
        let mut tally = Tally::default();
        let now = START + 30_000_000;
        assert_eq!(tally.view(now, START).window_seconds, 30);
        tally.take(&row("old", START - 60_000_000, 1), now);
        assert_eq!(tally.view(now, START).window_seconds, 90);
        assert_eq!(tally.view(START + 900_000_000, START).window_seconds, TALLY_SECONDS);
    }
}
