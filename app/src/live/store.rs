//! The live store: the model of this tab and the signals that follow it.
//!
//! Signals are set only from [`Live::seed`] and [`Live::take`], and not at all while paused: then
//! the model goes on in silence and everything is published at once on resume.

use super::model::{Effects, LiveModel};
use crate::ask::AskError;
use contract::{
    live::{ChangeView, LiveFrame, LiveSnapshot, MapView, OrderTally, RedPoint, TIME_BACK_MIN_US},
    order::OrderRow,
    resilience::{BreakerLine, FaultView, FaultsView},
    shop::LoadView,
    traffic::MeshView,
};
use leptos::prelude::*;
use std::collections::HashMap;

/// The connection of this tab to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not yet connected: what is shown was rendered by the server.
    Connecting,
    /// Frames arrive.
    Live,
    /// Lost; the next try is at this time of the browser's clock.
    Lost {
        /// Milliseconds since the epoch, browser clock.
        retry_at_ms: i64,
    },
}

/// The charts that the page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedCharts {
    /// Their length; 0 when it shows none.
    pub minutes: u32,
    /// The service they are of.
    pub of: String,
}

/// What a page was first rendered from.
pub type Boot = Resource<Result<LiveSnapshot, AskError>>;

/// The row of one order that somebody looks at.
struct Watch {
    /// How many look.
    lookers: usize,
    /// The newest row, also while paused.
    newest: Option<OrderRow>,
    /// The row as shown.
    shown: ArcRwSignal<Option<OrderRow>>,
}

/// The live store. Cheap to copy; get it with [`use_live`].
#[derive(Clone, Copy)]
pub struct Live {
    boot: Boot,
    model: StoredValue<LiveModel>,
    watched: StoredValue<HashMap<String, Watch>>,
    connection: RwSignal<Connection>,
    paused_at: RwSignal<Option<i64>>,
    waiting: RwSignal<usize>,
    seeded: RwSignal<bool>,
    now_us: RwSignal<i64>,
    restarted_us: RwSignal<Option<i64>>,
    retry_asked: RwSignal<u32>,
    updated: RwSignal<bool>,
    failed: RwSignal<Option<String>>,
    wanted_charts: RwSignal<WantedCharts>,
    /// Of the model, also while paused.
    model_charts: StoredValue<WantedCharts>,
    held_charts: RwSignal<WantedCharts>,
    map: RwSignal<MapView>,
    orders: RwSignal<Vec<OrderRow>>,
    tally: RwSignal<OrderTally>,
    red: RwSignal<Vec<RedPoint>>,
    load: RwSignal<LoadView>,
    changes: RwSignal<Vec<ChangeView>>,
    faults: RwSignal<FaultsView>,
    breakers: RwSignal<Vec<BreakerLine>>,
    mesh: RwSignal<MeshView>,
}

/// Makes the store of this tab, to be filled from `boot` (with charts of so much) first and from
/// the stream later.
pub fn provide_live(boot: Boot, booted: WantedCharts) -> Live {
    let model = LiveModel::default();
    let live = Live {
        boot,
        watched: StoredValue::new(HashMap::new()),
        connection: RwSignal::new(Connection::Connecting),
        paused_at: RwSignal::new(None),
        waiting: RwSignal::new(0),
        seeded: RwSignal::new(false),
        now_us: RwSignal::new(0),
        restarted_us: RwSignal::new(None),
        retry_asked: RwSignal::new(0),
        updated: RwSignal::new(false),
        failed: RwSignal::new(None),
        wanted_charts: RwSignal::new(WantedCharts::default()),
        model_charts: StoredValue::new(booted.clone()),
        held_charts: RwSignal::new(booted),
        map: RwSignal::new(model.map.clone()),
        orders: RwSignal::new(Vec::new()),
        tally: RwSignal::new(model.tally),
        red: RwSignal::new(Vec::new()),
        load: RwSignal::new(model.load),
        changes: RwSignal::new(Vec::new()),
        faults: RwSignal::new(FaultsView::default()),
        breakers: RwSignal::new(Vec::new()),
        mesh: RwSignal::new(MeshView::default()),
        model: StoredValue::new(model),
    };
    provide_context(live);
    live
}

/// The live store of this tab.
///
/// # Panics
/// Outside of the application's root, which provides it: a mistake of the page's author.
#[must_use]
pub fn use_live() -> Live {
    expect_context::<Live>()
}

impl Live {
    // --- what pages read --------------------------------------------------------------------

    /// Waits until the first state is there. Await it in a `Suspend` before reading the rest, so
    /// that the server renders real values.
    pub async fn ready(self) {
        if self.seeded.get_untracked() {
            return;
        }
        match self.boot.await {
            Ok(snapshot) => self.seed(snapshot),
            Err(error) => {
                self.held_charts.set(WantedCharts::default());
                self.failed.set(Some(error.to_string()));
            }
        }
    }

    /// Why there is nothing to show yet, if asking for it failed.
    #[must_use]
    pub fn failed(self) -> ReadSignal<Option<String>> {
        self.failed.read_only()
    }

    /// Whether any state has been seen.
    #[must_use]
    pub fn seeded(self) -> ReadSignal<bool> {
        self.seeded.read_only()
    }

    /// The connection.
    #[must_use]
    pub fn connection(self) -> ReadSignal<Connection> {
        self.connection.read_only()
    }

    /// Server clock as shown: moves twice a second, stands still while paused or disconnected.
    #[must_use]
    pub fn now_us(self) -> ReadSignal<i64> {
        self.now_us.read_only()
    }

    /// The moment everything stands at, while paused.
    #[must_use]
    pub fn paused_at(self) -> ReadSignal<Option<i64>> {
        self.paused_at.read_only()
    }

    /// Whether live data is paused.
    #[must_use]
    pub fn paused(self) -> Signal<bool> {
        let paused_at = self.paused_at;
        Signal::derive(move || paused_at.get().is_some())
    }

    /// Events that wait for the end of the pause.
    #[must_use]
    pub fn waiting(self) -> ReadSignal<usize> {
        self.waiting.read_only()
    }

    /// Start of the server's present run, once it has restarted under this tab.
    #[must_use]
    pub fn restarted_us(self) -> ReadSignal<Option<i64>> {
        self.restarted_us.read_only()
    }

    /// The server has other files for the browser than this tab was loaded from: pages that were
    /// not opened yet can only be loaded with the whole document.
    #[must_use]
    pub fn updated(self) -> ReadSignal<bool> {
        self.updated.read_only()
    }

    /// A file of this tab's version could not be loaded. While frames arrive the server is there
    /// and has others: true, and said as an update. Otherwise it cannot be reached, which is no
    /// news of its version.
    pub fn missed_file(self) -> bool {
        let there = self.connection.get_untracked() == Connection::Live;
        if there {
            self.updated.set(true);
        }
        there
    }

    /// The charts whose points are held.
    #[must_use]
    pub fn held_charts(self) -> ReadSignal<WantedCharts> {
        self.held_charts.read_only()
    }

    /// The service map.
    #[must_use]
    pub fn map(self) -> ReadSignal<MapView> {
        self.map.read_only()
    }

    /// The newest orders, newest first.
    #[must_use]
    pub fn orders(self) -> ReadSignal<Vec<OrderRow>> {
        self.orders.read_only()
    }

    /// What became of the orders of the last five minutes.
    #[must_use]
    pub fn tally(self) -> ReadSignal<OrderTally> {
        self.tally.read_only()
    }

    /// Points of the RED charts, oldest first.
    #[must_use]
    pub fn red(self) -> ReadSignal<Vec<RedPoint>> {
        self.red.read_only()
    }

    /// The load generator.
    #[must_use]
    pub fn load(self) -> ReadSignal<LoadView> {
        self.load.read_only()
    }

    /// The last changes of state, newest first.
    #[must_use]
    pub fn changes(self) -> ReadSignal<Vec<ChangeView>> {
        self.changes.read_only()
    }

    /// Faults in force and the kill switch.
    #[must_use]
    pub fn faults(self) -> ReadSignal<FaultsView> {
        self.faults.read_only()
    }

    /// Every breaker.
    #[must_use]
    pub fn breakers(self) -> ReadSignal<Vec<BreakerLine>> {
        self.breakers.read_only()
    }

    /// Revision, versions, endpoints.
    #[must_use]
    pub fn mesh(self) -> ReadSignal<MeshView> {
        self.mesh.read_only()
    }

    /// The newest row of one order seen on the stream since this was called.
    #[must_use]
    pub fn order_row(self, order_id: &str) -> Signal<Option<OrderRow>> {
        let id = order_id.to_owned();
        let known = self.model.with_value(|model| model.row(order_id).cloned());
        let shown = self.watched.try_update_value(|watched| {
            let watch = watched.entry(id.clone()).or_insert_with(|| Watch {
                lookers: 0,
                newest: known.clone(),
                shown: ArcRwSignal::new(known.clone()),
            });
            watch.lookers += 1;
            watch.shown.clone()
        });
        let shown = shown.unwrap_or_else(|| ArcRwSignal::new(known));
        on_cleanup(move || {
            self.watched.try_update_value(|watched| {
                if let Some(watch) = watched.get_mut(&id) {
                    watch.lookers -= 1;
                    if watch.lookers == 0 {
                        watched.remove(&id);
                    }
                }
            });
        });
        Signal::derive(move || shown.get())
    }

    /// Version of the newest row of one order; 0 before any. Fetch again when it grows.
    #[must_use]
    pub fn order_changed(self, order_id: &str) -> Signal<u64> {
        let row = self.order_row(order_id);
        Memo::new(move |_| row.with(|row| row.as_ref().map_or(0, |row| row.version))).into()
    }

    // --- what the frame around the pages does -------------------------------------------------

    /// Stops every value at this instant, or lets go again.
    pub fn toggle_pause(self) {
        if self.paused_at.get_untracked().is_some() {
            self.paused_at.set(None);
            self.waiting.set(0);
            self.publish_all();
        } else {
            self.paused_at.set(Some(self.now_us.get_untracked()));
        }
    }

    /// Connects now instead of at the end of the pause between two tries.
    pub fn retry_now(self) {
        self.retry_asked.update(|asked| *asked += 1);
    }

    /// Says which charts the page has, so that the stream brings their points.
    pub fn want_charts(self, charts: WantedCharts) {
        if self.wanted_charts.with_untracked(|wanted| *wanted != charts) {
            self.wanted_charts.set(charts);
        }
    }

    /// Shows a load at once, before the stream confirms it.
    pub fn expect_load(self, load: LoadView) {
        self.model.update_value(|model| model.load = load);
        self.load.set(load);
    }

    /// Shows faults at once, before the stream confirms them.
    pub fn expect_faults(self, faults: FaultsView) {
        self.model.update_value(|model| model.faults = faults.clone());
        self.faults.set(faults);
    }

    /// Shows a fault at once, before the stream confirms it.
    pub fn expect_fault(self, fault: FaultView) {
        let mut faults = self.faults.get_untracked();
        if faults.active.iter().all(|known| known.id != fault.id) {
            faults.active.push(fault);
            self.expect_faults(faults);
        }
    }

    /// Shows a breaker at once, before the stream confirms it.
    pub fn expect_breaker(self, line: BreakerLine) {
        self.model.update_value(|model| {
            model.take_breakers(vec![line]);
        });
        self.breakers.set(self.model.with_value(|model| model.breakers.clone()));
    }

    // --- what the stream does -------------------------------------------------------------------

    /// Fills the store from what the page was rendered from; later calls do nothing.
    pub fn seed(self, snapshot: LiveSnapshot) {
        if self.seeded.get_untracked() {
            return;
        }
        self.now_us.set(snapshot.at_us);
        self.model.set_value(LiveModel::from_snapshot(snapshot));
        self.seeded.set(true);
        self.publish_all();
    }

    /// Takes in a frame; the answer says what the connection has to do about it.
    pub fn take(self, frame: LiveFrame) -> Effects {
        let Some(effects) = self.model.try_update_value(|model| model.apply(frame)) else {
            return Effects::default();
        };
        if effects.restarted {
            let started = self.model.with_value(|model| model.started_us);
            self.restarted_us.set(Some(started));
        }
        if effects.updated {
            self.updated.set(true);
        }
        let paused = self.paused_at.get_untracked().is_some();
        self.watch_rows(&effects.touched, paused);
        if paused {
            self.waiting.update(|waiting| *waiting += effects.events());
        } else {
            self.publish(&effects);
        }
        effects
    }

    /// Server clock of the last frame.
    #[must_use]
    pub fn last_frame_us(self) -> i64 {
        self.model.with_value(|model| model.at_us)
    }

    pub(super) fn retry_asked(self) -> ReadSignal<u32> {
        self.retry_asked.read_only()
    }

    pub(super) fn wanted_charts(self) -> ReadSignal<WantedCharts> {
        self.wanted_charts.read_only()
    }

    /// A snapshot came that holds the points of these charts.
    pub(super) fn hold_charts(self, charts: WantedCharts) {
        self.model_charts.set_value(charts);
        if self.paused_at.get_untracked().is_none() {
            self.publish_charts();
        }
    }

    fn publish_charts(self) {
        let charts = self.model_charts.get_value();
        if self.held_charts.with_untracked(|held| *held != charts) {
            self.held_charts.set(charts);
        }
    }

    pub(super) fn set_connection(self, connection: Connection) {
        if self.connection.get_untracked() != connection {
            self.connection.set(connection);
        }
    }

    pub(super) fn set_now(self, now_us: i64) {
        let shown_us = self.now_us.get_untracked();
        let on = now_us > shown_us || shown_us - now_us >= TIME_BACK_MIN_US;
        if on && self.paused_at.get_untracked().is_none() {
            self.now_us.set(now_us);
        }
    }

    fn publish_all(self) {
        let watches: Vec<_> = self.watched.with_value(|watched| {
            watched.values().map(|watch| (watch.shown.clone(), watch.newest.clone())).collect()
        });
        for (shown, newest) in watches {
            shown.set(newest);
        }
        self.publish(&Effects::everything());
        self.publish_charts();
    }

    fn publish(self, effects: &Effects) {
        self.model.with_value(|model| {
            if effects.map {
                self.map.set(model.map.clone());
            }
            if effects.orders {
                self.orders.set(model.orders.clone());
                self.tally.set(model.tally);
            }
            if effects.red {
                self.red.set(model.red.clone());
            }
            if effects.load {
                self.load.set(model.load);
            }
            if effects.changes {
                self.changes.set(model.changes.clone());
            }
            if effects.faults {
                self.faults.set(model.faults.clone());
            }
            if effects.breakers {
                self.breakers.set(model.breakers.clone());
            }
            if effects.mesh {
                self.mesh.set(model.mesh.clone());
            }
        });
        if !self.seeded.get_untracked() && self.model.with_value(|model| model.seq.is_some()) {
            self.seeded.set(true);
        }
    }

    /// Hands new rows to whoever looks at their orders, or keeps them for the end of the pause.
    fn watch_rows(self, rows: &[OrderRow], paused: bool) {
        let mut show = Vec::new();
        self.watched.try_update_value(|watched| {
            for row in rows {
                let Some(watch) = watched.get_mut(&row.order_id) else { continue };
                if watch.newest.as_ref().is_none_or(|known| known.version < row.version) {
                    watch.newest = Some(row.clone());
                    show.push((watch.shown.clone(), row.clone()));
                }
            }
        });
        if !paused {
            for (shown, row) in show {
                shown.set(Some(row));
            }
        }
    }
}
