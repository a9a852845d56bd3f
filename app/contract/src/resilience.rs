//! Breakers, endpoints and faults as pages see them, and the commands that change them.
//!
//! Two sizes of the same things: what the live stream carries to every tab (`*Line`,
//! [`FaultsView`]) and what the Resilience page asks for (`*Card`, [`ResilienceView`]). Nothing
//! here decides.

use serde::{Deserialize, Serialize};

/// The three states of a caller's circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass and are counted.
    #[default]
    Closed,
    /// Calls are refused until the wait is over.
    Open,
    /// Some trial calls pass.
    HalfOpen,
}

/// How one call ended, as its breaker counts it. Written as one letter in [`BreakerLine::marks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallMark {
    /// Good: `o`.
    Ok,
    /// Answered, but over the slow limit: `s`.
    Slow,
    /// Failed: `x`.
    Failed,
}

impl CallMark {
    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Ok => 'o',
            Self::Slow => 's',
            Self::Failed => 'x',
        }
    }

    /// The mark of a letter; anything unknown is good.
    #[must_use]
    pub const fn of_letter(letter: char) -> Self {
        match letter {
            's' => Self::Slow,
            'x' => Self::Failed,
            _ => Self::Ok,
        }
    }
}

/// When a breaker opens and for how long. One trial call then decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// Failures in a row that open it, 1 to [`FAILURES_IN_A_ROW_MAX`].
    pub failures_in_a_row: u32,
    /// How long it stays open, milliseconds, 1 to [`WAIT_MAX_MS`].
    pub wait_ms: u32,
}

/// Most failures in a row that a breaker can be set to wait for: more is no breaker.
pub const FAILURES_IN_A_ROW_MAX: u32 = 100;
/// Longest wait of an open breaker, milliseconds: one hour.
pub const WAIT_MAX_MS: u32 = 3_600_000;

/// What somebody forced a breaker to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedView {
    /// Open or closed, whatever its window says.
    pub to: BreakerState,
    /// When it is let go by itself.
    pub until_us: i64,
}

/// One breaker in one line, for every page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerLine {
    /// `orders~payments` or `orders~payments~v2`: caller, destination and its subset.
    pub id: String,
    /// The caller it belongs to.
    pub from: String,
    /// The destination it watches.
    pub to: String,
    /// Subset of the destination, if it has one of its own.
    pub subset: Option<String>,
    /// Its state now.
    pub state: BreakerState,
    /// When it got there.
    pub since_us: i64,
    /// Open: when trial calls begin.
    pub half_open_at_us: Option<i64>,
    /// Held by hand.
    pub forced: Option<ForcedView>,
    /// The window, a letter per call ([`CallMark::letter`]), newest last. Of a breaker that is not
    /// closed: the window that opened it.
    pub marks: String,
    /// Failures in a row that open it.
    pub opens_at: u32,
    /// Failures in a row that are still missing until it opens; none when it is not closed.
    pub distance: Option<u32>,
}

/// One call in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCell {
    /// How it ended.
    pub mark: CallMark,
    /// When.
    pub at_us: i64,
    /// How long it took.
    pub took_us: i64,
    /// Status, or what happened instead of an answer: "503", "timeout", "connection reset".
    pub outcome: String,
    /// Its trace, if it was recorded.
    pub trace_id: Option<String>,
    /// The fault that touched it.
    pub fault_id: Option<String>,
}

/// How a trial call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// It is out.
    Pending,
    /// It closed the breaker.
    Passed,
    /// It opened the breaker again.
    Failed,
    /// Its caller went away: it tells nothing.
    Abandoned,
}

/// One call that a breaker let through to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialView {
    /// When it was let through.
    pub at_us: i64,
    /// How it went.
    pub verdict: TrialVerdict,
    /// Its trace, if it was recorded.
    pub trace_id: Option<String>,
    /// The fault that touched it.
    pub fault_id: Option<String>,
}

/// Trial calls of a breaker's card: what fits beside the window.
pub const TRIALS_MAX: usize = 5;

/// One step of a breaker's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionView {
    /// When.
    pub at_us: i64,
    /// Before.
    pub from: BreakerState,
    /// After.
    pub to: BreakerState,
    /// Why, one phrase: "5 failed in a row", "the wait is over", "forced open for 300 s, by page".
    pub why: String,
    /// Trace of the call that tipped it.
    pub trace_id: Option<String>,
    /// Faults found on the calls that counted.
    pub fault_ids: Vec<String>,
}

/// Transitions kept of one breaker.
pub const TRANSITIONS_MAX: usize = 20;

/// One breaker with everything its card shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakerCard {
    /// The same line as on the live stream.
    pub line: BreakerLine,
    /// Its thresholds.
    pub settings: BreakerSettings,
    /// A good answer over this is drawn as slow, milliseconds. It counts as good.
    pub slow_ms: u32,
    /// The calls behind [`BreakerLine::marks`], newest last.
    pub window: Vec<CallCell>,
    /// Trial calls since it opened, oldest first, at most [`TRIALS_MAX`].
    pub trials: Vec<TrialView>,
    /// Times it opened in the last hour.
    pub opened: u32,
    /// Calls refused since it opened.
    pub refused: u64,
    /// The same per second.
    pub refused_per_second: f64,
    /// What becomes of a refused call: "the product's page comes without recommendations".
    pub meanwhile: String,
    /// Faults found on the failed calls of the window: `F-22`.
    pub causes: Vec<String>,
    /// Newest first, at most [`TRANSITIONS_MAX`].
    pub history: Vec<TransitionView>,
}

/// Thresholds tried on the calls that a breaker has met lately: which, and what to set it to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryThresholds {
    /// [`BreakerLine::id`].
    pub id: String,
    /// The thresholds to try. Nothing is set.
    pub settings: BreakerSettings,
}

/// The first time that a breaker would have opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningView {
    /// When.
    pub at_us: i64,
    /// Trace of the call that would have opened it.
    pub trace_id: Option<String>,
}

/// What a breaker would have done with some thresholds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldHave {
    /// Times it would have opened, also again after a trial call.
    pub opened: u32,
    /// The first of them.
    pub first: Option<OpeningView>,
    /// Calls it would have refused.
    pub refused: u64,
    /// Calls it would have let pass that were really refused: nobody knows how they would have
    /// ended, and they count for nothing.
    pub unknown: u64,
}

/// What came of [`TryThresholds`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfView {
    /// [`BreakerLine::id`].
    pub id: String,
    /// The thresholds that were tried.
    pub settings: BreakerSettings,
    /// The first recorded call, at most a minute ago; none when no call is recorded.
    pub since_us: Option<i64>,
    /// Calls recorded since then.
    pub calls: u64,
    /// Calls while somebody held the breaker by hand, which are in no other count.
    pub held: u64,
    /// With the thresholds that were tried.
    pub tried: WouldHave,
    /// With those in force, over the same calls.
    pub in_force: WouldHave,
}

/// What is done to one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerChange {
    /// Refuse every call for so many seconds, 1 to [`TTL_MAX_S`].
    ForceOpen(u32),
    /// Let every call pass for so many seconds, 1 to [`TTL_MAX_S`].
    ForceClosed(u32),
    /// Let go of a breaker that is held: its state machine decides again.
    Release,
    /// Let go, close, forget the failures.
    Reset,
    /// Other thresholds, in force at once.
    Thresholds(BreakerSettings),
}

/// The command to change a breaker; it is in the breaker's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeBreaker {
    /// [`BreakerLine::id`].
    pub id: String,
    /// What to do.
    pub change: BreakerChange,
}

/// Longest time to live of a fault or of a forced breaker, seconds: one hour.
pub const TTL_MAX_S: u32 = 3_600;

/// What an instance does for the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum EndpointState {
    /// In rotation.
    Ready,
    /// Its process is killed.
    Down {
        /// When it is started again.
        back_us: Option<i64>,
    },
    /// Its process stands still: it takes calls and answers none.
    Paused {
        /// When it goes on.
        back_us: Option<i64>,
    },
    /// Outlier detection keeps it out.
    Ejected {
        /// Since when.
        since_us: i64,
        /// Until when: base time × times in a row.
        until_us: i64,
        /// Times in a row.
        times: u32,
    },
}

/// One instance in the strip of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointLine {
    /// `payments-v2-1`.
    pub instance: String,
    /// Its service.
    pub service: String,
    /// Its subset, if its service has several.
    pub subset: Option<String>,
    /// What it does.
    pub state: EndpointState,
    /// When its ejection ends, also of one that is down or paused meanwhile.
    pub ejected_until_us: Option<i64>,
}

/// One of the counts by which outlier detection ejects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// What is counted: "5xx", "gateway errors".
    pub what: String,
    /// In a row, now.
    pub now: u32,
    /// In a row that eject.
    pub limit: u32,
}

/// One row of the table of endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// The same as in the strip.
    pub line: EndpointLine,
    /// Errors in a row, each kind with its limit; none without outlier detection.
    pub counts: Vec<ErrorCount>,
    /// Share of 5xx in the last minute, 0 to 1.
    pub error_share: f64,
    /// The limits at work or what is peculiar: "50% limit reached".
    pub note: String,
    /// How often it was ejected in this run.
    #[serde(default)]
    pub ejections: u64,
    /// When it was ejected last.
    #[serde(default)]
    pub last_ejected_us: Option<i64>,
}

/// One layer of the mesh on one edge, and what it did in the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerView {
    /// Name in the stack: `retry`, `fault`, `outlier detection`.
    pub name: String,
    /// Its setting: "3 × 2.5 s on 5xx"; empty when it is not configured.
    pub setting: String,
    /// Calls (or tries) it acted on.
    pub acted: u64,
    /// Calls (or tries) that came to it.
    pub of: u64,
    /// What it did: "retried", "refused", "delayed 2 s".
    pub did: String,
    /// Where to read more: its fault, its breaker, its route.
    pub href: Option<String>,
}

/// The layers a call over one edge passes, outer to inner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripView {
    /// Caller.
    pub from: String,
    /// Destination.
    pub to: String,
    /// The caller's, outer to inner: the order of the stack.
    pub layers: Vec<LayerView>,
    /// The callee's, outer to inner, over the requests of all callers.
    pub callee: Vec<LayerView>,
}

/// What can be injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Holds requests, then passes them on.
    #[default]
    Delay,
    /// Answers with an error instead.
    Abort,
    /// Never answers.
    Hang,
    /// Holds requests for a time that varies.
    Jitter,
    /// Breaks off the body of an answer.
    PartialBody,
    /// Breaks the connection without an answer.
    ConnectionReset,
    /// Kills a process and starts it again at the end.
    KillInstance,
    /// Stops a process and lets it go on at the end.
    PauseInstance,
    /// Messages that are not delivered and sent again.
    MessageLoss,
    /// Messages delivered twice.
    MessageDuplication,
    /// Messages delivered late.
    MessageDelay,
}

/// Where a fault takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// On the calls of an edge.
    Edge,
    /// On one instance.
    Instance,
    /// On the messages of the bus.
    Bus,
}

impl FaultKind {
    /// Every kind, as the panel lists them.
    pub const ALL: [Self; 11] = [
        Self::Delay,
        Self::Abort,
        Self::Hang,
        Self::Jitter,
        Self::PartialBody,
        Self::ConnectionReset,
        Self::KillInstance,
        Self::PauseInstance,
        Self::MessageLoss,
        Self::MessageDuplication,
        Self::MessageDelay,
    ];

    /// The word of forms and of the control API: `delay`, `connection_reset`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Abort => "abort",
            Self::Hang => "hang",
            Self::Jitter => "jitter",
            Self::PartialBody => "partial_body",
            Self::ConnectionReset => "connection_reset",
            Self::KillInstance => "kill_instance",
            Self::PauseInstance => "pause_instance",
            Self::MessageLoss => "message_loss",
            Self::MessageDuplication => "message_duplication",
            Self::MessageDelay => "message_delay",
        }
    }

    /// Reads [`FaultKind::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Where it takes effect.
    #[must_use]
    pub const fn place(self) -> FaultPlace {
        match self {
            Self::KillInstance | Self::PauseInstance => FaultPlace::Instance,
            Self::MessageLoss | Self::MessageDuplication | Self::MessageDelay => FaultPlace::Bus,
            _ => FaultPlace::Edge,
        }
    }
}

/// At which point of a two-phase commit a participant's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashPoint {
    /// It is asked to prepare, and nothing is written yet.
    BeforePrepare,
    /// It is prepared, and its vote does not get out.
    AfterPrepare,
    /// It has voted, and does not hear the decision.
    AfterVote,
    /// The decision arrives, and is not applied.
    OnDecision,
    /// The decision is applied, and its acknowledgement does not get out.
    AfterDecision,
}

impl CrashPoint {
    /// Every point, in the order of the protocol.
    pub const ALL: [Self; 5] = [
        Self::BeforePrepare,
        Self::AfterPrepare,
        Self::AfterVote,
        Self::OnDecision,
        Self::AfterDecision,
    ];

    /// The word of forms and of the control API: `after_vote`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BeforePrepare => "before_prepare",
            Self::AfterPrepare => "after_prepare",
            Self::AfterVote => "after_vote",
            Self::OnDecision => "on_decision",
            Self::AfterDecision => "after_decision",
        }
    }

    /// Reads [`CrashPoint::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.word() == word)
    }
}

/// The command to inject a fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InjectFault {
    /// What.
    pub kind: FaultKind,
    /// The caller, of a fault on an edge; empty is every caller. Of one on the bus: the producer.
    pub from: String,
    /// The destination; of a fault on an instance its service; of a fault on the bus the consumer.
    pub to: String,
    /// Only this subset of the destination; empty is all.
    pub subset: String,
    /// The instance, of a fault on one.
    pub instance: String,
    /// Only what meets all of these.
    pub terms: Vec<crate::traffic::MatchTerm>,
    /// Share of the requests or messages, percent: 0.0001 to 100. An instance takes none.
    pub percent: f64,
    /// Delay, or middle of the jitter, milliseconds.
    pub delay_ms: u32,
    /// Jitter: plus or minus so much, milliseconds.
    pub jitter_ms: u32,
    /// Abort: the status, 200 to 599.
    pub status: u16,
    /// It ends by itself after so many seconds, 1 to [`TTL_MAX_S`].
    pub ttl_s: u32,
    /// As in Istio: timeout and retries of the route are off while the fault is set.
    pub like_istio: bool,
    /// It ends after so many were hit: 1 is "only the next request". None is as many as come.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Abort: this gRPC status, by name or number, in place of `status`; empty is none.
    pub grpc_status: String,
    /// Partial body: bytes that still arrive; none is as many as the mesh finds right.
    pub after_bytes: Option<u32>,
    /// Of a fault on an edge: only this route, as `VIRTUALSERVICE/ROUTE`; empty is all.
    pub route: String,
    /// Kill an instance of a bank: not at once, but when a transaction comes to this point.
    pub crash_at: Option<CrashPoint>,
    /// Who asks. Not part of what a browser or program sends: it is told where it comes in.
    #[serde(skip)]
    pub by: String,
}

/// What the panel needs to know before it injects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// One sentence each, computed from current rates: "About 0.3 of 3.2 req/s takes 2 s longer."
    pub sentences: Vec<String>,
    /// What it stands for: `VirtualService inventory`, `pod deletion`, `no Istio object`.
    pub stands_for: String,
    /// The YAML it stands for, if Istio has an object for it.
    pub yaml: String,
    /// Lines of `yaml` (from 1) that the fault adds: first and last.
    pub added: Option<(u32, u32)>,
    /// A question to be answered once before injecting: the last instance, or over half of all.
    pub asks: Option<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultView {
    /// `F-21`.
    pub id: String,
    /// What.
    pub kind: FaultKind,
    /// In words: "Delay 2 s on 10%".
    pub what: String,
    /// Caller, if it is on one edge.
    pub from: Option<String>,
    /// Destination, service of the instance, or the bus.
    pub to: String,
    /// Place in words: "payments v2 → bank-customer", "recommendations-1".
    pub place: String,
    /// When it began.
    pub since_us: i64,
    /// When it ends by itself; none for one that is written in an applied resource.
    pub until_us: Option<i64>,
    /// What happens then: "restarts", "ends".
    pub then: String,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Requests, messages or instances it could have touched.
    pub matched: u64,
    /// Those it touched.
    pub injected: u64,
    /// Those it left alone: matched and not injected.
    #[serde(default)]
    pub spared: u64,
    /// What is counted: "calls", "messages", "instance".
    pub unit: String,
    /// The trace of one it touched.
    pub trace_id: Option<String>,
    /// What it stands for: "VirtualService", "pod deletion".
    pub stands_for: String,
    /// Address of that object on this site, if it has one.
    pub object: Option<String>,
    /// Who asked for it: "page", a resource, or who the control API was told.
    #[serde(default)]
    pub by: String,
    /// The command that injects the same again; none of one that a resource asks for.
    #[serde(default)]
    pub again: Option<InjectFault>,
}

/// All faults, for the banner of every page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultsView {
    /// The kill switch was used at this time: new faults are refused until it is released.
    pub held_us: Option<i64>,
    /// In force, oldest first, at most [`FAULTS_MAX`].
    pub active: Vec<FaultView>,
    /// The last that ended, newest first, at most [`FAULTS_ENDED_MAX`].
    pub ended: Vec<FaultView>,
    /// How many have ended in this run.
    pub ended_count: u64,
}

/// The command to end faults, or to allow them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndFaults {
    /// This one; one that has ended already is no error.
    One(String),
    /// The kill switch: every one, and new ones are refused until they are released.
    All,
    /// Faults may be injected again.
    Release,
}

/// Faults in force at once: what a banner and a person can still follow.
pub const FAULTS_MAX: usize = 32;
/// Ended faults that are still shown.
pub const FAULTS_ENDED_MAX: usize = 5;

/// The Resilience page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResilienceView {
    /// Every breaker.
    pub breakers: Vec<BreakerCard>,
    /// Endpoints that are out, or had errors, worst first.
    pub endpoints: Vec<EndpointRow>,
    /// One strip per edge, by caller.
    pub strips: Vec<StripView>,
}
