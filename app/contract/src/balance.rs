//! Load balancing as pages and programs see it: the policy of each pool of instances, what each
//! instance should get and really got, and of a consistent hash where the keys go.

use serde::{Deserialize, Serialize};

/// How far back picks are counted, seconds.
pub const PICKS_SECONDS: u32 = 60;
/// The length of all arcs of a ring together: positions are millionths.
pub const RING_LENGTH: u32 = 1_000_000;
/// Longest value of a key that is looked up, bytes.
pub const KEY_BYTES_MAX: usize = 1_024;
/// The id of the pool of all instances; no subset has such a name.
pub const WHOLE: &str = "*";

/// What is asked of the balancing of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskBalance {
    /// The pool, by its id; none is the one that most requests are sent to.
    pub pool: Option<String>,
    /// A value of what is hashed.
    pub key: Option<String>,
    /// An instance that might leave.
    pub left: Option<String>,
}

/// How calls to every pool of a host are balanced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostBalance {
    /// Short name of the service.
    pub host: String,
    /// All instances first, then the subsets.
    pub pools: Vec<PoolView>,
}

/// One pool of a host, and which others there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BalanceView {
    /// Short name of the service.
    pub host: String,
    /// Every pool.
    pub pools: Vec<PoolTab>,
    /// The one that was asked for.
    pub shown: PoolView,
    /// Of a consistent hash, the whole space of keys in order; each with its instance.
    pub arcs: Vec<ArcView>,
    /// Where the asked key goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyView>,
    /// What moves when the asked instance leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<LeftView>,
}

/// A pool in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolTab {
    /// Its id: [`WHOLE`], `v1`, `v1~app=orders`.
    pub id: String,
    /// How it is written: "all instances", "v1", "v1 for app=orders".
    pub label: String,
    /// Picks of the last [`PICKS_SECONDS`].
    pub picked: u64,
}

/// How calls to one pool are balanced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// See [`PoolTab::id`].
    pub id: String,
    /// See [`PoolTab::label`].
    pub label: String,
    /// The policy in Istio's words.
    pub policy: PolicyView,
    /// What wrote it; none without a `DestinationRule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleView>,
    /// So many are ejected that ejection is ignored (`minHealthPercent`).
    pub panic: bool,
    /// Whether outlier detection is on: else nobody takes an instance out that fails.
    pub outlier: bool,
    /// Picks of the last [`PICKS_SECONDS`].
    pub picked: u64,
    /// Of a consistent hash, how many of them had nothing to hash: those go anywhere.
    #[serde(default)]
    pub unkeyed: u64,
    /// Of a consistent hash, what is not worked out because its tables are too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Untold>,
    /// By name.
    pub instances: Vec<InstanceView>,
}

/// What an answer does not tell of a consistent hash: tables are gone through up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untold {
    /// What moves when an instance leaves.
    Leaving,
    /// That, and whose the keys are: the configured shares are even ones.
    Shares,
}

/// A load balancing policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    /// `LEAST_REQUEST`, `ROUND_ROBIN`, `RANDOM` or `consistentHash`.
    pub name: String,
    /// Nobody wrote it: it is Istio's default.
    pub default: bool,
    /// Of a consistent hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashView>,
    /// Of new instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<WarmupView>,
}

/// What is hashed, and by which table an instance is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashView {
    /// `httpHeaderName`, `httpCookie`, `useSourceIp` or `httpQueryParameterName`.
    pub field: String,
    /// The name of the header, cookie or parameter; empty for the address.
    pub name: String,
    /// `RING_HASH` or `MAGLEV`.
    pub table: String,
    /// `minimumRingSize` or `tableSize`.
    pub size_field: String,
    /// Its value.
    pub size: u64,
    /// Points the ring really has, or slots.
    pub positions: u64,
}

/// `warmup`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WarmupView {
    /// How long an instance is new.
    pub duration_ms: u64,
    /// The share of its full weight it begins with, percent.
    pub minimum_percent: f64,
    /// The curve; 1 is a line.
    pub aggression: f64,
}

/// Where a policy is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// `metadata.name` of the `DestinationRule`, behind its namespace unless that is `default`.
    pub name: String,
    /// First line of `loadBalancer` in the text of the host's page; none if it is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<(u32, u32)>,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstancePhase {
    /// It answers.
    #[default]
    Ready,
    /// It takes requests and does not answer.
    Paused,
    /// There is no connection to it.
    Killed,
}

/// One instance of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// `payments-v2-1`.
    pub instance: String,
    /// Its label `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it is. The balancer does not know: what is killed is picked until it is ejected.
    pub phase: InstancePhase,
    /// Until when outlier detection keeps it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until_us: Option<i64>,
    /// Whether it may be picked.
    pub in_pool: bool,
    /// Its weight while it is new, 0 to 1.
    pub warm: f64,
    /// The share of picks that the policy gives it now, 0 to 1.
    pub configured: f64,
    /// Its share of the picks of the last [`PICKS_SECONDS`]; none without picks.
    pub observed: Option<f64>,
    /// How often it was picked in that time.
    pub picked: u64,
    /// Requests under way.
    pub active: u32,
    /// Of a consistent hash, what moves when it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<LeavingView>,
}

/// What becomes of keys when an instance leaves for good. Shares of all keys, 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeavingView {
    /// Keys that then go elsewhere.
    pub moved: f64,
    /// Of them, its own.
    pub own: f64,
    /// Of them, those of instances that stay.
    pub needless: f64,
    /// Where they go: instance and share.
    pub to: Vec<(String, f64)>,
}

/// A stretch of the keys, in millionths of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArcView {
    /// Where it begins.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// Its instance: a place in [`PoolView::instances`].
    pub owner: usize,
}

/// Where one key goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The value that was asked for.
    pub key: String,
    /// Its XXH64, sixteen hexadecimal digits.
    pub hash: String,
    /// Where it is among the arcs, millionths.
    pub at: u32,
    /// The instance it goes to; none while nobody may be picked.
    pub instance: Option<String>,
    /// The instance it goes to while all are in the pool.
    pub due: Option<String>,
    /// The instance it goes to after the asked one has left.
    pub after: Option<String>,
}

/// The arcs whose keys move when an instance leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftView {
    /// The instance that leaves.
    pub instance: String,
    /// Each with the instance that has its keys then.
    pub arcs: Vec<ArcView>,
}
