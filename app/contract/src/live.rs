//! The live page: one snapshot, then deltas on one stream per tab.
//!
//! Every frame carries a sequence number one higher than the frame before it. A viewer that sees a
//! [`LiveBody::Gap`], or a number that does not follow, asks for a new snapshot.

use crate::{
    durations::Durations,
    order::OrderRow,
    resilience::{BreakerLine, FaultsView},
    shop::LoadView,
    traffic::MeshView,
};
use serde::{Deserialize, Serialize};

/// What kind of traffic an edge carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// Request and answer.
    Call,
    /// A message over the bus, from its producer to its consumer.
    Message,
    /// A round of two-phase commit.
    Commit,
}

/// A circuit breaker as a page sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerView {
    /// Calls pass; so many failed in a row.
    Closed {
        /// Consecutive failures so far.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// When a probe will be let through, microseconds since the epoch.
        half_open_at_us: i64,
    },
    /// One probe is let through.
    HalfOpen,
    /// Held open by hand: calls are refused.
    ForcedOpen {
        /// When it is let go, microseconds since the epoch.
        until_us: i64,
    },
}

impl BreakerView {
    /// Whether calls are refused now.
    #[must_use]
    pub const fn refuses(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::ForcedOpen { .. })
    }
}

/// The calls of one edge that went to one subset of the callee, over the window of [`MapView`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubsetEdge {
    /// The subset: `v1`.
    pub subset: String,
    /// Calls per second.
    pub per_second: f64,
    /// Share of 5xx and unanswered calls, 0 to 1.
    pub error_share: f64,
    /// 95th percentile of duration, milliseconds; none without calls.
    pub p95_ms: Option<f64>,
    /// Calls in the window.
    pub calls: u64,
    /// The caller's breaker for this subset, if it has one of its own.
    pub breaker: Option<BreakerView>,
}

/// One edge of the map, over the window of [`MapView`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeView {
    /// Caller or producer.
    pub from: String,
    /// Callee or consumer.
    pub to: String,
    /// Traffic.
    pub kind: EdgeKind,
    /// Calls per second.
    pub per_second: f64,
    /// Share of 5xx and unanswered calls, 0 to 1.
    pub error_share: f64,
    /// 95th percentile of duration, milliseconds; none without calls.
    pub p95_ms: Option<f64>,
    /// Calls in the window.
    pub calls: u64,
    /// The caller's breaker for this destination, if the edge has one; of several the worst.
    pub breaker: Option<BreakerView>,
    /// What of it went to which subset, where a route names subsets.
    #[serde(default)]
    pub subsets: Vec<SubsetEdge>,
    /// What callers are answered with while the callee fails, if there is something.
    #[serde(default)]
    pub fallback: Option<String>,
}

/// What the bus delivers to one service, over the window of [`MapView`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// From the bus to the consumer, with the bus's breaker.
    pub edge: EdgeView,
    /// 95th percentile from recorded in the outbox to handled, milliseconds.
    pub lag_p95_ms: Option<f64>,
}

/// An edge that carried something in this run and nothing in the window of [`MapView`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentEdge {
    /// Caller or producer.
    pub from: String,
    /// Callee or consumer.
    pub to: String,
    /// Traffic.
    pub kind: EdgeKind,
    /// When the last of it was seen, microseconds since the epoch.
    pub since_us: i64,
}

/// One node of the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub service: String,
    /// Instances that take calls.
    pub ready: u32,
    /// Instances altogether.
    pub instances: u32,
    /// Calls received per second, one value per second, oldest first.
    pub spark: Vec<f32>,
    /// One short fact: "2PC, 0 in doubt", "0 held", "1 session".
    pub note: Option<String>,
}

/// The service map over the last [`MAP_WINDOW_SECONDS`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapView {
    /// Seconds the rates are taken over (less after a start).
    pub window_seconds: u32,
    /// Services.
    pub nodes: Vec<NodeView>,
    /// Edges that carried anything in the window.
    pub edges: Vec<EdgeView>,
    /// Edges that fell silent.
    #[serde(default)]
    pub silent: Vec<SilentEdge>,
    /// The last step of messages: from the bus to each consumer.
    #[serde(default)]
    pub deliveries: Vec<DeliveryView>,
    /// Messages per second through the bus.
    pub bus_per_second: f64,
    /// 95th percentile from recorded in the outbox to handled, milliseconds.
    pub bus_lag_p95_ms: Option<f64>,
    /// Messages that nobody takes, waiting for somebody to retry them.
    #[serde(default)]
    pub bus_dead_letters: u64,
}

/// Window of the map's rates.
pub const MAP_WINDOW_SECONDS: u32 = 60;

/// The trace that stands for a point of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exemplar {
    /// Its id, 32 hexadecimal digits.
    pub trace_id: String,
    /// How long its request took, milliseconds.
    pub ms: f64,
}

/// One point of the RED charts (requests, errors, duration of what a service answered).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RedPoint {
    /// Start of the interval this point stands for, microseconds since the epoch.
    pub at_us: i64,
    /// Requests per second in the interval.
    pub per_second: f64,
    /// Share of 5xx, 0 to 1.
    pub error_share: f64,
    /// How long the requests took; quantiles are computed over the window that is shown.
    pub durations: Durations,
    /// The slowest request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<Exemplar>,
}

/// Time waits for a machine's date that was set back by less than this, microseconds: when it goes
/// back at all it goes so far. What was noted of a time that is further ahead was taken back.
pub const TIME_BACK_MIN_US: i64 = 600_000_000;
/// Interval of one [`RedPoint`] on the live stream, seconds.
pub const RED_STEP_SECONDS: u32 = 1;
/// Points a snapshot holds: one hour, the longest time range.
pub const RED_POINTS_MAX: usize = 3_600;
/// The same in minutes.
pub const RED_MINUTES_MAX: u32 = 60;

/// Orders placed in the tally's window, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTally {
    /// Window, seconds (five minutes).
    pub window_seconds: u32,
    /// All.
    pub placed: u64,
    /// Confirmed or shipped.
    pub confirmed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Neither yet.
    pub running: u64,
}

/// Something changed state: a breaker, a service, a transaction recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// When.
    pub at_us: i64,
    /// What changed: "→ recommendations".
    pub subject: String,
    /// How: "opened, 5 failed in a row".
    pub text: String,
    /// `ok`, `warn`, `error`, `open`, `half`, `comp` or `info`.
    pub status: String,
    /// Where to read more, an address on this site.
    pub href: Option<String>,
    /// Of a breaker that opened: how many times this line stands for.
    #[serde(default)]
    pub opened: u32,
}

impl ChangeView {
    /// Puts it before the others, of which the newest [`CHANGES_MAX`] stay. A breaker that opens
    /// again takes the place of its cycles before: else one that swings would be all there is.
    pub fn put_before(mut self, others: &mut Vec<Self>) {
        if self.opened > 0 && self.href.is_some() {
            others.retain(|other| {
                let same = other.href == self.href;
                self.opened += if same { other.opened } else { 0 };
                !same
            });
        }
        others.insert(0, self);
        others.truncate(CHANGES_MAX);
    }
}

/// State of everything on the live page at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveSnapshot {
    /// Frames with a number up to this one are already in the snapshot.
    pub seq: u64,
    /// When it was taken (server clock).
    pub at_us: i64,
    /// Identifies this run of the server; another value means it restarted.
    pub run_id: String,
    /// When this run began.
    pub started_us: i64,
    /// The map.
    pub map: MapView,
    /// Newest first, at most [`FEED_ROWS_MAX`].
    pub orders: Vec<OrderRow>,
    /// Of the last five minutes.
    pub tally: OrderTally,
    /// Oldest first.
    pub red: Vec<RedPoint>,
    /// Load generator.
    pub load: LoadView,
    /// Newest first, at most [`CHANGES_MAX`].
    pub changes: Vec<ChangeView>,
    /// Faults in force and the kill switch.
    pub faults: FaultsView,
    /// Every breaker.
    pub breakers: Vec<BreakerLine>,
    /// Revision, versions, endpoints.
    pub mesh: MeshView,
    /// Identifies the files of the browser that this server has; with another value those of a
    /// page that was loaded before are gone.
    #[serde(default)]
    pub build: String,
}

/// Rows of the feed: more than fit on a screen, few enough to redraw at once.
pub const FEED_ROWS_MAX: usize = 60;
/// Lines under "What changed".
pub const CHANGES_MAX: usize = 5;

/// What a frame brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveBody {
    /// First frame of a stream, and after a gap.
    Snapshot(Box<LiveSnapshot>),
    /// The map as it is now (about once a second).
    Map(MapView),
    /// The next point of the RED charts.
    Red(RedPoint),
    /// Orders that are new or changed, newest version each; insert or replace by id.
    Orders {
        /// The rows.
        rows: Vec<OrderRow>,
        /// The tally after them.
        tally: OrderTally,
    },
    /// The load generator was set.
    Load(LoadView),
    /// Something changed state.
    Change(ChangeView),
    /// Faults as they are now: at once when one begins or ends, else with new counts at most once a
    /// second.
    Faults(FaultsView),
    /// Breakers that changed; insert or replace by id. At once for a change of state, else with
    /// new windows at most once a second.
    Breakers(Vec<BreakerLine>),
    /// Revision, versions and endpoints as they are now: at once for a new revision or an
    /// ejection, else about once a second.
    Mesh(MeshView),
    /// This viewer was too slow; so many frames were skipped. A snapshot follows.
    Gap {
        /// Frames skipped.
        missed: u64,
    },
    /// The server is about to stop.
    Bye,
}

/// One frame of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveFrame {
    /// One more than the frame before.
    pub seq: u64,
    /// Server clock.
    pub at_us: i64,
    /// What it brings.
    pub body: LiveBody,
}
