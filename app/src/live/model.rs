//! What this tab knows of the running shop, and how each frame of the stream changes it.
//!
//! Pure: no signals, no browser. [`LiveModel::apply`] answers with what changed, so that the store
//! around it (`super::store`) redraws only that.

use contract::{
    live::{
        ChangeView, FEED_ROWS_MAX, LiveBody, LiveFrame, LiveSnapshot, MapView, OrderTally,
        RED_POINTS_MAX, RedPoint, TIME_BACK_MIN_US,
    },
    order::{OrderRow, Origin},
    resilience::{BreakerLine, BreakerState, FaultsView},
    shop::LoadView,
    traffic::MeshView,
};

/// Own orders that stay in the feed when newer ones push the rest out.
pub const OWN_ROWS_KEPT_MAX: usize = 10;

/// Everything that is shown live.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveModel {
    /// Number of the last frame that was taken in; none before the first snapshot.
    pub seq: Option<u64>,
    /// Server clock of the last frame.
    pub at_us: i64,
    /// Run of the server this belongs to.
    pub run_id: String,
    /// When that run began.
    pub started_us: i64,
    /// The map.
    pub map: MapView,
    /// Newest first.
    pub orders: Vec<OrderRow>,
    /// Last five minutes.
    pub tally: OrderTally,
    /// Oldest first.
    pub red: Vec<RedPoint>,
    /// Load generator.
    pub load: LoadView,
    /// Newest first.
    pub changes: Vec<ChangeView>,
    /// Faults in force and the kill switch.
    pub faults: FaultsView,
    /// Every breaker.
    pub breakers: Vec<BreakerLine>,
    /// Revision, versions, endpoints.
    pub mesh: MeshView,
    /// The browser's files that this tab was loaded from.
    pub build: String,
    /// A gap was announced: deltas are meaningless until its snapshot came.
    awaiting_snapshot: bool,
}

impl Default for LiveModel {
    fn default() -> Self {
        Self {
            seq: None,
            at_us: 0,
            run_id: String::new(),
            started_us: 0,
            map: MapView::default(),
            orders: Vec::new(),
            tally: OrderTally::default(),
            red: Vec::new(),
            load: LoadView::steady(0.0),
            changes: Vec::new(),
            faults: FaultsView::default(),
            breakers: Vec::new(),
            mesh: MeshView::default(),
            build: String::new(),
            awaiting_snapshot: false,
        }
    }
}

/// What a frame changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each part of the page")]
pub struct Effects {
    /// The map.
    pub map: bool,
    /// The feed and the tally.
    pub orders: bool,
    /// The charts.
    pub red: bool,
    /// The load.
    pub load: bool,
    /// The list of changes.
    pub changes: bool,
    /// The faults.
    pub faults: bool,
    /// The breakers.
    pub breakers: bool,
    /// Revision, versions, endpoints.
    pub mesh: bool,
    /// Faults began or ended, breakers changed state: what is counted while paused.
    pub turns: usize,
    /// Rows that are new or newer, also of orders too old for the feed.
    pub touched: Vec<OrderRow>,
    /// Another run of the server answers.
    pub restarted: bool,
    /// It has other files for the browser than this tab was loaded from.
    pub updated: bool,
    /// A frame is missing: ask for a new snapshot by opening the stream again.
    pub resync: bool,
    /// The server is about to stop.
    pub bye: bool,
}

impl Effects {
    pub(super) fn everything() -> Self {
        Self {
            map: true,
            orders: true,
            red: true,
            load: true,
            changes: true,
            faults: true,
            breakers: true,
            mesh: true,
            ..Self::default()
        }
    }

    /// How many things happened, for "142 events waiting".
    #[must_use]
    pub fn events(&self) -> usize {
        self.touched.len() + self.turns + usize::from(self.changes) + usize::from(self.load)
    }
}

impl LiveModel {
    /// The state a page was rendered from.
    #[must_use]
    pub fn from_snapshot(snapshot: LiveSnapshot) -> Self {
        let mut model = Self::default();
        model.take_snapshot(snapshot);
        model
    }

    /// Takes in one frame.
    pub fn apply(&mut self, frame: LiveFrame) -> Effects {
        let LiveFrame { seq, at_us, body } = frame;
        match body {
            LiveBody::Snapshot(snapshot) => {
                let effects = self.take_snapshot(*snapshot);
                self.seq = Some(self.seq.map_or(seq, |taken| taken.max(seq)));
                self.at_us = self.at_us.max(at_us);
                effects
            }
            LiveBody::Bye => Effects { bye: true, ..Effects::default() },
            LiveBody::Gap { .. } => {
                self.awaiting_snapshot = true;
                Effects::default()
            }
            body => match self.seq {
                _ if self.awaiting_snapshot => Effects::default(),
                Some(taken) if seq <= taken => Effects::default(),
                Some(taken) if seq == taken + 1 => {
                    self.seq = Some(seq);
                    self.at_us = at_us;
                    self.take_delta(body)
                }
                _ => {
                    self.awaiting_snapshot = true;
                    Effects { resync: true, ..Effects::default() }
                }
            },
        }
    }

    fn take_snapshot(&mut self, snapshot: LiveSnapshot) -> Effects {
        let restarted = self.seq.is_some() && self.run_id != snapshot.run_id;
        let updated = !self.build.is_empty() && self.build != snapshot.build;
        if self.build.is_empty() {
            self.build = snapshot.build;
        }
        let touched = snapshot.orders.iter().filter(|row| self.is_newer(row) || restarted);
        let touched = touched.cloned().collect();
        self.seq = Some(snapshot.seq);
        self.at_us = snapshot.at_us;
        self.run_id = snapshot.run_id;
        self.started_us = snapshot.started_us;
        self.map = snapshot.map;
        self.orders = snapshot.orders;
        self.tally = snapshot.tally;
        self.red = snapshot.red;
        self.load = snapshot.load;
        self.changes = snapshot.changes;
        self.faults = snapshot.faults;
        self.breakers = snapshot.breakers;
        self.mesh = snapshot.mesh;
        self.awaiting_snapshot = false;
        Effects { restarted, updated, touched, ..Effects::everything() }
    }

    fn take_delta(&mut self, body: LiveBody) -> Effects {
        let mut effects = Effects::default();
        match body {
            LiveBody::Map(map) => {
                self.map = map;
                effects.map = true;
            }
            LiveBody::Red(point) => effects.red = self.take_point(point),
            LiveBody::Orders { rows, tally } => {
                self.tally = tally;
                effects.touched = self.take_rows(rows);
                effects.orders = true;
            }
            LiveBody::Load(load) => {
                self.load = load;
                effects.load = true;
            }
            LiveBody::Change(change) => {
                change.put_before(&mut self.changes);
                effects.changes = true;
            }
            LiveBody::Faults(faults) => {
                effects.turns = usize::from(!same_faults(&self.faults, &faults));
                self.faults = faults;
                effects.faults = true;
            }
            LiveBody::Breakers(lines) => {
                effects.turns = self.take_breakers(lines);
                effects.breakers = true;
            }
            LiveBody::Mesh(mesh) => {
                effects.turns = usize::from(self.mesh.revision != mesh.revision);
                self.mesh = mesh;
                effects.mesh = true;
            }
            LiveBody::Snapshot(_) | LiveBody::Gap { .. } | LiveBody::Bye => {}
        }
        effects
    }

    /// Appends a point, replaces the last one of the same time, refuses an older one.
    fn take_point(&mut self, point: RedPoint) -> bool {
        // The server's date was far ahead, and was corrected: those points have not come after all.
        self.red.retain(|known| known.at_us - point.at_us < TIME_BACK_MIN_US);
        match self.red.last_mut() {
            Some(last) if point.at_us < last.at_us => return false,
            Some(last) if point.at_us == last.at_us => *last = point,
            _ => self.red.push(point),
        }
        let excess = self.red.len().saturating_sub(RED_POINTS_MAX);
        self.red.drain(..excess);
        true
    }

    /// Inserts or replaces by id; answers how many changed their state.
    pub(super) fn take_breakers(&mut self, lines: Vec<BreakerLine>) -> usize {
        let mut turned = 0;
        for line in lines {
            if let Some(known) = self.breakers.iter_mut().find(|known| known.id == line.id) {
                turned += usize::from(known.state != line.state);
                *known = line;
            } else {
                turned += usize::from(line.state != BreakerState::Closed);
                self.breakers.push(line);
            }
        }
        turned
    }

    fn is_newer(&self, row: &OrderRow) -> bool {
        let known = self.orders.iter().find(|known| known.order_id == row.order_id);
        known.is_none_or(|known| known.version < row.version)
    }

    fn take_rows(&mut self, rows: Vec<OrderRow>) -> Vec<OrderRow> {
        let mut touched = Vec::new();
        for row in rows {
            if !self.is_newer(&row) {
                continue;
            }
            touched.push(row.clone());
            if let Some(known) = self.orders.iter_mut().find(|o| o.order_id == row.order_id) {
                *known = row;
                continue;
            }
            let place = self.orders.partition_point(|o| o.placed_at_us > row.placed_at_us);
            self.orders.insert(place, row);
        }
        self.cap_rows();
        touched
    }

    /// Keeps the newest rows, and of the rest the newest of one's own.
    fn cap_rows(&mut self) {
        let mut own = 0;
        let mut place = 0;
        self.orders.retain(|row| {
            place += 1;
            own += usize::from(row.origin == Origin::Browser);
            place <= FEED_ROWS_MAX || (row.origin == Origin::Browser && own <= OWN_ROWS_KEPT_MAX)
        });
    }

    /// The row of an order, if it is still in the feed.
    #[must_use]
    pub fn row(&self, order_id: &str) -> Option<&OrderRow> {
        self.orders.iter().find(|row| row.order_id == order_id)
    }
}

/// Whether two moments have the same faults in force, whatever they have done since.
fn same_faults(a: &FaultsView, b: &FaultsView) -> bool {
    let ids = |faults: &FaultsView| -> Vec<String> {
        faults.active.iter().map(|fault| fault.id.clone()).collect()
    };
    a.held_us == b.held_us && ids(a) == ids(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{OrderStatus, StepMark},
    };

    fn row(id: &str, placed_at_us: i64, version: u64, origin: Origin) -> OrderRow {
        OrderRow {
            order_id: id.into(),
            user_id: "c-1".into(),
            total: Money::eur(100),
            status: OrderStatus::Processing,
            phase: "Paying".into(),
            steps: [StepMark::Done, StepMark::Running, StepMark::NotReached],
            placed_at_us,
            took_us: None,
            origin,
            version,
        }
    }

    fn snapshot(seq: u64, run_id: &str) -> LiveSnapshot {
        let empty = LiveModel::default();
        LiveSnapshot {
            seq,
            at_us: 1_000,
            run_id: run_id.into(),
            started_us: 0,
            map: empty.map,
            orders: vec![row("ord-A", 10, 1, Origin::Load)],
            tally: empty.tally,
            red: Vec::new(),
            load: empty.load,
            changes: Vec::new(),
            faults: empty.faults,
            breakers: vec![breaker("orders~payments", BreakerState::Closed)],
            mesh: empty.mesh,
            build: "v1".into(),
        }
    }

    fn breaker(id: &str, state: BreakerState) -> BreakerLine {
        BreakerLine {
            id: id.into(),
            from: "orders".into(),
            to: "payments".into(),
            subset: None,
            state,
            since_us: 0,
            half_open_at_us: None,
            forced: None,
            marks: "ooox".into(),
            opens_at: 5,
            distance: Some(4),
        }
    }

    fn frame(seq: u64, body: LiveBody) -> LiveFrame {
        LiveFrame { seq, at_us: 2_000, body }
    }

    fn orders(rows: Vec<OrderRow>) -> LiveBody {
        LiveBody::Orders { rows, tally: OrderTally { placed: 7, ..OrderTally::default() } }
    }

    fn point(at_us: i64) -> RedPoint {
        RedPoint { at_us, per_second: 1.0, ..RedPoint::default() }
    }

    #[test]
    fn frames_that_the_snapshot_already_holds_are_dropped() {
        let mut model = LiveModel::from_snapshot(snapshot(5, "a"));
        let effects = model.apply(frame(5, orders(vec![row("ord-A", 10, 9, Origin::Load)])));
        assert_eq!(effects, Effects::default());
        assert_eq!(model.orders[0].version, 1);
    }

    #[test]
    fn a_hole_in_the_sequence_asks_for_a_new_snapshot_and_ignores_deltas_until_it_comes() {
        let mut model = LiveModel::from_snapshot(snapshot(5, "a"));
        assert!(model.apply(frame(7, orders(vec![]))).resync);
        assert!(!model.apply(frame(8, orders(vec![]))).orders);
        assert!(model.apply(frame(9, LiveBody::Snapshot(Box::new(snapshot(9, "a"))))).orders);
        assert!(model.apply(frame(10, orders(vec![]))).orders);
    }

    #[test]
    fn after_a_gap_the_snapshot_that_follows_is_taken_and_nothing_before_it() {
        let mut model = LiveModel::from_snapshot(snapshot(5, "a"));
        assert_eq!(model.apply(frame(6, LiveBody::Gap { missed: 40 })), Effects::default());
        assert!(!model.apply(frame(6, orders(vec![]))).orders);
        let effects = model.apply(frame(46, LiveBody::Snapshot(Box::new(snapshot(46, "a")))));
        assert!(effects.map && effects.orders && !effects.restarted);
        assert_eq!(model.seq, Some(46));
    }

    #[test]
    fn a_snapshot_of_another_run_says_that_the_server_restarted() {
        let mut model = LiveModel::from_snapshot(snapshot(500, "a"));
        let effects = model.apply(frame(1, LiveBody::Snapshot(Box::new(snapshot(1, "b")))));
        assert!(effects.restarted);
        assert_eq!((model.run_id.as_str(), model.seq), ("b", Some(1)));
    }

    #[test]
    fn a_server_with_other_files_is_an_update_for_as_long_as_this_tab_lives() {
        let mut model = LiveModel::from_snapshot(snapshot(500, "a"));
        let of = |seq, build: &str| {
            let snapshot = LiveSnapshot { build: build.into(), ..snapshot(seq, "b") };
            frame(seq, LiveBody::Snapshot(Box::new(snapshot)))
        };
        assert!(!model.apply(of(1, "v1")).updated, "the same program started again");
        assert!(model.apply(of(2, "v2")).updated);
        assert!(model.apply(of(3, "v2")).updated, "and again when the line was lost");
    }

    #[test]
    fn a_row_of_a_lower_version_does_not_replace_a_newer_one() {
        let mut model = LiveModel::from_snapshot(snapshot(1, "a"));
        model.apply(frame(2, orders(vec![row("ord-A", 10, 4, Origin::Load)])));
        let effects = model.apply(frame(3, orders(vec![row("ord-A", 10, 3, Origin::Load)])));
        assert!(effects.touched.is_empty() && effects.orders);
        assert_eq!((model.orders[0].version, model.tally.placed), (4, 7));
    }

    #[test]
    fn new_rows_are_placed_by_time_and_the_feed_is_capped_without_losing_ones_own() {
        let mut model = LiveModel::from_snapshot(snapshot(1, "a"));
        model.apply(frame(2, orders(vec![row("ord-mine", 11, 1, Origin::Browser)])));
        let rows = (0..200).map(|i| row(&format!("ord-{i}"), 100 + i, 1, Origin::Load)).collect();
        model.apply(frame(3, orders(rows)));
        assert_eq!(model.orders.len(), FEED_ROWS_MAX + 1);
        assert_eq!(model.orders[0].order_id, "ord-199");
        assert!(model.row("ord-mine").is_some() && model.row("ord-A").is_none());
    }

    #[test]
    fn a_row_too_old_for_the_feed_is_still_reported_as_touched() {
        let mut model = LiveModel::from_snapshot(snapshot(1, "a"));
        let rows = (0..100).map(|i| row(&format!("ord-{i}"), 100 + i, 1, Origin::Load)).collect();
        model.apply(frame(2, orders(rows)));
        let effects = model.apply(frame(3, orders(vec![row("ord-old", 1, 6, Origin::Load)])));
        assert_eq!(effects.touched[0].version, 6);
        assert!(model.row("ord-old").is_none());
    }

    #[test]
    fn chart_points_never_go_back_in_time_and_stay_bounded() {
        let mut model = LiveModel::from_snapshot(snapshot(0, "a"));
        for i in 0..(RED_POINTS_MAX as i64 + 10) {
            model.apply(frame(1 + i.unsigned_abs(), LiveBody::Red(point(i))));
        }
        assert_eq!(model.red.len(), RED_POINTS_MAX);
        assert!(!model.take_point(point(3)));
        assert!(model.take_point(point(RED_POINTS_MAX as i64 + 9)));
        assert_eq!(model.red.len(), RED_POINTS_MAX);
        // A date far ahead, which is corrected then.
        assert!(model.take_point(point(86_400_000_000)));
        assert!(model.take_point(point(20_000)));
        assert_eq!(model.red.last().map(|point| point.at_us), Some(20_000));
    }

    #[test]
    fn the_list_of_changes_holds_the_newest_few() {
        let mut model = LiveModel::from_snapshot(snapshot(0, "a"));
        for i in 1..=8 {
            let change = ChangeView {
                at_us: i,
                subject: "→ users".into(),
                text: "opened".into(),
                status: "open".into(),
                href: None,
                opened: 0,
            };
            model.apply(frame(i.unsigned_abs(), LiveBody::Change(change)));
        }
        assert_eq!(model.changes.iter().map(|c| c.at_us).collect::<Vec<_>>(), [8, 7, 6, 5, 4]);
    }

    #[test]
    fn a_breaker_that_opens_again_and_again_is_one_line_that_counts() {
        let mut model = LiveModel::from_snapshot(snapshot(0, "a"));
        let change = |at_us, to: &str, opened| ChangeView {
            at_us,
            subject: format!("gateway → {to}"),
            text: "opened, the probe failed".into(),
            status: if opened == 0 { "half" } else { "open" }.into(),
            href: Some(format!("/resilience?breaker=gateway%7E{to}")),
            opened,
        };
        let cycles =
            [("users", 1), ("orders", 1), ("users", 0), ("users", 1), ("users", 0), ("users", 1)];
        for (at, (to, opened)) in (1..).zip(cycles) {
            let body = LiveBody::Change(change(at, to, opened));
            model.apply(frame(at.unsigned_abs(), body));
        }
        let told: Vec<_> = model.changes.iter().map(|c| (c.at_us, c.opened)).collect();
        assert_eq!(told, [(6, 3), (2, 1)], "the newest of users, and orders once");
    }

    #[test]
    fn a_breaker_is_replaced_by_its_id_and_only_a_change_of_state_counts_as_an_event() {
        let mut model = LiveModel::from_snapshot(snapshot(0, "a"));
        let same = breaker("orders~payments", BreakerState::Closed);
        let effects = model.apply(frame(1, LiveBody::Breakers(vec![same])));
        assert!(effects.breakers && effects.events() == 0);
        let open = breaker("orders~payments", BreakerState::Open);
        let other = breaker("gateway~users", BreakerState::Closed);
        let effects = model.apply(frame(2, LiveBody::Breakers(vec![open, other])));
        assert_eq!((effects.events(), model.breakers.len()), (1, 2));
        assert_eq!(model.breakers[0].state, BreakerState::Open);
    }

    #[test]
    fn new_counts_of_a_fault_are_shown_but_only_its_beginning_and_end_are_events() {
        let mut model = LiveModel::from_snapshot(snapshot(0, "a"));
        let held = FaultsView { held_us: Some(5), ..FaultsView::default() };
        let effects = model.apply(frame(1, LiveBody::Faults(held.clone())));
        assert!(effects.faults && effects.events() == 1);
        let counted = FaultsView { ended_count: 3, ..held };
        let effects = model.apply(frame(2, LiveBody::Faults(counted)));
        assert!(effects.faults && effects.events() == 0);
    }
}
